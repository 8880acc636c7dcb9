"""The arrays of one Keras layer -> the weights of an LSTM direction or of a dense layer.

Keras stores kernels as (inputs, outputs), and its gates i, f, c, o are our i, f, g, o.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lrplstm.loaders.arrays import sum_of_biases
from lrplstm.loaders.keras.config import KerasLayer
from lrplstm.loaders.keras.stores import Weight
from lrplstm.texts import shown
from lrplstm.weights import Array, LSTMWeights

__all__ = ["count_weights", "dense_arrays", "embedding_array", "is_cudnn", "lstm_weights"]

_ROLES = {"kernel", "recurrent_kernel", "bias", "embeddings"}
_GATES = "ifco"
_PER_GATE = 12  # arrays of an LSTM of Keras 1, which had its own for each gate


def embedding_array(layer: KerasLayer, weights: Sequence[Weight]) -> Array:
    """Return the rows of an Embedding."""
    (table,) = _take(layer, weights, ("embeddings",))
    _check_shape(layer, "embeddings", table, ("input_dim", "output_dim"))
    _check_size(layer, ("input_dim",), len(table))
    return table


def dense_arrays(layer: KerasLayer, weights: Sequence[Weight]) -> tuple[Array, Array | None]:
    """Return weight (outputs, inputs) and bias of a Dense layer."""
    roles = ("kernel", "bias") if _has_bias(layer) else ("kernel",)
    kernel, *bias = _take(layer, weights, roles)
    _check_shape(layer, "kernel", kernel, ("inputs", "units"))
    for array in bias:
        _check_shape(layer, "bias", array, (kernel.shape[1],))
    _check_size(layer, ("units", "output_dim"), kernel.shape[1])
    return kernel.T, bias[0] if bias else None


def lstm_weights(
    layer: KerasLayer, weights: Sequence[Weight], *, reverse: bool = False
) -> LSTMWeights:
    """Return one direction of an LSTM or CuDNNLSTM."""
    if len(weights) == _PER_GATE:
        weights = _joined_gates(layer, weights)
    roles = ("kernel", "recurrent_kernel", "bias")
    kernel, recurrent, *bias = _take(layer, weights, roles if _has_bias(layer) else roles[:2])
    hidden_size = recurrent.shape[0] if recurrent.ndim else 0
    gates = 4 * hidden_size
    _check_shape(layer, "recurrent_kernel", recurrent, ("units", gates))
    _check_shape(layer, "kernel", kernel, ("inputs", gates))
    _check_size(layer, ("units", "output_dim"), hidden_size)
    if bias and is_cudnn(recurrent, bias[0]):
        return _from_cudnn(layer, kernel, recurrent, bias[0], reverse)
    if layer.class_name == "CuDNNLSTM":
        raise layer.refuse(f"expected a bias of shape ({2 * gates},)")
    if bias:
        _check_shape(layer, "bias", bias[0], (gates,))
    else:
        bias = [np.zeros(gates, kernel.dtype)]
    return LSTMWeights(kernel.T, recurrent.T, bias[0], reverse=reverse)


def count_weights(layer: KerasLayer, total: int) -> int:
    """Return how many arrays an LSTM has, if two of them have so many."""
    if total == 2 * _PER_GATE:
        return _PER_GATE
    return 3 if _has_bias(layer) else 2


def is_cudnn(recurrent: Array, bias: Array) -> bool:
    """Whether an LSTM's arrays are laid out as cuDNN has them, with two biases."""
    return recurrent.ndim == 2 and bias.shape == (8 * len(recurrent),)


def _from_cudnn(
    layer: KerasLayer, kernel: Array, recurrent: Array, biases: Array, reverse: bool
) -> LSTMWeights:
    inputs, hidden_size = len(kernel), len(recurrent)
    # The memory of each gate is (outputs, inputs), though its shape says otherwise.
    weight_ih = [
        np.ascontiguousarray(gate).reshape(hidden_size, inputs)
        for gate in np.split(kernel, 4, axis=1)
    ]
    bias = sum_of_biases(np.split(biases, 2), str(layer), "of its two biases")
    weight_hh = np.split(recurrent, 4, axis=1)
    return LSTMWeights(np.concatenate(weight_ih), np.concatenate(weight_hh), bias, reverse=reverse)


def _joined_gates(layer: KerasLayer, weights: Sequence[Weight]) -> list[Weight]:
    """Return kernel, recurrent kernel and bias of the arrays that Keras 1 has for each gate."""
    by_name = {weight.role[-3:]: weight.array for weight in weights}
    joined = []
    for letter, role in zip("WUb", ("kernel", "recurrent_kernel", "bias"), strict=True):
        try:
            gates = [by_name[f"{letter}_{gate}"] for gate in _GATES]
            joined.append(Weight(role, np.concatenate(gates, axis=-1)))
        except (KeyError, ValueError):
            raise layer.refuse(f"expected arrays {letter}_i, {letter}_f, ... that fit") from None
    return joined


def _has_bias(layer: KerasLayer) -> bool:
    return layer.get("use_bias", layer.get("bias", True)) is not False


def _take(layer: KerasLayer, weights: Sequence[Weight], roles: tuple[str, ...]) -> list[Array]:
    """Return the arrays that have these roles, and are all there is."""
    if len(weights) != len(roles):
        raise layer.refuse(f"expected {len(roles)} arrays ({', '.join(roles)}), got {len(weights)}")
    for weight, role in zip(weights, roles, strict=True):
        if weight.role in _ROLES and weight.role != role:
            raise layer.refuse(f"expected its {role}, got an array {shown(weight.name)}")
        if not np.isfinite(weight.array).all():
            raise layer.refuse(f"{role}: expected finite numbers, got NaN or infinity")
    return [weight.array for weight in weights]


def _check_shape(layer: KerasLayer, role: str, array: Array, shape: tuple[int | str, ...]) -> None:
    fits = array.ndim == len(shape) and all(
        size >= 1 if isinstance(want, str) else size == want
        for size, want in zip(array.shape, shape, strict=True)
    )
    if not fits:
        want = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
        raise layer.refuse(f"{role}: expected shape ({want}), got {array.shape!s:.60}")


def _check_size(layer: KerasLayer, keys: tuple[str, ...], size: int) -> None:
    """Check a size that the config has, under one of these keys."""
    for key in keys:
        said: Any = layer.get(key)
        if said is not None and said != size:
            raise layer.refuse(f"expected {key} {shown(said)} of its config, got arrays of {size}")
