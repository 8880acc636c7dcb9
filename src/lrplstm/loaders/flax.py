"""Parameters of flax and equinox: dicts of arrays, read without JAX."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lrplstm.base_model import Model
from lrplstm.cells import GRUWeights, RNNWeights
from lrplstm.checks import check_choice
from lrplstm.layers import ACTIVATIONS, POOLINGS, DenseLayer, Pool
from lrplstm.loaders.arrays import sum_of_biases
from lrplstm.loaders.assumptions import warn_assumed
from lrplstm.loaders.tensors import TensorReader, as_tensor
from lrplstm.model import LSTMModel
from lrplstm.texts import shown, with_visible_errors
from lrplstm.weights import Array, LSTMWeights

__all__ = ["from_flax"]

Weights = LSTMWeights | GRUWeights | RNNWeights
Arrays = Mapping[str, Array]

_MOST_DEPTH = 32


@with_visible_errors
def from_flax(
    params: Mapping[Any, Any],
    *,
    cells: str | Sequence[str | Sequence[str]] | None = None,
    head: str | Sequence[str] | None = None,
    embedding: str | None = None,
    pooling: str | None = None,
    activations: Sequence[str] | None = None,
    vocabulary: Sequence[str | None] | Mapping[str, int] | None = None,
    class_names: Sequence[str] | None = None,
    unknown_token: str | None = None,
    tokenizer: str | None = None,
    task: str = "classification",
) -> Model:
    """Read a recurrent network of flax or equinox from a dict of its parameters.

    Parameters
    ----------
    params : mapping of str to arrays or to mappings
        What ``module.init`` of flax.linen returns, the state of a flax.nnx module as a pure dict,
        or the arrays of equinox's cells by the names of their attributes. Names may be joined with
        "/" or ".", as in ``{"cell/ii/kernel": ...}``. Arrays are of NumPy, JAX or anything alike.
    cells : str, or sequence of (str or pair of str), optional
        Paths of the recurrent cells, first layer first, such as ``["RNN_0/cell", "RNN_1/cell"]``; a
        (forward, backward) pair for two directions. Default: the only one there is.
    head : str or sequence of str, optional
        Paths of the dense layers behind them, in their order. Default: the only one there is.
    embedding : str, optional
        Path of the embedding. Default: the only one there is.
    pooling : {"last", "mean", "max", "none"}, optional
        What the head reads of the last cell; "last", its final state, if nothing is said.
    activations : sequence of str, optional
        What follows each layer of the head; that of the last may be left out.
    vocabulary : sequence of str, or dict of int by str, optional
        The token of each id.
    class_names : sequence of str, optional
        What the classes, or outputs, are called.
    unknown_token : str, optional
        The token for all that the vocabulary lacks.
    tokenizer : str, optional
        What makes tokens of text, "treebank" or "whitespace".
    task : {"classification", "regression"}
        What the scores are for.

    Returns
    -------
    Model
        An `LSTMModel` if all cells are LSTMs. float16 and bfloat16 become float32.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind, or an array not of floating point.
    ValueError
        If there are several of what is not named, or arrays do not fit together.

    Warns
    -----
    UserWarning
        If `pooling` or `activations` have to be assumed.

    Notes
    -----
    Cells that are read: ``LSTMCell``, ``OptimizedLSTMCell``, ``GRUCell`` and ``SimpleCell`` of
    flax.linen and flax.nnx, and ``LSTMCell`` and ``GRUCell`` of equinox, with the activations that
    they have if nothing else is said, from states of zero.

    Examples
    --------
    >>> import numpy as np
    >>> import lrplstm
    >>> rng = np.random.default_rng(0)
    >>> cell = {f"i{gate}": {"kernel": rng.normal(0, 0.3, (3, 2))} for gate in "ifgo"}
    >>> cell |= {f"h{gate}": {"kernel": rng.normal(0, 0.3, (2, 2)), "bias": rng.normal(0, 0.3, 2)}
    ...          for gate in "ifgo"}
    >>> params = {"RNN_0": {"cell": cell}, "Dense_0": {"kernel": rng.normal(size=(2, 4))}}
    >>> model = lrplstm.from_flax({"params": params}, pooling="last", activations=["linear"])
    >>> dict(model.origin)
    {'lstm': 'RNN_0/cell', 'head': 'Dense_0'}
    """
    if pooling is not None:
        check_choice("pooling", pooling, POOLINGS)
    places = _places(params)
    names = _cell_names(places, cells)
    reader = TensorReader()
    directions = [
        [_cell(reader, place, places[place], reverse=bool(n)) for n, place in enumerate(layer)]
        for layer in names
    ]
    taken = {place for place, arrays in places.items() if _kind(arrays) is not None}
    dense_names = _dense_names(places, taken, head, embedding)
    table_name = _embedding_name(places, taken | set(dense_names), embedding)
    functions = _activations(activations, dense_names)
    layers = [_dense(reader, name, places[name]) for name in dense_names]
    dense = [
        DenseLayer(weight, bias, activation)
        for (weight, bias), activation in zip(layers, functions, strict=True)
    ]
    table = None if table_name is None else _embedding(reader, table_name, places[table_name])
    _warn(pooling, activations, dense_names)
    origin = {
        "embedding": table_name or "",
        "lstm": ", ".join(place for layer in names for place in layer),
        "head": ", ".join(dense_names),
    }
    arguments: dict[str, Any] = {
        "embedding": table,
        "vocabulary": vocabulary,
        "class_names": class_names,
        "unknown_token": unknown_token,
        "tokenizer": tokenizer,
        "task": task,
    }
    both: list[Any] = [tuple(layer) if layer[1:] else layer[0] for layer in directions]
    if all(isinstance(cell, LSTMWeights) for layer in directions for cell in layer):
        origin = {part: name for part, name in origin.items() if name}
        return LSTMModel(both, head=dense, pooling=pooling or "last", origin=origin, **arguments)
    kind = "gru" if isinstance(directions[0][0], GRUWeights) else "rnn"
    origin = {kind if part == "lstm" else part: name for part, name in origin.items() if name}
    pool = [] if pooling == "none" else [Pool(pooling or "last")]
    return Model([*both, *pool, *dense], origin=origin, **arguments)


# Where things are -------------------------------------------------------------------------------


def _places(params: Any) -> dict[str, dict[str, Any]]:
    """Return what lies at each path: arrays by name, and by name and kind those one level below."""
    if not isinstance(params, Mapping):
        raise TypeError(f"params: expected a mapping of arrays, got {type(params).__name__}")
    flat: dict[tuple[str, ...], Any] = {}
    waiting: list[tuple[tuple[str, ...], Any]] = [((), params)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, Mapping):
            if len(path) > _MOST_DEPTH:
                raise ValueError(f"params: expected mappings at most {_MOST_DEPTH} deep")
            for key, member in value.items():
                names = key if isinstance(key, tuple) else (key,)
                parts = [part for name in names for part in _split(name)]
                waiting.append(((*path, *parts), member))
        elif value is not None:  # equinox has None for a bias that there is not
            flat[path] = value
    while flat and {path[:1] for path in flat} == {("params",)}:
        flat = {path[1:]: value for path, value in flat.items()}
    places: dict[str, dict[str, Any]] = {}
    for path, value in sorted(flat.items()):
        for depth in (1, 2):
            if len(path) >= depth:
                place = places.setdefault("/".join(path[:-depth]), {})
                place["/".join(path[-depth:]).replace("if_/", "if/")] = value
    return places


def _split(name: Any) -> list[str]:
    """Return the parts of a name that may be joined with / or a dot."""
    if not isinstance(name, str | int):
        raise TypeError(f"params: expected names of parameters, got {shown(name)}")
    return [part for part in str(name).replace(".", "/").split("/") if part]


def _chosen(argument: str, given: Any, found: Sequence[str], what: str) -> list[str]:
    """Return the paths that an argument names, or the only one there is."""
    if given is None:
        if len(found) > 1:
            several = ", ".join(map(shown, found[:6]))
            raise ValueError(
                f"{argument}: expected the path of the {what}, as there are several ({several}); "
                f"pass {argument}={list(found[:6])!r}, those of it in their order"
            )
        return list(found)
    names: list[str] = (
        [given] if isinstance(given, str) else list(given) if _is_list(given) else [given]
    )
    for name in names:
        if name not in found:
            several = ", ".join(map(shown, found[:6])) or "none"
            raise ValueError(f"{argument}: expected one of {several}, got {shown(name)}")
    return names


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _cell_names(places: Mapping[str, Arrays], cells: Any) -> list[list[str]]:
    """Return the paths of each layer's cells, one or a pair."""
    found = [place for place, arrays in places.items() if _kind(arrays) is not None]
    if not found:
        raise ValueError("params: expected a recurrent cell of flax or equinox, found none")
    if cells is None or isinstance(cells, str):
        return [_chosen("cells", cells, found, "recurrent cell")]
    if not _is_list(cells) or not cells:
        raise TypeError(f"cells: expected paths, got {shown(cells)}")
    layers = [list(layer) if _is_list(layer) else [layer] for layer in cells]
    for layer in layers:
        if len(layer) not in (1, 2):
            raise ValueError(f"cells: expected a path or a pair of them, got {shown(layer)}")
    return [_chosen("cells", layer, found, "recurrent cell") for layer in layers]


