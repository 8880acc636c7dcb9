"""A whole network, forward and back: the only loop over its layers.

Rows of every array are steps, the sequences of a part of the batch one after the other (see
`lrplstm.scans`), or the sequences; K is the number of targets that are explained at once.

Layers read and give *slots*: slot 0 is what the network reads. A recurrent layer gives two, the
states of every step and the final ones; every other operation gives one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from lrplstm.architecture import Graph
from lrplstm.copies import Copies
from lrplstm.layers import INPUTS, Form, Layer, Operation, Pass, Pool, Recurrent
from lrplstm.scans import ForwardResult, Scans
from lrplstm.sequences import Batch, Part, to_offsets
from lrplstm.weights import Array

__all__ = [
    "KEEP",
    "Descent",
    "ForwardPass",
    "Prepared",
    "Reading",
    "Source",
    "decompose",
    "forward",
    "quiet",
    "read",
]

_WORD_TABLE_BYTES = 48 * 2**20
"""Projections of a whole vocabulary are kept with the model if they take no more than this."""


class Source(NamedTuple):
    """What the first layer reads of a batch.

    Attributes
    ----------
    projection : ndarray, or None
        W_ih x of each distinct word; None where the batch is features, or is read otherwise: then
        it is made part by part.
    rows : ndarray of shape (steps,), or None
        Which row of it each step of the batch reads.
    """

    projection: Array | None
    rows: Array | None


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
    """

    offsets: Array
    projection: Array
    rows: Array
    inputs: Any


class Scan:
    """A recurrent layer as a backend has it, and the slots that it reads and gives."""

    def __init__(
        self, layer: Recurrent, scans: Scans, reads: int, slots: tuple[int, int], steps: bool
    ) -> None:
        self.scans = layer.scans(scans)
        self.layer = self.scans.prepare_layer(layer.directions)
        self.directions = layer.directions
        self.reads = reads
        self.hidden, self.final = slots
        # Whether the states of every step are read; set by whoever does.
        self.wanted = False
        # Whether its steps are those of the inputs.
        self.reads_steps = steps
        # h_{-1} and c_{-1} (zeros where the cell has none), all directions beside each other.
        states = [one.initial_states for one in layer.directions]
        self.initial_hidden = np.concatenate([h for h, *_ in states])
        self.initial_cell = np.concatenate(
            [np.zeros_like(s[0]) if len(s) == 1 else s[1] for s in states]
        )

    @cached_property
    def sides(self) -> list[tuple[Any, Any]]:
        """Each direction by itself: its weights, and the layer that it is to the backend."""
        alone = [
            one.replaced(reverse=one.reverse or d == 1) for d, one in enumerate(self.directions)
        ]
        return [(weights, self.scans.prepare_layer([weights])) for weights in alone]

    def project(self, x: Array) -> Array:
        """Return what the scan reads of x, see `lrplstm.scans`."""
        return self.scans.project(self.layer, x)


class Node(NamedTuple):
    """An operation on rows, and the slots that it reads and gives.

    Attributes
    ----------
    operation : Operation
    reads : tuple of int
    gives : int
    rows : callable
        From where sequences begin in the rows of each slot that it reads, to where they begin in
        the rows that it gives.
    """

    operation: Operation
    reads: tuple[int, ...]
    gives: int
    rows: Rows


Rows = Callable[[tuple[Array, ...]], Array]


def _rows_of(layer: Layer, read: Sequence[Form], given: Form) -> Rows:
    """Return where sequences begin in the rows of a layer's output, as `Node` has it."""
    if given.axis == read[0].axis:
        return _as_first
    if given.axis is None:
        return lambda offsets: np.arange(len(offsets[0]))
    if given.axis.length is not None:
        length = given.axis.length
        return lambda offsets: length * np.arange(len(offsets[0]))
    return lambda offsets: to_offsets(layer.lengths(tuple(map(np.diff, offsets))))


def _as_first(offsets: tuple[Array, ...]) -> Array:
    return offsets[0]


