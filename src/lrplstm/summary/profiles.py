"""Profiles over lags as lines, with the cumulative share on an axis of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lrplstm.errors import ArgumentError
from lrplstm.evaluation.drawing import COLORS, axes_or_new
from lrplstm.summary.drawing import finish_axes, legend
from lrplstm.summary.estimates import Estimate
from lrplstm.summary.rows import Rows
from lrplstm.weights import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["MOST_LINES", "Cumulative", "draw_profiles"]

MOST_LINES = len(COLORS)
_MOST_MARKERS = 40


class Cumulative(NamedTuple):
    """Cumulative shares of S rows.

    Attributes
    ----------
    share : ndarray of shape (S, N)
    held : float
        The share that is marked.
    lag : Estimate
        The lags that hold it, (S,).
    """

    share: Array
    held: float
    lag: Estimate


def draw_profiles(
    ax: Axes | None, rows: Rows, lags: Array, title: str, cumulative: Cumulative | None = None
) -> Axes:
    """Draw a line with a band for each row, its cumulative share, and the lag that holds a share.

    Items of rows stand at `lags`, (N,).
    """
    S = len(rows.labels)
    if S > MOST_LINES:
        raise ArgumentError(
            "select",
            f"expected at most {MOST_LINES} lines, got {S}; select some, or draw kind='heatmap'",
        )
    ax = axes_or_new(ax, 7.0, 4.0)
    marker = "." if len(lags) < _MOST_MARKERS else ""
    names = list(rows.labels)
    for n, (line, low, high) in enumerate(zip(*rows.estimate, strict=True)):
        if cumulative is not None:
            text = _held_text(cumulative, n)
            names[n] = f"{names[n]}: {text}" if names[n] else text
        ax.plot(lags, line, color=COLORS[n], marker=marker, label=names[n] or None)
        ax.fill_between(lags, low, high, color=COLORS[n], alpha=0.2, linewidth=0)
    finish_axes(ax, title)
    ax.set_xlabel("lag: steps before the last")
    if cumulative is not None:
        ax.set_ylim(bottom=0)
        _draw_cumulative(ax, lags, cumulative)
    else:
        ax.axhline(0, color="#555555", linewidth=0.8)
    if any(names):
        legend(ax, below=True)
    return ax


def _draw_cumulative(ax: Axes, lags: Array, cumulative: Cumulative) -> None:
    """Draw cumulative shares on an axis at the right, and mark where one is reached."""
    right = ax.twinx()
    right.set_ylim(0, 1.02)
    right.set_ylabel("cumulative share (dashed)")
    right.spines[["top", "left"]].set_visible(False)
    right.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")
    held = cumulative.held
    for n, (shares, value, low, high) in enumerate(
        zip(cumulative.share, *cumulative.lag, strict=True)
    ):
        right.plot(lags, shares, color=COLORS[n], linestyle="--")
        if not np.isnan(value):
            right.plot([value, value], [0, held], color=COLORS[n], linewidth=0.9, linestyle=":")
        if not np.isnan(low):
            interval = [low, high], [held, held]
            right.plot(*interval, color=COLORS[n], linewidth=3, solid_capstyle="butt")


def _held_text(cumulative: Cumulative, n: int) -> str:
    value, low, high = (values[n] for values in cumulative.lag)
    if np.isnan(value):
        return "no relevance"
    text = f"{100 * cumulative.held:g} % within lag {value:g}"
    return text if np.isnan(low) else f"{text} ({low:g} to {high:g})"
