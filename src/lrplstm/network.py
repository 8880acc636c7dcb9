"""A whole network, forward and back: stacked layers, both directions, pooling and head.

Rows of every array are steps, the sequences of a part of the batch one after the other (see
`lrplstm.scans`); K is the number of targets that are explained at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from lrplstm.rules import EpsilonRule
from lrplstm.scans import GradientResult, Scans
from lrplstm.sequences import Batch, Part, sum_steps
from lrplstm.weights import Array, DenseLayer, Layer, LSTMWeights

__all__ = [
    "POOLINGS",
    "ForwardPass",
    "InputRelevance",
    "Network",
    "Prepared",
    "Reading",
    "Source",
    "directions",
    "forward",
    "gradient_x_input",
    "input_gradient",
    "lrp",
    "lrp_from_hidden",
    "no_initial",
    "read",
    "sensitivity",
    "weigh",
]

POOLINGS = ("last", "mean", "max", "none")
"""What the head reads: the final state of each direction, the mean or maximum over all steps, or
the state of each step by itself."""

_WORD_TABLE_BYTES = 48 * 2**20
"""Projections of a whole vocabulary are kept with the model if they take no more than this."""


class Network(Protocol):
    """What these functions need of a model."""

    @property
    def layers(self) -> Sequence[Layer]:
        """First layer first; one `LSTMWeights`, or a (forward, backward) pair of them, each."""

    @property
    def head(self) -> Sequence[DenseLayer]:
        """What makes scores of the pooled hidden state; without any, it is the score itself."""

    @property
    def pooling(self) -> str:
        """One of `POOLINGS`."""


def directions(layer: Layer) -> tuple[LSTMWeights, ...]:
    """Return the directions of a layer: (forward,) or (forward, backward)."""
    return (layer,) if isinstance(layer, LSTMWeights) else tuple(layer)


class Source(NamedTuple):
    """What the first layer reads of a batch.

    Attributes
    ----------
    projection : ndarray, or None
        W_ih x of each distinct word; None where the batch is features, projected part by part.
    rows : ndarray of shape (steps,), or None
        Which row of it each step of the batch reads.
    """

    projection: Array | None
    rows: Array | None


class Reading(NamedTuple):
    """What the first layer reads of some sequences, the longest first.

    Attributes
    ----------
    offsets : ndarray of shape (B + 1,)
        Where each of them begins, and where the last ends.
    projection : ndarray
        W_ih x, as a backend projects it.
    rows : ndarray of shape (steps,)
        Which row of it each step reads.
    inputs : ndarray of shape (steps, D), or None
        x itself, where it is needed afterwards.
    """

    offsets: Array
    projection: Array
    rows: Array
    inputs: Array | None


class Prepared:
    """The weights of a network as a backend wants them."""

    def __init__(self, network: Network, scans: Scans) -> None:
        self.scans = scans
        self.directions = [directions(layer) for layer in network.layers]
        self.layers = [scans.prepare_layer(both) for both in self.directions]
        self.pooling = network.pooling
        # Each linear layer of the head, and its activation.
        self.head = [
            (scans.prepare_linear(dense.weight, dense.bias), dense.activation)
            for dense in network.head
        ]
        # h_{-1} and c_{-1} of each layer, all directions beside each other.
        self.initial_states = [
            (
                np.concatenate([weights.initial_hidden for weights in both]),
                np.concatenate([weights.initial_cell for weights in both]),
            )
            for both in self.directions
        ]
        # Rows of W_ih x of the vocabulary's words, and which of them have been computed.
        self._words: tuple[Array, Array] | None = None

    @property
    def every_step(self) -> bool:
        """Whether every step has scores, rather than every sequence."""
        return self.pooling == "none"

    def source(self, batch: Batch) -> Source:
        """Project the words of a batch, each once."""
        if batch.embedding is None:
            return Source(None, None)
        if self._words is None:
            row = self._project(batch, np.array([batch.zero_id]))
            words = batch.zero_id + 1
            if words * row.nbytes > _WORD_TABLE_BYTES:
                distinct, rows = np.unique(batch.data, return_inverse=True)
                return Source(self._project(batch, distinct), rows)
            self._words = np.zeros((words, row.shape[1]), row.dtype), np.zeros(words, bool)
        projection, known = self._words
        if not known[batch.data].all():
            wanted = np.zeros_like(known)
            wanted[batch.data] = True
            missing = np.flatnonzero(wanted & ~known)
            projection[missing] = self._project(batch, missing)
            known[missing] = True  # last, so that another thread sees finished rows only
        return Source(projection, batch.data)

    def _project(self, batch: Batch, ids: Array) -> Array:
        return self.scans.project(self.layers[0], batch.embed(ids))

    def bytes_per_step(self, targets: int) -> int:
        """Return about how much working memory one step takes while `targets` are explained."""
        total = 0
        for both in self.directions:
            for weights in both:
                numbers = 12 * weights.hidden_size + (1 + targets) * weights.input_size
                if both is self.directions[-1] and self.pooling != "last":
                    numbers += (1 + targets) * weights.hidden_size
                total += numbers * weights.dtype.itemsize
        return total


# Forward ----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class ForwardPass:
    """What a forward pass leaves for the way back.

    Attributes
    ----------
    reading : Reading
    inputs : list of ndarray or None
        What each layer read; of the first layer only where it was asked for.
    traces : list
        Of each layer, see `lrplstm.scans`.
    hidden : ndarray of shape (steps, width), or None
        States of the top layer; where they are pooled.
    head : list of ndarray
        What each layer of the head read, first the pooled states, and the scores: in rows of
        sequences, or with pooling "none" of steps.
    sums : list of ndarray
        What each layer of the head made of that before its activation.
    """

    prepared: Prepared
    reading: Reading
    inputs: list[Any]
    traces: list[Any]
    hidden: Any
    head: list[Array]
    sums: list[Array]

    @property
    def offsets(self) -> Array:
        """Where sequences begin and end."""
        return self.reading.offsets

    @property
    def every_step(self) -> bool:
        """Whether every step has scores."""
        return self.prepared.every_step

    @property
    def scores(self) -> Array:
        """Of shape (B, C), or with pooling "none" (steps, C)."""
        return self.head[-1]


def read(prepared: Prepared, batch: Batch, source: Source, part: Part, inputs: bool) -> Reading:
    """Return what the first layer reads of a part of a batch, with x itself if `inputs`."""
    x: Any = None
    if source.projection is None or inputs:
        x = batch.features(part.steps)
    if source.projection is None or source.rows is None:
        projection = prepared.scans.project(prepared.layers[0], x)
        return Reading(part.offsets, projection, np.arange(part.offsets[-1]), x)
    return Reading(part.offsets, source.projection, source.rows[part.steps], x)


def forward(prepared: Prepared, reading: Reading, keep: str) -> ForwardPass:
    """Run the network over some sequences; `keep` says for what (see `lrplstm.scans`)."""
    scans, pooling = prepared.scans, prepared.pooling
    offsets, projection, rows, _ = reading
    x: Any = reading.inputs
    inputs: list[Any] = []
    traces = []
    for depth, layer in enumerate(prepared.layers):
        if depth > 0:
            projection, rows = scans.project(layer, x), np.arange(offsets[-1])
        wanted = depth < len(prepared.layers) - 1 or pooling != "last"
        found = scans.forward_scan(layer, projection, rows, offsets, keep, wanted)
        inputs.append(x)
        traces.append(found.trace)
        x = found.hidden

    if pooling == "last":
        y = found.final
    else:
        y = x if pooling == "none" else scans.pool(pooling, x, offsets)
    head, sums = [y], []
    for linear, activation in prepared.head:
        z = scans.linear(linear, y)
        y = z if activation == "linear" else scans.activate(activation, z)
        sums.append(z)
        head.append(y)
    return ForwardPass(prepared, reading, inputs, traces, x, head, sums)


def weigh(prepared: Prepared, weighting: Array, values: Array, offsets: Array) -> Array:
    """Return ``weighting . values`` of each sequence, (K, B), those of its steps added up."""
    weighed: Array = np.vecdot(weighting, values)
    return sum_steps(weighed, offsets) if prepared.every_step else weighed


# Back -------------------------------------------------------------------------------------------


class InputRelevance(NamedTuple):
    """Relevance of what the network read.

    Attributes
    ----------
    token : ndarray of shape (K, steps)
    input : ndarray of shape (K, steps, D), or None where only `token` was asked for
    initial : ndarray of shape (K, B)
        Relevance of the initial states, all layers and directions.
    started : ndarray of shape (K, B), or None
        What was shared out; where it is not the explained score.
    """

    token: Array
    input: Array | None
    initial: Array
    started: Array | None = None


def lrp(
    past: ForwardPass, weighting: Array, rule: EpsilonRule, product_rule: str, level: str
) -> InputRelevance:
    """Layer-wise relevance propagation of ``weighting * scores``; weighting is one for each target.

    It has the shape (K, B, C), or with pooling "none" (K, steps, C).
    """
    scans, relevance = past.prepared.scans, weighting * past.scores
    # An activation hands all relevance on.
    for (linear, _), y, z in reversed(
        list(zip(past.prepared.head, past.head, past.sums, strict=False))
    ):
        relevance = scans.linear_lrp(linear, y, z, relevance, rule)
    return lrp_from_pooled(past, relevance, rule, product_rule, level)


def lrp_from_pooled(
    past: ForwardPass, relevance: Array, rule: EpsilonRule, product_rule: str, level: str
) -> InputRelevance:
    """Relevance propagation from what the head reads, (K, B or steps, width), down."""

    def through_pooling(pooling: str) -> Array:
        scans, pooled = past.prepared.scans, past.head[0]
        return scans.pool_lrp(pooling, past.hidden, past.offsets, pooled, relevance, rule)

    final, hidden = _to_states(past, relevance, through_pooling)
    return _lrp_layers(past, final, hidden, rule, product_rule, level)


def lrp_from_hidden(
    past: ForwardPass,
    hidden_relevance: Array,
    rule: EpsilonRule,
    product_rule: str,
    level: str,
) -> InputRelevance:
    """Relevance propagation from the top layer's hidden states, (K, steps, width), down."""
    return _lrp_layers(past, None, hidden_relevance, rule, product_rule, level)


