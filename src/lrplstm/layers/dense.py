"""Dense layers: a row by itself, be it of a step or of a sequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from lrplstm.activations import Said, to_elementwise
from lrplstm.copies import Copies
from lrplstm.layers.activations import activation_operation
from lrplstm.layers.base import Form, Layer, Operation, Pass, register
from lrplstm.rules import EpsilonRule
from lrplstm.scans import Scans
from lrplstm.weights import Array, frozen, same_dtype

__all__ = ["DenseLayer"]


class _Linear(Operation):
    """z = weight @ y + bias, as a backend computes it."""

    def __init__(self, scans: Scans, weight: Array, bias: Array | None) -> None:
        self.scans, self.prepared = scans, scans.prepare_linear(weight, bias)

    def forward(self, inputs: tuple[Array, ...], offsets: tuple[Array, ...]) -> Array:
        return self.scans.linear(self.prepared, inputs[0])

    def relevance(
        self, past: Pass, relevance: Array, rule: EpsilonRule, product_rule: str
    ) -> tuple[Array, ...]:
        y, z = past.inputs[0], past.output
        return (self.scans.linear_lrp(self.prepared, y, z, relevance, rule),)

    def gradient(self, past: Pass, gradient: Array) -> tuple[Array, ...]:
        return (self.scans.linear_gradient(self.prepared, gradient),)

    def decompose(self, past: Pass, relevant: tuple[Array, ...], copies: Copies) -> Array:
        (y,) = relevant
        bias = self.scans.linear(self.prepared, np.zeros_like(y[:1]))
        return self.scans.linear(self.prepared, y) - bias


@register
@dataclass(frozen=True, eq=False, repr=False)
class DenseLayer(Layer):
    """A dense layer: activation(weight @ y + bias).

    Parameters
    ----------
    weight : array_like of shape (output_size, input_size)
        As PyTorch has it; Keras has its transpose.
    bias : array_like of shape (output_size,), optional
        Default: none.
    activation : str, or (str, dict of float)
        "linear", "relu", "tanh" or any other of `lrplstm.activations.ACTIVATIONS`, with its
        parameters where it has some: ``("leaky_relu", {"alpha": 0.2})``.
    name : str, optional
        By which others read it.
    reads : sequence of str, optional
        Names of the layers that it reads. Default: the one before it.

    Raises
    ------
    TypeError
        If an array is neither float32 nor float64.
    ValueError
        If shapes or dtypes do not fit together, a value is NaN or infinite, or there is no such
        activation.

    Examples
    --------
    >>> import numpy as np
    >>> import lrplstm
    >>> lrplstm.DenseLayer(np.ones((3, 8)), activation="relu")
    DenseLayer(input_size=8, output_size=3, activation='relu', dtype=float64)
    """

    kind: ClassVar[str] = "dense"
    weight: Array
    bias: Array | None
    activation: Said

    def __init__(
        self,
        weight: npt.ArrayLike,
        bias: npt.ArrayLike | None = None,
        activation: Said = "linear",
        *,
        name: str | None = None,
        reads: Sequence[str] | None = None,
    ) -> None:
        activation = to_elementwise("activation", activation).said
        weight = frozen("weight", weight, ("output_size", "input_size"))
        if bias is not None:
            bias = frozen("bias", bias, (len(weight),))
            same_dtype({"weight": weight, "bias": bias})
        self._set(weight=weight, bias=bias, activation=activation, name=name, reads=reads)

    @property
    def input_size(self) -> int:
        """Number of units it reads."""
        return int(self.weight.shape[1])

    @property
    def output_size(self) -> int:
        """Number of its own units."""
        return len(self.weight)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Either float32 or float64."""
        return self.weight.dtype

    def form(self, inputs: Sequence[Form]) -> Form:
        """Return what its output is."""
        return super().form(inputs)._replace(size=self.output_size)

    def settings(self) -> dict[str, Any]:
        """Whatever else it has."""
        return {"activation": self.activation}

    def describe(self) -> str:
        """Return in a line what it is."""
        bias = "no bias" if self.bias is None else "bias"
        activation = to_elementwise("activation", self.activation)
        return f"{activation}, {self.input_size} to {self.output_size}, {bias}"

    def prepare(self, scans: Scans) -> tuple[Operation, ...]:
        """Return what a backend does for it: the sums, and then the activation."""
        linear = _Linear(scans, self.weight, self.bias)
        if self.activation == "linear":
            return (linear,)
        zeros = np.zeros((1, self.input_size), self.dtype)
        bias = scans.linear(linear.prepared, zeros)
        return linear, activation_operation(scans, self.activation, bias)

    def __repr__(self) -> str:
        return (
            f"DenseLayer(input_size={self.input_size}, output_size={self.output_size}, "
            f"activation={self.activation!r}, dtype={self.dtype})"
        )
