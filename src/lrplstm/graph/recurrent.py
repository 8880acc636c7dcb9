"""Operators of recurrent layers: LSTM, GRU and RNN, in one direction or two."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from lrplstm.graph.layouts import Rows
from lrplstm.graph.operators import Call, Value, operator
from lrplstm.graph.parts import Part, Signal
from lrplstm.graph.tracing import SEQUENCE, SIGNAL, STEP, UNIT, LyingError, Traced, along
from lrplstm.layers import GRU, LSTM, RNN, Recurrent
from lrplstm.loaders.refusals import RefusedError
from lrplstm.texts import shown
from lrplstm.weights import Array

_ATTRIBUTES = (
    "activation_alpha",
    "activation_beta",
    "activations",
    "clip",
    "direction",
    "hidden_size",
    "layout",
)
_DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}

# Activations by ONNX's names, with the defaults of alpha and beta.
_ACTIVATIONS: dict[str, tuple[str, dict[str, float]]] = {
    "affine": ("affine", {"alpha": 1.0, "beta": 0.0}),
    "elu": ("elu", {"alpha": 1.0}),
    "hardsigmoid": ("hard_sigmoid", {"alpha": 0.2, "beta": 0.5}),
    "leakyrelu": ("leaky_relu", {"alpha": 0.01}),
    "relu": ("relu", {}),
    "scaledtanh": ("scaled_tanh", {"alpha": 1.0, "beta": 1.0}),
    "sigmoid": ("sigmoid", {}),
    "softplus": ("softplus", {}),
    "softsign": ("softsign", {}),
    "tanh": ("tanh", {}),
    "thresholdedrelu": ("thresholded_relu", {"alpha": 1.0}),
}

_LAYERS: dict[str, type[Recurrent]] = {layer.kind: layer for layer in (LSTM, GRU, RNN)}

Weights = Mapping[str, Any]


class Cell(NamedTuple):
    """What an operator has: its gates, and the arguments of the weights of one direction.

    Attributes
    ----------
    kind : str
        Of the layer.
    gates : int
    activations : tuple of str
        ONNX's defaults.
    states : int
        How many initial states there are.
    weights : callable
        From the arrays of a direction and its activations to the arguments of its weights.
    """

    kind: str
    gates: int
    activations: tuple[str, ...]
    states: int
    weights: Callable[[Call, Weights, Sequence[Any]], dict[str, Any]]


@dataclass(eq=False)
class Group:
    """A recurrent layer, of which both directions may come from nodes of their own."""

    kind: str
    signal: int
    directions: dict[bool, Any] = field(default_factory=dict)

    def make(self) -> Any:
        """Return the layer."""
        return _LAYERS[self.kind](*(self.directions[side] for side in sorted(self.directions)))


# Arrays of one direction ------------------------------------------------------------------------


def _reordered(order: str, wanted: str, rows: Array) -> Array:
    gates = dict(zip(order, np.split(rows, len(order)), strict=True))
    return np.concatenate([gates[letter] for letter in wanted])


def _activation(name: str, said: Any, default: str) -> dict[str, Any]:
    """Return an argument of weights, none where it is the default."""
    return {} if said == default else {name: said}


def _lstm_weights(call: Call, arrays: Weights, said: Sequence[Any]) -> dict[str, Any]:
    gate, candidate, cell = said
    arguments = {
        "weight_ih": _reordered("iofg", "ifgo", arrays["W"]),
        "weight_hh": _reordered("iofg", "ifgo", arrays["R"]),
        "bias": _reordered("iofg", "ifgo", np.add(*np.split(arrays["B"], 2))),
        "initial_cell": arrays["initial_c"],
        **_activation("gate_activation", gate, "sigmoid"),
        **_activation("activation", candidate, "tanh"),
        **_activation("cell_activation", cell, candidate),
    }
    if arrays["P"] is not None and arrays["P"].any():
        arguments["peepholes"] = _reordered("iof", "ifo", arrays["P"]).reshape(3, -1)
    if arrays["projection"] is not None:
        arguments["weight_hr"] = arrays["projection"]
    return arguments


def _gru_weights(call: Call, arrays: Weights, said: Sequence[Any]) -> dict[str, Any]:
    gate, candidate = said
    after = call.attribute("linear_before_reset", 0)
    if after not in (0, 1):
        raise RefusedError("linear_before_reset: expected 0 or 1")
    bias_ih, bias_hh = (_reordered("zrn", "rzn", part) for part in np.split(arrays["B"], 2))
    return {
        "weight_ih": _reordered("zrn", "rzn", arrays["W"]),
        "weight_hh": _reordered("zrn", "rzn", arrays["R"]),
        "bias_ih": bias_ih,
        "bias_hh": bias_hh,
        "reset_after": bool(after),
        **_activation("gate_activation", gate, "sigmoid"),
        **_activation("activation", candidate, "tanh"),
    }


def _rnn_weights(call: Call, arrays: Weights, said: Sequence[Any]) -> dict[str, Any]:
    return {
        "weight_ih": arrays["W"],
        "weight_hh": arrays["R"],
        "bias": np.add(*np.split(arrays["B"], 2)),
        **_activation("activation", said[0], "tanh"),
    }


_CELLS = {
    "LSTM": Cell("lstm", 4, ("Sigmoid", "Tanh", "Tanh"), 2, _lstm_weights),
    "GRU": Cell("gru", 3, ("Sigmoid", "Tanh"), 1, _gru_weights),
    "RNN": Cell("rnn", 1, ("Tanh",), 1, _rnn_weights),
}


def _arrays(call: Call, cell: Cell, sides: int, width: int) -> list[dict[str, Array | None]]:
    """Return the arrays of each direction as ONNX has them."""
    w, r = call.constant(1), call.constant(2)
    rows = {1: "", 3: "3 * ", 4: "4 * "}[cell.gates] + "hidden_size"
    projection = call.optional(8)
    if r.ndim != 3 or len(r) != sides or r.shape[1] % cell.gates or not r.size:
        raise RefusedError(f"R: expected shape ({sides}, {rows}, hidden_size), got {r.shape}")
    hidden_size, outputs = r.shape[1] // cell.gates, r.shape[2]
    if projection is None and outputs != hidden_size:
        raise RefusedError(f"R: expected shape ({sides}, {rows}, hidden_size), got {r.shape}")
    if w.shape != (sides, cell.gates * hidden_size, width):
        raise RefusedError(
            f"W: expected shape ({sides}, {cell.gates * hidden_size}, {width}), got {w.shape}"
        )
    if call.attribute("hidden_size", hidden_size) != hidden_size:
        raise RefusedError(f"hidden_size: expected {hidden_size} as R has it")
    b = np.zeros((sides, 2 * cell.gates * hidden_size), w.dtype)
    if call.optional(3) is not None:
        b = call.constant(3)
    if b.shape != (sides, 2 * cell.gates * hidden_size):
        raise RefusedError(
            f"B: expected shape ({sides}, {2 * cell.gates * hidden_size}), got {b.shape}"
        )
    p = _of_sides(call, 7, "P", (sides, 3 * hidden_size))
    q = _of_sides(call, 8, "projection", (sides, outputs, hidden_size))
    h = _initial(call, 5, sides, outputs)
    c = _initial(call, 6, sides, hidden_size) if cell.states == 2 else [None] * sides
    for array in (w, r, b):
        call.afford(array.shape, array.dtype)
    return [
        {
            "W": w[d],
            "R": r[d],
            "B": b[d],
            "P": p[d],
            "projection": q[d],
            "initial_h": h[d],
            "initial_c": c[d],
        }
        for d in range(sides)
    ]


def _of_sides(call: Call, n: int, name: str, shape: tuple[int, ...]) -> Sequence[Array | None]:
    """Return the optional input of each direction."""
    if call.optional(n) is None:
        return [None] * shape[0]
    array = call.constant(n)
    if array.shape != shape:
        raise RefusedError(f"{name}: expected shape {shape}, got {array.shape}")
    return list(array)


def _initial(call: Call, n: int, sides: int, width: int) -> Sequence[Array | None]:
    """Return the initial state of each direction, the same for all sequences; None of others."""
    if call.optional(n) is None or isinstance(call.optional(n), Traced):
        return [None] * sides
    state, name = call.constant(n), ("initial_h", "initial_c")[n - 5]
    if call.attribute("layout", 0) == 1 and state.ndim == 3:
        state = state.transpose((1, 0, 2))
    if state.ndim != 3 or (len(state), state.shape[2]) != (sides, width) or not state.size:
        raise RefusedError(
            f"{name}: expected {width} numbers for each of {sides} directions and each "
            f"sequence, got shape {state.shape}"
        )
    if (state != state[:, :1]).any():
        raise RefusedError(f"{name}: expected the same for all sequences of a batch")
    return list(state[:, 0])


def _states(call: Call, cell: Cell, sides: int) -> list[str]:
    """Return the names of layers that give initial states, those of all directions side by side."""
    names = []
    for n in range(5, 5 + cell.states):
        state = call.optional(n)
        if not isinstance(state, Traced):
            names.append("")
            continue
        if state.ndim != 3:
            raise RefusedError(f"an initial state: expected three axes, got shape {state.shape}")
        if call.attribute("layout", 0) == 0:
            state = state.transpose((1, 0, 2))
        rows = call.network.rows(state.reshape((state.shape[0], sides * state.shape[2])), [1])
        if rows.steps is not None or rows.repeated > 1:
            raise LyingError("an initial state: expected one of each sequence")
        names.append(call.network.signals[call.network.in_order(rows)].name)
    while names and not names[-1]:
        names.pop()
    if "" in names:
        raise RefusedError("initial_c depends on the input, and initial_h does not")
    return names


def _said(call: Call, cell: Cell, sides: int) -> list[list[Any]]:
    """Return the activations of each direction."""
    each = len(cell.activations)
    names = call.node.attributes.get("activations", list(cell.activations) * sides)
    numbers = {
        key: list(call.node.attributes.get(f"activation_{key}", [])) for key in ("alpha", "beta")
    }
    said: list[Any] = []
    for name in names if isinstance(names, list) else []:
        if str(name).lower() not in _ACTIVATIONS:
            raise RefusedError(f"activations: {shown(name)} is not known")
        known, defaults = _ACTIVATIONS[str(name).lower()]
        # Those that have such numbers take the next ones that are given.
        given = {k: numbers[k].pop(0) if numbers[k] else v for k, v in defaults.items()}
        said.append((known, given) if given else known)
    if len(said) != each * sides:
        raise RefusedError(f"activations: expected {each} for each direction, got {shown(names)}")
    for key, left in numbers.items():
        if left:
            raise RefusedError(f"activation_{key}: expected none, got {shown(left)}")
    return [said[each * d : each * (d + 1)] for d in range(sides)]


# The operators ----------------------------------------------------------------------------------


@operator("LSTM", attributes=(*_ATTRIBUTES, "input_forget"))
@operator("GRU", attributes=(*_ATTRIBUTES, "linear_before_reset"))
@operator("RNN", attributes=_ATTRIBUTES)
def _recurrent(call: Call) -> tuple[Value, ...]:
    cell, network = _CELLS[call.node.operator], call.network
    backward = _DIRECTIONS.get(call.attribute("direction", "forward"), ())
    sides = len(backward)
    _check_kind(call, sides)
    x = call.traced(0)
    if x.ndim != 3:
        raise RefusedError(f"X: expected three axes, got shape {x.shape}")
    batch_first = call.attribute("layout", 0) == 1
    if batch_first:
        x = x.transpose((1, 0, 2))
    if x.integers:
        raise RefusedError("X: expected float numbers, got ids; an embedding is missing")
    rows = network.rows(x, [2], steps=True)
    if rows.steps is None:
        rows = network.as_steps(rows)
    if not _runs_along(x, rows):
        raise LyingError("X: expected steps, sequences and units along its axes, in this order")
    _check_lengths(call, x.shape[0])
    said = _said(call, cell, sides)
    columns = np.argsort(rows.order)
    weights = []
    for arrays, of_side in zip(_arrays(call, cell, sides, len(rows.order)), said, strict=True):
        arguments = cell.weights(call, arrays, of_side)
        arguments["weight_ih"] = arguments["weight_ih"][:, columns]
        arguments["initial_hidden"] = arrays["initial_h"]
        weights.append(arguments)
    states = _states(call, cell, sides)
    group, first_unit = _enter(call, cell, rows, weights, backward, states or None)
    return _outputs(call, rows, group, first_unit, weights, backward, batch_first)


def _runs_along(x: Traced, rows: Rows) -> bool:
    """Whether steps lie along the first axis, and sequences along the second."""
    steps = rows.layout.steps
    return (
        not x.varies(0, SEQUENCE)
        and not x.varies(1, STEP)
        and (steps is None or rows.layout.rows[steps] == 0)
    )


def _check_kind(call: Call, sides: int) -> None:
    """Refuse what has other formulas."""
    if not sides:
        raise RefusedError(f"direction: expected one of {', '.join(_DIRECTIONS)}")
    if "clip" in call.node.attributes:
        raise RefusedError(f"clip: expected none, got {shown(call.node.attributes['clip'])}")
    if call.attribute("input_forget", 0) != 0:
        raise RefusedError("input_forget: expected 0: input and forget gate are not one")
    if call.attribute("layout", 0) not in (0, 1):
        raise RefusedError("layout: expected 0 or 1")


def _check_lengths(call: Call, steps: int) -> None:
    """Refuse lengths of sequences that are neither the whole ones nor given by the user."""
    lengths = call.optional(4)
    if isinstance(lengths, Traced):
        whole = call.network.is_input(lengths) and lengths.integers and lengths.ndim == 1
    else:
        whole = lengths is None or bool((lengths == steps).all())
    if not whole:
        raise RefusedError("sequence_lens: expected none, all steps, or an input of the graph")


def _enter(
    call: Call,
    cell: Cell,
    rows: Rows,
    weights: Sequence[dict[str, Any]],
    backward: Sequence[bool],
    states: Sequence[str] | None,
) -> tuple[Group, int]:
    """Add a layer, or a direction to one; return it and the first of the node's own units."""
    network = call.network
    reverse = [side != rows.reverse for side in backward]
    width = _width(weights[0])
    kind: Any = _LAYERS[cell.kind].cell
    if len(weights) == 2 and reverse[0]:  # both read from the other end
        raise RefusedError("X: expected steps from the first to the last")
    sides = {way: kind(**one, reverse=way) for way, one in zip(reverse, weights, strict=True)}
    key = (cell.kind, rows.signal, width)
    pair = None
    if len(weights) == 1 and states is None:
        network.note_side(call.node.outputs, key, reverse[0])
        pair = network.pair_of(call.node.outputs)
    if pair is not None and pair in network.groups:
        group = network.groups[pair]
        group.directions.update(sides)
        network.parts_by_name[network.signals[group.signal].name].title += f", {call.node.title}"
        return group, width * reverse[0]
    name = network.free_name(cell.kind)
    steps = rows.steps
    assert steps is not None
    both = len(weights) == 2 or pair is not None
    ends = (steps - 1, 0) if both else (0,) if reverse[0] else (steps - 1,)
    signal = network.enter(Signal(name, width * (1 + both), steps, call.node.title, ends=ends))
    group = Group(cell.kind, signal, sides)
    part = Part(
        name, (rows.name, *(states or ())), call.node.title, make=group.make, place=call.node.place
    )
    network.append(part)
    if pair is not None:
        network.groups[pair] = group
    return group, width * reverse[0] if both and len(weights) == 1 else 0


