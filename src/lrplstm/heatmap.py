"""Heat maps: words and their relevance as HTML, in a terminal, with matplotlib.

The module knows words and numbers only. Every picture of a sentence is made from the same three
things: the words made safe to show, one colour for each of them from :func:`color`, and a legend.
A sentence has one scale: its largest absolute relevance, over all rows, has the full colour.
"""

from __future__ import annotations

import html
import math
import os
import re
import string
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import groupby
from operator import attrgetter
from typing import IO, TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties

__all__ = ["color", "ink", "plot", "save_png", "to_html", "to_html_page", "to_terminal", "visible"]

RGB: TypeAlias = tuple[int, int, int]
Panel: TypeAlias = tuple[
    Sequence[str], npt.ArrayLike, npt.ArrayLike | None, Sequence[str] | None, str | None
]

_AGAINST, _FOR = "speaks against", "speaks for"
_ALL_ZERO = "the relevance of every word is 0"
_NOT_IN_VOCABULARY = "not in the vocabulary"
_UNKNOWN_MARK = "°"  # follows an unknown word where an underline may get lost


# Colours ------------------------------------------------------------------------------------------

# OKLab (Ottosson 2020, https://bottosson.github.io/posts/oklab/): distances look as large as they
# are. Both ends are equally light, so neither sign looks stronger than the other.
_WHITE, _RED, _BLUE = np.array([[1.0, 0.0, 0.0], [0.5, 0.174, 0.074], [0.5, -0.035, -0.134]])
_LMS_FROM_OKLAB = np.array(
    [
        [1.0, 0.3963377774, 0.2158037573],
        [1.0, -0.1055613458, -0.0638541728],
        [1.0, -0.0894841775, -1.2914855480],
    ]
)
_LINEAR_RGB_FROM_LMS = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


