"""Points and weights with which the mean of a function over [0, 1] is taken."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from lrplstm.checks import check_choice, to_int
from lrplstm.weights import Array

__all__ = ["QUADRATURES", "Quadrature", "resolve_quadrature"]

QUADRATURES = ("gauss", "midpoint")
"""Gauss-Legendre points; or equal parts, each by its middle."""

_PANELS, _LEAST_POINTS = 4, 6
"""Gauss-Legendre points are those of up to so many parts of [0, 1], of at least so many points
each. Polynomials of a degree below twice their number they take exactly. What they do not see is a
gate that opens suddenly, as it does near the baseline: there parts are short."""

_POINTS = {"gauss": 36, "midpoint": 50}
"""How many there are where nobody says so."""

_MOST_POINTS = {"gauss": 1000, "midpoint": 10**9}
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
    return Quadrature(name, steps, _gauss(steps) if name == "gauss" else None)


@functools.cache
def _gauss(steps: int) -> tuple[Array, Array]:
    """Return Gauss-Legendre points and weights, of [0, 1/8], [1/8, 1/4], [1/4, 1/2] and [1/2, 1].

    Of few points there are fewer parts: the last ones.
    """
    panels = min(_PANELS, max(1, steps // _LEAST_POINTS))
    edges = np.append(0, 0.5 ** np.arange(panels)[::-1])
    points, weights = [], []
    for start, size, own in zip(
        edges, np.diff(edges), np.array_split(np.arange(steps), panels), strict=False
    ):
        x, w = np.polynomial.legendre.leggauss(len(own))  # on [-1, 1]
        points.append(start + size * (x + 1) / 2)
        weights.append(size * w / 2)
    return np.concatenate(points), np.concatenate(weights)
