"""`target` in any accepted form -> how it weighs the scores of each sequence, or of each step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from lrplstm.checks import to_array
from lrplstm.weights import Array

__all__ = ["Target", "resolve_step_target", "resolve_target"]


@dataclass(frozen=True, eq=False)
class Target:
    """What is explained, of C scores in each of n rows: one a sequence, or one a step.

    Attributes
    ----------
    kind : {"predicted", "class", "weights", "all"}
    values : ndarray or None
        Classes of shape (n,) for "class"; weights of shape (n, C) for "weights".
    given : list, or None
        What was asked for of each sequence, where a row is a step.
    """

    kind: str
    values: Array | None = None
    given: list[Any] | None = None

    def weighting(self, scores: Array, rows: slice | Array) -> Array:
        """Return v of shape (K, n', C) for some rows with these scores, (n', C).

        K is C for "all", else 1. What is explained is ``v . scores``.
        """
        n, C = scores.shape
        if self.kind == "all":
            return np.broadcast_to(np.eye(C, dtype=scores.dtype)[:, np.newaxis], (C, n, C))
        if self.kind == "weights" and self.values is not None:
            return self.values[np.newaxis, rows]
        classes = scores.argmax(axis=1) if self.values is None else self.values[rows]
        return (classes[:, np.newaxis] == np.arange(C)).astype(scores.dtype)[np.newaxis]

    def weigh_largest(self, scores: Array) -> Array:
        """Return scores, (n, C), times the largest absolute weight of their row."""
        if self.kind != "weights" or self.values is None:
            return scores
        return scores * np.abs(self.values).max(axis=1, keepdims=True)

    def explained(self, predicted: Array, offsets: Array) -> Array | list[Any] | str:
        """Return what was explained: classes (B,), weights (B, C), a list for steps, or "all"."""
        if self.kind == "all":
            return "all"
        if self.given is not None:
            return list(self.given)
        if self.values is None and len(predicted) != len(offsets) - 1:
            return [part.copy() for part in np.split(predicted, offsets[1:-1])]
        return (predicted if self.values is None else self.values).copy()


def resolve_target(target: Any, sequences: int, classes: int, dtype: np.dtype[Any]) -> Target:
    """Check `target` and return what it means for a batch.

    Parameters
    ----------
    target : None, int, sequence of int, sequence of float, or "all"
        As for `lrplstm.lrp`.
    sequences, classes : int
        B and C.
    dtype : numpy.dtype
        Of the model; weights are converted to it.

    Raises
    ------
    TypeError
        If it is of no accepted form.
    ValueError
        If a class is out of range, its shape is wrong, or it contains NaN or infinity.
    """
    if target is None:
        return Target("predicted")
    if isinstance(target, str):
        if target != "all":
            raise ValueError(f"target: expected a class, weights or 'all', got {target!r}")
        return Target("all")
    if isinstance(target, bool | np.bool_):
        raise TypeError(f"target: expected an int, weights or 'all', got {target!r}")
    if isinstance(target, Integral):
        return _classes(np.full(sequences, _checked_class(target, classes)), classes)
    values = to_array("target", target)
    if values.ndim == 0 and values.dtype.kind in "iu":
        return _classes(np.full(sequences, _checked_class(values.item(), classes)), classes)
    if values.dtype.kind not in "iuf" or values.ndim not in (1, 2):
        raise TypeError(
            "target: expected None, a class, a class for each sequence, weights of shape "
            f"({classes},) or ({sequences}, {classes}), or 'all', got {target!r:.60}"
        )
    # One integer for each sequence is a class each; other integers can only be weights.
    if values.dtype.kind in "iu" and values.ndim == 1 and len(values) == sequences:
        return _classes(values, classes)
    if values.shape not in ((classes,), (sequences, classes)):
        raise ValueError(
            f"target: expected one class for each of {sequences} sequence(s), or weights of shape "
            f"({classes},) or ({sequences}, {classes}), got shape {values.shape}"
        )
    weights = _finite("target", values, dtype)
    return Target("weights", np.broadcast_to(weights, (sequences, classes)))


def _checked_class(target: Any, classes: int) -> int:
    """Return an int of any size as a class, or raise a ValueError."""
    if not 0 <= target < classes:
        raise ValueError(f"target: expected classes from 0 to {classes - 1}, got {target}")
    return int(target)


def _classes(values: Array, classes: int) -> Target:
    hint = ""
    if len(values) == classes > 1:
        hint = " (to weigh the scores of all classes, give floats)"
    _check_classes("target", values, classes, hint)
    return Target("class", values.astype(np.intp))


def _check_classes(name: str, values: Array, classes: int, hint: str = "") -> None:
    outside = (values < 0) | (values >= classes)
    if outside.any():
        raise ValueError(
            f"{name}: expected classes from 0 to {classes - 1}, got {values[outside][0]}{hint}"
        )


def resolve_step_target(
    target: Any, offsets: Array, classes: int, dtype: np.dtype[Any], single: bool
) -> Target:
    """Check `target` and return what it means where every step has scores.

    Parameters
    ----------
    target : None, (step, class), int, sequence of int, array of float, "all", or a list of those
        As for `lrplstm.lrp`; a list has one for each sequence of a batch.
    offsets : ndarray of shape (B + 1,)
    classes : int
        C.
    dtype : numpy.dtype
        Of the model; weights are converted to it.
    single : bool
        Whether the input was one sequence rather than a batch.

    Raises
    ------
    TypeError, ValueError
        As `resolve_target`; ValueError if a step is out of range.
    """
    if target is None:
        return Target("predicted")
    if isinstance(target, str):
        if target != "all":
            raise ValueError(f"target: expected a class, weights or 'all', got {target!r}")
        return Target("all")
    B = len(offsets) - 1
    if single or _is_step_and_class(target) or _is_row(target, classes):
        names, wanted = ["target"] * B, [target] * B
    else:
        wanted = list(to_array("target", target)) if hasattr(target, "__array__") else target
        if not isinstance(wanted, Sequence) or len(wanted) != B:
            raise ValueError(
                f"target: expected (step, class), a class, weights of shape ({classes},), or a "
                f"list of one of those for each of {B} sequences, got {target!r:.60}"
            )
        names = [f"target[{b}]" for b in range(B)]
    given, weights = [], np.zeros((int(offsets[-1]), classes), dtype)
    for b in range(B):
        rows = weights[offsets[b] : offsets[b + 1]]
        given.append(_weigh_steps(names[b], wanted[b], rows))
    return Target("weights", weights, given)


def _is_step_and_class(target: Any) -> bool:
    return (
        isinstance(target, tuple)
        and len(target) == 2
        and all(isinstance(n, Integral) and not isinstance(n, bool) for n in target)
    )


def _is_row(target: Any, classes: int) -> bool:
    """Whether a target is the same for all steps of all sequences: a class, or weights."""
    if isinstance(target, Integral):
        return True
    if isinstance(target, np.ndarray):
        return target.ndim == 0 or (target.dtype.kind == "f" and target.shape == (classes,))
    return (
        isinstance(target, Sequence)
        and len(target) == classes
        and all(isinstance(x, float | np.floating) for x in target)
    )


def _weigh_steps(name: str, target: Any, weights: Array) -> Any:
    """Set the weights of one sequence's scores, (T, C), and return the target in a plain form."""
    T, C = weights.shape
    if _is_step_and_class(target):
        step, class_ = map(int, target)
        if not 0 <= step < T:
            raise ValueError(f"{name}: expected a step from 0 to {T - 1}, got {step}")
        _check_classes(name, np.array([class_]), C)
        weights[step, class_] = 1
        return step, class_
    values = to_array(name, target)
    # Integers of which there is one for each step are classes; other integers can only be weights,
    # unless there is one class, which nobody weighs by an integer.
    shapes = ((), (T,), (1,)) if C == 1 else ((), (T,))
    if values.dtype.kind in "iu" and values.shape in shapes:
        _check_classes(name, np.atleast_1d(values), C)
        weights[np.arange(T), values.astype(np.intp)] = 1
        return int(values) if values.ndim == 0 else values.astype(np.intp)
    if values.dtype.kind not in "iuf":
        raise TypeError(
            f"{name}: expected (step, class), a class, a class for each step, weights, or 'all', "
            f"got {target!r:.60}"
        )
    if values.shape not in ((C,), (T, C)):
        raise ValueError(
            f"{name}: expected (step, class), a class, one for each of {T} step(s), or weights of "
            f"shape ({C},) or ({T}, {C}), got shape {values.shape}"
        )
    weights[:] = _finite(name, values, weights.dtype)
    return weights.copy()


def _finite(name: str, values: Array, dtype: np.dtype[Any]) -> Array:
    with np.errstate(over="ignore"):  # too large for float32 is refused as infinite
        weights = values.astype(dtype)
    if not np.isfinite(weights).all():
        raise ValueError(f"{name}: expected finite weights, got NaN or infinity")
    return weights
