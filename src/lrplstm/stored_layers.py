"""Layers in files: what config.json says of each, and its arrays by name.

Each is ``{"kind", "name", "reads", "settings"}``; the arrays of the n-th are the tensors
``layers.<n>.<name>``. Its class is that which is registered under its kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lrplstm.layers import LAYERS, Layer
from lrplstm.texts import did_you_mean, shown
from lrplstm.weights import Array

__all__ = ["pack_layers", "unpack_layers"]

_NAMES = ("kind", "name", "reads", "settings")


def pack_layers(layers: Sequence[Layer]) -> tuple[list[dict[str, Any]], dict[str, Array]]:
    """Return what is said of layers, and their arrays.

    Raises
    ------
    ValueError
        If a layer is not registered: none could read it.
    """
    said: list[dict[str, Any]] = []
    tensors: dict[str, Array] = {}
    for n, layer in enumerate(layers):
        if LAYERS.get(layer.kind) is not type(layer):
            raise ValueError(
                f"layers[{n}]: {type(layer).__name__} is not registered as {layer.kind!r}: put "
                "@lrplstm.layers.register before its class"
            )
        values = (layer.kind, layer.name, list(layer.reads or ()), layer.settings())
        said.append(dict(zip(_NAMES, values, strict=True)))
        tensors |= {f"layers.{n}.{name}": array for name, array in layer.arrays().items()}
    return said, tensors


def unpack_layers(path: str, said: Any, tensors: dict[str, Array]) -> list[Layer]:
    """Return the layers that a file says, their arrays taken out of `tensors`.

    Raises
    ------
    ValueError
        If it says something else, or of a kind that is not registered.
    """
    if not isinstance(said, list) or not all(isinstance(one, dict) for one in said):
        raise ValueError(f"{path}: layers: expected a list of what each is, got {shown(said)}")
    numbers = set(map(str, range(len(said))))
    arrays: dict[str, dict[str, Array]] = {}
    for key in [key for key in tensors if key.startswith("layers.")]:
        _, number, name = (*key.split(".", maxsplit=2), "")[:3]
        if number in numbers:
            arrays.setdefault(number, {})[name] = tensors.pop(key)
    layers = []
    for n, one in enumerate(said):
        kind, name, reads, settings = (one.get(key) for key in _NAMES)
        if not isinstance(kind, str) or kind not in LAYERS:
            near = did_you_mean(kind, LAYERS) if isinstance(kind, str) else ""
            raise ValueError(
                f"{path}: layers[{n}]: kind: expected one of {', '.join(sorted(LAYERS))}, got "
                f"{shown(kind)}{near}; import the module that registers a layer of your own first"
            )
        if not isinstance(name, str):
            raise ValueError(f"{path}: layers[{n}]: name: expected a string, got {shown(name)}")
        if not isinstance(settings, dict) or not settings.keys().isdisjoint(("name", "reads")):
            raise ValueError(f"{path}: layers[{n}]: settings: expected a dict of what it has")
        try:
            layer = LAYERS[kind].made_of(
                arrays.get(str(n), {}), settings | {"name": name, "reads": reads}
            )
        except (TypeError, ValueError, AttributeError, KeyError) as error:
            raise ValueError(f"{path}: layers[{n}]: {shown(kind)}: {error}") from None
        layers.append(layer)
    return layers
