"""The readable specification of a backend, in NumPy: one sequence, one step at a time.

Notation: i, f, g, o are the gates, a^g the pre-activation of g, c and h the states, R_z the
relevance of z. Formulas: Hochreiter and Schmidhuber's cell with forget gates; Arras et al. 2017
(doi 10.18653/v1/W17-5221), section 2, for the relevance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from lrplstm.parallel import look
from lrplstm.rules import PRODUCT_RULES, EpsilonRule
from lrplstm.scans import DecomposeResult, ForwardResult, GradientResult, LRPResult
from lrplstm.weights import Array, LSTMWeights

__all__ = [
    "activate",
    "activation_gradient",
    "decompose_scan",
    "forward_scan",
    "gradient_scan",
    "linear",
    "linear_gradient",
    "linear_lrp",
    "lrp_scan",
    "pool",
    "pool_gradient",
    "pool_lrp",
    "prepare_layer",
    "prepare_linear",
    "project",
]


# Linear layers ----------------------------------------------------------------------------------


class Linear(NamedTuple):
    """z = y @ weight.T + bias."""

    weight: Array
    bias: Array | None


def prepare_linear(weight: Array, bias: Array | None) -> Linear:
    """Return a linear layer; see `lrplstm.scans`."""
    return Linear(weight, bias)


def linear(layer: Linear, y: Array) -> Array:
    """Return z of y; see `lrplstm.scans`."""
    z = y @ layer.weight.T
    return z if layer.bias is None else z + layer.bias


def linear_lrp(layer: Linear, y: Array, z: Array, relevance: Array, rule: EpsilonRule) -> Array:
    """Return the relevance of y, given that of z; see `lrplstm.scans`."""
    q = rule.quotient(z, relevance)
    share = rule.share(q, z, 0.0 if layer.bias is None else layer.bias, units=y.shape[1])
    return y * (q @ layer.weight) + share[..., np.newaxis]


def linear_gradient(layer: Linear, gradient: Array) -> Array:
    """Return the gradient of y, given that of z; see `lrplstm.scans`."""
    return gradient @ layer.weight


def activate(activation: str, z: Array) -> Array:
    """Return what an activation makes of z; see `lrplstm.scans`."""
    return np.tanh(z) if activation == "tanh" else np.maximum(z, 0)


def activation_gradient(activation: str, value: Array, gradient: Array) -> Array:
    """Return the gradient of z, given that of its activation; see `lrplstm.scans`."""
    return gradient * (1 - value**2 if activation == "tanh" else value > 0)


# Pooling ----------------------------------------------------------------------------------------


def pool(pooling: str, hidden: Array, offsets: Array) -> Array:
    """Return what all steps of each sequence are pooled to; see `lrplstm.scans`."""
    found = np.empty((len(offsets) - 1, hidden.shape[1]), hidden.dtype)
    for b, (start, stop) in enumerate(pairwise(offsets)):
        if pooling == "mean":
            found[b] = hidden[start:stop].mean(axis=0, dtype=np.float64)
        else:
            found[b] = hidden[start:stop].max(axis=0)
    return found


def pool_lrp(
    pooling: str, hidden: Array, offsets: Array, pooled: Array, relevance: Array, rule: EpsilonRule
) -> Array:
    """Return the relevance of each step's state, given that of the pooled; see `lrplstm.scans`."""
    if pooling == "max":  # all to the step that won
        return pool_gradient(pooling, hidden, offsets, relevance)
    found = np.empty((len(relevance), *hidden.shape), relevance.dtype)
    for b, (start, stop) in enumerate(pairwise(offsets)):
        # Epsilon rule, weights 1/T, no bias, T * width lower units.
        T, width = hidden[start:stop].shape
        q = rule.quotient(pooled[b], relevance[:, b])
        share = rule.share(q, pooled[b], 0.0, T * width)
        found[:, start:stop] = hidden[start:stop] / T * q[:, np.newaxis]
        found[:, start:stop] += share[:, np.newaxis, np.newaxis]
    return found


