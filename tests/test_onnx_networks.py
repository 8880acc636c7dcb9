"""ONNX graphs of any layers: read, and scores as ONNX Runtime has them."""

from __future__ import annotations

import numpy as np
import pytest
from onnx_graphs import C, D, H, draw, graph, head_arrays, lstm_arrays, lstm_node, node, run
from random_models import random_batch, relative_error

import lrplstm

RNG = np.random.default_rng(0)
CONSTANTS = {
    **lstm_arrays(RNG),
    **{f"b{name}": array for name, array in lstm_arrays(RNG, sides=2).items()},
    **{f"o{name}": array for name, array in lstm_arrays(RNG).items()},
    **{f"a{name}": array for name, array in lstm_arrays(RNG, size=H).items()},
    **head_arrays(RNG, H),
    "wide": draw(RNG, 2 * H, C),
    "narrow": draw(RNG, D, D),
    "P": draw(RNG, 1, 3 * H),
    "gW": draw(RNG, 1, 3 * H, D),
    "gR": draw(RNG, 1, 3 * H, H),
    "gB": draw(RNG, 1, 6 * H),
    "rW": draw(RNG, 2, H, D),
    "rR": draw(RNG, 2, H, H),
    "rB": draw(RNG, 2, 2 * H),
    "scale": draw(RNG, H),
    "of_input": draw(RNG, D),
    "K": draw(RNG, D, D, 3),
    "K2": draw(RNG, D, D, 1, 3),
    "k": draw(RNG, D),
    "before": [0, 0, 4, 0, 0, 0],
    "two": [2],
    "zero": [0],
    "one": [1],
    "three": [3],
    "minus": [-1],
    "minus_three": [-3],
    "large": [2**40],
    "least": [-(2**62)],
    "halves": [H, H],
    "swap": [1, 0],
    "twice": [0, 0, 2 * H],
    "number": 1,
}
LSTM = lstm_node("x W R B", "Y Yh")
LAST = node("Squeeze", "Yh zero", "state")
ROWS = node("Squeeze", "Y one", "rows")
BOTH = [
    lstm_node("x bW bR bB", "Y Yh", direction="bidirectional"),
    node("Transpose", "Y", "turned", perm=[0, 2, 1, 3]),
    node("Reshape", "turned twice", "rows"),
]
HEAD = node("Gemm", "pooled V d", "scores")
WIDE = node("MatMul", "pooled wide", "scores")

