"""ONNX graphs that are no LSTM network of ours, and files that are damaged or hostile."""

from __future__ import annotations

import os
import time

import hypothesis.strategies as st
import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from loader_fixtures import damage, refused, refused_or_read
from onnx import AttributeProto, TensorProto, helper, numpy_helper
from onnx_graphs import (
    C,
    D,
    H,
    draw,
    exported,
    graph,
    head_arrays,
    lstm_arrays,
    lstm_node,
    network,
    node,
    run,
)
from random_models import random_batch

import lrplstm

RNG = np.random.default_rng(0)
FORWARD = lstm_arrays(RNG, batch=1)
BOTH = lstm_arrays(RNG, sides=2)
HEAD = head_arrays(RNG, H)
CONSTANTS = {
    "zero": [0],
    "one": [1],
    "two": [2],
    "three": [3],
    "minus": [-1],
    "large": [2**40],
    "flat": [-1, H],
    "four": [H, -1],
    "twice": [0, 0, 2 * H],
    "half": 0.5,
    "least": [-(2**62)],
    "repeated": [2, 1, H],
    "swap": [1, 0],
    "same": [0, 0],
    "wrong": [1, 0, *range(2, 9)],
    "half_of_it": [9, 3],
    "number": 1,
    "text": np.array(["a"], object),
    "bytes": np.zeros((1, 4 * H, D), "i1"),
    "P": np.zeros((1, 3 * H), "f4"),
    "wide": draw(RNG, 2 * H, C),
    "tall": draw(RNG, H + 1, C),
    "other": draw(RNG, 1, 1, H),
    "cells": draw(RNG, 1, 37, H),
}
LSTM = lstm_node("x W R B", "Y Yh Yc", "lstm")
LAST = node("Squeeze", "Yh zero", "state")
ROWS = node("Squeeze", "Y one", "rows")
GEMM = node("Gemm", "state V d", "scores", "head")


def built(*nodes, both=False, **options):
    """A graph that has whatever these nodes read."""
    arrays = (BOTH if both else FORWARD) | HEAD | CONSTANTS
    names = {name for part in nodes for name in part.input}
    outputs = options.pop("outputs", nodes[-1].output[:1])
    return graph(nodes, {n: a for n, a in arrays.items() if n in names}, outputs=outputs, **options)


SIDES = [
    lstm_node("x W R B", "Y Yh", "lstm", direction="bidirectional"),
    node("Transpose", "Y", "turned", perm=[0, 2, 1, 3]),
    node("Reshape", "turned twice", "both"),
]

