"""Operators over steps: embeddings, joining and repeating, poolings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lrplstm.graph.linear import dense, scaled
from lrplstm.graph.operators import Call, Value, operator, take
from lrplstm.graph.tracing import SEQUENCE, SIGNAL, STEP, UNIT, LyingError, Traced, along
from lrplstm.loaders.refusals import RefusedError
from lrplstm.texts import shown
from lrplstm.weights import Array


@operator("Gather", attributes=("axis",))
def _gather(call: Call) -> Value:
    """Take what lies at constant indices, or make an embedding of ids."""
    data, indices = call.value(0), call.value(1)
    axis = call.axis(call.attribute("axis", 0), data.ndim)
    if not isinstance(indices, Traced):
        if indices.dtype.kind != "i":
            raise RefusedError(f"expected integers as indices, got {indices.dtype}")
        return take(call, data, indices, axis)
    network = call.network
    if (
        isinstance(data, Traced)
        or data.ndim != 2
        or axis != 0
        or not network.is_input(indices)
        or not indices.integers
    ):
        raise RefusedError("expected rows of a constant matrix at ids of the input")
    ids = network.signals[int(indices.first[SIGNAL])]
    if any(indices.varies(n, UNIT) for n in range(indices.ndim)) or ids.width != 1:
        raise RefusedError("expected one id at each step")
    signal = network.embedded(ids, call.node.inputs[0], data)
    first = indices.first.copy()
    first[SIGNAL] = signal
    return Traced(first, (*indices.axes, along(UNIT, data.shape[1], call.room)), call.room)


# Joining and repeating --------------------------------------------------------------------------


@operator("Concat", attributes=("axis",))
def _concat(call: Call) -> Value:
    values = [call.value(n) for n in range(len(call.values))]
    axis = call.axis(call.attribute("axis", 0), values[0].ndim)
    traced = [value for value in values if isinstance(value, Traced)]
    known = [value for value in values if not isinstance(value, Traced)]
    if not traced:
        call.room.take(sum(value.size * value.itemsize for value in known))
        return np.concatenate(known, axis)
    if known:
        traced = [
            value if isinstance(value, Traced) else _rows_of(call, value, traced[0], axis)
            for value in values
        ]
    if len(traced) == 1 or _lie_alike(traced, axis):
        return traced[0].joined(traced[1:], axis)
    return _joined_rows(call, traced, axis)


def _rows_of(call: Call, constant: Array, like: Traced, axis: int) -> Traced:
    """Return the same units at all steps of all sequences, where another tensor has rows."""
    first = constant
    for n, size in enumerate(constant.shape):
        if n != axis and size > 1:
            first = first.take([0], axis=n)
    rows, others = ([*shape[:axis], *shape[axis + 1 :]] for shape in (like.shape, constant.shape))
    of_units = constant.ndim == like.ndim and rows == others and like.varies(axis, SIGNAL, UNIT)
    if not of_units or (constant != first).any():
        raise RefusedError("it joins constants with what the input decides, other than as units")
    order = [*(n for n in range(like.ndim) if n != axis), axis]
    weight = np.zeros((like.shape[axis], first.size), np.result_type(constant, np.float32))
    made = dense(call, like.transpose(order), weight, first.reshape(-1))
    return made.transpose(np.argsort(order).tolist())


def _lie_alike(values: Sequence[Traced], axis: int) -> bool:
    """Whether numbers of tensors are of the same steps and sequences beside each other."""
    return all(
        value.ndim == values[0].ndim
        and all(
            np.array_equal(mine, theirs)
            for n, (mine, theirs) in enumerate(zip(values[0].axes, value.axes, strict=True))
            if n != axis
        )
        for value in values[1:]
    )


def _joined_rows(call: Call, values: Sequence[Traced], axis: int) -> Traced:
    """Return rows beside each other, of which some stand for all steps."""
    if len({(*value.shape[:axis], *value.shape[axis + 1 :]) for value in values}) != 1:
        shapes = ", ".join(str(value.shape) for value in values)
        raise RefusedError(
            f"it joins what belongs to different steps or sequences, in shapes {shapes}"
        )
    network = call.network
    several = [network.rows(value, [axis]) for value in values]
    model = next((rows for rows in several if rows.steps is not None), several[0])
    signals = []
    for rows in several:
        signal = network.in_order(rows)
        if model.steps is not None:
            signal = network.repeated(signal, rows.repeated, model.signal)
            if rows.reverse != model.reverse:
                signal = network.reversed(signal)
        signals.append(signal)
    return network.result(model, network.beside(signals))


@operator("Tile")
def _tile(call: Call) -> Value:
    value, times = call.value(0), call.numbers("repeats", 1) or []
    if len(times) != value.ndim or min(times, default=1) < 0:
        raise RefusedError(f"expected {value.ndim} numbers of times, got {shown(times)}")
    if not isinstance(value, Traced):
        call.afford([n * size for n, size in zip(times, value.shape, strict=True)], value.dtype)
        return np.tile(value, times)
    for axis, number in enumerate(times):
        value = take(call, value, np.tile(np.arange(value.shape[axis]), number), axis)
    return value


# Poolings ---------------------------------------------------------------------------------------


@operator(
    "ReduceMean", "ReduceMax", "ReduceSum", attributes=("axes", "keepdims", "noop_with_empty_axes")
)
def _reduce(call: Call) -> Value:
    value, axes = call.value(0), call.numbers("axes", 1)
    keep = bool(call.attribute("keepdims", 1))
    if not axes:
        if call.attribute("noop_with_empty_axes", 0):
            return value
        axes = list(range(value.ndim))
    how = call.node.operator.removeprefix("Reduce").lower()
    axes = sorted({call.axis(axis, value.ndim) for axis in axes})
    if not isinstance(value, Traced):
        return np.asarray(getattr(value, how)(axis=tuple(axes), keepdims=keep))
    return pool(call, value, axes, how, keep=keep)


@operator("GlobalAveragePool", "GlobalMaxPool")
def _pool_globally(call: Call) -> Value:
    value = call.traced(0)
    how = "max" if "Max" in call.node.operator else "mean"
    return pool(call, value, range(2, value.ndim), how, keep=True)


def pool(call: Call, value: Traced, axes: Sequence[int], how: str, *, keep: bool) -> Traced:
    """Return the mean, maximum or sum over some axes: of all steps, of units, or of both."""
    long = [axis for axis in axes if value.shape[axis] > 1]
    if len(long) == 1 and value.varies(long[0], SIGNAL) and not value.varies(long[0], UNIT):
        # Rows of several layers, such as those that a loop over steps has made.
        units = [n for n in range(value.ndim) if n != long[0] and value.varies(n, UNIT)]
        value, _ = call.network.stacked(value, units)
    over_units = [axis for axis in long if value.varies(axis, SIGNAL, UNIT)]
    over_steps = [axis for axis in long if axis not in over_units]
    if any(value.varies(axis, SEQUENCE) for axis in long):
        raise LyingError("it goes over the sequences of the batch; expected the axis of all steps")
    if over_units:
        value = _over_units(call, value, over_units, how)
    if len(over_steps) > 1:
        raise RefusedError("expected the axis of all steps, and no other")
    if over_steps:
        value = over_all_steps(call, value, over_steps[0], how)
    if keep:
        return value
    return value.reshape([size for n, size in enumerate(value.shape) if n not in axes])


def _over_units(call: Call, value: Traced, axes: Sequence[int], how: str) -> Traced:
    """Return sums or means over axes of units: a linear layer whose weights are all equal."""
    if how not in ("mean", "sum"):
        raise RefusedError("it takes the maximum over units; expected the axis of all steps")
    others = [n for n in range(value.ndim) if n not in axes]
    kept = [n for n in others if value.varies(n, SIGNAL, UNIT)]
    rows = [n for n in others if n not in kept]
    shape = value.shape
    number = math.prod(shape[n] for n in axes)
    left = math.prod(shape[n] for n in kept)
    turned = value.transpose([*rows, *kept, *axes])
    turned = turned.reshape((*(shape[n] for n in rows), left * number))
    call.afford((left, left, number), np.dtype(np.float32))
    weight = np.repeat(np.eye(left, dtype=np.float32), number, axis=0)
    if how == "mean":
        weight /= number
    made = dense(call, turned, weight, None)
    made = made.reshape((*(shape[n] for n in rows), *(shape[n] for n in kept), *[1] * len(axes)))
    return made.transpose(np.argsort([*rows, *kept, *axes]).tolist())


def over_all_steps(call: Call, value: Traced, axis: int, how: str) -> Traced:
    """Return what a pooling makes of all steps, which lie along an axis."""
    network = call.network
    if not value.varies(axis, STEP):
        if how == "sum":
            raise RefusedError("it adds up numbers that are repeated")
        return value.take(np.array([0]), axis)
    weighted = network.only_signal(value)
    steps = value.shape[axis]
    if weighted is not None and "sum" in weighted.extra and how == "mean":
        total = over_all_steps(call, value, axis, "sum")
        return scaled(call, total, 1 / steps)  # of an open number it is refused in the end
    if weighted is not None and "sum" in weighted.extra and how == "sum":
        of_values = value.first.copy()
        of_values[SIGNAL] = weighted.extra["values"]
        rows = network.rows(replace(value, first=of_values), steps=True)
        signal = weighted.extra["sum"](call)
    else:
        rows = network.rows(value, steps=True)
        signal = network.pooled(rows.signal, how, call.node.title)
    layout = rows.layout.with_steps(1)
    return network.result(rows._replace(layout=layout, reverse=False), signal, rows.order)
