"""Integrated gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lrplstm import network
from lrplstm.attribution import Attribution, Attributions
from lrplstm.base_model import Model
from lrplstm.baselines import BASELINE, Baseline, resolve_baseline
from lrplstm.copies import Copies, copies
from lrplstm.method_table import InputRelevance, Method, Option, register
from lrplstm.methods.gradients import gradients
from lrplstm.methods.perturbation import explained, reading_of
from lrplstm.methods.quadrature import QUADRATURES, Quadrature, resolve_quadrature
from lrplstm.methods.request import Request
from lrplstm.methods.signatures import typed
from lrplstm.network import ForwardPass
from lrplstm.sequences import Part
from lrplstm.weights import Array

__all__ = ["IntegratedGradients", "integrated_gradients"]


@register
@dataclass(frozen=True, eq=False)
class IntegratedGradients(Method):
    """(x - baseline) times the mean gradient on the straight path between."""

    name = "integrated_gradients"
    alias = "ig"
    when = "adds up to the difference from a baseline that you choose; as slow as it has steps"
    rest = "missed between the steps of the path"
    options = (
        Option(
            "steps",
            int,
            "points on the path of integrated gradients (default: 50, or 24 with gauss)",
        ),
        Option(
            "quadrature",
            tuple(QUADRATURES),
            "where they are: in the middle of equal parts (midpoint, the default), or gauss, "
            "which is more precise unless a gate opens suddenly",
        ),
        BASELINE,
    )
    needs_inputs = True

    baseline: Baseline
    path: Quadrature

    @property
    def params(self) -> dict[str, Any]:
        """Its own arguments by their names."""
        return {
            "steps": self.path.steps,
            "quadrature": self.path.name,
            "baseline": self.baseline.given,
        }

    def back(self, past: ForwardPass, weighting: Array, part: Part, level: str) -> InputRelevance:
        """Return the relevance of what a part of a batch read."""
        baseline = self.baseline.of(part)
        prepared, offsets, x = past.prepared, past.offsets, past.reading.inputs
        of_baseline = prepared.project(baseline)
        towards_x = past.reading.projection[past.reading.rows] - of_baseline
        of_baseline = np.broadcast_to(of_baseline, towards_x.shape)
        # Of a step alone, the sum over its inputs can be taken on the way: no (steps, D) is needed.
        summed = level == "token" and prepared.entry is not None
        times = prepared.project(x - baseline) if summed else None
        total = np.zeros((len(weighting), *np.shape(x)[: 1 if summed else 2]), towards_x.dtype)

        counts = np.full(len(offsets) - 1, self.path.steps)
        for some in copies(offsets, counts, prepared.bytes_per_step(len(weighting))):
            alpha = self.path.points(some.number).astype(towards_x.dtype)
            path = np.empty((len(some.steps), towards_x.shape[1]), towards_x.dtype)
            for b, which, steps in some.by_sequence():
                own = slice(offsets[b], offsets[b + 1])
                points = path[steps].reshape(-1, *towards_x[own].shape)
                np.multiply.outer(alpha[which], towards_x[own], out=points)
                points += of_baseline[own]
            run = network.forward(prepared, reading_of(some, path), "gradient")
            weights = weighting[:, some.rows(past.every_step)]
            if times is None:
                self._add(total, offsets, some, gradients(run, weights).inputs)
            else:
                multiplied = gradients(run, weights, times_input=True, times=(times, some.steps))
                self._add(total, offsets, some, multiplied.token)

        mean = total / self.path.whole
        started = explained(past, weighting) - _explained_of_baseline(past, weighting, of_baseline)
        initial = past.no_initial(len(weighting))
        if summed:
            return InputRelevance(mean, None, initial, started)
        return InputRelevance.of_inputs((x - baseline) * mean, level, initial, started)

    def _add(self, total: Array, offsets: Array, some: Copies, gradient: Array) -> None:
        """Add gradients at some points of the path, (K, steps of the copies, ...), to a total.

        One after the other, so that a sum does not depend on how copies were grouped.
        """
        weights = self.path.weights(some.number).astype(total.dtype)
        for b, which, steps in some.by_sequence():
            sums = total[:, np.newaxis, offsets[b] : offsets[b + 1]]
            terms = gradient[:, steps].reshape(len(sums), -1, *sums.shape[2:])
            terms = weights[which].reshape(-1, *[1] * (total.ndim - 1)) * terms
            sums[:, 0] = np.add.reduce(np.concatenate([sums, terms], axis=1), axis=1)


def _explained_of_baseline(past: ForwardPass, weighting: Array, of_baseline: Array) -> Array:
    """Return what would be explained of the baseline, (K, B)."""
    reading = past.reading._replace(projection=of_baseline, rows=np.arange(len(of_baseline)))
    return explained(network.forward(past.prepared, reading, "nothing"), weighting)


@typed
def integrated_gradients(
    model: Model,
    inputs: Any,
    target: Any = None,
    *,
    steps: int | None = None,
    quadrature: str = "midpoint",
    baseline: Any = None,
    level: str | None = None,
    unknown: str | None = None,
    backend: str = "auto",
    num_threads: int | None = None,
) -> Attribution | Attributions:
    """Integrated gradients: how the score grows on the way from a baseline to the input.

    ``(x - baseline) *`` the mean gradient at `steps` points of the straight path between the two.

    Parameters
    ----------
    model, inputs, target, level, unknown, backend, num_threads
        As for `lrp`.
    steps : int, optional
        Points on the path. Default: 50, or 24 with quadrature "gauss", which takes at most 1000.
    quadrature : {"midpoint", "gauss"}
        Where the points are: in the middle of equal parts, or those of Gauss and Legendre. Those
        are nearly always far more precise, at half the time, but less where a gate opens so
        suddenly on the path that few of them see it; `delta` tells.
    baseline : None, str, int, array of shape (D,) or (T, D), or for a batch a list of (T, D)
        Where the path begins: zeros by default; the vector of a token or id; a vector for every
        step, (D,); or one for each step, (T, D), which serves all sequences of a batch if all have
        that length, or else a list of such arrays, one for each sequence.

    Returns
    -------
    Attribution or Attributions
        `delta` is the score, minus that of the baseline, minus the sum of the relevances: it falls
        as `steps` grows. Initial states are part of the model, and get no relevance.

    Raises
    ------
    TypeError, ValueError
        As `lrp`; also if `steps` is not an integer of at least 1, or `baseline` is none of those
        above, of a wrong shape, or not finite.

    Notes
    -----
    Sundararajan et al. 2017, "Axiomatic Attribution for Deep Networks" (arXiv 1703.01365).

    Examples
    --------
    >>> import lrplstm
    >>> model = lrplstm.load_default()
    >>> a = lrplstm.integrated_gradients(model, "a fine film .".split(), steps=300)
    >>> a.tokens[a.token_relevance.argmax()], abs(a.delta) < 0.01
    ('fine', True)
    """
    path = resolve_quadrature(quadrature, steps)
    request = Request(model, inputs, level, unknown, backend, num_threads)
    method = IntegratedGradients(resolve_baseline(baseline, model, request.batch), path)
    return request.explain(method, target)
