"""Keras layers that only move numbers about: flatten, reshape, permute, repeat."""

from __future__ import annotations

import math

from lrplstm.loaders.keras.translation import Tensor, Use, translates
from lrplstm.texts import shown


def _sizes(use: Use, tensor: Tensor) -> tuple[int | None, ...]:
    """Return the sizes that a layer sees, without the batch."""
    return tensor.shape[use.leading :]


def _reshaped(use: Use, tensor: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """Return a tensor with other axes, those in front of what the layer sees as they were."""
    front = tensor.shape[: use.leading]
    if use.leading == 1:
        use.steps(tensor)
    shape = use.integers("shape", *[0] * use.leading, *sizes)
    return use.emit("Reshape", [tensor, shape], (*front, *sizes))


@translates("Flatten")
def _flatten(use: Use) -> Tensor:
    tensor = use.one()
    if use.layer.get("data_format", "channels_last") not in ("channels_last", None):
        raise use.refuse("expected data_format 'channels_last'")
    sizes = _sizes(use, tensor)
    if len(sizes) == 1:
        return tensor
    known = [size for size in sizes if size is not None]
    if len(known) < len(sizes):
        raise use.refuse(
            "expected a fixed number of steps, which the model's input has to say "
            "(keras.Input((steps, features)))"
        )
    return _reshaped(use, tensor, (math.prod(known),))


@translates("Reshape")
def _reshape(use: Use) -> Tensor:
    tensor = use.one()
    wanted = use.layer.get("target_shape", use.layer.get("dims"))
    if (
        not isinstance(wanted, list)
        or not 1 <= len(wanted) <= 8
        or not all(type(size) is int and (size == -1 or 0 < size < 2**31) for size in wanted)
        or wanted.count(-1) > 1
    ):
        raise use.refuse(f"expected whole numbers as target_shape, got {shown(wanted)}")
    sizes = _sizes(use, tensor)
    known = [size for size in sizes if size is not None]
    if len(known) == len(sizes):
        total, asked = math.prod(known), math.prod(size for size in wanted if size != -1)
        if total % asked or (-1 not in wanted and total != asked):
            raise use.refuse(f"expected a shape of {total} numbers, got {shown(wanted)}")
        wanted = [total // asked if size == -1 else size for size in wanted]
        if tuple(wanted) == sizes:
            return tensor
        return _reshaped(use, tensor, tuple(wanted))
    if -1 not in wanted[:-1]:
        raise use.refuse(f"expected a known shape of what it reads, got {tensor.shape!s:.60}")
    made = _reshaped(use, tensor, tuple(wanted))
    shape = tuple(None if size == -1 else size for size in made.shape)
    return Tensor(made.name, shape)


@translates("Permute")
def _permute(use: Use) -> Tensor:
    tensor = use.one()
    dims = use.layer.get("dims")
    sizes = _sizes(use, tensor)
    if not isinstance(dims, list) or sorted(map(str, dims)) != sorted(
        str(n + 1) for n in range(len(sizes))
    ):
        raise use.refuse(f"expected an order of {len(sizes)} axes as dims, got {shown(dims)}")
    front = list(range(use.leading))
    order = [*front, *(n + use.leading - 1 for n in dims)]
    if order == list(range(len(tensor.shape))):
        return tensor
    if use.leading == 1:
        use.steps(tensor)
    made = use.transpose(tensor, *order)
    return Tensor(made.name, made.shape)


@translates("RepeatVector")
def _repeat(use: Use) -> Tensor:
    tensor = use.one()
    use.rank(tensor, 2)
    times = use.layer.whole("n")
    batch, width = tensor.shape
    row = use.emit("Unsqueeze", [tensor, use.integers("axis", 1)], (batch, 1, width))
    shape = use.integers("shape", 1, times, 1)
    return use.emit("Expand", [row, shape], (batch, times, width))
