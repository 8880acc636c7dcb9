"""The config of a Keras model -> its layers, in the order in which data passes through them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from lrplstm.texts import shown

__all__ = ["OTHER_CLASS", "KerasLayer", "is_model", "layers_of"]

_MODELS = ("Sequential", "Functional", "Model")  # Model is what Functional was once called
_MOST_DEPTH = 32  # of models in models, and of lists in lists
_MASK_CLASSES = ("NotEqual", "Any")  # what finds padding in a Functional model of Keras 3
_PACKAGES = ("keras", "tf_keras", "tensorflow")

OTHER_CLASS = (
    "what a class of one's own computes (a subclass of keras.Model) is not in its file or config: "
    "make a Sequential or Functional model of its layers"
)

_CODE = "its code is in the file and is never run: put layers in its place that do the same"
_IMAGES = "steps that are images are not read"
_REASONS = {"Lambda": _CODE} | dict.fromkeys(("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"), _IMAGES)

# What Keras 3 files call layers of these classes.
_STORED_NAMES = {
    "Bidirectional": "bidirectional",
    "Dense": "dense",
    "Embedding": "embedding",
    "Functional": "functional",
    "LSTM": "lstm",
    "Sequential": "sequential",
    "TimeDistributed": "time_distributed",
}


@dataclass(frozen=True)
class KerasLayer:
    """One layer as the config has it.

    Attributes
    ----------
    name, class_name, config
        As they are there.
    path : tuple of str
        Names of the models that it lies in, from the outside, and its own.
    stored : tuple of (str, int)
        How Keras 3 files count these: what they call the class, and which of that class it is.
    """

    name: str
    class_name: str
    config: dict[str, Any]
    path: tuple[str, ...]
    stored: tuple[tuple[str, int], ...]

    def __str__(self) -> str:
        return f"layer {shown(self.name)} ({self.class_name:.60})"

    def refuse(self, reason: str) -> ValueError:
        """Return the error that refuses this layer."""
        return ValueError(f"{self}: {reason}")

    def get(self, key: str, default: Any = None) -> Any:
        """Return an entry of its config."""
        return self.config.get(key, default)

    def wrapped(self, key: str) -> KerasLayer:
        """Return the layer that a wrapper such as Bidirectional has under this key."""
        entry: Any = self.config.get(key)
        if not _is_entry(entry):
            raise self.refuse(f"expected a layer as {key!r} of its config, got {shown(entry)}")
        _check_origin(entry, str(self))
        return KerasLayer(self.name, entry["class_name"], entry["config"], self.path, self.stored)


def is_model(entry: Any) -> bool:
    """Whether `entry` is the config of a Sequential or Functional model."""
    return _is_entry(entry, dict | list) and entry["class_name"] in _MODELS


def layers_of(model: Any, classes: Collection[str]) -> list[KerasLayer]:
    """Return the layers of a model, those of models in it among them, as a chain.

    Parameters
    ----------
    model : dict
        What `model.to_json()` says, parsed.
    classes : collection of str
        Classes of the layers that can be explained.

    Raises
    ------
    ValueError
        If it is no config of a model, a layer is of another class, or the layers form no chain.
    """
    if not is_model(model):
        got = shown(model)
        if _is_entry(model, object):
            got = f"a {model['class_name']:.60}; {OTHER_CLASS}"
        elif isinstance(model, dict) and isinstance(model.get("layers"), list):
            got = "what get_config() says, which has no class; pass model.to_json()"
        raise ValueError(f"expected the config of a Sequential or Functional model, got {got}")
    _check_origin(model, "the model")
    return list(_unnest(model, classes, (), ()))


def _is_entry(entry: Any, kind: Any = dict) -> bool:
    """Whether `entry` is a class and its config, as everything in a config is."""
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("class_name"), str)
        and isinstance(entry.get("config"), kind)
    )


def _check_origin(entry: dict[str, Any], name: str) -> None:
    """Refuse a class that only has the name of one of Keras' own."""
    module, registered = entry.get("module"), entry.get("registered_name")
    if module is not None and str(module).partition(".")[0] not in _PACKAGES:
        raise ValueError(f"{name}: expected a class of Keras, got one of {shown(module)}")
    if registered not in (None, entry["class_name"]):
        raise ValueError(f"{name}: expected a class of Keras, got {shown(registered)}")


