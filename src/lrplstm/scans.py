"""What a backend is: three scans over the steps of many sequences, and one product.

Data that belongs to steps is *ragged*: the rows of all sequences one after the other, sequence b in
rows ``offsets[b]:offsets[b + 1]``, in token order. A scan takes one direction of one layer; with
``reverse`` that direction reads each sequence from its last row to its first, and everything it
returns is in token order all the same.

Backward scans take the relevance (or gradient) of h_t *per step* and for K targets at once, shape
(K, steps, H): a head, any pooling, a layer above, or something of the user's own may have put it
there, and the scan needs to know nothing of them.

`_reference` is the readable specification; `_kernels` computes the same, compiled.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from lrplstm.rules import EpsilonRule
from lrplstm.weights import Array, LSTMWeights

__all__ = ["GradientResult", "LRPResult", "Scans", "Trace"]


class Trace(NamedTuple):
    """What the backward scans read of the forward scan.

    Attributes
    ----------
    gates : ndarray of shape (steps, 4 * H)
        i, f, g, o after their activations.
    candidate : ndarray of shape (steps, H)
        a^g, the pre-activation of g.
    cell, hidden : ndarray of shape (steps, H)
        c_t and h_t.
    """

    gates: Array
    candidate: Array
    cell: Array
    hidden: Array


class LRPResult(NamedTuple):
    """What the relevance of any lower quantity can be read off from.

    Attributes
    ----------
    quotient : ndarray of shape (K, steps, H)
        q = R_g / (a^g + eps(a^g)); then R_x = x * (W_ih^g.T @ q) + share.
    share : ndarray of shape (K, steps)
        What each lower unit of a^g gets of bias and stabilizer.
    initial : ndarray of shape (K, sequences)
        Relevance that ended on h_{-1} and c_{-1}.
    """

    quotient: Array
    share: Array
    initial: Array


class GradientResult(NamedTuple):
    """Gradients of K scalars.

    Attributes
    ----------
    preactivation : ndarray of shape (K, steps, 4 * H)
        With respect to a = W_ih x + W_hh h + b; W_ih.T @ it is the gradient of x.
    initial_hidden, initial_cell : ndarray of shape (K, sequences, H)
        With respect to h_{-1} and c_{-1}.
    """

    preactivation: Array
    initial_hidden: Array
    initial_cell: Array


class Scans(Protocol):
    """A backend: a module with these four functions."""

    def product(self, a: Array, b: Array) -> Array:
        """Return a @ b for a of shape (..., rows, n) and b of shape (n, columns)."""

    def forward_scan(
        self, projection: Array, weights: LSTMWeights, offsets: Array, reverse: bool
    ) -> Trace:
        """Run the cell over every sequence, given ``projection = x @ weight_ih.T``."""

    def lrp_scan(
        self,
        trace: Trace,
        weights: LSTMWeights,
        offsets: Array,
        reverse: bool,
        hidden_relevance: Array,
        rule: EpsilonRule,
    ) -> LRPResult:
        """Run relevance back over every sequence."""

    def gradient_scan(
        self,
        trace: Trace,
        weights: LSTMWeights,
        offsets: Array,
        reverse: bool,
        hidden_gradient: Array,
    ) -> GradientResult:
        """Run gradients back over every sequence."""
