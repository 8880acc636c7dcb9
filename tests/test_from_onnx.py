"""ONNX graphs: what exporters and people write is read, and scores as other programs say."""

from __future__ import annotations

import importlib
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
from loader_fixtures import refused
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx_graphs import (
    POOLINGS,
    VOCABULARY,
    C,
    D,
    H,
    draw,
    export,
    exported,
    graph,
    head_arrays,
    lstm_arrays,
    lstm_node,
    network,
    node,
    run,
)
from random_models import random_batch, relative_error

import lrplstm

BACKENDS = ("kernel", "reference")
BOUND = {np.dtype("f4"): 1e-5, np.dtype("f8"): 1e-12}


def sequences(model, lengths=(6, 1, 9), seed=3):
    if model.embedding is None:
        return random_batch(seed, D=model.input_size, lengths=lengths, dtype=model.dtype)
    rng = np.random.default_rng(seed)
    return [rng.integers(0, len(model.embedding), T) for T in lengths]


# Exported by PyTorch ----------------------------------------------------------------------------

CASES = [
    {"pooling": "last"},
    {"pooling": "last", "layers": 2, "bidirectional": True, "ids": False},
    {"pooling": "last", "layers": 2, "batch_first": False, "ids": False, "head": "stack"},
    {"pooling": "last by reshape", "layers": 2, "bidirectional": True},
    {"pooling": "last row", "head": "softmax"},
    {"pooling": "relu of last row", "ids": False},
    {"pooling": "ends of rows", "bidirectional": True},
    {"pooling": "swapped", "bidirectional": True, "layers": 2},
    {"pooling": "head before last row", "ids": False},
    {"pooling": "mean", "bidirectional": True, "batch_first": False, "ids": False},
    {"pooling": "max", "bidirectional": True, "layers": 2, "head": "stack"},
    {"pooling": "adaptive mean", "bidirectional": True},
    {"pooling": "adaptive max", "ids": False},
    {"pooling": "none", "bidirectional": True, "head": "softmax"},
    {"pooling": "none", "batch_first": False, "ids": False, "head": "none"},
    {"pooling": "rows", "bidirectional": True, "ids": False},
]
BOTH_SIZES, DYNAMO = [0, 3, 10, 14], [1, 3, 6, 10]
EXPORTS = [
    (n, False, dynamic)
    for n in range(len(CASES))
    for dynamic in ((True, False) if n in BOTH_SIZES else (n % 2 > 0,))
]
EXPORTS += [(n, True, n % 3 > 0) for n in DYNAMO]


def name_of(export):
    case, dynamo, dynamic = export
    exporter, sizes = ("torchscript", "dynamo")[dynamo], ("fixed", "open")[dynamic]
    return f"{case}-{CASES[case]['pooling']}-{exporter}-{sizes}"


@pytest.mark.parametrize(("case", "dynamo", "dynamic"), EXPORTS, ids=map(name_of, EXPORTS))
def test_exported_by_pytorch(case, dynamo, dynamic):
    options = CASES[case]
    module = network(case, **options)
    proto = exported(module, dynamo=dynamo, dynamic=dynamic)
    model = lrplstm.from_onnx(proto)
    pooling = options["pooling"]
    assert model.pooling == POOLINGS.get(pooling, pooling)
    assert (model.num_layers, model.bidirectional) == (
        options.get("layers", 1),
        options.get("bidirectional", False),
    )
    shape = proto.graph.input[0].type.tensor_type.shape.dim
    is_open = shape[module.time].dim_param != ""  # the newer exporter fixes some lengths
    for x in sequences(model, (6, 2, 9) if is_open else (6,)):
        batch = np.stack([x, x], axis=1 - module.time)  # sizes that are fixed are (2, 6)
        (expected,) = run(proto, **{proto.graph.input[0].name: batch})
        expected = expected[0] if expected.ndim == 2 else expected.take(0, 1 - module.time)
        for backend in BACKENDS:
            scores = model.predict(x, backend=backend)
            if options.get("head") == "softmax":
                scores = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)
            assert relative_error(scores, expected) < 1e-5


