"""Sentences with matplotlib, which is imported only when there is something to draw."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lrplstm.heatmap.colors import color, ink, to_hex
from lrplstm.heatmap.content import (
    ENDS,
    NOT_IN_VOCABULARY,
    Content,
    checked_content,
    checked_text,
    checked_texts,
)
from lrplstm.heatmap.grid import Grid
from lrplstm.heatmap.grid_figure import grid_sheet
from lrplstm.heatmap.layout import Piece, flow, legend_block, row_blocks
from lrplstm.heatmap.sheets import (
    MARGIN,
    NOTE_COLOR,
    PICTURE_FORMATS,
    WIDTH,
    Font,
    Sheet,
    draw_title,
    fill,
    font_properties,
    new_figure,
    title_height,
    wrapped_title,
    write_figures,
)
from lrplstm.texts import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Panel", "plot", "save_picture", "save_png"]

_FONT_SIZE = 11.0  # points
_MIN_COLUMNS = 33.0  # a font has to be so small that a line has this many font sizes
_MAX_PIXELS = 2**16 - 1  # the largest side of a picture that matplotlib can draw
_MIN_DPI = 40  # below that nobody can read it
_PAGE_HEIGHT = 200.0  # the highest page of a PDF that all readers show, inches

# In font sizes:
_LINE = 1.8  # distance of the lines
_ROW_GAP, _LEGEND_GAP = 0.2, 0.6  # between rows, and on top of that above the legend
_WORD_GAP, _WORD_PADDING, _WORD_HEIGHT = 0.9, 0.3, 1.4
_BAR, _BAR_HEIGHT = "0".center(29), 1.1
_BASELINE, _UNDERLINE = 0.28, 0.46  # below the middle of the line


class Panel(NamedTuple):
    """One sentence of several in a picture; the arguments of :func:`plot`."""

    words: Sequence[str]
    relevance: npt.ArrayLike
    unknown: npt.ArrayLike | None = None
    row_labels: Sequence[str] | None = None
    ends: tuple[str, str] = ENDS
    title: str | None = None
    notes: Sequence[str] = ()


def plot(
    words: Sequence[str],
    relevance: npt.ArrayLike,
    *,
    unknown: npt.ArrayLike | None = None,
    row_labels: Sequence[str] | None = None,
    ends: tuple[str, str] = ENDS,
    ax: Axes | None = None,
    title: str | None = None,
    notes: Sequence[str] = (),
) -> Axes:
    """Draw words on boxes coloured by their relevance, with matplotlib.

    Words that the vocabulary lacks have a dotted underline, which the legend explains. A character
    that no font has is drawn as U+FFFD. Words are drawn as shapes, so that they keep to their boxes
    wherever the axes go and however large they get.

    Parameters
    ----------
    words, relevance, unknown, row_labels, ends
        As in :func:`to_html`.
    ax : matplotlib.axes.Axes, optional
        Where to draw, in a font small enough for all words to fit in. By default a new pyplot
        figure, as high as it must be.
    title : str, optional
        Title of the axes.
    notes : sequence of str
        Written below the legend, a line each.

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
    drawable = _drawable(Panel(words, relevance, unknown, row_labels, ends, title, notes))
    if ax is None:
        return new_figure(_sheet(drawable))

    width, height = ax.bbox.width / ax.figure.dpi, ax.bbox.height / ax.figure.dpi
    sheet = _sheet(drawable, width, min(_FONT_SIZE, width * 72 / _MIN_COLUMNS))
    while sheet.text_height > height and sheet.font_size > 0.5:
        sheet = _sheet(drawable, width, 0.95 * sheet.font_size)
    _draw(ax, sheet)
    return ax


