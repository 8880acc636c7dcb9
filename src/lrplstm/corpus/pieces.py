"""Files -> pieces, each of which is explained by itself, and becomes a part of what is written.

Where a piece ends depends on the file alone, not on who explains it; so any number of workers
writes the same parts. A piece of lines, or of row groups, only says where it lies, and is read by
the worker. What can only be read from the beginning, as a compressed file can, goes with it.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import IO, Any

from lrplstm.corpus.columns import Columns
from lrplstm.corpus.files import Opened, SourceFile
from lrplstm.exports.needed import needed
from lrplstm.texts import first_line, shown

__all__ = ["BOM", "MOST_IN_LINE", "PROBLEM", "Piece", "digest_of_groups", "pieces_of"]

MOST_IN_LINE = 2**24
"""A line, or a cell of a table, has at most so many bytes: some three million words."""

_ROWS = 32768
"""So many rows of a table are a piece, or row groups with so many."""
_STEPS = 2**18
"""So many rows of a table of steps."""
_BLOCK = 2**20

BOM = b"\xef\xbb\xbf"
"""What a text file may begin with, which is no text."""


@dataclass(frozen=True)
class Piece:
    """Some rows of a file that follow each other.

    Attributes
    ----------
    part : str
        What the part is called that it becomes.
    file : SourceFile
    columns : Columns
    first_row, rows : int
        The number of the first, and how many sequences they are.
    start, end : int
        Where they lie: bytes of lines, or row groups.
    digest : str
        Of what they are.
    content : bytes, optional
        They themselves: lines, or a table in Arrow's stream format.
    problem : str, optional
        Why none of them can be read.
    position : int
        How many bytes of the file had been read; 0 where that is not known.
    """

    part: str
    file: SourceFile
    columns: Columns
    first_row: int
    rows: int
    start: int = 0
    end: int = 0
    digest: str = ""
    content: bytes | None = None
    problem: str | None = None
    position: int = 0


def pieces_of(file: SourceFile, number: int, columns: Columns, piece_bytes: int) -> Iterator[Piece]:
    """Yield the pieces of a file, which is the corpus' file of this number."""
    for n, piece in enumerate(_READERS[file.format](file, columns, piece_bytes)):
        yield Piece(part=f"part-{number:05}-{n:06}", **piece)


# Lines ------------------------------------------------------------------------------------------


def _lines(file: SourceFile, columns: Columns, piece_bytes: int) -> Iterator[dict[str, Any]]:
    """Cut a file of lines after a line feed, where there are some bytes."""
    start = row = 0
    rest, ended, settled = b"", False, False
    with _reading(file) as opened:
        while rest or not ended:
            cut = _cut(rest, piece_bytes)
            if not cut and not ended and len(rest) <= MOST_IN_LINE:
                block = opened.stream.read(max(_BLOCK, piece_bytes - len(rest)))
                rest, ended = rest + block, not block
                continue
            if not settled:
                # By the first piece alone: how much more has been read, may be otherwise.
                lines = rest[:cut] if cut else rest
                file, columns, settled = *_settled(file, columns, lines), True
            if cut > MOST_IN_LINE or (not cut and len(rest) > MOST_IN_LINE):
                length, rest = (cut, rest[cut:]) if cut else _skip_line(opened.stream, len(rest))
                yield _piece(file, columns, row, 1, opened) | {
                    "problem": f"expected at most {MOST_IN_LINE:,} bytes in a line, got {length:,}"
                }
                start, row = start + length, row + 1
                continue
            lines, rest = (rest[:cut], rest[cut:]) if cut else (rest, b"")
            rows = lines.count(b"\n") + (not lines.endswith(b"\n"))
            yield _piece(file, columns, row, rows, opened) | {
                "start": start,
                "end": start + len(lines),
                "digest": hashlib.sha256(lines).hexdigest(),
                "content": None if file.seekable and file.size is not None else lines,
            }
            start, row = start + len(lines), row + rows


