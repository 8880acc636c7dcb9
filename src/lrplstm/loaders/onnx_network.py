"""ONNX operators that make hidden states and pool them: embedding, LSTM, pooling.

Each takes from the coordinates of what it reads which units these are, at which steps, and enters
what it is into the list of quantities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lrplstm.loaders.arrays import gates_from
from lrplstm.loaders.onnx_operators import Call, Given, Unreadable, Value, operator, take
from lrplstm.loaders.onnx_quantities import COLUMNS, Direction, Embedding, quantities_in, read_units
from lrplstm.loaders.onnx_tracing import QUANTITY, SEQUENCE, STEP, UNIT, Traced, along
from lrplstm.loaders.refusals import RefusedError
from lrplstm.texts import shown
from lrplstm.weights import Array, LSTMWeights

# The input --------------------------------------------------------------------------------------


@operator("Gather", attributes=("axis",))
def _gather(call: Call) -> Value:
    """Take what lies at constant indices, or make an embedding of ids."""
    data, indices = call.value(0), call.value(1)
    axis = call.axis(call.attribute("axis", 0), data.ndim)
    if not isinstance(indices, Traced):
        if indices.dtype.kind != "i":
            raise RefusedError(f"expected integers as indices, got {indices.dtype}")
        return take(call, data, indices, axis)
    ids = call.quantities[indices.first[QUANTITY]]
    if (
        isinstance(data, Traced)
        or data.ndim != 2
        or axis != 0
        or not isinstance(ids, Given)
        or not indices.integers
        or ids.sizes[2] != 1
    ):
        raise RefusedError("expected rows of a constant matrix at ids of the input")
    sizes = (*ids.sizes[:2], data.shape[1])
    reads = (int(indices.first[QUANTITY]),)
    call.quantities.append(Embedding(data, call.node.inputs[0], reads, sizes))
    first = indices.first.copy()
    first[QUANTITY] = len(call.quantities) - 1
    return Traced(first, (*indices.axes, along(COLUMNS[2], data.shape[1], call.room)), call.room)


def _named_columns(sizes: tuple[int, int, int], value: Traced) -> tuple[Traced, tuple[int, ...]]:
    """Return what lies along (step, sequence, unit) of the input, in columns of these names.

    Also return which columns they were: which axis of the input is which is not known before an
    LSTM reads it.
    """
    moving = [[c for c in COLUMNS if value.varies(n, c)] for n in range(3)]
    if any(len(columns) > 1 for columns in moving):
        raise RefusedError("it reads the input with axes merged into one")
    still = [c for c in COLUMNS if [c] not in moving]
    step, sequence, unit = (columns[0] if columns else still.pop(0) for columns in moving)
    if len({step, sequence, unit}) != 3:
        raise RefusedError("it reads parts of the input side by side")
    columns = (unit, step, sequence)
    if tuple(sizes[c - 1] for c in (step, sequence, unit)) != value.shape:
        raise RefusedError(f"it reads a part of the input, in shape {value.shape}")
    order = [QUANTITY, *columns]
    named = replace(
        value, first=value.first[order], axes=tuple(axis[:, order] for axis in value.axes)
    )
    return named, columns


# LSTM -------------------------------------------------------------------------------------------

_LSTM_ATTRIBUTES = (
    "activation_alpha",
    "activation_beta",
    "activations",
    "clip",
    "direction",
    "hidden_size",
    "input_forget",
    "layout",
)
_DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
_ACTIVATIONS = ["Sigmoid", "Tanh", "Tanh"]


@operator("LSTM", attributes=_LSTM_ATTRIBUTES)
def _lstm(call: Call) -> tuple[Value, ...]:
    backward = _DIRECTIONS.get(call.attribute("direction", "forward"), ())
    _check_kind(call, len(backward))
    batch_first = call.attribute("layout", 0) == 1
    x = call.traced(0)
    if x.ndim != 3:
        raise RefusedError(f"X: expected three axes, got shape {x.shape}")
    if batch_first:
        x = x.transpose((1, 0, 2))
    x, order, reads, columns = _read_steps(call, x)
    steps, sequences, _ = x.shape
    flipped = steps > 1 and x.first[STEP] != 0
    _check_lengths(call, steps)

    place = len(call.quantities)
    sides = [
        Direction(weights, call.node.title, reads, columns, steps, sequences)
        for weights in _lstm_weights(call, order, [side != flipped for side in backward])
    ]
    call.quantities.extend(sides)

    hidden_size = sides[0].weights.hidden_size
    first = np.array([place, 0, x.first[STEP], 0], x.first.dtype)
    both = along(QUANTITY, len(sides), call.room)
    batch, units = x.axes[1], along(UNIT, hidden_size, call.room)
    y = Traced(first, (x.axes[0], both, batch, units), call.room)
    # The last state is the hidden state at the step where a direction ends.
    both = both.copy()
    both[:, STEP] = [side.final - sides[0].final for side in sides]
    first = first.copy()
    first[STEP] = sides[0].final
    y_h = Traced(first, (both, batch, units), call.room)
    if batch_first:
        y, y_h = y.transpose((2, 0, 1, 3)), y_h.transpose((1, 0, 2))
    return y, y_h, Unreadable(f"Y_c, the cell state, of {call.node.label}")


def _check_kind(call: Call, sides: int) -> None:
    """Refuse LSTMs with other formulas than the usual ones."""
    attributes = call.node.attributes
    if not sides:
        raise RefusedError(f"direction: expected one of {', '.join(_DIRECTIONS)}")
    if call.optional(7) is not None:
        raise RefusedError("it has peepholes (P)")
    if attributes.get("activations", _ACTIVATIONS * sides) != _ACTIVATIONS * sides:
        raise RefusedError(
            f"activations: expected {', '.join(_ACTIVATIONS)} for each direction, got "
            f"{shown(attributes['activations'])}"
        )
    for name in ("activation_alpha", "activation_beta", "clip"):
        if name in attributes:
            raise RefusedError(f"{name}: expected none, got {shown(attributes[name])}")
    if call.attribute("input_forget", 0) != 0:
        raise RefusedError("input_forget: expected 0: input and forget gate are not one")
    if call.attribute("layout", 0) not in (0, 1):
        raise RefusedError("layout: expected 0 or 1")


def _read_steps(call: Call, x: Traced) -> tuple[Traced, Array, tuple[int, ...], tuple[int, ...]]:
    """Return what lies along (step, sequence, unit) and, of all units, which one is where.

    Also return the quantities that these are, and the columns of the input along which they lie.
    """
    quantity = call.quantities[x.first[QUANTITY]]
    columns: tuple[int, ...] = ()
    if isinstance(quantity, Given | Embedding):
        if x.integers:
            raise RefusedError("X: expected float numbers, got ids; an embedding is missing")
        x, columns = _named_columns(quantity.sizes, x)
        reads: tuple[int, ...] = (int(x.first[QUANTITY]),)
        order, steps, sequences = x.at(2)[:, UNIT], x.shape[0], x.shape[1]
        whole = np.array_equal(np.sort(order), np.arange(x.shape[2]))
    else:
        reads, order, _ = read_units(call.quantities, x, 2)
        below = call.quantities[reads[0]]
        if not isinstance(below, Direction) or x.pooling:
            raise RefusedError("X: expected the input or the states of every step of an LSTM")
        steps, sequences, whole = below.steps, below.sequences, True
    up = np.arange(steps)
    if not (
        whole
        and not x.varies(0, QUANTITY, UNIT, SEQUENCE)
        and not x.varies(1, QUANTITY, UNIT, STEP)
        and any(np.array_equal(x.at(0)[:, STEP], way) for way in (up, up[::-1]))
        and np.array_equal(x.at(1)[:, SEQUENCE], np.arange(sequences))
    ):
        raise RefusedError("X: expected all units at all steps of all sequences, in order")
    return x, order, reads, columns


def _check_lengths(call: Call, steps: int) -> None:
    """Refuse lengths of sequences that are neither the whole ones nor given by the user."""
    lengths = call.optional(4)
    if isinstance(lengths, Traced):
        given = isinstance(call.quantities[lengths.first[QUANTITY]], Given)
        whole = given and lengths.integers and lengths.ndim == 1
    else:
        whole = lengths is None or bool((lengths == steps).all())
    if not whole:
        raise RefusedError("sequence_lens: expected none, all steps, or an input of the graph")


def _lstm_weights(call: Call, order: Array, reverse: Sequence[bool]) -> list[LSTMWeights]:
    """Return the weights of each direction, columns in the order of the units that they read."""
    sides = len(reverse)
    w, r = call.constant(1), call.constant(2)
    if r.ndim != 3 or len(r) != sides or r.shape[1] != 4 * r.shape[2]:
        raise RefusedError(
            f"R: expected shape ({sides}, 4 * hidden_size, hidden_size), got {r.shape}"
        )
    hidden_size = r.shape[2]
    if w.shape != (sides, 4 * hidden_size, len(order)):
        raise RefusedError(
            f"W: expected shape ({sides}, {4 * hidden_size}, {len(order)}), got {w.shape}"
        )
    if call.attribute("hidden_size", hidden_size) != hidden_size:
        raise RefusedError(f"hidden_size: expected {hidden_size} as R has it")
    b = np.zeros((sides, 8 * hidden_size), w.dtype)
    if call.optional(3) is not None:
        b = call.constant(3)
    if b.shape != (sides, 8 * hidden_size):
        raise RefusedError(f"B: expected shape ({sides}, {8 * hidden_size}), got {b.shape}")
    initial_hidden, initial_cell = (_initial(call, n, sides, hidden_size) for n in (5, 6))
    columns = np.argsort(order)
    for array in (w, r, b):
        call.afford(array.shape, array.dtype)
    return [
        LSTMWeights(
            gates_from("iofg", w[d])[:, columns],
            gates_from("iofg", r[d]),
            gates_from("iofg", np.add(*np.split(b[d], 2))),
            initial_hidden=initial_hidden[d],
            initial_cell=initial_cell[d],
            reverse=reverse[d],
        )
        for d in range(sides)
    ]


def _initial(call: Call, n: int, sides: int, hidden_size: int) -> Sequence[Array | None]:
    """Return the initial state of each direction, the same for all sequences."""
    if call.optional(n) is None:
        return [None] * sides
    state, name = call.constant(n), ("initial_h", "initial_c")[n - 5]
    if call.attribute("layout", 0) == 1 and state.ndim == 3:
        state = state.transpose((1, 0, 2))
    if state.ndim != 3 or (len(state), state.shape[2]) != (sides, hidden_size) or not state.size:
        raise RefusedError(
            f"{name}: expected {hidden_size} numbers for each of {sides} directions and each "
            f"sequence, got shape {state.shape}"
        )
    if (state != state[:, :1]).any():
        raise RefusedError(f"{name}: expected the same for all sequences of a batch")
    return list(state[:, 0])


# Pooling ----------------------------------------------------------------------------------------


@operator("ReduceMean", "ReduceMax", attributes=("axes", "keepdims", "noop_with_empty_axes"))
def _reduce(call: Call) -> Value:
    value, axes = call.traced(0), call.numbers("axes", 1)
    if not axes:
        if call.attribute("noop_with_empty_axes", 0):
            return value
        axes = list(range(value.ndim))
    pooling = "max" if "Max" in call.node.operator else "mean"
    return _pool(call, value, axes, pooling, bool(call.attribute("keepdims", 1)))


@operator("GlobalAveragePool", "GlobalMaxPool")
def _pool_globally(call: Call) -> Value:
    value = call.traced(0)
    pooling = "max" if "Max" in call.node.operator else "mean"
    return _pool(call, value, range(2, value.ndim), pooling, keep=True)


@operator(
    "AveragePool",
    "MaxPool",
    attributes=("kernel_shape", "strides", "pads", "dilations", "ceil_mode"),
)
def _pool_in_windows(call: Call) -> Value:
    window, sizes = call.attribute("kernel_shape", []), call.traced(0).shape[2:]
    spread = {*call.attribute("pads", [0])} != {0} or {*call.attribute("dilations", [1])} != {1}
    if tuple(window) != sizes or spread:
        raise RefusedError(f"expected one window over all steps, {sizes}, got {shown(window)}")
    return _pool_globally(call)


def _pool(call: Call, value: Traced, axes: Sequence[int], pooling: str, keep: bool) -> Traced:
    """Return the mean or maximum over all steps."""
    axes = [call.axis(axis, value.ndim) for axis in axes]
    long = [axis for axis in axes if value.shape[axis] > 1]
    first = value.first.copy()
    if long:
        states = [call.quantities[n] for n in quantities_in(value)]
        if value.pooling or not all(isinstance(state, Direction) for state in states):
            raise RefusedError("it pools what is no hidden state of an LSTM")
        over_steps = (
            len(long) == 1
            and not value.varies(long[0], QUANTITY, UNIT, SEQUENCE)
            and not any(value.varies(n, STEP) for n in range(value.ndim) if n != long[0])
        )
        steps = np.arange(states[0].steps)
        if not over_steps or not np.array_equal(np.sort(value.at(long[0])[:, STEP]), steps):
            raise RefusedError("expected the axis of all steps, and no other")
        first[STEP] = 0
    kept = [axis[:1] if n in axes else axis for n, axis in enumerate(value.axes)]
    if not keep:
        kept = [axis for n, axis in enumerate(kept) if n not in axes]
    return replace(value, first=first, axes=tuple(kept), pooling=pooling if long else value.pooling)
