"""Overlapping windows of long series: a batch that is explained without being copied out."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple, NoReturn, overload

import numpy as np

from lrplstm.checks import check_choice, outer_level, to_array, to_int
from lrplstm.errors import ArgumentError, ArgumentTypeError
from lrplstm.step_labels import StepLabels
from lrplstm.tables import Table, as_table, check_order, read_table
from lrplstm.texts import did_you_mean, shown
from lrplstm.weights import Array

__all__ = ["GAPS", "Windows", "windows"]

GAPS = ("error", "skip", "ignore")


@dataclass(frozen=True, eq=False, repr=False)
class Windows(Sequence[Any]):
    """Windows of equal length over the rows of a table, which `windows` makes.

    Attributes
    ----------
    values : ndarray of shape (N, D)
        All rows, each once, NaN where a value is missing.
    starts : ndarray of int of shape (B,)
        The row in which each window begins.
    length : int
    feature_names : tuple of str, or None
    row_labels : StepLabels, or None
        What rows are called, such as dates.
    keys : dict of ndarray of shape (B,)
        What windows are of: the group of each by the names of columns, and in "window_end" the
        label of its last step.
    """

    values: Array
    starts: Array
    length: int
    feature_names: tuple[str, ...] | None = None
    row_labels: StepLabels | None = None
    keys: dict[str, Array] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.starts)

    @overload
    def __getitem__(self, index: int) -> Array: ...
    @overload
    def __getitem__(self, index: slice | Array) -> Windows: ...
    def __getitem__(self, index: int | slice | Array) -> Array | Windows:
        """Return a view of one window, (length, D), or some windows of the same rows."""
        if isinstance(index, slice | np.ndarray):
            keys = {name: values[index] for name, values in self.keys.items()}
            return Windows(
                self.values,
                self.starts[index],
                self.length,
                self.feature_names,
                self.row_labels,
                keys,
            )
        start = int(self.starts[index])
        return self.values[start : start + self.length]

    @property
    def rows(self) -> Array:
        """Which row of `values` each step of all windows is: (B * length,)."""
        return (self.starts[:, np.newaxis] + np.arange(self.length)).reshape(-1)

    def __repr__(self) -> str:
        size = self.values.shape[1]
        return f"Windows({len(self)} of {self.length} steps, {size} variables)"


def windows(
    frame: Any,
    length: int,
    stride: int = 1,
    by: str | Sequence[str] | None = None,
    *,
    columns: Sequence[str] | None = None,
    gaps: str = "error",
) -> Windows:
    """Return overlapping windows of a table, which every method takes as a batch.

    Nothing is copied for windows that overlap: a method reads the rows of the table.

    Parameters
    ----------
    frame : DataFrame, or array_like of shape (N, D)
        A row a step, in order of time; of pandas, polars, Arrow, or any library that narwhals
        knows. Its dates, an index or the one column of dates, label the steps.
    length : int
        Steps of a window.
    stride : int
        Steps from the beginning of a window to that of the next.
    by : str or sequence of str, optional
        Columns that say which series a row is of, such as the basin: no window reaches from one
        into another. Series come in the order in which they first occur.
    columns : sequence of str, optional
        The variables. Default: every column that is neither of dates nor in `by`. A model that
        has `feature_names` takes those that it reads.
    gaps : {"error", "skip", "ignore"}
        What to do where dates are farther apart than they are mostly: refuse the table, leave out
        the windows that the gap lies in, or take rows as they follow each other.

    Returns
    -------
    Windows
        A sequence of them, which knows from which series and date each is.

    Raises
    ------
    TypeError
        If a column of the variables holds anything but numbers.
    ValueError
        If there is no such column, there is no series of so many rows, dates run backward, or, by
        default, there is a gap.

    Warns
    -----
    UserWarning
        If some series are shorter than a window, so that nothing of them is explained.

    Examples
    --------
    >>> import pandas as pd
    >>> import lrplstm
    >>> days = pd.date_range("2026-01-01", periods=5)
    >>> frame = pd.DataFrame({"basin": "a", "rain": [0.0, 1, 2, 3, 4]}, index=days)
    >>> found = lrplstm.windows(frame, 3, by="basin")
    >>> found, found[2].tolist(), found.keys["basin"].tolist()
    (Windows(3 of 3 steps, 1 variables), [[2.0], [3.0], [4.0]], ['a', 'a', 'a'])
    """
    length, stride = to_int("length", length, 1), to_int("stride", stride, 1)
    check_choice("gaps", gaps, GAPS)
    by = [by] if isinstance(by, str) else list(by or ())
    table, series = _read(frame, by, columns)
    lengths = np.diff(series.offsets)
    if lengths.max() < length:
        raise ArgumentError(
            "length",
            f"expected at most {lengths.max()}, the rows of the longest series, got {length}",
        )
    _warn_of_short(series, lengths < length, length)
    of_series = [
        np.arange(first, end - length + 1, stride)
        for first, end in pairwise(series.offsets.tolist())
    ]
    number = np.repeat(np.arange(len(lengths)), list(map(len, of_series)))
    starts, labels = np.concatenate(of_series), table.labels
    if labels is not None and labels.are_dates and gaps != "ignore":
        whole = ~_holds_gap(labels, series, starts, length)
        if gaps == "error" and not whole.all():
            _refuse_gap(labels, int(starts[whole.argmin()]), length, series)
        number, starts = number[whole], starts[whole]
        if not len(starts):
            raise ArgumentError(
                "gaps", f"expected a window of {length} steps without one, got none"
            )
    keys = {name: values[number] for name, values in series.keys.items()}
    if labels is not None:
        keys["window_end"] = labels.take(starts + length - 1).as_array()
    return Windows(table.values, starts, length, table.names, labels, keys)


class _Series(NamedTuple):
    """The series of a table: where the rows of each begin, and what each is called in columns."""

    offsets: Array
    keys: dict[str, Array]

    def name(self, number: int) -> str:
        """Return what errors call one."""
        called = ", ".join(f"{name} {shown(values[number])}" for name, values in self.keys.items())
        return called or "the table"


def _read(frame: Any, by: Sequence[str], columns: Sequence[str] | None) -> tuple[Table, _Series]:
    """Return the rows of a table, those of each series together, and the series."""
    given = as_table(frame)
    if given is None:
        if by or columns is not None:
            raise ArgumentTypeError("frame", f"expected a DataFrame, got {type(frame).__name__}")
        values = to_array("frame", frame)
        if values.ndim != 2 or not values.size or values.dtype.kind not in "iuf":
            raise ArgumentError("frame", f"expected numbers of shape (N, D), got {values.shape}")
        return Table(values, None, None), _Series(np.array([0, len(values)]), {})
    for name in by:
        if name not in given.columns:
            near = did_you_mean(name, given.columns)
            raise ArgumentError("by", f"expected a column, got {shown(name)}{near}")
    keys = [_key(name, given.get_column(name)) for name in by]
    order, offsets, first = _sorted_by(keys, len(given))
    of_variables = given.drop(by).to_native() if by else frame
    table = read_table("frame", of_variables, columns, in_order=False)
    if table is None or not table.values.size:
        raise ArgumentError("frame", "expected at least one row and one variable, got none")
    if order is not None:
        labels = None if table.labels is None else table.labels.take(order)
        table = table._replace(values=table.values[order], labels=labels)
    series = _Series(offsets, {name: key[first] for name, key in zip(by, keys, strict=True)})
    if table.labels is not None:
        for b, (begin, end) in enumerate(pairwise(offsets.tolist())):
            check_order(f"frame: {series.name(b)}", table.labels.take(slice(begin, end)))
    return table, series


def _key(name: str, column: Any) -> Array:
    if column.null_count():
        row = int(np.asarray(column.is_null().to_numpy(), bool).argmax())
        raise ArgumentError(
            "by", f"expected a value in each row of {shown(name)}, got none in {row}"
        )
    return np.asarray(column.to_numpy())


def _sorted_by(keys: Sequence[Array], rows: int) -> tuple[Array | None, Array, Array]:
    """Return which row comes where so that series lie together; their offsets; a row of each.

    The order is None where rows lie so already.
    """
    code = np.zeros(rows, np.intp)
    for key in keys:
        _, of_key = np.unique(key, return_inverse=True)
        _, code = np.unique(code * (of_key.max() + 1) + of_key, return_inverse=True)
    _, first, code = np.unique(code, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.intp)
    rank[first.argsort()] = np.arange(len(first))  # in the order in which series first occur
    number = rank[code]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(number))])
    first.sort()
    if (np.diff(number) >= 0).all():
        return None, offsets, first
    return number.argsort(kind="stable"), offsets, first


def _warn_of_short(series: _Series, short: Array, length: int) -> None:
    if short.any():
        warnings.warn(
            f"{short.sum()} of {len(short)} series are shorter than a window of {length} steps and "
            f"are left out, the first of them {series.name(int(short.argmax()))}",
            stacklevel=outer_level(),
        )


def _holds_gap(labels: StepLabels, series: _Series, starts: Array, length: int) -> Array:
    """Return in which windows dates are farther apart than they are mostly."""
    apart = np.diff(labels.values)
    inside = np.ones(len(apart), bool)
    inside[series.offsets[1:-1] - 1] = False  # from one series to the next
    if not inside.any():
        return np.zeros(len(starts), bool)
    distances, counts = np.unique(apart[inside], return_counts=True)
    far = np.concatenate([[0], np.cumsum((apart > distances[counts.argmax()]) & inside)])
    holds: Array = far[starts + length - 1] > far[starts]
    return holds


def _refuse_gap(labels: StepLabels, start: int, length: int, series: _Series) -> NoReturn:
    """Raise the error of the first gap in a window."""
    window = labels.take(slice(start, start + length))
    step = int(np.diff(window.values).argmax())
    before, after = window.take(slice(step, step + 2)).texts()
    number = int(series.offsets.searchsorted(start, side="right")) - 1
    raise ArgumentError(
        "frame",
        f"expected dates without a gap, got {after} after {before} in {series.name(number)}; fill "
        "in what is missing, or say gaps='skip' (leave out windows that it lies in) or 'ignore'",
    )
