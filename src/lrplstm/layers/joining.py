"""Layers that read several others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lrplstm.copies import Copies
from lrplstm.layers.base import Form, Layer, Pass, register
from lrplstm.rules import EpsilonRule
from lrplstm.weights import Array

__all__ = ["Add", "Concatenate"]


@register
@dataclass(frozen=True, eq=False, repr=False)
class Concatenate(Layer):
    """The outputs of several layers beside each other.

    Each gets back what its own numbers get. Parameters: name and reads, as of every `Layer`.
    """

    kind: ClassVar[str] = "concatenate"

    def form(self, inputs: Sequence[Form]) -> Form:
        """Return what its output is."""
        _same_rows(inputs)
        return inputs[0]._replace(size=sum(one.size for one in inputs))

    def forward(self, inputs: tuple[Array, ...], offsets: tuple[Array, ...]) -> Array:
        """Return the output; see `Operation`."""
        return np.concatenate(inputs, axis=1)

    def relevance(
        self, past: Pass, relevance: Array, rule: EpsilonRule, product_rule: str
    ) -> tuple[Array, ...]:
        """Return the relevance of each input; see `Operation`."""
        return self.gradient(past, relevance)

    def gradient(self, past: Pass, gradient: Array) -> tuple[Array, ...]:
        """Return the gradient of each input; see `Operation`."""
        ends = np.cumsum([x.shape[1] for x in past.inputs])
        return tuple(np.ascontiguousarray(g) for g in np.split(gradient, ends[:-1], axis=-1))

    def decompose(self, past: Pass, relevant: tuple[Array, ...], copies: Copies) -> Array:
        """Return the relevant part of the output; see `Operation`."""
        return np.concatenate(relevant, axis=1)


@register
@dataclass(frozen=True, eq=False, repr=False)
class Add(Layer):
    """The sum of the outputs of several layers, as of a connection that skips some.

    Relevance goes through it by the epsilon rule, with identity weights and without bias.
    Parameters: name and reads, as of every `Layer`.
    """

    kind: ClassVar[str] = "add"

    def form(self, inputs: Sequence[Form]) -> Form:
        """Return what its output is."""
        _same_rows(inputs)
        sizes = [one.size for one in inputs]
        if len(set(sizes)) > 1:
            raise ValueError(f"expected outputs of one size, got {', '.join(map(str, sizes))}")
        return inputs[0]

    def forward(self, inputs: tuple[Array, ...], offsets: tuple[Array, ...]) -> Array:
        """Return the output; see `Operation`."""
        total = inputs[0]
        for other in inputs[1:]:
            total = total + other
        return total

    def relevance(
        self, past: Pass, relevance: Array, rule: EpsilonRule, product_rule: str
    ) -> tuple[Array, ...]:
        """Return the relevance of each input; see `Operation`."""
        z = past.output
        q = rule.quotient(z, relevance)
        share = rule.share(q, z, 0.0, len(past.inputs) * z.shape[1])[..., np.newaxis]
        return tuple(y * q + share for y in past.inputs)

    def gradient(self, past: Pass, gradient: Array) -> tuple[Array, ...]:
        """Return the gradient of each input; see `Operation`."""
        return (gradient,) * len(past.inputs)

    def decompose(self, past: Pass, relevant: tuple[Array, ...], copies: Copies) -> Array:
        """Return the relevant part of the output; see `Operation`."""
        return self.forward(relevant, past.offsets)


def _same_rows(inputs: Sequence[Form]) -> None:
    if len({one.steps for one in inputs}) > 1:
        raise ValueError("expected to read either steps or rows of sequences, got both")
    axes = list(dict.fromkeys(one.axis for one in inputs))
    if len(axes) > 1:
        raise ValueError(f"expected to read the same steps, got {axes[0]} and {axes[1]}")
