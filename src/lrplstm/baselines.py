"""`baseline` in any accepted form -> what stands in for an input that is taken away."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np

from lrplstm.checks import to_array, to_numbers
from lrplstm.model import LSTMModel
from lrplstm.sequences import Batch, Part
from lrplstm.weights import Array

__all__ = ["Baseline", "features_of_word", "resolve_baseline"]


class Baseline(NamedTuple):
    """What stands in for inputs.

    Attributes
    ----------
    features : ndarray of shape (steps, D) or (1, D)
        Of every step of a batch, or the same everywhere.
    given : None, str, int, ndarray, or list of ndarray
        What was asked for; a list has an array for each sequence.
    """

    features: Array
    given: Any

    def of(self, part: Part) -> Array:
        """Return those of a part, (steps, D) or (1, D)."""
        return self.features if len(self.features) == 1 else self.features[part.steps]


def resolve_baseline(baseline: Any, model: LSTMModel, batch: Batch) -> Baseline:
    """Return what `baseline` means; errors as `lrplstm.integrated_gradients` documents them."""
    D, dtype = model.input_size, model.dtype
    if baseline is None:
        return Baseline(np.zeros((1, D), dtype), None)
    if hasattr(baseline, "__array__"):
        baseline = to_array("baseline", baseline)
        if baseline.ndim == 0:
            baseline = baseline.item()
    if isinstance(baseline, str | Integral) and not isinstance(baseline, bool):
        word = baseline if isinstance(baseline, str) else int(baseline)
        return Baseline(features_of_word(word, model), word)
    if not isinstance(baseline, Sequence | np.ndarray) or isinstance(baseline, bytes):
        raise TypeError(
            "baseline: expected None, a token, an id, or numbers of shape (D,) or (T, D), "
            f"got {type(baseline).__name__}"
        )
    if not len(baseline) or to_array("baseline", baseline[0]).ndim == 0:
        row = to_numbers("baseline", baseline, (D,), dtype).copy()
        return Baseline(row[np.newaxis], row)
    parts = [baseline] if batch.single else baseline
    if len(parts) != len(batch):
        raise ValueError(f"baseline: expected {len(batch)} arrays, got {len(parts)}")
    lengths = np.diff(batch.given_offsets).tolist()
    arrays = [
        to_numbers("baseline" if batch.single else f"baseline[{b}]", part, (T, D), dtype).copy()
        for b, (part, T) in enumerate(zip(parts, lengths, strict=True))
    ]
    features = np.concatenate(arrays)
    if batch.padding is not None:
        features = features[batch.padding.read]
    return Baseline(features, arrays)


def features_of_word(word: str | int, model: LSTMModel) -> Array:
    """Return the features of a token or id, (1, D)."""
    if model.embedding is None:
        raise ValueError(
            f"baseline: expected numbers, got {word!r:.60}, and the model has no embedding"
        )
    id_ = word
    if isinstance(id_, str):
        if model.vocabulary is None or word not in model.vocabulary:
            raise ValueError(f"baseline: expected a token of the vocabulary, got {word!r:.60}")
        id_ = model.vocabulary.index(id_)
    if not 0 <= id_ < len(model.embedding):
        raise ValueError(f"baseline: expected 0 <= id < {len(model.embedding)}, got {id_}")
    return model.embedding[id_ : id_ + 1]