def _to_states(
    past: ForwardPass, pooled: Array, through_pooling: Callable[[str], Array]
) -> tuple[Array | None, Array | None]:
    """Return what the top layer's final states, or else all of its states, get of what is pooled.

    Of the two one is None: scans begin at either.
    """
    pooling = past.prepared.pooling
    if pooling == "last":
        return pooled, None
    return None, pooled if pooling == "none" else through_pooling(pooling)


def no_initial(past: ForwardPass, targets: Array) -> Array:
    """Return zeros for what ends on initial states, (K, B)."""
    return np.zeros((len(targets), len(past.offsets) - 1), past.scores.dtype)


def _lrp_layers(
    past: ForwardPass,
    final: Any,
    hidden: Any,
    rule: EpsilonRule,
    product_rule: str,
    level: str,
) -> InputRelevance:
    initial = no_initial(past, hidden if final is None else final)
    for depth in reversed(range(len(past.traces))):
        inputs = past.inputs[depth] if depth > 0 or level == "input" else None
        found = past.prepared.scans.lrp_scan(
            past.traces[depth], final, hidden, inputs, rule, product_rule
        )
        initial += found.initial
        final, hidden = None, found.inputs
    if found.inputs is None:
        return InputRelevance(found.token, None, initial)
    return InputRelevance(found.inputs.sum(axis=-1), found.inputs, initial)