def _unnest(
    model: dict[str, Any],
    classes: Collection[str],
    path: tuple[str, ...],
    stored: tuple[tuple[str, int], ...],
) -> Iterator[KerasLayer]:
    """Yield the layers of a model one after the other."""
    if len(path) > _MOST_DEPTH:
        raise ValueError(f"expected models in models at most {_MOST_DEPTH} deep")
    config = model["config"]
    sequential = model["class_name"] == "Sequential"
    # Once the config of a Sequential model was the list itself.
    entries = config.get("layers") if isinstance(config, dict) else config if sequential else None
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"model {shown('/'.join(path))}: expected layers in its config, got none")
    stored_names = _stored_names(entries)
    for entry in entries:
        _check_origin(entry, _label(entry))
        if not is_model(entry) and entry["class_name"] not in _MASK_CLASSES:
            _check_class(entry, classes)
    for position in range(len(entries)) if sequential else _chain(config, entries):
        entry = entries[position]
        name = _name(entry)
        inner = (*path, name), (*stored, stored_names[position])
        if is_model(entry):
            yield from _unnest(entry, classes, *inner)
            continue
        _check_class(entry, classes)
        yield KerasLayer(name, entry["class_name"], entry["config"], *inner)


def _check_class(entry: dict[str, Any], classes: Collection[str]) -> None:
    if entry["class_name"] not in classes:
        if reason := _REASONS.get(entry["class_name"]):
            raise ValueError(f"{_label(entry)}: cannot be explained; {reason}")
        raise ValueError(
            f"{_label(entry)}: cannot be explained; expected layers of the classes LSTM, "
            "Bidirectional, Embedding, Masking, Dense, global pooling, dropout and activation"
        )


def _stored_names(entries: list[Any]) -> list[tuple[str, int]]:
    names, counts = [], dict.fromkeys(_STORED_NAMES.values(), 0)
    for entry in entries:
        if not (_is_entry(entry) or is_model(entry)):
            raise ValueError(f"expected a layer in the config, got {shown(entry)}")
        name = _STORED_NAMES.get(entry["class_name"], "")
        names.append((name, counts.setdefault(name, 0)))
        counts[name] += 1
    return names


def _label(entry: dict[str, Any]) -> str:
    return f"layer {shown(_name(entry))} ({entry['class_name']:.60})"


def _name(entry: dict[str, Any]) -> str:
    config = entry["config"]
    name = entry.get("name", config.get("name") if isinstance(config, dict) else None)
    if not isinstance(name, str) or not name:
        raise ValueError(f"expected a name of each layer in the config, got {shown(name)}")
    return name


# Functional models ------------------------------------------------------------------------------


def _chain(config: dict[str, Any], entries: list[Any]) -> list[int]:
    """Return the positions of a Functional model's layers from its input to its output."""
    positions = {_name(entry): position for position, entry in enumerate(entries)}
    if len(positions) < len(entries):
        raise ValueError("expected distinct names of layers in the config")
    ends = {}
    for key in ("input_layers", "output_layers"):
        tensors = list(_end_tensors(config.get(key)))
        if len(tensors) != 1:
            names = ", ".join(repr(name) for name, _ in tensors)
            raise ValueError(f"expected one of {key}, got {len(tensors)} ({names:.100})")
        ends[key] = tensors[0]

    name, tensor = ends["output_layers"]
    chain: dict[str, Any] = {}  # from the output to the input
    calls = {}
    while True:
        if name not in positions:
            raise ValueError(f"expected a layer {shown(name)} in the config, found none")
        if name in chain:
            raise ValueError(f"layer {shown(name)}: expected a chain of layers, got a circle")
        chain[name] = entry = entries[positions[name]]
        label = _label(entry)
        if tensor != 0:
            raise ValueError(f"{label}: its output {tensor} is read, expected only the first, 0")
        if name == ends["input_layers"][0]:
            break
        calls[name] = call = _only_call(entry, label)
        name, tensor = call.tensor
    masks = _masks(entries, list(chain.values()), calls)
    for reader, call in calls.items():
        if call.mask is not None and call.mask not in masks:
            raise ValueError(
                f"{_label(chain[reader])}: expected no mask but that of an Embedding or Masking"
            )
    for other, position in positions.items():
        if other not in chain and other not in masks:
            label = _label(entries[position])
            raise ValueError(f"{label}: expected a chain of layers, got one beside it")
    return [positions[name] for name in reversed(chain)]


