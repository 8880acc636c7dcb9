"""A series as text: its largest variables and steps, as a small table of numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lrplstm.heatmap.content import ENDS, checked_content, signed
from lrplstm.heatmap.grid import Grid, GridContent, checked_grid

__all__ = ["cells", "cut", "largest", "padded", "to_columns", "to_table"]

_ROWS, _COLUMNS, _BLOCKS = 6, 6, 5  # of a table at most, and tables at most
_NAME, _CELL = 24, 8  # cells of a variable's name at most, and of a number at least
_GAP = 2


def to_table(grid: Grid, *, width: int | None = None) -> str:
    """Write the largest numbers of a grid as text, each variable in a row, each step in a column.

    Variables and steps are those with the largest sums of absolute relevance; they stand in their
    own order. The last row and column are sums over all variables and steps, shown or not.

    Parameters
    ----------
    grid : Grid
        As for :func:`plot_grid`.
    width : int, optional
        Columns of the terminal; fewer steps are shown where they would not fit in.

    Returns
    -------
    str
        Lines joined by newlines, none at the end.

    Raises
    ------
    TypeError, ValueError
        As :func:`plot_grid`.

    Examples
    --------
    >>> relevance = [[0.5, 0.0], [-0.25, 0.125], [0.0, 0.0]]
    >>> print(to_table(Grid(relevance, variables=["load", "price"])))
                t=0       t=1       t=2  all steps
    load       +0.5     -0.25         0      +0.25
    price         0    +0.125         0     +0.125
    all        +0.5    -0.125         0     +0.375
    """
    content = checked_grid(grid, most_rows=2**62, most_columns=2**62)
    blocks = content.cells.transpose(0, 2, 1)  # (R, T, D)
    lines: list[str] = []
    for r, block in enumerate(blocks[:_BLOCKS]):
        if content.block_labels is not None:
            lines.append(content.block_labels[r])
        lines += _table(block, content, width)
    if len(blocks) > _BLOCKS:
        lines.append(f"... and {len(blocks) - _BLOCKS} more")
    return "\n".join(lines)


def _table(block: npt.NDArray[np.float64], content: GridContent, width: int | None) -> list[str]:
    T, D = block.shape
    variables = content.variables or [f"variable {d}" for d in range(D)]
    steps = content.steps or [f"t={t}" for t in range(T)]
    rows = largest(np.abs(block).sum(axis=0), _ROWS)
    columns = largest(np.abs(block).sum(axis=1), _COLUMNS)
    all_steps = "all steps" if len(columns) == T else f"all {T} steps"
    all_variables = "all" if len(rows) == D else f"all {D} variables"

    names = [cut(variables[d]) for d in rows] + [all_variables]
    left = max(map(cells, names))
    if width is not None:
        each = _CELL + _GAP
        fits = (width - left - _GAP - max(_CELL, len(all_steps))) // each
        columns = columns[np.sort(_order(np.abs(block[columns]).sum(axis=1))[: max(1, fits)])]
        all_steps = "all steps" if len(columns) == T else f"all {T} steps"
    heads = ["", *(cut(steps[t]) for t in columns), all_steps]
    sums = np.concatenate([block[columns], block.sum(axis=0, keepdims=True)])  # (columns + 1, D)
    numbers = np.concatenate([sums[:, rows], sums.sum(axis=1, keepdims=True)], axis=1)
    body = [[name, *map(signed, numbers[:, i].tolist())] for i, name in enumerate(names)]
    widths = [left] + [
        max(_CELL, *(cells(line[j]) for line in [heads, *body])) for j in range(1, len(heads))
    ]
    return [_line(line, widths) for line in [heads, *body]]


def _order(sizes: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """Return positions, the largest first; of equal ones the first."""
    return np.argsort(-sizes, kind="stable")


def largest(sizes: npt.NDArray[np.float64], most: int) -> npt.NDArray[np.intp]:
    """Return the positions of the largest numbers, in their own order."""
    return np.sort(_order(sizes)[:most])


def cells(text: str) -> int:
    """Return how many cells of a terminal a text takes."""
    from wcwidth import wcswidth

    return int(wcswidth(text))


def cut(name: str, most: int = _NAME) -> str:
    """Return a name that takes no more than so many cells."""
    most = min(most, _NAME)
    if cells(name) <= most:
        return name
    while cells(name) > most - 1:
        name = name[:-1]
    return f"{name}…"


def padded(names: Sequence[str]) -> list[str]:
    """Return names that all take as many cells as the widest."""
    most = max(map(cells, names))
    return [name + " " * (most - cells(name)) for name in names]


def _line(texts: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(texts, widths, strict=True)
    line = first[0] + " " * (first[1] - cells(first[0]))
    for text, width in others:
        line += " " * (_GAP + width - cells(text)) + text
    return line


def to_columns(
    words: Sequence[str], relevance: npt.ArrayLike, heads: Sequence[str], unknown: npt.ArrayLike
) -> str:
    """Write relevance of words, (R, T), as text: a line for each word, a column for each row.

    Examples
    --------
    >>> print(to_columns(["not", "bad"], [[0.5, -0.25], [1.0, 0.0]], ["lrp", "gi"], [False, True]))
               lrp        gi
    not       +0.5        +1
    bad°     -0.25         0
    """
    content = checked_content(words, relevance, unknown, heads, ENDS)
    marks = ["°" if unknown else "" for unknown in content.unknown]
    names = padded(["", *(word + mark for word, mark in zip(content.words, marks, strict=True))])
    heads = content.labels or []
    widths = [cells(names[0]), *(max(_CELL, cells(head)) for head in heads)]
    rows = [[signed(value) for value in column] for column in content.relevance.T.tolist()]
    return "\n".join(
        _line([name, *row], widths) for name, row in zip(names, [heads, *rows], strict=True)
    )
