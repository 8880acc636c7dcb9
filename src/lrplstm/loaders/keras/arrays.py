"""The arrays of one Keras layer, checked against each other and against its config.

Keras stores kernels as (inputs, outputs). Its gates are i, f, c, o for an LSTM and z, r, h for a
GRU.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lrplstm.loaders.arrays import sum_of_biases
from lrplstm.loaders.keras.config import KerasLayer
from lrplstm.loaders.keras.stores import Weight
from lrplstm.texts import shown
from lrplstm.weights import Array

__all__ = [
    "GATES",
    "Cell",
    "cell_arrays",
    "check_shape",
    "check_size",
    "count_weights",
    "has_bias",
    "is_cudnn",
    "resets_after",
    "take",
]

GATES = {
    "LSTM": "ifco",
    "CuDNNLSTM": "ifco",
    "GRU": "zrh",
    "CuDNNGRU": "zrh",
    "SimpleRNN": "h",
}
"""Gates of the recurrent layers, in their order."""

_ROLES = {"kernel", "recurrent_kernel", "bias", "embeddings"}


class Cell(NamedTuple):
    """The arrays of one direction of a recurrent layer of G gates.

    Attributes
    ----------
    kernel : ndarray of shape (D, G * H)
    recurrent : ndarray of shape (H, G * H)
    bias, recurrent_bias : ndarray of shape (G * H,)
        What is added to each of the two products.
    """

    kernel: Array
    recurrent: Array
    bias: Array
    recurrent_bias: Array


def take(layer: KerasLayer, weights: Sequence[Weight], roles: Sequence[str]) -> list[Array]:
    """Return the arrays that have these roles, and are all there is."""
    if len(weights) != len(roles):
        raise layer.refuse(f"expected {len(roles)} arrays ({', '.join(roles)}), got {len(weights)}")
    for weight, role in zip(weights, roles, strict=True):
        if weight.role in _ROLES and role in _ROLES and weight.role != role:
            raise layer.refuse(f"expected its {role}, got an array {shown(weight.name)}")
        if not np.isfinite(weight.array).all():
            raise layer.refuse(f"{role}: expected finite numbers, got NaN or infinity")
    return [weight.array for weight in weights]


def has_bias(layer: KerasLayer) -> bool:
    """Whether a layer adds a bias."""
    return layer.get("use_bias", layer.get("bias", True)) is not False


def check_shape(layer: KerasLayer, role: str, array: Array, shape: tuple[int | str, ...]) -> None:
    """Check the shape of an array; names stand for any size."""
    fits = array.ndim == len(shape) and all(
        size >= 1 if isinstance(want, str) else size == want
        for size, want in zip(array.shape, shape, strict=True)
    )
    if not fits:
        want = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
        raise layer.refuse(f"{role}: expected shape ({want}), got {array.shape!s:.60}")


def check_size(layer: KerasLayer, keys: tuple[str, ...], size: int) -> None:
    """Check a size that the config has, under one of these keys."""
    for key in keys:
        said: Any = layer.get(key)
        if said is not None and said != size:
            raise layer.refuse(f"expected {key} {shown(said)} of its config, got arrays of {size}")


# Recurrent layers -------------------------------------------------------------------------------


def cell_arrays(layer: KerasLayer, weights: Sequence[Weight]) -> Cell:
    """Return the arrays of one direction of a layer of a class in `GATES`."""
    gates = GATES[layer.class_name]
    if len(weights) == 3 * len(gates) > 3:
        weights = _joined_gates(layer, weights, gates)
    roles = ("kernel", "recurrent_kernel", "bias")
    kernel, recurrent, *bias = take(layer, weights, roles if has_bias(layer) else roles[:2])
    hidden_size = recurrent.shape[0] if recurrent.ndim else 0
    size = len(gates) * hidden_size
    check_shape(layer, "recurrent_kernel", recurrent, ("units", size))
    check_shape(layer, "kernel", kernel, ("inputs", size))
    check_size(layer, ("units", "output_dim"), hidden_size)
    zeros = np.zeros(size, kernel.dtype)
    if not bias:
        return Cell(kernel, recurrent, zeros, zeros)
    if gates != "h" and is_cudnn(recurrent, bias[0]):
        return _from_cudnn(layer, kernel, recurrent, bias[0])
    if layer.class_name.startswith("CuDNN"):
        raise layer.refuse(f"expected a bias of shape ({2 * size},)")
    if gates == "zrh" and resets_after(layer):
        check_shape(layer, "bias", bias[0], (2, size))
        return Cell(kernel, recurrent, *bias[0])
    check_shape(layer, "bias", bias[0], (size,))
    return Cell(kernel, recurrent, bias[0], zeros)


def resets_after(layer: KerasLayer) -> bool:
    """Whether a GRU applies its reset gate after the product with the recurrent weights."""
    said = layer.get("reset_after", layer.class_name == "CuDNNGRU")
    if not isinstance(said, bool):
        raise layer.refuse(f"expected reset_after true or false, got {shown(said)}")
    return said


def count_weights(layer: KerasLayer, total: int) -> int:
    """Return how many arrays a recurrent layer has, if two of them have so many."""
    gates = len(GATES.get(layer.class_name, "h"))
    if gates > 1 and total == 2 * 3 * gates:  # Keras 1
        return 3 * gates
    return 3 if has_bias(layer) else 2


def is_cudnn(recurrent: Array, bias: Array) -> bool:
    """Whether arrays are laid out as cuDNN has them, with two biases one after the other."""
    return recurrent.ndim == 2 and bias.shape == (2 * recurrent.shape[1],)


def _from_cudnn(layer: KerasLayer, kernel: Array, recurrent: Array, biases: Array) -> Cell:
    gates = recurrent.shape[1] // len(recurrent)
    # The memory of each gate is (outputs, inputs), though its shape says otherwise.
    kernels = [
        np.ascontiguousarray(gate).reshape(len(recurrent), len(kernel)).T
        for gate in np.split(kernel, gates, axis=1)
    ]
    recurrents = [gate.T for gate in np.split(recurrent, gates, axis=1)]
    bias, recurrent_bias = np.split(biases, 2)
    if gates == len(GATES["LSTM"]):  # only their sum counts
        bias = sum_of_biases((bias, recurrent_bias), str(layer), "of its two biases")
        recurrent_bias = np.zeros_like(bias)
    return Cell(
        np.concatenate(kernels, axis=1), np.concatenate(recurrents, axis=1), bias, recurrent_bias
    )


def _joined_gates(layer: KerasLayer, weights: Sequence[Weight], gates: str) -> list[Weight]:
    """Return kernel, recurrent kernel and bias of the arrays that Keras 1 has for each gate."""
    by_name = {weight.role[-3:]: weight.array for weight in weights}
    joined = []
    for letter, role in zip("WUb", ("kernel", "recurrent_kernel", "bias"), strict=True):
        try:
            arrays = [by_name[f"{letter}_{gate}"] for gate in gates]
            joined.append(Weight(role, np.concatenate(arrays, axis=-1)))
        except (KeyError, ValueError):
            names = ", ".join(f"{letter}_{gate}" for gate in gates[:2])
            raise layer.refuse(f"expected arrays {names}, ... that fit") from None
    return joined
