"""Points and weights with which the mean of a function over [0, 1] is taken."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lrplstm.checks import check_choice, to_int
from lrplstm.weights import Array

__all__ = ["QUADRATURES", "Quadrature", "resolve_quadrature"]

QUADRATURES = ("midpoint", "gauss")
"""Equal parts, each by its middle; or Gauss-Legendre points, which are exact for polynomials of a
degree below twice their number."""

_POINTS = {"midpoint": 50, "gauss": 24}
"""How many there are where nobody says so."""

_MOST_POINTS = {"midpoint": 10**9, "gauss": 1000}
"""Gauss-Legendre points are eigenvalues of a matrix of that size."""


class Quadrature(NamedTuple):
    """How the mean over [0, 1] is taken.

    Attributes
    ----------
    name : str
        One of `QUADRATURES`.
    steps : int
        Number of points.
    table : (ndarray, ndarray) or None
        Gauss-Legendre points and their weights, which add up to 1.
    """

    name: str
    steps: int
    table: tuple[Array, Array] | None

    def points(self, numbers: Array) -> Array:
        """Return the points of these numbers."""
        return (numbers + 0.5) / self.steps if self.table is None else self.table[0][numbers]

    def weights(self, numbers: Array) -> Array:
        """Return their weights, which add up to `whole`."""
        return np.ones(len(numbers)) if self.table is None else self.table[1][numbers]

    @property
    def whole(self) -> int:
        """The sum of the weights."""
        return self.steps if self.table is None else 1


def resolve_quadrature(name: str, steps: int | None) -> Quadrature:
    """Check both arguments of `lrplstm.integrated_gradients` and return what they mean."""
    check_choice("quadrature", name, QUADRATURES)
    steps = _POINTS[name] if steps is None else to_int("steps", steps, 1, _MOST_POINTS[name])
    table = None
    if name == "gauss":
        nodes, weights = np.polynomial.legendre.leggauss(steps)  # on [-1, 1]
        table = (nodes + 1) / 2, weights / 2
    return Quadrature(name, steps, table)
