"""Groups: of sequences by columns, of variables by name, of steps by dates, words or a column."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lrplstm.checks import to_array
from lrplstm.errors import ArgumentError, ArgumentTypeError
from lrplstm.evaluation.arguments import check_labels
from lrplstm.step_labels import StepLabels
from lrplstm.summary.source import Source
from lrplstm.texts import did_you_mean, shown
from lrplstm.weights import Array

__all__ = [
    "OTHER",
    "PERIODS",
    "Groups",
    "SequenceGroups",
    "sequence_groups",
    "sorted_labels",
    "step_groups",
    "variable_groups",
]

OTHER = "other"
"""What variables and steps are called that are in none of the groups."""

_OF_LABELS = "prediction"
"""The column that says whether a sequence is predicted rightly."""

SEASONS = ("DJF", "MAM", "JJA", "SON")
"""The meteorological ones, by the months' initials."""


class Groups(NamedTuple):
    """Groups, and which of them each of several belongs to.

    Attributes
    ----------
    labels : tuple
    codes : ndarray of int
        Places in `labels`.
    """

    labels: tuple[Any, ...]
    codes: Array


class SequenceGroups(NamedTuple):
    """Groups of sequences by any number of columns.

    Attributes
    ----------
    columns : tuple of str
    keys : tuple of tuple
        The values of each group in the columns.
    codes : ndarray of int of shape (B,)
    """

    columns: tuple[str, ...]
    keys: tuple[tuple[Any, ...], ...]
    codes: Array


def sorted_labels(labels: Iterable[Any]) -> list[Any]:
    """Return labels in their order; by type and text where they have none."""
    listed = list(labels)
    if set(map(str, listed)) <= set(SEASONS):
        return sorted(listed, key=lambda season: SEASONS.index(str(season)))
    try:
        return sorted(listed)
    except TypeError:
        return sorted(listed, key=lambda label: (type(label).__name__, str(label)))


def coded(argument: str, column: Any, size: int, of_what: str) -> Groups:
    """Return the distinct values of a column, in order, and which each is.

    Raises
    ------
    ValueError
        If it has more or fewer values than `size`, or one is missing.
    """
    values = to_array(argument, column)
    if values.shape != (size,):
        raise ArgumentError(
            argument, f"expected a value for each of {size} {of_what}, got shape {values.shape}"
        )
    missing = np.flatnonzero(values != values)  # NaN, NaT
    if values.dtype.kind == "O":
        missing = np.array([n for n, one in enumerate(values) if one is None or one != one], int)
    if len(missing):
        raise ArgumentError(
            argument, f"expected a value for each of {size} {of_what}, got none at {missing[0]}"
        )
    if values.dtype.kind != "O":
        distinct, codes = np.unique(values, return_inverse=True)
        # What NumPy has for dates stays; numbers and texts are those of Python.
        return Groups(tuple(distinct if values.dtype.kind in "mM" else distinct.tolist()), codes)
    listed = values.tolist()
    place = {label: n for n, label in enumerate(sorted_labels(dict.fromkeys(listed)))}
    return Groups(tuple(place), np.fromiter(map(place.__getitem__, listed), np.intp, size))


def sequence_groups(source: Source, by: Any = None, labels: Any = None) -> SequenceGroups:
    """Return groups of sequences.

    Parameters
    ----------
    source : Source
    by
        The name of one of the attributions' `sequence_labels`; "target" or "predicted"; B values;
        or B values by the name of each of several columns.
    labels
        The true class of each sequence, by number or name: right and wrong ones are told apart.
    """
    columns: dict[str, Groups] = {}
    if by is not None:
        named = by if isinstance(by, Mapping) else {_name_of(by): by}
        for name, column in named.items():
            columns[str(name)] = _column(source, column, len(named) > 1)
    if labels is not None:
        columns[_OF_LABELS] = _rightness(source, labels)
    code = np.zeros(len(source), np.intp)
    for column in columns.values():
        code = code * len(column.labels) + column.codes
    distinct, code = np.unique(code, return_inverse=True)
    parts = []
    for column in reversed(columns.values()):
        distinct, own = np.divmod(distinct, len(column.labels))
        parts.append([column.labels[n] for n in own.tolist()])
    keys = tuple(zip(*reversed(parts), strict=True)) if parts else ((),)
    return SequenceGroups(tuple(columns), keys, code)


def _name_of(by: Any) -> str:
    if isinstance(by, str):
        return by
    name = getattr(by, "name", None)  # of a column of pandas or polars
    return name if isinstance(name, str) and name else "group"


