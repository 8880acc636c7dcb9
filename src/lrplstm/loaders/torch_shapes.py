"""PyTorch's operators that move numbers about, in terms of ONNX's: axes, shapes and parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lrplstm.loaders.torch_values import Translation, Value, operator

__all__ = ["pieces"]

# Axes and shapes --------------------------------------------------------------------------------


@operator("t", "numpy_T", "mT", "transpose", "swapaxes", "swapdims", "permute", "movedim")
def _transpose(t: Translation, out: Any, *, function: Any, self: Value, **given: Any) -> Value:
    # Sizes that are all different show which axis went where.
    sizes = t.torch.empty([n + 2 for n in range(self.rank)], device="meta")
    return t.transposed(self, [size - 2 for size in function(sizes, **given).shape])


@operator(
    *("view", "reshape", "_unsafe_view", "flatten", "unflatten", "view_as", "reshape_as", "ravel")
)
def _reshape(t: Translation, out: Any, *, self: Value, **_: Any) -> Value:
    if self.parts and not self.name and self.shape[1:] == tuple(out.shape)[2:]:
        # Final states as (layers, directions, B, H).
        return Value(out, parts=_regrouped(t, self, out))
    return t.reshaped(self, out)


def _regrouped(t: Translation, states: Value, out: Any) -> tuple[Value, ...]:
    count = out.shape[1]
    return tuple(
        Value(out[n], parts=states.parts[n * count : (n + 1) * count]) for n in range(len(out))
    )


@operator("squeeze")
def _squeeze(t: Translation, out: Any, *, self: Value, dim: Any = None) -> Value:
    axes = range(self.rank) if dim is None else [dim] if isinstance(dim, int) else dim
    axes = sorted(n % self.rank for n in axes if self.shape[n] == 1)
    if not axes:
        return self
    if self.parts and not self.name and axes == [0]:
        return self.parts[0]
    return t.emit("Squeeze", [self], out, axes=axes)


@operator("unsqueeze")
def _unsqueeze(t: Translation, out: Any, *, self: Value, dim: int) -> Value:
    return t.emit("Unsqueeze", [self], out, axes=[dim % (self.rank + 1)])


@operator("expand", "expand_as", "broadcast_to")
def _expand(t: Translation, out: Any, *, self: Value, **_: Any) -> Value:
    if self.shape == tuple(out.shape):
        return self
    return t.emit("Expand", [self], out, shape=list(out.shape))


@operator("repeat", "tile")
def _repeat(t: Translation, out: Any, *, self: Value, **given: Any) -> Value:
    (counts,) = given.values()
    added = len(counts) - self.rank
    if added > 0:
        shape = [1] * added + list(self.shape)
        self = t.emit("Unsqueeze", [self], self.tensor.reshape(shape), axes=list(range(added)))
    if all(count == 1 or size == 1 for count, size in zip(counts, self.shape, strict=True)):
        return _expand(t, out, self=self)
    return t.emit("Tile", [self], out, repeats=list(counts))


@operator("repeat_interleave")
def _repeat_interleave(
    t: Translation, out: Any, *, self: Value, repeats: Any, dim: int | None, **_: Any
) -> Value:
    if not isinstance(repeats, int) or dim is None or self.shape[dim] != 1:
        raise t.refuse("repeat_interleave of more than one row")
    return _expand(t, out, self=self)


@operator("cat", "concat", "concatenate")
def _cat(t: Translation, out: Any, *, tensors: Sequence[Value], dim: int = 0) -> Value:
    axis = dim % out.ndim
    tensors = [value for value in tensors if value.tensor.numel()]
    if len(tensors) == 1:
        return tensors[0]
    whole = t.whole(tensors, axis, merged=True)
    return whole if whole is not None else t.joined(tensors, axis)


@operator("stack")
def _stack(t: Translation, out: Any, *, tensors: Sequence[Value], dim: int = 0) -> Value:
    axis = dim % out.ndim
    whole = t.whole(tensors, axis)
    return whole if whole is not None else t.stacked(tensors, axis)


# Parts ------------------------------------------------------------------------------------------


@operator("select")
def _select(t: Translation, out: Any, *, self: Value, dim: int, index: int) -> Value:
    axis, index = dim % self.rank, int(index) % self.shape[dim]
    if self.parts and not self.name and axis == 0:
        return self.parts[index]
    return t.emit("Gather", [self], out, axis=axis, index=index)


@operator("slice", "narrow")
def _slice(
    t: Translation,
    out: Any,
    *,
    self: Value,
    dim: int,
    start: Any = None,
    end: Any = None,
    step: int = 1,
    length: int | None = None,
) -> Value:
    axis = dim % self.rank
    size = self.shape[axis]
    end = start + length if length is not None else end
    begin, end, _ = slice(start, end).indices(size)
    if (begin, end, step) == (0, size, 1):
        return self
    if self.parts and not self.name and axis == 0:
        return Value(out, parts=self.parts[begin:end:step])
    return t.emit("Slice", [self], out, axis=axis, start=begin, end=end, step=step)


@operator("flip")
def _flip(t: Translation, out: Any, *, self: Value, dims: Sequence[int]) -> Value:
    for dim in dims:
        axis = dim % self.rank
        if self.shape[axis] > 1:
            tensor = self.tensor.flip(axis)
            self = t.emit("Slice", [self], tensor, axis=axis, start=self.shape[axis] - 1, step=-1)
    return self


@operator("split", "split_with_sizes", "chunk", "tensor_split", "unsafe_chunk", "unsafe_split")
def _split(t: Translation, out: Any, *, self: Value, dim: int = 0, **_: Any) -> list[Value]:
    return pieces(t, self, dim, [tensor.shape[dim] for tensor in out])


def pieces(t: Translation, value: Value, dim: int, sizes: Sequence[int]) -> list[Value]:
    """Return parts of these sizes along an axis."""
    begins = [sum(sizes[:n]) for n in range(len(sizes))]
    return [
        _slice(t, piece, self=value, dim=dim, start=begin, end=begin + size)
        for begin, size, piece in zip(
            begins, sizes, value.tensor.split(list(sizes), dim), strict=True
        )
    ]


@operator("unbind")
def _unbind(t: Translation, out: Any, *, self: Value, dim: int = 0) -> list[Value]:
    return [_select(t, tensor, self=self, dim=dim, index=n) for n, tensor in enumerate(out)]


@operator("index_select")
def _index_select(t: Translation, out: Any, *, self: Value, dim: int, index: Value) -> Value:
    if not index.constant:
        raise t.refuse("rows that are chosen by numbers")
    chosen, axis = index.tensor.tolist(), dim % self.rank
    if chosen == list(range(self.shape[axis])):
        return self
    if len(chosen) == 1:
        row = _select(t, self.tensor.select(axis, chosen[0]), self=self, dim=axis, index=chosen[0])
        return _unsqueeze(t, out, self=row, dim=axis)
    return t.emit("Gather", [self, index], out, axis=axis)


@operator("index")
def _index(t: Translation, out: Any, *, self: Value, indices: Sequence[Value | None]) -> Value:
    """Return rows by their numbers: of each sequence the step that is its last, or a list."""
    given = [(axis, value) for axis, value in enumerate(indices) if value is not None]
    if not all(value.constant for _, value in given):
        raise t.refuse("rows that are chosen by numbers")
    if len(given) == 1:
        ((axis, index),) = given
        if index.rank == 1:
            return _index_select(t, out, self=self, dim=axis, index=index)
    if len(given) == 2:
        (first, rows), (second, columns) = given
        every = rows.tensor.flatten().tolist() == list(range(self.shape[first]))
        same = columns.tensor.flatten().unique().tolist()
        if every and len(same) == 1 and rows.rank == 1 and second == first + 1:
            return _select(t, out, self=self, dim=second, index=same[0])
        every = columns.tensor.flatten().tolist() == list(range(self.shape[second]))
        same = rows.tensor.flatten().unique().tolist()
        if every and len(same) == 1 and columns.rank == 1 and second == first + 1:
            return _select(t, out, self=self, dim=first, index=same[0])
    raise t.refuse("rows that are chosen by numbers")


@operator("gather")
def _gather(t: Translation, out: Any, *, self: Value, dim: int, index: Value, **_: Any) -> Value:
    """Return the last step of each sequence, whose number was repeated for each unit."""
    axis = dim % self.rank
    same = index.tensor.unique().tolist() if index.constant else []
    whole = all(n == axis or index.shape[n] == self.shape[n] for n in range(self.rank))
    if len(same) != 1 or not whole or index.shape[axis] != 1:
        raise t.refuse("numbers that are chosen by numbers")
    row = _select(t, self.tensor.select(axis, same[0]), self=self, dim=axis, index=same[0])
    return _unsqueeze(t, out, self=row, dim=axis)


@operator("constant_pad_nd", "pad")
def _pad(
    t: Translation, out: Any, *, self: Value, pad: Sequence[int], value: Any, mode: str = "constant"
) -> Value:
    if mode != "constant" or value not in (None, 0, 0.0):
        raise t.refuse(f"padding with {mode if mode != 'constant' else value}")
    before, after = [0] * self.rank, [0] * self.rank
    for n in range(len(pad) // 2):
        before[-1 - n], after[-1 - n] = pad[2 * n], pad[2 * n + 1]
    if any(count < 0 for count in before + after):
        for axis, (cut, end) in enumerate(zip(before, after, strict=True)):
            cut, end = -min(cut, 0), self.shape[axis] + min(end, 0)
            tensor = self.tensor.narrow(axis, cut, end - cut)
            self = _slice(t, tensor, self=self, dim=axis, start=cut, end=end)
    pads = [max(count, 0) for count in before + after]
    return t.emit("Pad", [self], out, pads=pads) if any(pads) else self


@operator("argmax", "argmin", "topk", "sort", "argsort")
def _choice(t: Translation, out: Any, *, name: str, **_: Any) -> Value:
    decoder = ", as a decoder that reads the words it chose does" if name == "argmax" else ""
    raise t.refuse(f"{name} gives numbers of rows{decoder}; expected scores")
