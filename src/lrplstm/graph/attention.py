"""Operators that multiply what depends on the input with what depends on it too: attention.

A softmax over steps gives weights, which a product and a sum, or a matrix product, turn into a
`WeightedSum`. Products of queries and keys that both have steps are `Scores`, which no layer gives:
they are followed to the softmax and the product with the values, and become one layer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from lrplstm.graph.layouts import apart
from lrplstm.graph.linear import compute, matmul, of_two
from lrplstm.graph.operators import Call, Unreadable, Value, operator
from lrplstm.graph.parts import Signal
from lrplstm.graph.tracing import SEQUENCE, SIGNAL, STEP, UNIT, Traced
from lrplstm.layers import (
    AdditiveAttention,
    DenseLayer,
    DotProductAttention,
    Layer,
    Multiply,
    WeightedSum,
)
from lrplstm.loaders.refusals import RefusedError
from lrplstm.weights import Array

__all__ = ["Scores", "on_scores"]


@dataclass(frozen=True)
class Scores(Unreadable):
    """Products of queries and keys, (..., queries, keys); or weights, the softmax of these.

    Attributes
    ----------
    queries, keys : Traced
        Of shape (..., queries, size) and (..., keys, size).
    scale : float
    causal : bool
        Whether queries see no keys behind their own step.
    weights : bool
    additive : ndarray of shape (size,), optional
        What weighs each unit of tanh(query + key), where scores are sums of these, no products.
    """

    queries: Traced
    keys: Traced
    scale: float = 1.0
    causal: bool = False
    weights: bool = False
    additive: Array | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return (*self.queries.shape[:-1], self.keys.shape[-2])


# Weights of steps -------------------------------------------------------------------------------


def _weights(call: Call, value: Traced) -> Signal | None:
    """Return the signal of weights of steps that a tensor is, if it is one."""
    signal = call.network.only_signal(value)
    return signal if signal is not None and signal.over_steps else None


@operator("Mul")
def _multiply(call: Call) -> Value:
    first, second = call.value(0), call.value(1)
    if not isinstance(first, Traced) or not isinstance(second, Traced):
        return compute(call)
    for weights, values in ((first, second), (second, first)):
        if _weights(call, weights) is not None:
            return _weighted(call, weights, values)
    gates = [call.network.is_gate(value) for value in (first, second)]
    gate = gates.index(True) if sum(gates) == 1 else None
    return of_two(call, Multiply(gate), [first, second])


def _weighted(call: Call, weights: Traced, values: Traced) -> Traced:
    """Return steps that are weighted; their sum alone is read."""
    network = call.network
    shape = np.broadcast_shapes(weights.shape, values.shape)
    values, weights = values.broadcast_to(shape), weights.broadcast_to(shape)
    units = [n for n in range(values.ndim) if values.varies(n, SIGNAL, UNIT)]
    rows = network.rows(values, units or None, steps=True)
    scores = _scores_of(call, weights, units)
    if len(scores) not in (1, len(rows.order)):
        raise RefusedError("expected a weight for each step, or for each of its units")
    of = network.signals[rows.signal]
    if rows.steps is None or rows.reverse:
        raise RefusedError("expected weights of steps from the first to the last")
    if len(scores) > 1:
        if not np.array_equal(np.argsort(rows.order)[: len(scores)], np.argsort(rows.order)):
            raise RefusedError("expected a weight for each unit")
        scores = scores[np.argsort(rows.order)]
    number = network.enter(
        Signal(
            of.name,
            of.width,
            of.steps,
            refusal=f"it reads what {call.node.place} gives; expected the sum of all steps",
            extra={
                "values": rows.signal,
                "sum": partial(
                    _sum_weighted,
                    values=rows.signal,
                    scores=_signal_of(call, weights),
                    units=scores,
                ),
            },
        )
    )
    return network.result(rows, number, rows.order)


def _signal_of(call: Call, weights: Traced) -> int:
    below = call.network.signals[int(weights.first[SIGNAL])].squashed
    assert below is not None
    return below


def _scores_of(call: Call, weights: Traced, units: Sequence[int]) -> Array:
    """Return which of the scores weighs each unit; one number if one weighs all."""
    moved = weights.transpose([*(n for n in range(weights.ndim) if n not in units), *units])
    width = math.prod(moved.shape[weights.ndim - len(units) :])
    number = math.prod(moved.shape) // max(width, 1)
    along = moved.reshape((number, width)).at(1)[:, UNIT]
    return along[:1] if (along == along[0]).all() else along


def _sum_weighted(call: Call, values: int, scores: int, units: Array) -> int:
    """Return the signal of a weighted sum of all steps, with one score for each head or for all."""
    network = call.network
    of, of_scores = network.signals[values], network.signals[scores]
    if len(units) == 1:
        scores = network.units(scores, units)
    elif np.array_equal(units, np.repeat(np.arange(of_scores.width), of.width // of_scores.width)):
        pass  # heads, each with an equal part of the units
    else:
        scores = network.units(scores, units)
    names = [of.name, network.signals[scores].name]
    return call.add(WeightedSum(), names, of.width, None)


# Products ---------------------------------------------------------------------------------------


@operator("MatMul")
def _matmul(call: Call) -> Value:
    first, second = call.value(0), call.value(1)
    if not isinstance(first, Traced) or not isinstance(second, Traced):
        return matmul(call)
    if first.ndim < 2 or second.ndim < 2:
        raise RefusedError("it is the product of two vectors that the input decides")
    if first.ndim != second.ndim:
        batch = np.broadcast_shapes(first.shape[:-2], second.shape[:-2])
        first = first.broadcast_to((*batch, *first.shape[-2:]))
        second = second.broadcast_to((*batch, *second.shape[-2:]))
    turned = _swapped(second)
    if _weights(call, first) is not None:
        return _average(call, first, turned)
    if _weights(call, turned) is not None:
        return _swapped(_average(call, turned, first))
    if first.shape[-1] != turned.shape[-1]:
        raise RefusedError(f"it multiplies shapes {first.shape} and {second.shape}")
    last = first.ndim - 1
    if any(value.varies(last, STEP) and not value.varies(last, UNIT) for value in (first, turned)):
        raise RefusedError("it is a sum over steps of two things that the input decides")
    for mine, other, swap in ((first, turned, False), (turned, first, True)):
        if other.shape[-2] == 1 and not other.varies(other.ndim - 1, SEQUENCE):
            product = _dot(call, mine, other)
            return _swapped(product) if swap else product
    return Scores("scores of attention", first, turned)


def _swapped(value: Traced) -> Traced:
    order = list(range(value.ndim))
    order[-2:] = order[:-3:-1]
    return value.transpose(order)


def _dot(call: Call, rows_of: Traced, query: Traced) -> Traced:
    """Return the product of each row with one that stands for all of them: (..., rows, 1)."""
    product = of_two(call, Multiply(), [rows_of, query])
    network = call.network
    rows = network.rows(product, [product.ndim - 1])
    ones = DenseLayer(np.ones((1, len(rows.order)), np.float32))
    return network.result(rows, call.add(ones, [rows.name], 1, rows.steps))


def _average(call: Call, weights: Traced, values: Traced) -> Traced:
    """Return weights (..., heads, steps) times values (..., units, steps), (..., heads, units)."""
    network, last = call.network, weights.ndim - 1
    values, _ = network.stacked(values, [last - 1])
    if not weights.varies(last, STEP) or not values.varies(last, STEP):
        raise RefusedError("expected a sum over all steps")
    units = [n for n in range(values.ndim) if values.varies(n, SIGNAL, UNIT)] or [last - 1]
    rows = network.rows(values, units, steps=True)
    if rows.reverse or weights.axes[last][1:2, STEP].min(initial=1) < 0:
        raise RefusedError("expected weights of steps from the first to the last")
    scores = _signal_of(call, weights)
    heads = weights.at(last - 1)[:, UNIT]
    given = [_sum_weighted(call, rows.signal, scores, head) for head in heads[:, np.newaxis]]
    layout = rows.layout.with_steps(1)
    results = [network.result(rows._replace(layout=layout), signal, rows.order) for signal in given]
    averages = [_swapped(result) for result in results]
    return averages[0].joined(averages[1:], last - 1) if averages[1:] else averages[0]


@operator("AdditiveScores")
def _additive_scores(call: Call) -> Value:
    """Return sums over units of weight * tanh(query + key), for each query and each key."""
    queries, keys, weight = call.traced(0), call.traced(1), call.constant(2)
    if queries.ndim != 3 or keys.ndim != 3 or weight.shape != (queries.shape[2],):
        raise RefusedError("expected rows of queries and of keys, and a weight for each unit")
    return Scores("scores of attention", queries, keys, additive=weight)


# Scores of queries and keys ---------------------------------------------------------------------


def on_scores(call: Call) -> Value | None:
    """Return what a node makes of scores, or None where it reads none of them as such."""
    scores = next((value for value in call.values if isinstance(value, Scores)), None)
    if scores is None:
        return None
    others = [value for value in call.values if value is not scores and value is not None]
    match call.node.operator:
        case "Mul" | "Div" if scores.additive is None and not scores.weights and len(others) == 1:
            factor = _one_number(others[0])
            if call.node.operator == "Div":
                factor = 1 / factor if call.values[0] is scores else math.nan
            return replace(scores, scale=scores.scale * factor)
        case "Add" if not scores.weights and len(others) == 1:
            return replace(scores, causal=_is_causal(others[0], scores) or scores.causal)
        case "Where" if not scores.weights:
            return replace(scores, causal=_is_causal(_filled(call), scores) or scores.causal)
        case "Softmax" if not scores.weights:
            ndim = len(scores.shape)
            if call.axis(call.attribute("axis", -1), ndim) != ndim - 1:
                raise RefusedError("expected a softmax over the keys of each query")
            return replace(scores, weights=True)
        case "Identity" | "Dropout" | "Cast":
            return scores
        case "Reshape":
            return _reshaped(call, scores)
        case "MatMul" if scores.weights and call.values[0] is scores:
            values = call.value(1)
            if isinstance(values, Traced):
                return _attention(call, scores, values)
    return None


def _one_number(value: Value) -> float:
    if isinstance(value, np.ndarray) and value.size == 1:
        return float(value.reshape(-1)[0])
    raise RefusedError("it multiplies scores of attention with more than one number")


def _filled(call: Call) -> Array:
    """Return what is added to scores where a condition puts a number in their place."""
    condition, one, other = call.values
    number = other if isinstance(one, Scores) else one
    if not isinstance(condition, np.ndarray) or not isinstance(number, np.ndarray):
        raise RefusedError("it masks scores of attention by what the input decides")
    hidden = condition.astype(bool) != isinstance(one, Scores)
    return np.where(hidden, number, number.dtype.type(0))


def _is_causal(mask: Value, scores: Scores) -> bool:
    """Return whether a mask that is added hides what is behind each query; else it is zeros."""
    if not isinstance(mask, np.ndarray):
        raise RefusedError("it adds what the input decides to scores of attention")
    if not mask.any():
        return False
    queries, keys = scores.shape[-2:]
    behind = np.triu(np.ones((queries, keys), bool), 1)
    hidden = mask < -1e4  # -inf, or the least number
    if mask.shape[-2:] == (queries, keys) and (hidden == behind).all() and not mask[~hidden].any():
        return True
    raise RefusedError("it adds a mask to scores of attention that is not the causal one")


def _reshaped(call: Call, scores: Scores) -> Scores:
    shape = call.numbers("shape", 1) or []
    old = scores.shape
    shape = [old[n] if size == 0 else size for n, size in enumerate(shape)]
    if -1 in shape:
        shape[shape.index(-1)] = math.prod(old) // -math.prod(shape)
    if tuple(shape[-2:]) != old[-2:] or math.prod(shape) != math.prod(old):
        raise RefusedError("it takes scores of attention apart")
    batch, size = shape[:-2], scores.queries.shape[-1]
    queries = scores.queries.reshape((*batch, old[-2], size))
    keys = scores.keys.reshape((*batch, old[-1], size))
    return replace(scores, queries=queries, keys=keys)


def _attention(call: Call, scores: Scores, values: Traced) -> Traced:
    """Return what the weights make of values: (..., queries, size of values)."""
    network = call.network
    parts = [
        _heads_apart(value, network.sequences) for value in (scores.queries, scores.keys, values)
    ]
    heads = {heads for _, heads in parts}
    if len(heads) != 1:
        raise RefusedError("expected as many heads of queries, keys and values")
    several = [
        network.rows(
            value,
            [n for n in range(value.ndim - 2) if value.varies(n, SIGNAL, UNIT)] + [value.ndim - 1],
            steps=n > 0,
        )
        for n, (value, _) in enumerate(parts)
    ]
    if any(rows.reverse for rows in several) or several[1].steps != several[2].steps:
        raise RefusedError("expected steps from the first to the last")
    queries = several[0]
    signals = [network.in_order(rows) for rows in several]
    layer: Layer = DotProductAttention(heads.pop(), scores.scale, scores.causal)
    if scores.additive is not None:
        layer = AdditiveAttention(scores.additive, scores.causal)
    width = network.signals[signals[2]].width
    given = call.add(layer, [network.signals[n].name for n in signals], width, queries.steps)
    unit_shape = (*queries.layout.unit_shape[:-1], values.shape[-1])
    layout = queries.layout._replace(unit_shape=unit_shape)
    result = network.result(queries._replace(layout=layout), given)
    return result.reshape((*scores.shape[:-1], values.shape[-1]))


def _heads_apart(value: Traced, sequences: int) -> tuple[Traced, int]:
    """Return (..., rows, size) with an axis for heads, and how many of these there are."""
    value, axis = apart(value, sequences)
    if axis is None:
        heads = [n for n in range(value.ndim - 2) if value.varies(n, SIGNAL, UNIT)]
        axis = heads[0] if heads else None
    return value, 1 if axis is None else value.shape[axis]
