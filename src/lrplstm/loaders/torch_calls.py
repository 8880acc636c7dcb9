"""What a PyTorch module is called with when its forward is read: of any number of steps."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from lrplstm.loaders.tensors import as_tensor
from lrplstm.loaders.torch_inputs import Call
from lrplstm.weights import Array

__all__ = ["Argument", "Arguments", "arguments_like", "made_up_arguments"]

_MOST_WIDTHS = 8


@dataclass(frozen=True)
class Argument:
    """An argument of a forward.

    Attributes
    ----------
    name : str
        Its name, or its number.
    kind : {"input", "lengths", "mask", "constant"}
        What it is: numbers or ids that the network reads; how long each sequence is; where there
        are steps; or something that stays as it is.
    axes : str
        What its axes are: "B" for sequences, "T" for steps, "-" for one that stays.
    shape : tuple of int
        Sizes of those that stay, at their places.
    ids : int
        How many ids there are; 0 for float numbers.
    longer : int
        How many more steps it has than others.
    value
        A constant, or an example.
    padding : float, optional
        The id of padding, or what all numbers of a step are that is padding, which is in no value
        that is made.
    """

    name: str
    kind: str
    axes: str = ""
    shape: tuple[int, ...] = ()
    ids: int = 0
    longer: int = 0
    value: Any = None
    padding: float | None = None

    @property
    def is_array(self) -> bool:
        """Whether its value is an array of several numbers."""
        array = _array(self.value)
        return array is not None and array.size > 1

    def sizes(self, B: int, T: int) -> tuple[int, ...]:
        """Return its shape for so many sequences of so many steps."""
        by_axis = {"B": B, "T": T + self.longer}
        return tuple(
            by_axis.get(axis, size) for axis, size in zip(self.axes, self.shape, strict=True)
        )

    def made(self, rng: np.random.Generator, B: int, T: int) -> Any:
        """Return a value for so many sequences of so many steps."""
        shape = self.sizes(B, T)
        match self.kind:
            case "input" if self.ids:
                usual = [id_ for id_ in range(self.ids) if id_ not in (0, self.padding)]
                return rng.choice(usual or range(self.ids), shape)
            case "input":
                return rng.normal(0.2, 1, shape).astype(np.float32)
            case "lengths":
                full = np.full(shape, T)
                return full.tolist() if isinstance(self.value, list | tuple) else full
            case "mask":
                return np.ones(shape, self.value.dtype)
        return self.value


@dataclass(frozen=True)
class Arguments:
    """All arguments of a forward, in their order or by their names."""

    arguments: tuple[Argument, ...]
    by_name: bool = False

    @property
    def inputs(self) -> list[Argument]:
        """Those that the network reads."""
        return [argument for argument in self.arguments if argument.kind == "input"]

    def with_padding(self, paddings: Mapping[str, float]) -> Arguments:
        """Return the same with what is padding, by the names ``input_0`` and on of its inputs."""
        by_name = {each.name: paddings.get(f"input_{n}") for n, each in enumerate(self.inputs)}
        return replace(
            self,
            arguments=tuple(
                replace(each, padding=by_name[each.name])
                if by_name.get(each.name) is not None
                else each
                for each in self.arguments
            ),
        )

    def turned(self) -> Arguments:
        """Return the same where steps come before sequences, or after them."""
        swapped = str.maketrans("BT", "TB")
        return replace(
            self,
            arguments=tuple(
                replace(each, axes=each.axes.translate(swapped))
                if {*"BT"} <= {*each.axes}
                else each
                for each in self.arguments
            ),
        )

    def made(self, B: int, T: int, seed: int = 11) -> list[Any]:
        """Return values of all arguments for so many sequences of so many steps."""
        rng = np.random.default_rng(seed)
        return [argument.made(rng, B, T) for argument in self.arguments]

    def examples(self) -> list[Any]:
        """Return the values of the example that they were read of."""
        return [argument.value for argument in self.arguments]

    def whole(self, values: Sequence[Any]) -> list[Any] | None:
        """Return what a model reads of each sequence at all steps; None if they do not go together.

        That is an array of the one input, or a dict of several.
        """
        return next(self.sequences(values, cut=False), None)

    def sequences(self, values: Sequence[Any], *, cut: bool = True) -> Iterator[list[Any]]:
        """Yield what a model reads of each sequence, in each way that values may be meant.

        That is at all of the steps, or at as many as lengths or a mask say, or without the zeros at
        the ends, unless they are not to be cut.
        """
        given = list(zip(self.arguments, values, strict=True))
        main = next(each for each in self.inputs if "T" in each.axes)
        arrays = {each.name: _whole(value) for each, value in given if each.kind == "input"}
        B = arrays[main.name].shape[main.axes.index("B")] if "B" in main.axes else 1
        full = [arrays[main.name].shape[main.axes.index("T")]] * B
        batches = {arrays[e.name].shape[e.axes.index("B")] for e in self.inputs if "B" in e.axes}
        if batches - {B}:
            return
        counts = [full]
        if cut:
            said = [(each, value) for each, value in given if each.kind in ("lengths", "mask")]
            counts = [_counts(each, value) for each, value in said]
            counts += [full, _without_zeros(main, arrays[main.name])]
        for lengths in counts:
            if len(lengths) == B and min(lengths) > 0:
                yield [self._one(arrays, b, lengths[b]) for b in range(B)]

    def _one(self, arrays: dict[str, Array], b: int, length: int) -> Any:
        """Return what a model reads of one sequence."""
        rows = {}
        for each in self.inputs:
            row, axes = arrays[each.name], each.axes
            if "B" in axes:
                row, axes = row.take(b, axis=axes.index("B")), axes.replace("B", "", 1)
            if "T" in axes:
                row = np.moveaxis(row, axes.index("T"), 0)[: length + each.longer]
                row = row[:, None] if row.ndim == 1 and not each.ids else row
            rows[each.name] = row
        return rows if len(rows) > 1 else next(iter(rows.values()))

    def call(self, values: Sequence[Any]) -> Call:
        """Return the call with these values."""
        if self.by_name:
            names = [argument.name for argument in self.arguments]
            return Call((), dict(zip(names, values, strict=True)))
        return Call(tuple(values), {})


def _whole(value: Any) -> Array:
    array = _array(value)
    return np.asarray(value) if array is None else array


def _counts(argument: Argument, value: Any) -> list[int]:
    array = _whole(value)
    counts: list[int] = (array.sum(1) if argument.kind == "mask" else array).astype(int).tolist()
    return counts


def _without_zeros(argument: Argument, array: Array) -> list[int]:
    """Return how many steps there are before the last ones that are all zero."""
    order = [argument.axes.index(axis) for axis in "BT" if axis in argument.axes]
    rows = np.moveaxis(array, order, range(len(order)))
    rows = rows if "B" in argument.axes else rows[None]
    filled = (rows != 0).reshape(*rows.shape[:2], -1).any(2)
    return [int(np.flatnonzero(row).max(initial=-1)) + 1 for row in filled]


# Made up ----------------------------------------------------------------------------------------


def made_up_arguments(torch: Any, module: Any) -> Iterator[Arguments]:
    """Yield what a module may be called with, the likeliest first.

    Raises
    ------
    ValueError
        If its forward takes arguments that cannot be made up.
    """
    first, *others = _required(module)
    fixed = [_known_argument(name) for name in others]
    if None in fixed:
        raise ValueError(
            f"source: expected a forward of one argument, got {', '.join([first, *others])}; pass "
            "what it takes as example=, a tuple of its arguments or a dict of them"
        )
    known = [argument for argument in fixed if argument is not None]
    for argument in _first_arguments(torch, module, first):
        yield Arguments((argument, *known))


def _required(module: Any) -> list[str]:
    """Return the names of the arguments that forward has to be given."""
    try:
        parameters = inspect.signature(module.forward).parameters.values()
    except (TypeError, ValueError):
        return ["inputs"]
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    required = [
        each.name for each in parameters if each.kind in positional and each.default is each.empty
    ]
    return required or ["inputs"]


def _known_argument(name: str) -> Argument | None:
    lower = name.lower()
    if "len" in lower:
        return Argument(name, "lengths", "B", (0,), value=np.zeros(1, np.int64))
    if "mask" in lower:
        return Argument(name, "mask", "BT", (0, 0), value=np.zeros(1, bool))
    return None


def _first_arguments(torch: Any, module: Any, name: str) -> Iterator[Argument]:
    nn, tables = torch.nn, _tables(torch, module)
    if tables:
        yield Argument(name, "input", "BT", (0, 0), ids=min(tables))
    recurrent = [part for part in module.modules() if isinstance(part, nn.RNNBase)]
    batch_first = not recurrent or recurrent[0].batch_first
    for width in _widths(nn, module):
        for axes in ("BT-", "TB-") if batch_first else ("TB-", "BT-"):
            yield Argument(name, "input", axes, (0, 0, width))
        yield Argument(name, "input", "B-T", (0, width, 0))
        yield Argument(name, "input", "T-", (0, width))
        if width == 1:
            yield Argument(name, "input", "BT", (0, 0))
            yield Argument(name, "input", "T", (0,))


def _widths(nn: Any, module: Any) -> list[int]:
    """Return how many numbers a step may have: what layers read, in their order."""
    widths: list[int] = []
    for part in module.modules():
        for name in ("input_size", "in_channels", "in_features", "num_features", "embed_dim"):
            width = getattr(part, name, None)
            if isinstance(width, int) and width > 0:
                widths.append(width)
    if not widths:  # of TorchScript, which keeps the tensors only
        widths = [tensor.shape[1] for tensor in module.parameters() if tensor.ndim >= 2]
    return list(dict.fromkeys(widths))[:_MOST_WIDTHS]


# Examples ---------------------------------------------------------------------------------------


def arguments_like(torch: Any, module: Any, call: Call) -> list[tuple[Arguments, int, int]]:
    """Return what a module may be called with, as an example shows it, with its B and T.

    The likeliest comes first.

    Raises
    ------
    ValueError
        If it has nothing that a network can read.
    """
    by_name = not call.arguments
    names = list(call.options) if by_name else _named(module, len(call.arguments))
    values = list(call.options.values()) if by_name else list(call.arguments)
    arrays = [_array(value) for value in values]
    ids = min(_tables(torch, module), default=0)
    main = max(range(len(arrays)), key=lambda n: _order(arrays[n], ids), default=None)
    if main is None or not _order(arrays[main], ids):
        raise ValueError(
            "example: expected what forward takes, with sequences of several steps among it"
        )
    readings = []
    for axes in _axes_of(torch, module, arrays[main]):
        sizes = dict(zip(axes, _whole(values[main]).shape, strict=True))
        B, T = sizes.get("B", 1), sizes["T"]
        choices = [
            [_main(name, value, axes, ids)] if n == main else _others(name, value, axes, B, T, ids)
            for n, (name, value) in enumerate(zip(names, values, strict=True))
        ]
        readings += [(Arguments(given, by_name), B, T) for given in product(*choices)]
    return readings


def _tables(torch: Any, module: Any) -> list[int]:
    nn = torch.nn
    return [part.num_embeddings for part in module.modules() if isinstance(part, nn.Embedding)]


def _order(array: Array | None, ids: int) -> int:
    """Return how likely an argument is to have the steps; 0 if it cannot have any."""
    if array is None or array.ndim < 2 or array.size < 2 or array.dtype.kind not in "iuf":
        return 0
    whole = array.dtype.kind in "iu"
    return 3 if array.ndim > 2 else 2 if whole and ids else 1


def _named(module: Any, count: int) -> list[str]:
    try:
        known = list(inspect.signature(module.forward).parameters)[:count]
    except (TypeError, ValueError):
        known = []
    return known + [f"argument_{n}" for n in range(len(known), count)]


def _array(value: Any) -> Array | None:
    tensor = as_tensor("example", value)
    if tensor is not None:
        return tensor.read("example")
    if isinstance(value, list | tuple) and all(isinstance(n, int) for n in value) and value:
        return np.array(value)
    return None


def _axes_of(torch: Any, module: Any, array: Array | None) -> list[str]:
    """Return what the axes of the main input can be, the likeliest first."""
    assert array is not None
    further = "-" * (array.ndim - 3)
    if array.dtype.kind in "iu":
        return ["BT" + "-" * (array.ndim - 2), "TB" + "-" * (array.ndim - 2)]
    if array.ndim == 2:
        return ["BT", "T-"]
    recurrent = [p for p in module.modules() if isinstance(p, torch.nn.RNNBase)]
    known = ["BT-", "TB-", "B-T"]
    if recurrent and not recurrent[0].batch_first:
        known = ["TB-", "BT-", "B-T"]
    widths = _widths(torch.nn, module)
    if array.shape[1] in widths and array.shape[2] not in widths:
        known.insert(0, known.pop())
    return [axes + further for axes in known]


def _main(name: str, value: Any, axes: str, ids: int) -> Argument:
    array = _whole(value)
    return Argument(
        name, "input", axes, array.shape, ids if array.dtype.kind in "iu" else 0, value=value
    )


def _others(name: str, value: Any, axes: str, B: int, T: int, ids: int) -> list[Argument]:
    """Return what an argument beside the main one can be, the likeliest first."""
    argument = _argument(name, value, axes, B, T, ids)
    if argument.kind == "input" and argument.axes == "B-" and argument.shape == (B, T):
        return [replace(argument, axes="BT"), argument]  # a number a step, or as many numbers
    return [argument]


def _argument(name: str, value: Any, axes: str, B: int, T: int, ids: int) -> Argument:
    """Return an argument beside the main one, whose axes are given."""
    array = _array(value)
    if array is None:
        return Argument(name, "constant", value=value)
    shape, whole = array.shape, array.dtype.kind in "iu"
    lengths = shape == (B,) and whole and array.min() >= 1 and array.max() <= T
    if lengths and ("len" in name.lower() or array.max() == T):
        return Argument(name, "lengths", "B", shape, value=value)
    if shape == (B, T) and _is_mask(name, array):
        return Argument(name, "mask", "BT", shape, value=array)
    if not shape or B not in shape:
        return Argument(name, "constant", value=value)
    ids = ids if whole else 0
    if len(shape) == len(axes) and shape[axes.index("B")] == B and (whole or len(shape) > 2):
        # As the main one, perhaps of another length.
        return Argument(name, "input", axes, shape, ids, shape[axes.index("T")] - T, value)
    marks = ["-"] * len(shape)
    marks[shape.index(B)] = "B"
    if len(shape) > 2 and T in shape:
        marks[shape.index(T)] = "T"
    return Argument(name, "input", "".join(marks), shape, ids, value=value)


def _is_mask(name: str, array: Array) -> bool:
    """Whether ones say where there are steps: by its name, its dtype, or zeros behind them."""
    if array.dtype == bool or not set(np.unique(array)) <= {0, 1}:
        return array.dtype == bool
    ends = (np.diff(array, axis=1) <= 0).all() and array[:, 0].all() and not array.all()
    return "mask" in name.lower() or bool(ends)
