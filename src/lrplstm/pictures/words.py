"""Pictures of words: one explanation, a batch of them, several of one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lrplstm.heatmap.content import visible_word
from lrplstm.heatmap.passages import Group, Legend, Passage, WordsPicture, own_scale
from lrplstm.pictures.parts import (
    Row,
    check_finite,
    ends_of,
    numbered,
    rows_of,
    scales_of,
    written,
)
from lrplstm.texts import visible

__all__ = ["batch_picture", "one_picture", "rows_picture"]


def one_picture(a: Any, title: str | None, scale: float | None, *, legend: bool) -> WordsPicture:
    """Return that of one explanation, with a row for each explained class."""
    rows = rows_of(a)
    labels = [row.subject for row in rows] if len(rows) > 1 else [""]
    groups = [("", [*zip(labels, rows, strict=True)])]
    title = a.title if title is None else title
    return rows_picture(groups, title, scale=scale, legend=legend, scores=len(rows) > 1)


def batch_picture(
    several: Sequence[Any],
    labels: Sequence[str] | None,
    title: str,
    *,
    shared_scale: bool,
    legend: bool,
) -> WordsPicture:
    """Return that of several sentences, one under another."""
    by_sentence = [rows_of(a) for a in several]
    if max(map(len, by_sentence)) == 1:
        names = labels or [rows[0].subject for rows in by_sentence]
        if labels is None and len(set(names)) == 1:
            names = [""] * len(names)  # the title says it
        listed = [(name, rows[0]) for name, rows in zip(names, by_sentence, strict=True)]
        groups = [("", listed)]
    else:
        names = labels or [a._wording.subject_and_score for a in several]
        groups = [
            (visible(name), [(row.subject, row) for row in rows])
            for name, rows in zip(names, by_sentence, strict=True)
        ]
    return rows_picture(groups, title, shared_scale=shared_scale, legend=legend, scores=True)


def rows_picture(
    groups: Sequence[tuple[str, Sequence[tuple[str, Row]]]],
    title: str,
    *,
    scale: float | None = None,
    shared_scale: bool = True,
    legend: bool = True,
    scores: bool = False,
    in_columns: bool = False,
) -> WordsPicture:
    """Return the picture of labelled rows in groups."""
    rows = [row for _, listed in groups for _, row in listed]
    check_finite(rows)
    largest = [float(np.abs(row.relevance).max()) for row in rows]
    if scale is not None:
        _check_scale(scale, max(largest))
        largest = [float(scale)] * len(rows)
    scales, own, common = scales_of(rows, largest, shared=shared_scale)
    numbers = numbered([row.score if scores else None for row in rows])
    bars = _bars(rows) if scores and len(rows) > 1 else [None] * len(rows)
    passages = (
        _passage(row, scales[n], label, own=own[n], number=numbers[n], bar=bars[n])
        for n, (label, row) in enumerate(pair for _, listed in groups for pair in listed)
    )
    drawn = [Group(heading, [next(passages) for _ in listed]) for heading, listed in groups]
    of_legend = _legend(rows, own, common) if legend else None
    return WordsPicture(drawn, of_legend, visible(title), in_columns=in_columns)


def _passage(
    row: Row, scale: float, label: str, *, own: bool, number: str, bar: float | None
) -> Passage:
    words, close = written(row.of)
    return Passage(
        [visible_word(word) for word in words],
        row.relevance / (scale or 1.0),
        row.of.unknown.tolist(),
        close,
        visible(label),
        bar,
        number,
        own_scale(scale) if own and scale else "",
    )


def _legend(rows: Sequence[Row], own: Sequence[bool], common: float | None) -> Legend:
    """Return the legend of rows on a common scale, or else of all: with both ends if one has."""
    on_it = [row for row, alone in zip(rows, own, strict=True) if not alone] or rows
    ends = [ends_of(row) for row in on_it]
    both = next((one for one in ends if one[0]), ends[0])
    return Legend(both, common, any(bool(row.of.unknown.any()) for row in rows), any(own))


def _bars(rows: Sequence[Row]) -> list[float | None]:
    """Return scores as parts of the largest, where they are of classes of one model."""
    scores = [row.score for row in rows]
    known = [abs(score) for score in scores if score is not None and np.isfinite(score)]
    if any(row.of.outputs.regression for row in rows) or not known:
        return [None] * len(rows)  # outputs may have other units
    unit = max(known) or 1.0
    return [None if score is None else score / unit for score in scores]


def _check_scale(scale: float, largest: float) -> None:
    if not largest <= scale < np.inf:
        raise ValueError(
            f"scale: expected a number not below the largest absolute relevance, {largest:.3g}, "
            f"got {scale}"
        )
