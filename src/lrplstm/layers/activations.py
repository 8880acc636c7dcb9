"""Activations as layers: a function of each unit by itself, which hands all relevance on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lrplstm.activations import Elementwise, Said, to_elementwise
from lrplstm.copies import Copies
from lrplstm.layers.base import Layer, Operation, Pass, register
from lrplstm.rules import EpsilonRule, share_in_activation
from lrplstm.scans import Scans
from lrplstm.weights import Array, frozen

__all__ = ["ACTIVATIONS", "Activation", "PReLU", "activation_operation"]

ACTIVATIONS = ("linear", "relu", "tanh")
"""Activations that backends compute themselves; "linear" is nothing. `lrplstm.activations` has all
there are."""


def activation_operation(scans: Scans, said: Said, bias: Any = 0.0) -> Operation:
    """Return what a backend does for an activation; `bias` is what it reads where no input is."""
    if said in ACTIVATIONS[1:]:
        return _Compiled(scans, str(said), bias)
    return _Elementwise(to_elementwise("activation", said), bias)


class _Function(Operation):
    """A function of each unit, of which `value` is the values."""

    value: Callable[[Array], Array]
    bias: Any

    def forward(self, inputs: tuple[Array, ...], offsets: tuple[Array, ...]) -> Array:
        return self.value(inputs[0])

    def relevance(
        self, past: Pass, relevance: Array, rule: EpsilonRule, product_rule: str
    ) -> tuple[Array, ...]:
        return (relevance,)  # all of it is handed on

    def decompose(self, past: Pass, relevant: tuple[Array, ...], copies: Copies) -> Array:
        z = copies.take(past.inputs[0], past.offsets[0])
        return share_in_activation(self.value, z, relevant[0], self.bias)


class _Compiled(_Function):
    """One that a backend has."""

    def __init__(self, scans: Scans, function: str, bias: Any) -> None:
        self.scans, self.function, self.bias = scans, function, bias

    def value(self, z: Array) -> Array:
        return self.scans.activate(self.function, z)

    def gradient(self, past: Pass, gradient: Array) -> tuple[Array, ...]:
        return (self.scans.activation_gradient(self.function, past.output, gradient),)


class _Elementwise(_Function):
    """Any other, in NumPy."""

    def __init__(self, function: Elementwise, bias: Any) -> None:
        self.value, self.function, self.bias = function, function, bias

    def gradient(self, past: Pass, gradient: Array) -> tuple[Array, ...]:
        return (gradient * self.function.derivative(past.inputs[0], past.output),)


@register
@dataclass(frozen=True, eq=False, repr=False)
class Activation(Layer):
    """A function of each unit by itself, which hands all relevance on.

    Parameters
    ----------
    function : str, or (str, dict of float)
        One of `lrplstm.activations.ACTIVATIONS`, with its parameters where it has some.
    name : str, optional
        By which others read it.
    reads : sequence of str, optional
        Names of the layers that it reads. Default: the one before it.

    Examples
    --------
    >>> import lrplstm
    >>> lrplstm.layers.Activation(("leaky_relu", {"alpha": 0.2}))
    Activation(function=('leaky_relu', {'alpha': 0.2}))
    """

    kind: ClassVar[str] = "activation"
    function: Said

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set(function=to_elementwise("function", self.function).said)

    def prepare(self, scans: Scans) -> tuple[Operation, ...]:
        """Return what a backend does for it."""
        zero: Any = np.zeros((1, 1), np.float32)
        return (activation_operation(scans, self.function, zero),)


@register
@dataclass(frozen=True, eq=False, repr=False)
class PReLU(Layer):
    """ReLU with a learned slope for what is negative, one for each unit.

    Parameters
    ----------
    slope : ndarray of shape (K,)
        Of each unit, where it is negative.
    name : str, optional
        By which others read it.
    reads : sequence of str, optional
        Names of the layers that it reads. Default: the one before it.

    Examples
    --------
    >>> import numpy as np
    >>> import lrplstm
    >>> lrplstm.layers.PReLU(np.array([0.1, 0.2])).input_size
    2
    """

    kind: ClassVar[str] = "prelu"
    slope: Array

    def __post_init__(self) -> None:
        self._set(slope=frozen("slope", self.slope, ("size",)))
        super().__post_init__()

    @property
    def input_size(self) -> int:
        """Number of units it reads."""
        return len(self.slope)

    def _value(self, z: Array) -> Array:
        return np.where(z < 0, self.slope * z, z)

    def forward(self, inputs: tuple[Array, ...], offsets: tuple[Array, ...]) -> Array:
        """Return the output; see `Operation`."""
        return self._value(inputs[0])

    def relevance(
        self, past: Pass, relevance: Array, rule: EpsilonRule, product_rule: str
    ) -> tuple[Array, ...]:
        """Return the relevance of the input: all of it."""
        return (relevance,)

    def gradient(self, past: Pass, gradient: Array) -> tuple[Array, ...]:
        """Return the gradient of the input; see `Operation`."""
        one = self.slope.dtype.type(1)
        return (gradient * np.where(past.inputs[0] > 0, one, self.slope),)

    def decompose(self, past: Pass, relevant: tuple[Array, ...], copies: Copies) -> Array:
        """Return the relevant part of the output; see `Operation`."""
        z = copies.take(past.inputs[0], past.offsets[0])
        return share_in_activation(self._value, z, relevant[0], z.dtype.type(0))
