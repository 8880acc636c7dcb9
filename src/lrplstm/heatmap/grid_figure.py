"""Grids with matplotlib: steps along x, variables along y, on axes that count both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lrplstm.heatmap.colors import color
from lrplstm.heatmap.content import ENDS
from lrplstm.heatmap.grid import NO_RELEVANCE, Grid, every_nth
from lrplstm.heatmap.grid_drawable import (
    BAR,
    LINE,
    PAD,
    Drawable,
    StepLabels,
    below,
    drawable,
)
from lrplstm.heatmap.sheets import (
    MARGIN,
    SIZE,
    WIDTH,
    Font,
    checked_axes,
    draw_title,
    figure_width,
    font_properties,
    letter_size,
    new_figure,
    paper_ink,
    title_height,
    wrapped_title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "MOST_COLUMNS",
    "MOST_ROWS",
    "below_height",
    "draw_bar",
    "draw_cells",
    "draw_grid",
    "grid_height",
    "grid_sheet",
    "has_lines",
    "names_width",
    "plot_grid",
    "text_style",
    "write_below",
]

# Inches:
_ROW, _SERIES_ROW = 0.24, 0.42  # of a row of cells, and of one with a line over it
_LEAST_HEIGHT, _MOST_HEIGHT = 0.9, 7.0  # of the whole grid
_LEAST_WIDTH = 1.0  # of the grid, however long names are
_LEAST_BLOCK = 1.0  # of a block, where many would make the grid higher than that
_HEADER, _GAP = 0.28, 0.1  # above a block that has a label, and between blocks that have none
_LEAST_LINE = 0.12  # of a row: below that nobody can read a line

MOST_ROWS, MOST_COLUMNS = 300, 500
"""Cells that can be told from each other."""
_MOST_LINED = 60  # so many rows and columns are told apart by lines
_LINE_COLOR = "#e0e0e0"
_VARIABLE = "variable"  # label of the axis


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
    values: npt.ArrayLike | None = None,
    dates: npt.ArrayLike | None = None,
    scale: float | None = None,
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
    values : array_like of shape (T, D), optional
        The series itself, drawn as a line over the relevance of each variable, between its lowest
        and highest value; left out where rows are too low for that. NaN leaves a gap.
    dates : array_like of datetime64 of shape (T,), optional
        Dates of the steps: round ones are written on the axis instead of `steps`.
    scale : float, optional
        Relevance that has the full colour. Default: the largest absolute relevance.

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
    fields = relevance, variables, steps, block_labels, ends, title, notes, values, dates, scale
    return draw_grid(Grid(*fields), ax)


def draw_grid(grid: Grid, ax: Axes | None, *, legend: bool = True) -> Axes:
    """Draw a grid on axes, or on a pyplot figure that is as high as it must be."""
    ax = checked_axes(ax)
    if ax is None:
        return new_figure(grid_sheet(grid, figure_width(), letter_size(), legend=legend))
    # At least half the pixels of either side are left to the cells.
    rows, columns = (max(1, int(side / 2)) for side in (ax.bbox.height, ax.bbox.width))
    one = drawable(grid, min(rows, MOST_ROWS), min(columns, MOST_COLUMNS), letter_size())
    dpi = ax.figure.dpi
    width, height = ax.bbox.width / dpi, ax.bbox.height / dpi
    if one.scale and legend:
        bar = min(0.5 * width, one.bar_width)
        pad = min(0.5 * bar, PAD * one.em)
        share: dict[str, Any] = {"pad": pad / width, "fraction": (bar - pad) / width}
        draw_bar(ax, one, ax=ax, **share, aspect=height / BAR, anchor=(0, 0.5))
        width -= bar
    title = wrapped_title(one.title, one.font, width, one.size)
    draw_cells(ax, one, width, height)
    write_below(ax, one, below(one, width, has_lines=has_lines(one, height)))
    if title:
        draw_title(ax, title, one.font, one.size)
    return ax


def grid_sheet(
    grid: Grid, width: float = WIDTH, size: float = SIZE, *, legend: bool = True
) -> _GridSheet:
    """Check a grid and lay it out for a figure of our own."""
    return _GridSheet(drawable(grid, MOST_ROWS, MOST_COLUMNS, size), width, legend)


def header(one: Drawable) -> float:
    """Return the height of what is above each block, inches."""
    if one.block_labels is not None:
        return _HEADER * one.size / SIZE
    return _GAP if len(one.content.cells) > 1 else 0.0


def grid_height(one: Drawable, most: float = _MOST_HEIGHT) -> float:
    """Return a good height for all cells, inches; not much more than the most."""
    R, D = len(one.content.cells), one.content.num_variables
    row = _ROW if one.values is None else _SERIES_ROW
    row = min(row, max(most / R, _LEAST_BLOCK) / D)
    return max(_LEAST_HEIGHT, R * (D * row + header(one)))


def names_width(one: Drawable) -> float:
    """Return the width of what is left of the cells, inches."""
    names = one.longest(one.variables) + 2 * PAD
    names += 0 if one.content.variables else LINE
    overhang = min(one.longest(one.steps), 7.0) / 2  # of the first step's name
    return max(names, overhang) * one.em


class _GridSheet:
    """A grid laid out on the width of a figure of our own; all lengths in inches."""

    def __init__(self, one: Drawable, width: float, legend: bool) -> None:
        self.drawable, self.width = one, width
        self.bar_width = one.bar_width if legend else 0.0
        self.grid_height = grid_height(one)
        self.left = MARGIN + names_width(one)
        self.grid_width = max(_LEAST_WIDTH, width - self.left - MARGIN - self.bar_width)
        self.lines = below(one, self.grid_width, has_lines=has_lines(one, self.grid_height))
        self.bottom = below_height(one, self.grid_width, self.lines)
        title_width = self.grid_width + self.bar_width
        self.title = wrapped_title(one.title, one.font, title_width, one.size)

    @property
    def height(self) -> float:
        """Height with the title and the margin above."""
        title = title_height(self.title, self.drawable.size)
        return MARGIN + title + self.grid_height + self.bottom

    def add_to(self, figure: Figure, bottom: float) -> Axes:
        """Draw it on new axes, so many inches above the bottom of the figure."""
        one = self.drawable
        unit = np.tile(figure.get_size_inches(), 2)
        place = np.array([self.left, bottom + self.bottom, self.grid_width, self.grid_height])
        ax = figure.add_axes(tuple(place / unit))
        draw_cells(ax, one, self.grid_width, self.grid_height)
        write_below(ax, one, self.lines)
        if self.title:
            draw_title(ax, self.title, one.font, one.size)
        if self.bar_width:
            place[0] += self.grid_width + PAD * one.em
            place[2] = BAR
            draw_bar(ax, one, cax=figure.add_axes(tuple(place / unit)))
        return ax


def below_height(one: Drawable, width: float, lines: list[str]) -> float:
    """Return the height of labels and lines below cells of this width, inches."""
    return StepLabels(one, width).height + (LINE * len(lines) + PAD) * one.em


def has_lines(one: Drawable, height: float) -> bool:
    """Return whether the series is drawn on axes of this height."""
    R, D = len(one.content.cells), one.content.num_variables
    return one.values is not None and (height / R - header(one)) / D >= _LEAST_LINE


def draw_cells(ax: Axes, one: Drawable, width: float, height: float) -> None:
    """Draw a grid without title and colour bar on axes of this size, inches."""
    content = one.content
    R, D = len(content.cells), content.num_variables
    above = min(header(one), 0.5 * height / R)
    row = (height / R - above) / D  # height of a variable, inches
    tops = np.arange(R) * height / R / row  # of each block, where its variable 0 is
    _draw_mesh(ax, one, tops)
    if has_lines(one, height):
        _draw_series(ax, one, tops)
    ax.set_xlim(-0.5, content.num_steps - 0.5)
    ax.set_ylim(tops[-1] + D - 0.5, -above / row - 0.5)
    ax.grid(False)
    ax.set_facecolor("white")
    ax.spines[:].set_color(_LINE_COLOR)
    ax.tick_params(length=0, pad=PAD * one.label_size)

    style = text_style(ax, one.font, one.label_size)
    nth = every_nth(D, max(1, int(D * row / one.em / LINE)))
    places = tops[:, np.newaxis] + np.arange(0, D, nth)
    ax.set_yticks(places.ravel(), one.variables[::nth] * R, **style)
    labels = StepLabels(one, width)
    ax.set_xticks(labels.places, labels.texts, rotation=labels.rotation, **style)
    ax.set_ylabel("" if content.variables else _VARIABLE, **style)
    style["color"] = "black"  # on the axes' own paper
    if one.block_labels is not None:
        for top, label in zip(tops, one.block_labels, strict=True):
            middle = top - 0.5 - 0.4 * above / row
            ax.text(-0.5, middle, f" {label}", va="center", ha="left", **style)
    if not content.scale:
        ax.text(
            *(0.5, 0.5),
            NO_RELEVANCE,
            va="center",
            ha="center",
            transform=ax.transAxes,
            bbox={"facecolor": "white", "linewidth": 0, "pad": 2},
            **style,
        )


def write_below(ax: Axes, one: Drawable, lines: list[str]) -> None:
    """Write lines below the steps."""
    style = text_style(ax, one.font, one.label_size)
    ax.set_xlabel("\n".join(lines), **style, linespacing=LINE)


def text_style(ax: Axes, font: Font, size: float) -> dict[str, Any]:
    """Return how labels are written: as they are, whatever is in them."""
    return {
        "color": paper_ink(ax),
        "fontproperties": font_properties(font.families, size),
        "parse_math": False,
        "usetex": False,
    }


def _draw_mesh(ax: Axes, one: Drawable, tops: npt.NDArray[np.float64]) -> None:
    """Draw the cells of all blocks, each from its top."""
    content = one.content
    lined = max(content.cells.shape[1:]) <= _MOST_LINED and one.values is None
    for top, cells in zip(tops, content.cells / _unit(one), strict=True):
        ax.pcolormesh(
            content.column_edges(),
            content.row_edges() + top,
            cells,
            **_mapping(one),
            edgecolors=_LINE_COLOR if lined else "none",
            linewidth=0.5 if lined else 0,
            antialiased=lined,  # thin lines are not thin without
            rasterized=not lined,  # in a vector file too: viewers leave gaps between small cells
        )


def _draw_series(ax: Axes, one: Drawable, tops: npt.NDArray[np.float64]) -> None:
    """Draw each variable over its row, between its lowest and highest value."""
    from matplotlib.patheffects import Normal, Stroke

    values = one.values
    assert values is not None
    low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
    known = np.where(high > low, high - low, 1.0)
    heights = np.where(high > low, (values - low) / known, 0.5)
    places = np.arange(values.shape[1]) + 0.36 - 0.72 * heights  # y points downwards
    halo = [Stroke(linewidth=2.4, foreground="white", alpha=0.8), Normal()]
    for top in tops:
        # Rows are told apart by lines.
        edges = top + np.arange(1, values.shape[1]) - 0.5
        ax.hlines(edges, -0.5, len(values) - 0.5, colors="white", linewidth=1.5)
        ax.plot(places + top, color="#1a1a1a", linewidth=0.9, path_effects=halo)


def draw_bar(beside: Axes, one: Drawable, *, numbers: bool = True, **place: Any) -> None:
    """Draw the colour bar, on axes or beside others."""
    from matplotlib.cm import ScalarMappable

    bar = beside.figure.colorbar(ScalarMappable(**_mapping(one)), **place)
    ticks = one.bar_ticks
    unit = one.scale / _unit(one)
    bar.ax.set_ylim(one.content.start * unit, unit)
    bar.set_ticks(
        [fraction * unit for fraction, _ in ticks],
        labels=[text if numbers else _without_number(text) for _, text in ticks],
        **text_style(beside, one.font, one.label_size),
    )
    first, *_, last = bar.ax.get_yticklabels()
    first.set_verticalalignment("bottom")
    last.set_verticalalignment("top")
    bar.ax.tick_params(length=0, pad=PAD * one.label_size)
    bar.ax.grid(False)
    bar.outline.set_visible(False)
    bar.minorticks_off()


def _without_number(text: str) -> str:
    """Return what is written at an end of the bar, where every grid has a scale of its own."""
    return "\n".join(line for line in text.split("\n") if line[:1] not in ("+", "-"))


def _unit(one: Drawable) -> float:
    """Return 1: cells are drawn as they are. Only extreme ones are drawn as parts of the scale."""
    return 1.0 if 1e-300 < one.scale < 1e300 else one.scale or 1.0


def _mapping(one: Drawable) -> dict[str, Any]:
    """Return the colours for cells: white for 0, and equally strong on both sides."""
    from matplotlib.colors import ListedColormap, Normalize

    largest = one.scale / _unit(one) or 1.0
    colors = ListedColormap(color(np.linspace(-1, 1, 511)) / 255)
    return {"cmap": colors, "norm": Normalize(-largest, largest)}
