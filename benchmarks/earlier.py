"""The package against an earlier state of it: python -m benchmarks.earlier OTHER_SRC [SST_DIR].

OTHER_SRC is the folder `src` of a checkout in which the kernels were built. Each of the two runs in
a process of its own, and they take turns.
"""

from __future__ import annotations

import inspect
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent.parent
STEPS, ROUNDS = 19, 7


def figures(folder: str | None) -> dict[str, tuple[Callable[[], object], int]]:
    """Return what is measured, by name, and how many calls in a row are one measurement."""
    import lrplstm
    from benchmarks import workload
    from lrplstm import evaluation

    by_midpoints = {"quadrature": "midpoint"}  # the earliest had no others
    if "quadrature" not in inspect.signature(lrplstm.integrated_gradients).parameters:
        by_midpoints = {}
    model = lrplstm.load_default()
    double = model.astype("float64")
    A = workload.load(folder, model)
    one, all_of_them = A.one(STEPS), A.sentences
    labels = model.predict(all_of_them).argmax(axis=1)
    rng = np.random.default_rng(0)
    series = [rng.normal(size=(STEPS, model.input_size)).astype(np.float32) for _ in range(128)]

    def explain(method, inputs, model=model, **options):
        return lambda: lrplstm.explain(model, inputs, method, num_threads=1, **options)

    def deletion():
        evaluation.deletion_curve(model, all_of_them, labels, num_threads=1)

    return {
        "LRP of one sentence": (lambda: lrplstm.lrp(model, one), 1000),
        "predict of one sentence": (lambda: model.predict(one), 1000),
        "Gradient x Input of one sentence": (explain("gradient_x_input", one), 1000),
        "occlusion of one sentence": (explain("occlusion", one), 300),
        "LRP": (explain("lrp", all_of_them), 1),
        "LRP, float64": (explain("lrp", all_of_them, double), 1),
        "LRP of all classes": (explain("lrp", all_of_them, target="all"), 1),
        "Sensitivity": (explain("sensitivity", all_of_them), 1),
        "Gradient x Input": (explain("gradient_x_input", all_of_them), 1),
        "predict": (lambda: model.predict(all_of_them, num_threads=1), 1),
        "occlusion": (explain("occlusion", all_of_them), 1),
        "contextual decomposition": (explain("contextual_decomposition", all_of_them), 1),
        "integrated gradients": (explain("integrated_gradients", all_of_them), 1),
        "integrated gradients, 50 midpoints": (
            explain("integrated_gradients", all_of_them, **by_midpoints),
            1,
        ),
        "deletion curves of all methods": (deletion, 1),
        "predict of 128 series": (lambda: model.predict(series, num_threads=1), 100),
        **{
            f"LRP of 64 series, H = {H}": (explain("lrp", *small_network(H)), 300)
            for H in (8, 16, 32)
        },
    }


def small_network(H: int) -> tuple[list[object], object]:
    """Return 64 series of 30 steps, and a network of one layer that reads them."""
    import lrplstm

    rng = np.random.default_rng(H)

    def draw(*shape):
        return rng.normal(0, 0.3, shape).astype(np.float32)

    layer = lrplstm.LSTMWeights(draw(4 * H, H), draw(4 * H, H), draw(4 * H))
    return [draw(30, H) for _ in range(64)], lrplstm.LSTMModel([layer], draw(3, H))


def serve(folder: str | None) -> None:
    """Measure what is asked for, line by line: the least processor time of single calls."""
    measured = figures(folder)
    print(*measured, sep="\t", flush=True)
    for name in map(str.strip, sys.stdin):
        function, calls = measured[name]
        best = math.inf
        for _ in range(calls):
            start = time.perf_counter() if calls > 1 else time.process_time()
            function()
            stop = time.perf_counter() if calls > 1 else time.process_time()
            best = min(best, stop - start)
        print(best, flush=True)


class Side:
    """A process that has one of the two."""

    def __init__(self, source: Path, folder: str | None) -> None:
        command = [
            sys.executable,
            "-m",
            "benchmarks.earlier",
            "--serve",
            *([folder] if folder else []),
        ]
        paths = os.pathsep.join([str(source), str(HERE)])
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=HERE,
            env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        )
        self.names = self.process.stdout.readline().rstrip("\n").split("\t")

    def seconds(self, name: str) -> float:
        print(name, file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())


def main(other: str, folder: str | None = None) -> None:
    sides = [Side(Path(other).resolve(), folder), Side(HERE / "src", folder)]
    print(f"{'':34}{'earlier':>10}{'now':>10}   times faster")
    for name in sides[1].names:
        best = [math.inf, math.inf]
        for _ in range(ROUNDS):
            for number, side in enumerate(sides):
                best[number] = min(best[number], side.seconds(name))
        milliseconds = "".join(f"{1000 * seconds:10.4g}" for seconds in best)
        print(f"{name:34}{milliseconds}   {best[0] / best[1]:.2f}", flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        serve(*sys.argv[2:] or [None])
    else:
        main(*sys.argv[1:])
