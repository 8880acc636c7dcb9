"""What explanations say, row by row: labels, scores, relevance, and which of them share a scale."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lrplstm.balance import in_same_decimals
from lrplstm.heatmap import ENDS
from lrplstm.heatmap.spacing import stands_close
from lrplstm.method_table import TABLE
from lrplstm.report.alignment import segments
from lrplstm.texts import visible
from lrplstm.weights import Array

__all__ = [
    "Row",
    "check_finite",
    "ends_of",
    "numbered",
    "rows_of",
    "scales_of",
    "unit_of",
    "written",
]


class Row(NamedTuple):
    """One explained class of one explanation.

    Attributes
    ----------
    of : Attribution
    k : int, or None
        Which row of its relevance it is; None: it has one.
    method, subject : str
        What it is called.
    score : float, or None
    """

    of: Any
    k: int | None
    method: str
    subject: str
    score: float | None

    @property
    def relevance(self) -> Array:
        """Relevance of each step, (T,)."""
        values = self.of.token_relevance if self.k is None else self.of.token_relevance[self.k]
        return np.asarray(values, np.float64)

    @property
    def inputs(self) -> Array:
        """Relevance of each variable at each step, (T, D)."""
        values = self.of.input_relevance if self.k is None else self.of.input_relevance[self.k]
        return np.asarray(values, np.float64)


def rows_of(a: Any, method: str | None = None) -> list[Row]:
    """Return the rows of an explanation, one for each explained class."""
    wording = a._wording
    method = visible(wording.method_title if method is None else method)
    if a.token_relevance.ndim == 1:
        return [Row(a, None, method, visible(wording.subject), wording.explained_score)]
    labels = a.row_labels or [wording.subject]
    scores: list[Any] = [None] * len(labels)
    if not a.every_step:
        single = -a.scores[0], a.scores[0]
        scores = [*map(float, single if a.outputs.binary else a.scores)]
    return [
        Row(a, k, method, visible(label), score)
        for k, (label, score) in enumerate(zip(labels, scores, strict=True))
    ]


def check_finite(rows: Sequence[Row]) -> None:
    """Raise an error if relevance cannot be drawn."""
    for row in rows:
        if not np.isfinite(row.relevance).all():
            raise ValueError(
                f"relevance: expected finite numbers, got others by {row.of.method}; "
                "see the warning that the method gave"
            )


def ends_of(row: Row) -> tuple[str, str]:
    """Return what negative and positive relevance say."""
    return TABLE[row.of.method].ends or ENDS


def unit_of(row: Row) -> str:
    """Return what relevance is counted in: the score, or what only this method gives."""
    return "score" if TABLE[row.of.method].shares else row.of.method


def scales_of(
    rows: Sequence[Row], largest: Sequence[float], *, shared: bool
) -> tuple[list[float], list[bool], float | None]:
    """Return the relevance that has the full colour in each row.

    Rows in another unit than the first one that shares a score out have a scale of their own, for
    numbers of two units cannot be compared.

    Returns
    -------
    scales : list of float
    own : list of bool
        Which rows have a scale of their own.
    common : float, or None
        That of all others, where there are any.
    """
    units = [unit_of(row) for row in rows]
    main = "score" if "score" in units else units[0]
    own = [not shared or unit != main for unit in units]
    common = None
    if shared:
        of_all = zip(largest, units, strict=True)
        common = max(size for size, unit in of_all if unit == main)
    scales = [
        size if alone or common is None else common
        for size, alone in zip(largest, own, strict=True)
    ]
    return scales, own, common


def written(a: Any) -> tuple[list[str], list[bool]]:
    """Return the words as they were written, and which stay on the line of the one before."""
    words = list(a.words)
    close = stands_close(words)
    pieces = None if a.text is None or a.tokens is None else segments(a.text, a.tokens)
    if pieces is None:
        return words, close
    words = pieces[1::2]
    for t in range(1, len(words)):
        # Scripts without spaces may break anywhere.
        attached = not pieces[2 * t] and not (_is_wide(words[t - 1][-1]) or _is_wide(words[t][0]))
        close[t] = close[t] or attached
    return words, close


def _is_wide(char: str) -> bool:
    return unicodedata.east_asian_width(char) in "WF"


def numbered(scores: Sequence[float | None]) -> list[str]:
    """Write scores, all with as many decimals."""
    known = [score for score in scores if score is not None]
    texts = iter(in_same_decimals(known))
    return ["" if score is None else next(texts) for score in scores]
