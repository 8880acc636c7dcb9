"""Checks of arguments that several modules share."""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable, Collection
from numbers import Integral, Real
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from lrplstm.conversion import to_plain
from lrplstm.errors import ArgumentError, ArgumentTypeError
from lrplstm.texts import did_you_mean, first_line, shown

__all__ = [
    "check_choice",
    "check_shape",
    "first_line",
    "outer_level",
    "remembered",
    "to_array",
    "to_flag",
    "to_int",
    "to_number",
    "to_numbers",
    "to_whole",
]

_T = TypeVar("_T")


def check_choice(name: str, value: object, choices: Collection[str]) -> None:
    """Raise a TypeError if `value` is no string, a ValueError if it is none of `choices`."""
    if isinstance(value, str) and value in choices:
        return
    expected = f"expected {'one of ' if len(choices) > 1 else ''}"
    expected += ", ".join(map(repr, choices))
    if not isinstance(value, str):
        raise ArgumentTypeError(name, f"{expected}, got {type(value).__name__}")
    raise ArgumentError(name, f"{expected}, got {shown(value)}{did_you_mean(value, choices)}")


def to_whole(name: str, value: object) -> int:
    """Return an integer."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ArgumentTypeError(name, f"expected an int, got {shown(value)}")
    return int(value)


def to_int(name: str, value: object, least: int, most: int | None = None) -> int:
    """Return an integer from `least` to `most`."""
    number = to_whole(name, value)
    if number < least:
        raise ArgumentError(name, f"expected at least {least}, got {shown(number)}")
    if most is not None and number > most:
        raise ArgumentError(name, f"expected at most {most}, got a larger number")
    return number


def to_number(name: str, value: object) -> float:
    """Return a finite number."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise ArgumentTypeError(name, f"expected a number, got {shown(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ArgumentError(name, f"expected a finite number, got {value!s:.60}")
    return number


def to_flag(name: str, value: object) -> bool:
    """Return True or False, which nothing else is taken for."""
    if not isinstance(value, bool | np.bool_):
        raise ArgumentTypeError(name, f"expected True or False, got {shown(value)}")
    return bool(value)


def check_shape(name: str, array: npt.NDArray[Any], shape: tuple[int | str, ...]) -> None:
    """Raise a ValueError if an array has another shape; a str is a dimension of any size from 1."""
    fits = array.ndim == len(shape) and all(
        size >= 1 if isinstance(want, str) else size == want
        for size, want in zip(array.shape, shape, strict=True)
    )
    if not fits:
        want = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
        raise ArgumentError(name, f"expected shape ({want}), got {array.shape}")


def to_numbers(
    name: str, value: Any, shape: tuple[int | str, ...], dtype: npt.DTypeLike
) -> npt.NDArray[Any]:
    """Return finite numbers of a shape as an array of `dtype`, the same one if it is that already.

    A str is a dimension of any size from 1.
    """
    array = to_array(name, value)
    if array.dtype.kind not in "iuf":
        raise ArgumentTypeError(name, f"expected numbers, got dtype {array.dtype}")
    check_shape(name, array, shape)
    with np.errstate(over="ignore"):  # a larger number becomes infinite, and is refused
        array = array.astype(dtype, copy=False)
    if not np.isfinite(array).all():
        raise ArgumentError(name, "expected finite numbers, got NaN or infinity")
    return array


def outer_level() -> int:
    """Return the `stacklevel` with which the function that calls this warns at its users' code."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("lrplstm."):
        level, frame = level + 1, frame.f_back
    return level


def remembered(function: Callable[..., _T]) -> Callable[..., _T]:
    """Return a function that keeps what `function` returned for arguments that can be hashed.

    It is for checks of small arguments, which nearly always are those of the call before.
    """
    kept = functools.lru_cache(maxsize=128, typed=True)(function)

    @functools.wraps(function)
    def call(*arguments: Any) -> _T:
        try:
            return kept(*arguments)
        except TypeError:  # of arguments that cannot be hashed, or of the function itself
            return function(*arguments)

    return call


def to_array(name: str, value: Any) -> npt.NDArray[Any]:
    """Return anything like an array as one, or raise an error that names it.

    Tensors of any device, and tables of numbers, are converted: see `lrplstm.conversion`.
    """
    if type(value) is np.ndarray and value.dtype.kind in "iuf":
        return value
    _check_unmasked(name, value)  # NumPy would take what lies under the mask
    value = to_plain(name, value)
    try:
        return np.asarray(value)
    except (ValueError, OverflowError):
        raise ArgumentError(name, "expected rows of one length, got rows of several") from None
    except Exception as error:  # a tensor of another framework may refuse for its own reasons
        raise ArgumentTypeError(name, f"expected an array, got {first_line(error)}") from None


def _check_unmasked(name: str, value: object) -> None:
    """Raise a ValueError if `value`, or one that it lists, is a masked array that hides numbers."""
    masked = sys.modules.get("numpy.ma")  # what nobody has imported, no value can be of
    if masked is None:
        return
    for array in value if isinstance(value, list | tuple) else [value]:
        if isinstance(array, masked.MaskedArray) and masked.is_masked(array):
            raise ArgumentError(name, "expected no masked elements; drop or fill them")
