"""ONNX graphs for the tests: built by hand, exported by PyTorch, and run by ONNX Runtime."""

from __future__ import annotations

import contextlib
import io
import warnings

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import helper, numpy_helper

D, H, C, VOCABULARY = 5, 4, 3, 11
SCALE = 0.4
FLOATS = {np.dtype("f4"): onnx.TensorProto.FLOAT, np.dtype("f8"): onnx.TensorProto.DOUBLE}


# By hand ----------------------------------------------------------------------------------------


def draw(rng, *shape, dtype="f4"):
    return rng.normal(0, SCALE, shape).astype(dtype)


def node(operator, inputs, outputs, name=None, **attributes):
    """A node whose inputs and outputs are given in one string each; "-" for one left out."""
    inputs, outputs = (
        [name.replace("-", "") for name in names.split()] for names in (inputs, outputs)
    )
    name = name or "/" + next(filter(None, outputs))
    return helper.make_node(operator, inputs, outputs, name, **attributes)


def lstm_node(inputs, outputs, name=None, hidden_size=H, **attributes):
    return node("LSTM", inputs, outputs, name, hidden_size=hidden_size, **attributes)


def graph(nodes, constants, inputs=None, outputs=("scores",), opset=17):
    """A model; `inputs` are shapes by names, of floats, or of integers if the name is "ids"."""
    inputs = {"x": ("T", "B", D)} if inputs is None else inputs
    arrays = {name: np.asarray(array) for name, array in constants.items()}
    dtype = next((FLOATS[a.dtype] for a in arrays.values() if a.dtype in FLOATS), 1)
    kinds = {"ids": onnx.TensorProto.INT64, "lengths": onnx.TensorProto.INT32}
    return helper.make_model(
        helper.make_graph(
            nodes,
            "graph",
            [
                helper.make_tensor_value_info(name, kinds.get(name, dtype), shape)
                for name, shape in inputs.items()
            ],
            [helper.make_tensor_value_info(name, dtype, None) for name in outputs],
            [numpy_helper.from_array(array, name) for name, array in arrays.items()],
        ),
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=8,
    )


def lstm_arrays(rng, prefix="", *, sides=1, size=D, hidden=H, batch=None, dtype="f4"):
    """W, R and B of a node and, for a batch of some size, one initial state for all of it."""
    arrays = {
        "W": draw(rng, sides, 4 * hidden, size, dtype=dtype),
        "R": draw(rng, sides, 4 * hidden, hidden, dtype=dtype),
        "B": draw(rng, sides, 8 * hidden, dtype=dtype),
    }
    if batch:
        for name in ("h0", "c0"):
            arrays[name] = draw(rng, sides, 1, hidden, dtype=dtype).repeat(batch, axis=1)
    return {prefix + name: array for name, array in arrays.items()}


def head_arrays(rng, width, classes=C, dtype="f4"):
    return {"V": draw(rng, width, classes, dtype=dtype), "d": draw(rng, classes, dtype=dtype)}


# Run --------------------------------------------------------------------------------------------


def run(model, **inputs):
    """All outputs, by ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, inputs)


# By PyTorch -------------------------------------------------------------------------------------


class Network(torch.nn.Module):
    """An LSTM network as people write them."""

    def __init__(
        self,
        pooling="last",
        *,
        layers=1,
        bidirectional=False,
        batch_first=True,
        ids=True,
        head="one",
    ):
        super().__init__()
        self.pooling, self.time = pooling, int(batch_first)
        self.embedding = torch.nn.Embedding(VOCABULARY, D) if ids else None
        self.lstm = torch.nn.LSTM(
            D, H, layers, bidirectional=bidirectional, batch_first=batch_first
        )
        width = H * (1 + bidirectional)
        self.head = torch.nn.Linear(width, C)
        if head == "stack":
            self.head = torch.nn.Sequential(
                torch.nn.Linear(width, 6),
                torch.nn.ReLU(),
                torch.nn.Dropout(0.5),
                torch.nn.Linear(6, 7),
                torch.nn.Tanh(),
                self.head.__class__(7, C),
            )
        elif head == "softmax":
            self.head = torch.nn.Sequential(self.head, torch.nn.Softmax(-1))
        elif head == "none":
            self.head = torch.nn.Identity()

    def forward(self, x):
        return self.from_vectors(x if self.embedding is None else self.embedding(x))

    def from_vectors(self, x):
        hidden, (final, _) = self.lstm(x)
        time, batch = self.time, x.shape[1 - self.time]
        both = self.lstm.bidirectional
        match self.pooling:
            case "last":
                pooled = torch.cat([final[-2], final[-1]], -1) if both else final[-1]
            case "last by reshape":
                states = final.view(self.lstm.num_layers, 1 + both, batch, H)[-1]
                pooled = states.transpose(0, 1).reshape(batch, -1)
            case "last row":
                pooled = hidden.select(time, -1)
            case "relu of last row":
                pooled = hidden.select(time, -1).relu()
            case "ends of rows":
                pooled = torch.cat(
                    [hidden.select(time, -1)[:, :H], hidden.select(time, 0)[:, H:]], -1
                )
            case "swapped":
                pooled = torch.cat([final[-1], final[-2]], -1)
            case "mean":
                pooled = hidden.mean(time)
            case "max":
                pooled = hidden.max(time).values
            case "adaptive mean":
                pooled = torch.nn.functional.adaptive_avg_pool1d(hidden.permute(0, 2, 1), 1)
                pooled = pooled.squeeze(-1)
            case "adaptive max":
                pooled = torch.nn.functional.adaptive_max_pool1d(hidden.permute(0, 2, 1), 1)
                pooled = pooled.squeeze(-1)
            case "rows":
                return self.head(hidden.reshape(-1, hidden.shape[-1])).view(*x.shape[:2], -1)
            case "none":
                pooled = hidden
            case "head before last row":
                return self.head(hidden).select(time, -1)
        return self.head(pooled)


POOLINGS = {
    "last by reshape": "last",
    "last row": "last",
    "relu of last row": "last",
    "ends of rows": "last",
    "swapped": "last",
    "head before last row": "last",
    "adaptive mean": "mean",
    "adaptive max": "max",
    "rows": "none",
}


def network(seed=0, pooling="last", **options):
    torch.manual_seed(seed)
    module = Network(pooling, **options).eval()
    for name, parameter in module.named_parameters():
        if "bias" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    return module


def exported(module, *, dynamo=False, dynamic=True, steps=6, batch=2, **options):
    """What an exporter of PyTorch makes of a Network."""
    shape = (batch, steps) if module.time else (steps, batch)
    x = torch.randint(0, VOCABULARY, shape)
    if module.embedding is None:
        x = torch.randn(*shape, D, dtype=module.lstm.weight_ih_l0.dtype)
    axes = dict(enumerate(("batch", "steps") if module.time else ("steps", "batch")))
    if dynamo:
        sizes = dict.fromkeys(axes, torch.export.Dim.AUTO)
        options |= {"dynamic_shapes": (sizes,) if dynamic else None, "verbose": False}
    else:
        options |= {"input_names": ["x"], "output_names": ["scores"]}
        options["dynamic_axes"] = {"x": axes} if dynamic else None
    return export(module, (x,), dynamo=dynamo, **options)


def export(module, arguments, **options):
    """What PyTorch writes, quietly."""
    file = io.BytesIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # the older exporter says that it is old
        if options["dynamo"]:
            torch.onnx.export(module, arguments, **options).save(file)
        else:
            torch.onnx.export(module, arguments, file, **options)
    return onnx.load_model_from_string(file.getvalue())
