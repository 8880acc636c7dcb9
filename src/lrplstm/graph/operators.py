"""ONNX operators, as far as they shape tensors and compute with constants.

An operator is a function of a `Call`. Most do the same to an array that is known as to a tensor
that is traced. How operators changed from opset to opset is followed without asking which it is
wherever the old form and the new one cannot be confused: axes are an attribute, or an input.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from operator import index
from typing import Any, TypeVar

import numpy as np

from lrplstm.graph.operations import Node
from lrplstm.graph.signals import Network
from lrplstm.graph.tracing import Traced
from lrplstm.loaders.refusals import RefusedError, Room
from lrplstm.texts import shown
from lrplstm.weights import Array

__all__ = [
    "OPERATORS",
    "Call",
    "Unreadable",
    "Value",
    "operator",
    "take",
]

_MOST_AXES = 16
_MOST_NUMBERS = 256
_MOST_TENSORS = 4096


@dataclass(frozen=True)
class Unreadable:
    """A tensor that nothing may read, and what it is."""

    what: str


Value = Array | Traced | Unreadable


@dataclass(frozen=True)
class Call:
    """A node with the values that it reads.

    Attributes
    ----------
    node : Node
    values : tuple of Value or None
        None for an optional input that is left out.
    opset : int
    network : Network
        What is read so far; operators add to it, and change nothing else.
    outer : callable
        From the name of a tensor outside of a loop or branch to what it is.
    apply : callable
        From a node of a branch, and what such names are in there, to what it gives.
    """

    node: Node
    values: tuple[Value | None, ...]
    opset: int
    network: Network
    outer: Callable[[str], Value]
    apply: Callable[[Node, Callable[[str], Value]], tuple[Value, ...]]

    @property
    def room(self) -> Room:
        """How much may still be made."""
        return self.network.room

    def add(self, layer: Any, reads: Sequence[str], width: int, steps: int | None) -> int:
        """Add a layer that was made of this node; return the number of the signal it gives."""
        return self.network.add(layer, reads, width, steps, self.node.title, self.node.place)

    def attribute(self, name: str, default: Any = None) -> Any:
        """Return an attribute, which has to be of the type of the default, if that has one."""
        value = self.node.attributes.get(name, default)
        if default is not None and type(value) is not type(default):
            raise RefusedError(f"attribute {name}: expected {type(default).__name__}")
        return value

    def optional(self, n: int) -> Array | Traced | None:
        """Return what it reads there, if anything."""
        value = self.values[n] if n < len(self.values) else None
        if isinstance(value, Unreadable):
            raise RefusedError(f"it reads {value.what}")
        return value

    def value(self, n: int) -> Array | Traced:
        """Return what it reads there."""
        value = self.optional(n)
        if value is None:
            raise RefusedError(f"expected an input {n}, found none")
        return value

    def constant(self, n: int) -> Array:
        """Return what it reads there, which has to be known."""
        value = self.value(n)
        if isinstance(value, Traced):
            raise RefusedError(
                f"expected a constant as input {n}, got what depends on the input of the graph"
            )
        return value

    def traced(self, n: int) -> Traced:
        """Return what it reads there, which has to depend on the input."""
        value = self.value(n)
        if not isinstance(value, Traced):
            raise RefusedError(f"expected states or scores as input {n}, got a constant")
        return value

    def numbers(self, name: str, n: int) -> list[int] | None:
        """Return integers that are an attribute or, in newer opsets, a constant input; or None."""
        found = self.node.attributes.get(name)
        if found is None:
            if self.optional(n) is None:
                return None
            found = self.constant(n)
            if found.dtype.kind != "i" or found.ndim > 1:
                raise RefusedError(f"{name}: expected integers, got {found.dtype}")
            found = found.reshape(-1)
        if not isinstance(found, list | np.ndarray) or len(found) > _MOST_NUMBERS:
            raise RefusedError(f"{name}: expected up to {_MOST_NUMBERS} integers")
        return [index(number) for number in found]

    def axis(self, axis: int, ndim: int) -> int:
        """Return an axis, which may be counted from the end, counted from the start."""
        if not -ndim <= axis < ndim:
            raise RefusedError(f"expected an axis of {ndim}, got {axis}")
        return axis % ndim

    def afford(self, shape: Sequence[int], dtype: np.dtype[Any]) -> None:
        """Note that an array is about to be made."""
        self.room.take(math.prod(shape) * dtype.itemsize)


Operator = Callable[[Call], Value | tuple[Value, ...]]

OPERATORS: dict[str, tuple[Operator, frozenset[str]]] = {}
"""What operators do, and what attributes they have, by their names."""


_Function = TypeVar("_Function", bound=Operator)


def operator(*names: str, attributes: Sequence[str] = ()) -> Callable[[_Function], _Function]:
    """Enter a function as what operators of these names do."""

    def enter(function: _Function) -> _Function:
        OPERATORS.update(dict.fromkeys(names, (function, frozenset(attributes))))
        return function

    return enter


# Shapes -----------------------------------------------------------------------------------------


def take(call: Call, value: Array | Traced, indices: Array, axis: int) -> Array | Traced:
    """Return what lies at some indices along an axis."""
    if isinstance(value, Traced):
        return value.take(indices, axis)
    call.afford((*value.shape[:axis], indices.size, *value.shape[axis + 1 :]), value.dtype)
    return np.asarray(value.take(indices, axis))


def _reshape(call: Call, value: Array | Traced, shape: Sequence[int]) -> Array | Traced:
    if len(shape) > _MOST_AXES:
        raise RefusedError(f"expected up to {_MOST_AXES} axes, got {len(shape)}")
    if not isinstance(value, Traced):
        call.afford(value.shape, value.dtype)  # what does not lie as it should is copied
    return value.reshape(tuple(shape))


@operator("Identity")
@operator("Dropout", attributes=("ratio", "seed"))
def _pass_on(call: Call) -> Value:
    training = call.optional(2)
    if training is not None and call.constant(2).any():
        raise RefusedError("it is in training mode")
    return call.value(0)


@operator("Transpose", attributes=("perm",))
def _transpose(call: Call) -> Value:
    value = call.value(0)
    return value.transpose(call.attribute("perm") or tuple(reversed(range(value.ndim))))


@operator("Reshape", attributes=("allowzero",))
def _change_shape(call: Call) -> Value:
    value, shape = call.value(0), call.numbers("shape", 1)
    if shape is None or shape.count(-1) > 1 or min(shape, default=0) < -1:
        raise RefusedError(f"expected a shape, got {shown(shape)}")
    if not call.attribute("allowzero", 0):
        shape = [value.shape[n] if size == 0 else size for n, size in enumerate(shape)]
    if -1 in shape:
        known = -math.prod(shape)
        shape[shape.index(-1)] = math.prod(value.shape) // known if known else 0
    if isinstance(value, Traced) and math.prod(shape) != math.prod(value.shape):
        raise RefusedError(
            f"it makes shape {shown(tuple(shape))} of {value.shape}: the file is for one number of "
            "steps or sequences, though its inputs say otherwise; export it with these fixed"
        )
    return _reshape(call, value, shape)


@operator("Flatten", attributes=("axis",))
def _flatten(call: Call) -> Value:
    value = call.value(0)
    axis = call.axis(call.attribute("axis", 1), value.ndim + 1)
    return _reshape(call, value, (math.prod(value.shape[:axis]), math.prod(value.shape[axis:])))


@operator("Squeeze", attributes=("axes",))
def _squeeze(call: Call) -> Value:
    value, axes = call.value(0), call.numbers("axes", 1)
    if axes is None:
        axes = [axis for axis, size in enumerate(value.shape) if size == 1]
    axes = [call.axis(axis, value.ndim) for axis in axes]
    if any(value.shape[axis] != 1 for axis in axes):
        raise RefusedError(f"expected size 1 at the axes {shown(axes)}, got shape {value.shape}")
    return _reshape(call, value, [n for axis, n in enumerate(value.shape) if axis not in axes])


@operator("Unsqueeze", attributes=("axes",))
def _unsqueeze(call: Call) -> Value:
    value, axes = call.value(0), call.numbers("axes", 1) or []
    axes = [call.axis(axis, value.ndim + len(axes)) for axis in axes]
    if len(set(axes)) != len(axes):
        raise RefusedError(f"expected different axes, got {shown(axes)}")
    shape = list(value.shape)
    for axis in sorted(axes):
        shape.insert(axis, 1)
    return _reshape(call, value, shape)


@operator("Shape", attributes=("start", "end"))
def _shape(call: Call) -> Value:
    kept = slice(call.attribute("start", 0), call.attribute("end"))
    return np.array(call.value(0).shape[kept], np.int64)


@operator("Slice", attributes=("starts", "ends", "axes"))
def _slice(call: Call) -> Value:
    value = call.value(0)
    starts, ends = call.numbers("starts", 1) or [], call.numbers("ends", 2) or []
    axes = call.numbers("axes", 3) or list(range(len(starts)))
    steps = call.numbers("steps", 4) or [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        axis = call.axis(axis, value.ndim)
        value = take(call, value, np.arange(value.shape[axis])[start:end:step], axis)
    return value


@operator("Split", attributes=("axis", "split", "num_outputs"))
def _split(call: Call) -> tuple[Value, ...]:
    value = call.value(0)
    axis = call.axis(call.attribute("axis", 0), value.ndim)
    sizes, size = call.numbers("split", 1), value.shape[axis]
    if sizes is None:
        parts = len(call.node.outputs)
        whole = -(-size // parts)
        sizes = [*[whole] * (parts - 1), size - whole * (parts - 1)]
    if sum(sizes) != size or min(sizes) < 1:
        raise RefusedError(f"expected parts of {size} in all, got {shown(sizes)}")
    ends = np.cumsum(sizes)
    return tuple(
        take(call, value, np.arange(end - size, end), axis)
        for end, size in zip(ends, sizes, strict=True)
    )


@operator("Expand")
def _expand(call: Call) -> Value:
    value, wanted = call.value(0), call.numbers("shape", 1) or []
    shape = np.broadcast_shapes(value.shape, tuple(wanted))
    if isinstance(value, Traced):
        return value.broadcast_to(shape)
    call.afford(shape, value.dtype)
    return np.broadcast_to(value, shape)


@operator("ReverseSequence", attributes=("batch_axis", "time_axis"))
def _reverse(call: Call) -> Value:
    value, lengths = call.value(0), call.constant(1)
    axis = call.axis(call.attribute("time_axis", 0), value.ndim)
    if (lengths != value.shape[axis]).any():
        raise RefusedError("it reverses parts of sequences")
    return take(call, value, np.arange(value.shape[axis])[::-1], axis)


_DTYPES = {1: "f4", 6: "i4", 7: "i8", 9: "?", 10: "f4", 11: "f8", 16: "f4"}
"""Of the element types in onnx.proto; half precision is computed in single precision."""


@operator("Cast", attributes=("to", "saturate", "round_mode"))
def _cast(call: Call) -> Value:
    value, code = call.value(0), call.attribute("to", 0)
    if code not in _DTYPES:
        raise RefusedError(f"expected a type of float or integer numbers, got type {code}")
    dtype = np.dtype(_DTYPES[code])
    if not isinstance(value, Traced):
        call.afford(value.shape, dtype)
        return value.astype(dtype)
    if dtype.kind == "f" and not value.integers:
        return value
    if dtype.kind == "i" and call.network.is_input(value):
        return replace(value, integers=True)  # ids, perhaps handed over as floats
    raise RefusedError("it turns numbers that the input decides into another kind")


# Constants --------------------------------------------------------------------------------------


@operator(
    "Constant", attributes=("value", "value_float", "value_floats", "value_int", "value_ints")
)
def _constant(call: Call) -> Value:
    ((name, value),) = call.node.attributes.items()
    if name == "value":
        return np.asarray(value)
    call.room.take(np.size(value) * 8)
    return np.array(value, np.float32 if "float" in name else np.int64)


@operator("ConstantOfShape", attributes=("value",))
def _constant_of_shape(call: Call) -> Value:
    value = np.asarray(call.attribute("value", np.zeros(1, np.float32)))
    shape = call.numbers("shape", 0) or []
    if min(shape, default=1) < 0 or len(shape) > _MOST_AXES or value.size != 1:
        raise RefusedError(f"expected a shape and one number, got {shown(shape)}")
    call.afford(shape, value.dtype)
    return np.broadcast_to(value.reshape(()), shape)


@operator("Range")
def _range(call: Call) -> Value:
    start, stop, step = (call.constant(n) for n in range(3))
    if any(part.dtype.kind != "i" or part.size != 1 for part in (start, stop, step)):
        raise RefusedError("expected integers")
    bounds = int(start), int(stop), int(step)
    call.afford((len(range(*bounds)),), np.dtype(np.int64))
    return np.arange(*bounds).astype(start.dtype)


@operator("ReduceProd", attributes=("axes", "keepdims", "noop_with_empty_axes"))
def _product(call: Call) -> Value:
    axes, keep = call.numbers("axes", 1), bool(call.attribute("keepdims", 1))
    if not axes and call.attribute("noop_with_empty_axes", 0):
        return call.constant(0)
    return np.asarray(call.constant(0).prod(axis=tuple(axes) if axes else None, keepdims=keep))


@operator("Where")
def _where(call: Call) -> Value:
    condition = call.constant(0)
    one = call.values[1 if condition.all() else 2]
    if isinstance(one, Traced) and condition.all() == condition.any():
        others = [value.shape for value in call.values if isinstance(value, Traced | np.ndarray)]
        return one.broadcast_to(np.broadcast_shapes(*others))
    parts = [call.constant(n) for n in range(3)]
    shape = np.broadcast_shapes(*(part.shape for part in parts))
    call.afford(shape, parts[1].dtype)
    return np.where(*parts)


# Sequences of tensors ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Tensors(Unreadable):
    """Several tensors, of which nodes read one."""

    each: tuple[Value, ...]


@operator("SplitToSequence", attributes=("axis", "keepdims"))
def _split_to_sequence(call: Call) -> Value:
    value, axis = call.value(0), call.axis(call.attribute("axis", 0), call.value(0).ndim)
    if call.optional(1) is not None or value.shape[axis] > _MOST_TENSORS:
        raise RefusedError(f"expected up to {_MOST_TENSORS} parts of one each")
    parts = [take(call, value, np.array([n]), axis) for n in range(value.shape[axis])]
    if not call.attribute("keepdims", 1):
        shape = [size for n, size in enumerate(value.shape) if n != axis]
        parts = [_reshape(call, part, shape) for part in parts]
    return Tensors("several tensors", tuple(parts))


@operator("SequenceAt")
def _sequence_at(call: Call) -> Value:
    several, number = call.values[0], int(call.constant(1).reshape(()))
    if not isinstance(several, Tensors) or not -len(several.each) <= number < len(several.each):
        raise RefusedError("expected the number of one of several tensors")
    return several.each[number]


_OF_CONSTANTS: dict[str, Callable[..., Any]] = {
    "And": np.logical_and,
    "Ceil": np.ceil,
    "Floor": np.floor,
    "GreaterOrEqual": np.greater_equal,
    "IsNaN": np.isnan,
    "LessOrEqual": np.less_equal,
    "Not": np.logical_not,
    "Or": np.logical_or,
    "Reciprocal": np.reciprocal,
    "Round": np.round,
    "Sign": np.sign,
    "Size": np.size,
    "Sqrt": np.sqrt,
}


@operator(*_OF_CONSTANTS)
def _of_constants(call: Call) -> Value:
    parts = [call.constant(n) for n in range(len(call.values))]
    call.afford(np.broadcast_shapes(*(part.shape for part in parts)), parts[0].dtype)
    return np.asarray(_OF_CONSTANTS[call.node.operator](*parts))


@operator("Mod", attributes=("fmod",))
def _modulo(call: Call) -> Value:
    first, second = call.constant(0), call.constant(1)
    call.afford(np.broadcast_shapes(first.shape, second.shape), first.dtype)
    return np.asarray((np.fmod if call.attribute("fmod", 0) else np.mod)(first, second))


@operator("Trilu", attributes=("upper",))
def _triangle(call: Call) -> Value:
    matrix = call.constant(0)
    diagonal = 0 if call.optional(1) is None else int(call.constant(1).reshape(()))
    call.afford(matrix.shape, matrix.dtype)
    return np.triu(matrix, diagonal) if call.attribute("upper", 1) else np.tril(matrix, diagonal)