def _end_tensors(value: Any, depth: int = 0) -> Iterator[tuple[str, int]]:
    """Yield layer and number of each output in what Keras says of a model's ends."""
    match value:
        case [str(name), int(), int(tensor)]:
            yield name, tensor
        case list() if depth < _MOST_DEPTH:
            for member in value:
                yield from _end_tensors(member, depth + 1)
        case dict() if depth < _MOST_DEPTH:
            yield from _end_tensors(list(value.values()), depth + 1)
        case None:
            return
        case _:
            raise ValueError(f"expected layers as the ends of the model, got {shown(value)}")


@dataclass(frozen=True)
class _Call:
    """What a layer reads: output `tensor[1]` of the layer `tensor[0]`."""

    tensor: tuple[str, int]
    mask: str | None
    others: list[Any]


def _only_call(entry: dict[str, Any], label: str) -> _Call:
    nodes = entry.get("inbound_nodes")
    if not isinstance(nodes, list) or len(nodes) != 1:
        count = len(nodes) if isinstance(nodes, list) else 0
        raise ValueError(f"{label}: expected a layer that is used once, got {count} uses")
    match nodes[0]:
        case {"args": list(arguments), "kwargs": dict(options)}:  # Keras 3
            tensors = list(_tensors(arguments))
            others = [value for value in arguments if not list(_tensors(value))]
        case [str(name), int(), int(tensor), *rest]:
            tensors, others, options = [(name, tensor)], [], _options(rest)
        case [[str(name), int(), int(tensor), *rest]]:
            tensors, others, options = [(name, tensor)], [], _options(rest)
        case [[str(), *_], *_] as several:
            tensors, others, options = [(str(one[0]), 0) for one in several], [], {}
        case node:
            raise ValueError(f"{label}: expected what it reads in inbound_nodes, got {shown(node)}")
    if len(tensors) != 1:
        names = ", ".join(repr(name) for name, _ in tensors)
        raise ValueError(f"{label}: expected one input, got {len(tensors)} ({names:.100})")
    return _Call(tensors[0], _check_options(options, label), others)


def _options(rest: list[Any]) -> dict[str, Any]:
    return rest[0] if rest and isinstance(rest[0], dict) else {}


def _check_options(options: dict[str, Any], label: str) -> str | None:
    """Return the layer that makes the mask, if any; nothing else may change what a layer does."""
    mask = None
    for key, value in options.items():
        if value is None or (key == "training" and value is False):
            continue
        tensors = list(_tensors(value)) or list(_listed_tensor(value))
        if key == "mask" and len(tensors) == 1:
            mask = tensors[0][0]
        elif tensors:
            raise ValueError(
                f"{label}: expected one input, got {shown(tensors[0][0])} as {key:.60}"
            )
        else:
            raise ValueError(f"{label}: expected a call without {key:.60}, got {shown(value)}")
    return mask


def _tensors(value: Any, depth: int = 0) -> Iterator[tuple[str, int]]:
    """Yield layer and number of each output in the arguments of a call in Keras 3."""
    match value:
        case {
            "class_name": "__keras_tensor__",
            "config": {"keras_history": [str(name), int(), int(tensor)]},
        }:
            yield name, tensor
        case list() if depth < _MOST_DEPTH:
            for member in value:
                yield from _tensors(member, depth + 1)
        case dict() if depth < _MOST_DEPTH:
            yield from _tensors(list(value.values()), depth + 1)


def _listed_tensor(value: Any) -> Iterator[tuple[str, int]]:
    """Yield layer and number of an output as the options of a call in Keras 2 have it."""
    match value:
        case [str(name), int(), int(tensor)]:
            yield name, tensor


def _masks(entries: list[Any], chain: list[dict[str, Any]], calls: dict[str, _Call]) -> set[str]:
    """Return the names of the operations that find the padding for Embedding and Masking layers."""
    read: dict[Any, Any] = {}  # what is padding, by the tensor that is compared with it
    for entry in chain:
        config, call = entry["config"], calls.get(_name(entry))
        if call is None:
            continue
        if entry["class_name"] == "Embedding" and config.get("mask_zero") is True:
            read[call.tensor] = 0
        elif entry["class_name"] == "Masking":
            read[call.tensor] = config.get("mask_value", 0)
    compared = {
        _name(entry)
        for entry in entries
        if entry["class_name"] == "NotEqual"
        and (call := _only_call(entry, _label(entry))).tensor in read
        and call.others == [read[call.tensor]]
    }
    # Any number of a step that differs makes it one that is read.
    of_steps = {
        _name(entry)
        for entry in entries
        if entry["class_name"] == "Any"
        and _only_call(entry, _label(entry)).tensor[0] in compared
        and entry["config"].get("axis") == -1
        and entry["config"].get("keepdims") is False
    }
    return compared | of_steps
