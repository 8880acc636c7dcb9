"""Arrow and Parquet: a row a sequence, in a schema that has a version, and back.

==================  =========================================================================
column              type, with F float or double as the model is, C scores, D variables
==================  =========================================================================
sequence            int64: its number, from 0
label.<name>        what the sequence is of, one column for each of `sequence_labels`
tokens              list<string>; not for numbers
unknown             list<bool>; of tokens and ids
step_labels         list of timestamp (with the time zone), double, int64 or string; if labelled
scores              fixed_size_list<F, C>; a list of those where every step has scores
predicted           int32, or a list where every step has scores; not for regressions
target              int32 where it is a class, fixed_size_list<F, C> where it is weights; where it
                    is the same for all sequences ("all", or none) it stands in the metadata, and
                    anything else is JSON in a string
token_relevance     list<F>; with target "all" a list of those, one for each class
input_relevance     list<fixed_size_list<F, D>>; with target "all" a list of those; at level "input"
initial_relevance   F; with target "all" list<F>
delta               F; with target "all" list<F>
input_values        list<fixed_size_list<F, D>>; if asked for
relevance.<input>   of every other input, as token_relevance or input_relevance
==================  =========================================================================

Lists are `large_list`, whose offsets are 64 bits wide. The metadata of the schema has one entry
``lrplstm``, JSON: ``schema_version`` (1), ``method``, ``params``, ``class_names``,
``feature_names``, ``task``, ``target`` (what the column says, or the target itself),
``every_step``, ``input_name``, ``text``, and of every other input its names and whether it is one
row a sequence.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from lrplstm.exports.needed import needed
from lrplstm.input_rows import InputRows
from lrplstm.plain import plain
from lrplstm.sequences import Names, Values, Words, to_offsets
from lrplstm.step_labels import StepLabels
from lrplstm.texts import shown
from lrplstm.weights import Array

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["SCHEMA_VERSION", "from_arrow", "opened_lists", "to_arrow"]

SCHEMA_VERSION = 1

_KEY = b"lrplstm"

_COARSE = ("Y", "M", "W", "D", "h", "m")
"""Units of dates that Arrow has no timestamps of."""


def to_arrow(a: Any, *, input_values: bool = False, first: int = 0) -> pa.Table:
    """Return the table that `lrplstm.Attributions.to_arrow` documents.

    Parameters
    ----------
    a : Attributions
    input_values : bool
        Whether the numbers that were explained are written, too.
    first : int
        The number of the first sequence.
    """
    pyarrow = needed("pyarrow", "to_arrow")
    several = a.token_relevance.ndim == 2
    offsets = a.offsets
    columns: dict[str, Any] = {"sequence": pyarrow.array(np.arange(first, first + len(a)))}
    for name, values in a.sequence_labels.items():
        columns[f"label.{name}"] = pyarrow.array(values)
    if a.tokens is not None:
        columns["tokens"] = _lists(offsets, _tokens(a.tokens))
    if a.names.values is None:
        columns["unknown"] = _lists(offsets, pyarrow.array(a.unknown))
    if a.names.steps is not None:
        columns["step_labels"] = _lists(offsets, _labels(a.names.steps))
    score_offsets = offsets if a.score_offsets is None else a.score_offsets
    scores = _rows(a.scores)
    columns["scores"] = _lists(score_offsets, scores) if a.every_step else scores
    if a.predicted is not None:
        predicted = pyarrow.array(a.predicted.astype(np.int32))
        columns["predicted"] = _lists(score_offsets, predicted) if a.every_step else predicted
    kind, target = _target(a.target)
    if target is not None:
        columns["target"] = target
    columns["token_relevance"] = _ragged(a.token_relevance, offsets, several)
    if a.input_relevance is not None:
        columns["input_relevance"] = _ragged(a.input_relevance, offsets, several)
    for name in ("initial_relevance", "delta"):
        values = getattr(a, name)
        columns[name] = _each(values.T) if several else pyarrow.array(values)
    if input_values and a.names.values is not None:
        columns["input_values"] = _lists(offsets, _rows(a.input_values))
    for name, rows in a.other_relevance.items():
        columns[f"relevance.{name}"] = _ragged(rows.relevance, rows.offsets, several)
    said = {
        "schema_version": SCHEMA_VERSION,
        "method": a.method,
        "params": plain(a.params),
        "class_names": plain(a.class_names),
        "feature_names": plain(a.feature_names),
        "task": a.task,
        "target": kind,
        "several": several,
        "every_step": a.every_step,
        "other_steps": a.score_offsets is not None,
        "input_name": a.input_name,
        "text": a.names.text,
        "others": {
            name: {"is_row": rows.is_row, "feature_names": a.other_feature_names.get(name)}
            for name, rows in a.other_relevance.items()
        },
    }
    table: pa.Table = pyarrow.table(columns)
    return table.replace_schema_metadata({_KEY: json.dumps(said, allow_nan=False).encode()})


def _lists(offsets: Array, values: Any) -> Any:
    """Return a list for each sequence."""
    pyarrow = needed("pyarrow", "to_arrow")
    return pyarrow.LargeListArray.from_arrays(pyarrow.array(offsets, pyarrow.int64()), values)


def _rows(values: Array) -> Any:
    """Return (n, width) as n lists of a fixed size."""
    pyarrow = needed("pyarrow", "to_arrow")
    flat = np.ascontiguousarray(values).reshape(-1)
    return pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(flat), values.shape[1])


def _each(values: Array) -> Any:
    """Return (n, width) as n lists."""
    return _lists(values.shape[1] * np.arange(len(values) + 1), _flat(values))


def _flat(values: Array) -> Any:
    pyarrow = needed("pyarrow", "to_arrow")
    return pyarrow.array(np.ascontiguousarray(values).reshape(-1))


def _ragged(values: Array, offsets: Array, several: bool) -> Any:
    """Return relevance of steps, (steps,) or (steps, D), or either for each class, by sequence."""
    if not several:
        return _lists(offsets, _flat(values) if values.ndim == 1 else _rows(values))
    K, B = len(values), len(offsets) - 1
    # Of one sequence after the other, and in each of one class after the other.
    lengths = np.diff(offsets)
    starts = offsets[:-1] + offsets[-1] * np.arange(K)[:, np.newaxis]  # (K, B), of all steps
    inner = to_offsets(np.repeat(lengths, K))
    own = np.repeat(starts.T.reshape(-1) - inner[:-1], np.repeat(lengths, K))
    flat = values.reshape(-1, *values.shape[2:])[own + np.arange(int(inner[-1]))]
    classes = _lists(inner, _flat(flat) if flat.ndim == 1 else _rows(flat))
    return _lists(K * np.arange(B + 1), classes)


def _tokens(tokens: Any) -> Any:
    """Return the tokens of all sequences; of ids by the words of their vocabulary."""
    pyarrow = needed("pyarrow", "to_arrow")
    if isinstance(tokens, Words):
        vocabulary = pyarrow.array(list(tokens.vocabulary), pyarrow.string())
        return vocabulary.take(pyarrow.array(tokens.ids))
    return pyarrow.array(list(chain.from_iterable(tokens)), pyarrow.string())


def _labels(labels: StepLabels) -> Any:
    pyarrow = needed("pyarrow", "to_arrow")
    values = labels.values
    if values.dtype.kind == "M" and np.datetime_data(values.dtype)[0] in (
        "D",
        "h",
        "m",
        "M",
        "Y",
        "W",
    ):
        values = values.astype("datetime64[s]")
    array = pyarrow.array(values, pyarrow.string() if values.dtype.kind in "OU" else None)
    if labels.time_zone is None:
        return array
    return array.cast(pyarrow.timestamp(array.type.unit, labels.time_zone))


def _target(target: Any) -> tuple[Any, Any]:
    """Return what the metadata says of the target, and its column."""
    pyarrow = needed("pyarrow", "to_arrow")
    if target is None or isinstance(target, str):
        return target, None
    if isinstance(target, np.ndarray):
        if target.ndim == 1:
            return "class", pyarrow.array(target.astype(np.int32))
        return "weights", _rows(target)
    return "json", pyarrow.array([json.dumps(_target_said(one)) for one in target])


def _target_said(target: Any) -> Any:
    """Return what was explained of one sequence so that `_target_meant` knows what it is."""
    if isinstance(target, tuple):
        return {"step_and_class": plain(target)}
    if isinstance(target, np.ndarray):
        return {"weights" if target.dtype.kind == "f" else "classes": target.tolist()}
    return plain(target)


# Back -------------------------------------------------------------------------------------------


def from_arrow(table: Any, name: str) -> dict[str, Any]:
    """Return the fields of the `Attributions` that a table was made of.

    Parameters
    ----------
    table : pyarrow.Table
    name : str
        What errors call it.

    Raises
    ------
    ValueError
        If it was made by something else, or a newer version.
    """
    said = _said(table.schema.metadata or {}, name)
    table = table.combine_chunks()
    columns = {
        column: table.column(column).chunk(0) if len(table) else None
        for column in table.column_names
    }
    if not len(table):
        raise ValueError(f"{name}: expected at least one sequence, got none")
    several = said["several"]
    try:
        return _fields(columns, said, several)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{name}: expected the columns of schema version {SCHEMA_VERSION}, got "
            f"{', '.join(map(shown, table.column_names))} ({type(error).__name__}: {error})"
        ) from None


def _said(metadata: Mapping[bytes, bytes], name: str) -> dict[str, Any]:
    text = metadata.get(_KEY)
    if text is None:
        raise ValueError(f"{name}: expected explanations that lrplstm wrote, got another table")
    said: dict[str, Any] = json.loads(text)
    version = said.get("schema_version")
    if version != SCHEMA_VERSION:
        raise ValueError(
            f"{name}: expected schema version {SCHEMA_VERSION}, got {shown(version)}: it was "
            "written by a newer version of lrplstm; install that"
        )
    return said


def _fields(columns: Mapping[str, Any], said: Mapping[str, Any], several: bool) -> dict[str, Any]:
    token, offsets = _unragged(columns["token_relevance"], several)
    by_input = columns.get("input_relevance")
    scores, score_offsets = columns["scores"], None
    if said["every_step"]:
        score_offsets, scores = opened_lists(scores)
    predicted = columns.get("predicted")
    if predicted is not None:
        predicted = _numbers(opened_lists(predicted)[1] if said["every_step"] else predicted)
    others = {
        name: InputRows(*_unragged(columns[f"relevance.{name}"], several), is_row=of["is_row"])
        for name, of in said["others"].items()
    }
    unknown = columns.get("unknown")
    steps = int(offsets[-1])
    return {
        "offsets": offsets,
        "scores": _two_dimensional(scores),
        "predicted": None if predicted is None else predicted.astype(np.intp),
        "target": _read_target(columns.get("target"), said["target"]),
        "token_relevance": token,
        "input_relevance": None if by_input is None else _unragged(by_input, several)[0],
        "initial_relevance": _per_sequence(columns["initial_relevance"], several),
        "delta": _per_sequence(columns["delta"], several),
        "unknown": np.zeros(steps, bool) if unknown is None else _numbers(opened_lists(unknown)[1]),
        "method": said["method"],
        "params": said["params"],
        "class_names": _names(said["class_names"]),
        "task": said["task"],
        "tokens": _words(columns.get("tokens")),
        "every_step": said["every_step"],
        "score_offsets": score_offsets if said["other_steps"] else None,
        "input_name": said["input_name"],
        "other_relevance": others,
        "names": Names(
            _names(said["feature_names"]),
            _read_labels(columns.get("step_labels")),
            _sequence_labels(columns),
            _read_values(columns.get("input_values")),
            said["text"],
        ),
        "other_feature_names": {
            name: tuple(of["feature_names"])
            for name, of in said["others"].items()
            if of["feature_names"] is not None
        },
    }


def opened_lists(lists: Any) -> tuple[Array, Any]:
    """Return where lists begin in all their values, and these."""
    offsets = lists.offsets.to_numpy()
    values = lists.values.slice(int(offsets[0]), int(offsets[-1] - offsets[0]))
    return (offsets - offsets[0]).astype(np.intp), values


def _numbers(values: Any) -> Array:
    return np.array(values.to_numpy(zero_copy_only=False))


def _two_dimensional(rows: Any) -> Array:
    width = rows.type.list_size
    return _numbers(rows.flatten()).reshape(len(rows), width)


def _flat_or_rows(values: Any) -> Array:
    return _two_dimensional(values) if hasattr(values.type, "list_size") else _numbers(values)


def _unragged(lists: Any, several: bool) -> tuple[Array, Array]:
    """Return relevance of steps, with classes first, and where sequences begin in them."""
    offsets, values = opened_lists(lists)
    if not several:
        return _flat_or_rows(values), offsets
    B = len(offsets) - 1
    K = int(offsets[1])
    inner, values = opened_lists(values)
    flat = _flat_or_rows(values)
    lengths = np.diff(inner).reshape(B, K)
    own = to_offsets(lengths[:, 0])
    starts = inner[:-1].reshape(B, K)
    rows = [
        np.repeat(starts[:, k] - own[:-1], lengths[:, k]) + np.arange(int(own[-1]))
        for k in range(K)
    ]
    return flat[np.stack(rows)], own


def _per_sequence(values: Any, several: bool) -> Array:
    if not several:
        return _numbers(values)
    offsets, flat = opened_lists(values)
    return np.ascontiguousarray(_numbers(flat).reshape(len(offsets) - 1, -1).T)


def _read_target(column: Any, kind: Any) -> Any:
    if column is None:
        return kind
    if kind == "class":
        return _numbers(column).astype(np.intp)
    if kind == "weights":
        return _two_dimensional(column)
    return [_target_meant(json.loads(one)) for one in column.to_pylist()]


def _target_meant(said: Any) -> Any:
    if not isinstance(said, dict):
        return said
    if "step_and_class" in said:
        return tuple(said["step_and_class"])
    return np.array(said["weights"]) if "weights" in said else np.array(said["classes"], np.intp)


def _words(lists: Any) -> Words | None:
    if lists is None:
        return None
    offsets, values = opened_lists(lists)
    encoded = values.dictionary_encode()
    return Words(
        encoded.indices.to_numpy().astype(np.intp), offsets, tuple(encoded.dictionary.to_pylist())
    )


def _read_labels(lists: Any) -> StepLabels | None:
    if lists is None:
        return None
    return _as_labels(opened_lists(lists)[1])


def _as_labels(values: Any) -> StepLabels:
    return StepLabels(_numbers(values), getattr(values.type, "tz", None))


def _sequence_labels(columns: Mapping[str, Any]) -> dict[str, Array] | None:
    found = {
        name.removeprefix("label."): _as_labels(column).as_array()
        for name, column in columns.items()
        if name.startswith("label.")
    }
    return found or None


def _read_values(lists: Any) -> Values | None:
    return None if lists is None else Values(_two_dimensional(opened_lists(lists)[1]))


def _names(names: Any) -> tuple[str, ...] | None:
    return None if names is None else tuple(names)
