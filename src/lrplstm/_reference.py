"""The readable specification of a backend, in NumPy: one sequence, one step at a time.

Notation: i, f, g, o are the gates, a^g the pre-activation of g, c and h the states, R_z the
relevance of z. Formulas: Hochreiter and Schmidhuber's cell with forget gates; Arras et al. 2017
(doi 10.18653/v1/W17-5221), section 2, for the relevance.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from lrplstm.rules import EpsilonRule
from lrplstm.scans import GradientResult, LRPResult, Trace
from lrplstm.weights import Array, LSTMWeights

__all__ = ["forward_scan", "gradient_scan", "lrp_scan", "product"]


def product(a: Array, b: Array) -> Array:
    """Multiply many rows by one matrix; see `lrplstm.scans`."""
    return a @ b


def _sigmoid(a: Array) -> Array:
    # exp overflows to infinity for a < -88 in float32; 1 / (1 + inf) is then 0, as it should be.
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-a))


def _steps(offsets: Array, reverse: bool) -> Iterator[tuple[int, list[int]]]:
    """Yield each sequence's number and its rows in the order in which they are read."""
    for b, (start, stop) in enumerate(pairwise(offsets)):
        rows = list(range(start, stop))
        yield b, rows[::-1] if reverse else rows


def _with_initial(states: Array, rows: list[int], initial: Array) -> Array:
    """Return the states of one sequence in reading order, the initial one first: (T + 1, H)."""
    return np.concatenate([initial[np.newaxis], states[rows]])


def forward_scan(projection: Array, weights: LSTMWeights, offsets: Array, reverse: bool) -> Trace:
    """Run the cell over every sequence; see `lrplstm.scans`."""
    H = weights.hidden_size
    gates = np.empty_like(projection)
    candidate, cell, hidden = (np.empty_like(projection[:, :H]) for _ in range(3))
    for _, rows in _steps(offsets, reverse):
        h, c = weights.initial_hidden, weights.initial_cell
        for t in rows:
            a = projection[t] + weights.weight_hh @ h + weights.bias
            a_i, a_f, a_g, a_o = np.split(a, 4)
            i, f, o = _sigmoid(a_i), _sigmoid(a_f), _sigmoid(a_o)
            g = np.tanh(a_g)
            c = f * c + i * g
            h = o * np.tanh(c)
            gates[t] = np.concatenate([i, f, g, o])
            candidate[t], cell[t], hidden[t] = a_g, c, h
    return Trace(gates, candidate, cell, hidden)


def lrp_scan(
    trace: Trace,
    weights: LSTMWeights,
    offsets: Array,
    reverse: bool,
    hidden_relevance: Array,
    rule: EpsilonRule,
) -> LRPResult:
    """Run relevance back over every sequence, product rule "all"; see `lrplstm.scans`."""
    H = weights.hidden_size
    weight_g, bias_g = weights.weight_hh[weights.rows_g], weights.bias[weights.rows_g]
    lower_units_g = weights.input_size + H

    K = len(hidden_relevance)
    quotient = np.empty_like(hidden_relevance)
    share = np.empty_like(hidden_relevance[..., 0])
    initial = np.empty((K, len(offsets) - 1), hidden_relevance.dtype)

    for b, rows in _steps(offsets, reverse):
        h = _with_initial(trace.hidden, rows, weights.initial_hidden)
        c = _with_initial(trace.cell, rows, weights.initial_cell)
        R_h = np.zeros((K, H), hidden_relevance.dtype)
        R_c = np.zeros((K, H), hidden_relevance.dtype)
        # h[s] and c[s] are the states before step s.
        for s, t in reversed(list(enumerate(rows))):
            i, f, g, _ = np.split(trace.gates[t], 4)
            R_h = R_h + hidden_relevance[:, t]

            # h = o tanh(c): all to the signal.
            R_c = R_c + R_h

            # c_t = f c_{t-1} + i g: the epsilon rule, identity weights, 2H lower units, no bias.
            q_c = rule.quotient(c[s + 1], R_c)
            share_c = rule.share(q_c, c[s + 1], 0.0, 2 * H)[:, np.newaxis]
            R_c = f * c[s] * q_c + share_c  # all of f c_{t-1} to c_{t-1}
            R_g = i * g * q_c + share_c  # all of i g to g

            # a^g = W_ih^g x_t + W_hh^g h_{t-1} + b^g.
            a_g = trace.candidate[t]
            q = rule.quotient(a_g, R_g)
            quotient[:, t] = q
            share[:, t] = rule.share(q, a_g, bias_g, lower_units_g)
            R_h = h[s] * (q @ weight_g) + share[:, t, np.newaxis]
        initial[:, b] = R_h.sum(axis=-1) + R_c.sum(axis=-1)
    return LRPResult(quotient, share, initial)


def gradient_scan(
    trace: Trace, weights: LSTMWeights, offsets: Array, reverse: bool, hidden_gradient: Array
) -> GradientResult:
    """Run gradients back over every sequence; see `lrplstm.scans`."""
    K, n, H = hidden_gradient.shape
    sequences = len(offsets) - 1
    dtype = hidden_gradient.dtype
    preactivation = np.empty((K, n, 4 * H), dtype)
    initial_hidden, initial_cell = np.empty((2, K, sequences, H), dtype)

    for b, rows in _steps(offsets, reverse):
        c = _with_initial(trace.cell, rows, weights.initial_cell)
        dh = np.zeros((K, H), dtype)
        dc = np.zeros((K, H), dtype)
        for s, t in reversed(list(enumerate(rows))):
            i, f, g, o = np.split(trace.gates[t], 4)
            tanh_c = np.tanh(c[s + 1])
            dh = dh + hidden_gradient[:, t]
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
            preactivation[:, t] = da
            dc = dc * f
            dh = da @ weights.weight_hh
        initial_hidden[:, b], initial_cell[:, b] = dh, dc
    return GradientResult(preactivation, initial_hidden, initial_cell)
