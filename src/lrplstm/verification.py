"""Whether scores agree: those of a model, and those of what it was made from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from itertools import permutations
from numbers import Real
from typing import Any

import numpy as np

from lrplstm.checks import to_array
from lrplstm.texts import shown
from lrplstm.weights import Array

__all__ = ["Comparison", "arrays_in", "compare", "largest_of", "verify"]

_MOST_LEVELS = 4  # of tuples, lists and dicts in what a network returns
_MOST_AXES = 4
_TINY = float(np.finfo(float).tiny)  # what scores that are all zero are measured by
_SMALLEST = 1e-30  # probability whose logarithm is still as exact as the number itself


@dataclass(frozen=True)
class Comparison:
    """The largest difference between scores and those that were expected.

    Attributes
    ----------
    difference : float
        Infinite where a number is NaN, or nothing had the shape of the scores.
    largest : float
        Largest absolute score: what `difference` is measured by.
    sequence : int
        Where the difference is; so are `step` (None where there is one row of scores in all) and
        `score`.
    """

    difference: float
    largest: float
    sequence: int = 0
    step: int | None = None
    score: int = 0

    @property
    def relative(self) -> float:
        """The difference as a part of the largest score."""
        return self.difference / self.largest if self.difference else 0.0

    def __str__(self) -> str:
        step = "" if self.step is None else f"step {self.step}, "
        return (
            f"{self.difference:.2g}, where the largest score is {self.largest:.2g} "
            f"(sequence {self.sequence}, {step}score {self.score})"
        )


def verify(predicted: Sequence[Array], returned: Any, rtol: float) -> float:
    """Return how far scores are apart; see `lrplstm.LSTMModel.verify`.

    Parameters
    ----------
    predicted : sequence of ndarray of shape (C,) or (T, C)
        What the model says of each sequence.
    returned : array_like, tensor, or tuple, list or dict of them
        What the other one says.
    rtol : float
    """
    if isinstance(rtol, bool) or not isinstance(rtol, Real) or not 0 <= rtol < math.inf:
        raise ValueError(f"rtol: expected a number from 0 on, got {shown(rtol)}")
    arrays = arrays_in("scores_of", returned)
    comparison = compare(arrays, predicted, rtol)
    if comparison is None:
        shapes = ", ".join(str(array.shape) for array in arrays) or "of no array"
        rows = " a step" if predicted[0].ndim == 2 else ""
        raise ValueError(
            f"scores_of: expected {predicted[0].shape[-1]} score(s){rows} of {len(predicted)} "
            f"sequence(s), got shape {shapes:.100}"
        )
    if not comparison.relative <= rtol:
        raise ValueError(
            f"scores_of: expected the scores of the model, to {rtol:g} of the largest, got others: "
            f"they differ by up to {comparison}"
        )
    return comparison.relative


# What a network returns -------------------------------------------------------------------------


def arrays_in(name: str, returned: Any) -> list[Array]:
    """Return the arrays in what a network returned, and lists of them as one.

    Raises
    ------
    TypeError
        If something like an array cannot be read.
    """
    found: list[Array] = []
    _collect(name, returned, found, 0)
    return found


def _collect(name: str, returned: Any, found: list[Array], depth: int) -> Array | None:
    """Add the arrays in something to those that were found; return all of it as one, if it is."""
    if hasattr(returned, "__array__") or isinstance(returned, float | int):
        array = to_array(name, returned)
        if array.dtype.kind not in "fiu":
            return None
        if not depth or hasattr(returned, "__array__"):
            found.append(array)
        return array
    if depth == _MOST_LEVELS:
        return None
    members: Sequence[Any] = ()
    if isinstance(returned, Mapping):
        members = list(returned.values())
    elif is_dataclass(returned) and not isinstance(returned, type):
        members = [getattr(returned, field.name) for field in fields(returned)]
    elif isinstance(returned, Sequence) and not isinstance(returned, str | bytes):
        members = returned
    inner: list[Array] = []
    wholes = [_collect(name, member, inner, depth + 1) for member in members]
    rows = [whole for whole in wholes if whole is not None]
    found += inner
    if rows and len(rows) == len(wholes) and len({row.ndim for row in rows}) == 1:
        found.append(_joined(rows))
        return found[-1]
    return None


def _joined(rows: Sequence[Array]) -> Array:
    """Return arrays as one; NaN stands behind those that are shorter than others."""
    shape = np.max([row.shape for row in rows], axis=0) if rows[0].ndim else ()
    joined = np.full((len(rows), *shape), np.nan, np.result_type(*rows, np.float32))
    for b, row in enumerate(rows):
        index: Any = (b, *map(slice, row.shape))
        joined[index] = row
    return joined


# The comparison ---------------------------------------------------------------------------------


def compare(
    arrays: Sequence[Array],
    expected: Sequence[Array],
    rtol: float,
    largest: float | None = None,
) -> Comparison | None:
    """Return how far scores are from those expected, by the reading that fits best.

    An array may be the scores themselves, or what softmax, log_softmax or sigmoid makes of them,
    with axes in any order, and of 1 anywhere.

    Parameters
    ----------
    arrays : sequence of ndarray
        What was returned; one of them has to be the scores.
    expected : sequence of ndarray of shape (C,) or (T, C)
        Scores of each sequence.
    rtol : float
        What the difference may be, as a part of the largest score.
    largest : float, optional
        The largest absolute score, if not of these.

    Returns
    -------
    Comparison or None
        None if none of the arrays has the shape of scores.
    """
    if largest is None:
        largest = largest_of(expected)
    steps = max(len(scores) if scores.ndim == 2 else 0 for scores in expected)
    shape = (len(expected), *([steps] if steps else []), expected[0].shape[-1])
    wanted = np.full(shape, np.nan)
    for b, scores in enumerate(expected):
        wanted[(b, slice(len(scores))) if steps else b] = scores
    plain, best = None, None
    for array in arrays:
        readings = (
            d for arranged in _arranged(array, shape) for d in _readings(arranged, wanted, largest)
        )
        for number, differences in enumerate(readings):
            comparison = _largest(differences, wanted, largest)
            if best is None or comparison.difference < best.difference:
                best = comparison
            # The first one takes them for the scores, as they are.
            if not number and (plain is None or comparison.difference < plain.difference):
                plain = comparison
    if best is None or plain is None or best.relative <= rtol:
        return best
    # Numbers that fit nothing are seldom meant as probabilities, and never those of no scores.
    as_scores = largest == _TINY or plain.difference <= 3 * best.difference
    return plain if as_scores else best


def largest_of(expected: Sequence[Array]) -> float:
    """Return the largest absolute score; a tiny number if all are zero."""
    largest = max(float(np.nanmax(np.abs(scores))) for scores in expected)
    return largest or _TINY


def _arranged(array: Array, shape: tuple[int, ...]) -> Iterator[Array]:
    """Yield an array as one of this shape, in each way that there is."""
    squeezed = array.squeeze()
    wanted = tuple(size for size in shape if size != 1)
    if squeezed.ndim > _MOST_AXES or sorted(squeezed.shape) != sorted(wanted):
        return
    for order in permutations(range(squeezed.ndim)):
        if tuple(squeezed.shape[axis] for axis in order) == wanted:
            yield squeezed.transpose(order).reshape(shape)


def _largest(differences: Array, wanted: Array, largest: float) -> Comparison:
    """Return the largest of the differences where there are scores."""
    there = ~np.isnan(wanted)
    filled = np.where(there, np.nan_to_num(differences, nan=np.inf, posinf=np.inf), -1)
    b, *step, score = np.unravel_index(int(filled.argmax()), filled.shape)
    return Comparison(
        float(filled.max()), largest, int(b), int(step[0]) if step else None, int(score)
    )


def _readings(found: Array, wanted: Array, largest: float) -> Iterator[Array]:
    """Yield differences on the scale of scores: of the scores, or of what may be made of them."""
    eps = 8 * float(np.finfo(found.dtype).eps) if found.dtype.kind == "f" else 0.0
    found = found.astype(np.float64)
    with np.errstate(all="ignore"):
        yield np.abs(found - wanted)
        if wanted.shape[-1] > 1:  # of one score they say nothing
            log_softmax = _log_softmax(wanted)
            yield _beyond(np.abs(found - log_softmax), eps * np.abs(found))
            direct = np.abs(found - np.exp(log_softmax))
            slack = np.where(found > _SMALLEST, eps, np.inf)
            by_scores = np.abs(np.log(found) - log_softmax)
            yield _of_probabilities(direct * largest, by_scores, slack)
        direct = np.abs(found - np.exp(-np.logaddexp(0, -wanted)))
        exact = (found > _SMALLEST) & (found < 1)
        slack = np.where(exact, eps + eps / (1 - found), np.inf)
        by_scores = np.abs(np.log(found) - np.log1p(-found) - wanted)
        yield _of_probabilities(direct * largest, by_scores, slack)


def _of_probabilities(direct: Array, by_scores: Array, slack: Array) -> Array:
    """Return differences of probabilities, by the scores that they are of where these show.

    Probabilities near 0 or 1 hardly change with scores. `slack` is how exactly scores can be told
    from them; where that is not at all, only the probabilities themselves are compared.
    """
    shown: Array = np.where(slack < np.inf, _beyond(by_scores, slack), 0)
    larger: Array = np.maximum(direct, shown)
    return larger


def _beyond(differences: Array, slack: Array) -> Array:
    beyond: Array = np.maximum(differences - slack, 0)
    return beyond


def _log_softmax(scores: Array) -> Array:
    shifted = scores - scores.max(axis=-1, keepdims=True)
    result: Array = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result
