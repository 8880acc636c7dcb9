"""Results do not depend on the company a sequence is in, nor on who computes them."""

from __future__ import annotations

import multiprocessing
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from pairwise import pairwise
from random_models import ONE_WAY_BACK, QUICK, random_model, relative_error

import lrplstm
from lrplstm import prepared
from lrplstm.layers import RNN, Pool

VOCABULARY = [f"w{n}" for n in range(50)]
FIELDS = ("token_relevance", "input_relevance", "scores", "initial_relevance", "delta")

# One size that fills whole vectors, one that fills none, and a stack.
MODELS = {
    "60": {"D": 60, "H": 60, "C": 5},
    "odd": {"D": 7, "H": 19, "C": 3, "bidirectional": False},
    "stack": {"D": 5, "H": 34, "C": 2, "layers": 2},
    "mean": {"D": 5, "H": 9, "C": 2, "pooling": "mean", "head": "stack"},
    "max": {"D": 5, "H": 9, "C": 2, "pooling": "max"},
    "none": {"D": 5, "H": 9, "C": 2, "pooling": "none", "head": "stack"},
}
DTYPES = [np.float32, np.float64]
dtypes = pytest.mark.parametrize("dtype", DTYPES)
levels = pytest.mark.parametrize("level", ["token", "input"])


def make(name, dtype):
    model = random_model(3, vocabulary=VOCABULARY, dtype=dtype, **MODELS[name])
    rng = np.random.default_rng(5)
    lengths = rng.integers(1, 25, 90)
    return model, [rng.integers(0, len(VOCABULARY), T) for T in lengths]


def same(found, expected):
    for field in FIELDS:
        a, b = getattr(found, field), getattr(expected, field)
        assert (a is None) == (b is None)
        assert a is None or np.array_equal(a, b), field


@pairwise(method=lrplstm.METHODS, model=MODELS, dtype=DTYPES, level=["token", "input"])
def test_a_batch_is_its_sequences_to_the_last_bit(model, dtype, method, level):
    model, batch = make(model, dtype)
    target = 1 if method == "lrp" else "all"
    options = {"level": level, **QUICK.get(method, {})}
    together = lrplstm.explain(model, batch, method, target, **options)
    for b in range(0, 90, 7):
        same(lrplstm.explain(model, batch[b], method, target, **options), together[b])
    reversed_ = lrplstm.explain(model, batch[::-1], method, target, **options)
    some = lrplstm.explain(model, batch[10:47], method, target, **options)
    for b in range(90):
        same(reversed_[89 - b], together[b])
        if 10 <= b < 47:
            same(some[b - 10], together[b])
    scores = model.predict(batch)  # with pooling "none" a list of rows
    assert np.array_equal(np.concatenate([np.atleast_2d(row) for row in scores]), together.scores)
    assert np.array_equal(model.predict(batch[3]), together[3].scores)


@pytest.mark.parametrize("backend", ["kernel", "reference"])
@pytest.mark.parametrize("method", ["lrp", "gradient_x_input", "occlusion"])
def test_a_batch_is_its_sequences_in_numpy_too(method, backend):
    """Products of few numbers, which NumPy adds up in many ways."""
    rng = np.random.default_rng(0)
    shapes = [(1, 1), (1, 1), (1,)], [(3, 2), (3,)]
    cell, dense = ([rng.normal(0, 0.4, shape) for shape in some] for some in shapes)
    weights = lrplstm.RNNWeights(*cell, activation="softplus")
    layers = [RNN(weights, weights), Pool("mean"), lrplstm.DenseLayer(*dense)]
    model, batch = lrplstm.Model(layers), [rng.normal(0, 0.4, (T, 1)) for T in (3, 7, 1, 5, 2)]
    together = lrplstm.explain(model, batch, method, 0, backend=backend)
    for x, found in zip(batch, together, strict=True):
        same(lrplstm.explain(model, x, method, 0, backend=backend), found)


def test_sequences_of_one_step_are_the_same_in_a_batch_that_is_cut_between_their_copies():
    model = random_model(3, D=3, H=4)
    batch = np.random.default_rng(1).normal(size=(300, 1, 3))
    together = lrplstm.integrated_gradients(model, batch, "all", level="token")
    for b, x in enumerate(batch):
        same(lrplstm.integrated_gradients(model, x, "all", level="token"), together[b])


@pairwise(method=lrplstm.METHODS, model=MODELS, dtype=DTYPES)
def test_threads_change_no_bit(model, dtype, method):
    model, batch = make(model, dtype)
    level = "input" if method in ONE_WAY_BACK else "token"
    options = {"level": level, **QUICK.get(method, {})}
    one, *others = (
        lrplstm.explain(model, batch, method, "all", num_threads=n, **options)
        for n in (1, 2, 3, 16)
    )
    for other in others:
        same(other, one)


@pairwise(method=lrplstm.METHODS, model=MODELS, dtype=DTYPES)
def test_one_class_is_the_same_alone_and_among_all(model, dtype, method):
    """Bit for bit: classes go through a backward scan side by side as sequences do."""
    model, batch = make(model, dtype)
    options = QUICK.get(method, {})
    every = lrplstm.explain(model, batch, method, "all", **options)
    for c in range(model.num_classes):
        one = lrplstm.explain(model, batch, method, c, **options)
        assert np.array_equal(every.token_relevance[c], one.token_relevance)