NETWORKS = {
    "peepholes": [lstm_node("x W R B - - - P", "Y Yh"), LAST],
    "other activations": [
        lstm_node("x W R B", "Y Yh", activations=["HardSigmoid", "Relu", "Softsign"]),
        LAST,
    ],
    "gru": [node("GRU", "x gW gR gB", "Y Yh", hidden_size=H), LAST],
    "gru reset after": [
        node(
            "GRU", "x gW gR gB", "Y Yh", hidden_size=H, linear_before_reset=1, direction="reverse"
        ),
        LAST,
    ],
    "rnn of two directions": [
        node("RNN", "x rW rR rB", "Y Yh", hidden_size=H, direction="bidirectional"),
        node("Transpose", "Yh", "sides", perm=[1, 0, 2]),
        node("Flatten", "sides", "pooled"),
        WIDE,
    ],
    "a step": [LSTM, ROWS, node("Gather", "rows number", "pooled"), HEAD],
    "a step from the end": [
        LSTM,
        ROWS,
        node("Gather", "rows minus_three", "p"),
        node("Squeeze", "p zero", "pooled"),
        HEAD,
    ],
    "some units": [LSTM, LAST, node("Slice", "state one three one", "scores")],
    "used twice": [LSTM, LAST, node("Concat", "state state", "pooled", axis=1), WIDE],
    "a constant added to states": [LSTM, LAST, node("Add", "state scale", "pooled"), HEAD],
    "scaled states": [
        LSTM,
        ROWS,
        node("Mul", "rows scale", "more"),
        node("Sub", "more scale", "m"),
        node("ReduceMax", "m", "pooled", axes=[0], keepdims=0),
        HEAD,
    ],
    "standardized inputs": [
        node("Sub", "x of_input", "centred"),
        node("Div", "centred of_input", "y"),
        lstm_node("y W R B", "Y Yh"),
        LAST,
    ],
    "a sum of two": [
        LSTM,
        lstm_node("x oW oR oB", "Z Zh"),
        node("Add", "Yh Zh", "sum"),
        node("Squeeze", "sum zero", "pooled"),
        HEAD,
    ],
    "a difference and a product": [
        LSTM,
        lstm_node("x oW oR oB", "Z Zh"),
        node("Sub", "Yh Zh", "less"),
        node("Mul", "less Zh", "product"),
        node("Squeeze", "product zero", "pooled"),
        HEAD,
    ],
    "two beside each other": [
        LSTM,
        lstm_node("x oW oR oB", "Z Zh"),
        node("Concat", "Yh Zh", "both", axis=2),
        node("Squeeze", "both zero", "pooled"),
        WIDE,
    ],
    "a residual": [
        LSTM,
        ROWS,
        lstm_node("rows aW aR aB", "Z Zh"),
        node("Add", "Y Z", "sum"),
        node("Squeeze", "sum one", "r"),
        node("ReduceMean", "r", "pooled", axes=[0], keepdims=0),
        HEAD,
    ],
    "the mean of some steps": [
        LSTM,
        ROWS,
        node("Slice", "rows one minus zero", "later"),
        node("ReduceMean", "later", "pooled", axes=[0], keepdims=0),
        HEAD,
    ],
    "the mean of scores": [
        LSTM,
        ROWS,
        node("MatMul", "rows V", "each"),
        node("ReduceMean", "each", "scores", axes=[0], keepdims=0),
    ],
    "two poolings": [
        LSTM,
        ROWS,
        node("ReduceMean", "rows", "a", axes=[0], keepdims=0),
        node("ReduceMax", "rows", "b", axes=[0], keepdims=0),
        node("Concat", "b a", "pooled", axis=1),
        WIDE,
    ],
    "later steps": [
        LSTM,
        ROWS,
        node("Slice", "rows one large zero", "l"),
        node("MatMul", "l V", "scores"),
    ],
    "a gate": [LSTM, LAST, node("Sigmoid", "state", "pooled"), HEAD],
    "steps forward and backward": [
        LSTM,
        ROWS,
        node("Slice", "rows minus least zero minus", "turned"),
        node("Concat", "rows turned", "pooled", axis=2),
        WIDE,
    ],
    "a layer before the LSTM": [
        node("MatMul", "x narrow", "y"),
        node("Elu", "y", "z", alpha=0.5),
        lstm_node("z W R B", "Y Yh"),
        LAST,
    ],
    "a state beside each step": [
        LSTM,
        ROWS,
        node("Add", "rows Yh", "sum"),
        node("MatMul", "sum V", "scores"),
    ],
    "rows of two directions": [
        *BOTH,
        node("Gather", "rows minus", "last"),
        node("Squeeze", "last zero", "pooled"),
        WIDE,
    ],
    "units of two directions": [
        *BOTH,
        node("Split", "rows halves", "a b", axis=2),
        node("Add", "a b", "sum"),
        node("MatMul", "sum V", "scores"),
    ],
    "directions swapped": [
        BOTH[0],
        node("Gather", "Yh swap", "sides"),
        node("Transpose", "sides", "t", perm=[1, 0, 2]),
        node("Flatten", "t", "scores"),
    ],
    "the mean of two directions": [
        BOTH[0],
        node("ReduceMean", "Y", "m", axes=[1], keepdims=0),
        node("MatMul", "m V", "scores"),
    ],
    "a convolution before": [
        node("Transpose", "x", "channels", perm=[1, 2, 0]),
        node("Conv", "channels K k", "z", pads=[1, 1]),
        node("Relu", "z", "r"),
        node("MaxPool", "r", "halved", kernel_shape=[2], strides=[2]),
        node("Transpose", "halved", "y", perm=[2, 0, 1]),
        lstm_node("y W R B", "Y Yh"),
        LAST,
    ],
    "a causal convolution": [
        node("Transpose", "x", "channels", perm=[1, 2, 0]),
        node("Pad", "channels before", "padded"),
        node("Unsqueeze", "padded two", "four_axes"),
        node("Conv", "four_axes K2 k", "z", dilations=[1, 2]),
        node("AveragePool", "z", "a", kernel_shape=[1, 3], pads=[0, 1, 0, 1], count_include_pad=1),
        node("Squeeze", "a two", "s"),
        node("GlobalMaxPool", "s", "g"),
        node("Flatten", "g", "f"),
        node("MatMul", "f narrow", "scores"),
    ],
    "an encoder and a decoder": [
        lstm_node("x W R B", "Y Yh Yc"),
        lstm_node("x oW oR oB - Yh Yc", "Z Zh"),
        node("Squeeze", "Z one", "rows"),
        node("MatMul", "rows V", "scores"),
    ],
    "a decoder of a repeated state": [
        LSTM,
        ROWS,
        node("Shape", "rows", "shape"),
        node("Expand", "Yh shape", "repeated"),
        lstm_node("repeated aW aR aB", "Z Zh"),
        node("Squeeze", "Z one", "decoded"),
        node("MatMul", "decoded V", "scores"),
    ],
    "final cells": [
        lstm_node("x bW bR bB", "Y Yh Yc", direction="bidirectional"),
        node("ReduceMean", "Yc", "pooled", axes=[0], keepdims=0),
        HEAD,
    ],
    "leaky": [
        LSTM,
        LAST,
        node("Gemm", "state V d", "s"),
        node("LeakyRelu", "s", "scores", alpha=0.2),
    ],
}


