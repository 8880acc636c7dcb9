"""Layers that read several others: sums, products, and rows or steps put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lrplstm.checks import check_choice
from lrplstm.copies import Copies
from lrplstm.layers.base import Axis, Form, Layer, Pass, StepsError, register
from lrplstm.rules import PRODUCT_RULES, EpsilonRule, through_sum
from lrplstm.sequences import to_offsets
from lrplstm.weights import Array

__all__ = ["Add", "Average", "Concatenate", "ConcatenateSteps", "Maximum", "Multiply", "Subtract"]


@register
@dataclass(frozen=True, eq=False, repr=False)
class Concatenate(Layer):
    """The outputs of several layers beside each other.

    Each gets back what its own numbers get.

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
    >>> dense = lrplstm.DenseLayer
    >>> model = lrplstm.Model(
    ...     [
    ...         dense(np.eye(2), name="a"),
    ...         dense(2 * np.eye(2), name="b", reads=["inputs"]),
    ...         lrplstm.layers.Concatenate(reads=["a", "b"]),
    ...         lrplstm.layers.Pool("last"),
    ...     ]
    ... )
    >>> model.predict(np.array([[1.0, 2.0]])).tolist()
    [1.0, 2.0, 2.0, 4.0]
    """

    kind: ClassVar[str] = "concatenate"

    def form(self, inputs: Sequence[Form]) -> Form:
        """Return what its output is."""
        _same_rows(inputs)
        return inputs[0]._replace(size=sum(one.size for one in inputs))

    def forward(self, inputs: tuple[Array, ...], offsets: tuple[Array, ...]) -> Array:
        """Return the output; see `Operation`."""
        return np.concatenate(inputs, axis=1)

    def relevance(
        self, past: Pass, relevance: Array, rule: EpsilonRule, product_rule: str
    ) -> tuple[Array, ...]:
        """Return the relevance of each input; see `Operation`."""
        return self.gradient(past, relevance)

    def gradient(self, past: Pass, gradient: Array) -> tuple[Array, ...]:
        """Return the gradient of each input; see `Operation`."""
        ends = np.cumsum([x.shape[1] for x in past.inputs])
        return tuple(np.ascontiguousarray(g) for g in np.split(gradient, ends[:-1], axis=-1))

    def decompose(self, past: Pass, relevant: tuple[Array, ...], copies: Copies) -> Array:
        """Return the relevant part of the output; see `Operation`."""
        return np.concatenate(relevant, axis=1)


@register
@dataclass(frozen=True, eq=False, repr=False)
class ConcatenateSteps(Layer):
    """The steps of several layers, or their rows as a step each, one after the other.

    Each gets back what its own steps get.

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
    >>> from lrplstm.layers import ConcatenateSteps, Step
    >>> dense = lrplstm.DenseLayer
    >>> first = dense(np.eye(2), name="a")
    >>> second = dense(2 * np.eye(2), name="b", reads=["inputs"])
    >>> model = lrplstm.Model([first, second, ConcatenateSteps(reads=["a", "b"]), Step(1)])
    >>> model.predict(np.array([[1.0, 2.0]])).tolist()
    [2.0, 4.0]
    """

    kind: ClassVar[str] = "concatenate_steps"

    def form(self, inputs: Sequence[Form]) -> Form:
        """Return what its output is."""
        size = _same_size(inputs)
        fixed = [1 if one.axis is None else one.axis.length for one in inputs]
        free = [one.axis for one, length in zip(inputs, fixed, strict=True) if length is None]
        known = sum(length or 0 for length in fixed)
        if not free:
            return Form(size, Axis.of_length(known))
        # Of several that have any number of steps, nothing else has as many as they have together.
        axis = free[0].then(known) if len(free) == 1 and free[0] else Axis(self.name)
        return Form(size, axis)

    def lengths(self, lengths: tuple[Array, ...]) -> Array:
        """Return how many steps of each sequence its output has."""
        return np.sum(lengths, axis=0)

    def forward(self, inputs: tuple[Array, ...], offsets: tuple[Array, ...]) -> Array:
        """Return the output; see `Operation`."""
        output = np.empty((sum(map(len, inputs)), inputs[0].shape[1]), inputs[0].dtype)
        for x, rows in zip(inputs, self._rows(offsets), strict=True):
            output[rows] = x
        return output

    def _rows(self, offsets: tuple[Array, ...]) -> list[Array]:
        """Return where the rows of each input are in the output."""
        lengths = tuple(map(np.diff, offsets))
        first, places = to_offsets(self.lengths(lengths))[:-1], []
        for begin, own in zip(offsets, lengths, strict=True):
            places.append(np.repeat(first - begin[:-1], own) + np.arange(begin[-1]))
            first = first + own
        return places

    def relevance(
        self, past: Pass, relevance: Array, rule: EpsilonRule, product_rule: str
    ) -> tuple[Array, ...]:
        """Return the relevance of each input; see `Operation`."""
        return self.gradient(past, relevance)

    def gradient(self, past: Pass, gradient: Array) -> tuple[Array, ...]:
        """Return the gradient of each input; see `Operation`."""
        return tuple(gradient[:, rows] for rows in self._rows(past.offsets))

    def decompose(self, past: Pass, relevant: tuple[Array, ...], copies: Copies) -> Array:
        """Return the relevant part of the output; see `Operation`."""
        return self.forward(relevant, tuple(map(copies.offsets_like, past.offsets)))


class _Sum(Layer):
    """A weighted sum of the outputs of several layers, unit by unit.

    Relevance goes through it by the epsilon rule, without bias; N is all that is added.
    """

    def weights(self, number: int) -> Sequence[float]:
        """Return the weight of each of so many outputs."""
        raise NotImplementedError

    def form(self, inputs: Sequence[Form]) -> Form:
        """Return what its output is."""
        _same_rows(inputs)
        return Form(_same_size(inputs), inputs[0].axis)

    def forward(self, inputs: tuple[Array, ...], offsets: tuple[Array, ...]) -> Array:
        """Return the output; see `Operation`."""
        first, *others = map(_times, self.weights(len(inputs)), inputs)
        for other in others:
            first = first + other
        return first

    def relevance(
        self, past: Pass, relevance: Array, rule: EpsilonRule, product_rule: str
    ) -> tuple[Array, ...]:
        """Return the relevance of each input; see `Operation`."""
        terms = tuple(map(_times, self.weights(len(past.inputs)), past.inputs))
        return through_sum(rule, terms, past.output, relevance)

    def gradient(self, past: Pass, gradient: Array) -> tuple[Array, ...]:
        """Return the gradient of each input; see `Operation`."""
        return tuple(_times(weight, gradient) for weight in self.weights(len(past.inputs)))

    def decompose(self, past: Pass, relevant: tuple[Array, ...], copies: Copies) -> Array:
        """Return the relevant part of the output; see `Operation`."""
        return self.forward(relevant, past.offsets)


def _times(weight: float, y: Array) -> Array:
    return y if weight == 1 else weight * y


@register
@dataclass(frozen=True, eq=False, repr=False)
class Add(_Sum):
    """The sum of the outputs of several layers, as of a connection that skips some.

    Relevance goes through it by the epsilon rule, with identity weights and without bias.

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
    >>> dense = lrplstm.DenseLayer
    >>> model = lrplstm.Model(
    ...     [
    ...         dense(np.eye(2), name="a"),
    ...         dense(2 * np.eye(2), name="b", reads=["inputs"]),
    ...         lrplstm.layers.Add(reads=["a", "b"]),
    ...         lrplstm.layers.Pool("last"),
    ...     ]
    ... )
    >>> model.predict(np.array([[1.0, 2.0]])).tolist()
    [3.0, 6.0]
    """

    kind: ClassVar[str] = "add"

    def weights(self, number: int) -> Sequence[float]:
        """Return the weight of each output."""
        return (1,) * number


@register
@dataclass(frozen=True, eq=False, repr=False)
class Subtract(_Sum):
    """The output of a layer without that of a second.

    Relevance goes through it by the epsilon rule, with weights 1 and -1 and without bias.

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
    >>> dense = lrplstm.DenseLayer
    >>> model = lrplstm.Model(
    ...     [
    ...         dense(np.eye(2), name="a"),
    ...         dense(2 * np.eye(2), name="b", reads=["inputs"]),
    ...         lrplstm.layers.Subtract(reads=["a", "b"]),
    ...         lrplstm.layers.Pool("last"),
    ...     ]
    ... )
    >>> model.predict(np.array([[1.0, 2.0]])).tolist()
    [-1.0, -2.0]
    """

    kind: ClassVar[str] = "subtract"

    def form(self, inputs: Sequence[Form]) -> Form:
        """Return what its output is."""
        _two(inputs)
        return super().form(inputs)

    def weights(self, number: int) -> Sequence[float]:
        """Return the weight of each output."""
        return (1, -1)


@register
@dataclass(frozen=True, eq=False, repr=False)
class Average(_Sum):
    """The mean of the outputs of several layers.

    Relevance goes through it by the epsilon rule, with weights 1/n and without bias.

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
    >>> dense = lrplstm.DenseLayer
    >>> model = lrplstm.Model(
    ...     [
    ...         dense(np.eye(2), name="a"),
    ...         dense(2 * np.eye(2), name="b", reads=["inputs"]),
    ...         lrplstm.layers.Average(reads=["a", "b"]),
    ...         lrplstm.layers.Pool("last"),
    ...     ]
    ... )
    >>> model.predict(np.array([[1.0, 2.0]])).tolist()
    [1.5, 3.0]
    """

    kind: ClassVar[str] = "average"

    def weights(self, number: int) -> Sequence[float]:
        """Return the weight of each output."""
        return (1 / number,) * number


@register
@dataclass(frozen=True, eq=False, repr=False)
class Maximum(Layer):
    """The largest of the outputs of several layers, unit by unit; the first that has it gets all.

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
    >>> dense = lrplstm.DenseLayer
    >>> model = lrplstm.Model(
    ...     [
    ...         dense(np.eye(2), name="a"),
    ...         dense(2 * np.eye(2), name="b", reads=["inputs"]),
    ...         lrplstm.layers.Maximum(reads=["a", "b"]),
    ...         lrplstm.layers.Pool("last"),
    ...     ]
    ... )
    >>> model.predict(np.array([[1.0, 2.0]])).tolist()
    [2.0, 4.0]
    """

    kind: ClassVar[str] = "maximum"

    def form(self, inputs: Sequence[Form]) -> Form:
        """Return what its output is."""
        _same_rows(inputs)
        return Form(_same_size(inputs), inputs[0].axis)

    def forward(self, inputs: tuple[Array, ...], offsets: tuple[Array, ...]) -> Array:
        """Return the output; see `Operation`."""
        return np.max(inputs, axis=0)

    def relevance(
        self, past: Pass, relevance: Array, rule: EpsilonRule, product_rule: str
    ) -> tuple[Array, ...]:
        """Return the relevance of each input; see `Operation`."""
        return self.gradient(past, relevance)

    def gradient(self, past: Pass, gradient: Array) -> tuple[Array, ...]:
        """Return the gradient of each input; see `Operation`."""
        winner = np.argmax(past.inputs, axis=0)
        return tuple(gradient * (winner == n) for n in range(len(past.inputs)))

    def decompose(self, past: Pass, relevant: tuple[Array, ...], copies: Copies) -> Array:
        """Return the relevant part of the output; see `Operation`."""
        winner = copies.take(np.argmax(past.inputs, axis=0), past.offsets[0])
        return np.take_along_axis(np.array(relevant), winner[np.newaxis], axis=0)[0]


@register
@dataclass(frozen=True, eq=False, repr=False)
class Multiply(Layer):
    """The product of the outputs of two layers, unit by unit, or of a single unit with all.

    Of two signals each gets half of the relevance. Of a gate and a signal the product rule decides
    (Arras et al. 2019, arXiv 1904.11829, section 2).

    Parameters
    ----------
    gate : {0, 1}, optional
        Which of the two is a gate, what a sigmoid, a softmax or a mask gives. Default: none.
    product_rule : str, optional
        The rule of this product, whatever is asked for: "all" where the gate is a softmax or a
        mask, so that it never gets any. Default: the one that is asked for.
    name : str, optional
        By which others read it.
    reads : sequence of str, optional
        Names of the layers that it reads. Default: the one before it.

    Examples
    --------
    >>> import numpy as np
    >>> import lrplstm
    >>> dense = lrplstm.DenseLayer
    >>> model = lrplstm.Model(
    ...     [
    ...         dense(np.eye(2), name="a"),
    ...         dense(2 * np.eye(2), name="b", reads=["inputs"]),
    ...         lrplstm.layers.Multiply(reads=["a", "b"]),
    ...         lrplstm.layers.Pool("last"),
    ...     ]
    ... )
    >>> model.predict(np.array([[1.0, 2.0]])).tolist()
    [2.0, 8.0]
    """

    kind: ClassVar[str] = "multiply"
    gate: int | None = None
    product_rule: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.gate not in (None, 0, 1) or isinstance(self.gate, bool):
            raise ValueError(f"gate: expected 0, 1 or None, got {self.gate!r:.60}")
        if self.product_rule is not None:
            check_choice("product_rule", self.product_rule, PRODUCT_RULES)
            if self.gate is None:
                raise ValueError("product_rule: expected None where there is no gate")

    def form(self, inputs: Sequence[Form]) -> Form:
        """Return what its output is."""
        _two(inputs)
        _same_rows(inputs)
        if 1 not in (inputs[0].size, inputs[1].size):
            _same_size(inputs)
        return max(inputs, key=lambda one: one.size)

    def forward(self, inputs: tuple[Array, ...], offsets: tuple[Array, ...]) -> Array:
        """Return the output; see `Operation`."""
        return inputs[0] * inputs[1]

    def relevance(
        self, past: Pass, relevance: Array, rule: EpsilonRule, product_rule: str
    ) -> tuple[Array | None, ...]:
        """Return the relevance of each input; see `Operation`."""
        gate = self.gate or 0
        chosen = "half" if self.gate is None else self.product_rule or product_rule
        y = np.broadcast_arrays(*past.inputs)
        of_gate, of_signal = PRODUCT_RULES[chosen](rule, y[gate], y[1 - gate], relevance)
        both = (of_gate, of_signal) if gate == 0 else (of_signal, of_gate)
        return tuple(
            None if chosen == "all" and n == gate else _as_wide(R, x)
            for n, (R, x) in enumerate(zip(both, past.inputs, strict=True))
        )

    def gradient(self, past: Pass, gradient: Array) -> tuple[Array, ...]:
        """Return the gradient of each input; see `Operation`."""
        first, second = past.inputs
        return _as_wide(gradient * second, first), _as_wide(gradient * first, second)

    def decompose(self, past: Pass, relevant: tuple[Array, ...], copies: Copies) -> Array:
        """Return the relevant part of the output; see `Operation`.

        With r and s relevant in y and z it is what adding both changes, the mean of first and last
        of all: (r s + y z - (y - r) (z - s)) / 2 = (r z + y s) / 2.
        """
        y, z = map(copies.take, past.inputs, past.offsets)
        r, s = relevant
        return (r * z + y * s) / 2


def _as_wide(values: Array, x: Array) -> Array:
    """Return values of units, added up where all are of the one unit of x."""
    wide = values.shape[-1] > x.shape[-1]
    return values.sum(axis=-1, keepdims=True) if wide else values


def _two(inputs: Sequence[Form]) -> None:
    if len(inputs) != 2:
        raise ValueError(f"expected to read two layers, got {len(inputs)}")


def _same_size(inputs: Sequence[Form]) -> int:
    sizes = [one.size for one in inputs]
    if len(set(sizes)) > 1:
        raise ValueError(f"expected outputs of one size, got {', '.join(map(str, sizes))}")
    return sizes[0]


def _same_rows(inputs: Sequence[Form]) -> None:
    if len({one.steps for one in inputs}) > 1:
        raise ValueError(
            "expected to read either steps or rows of sequences, got both; Repeat puts a row at "
            "each step"
        )
    axes = list(dict.fromkeys(one.axis for one in inputs if one.axis is not None))
    if len(axes) > 1:
        text = f"expected to read the same steps, got {axes[0]} and {axes[1]}"
        raise StepsError(text, (axes[0], axes[1]))
