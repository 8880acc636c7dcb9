"""Parameters of flax and equinox: cells step by step as those packages define them."""

from __future__ import annotations

import numpy as np
import pytest
from loader_fixtures import refused

import lrplstm

D, H, C, V = 3, 4, 2, 7
rng = np.random.default_rng(4)


def array(*shape):
    return rng.normal(0, 0.4, shape)


def kernels(names, rows, biased=(), size=H):
    return {
        name: {"kernel": array(rows, size)} | ({"bias": array(size)} if name in biased else {})
        for name in names
    }


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


# Cells as flax.linen and equinox write them, and one step of each: from h, c and x to h, c.


def linen_lstm():
    hidden = ["hi", "hf", "hg", "ho"]
    return kernels(["ii", "if", "ig", "io"], D) | kernels(hidden, H, biased=hidden)


def step_linen_lstm(p, h, c, x):
    a = {
        g: x @ p[f"i{g}"]["kernel"] + h @ p[f"h{g}"]["kernel"] + p[f"h{g}"]["bias"] for g in "ifgo"
    }
    c = sigmoid(a["f"]) * c + sigmoid(a["i"]) * np.tanh(a["g"])
    return sigmoid(a["o"]) * np.tanh(c), c


def linen_gru():
    inputs = ["ir", "iz", "in"]
    return kernels(inputs, D, biased=inputs) | kernels(["hr", "hz", "hn"], H, biased=["hn"])


def step_linen_gru(p, h, c, x):
    i = {g: x @ p[f"i{g}"]["kernel"] + p[f"i{g}"]["bias"] for g in "rzn"}
    r, z = (sigmoid(i[g] + h @ p[f"h{g}"]["kernel"]) for g in "rz")
    n = np.tanh(i["n"] + r * (h @ p["hn"]["kernel"] + p["hn"]["bias"]))
    return (1 - z) * n + z * h, c


def linen_simple():
    return kernels(["i"], D, biased=["i"]) | kernels(["h"], H)


def step_linen_simple(p, h, c, x):
    return np.tanh(x @ p["i"]["kernel"] + p["i"]["bias"] + h @ p["h"]["kernel"]), c


def nnx_lstm():
    """The one whose gates i, f, g, o lie in one kernel."""
    return kernels(["dense_i"], D, size=4 * H) | kernels(["dense_h"], H, ["dense_h"], 4 * H)


