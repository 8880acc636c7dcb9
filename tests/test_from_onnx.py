"""ONNX graphs: of both PyTorch exporters, made by hand, of ONNX's own tests, and damaged."""

from __future__ import annotations

import io
import warnings

import numpy as np
import onnx
import pytest
import torch
from fuzzing import damaged, refused_or_read
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from random_models import relative_error

import lrplstm

D, H, C, T = 3, 4, 5, 6


# PyTorch's exporters ----------------------------------------------------------------------------


class Network(torch.nn.Module):
    def __init__(self, *, pooling, directions, layers, batch_first, words, stack):
        super().__init__()
        self.pooling, self.batch_first = pooling, batch_first
        self.embed = torch.nn.Embedding(9, D) if words else None
        self.lstm = torch.nn.LSTM(
            D, H, layers, bidirectional=directions == 2, batch_first=batch_first
        )
        width = directions * H
        layers = [torch.nn.Linear(width, C)]
        if stack:
            layers = [torch.nn.Linear(width, 7), torch.nn.ReLU(), torch.nn.Linear(7, C)]
        self.head = torch.nn.Sequential(*layers)

    def forward(self, x):
        hidden, (final, _) = self.lstm(x if self.embed is None else self.embed(x))
        time = 1 if self.batch_first else 0
        if self.pooling == "last":
            both = [final[-2], final[-1]] if self.lstm.bidirectional else [final[-1]]
            return self.head(torch.cat(both, dim=1))
        if self.pooling == "mean":
            return self.head(hidden.mean(dim=time))
        if self.pooling == "max":
            return self.head(hidden.max(dim=time).values)
        return self.head(hidden)


CASES = [
    {"pooling": "last", "directions": 2, "layers": 1, "batch_first": True, "words": True},
    {"pooling": "last", "directions": 1, "layers": 2, "batch_first": False, "words": False},
    {"pooling": "mean", "directions": 2, "layers": 2, "batch_first": True, "words": False},
    {"pooling": "max", "directions": 2, "layers": 1, "batch_first": False, "words": True},
    {"pooling": "none", "directions": 2, "layers": 1, "batch_first": True, "words": True},
]


@pytest.mark.parametrize("dynamo", [True, False], ids=["dynamo", "torchscript"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["pooling"])
def test_graphs_of_pytorch(case, dynamo, tmp_path):
    torch.manual_seed(0)
    network = Network(**case, stack=case["pooling"] != "max").eval()
    shape = (1, T) if case["batch_first"] else (T, 1)
    x = torch.randint(0, 9, shape) if case["words"] else torch.randn(*shape, D)
    path = tmp_path / "network.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of the exporters
        torch.onnx.export(network, (x,), str(path), dynamo=dynamo, verbose=False)
    model = lrplstm.from_onnx(path)
    assert model.pooling == case["pooling"]
    expected = network(x).detach().numpy().squeeze(0 if case["batch_first"] else -2)
    rows = x.numpy().reshape(T, *x.shape[2:])
    found = model.predict(rows)
    assert relative_error(found, expected.reshape(found.shape)) < 1e-5

    target = 2
    gi = lrplstm.gradient_x_input(model, rows, target, level="input")
    features = network.embed(x) if case["words"] else x
    features = features.detach().requires_grad_()
    network.embed = None
    (gradient,) = torch.autograd.grad(network(features)[..., target].sum(), features)
    products = (gradient * features).detach().numpy().reshape(T, D)
    assert relative_error(gi.input_relevance, products) < 2e-5


# Made by hand -----------------------------------------------------------------------------------


def draw(*shape, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).normal(0, 0.4, shape).astype(dtype)


def lstm_model(directions=1, dtype=np.float64, inputs=("", "", ""), extra=None, **attributes):
    """A graph that is one LSTM node, with its Y as output; and its initializers."""
    arrays = {
        "W": draw(directions, 4 * H, D, seed=1, dtype=dtype),
        "R": draw(directions, 4 * H, H, seed=2, dtype=dtype),
        "B": draw(directions, 8 * H, seed=3, dtype=dtype),
        "h0": draw(directions, 1, H, seed=4, dtype=dtype),
        "c0": draw(directions, 1, H, seed=5, dtype=dtype),
    } | (extra or {})
    layout = attributes.get("layout", 0)
    if layout:
        arrays |= {name: arrays[name].swapaxes(0, 1) for name in ("h0", "c0")}
    node = helper.make_node(
        "LSTM", ["X", "W", "R", *inputs], ["Y"], "the_lstm", hidden_size=H, **attributes
    )
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    x_shape, y_shape = ([T, 1, D], [T, directions, 1, H])
    if layout:
        x_shape, y_shape = ([1, T, D], [1, T, directions, H])
    graph = helper.make_graph(
        [node],
        "graph",
        [helper.make_tensor_value_info("X", kind, x_shape)],
        [helper.make_tensor_value_info("Y", kind, y_shape)],
        [numpy_helper.from_array(a, name) for name, a in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


@pytest.mark.parametrize("layout", [0, 1])
@pytest.mark.parametrize("bias", ["", "B"])
@pytest.mark.parametrize("states", [("", ""), ("h0", "c0")], ids=["zeros", "states"])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_nodes(direction, states, bias, layout):
    both = 2 if direction == "bidirectional" else 1
    proto = lstm_model(both, inputs=(bias, "", *states), direction=direction, layout=layout)
    model = lrplstm.from_onnx(proto)
    x = draw(T, D, seed=6)
    given = x[np.newaxis] if layout else x[:, np.newaxis]
    # The reference evaluator runs one direction, in layout 0, at a time.
    expected = []
    weights = {t.name: numpy_helper.to_array(t) for t in proto.graph.initializer}
    for d in range(both):
        arrays = {name: weights[name][d : d + 1] for name in ("W", "R", "B")}
        for name in ("h0", "c0"):
            array = weights[name].swapaxes(0, 1) if layout else weights[name]
            arrays[name] = np.ascontiguousarray(array[d : d + 1])
        one = lstm_model(1, inputs=(bias, "", *states), extra=arrays)
        backwards = direction == "reverse" or d == 1
        turn = slice(None, None, -1 if backwards else 1)
        (y,) = ReferenceEvaluator(one).run(None, {"X": x[turn][:, np.newaxis]})
        expected.append(y[turn, 0, 0])
    assert given.size == x.size
    assert relative_error(model.predict(x), np.concatenate(expected, axis=1)) < 1e-12


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"inputs": ("B", "", "", "", "P"), "extra": {"P": draw(1, 3 * H)}}, "peephole|P"),
        ({"clip": 0.5}, "clip"),
        ({"input_forget": 1}, "input_forget"),
        ({"activations": ["HardSigmoid", "Tanh", "Tanh"]}, "HardSigmoid"),
        ({"activations": ["Sigmoid", "Relu", "Tanh"]}, "Relu"),
    ],
    ids=lambda v: next(iter(v)) if isinstance(v, dict) else "",
)
def test_what_is_refused_by_name(changed, match):
    with pytest.raises(ValueError, match=rf"the_lstm.*({match})"):
        lrplstm.from_onnx(lstm_model(**changed))


