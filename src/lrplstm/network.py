"""A whole network, forward and back: stacked layers, both directions, pooling and head.

Rows of every array are steps, all sequences of a batch one after the other (see
`lrplstm.scans`); K is the number of targets that are explained at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple, Protocol

import numpy as np

from lrplstm.rules import EpsilonRule
from lrplstm.scans import LRPResult, Scans, Trace
from lrplstm.weights import Array, Layer, LSTMWeights

__all__ = [
    "POOLINGS",
    "ForwardPass",
    "InputRelevance",
    "Network",
    "bytes_per_step",
    "directions",
    "forward",
    "gradient",
    "gradient_x_input",
    "lrp",
    "lrp_from_hidden",
    "sensitivity",
]

POOLINGS = ("last",)
"""What the head reads: "last" is the final state of each direction."""


class Network(Protocol):
    """What these functions need of a model."""

    @property
    def layers(self) -> Sequence[Layer]:
        """First layer first; one `LSTMWeights`, or a (forward, backward) pair of them, each."""

    @property
    def head_weight(self) -> Array | None:
        """Weights of the head, of shape (C, width); None: the pooled hidden state is the score."""

    @property
    def head_bias(self) -> Array | None:
        """Bias of the head, of shape (C,), or None for none."""


def directions(layer: Layer) -> tuple[LSTMWeights, ...]:
    """Return the directions of a layer: (forward,) or (forward, backward)."""
    return (layer,) if isinstance(layer, LSTMWeights) else tuple(layer)


def bytes_per_step(network: Network, targets: int) -> int:
    """Return about how much working memory one step takes while `targets` are explained."""
    total = 0
    for layer in network.layers:
        for weights in directions(layer):
            numbers = 12 * weights.hidden_size + weights.input_size
            numbers += targets * (6 * weights.hidden_size + weights.input_size)
            total += numbers * weights.dtype.itemsize
    return total


# Forward ----------------------------------------------------------------------------------------


class _LayerPass(NamedTuple):
    inputs: Array
    directions: tuple[LSTMWeights, ...]
    projections: list[Array]
    traces: list[Trace]


@dataclass(frozen=True, eq=False)
class ForwardPass:
    """What a forward pass leaves for the way back.

    Attributes
    ----------
    layers : list
        Inputs, projections ``x @ weight_ih.T`` and traces of each layer.
    pooled : ndarray of shape (B, width)
        What the head reads: H or 2H numbers a sequence, the forward half first.
    scores : ndarray of shape (B, C)
    """

    network: Network
    scans: Scans
    offsets: Array
    layers: list[_LayerPass]
    pooled: Array
    scores: Array


def forward(network: Network, features: Array, offsets: Array, scans: Scans) -> ForwardPass:
    """Run the network over sequences of features, of shape (steps, D)."""
    layers: list[_LayerPass] = []
    inputs = features
    for layer in network.layers:
        both = directions(layer)
        projections = [scans.product(inputs, weights.weight_ih.T) for weights in both]
        traces = [
            scans.forward_scan(projection, weights, offsets, reverse)
            for projection, weights, reverse in zip(projections, both, (False, True), strict=False)
        ]
        layers.append(_LayerPass(inputs, both, projections, traces))
        inputs = np.concatenate([trace.hidden for trace in traces], axis=1)

    final = _final_steps(layers[-1], offsets)
    pooled = np.concatenate(
        [trace.hidden[rows] for trace, rows in zip(layers[-1].traces, final, strict=True)], axis=1
    )
    scores = pooled
    if network.head_weight is not None:
        scores = scans.product(pooled, network.head_weight.T)
        if network.head_bias is not None:
            scores = scores + network.head_bias
    return ForwardPass(network, scans, offsets, layers, pooled, scores)


def _final_steps(layer: _LayerPass, offsets: Array) -> list[Array]:
    """Return where each direction ends: at last steps, the backward one at first steps."""
    return [offsets[1:] - 1, offsets[:-1]][: len(layer.directions)]


# Back through head and pooling: (K, B, C) -> per step and direction (K, steps, H) ---------------


def _unpool(past: ForwardPass, pooled: Array) -> list[Array]:
    """Return `pooled`, of shape (K, B, width), at the hidden states that it came from."""
    top = past.layers[-1]
    final = _final_steps(top, past.offsets)
    per_direction = []
    start = 0
    for weights, rows in zip(top.directions, final, strict=True):
        stop = start + weights.hidden_size
        hidden = np.zeros((len(pooled), past.offsets[-1], weights.hidden_size), pooled.dtype)
        hidden[:, rows] = pooled[..., start:stop]
        per_direction.append(hidden)
        start = stop
    return per_direction


def _split_directions(layer: _LayerPass, hidden: Array) -> list[Array]:
    """Return the forward and the backward part of (K, steps, H or 2H)."""
    widths = [weights.hidden_size for weights in layer.directions]
    return np.split(hidden, np.cumsum(widths)[:-1], axis=-1)


# Back through the layers ------------------------------------------------------------------------


class InputRelevance(NamedTuple):
    """Relevance of what the network read.

    Attributes
    ----------
    token : ndarray of shape (K, steps)
    input : ndarray of shape (K, steps, D), or None where only `token` was asked for
    initial : ndarray of shape (K, B)
        Relevance of the initial states, all layers and directions.
    """

    token: Array
    input: Array | None
    initial: Array


def lrp(past: ForwardPass, weighting: Array, rule: EpsilonRule, level: str) -> InputRelevance:
    """Layer-wise relevance propagation of ``weighting * scores``; weighting has shape (K, B, C)."""
    network = past.network
    relevance = weighting * past.scores
    if network.head_weight is not None:
        bias = 0.0 if network.head_bias is None else network.head_bias
        q = rule.quotient(past.scores, relevance)
        share = rule.share(q, past.scores, bias, units=past.pooled.shape[1])
        relevance = past.pooled * past.scans.product(q, network.head_weight)
        relevance += share[..., np.newaxis]
    return _lrp_layers(past, _unpool(past, relevance), rule, level)


def lrp_from_hidden(
    past: ForwardPass, hidden_relevance: Array, rule: EpsilonRule, level: str
) -> InputRelevance:
    """Relevance propagation from the top layer's hidden states, (K, steps, width), down."""
    return _lrp_layers(past, _split_directions(past.layers[-1], hidden_relevance), rule, level)


