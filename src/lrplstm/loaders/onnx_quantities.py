"""What the numbers of an ONNX graph can be: the input, rows of a table, states, dense layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from lrplstm.layers import DenseLayer
from lrplstm.loaders.onnx_operators import Given
from lrplstm.loaders.onnx_tracing import QUANTITY, SEQUENCE, STEP, UNIT, Traced
from lrplstm.loaders.refusals import RefusedError
from lrplstm.weights import Array, LSTMWeights

__all__ = [
    "COLUMNS",
    "Dense",
    "Direction",
    "Embedding",
    "Quantity",
    "Reading",
    "directions",
    "final_step",
    "quantities_in",
    "read_units",
]


@dataclass(frozen=True, eq=False)
class Embedding:
    """The rows of a table, at ids of the input.

    Coordinates are as for `Given`: those of the ids, and in the last column the place in a row.
    """

    table: Array
    title: str
    reads: tuple[int, ...]
    sizes: tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Direction:
    """The hidden states of one direction of one LSTM node, of `steps` steps and some sequences.

    `reads` are the quantities that it reads; `columns` are those of the input along which lie
    unit, step and sequence, if it reads the input.
    """

    weights: LSTMWeights
    title: str
    reads: tuple[int, ...]
    columns: tuple[int, ...]
    steps: int
    sequences: int

    @property
    def final(self) -> int:
        """The step at which it ends."""
        return 0 if self.weights.reverse else self.steps - 1


@dataclass(frozen=True, eq=False)
class Dense:
    """What a layer of the head gives, and the quantities that it reads."""

    layer: DenseLayer
    title: str
    reads: tuple[int, ...]


Quantity = Given | Embedding | Direction | Dense

COLUMNS = (1, 2, 3)
"""Columns that have no names yet, of the input and embeddings of it."""


class Reading(NamedTuple):
    """All units of some quantities, read along one axis.

    Attributes
    ----------
    quantities : tuple of int
        A forward direction comes before a backward one.
    order : ndarray
        For each place along the axis, which unit of all of them is there.
    steps : ndarray
        For each unit, at which step.
    """

    quantities: tuple[int, ...]
    order: Array
    steps: Array


def read_units(quantities: Sequence[Quantity], value: Traced, axis: int) -> Reading:
    """Return what lies along an axis, which has to be each unit once."""
    others = [n for n in range(value.ndim) if n != axis]
    if any(value.varies(n, QUANTITY, UNIT) for n in others):
        raise RefusedError("it reads units that lie on more than one axis")
    if value.varies(axis, SEQUENCE):
        raise RefusedError("it mixes sequences of the batch")
    if value.varies(axis, STEP) and any(value.varies(n, STEP) for n in others):
        raise RefusedError("it reads units of different steps together")
    at = value.at(axis)
    places = _in_order(quantities, tuple(dict.fromkeys(at[:, QUANTITY].tolist())))
    sizes = [_width(quantities[n]) for n in places]
    starts = dict(zip(places, np.cumsum([0, *sizes]).tolist(), strict=False))
    order = at[:, UNIT] + np.array([starts[n] for n in at[:, QUANTITY].tolist()])
    if not np.array_equal(np.sort(order), np.arange(sum(sizes))):
        raise RefusedError(f"it reads some of {sum(sizes)} units; expected each of them once")
    steps = np.empty_like(order)
    steps[order] = at[:, STEP]
    return Reading(places, order, steps)


def _width(quantity: Quantity) -> int:
    match quantity:
        case Direction():
            return quantity.weights.hidden_size
        case Dense():
            return quantity.layer.output_size
    raise RefusedError("it reads the input; expected hidden states of an LSTM")


def _in_order(quantities: Sequence[Quantity], places: tuple[int, ...]) -> tuple[int, ...]:
    """Return the places of one quantity, or of two directions of a layer, the forward first."""
    if len(places) == 1:
        return places
    pair = [quantities[n] for n in places]
    first, second, *others = pair
    if others or not (isinstance(first, Direction) and isinstance(second, Direction)):
        raise RefusedError("it reads more than the states of one layer")
    if (first.reads, first.columns) != (second.reads, second.columns):
        raise RefusedError("it reads the states of more than one layer")
    if first.weights.reverse == second.weights.reverse:
        raise RefusedError("it reads two LSTMs side by side; expected two directions of one layer")
    return places[::-1] if first.weights.reverse else places


def directions(quantities: Sequence[Quantity], reading: tuple[int, ...]) -> list[Direction]:
    """Return the directions that these quantities are made of."""
    below = [quantities[n] for n in reading]
    while isinstance(below[0], Dense):
        below = [quantities[n] for n in below[0].reads]
    return [quantity for quantity in below if isinstance(quantity, Direction)]


def final_step(quantities: Sequence[Quantity], reading: Reading) -> None:
    """Raise a RefusedError unless what is read is the final state of each direction."""
    sides = directions(quantities, reading.quantities)
    ends = [side.final for side in sides]
    if isinstance(quantities[reading.quantities[0]], Dense):
        is_final = all((reading.steps == end).all() for end in ends)
    else:
        sizes = [side.weights.hidden_size for side in sides]
        is_final = np.array_equal(reading.steps, np.repeat(ends, sizes))
    if is_final:
        return
    if len(sides) == 2:
        raise RefusedError(
            "it reads the states of both directions at one step, such as the last row of Y, where "
            "the backward direction has read one step only; expected the final state of each: "
            "Y_h, or the last row of the forward and the first of the backward direction"
        )
    raise RefusedError(
        f"it reads the states at step {reading.steps[0]} of {sides[0].steps} only; expected "
        f"those at step {sides[0].final}, the final one, or at every step"
    )


def quantities_in(value: Traced) -> set[int]:
    """Return all quantities of which there are numbers in it."""
    numbers = {int(value.first[QUANTITY])}
    for axis in value.axes:
        steps = set(axis[:, QUANTITY].tolist())
        numbers = {number + step for number in numbers for step in steps}
    return numbers
