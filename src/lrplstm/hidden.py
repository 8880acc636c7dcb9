"""`hidden_relevance` in any accepted form -> what starts at the top layer's hidden states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lrplstm.base_model import Model
from lrplstm.checks import to_array, to_numbers
from lrplstm.conversion import is_array_like
from lrplstm.sequences import Batch, Part, sum_steps
from lrplstm.weights import Array

__all__ = ["HiddenRelevance", "resolve_hidden"]


class HiddenRelevance(NamedTuple):
    """Relevance that was given of the top layer's hidden states.

    Attributes
    ----------
    values : ndarray of shape (steps, width) or (B, width)
        Of the states at every step, or of what the head reads of them.
    pooled : bool
        Whether it is of what the head reads.
    """

    values: Array
    pooled: bool

    def of(self, part: Part) -> Array:
        """Return that of a part, (steps, width) or (B, width)."""
        return self.values[part.sequences if self.pooled else part.steps]

    def started(self, part: Part) -> Array:
        """Return how much of it each sequence of a part has, (B,)."""
        sums = self.of(part).sum(axis=-1)
        return sums.astype(np.float64) if self.pooled else sum_steps(sums, part.offsets)

    def as_given(self, batch: Batch) -> list[Array]:
        """Return one array a sequence, in the shape that was given."""
        if self.pooled:
            return list(self.values)
        return np.split(batch.as_given(self.values, axis=0), batch.given_offsets[1:-1])


def resolve_hidden(given: Any, model: Model, batch: Batch) -> HiddenRelevance:
    """Return what `hidden_relevance` means; errors as `lrplstm.lrp` documents them."""
    single = batch.single
    if model.graph.top is None:
        raise ValueError("hidden_relevance: expected None where there is no recurrent layer")
    if is_array_like(given):
        given = to_array("hidden_relevance", given)
    if not single and (not isinstance(given, Sequence | np.ndarray) or isinstance(given, str)):
        raise TypeError(
            f"hidden_relevance: expected one array a sequence, got {type(given).__name__}"
        )
    parts = [given] if single else given
    if len(parts) != len(batch):
        raise ValueError(f"hidden_relevance: expected {len(batch)} arrays, got {len(parts)}")
    names = (
        ["hidden_relevance"] if single else [f"hidden_relevance[{b}]" for b in range(len(batch))]
    )
    arrays = [to_array(name, part) for name, part in zip(names, parts, strict=True)]

    width, dtype = model.width, model.dtype
    if arrays[0].ndim == 1 and model.graph.pooled is not None:
        rows = [to_numbers(name, a, (width,), dtype) for name, a in zip(names, arrays, strict=True)]
        return HiddenRelevance(np.stack(rows), pooled=True)
    lengths = np.diff(batch.given_offsets).tolist()
    hidden = np.concatenate(
        [
            to_numbers(name, array, (T, width), dtype)
            for name, array, T in zip(names, arrays, lengths, strict=True)
        ]
    )
    if batch.padding is None:
        return HiddenRelevance(hidden, pooled=False)
    read = hidden[batch.padding.read]
    if np.count_nonzero(read) != np.count_nonzero(hidden):
        raise ValueError("hidden_relevance: expected zeros at padded steps")
    return HiddenRelevance(read, pooled=False)