@pytest.mark.parametrize("case", range(len(CASES)))
def test_gradients_of_what_was_exported(case):
    options = CASES[case] | ({"head": "one"} if CASES[case].get("head") == "softmax" else {})
    module = network(case, **options).double()
    model = lrplstm.from_onnx(exported(module))
    assert model.dtype == np.float64
    for x in sequences(model):
        vectors = x if model.embedding is None else model.embedding[x]
        tensor = torch.tensor(vectors, requires_grad=True)
        scores = module.from_vectors(tensor.unsqueeze(1 - module.time))
        scores = scores.squeeze(0 if scores.ndim == 2 else 1 - module.time)
        assert relative_error(model.predict(x), scores.detach().numpy()) < 1e-12
        (gradient,) = torch.autograd.grad(scores[..., 1].sum(), tensor)
        for backend in BACKENDS:
            found = lrplstm.gradient_x_input(model, x, 1, level="input", backend=backend)
            assert relative_error(found.input_relevance, gradient.numpy() * vectors) < 1e-11
            found = lrplstm.sensitivity(model, x, 1, level="input", backend=backend)
            assert relative_error(found.input_relevance, gradient.numpy() ** 2) < 1e-11


@pytest.mark.parametrize("opset", [9, 11, 13])
def test_older_opsets(opset):
    module = network(1, pooling="last by reshape", layers=2, bidirectional=True)
    proto = exported(module, opset_version=opset)
    assert [item.version for item in proto.opset_import] == [opset]
    model = lrplstm.from_onnx(proto)
    (x,) = sequences(model, (7,))
    assert relative_error(model.predict(x), run(proto, x=x[None])[0][0]) < 1e-5


class Packed(torch.nn.Module):
    """A model that is told how long the sequences of a padded batch are."""

    def __init__(self):
        super().__init__()
        self.inner = network(4, ids=False)

    def forward(self, x, lengths):
        packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True)
        hidden, (final, _) = self.inner.lstm(packed)
        # The exporter fails if nothing is made of these.
        hidden, _ = torch.nn.utils.rnn.pad_packed_sequence(hidden, batch_first=True)
        return self.inner.head(final[-1]), hidden


def test_lengths_that_are_an_input():
    proto = export(
        Packed().eval(),
        (torch.randn(2, 6, D), torch.tensor([6, 4])),
        dynamo=False,
        input_names=["x", "lengths"],
        output_names=["scores", "hidden"],
        dynamic_axes={"x": {0: "batch", 1: "steps"}, "lengths": {0: "batch"}},
    )
    model = lrplstm.from_onnx(proto, output="scores")
    batch = sequences(model, (7, 3))
    padded = np.zeros((2, 7, D), "f4")
    for row, x in zip(padded, batch, strict=True):
        row[: len(x)] = x
    expected, _ = run(proto, x=padded, lengths=np.array([7, 3]))
    assert relative_error(model.predict(batch), expected) < 1e-5


def test_data_in_other_files(tmp_path):
    """As the newer exporter writes large models."""
    proto = exported(network(2, bidirectional=True))
    expected = lrplstm.from_onnx(proto)
    path = tmp_path / "model.onnx"
    onnx.save_model(
        proto, path, save_as_external_data=True, location="model.data", size_threshold=0
    )
    assert (tmp_path / "model.data").stat().st_size > path.stat().st_size / 2
    (x,) = sequences(expected, (5,))
    np.testing.assert_array_equal(lrplstm.from_onnx(path).predict(x), expected.predict(x))
    np.testing.assert_array_equal(lrplstm.from_onnx(str(path)).predict(x), expected.predict(x))


# Built by hand ----------------------------------------------------------------------------------


def rows_of_one_direction(arrays, inputs, x, backwards):
    """Hidden states in float64, by ONNX's own evaluator; older ones know forward nodes only."""
    proto = graph([lstm_node(inputs, "Y")], arrays, {"x": ("T", 1, D)}, ["Y"])
    turn = slice(None, None, -1 if backwards else 1)
    (y,) = ReferenceEvaluator(proto).run(None, {"x": x[turn, None]})
    return y[turn, 0, 0]


def check(proto, x, expected):
    """Compare the scores of a sequence with those that another program computes."""
    model = lrplstm.from_onnx(proto)
    for backend in BACKENDS:
        found = model.predict(x, backend=backend)
        assert relative_error(found, expected) < BOUND[model.dtype]
    return model


