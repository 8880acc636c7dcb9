"""What may happen to a run through a corpus: killed, interrupted, its disk full, its files bad."""

from __future__ import annotations

import errno
import gzip
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from corpus_runs import PIECE_BYTES, begun, rows_of, run, small_model, write_lines, written
from random_models import random_model

from lrplstm.cli import main
from lrplstm.corpus.pieces import MOST_IN_LINE

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

ROWS = 600


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_lines(tmp_path_factory.mktemp("source") / "lines.txt", ROWS)


@pytest.fixture(scope="module")
def undisturbed(source, tmp_path_factory):
    """What a run writes to which nothing happens."""
    out = tmp_path_factory.mktemp("undisturbed")
    done = run(source, out)
    assert done.rows + done.rejected == ROWS
    assert done.rejected > 2
    assert rows_of(out) == [("lines.txt", n) for n in range(ROWS)]
    return written(out)


# Killed -------------------------------------------------------------------------------------------


def test_killed_ten_times_it_ends_as_if_nothing_had_happened(source, undisturbed, tmp_path):
    rng = random.Random(8)
    for n in range(10):
        process, pipe = begun(source, tmp_path, resume=True, workers=2 if n == 4 else 1)
        for _ in range(rng.randrange(1, 5)):
            pipe.recv()
        time.sleep(rng.uniform(0, 0.01))
        assert process.is_alive()
        process.kill()
        process.join()
    assert not (tmp_path / "summary.json").exists()
    done = run(source, tmp_path, resume=True)
    assert written(tmp_path) == undisturbed
    assert done.rows + done.rejected == ROWS