def _settled(file: SourceFile, columns: Columns, lines: bytes) -> tuple[SourceFile, Columns]:
    """Return what the first line says of a file: whether lines have labels, or what columns."""
    first = [line for line in lines.removeprefix(BOM).split(b"\n", 1000)[:1000] if line.strip()]
    if file.format == "text" and first and _LABELLED.match(first[0]):
        return replace(file, format="labelled"), columns
    if file.format != "jsonl" or not lines:
        return file, columns
    for line in first:
        with suppress(ValueError, RecursionError):
            record = json.loads(line)
            if isinstance(record, dict):
                return file, columns.within(file.name, list(record))
    raise ValueError(
        f"{file.name}: expected an object in JSON in each line, the first of which says what "
        f"columns there are; got {shown(first[0].decode(errors='replace') if first else '')}"
    )


_LABELLED = re.compile(rb"[0-9]{1,9}\t.")


def _cut(rest: bytes, piece_bytes: int) -> int:
    """Return where a piece ends that lines begin; 0 where that is not known yet.

    It is what it is however few bytes have been read, since those before it decide.
    """
    if len(rest) < piece_bytes:
        return 0
    return rest.rfind(b"\n", 0, piece_bytes) + 1 or rest.find(b"\n", piece_bytes) + 1


def _skip_line(stream: IO[bytes], length: int) -> tuple[int, bytes]:
    """Read on to the end of a line: return how long it is, and what follows it."""
    while block := stream.read(_BLOCK):
        cut = block.find(b"\n") + 1
        if cut:
            return length + cut, block[cut:]
        length += len(block)
    return length, b""


def _piece(
    file: SourceFile, columns: Columns, row: int, rows: int, opened: Opened
) -> dict[str, Any]:
    names: dict[str, Any] = {"file": file, "columns": columns, "first_row": row, "rows": rows}
    return names | {"position": opened.position}


class _reading:  # noqa: N801 - reads as a verb where it is used
    """Opens a file, and says which it is where it cannot be read to its end."""

    def __init__(self, file: SourceFile) -> None:
        self._file = file

    def __enter__(self) -> Any:
        self._open = self._file.open()
        return self._open.__enter__()

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        try:
            self._open.__exit__(kind, error, traceback)
        finally:
            arrows = needed("pyarrow", "a corpus").ArrowException
            damaged = isinstance(error, OSError | EOFError | arrows)
            if damaged and getattr(error, "errno", None) is None:
                kind = self._file.compression or self._file.format
                raise ValueError(
                    f"{self._file.name}: expected a whole {kind} file ({first_line(error)})"
                ) from None


# Tables -----------------------------------------------------------------------------------------


def _row_groups(file: SourceFile, columns: Columns, piece_bytes: int) -> Iterator[dict[str, Any]]:
    """Take row groups of a Parquet file together until they are rows enough."""
    parquet = needed("pyarrow.parquet", "a corpus")
    with _reading(file) as opened:
        try:
            table = parquet.ParquetFile(opened.stream)
        except Exception as error:  # of Arrow, which are many, for files that are anything
            raise ValueError(
                f"{file.name}: expected a Parquet file ({first_line(error)})"
            ) from None
        columns = columns.within(file.name, table.schema_arrow.names)
        if columns.long:
            yield from _series(file, columns, table.iter_batches(columns=columns.read), opened)
            return
        metadata = table.metadata
        row = first = rows = 0
        for group in range(metadata.num_row_groups):
            rows += metadata.row_group(group).num_rows
            if rows >= _ROWS or group == metadata.num_row_groups - 1:
                if rows:
                    done = (group + 1) / metadata.num_row_groups
                    yield _piece(file, columns, row, rows, opened) | {
                        "start": first,
                        "end": group + 1,
                        "digest": digest_of_groups(metadata, first, group + 1),
                        "position": int(done * (file.size or 0)),
                    }
                row, first, rows = row + rows, group + 1, 0


def digest_of_groups(metadata: Any, start: int, end: int) -> str:
    """Return a digest of row groups without reading them: of their places, sizes, statistics."""
    end = min(end, metadata.num_row_groups)  # of a file that is another now
    said = [metadata.row_group(n).to_dict() for n in range(start, end)]
    return hashlib.sha256(repr(said).encode()).hexdigest()


