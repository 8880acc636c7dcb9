"""Recurrent layers: cells in one direction or in two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self, cast

from lrplstm.backends import reference
from lrplstm.layers.base import Form, Layer, register
from lrplstm.scans import Scans
from lrplstm.texts import shown
from lrplstm.weights import Array, Directions, LSTMWeights

__all__ = ["LSTM", "Recurrent", "directions"]


def directions(layer: Directions) -> tuple[LSTMWeights, ...]:
    """Return the directions of a layer: (forward,) or (forward, backward)."""
    return (layer,) if isinstance(layer, LSTMWeights) else tuple(layer)


@dataclass(frozen=True, eq=False, repr=False)
class Recurrent(Layer):
    """The base of layers of cells, of one or two directions; such a layer gives h_t of every step.

    The network runs them itself, by a backend's scans, since cells have states.

    Parameters
    ----------
    forward : weights of a cell
        The direction by itself, or that which reads from the first step to the last.
    backward : weights of a cell, optional
        That which reads from the last step to the first; its states come behind the other's.
    name, reads
        As of every `Layer`.

    Raises
    ------
    TypeError, ValueError
        If a direction is of another kind, or the two do not fit together.

    Notes
    -----
    `cell` is the type of the weights. They have `input_size`, `hidden_size`, `weight_ih`,
    `initial_states`, `reverse` and `arrays()`, as `LSTMWeights`. `compiled` says whether the
    kernels have the cell; else both backends run its steps in `lrplstm.backends.reference`.
    """

    cell: ClassVar[type[Any]]
    compiled: ClassVar[bool] = False
    directions: tuple[Any, ...]

    def __init__(
        self,
        forward: Any,
        backward: Any = None,
        *,
        name: str | None = None,
        reads: Sequence[str] | None = None,
    ) -> None:
        both = (forward,) if backward is None else (forward, backward)
        for which, weights in zip(("forward", "backward"), both, strict=False):
            if not isinstance(weights, self.cell):
                raise TypeError(f"{which}: expected {self.cell.__name__}, got {shown(weights)}")
        if len(both) == 2:
            if forward.reverse:
                raise ValueError("expected the forward direction first")
            sizes = [weights.hidden_size for weights in both]
            if sizes[0] != sizes[1]:
                raise ValueError(
                    f"expected one hidden_size in both directions, got {sizes[0]} and {sizes[1]}"
                )
        self._set(directions=both, name=name, reads=reads)

    @property
    def input_size(self) -> int:
        """Width D of what it reads."""
        return int(self.directions[0].input_size)

    @property
    def width(self) -> int:
        """Width of its states: H, or 2H with two directions."""
        return sum(weights.hidden_size for weights in self.directions)

    def form(self, inputs: Sequence[Form]) -> Form:
        """Return what its output is."""
        size, axis = self.only(inputs)
        for weights in self.directions:
            if weights.input_size != size:
                raise ValueError(f"expected input_size {size}, got {weights.input_size}")
        if axis is None:
            raise ValueError("expected to read steps, got one row a sequence")
        return Form(self.width, axis)

    def arrays(self) -> dict[str, Array]:
        """All its arrays by their names, each with its direction."""
        sides = zip(("forward", "backward"), self.directions, strict=False)
        return {
            f"{side}.{name}": array
            for side, weights in sides
            for name, array in weights.arrays().items()
        }

    def settings(self) -> dict[str, Any]:
        """Whatever else it has."""
        return {"reverse": self.directions[0].reverse}

    @classmethod
    def made_of(cls, arrays: Mapping[str, Array], settings: Mapping[str, Any]) -> Self:
        """Return the layer that has these arrays and settings."""
        others = dict(settings)
        reverse, both = bool(others.pop("reverse", False)), []
        for side in ("forward", "backward"):
            of_side = {
                name.removeprefix(f"{side}."): array
                for name, array in arrays.items()
                if name.startswith(f"{side}.")
            }
            if of_side:
                both.append(cls.cell(**of_side, reverse=reverse))
        return cls(*both, **others)

    def describe(self) -> str:
        """Return in a line what it is."""
        first = self.directions[0]
        kind = "two directions" if len(self.directions) == 2 else "one direction"
        kind += ", from the end" if first.reverse else ""
        shapes = f"weight_ih {first.weight_ih.shape}, weight_hh {first.weight_hh.shape}"
        return f"{type(self).__name__}, {kind}, {shapes}"

    def scans(self, scans: Scans) -> Scans:
        """Return the backend that runs this cell, of which the network's is `scans`."""
        return scans if self.compiled else cast(Scans, reference)


@register
@dataclass(frozen=True, eq=False, repr=False, init=False)
class LSTM(Recurrent):
    """A layer of LSTM cells, of one or two directions; see `Recurrent`.

    Examples
    --------
    >>> import numpy as np
    >>> import lrplstm
    >>> weights = lrplstm.LSTMWeights(np.ones((8, 3)), np.ones((8, 2)), np.zeros(8))
    >>> lrplstm.layers.LSTM(weights, weights, name="encoder").directions[1]
    LSTMWeights(input_size=3, hidden_size=2, dtype=float64)
    """

    kind: ClassVar[str] = "lstm"
    cell: ClassVar[type[Any]] = LSTMWeights
    compiled: ClassVar[bool] = True
