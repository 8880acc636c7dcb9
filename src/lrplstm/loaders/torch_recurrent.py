"""PyTorch's recurrent layers and cells as those of ONNX: gates in its order, layers one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from lrplstm.loaders.torch_values import Translation, Value, operator

__all__ = ["CELLS", "cell"]


class _Kind(NamedTuple):
    """A recurrent layer.

    Attributes
    ----------
    operator : str
        Of ONNX.
    order : str
        Gates of PyTorch, in ONNX's order.
    options : dict
        Attributes of ONNX.
    """

    operator: str
    order: Sequence[int]
    options: dict[str, Any]


_KINDS = {
    "lstm": _Kind("LSTM", (0, 3, 1, 2), {}),  # i, f, g, o: i, o, f, c
    "gru": _Kind("GRU", (1, 0, 2), {"linear_before_reset": 1}),  # r, z, n: z, r, h
    "rnn_tanh": _Kind("RNN", (0,), {}),
    "rnn_relu": _Kind("RNN", (0,), {"activations": ["Relu"]}),
}

CELLS = {f"{name}_cell": name for name in _KINDS}


class _Direction(NamedTuple):
    """The tensors of one direction of one layer; None for what it has not."""

    weight_ih: Any
    weight_hh: Any
    bias_ih: Any
    bias_hh: Any
    weight_hr: Any


def _layer(
    t: Translation,
    kind: _Kind,
    inputs: Value,
    directions: Sequence[_Direction],
    states: Sequence[Value | None],
    tensors: Sequence[Any],
    direction: str,
) -> list[Value]:
    """Add one layer, (T, B, D) to (T, directions, B, H), and its final states.

    `states` are those it begins with, (directions, B, H); None for zeros.
    """
    torch = t.torch

    def gates(rows: Any) -> Any:
        chunks = rows.chunk(len(kind.order))
        return torch.cat([chunks[n] for n in kind.order])

    def constant(rows: Sequence[Any], what: str) -> Value:
        value = t.known(torch.stack(list(rows)).detach())
        t.called(value, t.known(directions[0].weight_ih), what)
        return value

    W = constant([gates(each.weight_ih) for each in directions], "W")
    R = constant([gates(each.weight_hh) for each in directions], "R")
    B = None
    if directions[0].bias_ih is not None:
        B = constant(
            [torch.cat([gates(each.bias_ih), gates(each.bias_hh)]) for each in directions], "B"
        )
    given: list[Value | None] = [inputs, W, R, B, None, *states]
    if directions[0].weight_hr is not None:
        given += [None] * (8 - len(given))
        given.append(constant([each.weight_hr for each in directions], "P"))
    while given[-1] is None:
        given.pop()
    options = dict(kind.options)
    if "activations" in options:
        options["activations"] = options["activations"] * len(directions)
    hidden_size = directions[0].weight_hh.shape[0] // len(kind.order)
    return t.emit_several(
        kind.operator, given, tensors, direction=direction, hidden_size=hidden_size, **options
    )


@operator("lstm", "gru", "rnn_tanh", "rnn_relu")
def _recurrent(
    t: Translation,
    out: Any,
    *,
    name: str,
    input: Value,
    hx: Any,
    params: Sequence[Value],
    has_biases: bool,
    num_layers: int,
    bidirectional: bool,
    batch_first: bool,
    **_: Any,
) -> list[Value]:
    kind, sides = _KINDS[name], 1 + bool(bidirectional)
    if not all(value.constant for value in params):
        raise t.refuse("weights that are computed from inputs")
    initial = list(hx) if isinstance(hx, list | tuple) else [hx]
    final = [out[1]] if len(initial) == 1 else list(out[1:])
    count = len(params) // (num_layers * sides)
    x = t.transposed(input, [1, 0, 2]) if batch_first else input
    parts: list[list[Value]] = [[] for _ in initial]
    for layer in range(num_layers):
        rows = slice(layer * sides, (layer + 1) * sides)
        directions = []
        for side in range(sides):
            begin = (layer * sides + side) * count
            tensors = [value.tensor for value in params[begin : begin + count]]
            biases = tensors[2:4] if has_biases else [None, None]
            hr = tensors[-1] if count == (5 if has_biases else 3) else None
            weights = tensors[0], tensors[1]
            directions.append(_Direction(*weights, biases[0], biases[1], hr))
        states = [_rows(t, value, rows) for value in initial]
        output = _run(t, kind, x.tensor, directions, [s.tensor[rows] for s in initial])
        shapes = [output, *(value[rows] for value in final)]
        y, *last = _layer(
            t,
            kind,
            x,
            directions,
            states,
            shapes,
            "bidirectional" if bidirectional else "forward",
        )
        for each, value in zip(parts, last, strict=True):
            each += [
                t.emit("Gather", [value], value.tensor[side], axis=0, index=side)
                for side in range(sides)
            ]
        if sides == 1:
            x = t.emit("Squeeze", [y], y.tensor[:, 0], axes=[1])
        else:
            swapped = t.transposed(y, [0, 2, 1, 3])
            x = t.reshaped(swapped, swapped.tensor.flatten(2))
    whole = t.transposed(x, [1, 0, 2]) if batch_first else x
    return [whole, *(Value(v, parts=tuple(p)) for v, p in zip(final, parts, strict=True))]


def _rows(t: Translation, value: Value, rows: slice) -> Value | None:
    """Return the initial states of a layer; None if they are zero."""
    if value.constant and not value.written and not value.tensor[rows].any():
        return None
    begin, end, _ = rows.indices(value.shape[0])
    if value.constant:
        return t.known(value.tensor[rows].contiguous())
    if (begin, end) == (0, value.shape[0]):
        return value
    return t.emit("Slice", [value], value.tensor[rows], axis=0, start=begin, end=end, step=1)


def _run(t: Translation, kind: _Kind, x: Any, directions: Any, states: Sequence[Any]) -> Any:
    """Return what a layer gives in this run, as ONNX has it: (T, directions, B, H)."""
    torch = t.torch
    function = {"LSTM": torch.lstm, "GRU": torch.gru}.get(kind.operator, torch.rnn_tanh)
    if kind.options.get("activations"):
        function = torch.rnn_relu
    flat = [tensor for each in directions for tensor in each if tensor is not None]
    hx = list(states) if kind.operator == "LSTM" else states[0]
    biases = directions[0].bias_ih is not None
    output, *_ = function(x, hx, flat, biases, 1, 0.0, False, len(directions) == 2, False)
    return output.unflatten(-1, (len(directions), -1)).transpose(1, 2)


def cell(
    t: Translation, name: str, weights: Sequence[Value | None]
) -> Callable[[Value, Sequence[Value], bool], tuple[Value, Value | None]]:
    """Return what runs a cell over all steps; see `lrplstm.loaders.torch_loops`."""
    kind = _KINDS[CELLS[name]]

    def make(
        inputs: Value, initial: Sequence[Value], backwards: bool
    ) -> tuple[Value, Value | None]:
        torch = t.torch
        if not all(value is None or value.constant for value in weights):
            raise t.refuse("weights that are computed from inputs")
        w_ih, w_hh, b_ih, b_hh = (None if w is None else w.tensor for w in weights)
        direction = _Direction(w_ih, w_hh, b_ih, b_hh, None)
        states = []
        for value in initial:
            zero = value.constant and not value.written and not value.tensor.any()
            states.append(None if zero else _lifted(t, value))
        given = [value.tensor[None] for value in initial]
        x = inputs.tensor.flip(0) if backwards else inputs.tensor
        output = _run(t, kind, x, [direction], given)
        output = output.flip(0) if backwards else output
        last = [output[0 if backwards else -1]]
        if len(initial) > 1:
            last.append(torch.zeros_like(last[0]))  # of which only the shape counts
        y, *final = _layer(
            t,
            kind,
            inputs,
            [direction],
            states,
            [output, *last],
            "reverse" if backwards else "forward",
        )
        hidden = t.emit("Squeeze", [y], output[:, 0], axes=[1])
        if len(initial) == 1:
            return hidden, None
        memory = t.emit("Gather", [final[1]], final[1].tensor[0], axis=0, index=0)
        return hidden, memory

    return make


def _lifted(t: Translation, value: Value) -> Value:
    if value.constant:
        return t.known(value.tensor[None])
    return t.emit("Unsqueeze", [value], value.tensor[None], axes=[0])
