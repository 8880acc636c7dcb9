"""ONNX files, as PyTorch, tf2onnx and others write them."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lrplstm.layers import DenseLayer
from lrplstm.loaders import onnx_head, onnx_network  # noqa: F401 (they enter their operators)
from lrplstm.loaders.arrays import naming
from lrplstm.loaders.onnx_files import Graph, Node, quoted, read_graph, refusing, saying
from lrplstm.loaders.onnx_operators import OPERATORS, Call, Given, Unreadable, Value
from lrplstm.loaders.onnx_quantities import (
    COLUMNS,
    Dense,
    Direction,
    Embedding,
    Quantity,
    Reading,
    directions,
    final_step,
    read_units,
)
from lrplstm.loaders.onnx_tracing import QUANTITY, SEQUENCE, STEP, UNIT, Traced
from lrplstm.loaders.refusals import RefusedError
from lrplstm.loaders.registry import refuse_others
from lrplstm.model import LSTMModel
from lrplstm.texts import shown, with_visible_errors
from lrplstm.weights import Array, Directions, LSTMWeights

if TYPE_CHECKING:
    import onnx

__all__ = ["from_onnx"]

_OPEN_SIZES = (37, 41, 43)
"""Sizes of axes that a graph leaves open: primes, such as no graph has for constants of its own."""


@with_visible_errors
def from_onnx(
    source: str | os.PathLike[str] | onnx.ModelProto,
    *,
    output: str | None = None,
    vocabulary: Sequence[str | None] | Mapping[str, int] | None = None,
    class_names: Sequence[str] | None = None,
    unknown_token: str | None = None,
    tokenizer: str | None = None,
    task: str = "classification",
) -> LSTMModel:
    """Read an LSTM network from an ONNX graph.

    The graph is followed from its input to its output, and what it does to shapes is followed
    with it, so that the layers, the order of their units, the pooling and the head are seen and
    not guessed. It may consist of an embedding (Gather) or read features, of LSTM nodes on top of
    each other, of one or two directions; of their last states, the mean or maximum over all steps,
    or the states of each step; of dense layers with Relu or Tanh; and of a final Softmax,
    LogSoftmax or Sigmoid, before which are the scores. Whatever else it contains is refused, with
    the name of the node. Nodes that the output does not depend on are passed over.

    Parameters
    ----------
    source : str, path or onnx.ModelProto
        An .onnx file, of opset 7 or later. Tensors that it keeps in other files are read if these
        lie in its own folder.
    output : str, optional
        Name of the output that gives the scores. Default: the first.
    vocabulary, class_names, unknown_token, tokenizer, task
        As for `LSTMModel`: a graph has none of them.

    Returns
    -------
    LSTMModel
        float64 if the LSTM's weights are, else float32. `origin` has the names of the nodes.

    Raises
    ------
    ImportError
        If the package onnx is missing: ``pip install "lrplstm[onnx]"``.
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If there is no such file or output, the file is damaged, or the graph is no such network.

    Notes
    -----
    ONNX has the gates in the order i, o, f, c. A graph of fixed length is read as one for
    sequences of any length. See docs/loaders/onnx.md.

    Examples
    --------
    >>> import numpy as np
    >>> import onnx
    >>> from onnx import TensorProto, helper, numpy_helper
    >>> import lrplstm
    >>> rng = np.random.default_rng(0)
    >>> shapes = {"W": (1, 8, 3), "R": (1, 8, 2), "B": (1, 16)}
    >>> weights = [numpy_helper.from_array(rng.normal(0, 0.3, shape).astype("float32"), name)
    ...            for name, shape in shapes.items()]
    >>> node = helper.make_node("LSTM", ["X", "W", "R", "B"], ["Y"], "lstm", hidden_size=2)
    >>> given, scores = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    ...                  for name, shape in [("X", ["T", 1, 3]), ("Y", ["T", 1, 1, 2])])
    >>> graph = helper.make_graph([node], "graph", [given], [scores], weights)
    >>> model = lrplstm.from_onnx(helper.make_model(graph))
    >>> model.pooling, model.origin["lstm"]
    ('none', 'lstm')
    >>> model.predict(rng.normal(size=(5, 3))).shape
    (5, 2)
    """
    if output is not None and not isinstance(output, str):
        raise TypeError(f"output: expected a name, got {shown(output)}")
    refuse_others(source, "from_onnx")
    name, graph = read_graph(source)
    with refusing(name):
        if output is None:
            output = graph.outputs[0] if graph.outputs else ""
        if output not in graph.outputs:
            names = ", ".join(map(quoted, graph.outputs[:5])) or "none at all"
            raise RefusedError(f"output: expected one of {names}, got {quoted(output)}")
        quantities: list[Quantity] = []
        with _saying_what_is_missing(graph):
            value = _follow(graph, output, quantities)
            with saying(f"output {quoted(output)}"):
                arguments = _assemble(quantities, value)
    arguments["origin"]["output"] = output
    with naming(name, (ValueError,)):
        return LSTMModel(
            **arguments,
            vocabulary=vocabulary,
            class_names=class_names,
            unknown_token=unknown_token,
            tokenizer=tokenizer,
            task=task,
        )


_UNROLLED = (
    "some exporters (Keras' own, with some backends) write an LSTM as many matrix products, which "
    "are not read: use tf2onnx or torch.onnx, or read the .keras file with from_keras"
)


@contextmanager
def _saying_what_is_missing(graph: Graph) -> Iterator[None]:
    """Where there is no LSTM at all, let errors say that first."""
    try:
        yield
    except RefusedError as error:
        operators = {proto.op_type for proto in graph.nodes}
        if "LSTM" in operators:
            raise
        others = sorted(name for name in operators if re.search("LSTM|GRU|RNN|Loop|Scan", name))
        found = f"only {', '.join(map(quoted, others[:4]))}" if others else f"none; {_UNROLLED}"
        raise RefusedError(f"expected an LSTM node, found {found}; {error}") from None


# Following a graph ------------------------------------------------------------------------------


def _follow(graph: Graph, output: str, quantities: list[Quantity]) -> Value:
    """Return what a graph's output is, and enter what it is made of into `quantities`."""
    values: dict[str, Value] = {}
    for proto in _needed(graph, output):
        node = graph.node(proto)
        with saying(node.label):
            given = _apply(graph, node, values, quantities)
            for name, value in zip(node.outputs, given, strict=False):
                if not name:
                    continue
                if name in values or name in graph.initializers or name in graph.inputs:
                    raise RefusedError(f"{quoted(name)} is there already")
                values[name] = value
    with saying(f"output {quoted(output)}"):
        return _look_up(graph, output, values, quantities)


