"""Explanations as `lrplstm explain --out` wrote them, in JSON lines or CSV, and back."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Mapping, Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from lrplstm.sequences import Names, to_offsets
from lrplstm.step_labels import StepLabels
from lrplstm.texts import first_line, shown
from lrplstm.weights import Array

__all__ = ["read_csv", "read_json_lines"]

_RELEVANCE = "relevance"
_MOST_DIGITS = 15  # of the number of a sequence or a step
_OF_STEPS = ("step", "label", "token", "variable", _RELEVANCE, "class")
"""Columns of a table that are no labels of sequences."""


def read_json_lines(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the fields of the `Attributions` that a file of an object a line was written from.

    Relevance of other inputs is not read, nor targets other than classes and weights.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is something else.
    """
    name = os.fspath(path)
    records = []
    with Path(path).open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                record = json.loads(line)
                lacking = _LEAST - set(record) if isinstance(record, dict) else _LEAST
                if lacking:
                    raise ValueError(f"no {sorted(lacking)[0]!r}")
            except (ValueError, RecursionError) as error:
                raise ValueError(
                    f"{name}: line {number}: expected an explanation that `lrplstm explain` wrote "
                    f"({first_line(error)})"
                ) from None
            records.append(record)
    if not records:
        raise ValueError(f"{name}: expected at least one explanation, got none")
    try:
        return _fields(records)
    except (TypeError, ValueError, LookupError, AttributeError, OverflowError) as error:
        raise ValueError(
            f"{name}: expected explanations by one method, of one model ({first_line(error)})"
        ) from None


_LEAST = {"scores", "token_relevance", "method", "task"}