REFUSED = [
    # LSTMs with other formulas
    ([lstm_node("x W R B", "Y", clip=3.0)], "clip: expected none, got 3.0"),
    ([lstm_node("x W R B", "Y", input_forget=1)], "input_forget: expected 0"),
    ([lstm_node("x W R B", "Y", activation_alpha=[0.2])], "activation_alpha: expected none"),
    ([lstm_node("x W R B", "Y", output_sequence=1)], "attribute 'output_sequence' is not read"),
    ([lstm_node("x W R B", "Y", direction="sideways")], "direction: expected one of forward"),
    ([lstm_node("x W R B", "Y", layout=2)], "layout: expected 0 or 1"),
    ([lstm_node("x W R B", "Y", hidden_size=3)], "hidden_size: expected 4 as R has it"),
    ([lstm_node("x W R B", "Y", direction="bidirectional")], r"R: expected shape \(2, 4 \* hidden"),
    ([lstm_node("x R R B", "Y")], r"W: expected shape \(1, 16, 5\), got \(1, 16, 4\)"),
    ([lstm_node("x W W B", "Y")], r"R: expected shape \(1, 4 \* hidden_size, hidden_size\), got"),
    ([lstm_node("x W R V", "Y")], r"B: expected shape \(1, 32\), got \(4, 3\)"),
    ([lstm_node("x W x B", "Y")], "expected a constant as input 2, got what depends on the input"),
    ([lstm_node("W W R B", "Y")], "expected states or scores as input 0, got a constant"),
    ([lstm_node("x - R B", "Y")], "expected an input 1, found none"),
    ([lstm_node("x W R B - V", "Y")], "initial_h: expected 4 numbers for each of 1 directions"),
    ([lstm_node("x W R B - - cells", "Y")], "initial_c: expected the same for all sequences"),
    ([lstm_node("x W R B three", "Y")], "sequence_lens: expected none, all steps, or an input"),
    ([lstm_node("x bytes R B", "Y")], "tensor 'bytes': it is of the type INT8; .*quantized models"),
    (
        [node("DequantizeLinear", "bytes half", "W8"), lstm_node("x W8 R B", "Y")],
        r"node '/W8' \(DequantizeLinear\): quantized models are not read",
    ),
    ([node("DynamicQuantizeLSTM", "x W R", "Y", domain="com.microsoft")], "of the domain 'com.mi"),
    # What is read of hidden states
    (
        [LSTM, lstm_node("x W R B - - Yc", "Z"), node("Identity", "Z", "again")],
        r"node '/Z' \(LSTM\): initial_c depends on the input, and initial_h does not",
    ),
    (
        [
            LSTM,
            node("RandomNormalLike", "Yh", "noise"),
            lstm_node("x W R B - noise", "Z"),
        ],
        r"node '/noise' \(RandomNormalLike\): this operator is not read",
    ),
    ([LSTM, LAST, node("Concat", "state other", "two", axis=0)], "it joins constants with"),
    ([LSTM, ROWS, node("ReduceMean", "rows", "mean", axes=[1])], "expected the axis of all steps"),
    (
        [LSTM, ROWS, node("ReduceMax", "rows", "max")],
        "it goes over the sequences of the batch; expected the axis of all steps",
    ),
    ([LSTM, node("Expand", "Yh three", "many")], "it makes shape|shape mismatch"),
    (
        [LSTM, ROWS, node("Reshape", "rows flat", "r"), node("Reshape", "r four", "y")],
        "splits an axis",
    ),
    ([LSTM, node("Reshape", "Yh three", "few")], "it makes shape"),
    ([LSTM, LAST, node("Softmax", "state", "scores", axis=0)], "it goes over the axis 0, which is"),
    ([LSTM, LAST, node("MatMul", "state wide", "scores")], "expected a constant matrix of"),
    ([LSTM, LAST, node("Gemm", "state tall d", "scores")], "expected a constant matrix of"),
    ([LSTM, LAST, node("Gemm", "state V V", "scores")], r"C: expected one bias for each column"),
    (
        [LSTM, LAST, node("Cast", "state", "i", to=TensorProto.INT64)],
        "turns numbers that the input",
    ),
    (
        [LSTM, LAST, node("Attention", "state", "scores")],
        r"\(Attention\): this operator is not read",
    ),
    ([LSTM, LAST, node("Expand", "state repeated", "y")], "it has no scores, or several, for some"),
    # What an LSTM reads
    (
        [node("Slice", "x zero two two", "part"), lstm_node("part W R B", "Y")],
        r"W: expected shape \(1, 16, 2\)",
    ),
    ([node("MatMul", "x W2", "y"), lstm_node("y W R B", "Y")], "'W2' is read, but nothing before"),
    (
        [LSTM, ROWS, lstm_node("rows W R B", "Z")],
        r"W: expected shape \(1, 16, 4\), got \(1, 16, 5\)",
    ),
    # Graphs
    ([node("Identity", "x", "y")], "output 'y': it reads the input as it is"),
    ([node("Identity", "half", "y")], "output 'y': it does not depend on the input"),
    ([node("Constant", "", "y", value_string="a")], "attribute 'value_string' is not read"),
    ([node("Identity", "text", "y")], "tensor 'text': it is of the type STRING"),
    ([LSTM, node("Squeeze", "Yh two", "state")], "expected size 1 at the axes"),
    ([LSTM, node("Squeeze", "Yh large", "state")], "expected an axis of 3, got 1099511627776"),
    ([LSTM, node("Transpose", "Yh", "t", perm=[0, 0, 1])], "expected an order of 3 axes, got"),
    ([LSTM, node("Transpose", "Yh", "t", perm="abc")], "expected an order of 3 axes|TypeError"),
    ([LSTM, node("Gather", "Yh large", "state")], "IndexError"),
    ([node("Dropout", "x half one", "y"), lstm_node("y W R B", "Y")], "it is in training mode"),
]