def _needed(graph: Graph, output: str) -> list[Any]:
    """Return the nodes on which an output depends, in their order."""
    needed, names = [], {output}
    for proto in reversed(graph.nodes):
        if not names.isdisjoint(proto.output):
            needed.append(proto)
            names.update(filter(None, proto.input))
    return needed[::-1]


def _apply(
    graph: Graph, node: Node, values: dict[str, Value], quantities: list[Quantity]
) -> tuple[Value, ...]:
    """Return what a node gives."""
    if node.operator not in OPERATORS:
        raise RefusedError(
            "quantized models are not read"
            if any(part in node.operator for part in ("uantize", "QLinear", "Integer"))
            else "this operator is not read: it is no embedding, LSTM, pooling or dense layer, and "
            "does more than shape tensors"
        )
    function, attributes = OPERATORS[node.operator]
    if unknown := sorted(node.attributes.keys() - attributes):
        raise RefusedError(f"attribute {quoted(unknown[0])} is not read")
    reads = tuple(
        _look_up(graph, name, values, quantities) if name else None for name in node.inputs
    )
    with np.errstate(all="ignore"):  # infinite numbers are refused by what they end up in
        given = function(Call(node, reads, graph.opset, graph.room, quantities))
    return given if isinstance(given, tuple) else (given,)


def _look_up(
    graph: Graph, name: str, values: dict[str, Value], quantities: list[Quantity]
) -> Value:
    """Return what has a name; constants and inputs, when they are first asked for."""
    if name not in values:
        if name in graph.initializers:
            values[name] = graph.initializer(name)
        elif name in graph.inputs:
            with saying(f"input {quoted(name)}"):
                values[name] = _given(graph, name, quantities)
        else:
            raise RefusedError(f"{quoted(name)} is read, but nothing before gives it")
    return values[name]