def test_an_operator_that_cannot_be_explained_is_named():
    proto = lstm_model()
    proto.graph.node.append(helper.make_node("Erf", ["Y"], ["Z"], "the_erf"))
    proto.graph.output[0].name = "Z"
    with pytest.raises(ValueError, match=r"the_erf.*Erf|Erf.*the_erf"):
        lrplstm.from_onnx(proto)


def test_the_last_row_of_two_directions_is_no_final_state():
    proto = lstm_model(2, direction="bidirectional")
    proto.graph.initializer.append(numpy_helper.from_array(np.array(-1), "last"))
    proto.graph.node.append(helper.make_node("Gather", ["Y", "last"], ["Z"], "the_gather", axis=0))
    proto.graph.output[0].CopyFrom(
        helper.make_tensor_value_info("Z", TensorProto.DOUBLE, [2, 1, H])
    )
    with pytest.raises(ValueError, match=r"the_gather|output"):
        lrplstm.from_onnx(proto)


def test_node_tests_of_onnx():
    """Those that come with the package; peepholes are refused, the others read and right."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of other operators' cases
        cases = [case for case in collect_testcases("LSTM") if case.name.startswith("test_lstm")]
    read = []
    for case in cases:
        proto = case.model
        ((inputs, outputs), *_) = case.data_sets
        given_ = dict(zip([value.name for value in proto.graph.input], inputs, strict=True))
        x, *weights = given_
        for name in weights:  # in these they are inputs; they become constants
            proto.graph.initializer.append(numpy_helper.from_array(given_[name], name))
        del proto.graph.input[1:]
        node = proto.graph.node[0]
        if len(node.input) > 7 and node.input[7]:
            with pytest.raises(ValueError, match="P"):
                lrplstm.from_onnx(proto)
            continue
        wanted = [value.name for value in proto.graph.output]
        model = lrplstm.from_onnx(proto, output=node.output[1])
        assert model.pooling == "last"
        batchwise = any(a.name == "layout" and a.i == 1 for a in node.attribute)
        sequences = given_[x] if batchwise else given_[x].swapaxes(0, 1)
        final = outputs[wanted.index(node.output[1])]
        final = final if batchwise else final.swapaxes(0, 1)
        for rows, expected in zip(sequences, final, strict=True):
            assert relative_error(model.predict(rows), expected.ravel()) < 1e-5
        read.append(case.name)
    assert len(read) >= 3


# Damaged files ----------------------------------------------------------------------------------


def small_file():
    file = io.BytesIO()
    onnx.save(lstm_model(dtype=np.float32, inputs=("B", "", "h0", "c0")), file)
    return file.getvalue()


CONTENT = small_file()


@settings(max_examples=150)
@given(st.data())
def test_damaged_files_are_read_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    path.write_bytes(data.draw(damaged(CONTENT)))
    refused_or_read(lrplstm.from_onnx, path)


@pytest.mark.parametrize("dims", [[2**40, 4 * H, D], [-1, 4 * H, D], [1, 4 * H, D + 1], [0, 0, 0]])
def test_sizes_that_a_file_does_not_have(dims, tmp_path):
    proto = lstm_model(dtype=np.float32)
    del proto.graph.initializer[0].dims[:]
    proto.graph.initializer[0].dims.extend(dims)
    path = tmp_path / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(ValueError, match=r"model\.onnx"):
        lrplstm.from_onnx(path)


def test_numbers_that_are_none(tmp_path):
    extra = {"W": np.full((1, 4 * H, D), np.nan, np.float32)}
    path = tmp_path / "model.onnx"
    path.write_bytes(lstm_model(dtype=np.float32, extra=extra).SerializeToString())
    with pytest.raises(ValueError, match=r"model\.onnx.*NaN"):
        lrplstm.from_onnx(path)


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "link"])
def test_tensors_in_files_elsewhere_are_refused(location, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(4 * 4 * H * D))
    (folder / "link").symlink_to(tmp_path / "secret")
    proto = lstm_model(dtype=np.float32)
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    (folder / "model.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(ValueError, match=r"model\.onnx"):
        lrplstm.from_onnx(folder / "model.onnx")


@pytest.mark.parametrize("name", ["none.onnx", "folder.onnx"])
def test_no_such_file(name, tmp_path):
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(ValueError, match=name):
        lrplstm.from_onnx(tmp_path / name)
