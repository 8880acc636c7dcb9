"""What the scores of a model mean: classes, one of two classes, or the outputs of a regression."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from typing import Any

import numpy as np

from lrplstm.errors import ArgumentError
from lrplstm.texts import did_you_mean, shown
from lrplstm.weights import Array

__all__ = ["TASKS", "Outputs"]

TASKS = ("classification", "regression")
"""What a model is for: scores compete, and the largest is the prediction; or each is a value."""


@dataclass(frozen=True)
class Outputs:
    """What can be explained of C scores, and what it is called.

    Attributes
    ----------
    scores : int
        Their number C.
    names : tuple of str, or None
        One for each score; or, of one score s, two: class 1 is then explained by s, class 0 by -s.
    task : {"classification", "regression"}
    """

    scores: int
    names: tuple[str, ...] | None
    task: str = "classification"

    @cached_property
    def binary(self) -> bool:
        """Whether one score tells two classes apart."""
        return self.scores == 1 and self.names is not None and len(self.names) == 2

    @cached_property
    def regression(self) -> bool:
        """Whether scores are values, of which none is the prediction."""
        return self.task == "regression"

    @property
    def count(self) -> int:
        """How many can be explained, each by itself: C, or two of one score."""
        return 2 if self.binary else self.scores

    @property
    def kind(self) -> str:
        """What one of them is called."""
        return "output" if self.regression else "class"

    @property
    def several(self) -> str:
        """What more of them are called."""
        return "outputs" if self.regression else "classes"

    def name(self, index: int) -> str:
        """Return the name of one of them, or its number where they have no names.

        Below 0 is what `predict_given` says of steps that have no scores.
        """
        if index < 0:
            return "padding"
        return str(index) if self.names is None else self.names[index]

    def weights(self, chosen: Array, dtype: Any) -> Array:
        """Return how each of `chosen`, (n,), weighs the scores, (n, C)."""
        table = self._weights.get(dtype)
        if table is None:
            rows = np.array([[-1.0], [1.0]]) if self.binary else np.eye(self.scores)
            table = self._weights.setdefault(dtype, rows.astype(dtype))
        # What is none of them is of a step that is padding, which is left out afterwards.
        return table.take(chosen, axis=0, mode="clip")

    @cached_property
    def _weights(self) -> dict[Any, Array]:
        """How each of them weighs the scores, (count, C), by dtype, made when first asked for."""
        return {}

    def predict(self, scores: Array) -> Array | None:
        """Return the class that each row of scores, (n, C), speaks for; of a regression None."""
        if self.regression:
            return None
        if self.binary:
            return (scores[:, 0] > 0).astype(np.intp)
        return scores.argmax(axis=1)

    def predict_given(self, scores: Array) -> Array | None:
        """Return the same with -1 for rows of NaN, which stand for steps that are padding."""
        predicted = self.predict(scores)
        return None if predicted is None else np.where(np.isnan(scores).all(axis=1), -1, predicted)

    def probabilities(self, scores: Array) -> Array:
        """Return those of each class, (..., count), by softmax; of one score by the sigmoid."""
        values = scores.astype(np.float64)
        if self.binary:  # the softmax of -s/2 and s/2
            values = values * np.array([-0.5, 0.5])
        exponentials = np.exp(values - values.max(axis=-1, keepdims=True))
        found: Array = exponentials / exponentials.sum(axis=-1, keepdims=True)
        return found

    def index(self, argument: str, chosen: Any, hint: str = "") -> int:
        """Return which one a number or a name means.

        Raises
        ------
        ValueError
            If there is none of that number or name.
        """
        if isinstance(chosen, Integral):
            if not 0 <= int(chosen) < self.count:
                raise ArgumentError(
                    argument,
                    f"expected {self.several} from 0 to {self.count - 1}, "
                    f"got {shown(chosen)}{hint}",
                )
            return int(chosen)
        if self.names is not None and chosen in self.names:
            return self.names.index(chosen)
        if self.names is None:
            known = f"expected a number or 'all', got {shown(chosen)}: "
            known += f"the {self.several} have no names"
        else:
            listed = ", ".join(map(repr, self.names[:20]))
            listed += ", ..." if len(self.names) > 20 else ""
            known = f"expected one of {listed}, or 'all', got {shown(chosen)}"
            known += did_you_mean(str(chosen), self.names)
        raise ArgumentError(argument, known)
