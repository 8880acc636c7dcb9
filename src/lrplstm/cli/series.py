"""Series of numbers from .npy and .csv files."""

from __future__ import annotations

import csv
import math
from array import array
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import IO

import numpy as np

from lrplstm.base_model import Model
from lrplstm.cli.inputs import InputError, Item
from lrplstm.cli.texts import open_input
from lrplstm.sentences import text_lines
from lrplstm.storage import read_array
from lrplstm.texts import shown

__all__ = ["read_series"]

_MISSING = ("", "n/a", "null")
"""What stands for no value, in lower case; "nan" is read as a number already."""

_UNNAMED = ("", "unnamed: 0", "index")
"""What a column is called that only counts the rows, in lower case."""


def read_series(path: str, model: Model) -> list[Item]:
    """Return the rows of numbers in a .npy or .csv file: one sequence, or B of one length.

    A column of a .csv file that stands before those of the model's variables names the steps.
    """
    if Path(path).suffix == ".npy":
        numbers = read_array(Path(path), ndims=(2, 3))
        if numbers.ndim == 3:
            return [Item(f"{path}: sequence {b}", rows) for b, rows in enumerate(numbers)]
        return [Item(path, numbers)]
    with open_input(path) as (name, file):
        return [_read_table(file, name, model.input_size)]


def _read_table(file: IO[bytes], name: str, width: int) -> Item:
    header: list[str] | None = None
    columns = 0
    labels: list[str] = []
    numbers = array("d")
    for where, cells in _cells(file, name):
        if not columns and header is None and _is_header(cells, width):
            header = cells
            continue
        columns = columns or len(cells)
        if len(cells) != columns:
            raise InputError(f"{where}: expected {columns} numbers, got {len(cells)}")
        first = columns - width if columns == width + 1 else 0
        labels += cells[:first]
        for k in range(first, columns):
            numbers.append(_number(cells[k], f"{where}, cell {k + 1}", hint=k == 0, width=width))
    if not columns:
        raise InputError(f"{name}: expected rows of numbers, found none")
    variables = columns - bool(labels)
    if header is not None and len(header) not in (columns, variables):
        raise InputError(f"{name}: expected {columns} names in its header, got {len(header)}")
    if labels and not _can_be_labels(labels, header if header and len(header) == columns else None):
        raise InputError(
            f"{name}: expected {width} numbers in a row, got {columns}; a first column of numbers "
            "names the steps only where they rise"
        )
    names = None if header is None else header[len(header) - variables :]
    rows = np.array(numbers).reshape(-1, variables)
    return Item(name, rows, variables=names, steps=labels or None)


def _cells(file: IO[bytes], name: str) -> Iterator[tuple[str, list[str]]]:
    """Yield what errors call each line, and its cells without the spaces around them."""
    number = 0

    def lines() -> Iterator[str]:
        nonlocal number
        for n, line in text_lines(file, name):
            number = n
            # Some programs end lines with a carriage return alone.
            yield from (part for part in line.split("\r") if part.strip())

    try:
        for cells in csv.reader(lines(), skipinitialspace=True, strict=True):
            yield f"{name}: line {number}", [cell.strip() for cell in cells]
    except csv.Error as error:
        raise InputError(f"{name}: line {number}: not readable as CSV: {error}") from None


def _is_header(cells: list[str], width: int) -> bool:
    """Whether a row has names: no number, and more than missing values.

    Columns that nobody has named are numbered from 0, below a name for the steps or none.
    """
    if len(cells) == width + 1 and cells[1:] == [str(d) for d in range(width)]:
        return cells[0].lower() in _UNNAMED or (width > 1 and cells[0].isalpha())
    return not any(map(_reads_as_float, cells)) and any(
        cell.lower() not in _MISSING for cell in cells
    )


def _can_be_labels(labels: list[str], header: list[str] | None) -> bool:
    """Whether a first column names the steps: words or dates, or numbers that count or rise."""
    if not all(map(_reads_as_float, labels)) or (header and header[0].lower() in _UNNAMED):
        return True
    return all(a < b for a, b in pairwise(map(float, labels)))


def _reads_as_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _number(cell: str, where: str, *, hint: bool, width: int) -> float:
    # Python's numbers may contain underscores, and be NaN or infinite.
    if _reads_as_float(cell) and "_" not in cell and math.isfinite(float(cell)):
        return float(cell)
    text = f"{where}: expected a finite number, got {shown(cell)}"
    if hint and cell.lower() not in _MISSING and not _reads_as_float(cell):
        text += f"; names of the steps may stand before the {width} variables that the model reads"
    raise InputError(text)