def color(fraction: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """Background colour of a word whose relevance is this fraction of the full scale.

    Zero is white, 1 a full red, -1 a full blue; in between the colour runs straight through OKLab,
    so that equal steps look equal and opposite fractions are equally light.

    Parameters
    ----------
    fraction : array_like of shape (...)
        Numbers from -1 to 1.

    Returns
    -------
    ndarray of uint8, shape (..., 3)
        Red, green and blue (sRGB).

    Raises
    ------
    ValueError
        If a fraction is NaN or outside -1 to 1.

    Examples
    --------
    >>> color([0, 0.5, -0.5]).tolist()
    [[255, 255, 255], [228, 150, 146], [145, 176, 218]]
    """
    fractions = np.asarray(fraction, dtype=np.float64)
    outside = fractions[~(np.abs(fractions) <= 1)]
    if outside.size:
        raise ValueError(f"fraction: expected numbers from -1 to 1, got {outside[0]}")
    strength = np.abs(fractions)[..., np.newaxis]
    end = np.where(fractions[..., np.newaxis] < 0, _BLUE, _RED)
    oklab = _WHITE + strength * (end - _WHITE)
    linear = (oklab @ _LMS_FROM_OKLAB.T) ** 3 @ _LINEAR_RGB_FROM_LMS.T
    linear = np.clip(linear, 0, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    channels: npt.NDArray[np.uint8] = np.rint(255 * srgb).astype(np.uint8)
    return channels


def ink(background: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """Text colour for a background: black or white, whichever has more contrast.

    Contrast is that of WCAG 2.2, (lighter + 0.05) / (darker + 0.05) of the relative luminances. The
    better of the two is at least 4.58 on any background: above the 4.5 that WCAG level AA asks for.

    Parameters
    ----------
    background : array_like of shape (..., 3)
        Red, green and blue (sRGB), 0 to 255.

    Returns
    -------
    ndarray of uint8, shape (..., 3)
        [0, 0, 0] or [255, 255, 255].

    Examples
    --------
    >>> ink(color([0.2, 1])).tolist()
    [[0, 0, 0], [255, 255, 255]]
    """
    srgb = np.asarray(background) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    luminance = linear @ np.array([0.2126, 0.7152, 0.0722])
    white_is_better = 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05
    channel = np.where(white_is_better, 255, 0).astype(np.uint8)
    return np.repeat(channel[..., np.newaxis], 3, axis=-1)


def _hex(rgb: Iterable[int]) -> str:
    """Return an sRGB colour as ``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*rgb)


# Words and numbers, checked and made safe to show -------------------------------------------------

# The joiners that build emoji and shape scripts (U+200C, U+200D) are not among them.
_UNSAFE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e"
    r"\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb\ufffe\uffff]"
)


def visible(text: str) -> str:
    r"""Write what would not show, or would act on its surroundings, as an escape such as ``\x1b``.

    That is: control characters, line separators, lone surrogates, and formatting characters that
    change the direction of writing or have no width. All other text stays as it is.

    Parameters
    ----------
    text : str
        Any text, from wherever.

    Returns
    -------
    str
        One line, safe to print in a terminal and possible to encode; not yet safe in HTML.

    Examples
    --------
    >>> print(visible("red\x1b[31m\n"))
    red\x1b[31m\n
    """
    return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def _visible_word(word: str) -> str:
    """Do the same to a word, and give one that would leave an empty box something to show."""
    shown = visible(word)
    return ("␣" * len(shown) if shown.isspace() else shown) or '""'


def _signed(value: float, digits: int = 3) -> str:
    """Write a number with its sign and some significant digits; zero has no sign."""
    return f"{value:+.{digits}g}" if value else "0"


@dataclass(frozen=True)
class _Sentence:
    """What is to be shown of one sentence: T words, R rows."""

    words: list[str]  # (T,), visible
    relevance: npt.NDArray[np.float64]  # (R, T)
    unknown: list[bool]  # (T,)
    labels: list[str] | None  # (R,), visible
    scale: float  # the largest |relevance|, which has the full colour

    @property
    def colors(self) -> npt.NDArray[np.uint8]:
        """Background of every word in every row, (R, T, 3)."""
        return color(self.relevance / self.scale if self.scale else self.relevance)


def _checked(
    words: Iterable[str],
    relevance: npt.ArrayLike,
    unknown: npt.ArrayLike | None,
    row_labels: Iterable[str] | None,
) -> _Sentence:
    """Check the arguments that every picture shares."""
    shown = [_visible_word(word) for word in _checked_texts("words", words)]
    if not shown:
        raise ValueError("words: expected at least one word, got none")

    rows = _checked_relevance(relevance, len(shown))

    marks = np.zeros(len(shown), dtype=bool) if unknown is None else np.asarray(unknown)
    if marks.dtype != bool:
        raise TypeError(f"unknown: expected booleans, got dtype {marks.dtype}")
    if marks.shape != (len(shown),):
        raise ValueError(
            f"unknown: expected shape ({len(shown)},), one per word, got {marks.shape}"
        )

    labels = None
    if row_labels is not None:
        labels = [visible(label) for label in _checked_texts("row_labels", row_labels)]
        if len(labels) != len(rows):
            raise ValueError(
                f"row_labels: expected {len(rows)}, one per row of relevance, got {len(labels)}"
            )
    return _Sentence(shown, rows, marks.tolist(), labels, float(np.abs(rows).max()))


def _checked_texts(name: str, texts: Iterable[str]) -> list[str]:
    """Return a list of str, or raise an error."""
    if isinstance(texts, (str, bytes)) or not isinstance(texts, Iterable):
        raise TypeError(f"{name}: expected a sequence of str, got {type(texts).__name__}")
    return [_checked_text(f"{name}[{index}]", text) for index, text in enumerate(texts)]


def _checked_text(name: str, text: str) -> str:
    """Return a str, or raise an error."""
    if not isinstance(text, str):
        raise TypeError(f"{name}: expected str, got {type(text).__name__}")
    return text


def _checked_relevance(relevance: npt.ArrayLike, num_words: int) -> npt.NDArray[np.float64]:
    """Return the relevance as (R, T) float64, or raise an error."""
    expected = f"({num_words},) or (R, {num_words}) with R >= 1, one number per word"
    try:
        rows = np.asarray(relevance)
    except ValueError as error:  # a ragged nested list
        raise ValueError(f"relevance: expected shape {expected}, got rows that differ") from error
    if rows.dtype.kind not in "fiu":
        raise TypeError(f"relevance: expected real numbers, got dtype {rows.dtype}")
    if rows.ndim not in (1, 2) or rows.shape[-1] != num_words or rows.shape[0] == 0:
        raise ValueError(f"relevance: expected shape {expected}, got {rows.shape}")
    rows = np.atleast_2d(rows).astype(np.float64)
    finite = np.isfinite(rows)
    if not finite.all():
        row, word = np.argwhere(~finite)[0]
        raise ValueError(
            f"relevance: expected finite numbers, got {rows[row, word]} for word {word}"
        )
    return rows


# HTML ---------------------------------------------------------------------------------------------

# Inline styles only: a fragment has to look the same in Jupyter, in mail and in any page.
_FIGURE_STYLE = (
    "margin:1em 0;padding:.8em 1em;border-radius:6px;background:#fff;color:#000;color-scheme:light;"
    "print-color-adjust:exact;-webkit-print-color-adjust:exact;line-height:1.9;text-align:start;"
    "font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans',sans-serif"
)
_CAPTION_STYLE = "margin:0 0 .3em;padding:0;color:#444;font-size:1em;text-align:start"
_ROW_STYLE = "display:flex;flex-wrap:wrap;gap:0 1em;margin:.15em 0"
_LABEL_STYLE = "box-sizing:border-box;max-width:100%;overflow-wrap:anywhere;color:#444"
_WORDS_STYLE = "flex:1 1 20em;min-width:0;white-space:pre-wrap;overflow-wrap:anywhere"
_WORD_STYLE = "padding:2px 4px;border-radius:3px"
_LEGEND_STYLE = (
    "display:flex;flex-wrap:wrap;gap:0 2em;margin:.7em 0 0;color:#444;font-size:.8em;"
    "font-variant-numeric:tabular-nums"
)
_SCALE_STYLE = "display:flex;align-items:center;gap:.6em;max-width:100%;white-space:nowrap"
_BAR_STYLE = (
    "flex:0 1 auto;width:14em;min-width:3em;height:1.4em;line-height:1.4;border-radius:3px;"
    "text-align:center;color:#000"
)
_UNDERLINE_STYLE = "text-decoration:underline dotted;text-underline-offset:3px"

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light">
<title>{title}</title>
<style>
body {{
  margin: 0 auto; padding: 2.5rem .5rem 4rem; max-width: 52rem;
  background: #fff; color: #000;
  font: 1.0625rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}}
h1 {{ margin: 0 1rem 1rem; font-size: 1.5rem; font-weight: 600; line-height: 1.3; }}
.lrplstm-heatmap + .lrplstm-heatmap::before {{
  display: block; margin-bottom: 1.6rem; border-top: 1px solid #e4e4e4; content: "";
}}
</style>
</head>
<body>
<h1 dir="auto">{title}</h1>
{fragments}
</body>
</html>
"""


def to_html(
    words: Sequence[str],
    relevance: npt.ArrayLike,
    *,
    unknown: npt.ArrayLike | None = None,
    row_labels: Sequence[str] | None = None,
    caption: str | None = None,
    legend: bool = True,
) -> str:
    r"""Draw words on backgrounds coloured by their relevance, as an HTML fragment.

    Positive relevance is red and speaks for what is explained, negative is blue and speaks against
    it. The fragment is one ``<figure class="lrplstm-heatmap">`` with inline styles and no script:
    it works in Jupyter, in mail and inside any page. Each word is a ``<bdi>`` whose ``title`` (the
    tooltip) begins with its relevance, to six digits. All text is escaped.

    Parameters
    ----------
    words : sequence of str, length T
        Any text. Control characters, and formatting characters that could reorder the text around
        them, are written as escapes such as ``\x1b``; an empty word is written ``""``.
    relevance : array_like of shape (T,) or (R, T)
        Finite numbers. Several rows (one per class, say) share one colour scale, whose full colour
        is the largest absolute relevance.
    unknown : array_like of bool, shape (T,), optional
        True for words that the model's vocabulary lacks: they get a dotted underline, and the
        legend explains it.
    row_labels : sequence of str, length R, optional
        Written before the rows.
    caption : str, optional
        Written above the words.
    legend : bool
        Whether to add the colour bar with its numbers.

    Returns
    -------
    str
        HTML.

    Raises
    ------
    TypeError
        If `words` is one str, or an argument has elements of the wrong type.
    ValueError
        If there are no words, the shapes do not fit, or a relevance is not finite.

    Examples
    --------
    >>> fragment = to_html(["not", "<b>"], [-0.5, 0.25])
    >>> "&lt;b&gt;" in fragment
    True
    """
    sentence = _checked(words, relevance, unknown, row_labels)
    head = None if caption is None else html.escape(visible(_checked_text("caption", caption)))
    parts = [
        f'<figure class="lrplstm-heatmap" dir="ltr" '
        f'aria-label="{head or "Relevance of each word"}" style="{_FIGURE_STYLE}">'
    ]
    if head is not None:
        parts.append(f'<figcaption dir="auto" style="{_CAPTION_STYLE}">{head}</figcaption>')
    parts += _html_rows(sentence)
    if legend:
        parts.append(_html_legend(sentence))
    return "\n".join([*parts, "</figure>"])


def _html_rows(sentence: _Sentence) -> Iterator[str]:
    """Yield one ``<div>`` per row: its label, if there are any, and its words."""
    words = [html.escape(word) for word in sentence.words]
    colors = sentence.colors
    white_ink = (ink(colors)[..., 0] == 255).tolist()
    direction = "rtl" if _runs_right_to_left(sentence.words) else "ltr"
    labels = sentence.labels or []
    label_style = f"{_LABEL_STYLE};flex:0 0 {min(max(map(len, labels), default=0), 20) * 0.6:.3g}em"
    for row, values in enumerate(sentence.relevance.tolist()):
        shown = " ".join(
            _html_word(*word)
            for word in zip(
                words, values, colors[row].tolist(), white_ink[row], sentence.unknown, strict=True
            )
        )
        label = ""
        if labels:
            text = html.escape(labels[row])
            label = f'<div dir="auto" style="{label_style}">{text}</div>'
        yield (
            f'<div style="{_ROW_STYLE}">{label}'
            f'<div dir="{direction}" style="{_WORDS_STYLE}">{shown}</div></div>'
        )


def _html_word(
    escaped: str, value: float, background: list[int], white_ink: bool, unknown: bool
) -> str:
    """Return one word: there may be thousands, so what can be inherited is left out."""
    style, title = _WORD_STYLE, _signed(value, 6)
    if value:
        style += f";background:{_hex(background)}"
    if white_ink:
        style += ";color:#fff"
    if unknown:
        style += f";{_UNDERLINE_STYLE}"
        title += f", {_NOT_IN_VOCABULARY}"
    return f'<bdi style="{style}" title="{title}">{escaped}</bdi>'


def _runs_right_to_left(words: Iterable[str]) -> bool:
    """Tell the direction of a text from its first letter that has one, as ``dir="auto"`` does."""
    classes = (unicodedata.bidirectional(char) for word in words for char in word)
    return next((kind for kind in classes if kind in ("L", "R", "AL")), "L") != "L"


def _html_legend(sentence: _Sentence) -> str:
    """Return the colour bar with its numbers, and what an underline means if there is any."""
    entries = [_ALL_ZERO]
    if sentence.scale:
        stops = ",".join(map(_hex, color(np.linspace(-1, 1, 17))))
        bar = f'<span style="{_BAR_STYLE};background:linear-gradient(90deg,{stops})">0</span>'
        low, high = _signed(-sentence.scale), _signed(sentence.scale)
        entries = [
            f'<span style="{_SCALE_STYLE}"><span>{_AGAINST}</span> <span>{low}</span> {bar} '
            f"<span>{high}</span> <span>{_FOR}</span></span>"
        ]
    if any(sentence.unknown):
        entries.append(f'<span style="{_UNDERLINE_STYLE}">{_NOT_IN_VOCABULARY}</span>')
    return f'<div style="{_LEGEND_STYLE}">{" ".join(entries)}</div>'


def to_html_page(fragments: Sequence[str], *, title: str) -> str:
    """Put fragments into one complete HTML page.

    Parameters
    ----------
    fragments : sequence of str
        HTML, such as :func:`to_html` returns. It is taken as it is, not escaped.
    title : str
        Title and heading of the page.

    Returns
    -------
    str
        An HTML5 document, to be written as UTF-8.

    Raises
    ------
    TypeError
        If `fragments` is one str, or something is not a str.

    Examples
    --------
    >>> page = to_html_page([to_html(["good"], [1.5])], title="Q & A")
    >>> page.splitlines()[0], "<title>Q &amp; A</title>" in page
    ('<!DOCTYPE html>', True)
    """
    return _PAGE.format(
        title=html.escape(visible(_checked_text("title", title))),
        fragments="\n".join(_checked_texts("fragments", fragments)),
    )


# Layout in lines, for the terminal and for matplotlib ---------------------------------------------

# Width of a text: character cells in a terminal, font sizes in matplotlib.
_Measure: TypeAlias = Callable[[str], float]


class _Piece(NamedTuple):
    """A text at its place; columns and widths are in the unit of the measure."""

    kind: Literal["word", "note", "bar"]  # "bar" is the colour bar of the legend
    line: int
    column: float
    width: float
    text: str
    background: RGB | None = None
    unknown: bool = False


def _flow(
    texts: Iterable[str], columns: float, gap: float, measure: _Measure
) -> Iterator[tuple[int, _Piece]]:
    """Break texts into lines; yield (index of the text, piece of it).

    A text moves to the next line as a whole. Only one that is wider than a line is cut.
    """
    line, column = 0, 0.0
    for index, text in enumerate(texts):
        width = measure(text)
        if column and column + width > columns:
            line, column = line + 1, 0.0
        for number, part in enumerate([text] if width <= columns else _cut(text, columns, measure)):
            if number:
                line, column = line + 1, 0.0
            width = measure(part)
            yield index, _Piece("note", line, column, width, part)
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


def _row_blocks(
    sentence: _Sentence,
    texts: list[list[str]],
    columns: float,
    gap: float,
    measure: _Measure,
    *,
    mirrored: bool = False,
) -> Iterator[list[_Piece]]:
    """Lay out every row, its lines counted from 0: the label, then the words.

    The words stand beside their label, or below it where it would take more than half the line.
    Mirrored, they run from the right to the left.
    """
    labels = sentence.labels
    indent = 0.0 if labels is None else max(map(measure, labels)) + 2 * gap
    beside = indent <= columns / 2
    if not beside:
        indent = 0.0
    for row, colors in enumerate(sentence.colors.tolist()):
        block = []
        if labels is not None:
            block = [piece for _, piece in _flow([labels[row]], columns, gap, measure)]
        first = 0 if beside else block[-1].line + 1
        for index, piece in _flow(texts[row], columns - indent, gap, measure):
            column = columns - piece.column - piece.width if mirrored else indent + piece.column
            block.append(
                piece._replace(
                    kind="word",
                    line=first + piece.line,
                    column=column,
                    background=tuple(colors[index]),
                    unknown=sentence.unknown[index],
                )
            )
        yield block


def _legend_block(
    sentence: _Sentence, columns: float, gap: float, measure: _Measure, *, bar: str, unknown: str
) -> list[_Piece]:
    """Lay out the legend around the text of the colour bar, with what marks unknown words."""
    entries = [("note", _ALL_ZERO)]
    if sentence.scale:
        low, high = _signed(-sentence.scale), _signed(sentence.scale)
        entries = [("note", _AGAINST), ("note", low), ("bar", bar), ("note", high), ("note", _FOR)]
    if any(sentence.unknown):
        entries.append(("unknown", unknown))
    kinds, texts = zip(*entries, strict=True)
    return [
        piece._replace(
            kind="bar" if kinds[index] == "bar" else "note", unknown=kinds[index] == "unknown"
        )
        for index, piece in _flow(texts, columns, gap, measure)
    ]


# Terminal -----------------------------------------------------------------------------------------

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
    color_system: str | None = "auto",
    width: int | None = None,
) -> str:
    """Draw words on backgrounds coloured by their relevance, as text for a terminal.

    Without colours every word carries its number, ``word(+0.531)``, so that nothing is lost. Words
    that the vocabulary lacks end in ``°`` (and are underlined where there are colours). The legend
    comes last.

    Parameters
    ----------
    words, relevance, unknown, row_labels
        As in :func:`to_html`.
    color_system : {"auto", "truecolor", "256", None}
        Which escape codes to use; None for none at all. "auto" goes by the environment: none where
        NO_COLOR is set or TERM is missing or "dumb", else what COLORTERM and TERM promise.
    width : int, optional
        Columns of the terminal, to break lines at. By default every row is one line.

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
    from rich.cells import cell_len

    sentence = _checked(words, relevance, unknown, row_labels)
    system = _resolved_color_system(color_system)
    if width is not None and width < 1:
        raise ValueError(f"width: expected at least 1, got {width}")
    columns = math.inf if width is None else width
    marked = [
        word + _UNKNOWN_MARK if unknown else word
        for word, unknown in zip(sentence.words, sentence.unknown, strict=True)
    ]
    texts = [marked] * len(sentence.relevance)
    if system is None:
        texts = [
            [f"{word}({_signed(value)})" for word, value in zip(marked, values, strict=True)]
            for values in sentence.relevance.tolist()
        ]
    bar, note = "0".center(int(min(_BAR_CELLS, columns))), f"{_UNKNOWN_MARK} {_NOT_IN_VOCABULARY}"
    blocks = [
        *_row_blocks(sentence, texts, columns, 1, cell_len),
        _legend_block(sentence, columns, 2, cell_len, bar=bar, unknown=note),
    ]
    return "\n".join(line for block in blocks for line in _terminal_lines(block, system))


def _resolved_color_system(color_system: str | None) -> str | None:
    """Return "truecolor", "256" or None."""
    if color_system in ("truecolor", "256", None):
        return color_system
    if color_system != "auto":
        raise ValueError(
            f'color_system: expected "auto", "truecolor", "256" or None, got {color_system!r}'
        )
    terminal = os.environ.get("TERM", "")
    if os.environ.get("NO_COLOR") or terminal == "dumb":
        return None
    if os.environ.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return "truecolor"
    return "256" if terminal else None


def _terminal_lines(block: list[_Piece], color_system: str | None) -> Iterator[str]:
    """Yield the lines of a block of pieces; between the words of a row is white paper."""
    for _, pieces in groupby(block, key=attrgetter("line")):
        line, end, paper = "", 0.0, False
        for piece in pieces:
            is_word = piece.kind == "word"
            space = " " * int(piece.column - end)
            line += _styled(space, _PAPER if paper and is_word else None, color_system)
            if piece.kind == "bar":
                backgrounds = map(tuple, color(np.linspace(-1, 1, len(piece.text))).tolist())
                for char, background in zip(piece.text, backgrounds, strict=True):
                    line += _styled(char, background, color_system)
            else:
                line += _styled(piece.text, piece.background, color_system, piece.unknown)
            end, paper = piece.column + piece.width, is_word
        yield line


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


# matplotlib ---------------------------------------------------------------------------------------

_WIDTH, _MARGIN = 8.0, 0.2  # of a figure of our own, inches
_FONT_SIZE, _TITLE_SIZE = 11.0, 12.0  # points
_MIN_COLUMNS = 33.0  # a font has to be so small that a line has this many font sizes
_MAX_PIXELS = 2**16 - 1  # the largest side of a picture that matplotlib can draw

# In font sizes:
_LINE = 1.8  # distance of the lines
_ROW_GAP, _LEGEND_GAP = 0.2, 0.6  # between rows, and above the legend
_WORD_GAP, _WORD_PADDING, _WORD_HEIGHT = 0.9, 0.3, 1.4
_BAR, _BAR_HEIGHT = "0".center(29), 1.1
_BASELINE, _UNDERLINE = 0.28, 0.46  # below the middle of the line

_NOTE_COLOR = "#444444"
_SUBSTITUTE = "\ufffd"  # for a character that no font has

# Fonts beside the one that comes with matplotlib, for scripts that it lacks; used where installed.
_MORE_FONTS = (
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "PingFang SC",
    "Hiragino Sans",
    "Microsoft YaHei",
    "Malgun Gothic",
    "Noto Sans Devanagari",
    "Noto Sans Thai",
    "Segoe UI Symbol",
    "Arial Unicode MS",
)


def plot(
    words: Sequence[str],
    relevance: npt.ArrayLike,
    *,
    unknown: npt.ArrayLike | None = None,
    row_labels: Sequence[str] | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Axes:
    """Draw words on boxes coloured by their relevance, with matplotlib.

    Words that the vocabulary lacks have a dotted underline, which the legend explains. A character
    that no font has is drawn as U+FFFD. Words are drawn as shapes, so that they keep to their boxes
    wherever the axes go and however large they get.

    Parameters
    ----------
    words, relevance, unknown, row_labels
        As in :func:`to_html`.
    ax : matplotlib.axes.Axes, optional
        Where to draw, in a font small enough for all words to fit in. By default a new pyplot
        figure, as high as it must be.
    title : str, optional
        Title of the axes.

    Returns
    -------
    matplotlib.axes.Axes
        The axes drawn on.

    Raises
    ------
    TypeError, ValueError
        As :func:`to_html`.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> ax = plot(["not", "bad"], [0.5, -0.25], ax=Figure().add_subplot(), title="Why?")
    >>> ax.get_title(loc="left")
    'Why?'
    """
    drawable = _drawable(words, relevance, unknown, row_labels, title)
    if ax is None:
        from matplotlib import pyplot as plt

        sheet = _sheet(drawable, _WIDTH - 2 * _MARGIN, _FONT_SIZE)
        figure = plt.figure(figsize=(_WIDTH, sheet.height + _MARGIN), facecolor="white")
        return _fill(figure, [sheet])[0]

    width, height = ax.bbox.width / ax.figure.dpi, ax.bbox.height / ax.figure.dpi
    sheet = _sheet(drawable, width, min(_FONT_SIZE, width * 72 / _MIN_COLUMNS))
    while sheet.text_height > height and sheet.font_size > 0.5:
        sheet = _sheet(drawable, width, 0.95 * sheet.font_size)
    _draw(ax, sheet)
    return ax


def save_png(
    path: str | os.PathLike[str] | IO[bytes], panels: Iterable[Panel], *, dpi: float = 150
) -> None:
    r"""Draw sentences one under another and write them to a PNG file.

    Neither pyplot nor the user's choice of a matplotlib backend is involved.

    Parameters
    ----------
    path : str, path-like or binary file
        Where to write.
    panels : iterable of tuples (words, relevance, unknown, row_labels, title)
        The sentences, each as for :func:`plot` and each with a scale of its own; the last three
        items may be None.
    dpi : float
        Pixels per inch; the picture is 8 inches wide. Lowered where the picture would be higher
        than the 65535 pixels that matplotlib can draw.

    Raises
    ------
    OSError
        If the file cannot be written.
    TypeError, ValueError
        As :func:`plot`; also if there are no panels, or `dpi` is not positive.

    Examples
    --------
    >>> import io
    >>> file = io.BytesIO()
    >>> save_png(file, [(["not", "bad"], [0.5, -0.25], None, None, "Why?")])
    >>> file.getvalue()[:8]
    b'\x89PNG\r\n\x1a\n'
    """
    from matplotlib.figure import Figure

    if not 0 < dpi < math.inf:
        raise ValueError(f"dpi: expected a positive number, got {dpi}")
    sheets = []
    for index, panel in enumerate(panels):
        if len(panel) != 5:
            raise ValueError(
                f"panels[{index}]: expected (words, relevance, unknown, row_labels, title), "
                f"got {len(panel)} items"
            )
        sheets.append(_sheet(_drawable(*panel), _WIDTH - 2 * _MARGIN, _FONT_SIZE))
    if not sheets:
        raise ValueError("panels: expected at least one, got none")
    height = sum(sheet.height for sheet in sheets) + _MARGIN
    dpi = min(dpi, _MAX_PIXELS / max(_WIDTH, height))
    figure = Figure(figsize=(_WIDTH, height), dpi=dpi)
    _fill(figure, sheets)
    figure.savefig(path, format="png", dpi=dpi, facecolor="white")


@dataclass(frozen=True)
class _Drawable:
    """A sentence in characters that the fonts have."""

    sentence: _Sentence
    title: str | None
    font: _Font


@dataclass(frozen=True)
class _Sheet:
    """A panel laid out on a width; all lengths are in font sizes unless they say otherwise."""

    blocks: list[tuple[float, list[_Piece]]]  # each with the distance of its top from that of all
    text_size: float  # height of all blocks
    font_size: float  # points
    title: str | None
    font: _Font

    @property
    def text_height(self) -> float:
        """Height of all blocks, inches."""
        return self.text_size * self.font_size / 72

    @property
    def height(self) -> float:
        """Height with the title and the margin above, inches."""
        title_lines = 0.0 if self.title is None else self.title.count("\n") + 1.9
        return _MARGIN + title_lines * 1.2 * _TITLE_SIZE / 72 + self.text_height


def _drawable(
    words: Iterable[str],
    relevance: npt.ArrayLike,
    unknown: npt.ArrayLike | None,
    row_labels: Iterable[str] | None,
    title: str | None,
) -> _Drawable:
    """Check a sentence and its title, and replace the characters that no font has."""
    sentence = _checked(words, relevance, unknown, row_labels)
    labels = sentence.labels
    if title is not None:
        title = visible(_checked_text("title", title))
    families, missing = _families({*"".join([*sentence.words, *(labels or []), title or ""])})
    substitutes = {ord(char): _SUBSTITUTE for char in missing}
    sentence = replace(
        sentence,
        words=[word.translate(substitutes) for word in sentence.words],
        labels=None if labels is None else [label.translate(substitutes) for label in labels],
    )
    title = None if title is None else title.translate(substitutes)
    return _Drawable(sentence, title, _Font(families))


def _families(chars: set[str]) -> tuple[list[str], set[str]]:
    """Return the installed fonts that have the characters, and the characters that none has."""
    from matplotlib import rcParams
    from matplotlib.font_manager import findfont, fontManager, get_font

    missing = {*chars, *string.printable.strip(), _SUBSTITUTE}
    installed = set(fontManager.get_font_names())
    preferred = [*rcParams["font.family"], *rcParams["font.sans-serif"]]
    families = []
    for family in dict.fromkeys([*preferred, "DejaVu Sans", *_MORE_FONTS]):
        if family in installed:
            face = get_font(findfont(_font_properties([family])))
            found = {char for char in missing if face.get_char_index(ord(char))}
            if found:
                families.append(family)
                missing -= found
    return families, missing


def _font_properties(families: list[str], size: float = 1.0) -> FontProperties:
    """Return a font; style and weight are set, whatever the user's settings say."""
    from matplotlib.font_manager import FontProperties

    return FontProperties(
        family=families,
        style="normal",
        variant="normal",
        weight="normal",
        stretch="normal",
        size=size,
    )


class _Font:
    """Widths and shapes of texts, in font sizes; a text is worked out once."""

    def __init__(self, families: list[str]) -> None:
        from matplotlib.textpath import text_to_path

        self.families = families
        properties = _font_properties(families)

        @cache
        def measure(text: str) -> float:
            width: float = text_to_path.get_text_width_height_descent(text, properties, False)[0]
            return width

        @cache
        def outline(text: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.uint8]]:
            vertices, codes = text_to_path.get_text_path(properties, text, False)
            scale = (1 / text_to_path.FONT_SCALE, -1 / text_to_path.FONT_SCALE)
            return np.reshape(vertices, (-1, 2)) * scale, np.asarray(codes, dtype=np.uint8)

        self.measure, self.outline = measure, outline


def _sheet(drawable: _Drawable, width: float, font_size: float) -> _Sheet:
    """Lay a sentence out on so many inches."""
    sentence, measure = drawable.sentence, drawable.font.measure
    columns = width * 72 / font_size
    texts = [sentence.words] * len(sentence.relevance)
    blocks, top = [], 0.0
    for block in _row_blocks(
        sentence,
        texts,
        columns - 2 * _WORD_PADDING,
        _WORD_GAP,
        measure,
        mirrored=_runs_right_to_left(sentence.words),
    ):
        blocks.append((top, block))
        top += _LINE * (block[-1].line + 1) + _ROW_GAP
    top += _LEGEND_GAP
    legend = _legend_block(sentence, columns, 1, measure, bar=_BAR, unknown=_NOT_IN_VOCABULARY)
    blocks.append((top, legend))
    return _Sheet(
        blocks=blocks,
        text_size=top + _LINE * (legend[-1].line + 1),
        font_size=font_size,
        title=_broken_title(drawable, width * 72 / _TITLE_SIZE),
        font=drawable.font,
    )


def _broken_title(drawable: _Drawable, columns: float) -> str | None:
    """Return the title with line breaks."""
    if drawable.title is None:
        return None
    measure = drawable.font.measure
    flow = (piece for _, piece in _flow(drawable.title.split(), columns, measure(" "), measure))
    lines = groupby(flow, key=attrgetter("line"))
    return "\n".join(" ".join(piece.text for piece in pieces) for _, pieces in lines)


def _fill(figure: Figure, sheets: list[_Sheet]) -> list[Axes]:
    """Draw sheets one under another, each on axes of its own."""
    figure.set_layout_engine("none")
    width, top = figure.get_size_inches()
    drawn = []
    unit = np.array([width, top, width, top])
    for sheet in sheets:
        top -= sheet.height
        ax = figure.add_axes(tuple((_MARGIN, top, width - 2 * _MARGIN, sheet.text_height) / unit))
        _draw(ax, sheet)
        drawn.append(ax)
    return drawn


def _draw(ax: Axes, sheet: _Sheet) -> None:
    """Draw a sheet; x and y, which points downwards, count font sizes."""
    from matplotlib.collections import LineCollection, PathCollection
    from matplotlib.colors import to_rgb
    from matplotlib.patches import BoxStyle
    from matplotlib.path import Path

    boxes, box_colors, texts, text_colors, lines, line_colors = [], [], [], [], [], []
    rounded = BoxStyle.Round(pad=0, rounding_size=0.2)
    for top, block in sheet.blocks:
        for piece in block:
            padding = _WORD_PADDING if piece.kind == "word" else 0.0
            left, middle = piece.column + padding, top + _LINE * (piece.line + 0.5)
            right = left + piece.width
            text_color = _NOTE_COLOR
            if piece.background is not None:
                text_color = _hex(ink(piece.background))
                corner = left - padding, middle - _WORD_HEIGHT / 2
                boxes.append(rounded(*corner, piece.width + 2 * padding, _WORD_HEIGHT, 1))
                box_colors.append(_hex(piece.background))
            if piece.kind == "bar":
                text_color = "black"
                extent = (left, right, middle + _BAR_HEIGHT / 2, middle - _BAR_HEIGHT / 2)
                ax.imshow([color(np.linspace(-1, 1, 255))], extent=extent)
            if piece.unknown:
                lines.append([(left, middle + _UNDERLINE), (right, middle + _UNDERLINE)])
                line_colors.append(text_color)
            vertices, codes = sheet.font.outline(piece.text)
            texts.append(Path(vertices + np.array([left, middle + _BASELINE]), codes))
            text_colors.append(text_color)
    thin = 0.1 * sheet.font_size
    for collection in (
        PathCollection(boxes, facecolors=box_colors, linewidths=0),
        PathCollection(texts, facecolors=text_colors, linewidths=0, snap=False),
        LineCollection(lines, colors=line_colors, linestyles=":", linewidths=thin),
    ):
        ax.add_collection(collection, autolim=False)
    if sheet.title is not None:
        paper = np.multiply(255, to_rgb(ax.figure.get_facecolor()))
        ax.set_title(
            sheet.title,
            loc="left",
            pad=0.75 * _TITLE_SIZE,
            color=_hex(ink(paper)),
            fontproperties=_font_properties(sheet.font.families, _TITLE_SIZE),
            parse_math=False,
            usetex=False,
        )

    em = sheet.font_size / 72 * ax.figure.dpi
    ax.set_xlim(0, ax.bbox.width / em)
    ax.set_ylim(ax.bbox.height / em, 0)
    ax.set_aspect("equal", anchor="NW")
    ax.xaxis.set_visible(False)
    ax.yaxis.set_visible(False)
    ax.set_facecolor("white")
    ax.spines[:].set_visible(False)