def pool_gradient(pooling: str, hidden: Array, offsets: Array, gradient: Array) -> Array:
    """Return the gradient of each step's state, given that of the pooled; see `lrplstm.scans`."""
    found = np.zeros((len(gradient), *hidden.shape), gradient.dtype)
    for b, (start, stop) in enumerate(pairwise(offsets)):
        if pooling == "mean":
            found[:, start:stop] = gradient[:, b, np.newaxis] / (stop - start)
        else:
            winners = start + hidden[start:stop].argmax(axis=0)
            found[:, winners, np.arange(hidden.shape[1])] = gradient[:, b]
    return found


# LSTM layers ------------------------------------------------------------------------------------


class Direction(NamedTuple):
    """One direction of a layer, and where it stands in what belongs to the layer."""

    weights: LSTMWeights
    reverse: bool
    states: slice
    projection: slice


class DirectionTrace(NamedTuple):
    """What the way back reads of one direction, in rows of steps: gates, a, c_t and h_t."""

    gates: Array
    preactivations: Array
    cell: Array
    hidden: Array


class Trace(NamedTuple):
    """What the way back reads of a layer."""

    layer: list[Direction]
    projection: Array
    rows: Array
    offsets: Array
    directions: list[DirectionTrace]


def prepare_layer(directions: Sequence[LSTMWeights]) -> list[Direction]:
    """Return an LSTM layer; see `lrplstm.scans`."""
    layer = []
    for d, weights in enumerate(directions):
        H = weights.hidden_size
        layer.append(
            Direction(
                weights,
                reverse=weights.reverse or d == 1,
                states=slice(d * H, (d + 1) * H),
                projection=slice(d * 4 * H, (d + 1) * 4 * H),
            )
        )
    return layer


def project(layer: list[Direction], x: Array) -> Array:
    """Return W_ih x of all directions, beside each other; see `lrplstm.scans`."""
    return np.concatenate([x @ direction.weights.weight_ih.T for direction in layer], axis=1)


def _sigmoid(a: Array) -> Array:
    # exp overflows to infinity for a < -88 in float32; 1 / (1 + inf) is then 0, as it should be.
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-a))


def _steps(offsets: Array, reverse: bool) -> Iterator[tuple[int, list[int]]]:
    """Yield each sequence's number and its steps in the order in which they are read."""
    for b, (start, stop) in enumerate(pairwise(offsets)):
        look()
        steps = list(range(start, stop))
        yield b, steps[::-1] if reverse else steps


def _with_initial(states: Array, steps: list[int], initial: Array) -> Array:
    """Return the states of one sequence in reading order, the initial one first: (T + 1, H)."""
    return np.concatenate([initial[np.newaxis], states[steps]])


def forward_scan(
    layer: list[Direction],
    projection: Array,
    rows: Array,
    offsets: Array,
    keep: str,
    hidden: bool,
) -> ForwardResult:
    """Run the cell over every sequence; see `lrplstm.scans`."""
    traces, final = [], []
    for direction in layer:
        weights = direction.weights
        W_x = projection[rows, direction.projection]
        gates, preactivations, cell, states = (
            np.empty((len(rows), n * weights.hidden_size), W_x.dtype) for n in (4, 4, 1, 1)
        )
        last = []
        for _, steps in _steps(offsets, direction.reverse):
            h, c = weights.initial_hidden, weights.initial_cell
            for t in steps:
                a = W_x[t] + weights.weight_hh @ h + weights.bias
                a_i, a_f, a_g, a_o = np.split(a, 4)
                i, f, o = _sigmoid(a_i), _sigmoid(a_f), _sigmoid(a_o)
                g = np.tanh(a_g)
                c = f * c + i * g
                h = o * np.tanh(c)
                gates[t] = np.concatenate([i, f, g, o])
                preactivations[t], cell[t], states[t] = a, c, h
            last.append(h)
        traces.append(DirectionTrace(gates, preactivations, cell, states))
        final.append(np.stack(last))
    return ForwardResult(
        np.concatenate(final, axis=1),
        np.concatenate([trace.hidden for trace in traces], axis=1) if hidden else None,
        None if keep == "nothing" else Trace(layer, projection, rows, offsets, traces),
    )


