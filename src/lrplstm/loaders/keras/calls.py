"""The config of a Keras model -> the calls of its layers, each after those that it reads.

Models in models are taken apart, once for each time that they are called, and so are wrappers that
do at every step what the layer in them does. A layer that is called several times has a call for
each, and the same weights in all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from lrplstm.loaders.keras.config import (
    MOST_DEPTH,
    OTHER_CLASS,
    KerasLayer,
    entries_of,
    is_entry,
    is_model,
    label,
    name_of,
    own_class,
    snake_case,
)
from lrplstm.texts import shown

__all__ = ["Call", "Program", "Reference", "chain_of", "program_of", "references"]

_MOST_LAYERS = 100_000


class Reference(NamedTuple):
    """An output of a call: which call, in their order, and which of its outputs."""

    call: int
    output: int


@dataclass(frozen=True)
class Call:
    """A layer and what it is called with.

    Attributes
    ----------
    layer : KerasLayer
    arguments : list
        Lists in lists, with a `Reference` for each tensor.
    options : dict
        Arguments by name, of the same kinds.
    leading : int
        Leading axes that the layer does not see: one, the batch, and one more in each
        `TimeDistributed` around it.
    """

    layer: KerasLayer
    arguments: list[Any]
    options: dict[str, Any]
    leading: int = 1


@dataclass(frozen=True)
class Program:
    """What a model computes.

    Attributes
    ----------
    calls : list of Call
        Those of class InputLayer are the inputs.
    inputs : list of str
        Names of these layers, in the model's order.
    outputs : dict of Reference by str
        By the names of the layers that they are of.
    """

    calls: list[Call] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    outputs: dict[str, Reference] = field(default_factory=dict)

    def needed(self, output: Reference) -> list[int]:
        """Return the numbers of the calls on which an output depends, in their order."""
        needed = {output.call}
        for number in range(output.call, -1, -1):
            if number in needed:
                call = self.calls[number]
                needed.update(
                    reference.call for reference in references([call.arguments, call.options])
                )
        return sorted(needed)


def references(value: Any, depth: int = 0) -> Iterator[Reference]:
    """Yield each `Reference` in lists and dicts."""
    if isinstance(value, Reference):
        yield value
    elif isinstance(value, list | dict) and depth < MOST_DEPTH:
        for member in value.values() if isinstance(value, dict) else value:
            yield from references(member, depth + 1)


def program_of(model: Any) -> Program:
    """Return what a model computes.

    Parameters
    ----------
    model : dict
        What `model.to_json()` says, parsed.

    Raises
    ------
    ValueError
        If it is no config of a model, a class is not Keras' own, or layers read what is not there.
    """
    if not is_model(model):
        got = shown(model)
        if is_entry(model, object):
            got = f"a {model['class_name']:.60}; {OTHER_CLASS}"
        elif isinstance(model, dict) and isinstance(model.get("layers"), list):
            got = "what get_config() says, which has no class; pass model.to_json()"
        raise ValueError(f"expected the config of a Sequential or Functional model, got {got}")
    own_class(model, "the model")
    builder = _Builder()
    builder.inline(model, _Place(), None)
    return builder.program


def chain_of(layers: Sequence[KerasLayer]) -> Program:
    """Return what layers compute of which each reads the one before it."""
    said = {"read_by": layers[0].class_name}
    start = KerasLayer(f"{layers[0].name}_input", "InputLayer", said, (), ())
    calls = [Call(start, [], {})]
    calls += [Call(layer, [Reference(n, 0)], {}) for n, layer in enumerate(layers)]
    return Program(calls, [start.name], {layers[-1].name: Reference(len(layers), 0)})


class _Place(NamedTuple):
    """Where layers lie: as in `KerasLayer` and `Call`."""

    path: tuple[str, ...] = ()
    stored: tuple[tuple[str, int] | str, ...] = ()
    leading: int = 1


class _Builder:
    """Writes the calls of a model into `program`."""

    def __init__(self) -> None:
        self.program = Program()
        self.taken = 0  # entries that were read, again for each time that a model is called

    def add(self, layer: KerasLayer, arguments: list[Any], options: Any, leading: int) -> Reference:
        """Note a call, and return its first output."""
        self.program.calls.append(Call(layer, arguments, options, leading))
        return Reference(len(self.program.calls) - 1, 0)

    def inline(
        self, model: dict[str, Any], place: _Place, inputs: list[Reference] | None
    ) -> list[Reference]:
        """Note the calls of a model's layers, and return its outputs.

        `inputs` are None for the model itself, whose inputs are then InputLayers.
        """
        if len(place.path) > MOST_DEPTH:
            raise ValueError(f"expected models in models at most {MOST_DEPTH} deep")
        entries = entries_of(model, place.path)
        self.taken += len(entries)
        if self.taken > _MOST_LAYERS:
            raise ValueError(f"expected at most {_MOST_LAYERS} layers in all models, got more")
        counts: dict[str, int] = {}
        members = []
        for entry in entries:
            class_name = own_class(entry, label(entry))
            stored = snake_case(class_name)
            number = counts.setdefault(stored, 0)
            counts[stored] += 1
            members.append(_Member(name_of(entry), class_name, entry, (stored, number)))
        if model["class_name"] == "Sequential":
            return self._sequential(members, place, inputs)
        return self._functional(model["config"], members, place, inputs)

    def _sequential(
        self, members: list[_Member], place: _Place, inputs: list[Reference] | None
    ) -> list[Reference]:
        if inputs is None and members[0].class_name != "InputLayer":
            first = members[0]
            config = _input_config(first.entry)
            start = KerasLayer(f"{first.name}_input", "InputLayer", config, (), ())
            inputs = [self.add(start, [], {}, 1)]
            self.program.inputs.append(start.name)
        for member in members:
            if member.class_name == "InputLayer" and inputs is not None:
                continue
            if inputs is None:
                self.program.inputs.append(member.name)
            inputs = self._call(member, place, list(inputs or []), {})
        assert inputs is not None
        if not place.path:
            self.program.outputs[members[-1].name] = inputs[0]
        return inputs

    def _call(
        self, member: _Member, place: _Place, arguments: list[Any], options: dict[str, Any]
    ) -> list[Reference]:
        """Note the call of a layer or model, and return its outputs, the first of a layer."""
        place = _Place((*place.path, member.name), (*place.stored, member.stored), place.leading)
        entry, class_name = member.entry, member.class_name
        while class_name == "TimeDistributed":
            inner: Any = entry["config"].get("layer")
            if not (is_entry(inner) or is_model(inner)):
                raise ValueError(
                    f"{label(entry)}: expected a layer as 'layer' of its config, got {shown(inner)}"
                )
            if len(place.stored) > MOST_DEPTH:
                raise ValueError(f"expected wrappers in wrappers at most {MOST_DEPTH} deep")
            class_name = own_class(inner, label(entry))
            entry = inner
            place = _Place(place.path, (*place.stored, "layer"), place.leading + 1)
        if is_model(entry):
            if changed := [key for key, value in options.items() if not _says_nothing(key, value)]:
                raise ValueError(
                    f"{label(entry)}: expected a call without {changed[0]:.60} of a model"
                )
            return self.inline(entry, place, list(references(arguments)))
        layer = KerasLayer(member.name, class_name, entry["config"], place.path, place.stored)
        return [self.add(layer, arguments, options, place.leading)]

    # Functional models --------------------------------------------------------------------------

    def _functional(
        self,
        config: dict[str, Any],
        members: list[_Member],
        place: _Place,
        inputs: list[Reference] | None,
    ) -> list[Reference]:
        by_name = {member.name: member for member in members}
        if len(by_name) < len(members):
            raise ValueError("expected distinct names of layers in the config")
        starts, ends = (
            list(_end_tensors(config.get(key))) for key in ("input_layers", "output_layers")
        )
        for key, found in (("input_layers", starts), ("output_layers", ends)):
            if not found:
                raise ValueError(f"expected {key} in the config, got none")
        if inputs is not None and len(inputs) != len(starts):
            name = shown("/".join(place.path))
            raise ValueError(f"model {name}: expected {len(starts)} inputs, got {len(inputs)}")
        made: dict[tuple[str, int], list[Reference]] = {}
        if inputs is not None:
            made = {
                (start.name, start.node): [given]
                for start, given in zip(starts, inputs, strict=True)
            }
        else:
            self.program.inputs.extend(start.name for start in starts)
        order = _Order(by_name)
        for tensor in ends:
            for name, node in order.calls(tensor, made):
                arguments, options = order.parsed[name, node]
                member = by_name[name]
                if member.class_name == "InputLayer":
                    if inputs is not None:
                        raise ValueError(
                            f"{label(member.entry)}: expected it among the inputs of its model"
                        )
                    # Inputs of the model itself are called before all else that reads them.
                    layer = KerasLayer(name, "InputLayer", member.entry["config"], (name,), ())
                    made[name, node] = [self.add(layer, [], {}, 1)]
                    continue
                given = [_resolved(value, made, by_name) for value in (arguments, options)]
                made[name, node] = self._call(member, place, *given)
        outputs = [_resolved(tensor, made, by_name) for tensor in ends]
        if not place.path:
            for tensor, output in zip(ends, outputs, strict=True):
                name, number = tensor.name, 1
                while name in self.program.outputs:  # as Keras counts them
                    name, number = f"{tensor.name}_{number}", number + 1
                self.program.outputs[name] = output
        return outputs


class _Member(NamedTuple):
    """A layer or model in the list of another's."""

    name: str
    class_name: str
    entry: dict[str, Any]
    stored: tuple[str, int]


