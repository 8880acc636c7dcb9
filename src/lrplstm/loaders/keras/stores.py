"""Where the arrays of each layer are: in a model object, or in a file of either layout."""

from __future__ import annotations

import re
import warnings
from typing import Any, NamedTuple, Protocol

import numpy as np

from lrplstm.loaders.keras.config import KerasLayer
from lrplstm.loaders.keras.hdf5 import Contents
from lrplstm.texts import shown
from lrplstm.weights import Array

__all__ = [
    "ModelStore",
    "NamedStore",
    "NumberedStore",
    "Store",
    "Weight",
    "class_of",
    "find_container",
]


# Where layers of Keras 3 files have their arrays, if they lie in parts of them.
_PARTS = dict.fromkeys(("LSTM", "GRU", "SimpleRNN", "RNN"), ("cell",)) | {
    "Bidirectional": ("forward_layer/cell", "backward_layer/cell"),
    "TimeDistributed": ("layer",),
    "MultiHeadAttention": ("query_dense", "key_dense", "value_dense", "output_dense"),
}


class Weight(NamedTuple):
    """An array, and what it is called where it comes from."""

    name: str
    array: Array

    @property
    def role(self) -> str:
        """The last part of its name: "kernel" of "lstm_1/kernel:0"."""
        return self.name.rpartition("/")[2].partition(":")[0]


class Store(Protocol):
    """Where arrays come from."""

    def weights(self, layer: KerasLayer) -> list[Weight]:
        """Return the arrays of a layer in the order in which Keras has them."""


class ModelStore:
    """The arrays of a model object."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def weights(self, layer: KerasLayer) -> list[Weight]:
        """See `Store`."""
        found = self.model
        for name in layer.path:
            while hasattr(found, "layer") and not hasattr(found, "layers"):  # a wrapper of a model
                found = found.layer
            members = getattr(found, "layers", ())
            found = next((member for member in members if member.name == name), None)
            if found is None:
                raise layer.refuse("expected it in the model, found none")
        names = [str(getattr(variable, "path", variable.name)) for variable in found.weights]
        with warnings.catch_warnings():  # Keras 3 has none of NumPy 2's keywords everywhere
            warnings.simplefilter("ignore", DeprecationWarning)
            arrays = found.get_weights()
        both = zip(names, arrays, strict=True)
        return [_weight(layer, name, array) for name, array in list(both)[: _most(layer)]]


class NamedStore:
    """The older files: a group for each layer, which lists the names of its arrays."""

    def __init__(self, contents: Contents, root: str) -> None:
        self.contents = contents
        self.root = root
        # The arrays in a group, by each part of their names.
        self._by_part: dict[str, dict[str, list[str]]] = {}

    def weights(self, layer: KerasLayer) -> list[Weight]:
        """See `Store`."""
        group = _join(self.root, layer.path[0])
        names = self.contents.texts(group, "weight_names")
        if names is None:
            raise layer.refuse("expected its weights in the file, found none")
        if len(layer.path) > 1:  # the group has the weights of all layers of an inner model
            names = self._parts(group, names).get(layer.name, [])
        paths = [_join(group, name) for name in names[: _most(layer)]]
        return [_stored_weight(layer, self.contents, path) for path in paths]

    def _parts(self, group: str, names: list[str]) -> dict[str, list[str]]:
        if group not in self._by_part:
            by_part = self._by_part[group] = {}
            for name in names:
                for part in dict.fromkeys(name.split("/")):
                    by_part.setdefault(part, []).append(name)
        return self._by_part[group]


class NumberedStore:
    """The files of Keras 3: groups named by class, and numbered arrays."""

    def __init__(self, contents: Contents, container: str) -> None:
        self.contents = contents
        self.container = container
        # Names of the groups in each group, by class and in order. Their numbers may have gaps.
        self._members: dict[str, dict[str, list[str]]] = {}
        self._groups = frozenset(contents.groups)
        for path in sorted(contents.groups, key=lambda path: (len(path), path)):
            above, _, name = path.rpartition("/")
            by_class = self._members.setdefault(above, {})
            by_class.setdefault(class_of(name), []).append(name)

    def members(self, group: str) -> dict[str, list[str]]:
        """Return the names of the layers in a model's group, by class and in order."""
        return self._members.get(_join(group, self.container), {})

    def weights(self, layer: KerasLayer) -> list[Weight]:
        """See `Store`."""
        group = ""
        for step in layer.stored:
            if isinstance(step, str):
                group = _join(group, step)
                continue
            class_name, number = step
            names = self.members(group).get(class_name, [])
            if number >= len(names):
                raise layer.refuse("expected its weights in the file, found none")
            group = _join(group, f"{self.container}/{names[number]}")
        parts = [_join(group, part) for part in _PARTS.get(layer.class_name, ("",))]
        return [weight for part in parts for weight in self._numbered(layer, part)]

    def _numbered(self, layer: KerasLayer, group: str) -> list[Weight]:
        if group not in self._groups:  # Keras 2 had them as private attributes
            above, _, name = group.rpartition("/")
            group = f"{above}/_{name}"
        found: list[Weight] = []
        while (
            len(found) < _most(layer)
            and (path := _join(group, f"vars/{len(found)}")) in self.contents.arrays
        ):
            found.append(_stored_weight(layer, self.contents, path))
        return found


def _most(layer: KerasLayer) -> int:
    """Return how many arrays of a layer are wanted: a Normalization has a counter, too."""
    return 2 if layer.class_name == "Normalization" else 1000


def class_of(name: str) -> str:
    """Return the name of a layer without the number that Keras gives it."""
    return re.sub(r"_\d+\Z", "", name, flags=re.ASCII)


def find_container(contents: Contents) -> str | None:
    """Return what a file of Keras 3 calls the group of its layers; None if it is another file."""
    for name in ("layers", "_layer_checkpoint_dependencies"):
        if name in contents.groups:
            return name
    return None


def _join(group: str, name: str) -> str:
    return "/".join(filter(None, (group, name)))


def _stored_weight(layer: KerasLayer, contents: Contents, path: str) -> Weight:
    if path not in contents.arrays:
        raise layer.refuse(f"expected an array {shown(path)} in the file, found none")
    return _weight(layer, path, contents.arrays[path])


def _weight(layer: KerasLayer, name: str, array: Array | None) -> Weight:
    """Return an array in float32 or float64."""
    if array is not None and array.dtype in (np.float32, np.float64):
        return Weight(name, array)
    if array is not None and array.dtype.name in ("float16", "bfloat16"):
        return Weight(name, array.astype(np.float32))
    what = "another kind" if array is None else str(array.dtype)
    raise layer.refuse(f"expected {shown(name)} to be floats, got numbers of {what}")