@pytest.mark.parametrize(("nodes", "match"), REFUSED)
def test_what_is_not_explained(nodes, match):
    with refused(f"source: .*({match})"):
        lrplstm.from_onnx(built(*nodes))


def test_units_on_two_axes():
    """Of the two directions of Y, as ONNX has it, a product reads one; then their sum is read."""
    with refused("it reads units that lie on more than one axis"):
        lrplstm.from_onnx(built(SIDES[0], node("MatMul", "Y V", "scores"), both=True))


def test_graphs_without_an_lstm():
    """What may be the reason is said behind what is not read."""
    unrolled = [node("MatMul", "x V0", "products"), node("Erf", "products", "cell")]
    none = r"^source: node '/cell' \(Erf\): .*it has no recurrent node: .* nn.LSTM.* from_keras$"
    with refused(none):
        lrplstm.from_onnx(graph(unrolled, {"V0": draw(RNG, D, C)}, outputs=("cell",)))
    with refused("^source: node '/cell'"):  # there is one
        lrplstm.from_onnx(built(LSTM, LAST, GEMM, node("Erf", "scores", "cell")))


@pytest.mark.parametrize(
    ("shape", "match"),
    [
        (("T", "B", "D", 1), "input 'x': expected up to 3 axes"),
        (None, "input 'x': expected a shape, got none"),
        ((0, "B", D), r"expected up to 3 axes, of sizes of at least 1, got \[0, None, 5\]"),
        ((-1, "B", D), r"of sizes of at least 1, got \[-1, None, 5\]"),
        ((2**62, "B", D), "input 'x': what it makes takes more than"),
        (("T", "B"), "X: expected three axes, got shape"),
        (("T", "B", D + 1), r"W: expected shape \(1, 16, 6\)"),
    ],
)
def test_shapes_of_inputs(shape, match):
    with refused(match):
        lrplstm.from_onnx(built(LSTM, inputs={"x": shape}))


@pytest.mark.parametrize(
    ("nodes", "match"),
    [
        (
            [node("Gather", "x same", "doubled", axis=1), lstm_node("doubled W R B", "Y")],
            "X: expected steps, sequences and units along its axes, in this order",
        ),
        (
            [node("Gather", "x wrong", "order", axis=0), lstm_node("order W R B", "Y")],
            "expected steps in order",
        ),
        ([node("ReverseSequence", "x half_of_it", "y"), lstm_node("y W R B", "Y")], "parts of seq"),
        (
            [
                LSTM,
                LAST,
                node("Split", "state", "a b", axis=0),
                node("Split", "a", "c d", axis=1),
                node("Split", "b", "e f", axis=1),
                node("Concat", "c f", "mixed", axis=1),
            ],
            "it mixes sequences of the batch",
        ),
    ],
)
def test_what_needs_fixed_sizes_to_be_written(nodes, match):
    with refused(match):
        lrplstm.from_onnx(built(*nodes, inputs={"x": (9, 2, D)}))


def test_the_axis_of_softmax_in_older_opsets():
    """There it goes over all axes from that one on, and 1 is the default."""
    nodes = [lstm_node("x W R B", "Y"), node("Squeeze", "Y", "rows", axes=[1])]
    nodes += [node("MatMul", "rows V", "sums")]
    with refused("it goes over the axis 1, which is not that of the scores"):
        lrplstm.from_onnx(built(*nodes, node("Softmax", "sums", "scores"), opset=12))
    model = lrplstm.from_onnx(built(*nodes, node("Softmax", "sums", "scores", axis=2), opset=12))
    assert model.pooling == "none"


@pytest.mark.parametrize(
    "shape", [(1, 1, D), (1, "B", D), ("T", 1, None), (9, 3, None), (500, 64, D)]
)
def test_sizes_that_are_fixed_or_open(shape):
    lrplstm.from_onnx(built(LSTM, inputs={"x": shape}))


