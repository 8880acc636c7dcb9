"""Relevance of one of several inputs, of all sequences of a batch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lrplstm.weights import Array

__all__ = ["InputRows"]


class InputRows(NamedTuple):
    """Relevance of an input of all sequences of a batch.

    Attributes
    ----------
    relevance : ndarray of shape (n,), (n, D), (C, n) or (C, n, D)
    offsets : ndarray of shape (B + 1,)
        Where sequences begin in its rows, and where the last ends.
    is_row : bool
        Whether it is one row a sequence.
    """

    relevance: Array
    offsets: Array
    is_row: bool

    def of(self, b: int, axis: int) -> Array:
        """Return that of a sequence, an array of its own; rows are this axis."""
        rows = np.arange(self.offsets[b], self.offsets[b + 1])
        return np.array(self.relevance.take(rows[0] if self.is_row else rows, axis=axis))