def _dense_names(
    places: Mapping[str, Arrays], taken: set[str], head: Any, embedding: Any
) -> list[str]:
    inside = tuple(f"{place}/" if place else "" for place in taken)
    found = [
        place
        for place, arrays in places.items()
        if place not in taken
        and not place.startswith(inside)
        and place != embedding
        and ({"kernel"} <= _names(arrays) or {"weight"} <= _names(arrays))
        and _names(arrays) <= {"kernel", "weight", "bias"}
    ]
    return _chosen("head", head, found, "dense layer")


def _embedding_name(places: Mapping[str, Arrays], taken: set[str], embedding: Any) -> str | None:
    found = [
        place
        for place, arrays in places.items()
        if _names(arrays) == {"embedding"} or (place == embedding and place not in taken)
    ]
    names = _chosen("embedding", embedding, found, "embedding")
    if len(names) > 1:
        raise ValueError(f"embedding: expected one path, got {shown(names)}")
    return names[0] if names else None


def _names(arrays: Arrays) -> set[str]:
    """Return the names of the arrays that lie at a place itself."""
    return {name for name in arrays if "/" not in name}


# Cells ------------------------------------------------------------------------------------------


def _kind(arrays: Arrays) -> str | None:
    """Return the layout of a cell's parameters, or None if it is none."""
    for kind, (needed, _) in _LAYOUTS.items():
        if needed <= arrays.keys():
            return kind
    return None


