"""Weights of LSTM directions, and how arrays of weights are checked: frozen data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from lrplstm.checks import check_shape, to_array
from lrplstm.texts import shown

__all__ = [
    "Array",
    "Directions",
    "LSTMWeights",
    "check_dtype",
    "frozen",
    "rebuild",
    "same_dtype",
]

Array = npt.NDArray[Any]

_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


def check_dtype(dtype: npt.DTypeLike) -> np.dtype[Any]:
    """Return `dtype` as float32 or float64, or raise a TypeError."""
    refused = TypeError(f"dtype: expected float32 or float64, got {shown(dtype)}")
    if dtype is None:  # which NumPy would read as float64
        raise refused
    try:
        resolved = np.dtype(dtype)
    except (TypeError, ValueError, RecursionError):
        raise refused from None
    if resolved not in _DTYPES:
        raise refused
    return resolved


def frozen(name: str, value: npt.ArrayLike, shape: tuple[int | str, ...]) -> Array:
    """Check one array of weights and return it contiguous and read-only.

    Parameters
    ----------
    name : str
        What errors call it.
    value : array_like
        float32 or float64, finite. What could still be written to is copied, so that nobody
        changes a model behind its back.
    shape : tuple of int or str
        Expected shape; a str names a dimension of any size of at least 1.

    Returns
    -------
    ndarray

    Raises
    ------
    TypeError
        If the dtype is another.
    ValueError
        If the shape is another, or a value is NaN or infinite.
    """
    array = to_array(name, value)
    if array.dtype.newbyteorder("=") not in _DTYPES:
        raise TypeError(f"{name}: expected float32 or float64, got dtype {array.dtype}")
    check_shape(name, array, shape)
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: expected finite numbers, got NaN or infinity")
    # astype also brings a foreign byte order to the machine's own.
    native = array.astype(array.dtype.newbyteorder("="), order="C", copy=_may_change(array))
    native.flags.writeable = False
    return native


def _may_change(array: Array) -> bool:
    """Whether `array` can be written to, or lies in something that can."""
    memory: object = array
    while isinstance(memory, np.ndarray):
        if memory.flags.writeable:
            return True
        memory = memory.base
    return not (memory is None or isinstance(memory, bytes))


def same_dtype(arrays: dict[str, Array]) -> np.dtype[Any]:
    """Return the one dtype of all `arrays`, or raise a ValueError that names two that differ."""
    (first, reference), *others = arrays.items()
    for name, array in others:
        if array.dtype != reference.dtype:
            raise ValueError(
                f"{name}: expected the dtype of {first}, {reference.dtype}, got {array.dtype}"
            )
    return reference.dtype


@dataclass(frozen=True, eq=False, repr=False)
class LSTMWeights:
    """One direction of one LSTM layer.

    The gates are stacked in the order input gate, forget gate, cell candidate, output gate
    (i, f, g, o), as PyTorch has them. Frameworks that keep two biases per gate: give their sum.

    Parameters
    ----------
    weight_ih : array_like of shape (4 * hidden_size, input_size)
        What multiplies the input x_t.
    weight_hh : array_like of shape (4 * hidden_size, hidden_size)
        What multiplies the hidden state h_{t-1}.
    bias : array_like of shape (4 * hidden_size,)
        Sum of all biases of a gate.
    initial_hidden, initial_cell : array_like of shape (hidden_size,), optional
        States h_{-1} and c_{-1} before the first step this direction reads. Default: zeros.
    reverse : bool
        Whether it reads sequences from their last step to their first. The second of a (forward,
        backward) pair always does.

    Raises
    ------
    TypeError
        If an array is neither float32 nor float64.
    ValueError
        If shapes or dtypes do not fit together, or a value is NaN or infinite.

    Examples
    --------
    >>> import numpy as np
    >>> import lrplstm
    >>> lrplstm.LSTMWeights(np.ones((8, 3)), np.ones((8, 2)), np.zeros(8))
    LSTMWeights(input_size=3, hidden_size=2, dtype=float64)
    """

    weight_ih: Array
    weight_hh: Array
    bias: Array
    initial_hidden: Array
    initial_cell: Array
    reverse: bool

    def __init__(
        self,
        weight_ih: npt.ArrayLike,
        weight_hh: npt.ArrayLike,
        bias: npt.ArrayLike,
        *,
        initial_hidden: npt.ArrayLike | None = None,
        initial_cell: npt.ArrayLike | None = None,
        reverse: bool = False,
    ) -> None:
        weight_ih = frozen("weight_ih", weight_ih, ("4 * hidden_size", "input_size"))
        rows = weight_ih.shape[0]
        if rows % 4:
            raise ValueError(
                "weight_ih: expected shape (4 * hidden_size, input_size), "
                f"got {weight_ih.shape}: {rows} is no multiple of 4"
            )
        hidden_size = rows // 4
        arrays = {
            "weight_ih": weight_ih,
            "weight_hh": frozen("weight_hh", weight_hh, (rows, hidden_size)),
            "bias": frozen("bias", bias, (rows,)),
        }
        for name, state in {"initial_hidden": initial_hidden, "initial_cell": initial_cell}.items():
            given = np.zeros(hidden_size, weight_ih.dtype) if state is None else state
            arrays[name] = frozen(name, given, (hidden_size,))
        same_dtype(arrays)
        for name, value in (arrays | {"reverse": bool(reverse)}).items():
            object.__setattr__(self, name, value)

    @property
    def input_size(self) -> int:
        """Width D of what this direction reads."""
        return int(self.weight_ih.shape[1])

    @property
    def hidden_size(self) -> int:
        """Width H of its states."""
        return int(self.weight_hh.shape[1])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Either float32 or float64."""
        return self.weight_ih.dtype

    @property
    def rows_g(self) -> slice:
        """Rows of the cell candidate g, the only ones through which relevance passes."""
        return slice(2 * self.hidden_size, 3 * self.hidden_size)

    @property
    def initial_states(self) -> tuple[Array, ...]:
        """States before the first step: h_{-1}, c_{-1}."""
        return self.initial_hidden, self.initial_cell

    def arrays(self) -> dict[str, Array]:
        """All arrays by their names."""
        names = ("weight_ih", "weight_hh", "bias", "initial_hidden", "initial_cell")
        return {name: getattr(self, name) for name in names}

    def astype(self, dtype: npt.DTypeLike) -> Self:
        """Return the same weights in float32 or float64."""
        resolved = check_dtype(dtype)
        # A number too large for float32 becomes infinite here; the constructor then refuses it.
        with np.errstate(over="ignore"):
            arrays = {name: array.astype(resolved) for name, array in self.arrays().items()}
        return type(self)(**arrays, reverse=self.reverse)

    def __reduce__(self) -> tuple[Callable[..., Self], tuple[type[Self], dict[str, Any]]]:
        # Through the constructor, so that copies are read-only too.
        return rebuild, (type(self), self.arrays() | {"reverse": self.reverse})

    def __repr__(self) -> str:
        return (
            f"LSTMWeights(input_size={self.input_size}, hidden_size={self.hidden_size}, "
            f"dtype={self.dtype}{', reverse=True' if self.reverse else ''})"
        )


def rebuild(cls: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    """Call a class with these arguments: how frozen data comes out of a pickle."""
    return cls(**arguments)


Directions = LSTMWeights | Sequence[LSTMWeights]
"""One direction of a layer by itself, or a (forward, backward) pair."""
