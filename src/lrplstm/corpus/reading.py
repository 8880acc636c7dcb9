"""A piece -> its rows: the number of each in its file, what it holds, and what goes with it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lrplstm.corpus.files import content
from lrplstm.corpus.pieces import BOM, PROBLEM, Piece, digest_of_groups
from lrplstm.exports.needed import needed
from lrplstm.texts import first_line, shown
from lrplstm.weights import Array

__all__ = ["Rows", "rows_of_piece"]

_ROWS = 8192
"""So many rows are read at a time."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Some rows of a file.

    Attributes
    ----------
    numbers : ndarray of shape (n,)
        Which rows of the file.
    given : pyarrow.Array of length n
        Of each a text, or lists of tokens, ids or floats.
    labels : dict of pyarrow.Array by str
        What goes with each.
    rejects : dict of str by int
        Which of them cannot be read, and why.
    steps : pyarrow.Array of lists, optional
        What the steps of each are called.
    """

    numbers: Array
    given: Any
    labels: dict[str, Any] = field(default_factory=dict)
    rejects: dict[int, str] = field(default_factory=dict)
    steps: Any = None

    def __len__(self) -> int:
        return len(self.numbers)


def rows_of_piece(piece: Piece) -> Iterator[Rows]:
    """Yield the rows of a piece, some thousands at a time.

    Raises
    ------
    ValueError
        If the file is not what it was when the piece was cut.
    """
    if piece.problem is not None:
        pyarrow = needed("pyarrow", "a corpus")
        numbers = np.array([piece.first_row])
        yield Rows(numbers, pyarrow.nulls(1, pyarrow.string()), rejects={0: piece.problem})
        return
    if piece.file.format in _OF_LINES:
        yield from _OF_LINES[piece.file.format](_lines(piece), piece)
    elif piece.columns.long:
        yield _series(_table(piece), piece)
    else:
        yield from _of_table(piece)


# Lines ------------------------------------------------------------------------------------------


def _lines(piece: Piece) -> list[bytes]:
    lines = piece.content
    if lines is None:
        with piece.file.open() as opened:
            lines = content(opened.stream, piece.start, piece.end)
        if hashlib.sha256(lines).hexdigest() != piece.digest:
            raise _changed(piece)
    return lines.removesuffix(b"\n").split(b"\n")


def _changed(piece: Piece) -> ValueError:
    return ValueError(f"{piece.file.name}: expected a file that stays as it is; it changed")


def _decoded(cells: Any, rejects: dict[int, str]) -> Any:
    """Return binary cells as text; of those that are none it is empty, and why is put down."""
    pyarrow = needed("pyarrow", "a corpus")
    try:
        return cells.cast(pyarrow.string())
    except pyarrow.ArrowInvalid:
        texts = []
        for n, cell in enumerate(cells.to_pylist()):
            try:
                texts.append(cell.decode())
            except UnicodeDecodeError as error:
                rejects.setdefault(n, f"expected UTF-8, got something else at byte {error.start}")
                texts.append("")
        return pyarrow.array(texts, pyarrow.string())


def _slices(lines: list[bytes], piece: Piece) -> Iterator[tuple[Array, Any, dict[int, str]]]:
    """Yield lines as text, some at a time, with their numbers and what cannot be read."""
    pyarrow = needed("pyarrow", "a corpus")
    for start in range(0, len(lines), _ROWS):
        some = lines[start : start + _ROWS]
        if piece.first_row == start == 0:
            some[0] = some[0].removeprefix(BOM)
        rejects: dict[int, str] = {}
        numbers = piece.first_row + start + np.arange(len(some))
        yield numbers, _decoded(pyarrow.array(some, pyarrow.binary()), rejects), rejects


def _texts(lines: list[bytes], piece: Piece) -> Iterator[Rows]:
    compute = needed("pyarrow.compute", "a corpus")
    for numbers, text, rejects in _slices(lines, piece):
        yield Rows(numbers, compute.utf8_rtrim(text, "\r"), {}, rejects)


def _labelled(lines: list[bytes], piece: Piece) -> Iterator[Rows]:
    pyarrow, compute = needed("pyarrow", "a corpus"), needed("pyarrow.compute", "a corpus")
    for numbers, text, rejects in _slices(lines, piece):
        halves = compute.split_pattern(compute.utf8_rtrim(text, "\r"), "\t", max_splits=1)
        sound = compute.equal(compute.list_value_length(halves), 2)
        first = compute.list_element(compute.if_else(sound, halves, pyarrow.scalar(["", ""])), 0)
        sound = compute.match_substring_regex(first, "^0*[1-9][0-9]{0,8}$")
        words = compute.list_element(compute.if_else(sound, halves, pyarrow.scalar(["", ""])), 1)
        for n in np.flatnonzero(~sound.to_numpy(zero_copy_only=False)).tolist():
            line = text[n].as_py()
            rejects.setdefault(
                n,
                f"expected a label from 1, a tab and words separated by ' | ', got {shown(line)}"
                if line.strip()
                else "an empty line",
            )
        for n in np.flatnonzero(compute.equal(words, "").to_numpy(zero_copy_only=False)).tolist():
            rejects.setdefault(n, "expected at least one step, got an empty sequence")
        label = compute.if_else(sound, first, "0").cast(pyarrow.int64())
        tokens = compute.split_pattern(words, " | ")
        # As the reader of such files counts classes: from 0.
        yield Rows(numbers, tokens, {"label": compute.subtract(label, 1)}, rejects)


def _json_lines(lines: list[bytes], piece: Piece) -> Iterator[Rows]:
    for numbers, text, rejects in _slices(lines, piece):
        records: list[dict[str, Any]] = []
        for n, line in enumerate(text.to_pylist()):
            record: Any = None
            try:
                record = json.loads(line) if line.strip() else None
                if n not in rejects and not line.strip():
                    rejects[n] = "an empty line"
                elif not isinstance(record, dict):
                    rejects.setdefault(n, f"expected an object, got {shown(record)}")
            except (ValueError, RecursionError) as error:
                rejects.setdefault(n, f"expected JSON ({first_line(error)})")
            records.append(record if isinstance(record, dict) else {})
        columns, column = piece.columns, str(piece.columns.column)
        for n, record in enumerate(records):
            if n not in rejects and column not in record:
                rejects[n] = f"expected {shown(column)}, got {shown(list(record))}"
        given = _column([record.get(column) for record in records], rejects)
        labels = {name: _written([record.get(name) for record in records]) for name in columns.keep}
        yield Rows(numbers, given, labels, rejects)


def _written(values: list[Any]) -> Any:
    """Return labels as text, since each may be of another kind: what is none as JSON has it."""
    pyarrow = needed("pyarrow", "a corpus")
    texts = [v if v is None or isinstance(v, str) else json.dumps(v) for v in values]
    try:
        return pyarrow.array(texts, pyarrow.string())
    except UnicodeEncodeError:  # half of a character, as JSON's escapes may have it
        texts = [v and v.encode(errors="backslashreplace").decode() for v in texts]
        return pyarrow.array(texts, pyarrow.string())


def _column(values: list[Any], rejects: dict[int, str]) -> Any:
    """Return sequences of JSON as an array of one type; what is of another is put down."""
    pyarrow = needed("pyarrow", "a corpus")
    with suppress(*_NO_ARRAY):
        return pyarrow.array(values)
    types = Counter[Any]()
    for value in values:
        with suppress(*_NO_ARRAY):
            types[pyarrow.array([value]).type] += value is not None
    # What most rows have; whole numbers are numbers.
    shapes = Counter[str]()
    for type_, count in types.items():
        shapes[str(type_).replace("int64", "double")] += count
    shape = max(shapes, key=lambda shape: shapes[shape])
    alike = [type_ for type_ in types if str(type_).replace("int64", "double") == shape]
    kind = max(alike, key=lambda type_: str(type_) == shape)
    arrays = []
    for n, value in enumerate(values):
        try:
            if isinstance(value, str) and shape != "string":  # Arrow would take it as its letters
                raise TypeError("got a text")
            arrays.append(pyarrow.array([value], kind))
        except _NO_ARRAY as error:
            rejects.setdefault(n, f"expected a sequence as in other rows ({first_line(error)})")
            arrays.append(pyarrow.nulls(1, kind))
    return pyarrow.concat_arrays(arrays)


_NO_ARRAY = (ValueError, TypeError, OverflowError)
"""What Arrow raises of values that are of no type, or of several."""

_OF_LINES: dict[str, Callable[[list[bytes], Piece], Iterator[Rows]]] = {
    "text": _texts,
    "labelled": _labelled,
    "jsonl": _json_lines,
}


# Tables -----------------------------------------------------------------------------------------


def _table(piece: Piece) -> Any:
    pyarrow = needed("pyarrow", "a corpus")
    return pyarrow.ipc.open_stream(piece.content).read_all()


def _of_table(piece: Piece) -> Iterator[Rows]:
    row = piece.first_row
    for batch in _batches(piece):
        numbers = row + np.arange(batch.num_rows)
        rejects: dict[int, str] = {}
        if PROBLEM in batch.schema.names:
            problems = batch.column(PROBLEM).to_pylist()
            rejects |= {n: text for n, text in enumerate(problems) if text is not None}
        given = _as_text(batch.column(piece.columns.column), rejects)
        labels = {name: _as_text(batch.column(name), {}) for name in piece.columns.keep}
        yield Rows(numbers, given, labels, rejects)
        row += batch.num_rows


def _as_text(column: Any, rejects: dict[int, str]) -> Any:
    pyarrow = needed("pyarrow", "a corpus")
    if pyarrow.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kinds = pyarrow.types
    if kinds.is_large_binary(column.type) or kinds.is_binary(column.type):
        return _decoded(column.fill_null(b""), rejects)
    if kinds.is_large_string(column.type) or kinds.is_string_view(column.type):
        return column.cast(pyarrow.string())
    return column


def _batches(piece: Piece) -> Iterator[Any]:
    if piece.content is not None:
        yield from _table(piece).to_batches(max_chunksize=_ROWS)
        return
    pyarrow, parquet = needed("pyarrow", "a corpus"), needed("pyarrow.parquet", "a corpus")
    groups = list(range(piece.start, piece.end))
    try:
        with piece.file.open() as opened:
            table = parquet.ParquetFile(opened.stream)
            if digest_of_groups(table.metadata, piece.start, piece.end) != piece.digest:
                raise _changed(piece)
            yield from table.iter_batches(_ROWS, groups, columns=piece.columns.read)
    except (OSError, pyarrow.ArrowException) as error:
        if getattr(error, "errno", None) is not None:
            raise
        raise ValueError(
            f"{piece.file.name}: expected a whole Parquet file; row groups {piece.start} to "
            f"{piece.end - 1} cannot be read ({first_line(error)})"
        ) from None


def _series(table: Any, piece: Piece) -> Rows:
    """Return a table of steps as a row a series."""
    pyarrow, compute = needed("pyarrow", "a corpus"), needed("pyarrow.compute", "a corpus")
    columns = piece.columns
    table = table.combine_chunks()
    keys = table.column(columns.key).combine_chunks()
    changes = compute.not_equal(keys.slice(1), keys.slice(0, len(keys) - 1))
    begins = np.concatenate([[0], compute.indices_nonzero(changes).to_numpy() + 1]).astype(np.int64)
    offsets = np.append(begins, len(keys))
    rejects: dict[int, str] = {}
    values = np.empty((len(keys), len(columns.features)))
    for d, name in enumerate(columns.features):
        values[:, d] = _numbers(table.column(name), name, offsets, rejects)
    rows = pyarrow.FixedSizeListArray.from_arrays(values.reshape(-1), values.shape[1])
    labels = {str(columns.key): keys.take(begins)}
    labels |= {name: table.column(name).combine_chunks().take(begins) for name in columns.keep}
    labels = {name: _as_text(column, {}) for name, column in labels.items()}
    steps = None
    if columns.time is not None:
        times = _times(_as_text(table.column(columns.time).combine_chunks(), {}))
        _check_times(times, columns.time, offsets, rejects)
        steps = pyarrow.LargeListArray.from_arrays(offsets, times)
    given = pyarrow.LargeListArray.from_arrays(offsets, rows)
    return Rows(piece.first_row + begins, given, labels, rejects, steps)


def _numbers(column: Any, name: str, offsets: Array, rejects: dict[int, str]) -> Array:
    """Return a column as numbers; a series of which one is none is put down."""
    pyarrow = needed("pyarrow", "a corpus")
    column = _as_text(column.combine_chunks(), {})
    if not pyarrow.types.is_string(column.type):
        try:
            return column.cast(pyarrow.float64()).to_numpy(zero_copy_only=False)
        except pyarrow.ArrowException:
            raise ValueError(f"{name}: expected a column of numbers, got {column.type}") from None
    numbers = np.full(len(column), np.nan)
    for n, text in enumerate(column.to_pylist()):
        try:
            numbers[n] = float(text) if text else np.nan
        except ValueError:
            b = int(offsets.searchsorted(n, side="right")) - 1
            at = n - int(offsets[b])
            reason = f"expected a number of {shown(name)} at step {at}, got {shown(text)}"
            rejects.setdefault(b, reason)
    return numbers


def _times(column: Any) -> Any:
    """Return what steps are called: dates and times as such, where a text has them."""
    pyarrow = needed("pyarrow", "a corpus")
    if pyarrow.types.is_string(column.type):
        compute = needed("pyarrow.compute", "a corpus")
        column = compute.if_else(compute.equal(column, ""), None, column)
        for kind in (pyarrow.timestamp("s"), pyarrow.timestamp("us", "UTC")):
            try:
                return column.cast(kind)
            except pyarrow.ArrowInvalid:
                continue
    if pyarrow.types.is_date(column.type):
        return column.cast(pyarrow.timestamp("s"))
    return column


def _order(times: Any) -> Any:
    """Return what times are ordered by: texts as numbers, if most of them are such."""
    pyarrow = needed("pyarrow", "a corpus")
    if not pyarrow.types.is_string(times.type):
        return times
    numbers = np.full(len(times), np.nan)
    for n, text in enumerate(times.to_pylist()):
        with suppress(ValueError):
            numbers[n] = float(text or "nan")
    return pyarrow.array(numbers) if 2 * np.isfinite(numbers).sum() > len(times) else times


def _check_times(times: Any, name: str, offsets: Array, rejects: dict[int, str]) -> None:
    """Put down the series whose steps do not follow each other in time."""
    compute = needed("pyarrow.compute", "a corpus")
    order = _order(times)
    later = compute.greater(order.slice(1), order.slice(0, len(times) - 1))
    wrong = ~later.fill_null(False).to_numpy(zero_copy_only=False)
    wrong[offsets[1:-1] - 1] = False
    for n in np.flatnonzero(wrong).tolist():
        b = int(offsets.searchsorted(n, side="right")) - 1
        reason = f"expected later {shown(name)} at each step, got {times[n + 1]} after {times[n]}"
        rejects.setdefault(b, reason)
