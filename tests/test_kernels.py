"""The compiled module by itself: it refuses what it would read out of bounds, and it is ours."""

from __future__ import annotations

import inspect
import os
import threading

import numpy as np
import pytest
from random_models import random_batch, random_model, random_weights, relative_error

import lrplstm
from lrplstm import _backend, _kernels, _reference
from lrplstm.rules import EpsilonRule
from lrplstm.scans import Scans

STEPS, H, D, K = 6, 4, 3, 2
WEIGHTS = random_weights(np.random.default_rng(1), D, H)
OFFSETS = np.array([0, 4, 6])
PROJECTION = np.random.default_rng(2).normal(size=(STEPS, 4 * H))
HIDDEN = np.random.default_rng(3).normal(size=(K, STEPS, H))
TRACE = _reference.forward_scan(PROJECTION, WEIGHTS, OFFSETS, False)
NAMES = [name for name in vars(Scans) if name.endswith("_scan")]


def call(module, name, *, reverse=False, **changed):
    arguments = {"weights": WEIGHTS, "offsets": OFFSETS, "reverse": reverse}
    arguments |= {
        "forward_scan": {"projection": PROJECTION},
        "lrp_scan": {
            "trace": TRACE,
            "hidden_relevance": HIDDEN,
            "rule": EpsilonRule(0.01, 0.5, 0.7),
        },
        "gradient_scan": {"trace": TRACE, "hidden_gradient": HIDDEN},
    }[name]
    return getattr(module, name)(**(arguments | changed))


def test_three_scans():
    assert len(NAMES) == 3


@pytest.mark.parametrize("name", NAMES)
def test_both_backends_have_the_names_and_parameters_of_the_contract(name):
    contract = [p for p in inspect.signature(getattr(Scans, name)).parameters if p != "self"]
    assert list(inspect.signature(getattr(_reference, name)).parameters) == contract
    call(_kernels, name)  # every argument by its name


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("reverse", [False, True])
def test_scans_agree(name, reverse):
    kernel, reference = (call(m, name, reverse=reverse) for m in (_kernels, _reference))
    assert type(kernel) is type(reference)
    for field in reference._fields:
        assert relative_error(getattr(kernel, field), getattr(reference, field)) < 1e-12, field


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "offsets",
    [
        [0, 4, 7],
        [0, 4, 5],
        [1, 4, 6],
        [-1, 4, 6],
        [0, 9, 6],
        [0, 4, 4, 6],
        [0, 2**62, 6],
        [0],
        [],
    ],
    ids=str,
)
def test_offsets_outside_the_data_are_refused(name, offsets):
    with pytest.raises(ValueError, match="offsets: expected to rise from 0 to 6"):
        call(_kernels, name, offsets=np.array(offsets, np.intp))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("offsets", [[0, 4, 6], np.array([0.0, 4, 6]), np.array([[0, 4, 6]]), None])
def test_offsets_of_another_kind_are_refused(name, offsets):
    with pytest.raises(TypeError, match="offsets"):
        call(_kernels, name, offsets=offsets)


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("forward_scan", {"projection": PROJECTION[:, :-1]}),
        ("forward_scan", {"projection": PROJECTION[0]}),
        ("forward_scan", {"projection": PROJECTION.astype(np.float32)}),
        ("forward_scan", {"projection": PROJECTION.tolist()}),
        ("lrp_scan", {"hidden_relevance": HIDDEN[0]}),
        ("lrp_scan", {"hidden_relevance": HIDDEN[:, :-1]}),
        ("lrp_scan", {"hidden_relevance": HIDDEN.astype(np.float32)}),
        ("lrp_scan", {"trace": TRACE._replace(cell=TRACE.cell[:-1])}),
        ("lrp_scan", {"trace": TRACE._replace(gates=TRACE.gates[:, :-4])}),
        ("lrp_scan", {"trace": TRACE._replace(candidate=TRACE.candidate[:, :1])}),
        ("lrp_scan", {"trace": TRACE._replace(hidden=TRACE.hidden.T)}),
        ("lrp_scan", {"weights": random_weights(np.random.default_rng(1), D, H + 1)}),
        ("gradient_scan", {"hidden_gradient": HIDDEN[..., :-1]}),
        ("gradient_scan", {"trace": TRACE._replace(gates=TRACE.gates.astype(np.float32))}),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_wrong_arrays_are_refused(name, changed):
    with pytest.raises((TypeError, ValueError), match="expected"):
        call(_kernels, name, **changed)


