"""Explanations as `shap` holds them, which its plots draw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lrplstm.exports.needed import needed
from lrplstm.exports.tidy import row_labels
from lrplstm.weights import Array

if TYPE_CHECKING:
    import shap

__all__ = ["OVER", "to_shap"]

OVER = ("steps", "variables", "nothing")


def to_shap(a: Any, *, single: bool, over: str) -> shap.Explanation:
    """Return what `lrplstm.Attributions.to_shap` documents."""
    explanation = needed("shap", "to_shap").Explanation
    several = a.token_relevance.ndim == 2
    base = np.asarray(a.initial_relevance + a.delta)  # so that a waterfall ends at the score
    labels = row_labels(a)
    if a.tokens is not None or a.input_relevance is None:
        values, data, names = _of_steps(a)
    else:
        values, data, names = _of_variables(a, over)
    if several:
        base = base.T
    if single:
        values, data, base = values[0], None if data is None else data[0], base[0]
        names = names[0] if names and isinstance(names[0], list) else names
    elif a.tokens is None and len({len(one) for one in values}) == 1:
        values = np.stack(list(values))
        data = None if data is None else np.stack(list(data))
    found: shap.Explanation = explanation(
        values=values, base_values=base, data=data, feature_names=names, output_names=labels
    )
    return found


def _by_sequence(values: Array, offsets: Array) -> Array:
    """Return an array of objects: the steps of each sequence."""
    parts = np.empty(len(offsets) - 1, object)
    parts[:] = np.split(values, offsets[1:-1])
    return parts


def _of_steps(a: Any) -> tuple[Any, Any, Any]:
    """Return relevance of steps, (T,) or (T, C), what stood there, and what steps are called."""
    values = _by_sequence(np.moveaxis(a.token_relevance, -1, 0), a.offsets)
    words = [one.words for one in a]
    data = np.empty(len(words), object)
    data[:] = [np.array(one, object) for one in words]
    return values, data, words


def _of_variables(a: Any, over: str) -> tuple[Any, Any, Any]:
    """Return relevance of variables, what they were, and what they are called."""
    relevance = np.moveaxis(a.input_relevance, (-2, -1), (0, 1))  # (steps, D) or (steps, D, C)
    D = relevance.shape[1]
    names = (
        [f"variable {d}" for d in range(D)] if a.feature_names is None else list(a.feature_names)
    )
    given = a.input_values
    lengths = np.diff(a.offsets)
    if over == "steps":
        values = np.add.reduceat(relevance, a.offsets[:-1], axis=0)
        data = None
        if given is not None:
            data = np.add.reduceat(given, a.offsets[:-1], axis=0) / lengths[:, np.newaxis]
        return values, data, names
    if over == "variables":
        values = _by_sequence(relevance.sum(axis=1), a.offsets)
        return values, None, [f"{lengths[0] - 1 - t} steps back" for t in range(lengths[0])]
    values = _by_sequence(relevance, a.offsets)
    flat = np.empty(len(values), object)
    flat[:] = [one.reshape(-1, *one.shape[2:]) for one in values]
    of_steps = [f"{name}, {lengths[0] - 1 - t} back" for t in range(lengths[0]) for name in names]
    data = None
    if given is not None:
        data = np.empty(len(values), object)
        data[:] = [one.reshape(-1) for one in _by_sequence(given, a.offsets)]
    return flat, data, of_steps
