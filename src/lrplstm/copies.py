"""Copies of sequences that are each changed a little: in groups that bound memory."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from lrplstm.parallel import look
from lrplstm.sequences import rows_of, to_offsets
from lrplstm.weights import Array

__all__ = ["Copies", "MarkedCopies", "Remaining", "copies", "copies_for_steps", "remaining"]

_GROUP_STEPS, _LEAST_COPIES, _MOST_BYTES = 1024, 16, 128 * 2**20
"""Steps of a group: enough that the calls do not count. Or so many copies, which share the reading
of weights; but no more working memory than that."""

_MARKED_STEPS = 3072
"""The same of copies that are each about one step: only what comes after it is read of most."""


class Copies(NamedTuple):
    """Some copies of a part's sequences; those of one sequence follow each other.

    Attributes
    ----------
    owner : ndarray of shape (n,)
        Which sequence each is a copy of.
    number : ndarray of shape (n,)
        Its number among the copies of that sequence.
    steps : ndarray
        Which step of the part each step is a copy of.
    offsets : ndarray of shape (n + 1,)
        Where each copy begins in these, and where the last ends.
    """

    owner: Array
    number: Array
    steps: Array
    offsets: Array

    def by_sequence(self) -> Iterator[tuple[int, slice, slice]]:
        """Yield each sequence that there are copies of, which copies they are, and their steps."""
        change = np.flatnonzero(self.owner[1:] != self.owner[:-1]) + 1
        for start, stop in pairwise([0, *change.tolist(), len(self.owner)]):
            steps = slice(int(self.offsets[start]), int(self.offsets[stop]))
            yield int(self.owner[start]), slice(start, stop), steps

    def take(self, values: Array, offsets: Array) -> Array:
        """Return the rows of the copies, given those of the sequences, which begin at `offsets`."""
        return values.take(rows_of(self.owner, offsets)[0], axis=0)

    def offsets_like(self, offsets: Array) -> Array:
        """Return where copies begin in rows in which the sequences begin at `offsets`."""
        return to_offsets(np.diff(offsets)[self.owner])


class MarkedCopies(NamedTuple):
    """Copies of which each is about one step of its sequence, or one input of it.

    Attributes
    ----------
    copies : Copies
    step : ndarray of shape (n,)
        Which step of the part that is.
    marked : ndarray of shape (n,)
        Where it is among the steps of the copies.
    input : ndarray of shape (n,)
        Which input of the step it is.
    """

    copies: Copies
    step: Array
    marked: Array
    input: Array


class Remaining(NamedTuple):
    """What one direction reads of copies from a step of each on: the longest first.

    Attributes
    ----------
    order : ndarray of shape (n,)
        Which copy each is of.
    steps : ndarray
        Which step of the part each of their steps is a copy of.
    offsets : ndarray of shape (n + 1,)
        Where each begins in these, and where the last ends.
    first : ndarray of shape (n,)
        Where the step is in these that is read first.
    """

    order: Array
    steps: Array
    offsets: Array
    first: Array

    def rows(self, copies: Copies, offsets: Array) -> Array:
        """Return where their steps are among those of all copies; of sequences at `offsets`."""
        shift = copies.offsets[:-1] - offsets[copies.owner]
        return self.steps + np.repeat(shift[self.order], np.diff(self.offsets))


def copies(
    offsets: Array, counts: Array, bytes_per_step: int, group: int = _GROUP_STEPS
) -> Iterator[Copies]:
    """Yield ``counts[b]`` copies of each sequence, in groups of bounded working memory.

    Sequences are the longest first, and so are their copies.
    """
    lengths, ends = np.diff(offsets), np.cumsum(counts)
    first = 0
    while first < ends[-1]:
        look()
        longest = int(lengths[ends.searchsorted(first, side="right")])
        wanted = max(group, _LEAST_COPIES * longest)
        size = max(1, min(wanted, _MOST_BYTES // bytes_per_step) // longest)
        index = np.arange(first, min(first + size, ends[-1]))
        owner = ends.searchsorted(index, side="right")
        own = to_offsets(lengths[owner])
        steps = np.arange(own[-1]) + np.repeat(offsets[owner] - own[:-1], lengths[owner])
        yield Copies(owner, index - (ends - counts)[owner], steps, own)
        first += size


def copies_for_steps(
    offsets: Array, inputs: int, bytes_per_step: int, rows: Array | None = None
) -> Iterator[MarkedCopies]:
    """Yield one copy for each of `inputs` inputs of each step, step after step.

    With `rows`, where sequences begin in the rows of another input, it is these that copies are
    about.
    """
    about = offsets if rows is None else rows
    for group in copies(offsets, inputs * np.diff(about), bytes_per_step, _MARKED_STEPS):
        position = group.number // inputs
        begin = group.offsets if rows is None else group.offsets_like(rows)
        yield MarkedCopies(
            group,
            step=about[group.owner] + position,
            marked=begin[:-1] + position,
            input=group.number % inputs,
        )


def remaining(copies: Copies, step: Array, offsets: Array, reverse: bool) -> Remaining:
    """Return what a direction reads of copies from `step` of the part on, (n,), one of each."""
    start, stop = offsets[copies.owner], offsets[copies.owner + 1]
    begin, lengths = (start, step + 1 - start) if reverse else (step, stop - step)
    # The longest first, as scans want them.
    order = np.argsort(-lengths, kind="stable")
    begin, lengths = begin[order], lengths[order]
    own = to_offsets(lengths)
    steps = np.arange(own[-1]) + np.repeat(begin - own[:-1], lengths)
    first = own[1:] - 1 if reverse else own[:-1]
    return Remaining(order, steps, own, first)
