"""What summaries read: the relevance of all steps of many sequences, and what is known of these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np

from lrplstm.attribution import Attribution
from lrplstm.attributions import Attributions, joined
from lrplstm.checks import check_choice
from lrplstm.errors import ArgumentError, ArgumentTypeError
from lrplstm.outputs import Outputs
from lrplstm.sequences import Values, Words, locate
from lrplstm.tables import check_distinct
from lrplstm.texts import shown
from lrplstm.weights import Array

__all__ = ["ALL_VARIABLES", "Source", "read_source"]

ALL_VARIABLES = "all"
"""What the one variable is called of relevance that is known of whole steps only."""


@dataclass(frozen=True, eq=False)
class Source:
    """Relevance of all steps, those of one sequence after those of another.

    Attributes
    ----------
    given : Attributions
    relevance : ndarray of shape (C, steps, D)
        C rows, one for each class that was explained by itself, of D variables.
    offsets : ndarray of shape (B + 1,)
    classes : tuple of str of length C, or None
        None where there is one row that need not be told from others.
    variables : tuple of str of length D
    values : Values, or None
        What variables were at each step.
    """

    given: Attributions
    relevance: Array
    offsets: Array
    classes: tuple[str, ...] | None
    variables: tuple[str, ...]
    values: Values | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def outputs(self) -> Outputs:
        """What the scores mean."""
        return Outputs(self.given.scores.shape[-1], self.given.class_names, self.given.task)

    def of_steps(self, first: int, last: int) -> Array:
        """Return the relevance at some steps in float64, steps first: (n, C, D).

        Raises
        ------
        ValueError
            If it is not finite, with where that is.
        """
        part = self.relevance[:, first:last]
        if not np.isfinite(part).all():
            self._refuse(first)
        return np.moveaxis(part, 0, 1).astype(np.float64)

    def of_words(self) -> Array:
        """Return the relevance of whole steps in float64: (C, steps).

        Raises
        ------
        ValueError
            If it is not finite, with where that is.
        """
        relevance = np.atleast_2d(self.given.token_relevance)
        if not np.isfinite(relevance).all():
            replace(self, relevance=relevance[..., np.newaxis], variables=(ALL_VARIABLES,))._refuse(
                0
            )
        return relevance.astype(np.float64)

    def values_at(self, rows: Array) -> Array | None:
        """Return what the variables were at some steps, (n, D); None where that is not known."""
        if self.values is None:
            return None
        table, row_of = self.values
        return table[rows if row_of is None else row_of[rows]].astype(np.float64)

    def _refuse(self, first: int) -> None:
        """Raise an error that names the first relevance from a step on that is not finite."""
        row, step, variable = np.argwhere(~np.isfinite(self.relevance[:, first:]))[0].tolist()
        step += first
        b, t = locate(step, self.offsets)
        labels, place = self.given.names.steps, str(t)
        if labels is not None and len(labels.values) == self.relevance.shape[1]:
            place = labels.take(slice(step, step + 1)).texts()[0]
        raise ArgumentError(
            f"attributions[{b}]",
            f"expected finite relevance, got {self.relevance[row, step, variable]} of variable "
            f"{shown(self.variables[variable])} at step {place}; leave the sequence out, or "
            "explain it by a model of dtype float64, whose range is larger",
        )

    def token_codes(self) -> tuple[tuple[str, ...], Array]:
        """Return the distinct tokens, and which of them each step is, (steps,).

        Raises
        ------
        ValueError
            If what was explained were no words.
        """
        tokens = self.given.tokens
        if tokens is None:
            raise ArgumentError("attributions", "expected those of words, got those of numbers")
        if isinstance(tokens, Words):
            ids, codes = np.unique(tokens.ids, return_inverse=True)
            return tuple(tokens.vocabulary[id_] for id_ in ids.tolist()), codes
        place: dict[str, int] = dict.fromkeys(chain.from_iterable(tokens), 0)
        place = {token: n for n, token in enumerate(place)}
        found = map(place.__getitem__, chain.from_iterable(tokens))
        return tuple(place), np.fromiter(found, np.intp, int(self.offsets[-1]))


def read_source(attributions: Any, input: str | None = None) -> Source:
    """Return what summaries read of explanations.

    Parameters
    ----------
    attributions : Attributions, Attribution, or sequence of these
    input : str, optional
        Which of several inputs. Default: the one that steps are of.

    Raises
    ------
    TypeError
        If it is something else.
    ValueError
        If two variables have one name, or there is no such input.
    """
    given = _as_batch(attributions)
    values = None
    if input is None or input == given.input_name:
        by_variable, of_steps = given.input_relevance, given.token_relevance
        relevance = of_steps[..., np.newaxis] if by_variable is None else by_variable
        offsets, names = given.offsets, given.feature_names
        if by_variable is not None:
            values = given.names.values
    else:
        check_choice("input", input, [given.input_name, *given.other_relevance])
        rows = given.other_relevance[input]
        by_variable = rows.relevance if given.input_relevance is not None else None
        relevance = rows.relevance[..., np.newaxis] if by_variable is None else by_variable
        offsets, names = rows.offsets, given.other_feature_names.get(input)
    several = given.token_relevance.ndim == 2
    if not several:
        relevance = relevance[np.newaxis]
    D = relevance.shape[-1]
    if by_variable is None:
        names = (ALL_VARIABLES,)
    elif names is None:
        names = tuple(f"variable {d}" for d in range(D))
    check_distinct("attributions", names)
    classes = _classes(given) if several else None
    return Source(given, relevance, offsets, classes, names, values)


def _as_batch(attributions: Any) -> Attributions:
    if isinstance(attributions, Attributions):
        return attributions
    if isinstance(attributions, Attribution):
        return joined([attributions])
    if isinstance(attributions, Sequence) and not isinstance(attributions, str | bytes):
        if not attributions:
            raise ArgumentError("attributions", "expected at least one, got none")
        for one in attributions:
            if not isinstance(one, Attribution | Attributions):
                raise ArgumentTypeError(
                    "attributions", f"expected Attributions, got a list of {type(one).__name__}"
                )
        return joined(attributions)
    raise ArgumentTypeError(
        "attributions", f"expected Attributions, got {type(attributions).__name__}"
    )


def _classes(given: Attributions) -> tuple[str, ...] | None:
    """Return what the rows are called that were explained each by itself."""
    outputs = Outputs(given.scores.shape[-1], given.class_names, given.task)
    rows = len(given.token_relevance)
    if rows == 1 and given.class_names is None:
        return None
    prefix = "output " if given.class_names is None and outputs.regression else ""
    return tuple(f"{prefix}{outputs.name(k)}" for k in range(rows))
