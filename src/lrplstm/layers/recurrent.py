"""Recurrent layers: cells in one direction or in two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self, cast

import numpy as np

from lrplstm.backends import reference
from lrplstm.cells import GRUWeights, RNNWeights
from lrplstm.layers.base import LAYERS, Form, Layer, register
from lrplstm.scans import Scans
from lrplstm.texts import shown
from lrplstm.weights import Array, CellWeights, Directions, LSTMWeights

__all__ = ["GRU", "LSTM", "RNN", "FinalState", "Recurrent", "directions", "recurrent"]


def directions(layer: Directions) -> tuple[LSTMWeights, ...]:
    """Return the directions of a layer: (forward,) or (forward, backward).

    Parameters
    ----------
    layer : LSTMWeights, or a pair of them
        As `lrplstm.LSTMModel` takes it.

    Returns
    -------
    tuple of LSTMWeights
        One or two.

    Examples
    --------
    >>> import lrplstm
    >>> len(lrplstm.layers.directions(lrplstm.load_default().layers[0]))
    2
    """
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
    name : str, optional
        By which others read it.
    reads : sequence of str, optional
        Names of the layers that it reads. Default: the one before it.

    Raises
    ------
    TypeError, ValueError
        If a direction is of another kind, or the two do not fit together.

    Notes
    -----
    `cell` is the type of the weights, see `lrplstm.weights.CellWeights`. Where the kernels do not
    have the cell, or not this variant of it, both backends run its steps in
    `lrplstm.backends.reference`.

    Examples
    --------
    >>> import numpy as np
    >>> import lrplstm
    >>> weights = lrplstm.LSTMWeights(np.ones((8, 3)), np.ones((8, 2)), np.zeros(8))
    >>> layer = lrplstm.layers.LSTM(weights, weights)
    >>> layer.input_size, layer.width, layer.state_widths
    (3, 4, (4, 4))
    """

    cell: ClassVar[type[CellWeights]]
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
        """Width of its hidden states, all directions together."""
        return sum(weights.output_size for weights in self.directions)

    @property
    def state_widths(self) -> tuple[int, ...]:
        """Width of each of its states, h first, all directions together."""
        states = zip(*(weights.initial_states for weights in self.directions), strict=True)
        return tuple(sum(map(len, of_directions)) for of_directions in states)

    def form(self, inputs: Sequence[Form]) -> Form:
        """Return what its output is."""
        size, axis = self.only(inputs[:1])
        self._check_states(inputs[1:])
        for weights in self.directions:
            if weights.input_size != size:
                raise ValueError(f"expected input_size {size}, got {weights.input_size}")
        if axis is None:
            raise ValueError("expected to read steps, got one row a sequence")
        return Form(self.width, axis)

    def _check_states(self, given: Sequence[Form]) -> None:
        """Refuse initial states that other layers do not give as the cell has them."""
        widths = self.state_widths
        if len(given) > len(widths):
            raise ValueError(
                f"expected to read at most {len(widths)} initial states, got {len(given)}"
            )
        for (size, axis), width in zip(given, widths, strict=False):
            if axis is not None or size != width:
                what = f"{size}, " + ("one row a sequence" if axis is None else "at every step")
                raise ValueError(f"expected an initial state of {width}, a sequence's, got {what}")

    def arrays(self) -> dict[str, Array]:
        """All its arrays by their names, each with its direction."""
        sides = zip(("forward", "backward"), self.directions, strict=False)
        return {
            f"{side}.{name}": array
            for side, weights in sides
            for name, array in weights.arrays().items()
        }

    def settings(self) -> dict[str, Any]:
        """Whatever else it has: `reverse`, and by direction what is not by default so."""
        variants: dict[str, dict[str, Any]] = {}
        for side, weights in zip(("forward", "backward"), self.directions, strict=False):
            arrays = weights.arrays()
            variants[side] = {n: v for n, v in weights.variants().items() if n not in arrays}
        return {"reverse": self.directions[0].reverse} | {s: v for s, v in variants.items() if v}

    @classmethod
    def made_of(cls, arrays: Mapping[str, Array], settings: Mapping[str, Any]) -> Self:
        """Return the layer that has these arrays and settings."""
        others = dict(settings)
        reverse, both = others.pop("reverse", False), []
        for side in ("forward", "backward"):
            of_side = {
                name.removeprefix(f"{side}."): array
                for name, array in arrays.items()
                if name.startswith(f"{side}.")
            }
            settings_of_side = others.pop(side, {})
            if of_side:
                both.append(cls.cell(**of_side, **settings_of_side, reverse=reverse))
        return cls(*both, **others)

    def describe(self) -> str:
        """Return in a line what it is."""
        first = self.directions[0]
        kind = "two directions" if len(self.directions) == 2 else "one direction"
        kind += ", from the end" if first.reverse else ""
        text = f"weight_ih {first.weight_ih.shape}, weight_hh {first.weight_hh.shape}"
        for name, value in first.variants().items():
            text += f", {name} {value.shape if isinstance(value, np.ndarray) else value}"
        return f"{type(self).__name__}, {kind}, {text}"

    def scans(self, scans: Scans) -> Scans:
        """Return the backend that runs this cell.

        Parameters
        ----------
        scans : module
            The network's backend.

        Returns
        -------
        module
            The same, or the reference where that lacks the cell.
        """
        return scans if scans.has_cell(self.directions) else cast(Scans, reference)


