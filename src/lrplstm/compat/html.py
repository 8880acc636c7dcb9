"""`html_heatmap`, the heat maps of the 2017 code, and the functions that it is made of."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Sequence

import numpy.typing as npt

from lrplstm.compat.arguments import floats
from lrplstm.heatmap.content import checked_text, checked_texts
from lrplstm.texts import shown, visible

__all__ = ["getRGB", "html_heatmap", "rescale_score_by_abs", "span_word"]


def html_heatmap(words: Iterable[str], scores: npt.ArrayLike, cmap_name: str = "bwr") -> str:
    r"""Draw words on backgrounds coloured by their scores, as HTML.

    `lrplstm.heatmap.to_html` draws better ones, with a legend and readable ink.

    Parameters
    ----------
    words : list of str
        At least one. They are escaped.
    scores : array_like of shape (T,)
        A number for each word. 0 has the middle colour, and the largest absolute score one of the
        ends.
    cmap_name : str
        Name of a colormap of matplotlib.

    Returns
    -------
    str
        A ``<span>`` for each word, with a space after it.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If there is no word, not one number for each, a number is NaN or infinite, or there is no
        such colormap.

    Examples
    --------
    >>> from lrplstm.compat import html_heatmap
    >>> html_heatmap(["<b>"], [-1.5])
    '<span style="background-color:#0000ff">&lt;b&gt;</span> \n'
    """
    import matplotlib as mpl

    texts = checked_texts("words", words)
    if not texts:
        raise ValueError("words: expected at least one word, got none")
    values = floats("scores", scores, len(texts))
    if checked_text("cmap_name", cmap_name) not in mpl.colormaps:
        raise ValueError(
            f"cmap_name: expected the name of a colormap of matplotlib, got {shown(cmap_name)}"
        )
    colormap, high, low = mpl.colormaps[cmap_name], values.max(), values.min()
    spans = [
        span_word(word, rescale_score_by_abs(value, high, low), colormap)
        for word, value in zip(texts, values, strict=True)
    ]
    return "".join(f"{span} " for span in spans) + "\n"


def rescale_score_by_abs(score: float, max_score: float, min_score: float) -> float:
    """Return where a score lies between -m (0) and m (1), m the larger of the absolute extremes.

    Where both extremes are 0 it is 0.5, the middle.
    """
    largest = max(abs(max_score), abs(min_score))
    return 0.5 + 0.5 * float(score / largest) if largest else 0.5


def getRGB(c_tuple: Sequence[float]) -> str:
    """Write a colour of at least three numbers from 0 to 1 as ``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*(int(channel * 255) for channel in c_tuple[:3]))


def span_word(word: str, score: float, colormap: Callable[[float], Sequence[float]]) -> str:
    """Return a word, escaped, on the background that a colormap has for a score from 0 to 1."""
    text = html.escape(visible(checked_text("word", word)), quote=False)
    return f'<span style="background-color:{getRGB(colormap(float(score)))}">{text}</span>'
