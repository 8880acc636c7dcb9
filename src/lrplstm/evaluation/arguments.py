"""Checks of the arguments that several measures share, and what lists of methods mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lrplstm.checks import check_choice, to_array
from lrplstm.methods import ALIASES, METHODS
from lrplstm.model import LSTMModel
from lrplstm.weights import Array

__all__ = [
    "Method",
    "Methods",
    "check_classifier",
    "check_labels",
    "check_one_target",
    "resolve_method",
    "resolve_methods",
]

Methods = str | Sequence[str] | Mapping[str, Mapping[str, Any]] | None
"""Names of methods, or for each label of one its options; None: all of `lrplstm.METHODS`."""

_SET_HERE = ("model", "inputs", "target", "level", "unknown", "backend", "num_threads")


class Method(NamedTuple):
    """A method with its options, and what results call it."""

    label: str
    name: str
    options: dict[str, Any]


def resolve_method(label: str, options: Mapping[str, Any]) -> Method:
    """Return the method of a name, or of the option "method"."""
    if not isinstance(options, Mapping):
        raise TypeError(
            f"methods[{label!r}]: expected a mapping of options, got {type(options).__name__}"
        )
    chosen = dict(options)
    name = chosen.pop("method", label)
    check_choice("method", name, [*METHODS, *ALIASES])
    for option in _SET_HERE:
        if option in chosen:
            raise TypeError(f"methods[{label!r}]: expected options of the method, got {option!r}")
    return Method(label, ALIASES.get(name, name), chosen)


def resolve_methods(methods: Methods) -> list[Method]:
    """Return the methods that are asked for, each with its options."""
    if methods is None:
        methods = list(METHODS)
    if isinstance(methods, str):
        methods = [methods]
    if not isinstance(methods, Mapping):
        if not isinstance(methods, Sequence):
            raise TypeError(
                "methods: expected a name, a sequence of names, or a mapping of names to options, "
                f"got {type(methods).__name__}"
            )
        for name in methods:
            check_choice("methods", name, [*METHODS, *ALIASES])
        methods = {name: {} for name in methods}
    if not methods:
        raise ValueError("methods: expected at least one, got none")
    return [resolve_method(label, options) for label, options in methods.items()]


def check_classifier(model: LSTMModel) -> None:
    """Raise a ValueError if a model does not choose one of several classes for a sequence."""
    if model.pooling == "none":
        raise ValueError(
            "model: expected one row of scores for a sequence, got pooling 'none', where every "
            "step has a class of its own"
        )
    if model.num_classes == 1:
        raise ValueError(
            "model: expected at least two classes, got one score, which is never wrong"
        )


def check_one_target(target: Any) -> None:
    """Raise a ValueError if `target` is "all", which is more than one for a sequence."""
    if isinstance(target, str) and target == "all":
        raise ValueError("target: expected one for each sequence, got 'all'")


def check_labels(labels: Any, sequences: int, classes: int) -> Array:
    """Return one class for each sequence, or raise an error."""
    array = np.atleast_1d(to_array("labels", labels))
    if array.dtype.kind not in "iu":
        raise TypeError(f"labels: expected integers, got dtype {array.dtype}")
    if array.shape != (sequences,):
        raise ValueError(
            f"labels: expected one for each of {sequences} sequence(s), got shape {array.shape}"
        )
    outside = (array < 0) | (array >= classes)
    if outside.any():
        b = int(outside.argmax())
        raise ValueError(f"labels[{b}]: expected a class from 0 to {classes - 1}, got {array[b]}")
    return array.astype(np.intp)
