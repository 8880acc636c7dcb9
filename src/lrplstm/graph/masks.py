"""Masks: which steps of an input are padding, as Keras and TensorFlow find it out in a graph.

A step is padding where all of its numbers are one value. A recurrent layer that is given a mask
keeps its states there. Models are told what padding is, and leave these steps out, which comes to
the same; so a mask is followed to where it decides between new states and old ones, and may be
read by nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from lrplstm.graph.linear import aligned
from lrplstm.graph.operators import Call, Unreadable, Value
from lrplstm.graph.parts import Part
from lrplstm.graph.tracing import SEQUENCE, SIGNAL, STEP, UNIT, Traced
from lrplstm.layers import (
    Activation,
    Add,
    Affine,
    Average,
    Concatenate,
    DenseLayer,
    FinalState,
    Layer,
    LayerNormalization,
    Maximum,
    Multiply,
    Pool,
    PReLU,
    RMSNormalization,
    Units,
)
from lrplstm.loaders.refusals import RefusedError

__all__ = ["Kept", "Mask", "check_masked", "on_masks"]


@dataclass(frozen=True)
class Mask(Unreadable):
    """Which steps of an input are padding: those where all of its numbers are one value.

    Attributes
    ----------
    of : Traced
        The numbers of the input, in the mask's own shape.
    value : float
    padding : bool
        Whether it is true where there is padding; else where there is none.
    whole : bool
        Whether it is of steps, not of each number.
    """

    of: Traced
    value: float
    padding: bool
    whole: bool

    @property
    def signal(self) -> int:
        """The input."""
        return int(self.of.first[SIGNAL])


@dataclass(frozen=True, eq=False, repr=False)
class Kept(Layer):
    """What a state is after a step: the old one where the step is padding, else the new one.

    It reads the new state and the old one, or the new one alone, where the old one is zeros. No
    model has it: it is a part of the recurrent layer that `lrplstm.graph.unrolled` makes.
    """

    kind: ClassVar[str] = "kept"
    mask: str
    value: float
    step: int


_OF_EACH_STEP = (
    *(Activation, Add, Affine, Average, Concatenate, DenseLayer, LayerNormalization, Maximum),
    *(Multiply, PReLU, RMSNormalization, Units),
)
"""Layers that make of padding no more than padding."""

_Function = Callable[[Call], Value | tuple[Value, ...]]

_OF_SHAPES = (
    *("Expand", "Flatten", "Gather", "Reshape", "Slice"),
    *("Split", "Squeeze", "Tile", "Transpose", "Unsqueeze"),
)


def on_masks(call: Call, function: _Function) -> Value | tuple[Value, ...] | None:
    """Return what a node makes of a mask, or None where it has to do with none."""
    values = call.values
    mask = next((value for value in values if isinstance(value, Mask)), None)
    if mask is None:
        return _compared(call)
    operator = call.node.operator
    match operator:
        case "Not":
            return replace(mask, padding=not mask.padding)
        case "Cast" | "Identity":
            return mask
        case "Shape":
            return np.array(mask.of.shape, np.int64)
        case "ReduceSum" | "ReduceMax" if not mask.padding:  # whether any number is another
            return _of_steps(call, mask)
        case "Greater" if isinstance(values[1], np.ndarray) and not values[1].any():
            return mask
        case "Where" if values[0] is mask:
            return _where(call, mask)
        case "Mul":
            others = [value for value in values if isinstance(value, Traced)]
            if len(others) == 1 and _is_zero_at_padding(call, mask, others[0]):
                return others[0]
    if operator in _OF_SHAPES and values[0] is mask:
        made = function(replace(call, values=(mask.of, *values[1:])))
        several = made if isinstance(made, tuple) else (made,)
        masks = tuple(replace(mask, of=one) for one in several if isinstance(one, Traced))
        return masks if isinstance(made, tuple) else masks[0]
    return None


def _compared(call: Call) -> Mask | None:
    if call.node.operator != "Equal" or len(call.values) != 2:
        return None
    value, number = call.values
    if not isinstance(value, Traced) or not isinstance(number, np.ndarray) or number.size != 1:
        return None
    if not call.network.is_input(value):
        return None
    whole = call.network.signals[int(value.first[SIGNAL])].width == 1
    return Mask("a mask", value, float(number.reshape(())), padding=True, whole=whole)


def _of_steps(call: Call, mask: Mask) -> Mask:
    """Return the mask of steps that one of each of their numbers is made into."""
    of, axes = mask.of, call.numbers("axes", 1) or []
    width = call.network.signals[mask.signal].width
    places = [call.axis(axis, of.ndim) for axis in axes]
    if len(places) != 1 or of.shape[places[0]] != width or of.varies(places[0], STEP, SEQUENCE):
        raise RefusedError("expected whether any number of a step is no padding")
    shape = [size for n, size in enumerate(of.shape) if n not in places]
    of = of.take(np.array([0]), places[0])
    kept = bool(call.attribute("keepdims", 1))
    return replace(mask, of=of if kept else of.reshape(shape), whole=True)


def _is_zero_at_padding(call: Call, mask: Mask, value: Traced) -> bool:
    """Whether a tensor is zeros where a mask, which is false there, says that it is padding."""
    if not mask.whole or mask.padding or mask.value != 0:
        return False
    if call.network.signals_in(value) != {mask.signal}:
        raise RefusedError("it multiplies a mask with what another input decides")
    return True


def _where(call: Call, mask: Mask) -> Value:
    """Return states of which a step of padding keeps the old ones."""
    there, elsewhere = (call.optional(n) for n in (1, 2))
    old, new = (there, elsewhere) if mask.padding else (elsewhere, there)
    if not isinstance(new, Traced) or old is None:
        raise RefusedError("expected states, of which a mask keeps the old ones")
    zeros = isinstance(old, np.ndarray) and not old.any()
    of_input = call.network.signals_in(new) == {mask.signal}
    if zeros and of_input and _is_zero_at_padding(call, replace(mask, padding=False), new):
        return new
    of = mask.of
    if not mask.whole or any(of.varies(n, STEP, UNIT) for n in range(of.ndim)):
        raise RefusedError("it reads a mask other than to keep the states of one step")
    if not zeros and not isinstance(old, Traced):
        raise RefusedError("expected states that begin with zeros, or that other layers give")
    network = call.network
    rows, signals, order = aligned(call, [new, old] if isinstance(old, Traced) else [new])
    names = [network.signals[signal].name for signal in signals]
    width, steps = network.signals[signals[0]].width, int(of.first[STEP])
    layer = Kept(network.signals[mask.signal].name, mask.value, steps)
    given = network.once(
        ("kept", mask.signal, steps, *signals), lambda: call.add(layer, names, width, None)
    )
    return network.result(rows, given, order)


# What reads what is padded -----------------------------------------------------------------------


def check_masked(parts: Sequence[Part], inputs: Collection[str], masked: Collection[str]) -> None:
    """Refuse networks in which something sees padding that other layers pass over.

    Parameters
    ----------
    parts : sequence of Part
    inputs : collection of str
        Those that have padding.
    masked : collection of str
        The recurrent layers that pass it over.
    """
    padded = {*inputs}
    for part in parts:
        if padded.isdisjoint(part.reads):
            continue
        if isinstance(part.layer, _OF_EACH_STEP) or part.name in masked:
            padded.add(part.name)
        elif part.reads[0] not in masked or not _ends(part.layer):
            raise RefusedError(
                f"{part.place or part.name}: it reads all steps where padding is passed over"
            )


def _ends(layer: Layer) -> bool:
    return isinstance(layer, FinalState) or (isinstance(layer, Pool) and layer.pooling == "last")
