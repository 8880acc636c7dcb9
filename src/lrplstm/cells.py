"""Weights of cells other than the LSTM: frozen data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy.typing as npt

from lrplstm.activations import Elementwise, Said, to_elementwise
from lrplstm.checks import to_flag
from lrplstm.weights import Array, CellWeights, stacked

__all__ = ["GRUWeights", "RNNWeights"]


@dataclass(frozen=True, eq=False, repr=False, init=False)
class GRUWeights(CellWeights):
    """One direction of one layer of gated recurrent units.

    ::

        r, z = sigmoid(W_i x_t + b_i + W_h h_{t-1} + b_h)      of their own rows
        n    = tanh(W_in x_t + b_in + r (W_hn h_{t-1} + b_hn))
        h_t  = (1 - z) n + z h_{t-1}

    The gates are stacked in the order reset gate, update gate, candidate (r, z, n), as PyTorch has
    them; Keras and ONNX have z, r, n. In all of them z multiplies h_{t-1}.

    Parameters
    ----------
    weight_ih : array_like of shape (3 * hidden_size, input_size)
        What multiplies the input x_t.
    weight_hh : array_like of shape (3 * hidden_size, hidden_size)
        What multiplies the hidden state h_{t-1}.
    bias_ih, bias_hh : array_like of shape (3 * hidden_size,)
        The biases of the two products. Where there is one for both, the other is zeros.
    reset_after : bool
        Whether the reset gate multiplies after the matrix product, as above: in PyTorch always, in
        Keras by default, in ONNX with ``linear_before_reset=1``. Else the candidate is
        ``n = tanh(W_in x_t + b_in + b_hn + W_hn (r h_{t-1}))``.
    activation, gate_activation : str, or (str, dict of float)
        Of n, and of r and z; see `lrplstm.activations`.
    initial_hidden : array_like of shape (hidden_size,), optional
        State h_{-1} before the first step this direction reads. Default: zeros.
    reverse : bool
        Whether it reads sequences from their last step to their first. The second of a (forward,
        backward) pair always does.

    Raises
    ------
    TypeError
        If an array is neither float32 nor float64.
    ValueError
        If shapes or dtypes do not fit together, a value is NaN or infinite, or there is no such
        activation.

    Notes
    -----
    Cho et al. 2014 (arXiv 1406.1078). Relevance goes through it as docs/layers.md derives.

    Examples
    --------
    >>> import numpy as np
    >>> import lrplstm
    >>> lrplstm.GRUWeights(np.ones((6, 3)), np.ones((6, 2)), np.zeros(6), np.zeros(6))
    GRUWeights(input_size=3, hidden_size=2, dtype=float64)
    """

    bias_ih: Array
    bias_hh: Array
    initial_hidden: Array
    reset_after: bool
    activation: Said
    gate_activation: Said

    def __init__(
        self,
        weight_ih: npt.ArrayLike,
        weight_hh: npt.ArrayLike,
        bias_ih: npt.ArrayLike,
        bias_hh: npt.ArrayLike,
        *,
        reset_after: bool = True,
        activation: Said = "tanh",
        gate_activation: Said = "sigmoid",
        initial_hidden: npt.ArrayLike | None = None,
        reverse: bool = False,
    ) -> None:
        weight_ih, H = stacked(weight_ih, 3)
        self._freeze(
            {
                "weight_ih": (weight_ih, (3 * H, "input_size")),
                "weight_hh": (weight_hh, (3 * H, H)),
                "bias_ih": (bias_ih, (3 * H,)),
                "bias_hh": (bias_hh, (3 * H,)),
                "initial_hidden": (initial_hidden, (H,)),
            },
            reset_after=to_flag("reset_after", reset_after),
            activation=to_elementwise("activation", activation).said,
            gate_activation=to_elementwise("gate_activation", gate_activation).said,
            reverse=to_flag("reverse", reverse),
        )

    @cached_property
    def functions(self) -> tuple[Elementwise, Elementwise]:
        """The activation of the candidate, and that of the gates."""
        return (
            to_elementwise("activation", self.activation),
            to_elementwise("gate_activation", self.gate_activation),
        )


@dataclass(frozen=True, eq=False, repr=False, init=False)
class RNNWeights(CellWeights):
    """One direction of one layer of plain recurrent cells: h = act(W_ih x + W_hh h_{t-1} + b).

    Parameters
    ----------
    weight_ih : array_like of shape (hidden_size, input_size)
        What multiplies the input x_t.
    weight_hh : array_like of shape (hidden_size, hidden_size)
        What multiplies the hidden state h_{t-1}.
    bias : array_like of shape (hidden_size,)
        Sum of all biases.
    activation : str, or (str, dict of float)
        See `lrplstm.activations`.
    initial_hidden : array_like of shape (hidden_size,), optional
        State h_{-1} before the first step this direction reads. Default: zeros.
    reverse : bool
        Whether it reads sequences from their last step to their first. The second of a (forward,
        backward) pair always does.

    Raises
    ------
    TypeError
        If an array is neither float32 nor float64.
    ValueError
        If shapes or dtypes do not fit together, a value is NaN or infinite, or there is no such
        activation.

    Notes
    -----
    Elman 1990 (doi 10.1207/s15516709cog1402_1).

    Examples
    --------
    >>> import numpy as np
    >>> import lrplstm
    >>> lrplstm.RNNWeights(np.ones((2, 3)), np.ones((2, 2)), np.zeros(2), activation="relu")
    RNNWeights(input_size=3, hidden_size=2, dtype=float64, activation='relu')
    """

    bias: Array
    initial_hidden: Array
    activation: Said

    def __init__(
        self,
        weight_ih: npt.ArrayLike,
        weight_hh: npt.ArrayLike,
        bias: npt.ArrayLike,
        *,
        activation: Said = "tanh",
        initial_hidden: npt.ArrayLike | None = None,
        reverse: bool = False,
    ) -> None:
        weight_ih, H = stacked(weight_ih, 1)
        self._freeze(
            {
                "weight_ih": (weight_ih, (H, "input_size")),
                "weight_hh": (weight_hh, (H, H)),
                "bias": (bias, (H,)),
                "initial_hidden": (initial_hidden, (H,)),
            },
            activation=to_elementwise("activation", activation).said,
            reverse=to_flag("reverse", reverse),
        )

    @cached_property
    def function(self) -> Elementwise:
        """The activation."""
        return to_elementwise("activation", self.activation)