def check_by_runtime(proto, x, inputs, scores_of):
    """Compare the scores of a sequence with what ONNX Runtime makes of a batch with it."""
    return check(proto, x, scores_of(*run(proto, **inputs)))


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("layout", [0, 1])
@pytest.mark.parametrize("inputs", ["x W R B - h0 c0", "x W R - - h0", "x W R B - - c0", "x W R"])
def test_every_kind_of_lstm_node(direction, layout, inputs):
    """Final states and rows, in float64, of both layouts, with whatever inputs a node has."""
    rng = np.random.default_rng(5)
    backwards = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[direction]
    sides = len(backwards)
    arrays = lstm_arrays(rng, sides=sides, batch=2, dtype="f8")
    arrays = {name: array for name, array in arrays.items() if name in inputs.split()}
    x = rng.normal(size=(7, D))
    rows = [
        rows_of_one_direction(
            {name: a[n : n + 1, :1] if "0" in name else a[n : n + 1] for name, a in arrays.items()},
            inputs,
            x,
            backward,
        )
        for n, backward in enumerate(backwards)
    ]
    final = [row[0 if backward else -1] for row, backward in zip(rows, backwards, strict=True)]

    head = head_arrays(rng, sides * H, C, "f8")
    if layout:
        arrays |= {name: a.swapaxes(0, 1) for name, a in arrays.items() if "0" in name}
    shape = {"x": (2, "T", D) if layout else ("T", 2, D)}
    lstm = lstm_node(inputs, "Y Yh", direction=direction, layout=layout)
    nodes = [
        lstm,
        node("Transpose", "Yh", "states", perm=[0, 1, 2] if layout else [1, 0, 2]),
        node("Flatten", "states", "flat"),
        node("Gemm", "flat V d", "scores"),
    ]
    proto = graph(nodes, arrays | head, shape)
    model = check(proto, x, np.concatenate(final) @ head["V"] + head["d"])
    assert model.pooling == "last"
    assert model.origin == {"input": "x", "lstm": "/Y", "head": "/scores", "output": "scores"}
    top = model.layers[0]
    assert [w.reverse for w in ([top] if sides == 1 else top)] == backwards

    model = check(graph([lstm], arrays, shape, ["Y"]), x, np.concatenate(rows, axis=1))
    assert model.pooling == "none"
    assert model.head == ()


def test_gates_and_biases():
    rng = np.random.default_rng(0)
    arrays = lstm_arrays(rng)
    model = lrplstm.from_onnx(graph([lstm_node("x W R B", "Y", "lstm")], arrays, outputs=["Y"]))
    (weights,) = model.layers
    for found, name in ((weights.weight_ih, "W"), (weights.weight_hh, "R")):
        i, o, f, c = np.split(arrays[name][0], 4)
        np.testing.assert_array_equal(found, np.concatenate([i, f, c, o]))
    i, o, f, c = np.split(arrays["B"][0][: 4 * H] + arrays["B"][0][4 * H :], 4)
    np.testing.assert_array_equal(weights.bias, np.concatenate([i, f, c, o]))
    assert not weights.initial_hidden.any()
    assert model.origin == {"input": "x", "lstm": "lstm", "output": "Y"}


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("way", ["reverse", "Slice", "ReverseSequence"])
def test_two_nodes_as_two_directions(order, way):
    """A reverse node beside a forward one, or a forward one that reads and gives rows flipped."""
    rng = np.random.default_rng(6)
    arrays = lstm_arrays(rng, "f") | lstm_arrays(rng, "b") | head_arrays(rng, 2 * H)
    arrays |= {"one": [1], "start": [-1], "end": [np.iinfo("i8").min], "zero": [0], "back": [-1]}
    arrays |= {"steps": [8]}
    flip = "start end zero back" if way == "Slice" else "steps"
    nodes = [lstm_node("x fW fR fB", "Yf")]
    if way == "reverse":
        nodes += [lstm_node("x bW bR bB", "Yb", direction="reverse")]
    else:
        nodes += [
            node(way, f"x {flip}", "flipped"),
            lstm_node("flipped bW bR bB", "Yflipped"),
            node(way, f"Yflipped {flip}", "Yb"),
        ]
    halves = [("f", "b")[n] for n in order]
    nodes += [
        node("Concat", f"Y{halves[0]} Y{halves[1]}", "Y", axis=3),
        node("Squeeze", "Y one", "rows"),
        node("MatMul", "rows V", "products"),
        node("Add", "products d", "scores"),
    ]
    x = random_batch(7, lengths=(8,), dtype=np.float32)[0]
    proto = graph(nodes, arrays, {"x": (8, 1, D)})
    model = check_by_runtime(proto, x, {"x": x[:, None]}, lambda scores: scores[:, 0])
    forward, backward = model.layers[0]
    assert (forward.reverse, backward.reverse) == (False, True)
    i, o, f, c = np.split(arrays["bR"][0], 4)
    np.testing.assert_array_equal(backward.weight_hh, np.concatenate([i, f, c, o]))


