"""Inputs of any accepted form -> one `Batch`: all steps in a row, with offsets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from numbers import Integral, Real
from typing import Any, NamedTuple, overload

import numpy as np

from lrplstm.checks import check_choice, to_array
from lrplstm.weights import Array

__all__ = ["UNKNOWN_CHOICES", "Batch", "InputEncoder", "Part", "Words", "sum_steps", "to_offsets"]

UNKNOWN_CHOICES = ("error", "unk", "zero")

_PART_STEPS, _PART_BYTES = 2048, 32 * 2**20
"""Steps, and working memory, of a part of a batch: enough that the calls do not count, and few
enough for the cache."""

_LEAST_SEQUENCES, _MOST_BYTES = 64, 512 * 2**20
"""So many sequences are a part even if they take more: their steps share the reading of weights."""


def to_offsets(lengths: Sequence[int] | Array) -> Array:
    """Return where sequences begin in their concatenation, and where it ends: (B + 1,)."""
    if len(lengths) == 1:
        return np.array([0, lengths[0]], np.intp)
    offsets = np.zeros(len(lengths) + 1, np.intp)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def sum_steps(values: Array, offsets: Array) -> Array:
    """Sum each sequence's steps, in float64: (..., steps) -> (..., B)."""
    return np.asarray(np.add.reduceat(values, offsets[:-1], axis=-1, dtype=np.float64))


def _locate(step: int, offsets: Array) -> tuple[int, int]:
    """Return the sequence that a step of all lies in, and its position there."""
    b = int(offsets.searchsorted(step, side="right")) - 1
    return b, int(step - offsets[b])


@dataclass(frozen=True, eq=False)
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
        steps = slice(int(self.offsets[b]), int(self.offsets[b + 1]))
        return [self.vocabulary[id_] for id_ in self.ids[steps].tolist()]


@dataclass(frozen=True, eq=False)
class Part:
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


