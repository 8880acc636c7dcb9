"""Sequences of steps of any length, one after the other: `Batch`, and the parts it is read in."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any, NamedTuple, overload

import numpy as np

from lrplstm.step_labels import StepLabels
from lrplstm.weights import Array

__all__ = [
    "MOST_STEPS",
    "Batch",
    "LengthError",
    "Named",
    "Names",
    "Part",
    "Words",
    "apart",
    "locate",
    "one_row_each",
    "rows_of",
    "sum_inputs",
    "sum_steps",
    "to_offsets",
]

MOST_STEPS = 2**31 - 1
"""More a network cannot be made of, so that numbers of steps can be added and multiplied."""

_PART_STEPS, _PART_BYTES = 2048, 32 * 2**20
"""Steps, and working memory, of a part of a batch: enough that the calls do not count, and few
enough for the cache."""

_LEAST_SEQUENCES, _MOST_BYTES = 64, 512 * 2**20
"""So many sequences are a part even if they take more: their steps share the reading of weights."""


def to_offsets(lengths: Sequence[int] | Array) -> Array:
    """Return where sequences begin in their concatenation, and where it ends: (B + 1,)."""
    if isinstance(lengths, list):
        return np.fromiter(accumulate(lengths, initial=0), np.intp, len(lengths) + 1)
    offsets = np.zeros(len(lengths) + 1, np.intp)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


@functools.lru_cache(maxsize=16)
def one_row_each(sequences: int) -> Array:
    """Return where sequences begin in rows of which each has one; to be read only."""
    offsets = np.arange(sequences + 1)
    offsets.setflags(write=False)
    return offsets


def rows_of(sequences: slice | Array, offsets: Array) -> tuple[Array, Array]:
    """Return which rows some sequences have, and where they begin in these; (B + 1,).

    The rows of all sequences begin at `offsets`.
    """
    begin, lengths = offsets[:-1][sequences], np.diff(offsets)[sequences]
    own = to_offsets(lengths)
    return np.arange(own[-1]) + np.repeat(begin - own[:-1], lengths), own


def apart(steps: Array, offsets: Array) -> list[Array]:
    """Return the steps of each sequence by themselves."""
    return [steps[first:last] for first, last in pairwise(offsets.tolist())]


def sum_steps(values: Array, offsets: Array) -> Array:
    """Sum each sequence's steps, in float64: (..., steps) -> (..., B)."""
    sums: Array = np.add.reduceat(values, offsets[:-1], -1, np.float64)
    return sums


def sum_inputs(values: Array) -> Array:
    """Sum the inputs of each step, (..., D) -> (...); of short rows NumPy's sum takes long."""
    sums: Array = np.einsum("...d->...", values)
    return sums


def locate(step: int, offsets: Array) -> tuple[int, int]:
    """Return the sequence that a step of all lies in, and its position there."""
    b = int(offsets.searchsorted(step, side="right")) - 1
    return b, int(step - offsets[b])


class LengthError(ValueError):
    """A sequence has a number of steps that cannot be read.

    Attributes
    ----------
    sequence : int
        Which of the batch.
    """

    def __init__(self, sequence: int, text: str) -> None:
        super().__init__(text)
        self.sequence = sequence


@dataclass(eq=False, slots=True)
class Words(Sequence[list[str]]):
    """The tokens of each sequence, looked up in a vocabulary when they are asked for."""

    ids: Array
    offsets: Array
    vocabulary: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, index: int) -> list[str]: ...
    @overload
    def __getitem__(self, index: slice) -> list[list[str]]: ...
    def __getitem__(self, index: int | slice) -> list[str] | list[list[str]]:
        if isinstance(index, slice):
            return [self[b] for b in range(*index.indices(len(self)))]
        b = range(len(self))[index]  # also checks, and counts from the end
        ids = self.ids[self.offsets.item(b) : self.offsets.item(b + 1)]
        return list(map(self.vocabulary.__getitem__, ids.tolist()))