def test_layers_of_different_kinds_and_sizes():
    """A reverse layer of H = 3 on one of two directions, of which it reads the halves swapped."""
    rng = np.random.default_rng(8)
    arrays = lstm_arrays(rng, "1", sides=2) | lstm_arrays(rng, "2", size=2 * H, hidden=3)
    arrays |= head_arrays(rng, 3) | {"halves": [1, 0], "zero": [0]}
    nodes = [
        lstm_node("x 1W 1R 1B", "Y1", direction="bidirectional"),
        node("Gather", "Y1 halves", "swapped", axis=1),
        node("Transpose", "swapped", "turned", perm=[0, 2, 1, 3]),
        node("Reshape", "turned shape", "below"),
        lstm_node("below 2W 2R 2B", "Y2 Yh2", hidden_size=3, direction="reverse"),
        node("Squeeze", "Yh2 zero", "last"),
        node("Gemm", "last V d", "scores"),
    ]
    arrays["shape"] = np.array([0, 0, -1])
    x = random_batch(9, lengths=(6,), dtype=np.float32)[0]
    model = check_by_runtime(graph(nodes, arrays), x, {"x": x[:, None]}, lambda scores: scores[0])
    assert model.num_layers == 2
    assert model.layers[1].reverse


def test_a_split_into_parts_of_two_sizes():
    """Without sizes all parts are alike but the last, which is the smaller one."""
    rng = np.random.default_rng(26)
    arrays = lstm_arrays(rng) | head_arrays(rng, H, classes=7) | {"zero": [0]}
    nodes = [
        lstm_node("x W R B", "- Yh"),
        node("Squeeze", "Yh zero", "last"),
        node("Split", "V", "first second", axis=1, num_outputs=2),
        node("Concat", "second first", "swapped", axis=1),
        node("Gemm", "last swapped d", "scores"),
    ]
    x = random_batch(9, lengths=(6,), dtype=np.float32)[0]
    proto = graph(nodes, arrays, opset=18)
    check_by_runtime(proto, x, {"x": x[:, None]}, lambda scores: scores[0])


def test_units_in_any_order():
    """Units go round by one on the way to the next layer, to the head and to its bias."""
    rng = np.random.default_rng(25)
    arrays = lstm_arrays(rng, "1") | lstm_arrays(rng, "2", size=H) | head_arrays(rng, H)
    arrays |= {"one": [1], "round": [1, 2, 3, 0], "scores_round": [1, 2, 0], "back": [2, 0, 1]}
    nodes = [
        lstm_node("x 1W 1R 1B", "Y1"),
        node("Squeeze", "Y1 one", "rows1"),
        node("Gather", "rows1 round", "moved1", axis=2),
        lstm_node("moved1 2W 2R 2B", "Y2"),
        node("Squeeze", "Y2 one", "rows2"),
        node("Gather", "rows2 round", "moved2", axis=-1),
        node("MatMul", "moved2 V", "products"),
        node("Gather", "products scores_round", "moved3", axis=2),
        node("Add", "moved3 d", "sums"),
        node("Gather", "sums back", "scores", axis=2),
    ]
    x = random_batch(26, lengths=(6,), dtype=np.float32)[0]
    model = check_by_runtime(
        graph(nodes, arrays), x, {"x": x[:, None]}, lambda scores: scores[:, 0]
    )
    np.testing.assert_array_equal(model.head_bias, arrays["d"][[2, 0, 1]])


