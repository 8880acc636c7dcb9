"""How rows of units lie in a tensor: along which axes its sequences, steps and units run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lrplstm.graph.tracing import SEQUENCE, SIGNAL, STEP, UNIT, LyingError, Traced
from lrplstm.loaders.refusals import RefusedError
from lrplstm.weights import Array

__all__ = ["Layout", "Rows", "apart", "canonical"]


class Rows(NamedTuple):
    """Rows of units, as a layer gives them, and how they lie in a tensor.

    Attributes
    ----------
    name : str
        The layer or input that gives them.
    signal : int
    order : ndarray of shape (U,)
        Which unit is at each place along the axis of units.
    steps : int or None
        How many steps there are; None where there is a row a sequence.
    repeated : int
        For how many steps a row of a sequence stands; 1 where for itself alone.
    reverse : bool
        Whether steps lie from the last to the first.
    layout : Layout
    """

    name: str
    signal: int
    order: Array
    steps: int | None
    repeated: int
    reverse: bool
    layout: Layout


class Layout(NamedTuple):
    """How what has sequences, steps and units in a tensor lies there.

    Attributes
    ----------
    rows, units : tuple of int
        Axes of the tensor, those of rows and of the units in a row.
    row_shape, unit_shape : tuple of int
    swapped : bool
        Whether steps come before sequences.
    steps : int or None
        Which of the axes of rows is that of steps, if there is one of them alone.
    """

    rows: tuple[int, ...]
    units: tuple[int, ...]
    row_shape: tuple[int, ...]
    unit_shape: tuple[int, ...]
    swapped: bool
    steps: int | None

    def with_steps(self, steps: int) -> Layout:
        """Return that of another number of steps."""
        if self.steps is None:
            raise RefusedError("expected an axis of steps")
        shape = list(self.row_shape)
        shape[self.steps] = steps
        return self._replace(row_shape=tuple(shape))

    def restored(self, value: Traced) -> Traced:
        """Return a tensor of shape (sequences, steps, units) with its axes as they were."""
        unit_shape = self.unit_shape
        if value.shape[2] != math.prod(unit_shape):
            unit_shape = (value.shape[2],) + (1,) * (len(unit_shape) - 1)
        if self.swapped:
            value = value.transpose((1, 0, 2))
        if not unit_shape and value.shape[2] != 1:
            raise RefusedError("it makes several units of numbers that have no axis of units")
        value = value.reshape((*self.row_shape, *unit_shape))
        order = np.argsort([*self.rows, *self.units])
        return value.transpose(order.tolist())


def canonical(value: Traced, units: Sequence[int] | None, sequences: int) -> tuple[Traced, Layout]:
    """Return a tensor as (sequences, steps, units), and how it lay."""
    if units is None:
        units = [n for n in range(value.ndim) if value.varies(n, SIGNAL, UNIT)]
    rows = [n for n in range(value.ndim) if n not in units]
    long = [n for n in rows if value.shape[n] > 1]
    of_sequences = [n for n in long if value.varies(n, SEQUENCE)]
    of_steps = [n for n in long if value.varies(n, STEP)]
    free = [n for n in long if n not in of_sequences and n not in of_steps]
    if any(value.varies(n, SIGNAL, UNIT) for n in rows):
        raise LyingError("it reads units that lie on more than one axis")
    if free and not units and (of_steps or len(free) > 1):
        units = free[-1:]
        rows.remove(units[0])
        free.pop()
    if len(free) + len([n for n in of_steps if n not in of_sequences]) > 1:
        raise LyingError("it has no row, or several, for some step or sequence")
    if len(of_sequences) > 1 or len(of_steps) > 1:
        raise LyingError("it reads units of different steps together")
    order = [*rows, *units]
    turned = value.transpose(order)
    row_shape, unit_shape = turned.shape[: len(rows)], turned.shape[len(rows) :]
    number = math.prod(row_shape)
    merged = of_sequences and of_sequences == of_steps
    width = math.prod(unit_shape)
    if merged:  # rows of all steps and sequences along one axis
        axis = value.axes[of_sequences[0]]
        other = axis[1, SEQUENCE] == 0  # steps run faster
        if number % sequences:
            raise LyingError("it has no row, or several, for some step or sequence")
        shape = (sequences, number // sequences) if other else (number // sequences, sequences)
        three = turned.reshape((*shape, width))
        swapped = not other
    else:
        steps_axis = [*of_steps, *free]
        first = (of_sequences or [-1])[0], (steps_axis or [-1])[0]
        swapped = bool(of_sequences and steps_axis) and first[0] > first[1]
        size = [value.shape[n[0]] if n else 1 for n in (of_sequences, steps_axis)]
        three = turned.reshape((*(size[::-1] if swapped else size), width))
    if swapped:
        three = three.transpose((1, 0, 2))
    if not np.array_equal(three.at(0)[:, SEQUENCE], np.arange(sequences)):
        raise LyingError("it mixes sequences of the batch, or reads some of them")
    if three.varies(0, STEP) or three.varies(1, SEQUENCE):
        raise LyingError("it reads units of different steps together")
    alone = [rows.index(n) for n in (*of_steps, *free)] if not merged else []
    place = alone[0] if alone else None
    return three, Layout(tuple(rows), tuple(units), row_shape, unit_shape, swapped, place)


def apart(value: Traced, sequences: int) -> tuple[Traced, int | None]:
    """Return a tensor with units and sequences that lie along one axis on two, and on which.

    The axis of units is the first of these that has some; None if there is no such axis.
    """
    for n, size in enumerate(value.shape):
        if value.varies(n, SIGNAL, UNIT) and value.varies(n, SEQUENCE):
            fast = value.axes[n][1, SEQUENCE] != 0
            pair = (size // sequences, sequences) if fast else (sequences, size // sequences)
            shape = (*value.shape[:n], *pair, *value.shape[n + 1 :])
            return value.reshape(shape), n if fast else n + 1
    return value, None
