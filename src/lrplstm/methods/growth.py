"""The warning of relevance that has become far larger than what it started from."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from lrplstm.checks import outer_level
from lrplstm.errors import AboutArgument, Element
from lrplstm.sequences import Batch
from lrplstm.weights import Array

__all__ = ["GrowthWarning", "warn_of_growth"]

_GROWTH = 1e6
"""Relevance that is so many times what it started from is warned of."""


class GrowthWarning(AboutArgument, RuntimeWarning):
    """Relevance has become far larger than what it started from."""


def warn_of_growth(
    started: Array,
    token: Array,
    delta: Array,
    batch: Batch,
    advice: Sequence[str],
    *,
    by_step: bool,
) -> None:
    """Warn where relevance has become far larger than what it started from.

    Parameters
    ----------
    started : ndarray of shape (B, n) or (steps, n)
        What relevance started from: scores, weighted, or given relevance.
    token : ndarray of shape (K, steps)
        What it has become.
    delta : ndarray of shape (K, B)
    batch : Batch
    advice : sequence of str
        With what it grows less.
    by_step : bool
        Whether the rows of `started` are those of steps.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        bound = np.vdot(started, started) * (_GROWTH / 100) ** 2
        if np.vdot(token, token) <= bound:  # quick, and so for nearly all
            return
    offsets = batch.offsets[:-1]
    largest = np.maximum.reduceat(np.abs(token).max(axis=0), offsets)
    largest = np.maximum(largest, np.abs(delta).max(axis=0))
    scale = np.abs(started).max(axis=1)
    if by_step:
        scale = np.maximum.reduceat(scale, offsets)
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
