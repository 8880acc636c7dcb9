"""Inputs in other units: what a scaler does before the first layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lrplstm.copies import Copies
from lrplstm.layers.base import Layer, Pass, register
from lrplstm.rules import EpsilonRule
from lrplstm.weights import Array, frozen, same_dtype

__all__ = ["Standardize"]


@register
@dataclass(frozen=True, eq=False, repr=False)
class Standardize(Layer):
    """Each unit less its mean, in units of its deviation: (y - mean) / deviation.

    The relevance of a standardized number is that of the raw one. So it is for the inputs; between
    layers an affine function of each unit is a normalization, which has a rule of its own.

    Parameters
    ----------
    mean, deviation : array_like of shape (size,)
        Deviations are not zero.
    name : str, optional
        By which others read it.
    reads : sequence of str, optional
        Names of the layers that it reads. Default: the one before it.

    Examples
    --------
    >>> import numpy as np
    >>> import lrplstm
    >>> layer = lrplstm.layers.Standardize(np.array([1.0, 2.0]), np.array([2.0, 2.0]))
    >>> model = lrplstm.Model([layer, lrplstm.layers.Pool("last")])
    >>> model.predict(np.array([[3.0, 2.0]])).tolist()
    [1.0, 0.0]
    """

    kind: ClassVar[str] = "standardize"
    mean: Array
    deviation: Array

    def __post_init__(self) -> None:
        mean = frozen("mean", self.mean, ("size",))
        self._set(mean=mean, deviation=frozen("deviation", self.deviation, mean.shape))
        super().__post_init__()
        same_dtype(self.arrays())
        if not self.deviation.all():
            raise ValueError(f"deviation: expected none that is 0, got {self.deviation}")

    @property
    def input_size(self) -> int:
        """Number of units it reads."""
        return len(self.mean)

    def forward(self, inputs: tuple[Array, ...], offsets: tuple[Array, ...]) -> Array:
        """Return the output; see `Operation`."""
        return (inputs[0] - self.mean) / self.deviation

    def relevance(
        self, past: Pass, relevance: Array, rule: EpsilonRule, product_rule: str
    ) -> tuple[Array, ...]:
        """Return the relevance of each input; see `Operation`."""
        return (relevance,)

    def gradient(self, past: Pass, gradient: Array) -> tuple[Array, ...]:
        """Return the gradient of each input; see `Operation`."""
        return (gradient / self.deviation,)

    def decompose(self, past: Pass, relevant: tuple[Array, ...], copies: Copies) -> Array:
        """Return the relevant part of the output; see `Operation`."""
        return relevant[0] / self.deviation
