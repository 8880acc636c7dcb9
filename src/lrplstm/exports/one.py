"""One explanation as a batch of one, so that every way out is written once, for many."""

from __future__ import annotations

from typing import Any

import numpy as np

from lrplstm.input_rows import InputRows
from lrplstm.weights import Array

__all__ = ["BatchOfOne", "batch_of_one"]


class BatchOfOne:
    """An `Attribution` with the fields and properties of `Attributions`."""

    def __init__(self, a: Any) -> None:
        self._one = a
        vars(self).update(batch_of_one(a))

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Any:
        return (self._one,)[index]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._one, name)

    @property
    def sequence_labels(self) -> dict[str, Array]:
        """What the sequence is of, (1,) each."""
        return {name: np.array([value]) for name, value in self._one.sequence_labels.items()}


def batch_of_one(a: Any) -> dict[str, Any]:
    """Return the fields of `Attributions` that hold one `Attribution`."""
    every_step = a.every_step
    names = a.names
    if names.sequences is not None:
        of_one = {name: np.array([value]) for name, value in names.sequences.items()}
        names = names._replace(sequences=of_one)
    other_steps = every_step and len(a.scores) != len(a)
    return {
        "offsets": np.array([0, len(a)]),
        "scores": a.scores if every_step else a.scores[np.newaxis],
        "predicted": None if a.predicted is None else np.atleast_1d(a.predicted),
        "target": _target(a.target),
        "token_relevance": a.token_relevance,
        "input_relevance": a.input_relevance,
        "initial_relevance": np.asarray(a.initial_relevance)[..., np.newaxis],
        "delta": np.asarray(a.delta)[..., np.newaxis],
        "unknown": a.unknown,
        "method": a.method,
        "params": {name: _own(value, len(a)) for name, value in a.params.items()},
        "class_names": a.class_names,
        "task": a.task,
        "tokens": None if a.tokens is None else [a.tokens],
        "every_step": every_step,
        "score_offsets": np.array([0, len(a.scores)]) if other_steps else None,
        "input_name": a.input_name,
        "other_relevance": {name: _rows(values, a) for name, values in a.other_relevance.items()},
        "names": names,
        "other_feature_names": a.other_feature_names,
    }


def _own(value: Any, steps: int) -> Any:
    """Return an argument that is of this sequence, such as numbers of its steps, in a list."""
    if isinstance(value, dict):
        return {name: _own(one, steps) for name, one in value.items()}
    is_own = isinstance(value, np.ndarray) and value.ndim == 2 and len(value) == steps
    return [value] if is_own else value


def _target(target: Any) -> Any:
    if target is None or isinstance(target, str):
        return target
    if isinstance(target, int | np.integer):
        return np.array([target])
    if isinstance(target, np.ndarray) and target.ndim == 1 and target.dtype.kind == "f":
        return target[np.newaxis]
    return [target]


def _rows(values: Array, a: Any) -> InputRows:
    """Return the relevance of another input, of which a row or each step is told apart by level."""
    axis = a.token_relevance.ndim - 1  # that of classes comes first
    is_row = values.ndim - axis == (1 if a.params["level"] == "input" else 0)
    relevance = np.expand_dims(values, axis) if is_row else values
    return InputRows(relevance, np.array([0, relevance.shape[axis]]), is_row)
