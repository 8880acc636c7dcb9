"""What a backend is: scans over the steps of many sequences, and what goes on around them.

Data that belongs to steps is *ragged*: the rows of all sequences one after the other, the longest
sequence first, sequence b in rows ``offsets[b]:offsets[b + 1]``, in token order. A scan takes one
layer, that is, one or two directions: a forward one reads each sequence from its first row to its
last, a backward one from its last to its first. Results are in token order all the same, and
`width` is the number of units of a layer: H, or 2H with the forward half first.

Weights are handed over once, by `prepare_layer` and `prepare_linear`; what a backend makes of them,
of a projection's columns and of a trace is its own affair.

`backends.reference` is the readable specification; `_kernels` computes the same, compiled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from lrplstm.rules import EpsilonRule
from lrplstm.weights import Array, CellWeights

__all__ = ["KEEP", "DecomposeResult", "ForwardResult", "GradientResult", "LRPResult", "Scans"]

KEEP = ("nothing", "relevance", "gates", "gradient", "states")
"""What a forward scan keeps: nothing; what `lrp_scan` reads for the product rule "all", or for the
others and `decompose_scan`; what `gradient_scan` reads; or the cell's states of every step."""


class ForwardResult(NamedTuple):
    """What a layer made of its inputs.

    Attributes
    ----------
    final : ndarray of shape (B, width)
        The last state that each direction reached.
    hidden : ndarray of shape (steps, width), or None
        h_t of every step, where it was asked for.
    trace : object, or None
        What the way back reads.
    states : tuple of ndarrays of shape (steps, width), or None
        All states of the cell after every step, h and c of an LSTM; where "states" were kept.
    others : tuple of ndarray of shape (B, width)
        The other final states, of an LSTM c.
    """

    final: Array
    hidden: Any
    trace: Any
    states: Any = None
    others: tuple[Array, ...] = ()


class LRPResult(NamedTuple):
    """Relevance of what a layer read.

    Attributes
    ----------
    token : ndarray of shape (K, steps), or None
        Sum over the inputs of each step; where no inputs were given.
    inputs : ndarray of shape (K, steps, D), or None
        Of every input; where they were given.
    initial : ndarray of shape (K, B)
        What ended on h_{-1} and c_{-1} of all directions.
    states : tuple of ndarray of shape (K, B, width)
        The same of each number of each state, where sequences began from states of their own.
    """

    token: Any
    inputs: Any
    initial: Array
    states: tuple[Array, ...] = ()


class GradientResult(NamedTuple):
    """Gradients of K scalars.

    Attributes
    ----------
    token : ndarray of shape (K, steps), or None
        The gradient of each step's inputs times the inputs themselves; where it was asked for.
    inputs : ndarray of shape (K, steps, D), or None
        With respect to every input; where it was asked for.
    initial_hidden, initial_cell : ndarray of shape (K, B, width)
        With respect to h_{-1} and c_{-1}.
    """

    token: Any
    inputs: Any
    initial_hidden: Array
    initial_cell: Array


class DecomposeResult(NamedTuple):
    """The part of a layer's states that comes from what is relevant.

    Attributes
    ----------
    final : ndarray of shape (n, width)
        Of the last state that each direction reached.
    hidden : ndarray of shape (steps, width), or None
        Of h_t of every step, where it was asked for.
    others : tuple of ndarray of shape (n, width)
        Of the other final states.
    """

    final: Array
    hidden: Any
    others: tuple[Array, ...] = ()


