"""Words broken into lines, beside their labels and above the legend.

Widths are character cells in a terminal, font sizes in matplotlib.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple, TypeAlias

from lrplstm.heatmap.colors import RGB
from lrplstm.heatmap.content import ALL_ZERO, Content, signed

__all__ = ["Piece", "flow", "legend_block", "lines", "row_blocks"]

_Measure: TypeAlias = Callable[[str], float]  # width of a text


class Piece(NamedTuple):
    """A text and its looks; its place comes from :func:`flow`."""

    text: str
    background: RGB | None = None  # words have one
    unknown: bool = False
    bar: float | None = None  # of the colour bar of the legend: where it begins, -1 or 0
    line: int = 0
    column: float = 0.0
    width: float = 0.0


def flow(pieces: Iterable[Piece], columns: float, gap: float, measure: _Measure) -> Iterator[Piece]:
    """Break a text into lines, counted from 0.

    A piece moves to the next line as a whole. Only one that is wider than a line is cut.
    """
    line, column = 0, 0.0
    for piece in pieces:
        width = measure(piece.text)
        parts = [piece.text] if width <= columns else _cut(piece.text, columns, measure)
        for number, part in enumerate(parts):
            if number or (column and column + width > columns):
                line, column = line + 1, 0.0
            width = measure(part)
            yield piece._replace(text=part, line=line, column=column, width=width)
            column += width + gap


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
    mirrored: bool = False,
    backgrounds: Iterable[Iterable[RGB | None]] | None = None,
) -> Iterator[list[Piece]]:
    """Lay out every row, its lines counted from 0: the label, then the words as these texts.

    The words stand beside their label, or below it where it would take more than half the line.
    Mirrored, they run from the right to the left. Their backgrounds are those on white paper, if
    none are given.
    """
    labels = content.labels
    indent = 0.0 if labels is None else max(map(measure, labels)) + 2 * gap
    beside = indent <= columns / 2
    if not beside:
        indent = 0.0
    if backgrounds is None:
        backgrounds = [map(tuple, colors) for colors in content.colors.tolist()]
    for row, colors in enumerate(backgrounds):
        block = [] if labels is None else [*flow([Piece(labels[row])], columns, gap, measure)]
        first = 0 if beside else block[-1].line + 1
        words = map(Piece, texts[row], colors, content.unknown)
        for word in flow(words, columns - indent, gap, measure):
            column = columns - word.column - word.width if mirrored else indent + word.column
            block.append(word._replace(line=first + word.line, column=column))
        yield block


def legend_block(
    content: Content, columns: float, gap: float, measure: _Measure, *, bar: str, unknown: str
) -> list[Piece]:
    """Lay out the legend around the text of the colour bar, with what marks unknown words."""
    pieces = [Piece(ALL_ZERO)]
    if content.scale:
        low = Piece(signed(content.start * content.scale))
        high = Piece(signed(content.scale))
        against, favor = (Piece(end) for end in content.ends)
        middle = Piece(bar if content.start else " " * len(bar), bar=content.start)
        pieces = [against, low, middle, high, favor]
        pieces = [piece for piece in pieces if piece.text]
    if any(content.unknown):
        pieces.append(Piece(unknown, unknown=True))
    return list(flow(pieces, columns, gap, measure))
