"""Tidy columns: a row for each word, or for each variable at each step; for each class again."""

from __future__ import annotations

from typing import Any

import numpy as np

from lrplstm.step_labels import StepLabels
from lrplstm.weights import Array

__all__ = ["tidy"]


def tidy(
    a: Any,
    *,
    sequence: bool = True,
    first: int = 0,
    top: int | None = None,
    dates: bool = True,
) -> dict[str, Array]:
    """Return the columns of a tidy table by their names, all of one length.

    Parameters
    ----------
    a : Attributions
    sequence : bool
        Whether to say which sequence a row is of: its number, and what it is of.
    first : int
        The number of the first sequence.
    top : int, optional
        So many rows of each sequence, and of each class, with the largest absolute relevance, the
        largest first. Default: all, in the order of steps.
    dates : bool
        Whether dates stay what they are, rather than texts.

    Returns
    -------
    dict of ndarray
        ``sequence`` and the `sequence_labels`; ``step``; ``label`` where steps have labels;
        ``token`` of words; ``variable`` at level "input" of numbers, by name or number;
        ``relevance``; ``class`` where several are explained.
    """
    lengths = np.diff(a.offsets)
    steps = int(a.offsets[-1])
    by_variable = a.tokens is None and a.input_relevance is not None
    relevance = a.input_relevance if by_variable else a.token_relevance
    D = relevance.shape[-1] if by_variable else 1
    K = relevance.size // (steps * D)

    def of_steps(values: Array) -> Array:
        return np.tile(np.repeat(values, D), K)

    number = np.repeat(np.arange(len(lengths)), lengths)
    columns: dict[str, Array] = {}
    if sequence:
        columns["sequence"] = of_steps(number + first)
        for name, values in a.sequence_labels.items():
            known = values if dates else _as_texts(values)
            columns[_free(name, columns)] = of_steps(known[number])
    columns["step"] = of_steps(np.arange(steps) - np.repeat(a.offsets[:-1], lengths))
    if a.step_labels is not None:
        labels = a.step_labels if dates else np.array(a.names.steps.texts(), object)
        columns["label"] = of_steps(labels)
    if a.tokens is not None:
        tokens = np.array([token for sentence in a.tokens for token in sentence], object)
        columns["token"] = of_steps(tokens)
    if by_variable:
        names = np.arange(D) if a.feature_names is None else np.array(a.feature_names, object)
        columns["variable"] = np.tile(names, K * steps)
    columns["relevance"] = relevance.ravel()
    rows = row_labels(a)
    if rows is not None:
        columns["class"] = np.repeat(np.array(rows, object), steps * D)
    order = _order(of_steps(number), np.repeat(np.arange(K), steps * D), columns["relevance"], top)
    if order is None:
        return columns
    return {name: values[order] for name, values in columns.items()}


def _as_texts(values: Array) -> Array:
    """Return dates in words, and all else as it is."""
    return np.array(StepLabels(values).texts(), object) if values.dtype.kind == "M" else values


def _order(number: Array, row: Array, relevance: Array, top: int | None) -> Array | None:
    """Return which rows come where: those of one sequence together, then those of one class."""
    if top is None:
        return number.argsort(kind="stable") if row[-1] else None
    order = np.lexsort((-np.abs(relevance), row, number))
    group = np.stack([number, row])[:, order]
    begins = np.concatenate([[True], (np.diff(group) != 0).any(axis=0)])
    starts = np.flatnonzero(begins)
    rank = np.arange(len(order)) - starts[np.cumsum(begins) - 1]
    return order[rank < top]


def row_labels(a: Any) -> list[str] | None:
    """Return what the several explained classes are called; None where there is one."""
    labels: list[str] | None = a[0].row_labels
    return labels


def _free(name: str, taken: dict[str, Array]) -> str:
    """Return a name of a column that is no other's."""
    reserved = {*taken, "step", "label", "token", "variable", "class", "relevance"}
    while name in reserved:
        name = f"{name}_"
    return name
