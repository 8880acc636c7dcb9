"""ONNX operators that make scores of states: linear layers, biases, activations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lrplstm.layers import DenseLayer
from lrplstm.loaders.onnx_operators import Call, Value, compute, move_axis, operator
from lrplstm.loaders.onnx_quantities import Dense, final_step, quantities_in, read_units
from lrplstm.loaders.onnx_tracing import QUANTITY, SEQUENCE, STEP, UNIT, Traced, along
from lrplstm.loaders.refusals import RefusedError
from lrplstm.weights import Array


@operator("MatMul")
def _matmul(call: Call) -> Value:
    return _dense(call, call.traced(0), call.constant(1), None)


@operator("Gemm", attributes=("alpha", "beta", "transA", "transB"))
def _gemm(call: Call) -> Value:
    value, weight, bias = call.traced(0), call.constant(1), None
    if call.attribute("transA", 0) or value.ndim != 2 or weight.ndim != 2:
        raise RefusedError("expected a row for each sequence or step times a constant matrix")
    weight = _scaled(weight.T if call.attribute("transB", 0) else weight, call, "alpha")
    if call.optional(2) is not None:
        bias = call.constant(2)
        if bias.ndim > 2 or (bias.ndim == 2 and len(bias) != 1):
            raise RefusedError(f"C: expected one bias for each column, got shape {bias.shape}")
        bias = np.broadcast_to(_scaled(bias, call, "beta").reshape(-1), weight.shape[1:])
    return _dense(call, value, weight, bias)


def _scaled(array: Array, call: Call, name: str) -> Array:
    factor = call.attribute(name, 1.0)
    return array if factor == 1 else array * array.dtype.type(factor)


def _dense(call: Call, value: Traced, weight: Array, bias: Array | None) -> Traced:
    """Return what a linear layer makes of the last axis."""
    if weight.ndim != 2 or not value.ndim or len(weight) != value.shape[-1]:
        raise RefusedError(
            f"expected a constant matrix of {value.shape[-1:]} rows, got shape {weight.shape}"
        )
    quantities, order, steps = reading = read_units(call.quantities, value, value.ndim - 1)
    pooling = value.pooling
    if not pooling and (steps != steps[0]).any():
        final_step(call.quantities, reading)
        pooling = "last"
    if bias is not None:
        bias = bias.astype(weight.dtype)
    call.afford(weight.shape, weight.dtype)
    layer = DenseLayer(weight.T[:, np.argsort(order)], bias)
    first = value.first.copy()
    first[QUANTITY] = _enter(call, Dense(layer, call.node.title, quantities))
    first[[UNIT, STEP]] = 0, 0 if pooling else steps[0]
    units = along(UNIT, layer.output_size, call.room)
    return replace(value, first=first, axes=(*value.axes[:-1], units), pooling=pooling)


def _enter(call: Call, quantity: Dense) -> int:
    call.quantities.append(quantity)
    return len(call.quantities) - 1


def _linear_layer(call: Call, value: Traced) -> Dense | None:
    """Return the layer that this is what it gives, if that still has no activation."""
    quantity, *others = (call.quantities[n] for n in quantities_in(value))
    if not others and isinstance(quantity, Dense) and quantity.layer.activation == "linear":
        return quantity
    return None


def _changed(call: Call, value: Traced, dense: Dense, layer: DenseLayer) -> Traced:
    """Return what another layer in the place of one gives."""
    call.afford(layer.weight.shape, layer.dtype)  # no copy, but it takes time to be checked
    first = value.first.copy()
    first[QUANTITY] = _enter(call, replace(dense, layer=layer))
    return replace(value, first=first)


@operator("Add")
def _add(call: Call) -> Value:
    traced = [n for n in range(2) if isinstance(call.value(n), Traced)]
    if not traced:
        return compute(call)
    if len(traced) == 2:
        raise RefusedError("it adds two things that the input decides, such as two directions")
    value, number = call.traced(traced[0]), call.constant(1 - traced[0])
    dense = _linear_layer(call, value)
    if dense is None:
        raise RefusedError("it adds a constant to what is no linear layer")
    shape = (1,) * (value.ndim - number.ndim) + number.shape
    long = [n for n, size in enumerate(shape) if size > 1]
    bias = np.zeros(dense.layer.output_size, dense.layer.dtype)
    if dense.layer.bias is not None:
        bias += dense.layer.bias
    if long:
        units = value.at(long[0])[:, UNIT]
        if shape != tuple(n if axis in long else 1 for axis, n in enumerate(value.shape)) or (
            not np.array_equal(np.sort(units), np.arange(len(bias)))
        ):
            raise RefusedError(f"expected one bias for each unit, got shape {number.shape}")
        bias[units] += number.reshape(-1)
    else:
        bias += number.reshape(-1)
    return _changed(call, value, dense, DenseLayer(dense.layer.weight, bias))


@operator("Relu", "Tanh")
def _activate(call: Call) -> Value:
    value, activation = call.traced(0), call.node.operator.lower()
    dense = _linear_layer(call, value)
    if dense is not None:
        layer = DenseLayer(dense.layer.weight, dense.layer.bias, activation)
        return _changed(call, value, dense, layer)
    # Of hidden states: a layer with the identity as its weights.
    axes = [n for n in range(value.ndim) if value.varies(n, QUANTITY, UNIT)]
    if len(axes) != 1:
        raise RefusedError("it reads units that lie on more than one axis")
    (axis,), last, size = axes, value.ndim - 1, value.shape[axes[0]]
    call.afford((size, size), np.dtype(np.float32))
    given = _dense(call, move_axis(value, axis, last), np.eye(size, dtype=np.float32), None)
    dense = call.quantities[-1]
    layer = DenseLayer(dense.layer.weight, None, activation)
    return move_axis(_changed(call, given, dense, layer), last, axis)


@operator("Softmax", "LogSoftmax", attributes=("axis",))
def _softmax(call: Call) -> Value:
    value = call.traced(0)
    old = call.opset < 13  # then it went over that axis and all behind it
    axis = call.axis(call.attribute("axis", 1 if old else -1), value.ndim)
    axes = range(axis, value.ndim if old else axis + 1)
    if any(
        value.varies(n, STEP, SEQUENCE) if n in axes else value.varies(n, QUANTITY, UNIT)
        for n in range(value.ndim)
    ):
        raise RefusedError(f"it goes over the axis {axis}, which is not that of the scores")
    return replace(value, squashed=call.node.label)


@operator("Sigmoid")
def _sigmoid(call: Call) -> Value:
    return replace(call.traced(0), squashed=call.node.label)
