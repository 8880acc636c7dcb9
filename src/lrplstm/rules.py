"""The rules of Layer-wise Relevance Propagation, as formulas.

Notation: y are the lower units, z = W y + b the upper ones, R the relevance of the upper ones.

Sources: Bach et al. 2015 (doi 10.1371/journal.pone.0130140); Arras et al. 2017
(doi 10.18653/v1/W17-5221); for products Arras et al. 2019 (arXiv 1904.11829).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from lrplstm.checks import to_number
from lrplstm.errors import ArgumentError
from lrplstm.weights import Array

__all__ = [
    "PRODUCT_RULES",
    "EpsilonRule",
    "ProductRule",
    "share_in_activation",
    "through_diagonal",
    "through_linear",
    "through_sum",
    "through_weighted_sum",
    "times",
]


@dataclass(frozen=True)
class EpsilonRule:
    """The epsilon rule of a linear layer z = W y + b with N lower units.

    ::

        R_i = sum_j ( w_ji y_i + (bias_factor b_j + epsilon_factor eps(z_j)) / N )
                    / (z_j + eps(z_j)) * R_j

    With q_j = R_j / (z_j + eps(z_j)) that is ``y * (W.T @ q) + share``: one product of a matrix and
    a vector, and one number that is the same for every lower unit.

    Parameters
    ----------
    epsilon : float, at least 0
        Size of the stabilizer eps(z), which has the sign of z (and is positive at z = 0).
    bias_factor : float
        Part of the bias' relevance that is handed on to the lower units. 1 conserves relevance.
    epsilon_factor : float
        The same for the stabilizer's relevance.

    Raises
    ------
    TypeError
        If a parameter is not a real number.
    ValueError
        If epsilon is negative, or a parameter NaN or infinite.
    """

    epsilon: float = 1e-3
    bias_factor: float = 0.0
    epsilon_factor: float = 0.0

    def __post_init__(self) -> None:
        for name in ("epsilon", "bias_factor", "epsilon_factor"):
            value = getattr(self, name)
            if type(value) is not float or not math.isfinite(value):
                object.__setattr__(self, name, to_number(name, value))
        if self.epsilon < 0:
            raise ArgumentError("epsilon", f"expected a number of at least 0, got {self.epsilon}")

    def check_range(self, dtype: np.dtype[Any]) -> None:
        """Raise a ValueError if a parameter is too large for numbers of `dtype`."""
        largest = float(np.finfo(dtype).max)
        for name in ("epsilon", "bias_factor", "epsilon_factor"):
            if abs(getattr(self, name)) > largest:
                raise ArgumentError(
                    name,
                    f"expected at most {largest:.3g} with a model of {dtype}, "
                    f"got {getattr(self, name)}",
                )

    def stabilizer(self, z: Array) -> Array:
        """Return eps(z): epsilon with the sign of z."""
        epsilon = z.dtype.type(self.epsilon)
        return np.where(z >= 0, epsilon, -epsilon)

    def quotient(self, z: Array, relevance: Array) -> Array:
        """Return q = R / (z + eps(z)).

        Where the denominator is exactly zero (only with epsilon = 0) q is 0: a unit that is zero
        passes nothing on.
        """
        denominator = z + self.stabilizer(z)
        zero = np.zeros(np.broadcast_shapes(z.shape, relevance.shape), relevance.dtype)
        return np.divide(relevance, denominator, out=zero, where=denominator != 0)

    def share(self, q: Array, z: Array, bias: Array | float, units: int | Array) -> Array:
        """Return what each of the N = `units` lower units gets of biases and stabilizers."""
        kept = self.bias_factor * bias + self.epsilon_factor * self.stabilizer(z)
        return (kept * q).sum(axis=-1) / units


# Sums -------------------------------------------------------------------------------------------


def times(rows: Array, matrix: Array) -> Array:
    """Return the product of each row with a matrix by itself: its bits are those of no batch."""
    product: Array = rows[..., np.newaxis, :] @ matrix
    return product[..., 0, :]


def through_linear(
    rule: EpsilonRule, y: Array, weight: Array, bias: Array | float, z: Array, relevance: Array
) -> Array:
    """Return the relevance of y, (K, n, N), of z = y @ weight.T + bias, given (K, n, M)."""
    q = rule.quotient(z, relevance)
    return y * times(q, weight) + rule.share(q, z, bias, y.shape[-1])[..., np.newaxis]


def through_sum(
    rule: EpsilonRule, terms: Sequence[Array], z: Array, relevance: Array
) -> tuple[Array, ...]:
    """Return the relevance of each term, of z which is their sum: N is the units of all."""
    q = rule.quotient(z, relevance)
    share = rule.share(q, z, 0.0, len(terms) * z.shape[-1])[..., np.newaxis]
    return tuple(term * q + share for term in terms)


def through_diagonal(
    rule: EpsilonRule, y: Array, scale: Array, bias: Array | float, z: Array, relevance: Array
) -> Array:
    """Return the relevance of y, of z = scale * y + bias: as of a diagonal matrix, N = K."""
    q = rule.quotient(z, relevance)
    return y * scale * q + rule.share(q, z, bias, y.shape[-1])[..., np.newaxis]


def through_weighted_sum(
    rule: EpsilonRule, weights: Array, seen: Array, values: Array, z: Array, relevance: Array
) -> Array:
    """Return the relevance of the values of sums z = weights @ values, whose weights get none.

    The epsilon rule without bias; N is the number of all values that a sum has, T * K.

    Parameters
    ----------
    weights : ndarray of shape (..., S, T)
        Of S sums.
    seen : ndarray of shape (S, T)
        1 for each value that a sum has, 0 for what is masked.
    values : ndarray of shape (..., T, K)
    z : ndarray of shape (..., S, K)
        The sums.
    relevance : ndarray of shape (targets, ..., S, K)
        That of the sums.

    Returns
    -------
    ndarray of shape (targets, ..., T, K)
    """
    q = rule.quotient(z, relevance)
    share = rule.share(q, z, 0.0, seen.sum(axis=1) * values.shape[-1])
    return values * (np.swapaxes(weights, -1, -2) @ q) + (share @ seen)[..., np.newaxis]


# Products ---------------------------------------------------------------------------------------

ProductRule = Callable[[EpsilonRule, Array, Array, Array], tuple[Array, Array]]


def _all(rule: EpsilonRule, gate: Array, signal: Array, R: Array) -> tuple[Array, Array]:
    """All to the signal."""
    return np.zeros_like(R), R


def _prop(rule: EpsilonRule, gate: Array, signal: Array, R: Array) -> tuple[Array, Array]:
    """In proportion to the values."""
    q = rule.quotient(gate + signal, R)
    return gate * q, signal * q


def _abs(rule: EpsilonRule, gate: Array, signal: Array, R: Array) -> tuple[Array, Array]:
    """In proportion to the absolute values."""
    return _prop(rule, np.abs(gate), np.abs(signal), R)


def _half(rule: EpsilonRule, gate: Array, signal: Array, R: Array) -> tuple[Array, Array]:
    """Half to each."""
    return R / 2, R / 2


PRODUCT_RULES: MappingProxyType[str, ProductRule] = MappingProxyType(
    {"all": _all, "prop": _prop, "abs": _abs, "half": _half}
)
"""How relevance R of a product gate * signal is shared among the two: rules by name.

Each is a function of the epsilon rule, the values of gate and signal, and R. What a gate gets
passes its sigmoid unchanged. Source: Arras et al. 2019 (arXiv 1904.11829), section 2.
"""


# Contextual decomposition -----------------------------------------------------------------------


def share_in_activation(
    activation: Callable[[Array], Array], z: Array, relevant: Array, bias: Any
) -> Array:
    """Return the share in activation(z), z = relevant + rest + bias, of what is relevant.

    It is what adding it changes, the mean of first and last of the two, the bias always there.
    Source: Murdoch et al. 2018 (arXiv 1801.05453), section 3, with those orders of the three in
    which the bias comes first.
    """
    first = activation(bias + relevant) - activation(bias)
    last = activation(z) - activation(z - relevant)
    return (first + last) / 2
