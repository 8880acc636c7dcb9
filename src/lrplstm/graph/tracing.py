"""Tensors whose numbers are not known, but of which is known what each of them is.

A graph is read by following its input through it. A traced tensor has a shape, and for each of its
numbers four coordinates: the quantity that it belongs to (the input, one direction of an LSTM, a
dense layer), and in there the unit, the step and the sequence. What nodes do to shapes only moves
coordinates about, so what a head reads in the end is seen, and need not be guessed from shapes.

Along each axis coordinates change by the same amounts wherever one stands on the other axes.
Hence a tensor is the coordinates of its first number and, for each axis, what each index adds
to them; nothing here is ever as large as a tensor.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Self

import numpy as np

from lrplstm.loaders.refusals import RefusedError, Room
from lrplstm.texts import shown
from lrplstm.weights import Array

__all__ = ["SEQUENCE", "SIGNAL", "STEP", "UNIT", "LyingError", "Traced", "along"]

SIGNAL, UNIT, STEP, SEQUENCE = range(4)
"""The columns of coordinates."""

_DTYPE = np.int32
_SHORT = 1024


class LyingError(RefusedError):
    """Axes lie otherwise than they should: those of an input may have been taken for others."""


@dataclass(frozen=True, eq=False)
class Traced:
    """A tensor that depends on the input.

    Attributes
    ----------
    first : ndarray of shape (4,)
        Coordinates of its first number.
    axes : tuple of ndarray of shape (size, 4)
        What each index along an axis adds to them; zeros in the first row.
    room : Room
    integers : bool
        Whether the numbers are integers, as ids are.
    """

    first: Array
    axes: tuple[Array, ...]
    room: Room
    integers: bool = False

    @classmethod
    def of(cls, quantity: int, axes: Sequence[tuple[int, int]], room: Room) -> Self:
        """Return a whole quantity, whose axes run along these columns and have these sizes."""
        first = np.zeros(4, _DTYPE)
        first[SIGNAL] = quantity
        return cls(first, tuple(along(column, size, room) for column, size in axes), room)

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return tuple(map(len, self.axes))

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.axes)

    def at(self, axis: int) -> Array:
        """Return the coordinates of the numbers along an axis, first on all others: (size, 4)."""
        return self.first + self.axes[axis]

    def varies(self, axis: int, *columns: int) -> bool:
        """Whether any of these coordinates changes along an axis."""
        return any(self._varying[axis][column] for column in columns)

    @cached_property
    def _varying(self) -> list[list[bool]]:
        """Which coordinates change along each axis."""
        return [np.any(axis != 0, axis=0).tolist() for axis in self.axes]

    # What nodes do to shapes, as NumPy's arrays have it ----------------------------------------

    def transpose(self, order: Sequence[int]) -> Self:
        """Return it with its axes in another order."""
        if sorted(order) != list(range(self.ndim)):
            raise RefusedError(f"expected an order of {self.ndim} axes, got {shown(list(order))}")
        return replace(self, axes=tuple(self.axes[axis] for axis in order))

    def take(self, indices: Array, axis: int) -> Self:
        """Return what lies at `indices`, of any shape, along an axis."""
        size = len(self.axes[axis])
        if indices.shape == (size,) and (indices == np.arange(size)).all():
            return self
        self.room.take(indices.size * 4 * 4)
        picked = self.axes[axis][indices.reshape(-1)]
        if not picked.size:
            raise RefusedError("it takes nothing at all")
        before, after = self.axes[:axis], self.axes[axis + 1 :]
        taken = replace(
            self, first=self.first + picked[0], axes=(*before, picked - picked[0], *after)
        )
        sizes = [len(a) for a in before], [len(a) for a in after]
        return taken.reshape((*sizes[0], *indices.shape, *sizes[1]))

    def reshape(self, shape: Sequence[int]) -> Self:
        """Return it in another shape of as many numbers."""
        if math.prod(shape) != math.prod(self.shape):
            raise RefusedError(f"it makes shape {shown(tuple(shape))} of {self.shape}")
        waiting = list(self.axes)
        rest = np.zeros((1, 4), _DTYPE)  # of the axes taken so far, what is not used up
        axes = []
        for size in shape:
            while len(rest) % size:
                rest = waiting.pop(0) if len(rest) == 1 else self._merged(rest, waiting.pop(0))
            axis, rest = self._split(rest, size)
            axes.append(axis)
        return replace(self, axes=tuple(axes))

    def _merged(self, outer: Array, inner: Array) -> Array:
        """Return two axes as one."""
        self.room.take(len(outer) * len(inner) * 4 * 4)
        return (outer[:, None] + inner).reshape(-1, 4)

    def _split(self, axis: Array, size: int) -> tuple[Array, Array]:
        """Return an axis as two, of which the first has this size."""
        if size == len(axis):
            return axis, axis[:1]
        if size == 1:
            return axis[:1], axis
        self.room.take(len(axis) * 4 * 4)
        table = axis.reshape(size, -1, 4)
        outer, inner = table[:, 0], table[0]
        if not np.array_equal(outer[:, None] + inner, table):
            raise RefusedError("it splits an axis where units, steps or sequences do not end")
        return outer, inner

    def broadcast_to(self, shape: Sequence[int]) -> Self:
        """Return it repeated along axes of size 1, as NumPy has it."""
        added = len(shape) - self.ndim
        axes: list[Array] = []
        for n, size in enumerate(shape):
            axis = self.axes[n - added] if n >= added else np.zeros((1, 4), _DTYPE)
            if size != len(axis):
                if len(axis) != 1:
                    raise RefusedError(f"it makes shape {shown(tuple(shape))} of {self.shape}")
                self.room.take(size * 4 * 4)
                axis = np.zeros((size, 4), _DTYPE)
            axes.append(axis)
        return replace(self, axes=tuple(axes))

    def joined(self, others: Sequence[Self], axis: int) -> Self:
        """Return it with others behind it along an axis."""
        parts = [self.at(axis)]
        for other in others:
            if other.ndim != self.ndim or any(
                not np.array_equal(mine, theirs)
                for n, (mine, theirs) in enumerate(zip(self.axes, other.axes, strict=True))
                if n != axis
            ):
                raise RefusedError(
                    f"it joins what belongs to different steps or sequences, "
                    f"in shapes {self.shape} and {other.shape}"
                )
            parts.append(other.at(axis))
        self.room.take(sum(map(len, parts)) * 4 * 4)
        whole = np.concatenate(parts)
        axes = (*self.axes[:axis], whole - whole[0], *self.axes[axis + 1 :])
        return replace(self, first=whole[0], axes=axes)


def along(column: int, size: int, room: Room) -> Array:
    """Return an axis along which one coordinate counts up."""
    if size <= _SHORT:
        return _short_axis(column, size)
    room.take(size * 4 * 4)
    return _axis(column, size)


def _axis(column: int, size: int) -> Array:
    axis = np.zeros((size, 4), _DTYPE)
    axis[:, column] = np.arange(size)
    return axis


@lru_cache(maxsize=256)
def _short_axis(column: int, size: int) -> Array:
    """Return one that many tensors share, and nobody changes."""
    axis = _axis(column, size)
    axis.setflags(write=False)
    return axis
