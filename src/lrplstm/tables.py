"""Tables of any library, through narwhals: their numbers, the names of columns, the dates of rows.

A table has a row a step and a column a variable. Dates are its index, where it has one of its own,
or its one column of dates.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lrplstm.errors import ArgumentError, ArgumentTypeError
from lrplstm.step_labels import StepLabels
from lrplstm.texts import did_you_mean, shown

__all__ = [
    "Table",
    "as_series",
    "as_table",
    "check_distinct",
    "check_order",
    "column_numbers",
    "is_table",
    "places",
    "read_table",
    "to_labels",
]


class Table(NamedTuple):
    """A table as the methods need it.

    Attributes
    ----------
    values : ndarray of shape (T, D)
        NaN where there is none.
    names : tuple of str, or None
        Those of its columns, where they are more than numbers.
    labels : StepLabels, or None
        Of its rows.
    """

    values: npt.NDArray[Any]
    names: tuple[str, ...] | None
    labels: StepLabels | None


def is_table(value: Any) -> bool:
    """Whether it is a table, as far as can be seen without importing anything."""
    return hasattr(type(value), "columns")


def as_table(value: Any) -> Any | None:
    """Return a table of pandas, polars, Arrow, Modin or cuDF as narwhals has it; None of others."""
    if not is_table(value):
        return None
    import narwhals.stable.v2 as nw

    if type(value).__name__ == "RecordBatch":
        value = sys.modules["pyarrow"].Table.from_batches([value])
    found = nw.from_native(value, pass_through=True)
    return found if isinstance(found, nw.DataFrame | nw.LazyFrame) else None


def as_series(value: Any) -> Any | None:
    """Return a column of one of these libraries as narwhals has it; None of all else."""
    if not hasattr(type(value), "to_numpy"):
        return None
    import narwhals.stable.v2 as nw

    found = nw.from_native(value, pass_through=True, allow_series=True)
    return found if isinstance(found, nw.Series) else None


def read_table(
    argument: str, value: Any, wanted: Sequence[str] | None = None, *, in_order: bool = True
) -> Table | None:
    """Return the numbers in a table with what it calls them; None of what is no table.

    Parameters
    ----------
    argument : str
        What errors call it.
    value
    wanted : sequence of str, optional
        The names of the variables that a model reads: these columns are taken, in this order, and
        others are not looked at. Default: every column that is not of dates.
    in_order : bool
        Whether dates may not run backward.

    Raises
    ------
    TypeError
        If a column holds anything but numbers, or it is a table that has not been computed.
    ValueError
        If there is no column of a name that is wanted, or two of one name; or if it is not clear
        which dates are those of the steps, or they run backward.
    """
    if isinstance(value, Table):
        return _taken(argument, value, wanted)
    if not is_table(value):
        return None
    numbered = False
    if hasattr(value, "iloc"):  # the columns of pandas are called anything, also twice the same
        called = value.columns.tolist()
        check_distinct(argument, list(map(str, called)))
        numbered = all(isinstance(name, int) for name in called)
    frame = as_table(value)
    if frame is None:
        return None
    if not hasattr(frame, "get_column"):
        raise ArgumentTypeError(
            argument, f"expected a table, got a {type(value).__name__}; pass what collect() returns"
        )
    columns, names = frame.columns, list(map(str, frame.columns))
    check_distinct(argument, names)
    of_dates = [column for column in columns if frame.schema[column].is_temporal()]
    if wanted is None or numbered:
        variables = [column for column in columns if column not in of_dates]
    else:
        variables = [columns[n] for n in places(argument, names, wanted)]
    labels = _labels(argument, value, frame, [c for c in of_dates if c not in variables])
    if in_order and labels is not None:
        check_order(argument, labels)
    arrays = [column_numbers(argument, frame.get_column(name)) for name in variables]
    values = np.stack(arrays, axis=1) if arrays else np.zeros((len(frame), 0))
    taken = None if numbered else tuple(map(str, variables))
    return Table(values, taken, labels)


def _taken(argument: str, table: Table, wanted: Sequence[str] | None) -> Table:
    """Return a table that was read already, with the variables that are wanted."""
    if table.names is None:
        return table
    check_distinct(argument, table.names)
    if wanted is None:
        return table
    return table._replace(
        values=table.values[:, places(argument, table.names, wanted)], names=tuple(wanted)
    )


def check_distinct(argument: str, names: Sequence[str]) -> None:
    """Raise an error that names the first name that occurs twice."""
    first: dict[str, int] = {}
    for position, name in enumerate(names):
        if first.setdefault(name, position) != position:
            raise ArgumentError(
                argument,
                f"expected variables of distinct names, got {shown(name)} at {first[name]} and at "
                f"{position}; rename one, or pass an array",
            )


def places(argument: str, names: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Return where the variables that a model reads stand among those that are there.

    Raises
    ------
    ValueError
        If one is lacking.
    """
    place = {name: n for n, name in enumerate(names)}
    lacking = [name for name in wanted if name not in place]
    if lacking:
        near = did_you_mean(lacking[0], [name for name in names if name not in wanted])
        raise ArgumentError(
            argument,
            f"expected the variables {', '.join(map(shown, wanted))}, got no "
            f"{', '.join(map(shown, lacking))} among {', '.join(map(shown, names))}{near}",
        )
    return [place[name] for name in wanted]


