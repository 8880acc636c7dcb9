"""Operators that compute with each row by itself: products with matrices, sums, activations."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lrplstm.activations import to_elementwise
from lrplstm.graph.layouts import Rows, apart
from lrplstm.graph.operators import Call, Unreadable, Value, operator
from lrplstm.graph.parts import Signal
from lrplstm.graph.tracing import SEQUENCE, SIGNAL, STEP, UNIT, LyingError, Traced
from lrplstm.layers import (
    Activation,
    Add,
    Affine,
    Average,
    DenseLayer,
    LayerNormalization,
    Maximum,
    PReLU,
    RMSNormalization,
)
from lrplstm.loaders.refusals import RefusedError
from lrplstm.texts import shown
from lrplstm.weights import Array

__all__ = ["aligned", "compute", "dense", "matmul", "of_two", "scaled"]


# Matrices ---------------------------------------------------------------------------------------


def matmul(call: Call) -> Value:
    """Return the product of a constant and a tensor, or of two constants."""
    first, second = call.value(0), call.value(1)
    if isinstance(first, Traced):
        weight = call.constant(1)
        if weight.ndim == 1:
            made = dense(call, first, _matrix(weight[:, np.newaxis], first), None)
            return made.reshape(made.shape[:-1])
        return dense(call, first, _matrix(weight, first), None)
    if not isinstance(second, Traced):
        call.afford((*first.shape[:-1], *second.shape[-1:]), first.dtype)
        return np.asarray(np.matmul(first, second))
    # W @ x: the units of x lie on the last axis but one.
    if second.ndim < 2:
        return dense(call, second, _matrix(np.swapaxes(first, -1, -2), second), None)
    order = [*range(second.ndim - 2), second.ndim - 1, second.ndim - 2]
    turned = second.transpose(order)
    return dense(call, turned, _matrix(np.swapaxes(first, -1, -2), turned), None).transpose(order)


def _matrix(weight: Array, value: Traced) -> Array:
    if weight.ndim > 2 and math.prod(weight.shape[:-2]) == 1:
        weight = weight.reshape(weight.shape[-2:])
    if weight.ndim != 2 or not value.ndim or len(weight) != value.shape[-1]:
        raise RefusedError(
            f"expected a constant matrix of {value.shape[-1:]} rows, got shape {weight.shape}"
        )
    return weight


@operator("Gemm", attributes=("alpha", "beta", "transA", "transB"))
def _gemm(call: Call) -> Value:
    if not isinstance(call.value(0), Traced):
        return _gemm_of_constants(call)
    value, weight, bias = call.traced(0), call.constant(1), None
    if call.attribute("transA", 0) or value.ndim != 2 or weight.ndim != 2:
        raise RefusedError("expected a row for each sequence or step times a constant matrix")
    weight = _scaled(weight.T if call.attribute("transB", 0) else weight, call, "alpha")
    if call.optional(2) is not None:
        bias = call.constant(2)
        if bias.ndim > 2 or (bias.ndim == 2 and len(bias) != 1):
            raise RefusedError(f"C: expected one bias for each column, got shape {bias.shape}")
        bias = np.broadcast_to(_scaled(bias, call, "beta").reshape(-1), weight.shape[1:])
    return dense(call, value, _matrix(weight, value), bias)


def _gemm_of_constants(call: Call) -> Array:
    """Return a product that nothing has an influence on, such as that of states that are zeros."""
    parts = [call.constant(n) for n in range(len(call.values))]
    first, second = (
        part.T if call.attribute(name, 0) else part
        for name, part in zip(("transA", "transB"), parts, strict=False)
    )
    call.afford((*first.shape[:1], *second.shape[1:]), first.dtype)
    product = _scaled(first @ second, call, "alpha")
    return product if len(parts) < 3 else np.asarray(product + _scaled(parts[2], call, "beta"))


def _scaled(array: Array, call: Call, name: str) -> Array:
    factor = call.attribute(name, 1.0)
    return array if factor == 1 else array * array.dtype.type(factor)


def dense(call: Call, value: Traced, weight: Array, bias: Array | None) -> Traced:
    """Return what a linear layer makes of the last axis: ``value @ weight + bias``."""
    network = call.network
    rows = network.rows(value, [value.ndim - 1])

    def make() -> DenseLayer:
        call.afford(weight.shape, weight.dtype)
        own = None if bias is None else bias.astype(weight.dtype)
        return DenseLayer(weight.T[:, np.argsort(rows.order)], own)

    layer = network.shared("dense", [weight, bias, rows.order], make)
    return network.result(rows, call.add(layer, [rows.name], layer.output_size, rows.steps))


# Of two -----------------------------------------------------------------------------------------


def aligned(call: Call, values: Sequence[Traced]) -> tuple[Rows, list[int], Array]:
    """Return rows of several tensors that stand for the same steps and units.

    Returns
    -------
    rows : Rows
        How all of them lie.
    signals : list of int
        One for each tensor.
    order : ndarray
        Which unit of them is at each place.
    """
    network = call.network
    shape = np.broadcast_shapes(*(value.shape for value in values))
    wide = [network.with_steps(value).broadcast_to(shape) for value in values]
    units = [n for n in range(len(shape)) if any(value.varies(n, SIGNAL, UNIT) for value in wide)]
    several = [network.rows(value, units or None) for value in wide]
    signals = [rows.signal for rows in several]
    model = next((rows for rows in several if rows.steps is not None), several[0])
    if model.steps is not None:
        signals = [network.repeated(rows.signal, rows.repeated, model.signal) for rows in several]
        ways = {rows.reverse for rows in several if rows.steps is not None}
        if len(ways) > 1:
            signals = [
                network.reversed(signal) if rows.reverse else signal
                for rows, signal in zip(several, signals, strict=True)
            ]
            model = model._replace(reverse=False)
    orders = [rows.order for rows in several]
    if all(np.array_equal(orders[0], order) for order in orders[1:]):
        return model, signals, orders[0]
    signals = [network.units(signal, order) for signal, order in zip(signals, orders, strict=True)]
    return model, signals, np.arange(len(orders[0]))


def of_two(call: Call, layer: Any, values: Sequence[Traced]) -> Traced:
    """Return what a layer makes of several tensors, number by number."""
    rows, signals, order = aligned(call, values)
    of = [call.network.signals[signal] for signal in signals]
    given = call.add(layer, [one.name for one in of], of[0].width, of[0].steps)
    return call.network.result(rows, given, order)


# With constants ---------------------------------------------------------------------------------


def _affine(call: Call, value: Traced, scale: Array | float, shift: Array | float) -> Traced:
    """Return ``scale * value + shift``, where each unit has numbers of its own."""
    value, numbers = call.network.with_steps(value), [np.asarray(scale), np.asarray(shift)]
    split, axis = apart(value, call.network.sequences)
    if axis is not None and all(one.size == 1 for one in numbers):
        return _affine(call, split, scale, shift).reshape(value.shape)
    shape = np.broadcast_shapes(value.shape, *(one.shape for one in numbers))
    value = value.broadcast_to(shape)
    units = [
        n
        for n, size in enumerate(shape)
        if value.varies(n, SIGNAL, UNIT)
        or (
            size > 1
            and not value.varies(n, STEP, SEQUENCE)
            and any(one.ndim >= len(shape) - n and one.shape[n - len(shape)] > 1 for one in numbers)
        )
    ]
    rows = call.network.rows(value, units or None)
    width = len(rows.order)
    given_as_arrays = [one for one in (scale, shift) if isinstance(one, np.ndarray)]
    of_units = np.zeros((2, width), np.result_type(np.float32, *given_as_arrays))
    for row, one in zip(of_units, numbers, strict=True):
        row[rows.order] = _of_units(one, shape, rows.layout.units)
    given = call.add(Affine(*of_units), [rows.name], width, rows.steps)
    one_less = (of_units[0] == -1).all() and (of_units[1] == 1).all()
    call.network.signals[given].gate = one_less and call.network.is_gate(value)
    return call.network.result(rows, given, rows.order)


def scaled(call: Call, value: Traced, factor: float) -> Traced:
    """Return a tensor times a number."""
    return _affine(call, value, factor, 0.0)


def _of_units(numbers: Array, shape: Sequence[int], units: Sequence[int]) -> Array:
    """Return the number of each unit, the same at all steps of all sequences."""
    numbers = numbers.reshape((1,) * (len(shape) - numbers.ndim) + numbers.shape)
    for n, size in enumerate(numbers.shape):
        if n not in units and size > 1:
            first = numbers.take([0], axis=n)
            if (numbers != first).any():
                raise LyingError("it computes with numbers of its own for each step or sequence")
            numbers = first
    whole = np.broadcast_to(numbers, [shape[n] if n in units else 1 for n in range(len(shape))])
    rows = [n for n in range(len(shape)) if n not in units]
    return whole.transpose([*rows, *units]).reshape(-1)


_ARITHMETIC: dict[str, Callable[[Array, Array], Array]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,
    "Pow": np.power,
    "Equal": np.equal,
    "Less": np.less,
    "Greater": np.greater,
    "Min": np.minimum,
    "Max": np.maximum,
}


@operator(*(_ARITHMETIC.keys() - {"Mul"}))
def compute(call: Call) -> Value:
    """Arithmetic with two constants, a tensor and a constant, or two tensors."""
    if len(call.values) == 1 and call.node.operator in ("Min", "Max"):
        return call.value(0)
    if call.node.operator == "Max" and all(isinstance(value, Traced) for value in call.values):
        return of_two(call, Maximum(), [call.traced(n) for n in range(len(call.values))])
    if len(call.values) > 2:
        raise RefusedError(f"expected two things to compute with, got {len(call.values)}")
    name, first, second = call.node.operator, call.value(0), call.value(1)
    if not isinstance(first, Traced) and not isinstance(second, Traced):
        call.afford(np.broadcast_shapes(first.shape, second.shape), first.dtype)
        if name == "Div" and first.dtype.kind == "i":
            return np.asarray(np.trunc(first / second).astype(first.dtype))
        return np.asarray(_ARITHMETIC[name](first, second))
    if isinstance(first, Traced) and isinstance(second, Traced):
        return _compute_two(call, first, second)
    value, constant = (first, second) if isinstance(first, Traced) else (second, first)
    assert isinstance(value, Traced)
    assert not isinstance(constant, Traced)
    if constant.dtype.kind not in "fi":
        raise RefusedError(f"expected numbers, got {constant.dtype}")
    if value.integers:
        return _of_ids(call, value, constant)
    constant = constant.astype(np.result_type(constant, np.float32), copy=False)
    match name:
        case "Add":
            return _affine(call, value, 1.0, constant)
        case "Sub" if value is first:
            return _affine(call, value, 1.0, -constant)
        case "Sub":
            return _affine(call, value, -1.0, constant)
        case "Mul":
            return _affine(call, value, constant, 0.0)
        case "Div" if value is first:
            return _affine(call, value, 1 / constant, 0.0)
        case "Pow" if value is first and (constant == 1).all():
            return value
        case "Max" if not constant.any():
            return _activate(call, value, "relu")
    raise RefusedError(f"{name} is not read of what the input decides")


def _of_ids(call: Call, ids: Traced, constant: Array) -> Value:
    """Return what Keras asks of ids: whether they are less than 0, to count such from the end."""
    if call.value(0) is ids:
        if call.node.operator == "Less" and not (constant > 0).any():
            shape = np.broadcast_shapes(ids.shape, constant.shape)
            return np.broadcast_to(np.False_, shape)
        if call.node.operator == "Add" and constant.size == 1:
            return Unreadable("ids that a number was added to")
    raise RefusedError("it computes with ids")


def _compute_two(call: Call, first: Traced, second: Traced) -> Traced:
    match call.node.operator:
        case "Add":
            return of_two(call, Add(), [first, second])
        case "Sub":
            return of_two(call, Add(), [first, _affine(call, second, -1.0, 0.0)])
    raise RefusedError(f"{call.node.operator} of two things that the input decides is not read")


@operator("Sum")
def _sum(call: Call) -> Value:
    return of_two(call, Add(), [call.traced(n) for n in range(len(call.values))])


@operator("Mean")
def _mean(call: Call) -> Value:
    return of_two(call, Average(), [call.traced(n) for n in range(len(call.values))])


@operator("Neg")
def _negative(call: Call) -> Value:
    value = call.value(0)
    return _affine(call, value, -1.0, 0.0) if isinstance(value, Traced) else np.negative(value)


@operator("BatchNormalization", attributes=("epsilon", "momentum", "training_mode", "spatial"))
def _batch_normalization(call: Call) -> Value:
    value = call.traced(0)
    gamma, beta, mean, variance = (call.constant(n).astype(np.float64) for n in range(1, 5))
    if call.attribute("training_mode", 0):
        raise RefusedError("it is in training mode")
    scale = gamma / np.sqrt(variance + call.attribute("epsilon", 1e-5))
    shape = (-1, *[1] * (value.ndim - 2))
    dtype = call.constant(1).dtype
    shift = beta - mean * scale
    return _affine(
        call, value, scale.astype(dtype).reshape(shape), shift.astype(dtype).reshape(shape)
    )


@operator("LayerNormalization", attributes=("axis", "epsilon", "stash_type"))
@operator("RMSNormalization", attributes=("axis", "epsilon", "stash_type"))
@operator("SimplifiedLayerNormalization", attributes=("axis", "epsilon", "stash_type"))
def _normalize(call: Call) -> Value:
    value = call.traced(0)
    axis = call.axis(call.attribute("axis", -1), value.ndim)
    rows = call.network.rows(value, range(axis, value.ndim))
    width = len(rows.order)
    weights = []
    for n in (1, 2):
        array = None if call.optional(n) is None else call.constant(n)
        if array is not None:
            array = np.broadcast_to(array, value.shape[axis:]).reshape(-1)[np.argsort(rows.order)]
        weights.append(array)
    kind = LayerNormalization if call.node.operator == "LayerNormalization" else RMSNormalization
    layer = kind(width, *weights, epsilon=call.attribute("epsilon", 1e-5))
    given = call.add(layer, [rows.name], width, rows.steps)
    return call.network.result(rows, given, rows.order)


# Activations ------------------------------------------------------------------------------------

Said = Any


def _activate(call: Call, value: Traced, function: Said) -> Traced:
    """Return an activation of each number."""
    rows = call.network.rows(call.network.with_steps(value))
    width = call.network.signals[rows.signal].width
    given = call.add(Activation(function), [rows.name], width, rows.steps)
    return call.network.result(rows, given, rows.order)


_PLAIN = {
    "Abs": "absolute",
    "Cos": "cosine",
    "Sin": "sine",
    "Relu": "relu",
    "Tanh": "tanh",
    "Softsign": "softsign",
    "Softplus": "softplus",
    "HardSwish": "hard_silu",
    "Mish": "mish",
    "Exp": "exponential",
    "Swish": "silu",
}


@operator(*_PLAIN)
def _plain(call: Call) -> Value:
    name = _PLAIN[call.node.operator]
    if not isinstance(call.value(0), Traced):
        return _of_constant(call, name)
    return _activate(call, call.traced(0), name)


def _of_constant(call: Call, function: Said) -> Array:
    call.afford(call.constant(0).shape, call.constant(0).dtype)
    return to_elementwise("activation", function)(call.constant(0))


@operator("Sigmoid")
def _sigmoid(call: Call) -> Value:
    if not isinstance(call.value(0), Traced):
        return _of_constant(call, "sigmoid")
    network, given = call.network, _activate(call, call.traced(0), "sigmoid")
    signal = network.signals[int(given.first[SIGNAL])]
    signal.gate = True
    signal.squashed = network.by_name[network.parts[-1].reads[0]]
    return given


_WITH_NUMBERS: dict[str, tuple[str, dict[str, float]]] = {
    "LeakyRelu": ("leaky_relu", {"alpha": 0.01}),
    "Elu": ("elu", {"alpha": 1.0}),
    "Celu": ("celu", {"alpha": 1.0}),
    "ThresholdedRelu": ("thresholded_relu", {"alpha": 1.0}),
    "HardSigmoid": ("hard_sigmoid", {"alpha": 0.2, "beta": 0.5}),
}


@operator(*_WITH_NUMBERS, attributes=("alpha", "beta"))
def _with_numbers(call: Call) -> Value:
    name, defaults = _WITH_NUMBERS[call.node.operator]
    given = {key: call.attribute(key, default) for key, default in defaults.items()}
    if not isinstance(call.value(0), Traced):
        return _of_constant(call, (name, given))
    made = _activate(call, call.traced(0), (name, given))
    call.network.signals[int(made.first[SIGNAL])].gate = name == "hard_sigmoid"
    return made


@operator("Selu", attributes=("alpha", "gamma"))
def _selu(call: Call) -> Value:
    alpha, gamma = call.attribute("alpha", 1.67326319), call.attribute("gamma", 1.05070102)
    if abs(alpha - 1.67326319) > 1e-5 or abs(gamma - 1.05070102) > 1e-5:
        raise RefusedError(f"expected alpha and gamma of SELU, got {alpha} and {gamma}")
    return _activate(call, call.traced(0), "selu")


@operator("Gelu", attributes=("approximate",))
def _gelu(call: Call) -> Value:
    names = {"none": "gelu", "tanh": "gelu_tanh"}
    said = call.attribute("approximate", "none")
    if said not in names:
        raise RefusedError(f"approximate: expected none or tanh, got {shown(said)}")
    return _activate(call, call.traced(0), names[said])


@operator("PRelu")
def _prelu(call: Call) -> Value:
    value, slope = call.traced(0), call.constant(1)
    if (slope == slope.reshape(-1)[:1]).all():
        return _activate(call, value, ("leaky_relu", {"alpha": float(slope.reshape(-1)[0])}))
    rows = call.network.rows(value)
    width = len(rows.order)
    of_units = np.zeros(width, np.result_type(np.float32, slope))
    of_units[rows.order] = _of_units(slope, value.shape, rows.layout.units)
    given = call.add(PReLU(of_units), [rows.name], width, rows.steps)
    return call.network.result(rows, given, rows.order)


@operator("Clip", attributes=("min", "max"))
def _clip(call: Call) -> Value:
    low, high = (
        call.attribute(name)
        if name in call.node.attributes
        else None
        if call.optional(n) is None
        else float(call.constant(n).reshape(-1)[0])
        for n, name in enumerate(("min", "max"), 1)
    )
    value = call.value(0)
    if not isinstance(value, Traced):
        return np.clip(value, low, high)
    match low, high:
        case None, None:
            return value
        case 0.0, None:
            return _activate(call, value, "relu")
        case 0.0, 6.0:
            return _activate(call, value, "relu6")
        case float(), float():
            return _activate(call, value, ("hard_tanh", {"low": low, "high": high}))
    raise RefusedError(f"expected both bounds, got {low} and {high}")


# The end of classifiers -------------------------------------------------------------------------


@operator("Softmax", "LogSoftmax", attributes=("axis",))
def _softmax(call: Call) -> Value:
    value = call.traced(0)
    old = call.opset < 13  # then it went over that axis and all behind it
    axis = call.axis(call.attribute("axis", 1 if old else -1), value.ndim)
    axes = [n for n in range(axis, value.ndim if old else axis + 1) if value.shape[n] > 1]
    network = call.network
    of_steps = [n for n in axes if value.varies(n, STEP)]
    if len(axes) == 1 and of_steps and not value.varies(axes[0], SIGNAL, UNIT, SEQUENCE):
        rows = network.rows(value, steps=True)
        over_steps = True
    else:
        if any(
            value.varies(n, STEP, SEQUENCE) if n in axes else value.varies(n, SIGNAL, UNIT)
            for n in range(value.ndim)
        ):
            raise LyingError(f"it goes over the axis {axis}, which is not that of the scores")
        rows = network.rows(value)
        over_steps = False
    below = network.signals[rows.signal]
    given = network.enter(
        Signal(
            below.name,
            below.width,
            below.steps,
            call.node.title,
            refusal=f"it reads what {call.node.place} gives; expected nothing after it but the "
            "output",
            squashed=rows.signal,
            over_steps=over_steps and call.node.operator == "Softmax",
        )
    )
    return network.result(rows, given, rows.order)
