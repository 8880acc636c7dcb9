"""Spearman's rank correlation within each of many sequences at once."""

from __future__ import annotations

import numpy as np

from lrplstm.evaluation.corpus import owners
from lrplstm.weights import Array

__all__ = ["average_ranks", "mean_defined", "spearman"]


def average_ranks(values: Array, offsets: Array) -> Array:
    """Return the rank of each step within its sequence, from 0; equal values share their mean rank.

    Parameters
    ----------
    values : ndarray of shape (steps,)
    offsets : ndarray of shape (B + 1,)

    Examples
    --------
    >>> average_ranks(np.array([0.3, 0.1, 0.3, 0.9, 5.0, 4.0]), np.array([0, 4, 6])).tolist()
    [1.5, 0.0, 1.5, 3.0, 1.0, 0.0]
    """
    owner = owners(offsets)
    order = np.lexsort((values, owner))
    ordered = values[order]
    differs = (ordered[1:] != ordered[:-1]) | (owner[1:] != owner[:-1])
    first = np.concatenate([[0], np.flatnonzero(differs) + 1])  # of each group of equal values
    last = np.append(first[1:], len(values)) - 1
    ranks = np.empty(len(values))
    ranks[order] = np.repeat((first + last) / 2, last - first + 1)
    return ranks - offsets[owner]


def spearman(a: Array, b: Array, offsets: Array) -> Array:
    """Return the rank correlation of two relevances within each sequence, (B,).

    It is Pearson's correlation of the average ranks; NaN where all values of a sequence are equal,
    as where there is but one.
    """

    def centred(values: Array) -> Array:
        middle = (np.diff(offsets) - 1) / 2  # the mean rank, whatever the values
        return average_ranks(values, offsets) - middle[owners(offsets)]

    def summed(values: Array) -> Array:
        return np.add.reduceat(values, offsets[:-1])

    x, y = centred(a), centred(b)
    scale = np.sqrt(summed(x * x) * summed(y * y))
    correlation = np.full(len(scale), np.nan)
    np.divide(summed(x * y), scale, out=correlation, where=scale > 0)
    return correlation


def mean_defined(values: Array) -> Array:
    """Return the mean over the last axis of what is not NaN; NaN where nothing is."""
    defined = ~np.isnan(values)
    count = defined.sum(axis=-1)
    total = np.where(defined, values, 0).sum(axis=-1)
    mean = np.full(np.shape(total), np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean
