"""One step of a plain recurrent cell, h = act(W_ih x + W_hh h_{t-1} + b), forward and back."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lrplstm.cells import RNNWeights
from lrplstm.rules import EpsilonRule, ProductRule, share_in_activation
from lrplstm.weights import Array

__all__ = ["Step", "decompose", "gradient", "relevance", "step"]

States = tuple[Array, ...]
"""h alone."""


class Step(NamedTuple):
    """What the way back reads of a step: a, and the states before and after it."""

    a: Array
    h_before: Array
    h: Array


def step(weights: RNNWeights, W_x: Array, before: States) -> tuple[States, Step]:
    """Return the states after a step, given W_ih x and those before it."""
    (h_before,) = before
    a = W_x + weights.weight_hh @ h_before + weights.bias
    h = weights.function(a)
    return (h,), Step(a, h_before, h)


def relevance(
    weights: RNNWeights, past: Step, after: States, rule: EpsilonRule, share_product: ProductRule
) -> tuple[States, Array, Array]:
    """Return R of the states before, given that after, each (K, H); and q and share.

    With these W_ih x gets ``x * (q @ weight_ih) + share``.
    """
    a, h_before, _ = past
    (R_h,) = after
    q = rule.quotient(a, R_h)
    units = weights.input_size + weights.hidden_size
    share = rule.share(q, a, weights.bias, units)[:, np.newaxis]
    return (h_before * (q @ weights.weight_hh) + share,), q, share


def gradient(weights: RNNWeights, past: Step, after: States) -> tuple[States, Array]:
    """Return the gradient of the states before, given that after, each (K, H); and that of a."""
    (dh,) = after
    da = dh * weights.function.derivative(past.a, past.h)
    return (da @ weights.weight_hh,), da


def decompose(weights: RNNWeights, past: Step, W_x: Array, before: States, phrase: bool) -> States:
    """Return the relevant part, beta, of the states after a step, given that of W_ih x and before.

    `phrase` says whether the step is one of those that are followed: what is there without any
    input, act(b), then belongs to it.
    """
    (beta,) = before
    relevant = W_x + weights.weight_hh @ beta
    beta = share_in_activation(weights.function, past.a, relevant, weights.bias)
    return (beta + weights.function(weights.bias),) if phrase else (beta,)
