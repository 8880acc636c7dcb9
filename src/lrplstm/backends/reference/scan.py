"""The scan over the steps of a recurrent layer, forward and back; it knows no cell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from lrplstm.backends.reference import gru, lstm, rnn
from lrplstm.cells import GRUWeights, RNNWeights
from lrplstm.parallel import look
from lrplstm.rules import PRODUCT_RULES, EpsilonRule
from lrplstm.scans import DecomposeResult, ForwardResult, GradientResult, LRPResult
from lrplstm.weights import Array, CellWeights, LSTMWeights

__all__ = [
    "CELLS",
    "bytes_per_step",
    "decompose_scan",
    "forward_scan",
    "gradient_scan",
    "has_cell",
    "lrp_scan",
    "prepare_layer",
    "project",
]

CELLS: dict[type[Any], Any] = {LSTMWeights: lstm, GRUWeights: gru, RNNWeights: rnn}
"""The steps of each cell, by the type of its weights: functions `step`, `relevance`, `gradient` and
`decompose`. The first of a cell's states is h."""


class Direction(NamedTuple):
    """One direction of a layer, and where it stands in what belongs to the layer.

    `states` are the columns of each of its states, which may be of several widths, h first.
    """

    weights: Any
    cell: Any
    reverse: bool
    states: tuple[slice, ...]
    projection: slice


class Trace(NamedTuple):
    """What the way back reads of a layer: of each direction what its cell keeps of each step."""

    layer: list[Direction]
    projection: Array
    rows: Array
    offsets: Array
    directions: list[list[Any]]
    started: bool


def has_cell(directions: Sequence[CellWeights]) -> bool:
    """Whether there are steps of the cell of a layer's directions."""
    return all(type(weights) in CELLS for weights in directions)


def prepare_layer(directions: Sequence[CellWeights]) -> list[Direction]:
    """Return a recurrent layer; see `lrplstm.scans`."""
    layer: list[Direction] = []
    widths, columns = [0] * len(directions[0].initial_states), 0
    for d, weights in enumerate(directions):
        rows, states = len(weights.weight_ih), []
        for number, state in enumerate(weights.initial_states):
            states.append(slice(widths[number], widths[number] + len(state)))
            widths[number] += len(state)
        layer.append(
            Direction(
                weights,
                CELLS[type(weights)],
                reverse=weights.reverse or d == 1,
                states=tuple(states),
                projection=slice(columns, columns + rows),
            )
        )
        columns += rows
    return layer


def bytes_per_step(layer: list[Direction]) -> int:
    """Return about how much a step takes: its projection, all its gates, and its states."""
    sizes = [3 * len(one.weights.weight_ih) + 4 * one.weights.hidden_size for one in layer]
    return sum(sizes) * layer[0].weights.dtype.itemsize


def _widths(layer: list[Direction]) -> list[int]:
    """Return the width of each state, all directions together."""
    return [columns.stop for columns in layer[-1].states]


def project(layer: list[Direction], x: Array) -> Array:
    """Return W_ih x of all directions, beside each other; see `lrplstm.scans`."""
    # Row by row, so that no row has other bits in another batch.
    of_directions = [[direction.weights.weight_ih @ x_t for x_t in x] for direction in layer]
    return np.concatenate(of_directions, axis=1)


def _steps(offsets: Array, reverse: bool) -> Iterator[tuple[int, list[int]]]:
    """Yield each sequence's number and its steps in the order in which they are read."""
    for b, (start, stop) in enumerate(pairwise(offsets)):
        look()
        steps = list(range(start, stop))
        yield b, steps[::-1] if reverse else steps


