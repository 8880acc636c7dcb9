"""Copies of sequences of which one step is changed, from the states that it began from.

Before the step the states of a copy are those of its sequence, in either direction. So the first
recurrent layer, if it alone reads the inputs, goes over what comes after it only: over half of the
steps, on average, and with the same numbers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from lrplstm import network
from lrplstm.copies import Copies
from lrplstm.network import ForwardPass, Reading, Scan
from lrplstm.sequences import to_offsets
from lrplstm.weights import Array

__all__ = ["Resumed"]

_ROOM = 256  # more than a group has of copies, but of very short sequences


class _Side(NamedTuple):
    """One direction of the layer, and what it read and came to.

    Attributes
    ----------
    layer : object
        The direction by itself, as the backend has it.
    reverse : bool
        Whether it reads from the last step to the first.
    projection : ndarray of shape (steps + room, columns)
        What it reads of each step; the room behind it is for what copies read instead.
    states : tuple of ndarray of shape (steps + 1, H)
        What they were after each, and in the last row before the first.
    """

    layer: Any
    reverse: bool
    projection: Array
    states: tuple[Array, ...]


class Resumed:
    """The states of the sequences of a forward pass, from which changed copies go on.

    Parameters
    ----------
    past : ForwardPass
        Of a network whose inputs one recurrent layer reads alone.
    entry : Scan
        That layer.
    """

    def __init__(self, past: ForwardPass, entry: Scan) -> None:
        self._past, self._entry = past, entry
        reading = past.reading
        rows = np.arange(len(reading.rows))
        of_sides = np.split(reading.projection[reading.rows], len(entry.directions), axis=1)
        self._sides = []
        self._steps = len(rows)
        for (weights, layer), columns in zip(entry.sides, of_sides, strict=True):
            # With room behind it for what copies read instead.
            projection = np.empty((len(rows) + _ROOM, columns.shape[1]), columns.dtype)
            projection[: len(rows)] = columns
            run = entry.scans.forward_scan(
                layer, projection, rows, reading.offsets, "states", hidden=False
            )
            initial = weights.initial_states
            states = tuple(
                np.concatenate([state, [before]])
                for state, before in zip(run.states, initial, strict=True)
            )
            side = _Side(layer, weights.reverse, projection, states)
            self._sides.append(side)

    def forward(self, copies: Copies, step: Array, changed: Array) -> ForwardPass:
        """Run copies that read `changed`, (n, columns), at one `step` each, (n,), of the part."""
        of_sides = np.split(changed, len(self._sides), axis=1)
        both = zip(self._sides, of_sides, strict=True)
        ran = [self._run(side, copies, step, columns) for side, columns in both]
        final = np.concatenate([final for final, _ in ran], axis=1)
        hidden = None
        if self._entry.wanted:
            hidden = np.concatenate([hidden for _, hidden in ran], axis=1)
        reading = Reading(copies.offsets, changed, copies.steps, None)
        return network.forward(self._past.prepared, reading, "nothing", (hidden, final))

    def _run(self, side: _Side, copies: Copies, step: Array, changed: Array) -> tuple[Array, Any]:
        """Return the final states of one direction, and where they are wanted h_t of each step."""
        offsets, wanted = self._past.offsets, self._entry.wanted
        start, stop = offsets[copies.owner], offsets[copies.owner + 1]
        if side.reverse:
            first, lengths, before, at_edge = start, step + 1 - start, step + 1, step + 1 == stop
        else:
            first, lengths, before, at_edge = step, stop - step, step - 1, step == start
        projection, read = side.projection, self._steps + len(changed)
        if read > len(projection):
            projection = np.concatenate([projection[: self._steps], changed])
        else:
            projection[self._steps : read] = changed
        # The longest first, as scans want them.
        order = np.argsort(-lengths, kind="stable")
        from_states = np.where(at_edge, self._steps, before)[order]
        own = to_offsets(lengths[order])
        place = np.arange(own[-1]) - np.repeat(own[:-1], lengths[order])
        rows = np.repeat(first[order], lengths[order]) + place
        rows[own[1:] - 1 if side.reverse else own[:-1]] = self._steps + order
        run = self._entry.scans.forward_scan(
            side.layer,
            projection,
            rows,
            own,
            "nothing",
            wanted,
            tuple(state[from_states] for state in side.states),
        )
        final = np.empty_like(run.final)
        final[order] = run.final
        if not wanted:
            return final, None
        hidden = side.states[0][copies.steps]
        hidden[np.repeat((copies.offsets[:-1] + first - start)[order], lengths[order]) + place] = (
            run.hidden
        )
        return final, hidden
