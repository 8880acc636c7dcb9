"""What a notebook shows of explanations: rows of a report, and words alone without its script."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import accumulate
from typing import Any

import numpy as np

from lrplstm.heatmap import grid_to_html
from lrplstm.report.content import Given, content
from lrplstm.report.page import fragment

__all__ = ["MOST_SEQUENCES", "output"]

MOST_SEQUENCES = 25
"""An output has so many; a page may have thousands."""

_MOST_NUMBERS = 50_000  # with which an output has 200 KB
_MOST_DRAWN = 600  # words, or cells of a grid, where no script runs: each takes 70 bytes or more


def output(first: Sequence[Any], count: int) -> str | None:
    """Return what a notebook shows of the first of so many sequences; None if it can show none.

    Parameters
    ----------
    first : sequence of Attribution
        At most `MOST_SEQUENCES`; of long ones fewer are shown.
    count : int
        How many there are.

    Returns
    -------
    str or None
        HTML: one element with coloured words that needs no script, and a script that puts the
        controls of a report in its place. None where no relevance is finite.
    """
    finite = [a for a in first if a.is_finite]
    some = finite[: max(1, _number_within([np.size(_numbers(a)) for a in finite], _MOST_NUMBERS))]
    if not some:
        return None
    drawn = some[: max(1, _number_within([_cells(a) for a in some], _MOST_DRAWN))]
    others = _not_finite(len(first) - len(finite))
    static = "\n".join(map(_static, drawn)) + _paragraph(_left_out(len(drawn), count, others))
    try:
        data = content([some], Given())
    except ValueError:  # numbers beyond those that a page has
        return static
    return fragment(data, static, _left_out(len(some), count, others))


def _numbers(a: Any) -> Any:
    return a.token_relevance if a.input_relevance is None else a.input_relevance


def _is_grid(a: Any) -> bool:
    """Whether it is drawn as variables at steps."""
    return a.tokens is None and a.input_relevance is not None


def _cells(a: Any) -> int:
    """Return how many words or cells are drawn of one."""
    return min(a.input_relevance.size, _MOST_DRAWN) if _is_grid(a) else a.token_relevance.size


def _number_within(sizes: Sequence[int], most: int) -> int:
    """Return how many of them, from the first on, add up to no more than so much."""
    return sum(total <= most for total in accumulate(sizes))


def _static(a: Any) -> str:
    if _is_grid(a):
        return grid_to_html(a.to_grid(), most_cells=_MOST_DRAWN)
    if a.token_relevance.size > 4 * _MOST_DRAWN:
        return _paragraph(a.caption)
    return str(a.to_html())


def _not_finite(count: int) -> str:
    """Return what is said of explanations that cannot be drawn."""
    return f"{count} with infinite relevance or NaN" if count else ""


def _left_out(shown: int, count: int, others: str) -> str | None:
    if shown == count:
        return None
    text = f"{shown} of {count:,} are shown"
    if others:
        return f"{text}, and none of {others}"
    return f"{text}; save_html(path) writes a page of all of them"


def _paragraph(text: str | None) -> str:
    return "" if text is None else f"<p>{escape(text)}</p>"
