"""Words for a terminal, in colours or with numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from lrplstm.heatmap.content import (
    ALL_ZERO,
    ENDS,
    NOT_IN_VOCABULARY,
    bar_start,
    checked_content,
    checked_texts,
    signed,
)
from lrplstm.heatmap.escapes import Screen
from lrplstm.heatmap.layout import Piece, flow, lines, row_blocks
from lrplstm.texts import visible

__all__ = ["legend_lines", "note_lines", "to_terminal"]

_UNKNOWN_MARK = "°"  # follows an unknown word: an underline may get lost

_BAR_CELLS = 21  # odd, so that one cell is zero


def to_terminal(
    words: Sequence[str],
    relevance: npt.ArrayLike,
    *,
    unknown: npt.ArrayLike | None = None,
    row_labels: Sequence[str] | None = None,
    ends: tuple[str, str] = ENDS,
    own_scales: bool = False,
    color_system: str | None = "auto",
    background: str = "auto",
    width: int | None = None,
    notes: Sequence[str] = (),
) -> str:
    """Draw words on backgrounds coloured by their relevance, as text for a terminal.

    Without colours every word carries its number, ``word(+0.531)``, so that nothing is lost. With
    them words without relevance have none. Words that the vocabulary lacks end in ``°`` (and are
    underlined where there are colours). Rows that take several lines have these in turn, so that
    the same words stand one under another. The legend comes after them, and notes come last.

    Parameters
    ----------
    words, relevance, unknown, row_labels, ends
        As in :func:`to_html`.
    own_scales : bool, optional
        Whether the largest absolute relevance of each row, rather than of all, has the full colour.
    color_system : {"auto", "always", "truecolor", "256", None}, optional
        Which escape codes to use; None for none at all. "always": "truecolor" where COLORTERM
        promises it, else "256". "auto" is the same where colours are wanted, else None: where
        standard output is a terminal and TERM is not "dumb", unless NO_COLOR is set or CLICOLOR is
        0; and wherever FORCE_COLOR or CLICOLOR_FORCE say so.
    background : {"auto", "light", "dark"}, optional
        What is behind the text of the terminal. "auto": what COLORFGBG says, else colours that can
        be seen on both.
    width : int, optional
        Columns of the terminal, to break lines at. By default every row is one line.
    notes : sequence of str
        Lines that follow the legend.

    Returns
    -------
    str
        Lines joined by newlines, none at the end.

    Raises
    ------
    TypeError, ValueError
        As :func:`to_html`; also for another `color_system` or `background`, and for a `width` below
        1.

    Examples
    --------
    >>> print(to_terminal(["not", "bad"], [0.5, -0.25], unknown=[False, True], color_system=None))
    not(+0.5) bad°(-0.25)
    speaks against  -0.5            0            +0.5  speaks for  ° not in the vocabulary
    """
    from wcwidth import wcswidth

    content = checked_content(words, relevance, unknown, row_labels, ends)
    screen = Screen.of(color_system, background)
    if width is not None and width < 1:
        raise ValueError(f"width: expected at least 1, got {width}")
    columns = math.inf if width is None else width
    marked = [
        word + _UNKNOWN_MARK if unknown else word
        for word, unknown in zip(content.words, content.unknown, strict=True)
    ]
    texts = [marked] * len(content.relevance)
    if screen.system is None:
        texts = [
            [f"{word}({signed(value)})" for word, value in zip(marked, values, strict=True)]
            for values in content.relevance.tolist()
        ]
    full = np.abs(content.relevance).max(axis=1 if own_scales else None, keepdims=True)
    fractions = np.divide(content.relevance, full, np.zeros_like(content.relevance), where=full > 0)
    backgrounds = [screen.backgrounds(row) for row in fractions]
    blocks = list(row_blocks(content, texts, columns, 1, wcswidth, backgrounds=backgrounds))
    rows = [[list(line) for line in lines(block)] for block in blocks]
    in_turn = screen.system is not None and len(rows) > 1
    shown = _in_turn(rows) if in_turn else (line for row in rows for line in row)
    return "\n".join(
        [
            *(_styled_line(line, screen) for line in shown),
            *legend_lines(
                content.ends,
                None if own_scales and content.scale else content.scale,
                screen,
                width,
                unknown=any(content.unknown),
            ),
            *note_lines(notes, width),
        ]
    )


def _in_turn(rows: list[list[list[Piece]]]) -> Iterator[list[Piece]]:
    """Yield the first line of each row, then the second of each, below labels of their own."""
    labels = [row[0][0] for row in rows]
    beside = len(rows[0][0]) > 1 and rows[0][-1][0].column > 0  # rather than above the words
    if len(rows[0]) == 1 or not beside:
        yield from (line for row in rows for line in row)
        return
    for number, lines_of_all in enumerate(zip(*rows, strict=True)):
        if number:
            yield []
        for label, line in zip(labels, lines_of_all, strict=True):
            yield [label, *line] if number else line


def legend_lines(
    ends: tuple[str, str],
    scale: float | None,
    screen: Screen,
    width: int | None,
    *,
    unknown: bool = False,
    all_zero: str = ALL_ZERO,
) -> list[str]:
    """Return the colour bar between what its ends say, in lines.

    Without a scale, as of rows that have their own, there are no numbers.
    """
    from wcwidth import wcswidth

    columns = math.inf if width is None else width
    start, (against, favor) = bar_start(ends), ends
    bar = (
        "0".center(int(min(_BAR_CELLS, columns))) if start else " " * int(min(_BAR_CELLS, columns))
    )
    texts = [against, "", bar, "", favor]
    if scale:
        texts[1], texts[3] = signed(start * scale), signed(scale)
    pieces = [
        Piece(text, bar=start if text is bar else None) for text in texts if text or text is bar
    ]
    if scale == 0:
        pieces = [Piece(all_zero)]
    if unknown:
        pieces.append(Piece(f"{_UNKNOWN_MARK} {NOT_IN_VOCABULARY}", unknown=True))
    return [_styled_line(line, screen) for line in lines(flow(pieces, columns, 2, wcswidth))]


def note_lines(notes: Sequence[str], width: int | None) -> list[str]:
    """Return notes as lines of at most so many cells."""
    from wcwidth import wcswidth

    broken = []
    for note in checked_texts("notes", notes):
        words = map(Piece, visible(note).split(" "))
        pieces = flow(words, math.inf if width is None else width, 1, wcswidth)
        broken += [_styled_line(line, Screen(None, "any")) for line in lines(pieces)]
    return broken


def _styled_line(pieces: Iterable[Piece], screen: Screen) -> str:
    """Put the pieces of a line where they belong."""
    line, end = "", 0.0
    for piece in pieces:
        line += " " * int(piece.column - end)
        end = piece.column + piece.width
        if piece.bar is None:
            line += screen.styled(piece.text, piece.background, underlined=piece.unknown)
            continue
        backgrounds = screen.backgrounds(np.linspace(piece.bar, 1, len(piece.text)))
        for char, background in zip(piece.text, backgrounds, strict=True):
            line += screen.styled(char, background)
    return line
