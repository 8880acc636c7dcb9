"""Several grids on one frame: in rows and columns, aligned, with one colour bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lrplstm.heatmap.grid import Grid
from lrplstm.heatmap.grid_drawable import (
    BAR,
    LABELS,
    LINE,
    PAD,
    SERIES,
    below,
    drawable,
    wrapped,
)
from lrplstm.heatmap.grid_figure import (
    MOST_COLUMNS,
    MOST_ROWS,
    below_height,
    draw_bar,
    draw_cells,
    grid_height,
    has_lines,
    names_width,
    text_style,
    write_below,
)
from lrplstm.heatmap.sheets import (
    MARGIN,
    Font,
    checked_axes,
    draw_title,
    figure_width,
    letter_size,
    new_figure,
    title_height,
    wrapped_title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

__all__ = ["Matrix", "draw_matrix"]

# Inches:
_GAP = 0.12  # between columns
_LEAST = 0.3  # a side of a panel at least
_MOST_HEIGHT = 9.0  # of all panels together, where these can be so small


@dataclass(frozen=True, eq=False)
class Matrix:
    """Grids in rows and columns.

    Attributes
    ----------
    rows : sequence of sequence of Grid
        All rows are as long. A grid's title is written above it.
    same_steps : bool
        Whether all have the same variables and steps, which are then named once.
    title : str
    row_titles : sequence of str
        Written above the first of each row, below that one's own title.
    legend : bool
        Whether there is a colour bar.
    scale : float, or None
        Of which the bar has the numbers; None: every grid has a scale of its own.
    """

    rows: Sequence[Sequence[Grid]]
    same_steps: bool
    title: str = ""
    row_titles: Sequence[str] = ()
    legend: bool = True
    scale: float | None = None


def draw_matrix(matrix: Matrix, ax: Axes | None) -> Axes:
    """Draw grids on axes, or on a pyplot figure; each is one of the `child_axes` of these."""
    ax = checked_axes(ax)
    size = letter_size()
    if ax is None:
        return new_figure(_Sheet(matrix, figure_width(), size))
    dpi = ax.figure.dpi
    width, height = ax.bbox.width / dpi, ax.bbox.height / dpi
    _draw(ax, _Frame(matrix, width, size), width, height)
    return ax


class _Frame:
    """What panels take, and what is left for names, labels and the colour bar, inches."""

    def __init__(self, matrix: Matrix, width: float, size: float) -> None:
        self.matrix, self.size, self.em = matrix, size, LABELS * size / 72
        self.panels = [
            [drawable(grid, MOST_ROWS, MOST_COLUMNS, size) for grid in row] for row in matrix.rows
        ]
        every = [panel for row in self.panels for panel in row]
        self.columns = len(self.panels[0])
        self.left = max(map(names_width, every))
        shown = [panel for panel in every if panel.scale and panel.scale == matrix.scale]
        # The colour bar is that of those on the common scale, of both signs where it may be.
        self.bar_of = min(shown or every, key=lambda panel: (not panel.scale, panel.content.start))
        self.right = self.bar_of.bar_width if matrix.legend else 0.0
        most = _MOST_HEIGHT / len(self.panels)
        self.heights = [max(grid_height(panel, most) for panel in row) for row in self.panels]

        self.font = Font([matrix.title, SERIES, *matrix.row_titles])
        self.title = wrapped_title(self.font.drawable(matrix.title), self.font, width, size)
        each = self.cell_width(width)
        self.titles = [
            [wrapped([panel.title], panel.font, each / self.em) for panel in row]
            for row in self.panels
        ]
        for row, title in zip(self.titles, matrix.row_titles, strict=False):
            for n, one in enumerate(row):
                one.append("" if n else self.font.drawable(title))
        self.above = [
            (LINE * lines + 0.4) * self.em if (lines := max(len(title) for title in row)) else 0.0
            for row in self.titles
        ]
        self.lines = [[below(panel, each, has_lines=False) for panel in row] for row in self.panels]
        self.below = [
            max(below_height(*pair) for pair in zip(row, [each] * len(row), lines, strict=True))
            for row, lines in zip(self.panels, self.lines, strict=True)
        ]
        self.remarks: list[str] = []  # below all
        if matrix.same_steps:
            bare = below_height(every[0], each, [])
            self.below = [PAD * self.em] * (len(self.panels) - 1) + [bare]
            self.remarks = below(every[0], self.cells_width(width), has_lines=False)
        if any(map(has_lines, self.panels[0], self.heights)):
            self.remarks.append(SERIES)
        self.bottom = LINE * len(self.remarks) * self.em

    def cells_width(self, width: float) -> float:
        """Return the width of all columns on a frame of this one."""
        return max(_LEAST * self.columns, width - self.left - self.right)

    def cell_width(self, width: float) -> float:
        """Return the width of a panel's cells."""
        return (self.cells_width(width) - _GAP * (self.columns - 1)) / self.columns

    @property
    def height(self) -> float:
        """A good height for all of it."""
        return sum(self.heights) + sum(self.above) + sum(self.below) + self.bottom

    def place(self, row: int, column: int, width: float, height: float) -> tuple[float, ...]:
        """Return left, top, width and height of a panel on a frame of this size.

        Column -1 is the colour bar, beside all rows.
        """
        inner = height - sum(self.above) - sum(self.below) - self.bottom
        cells = [max(_LEAST, inner * share / sum(self.heights)) for share in self.heights]
        spans = map(sum, zip(self.above, cells, self.below, strict=True))
        tops = np.cumsum([0.0, *spans]).tolist()
        each = self.cell_width(width)
        if column < 0:
            left = self.left + self.cells_width(width) + PAD * self.em
            top, end = self.above[0], tops[-2] + self.above[-1] + cells[-1]
            return left, top, BAR, end - top
        left = self.left + column * (each + _GAP)
        return left, tops[row] + self.above[row], each, cells[row]


