"""What methods share that run the network on altered copies of its inputs."""

from __future__ import annotations

import numpy as np

from lrplstm.copies import Copies
from lrplstm.network import ForwardPass, Reading, Rows
from lrplstm.sequences import sum_steps
from lrplstm.weights import Array

__all__ = ["MEASURES", "explained", "reading_of", "spread", "weigh"]

MEASURES = ("score", "probability")
"""What is compared: scores, or their softmax; of one score for two classes its sigmoid."""


def reading_of(
    past: ForwardPass,
    group: Copies,
    projection: Array,
    others: tuple[Rows, ...] | None = None,
) -> Reading:
    """Return what the network reads of copies, given what the first layer does at each step.

    Without `others` every other input is as it was.
    """
    if others is None:
        others = tuple(rows.of_copies(group) for rows in past.reading.others)
    return Reading(group.offsets, projection, np.arange(len(projection)), None, others)


def weigh(
    past: ForwardPass, weighting: Array, scores: Array, copies: Copies | None = None
) -> Array:
    """Return ``weighting . scores`` of each sequence, (K, B), those of its steps added up.

    With `copies` they are those of copies of the sequences.
    """
    weighed: Array = np.vecdot(weighting, scores)
    if not past.every_step:
        return weighed
    offsets = past.score_offsets
    return sum_steps(weighed, offsets if copies is None else copies.offsets_like(offsets))


def explained(past: ForwardPass, weighting: Array, measure: str = "score") -> Array:
    """Return what is explained of each sequence, (K, B), in float64."""
    values = past.scores.astype(np.float64)
    if measure == "probability":
        if values.shape[-1] == 1:  # s speaks for class 1 and -s for class 0, as the weights say
            values = np.sign(weighting) / (1 + np.exp(-np.sign(weighting) * values))
        else:
            values = np.exp(values - values.max(axis=-1, keepdims=True))
            values /= values.sum(axis=-1, keepdims=True)
    return weigh(past, weighting, values)


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
