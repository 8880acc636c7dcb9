"""What a network that is being read consists of: layers, and the signals that they give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lrplstm.layers import Layer

__all__ = ["Part", "Signal", "from_nearer_end"]


@dataclass(eq=False)
class Part:
    """A layer of the network that is being read.

    Attributes
    ----------
    name : str
    reads : tuple of str
    title : str
        What it was made from; empty for those that only put rows in their place.
    layer : Layer, or None
        None of one that is made when all of its directions are known, by `make`.
    """

    name: str
    reads: tuple[str, ...]
    title: str
    layer: Any = None
    make: Callable[[], Layer] | None = None
    place: str = ""

    def made(self) -> Any:
        """Return the layer."""
        return self.make() if self.make is not None else self.layer


@dataclass(eq=False)
class Signal:
    """What a layer gives, or an input of the network.

    Attributes
    ----------
    name : str
        Of the layer or input.
    width : int
        Units in a row.
    steps : int or None
        How many steps there are, for the sizes that the graph is read with; None where there is a
        row a sequence.
    refusal : str
        Why no layer may read it, if so.
    squashed : int or None
        Which signal it is the softmax of.
    over_steps : bool
        Whether that goes over steps, not over units.
    ends : tuple of int
        At which step each direction of a recurrent layer ends.
    gate : bool
        Whether it is what a sigmoid gives, or one less that.
    masked : bool
        Whether a mask passes steps over, so that those of its own are not those of the graph.
    is_input, integers : bool
        Whether it is an input of the network, and one of ids.
    extra : dict
        What those that read it need to know of one that is not read as it is.
    """

    name: str
    width: int
    steps: int | None
    title: str = ""
    refusal: str = ""
    squashed: int | None = None
    over_steps: bool = False
    ends: tuple[int, ...] = ()
    gate: bool = False
    masked: bool = False
    is_input: bool = False
    integers: bool = False
    extra: dict[str, Any] = field(default_factory=dict)


def from_nearer_end(step: int, steps: int) -> int:
    """Return a step counted from the nearer end; which end it is, two lengths tell apart."""
    return step if step < steps / 2 else step - steps
