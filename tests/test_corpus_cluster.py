"""A corpus on Dask's workers: real processes, of which some are killed."""

from __future__ import annotations

import contextlib
import importlib
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep

import pytest

import lrplstm
from lrplstm import corpus
from lrplstm.corpus.cluster import on_cluster

distributed = pytest.importorskip("distributed")
pytest.importorskip("pyarrow")

ADDRESS = "tcp://127.0.0.1"
WORDS = "the film is a fine dull slow never ending story of love and war , but not good .".split()


@pytest.fixture(scope="module")
def model():
    return lrplstm.load_default()


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Some lines, of which a few are empty and cannot be explained."""
    rng = random.Random(5)
    lines = [" ".join(rng.choices(WORDS, k=rng.randrange(0, 30))) for _ in range(1200)]
    path = tmp_path_factory.mktemp("source") / "lines.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


def explain(model, source, out, **arguments):
    return corpus.explain_corpus(model, source, out, tokenized=True, piece_bytes=1500, **arguments)


@pytest.fixture(scope="module")
def undisturbed(model, source, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    found = explain(model, source, out, workers=1)
    assert found.rejected > 10
    assert len(found.parts) > 40
    return files_in(out)


def files_in(out):
    """Return what has been written for each part, byte for byte."""
    out = Path(out)
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for folder in ("data", "rejects")
        for path in (out / folder).iterdir()
    }


class Processes:
    """A scheduler and workers, each a process of its own."""

    def __init__(self, folder):
        self._folder, self._begun = folder, []
        self.scheduler, self.address = None, None

    def begin_scheduler(self):
        file = self._folder / f"scheduler-{len(self._begun)}.json"
        self.scheduler = self._begin(
            "scheduler", "--host", ADDRESS, "--port", "0", "--scheduler-file", str(file)
        )
        deadline = monotonic() + 60
        while not self.address or not file.exists():
            assert monotonic() < deadline
            assert self.scheduler.poll() is None
            sleep(0.05)
            with contextlib.suppress(OSError, ValueError):
                self.address = distributed.utils.json.loads(file.read_text())["address"]
        return self.address

    def begin_worker(self):
        return self._begin("worker", self.address, "--nthreads", "1", "--no-nanny")

    def _begin(self, what, *arguments):
        log = self._folder / f"log-{len(self._begun)}.txt"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    f"distributed.cli.dask_{what}",
                    *arguments,
                    "--no-dashboard",
                ],
                stdout=file,
                stderr=file,
                cwd=self._folder,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )
        self._begun.append(process)
        return process

    def stop(self):
        for process in self._begun:
            process.kill()
        for process in self._begun:
            process.wait()


@pytest.fixture
def processes(tmp_path):
    found = Processes(tmp_path)
    yield found
    found.stop()


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_a_worker_that_is_killed_loses_and_repeats_nothing(
    model, source, undisturbed, processes, tmp_path
):
    address = processes.begin_scheduler()
    first = processes.begin_worker()
    second = processes.begin_worker()
    done = []

    def disturb(far):
        done.append(far.rows)
        if len(done) == 5:
            kill(first)
        if len(done) == 10:
            # What has come after the job was given out knows it as well, and ends the run alone.
            processes.begin_worker()
            wait_for_workers(address, 2)
            kill(second)

    out = tmp_path / "out"
    found = explain(model, source, out, scheduler=address, progress=disturb)
    assert files_in(out) == undisturbed
    assert found.complete
    assert found.rows + found.rejected == 1200 == done[-1]
    assert len(done) == len(set(done))


def wait_for_workers(address, count):
    with distributed.Client(address, set_as_default=False) as client:
        client.wait_for_workers(count, timeout=60)


def test_after_the_scheduler_is_killed_another_one_ends_the_run(
    model, source, undisturbed, processes, tmp_path
):
    processes.begin_scheduler()
    processes.begin_worker(), processes.begin_worker()
    done = []

    def disturb(far):
        done.append(far.rows)
        if len(done) == 5:
            kill(processes.scheduler)

    out = tmp_path / "out"
    place = f"local://{out}"  # by fsspec, as storage is that many machines share
    with pytest.raises(ConnectionError, match=r"scheduler: it was lost.*resume goes on from there"):
        explain(model, source, place, scheduler=processes.address, progress=disturb)
    assert not corpus.open(place).complete
    before = corpus.open(place)
    assert 0 < before.rows + before.rejected < 1200

    processes.address = None
    address = processes.begin_scheduler()
    processes.begin_worker()
    with distributed.Client(address, set_as_default=False) as client:
        found = explain(model, source, place, scheduler=client, resume=True)
        assert client.status == "running"
        plugins = client.run(lambda dask_worker: list(dask_worker.plugins)).values()
        assert not any(name.startswith("lrplstm") for names in plugins for name in names)
    assert files_in(out) == undisturbed
    assert found.complete


def test_a_piece_that_kills_each_worker_ends_the_run(
    model, source, undisturbed, processes, tmp_path
):
    address = processes.begin_scheduler()
    processes.begin_worker()
    out = tmp_path / "out"
    wait_for_workers(address, 1)
    with distributed.Client(address, set_as_default=False) as client:
        client.run_on_scheduler(
            lambda dask_scheduler: setattr(dask_scheduler, "allowed_failures", 0)
        )
        module = on_cluster.__module__
        client.run(
            lambda: setattr(
                importlib.import_module(module), "write_part", lambda job, piece: os._exit(1)
            )
        )
        with pytest.raises(ChildProcessError, match=r"lines.txt: 1 workers died.*resume goes on"):
            explain(model, source, out, scheduler=client)
        processes.begin_worker()
        explain(model, source, out, scheduler=client, resume=True)
    assert files_in(out) == undisturbed


@pytest.fixture(scope="module")
def threads():
    """A scheduler and a worker in this process."""
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


def test_a_row_of_a_strict_run_is_the_same_error_as_without_dask(model, source, threads, tmp_path):
    with pytest.raises(ValueError, match=r"row \d+: expected at least one step") as alone:
        explain(model, source, tmp_path / "alone", strict=True, workers=1)
    with pytest.raises(type(alone.value)) as shared:
        explain(model, source, tmp_path / "shared", strict=True, scheduler=threads)
    # Which row is met first depends on who is the quickest; what is said of it does not.
    assert str(shared.value).rpartition(": ")[2] == str(alone.value).rpartition(": ")[2]


@pytest.mark.parametrize("place", ["memory://corpus/out", "file://{}/out"])
def test_what_is_written_is_the_same_wherever_it_is(
    model, source, undisturbed, threads, tmp_path, place
):
    place = place.format(tmp_path)
    found = explain(model, source, place, scheduler=threads)
    fsspec = pytest.importorskip("fsspec")
    fs, path = fsspec.core.url_to_fs(place)
    written = {
        name.rpartition(f"{path}/")[2]: fs.cat_file(name)
        for folder in ("data", "rejects")
        for name in fs.find(f"{path}/{folder}")
    }
    assert written == undisturbed
    assert sum(len(attributions.predicted) for attributions in found) == found.rows


def test_a_line_is_not_taken_for_too_long_where_pieces_are_large(model, source, tmp_path):
    with pytest.raises(ValueError, match="piece_bytes: expected at most 16,777,216"):
        corpus.explain_corpus(model, source, tmp_path / "a", piece_bytes=2**24 + 1)
    found = corpus.explain_corpus(
        model, source, tmp_path / "b", tokenized=True, piece_bytes=2**24, workers=1
    )
    assert found.rows + found.rejected == 1200
    assert len(found.parts) == 1


def test_a_scheduler_is_one(model, source, tmp_path, monkeypatch):
    monkeypatch.setattr("lrplstm.corpus.cluster._PATIENCE", "0.2s")
    with pytest.raises(ConnectionError, match=r"scheduler: .* tcp://127.0.0.1:9, where none"):
        explain(model, source, tmp_path / "a", scheduler="tcp://127.0.0.1:9")
    with pytest.raises(TypeError, match=r"scheduler: expected the address .* got int"):
        explain(model, source, tmp_path / "b", scheduler=8786)
    with pytest.raises(ValueError, match="workers: expected None with scheduler="):
        explain(model, source, tmp_path / "c", scheduler="tcp://127.0.0.1:9", workers=2)


def test_threads_of_workers_that_are_idle_are_said(model, source, tmp_path):
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
        pytest.warns(UserWarning, match="a worker uses one of its threads"),
    ):
        found = explain(model, source, tmp_path / "out", scheduler=client)
    assert found.complete


def test_dask_is_imported_by_nothing_else(source, tmp_path):
    code = f"""
import sys
import lrplstm
import lrplstm.cli
import lrplstm.corpus.cluster
from lrplstm import corpus
corpus.explain_corpus(lrplstm.load_default(), {str(source)!r}, {str(tmp_path / "out")!r}, workers=1)
assert not {{"dask", "distributed", "fsspec"}} & set(sys.modules), "imported"
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
