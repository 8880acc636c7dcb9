"""What other libraries hold numbers in -> NumPy arrays and lists, without importing any of them.

Tensors are copied to the processor's memory, without their gradients; frames and columns of tables
become arrays, where no value is missing; a PackedSequence becomes the sequences it was made of.
"""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from lrplstm.errors import ArgumentError, ArgumentTypeError
from lrplstm.texts import shown

__all__ = ["is_array_like", "to_plain", "unpack"]

_NARROW_FLOATS = ("bfloat16", "float8")
"""Beginnings of the names of floats that NumPy does not have, and float32 holds."""

_WIDEST = {"b": np.bool_, "i": np.int64, "u": np.uint64, "f": np.float64}


def is_array_like(value: object) -> bool:
    """Whether `value` is like an array: a tensor of another library, a table or a column of one."""
    return hasattr(value, "__array__") and not isinstance(value, np.ndarray | np.generic)


def to_plain(name: str, value: Any) -> Any:
    """Return what NumPy understands, the value itself where it does; `name` is for errors.

    Raises
    ------
    TypeError
        If a tensor has no numbers, or a column of a table holds anything else.
    ValueError
        If a value of a table is missing.
    """
    if isinstance(value, np.ndarray | np.generic):
        return _from_array(name, value)
    if isinstance(value, list | tuple):
        if any(hasattr(element, "detach") for element in value):
            return [to_plain(name, element) for element in value]
        return value
    if hasattr(value, "detach") and hasattr(value, "cpu"):
        return _from_tensor(name, value)
    if hasattr(value, "columns") and hasattr(value, "to_numpy"):
        return _from_frame(name, value)
    if hasattr(value, "dtype") and hasattr(value, "to_numpy"):
        return _from_column(name, value)
    if is_array_like(value):
        return _from_array(name, np.asarray(value))
    return value


def _from_array(name: str, array: Any) -> Any:
    """Return an array of a dtype that NumPy has itself, and numbers of dtype object as numbers."""
    if array.dtype.kind == "V" and array.dtype.name.startswith(_NARROW_FLOATS):
        return array.astype(np.float32)
    if array.dtype.kind == "T":  # NumPy's strings of any length
        return array.astype(object)
    if array.dtype.kind != "O" or array.ndim < 2:
        return array
    for place in np.ndindex(array.shape):
        element = array[place]
        if not isinstance(element, Real):
            if isinstance(element, str) and all(isinstance(other, str) for other in array.flat):
                return array  # tokens
            raise ArgumentTypeError(
                name,
                f"expected numbers, got {shown(element)} of type {type(element).__name__} "
                f"at row {place[-2]}, column {place[-1]}",
            )
    return np.array(array.tolist())


# Tensors ----------------------------------------------------------------------------------------


def _from_tensor(name: str, tensor: Any) -> npt.NDArray[Any]:
    """Return a copy of PyTorch's tensor, or another's with the same methods, as an array."""
    if getattr(tensor, "is_meta", False):
        raise ArgumentTypeError(
            name, "expected numbers, got a tensor on the device 'meta', which holds none"
        )
    try:
        tensor = tensor.detach().cpu()
        if getattr(tensor, "is_quantized", False):
            tensor = tensor.dequantize()
        if getattr(tensor, "is_sparse", False):
            tensor = tensor.to_dense()
        if str(tensor.dtype).removeprefix("torch.").startswith(_NARROW_FLOATS):
            tensor = tensor.float()
        return np.asarray(tensor)
    except Exception as error:  # its own reasons, such as a lazy or nested tensor
        raise ArgumentTypeError(
            name,
            f"expected a tensor that can be copied to an array, got one that raises "
            f"{type(error).__name__}; give it as a NumPy array",
        ) from None


def unpack(value: Any) -> list[npt.NDArray[Any]] | None:
    """Return the sequences in PyTorch's PackedSequence in the order they had; None of all else."""
    if not isinstance(value, tuple) or type(value).__name__ != "PackedSequence":
        return None
    packed: Any = value
    data = to_plain("inputs", packed.data)
    sizes = to_plain("inputs", packed.batch_sizes)
    starts = np.cumsum(sizes) - sizes  # of each step, of which the longest sequences come first
    longest_first = [data[starts[sizes > rank] + rank] for rank in range(sizes[0])]
    if packed.sorted_indices is None:
        return longest_first
    sequences = list(longest_first)
    for place, sequence in zip(
        to_plain("inputs", packed.sorted_indices).tolist(), longest_first, strict=True
    ):
        sequences[place] = sequence
    return sequences


# Tables -----------------------------------------------------------------------------------------


def _from_frame(name: str, frame: Any) -> npt.NDArray[Any]:
    """Return the numbers in a table of pandas or polars, of shape (rows, columns)."""
    if hasattr(frame, "get_columns"):  # polars
        columns = frame.get_columns()
    else:
        columns = [frame.iloc[:, k] for k in range(frame.shape[1])]
    if not columns:
        return np.zeros((len(frame), 0))
    arrays = []
    for label, column in zip(frame.columns, columns, strict=True):
        array = _numbers(name, label, column)
        arrays.append(array.astype(np.float64) if array.dtype.kind == "b" else array)
    return np.stack(arrays, axis=1)


def _numbers(name: str, label: Any, column: Any) -> npt.NDArray[Any]:
    """Return the numbers of one column, or raise an error that names it."""
    array = _from_column(name, column)
    if array.dtype.kind == "O" and all(isinstance(value, Real) for value in array):
        array = np.array(array.tolist())
    if array.dtype.kind in "biuf":
        return array
    raise ArgumentTypeError(
        name,
        f"expected columns of numbers, got column {shown(label)} of dtype "
        f"{column.dtype!s:.60}; convert it to numbers, or drop it",
    )


def _check_present(name: str, label: str, column: Any) -> None:
    for method in ("isna", "is_null", "is_nan"):  # NaN is not null in polars
        if not hasattr(column, method):
            continue
        try:
            missing = np.asarray(getattr(column, method)(), bool)
        except Exception:  # only columns of floats can be asked for NaN
            continue
        if missing.any():
            raise ArgumentError(
                name,
                f"expected no missing values, got one in {label} at row "
                f"{int(missing.argmax())}; fill or drop it",
            )


def _from_column(name: str, column: Any) -> npt.NDArray[Any]:
    """Return a column, or an index, of pandas or polars."""
    called = getattr(column, "name", None)
    _check_present(name, "a column" if called in (None, "") else f"column {shown(called)}", column)
    kind = getattr(column.dtype, "kind", None)
    if kind in _WIDEST and not isinstance(column.dtype, np.dtype):  # pandas' nullable and sparse
        return np.asarray(column.to_numpy(dtype=_WIDEST[kind]))
    return np.asarray(_from_array(name, np.asarray(column.to_numpy())))
