"""What a grid shows: the relevance of each variable at each step, checked and made small enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lrplstm.heatmap.content import ENDS, bar_start, checked_ends, checked_texts
from lrplstm.texts import visible

__all__ = ["NO_RELEVANCE", "Grid", "GridContent", "checked_grid", "every_nth"]

NO_RELEVANCE = "the relevance of every variable is 0"

_MOST_LETTERS = 32  # of a name that is drawn; a longer one is cut


class Grid(NamedTuple):
    """Relevance of variables at steps, one grid of several in a picture.

    The arguments of :func:`plot_grid`, which says what they are.
    """

    relevance: npt.ArrayLike
    variables: Sequence[str] | None = None
    steps: Sequence[str] | None = None
    block_labels: Sequence[str] | None = None
    ends: tuple[str, str] = ENDS
    title: str | None = None
    notes: Sequence[str] = ()
    values: npt.ArrayLike | None = None
    dates: npt.ArrayLike | None = None
    scale: float | None = None


@dataclass(frozen=True, eq=False)
class GridContent:
    """What is to be shown: R blocks of D' rows and T' columns of cells.

    A cell is one variable at one step, or the strongest of ``row_size`` variables and
    ``column_size`` steps: the one with the largest absolute relevance.
    """

    cells: npt.NDArray[np.float64]  # (R, D', T')
    row: npt.NDArray[np.intp]  # (R, D', T'), the variable that a cell shows
    column: npt.NDArray[np.intp]  # (R, D', T'), the step that a cell shows
    row_size: int
    column_size: int
    num_variables: int  # D
    num_steps: int  # T
    variables: list[str] | None  # (D,), visible
    steps: list[str] | None  # (T,), visible
    block_labels: list[str] | None  # (R,), visible
    ends: tuple[str, str]  # what negative and positive relevance say, visible

    @property
    def scale(self) -> float:
        """The largest absolute relevance, which has the full colour."""
        return float(np.abs(self.cells).max())

    @property
    def start(self) -> float:
        """Where the legend's colour bar begins: at 0 where negative numbers say nothing."""
        return bar_start(self.ends)

    @property
    def fractions(self) -> npt.NDArray[np.float64]:
        """Cells as fractions of the scale."""
        return self.cells / (self.scale or 1.0)

    def row_edges(self) -> npt.NDArray[np.float64]:
        """Return where rows begin and the last ends; variable d reaches from d - 0.5 to d + 0.5."""
        return _edges(self.cells.shape[1], self.row_size, self.num_variables)

    def column_edges(self) -> npt.NDArray[np.float64]:
        """Return where columns begin and the last ends; step t reaches from t - 0.5 to t + 0.5."""
        return _edges(self.cells.shape[2], self.column_size, self.num_steps)

    @property
    def remark(self) -> str | None:
        """What a cell is, where it is more than one variable at one step."""
        sizes = [(self.row_size, "variables"), (self.column_size, "steps")]
        several = [f"{size} {what}" for size, what in sizes if size > 1]
        return f"each cell: the strongest of {' and '.join(several)}" if several else None


def _edges(cells: int, size: int, total: int) -> npt.NDArray[np.float64]:
    return np.minimum(np.arange(cells + 1) * size, total) - 0.5


def checked_grid(
    grid: Grid, *, most_rows: int, most_columns: int, most_cells: int | None = None
) -> GridContent:
    """Check what is to be drawn, and let cells share what does not fit in so many of them.

    Rows and cells of all blocks are counted together; each block has at least one row.
    """
    if not isinstance(grid, Grid):
        raise TypeError(f"grid: expected a Grid, got {type(grid).__name__}")
    blocks = _checked_relevance(grid.relevance)
    R, T, D = blocks.shape
    variables = _checked_names("variables", grid.variables, D, "variable")
    steps = _checked_names("steps", grid.steps, T, "step")
    labels = _checked_names("block_labels", grid.block_labels, R, "block of relevance")
    ends = checked_ends(grid.ends)

    column_size = _ceil(T, most_columns)
    if most_cells is not None:
        most_rows = min(most_rows, most_cells // _ceil(T, column_size))
    row_size = _ceil(D, max(1, most_rows // R))
    cells, row, column = _strongest(blocks.transpose(0, 2, 1), row_size, column_size)
    return GridContent(
        cells, row, column, row_size, column_size, D, T, variables, steps, labels, ends
    )


def _ceil(number: int, divisor: int) -> int:
    return -(-number // divisor)


def _strongest(
    blocks: npt.NDArray[np.float64], row_size: int, column_size: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Of each so many rows and columns of (R, D, T), return the strongest number and its place."""
    R, D, T = blocks.shape
    rows, columns = _ceil(D, row_size), _ceil(T, column_size)
    # Zeros fill it up. Of equal numbers the first in a cell wins, which is none of these.
    filled = np.pad(blocks, [(0, 0), (0, rows * row_size - D), (0, columns * column_size - T)])
    cells = filled.reshape(R, rows, row_size, columns, column_size).swapaxes(2, 3)
    cells = cells.reshape(R, rows, columns, row_size * column_size)
    best = np.abs(cells).argmax(axis=-1)
    row, column = np.divmod(best, column_size)
    row += np.arange(rows)[:, np.newaxis] * row_size
    column += np.arange(columns) * column_size
    return np.take_along_axis(cells, best[..., np.newaxis], axis=-1)[..., 0], row, column


def every_nth(count: int, most: int) -> int:
    """Return of how many labels one is shown, so that at most so many are: 1, 2, 5, 10, 20, ..."""
    power = 1
    while True:
        for digit in (1, 2, 5):
            if count <= most * digit * power:
                return digit * power
        power *= 10


def _checked_names(
    name: str, texts: Sequence[str] | None, count: int, what: str
) -> list[str] | None:
    """Return names made safe to show, and not too long."""
    if texts is None:
        return None
    names = [visible(text) for text in checked_texts(name, texts)]
    if len(names) != count:
        raise ValueError(f"{name}: expected {count}, one for each {what}, got {len(names)}")
    cut = _MOST_LETTERS - 1
    return [text if len(text) <= _MOST_LETTERS else text[:cut] + "…" for text in names]


def _checked_relevance(relevance: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the relevance as (R, T, D) float64, or raise an error."""
    expected = "(T, D) or (R, T, D), with at least one step and one variable"
    try:
        blocks = np.asarray(relevance)
    except ValueError:  # a ragged nested list
        raise ValueError(f"relevance: expected shape {expected}, got rows that differ") from None
    if blocks.dtype.kind not in "fiu":
        raise TypeError(f"relevance: expected real numbers, got dtype {blocks.dtype}")
    if blocks.ndim not in (2, 3) or blocks.size == 0:
        raise ValueError(f"relevance: expected shape {expected}, got {blocks.shape}")
    blocks = blocks.astype(np.float64)
    blocks = blocks if blocks.ndim == 3 else blocks[np.newaxis]
    finite = np.isfinite(blocks)
    if not finite.all():
        block, step, variable = np.argwhere(~finite)[0]
        raise ValueError(
            f"relevance: expected finite numbers, got {blocks[block, step, variable]} for variable "
            f"{variable} at step {step}"
        )
    return blocks