@dataclass(frozen=True, eq=False)
class Batch:
    """Sequences, one after the other.

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
    """

    offsets: Array
    data: Array
    embedding: Array | None
    tokens: Sequence[list[str]] | None
    unknown: Array
    single: bool
    padding: Padding | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def given_offsets(self) -> Array:
        """Offsets of the sequences as they were given."""
        return self.offsets if self.padding is None else self.padding.offsets

    def as_given(self, relevance: Array, axis: int) -> Array:
        """Return relevance of steps with zeros where steps were left out."""
        if self.padding is None:
            return relevance
        shape = list(relevance.shape)
        shape[axis] = int(self.padding.offsets[-1])
        found = np.zeros(shape, relevance.dtype)
        found[(slice(None),) * axis + (self.padding.read,)] = relevance
        return found

    @property
    def from_features(self) -> bool:
        """True where the input was numbers rather than tokens or ids."""
        return self.embedding is None

    @property
    def zero_id(self) -> int:
        """The id of a step whose features are all zero: V."""
        return 0 if self.embedding is None else len(self.embedding)

    def features(self, steps: slice | Array) -> Array:
        """Return what the network reads at some steps, of shape (steps, D)."""
        data = self.data[steps]
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
        B, steps = len(self), int(self.offsets[-1])
        if B == 1:
            return [Part(slice(0, 1), slice(0, steps), self.offsets)]
        share = -(-steps // least)
        limit = min(_PART_STEPS, _PART_BYTES // bytes_per_step, share)
        lengths = np.diff(self.offsets)
        order = np.argsort(-lengths, kind="stable")
        sorted_offsets = to_offsets(lengths[order])
        # Steps of the batch in the order of the sorted sequences.
        sorted_steps = np.arange(steps) + np.repeat(
            self.offsets[order] - sorted_offsets[:-1], lengths[order]
        )
        parts, first = [], 0
        while first < B:
            begin = int(sorted_offsets[first])
            length = int(sorted_offsets[first + 1]) - begin
            fits = max(limit, min(_LEAST_SEQUENCES * length, _MOST_BYTES // bytes_per_step, share))
            stop = int(sorted_offsets.searchsorted(begin + fits, side="right")) - 1
            stop = max(first + 1, stop)
            parts.append(
                Part(
                    order[first:stop],
                    sorted_steps[begin : sorted_offsets[stop]],
                    sorted_offsets[first : stop + 1] - begin,
                )
            )
            first = stop
        return parts


def _is_sequence(value: object) -> bool:
    if isinstance(value, np.ndarray):
        return value.ndim > 0
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _is_tensor(value: object) -> bool:
    """Whether `value` is like an array: a tensor of another library, a column of a table."""
    return hasattr(value, "__array__") and not isinstance(value, np.ndarray | np.generic)


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_)


def _is_row(value: object) -> bool:
    """Whether `value` is one step's features: floats in one dimension."""
    if isinstance(value, np.ndarray):
        return value.ndim == 1 and value.dtype.kind == "f"
    return _is_sequence(value) and any(
        _is_number(x) and not isinstance(x, Integral)
        for x in value  # type: ignore[attr-defined]
    )


def _split(inputs: Any) -> tuple[list[Any], bool]:
    """Return the sequences in `inputs`, and whether it was just one."""
    if isinstance(inputs, str | bytes):
        raise TypeError(
            "inputs: expected a list of tokens, ids or floats, got a plain string; pass a list of "
            "tokens"
        )
    if _is_tensor(inputs):
        inputs = to_array("inputs", inputs)
    if not _is_sequence(inputs):
        raise TypeError(
            "inputs: expected a list of tokens, an array of ids or floats, or a list of those, "
            f"got {type(inputs).__name__}"
        )
    if len(inputs) == 0:
        raise ValueError("inputs: expected at least one sequence of at least one step, got nothing")
    if isinstance(inputs, np.ndarray):
        if inputs.ndim == 3:
            return list(inputs), False
        return [inputs], True
    if all(isinstance(element, str) or _is_number(element) for element in inputs):
        return [inputs], True
    if any(_is_row(element) for element in inputs):
        return [inputs], True
    return [
        to_array(f"inputs[{b}]", element) if _is_tensor(element) else element
        for b, element in enumerate(inputs)
    ], False


def _arrays(inputs: Any) -> tuple[str | None, list[Any], bool]:
    """Return the kind of `inputs`, its sequences, and whether it was just one.

    This is the quick way for arrays that are all ids or all features; the kind of anything else is
    None.
    """
    is_array = type(inputs) is np.ndarray  # of no class of its own, such as masked arrays
    single = is_array and inputs.ndim < 3
    if single:
        sequences = [inputs]
    elif is_array or (isinstance(inputs, list | tuple) and set(map(type, inputs)) == {np.ndarray}):
        sequences = list(inputs)
    else:
        return None, [], False
    kinds = {(array.dtype.kind, array.ndim) for array in sequences}
    kind = "ids" if kinds <= {("i", 1), ("u", 1)} else "floats" if kinds == {("f", 2)} else None
    if kind is None or not sequences or not all(map(len, sequences)):
        return None, [], False
    return kind, sequences, single


@dataclass(frozen=True)
class _Names:
    """What errors call the sequences."""

    single: bool

    def __getitem__(self, b: int) -> str:
        return "inputs" if self.single else f"inputs[{b}]"


@dataclass(frozen=True, eq=False)
class InputEncoder:
    """What turns tokens and ids into features, and checks all three.

    Parameters
    ----------
    input_size : int
        D, the width of features.
    dtype : numpy.dtype
        What features are converted to.
    embedding : ndarray of shape (V, D), optional
        Features of each id.
    vocabulary : tuple of str of length V, optional
        Token of each id.
    unknown_token : str, optional
        The token of `vocabulary` that stands for all others.
    mask_id : int, optional
        Id whose steps are left out.
    every_step : bool
        Whether something is asked of each step, so that none can be left out.
    """

    input_size: int
    dtype: np.dtype[Any]
    embedding: Array | None
    vocabulary: tuple[str, ...] | None
    unknown_token: str | None
    mask_id: int | None
    every_step: bool
    _ids: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        ids = {token: id_ for id_, token in enumerate(self.vocabulary or ())}
        object.__setattr__(self, "_ids", ids)

    def encode(self, inputs: Any, unknown: str | None = None) -> Batch:
        """Check `inputs` and return them as a batch; errors as `lrplstm.lrp` documents them."""
        if unknown is not None:
            self._check_unknown(unknown)
        kind, sequences, single = _arrays(inputs)
        names = _Names(single)
        if kind is None:
            sequences, single = _split(inputs)
            names = _Names(single)
            sequences = [
                to_array(names[b], s) if isinstance(s, np.ndarray) else s
                for b, s in enumerate(sequences)
            ]
            kind = self._one_kind(names, sequences)
        if kind == "floats":
            return self._batch_of_features(names, sequences)
        offsets = to_offsets([len(s) for s in sequences])
        if kind == "tokens":
            tokens = [[str(token) for token in sequence] for sequence in sequences]
            ids, lacking = self._token_ids(names, tokens, self._unknown_id(unknown))
            batch = Batch(offsets, ids, self.embedding, tokens, lacking, single)
        else:
            ids = self._check_ids(names, sequences, offsets)
            words = None if self.vocabulary is None else Words(ids, offsets, self.vocabulary)
            batch = Batch(offsets, ids, self.embedding, words, self._is_unknown(ids), single)
        return batch if self.mask_id is None else self._leave_out(names, batch)

    def _leave_out(self, names: _Names, batch: Batch) -> Batch:
        """Return a batch without the steps that only fill it up."""
        filled = batch.data == self.mask_id
        if not filled.any():
            return batch
        if self.every_step:
            b, position = _locate(int(filled.argmax()), batch.offsets)
            raise ValueError(
                f"{names[b]}: expected no padding (id {self.mask_id}), got some at position "
                f"{position}; the model's pooling takes every step, so leave it out"
            )
        offsets = np.concatenate([[0], np.cumsum(~filled)])[batch.offsets]
        lengths = np.diff(offsets)
        if not lengths.all():
            raise ValueError(
                f"{names[int(lengths.argmin())]}: expected at least one step, got nothing but "
                f"padding (id {self.mask_id})"
            )
        read = np.flatnonzero(~filled)
        padding = Padding(batch.offsets, read)
        return replace(batch, offsets=offsets, data=batch.data[read], padding=padding)

    def _one_kind(self, names: _Names, sequences: list[Any]) -> str:
        """Return what all sequences hold: "tokens", "ids" or "floats"."""
        for b, sequence in enumerate(sequences):
            if not _is_sequence(sequence):
                raise TypeError(
                    f"{names[b]}: expected a sequence of tokens, ids or floats, "
                    f"got {sequence!r:.60}"
                )
            if len(sequence) == 0:
                raise ValueError(f"{names[b]}: expected at least one step, got an empty sequence")
        kinds = [self._kind(names[b], sequence) for b, sequence in enumerate(sequences)]
        for b, kind in enumerate(kinds):
            if kind != kinds[0]:
                raise TypeError(f"{names[b]}: expected {kinds[0]} as in inputs[0], got {kind}")
        return kinds[0]

    def _check_unknown(self, unknown: str) -> None:
        check_choice("unknown", unknown, UNKNOWN_CHOICES)
        if unknown == "unk" and self.unknown_token is None:
            raise ValueError(
                "unknown: expected 'error' or 'zero', got 'unk': the model has no unknown token"
            )

    def _unknown_id(self, unknown: str | None) -> int | None:
        """Return the id for tokens that the vocabulary lacks; None: they are an error."""
        if unknown == "zero":
            return 0 if self.embedding is None else len(self.embedding)  # the batch's zero_id
        if unknown == "error" or self.unknown_token is None:
            return None
        return self._ids[self.unknown_token]

    def _kind(self, name: str, sequence: Any) -> str:
        """Return what `sequence` holds: "tokens", "ids" or "floats"."""
        if isinstance(sequence, np.ndarray):
            kind, ndim = sequence.dtype.kind, sequence.ndim
            if kind == "O" and ndim == 1 and all(isinstance(t, str) for t in sequence):
                kind = "U"
        else:
            if all(isinstance(token, str) for token in sequence):
                return "tokens"
            if all(_is_number(x) and isinstance(x, Integral) for x in sequence):
                return "ids"
            array = to_array(name, sequence)
            kind, ndim = array.dtype.kind, array.ndim
            if kind in "US":  # some are strings, and NumPy would make strings of all
                kind = "O"
        if kind == "U" and ndim == 1:
            return "tokens"
        if kind in "iu" and ndim == 1:
            return "ids"
        if kind in "iuf" and ndim == 2:
            if kind != "f" and self.embedding is not None:
                raise TypeError(
                    f"{name}: expected floats in an array of 2 dimensions, got integers; "
                    "pass a list of integer arrays for a batch of ids"
                )
            return "floats"
        what = {"U": "strings", "i": "integers", "u": "integers", "f": "floats", "b": "bools"}
        raise TypeError(
            f"{name}: expected a list of tokens, an integer array (T,) or a float array "
            f"(T, {self.input_size}), got {what.get(kind, 'other things')} in {ndim} dimension(s)"
        )

    def _batch_of_features(self, names: _Names, sequences: list[Any]) -> Batch:
        arrays = [
            s if isinstance(s, np.ndarray) else to_array(names[b], s)
            for b, s in enumerate(sequences)
        ]
        for b, array in enumerate(arrays):
            if array.shape[1] != self.input_size:
                raise ValueError(
                    f"{names[b]}: expected shape (T, {self.input_size}), got {array.shape}"
                )
        offsets = to_offsets([len(array) for array in arrays])
        # A number too large for float32 becomes infinite, and is then refused as such.
        with np.errstate(over="ignore"):
            values = np.concatenate(arrays, dtype=self.dtype, casting="unsafe")
        if not np.isfinite(values).all():
            step, variable = np.argwhere(~np.isfinite(values))[0]
            b, position = _locate(step, offsets)
            raise ValueError(
                f"{names[b]}: expected finite {self.dtype} numbers, got "
                f"{arrays[b][position, variable]} at step {position}, variable {variable}"
            )
        return Batch(offsets, values, None, None, np.zeros(len(values), bool), names.single)

    def _token_ids(
        self, names: _Names, sequences: list[list[str]], unknown_id: int | None
    ) -> tuple[Array, Array]:
        if self.vocabulary is None or self.embedding is None:
            raise ValueError(
                "inputs: expected ids or floats, got tokens, and the model has no vocabulary"
            )
        find = self._ids.get
        if unknown_id is None:
            for b, sequence in enumerate(sequences):
                for position, token in enumerate(sequence):
                    if token not in self._ids:
                        raise ValueError(
                            f"{names[b]}: token {token!r} at position {position} is not in the "
                            "vocabulary; choose with unknown= what to do: 'error', 'unk' (the "
                            "model's unknown token) or 'zero' (a zero vector)"
                        )
            unknown_id = 0  # for none
        missing = -2
        found = [find(token, missing) for token in chain.from_iterable(sequences)]
        ids = np.array(found, np.intp)
        lacking = ids == missing
        ids[lacking] = unknown_id
        return ids, lacking | self._is_unknown(ids)

    def _check_ids(self, names: _Names, sequences: list[Any], offsets: Array) -> Array:
        if self.embedding is None:
            raise ValueError(
                f"inputs: expected floats of shape (T, {self.input_size}), got ids (integers), "
                "and the model has no embedding"
            )
        arrays = [
            s if isinstance(s, np.ndarray) else to_array(names[b], s)
            for b, s in enumerate(sequences)
        ]
        ids = np.concatenate([a if a.dtype == np.intp else _to_intp(a) for a in arrays])
        if ids.view(np.uintp).max() >= len(self.embedding):  # negative ones are huge, so seen
            step = int(((ids < 0) | (ids >= len(self.embedding))).argmax())
            b, position = _locate(step, offsets)
            raise ValueError(
                f"{names[b]}: id {arrays[b][position]} at position {position} is out of range; "
                f"expected 0 <= id < {len(self.embedding)}"
            )
        return ids

    def _is_unknown(self, ids: Array) -> Array:
        """Return where the unknown token itself stands: it stands for a token that is lacking."""
        if self.unknown_token is None:
            return np.zeros(len(ids), bool)
        return ids == self._ids[self.unknown_token]


def _to_intp(ids: Array) -> Array:
    """Return ids of any integer dtype as intp; one too large for it as -1."""
    if ids.dtype.kind == "O":  # Python ints beyond 64 bits
        return np.full(ids.shape, -1, np.intp)
    if ids.dtype == np.uint64:
        return np.where(ids > np.iinfo(np.intp).max, -1, ids.astype(np.intp))
    return ids.astype(np.intp)