def test_integers_without_an_embedding():
    with refused("X: expected float numbers, got ids; an embedding is missing"):
        lrplstm.from_onnx(built(lstm_node("ids W R B", "Y"), inputs={"ids": ("T", "B", D)}))
    cast = node("Cast", "ids", "floats", to=TensorProto.FLOAT)
    with refused("it turns numbers that the input decides into another kind"):
        lrplstm.from_onnx(
            built(cast, lstm_node("floats W R B", "Y"), inputs={"ids": ("T", "B", D)})
        )
    with refused("expected rows of a constant matrix at ids of the input"):
        lrplstm.from_onnx(built(node("Gather", "V x", "y"), inputs={"x": ("T", "B")}))
    with refused("expected rows of a constant matrix at ids of the input"):
        lrplstm.from_onnx(built(node("Gather", "W ids", "y"), inputs={"ids": ("T", "B")}))


def test_opsets_and_domains():
    for versions, found in (([6], "6"), ([999], "999"), ([], "none"), ([13, 14], "13, 14")):
        proto = built(LSTM)
        del proto.opset_import[:]
        proto.opset_import.extend(helper.make_opsetid("", version) for version in versions)
        with refused(f"expected one opset from 7 to .*, got {found}"):
            lrplstm.from_onnx(proto)
    proto = built(LSTM)
    proto.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    assert lrplstm.from_onnx(proto).num_layers == 1  # as long as no node is of it


@pytest.mark.parametrize("source", [None, 3, b"model.onnx", ["model.onnx"], np.ones(3)])
def test_what_is_no_source(source):
    with refused("source: expected the path of an .onnx file or a ModelProto, got", TypeError):
        lrplstm.from_onnx(source)


def test_weights_that_are_no_numbers():
    for name in ("W", "R", "B", "h0"):
        arrays = FORWARD | {name: np.full_like(FORWARD[name], np.nan)}
        with refused(r"node 'lstm' \(LSTM\): (.*expected finite numbers|initial_h: expected the)"):
            lrplstm.from_onnx(
                graph([lstm_node("x W R B - h0", "Y", "lstm")], arrays, outputs=["Y"])
            )


# Files ------------------------------------------------------------------------------------------


def written(folder, proto):
    path = folder / "model.onnx"
    path.write_bytes(proto if isinstance(proto, bytes) else proto.SerializeToString())
    return path


def field(number, content):
    """A message as a field of another, as protobuf has it."""
    size, length = len(content), b""
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "not an ONNX model: it has no graph with nodes"),
        (b"PK\x03\x04" + bytes(100), "not a readable ONNX file|not an ONNX model"),
        (b"\x80\x04}q\x00.", "not a readable ONNX file"),
        (b'{"format": "lrplstm"}', "not a readable ONNX file"),
        (b"\xff" * 100, "not a readable ONNX file"),
        (field(7, b""), "not an ONNX model: it has no graph with nodes"),
        (field(7, field(1, b"")), "expected one opset from 7"),
        (field(7, b"\x0a\xff\xff\xff\xff\x0f"), "cut short or damaged"),
        # Two bytes each, of which protobuf would make a node of two hundred.
        (field(7, b"\x0a\x00" * 200_000), "a file of 4000.. bytes in more than 7.... parts"),
    ],
)
def test_files_that_are_no_models(content, match, tmp_path):
    path = written(tmp_path, content)
    with refused(f"model.onnx: .*({match})"):
        lrplstm.from_onnx(path)


def test_there_is_no_file(tmp_path):
    with refused("none.onnx: expected a file, found none"):
        lrplstm.from_onnx(tmp_path / "none.onnx")
    with refused("expected a file, found something else"):
        lrplstm.from_onnx(tmp_path)
    os.mkfifo(tmp_path / "pipe.onnx")
    with refused("expected a file, found something else"):
        lrplstm.from_onnx(tmp_path / "pipe.onnx")


def changed(change):
    proto = built(LSTM, LAST, GEMM)
    change(proto)
    return proto


def tensor(proto, name="W"):
    return next(part for part in proto.graph.initializer if part.name == name)


