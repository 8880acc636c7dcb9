"""A whole network, forward and back: the only loop over its layers.

Rows of every array are steps, the sequences of a part of the batch one after the other (see
`lrplstm.scans`), or the sequences; K is the number of targets that are explained at once.

What layers read and give lies in slots, see `lrplstm.prepared`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from lrplstm.copies import Copies
from lrplstm.layers import Pass
from lrplstm.prepared import Node, Prepared, Scan, Source
from lrplstm.scans import ForwardResult
from lrplstm.sequences import Batch, Part, one_row_each, rows_of
from lrplstm.weights import Array

__all__ = [
    "KEEP",
    "Descent",
    "ForwardPass",
    "Reading",
    "Rows",
    "decompose",
    "forward",
    "quiet",
    "read",
]


class Rows(NamedTuple):
    """What the network reads of some sequences beside their steps.

    Attributes
    ----------
    values : ndarray of shape (n, D)
    offsets : ndarray of shape (B + 1,)
        Where the sequences begin in these, and where the last ends.
    """

    values: Array
    offsets: Array

    def of_copies(self, copies: Copies) -> Rows:
        """Return the rows of copies of the sequences."""
        return Rows(copies.take(*self), copies.offsets_like(self.offsets))


class Reading(NamedTuple):
    """What the network reads of some sequences, the longest first.

    Attributes
    ----------
    offsets : ndarray of shape (B + 1,)
        Where each of them begins, and where the last ends.
    projection : ndarray
        What `Prepared.project` makes of x.
    rows : ndarray of shape (steps,)
        Which row of it each step reads.
    inputs : ndarray of shape (steps, D), or None
        x itself, where it is needed afterwards.
    others : tuple of Rows
        Of every other input.
    """

    offsets: Array
    projection: Array
    rows: Array
    inputs: Any
    others: tuple[Rows, ...] = ()


# Forward ----------------------------------------------------------------------------------------


class ForwardPass(NamedTuple):
    """What a forward pass leaves for the way back.

    Attributes
    ----------
    reading : Reading
    values : list of ndarray or None
        In each slot, see above; None where nobody reads it.
    rows : list of ndarray of shape (B + 1,)
        Where sequences begin in the rows of each slot, and where the last ends.
    traces : list
        Of each scan, see `lrplstm.scans`; of other nodes a `Pass`.
    sides : list of ForwardResult
        Of each direction of the first layer, where they ran by themselves.
    """

    prepared: Prepared
    reading: Reading
    values: list[Any]
    rows: list[Any]
    traces: list[Any]
    sides: list[ForwardResult]

    @property
    def offsets(self) -> Array:
        """Where sequences begin and end."""
        return self.reading.offsets

    @property
    def every_step(self) -> bool:
        """Whether every step has scores."""
        return self.prepared.every_step

    @property
    def scores(self) -> Array:
        """Of shape (B, C), or where every step has some (steps, C)."""
        scores: Array = self.values[self.prepared.scores]
        return scores

    @property
    def score_offsets(self) -> Array:
        """Where sequences begin in the rows of the scores."""
        offsets: Array = self.rows[self.prepared.scores]
        return offsets

    def score_rows(self, copies: Copies) -> Array:
        """Return which rows of scores, or of weights of these, belong to copies."""
        if self.prepared.scores_other_steps:
            return rows_of(copies.owner, self.score_offsets)[0]
        return copies.steps if self.every_step else copies.owner

    def no_initial(self, targets: int) -> Array:
        """Return zeros for what ends on initial states, (K, B)."""
        return np.zeros((targets, len(self.offsets) - 1), self.scores.dtype)


def read(prepared: Prepared, batch: Batch, source: Source, part: Part, inputs: bool) -> Reading:
    """Return what the network reads of a part of a batch, with x itself if `inputs`."""
    x: Any = None
    others: tuple[Rows, ...] = ()
    if batch.others:
        others = tuple([_read_rows(other, part) for other in batch.others.values()])
    if source.projection is None or inputs:
        x = batch.features(part.steps)
    if source.projection is None or source.rows is None:
        return Reading(part.offsets, prepared.project(x), np.arange(part.offsets[-1]), x, others)
    return Reading(part.offsets, source.projection, source.rows[part.steps], x, others)


def _read_rows(batch: Batch, part: Part) -> Rows:
    rows, offsets = rows_of(part.sequences, batch.offsets)
    return Rows(batch.features(rows), offsets)


KEEP = {"states": ("states", "nothing"), "parts": ("gates", "gates")}
"""What a forward pass keeps beside what scans do (`lrplstm.scans.KEEP`): what each direction of the
first layer keeps, which runs by itself then, and other layers; for copies that go on from its
states, and for those of which parts are followed."""


def quiet() -> np.errstate:
    """Return the context in which networks run: NumPy says no more of overflow than kernels do."""
    return np.errstate(over="ignore", invalid="ignore")


def forward(
    prepared: Prepared, reading: Reading, keep: str, entered: tuple[Any, Array] | None = None
) -> ForwardPass:
    """Run the network over some sequences; `keep` says for what (see `KEEP` and `lrplstm.scans`).

    `entered` are h_t of every step, if they are read, and final states of the first layer, where
    they are known.
    """
    entry = prepared.entry
    by_side, keep = KEEP.get(keep, (None, keep))
    values: list[Any] = [None] * prepared.slots
    rows: list[Any] = [None] * prepared.slots  # where sequences begin in them
    rows[0] = reading.offsets
    for slot, other in enumerate(reading.others, start=1):
        values[slot], rows[slot] = other
    of_sequences = one_row_each(len(reading.offsets) - 1)
    traces: list[Any] = []
    sides: list[ForwardResult] = []
    if entry is None:
        values[0] = reading.projection.take(reading.rows, axis=0)
    for node in prepared.nodes:
        if isinstance(node, Node):
            inputs = tuple(map(values.__getitem__, node.reads))
            offsets = tuple(map(rows.__getitem__, node.reads))
            output = values[node.gives] = node.operation.forward(inputs, offsets)
            own = rows[node.gives] = node.rows(offsets)
            traces.append(Pass(inputs, output, offsets, own))
            continue
        of_steps = rows[node.hidden] = rows[node.reads[0]]
        for slot in node.finals:
            rows[slot] = of_sequences
        if node is entry and entered is not None:
            values[node.hidden], values[node.finals[0]] = entered
            traces.append(None)
            continue
        if node is entry and by_side is not None:
            sides = _run_sides(node, reading, by_side)
            values[node.finals[0]] = np.concatenate([side.final for side in sides], axis=1)
            if node.wanted:
                values[node.hidden] = np.concatenate([side.hidden for side in sides], axis=1)
            traces.append(None)
            continue
        if node is entry:
            projection, read = reading.projection, reading.rows
        else:
            projection = node.project(values[node.reads[0]])
            read = np.arange(len(projection))
        above = node.scans.forward_scan(
            node.layer, projection, read, of_steps, keep, node.wanted, node.start(values)
        )
        values[node.gives] = above.hidden, above.final, *above.others
        traces.append(above.trace)
    return ForwardPass(prepared, reading, values, rows, traces, sides)


def _run_sides(entry: Scan, reading: Reading, keep: str) -> list[ForwardResult]:
    """Run each direction of the first layer by itself."""
    of_sides = entry.of_sides(reading.projection.take(reading.rows, axis=0))
    rows = np.arange(len(reading.rows))
    return [
        entry.scans.forward_scan(layer, columns, rows, reading.offsets, keep, entry.wanted)
        for (_, layer), columns in zip(entry.sides, of_sides, strict=True)
    ]


def decompose(
    past: ForwardPass,
    relevant: Array,
    rows: Array,
    phrase: Array,
    copies: Copies,
    entered: tuple[Any, Array] | None = None,
    others: Sequence[Array] = (),
) -> Array:
    """Return the relevant part of the scores of copies of the sequences; see `decompose_scan`.

    `relevant` is that of what the first layer read, of which each step of the copies reads a row;
    `others` are those of other inputs, (n, D) each.
    `entered` are the relevant parts of that layer's states, as for `forward`, where they are known.
    """
    prepared = past.prepared
    values: list[Any] = [None] * prepared.slots
    values[1 : prepared.inputs] = others
    if prepared.entry is None:
        values[0] = relevant[rows]
    for node, trace in zip(prepared.nodes, past.traces, strict=True):
        if isinstance(node, Node):
            parts = tuple([values[slot] for slot in node.reads])
            values[node.gives] = node.operation.decompose(trace, parts, copies)
            continue
        if node is prepared.entry and entered is not None:
            values[node.hidden], values[node.finals[0]] = entered
            continue
        if node is not prepared.entry:
            x = values[node.reads[0]]
            nothing = node.project(np.zeros_like(x[:1]))
            relevant, rows = node.project(x) - nothing, np.arange(len(x))
        offsets = copies.offsets_like(past.rows[node.reads[0]])
        # Steps of another kind than the inputs' are in no phrase.
        in_phrase = phrase if node.reads_steps else np.zeros(len(rows), bool)
        start = (node.no_start(values, len(copies.owner)),) if node.full else ()
        above = node.scans.decompose_scan(
            trace, copies.owner, relevant, rows, in_phrase, offsets, node.wanted, *start
        )
        values[node.gives] = above.hidden, above.final, *above.others
    scores: Array = values[prepared.scores]
    return scores


# Back -------------------------------------------------------------------------------------------


class Descent:
    """Relevance or gradients on their way down: the only loop over the layers from top to bottom.

    It is a loop over the nodes that something has arrived at, the top one first: each with its
    trace and what has arrived, for a scan see `Scan.arrived`. Who runs it says what a node hands
    on.

    Parameters
    ----------
    past : ForwardPass
    slot : int
        Where it starts.
    value : ndarray of shape (K, rows, numbers)
        What starts there.
    """

    def __init__(self, past: ForwardPass, slot: int, value: Array) -> None:
        self._past, self._targets = past, len(value)
        self._slots: list[Any] = [None] * past.prepared.slots
        self._slots[slot] = value

    def __iter__(self) -> Iterator[tuple[Scan | Node, Any, Any]]:
        slots, above = self._slots, None
        traces = reversed(self._past.traces)
        for node, trace in zip(self._past.prepared.downwards, traces, strict=True):
            if isinstance(node, Scan):
                above = node.arrived(slots)
                slots[node.finals[0]] = slots[node.hidden] = None
            else:
                above, slots[node.gives] = slots[node.gives], None
            if above is not None:
                yield node, trace, above

    def hand_on(self, node: Scan | Node, *values: Array | None) -> None:
        """Add something to each slot that a node read; who is read twice gets the sum."""
        for slot, value in zip(node.reads, values, strict=True):
            if value is not None:
                before = self._slots[slot]
                self._slots[slot] = value if before is None else before + value

    @property
    def inputs(self) -> Any:
        """What has arrived at the inputs, (K, steps, D)."""
        return self._arrived(0)

    @property
    def others(self) -> tuple[Array, ...]:
        """What has arrived at every other input, (K, n, D) each."""
        inputs = self._past.prepared.inputs
        return tuple(map(self._arrived, range(1, inputs))) if inputs > 1 else ()

    def _arrived(self, slot: int) -> Array:
        value = self._slots[slot]
        if value is None:  # as at what is read for its steps alone
            past = self._past
            shape = (past.offsets[-1], past.prepared.input_size)
            if slot > 0:
                shape = past.values[slot].shape
            value = np.zeros((self._targets, *shape), past.scores.dtype)
        found: Array = value
        return found
