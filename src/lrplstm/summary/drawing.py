"""Plots of summaries; matplotlib is imported only when there is something to draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lrplstm import heatmap
from lrplstm.errors import ArgumentError
from lrplstm.evaluation.drawing import COLORS, axes_or_new, draw_title, label_size
from lrplstm.heatmap.colors import color, to_hex
from lrplstm.heatmap.sheets import Font, font_properties
from lrplstm.summary.estimates import Estimate
from lrplstm.summary.rows import Rows
from lrplstm.texts import visible
from lrplstm.weights import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

__all__ = [
    "MOST_ROWS",
    "Dots",
    "draw_bars",
    "draw_beeswarm",
    "draw_matrix",
    "finish_axes",
    "legend",
    "names_on",
]

_MOST_LETTERS = 28  # of a name beside bars
_LINE = 0.3  # inches of a line of bars
_INTERVAL_COLOR = "#222222"
_SWARM_BINS = 100
MOST_ROWS = 12  # of bars side by side


class Dots(NamedTuple):
    """Dots of a beeswarm.

    Attributes
    ----------
    variables : list of str of length V
    groups : list of str of length n
    relevance : ndarray of shape (n, V)
    values : ndarray of shape (n, V), or None
    """

    variables: list[str]
    groups: list[str]
    relevance: Array
    values: Array | None


def draw_bars(ax: Axes | None, rows: Rows, title: str, *, signed: bool) -> Axes:
    """Draw a bar for each item of each row, with its interval, from top to bottom."""
    S, N = len(rows.labels), len(rows.items)
    if S > MOST_ROWS:
        raise ArgumentError(
            "select",
            f"expected at most {MOST_ROWS} rows of bars, got {S}; select some, or draw "
            "kind='heatmap'",
        )
    ax = axes_or_new(ax, 6.5, 1.2 + _LINE * N * max(1.0, 0.45 * S))
    height = 0.8 / S
    place = np.arange(N)
    for n, label in enumerate(rows.labels):
        value, low, high = (values[n] for values in rows.estimate)
        known = np.nan_to_num(value)
        fills: Any = COLORS[n % len(COLORS)]
        if signed and S == 1:
            fills = [to_hex(color(0.85 * np.sign(one))) for one in known]
        at = place + (n - (S - 1) / 2) * height
        ax.barh(at, known, 0.9 * height, color=fills, label=label, hatch=_hatch(n))
        _draw_intervals(ax, at, value, low, high)
    names_on(ax, "y", rows.items, place)
    ax.set_ylim(N - 0.4, -0.6)
    if signed:
        ax.axvline(0, color="#555555", linewidth=0.8)
    notes = [] if _has_intervals(rows.estimate) else ["no intervals: of fewer than two sequences"]
    finish_axes(ax, title, notes)
    ax.grid(axis="y", visible=False)
    if S > 1:
        legend(ax)
    return ax


def _hatch(n: int) -> str | None:
    return None if n < len(COLORS) else "//"


def _draw_intervals(ax: Axes, at: Array, value: Array, low: Array, high: Array) -> None:
    """Draw a line from end to end of each interval there is."""
    known = np.isfinite(low) & np.isfinite(high) & np.isfinite(value)
    ax.hlines(at[known], low[known], high[known], color=_INTERVAL_COLOR, linewidth=1.3, zorder=3)


def _has_intervals(estimate: Estimate) -> bool:
    return bool(np.isfinite(estimate.low).any())


def names_on(ax: Axes, axis: str, names: Sequence[str], place: Array) -> None:
    """Write names at places of an axis, in fonts that have their letters."""
    shortened = [_short(name) for name in names]
    font = Font(shortened)
    set_ticks = ax.set_yticks if axis == "y" else ax.set_xticks
    set_ticks(
        place,
        [font.drawable(name) for name in shortened],
        fontproperties=font_properties(font.families, label_size()),
        parse_math=False,
    )


def _short(name: str) -> str:
    name = visible(name)
    return name if len(name) <= _MOST_LETTERS else f"{name[: _MOST_LETTERS - 1]}…"


def finish_axes(ax: Axes, title: str, notes: Sequence[str] = ()) -> None:
    """Draw a title, a light grid, and notes below."""
    draw_title(ax, title)
    ax.grid(color="#dddddd", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    if notes:
        ax.set_xlabel("; ".join(notes), fontsize=label_size(), color="#555555")


def legend(ax: Axes, *, below: bool = False) -> None:
    """Draw a legend beside the axes, or below them."""
    drawn = ax.legend(
        loc="upper left",
        bbox_to_anchor=(0, -0.16) if below else (1.01, 1),
        frameon=False,
        borderaxespad=0,
        fontsize=label_size(),
    )
    texts = drawn.get_texts()
    font = Font([text.get_text() for text in texts])
    for text in texts:
        text.set_text(font.drawable(text.get_text()))
        text.set_fontproperties(font_properties(font.families, label_size()))
        text.set_parse_math(False)


def draw_matrix(ax: Axes | None, rows: Rows, title: str, *, signed: bool) -> Axes:
    """Draw items by rows as colours."""
    drawn = heatmap.plot_grid(
        np.nan_to_num(rows.estimate.value),
        variables=[item or "all" for item in rows.items],
        steps=[label or "all" for label in rows.labels],
        ends=heatmap.ENDS if signed else ("", title.split(",")[0]),
        ax=ax,
        title=title,
    )
    drawn.set_xlabel("")
    drawn.set_ylabel("")
    return drawn


def draw_beeswarm(ax: Axes | None, dots: Dots, title: str) -> Axes:
    """Draw a dot for each sequence in the line of each variable, beside others of like relevance.

    Dots are coloured by what the variable was, or else by their group.
    """
    V = len(dots.variables)
    ax = axes_or_new(ax, 7.0, 1.4 + 0.42 * V)
    groups = list(dict.fromkeys(dots.groups))
    mapped = None
    for v in range(V):
        x = dots.relevance[:, v]
        y = v + _swarm(x)
        if dots.values is not None:
            mapped = ax.scatter(
                x,
                y,
                s=9,
                c=_ranks(dots.values[:, v]),
                cmap=_value_colors(),
                vmin=0,
                vmax=1,
                linewidths=0,
                plotnonfinite=True,
            )
            continue
        for k, group in enumerate(groups):
            of_group = np.array([one == group for one in dots.groups])
            ax.scatter(
                x[of_group],
                y[of_group],
                s=9,
                color=COLORS[k % len(COLORS)],
                linewidths=0,
                label=group if v == 0 else None,
            )
    ax.axvline(0, color="#555555", linewidth=0.8, zorder=0)
    names_on(ax, "y", dots.variables, np.arange(V))
    ax.set_ylim(V - 0.4, -0.6)
    finish_axes(ax, title)
    ax.set_xlabel(
        "relevance of a variable, summed over the steps of a sequence", fontsize=label_size()
    )
    if mapped is not None:
        bar = ax.figure.colorbar(mapped, ax=ax, aspect=30, pad=0.02, ticks=[0, 1])
        bar.ax.set_yticklabels(["lowest", "highest"])
        bar.set_label("mean of the variable, by rank", fontsize=label_size())
        bar.outline.set_visible(False)
    elif len(groups) > 1:
        legend(ax)
    return ax


def _swarm(x: Array) -> Array:
    """Return how far each dot is moved aside, at most 0.4, so that those of like x lie apart."""
    spread = float(np.ptp(x)) or 1.0
    bin_of = np.minimum((_SWARM_BINS * ((x - x.min()) / spread)).astype(np.intp), _SWARM_BINS - 1)
    order = bin_of.argsort(kind="stable")
    count = np.bincount(bin_of, minlength=_SWARM_BINS)
    rank = np.empty(len(x), np.intp)  # of each dot in its bin
    rank[order] = np.arange(len(x)) - np.repeat(np.cumsum(count) - count, count)
    aside = (rank + 1) // 2 * np.where(rank % 2, 1, -1)  # 0, 1, -1, 2, -2, ...
    found: Array = 0.4 * aside / max(int(count.max()) / 2, 8)
    return found


def _value_colors() -> Colormap:
    """Return the colours of low and high values, which are not those of relevance."""
    import matplotlib

    return matplotlib.colormaps["viridis"].with_extremes(bad="#bbbbbb")


def _ranks(values: Array) -> Array:
    """Return ranks from 0 to 1, equal ones of equal values, NaN of NaN."""
    distinct, place = np.unique(values, return_inverse=True)
    known = int(np.count_nonzero(~np.isnan(distinct)))
    ranks: Array = np.where(np.isnan(values), np.nan, place / max(known - 1, 1))
    return ranks