def set_dims(*dims, name="W"):
    def change(proto):
        found = tensor(proto, name)
        del found.dims[:]
        found.dims.extend(dims)

    return change


def append(*nodes):
    """Put nodes in front; what they give is what the LSTM reads."""

    def change(proto):
        old = list(proto.graph.node)
        del proto.graph.node[:]
        proto.graph.node.extend([*nodes, *old])

    return change


def constant(name, value):
    return node("Constant", "", name, value=numpy_helper.from_array(np.asarray(value)))


def reading(name, *nodes):
    """Let the LSTM have an initial state that nodes make."""

    def change(proto):
        append(*nodes)(proto)
        lstm = next(part for part in proto.graph.node if part.name == "lstm")
        lstm.input.extend(["", name])

    return change


def nested(depth):
    """A node with a graph in it, with a node with a graph in it..."""

    def change(proto):
        inner = helper.make_graph([node("Identity", "x", "y")], "g", [], [])
        for _ in range(depth):
            part = node("If", "x", "y")
            part.attribute.append(helper.make_attribute("then_branch", inner))
            inner = helper.make_graph([part], "g", [], [])
        reading("y", *inner.node)(proto)

    return change


def duplicated(proto):
    proto.graph.initializer.append(tensor(proto))


def missing(proto):
    proto.graph.initializer.remove(tensor(proto))


def given_twice(proto):
    proto.graph.node.append(node("Identity", "x", "state"))
    proto.graph.node.append(GEMM)


def cycle(proto):
    proto.graph.node[0].input.extend(["", "Yh"])


def backwards(proto):
    nodes = list(proto.graph.node)[::-1]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)


def cut(proto):
    tensor(proto).raw_data = tensor(proto).raw_data[:-1]


def cut_list(proto):
    numbers = numpy_helper.to_array(tensor(proto)).reshape(-1).tolist()
    tensor(proto).ClearField("raw_data")
    tensor(proto).float_data.extend(numbers[:-1])


def in_segments(proto):
    tensor(proto).segment.begin = 0
    tensor(proto).segment.end = 3


def long_names(proto):
    proto.graph.node[0].name = "n\n" * 100_000
    proto.graph.node[0].op_type = "o\r" * 100_000


def twice_the_attribute(proto):
    part = proto.graph.node[0]
    part.attribute.append(helper.make_attribute("hidden_size", 9))


