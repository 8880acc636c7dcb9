"""Recurrent Keras layers as the operators LSTM, GRU and RNN, in one direction or two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lrplstm.loaders.keras import arrays
from lrplstm.loaders.keras.activations import activation_name, cell_activation
from lrplstm.loaders.keras.config import KerasLayer
from lrplstm.loaders.keras.stores import Weight
from lrplstm.loaders.keras.translation import Tensor, Use, translates
from lrplstm.texts import shown
from lrplstm.weights import Array

# Operators, and their gates by the letters of `arrays.GATES`, in ONNX's order.
_OPERATORS = {"ifco": ("LSTM", "iofc"), "zrh": ("GRU", "zrh"), "h": ("RNN", "h")}
_CELLS = {"LSTMCell": "LSTM", "GRUCell": "GRU", "SimpleRNNCell": "SimpleRNN"}


def _layer(layer: KerasLayer) -> KerasLayer:
    """Return a recurrent layer, one of a cell as the layer that is called so."""
    if layer.class_name == "RNN":
        cell = layer.wrapped("cell")
        if cell.class_name not in _CELLS:
            raise layer.refuse(f"expected a cell of {', '.join(_CELLS)}, got {cell.class_name:.60}")
        config = {**cell.config, **{k: v for k, v in layer.config.items() if k != "cell"}}
        layer = replace(layer, class_name=_CELLS[cell.class_name], config=config)
    if layer.class_name not in arrays.GATES:
        known = ", ".join(arrays.GATES)
        raise layer.refuse(f"expected a recurrent layer ({known}), got {layer.class_name:.60}")
    if layer.says("time_major"):
        raise layer.refuse("expected time_major=False")
    return layer


def _activations(use: Use, layer: KerasLayer) -> list[dict[str, Any]]:
    """Return the activations of a direction in the order of ONNX's."""
    cudnn = layer.class_name.startswith("CuDNN")  # which can do nothing else, and says nothing
    given = layer.get("activation", "tanh" if cudnn else None)
    activation = cell_activation(use, layer, "activation", given)
    if arrays.GATES[layer.class_name] == "h":
        return [activation]
    said = layer.get("recurrent_activation", layer.get("inner_activation"))
    if said is None and cudnn:
        said = "sigmoid"
    use.translation.settings["recurrent_activation"] = activation_name(said).strip("'")
    gates = cell_activation(use, layer, "recurrent_activation", said)
    return [gates, *[activation] * (2 if arrays.GATES[layer.class_name] == "ifco" else 1)]


def _rows(layer: KerasLayer, columns: Array) -> Array:
    """Return the columns (or numbers) of all gates as rows in ONNX's order."""
    gates = arrays.GATES[layer.class_name]
    parts = dict(zip(gates, np.split(columns, len(gates), axis=-1), strict=True))
    return np.concatenate([parts[gate] for gate in _OPERATORS[gates][1]], axis=-1).T


def _emit(
    use: Use,
    tensor: Tensor,
    layers: Sequence[KerasLayer],
    weights: Sequence[Sequence[Weight]],
    direction: str,
    initial: Sequence[Tensor],
) -> tuple[Tensor, list[Tensor]]:
    """Return Y (batch, steps, directions * H) and the final states (batch, directions * H)."""
    first = layers[0]
    operator = _OPERATORS[arrays.GATES[first.class_name]][0]
    cells = [arrays.cell_arrays(*both) for both in zip(layers, weights, strict=True)]
    for cell in cells:
        use.width(tensor, len(cell.kernel))
    read, kernels = use.with_halves(tensor, *(cell.kernel for cell in cells))
    hidden_size, sides = len(cells[0].recurrent), len(layers)
    stacked = {
        "W": [_rows(layer, kernel) for layer, kernel in zip(layers, kernels, strict=True)],
        "R": [_rows(layer, cell.recurrent) for layer, cell in zip(layers, cells, strict=True)],
        "B": [
            np.concatenate([_rows(layer, cell.bias), _rows(layer, cell.recurrent_bias)])
            for layer, cell in zip(layers, cells, strict=True)
        ],
    }
    names = [use.constant(f"{direction}/{role}", np.stack(a)) for role, a in stacked.items()]
    activations = [one for layer in layers for one in _activations(use, layer)]
    attributes: dict[str, Any] = {
        "direction": direction,
        "hidden_size": hidden_size,
        "activations": [one["name"] for one in activations],
    }
    for key in ("alpha", "beta"):  # of those that have one, in their order
        if values := [one[key] for one in activations if key in one]:
            attributes[f"activation_{key}"] = values
    if operator == "GRU":
        after = {arrays.resets_after(layer) for layer in layers}
        attributes["linear_before_reset"] = int(after == {True})
    swapped = use.transpose(read, 1, 0, 2)
    reads: list[Tensor | str] = [swapped, *names]
    if initial:
        axis = use.integers("first", 0)
        states = [use.emit("Unsqueeze", [one, axis], (1, *one.shape)) for one in initial]
        kinds = len(states) // sides
        if sides > 1:
            states = [
                use.emit("Concat", states[n::kinds], (sides, *initial[n].shape), {"axis": 0})
                for n in range(kinds)
            ]
        reads += ["", *states]
    outputs = [use.translation.name(f"{use.layer.title}/{name}") for name in ("Y", "Y_h", "Y_c")]
    use.nodes(operator, reads, outputs[: 3 if operator == "LSTM" else 2], attributes)
    batch, steps, width = tensor.shape[0], tensor.shape[1], sides * hidden_size
    y = Tensor(outputs[0], (steps, sides, batch, hidden_size))
    y = use.transpose(y, 2, 0, 1, 3)
    rows = use.emit(
        "Reshape", [y, use.integers("rows", 0, 0, -1)], (batch, steps, width), like=tensor
    )
    finals = []
    for name in outputs[1 : 3 if operator == "LSTM" else 2]:
        state = use.transpose(Tensor(name, (sides, batch, hidden_size)), 1, 0, 2)
        finals.append(use.emit("Reshape", [state, use.integers("state", 0, -1)], (batch, width)))
    return rows, finals


