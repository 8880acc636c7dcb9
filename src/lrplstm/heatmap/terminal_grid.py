"""A series for a terminal: a heat map of variables and steps, two steps in each cell."""

from __future__ import annotations

from itertools import zip_longest

import numpy as np
import numpy.typing as npt

from lrplstm.heatmap.colors import RGB
from lrplstm.heatmap.content import signed
from lrplstm.heatmap.escapes import Screen
from lrplstm.heatmap.grid import NO_RELEVANCE, Grid, GridContent, checked_grid, every_nth
from lrplstm.heatmap.table import cells, cut, largest, padded, to_table
from lrplstm.heatmap.terminal import legend_lines, note_lines

__all__ = ["grid_to_terminal"]

_VARIABLES, _BLOCKS = 12, 5  # at most
_WIDTH = 80  # where nobody says how wide it may be
_SUM = 9  # cells of a sum
_STEP = 6  # cells of a step at most
_GAP = 2
_LEAST = 10  # cells of steps, on however narrow a terminal


def grid_to_terminal(
    grid: Grid,
    *,
    color_system: str | None = "auto",
    background: str = "auto",
    width: int | None = None,
) -> str:
    """Draw relevance of variables at steps as text for a terminal; without colours, a table.

    A line is a variable, with its sum over all steps behind it. Where there is no room for all
    steps, several share a place, which shows the strongest of them, and a line says so; of many
    variables the largest are shown.

    Parameters
    ----------
    grid : Grid
        As for :func:`plot_grid`; its title is not shown, its notes come last.
    color_system, background, width : optional
        As for :func:`to_terminal`; a width that nobody says is 80.

    Returns
    -------
    str
        Lines joined by newlines, none at the end.

    Raises
    ------
    TypeError, ValueError
        As :func:`plot_grid` and :func:`to_terminal`.

    Examples
    --------
    >>> grid = Grid([[0.5, 0.0], [-0.25, 0.125]], variables=["load", "price"])
    >>> text = grid_to_terminal(grid, color_system="truecolor", width=40)
    >>> [line.split()[0] for line in text.splitlines()[:2]]
    ['load', 'price']
    """
    screen = Screen.of(color_system, background)
    notes = note_lines(grid.notes, width)
    if screen.system is None:
        return "\n".join([to_table(grid, width=width), *notes])
    total = _WIDTH if width is None else width
    content = checked_grid(grid, most_rows=2**62, most_columns=2**62)  # (R, D, T)
    shown = largest(np.abs(content.cells).sum(axis=(0, 2)), _VARIABLES).tolist()
    variables = content.variables or [f"variable {d}" for d in range(content.num_variables)]
    names = padded([cut(variables[d], max(1, total // 3)) for d in shown])
    left = cells(names[0]) + _GAP
    room = max(_LEAST, total - left - _GAP - _SUM)

    lines: list[str] = []
    for r, block in enumerate(_strongest(content.fractions[:_BLOCKS], 2 * room)):
        if content.block_labels is not None:
            lines.append(content.block_labels[r])
        for name, d in zip(names, shown, strict=True):
            sum_ = signed(content.cells[r, d].sum())
            line = _line(block[d], room, screen)
            lines.append(f"{name}{'':{_GAP}}{line}{sum_:>{_GAP + _SUM}}")
    if len(content.cells) > _BLOCKS:
        lines.append(f"... and {len(content.cells) - _BLOCKS} more")
    lines.append(" " * left + _axis(content, room))
    legend = legend_lines(content.ends, content.scale, screen, width, all_zero=NO_RELEVANCE)
    remarks = note_lines(_remarks(content, len(shown), 2 * room), width)
    return "\n".join([*lines, *legend, *remarks, *notes])


def _strongest(values: npt.NDArray[np.float64], most: int) -> npt.NDArray[np.float64]:
    """Return values at steps, (..., T); of steps that share one of so many places the strongest."""
    T = values.shape[-1]
    if most >= T:
        return values
    first = np.arange(most) * T // most
    high = np.maximum.reduceat(values, first, axis=-1)
    low = np.minimum.reduceat(values, first, axis=-1)
    return np.where(high >= -low, high, low)


def _remarks(content: GridContent, shown: int, most: int) -> list[str]:
    """Return what is said of variables and steps that have no place of their own."""
    remarks = []
    if shown < content.num_variables:
        remarks.append(f"the {shown} largest of {content.num_variables} variables")
    if most < content.num_steps:
        size = -(-content.num_steps // most)
        remarks.append(f"each place: the strongest of up to {size} steps")
    return ["; ".join(remarks)] if remarks else []


def _places(count: int, room: int) -> tuple[int, float]:
    """Return how many cells steps take in all, and how many each of them."""
    if count > room:  # two in each cell
        return (count + 1) // 2, 0.5
    size = min(_STEP, room // count)
    return size * count, float(size)


def _line(fractions: npt.NDArray[np.float64], room: int, screen: Screen) -> str:
    """Return the steps of a variable, filled up to so many cells."""
    width, size = _places(len(fractions), room)
    shades = screen.backgrounds(fractions)
    if size == 0.5:
        pairs = zip_longest(shades[::2], shades[1::2])
        line = "".join(_halves(left, right, screen) for left, right in pairs)
    else:
        line = "".join(screen.styled(" " * int(size), shade) for shade in shades)
    return line + " " * (room - width)


def _halves(left: RGB | None, right: RGB | None, screen: Screen) -> str:
    """Return one cell of two colours."""
    if left == right:
        return screen.styled(" ", left)
    if left is None:
        return screen.styled("▐", foreground=right)
    return screen.styled("▌", right, foreground=left)


def _axis(content: GridContent, room: int) -> str:
    """Return names of some steps, each below its first cell."""
    T = content.num_steps
    names = content.steps or [f"t={t}" for t in range(T)]
    width = _places(min(T, 2 * room), room)[0]
    longest = max(map(cells, names)) + _GAP
    line = ""
    for t in range(0, T, every_nth(T, max(1, width // longest))):
        place = t * width // T
        if place + cells(names[t]) <= room or not t:
            line += " " * (place - cells(line)) + names[t]
    return line
