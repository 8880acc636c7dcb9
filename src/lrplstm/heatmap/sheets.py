"""What all pictures with matplotlib share: fonts, titles, and figures that sheets are put on."""

from __future__ import annotations

import os
import string
from collections.abc import Iterable, Sequence
from typing import IO, TYPE_CHECKING, Any, Protocol

import numpy as np

from lrplstm.heatmap.colors import ink, to_hex
from lrplstm.heatmap.layout import Piece, flow, lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties

__all__ = [
    "MARGIN",
    "NOTE_COLOR",
    "PICTURE_FORMATS",
    "SIZE",
    "WIDTH",
    "Font",
    "Sheet",
    "checked_axes",
    "draw_title",
    "figure_width",
    "fill",
    "font_properties",
    "letter_size",
    "new_figure",
    "paper_ink",
    "title_height",
    "wrapped_title",
    "write_figures",
]

WIDTH, MARGIN = 8.0, 0.2
"""Of a page of a file, and of any figure of our own, inches."""
SIZE = 10.0
"""Of letters on such a page, points; titles are larger, labels smaller. It is matplotlib's, too."""
NOTE_COLOR = "#444444"
"""Colour of text that is not of the sentence or series itself."""

PICTURE_FORMATS = ("png", "pdf", "svg")
"""What pictures are written as."""

_TITLE = 1.2  # size of a title, of that of letters
_SUBSTITUTE = "\ufffd"  # for a character that no font has

# It has a box for every letter.
_LAST_RESORT = "Last Resort"

# Fonts beside the one that comes with matplotlib, for scripts that it lacks: these where they are
# installed, and then any other.
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


# Fonts --------------------------------------------------------------------------------------------


class Font:
    """Installed fonts that have all characters of some texts, but those that no font has."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.families, missing = _families({*"".join(texts)})
        self._substitutes = {ord(char): _SUBSTITUTE for char in missing}
        self._widths: dict[str, float] = {}

    def measure(self, text: str) -> float:
        """Return the width of a text, in font sizes; it is worked out once."""
        from matplotlib.textpath import text_to_path

        if text not in self._widths:
            properties = font_properties(self.families)
            size = text_to_path.get_text_width_height_descent(text, properties, False)
            self._widths[text] = float(size[0])
        return self._widths[text]

    def drawable(self, text: str) -> str:
        """Return the text with U+FFFD for characters that no font has."""
        return text.translate(self._substitutes)


def _families(chars: set[str]) -> tuple[list[str], set[str]]:
    """Return the installed fonts that have the characters, and the characters that none has."""
    from matplotlib import rcParams
    from matplotlib.font_manager import fontManager, get_font

    missing = {*chars, *string.printable.strip(), _SUBSTITUTE}
    # Of several files of a family the upright, regular one has the most letters, and is drawn.
    files = {entry.name: entry.fname for entry in sorted(fontManager.ttflist, key=_regularity)}
    others = sorted(name for name in files if not name.startswith(_LAST_RESORT))
    preferred = [*rcParams["font.family"], *rcParams["font.sans-serif"]]
    families: list[str] = []
    for family in dict.fromkeys([*preferred, "DejaVu Sans", *_MORE_FONTS, *others]):
        if not missing:
            break
        if family in files:
            face = get_font(files[family])
            drawable = {char for char in missing if face.get_char_index(ord(char))}
            if drawable:
                families.append(family)
                missing -= drawable
    return families, missing


def _regularity(entry: Any) -> tuple[bool, bool, bool]:
    return entry.style == "normal", entry.weight in (400, "normal"), entry.stretch == "normal"


def font_properties(families: list[str], size: float = 1.0) -> FontProperties:
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


# Titles -------------------------------------------------------------------------------------------


def wrapped_title(title: str, font: Font, width: float, size: float = SIZE) -> str:
    """Break a title into lines of so many inches."""
    words = map(Piece, title.split())
    columns = width * 72 / (_TITLE * size)
    title_lines = lines(flow(words, columns, font.measure(" "), font.measure))
    return "\n".join(" ".join(word.text for word in line) for line in title_lines)


def title_height(title: str, size: float = SIZE) -> float:
    """Height of a title with the space below it, inches; 0 for none."""
    return (title.count("\n") + 1.9) * 1.2 * _TITLE * size / 72 if title else 0.0


def draw_title(ax: Axes, title: str, font: Font, size: float = SIZE) -> None:
    """Write the title as it is, in black or white, whatever the figure's background."""
    ax.set_title(
        title,
        loc="left",
        pad=0.75 * _TITLE * size,
        color=paper_ink(ax),
        fontproperties=font_properties(font.families, _TITLE * size),
        parse_math=False,
        usetex=False,
    )


