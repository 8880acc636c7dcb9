"""Calls of Keras layers -> a graph of operations, whose operators are those of ONNX.

What layers of a class do is a function of a `Use`, entered with `translates`; it emits operations
and returns the tensors that the layer gives. Tensors lie as Keras has them: (batch, steps, units).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np

from lrplstm.graph.operations import Graph, Input, Node
from lrplstm.loaders.keras import arrays
from lrplstm.loaders.keras.calls import Call, Program, Reference
from lrplstm.loaders.keras.config import KerasLayer
from lrplstm.loaders.keras.stores import Store, Weight
from lrplstm.texts import shown
from lrplstm.weights import Array

__all__ = [
    "CLASSES",
    "Mask",
    "Padding",
    "Tensor",
    "Translation",
    "Use",
    "translate",
    "translates",
]


@dataclass(frozen=True)
class Padding:
    """Which steps only fill sequences up: those of a tensor at which all numbers are a value."""

    tensor: str
    value: float


@dataclass(frozen=True)
class Mask:
    """A tensor that says of each step whether it is read, as a Functional model of Keras 3 has it.

    Attributes
    ----------
    padding : Padding or bool
        Which steps are not read; or True or False for all alike.
    of_steps : bool
        Whether it says so of steps, and not yet of each number.
    """

    padding: Padding | bool
    of_steps: bool


@dataclass(frozen=True)
class Tensor:
    """A tensor of the graph.

    Attributes
    ----------
    name : str
    shape : tuple of int or None
    padding : Padding, optional
        Which of its steps are padding.
    masked : bool
        Whether Keras hands on which they are.
    turned : bool
        Whether it has its steps from the last to the first, and Keras its mask the other way.
    halves : (Tensor, float), optional
        The tensor whose two halves it is the sum of, and the factor of that sum. What multiplies
        it with weights W reads that one with [W W].
    """

    name: str
    shape: tuple[int | None, ...]
    padding: Padding | None = None
    masked: bool = False
    turned: bool = False
    halves: tuple[Tensor, float] | None = None

    @property
    def width(self) -> int | None:
        """The size of its last axis."""
        return self.shape[-1]


Value = Tensor | Mask
Translate = Callable[["Use"], Value | Sequence[Value]]

CLASSES: dict[str, Translate] = {}
"""What is made of layers, by their classes."""

_Function = TypeVar("_Function", bound=Translate)


def translates(*class_names: str) -> Callable[[_Function], _Function]:
    """Enter a function as what layers of these classes do."""

    def enter(function: _Function) -> _Function:
        CLASSES.update(dict.fromkeys(class_names, function))
        return function

    return enter


@dataclass
class Translation:
    """What has been translated so far.

    Attributes
    ----------
    store : Store
    version : int
        Of Keras: 1, 2 or 3.
    vocabularies : mapping of bytes by str
    settings : dict
        What the config says of what arguments of `from_keras` can say, too; of several layers what
        the last says.
    heeds, ignores : dict of str by Padding
        The first layer that passes over such steps, and the first that reads them.
    warned : set of Padding
        Of whose steps a maximum is taken.
    vocabulary : tuple of (str or None), optional
        Of a layer that makes ids of words.
    text_length : int, optional
        How many ids that layer makes of every text.
    """

    store: Store
    version: int
    vocabularies: Mapping[str, bytes] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    heeds: dict[Padding, str] = field(default_factory=dict)
    ignores: dict[Padding, str] = field(default_factory=dict)
    warned: set[Padding] = field(default_factory=set)
    vocabulary: tuple[str | None, ...] | None = None
    text_length: int | None = None
    inputs: dict[str, Input] = field(default_factory=dict)
    constants: dict[str, Array] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    _weights: dict[tuple[str, ...], list[Weight]] = field(default_factory=dict)
    _given: dict[str, int] = field(default_factory=dict)

    def graph(self, output: Tensor, name: str) -> Graph:
        """Return the graph, whose output has this name, and its constants one dtype."""
        weights = [weight.array for stored in self._weights.values() for weight in stored]
        doubles = any(array.dtype == np.float64 for array in weights)
        dtype = np.dtype(np.float64 if doubles else np.float32)
        constants = {
            name: array.astype(dtype, copy=False) if array.dtype.kind == "f" else array
            for name, array in self.constants.items()
        }
        end = Node("Identity", (output.name,), (self.name(name),), place=f"output {shown(name)}")
        return Graph(tuple(self.inputs.values()), constants, (*self.nodes, end), end.outputs)

    def masks(self) -> dict[str, float]:
        """Return what stands for padding in inputs, by their names.

        Raises
        ------
        ValueError
            If some layers pass over steps that others read, or steps of one input are padding in
            more than one way.
        """
        masks: dict[str, float] = {}
        for padding, heeds in self.heeds.items():
            if padding in self.ignores:
                raise ValueError(
                    f"{self.ignores[padding]}: expected to pass over padding as {heeds} does, but "
                    "in Keras it reads those steps"
                )
            if padding.tensor not in self.inputs:
                raise ValueError(f"{heeds}: expected a mask of the steps of an input")
            if masks.setdefault(padding.tensor, padding.value) != padding.value:
                raise ValueError(f"{heeds}: expected padding of one kind, got several")
        return masks

    def weights(self, layer: KerasLayer) -> list[Weight]:
        """Return the arrays of a layer."""
        key = (*layer.path, layer.class_name)
        if key not in self._weights:
            self._weights[key] = self.store.weights(layer)
        return self._weights[key]

    def name(self, wanted: str) -> str:
        """Return a name that no tensor has: the one wanted, or that and a number."""
        number = self._given.get(wanted, 0)
        self._given[wanted] = number + 1
        return f"{wanted}:{number}" if number else wanted

    def learn(self, tensor: Tensor, width: int) -> None:
        """Note the width of an input that did not say it."""
        given = self.inputs.get(tensor.name)
        if given is not None and given.shape and given.shape[-1] is None:
            shape = (*given.shape[:-1], width)
            self.inputs[tensor.name] = replace(given, shape=shape)


class Use:
    """A call of a layer that is being translated.

    Attributes
    ----------
    layer : KerasLayer
    arguments, options
        As in `Call`, with the values in the place of references.
    leading : int
        As in `Call`.
    translation : Translation
    """

    def __init__(
        self, call: Call, arguments: list[Any], options: dict[str, Any], translation: Translation
    ) -> None:
        self.layer, self.leading, self.translation = call.layer, call.leading, translation
        self.arguments, self.options = arguments, options

    def refuse(self, reason: str) -> ValueError:
        """Return the error that refuses this layer."""
        return self.layer.refuse(reason)

    # What it reads ------------------------------------------------------------------------------

    def tensors(self) -> list[Tensor]:
        """Return the tensors that it is called with, without options."""
        return list(self._tensors_in(self.arguments))

    def one(self) -> Tensor:
        """Return the one tensor that it is called with; nothing else may change what it does."""
        tensors = self.tensors()
        if len(tensors) != 1:
            names = ", ".join(shown(tensor.name) for tensor in tensors)
            raise self.refuse(f"expected one input, got {len(tensors)} ({names:.100})")
        self.plain()
        return tensors[0]

    def plain(self, *known: str) -> None:
        """Refuse options other than these that say something, such as training=True."""
        for key, value in self.options.items():
            if value is None or key in known or (key == "training" and value is False):
                continue
            if key in ("mask", "query_mask", "value_mask", "key_mask"):
                self._check_mask(value)
                continue
            tensors = list(self._tensors_in(value))
            if tensors:
                raise self.refuse(f"expected one input, got {shown(tensors[0].name)} as {key:.60}")
            raise self.refuse(f"expected a call without {key:.60}, got {shown(value)}")

    def _check_mask(self, mask: Any) -> None:
        """Refuse a mask of the user's own; those of what it reads are followed by themselves."""
        own: set[Any] = {tensor.padding for tensor in self.tensors() if tensor.masked}
        masks = mask if isinstance(mask, list) else [mask]
        if all(
            one is None
            or (isinstance(one, Mask) and one.of_steps and one.padding in (own or {True}))
            for one in masks
        ):
            return
        raise self.refuse("expected no mask but that of an Embedding or Masking")

    def _tensors_in(self, value: Any) -> list[Tensor]:
        if isinstance(value, Tensor):
            return [value]
        if isinstance(value, dict):
            value = list(value.values())
        if isinstance(value, list):
            return [tensor for member in value for tensor in self._tensors_in(member)]
        return []

    def steps(self, tensor: Tensor, *, heeds: bool = False, warns: bool = False) -> None:
        """Note that it mixes the steps of a tensor.

        `heeds` says whether it passes over masked ones, and `warns` that it may read them if the
        user is told.
        """
        if self.leading > 1:
            raise self.refuse("inside TimeDistributed only what reads each step by itself is read")
        padding = tensor.padding
        if padding is None:
            return
        if tensor.turned:
            # Keras leaves the mask in the order of the steps that it was made of.
            raise self.refuse("expected no mask after a go_backwards layer")
        if heeds and tensor.masked:
            self.translation.heeds.setdefault(padding, str(self.layer))
        elif warns:
            self.translation.warned.add(padding)
        else:
            self.translation.ignores.setdefault(padding, str(self.layer))

    def rank(self, tensor: Tensor, *ranks: int) -> int:
        """Return how many axes a tensor has, which have to be one of these numbers."""
        rank = len(tensor.shape) - self.leading + 1
        if rank not in ranks:
            kinds = {2: "one row a sequence", 3: "a row for each step"}
            expected = " or ".join(kinds[rank] for rank in ranks)
            raise self.refuse(f"expected {expected}, got shape {tensor.shape!s:.60}")
        return rank

    def axis(self, tensor: Tensor, axis: Any) -> int:
        """Return an axis, counted without the batch, as one of the tensor from the start."""
        if isinstance(axis, list) and len(axis) == 1:
            axis = axis[0]
        rank = len(tensor.shape) - self.leading + 1
        if isinstance(axis, bool) or not isinstance(axis, int) or not -rank <= axis < rank:
            raise self.refuse(f"expected an axis of {rank}, got {shown(axis)}")
        return axis % rank + self.leading - 1

    def width(self, tensor: Tensor, rows: int, role: str = "kernel") -> None:
        """Check how many units a tensor has, or note it where it is not known."""
        if tensor.width is None:
            self.translation.learn(tensor, rows)
        elif tensor.width != rows:
            raise self.refuse(f"{role}: expected {tensor.width} inputs, got {rows}")

    def with_halves(self, tensor: Tensor, *kernels: Array) -> tuple[Tensor, list[Array]]:
        """Return a tensor and the kernels (inputs, outputs) that it is multiplied with.

        That is what a sum of halves is made of, with kernels that add them up.
        """
        if tensor.halves is None:
            return tensor, list(kernels)
        joined, factor = tensor.halves
        scaled = [(kernel * factor).astype(kernel.dtype, copy=False) for kernel in kernels]
        return joined, [np.concatenate([kernel, kernel]) for kernel in scaled]

    # Its arrays ---------------------------------------------------------------------------------

    def weights(self) -> list[Weight]:
        """Return its arrays."""
        return self.translation.weights(self.layer)

    def take(self, *roles: str) -> list[Array]:
        """Return its arrays, which have to be these."""
        return arrays.take(self.layer, self.weights(), roles)

    # What it emits ------------------------------------------------------------------------------

    def constant(self, role: str, array: Any) -> str:
        """Return the name of an array; the same array has one name."""
        array = np.asarray(array)
        wanted = f"{self.layer.title}/{role}" if role else self.layer.title
        constants = self.translation.constants
        if wanted in constants and np.array_equal(constants[wanted], array):
            return wanted
        name = self.translation.name(wanted)
        constants[name] = array
        return name

    def emit(
        self,
        operator: str,
        reads: Sequence[Tensor | str],
        shape: Sequence[int | None],
        attributes: Mapping[str, Any] | None = None,
        *,
        like: Tensor | None = None,
    ) -> Tensor:
        """Return what an operation gives; its steps are those of the tensor that it is `like`."""
        output = self.translation.name(f"{self.layer.title}/{operator}")
        self.nodes(operator, reads, [output], attributes)
        made = Tensor(output, tuple(shape))
        if like is not None:
            made = replace(made, padding=like.padding, masked=like.masked, turned=like.turned)
        return made

    def nodes(
        self,
        operator: str,
        reads: Sequence[Tensor | str],
        outputs: Sequence[str],
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        """Note an operation."""
        names = tuple(one.name if isinstance(one, Tensor) else one for one in reads)
        title = self.layer.title
        self.translation.nodes.append(
            Node(operator, names, tuple(outputs), attributes or {}, str(self.layer), title)
        )

    def each(self, operator: str, tensor: Tensor, **attributes: Any) -> Tensor:
        """Return what a function of each number by itself gives."""
        return self.emit(operator, [tensor], tensor.shape, attributes, like=tensor)

    def transpose(self, tensor: Tensor, *order: int) -> Tensor:
        """Return a tensor with its axes in another order."""
        shape = [tensor.shape[axis] for axis in order]
        return self.emit("Transpose", [tensor], shape, {"perm": list(order)}, like=tensor)

    def integers(self, role: str, *numbers: int) -> str:
        """Return the name of an array of integers."""
        return self.constant(role, np.array(numbers, np.int64))


def translate(
    program: Program,
    output: Reference,
    store: Store,
    version: int,
    vocabularies: Mapping[str, bytes] | None = None,
) -> tuple[Translation, Tensor]:
    """Translate what an output of a program depends on.

    Parameters
    ----------
    program : Program
    output : Reference
    store : Store
    version : int
        Of Keras: 1, 2 or 3.
    vocabularies : mapping of bytes by str, optional
        As in `lrplstm.loaders.keras.archive.Archive`.

    Raises
    ------
    ValueError
        If a layer cannot be translated, or its arrays do not fit; it names it.
    """
    translation = Translation(store, version, vocabularies or {})
    needed = program.needed(output)
    for number in needed:  # what is of no class that is known, before all that does not fit
        call = program.calls[number]
        if call.layer.class_name not in CLASSES:
            raise unknown(call.layer)
    made: dict[int, Sequence[Value]] = {}
    for number in needed:
        call = program.calls[number]
        arguments = _resolved(call.arguments, made, program)
        use = Use(call, arguments, _resolved(call.options, made, program), translation)
        values = CLASSES[call.layer.class_name](use)
        made[number] = values if isinstance(values, Sequence) else [values]
    value = _resolved(output, made, program)
    if not isinstance(value, Tensor):
        raise ValueError(f"{program.calls[output.call].layer}: expected scores, got a mask")
    if value.turned and len(value.shape) > 2 and value.padding is not None:
        raise ValueError(
            f"{program.calls[output.call].layer}: expected no mask after a go_backwards layer"
        )
    order = {name: n for n, name in enumerate(program.inputs)}
    translation.inputs = dict(
        sorted(translation.inputs.items(), key=lambda item: order.get(item[0], len(order)))
    )
    return translation, value


def _resolved(value: Any, made: Mapping[int, Sequence[Value]], program: Program) -> Any:
    if isinstance(value, Reference):
        values = made[value.call]
        if value.output >= len(values):
            layer = program.calls[value.call].layer
            raise layer.refuse(f"its output {value.output} is read, and it has {len(values)}")
        return values[value.output]
    if isinstance(value, list):
        return [_resolved(member, made, program) for member in value]
    if isinstance(value, dict):
        return {key: _resolved(member, made, program) for key, member in value.items()}
    return value


_REASONS = {
    "Lambda": "its code is in the file and is never run: put layers in its place that do the same",
    "UnitNormalization": "dividing by the length of a vector is not read",
} | dict.fromkeys(("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"), "steps that are images are not read")


def unknown(layer: KerasLayer) -> ValueError:
    """Return the error that refuses a layer of a class that is not known."""
    name = layer.class_name
    reason = _REASONS.get(name)
    if reason is None:
        reason = "layers of this class are not read"
        if name.startswith(("tf.", "ops.")):
            reason = f"the function {name.partition('.')[2]!r} is not read"
    return layer.refuse(
        f"cannot be explained; {reason}; see docs/loaders/keras.md for those that are"
    )
