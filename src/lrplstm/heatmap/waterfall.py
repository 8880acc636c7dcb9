"""Parts that add up to a sum, as bars that begin where the ones before end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lrplstm.heatmap.colors import color, to_hex
from lrplstm.heatmap.content import signed
from lrplstm.heatmap.sheets import (
    Font,
    checked_axes,
    draw_title,
    figure_width,
    font_properties,
    letter_size,
    wrapped_title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Part", "draw_waterfall"]

_LABELS = 0.9  # size of labels, of that of letters
_LINE = 0.28  # height of a bar with the gap below, inches
_SHADE = 0.8  # of the full colour
_GREY = "#8c8c8c"


class Part(NamedTuple):
    """One summand; one that is `plain` is grey rather than red or blue."""

    name: str
    value: float
    plain: bool = False


def draw_waterfall(
    parts: Sequence[Part], total: Part, title: str, x_label: str, ax: Axes | None
) -> Axes:
    """Draw parts from above, and their sum at the bottom, on axes or on a new pyplot figure."""
    ax = checked_axes(ax)
    size = letter_size()
    if ax is None:
        from matplotlib import pyplot as plt

        height = _LINE * size / 10 * (len(parts) + 1) + 1.1
        _, ax = plt.subplots(figsize=(figure_width(), height), layout="constrained")
    rows = [*parts, total]
    values = np.array([part.value for part in parts])
    starts = np.concatenate([[0.0], values.cumsum()])
    starts[-1] = 0.0  # of the sum itself
    ends = starts + np.array([*values, total.value])
    places = np.arange(len(rows))
    fills = [_GREY if part.plain else to_hex(color(_SHADE * np.sign(part.value))) for part in rows]
    ax.barh(places, [part.value for part in rows], left=starts, color=fills, height=0.7)
    ax.vlines(ends[:-1], places[:-1] + 0.35, places[:-1] + 0.65, colors="#555555", linewidth=0.8)
    ax.axvline(0, color="#555555", linewidth=0.8, zorder=0)

    font = Font([*(part.name for part in rows), title, x_label])
    style: dict[str, Any] = {
        "fontproperties": font_properties(font.families, _LABELS * size),
        "parse_math": False,
        "usetex": False,
    }
    ax.set_yticks(places, [font.drawable(part.name) for part in rows], **style)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    for place, part, right in zip(places, rows, np.maximum(starts, ends), strict=True):
        ax.annotate(
            signed(part.value),
            (right, place),
            (0.4 * size, 0),
            textcoords="offset points",
            va="center",
            annotation_clip=False,
            **style,
        )
    low, high = min(0.0, *starts, *ends), max(0.0, *starts, *ends)
    room = (high - low or 1.0) * 0.03
    ax.set_xlim(low - room, high + 6 * room)  # for the number of the rightmost
    ax.set_xlabel(font.drawable(x_label), **style)
    for label in ax.get_xticklabels():
        label.set_fontproperties(style["fontproperties"])
    ax.grid(False)
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right", "left"]].set_visible(False)
    if title:
        draw_title(ax, wrapped_title(font.drawable(title), font, figure_width(), size), font, size)
    return ax
