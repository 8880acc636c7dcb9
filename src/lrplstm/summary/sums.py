"""Sums over sequences, and over replicates of them: all that a summary keeps of a corpus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from lrplstm.errors import ArgumentError
from lrplstm.summary.bootstrap import Bootstrap, sequence_weights
from lrplstm.summary.grouping import SequenceGroups, sorted_labels
from lrplstm.summary.source import Source
from lrplstm.texts import shown
from lrplstm.weights import Array

__all__ = [
    "ABSOLUTE",
    "SIGNED",
    "Cells",
    "Sums",
    "add_up",
    "check_same",
    "one_hot",
    "place_of",
    "union",
]

ABSOLUTE, SIGNED = 0, 1
"""Which of the two sums it is on their axis."""

_BYTES_OF_PART = 32 * 2**20
"""Working memory of so many sequences as are taken at a time."""

_MOST_BYTES = 8 * 2**30
"""Memory of the replicates."""


class Cells(NamedTuple):
    """What relevance is summed over: a cell is a bin of steps and a group of variables.

    Attributes
    ----------
    bins : tuple
        What P bins are called.
    bin : ndarray of int of shape (steps,), or None
        That of each step. None: there is one.
    variables : tuple of str of length V
    members : ndarray of shape (D, V)
        1 where a variable is of a group, else 0.
    """

    bins: tuple[Any, ...]
    bin: Array | None
    variables: tuple[str, ...]
    members: Array


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums over the sequences of G groups, in P bins of steps, of C classes and V variables.

    Attributes
    ----------
    bootstrap : Bootstrap
    numbers : tuple of (int, int)
        From which running number up to which sequences were summed up.
    columns : tuple of str
    keys : tuple of tuple of length G
        Values of the groups in the columns.
    bins : tuple of length P
    classes : tuple of str, or None
    variables : tuple of str
    sequences : ndarray of int of shape (G, P)
        How many have a step there.
    steps : ndarray of shape (G, P)
    relevance : ndarray of shape (G, P, 2, C, V)
        Sums of absolute and of signed relevance.
    replicate_steps : ndarray of shape (R, G, P)
    replicate_relevance : ndarray of shape (R, G, P, 2, C, V)
    """

    bootstrap: Bootstrap
    numbers: tuple[tuple[int, int], ...]
    columns: tuple[str, ...]
    keys: tuple[tuple[Any, ...], ...]
    bins: tuple[Any, ...]
    classes: tuple[str, ...] | None
    variables: tuple[str, ...]
    sequences: Array
    steps: Array
    relevance: Array
    replicate_steps: Array
    replicate_relevance: Array

    @property
    def blocks(self) -> int:
        """How many blocks of sequences the bootstrap draws from."""
        size = self.bootstrap.block
        return sum((stop - 1) // size - start // size + 1 for start, stop in self.numbers)

    def merged(self, other: Sums) -> Sums:
        """Return the sums over the sequences of both.

        Raises
        ------
        ValueError
            If both are of some sequence, or they are of other variables, classes or columns, or of
            other bootstraps.
        """
        for name in ("columns", "classes", "variables"):
            check_same(name, getattr(self, name), getattr(other, name))
        for name in ("replicates", "confidence", "seed", "block"):
            check_same(name, getattr(self.bootstrap, name), getattr(other.bootstrap, name))
        numbers = _joined_numbers(self.numbers, other.numbers)
        keys = union(self.keys, other.keys)
        bins = union(self.bins, other.bins)
        row, column = place_of(keys), place_of(bins)

        def added(name: str, axis: int) -> Array:
            """Add up arrays of which this axis is that of groups, and the next that of bins."""
            parts = [self, other]
            arrays = [getattr(part, name) for part in parts]
            shape = list(arrays[0].shape)
            shape[axis : axis + 2] = len(keys), len(bins)
            total = np.zeros(shape, arrays[0].dtype)
            for part, array in zip(parts, arrays, strict=True):
                places = np.ix_([row[key] for key in part.keys], [column[b] for b in part.bins])
                total[(slice(None),) * axis + places] += array
            return total

        return replace(
            self,
            numbers=numbers,
            keys=keys,
            bins=bins,
            sequences=added("sequences", 0),
            steps=added("steps", 0),
            relevance=added("relevance", 0),
            replicate_steps=added("replicate_steps", 1),
            replicate_relevance=added("replicate_relevance", 1),
        )


def check_same(name: str, expected: Any, got: Any) -> None:
    """Raise an error if what two summaries have in common is not the same."""
    if expected != got:
        raise ArgumentError(
            "other", f"expected a summary of the same {name}, {shown(expected)}, got {shown(got)}"
        )


def _joined_numbers(
    some: Sequence[tuple[int, int]], others: Sequence[tuple[int, int]]
) -> tuple[tuple[int, int], ...]:
    """Return ranges of running numbers in order, those that follow each other as one."""
    found: list[tuple[int, int]] = []
    for start, stop in sorted([*some, *others]):
        if found and start < found[-1][1]:
            raise ArgumentError(
                "other",
                f"expected a summary of other sequences, got number {start} in both; number those "
                f"of the second part by bootstrap=Bootstrap(start={found[-1][1]})",
            )
        if found and start == found[-1][1]:
            start = found.pop()[0]
        found.append((start, stop))
    return tuple(found)


def place_of(labels: Sequence[Any]) -> dict[Any, int]:
    """Return the place of each label."""
    return {label: n for n, label in enumerate(labels)}


def union(some: tuple[Any, ...], others: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return all labels: in the order in which both have them, else sorted."""
    if set(others) <= set(some):
        return some
    return tuple(sorted_labels({*some, *others}))


def one_hot(group: Array, groups: int) -> Array:
    """Return in columns which variables are of each group: (D, V)."""
    found: Array = np.eye(groups)[group]
    return found


def add_up(source: Source, groups: SequenceGroups, cells: Cells, bootstrap: Bootstrap) -> Sums:
    """Sum up the relevance of all sequences, by parts that bound the memory."""
    G, P, C, V = len(groups.keys), len(cells.bins), len(source.relevance), len(cells.variables)
    R, B, offsets = bootstrap.replicates, len(source), source.offsets
    _check_memory(R, G * P * 2 * C * V)
    sequences, steps = np.zeros((G, P), np.int64), np.zeros((G, P))
    relevance = np.zeros((G, P * 2 * C * V))
    replicate_steps = np.zeros((G, R, P))
    replicate_relevance = np.zeros((G, R, P * 2 * C * V))
    mean_steps = int(offsets[-1]) // B + 1
    bytes_of_one = 8 * (R + 3 * P * 2 * C * V + 4 * mean_steps * C * len(cells.members))
    size = max(1, _BYTES_OF_PART // bytes_of_one)
    for first in range(0, B, size):
        last = min(first + size, B)
        own_steps, own = _of_sequences(source, cells, first, last)
        weights = sequence_weights(bootstrap, first, last)
        codes = groups.codes[first:last]
        for g in np.unique(codes).tolist():
            chosen = slice(None) if G == 1 else codes == g
            w, n, r = weights[chosen], own_steps[chosen], own[chosen]
            sequences[g] += np.count_nonzero(n, axis=0)
            steps[g] += n.sum(axis=0)
            relevance[g] += r.sum(axis=0)
            replicate_steps[g] += w.T @ n
            replicate_relevance[g] += w.T @ r
    shape = P, 2, C, V
    return Sums(
        bootstrap=bootstrap,
        numbers=((bootstrap.start, bootstrap.start + B),),
        columns=groups.columns,
        keys=groups.keys,
        bins=cells.bins,
        classes=source.classes,
        variables=cells.variables,
        sequences=sequences,
        steps=steps,
        relevance=relevance.reshape(G, *shape),
        replicate_steps=replicate_steps.swapaxes(0, 1),
        replicate_relevance=replicate_relevance.reshape(G, R, *shape).swapaxes(0, 1),
    )


def _check_memory(replicates: int, sums: int) -> None:
    """Raise a ValueError if replicates would take more memory than they may."""
    size = 8 * replicates * sums
    if size > _MOST_BYTES:
        raise ArgumentError(
            "bootstrap",
            f"expected replicates of at most {_MOST_BYTES / 2**30:.0f} GiB, got {replicates} of "
            f"{sums:,} sums ({size / 2**30:.0f} GiB); choose fewer replicates or groups, or wider "
            "bins of lags",
        )


def _of_sequences(source: Source, cells: Cells, first: int, last: int) -> tuple[Array, Array]:
    """Return what some sequences have: steps, (b, P), and relevance, (b, P * 2 * C * V)."""
    P, offsets = len(cells.bins), source.offsets[first : last + 1]
    lengths = np.diff(offsets)
    signed = source.of_steps(int(offsets[0]), int(offsets[-1]))
    both = np.stack([np.abs(signed), signed], axis=1)  # (n, 2, C, D)
    if not np.array_equal(cells.members, np.eye(len(cells.members))):
        both = both.reshape(-1, len(cells.members)) @ cells.members
    rows = both.reshape(len(signed), -1)
    sequence = np.repeat(np.arange(len(lengths)), lengths)
    cell = sequence * P
    if cells.bin is not None:
        cell = cell + cells.bin[offsets[0] : offsets[-1]]
    count = np.bincount(cell, minlength=len(lengths) * P)
    summed = _sum_by(rows, cell, count)
    return count.reshape(-1, P).astype(np.float64), summed.reshape(len(lengths), -1)


def _sum_by(rows: Array, cell: Array, count: Array) -> Array:
    """Sum the rows of each cell: (n, K) -> (cells, K); `count` says how many each has."""
    found = np.zeros((len(count), rows.shape[1]))
    if count.max() == 1:
        found[cell] = rows
        return found
    if (np.diff(cell) < 0).any():
        order = cell.argsort(kind="stable")
        rows = rows[order]
    filled = np.flatnonzero(count)
    begin = np.cumsum(count)[filled] - count[filled]
    found[filled] = np.add.reduceat(rows, begin, axis=0)
    return found
