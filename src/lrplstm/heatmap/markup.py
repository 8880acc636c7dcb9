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
    visible,
)

__all__ = ["to_html", "to_html_page"]

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
    ends: tuple[str, str] = ENDS,
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
    ends : (str, str)
        What negative and positive relevance say, written at the ends of the legend's colour bar.
        Where the first is empty the bar begins at 0.
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
    content = checked_content(words, relevance, unknown, row_labels, ends)
    head = None if caption is None else escape(visible(checked_text("caption", caption)))
    parts = [
        f'<figure class="lrplstm-heatmap" dir="ltr" '
        f'aria-label="{head or "Relevance of each word"}" style="{_FIGURE_STYLE}">'
    ]
    if head is not None:
        parts.append(f'<figcaption dir="auto" style="{_CAPTION_STYLE}">{head}</figcaption>')
    parts += _rows(content)
    if legend:
        parts.append(_legend(content))
    return "\n".join([*parts, "</figure>"])


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
    entries = [ALL_ZERO]
    if content.scale:
        stops = ",".join(map(to_hex, color(np.linspace(content.start, 1, 17))))
        zero = "0" if content.start else "&nbsp;"
        bar = f'<span style="{_BAR_STYLE};background:linear-gradient(90deg,{stops})">{zero}</span>'
        low, high = signed(content.start * content.scale), signed(content.scale)
        against, favor = (f"<span>{escape(end)}</span> " if end else "" for end in content.ends)
        entries = [
            f'<span style="{_SCALE_STYLE}">{against}<span>{low}</span> {bar} '
            f"<span>{high}</span> {favor}</span>"
        ]
    if any(content.unknown):
        entries.append(f'<span style="{_UNDERLINE_STYLE}">{NOT_IN_VOCABULARY}</span>')
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
        title=escape(visible(checked_text("title", title))),
        fragments="\n".join(checked_texts("fragments", fragments)),
    )