def forward_scan(
    layer: list[Direction],
    projection: Array,
    rows: Array,
    offsets: Array,
    keep: str,
    hidden: bool,
    start: tuple[Array, ...] | None = None,
) -> ForwardResult:
    """Run the cell over every sequence; see `lrplstm.scans`."""
    widths, dtype = _widths(layer), projection.dtype
    finals = tuple(np.empty((len(offsets) - 1, width), dtype) for width in widths)
    all_states = tuple(np.empty((len(rows), width), dtype) for width in widths)
    kept: list[list[Any]] = [[None] * len(rows) for _ in layer]
    for (weights, cell, reverse, of_direction, projected), own in zip(layer, kept, strict=True):
        W_x = projection[rows, projected]
        for b, steps in _steps(offsets, reverse):
            if start is None:
                states = weights.initial_states
            else:
                given = zip(start, of_direction, strict=True)
                states = tuple(state[b, own_columns] for state, own_columns in given)
            for t in steps:
                states, own[t] = cell.step(weights, W_x[t], states)
                for of_all, columns, state in zip(all_states, of_direction, states, strict=True):
                    of_all[t, columns] = state
            for final, columns, state in zip(finals, of_direction, states, strict=True):
                final[b, columns] = state
    trace = Trace(layer, projection, rows, offsets, kept, start is not None)
    return ForwardResult(
        finals[0],
        all_states[0] if hidden else None,
        None if keep in ("nothing", "states") else trace,
        all_states if keep == "states" else None,
        finals[1:],
    )


def _started(trace: Trace, final: Any, hidden: Any, others: tuple[Any, ...]) -> Array:
    """Return what starts at each step, (K, steps, width), given that of final and all states."""
    if hidden is None:
        K, dtype = next((len(R), R.dtype) for R in (final, *others) if R is not None)
        started = np.zeros((K, len(trace.rows), _widths(trace.layer)[0]), dtype)
    else:
        started = np.array(hidden)
    if final is not None:
        for direction in trace.layer:
            last = trace.offsets[:-1] if direction.reverse else trace.offsets[1:] - 1
            h = direction.states[0]
            started[:, last, h] += final[..., h]
    return started


def _nothing(direction: Direction, K: int, dtype: np.dtype[Any]) -> tuple[Array, ...]:
    """Return zeros for each state of a cell, (K, H)."""
    return tuple(np.zeros((K, len(state)), dtype) for state in direction.weights.initial_states)


def _at_end(
    direction: Direction, nothing: tuple[Array, ...], others: tuple[Any, ...], sequence: int
) -> tuple[Array, ...]:
    """Return what starts at the final states of a sequence, at those of h with its last step."""
    of_h, *rest = nothing
    given = zip(rest, others or [None] * len(rest), direction.states[1:], strict=True)
    return of_h, *(zero if R is None else R[:, sequence, own] for zero, R, own in given)


def lrp_scan(
    trace: Trace,
    final_relevance: Array | None,
    hidden_relevance: Array | None,
    inputs: Array | None,
    rule: EpsilonRule,
    product_rule: str,
    others: tuple[Any, ...] = (),
) -> LRPResult:
    """Run relevance back over every sequence; see `lrplstm.scans`."""
    started = _started(trace, final_relevance, hidden_relevance, others)
    share_product = PRODUCT_RULES[product_rule]
    (K, n, _), dtype = started.shape, started.dtype
    token = np.zeros((K, n), dtype)
    B = len(trace.offsets) - 1
    initial = np.zeros((K, B), dtype)
    states = tuple(np.zeros((K, B, width), dtype) for width in _widths(trace.layer))
    R_x = None if inputs is None else np.zeros((K, *inputs.shape), dtype)
    for direction, kept in zip(trace.layer, trace.directions, strict=True):
        weights, cell, reverse, of_direction, columns = direction
        W_x, D = trace.projection[trace.rows, columns], weights.input_size
        for sequence, steps in _steps(trace.offsets, reverse):
            R_h, *R_others = _at_end(direction, _nothing(direction, K, dtype), others, sequence)
            for t in reversed(steps):
                after = (R_h + started[:, t, of_direction[0]], *R_others)
                (R_h, *R_others), q, share = cell.relevance(
                    weights, kept[t], after, rule, share_product
                )
                if R_x is not None and inputs is not None:
                    R_x[:, t] += inputs[t] * (q @ weights.weight_ih) + share
                # The sum over D of that, without its D parts.
                token[:, t] += q @ W_x[t] + np.broadcast_to(share, (K, D)).sum(axis=1)
            initial[:, sequence] += sum(R.sum(axis=-1) for R in (R_h, *R_others))
            for of_state, own, R in zip(states, of_direction, (R_h, *R_others), strict=True):
                of_state[:, sequence, own] = R
    return LRPResult(token if R_x is None else None, R_x, initial, states if trace.started else ())


