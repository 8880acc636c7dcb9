"""Layers that put the numbers which they read in another shape, or some of them.

Each number's relevance is handed to where it came from.
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
from lrplstm.weights import Array

__all__ = ["Flatten", "Permute", "Reshape", "Units"]


class _Moved(Layer):
    """The numbers that it reads, or some of them, each where it is moved to."""

    def move(self, numbers: Array, B: int) -> Array:
        """Return the rows of the output, given those it reads of B sequences, (n, size)."""
        raise NotImplementedError

    def move_back(self, numbers: Array, B: int, shape: tuple[int, ...]) -> Array:
        """Return the rows that it reads, of this shape, given those of the output, (K, n, size)."""
        raise NotImplementedError

    def forward(self, inputs: tuple[Array, ...], offsets: tuple[Array, ...]) -> Array:
        """Return the output; see `Operation`."""
        return self.move(inputs[0], len(offsets[0]) - 1)

    def relevance(
        self, past: Pass, relevance: Array, rule: EpsilonRule, product_rule: str
    ) -> tuple[Array, ...]:
        """Return the relevance of each input; see `Operation`."""
        return self.gradient(past, relevance)

    def gradient(self, past: Pass, gradient: Array) -> tuple[Array, ...]:
        """Return the gradient of each input; see `Operation`."""
        shape = (len(gradient), *past.inputs[0].shape)
        return (self.move_back(gradient, len(past.offsets[0]) - 1, shape),)

    def decompose(self, past: Pass, relevant: tuple[Array, ...], copies: Copies) -> Array:
        """Return the relevant part of the output; see `Operation`."""
        return self.move(relevant[0], len(copies.owner))


@register
@dataclass(frozen=True, eq=False, repr=False)
class Units(_Moved):
    """A range of the units of each row, such as Python's ``x[:, start:stop]``.

    Parameters
    ----------
    start : int
        The first of them; negative ones count from the end.
    stop : int, optional
        The one after the last. Default: the end.
    name : str, optional
        By which others read it.
    reads : sequence of str, optional
        Names of the layers that it reads. Default: the one before it.

    Examples
    --------
    >>> import numpy as np
    >>> import lrplstm
    >>> from lrplstm.layers import Pool, Units
    >>> layers = [lrplstm.DenseLayer(np.eye(2)), Units(1), Pool("last")]
    >>> model = lrplstm.Model(layers)
    >>> model.predict(np.arange(2.0).reshape(1, 2)).tolist()
    [1.0]
    """

    kind: ClassVar[str] = "units"
    start: int = 0
    stop: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set(start=to_whole("start", self.start))
        if self.stop is not None:
            self._set(stop=to_whole("stop", self.stop))

    def form(self, inputs: Sequence[Form]) -> Form:
        """Return what its output is."""
        size, axis = self.only(inputs)
        stop = size if self.stop is None else self.stop
        first, last = (n + size if n < 0 else n for n in (self.start, stop))
        if not 0 <= first < last <= size:
            raise ValueError(f"expected units among 0 to {size}, got {self.start} to {stop}")
        return Form(last - first, axis)

    def move(self, numbers: Array, B: int) -> Array:
        """Return the rows of the output."""
        return np.ascontiguousarray(numbers[:, self.start : self.stop])

    def move_back(self, numbers: Array, B: int, shape: tuple[int, ...]) -> Array:
        """Return the rows that it reads: zeros where nothing was picked."""
        whole = np.zeros(shape, numbers.dtype)
        whole[..., self.start : self.stop] = numbers
        return whole


class _OfLength(_Moved):
    """What takes sequences of one length alone, or one row of each."""

    length: int | None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.length is not None:
            self._set(length=to_int("length", self.length, 1))

    def of_length(self, inputs: Sequence[Form]) -> tuple[int, int]:
        """Return what it reads of a sequence.

        Parameters
        ----------
        inputs : sequence of Form
            Of what it reads.

        Returns
        -------
        tuple of int
            How many steps, and how many units a step has.
        """
        size, axis = self.only(inputs)
        known = 1 if axis is None else axis.length
        if known is None and self.length is None:
            raise ValueError(f"length: expected the number of steps that it reads, of {axis}")
        if None not in (known, self.length) and known != self.length:
            raise ValueError(f"length: expected {known}, got {self.length}")
        return known or self.length or 1, size

    def lengths(self, lengths: tuple[Array, ...]) -> Array:
        """Return how many steps it reads of each sequence, or raise an error of another number."""
        if self.length is not None:
            check_lengths(lengths[0], lengths[0] == self.length, str(self.length))
        return lengths[0]


@register
@dataclass(frozen=True, eq=False, repr=False)
class Flatten(_OfLength):
    """The units of all steps beside each other, in one row.

    Parameters
    ----------
    length : int, optional
        How many steps a sequence has; one of another length is refused. Default: as many as the
        layer that it reads always gives.
    name : str, optional
        By which others read it.
    reads : sequence of str, optional
        Names of the layers that it reads. Default: the one before it.

    Examples
    --------
    >>> import numpy as np
    >>> import lrplstm
    >>> from lrplstm.layers import Flatten
    >>> layers = [lrplstm.DenseLayer(np.eye(2)), Flatten(2)]
    >>> model = lrplstm.Model(layers)
    >>> model.predict(np.arange(4.0).reshape(2, 2)).tolist()
    [0.0, 1.0, 2.0, 3.0]
    """

    kind: ClassVar[str] = "flatten"
    length: int | None = None

    def form(self, inputs: Sequence[Form]) -> Form:
        """Return what its output is."""
        length, size = self.of_length(inputs)
        return Form(length * size, None)

    def move(self, numbers: Array, B: int) -> Array:
        """Return the rows of the output."""
        return numbers.reshape(B, -1)

    def move_back(self, numbers: Array, B: int, shape: tuple[int, ...]) -> Array:
        """Return the rows that it reads."""
        return numbers.reshape(shape)


@register
@dataclass(frozen=True, eq=False, repr=False)
class Reshape(_OfLength):
    """The units of all steps, or of a row, in order, in steps of another width.

    Parameters
    ----------
    size : int
        Units of each of its steps.
    length : int, optional
        As of `Flatten`.
    name : str, optional
        By which others read it.
    reads : sequence of str, optional
        Names of the layers that it reads. Default: the one before it.

    Examples
    --------
    >>> import numpy as np
    >>> import lrplstm
    >>> from lrplstm.layers import Pool, Reshape
    >>> layers = [lrplstm.DenseLayer(np.eye(2)), Reshape(4, length=2), Pool("last")]
    >>> model = lrplstm.Model(layers)
    >>> model.predict(np.arange(4.0).reshape(2, 2)).tolist()
    [0.0, 1.0, 2.0, 3.0]
    """

    kind: ClassVar[str] = "reshape"
    size: int
    length: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set(size=to_int("size", self.size, 1))

    def form(self, inputs: Sequence[Form]) -> Form:
        """Return what its output is."""
        length, size = self.of_length(inputs)
        if length * size % self.size:
            raise ValueError(f"size: expected a part of {length} times {size}, got {self.size}")
        return Form(self.size, Axis.of_length(length * size // self.size))

    def move(self, numbers: Array, B: int) -> Array:
        """Return the rows of the output."""
        return numbers.reshape(-1, self.size)

    def move_back(self, numbers: Array, B: int, shape: tuple[int, ...]) -> Array:
        """Return the rows that it reads."""
        return numbers.reshape(shape)


@register
@dataclass(frozen=True, eq=False, repr=False)
class Permute(_OfLength):
    """Units as steps, and steps as units.

    Parameters
    ----------
    length : int, optional
        As of `Flatten`.
    name : str, optional
        By which others read it.
    reads : sequence of str, optional
        Names of the layers that it reads. Default: the one before it.

    Examples
    --------
    >>> import numpy as np
    >>> import lrplstm
    >>> from lrplstm.layers import Permute, Pool
    >>> layers = [lrplstm.DenseLayer(np.eye(2)), Permute(3), Pool("last")]
    >>> model = lrplstm.Model(layers)
    >>> model.predict(np.arange(6.0).reshape(3, 2)).tolist()
    [1.0, 3.0, 5.0]
    """

    kind: ClassVar[str] = "permute"
    length: int | None = None

    def form(self, inputs: Sequence[Form]) -> Form:
        """Return what its output is."""
        length, size = self.of_length(inputs)
        return Form(length, Axis.of_length(size))

    def move(self, numbers: Array, B: int) -> Array:
        """Return the rows of the output."""
        n, size = numbers.shape
        steps = numbers.reshape(B, n // B, size)
        return np.ascontiguousarray(steps.swapaxes(1, 2)).reshape(B * size, n // B)

    def move_back(self, numbers: Array, B: int, shape: tuple[int, ...]) -> Array:
        """Return the rows that it reads."""
        K, n, size = shape
        steps = numbers.reshape(K, B, size, n // B)
        return np.ascontiguousarray(steps.swapaxes(2, 3)).reshape(shape)