class Part(NamedTuple):
    """Some sequences of a batch, the longest first.

    Attributes
    ----------
    sequences : slice or ndarray of int
        Which they are.
    steps : slice or ndarray of int
        Which steps of the batch are theirs, sequence by sequence.
    offsets : ndarray
        Where each of them begins in these steps, and where the last ends.
    """

    sequences: slice | Array
    steps: slice | Array
    offsets: Array

    def rows(self, by_step: bool, offsets: Array | None = None) -> slice | Array:
        """Return which rows of an array of all sequences, or of all steps, are theirs.

        With `offsets` sequences begin there, at steps of another kind.
        """
        if by_step and offsets is not None:
            return rows_of(self.sequences, offsets)[0]
        return self.steps if by_step else self.sequences


class Padding(NamedTuple):
    """What was left out of a batch: steps that only fill sequences up.

    Attributes
    ----------
    offsets : ndarray of shape (B + 1,)
        Of the sequences as they were given.
    read : ndarray
        Which of their steps were not left out.
    """

    offsets: Array
    read: Array


class Values(NamedTuple):
    """What the variables were at each step, as it was given.

    Attributes
    ----------
    table : ndarray of shape (N, D)
    rows : ndarray of shape (steps,), or None
        Which row of it each step is, as of windows that overlap. None: they are the steps.
    """

    table: Array
    rows: Array | None = None

    def take(self, steps: slice) -> Values:
        """Return those of some steps, by themselves."""
        return Values(self.table[steps] if self.rows is None else self.table[self.rows[steps]])

    def as_array(self) -> Array:
        """Return them, (steps, D), in an array of their own."""
        return self.table.copy() if self.rows is None else self.table[self.rows]


class Names(NamedTuple):
    """What parts of a batch are called, and what was given of each.

    Attributes
    ----------
    features : tuple of str, or None
        The D variables.
    steps : StepLabels, or None
        Of all steps that were given, those of one sequence after those of another.
    sequences : mapping of ndarray of shape (B,), or None
        What each sequence is of, such as its basin, by the name of that.
    values : Values, or None
        Where the inputs were numbers.
    text : str, or None
        The text that the tokens of the one sequence were made from.
    """

    features: tuple[str, ...] | None = None
    steps: StepLabels | None = None
    sequences: Mapping[str, Array] | None = None
    values: Values | None = None
    text: str | None = None

    def of(self, b: int, steps: slice) -> Names:
        """Return what parts of one sequence are called."""
        if self.steps is None and self.sequences is None and self.values is None:
            return self
        of_steps = None if self.steps is None else self.steps.take(steps)
        one = None
        if self.sequences is not None:
            one = {name: values[b] for name, values in self.sequences.items()}
        values = None if self.values is None else self.values.take(steps)
        return self._replace(steps=of_steps, sequences=one, values=values)


NO_NAMES = Names()


class Named:
    """What an explanation, of one sequence or of many, says of what it explains."""

    names: Names

    @property
    def feature_names(self) -> tuple[str, ...] | None:
        """What the D variables are called, by the data or the model; None if nobody named them."""
        return self.names.features

    @property
    def step_labels(self) -> Array | None:
        """What the steps are called, such as dates: (steps,); None if nobody named them.

        Dates are datetime64, or where they have a time zone datetimes that know it.
        """
        return None if self.names.steps is None else self.names.steps.as_array()

    @property
    def input_values(self) -> Array | None:
        """The numbers that were explained, as they were given: (steps, D); None of words."""
        return None if self.names.values is None else self.names.values.as_array()

    @property
    def sequence_labels(self) -> dict[str, Any]:
        """What each sequence is of, such as its basin, by the name of that."""
        return dict(self.names.sequences or {})


