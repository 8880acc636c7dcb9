"""Text for a terminal, in colours or with numbers."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from lrplstm.heatmap.colors import RGB, color, ink
from lrplstm.heatmap.content import (
    ENDS,
    NOT_IN_VOCABULARY,
    checked_content,
    checked_texts,
    signed,
)
from lrplstm.heatmap.layout import Piece, flow, legend_block, lines, row_blocks
from lrplstm.texts import visible

__all__ = ["note_lines", "to_terminal"]

_UNKNOWN_MARK = "°"  # follows an unknown word: an underline may get lost

_BAR_CELLS = 21  # odd, so that one cell is zero

_PAPER: RGB = (255, 255, 255)

# Of the 256 colours those that run from blue over white to red in even steps, and their numbers.
_RAMP_256: dict[RGB, int] = {
    (0, 95, 175): 25,
    (95, 135, 215): 68,
    (135, 175, 215): 110,
    (175, 215, 255): 153,
    (215, 215, 255): 189,
    (255, 255, 255): 231,
    (255, 215, 215): 224,
    (255, 175, 175): 217,
    (215, 135, 135): 174,
    (215, 95, 95): 167,
    (175, 0, 0): 124,
}
_BLACK_256, _WHITE_256 = 16, 231


def to_terminal(
    words: Sequence[str],
    relevance: npt.ArrayLike,
    *,
    unknown: npt.ArrayLike | None = None,
    row_labels: Sequence[str] | None = None,
    ends: tuple[str, str] = ENDS,
    color_system: str | None = "auto",
    width: int | None = None,
    notes: Sequence[str] = (),
) -> str:
    """Draw words on backgrounds coloured by their relevance, as text for a terminal.

    Without colours every word carries its number, ``word(+0.531)``, so that nothing is lost. Words
    that the vocabulary lacks end in ``°`` (and are underlined where there are colours). The legend
    comes after them, and notes come last.

    Parameters
    ----------
    words, relevance, unknown, row_labels, ends
        As in :func:`to_html`.
    color_system : {"auto", "always", "truecolor", "256", None}
        Which escape codes to use; None for none at all. "always" goes by the environment: none
        where NO_COLOR is set and not empty or TERM is "dumb"; "truecolor" where COLORTERM promises
        it; else "256". "auto" is the same where standard output is a terminal, else None.
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
        As :func:`to_html`; also for another `color_system`, and for a `width` below 1.

    Examples
    --------
    >>> print(to_terminal(["not", "bad"], [0.5, -0.25], unknown=[False, True], color_system=None))
    not(+0.5) bad°(-0.25)
    speaks against  -0.5            0            +0.5  speaks for  ° not in the vocabulary
    """
    from wcwidth import wcswidth

    content = checked_content(words, relevance, unknown, row_labels, ends)
    system = _resolved_color_system(color_system)
    if width is not None and width < 1:
        raise ValueError(f"width: expected at least 1, got {width}")
    columns = math.inf if width is None else width
    marked = [
        word + _UNKNOWN_MARK if unknown else word
        for word, unknown in zip(content.words, content.unknown, strict=True)
    ]
    texts = [marked] * len(content.relevance)
    if system is None:
        texts = [
            [f"{word}({signed(value)})" for word, value in zip(marked, values, strict=True)]
            for values in content.relevance.tolist()
        ]
    bar, note = "0".center(int(min(_BAR_CELLS, columns))), f"{_UNKNOWN_MARK} {NOT_IN_VOCABULARY}"
    blocks = [
        *row_blocks(content, texts, columns, 1, wcswidth),
        legend_block(content, columns, 2, wcswidth, bar=bar, unknown=note),
    ]
    shown = [_styled_line(line, system) for block in blocks for line in lines(block)]
    return "\n".join([*shown, *note_lines(notes, width)])


def note_lines(notes: Sequence[str], width: int | None) -> list[str]:
    """Return notes as lines of at most so many cells."""
    from wcwidth import wcswidth

    broken = []
    for note in checked_texts("notes", notes):
        words = map(Piece, visible(note).split(" "))
        pieces = flow(words, math.inf if width is None else width, 1, wcswidth)
        broken += [_styled_line(line, None) for line in lines(pieces)]
    return broken


def _resolved_color_system(color_system: str | None) -> str | None:
    """Return "truecolor", "256" or None."""
    if color_system in ("truecolor", "256", None):
        return color_system
    if color_system not in ("auto", "always"):
        raise ValueError(
            'color_system: expected "auto", "always", "truecolor", "256" or None, '
            f"got {color_system!r}"
        )
    if color_system == "auto" and not sys.stdout.isatty():
        return None
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return None
    promised = os.environ.get("COLORTERM", "").lower() in ("truecolor", "24bit")
    return "truecolor" if promised else "256"


def _styled_line(pieces: Iterable[Piece], color_system: str | None) -> str:
    """Put the pieces of a line where they belong; between the words of a row is white paper."""
    line, before = "", Piece("")
    for piece in pieces:
        space = " " * int(piece.column - before.column - before.width)
        paper = _PAPER if before.background and piece.background else None
        line += _styled(space, paper, color_system)
        if piece.bar is not None:
            fractions = np.linspace(piece.bar, 1, len(piece.text))
            backgrounds = map(tuple, color(fractions).tolist())
            for char, background in zip(piece.text, backgrounds, strict=True):
                line += _styled(char, background, color_system)
        else:
            line += _styled(piece.text, piece.background, color_system, piece.unknown)
        before = piece
    return line


def _styled(
    text: str, background: RGB | None, color_system: str | None, underlined: bool = False
) -> str:
    """Put a text between the escape codes for its colours and its underline, if any."""
    codes = []
    if color_system and underlined:
        codes.append("4")
    if color_system and background:
        codes.append(_color_codes(background, color_system))
    return f"\x1b[{';'.join(codes)}m{text}\x1b[0m" if codes else text


@lru_cache(maxsize=1024)
def _color_codes(background: RGB, color_system: str) -> str:
    """Return the SGR parameters for a background and the text on it."""
    if color_system == "truecolor":
        return "38;2;{};{};{};48;2;{};{};{}".format(*ink(background), *background)
    steps = list(_RAMP_256)
    step = steps[np.square(np.subtract(steps, background)).sum(axis=1).argmin()]
    text = _BLACK_256 if ink(step)[0] == 0 else _WHITE_256
    return f"38;5;{text};48;5;{_RAMP_256[step]}"