def _started(trace: Trace, final: Any, hidden: Any) -> Array:
    """Return what starts at each step, (K, steps, width), given that of final and all states."""
    if hidden is None:
        started = np.zeros((len(final), len(trace.rows), final.shape[2]), final.dtype)
    else:
        started = np.array(hidden)
    if final is not None:
        for direction in trace.layer:
            last = trace.offsets[:-1] if direction.reverse else trace.offsets[1:] - 1
            started[:, last, direction.states] += final[..., direction.states]
    return started


def lrp_scan(
    trace: Trace,
    final_relevance: Array | None,
    hidden_relevance: Array | None,
    inputs: Array | None,
    rule: EpsilonRule,
    product_rule: str,
) -> LRPResult:
    """Run relevance back over every sequence; see `lrplstm.scans`."""
    started = _started(trace, final_relevance, hidden_relevance)
    share_product = PRODUCT_RULES[product_rule]
    (K, n, _), dtype = started.shape, started.dtype
    token = np.zeros((K, n), dtype)
    initial = np.zeros((K, len(trace.offsets) - 1), dtype)
    R_x = None if inputs is None else np.zeros((K, *inputs.shape), dtype)

    for direction, (gates, preactivations, cell, hidden) in zip(
        trace.layer, trace.directions, strict=True
    ):
        weights = direction.weights
        D, H = weights.input_size, weights.hidden_size
        W_x = trace.projection[trace.rows, direction.projection]

        for sequence, steps in _steps(trace.offsets, direction.reverse):
            h = _with_initial(hidden, steps, weights.initial_hidden)
            c = _with_initial(cell, steps, weights.initial_cell)
            R_h = np.zeros((K, H), dtype)
            R_c = np.zeros((K, H), dtype)
            # h[s] and c[s] are the states before step s.
            for s, t in reversed(list(enumerate(steps))):
                i, f, g, o = np.split(gates[t], 4)
                a = preactivations[t]
                R_h = R_h + started[:, t, direction.states]
                R_a = np.zeros((K, 4, H), dtype)  # of i, f, g and o

                # h = o tanh(c).
                R_a[:, 3], R_signal = share_product(rule, o, np.tanh(c[s + 1]), R_h)
                R_c = R_c + R_signal

                # c_t = f c_{t-1} + i g: epsilon rule, identity weights, 2H lower units, no bias.
                q_c = rule.quotient(c[s + 1], R_c)
                share_c = rule.share(q_c, c[s + 1], 0.0, 2 * H)[:, np.newaxis]
                R_a[:, 1], R_c = share_product(rule, f, c[s], f * c[s] * q_c + share_c)
                R_a[:, 0], R_a[:, 2] = share_product(rule, i, g, i * g * q_c + share_c)

                # a = W_ih x_t + W_hh h_{t-1} + b. A gate that got nothing hands nothing on.
                q = rule.quotient(a, R_a.reshape(K, 4 * H))
                share = rule.share(q, a, weights.bias, D + H)[:, np.newaxis]
                R_h = h[s] * (q @ weights.weight_hh) + share
                if R_x is not None and inputs is not None:
                    R_x[:, t] += inputs[t] * (q @ weights.weight_ih) + share
                # The sum over D of that, without its D parts.
                token[:, t] += q @ W_x[t] + D * share[:, 0]
            initial[:, sequence] += R_h.sum(axis=-1) + R_c.sum(axis=-1)
    return LRPResult(token if R_x is None else None, R_x, initial)