def test_pooling_over_an_axis_of_size_one_is_none():
    rng = np.random.default_rng(27)
    arrays = lstm_arrays(rng) | head_arrays(rng, H) | {"last": -1}
    nodes = [
        lstm_node("x W R B", "Y"),
        node("ReduceMean", "Y", "rows", axes=[1], keepdims=0),
        node("Gather", "rows last", "state"),
        node("Gemm", "state V d", "scores"),
    ]
    x = random_batch(28, lengths=(6,), dtype=np.float32)[0]
    model = check_by_runtime(graph(nodes, arrays), x, {"x": x[:, None]}, lambda scores: scores[0])
    assert model.pooling == "last"


# As tf2onnx writes what Keras models do: two-dimensional heads of MatMul and Add, initial states
# made of the shape of the input, and axes that are moved about by Transpose, Squeeze and Slice.

STATE_NODES = [
    node("Shape", "vectors", "shape64"),
    node("Cast", "shape64", "shape", to=onnx.TensorProto.INT32),
    node("Slice", "shape zero one zero", "batch_of_one"),
    node("Squeeze", "batch_of_one zero", "batch"),
    node("Unsqueeze", "batch zero", "batch_again"),
    node("Concat", "batch_again units", "state_shape", axis=0),
    node("Cast", "state_shape", "state_shape64", to=onnx.TensorProto.INT64),
    node("Expand", "nothing state_shape64", "state"),
    node("Unsqueeze", "state zero", "states_of_one"),
    node("Tile", "states_of_one sides", "states"),
]
STATE_ARRAYS = {
    "zero": [0],
    "one": [1],
    "two": [2],
    "units": np.array([H], "i4"),
    "nothing": np.zeros((1, 1), "f4"),
}


def keras_graph(rng, sides, tail, arrays, opset=15):
    table = draw(rng, VOCABULARY, D)
    given = STATE_ARRAYS | lstm_arrays(rng, sides=sides) | arrays
    given |= {"table": table, "sides": np.array([sides, 1, 1])}
    nodes = [
        node("Cast", "ids", "ids32", to=onnx.TensorProto.INT32),
        node("Gather", "table ids32", "vectors"),
        *STATE_NODES,
        node("Transpose", "vectors", "steps", perm=[1, 0, 2]),
        lstm_node(
            "steps W R B - states states",
            "Y Yh",
            direction=("forward", "bidirectional")[sides - 1],
        ),
        *tail,
    ]
    return graph(nodes, given, {"ids": ("unk__1", "unk__2")}, opset=opset)


HEAD_NODES = [
    node("MatMul", "pooled V", "products"),
    node("Add", "products d", "sums"),
    node("Softmax", "sums", "scores"),
]
KERAS_TAILS = {
    "last row": (
        1,
        "last",
        [
            node("Squeeze", "Y one", "time_first"),
            node("Transpose", "time_first", "rows", perm=[1, 0, 2]),
            node("Slice", "rows start end one", "last_row"),
            node("Squeeze", "last_row one", "pooled"),
            *HEAD_NODES,
        ],
    ),
    "final state": (1, "last", [node("Squeeze", "Yh zero", "pooled"), *HEAD_NODES]),
    "both final rows": (
        2,
        "last",
        [
            node("Split", "Y ones", "Yf Yb", axis=1),
            node("Squeeze", "Yf one", "forward"),
            node("Squeeze", "Yb one", "backward"),
            node("Gather", "forward minus", "forward_last"),
            node("Slice", "backward zero one", "backward_first"),
            node("Squeeze", "backward_first zero", "backward_last"),
            node("Concat", "forward_last backward_last", "pooled", axis=-1),
            *HEAD_NODES,
        ],
    ),
    "maximum": (
        2,
        "max",
        [
            node("Transpose", "Y", "sides_last", perm=[2, 0, 1, 3]),
            node("Reshape", "sides_last width", "rows"),
            node("ReduceMax", "rows", "pooled", axes=[1], keepdims=0),
            *HEAD_NODES,
        ],
    ),
    "mean": (
        2,
        "mean",
        [
            node("Transpose", "Y", "sides_last", perm=[2, 0, 1, 3]),
            node("Reshape", "sides_last width", "rows"),
            node("ReduceMean", "rows", "pooled_in_row", axes=[-2], keepdims=1),
            node("Squeeze", "pooled_in_row one", "pooled"),
            *HEAD_NODES,
        ],
    ),
    "each step": (
        2,
        "none",
        [
            node("Transpose", "Y", "sides_last", perm=[2, 0, 1, 3]),
            node("Reshape", "sides_last width", "rows"),
            node("Reshape", "rows flat", "pooled"),
            node("MatMul", "pooled V", "products"),
            node("Add", "products d", "sums"),
            node("Shape", "rows", "rows_shape"),
            node("Slice", "rows_shape zero two", "outer_shape"),
            node("Concat", "outer_shape classes", "shape_of_scores", axis=0),
            node("Reshape", "sums shape_of_scores", "sums_of_rows"),
            node("Softmax", "sums_of_rows", "scores", axis=2),
        ],
    ),
}


