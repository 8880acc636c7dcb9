"""Tensors of any source: dtype and shape at once, the numbers when they are asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lrplstm.checks import to_array
from lrplstm.texts import first_line, shown
from lrplstm.weights import Array, frozen

__all__ = ["Tensor", "TensorReader", "as_tensor", "find_state_dict"]

_READ_AS = {
    "float16": "float32",
    "bfloat16": "float32",
    "float32": "float32",
    "float64": "float64",
}

_MOST_LETTERS = 200
_MOST_LEVELS = 4
"""How deep in a checkpoint a state dict may lie."""


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor whose numbers may still lie elsewhere.

    Attributes
    ----------
    dtype : str
        What its numbers are stored as, such as "bfloat16".
    shape : tuple of int
    numbers : callable
        Returns them as an array; bfloat16, which NumPy lacks, as float32.
    lacking : str, optional
        What it is instead, where it has no numbers of its own to return.
    """

    dtype: str
    shape: tuple[int, ...]
    numbers: Callable[[], Array]
    lacking: str | None = None

    def check_dense(self, name: str) -> None:
        """Raise a ValueError that calls it by this name if it has no numbers of its own."""
        if self.lacking is not None:
            raise _no_numbers(name, self.lacking)

    def read(self, name: str) -> Array:
        """Return its numbers, or raise a ValueError that calls it by this name."""
        self.check_dense(name)
        try:
            return self.numbers()
        except Exception as error:  # a tensor may refuse for its own reasons
            raise _no_numbers(name, first_line(error)) from None


def _no_numbers(name: str, found: str) -> ValueError:
    return ValueError(f"{name}: expected a dense tensor with numbers, got {found}")


def as_tensor(name: str, value: Any) -> Tensor | None:
    """Return a tensor of PyTorch, or anything else like an array; None for other things."""
    if isinstance(value, Tensor):
        return value
    torch = sys.modules.get("torch")  # what nobody has imported, no value can be of
    if torch is not None and isinstance(value, torch.Tensor):
        return _of_torch(torch, value)
    if hasattr(value, "__array__") and not isinstance(value, np.generic | type):
        array = to_array(name, value)
        return Tensor(array.dtype.name, array.shape, lambda: array)
    return None


def _of_torch(torch: Any, tensor: Any) -> Tensor:
    dtype, layout = (str(value).removeprefix("torch.") for value in (tensor.dtype, tensor.layout))
    lacking = None
    if torch.nn.parameter.is_lazy(tensor):
        lacking = "one that gets its shape when the module first runs"
    elif tensor.is_meta:
        lacking = "a meta tensor"
    elif layout != "strided":
        lacking = f"a sparse tensor ({layout})"
    elif tensor.is_quantized:
        lacking = f"a quantized tensor ({dtype})"

    def numbers() -> Array:
        values = tensor.float() if dtype == "bfloat16" else tensor
        array: Array = values.numpy(force=True)  # detached, from whatever device
        return array

    shape = () if torch.nn.parameter.is_lazy(tensor) else tuple(tensor.shape)
    return Tensor(dtype, shape, numbers, lacking)


class TensorReader:
    """Reads tensors that have to be of one dtype."""

    def __init__(self) -> None:
        self._first: tuple[str, str] | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        """What it returns numbers in: float32 or float64."""
        return np.dtype(_READ_AS["float32" if self._first is None else self._first[1]])

    def read(self, name: str, tensor: Tensor, shape: tuple[int | str, ...]) -> Array:
        """Return the numbers of a tensor, read-only; float16 and bfloat16 become float32.

        Raises
        ------
        TypeError
            If its dtype is none of floating point.
        ValueError
            If it has no numbers, another dtype than the first one, another shape than `shape` (see
            `lrplstm.weights.frozen`), or numbers that are NaN or infinite.
        """
        tensor.check_dense(name)
        if tensor.dtype not in _READ_AS:
            raise TypeError(f"{name}: expected {', '.join(_READ_AS)}, got dtype {tensor.dtype}")
        if self._first is None:
            self._first = name, tensor.dtype
        first, dtype = self._first
        if tensor.dtype != dtype:
            raise ValueError(f"{name}: expected the dtype of {first}, {dtype}, got {tensor.dtype}")
        array = tensor.read(name)
        return frozen(name, array.astype(np.float32) if dtype == "float16" else array, shape)


