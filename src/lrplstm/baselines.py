"""`baseline` in any accepted form -> what stands in for an input that is taken away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np

from lrplstm.base_model import Model
from lrplstm.checks import to_array, to_numbers
from lrplstm.conversion import is_array_like
from lrplstm.errors import ArgumentError, ArgumentTypeError
from lrplstm.inputs import InputEncoder
from lrplstm.method_table import Option
from lrplstm.sequences import Batch, Part, rows_of
from lrplstm.texts import shown
from lrplstm.weights import Array

__all__ = ["BASELINE", "Baseline", "features_of_word", "resolve_baseline"]

BASELINE = Option(
    "baseline",
    str,
    "word or id from which integrated gradients begin, and by which occlusion replaces words "
    "(default: zeros)",
    metavar="WORD",
)
"""The argument, of the methods that have it."""


class Baseline(NamedTuple):
    """What stands in for inputs.

    Attributes
    ----------
    features : ndarray of shape (steps, D) or (1, D)
        Of every step of a batch, or the same everywhere.
    given : None, str, int, ndarray, list of ndarray, or dict of those
        What was asked for; a list has an array for each sequence, and a dict what it was of each of
        several inputs.
    offsets : ndarray of shape (B + 1,), or None
        Where sequences begin in the features; None: as in the batch.
    others : tuple of Baseline
        Those of every other input.
    """

    features: Array
    given: Any
    offsets: Array | None = None
    others: tuple[Baseline, ...] = ()

    def of(self, part: Part) -> Array:
        """Return those of a part, (steps, D) or (1, D)."""
        if len(self.features) == 1:
            return self.features
        rows = part.steps if self.offsets is None else rows_of(part.sequences, self.offsets)[0]
        return self.features[rows] if isinstance(rows, slice) else self.features.take(rows, axis=0)


def resolve_baseline(baseline: Any, model: Model, batch: Batch) -> Baseline:
    """Return what `baseline` means; errors as `lrplstm.integrated_gradients` documents them."""
    encoder = model.encoder
    if isinstance(encoder, InputEncoder):
        return _resolve("baseline", baseline, encoder, batch)
    if baseline is None:
        baseline = {}
    if not isinstance(baseline, Mapping):
        raise ArgumentTypeError(
            "baseline", f"expected a dict by name of inputs, got {type(baseline).__name__}"
        )
    batches = {encoder.first: batch, **batch.others}
    for name in baseline:
        if name not in batches:
            expected = ", ".join(map(shown, batches))
            raise ArgumentError("baseline", f"expected {expected}, got {shown(name)}")
    first, *others = (
        _resolve(f"baseline[{shown(name)}]", baseline.get(name), encoder.encoders[name], one)
        for name, one in batches.items()
    )
    given = {name: one.given for name, one in zip(batches, (first, *others), strict=True)}
    offsets = [one.offsets for one in batch.others.values()]
    return Baseline(
        first.features,
        {name: value for name, value in given.items() if value is not None} or None,
        others=tuple(one._replace(offsets=own) for one, own in zip(others, offsets, strict=True)),
    )


def _resolve(argument: str, baseline: Any, encoder: InputEncoder, batch: Batch) -> Baseline:
    """Return what the baseline of one input means; `argument` is what errors call it."""
    D, dtype = encoder.input_size, encoder.dtype
    if baseline is None:
        return Baseline(np.zeros((1, D), dtype), None)
    if is_array_like(baseline) or isinstance(baseline, np.ndarray | np.generic):
        baseline = to_array(argument, baseline)
        if baseline.ndim == 0:
            baseline = baseline.item()
    if isinstance(baseline, str | Integral) and not isinstance(baseline, bool):
        word = baseline if isinstance(baseline, str) else int(baseline)
        return Baseline(features_of_word(word, encoder, argument), word)
    if not isinstance(baseline, Sequence | np.ndarray) or isinstance(baseline, bytes):
        raise ArgumentTypeError(
            argument,
            "expected None, a token, an id, or numbers of shape (D,) or (T, D), or a "
            "list of those of shape (T, D), one for each sequence, "
            f"got {type(baseline).__name__}",
        )
    ndim = _dimensions(argument, baseline)
    if ndim == 1:
        row = to_numbers(argument, baseline, (D,), dtype).copy()
        return Baseline(_scaled(row[np.newaxis], encoder), row)
    lengths = np.diff(batch.given_offsets).tolist()
    if ndim == 3 and len(baseline) == 1:
        ndim, baseline = 2, baseline[0]
    if ndim == 2:  # one for all
        steps = len(baseline)
        if not batch.single and set(lengths) != {steps}:
            raise ArgumentError(
                argument,
                f"expected one row of shape ({D},) for all steps, or a list of "
                f"{len(batch)} arrays, one for each sequence, where not all of them have the "
                f"{steps} steps that it has",
            )
        array = to_numbers(argument, baseline, (lengths[0], D), dtype)
        arrays = [array.copy() for _ in lengths]
    else:
        if batch.single or len(baseline) != len(batch):
            expected = "one array" if batch.single else f"{len(batch)} arrays, or one"
            raise ArgumentError(argument, f"expected {expected}, got {len(baseline)}")
        arrays = [
            to_numbers(f"{argument}[{b}]", one, (T, D), dtype).copy()
            for b, (one, T) in enumerate(zip(baseline, lengths, strict=True))
        ]
    features = _scaled(np.concatenate(arrays), encoder)
    if batch.padding is not None:
        features = features[batch.padding.read]
    return Baseline(features, arrays)


def _scaled(features: Array, encoder: InputEncoder) -> Array:
    """Return what the network reads of raw values."""
    if encoder.scaler is None:
        return features
    return encoder.scaler.transform(features).astype(encoder.dtype)


def _dimensions(argument: str, baseline: Sequence[Any] | Array) -> int:
    """Return 1 for numbers, 2 for rows of them, 3 for arrays of rows."""
    if isinstance(baseline, np.ndarray):
        return baseline.ndim
    return 1 + to_array(argument, baseline[0]).ndim if len(baseline) else 1


def features_of_word(
    word: str | int, model: Model | InputEncoder, argument: str = "baseline"
) -> Array:
    """Return the features of a token or id, (1, D)."""
    if model.embedding is None:
        raise ArgumentError(
            argument, f"expected numbers, got {shown(word)}, and the model has no embedding"
        )
    id_ = word
    if isinstance(id_, str):
        if model.vocabulary is None or word not in model.vocabulary:
            raise ArgumentError(argument, f"expected a token of the vocabulary, got {shown(word)}")
        id_ = model.vocabulary.index(id_)
    if not 0 <= id_ < len(model.embedding):
        raise ArgumentError(argument, f"expected 0 <= id < {len(model.embedding)}, got {id_}")
    return model.embedding[id_ : id_ + 1]
