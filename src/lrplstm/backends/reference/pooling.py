"""Poolings: what the steps of each sequence are made one row of."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from lrplstm.rules import EpsilonRule
from lrplstm.weights import Array

__all__ = ["pool", "pool_gradient", "pool_lrp"]


def pool(pooling: str, hidden: Array, offsets: Array) -> Array:
    """Return what all steps of each sequence are pooled to; see `lrplstm.scans`."""
    found = np.empty((len(offsets) - 1, hidden.shape[1]), hidden.dtype)
    for b, (start, stop) in enumerate(pairwise(offsets)):
        if pooling == "mean":
            found[b] = hidden[start:stop].mean(axis=0, dtype=np.float64)
        else:
            found[b] = hidden[start:stop].max(axis=0)
    return found


def pool_lrp(
    pooling: str, hidden: Array, offsets: Array, pooled: Array, relevance: Array, rule: EpsilonRule
) -> Array:
    """Return the relevance of each step's state, given that of the pooled; see `lrplstm.scans`."""
    if pooling == "max":  # all to the step that won
        return pool_gradient(pooling, hidden, offsets, relevance)
    found = np.empty((len(relevance), *hidden.shape), relevance.dtype)
    for b, (start, stop) in enumerate(pairwise(offsets)):
        # Epsilon rule, weights 1/T, no bias, T * width lower units.
        T, width = hidden[start:stop].shape
        q = rule.quotient(pooled[b], relevance[:, b])
        share = rule.share(q, pooled[b], 0.0, T * width)
        found[:, start:stop] = hidden[start:stop] / T * q[:, np.newaxis]
        found[:, start:stop] += share[:, np.newaxis, np.newaxis]
    return found


def pool_gradient(pooling: str, hidden: Array, offsets: Array, gradient: Array) -> Array:
    """Return the gradient of each step's state, given that of the pooled; see `lrplstm.scans`."""
    found = np.zeros((len(gradient), *hidden.shape), gradient.dtype)
    for b, (start, stop) in enumerate(pairwise(offsets)):
        if pooling == "mean":
            found[:, start:stop] = gradient[:, b, np.newaxis] / (stop - start)
        else:
            winners = start + hidden[start:stop].argmax(axis=0)
            found[:, winners, np.arange(hidden.shape[1])] = gradient[:, b]
    return found
