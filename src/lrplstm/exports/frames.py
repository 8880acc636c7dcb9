"""Tables of pandas, and data sets of xarray."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from lrplstm.exports.needed import needed
from lrplstm.exports.tidy import row_labels, tidy
from lrplstm.plain import plain
from lrplstm.weights import Array

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["to_frame", "to_xarray"]


def to_frame(a: Any, *, sequence: bool) -> pd.DataFrame:
    """Return the table that `lrplstm.Attributions.to_frame` documents."""
    pandas = needed("pandas", "to_frame")
    frame: pd.DataFrame = pandas.DataFrame(tidy(a, sequence=sequence))
    return frame


def to_xarray(a: Any) -> xr.Dataset:
    """Return the data set that `lrplstm.Attributions.to_xarray` documents."""
    xarray = needed("xarray", "to_xarray")
    lengths = np.diff(a.offsets)
    B, T = len(lengths), int(lengths.max())
    row = np.repeat(np.arange(B), lengths)
    place = row, np.arange(int(a.offsets[-1])) - np.repeat(a.offsets[:-1], lengths)

    def padded(values: Array, fill: Any) -> Array:
        """Return values of all steps, (steps, ...), as (B, T, ...)."""
        array = np.full((B, T, *values.shape[1:]), fill, values.dtype)
        array[place] = values
        return array

    labels = row_labels(a)
    several = a.token_relevance.ndim == 2
    first = ("class",) if several else ()

    def of_classes(values: Array) -> Array:
        return (
            np.stack([padded(one, np.nan) for one in values]) if several else padded(values, np.nan)
        )

    data: dict[str, Any] = {
        "relevance": ((*first, "sequence", "step"), of_classes(a.token_relevance)),
        "initial_relevance": ((*first, "sequence"), a.initial_relevance),
        "delta": ((*first, "sequence"), a.delta),
    }
    coordinates: dict[str, Any] = {"sequence": np.arange(B), "step": np.arange(T)}
    if a.input_relevance is not None:
        dims = (*first, "sequence", "step", "feature")
        data["input_relevance"] = (dims, of_classes(a.input_relevance))
        if a.feature_names is not None:
            coordinates["feature"] = list(a.feature_names)
    if a.input_values is not None:
        data["input_values"] = (("sequence", "step", "feature"), padded(a.input_values, np.nan))
    if a.tokens is not None:
        tokens = np.array([token for sentence in a.tokens for token in sentence], object)
        data["token"] = (("sequence", "step"), padded(tokens, ""))
    if a.step_labels is not None:
        coordinates["step_label"] = (("sequence", "step"), _padded_labels(a, padded))
    for name, values in a.sequence_labels.items():
        coordinates[name] = ("sequence", values)
    outputs = "output" if several else "class"
    if several:
        coordinates["class"] = np.arange(len(a.token_relevance)) if labels is None else labels
    if a.class_names is not None and len(a.class_names) == a.scores.shape[-1]:
        coordinates[outputs] = list(a.class_names)
    if a.every_step and a.score_offsets is None:
        data["scores"] = (("sequence", "step", outputs), padded(a.scores, np.nan))
    elif not a.every_step:
        data["scores"] = (("sequence", outputs), a.scores)
        if a.predicted is not None:
            data["predicted"] = ("sequence", a.predicted)
    attributes = {"method": a.method, "params": json.dumps(plain(a.params)), "task": a.task}
    dataset: xr.Dataset = xarray.Dataset(data, coordinates, attributes)
    return dataset


def _padded_labels(a: Any, padded: Any) -> Array:
    """Return labels of steps, (B, T), of dates in UTC: arrays know no time zone."""
    values = a.names.steps.values
    fill = {"M": np.datetime64("NaT"), "m": np.timedelta64("NaT"), "O": ""}
    if values.dtype.kind in "iu":
        values = values.astype(np.float64)
    labels: Array = padded(values, fill.get(values.dtype.kind, np.nan))
    return labels
