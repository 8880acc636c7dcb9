"""Recurrent layers that are loops in ONNX, as TensorFlow writes those that are given a mask."""

from __future__ import annotations

import numpy as np
import pytest
from loader_fixtures import refused
from onnx import TensorProto, helper
from onnx_graphs import C, D, H, draw, graph, node, run
from random_models import random_batch, relative_error

import lrplstm

STEPS = 7
LSTM = [
    node("MatMul", "step W", "of_x"),
    node("MatMul", "h R", "of_h"),
    node("Add", "of_x of_h", "both"),
    node("Add", "both b", "sums"),
    node("Split", "sums", "zi zf zg zo", axis=1),
    node("Sigmoid", "zi", "i"),
    node("Sigmoid", "zf", "f"),
    node("Tanh", "zg", "g"),
    node("HardSigmoid", "zo", "hard", alpha=0.25),
    node("Sigmoid", "zo", "o"),
    node("Mul", "f c", "kept"),
    node("Mul", "i g", "added"),
    node("Add", "kept added", "new_c"),
    node("Tanh", "new_c", "out"),
    node("Mul", "o out", "new_h"),
]
GRU_AFTER = [
    node("MatMul", "step W", "x_sums"),
    node("Add", "x_sums b", "of_x"),
    node("MatMul", "h R", "h_sums"),
    node("Add", "h_sums d", "of_h"),
    node("Split", "of_x", "xz xr xn", axis=1),
    node("Split", "of_h", "hz hr hn", axis=1),
    node("Add", "xz hz", "zz"),
    node("Sigmoid", "zz", "z"),
    node("Add", "xr hr", "zr"),
    node("Sigmoid", "zr", "r"),
    node("Mul", "r hn", "reset"),
    node("Add", "xn reset", "zn"),
    node("Tanh", "zn", "n"),
    node("Mul", "z h", "kept"),
    node("Sub", "one z", "less"),
    node("Mul", "less n", "added"),
    node("Add", "kept added", "new_h"),
]
GRU_BEFORE = [
    *GRU_AFTER[:2],
    node("Split", "of_x", "xz xr xn", axis=1),
    node("Split", "R", "Rz Rr Rn", axis=1),
    node("MatMul", "h Rz", "hz"),
    node("MatMul", "h Rr", "hr"),
    *GRU_AFTER[6:10],
    node("Mul", "r h", "reset_h"),
    node("MatMul", "reset_h Rn", "hn"),
    node("Add", "xn hn", "zn"),
    *GRU_AFTER[12:],
]
RNN = [*LSTM[:4], node("Relu", "sums", "new_h")]
CELLS = {"lstm": (LSTM, 4), "gru": (GRU_AFTER, 3), "gru before": (GRU_BEFORE, 3), "rnn": (RNN, 1)}


def loop(cell, masked, **changed):
    """A graph of one loop over all steps, of which the mask passes those over that are zeros."""
    formula, gates = CELLS[cell]
    rng = np.random.default_rng(3)
    constants = {
        "W": draw(rng, D, gates * H),
        "R": draw(rng, H, gates * H),
        "b": draw(rng, gates * H),
        "d": draw(rng, gates * H),
        "V": draw(rng, H, C),
        "one": np.float32(1),
        "zero": np.float32(0),
        "first": np.int64(0),
        "next": np.int64(1),
        "steps": np.int64(STEPS),
        "h0": np.zeros((1, H), "f4"),
        "last": [2],
        "yes": np.array(True),
    } | changed
    states = ["h", "c"] if cell == "lstm" else ["h"]
    body = [node("Gather", "turned count", "step", axis=0), *formula]
    news = [f"new_{name}" for name in states]
    if masked:
        body += [node("Gather", "mask_steps count", "seen", axis=0)]
        body += [node("Where", f"seen new_{name} {name}", f"next_{name}") for name in states]
        news = [f"next_{name}" for name in states]
    body += [node("Add", "count next", "counted"), node("Less", "counted steps", "goes_on")]
    body += [node("Identity", news[0], "scanned")]
    kinds = {"number": TensorProto.INT64, "going": TensorProto.BOOL, "count": TensorProto.INT64}
    kinds |= {"goes_on": TensorProto.BOOL, "counted": TensorProto.INT64}
    given, made = (
        [
            helper.make_tensor_value_info(name, kinds.get(name, 1), [] if name in kinds else [1, H])
            for name in names
        ]
        for names in (
            ["number", "going", "count", *states],
            ["goes_on", "counted", *news, "scanned"],
        )
    )
    nodes = [node("Transpose", "x", "turned", perm=[1, 0, 2])]
    if masked:
        nodes += [
            node("Equal", "x zero", "equal"),
            node("Not", "equal", "other"),
            node("Cast", "other", "numbers", to=1),
            node("ReduceSum", "numbers last", "sums_of", keepdims=1),
            node("Greater", "sums_of zero", "mask"),
            node("Transpose", "mask", "mask_steps", perm=[1, 0, 2]),
        ]
    nodes += [
        node(
            "Loop",
            " ".join(["- yes first", *(["h0"] * len(states))]),
            " ".join(["after_count", *(f"final_{name}" for name in states), "all"]),
            "loop",
            body=helper.make_graph(body, "body", given, made),
        ),
        node("Gather", "all minus", "state"),
        node("MatMul", "state V", "scores"),
    ]
    constants["minus"] = np.int64(-1)
    read = {name for part in [*nodes, *body] for name in part.input}
    constants = {name: array for name, array in constants.items() if name in read}
    return graph(nodes, constants, {"x": (1, STEPS, D)})


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_loops_that_are_layers(cell, masked):
    proto = loop(cell, masked)
    model = lrplstm.from_onnx(proto)
    assert [layer.kind for layer in model.graph.layers] == [cell.split()[0], "pool", "dense"]
    x = random_batch(2, D=D, lengths=(STEPS,), dtype=np.float32)[0]
    if masked:
        assert model.mask_value == 0
        x[[1, 4]] = 0
    (expected,) = run(proto, x=x[None])
    for backend in ("kernel", "reference"):
        assert relative_error(model.predict(x, backend=backend), expected[0]) < 1e-5


def test_loops_that_are_none():
    with refused(r"node 'loop' \(Loop\): it does not run over all steps"):
        lrplstm.from_onnx(loop("lstm", masked=True, steps=np.int64(STEPS - 2)))
    with refused(r"node 'loop' \(Loop\): a step of the loop is no cell that is known"):
        lrplstm.from_onnx(loop("gru", masked=False, one=np.float32(2)))  # 2 - z for 1 - z
    formula, gates = CELLS["rnn"]
    CELLS["other"] = [*formula[:-1], node("Mul", "sums sums", "new_h")], gates
    try:
        with refused(r"node 'loop' \(Loop\): a step of the loop is no cell that is known"):
            lrplstm.from_onnx(loop("other", masked=False))
    finally:
        del CELLS["other"]


def test_long_chains_in_loops():
    """Names of names, and masks of masks, are followed once."""
    proto = loop("lstm", masked=True)
    (body,) = [
        item.g for part in proto.graph.node for item in part.attribute if item.name == "body"
    ]
    (seen,) = [part for part in body.node if part.output[0] == "seen"]
    seen.output[0] = "n0"
    chain = [node("Not", f"n{n}", f"n{n + 1}") for n in range(3000)]
    nodes = [part for part in body.node if part is not seen]
    del body.node[:]
    body.node.extend([seen, *chain, node("Identity", "n3000", "seen"), *nodes])
    assert lrplstm.from_onnx(proto).mask_value == 0