def _arrow(file: SourceFile, columns: Columns, piece_bytes: int) -> Iterator[dict[str, Any]]:
    pyarrow = needed("pyarrow", "a corpus")
    with _reading(file) as opened:
        try:
            try:
                table = pyarrow.ipc.open_file(opened.stream)
                batches = (table.get_batch(n) for n in range(table.num_record_batches))
            except pyarrow.ArrowInvalid:
                opened.stream.seek(0)
                table = pyarrow.ipc.open_stream(opened.stream)
                batches = iter(table)
        except pyarrow.ArrowInvalid as error:
            raise ValueError(f"{file.name}: expected an Arrow file ({first_line(error)})") from None
        columns = columns.within(file.name, table.schema.names)
        chosen = (batch.select(columns.read) for batch in batches)
        yield from _of_batches(file, columns, chosen, opened)


def _delimited(file: SourceFile, columns: Columns, piece_bytes: int) -> Iterator[dict[str, Any]]:
    """Read a table of text, in which a quoted cell may contain line breaks."""
    with _reading(file) as opened:
        text = io.TextIOWrapper(opened.stream, "utf-8-sig", errors="surrogateescape", newline="")
        try:
            rows = _Cells(text, "\t" if file.format == "tsv" else ",")
            header = next(rows, None)
            if header is None or rows.problem is not None:
                raise ValueError(f"{file.name}: expected a table whose first line names columns")
            columns = columns.within(file.name, header)
            batches = _cells_in_batches(rows, len(header), [header.index(n) for n in columns.read])
            named = (batch.rename_columns([*columns.read, PROBLEM]) for batch in batches)
            yield from _of_batches(file, columns, named, opened)
        finally:
            text.detach()


PROBLEM = ".problem"
"""A column that says why a row cannot be read."""


class _Cells(Iterator[list[str]]):
    """The rows of a table of text, one after the other.

    Attributes
    ----------
    problem : str, optional
        Why the row that came last could not be read.
    """

    def __init__(self, text: Any, delimiter: str) -> None:
        csv.field_size_limit(MOST_IN_LINE)
        self._text = text
        lines = iter(self._line, "")
        self._rows = csv.reader(lines, delimiter=delimiter, strict=True)
        self.problem: str | None = None

    def _line(self) -> str:
        """Return the next line; of one without end, no more than memory has room for."""
        line: str = self._text.readline(MOST_IN_LINE)
        if len(line) < MOST_IN_LINE or line.endswith(("\r", "\n")):
            return line
        while len(rest := self._text.readline(_BLOCK)) == _BLOCK:
            if rest.endswith(("\r", "\n")):
                break
        raise csv.Error(f"a line of more than {MOST_IN_LINE:,} characters")

    def __next__(self) -> list[str]:
        self.problem = None
        try:
            return next(self._rows)
        except csv.Error as error:
            self.problem = f"expected cells, quoted as RFC 4180 has it ({first_line(error)})"
            return []


def _cells_in_batches(rows: _Cells, width: int, places: list[int]) -> Iterator[Any]:
    """Yield cells at some places as batches of binary columns, and a column of problems."""
    taken: list[list[str]] = []
    problems: list[str | None] = []
    size = 0
    for cells in rows:
        problem = rows.problem
        if problem is None and len(cells) != width:
            problem = f"expected {width} cells, got {len(cells)}" if cells else "an empty line"
        problems.append(problem)
        taken.append([cells[place] for place in places] if problem is None else [""] * len(places))
        size += sum(map(len, taken[-1]))
        if len(taken) >= _ROWS or size >= 2**22:
            yield _batch_of_cells(taken, problems)
            taken, problems, size = [], [], 0
    if taken:
        yield _batch_of_cells(taken, problems)


def _batch_of_cells(taken: list[list[str]], problems: list[str | None]) -> Any:
    pyarrow = needed("pyarrow", "a corpus")
    columns: list[Any] = [
        pyarrow.array([cell.encode(errors="surrogateescape") for cell in column], pyarrow.binary())
        for column in zip(*taken, strict=True)
    ]
    columns.append(pyarrow.array(problems, pyarrow.string()))
    names = list(map(str, range(len(columns))))
    return pyarrow.RecordBatch.from_arrays(columns, names)


