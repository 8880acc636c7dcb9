"""What a PyTorch module is run on to compare scores: made-up inputs, or an example."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from lrplstm.checks import to_array
from lrplstm.loaders.tensors import as_tensor
from lrplstm.model import LSTMModel
from lrplstm.weights import Array

__all__ = ["Call", "Layout", "arguments_of", "layouts", "made_up", "sequences_in"]

_LENGTHS = (5, 3, 40, 7, 4, 11, 6)  # a long one, for whoever cuts sequences short
_BATCH = (8, 10, 12, 13)


class Call(NamedTuple):
    """What a module is called with."""

    arguments: tuple[Any, ...]
    options: Mapping[str, Any]


# Made up ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Layout:
    """How an array holds a batch of sequences that are equally long.

    Attributes
    ----------
    name : str
        What errors call it.
    axis : int or None
        The axis of the sequences; None for one sequence without it.
    flat : bool
        Whether each step is a number rather than a row of one.
    """

    name: str
    axis: int | None
    flat: bool = False

    def call(self, sequences: Sequence[Array]) -> Call:
        """Return what a module that reads this layout is called with."""
        rows = [row[:, 0] for row in sequences] if self.flat else sequences
        return Call((rows[0] if self.axis is None else np.stack(rows, self.axis),), {})


def layouts(model: LSTMModel, *, batch_first: bool) -> list[Layout]:
    """Return how a module may want its inputs, the likeliest first."""
    kind = "(B, T)" if model.embedding is not None else "(B, T, D)"
    found = [Layout(kind, 0), Layout(kind.replace("B, T", "T, B"), 1)]
    if not batch_first:
        found.reverse()
    found.append(Layout(kind.replace("B, ", ""), None))
    if model.embedding is None and model.input_size == 1:
        found += [Layout("(B, T)", 0, flat=True), Layout("(T,)", None, flat=True)]
    return found


def made_up(model: LSTMModel, padding_id: int | None) -> tuple[list[Array], list[Array]]:
    """Return a few sequences of several lengths, and a few of one length.

    Sizes are none that the model has, so that an axis of one thing is not taken for another.
    """
    rng = np.random.default_rng(11)
    sizes = {model.num_classes, model.input_size, model.width}
    lengths = sorted([T for T in _LENGTHS if T not in sizes][:3])
    B = next(count for count in _BATCH if count not in sizes)

    ids = np.arange(0 if model.embedding is None else len(model.embedding))
    usual = np.setdiff1d(ids, [0, padding_id or 0])

    def sequence(T: int, scale: float = 1) -> Array:
        if model.embedding is None:
            return rng.normal(0.2, scale, (T, model.input_size)).astype(model.dtype)
        return rng.choice(usual if len(usual) else ids, T)

    return [sequence(T) for T in lengths], [sequence(lengths[0], 1 + b % 3) for b in range(B)]


# Examples ---------------------------------------------------------------------------------------


def arguments_of(example: Any) -> Call:
    """Return what `example` says that a module is called with."""
    if isinstance(example, Mapping):
        return Call((), {str(key): value for key, value in example.items()})
    if type(example) is not tuple:
        return Call((_listed(example),), {})
    return Call(tuple(_listed(value) if _nested(value) else value for value in example), {})


def _nested(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], list)


def _listed(value: Any) -> Any:
    """Return lists of numbers as an array, and anything else as it is."""
    if isinstance(value, list):
        with suppress(ValueError):
            array = np.array(value)
            return array if array.dtype.kind in "iuf" else value
    return value


def sequences_in(torch: Any, call: Call, model: LSTMModel, padding_id: int | None) -> list[Any]:
    """Return the sequences of an example, in each way that they may be meant, the likeliest first.

    Raises
    ------
    ValueError
        If nothing in it can be what the network reads.
    """
    values = [*call.arguments, *call.options.values()]
    for position, value in enumerate(values):
        batches = list(_batches(torch, value, model))
        if batches:
            others = values[:position] + values[position + 1 :]
            cut = [c for batch in batches for c in _cut(batch, others)]
            trimmed = [t for batch in batches for t in _trimmed(batch, padding_id)]
            return cut + batches + trimmed
    reads = f"numbers (B, T, {model.input_size})"
    if model.embedding is not None:
        reads = f"ids (B, T) below {len(model.embedding)}"
    raise ValueError(f"example: expected what forward takes, {reads} among it, found no such array")


def _batches(torch: Any, value: Any, model: LSTMModel) -> Iterator[list[Array]]:
    """Yield the sequences in an argument, in each way that it may be meant."""
    rnn = torch.nn.utils.rnn
    if isinstance(value, rnn.PackedSequence):
        padded, lengths = rnn.pad_packed_sequence(value, batch_first=True)
        rows = zip(_array(padded), lengths.tolist(), strict=True)
        yield from _fitting([row[:length] for row, length in rows], model)
        return
    if isinstance(value, list | tuple) and any(as_tensor("example", one) for one in value):
        yield from _fitting([_array(one) for one in value], model)
        return
    array = _array(value)
    if array.ndim >= 2:
        yield from _fitting(list(array), model)
        yield from _fitting(list(array.swapaxes(0, 1)), model)
    if array.ndim >= 1:
        yield from _fitting([array], model)


def _fitting(rows: list[Array], model: LSTMModel) -> Iterator[list[Array]]:
    """Yield sequences as the model reads them, if they can be so."""
    if not rows or not all(row.size for row in rows):
        return
    if model.embedding is not None:
        whole = all(row.dtype.kind in "iu" and row.ndim == 1 for row in rows)
        if whole and all(row.min() >= 0 and row.max() < len(model.embedding) for row in rows):
            yield rows
        return
    D = model.input_size
    if not all(row.dtype.kind in "fiu" for row in rows):
        return
    if all(row.ndim >= 2 and row.shape[-1] == D for row in rows):
        yield [row.reshape(-1, D) for row in rows]
    elif D == 1 and all(row.ndim == 1 for row in rows):
        yield [row[:, None] for row in rows]


def _array(value: Any) -> Array:
    tensor = as_tensor("example", value)
    if tensor is not None:
        return tensor.read("example")
    try:
        return to_array("example", value)
    except (TypeError, ValueError):
        return np.empty(())


def _cut(batch: list[Array], others: Sequence[Any]) -> Iterator[list[Array]]:
    """Yield sequences without their padding, if lengths or a mask are given besides."""
    most = max(map(len, batch))
    for value in others:
        array = _array(value)
        if array.dtype.kind not in "iub" or len(batch) not in array.shape:
            continue
        if array.shape == (len(batch), most) and set(np.unique(array)) <= {0, 1}:
            array = array.sum(axis=1)
        fits = array.shape == (len(batch),) and array.dtype.kind in "iu"
        if fits and array.min() >= 1 and array.max() <= most:
            yield [row[:length] for row, length in zip(batch, array.tolist(), strict=True)]


def _trimmed(batch: list[Array], padding_id: int | None) -> Iterator[list[Array]]:
    """Yield sequences without the padding at their ends, if they have any."""
    trimmed = []
    for row in batch:
        filled = row == (padding_id or 0) if row.ndim == 1 else (row == 0).all(axis=1)
        kept = np.flatnonzero(~filled)
        trimmed.append(row[: kept[-1] + 1] if len(kept) else row)
    if any(len(short) < len(row) for short, row in zip(trimmed, batch, strict=True)):
        yield trimmed
