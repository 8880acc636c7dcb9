"""Operators that read windows of steps: convolutions and poolings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from lrplstm.graph.layouts import Rows
from lrplstm.graph.operators import Call, Value, operator
from lrplstm.graph.parts import Signal
from lrplstm.graph.steps import pool
from lrplstm.graph.tracing import SIGNAL, STEP, UNIT, LyingError, Traced
from lrplstm.layers import Convolution, WindowPool
from lrplstm.loaders.refusals import RefusedError
from lrplstm.texts import shown
from lrplstm.weights import Array

_WINDOW = ("auto_pad", "dilations", "kernel_shape", "pads", "strides")


class _Window(NamedTuple):
    """How the windows of a node lie along the axis of steps.

    Attributes
    ----------
    axis : int
        Which of the axes after sequences and units is that of steps.
    size, stride, dilation : int
    padding : str or (int, int)
    """

    axis: int
    size: int
    stride: int
    dilation: int
    padding: Any


def _window(call: Call, value: Traced, kernel: Sequence[int]) -> _Window:
    """Return the window of a node; along other axes, of size 1, it has to be one number."""
    spatial = value.ndim - 2
    if spatial < 1 or len(kernel) != spatial:
        raise RefusedError(f"kernel_shape: expected {spatial} numbers, got {shown(list(kernel))}")
    strides = call.attribute("strides", [1] * spatial)
    dilations = call.attribute("dilations", [1] * spatial)
    pads = call.attribute("pads", [0] * (2 * spatial))
    for name, numbers, expected in (
        ("strides", strides, spatial),
        ("dilations", dilations, spatial),
        ("pads", pads, 2 * spatial),
    ):
        if len(numbers) != expected:
            raise RefusedError(f"{name}: expected {expected} numbers, got {shown(numbers)}")
    long = [n for n in range(spatial) if value.shape[2 + n] > 1 or kernel[n] > 1]
    if len(long) > 1:
        raise LyingError(
            f"expected one axis of steps, got shape {value.shape}: it goes over two axes"
        )
    axis = long[0] if long else spatial - 1
    others = [n for n in range(spatial) if n != axis]
    if any(pads[n] or pads[spatial + n] for n in others):
        raise RefusedError("it adds padding beside the steps")
    auto = call.attribute("auto_pad", "NOTSET")
    padding: Any = (pads[axis], pads[spatial + axis])
    if auto in ("SAME_UPPER", "VALID"):
        padding = {"SAME_UPPER": "same", "VALID": "valid"}[auto]
    elif auto != "NOTSET":
        raise RefusedError(f"auto_pad: expected NOTSET, SAME_UPPER or VALID, got {shown(auto)}")
    return _Window(axis, kernel[axis], strides[axis], dilations[axis], padding)


def _rows(call: Call, value: Traced) -> tuple[Rows, tuple[int, int]]:
    """Return the rows of steps that a window reads, and how many zeros are added around them."""
    network = call.network
    value, around = _unpadded(call, value)
    rows = network.rows(value, [1], steps=True)
    if rows.steps is None:
        rows = network.as_steps(rows)
    if rows.reverse:
        turned = network.reversed(rows.signal)
        rows = rows._replace(name=network.signals[turned].name, signal=turned, reverse=False)
    return rows, around


def _around(padding: Any, around: tuple[int, int]) -> Any:
    if not any(around):
        return padding
    if isinstance(padding, str) and padding != "valid":
        raise RefusedError("it adds padding to what is padded")
    inner = (0, 0) if isinstance(padding, str) else padding
    return (inner[0] + around[0], inner[1] + around[1])


def _result(call: Call, rows: Rows, layer: Any, width: int, order: Array | None) -> Traced:
    """Return the tensor that a layer of windows gives."""
    steps = int(layer.lengths((np.array([rows.steps]),))[0])
    signal = call.add(layer, [rows.name], width, steps)
    layout = rows.layout.with_steps(steps)
    return call.network.result(rows._replace(layout=layout), signal, order)


@operator("Conv", attributes=(*_WINDOW, "group"))
def _convolution(call: Call) -> Value:
    value, weight = call.traced(0), call.constant(1)
    if weight.ndim != value.ndim:
        raise RefusedError(f"W: expected {value.ndim} axes, got shape {weight.shape}")
    window = _window(call, value, call.attribute("kernel_shape", list(weight.shape[2:])))
    weight = np.moveaxis(weight, 2 + window.axis, -1).reshape((*weight.shape[:2], -1))
    if weight.shape[2] != window.size:
        raise RefusedError(f"kernel_shape: expected {weight.shape[2]}, got {window.size}")
    groups = call.attribute("group", 1)
    rows, around = _rows(call, value)
    if groups == 1 and weight.shape[1] == len(rows.order):
        weight = weight[:, np.argsort(rows.order)]
    else:
        signal = call.network.in_order(rows)
        rows = rows._replace(name=call.network.signals[signal].name, signal=signal)
    call.afford(weight.shape, weight.dtype)
    layer = Convolution(
        weight,
        None if call.optional(2) is None else call.constant(2),
        stride=window.stride,
        padding=_around(window.padding, around),
        dilation=window.dilation,
        groups=groups,
    )
    return _result(call, rows, layer, len(weight), None)


@operator("AveragePool", "MaxPool", attributes=(*_WINDOW, "ceil_mode", "count_include_pad"))
def _pool(call: Call) -> Value:
    value, kernel = call.traced(0), call.attribute("kernel_shape", [])
    how = "max" if call.node.operator == "MaxPool" else "mean"
    window = _window(call, value, kernel)
    steps = value.shape[2 + window.axis]
    if window.size == steps and window.dilation == 1 and window.padding in ("valid", (0, 0)):
        return pool(call, value, range(2, value.ndim), how, keep=True)
    rows, around = _rows(call, value)
    if any(around):
        raise RefusedError("it pools what is padded")
    layer = WindowPool(
        how,
        window.size,
        window.stride,
        window.padding,
        window.dilation,
        count_padding=how == "mean" and bool(call.attribute("count_include_pad", 0)),
        round_up=bool(call.attribute("ceil_mode", 0)),
    )
    return _result(call, rows, layer, len(rows.order), rows.order)


@operator("Pad", attributes=("mode", "pads", "value"))
def _pad(call: Call) -> Value:
    """Add zeros before and behind all steps, which a convolution then reads."""
    value, pads = call.value(0), call.numbers("pads", 1) or []
    fill = call.node.attributes.get("value", 0.0)
    if call.optional(2) is not None:
        fill = call.constant(2).reshape(-1)[0]
    if call.attribute("mode", "constant") != "constant":
        raise RefusedError("mode: expected constant")
    axes = call.numbers("axes", 3) or list(range(value.ndim))
    axes = [call.axis(axis, value.ndim) for axis in axes]
    if len(pads) != 2 * len(axes):
        raise RefusedError(f"pads: expected {2 * len(axes)} numbers, got {shown(pads)}")
    sides = dict(zip(axes, zip(pads[: len(axes)], pads[len(axes) :], strict=True), strict=True))
    if not isinstance(value, Traced):
        whole = [sides.get(n, (0, 0)) for n in range(value.ndim)]
        if min(pads, default=0) < 0:
            raise RefusedError("pads: expected none that are negative")
        call.afford([n + sum(w) for n, w in zip(value.shape, whole, strict=True)], value.dtype)
        return np.pad(value, whole, constant_values=fill)
    padded = [n for n, around in sides.items() if any(around)]
    if not padded:
        return value
    axis, network = padded[0], call.network
    if fill != 0 or len(padded) != 1 or not value.varies(axis, STEP) or min(pads) < 0:
        raise LyingError("expected zeros before or behind all steps")
    others = [n for n in range(value.ndim) if value.varies(n, SIGNAL, UNIT)]
    rows = network.rows(value, others or None, steps=True)
    of = network.signals[rows.signal]
    steps = value.shape[axis] + sum(sides[axis])
    number = network.enter(
        Signal(
            of.name,
            of.width,
            steps,
            refusal=f"it reads what {call.node.place} pads; expected a convolution",
            extra={"pads": sides[axis], "of": rows.signal},
        )
    )
    layout = rows.layout.with_steps(steps)
    return network.result(rows._replace(layout=layout), number, rows.order)


def _unpadded(call: Call, value: Traced) -> tuple[Traced, tuple[int, int]]:
    """Return a tensor without the zeros around its steps, and how many these are."""
    signal = call.network.only_signal(value)
    if signal is None or "pads" not in signal.extra:
        return value, (0, 0)
    before, after = signal.extra["pads"]
    axis = next(n for n in range(value.ndim) if value.varies(n, STEP))
    inner = value.take(np.arange(before, value.shape[axis] - after), axis)
    first = inner.first.copy()
    first[SIGNAL] = signal.extra["of"]
    first[STEP] -= before
    return replace(inner, first=first), (before, after)
