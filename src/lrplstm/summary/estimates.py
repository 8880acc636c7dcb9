"""Means with their intervals, out of sums; and tables of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lrplstm.exports.needed import needed
from lrplstm.summary.bootstrap import interval
from lrplstm.summary.sums import Sums
from lrplstm.texts import visible
from lrplstm.weights import Array

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Estimate", "estimated", "frame", "index_columns", "mean", "quotient", "text_table"]

LEAST_SEQUENCES = 2
"""Of fewer there is no interval: nothing shows how much sequences differ."""

_MOST_ROWS = 40  # of a table that is printed


class Estimate(NamedTuple):
    """Numbers, and the ends of their intervals, NaN where fewer than two sequences were seen.

    Attributes
    ----------
    value : ndarray
        What is estimated.
    low, high : ndarray of the same shape
        Ends of the interval.

    Examples
    --------
    >>> import numpy as np
    >>> Estimate(np.ones(2), np.zeros(2), np.full(2, 2.0)).low
    array([0., 0.])
    """

    value: Array
    low: Array
    high: Array

    def columns(self, name: str) -> dict[str, Array]:
        """Return the three columns of a table.

        Parameters
        ----------
        name : str
            Of the value.

        Returns
        -------
        dict of ndarray by str
            The value, and the ends of its interval.

        Examples
        --------
        >>> list(Estimate(1.0, 0.0, 2.0).columns("mean"))
        ['mean', 'mean_low', 'mean_high']
        """
        return {name: self.value, f"{name}_low": self.low, f"{name}_high": self.high}


def quotient(total: Array, count: Array) -> Array:
    """Return a quotient, NaN where it is 0 / 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Array = total / count
    return found


def estimated(
    value: Array, replicates: Array, sums: Sums, sequences: Array, *, interpolated: bool = True
) -> Estimate:
    """Return values with the interval of their replicates, (R, ...)."""
    low, high = interval(replicates, sums.bootstrap.confidence, interpolated=interpolated)
    too_few = sequences < LEAST_SEQUENCES if sums.blocks > 1 else np.array(True)
    too_few = np.broadcast_to(too_few, value.shape)
    return Estimate(value, np.where(too_few, np.nan, low), np.where(too_few, np.nan, high))


def mean(sums: Sums, which: int) -> Estimate:
    """Return the mean absolute or signed relevance, (G, P, C, V): of a step, each counting once.

    It is the sum over all sequences divided by the number of their steps, in each replicate.
    """
    value = quotient(sums.relevance[:, :, which], sums.steps[:, :, np.newaxis, np.newaxis])
    replicates = quotient(
        sums.replicate_relevance[:, :, :, which],
        sums.replicate_steps[:, :, :, np.newaxis, np.newaxis],
    )
    return estimated(value, replicates, sums, sums.sequences[:, :, np.newaxis, np.newaxis])


def index_columns(
    sums: Sums, shape: tuple[int, ...], bins: str | None, variables: str = "variable"
) -> dict[str, Array]:
    """Return the columns that say what each number of (G, P, C, V) is of."""
    columns: dict[str, tuple[int, Sequence[Any]]] = {}
    for n, name in enumerate(sums.columns):
        columns[name] = 0, [key[n] for key in sums.keys]
    if bins is not None:
        columns[bins] = 1, sums.bins
    if sums.classes is not None:
        columns["class"] = 2, sums.classes
    columns[variables] = 3, sums.variables
    return {
        name: np.broadcast_to(
            _as_array(labels).reshape([-1 if n == axis else 1 for n in range(len(shape))]), shape
        )
        for name, (axis, labels) in columns.items()
    }


def _as_array(labels: Sequence[Any]) -> Array:
    """Return labels as they are: those of several types, or that are sequences, as objects."""
    if len(set(map(type, labels))) == 1 and not np.ndim(labels[0]):
        return np.array(labels)
    found = np.empty(len(labels), object)
    found[:] = labels
    return found


def frame(columns: Mapping[str, Any]) -> pd.DataFrame:
    """Return a table of pandas.

    Raises
    ------
    ImportError
        Without pandas.
    """
    found: pd.DataFrame = needed("pandas", "to_frame").DataFrame(dict(columns))
    return found


def text_table(columns: Mapping[str, Any], rows: int = _MOST_ROWS) -> str:
    """Return the first rows of a table as lines of text."""
    size = len(next(iter(columns.values())))
    cells = [
        [visible(name), *(_text(value) for value in np.asarray(column)[:rows].tolist())]
        for name, column in columns.items()
    ]
    widths = [max(map(len, column)) for column in cells]
    right = [np.asarray(column).dtype.kind in "iuf" for column in columns.values()]
    lines = [
        "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in zip(*cells, strict=True)
    ]
    if size > rows:
        lines.append(f"... and {size - rows:,} more")
    return "\n".join(lines)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return "-" if np.isnan(value) else f"{value:.4g}"
    return visible(str(value))