@dtypes
def test_a_vocabulary_too_large_to_keep_changes_no_bit(dtype, monkeypatch):
    """Words are then projected batch by batch; among them one that is a zero vector."""
    model, batch = make("60", dtype)
    tokens = [[VOCABULARY[id_] for id_ in ids] for ids in batch]
    tokens[3][0] = tokens[5][-1] = "unseen"
    expected = lrplstm.lrp(model, tokens, unknown="zero")
    monkeypatch.setattr(prepared, "_WORD_TABLE_BYTES", 0)
    model, _ = make("60", dtype)
    same(lrplstm.lrp(model, tokens, unknown="zero"), expected)
    assert expected.unknown.sum() == 2
    assert np.array_equal(model.predict(tokens, unknown="zero"), expected.scores)


@pytest.mark.parametrize(("dtype", "bound"), [(np.float64, 1e-11), (np.float32, 2e-4)])
@levels
@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("lrp", {"bias_factor": 0.0, "epsilon_factor": 0.0}),
        ("lrp", {"bias_factor": 1.0, "epsilon_factor": 1.0}),
        ("lrp", {"bias_factor": 0.3, "epsilon_factor": 0.7}),
        *((method, QUICK.get(method, {})) for method in lrplstm.METHODS if method != "lrp"),
    ],
)
def test_kernels_agree_with_the_reference_at_a_real_size(dtype, bound, level, method, options):
    rng = np.random.default_rng(9)
    D, H = 60, 60

    def direction():
        return lrplstm.LSTMWeights(
            *(rng.normal(0, 0.15, s).astype(dtype) for s in ((4 * H, D), (4 * H, H), (4 * H,)))
        )

    model = lrplstm.LSTMModel(
        [(direction(), direction())],
        rng.normal(0, 0.3, (5, 2 * H)).astype(dtype),
        embedding=rng.normal(0, 0.5, (50, D)).astype(dtype),
        vocabulary=VOCABULARY,
    )
    batch = [rng.integers(0, 50, T) for T in (30, 19, 1, 7, 19, 2)]
    if level == "input" and method not in ONE_WAY_BACK:  # a forward pass for each input
        batch = batch[-1:]
    kernel, reference = (
        lrplstm.explain(model, batch, method, level=level, backend=backend, **options)
        for backend in ("kernel", "reference")
    )
    for field in ("token_relevance", "scores"):
        assert relative_error(getattr(kernel, field), getattr(reference, field)) < bound
    if level == "input":
        assert relative_error(kernel.input_relevance, reference.input_relevance) < bound


# Processes and signals --------------------------------------------------------------------------


def explain_in_child(queue):
    model, batch = make("60", np.float32)
    queue.put(lrplstm.lrp(model, batch, "all", num_threads=2).token_relevance)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_after_use_can_explain():
    model, batch = make("60", np.float32)
    expected = lrplstm.lrp(model, batch, "all", num_threads=2).token_relevance
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=explain_in_child, args=(queue,))
    child.start()
    found = queue.get(timeout=60)
    child.join(timeout=60)
    assert child.exitcode == 0
    assert np.array_equal(found, expected)


FOREVER = """
import numpy as np, lrplstm, sys, threading, time
rng = np.random.default_rng(0)
w = [rng.normal(0, 0.1, s) for s in ((1024, 8), (1024, 256), (1024,))]
model = lrplstm.LSTMModel([lrplstm.LSTMWeights(*w)], rng.normal(size=(2, 256)))
def explain(batch, method, threads):
    lrplstm.explain(model, batch, method, level="token", num_threads=threads)
many, long = [rng.normal(size=(50, 8))] * 20_000, [rng.normal(size=(1000, 8))] * 3
print("ready", flush=True)
"""
INTERRUPTED = """
try:
    {call}
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
LEFT_ALONE = """
threading.Thread(target=lambda: {call}, daemon=True).start()
time.sleep(0.5)
"""


@pytest.mark.parametrize(
    ("ending", "call"),
    [
        (INTERRUPTED, "explain(many, 'lrp', 1)"),
        (INTERRUPTED, "explain(long, 'occlusion', 2)"),
        (INTERRUPTED, "explain(long, 'integrated_gradients', 3)"),
        (LEFT_ALONE, "explain(many, 'lrp', 1)"),
        (LEFT_ALONE, "explain(long, 'contextual_decomposition', 2)"),
    ],
    ids=lambda value: {INTERRUPTED: "Ctrl-C", LEFT_ALONE: "exit"}.get(value, value),
)
def test_what_would_take_minutes_ends_at_once(ending, call):
    """At Ctrl-C, and with the program where a daemon thread is at it; without a word of ours."""
    process = subprocess.Popen(
        [sys.executable, "-c", FOREVER + ending.format(call=call)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "ready\n"
        if ending == INTERRUPTED:
            time.sleep(0.5)
            assert process.poll() is None
            process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=10)  # 2 seconds, were the machine all ours
    finally:
        process.kill()
    assert output == ("interrupted\n" if ending == INTERRUPTED else "", "")
    assert process.returncode == 0