@register
@dataclass(frozen=True, eq=False, repr=False, init=False)
class LSTM(Recurrent):
    """A layer of LSTM cells, of one or two directions; see `Recurrent`.

    Parameters
    ----------
    forward : LSTMWeights
        The direction by itself, or that which reads from the first step to the last.
    backward : LSTMWeights, optional
        That which reads from the last step to the first.
    name : str, optional
        By which others read it.
    reads : sequence of str, optional
        Names of the layers that it reads. Default: the one before it.

    Examples
    --------
    >>> import numpy as np
    >>> import lrplstm
    >>> weights = lrplstm.LSTMWeights(np.ones((8, 3)), np.ones((8, 2)), np.zeros(8))
    >>> lrplstm.layers.LSTM(weights, weights, name="encoder").directions[1]
    LSTMWeights(input_size=3, hidden_size=2, dtype=float64)
    """

    kind: ClassVar[str] = "lstm"
    cell: ClassVar[type[CellWeights]] = LSTMWeights


@register
@dataclass(frozen=True, eq=False, repr=False, init=False)
class GRU(Recurrent):
    """A layer of GRU cells, of one or two directions; see `Recurrent`.

    Parameters
    ----------
    forward : GRUWeights
        The direction by itself, or that which reads from the first step to the last.
    backward : GRUWeights, optional
        That which reads from the last step to the first.
    name : str, optional
        By which others read it.
    reads : sequence of str, optional
        Names of the layers that it reads. Default: the one before it.

    Examples
    --------
    >>> import numpy as np
    >>> import lrplstm
    >>> ones = np.ones(6)
    >>> weights = lrplstm.GRUWeights(np.ones((6, 3)), np.ones((6, 2)), ones, ones)
    >>> lrplstm.layers.GRU(weights).describe()
    'GRU, one direction, weight_ih (6, 3), weight_hh (6, 2)'
    """

    kind: ClassVar[str] = "gru"
    cell: ClassVar[type[CellWeights]] = GRUWeights


@register
@dataclass(frozen=True, eq=False, repr=False, init=False)
class RNN(Recurrent):
    """A layer of plain recurrent cells, of one or two directions; see `Recurrent`.

    Parameters
    ----------
    forward : RNNWeights
        The direction by itself, or that which reads from the first step to the last.
    backward : RNNWeights, optional
        That which reads from the last step to the first.
    name : str, optional
        By which others read it.
    reads : sequence of str, optional
        Names of the layers that it reads. Default: the one before it.

    Examples
    --------
    >>> import numpy as np
    >>> import lrplstm
    >>> weights = lrplstm.RNNWeights(np.ones((2, 3)), np.ones((2, 2)), np.ones(2))
    >>> lrplstm.layers.RNN(weights, weights).describe()
    'RNN, two directions, weight_ih (2, 3), weight_hh (2, 2)'
    """

    kind: ClassVar[str] = "rnn"
    cell: ClassVar[type[CellWeights]] = RNNWeights


@register
@dataclass(frozen=True, eq=False, repr=False)
class FinalState(Layer):
    """A final state of the recurrent layer that it reads, as a row: those of all directions.

    Parameters
    ----------
    state : str
        Which: "hidden", or of an LSTM "cell".
    name : str, optional
        By which others read it.
    reads : sequence of str, optional
        Names of the layers that it reads. Default: the one before it.

    Examples
    --------
    An LSTM goes on where another has ended.

    >>> import numpy as np
    >>> import lrplstm
    >>> from lrplstm.layers import LSTM, FinalState, Pool, Reverse
    >>> rng = np.random.default_rng(0)
    >>> first, second = (
    ...     lrplstm.LSTMWeights(*(rng.normal(0, 0.3, s) for s in [(8, 3), (8, 2), (8,)]))
    ...     for _ in range(2)
    ... )
    >>> model = lrplstm.Model(
    ...     [
    ...         LSTM(first, name="encoder"),
    ...         FinalState("hidden", name="h"),
    ...         FinalState("cell", name="c", reads=["encoder"]),
    ...         Reverse(name="backwards", reads=["inputs"]),
    ...         LSTM(second, name="decoder", reads=["backwards", "h", "c"]),
    ...         Pool("last"),
    ...     ]
    ... )
    >>> lrplstm.lrp(model, rng.normal(size=(6, 3)), target=1).token_relevance.shape
    (6,)
    """

    kind: ClassVar[str] = "final_state"
    state: str

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.state, str):
            raise TypeError(f"state: expected a name, got {shown(self.state)}")

    def form(self, inputs: Sequence[Form]) -> Form:
        """Return what its output is, as wide as h; see `form_of`."""
        size, _ = self.of_steps(inputs)
        return Form(size, None)

    def form_of(self, layer: Recurrent) -> Form:
        """Return what its output is where it reads this layer.

        Parameters
        ----------
        layer : Recurrent
            What it reads.

        Returns
        -------
        Form
            One row a sequence.
        """
        return Form(layer.state_widths[self.number(layer)], None)

    def number(self, layer: Layer | None) -> int:
        """Return which of the states of a layer it is.

        Parameters
        ----------
        layer : Layer
            What it reads.

        Returns
        -------
        int
            0 for h, 1 for c.

        Raises
        ------
        ValueError
            If the layer has no such state.
        """
        if not isinstance(layer, Recurrent):
            raise ValueError("expected to read a recurrent layer")
        names = [name.removeprefix("initial_") for name in layer.cell.STATES]
        if self.state not in names:
            raise ValueError(f"state: expected {' or '.join(names)}, got {shown(self.state)}")
        return names.index(self.state)


def recurrent(*directions: Any) -> Recurrent:
    """Return the layer of which these are the weights, or raise a TypeError where there is none."""
    for layer in LAYERS.values():
        if issubclass(layer, Recurrent) and type(directions[0]) is layer.cell:
            return layer(*directions)
    raise TypeError(f"expected a layer, or weights of cells, got {shown(directions[0])}")