class Prepared:
    """A network as a backend wants it.

    Attributes
    ----------
    nodes : list of Scan or Node
        In the order in which they run.
    entry : Scan, or None
        The recurrent layer that reads what the network reads, if nothing else does: it then reads
        rows of a projection, of which there may be fewer than steps.
    scores, pooled, hidden : int
        Slots: of the scores; of what is pooled of the top recurrent layer, and of its states.
    every_step : bool
        Whether every step has scores, rather than every sequence.
    """

    def __init__(self, graph: Graph, scans: Scans) -> None:
        self.input_size = graph.forms[INPUTS].size
        self.every_step = graph.scores.steps
        self.nodes: list[Scan | Node] = []
        slots, final, self.slots = {INPUTS: 0}, dict[int, int](), 1
        rows = dict[int, int]()  # numbers in a row of those slots whose rows are steps
        for layer in graph.layers:
            name = str(layer.name)
            reads = tuple(slots[read] for read in layer.reads or ())
            if isinstance(layer, Recurrent):
                states = slots[name] = self.slots
                final[states] = states + 1
                steps = graph.forms[name].axis == graph.forms[INPUTS].axis
                self.nodes.append(Scan(layer, scans, reads[0], (states, states + 1), steps))
                self.slots += 2
            elif isinstance(layer, Pool) and layer.pooling == "last" and reads[0] in final:
                slots[name] = final[reads[0]]
            else:
                read = [graph.forms[one] for one in layer.reads or ()]
                of_rows = _rows_of(layer, read, graph.forms[name])
                for operation in layer.prepare(scans):
                    self.nodes.append(Node(operation, reads, self.slots, of_rows))
                    reads, of_rows = (self.slots,), _as_first
                    self.slots += 1
                slots[name] = reads[0]
            if graph.forms[name].steps:
                rows[slots[name]] = graph.forms[name].size

        self.scores = slots[str(graph.layers[-1].name)]
        # -1 where there is none, from which nobody then starts.
        self.hidden = -1 if graph.top is None else slots[str(graph.top.name)]
        self.pooled = -1 if graph.pooled is None else slots[graph.pooled]
        self.dtype = graph.dtype
        scanned = [node for node in self.nodes if isinstance(node, Scan)]
        by_nodes = {s for node in self.nodes if isinstance(node, Node) for s in node.reads}
        by_nodes.add(self.scores)
        by_scans = [scan.reads for scan in scanned]
        for scan in scanned:
            scan.wanted = scan.hidden in by_nodes or scan.hidden in by_scans
        alone = by_scans.count(0) == 1 and 0 not in by_nodes
        self.entry = next(scan for scan in scanned if scan.reads == 0) if alone else None
        # Numbers that a step takes: in any case, and again for each target.
        self._numbers = sum(rows[s] for s in by_nodes if s in rows)
        self._by_target = self._numbers
        for scan in scanned:
            for weights in scan.directions:
                self._numbers += 12 * weights.hidden_size + weights.input_size
                self._by_target += weights.input_size
        # Rows of W_ih x of the vocabulary's words, and which of them have been computed.
        self._words: tuple[Array, Array] | None = None

    def project(self, x: Array) -> Array:
        """Return what the first layer reads of x, (n, D): a row for each, of x plus a constant.

        It is what the one recurrent layer reads that reads the inputs; else x itself.
        """
        return x if self.entry is None else self.entry.project(x)

    def source(self, batch: Batch) -> Source:
        """Project the words of a batch, each once."""
        if batch.embedding is None or self.entry is None:
            return Source(None, None)
        if self._words is None:
            row = self._project(batch, np.array([batch.zero_id]))
            words = batch.zero_id + 1
            if words * row.nbytes > _WORD_TABLE_BYTES:
                distinct, rows = np.unique(batch.data, return_inverse=True)
                return Source(self._project(batch, distinct), rows)
            self._words = np.zeros((words, row.shape[1]), row.dtype), np.zeros(words, bool)
        projection, known = self._words
        of_steps = known[batch.data]
        if not of_steps[of_steps.argmin()]:  # quicker than all()
            wanted = np.zeros_like(known)
            wanted[batch.data] = True
            missing = np.flatnonzero(wanted & ~known)
            projection[missing] = self._project(batch, missing)
            known[missing] = True  # last, so that another thread sees finished rows only
        return Source(projection, batch.data)

    def _project(self, batch: Batch, ids: Array) -> Array:
        return self.project(batch.embed(ids))

    def bytes_per_step(self, targets: int) -> int:
        """Return about how much working memory one step takes while `targets` are explained."""
        return (self._numbers + targets * self._by_target) * self.dtype.itemsize


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
        Of each scan, see `lrplstm.scans`; None of other nodes.
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

    def no_initial(self, targets: int) -> Array:
        """Return zeros for what ends on initial states, (K, B)."""
        return np.zeros((targets, len(self.offsets) - 1), self.scores.dtype)

    def of(self, node: Node) -> Pass:
        """Return what an operation read and made."""
        inputs = tuple([self.values[slot] for slot in node.reads])
        offsets = tuple([self.rows[slot] for slot in node.reads])
        return Pass(inputs, self.values[node.gives], offsets, self.rows[node.gives])


