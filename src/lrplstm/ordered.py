"""Scans over sequences in any order, by a backend that wants the longest first.

The sequences of a part are sorted by the steps of the first input; those of another input, or of
what is put together of several, have lengths of their own.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from lrplstm.rules import EpsilonRule
from lrplstm.scans import DecomposeResult, ForwardResult, GradientResult, LRPResult, Scans
from lrplstm.sequences import rows_of
from lrplstm.weights import Array

__all__ = ["Ordered"]


class _Order(NamedTuple):
    """Sequences, the longest first.

    Attributes
    ----------
    sequences : ndarray of shape (B,)
        Which each of them is.
    steps : ndarray
        Which step of all each of their steps is.
    offsets : ndarray of shape (B + 1,)
        Where each begins in these, and where the last ends.
    """

    sequences: Array
    steps: Array
    offsets: Array

    @classmethod
    def of(cls, offsets: Array) -> _Order:
        """Return the order of sequences that begin at these offsets."""
        sequences = np.argsort(-np.diff(offsets), kind="stable")
        return cls(sequences, *rows_of(sequences, offsets))

    def steps_back(self, values: Any, axis: int = 0) -> Any:
        """Return rows of steps, or None, as they were."""
        return _back(values, self.steps, axis)

    def back(self, values: Any, axis: int = 0) -> Any:
        """Return rows of sequences, or None, as they were."""
        return _back(values, self.sequences, axis)


def _back(values: Any, places: Array, axis: int) -> Any:
    if values is None:
        return None
    found = np.empty_like(values)
    found[(slice(None),) * axis + (places,)] = values
    return found


def _taken(values: Any, places: Array, axis: int = 0) -> Any:
    return None if values is None else np.take(values, places, axis=axis)


class Ordered:
    """A backend that takes sequences in any order; see `lrplstm.scans` for its functions.

    Parameters
    ----------
    scans : Scans
        The backend.
    """

    def __init__(self, scans: Scans) -> None:
        self._scans = scans

    def __getattr__(self, name: str) -> Any:
        """Return what does not ask for the order of sequences, as the backend has it."""
        return getattr(self._scans, name)

    def pool(self, pooling: str, hidden: Array, offsets: Array) -> Array:
        """Return what is pooled of each sequence."""
        order = _Order.of(offsets)
        pooled: Array = order.back(self._scans.pool(pooling, hidden[order.steps], order.offsets))
        return pooled

    def pool_lrp(
        self,
        pooling: str,
        hidden: Array,
        offsets: Array,
        pooled: Array,
        relevance: Array,
        rule: EpsilonRule,
    ) -> Array:
        """Return the relevance of what was pooled."""
        order = _Order.of(offsets)
        found = self._scans.pool_lrp(
            pooling,
            hidden[order.steps],
            order.offsets,
            pooled[order.sequences],
            _taken(relevance, order.sequences, 1),
            rule,
        )
        back: Array = order.steps_back(found, 1)
        return back

    def pool_gradient(self, pooling: str, hidden: Array, offsets: Array, gradient: Array) -> Array:
        """Return the gradient of what was pooled."""
        order = _Order.of(offsets)
        gradient = _taken(gradient, order.sequences, 1)
        found = self._scans.pool_gradient(pooling, hidden[order.steps], order.offsets, gradient)
        back: Array = order.steps_back(found, 1)
        return back

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
        """Run the cell over every sequence."""
        order = _Order.of(offsets)
        if start is not None:
            start = tuple(state[order.sequences] for state in start)
        found = self._scans.forward_scan(
            layer, projection, rows[order.steps], order.offsets, keep, hidden, start
        )
        states = found.states and tuple(map(order.steps_back, found.states))
        return ForwardResult(
            order.back(found.final),
            order.steps_back(found.hidden),
            (order, found.trace),
            states,
            tuple(map(order.back, found.others)),
        )

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
        """Run relevance back over every sequence."""
        order, trace = trace
        found = self._scans.lrp_scan(
            trace,
            _taken(final_relevance, order.sequences, 1),
            _taken(hidden_relevance, order.steps, 1),
            _taken(inputs, order.steps),
            rule,
            product_rule,
            tuple(_taken(R, order.sequences, 1) for R in others),
        )
        return LRPResult(
            order.steps_back(found.token, 1),
            order.steps_back(found.inputs, 1),
            order.back(found.initial, 1),
            tuple(order.back(state, 1) for state in found.states),
        )

    def gradient_scan(
        self,
        trace: Any,
        final_gradient: Array | None,
        hidden_gradient: Array | None,
        times_input: bool,
        others: tuple[Any, ...] = (),
        times: tuple[Array, Array] | None = None,
    ) -> GradientResult:
        """Run gradients back over every sequence."""
        order, trace = trace
        if times is not None:
            times = times[0], times[1][order.steps]
        found = self._scans.gradient_scan(
            trace,
            _taken(final_gradient, order.sequences, 1),
            _taken(hidden_gradient, order.steps, 1),
            times_input,
            tuple(_taken(g, order.sequences, 1) for g in others),
            times=times,
        )
        return GradientResult(
            order.steps_back(found.token, 1),
            order.steps_back(found.inputs, 1),
            order.back(found.initial_hidden, 1),
            order.back(found.initial_cell, 1),
        )

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
        """Follow the part of the states that comes from some inputs."""
        before, trace = trace
        place = np.empty_like(before.sequences)
        place[before.sequences] = np.arange(len(place))
        order = _Order.of(offsets)
        if start is not None:
            start = tuple(state[order.sequences] for state in start)
        found = self._scans.decompose_scan(
            trace,
            place[owner[order.sequences]],
            relevant,
            rows[order.steps],
            phrase[order.steps],
            order.offsets,
            hidden,
            start,
        )
        return DecomposeResult(
            order.back(found.final),
            order.steps_back(found.hidden),
            tuple(map(order.back, found.others)),
        )
