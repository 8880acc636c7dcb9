"""What loaders of several formats do with arrays: bfloat16, the order of gates, two biases."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from lrplstm.errors import MissingArgumentError
from lrplstm.weights import Array

__all__ = ["bfloat16_as_float32", "gates_from", "naming", "sum_of_biases", "with_dtype"]

_GATES = "ifgo"


def bfloat16_as_float32(bits: Array) -> Array:
    """Return the float32 of the same values; `bits` are bfloat16 as unsigned integers."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def gates_from(order: str, rows: Array) -> Array:
    """Return the rows of four gates in this order, such as "igfo", as `LSTMWeights` has them.

    >>> gates_from("iofg", np.arange(8))
    array([0, 1, 4, 5, 6, 7, 2, 3])
    """
    gates = dict(zip(order, np.split(rows, 4), strict=True))
    return np.concatenate([gates[letter] for letter in _GATES])


def sum_of_biases(biases: Sequence[Array], name: str, of: str) -> Array:
    """Return the sum of two, or raise a ValueError with this name if it is infinite.

    `of` says what it is the sum of.
    """
    with np.errstate(over="ignore"):
        total: Array = np.add(*biases)
    if not np.isfinite(total).all():
        raise ValueError(f"{name}: expected a finite sum {of}, got infinity")
    return total


def with_dtype(array: Array, dtype: np.dtype[Any]) -> Array:
    """Return numbers in another dtype; those that become infinite, what reads them refuses."""
    with np.errstate(over="ignore"):
        return array.astype(dtype, copy=False)


@contextmanager
def naming(
    source: Any, kinds: tuple[type[Exception], ...] = (TypeError, ValueError)
) -> Iterator[None]:
    """Let errors of what a file holds name the file, if the source is one or the name of one."""
    try:
        yield
    except kinds as error:
        if not isinstance(source, str | os.PathLike):
            raise
        text = f"{os.fspath(source)}: {error}"
        if isinstance(error, MissingArgumentError):
            raise MissingArgumentError(text, error.arguments) from None
        raise ValueError(text) from None
