"""What a plot has rows of: one for each group, class, ... of numbers by variable, step or lag."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from lrplstm.errors import ArgumentError, ArgumentTypeError
from lrplstm.summary.estimates import Estimate
from lrplstm.texts import did_you_mean, shown, visible
from lrplstm.weights import Array

__all__ = ["Rows", "rows_along", "selected"]


class Rows(NamedTuple):
    """Rows of numbers.

    Attributes
    ----------
    labels : list of str of length S
        What tells the rows apart; "" where there is one.
    items : list of str of length N
        What the numbers of each are of.
    estimate : Estimate
        Arrays of shape (S, N).
    """

    labels: list[str]
    items: list[str]
    estimate: Estimate

    def first(self, rows: int) -> Rows:
        """Return the first of them only."""
        return Rows(
            self.labels[:rows], self.items, Estimate(*(values[:rows] for values in self.estimate))
        )

    def transposed(self) -> Rows:
        """Return items as rows, and rows as items."""
        return Rows(self.items, self.labels, Estimate(*(values.T for values in self.estimate)))

    def take(self, items: Array) -> Rows:
        """Return them with some items only, in this order."""
        estimate = Estimate(*(values[:, items] for values in self.estimate))
        return Rows(self.labels, [self.items[n] for n in items.tolist()], estimate)


def rows_along(
    estimate: Estimate,
    columns: Mapping[str, Array],
    item: str,
    axis: int,
    select: Mapping[str, Any] | None,
) -> Rows:
    """Return estimates with one axis as items, and a row for each place on the others.

    Parameters
    ----------
    estimate : Estimate
    columns : mapping of ndarray
        What each number is of, by the names of columns, as `index_columns` returns it.
    item : str
        The column that says what items are called.
    axis : int
        That of the items.
    select : mapping, optional
        The value that rows have to have, by column.
    """

    def flat(values: Array) -> Array:
        moved = np.moveaxis(values, axis, -1)
        return moved.reshape(-1, moved.shape[-1])

    items = flat(columns[item])[0].tolist()
    of_rows = {name: flat(column)[:, 0] for name, column in columns.items() if name != item}
    kept = selected(of_rows, select)
    different = [values[kept] for values in of_rows.values() if len(set(values[kept])) > 1]
    labels = [visible(", ".join(map(str, one))) for one in zip(*different, strict=True)]
    return Rows(
        labels or [""] * len(kept),
        [visible(str(item)) for item in items],
        Estimate(*(flat(values)[kept] for values in estimate)),
    )


def selected(columns: Mapping[str, Array], select: Mapping[str, Any] | None) -> Array:
    """Return which rows have the values that are asked for.

    Raises
    ------
    TypeError, ValueError
        If there is no such column, or no row with such a value.
    """
    kept = np.ones(len(next(iter(columns.values()))) if columns else 1, bool)
    if select is not None and not isinstance(select, Mapping):
        raise ArgumentTypeError(
            "select", f"expected a dict of values by column, got {type(select).__name__}"
        )
    for name, wanted in (select or {}).items():
        if name not in columns:
            raise ArgumentError(
                "select",
                f"expected some of the columns {', '.join(map(shown, columns)) or 'none'}, got "
                f"{shown(name)}{did_you_mean(str(name), columns)}",
            )
        values = list(map(str, columns[name].tolist()))
        if str(wanted) not in values:
            distinct = list(dict.fromkeys(values))
            raise ArgumentError(
                "select",
                f"expected {name} to be one of {', '.join(map(shown, distinct[:20]))}, got "
                f"{shown(wanted)}{did_you_mean(str(wanted), distinct)}",
            )
        kept &= np.array([value == str(wanted) for value in values])
    if not kept.any():
        raise ArgumentError("select", "expected what some row has, got what none has together")
    return np.flatnonzero(kept)
