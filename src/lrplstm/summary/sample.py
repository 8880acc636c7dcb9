"""A random sample of sequences, for plots that draw each; those of parts make that of the whole."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lrplstm.sequences import rows_of
from lrplstm.summary.bootstrap import Bootstrap, priorities
from lrplstm.summary.estimates import quotient
from lrplstm.summary.grouping import SequenceGroups
from lrplstm.summary.source import Source
from lrplstm.weights import Array

__all__ = ["Sample", "draw_sample"]


@dataclass(frozen=True, eq=False)
class Sample:
    """What n sequences have, those whose random numbers are the smallest of all.

    Attributes
    ----------
    size : int
        How many there are at most.
    priority : ndarray of shape (n,)
        The random number of each, in order.
    keys : tuple of tuple of length n
        The values of its group in the columns.
    relevance : ndarray of shape (n, C, V)
        That of each variable, summed over the steps.
    values : ndarray of shape (n, V), or None
        The mean of what each variable was, where that is known.
    """

    size: int
    priority: Array
    keys: tuple[tuple[Any, ...], ...]
    relevance: Array
    values: Array | None

    def merged(self, other: Sample) -> Sample:
        """Return the sample of both together."""
        size = min(self.size, other.size)
        priority = np.concatenate([self.priority, other.priority])
        order = priority.argsort(kind="stable")[:size]
        keys = self.keys + other.keys
        values = None
        if self.values is not None and other.values is not None:
            values = np.concatenate([self.values, other.values])[order]
        return replace(
            self,
            size=size,
            priority=priority[order],
            keys=tuple(keys[n] for n in order.tolist()),
            relevance=np.concatenate([self.relevance, other.relevance])[order],
            values=values,
        )


def draw_sample(
    source: Source, groups: SequenceGroups, members: Array, bootstrap: Bootstrap, size: int
) -> Sample:
    """Draw so many sequences; `members`, (D, V), says which variables are summed into each."""
    priority = priorities(bootstrap, len(source))
    chosen = priority.argsort(kind="stable")[:size]
    rows, offsets = rows_of(chosen, source.offsets)
    relevance = source.relevance[:, rows].astype(np.float64)
    summed = np.add.reduceat(relevance, offsets[:-1], axis=1)
    values = source.values_at(rows)
    if values is not None:
        known = ~np.isnan(values)
        total = np.add.reduceat(np.where(known, values, 0), offsets[:-1], axis=0)
        values = quotient(total, np.add.reduceat(known, offsets[:-1], axis=0, dtype=np.intp))
        # A group of variables has no value.
        single = (members.sum(axis=0) == 1).all()
        values = values[:, members.argmax(axis=0)] if single else None
    return Sample(
        size=size,
        priority=priority[chosen],
        keys=tuple(groups.keys[g] for g in groups.codes[chosen].tolist()),
        relevance=np.moveaxis(summed, 0, 1) @ members,
        values=values,
    )
