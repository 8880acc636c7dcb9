"""Sentences with matplotlib, which is imported only when there is something to draw."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, TYPE_CHECKING, NamedTuple

import numpy.typing as npt

from lrplstm.heatmap.content import ENDS, checked_content, checked_text, checked_texts
from lrplstm.heatmap.grid import Grid
from lrplstm.heatmap.grid_figure import grid_sheet
from lrplstm.heatmap.passages import WordsPicture, of_content
from lrplstm.heatmap.sheets import (
    MARGIN,
    PICTURE_FORMATS,
    WIDTH,
    Sheet,
    checked_axes,
    figure_width,
    fill,
    letter_size,
    new_figure,
    write_figures,
)
from lrplstm.heatmap.text_figure import TextSheet, draw_words
from lrplstm.texts import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Panel", "draw", "plot", "save_picture", "save_png"]

_MAX_PIXELS = 2**16 - 1  # the largest side of a picture that matplotlib can draw
_MIN_DPI = 40  # below that nobody can read it
_PAGE_HEIGHT = 200.0  # the highest page of a PDF that all readers show, inches


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

    Lines are broken at the width that the axes have whenever they are drawn; no line begins with
    punctuation. Words that the vocabulary lacks have a dotted underline, which the legend explains.
    A character that no font has is drawn as U+FFFD. Sizes follow matplotlib's `font.size`.

    Parameters
    ----------
    words, relevance, unknown, row_labels, ends
        As in :func:`to_html`.
    ax : matplotlib.axes.Axes, optional
        Where to draw, in letters small enough for all words to fit in. By default a new pyplot
        figure of the width in matplotlib's `figure.figsize`, as high as it must be.
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
    picture = _picture(Panel(words, relevance, unknown, row_labels, ends, title, notes))
    return draw(picture, ax)


def draw(picture: WordsPicture, ax: Axes | None) -> Axes:
    """Draw a picture of words on axes, or on a pyplot figure that is as high as it must be."""
    ax = checked_axes(ax)
    if ax is None:
        return new_figure(TextSheet(picture, figure_width(), letter_size()))
    draw_words(ax, picture, letter_size())
    return ax


def save_picture(
    path: str | os.PathLike[str] | IO[bytes],
    panels: Axes | Figure | Iterable[Panel | Grid],
    format: str | None = None,
    *,
    dpi: float = 150,
) -> None:
    r"""Write a picture to a file: one that was drawn, or sentences and grids one under another.

    In PDF and SVG words are text, which can be searched and copied; a PDF has its fonts with it (as
    Type 42). No setting of matplotlib is changed.

    Parameters
    ----------
    path : str, path-like or binary file
        Where to write.
    panels : matplotlib Axes or Figure, or iterable of Panel or Grid
        What a function that plots returned, of which the whole figure is written; or the sentences
        and grids, each with a scale of its own, for which pyplot is not used.
    format : {"png", "pdf", "svg"}, optional
        What to write. Default: what the path ends in. A PDF begins another page where one would be
        higher than 200 inches, which is what readers show.
    dpi : float
        Pixels per inch; a picture of sentences and grids is 8 inches wide. Lowered where a PNG
        would be higher than the 65535 pixels that matplotlib can draw.

    Raises
    ------
    OSError
        If the file cannot be written.
    TypeError, ValueError
        If a panel or a grid has relevance, names or ends that do not fit together; also if there
        are no panels, or too many for one picture, `format` is another or not what the path ends
        in, or `dpi` is not positive.

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
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

    if isinstance(panels, Axes | FigureBase):
        canvas = panels.figure.canvas  # a subfigure's is that of the whole
        write_figures(path, [canvas.figure], format, dpi=dpi)
        return
    _write_sheets(path, _sheets(panels), format, dpi)


def _sheets(panels: Iterable[Panel | Grid]) -> list[Sheet]:
    """Check sentences and grids, and lay them out."""
    sheets: list[Sheet] = []
    for index, panel in enumerate(panels):
        if isinstance(panel, Grid):
            sheets.append(grid_sheet(panel))
        elif isinstance(panel, Panel):
            sheets.append(TextSheet(_picture(panel)))
        else:
            raise TypeError(
                f"panels[{index}]: expected a Panel or a Grid, got {type(panel).__name__}"
            )
    if not sheets:
        raise ValueError("panels: expected at least one, got none")
    return sheets


def _write_sheets(
    path: str | os.PathLike[str] | IO[bytes], sheets: list[Sheet], format: str, dpi: float
) -> None:
    """Write sheets one under another."""
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
    figure = Figure(figsize=(WIDTH, height), dpi=dpi, facecolor="white")
    fill(figure, sheets)
    return figure


def _picture(panel: Panel) -> WordsPicture:
    """Check a sentence and its title."""
    content = checked_content(
        panel.words, panel.relevance, panel.unknown, panel.row_labels, panel.ends
    )
    title = "" if panel.title is None else visible(checked_text("title", panel.title))
    notes = [visible(note) for note in checked_texts("notes", panel.notes)]
    return of_content(content, title, notes)
