"""Quantiles of Student's t distribution, without SciPy."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from lrplstm.weights import Array

__all__ = ["student_factor"]


def student_factor(confidence: float, freedom: Array) -> Array:
    """Return how many standard errors an interval reaches to either side.

    Parameters
    ----------
    confidence : float
    freedom : ndarray of int
        Degrees of freedom; NaN is returned where they are below 1.

    Notes
    -----
    Right to five digits: Hill 1970, Algorithm 396, Student's t-Quantiles (doi
    10.1145/355598.355600).

    Examples
    --------
    >>> import numpy as np
    >>> student_factor(0.95, np.array([0, 1, 2, 10, 10**6])).round(4)
    array([    nan, 12.7062,  4.3027,  2.2281,  1.96  ])
    """
    distinct, place = np.unique(freedom, return_inverse=True)
    factors = [_factor(1 - confidence, n) if n >= 1 else math.nan for n in distinct.tolist()]
    found: Array = np.array(factors)[place].reshape(np.shape(freedom))
    return found


def _factor(P: float, n: int) -> float:
    """Return t with so much probability outside of -t to t; the names are those of the paper."""
    if n == 1:
        return 1 / math.tan(P * math.pi / 2)
    if n == 2:
        return math.sqrt(2 / (P * (2 - P)) - 2)
    a = 1 / (n - 0.5)
    b = 48 / a**2
    c = ((20700 * a / b - 98) * a - 16) * a + 96.36
    d = ((94.5 / (b + c) - 3) / b + 1) * math.sqrt(a * math.pi / 2) * n
    y = (d * P) ** (2 / n)
    if y > a + 0.05:  # asymptotic inverse expansion about the normal distribution
        x = NormalDist().inv_cdf(P / 2)
        y = x * x
        if n < 5:
            c += 0.3 * (n - 4.5) * (x + 0.6)
        c += (((0.05 * d * x - 5) * x - 7) * x - 2) * x + b
        y = (((((0.4 * y + 6.3) * y + 36) * y + 94.5) / c - y - 3) / b + 1) * x
        y = math.expm1(a * y * y)
    else:
        inner = 1 / (((n + 6) / (n * y) - 0.089 * d - 0.822) * (n + 2) * 3) + 0.5 / (n + 4)
        y = (inner * y - 1) * (n + 1) / (n + 2) + 1 / y
    return math.sqrt(n * y)
