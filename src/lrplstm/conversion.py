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
from lrplstm.tables import Table, as_series, read_table
from lrplstm.texts import shown

__all__ = ["is_array_like", "to_plain", "unpack"]

_NARROW_FLOATS = ("bfloat16", "float8")
"""Beginnings of the names of floats that NumPy does not have, and float32 holds."""


def is_array_like(value: object) -> bool:
    """Whether `value` is like an array: a tensor of another library, a table or a column of one."""
    if isinstance(value, np.ndarray | np.generic):
        return False
    return hasattr(value, "__array__") or hasattr(value, "row_splits")  # TensorFlow's RaggedTensor


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
    table = read_table(name, value)
    if table is not None:
        return _from_table(name, table)
    column = as_series(value)
    if column is not None:
        return _from_column(name, column)
    if hasattr(value, "row_splits"):
        return _in_objects(value.to_list())
    if hasattr(value, "to_pylist"):  # Arrow's arrays
        return _from_lists(name, value.to_pylist())
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
    """Return the sequences in PyTorch's PackedSequence or nested tensor; None of all else."""
    if getattr(value, "is_nested", False):
        return [to_plain("inputs", sequence) for sequence in value.unbind()]
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


def _from_table(name: str, table: Table) -> npt.NDArray[Any]:
    """Return the numbers in a table, of shape (rows, columns), of which none may be missing."""
    missing = np.isnan(table.values) if table.values.dtype.kind == "f" else np.zeros((1, 1), bool)
    if missing.any():
        row, column = np.argwhere(missing)[0]
        called = (
            f"column {column}" if table.names is None else f"column {shown(table.names[column])}"
        )
        raise ArgumentError(
            name,
            f"expected no missing values, got one in column {called} at row {row}; fill or drop it",
        )
    return table.values


def _from_column(name: str, column: Any) -> npt.NDArray[Any]:
    """Return a column, as narwhals has it: numbers, texts, or an object each."""
    if column.null_count() or (column.dtype.is_float() and column.is_nan().any()):
        absent = column.is_null() | column.is_nan() if column.dtype.is_float() else column.is_null()
        called = "a column" if column.name in (None, "") else f"column {shown(column.name)}"
        row = int(np.asarray(absent.to_numpy(), bool).argmax())
        raise ArgumentError(
            name, f"expected no missing values, got one in {called} at row {row}; fill or drop it"
        )
    if column.dtype.is_nested():
        return _in_objects([list(one) for one in column.to_list()])
    return np.asarray(_from_array(name, np.asarray(column.to_numpy())))


def _from_lists(name: str, values: list[Any]) -> npt.NDArray[Any]:
    """Return what one of Arrow's arrays holds: numbers, texts or lists."""
    if None in values:
        raise ArgumentError(
            name,
            f"expected no missing values, got one at row {values.index(None)}; fill or drop it",
        )
    return _in_objects(values) if isinstance(values[0], list) else np.asarray(values)


def _in_objects(lists: list[Any]) -> npt.NDArray[Any]:
    """Return lists of any lengths as an array of them."""
    array = np.empty(len(lists), object)
    array[:] = lists
    return array