@pytest.mark.parametrize("name", NAMES)
def test_arrays_that_are_not_contiguous_are_read_right(name):
    def strided(array):
        wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]))
        wide[..., ::2] = array
        return wide[..., ::2]

    changed = {
        "forward_scan": {"projection": strided(PROJECTION)},
        "lrp_scan": {"hidden_relevance": strided(HIDDEN)},
        "gradient_scan": {"hidden_gradient": strided(HIDDEN)},
    }[name]
    if name != "forward_scan":
        changed["trace"] = type(TRACE)(*map(strided, TRACE))
    for found, expected in zip(call(_kernels, name, **changed), call(_kernels, name), strict=True):
        assert (found == expected).all()


@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (3, 4, 16), (2, 5, 9), (7, 61, 33), (4, 3, 1)], ids=str
)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_product(shape, dtype):
    rows, n, columns = shape
    rng = np.random.default_rng(7)
    a, b = (rng.normal(size=s).astype(dtype) for s in ((2, rows, n), (n, columns)))
    found = _kernels.product(a, b)
    assert found.dtype == dtype
    assert relative_error(found, np.einsum("trn,nc->trc", a, b)) < 20 * np.finfo(dtype).eps
    assert (_kernels.product(a[:, :1], b) == found[:, :1]).all()
    assert (_kernels.product(a, np.asfortranarray(b)) == found).all()
    assert (_kernels.product(a[::-1], b) == found[::-1]).all()


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (np.ones((2, 3)), np.ones((4, 5))),
        (np.ones(3), np.ones((3, 5))),
        (np.ones((2, 0)), np.ones((0, 3))),
        (np.ones((2, 3)), np.ones((3, 0))),
        (np.ones((2, 3)), np.ones(3)),
        (np.ones((2, 3)), np.ones((3, 5), np.float32)),
        (np.ones((2, 3), int), np.ones((3, 5), int)),
        ([[1.0]], np.ones((1, 1))),
    ],
)
def test_products_that_do_not_fit_are_refused(a, b):
    with pytest.raises((TypeError, ValueError), match="expected"):
        _kernels.product(a, b)


def test_instruction_set_has_a_name():
    assert _backend.instruction_set() == _kernels.INSTRUCTION_SET
    assert _kernels.INSTRUCTION_SET


def test_bounds_checks_are_on_when_they_were_asked_for():
    asked = os.environ.get("LRPLSTM_BOUNDSCHECK", "") not in ("", "0")
    assert asked == _kernels.BOUNDSCHECK


def test_a_failed_import_of_the_kernels_is_an_error_not_a_slow_run(monkeypatch):
    import sys

    monkeypatch.delattr("lrplstm._kernels")
    monkeypatch.setitem(sys.modules, "lrplstm._kernels", None)
    model, x = random_model(), random_batch()
    for backend in ("auto", "kernel"):
        with pytest.raises(ImportError, match="backend='reference'"):
            lrplstm.lrp(model, x, backend=backend)
        with pytest.raises(ImportError, match="compiled kernels"):
            model.predict(x, backend=backend)
    assert np.isfinite(lrplstm.lrp(model, x, backend="reference").token_relevance).all()


def test_threads_of_the_callers_may_share_a_model():
    model = random_model(layers=2)
    batches = [random_batch(seed, lengths=(30, 1, 12)) for seed in range(8)]
    expected = [lrplstm.lrp(model, batch, "all").input_relevance for batch in batches]
    wrong = []

    def work(n):
        for _ in range(10):
            found = lrplstm.lrp(model, batches[n], "all").input_relevance
            if not (found == expected[n]).all():
                wrong.append(n)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_an_error_in_a_thread_is_raised():
    def fail(item):
        if item == 3:
            raise RuntimeError("item 3")

    for threads in (1, 2, 5):
        with pytest.raises(RuntimeError, match="item 3"):
            _backend.for_each(fail, list(range(9)), threads)


@pytest.mark.parametrize("bytes_per_step", [1, 10**6, 10**12])
def test_chunks_are_all_sequences_in_order(bytes_per_step):
    lengths = np.random.default_rng(1).integers(1, 900, 300)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    parts = list(_backend.chunks(offsets, bytes_per_step))
    covered = [b for part in parts for b in range(part.start, part.stop)]
    assert covered == list(range(300))
    for part in parts:
        steps = offsets[part.stop] - offsets[part.start]
        assert part.stop == part.start + 1 or steps <= 1024
        assert part.stop == part.start + 1 or steps * bytes_per_step <= 32 * 2**20
