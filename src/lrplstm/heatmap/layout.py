"""Texts broken into lines.

Widths are character cells in a terminal, font sizes in matplotlib.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple, TypeAlias

from lrplstm.heatmap.colors import RGB
from lrplstm.heatmap.content import Content
from lrplstm.heatmap.spacing import stands_close

__all__ = ["Piece", "flow", "lines", "row_blocks"]

_Measure: TypeAlias = Callable[[str], float]  # width of a text


class Piece(NamedTuple):
    """A text and its looks; its place comes from :func:`flow`."""

    text: str
    background: RGB | None = None  # words have one
    unknown: bool = False
    bar: float | None = None  # of the colour bar of the legend: where it begins, -1 or 0
    close: bool = False  # to the piece before, on whose line it stays
    line: int = 0
    column: float = 0.0
    width: float = 0.0


def flow(
    pieces: Iterable[Piece],
    columns: float,
    gap: float,
    measure: _Measure,
    close_gap: float | None = None,
) -> Iterator[Piece]:
    """Break a text into lines, counted from 0.

    A piece moves to the next line as a whole, with those that stand close to it. Only what is wider
    than a line by itself is cut.
    """
    close_gap = gap if close_gap is None else close_gap
    line, column = 0, 0.0
    for chain in _chains(pieces):
        widths = [measure(piece.text) for piece in chain]
        whole = sum(widths) + close_gap * (len(chain) - 1)
        if column and column + whole > columns:
            line, column = line + 1, 0.0
        for piece, width in zip(chain, widths, strict=True):
            if piece.close and column:
                column += close_gap - gap
            parts = [piece.text] if width <= columns else _cut(piece.text, columns, measure)
            for number, part in enumerate(parts):
                if number or (column and column + width > columns):
                    line, column = line + 1, 0.0
                width = measure(part)
                yield piece._replace(text=part, line=line, column=column, width=width)
                column += width + gap


def _chains(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    """Yield pieces with those that stand close to them."""
    chain: list[Piece] = []
    for piece in pieces:
        if chain and not piece.close:
            yield chain
            chain = []
        chain.append(piece)
    if chain:
        yield chain


def _cut(text: str, columns: float, measure: _Measure) -> Iterator[str]:
    """Cut a text into parts that are at most so wide, of one character at least."""
    start, width = 0, 0.0
    for end, char in enumerate(text):
        width += measure(char)
        if width > columns and end > start:
            yield text[start:end]
            start, width = end, measure(char)
    yield text[start:]


def lines(pieces: Iterable[Piece]) -> Iterator[Iterator[Piece]]:
    """Group pieces by their lines."""
    return (group for _, group in groupby(pieces, key=attrgetter("line")))


def row_blocks(
    content: Content,
    texts: list[list[str]],
    columns: float,
    gap: float,
    measure: _Measure,
    *,
    backgrounds: Iterable[Iterable[RGB | None]] | None = None,
) -> Iterator[list[Piece]]:
    """Lay out every row, its lines counted from 0: the label, then the words as these texts.

    The words stand beside their label, or below it where it would take more than half the line.
    Their backgrounds are those on white paper, if none are given.
    """
    labels = content.labels
    indent = 0.0 if labels is None else max(map(measure, labels)) + 2 * gap
    beside = indent <= columns / 2
    if not beside:
        indent = 0.0
    if backgrounds is None:
        backgrounds = [map(tuple, colors) for colors in content.colors.tolist()]
    close = stands_close(content.words)
    for row, colors in enumerate(backgrounds):
        block = [] if labels is None else [*flow([Piece(labels[row])], columns, gap, measure)]
        first = 0 if beside else block[-1].line + 1
        words = [
            Piece(text, rgb, unknown, close=together)
            for text, rgb, unknown, together in zip(
                texts[row], colors, content.unknown, close, strict=True
            )
        ]
        block += (
            word._replace(line=first + word.line, column=indent + word.column)
            for word in flow(words, columns - indent, gap, measure)
        )
        yield block