def test_a_killed_worker_is_replaced_and_no_worker_outlives_the_run(source, undisturbed, tmp_path):
    process, pipe = begun(source, tmp_path / "worker", workers=2)
    pipe.recv()
    first = pipe.recv()
    os.kill(first[0], signal.SIGKILL)
    process.join(60)
    assert process.exitcode == 0
    assert written(tmp_path / "worker") == undisturbed

    process, pipe = begun(source, tmp_path / "main", workers=2)
    pipe.recv()
    workers = pipe.recv()
    assert len(workers) == 2
    process.kill()
    process.join()
    deadline = time.monotonic() + 20
    while any(map(_runs, workers)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(map(_runs, workers))


def _runs(pid):
    """Whether a process has not ended; one that nobody has asked about yet has ended, too."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(("workers", "resumed"), [(2, 1), (1, 2)])
def test_any_number_of_workers_writes_the_same(source, undisturbed, tmp_path, workers, resumed):
    def interrupt(far):
        if far.rows > ROWS / 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(source, tmp_path, workers=workers, progress=interrupt)
    run(source, tmp_path, workers=resumed, resume=True)
    assert written(tmp_path) == undisturbed


# Interrupted --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    small_model().save(folder)
    return folder


@pytest.mark.parametrize(
    ("number", "status", "wait_for"),
    [
        (signal.SIGINT, 130, ".lock"),  # as workers begin
        (signal.SIGINT, 130, "manifest/000000.jsonl"),
        (signal.SIGTERM, 128 + signal.SIGTERM, "manifest/000000.jsonl"),
    ],
)
def test_ctrl_c_and_sigterm_end_a_run_that_can_be_continued(
    saved, source, undisturbed, tmp_path, number, status, wait_for
):
    out = tmp_path / "out"
    command = ["corpus", str(source), "--out", str(out), "--model", str(saved), "--tokenized"]
    command += ["--unknown", "error"]
    process = subprocess.Popen(
        [sys.executable, "-c", IN_SMALL_PIECES, *command, "--workers", "2"],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not (out / wait_for).exists():
        assert process.poll() is None
        time.sleep(0.001)
    os.killpg(process.pid, number)  # as a terminal does
    output, errors = process.communicate(timeout=60)
    assert process.returncode == status
    assert output == ""
    assert errors == "lrplstm: stopped; the same command with --resume goes on\n"
    assert not (out / "summary.json").exists()
    if number == signal.SIGTERM:
        again = [sys.executable, "-c", IN_SMALL_PIECES, *command, "--workers", "1", "--resume"]
        assert subprocess.run(again, capture_output=True, check=True).stdout
        assert written(out) == undisturbed
        assert not [path for path in out.rglob("*") if "unfinished" in path.name]


IN_SMALL_PIECES = f"""
import sys
from lrplstm.cli import corpus as command, main

explain_corpus = command.explain_corpus
command.explain_corpus = lambda *given, **options: explain_corpus(
    *given, **options | {{"piece_bytes": {PIECE_BYTES}}}
)
sys.exit(main())
"""
"""The command, which counts pieces in megabytes, with small ones."""


# Disks and folders --------------------------------------------------------------------------------


def test_a_full_disk_is_said_and_the_run_goes_on_when_there_is_room(source, undisturbed, tmp_path):
    if os.geteuid() != 0 or not sys.platform.startswith("linux"):
        pytest.skip("a small disk needs the right to mount one")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", "size=160k", "none", str(disk)]
    if subprocess.run(mounted, capture_output=True, check=False).returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        with pytest.raises(OSError, match="No space left") as error:
            run(source, disk / "out")
        assert error.value.errno == errno.ENOSPC
        assert str(disk / "out") in str(error.value.filename)
        assert 0 < len(list((disk / "out/data").iterdir())) < len(undisturbed)
        subprocess.run(["mount", "-o", "remount,size=16m", str(disk)], check=True)
        run(source, disk / "out", resume=True)
        assert written(disk / "out") == undisturbed

        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        for out in ("out", "other"):
            with pytest.raises(OSError, match="Read-only file system") as error:
                run(source, disk / out, resume=True)
            assert str(disk / out) in error.value.filename
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_of_any_system(source, undisturbed, tmp_path):
    """As far as a process can pretend it: no file, such as the manifest, may be of many bytes."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large") as error:
            run(source, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert error.value.filename == str(tmp_path / "manifest/000000.jsonl")
    run(source, tmp_path, resume=True)
    assert written(tmp_path) == undisturbed


def test_a_folder_that_cannot_be_written(source, tmp_path, monkeypatch, capsys, saved):
    def refused(path, *arguments, **options):
        raise PermissionError(errno.EACCES, "Permission denied", path)

    # What the system says to a user who may not; to root it says yes.
    monkeypatch.setattr(os, "makedirs", refused)
    assert main(["corpus", str(source), "--out", str(tmp_path / "o"), "--model", str(saved)]) == 1
    assert capsys.readouterr().err.endswith("/o/: Permission denied\n")


def test_two_runs_into_one_folder_at_once(source, tmp_path):
    refused = []

    def again(far):
        if not refused:
            with pytest.raises(ValueError, match="another run writes into it") as error:
                run(source, tmp_path, resume=True)
            refused.append(error)

    run(source, tmp_path, progress=again)
    assert refused
    assert rows_of(tmp_path) == [("lines.txt", n) for n in range(ROWS)]


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"method": "gradient_x_input"}, "method"),
        ({"max_tokens": 3}, "max_tokens"),
        ({"piece_bytes": 100}, "piece_bytes"),
        ({"epsilon": 0.5}, "epsilon"),
        ({"model": random_model(4, vocabulary=["good"])}, "model"),
        ({"tokenized": False, "ids": True}, "tokenized"),
    ],
)
def test_a_run_is_continued_as_it_was_begun_or_not_at_all(source, tmp_path, other, named):
    def stop(far):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(source, tmp_path, progress=stop)
    before = written(tmp_path)
    with pytest.raises(ValueError, match=f"expected the run that was begun there.*{named}"):
        run(source, tmp_path, resume=True, **other)
    with pytest.raises(ValueError, match="resume"):
        run(source, tmp_path)
    assert written(tmp_path) == before


