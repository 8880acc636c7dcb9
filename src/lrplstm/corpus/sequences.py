"""The column that has sequences -> what a model reads, and why it cannot read some."""

from __future__ import annotations

from itertools import compress
from typing import Any, NamedTuple

import numpy as np

from lrplstm.base_model import Model
from lrplstm.corpus.columns import Columns
from lrplstm.exports.arrow import opened_lists
from lrplstm.exports.needed import needed
from lrplstm.sequences import Words, apart, to_offsets
from lrplstm.texts import first_line, shown
from lrplstm.weights import Array

__all__ = ["Sequences", "read_sequences"]


class Sequences(NamedTuple):
    """What a model reads of some rows.

    Attributes
    ----------
    rows : ndarray of shape (n,)
        Which of the rows they are; why others are not among them, stands in `rejects`.
    inputs : Words, or list of ndarray
    rejects : dict of str by int
    """

    rows: Array
    inputs: Words | list[Array]
    rejects: dict[int, str]

    @property
    def lengths(self) -> Array:
        """Steps of each."""
        if isinstance(self.inputs, Words):
            return np.diff(self.inputs.offsets)
        return np.array(list(map(len, self.inputs)), np.intp)

    def taken(self, some: Array) -> Sequences:
        """Return some of them, by their positions in order."""
        if not isinstance(self.inputs, Words):
            return Sequences(self.rows[some], [self.inputs[n] for n in some.tolist()], {})
        offsets, lengths = self.inputs.offsets, self.lengths[some]
        own = to_offsets(lengths)
        if len(some) and some[-1] - some[0] == len(some) - 1:  # as they follow each other
            ids = self.inputs.ids[offsets[some[0]] : offsets[some[-1] + 1]]
        else:
            ids = self.inputs.ids[
                np.repeat(offsets[some] - own[:-1], lengths) + np.arange(int(own[-1]))
            ]
        return Sequences(self.rows[some], Words(*_used(ids, own, self.inputs.vocabulary)), {})


def _used(
    ids: Array, offsets: Array, vocabulary: tuple[str, ...]
) -> tuple[Array, Array, tuple[str, ...]]:
    """Return words without those of other sequences, which the model may not know."""
    used = np.zeros(len(vocabulary), bool)
    used[ids] = True
    if not used.all():
        ids = (np.cumsum(used) - 1)[ids]
        vocabulary = tuple(compress(vocabulary, used.tolist()))
    return ids, offsets, vocabulary


def read_sequences(
    model: Model, given: Any, columns: Columns, rejects: dict[int, str], max_tokens: int
) -> Sequences:
    """Return what a model reads of a column.

    Parameters
    ----------
    model : Model
    given : pyarrow.Array
        Texts, or lists of tokens, ids or numbers.
    columns : Columns
        How texts are read.
    rejects : dict of str by int
        Why some rows are passed over.
    max_tokens : int
        Longer sequences are passed over.
    """
    pyarrow = needed("pyarrow", "a corpus")
    kinds, rejects = pyarrow.types, dict(rejects)
    if kinds.is_dictionary(given.type):
        given = given.dictionary_decode()
    if kinds.is_string_view(given.type):
        given = given.cast(pyarrow.large_string())
    if kinds.is_string(given.type) or kinds.is_large_string(given.type):
        given = _split(model, given, columns, rejects, max_tokens)
    if not _is_list(given.type):
        for n in range(len(given)):
            what = "null" if not given[n].is_valid else str(given.type)
            rejects.setdefault(
                n, f"expected a text, or a list of tokens, ids or floats, got {what}"
            )
        return Sequences(np.zeros(0, np.intp), [], rejects)
    given = given.cast(pyarrow.large_list(given.type.value_field))
    if given.null_count:
        for n in np.flatnonzero(~given.is_valid().to_numpy(zero_copy_only=False)).tolist():
            rejects.setdefault(n, "expected a sequence, got null")
    lengths = needed("pyarrow.compute", "a corpus").list_value_length(given)
    lengths = lengths.fill_null(0).to_numpy()
    for n in np.flatnonzero(lengths == 0).tolist():
        rejects.setdefault(n, "expected at least one step, got an empty sequence")
    for n in np.flatnonzero(lengths > max_tokens).tolist():
        rejects.setdefault(n, f"expected at most {max_tokens:,} steps, got {lengths[n]:,}")
    _put_down_nulls(given, rejects)
    rows = np.setdiff1d(np.arange(len(given)), np.fromiter(rejects, np.intp, len(rejects)))
    if len(rejects):
        given = given.take(pyarrow.array(rows))
    return _as_inputs(model, given, rows, rejects)


def _is_list(type_: Any) -> bool:
    kinds = needed("pyarrow", "a corpus").types
    return bool(
        kinds.is_list(type_) or kinds.is_large_list(type_) or kinds.is_fixed_size_list(type_)
    )


