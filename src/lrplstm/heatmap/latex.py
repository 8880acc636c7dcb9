r"""Pictures of words as LaTeX: text on ``\colorbox``, which needs the package xcolor only."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from lrplstm.heatmap.colors import color, ink, to_hex
from lrplstm.heatmap.content import ALL_ZERO, NOT_IN_VOCABULARY, bar_start, signed
from lrplstm.heatmap.passages import Group, Legend, Passage, WordsPicture

__all__ = ["to_latex"]

_HEAD = r"% \usepackage{xcolor}"
_OTHER_LETTERS = "% has letters that pdfLaTeX lacks: LuaLaTeX or XeLaTeX with a font that has them"
_BAR_STEPS = 21
_LETTER = 0.5  # width of a letter of a label, em, which is all that can be known of it

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "_": r"\_",
    "%": r"\%",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\symbol{34}",
    "␣": r"\textvisiblespace{}",
    "…": r"\ldots{}",
    "±": r"\textpm{}",
    # So that two of them are not drawn as one.
    "-": "-{}",
    "`": r"\textasciigrave{}",
    "'": "'{}",
    ",": ",{}",
    "?": "?{}",
    "!": "!{}",
}


def to_latex(picture: WordsPicture) -> str:
    r"""Write a picture of words as LaTeX.

    Every word stands on a ``\colorbox`` of its colour, in black or white. Lines may break between
    words, but not before punctuation.

    Parameters
    ----------
    picture : WordsPicture

    Returns
    -------
    str
        Paragraphs in a group, for a document that has ``\usepackage{xcolor}``.

    Examples
    --------
    >>> from lrplstm.heatmap.content import checked_content
    >>> from lrplstm.heatmap.passages import of_content
    >>> content = checked_content(["50%", "bad"], [0.5, -0.25], None, None, ("no", "yes"))
    >>> to_latex(of_content(content)).splitlines()[2][:62]
    '\\colorbox[HTML]{B7182A}{\\textcolor[HTML]{FFFFFF}{\\strut 50\\%}}'
    """
    lines = [_HEAD]
    if not all(_is_latin(char) for text in picture.texts for char in text):
        lines.append(_OTHER_LETTERS)
    lines += [r"{\setlength{\fboxsep}{1pt}\setlength{\parindent}{0pt}\raggedright"]
    if picture.title:
        lines.append(rf"{escape(picture.title)}\par")
    labels = [_label(one) for one in picture.passages]
    indent = 1 + _LETTER * max(map(len, labels)) if any(labels) else 0.0
    for group in picture.groups:
        lines += _group(group, indent)
    if picture.legend is not None:
        lines.append(_legend(picture.legend, any(map(_is_colored, picture.passages))))
    lines += [rf"{escape(note)}\par" for note in picture.notes]
    return "\n".join([*lines, "}"]) + "\n"


def escape(text: str) -> str:
    """Write a text so that LaTeX shows it as it is."""
    return "".join(_ESCAPES.get(char, char) for char in unicodedata.normalize("NFC", text))


def _is_latin(char: str) -> bool:
    """Whether LaTeX has the letter without another font: of Latin-1 and Latin Extended-A."""
    return char in _ESCAPES or char in "‘’“”„–—€" or " " <= char <= "\u017f"


def _is_colored(one: Passage) -> bool:
    return bool(np.any(one.shades))


def _label(one: Passage) -> str:
    label = f"{one.label} {one.number}".strip()
    return ", ".join(text for text in (label, one.scale) if text)


def _group(group: Group, indent: float) -> Iterator[str]:
    """Write passages behind their labels, all as far from the left."""
    if group.heading:
        yield rf"\textbf{{{escape(group.heading)}}}\par"
    for one in group.passages:
        if indent:
            width = f"{indent:g}em"
            yield rf"\hangindent={width}\makebox[{width}][l]{{{escape(_label(one))}}}%"
        rows = zip(one.words, one.colors, one.unknown, one.close, strict=True)
        words = [(_word(word, shade, unknown), close) for word, shade, unknown, close in rows]
        text = "".join(f"{'' if close else ' '}{word}" for word, close in words)
        yield text.strip() + r"\par"


def _word(word: str, shade: npt.NDArray[np.uint8], unknown: bool) -> str:
    text = escape(word)
    text = rf"\underline{{{text}}}" if unknown else text
    letters = to_hex(ink(shade))[1:].upper()
    background = to_hex(shade)[1:].upper()
    return rf"\colorbox[HTML]{{{background}}}{{\textcolor[HTML]{{{letters}}}{{\strut {text}}}}}"


def _legend(legend: Legend, shown: bool) -> str:
    """Write the ends of the scale around a bar."""
    parts = [ALL_ZERO]
    if shown:
        start, (low, high) = bar_start(legend.ends), map(escape, legend.ends)
        below = above = ""
        if legend.scale is not None:
            below, above = escape(signed(start * legend.scale)), escape(signed(legend.scale))
        shades = color(np.linspace(start, 1, _BAR_STEPS))
        cells = "".join(
            rf"\textcolor[HTML]{{{to_hex(shade)[1:].upper()}}}{{\rule{{0.4em}}{{1.5ex}}}}"
            for shade in shades
        )
        around = [low, below, rf"\mbox{{{cells}}}", above, high]
        parts = ["~".join(part for part in around if part), *map(escape, legend.remarks)]
    if legend.unknown:
        parts.append(rf"\underline{{{NOT_IN_VOCABULARY}}}")
    joined = r"\quad ".join(parts)
    return rf"\smallskip{{\small {joined}}}\par"