def test_a_folder_with_something_else_in_it_stays_as_it_is(source, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/mine.parquet").write_bytes(b"dear to me")
    with pytest.raises(ValueError, match="expected a new folder"):
        run(source, tmp_path)
    assert (tmp_path / "data/mine.parquet").read_bytes() == b"dear to me"
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(ValueError, match=r"run\.json: expected what a run"):
        run(source, tmp_path)


def test_parts_of_which_there_is_no_record_are_not_left(source, undisturbed, tmp_path):
    def stop(far):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(source, tmp_path, progress=stop)
    one = next((tmp_path / "data").iterdir()).read_bytes()
    (tmp_path / "data/part-00000-999999.parquet").write_bytes(one)
    run(source, tmp_path, resume=True)
    assert written(tmp_path) == undisturbed


def test_a_damaged_manifest_is_said(source, tmp_path):
    run(source, tmp_path)
    manifest = tmp_path / "manifest/000000.jsonl"
    manifest.write_bytes(manifest.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"000000\.jsonl: expected what a run"):
        run(source, tmp_path, resume=True)


# Files that change --------------------------------------------------------------------------------


def parquet_file(path, texts, group=4):
    table = pyarrow.table({"text": texts})
    parquet.write_table(table, path, row_group_size=group)
    return path


@pytest.mark.parametrize("change", ["other", "shorter"])
@pytest.mark.parametrize("ending", [".txt", ".txt.gz"])
def test_a_file_that_changes_between_a_run_and_its_continuation(tmp_path, change, ending):
    lines = ["good film", "bad plot", "the film"] * 40
    source = tmp_path / f"lines{ending}"
    write = gzip.open if ending.endswith("gz") else open

    def put(lines):
        with write(source, "wt") as file:
            file.write("".join(f"{line}\n" for line in lines))

    put(lines)
    run(source, tmp_path / "out")
    put(["not bad", *lines[1:]] if change == "other" else lines[:50])
    with pytest.raises(ValueError, match="expected the file with which the run began"):
        run(source, tmp_path / "out", resume=True)


@pytest.mark.parametrize("ending", [".txt", ".parquet"])
def test_a_file_that_changes_during_a_run(tmp_path, ending, monkeypatch):
    source = tmp_path / f"lines{ending}"
    texts = ["good film", "bad plot", "the film"] * 40
    monkeypatch.setattr("lrplstm.corpus.pieces._ROWS", 8)
    changed = []

    def put(texts):
        if ending == ".parquet":
            parquet_file(source, texts)
        else:
            source.write_text("".join(f"{text}\n" for text in texts))

    def change(far):
        if not changed:
            changed.append(far)
            put([text.upper() for text in texts])

    put(texts)
    with pytest.raises(ValueError, match="expected a file that stays as it is; it changed"):
        run(source, tmp_path / "out", progress=change)
    assert changed


# Damaged files ------------------------------------------------------------------------------------


def test_lines_cut_within_a_character_and_bytes_that_are_no_text(tmp_path):
    source = tmp_path / "lines.txt"
    source.write_bytes(
        "good film\n\xff\xfe\nnot bad\ngood fil\u00e9".encode("latin-1")[:-1] + b"\xc3"
    )
    done = run(source, tmp_path / "out")
    assert [(one["row"], one["reason"]) for one in done.rejects()] == [
        (1, "expected UTF-8, got something else at byte 0"),
        (3, "expected UTF-8, got something else at byte 8"),
    ]
    assert rows_of(tmp_path / "out") == [("lines.txt", n) for n in range(4)]


@pytest.mark.parametrize("ending", ["gz", "bz2", "zst"])
def test_compressed_files_that_are_cut_or_no_such_files(tmp_path, ending):
    rng = np.random.default_rng(0)
    text = "".join(" ".join(rng.choice(["good", "bad", "film"], 9)) + "\n" for _ in range(2000))
    kind = {"gz": "gzip", "zst": "zstd"}.get(ending, ending)
    sink = pyarrow.BufferOutputStream()
    with pyarrow.CompressedOutputStream(sink, kind) as stream:
        stream.write(text.encode())
    whole = sink.getvalue().to_pybytes()
    source = tmp_path / f"lines.txt.{ending}"
    for content in (whole[: len(whole) // 2], b"these are just words\n" * 9, whole[:-3]):
        source.write_bytes(content)
        with pytest.raises(
            ValueError, match=rf"lines\.txt\.{ending}: expected a whole {kind} file"
        ):
            run(source, tmp_path / "out", resume=True, piece_bytes=10_000)
    source.write_bytes(whole)
    done = run(source, tmp_path / "out", resume=True, piece_bytes=10_000)
    assert done.rows == 2000


def test_parquet_files_that_are_cut_or_damaged(tmp_path):
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(["good", "bad", "film"], 9)) for _ in range(200)]
    source = parquet_file(tmp_path / "texts.parquet", texts, group=200)
    whole = source.read_bytes()
    out = tmp_path / "out"
    for content in (whole[:-10], whole[: len(whole) // 2], b"", b"PAR1" + bytes(8) + b"PAR1"):
        source.write_bytes(content)
        with pytest.raises(ValueError, match=r"texts\.parquet: expected a Parquet file"):
            run(source, out, resume=True)
    for place in range(4, len(whole) // 2, len(whole) // 12):  # pages
        source.write_bytes(whole[:place] + bytes(9) + whole[place + 9 :])
        with pytest.raises(ValueError, match=r"texts\.parquet: expected a whole Parquet file"):
            run(source, tmp_path / f"out{place}")


@pytest.mark.parametrize("long", [False, True])
def test_arrow_files_that_are_cut(tmp_path, long):
    texts = [f"good film {n}" for n in range(2000)]
    table = pyarrow.table({"text": texts, "a": [0.5] * len(texts)})
    source = tmp_path / "texts.arrow"
    with pyarrow.ipc.new_stream(source, table.schema) as writer:
        writer.write_table(table, max_chunksize=100)
    whole = source.read_bytes()
    source.write_bytes(whole[: len(whole) // 2])
    options = {"key": "text", "features": ["a"], "tokenized": False} if long else {"column": "text"}
    with pytest.raises(ValueError, match=r"texts\.arrow: expected a whole arrow file"):
        run(source, tmp_path / "out", **options)


def test_a_line_without_end_is_rejected_in_bounded_memory(tmp_path):
    resource = pytest.importorskip("resource")
    million = "good " * 1_000_000
    source = tmp_path / "lines.txt"
    with open(source, "w") as file:
        file.write(f"good film\n{million}\nbad film\n")
        for _ in range(200):
            file.write("x" * 500_000)
        file.write("\nthe plot\n")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    done = run(source, tmp_path / "out", piece_bytes=2**20)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 200_000  # KB
    assert done.rows == 3
    assert [(one["row"], one["reason"]) for one in done.rejects()] == [
        (1, "expected at most 10,000 steps, got 1,000,000"),
        (3, f"expected at most {MOST_IN_LINE:,} bytes in a line, got 100,000,001"),
    ]


def test_a_cell_without_end(tmp_path):
    source = tmp_path / "cells.csv"
    with open(source, "w") as file:
        file.write("id,text\n1,good film\n2,")
        for _ in range(40):
            file.write("x" * 500_000)
        file.write("\n3,bad film\n")
    done = run(source, tmp_path / "out", keep=["id"])
    assert done.rows == 2
    (reject,) = done.rejects()
    assert reject["row"] == 1
    assert f"more than {MOST_IN_LINE:,} characters" in reject["reason"]


def test_empty_files(tmp_path):
    for name in ("a.txt", "b.jsonl"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "c.txt").write_bytes(b"\n\n")
    done = run([tmp_path / name for name in ("a.txt", "b.jsonl", "c.txt")], tmp_path / "out")
    assert (done.rows, done.rejected) == (0, 2)
    assert done.summary["rows"] == 0
    assert list(done) == []