def _column(source: Source, by: Any, several: bool) -> Groups:
    given = source.given
    argument = "by"
    if not isinstance(by, str):
        return coded(argument, by, len(source), "sequences")
    if by in ("target", "predicted") and by not in given.sequence_labels:
        values = getattr(given, by)
        if not isinstance(values, np.ndarray) or values.shape != (len(source),):
            raise ArgumentError(
                argument, f"expected one {by} class for each sequence, got {shown(values)}"
            )
        numbers = coded(argument, values, len(source), "sequences")
        return Groups(tuple(map(source.outputs.name, numbers.labels)), numbers.codes)
    if by not in given.sequence_labels:
        known = [*given.sequence_labels, "target", "predicted"]
        raise ArgumentError(
            argument,
            f"expected a column, or one of {', '.join(map(shown, known))}, "
            f"got {shown(by)}{did_you_mean(by, known)}",
        )
    return coded(argument, given.sequence_labels[by], len(source), "sequences")


def _rightness(source: Source, labels: Any) -> Groups:
    given = source.given
    if given.every_step:
        raise ArgumentError(
            "labels", "expected None where every step has scores, and is right or wrong by itself"
        )
    true = check_labels(labels, len(source), source.outputs)
    wrong: Array = np.asarray(given.predicted) != true
    return Groups(("right", "wrong"), wrong.astype(np.intp))


# Variables --------------------------------------------------------------------------------------


def variable_groups(
    source: Source, groups: Mapping[str, Sequence[str | int]] | None
) -> tuple[tuple[str, ...], Array]:
    """Return the names of groups of variables, and which group each of D variables is in.

    Raises
    ------
    ValueError
        If a group is empty, there is no such variable, or one is in two groups.
    """
    D = len(source.variables)
    if groups is None:
        return source.variables, np.arange(D)
    _check_mapping("groups", groups, "variables")
    codes = np.full(D, len(groups))
    for n, (name, members) in enumerate(groups.items()):
        argument = f"groups[{shown(name)}]"
        for member in _members(argument, members, "variable"):
            d = _variable(argument, source, member)
            if codes[d] == n:
                raise ArgumentError(argument, f"expected each variable once, got {shown(member)}")
            if codes[d] < len(groups):
                other = list(groups)[codes[d]]
                raise ArgumentError(
                    argument,
                    f"expected groups that share no variable, got {shown(member)} in "
                    f"{shown(other)} as well",
                )
            codes[d] = n
    return _with_other("groups", groups, codes)


def _with_other(
    argument: str, groups: Mapping[str, Any], codes: Array
) -> tuple[tuple[str, ...], Array]:
    """Return the names of groups, with one more where something is in none of them."""
    names = tuple(map(str, groups))
    if (codes == len(groups)).any():
        if OTHER in names:
            raise ArgumentError(
                argument, f"expected no group called {OTHER!r}, which is what is in none of them"
            )
        names += (OTHER,)
    return names, codes


def _check_mapping(argument: str, groups: Any, of_what: str) -> None:
    if not isinstance(groups, Mapping):
        raise ArgumentTypeError(
            argument,
            f"expected a dict of lists of {of_what} by name, got {type(groups).__name__}",
        )
    if not groups:
        raise ArgumentError(argument, "expected at least one group, got none")


def _members(argument: str, members: Any, of_what: str) -> list[Any]:
    if isinstance(members, str) or not isinstance(members, Iterable):
        raise ArgumentTypeError(argument, f"expected a list of {of_what}s, got {shown(members)}")
    listed = list(members)
    if not listed:
        raise ArgumentError(argument, f"expected at least one {of_what}, got none")
    return listed


def _variable(argument: str, source: Source, member: Any) -> int:
    """Return which variable a name, or a number, means."""
    D = len(source.variables)
    if isinstance(member, int | np.integer) and not isinstance(member, bool):
        if not 0 <= member < D:
            raise ArgumentError(argument, f"expected variables from 0 to {D - 1}, got {member}")
        return int(member)
    if member not in source.variables:
        listed = ", ".join(map(shown, source.variables[:20])) + (", ..." if D > 20 else "")
        near = did_you_mean(str(member), source.variables)
        raise ArgumentError(argument, f"expected some of {listed}, got {shown(member)}{near}")
    return source.variables.index(member)


# Steps ------------------------------------------------------------------------------------------