HUGE = [
    reading("y", constant("s", [1, 2**40, H]), node("ConstantOfShape", "s", "y")),
    reading("y", constant("s", [1, 10**6, H]), node("ConstantOfShape", "s", "y")),
    reading(
        "y",
        constant("s", [2**62, 2**62]),
        constant("c", np.zeros((1, 1), "f4")),
        node("Expand", "c s", "y"),
    ),
    reading(
        "y",
        constant("s", [10**6, 1, 1]),
        constant("c", np.zeros((1, 1, H), "f4")),
        node("Tile", "c s", "y"),
    ),
    reading(
        "y", constant("a", 0), constant("b", 2**60), constant("c", 1), node("Range", "a b c", "y")
    ),
    reading(
        "y",
        constant("a", np.zeros((9000, 1), "f4")),
        constant("b", np.zeros((1, 9000), "f4")),
        node("Add", "a b", "y"),
    ),
    reading(
        "y",
        constant("y0", np.zeros(1000, "f4")),
        *(node("Concat", f"y{n} y{n}", f"y{n + 1}", axis=0) for n in range(30)),
        node("Identity", "y30", "y"),
    ),
    reading(
        "y",
        constant("c", np.zeros((1, 1000), "f4")),
        constant("i", np.zeros(10**6, "i8")),
        node("Gather", "c i", "y"),
    ),
    reading("y", constant("s", [2**31, 1, D]), node("Expand", "x s", "y")),
    reading(
        "y",
        constant("s", [1] * 300),
        node("Reshape", "x s", "y"),
    ),
    # Many nodes, each of which would have its own copy of the same weights.
    reading(
        "y",
        constant("V2", np.zeros((1, 256, D), "f4")),
        constant("R2", np.zeros((1, 256, 64), "f4")),
        *(lstm_node("x V2 R2", f"y{n}", hidden_size=64) for n in range(200)),
        node("Concat", " ".join(f"y{n}" for n in range(200)), "y", axis=0),
    ),
]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (set_dims(2**31, 2**31, 2**31), "tensor 'W': 320 bytes do not fill shape"),
        (set_dims(-1, 4 * H, D), "tensor 'W': expected a shape, got"),
        (set_dims(*[1] * 40), "tensor 'W': expected a shape, got"),
        (set_dims(4 * H, D), r"W: expected shape \(1, 16, 5\), got \(16, 5\)"),
        (set_dims(0, 4 * H, D), "320 bytes do not fill"),
        (set_dims(1, D, 4 * H), r"W: expected shape"),
        (cut, "tensor 'W': 319 bytes do not fill shape"),
        (cut_list, "tensor 'W': 79 numbers do not fill shape"),
        (in_segments, "tensor 'W': it is one of several segments"),
        (duplicated, "two of its initializers have one name"),
        (missing, r"node 'lstm' \(LSTM\): 'W' is read, but nothing before gives it"),
        (given_twice, "'state' is there already"),
        (cycle, "'Yh' is read, but nothing before gives it"),
        (backwards, "'state' is read, but nothing before gives it"),
        (long_names, r"node 'n\\nn\\nn.{0,80}: this operator is not read"),
        (twice_the_attribute, "attribute 'hidden_size' is there twice"),
        (nested(3), r"its condition depends on the input"),
        (nested(25), r"\(If\): loops and branches within more than|not a readable ONNX"),
        *[
            (
                change,
                "takes more than|expected up to|too big|large|shape mismatch|OverflowError",
            )
            for change in HUGE
        ],
    ],
    ids=lambda value: getattr(value, "__name__", str(value)[:20]),
)
def test_hostile_graphs(change, match, tmp_path):
    path = written(tmp_path, changed(change))
    refused_or_read(lrplstm.from_onnx, path)
    start = time.perf_counter()
    with refused(f"model.onnx: .*({match})"):
        lrplstm.from_onnx(path)
    assert time.perf_counter() - start < 2
    proto = changed(change)
    with refused(f"source: .*({match})"):
        lrplstm.from_onnx(proto)


# Data in other files ----------------------------------------------------------------------------


def external(proto, **entries):
    """Let the numbers of W lie in another file."""
    part = tensor(proto)
    part.ClearField("raw_data")
    part.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        part.external_data.add(key=key, value=str(value))
    return proto


@pytest.fixture
def folder(tmp_path):
    """A model's folder with good data in it, and data that are none of the model's around it."""
    inner = tmp_path / "inner"
    inner.mkdir()
    content = FORWARD["W"].tobytes()
    (inner / "sub").mkdir()
    for path in (tmp_path / "secret", inner / "data", inner / "sub" / "data"):
        path.write_bytes(content)
    (inner / "link").symlink_to(tmp_path / "secret")
    (inner / "up").symlink_to(tmp_path)
    (inner / "own").symlink_to(inner / "data")
    os.mkfifo(inner / "pipe")
    return inner


@pytest.mark.parametrize("location", ["data", "sub/data", "./data"])
@pytest.mark.parametrize("entries", [{}, {"offset": 0, "length": 320}])
def test_data_beside_the_model(folder, location, entries):
    proto = external(built(LSTM, LAST, GEMM), location=location, **entries)
    found = lrplstm.from_onnx(written(folder, proto))
    expected = lrplstm.from_onnx(built(LSTM, LAST, GEMM))
    x = random_batch(dtype=np.float32)
    np.testing.assert_array_equal(found.predict(x), expected.predict(x))


OUTSIDE = "expected a file in the model's own folder"


