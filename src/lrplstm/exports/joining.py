"""Several batches as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lrplstm.input_rows import InputRows
from lrplstm.plain import plain
from lrplstm.sequences import Names, Values, to_offsets
from lrplstm.step_labels import StepLabels
from lrplstm.texts import shown
from lrplstm.weights import Array

__all__ = ["join"]

_SAME = ("method", "task", "class_names", "every_step", "input_name")


def join(batches: Sequence[Any]) -> dict[str, Any]:
    """Return the fields of the `Attributions` that hold all sequences of several.

    Raises
    ------
    ValueError
        If they are not of one kind: another method, other classes, other variables.
    """
    first = batches[0]
    for n, other in enumerate(batches):
        for name in _SAME:
            _check_same(n, name, getattr(first, name), getattr(other, name))
        _check_same(n, "variables", first.feature_names, other.feature_names)
        for name in ("token_relevance", "input_relevance"):
            _check_same(n, name, *(_form(getattr(one, name)) for one in (first, other)))
        _check_same(n, "inputs", list(first.other_relevance), list(other.other_relevance))

    def along(name: str, axis: int) -> Any:
        values = [getattr(one, name) for one in batches]
        return None if values[0] is None else np.concatenate(values, axis)

    class_axes = first.token_relevance.ndim - 1
    return {
        "offsets": _offsets([one.offsets for one in batches]),
        "scores": along("scores", 0),
        "predicted": along("predicted", 0),
        "target": _target([one.target for one in batches]),
        "token_relevance": along("token_relevance", -1),
        "input_relevance": along("input_relevance", -2),
        "initial_relevance": along("initial_relevance", -1),
        "delta": along("delta", -1),
        "unknown": along("unknown", 0),
        "method": first.method,
        "params": _params([one.params for one in batches]),
        "class_names": first.class_names,
        "task": first.task,
        "tokens": _tokens(batches),
        "every_step": first.every_step,
        "score_offsets": None
        if first.score_offsets is None
        else _offsets([one.score_offsets for one in batches]),
        "input_name": first.input_name,
        "other_relevance": {
            name: _rows([one.other_relevance[name] for one in batches], class_axes)
            for name in first.other_relevance
        },
        "names": _names(batches),
        "other_feature_names": first.other_feature_names,
    }


def _check_same(n: int, name: str, expected: Any, got: Any) -> None:
    if expected != got:
        raise ValueError(
            f"several[{n}]: expected the {name} of the first, {shown(expected)}, got {shown(got)}"
        )


def _form(relevance: Array | None) -> str:
    """Return what has to be the same of relevance: how many classes and variables there are."""
    if relevance is None:
        return "none"
    return f"{relevance.dtype} {['', 'by step', 'by variable or class', 'by both'][relevance.ndim]}"


def _offsets(several: Sequence[Array]) -> Array:
    return to_offsets(np.concatenate([np.diff(offsets) for offsets in several]))


def _rows(several: Sequence[InputRows], axis: int) -> InputRows:
    relevance = np.concatenate([rows.relevance for rows in several], axis)
    return InputRows(relevance, _offsets([rows.offsets for rows in several]), several[0].is_row)


def _target(targets: Sequence[Any]) -> Any:
    first = targets[0]
    if first is None or isinstance(first, str):
        return first
    if all(isinstance(target, np.ndarray) for target in targets):
        return np.concatenate(targets)
    return [one for target in targets for one in target]


def _params(several: Sequence[Any]) -> Any:
    """Return arguments: lists have one for each sequence, and all others are the same."""
    first = several[0]
    if isinstance(first, dict):
        for n, other in enumerate(several):
            _check_same(n, "arguments", list(first), list(other))
        return {name: _params([other[name] for other in several]) for name in first}
    if all(isinstance(one, list) for one in several):
        return [one for values in several for one in values]
    for n, other in enumerate(several):
        _check_same(n, "arguments", plain(first), plain(other))
    return first


def _tokens(batches: Sequence[Any]) -> list[list[str]] | None:
    if any(one.tokens is None for one in batches):
        return None
    return [tokens for one in batches for tokens in one.tokens]


def _names(batches: Sequence[Any]) -> Names:
    """Return what parts are called: labels that all of them have."""
    steps = [one.names.steps for one in batches if one.names.steps is not None]
    values = [one.names.values for one in batches]
    labels = [one.sequence_labels for one in batches]
    shared = [name for name in labels[0] if all(name in other for other in labels)]
    return Names(
        batches[0].feature_names,
        StepLabels.joined(steps) if len(steps) == len(batches) else None,
        {name: np.concatenate([one[name] for one in labels]) for name in shared} or None,
        None
        if any(one is None for one in values)
        else Values(np.concatenate([one.as_array() for one in values])),
    )
