"""Dense layers: z = y @ weight.T + bias, and activations."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lrplstm.rules import EpsilonRule, through_linear, times
from lrplstm.weights import Array

__all__ = [
    "activate",
    "activation_gradient",
    "linear",
    "linear_gradient",
    "linear_lrp",
    "prepare_linear",
]


class Linear(NamedTuple):
    """z = y @ weight.T + bias."""

    weight: Array
    bias: Array | None


def prepare_linear(weight: Array, bias: Array | None) -> Linear:
    """Return a linear layer; see `lrplstm.scans`."""
    return Linear(weight, bias)


def linear(layer: Linear, y: Array) -> Array:
    """Return z of y; see `lrplstm.scans`."""
    z = times(y, layer.weight.T)
    return z if layer.bias is None else z + layer.bias


def linear_lrp(layer: Linear, y: Array, z: Array, relevance: Array, rule: EpsilonRule) -> Array:
    """Return the relevance of y, given that of z; see `lrplstm.scans`."""
    bias = 0.0 if layer.bias is None else layer.bias
    return through_linear(rule, y, layer.weight, bias, z, relevance)


def linear_gradient(layer: Linear, gradient: Array) -> Array:
    """Return the gradient of y, given that of z; see `lrplstm.scans`."""
    return times(gradient, layer.weight)


def activate(activation: str, z: Array) -> Array:
    """Return what an activation makes of z; see `lrplstm.scans`."""
    return np.tanh(z) if activation == "tanh" else np.maximum(z, 0)


def activation_gradient(activation: str, value: Array, gradient: Array) -> Array:
    """Return the gradient of z, given that of its activation; see `lrplstm.scans`."""
    return gradient * (1 - value**2 if activation == "tanh" else value > 0)
