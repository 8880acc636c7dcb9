"""Functions that stand between layers of Functional models: `keras.ops` and those of TensorFlow.

Keras 3 has them as layers of classes of its own, with what is no tensor in their config; TensorFlow
as layers of one class, with the name of the function in the config, and the rest in the call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lrplstm.loaders.keras.activations import activate
from lrplstm.loaders.keras.config import is_entry
from lrplstm.loaders.keras.merging import concatenated
from lrplstm.loaders.keras.translation import Mask, Tensor, Use, translates
from lrplstm.loaders.keras.words import joined_masks
from lrplstm.texts import shown

_REDUCTIONS = {
    "ops.Mean": "ReduceMean",
    "ops.Max": "ReduceMax",
    "ops.Sum": "ReduceSum",
    "tf.math.reduce_mean": "ReduceMean",
    "tf.math.reduce_max": "ReduceMax",
    "tf.math.reduce_sum": "ReduceSum",
}
_ARITHMETIC = {
    "ops.Add": "Add",
    "ops.Subtract": "Sub",
    "ops.Multiply": "Mul",
    "ops.Divide": "Div",
    "ops.TrueDivide": "Div",
    "tf.__operators__.add": "Add",
    "tf.math.add": "Add",
    "tf.math.subtract": "Sub",
    "tf.math.multiply": "Mul",
    "tf.math.truediv": "Div",
    "tf.math.divide": "Div",
}
_ACTIVATIONS = {
    "ops.Relu": "relu",
    "ops.Sigmoid": "sigmoid",
    "ops.Tanh": "tanh",
    "tf.math.sigmoid": "sigmoid",
    "tf.math.tanh": "tanh",
    "tf.nn.relu": "relu",
    "tf.nn.sigmoid": "sigmoid",
    "tf.nn.tanh": "tanh",
}


def _said(use: Use, *names: str, default: Any = None) -> Any:
    """Return an argument that is no tensor, from the call or the config."""
    for source in (use.options, use.layer.config):
        for name in names:
            if name in source:
                return source[name]
    return default


def _first(use: Use) -> Tensor:
    """Return the tensor that it is about."""
    tensors = use.tensors()
    if len(tensors) != 1:
        raise use.refuse(f"expected one tensor, got {len(tensors)}")
    return tensors[0]


def _mixes(use: Use, tensor: Tensor, *axes: int) -> None:
    """Note that it mixes or picks steps, if one of these axes is theirs."""
    if 0 in axes:
        raise use.refuse("expected another axis than that of the batch")
    if len(tensor.shape) > 2 and 1 in axes:
        use.steps(tensor)


@translates(*_REDUCTIONS)
def _reduce(use: Use) -> Tensor:
    tensor = _first(use)
    said = _said(use, "axis")
    axes = [use.axis(tensor, one) for one in (said if isinstance(said, list) else [said])]
    _mixes(use, tensor, *axes)
    keep = _said(use, "keepdims", default=False)
    kept = [1 if n in axes else size for n, size in enumerate(tensor.shape)]
    shape = kept if keep else [size for n, size in enumerate(tensor.shape) if n not in axes]
    operator = _REDUCTIONS[use.layer.class_name]
    axis = use.integers("axes", *axes)
    return use.emit(operator, [tensor, axis], shape, {"keepdims": int(bool(keep))})


@translates(*_ARITHMETIC)
def _compute(use: Use) -> Tensor:
    values = [one for one in use.arguments if one is not None]
    values += [use.options[key] for key in ("y", "x2") if use.options.get(key) is not None]
    if len(values) != 2 or not any(isinstance(one, Tensor) for one in values):
        raise use.refuse(f"expected two things to compute with, got {len(values)}")
    tensors = [one for one in values if isinstance(one, Tensor)]
    reads: list[Tensor | str] = []
    for n, value in enumerate(values):
        if isinstance(value, Tensor):
            reads.append(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            reads.append(use.constant(f"number{n}", float(value)))
        else:
            raise use.refuse(f"expected a tensor or a number, got {shown(value)}")
    like = next((one for one in tensors if one.padding is not None), None)
    shape = _broadcast(use, tensors)
    return use.emit(_ARITHMETIC[use.layer.class_name], reads, shape, like=like)


def _broadcast(use: Use, tensors: Sequence[Tensor]) -> list[int | None]:
    """Return the shape of what is made number by number of tensors, as NumPy has it."""
    rank = max(len(one.shape) for one in tensors)
    shapes = [(1,) * (rank - len(one.shape)) + one.shape for one in tensors]
    made: list[int | None] = []
    for sizes in zip(*shapes, strict=True):
        known = {size for size in sizes if size not in (None, 1)}
        if len(known) > 1:
            raise use.refuse(f"expected equal sizes, got {sorted(filter(None, known))}")
        made.append(known.pop() if known else None if None in sizes else 1)
    return made


@translates(*_ACTIVATIONS)
def _activation(use: Use) -> Tensor:
    return activate(use, _first(use), _ACTIVATIONS[use.layer.class_name])


@translates("ops.Softmax", "tf.nn.softmax")
def _softmax(use: Use) -> Tensor:
    tensor = _first(use)
    axis = use.axis(tensor, _said(use, "axis", default=-1))
    if axis != len(tensor.shape) - 1:
        _mixes(use, tensor, axis)
    return use.each("Softmax", tensor, axis=axis)


@translates("ops.GetItem", "tf.__operators__.getitem")
def _pick(use: Use) -> Tensor:
    tensor = _first(use)
    key = _said(use, "slice_spec", "key")
    if key is None and len(use.arguments) > 1:
        key = use.arguments[1]
    keys = key if isinstance(key, list) else [key]
    if len(keys) > len(tensor.shape):
        raise use.refuse(f"expected up to {len(tensor.shape)} indices, got {len(keys)}")
    axis = 0
    for one in keys:
        tensor, axis = _picked(use, tensor, axis, one)
    return tensor


def _picked(use: Use, tensor: Tensor, axis: int, key: Any) -> tuple[Tensor, int]:
    """Return what lies at an index or slice along an axis, and the axis after it."""
    if isinstance(key, int) and not isinstance(key, bool):
        _mixes(use, tensor, axis)
        shape = (*tensor.shape[:axis], *tensor.shape[axis + 1 :])
        index = use.constant(f"index{axis}", np.array(key, np.int64))
        return use.emit("Gather", [tensor, index], shape, {"axis": axis}), axis
    if is_entry(key):  # Keras 3
        key = key["config"]
    if not isinstance(key, dict) or not {"start", "stop", "step"} >= key.keys():
        raise use.refuse(f"expected an index or a slice, got {shown(key)}")
    bounds = [key.get(name) for name in ("start", "stop", "step")]
    if not all(one is None or (type(one) is int and abs(one) < 2**31) for one in bounds):
        raise use.refuse(f"expected whole numbers in a slice, got {shown(bounds)}")
    start, stop, step = bounds
    if start in (None, 0) and stop is None and step in (None, 1):
        return tensor, axis + 1
    _mixes(use, tensor, axis)
    step = 1 if step is None else step
    if step < 1:
        raise use.refuse(f"expected a slice forwards, got step {step}")
    stop = 2**31 if stop is None else stop
    size = tensor.shape[axis]
    left = None if size is None else len(range(*slice(start, stop, step).indices(size)))
    if left == 0:
        raise use.refuse("it takes nothing at all")
    names = [
        use.integers(f"slice{axis}/{role}", number)
        for role, number in (("start", start or 0), ("stop", stop), ("axis", axis), ("step", step))
    ]
    shape = (*tensor.shape[:axis], left, *tensor.shape[axis + 1 :])
    like = tensor if axis == len(tensor.shape) - 1 else None
    return use.emit("Slice", [tensor, *names], shape, like=like), axis + 1


@translates("ops.ExpandDims", "tf.expand_dims")
def _expand(use: Use) -> Tensor | Mask:
    match use.arguments:
        case [Mask() as mask]:
            return Mask(mask.padding, of_steps=False)
    tensor = _first(use)
    axis, rank = _said(use, "axis"), len(tensor.shape) + 1
    if type(axis) is not int or not -rank <= axis < rank or axis % rank == 0:
        raise use.refuse(
            f"expected an axis of {rank}, and not that of the batch, got {shown(axis)}"
        )
    axis %= rank
    shape = (*tensor.shape[:axis], 1, *tensor.shape[axis:])
    return use.emit("Unsqueeze", [tensor, use.integers("axis", axis)], shape)


@translates("ops.Squeeze", "tf.compat.v1.squeeze", "tf.squeeze")
def _squeeze(use: Use) -> Tensor:
    tensor = _first(use)
    axis = use.axis(tensor, _said(use, "axis"))
    if tensor.shape[axis] != 1:
        raise use.refuse(f"expected size 1 at axis {axis}, got shape {tensor.shape!s:.60}")
    shape = (*tensor.shape[:axis], *tensor.shape[axis + 1 :])
    return use.emit("Squeeze", [tensor, use.integers("axis", axis)], shape)


@translates("ops.Concatenate", "tf.concat")
def _concatenate(use: Use) -> Tensor | Mask:
    tensors = use.tensors()
    if not tensors:
        return joined_masks(use, True)
    return concatenated(use, tensors, _said(use, "axis", default=-1))


@translates("ops.Matmul", "tf.linalg.matmul")
def _matmul(use: Use) -> Tensor:
    tensors = use.tensors()
    for key in ("b", "x2"):
        if isinstance(use.options.get(key), Tensor):
            tensors.append(use.options[key])
    if len(tensors) != 2 or any(len(one.shape) != 3 for one in tensors):
        raise use.refuse("expected two tensors of rows for each sequence")
    first, second = tensors
    for tensor, flag in ((first, "transpose_a"), (second, "transpose_b")):
        use.steps(tensor)
        if _said(use, flag, default=False) is True:
            moved = use.transpose(tensor, 0, 2, 1)
            first, second = (moved, second) if tensor is first else (first, moved)
    return use.emit("MatMul", [first, second], (*first.shape[:2], second.shape[2]))