def save_picture(
    path: str | os.PathLike[str] | IO[bytes],
    panels: Iterable[Panel | Grid],
    format: str | None = None,
    *,
    dpi: float = 150,
) -> None:
    r"""Draw sentences and grids one under another and write them to a file.

    Neither pyplot nor the user's choice of a matplotlib backend is involved. In PDF and SVG words
    are text, which can be searched and copied; a PDF has its fonts with it (as Type 42).

    Parameters
    ----------
    path : str, path-like or binary file
        Where to write.
    panels : iterable of Panel or Grid
        The sentences and grids, each with a scale of its own.
    format : {"png", "pdf", "svg"}, optional
        What to write. Default: what the path ends in. A PDF begins another page where one would be
        higher than 200 inches, which is what readers show.
    dpi : float
        Pixels per inch; the picture is 8 inches wide. Lowered where a PNG would be higher than the
        65535 pixels that matplotlib can draw.

    Raises
    ------
    OSError
        If the file cannot be written.
    TypeError, ValueError
        As :func:`plot` and :func:`plot_grid`; also if there are no panels, or too many for one
        picture, `format` is another or not what the path ends in, or `dpi` is not positive.

    Examples
    --------
    >>> import io
    >>> file = io.BytesIO()
    >>> save_picture(file, [Panel(["not", "bad"], [0.5, -0.25], title="Why?")], "pdf")
    >>> file.getvalue()[:5]
    b'%PDF-'
    """
    format = _picture_format(path, format)
    if not 0 < dpi < math.inf:
        raise ValueError(f"dpi: expected a positive number, got {dpi}")
    sheets: list[Sheet] = []
    for index, panel in enumerate(panels):
        if isinstance(panel, Grid):
            sheets.append(grid_sheet(panel))
        elif isinstance(panel, Panel):
            sheets.append(_sheet(_drawable(panel), as_text=format != "png"))
        else:
            raise TypeError(
                f"panels[{index}]: expected a Panel or a Grid, got {type(panel).__name__}"
            )
    if not sheets:
        raise ValueError("panels: expected at least one, got none")
    if format == "png":
        height = sum(sheet.height for sheet in sheets) + MARGIN
        most = _MAX_PIXELS / max(WIDTH, height)
        if most < _MIN_DPI:
            raise ValueError(
                f"panels: expected a picture at most {_MAX_PIXELS / _MIN_DPI:.0f} inches high, "
                f"which can still be read, got {height:.0f}; draw fewer or shorter sentences"
            )
        dpi = min(dpi, most)
    pages = _pages(sheets) if format == "pdf" else [sheets]
    write_figures(path, (_figure(page, dpi) for page in pages), format, dpi=dpi)


def save_png(
    path: str | os.PathLike[str] | IO[bytes], panels: Iterable[Panel | Grid], *, dpi: float = 150
) -> None:
    r"""Draw sentences and grids one under another as a PNG: :func:`save_picture` with "png".

    Examples
    --------
    >>> import io
    >>> file = io.BytesIO()
    >>> save_png(file, [Panel(["not", "bad"], [0.5, -0.25], title="Why?")])
    >>> file.getvalue()[:8]
    b'\x89PNG\r\n\x1a\n'
    """
    save_picture(path, panels, "png", dpi=dpi)


def _picture_format(path: object, format: str | None) -> str:
    """Return the format of a picture, or raise a ValueError if path and format do not agree."""
    suffix = ""
    if isinstance(path, str | os.PathLike):
        suffix = os.path.splitext(os.fsdecode(path))[1].lower().removeprefix(".")
    if format is None and suffix not in PICTURE_FORMATS:
        ends = ", ".join(f".{name}" for name in PICTURE_FORMATS)
        raise ValueError(
            f"path: expected one that ends in {ends}, got {path!r:.200}; or pass format"
        )
    format = suffix if format is None else format
    if format not in PICTURE_FORMATS:
        names = ", ".join(map(repr, PICTURE_FORMATS))
        raise ValueError(f"format: expected one of {names}, got {format!r:.60}")
    if suffix.isalpha() and suffix != format:
        raise ValueError(f"path: expected one that ends in .{format}, got {path!r:.200}")
    return format


def _pages(sheets: Iterable[Sheet]) -> Iterator[list[Sheet]]:
    """Yield as many sheets as a page can have, at least one."""
    page: list[Sheet] = []
    height = MARGIN
    for sheet in sheets:
        if page and height + sheet.height > _PAGE_HEIGHT:
            yield page
            page, height = [], MARGIN
        page.append(sheet)
        height += sheet.height
    yield page


def _figure(sheets: list[Sheet], dpi: float) -> Figure:
    """Draw sheets on a figure as high as they need."""
    from matplotlib.figure import Figure

    height = sum(sheet.height for sheet in sheets) + MARGIN
    figure = Figure(figsize=(WIDTH, height), dpi=dpi)
    fill(figure, sheets)
    return figure


@dataclass(frozen=True)
class _Drawable:
    """A sentence in characters that the fonts have."""

    content: Content
    title: str  # empty for none
    notes: list[str]
    font: Font


@dataclass(frozen=True)
class _Sheet:
    """A panel laid out on a width."""

    pieces: list[tuple[float, Piece]]  # each with the middle of its line, in font sizes from above
    font_size: float  # points
    title: str
    font: Font
    as_text: bool  # rather than as shapes, which look the same everywhere and at every size

    @property
    def text_height(self) -> float:
        """Height without the title, inches."""
        middle, _ = self.pieces[-1]
        return (middle + _LINE / 2) * self.font_size / 72

    @property
    def height(self) -> float:
        """Height with the title and the margin above, inches."""
        return MARGIN + title_height(self.title) + self.text_height

    def add_to(self, figure: Figure, bottom: float) -> Axes:
        """Draw it on new axes, so many inches above the bottom of the figure."""
        width, height = figure.get_size_inches()
        unit = np.array([width, height, width, height])
        ax = figure.add_axes(
            tuple(np.array([MARGIN, bottom, width - 2 * MARGIN, self.text_height]) / unit)
        )
        _draw(ax, self)
        return ax