class _Sheet:
    """Grids laid out on the width of a figure of our own."""

    def __init__(self, matrix: Matrix, width: float, size: float) -> None:
        self.width = width
        self.frame = _Frame(matrix, width - 2 * MARGIN, size)

    @property
    def height(self) -> float:
        """Height with the title and the margin above."""
        return MARGIN + title_height(self.frame.title, self.frame.size) + self.frame.height

    def add_to(self, figure: Figure, bottom: float) -> Axes:
        """Draw it on new axes, so many inches above the bottom of the figure."""
        width, height = figure.get_size_inches()
        place = MARGIN, bottom, width - 2 * MARGIN, self.frame.height
        ax = figure.add_axes(tuple(np.array(place) / np.array([width, height, width, height])))
        _draw(ax, self.frame, width - 2 * MARGIN, self.frame.height)
        return ax


def _draw(ax: Axes, frame: _Frame, width: float, height: float) -> None:
    """Draw all panels on a frame of this size, inches; when it is drawn they are put in place."""
    ax.xaxis.set_visible(False)
    ax.yaxis.set_visible(False)
    ax.set_facecolor("none")
    ax.spines[:].set_visible(False)
    if frame.title:
        draw_title(ax, frame.title, frame.font, frame.size)
    for r, row in enumerate(frame.panels):
        for c, panel in enumerate(row):
            child = _child(ax, frame, r, c)
            draw_cells(child, panel, *frame.place(r, c, width, height)[2:])
            _label(child, frame, r, c)
    if frame.right:
        bar = _child(ax, frame, 0, -1)
        draw_bar(ax, frame.bar_of, numbers=bool(frame.matrix.scale), cax=bar)
    if frame.remarks:
        middle = (frame.left + frame.cells_width(width) / 2) / width
        ax.text(
            middle,
            0,
            "\n".join(frame.remarks),
            transform=ax.transAxes,
            horizontalalignment="center",
            verticalalignment="bottom",
            linespacing=LINE,
            **text_style(ax, frame.font, LABELS * frame.size),
        )


def _label(child: Axes, frame: _Frame, r: int, c: int) -> None:
    """Write a panel's title, and what others do not say already."""
    panel, title = frame.panels[r][c], frame.titles[r][c]
    style = text_style(child, panel.font, panel.label_size)
    if any(title):
        child.set_title("\n".join(title), loc="left", pad=0.35 * frame.size, **style)
    if not frame.matrix.same_steps:
        write_below(child, panel, frame.lines[r][c])
        return
    if r < len(frame.panels) - 1:
        child.tick_params(labelbottom=False)
    if c:
        child.tick_params(labelleft=False)
        child.set_ylabel("")


def _child(ax: Axes, frame: _Frame, row: int, column: int) -> Axes:
    """Return new axes on others, of a place that is worked out when they are drawn."""
    child = ax.inset_axes((0, 0, 1, 1))
    child.set_axes_locator(_Place(ax, frame, row, column))
    return child


@dataclass(frozen=True)
class _Place:
    """Where a panel is on its frame: what matplotlib calls a locator of axes."""

    ax: Axes
    frame: _Frame
    row: int
    column: int

    def __call__(self, ax: Any, renderer: Any) -> Bbox:
        from matplotlib.transforms import Bbox

        box, dpi = self.ax.bbox, self.ax.figure.dpi
        size = box.width / dpi, box.height / dpi
        left, top, width, height = self.frame.place(self.row, self.column, *size)
        pixels = np.array([left, -top - height, left + width, -top]) * dpi
        corners = pixels.reshape(2, 2) + np.array([box.x0, box.y1])
        return Bbox(self.ax.figure.transSubfigure.inverted().transform(corners))
