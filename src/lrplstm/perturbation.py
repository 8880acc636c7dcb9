"""Methods that run the network on altered copies of its inputs, on the way of a forward pass.

Each is a function of the forward pass of a part of a batch, of the weights of the scores that are
explained, (K, B, C) or with pooling "none" (K, steps, C), and of a baseline, (steps, D) or (1, D):
what stands in for inputs that are taken away.
"""

from __future__ import annotations

import numpy as np

from lrplstm import network
from lrplstm.copies import Copies, copies, copies_for_steps
from lrplstm.network import ForwardPass, InputRelevance, Reading
from lrplstm.quadrature import Quadrature
from lrplstm.resuming import Resumed
from lrplstm.weights import Array

__all__ = ["integrated_gradients", "occlusion", "spread"]


def integrated_gradients(
    past: ForwardPass, weighting: Array, baseline: Array, quadrature: Quadrature, level: str
) -> InputRelevance:
    """Return (x - baseline) * the mean gradient on the straight path between."""
    prepared, offsets, x = past.prepared, past.offsets, past.reading.inputs
    of_baseline = prepared.project(baseline)
    towards_x = past.reading.projection[past.reading.rows] - of_baseline
    of_baseline = np.broadcast_to(of_baseline, towards_x.shape)
    total = np.zeros((len(weighting), *np.shape(x)), towards_x.dtype)

    counts = np.full(len(offsets) - 1, quadrature.steps)
    for some in copies(offsets, counts, prepared.bytes_per_step(len(weighting))):
        alpha = quadrature.points(some.number).astype(towards_x.dtype)
        weights = quadrature.weights(some.number).astype(towards_x.dtype)
        alpha = np.repeat(alpha, np.diff(some.offsets))[:, np.newaxis]
        path = of_baseline[some.steps] + alpha * towards_x[some.steps]
        run = network.forward(prepared, _reading(some, path), "gradient")
        gradient = network.input_gradient(run, weighting[:, some.rows(past.every_step)])
        # One after the other, so that a sum does not depend on how copies were grouped.
        for copy, b in enumerate(some.owner):
            own = gradient[:, some.offsets[copy] : some.offsets[copy + 1]]
            total[:, offsets[b] : offsets[b + 1]] += weights[copy] * own

    relevance = (x - baseline) * (total / quadrature.whole)
    started = _explained(past, weighting) - _of_baseline(past, weighting, of_baseline)
    return InputRelevance(
        relevance.sum(axis=-1),
        relevance if level == "input" else None,
        network.no_initial(past, weighting),
        started,
    )


def occlusion(
    past: ForwardPass, weighting: Array, baseline: Array, measure: str, level: str
) -> InputRelevance:
    """Return what a score, or probability, loses when a step, or input, is taken away."""
    token = _occlude(past, weighting, baseline, measure, by_input=False)[..., 0]
    by_input = None
    if level == "input":
        by_input = spread(token, _occlude(past, weighting, baseline, measure, by_input=True))
    started = _explained(past, weighting, measure)
    return InputRelevance(token, by_input, network.no_initial(past, weighting), started)


def spread(token: Array, by_input: Array) -> Array:
    """Return what each input does alone, and its part of what a step's inputs do together.

    That part is in proportion to what they do alone, without its sign. The inputs of a step then
    sum up to what the step does, (..., steps).
    """
    sizes = np.abs(by_input)
    whole = sizes.sum(axis=-1, keepdims=True)
    even = np.full_like(sizes, 1 / sizes.shape[-1])
    shares = np.divide(sizes, whole, out=even, where=whole > 0)
    together = token - by_input.sum(axis=-1)
    return by_input + shares * together[..., np.newaxis]


def _occlude(
    past: ForwardPass, weighting: Array, baseline: Array, measure: str, *, by_input: bool
) -> Array:
    """Take away each step, or each input by itself: its effect, (K, steps, 1) or (K, steps, D)."""
    prepared, reading = past.prepared, past.reading
    steps, D = len(reading.rows), baseline.shape[1]
    of_step = np.broadcast_to(np.arange(len(baseline)), steps)  # one for all of them, or one each
    of_baseline = prepared.project(baseline)
    each = D if by_input else 1
    started = _explained(past, weighting, measure)
    resumed = None if prepared.entry is None else Resumed(past, prepared.entry)
    effects = []
    for some, step, marked, number in copies_for_steps(
        past.offsets, each, prepared.bytes_per_step(0)
    ):
        if by_input:
            taken = number[:, np.newaxis] == np.arange(D)
            stand_in = np.where(taken, baseline[of_step[step]], past.reading.inputs[step])
            changed = prepared.project(stand_in)
        else:
            changed = of_baseline[of_step[step]]
        if resumed is None:
            whole = reading.projection[reading.rows[some.steps]]
            whole[marked] = changed
            run = network.forward(prepared, _reading(some, whole), "nothing")
        else:
            run = resumed.forward(some, step, changed)
        left = _explained(run, weighting[:, some.rows(past.every_step)], measure)
        effects.append(started[:, some.owner] - left)
    found = np.concatenate(effects, axis=1).astype(past.scores.dtype)
    return found.reshape(len(weighting), steps, each)


def _reading(some: Copies, projection: Array) -> Reading:
    return Reading(some.offsets, projection, np.arange(len(projection)), None)


def _explained(past: ForwardPass, weighting: Array, measure: str = "score") -> Array:
    """Return what is explained of each sequence, (K, B), in float64."""
    values = past.scores.astype(np.float64)
    if measure == "probability":
        if values.shape[-1] == 1:  # s speaks for class 1 and -s for class 0, as the weights say
            values = np.sign(weighting) / (1 + np.exp(-np.sign(weighting) * values))
        else:
            values = np.exp(values - values.max(axis=-1, keepdims=True))
            values /= values.sum(axis=-1, keepdims=True)
    return network.weigh(past.prepared, weighting, values, past.offsets)


def _of_baseline(past: ForwardPass, weighting: Array, of_baseline: Array) -> Array:
    """Return what would be explained of the baseline, (K, B)."""
    reading = past.reading._replace(projection=of_baseline, rows=np.arange(len(of_baseline)))
    return _explained(network.forward(past.prepared, reading, "nothing"), weighting)
