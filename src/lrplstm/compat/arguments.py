"""What the functions of the 2017 code are given, checked."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np

from lrplstm.checks import to_array, to_numbers
from lrplstm.errors import AboutArgument
from lrplstm.rules import EpsilonRule
from lrplstm.texts import shown
from lrplstm.weights import Array

__all__ = ["class_number", "epsilon_rule", "floats", "indices"]


def floats(name: str, value: Any, *shape: int | str) -> Array:
    """Return numbers as a float64 array of this shape."""
    return to_numbers(name, value, shape, np.float64)


def indices(name: str, what: str, value: Any, low: int, high: int) -> Array:
    """Return a list of int as an array, each of them from `low` to below `high`."""
    array = to_array(name, value)
    if array.ndim != 1 or (len(array) and array.dtype.kind not in "iu"):
        found = f"{shown(value)}" if array.ndim == 0 else f"{array.dtype} of shape {array.shape}"
        raise TypeError(f"{name}: expected a list of {what}, got {found}")
    outside = (array < low) | (array >= high)
    if outside.any():
        position = int(outside.argmax())
        raise ValueError(
            f"{name}: expected {what} from {low} to {high - 1}, "
            f"got {array[position]} at position {position}"
        )
    return array.astype(np.intp, copy=False)


def epsilon_rule(eps: float, bias_factor: float) -> EpsilonRule:
    """Return the rule of version 1.0+: the stabilizer is handed on as the bias is."""
    try:
        return EpsilonRule(eps, bias_factor, bias_factor)
    except AboutArgument as error:
        name = "eps" if error.name == "epsilon" else error.name
        raise type(error)(name, error.problem()) from None


def class_number(name: str, value: int, C: int) -> int:
    """Return the number of one of C classes."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, Integral):
        raise TypeError(f"{name}: expected a class, an int, got {shown(value)}")
    if not 0 <= value < C:
        raise ValueError(f"{name}: expected a class from 0 to {C - 1}, got {value}")
    return int(value)
