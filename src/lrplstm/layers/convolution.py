"""Convolutions over steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lrplstm.checks import to_int
from lrplstm.copies import Copies
from lrplstm.layers.base import Form, Layer, Operation, Pass, register
from lrplstm.layers.windows import Padding, Windows, gather, scatter
from lrplstm.rules import EpsilonRule
from lrplstm.scans import Scans
from lrplstm.weights import Array, frozen, same_dtype

__all__ = ["Convolution"]


@register
@dataclass(frozen=True, eq=False, repr=False)
class Convolution(Layer):
    """A convolution over steps: each step of the output is a linear layer of a window of steps.

    Relevance goes through it by the epsilon rule; the lower units of a sum are those of its inputs
    that are inside the sequence. Where none are, in a window that lies in padding alone, there is
    nothing to hand relevance to: it is then in `delta`, whatever `bias_factor` is.

    Parameters
    ----------
    weight : array_like of shape (output_size, input_size / groups, window)
        As PyTorch has it: nothing is turned around.
    bias : array_like of shape (output_size,), optional
        Default: none.
    stride : int
        How far apart two windows are.
    padding : {"valid", "same", "causal"}, or (int, int)
        Zeros around a sequence: none; so many that there are length / stride windows, rounded up,
        the larger half behind (as in Keras, and for stride 1 in PyTorch); all before it, so that no
        window reads what is after it; or so many before and behind.
    dilation : int
        How far apart two steps in a window are.
    groups : int
        Into so many parts the units are divided, each of which reads its own inputs.
    name : str, optional
        By which others read it.
    reads : sequence of str, optional
        Names of the layers that it reads. Default: the one before it.

    Raises
    ------
    TypeError, ValueError
        If shapes, dtypes or settings do not fit together.

    Examples
    --------
    >>> import numpy as np
    >>> import lrplstm
    >>> layer = lrplstm.layers.Convolution(np.ones((4, 3, 5)), np.zeros(4), padding="same")
    >>> layer.describe()
    'convolution, 3 to 4, window 5, padding same, bias'
    """

    kind: ClassVar[str] = "convolution"
    weight: Array
    bias: Array | None = None
    stride: int = 1
    padding: Padding = "valid"
    dilation: int = 1
    groups: int = 1

    def __post_init__(self) -> None:
        weight = frozen("weight", self.weight, ("output_size", "input_size / groups", "window"))
        arrays = {"weight": weight}
        if self.bias is not None:
            arrays["bias"] = frozen("bias", self.bias, (len(weight),))
        same_dtype(arrays)
        groups = to_int("groups", self.groups, 1)
        if len(weight) % groups:
            raise ValueError(f"groups: expected a divisor of {len(weight)}, got {groups}")
        windows = Windows.checked(weight.shape[2], self.stride, self.dilation, self.padding)
        self._set(**arrays, groups=groups, padding=windows.padding)
        self._set(stride=windows.stride, dilation=windows.dilation)
        super().__post_init__()

    @property
    def windows(self) -> Windows:
        """How its windows lie over a sequence."""
        return Windows.checked(self.weight.shape[2], self.stride, self.dilation, self.padding)

    @property
    def input_size(self) -> int:
        """Number of units it reads of each step."""
        return int(self.weight.shape[1]) * self.groups

    def form(self, inputs: Sequence[Form]) -> Form:
        """Return what its output is."""
        super().form(inputs)
        _, axis = self.of_steps(inputs)
        return Form(len(self.weight), self.windows.axis(axis))

    def lengths(self, lengths: tuple[Array, ...]) -> Array:
        """Return how many steps of each sequence its output has."""
        return self.windows.lengths(lengths[0])

    def describe(self) -> str:
        """Return in a line what it is."""
        parts = [f"{self.input_size} to {len(self.weight)}", f"window {self.weight.shape[2]}"]
        for name, default in [("stride", 1), ("padding", None), ("dilation", 1), ("groups", 1)]:
            if getattr(self, name) != default:
                parts.append(f"{name} {getattr(self, name)}")
        parts.append("no bias" if self.bias is None else "bias")
        return ", ".join([self.kind, *parts])

    def prepare(self, scans: Scans) -> tuple[Operation, ...]:
        """Return what a backend does for it."""
        return (_Convolution(scans, self),)


class _Convolution(Operation):
    """A linear layer of each window, for each group, as a backend computes it."""

    def __init__(self, scans: Scans, layer: Convolution) -> None:
        self.scans, self.windows, self.groups = scans, layer.windows, layer.groups
        self.bias: Any = 0.0 if layer.bias is None else layer.bias
        self.prepared = []
        biases = [None] * self.groups if layer.bias is None else np.split(self.bias, self.groups)
        for weight, bias in zip(np.split(layer.weight, self.groups), biases, strict=True):
            of_window = np.ascontiguousarray(weight.transpose(0, 2, 1).reshape(len(weight), -1))
            self.prepared.append(scans.prepare_linear(of_window, bias))

    def forward(self, inputs: tuple[Array, ...], offsets: tuple[Array, ...]) -> Array:
        return self._sums(gather(inputs[0], self.windows.rows(offsets[0]).rows))

    def _sums(self, y: Array) -> Array:
        """Return all sums, (n, output_size), of windows (n, window, input_size)."""
        of_groups = np.split(y, self.groups, axis=2)
        sums = [
            self.scans.linear(linear, np.ascontiguousarray(part.reshape(len(y), -1)))
            for linear, part in zip(self.prepared, of_groups, strict=True)
        ]
        return sums[0] if self.groups == 1 else np.concatenate(sums, axis=1)

    def _back(self, q: Array, window: int) -> Array:
        """Return ``W.T @ q``, (K, n, window, input_size), of q (K, n, output_size)."""
        of_groups = [
            self.scans.linear_gradient(linear, np.ascontiguousarray(part))
            for linear, part in zip(self.prepared, np.split(q, self.groups, axis=2), strict=True)
        ]
        split = [part.reshape(*part.shape[:2], window, -1) for part in of_groups]
        return split[0] if self.groups == 1 else np.concatenate(split, axis=3)

    def relevance(
        self, past: Pass, relevance: Array, rule: EpsilonRule, product_rule: str
    ) -> tuple[Array, ...]:
        (x,), z, (offsets,), _ = past
        rows, inside, _ = self.windows.rows(offsets)
        q = rule.quotient(z, relevance)
        units = np.maximum(inside * (x.shape[1] // self.groups), 1).astype(x.dtype)
        R = gather(x, rows) * self._back(q, rows.shape[1])
        # Of each group its own sums, whose share its own inputs get.
        width = x.shape[1] // self.groups
        per_group = [np.split(values, self.groups, axis=-1) for values in (q, z)]
        biases = np.split(np.broadcast_to(self.bias, z.shape[1:]), self.groups)
        for g, (q_g, z_g, bias) in enumerate(zip(*per_group, biases, strict=True)):
            share = rule.share(q_g, z_g, bias, units)[..., np.newaxis, np.newaxis]
            R[..., g * width : (g + 1) * width] += share
        return (scatter(R, rows, len(x)),)

    def gradient(self, past: Pass, gradient: Array) -> tuple[Array, ...]:
        (x,), _, (offsets,), _ = past
        rows = self.windows.rows(offsets).rows
        return (scatter(self._back(gradient, rows.shape[1]), rows, len(x)),)

    def decompose(self, past: Pass, relevant: tuple[Array, ...], copies: Copies) -> Array:
        rows = self.windows.rows(copies.offsets_like(past.offsets[0])).rows
        y = gather(relevant[0], rows)
        return self._sums(y) - self._sums(np.zeros_like(y[:1]))
