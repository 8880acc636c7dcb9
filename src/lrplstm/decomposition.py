"""Contextual decomposition: the part of a score that comes from one step, or one input, of many.

Murdoch et al. 2018, "Beyond Word Importance: Contextual Decomposition to Extract Interactions from
LSTMs" (arXiv 1801.05453). Every number z of the network is split in a relevant part, which is
followed here, and the rest, which is z minus that.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lrplstm import network
from lrplstm.copies import Copies, copies_for_steps
from lrplstm.network import ForwardPass, InputRelevance
from lrplstm.perturbation import spread
from lrplstm.weights import Array

__all__ = ["contextual_decomposition"]


def contextual_decomposition(past: ForwardPass, weighting: Array, level: str) -> InputRelevance:
    """Return the part of the explained score that comes from each step as a phrase of its own."""
    token = _decompose(past, weighting, by_input=False)[..., 0]
    by_input = None
    if level == "input":
        by_input = spread(token, _decompose(past, weighting, by_input=True))
    return InputRelevance(token, by_input, network.no_initial(past, weighting))


def _decompose(past: ForwardPass, weighting: Array, *, by_input: bool) -> Array:
    """Follow each step, or each input by itself: its part, (K, steps, 1) or (K, steps, D)."""
    prepared, reading, scans = past.prepared, past.reading, past.prepared.scans
    D = prepared.directions[0][0].input_size
    nothing = scans.project(prepared.layers[0], np.zeros((1, D), past.scores.dtype))
    each = D if by_input else 1
    parts = []
    for some, step, marked, number in copies_for_steps(
        past.offsets, each, prepared.bytes_per_step(1)
    ):
        if by_input:
            followed = number[:, np.newaxis] == np.arange(D)
            relevant = scans.project(prepared.layers[0], past.inputs[0][step] * followed)
        else:
            relevant = reading.projection[reading.rows[step]]
        # The last row is what the other steps read, in which nothing is relevant.
        relevant = np.concatenate([relevant, nothing]) - nothing
        rows = np.full(len(some.steps), len(step))
        rows[marked] = np.arange(len(step))
        phrase = np.zeros(len(rows), bool)
        phrase[marked] = True
        scores = _through_head(past, some, _through_layers(past, some, relevant, rows, phrase))
        weights = weighting[:, some.rows(past.every_step)]
        parts.append(network.weigh(prepared, weights, scores, some.offsets))
    found = np.concatenate(parts, axis=1).astype(past.scores.dtype)
    return found.reshape(len(weighting), len(reading.rows), each)


def _through_layers(
    past: ForwardPass, some: Copies, relevant: Array, rows: Array, phrase: Array
) -> Array:
    """Return the relevant part of the pooled states, given that of what the first layer read."""
    prepared, scans, pooling = past.prepared, past.prepared.scans, past.prepared.pooling
    hidden: Any = None
    for depth, layer in enumerate(prepared.layers):
        if depth > 0:
            nothing = scans.project(layer, np.zeros_like(hidden[:1]))
            relevant, rows = scans.project(layer, hidden) - nothing, np.arange(len(hidden))
        wanted = depth < len(prepared.layers) - 1 or pooling != "last"
        final, hidden = scans.decompose_scan(
            past.traces[depth], some.owner, relevant, rows, phrase, some.offsets, wanted
        )
    if pooling == "last":
        return final
    if pooling == "mean":
        return scans.pool("mean", hidden, some.offsets)
    if pooling == "max":  # of the step that won
        winners = np.array([states.argmax(axis=0) for states in _split(past)])
        first = some.offsets[:-1, np.newaxis]
        return np.take_along_axis(hidden, first + winners[some.owner], axis=0)
    return hidden


def _split(past: ForwardPass) -> list[Array]:
    """Return the states of each sequence."""
    return np.split(past.hidden, past.offsets[1:-1])


def _through_head(past: ForwardPass, some: Copies, y: Array) -> Array:
    """Return the relevant part of the scores, given that of what the head reads."""
    scans, of = past.prepared.scans, some.rows(past.every_step)
    for (linear, activation), sums in zip(past.prepared.head, past.sums, strict=True):
        bias = scans.linear(linear, np.zeros_like(y[:1]))
        y = scans.linear(linear, y) - bias
        if activation != "linear":
            z = sums[of]
            first = scans.activate(activation, y + bias) - scans.activate(activation, bias)
            last = scans.activate(activation, z) - scans.activate(activation, z - y)
            y = (first + last) / 2
    return y
