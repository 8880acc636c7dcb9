"""The figures: what is measured against what, and the target of each ratio."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

import lrplstm
from benchmarks import batched, literal, memory, peak
from benchmarks.timing import agree, best_of
from benchmarks.workload import Workload

LITERAL_SENTENCES = 150
"""How many sentences the literal code is timed with: its time per token is the same for all."""

PYTORCH_BATCHES = (32, 64, 128, 256, 512)
NUMPY_BATCH = 128
STEPS = 19  # the average length of a sentence

PER_TOKEN = "us/token"


@dataclass(frozen=True)
class Figure:
    """A measured ratio, and the two or more numbers that it was made from."""

    name: str
    text: str
    value: float
    target: float | None
    sides: dict[str, float]
    unit: str = "x"
    side_unit: str = PER_TOKEN
    at_most: bool = False
    share: float | None = None
    """Of the multiply-adds that the processor could start in that time."""
    needs: float = 0
    """A processor of fewer float32 multiply-adds a second cannot reach the target."""

    @property
    def passed(self) -> bool | None:
        if self.target is None:
            return None
        return self.value <= self.target if self.at_most else self.value >= self.target


class SkippedError(Exception):
    """A figure that cannot be measured here, and why."""


@dataclass(frozen=True)
class Setting:
    """What all figures share."""

    A: Workload
    folder: str | None
    single: lrplstm.LSTMModel

    @cached_property
    def double(self) -> lrplstm.LSTMModel:
        return self.single.astype("float64")

    @cached_property
    def peaks(self) -> dict[str, float]:
        """Multiply-adds a second, by dtype; none where there is no compiler."""
        found = {dtype: peak.multiply_adds(dtype) for dtype in ("float32", "float64")}
        runs = {dtype: pair for dtype, pair in found.items() if pair is not None}
        seconds = best_of({dtype: run for dtype, (run, _) in runs.items()}, seconds=1)
        return {dtype: work / seconds[dtype] for dtype, (_, work) in runs.items()}

    def share(self, work: float, microseconds: float, dtype: str = "float32") -> float | None:
        """Return the share of the peak of so many multiply-adds, in this time."""
        rate = self.peaks.get(dtype)
        return None if rate is None else work / (microseconds * 1e-6 * rate)

    def work(self, forward: float, back: float) -> float:
        """Return the multiply-adds of a token: so many products of H rows with W_hh or W_ih."""
        return 2 * (forward + back) * self.single.hidden_size**2


TWO_UNITS = 100e9
"""Multiply-adds a second of a processor with two units of 512 bits, and not of others."""


def per_token(seconds: float, tokens: int) -> float:
    """Return microseconds per token."""
    return seconds / tokens * 1e6


def faster(name, text, sides, other, target, own="lrplstm", **more) -> Figure:
    """Return the figure of how many times faster than `other` the package is."""
    return Figure(name, text, sides[other] / sides[own], target, sides, **more)


# Against the literal code -----------------------------------------------------------------------


def against_literal(setting: Setting) -> list[Figure]:
    single, double, A = setting.single, setting.double, setting.A
    some = A.some(LITERAL_SENTENCES)

    def literally():
        return [literal.lrp(double, ids) for ids in some]

    found = lrplstm.lrp(double, some, num_threads=1).token_relevance
    agree(found, np.concatenate(literally()), 1e-9, "LRP and the literal code")
    seconds = best_of(
        {
            "literal": literally,
            "float32": lambda: lrplstm.lrp(single, A.sentences, num_threads=1),
            "float64": lambda: lrplstm.lrp(double, A.sentences, num_threads=1),
            "all": lambda: lrplstm.lrp(single, A.sentences, "all", num_threads=1),
        }
    )
    tokens = sum(map(len, some))
    slow = per_token(seconds["literal"], tokens)

    def row(name, text, key, target, classes=1):
        own = per_token(seconds[key], A.tokens)
        dtype = "float64" if key == "float64" else "float32"
        share = setting.share(setting.work(4, classes), own, dtype)
        sides = {"lrplstm": own, "literal": slow}
        return faster(name, text, sides, "literal", target, share=share, needs=TWO_UNITS)

    return [
        row("lrp-float32", "LRP, float32, against literal LRP", "float32", 250),
        row("lrp-float64", "LRP, float64, against literal LRP", "float64", 110),
        row("lrp-all", "LRP of 5 classes, float32, against literal LRP of one", "all", 110, 5),
    ]


def one_sentence(setting: Setting) -> list[Figure]:
    single, double = setting.single, setting.double
    ids = setting.A.one(STEPS)
    seconds = best_of(
        {
            "lrplstm": lambda: lrplstm.lrp(single, ids, num_threads=1),
            "literal": lambda: literal.lrp(double, ids),
        },
        seconds=2,
    )
    sides = {name: per_token(s, len(ids)) for name, s in seconds.items()}
    text = f"LRP, float32, one sentence of {STEPS} tokens, against literal LRP"
    share = setting.share(setting.work(4, 1), sides["lrplstm"])
    return [faster("one-sentence", text, sides, "literal", 60, share=share, needs=TWO_UNITS)]


def first_call(setting: Setting) -> list[Figure]:
    """The first call of a model projects the words: later ones find that done."""
    A = setting.A
    seconds = best_of(
        {
            "copy of the model": lambda: setting.single.astype("float32"),
            "copy and first call": lambda: lrplstm.lrp(
                setting.single.astype("float32"), A.sentences, num_threads=1
            ),
            "later call": lambda: lrplstm.lrp(setting.single, A.sentences, num_threads=1),
        },
        seconds=1,
    )
    first = seconds["copy and first call"] - seconds["copy of the model"]
    sides = {
        "first call": per_token(first, A.tokens),
        "later call": per_token(seconds["later call"], A.tokens),
    }
    text = "LRP, float32, first call (projects words) over later ones"
    return [Figure("first-call", text, first / seconds["later call"], None, sides)]


# Threads ----------------------------------------------------------------------------------------


def threads(setting: Setting) -> list[Figure]:
    processors = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    )
    if processors == 1:
        raise SkippedError("there is one processor")
    batch = setting.A.sentences * 4
    seconds = best_of(
        {
            f"{n} threads": lambda n=n: lrplstm.lrp(setting.single, batch, num_threads=n)
            for n in (1, 2)
        },
        clock=time.perf_counter,  # processor time is that of both threads
    )
    sides = {name: per_token(s, 4 * setting.A.tokens) for name, s in seconds.items()}
    text = "LRP, float32, two threads against one, by the clock"
    return [faster("threads", text, sides, "1 threads", 1.8, own="2 threads")]


# Against PyTorch, NumPy and ONNX Runtime --------------------------------------------------------


def against_pytorch(setting: Setting) -> list[Figure]:
    import torch

    from benchmarks import pytorch

    torch.set_num_threads(1)
    single, A = setting.single, setting.A
    network, sentences = pytorch.Classifier(single), A.sorted()
    packed = {size: pytorch.batches(sentences, size) for size in PYTORCH_BATCHES}

    def theirs(method, size):
        return [method(ids) for ids in packed[size]]

    methods = (
        ("SA", "sensitivity", lrplstm.sensitivity, network.sensitivity, 6, 8),
        ("GI", "gradient-x-input", lrplstm.gradient_x_input, network.gradient_x_input, 7, 4),
    )
    for _, name, own, other, _, _ in methods:
        pairs = zip(theirs(other, 128), packed[128], strict=True)
        expected = np.concatenate([pytorch.unpack(values, ids) for values, ids in pairs])
        found = own(single, sentences, level="token", num_threads=1).token_relevance
        agree(found, expected, 1e-4, f"{name} and PyTorch")

    trial = best_of(
        {size: lambda size=size: theirs(network.sensitivity, size) for size in PYTORCH_BATCHES},
        rounds=1,
        seconds=0,
    )
    best = min(trial, key=trial.get)
    rows = []
    for short, name, own, other, target, back in methods:
        label = f"PyTorch, batches of {best}"
        seconds = best_of(
            {
                "lrplstm": lambda own=own: own(single, A.sentences, level="token", num_threads=1),
                label: lambda other=other: theirs(other, best),
            }
        )
        sides = {name: per_token(s, A.tokens) for name, s in seconds.items()}
        text = f"{short}, float32, against PyTorch's LSTM and autograd"
        share = setting.share(setting.work(4, back), sides["lrplstm"])
        rows.append(faster(name, text, sides, label, target, share=share, needs=TWO_UNITS))
    return rows


def against_pytorch_unpacked(setting: Setting) -> list[Figure]:
    import torch

    from benchmarks import pytorch

    torch.set_num_threads(1)
    single, A = setting.single, setting.A
    network, sentences = pytorch.Classifier(single), A.sorted()
    batches = pytorch.batches_of_one_length(sentences)

    def theirs():
        return [network.sensitivity(ids) for ids in batches]

    found = lrplstm.sensitivity(single, sentences, level="token", num_threads=1).token_relevance
    agree(found, np.concatenate([v.numpy().T.ravel() for v in theirs()]), 1e-4, "SA and PyTorch")
    label = "PyTorch, by length"
    seconds = best_of(
        {
            "lrplstm": lambda: lrplstm.sensitivity(
                single, A.sentences, level="token", num_threads=1
            ),
            label: theirs,
        },
        seconds=2,
    )
    sides = {name: per_token(s, A.tokens) for name, s in seconds.items()}
    text = "SA, float32, against PyTorch with one length a batch"
    return [faster("pytorch-unpacked", text, sides, label, None)]


def against_numpy(setting: Setting) -> list[Figure]:
    import threadpoolctl  # noqa: F401  NumPy is on one thread only where it is installed

    single, A = setting.single, setting.A
    sentences = A.sorted()
    batches = [
        batched.Batch(sentences[start : start + NUMPY_BATCH])
        for start in range(0, len(sentences), NUMPY_BATCH)
    ]

    def theirs():
        return [batched.lrp(single, batch) for batch in batches]

    found = lrplstm.lrp(single, sentences, num_threads=1).token_relevance
    agree(found, np.concatenate(theirs()), 1e-4, "LRP and NumPy in batches")
    label = f"NumPy, batches of {NUMPY_BATCH}"
    seconds = best_of(
        {"lrplstm": lambda: lrplstm.lrp(single, A.sentences, num_threads=1), label: theirs}
    )
    sides = {name: per_token(s, A.tokens) for name, s in seconds.items()}
    share = setting.share(setting.work(4, 1), sides["lrplstm"])
    text = "LRP, float32, against NumPy in batches"
    return [faster("batched-numpy", text, sides, label, 4, share=share, needs=TWO_UNITS)]


def against_onnx(setting: Setting) -> list[Figure]:
    from benchmarks import onnx_lstm

    model = setting.single
    session = onnx_lstm.session(model)
    x = np.random.default_rng(0).normal(0, 0.3, (128, STEPS, model.input_size)).astype(np.float32)
    rows = []
    for sequences, name, text, target in (
        (128, "predict-128", f"predict, 128 sequences of {STEPS}, against ONNX Runtime", 1.2),
        (1, "predict-1", f"predict, one sequence of {STEPS}, against ONNX Runtime", 1.0),
    ):
        ours = x[0] if sequences == 1 else x
        theirs = {"x": np.ascontiguousarray(x[:sequences].transpose(1, 0, 2))}  # (T, B, D)
        expected = session.run(None, theirs)[0]
        agree(np.atleast_2d(model.predict(ours)), expected, 1e-4, "predict and ONNX Runtime")
        seconds = best_of(
            {
                "lrplstm": lambda ours=ours: model.predict(ours, num_threads=1),
                "ONNX Runtime": lambda theirs=theirs: session.run(None, theirs),
            },
            seconds=2,
        )
        sides = {name: per_token(s, sequences * STEPS) for name, s in seconds.items()}
        share = setting.share(setting.work(8, 0), sides["lrplstm"])  # W_ih too
        rows.append(faster(name, text, sides, "ONNX Runtime", target, share=share))
    return rows


# Against what the machine can do ----------------------------------------------------------------


def against_gemm(setting: Setting) -> list[Figure]:
    import threadpoolctl  # noqa: F401  NumPy is on one thread only where it is installed

    return [
        _against_gemm(setting, "wide-float64", "float64", Network(200, 300, 1, 25, 10), 0.68),
        _against_gemm(setting, "wide-float32", "float32", Network(512, 512, 2, 100, 64), 0.8),
        *(
            _against_gemm(setting, f"small-{H}", "float32", Network(H, H, 1, 30, 64), None)
            for H in (8, 16, 32)
        ),
    ]


class Network(NamedTuple):
    """Sizes of a network, and of the batch that it explains."""

    D: int
    H: int
    layers: int
    T: int
    B: int


def _against_gemm(setting, name, dtype, network, target) -> Figure:
    D, H, layers, T, B = network
    rng = np.random.default_rng(0)
    widths = [D] + [2 * H] * (layers - 1)

    def draw(*shape):
        return rng.normal(0, 0.1, shape).astype(dtype)

    def direction(width):
        return lrplstm.LSTMWeights(draw(4 * H, width), draw(4 * H, H), draw(4 * H))

    model = lrplstm.LSTMModel(
        [(direction(width), direction(width)) for width in widths], draw(2, 2 * H)
    )
    x = rng.normal(size=(B, T, D)).astype(dtype)
    # Forward 4H (D + H) and back H (D + H), of both directions.
    work = T * B * sum(2 * 5 * H * (width + H) for width in widths)
    product, product_work = peak.gemm(dtype)
    seconds = best_of(
        {
            "lrplstm": lambda: lrplstm.lrp(model, x, level="input", num_threads=1),
            "NumPy": product,
        },
        seconds=2,
    )
    sides = {
        "lrplstm": 2e-9 * work / seconds["lrplstm"],
        f"{'d' if dtype == 'float64' else 's'}gemm": 2e-9 * product_work / seconds["NumPy"],
    }
    ours, theirs = sides.values()
    text = f"LRP, {dtype}, {layers} x D {D}, H {H}, T {T}, batch {B}, over gemm"
    share = setting.share(work, 1e6 * seconds["lrplstm"], dtype)
    return Figure(name, text, ours / theirs, target, sides, side_unit="GFLOP/s", share=share)


def over_lower_bound(setting: Setting) -> list[Figure]:
    model, A = setting.single, setting.A
    found, how = peak.multiply_adds(), "independent sums in C"
    if found is None:
        import threadpoolctl  # noqa: F401  NumPy is on one thread only where it is installed

        found, how = peak.gemm("float32"), "NumPy's sgemm, for want of a C compiler"
    run, work = found
    seconds = best_of(
        {"lrplstm": lambda: lrplstm.lrp(model, A.sentences, num_threads=1), "peak": run}
    )
    rate = work / seconds["peak"]
    H = model.hidden_size
    bound = 2 * (4 * H * H + H * H) / rate  # a token, both directions
    sides = {
        "lrplstm": per_token(seconds["lrplstm"], A.tokens),
        f"bound ({rate / 1e9:.0f} G multiply-adds/s, {how})": bound * 1e6,
    }
    value = seconds["lrplstm"] / A.tokens / bound
    text = "LRP, float32, over the multiply-adds that cannot be avoided"
    return [Figure("lower-bound", text, value, 3, sides, at_most=True, share=1 / value)]


def peak_memory(setting: Setting) -> list[Figure]:
    rows = []
    for copies, name, text in (
        (1, "memory", "LRP, float32: peak memory beyond inputs and outputs"),
        (20, "memory-20", "the same, 20 times the sentences"),
    ):
        megabytes = memory.growth(copies, setting.folder) / 1e6
        rows.append(Figure(name, text, megabytes, 64, {}, unit="MB", at_most=True))
    return rows


GROUPS: dict[str, Callable[[Setting], list[Figure]]] = {
    "literal": against_literal,
    "threads": threads,
    "pytorch": against_pytorch,
    "pytorch-unpacked": against_pytorch_unpacked,
    "numpy": against_numpy,
    "onnx": against_onnx,
    "sentence": one_sentence,
    "gemm": against_gemm,
    "bound": over_lower_bound,
    "memory": peak_memory,
    "first-call": first_call,
}

FOR_EACH_INSTRUCTION_SET = ("literal", "threads", "pytorch")
OPTIONAL = ("torch", "onnx", "onnxruntime", "threadpoolctl")
"""Packages without which some groups are skipped."""