@pytest.mark.parametrize(
    ("entries", "match"),
    [
        ({}, OUTSIDE),
        ({"location": ""}, OUTSIDE),
        ({"location": "."}, OUTSIDE),
        ({"location": "sub"}, OUTSIDE),
        ({"location": "../secret"}, OUTSIDE),
        ({"location": "sub/../../secret"}, OUTSIDE),
        ({"location": "sub/../data"}, OUTSIDE),
        ({"location": "/etc/hostname"}, OUTSIDE),
        ({"location": "//etc/hostname"}, OUTSIDE),
        ({"location": "link"}, OUTSIDE),
        ({"location": "up/secret"}, OUTSIDE),
        ({"location": "own"}, OUTSIDE),
        ({"location": "pipe"}, OUTSIDE),
        ({"location": "none"}, OUTSIDE),
        ({"location": "data\0"}, OUTSIDE),
        ({"location": "d" * 5000}, OUTSIDE),
        ({"location": "data\nx"}, r"its numbers are in 'data\\nx'"),
        ({"location": "data", "offset": 1}, "expected 320 bytes from byte 1 of 'data', which has"),
        ({"location": "data", "offset": 2**63}, "expected 320 bytes from byte 92"),
        ({"location": "data", "offset": -8}, "expected a number of bytes, got '-8'"),
        ({"location": "data", "offset": "1" * 5000}, "expected a number of bytes, got '11"),
        ({"location": "data", "length": 319}, "319 bytes do not fill shape"),
        ({"location": "data", "length": "²"}, "expected a number of bytes, got"),
    ],
)
def test_data_elsewhere(folder, entries, match):
    path = written(folder, external(built(LSTM, LAST, GEMM), **entries))
    with refused(f"model.onnx: node 'lstm' .LSTM.: tensor 'W': .*{match}"):
        lrplstm.from_onnx(path)


def test_data_that_many_tensors_want(folder):
    """Or else a thousand tensors could each ask for the whole of a file."""
    proto = external(built(LSTM, LAST, GEMM), location="data")
    part = tensor(proto, "h0") if any(t.name == "h0" for t in proto.graph.initializer) else None
    assert part is None
    copy = proto.graph.initializer.add()
    copy.CopyFrom(tensor(proto))
    copy.name = "again"
    append(node("Concat", "W again", "W2", axis=0))(proto)
    proto.graph.node[1].input[1] = "W2"
    with refused("'data', which has 320, of which 0 are left to be read"):
        lrplstm.from_onnx(written(folder, proto))


def test_data_of_a_model_without_a_folder():
    with refused("tensor 'W': its numbers are in another file; load the model with all"):
        lrplstm.from_onnx(external(built(LSTM, LAST, GEMM), location="data"))


# Damage -----------------------------------------------------------------------------------------


def originals():
    files = [
        exported(network(1)),
        exported(network(2, "max", layers=2, bidirectional=True, head="stack"), dynamic=False),
        built(LSTM, LAST, GEMM),
    ]
    return [file.SerializeToString() for file in files]


def test_damaged_files(tmp_path):
    good = originals()
    for content in good:
        lrplstm.from_onnx(written(tmp_path, content))

    @settings(max_examples=250, derandomize=True, deadline=None)
    @given(damage(good))
    def check(content):
        refused_or_read(lrplstm.from_onnx, written(tmp_path, content))

    check()


