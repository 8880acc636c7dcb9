"""Inputs of any accepted form -> one `Batch`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from numbers import Integral, Real
from typing import Any, NoReturn

import numpy as np

from lrplstm.checks import check_choice, to_array
from lrplstm.conversion import is_array_like, unpack
from lrplstm.errors import ArgumentError, ArgumentTypeError, Element, UnknownTokenError
from lrplstm.sequences import Batch, LengthError, Padding, Words, locate, to_offsets
from lrplstm.texts import shown
from lrplstm.tokenizers import TOKENIZERS, tokenize
from lrplstm.vocabulary import shown_tokens
from lrplstm.weights import Array

__all__ = ["UNKNOWN_CHOICES", "InputEncoder", "check_mask_id", "check_mask_value"]

UNKNOWN_CHOICES = ("error", "unk", "zero")

_STRINGS = (str, bytes, bytearray, memoryview)
"""Sequences that nobody means as such."""

_PLAIN = {str, int}
"""What tokens and ids are, nearly always: seen without a look at each."""

_INNER_SPACE = re.compile(r"[^ \t\r\n][ \t\r\n]+[^ \t\r\n]")
"""What a text has and a token has not: spaces as people type them, between words."""


def _is_sequence(value: object) -> bool:
    if isinstance(value, np.ndarray):
        return value.ndim > 0
    return isinstance(value, Sequence) and not isinstance(value, _STRINGS)


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_)


def _is_row(value: object) -> bool:
    """Whether `value` is one step's features: floats in one dimension."""
    if isinstance(value, np.ndarray):
        return value.ndim == 1 and value.dtype.kind == "f"
    if not _is_sequence(value) or set(map(type, value)) <= _PLAIN:  # type: ignore[call-overload]
        return False
    return any(
        _is_number(x) and not isinstance(x, Integral)
        for x in value  # type: ignore[attr-defined]
    )


def _split(argument: str, inputs: Any, reads_ids: bool) -> tuple[list[Any], bool]:
    """Return the sequences in `inputs`, and whether it was just one.

    With `reads_ids` integers are ids and strings tokens, of which two dimensions are several
    sequences. `argument` is what errors call `inputs`.
    """
    packed = unpack(inputs)
    if packed is not None:
        return list(packed), False
    if is_array_like(inputs):
        inputs = to_array(argument, inputs)
    if not _is_sequence(inputs):
        raise ArgumentTypeError(
            argument,
            "expected a list of tokens, an array of ids or floats, or a list of those, "
            f"got {type(inputs).__name__}",
        )
    if len(inputs) == 0:
        raise ArgumentError(
            argument, "expected at least one sequence of at least one step, got nothing"
        )
    if isinstance(inputs, np.ndarray):
        kind, ndim = inputs.dtype.kind, inputs.ndim
        if kind == "O" and ndim == 2:
            inputs = to_array(argument, inputs)
            kind = inputs.dtype.kind
        if kind != "O" or ndim != 1 or not any(map(_is_sequence, inputs)):
            several = ndim == 3 or (ndim == 2 and kind in "iuUO" and reads_ids)
            return (list(inputs), False) if several else ([inputs], True)
        inputs = list(inputs)  # a column of lists
    types = set(map(type, inputs))
    if types <= _PLAIN or all(isinstance(x, str) or _is_number(x) for x in inputs):
        return [inputs], True
    elements = list(inputs)
    if not types <= {list}:
        elements = [_element(argument, b, element) for b, element in enumerate(inputs)]
    if any(_is_row(element) for element in elements):
        return [elements], True
    return elements, False


def _element(argument: str, b: int, value: Any) -> Any:
    """Return an element of a list, as an array if it is like one."""
    if is_array_like(value):
        return to_array(Element(argument, b), value)
    if unpack(value) is not None:
        raise ArgumentTypeError(
            Element(argument, b),
            "expected one sequence, got a PackedSequence; pass it by itself, or its sequences",
        )
    return value


def _arrays(inputs: Any, reads_ids: bool) -> tuple[str | None, list[Any], bool]:
    """Return the kind of `inputs`, its sequences, and whether it was just one.

    This is the quick way for arrays that are all ids or all features; the kind of anything else is
    None.
    """
    is_array = type(inputs) is np.ndarray  # of no class of its own, such as masked arrays
    single = is_array and (
        inputs.ndim < 2 or (inputs.ndim == 2 and not (reads_ids and inputs.dtype.kind in "iu"))
    )
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
    if isinstance(mask_value, bool) or not isinstance(mask_value, Real):
        raise TypeError(f"mask_value: expected a number, got {shown(mask_value)}")
    try:
        number = float(mask_value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"mask_value: expected a finite number, got {number}")
    return number


