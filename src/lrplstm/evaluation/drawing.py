"""What the plots share; matplotlib is imported only when there is something to draw."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lrplstm.heatmap.colors import color, ink, to_hex
from lrplstm.heatmap.sheets import Font, checked_axes, font_properties, letter_size
from lrplstm.texts import visible
from lrplstm.weights import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "COLORS",
    "axes_or_new",
    "draw_lines",
    "draw_title",
    "draw_words",
    "finish",
    "label_size",
    "shortened",
]

# Okabe and Ito 2008, https://jfly.uni-koeln.de/color/: colours that all kinds of colour vision tell
# apart, without the yellow, which is too light for lines.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_MARKERS = "osD^vPX"
_STYLES = ("-", "--", ":")
_FILLS = ("full", "none", "left")


def axes_or_new(ax: Axes | None, width: float = 6.0, height: float = 4.0) -> Axes:
    """Return the axes that were given, or new ones on a pyplot figure of so many inches."""
    given = checked_axes(ax)
    if given is not None:
        return given
    from matplotlib import pyplot as plt

    _, new = plt.subplots(figsize=(width, height), layout="constrained")
    return new


def label_size() -> float:
    """Return the size of labels, points: a little less than that of letters."""
    return 0.9 * letter_size()


def draw_words(
    ax: Axes, x: float, rows: Sequence[float], texts: Sequence[str], share: Array
) -> None:
    """Draw words one under another, each on the colour of its share of the largest relevance."""
    font = Font(texts)
    for y, text, shade in zip(rows, texts, color(share), strict=True):
        ax.text(
            x,
            y,
            font.drawable(text),
            ha="center",
            va="center",
            color=to_hex(ink(shade)),
            fontproperties=font_properties(font.families, label_size()),
            parse_math=False,
            bbox={"boxstyle": "round,pad=0.25", "facecolor": to_hex(shade), "linewidth": 0},
        )


def shortened(word: str, letters: int) -> str:
    """Return a word as it can be drawn, and not so long that it meets its neighbour."""
    word = visible(word)
    return word if len(word) <= letters else f"{word[: letters - 1]}…"


def draw_lines(
    ax: Axes, x: Array, rows: Array, labels: Sequence[str], *, joined: bool = True
) -> None:
    """Draw a line with markers for each row, each unlike the others in colour, marker and style.

    Where they are not `joined`, markers of the same x stand side by side.
    """
    for n, (row, label) in enumerate(zip(rows, labels, strict=True)):
        aside = 0.0 if joined else 0.4 * ((n + 0.5) / len(labels) - 0.5)
        ax.plot(
            x + aside,
            row,
            label=textwrap.fill(label, 32),
            color=COLORS[n % len(COLORS)],
            marker=_MARKERS[n % len(_MARKERS)],
            linestyle=_STYLES[n // len(COLORS) % len(_STYLES)] if joined else "none",
            fillstyle=_FILLS[n // len(COLORS) % len(_FILLS)],
            markersize=5,
        )


def draw_title(ax: Axes, title: str) -> None:
    """Write a title above the left end of the axes."""
    title = visible(title)
    font = Font([title])
    ax.set_title(
        font.drawable(title),
        loc="left",
        pad=letter_size(),
        fontproperties=font_properties(font.families, 1.1 * letter_size()),
        parse_math=False,
    )


def finish(ax: Axes, *, title: str, x: str, y: str, legend: str = "") -> None:
    """Name the axes and draw a light grid, and a legend beside them."""
    draw_title(ax, title)
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    ax.grid(color="#dddddd", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    drawn = ax.legend(
        title=legend or None,
        alignment="left",
        loc="upper left",
        bbox_to_anchor=(1.01, 1),
        frameon=False,
        borderaxespad=0,
        fontsize=label_size(),
        title_fontsize=label_size(),
    )
    for text in drawn.get_texts():
        text.set_parse_math(False)