def step_nnx_lstm(p, h, c, x):
    a = x @ p["dense_i"]["kernel"] + h @ p["dense_h"]["kernel"] + p["dense_h"]["bias"]
    i, f, g, o = np.split(a, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def nnx_gru():
    return kernels(["dense_i"], D, ["dense_i"], 3 * H) | kernels(["dense_h"], H, size=3 * H)


def step_nnx_gru(p, h, c, x):
    i_r, i_z, i_n = np.split(x @ p["dense_i"]["kernel"] + p["dense_i"]["bias"], 3)
    h_r, h_z, h_n = np.split(h @ p["dense_h"]["kernel"], 3)
    z = sigmoid(i_z + h_z)
    return (1 - z) * np.tanh(i_n + sigmoid(i_r + h_r) * h_n) + z * h, c


def equinox_lstm():
    return {"weight_ih": array(4 * H, D), "weight_hh": array(4 * H, H), "bias": array(4 * H)}


def step_equinox_lstm(p, h, c, x):
    i, f, g, o = np.split(p["weight_ih"] @ x + p["weight_hh"] @ h + p["bias"], 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def equinox_gru():
    names = {"weight_ih": array(3 * H, D), "weight_hh": array(3 * H, H)}
    return names | {"bias": array(3 * H), "bias_n": array(H)}


def step_equinox_gru(p, h, c, x):
    i_r, i_z, i_n = np.split(p["weight_ih"] @ x + p["bias"], 3)
    h_r, h_z, h_n = np.split(p["weight_hh"] @ h, 3)
    n = np.tanh(i_n + sigmoid(i_r + h_r) * (h_n + p["bias_n"]))
    return n + sigmoid(i_z + h_z) * (h - n), c


CELLS = {
    "linen LSTM": (linen_lstm, step_linen_lstm),
    "linen GRU": (linen_gru, step_linen_gru),
    "linen SimpleCell": (linen_simple, step_linen_simple),
    "nnx OptimizedLSTMCell": (nnx_lstm, step_nnx_lstm),
    "nnx GRU": (nnx_gru, step_nnx_gru),
    "equinox LSTM": (equinox_lstm, step_equinox_lstm),
    "equinox GRU": (equinox_gru, step_equinox_gru),
}
SAID = {"pooling": "last", "activations": ["linear"]}


def run(cell, step, xs):
    h = c = np.zeros(H)
    for x in xs:
        h, c = step(cell, h, c, x)
    return h


@pytest.mark.parametrize("case", CELLS)
def test_scores(case):
    make, step = CELLS[case]
    cell, dense = make(), {"kernel": array(H, C), "bias": array(C)}
    params = {"params": {"RNN_0": {"cell": cell}, "Dense_0": dense}}
    model = lrplstm.from_flax(params, **SAID)
    xs = array(6, D)
    expected = run(cell, step, xs) @ dense["kernel"] + dense["bias"]
    np.testing.assert_allclose(model.predict(xs), expected, rtol=1e-12)
    assert isinstance(model, lrplstm.LSTMModel) == ("LSTM" in case)
    assert "RNN_0/cell" in model.origin.values()
    assert model.origin["head"] == "Dense_0"
    # Names that are joined, as files of arrays have them.
    flat = {f"RNN_0.cell.{key}": value for key, value in joined(cell)}
    flat |= {f"Dense_0.{key}": value for key, value in dense.items()}
    np.testing.assert_array_equal(lrplstm.from_flax(flat, **SAID).predict(xs), model.predict(xs))


def joined(cell):
    for key, value in cell.items():
        if isinstance(value, dict):
            yield from ((f"{key}.{name}", member) for name, member in value.items())
        else:
            yield key, value


def test_nnx_calls_one_gate_otherwise():
    """ "if" is no name of an attribute."""
    cell = linen_lstm()
    other = {("if_" if name == "if" else name): value for name, value in cell.items()}
    xs = array(5, D)
    both = [lrplstm.from_flax({"cell": p}, pooling="last").predict(xs) for p in (cell, other)]
    np.testing.assert_array_equal(*both)


def test_stacks_directions_and_words():
    table = array(V, D)
    forward, backward = linen_lstm(), linen_lstm()
    above = {"weight_ih": array(4 * H, 2 * H), "weight_hh": array(4 * H, H), "bias": None}
    params = {
        "Embed_0": {"embedding": table},
        "rnn": {"forward_rnn": {"cell": forward}, "backward_rnn": {"cell": backward}},
        "top": above,
        "fc1": {"weight": array(5, H), "bias": array(5)},
        "fc2": {"kernel": array(5, C), "bias": array(C)},
    }
    cells = [("rnn/forward_rnn/cell", "rnn/backward_rnn/cell"), "top"]
    model = lrplstm.from_flax(
        params,
        cells=cells,
        head=["fc1", "fc2"],
        activations=["relu"],
        pooling="last",
        vocabulary=list("abcdefg"),
    )
    states = [np.zeros((2, H))] * 2
    ids = [2, 5, 1, 6]
    rows = [np.zeros((len(ids), H)) for _ in range(2)]
    for side, (cell, order) in enumerate([(forward, range(4)), (backward, range(3, -1, -1))]):
        h = c = states[side][0]
        for t in order:
            h, c = step_linen_lstm(cell, h, c, table[ids[t]])
            rows[side][t] = h
    top = run(above | {"bias": np.zeros(4 * H)}, step_equinox_lstm, np.concatenate(rows, axis=1))
    hidden = np.maximum(params["fc1"]["weight"] @ top + params["fc1"]["bias"], 0)
    expected = hidden @ params["fc2"]["kernel"] + params["fc2"]["bias"]
    np.testing.assert_allclose(model.predict(["c", "f", "b", "g"]), expected, rtol=1e-12)
    assert model.num_layers == 2


def test_half_precision_becomes_single():
    cell = {name: array.astype("f2") for name, array in equinox_lstm().items()}
    assert lrplstm.from_flax(cell, pooling="last").dtype == np.float32


def test_what_is_assumed_is_said():
    params = {"cell": linen_gru(), "out": {"kernel": array(H, C)}}
    match = r"the final state of the last cell.*nothing but softmax or sigmoid follows 'out'.*pass "
    with pytest.warns(UserWarning, match=match + r"pooling='last', activations=\['linear'\]"):
        lrplstm.from_flax(params)


TWO = {"a": linen_gru(), "b": linen_gru(), "out": {"kernel": array(H, C)}}
REFUSED = [
    (
        {"a": {"kernel": array(3, 4)}},
        {},
        "expected a recurrent cell of flax or equinox, found none",
    ),
    (TWO, {}, r"cells: .*several \('a', 'b'\); pass cells=\['a', 'b'\]"),
    (TWO, {"cells": ["c"]}, "cells: expected one of 'a', 'b', got 'c'"),
    (TWO, {"cells": [("a", "b", "a")]}, "cells: expected a path or a pair of them"),
    (TWO, {"cells": "a", "head": "fc"}, "head: expected one of 'out', got 'fc'"),
    (
        {"a": linen_gru(), "x": {"kernel": array(H, H)}, "y": {"kernel": array(H, C)}},
        {},
        r"head: .*several \('x', 'y'\); pass head=\['x', 'y'\]",
    ),
    (
        {"a": linen_gru(), "x": {"kernel": array(H, H)}, "y": {"kernel": array(H, C)}},
        {"head": ["x", "y"], "activations": None},
        r"activations: expected what follows each of 'x', 'y'; pass activations=\['relu', 'linear'",
    ),
    (
        {"a": linen_gru() | {"hr": {"kernel": array(H, H + 1)}}},
        {},
        r"a/hr/kernel: expected shape \(4, 4\), got \(4, 5\)",
    ),
    ({"a": equinox_lstm() | {"bias": array(5)}}, {}, r"a/bias: expected shape \(16,\), got \(5,\)"),
    ({"a": equinox_lstm() | {"weight_hh": array(9, H)}}, {}, "expected 3 or 4 gates in weight_hh"),
    ({"a": equinox_lstm() | {"bias": np.full(16, np.nan)}}, {}, "a/bias: .*NaN"),
]


@pytest.mark.parametrize(("params", "said", "match"), REFUSED)
def test_refused(params, said, match):
    with refused(match):
        lrplstm.from_flax(params, **SAID | said)


def test_arguments_of_a_wrong_kind():
    with refused("params: expected a mapping of arrays, got list", TypeError):
        lrplstm.from_flax([1])
    with refused("a/bias: expected float16, bfloat16", TypeError):
        lrplstm.from_flax({"a": equinox_lstm() | {"bias": np.zeros(16, int)}}, **SAID)
    with refused("a/bias: expected an array, got 'x'", TypeError):
        lrplstm.from_flax({"a": equinox_lstm() | {"bias": "x"}}, **SAID)
    with refused("params: expected names of parameters, got None", TypeError):
        lrplstm.from_flax({None: 3})
    deep = {}
    for _ in range(50):
        deep = {"a": deep}
    with refused("params: expected mappings at most 32 deep"):
        lrplstm.from_flax(deep)
