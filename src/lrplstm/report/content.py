"""What a page shows: explanations as data for JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from lrplstm.checks import to_number
from lrplstm.heatmap import ENDS, visible
from lrplstm.heatmap.content import checked_texts
from lrplstm.method_table import TABLE
from lrplstm.report.alignment import segments
from lrplstm.report.packing import packed

__all__ = ["Given", "content"]

_DIGITS = 5  # of numbers that are not packed

_MOST_NUMBERS = 2**26
"""More numbers than so many make a file larger than browsers read."""


class Given(NamedTuple):
    """What is known of sequences beside their explanations; None where it is not.

    Attributes
    ----------
    texts : sequence of str or None, length B
        What tokens were made of.
    series : sequence of ndarray of shape (T, D), or None
        The numbers of series. Default: `input_values` of the explanations.
    labels : sequence, length B
        Classes that are right, by number or name, or None; of a regression the values that are.
    variables : sequence of str, length D
        Names of the variables of all series.
    steps : sequence of (sequence of str of length T, or None), length B
    by_step : sequence of sequence of Attribution
        By each method an explanation of what each step of each sequence is predicted as, where
        every step has scores.
    """

    texts: Sequence[str | None] | None = None
    series: Sequence[Any] | None = None
    labels: Sequence[Any] | None = None
    variables: Sequence[str] | None = None
    steps: Sequence[Sequence[str] | None] | None = None
    by_step: Sequence[Sequence[Any]] | None = None


def content(columns: Sequence[Sequence[Any]], given: Given) -> dict[str, Any]:
    """Return what a page shows of explanations.

    Parameters
    ----------
    columns : sequence of sequence of Attribution
        Explanations of the same B sequences by each method. All are of one model, and of as many
        classes.
    given : Given

    Returns
    -------
    dict
        Numbers, texts and lists of them, and `packed` numbers.

    Raises
    ------
    ValueError
        If a relevance is not finite, there are more or fewer labels, texts, series or names, or
        there is more than a page can hold.
    """
    _check_size([*columns, *(given.by_step or ())])
    first = columns[0]
    a = first[0]
    is_series = a.tokens is None
    data: dict[str, Any] = {
        "kind": "series" if is_series else "text",
        "task": a.task,
        "binary": a.outputs.binary,
        "everyStep": a.every_step,
        "outputs": _output_names(a),
        "rows": 1 if a.token_relevance.ndim == 1 else len(a.token_relevance),
        "lengths": [len(one) for one in first],
        "scores": packed(_joined(_scores(one) for one in first)),
        "predicted": _predicted(first),
        "labels": None if given.labels is None else _labels(given.labels, len(first), a),
        "methods": [
            _method(column, name)
            for column, name in zip(columns, _method_names(columns), strict=True)
        ],
        "bySteps": given.by_step is not None,
        "input": visible(a.input_name),
        "others": [_other(first, name) for name in a.other_relevance],
    }
    if data["rows"] == 1:
        data["explained"] = [visible(one.explained) for one in first]
    for method, column in zip(data["methods"], given.by_step or (), strict=False):
        method["bySteps"] = _numbers(column)
    if is_series:
        return data | _series(first, given)
    texts = given.texts or [one.text for one in first]
    _check_length("texts", texts, len(first))
    return data | {
        "texts": [_segments(text, one) for text, one in zip(texts, first, strict=True)],
        "unknown": [np.flatnonzero(one.unknown).tolist() for one in first],
    }


def _check_size(columns: Sequence[Sequence[Any]]) -> None:
    count = sum(np.size(_relevance(a)) for column in columns for a in column)
    if count > _MOST_NUMBERS:
        raise ValueError(
            f"relevance: expected at most {_MOST_NUMBERS:,} numbers on a page, got {count:,}; "
            "give fewer sequences or methods, or one class as target"
        )


def _check_length(name: str, values: Sequence[Any], expected: int) -> None:
    if len(values) != expected:
        raise ValueError(f"{name}: expected {expected}, one for each sequence, got {len(values)}")


def _output_names(a: Any) -> list[str]:
    """Return what can be explained, by name; or "class 0", "output 1" and so on."""
    unnamed = f"{a.outputs.kind} " if a.class_names is None else ""
    return [unnamed + visible(a.outputs.name(k)) for k in range(a.outputs.count)]


def _joined(arrays: Iterable[Any]) -> Any:
    return np.concatenate([np.ravel(array) for array in arrays])


def _rounded(number: float) -> float:
    return float(f"{number:.{_DIGITS}g}")


def _scores(a: Any) -> Any:
    """Return the scores, of every step where there are such; 0 for steps that are padding."""
    return np.nan_to_num(a.scores, nan=0.0)


def _predicted(column: Sequence[Any]) -> list[Any] | None:
    """Return the classes that sequences, or their steps, are predicted as; -1 at padding."""
    if column[0].predicted is None:
        return None
    return [np.asarray(a.predicted).tolist() for a in column]


def _labels(labels: Sequence[Any], count: int, a: Any) -> list[Any]:
    """Return the numbers of the classes that are right; of a regression the values that are."""
    if a.every_step:
        raise ValueError("labels: expected None, as every step has scores")
    _check_length("labels", labels, count)
    numbers: list[Any] = []
    for n, label in enumerate(labels):
        if label is None:
            numbers.append(None)
        elif a.outputs.regression:
            numbers.append(_rounded(to_number(f"labels[{n}]", label)))
        else:
            numbers.append(a.outputs.index(f"labels[{n}]", label))
    return numbers


def _method(column: Sequence[Any], name: str) -> dict[str, Any]:
    """Return what one method says of all sequences."""
    a = column[0]
    method = TABLE[a.method]
    balance = a.balance
    for n, one in enumerate(column):
        if not np.isfinite(one.token_relevance).all():
            raise ValueError(f"relevance: expected finite numbers, got others of sequence {n}")
    return {
        "name": name,
        "when": method.when,
        "ends": method.ends or ENDS,
        "shares": method.shares,
        "source": balance.source,
        "inputs": balance.inputs,
        "rest": balance.rest_is,
        "otherRelevance": [
            packed(_joined(one.other_relevance[name] for one in column))
            for name in a.other_relevance
        ],
    } | _numbers(column)


def _other(column: Sequence[Any], name: str) -> dict[str, Any]:
    """Return what a further input is: how many steps it has, or None of a row, and its numbers."""
    a = column[0]
    shapes = [np.shape(one.other_relevance[name]) for one in column]
    if a.token_relevance.ndim == 2:
        shapes = [shape[1:] for shape in shapes]  # without that of classes
    by_number = a.input_relevance is not None
    is_row = len(shapes[0]) == int(by_number)
    names = a.other_feature_names.get(name) if by_number else None
    return {
        "name": visible(name),
        "lengths": None if is_row else [shape[0] for shape in shapes],
        "width": shapes[0][-1] if by_number else 1,
        "variables": None if names is None else [visible(str(each)) for each in names],
    }


def _numbers(column: Sequence[Any]) -> dict[str, str]:
    """Return relevance, and sums of each explanation.

    These are what all inputs got, initial states, the rest, and each of several inputs but the
    first.
    """
    return {
        "relevance": packed(_joined(_relevance(a) for a in column)),
        "sums": packed(_joined(_sums(a) for a in column)),
    }


def _sums(a: Any) -> Any:
    balance = a.balance
    K = len(balance.arrived)
    others = [np.reshape(values, (K, -1)).sum(axis=1) for values in a.other_relevance.values()]
    return np.stack([balance.arrived, balance.initial, balance.rest, *others], axis=-1)


def _method_names(columns: Sequence[Sequence[Any]]) -> list[str]:
    """Return names of methods; where one occurs more than once, with what tells them apart."""
    firsts = [column[0] for column in columns]
    names = []
    for a in firsts:
        others = [other.params for other in firsts if other.method == a.method]
        own = [
            f"{option}={value}"
            for option, value in a.params.items()
            if any(str(params.get(option)) != str(value) for params in others)
        ]
        names.append(visible(" ".join([a.method, *own])))
    return names


def _relevance(a: Any) -> Any:
    """Return relevance of each variable of a series where it is known, else of each step."""
    by_variable = a.tokens is None and a.input_relevance is not None
    return a.input_relevance if by_variable else a.token_relevance


# Texts --------------------------------------------------------------------------------------------


def _segments(text: str | None, a: Any) -> list[str]:
    """Return words and what stands between them in turn; without a text, spaces between tokens."""
    pieces = None if text is None else segments(text, a.words)
    if pieces is None:
        pieces = [" "] * (2 * len(a) + 1)
        pieces[0] = pieces[-1] = ""
        pieces[1::2] = a.words
    pieces[0::2] = map(_visible_gap, pieces[0::2])
    pieces[1::2] = map(_visible_word, pieces[1::2])
    return pieces


def _visible_gap(gap: str) -> str:
    return gap if gap in ("", " ") else "".join(c if c in "\n\t" else visible(c) for c in gap)


def _visible_word(word: str) -> str:
    """Return a word made safe to show; one that would not show, as something that does."""
    shown = visible(word)
    return ("␣" * len(shown) if shown.isspace() else shown) or '""'


# Series -------------------------------------------------------------------------------------------


def _series(column: Sequence[Any], given: Given) -> dict[str, Any]:
    """Return names of variables and steps, and the numbers of the series."""
    a = column[0]
    by_variable = a.input_relevance is not None
    D = a.input_relevance.shape[-1] if by_variable else 1
    names = given.variables or a.feature_names
    if by_variable and names is not None and len(names) != D:
        raise ValueError(f"variables: expected {D}, one for each variable, got {len(names)}")
    values = None
    series = _input_values(column) if given.series is None else given.series
    if by_variable and series is not None:
        _check_length("series", series, len(column))
        values = packed(_joined(np.asarray(one, np.float64) for one in series))
    return {
        "variables": [visible(str(name)) for name in names] if by_variable and names else None,
        "width": D,
        "values": values,
        "names": [
            visible(", ".join(f"{name} {label}" for name, label in one.sequence_labels.items()))
            for one in column
        ],
    } | _steps(column, given)


def _input_values(column: Sequence[Any]) -> list[Any] | None:
    """Return the numbers that were explained, where all are known."""
    values = [a.input_values for a in column]
    known = all(
        one is not None and one.shape == a.input_relevance.shape[-2:] and np.isfinite(one).all()
        for one, a in zip(values, column, strict=True)
        if a.input_relevance is not None
    )
    return values if known else None


def _steps(column: Sequence[Any], given: Given) -> dict[str, Any]:
    """Return labels of steps, and where those of each series begin, or None.

    Series that have the same dates share them, and so do windows that overlap.
    """
    all_steps = given.steps or [None] * len(column)
    _check_length("steps", all_steps, len(column))
    pool: list[str] = []
    places: dict[str, int] = {}  # where a label stands in the pool
    starts: list[int | None] = []
    for a, steps in zip(column, all_steps, strict=True):
        if steps is None and a.step_labels is None:
            starts.append(None)
            continue
        labels = [visible(t) for t in checked_texts("steps", a.words if steps is None else steps)]
        if len(labels) != len(a):
            raise ValueError(f"steps: expected {len(a)}, one for each step, got {len(labels)}")
        start = places.get(labels[0], len(pool))
        known = pool[start : start + len(labels)]
        if known != labels[: len(known)]:
            start, known = len(pool), []
        for label in labels[len(known) :]:
            places[label] = len(pool)
            pool.append(label)
        starts.append(start)
    return {"steps": pool, "stepsOf": starts}