def _width(arguments: Mapping[str, Any]) -> int:
    return int(arguments["weight_hh"].shape[1])


def _outputs(
    call: Call,
    rows: Rows,
    group: Group,
    first_unit: int,
    weights: Sequence[dict[str, Any]],
    backward: Sequence[bool],
    batch_first: bool,
) -> tuple[Value, ...]:
    """Return Y, Y_h and, of an LSTM, Y_c."""
    network, sides, width = call.network, len(weights), _width(weights[0])
    whole = network.whole(group.signal)
    if rows.reverse:
        whole = whole.take(np.arange(whole.shape[1])[::-1], 1)
    units = np.arange(first_unit, first_unit + sides * width)
    y = whole.take(units, 2).reshape((*whole.shape[:2], sides, width)).transpose((1, 2, 0, 3))
    # The last state is the hidden state at the step where a direction ends.
    steps = whole.shape[1]
    ends = [0 if side != rows.reverse else steps - 1 for side in backward]
    both = np.zeros((sides, 4), whole.first.dtype)
    both[:, UNIT] = np.arange(sides) * width
    both[:, STEP] = np.array(ends) - ends[0]
    first = np.zeros(4, whole.first.dtype)
    first[[SIGNAL, UNIT, STEP]] = group.signal, first_unit, ends[0]
    y_h = Traced(first, (both, whole.axes[0], along(UNIT, width, call.room)), call.room)
    if batch_first:
        y, y_h = y.transpose((2, 0, 1, 3)), y_h.transpose((1, 0, 2))
    if group.kind != "lstm":
        return y, y_h
    size = len(weights[0]["bias"]) // 4
    cells = network.final_cells(group.signal, size)
    axes = [(UNIT, network.signals[cells].width), (SEQUENCE, network.sequences)]
    own = first_unit // width * size + np.arange(sides * size).reshape(sides, size)
    y_c = Traced.of(cells, axes, call.room).take(own, 0).transpose((0, 2, 1))
    return y, y_h, y_c.transpose((1, 0, 2)) if batch_first else y_c


def outputs_of_cell(
    call: Call, kind: str, rows: Rows, arguments: dict[str, Any]
) -> tuple[Traced, Traced, Traced | None]:
    """Add a recurrent layer of one direction that reads rows.

    Returns
    -------
    hidden, final, cells : Traced
        h of each step, (steps, sequences, H); the final h and, of an LSTM, c, (sequences, H).
    """
    cell = next(one for one in _CELLS.values() if one.kind == kind)
    if rows.steps is None:
        rows = call.network.as_steps(rows)
    group, first = _enter(call, cell, rows, [arguments], [False], ())
    y, y_h, *y_c = _outputs(call, rows, group, first, [arguments], [False], batch_first=False)
    parts = [_without_directions(value) for value in (y, y_h, *y_c)]
    return parts[0], parts[1], parts[2] if y_c else None


def _without_directions(value: Value) -> Traced:
    assert isinstance(value, Traced)
    axis = value.ndim - 3
    return value.reshape((*value.shape[:axis], *value.shape[axis + 1 :]))
