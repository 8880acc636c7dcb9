"""What explanations and predictions are written as, by the suffix of the file."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import IO, Any, Protocol

import numpy as np

from lrplstm import heatmap
from lrplstm.attribution import Attribution
from lrplstm.attributions import Attributions
from lrplstm.cli.inputs import InputError, Item
from lrplstm.exports.arrow import to_arrow
from lrplstm.exports.json_lines import JsonLines, encode_records
from lrplstm.exports.needed import needed
from lrplstm.exports.tidy import tidy
from lrplstm.report.content import Given, content
from lrplstm.report.page import render
from lrplstm.step_labels import StepLabels

__all__ = ["FORMATS", "Page", "Picture", "Rows", "Settings", "Table", "Writer", "labelled", "said"]


@dataclass(frozen=True)
class Settings:
    """What writers need to know.

    Attributes
    ----------
    title : str
        Of a page.
    limit : int
        So many sequences go into a page.
    what : str
        What the sequences are called: "texts" or "series".
    top : int, optional
        So many of the most relevant words, or variables at steps, go into a table.
    """

    title: str
    limit: int
    what: str
    top: int | None = None


class Writer(Protocol):
    """Takes explanations a portion at a time, and writes them to a file that it is made with."""

    def add(self, items: Sequence[Item], attributions: Attributions) -> None:
        """Take some more."""

    def finish(self) -> None:
        """Write what can only be written when all are there."""


def said(items: Sequence[Item]) -> dict[str, list[Any]]:
    """Return what JSON says of what was given beside explanations, as columns."""
    columns: dict[str, list[Any]] = {"label": [item.label for item in items]}
    if isinstance(items[0].sequence, np.ndarray) and items[0].sequence.ndim == 2:
        columns["feature_names"] = [item.variables for item in items]
        columns["step_labels"] = [item.steps for item in items]
    return columns


class Objects:
    """An object a line for each sequence: `Attribution.to_dict`, and what was given."""

    def __init__(self, file: IO[bytes], settings: Settings | None = None) -> None:
        self._lines = JsonLines(file)

    def add(self, items: Sequence[Item], attributions: Attributions) -> None:
        """Write them."""
        self._lines.write_texts(
            encode_records(attributions, {"label": [item.label for item in items]})
        )

    def finish(self) -> None:
        """All is written."""


class Rows:
    """Rows of CSV as RFC 4180 has it, in UTF-8, below a header."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._has_header = False

    def write(self, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Write rows, and before the first of all a header."""
        text = io.StringIO()
        writer = csv.writer(text)
        if not self._has_header:
            writer.writerow(header)
            self._has_header = True
        writer.writerows(rows)
        self._file.write(text.getvalue().encode())


class Table:
    """A row for each word, or for each variable at each step; with several classes for each."""

    def __init__(self, file: IO[bytes], settings: Settings) -> None:
        self._rows, self._top = Rows(file), settings.top
        self._count = 0

    def add(self, items: Sequence[Item], attributions: Attributions) -> None:
        """Write them."""
        if attributions.tokens is None and items[0].ids is not None:
            attributions = replace(attributions, tokens=[item.words or [] for item in items])
        columns = tidy(attributions, first=self._count, top=self._top, dates=False)
        self._rows.write(list(columns), zip(*map(np.ndarray.tolist, columns.values()), strict=True))
        self._count += len(items)

    def finish(self) -> None:
        """All is written."""


class Parquet:
    """A row for each sequence: `Attributions.to_parquet`."""

    def __init__(self, file: IO[bytes], settings: Settings) -> None:
        self._file, self._count = file, 0
        self._writer: Any = None

    def add(self, items: Sequence[Item], attributions: Attributions) -> None:
        """Write them."""
        labels = [item.label for item in items]
        if None not in labels:  # of a file that says which class each text has
            names = attributions.names
            sequences = {**(names.sequences or {}), "label": np.array(labels)}
            attributions = replace(attributions, names=names._replace(sequences=sequences))
        table = to_arrow(attributions, first=self._count)
        if self._writer is None:
            parquet = needed("pyarrow.parquet", "--out FILE.parquet")
            self._writer = parquet.ParquetWriter(self._file, table.schema)
        self._writer.write_table(table)
        self._count += len(items)

    def finish(self) -> None:
        """Write the end of the file, which says where everything is."""
        if self._writer is not None:
            self._writer.close()


def labelled(item: Item, attribution: Attribution) -> Attribution:
    """Let ids stand where there are no tokens, for whoever looks at it."""
    if attribution.tokens is None and item.ids is not None:
        return replace(attribution, tokens=item.words)
    return attribution


class Page:
    """A page of HTML, with the first of the sequences: `lrplstm.report`."""

    def __init__(self, file: IO[bytes], settings: Settings) -> None:
        self._file, self._settings = file, settings
        self._items: list[Item] = []
        self._columns: list[list[Attribution]] = []
        self._count = 0

    @property
    def room(self) -> int:
        """So many more sequences it has room for."""
        return self._settings.limit - len(self._items)

    def add(self, items: Sequence[Item], columns: Sequence[Attributions]) -> None:
        """Take explanations by each method, of those that the page has room for."""
        self._count += len(items)
        if not columns:
            return
        kept = items[: len(columns[0])]
        self._items += kept
        self._columns = self._columns or [[] for _ in columns]
        for column, attributions in zip(self._columns, columns, strict=True):
            column += map(labelled, kept, attributions)

    def finish(self) -> None:
        """Write the page."""
        shown, what = len(self._items), self._settings.what
        note = None
        if shown < self._count:
            note = (
                f"The first {shown:,} of {self._count:,} {what} are shown here; "
                f"{self._count - shown:,} were left out (--limit)."
            )
        data = content(self._columns, _given(self._items))
        self._file.write(render(data, self._settings.title, note).encode())


def _given(items: Sequence[Item]) -> Given:
    """Return what a page shows of what was given."""
    has_labels = any(item.label is not None for item in items)
    is_series = isinstance(items[0].sequence, np.ndarray) and items[0].ids is None
    is_series &= items[0].inputs is None  # of which only relevance is shown
    return Given(
        texts=[item.written for item in items],
        series=[item.sequence for item in items] if is_series else None,
        labels=[item.label for item in items] if has_labels else None,
        variables=items[0].variables,
        steps=[item.steps for item in items] if is_series else None,
    )


class Picture:
    """A picture with all sequences one under another."""

    format = "png"

    def __init__(self, file: IO[bytes], settings: Settings | None = None) -> None:
        self._file = file
        self._pictures: list[heatmap.Panel | heatmap.Grid] = []

    def add(self, items: Sequence[Item], attributions: Attributions) -> None:
        """Take them."""
        for item, one in zip(items, attributions, strict=True):
            attribution = labelled(item, one)
            if attribution.tokens is None and attribution.input_relevance is not None:
                grid = attribution.to_grid(variables=item.variables, steps=item.steps)
                values, dates = attribution.input_values, _dates(item.steps)
                title = attribution.title
                self._pictures.append(grid._replace(title=title, values=values, dates=dates))
            else:
                self._pictures.append(attribution.to_panel())
        if len(self._pictures) > _MOST_PICTURES:
            raise InputError(
                f"expected at most {_MOST_PICTURES:,} in one picture, got more; draw fewer, or "
                "write a page: --out FILE.html"
            )

    def finish(self) -> None:
        """Draw it."""
        heatmap.save_picture(self._file, self._pictures, self.format)


def _dates(steps: Sequence[str] | None) -> Any:
    """Return the dates that steps are called by, if they are dates."""
    labels = None if steps is None else StepLabels.of_texts(steps)
    return labels.values if labels is not None and labels.are_dates else None


_MOST_PICTURES = 5000


class PdfPicture(Picture):
    """The same as a PDF, with words that are text."""

    format = "pdf"


class SvgPicture(Picture):
    """The same as an SVG, with words that are text."""

    format = "svg"


FORMATS: dict[str, Callable[[IO[bytes], Settings], Writer | Page]] = {
    ".png": Picture,
    ".pdf": PdfPicture,
    ".svg": SvgPicture,
    ".html": Page,
    ".htm": Page,
    ".json": Objects,
    ".jsonl": Objects,
    ".csv": Table,
    ".parquet": Parquet,
}
"""What writes files of a suffix, as `lrplstm explain --out` does."""
