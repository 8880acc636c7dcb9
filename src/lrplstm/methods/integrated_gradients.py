"""Integrated gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from lrplstm import network
from lrplstm.attribution import Attribution
from lrplstm.attributions import Attributions
from lrplstm.base_model import Model
from lrplstm.baselines import BASELINE, Baseline, resolve_baseline
from lrplstm.copies import Copies, copies
from lrplstm.method_table import InputRelevance, Method, Option, register
from lrplstm.methods.gradients import gradients
from lrplstm.methods.perturbation import explained, reading_of
from lrplstm.methods.quadrature import QUADRATURES, Quadrature, resolve_quadrature
from lrplstm.methods.request import Request
from lrplstm.methods.signatures import typed
from lrplstm.network import ForwardPass, Rows
from lrplstm.sequences import Part
from lrplstm.weights import Array

__all__ = ["IntegratedGradients", "integrated_gradients"]


@register
@dataclass(frozen=True, eq=False)
class IntegratedGradients(Method):
    """(x - baseline) times the mean gradient on the straight path between."""

    name = "integrated_gradients"
    alias = "ig"
    title = "Integrated gradients"
    when = "adds up to the difference from a baseline that you choose; as slow as it has steps"
    rest = "missed between the steps of the path"
    options = (
        Option(
            "steps",
            int,
            "points on the path of integrated gradients (default: 36, or 50 with midpoint)",
        ),
        Option(
            "quadrature",
            tuple(QUADRATURES),
            "where they are: those of Gauss and Legendre, denser towards the baseline (gauss, the "
            "default), or the middles of equal parts (midpoint)",
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
        prepared, reading, x = past.prepared, past.reading, past.reading.inputs
        baseline, dtype, K = self.baseline.of(part), past.scores.dtype, len(weighting)
        of_baseline = prepared.project(baseline)
        towards_x = reading.projection.take(reading.rows, axis=0) - of_baseline
        first = _Way(np.broadcast_to(of_baseline, towards_x.shape), towards_x, past.offsets)
        others = []
        for (values, offsets), given in zip(reading.others, self.baseline.others, strict=True):
            start = np.broadcast_to(given.of(part), values.shape)
            others.append(_Way(start, values - start, offsets))
        # Of a step alone, the sum over its inputs can be taken on the way: no (steps, D) is needed.
        summed = level == "token" and prepared.entry is not None
        times = prepared.project(x - baseline) if summed else None
        total = np.zeros((K, *np.shape(x)[: 1 if summed else 2]), dtype)
        of_others = [np.zeros((K, *way.towards.shape), dtype) for way in others]

        counts = np.full(len(past.offsets) - 1, self.path.steps)
        for group in copies(past.offsets, counts, prepared.bytes_per_step(K)):
            alpha = self.path.points(group.number).astype(dtype)
            weights = self.path.weights(group.number).astype(dtype)
            moved = tuple([way.points(group, alpha) for way in others])
            read = reading_of(past, group, first.points(group, alpha).values, moved)
            run = network.forward(prepared, read, "gradient")
            weighed = weighting[:, past.score_rows(group)]
            if times is None:
                found = gradients(run, weighed)
            else:
                found = gradients(run, weighed, times_input=True, times=(times, group.steps))
            first.add_up(total, group, weights, found.inputs if times is None else found.token)
            for way, sums, gradient in zip(others, of_others, found.others, strict=True):
                way.add_up(sums, group, weights, gradient)

        mean, initial = total / self.path.whole, past.no_initial(K)
        started = explained(past, weighting) - _explained_of_start(past, weighting, first, others)
        relevance = tuple(
            way.towards * (sums / self.path.whole)
            for way, sums in zip(others, of_others, strict=True)
        )
        if summed:
            return InputRelevance(mean, None, initial, started, relevance)
        by_input = (x - baseline) * mean
        return InputRelevance.of_inputs(by_input, level, initial, started, relevance)


class _Way(NamedTuple):
    """The straight path from a baseline to what is read of an input.

    Attributes
    ----------
    start, towards : ndarray of shape (n, columns)
        Where it begins, and the way from there.
    offsets : ndarray of shape (B + 1,)
        Where sequences begin in these rows.
    """

    start: Array
    towards: Array
    offsets: Array

    def points(self, group: Copies, alpha: Array) -> Rows:
        """Return points on it, of copies that are each at its own `alpha`."""
        begin = group.offsets_like(self.offsets)
        path = np.empty((begin[-1], self.towards.shape[1]), self.towards.dtype)
        for b, which, _ in group.by_sequence():
            own = slice(self.offsets[b], self.offsets[b + 1])
            rows = path[begin[which.start] : begin[which.stop]]
            points = rows.reshape(-1, *self.towards[own].shape)
            np.multiply.outer(alpha[which], self.towards[own], out=points)
            points += self.start[own]
        return Rows(path, begin)

    def add_up(self, total: Array, group: Copies, weights: Array, gradient: Array) -> None:
        """Add the gradients at points, weighted, to the total of each sequence.

        One after the other, so that a sum does not depend on how copies were grouped.
        """
        begin = group.offsets_like(self.offsets)
        for b, which, _ in group.by_sequence():
            sums = total[:, np.newaxis, self.offsets[b] : self.offsets[b + 1]]
            rows = gradient[:, begin[which.start] : begin[which.stop]]
            terms = rows.reshape(len(sums), -1, *sums.shape[2:])
            terms = weights[which].reshape(-1, *[1] * (total.ndim - 1)) * terms
            added = np.concatenate([sums, terms], axis=1)
            if added[0, 0].size > 1:
                sums[:, 0] = np.add.reduce(added, axis=1)
            else:  # single numbers NumPy would add in pairs
                sums[:, 0] = np.add.accumulate(added, axis=1)[:, -1]


def _explained_of_start(
    past: ForwardPass, weighting: Array, first: _Way, others: Sequence[_Way]
) -> Array:
    """Return what would be explained of the baseline, (K, B)."""
    rows = np.arange(len(first.start))
    moved = tuple([Rows(way.start, way.offsets) for way in others])
    reading = past.reading._replace(projection=first.start, rows=rows, others=moved)
    return explained(network.forward(past.prepared, reading, "nothing"), weighting)


@typed
def integrated_gradients(
    model: Model,
    inputs: Any,
    target: Any = None,
    *,
    steps: int | None = None,
    quadrature: str = "gauss",
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
    model : Model
        The network that is explained.
    inputs : one sequence, or a batch of them
        Tokens, ids, numbers or a table, in any of the forms of `lrp`.
    target : None, int, str, sequence, or "all"
        What is explained, in any of the forms of `lrp`. Default: the predicted class.
    steps : int, optional
        Points on the path. Default: 36, of which "gauss" takes at most 1000, or 50 with
        "midpoint".
    quadrature : {"gauss", "midpoint"}
        Where the points are: "gauss" are those of Gauss and Legendre, of each of the last half of
        the path, the quarter before it, the eighth before that, and the rest; "midpoint" are the
        middles of equal parts. The former are nearly always far more precise; neither sees a gate
        that opens and closes between two points: `delta` tells.
    baseline : None, str, int, array of shape (D,) or (T, D), or for a batch a list of (T, D)
        Where the path begins: zeros by default; the vector of a token or id; a vector for every
        step, (D,); or one for each step, (T, D), which serves all sequences of a batch if all have
        that length, or else a list of such arrays, one for each sequence. Of several inputs a dict
        of those by name, zeros for the others.
    level : {"token", "input"}, optional
        One relevance for each step, or one for each input dimension as well.
    unknown : {"error", "unk", "zero"}, optional
        What to do with a token that the vocabulary lacks.
    backend : {"auto", "kernel", "reference"}
        Compiled kernels, or plain NumPy.
    num_threads : int, optional
        Threads that share the work. Default: as many as there are processors.

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