def find_state_dict(source: Mapping[Any, Any]) -> dict[str, Tensor]:
    """Return the tensors of a state dict, or of the one with a recurrent layer in a checkpoint.

    Where other parts of a network have state dicts of their own beside that one, theirs are in it
    too, with the names that the checkpoint gives the parts.

    Raises
    ------
    ValueError
        If there are several networks.
    """
    recurrent, others = _with_weights(source)
    if len(recurrent) > 1 and not _are_layers(recurrent):
        places = ("source" + "".join(f"[{shown(key)}]" for key in path) for path in recurrent)
        raise ValueError(
            f"source: expected one state dict with an LSTM, got {', '.join(sorted(places)[:8])}; "
            "pass one"
        )
    chosen = recurrent | {path: m for path, m in others.items() if _is_named(path)}
    if len(chosen) < 2 or not all(map(_is_named, chosen)):
        return _tensors(next(iter(chosen.values()), source), "")
    # Names are those below the mapping that all of them lie in.
    levels = zip(*chosen, strict=False)
    shortest = min(map(len, chosen))
    shared = next((n for n, keys in enumerate(levels) if len(set(keys)) > 1), shortest)
    tensors: dict[str, Tensor] = {}
    for path, mapping in chosen.items():
        tensors |= _tensors(mapping, "".join(f"{key}." for key in path[shared:]))
    return tensors


_Path = tuple[Any, ...]


def _with_weights(source: Mapping[Any, Any]) -> tuple[dict[_Path, Any], dict[_Path, Any]]:
    """Return mappings that are state dicts by their places: with recurrent layers, and others."""
    recurrent: dict[_Path, Any] = {}
    others: dict[_Path, Any] = {}
    seen = {id(source)}
    remaining: list[tuple[_Path, Mapping[Any, Any]]] = [((), source)]
    while remaining:
        path, mapping = remaining.pop()
        if any(_is_recurrent(key) for key in mapping):
            recurrent[path] = mapping
        elif _has_weights(mapping):
            others[path] = mapping
        if len(path) < _MOST_LEVELS:
            inner = []
            for key, value in mapping.items():
                if isinstance(value, Mapping) and id(value) not in seen:  # it may lie in several
                    seen.add(id(value))
                    inner.append(((*path, key), value))
            remaining += reversed(inner)
    return recurrent, others


def _is_recurrent(key: Any) -> bool:
    return isinstance(key, str) and key.rpartition(".")[2] in ("weight_ih_l0", "weight_ih")


def _are_layers(recurrent: Mapping[_Path, Mapping[Any, Any]]) -> bool:
    """Whether these are single layers, side by side, rather than networks."""
    single = all(key.count(".") == 0 for m in recurrent.values() for key in m if _is_recurrent(key))
    return single and len({path[:-1] for path in recurrent}) == 1 and all(recurrent)


def _is_named(path: _Path) -> bool:
    return all(isinstance(key, str) for key in path)


def _has_weights(mapping: Mapping[Any, Any]) -> bool:
    """Whether this is what a module would have for a state dict."""
    return any(
        isinstance(key, str)
        and key.rpartition(".")[2].startswith(("weight", "bias"))
        and getattr(value, "shape", ())
        for key, value in mapping.items()
    )


def _tensors(mapping: Mapping[Any, Any], prefix: str) -> dict[str, Tensor]:
    if len(prefix) > _MOST_LETTERS:  # which each of the names would have
        raise ValueError(f"source: expected names of parts, got {shown(prefix)}")
    tensors = {
        prefix + key: as_tensor(prefix + key, value)
        for key, value in mapping.items()
        if isinstance(key, str)
    }
    return {key: tensor for key, tensor in tensors.items() if tensor is not None}
