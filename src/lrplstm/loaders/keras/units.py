"""Keras layers that read each step by itself: inputs, embeddings, dense layers, normalization."""

from __future__ import annotations

from typing import Any

import numpy as np

from lrplstm.graph.operations import Input
from lrplstm.loaders.keras import arrays
from lrplstm.loaders.keras.activations import activate
from lrplstm.loaders.keras.translation import Padding, Tensor, Use, translates
from lrplstm.texts import shown

__all__ = ["dense"]

_NOTHING = (
    "ActivityRegularization",
    "AlphaDropout",
    "Dropout",
    "GaussianDropout",
    "GaussianNoise",
    "Identity",
    "SpatialDropout1D",
)
"""What does nothing once a model is trained."""

# Axes of what the first layer of a model reads, where the config says nothing of it.
_RANKS = {"Embedding": 2, "Dense": 2}


@translates("InputLayer")
def _input(use: Use) -> Tensor:
    config = use.layer.config
    shape: Any = config.get("batch_shape", config.get("batch_input_shape"))
    if shape is None and "input_dim" in config and config.get("read_by") != "Embedding":
        shape = [None, config.get("input_length"), config["input_dim"]]  # as Keras 1 has it
    if shape is None:
        shape = [None] * _RANKS.get(config.get("read_by", ""), 3)
    if not (
        isinstance(shape, list)
        and 1 <= len(shape) <= 8
        and all(size is None or (type(size) is int and 0 < size < 2**31) for size in shape)
    ):
        raise use.refuse(f"expected the shape of a batch in its config, got {shown(shape)}")
    if config.get("sparse") is True or config.get("ragged") is True:
        raise use.refuse("expected a dense input, got a sparse or ragged one")
    name = use.translation.name(use.layer.name)
    # The number of sequences is whatever comes, even where a stateful model was built for some.
    shape = (None, *shape[1:])
    use.translation.inputs[name] = Input(name, shape)
    return Tensor(name, shape)


@translates(*_NOTHING)
def _nothing(use: Use) -> Tensor:
    return use.one()


@translates("Embedding")
def _embedding(use: Use) -> Tensor:
    ids = use.one()
    (table,) = use.take("embeddings")
    arrays.check_shape(use.layer, "embeddings", table, ("input_dim", "output_dim"))
    arrays.check_size(use.layer, ("input_dim",), len(table))
    inputs = use.translation.inputs
    if ids.name in inputs:
        given = inputs[ids.name]
        inputs[ids.name] = Input(given.name, given.shape, integers=True)
        read: Tensor = ids
    else:
        read = use.emit("Cast", [ids], ids.shape, {"to": 7}, like=ids)
    rows = use.emit(
        "Gather", [use.constant("", table), read], (*ids.shape, table.shape[1]), like=ids
    )
    masks = use.layer.says("mask_zero")
    use.translation.settings["mask_zero"] = masks
    if not masks:
        return rows
    return Tensor(rows.name, rows.shape, Padding(ids.name, 0), masked=True)


@translates("Masking")
def _masking(use: Use) -> Tensor:
    tensor = use.one()
    value = use.layer.number("mask_value", default=0.0)
    if tensor.name not in use.translation.inputs or tensor.padding is not None:
        raise use.refuse("expected one Masking, before all other layers")
    use.rank(tensor, 3)
    return Tensor(tensor.name, tensor.shape, Padding(tensor.name, value), masked=True)


# Dense ------------------------------------------------------------------------------------------


@translates("Dense")
def _dense(use: Use) -> Tensor:
    tensor = use.one()
    has_bias = arrays.has_bias(use.layer)
    kernel, *bias = use.take("kernel", *(["bias"] if has_bias else []))
    arrays.check_shape(use.layer, "kernel", kernel, ("inputs", "units"))
    for array in bias:
        arrays.check_shape(use.layer, "bias", array, (kernel.shape[1],))
    arrays.check_size(use.layer, ("units", "output_dim"), kernel.shape[1])
    made = dense(use, tensor, kernel, bias[0] if bias else None)
    activation = use.layer.get("activation")
    said = use.translation.settings.setdefault("dense_activations", [])
    said.append("linear" if activation is None else activation)
    return activate(use, made, activation)


def dense(use: Use, tensor: Tensor, kernel: Any, bias: Any | None, role: str = "") -> Tensor:
    """Return the product with a kernel of shape (inputs, units), and the bias added."""
    use.width(tensor, len(kernel), f"{role}kernel")
    tensor, (kernel,) = use.with_halves(tensor, kernel)
    shape = (*tensor.shape[:-1], kernel.shape[1])
    reads: list[Tensor | str] = [tensor, use.constant(f"{role}kernel", kernel)]
    made = use.emit("MatMul", reads, shape, like=tensor)
    if bias is None:
        return made
    return use.emit("Add", [made, use.constant(f"{role}bias", bias)], shape, like=tensor)


# Normalization ----------------------------------------------------------------------------------


def _last_axis(use: Use, tensor: Tensor, what: str) -> None:
    """Refuse a normalization over another axis than that of the units."""
    axis = use.layer.get("axis", -1)
    last = len(tensor.shape) - 1
    if use.axis(tensor, axis) != last:
        raise use.refuse(f"expected {what} the axis of the units, {last}, got {shown(axis)}")


