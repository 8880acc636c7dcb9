"""What a method returns for a batch: `Attributions`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import NoneType
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from lrplstm.attribution import Attribution
from lrplstm.exports.arrow import from_arrow
from lrplstm.exports.files import read_table
from lrplstm.exports.joining import join
from lrplstm.exports.one import batch_of_one
from lrplstm.exports.ways_out import WaysOutOfMany
from lrplstm.input_rows import InputRows
from lrplstm.pictures.plots import PlotsOfMany
from lrplstm.report.content import Given
from lrplstm.report.notebook import MOST_SEQUENCES, output
from lrplstm.report.page import write
from lrplstm.sequences import NO_NAMES, Named, Names
from lrplstm.weights import Array

__all__ = ["Attributions", "joined", "one_of", "read_parquet"]

_MOST_PRINTED = 20
"""So many sequences of a batch are printed."""

_PLAIN = {str, float, NoneType}
"""What nearly all options of a method are."""


@dataclass(frozen=True, eq=False, repr=False)
class Attributions(Named, WaysOutOfMany, PlotsOfMany, Sequence[Attribution]):
    """The attributions of a batch: a sequence of `Attribution`, and all of them in bulk.

    Steps of all sequences follow each other; sequence b has ``offsets[b]:offsets[b + 1]``. With
    pooling "none" scores and predicted classes are those of steps.

    Attributes
    ----------
    offsets : ndarray of shape (B + 1,)
    scores : ndarray of shape (B, C) or (steps, C)
    predicted : ndarray of shape (B,) or (steps,), or None
        None for a regression.
    target : ndarray of shape (B,) or (B, C), list, "all" or None
        Classes, weights, what it was for each sequence, every class, or None where hidden relevance
        was given.
    token_relevance : ndarray of shape (steps,) or (C, steps)
    input_relevance : ndarray of shape (steps, D) or (C, steps, D), or None
    initial_relevance, delta : ndarray of shape (B,) or (C, B)
    unknown : ndarray of bool of shape (steps,)
    tokens : sequence of list of str, or None
    method : str
    params : dict
    class_names : tuple of str, or None
    task : str
    every_step : bool
        Whether every step has scores: with pooling "none".
    score_offsets : ndarray of shape (B + 1,), or None
        Where sequences begin in scores and predicted classes, if their steps are not the inputs'.
    input_name : str
        Which of several inputs steps and tokens are of.
    other_relevance : dict of InputRows by str
        Of every other input: `relevance` of all its rows, and in `offsets` where sequences begin.
    names : Names
        What is seen as `feature_names`, `step_labels`, `input_values` and `sequence_labels`.
    other_feature_names : dict of tuple of str by str
        What the variables of every other input are called, of those that have names.

    Examples
    --------
    >>> import lrplstm
    >>> batch = ["a fine film .".split(), "dull .".split()]
    >>> attributions = lrplstm.lrp(lrplstm.load_default(), batch)
    >>> len(attributions), attributions.offsets, attributions[1].tokens
    (2, array([0, 4, 6]), ['dull', '.'])
    """

    offsets: Array
    scores: Array
    predicted: Array | None
    target: Array | list[Any] | str | None
    token_relevance: Array
    input_relevance: Array | None
    initial_relevance: Array
    delta: Array
    unknown: Array
    method: str
    params: dict[str, Any]
    class_names: tuple[str, ...] | None
    task: str
    tokens: Sequence[list[str]] | None
    every_step: bool
    score_offsets: Array | None = None
    input_name: str = "inputs"
    other_relevance: dict[str, InputRows] = field(default_factory=dict)
    names: Names = NO_NAMES
    other_feature_names: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __repr__(self) -> str:
        return (
            f"Attributions(method={self.method!r}, {len(self)} sequences, {self.offsets[-1]} steps)"
        )

    @overload
    def __getitem__(self, index: int) -> Attribution: ...
    @overload
    def __getitem__(self, index: slice) -> list[Attribution]: ...
    def __getitem__(self, index: int | slice) -> Attribution | list[Attribution]:
        if isinstance(index, slice):
            return [self[b] for b in range(*index.indices(len(self)))]
        try:
            b = range(len(self))[index]  # also counts from the end
        except IndexError:
            raise IndexError(f"expected one of {len(self)} sequences, got {index}") from None
        return one_of(vars(self), b)

    def __iter__(self) -> Iterator[Attribution]:
        return (self[b] for b in range(len(self)))

    def save_html(
        self,
        path: str | os.PathLike[str],
        *,
        title: str = "What speaks for it",
        texts: Sequence[str | None] | None = None,
        series: Sequence[npt.ArrayLike] | None = None,
        labels: Sequence[int | str | float | None] | None = None,
    ) -> None:
        """Write a page of its own, a report: rows are drawn as they come into view.

        With target "all" its reader chooses the class. `lrplstm.save_report` explains by several
        methods for it.

        Parameters
        ----------
        path : str or path-like
            File to write, such as ``"report.html"``.
        title : str
            Heading of the page.
        texts : sequence of str or None, optional
            What tokens were made of, shown as they were written. Default: tokens with spaces
            between.
        series : sequence of array of shape (T, D), optional
            The numbers themselves, drawn over their relevance.
        labels : sequence of int, str, float or None, optional
            The classes that are right, by number or name; of a regression the values that are.

        Raises
        ------
        ValueError
            If a relevance is not finite, or there is not one text, series or label for each
            sequence.
        OSError
            If the file cannot be written.

        Examples
        --------
        >>> import pathlib, tempfile
        >>> import lrplstm
        >>> model = lrplstm.load_default()
        >>> texts = ["A fine film.", "Dull!"]
        >>> batch = lrplstm.lrp(model, model.tokenize(texts), "all")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     batch.save_html(pathlib.Path(folder, "report.html"), texts=texts)
        """
        write(path, [list(self)], Given(texts, series, labels), title=title)

    def _repr_html_(self) -> str | None:
        return output(self[:MOST_SEQUENCES], len(self))  # of None a notebook shows its repr

    def __str__(self) -> str:
        parts = [f"{a.caption}\n{a}" for a in self[:_MOST_PRINTED]]
        if len(self) > _MOST_PRINTED:
            parts.append(f"... and {len(self) - _MOST_PRINTED:,} more; save_html(path) writes all")
        return "\n\n".join(parts)


def one_of(several: Mapping[str, Any], b: int) -> Attribution:
    """Return what one sequence has of the fields of `Attributions`, all arrays its own."""
    steps, scored = _rows_of(several["offsets"], b), several["score_offsets"]
    every_step, tokens = several["every_step"], several["tokens"]
    rows = b if not every_step else steps if scored is None else _rows_of(scored, b)
    predicted = several["predicted"]
    if predicted is not None:
        predicted = predicted[rows].copy() if every_step else predicted.item(b)
    by_input = several["input_relevance"]
    one = object.__new__(Attribution)
    # As its constructor would, which sets each field of frozen data by a call.
    vars(one).update(
        tokens=None if tokens is None else list(tokens[b]),
        unknown=several["unknown"][steps].copy(),
        scores=several["scores"][rows].copy(),
        predicted=predicted,
        target=_target_of(several["target"], b),
        token_relevance=several["token_relevance"][..., steps].copy(),
        input_relevance=None if by_input is None else by_input[..., steps, :].copy(),
        initial_relevance=_number_or_row(several["initial_relevance"], b),
        delta=_number_or_row(several["delta"], b),
        method=several["method"],
        params=_own(several["params"], b),
        class_names=several["class_names"],
        task=several["task"],
        input_name=several["input_name"],
        other_relevance=_of_others(several, b),
        names=several["names"].of(b, steps),
        other_feature_names=several["other_feature_names"],
    )
    return one


def _rows_of(offsets: Array, b: int) -> slice:
    return slice(offsets.item(b), offsets.item(b + 1))


def _of_others(several: Mapping[str, Any], b: int) -> dict[str, Array]:
    """Return the relevance of every other input."""
    others, axis = several["other_relevance"], several["token_relevance"].ndim - 1
    return {name: rows.of(b, axis) for name, rows in others.items()} if others else {}


def _target_of(target: Any, b: int) -> Any:
    """Return what was explained of one sequence."""
    if isinstance(target, np.ndarray):
        return target.item(b) if target.ndim == 1 else target[b].copy()
    return _own(target, b)


def _own(value: Any, b: int) -> Any:
    """Return what belongs to a sequence, if the value is a list for each; an array as a copy."""
    if isinstance(value, dict):
        return {name: one if type(one) in _PLAIN else _own(one, b) for name, one in value.items()}
    if isinstance(value, list):
        value = value[b]
    return value.copy() if isinstance(value, np.ndarray) else value


def _number_or_row(values: Array, b: int) -> Any:
    return values.item(b) if values.ndim == 1 else values[:, b].copy()


def joined(several: Sequence[Attribution | Attributions]) -> Attributions:
    """Return several explanations as one batch, in their order.

    Parameters
    ----------
    several : sequence of Attribution or Attributions
        Of one method, and of one kind of target: the same model explained them.

    Raises
    ------
    TypeError
        If one is something else.
    ValueError
        If there is none, or they are not of one kind.

    Examples
    --------
    >>> import lrplstm
    >>> model = lrplstm.load_default()
    >>> parts = [lrplstm.lrp(model, ["fine", "."]), lrplstm.lrp(model, [["dull"], ["a", "film"]])]
    >>> joined(parts)
    Attributions(method='lrp', 3 sequences, 5 steps)
    """
    if not several:
        raise ValueError("several: expected at least one explanation, got none")
    batches: list[Attributions] = []
    for n, one in enumerate(several):
        if isinstance(one, Attribution):
            one = Attributions(**batch_of_one(one))
        if not isinstance(one, Attributions):
            raise TypeError(f"several[{n}]: expected an Attribution, got {type(one).__name__}")
        batches.append(one)
    return Attributions(**join(batches))


def read_parquet(path: str | os.PathLike[str]) -> Attributions:
    """Read what `Attributions.to_parquet`, or ``lrplstm explain --out x.parquet``, wrote.

    Parameters
    ----------
    path : str or path
        A file, or a folder of files.

    Returns
    -------
    Attributions
        As it was written; arrays in `params` are lists.

    Raises
    ------
    ImportError
        Without pyarrow.
    OSError
        If it cannot be read.
    ValueError
        If it is something else, or was written by a newer version.

    Examples
    --------
    >>> import tempfile
    >>> import lrplstm
    >>> batch = lrplstm.lrp(lrplstm.load_default(), [["fine", "."], ["dull"]])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     batch.to_parquet(f"{folder}/a.parquet")
    ...     lrplstm.read_parquet(f"{folder}/a.parquet")
    Attributions(method='lrp', 2 sequences, 3 steps)
    """
    return Attributions(**from_arrow(read_table(path), os.fspath(path)))