class Editor:
    """Changes a graph here and there as hypothesis wants it."""

    def __init__(self, proto, data):
        self.proto = onnx.ModelProto()
        self.proto.CopyFrom(proto)
        self.data = data

    def choose(self, values):
        return self.data.draw(st.sampled_from(list(values)))

    def edit(self):
        getattr(self, "edit_" + self.choose(["input", "attribute", "constant", "node", "order"]))()

    def edit_input(self):
        """Let a node read something else."""
        part = self.choose(self.proto.graph.node)
        if part.input:
            names = {
                name for other in self.proto.graph.node for name in [*other.input, *other.output]
            }
            part.input[self.choose(range(len(part.input)))] = self.choose(sorted(names))

    def edit_attribute(self):
        part = self.choose(self.proto.graph.node)
        for attribute in part.attribute:
            if attribute.type == AttributeProto.INT:
                attribute.i = self.choose([-1, 0, 1, 2, H])
            elif attribute.type == AttributeProto.INTS and attribute.ints:
                place = self.choose(range(len(attribute.ints)))
                attribute.ints[place] = self.choose([-1, 0, 1, 2, 3])
            elif attribute.type == AttributeProto.TENSOR:
                self.edit_tensor(attribute.t)

    def edit_constant(self):
        if self.proto.graph.initializer:
            self.edit_tensor(self.choose(self.proto.graph.initializer))

    def edit_tensor(self, part):
        array = numpy_helper.to_array(part).copy()
        if array.dtype == np.int64 and array.size:
            array.reshape(-1)[self.choose(range(array.size))] = self.choose([-2, -1, 0, 1, 2, 4, 8])
        part.CopyFrom(numpy_helper.from_array(array, part.name))

    def edit_node(self):
        part = self.choose(self.proto.graph.node)
        kinds = ["Relu", "Tanh", "Identity", "Softmax", "Squeeze", "Transpose", "Flatten"]
        if len(part.input) == 1:
            part.op_type = self.choose(kinds)
            del part.attribute[:]

    def edit_order(self):
        part = self.choose(self.proto.graph.node)
        names = list(part.input)
        del part.input[:]
        part.input.extend(self.data.draw(st.permutations(names)))


SOURCES = [
    ("last", {"ids": False}),
    ("last by reshape", {"layers": 2, "bidirectional": True, "ids": False}),
    ("ends of rows", {"bidirectional": True, "ids": False}),
    ("max", {"bidirectional": True, "head": "stack", "ids": False}),
    ("rows", {"layers": 2, "ids": False, "batch_first": False}),
    ("mean", {"ids": False, "batch_first": False}),
]


def same_scores(model, outputs, batch):
    """Whether these are the scores of a batch, of which sequences lie along either axis."""
    outputs = np.sort(outputs.reshape(-1))
    for axis in (0, 1):
        scores = np.stack(model.predict(list(np.moveaxis(batch, axis, 0))))
        softmax = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)
        for found in (scores, softmax, np.log(softmax), 1 / (1 + np.exp(-scores))):
            found = np.sort(found.reshape(-1))
            if found.shape == outputs.shape and np.allclose(found, outputs, rtol=1e-4, atol=1e-5):
                return True
    return False


def test_changed_graphs_are_refused_or_read_right():
    """Whatever is read has the scores that ONNX Runtime computes, if that can run it."""
    protos = [
        exported(network(n, pooling, **options)) for n, (pooling, options) in enumerate(SOURCES)
    ]
    batch = np.random.default_rng(3).normal(size=(6, 4, D)).astype("f4")
    seen = {"read": 0, "compared": 0, "refused": 0}

    @settings(
        max_examples=300,
        derandomize=True,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(st.data())
    def check(data):
        editor = Editor(data.draw(st.sampled_from(protos)), data)
        for _ in range(data.draw(st.integers(1, 3))):
            editor.edit()
        try:
            model = lrplstm.from_onnx(editor.proto)
        except ValueError as error:
            text = str(error)
            assert len(text.splitlines()) == 1
            seen["refused"] += 1
            return
        seen["read"] += 1
        try:
            outputs = run(editor.proto, x=batch)[0]
        except Exception:  # a graph that ONNX Runtime refuses, in one of many ways
            return
        seen["compared"] += 1
        assert same_scores(model, outputs, batch)

    check()
    assert min(seen.values()) > 20, seen


@pytest.mark.parametrize("operator", ["Identity", "Tanh", "Mul", "Add"])
def test_long_chains_of_nodes(operator):
    """Each node is read once, whatever lies behind it."""
    number = 1000
    reads = {"Mul": "s{} one", "Add": "s{0} s{0}"}.get(operator, "s{}")
    chain = [node(operator, reads.format(n), f"s{n + 1}") for n in range(number)]
    last = [node("MatMul", "x V", "s0"), *chain, node("Tanh", f"s{number}", "scores")]
    constants = {"V": draw(RNG, D, C)} | ({"one": np.float32(1)} if operator == "Mul" else {})
    start = time.process_time()
    model = lrplstm.from_onnx(graph(last, constants))
    assert time.process_time() - start < 10
    assert len(model.graph.layers) <= number + 3
