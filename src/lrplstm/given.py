"""What was given as inputs: one sequence or several, and of tokens, ids or floats."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

from lrplstm.checks import to_array
from lrplstm.conversion import is_array_like, unpack
from lrplstm.errors import ArgumentError, ArgumentTypeError, Element

__all__ = ["STRINGS", "as_arrays", "is_number", "is_sequence", "split"]

STRINGS = (str, bytes, bytearray, memoryview)
"""Sequences that nobody means as such."""

_PLAIN = {str, int}
"""What tokens and ids are, nearly always: seen without a look at each."""

_KINDS = {"i": "ids", "u": "ids", "f": "floats"}
_DIMENSIONS = {"ids": 1, "floats": 2}
"""What an array of such numbers is, and how many dimensions a sequence of these has."""


def is_sequence(value: object) -> bool:
    """Whether `value` has elements, one after the other, and is no text."""
    if isinstance(value, np.ndarray):
        return value.ndim > 0
    return isinstance(value, Sequence) and not isinstance(value, STRINGS)


def is_number(value: object) -> bool:
    """Whether `value` is a real number, of which True is none."""
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_)


def _is_row(value: object) -> bool:
    """Whether `value` is one step's features: floats in one dimension."""
    if isinstance(value, np.ndarray):
        return value.ndim == 1 and value.dtype.kind == "f"
    if not is_sequence(value) or set(map(type, value)) <= _PLAIN:  # type: ignore[call-overload]
        return False
    return any(
        is_number(x) and not isinstance(x, Integral)
        for x in value  # type: ignore[attr-defined]
    )


def split(argument: str, inputs: Any, reads_ids: bool) -> tuple[list[Any], bool]:
    """Return the sequences in `inputs`, and whether it was just one.

    With `reads_ids` integers are ids and strings tokens, of which two dimensions are several
    sequences. `argument` is what errors call `inputs`.
    """
    packed = unpack(inputs)
    if packed is not None:
        return list(packed), False
    if is_array_like(inputs):
        inputs = to_array(argument, inputs)
    if not is_sequence(inputs):
        raise ArgumentTypeError(
            argument,
            "expected a list of tokens, an array of ids or floats, or a list of those, "
            f"got {type(inputs).__name__}",
        )
    if len(inputs) == 0:
        raise ArgumentError(
            argument, "expected at least one sequence of at least one step, got nothing"
        )
    if isinstance(inputs, np.ndarray):
        kind, ndim = inputs.dtype.kind, inputs.ndim
        if kind == "O" and ndim == 2:
            inputs = to_array(argument, inputs)
            kind = inputs.dtype.kind
        if kind != "O" or ndim != 1 or not any(map(is_sequence, inputs)):
            several = ndim == 3 or (ndim == 2 and kind in "iuUO" and reads_ids)
            return (list(inputs), False) if several else ([inputs], True)
        inputs = list(inputs)  # a column of lists
    types = set(map(type, inputs))
    if types <= _PLAIN or all(isinstance(x, str) or is_number(x) for x in inputs):
        return [inputs], True
    elements = list(inputs)
    if not types <= {list}:
        elements = [_element(argument, b, element) for b, element in enumerate(inputs)]
    if any(_is_row(element) for element in elements):
        return [elements], True
    return elements, False


def _element(argument: str, b: int, value: Any) -> Any:
    """Return an element of a list, as an array if it is like one."""
    if is_array_like(value):
        return to_array(Element(argument, b), value)
    if unpack(value) is not None:
        raise ArgumentTypeError(
            Element(argument, b),
            "expected one sequence, got a PackedSequence; pass it by itself, or its sequences",
        )
    return value


def as_arrays(inputs: Any, reads_ids: bool) -> tuple[str | None, list[Any], bool]:
    """Return the kind of `inputs`, its sequences, and whether it was just one.

    This is the quick way for arrays that are all ids or all features; the kind of anything else is
    None.
    """
    if type(inputs) is np.ndarray:  # of no class of its own, such as masked arrays
        kind, ndim = _KINDS.get(inputs.dtype.kind), inputs.ndim
        single = ndim < 2 or (ndim == 2 and not (reads_ids and kind == "ids"))
        if kind is None or ndim - (not single) != _DIMENSIONS[kind] or not len(inputs):
            return None, [], False
        return kind, [inputs] if single else list(inputs), single
    if not isinstance(inputs, list | tuple) or set(map(type, inputs)) != {np.ndarray}:
        return None, [], False
    kinds = {_KINDS.get(dtype.kind) for dtype in {array.dtype for array in inputs}}
    kind = kinds.pop()
    if kind is None or kinds or {array.ndim for array in inputs} != {_DIMENSIONS[kind]}:
        return None, [], False
    return kind, list(inputs), False
