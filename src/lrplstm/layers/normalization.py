"""Normalizations: of each unit by what was learned, or of each row by its own deviation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from lrplstm.checks import to_array, to_int, to_number
from lrplstm.copies import Copies
from lrplstm.layers.base import Layer, Pass, register
from lrplstm.rules import EpsilonRule, through_diagonal
from lrplstm.weights import Array, frozen, same_dtype

__all__ = ["Affine", "LayerNormalization", "RMSNormalization"]


@register
@dataclass(frozen=True, eq=False, repr=False)
class Affine(Layer):
    """A factor and a summand for each unit: scale * y + shift, as of batch normalization.

    Relevance goes through it by the epsilon rule with a diagonal matrix, N = K. Where a linear
    layer reads it or is read by it, the two are one linear layer, and are better made one: see
    `lrplstm.layers.folding`.

    Parameters
    ----------
    scale : array_like of shape (K,)
        Factor of each unit.
    shift : array_like of shape (K,), optional
        Summand of each unit. Default: none.
    name : str, optional
        By which others read it.
    reads : sequence of str, optional
        Names of the layers that it reads. Default: the one before it.

    Examples
    --------
    >>> import numpy as np
    >>> import lrplstm
    >>> one = np.ones(2)
    >>> Affine = lrplstm.layers.Affine
    >>> Affine.of_batch_normalization(one, 3 * one, one, one, epsilon=1.0).scale
    array([0.5, 0.5])
    """

    kind: ClassVar[str] = "affine"
    scale: Array
    shift: Array | None = None

    def __post_init__(self) -> None:
        arrays = {"scale": frozen("scale", self.scale, ("size",))}
        if self.shift is not None:
            arrays["shift"] = frozen("shift", self.shift, arrays["scale"].shape)
        same_dtype(arrays)
        self._set(**arrays)
        super().__post_init__()

    @classmethod
    def of_batch_normalization(
        cls,
        mean: npt.ArrayLike,
        variance: npt.ArrayLike,
        weight: npt.ArrayLike | None,
        bias: npt.ArrayLike | None,
        *,
        epsilon: float,
        **named: Any,
    ) -> Affine:
        """Return weight (y - mean) / sqrt(variance + epsilon) + bias, what one does in evaluation.

        Parameters
        ----------
        mean, variance : array_like of shape (K,)
            The running ones.
        weight, bias : array_like of shape (K,), or None
            Also called gamma and beta.
        epsilon : float
            What is added to the variance: 1e-5 in PyTorch and ONNX, 1e-3 in Keras.
        **named
            Name and reads of the layer.
        """
        of_mean, of_variance = to_array("mean", mean), to_array("variance", variance)
        scale = np.ones_like(of_variance) if weight is None else to_array("weight", weight)
        exact = scale / np.sqrt(of_variance.astype(np.float64) + epsilon)
        shift = -of_mean * exact + (0 if bias is None else to_array("bias", bias))
        return cls(exact.astype(of_mean.dtype), shift.astype(of_mean.dtype), **named)

    @property
    def input_size(self) -> int:
        """Number K of units it reads."""
        return len(self.scale)

    def forward(self, inputs: tuple[Array, ...], offsets: tuple[Array, ...]) -> Array:
        """Return the output; see `Operation`."""
        z = inputs[0] * self.scale
        return z if self.shift is None else z + self.shift

    def relevance(
        self, past: Pass, relevance: Array, rule: EpsilonRule, product_rule: str
    ) -> tuple[Array, ...]:
        """Return the relevance of the input; see `Operation`."""
        (y,), z, bias = past.inputs, past.output, 0.0 if self.shift is None else self.shift
        return (through_diagonal(rule, y, self.scale, bias, z, relevance),)

    def gradient(self, past: Pass, gradient: Array) -> tuple[Array, ...]:
        """Return the gradient of the input; see `Operation`."""
        return (gradient * self.scale,)

    def decompose(self, past: Pass, relevant: tuple[Array, ...], copies: Copies) -> Array:
        """Return the relevant part of the output; see `Operation`."""
        return relevant[0] * self.scale


@dataclass(frozen=True, eq=False, repr=False)
class _RowNormalization(Layer):
    """Each row less its mean, if that is taken off, divided by its own size.

    The size is a constant for relevance, so that the layer is a linear one (Ali et al. 2022, arXiv
    2202.07304): z = W y + bias, N = K, epsilon rule.
    """

    centered: ClassVar[bool]
    size: int
    weight: Array | None
    bias: Array | None
    epsilon: float

    def __init__(
        self,
        size: int,
        weight: npt.ArrayLike | None = None,
        bias: npt.ArrayLike | None = None,
        *,
        epsilon: float,
        name: str | None = None,
        reads: Sequence[str] | None = None,
    ) -> None:
        size, number = to_int("size", size, 1), to_number("epsilon", epsilon)
        arrays = {}
        for which, array in (("weight", weight), ("bias", bias)):
            if array is not None:
                arrays[which] = frozen(which, array, (size,))
        if arrays:
            same_dtype(arrays)
        if number < 0:
            raise ValueError(f"epsilon: expected a number of at least 0, got {epsilon}")
        self._set(weight=arrays.get("weight"), bias=arrays.get("bias"), size=size)
        self._set(epsilon=number, name=name, reads=reads)

    @property
    def input_size(self) -> int:
        """Number K of units it reads."""
        return self.size

    def settings(self) -> dict[str, Any]:
        """Whatever else it has."""
        return {"size": self.size, "epsilon": self.epsilon}

    def describe(self) -> str:
        """Return in a line what it is."""
        parts = [self.kind, f"{self.size}", f"epsilon {self.epsilon:g}"]
        return ", ".join([*parts, *self.arrays()])

    def _scaled(self, x: Array) -> tuple[Array, Array]:
        """Return the rows with the size 1, and what they were divided by."""
        y = x - x.mean(axis=-1, keepdims=True) if self.centered else x
        sigma = np.sqrt((y**2).mean(axis=-1, keepdims=True) + x.dtype.type(self.epsilon))
        return y / sigma, sigma

    def _weigh(self, values: Array) -> Array:
        return values if self.weight is None else values * self.weight

    def _center(self, values: Array) -> Array:
        """Return values less their mean: the matrix I - 1/K, which is its own transpose."""
        return values - values.mean(axis=-1, keepdims=True) if self.centered else values

    def forward(self, inputs: tuple[Array, ...], offsets: tuple[Array, ...]) -> Array:
        """Return the output; see `Operation`."""
        z = self._weigh(self._scaled(inputs[0])[0])
        return z if self.bias is None else z + self.bias

    def relevance(
        self, past: Pass, relevance: Array, rule: EpsilonRule, product_rule: str
    ) -> tuple[Array, ...]:
        """Return the relevance of the input; see `Operation`."""
        (x,), z = past.inputs, past.output
        q = rule.quotient(z, relevance)
        bias: Any = 0.0 if self.bias is None else self.bias
        share = rule.share(q, z, bias, self.size)[..., np.newaxis]
        # W = diag(weight) (I - 1/K) / sigma.
        return (x * self._center(self._weigh(q)) / self._scaled(x)[1] + share,)

    def gradient(self, past: Pass, gradient: Array) -> tuple[Array, ...]:
        """Return the gradient of the input, through the deviation too; see `Operation`."""
        scaled, sigma = self._scaled(past.inputs[0])
        g = self._weigh(gradient)
        through_sigma = scaled * (g * scaled).mean(axis=-1, keepdims=True)
        return (self._center(g - through_sigma) / sigma,)


@register
@dataclass(frozen=True, eq=False, repr=False, init=False)
class LayerNormalization(_RowNormalization):
    """Each row less its mean, divided by its deviation: weight (y - mean) / sigma + bias.

    sigma = sqrt(variance + epsilon) is a constant for relevance, the mean is not: it goes by the
    epsilon rule through the linear layer W = diag(weight) (I - 1/K) / sigma, N = K. Gradients go
    through both.

    Parameters
    ----------
    size : int
        Number K of units.
    weight, bias : array_like of shape (K,), optional
        Also called gamma and beta. Default: ones, and none.
    epsilon : float
        1e-5 in PyTorch and ONNX, 1e-3 in Keras.
    name : str, optional
        By which others read it.
    reads : sequence of str, optional
        Names of the layers that it reads. Default: the one before it.

    Notes
    -----
    Ba et al. 2016 (arXiv 1607.06450); the rule: Ali et al. 2022 (arXiv 2202.07304).

    Examples
    --------
    >>> import numpy as np
    >>> import lrplstm
    >>> lrplstm.layers.LayerNormalization(4, np.ones(4), epsilon=1e-5).describe()
    'layer_normalization, 4, epsilon 1e-05, weight'
    """

    kind: ClassVar[str] = "layer_normalization"
    centered: ClassVar[bool] = True


@register
@dataclass(frozen=True, eq=False, repr=False, init=False)
class RMSNormalization(_RowNormalization):
    """Each row divided by its root mean square: weight y / sqrt(mean(y^2) + epsilon) + bias.

    The root mean square is a constant for relevance: W = diag(weight / root), N = K. Gradients go
    through it.

    Parameters
    ----------
    size : int
        Number K of units.
    weight, bias : array_like of shape (K,), optional
        A factor and a summand for each unit. Default: none.
    epsilon : float
        Added to the mean square.
    name : str, optional
        By which others read it.
    reads : sequence of str, optional
        Names of the layers that it reads. Default: the one before it.

    Notes
    -----
    Zhang and Sennrich 2019 (arXiv 1910.07467).

    Examples
    --------
    >>> import numpy as np
    >>> import lrplstm
    >>> lrplstm.layers.RMSNormalization(4, np.ones(4), epsilon=1e-6).describe()
    'rms_normalization, 4, epsilon 1e-06, weight'
    """

    kind: ClassVar[str] = "rms_normalization"
    centered: ClassVar[bool] = False