def _gradient(past: ForwardPass, weighting: Array, times_input: bool) -> Iterator[GradientResult]:
    """Yield the gradients of ``weighting . scores`` of each layer from the top."""
    scans = past.prepared.scans
    gradient = np.asarray(weighting, past.scores.dtype)
    layers = zip(past.prepared.head, past.head[1:], strict=True)
    for (linear, activation), value in reversed(list(layers)):
        if activation != "linear":
            gradient = scans.activation_gradient(activation, value, gradient)
        gradient = scans.linear_gradient(linear, gradient)

    def through_pooling(pooling: str) -> Array:
        return scans.pool_gradient(pooling, past.hidden, past.offsets, gradient)

    final, hidden = _to_states(past, gradient, through_pooling)
    for depth in reversed(range(len(past.traces))):
        found = scans.gradient_scan(past.traces[depth], final, hidden, times_input and depth == 0)
        yield found
        final, hidden = None, found.inputs


def input_gradient(past: ForwardPass, weighting: Array) -> Array:
    """Return the gradient of ``weighting . scores`` of every input, (K, steps, D)."""
    *_, at_first = _gradient(past, weighting, times_input=False)
    gradient: Array = at_first.inputs
    return gradient


def sensitivity(past: ForwardPass, weighting: Array, level: str) -> InputRelevance:
    """Squared gradients of ``weighting . scores``; summed over D they are the token's."""
    initial = no_initial(past, weighting)
    for at_layer in _gradient(past, weighting, times_input=False):
        for gradient in (at_layer.initial_hidden, at_layer.initial_cell):
            initial += np.vecdot(gradient, gradient)
    gradient = at_layer.inputs
    if level == "token":
        return InputRelevance(np.vecdot(gradient, gradient), None, initial)
    squares = gradient**2
    return InputRelevance(squares.sum(axis=-1), squares, initial)


def gradient_x_input(past: ForwardPass, weighting: Array, level: str) -> InputRelevance:
    """Return gradient times value, of every input and initial state."""
    initial = no_initial(past, weighting)
    depths = reversed(range(len(past.traces)))
    for depth, at_layer in zip(depths, _gradient(past, weighting, level == "token"), strict=True):
        hidden, cell = past.prepared.initial_states[depth]
        initial += np.vecdot(at_layer.initial_hidden, hidden)
        initial += np.vecdot(at_layer.initial_cell, cell)
    if at_layer.inputs is None:
        return InputRelevance(at_layer.token, None, initial)
    products = at_layer.inputs * past.inputs[0]
    return InputRelevance(products.sum(axis=-1), products, initial)