@translates("BatchNormalization", "BatchNormalizationV1", "SyncBatchNormalization")
def _batch_normalization(use: Use) -> Tensor:
    tensor = use.one()
    _last_axis(use, tensor, "one mean for each unit, of")
    scale, center = use.layer.says("scale", True), use.layer.says("center", True)
    roles = [*["gamma"] * scale, *["beta"] * center, "moving_mean", "moving_variance"]
    found = dict(zip(roles, use.take(*roles), strict=True))
    units = len(np.atleast_1d(found["moving_mean"]))
    for role, array in found.items():
        arrays.check_shape(use.layer, role, array, (units,))
    use.width(tensor, units, "moving_mean")
    dtype = found["moving_mean"].dtype
    gamma, beta = (
        found.get(role, np.full(units, number, dtype))
        for role, number in (("gamma", 1), ("beta", 0))
    )
    epsilon = use.layer.number("epsilon", default=1e-3)
    if (found["moving_variance"] + epsilon <= 0).any():
        raise use.refuse("moving_variance: expected no negative numbers")
    names = [
        use.constant(role, array)
        for role, array in (
            ("gamma", gamma),
            ("beta", beta),
            ("moving_mean", found["moving_mean"]),
            ("moving_variance", found["moving_variance"]),
        )
    ]
    # ONNX has the units at axis 1.
    rank = len(tensor.shape)
    order = [0, rank - 1, *range(1, rank - 1)]
    moved = use.transpose(tensor, *order) if rank > 2 else tensor
    made = use.emit(
        "BatchNormalization", [moved, *names], moved.shape, {"epsilon": epsilon}, like=tensor
    )
    return use.transpose(made, 0, *range(2, rank), 1) if rank > 2 else made


@translates("LayerNormalization", "RMSNormalization")
def _layer_normalization(use: Use) -> Tensor:
    tensor, layer = use.one(), use.layer
    _last_axis(use, tensor, "a mean over")
    rms = layer.class_name == "RMSNormalization" or layer.says("rms_scaling")
    scale = rms or layer.says("scale", True)
    center = not rms and layer.says("center", True)
    roles = [*["gamma"] * scale, *["beta"] * center]
    found = dict(zip(roles, use.take(*roles), strict=True)) if roles else {}
    units = len(np.atleast_1d(found[roles[0]])) if roles else tensor.width
    if units is None:
        raise use.refuse("expected a known number of units")
    for role, array in found.items():
        arrays.check_shape(layer, role, array, (units,))
    use.width(tensor, units, "gamma")
    gamma = found.get("gamma", np.ones(units, np.float32))
    reads: list[Tensor | str] = [tensor, use.constant("gamma", gamma)]
    if center:
        reads.append(use.constant("beta", found["beta"]))
    default = 1e-6 if layer.class_name == "RMSNormalization" else 1e-3
    attributes = {"axis": -1, "epsilon": layer.number("epsilon", default=default)}
    operator = "RMSNormalization" if rms else "LayerNormalization"
    return use.emit(operator, reads, tensor.shape, attributes, like=tensor)


@translates("Normalization")
def _standardization(use: Use) -> Tensor:
    tensor, layer = use.one(), use.layer
    axis = layer.get("axis", -1)
    if axis is not None:
        _last_axis(use, tensor, "one mean for each of")
    if layer.get("mean") is not None:
        mean, variance = (np.ravel(_numbers(use, key)) for key in ("mean", "variance"))
    else:
        mean, variance = (np.ravel(array) for array in use.take("mean", "variance"))
    if mean.shape != variance.shape or (variance < 0).any() or not mean.size:
        raise use.refuse("expected as many variances as means, and none below zero")
    if mean.size > 1:
        use.width(tensor, mean.size, "mean")
    deviation = np.maximum(np.sqrt(variance), 1e-7)  # as Keras bounds it
    names = [use.constant(role, a) for role, a in (("mean", mean), ("deviation", deviation))]
    inverted = layer.says("invert")
    steps = (
        [("Mul", names[1]), ("Add", names[0])]
        if inverted
        else [("Sub", names[0]), ("Div", names[1])]
    )
    for operator, name in steps:
        tensor = use.emit(operator, [tensor, name], tensor.shape, like=tensor)
    return tensor


def _numbers(use: Use, key: str) -> Any:
    """Return numbers that a config has as lists."""
    try:
        array = np.asarray(use.layer.get(key), np.float32)
    except (TypeError, ValueError):
        array = np.array([np.nan])
    if not np.isfinite(array).all() or array.size > 2**20:
        raise use.refuse(f"expected finite numbers as {key}, got {shown(use.layer.get(key))}")
    return array


@translates("Rescaling")
def _rescaling(use: Use) -> Tensor:
    tensor = use.one()
    for operator, key, default in (("Mul", "scale", 1.0), ("Add", "offset", 0.0)):
        number = use.layer.number(key, default=default)
        if number != default:
            name = use.constant(key, number)
            tensor = use.emit(operator, [tensor, name], tensor.shape, like=tensor)
    return tensor