def _reversed(use: Use, tensor: Tensor) -> Tensor:
    """Return a tensor with its steps from the last to the first."""
    bounds = [
        use.integers(f"reverse/{role}", number)
        for role, number in (("start", -1), ("end", -(2**31)), ("axis", 1), ("step", -1))
    ]
    made = use.emit("Slice", [tensor, *bounds], tensor.shape, like=tensor)
    return replace(made, turned=not tensor.turned)


def _reads(use: Use) -> tuple[Tensor, list[Tensor]]:
    """Return the sequence that is read, and the initial states."""
    tensor, *states = use.tensors()
    given = use.options.pop("initial_state", None)
    if given is not None:
        states += given if isinstance(given, list) else [given]
    use.plain()
    if use.rank(tensor, 3) != 3 or not all(isinstance(one, Tensor) for one in states):
        raise use.refuse("expected a sequence, and states as tensors")
    use.steps(tensor, heeds=True)
    return tensor, states


def _check_states(use: Use, states: Sequence[Tensor], layer: KerasLayer, sides: int) -> None:
    expected = sides * (2 if arrays.GATES[layer.class_name] == "ifco" else 1)
    if states and len(states) != expected:
        raise use.refuse(f"expected {expected} initial states, got {len(states)}")
    for state in states:
        if len(state.shape) != 2:
            raise use.refuse(f"expected a row a sequence as initial state, got {state.shape!s:.60}")


@translates("LSTM", "GRU", "SimpleRNN", "RNN", "CuDNNLSTM", "CuDNNGRU")
def _recurrent(use: Use) -> list[Tensor]:
    layer = _layer(use.layer)
    tensor, states = _reads(use)
    _check_states(use, states, layer, 1)
    backwards = layer.says("go_backwards")
    direction = "reverse" if backwards else "forward"
    rows, finals = _emit(use, tensor, [layer], [use.weights()], direction, states)
    output = finals[0]
    returns_rows = layer.says("return_sequences")
    use.translation.settings["pooling"] = "none" if returns_rows else "last"
    if returns_rows:
        output = _reversed(use, rows) if backwards else rows
    return [output, *finals] if layer.says("return_state") else [output]


# Two directions ---------------------------------------------------------------------------------


