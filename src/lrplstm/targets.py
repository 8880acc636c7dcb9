"""`target` in any accepted form -> how it weighs the scores of each sequence."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from lrplstm.checks import to_array
from lrplstm.weights import Array

__all__ = ["Target", "resolve_target"]


@dataclass(frozen=True, eq=False)
class Target:
    """What is explained, of B sequences with C classes.

    Attributes
    ----------
    kind : {"predicted", "class", "weights", "all"}
    values : ndarray or None
        Classes of shape (B,) for "class"; weights of shape (B, C) for "weights".
    """

    kind: str
    values: Array | None = None

    def weighting(self, scores: Array, sequences: slice | Array) -> Array:
        """Return v of shape (K, B', C) for some sequences with these scores, (B', C).

        K is C for "all", else 1. What is explained is ``v . scores``.
        """
        B, C = scores.shape
        if self.kind == "all":
            return np.broadcast_to(np.eye(C, dtype=scores.dtype)[:, np.newaxis], (C, B, C))
        if self.kind == "weights" and self.values is not None:
            return self.values[np.newaxis, sequences]
        classes = scores.argmax(axis=1) if self.values is None else self.values[sequences]
        return (classes[:, np.newaxis] == np.arange(C)).astype(scores.dtype)[np.newaxis]

    def explained(self, predicted: Array) -> Array | str:
        """Return what was explained: classes (B,), weights (B, C), or "all"."""
        if self.kind == "all":
            return "all"
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
    with np.errstate(over="ignore"):  # too large for float32 is refused as infinite
        weights = values.astype(dtype)
    if not np.isfinite(weights).all():
        raise ValueError("target: expected finite weights, got NaN or infinity")
    return Target("weights", np.broadcast_to(weights, (sequences, classes)))


def _checked_class(target: Any, classes: int) -> int:
    """Return an int of any size as a class, or raise a ValueError."""
    if not 0 <= target < classes:
        raise ValueError(f"target: expected classes from 0 to {classes - 1}, got {target}")
    return int(target)


def _classes(values: Array, classes: int) -> Target:
    outside = (values < 0) | (values >= classes)
    if outside.any():
        hint = ""
        if len(values) == classes > 1:
            hint = " (to weigh the scores of all classes, give floats)"
        raise ValueError(
            f"target: expected classes from 0 to {classes - 1}, got {values[outside][0]}{hint}"
        )
    return Target("class", values.astype(np.intp))
