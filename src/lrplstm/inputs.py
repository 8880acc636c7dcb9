"""Inputs of any accepted form -> one `Batch`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import chain
from numbers import Integral
from typing import Any, NoReturn

import numpy as np

from lrplstm.checks import check_choice, to_array, to_number
from lrplstm.errors import ArgumentError, ArgumentTypeError, Element, UnknownTokenError
from lrplstm.given import STRINGS, as_arrays, is_number, is_sequence, split
from lrplstm.labelled import read_labelled
from lrplstm.scaling import Scaler
from lrplstm.sequences import Batch, LengthError, Names, Padding, Values, Words, locate, to_offsets
from lrplstm.sliding import Windows
from lrplstm.tables import places
from lrplstm.texts import shown
from lrplstm.tokenizers import TOKENIZERS, tokenize
from lrplstm.vocabulary import shown_tokens
from lrplstm.weights import Array

__all__ = ["UNKNOWN_CHOICES", "InputEncoder", "check_mask_id", "check_mask_value"]

UNKNOWN_CHOICES = ("error", "unk", "zero")

_EMPTY = "expected at least one step, got an empty sequence"

_INTP, _UINTP = np.dtype(np.intp), np.dtype(np.uintp)

_INNER_SPACE = re.compile(r"[^ \t\r\n][ \t\r\n]+[^ \t\r\n]")
"""What a text has and a token has not: spaces as people type them, between words."""


def check_mask_id(mask_id: Any, embedding: Array | None) -> int | None:
    """Return the id of padding, if it is one of the embedding's."""
    if mask_id is None:
        return None
    if embedding is None:
        raise ValueError("mask_id: expected None where there is no embedding")
    if isinstance(mask_id, bool) or not isinstance(mask_id, Integral):
        raise TypeError(f"mask_id: expected an id, got {shown(mask_id)}")
    if not 0 <= int(mask_id) < len(embedding):
        raise ValueError(f"mask_id: expected 0 <= id < {len(embedding)}, got {shown(mask_id)}")
    return int(mask_id)


def check_mask_value(mask_value: Any, embedding: Array | None) -> float | None:
    """Return the number that padding consists of, if there is no embedding."""
    if mask_value is None:
        return None
    if embedding is not None:
        raise ValueError("mask_value: expected None where there is an embedding; see mask_id")
    return to_number("mask_value", mask_value)


