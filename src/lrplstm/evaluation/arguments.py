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
    "MethodChoice",
    "check_classifier",
    "check_labels",
    "check_one_target",
    "check_options",
    "resolve_method",
    "resolve_methods",
]

MethodChoice = str | Sequence[str] | Mapping[str, Mapping[str, Any]] | None
"""Names of methods, or for each label of one its options; None: all of `lrplstm.METHODS`."""

_SET_HERE = ("model", "inputs", "target", "level", "unknown", "backend", "num_threads")


class Method(NamedTuple):
    """A method with its options, and what results call it."""

    label: str
    name: str
    options: dict[str, Any]


def check_options(name: str, options: Mapping[str, Any]) -> None:
    """Raise a TypeError if something is among a method's options that a measure sets itself."""
    for option in _SET_HERE:
        if option in options:
            raise TypeError(f"{name}: expected options of the method, got {option!r}")


def resolve_method(method: str, options: Mapping[str, Any]) -> Method:
    """Return the method of a name."""
    check_choice("method", method, [*METHODS, *ALIASES])
    return Method(method, ALIASES.get(method, method), dict(options))


def resolve_methods(methods: MethodChoice) -> list[Method]:
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
    return [_labelled(label, options) for label, options in methods.items()]


def _labelled(label: str, options: Mapping[str, Any]) -> Method:
    """Return the method that a label names, or else its option "method"."""
    name = f"methods[{label!r}]"
    if not isinstance(options, Mapping):
        raise TypeError(f"{name}: expected a mapping of options, got {type(options).__name__}")
    chosen = dict(options)
    method = chosen.pop("method", label)
    check_options(name, chosen)
    return resolve_method(method, chosen)._replace(label=label)


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