def _kernels(prefix: str, gates: str) -> set[str]:
    return {f"{prefix}{gate}/kernel" for gate in gates}


class _Cell:
    """The parameters of a cell, read by name."""

    def __init__(self, reader: TensorReader, place: str, arrays: Arrays) -> None:
        self.reader, self.place, self.arrays = reader, place, arrays

    def read(self, name: str, *shape: int | str) -> Array:
        """Return an array of this shape."""
        path = f"{self.place}/{name}" if self.place else name
        tensor = as_tensor(path, self.arrays[name])
        if tensor is None:
            raise TypeError(f"{path}: expected an array, got {shown(self.arrays[name])}")
        return self.reader.read(path, tensor, shape)

    def bias(self, name: str, size: int, like: Array) -> Array:
        """Return a bias, or zeros where there is none."""
        if name not in self.arrays:
            return np.zeros(size, like.dtype)
        return self.read(name, size)

    def gates(self, prefix: str, gates: str, rows: int | str, size: int) -> tuple[Array, Array]:
        """Return weights and biases of several gates, each of which has a kernel of its own."""
        kernels = [self.read(f"{prefix}{gate}/kernel", rows, size) for gate in gates]
        for kernel in kernels[1:]:
            if len(kernel) != len(kernels[0]):
                raise ValueError(f"{self.place}: expected kernels of the same inputs in all gates")
        biases = [self.bias(f"{prefix}{gate}/bias", size, kernels[0]) for gate in gates]
        return np.concatenate([kernel.T for kernel in kernels]), np.concatenate(biases)

    def size(self, name: str, axis: int) -> int:
        """Return a size of an array before it is read."""
        shape = getattr(self.arrays[name], "shape", ())
        return int(shape[axis]) if len(shape) > axis else 0

    def added(self, *biases: Array) -> Array:
        """Return the sum of two biases."""
        return sum_of_biases(biases, self.place, "of its two biases")


def _one_kernel_a_gate(cell: _Cell, reverse: bool) -> Weights:
    size = cell.size("hi/kernel", 0)
    weight_hh, bias_hh = cell.gates("h", "ifgo", size, size)
    weight_ih, bias_ih = cell.gates("i", "ifgo", "inputs", size)
    return LSTMWeights(weight_ih, weight_hh, cell.added(bias_ih, bias_hh), reverse=reverse)


def _gru_kernels(cell: _Cell, reverse: bool) -> Weights:
    size = cell.size("hr/kernel", 0)
    weight_hh, bias_hh = cell.gates("h", "rzn", size, size)
    weight_ih, bias_ih = cell.gates("i", "rzn", "inputs", size)
    return GRUWeights(weight_ih, weight_hh, bias_ih, bias_hh, reverse=reverse)