def paper_ink(ax: Axes) -> str:
    """Return black or white, whichever can be read beside the axes."""
    from matplotlib.colors import to_rgba

    *paper, opacity = to_rgba(ax.figure.get_facecolor())
    if opacity < 1:  # as of a subfigure: what is seen is the figure, or else white paper
        *paper, opacity = to_rgba(ax.figure.canvas.figure.get_facecolor())
    return to_hex(ink(np.multiply(255, paper))) if opacity else "#000000"


# Figures ------------------------------------------------------------------------------------------


class Sheet(Protocol):
    """One sentence or series, laid out on the width of a figure of our own."""

    @property
    def width(self) -> float:
        """Width of the figure, inches."""

    @property
    def height(self) -> float:
        """Height with the title and the margin above, inches."""

    def add_to(self, figure: Figure, bottom: float) -> Axes:
        """Draw it on new axes, so many inches above the bottom of the figure."""


def letter_size() -> float:
    """Return the size of letters that the user has set in matplotlib, points."""
    from matplotlib import rcParams

    return float(rcParams["font.size"])


def figure_width() -> float:
    """Return the width of figures that the user has set in matplotlib, inches."""
    from matplotlib import rcParams

    return float(rcParams["figure.figsize"][0])


def new_figure(sheet: Sheet) -> Axes:
    """Draw a sheet on a pyplot figure as high as it must be, and return its axes."""
    from matplotlib import pyplot as plt

    figure = plt.figure(figsize=(sheet.width, sheet.height + MARGIN), facecolor="white")
    return fill(figure, [sheet])[0]


def checked_axes(ax: Any) -> Axes | None:
    """Return axes to draw on, or raise an error that says which would do."""
    if ax is None or hasattr(ax, "add_artist"):
        axes: Axes | None = ax
        return axes
    got = type(ax).__name__
    if isinstance(ax, np.ndarray | list | tuple):
        got += f" of {np.size(np.asarray(ax, object))}; pass one of them, such as axes[0]"
    raise TypeError(f"ax: expected one matplotlib Axes, got {got}")


def fill(figure: Figure, sheets: Sequence[Sheet]) -> list[Axes]:
    """Draw sheets one under another, each on axes of its own."""
    figure.set_layout_engine("none")
    top = figure.get_figheight()
    drawn = []
    for sheet in sheets:
        top -= sheet.height
        drawn.append(sheet.add_to(figure, top))
    return drawn


# Files --------------------------------------------------------------------------------------------

# Words are text in files that can hold it: they can be searched, copied and set in another font.
# Numbers that differ from run to run are left out, so that equal pictures are equal files.
_AS_TEXT: Any = {
    "pdf.fonttype": 42,
    "pdf.use14corefonts": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "lrplstm",
}
_METADATA: dict[str, dict[str, Any]] = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}


def write_figures(
    path: str | os.PathLike[str] | IO[bytes],
    figures: Iterable[Figure],
    format: str,
    *,
    dpi: float = 150,
) -> None:
    """Write figures to a file, in one of `PICTURE_FORMATS`; only a PDF can have several."""
    from matplotlib import rc_context

    with rc_context(_AS_TEXT):
        if format == "pdf":
            from matplotlib.backends.backend_pdf import PdfPages

            with PdfPages(path, metadata=_METADATA[format]) as pages:
                for figure in figures:
                    figure.savefig(pages, format=format, dpi=dpi)
            return
        (figure,) = figures
        metadata = _METADATA.get(format)
        figure.savefig(path, format=format, dpi=dpi, metadata=metadata)