class _Tensor(NamedTuple):
    """An output as a config has it: of which layer, of which of its calls, and which one."""

    name: str
    node: int
    tensor: int


def _input_config(entry: dict[str, Any], depth: int = 0) -> dict[str, Any]:
    """Return what is said of the input of a Sequential model that has no InputLayer."""
    if is_model(entry) and depth < MOST_DEPTH:
        return _input_config(entries_of(entry, ())[0], depth + 1)
    config = entry["config"] if isinstance(entry["config"], dict) else {}
    keys = ("batch_input_shape", "batch_shape", "input_dim", "input_length")
    said = {key: config[key] for key in keys if key in config}
    return said | {"read_by": entry["class_name"]}


class _Order:
    """In which order calls of a Functional model are made: each after those that it reads."""

    def __init__(self, members: dict[str, _Member]) -> None:
        self.members = members
        self.parsed: dict[tuple[str, int], tuple[list[Any], dict[str, Any]]] = {}

    def calls(self, tensor: _Tensor, made: Any) -> Iterator[tuple[str, int]]:
        """Yield the calls that a tensor needs, and that are not made yet."""
        waiting = [(tensor.name, tensor.node)]
        while waiting:
            call = waiting[-1]
            if call in made:
                waiting.pop()
                continue
            if call in self.parsed:
                # What it reads was put on top of it, and is made: or it waits for itself.
                if any(one not in made for one in self._reads(call)):
                    raise ValueError(
                        f"layer {shown(call[0])}: expected no circle of layers, got one"
                    )
                yield waiting.pop()
                continue
            self.parsed[call] = self._parse(*call)
            waiting += [one for one in reversed(self._reads(call)) if one not in made]

    def _reads(self, call: tuple[str, int]) -> list[tuple[str, int]]:
        return [(name, node) for name, node, _ in _tensors_in(list(self.parsed[call]))]

    def _parse(self, name: str, node: int) -> tuple[list[Any], dict[str, Any]]:
        """Return arguments and options of a call, with a `_Tensor` for each tensor."""
        member = self.members.get(name)
        if member is None:
            raise ValueError(f"expected a layer {shown(name)} in the config, found none")
        place = label(member.entry)
        nodes = member.entry.get("inbound_nodes")
        if member.class_name == "InputLayer":
            return [], {}
        if not isinstance(nodes, list) or not 0 <= node < len(nodes):
            count = len(nodes) if isinstance(nodes, list) else 0
            raise ValueError(f"{place}: its call {node} is read, and it has {count}")
        match nodes[node]:
            case {"args": list(arguments), "kwargs": dict(options)}:  # Keras 3
                return _tensors(arguments), _tensors(options)
            case [str(), int(), int(), *rest] as one:  # one argument, of a function of TensorFlow
                return [_Tensor(*one[:3])], self._options(rest)
            case [[str(), int(), int(), *rest], *_] as several if all(map(_is_tensor, several)):
                return [[_Tensor(*one[:3]) for one in several]], self._options(rest)
            case other:
                raise ValueError(
                    f"{place}: expected what it reads in inbound_nodes, got {shown(other)}"
                )

    def _options(self, rest: list[Any]) -> dict[str, Any]:
        options = rest[0] if rest and isinstance(rest[0], dict) else {}
        return {key: self._listed(value) for key, value in options.items()}

    def _listed(self, value: Any, depth: int = 0) -> Any:
        """Return what Keras 1 and 2 say of tensors, as lists, with tensors in their places."""
        match value:
            case [str(name), int(node), int(tensor)] if name in self.members:
                return _Tensor(name, node, tensor)
            case list() if depth < MOST_DEPTH:
                return [self._listed(member, depth + 1) for member in value]
        return value


