"""HTML: a fragment for each sentence, and a page of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

import numpy as np
import numpy.typing as npt

from lrplstm.heatmap.colors import color, ink, to_hex
from lrplstm.heatmap.content import (
    ALL_ZERO,
    ENDS,
    NOT_IN_VOCABULARY,
    Content,
    checked_content,
    checked_text,
    checked_texts,
    signed,
)
from lrplstm.heatmap.grid import NO_RELEVANCE, Grid, GridContent, checked_grid, every_nth
from lrplstm.texts import visible

__all__ = ["grid_to_html", "to_html", "to_html_page"]

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
_NOTE_STYLE = "margin:.2em 0 0;color:#444;font-size:.8em;font-variant-numeric:tabular-nums"
_SCALE_STYLE = "display:flex;align-items:center;gap:.6em;max-width:100%;white-space:nowrap"
_BAR_STYLE = (
    "flex:0 1 auto;width:14em;min-width:3em;height:1.4em;line-height:1.4;border-radius:3px;"
    "text-align:center;color:#000"
)
# A page may have styles of its own for tables. Lines between cells are the paper behind them.
_GRID_STYLE = (
    "width:100%;table-layout:fixed;border-collapse:separate;margin:0;border:0;background:#e0e0e0;"
    "color:#444;font-size:.8em;line-height:1.5;font-variant-numeric:tabular-nums"
)
_NAME_STYLE = (
    "padding:0 .6em 0 0;border:0;background:#fff;color:#444;font-weight:normal;text-align:start;"
    "white-space:nowrap;overflow:hidden;text-overflow:ellipsis"
)
_STEP_STYLE = _NAME_STYLE.replace("padding:0 .6em 0 0", "padding:0")
_CELL_STYLE = "padding:0;border:0;background:"
_UNDERLINE_STYLE = "text-decoration:underline dotted;text-underline-offset:3px"

_MOST_CELLS, _MOST_ROWS, _MOST_COLUMNS = 5000, 250, 200  # of a grid
_LINED_COLUMNS = 100  # so many are told apart by lines
_NAME_WIDTH, _CELL_WIDTH, _GRID_WIDTH = 16.0, 3.0, 58.0  # at most, font sizes of the grid
_LETTER = 0.62  # width of a letter or digit, font sizes

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
.note {{ margin: 0 1rem 1rem; color: #444; }}
.lrplstm-heatmap + .lrplstm-heatmap::before {{
  display: block; margin-bottom: 1.6rem; border-top: 1px solid #e4e4e4; content: "";
}}
</style>
</head>
<body>
<h1 dir="auto">{title}</h1>
{note}{fragments}
</body>
</html>
"""


