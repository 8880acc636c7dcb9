"""One step of an LSTM, forward and back.

Formulas: Hochreiter and Schmidhuber's cell with forget gates; Arras et al. 2017
(doi 10.18653/v1/W17-5221), section 2, for the relevance; Murdoch et al. 2018 (arXiv 1801.05453),
section 3, for the decomposition. What is called H is one row of numbers for each unit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lrplstm.rules import EpsilonRule, ProductRule, share_in_activation
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
    c: Array


def _sigmoid(a: Array) -> Array:
    # exp overflows to infinity for a < -88 in float32; 1 / (1 + inf) is then 0, as it should be.
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-a))


def step(weights: LSTMWeights, W_x: Array, before: States) -> tuple[States, Step]:
    """Return the states after a step, given W_ih x and those before it."""
    h_before, c_before = before
    a = W_x + weights.weight_hh @ h_before + weights.bias
    a_i, a_f, a_g, a_o = np.split(a, 4)
    i, f, o = _sigmoid(a_i), _sigmoid(a_f), _sigmoid(a_o)
    g = np.tanh(a_g)
    c = f * c_before + i * g
    h = o * np.tanh(c)
    return (h, c), Step(i, f, g, o, a, h_before, c_before, c)


def relevance(
    weights: LSTMWeights, past: Step, after: States, rule: EpsilonRule, share_product: ProductRule
) -> tuple[States, Array, Array]:
    """Return R of the states before, given that after, each (K, H); and q and share.

    With these W_ih x gets ``x * (q @ weight_ih) + share``.
    """
    i, f, g, o, a, h_before, c_before, c = past
    R_h, R_c = after
    K, H = R_h.shape
    R_a = np.zeros((K, 4, H), R_h.dtype)  # of i, f, g and o

    # h = o tanh(c).
    R_a[:, 3], R_signal = share_product(rule, o, np.tanh(c), R_h)
    R_c = R_c + R_signal

    # c_t = f c_{t-1} + i g: epsilon rule, identity weights, 2H lower units, no bias.
    q_c = rule.quotient(c, R_c)
    share_c = rule.share(q_c, c, 0.0, 2 * H)[:, np.newaxis]
    R_a[:, 1], R_c = share_product(rule, f, c_before, f * c_before * q_c + share_c)
    R_a[:, 0], R_a[:, 2] = share_product(rule, i, g, i * g * q_c + share_c)

    # a = W_ih x_t + W_hh h_{t-1} + b. A gate that got nothing hands nothing on.
    q = rule.quotient(a, R_a.reshape(K, 4 * H))
    share = rule.share(q, a, weights.bias, weights.input_size + H)[:, np.newaxis]
    R_h = h_before * (q @ weights.weight_hh) + share
    return (R_h, R_c), q, share


def gradient(weights: LSTMWeights, past: Step, after: States) -> tuple[States, Array]:
    """Return the gradient of the states before, given that after, each (K, H); and that of a."""
    i, f, g, o, _, _, c_before, c = past
    dh, dc = after
    tanh_c = np.tanh(c)
    dc = dc + dh * o * (1 - tanh_c**2)
    da = np.concatenate(
        [
            dc * g * i * (1 - i),
            dc * c_before * f * (1 - f),
            dc * i * (1 - g**2),
            dh * tanh_c * o * (1 - o),
        ],
        axis=-1,
    )
    return (da @ weights.weight_hh, dc * f), da


def decompose(weights: LSTMWeights, past: Step, W_x: Array, before: States, phrase: bool) -> States:
    """Return the relevant part, beta, of the states after a step, given that of W_ih x and before.

    `phrase` says whether the step is one of those that are followed.
    """
    b_i, b_f, b_g, _ = np.split(weights.bias, 4)
    bias_i, bias_f, bias_g = _sigmoid(b_i), _sigmoid(b_f), np.tanh(b_g)
    a_i, a_f, a_g, _ = np.split(past.a, 4)
    beta_h, beta_c = before
    r_i, r_f, r_g, _ = np.split(W_x + weights.weight_hh @ beta_h, 4)
    share_i = share_in_activation(_sigmoid, a_i, r_i, b_i)
    share_f = share_in_activation(_sigmoid, a_f, r_f, b_f)
    share_g = share_in_activation(np.tanh, a_g, r_g, b_g)

    # i g: what has a relevant factor and none that is irrelevant, biases being neither.
    beta_c = (share_f + bias_f) * beta_c
    beta_c = beta_c + share_i * (share_g + bias_g) + bias_i * share_g
    if phrase:
        beta_c = beta_c + bias_i * bias_g

    # h = o tanh(c), with o as it is.
    beta_h = past.o * share_in_activation(np.tanh, past.c, beta_c, np.zeros_like(beta_c))
    return beta_h, beta_c