def _labels(argument: str, value: Any, frame: Any, of_dates: list[Any]) -> StepLabels | None:
    """Return what the rows are called, by the index or by the one column of dates."""
    index: Any = getattr(value, "index", None)
    own_index = hasattr(index, "equals") and not _counts_rows(index)
    if own_index and getattr(index, "nlevels", 1) > 1:
        raise ArgumentError(
            argument,
            "expected an index of one level, such as dates, got one of "
            f"{index.nlevels}; pass one sequence, or lrplstm.windows(frame.reset_index(), ...)",
        )
    if len(of_dates) + (own_index and _is_temporal(index)) > 1:
        raise ArgumentError(
            argument,
            f"expected one column of dates, got {', '.join(map(shown, of_dates))}"
            f"{' and an index of dates' if own_index else ''}; drop what does not say when a "
            "step was",
        )
    if of_dates:
        return to_labels(
            f"{argument}: column {shown(str(of_dates[0]))}", frame.get_column(of_dates[0])
        )
    if not own_index:
        return None
    return to_labels(f"{argument}: index", as_series(index.to_series()))


def _counts_rows(index: Any) -> bool:
    """Whether an index only numbers the rows, from 0."""
    return type(index).__name__ == "RangeIndex" and index.start == 0 and index.step == 1


def _is_temporal(index: Any) -> bool:
    return type(index).__name__ in ("DatetimeIndex", "PeriodIndex", "TimedeltaIndex")


def to_labels(argument: str, column: Any) -> StepLabels:
    """Return what a column, as narwhals has it, calls the steps.

    Raises
    ------
    ValueError
        If one is missing.
    """
    import narwhals.stable.v2 as nw

    if column.null_count():
        row = int(np.asarray(column.is_null().to_numpy(), bool).argmax())
        raise ArgumentError(argument, f"expected a label for each step, got none at row {row}")
    time_zone = getattr(column.dtype, "time_zone", None)
    if time_zone is not None:
        column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    if column.dtype == nw.Date:
        column = column.cast(nw.Datetime("ms"))
    values = np.asarray(column.to_numpy())
    if values.dtype.kind not in "Mmiuf":  # periods are written as texts
        values = np.array(list(map(str, values.tolist())), object)
    return StepLabels(values, time_zone)


def check_order(argument: str, labels: StepLabels) -> None:
    """Raise a ValueError if dates run backward."""
    if not labels.are_dates:
        return
    backward = np.diff(labels.values) < np.timedelta64(0)
    if backward.any():
        row = int(backward.argmax()) + 1
        first, then = labels.take(slice(row - 1, row + 1)).texts()
        raise ArgumentError(
            argument, f"expected dates in order, got {then} after {first} at row {row}; sort them"
        )


def column_numbers(argument: str, column: Any) -> npt.NDArray[Any]:
    """Return the numbers of a column, as narwhals has it, NaN where there is none.

    Raises
    ------
    TypeError
        If it holds anything else.
    """
    kind = str(column.dtype)
    if column.dtype.is_numeric() or kind == "Boolean":
        array = np.asarray(column.to_numpy())
    else:  # numbers in objects, or of a dtype that narwhals does not know
        array = np.asarray(column.to_native())
    if array.dtype.kind == "O":
        values = [np.nan if value is None else value for value in array.tolist()]
        if all(isinstance(value, Real) for value in values):
            array = np.array(values)
    if array.dtype.kind == "b":
        array = array.astype(np.float64)
    if array.dtype.kind not in "iuf" or kind == "Categorical":
        raise ArgumentTypeError(
            argument,
            f"expected columns of numbers, got column {shown(column.name)} of dtype "
            f"{kind:.60}; convert it to numbers, or drop it",
        )
    return array
