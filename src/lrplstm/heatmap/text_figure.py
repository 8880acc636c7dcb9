"""Pictures of words with matplotlib: on axes, and on sheets of a figure of our own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lrplstm.heatmap.passages import WordsPicture
from lrplstm.heatmap.sheets import (
    MARGIN,
    SIZE,
    WIDTH,
    Font,
    draw_title,
    title_height,
    wrapped_title,
)
from lrplstm.heatmap.text_layout import lay_out

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["TextSheet", "draw_words"]

_WORDS = 1.1  # size of words, of that of letters


class TextSheet:
    """A picture of words, laid out on the width of a figure of our own."""

    def __init__(self, picture: WordsPicture, width: float = WIDTH, size: float = SIZE) -> None:
        self.font, self.picture = _drawable(picture)
        self.width, self.size = width, size
        inner = width - 2 * MARGIN
        em = _WORDS * size / 72
        self.text_height = lay_out(self.picture, inner / em, self.font.measure).height * em
        self.title = wrapped_title(self.picture.title, self.font, inner, size)

    @property
    def height(self) -> float:
        """Height with the title and the margin above, inches."""
        return MARGIN + title_height(self.title, self.size) + self.text_height

    def add_to(self, figure: Figure, bottom: float) -> Axes:
        """Draw it on new axes, so many inches above the bottom of the figure."""
        width, height = figure.get_size_inches()
        place = [MARGIN, bottom, width - 2 * MARGIN, self.text_height]
        ax = figure.add_axes(tuple(np.array(place) / np.array([width, height, width, height])))
        _add(ax, self.picture, self.font, self.size, self.title)
        return ax


def draw_words(ax: Axes, picture: WordsPicture, size: float) -> None:
    """Draw a picture of words on axes, in letters small enough for all of it to fit in."""
    font, picture = _drawable(picture)
    width = ax.bbox.width / ax.figure.dpi
    _add(ax, picture, font, size, wrapped_title(picture.title, font, width, size))


def _drawable(picture: WordsPicture) -> tuple[Font, WordsPicture]:
    """Return fonts for a picture, and the picture with U+FFFD for letters that no font has."""
    texts = picture.texts
    font = Font(texts)
    return font, picture.in_letters_of({text: font.drawable(text) for text in texts})


def _add(ax: Axes, picture: WordsPicture, font: Font, size: float, title: str) -> None:
    from lrplstm.heatmap.text_artist import Words

    ax.add_artist(Words(picture, font, _WORDS * size))
    if title:
        draw_title(ax, title, font, size)
    ax.xaxis.set_visible(False)
    ax.yaxis.set_visible(False)
    ax.set_facecolor("white")
    ax.spines[:].set_visible(False)
