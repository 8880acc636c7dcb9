"""Pictures of words laid out: passages beside their labels, in lines, above their legend.

All lengths are in font sizes; y points downwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np

from lrplstm.heatmap.content import ALL_ZERO, NOT_IN_VOCABULARY, bar_start, signed
from lrplstm.heatmap.layout import Piece, flow, lines
from lrplstm.heatmap.passages import Group, Legend, Passage, WordsPicture
from lrplstm.heatmap.sheets import NOTE_COLOR

__all__ = ["CLOSE_GAP", "PADDING", "ColorBar", "Layout", "Placed", "ScoreBar", "lay_out"]

PADDING = 0.3
"""Beside a word in its box."""
CLOSE_GAP = 0.36
"""Between words that stand close, half of it in either box."""

_LINE = 1.8  # distance of the lines
_ROW_GAP, _GROUP_GAP, _LEGEND_GAP = 0.2, 0.5, 0.6  # between rows, groups, and above the legend
_LINES_GAP = 0.7  # below a row of more lines than one
_WORD_GAP = 0.9
_LABEL_GAP, _COLUMN_GAP, _LEGEND_ITEM_GAP = 0.8, 2.0, 1.0
_SCORE_BAR = 4.0
_LEAST_BAR, _MOST_BAR = 5.0, 15.0  # width of the colour bar of a legend

_Measure: TypeAlias = Callable[[str], float]  # width of a text


class Placed(NamedTuple):
    """A text where it is.

    Attributes
    ----------
    middle : float
        Of its line.
    piece : Piece
    color : str
        Of a text that is no word.
    box : (float, float), or None
        Of a word: from where to where its background goes.
    """

    middle: float
    piece: Piece
    color: str = NOTE_COLOR
    box: tuple[float, float] | None = None


class ScoreBar(NamedTuple):
    """A bar from x to x + width, which a line marks where it is 0."""

    middle: float
    x: float
    width: float
    zero: float


class ColorBar(NamedTuple):
    """The bar of a legend, from so large a fraction of the scale on."""

    middle: float
    x: float
    width: float
    start: float


@dataclass(frozen=True)
class Layout:
    """Where everything is on lines of some width."""

    texts: list[Placed]
    score_bars: list[ScoreBar]
    color_bars: list[ColorBar]
    height: float


def lay_out(picture: WordsPicture, width: float, measure: _Measure) -> Layout:
    """Break a picture into lines of this width."""
    page = _Page(picture, measure)
    if picture.in_columns:
        count = len(picture.groups)
        each = (width - _COLUMN_GAP * (count - 1)) / count
        ends = [
            page.add_group(group, n * (each + _COLUMN_GAP), 0.0, each)
            for n, group in enumerate(picture.groups)
        ]
        top = max(ends)
    else:
        top = 0.0
        for group in picture.groups:
            top += _GROUP_GAP if top and group.heading else 0.0
            top = page.add_group(group, 0.0, top, width)
    if picture.legend is not None:
        shown = any(np.any(one.shades) for one in picture.passages)
        top = page.add_legend(picture.legend, shown, top + _LEGEND_GAP, width)
    for note in picture.notes:
        top = page.add_text(note, 0.0, top, width, NOTE_COLOR) + _ROW_GAP
    return Layout(page.texts, page.score_bars, page.color_bars, top)


class _Page:
    """What was placed so far. Each method returns where what it placed ends."""

    def __init__(self, picture: WordsPicture, measure: _Measure) -> None:
        self.measure = measure
        self.labels = _Labels(picture.passages, measure)
        self.texts: list[Placed] = []
        self.score_bars: list[ScoreBar] = []
        self.color_bars: list[ColorBar] = []

    def add_group(self, group: Group, x: float, top: float, width: float) -> float:
        """Place a heading and the passages below it."""
        if group.heading:
            top = self.add_text(group.heading, x, top, width, "black")
        beside = self.labels.width <= width / 2
        indent = self.labels.width if beside else 0.0
        space = width - indent - 2 * PADDING
        for one in group.passages:
            self._add_label(one, x, top + _LINE / 2)
            top += 0.0 if beside or not self.labels.width else _LINE
            words = [*flow(_words(one), space, _WORD_GAP, self.measure, CLOSE_GAP)]
            self._add_words(words, x + indent + PADDING, top, space if one.right_to_left else None)
            last = words[-1].line
            top += _LINE * (last + 1) + (_LINES_GAP if last else _ROW_GAP)
        return top

    def add_text(self, text: str, x: float, top: float, width: float, color: str) -> float:
        """Place a text, broken into lines."""
        words = flow(map(Piece, text.split()), width, self.measure(" "), self.measure)
        for line in lines(words):
            self._add_at(" ".join(word.text for word in line), x, top + _LINE / 2, color)
            top += _LINE
        return top

    def add_legend(self, legend: Legend, shown: bool, top: float, width: float) -> float:
        """Place the legend."""
        parts = [*_legend_pieces(legend, shown)]
        widths = [self.measure(part.text) + _LEGEND_ITEM_GAP for part in parts]
        bar = width - sum(widths)
        if bar < _LEAST_BAR:  # remarks go on the next line
            bar = max(_LEAST_BAR, width - sum(widths[:5]))
        bar = min(bar, _MOST_BAR)
        pieces = [
            *flow(parts, width, _LEGEND_ITEM_GAP, lambda text: self.measure(text) if text else bar)
        ]
        for piece in pieces:
            middle = top + _LINE * (piece.line + 0.5)
            if piece.bar is None:
                self._add(piece, top)
                continue
            self.color_bars.append(ColorBar(middle, piece.column, bar, piece.bar))
            if piece.bar:  # 0 is in its middle
                self._add_at("0", piece.column + (bar - self.measure("0")) / 2, middle, "black")
        return top + _LINE * (pieces[-1].line + 1) + _ROW_GAP

    def _add_words(self, words: list[Piece], x: float, top: float, mirrored: float | None) -> None:
        """Place words in boxes, from the right to the left where they are mirrored on a width."""
        for n, word in enumerate(words):
            following = words[n + 1 : n + 2]
            joined = (
                word.close and n > 0 and words[n - 1].line == word.line,
                any(one.close and one.line == word.line for one in following),
            )
            before, after = (CLOSE_GAP / 2 if one else PADDING for one in joined)
            left = x + word.column
            if mirrored is not None:
                left = x + mirrored - word.column - word.width
                before, after = after, before
            middle = top + _LINE * (word.line + 0.5)
            box = left - before, left + word.width + after
            self.texts.append(Placed(middle, word._replace(column=left), box=box))

    def _add(self, piece: Piece, top: float, color: str = NOTE_COLOR) -> None:
        self.texts.append(Placed(top + _LINE * (piece.line + 0.5), piece, color))

    def _add_at(self, text: str, x: float, middle: float, color: str = NOTE_COLOR) -> None:
        piece = Piece(text, column=x, width=self.measure(text))
        self.texts.append(Placed(middle, piece, color))

    def _add_label(self, one: Passage, x: float, middle: float) -> None:
        """Place what stands before a passage."""
        labels = self.labels
        if one.label:
            self._add_at(one.label, x, middle)
        x += labels.label + _LABEL_GAP if labels.label else 0.0
        if one.bar is not None:
            zero = x - labels.lowest * labels.unit
            width = abs(one.bar) * labels.unit
            left = zero + min(one.bar, 0.0) * labels.unit
            self.score_bars.append(ScoreBar(middle, left, width, zero))
        x += _SCORE_BAR + _LABEL_GAP if labels.has_bars else 0.0
        for text, column in ((one.number, labels.number), (one.scale, labels.scale)):
            if text:  # flush right
                self._add_at(text, x + column - self.measure(text), middle)
            x += column + _LABEL_GAP if column else 0.0


class _Labels:
    """How wide labels, numbers and scales of all passages are, and what a score's bar means."""

    def __init__(self, passages: list[Passage], measure: _Measure) -> None:
        def widest(texts: Iterable[str]) -> float:
            return max((measure(text) for text in texts if text), default=0.0)

        self.label = widest(one.label for one in passages)
        self.number = widest(one.number for one in passages)
        self.scale = widest(one.scale for one in passages)
        bars = [one.bar for one in passages if one.bar is not None]
        self.has_bars = bool(bars)
        # Where all scores have one sign, their 0 is at the end.
        self.lowest = min([0.0, *bars])
        self.unit = _SCORE_BAR / ((max([0.0, *bars]) - self.lowest) or 1.0)

    @property
    def width(self) -> float:
        """Width of all of it with the gaps, 0 for nothing."""
        widths = [self.label, _SCORE_BAR if self.has_bars else 0.0, self.number, self.scale]
        return sum(width + _LABEL_GAP for width in widths if width)


def _words(one: Passage) -> Iterator[Piece]:
    rows = zip(one.words, one.colors.tolist(), one.unknown, one.close, strict=True)
    for word, rgb, unknown, close in rows:
        yield Piece(word, tuple(rgb), unknown, close=close)


def _legend_pieces(legend: Legend, shown: bool) -> Iterator[Piece]:
    """Yield the parts of a legend; an empty text is the colour bar."""
    if shown:
        start, (low, high) = bar_start(legend.ends), legend.ends
        below = above = ""
        if legend.scale is not None:
            below, above = signed(start * legend.scale), signed(legend.scale)
        before = [text for text in (low, below) if text]
        yield from map(Piece, before)
        yield Piece("", bar=start, close=bool(before))
        for n, text in enumerate(text for text in (above, high) if text):
            yield Piece(text, close=n == 0)
        yield from map(Piece, legend.remarks)
    else:
        yield Piece(ALL_ZERO)
    if legend.unknown:
        yield Piece(NOT_IN_VOCABULARY, unknown=True)