def _lrp_layers(
    past: ForwardPass, hidden_relevance: list[Array], rule: EpsilonRule, level: str
) -> InputRelevance:
    initial = np.zeros((len(hidden_relevance[0]), len(past.offsets) - 1), past.scores.dtype)
    for depth, layer in reversed(list(enumerate(past.layers))):
        results = [
            past.scans.lrp_scan(trace, weights, past.offsets, d == 1, hidden_relevance[d], rule)
            for d, (trace, weights) in enumerate(zip(layer.traces, layer.directions, strict=True))
        ]
        for result in results:
            initial += result.initial
        if depth == 0 and level == "token":
            return InputRelevance(_token_relevance(layer, results), None, initial)
        relevance = reduce(
            np.add,
            [
                layer.inputs
                * past.scans.product(result.quotient, weights.weight_ih[weights.rows_g])
                + result.share[..., np.newaxis]
                for result, weights in zip(results, layer.directions, strict=True)
            ],
        )
        if depth > 0:
            hidden_relevance = _split_directions(past.layers[depth - 1], relevance)
    return InputRelevance(relevance.sum(axis=-1), relevance, initial)


def _token_relevance(layer: _LayerPass, results: list[LRPResult]) -> Array:
    """Return the sum over D of x * (W_ih^g.T @ q) + share, without making its D parts.

    It is q . (W_ih^g @ x) + D share, and W_ih^g @ x is known from the way forward.
    """
    parts = zip(results, layer.projections, layer.directions, strict=True)
    return reduce(
        np.add,
        [
            np.vecdot(result.quotient, projection[:, weights.rows_g])
            + weights.input_size * result.share
            for result, projection, weights in parts
        ],
    )


class _LayerGradient(NamedTuple):
    """Gradients at one layer, per direction: of its pre-activations and of its initial states."""

    scans: Scans
    layer: _LayerPass
    preactivation: list[Array]
    initial: list[tuple[LSTMWeights, Array, Array]]

    def inputs(self) -> Array:
        """Return the gradient of what the layer read, of shape (K, steps, D)."""
        parts = zip(self.preactivation, self.layer.directions, strict=True)
        return reduce(np.add, [self.scans.product(a, weights.weight_ih) for a, weights in parts])


def gradient(past: ForwardPass, weighting: Array) -> Iterator[_LayerGradient]:
    """Yield the gradients of ``weighting . scores``, layer by layer from the top."""
    network = past.network
    pooled = np.asarray(weighting, past.scores.dtype)
    if network.head_weight is not None:
        pooled = past.scans.product(pooled, network.head_weight)
    hidden_gradient = _unpool(past, pooled)
    for depth, layer in reversed(list(enumerate(past.layers))):
        results = [
            past.scans.gradient_scan(trace, weights, past.offsets, d == 1, hidden_gradient[d])
            for d, (trace, weights) in enumerate(zip(layer.traces, layer.directions, strict=True))
        ]
        found = _LayerGradient(
            past.scans,
            layer,
            [r.preactivation for r in results],
            [
                (weights, r.initial_hidden, r.initial_cell)
                for weights, r in zip(layer.directions, results, strict=True)
            ],
        )
        yield found
        if depth > 0:
            hidden_gradient = _split_directions(past.layers[depth - 1], found.inputs())


def sensitivity(past: ForwardPass, weighting: Array, level: str) -> InputRelevance:
    """Squared gradients of ``weighting . scores``; summed over D they are the token's."""
    initial = np.zeros(weighting.shape[:2], past.scores.dtype)
    for at_layer in gradient(past, weighting):
        for _, dh, dc in at_layer.initial:
            initial += (dh**2).sum(axis=-1) + (dc**2).sum(axis=-1)
    squares = at_layer.inputs() ** 2
    return InputRelevance(squares.sum(axis=-1), squares if level == "input" else None, initial)


def gradient_x_input(past: ForwardPass, weighting: Array, level: str) -> InputRelevance:
    """Return gradient times value, of every input and initial state."""
    initial = np.zeros(weighting.shape[:2], past.scores.dtype)
    for at_layer in gradient(past, weighting):
        for weights, dh, dc in at_layer.initial:
            initial += np.vecdot(dh, weights.initial_hidden)
            initial += np.vecdot(dc, weights.initial_cell)
    if level == "input":
        products = at_layer.inputs() * at_layer.layer.inputs
        return InputRelevance(products.sum(axis=-1), products, initial)
    # x . (W_ih.T @ da) = (W_ih @ x) . da, and W_ih @ x is known.
    parts = zip(at_layer.preactivation, at_layer.layer.projections, strict=True)
    token = reduce(np.add, [np.vecdot(a, projection) for a, projection in parts])
    return InputRelevance(token, None, initial)
