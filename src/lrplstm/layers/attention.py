"""Attention: sums of values whose weights are a softmax of scores.

The weights are a gate: relevance goes through the sum alone, by the epsilon rule with these
weights, without bias, N = T * K with K the width of the values (of a head), as for a mean over
steps. What scores are made of gets nothing; gradients go through the scores as well.

Source: Ali et al. 2022 (arXiv 2202.07304), who hold the weights constant.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import ClassVar, NamedTuple

import numpy as np

from lrplstm.checks import check_choice, to_flag, to_int, to_number
from lrplstm.layers.base import Form, Layer, Pass, register
from lrplstm.rules import EpsilonRule, through_weighted_sum
from lrplstm.texts import shown
from lrplstm.weights import Array, frozen

__all__ = ["AdditiveAttention", "DotProductAttention", "Softmax", "WeightedSum"]


def softmax(scores: Array, axis: int) -> Array:
    """Return weights that are positive and add up to one along an axis."""
    exponentials = np.exp(scores - scores.max(axis=axis, keepdims=True))
    return exponentials / exponentials.sum(axis=axis, keepdims=True)


def softmax_gradient(weights: Array, gradient: Array, axis: int) -> Array:
    """Return the gradient of the scores, given that of the weights."""
    return weights * (gradient - (weights * gradient).sum(axis=axis, keepdims=True))


def softmax_of_steps(scores: Array, offsets: Array) -> Array:
    """Return the softmax over the steps of each sequence, of each column of (n, heads)."""
    lengths = np.diff(offsets)
    largest = np.maximum.reduceat(scores, offsets[:-1], axis=0)
    exponentials = np.exp(scores - np.repeat(largest, lengths, axis=0))
    total = np.add.reduceat(exponentials, offsets[:-1], axis=0)
    weights: Array = exponentials / np.repeat(total, lengths, axis=0)
    return weights


def softmax_of_steps_gradient(weights: Array, gradient: Array, offsets: Array) -> Array:
    """Return the gradient of the scores, (K, n, heads), given that of the weights."""
    mean = np.add.reduceat(weights * gradient, offsets[:-1], axis=1)
    centered: Array = weights * (gradient - np.repeat(mean, np.diff(offsets), axis=1))
    return centered


@register
@dataclass(frozen=True, eq=False, repr=False)
class Softmax(Layer):
    """Positive weights that add up to one: of the units of each row, or of the steps of a sequence.

    They are gates, which get no relevance: it reads scores, and a `Multiply` with
    ``product_rule="all"`` reads it. Where something else hands it relevance, it refuses.

    Parameters
    ----------
    over : {"units", "steps"}
        What adds up to one.
    name : str, optional
        By which others read it.
    reads : sequence of str, optional
        Names of the layers that it reads. Default: the one before it.

    Examples
    --------
    >>> import numpy as np
    >>> import lrplstm
    >>> from lrplstm.layers import Softmax, Step
    >>> layers = [lrplstm.DenseLayer(np.eye(2)), Softmax(), Step(0)]
    >>> model = lrplstm.Model(layers)
    >>> model.predict(np.ones((1, 2))).tolist()
    [0.5, 0.5]
    """

    kind: ClassVar[str] = "softmax"
    over: str = "units"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("over", self.over, ("units", "steps"))

    def form(self, inputs: Sequence[Form]) -> Form:
        """Return what its output is."""
        return Form(*self.of_steps(inputs)) if self.over == "steps" else super().form(inputs)

    def forward(self, inputs: tuple[Array, ...], offsets: tuple[Array, ...]) -> Array:
        """Return the output; see `Operation`."""
        if self.over == "units":
            return softmax(inputs[0], axis=1)
        return softmax_of_steps(inputs[0], offsets[0])

    def relevance(
        self, past: Pass, relevance: Array, rule: EpsilonRule, product_rule: str
    ) -> tuple[Array | None, ...]:
        """Return none, or raise a ValueError if there is some."""
        if relevance.any():
            raise ValueError(
                f"method: lrp is not defined for the layer {shown(self.name)} (softmax) where its "
                "output is more than weights of a product; choose another method"
            )
        return (None,)

    def gradient(self, past: Pass, gradient: Array) -> tuple[Array, ...]:
        """Return the gradient of the input; see `Operation`."""
        if self.over == "units":
            return (softmax_gradient(past.output, gradient, axis=-1),)
        return (softmax_of_steps_gradient(past.output, gradient, past.offsets[0]),)


@register
@dataclass(frozen=True, eq=False, repr=False)
class WeightedSum(Layer):
    """The sum of all steps of a sequence, each with a weight that a softmax makes of its score.

    It reads values and scores, both of the same steps, and gives one row a sequence. There is one
    score for each step; or several, one for each head, which then weigh equal parts of the values.

    Parameters
    ----------
    name : str, optional
        By which others read it.
    reads : sequence of str, optional
        Names of two layers: the values, then the scores.

    Examples
    --------
    Attention with a learned vector over the states of an LSTM.

    >>> import numpy as np
    >>> import lrplstm
    >>> from lrplstm.layers import LSTM, WeightedSum
    >>> rng = np.random.default_rng(0)
    >>> lstm = lrplstm.LSTMWeights(*(rng.normal(0, 0.3, s) for s in [(8, 3), (8, 2), (8,)]))
    >>> model = lrplstm.Model(
    ...     [
    ...         LSTM(lstm, name="states"),
    ...         lrplstm.DenseLayer(rng.normal(size=(1, 2)), activation="tanh", name="scores"),
    ...         WeightedSum(reads=["states", "scores"]),
    ...     ]
    ... )
    >>> model.predict(rng.normal(size=(6, 3))).shape
    (2,)
    """

    kind: ClassVar[str] = "weighted_sum"

    def form(self, inputs: Sequence[Form]) -> Form:
        """Return what its output is."""
        if len(inputs) != 2:
            raise ValueError(f"expected to read values and scores, got {len(inputs)} layers")
        values, scores = inputs
        if values.axis is None or values.axis != scores.axis:
            raise ValueError(
                "expected values and scores of the same steps, got "
                f"{values.axis or 'one row a sequence'} and {scores.axis or 'one row a sequence'}"
            )
        if values.size % scores.size:
            raise ValueError(
                f"expected a number of scores that divides {values.size} values, got {scores.size}"
            )
        return Form(values.size, None)

    def _heads(self, values: Array, scores: Array) -> Array:
        """Return values with an axis for the heads, (n, heads, K)."""
        return values.reshape(len(values), scores.shape[1], -1)

    def forward(self, inputs: tuple[Array, ...], offsets: tuple[Array, ...]) -> Array:
        """Return the output; see `Operation`."""
        values, scores = inputs
        weighed = (
            self._heads(values, scores) * softmax_of_steps(scores, offsets[0])[..., np.newaxis]
        )
        return np.add.reduceat(weighed.reshape(values.shape), offsets[0][:-1], axis=0)

    def relevance(
        self, past: Pass, relevance: Array, rule: EpsilonRule, product_rule: str
    ) -> tuple[Array | None, ...]:
        """Return the relevance of the values; scores get none."""
        (values, scores), z, (offsets, _), _ = past
        lengths, heads = np.diff(offsets), scores.shape[1]
        weighed = self._heads(values, scores) * softmax_of_steps(scores, offsets)[..., np.newaxis]
        z = z.reshape(len(z), heads, -1)
        q = rule.quotient(z, relevance.reshape(-1, *z.shape))
        units = (lengths * z.shape[2]).astype(z.dtype)[:, np.newaxis]
        share = rule.share(q, z, 0.0, units)[..., np.newaxis]
        of_steps = weighed * np.repeat(q, lengths, axis=1) + np.repeat(share, lengths, axis=1)
        return of_steps.reshape(len(relevance), *values.shape), None

    def gradient(self, past: Pass, gradient: Array) -> tuple[Array, ...]:
        """Return the gradient of values and scores; see `Operation`."""
        (values, scores), _, (offsets, _), _ = past
        lengths = np.diff(offsets)
        weights, y = softmax_of_steps(scores, offsets), self._heads(values, scores)
        g = np.repeat(gradient, lengths, axis=1).reshape(-1, *y.shape)
        of_scores = softmax_of_steps_gradient(weights, (g * y).sum(axis=-1), offsets)
        of_values = (g * weights[..., np.newaxis]).reshape(len(gradient), *values.shape)
        return of_values, of_scores


# Queries ----------------------------------------------------------------------------------------


_MOST_SCORES = 2**22
"""Scores that are in memory at once, for each target: of so many queries of a long sequence."""


class _Block(NamedTuple):
    """Some queries of one sequence, and all its keys and values, by head: (heads, rows, K) each.

    `first` is the number of the first query; `of_queries` and `of_keys` are their rows.
    """

    queries: Array
    keys: Array
    values: Array
    first: int
    of_queries: slice
    of_keys: slice


class _Attention(Layer):
    """Queries that weigh values by the scores of their keys.

    It reads queries, keys and values; the last two have the same steps. Its output has a row for
    each query.
    """

    heads: int
    causal: bool

    def form(self, inputs: Sequence[Form]) -> Form:
        """Return what its output is."""
        if len(inputs) != 3:
            raise ValueError(f"expected to read queries, keys and values, got {len(inputs)} layers")
        queries, keys, values = inputs
        if keys.axis is None or keys.axis != values.axis:
            raise ValueError("expected keys and values of the same steps")
        if queries.size != keys.size:
            raise ValueError(
                f"expected queries and keys of one size, got {queries.size} and {keys.size}"
            )
        for one in inputs:
            if one.size % self.heads:
                raise ValueError(f"heads: expected a divisor of {one.size}, got {self.heads}")
        if self.causal and queries.axis != keys.axis:
            raise ValueError("causal: expected queries and keys of the same steps")
        return Form(values.size, queries.axis)

    def _blocks(self, inputs: tuple[Array, ...], offsets: tuple[Array, ...]) -> Iterator[_Block]:
        """Yield the queries of each sequence, so many at once that their scores fit in memory."""
        queries, keys, values = inputs
        both = zip(pairwise(offsets[0]), pairwise(offsets[1]), strict=True)
        for (start, stop), (begin, end) in both:
            of_keys = slice(begin, end)
            split = self._split(keys[of_keys]), self._split(values[of_keys])
            count = max(1, _MOST_SCORES // ((end - begin) * self._numbers(keys.shape[1])))
            for first in range(start, stop, count):
                rows = slice(first, min(first + count, stop))
                yield _Block(self._split(queries[rows]), *split, first - start, rows, of_keys)

    def _numbers(self, size: int) -> int:
        """Return how many numbers the score of a key takes, of keys of this size."""
        return self.heads

    def _split(self, x: Array) -> Array:
        """Return (..., rows, heads * K) as (..., heads, rows, K)."""
        return np.swapaxes(x.reshape(*x.shape[:-1], self.heads, -1), -2, -3)

    def _join(self, x: Array) -> Array:
        """Return the opposite of `_split`."""
        swapped = np.swapaxes(x, -2, -3)
        return swapped.reshape(*swapped.shape[:-2], -1)

    def _scores(self, block: _Block) -> Array:
        """Return the score of each key for each query, (heads, queries, keys)."""
        raise NotImplementedError

    def _scores_gradient(self, block: _Block, gradient: Array) -> tuple[Array, Array]:
        """Return the gradient of queries and keys, (K, heads, rows, K), given that of scores."""
        raise NotImplementedError

    def _weights(self, block: _Block) -> Array:
        scores = self._scores(block)
        return softmax(np.where(self._seen(block), scores, -np.inf).astype(scores.dtype), axis=-1)

    def _seen(self, block: _Block) -> Array:
        """Return 1 for each key that a query sees, (queries, keys), else 0."""
        seen = np.ones((block.queries.shape[1], block.keys.shape[1]), block.keys.dtype)
        return np.tril(seen, block.first) if self.causal else seen

    def forward(self, inputs: tuple[Array, ...], offsets: tuple[Array, ...]) -> Array:
        """Return the output; see `Operation`."""
        output = np.empty((len(inputs[0]), inputs[2].shape[1]), inputs[2].dtype)
        for block in self._blocks(inputs, offsets):
            output[block.of_queries] = self._join(self._weights(block) @ block.values)
        return output

    def relevance(
        self, past: Pass, relevance: Array, rule: EpsilonRule, product_rule: str
    ) -> tuple[Array | None, ...]:
        """Return the relevance of the values; queries and keys get none."""
        of_values = np.zeros((len(relevance), *past.inputs[2].shape), relevance.dtype)
        for block in self._blocks(past.inputs, past.offsets):
            z, R = past.output[block.of_queries], relevance[:, block.of_queries]
            of_values[:, block.of_keys] += self._join(
                through_weighted_sum(
                    rule,
                    self._weights(block),
                    self._seen(block),
                    block.values,
                    self._split(z),
                    self._split(R),
                )
            )
        return None, None, of_values

    def gradient(self, past: Pass, gradient: Array) -> tuple[Array, ...]:
        """Return the gradient of queries, keys and values; see `Operation`."""
        of_all = tuple(np.zeros((len(gradient), *x.shape), gradient.dtype) for x in past.inputs)
        for block in self._blocks(past.inputs, past.offsets):
            weights, g = self._weights(block), self._split(gradient[:, block.of_queries])
            of_scores = softmax_gradient(weights, g @ np.swapaxes(block.values, -1, -2), axis=-1)
            of_queries, of_keys = self._scores_gradient(block, of_scores)
            of_values = np.swapaxes(weights, -1, -2) @ g
            of_all[0][:, block.of_queries] = self._join(of_queries)
            of_all[1][:, block.of_keys] += self._join(of_keys)
            of_all[2][:, block.of_keys] += self._join(of_values)
        return of_all


@register
@dataclass(frozen=True, eq=False, repr=False)
class DotProductAttention(_Attention):
    """Attention whose scores are products of queries and keys: softmax(scale Q K^T) V.

    It reads queries, keys and values, and gives a row for each query: with queries of one row a
    sequence, such as a final state, one row a sequence; with those of the same steps it is
    self-attention. With dense layers around it, which project in and out, it is multi-head
    attention.

    Parameters
    ----------
    heads : int
        Into so many equal parts queries, keys and values are divided, each of which has weights of
        its own.
    scale : float, optional
        Default: 1 / sqrt(K) with K the width of a head's keys. Keras' ``Attention`` has 1, or what
        it learned.
    causal : bool
        Whether a query sees no keys behind its own step.
    name : str, optional
        By which others read it.
    reads : sequence of str, optional
        Names of three layers: queries, keys and values.

    Notes
    -----
    Vaswani et al. 2017 (arXiv 1706.03762).

    Examples
    --------
    Self-attention of steps of two numbers:

    >>> import numpy as np
    >>> import lrplstm
    >>> from lrplstm.layers import DotProductAttention, Pool
    >>> states = lrplstm.DenseLayer(np.eye(2), name="states")
    >>> attention = DotProductAttention(reads=["states"] * 3)
    >>> model = lrplstm.Model([states, attention, Pool("mean")])
    >>> model.predict(np.ones((5, 2))).tolist()
    [1.0, 1.0]
    """

    kind: ClassVar[str] = "dot_product_attention"
    heads: int = 1
    scale: float | None = None
    causal: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        scale = None if self.scale is None else to_number("scale", self.scale)
        self._set(heads=to_int("heads", self.heads, 1), scale=scale)
        self._set(causal=to_flag("causal", self.causal))

    def _factor(self, block: _Block) -> float:
        return 1 / math.sqrt(block.keys.shape[-1]) if self.scale is None else self.scale

    def _scores(self, block: _Block) -> Array:
        return self._factor(block) * (block.queries @ np.swapaxes(block.keys, -1, -2))

    def _scores_gradient(self, block: _Block, gradient: Array) -> tuple[Array, Array]:
        scaled = self._factor(block) * gradient
        return scaled @ block.keys, np.swapaxes(scaled, -1, -2) @ block.queries


@register
@dataclass(frozen=True, eq=False, repr=False)
class AdditiveAttention(_Attention):
    """Attention whose scores are a weighted sum of tanh(query + key): sum_k weight_k tanh(q + k)_k.

    It reads queries, keys and values, and gives a row for each query. With dense layers before
    queries and keys it is the attention of Bahdanau et al.

    Parameters
    ----------
    weight : array_like of shape (K,)
        Of each number of queries and keys: Keras' scale, ones if there is none.
    causal : bool
        Whether a query sees no keys behind its own step.
    name : str, optional
        By which others read it.
    reads : sequence of str, optional
        Names of three layers: queries, keys and values.

    Notes
    -----
    Bahdanau et al. 2015 (arXiv 1409.0473).

    Examples
    --------
    Self-attention of steps of two numbers:

    >>> import numpy as np
    >>> import lrplstm
    >>> from lrplstm.layers import AdditiveAttention, Pool
    >>> states = lrplstm.DenseLayer(np.eye(2), name="states")
    >>> attention = AdditiveAttention(np.ones(2), reads=["states"] * 3)
    >>> model = lrplstm.Model([states, attention, Pool("mean")])
    >>> model.predict(np.ones((5, 2))).tolist()
    [1.0, 1.0]
    """

    kind: ClassVar[str] = "additive_attention"
    weight: Array
    causal: bool = False
    heads: int = field(default=1, init=False)

    def __post_init__(self) -> None:
        self._set(weight=frozen("weight", self.weight, ("size",)))
        self._set(causal=to_flag("causal", self.causal))
        super().__post_init__()

    def form(self, inputs: Sequence[Form]) -> Form:
        """Return what its output is."""
        form = super().form(inputs)
        if inputs[1].size != len(self.weight):
            raise ValueError(f"expected keys of size {len(self.weight)}, got {inputs[1].size}")
        return form

    def _numbers(self, size: int) -> int:
        return size

    def _inner(self, block: _Block) -> Array:
        """Return tanh(query + key), (heads, queries, keys, K)."""
        return np.tanh(block.queries[..., :, np.newaxis, :] + block.keys[..., np.newaxis, :, :])

    def _scores(self, block: _Block) -> Array:
        return (self._inner(block) * self.weight).sum(axis=-1)

    def _scores_gradient(self, block: _Block, gradient: Array) -> tuple[Array, Array]:
        slope = (1 - self._inner(block) ** 2) * self.weight
        return (
            np.einsum("...qk,...qkc->...qc", gradient, slope),
            np.einsum("...qk,...qkc->...kc", gradient, slope),
        )