def to_html(
    words: Sequence[str],
    relevance: npt.ArrayLike,
    *,
    unknown: npt.ArrayLike | None = None,
    row_labels: Sequence[str] | None = None,
    ends: tuple[str, str] = ENDS,
    caption: str | None = None,
    legend: bool = True,
    grid: Grid | None = None,
    notes: Sequence[str] = (),
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
    ends : (str, str)
        What negative and positive relevance say, written at the ends of the legend's colour bar.
        Where the first is empty the bar begins at 0.
    caption : str, optional
        Written above the words.
    legend : bool
        Whether to add the colour bar with its numbers.
    grid : Grid, optional
        Relevance of each variable at each step, drawn below the words, with a scale of its own; its
        title is not shown. Where it has more than 5,000 cells, 250 rows or 200 steps, several
        steps or variables share one, which shows the strongest of them; the legend then says so.
        Each cell has a tooltip: relevance, variable and step.
    notes : sequence of str
        Written below it all, a line each.

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
    content = checked_content(words, relevance, unknown, row_labels, ends)
    head = None if caption is None else checked_text("caption", caption)
    parts = [*_rows(content)]
    if legend:
        parts.append(_legend(content))
    if grid is not None:
        parts += _grid(grid, legend)
    parts += _notes(notes)
    return _figure(head, "Relevance of each word", parts)


def grid_to_html(grid: Grid, *, legend: bool = True, most_cells: int = _MOST_CELLS) -> str:
    r"""Draw a grid alone, as an HTML fragment of the same form: a series, which has no words.

    Parameters
    ----------
    grid : Grid
        As for :func:`to_html`; its title is written above it, its notes below.
    legend : bool
        Whether to add the colour bar with its numbers.
    most_cells : int
        Variables and steps share cells where there would be more.

    Returns
    -------
    str
        HTML.

    Raises
    ------
    TypeError
        If something has the wrong type.
    ValueError
        If shapes do not fit, or a relevance is not finite.

    Examples
    --------
    >>> from lrplstm.heatmap import Grid
    >>> fragment = grid_to_html(Grid([[0.5, -1.0]], variables=["load", "wind"]))
    >>> fragment.count("<td")
    2
    """
    parts = [*_grid(grid, legend, most_cells), *_notes(grid.notes)]
    head = None if grid.title is None else checked_text("title", grid.title)
    return _figure(head, "Relevance of each variable", parts)


def _figure(head: str | None, label: str, parts: list[str]) -> str:
    """Put parts into one figure; `label` is what it is where nothing is written above it."""
    shown = None if head is None else escape(visible(head))
    opening = (
        f'<figure class="lrplstm-heatmap" dir="ltr" aria-label="{shown or label}" '
        f'style="{_FIGURE_STYLE}">'
    )
    caption = f'<figcaption dir="auto" style="{_CAPTION_STYLE}">{shown}</figcaption>'
    return "\n".join([opening, *([] if shown is None else [caption]), *parts, "</figure>"])


def _rows(content: Content) -> Iterator[str]:
    """Yield one ``<div>`` per row: its label, if there are any, and its words."""
    words = [escape(word) for word in content.words]
    colors = content.colors
    white_ink = (ink(colors)[..., 0] == 255).tolist()
    labels = [""] * len(colors)
    if content.labels is not None:
        style = f"{_LABEL_STYLE};flex:0 0 {min(max(map(len, content.labels)), 20) * 0.6:.3g}em"
        labels = [
            f'<div dir="auto" style="{style}">{escape(label)}</div>' for label in content.labels
        ]
    direction = "rtl" if content.right_to_left else "ltr"
    rows = zip(labels, content.relevance.tolist(), colors.tolist(), white_ink, strict=True)
    for label, values, backgrounds, whites in rows:
        shown = " ".join(map(_word, words, values, backgrounds, whites, content.unknown))
        yield (
            f'<div style="{_ROW_STYLE}">{label}'
            f'<div dir="{direction}" style="{_WORDS_STYLE}">{shown}</div></div>'
        )


def _word(escaped: str, value: float, background: list[int], white_ink: bool, unknown: bool) -> str:
    """Return one word: there may be thousands, so what can be inherited is left out."""
    style, title = _WORD_STYLE, signed(value, 6)
    if value:
        style += f";background:{to_hex(background)}"
    if white_ink:
        style += ";color:#fff"
    if unknown:
        style += f";{_UNDERLINE_STYLE}"
        title += f", {NOT_IN_VOCABULARY}"
    return f'<bdi style="{style}" title="{title}">{escaped}</bdi>'


def _legend(content: Content) -> str:
    """Return the colour bar with its numbers, and what an underline means if there is any."""
    entries = [_scale(content) if content.scale else ALL_ZERO]
    if any(content.unknown):
        entries.append(f'<span style="{_UNDERLINE_STYLE}">{NOT_IN_VOCABULARY}</span>')
    return f'<div style="{_LEGEND_STYLE}">{" ".join(entries)}</div>'


def _scale(content: Content | GridContent) -> str:
    """Return the colour bar between its numbers and what they say."""
    stops = ",".join(map(to_hex, color(np.linspace(content.start, 1, 17))))
    zero = "0" if content.start else "&nbsp;"
    bar = f'<span style="{_BAR_STYLE};background:linear-gradient(90deg,{stops})">{zero}</span>'
    low, high = signed(content.start * content.scale), signed(content.scale)
    against, favor = (f"<span>{escape(end)}</span> " if end else "" for end in content.ends)
    return (
        f'<span style="{_SCALE_STYLE}">{against}<span>{low}</span> {bar} '
        f"<span>{high}</span> {favor}</span>"
    )


def _notes(notes: Sequence[str]) -> Iterator[str]:
    """Yield one ``<div>`` for each line that stands below a figure."""
    for note in checked_texts("notes", notes):
        yield f'<div dir="auto" style="{_NOTE_STYLE}">{escape(visible(note))}</div>'


def _grid(grid: Grid, legend: bool, most_cells: int = _MOST_CELLS) -> Iterator[str]:
    """Yield a grid and its legend."""
    columns = min(_MOST_COLUMNS, max(1, most_cells // 10))  # which leaves room for ten variables
    content = checked_grid(grid, most_rows=_MOST_ROWS, most_columns=columns, most_cells=most_cells)
    R, rows, columns = content.cells.shape
    variables = content.variables or [f"variable {d}" for d in range(content.num_variables)]
    steps = content.steps or [f"t={t}" for t in range(content.num_steps)]
    # Room for a wide letter more: browsers cut names that have too little.
    name_width = min(_LETTER * max(map(len, variables)) + 1.2, _NAME_WIDTH)
    width = min(name_width + columns * _CELL_WIDTH, _GRID_WIDTH)
    what = f"Relevance of {content.num_variables} variables at {content.num_steps} steps"
    spacing = 1 if columns <= _LINED_COLUMNS else 0
    yield (
        f'<div role="img" aria-label="{what}" '
        f'style="margin:.6em 0 0;max-width:{0.8 * width:.4g}em">'
        f'<table style="{_GRID_STYLE};border-spacing:{spacing}px">'
        f'<col style="width:{name_width:.3g}em"><col span="{columns}">'
    )
    backgrounds = color(content.fractions).tolist()
    for r in range(R):
        if content.block_labels is not None:
            label = escape(content.block_labels[r])
            yield (
                f'<tr style="background:none"><th dir="auto" colspan="{columns + 1}" '
                f'style="{_NAME_STYLE};color:#000">{label}</th></tr>'
            )
        for row in range(rows):
            places = zip(content.row[r, row], content.column[r, row], strict=True)
            where = [f"{variables[d]}, {steps[t]}" for d, t in places]
            cells = map(_cell, content.cells[r, row].tolist(), backgrounds[r][row], where)
            name = escape(variables[row * content.row_size])
            yield (
                f'<tr style="background:none"><th dir="auto" style="{_NAME_STYLE}">{name}</th>'
                f"{''.join(cells)}</tr>"
            )
    yield _step_labels(steps, content, width - name_width)
    yield "</table></div>"
    if legend:
        entries = [_scale(content) if content.scale else NO_RELEVANCE]
        if content.remark:
            entries.append(f"<span>{content.remark}</span>")
        yield f'<div style="{_LEGEND_STYLE}">{" ".join(entries)}</div>'


def _cell(value: float, background: list[int], where: str) -> str:
    """Return one cell: there may be thousands, so it is as short as it can be."""
    title = f"{signed(value, 6)}, {escape(where)}"
    return f'<td style="{_CELL_STYLE}{to_hex(background)}" title="{title}"></td>'


def _step_labels(steps: list[str], content: GridContent, width: float) -> str:
    """Return the names of some steps, each below the first cell of those it stands under."""
    columns = content.cells.shape[2]
    names = steps[:: content.column_size]
    longest = _LETTER * max(map(len, names)) + 1.0
    nth = every_nth(columns, max(1, int(width / longest)))
    labels = [f'<th style="{_STEP_STYLE}"></th>']
    for column in range(0, columns, nth):
        span = min(nth, columns - column)
        name = escape(names[column])
        labels.append(f'<th dir="auto" colspan="{span}" style="{_STEP_STYLE}">{name}</th>')
    return f'<tr style="background:none">{"".join(labels)}</tr>'


def to_html_page(fragments: Sequence[str], *, title: str, note: str | None = None) -> str:
    """Put fragments into one complete HTML page.

    Parameters
    ----------
    fragments : sequence of str
        HTML, such as :func:`to_html` returns. It is taken as it is, not escaped.
    title : str
        Title and heading of the page.
    note : str, optional
        A sentence below the heading, such as what was left out.

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
        title=escape(visible(checked_text("title", title))),
        note="" if note is None else f'<p class="note">{escape(visible(note))}</p>\n',
        fragments="\n".join(checked_texts("fragments", fragments)),
    )
