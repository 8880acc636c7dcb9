"""One step of a gated recurrent unit, forward and back.

Formulas: Cho et al. 2014 (arXiv 1406.1078), with the reset gate before or after the matrix product;
docs/layers.md derives the relevance and the decomposition. Rows are stacked as r, z, n.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lrplstm.cells import GRUWeights
from lrplstm.rules import EpsilonRule, ProductRule, share_in_activation, through_sum
from lrplstm.weights import Array

__all__ = ["Step", "decompose", "gradient", "relevance", "step"]

States = tuple[Array, ...]
"""h alone."""


class Step(NamedTuple):
    """What the way back reads of a step: its gates, a, and the states before and after it.

    `bias` is what a has of biases, and `reset` what r multiplies: W_hn h_{t-1} + b_hn, or h_{t-1}
    itself where the reset gate stands before the product.
    """

    r: Array
    z: Array
    n: Array
    a: Array
    bias: Array
    reset: Array
    h_before: Array
    h: Array


def step(weights: GRUWeights, W_x: Array, before: States) -> tuple[States, Step]:
    """Return the states after a step, given W_ih x and those before it."""
    (h_before,) = before
    activation, gate = weights.functions
    W_r, W_z, W_n = np.split(weights.weight_hh, 3)
    x_r, x_z, x_n = np.split(W_x, 3)
    b_r, b_z, _ = np.split(weights.bias_ih + weights.bias_hh, 3)
    _, _, b_in = np.split(weights.bias_ih, 3)
    _, _, b_hn = np.split(weights.bias_hh, 3)

    a_r, a_z = x_r + W_r @ h_before + b_r, x_z + W_z @ h_before + b_z
    r, z = gate(a_r), gate(a_z)
    if weights.reset_after:
        reset = W_n @ h_before + b_hn
        a_n, b_n = x_n + b_in + r * reset, b_in + r * b_hn
    else:
        reset = h_before
        a_n, b_n = x_n + b_in + b_hn + W_n @ (r * reset), b_in + b_hn
    n = activation(a_n)
    h = (1 - z) * n + z * h_before
    a, bias = np.concatenate([a_r, a_z, a_n]), np.concatenate([b_r, b_z, b_n])
    return (h,), Step(r, z, n, a, bias, reset, h_before, h)


def relevance(
    weights: GRUWeights, past: Step, after: States, rule: EpsilonRule, share_product: ProductRule
) -> tuple[States, Array, Array]:
    """Return R of the states before, given that after, each (K, H); and q and share.

    With these W_ih x gets ``x * (q @ weight_ih) + share``.
    """
    r, z, n, a, bias, _, h_before, h = past
    (R_h,) = after
    K, H = R_h.shape
    R_a = np.zeros((K, 3, H), R_h.dtype)  # of r, z and n; r is a constant and gets nothing

    # h_t = (1 - z) n + z h_{t-1}: epsilon rule, identity weights, 2H lower units, no bias.
    R_new, R_old = through_sum(rule, ((1 - z) * n, z * h_before), h, R_h)
    R_of_new, R_a[:, 2] = share_product(rule, 1 - z, n, R_new)
    R_of_old, R_h = share_product(rule, z, h_before, R_old)
    R_a[:, 1] = R_of_new + R_of_old  # what both give to z

    # a^z = W_iz x + W_hz h_{t-1} + b, and a^n = W_in x + (W_hn h_{t-1}, effectively) + b.
    q = rule.quotient(a, R_a.reshape(K, 3 * H))
    share = rule.share(q, a, bias, weights.input_size + H)[:, np.newaxis]
    R_h = R_h + h_before * _back_to_hidden(weights, r, q) + share
    return (R_h,), q, share


def _back_to_hidden(weights: GRUWeights, r: Array, given: Array) -> Array:
    """Return ``given @ W`` with the weights of h_{t-1}, the reset gate a constant in those of n.

    They are diag(r) W_hn, or W_hn diag(r) where the gate stands before the product.
    """
    W_r, W_z, W_n = np.split(weights.weight_hh, 3)
    of_r, of_z, of_n = np.split(given, 3, axis=-1)
    of_h = (of_n * r) @ W_n if weights.reset_after else (of_n @ W_n) * r
    return of_r @ W_r + of_z @ W_z + of_h


def gradient(weights: GRUWeights, past: Step, after: States) -> tuple[States, Array]:
    """Return the gradient of the states before, given that after, each (K, H); and that of a."""
    r, z, n, a, _, reset, h_before, _ = past
    (dh,) = after
    activation, gate = weights.functions
    a_r, a_z, a_n = np.split(a, 3)
    da_z = dh * (h_before - n) * gate.derivative(a_z, z)
    da_n = dh * (1 - z) * activation.derivative(a_n, n)
    of_r = da_n if weights.reset_after else da_n @ np.split(weights.weight_hh, 3)[2]
    da_r = of_r * reset * gate.derivative(a_r, r)
    da = np.concatenate([da_r, da_z, da_n], axis=-1)
    return (dh * z + _back_to_hidden(weights, r, da),), da


def decompose(weights: GRUWeights, past: Step, W_x: Array, before: States, phrase: bool) -> States:
    """Return the relevant part, beta, of the states after a step, given that of W_ih x and before.

    `phrase` says whether the step is one of those that are followed. As in `lstm`, a product keeps
    what has a relevant factor and none that is irrelevant, biases being neither.
    """
    (beta,) = before
    activation, gate = weights.functions
    W_r, W_z, W_n = np.split(weights.weight_hh, 3)
    x_r, x_z, x_n = np.split(W_x, 3)
    a_r, a_z, a_n = np.split(past.a, 3)
    b_r, b_z, _ = np.split(past.bias, 3)
    _, _, b_in = np.split(weights.bias_ih, 3)
    _, _, b_hn = np.split(weights.bias_hh, 3)
    bias_r, bias_z = gate(b_r), gate(b_z)
    share_r = share_in_activation(gate, a_r, x_r + W_r @ beta, b_r)
    share_z = share_in_activation(gate, a_z, x_z + W_z @ beta, b_z)

    if weights.reset_after:  # r (W_hn h + b_hn)
        relevant = x_n + (share_r + bias_r) * (W_n @ beta) + share_r * b_hn
        b_n = b_in + bias_r * b_hn
    else:  # W_hn (r h)
        relevant, b_n = x_n + W_n @ ((share_r + bias_r) * beta), b_in + b_hn
    bias_n = activation(b_n)
    share_n = share_in_activation(activation, a_n, relevant, b_n)

    # (1 - z) n + z h, in which 1 - z has the bias 1 - sigmoid(b) and the relevant part -share_z.
    kept = (share_z + bias_z) * beta
    renewed = (1 - bias_z - share_z) * share_n - share_z * bias_n
    if phrase:
        renewed = renewed + (1 - bias_z) * bias_n
    return (kept + renewed,)
