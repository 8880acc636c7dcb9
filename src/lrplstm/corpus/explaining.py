"""Rows -> their explanations in Arrow's columns, and why some have none."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from lrplstm.attributions import Attributions
from lrplstm.base_model import Model
from lrplstm.corpus.columns import Columns
from lrplstm.corpus.reading import Rows
from lrplstm.corpus.sequences import Sequences, read_sequences
from lrplstm.errors import AboutArgument
from lrplstm.exports.arrow import to_arrow
from lrplstm.exports.needed import needed
from lrplstm.methods import explain
from lrplstm.texts import first_line, visible
from lrplstm.weights import Array

__all__ = ["Explained", "Task", "explained"]

_MOST_STEPS = 2**16
_MOST_NUMBERS = 2**22
"""So many steps, and numbers of relevance, are explained at a time: they take some 20 MB."""


@dataclass(frozen=True)
class Task:
    """What is done with each row.

    Attributes
    ----------
    model : Model
    method : str
    target
        As for `lrplstm.explain`.
    level, unknown : str, optional
    max_tokens : int
        Longer sequences are rejected.
    options : dict
        The method's own.
    """

    model: Model
    method: str = "lrp"
    target: Any = None
    level: str | None = None
    unknown: str | None = None
    max_tokens: int = 10_000
    options: dict[str, Any] = field(default_factory=dict)

    def explain(self, inputs: Any) -> Any:
        """Explain some sequences, in one thread: others have rows of their own."""
        given = {"level": self.level, "unknown": self.unknown, **self.options}
        given = {name: value for name, value in given.items() if value is not None}
        return explain(self.model, inputs, self.method, self.target, num_threads=1, **given)


class Explained(NamedTuple):
    """Some rows that are explained, and those that are not.

    Attributes
    ----------
    rows : ndarray of shape (n,)
        Which of the rows the table has.
    table : pyarrow.Table, or None
        As `lrplstm.exports.arrow` has it, without numbers of sequences; None where it has no row.
    rejects : dict of str by int
    steps : int
    warnings : tuple of Warning
        What was warned of.
    """

    rows: Array
    table: Any
    rejects: dict[int, str]
    steps: int = 0
    warnings: tuple[Warning, ...] = ()


def explained(task: Task, rows: Rows, columns: Columns) -> Iterator[Explained]:
    """Yield the explanations of rows, as many at a time as memory has room for."""
    sequences = read_sequences(task.model, rows.given, columns, rows.rejects, task.max_tokens)
    if sequences.rejects:
        yield Explained(np.zeros(0, np.intp), None, sequences.rejects)
    most = min(_MOST_STEPS, _MOST_NUMBERS // _numbers_a_step(task))
    ends = np.cumsum(sequences.lengths)
    first = 0
    while first < len(ends):
        before = ends[first - 1] if first else 0
        last = max(first + 1, int(ends.searchsorted(before + most, side="right")))
        yield _explained(task, sequences.taken(np.arange(first, last)))
        first = last


def _numbers_a_step(task: Task) -> int:
    """Return how many numbers of relevance a step has at most."""
    model = task.model
    width = 1 if model.embedding is not None and task.level != "input" else model.width
    return width * (model.outputs.count if task.target == "all" else 1)


def _explained(task: Task, sequences: Sequences) -> Explained:
    """Explain what can be, and say of each other why not."""
    rejects: dict[int, str] = {}
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            attributions = task.explain(sequences.inputs)
        except (ValueError, TypeError, OverflowError):
            problems = _problems(task, sequences)
            if not problems:
                raise
            good = np.setdiff1d(np.arange(len(sequences.rows)), list(problems))
            rejects = {int(sequences.rows[n]): problem for n, problem in problems.items()}
            sequences = sequences.taken(good)
            attributions = task.explain(sequences.inputs) if len(good) else None
    messages = tuple(one.message for one in warned if isinstance(one.message, Warning))
    if attributions is None:
        return Explained(sequences.rows, None, rejects, 0, messages)
    table = table_of(attributions)
    return Explained(sequences.rows, table, rejects, int(attributions.offsets[-1]), messages)


def table_of(attributions: Attributions) -> Any:
    """Return explanations as a table without numbers of sequences."""
    return to_arrow(attributions).drop_columns("sequence")


def _problems(task: Task, sequences: Sequences) -> dict[int, str]:
    """Return what is wrong with each sequence that the model cannot read."""

    def tried(read: Callable[[Any], object]) -> dict[int, str]:
        problems = {}
        for n in range(len(sequences.rows)):
            try:
                read(sequences.inputs[n])
            except AboutArgument as error:
                problems[n] = visible(error.problem())
            except (ValueError, TypeError, OverflowError) as error:
                problems[n] = first_line(error)
        return problems

    # What can be read may yet be refused, such as what is too short for a convolution.
    return tried(lambda given: task.model.encode(given, task.unknown)) or tried(task.explain)


def label_columns(rows: Rows, taken: Array) -> dict[str, Any]:
    """Return what goes with some rows: their labels, and those of their steps."""
    pyarrow = needed("pyarrow", "a corpus")
    which = pyarrow.array(taken)
    columns = {f"label.{name}": column.take(which) for name, column in rows.labels.items()}
    if rows.steps is not None:
        columns["step_labels"] = rows.steps.take(which)
    return columns
