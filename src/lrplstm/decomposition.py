"""Contextual decomposition: the part of a score that comes from one step, or one input, of many.

Murdoch et al. 2018, "Beyond Word Importance: Contextual Decomposition to Extract Interactions from
LSTMs" (arXiv 1801.05453). Every number z of the network is split in a relevant part, which is
followed here, and the rest, which is z minus that.
"""

from __future__ import annotations

import numpy as np

from lrplstm import network
from lrplstm.copies import copies_for_steps
from lrplstm.network import ForwardPass, InputRelevance
from lrplstm.perturbation import spread
from lrplstm.resuming import Followed
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
    prepared, reading, D = past.prepared, past.reading, past.prepared.input_size
    nothing = prepared.project(np.zeros((1, D), past.scores.dtype))
    each = D if by_input else 1
    followed_from = None if prepared.entry is None else Followed(past, prepared.entry)
    parts = []
    for some, step, marked, number in copies_for_steps(
        past.offsets, each, prepared.bytes_per_step(1)
    ):
        if by_input:
            followed = number[:, np.newaxis] == np.arange(D)
            relevant = prepared.project(past.reading.inputs[step] * followed)
        else:
            relevant = reading.projection[reading.rows[step]]
        # The last row is what the other steps read, in which nothing is relevant.
        relevant = np.concatenate([relevant, nothing]) - nothing
        rows = np.full(len(some.steps), len(step))
        rows[marked] = np.arange(len(step))
        phrase = np.zeros(len(rows), bool)
        phrase[marked] = True
        entered = None
        if followed_from is not None:
            entered = followed_from.through_entry(some, step, relevant)
        scores = network.decompose(past, relevant, rows, phrase, some, entered)
        weights = weighting[:, some.rows(past.every_step)]
        parts.append(network.weigh(prepared, weights, scores, some.offsets))
    found = np.concatenate(parts, axis=1).astype(past.scores.dtype)
    return found.reshape(len(weighting), len(reading.rows), each)
