"""From two runs of a PyTorch module to the operations of `lrplstm.graph`.

Sizes that differ are those of the batch and of the steps: what depends on them is counted from the
end, left open, or asked of the inputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lrplstm.graph.operations import Graph, Input, Node
from lrplstm.loaders.refusals import RefusedError
from lrplstm.loaders.torch_reading import Run
from lrplstm.loaders.torch_values import Call
from lrplstm.weights import Array

__all__ = ["LengthsError", "graph_of"]


class LengthsError(RefusedError):
    """A forward calls something else for sequences of other lengths."""


_TO_THE_END = 2**62
_NEARLY = 1e-6
"""What is added to a number of steps, so that nothing is divided by zero, is no more than this."""


def graph_of(torch: Any, runs: Sequence[Run], names: Sequence[str]) -> Graph:
    """Return the operations of a module from two runs, in which sizes tell what they are.

    Parameters
    ----------
    torch : module
    runs : sequence of Run
        Two, of other sizes.
    names : sequence of str
        Of the inputs.

    Raises
    ------
    RefusedError
        If the runs differ in more than sizes.
    """
    return _Joined(torch, runs, names).graph()


class _Joined:
    def __init__(self, torch: Any, runs: Sequence[Run], names: Sequence[str]) -> None:
        self.torch = torch
        self.first, self.second = runs
        self.inputs = {f"input_{n}": name for n, name in enumerate(names)}
        self.constants: dict[str, Array] = {}
        self.nodes: list[Node] = []
        self.sized: dict[str, tuple[Any, Any]] = {}
        self.summed: dict[str, tuple[Call, Call]] = {}

    def graph(self) -> Graph:
        one, another = self.first.translation, self.second.translation
        if len(one.calls) != len(another.calls):
            raise LengthsError(
                "forward does something else for other lengths: "
                f"{len(one.calls)} operations for one, {len(another.calls)} for another; a loop "
                "has to be an LSTM, GRU or plain cell over the steps (from zeros, where it is "
                "written out), or a decoder of what it gave before with a fixed number of turns"
            )
        for name, tensor in one.constants.items():
            if name not in another.constants:
                raise RefusedError(f"{name}: a constant that depends on the number of steps")
            self.sized[name] = tensor, another.constants[name]
        inputs = [
            Input(
                self.inputs[a.name],
                tuple(
                    size if size == other else None
                    for size, other in zip(a.shape, b.shape, strict=True)
                ),
                not a.tensor.is_floating_point(),
            )
            for a, b in zip(self.first.inputs, self.second.inputs, strict=True)
        ]
        for a, b in zip(one.calls, another.calls, strict=True):
            if (a.operator, a.inputs, a.outputs) != (b.operator, b.inputs, b.outputs):
                raise RefusedError(f"{a.place}: it is not the same for other lengths")
            self._add(a, b)
        outputs = [name for name in self.first.outputs if name in self.second.outputs]
        for name in outputs:
            source = self._named(self.first.outputs[name].name)
            self.nodes.append(Node("Identity", (source,), (self._free(name),), {}, name, name))
        nodes, used = list[Node](), {*map(self._free, outputs)}
        for node in reversed(self.nodes):
            if not used.isdisjoint(node.outputs):
                nodes.append(node)
                used.update(node.inputs)
        constants = {name: array for name, array in self.constants.items() if name in used}
        return Graph(tuple(inputs), constants, tuple(nodes[::-1]), tuple(map(self._free, outputs)))

    def _free(self, name: str) -> str:
        """Return a name that no input has."""
        return f"{name} (output)" if name in self.inputs.values() else name

    def _add_constant(self, name: str, place: str) -> None:
        """Add a constant that is the same in both runs, or the same for each step and sequence."""
        one, another = self.sized[name]
        if one.ndim != another.ndim:
            raise RefusedError(f"{place}: {name} depends on the number of steps")
        for axis, (a, b) in enumerate(zip(one.shape, another.shape, strict=True)):
            if a != b:
                first, second = (each.narrow(axis, 0, 1) for each in (one, another))
                if not (one == first).all() or not (another == second).all():
                    raise RefusedError(f"{place}: numbers that depend on the number of steps")
                one, another = first, second
        if not self.torch.equal(one, another):
            raise RefusedError(f"{place}: a number that depends on the number of steps")
        self.constants[name] = one.detach().cpu().numpy()

    def _mean(self, a: Call, b: Call) -> Node | None:
        """Return the mean, for a sum that is divided by how many there are; None for others."""
        summed = self.summed.get(a.inputs[0])
        if a.operator != "Div" or summed is None or a.inputs[1] not in self.sized:
            return None
        axes = summed[0].attributes["axes"]
        sizes = [math.prod(call.shapes[0][axis] for axis in axes) for call in summed]
        counted = all(
            ((tensor - size).abs() <= _NEARLY).all()
            for tensor, size in zip(self.sized[a.inputs[1]], sizes, strict=True)
        )
        if not counted or sizes[0] == sizes[1] or a.shape != a.shapes[0]:
            return None
        inputs = (*map(self._named, summed[0].inputs), self._array(_integers(*axes)))
        options = {"keepdims": summed[0].attributes["keepdims"]}
        return Node("ReduceMean", inputs, a.outputs, options, a.place)

    def _named(self, name: str) -> str:
        return self.inputs.get(name, name)

    def _add(self, a: Call, b: Call) -> None:
        if a.operator == "ReduceSum":
            self.summed[a.outputs[0]] = a, b
        if mean := self._mean(a, b):
            self.nodes.append(mean)
            return
        for name in a.inputs:
            if name in self.sized and name not in self.constants:
                self._add_constant(name, a.place)
        attributes = dict(a.attributes)
        inputs = [self._named(name) for name in a.inputs]
        if a.operator == "Concat":
            inputs = [self._in_full(n, name, a, b) for n, name in enumerate(inputs)]
        sized = {
            key: (attributes.pop(key), b.attributes[key]) for key in _SIZED if key in attributes
        }
        wrong = [key for key, value in attributes.items() if b.attributes.get(key) != value]
        if wrong:
            raise RefusedError(f"{a.place}: {wrong[0]} depends on the number of steps")
        extra = _EXTRA.get(a.operator)
        if a.operator in ("Expand", "Reshape"):
            inputs.append(self._expanded(a, b) if a.operator == "Expand" else self._shape(a, b))
        elif extra is not None:
            attributes, arrays = extra(a, b, attributes, sized)
            for array in arrays:
                inputs.append("" if array is None else self._array(array))
        elif sized:
            raise RefusedError(f"{a.place}: it depends on the number of steps")
        while inputs and not inputs[-1]:
            inputs.pop()
        self.nodes.append(Node(a.operator, tuple(inputs), a.outputs, attributes, a.place, a.title))

    def _in_full(self, n: int, name: str, a: Call, b: Call) -> str:
        """Return an input in the shape that it has, if it is a constant that is repeated."""
        pairs = list(zip(a.shapes[n], b.shapes[n], strict=True))
        if name not in self.constants or all(one == another for one, another in pairs):
            return name
        sizes = [
            1 if one == another else self._size(one, another, a.place) for one, another in pairs
        ]
        whole = f"{name}, repeated ({len(self.nodes)})"
        reads = (name, self._sizes(sizes, a.place))
        self.nodes.append(Node("Expand", reads, (whole,), {}, a.place))
        return whole

    def _shape(self, a: Call, b: Call) -> str:
        """Return a shape: numbers, 0 for a size that stays, and -1 for what is left."""
        sizes: list[int | str] = []
        pairs = list(zip(a.shape, b.shape, strict=True))
        for axis, (one, another) in enumerate(pairs):
            before = a.shapes[0][axis : axis + 1], b.shapes[0][axis : axis + 1]
            if one == another:
                sizes.append(one)
            elif before == ((one,), (another,)):
                sizes.append(0)
            elif any(c != d for c, d in pairs[axis + 1 :]) or -1 in sizes:
                sizes.append(self._size(one, another, a.place))
            else:
                sizes.append(-1)
        return self._sizes(sizes, a.place)

    def _expanded(self, a: Call, b: Call) -> str:
        """Return what a value is expanded to: numbers, and sizes that inputs have."""
        added = len(a.shape) - len(a.shapes[0])
        sizes: list[int | str] = []
        for axis, (one, another) in enumerate(zip(a.shape, b.shape, strict=True)):
            before = a.shapes[0][axis - added] if axis >= added else 1
            if before == one or one == another:
                sizes.append(1 if before == one else one)
            else:
                sizes.append(self._size(one, another, a.place))
        return self._sizes(sizes, a.place)

    def _sizes(self, sizes: Sequence[int | str], place: str) -> str:
        if all(isinstance(size, int) for size in sizes):
            return self._array(_integers(*[size for size in sizes if isinstance(size, int)]))
        names = [size if isinstance(size, str) else self._array(_integers(size)) for size in sizes]
        name = f"size_{len(self.constants)}_{len(self.nodes)}"
        self.nodes.append(Node("Concat", tuple(names), (name,), {"axis": 0}, place))
        return name

    def _size(self, one: int, another: int, place: str) -> str:
        """Return a size that an input has in both runs."""
        for a, b in zip(self.first.inputs, self.second.inputs, strict=True):
            for axis, sizes in enumerate(zip(a.shape, b.shape, strict=True)):
                if sizes == (one, another):
                    source, name = self.inputs[a.name], f"size_{axis}_of_{self.inputs[a.name]}"
                    if not any(name in node.outputs for node in self.nodes):
                        options = {"start": axis, "end": axis + 1}
                        self.nodes.append(Node("Shape", (source,), (name,), options, place))
                    return name
        raise RefusedError(f"{place}: it is repeated {one} times, which is the size of no input")

    def _array(self, array: Array) -> str:
        name = f"size_{len(self.constants)}"
        self.constants[name] = array
        return name


_SIZED = ("shape", "index", "start", "end")


def _integers(*numbers: int) -> Array:
    return np.array(numbers, np.int64)


_Sized = Mapping[str, tuple[Any, Any]]
_Extra = Callable[[Call, Call, dict[str, Any], _Sized], tuple[dict[str, Any], list[Array | None]]]


def _counted(a: int, b: int, one: int, another: int, place: str) -> int:
    """Return a place along an axis of one size and of another, from its beginning or its end."""
    if a == b:
        return a
    if a - one == b - another:
        return a - one if a < one else _TO_THE_END
    raise RefusedError(f"{place}: which step it is, depends on the number of steps")


def _gather(a: Call, b: Call, attributes: dict[str, Any], sized: _Sized) -> Any:
    if "index" not in sized:
        return attributes, []
    axis = attributes["axis"]
    index = _counted(*sized["index"], a.shapes[0][axis], b.shapes[0][axis], a.place)
    return attributes, [np.array(index, np.int64)]


def _slice(a: Call, b: Call, attributes: dict[str, Any], sized: _Sized) -> Any:
    axis, step = attributes.pop("axis"), attributes.pop("step")
    sizes = a.shapes[0][axis], b.shapes[0][axis]
    start = _counted(*sized["start"], *sizes, a.place)
    if "end" not in sized:
        return attributes, [
            _integers(-1),
            _integers(-_TO_THE_END),
            _integers(axis),
            _integers(step),
        ]
    whole = sized["end"] == sizes
    end = _TO_THE_END if whole else _counted(*sized["end"], *sizes, a.place)
    return attributes, [_integers(start), _integers(end), _integers(axis), _integers(step)]


def _axes(a: Call, b: Call, attributes: dict[str, Any], sized: _Sized) -> Any:
    return attributes, [_integers(*attributes.pop("axes"))]


def _pads(a: Call, b: Call, attributes: dict[str, Any], sized: _Sized) -> Any:
    return attributes, [_integers(*attributes.pop("pads"))]


def _repeats(a: Call, b: Call, attributes: dict[str, Any], sized: _Sized) -> Any:
    return attributes, [_integers(*attributes.pop("repeats"))]


_EXTRA: dict[str, _Extra] = {
    "Gather": _gather,
    "Slice": _slice,
    "Squeeze": _axes,
    "Unsqueeze": _axes,
    "ReduceMean": _axes,
    "ReduceSum": _axes,
    "ReduceMax": _axes,
    "ReduceMin": _axes,
    "Pad": _pads,
    "Tile": _repeats,
}