def _fields(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    first = records[0]
    several = first.get("target") == "all" or np.ndim(first["token_relevance"]) == 2
    axis = 1 if several else 0
    token = _along(records, "token_relevance", axis)
    lengths = [np.shape(record["token_relevance"])[axis] for record in records]
    offsets = to_offsets(lengths)
    B = len(records)
    predicted, targets = _column(records, "predicted"), _column(records, "target")
    scores = [_numbers(record["scores"]) for record in records]
    every_step = scores[0].ndim == 2
    classes = first.get("class_names")
    features = first.get("feature_names")
    tokens = None if first.get("tokens") is None else _column(records, "tokens")
    unknown = _of_each_step(_column(records, "unknown"), lengths, bool)
    return {
        "offsets": offsets,
        "scores": np.concatenate(scores) if every_step else np.stack(scores),
        "predicted": None
        if None in predicted
        else np.array(list(chain.from_iterable(predicted)) if every_step else predicted),
        "target": "all" if several else _target(targets),
        "token_relevance": token,
        "input_relevance": None
        if first.get("input_relevance") is None
        else _along(records, "input_relevance", axis),
        "initial_relevance": _per_sequence(records, "initial_relevance"),
        "delta": _per_sequence(records, "delta"),
        "unknown": np.array(list(chain.from_iterable(unknown)), bool),
        "method": first["method"],
        "params": dict(first.get("params") or {}),
        "class_names": None if classes is None else tuple(classes),
        "task": first["task"],
        "tokens": None if tokens is None else _of_each_step(tokens, lengths, str),
        "every_step": every_step,
        "score_offsets": to_offsets([len(one) for one in scores]) if every_step else None,
        "names": Names(
            None if features is None else tuple(features),
            _labels(_column(records, "step_labels"), lengths),
            _sequence_labels(records, B),
        ),
    }


def _column(records: Sequence[Mapping[str, Any]], name: str) -> list[Any]:
    return [record.get(name) for record in records]


def _of_each_step(column: list[Any], lengths: Sequence[int], kind: type) -> list[list[Any]]:
    """Return what each step has, if each has something of a kind."""
    for values, length in zip(column, lengths, strict=True):
        if len(values) != length or not all(type(value) is kind for value in values):
            raise ValueError(f"no {kind.__name__} for each step")
    return column


def _numbers(values: Any) -> Array:
    """Return numbers as an array; what JSON cannot say, which is null there, is NaN."""
    return np.array(values, dtype=np.float64)


def _along(records: Sequence[Mapping[str, Any]], name: str, axis: int) -> Array:
    return np.concatenate([_numbers(record[name]) for record in records], axis=axis)


def _per_sequence(records: Sequence[Mapping[str, Any]], name: str) -> Array:
    return np.stack([_numbers(record.get(name)) for record in records], axis=-1)


def _target(targets: list[Any]) -> Array | None:
    """Return classes, or weights of scores; None of what JSON says in the same way for several."""
    if all(isinstance(one, int) for one in targets):
        return np.array(targets, np.intp)
    if all(isinstance(one, list) and all(isinstance(w, float) for w in one) for one in targets):
        return np.array(targets)
    return None


def _labels(texts: list[Any], lengths: Sequence[int]) -> StepLabels | None:
    if any(one is None for one in texts) or [len(one) for one in texts] != list(lengths):
        return None
    return StepLabels.of_texts(list(chain.from_iterable(texts)))


def _sequence_labels(records: Sequence[Mapping[str, Any]], size: int) -> dict[str, Array] | None:
    """Return what sequences are of, and the classes that a labelled file gave them."""
    labels: dict[str, list[Any]] = {}
    for record in records:
        own = dict(record.get("sequence_labels") or {})
        if record.get("label") is not None:
            own.setdefault("label", record["label"])
        for name, value in own.items():
            labels.setdefault(name, []).append(value)
    found = {name: np.array(column) for name, column in labels.items() if len(column) == size}
    return found or None


# CSV --------------------------------------------------------------------------------------------


def read_csv(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the fields of the `Attributions` that a table was written from.

    It does not say what was predicted, by what method, nor which words the vocabulary lacks.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is something else, or lacks some steps.
    """
    name = os.fspath(path)
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file, strict=True)
    except (csv.Error, UnicodeDecodeError, ValueError) as error:
        raise ValueError(f"{name}: expected a table in UTF-8 ({first_line(error)})") from None
    lacking = [column for column in ("sequence", "step", _RELEVANCE) if column not in header]
    if lacking or not rows:
        raise ValueError(
            f"{name}: expected a table that `lrplstm explain` wrote, got "
            + (f"no column {lacking[0]!r}" if lacking else "no row")
        )
    if any(len(row) != len(header) for row in rows):
        raise ValueError(f"{name}: expected {len(header)} columns in each row, got others")
    columns = dict(zip(header, zip(*rows, strict=True), strict=True))
    try:
        return _of_table(columns)
    except ValueError as error:
        raise ValueError(f"{name}: {first_line(error)}") from None


def _of_table(columns: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    sequence = np.unique(_integers(columns["sequence"]), return_inverse=True)[1]
    step = _integers(columns["step"])
    variables, variable = _coded(columns.get("variable"), len(step))
    classes, row = _coded(columns.get("class"), len(step))
    B, D, C = int(sequence.max()) + 1, len(variables), len(classes)
    lengths = np.zeros(B, np.intp)
    np.maximum.at(lengths, sequence, step + 1)
    offsets = to_offsets(lengths)
    steps = int(offsets[-1])
    if len(step) != steps * D * C:
        raise ValueError(
            f"expected a row for each of {steps * D * C} steps, variables and classes, got "
            f"{len(step)}; write all of them, without --top"
        )
    place = offsets[sequence] + step
    relevance = np.full((C, steps, D), np.nan)
    relevance[row, place, variable] = np.array(columns[_RELEVANCE], np.float64)
    by_variable = "variable" in columns
    if "class" not in columns:
        relevance = relevance[0]
    token = relevance.sum(axis=-1)
    shape = (*token.shape[:-1], B)

    def of_steps(column: str) -> list[str] | None:
        if column not in columns:
            return None
        values = np.empty(steps, object)
        values[place] = np.array(columns[column], object)
        return values.tolist()

    tokens, labels = of_steps("token"), of_steps("label")
    ends = offsets.tolist()
    return {
        "offsets": offsets,
        "scores": np.zeros((B, C)),
        "predicted": None,
        "target": "all" if "class" in columns else None,
        "token_relevance": token,
        "input_relevance": relevance if by_variable else None,
        "initial_relevance": np.zeros(shape),
        "delta": np.zeros(shape),
        "unknown": np.zeros(steps, bool),
        "method": "unknown",
        "params": {},
        "class_names": tuple(classes) if "class" in columns else None,
        "task": "classification",
        "tokens": None if tokens is None else [tokens[i:j] for i, j in pairwise(ends)],
        "every_step": False,
        "names": Names(
            _names(variables) if by_variable else None,
            None if labels is None else StepLabels.of_texts(labels),
            _labels_of_sequences(columns, sequence, B),
        ),
    }


def _integers(column: Sequence[str]) -> Array:
    for value in column:
        if not (value.isascii() and value.isdigit() and len(value) <= _MOST_DIGITS):
            raise ValueError(f"expected numbers of sequences and steps, got {shown(value)}")
    return np.array(column, np.intp)


def _coded(column: Sequence[str] | None, size: int) -> tuple[list[str], Array]:
    """Return the distinct values of a column in the order in which they occur first, and codes."""
    if column is None:
        return [""], np.zeros(size, np.intp)
    place = {value: n for n, value in enumerate(dict.fromkeys(column))}
    return list(place), np.array([place[value] for value in column])


def _names(variables: Sequence[str]) -> tuple[str, ...] | None:
    """Return names of variables; None where they are numbered."""
    numbered = [str(n) for n in range(len(variables))]
    return None if list(variables) == numbered else tuple(variables)


def _labels_of_sequences(
    columns: Mapping[str, Sequence[str]], sequence: Array, size: int
) -> dict[str, Array] | None:
    names = [name for name in columns if name not in (*_OF_STEPS, "sequence")]
    first = np.zeros(size, np.intp)
    first[sequence[::-1]] = np.arange(len(sequence))[::-1]
    return {name: np.array(columns[name], object)[first] for name in names} or None
