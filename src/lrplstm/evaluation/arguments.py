"""Checks of the arguments that several measures share, and what lists of methods mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lrplstm.base_model import Model
from lrplstm.checks import check_choice, to_array
from lrplstm.errors import ArgumentError, ArgumentTypeError, Element
from lrplstm.methods import ALIASES, METHODS
from lrplstm.outputs import Outputs
from lrplstm.texts import shown
from lrplstm.weights import Array

__all__ = [
    "Method",
    "MethodChoice",
    "check_classes",
    "check_labels",
    "check_one_row",
    "check_one_target",
    "check_options",
    "for_values",
    "has_classes",
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
            raise TypeError(f"{name}: expected options of the method, got {shown(option)}")


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
            raise ArgumentTypeError(
                "methods",
                "expected a name, a sequence of names, or a mapping of names to options, "
                f"got {type(methods).__name__}",
            )
        for name in methods:
            check_choice("methods", name, [*METHODS, *ALIASES])
        methods = {name: {} for name in methods}
    if not methods:
        raise ArgumentError("methods", "expected at least one, got none")
    return [_labelled(label, options) for label, options in methods.items()]


def _labelled(label: str, options: Mapping[str, Any]) -> Method:
    """Return the method that a label names, or else its option "method"."""
    name = f"methods[{shown(label)}]"
    if not isinstance(options, Mapping):
        raise TypeError(f"{name}: expected a mapping of options, got {type(options).__name__}")
    chosen = dict(options)
    method = chosen.pop("method", label)
    check_options(name, chosen)
    return resolve_method(method, chosen)._replace(label=label)


def has_classes(outputs: Outputs) -> bool:
    """Whether a model can be right or wrong: it chooses one of at least two classes."""
    return not outputs.regression and outputs.count > 1


def for_values(outputs: Outputs) -> str:
    """Return for whom there are no classes, and how there would be some, for errors."""
    if outputs.regression:
        return "for a regression"
    return "for one score (two class_names make it a classifier)"


def check_classes(outputs: Outputs) -> None:
    """Raise a ValueError if there are no classes that labels could name."""
    if not has_classes(outputs):
        raise ValueError(
            "model: expected at least two classes, got one score; two class_names make it a "
            "classifier, and without labels the score itself is followed"
        )


def check_one_row(model: Model) -> None:
    """Raise a ValueError if a model has scores at every step."""
    if model.every_step:
        raise ValueError(
            "model: expected one row of scores for a sequence, got pooling 'none', where every "
            "step has scores of its own"
        )


def check_one_target(target: Any, outputs: Outputs) -> None:
    """Raise a ValueError if `target` is every class, which is more than one for a sequence.

    Every output of a regression is what it is explained for by default.
    """
    if isinstance(target, str) and target == "all" and not outputs.regression:
        raise ArgumentError("target", "expected one for each sequence, got 'all'")


def check_labels(labels: Any, sequences: int, outputs: Outputs) -> Array:
    """Return one class for each sequence, of numbers or names, or raise an error."""
    if outputs.regression:
        raise ArgumentError(
            "labels",
            "expected None for a regression: an output's score is followed, and compared "
            "with no true value",
        )
    check_classes(outputs)
    if labels is None:
        raise ArgumentError("labels", "expected the true class of each sequence, got None")
    array = np.atleast_1d(to_array("labels", labels))
    if array.dtype.kind == "U":
        chosen = [outputs.index(Element("labels", b), str(n)) for b, n in enumerate(array.flat)]
        array = np.array(chosen).reshape(array.shape)
    if array.dtype.kind not in "iu":
        raise ArgumentTypeError("labels", f"expected integers, got dtype {array.dtype}")
    if array.shape != (sequences,):
        raise ArgumentError(
            "labels", f"expected one for each of {sequences} sequence(s), got shape {array.shape}"
        )
    outside = (array < 0) | (array >= outputs.count)
    if outside.any():
        b = int(outside.argmax())
        raise ArgumentError(
            Element("labels", b), f"expected a class from 0 to {outputs.count - 1}, got {array[b]}"
        )
    return array.astype(np.intp)