@dataclass(slots=True)
class _Called:
    """What errors call the sequences."""

    argument: str
    single: bool

    def __getitem__(self, b: int) -> str:
        return self.argument if self.single else Element(self.argument, b)


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
    vocabulary : tuple of str or None of length V, optional
        Token of each id, None where it has none.
    unknown_token : str, optional
        The token of `vocabulary` that stands for all others.
    mask_id : int, optional
        Id whose steps are left out.
    asks_of_each_step : bool
        Whether something is asked of each step, so that none can be left out from between others.
    tokenizer : str, optional
        Name of what makes tokens of a text.
    mask_value : float, optional
        What all numbers of a step are that is left out.
    feature_names : tuple of str of length D, optional
        What the variables are called.
    scaler : Scaler, optional
        What the network reads of raw values.
    missing : {"error", "zero", "mask"}
        What to do with NaN.
    check : callable, optional
        Raises an error that is about one sequence, as its `sequence` says, where the network cannot
        read sequences of some lengths.
    argument : str
        What errors call the inputs.
    """

    input_size: int
    dtype: np.dtype[Any]
    embedding: Array | None
    vocabulary: tuple[str | None, ...] | None
    unknown_token: str | None
    mask_id: int | None
    asks_of_each_step: bool
    tokenizer: str | None
    mask_value: float | None = None
    feature_names: tuple[str, ...] | None = None
    scaler: Scaler | None = None
    missing: str = "error"
    check: Callable[[Array], object] | None = None
    argument: str = "inputs"
    shown: tuple[str, ...] | None = field(init=False, repr=False)
    _ids: dict[str, int] = field(init=False, repr=False)
    _names: Names = field(init=False, repr=False)
    _unknown: Array = field(init=False, repr=False)

    def __post_init__(self) -> None:
        vocabulary = self.vocabulary or ()
        ids = {token: id_ for id_, token in enumerate(vocabulary) if token is not None}
        shown = None if self.vocabulary is None else shown_tokens(vocabulary)
        object.__setattr__(self, "_ids", ids)
        object.__setattr__(self, "shown", shown)
        object.__setattr__(self, "_names", Names(self.feature_names))
        # An array of that one: NumPy takes twice as long to compare with a number of Python's.
        unknown = None if self.unknown_token is None else ids[self.unknown_token]
        object.__setattr__(self, "_unknown", np.array(unknown))

    def encode(self, inputs: Any, unknown: str | None = None) -> Batch:
        """Check `inputs` and return them as a batch; errors as `lrplstm.lrp` documents them."""
        if unknown is not None:
            self._check_unknown(unknown)
        if isinstance(inputs, Words):
            return self._batch_of_words(inputs, unknown)
        reads_ids, names = self.embedding is not None, self._names
        kind, sequences, single = as_arrays(inputs, reads_ids)
        if kind is None and not reads_ids:
            if isinstance(inputs, Windows):
                return self._batch_of_windows(inputs)
            labelled = read_labelled(self.argument, inputs, self.feature_names, self.input_size)
            if labelled is not None:
                kind, (sequences, single, names) = "floats", labelled
        if kind is None:
            if isinstance(inputs, STRINGS):
                names = Names(text=inputs) if isinstance(inputs, str) else names
                inputs = self._tokens_of(inputs)
            sequences, single = split(self.argument, inputs, reads_ids)
        called = _Called(self.argument, single)
        if kind is None:
            sequences = [
                to_array(called[b], s) if isinstance(s, np.ndarray) else s
                for b, s in enumerate(sequences)
            ]
            kind = self._one_kind(called, sequences)
            if kind != "tokens":
                sequences = [to_array(called[b], s) for b, s in enumerate(sequences)]
        lengths = list(map(len, sequences))
        if not all(lengths):
            raise ArgumentError(called[lengths.index(0)], _EMPTY)
        offsets = to_offsets(lengths)
        if kind == "floats":
            return self._batch_of_features(called, sequences, offsets, names)
        if kind == "tokens":
            tokens = [[str(token) for token in sequence] for sequence in sequences]
            ids, lacking = self._token_ids(called, tokens, offsets, self._unknown_id(unknown))
            batch = Batch(offsets, ids, self.embedding, tokens, lacking, single, names=names)
        else:
            ids = self._check_ids(called, sequences, offsets)
            words = None if self.shown is None else Words(ids, offsets, self.shown)
            batch = Batch(offsets, ids, self.embedding, words, self._is_unknown(ids), single)
        filled = None if self.mask_id is None else ids == self.mask_id
        return self._checked(called, batch, filled)

    def tokenize(self, argument: str, text: str) -> list[str]:
        """Return the tokens of a text, by the model's tokenizer; `argument` is for errors."""
        if self.tokenizer is None:
            raise ArgumentError(
                argument,
                f"the model names no tokenizer; pass a list of tokens, or name one: "
                f"model.replaced(tokenizer=...), one of {', '.join(TOKENIZERS)}",
            )
        return tokenize(text, self.tokenizer)

    def _tokens_of(self, text: Any) -> list[str]:
        """Return the tokens of a plain string that was given as the inputs."""
        if not isinstance(text, str) or self.tokenizer is None:
            what = "a plain string" if isinstance(text, str) else type(text).__name__
            raise ArgumentTypeError(
                self.argument,
                f"expected a list of tokens, ids or floats, got {what}; pass a list of tokens",
            )
        tokens = self.tokenize(self.argument, text)
        if not tokens:
            raise ArgumentError(self.argument, "expected at least one word, got a text of none")
        return tokens

    def _checked(self, called: _Called, batch: Batch, filled: Array | None) -> Batch:
        """Return a batch without the steps that are `filled`, of lengths that can be read."""
        if filled is not None and filled.any():
            batch = self._leave_out(called, batch, filled)
        if self.check is not None:
            try:
                self.check(np.diff(batch.offsets))
            except LengthError as error:
                raise ArgumentError(called[error.sequence], str(error)) from None
        return batch

    @property
    def _padding(self) -> str:
        """What errors call the steps that only fill sequences up."""
        if self.mask_id is not None:
            return f"id {self.mask_id}"
        return "NaN" if self.mask_value is None else f"all numbers {self.mask_value:g}"

    def _leave_out(self, called: _Called, batch: Batch, filled: Array) -> Batch:
        """Return a batch without the steps that only fill it up."""
        padding = self._padding
        read = np.flatnonzero(~filled)
        offsets = np.concatenate([[0], np.cumsum(~filled)])[batch.offsets]
        lengths = np.diff(offsets)
        if not lengths.all():
            raise ArgumentError(
                called[int(lengths.argmin())],
                f"expected at least one step, got nothing but padding ({padding})",
            )
        if self.asks_of_each_step:
            first, last = read[offsets[:-1]], read[offsets[1:] - 1]
            with_gaps = last - first >= lengths
            if with_gaps.any():
                b = int(with_gaps.argmax())
                position = int(filled[first[b] :].argmax()) + int(first[b] - batch.offsets[b])
                raise ArgumentError(
                    called[b],
                    f"expected padding ({padding}) at the ends alone, got some at "
                    f"position {position}; the model's pooling takes every step, so leave it out",
                )
        left_out = Padding(batch.offsets, read)
        return replace(batch, offsets=offsets, data=batch.data[read], padding=left_out)

    def _one_kind(self, called: _Called, sequences: list[Any]) -> str:
        """Return what all sequences hold: "tokens", "ids" or "floats"."""
        for b, sequence in enumerate(sequences):
            if not is_sequence(sequence):
                raise ArgumentTypeError(
                    called[b],
                    f"expected a sequence of tokens, ids or floats, got {shown(sequence)}",
                )
            if len(sequence) == 0:
                raise ArgumentError(called[b], _EMPTY)
        kinds = [self._kind(called, b, sequence) for b, sequence in enumerate(sequences)]
        for b, kind in enumerate(kinds):
            if kind != kinds[0]:
                raise ArgumentTypeError(
                    called[b], f"expected {kinds[0]} as in inputs[0], got {kind}"
                )
        return kinds[0]

    def _check_unknown(self, unknown: str) -> None:
        check_choice("unknown", unknown, UNKNOWN_CHOICES)
        if unknown == "unk" and self.unknown_token is None:
            raise ArgumentError(
                "unknown", "expected 'error' or 'zero', got 'unk': the model has no unknown token"
            )

    def _unknown_id(self, unknown: str | None) -> int | None:
        """Return the id for tokens that the vocabulary lacks; None: they are an error."""
        if unknown == "zero":
            return 0 if self.embedding is None else len(self.embedding)  # the batch's zero_id
        if unknown == "error" or self.unknown_token is None:
            return None
        return self._ids[self.unknown_token]

    def _kind(self, called: _Called, b: int, sequence: Any) -> str:
        """Return what sequence b holds: "tokens", "ids" or "floats"."""
        if isinstance(sequence, np.ndarray):
            kind, ndim = sequence.dtype.kind, sequence.ndim
            if kind == "O" and ndim == 1 and all(isinstance(t, str) for t in sequence):
                kind = "U"
        else:
            types = set(map(type, sequence))
            if types == {str} or all(isinstance(token, str) for token in sequence):
                return "tokens"
            if types == {int} or all(is_number(x) and isinstance(x, Integral) for x in sequence):
                return "ids"
            array = to_array(called[b], sequence)
            kind, ndim = array.dtype.kind, array.ndim
            if kind == "U":  # some are strings, and NumPy would make strings of all
                kind = "O"
        if kind == "U" and ndim == 1:
            return "tokens"
        if kind in "iu" and ndim == 1:
            return "ids"
        if kind in "iufb" and ndim == 2:
            if kind in "iu" and self.embedding is not None:
                raise ArgumentTypeError(
                    called[b],
                    "expected ids in an array of shape (T,), got integers in 2 dimensions",
                )
            return "floats"
        what = {"U": "strings", "i": "integers", "u": "integers", "f": "floats", "b": "bools"}
        what["S"] = "bytes, which have to be decoded,"
        raise ArgumentTypeError(
            called[b],
            f"expected a list of tokens, an integer array (T,) or a float array "
            f"(T, {self.input_size}), got {what.get(kind, 'other things')} in {ndim} dimension(s)",
        )

    def _batch_of_features(
        self, called: _Called, arrays: list[Array], offsets: Array, names: Names
    ) -> Batch:
        if {array.shape[1] for array in arrays} != {self.input_size}:
            b = [array.shape[1] == self.input_size for array in arrays].index(False)
            raise ArgumentError(
                called[b],
                f"expected shape (T, {self.input_size}), got {arrays[b].shape}{_listed(names)}",
            )
        # A number too large for float32 becomes infinite, and is then refused as such.
        with np.errstate(over="ignore"):
            raw = np.concatenate(arrays, dtype=self._raw_dtype, casting="unsafe")
        features, bad = self._scaled(raw)
        if bad is not None:
            step, variable = np.argwhere(bad)[0].tolist()
            b, position = locate(step, offsets)
            at = f"step {position}" if names.steps is None else names.steps.take([step]).texts()[0]
            self._refuse_number(called[b], arrays[b][position], variable, at, names)
        names = names._replace(values=Values(raw))
        batch = Batch(
            offsets, features, None, None, np.zeros(len(raw), bool), called.single, names=names
        )
        return self._checked(called, batch, self._filled(raw))

    def _batch_of_windows(self, windows: Windows) -> Batch:
        """Return windows as the rows of their table that they are."""
        called, order = _Called(self.argument, single=False), None
        if self.feature_names is not None and windows.feature_names is not None:
            order = places(self.argument, windows.feature_names, self.feature_names)
        table = windows.values if order is None else windows.values[:, order]
        names = Names(self.feature_names or windows.feature_names)
        if table.shape[1] != self.input_size:
            raise ArgumentError(
                self.argument,
                f"expected windows of {self.input_size} variables, got {table.shape[1]}"
                f"{_listed(names)}",
            )
        rows, labels = windows.rows, windows.row_labels
        with np.errstate(over="ignore"):
            raw = table.astype(self._raw_dtype)
        features, bad = self._scaled(raw)
        if bad is not None:
            read = np.zeros(len(raw), bool)
            read[rows] = True
            bad &= read[:, np.newaxis]
            if bad.any():
                row, variable = np.argwhere(bad)[0].tolist()
                at = f"row {row}" if labels is None else labels.take([row]).texts()[0]
                b, _ = divmod(int((rows == row).argmax()), windows.length)
                self._refuse_number(called[b], table[row], variable, at, names)
        names = names._replace(
            steps=None if labels is None else labels.take(rows),
            sequences=windows.keys or None,
            values=Values(raw, rows),
        )
        filled = self._filled(raw)
        batch = Batch(
            windows.length * np.arange(len(windows) + 1),
            rows,
            features,
            None,
            np.zeros(len(rows), bool),
            single=False,
            names=names,
            of_windows=True,
        )
        return self._checked(called, batch, None if filled is None else filled[rows])

    @property
    def _raw_dtype(self) -> np.dtype[Any]:
        """What raw values are read as: a scaler subtracts large numbers from large numbers."""
        return self.dtype if self.scaler is None else np.dtype(np.float64)

    def _scaled(self, raw: Array) -> tuple[Array, Array | None]:
        """Return what the network reads of raw values, and where they cannot be, if anywhere."""
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = raw if self.scaler is None else self.scaler.transform(raw)
            features = scaled.astype(self.dtype, copy=False)
        bad = ~np.isfinite(features)
        if not bad.any():
            return features, None
        if self.missing != "error":
            missing = np.isnan(raw)
            features = np.where(missing, self.dtype.type(0), features)
            bad &= ~missing
        return features, bad if bad.any() else None

    def _filled(self, raw: Array) -> Array | None:
        """Return which steps of raw values only fill sequences up."""
        filled: Any = None
        padding: Any = self.mask_value
        if self.embedding is not None and self.mask_id is not None:
            padding = self.embedding[self.mask_id]  # of ids that were given as their vectors
        if padding is not None:
            with np.errstate(over="ignore"):  # what is infinite here, no number equals
                filled = (raw == np.asarray(padding, raw.dtype)).all(axis=1)
        if self.missing == "mask":
            missing = np.isnan(raw).any(axis=1)
            filled = missing if filled is None else filled | missing
        return filled

    def _refuse_number(
        self, name: str, step: Array, variable: int, at: str, names: Names
    ) -> NoReturn:
        """Raise the error of a number that is NaN or infinite."""
        number = step[variable]
        called = variable if names.features is None else shown(names.features[variable])
        hint = ""
        if np.isfinite(number):
            hint = f", too large for {self.dtype}"
        elif np.isnan(np.asarray(step, np.float64)).all():
            hint = "; give sequences without their padding"
        elif np.isnan(number):
            hint = (
                "; fill it in as was done in training, or say missing='zero' or 'mask' of the model"
            )
        raise ArgumentError(
            name,
            f"variable {called} at {at}: expected a finite number, got {number}{hint}",
        )

    def _token_ids(
        self, called: _Called, sequences: list[list[str]], offsets: Array, unknown_id: int | None
    ) -> tuple[Array, Array]:
        if self.vocabulary is None or self.embedding is None:
            raise ArgumentError(
                self.argument, "expected ids or floats, got tokens, and the model has no vocabulary"
            )
        find, missing = self._ids.get, -2
        tokens = list(chain.from_iterable(sequences))
        ids = np.array([find(token, missing) for token in tokens], np.intp)
        lacking = ids == missing
        for step in np.flatnonzero(lacking).tolist():
            if unknown_id is None or _INNER_SPACE.search(tokens[step]):
                b, position = locate(step, offsets)
                self._refuse(called[b], position, tokens[step])
        ids[lacking] = unknown_id or 0  # None has been an error
        return ids, lacking | self._is_unknown(ids)

    def _batch_of_words(self, words: Words, unknown: str | None) -> Batch:
        """Return a batch of tokens of which each different one is looked up once."""
        called = _Called(self.argument, single=False)
        lengths = np.diff(words.offsets)
        if not lengths.all():
            raise ArgumentError(
                called[int(lengths.argmin())], "expected at least one step, got an empty sequence"
            )
        each = [[token] for token in words.vocabulary]
        unknown_id = self._unknown_id(unknown)
        try:
            ids, lacking = self._token_ids(called, each, np.arange(len(each) + 1), unknown_id)
        except UnknownTokenError as error:
            step = int((words.ids == words.vocabulary.index(error.token)).argmax())
            b, position = locate(step, words.offsets)
            self._refuse(called[b], position, error.token)
        ids, lacking = ids[words.ids], lacking[words.ids]
        batch = Batch(words.offsets, ids, self.embedding, words, lacking, single=False)
        return self._checked(called, batch, None if self.mask_id is None else ids == self.mask_id)

    def _refuse(self, name: str, position: int, token: str) -> NoReturn:
        """Raise the error of a token that is lacking, and cannot be an unknown one."""
        if _INNER_SPACE.search(token):
            ways = "pass a list of tokens for each text"
            if self.tokenizer is not None:
                ways += ", as model.tokenize(texts) makes them"
            raise ArgumentError(
                name,
                f"expected tokens, got text with spaces that the vocabulary lacks, "
                f"{shown(token)} at position {position}; {ways}",
            )
        raise UnknownTokenError(name, token, position)

    def _check_ids(self, called: _Called, arrays: list[Array], offsets: Array) -> Array:
        if self.embedding is None:
            raise ArgumentError(
                self.argument,
                f"expected floats of shape (T, {self.input_size}), got ids (integers), "
                "and the model has no embedding",
            )
        ids = _joined(list(map(_to_intp, arrays)))
        unsigned = ids.view(_UINTP)  # negative ones are huge, so seen
        if unsigned.item(unsigned.argmax()) >= len(self.embedding):  # quicker than max()
            step = int((unsigned >= len(self.embedding)).argmax())
            b, position = locate(step, offsets)
            raise ArgumentError(
                called[b],
                f"id {arrays[b][position]} at position {position} is out of range; "
                f"expected 0 <= id < {len(self.embedding)}",
            )
        return ids

    def _is_unknown(self, ids: Array) -> Array:
        """Return where the unknown token itself stands: it stands for a token that is lacking."""
        if self.unknown_token is None:
            return np.zeros(len(ids), bool)
        return ids == self._unknown


def _listed(names: Names) -> str:
    """Return what variables are called, for an error of how many there are."""
    return "" if names.features is None else f": {', '.join(map(shown, names.features))}"


def _joined(arrays: list[Array]) -> Array:
    """Return them one after the other, as an array of its own."""
    return arrays[0].copy() if len(arrays) == 1 else np.concatenate(arrays)


def _to_intp(ids: Array) -> Array:
    """Return ids of any integer dtype as intp; one too large for it as -1."""
    if ids.dtype is _INTP:
        return ids
    if ids.dtype.kind == "O":  # Python ints beyond 64 bits
        return np.full(ids.shape, -1, np.intp)
    if ids.dtype == np.uint64:
        return np.where(ids > np.iinfo(np.intp).max, -1, ids.astype(np.intp))
    return ids.astype(np.intp)
