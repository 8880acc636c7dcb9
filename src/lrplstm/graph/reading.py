"""From operations to a model: the one reader of networks, whatever they come from.

Inputs are followed through the graph, operator by operator, and layers are made of what does more
than shape tensors. Sizes that the graph leaves open, such as the number of steps, are given
numbers; it is read with two lots of them, and what is made has to be the same: so a step that is
counted from the start is told from one that is counted from the end.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lrplstm.graph import (
    attention,
    loops,  # noqa: F401 (its operators)
    recurrent,  # noqa: F401
    steps,  # noqa: F401
    windows,  # noqa: F401
)
from lrplstm.graph.formulas import Size
from lrplstm.graph.masks import check_masked, on_masks
from lrplstm.graph.operations import Graph, Input, Node, room_for
from lrplstm.graph.operators import OPERATORS, Call, Unreadable, Value
from lrplstm.graph.parts import Part
from lrplstm.graph.patterns import with_patterns
from lrplstm.graph.signals import Network
from lrplstm.graph.simplifying import simplified
from lrplstm.graph.tables import with_one_table
from lrplstm.graph.tracing import SEQUENCE, SIGNAL, STEP, UNIT, LyingError, Traced
from lrplstm.graph.unrolled import rolled
from lrplstm.layers import INPUTS
from lrplstm.loaders.refusals import RefusedError, Room, saying
from lrplstm.texts import shown
from lrplstm.weights import Array

__all__ = ["Reading", "check_same", "read"]

_SIZES = ({"sequences": 3, "steps": 211}, {"sequences": 5, "steps": 307})
"""Two lots of sizes for what a graph leaves open: primes, of which none is in both."""


@dataclass(frozen=True, eq=False)
class Reading:
    """A network as it was read.

    Attributes
    ----------
    parts : tuple of Part
        Layers with their names and with what they read; the last gives the scores.
    inputs : dict of Input by str
        By which names layers read them; of one alone that is "inputs".
    embeddings : dict of (str, ndarray) by str
        The table that ids of an input are looked up in, and what it was called.
    masks : dict of float by str
        What all numbers of a step of an input are that is padding, or the id there.
    sizes : dict of int by str
        Numbers in a row of each input, before any embedding.
    row_inputs : frozenset of str
        Those that have one row a sequence.
    output : str
    """

    parts: tuple[Part, ...]
    inputs: dict[str, Input]
    embeddings: dict[str, tuple[str, Array]]
    masks: dict[str, float]
    sizes: dict[str, int]
    row_inputs: frozenset[str]
    output: str


def read(graph: Graph, output: str | None = None, room: Room | None = None) -> Reading:
    """Read what one output of a graph depends on.

    Parameters
    ----------
    graph : Graph
    output : str, optional
        Default: the first.
    room : Room, optional
        How many bytes may be taken. Default: some times the bytes of the constants.

    Raises
    ------
    RefusedError
        If something of it is not read, with its place.
    """
    if output is None:
        output = graph.outputs[0] if graph.outputs else ""
    graph = with_patterns(with_one_table(graph.for_output(output)))
    if room is None:
        taken = sum(np.asarray(array).nbytes for array in graph.constants.values())
        room = room_for(taken, len(graph.nodes))
    errors: list[tuple[float, RefusedError]] = []
    for layouts in _layouts(graph):
        attempt = _Attempt(graph, output, room, layouts)
        try:
            return attempt.read()
        except RefusedError as error:
            errors.append((attempt.done - isinstance(error, LyingError) / 2, error))
    # Of what was tried, that which came farthest is what it was meant to be.
    raise max(errors, key=lambda one: one[0])[1]


# Inputs -----------------------------------------------------------------------------------------

_FLOAT_LAYOUTS = {
    1: ("T", "B"),
    2: ("BU", "BT", "TU", "TB"),
    3: ("BTU", "TBU", "BUT"),
}
_ID_LAYOUTS = {1: ("T", "B"), 2: ("BT", "TB"), 3: ("BTU", "TBU")}
"""What axes of inputs can be, of sequences (B), steps (T) and units (U), the likeliest first."""


def _layouts(graph: Graph) -> Iterator[dict[tuple[int, bool], str]]:
    """Yield what the axes of inputs can be, by the number of axes and whether they are ids."""
    read = {name for node in graph.nodes for name in node.inputs} | {*graph.outputs}
    kinds = list(
        dict.fromkeys(
            (len(given.shape), given.integers) for given in graph.inputs if given.name in read
        )
    )
    choices = [
        (_ID_LAYOUTS if integers else _FLOAT_LAYOUTS).get(axes, ("",)) for axes, integers in kinds
    ]
    for choice in itertools.product(*choices):
        yield dict(zip(kinds, choice, strict=True))


class _Attempt:
    """Reading a graph whose inputs have their axes in one way."""

    def __init__(
        self, graph: Graph, output: str, room: Room, layouts: Mapping[tuple[int, bool], str]
    ) -> None:
        self.graph, self.output, self.room, self.layouts = graph, output, room, layouts
        self.given = {one.name: one for one in graph.inputs}
        read = {name for node in graph.nodes for name in node.inputs} | {output}
        self.names = [name for name in self.given if name in read]
        self.done = 0

    def read(self) -> Reading:
        pairs: dict[tuple[str, ...], Any] = {}
        first = self._follow(_SIZES[0], pairs)
        if first.pairs:
            pairs = first.pairs
            first = self._follow(_SIZES[0], pairs)
        parts = self._parts(first)
        second = self._follow(_SIZES[1], pairs)
        check_same(parts, self._parts(second))
        return self._reading(parts, first)

    def _follow(self, sizes: Mapping[str, int], pairs: Mapping[tuple[str, ...], Any]) -> Network:
        run = _Run(self, sizes, pairs)
        try:
            return run.follow()
        finally:
            self.done = max(self.done, run.done)

    def _reading(self, parts: Sequence[Part], network: Network) -> Reading:
        """Return what was read, with a single input called as models call it."""
        signals = {name: network.signals[number] for name, number in network.by_name.items()}
        sizes = {name: Size(signal.width, signal.steps) for name, signal in signals.items()}
        parts, masks, masked = rolled(parts, sizes)
        masks |= network.masks
        masked |= {name for name, signal in signals.items() if signal.masked}
        check_masked(parts, masks, masked)
        read = {name for part in parts for name in part.reads}
        used = [name for name in self.names if name in read]
        given = {one.name: one for one in network.signals if one.is_input}
        rows = [name for name in used if given[name].steps is None]
        if len(rows) == len(used):
            raise LyingError("expected an input that has steps, got rows alone")
        called = {used[0]: INPUTS} if len(used) == 1 else {}
        parts = [
            replace(part, reads=tuple(called.get(read, read) for read in part.reads))
            for part in parts
        ]
        inputs = {called.get(name, name): self.given[name] for name in used}
        tables = {called.get(n, n): table for n, table in network.tables.items() if n in used}
        raw = frozenset(inputs) - frozenset(tables)
        return Reading(
            tuple(simplified(parts, raw)),
            inputs,
            tables,
            {called.get(name, name): value for name, value in masks.items()},
            {called.get(name, name): given[name].width for name in used},
            frozenset(called.get(name, name) for name in rows),
            self.output,
        )

    def _parts(self, network: Network) -> tuple[Part, ...]:
        """Return the layers that the scores depend on."""
        needed = {network.scores}
        kept = []
        for part in reversed(network.parts):
            if part.name in needed:
                needed.update(part.reads)
                with saying(part.place or part.name):
                    kept.append(replace(part, layer=part.made(), make=None))
        if not kept:
            raise RefusedError(f"output {shown(self.output)}: it reads the input as it is")
        return tuple(kept[::-1])


class _Run:
    """Following a graph with some sizes for what it leaves open."""

    def __init__(
        self,
        attempt: _Attempt,
        sizes: Mapping[str, int],
        pairs: Mapping[tuple[str, ...], Any],
    ) -> None:
        self.attempt, self.graph, self.sizes = attempt, attempt.graph, sizes
        self.values: dict[str, Value] = {}
        self.done = 0
        self.network = Network(self._sequences(), attempt.room, pairs)

    def _sequences(self) -> int:
        """Return how many sequences there are: as inputs have it, if they say so."""
        for name in self.attempt.names:
            given = self.attempt.given[name]
            layout = self._layout(given)
            if "B" not in layout:
                return 1
            size = given.shape[layout.index("B")]
            if size is not None:
                return size
        return self.sizes["sequences"]

    def _layout(self, given: Input) -> str:
        layout = self.attempt.layouts.get((len(given.shape), given.integers), "")
        if not layout:
            with saying(f"input {shown(given.name)}"):
                raise RefusedError(f"expected up to 3 axes, got {shown(given.shape)}")
        return layout

    def follow(self) -> Network:
        for node in self.graph.nodes:
            with saying(node.place):
                given = self._apply(node, self._look_up)
                for name, value in zip(node.outputs, given, strict=False):
                    if name:
                        self.values[name] = value
            self.done += 1
        with saying(f"output {shown(self.attempt.output)}"):
            self.network.scores = self._scores(self._look_up(self.attempt.output))
        self.done += 1
        return self.network

    def _apply(self, node: Node, look_up: Callable[[str], Value]) -> tuple[Value, ...]:
        """Return what a node gives."""
        if node.operator not in OPERATORS:
            raise RefusedError(
                "quantized models are not read"
                if any(part in node.operator for part in ("uantize", "QLinear", "Integer"))
                else "this operator is not read"
            )
        function, attributes = OPERATORS[node.operator]
        if unknown := sorted(node.attributes.keys() - attributes):
            raise RefusedError(f"attribute {shown(unknown[0])} is not read")
        reads = tuple(look_up(name) if name else None for name in node.inputs)
        with np.errstate(all="ignore"):  # infinite numbers are refused by what they end up in
            call = Call(node, reads, self.graph.opset, self.network, look_up, self._apply)
            given: Any = attention.on_scores(call)
            if given is None:
                given = on_masks(call, function)
            if given is None:
                given = function(call)
        return given if isinstance(given, tuple) else (given,)

    def _look_up(self, name: str) -> Value:
        """Return what has a name; constants and inputs, when they are first asked for."""
        if name not in self.values:
            if name in self.attempt.names:
                width = self._width_of(name)
                with saying(f"input {shown(name)}"):
                    self.values[name] = self._given(self.attempt.given[name], width)
            else:
                self.values[name] = self.graph.constants[name]
        return self.values[name]

    def _given(self, given: Input, width: int | None) -> Traced:
        """Return an input, in which each number is what it is by definition."""
        layout = self._layout(given)
        columns = {"B": SEQUENCE, "T": STEP, "U": UNIT}
        sizes = {
            "B": self.network.sequences,
            "T": self.sizes["steps"],
            "U": width,
        }
        axes = []
        for axis, size in zip(layout, given.shape, strict=True):
            number = size or sizes[axis]
            if number is None:
                raise LyingError(
                    f"expected a size for its axis {layout.index(axis)}, which nothing says"
                )
            if axis == "B" and number != self.network.sequences:
                raise RefusedError(
                    f"expected {self.network.sequences} sequences as other inputs have, got {size}"
                )
            sizes[axis] = number
            axes.append((columns[axis], number))
        signal = self.network.add_input(
            given.name,
            (sizes["U"] or 1) if "U" in layout else 1,
            sizes["T"] if "T" in layout else None,
            integers=given.integers,
        )
        whole = Traced.of(signal, axes, self.network.room)
        return replace(whole, integers=given.integers)

    def _width_of(self, name: str) -> int | None:
        """Return what the first recurrent layer says of a width that an input does not say."""
        if None not in self.attempt.given[name].shape:
            return None
        for node in self.graph.nodes:
            if node.operator in ("LSTM", "GRU", "RNN") and len(node.inputs) > 1:
                weights = self.graph.constants.get(node.inputs[1])
                if weights is not None and weights.ndim == 3 and weights.shape[2] > 0:
                    return int(weights.shape[2])
        return None

    def _scores(self, value: Value) -> str:
        """Return the name of the layer that gives the scores."""
        network = self.network
        if isinstance(value, Unreadable):
            raise RefusedError(f"it is {value.what}")
        if not isinstance(value, Traced):
            raise RefusedError("it does not depend on the input")
        value = network.before_squashing(value)
        # Of a row a step, made by layers of their own, the last axis has the units.
        by_step = value.ndim == 3 and value.varies(1, SIGNAL) and not value.varies(2, STEP)
        rows = network.rows(value, [2] if by_step else None)
        if rows.reverse or rows.repeated > 1:
            raise RefusedError("it has no scores, or several, for some step or sequence")
        signal = network.in_order(rows)
        return network.signals[signal].name


def check_same(first: Sequence[Part], second: Sequence[Part]) -> None:
    """Raise a RefusedError where a network is another one for other sizes, whatever its names."""
    names: dict[str, str] = {}
    for mine, other in zip(first, second, strict=False):
        reads = tuple(names.get(read, read) for read in mine.reads)
        if reads != other.reads or not _same(mine.layer, other.layer):
            place = mine.place or f"what {mine.name!r} reads"
            raise RefusedError(
                f"{place}: it depends on the number of steps or sequences in a way that is not "
                "read, such as a step far from both ends"
            )
        names[mine.name] = other.name
    if len(first) != len(second):
        raise RefusedError("layers depend on the number of steps or sequences")


def _same(first: Any, second: Any) -> bool:
    if type(first) is not type(second):
        return False
    mine, other = (_contents(layer) for layer in (first, second))
    return mine.keys() == other.keys() and all(
        np.array_equal(value, other[key]) if isinstance(value, np.ndarray) else value == other[key]
        for key, value in mine.items()
    )


def _contents(layer: Any) -> dict[str, Any]:
    if hasattr(layer, "settings"):
        return {**layer.arrays(), **layer.settings()}
    return dict(vars(layer))