@pytest.mark.parametrize("name", KERAS_TAILS)
def test_as_tf2onnx_writes_it(name):
    rng = np.random.default_rng(10)
    sides, pooling, tail = KERAS_TAILS[name]
    arrays = head_arrays(rng, sides * H) | {
        "start": [-1],
        "end": [np.iinfo("i4").max],
        "ones": [1, 1],
        "minus": -1,
        "width": [0, 0, sides * H],
        "flat": [-1, sides * H],
        "classes": [C],
    }
    proto = keras_graph(rng, sides, tail, arrays)
    model = lrplstm.from_onnx(proto)
    assert model.pooling == pooling
    assert model.origin["embedding"] == "table"
    for x in sequences(model):
        scores = model.predict(x)
        found = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)
        assert relative_error(found, run(proto, ids=np.stack([x, x]))[0][1]) < 1e-5


def test_a_batch_of_initial_states():
    """States that are the same for each sequence, expanded to as many as there are."""
    rng = np.random.default_rng(11)
    arrays = lstm_arrays(rng, sides=2, batch=1) | {"one": [1], "hidden": [H], "sides": [2]}
    nodes = [
        node("Shape", "x", "shape", start=1, end=2),
        node("Concat", "sides shape hidden", "states", axis=0),
        node("Expand", "h0 states", "h"),
        node("Expand", "c0 states", "c"),
        lstm_node("x W R B - h c", "Y", direction="bidirectional"),
    ]
    x = random_batch(12, lengths=(4,), dtype=np.float32)[0]
    proto = graph(nodes, arrays, outputs=["Y"])
    batch = {"x": np.stack([x, x], axis=1)}
    model = check_by_runtime(proto, x, batch, lambda y: y[:, :, 1].reshape(4, -1))
    np.testing.assert_array_equal(model.layers[0][1].initial_hidden, arrays["h0"][1, 0])
    np.testing.assert_array_equal(model.layers[0][0].initial_cell, arrays["c0"][0, 0])


def test_lengths_that_are_all_steps():
    rng = np.random.default_rng(13)
    nodes = [
        node("Shape", "x", "shape"),
        node("Slice", "shape zero one", "steps"),
        node("Slice", "shape one two", "batch"),
        node("Expand", "steps batch", "wide"),
        node("Cast", "wide", "lengths", to=onnx.TensorProto.INT32),
        lstm_node("x W R B lengths", "Y"),
    ]
    arrays = lstm_arrays(rng) | {"zero": [0], "one": [1], "two": [2]}
    x = random_batch(14, lengths=(4,), dtype=np.float32)[0]
    check_by_runtime(
        graph(nodes, arrays, outputs=["Y"]), x, {"x": x[:, None]}, lambda y: y[:, 0, 0]
    )


@pytest.mark.parametrize("opset", [7, 12, 17])
def test_gemm_and_the_axes_of_softmax(opset):
    rng = np.random.default_rng(15)
    arrays = lstm_arrays(rng) | {"V": draw(rng, C, H), "d": draw(rng, 1, C), "zero": [0]}
    squeeze = node("Squeeze", "Yh zero", "last")
    if opset < 13:
        squeeze = node("Squeeze", "Yh", "last", axes=[0])
    nodes = [
        lstm_node("x W R B", "Y Yh"),
        squeeze,
        node("Gemm", "last V d", "sums", alpha=0.5, beta=2.0, transB=1),
        node("LogSoftmax", "sums", "logs"),
        node("Identity", "logs", "scores"),
    ]
    x = random_batch(16, lengths=(5,), dtype=np.float32)[0]
    proto = graph(nodes, arrays, opset=opset)
    model = lrplstm.from_onnx(proto)
    scores = model.predict(x)
    expected = run(proto, x=x[:, None])[0][0]
    assert relative_error(scores - np.log(np.exp(scores).sum()), expected) < 1e-5
    np.testing.assert_array_equal(model.head_bias, 2 * arrays["d"][0])