def gradient_scan(
    trace: Trace,
    final_gradient: Array | None,
    hidden_gradient: Array | None,
    times_input: bool,
    others: tuple[Any, ...] = (),
    *,
    times: tuple[Array, Array] | None = None,
) -> GradientResult:
    """Run gradients back over every sequence; see `lrplstm.scans`."""
    started = _started(trace, final_gradient, hidden_gradient, others)
    (K, n, _), dtype = started.shape, started.dtype
    D = trace.layer[0].weights.input_size
    token = np.zeros((K, n), dtype) if times_input else None
    dx = None if times_input else np.zeros((K, n, D), dtype)
    widths = _widths(trace.layer)
    of_h, of_c = widths if len(widths) == 2 else widths * 2  # zeros where there is no c
    initial = [np.zeros((K, len(trace.offsets) - 1, width), dtype) for width in (of_h, of_c)]
    for direction, kept in zip(trace.layer, trace.directions, strict=True):
        weights, cell, reverse, of_direction, columns = direction
        projection, rows = (trace.projection, trace.rows) if times is None else times
        W_x = projection[rows, columns]
        for sequence, steps in _steps(trace.offsets, reverse):
            dh, *d_others = _at_end(direction, _nothing(direction, K, dtype), others, sequence)
            for t in reversed(steps):
                after = (dh + started[:, t, of_direction[0]], *d_others)
                (dh, *d_others), da = cell.gradient(weights, kept[t], after)
                if dx is not None:
                    dx[:, t] += da @ weights.weight_ih
                if token is not None:
                    token[:, t] += da @ W_x[t]  # x . (W_ih.T @ da), the other way round
            for of_state, own, found in zip(initial, of_direction, (dh, *d_others), strict=False):
                of_state[:, sequence, own] = found
    return GradientResult(token, dx, *initial)


def decompose_scan(
    trace: Trace,
    owner: Array,
    relevant: Array,
    rows: Array,
    phrase: Array,
    offsets: Array,
    hidden: bool,
    start: tuple[Array, ...] | None = None,
) -> DecomposeResult:
    """Follow the part of the states that comes from some inputs; see `lrplstm.scans`."""
    widths, dtype = _widths(trace.layer), relevant.dtype
    finals = tuple(np.empty((len(owner), width), dtype) for width in widths)
    h = np.empty((len(rows), widths[0]), dtype)
    for direction, kept in zip(trace.layer, trace.directions, strict=True):
        weights, cell, reverse, of_direction, columns = direction
        originals = dict(_steps(trace.offsets, reverse))
        for copy, steps in _steps(offsets, reverse):
            if start is None:
                beta = tuple(state[0] for state in _nothing(direction, 1, dtype))
            else:
                given = zip(start, of_direction, strict=True)
                beta = tuple(state[copy, own] for state, own in given)
            read = originals[int(owner[copy])][-len(steps) :]
            for t, original in zip(steps, read, strict=True):
                W_x = relevant[rows[t], columns]
                beta = cell.decompose(weights, kept[original], W_x, beta, bool(phrase[t]))
                h[t, of_direction[0]] = beta[0]
            for final, own, state in zip(finals, of_direction, beta, strict=True):
                final[copy, own] = state
    return DecomposeResult(finals[0], h if hidden else None, finals[1:])
