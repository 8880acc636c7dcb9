"""Maxima and means over windows of steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lrplstm.checks import check_choice, to_flag, to_int
from lrplstm.copies import Copies
from lrplstm.layers.base import Form, Layer, Pass, register
from lrplstm.layers.windows import Padding, Rows, Windows, gather, scatter
from lrplstm.rules import EpsilonRule
from lrplstm.sequences import MOST_STEPS
from lrplstm.texts import shown
from lrplstm.weights import Array

__all__ = ["WindowPool"]


@register
@dataclass(frozen=True, eq=False, repr=False)
class WindowPool(Layer):
    """The maximum or mean of each window of steps.

    Of a maximum the first step that has it gets all relevance. Through a mean it goes by the
    epsilon rule with weights 1 / k and without bias.

    Parameters
    ----------
    pooling : {"max", "mean"}
        What is taken of a window.
    window : int
        How many steps a window has.
    stride : int, optional
        How far apart two windows are. Default: as many as a window has steps.
    padding : {"valid", "same", "causal"}, or (int, int)
        As of `Convolution`. A maximum ignores it.
    dilation : int
        How far apart two steps of a window are.
    count_padding : bool
        Whether a mean counts padding as zeros: k is then the window, else what is inside of it.
        PyTorch does so by default, Keras and ONNX do not.
    round_up : bool
        Whether there is a last window that reaches behind the end: PyTorch's and ONNX's ceil_mode.
    name : str, optional
        By which others read it.
    reads : sequence of str, optional
        Names of the layers that it reads. Default: the one before it.

    Examples
    --------
    >>> import lrplstm
    >>> lrplstm.layers.WindowPool("max", 2, padding="same").describe()
    'window_pool, max, window 2, stride 2, padding same'
    """

    kind: ClassVar[str] = "window_pool"
    pooling: str
    window: int
    stride: int | None = None
    padding: Padding = "valid"
    dilation: int = 1
    count_padding: bool = False
    round_up: bool = False

    def __post_init__(self) -> None:
        check_choice("pooling", self.pooling, ("max", "mean"))
        self._set(window=to_int("window", self.window, 1, MOST_STEPS))
        self._set(count_padding=to_flag("count_padding", self.count_padding))
        self._set(round_up=to_flag("round_up", self.round_up))
        if self.stride is None:
            self._set(stride=self.window)
        windows = self.windows
        self._set(padding=windows.padding, stride=windows.stride, dilation=windows.dilation)
        around = windows.padding if isinstance(windows.padding, tuple) else (0, 0)
        if max(around) >= windows.span:
            raise ValueError(
                f"padding: expected less than a window, {windows.span}, got {max(around)}"
            )
        if self.round_up and windows.stride + around[1] > windows.span:
            raise ValueError(
                "round_up: expected stride and padding behind of together at most the window, "
                f"{windows.span}, got {windows.stride + around[1]}"
            )
        super().__post_init__()

    @property
    def windows(self) -> Windows:
        """How its windows lie over a sequence."""
        return Windows.checked(self.window, self.stride, self.dilation, self.padding, self.round_up)

    def form(self, inputs: Sequence[Form]) -> Form:
        """Return what its output is."""
        size, axis = self.of_steps(inputs)
        return Form(size, self.windows.axis(axis))

    def lengths(self, lengths: tuple[Array, ...]) -> Array:
        """Return how many steps of each sequence its output has."""
        return self.windows.lengths(lengths[0])

    def describe(self) -> str:
        """Return in a line what it is."""
        parts = [self.pooling, f"window {self.window}", f"stride {self.stride}"]
        parts += [] if self.padding == "valid" else [f"padding {self.padding}"]
        parts += [] if self.dilation == 1 else [f"dilation {self.dilation}"]
        parts += ["padding counts"] if self.count_padding else []
        parts += ["rounded up"] if self.round_up else []
        return ", ".join([self.kind, *parts])

    def forward(self, inputs: tuple[Array, ...], offsets: tuple[Array, ...]) -> Array:
        """Return the output; see `Operation`."""
        rows = self.windows.rows(offsets[0])
        if not rows.inside.all():  # only steps far from each other can all be outside
            raise ValueError(
                f"inputs: layer {shown(self.name)}: expected at least {self.dilation} steps, so "
                "that no window lies in padding alone"
            )
        if self.pooling == "max":
            return gather(inputs[0], rows.rows, -np.inf).max(axis=1)
        return self._mean(inputs[0], rows)

    def _mean(self, x: Array, rows: Rows) -> Array:
        return gather(x, rows.rows).sum(axis=1) / self._number(x, rows)[:, 0]

    def _number(self, x: Array, rows: Rows) -> Array:
        """Return of how many numbers each mean is, (n, 1, 1)."""
        number = rows.counted if self.count_padding else rows.inside
        return number.astype(x.dtype)[:, np.newaxis, np.newaxis]

    def _winner(self, past: Pass, rows: Rows) -> Array:
        """Return whether each number of a window is its maximum, the first of several."""
        winner = gather(past.inputs[0], rows.rows, -np.inf).argmax(axis=1)
        return winner[:, np.newaxis] == np.arange(self.window)[:, np.newaxis]

    def relevance(
        self, past: Pass, relevance: Array, rule: EpsilonRule, product_rule: str
    ) -> tuple[Array, ...]:
        """Return the relevance of the input; see `Operation`."""
        if self.pooling == "max":
            return self.gradient(past, relevance)
        (x,), z, (offsets,), _ = past
        rows = self.windows.rows(offsets)
        q = rule.quotient(z, relevance)
        units = (rows.inside * x.shape[1]).astype(x.dtype)
        share = rule.share(q, z, 0.0, units)[..., np.newaxis, np.newaxis]
        y = gather(x, rows.rows) / self._number(x, rows)
        return (scatter(y * q[:, :, np.newaxis] + share, rows.rows, len(x)),)

    def gradient(self, past: Pass, gradient: Array) -> tuple[Array, ...]:
        """Return the gradient of the input; see `Operation`."""
        (x,), _, (offsets,), _ = past
        rows = self.windows.rows(offsets)
        spread = np.repeat(gradient[:, :, np.newaxis], self.window, axis=2)
        if self.pooling == "max":
            return (scatter(spread * self._winner(past, rows), rows.rows, len(x)),)
        return (scatter(spread / self._number(x, rows), rows.rows, len(x)),)

    def decompose(self, past: Pass, relevant: tuple[Array, ...], copies: Copies) -> Array:
        """Return the relevant part of the output; see `Operation`."""
        rows = self.windows.rows(copies.offsets_like(past.offsets[0]))
        if self.pooling == "mean":
            return self._mean(relevant[0], rows)
        # Of the step that won.
        winner = self._winner(past, self.windows.rows(past.offsets[0]))
        of_copies = copies.take(winner, past.output_offsets)
        return (gather(relevant[0], rows.rows) * of_copies).sum(axis=1)