def _drawable(panel: Panel) -> _Drawable:
    """Check a sentence and its title, and replace the characters that no font has."""
    content = checked_content(
        panel.words, panel.relevance, panel.unknown, panel.row_labels, panel.ends
    )
    title = "" if panel.title is None else visible(checked_text("title", panel.title))
    notes = [visible(note) for note in checked_texts("notes", panel.notes)]
    labels, (low, high) = content.labels, content.ends
    texts = [*content.words, *(labels or []), low, high, title, *notes]
    font = Font(texts)
    content = replace(
        content,
        words=[*map(font.drawable, content.words)],
        labels=None if labels is None else [*map(font.drawable, labels)],
        ends=(font.drawable(low), font.drawable(high)),
    )
    return _Drawable(content, font.drawable(title), [*map(font.drawable, notes)], font)


def _sheet(
    drawable: _Drawable,
    width: float = WIDTH - 2 * MARGIN,
    font_size: float = _FONT_SIZE,
    *,
    as_text: bool = False,
) -> _Sheet:
    """Lay a sentence out on so many inches."""
    content, measure = drawable.content, drawable.font.measure
    columns = width * 72 / font_size
    rows = row_blocks(
        content,
        [content.words] * len(content.relevance),
        columns - 2 * _WORD_PADDING,
        _WORD_GAP,
        measure,
        mirrored=content.right_to_left,
    )
    legend = legend_block(content, columns, 1, measure, bar=_BAR, unknown=NOT_IN_VOCABULARY)
    notes = (
        [*flow(map(Piece, note.split()), columns, measure(" "), measure)] for note in drawable.notes
    )
    pieces: list[tuple[float, Piece]] = []
    top = 0.0
    for block in (*rows, legend, *notes):
        if block is legend:
            top += _LEGEND_GAP
        pieces += ((top + _LINE * (piece.line + 0.5), piece) for piece in block)
        top += _LINE * (block[-1].line + 1) + _ROW_GAP
    title = wrapped_title(drawable.title, drawable.font, width)
    return _Sheet(pieces, font_size, title, drawable.font, as_text)


def _draw(ax: Axes, sheet: _Sheet) -> None:
    """Draw a sheet; x and y, which points downwards, count font sizes."""
    _draw_pieces(ax, sheet)
    if sheet.title:
        draw_title(ax, sheet.title, sheet.font)
    em = sheet.font_size / 72 * ax.figure.dpi
    ax.set_xlim(0, ax.bbox.width / em)
    ax.set_ylim(ax.bbox.height / em, 0)
    ax.set_aspect("equal", anchor="NW")
    ax.xaxis.set_visible(False)
    ax.yaxis.set_visible(False)
    ax.set_facecolor("white")
    ax.spines[:].set_visible(False)


def _draw_pieces(ax: Axes, sheet: _Sheet) -> None:
    """Draw boxes, texts, underlines and the colour bar."""
    from matplotlib.collections import LineCollection, PathCollection
    from matplotlib.patches import BoxStyle
    from matplotlib.path import Path

    boxes, box_colors, texts, text_colors, underlines, line_colors = [], [], [], [], [], []
    rounded = BoxStyle.Round(pad=0, rounding_size=0.2)
    style: dict[str, Any] = {
        "fontproperties": font_properties(sheet.font.families, sheet.font_size),
        "va": "baseline",
        "parse_math": False,
        "usetex": False,
    }
    for middle, piece in sheet.pieces:
        text_color = NOTE_COLOR if piece.bar is None else "black"
        left = piece.column
        if piece.background:
            text_color = to_hex(ink(piece.background))
            extent = left, middle - _WORD_HEIGHT / 2, piece.width + 2 * _WORD_PADDING, _WORD_HEIGHT
            boxes.append(rounded(*extent, 1))
            box_colors.append(to_hex(piece.background))
            left += _WORD_PADDING
        right = left + piece.width
        if piece.bar is not None:
            edges = left, right, middle + _BAR_HEIGHT / 2, middle - _BAR_HEIGHT / 2
            ax.imshow([color(np.linspace(piece.bar, 1, 255))], extent=edges)
        if piece.unknown:
            underlines.append([(left, middle + _UNDERLINE), (right, middle + _UNDERLINE)])
            line_colors.append(text_color)
        if sheet.as_text:
            ax.text(left, middle + _BASELINE, piece.text, color=text_color, **style)
        else:
            vertices, codes = sheet.font.outline(piece.text)
            texts.append(Path(vertices + np.array([left, middle + _BASELINE]), codes))
            text_colors.append(text_color)
    thin = 0.1 * sheet.font_size
    for collection in (
        PathCollection(boxes, facecolors=box_colors, linewidths=0),
        PathCollection(texts, facecolors=text_colors, linewidths=0, snap=False),
        LineCollection(underlines, colors=line_colors, linestyles=":", linewidths=thin),
    ):
        ax.add_collection(collection, autolim=False)
