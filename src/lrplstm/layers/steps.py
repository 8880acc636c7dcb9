"""Layers of which each row is one that they read: steps that are picked, reversed or repeated.

Each number's relevance is handed to where it came from, summed where it was used several times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lrplstm.checks import to_int, to_whole
from lrplstm.copies import Copies
from lrplstm.layers.base import Axis, Form, Layer, Pass, check_lengths, register
from lrplstm.rules import EpsilonRule
from lrplstm.sequences import MOST_STEPS, to_offsets
from lrplstm.weights import Array

__all__ = ["Repeat", "Reverse", "Step", "Steps"]


class _Picked(Layer):
    """Some rows of the one layer that it reads, none of them twice."""

    def rows(self, offsets: Array) -> Array:
        """Return which rows it picks, given where sequences begin in them."""
        raise NotImplementedError

    def forward(self, inputs: tuple[Array, ...], offsets: tuple[Array, ...]) -> Array:
        """Return the output; see `Operation`."""
        picked: Array = inputs[0][self.rows(offsets[0])]
        return picked

    def relevance(
        self, past: Pass, relevance: Array, rule: EpsilonRule, product_rule: str
    ) -> tuple[Array, ...]:
        """Return the relevance of each input; see `Operation`."""
        return self.gradient(past, relevance)

    def gradient(self, past: Pass, gradient: Array) -> tuple[Array, ...]:
        """Return the gradient of each input; see `Operation`."""
        of_input = np.zeros((len(gradient), *past.inputs[0].shape), gradient.dtype)
        of_input[:, self.rows(past.offsets[0])] = gradient
        return (of_input,)

    def decompose(self, past: Pass, relevant: tuple[Array, ...], copies: Copies) -> Array:
        """Return the relevant part of the output; see `Operation`."""
        return self.forward(relevant, (copies.offsets_like(past.offsets[0]),))


@register
@dataclass(frozen=True, eq=False, repr=False)
class Step(_Picked):
    """One step of each sequence, as a row.

    The last state of a recurrent layer that reads from the end, or in two directions, is another:
    see `Pool`.

    Parameters
    ----------
    index : int
        Its number; negative ones count from the end.
    name : str, optional
        By which others read it.
    reads : sequence of str, optional
        Names of the layers that it reads. Default: the one before it.

    Examples
    --------
    >>> import numpy as np
    >>> import lrplstm
    >>> from lrplstm.layers import Step
    >>> layers = [lrplstm.DenseLayer(np.eye(2)), Step(0)]
    >>> model = lrplstm.Model(layers)
    >>> model.predict(np.arange(6.0).reshape(3, 2)).tolist()
    [0.0, 1.0]
    """

    kind: ClassVar[str] = "step"
    index: int

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set(index=to_whole("index", self.index))

    def form(self, inputs: Sequence[Form]) -> Form:
        """Return what its output is."""
        size, _ = self.of_steps(inputs)
        return Form(size, None)

    def lengths(self, lengths: tuple[Array, ...]) -> Array:
        """Return one for each sequence that has the step."""
        needed = self.index + 1 if self.index >= 0 else -self.index
        check_lengths(lengths[0], lengths[0] >= needed, f"at least {needed}")
        return np.ones_like(lengths[0])

    def rows(self, offsets: Array) -> Array:
        """Return which rows it picks."""
        return (offsets[:-1] if self.index >= 0 else offsets[1:]) + self.index


@register
@dataclass(frozen=True, eq=False, repr=False)
class Steps(_Picked):
    """A range of steps, such as Python's ``x[start:stop:stride]``.

    A sequence that has fewer steps than that asks for is refused.

    Parameters
    ----------
    start : int
        The first of them; negative ones count from the end.
    stop : int, optional
        The one after the last. Default: the end.
    stride : int
        Every so many-th step is picked.
    name : str, optional
        By which others read it.
    reads : sequence of str, optional
        Names of the layers that it reads. Default: the one before it.

    Examples
    --------
    >>> import numpy as np
    >>> import lrplstm
    >>> from lrplstm.layers import Pool, Steps
    >>> layers = [lrplstm.DenseLayer(np.eye(2)), Steps(1), Pool("sum")]
    >>> model = lrplstm.Model(layers)
    >>> model.predict(np.arange(6.0).reshape(3, 2)).tolist()
    [6.0, 8.0]
    """

    kind: ClassVar[str] = "steps"
    start: int = 0
    stop: int | None = None
    stride: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set(start=to_whole("start", self.start), stride=to_int("stride", self.stride, 1))
        if self.stop is None:
            return
        self._set(stop=to_whole("stop", self.stop))
        if self.start < 0 <= self.stop:
            raise ValueError("stop: expected it to count from the end, as start does")
        if self._from_one_end and self.stop <= self.start:
            raise ValueError(f"stop: expected more than start, {self.start}, got {self.stop}")

    @property
    def _from_one_end(self) -> bool:
        """Whether it always has as many steps: both ends of it count from the same one."""
        return (self.start < 0) == (self.stop is None or self.stop < 0)

    @property
    def _fewer(self) -> int:
        """By how many its range is shorter than a sequence, or longer than nothing."""
        return self.start - (self.stop or 0)

    def form(self, inputs: Sequence[Form]) -> Form:
        """Return what its output is."""
        size, axis = self.of_steps(inputs)
        round_up = self.stride - 1
        if self._from_one_end:
            return Form(size, Axis.of_length((round_up - self._fewer) // self.stride))
        return Form(size, axis.then(round_up - self._fewer, self.stride))

    def lengths(self, lengths: tuple[Array, ...]) -> Array:
        """Return how many steps of each sequence it picks."""
        ends = (self.start, self.stop or 0)
        needed = max(map(abs, ends)) if self._from_one_end else self._fewer + 1
        check_lengths(lengths[0], lengths[0] >= needed, f"at least {needed}")
        whole = np.zeros_like(lengths[0]) if self._from_one_end else lengths[0]
        return (whole - self._fewer + self.stride - 1) // self.stride

    def rows(self, offsets: Array) -> Array:
        """Return which rows it picks."""
        counts = self.lengths((np.diff(offsets),))
        own = to_offsets(counts)
        first = (offsets[:-1] if self.start >= 0 else offsets[1:]) + self.start
        return np.repeat(first, counts) + self.stride * (
            np.arange(own[-1]) - np.repeat(own[:-1], counts)
        )


@register
@dataclass(frozen=True, eq=False, repr=False)
class Reverse(_Picked):
    """All steps, from the last to the first.

    Parameters
    ----------
    name : str, optional
        By which others read it.
    reads : sequence of str, optional
        Names of the layers that it reads. Default: the one before it.

    Examples
    --------
    >>> import numpy as np
    >>> import lrplstm
    >>> from lrplstm.layers import Pool, Reverse
    >>> layers = [lrplstm.DenseLayer(np.eye(2)), Reverse(), Pool("last")]
    >>> model = lrplstm.Model(layers)
    >>> model.predict(np.arange(6.0).reshape(3, 2)).tolist()
    [0.0, 1.0]
    """

    kind: ClassVar[str] = "reverse"

    def form(self, inputs: Sequence[Form]) -> Form:
        """Return what its output is."""
        return Form(*self.of_steps(inputs))

    def rows(self, offsets: Array) -> Array:
        """Return which rows it picks."""
        return np.repeat(offsets[:-1] + offsets[1:] - 1, np.diff(offsets)) - np.arange(offsets[-1])


@register
@dataclass(frozen=True, eq=False, repr=False)
class Repeat(Layer):
    """A row of each sequence at several steps, such as static features beside a series.

    Parameters
    ----------
    count : int, optional
        At so many. Default: at each step of a second layer that it reads, and of which it takes
        nothing else.
    name : str, optional
        By which others read it.
    reads : sequence of str, optional
        Names of the layers that it reads. Default: the one before it.

    Examples
    --------
    >>> import numpy as np
    >>> import lrplstm
    >>> from lrplstm.layers import Pool, Repeat
    >>> layers = [lrplstm.DenseLayer(np.eye(2)), Pool("last"), Repeat(3), Pool("sum")]
    >>> model = lrplstm.Model(layers)
    >>> model.predict(np.arange(2.0).reshape(1, 2)).tolist()
    [0.0, 3.0]
    """

    kind: ClassVar[str] = "repeat"
    count: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.count is not None:
            self._set(count=to_int("count", self.count, 1, MOST_STEPS))

    def form(self, inputs: Sequence[Form]) -> Form:
        """Return what its output is."""
        expected = 2 if self.count is None else 1
        if len(inputs) != expected:
            raise ValueError(f"expected to read {expected} layers, got {len(inputs)}")
        if inputs[0].axis is not None:
            raise ValueError("expected to read one row a sequence first, got steps")
        if self.count is not None:
            return Form(inputs[0].size, Axis.of_length(self.count))
        if inputs[1].axis is None:
            raise ValueError("expected to read steps second, got one row a sequence")
        return Form(inputs[0].size, inputs[1].axis)

    def lengths(self, lengths: tuple[Array, ...]) -> Array:
        """Return at how many steps of each sequence it stands."""
        return lengths[1] if self.count is None else np.full_like(lengths[0], self.count)

    def forward(self, inputs: tuple[Array, ...], offsets: tuple[Array, ...]) -> Array:
        """Return the output; see `Operation`."""
        return np.repeat(inputs[0], self.lengths(tuple(map(np.diff, offsets))), axis=0)

    def relevance(
        self, past: Pass, relevance: Array, rule: EpsilonRule, product_rule: str
    ) -> tuple[Array | None, ...]:
        """Return the relevance of each input; see `Operation`."""
        return self.gradient(past, relevance)

    def gradient(self, past: Pass, gradient: Array) -> tuple[Array | None, ...]:
        """Return the gradient of each input; see `Operation`."""
        of_row = np.add.reduceat(gradient, past.output_offsets[:-1], axis=1)
        return (of_row, None)[: len(past.inputs)]

    def decompose(self, past: Pass, relevant: tuple[Array, ...], copies: Copies) -> Array:
        """Return the relevant part of the output; see `Operation`."""
        return self.forward(relevant, tuple(map(copies.offsets_like, past.offsets)))
