"""Throughput and memory of corpus runs: ``python -m benchmarks.corpus [--sst SST_DIR] [WHAT ...]``.

speed
    Tokenised sentences with two workers, files and summary included, as a share of `lrplstm.lrp`
    of the same sentences in memory with two threads.
raw
    Raw text with two workers against one.
memory
    The most memory of all processes of a run together, of 200 thousand and of 2 million sentences.

Sides take turns, and the best of each counts, since it was disturbed least.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

import lrplstm
from benchmarks import workload
from benchmarks.timing import best_of
from lrplstm.corpus import explain_corpus

_CHUNK = 100_000


def sentences(model, number: int, folder: str | None) -> Iterator[list[str]]:
    """Yield sentences: those of workload A, each with some words that are drawn anew."""
    given = workload.load(folder, model).sentences
    words = np.array([word or "" for word in model.vocabulary], object)
    all_words = np.concatenate(given)
    rng = np.random.default_rng(2)
    for start in range(0, number, _CHUNK):
        chosen = rng.integers(len(given), size=min(_CHUNK, number - start))
        for n in chosen.tolist():
            ids = given[n].copy()
            other = rng.random(len(ids)) < 0.3
            ids[other] = rng.choice(all_words, int(other.sum()))
            yield words[ids].tolist()


def write(path: Path, lines: Iterator[list[str]]) -> Path:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(" ".join(words) + "\n" for words in lines)
    return path


def run(model, source: Path, **arguments) -> lrplstm.corpus.Corpus:
    with tempfile.TemporaryDirectory(dir=source.parent) as out:
        return explain_corpus(model, source, Path(out, "out"), **arguments)


def speed(folder: Path, sst: str | None, number: int, rounds: int) -> None:
    model = lrplstm.load_default()
    given = list(sentences(model, number, sst))
    source = write(folder / "speed.txt", iter(given))
    seconds = best_of(
        {
            "memory": lambda: lrplstm.lrp(model, given, num_threads=2),
            "corpus": lambda: run(model, source, tokenized=True, workers=2),
        },
        rounds,
        0,
        time.perf_counter,
    )
    share = seconds["memory"] / seconds["corpus"]
    print(
        f"tokenised, 2 workers: {share:.0%} of lrp in memory (>= 70 %); "
        f"{number / seconds['corpus']:,.0f} and {number / seconds['memory']:,.0f} sentences/s; "
        f"{seconds['corpus'] / number * 1e6:,.0f} s per million"
    )


def raw(folder: Path, sst: str | None, number: int, rounds: int) -> None:
    model = lrplstm.load_default()
    source = write(folder / "raw.txt", sentences(model, number, sst))
    seconds = best_of(
        {str(n): lambda n=n: run(model, source, workers=n, piece_bytes=2**19) for n in (1, 2)},
        rounds,
        0,
        time.perf_counter,
    )
    print(
        f"raw text, 2 workers against 1: {seconds['1'] / seconds['2']:.2f} x (>= 1.8); "
        f"{number / seconds['2']:,.0f} and {number / seconds['1']:,.0f} sentences/s; "
        f"{seconds['2'] / number * 1e6:,.0f} s per million"
    )


def memory(folder: Path, sst: str | None, number: int, rounds: int) -> None:
    model = lrplstm.load_default()
    peaks = []
    for size in (number // 10, number):
        source = write(folder / f"memory-{size}.txt", sentences(model, size, sst))
        peaks.append(peak_of(source, folder / f"out-{size}"))
        pss, rss = (f"{value / 1e6:.0f}" for value in peaks[-1])
        print(f"memory, {size:,} sentences: {pss} MB (proportional), {rss} MB (resident)")
    print(f"memory, {number:,} against a tenth: {peaks[1][0] / peaks[0][0]:.2f} x (<= 1.10)")


def peak_of(source: Path, out: Path) -> tuple[int, int]:
    """Return the most memory of a run: what its processes share counted once, and each time."""
    command = [sys.executable, "-m", "lrplstm", "corpus", str(source), "--out", str(out)]
    process = subprocess.Popen(
        [*command, "--tokenized", "--workers", "2"], stdout=subprocess.DEVNULL
    )
    peak = [0, 0]
    while process.poll() is None:
        used = [_used(pid) for pid in _tree(process.pid)]
        peak = [
            max(most, sum(now)) for most, now in zip(peak, zip(*used, strict=True), strict=True)
        ]
        time.sleep(0.1)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: status {process.returncode}")
    return peak[0], peak[1]


def _tree(pid: int) -> Iterator[int]:
    """Yield a process, and all that it and they have begun."""
    yield pid
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from _tree(int(child))


def _used(pid: int) -> tuple[int, int]:
    """Return the bytes of a process: its proportional share, and what is resident."""
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
        sizes = {name: int(rest.split()[0]) for name, rest in (line.split(":") for line in lines)}
        return sizes["Pss"] * 1024, sizes["Rss"] * 1024
    return 0, 0


WHAT = {"speed": (speed, 400_000), "raw": (raw, 100_000), "memory": (memory, 2_000_000)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.corpus", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("what", nargs="*", metavar="WHAT", help="default: all")
    parser.add_argument("--sst", default=os.environ.get("LRPLSTM_SST"), metavar="SST_DIR")
    parser.add_argument("--number", type=int, help="sentences (default: depends on what)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="for files (default: a temporary one)")
    options = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for name in options.what or WHAT:
            measure, number = WHAT[name]
            measure(Path(folder), options.sst, options.number or number, options.rounds)


if __name__ == "__main__":
    main()
