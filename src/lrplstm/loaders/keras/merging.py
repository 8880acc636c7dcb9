"""Keras layers that read several tensors: sums, products, concatenation, attention."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lrplstm.loaders.keras import arrays
from lrplstm.loaders.keras.translation import Tensor, Use, translates
from lrplstm.loaders.keras.units import dense
from lrplstm.texts import shown

# Operators that read any number of tensors, and those that read two.
_OF_ALL = {"Add": "Sum", "Average": "Mean", "Maximum": "Max", "Minimum": "Min"}


def _several(use: Use, least: int = 2) -> list[Tensor]:
    tensors = use.tensors()
    use.plain()
    if len(tensors) < least:
        raise use.refuse(f"expected {least} inputs or more, got {len(tensors)}")
    return tensors


def _joined_steps(use: Use, tensors: Sequence[Tensor], made: Tensor) -> Tensor:
    """Return what is made step by step of several tensors with the padding that they have."""
    padded = [one for one in tensors if one.padding is not None]
    if len({(one.padding, one.turned) for one in padded}) > 1:
        raise use.refuse("expected the same padding in all that it reads")
    if not padded:
        return made
    # A step that one of them masks, and another does not: Keras 2 passes over it, Keras 3 reads it.
    masked = (any if use.translation.version < 3 else all)(one.masked for one in tensors)
    return replace(made, padding=padded[0].padding, masked=masked, turned=padded[0].turned)


def _broadcast(use: Use, tensors: Sequence[Tensor]) -> tuple[int | None, ...]:
    """Return the shape of what is made number by number of several tensors."""
    rank = max(len(one.shape) for one in tensors)
    if any(len(one.shape) != rank for one in tensors):
        shapes = ", ".join(str(one.shape) for one in tensors)
        raise use.refuse(f"expected as many axes in all that it reads, got {shapes:.100}")
    shape: list[int | None] = []
    for sizes in zip(*(one.shape for one in tensors), strict=True):
        known = {size for size in sizes if size is not None and size != 1}
        if len(known) > 1:
            raise use.refuse(f"expected equal sizes, got {sorted(known)}")
        shape.append(known.pop() if known else None if None in sizes else 1)
    return tuple(shape)


@translates("Add", "Average", "Maximum", "Minimum")
def _of_all(use: Use) -> Tensor:
    tensors = _several(use)
    shape = _broadcast(use, tensors)
    operator = _OF_ALL[use.layer.class_name]
    return _joined_steps(use, tensors, use.emit(operator, tensors, shape))


@translates("Multiply")
def _multiply(use: Use) -> Tensor:
    first, *others = tensors = _several(use)
    for other in others:
        first = use.emit("Mul", [first, other], _broadcast(use, [first, other]))
    return _joined_steps(use, tensors, first)


@translates("Subtract")
def _subtract(use: Use) -> Tensor:
    tensors = _several(use)
    if len(tensors) != 2:
        raise use.refuse(f"expected two inputs, got {len(tensors)}")
    return _joined_steps(use, tensors, use.emit("Sub", tensors, _broadcast(use, tensors)))


@translates("Concatenate")
def _concatenate(use: Use) -> Tensor:
    tensors = _several(use, 1)
    return concatenated(use, tensors, use.layer.get("axis", -1))


def concatenated(use: Use, tensors: Sequence[Tensor], said: Any) -> Tensor:
    """Return tensors side by side along an axis, or one after the other."""
    first = tensors[0]
    axis = use.axis(first, said)
    if any(len(one.shape) != len(first.shape) for one in tensors) or axis == 0:
        raise use.refuse("expected as many axes in all that it reads, and not that of the batch")
    sizes = [one.shape[axis] for one in tensors]
    total = None if None in sizes else sum(size for size in sizes if size is not None)
    for n, (mine, *theirs) in enumerate(zip(*(one.shape for one in tensors), strict=True)):
        known = {size for size in (mine, *theirs) if size is not None}
        if n != axis and len(known) > 1:
            raise use.refuse(f"expected equal sizes of its axis {n}, got {sorted(known)}")
    shape = (*first.shape[:axis], total, *first.shape[axis + 1 :])
    made = use.emit("Concat", tensors, shape, {"axis": axis})
    if axis == len(first.shape) - 1:
        return _joined_steps(use, tensors, made)
    for one in tensors:
        use.steps(one)
    return made


@translates("Merge")
def _merge(use: Use) -> Tensor:
    """Translate the layer of Keras 1 that is all of these."""
    mode = use.layer.get("mode")
    known = {"sum": _of_all, "ave": _of_all, "max": _of_all, "mul": _multiply}
    classes = {"sum": "Add", "ave": "Average", "max": "Maximum", "mul": "Multiply"}
    if mode == "concat":
        tensors = _several(use)
        return concatenated(use, tensors, use.layer.get("concat_axis", -1))
    if not isinstance(mode, str) or mode not in known:
        raise use.refuse(f"expected mode of {', '.join([*known, 'concat'])}, got {shown(mode)}")
    use.layer = replace(use.layer, class_name=classes[mode])
    return known[mode](use)


@translates("Dot")
def _dot(use: Use) -> Tensor:
    tensors = _several(use)
    if len(tensors) != 2 or use.leading > 1:
        raise use.refuse(f"expected two inputs, got {len(tensors)}")
    if use.layer.says("normalize"):
        raise use.refuse("expected normalize=False")
    said = use.layer.get("axes")
    axes = said if isinstance(said, list) and len(said) == 2 else [said, said]
    first, second = tensors
    axis, other = (use.axis(one, a) for one, a in zip(tensors, axes, strict=True))
    if 0 in (axis, other) or not all(len(one.shape) in (2, 3) for one in tensors):
        raise use.refuse(
            f"expected axes of two or three, and not that of the batch, got {shown(said)}"
        )
    for one, place in ((first, axis), (second, other)):
        if len(one.shape) == 3 and (
            place == 1 or len(tensors[0].shape) == len(tensors[1].shape) == 3
        ):
            use.steps(one)
    if len(first.shape) == len(second.shape) == 2:
        product = use.emit("Mul", tensors, first.shape)
        last = use.integers("axis", 1)
        return use.emit("ReduceSum", [product, last], (first.shape[0], 1), {"keepdims": 1})
    rows, columns = _as_matrix(use, first, axis, False), _as_matrix(use, second, other, True)
    shape: tuple[int | None, ...] = (first.shape[0], rows.shape[1], columns.shape[2])
    product = use.emit("MatMul", [rows, columns], shape)
    for place, one in ((2, second), (1, first)):
        if len(one.shape) == 2:
            shape = shape[:place] + shape[place + 1 :]
            product = use.emit("Squeeze", [product, use.integers("axis", place)], shape)
    return product


def _as_matrix(use: Use, tensor: Tensor, axis: int, first: bool) -> Tensor:
    """Return a tensor with three axes, of which this one is the second or the last."""
    if len(tensor.shape) == 2:
        batch, size = tensor.shape
        place, shape = (2, (batch, size, 1)) if first else (1, (batch, 1, size))
        return use.emit("Unsqueeze", [tensor, use.integers("axis", place)], shape)
    if axis == (1 if first else 2):
        return tensor
    return use.transpose(tensor, 0, 2, 1)


# Attention --------------------------------------------------------------------------------------


def _query_value_key(use: Use) -> tuple[Tensor, Tensor, Tensor]:
    tensors = use.tensors()
    for name in ("value", "key"):
        given = use.options.pop(name, None)
        if isinstance(given, Tensor):
            tensors.append(given)
    for name in ("return_attention_scores", "use_causal_mask"):
        if use.options.get(name):
            raise use.refuse(f"expected a call without {name}")
        use.options.pop(name, None)
    use.plain()
    if len(tensors) not in (2, 3):
        raise use.refuse(f"expected query, value and perhaps key, got {len(tensors)} inputs")
    query, value, key = (*tensors, tensors[1])[:3]
    if use.layer.says("causal"):
        raise use.refuse("expected causal=False")
    for tensor in (query, value, key):
        use.rank(tensor, 3)
    for tensor in (value, key):
        use.steps(tensor, heeds=True)
    return query, value, key


def _weighted(use: Use, scores: Tensor, value: Tensor, query: Tensor) -> Tensor:
    """Return the sum of values, weighed by the softmax of scores."""
    weights = use.each("Softmax", scores, axis=-1)
    shape = (*query.shape[:-1], value.width)
    return use.emit("MatMul", [weights, value], shape, like=query)


@translates("Attention")
def _attention(use: Use) -> Tensor:
    query, value, key = _query_value_key(use)
    mode = use.layer.get("score_mode", "dot")
    roles = ["scale"] * use.layer.says("use_scale")
    if mode == "concat":
        roles.append("concat_score_weight")
    elif mode != "dot":
        raise use.refuse(f"expected score_mode 'dot' or 'concat', got {shown(mode)}")
    found = dict(zip(roles, use.take(*roles), strict=True)) if roles else {}
    for role, array in found.items():
        if array.size != 1:
            raise use.refuse(f"{role}: expected one number, got shape {array.shape!s:.60}")
    scale = float(found["scale"].item()) if "scale" in found else 1.0
    if mode == "concat":
        factor = np.full(query.width or 1, found["concat_score_weight"].item(), np.float32)
        return _weighted(use, _additive(use, query, key, factor, scale), value, query)
    shape = (*query.shape[:-1], key.shape[1])
    scores = use.emit("MatMul", [query, use.transpose(key, 0, 2, 1)], shape)
    if scale != 1:
        scores = use.emit("Mul", [scores, use.constant("scale", scale)], shape)
    return _weighted(use, scores, value, query)


@translates("AdditiveAttention")
def _additive_attention(use: Use) -> Tensor:
    query, value, key = _query_value_key(use)
    if use.layer.says("use_scale", True):
        (factor,) = use.take("scale")
        arrays.check_shape(use.layer, "scale", factor, ("units",))
        use.width(query, len(factor), "scale")
    else:
        factor = np.ones(query.width or 1, np.float32)
    return _weighted(use, _additive(use, query, key, factor, 1.0), value, query)


def _additive(use: Use, query: Tensor, key: Tensor, factor: Any, scale: float) -> Tensor:
    """Return sum over units of factor * tanh(scale * (query + key)), for each pair of steps."""
    shape = (*query.shape[:-1], key.shape[1])
    both = [query, key]
    if scale != 1:
        name = use.constant("scale", scale)
        both = [use.emit("Mul", [one, name], one.shape) for one in both]
    return use.emit("AdditiveScores", [*both, use.constant("factor", factor)], shape)


@translates("MultiHeadAttention")
def _multi_head_attention(use: Use) -> Tensor:
    query, value, key = _query_value_key(use)
    layer = use.layer
    heads, size = layer.whole("num_heads"), layer.whole("key_dim")
    value_size = size if layer.get("value_dim") is None else layer.whole("value_dim")
    axes = layer.get("attention_axes")
    if axes is not None and axes not in ([1], 1):
        raise use.refuse(f"expected attention_axes [1], got {shown(axes)}")
    has_bias = arrays.has_bias(layer)
    roles = [
        f"{part}/{role}"
        for part in ("query", "key", "value", "output")
        for role in ("kernel", *["bias"] * has_bias)
    ]
    found = dict(zip(roles, use.take(*roles), strict=True))

    def projected(tensor: Tensor, part: str, size: int) -> Tensor:
        kernel, bias = found[f"{part}/kernel"], found.get(f"{part}/bias")
        arrays.check_shape(layer, f"{part}/kernel", kernel, ("inputs", heads, size))
        if bias is not None:
            arrays.check_shape(layer, f"{part}/bias", bias, (heads, size))
            bias = bias.reshape(-1)
        rows = dense(use, tensor, kernel.reshape(len(kernel), -1), bias, f"{part}/")
        batch, steps, _ = rows.shape
        shape = use.integers(f"{part}/shape", 0, 0, heads, size)
        return use.emit("Reshape", [rows, shape], (batch, steps, heads, size))

    queries = use.transpose(projected(query, "query", size), 0, 2, 1, 3)
    keys = use.transpose(projected(key, "key", size), 0, 2, 3, 1)
    values = use.transpose(projected(value, "value", value_size), 0, 2, 1, 3)
    shape = (query.shape[0], heads, query.shape[1], key.shape[1])
    factor = use.constant("scale", 1 / math.sqrt(size))
    queries = use.emit("Mul", [queries, factor], queries.shape)
    scores = use.emit("MatMul", [queries, keys], shape)
    weights = use.each("Softmax", scores, axis=-1)
    sums = use.emit("MatMul", [weights, values], (*shape[:-1], value_size))
    moved = use.transpose(sums, 0, 2, 1, 3)
    flat = (*query.shape[:-1], heads * value_size)
    rows = use.emit("Reshape", [moved, use.integers("rows", 0, 0, -1)], flat, like=query)
    kernel, bias = found["output/kernel"], found.get("output/bias")
    arrays.check_shape(layer, "output/kernel", kernel, (heads, value_size, "outputs"))
    if bias is not None:
        arrays.check_shape(layer, "output/bias", bias, (kernel.shape[2],))
    return dense(use, rows, kernel.reshape(-1, kernel.shape[2]), bias, "output/")