def read(prepared: Prepared, batch: Batch, source: Source, part: Part, inputs: bool) -> Reading:
    """Return what the network reads of a part of a batch, with x itself if `inputs`."""
    x: Any = None
    if source.projection is None or inputs:
        x = batch.features(part.steps)
    if source.projection is None or source.rows is None:
        return Reading(part.offsets, prepared.project(x), np.arange(part.offsets[-1]), x)
    return Reading(part.offsets, source.projection, source.rows[part.steps], x)


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
    of_sequences = np.arange(len(reading.offsets))
    traces: list[Any] = []
    sides: list[ForwardResult] = []
    if entry is None:
        values[0] = reading.projection[reading.rows]
    for node in prepared.nodes:
        if isinstance(node, Node):
            inputs = tuple([values[slot] for slot in node.reads])
            offsets = tuple([rows[slot] for slot in node.reads])
            values[node.gives] = node.operation.forward(inputs, offsets)
            rows[node.gives] = node.rows(offsets)
            traces.append(None)
            continue
        rows[node.hidden], rows[node.final] = rows[node.reads], of_sequences
        if node is entry and entered is not None:
            values[node.hidden], values[node.final] = entered
            traces.append(None)
            continue
        if node is entry and by_side is not None:
            sides = _run_sides(node, reading, by_side)
            values[node.final] = np.concatenate([side.final for side in sides], axis=1)
            if node.wanted:
                values[node.hidden] = np.concatenate([side.hidden for side in sides], axis=1)
            traces.append(None)
            continue
        if node is entry:
            projection, of_steps = reading.projection, reading.rows
        else:
            projection = node.project(values[node.reads])
            of_steps = np.arange(len(projection))
        above = node.scans.forward_scan(
            node.layer, projection, of_steps, rows[node.reads], keep, node.wanted
        )
        values[node.hidden], values[node.final] = above.hidden, above.final
        traces.append(above.trace)
    return ForwardPass(prepared, reading, values, rows, traces, sides)


def _run_sides(entry: Scan, reading: Reading, keep: str) -> list[ForwardResult]:
    """Run each direction of the first layer by itself."""
    of_sides = np.split(reading.projection[reading.rows], len(entry.directions), axis=1)
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
) -> Array:
    """Return the relevant part of the scores of copies of the sequences; see `decompose_scan`.

    `relevant` is that of what the first layer read, of which each step of the copies reads a row.
    `entered` are the relevant parts of that layer's states, as for `forward`, where they are known.
    """
    prepared = past.prepared
    values: list[Any] = [None] * prepared.slots
    if prepared.entry is None:
        values[0] = relevant[rows]
    for node, trace in zip(prepared.nodes, past.traces, strict=True):
        if isinstance(node, Node):
            parts = tuple([values[slot] for slot in node.reads])
            values[node.gives] = node.operation.decompose(past.of(node), parts, copies)
            continue
        if node is prepared.entry and entered is not None:
            values[node.hidden], values[node.final] = entered
            continue
        if node is not prepared.entry:
            x = values[node.reads]
            nothing = node.project(np.zeros_like(x[:1]))
            relevant, rows = node.project(x) - nothing, np.arange(len(x))
        offsets = copies.offsets_like(past.rows[node.reads])
        # Steps of another kind than the inputs' are in no phrase.
        in_phrase = phrase if node.reads_steps else np.zeros(len(rows), bool)
        values[node.final], values[node.hidden] = node.scans.decompose_scan(
            trace, copies.owner, relevant, rows, in_phrase, offsets, node.wanted
        )
    scores: Array = values[prepared.scores]
    return scores


# Back -------------------------------------------------------------------------------------------


class Descent:
    """Relevance or gradients on their way down: the only loop over the layers from top to bottom.

    It is a loop over the nodes that something has arrived at, the top one first: each with its
    trace and what has arrived, for a scan at its final states and at those of every step. Who runs
    it says what a node hands on.

    Parameters
    ----------
    past : ForwardPass
    slot : int
        Where it starts.
    value : ndarray of shape (K, rows, numbers)
        What starts there.
    """

    def __init__(self, past: ForwardPass, slot: int, value: Array) -> None:
        self._past = past
        self._slots: list[Any] = [None] * past.prepared.slots
        self._slots[slot] = value

    def __iter__(self) -> Iterator[tuple[Scan | Node, Any, Any]]:
        slots, above = self._slots, None
        nodes = reversed(self._past.prepared.nodes)
        for node, trace in zip(nodes, reversed(self._past.traces), strict=True):
            if isinstance(node, Scan):
                final, hidden = slots[node.final], slots[node.hidden]
                slots[node.final] = slots[node.hidden] = None
                above = None if final is None and hidden is None else (final, hidden)
            else:
                above, slots[node.gives] = slots[node.gives], None
            if above is not None:
                yield node, trace, above

    def hand_on(self, node: Scan | Node, *values: Array | None) -> None:
        """Add something to each slot that a node read; who is read twice gets the sum."""
        reads = (node.reads,) if isinstance(node, Scan) else node.reads
        for slot, value in zip(reads, values, strict=True):
            if value is not None:
                before = self._slots[slot]
                self._slots[slot] = value if before is None else before + value

    @property
    def inputs(self) -> Any:
        """What has arrived at the inputs, (K, steps, D)."""
        return self._slots[0]
