"""What the tensors of a recorded run are: constants, what operations give, steps of a loop.

A run has tensors of certain sizes. What is emitted here has these sizes still; two runs of other
sizes show which of them are those of the batch and of the steps (`lrplstm.loaders.torch_graph`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from lrplstm.loaders.refusals import RefusedError

__all__ = [
    "OPERATORS",
    "Call",
    "Mask",
    "Padding",
    "Source",
    "Steps",
    "Translation",
    "Value",
    "operator",
]


class Padding(NamedTuple):
    """What only fills up the sequences of an input: an id, or what all numbers of a step are."""

    input: str
    number: float


class Mask(NamedTuple):
    """What a constant of a run says of padding, of which that run has none.

    Attributes
    ----------
    padding : Padding
    counts : bool
        Whether it is a number of steps, rather than something of each.
    """

    padding: Padding
    counts: bool = False


@dataclass(eq=False)
class Value:
    """A tensor of the run, or one that stands for several of them.

    Attributes
    ----------
    tensor : torch.Tensor
        Its numbers in this run.
    name : str
        Of the tensor in the graph; empty while it has none.
    constant : bool
        Whether it depends on no input, but for a mask of padding.
    mask : Mask, optional
        What a constant says of padding.
    parts : tuple of Value
        What it is a stack of along its first axis: the final states of several layers.
    steps, step : Steps and int, optional
        What it is a step of, and which.
    alone : callable, optional
        Makes it without the other steps, if they are not all there.
    reshaped : Value, optional
        The same numbers in another shape.
    view : tuple of (Value, int, int), optional
        The value, axis and index that it is a view of.
    written : dict
        What was written to it, by the index.
    axis : int
        The axis of that index.
    """

    tensor: Any
    name: str = ""
    constant: bool = False
    mask: Mask | None = None
    parts: tuple[Value, ...] = ()
    steps: Steps | None = None
    step: int = 0
    alone: Callable[[], Value] | None = None
    reshaped: Value | None = None
    view: tuple[Value, int, int] | None = None
    written: dict[int, Value] = field(default_factory=dict)
    axis: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """That of its tensor."""
        return tuple(self.tensor.shape)

    @property
    def rank(self) -> int:
        """How many axes it has."""
        return len(self.shape)


@dataclass(eq=False)
class Steps:
    """The steps of a sequence, or what a loop makes of each.

    Attributes
    ----------
    count : int
    make : callable
        Returns the whole, steps first. It is asked once, when all members are there.
    members : dict of Value by step
    apart : bool
        Whether some member was made by itself, so that the others are, too.
    """

    count: int
    make: Callable[[], Value]
    members: dict[int, Value] = field(default_factory=dict)
    apart: bool = False
    _whole: Value | None = None

    def whole(self) -> Value | None:
        """Return all steps as one value; None if they are not all there yet."""
        if self._whole is None and len(self.members) == self.count:
            self._whole = self.make()
        return self._whole


class Source(NamedTuple):
    """An input that a value has the numbers of, or sums of their absolute values."""

    value: Value
    absolute: bool


@dataclass(frozen=True)
class Call:
    """An operation of the graph, with sizes as they are in this run.

    Attributes
    ----------
    operator : str
        Of ONNX.
    inputs, outputs : tuple of str
    attributes : dict
        Of ONNX, and what ONNX has as inputs that are sizes: "shape", "index", "start", "end".
    shapes : tuple of tuple of int
        Of the inputs.
    shape : tuple of int
        Of what it gives first.
    place : str
        Where it is in the module.
    title : str
        The part of the module that it is of, or what PyTorch calls it.
    """

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    shapes: tuple[tuple[int, ...], ...]
    shape: tuple[int, ...]
    place: str
    title: str


class Translation:
    """What has been understood of a run so far.

    Attributes
    ----------
    torch : module
    parameters : mapping of str by int
        Names of the module's own tensors, by their identity.
    calls : list of Call
    constants : dict of tensors by name
    inputs : dict of Value by str
    paddings : dict of float by str
        What the module takes for padding, by the names of its inputs.
    place : str
        What is being read, for errors.
    operator : str
        What PyTorch calls it.
    """

    def __init__(self, torch: Any, parameters: Mapping[int, str]) -> None:
        self.torch = torch
        self.parameters = dict(parameters)
        self.calls: list[Call] = []
        self.constants: dict[str, Any] = {}
        self.inputs: dict[str, Value] = {}
        self.paddings: dict[str, float] = {}
        self.place = "forward"
        self.operator = ""
        self._emitted: dict[Any, list[Value]] = {}
        self._givers: dict[str, Call] = {}
        self._names: dict[int, str] = {}
        self._steps: dict[tuple[int, int], Steps] = {}
        self._kept: list[Any] = []  # so that nothing else gets an identity that is a key

    def emit(
        self,
        operator: str,
        inputs: Sequence[Value | None],
        tensor: Any,
        **attributes: Any,
    ) -> Value:
        """Add an operation, and return what it gives; None is an input that is left out."""
        return self.emit_several(operator, inputs, [tensor], **attributes)[0]

    def emit_several(
        self,
        operator: str,
        inputs: Sequence[Value | None],
        tensors: Sequence[Any],
        **attributes: Any,
    ) -> list[Value]:
        """Add an operation, and return all that it gives."""
        names = tuple("" if value is None else self.name(value) for value in inputs)
        key = operator, names, repr(sorted(attributes.items()))
        if key in self._emitted:  # the same once more
            return self._emitted[key]
        values = self._emitted[key] = [
            Value(tensor, f"_{len(self.calls)}_{n}") for n, tensor in enumerate(tensors)
        ]
        call = Call(
            operator,
            names,
            tuple(value.name for value in values),
            {key: value for key, value in attributes.items() if value is not None},
            tuple(() if value is None else value.shape for value in inputs),
            values[0].shape,
            self.place,
            self._title(names),
        )
        self.calls.append(call)
        self._givers.update(dict.fromkeys(call.outputs, call))
        return values

    def _title(self, names: Sequence[str]) -> str:
        """Return the module whose tensors are read, or what PyTorch calls the operation."""
        own = set(self.parameters.values())
        paths = (name.rpartition(".")[0] for name in names if name in own)
        return next(filter(None, paths), self.operator)

    def refuse(self, what: str) -> RefusedError:
        """Return an error about what is being read."""
        return RefusedError(f"{self.place}: {what}")

    # Names --------------------------------------------------------------------------------------

    def name(self, value: Value) -> str:
        """Return the name of a value in the graph; what is not in it yet, is added."""
        if value.written:
            self._fill(value)
        if not value.name:
            value.name = self._named(value)
        return value.name

    def _named(self, value: Value) -> str:
        if value.constant:
            return self._constant(value.tensor)
        if value.parts:
            return self.name(self.stacked(value.parts, 0))
        if value.steps is not None:
            whole = None if value.steps.apart and value.alone else value.steps.whole()
            if whole is not None:
                gathered = self.emit("Gather", [whole], value.tensor, axis=0, index=value.step)
                return self.name(gathered)
            if value.alone is not None:
                value.steps.apart = True
                return self.name(value.alone())
        raise self.refuse(
            "it reads states of a loop before that ends, or the loop does not do the same at each "
            "of the steps"
        )

    def _constant(self, tensor: Any) -> str:
        name = self.parameters.get(id(tensor)) or self._names.get(id(tensor))
        if name is None:
            name = self._names[id(tensor)] = f"constant_{len(self._names)}"
        self._kept.append(tensor)
        self.constants[name] = tensor
        return name

    def known(self, tensor: Any) -> Value:
        """Return a constant."""
        return Value(tensor, constant=True)

    def called(self, value: Value, source: Value, what: str) -> None:
        """Let a constant that is made of a parameter be called after it."""
        name = self.parameters.get(id(source.tensor))
        if name is not None:
            self.parameters[id(value.tensor)] = f"{name} ({what})"
            self._kept.append(value.tensor)

    def number(self, number: float, like: Value) -> Value:
        """Return a number as a constant of the dtype of a value."""
        return self.known(self.torch.tensor(number, dtype=like.tensor.dtype))

    # Padding ------------------------------------------------------------------------------------

    def input_of(self, value: Value) -> Source | None:
        """Return the input that a value shows the numbers of, in whatever shape; None of others."""
        name, operators = value.name, list[str]()
        while (call := self._givers.get(name)) is not None:
            operators.append(call.operator)
            name = call.inputs[0]
        absolute = "Abs" in operators
        followed = _MOVING | {"Abs", "ReduceSum", "ReduceMax"} if absolute else _MOVING
        if name not in self.inputs or not followed.issuperset(operators):
            return None
        return Source(self.inputs[name], absolute)

    def note_padding(self, padding: Padding) -> None:
        """Note what is taken for padding, which is one number of each input."""
        if self.paddings.setdefault(padding.input, padding.number) != padding.number:
            raise self.refuse(
                f"it compares inputs with {padding.number:g}, and with "
                f"{self.paddings[padding.input]:g} before; expected one number, that of padding"
            )

    # Axes ---------------------------------------------------------------------------------------

    def transposed(self, value: Value, order: Sequence[int]) -> Value:
        """Return a value with its axes in another order."""
        if list(order) == sorted(order):
            return value
        return self.emit("Transpose", [value], value.tensor.permute(*order), perm=list(order))

    def reshaped(self, value: Value, tensor: Any) -> Value:
        """Return a value in the shape of a tensor that has the same numbers."""
        if value.shape == tuple(tensor.shape):
            return value
        if value.reshaped is not None and value.reshaped.shape == tuple(tensor.shape):
            return value.reshaped  # and back
        made = self.emit("Reshape", [value], tensor, shape=list(tensor.shape))
        made.reshaped = value
        return made

    def stacked(self, values: Sequence[Value], axis: int) -> Value:
        """Return values side by side along a new axis."""
        rows = [
            self.emit("Unsqueeze", [value], value.tensor.unsqueeze(axis), axes=[axis])
            for value in values
        ]
        return rows[0] if len(rows) == 1 else self.joined(rows, axis)

    def joined(self, values: Sequence[Value], axis: int) -> Value:
        """Return values one after the other along an axis that they have."""
        tensor = self.torch.cat([value.tensor for value in values], axis)
        return self.emit("Concat", values, tensor, axis=axis)

    # Steps --------------------------------------------------------------------------------------

    def steps_of(self, value: Value, axis: int) -> Steps:
        """Return the steps of a value along an axis."""
        key = id(value), axis
        if key not in self._steps:
            order = [axis, *(n for n in range(value.rank) if n != axis)]
            steps = Steps(value.shape[axis], lambda: self.transposed(value, order))
            for t in range(steps.count):
                steps.members[t] = Value(value.tensor.select(axis, t), steps=steps, step=t)
            self._steps[key] = steps
            self._kept.append(value)
        return self._steps[key]

    def whole(self, values: Sequence[Value], axis: int, *, merged: bool = False) -> Value | None:
        """Return what has these steps, along a new axis or merged with one that they have.

        None if they are not all of the steps of one thing, in their order or from the last one on.
        """
        if not values or len({id(value.steps) for value in values}) > 1:
            return None
        steps, order = values[0].steps, [value.step for value in values]
        if steps is None or len(order) != steps.count:
            return None
        forwards = list(range(steps.count))
        if order not in (forwards, forwards[::-1]) or (whole := steps.whole()) is None:
            return None
        if order != forwards:
            whole = self.emit(
                "Slice", [whole], whole.tensor.flip(0), axis=0, start=steps.count - 1, step=-1
            )
        moved = self.transposed(whole, [*range(1, axis + 1), 0, *range(axis + 1, whole.rank)])
        if not merged:
            return moved
        return self.reshaped(moved, moved.tensor.flatten(axis, axis + 1))

    def _fill(self, value: Value) -> None:
        """Let a tensor that was written to be what was written."""
        rows = [value.written.get(t) for t in range(value.shape[value.axis])]
        written = [row for row in rows if row is not None]
        if len(written) < len(rows):
            raise self.refuse("a tensor is filled in part only")
        value.written = {}
        whole = self.whole(written, value.axis) or self.stacked(written, value.axis)
        value.name, value.constant = self.name(whole), False


_MOVING = frozenset("Transpose Unsqueeze Squeeze Reshape Gather Slice".split())
"""What changes the shape of an input, or takes a part of it."""

# Handlers ---------------------------------------------------------------------------------------

OPERATORS: dict[str, Callable[..., Any]] = {}
"""What translates each of PyTorch's operators, by its name.

A handler gets the translation, what the operator gave in this run, and its arguments by their
names, with values for tensors; its own name and function, too, if it has parameters for them.
"""


def operator(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter a function as the handler of operators of these names."""

    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        OPERATORS.update(dict.fromkeys(names, function))
        return function

    return enter
