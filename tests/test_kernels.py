"""The compiled modules by themselves: they refuse what they would read out of bounds."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import os
import subprocess
import sys
import threading
import time
import tracemalloc

import numpy as np
import pytest
from random_models import (
    random_batch,
    random_gru,
    random_model,
    random_rnn,
    random_weights,
    relative_error,
)

import lrplstm
from lrplstm import _kernels, parallel
from lrplstm.activations import ACTIVATIONS
from lrplstm.backends import choose, reference
from lrplstm.rules import PRODUCT_RULES, EpsilonRule
from lrplstm.scans import KEEP, Scans


def build_for(instruction_set):
    """The build of a name; the test is skipped where there is none, or none that can run."""
    module = f"lrplstm.{choose.INSTRUCTION_SETS[instruction_set]}"
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"LRPLSTM_BUILDS left out the build for {instruction_set}")
    if instruction_set not in _kernels.processor_runs():
        pytest.skip(f"this processor cannot run the build for {instruction_set}")
    return importlib.import_module(module)


@pytest.fixture(params=choose.INSTRUCTION_SETS)
def kernels(request):
    """Each build of the kernels in turn."""
    return build_for(request.param)


# Sequences of 4, 2 and 1 steps; rows of the projection are read in another order, and one twice.
D, H, C, K, B, STEPS = 3, 4, 3, 2, 3, 7
OFFSETS = np.array([0, 4, 6, 7])
ROWS = np.array([5, 0, 2, 2, 4, 1, 3])
OWNER, COPIES = np.array([0, 1, 1, 2, 2]), np.array([0, 4, 6, 8, 9, 10])
RULE = EpsilonRule(0.01, 0.5, 0.7)
NAMES = [name for name in vars(Scans) if not name.startswith("_")]


def draw(*shape, seed=1, dtype=np.float64):
    return np.random.default_rng(seed).normal(0, 0.5, shape).astype(dtype)


def random_variant(rng, D, H, dtype=np.float64, **settings):
    return random_weights(rng, D, H, dtype).replaced(**settings)


def random_peepholes(rng, D, H, dtype=np.float64, **settings):
    peepholes = rng.normal(0, 0.5, (3, H)).astype(dtype)
    return random_weights(rng, D, H, dtype).replaced(peepholes=peepholes, **settings)


def random_projection(rng, D, H, dtype=np.float64, *, width=3, **settings):
    """h is so wide, which may be more than there are units."""
    arrays = {
        name: rng.normal(0, 0.5, shape).astype(dtype)
        for name, shape in {
            "weight_hh": (4 * H, width),
            "weight_hr": (width, H),
            "initial_hidden": (width,),
        }.items()
    }
    return random_weights(rng, D, H, dtype).replaced(**arrays, **settings)


def random_entity_aware(rng, D, H, dtype=np.float64, **settings):
    """The input gate alone reads the last input, and beside it c; h is projected."""
    cell = random_projection(rng, D, H, dtype, peepholes=np.full((3, H), 0.4, dtype), **settings)
    weight_ih, weight_hh = cell.weight_ih.copy(), cell.weight_hh.copy()
    weight_ih[:H, :-1] = weight_ih[H:, -1:] = weight_hh[:H] = 0
    return cell.replaced(weight_ih=weight_ih, weight_hh=weight_hh, static_inputs=1)


HARD = ("hard_sigmoid", {"alpha": 0.2})
CELLS = {
    "lstm": random_weights,
    "lstm, relu": functools.partial(random_variant, activation="relu"),
    "lstm, hard sigmoid": functools.partial(
        random_variant, cell_activation=HARD, gate_activation=HARD
    ),
    "lstm, three others": functools.partial(
        random_variant,
        activation="softsign",
        cell_activation=("elu", {"alpha": 0.7}),
        gate_activation=("hard_sigmoid", {"alpha": 1 / 6}),
    ),
    "lstm, peepholes": random_peepholes,
    "lstm, peepholes, relu": functools.partial(random_peepholes, activation="relu"),
    "lstm, projected": random_projection,
    "lstm, projected to more, relu": functools.partial(
        random_projection, width=21, activation="relu"
    ),
    "lstm, static inputs, peepholes, projected": random_entity_aware,
    "gru": random_gru,
    "gru, reset before the product": functools.partial(random_gru, reset_after=False),
    "gru, relu": functools.partial(random_gru, activation="relu"),
    "gru, by number": functools.partial(
        random_gru, activation="mish", gate_activation=("celu", {"alpha": 0.4})
    ),
    "lstm, by number": functools.partial(
        random_peepholes, activation="softplus", cell_activation="gelu"
    ),
    "gru, two others, reset before the product": functools.partial(
        random_gru,
        reset_after=False,
        activation=("affine", {"alpha": 0.5, "beta": 0.1}),
        gate_activation=HARD,
    ),
    "rnn": random_rnn,
    "rnn, relu": functools.partial(random_rnn, activation="relu"),
    "rnn, linear": functools.partial(random_rnn, activation="linear"),
}


def weights(directions, dtype=np.float64, hidden_size=H, input_size=D, cell="lstm"):
    rng = np.random.default_rng(7)
    return [CELLS[cell](rng, input_size, hidden_size, dtype) for _ in range(directions)]


def random_states(directions, *rows, seed, dtype=np.float64):
    """Something for each state of a layer, of shape (*rows, width)."""
    states = zip(*(one.initial_states for one in directions), strict=True)
    widths = [sum(map(len, of_directions)) for of_directions in states]
    return tuple(draw(*rows, n, seed=seed + i, dtype=dtype) for i, n in enumerate(widths))


def arguments(module, directions=2, dtype=np.float64, cell="lstm", started=False):
    """Arguments of every function of a backend, by its name.

    Where they are `started`, sequences begin from states of their own, and something comes back to
    all final states.
    """
    linear = module.prepare_linear(draw(C, 5, seed=2, dtype=dtype), draw(C, seed=3, dtype=dtype))
    both = weights(directions, dtype, cell=cell)
    layer = module.prepare_layer(both)
    start = {"start": random_states(both, B, seed=20, dtype=dtype)} if started else {}
    copied = {"start": random_states(both, len(OWNER), seed=24, dtype=dtype)} if started else {}
    (final, *others) = random_states(both, K, B, seed=8, dtype=dtype)
    others = {"others": tuple(others)} if started else {}
    width = final.shape[-1]
    x = draw(6, D, seed=4, dtype=dtype)
    scan = {
        "layer": layer,
        "projection": module.project(layer, x),
        "rows": ROWS,
        "offsets": OFFSETS,
        "hidden": True,
        **start,
    }
    y, z = draw(B, 5, seed=5, dtype=dtype), draw(B, C, seed=6, dtype=dtype)
    hidden = draw(K, STEPS, width, dtype=dtype)
    states = draw(STEPS, width, seed=10, dtype=dtype)
    traces = {
        keep: module.forward_scan(**scan, keep=keep).trace
        for keep in ("relevance", "gates", "gradient")
    }
    return {
        "prepare_linear": {"weight": draw(C, 5), "bias": draw(C)},
        "linear": {"layer": linear, "y": y},
        "linear_lrp": {
            "layer": linear,
            "y": y,
            "z": z,
            "relevance": draw(K, B, C, dtype=dtype),
            "rule": RULE,
        },
        "linear_gradient": {"layer": linear, "gradient": draw(K, B, C, dtype=dtype)},
        "activate": {"activation": "tanh", "z": z},
        "activation_gradient": {
            "activation": "tanh",
            "value": np.tanh(z),
            "gradient": draw(K, B, C, dtype=dtype),
        },
        "pool": {"pooling": "mean", "hidden": states, "offsets": OFFSETS},
        "pool_lrp": {
            "pooling": "mean",
            "hidden": states,
            "offsets": OFFSETS,
            "pooled": draw(B, width, seed=9, dtype=dtype),
            "relevance": final,
            "rule": RULE,
        },
        "pool_gradient": {
            "pooling": "mean",
            "hidden": states,
            "offsets": OFFSETS,
            "gradient": final,
        },
        "remainder": {
            "shared": draw(K, B, seed=11),
            "token": draw(K, STEPS, seed=12, dtype=dtype),
            "initial": draw(K, B, seed=13, dtype=dtype),
            "offsets": OFFSETS,
        },
        "prepare_layer": {"directions": weights(directions)},
        "has_cell": {"directions": weights(1)},
        "bytes_per_step": {"layer": layer},
        "project": {"layer": layer, "x": x},
        "forward_scan": scan | {"keep": "nothing"},
        "lrp_scan": {
            "trace": traces["relevance"],
            "final_relevance": final,
            "hidden_relevance": hidden,
            "inputs": x[ROWS],
            "rule": RULE,
            "product_rule": "all",
            **others,
        },
        "gradient_scan": {
            "trace": traces["gradient"],
            "final_gradient": final,
            "hidden_gradient": hidden,
            "times_input": False,
            **others,
        },
        "decompose_scan": {
            "trace": traces["gates"],
            "owner": OWNER,
            "relevant": module.project(layer, x) - module.project(layer, 0 * x),
            "rows": np.array([0, 5, 5, 5, 5, 1, 2, 5, 3, 4]),
            "phrase": np.arange(10) % 3 == 0,
            "offsets": COPIES,
            "hidden": True,
            **copied,
        },
    }


def call(module, name, *, sides=2, cell="lstm", started=False, **changed):
    given = arguments(module, sides, cell=cell, started=started)
    if changed.get("product_rule", "all") != "all":
        changed["trace"] = given["decompose_scan"]["trace"]
    return getattr(module, name)(**(given[name] | changed))


def arrays(result):
    """All arrays of a result."""
    if isinstance(result, tuple):
        return [a for part in result if part is not None for a in arrays(part)]
    return [result]


@pytest.mark.parametrize("name", NAMES)
def test_every_backend_has_the_names_and_parameters_of_the_contract(name, kernels):
    contract = [p for p in inspect.signature(getattr(Scans, name)).parameters if p != "self"]
    assert list(inspect.signature(getattr(reference, name)).parameters) == contract
    call(kernels, name)  # every argument by its name


CASES = [
    ("linear", {}),
    ("linear_lrp", {}),
    ("linear_gradient", {}),
    ("activate", {}),
    ("activate", {"activation": "relu"}),
    ("activate", {"z": draw(11, 17) * 5}),
    ("activation_gradient", {}),
    ("activation_gradient", {"activation": "relu"}),
    ("pool", {}),
    ("pool", {"pooling": "max"}),
    ("pool_lrp", {}),
    ("pool_lrp", {"pooling": "max"}),
    ("pool_gradient", {}),
    ("pool_gradient", {"pooling": "max"}),
    ("remainder", {}),
    ("forward_scan", {}),
    ("forward_scan", {"hidden": False}),
    ("forward_scan", {"hidden": False, "keep": "states"}),
    ("lrp_scan", {}),
    ("lrp_scan", {"inputs": None}),
    ("lrp_scan", {"final_relevance": None}),
    ("lrp_scan", {"hidden_relevance": None}),
    ("lrp_scan", {"rule": EpsilonRule(0.01)}),
    *(("lrp_scan", {"product_rule": rule}) for rule in PRODUCT_RULES if rule != "all"),
    ("lrp_scan", {"product_rule": "half", "inputs": None}),
    ("decompose_scan", {}),
    ("decompose_scan", {"hidden": False}),
    ("decompose_scan", {"phrase": np.ones(10, bool)}),
    ("decompose_scan", {"owner": np.array([0, 0, 1, 0, 1])}),  # copies without their first steps
    ("gradient_scan", {}),
    ("gradient_scan", {"times_input": True}),
    ("gradient_scan", {"final_gradient": None}),
    ("gradient_scan", {"hidden_gradient": None}),
]


@pytest.mark.parametrize(("name", "changed"), CASES, ids=str)
@pytest.mark.parametrize("directions", [1, 2])
def test_backends_agree(name, changed, directions, kernels):
    kernel, expected = (call(m, name, sides=directions, **changed) for m in (kernels, reference))
    assert type(kernel) is type(expected)
    assert len(arrays(kernel)) == len(arrays(expected)) > 0
    for found, wanted in zip(arrays(kernel), arrays(expected), strict=True):
        if isinstance(wanted, np.ndarray):
            assert relative_error(found, wanted) < 1e-12


@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_backends_agree_on_every_cell(cell, started, kernels):
    assert kernels.has_cell(weights(2, cell=cell))
    for name, changed in CASES:
        if name.endswith("scan"):
            kernel, expected = (
                call(m, name, cell=cell, started=started, **changed) for m in (kernels, reference)
            )
            for found, wanted in zip(arrays(kernel), arrays(expected), strict=True):
                if isinstance(wanted, np.ndarray) and wanted.any():
                    assert relative_error(found, wanted) < 1e-12, (name, changed)


def test_activations_are_those_of_the_reference(kernels):
    for name, formula in ACTIVATIONS.items():
        parameters = {p: v if isinstance(v, float) else 0.3 for p, v in formula.parameters.items()}
        cell = random_rnn(np.random.default_rng(5), D, H, activation=(name, parameters))
        directions = [cell.replaced(weight_ih=9 * cell.weight_ih)]
        results = []
        for module in (kernels, reference):
            layer = module.prepare_layer(directions)
            scan = layer, module.project(layer, draw(6, D, seed=4)), ROWS, OFFSETS
            ran = module.forward_scan(*scan, "gradient", True)
            gradient = module.gradient_scan(ran.trace, None, draw(2, 7, H), True)
            results.append([ran.hidden, gradient.token, gradient.initial_hidden])
        for found, wanted in zip(*results, strict=True):
            assert relative_error(found, wanted) < 1e-12, name


@pytest.mark.parametrize("hidden_size", [H, 19])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cell", CELLS)
def test_states_are_the_same_bits_whatever_is_kept(cell, dtype, hidden_size, kernels):
    layer = kernels.prepare_layer(weights(2, dtype, hidden_size, cell=cell))
    x = 3 * draw(6, D, seed=4, dtype=dtype)
    scan = layer, kernels.project(layer, x), ROWS, OFFSETS
    of_all = [kernels.forward_scan(*scan, keep, True).hidden for keep in KEEP]
    assert all((states == of_all[0]).all() for states in of_all)


@pytest.mark.parametrize("directions", [1, 2])
def test_sequences_begin_from_states_of_their_own(directions, kernels):
    """From those of some step they end where they would have, to the last bit."""
    start = (draw(B, directions * H, seed=11), draw(B, directions * H, seed=12))
    given = {"keep": "states", "start": start}
    found, wanted = (
        call(m, "forward_scan", sides=directions, **given) for m in (kernels, reference)
    )
    for one, other in zip(arrays(found), arrays(wanted), strict=True):
        assert relative_error(one, other) < 1e-12
    scan = arguments(kernels, directions)["forward_scan"]
    whole = kernels.forward_scan(**scan | {"keep": "states"})
    # The last two steps of the first sequence in the order of reading, and the last of the second.
    steps = [slice(2, 4), slice(0, 2)][:directions]
    for d, part in enumerate(steps):
        columns = slice(d * H, (d + 1) * H)
        before, last = ([1, 4], [3, 5]) if d == 0 else ([2, 5], [0, 4])
        rows = np.concatenate([ROWS[part], ROWS[last[1:]]])
        again = scan | {"rows": rows, "offsets": np.array([0, 2, 3])}
        start = tuple(state[before] for state in whole.states)
        rest = kernels.forward_scan(**again, start=start)
        assert (rest.final[:, columns] == whole.states[0][last, columns]).all()
        assert (rest.hidden[:2, columns] == whole.states[0][part, columns]).all()


@pytest.mark.parametrize("scans", [_kernels, reference])
def test_steps_before_anything_is_relevant_can_be_left_out_of_a_decomposition(scans):
    given = arguments(scans, 1)["decompose_scan"]
    whole = given | {"owner": np.array([0]), "offsets": np.array([0, 4]), "rows": np.arange(4)}
    relevant, phrase = given["relevant"][:4].copy(), np.array([False, False, True, True])
    relevant[:2] = 0
    late = {"rows": np.array([2, 3]), "offsets": np.array([0, 2]), "phrase": phrase[2:]}
    expected = scans.decompose_scan(**whole | {"relevant": relevant, "phrase": phrase})
    found = scans.decompose_scan(**whole | late | {"relevant": relevant})
    assert (found.final == expected.final).all()
    assert (found.hidden == expected.hidden[2:]).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_activations_of_any_number_of_units(activation, dtype, kernels):
    """And over the whole range of numbers, each by itself as among others."""
    bound = 4 * np.finfo(dtype).eps
    for n in (1, 2, 31, 32, 33, 64, 97):
        z = draw(3, n, seed=n, dtype=dtype) * np.logspace(-6, 3, n, dtype=dtype)
        found, expected = (m.activate(activation, z) for m in (kernels, reference))
        assert np.allclose(found, expected, rtol=bound, atol=0)
        assert all(
            (kernels.activate(activation, z[:, j : j + 1])[:, 0] == found[:, j]).all()
            for j in range(n)
        )


def test_relevance_through_a_mean_is_the_same_wherever_arrays_lie(kernels):
    for seed in range(20):
        hidden, relevance = draw(STEPS, 5, seed=seed), draw(1, B, 5, seed=seed + 20)
        pooled = kernels.pool("mean", hidden, OFFSETS)
        first = kernels.pool_lrp("mean", hidden, OFFSETS, pooled, relevance, RULE)
        for n in range(70):
            _between = [np.empty(5) for _ in range(n % 7)]
            y, z, R = (array.copy() for array in (hidden, pooled, relevance))
            again = kernels.pool_lrp("mean", y, OFFSETS, z, R, RULE)
            np.testing.assert_array_equal(again, first)


# Of a few states half a tile goes through a scan together, of many a whole one.
@pytest.mark.parametrize("hidden_size", [H, 130])
@pytest.mark.parametrize("name", ["forward_scan", "lrp_scan", "gradient_scan"])
def test_many_targets_and_lanes_are_those_of_one_at_a_time(name, hidden_size):
    """More sequences than a tile has, of all lengths, and more targets than go side by side."""
    lengths = sorted(np.random.default_rng(0).integers(1, 9, 75).tolist(), reverse=True)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    steps, targets = int(offsets[-1]), 11
    layer = _kernels.prepare_layer(weights(2, hidden_size=hidden_size))
    x, width = draw(steps, D), 2 * hidden_size
    final, hidden = draw(targets, 75, width), draw(targets, steps, width, seed=2)

    def run(projected, offsets, final, hidden, x):
        rows = np.arange(len(projected))
        keep = {"lrp_scan": "relevance", "gradient_scan": "gradient"}.get(name, "nothing")
        forward = _kernels.forward_scan(layer, projected, rows, offsets, keep, True)
        if name == "lrp_scan":
            return _kernels.lrp_scan(forward.trace, final, hidden, x, RULE, "all")
        if name == "gradient_scan":
            return _kernels.gradient_scan(forward.trace, final, hidden, False)
        return forward

    projected = _kernels.project(layer, x)
    together = run(projected, offsets, final, hidden, x)
    for b in (0, 31, 32, 64, 74):
        part = slice(offsets[b], offsets[b + 1])
        local = np.array([0, lengths[b]])
        for k in (0, 7, 8, 10):
            one = run(
                projected[part],
                local,
                final[k : k + 1, b : b + 1],
                hidden[k : k + 1, part],
                x[part],
            )
            if name == "forward_scan":
                assert (one.final[0] == together.final[b]).all()
                assert (one.hidden == together.hidden[part]).all()
            else:
                assert (one.inputs[0] == together.inputs[k, part]).all()


# Saturation -------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[np.float32, np.float64], ids=["float32", "float64"])
def swept(request):
    """Two steps, in the first of which one pre-activation has any size: arguments, and results."""
    dtype = request.param
    sizes = np.concatenate([np.linspace(0.1, 120, 27), np.linspace(300, 800, 11), [1e9, 1e30]])
    values = np.concatenate([sizes, -sizes])
    x = np.tile(np.array([0.4, -0.7, 0.9, 0.3], dtype), (4, len(values), 2, 1))
    for gate in range(4):
        x[gate, :, 0, gate] = values
    one_unit = lrplstm.LSTMWeights(
        np.eye(4, dtype=dtype),
        np.array([[0.3], [-0.2], [0.5], [0.4]], dtype),
        np.zeros(4, dtype),
        initial_hidden=np.full(1, 0.2, dtype),
        initial_cell=np.full(1, 0.7, dtype),
    )
    n = 4 * len(values)

    def run(module):
        layer = module.prepare_layer([one_unit])
        steps = x.reshape(-1, 4)
        scan = layer, module.project(layer, steps), np.arange(2 * n), np.arange(0, 2 * n + 1, 2)
        relevance, gates, gradient = (
            module.forward_scan(*scan, keep, hidden=True)
            for keep in ("relevance", "gates", "gradient")
        )
        start = np.ones((1, n, 1), dtype)
        nothing = module.project(layer, np.zeros((1, 4), dtype))
        of_first = np.concatenate([scan[1][::2] - nothing, 0 * nothing])
        rows = np.stack([np.arange(n), np.full(n, n)], axis=1).ravel()
        phrase = np.arange(2 * n) % 2 == 0
        return {
            "states": relevance.hidden,
            "gradient": module.gradient_scan(gradient.trace, start, None, False).inputs,
            "lrp": module.lrp_scan(relevance.trace, start, None, steps, RULE, "all").inputs,
            "lrp prop": module.lrp_scan(gates.trace, start, None, steps, RULE, "prop").inputs,
            "decomposition": module.decompose_scan(
                gates.trace, np.arange(n), of_first, rows, phrase, scan[3], True
            ).hidden,
        }

    with np.errstate(all="raise", under="ignore"):
        return dtype, values, run, run(reference)


def test_a_saturated_gate_is_that_of_the_reference(kernels, swept):
    """A closed one as small as it is, and 0 where that is no normal number; an open one 1."""
    dtype, values, run, expected = swept
    limits = np.finfo(dtype)
    near = {"rtol": 2e3 * limits.eps, "atol": 4 * limits.eps}
    closed = values < 0
    far = np.abs(values) > -1.02 * np.log(limits.tiny)
    for name, found in run(kernels).items():
        k, r = (array.reshape(4, len(values), -1) for array in (found, expected[name]))
        assert np.allclose(k, r, **near), name
        if name in ("states", "gradient"):  # down to the least normal number, of i and f
            assert np.allclose(k[:2, closed], r[:2, closed], **near | {"atol": limits.tiny}), name
        if name != "decomposition":  # whose shares are differences
            assert ((k[:, far] == 0) == (r[:, far] == 0)).all(), name


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("method", lrplstm.METHODS)
def test_inputs_as_large_as_a_timestamp_get_what_the_reference_says(method, dtype):
    rng = np.random.default_rng(3)
    w = [rng.normal(0, 0.3, shape).astype(dtype) for shape in ((16, 2), (16, 4), (16,), (2, 4))]
    model = lrplstm.LSTMModel([lrplstm.LSTMWeights(*w[:3])], w[3])
    nanoseconds = 1_764_000_000_000_000_000 + 60_000_000_000 * np.arange(4)
    x = np.stack([[0.5, 0.2, -0.3, 0.1], nanoseconds], axis=1)
    kernel, reference = (
        lrplstm.explain(model, x, method, 0, level="input", backend=backend)
        for backend in ("kernel", "reference")
    )
    assert np.array_equal(kernel.input_relevance == 0, reference.input_relevance == 0)
    assert np.allclose(kernel.input_relevance, reference.input_relevance, rtol=1e-4, atol=0)


# What is refused --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "offsets",
    [
        [0, 4, 6, 8],
        [0, 4, 6, 6],
        [1, 4, 6, 7],
        [-1, 4, 6, 7],
        [0, 9, 6, 7],
        [0, 2, 6, 7],
        [0, 7, 7],
        [0, 2**62, 7],
        [0, 4, -(2**63), 7],
        [0],
        [],
    ],
    ids=str,
)
def test_offsets_outside_the_data_or_out_of_order_are_refused(offsets):
    with pytest.raises(ValueError, match="offsets: expected"):
        call(_kernels, "forward_scan", offsets=np.array(offsets, np.intp))


@pytest.mark.parametrize("row", [-1, 6, 2**62, -(2**62)])
def test_rows_outside_the_projection_are_refused(row):
    rows = ROWS.copy()
    rows[3] = row
    with pytest.raises(ValueError, match=r"rows: expected 0 <= row < 6"):
        call(_kernels, "forward_scan", rows=rows)


@pytest.mark.parametrize("name", ["rows", "offsets"])
@pytest.mark.parametrize("value", [[0, 4, 6], np.array([0.0, 4, 6]), np.array([[0, 4, 6]]), None])
def test_indices_of_another_kind_are_refused(name, value):
    with pytest.raises(TypeError, match=name):
        call(_kernels, "forward_scan", **{name: value})


def test_indices_that_are_not_contiguous_are_refused():
    with pytest.raises(ValueError, match="rows: expected a contiguous, aligned array"):
        call(_kernels, "forward_scan", rows=np.repeat(ROWS, 2)[::2])


def changes():
    given = arguments(_kernels)
    final, hidden = given["lrp_scan"]["final_relevance"], given["lrp_scan"]["hidden_relevance"]
    projection, y = given["forward_scan"]["projection"], given["linear"]["y"]
    one, other = weights(1)[0], weights(1, hidden_size=H + 1)[0]
    yield "forward_scan", {"projection": projection[:, :-1]}
    yield "forward_scan", {"projection": projection[0]}
    yield "forward_scan", {"projection": projection.astype(np.float32)}
    yield "forward_scan", {"projection": projection.tolist()}
    yield "forward_scan", {"keep": "everything"}
    start = draw(B, 2 * H)
    yield "forward_scan", {"start": start}
    yield "forward_scan", {"start": (start, start[:-1])}
    yield "forward_scan", {"start": (start[:, 1:], start)}
    yield "forward_scan", {"start": (start, start.astype(np.float32))}
    yield "forward_scan", {"layer": None}
    yield "forward_scan", {"layer": given["linear"]["layer"]}
    for name in ("relevance", "gradient"):
        scan = {"relevance": "lrp_scan", "gradient": "gradient_scan"}[name]
        yield scan, {f"final_{name}": None, f"hidden_{name}": None}
        yield scan, {f"final_{name}": final[:1]}
        yield scan, {f"final_{name}": final[:, :-1]}
        yield scan, {f"final_{name}": final[:0], f"hidden_{name}": None}
        yield scan, {f"hidden_{name}": hidden[0]}
        yield scan, {f"hidden_{name}": hidden[:, :-1]}
        yield scan, {f"hidden_{name}": hidden[..., :-1]}
        yield scan, {f"hidden_{name}": hidden.astype(np.float32)}
        yield scan, {"others": (final[:1],)}
        yield scan, {"others": (final[..., :-1],)}
        yield scan, {"others": (final, final)}
        yield scan, {"trace": None}
    yield "lrp_scan", {"trace": given["gradient_scan"]["trace"]}
    yield "gradient_scan", {"trace": given["lrp_scan"]["trace"]}
    yield "lrp_scan", {"product_rule": "most"}
    yield "lrp_scan", {"product_rule": None}
    yield "lrp_scan", {"inputs": draw(STEPS, D + 1)}
    yield "lrp_scan", {"inputs": draw(STEPS + 1, D)}
    yield "project", {"x": draw(5, D + 1)}
    yield "prepare_layer", {"directions": []}
    yield "prepare_layer", {"directions": [one, other]}
    yield "prepare_layer", {"directions": [one, one.astype(np.float32)]}
    yield "prepare_layer", {"directions": [one] * 3}
    yield "linear", {"y": y[:, :-1]}
    yield "linear", {"y": y.astype(np.float32)}
    yield "linear", {"layer": given["forward_scan"]["layer"]}
    yield "linear_lrp", {"z": draw(B + 1, C)}
    yield "linear_lrp", {"relevance": draw(K, B, C + 1)}
    yield "linear_gradient", {"gradient": draw(K, B, C + 1)}
    yield "linear_gradient", {"gradient": draw(B, C)}
    states, values = given["pool"]["hidden"], given["activate"]["z"]
    backwards = np.array([0, 4, 3, 7])
    yield "activate", {"activation": "gelu"}
    yield "activate", {"z": values[0]}
    yield "activate", {"z": values.astype(int)}
    yield "activation_gradient", {"activation": "gelu"}
    yield "activation_gradient", {"value": values[:, :-1]}
    yield "activation_gradient", {"gradient": draw(B, C)}
    for name in ("pool", "pool_lrp", "pool_gradient"):
        yield name, {"pooling": "sum"}
        yield name, {"hidden": states[:-1]}
        yield name, {"hidden": states[0]}
        yield name, {"offsets": backwards}
        yield name, {"offsets": OFFSETS.astype(float)}
    yield "remainder", {"shared": draw(K, B).astype(np.float32)}
    yield "remainder", {"token": draw(K, STEPS - 1)}
    yield "remainder", {"initial": draw(K, B + 1)}
    yield "remainder", {"offsets": backwards}
    yield "pool_lrp", {"pooled": draw(B, 1)}
    yield "pool_lrp", {"pooled": draw(B + 1, 2 * H)}
    yield "pool_lrp", {"relevance": final[:, :-1]}
    yield "pool_gradient", {"gradient": final[..., :-1]}
    yield "pool_gradient", {"gradient": final[:0]}
    copies = given["decompose_scan"]
    yield "decompose_scan", {"trace": given["lrp_scan"]["trace"]}
    yield "decompose_scan", {"trace": None}
    yield "decompose_scan", {"relevant": copies["relevant"][:, :-1]}
    yield "decompose_scan", {"relevant": copies["relevant"].astype(np.float32)}
    yield "decompose_scan", {"relevant": copies["relevant"][:5]}
    yield "decompose_scan", {"rows": copies["rows"] - 1}
    yield "decompose_scan", {"rows": copies["rows"][:-1]}
    yield "decompose_scan", {"phrase": copies["phrase"][:-1]}
    yield "decompose_scan", {"phrase": copies["phrase"].astype(np.uint8)}
    yield "decompose_scan", {"start": (draw(len(OWNER), 2 * H), draw(B, 2 * H))}
    yield "decompose_scan", {"owner": OWNER[:-1]}
    yield "decompose_scan", {"owner": OWNER + 1}
    yield "decompose_scan", {"owner": OWNER - 1}
    yield "decompose_scan", {"owner": OWNER.astype(float)}
    yield "decompose_scan", {"owner": np.array([1, 1, 1, 2, 2])}
    yield "decompose_scan", {"offsets": np.array([0, 3, 6, 8, 9, 10])}
    yield "decompose_scan", {"offsets": np.array([0, 4, 6, 8, 10])}
    yield "prepare_linear", {"weight": draw(C)}
    yield "prepare_linear", {"weight": draw(0, 5)}
    yield "prepare_linear", {"weight": np.ones((C, 5), int)}
    yield "prepare_linear", {"bias": draw(C + 1)}


@pytest.mark.parametrize(
    ("name", "changed"), list(changes()), ids=lambda v: v if isinstance(v, str) else "+".join(v)
)
def test_wrong_arguments_are_refused(name, changed):
    with pytest.raises((TypeError, ValueError), match=r"expected|must not be None"):
        call(_kernels, name, **changed)


def test_arrays_that_are_not_contiguous_are_read_right():
    def strided(array):
        wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
        wide[..., ::2] = array
        return wide[..., ::2]

    names = ["linear", "linear_lrp", "linear_gradient", "remainder", "project"]
    for name in (*names, "lrp_scan", "gradient_scan", "decompose_scan"):
        given = {
            key: strided(value)
            for key, value in arguments(_kernels)[name].items()
            if isinstance(value, np.ndarray) and value.dtype != np.intp
        }
        assert given
        expected = arrays(call(_kernels, name))
        for found, same in zip(arrays(call(_kernels, name, **given)), expected, strict=True):
            assert (found == same).all()


def test_a_trace_does_not_see_its_indices_change():
    given = arguments(_kernels)["forward_scan"] | {"keep": "relevance"}
    rows, offsets = ROWS.copy(), OFFSETS.copy()
    trace = _kernels.forward_scan(**given | {"rows": rows, "offsets": offsets}).trace
    before = call(_kernels, "lrp_scan", trace=trace).inputs
    rows[:] = 2**40
    offsets[1:] = 2**40
    assert (call(_kernels, "lrp_scan", trace=trace).inputs == before).all()
    assert not [name for name in dir(trace) if not name.startswith("__")]


# Instruction sets -------------------------------------------------------------------------------


def test_a_build_is_for_the_instruction_set_of_its_name(kernels, request):
    words = {"v3": "AVX2", "v4": "AVX-512"}
    assert words.get(request.node.callspec.params["kernels"], "baseline") in kernels.INSTRUCTION_SET


def test_the_fastest_build_that_runs_is_used(monkeypatch):
    monkeypatch.delenv("LRPLSTM_INSTRUCTION_SET", raising=False)
    best = build_for(list(_kernels.processor_runs())[-1])
    assert choose._kernels.__wrapped__() is best


def test_any_build_can_be_imported_or_says_why_not():
    """Never an illegal instruction, whatever walks through the package; see tools/emulated.py."""
    runs = _kernels.processor_runs()
    for name, module in choose.INSTRUCTION_SETS.items():
        if importlib.util.find_spec(f"lrplstm.{module}") is None:  # LRPLSTM_BUILDS
            continue
        if name in runs:
            assert importlib.import_module(f"lrplstm.{module}").processor_runs() == runs
        else:
            with pytest.raises(ImportError, match=f"lrplstm.{module} was built for") as caught:
                importlib.import_module(f"lrplstm.{module}")
            assert caught.value.name == f"lrplstm.{module}"


def run_with(instruction_set, code):
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"LRPLSTM_INSTRUCTION_SET": instruction_set},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", choose.INSTRUCTION_SETS)
def test_the_environment_forces_an_instruction_set(name):
    expected = build_for(name).INSTRUCTION_SET
    code = (
        "import lrplstm; from lrplstm.backends import choose; m = lrplstm.load_default();"
        "print(choose.instruction_set(), len(lrplstm.lrp(m, ['fine', '.'])))"
    )
    assert run_with(name, code).stdout == f"{expected} 2\n"


def test_an_instruction_set_that_is_not_there_is_an_error():
    result = run_with("v9", "import lrplstm; lrplstm.load_default().predict(['fine'])")
    message = "LRPLSTM_INSTRUCTION_SET: expected one of 'baseline', 'v3', 'v4', got 'v9'"
    assert message in result.stderr


def test_an_instruction_set_that_the_processor_lacks_is_an_error(monkeypatch):
    monkeypatch.setattr(_kernels, "processor_runs", lambda: ["baseline"])
    monkeypatch.setenv("LRPLSTM_INSTRUCTION_SET", "v4")
    with pytest.raises(ValueError, match=r"expected one that this processor runs, baseline, got"):
        choose._kernels.__wrapped__()
    monkeypatch.delenv("LRPLSTM_INSTRUCTION_SET")
    assert choose._kernels.__wrapped__() is _kernels


def test_a_failed_import_of_the_kernels_is_an_error_not_a_slow_run(monkeypatch):
    monkeypatch.delattr("lrplstm._kernels")
    monkeypatch.setitem(sys.modules, "lrplstm._kernels", None)
    monkeypatch.setattr(choose, "_kernels", choose._kernels.__wrapped__)
    model, x = random_model(), random_batch()
    for backend in ("auto", "kernel"):
        with pytest.raises(ImportError, match="backend='reference'"):
            lrplstm.lrp(model, x, backend=backend)
        with pytest.raises(ImportError, match="compiled kernels"):
            model.predict(x, backend=backend)
    assert np.isfinite(lrplstm.lrp(model, x, backend="reference").token_relevance).all()


# Threads ----------------------------------------------------------------------------------------


def test_threads_of_the_callers_may_share_a_model():
    vocabulary = [str(n) for n in range(40)]
    model = random_model(layers=2, vocabulary=vocabulary)
    rng = np.random.default_rng(3)
    batches = [[rng.integers(0, 40, T) for T in (30, 1, 12)] for _ in range(8)]
    fresh = random_model(layers=2, vocabulary=vocabulary)
    expected = [lrplstm.lrp(fresh, batch, "all").token_relevance for batch in batches]
    wrong = []

    def work(n):
        for _ in range(10):
            found = lrplstm.lrp(model, batches[n], "all").token_relevance
            if not (found == expected[n]).all():
                wrong.append(n)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_an_error_in_a_thread_is_raised_and_stops_the_others():
    def fail(item):
        if item == 3:
            raise RuntimeError("item 3")
        until = time.monotonic() + (20 if item == 4 else 0)
        while time.monotonic() < until:
            parallel.look()

    start = time.monotonic()
    for threads in (1, 2, 5):
        with pytest.raises(RuntimeError, match="item 3") as caught:
            parallel.for_each(fail, [*range(4), *[4] * 9], threads)
        assert caught.value.__context__ is None
    assert time.monotonic() - start < 10


def test_calls_of_several_threads_do_not_stop_each_other():
    """One ends with an error while the other is at work, whose every item is taken once."""
    failed, taken = threading.Event(), []

    def fail(item):
        failed.set()
        raise RuntimeError("of this call alone")

    def take(item):
        failed.wait(timeout=20)
        parallel.look()
        taken.append(item)

    other = threading.Thread(target=parallel.for_each, args=(take, range(200), 3))
    other.start()
    with pytest.raises(RuntimeError, match="of this call alone"):
        parallel.for_each(fail, range(9), 2)
    other.join()
    assert sorted(taken) == list(range(200))
    parallel.look()  # nothing is left of what was stopped


def test_traces_give_their_memory_back():
    model = random_model(H=40)
    batch = random_batch(lengths=(60,) * 40)
    lrplstm.lrp(model, batch)
    tracemalloc.start()
    try:
        for _ in range(20):  # each takes some 4 MB
            lrplstm.lrp(model, batch)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after < 2**25 + 1e6  # as much is kept for the next scans
