"""A network as a backend wants it: what runs, in order, and what each reads and gives.

Layers read and give *slots*: slot 0 is what the network reads, and those after it are what else, of
several inputs. A recurrent layer gives the states
of every step and each of its final ones; every other operation gives one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, NamedTuple, cast

import numpy as np

from lrplstm.architecture import Graph
from lrplstm.layers import FinalState, Form, Layer, Operation, Pool, Recurrent
from lrplstm.ordered import Ordered
from lrplstm.scans import GradientResult, LRPResult, Scans
from lrplstm.sequences import Batch, to_offsets
from lrplstm.weights import Array

__all__ = ["Node", "Prepared", "Scan", "Source"]

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


class Scan:
    """A recurrent layer as a backend has it, and the slots that it reads and gives.

    Attributes
    ----------
    recurrent : Recurrent
    reads : tuple of int
        The slot of x, and those of initial states that other layers give, h first.
    hidden : int
        The slot of h_t of every step.
    finals : tuple of int
        Those of the final states, h first.
    gives : slice
        All of these, which follow each other.
    full : bool
        Whether other layers give initial states, or read another final state than h.
    wanted : bool
        Whether the states of every step are read; set by whoever does.
    reads_steps : bool
        Whether its steps are those of the inputs; set by whoever knows.
    starts_at_zero : bool
        Whether its own initial states are all zero.
    initial_hidden, initial_cell : ndarray of shape (width,)
        Its own h_{-1} and c_{-1} (zeros where the cell has none), all directions beside each other.
    """

    def __init__(
        self,
        layer: Recurrent,
        scans: Scans,
        reads: tuple[int, ...],
        slot: int,
        *,
        full: bool,
        sorted_: bool,
    ) -> None:
        self.full = full or len(reads) > 1
        self.scans = layer.scans(scans)
        if not sorted_:
            self.scans = cast(Scans, Ordered(self.scans))
        self.layer = self.scans.prepare_layer(layer.directions)
        self.recurrent, self.directions = layer, layer.directions
        self.reads, self.hidden = reads, slot
        widths = layer.state_widths
        self.finals = tuple(range(slot + 1, slot + 1 + len(widths)))
        self.gives = slice(slot, slot + 1 + len(widths))
        self.wanted = self.reads_steps = False
        states = [one.initial_states for one in layer.directions]
        self.initial_hidden = np.concatenate([h for h, *_ in states])
        self.initial_cell = np.concatenate(
            [np.zeros_like(s[0]) if len(s) == 1 else s[1] for s in states]
        )
        self.starts_at_zero = not (self.initial_hidden.any() or self.initial_cell.any())

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

    def of_sides(self, columns: Array) -> list[Array]:
        """Return the columns of a projection that each direction reads."""
        sides = len(self.directions)
        width = columns.shape[1] // sides
        return [columns[:, d * width : (d + 1) * width] for d in range(sides)]

    def start(self, values: Sequence[Any]) -> tuple[Array, ...] | None:
        """Return the initial states, (B, width) each, where other layers give some of them."""
        if len(self.reads) == 1:
            return None
        given = [values[slot] for slot in self.reads[1:]]
        own = (self.initial_hidden, self.initial_cell)[len(given) : len(self.finals)]
        return (*given, *(np.broadcast_to(state, (len(given[0]), len(state))) for state in own))

    def no_start(self, values: Sequence[Any], B: int) -> tuple[Array, ...]:
        """Return the relevant part of the initial states: of its own, nothing is relevant."""
        given = [values[slot] for slot in self.reads[1:]]
        own = (self.initial_hidden, self.initial_cell)[len(given) : len(self.finals)]
        return (*given, *(np.zeros((B, len(state)), state.dtype) for state in own))

    def arrived(self, slots: Sequence[Any]) -> tuple[Any, ...] | None:
        """Return what a scan back starts from, of what each slot has got; None if that is nothing.

        That is what has arrived at the final h and at h_t of every step, and if the scan is `full`
        at the other final states.
        """
        final, hidden = slots[self.finals[0]], slots[self.hidden]
        if not self.full:
            return None if final is None and hidden is None else (final, hidden)
        others = tuple([slots[slot] for slot in self.finals[1:]])
        reached = any(part is not None for part in (final, hidden, *others))
        return (final, hidden, others) if reached else None

    def split_relevance(self, below: LRPResult) -> tuple[Array, tuple[Array, ...]]:
        """Return what ended on its own initial states, (K, B), and that of others' states.

        What states get that other layers give has not ended here.
        """
        number = len(self.reads) - 1
        if number == 0:
            return below.initial, ()
        own = [state.sum(axis=-1) for state in below.states[number:]]
        initial: Array = np.sum([np.zeros_like(below.initial), *own], axis=0)
        return initial, below.states[:number]

    def split_gradient(self, below: GradientResult) -> tuple[GradientResult, tuple[Array, ...]]:
        """Return the gradients, zero at the states of others, and those of these states."""
        if not self.full:
            return below, ()
        names, number = ("initial_hidden", "initial_cell"), len(self.reads) - 1
        given = tuple(getattr(below, name) for name in names[:number])
        none = {n: np.zeros_like(state) for n, state in zip(names, given, strict=False)}
        return below._replace(**none), given


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


def _is_sorted(form: Form, inputs: Form) -> bool:
    """Whether sequences that are sorted by the steps of the inputs are so by those of a form."""
    axis, of_inputs = form.axis, inputs.axis
    return axis is None or of_inputs is None or axis.source in (None, of_inputs.source)


class Prepared:
    """A network as a backend wants it.

    Attributes
    ----------
    backend : {"kernel", "reference"}
    scans : Scans
        Its functions.
    nodes : list of Scan or Node
        In the order in which they run; `downwards` from the last to the first.
    entry : Scan, or None
        The recurrent layer that reads what the network reads, if nothing else does: it then reads
        rows of a projection, of which there may be fewer than steps.
    scores, pooled, hidden : int
        Slots: of the scores; of what is pooled of the top recurrent layer, and of its states.
    inputs : int
        How many the network has: so many slots are the first, in the order of `Graph.inputs`.
    every_step : bool
        Whether every step has scores, rather than every sequence.
    scores_other_steps : bool
        Whether these are other steps than those of the inputs.
    """

    def __init__(self, graph: Graph, scans: Scans, backend: str) -> None:
        self.backend, self.scans = backend, scans
        inputs = graph.forms[graph.inputs[0]]
        self.input_size = inputs.size
        self.every_step = graph.scores.steps
        self.scores_other_steps = graph.scores_other_steps
        self.nodes: list[Scan | Node] = []
        slots = {name: slot for slot, name in enumerate(graph.inputs)}
        scans_of, self.inputs, self.slots = dict[str, Scan](), len(slots), len(slots)
        all_states = {layer.reads for layer in graph.layers if isinstance(layer, FinalState)}
        # Numbers in a row of those slots whose rows are steps.
        rows = {slot: graph.forms[n].size for n, slot in slots.items() if graph.forms[n].steps}
        for layer in graph.layers:
            name, (below, *_) = str(layer.name), layer.reads or ("",)
            reads = tuple(slots[read] for read in layer.reads or ())
            if isinstance(layer, Recurrent):
                scan = scans_of[name] = Scan(
                    layer,
                    scans,
                    reads,
                    self.slots,
                    full=(name,) in all_states,
                    sorted_=_is_sorted(graph.forms[name], inputs),
                )
                scan.reads_steps = graph.forms[name].axis == inputs.axis
                self.nodes.append(scan)
                slots[name] = scan.hidden
                self.slots += 1 + len(scan.finals)
            elif below in scans_of and isinstance(layer, FinalState):
                slots[name] = scans_of[below].finals[layer.number(scans_of[below].recurrent)]
            elif below in scans_of and isinstance(layer, Pool) and layer.pooling == "last":
                slots[name] = scans_of[below].finals[0]
            else:
                read = [graph.forms[one] for one in layer.reads or ()]
                of_rows = _rows_of(layer, read, graph.forms[name])
                in_order = all(_is_sorted(form, inputs) for form in read)
                own = scans if in_order else cast(Scans, Ordered(scans))
                for operation in layer.prepare(own):
                    self.nodes.append(Node(operation, reads, self.slots, of_rows))
                    reads, of_rows = (self.slots,), _as_first
                    self.slots += 1
                slots[name] = reads[0]
            if graph.forms[name].steps:
                rows[slots[name]] = graph.forms[name].size

        self.downwards = self.nodes[::-1]
        self.scores = slots[str(graph.layers[-1].name)]
        # -1 where there is none, from which nobody then starts.
        self.hidden = -1 if graph.top is None else slots[str(graph.top.name)]
        self.pooled = -1 if graph.pooled is None else slots[graph.pooled]
        self.dtype = graph.dtype
        scanned = [node for node in self.nodes if isinstance(node, Scan)]
        by_nodes = {s for node in self.nodes if isinstance(node, Node) for s in node.reads}
        by_nodes.add(self.scores)
        by_scans = [slot for scan in scanned for slot in scan.reads]
        for scan in scanned:
            scan.wanted = scan.hidden in by_nodes or scan.hidden in by_scans
        readers = [scan for scan in scanned if scan.reads[0] == 0 and 0 not in by_nodes]
        self.entry = readers[0] if len(readers) == 1 and not readers[0].full else None
        # Bytes that a step takes: in any case, and again for each target.
        numbers = sum(rows[s] for s in by_nodes if s in rows)
        numbers += sum(weights.input_size for scan in scanned for weights in scan.directions)
        self._by_target = self._bytes = numbers * self.dtype.itemsize
        self._bytes += sum(scan.scans.bytes_per_step(scan.layer) for scan in scanned)
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
        if batch.of_windows:  # their rows are read by many of them, and by no other batch
            row = self._project(batch, np.array([batch.zero_id]))
            few = batch.zero_id * row.nbytes <= _WORD_TABLE_BYTES
            if not few:
                return Source(None, None)
            return Source(self._project(batch, np.arange(batch.zero_id + 1)), batch.data)
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
        return self._bytes + targets * self._by_target