def test_one_score_and_a_sigmoid():
    rng = np.random.default_rng(17)
    arrays = lstm_arrays(rng) | head_arrays(rng, H, 1) | {"zero": [0], "last": [-1]}
    nodes = [
        lstm_node("x W R B", "- Yh -"),
        node("Squeeze", "Yh zero", "state"),
        node("Gemm", "state V d", "sums"),
        node("Squeeze", "sums last", "flat"),
        node("Sigmoid", "flat", "scores"),
    ]
    x = random_batch(18, lengths=(5,), dtype=np.float32)[0]
    proto = graph(nodes, arrays)
    scores = lrplstm.from_onnx(proto).predict(x)
    assert relative_error(1 / (1 + np.exp(-scores)), run(proto, x=x[:, None])[0]) < 1e-5


@pytest.mark.parametrize("kind", ["f2", "bfloat16"])
def test_half_precision(kind):
    rng = np.random.default_rng(19)
    arrays = lstm_arrays(rng)
    proto = graph([lstm_node("x W R B", "Y")], arrays, outputs=["Y"], opset=22)
    del proto.graph.initializer[:]
    for name, array in arrays.items():
        if kind == "f2":
            tensor = numpy_helper.from_array(array.astype("f2"), name)
            expected = array.astype("f2").astype("f4")
        else:  # the upper half of each float32
            halves = array.view("u4") >> 16
            raw = halves.astype("u2").tobytes()
            tensor = helper.make_tensor(name, 16, array.shape, raw, raw=True)
            expected = (halves << 16).view("f4")
        arrays[name] = expected
        proto.graph.initializer.append(tensor)
    proto.graph.input[0].type.tensor_type.elem_type = tensor.data_type
    found = lrplstm.from_onnx(proto)
    same = lrplstm.from_onnx(graph([lstm_node("x W R B", "Y")], arrays, outputs=["Y"]))
    assert found.dtype == np.float32
    x = random_batch(20, lengths=(5,), dtype=np.float32)[0]
    np.testing.assert_array_equal(found.predict(x), same.predict(x))


@pytest.mark.parametrize("kind", ["f4", "f8", "f2", "bfloat16"])
def test_numbers_in_lists(kind):
    """Tensors whose numbers are not raw bytes."""
    rng = np.random.default_rng(21)
    arrays = lstm_arrays(rng)
    proto = graph([lstm_node("x W R B", "Y")], {}, outputs=["Y"], opset=22)
    code = {"f4": 1, "f8": 11, "f2": 10, "bfloat16": 16}[kind]
    for name, array in arrays.items():
        rounded = (array.view("u4") >> 16 << 16).view("f4")  # fits in all of them, but for float16
        arrays[name] = rounded.astype("f2").astype("f4") if kind == "f2" else rounded
        tensor = helper.make_tensor(name, code, array.shape, arrays[name].reshape(-1).tolist())
        assert not tensor.raw_data
        proto.graph.initializer.append(tensor)
    (weights,) = lrplstm.from_onnx(proto).layers
    i, o, f, c = np.split(arrays["R"][0], 4)
    np.testing.assert_array_equal(weights.weight_hh, np.concatenate([i, f, c, o]))
    assert weights.dtype == ("f8" if kind == "f8" else "f4")


# ONNX's own cases -------------------------------------------------------------------------------


RECURRENT = ("lstm", "gru", "rnn")


def node_cases():
    """The test cases of recurrent operators that come with the package onnx."""
    for name in RECURRENT:
        importlib.import_module(f"onnx.backend.test.case.node.{name}")  # makes them
    cases = sys.modules["onnx.backend.test.case.node"]
    # `collect_testcases` makes those of all operators, which takes long.
    return {
        case.name: case
        for case in cases._NodeTestCases
        if case.name.startswith(tuple(f"test_{name}" for name in (*RECURRENT, "simple_rnn")))
    }


CASES_OF_ONNX = node_cases()


