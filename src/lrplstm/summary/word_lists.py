"""Lists of words, and plots of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lrplstm.evaluation.drawing import axes_or_new, draw_title, draw_words, shortened
from lrplstm.heatmap.sheets import Font, font_properties
from lrplstm.summary.drawing import draw_bars
from lrplstm.summary.estimates import Estimate
from lrplstm.summary.rows import Rows
from lrplstm.texts import visible
from lrplstm.weights import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["WordList", "draw_word_bars", "draw_word_columns"]

_MOST_LETTERS = 18
_COLUMN, _ROW = 2.1, 0.32  # inches


@dataclass(frozen=True, eq=False)
class WordList:
    """Words of one group and class, the most relevant first.

    Attributes
    ----------
    key : dict
        The values of the group, and the class, by column.
    words : tuple of str of length n
    estimate : Estimate
        Mean relevance, (n,).
    count, sequences : ndarray of shape (n,)
        How often they occur, and in how many texts.

    Examples
    --------
    >>> import lrplstm
    >>> from lrplstm import summary
    >>> batch = [sentence.tokens for sentence in lrplstm.sample_sentences()[:40]]
    >>> found = summary.words(lrplstm.lrp(lrplstm.load_default(), batch, target="positive"))
    >>> one = found.lists(top=3)[0]
    >>> one.key, len(one.words)
    ({'class': 'positive'}, 6)
    """

    key: dict[str, Any]
    words: tuple[str, ...]
    estimate: Estimate
    count: Array
    sequences: Array

    @property
    def title(self) -> str:
        """What it is of."""
        return visible(", ".join(map(str, self.key.values())))


def draw_word_bars(ax: Axes | None, one: WordList) -> Axes:
    """Draw a bar with its interval for each word, and how often it occurs."""
    items = [
        f"{shortened(word, _MOST_LETTERS)} ({count})"
        for word, count in zip(one.words, one.count.tolist(), strict=True)
    ]
    estimate = Estimate(*(values[np.newaxis] for values in one.estimate))
    title = "mean relevance of a word (how often it occurs)"
    title = f"{one.title}: {title}" if one.title else title
    return draw_bars(ax, Rows([""], items, estimate), title, signed=True)


def draw_word_columns(ax: Axes | None, lists: Sequence[WordList]) -> Axes:
    """Draw the words of each list in a column, coloured by relevance, with that and its margin."""
    longest = max(len(one.words) for one in lists)
    ax = axes_or_new(ax, 0.3 + _COLUMN * len(lists), 1 + _ROW * longest)
    largest = max(float(np.abs(one.estimate.value).max()) for one in lists) or 1.0
    for x, one in enumerate(lists):
        texts = [_with_margin(one, n) for n in range(len(one.words))]
        draw_words(ax, x, range(len(texts)), texts, one.estimate.value / largest)
    titles = [one.title for one in lists]
    font = Font(titles)
    ax.set_xticks(
        range(len(lists)),
        [font.drawable(title) for title in titles],
        fontproperties=font_properties(font.families, 10),
        parse_math=False,
    )
    ax.xaxis.tick_top()
    ax.set_yticks([])
    ax.tick_params(length=0)
    ax.set_xlim(-0.6, len(lists) - 0.4)
    ax.set_ylim(longest - 0.4, -0.6)
    ax.spines[:].set_visible(False)
    draw_title(ax, "mean relevance of words for (red) and against (blue)")
    return ax


def _with_margin(one: WordList, n: int) -> str:
    """Return a word with its mean relevance, and half the width of the interval."""
    value, low, high = (float(values[n]) for values in one.estimate)
    text = f"{shortened(one.words[n], _MOST_LETTERS)}  {value:.2g}"
    return text if np.isnan(low) else f"{text} ± {(high - low) / 2:.1g}"
