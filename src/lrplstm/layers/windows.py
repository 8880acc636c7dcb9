"""Windows over steps: what a convolution or a pooling reads for each step of its output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from lrplstm.checks import check_choice, to_int
from lrplstm.layers.base import Axis, check_lengths
from lrplstm.sequences import MOST_STEPS, to_offsets
from lrplstm.texts import shown
from lrplstm.weights import Array

__all__ = ["PADDINGS", "Padding", "Rows", "Windows", "gather", "scatter"]

PADDINGS = ("valid", "same", "causal")

Padding = str | Sequence[int]
"""One of `PADDINGS`, or how many steps are added before a sequence and behind it."""


class Rows(NamedTuple):
    """Which rows are in which window.

    Attributes
    ----------
    rows : ndarray of shape (n, window)
        What each of the n windows reads; one row more than there are where that is padding.
    inside : ndarray of shape (n,)
        How many of them are steps of the sequence.
    counted : ndarray of shape (n,)
        How many are such or padding; windows that are rounded up also reach behind that.
    """

    rows: Array
    inside: Array
    counted: Array


class Windows(NamedTuple):
    """How windows lie over a sequence.

    Attributes
    ----------
    window : int
        How many steps each reads.
    stride, dilation : int
        How far apart two windows are, and two steps in a window.
    padding : str, or (int, int)
        "valid": none; "same": so that there are ``length / stride`` windows, rounded up, the larger
        half behind; "causal": before the sequence, so that no window reads what is after it; or how
        many steps before and behind.
    round_up : bool
        Whether there is a last window that reaches behind the end.
    """

    window: int
    stride: int
    dilation: int
    padding: str | tuple[int, int]
    round_up: bool = False

    @classmethod
    def checked(
        cls, window: int, stride: object, dilation: object, padding: Any, round_up: bool = False
    ) -> Self:
        """Return windows of which all is checked."""
        if isinstance(padding, str):
            check_choice("padding", padding, PADDINGS)
        elif not isinstance(padding, Sequence) or len(padding) != 2:
            raise TypeError(
                f"padding: expected one of {', '.join(PADDINGS)} or two ints, got {shown(padding)}"
            )
        else:
            before, after = (to_int("padding", steps, 0, MOST_STEPS) for steps in padding)
            padding = before, after
        stride = to_int("stride", stride, 1, MOST_STEPS)
        dilation = to_int("dilation", dilation, 1, MOST_STEPS)
        return cls(window, stride, dilation, padding, round_up)

    @property
    def span(self) -> int:
        """How many steps there are from the first of a window to its last."""
        return (self.window - 1) * self.dilation + 1

    @property
    def _around(self) -> tuple[int, int] | None:
        """Steps that are added before and behind, None where that depends on the length."""
        if isinstance(self.padding, tuple):
            return self.padding
        return {"valid": (0, 0), "causal": (self.span - 1, 0)}.get(self.padding)

    def axis(self, axis: Axis) -> Axis:
        """Return which steps the windows are, over which of an input."""
        around = self._around
        if around is None:
            return axis.then(self.stride - 1, self.stride)
        rounding = self.stride - 1 if self.round_up else 0
        windows = axis.then(sum(around) - self.span + self.stride + rounding, self.stride)
        if windows.length is not None and windows.length < 1:
            raise ValueError(f"expected at least {self.span - sum(around)} steps, got {axis}")
        return windows

    def lengths(self, lengths: Array) -> Array:
        """Return how many windows each sequence has; those shorter than one are refused."""
        around = self._around
        if around is None:
            return (lengths + self.stride - 1) // self.stride
        free = lengths + sum(around) - self.span
        check_lengths(lengths, free >= 0, f"at least {self.span - sum(around)}")
        return (free + (self.stride - 1 if self.round_up else 0)) // self.stride + 1

    def rows(self, offsets: Array) -> Rows:
        """Return which rows are in which window, where sequences begin at `offsets`."""
        lengths = np.diff(offsets)
        counts = self.lengths(lengths)
        own, sequence = to_offsets(counts), np.repeat(np.arange(len(counts)), counts)
        if self._around is None:
            total = np.maximum((counts - 1) * self.stride + self.span - lengths, 0)
            before, after = total // 2, total - total // 2
        else:
            before, after = (np.full_like(lengths, steps) for steps in self._around)
        number = np.arange(own[-1]) - own[sequence]
        first = number * self.stride - before[sequence]
        position = first[:, np.newaxis] + np.arange(self.window) * self.dilation
        length = lengths[sequence, np.newaxis]
        inside = (position >= 0) & (position < length)
        counted = position < length + after[sequence, np.newaxis]
        rows = np.where(inside, offsets[sequence, np.newaxis] + position, offsets[-1])
        return Rows(rows, inside.sum(axis=1), counted.sum(axis=1))


def gather(x: Array, rows: Array, padding: float = 0.0) -> Array:
    """Return what windows read of x, (n, window, C); `padding` where there is nothing."""
    filled = np.concatenate([x, np.full_like(x[:1], padding)])
    windows: Array = filled[rows]
    return windows


def scatter(values: Array, rows: Array, steps: int) -> Array:
    """Return what each of so many steps gets, (K, steps, C), of values (K, n, window, C)."""
    got = np.zeros((len(values), steps + 1, values.shape[-1]), values.dtype)
    for place in range(rows.shape[1]):
        # No step is in two windows at the same place; what is padding gets in the last row is lost.
        got[:, rows[:, place]] += values[:, :, place]
    return got[:, :steps]