def _of_batches(
    file: SourceFile, columns: Columns, batches: Any, opened: Opened
) -> Iterator[dict[str, Any]]:
    """Yield the rows of batches as they are, a piece of them at a time."""
    if columns.long:
        yield from _series(file, columns, batches, opened)
        return
    row = 0
    for batch in batches:
        for start in range(0, batch.num_rows, _ROWS):
            part = batch.slice(start, _ROWS)
            yield _table(file, columns, row, part.num_rows, [part], opened)
            row += part.num_rows


def _table(
    file: SourceFile, columns: Columns, row: int, rows: int, batches: list[Any], opened: Opened
) -> dict[str, Any]:
    pyarrow = needed("pyarrow", "a corpus")
    sink = io.BytesIO()
    with pyarrow.ipc.new_stream(sink, batches[0].schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    content = sink.getvalue()
    digest = hashlib.sha256(content).hexdigest()
    return _piece(file, columns, row, rows, opened) | {"digest": digest, "content": content}


# Tables of steps ---------------------------------------------------------------------------------


def _series(
    file: SourceFile, columns: Columns, batches: Any, opened: Opened
) -> Iterator[dict[str, Any]]:
    """Cut a table of steps where one series ends and another begins.

    Raises
    ------
    ValueError
        If the rows of a series do not stand together.
    """
    waiting: list[Any] = []
    row = steps = count = 0
    seen: set[Any] = set()
    last: Any = None
    for batch in batches:
        if not batch.num_rows:
            continue
        _refuse_problems(file, batch, row + steps)
        keys = batch.column(columns.key)
        begins = _begins(file, keys, last, row + steps)
        for n in begins:
            key = keys[n].as_py()
            if key in seen:
                raise ValueError(
                    f"{file.name}: expected the rows of each {shown(columns.key)} together, got "
                    f"{shown(key)} again in row {row + steps + n}; sort the table"
                )
            seen.add(key)
        last = keys[len(keys) - 1].as_py()
        cut = begins[-1] if begins else 0
        if begins and steps + cut >= _STEPS:
            done = [*waiting, batch.slice(0, cut)] if cut else waiting
            yield _table(file, columns, row, count + len(begins) - 1, done, opened)
            row, waiting, steps, count = row + steps + cut, [], 0, 0
            batch, begins = batch.slice(cut), begins[-1:]
        waiting.append(batch)
        steps, count = steps + batch.num_rows, count + len(begins)
    if waiting:
        yield _table(file, columns, row, count, waiting, opened)


def _begins(file: SourceFile, keys: Any, last: Any, row: int) -> list[int]:
    """Return where series begin in a column of keys, of which the one before was `last`."""
    compute = needed("pyarrow.compute", "a corpus")
    lacking = compute.is_null(keys, nan_is_null=True)
    if keys.type == needed("pyarrow", "a corpus").binary():  # of a table of text
        lacking = compute.equal(keys, b"")
    at = int(compute.index(lacking, True).as_py())
    if at >= 0:
        raise ValueError(f"{file.name}: expected a key in each row, got none in row {row + at}")
    changes = compute.not_equal(keys.slice(1), keys.slice(0, len(keys) - 1))
    begins: list[int] = (compute.indices_nonzero(changes).to_numpy() + 1).tolist()
    return begins if keys[0].as_py() == last else [0, *begins]


def _refuse_problems(file: SourceFile, batch: Any, row: int) -> None:
    """Refuse a table of steps of which one cannot be read: its series would lack it unseen."""
    if PROBLEM not in batch.schema.names:
        return
    for n, problem in enumerate(batch.column(PROBLEM).to_pylist()):
        if problem is not None:
            raise ValueError(f"{file.name}: row {row + n}: {problem}")


_READERS: dict[str, Callable[[SourceFile, Columns, int], Iterator[dict[str, Any]]]] = {
    "text": _lines,
    "labelled": _lines,
    "jsonl": _lines,
    "csv": _delimited,
    "tsv": _delimited,
    "parquet": _row_groups,
    "arrow": _arrow,
}
