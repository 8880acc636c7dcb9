"""The warning of relevance that has become far larger than what it started from."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from lrplstm.checks import outer_level
from lrplstm.errors import AboutArgument, Element
from lrplstm.methods.result import Result
from lrplstm.targets import Target

__all__ = ["GrowthWarning", "warn_of_growth"]

_GROWTH = 1e6
"""Relevance that is so many times what it started from is warned of."""

_QUICKLY = (_GROWTH / 100) ** 2
"""If all together is no more than that, squared, none is; and so it is nearly always."""


class GrowthWarning(AboutArgument, RuntimeWarning):
    """Relevance has become far larger than what it started from."""


def warn_of_growth(result: Result, advice: Sequence[str]) -> None:
    """Warn where relevance has become far larger than what it started from.

    Parameters
    ----------
    result : Result
    advice : sequence of str
        With what it grows less.
    """
    token, delta, batch = result.token, result.delta, result.batch
    started = result.start.weigh_largest(result.scores)
    if np.vdot(token, token) <= np.vdot(started, started) * _QUICKLY:
        return
    offsets = batch.offsets[:-1]
    largest = np.maximum.reduceat(np.abs(token).max(axis=0), offsets)
    largest = np.maximum(largest, np.abs(delta).max(axis=0))
    scale = np.abs(started).max(axis=1)
    if result.start.by_step:
        scored = batch.score_offsets if isinstance(result.start, Target) else None
        scale = np.maximum.reduceat(scale, offsets if scored is None else scored[:-1])
    with np.errstate(divide="ignore", invalid="ignore"):
        growth = np.where(largest == 0, 0, largest / scale)
    worst = int(np.where(np.isfinite(growth), growth, np.inf).argmax())
    if growth[worst] <= _GROWTH:
        return
    name = "inputs" if batch.single else Element("inputs", worst)
    if np.isfinite(growth[worst]):
        delta_there = np.abs(delta[:, worst]).max()
        grew = f"grew to {growth[worst]:.1e} times what it started from, with a delta of "
        grew += f"{delta_there:.1e}"
    else:
        grew = "overflowed, and delta with it"
    problem = (
        f"relevance {grew}; most of it comes from small denominators, not from the "
        f"inputs. It grows less with {' or '.join(advice)}, and over fewer steps"
    )
    if not np.isfinite(growth[worst]) and token.dtype == np.float32:
        problem += "; a model of dtype float64 has a larger range"
    warnings.warn(GrowthWarning(name, problem), stacklevel=outer_level())
