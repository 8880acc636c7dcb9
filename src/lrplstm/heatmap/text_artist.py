"""An artist of matplotlib for pictures of words, which breaks lines whenever it is drawn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.collections import LineCollection, PatchCollection, PathCollection
from matplotlib.patches import BoxStyle, Rectangle
from matplotlib.path import Path
from matplotlib.text import Text
from matplotlib.transforms import Affine2D

from lrplstm.heatmap.colors import color, ink, to_hex
from lrplstm.heatmap.passages import WordsPicture
from lrplstm.heatmap.sheets import NOTE_COLOR, Font, font_properties
from lrplstm.heatmap.text_layout import ColorBar, Layout, Placed, lay_out

__all__ = ["Words"]

_MIN_COLUMNS = 14.0  # letters have to be so small that a line has this many font sizes
_LEAST_SIZE = 0.5  # points

# In font sizes:
_WORD_HEIGHT = 1.4
_BAR_HEIGHT, _SCORE_BAR_HEIGHT, _ZERO_HEIGHT = 1.1, 0.7, 1.2
_BASELINE, _UNDERLINE = 0.28, 0.46  # below the middle of the line

_BAR_STEPS = 120  # colours of the legend's bar
_SCORE_COLOR = "#8c8c8c"


class Words(Artist):
    """A picture of words on the whole of its axes, in letters as large as fit into them.

    Parameters
    ----------
    picture : WordsPicture
        In letters that can be drawn.
    font : Font
        With all these letters.
    size : float
        Of words, points; smaller where they would not fit in.
    """

    def __init__(self, picture: WordsPicture, font: Font, size: float) -> None:
        super().__init__()
        self.set_zorder(2)
        self._picture, self._font, self._most = picture, font, size
        self._of: tuple[float, float] | None = None  # what the layout was made for

    def get_children(self) -> list[Artist]:
        """Return boxes, bars, lines and texts where they are on the axes as these are now."""
        assert self.axes is not None
        box, dpi = self.axes.bbox, self.axes.figure.dpi
        width, height = box.width * 72 / dpi, box.height * 72 / dpi
        if self._of != (width, height):
            self._of = width, height
            self._size, self._layout = self._fitted(width, height)
        em = self._size / 72 * dpi
        place = Affine2D().scale(em, -em).translate(box.x0, box.y1)
        children = [
            *_shapes(self._layout, self._size),
            *_texts(self._layout.texts, self._font, self._size),
        ]
        for child in children:
            child.set_transform(place)
            child.set_figure(self.axes.figure)
            child.axes = self.axes
        return children

    def draw(self, renderer: Any) -> None:
        """Draw them."""
        if self.get_visible():
            for child in self.get_children():
                child.draw(renderer)
        self.stale = False

    def _fitted(self, width: float, height: float) -> tuple[float, Layout]:
        """Return a size of letters, and the layout on so many points, which is not higher."""
        size = max(_LEAST_SIZE, min(self._most, width / _MIN_COLUMNS))
        while True:
            layout = lay_out(self._picture, width / size, self._font.measure)
            if layout.height * size <= height + 0.01 or size == _LEAST_SIZE:
                return size, layout
            size = max(_LEAST_SIZE, 0.95 * size)


def _shapes(layout: Layout, size: float) -> Iterator[Artist]:
    boxes: list[Path] = []
    fills: list[str] = []
    lines = []
    rounded = BoxStyle.Round(pad=0, rounding_size=0.2)
    for middle, piece, _, box in layout.texts:
        left, right = piece.column, piece.column + piece.width
        if box is not None and piece.background is not None:
            low, high = box
            boxes.append(rounded(low, middle - _WORD_HEIGHT / 2, high - low, _WORD_HEIGHT, 1))
            fills.append(to_hex(piece.background))
        if piece.unknown:
            lines.append([(left, middle + _UNDERLINE), (right, middle + _UNDERLINE)])
    yield PathCollection(boxes, facecolors=fills, linewidths=0)
    yield LineCollection(lines, colors=NOTE_COLOR, linestyles=":", linewidths=0.1 * size)
    for bar in layout.color_bars:
        yield _color_bar(bar)
    if layout.score_bars:
        yield PatchCollection(
            [
                Rectangle((x, middle - _SCORE_BAR_HEIGHT / 2), width, _SCORE_BAR_HEIGHT)
                for middle, x, width, _ in layout.score_bars
            ],
            facecolors=_SCORE_COLOR,
            linewidths=0,
        )
        zeros = [
            [(zero, middle - _ZERO_HEIGHT / 2), (zero, middle + _ZERO_HEIGHT / 2)]
            for middle, _, _, zero in layout.score_bars
        ]
        yield LineCollection(zeros, colors=NOTE_COLOR, linewidths=0.06 * size)


def _color_bar(bar: ColorBar) -> Artist:
    """Return the bar of a legend.

    Each colour reaches to the end, below those that follow, so that viewers leave no gaps between.
    """
    begin: npt.NDArray[np.float64] = np.arange(_BAR_STEPS) / _BAR_STEPS * bar.width
    top = bar.middle - _BAR_HEIGHT / 2
    return PatchCollection(
        [Rectangle((bar.x + at, top), bar.width - at, _BAR_HEIGHT) for at in begin],
        facecolors=[*map(to_hex, color(np.linspace(bar.start, 1, _BAR_STEPS)))],
        linewidths=0,
        antialiased=False,
    )


def _texts(texts: list[Placed], font: Font, size: float) -> Iterator[Artist]:
    properties = font_properties(font.families, size)
    for middle, piece, letters, _ in texts:
        paint = to_hex(ink(piece.background)) if piece.background else letters
        yield Text(
            piece.column + piece.width / 2,
            middle + _BASELINE,
            piece.text,
            color=paint,
            fontproperties=properties,
            horizontalalignment="center",
            verticalalignment="baseline",
            parse_math=False,
            usetex=False,
        )
