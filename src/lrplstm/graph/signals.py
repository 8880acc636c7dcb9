"""The network that is being read: its layers so far, and what each of them gives.

What a layer gives is a *signal*: a row of units for each step, or for each sequence. Tensors are
traced (`lrplstm.graph.tracing`): each number is a unit of a signal, at a step, of a sequence. A
layer that is to read a tensor wants rows, so `Network.rows` says which layers give these: steps
that are picked, units of several signals beside each other and the like become layers here.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import numpy as np

from lrplstm.graph.layouts import Rows, canonical
from lrplstm.graph.parts import Part, Signal, from_nearer_end
from lrplstm.graph.tracing import SEQUENCE, SIGNAL, STEP, UNIT, LyingError, Traced, along
from lrplstm.layers import (
    Concatenate,
    ConcatenateSteps,
    DenseLayer,
    FinalState,
    Flatten,
    Pool,
    Repeat,
    Reshape,
    Reverse,
    Step,
    Steps,
    Units,
)
from lrplstm.loaders.refusals import RefusedError, Room
from lrplstm.texts import shown
from lrplstm.weights import Array

__all__ = ["Network"]

_BYTES_PER_LAYER, _BYTES_PER_ROW = 2048, 256
_BYTES_TO_COMPARE = 1024
_MOST_RUNS = 8
"""Units in another order are picked by so many layers, or by one matrix."""


_Made = TypeVar("_Made")


class Network:
    """Layers so far, signals, and the helpers that put rows in their place.

    Parameters
    ----------
    sequences : int
        How many sequences the graph is read with.
    room : Room
    """

    def __init__(
        self, sequences: int, room: Room, pairs: Mapping[tuple[str, ...], Hashable] | None = None
    ) -> None:
        self._known_pairs = pairs or {}
        self.pairs: dict[tuple[str, ...], Hashable] = {}
        self._sides: dict[Hashable, list[tuple[str, ...]]] = {}
        self.sequences = sequences
        self.room = room
        self.parts: list[Part] = []
        self.parts_by_name: dict[str, Part] = {}
        self.groups: dict[Hashable, Any] = {}
        self.signals: list[Signal] = []
        self.by_name: dict[str, int] = {}
        self.lengths: dict[int, int] = {}  # signals of inputs by how many steps they have
        self.scores = ""
        self.masks: dict[str, float] = {}  # what padding is, by inputs
        self.tables: dict[str, tuple[str, Array]] = {}  # titles and embeddings, by inputs
        self._names: set[str] = set()
        self._counts: dict[str, int] = {}
        self._helpers: dict[Hashable, int] = {}
        self._shared: dict[Hashable, tuple[Any, Any]] = {}

    # Layers and signals -------------------------------------------------------------------------

    def free_name(self, kind: str) -> str:
        """Return a name that no layer has."""
        for count in itertools.count(self._counts.get(kind, 0) + 1):
            name = kind if count == 1 else f"{kind}_{count}"
            if name not in self._names:
                self._counts[kind] = count
                self._names.add(name)
                return name
        raise AssertionError

    def append(self, part: Part) -> None:
        """Add a layer."""
        self.parts.append(part)
        self.parts_by_name[part.name] = part

    def enter(self, signal: Signal) -> int:
        """Add a signal and return its number."""
        self.signals.append(signal)
        if not signal.refusal:
            self.by_name[signal.name] = len(self.signals) - 1
        return len(self.signals) - 1

    def add(
        self,
        layer: Any,
        reads: Sequence[str],
        width: int,
        steps: int | None,
        title: str = "",
        place: str = "",
    ) -> int:
        """Add a layer and return the number of the signal that it gives."""
        self.room.take(_BYTES_PER_LAYER)
        name = self.free_name(layer.kind)
        self.append(Part(name, tuple(reads), title, layer, place=place))
        return self.enter(Signal(name, width, steps, title))

    def shared(self, kind: str, arrays: Sequence[Array | None], make: Callable[[], _Made]) -> _Made:
        """Return what is made of some arrays: once, however often a graph uses them."""
        key = (kind, *(None if one is None else _where(one) for one in arrays))
        if key not in self._shared:
            self._shared[key] = (make(), arrays)  # which are kept, so that no others lie there
        made: _Made = self._shared[key][0]
        return made

    def is_input(self, value: Traced) -> bool:
        """Whether a tensor is of numbers of one input."""
        signal = self.signals[int(value.first[SIGNAL])]
        return signal.is_input and not any(value.varies(n, SIGNAL) for n in range(value.ndim))

    def only_signal(self, value: Traced) -> Signal | None:
        """Return the signal that all numbers of a tensor are of, if there is one."""
        if any(value.varies(n, SIGNAL) for n in range(value.ndim)):
            return None
        return self.signals[int(value.first[SIGNAL])]

    def is_gate(self, value: Traced) -> bool:
        """Whether all numbers of a tensor are what a sigmoid gives."""
        return all(self.signals[signal].gate for signal in self.signals_in(value))

    def signals_in(self, value: Traced) -> set[int]:
        """Return all signals of which there may be numbers in a tensor."""
        several = {int(value.first[SIGNAL])}
        for axis in value.axes:
            if axis[:, SIGNAL].any():
                steps = np.unique(axis[:, SIGNAL]).tolist()
                several = {signal + step for signal in several for step in steps}
        return several

    def whole(self, signal: int) -> Traced:
        """Return a signal as (sequences, steps, units)."""
        of = self.signals[signal]
        axes = [(SEQUENCE, self.sequences), (STEP, of.steps or 1), (UNIT, of.width)]
        return Traced.of(signal, axes, self.room)

    def once(self, key: Hashable, make: Callable[[], int]) -> int:
        """Return a signal that is made once, however often it is asked for."""
        if key not in self._helpers:
            self._helpers[key] = make()
        return self._helpers[key]

    def add_input(self, name: str, width: int, steps: int | None, *, integers: bool) -> int:
        """Add an input of the network, and return the number of its signal."""
        signal = Signal(name, width, steps, name, is_input=True, integers=integers)
        self._names.add(name)
        number = self.enter(signal)
        if steps is not None:
            self.lengths.setdefault(steps, number)
        return number

    def embedded(self, ids: Signal, title: str, table: Array) -> int:
        """Return the signal of rows of a table, at the ids of an input."""
        known = self.tables.get(ids.name)
        if known is not None and known[1] is not table:
            raise RefusedError(f"it is another embedding of {shown(ids.title)}; expected one")
        self.tables[ids.name] = (title, table)
        key = ("embedding", ids.name)
        signal = Signal(ids.name, table.shape[1], ids.steps, title)
        return self.once(key, lambda: self.enter(signal))

    def before_squashing(self, value: Traced) -> Traced:
        """Return the scores that a final softmax or sigmoid was taken of, or the tensor itself."""
        signal = int(value.first[SIGNAL])
        below = self.signals[signal].squashed
        if below is None or any(value.varies(n, SIGNAL) for n in range(value.ndim)):
            return value
        first = value.first.copy()
        first[SIGNAL] = below
        return replace(value, first=first)

    # Directions that are nodes of their own -----------------------------------------------------

    def note_side(self, outputs: tuple[str, ...], key: Hashable, reverse: bool) -> None:
        """Note a recurrent node of one direction, and what it has in common with another."""
        waiting = self._sides.setdefault((key, not reverse), [])
        if waiting:
            first = waiting.pop(0)
            self.pairs[first] = self.pairs[outputs] = first
        else:
            self._sides.setdefault((key, reverse), []).append(outputs)

    def pair_of(self, outputs: tuple[str, ...]) -> Hashable | None:
        """Return the pair that a node was found to be of when the graph was read before."""
        return self._known_pairs.get(outputs)

    # Rows ---------------------------------------------------------------------------------------

    def rows(
        self,
        value: Traced,
        units: Sequence[int] | None = None,
        *,
        steps: bool = False,
        masked: bool = False,
    ) -> Rows:
        """Return which layer gives the rows that a tensor has.

        Parameters
        ----------
        value : Traced
        units : sequence of int, optional
            The axes along which lie the units of a row. Default: those that are seen to.
        steps : bool
            Whether a layer that wants steps is to read them.
        masked : bool
            Whether that layer passes the same steps over as what it reads.
        """
        value, units = self.stacked(self._cut(value, units), units)
        lying, layout = canonical(value, units, self.sequences)
        at = lying.at(2)
        if at[:, SEQUENCE].any():
            raise LyingError("it mixes sequences of the batch")
        along = lying.axes[1][:, STEP]
        pieces: dict[int, list[Array]] = {}
        ways: set[bool] = set()
        chosen = at[:, UNIT].astype(np.int64)
        for places in _groups(at[:, [SIGNAL]]):
            signal = int(at[places[0], SIGNAL])
            of = self.signals[signal]
            if of.refusal:
                raise RefusedError(of.refusal)
            if of.masked and along.any() and not masked:
                raise RefusedError("it reads all steps of a layer that passes padding over")
            if of.steps is not None and not along.any():
                flat = at[places, STEP].astype(np.int64) * of.width + chosen[places]
                if of.steps > 1 and np.array_equal(np.sort(flat), np.arange(of.steps * of.width)):
                    chosen[places] = flat
                    pieces.setdefault(self.flattened(signal), []).append(places)
                    ways.add(False)
                    continue
            for part in _groups(at[places][:, [STEP]]):
                some = places[part]
                step = int(at[some[0], STEP])
                for given, which, reverse in self._pick(signal, step, along, chosen, some, steps):
                    pieces.setdefault(given, []).append(which)
                    ways.add(reverse)
        if len(ways) > 1:
            raise RefusedError("it reads steps forward and backward together")
        signal, order = self._beside(
            {given: np.concatenate(places) for given, places in pieces.items()}, chosen
        )
        of = self.signals[signal]
        repeated = lying.shape[1] if of.steps is None else 1
        return Rows(of.name, signal, order, of.steps, repeated, ways.pop(), layout)

    def _cut(self, value: Traced, units: Sequence[int] | None) -> Traced:
        """Return a tensor in which all numbers of a signal are cut into steps of another width.

        Any other tensor is returned as it is.
        """
        of = self.only_signal(value)
        if of is None or of.refusal or units is None or len(units) != 1:
            return value
        others = [n for n in range(value.ndim) if n not in units and value.varies(n, STEP, UNIT)]
        if len(others) != 1 or not (value.varies(others[0], UNIT) or value.varies(units[0], STEP)):
            return value
        axes = others[0], units[0]
        number, size = (value.shape[n] for n in axes)
        flat = [value.axes[n][:, STEP] * of.width + value.axes[n][:, UNIT] for n in axes]
        whole = number * size == of.width * (of.steps or 1) and not value.first[[STEP, UNIT]].any()
        in_order = whole and np.array_equal(np.add.outer(*flat).ravel(), np.arange(number * size))
        if not in_order or any(value.varies(n, SEQUENCE) for n in axes):
            return value
        signal, length = int(value.first[SIGNAL]), of.steps
        given = self.once(
            ("reshape", signal, size),
            lambda: self.add(Reshape(size, length), [of.name], size, number),
        )
        lying = list(value.axes)
        for axis, column in zip(axes, (STEP, UNIT), strict=True):
            lying[axis] = along(column, value.shape[axis], self.room)
        first = value.first.copy()
        first[SIGNAL] = given
        return replace(value, first=first, axes=tuple(lying))

    def stacked(
        self, value: Traced, units: Sequence[int] | None
    ) -> tuple[Traced, Sequence[int] | None]:
        """Return a tensor in which rows of several signals, one after the other, are steps."""
        if units is None:
            return value, units
        rows = [n for n in range(value.ndim) if n not in units]
        stacks = [n for n in rows if value.varies(n, SIGNAL)]
        if len(stacks) != 1 or any(value.varies(n, STEP) for n in rows):
            return value, units
        (axis,), number = stacks, value.shape[stacks[0]]
        self.room.take(_BYTES_PER_ROW * number)
        several = [self.rows(value.take(np.array([n]), axis), units) for n in range(number)]
        if any(one.steps is not None or one.repeated > 1 for one in several):
            return value, units
        signals = [self.in_order(one) for one in several]
        names = [self.signals[signal].name for signal in signals]
        width = self.signals[signals[0]].width
        whole = self.once(
            ("stacked", *signals), lambda: self.add(ConcatenateSteps(), names, width, number)
        )
        layout = several[0].layout._replace(steps=rows.index(axis)).with_steps(number)
        steps_first = rows.index(axis) < next(
            (rows.index(n) for n in rows if value.varies(n, SEQUENCE)), len(rows)
        )
        return layout._replace(swapped=steps_first).restored(self.whole(whole)), units

    def with_steps(self, value: Traced) -> Traced:
        """Return a tensor of rows of several signals with these as steps, if that can be seen."""
        signals = [n for n in range(value.ndim) if value.varies(n, SIGNAL)]
        units = [n for n in range(value.ndim) if value.varies(n, UNIT) and n not in signals]
        if len(signals) != 1 or not units:
            return value
        return self.stacked(value, units)[0]

    def _pick(
        self, signal: int, step: int, along: Array, units: Array, places: Array, wants: bool
    ) -> list[tuple[int, Array, bool]]:
        """Return the signals that have what stands at some places, and which of them each has."""
        of = self.signals[signal]
        if of.steps is None:
            return [(signal, places, False)]
        if along.any() or (wants and of.steps == 1):
            reverse = len(along) > 1 and bool(along[1] < 0)
            return [(self._range(signal, step + along), places, reverse)]
        if not of.ends:
            return [(self._step(signal, step), places, False)]
        # The final state of a direction is where that ends.
        side = of.width // len(of.ends)
        final = np.array(of.ends)[units[places] // side] == step
        picked = []
        if final.any():
            picked.append((self.last(signal), places[final], False))
        if not final.all():
            picked.append((self._step(signal, step), places[~final], False))
        return picked

    def _range(self, signal: int, steps: Array) -> int:
        """Return the signal that has some steps of one, in their order or turned round."""
        of = self.signals[signal]
        if len(steps) == 1:
            return signal
        assert of.steps is not None
        up = np.sort(steps)
        stride = int(up[1] - up[0])
        regular = stride > 0 and bool((np.diff(up) == stride).all())
        turned = bool((steps == up[::-1]).all())
        if not regular or not (turned or (steps == up).all()):
            raise RefusedError("expected steps in order")
        first, last = int(up[0]), int(up[-1])
        if first == 0 and last == of.steps - 1 and stride == 1:
            return signal
        if not 0 <= first <= last < of.steps:
            raise RefusedError("it reads steps that there are not")
        start, stop = from_nearer_end(first, of.steps), _stop(last + 1, of.steps, stride)
        return self.once(
            ("steps", signal, start, stop, stride),
            lambda: self.add(Steps(start, stop, stride), [of.name], of.width, len(steps)),
        )

    def _step(self, signal: int, step: int) -> int:
        """Return the signal that has one step of one as a row of each sequence."""
        of = self.signals[signal]
        assert of.steps is not None
        if not 0 <= step < of.steps:
            raise RefusedError("it reads a step that there is not")
        index = from_nearer_end(step, of.steps)
        if index == -1 and not of.ends:
            return self.last(signal)
        return self.once(
            ("step", signal, index), lambda: self.add(Step(index), [of.name], of.width, None)
        )

    def last(self, signal: int) -> int:
        """Return the signal of the final state of each direction, or of the last step."""
        return self.pooled(signal, "last", "")

    def pooled(self, signal: int, pooling: str, title: str) -> int:
        """Return the signal that a pooling over all steps makes of one."""
        of = self.signals[signal]
        return self.once(
            ("pool", signal, pooling),
            lambda: self.add(Pool(pooling), [of.name], of.width, None, title),
        )

    def final_cells(self, signal: int, size: int) -> int:
        """Return the signal of the final cell states of an LSTM, `size` of each direction."""
        of = self.signals[signal]
        return self.once(
            ("cells", signal),
            lambda: self.add(FinalState("cell"), [of.name], size * len(of.ends), None),
        )

    def reversed(self, signal: int) -> int:
        """Return the signal of all steps from the last to the first."""
        of = self.signals[signal]
        return self.once(
            ("reverse", signal), lambda: self.add(Reverse(), [of.name], of.width, of.steps)
        )

    def flattened(self, signal: int) -> int:
        """Return the signal of the units of all steps in one row."""
        of = self.signals[signal]
        assert of.steps is not None
        length = of.steps
        return self.once(
            ("flatten", signal),
            lambda: self.add(Flatten(length), [of.name], of.width * length, None),
        )

    def repeated(self, signal: int, count: int, like: int | None) -> int:
        """Return the signal of a row of each sequence at so many steps, or at those of another."""
        of = self.signals[signal]
        if of.steps is not None:
            return signal
        if like is None:
            return self.once(
                ("repeat", signal, count),
                lambda: self.add(Repeat(count), [of.name], of.width, count),
            )
        other = self.signals[like]
        return self.once(
            ("repeat like", signal, like),
            lambda: self.add(Repeat(), [of.name, other.name], of.width, other.steps),
        )

    def _beside(self, pieces: dict[int, Array], units: Array) -> tuple[int, Array]:
        """Return the signal that has the units of some signals beside each other.

        `pieces` says at which places of a row are units of which signal, `units` which these are.
        Also return which unit of the whole is at each place.
        """
        order = np.empty(len(units), np.int64)
        picked: list[int] = []
        start = 0
        for signal, places in pieces.items():
            places = np.sort(places)
            wanted = units[places]
            if np.array_equal(np.sort(wanted), np.arange(self.signals[signal].width)):
                order[places] = start + wanted
            else:
                signal = self.units(signal, wanted)
                order[places] = start + np.arange(len(wanted))
            picked.append(signal)
            start += len(wanted)
        return (picked[0] if len(picked) == 1 else self.beside(picked)), order

    def beside(self, signals: Sequence[int]) -> int:
        """Return the signal of several beside each other."""
        of = [self.signals[signal] for signal in signals]
        width, names = sum(one.width for one in of), [one.name for one in of]
        return self.once(
            ("beside", *signals), lambda: self.add(Concatenate(), names, width, of[0].steps)
        )

    def units(self, signal: int, wanted: Array) -> int:
        """Return the signal of some units of one, in this order."""
        of = self.signals[signal]
        if np.array_equal(wanted, np.arange(of.width)):
            return signal
        key = ("units", signal, wanted.tobytes())
        starts = np.flatnonzero(np.diff(wanted, prepend=-2) != 1)
        if len(starts) > _MOST_RUNS:
            self.room.take(len(wanted) * of.width * 4)
            matrix = np.zeros((len(wanted), of.width), np.float32)
            matrix[np.arange(len(wanted)), wanted] = 1
            return self.once(
                key, lambda: self.add(DenseLayer(matrix), [of.name], len(wanted), of.steps)
            )
        runs = [(int(run[0]), int(run[-1]) + 1) for run in np.split(wanted, starts[1:])]
        signals = [
            self.once(
                ("range", signal, *run),
                partial(self.add, Units(*run), [of.name], run[1] - run[0], of.steps),
            )
            for run in runs
        ]
        return signals[0] if len(signals) == 1 else self.beside(signals)

    def as_steps(self, rows: Rows) -> Rows:
        """Return rows of sequences as those of steps, at which each of them is repeated."""
        signal = self.repeated(rows.signal, rows.repeated, self.lengths.get(rows.repeated))
        of = self.signals[signal]
        return rows._replace(name=of.name, signal=signal, steps=of.steps, repeated=1)

    def in_order(self, rows: Rows) -> int:
        """Return the signal that has the units of rows in their order in the tensor."""
        return self.units(rows.signal, rows.order)

    def result(self, rows: Rows, signal: int, order: Array | None = None) -> Traced:
        """Return a signal made of rows, row by row, as a tensor whose axes lie as theirs.

        `order` says which unit is at each place; by default they are in order.
        """
        of = self.signals[signal]
        value = self.whole(signal)
        if rows.reverse:
            value = value.take(np.arange(value.shape[1])[::-1], 1)
        if of.steps is None and rows.repeated > 1:
            value = value.broadcast_to((value.shape[0], rows.repeated, value.shape[2]))
        if order is not None:
            value = value.take(order, 2)
        return rows.layout.restored(value)


def _where(array: Array) -> Hashable:
    """Return what tells an array from all others that are kept."""
    if array.nbytes <= _BYTES_TO_COMPARE:
        return array.shape, array.dtype.str, array.tobytes()
    return array.__array_interface__["data"][0], array.shape, array.strides, array.dtype.str


def _groups(keys: Array) -> list[Array]:
    """Return the places of equal rows, the rows that come first at the front."""
    if (keys == keys[0]).all():
        return [np.arange(len(keys))]
    _, first, group = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    places = np.argsort(group, kind="stable")
    groups = np.split(places, np.flatnonzero(np.diff(group[places])) + 1)
    return [groups[n] for n in np.argsort(first)]


def _stop(stop: int, steps: int, stride: int) -> int | None:
    if stop + stride > steps:
        return None
    return from_nearer_end(stop, steps)