def _put_down_nulls(given: Any, rejects: dict[int, str]) -> None:
    """Put down rows of which a step, or a number in the list of a step, is null.

    In lists of a fixed size null numbers are read as NaN: the model says what it does with them.
    """
    offsets, values = opened_lists(given)
    while True:
        if values.null_count:
            for step in np.flatnonzero(~values.is_valid().to_numpy(zero_copy_only=False)).tolist():
                b = int(offsets.searchsorted(step, side="right")) - 1
                what = "a sequence of tokens, ids or floats, got null"
                rejects.setdefault(b, f"expected {what} at position {step - int(offsets[b])}")
        if not _is_list(values.type) or hasattr(values.type, "list_size"):
            return
        inner, deeper = opened_lists(values)
        offsets, values = inner[offsets], deeper


def _as_inputs(model: Model, given: Any, rows: Array, rejects: dict[int, str]) -> Sequences:
    pyarrow = needed("pyarrow", "a corpus")
    offsets, values = opened_lists(given)
    kinds = pyarrow.types
    if kinds.is_string(values.type) or kinds.is_large_string(values.type):
        encoded = values.dictionary_encode()
        ids = encoded.indices.to_numpy().astype(np.intp)
        return Sequences(rows, Words(ids, offsets, tuple(encoded.dictionary.to_pylist())), rejects)
    if _is_list(values.type):
        return _as_steps(model, values, offsets, rows, rejects)
    if not len(rows) or kinds.is_null(values.type):
        return Sequences(rows[:0], [], rejects)
    numbers = values.to_numpy(zero_copy_only=False)
    if model.embedding is None:
        numbers = numbers.reshape(-1, 1)
    return Sequences(rows, apart(numbers, offsets), rejects)


def _as_steps(
    model: Model, values: Any, offsets: Array, rows: Array, rejects: dict[int, str]
) -> Sequences:
    """Return lists of steps, each a list of numbers."""
    pyarrow = needed("pyarrow", "a corpus")
    values = values.cast(pyarrow.large_list(values.type.value_field))
    inner, numbers = opened_lists(values)
    widths, width = np.diff(inner), model.input_size
    good = np.ones(len(rows), bool)
    for step in np.flatnonzero(widths != width).tolist():
        b = int(offsets.searchsorted(step, side="right")) - 1
        good[b] = False
        reason = f"expected {width} numbers at each step, got {widths[step]} at step "
        rejects.setdefault(int(rows[b]), f"{reason}{step - int(offsets[b])}")
    flat = numbers.to_numpy(zero_copy_only=False)
    taken = np.flatnonzero(good).tolist()
    inputs = [flat[inner[offsets[b]] : inner[offsets[b + 1]]].reshape(-1, width) for b in taken]
    return Sequences(rows[good], inputs, rejects)


# Texts ------------------------------------------------------------------------------------------


def _split(
    model: Model, texts: Any, columns: Columns, rejects: dict[int, str], max_tokens: int
) -> Any:
    """Return texts as lists of tokens or ids; of those passed over they are empty."""
    if columns.tokenized or columns.ids:
        words = _words(texts)
        return _ids(words, rejects) if columns.ids else words
    pyarrow = needed("pyarrow", "a corpus")
    tokens: list[list[str] | None] = []
    for n, text in enumerate(texts.to_pylist()):
        if text is None or n in rejects:
            tokens.append(None if text is None else [])
            continue
        try:
            # A token has a letter at least, and a blank beside it or a mark.
            if len(text) > _MOST_LETTERS * max_tokens:
                raise ValueError(f"expected at most {max_tokens:,} tokens, got a longer text")
            tokens.append(model.encoder.tokenize("text", text))
        except ValueError as error:
            rejects.setdefault(n, first_line(error))
            tokens.append([])
    return pyarrow.array(tokens, pyarrow.large_list(pyarrow.string()))


_MOST_LETTERS = 64
"""A text with more letters a token than these is refused before it is split: that takes time."""


def _words(texts: Any) -> Any:
    """Return what stands between spaces, without what is nothing but white space."""
    pyarrow, compute = needed("pyarrow", "a corpus"), needed("pyarrow.compute", "a corpus")
    words = compute.split_pattern(texts, " ").cast(pyarrow.large_list(pyarrow.string()))
    offsets, values = opened_lists(words)
    blank = compute.equal(compute.utf8_trim_whitespace(values), "").to_numpy(zero_copy_only=False)
    if not blank.any():
        return words
    kept = np.concatenate([[0], np.cumsum(~blank)])
    values = values.filter(pyarrow.array(~blank))
    null = pyarrow.array(~texts.is_valid().to_numpy(zero_copy_only=False))
    return pyarrow.LargeListArray.from_arrays(pyarrow.array(kept[offsets]), values, mask=null)


def _ids(words: Any, rejects: dict[int, str]) -> Any:
    pyarrow = needed("pyarrow", "a corpus")
    wanted = pyarrow.large_list(pyarrow.int64())
    try:
        return words.cast(wanted)
    except pyarrow.ArrowInvalid:
        pass
    ids: list[list[int] | None] = []
    for n, listed in enumerate(words.to_pylist()):
        bad = next((w for w in listed or () if not (w.isascii() and w.isdigit())), None)
        if bad is None and any(len(w) > 18 for w in listed or ()):
            bad = max(listed, key=len)
        if bad is not None:
            rejects.setdefault(n, f"expected token ids, got {shown(bad)}")
            listed = []
        ids.append(None if listed is None else list(map(int, listed)))
    return pyarrow.array(ids, wanted)