def gradient_scan(
    trace: Trace,
    final_gradient: Array | None,
    hidden_gradient: Array | None,
    times_input: bool,
) -> GradientResult:
    """Run gradients back over every sequence; see `lrplstm.scans`."""
    started = _started(trace, final_gradient, hidden_gradient)
    (K, n, width), dtype = started.shape, started.dtype
    D = trace.layer[0].weights.input_size
    token = np.zeros((K, n), dtype) if times_input else None
    dx = None if times_input else np.zeros((K, n, D), dtype)
    initial_hidden, initial_cell = np.empty((2, K, len(trace.offsets) - 1, width), dtype)

    for direction, (gates, _, cell, _) in zip(trace.layer, trace.directions, strict=True):
        weights = direction.weights
        W_x = trace.projection[trace.rows, direction.projection]

        for sequence, steps in _steps(trace.offsets, direction.reverse):
            c = _with_initial(cell, steps, weights.initial_cell)
            dh = np.zeros((K, weights.hidden_size), dtype)
            dc = np.zeros((K, weights.hidden_size), dtype)
            for s, t in reversed(list(enumerate(steps))):
                i, f, g, o = np.split(gates[t], 4)
                tanh_c = np.tanh(c[s + 1])
                dh = dh + started[:, t, direction.states]
                dc = dc + dh * o * (1 - tanh_c**2)
                da = np.concatenate(
                    [
                        dc * g * i * (1 - i),
                        dc * c[s] * f * (1 - f),
                        dc * i * (1 - g**2),
                        dh * tanh_c * o * (1 - o),
                    ],
                    axis=-1,
                )
                dc = dc * f
                dh = da @ weights.weight_hh
                if dx is not None:
                    dx[:, t] += da @ weights.weight_ih
                if token is not None:
                    token[:, t] += da @ W_x[t]  # x . (W_ih.T @ da), the other way round
            initial_hidden[:, sequence, direction.states] = dh
            initial_cell[:, sequence, direction.states] = dc
    return GradientResult(token, dx, initial_hidden, initial_cell)


# Contextual decomposition -----------------------------------------------------------------------


def _share(activation: Callable[[Array], Array], a: Array, relevant: Array, bias: Array) -> Array:
    """Return the share in activation(a), a = relevant + rest + bias, of what is relevant.

    It is what adding it changes, the mean of first and last of the two, the bias always there.
    """
    first = activation(bias + relevant) - activation(bias)
    last = activation(a) - activation(a - relevant)
    return (first + last) / 2


def decompose_scan(
    trace: Trace,
    owner: Array,
    relevant: Array,
    rows: Array,
    phrase: Array,
    offsets: Array,
    hidden: bool,
) -> DecomposeResult:
    """Follow the part of the states that comes from some inputs; see `lrplstm.scans`.

    Murdoch et al. 2018, section 3: beta is the part of a state that is followed.
    """
    width = sum(direction.weights.hidden_size for direction in trace.layer)
    final = np.empty((len(owner), width), relevant.dtype)
    states = np.empty((len(rows), width), relevant.dtype)
    for direction, (gates, preactivations, cell, _) in zip(
        trace.layer, trace.directions, strict=True
    ):
        weights = direction.weights
        b_i, b_f, b_g, _ = np.split(weights.bias, 4)
        bias_i, bias_f, bias_g = _sigmoid(b_i), _sigmoid(b_f), np.tanh(b_g)
        originals = dict(_steps(trace.offsets, direction.reverse))
        for copy, steps in _steps(offsets, direction.reverse):
            original = originals[int(owner[copy])]
            c = _with_initial(cell, original, weights.initial_cell)
            beta_h = beta_c = np.zeros(weights.hidden_size, relevant.dtype)
            for s, (t, t_original) in enumerate(zip(steps, original, strict=True)):
                a_i, a_f, a_g, _ = np.split(preactivations[t_original], 4)
                o = np.split(gates[t_original], 4)[3]
                W_x = relevant[rows[t], direction.projection]
                r_i, r_f, r_g, _ = np.split(W_x + weights.weight_hh @ beta_h, 4)
                share_i = _share(_sigmoid, a_i, r_i, b_i)
                share_f = _share(_sigmoid, a_f, r_f, b_f)
                share_g = _share(np.tanh, a_g, r_g, b_g)

                # i g: what has a relevant factor and none that is irrelevant, biases being neither.
                beta_c = (share_f + bias_f) * beta_c
                beta_c = beta_c + share_i * (share_g + bias_g) + bias_i * share_g
                if phrase[t]:
                    beta_c = beta_c + bias_i * bias_g

                # h = o tanh(c), with o as it is.
                beta_h = o * _share(np.tanh, c[s + 1], beta_c, np.zeros_like(beta_c))
                states[t, direction.states] = beta_h
            final[copy, direction.states] = beta_h
    return DecomposeResult(final, states if hidden else None)