def built(nodes, **options):
    """A graph of these nodes, with a head where they give states."""
    nodes = list(nodes)
    outputs = [name for part in nodes for name in part.output]
    if "scores" not in outputs:
        nodes.append(node("Gemm", "state V d", "scores"))
    names = {name for part in nodes for name in part.input}
    constants = {name: array for name, array in CONSTANTS.items() if name in names}
    return graph(nodes, constants, **options)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name):
    proto = built(NETWORKS[name])
    model = lrplstm.from_onnx(proto)
    for x in random_batch(3, D=D, lengths=(6, 9), dtype=np.float32):
        (expected,) = run(proto, x=np.stack([x, x], axis=1))
        expected = expected.take(0, -2)  # axes are (steps, sequences, units) or without steps
        for backend in ("kernel", "reference"):
            assert relative_error(model.predict(x, backend=backend), expected) < 1e-5
    a = lrplstm.lrp(model, x, 0, bias_factor=1)
    assert np.abs(a.delta).max() < 1e-4 * np.abs(expected).max()


def test_two_models_in_one():
    """A state beside that of the layer above it."""
    nodes = [
        LSTM,
        ROWS,
        lstm_node("rows aW aR aB", "Z Zh"),
        node("Concat", "Yh Zh", "both", axis=2),
        node("Squeeze", "both zero", "scores"),
    ]
    x = random_batch(4, D=D, lengths=(5,), dtype=np.float32)[0]
    proto = built(nodes)
    (expected,) = run(proto, x=x[:, None])
    assert relative_error(lrplstm.from_onnx(proto).predict(x), expected[0]) < 1e-5


def test_several_inputs():
    """A series, and features that are the same at every step."""
    rng = np.random.default_rng(5)
    constants = lstm_arrays(rng, size=D + 2) | head_arrays(rng, H + 2)
    constants |= {"zero": [0], "one": [1], "two": [2], "shape": [9, 1, 2]}
    nodes = [
        node("Unsqueeze", "static zero", "static_row"),
        node("Shape", "x", "lengths"),
        node("Slice", "lengths zero two", "rows"),
        node("Concat", "rows two", "wide", axis=0),
        node("Expand", "static_row wide", "at_each_step"),
        node("Concat", "x at_each_step", "both", axis=2),
        lstm_node("both W R B", "Y Yh"),
        node("Squeeze", "Yh zero", "state"),
        node("Concat", "state static", "joined", axis=1),
        node("Gemm", "joined V d", "scores"),
    ]
    proto = graph(nodes, constants, {"x": ("T", "B", D), "static": ("B", 2)})
    model = lrplstm.from_onnx(proto)
    x, static = rng.normal(size=(9, D)).astype("f4"), rng.normal(size=2).astype("f4")
    (expected,) = run(proto, x=x[:, None], static=static[None])
    inputs = {"x": x, "static": static}
    assert relative_error(model.predict(inputs), expected[0]) < 1e-5
    a = lrplstm.lrp(model, inputs, 1, bias_factor=1)
    assert abs(a.delta) < 1e-5 * np.abs(expected).max()


def test_gates():
    """What a sigmoid gives is a gate: of its product with a signal, that gets all relevance."""
    nodes = [LSTM, lstm_node("x oW oR oB", "Z Zh"), node("Sigmoid", "Zh", "gate")]
    nodes += [node("Mul", "Yh gate", "product"), node("Squeeze", "product zero", "state")]
    layers = lrplstm.from_onnx(built(nodes)).graph.layers
    assert [layer.gate for layer in layers if layer.kind == "multiply"] == [1]


@pytest.mark.parametrize("filled", ["Where seen scaled hidden", "Where unseen hidden scaled"])
def test_causal_masks_that_are_filled_in(filled):
    steps = 5
    operator, reads = filled.split(" ", 1)
    seen = np.tril(np.ones((steps, steps), bool))
    constants = {
        **{name: draw(RNG, D, D) for name in ("q", "k", "v")},
        "half": np.float32(0.5),
        "seen": seen,
        "unseen": ~seen,
        "hidden": np.float32(-1e9),
    }
    nodes = [
        *(node("MatMul", f"x {name}", f"x{name}") for name in ("q", "k", "v")),
        node("Transpose", "xk", "turned", perm=[0, 2, 1]),
        node("MatMul", "xq turned", "products"),
        node("Mul", "products half", "scaled"),
        node(operator, reads, "masked"),
        node("Softmax", "masked", "weights", axis=-1),
        node("MatMul", "weights xv", "looked"),
        node("ReduceMean", "looked", "scores", axes=[1], keepdims=0),
    ]
    used = {name for one in nodes for name in one.input}
    constants = {name: array for name, array in constants.items() if name in used}
    proto = graph(nodes, constants, {"x": ("batch", steps, D)})
    model = lrplstm.from_onnx(proto)
    assert [layer for layer in model.graph.layers if getattr(layer, "causal", False)]
    x = random_batch(2, D=D, lengths=(steps,), dtype=np.float32)[0]
    (expected,) = run(proto, x=x[None])
    assert relative_error(model.predict(x), expected[0]) < 1e-5