class Scans(Protocol):
    """A backend: a module with these functions."""

    def prepare_linear(self, weight: Array, bias: Array | None) -> Any:
        """Return a linear layer z = y @ weight.T + bias, for the functions below."""

    def linear(self, layer: Any, y: Array) -> Array:
        """Return z of shape (B, C) for y of shape (B, N)."""

    def linear_lrp(
        self, layer: Any, y: Array, z: Array, relevance: Array, rule: EpsilonRule
    ) -> Array:
        """Return the relevance of y, (K, B, N), given that of z, (K, B, C)."""

    def linear_gradient(self, layer: Any, gradient: Array) -> Array:
        """Return the gradient of y, (K, B, N), given that of z, (K, B, C)."""

    def activate(self, activation: str, z: Array) -> Array:
        """Return what "relu" or "tanh" makes of z, of shape (n, M)."""

    def activation_gradient(self, activation: str, value: Array, gradient: Array) -> Array:
        """Return the gradient of z, (K, n, M), given that of the value the activation took."""

    def pool(self, pooling: str, hidden: Array, offsets: Array) -> Array:
        """Return the "mean" or "max" of each sequence's rows of (steps, width): (B, width)."""

    def pool_lrp(
        self,
        pooling: str,
        hidden: Array,
        offsets: Array,
        pooled: Array,
        relevance: Array,
        rule: EpsilonRule,
    ) -> Array:
        """Return the relevance of what was pooled, (K, steps, width), given (K, B, width).

        The mean is a linear layer with weights 1/T; the first step that has the maximum gets all.
        """

    def pool_gradient(self, pooling: str, hidden: Array, offsets: Array, gradient: Array) -> Array:
        """Return the gradient of what was pooled, (K, steps, width), given (K, B, width)."""

    def remainder(self, shared: Array, token: Array, initial: Array, offsets: Array) -> Array:
        """Return what did not arrive of what was shared out, (K, B), in the dtype of `token`.

        That is `shared`, (K, B) in float64, minus the relevance of initial states, (K, B), and of
        each sequence's steps, (K, steps), which is summed in float64.
        """

    def has_cell(self, directions: Sequence[CellWeights]) -> bool:
        """Whether the functions below know the cell of a layer's directions."""

    def prepare_layer(self, directions: Sequence[CellWeights]) -> Any:
        """Return a recurrent layer, of one direction or of two, for the functions below."""

    def bytes_per_step(self, layer: Any) -> int:
        """Return how much a step takes from `project` to the way back, inputs not counted."""

    def project(self, layer: Any, x: Array) -> Array:
        """Return what the scans read of inputs x of shape (n, D): a row for each row of x.

        It is W_ih x plus the same vector for every x, the directions beside each other, each in as
        many columns, as a layer of that direction alone reads them.
        """

    def forward_scan(
        self,
        layer: Any,
        projection: Array,
        rows: Array,
        offsets: Array,
        keep: str,
        hidden: bool,
        start: tuple[Array, ...] | None = None,
    ) -> ForwardResult:
        """Run the cell over every sequence; step t reads row ``rows[t]`` of `projection`.

        `keep` is one of `KEEP`, and `hidden` whether h_t of every step is returned. `start` has
        the states that each sequence begins from instead of the layer's initial ones, h and c of
        an LSTM, each (B, width).
        """

    def lrp_scan(
        self,
        trace: Any,
        final_relevance: Array | None,
        hidden_relevance: Array | None,
        inputs: Array | None,
        rule: EpsilonRule,
        product_rule: str,
        others: tuple[Any, ...] = (),
    ) -> LRPResult:
        """Run relevance back over every sequence; `product_rule` is one of `PRODUCT_RULES`.

        It starts from relevance of the final states, (K, B, width), from that of the hidden states
        of every step, (K, steps, width), or from both. With `inputs`, of shape (steps, D), the
        result is the relevance of each of them, without it that of each step. `others` has that of
        each other final state, or None.
        """

    def gradient_scan(
        self,
        trace: Any,
        final_gradient: Array | None,
        hidden_gradient: Array | None,
        times_input: bool,
        others: tuple[Any, ...] = (),
        *,
        times: tuple[Array, Array] | None = None,
    ) -> GradientResult:
        """Run gradients back over every sequence, from where `lrp_scan` does.

        With `times_input` the result is gradient times input of each step, else the gradients.
        `times` are others to multiply by than the inputs that were read: a projection of them, and
        which row of it belongs to each step.
        """

    def decompose_scan(
        self,
        trace: Any,
        owner: Array,
        relevant: Array,
        rows: Array,
        phrase: Array,
        offsets: Array,
        hidden: bool,
        start: tuple[Array, ...] | None = None,
    ) -> DecomposeResult:
        """Contextual decomposition: follow the part of the states that comes from some inputs.

        It goes over copies of the sequences that the trace, which kept "gates", is of: copy k is
        one of sequence ``owner[k]`` and has the steps ``offsets[k]:offsets[k + 1]``, the longest
        copy first. A copy with fewer steps than its sequence has those that a direction reads last;
        nothing in those before them is relevant. Step t reads the relevant part of W_ih x in row
        ``rows[t]`` of `relevant`, which has the columns of a projection without what that has of
        every x alike. ``phrase[t]``, of dtype bool, says whether step t is in the phrase, to which
        then the product of its input gate's and candidate's biases belongs. `hidden` is whether h_t
        of every step is returned. `start` has the relevant parts of the states that copies begin
        from, (n, width) each; else nothing in these is.
        """
