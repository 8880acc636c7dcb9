"""A piece -> a part: a Parquet file of explanations, a file of rejected rows, and a record."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import ExitStack
from typing import Any, NamedTuple

from lrplstm.corpus.explaining import Explained, Task, explained, label_columns
from lrplstm.corpus.manifest import Record
from lrplstm.corpus.pieces import Piece
from lrplstm.corpus.reading import Rows, rows_of_piece
from lrplstm.corpus.storage import Folder
from lrplstm.exports.needed import needed

__all__ = ["DATA", "REJECTS", "Job", "RejectedError", "write_part"]

DATA, REJECTS = "data", "rejects"


class RejectedError(ValueError):
    """A row cannot be explained, and none may be passed over."""


class Job(NamedTuple):
    """What workers do with pieces, and where what they write goes.

    Attributes
    ----------
    task : Task
    folder : Folder
    strict : bool
        Whether the first row that cannot be explained ends it all.
    """

    task: Task
    folder: Folder
    strict: bool = False


def write_part(job: Job, piece: Piece) -> Record:
    """Explain a piece, write its part, and return the record of it.

    Files take their places one by one, each whole. Whoever does the same again writes the same.

    Raises
    ------
    RejectedError
        With `strict`, if a row cannot be explained.
    OSError
        If a file cannot be read or written.
    """
    sink = _Sink(job, piece)
    with ExitStack() as files:
        for rows in rows_of_piece(piece):
            for some in explained(job.task, rows, piece.columns):
                sink.take(rows, some, files)
            sink.check()
        sink.finish(files)
    if sink.written + sink.rejected != piece.rows:
        raise RuntimeError(
            f"{piece.file.name}: {piece.part}: {piece.rows} rows were read, of which "
            f"{sink.written} were explained and {sink.rejected} rejected"
        )
    return Record(
        piece.part,
        piece.file.name,
        piece.first_row,
        piece.rows,
        piece.digest,
        sink.written,
        sink.rejected,
        sink.steps,
        dict(sink.warnings),
    )


class _Sink:
    """Takes what is explained, in the order of rows, and writes it."""

    def __init__(self, job: Job, piece: Piece) -> None:
        self._job, self._piece = job, piece
        self._writer: Any = None
        self._rejects: list[tuple[int, str]] = []
        self.written = self.rejected = self.steps = 0
        self.warnings: Counter[str] = Counter()

    def take(self, rows: Rows, some: Explained, files: ExitStack) -> None:
        numbers = rows.numbers
        for row, reason in sorted(some.rejects.items()):
            number = int(numbers[row])
            self._rejects.append((number, reason))
        self.rejected += len(some.rejects)
        self.steps += some.steps
        # By their kinds: their texts name sequences and numbers, of which there are many.
        self.warnings.update(type(warning).__name__ for warning in some.warnings)
        if some.table is None:
            return
        table = _numbered(self._piece, rows, some)
        if self._writer is None:
            self._writer = self._open(table.schema, files)
        self._writer.write_table(table)
        self.written += table.num_rows

    def check(self) -> None:
        """Refuse what has been rejected, where no row may be passed over."""
        if self._job.strict and self._rejects:
            number, reason = min(self._rejects)
            raise RejectedError(f"{self._piece.file.name}: row {number}: {reason}")

    def _open(self, schema: Any, files: ExitStack) -> Any:
        parquet = needed("pyarrow.parquet", "a corpus")
        file = files.enter_context(self._job.folder.writing(f"{DATA}/{self._piece.part}.parquet"))
        # Words and file names recur, so they are written once and numbered; relevance does not.
        texts = ["file", "tokens.list.element"]
        return files.enter_context(
            parquet.ParquetWriter(
                file,
                schema,
                compression="zstd",
                use_dictionary=texts,
                write_statistics=["file", "row", "predicted"],
            )
        )

    def finish(self, files: ExitStack) -> None:
        if not self._rejects:
            return
        self._rejects.sort()
        name = f"{REJECTS}/{self._piece.part}.jsonl"
        file = files.enter_context(self._job.folder.writing(name))
        for number, reason in self._rejects:
            line = {"file": _encodable(self._piece.file.name), "row": number, "reason": reason}
            file.write((json.dumps(line) + "\n").encode())


def _encodable(name: str) -> str:
    """Return the name of a file as text, which it need not be on every system."""
    return name.encode(errors="backslashreplace").decode()


def _numbered(piece: Piece, rows: Rows, some: Explained) -> Any:
    """Return explanations with the file and row that each is of, and what goes with it."""
    pyarrow = needed("pyarrow", "a corpus")
    table = some.table
    columns = {
        "file": pyarrow.repeat(_encodable(piece.file.name), table.num_rows),
        "row": pyarrow.array(rows.numbers[some.rows]),
    }
    columns |= label_columns(rows, some.rows)
    columns |= {n: table.column(n) for n in table.column_names if n not in columns}
    return pyarrow.table(columns).replace_schema_metadata(table.schema.metadata)