@dataclass(frozen=True)
class _Names:
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
    check: Callable[[Array], object] | None = None
    argument: str = "inputs"
    shown: tuple[str, ...] | None = field(init=False, repr=False)
    _ids: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        vocabulary = self.vocabulary or ()
        ids = {token: id_ for id_, token in enumerate(vocabulary) if token is not None}
        shown = None if self.vocabulary is None else shown_tokens(vocabulary)
        object.__setattr__(self, "_ids", ids)
        object.__setattr__(self, "shown", shown)

    def encode(self, inputs: Any, unknown: str | None = None) -> Batch:
        """Check `inputs` and return them as a batch; errors as `lrplstm.lrp` documents them."""
        if unknown is not None:
            self._check_unknown(unknown)
        reads_ids = self.embedding is not None
        kind, sequences, single = _arrays(inputs, reads_ids)
        names = _Names(self.argument, single)
        if kind is None:
            if isinstance(inputs, _STRINGS):
                inputs = self._tokens_of(inputs)
            sequences, single = _split(self.argument, inputs, reads_ids)
            names = _Names(self.argument, single)
            sequences = [
                to_array(names[b], s) if isinstance(s, np.ndarray) else s
                for b, s in enumerate(sequences)
            ]
            kind = self._one_kind(names, sequences)
        if kind == "floats":
            return self._checked(names, self._batch_of_features(names, sequences))
        offsets = to_offsets([len(s) for s in sequences])
        if kind == "tokens":
            tokens = [[str(token) for token in sequence] for sequence in sequences]
            ids, lacking = self._token_ids(names, tokens, offsets, self._unknown_id(unknown))
            batch = Batch(offsets, ids, self.embedding, tokens, lacking, single)
        else:
            ids = self._check_ids(names, sequences, offsets)
            words = None if self.shown is None else Words(ids, offsets, self.shown)
            batch = Batch(offsets, ids, self.embedding, words, self._is_unknown(ids), single)
        return self._checked(names, batch)

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

    def _find_padding(self, batch: Batch) -> tuple[Array, str]:
        """Return which steps only fill sequences up, and what errors call these."""
        embedding: Any = self.embedding
        mask: Any = self.mask_id
        if mask is None:
            with np.errstate(over="ignore"):  # what is infinite here, no number equals
                mask = self.dtype.type(self.mask_value)
            name = f"all numbers {self.mask_value:g}"
        else:
            name = f"id {mask}"
            if batch.from_features:  # vectors of ids, of which those of padding are padding
                mask = embedding[mask]
        filled: Any = batch.data == mask
        return filled.all(axis=1) if filled.ndim == 2 else filled, name

    def _checked(self, names: _Names, batch: Batch) -> Batch:
        """Return a batch without the steps that only fill it up, of lengths that can be read."""
        batch = self._leave_out(names, batch)
        if self.check is not None:
            try:
                self.check(np.diff(batch.offsets))
            except LengthError as error:
                raise ArgumentError(names[error.sequence], str(error)) from None
        return batch

    def _leave_out(self, names: _Names, batch: Batch) -> Batch:
        """Return a batch without the steps that only fill it up."""
        if self.mask_id is None and self.mask_value is None:
            return batch
        filled, padding = self._find_padding(batch)
        if not filled.any():
            return batch
        read = np.flatnonzero(~filled)
        offsets = np.concatenate([[0], np.cumsum(~filled)])[batch.offsets]
        lengths = np.diff(offsets)
        if not lengths.all():
            raise ArgumentError(
                names[int(lengths.argmin())],
                f"expected at least one step, got nothing but padding ({padding})",
            )
        if self.asks_of_each_step:
            first, last = read[offsets[:-1]], read[offsets[1:] - 1]
            with_gaps = last - first >= lengths
            if with_gaps.any():
                b = int(with_gaps.argmax())
                position = int(filled[first[b] :].argmax()) + int(first[b] - batch.offsets[b])
                raise ArgumentError(
                    names[b],
                    f"expected padding ({padding}) at the ends alone, got some at "
                    f"position {position}; the model's pooling takes every step, so leave it out",
                )
        left_out = Padding(batch.offsets, read)
        return replace(batch, offsets=offsets, data=batch.data[read], padding=left_out)

    def _one_kind(self, names: _Names, sequences: list[Any]) -> str:
        """Return what all sequences hold: "tokens", "ids" or "floats"."""
        for b, sequence in enumerate(sequences):
            if not _is_sequence(sequence):
                raise ArgumentTypeError(
                    names[b], f"expected a sequence of tokens, ids or floats, got {shown(sequence)}"
                )
            if len(sequence) == 0:
                raise ArgumentError(names[b], "expected at least one step, got an empty sequence")
        kinds = [self._kind(names, b, sequence) for b, sequence in enumerate(sequences)]
        for b, kind in enumerate(kinds):
            if kind != kinds[0]:
                raise ArgumentTypeError(
                    names[b], f"expected {kinds[0]} as in inputs[0], got {kind}"
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

    def _kind(self, names: _Names, b: int, sequence: Any) -> str:
        """Return what sequence b holds: "tokens", "ids" or "floats"."""
        if isinstance(sequence, np.ndarray):
            kind, ndim = sequence.dtype.kind, sequence.ndim
            if kind == "O" and ndim == 1 and all(isinstance(t, str) for t in sequence):
                kind = "U"
        else:
            types = set(map(type, sequence))
            if types == {str} or all(isinstance(token, str) for token in sequence):
                return "tokens"
            if types == {int} or all(_is_number(x) and isinstance(x, Integral) for x in sequence):
                return "ids"
            array = to_array(names[b], sequence)
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
                    names[b], "expected ids in an array of shape (T,), got integers in 2 dimensions"
                )
            return "floats"
        what = {"U": "strings", "i": "integers", "u": "integers", "f": "floats", "b": "bools"}
        what["S"] = "bytes, which have to be decoded,"
        raise ArgumentTypeError(
            names[b],
            f"expected a list of tokens, an integer array (T,) or a float array "
            f"(T, {self.input_size}), got {what.get(kind, 'other things')} in {ndim} dimension(s)",
        )

    def _batch_of_features(self, names: _Names, sequences: list[Any]) -> Batch:
        arrays = [
            s if isinstance(s, np.ndarray) else to_array(names[b], s)
            for b, s in enumerate(sequences)
        ]
        for b, array in enumerate(arrays):
            if array.shape[1] != self.input_size:
                raise ArgumentError(
                    names[b], f"expected shape (T, {self.input_size}), got {array.shape}"
                )
        offsets = to_offsets([len(array) for array in arrays])
        # A number too large for float32 becomes infinite, and is then refused as such.
        with np.errstate(over="ignore"):
            values = np.concatenate(arrays, dtype=self.dtype, casting="unsafe")
        if not np.isfinite(values).all():
            step, variable = np.argwhere(~np.isfinite(values))[0]
            b, position = locate(step, offsets)
            padding = (
                "; give sequences without their padding" if np.isnan(values[step]).all() else ""
            )
            raise ArgumentError(
                names[b],
                f"expected finite {self.dtype} numbers, got "
                f"{arrays[b][position, variable]} at step {position}, variable {variable}{padding}",
            )
        return Batch(offsets, values, None, None, np.zeros(len(values), bool), names.single)

    def _token_ids(
        self, names: _Names, sequences: list[list[str]], offsets: Array, unknown_id: int | None
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
                self._refuse(names[b], position, tokens[step])
        ids[lacking] = unknown_id or 0  # None has been an error
        return ids, lacking | self._is_unknown(ids)

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

    def _check_ids(self, names: _Names, sequences: list[Any], offsets: Array) -> Array:
        if self.embedding is None:
            raise ArgumentError(
                self.argument,
                f"expected floats of shape (T, {self.input_size}), got ids (integers), "
                "and the model has no embedding",
            )
        arrays = [
            s if isinstance(s, np.ndarray) else to_array(names[b], s)
            for b, s in enumerate(sequences)
        ]
        ids = _joined([a if a.dtype == np.intp else _to_intp(a) for a in arrays])
        unsigned = ids.view(np.uintp)  # negative ones are huge, so seen
        if unsigned[unsigned.argmax()] >= len(self.embedding):  # quicker than max()
            step = int((unsigned >= len(self.embedding)).argmax())
            b, position = locate(step, offsets)
            raise ArgumentError(
                names[b],
                f"id {arrays[b][position]} at position {position} is out of range; "
                f"expected 0 <= id < {len(self.embedding)}",
            )
        return ids

    def _is_unknown(self, ids: Array) -> Array:
        """Return where the unknown token itself stands: it stands for a token that is lacking."""
        if self.unknown_token is None:
            return np.zeros(len(ids), bool)
        return ids == self._ids[self.unknown_token]


def _joined(arrays: list[Array]) -> Array:
    """Return them one after the other, as an array of its own."""
    return arrays[0].copy() if len(arrays) == 1 else np.concatenate(arrays)


def _to_intp(ids: Array) -> Array:
    """Return ids of any integer dtype as intp; one too large for it as -1."""
    if ids.dtype.kind == "O":  # Python ints beyond 64 bits
        return np.full(ids.shape, -1, np.intp)
    if ids.dtype == np.uint64:
        return np.where(ids > np.iinfo(np.intp).max, -1, ids.astype(np.intp))
    return ids.astype(np.intp)
