"""Copies of sequences of which one step is changed, or followed, from that step on.

Before the step the states of a copy are those of its sequence, in either direction. So the first
recurrent layer, if it alone reads the inputs, goes over what comes after it only: over half of the
steps, on average, and with the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lrplstm import network
from lrplstm.copies import Copies, remaining
from lrplstm.network import ForwardPass, Reading
from lrplstm.prepared import Scan
from lrplstm.weights import Array

__all__ = ["Followed", "Resumed"]

_ROOM = 256  # more than a group has of copies, but of very short sequences


_Entered = tuple[Any, Array]
"""States of the layer: h_t of every step, or None where nobody reads it, and final ones."""


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
        Of a network whose inputs one recurrent layer reads alone, with its "states".
    entry : Scan
        That layer.
    """

    def __init__(self, past: ForwardPass, entry: Scan) -> None:
        self._past, self._entry = past, entry
        reading = past.reading
        self._steps = len(reading.rows)
        of_sides = entry.of_sides(reading.projection.take(reading.rows, axis=0))
        self._sides = []
        for (weights, layer), columns, run in zip(entry.sides, of_sides, past.sides, strict=True):
            # With room behind it for what copies read instead.
            projection = np.empty((self._steps + _ROOM, columns.shape[1]), columns.dtype)
            projection[: self._steps] = columns
            states = tuple(
                np.concatenate([state, before[np.newaxis]])
                for state, before in zip(run.states, weights.initial_states, strict=True)
            )
            self._sides.append(_Side(layer, weights.reverse, projection, states))

    def forward(self, copies: Copies, step: Array, changed: Array) -> ForwardPass:
        """Run copies that read `changed`, (n, columns), at one `step` each, (n,), of the part."""
        of_sides = self._entry.of_sides(changed)
        both = zip(self._sides, of_sides, strict=True)
        entered = _beside([self._run(side, copies, step, columns) for side, columns in both])
        others = tuple(rows.of_copies(copies) for rows in self._past.reading.others)
        reading = Reading(copies.offsets, changed, copies.steps, None, others)
        return network.forward(self._past.prepared, reading, "nothing", entered)

    def _run(self, side: _Side, copies: Copies, step: Array, changed: Array) -> _Entered:
        """Return the states of one direction."""
        offsets, wanted = self._past.offsets, self._entry.wanted
        if side.reverse:
            before, at_edge = step + 1, step + 1 == offsets[copies.owner + 1]
        else:
            before, at_edge = step - 1, step == offsets[copies.owner]
        projection, read = side.projection, self._steps + len(changed)
        if read > len(projection):
            projection = np.concatenate([projection[: self._steps], changed])
        else:
            projection[self._steps : read] = changed
        onward = remaining(copies, step, offsets, side.reverse)
        from_states = np.where(at_edge, self._steps, before)[onward.order]
        rows = onward.steps.copy()
        rows[onward.first] = self._steps + onward.order
        run = self._entry.scans.forward_scan(
            side.layer,
            projection,
            rows,
            onward.offsets,
            "nothing",
            wanted,
            tuple(state.take(from_states, axis=0) for state in side.states),
        )
        final = np.empty_like(run.final)
        final[onward.order] = run.final
        if not wanted:
            return None, final
        hidden = side.states[0].take(copies.steps, axis=0)
        hidden[onward.rows(copies, offsets)] = run.hidden
        return hidden, final


class Followed:
    """The gates of the sequences of a forward pass, through which parts of their inputs go.

    Before the step that is followed no part of a state is relevant.

    Parameters
    ----------
    past : ForwardPass
        Of a network whose inputs one recurrent layer reads alone, with its "parts".
    entry : Scan
        That layer.
    """

    def __init__(self, past: ForwardPass, entry: Scan) -> None:
        self._past, self._entry = past, entry
        sides = zip(entry.sides, past.sides, strict=True)
        self._sides = [(weights.reverse, run.trace) for (weights, _), run in sides]

    def through_entry(self, copies: Copies, step: Array, relevant: Array) -> _Entered:
        """Return the relevant parts of the layer's states.

        Each copy has `relevant`, (n + 1, columns), at one `step` of the part, (n,), and the last
        row, in which nothing is, at all others.
        """
        ran = []
        of_sides = self._entry.of_sides(relevant)
        for (reverse, trace), columns in zip(self._sides, of_sides, strict=True):
            onward = remaining(copies, step, self._past.offsets, reverse)
            rows = np.full(len(onward.steps), len(step))
            rows[onward.first] = onward.order
            phrase = np.zeros(len(rows), bool)
            phrase[onward.first] = True
            found = self._entry.scans.decompose_scan(
                trace,
                copies.owner[onward.order],
                columns,
                rows,
                phrase,
                onward.offsets,
                self._entry.wanted,
            )
            final, hidden = np.empty_like(found.final), None
            final[onward.order] = found.final
            if self._entry.wanted:
                hidden = np.zeros((len(copies.steps), final.shape[1]), final.dtype)
                hidden[onward.rows(copies, self._past.offsets)] = found.hidden
            ran.append((hidden, final))
        return _beside(ran)


def _beside(directions: Sequence[_Entered]) -> _Entered:
    """Return the states of all directions beside each other."""
    hidden, final = zip(*directions, strict=True)
    return (
        None if hidden[0] is None else np.concatenate(hidden, axis=1),
        np.concatenate(final, axis=1),
    )
