"""`target` in any accepted form -> how it weighs the scores of each sequence, or of each step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np

from lrplstm.checks import to_array
from lrplstm.errors import ArgumentError, ArgumentTypeError, Element
from lrplstm.outputs import Outputs
from lrplstm.texts import shown
from lrplstm.weights import Array

__all__ = ["Target", "resolve_step_target", "resolve_target"]


@dataclass(eq=False, slots=True)
class Target:
    """What is explained, of C scores in each of n rows: one a sequence, or one a step.

    It is made at every call, and like `lrplstm.sequences.Batch` to be read only.

    Attributes
    ----------
    outputs : Outputs
        What the scores mean.
    kind : {"predicted", "class", "weights", "all"}
    values : ndarray or None
        Classes of shape (n,) for "class"; weights of shape (n, C) for "weights". For "all" None, or
        bool of shape (n,): the rows that it is about.
    at_predicted : ndarray of bool of shape (n,), or None
        For "weights", rows of which the class that they speak for is explained.
    given : list, or None
        What was asked for of each sequence, where a row is a step.
    by_step : bool
        Whether a row is a step.
    """

    outputs: Outputs
    kind: str
    values: Array | None = None
    at_predicted: Array | None = None
    given: list[Any] | None = None
    by_step: bool = False

    @property
    def count(self) -> int:
        """How many explanations there are of each sequence."""
        return self.outputs.count if self.kind == "all" else 1

    def weighting(self, scores: Array, rows: slice | Array) -> Array:
        """Return v of shape (K, n', C) for some rows with these scores, (n', C).

        K is the number of explanations. What is explained is ``v . scores``.
        """
        n, C = scores.shape
        if self.kind == "all":
            each = self.outputs.weights(np.arange(self.outputs.count), scores.dtype)
            weighting = np.broadcast_to(each[:, np.newaxis], (len(each), n, C))
            return weighting if self.values is None else weighting * self._chosen(rows)
        if self.kind == "weights" and self.values is not None:
            weights = self.values[np.newaxis, rows]
            if self.at_predicted is not None:
                at = self.at_predicted[rows]
                weights = weights.copy()
                weights[0, at] = self._of_predicted(scores[at])
            return weights
        if self.values is None:
            return self._of_predicted(scores)[np.newaxis]
        return self.outputs.weights(self.values[rows], scores.dtype)[np.newaxis]

    def shared_out(self, weighting: Array, scores: Array) -> Array:
        """Return what is explained of each row, (K, n')."""
        weighed: Array = np.vecdot(weighting, scores)
        return weighed

    def _of_predicted(self, scores: Array) -> Array:
        predicted: Any = self.outputs.predict(scores)
        return self.outputs.weights(predicted, scores.dtype)

    def _chosen(self, rows: slice | Array) -> Array:
        values: Any = self.values
        chosen: Array = values[rows][:, np.newaxis]
        return chosen

    def weigh_largest(self, scores: Array) -> Array:
        """Return scores, (n, C), times the largest absolute weight of their row."""
        if self.kind == "all" and self.values is not None:
            return scores * self._chosen(slice(None))
        if self.kind != "weights" or self.values is None:
            return scores
        largest = np.abs(self.values).max(axis=1, keepdims=True)
        if self.at_predicted is not None:
            largest = np.where(self.at_predicted[:, np.newaxis], 1, largest)
        return scores * largest

    def explained(self, predicted: Array | None, offsets: Array) -> Array | list[Any] | str:
        """Return what was explained: classes (B,), weights (B, C), a list for steps, or "all"."""
        if self.given is not None:
            return [
                _with_prediction(given, self.outputs, predicted, start, stop)
                for given, start, stop in zip(self.given, offsets, offsets[1:], strict=False)
            ]
        if self.kind == "all":
            return "all"
        values: Any = predicted if self.values is None else self.values
        if self.values is None and len(values) != len(offsets) - 1:
            return [part.copy() for part in np.split(values, offsets[1:-1])]
        return values.copy()


def _with_prediction(
    given: Any, outputs: Outputs, predicted: Array | None, start: int, stop: int
) -> Any:
    """Put predicted classes where a target of one sequence asks for them."""
    if predicted is None:
        return given
    if given is None:
        return predicted[start:stop].copy()
    if isinstance(given, tuple) and given[1] is None:
        return given[0], int(predicted[start + given[0]])
    return given


def resolve_target(target: Any, sequences: int, outputs: Outputs, dtype: np.dtype[Any]) -> Target:
    """Check `target` and return what it means for a batch.

    Parameters
    ----------
    target : None, int or str, sequence of int or str, sequence of float, or "all"
        As for `lrplstm.lrp`.
    sequences : int
        Their number B.
    outputs : Outputs
        What the scores mean.
    dtype : numpy.dtype
        Of the model; weights are converted to it.

    Raises
    ------
    TypeError
        If it is of no accepted form.
    ValueError
        If a class is out of range or has another name, a shape is wrong, or a weight is NaN or
        infinite.
    """
    if target is None:
        return _default(outputs, sequences)
    if isinstance(target, str):
        if target == "all":
            return Target(outputs, "all")
        return _one_class(target, sequences, outputs)
    if isinstance(target, bool | np.bool_):
        raise ArgumentTypeError("target", f"expected an int, weights or 'all', got {shown(target)}")
    if isinstance(target, Integral):
        return _one_class(target, sequences, outputs)
    target = _numbered("target", target, outputs)
    values = to_array("target", target)
    if values.ndim == 0 and values.dtype.kind in "iu":
        return _one_class(values.item(), sequences, outputs)
    C = outputs.scores
    if values.dtype.kind not in "iuf" or values.ndim not in (1, 2):
        raise ArgumentTypeError(
            "target",
            "expected None, a class, a class for each sequence, weights of shape "
            f"({C},) or ({sequences}, {C}), or 'all', got {shown(target)}",
        )
    # One integer for each sequence is a class each; other integers can only be weights.
    if values.dtype.kind in "iu" and values.ndim == 1 and len(values) == sequences:
        hint = ""
        if len(values) == outputs.count > 1:
            hint = " (to weigh the scores of all classes, give floats)"
        _check_classes("target", values, outputs, hint)
        return Target(outputs, "class", values.astype(np.intp))
    if values.shape not in ((C,), (sequences, C)):
        raise ArgumentError(
            "target",
            f"expected one class for each of {sequences} sequence(s), or weights of shape "
            f"({C},) or ({sequences}, {C}), got shape {values.shape}",
        )
    weights = _finite("target", values, dtype)
    return Target(outputs, "weights", np.broadcast_to(weights, (sequences, C)))


def _default(outputs: Outputs, rows: int, *, by_step: bool = False) -> Target:
    """Return what is explained where nobody asked for anything else."""
    if not outputs.regression:
        return Target(outputs, "predicted", by_step=by_step)
    if outputs.scores > 1:
        return Target(outputs, "all", by_step=by_step)
    return Target(outputs, "class", np.zeros(rows, np.intp), by_step=by_step)


def _one_class(chosen: Any, sequences: int, outputs: Outputs) -> Target:
    index = outputs.index("target", chosen)
    return Target(outputs, "class", np.full(sequences, index))


def _numbered(name: str, target: Any, outputs: Outputs) -> Any:
    """Return a list of classes with numbers for names; anything else as it is."""
    if isinstance(target, np.ndarray) and target.dtype.kind in "UO" and target.ndim == 1:
        target = target.tolist()
    if isinstance(target, list | tuple) and any(isinstance(chosen, str) for chosen in target):
        return [
            outputs.index(f"{name}[{n}]", chosen) if isinstance(chosen, str) else chosen
            for n, chosen in enumerate(target)
        ]
    return target


def _check_classes(name: str, values: Array, outputs: Outputs, hint: str = "") -> None:
    outside = (values < 0) | (values >= outputs.count)
    if outside.any():
        outputs.index(name, int(values[outside][0]), hint)


def resolve_step_target(
    target: Any,
    offsets: Array,
    outputs: Outputs,
    dtype: np.dtype[Any],
    single: bool,
    is_read: Array | None = None,
) -> Target:
    """Check `target` and return what it means where every step has scores.

    Parameters
    ----------
    target : None, (step, class), int or str, sequence of those, array of float, or "all"
        As for `lrplstm.lrp`; a list has one of those for each sequence of a batch.
    offsets : ndarray of shape (B + 1,)
    outputs : Outputs
        What the scores mean.
    dtype : numpy.dtype
        Of the model; weights are converted to it.
    single : bool
        Whether the input was one sequence rather than a batch.
    is_read : ndarray of bool of shape (steps,), optional
        Which steps are no padding: what is returned is for these. Default: all.

    Raises
    ------
    TypeError, ValueError
        As `resolve_target`; ValueError if a step is out of range, or padding.
    """
    steps, C = int(offsets[-1]), outputs.scores
    if target is None:
        default = _default(outputs, steps, by_step=True)
        if default.kind != "class":
            return default
        target = 0
    if isinstance(target, str) and target == "all":
        return Target(outputs, "all", by_step=True)
    B = len(offsets) - 1
    if single or _is_step_and_class(target) or _is_row(target, C):
        names, wanted = ["target"] * B, [target] * B
    else:
        wanted = list(to_array("target", target)) if hasattr(target, "__array__") else target
        if not isinstance(wanted, Sequence) or len(wanted) != B:
            raise ArgumentError(
                "target",
                f"expected (step, class), a class, weights of shape ({C},), or a "
                f"list of one of those for each of {B} sequences, got {shown(target)}",
            )
        names = [Element("target", b) for b in range(B)]
    weights, at_predicted = np.zeros((steps, C), dtype), np.zeros(steps, bool)
    if is_read is None:
        is_read = np.ones(steps, bool)
    given = []
    for b in range(B):
        rows = slice(int(offsets[b]), int(offsets[b + 1]))
        asked = _Asked(weights[rows], at_predicted[rows], is_read[rows])
        given.append(_weigh_steps(names[b], wanted[b], outputs, asked))
    weights, at_predicted = weights[is_read], at_predicted[is_read]
    if outputs.regression and at_predicted.any():
        if C == 1:  # the one output stands where a class would be predicted
            weights[at_predicted] = 1
            given = [(g[0], 0) if isinstance(g, tuple) else 0 if g is None else g for g in given]
            return Target(outputs, "weights", weights, given=given, by_step=True)
        if not all(isinstance(g, tuple) and g[1] is None for g in given):
            raise ArgumentError(
                "target",
                "expected an output, (step, output) or weights for each sequence, or for "
                "all of them 'all' or (step, None), got None for some: a regression predicts none",
            )
        return Target(outputs, "all", at_predicted, given=given, by_step=True)
    chosen = at_predicted if at_predicted.any() else None
    return Target(outputs, "weights", weights, chosen, given, by_step=True)


class _Asked(NamedTuple):
    """What is asked of the steps of one sequence.

    Attributes
    ----------
    weights : ndarray of shape (T, C)
        Of the scores.
    at_predicted : ndarray of bool of shape (T,)
        Whether the predicted class is explained.
    is_read : ndarray of bool of shape (T,)
        Whether it is no padding.
    """

    weights: Array
    at_predicted: Array
    is_read: Array


def _is_int(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_step_and_class(target: Any) -> bool:
    return (
        isinstance(target, tuple)
        and len(target) == 2
        and _is_int(target[0])
        and (target[1] is None or isinstance(target[1], str) or _is_int(target[1]))
    )


def _is_row(target: Any, scores: int) -> bool:
    """Whether a target is the same for all steps of all sequences: a class, or weights."""
    if isinstance(target, Integral | str):
        return True
    if isinstance(target, np.ndarray):
        return target.ndim == 0 or (target.dtype.kind == "f" and target.shape == (scores,))
    return (
        isinstance(target, Sequence)
        and len(target) == scores
        and all(isinstance(x, float | np.floating) for x in target)
    )


def _weigh_steps(name: str, target: Any, outputs: Outputs, asked: _Asked) -> Any:
    """Set what one sequence's target says of its steps, and return it in a plain form."""
    weights, at_predicted, is_read = asked
    T, C = weights.shape
    if target is None:
        at_predicted[:] = True
        return None
    if _is_step_and_class(target):
        index = None if target[1] is None else outputs.index(name, target[1])
        step = _read_step(name, int(target[0]), is_read)
        if index is None:
            at_predicted[step] = True
        else:
            weights[step] = outputs.weights(np.array([index]), weights.dtype)[0]
        return step, index
    if isinstance(target, str):
        target = outputs.index(name, target)
    values = to_array(name, _numbered(name, target, outputs))
    # Integers of which there is one for each step are classes; other integers can only be weights,
    # unless there is one class, which nobody weighs by an integer.
    shapes = ((), (T,), (1,)) if C == 1 else ((), (T,))
    if values.dtype.kind in "iu" and values.shape in shapes:
        classes = np.broadcast_to(values.astype(np.intp), T)
        _check_classes(name, np.broadcast_to(values, T)[is_read], outputs)
        weights[:] = outputs.weights(classes, weights.dtype)
        return int(values) if values.ndim == 0 else values.astype(np.intp)
    if values.dtype.kind not in "iuf":
        raise ArgumentTypeError(
            name,
            f"expected (step, class), a class, a class for each step, weights, or 'all', "
            f"got {shown(target)}",
        )
    if values.shape not in ((C,), (T, C)):
        raise ArgumentError(
            name,
            f"expected (step, class), a class, one for each of {T} step(s), or weights of "
            f"shape ({C},) or ({T}, {C}), got shape {values.shape}",
        )
    weights[:] = _finite(name, values, weights.dtype)
    weights[~is_read] = 0
    return weights.copy()


def _read_step(name: str, step: int, is_read: Array) -> int:
    """Return the step that a number means: from 0, or from -1 down, counted from the end.

    The end is where padding begins, if any.
    """
    T, read = len(is_read), np.flatnonzero(is_read)
    if not -len(read) <= step < T:
        raise ArgumentError(
            name,
            f"expected a step from 0 to {T - 1}, or from -1 to {-len(read)} counted from "
            f"the end, got {shown(step)}",
        )
    if step < 0:
        return int(read[step])
    if not is_read[step]:
        raise ArgumentError(name, f"expected a step that is no padding, got {step}")
    return step


def _finite(name: str, values: Array, dtype: np.dtype[Any]) -> Array:
    with np.errstate(over="ignore"):  # too large for float32 is refused as infinite
        weights = values.astype(dtype)
    if not np.isfinite(weights).all():
        raise ArgumentError(name, "expected finite weights, got NaN or infinity")
    return weights