def _is_tensor(value: Any) -> bool:
    """Whether Keras 1 and 2 say a tensor so, perhaps with options behind it."""
    match value:
        case [str(), int(), int(), *_]:
            return True
    return False


def _tensors(value: Any, depth: int = 0) -> Any:
    """Return what Keras 3 says of the arguments of a call, with tensors in their places."""
    match value:
        case {
            "class_name": "__keras_tensor__",
            "config": {"keras_history": [str(name), int(node), int(tensor)]},
        }:
            return _Tensor(name, node, tensor)
        case list() if depth < MOST_DEPTH:
            return [_tensors(member, depth + 1) for member in value]
        case dict() if depth < MOST_DEPTH:
            return {key: _tensors(member, depth + 1) for key, member in value.items()}
    return value


def _tensors_in(value: Any, depth: int = 0) -> Iterator[_Tensor]:
    if isinstance(value, _Tensor):
        yield value
    elif isinstance(value, list | dict) and depth < MOST_DEPTH + 2:
        for member in value.values() if isinstance(value, dict) else value:
            yield from _tensors_in(member, depth + 1)


def _resolved(value: Any, made: Any, members: dict[str, _Member], depth: int = 0) -> Any:
    """Return lists and dicts with a `Reference` for each `_Tensor`."""
    if isinstance(value, _Tensor):
        outputs = made[value.name, value.node]
        member = members[value.name]
        place = f"{label(member.entry)}: its output {value.tensor} is read"
        if is_model(member.entry):
            if not 0 <= value.tensor < len(outputs):
                raise ValueError(f"{place}, and it has {len(outputs)}")
            return outputs[value.tensor]
        if value.tensor < 0:
            raise ValueError(f"{place}, and there is none")
        return outputs[0] if not value.tensor else Reference(outputs[0].call, value.tensor)
    if isinstance(value, list) and depth <= MOST_DEPTH + 2:
        return [_resolved(member, made, members, depth + 1) for member in value]
    if isinstance(value, dict) and depth <= MOST_DEPTH + 2:
        return {key: _resolved(member, made, members, depth + 1) for key, member in value.items()}
    return value


def _says_nothing(key: str, value: Any) -> bool:
    """Whether an option of a call changes nothing."""
    return value is None or key == "mask" or (key == "training" and value is False)


def _end_tensors(value: Any, depth: int = 0) -> Iterator[_Tensor]:
    """Yield each output in what Keras says of a model's ends."""
    match value:
        case [str(name), int(node), int(tensor)]:
            yield _Tensor(name, node, tensor)
        case list() if depth < MOST_DEPTH:
            for member in value:
                yield from _end_tensors(member, depth + 1)
        case dict() if depth < MOST_DEPTH:
            yield from _end_tensors(list(value.values()), depth + 1)
        case None:
            return
        case _:
            raise ValueError(f"expected layers as the ends of the model, got {shown(value)}")