@translates("Bidirectional")
def _bidirectional(use: Use) -> list[Tensor]:
    outer = use.layer
    forward = _layer(outer.wrapped("layer"))
    backward = forward
    if outer.get("backward_layer"):
        backward = _layer(outer.wrapped("backward_layer"))
    own = backward is not forward
    for layer, backwards in ((forward, False), (backward, True))[: 1 + own]:
        if layer.says("go_backwards", backwards) is not backwards:
            raise outer.refuse(f"expected go_backwards={backwards} of {layer.class_name} in it")
    for key in ("return_sequences", "return_state"):
        if forward.says(key) != backward.says(key):
            raise outer.refuse(f"expected the same {key} in both directions")
    merge_mode = outer.get("merge_mode", "concat")
    if merge_mode is not None and merge_mode not in ("concat", "sum", "ave", "mul"):
        raise outer.refuse(
            f"expected merge_mode 'concat', 'sum', 'ave', 'mul' or None, got {shown(merge_mode)}"
        )
    said = use.translation.settings.setdefault("merge_mode", merge_mode)
    if said != merge_mode:
        use.translation.settings["merge_mode"] = "several"
    tensor, states = _reads(use)
    if own and forward.class_name != backward.class_name:
        raise outer.refuse(
            f"expected one class in both directions, got {forward.class_name:.60} and "
            f"{backward.class_name:.60}"
        )
    _check_states(use, states, forward, 2)
    stored = use.weights()
    ours = arrays.count_weights(forward, len(stored))
    if any("backward" in weight.name for weight in stored[:ours]):
        raise outer.refuse("expected the arrays of its forward direction first")
    weights = [stored[:ours], stored[ours:]]
    sizes = [_units(layer, own) for layer, own in zip((forward, backward), weights, strict=True)]
    both = [forward, backward]
    together = sizes[0] == sizes[1] and (
        arrays.GATES[forward.class_name] != "zrh"
        or arrays.resets_after(forward) == arrays.resets_after(backward)
    )
    half = len(states) // 2
    if together:
        rows, finals = _emit(use, tensor, both, weights, "bidirectional", states)
        sides = [_halves(use, one, sizes[0]) for one in (rows, *finals)]
        joined: list[Tensor | None] = [rows, *finals]
    else:
        made = [
            _emit(use, tensor, [layer], [own], way, given)
            for layer, own, way, given in zip(
                both, weights, ("forward", "reverse"), (states[:half], states[half:]), strict=True
            )
        ]
        sides = [
            list(pair) for pair in zip(*[(rows, *finals) for rows, finals in made], strict=True)
        ]
        joined = [None] * len(sides)
    place = 0 if forward.says("return_sequences") else 1
    use.translation.settings["pooling"] = ("none", "last")[place]
    outputs = _merged(use, merge_mode, sides[place], joined[place])
    if forward.says("return_state"):
        outputs += [state for side in (0, 1) for state in [pair[side] for pair in sides[1:]]]
    return outputs


def _units(layer: KerasLayer, weights: Sequence[Weight]) -> int:
    """Return how many units a direction has, as its arrays say."""
    return arrays.cell_arrays(layer, weights).recurrent.shape[0]


def _halves(use: Use, tensor: Tensor, size: int) -> list[Tensor]:
    """Return the units of each direction; emitted only when they are asked for."""
    axis = use.integers("units/axis", len(tensor.shape) - 1)
    halves = []
    for side in (0, 1):
        bounds = [use.integers(f"units/{n}", n * size) for n in (side, side + 1)]
        shape = (*tensor.shape[:-1], size)
        halves.append(use.emit("Slice", [tensor, *bounds, axis], shape, like=tensor))
    return halves


def _merged(
    use: Use, merge_mode: str | None, sides: Sequence[Tensor], joined: Tensor | None
) -> list[Tensor]:
    """Return both directions as they are merged."""
    first, second = sides
    if merge_mode is None:
        # Keras turns the steps of the backward direction round, before it hands them on.
        return [first, second]
    if merge_mode == "concat":
        if joined is not None:
            return [joined]
        width = (first.width or 0) + (second.width or 0)
        axis = len(first.shape) - 1
        shape = (*first.shape[:-1], width)
        return [use.emit("Concat", [first, second], shape, {"axis": axis}, like=first)]
    if first.width != second.width:
        raise use.refuse(
            f"expected one size in both directions, got {first.width} and {second.width}"
        )
    if merge_mode == "mul":
        return [use.emit("Mul", [first, second], first.shape, like=first)]
    if joined is None:
        axis = len(first.shape) - 1
        shape = (*first.shape[:-1], 2 * (first.width or 0))
        joined = use.emit("Concat", [first, second], shape, {"axis": axis}, like=first)
    return [summed(use, joined, 0.5 if merge_mode == "ave" else 1.0)]


def summed(use: Use, joined: Tensor, factor: float) -> Tensor:
    """Return the sum of the two halves of a tensor's units, times a factor."""
    width = (joined.width or 0) // 2
    both = np.concatenate([np.eye(width, dtype=np.float32)] * 2) * np.float32(factor)
    shape = (*joined.shape[:-1], width)
    made = use.emit("MatMul", [joined, use.constant("both", both)], shape, like=joined)
    return replace(made, halves=(joined, factor))
