"""`hidden_relevance` in any accepted form -> what starts at the top layer's hidden states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lrplstm.base_model import Model
from lrplstm.checks import to_array, to_numbers
from lrplstm.conversion import is_array_like
from lrplstm.sequences import Batch
from lrplstm.weights import Array

__all__ = ["HiddenRelevance", "resolve_hidden"]


@dataclass(frozen=True, eq=False)
class HiddenRelevance:
    """Relevance that was given of the top layer's hidden states.

    Attributes
    ----------
    values : ndarray of shape (steps, width) or (B, width)
        Of the states at every step, or of what the head reads of them.
    pooled : bool
        Whether it is of what the head reads.
    given : list of ndarray
        What was given for each sequence, padding included.
    """

    values: Array
    pooled: bool
    given: list[Array]

    @property
    def count(self) -> int:
        """How many explanations there are of each sequence."""
        return 1

    @property
    def by_step(self) -> bool:
        """Whether its rows are those of steps."""
        return not self.pooled

    def weighting(self, scores: Array, rows: slice | Array) -> Array:
        """Return that of some rows, (1, n', width): from it the way back starts."""
        return self.values[np.newaxis, rows]

    def shared_out(self, weighting: Array, scores: Array) -> Array:
        """Return how much of it each row has, (1, n')."""
        sums: Array = weighting.sum(axis=-1)
        return sums

    def weigh_largest(self, scores: Array) -> Array:
        """Return what relevance starts from in each row, (n, width)."""
        return self.values

    def explained(self, predicted: Array | None, offsets: Array) -> None:
        """Return what was explained: no class."""


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
        hidden = np.stack(rows)
        return HiddenRelevance(hidden, pooled=True, given=list(hidden))
    forms = model.graph.forms
    if forms[str(model.graph.top.name)].axis != forms[model.graph.inputs[0]].axis:
        raise ValueError(
            "hidden_relevance: expected None where the top layer's steps are not the inputs'"
        )
    lengths = np.diff(batch.given_offsets).tolist()
    rows = [
        to_numbers(name, array, (T, width), dtype)
        for name, array, T in zip(names, arrays, lengths, strict=True)
    ]
    hidden = np.concatenate(rows)
    own = np.split(hidden, batch.given_offsets[1:-1])
    if batch.padding is None:
        return HiddenRelevance(hidden, pooled=False, given=own)
    read = hidden[batch.padding.read]
    if np.count_nonzero(read) != np.count_nonzero(hidden):
        raise ValueError("hidden_relevance: expected zeros at padded steps")
    return HiddenRelevance(read, pooled=False, given=own)