def _season(labels: StepLabels) -> list[str]:
    return [SEASONS[month % 12 // 3] for month in _months(labels)]


def _months(labels: StepLabels) -> list[int]:
    return [moment.month for moment in _moments(labels)]


def _moments(labels: StepLabels) -> list[Any]:
    """Return dates as those of Python, in their time zone."""
    if labels.time_zone is not None:
        return list(labels.as_array())
    return labels.values.astype("datetime64[us]").tolist()


PERIODS: dict[str, Callable[[StepLabels], list[Any]]] = {
    "year": lambda labels: [moment.year for moment in _moments(labels)],
    "season": _season,
    "month": _months,
    "weekday": lambda labels: [moment.isoweekday() for moment in _moments(labels)],
    "hour": lambda labels: [moment.hour for moment in _moments(labels)],
}
"""What steps can be grouped by that have dates."""


def step_groups(source: Source, steps: Any) -> tuple[str, Groups]:
    """Return what a grouping of steps is called, and the groups: codes of shape (steps,).

    Parameters
    ----------
    source : Source
    steps
        One of `PERIODS`; a function of one step label; lists of words by the name of each; or a
        column: an array of shape (steps,), of all sequences one after the other, or one for each
        sequence.
    """
    if isinstance(steps, str):
        return steps, _by_period(source, steps)
    if callable(steps):
        return _called(steps), _by_function(source, steps)
    if isinstance(steps, Mapping):
        return "words", _by_words(source, steps)
    name = _name_of(steps)
    if isinstance(steps, list | tuple) and steps and np.ndim(steps[0]) == 1:
        lengths = np.diff(source.offsets)
        own = np.array([np.shape(column)[:1] for column in steps]).reshape(-1)
        if not np.array_equal(own, lengths):
            raise ArgumentError(
                "steps",
                f"expected {len(lengths)} columns, of as many values as sequences have "
                "steps, got others",
            )
        steps = np.concatenate([np.asarray(column) for column in steps])
    return name, coded("steps", steps, int(source.offsets[-1]), "steps")


def _called(function: Any) -> str:
    name = getattr(function, "__name__", "")
    return name if name.isidentifier() else "group"


def _labels(source: Source) -> StepLabels:
    labels = source.given.names.steps
    if labels is None or len(labels.values) != source.offsets[-1]:
        raise ArgumentError(
            "steps",
            "expected steps that have labels, such as dates, got none; pass tables with dates, or "
            "a column of a value for each step",
        )
    return labels


def _by_period(source: Source, period: str) -> Groups:
    if period not in PERIODS:
        near = did_you_mean(period, PERIODS)
        raise ArgumentError(
            "steps",
            f"expected one of {', '.join(map(repr, PERIODS))}, a function of a step label, lists "
            f"of words, or a column, got {shown(period)}{near}",
        )
    labels = _labels(source)
    if not labels.are_dates:
        raise ArgumentError(
            "steps", f"expected steps with dates for {period!r}, got {shown(labels.values[0])}"
        )
    return _of_distinct(labels, PERIODS[period])


def _by_function(source: Source, function: Callable[[Any], Any]) -> Groups:
    def values(labels: StepLabels) -> list[Any]:
        return [function(one) for one in (_moments(labels) if labels.are_dates else labels.values)]

    return _of_distinct(_labels(source), values)


def _of_distinct(labels: StepLabels, values: Callable[[StepLabels], list[Any]]) -> Groups:
    """Return groups by a value of each label, which is found once for each distinct one."""
    distinct, place = np.unique(labels.values, return_inverse=True)
    column = values(labels._replace(values=distinct))
    as_objects = np.empty(len(column), object)
    as_objects[:] = column
    of_distinct = coded("steps", as_objects, len(distinct), "distinct labels")
    return Groups(of_distinct.labels, of_distinct.codes[place])


def _by_words(source: Source, lists: Mapping[str, Sequence[str]]) -> Groups:
    _check_mapping("steps", lists, "words")
    tokens, place = source.token_codes()
    group_of: dict[str, int] = {}
    for n, (name, words) in enumerate(lists.items()):
        argument = f"steps[{shown(name)}]"
        for word in _members(argument, words, "word"):
            if group_of.setdefault(word, n) != n:
                raise ArgumentError(
                    argument,
                    f"expected lists that share no word, got {shown(word)} in "
                    f"{shown(list(lists)[group_of[word]])} as well",
                )
    codes = np.array([group_of.get(token, len(lists)) for token in tokens])
    return Groups(*_with_other("steps", lists, codes[place]))
