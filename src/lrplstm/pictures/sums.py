"""What adds up to a score: words or variables, initial states, and what biases kept."""

from __future__ import annotations

from typing import Any

import numpy as np

from lrplstm.errors import ArgumentError
from lrplstm.heatmap.content import visible_word
from lrplstm.heatmap.waterfall import Part
from lrplstm.pictures.parts import check_finite, rows_of, written
from lrplstm.pictures.series import is_series
from lrplstm.texts import visible
from lrplstm.weights import Array

__all__ = ["parts_of"]

_MOST_LETTERS = 32


def parts_of(a: Any, top: int) -> tuple[list[Part], Part]:
    """Return what adds up to the explained score, and the score.

    Of words, or of the variables of a series, those with the largest absolute relevance stand in
    their own order, and the others together.
    """
    balance = a.balance
    if a.token_relevance.ndim > 1:
        raise ArgumentError("target", "expected an explanation of one class, got one of several")
    if not balance.shares:
        raise ArgumentError(
            "method", f"expected one that shares a score out, got {a.method}: {balance.rest_is}"
        )
    check_finite(rows_of(a))
    if is_series(a):
        values = np.asarray(a.input_relevance, np.float64).sum(axis=0)
        names = list(a.feature_names or (f"variable {d}" for d in range(len(values))))
        what = "variables"
    else:
        values = np.asarray(a.token_relevance, np.float64)
        names, what = written(a)[0], balance.inputs
    parts = _strongest([visible_word(name) for name in names], values, top, what)
    others = {
        visible(name): float(np.sum(relevance)) for name, relevance in a.other_relevance.items()
    }
    parts += [Part(_short(name), value) for name, value in others.items()]
    initial = float(balance.initial[0])
    if initial:
        parts.append(Part("initial states", initial, plain=True))
    parts.append(Part(balance.rest_is, float(balance.rest[0]), plain=True))
    return parts, Part(balance.source, float(balance.started[0]), plain=True)


def _strongest(names: list[str], values: Array, top: int, what: str) -> list[Part]:
    shown = len(values) if len(values) == top + 1 else top  # nobody sums up one
    strongest = np.sort(np.argsort(-np.abs(values), kind="stable")[:shown])
    parts = [Part(_short(names[n]), float(values[n])) for n in strongest]
    left = len(values) - len(strongest)
    if left:
        rest = float(np.delete(values, strongest).sum())
        parts.append(Part(f"{left} other {what}", rest, plain=True))
    return parts


def _short(name: str) -> str:
    return name if len(name) <= _MOST_LETTERS else f"{name[: _MOST_LETTERS - 1]}…"