def _two_kernels(
    cell: _Cell, reverse: bool, names: tuple[str, str] = ("dense_i", "dense_h")
) -> Weights:
    """Return a cell whose gates lie side by side in one kernel: 4 of an LSTM, 3 of a GRU, or 1."""
    first, second = names
    size = cell.size(f"{second}/kernel", 0)
    gates = cell.size(f"{second}/kernel", 1) // max(size, 1)
    if gates not in (1, 3, 4):
        raise ValueError(f"{cell.place}: expected 1, 3 or 4 gates in {second}, got {gates}")
    weight_hh = cell.read(f"{second}/kernel", size, gates * size).T
    weight_ih = cell.read(f"{first}/kernel", "inputs", gates * size).T
    biases = [cell.bias(f"{name}/bias", gates * size, weight_hh) for name in names]
    if gates == 3:
        return GRUWeights(weight_ih, weight_hh, *biases, reverse=reverse)
    made: Callable[..., Weights] = LSTMWeights if gates == 4 else RNNWeights
    return made(weight_ih, weight_hh, cell.added(*biases), reverse=reverse)


def _simple(cell: _Cell, reverse: bool) -> Weights:
    return _two_kernels(cell, reverse, ("i", "h"))


def _equinox(cell: _Cell, reverse: bool) -> Weights:
    """Return a cell of equinox, whose weights are (gates * H, inputs)."""
    size = cell.size("weight_hh", 1)
    gates = cell.size("weight_hh", 0) // max(size, 1)
    if gates not in (3, 4):
        raise ValueError(f"{cell.place}: expected 3 or 4 gates in weight_hh, got {gates}")
    weight_hh = cell.read("weight_hh", gates * size, size)
    weight_ih = cell.read("weight_ih", gates * size, "inputs")
    bias = cell.bias("bias", gates * size, weight_hh)
    if gates == 4:
        return LSTMWeights(weight_ih, weight_hh, bias, reverse=reverse)
    # Of the recurrent product only the candidate's part has a bias.
    bias_hh = np.concatenate([np.zeros(2 * size, bias.dtype), cell.bias("bias_n", size, bias)])
    return GRUWeights(weight_ih, weight_hh, bias, bias_hh, reverse=reverse)


_LAYOUTS: dict[str, tuple[set[str], Callable[[_Cell, bool], Weights]]] = {
    "LSTMCell": (_kernels("i", "ifgo") | _kernels("h", "ifgo"), _one_kernel_a_gate),
    "GRUCell": (_kernels("i", "rzn") | _kernels("h", "rzn"), _gru_kernels),
    "nnx": ({"dense_i/kernel", "dense_h/kernel"}, _two_kernels),
    "SimpleCell": ({"i/kernel", "h/kernel"}, _simple),
    "equinox": ({"weight_ih", "weight_hh"}, _equinox),
}


def _cell(reader: TensorReader, place: str, arrays: Arrays, *, reverse: bool) -> Weights:
    _, read = _LAYOUTS[_kind(arrays) or ""]
    return read(_Cell(reader, place, arrays), reverse)


# The rest ---------------------------------------------------------------------------------------


def _dense(reader: TensorReader, place: str, arrays: Arrays) -> tuple[Array, Array | None]:
    cell = _Cell(reader, place, arrays)
    if "kernel" in arrays:
        weight = cell.read("kernel", "inputs", "outputs").T
    else:
        weight = cell.read("weight", "outputs", "inputs")
    return weight, cell.read("bias", len(weight)) if "bias" in arrays else None


def _embedding(reader: TensorReader, place: str, arrays: Arrays) -> Array:
    cell = _Cell(reader, place, arrays)
    return cell.read("embedding" if "embedding" in arrays else "weight", "ids", "size")


def _activations(activations: Any, names: Sequence[str]) -> list[str]:
    """Return what follows each dense layer."""
    if activations is None:
        if len(names) > 1:
            example = ["relu"] * (len(names) - 1) + ["linear"]
            raise ValueError(
                f"activations: expected what follows each of {', '.join(map(shown, names))}; pass "
                f"activations={example!r} with what is so"
            )
        return ["linear"] * len(names)
    given = list(activations) if _is_list(activations) else None
    if given is None or not all(isinstance(name, str) for name in given):
        raise TypeError(f"activations: expected names, got {shown(activations)}")
    for name in given:
        check_choice("activations", name, ACTIVATIONS)
    given += ["linear"] * (len(given) == len(names) - 1)
    if len(given) != len(names):
        raise ValueError(f"activations: expected {len(names)}, got {len(given)}")
    return given


def _warn(pooling: Any, activations: Any, names: Sequence[str]) -> None:
    assumed: list[str] = []
    arguments: dict[str, Any] = {}
    if pooling is None:
        assumed.append("the final state of the last cell is read")
        arguments["pooling"] = "last"
    if activations is None and names:
        assumed.append(f"nothing but softmax or sigmoid follows {shown(names[-1])}")
        arguments["activations"] = ["linear"]
    warn_assumed(
        "parameters do not show what is done with them",
        assumed,
        arguments,
        "model.verify(apply, inputs) compares the scores",
    )
