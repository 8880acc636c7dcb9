"""One step of an LSTM, forward and back.

Formulas: Hochreiter and Schmidhuber's cell with forget gates; Arras et al. 2017
(doi 10.18653/v1/W17-5221), section 2, for the relevance; Murdoch et al. 2018 (arXiv 1801.05453),
section 3, for the decomposition. What is called H is one row of numbers for each unit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lrplstm.rules import EpsilonRule, ProductRule, share_in_activation, through_linear, through_sum
from lrplstm.weights import Array, LSTMWeights

__all__ = ["Step", "decompose", "gradient", "relevance", "step"]

States = tuple[Array, ...]
"""h and c."""


class Step(NamedTuple):
    """What the way back reads of a step: its gates, a, and the states before and after it."""

    i: Array
    f: Array
    g: Array
    o: Array
    a: Array
    h_before: Array
    c_before: Array
    h: Array
    c: Array


def _peepholes(weights: LSTMWeights) -> Array:
    """Return what multiplies c in i, f and o: zeros where there are no peepholes."""
    if weights.peepholes is None:
        return np.zeros((3, weights.hidden_size), weights.dtype)
    return weights.peepholes


def step(weights: LSTMWeights, W_x: Array, before: States) -> tuple[States, Step]:
    """Return the states after a step, given W_ih x and those before it."""
    h_before, c_before = before
    activation, cell_activation, gate = weights.functions
    p_i, p_f, p_o = _peepholes(weights)
    a_i, a_f, a_g, a_o = np.split(W_x + weights.weight_hh @ h_before + weights.bias, 4)
    a_i, a_f = a_i + p_i * c_before, a_f + p_f * c_before
    i, f, g = gate(a_i), gate(a_f), activation(a_g)
    c = f * c_before + i * g
    a_o = a_o + p_o * c
    o = gate(a_o)
    h = o * cell_activation(c)
    if weights.weight_hr is not None:
        h = weights.weight_hr @ h
    a = np.concatenate([a_i, a_f, a_g, a_o])
    return (h, c), Step(i, f, g, o, a, h_before, c_before, h, c)


def relevance(
    weights: LSTMWeights, past: Step, after: States, rule: EpsilonRule, share_product: ProductRule
) -> tuple[States, Array, Array]:
    """Return R of the states before, given that after, each (K, ...); and q and share.

    With these W_ih x gets ``x * (q @ weight_ih) + share``.
    """
    i, f, g, o, a, h_before, c_before, h, c = past
    R_h, R_c = after
    m = o * weights.functions[1](c)
    p_i, p_f, p_o = _peepholes(weights)
    a_i, a_f, a_g, a_o = np.split(a, 4)
    b_i, b_f, b_g, b_o = np.split(weights.bias, 4)
    N_i, N_f, N_g, N_o = weights.lower_units

    def through(a: Array, R: Array, bias: Array, units: int) -> tuple[Array, Array]:
        """Return q and the share of a pre-activation. What got nothing hands nothing on."""
        q = rule.quotient(a, R)
        return q, rule.share(q, a, bias, units)[:, np.newaxis]

    # h = W_hr m: a linear layer without bias. R_m is that of m = o tanh(c).
    R_m = R_h
    if weights.weight_hr is not None:
        R_m = through_linear(rule, m, weights.weight_hr, 0.0, h, R_h)
    R_o, R_signal = share_product(rule, o, weights.functions[1](c), R_m)
    R_c = R_c + R_signal
    q_o, share_o = through(a_o, R_o, b_o, N_o)
    if weights.peepholes is not None:
        R_c = R_c + c * p_o * q_o + share_o

    # c_t = f c_{t-1} + i g: epsilon rule, identity weights, 2H lower units, no bias.
    R_old, R_new = through_sum(rule, (f * c_before, i * g), c, R_c)
    R_f, R_c = share_product(rule, f, c_before, R_old)
    R_i, R_g = share_product(rule, i, g, R_new)

    # a = W_ih x_t + W_hh h_{t-1} + p c + b.
    q_i, share_i = through(a_i, R_i, b_i, N_i)
    q_f, share_f = through(a_f, R_f, b_f, N_f)
    q_g, share_g = through(a_g, R_g, b_g, N_g)
    if weights.peepholes is not None:
        R_c = R_c + c_before * (p_i * q_i + p_f * q_f) + share_i + share_f
    q = np.concatenate([q_i, q_f, q_g, q_o], axis=1)
    share = share_f + share_g + share_o
    if weights.static_inputs == 0:
        share = of_inputs = share + share_i
    else:  # which the input gate reads, and nothing else
        others = weights.input_size - weights.static_inputs
        both = np.repeat(share, others, axis=1), np.repeat(share_i, weights.static_inputs, axis=1)
        of_inputs = np.concatenate(both, axis=1)
    R_h = h_before * (q @ weights.weight_hh) + share
    return (R_h, R_c), q, of_inputs


def gradient(weights: LSTMWeights, past: Step, after: States) -> tuple[States, Array]:
    """Return the gradient of the states before, given that after, each (K, ...); and that of a."""
    i, f, g, o, a, _, c_before, _, c = past
    dm, dc = after
    activation, cell_activation, gate = weights.functions
    p_i, p_f, p_o = _peepholes(weights)
    a_i, a_f, a_g, a_o = np.split(a, 4)
    if weights.weight_hr is not None:
        dm = dm @ weights.weight_hr
    signal = cell_activation(c)
    da_o = dm * signal * gate.derivative(a_o, o)
    dc = dc + dm * o * cell_activation.derivative(c, signal) + da_o * p_o
    da_i = dc * g * gate.derivative(a_i, i)
    da_f = dc * c_before * gate.derivative(a_f, f)
    da_g = dc * i * activation.derivative(a_g, g)
    da = np.concatenate([da_i, da_f, da_g, da_o], axis=-1)
    return (da @ weights.weight_hh, dc * f + da_i * p_i + da_f * p_f), da


def decompose(weights: LSTMWeights, past: Step, W_x: Array, before: States, phrase: bool) -> States:
    """Return the relevant part, beta, of the states after a step, given that of W_ih x and before.

    `phrase` says whether the step is one of those that are followed.
    """
    activation, cell_activation, gate = weights.functions
    p_i, p_f, _ = _peepholes(weights)
    b_i, b_f, b_g, _ = np.split(weights.bias, 4)
    bias_i, bias_f, bias_g = gate(b_i), gate(b_f), activation(b_g)
    a_i, a_f, a_g, _ = np.split(past.a, 4)
    beta_h, beta_c = before
    r_i, r_f, r_g, _ = np.split(W_x + weights.weight_hh @ beta_h, 4)
    share_i = share_in_activation(gate, a_i, r_i + p_i * beta_c, b_i)
    share_f = share_in_activation(gate, a_f, r_f + p_f * beta_c, b_f)
    share_g = share_in_activation(activation, a_g, r_g, b_g)

    # i g: what has a relevant factor and none that is irrelevant, biases being neither.
    beta_c = (share_f + bias_f) * beta_c
    beta_c = beta_c + share_i * (share_g + bias_g) + bias_i * share_g
    if phrase:
        beta_c = beta_c + bias_i * bias_g

    # h = o tanh(c), with o as it is.
    beta_h = past.o * share_in_activation(cell_activation, past.c, beta_c, np.zeros_like(beta_c))
    if weights.weight_hr is not None:
        beta_h = weights.weight_hr @ beta_h
    return beta_h, beta_c