@dataclass(eq=False, slots=True)
class Batch:
    """Sequences, one after the other; to be read only.

    Frozen it would take as long to make as the ids of a sentence take to check.

    Attributes
    ----------
    offsets : ndarray of shape (B + 1,)
        Sequence b has the steps ``offsets[b]:offsets[b + 1]``.
    data : ndarray of shape (steps,) or (steps, D)
        Ids, which are rows of `embedding`, or `zero_id`; or features.
    embedding : ndarray of shape (V, D), or None
        None where `data` are features.
    tokens : sequence of list of str, or None
        One list a sequence, as it was given.
    unknown : ndarray of bool, of as many steps as were given
        True where the vocabulary lacks the token, or the unknown token itself stands.
    single : bool
        True where the input was one sequence rather than a batch of one.
    padding : Padding, or None
        What was left out; None if nothing was.
    others : mapping of Batch
        What networks of several inputs read besides, by name: a sequence for each of these.
    score_offsets : ndarray of shape (B + 1,), or None
        Where sequences begin in scores of steps that are not those of the inputs.
    names : Names
    of_windows : bool
        Whether `embedding` is a table of features, of whose rows `data` are windows.
    """

    offsets: Array
    data: Array
    embedding: Array | None
    tokens: Sequence[list[str]] | None
    unknown: Array
    single: bool
    padding: Padding | None = None
    others: Mapping[str, Batch] = field(default_factory=dict)
    score_offsets: Array | None = None
    names: Names = NO_NAMES
    of_windows: bool = False

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def given_offsets(self) -> Array:
        """Offsets of the sequences as they were given."""
        return self.offsets if self.padding is None else self.padding.offsets

    def as_given(self, values: Array, axis: int, fill: float = 0) -> Array:
        """Return values of steps, such as relevance, with others where steps were left out."""
        if self.padding is None:
            return values
        shape = list(values.shape)
        shape[axis] = int(self.padding.offsets[-1])
        found = np.full(shape, fill, values.dtype)
        found[(slice(None),) * axis + (self.padding.read,)] = values
        return found

    @property
    def is_read(self) -> Array:
        """Which of the steps that were given were not left out, bool."""
        return self.as_given(np.ones(int(self.offsets[-1]), bool), axis=0)

    @property
    def from_features(self) -> bool:
        """True where the input was numbers rather than tokens or ids."""
        return self.embedding is None or self.of_windows

    @property
    def any_features(self) -> bool:
        """Whether that is so of this input or of another."""
        if not self.others:
            return self.from_features
        return self.from_features or any(other.from_features for other in self.others.values())

    @property
    def zero_id(self) -> int:
        """The id of a step whose features are all zero: V."""
        return 0 if self.embedding is None else len(self.embedding)

    def features(self, steps: slice | Array) -> Array:
        """Return what the network reads at some steps, of shape (steps, D)."""
        data = self.data[steps] if isinstance(steps, slice) else self.data.take(steps, axis=0)
        return data if self.embedding is None else self.embed(data)

    def embed(self, ids: Array) -> Array:
        """Return the features of ids, of shape (ids, D)."""
        embedding: Any = self.embedding
        features: Array = embedding.take(ids, axis=0, mode="clip")
        features[ids == self.zero_id] = 0
        return features

    def parts(self, bytes_per_step: int, least: int) -> list[Part]:
        """Cut the batch into parts small enough to bound memory.

        Parameters
        ----------
        bytes_per_step : int
            Working memory that one step takes.
        least : int
            Number of parts there should be at least, to share out.
        """
        B, steps = len(self.offsets) - 1, self.offsets.item(-1)
        if B == 1:
            return [Part(slice(0, 1), slice(0, steps), self.offsets)]
        share = -(-steps // least)
        limit = min(_PART_STEPS, _PART_BYTES // bytes_per_step, share)
        lengths = np.diff(self.offsets)
        in_order = bool((lengths[1:] <= lengths[:-1]).all())  # as of series of one length
        sorted_offsets = self.offsets
        if not in_order:
            order = np.argsort(-lengths, kind="stable")
            sorted_steps, sorted_offsets = rows_of(order, self.offsets)
        parts, first = [], 0
        while first < B:
            begin = int(sorted_offsets[first])
            length = int(sorted_offsets[first + 1]) - begin
            fits = max(limit, min(_LEAST_SEQUENCES * length, _MOST_BYTES // bytes_per_step, share))
            stop = int(sorted_offsets.searchsorted(begin + fits, side="right")) - 1
            stop = max(first + 1, stop)
            sequences, of_steps = slice(first, stop), slice(begin, int(sorted_offsets[stop]))
            offsets = sorted_offsets[first : stop + 1] - begin
            if in_order:
                parts.append(Part(sequences, of_steps, offsets))
            else:
                parts.append(Part(order[sequences], sorted_steps[of_steps], offsets))
            first = stop
        return parts
