"""What a Keras config consists of: models, layers, and which classes are Keras' own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from lrplstm.texts import shown

__all__ = [
    "MOST_DEPTH",
    "OTHER_CLASS",
    "KerasLayer",
    "entries_of",
    "is_entry",
    "is_model",
    "label",
    "name_of",
    "own_class",
    "snake_case",
]

MOST_DEPTH = 32
"""Of models in models, and of lists in lists."""

OTHER_CLASS = (
    "what a class of one's own computes (a subclass of keras.Model) is not in its file or config: "
    "make a Sequential or Functional model of its layers"
)

_MODELS = ("Sequential", "Functional", "Model")  # Model is what Functional was once called
_PACKAGES = ("keras", "tf_keras", "tensorflow")


@dataclass(frozen=True)
class KerasLayer:
    """One layer as the config has it.

    Attributes
    ----------
    name, class_name, config
        As they are there. A function of Keras 3 that stands for a layer has a class such as
        "ops.Mean", one of TensorFlow such as "tf.math.reduce_mean".
    path : tuple of str
        Names of the models and wrappers that it lies in, from the outside, and its own.
    stored : tuple of (str, int) or str
        Where Keras 3 files have it: which one of a class, or the name of an attribute, at each
        step from the model to it.
    """

    name: str
    class_name: str
    config: dict[str, Any]
    path: tuple[str, ...]
    stored: tuple[tuple[str, int] | str, ...]

    def __str__(self) -> str:
        return f"layer {shown(self.name)} ({self.class_name:.60})"

    @property
    def title(self) -> str:
        """Its name with those of the models that it lies in."""
        return "/".join(self.path)

    def refuse(self, reason: str) -> ValueError:
        """Return the error that refuses this layer."""
        return ValueError(f"{self}: {reason}")

    def get(self, key: str, default: Any = None) -> Any:
        """Return an entry of its config."""
        return self.config.get(key, default)

    def whole(self, *keys: str, default: int | None = None, least: int = 1) -> int:
        """Return a whole number that its config has under one of these keys."""
        value = next((self.config[key] for key in keys if key in self.config), None)
        if isinstance(value, list) and len(value) == 1:  # as convolutions have it
            value = value[0]
        if value is None:
            value = default
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 2**31:
            raise self.refuse(f"expected a whole number as {keys[0]}, got {shown(value)}")
        return value

    def number(self, *keys: str, default: float) -> float:
        """Return a finite number that its config has under one of these keys."""
        value = next((self.config[key] for key in keys if key in self.config), default)
        if isinstance(value, dict) and set(value) >= {"type", "value"}:  # an array of one number
            value = value["value"]
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e30:
            raise self.refuse(f"expected a finite {keys[0]}, got {shown(value)}")
        return float(value)

    def says(self, key: str, default: bool = False) -> bool:
        """Return a truth value that its config has."""
        value = self.config.get(key, default)
        if value is None:
            value = default
        if not isinstance(value, bool):
            raise self.refuse(f"expected {key} true or false, got {shown(value)}")
        return value

    def wrapped(self, key: str) -> KerasLayer:
        """Return the layer that a wrapper such as Bidirectional has under this key."""
        entry: Any = self.config.get(key)
        if not is_entry(entry):
            raise self.refuse(f"expected a layer as {key!r} of its config, got {shown(entry)}")
        class_name = own_class(entry, str(self))
        return KerasLayer(self.name, class_name, entry["config"], self.path, self.stored)


def is_entry(entry: Any, kind: Any = dict) -> bool:
    """Whether `entry` is a class and its config, as everything in a config is."""
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("class_name"), str)
        and isinstance(entry.get("config"), kind)
    )


def is_model(entry: Any) -> bool:
    """Whether `entry` is the config of a Sequential or Functional model."""
    return is_entry(entry, dict | list) and entry["class_name"] in _MODELS


def own_class(entry: dict[str, Any], name: str) -> str:
    """Return the class of an entry, which has to be Keras' own and not only called so.

    Raises
    ------
    ValueError
        If it is a class of somebody's own.
    """
    class_name, module, registered = (
        entry.get(key) for key in ("class_name", "module", "registered_name")
    )
    if module is not None and str(module).partition(".")[0] not in _PACKAGES:
        raise ValueError(f"{name}: expected a class of Keras, got one of {shown(module)}")
    if registered not in (None, class_name):
        raise ValueError(f"{name}: expected a class of Keras, got {shown(registered)}")
    if class_name in ("TFOpLambda", "SlicingOpLambda"):
        return f"tf.{entry['config'].get('function')!s:.60}"
    return f"ops.{class_name}" if ".ops." in str(module) else str(class_name)


def entries_of(model: dict[str, Any], path: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the layers that the config of a model has, each with a class and a config."""
    config = model["config"]
    sequential = model["class_name"] == "Sequential"
    # Once the config of a Sequential model was the list itself.
    entries = config.get("layers") if isinstance(config, dict) else config if sequential else None
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"model {shown('/'.join(path))}: expected layers in its config, got none")
    for entry in entries:
        if not (is_entry(entry) or is_model(entry)):
            raise ValueError(f"expected a layer in the config, got {shown(entry)}")
    return entries


def label(entry: dict[str, Any]) -> str:
    """Return what errors call an entry."""
    return f"layer {shown(name_of(entry))} ({entry['class_name']:.60})"


def name_of(entry: dict[str, Any]) -> str:
    """Return the name of a layer or model in a config."""
    config = entry["config"]
    name = entry.get("name", config.get("name") if isinstance(config, dict) else None)
    if not isinstance(name, str) or not name:
        raise ValueError(f"expected a name of each layer in the config, got {shown(name)}")
    return name


def snake_case(class_name: str) -> str:
    """Return what files of Keras 3 call layers of a class: "p_re_lu" of "PReLU"."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", class_name))
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