def _given(graph: Graph, name: str, quantities: list[Quantity]) -> Traced:
    """Return an input of the graph, in which each number is what it is by definition."""
    given = graph.input(name)
    sizes = [
        size or (_input_size(graph) if n == 2 else None) or _OPEN_SIZES[n]
        for n, size in enumerate(given.shape)
    ]
    first, second, third = (*sizes, 1, 1, 1)[:3]
    quantities.append(Given(name, (first, second, third)))
    axes = list(zip(COLUMNS, sizes, strict=False))
    whole = Traced.of(len(quantities) - 1, axes, graph.room)
    return replace(whole, integers=given.integers)


def _input_size(graph: Graph) -> int | None:
    """Return what the first LSTM says of the last axis of an input that does not say it."""
    for proto in graph.nodes:
        if proto.op_type == "LSTM" and len(proto.input) > 1:
            weights = graph.initializers.get(proto.input[1])
            if weights is not None and len(weights.dims) == 3 and weights.dims[2] > 0:
                return int(weights.dims[2])
    return None


# From quantities to a model ---------------------------------------------------------------------


def _assemble(quantities: Sequence[Quantity], value: Value) -> dict[str, Any]:
    """Return the arguments of LSTMModel."""
    reading, pooling = _scores(quantities, value)
    titles: dict[str, list[str]] = {"input": [], "embedding": [], "lstm": [], "head": []}
    head: list[DenseLayer] = []
    layers: list[Directions] = []
    embedding: Array | None = None
    reads = reading.quantities
    while reads:
        quantity = quantities[reads[0]]
        match quantity:
            case Dense():
                part = "head"
                head.insert(0, quantity.layer)
            case Direction():
                part = "lstm"
                sides = directions(quantities, reads)
                layers.insert(
                    0, [side.weights for side in sides] if sides[1:] else quantity.weights
                )
            case Embedding():
                part = "embedding"
                embedding = quantity.table
            case _:
                part = "input"
        names = dict.fromkeys(quantities[n].title for n in reads)
        titles[part][:0] = names
        reads = quantity.reads
    origin = {part: ", ".join(names) for part, names in titles.items() if names}
    return _in_one_dtype(layers, head, embedding) | {"pooling": pooling, "origin": origin}


def _in_one_dtype(
    layers: list[Directions], head: list[DenseLayer], embedding: Array | None
) -> dict[str, Any]:
    """Return layers, head and embedding in the dtype of the LSTM, the wider if there are two."""
    dtype = max(
        side.dtype
        for layer in layers
        for side in ([layer] if isinstance(layer, LSTMWeights) else layer)
    )
    with np.errstate(over="ignore"):  # infinite numbers are refused by what they end up in
        return {
            "layers": [
                layer.astype(dtype)
                if isinstance(layer, LSTMWeights)
                else tuple(side.astype(dtype) for side in layer)
                for layer in layers
            ],
            "head": [layer.astype(dtype) for layer in head],
            "embedding": None if embedding is None else embedding.astype(dtype, copy=False),
        }


def _scores(quantities: Sequence[Quantity], value: Value) -> tuple[Reading, str]:
    """Return which units the scores are, and the pooling."""
    if isinstance(value, Unreadable):
        raise RefusedError(f"it is {value.what}")
    if not isinstance(value, Traced):
        raise RefusedError("it does not depend on the input")
    # One axis of sequences and steps, and one of units.
    units = [n for n in range(value.ndim) if value.varies(n, QUANTITY, UNIT)]
    places = [n for n in range(value.ndim) if n not in units]
    value = value.transpose([*places, *units])
    number = math.prod(value.shape[: len(places)])
    value = value.reshape((number, math.prod(value.shape) // number))
    reading = read_units(quantities, value, 1)
    if (reading.order[1:] < reading.order[:-1]).any():
        raise RefusedError("its scores are in another order than the units that they are made of")

    pooling = value.pooling
    if not pooling:
        pooling = "none" if value.varies(0, STEP) else "last"
        if pooling == "last":
            final_step(quantities, reading)
    side = directions(quantities, reading.quantities)[0]
    expected = side.sequences * (side.steps if pooling == "none" else 1)
    if number != expected or len(np.unique(value.at(0)[:, [STEP, SEQUENCE]], axis=0)) != expected:
        raise RefusedError("it has no scores, or several, for some step or sequence")
    return reading, pooling