def as_constants(case):
    """The case's model with all inputs but the first as constants, and input and output arrays."""
    proto = onnx.ModelProto()
    proto.CopyFrom(case.model)
    ((inputs, outputs),) = case.data_sets
    names = [value.name for value in proto.graph.input]
    for name, array in list(zip(names, inputs, strict=True))[1:]:
        proto.graph.initializer.append(numpy_helper.from_array(array, name))
    return proto, inputs[0], dict(zip([v.name for v in proto.graph.output], outputs, strict=True))


@pytest.mark.parametrize("name", sorted(CASES_OF_ONNX))
def test_cases_of_onnx(name):
    proto, x, outputs = as_constants(CASES_OF_ONNX[name])
    batchwise = name.endswith("batchwise")
    batch = x if batchwise else x.swapaxes(0, 1)
    seen = 0
    for output, expected in outputs.items():
        model = lrplstm.from_onnx(proto, output=output)
        found = model.predict(list(batch))
        if output != "Y" and not batchwise:
            expected = expected.swapaxes(0, 1)
        assert relative_error(found, expected.reshape(np.shape(found))) < 1e-6
        seen += 1
    assert seen


# Arguments --------------------------------------------------------------------------------------


def test_words_and_names_of_classes():
    words = [f"w{n}" for n in range(VOCABULARY - 1)] + ["?"]
    model = lrplstm.from_onnx(
        exported(network()),
        vocabulary=words,
        class_names=["a", "b", "c"],
        unknown_token="?",
        tokenizer="treebank",
        task="regression",
    )
    assert model.task == "regression"
    assert model.vocabulary == tuple(words)
    assert (model.class_names, model.unknown_token) == (("a", "b", "c"), "?")
    assert model.tokenizer == "treebank"
    np.testing.assert_array_equal(model.predict(["w3", "w1"]), model.predict(np.array([3, 1])))
    with refused("source: class_names: expected 3 names, got 1"):
        lrplstm.from_onnx(exported(network()), class_names=["a"])
    with refused("class_names: expected a sequence of str", TypeError):
        lrplstm.from_onnx(exported(network()), class_names="abc")


def test_the_output_can_be_chosen():
    rng = np.random.default_rng(22)
    arrays = lstm_arrays(rng) | head_arrays(rng, H) | {"zero": [0]}
    nodes = [
        lstm_node("x W R B", "Y Yh"),
        node("Squeeze", "Yh zero", "state"),
        node("Gemm", "state V d", "scores"),
        node("ArgMax", "scores", "label", axis=1),
    ]
    proto = graph(nodes, arrays, outputs=["scores", "label", "Y"])
    assert lrplstm.from_onnx(proto, output="scores").num_classes == C
    with refused("output: expected one of 'scores', 'label', 'Y', got None"):
        lrplstm.from_onnx(proto)
    assert lrplstm.from_onnx(proto, output="Y").pooling == "none"
    with refused(r"node '/label' \(ArgMax\): this operator is not read"):
        lrplstm.from_onnx(proto, output="label")
    with refused("output: expected one of 'scores', 'label', 'Y', got 'logits'"):
        lrplstm.from_onnx(proto, output="logits")
    with refused("output: expected a name, got 3", TypeError):
        lrplstm.from_onnx(proto, output=3)


def test_a_model_is_saved_with_where_it_comes_from(tmp_path):
    model = lrplstm.from_onnx(exported(network(23, bidirectional=True)))
    model.save(tmp_path)
    assert lrplstm.load(tmp_path).origin == model.origin
    assert set(model.origin) == {"input", "embedding", "lstm", "head", "output"}


def test_a_model_is_not_tied_to_what_it_came_from():
    proto = exported(network(24))
    model = lrplstm.from_onnx(proto)
    (x,) = sequences(model, (5,))
    scores = model.predict(x)
    for tensor in proto.graph.initializer:
        tensor.raw_data = bytes(len(tensor.raw_data))
    np.testing.assert_array_equal(model.predict(x), scores)


def test_without_the_package():
    code = (
        "import sys; sys.modules['onnx'] = None; import lrplstm;"
        "\ntry: lrplstm.from_onnx('model.onnx')"
        "\nexcept ImportError as error: print(error)"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert output == 'from_onnx needs onnx: pip install "lrplstm[onnx]"\n'
