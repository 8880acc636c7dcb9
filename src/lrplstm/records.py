"""An explanation as a record of lists, numbers and texts: what JSON and tables are made from."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from lrplstm.plain import plain
from lrplstm.sequences import sum_steps
from lrplstm.weights import Array

__all__ = ["Columns", "columns", "record", "records"]

_FIELDS = (
    "tokens",
    "unknown",
    "scores",
    "predicted",
    "target",
    "token_relevance",
    "input_relevance",
    "initial_relevance",
    "delta",
    "method",
    "params",
    "class_names",
    "task",
)


def record(a: Any) -> dict[str, Any]:
    """Return the record of an `Attribution`, see its `to_dict`."""
    values = {name: getattr(a, name) for name in _FIELDS}
    values |= _names(a)
    if a.other_relevance:
        values["relevance_of"] = a.relevance_of
    values["predicted_class"] = _names_of(a.class_names, a.predicted)
    values["target_class"] = _names_of(a.class_names, a.target)
    several = a.token_relevance.ndim == 2
    values["sum"] = {
        name: value[0] if isinstance(value, np.ndarray) and not several else value
        for name, value in a.balance.to_dict().items()
    }
    plain_values: dict[str, Any] = plain(values)
    return plain_values


def _names(a: Any) -> dict[str, Any]:
    """Return what variables, steps and the sequence are called, of what is called anything."""
    named = {
        "feature_names": a.feature_names,
        "step_labels": None if a.names.steps is None else a.names.steps.texts(),
        "sequence_labels": {k: _label(v) for k, v in a.sequence_labels.items()} or None,
        "text": a.text,
    }
    return {name: value for name, value in named.items() if value is not None}


def _label(value: Any) -> Any:
    return value if isinstance(value, str | bool | int | float | np.number) else str(value)


def _names_of(names: tuple[str, ...] | None, chosen: Any) -> Any:
    """Return the names of classes: of one, of one at a step, or of one for each step."""
    if names is None or chosen is None:
        return None
    if isinstance(chosen, tuple):
        chosen = chosen[1]
    if isinstance(chosen, int | np.integer):
        return names[chosen]
    if isinstance(chosen, np.ndarray) and chosen.dtype.kind in "iu":  # below 0 at padding
        return [names[c] if c >= 0 else None for c in chosen.tolist()]
    return None


Columns = dict[str, Any]
"""What differs between records, by name: a list with one value for each, or columns again."""


def records(attributions: Any) -> list[dict[str, Any]]:
    """Return the records of `Attributions`, as `record` makes them."""
    as_columns = columns(attributions)
    if as_columns is None:
        return [record(a) for a in attributions]
    first, differing = as_columns
    return _rows(first, differing)


def _rows(first: dict[str, Any], differing: Columns) -> list[dict[str, Any]]:
    """Return copies of the first record in which the columns' values stand."""
    lists = [
        _rows(first[name], column) if isinstance(column, dict) else column
        for name, column in differing.items()
    ]
    return [first | dict(zip(differing, row, strict=True)) for row in zip(*lists, strict=True)]


def columns(attributions: Any) -> tuple[dict[str, Any], Columns] | None:
    """Return the first record of `Attributions`, and columns of what differs in the others.

    Whole arrays become lists, which takes a part of the time. None for what is unusual.
    """
    a = attributions
    if not _is_usual(a):
        return None
    first = record(a[0])
    ends = a.offsets.tolist()
    differing: Columns = {
        "unknown": _by_sequence(a.unknown, ends),
        "scores": a.scores.tolist(),
        "target": [a.target] * len(a) if isinstance(a.target, str) else a.target.tolist(),
        "token_relevance": _by_sequence(a.token_relevance, ends),
        "initial_relevance": a.initial_relevance.T.tolist(),
        "delta": a.delta.T.tolist(),
        "sum": _sums(a, first["sum"]),
    }
    if a.tokens is not None:
        differing["tokens"] = list(a.tokens)
    if a.input_relevance is not None:
        differing["input_relevance"] = _by_sequence(a.input_relevance, ends)
    if a.predicted is not None:
        differing["predicted"] = a.predicted.tolist()
    for name in ("predicted", "target"):
        if first[f"{name}_class"] is not None:
            differing[f"{name}_class"] = [a.class_names[c] for c in differing[name]]
    return first, differing


def _is_usual(a: Any) -> bool:
    arrays = (a.scores, a.token_relevance, a.input_relevance, a.initial_relevance, a.delta)
    return (
        not a.every_step
        and a.names.steps is None
        and a.names.sequences is None
        and not a.other_relevance
        and isinstance(a.target, np.ndarray | str)
        and not any(isinstance(value, list) for value in a.params.values())
        and all(array is None or np.isfinite(array).all() for array in arrays)
    )


def _by_sequence(values: Array, ends: list[int]) -> list[Any]:
    """Part (steps,), (steps, D) or either for each class into lists, one for each sequence."""
    bounds = list(pairwise(ends))
    steps = values.tolist()
    if len(values) == ends[-1]:
        return [steps[i:j] for i, j in bounds]
    return [[row[i:j] for row in steps] for i, j in bounds]


def _sums(a: Any, first: dict[str, Any]) -> Columns:
    arrived = sum_steps(a.token_relevance, a.offsets)
    initial, delta = a.initial_relevance.astype(np.float64), a.delta.astype(np.float64)
    sums = {"inputs": arrived, "initial_states": initial}
    if first["rest"] is not None:
        sums |= {"shared_out": arrived + initial + delta, "rest": delta}
    return {name: values.T.tolist() for name, values in sums.items()}
