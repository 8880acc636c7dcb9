"""Contextual decomposition: the part of a score that comes from one step, or one input, of many.

Murdoch et al. 2018, "Beyond Word Importance: Contextual Decomposition to Extract Interactions from
LSTMs" (arXiv 1801.05453). Every number z of the network is split in a relevant part, which is
followed here, and the rest, which is z minus that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lrplstm import network
from lrplstm.attribution import Attribution
from lrplstm.attributions import Attributions
from lrplstm.base_model import Model
from lrplstm.copies import copies_for_steps
from lrplstm.method_table import InputRelevance, Method, register
from lrplstm.methods.perturbation import spread, weigh
from lrplstm.methods.request import Request
from lrplstm.methods.resuming import Followed
from lrplstm.methods.signatures import typed
from lrplstm.network import ForwardPass
from lrplstm.sequences import Part
from lrplstm.weights import Array

__all__ = ["ContextualDecomposition", "contextual_decomposition"]


@register
@dataclass(frozen=True, eq=False)
class ContextualDecomposition(Method):
    """The part of the explained score that comes from each step as a phrase of its own."""

    name = "contextual_decomposition"
    alias = "cd"
    title = "Contextual decomposition"
    when = "what comes from a step alone, among all the others; slow when long"
    rest = "interactions of words, and biases"
    keep = "parts"

    def back(self, past: ForwardPass, weighting: Array, part: Part, level: str) -> InputRelevance:
        """Return the relevance of what a part of a batch read."""
        token = _decompose(past, weighting, by_input=False)[..., 0]
        by_input = None
        if level == "input":
            by_input = spread(token, _decompose(past, weighting, by_input=True))
        others = []
        for number in range(len(past.reading.others)):
            of_rows = _decompose_other(past, weighting, number, by_input=False)
            if level == "input":
                by_number = _decompose_other(past, weighting, number, by_input=True)
                of_rows = spread(of_rows[..., 0], by_number)
            others.append(of_rows)
        initial = past.no_initial(len(weighting))
        return InputRelevance(token, by_input, initial, None, tuple(others))


def _decompose(past: ForwardPass, weighting: Array, *, by_input: bool) -> Array:
    """Follow each step, or each input by itself: its part, (K, steps, 1) or (K, steps, D)."""
    prepared, reading, D = past.prepared, past.reading, past.prepared.input_size
    nothing = prepared.project(np.zeros((1, D), past.scores.dtype))
    each = D if by_input else 1
    followed_from = None if prepared.entry is None else Followed(past, prepared.entry)
    parts = []
    for group, step, marked, number in copies_for_steps(
        past.offsets, each, prepared.bytes_per_step(1)
    ):
        if by_input:
            followed = number[:, np.newaxis] == np.arange(D)
            relevant = prepared.project(past.reading.inputs[step] * followed)
        else:
            relevant = reading.projection[reading.rows[step]]
        # The last row is what the other steps read, in which nothing is relevant.
        relevant = np.concatenate([relevant, nothing]) - nothing
        rows = np.full(len(group.steps), len(step))
        rows[marked] = np.arange(len(step))
        phrase = np.zeros(len(rows), bool)
        phrase[marked] = True
        entered = None
        if followed_from is not None:
            entered = followed_from.through_entry(group, step, relevant)
        others = [np.zeros_like(one.of_copies(group).values) for one in reading.others]
        scores = network.decompose(past, relevant, rows, phrase, group, entered, others)
        weights = weighting[:, past.score_rows(group)]
        parts.append(weigh(past, weights, scores, group))
    found = np.concatenate(parts, axis=1).astype(past.scores.dtype)
    return found.reshape(len(weighting), len(reading.rows), each)


def _decompose_other(past: ForwardPass, weighting: Array, number: int, *, by_input: bool) -> Array:
    """Follow each row, or number, of another input: its part, (K, n, 1) or (K, n, D)."""
    prepared, dtype = past.prepared, past.scores.dtype
    x, offsets = past.reading.others[number]
    each = x.shape[1] if by_input else 1
    nothing = np.zeros_like(prepared.project(np.zeros((1, prepared.input_size), dtype)))
    parts = []
    for group, row, marked, column in copies_for_steps(
        past.offsets, each, prepared.bytes_per_step(1), offsets
    ):
        others = [np.zeros_like(one.of_copies(group).values) for one in past.reading.others]
        followed = column[:, np.newaxis] == np.arange(each)  # of a row as a whole all are
        others[number][marked] = x[row] * followed
        rows = np.zeros(len(group.steps), np.intp)
        entered, entry = None, prepared.entry
        if entry is not None:  # nothing of its states is relevant
            final = np.zeros((len(group.owner), len(entry.initial_hidden)), dtype)
            hidden = np.zeros((len(rows), final.shape[1]), dtype) if entry.wanted else None
            entered = hidden, final
        phrase = np.zeros(len(rows), bool)
        scores = network.decompose(past, nothing, rows, phrase, group, entered, others)
        weights = weighting[:, past.score_rows(group)]
        parts.append(weigh(past, weights, scores, group))
    found = np.concatenate(parts, axis=1).astype(dtype)
    return found.reshape(len(weighting), len(x), each)


@typed
def contextual_decomposition(
    model: Model,
    inputs: Any,
    target: Any = None,
    *,
    level: str | None = None,
    unknown: str | None = None,
    backend: str = "auto",
    num_threads: int | None = None,
) -> Attribution | Attributions:
    """Contextual decomposition: the part of the score that comes from each step as a phrase.

    Every state is split in the part that comes from the step and the rest; so is the score in the
    end, of which that part is the step's relevance.

    Parameters
    ----------
    model : Model
        The network that is explained.
    inputs : one sequence, or a batch of them
        Tokens, ids, numbers or a table, in any of the forms of `lrp`.
    target : None, int, str, sequence, or "all"
        What is explained, in any of the forms of `lrp`. Default: the predicted class.
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
        Each step is a phrase of its own, so that the relevances need not add up to the score;
        `delta` is what is missing. At level "input", where each input dimension is also followed by
        itself, `input_relevance` is the part of that alone, and, in proportion to the size of that,
        a part of what the inputs of the step do together; so it sums up to `token_relevance`.

    Raises
    ------
    TypeError, ValueError
        As `lrp`.

    Notes
    -----
    Murdoch et al. 2018, "Beyond Word Importance" (arXiv 1801.05453). What a gate or tanh makes of
    relevant part, rest and bias is shared among the first two as the mean over their two orders,
    the bias before both. The bias terms, which the paper leaves a choice in: a product of a
    relevant part and a bias is relevant; the product of the biases of input gate and candidate is
    relevant at the steps of the phrase, else it belongs to the rest; biases and initial states
    belong to the rest everywhere else, the head's bias too. The output gate is not split. Layers of
    the head that have a tanh or ReLU are treated as a gate is.

    Examples
    --------
    >>> import lrplstm
    >>> model = lrplstm.load_default()
    >>> a = lrplstm.contextual_decomposition(model, "a fine film .".split())
    >>> a.tokens[a.token_relevance.argmax()]
    'fine'
    """
    request = Request(model, inputs, level, unknown, backend, num_threads)
    return request.explain(ContextualDecomposition(), target)
