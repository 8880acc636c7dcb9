"""Poolings: one row for each sequence, made of the rows of its steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lrplstm.checks import check_choice
from lrplstm.copies import Copies
from lrplstm.layers.base import Form, Layer, Operation, Pass, register
from lrplstm.rules import EpsilonRule
from lrplstm.scans import Scans
from lrplstm.weights import Array

__all__ = ["POOLINGS", "Pool"]

POOLINGS = ("last", "mean", "max", "none")
"""What the head reads: the final state of each direction, the mean or maximum over all steps, or
the state of each step by itself."""


@register
@dataclass(frozen=True, eq=False, repr=False)
class Pool(Layer):
    """One row for each sequence, made of the rows of its steps.

    Parameters
    ----------
    pooling : {"last", "mean", "max", "sum"}
        The mean, maximum or sum over all steps; or the last: of a recurrent layer the state that
        each direction reaches, of others the last step.
    name : str, optional
        By which others read it.
    reads : sequence of str, optional
        Names of the layers that it reads. Default: the one before it.

    Examples
    --------
    >>> import numpy as np
    >>> import lrplstm
    >>> from lrplstm.layers import Pool
    >>> layers = [lrplstm.DenseLayer(np.eye(2)), Pool("mean")]
    >>> model = lrplstm.Model(layers)
    >>> model.predict(np.arange(6.0).reshape(3, 2)).tolist()
    [2.0, 3.0]
    """

    kind: ClassVar[str] = "pool"
    pooling: str

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("pooling", self.pooling, (*POOLINGS[:-1], "sum"))

    def form(self, inputs: Sequence[Form]) -> Form:
        """Return what its output is."""
        size, _ = self.of_steps(inputs)
        return Form(size, None)

    def prepare(self, scans: Scans) -> tuple[Operation, ...]:
        """Return what a backend does for it."""
        if self.pooling in ("mean", "max"):
            return (_Pool(scans, self.pooling),)
        return (_Last() if self.pooling == "last" else _Sum(),)


class _Pool(Operation):
    """The mean or maximum over steps, as a backend computes it."""

    def __init__(self, scans: Scans, pooling: str) -> None:
        self.scans, self.pooling = scans, pooling

    def forward(self, inputs: tuple[Array, ...], offsets: tuple[Array, ...]) -> Array:
        return self.scans.pool(self.pooling, inputs[0], offsets[0])

    def relevance(
        self, past: Pass, relevance: Array, rule: EpsilonRule, product_rule: str
    ) -> tuple[Array, ...]:
        (x,), pooled, (offsets,), _ = past
        return (self.scans.pool_lrp(self.pooling, x, offsets, pooled, relevance, rule),)

    def gradient(self, past: Pass, gradient: Array) -> tuple[Array, ...]:
        (x,), _, (offsets,), _ = past
        return (self.scans.pool_gradient(self.pooling, x, offsets, gradient),)

    def decompose(self, past: Pass, relevant: tuple[Array, ...], copies: Copies) -> Array:
        ((x,), _, (offsets,), _), (y,) = past, relevant
        own = copies.offsets_like(offsets)
        if self.pooling == "mean":
            return self.scans.pool("mean", y, own)
        # Of the step that won.
        of_each = np.split(x, offsets[1:-1])
        winners = np.array([states.argmax(axis=0) for states in of_each])
        first = own[:-1, np.newaxis]
        return np.take_along_axis(y, first + winners[copies.owner], axis=0)


class _Sum(Operation):
    """The sum over steps: epsilon rule with weights 1, without bias, N = T * K."""

    def forward(self, inputs: tuple[Array, ...], offsets: tuple[Array, ...]) -> Array:
        return np.add.reduceat(inputs[0], offsets[0][:-1], axis=0)

    def relevance(
        self, past: Pass, relevance: Array, rule: EpsilonRule, product_rule: str
    ) -> tuple[Array, ...]:
        (x,), z, (offsets,), _ = past
        lengths = np.diff(offsets)
        q = rule.quotient(z, relevance)
        share = rule.share(q, z, 0.0, (lengths * x.shape[1]).astype(x.dtype))[..., np.newaxis]
        return (x * np.repeat(q, lengths, axis=1) + np.repeat(share, lengths, axis=1),)

    def gradient(self, past: Pass, gradient: Array) -> tuple[Array, ...]:
        return (np.repeat(gradient, np.diff(past.offsets[0]), axis=1),)

    def decompose(self, past: Pass, relevant: tuple[Array, ...], copies: Copies) -> Array:
        return self.forward(relevant, (copies.offsets_like(past.offsets[0]),))


class _Last(Operation):
    """The last step of each sequence."""

    def forward(self, inputs: tuple[Array, ...], offsets: tuple[Array, ...]) -> Array:
        last: Array = inputs[0][offsets[0][1:] - 1]
        return last

    def relevance(
        self, past: Pass, relevance: Array, rule: EpsilonRule, product_rule: str
    ) -> tuple[Array, ...]:
        return self.gradient(past, relevance)

    def gradient(self, past: Pass, gradient: Array) -> tuple[Array, ...]:
        (x,), _, (offsets,), _ = past
        of_steps = np.zeros((len(gradient), *x.shape), gradient.dtype)
        of_steps[:, offsets[1:] - 1] = gradient
        return (of_steps,)

    def decompose(self, past: Pass, relevant: tuple[Array, ...], copies: Copies) -> Array:
        return self.forward(relevant, (copies.offsets_like(past.offsets[0]),))
