"""Grids with matplotlib: steps along x, variables along y, on axes that count both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lrplstm.heatmap.colors import color
from lrplstm.heatmap.content import ENDS, checked_text, checked_texts, signed
from lrplstm.heatmap.grid import NO_RELEVANCE, Grid, GridContent, checked_grid, every_nth
from lrplstm.heatmap.layout import Piece, flow, lines
from lrplstm.heatmap.sheets import (
    MARGIN,
    WIDTH,
    Font,
    draw_title,
    font_properties,
    new_figure,
    paper_ink,
    title_height,
    wrapped_title,
)
from lrplstm.texts import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["grid_sheet", "plot_grid"]

_FONT_SIZE = 9.0  # points
_EM = _FONT_SIZE / 72  # inches
_LINE = 1.3  # distance of labels, font sizes
_PAD = 0.5  # between the axes and their labels, and on both sides of the colour bar, font sizes

# Inches:
_ROW, _LEAST_HEIGHT, _MOST_HEIGHT = 0.24, 0.9, 7.0  # of a row of cells, and of the whole grid
_LEAST_WIDTH = 1.0  # of the grid, however long names are
_LEAST_BLOCK = 1.0  # of a block, where many would make the grid higher than that
_HEADER, _GAP = 0.28, 0.1  # above a block that has a label, and between blocks that have none
_BAR = 0.14  # width of the colour bar

_MOST_ROWS, _MOST_COLUMNS = 300, 500  # cells that can be told from each other
_MOST_LINED = 60  # so many rows and columns are told apart by lines
_LINE_COLOR = "#e0e0e0"
_LONG = 7.0  # a step's name longer than so many font sizes is turned
_MEASURED = 1000  # so many names are measured, where there are more
_STEP, _VARIABLE = "step", "variable"  # labels of the axes


def plot_grid(
    relevance: npt.ArrayLike,
    *,
    variables: Sequence[str] | None = None,
    steps: Sequence[str] | None = None,
    block_labels: Sequence[str] | None = None,
    ends: tuple[str, str] = ENDS,
    ax: Axes | None = None,
    title: str | None = None,
    notes: Sequence[str] = (),
) -> Axes:
    """Draw the relevance of each variable at each step as a coloured grid, with matplotlib.

    Step t is at x = t and variable d at y = d, so that more can be drawn on the axes. Labels that
    would not fit are left out. Where there are more cells than can be told from each other, several
    steps or variables share one, which shows the strongest of them; the x axis then says so.

    Parameters
    ----------
    relevance : array_like of shape (T, D) or (R, T, D)
        Finite numbers. Several blocks (one per class, say) stand one under another and share one
        colour scale, whose full colour is the largest absolute relevance.
    variables : sequence of str, length D, optional
        Names of the variables. By default they are numbered.
    steps : sequence of str, length T, optional
        Names of the steps, such as words or dates. By default they are numbered.
    block_labels : sequence of str, length R, optional
        Written above the blocks.
    ends : (str, str)
        What negative and positive relevance say, written at the ends of the colour bar. Where the
        first is empty the bar begins at 0.
    ax : matplotlib.axes.Axes, optional
        Where to draw; the colour bar takes some of its width. By default a new pyplot figure.
    title : str, optional
        Title of the axes.
    notes : sequence of str
        Written below the steps, a line each.

    Returns
    -------
    matplotlib.axes.Axes
        The axes drawn on.

    Raises
    ------
    TypeError
        If `relevance` is not of real numbers, or names are one str or not str.
    ValueError
        If `relevance` has another shape, no step, no variable, or a number that is not finite, or
        there are more or fewer names than there should be.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> relevance = [[0.5, 0.0], [-0.25, 0.1], [0.0, 0.0]]
    >>> ax = plot_grid(relevance, variables=["load", "price"], ax=Figure().add_subplot())
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['load', 'price']
    """
    grid = Grid(relevance, variables, steps, block_labels, ends, title, notes)
    if ax is None:
        return new_figure(grid_sheet(grid))
    # At least half the pixels of either side are left to the cells.
    rows, columns = int(ax.bbox.height / 2), int(ax.bbox.width / 2)
    drawable = _drawable(grid, min(max(1, rows), _MOST_ROWS), min(max(1, columns), _MOST_COLUMNS))
    dpi = ax.figure.dpi
    width, height = ax.bbox.width / dpi, ax.bbox.height / dpi
    if drawable.content.scale:
        bar = min(0.5 * width, drawable.bar_width)
        pad = min(0.5 * bar, _PAD * _EM)
        share = {"pad": pad / width, "fraction": (bar - pad) / width}
        _draw_bar(ax, drawable, ax=ax, **share, aspect=height / _BAR, anchor=(0, 0.5))
        width -= bar
    title = wrapped_title(drawable.title, drawable.font, width)
    _draw(ax, drawable, title, width, height)
    return ax


def grid_sheet(grid: Grid) -> _GridSheet:
    """Check a grid and lay it out for a figure of our own."""
    return _GridSheet(_drawable(grid, _MOST_ROWS, _MOST_COLUMNS))


@dataclass(frozen=True, eq=False)
class _Drawable:
    """A grid in characters that the fonts have."""

    content: GridContent
    variables: list[str]
    steps: list[str]
    block_labels: list[str] | None
    ends: list[str]
    title: str  # empty for none
    notes: list[str]
    font: Font

    def longest(self, names: list[str]) -> float:
        """Return the width of the longest name, font sizes."""
        return max(map(self.font.measure, names[:: every_nth(len(names), _MEASURED)]))

    @property
    def header(self) -> float:
        """Height of what is above each block, inches."""
        if self.block_labels is not None:
            return _HEADER
        return _GAP if len(self.content.cells) > 1 else 0.0

    @property
    def bar_width(self) -> float:
        """Width of the colour bar with its labels, inches."""
        if not self.content.scale:
            return 0.0
        texts = "\n".join(text for _, text in self.bar_ticks).split("\n")
        return _BAR + (3 * _PAD + max(map(self.font.measure, texts))) * _EM

    @property
    def bar_ticks(self) -> list[tuple[float, str]]:
        """Places on the colour bar, as fractions of the scale, and what is written there."""
        low, high = self.ends
        start, scale = self.content.start, self.content.scale
        ticks = [
            (start, f"{signed(start * scale)}\n{low}".strip()),
            (1.0, f"{high}\n{signed(scale)}"),
        ]
        return ticks if start == 0 else [ticks[0], (0.0, "0"), ticks[1]]


def _drawable(grid: Grid, most_rows: int, most_columns: int) -> _Drawable:
    """Check a grid and its title, and replace the characters that no font has."""
    content = checked_grid(grid, most_rows=most_rows, most_columns=most_columns)
    title = "" if grid.title is None else visible(checked_text("title", grid.title))
    numbers = [*map(str, range(max(content.num_variables, content.num_steps)))]
    variables = content.variables or numbers[: content.num_variables]
    steps = content.steps or numbers[: content.num_steps]
    labels = content.block_labels
    notes = [visible(note) for note in checked_texts("notes", grid.notes)]
    font = Font([*variables, *steps, *(labels or []), *content.ends, title, *notes, "…"])
    return _Drawable(
        content,
        [*map(font.drawable, variables)],
        [*map(font.drawable, steps)],
        None if labels is None else [*map(font.drawable, labels)],
        [*map(font.drawable, content.ends)],
        font.drawable(title),
        [*map(font.drawable, notes)],
        font,
    )


class _GridSheet:
    """A grid laid out on the width of a figure of our own; all lengths in inches."""

    def __init__(self, drawable: _Drawable) -> None:
        self.drawable = drawable
        content = drawable.content
        R, D = len(content.cells), content.num_variables
        row = min(_ROW, max(_MOST_HEIGHT / R, _LEAST_BLOCK) / D)
        self.grid_height = max(_LEAST_HEIGHT, R * (D * row + drawable.header))
        names = drawable.longest(drawable.variables) + 2 * _PAD
        names += 0 if content.variables else _LINE
        overhang = min(drawable.longest(drawable.steps), _LONG) / 2  # of the first step's name
        self.left = MARGIN + max(names, overhang) * _EM
        self.grid_width = max(_LEAST_WIDTH, WIDTH - self.left - MARGIN - drawable.bar_width)
        label = _LINE * len(_x_label(drawable, self.grid_width))
        self.bottom = _StepLabels(drawable, self.grid_width).height + (label + _PAD) * _EM
        width = self.grid_width + drawable.bar_width
        self.title = wrapped_title(drawable.title, drawable.font, width)

    @property
    def height(self) -> float:
        """Height with the title and the margin above."""
        return MARGIN + title_height(self.title) + self.grid_height + self.bottom

    def add_to(self, figure: Figure, bottom: float) -> Axes:
        """Draw it on new axes, so many inches above the bottom of the figure."""
        unit = np.tile(figure.get_size_inches(), 2)
        place = np.array([self.left, bottom + self.bottom, self.grid_width, self.grid_height])
        ax = figure.add_axes(tuple(place / unit))
        _draw(ax, self.drawable, self.title, self.grid_width, self.grid_height)
        if self.drawable.content.scale:
            place[0] += self.grid_width + _PAD * _EM
            place[2] = _BAR
            _draw_bar(ax, self.drawable, cax=figure.add_axes(tuple(place / unit)))
        return ax


class _StepLabels:
    """Which steps are labelled on a width, and how."""

    def __init__(self, drawable: _Drawable, width: float) -> None:
        content = drawable.content
        T, columns, longest = content.num_steps, width / _EM, drawable.longest(drawable.steps)
        across = max(1, int(columns / (longest + 1.0)))
        upright = max(1, int(columns / _LINE))
        # Names are turned where they then all fit in; numbers need not all be there.
        turned = content.steps is not None and (across < T <= upright or longest > _LONG)
        nth = every_nth(T, upright if turned else across)
        self.rotation = 90 if turned else 0
        self.places = range(0, T, nth)
        self.height = ((longest if turned else 1.0) + 2 * _PAD) * _EM


def _x_label(drawable: _Drawable, width: float) -> list[str]:
    """Return the lines that stand below the steps: what they are, and the notes."""
    content, measure = drawable.content, drawable.font.measure
    parts = [None if content.steps else _STEP, content.remark]
    label = "; ".join(part for part in parts if part)
    shown = [label] if label else []
    for note in drawable.notes:
        words = flow(map(Piece, note.split()), width / _EM, measure(" "), measure)
        shown += [" ".join(word.text for word in line) for line in lines(words)]
    return shown


def _draw(ax: Axes, drawable: _Drawable, title: str, width: float, height: float) -> None:
    """Draw a grid without its colour bar on axes of this size, inches."""
    content = drawable.content
    R, D = len(content.cells), content.num_variables
    header = min(drawable.header, 0.5 * height / R)
    row = (height / R - header) / D  # height of a variable, inches
    tops = np.arange(R) * height / R / row  # of each block, where its variable 0 is
    _draw_cells(ax, content, tops)
    ax.set_xlim(-0.5, content.num_steps - 0.5)
    ax.set_ylim(tops[-1] + D - 0.5, -header / row - 0.5)
    ax.grid(False)
    ax.set_facecolor("white")
    ax.spines[:].set_color(_LINE_COLOR)
    ax.tick_params(length=0, pad=_PAD * _FONT_SIZE)

    style = _text_style(ax, drawable.font)
    nth = every_nth(D, max(1, int(D * row / _EM / _LINE)))
    places = tops[:, np.newaxis] + np.arange(0, D, nth)
    ax.set_yticks(places.ravel(), drawable.variables[::nth] * R, **style)
    labels = _StepLabels(drawable, width)
    names = [drawable.steps[t] for t in labels.places]
    ax.set_xticks(labels.places, names, rotation=labels.rotation, **style)
    ax.set_xlabel("\n".join(_x_label(drawable, width)), **style, linespacing=_LINE)
    ax.set_ylabel("" if content.variables else _VARIABLE, **style)
    style["color"] = "black"  # on the axes' own paper
    if drawable.block_labels is not None:
        for top, label in zip(tops, drawable.block_labels, strict=True):
            middle = top - 0.5 - 0.4 * header / row
            ax.text(-0.5, middle, f" {label}", va="center", ha="left", **style)
    if not content.scale:
        ax.text(0.5, 0.5, NO_RELEVANCE, va="center", ha="center", transform=ax.transAxes, **style)
    if title:
        draw_title(ax, title, drawable.font)


def _text_style(ax: Axes, font: Font) -> dict[str, Any]:
    """Return how labels are written: as they are, whatever is in them."""
    return {
        "color": paper_ink(ax),
        "fontproperties": font_properties(font.families, _FONT_SIZE),
        "parse_math": False,
        "usetex": False,
    }


def _draw_cells(ax: Axes, content: GridContent, tops: npt.NDArray[np.float64]) -> None:
    """Draw the blocks, each from its top."""
    lined = max(content.cells.shape[1:]) <= _MOST_LINED
    for top, cells in zip(tops, content.cells / _unit(content), strict=True):
        ax.pcolormesh(
            content.column_edges(),
            content.row_edges() + top,
            cells,
            **_mapping(content),
            edgecolors=_LINE_COLOR if lined else "none",
            linewidth=0.5 if lined else 0,
            antialiased=lined,  # thin lines are not thin without
            rasterized=not lined,  # in a vector file too: viewers leave gaps between small cells
        )


def _draw_bar(beside: Axes, drawable: _Drawable, **place: Any) -> None:
    """Draw the colour bar, on axes or beside others."""
    from matplotlib.cm import ScalarMappable

    content = drawable.content
    bar = beside.figure.colorbar(ScalarMappable(**_mapping(content)), **place)
    ticks = drawable.bar_ticks
    unit = content.scale / _unit(content)
    bar.ax.set_ylim(content.start * unit, unit)
    bar.set_ticks(
        [fraction * unit for fraction, _ in ticks],
        labels=[text for _, text in ticks],
        **_text_style(beside, drawable.font),
    )
    first, *_, last = bar.ax.get_yticklabels()
    first.set_verticalalignment("bottom")
    last.set_verticalalignment("top")
    bar.ax.tick_params(length=0, pad=_PAD * _FONT_SIZE)
    bar.ax.grid(False)
    bar.outline.set_visible(False)
    bar.minorticks_off()


def _unit(content: GridContent) -> float:
    """Return 1: cells are drawn as they are. Only extreme ones are drawn as parts of the scale."""
    return 1.0 if 1e-300 < content.scale < 1e300 else content.scale or 1.0


def _mapping(content: GridContent) -> dict[str, Any]:
    """Return the colours for cells: white for 0, and equally strong on both sides."""
    from matplotlib.colors import ListedColormap, Normalize

    largest = content.scale / _unit(content) or 1.0
    colors = ListedColormap(color(np.linspace(-1, 1, 511)) / 255)
    return {"cmap": colors, "norm": Normalize(-largest, largest)}
