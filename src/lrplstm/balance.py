"""The sum: what was shared out, where it arrived, and what became of the rest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lrplstm.method_table import TABLE
from lrplstm.weights import Array

__all__ = ["Balance", "in_same_decimals"]

_MOST_LINES = 10
"""Of more explanations than that, only one has its line."""

_DIGITS = 3  # of the largest number of a line


class Balance(NamedTuple):
    """Where relevance came from and went, of one or more explanations of a sequence.

    Attributes
    ----------
    method : str
        One of `lrplstm.METHODS`.
    source : str
        What was shared out, such as "score".
    inputs : str
        What the relevance of the inputs is called: "words" or "steps", or "inputs" of several.
    arrived, initial, rest : ndarray of shape (K,)
        The sum over all inputs, what ended on the initial states, and `delta`.
    labels : sequence of str of length K, or None
        What the explanations are of, where there are several.
    """

    method: str
    source: str
    inputs: str
    arrived: Array
    initial: Array
    rest: Array
    labels: Sequence[str] | None

    @property
    def shares(self) -> bool:
        """Whether the method shares a score out."""
        return TABLE[self.method].shares

    @property
    def started(self) -> Array:
        """What was shared out, (K,)."""
        return self.arrived + self.initial + self.rest

    @property
    def rest_is(self) -> str:
        """What became of the rest, in words."""
        return TABLE[self.method].rest.replace("words", self.inputs)

    def lines(self) -> list[str]:
        """Return it as text: one line, or of several explanations one each below a heading.

        Examples
        --------
        >>> import numpy as np
        >>> numbers = (np.array([x]) for x in (4.24, 0.0, -1.23))
        >>> print(*Balance("lrp", "score", "words", *numbers, None).lines())
        score 3.01 = words 4.24 + initial states 0 + kept by biases and stabilizers -1.23
        """
        columns = [self.arrived, self.initial]
        if self.shares:
            columns = [self.started, *columns, self.rest]
        rows = [in_same_decimals([float(x) for x in row]) for row in zip(*columns, strict=True)]
        names = [f"sum of {self.inputs}", "initial states"]
        if self.shares:
            names = [self.source, self.inputs, "initial states", self.rest_is]
        ending = "" if self.shares else f" ({self.rest_is})"
        if self.labels is None:
            texts = [f"{name} {number}" for name, number in zip(names, rows[0], strict=True)]
            return [_sum(texts, self.shares) + ending]
        lines = [
            f"{label}: {_sum(row, self.shares)}"
            for label, row in zip(self.labels, rows, strict=True)
        ]
        if len(lines) > _MOST_LINES:  # the one that tells most
            worst = int(np.abs(self.rest if self.shares else self.arrived).argmax())
            lines = [f"of {len(lines)}, the one with the largest rest is {lines[worst]}"]
        return [_sum(names, self.shares) + ending, *lines]

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers of each explanation and the words by name; without a rest, None."""
        return {
            "shared_out": self.started if self.shares else None,
            "inputs": self.arrived,
            "initial_states": self.initial,
            "rest": self.rest if self.shares else None,
            "rest_is": self.rest_is,
        }


def _sum(terms: Sequence[str], has_total: bool) -> str:
    if not has_total:
        return ", ".join(terms)
    return f"{terms[0]} = {' + '.join(terms[1:])}".replace(" + -", " - ")


def in_same_decimals(numbers: list[float]) -> list[str]:
    """Write numbers so that a reader can add them up: all with as many decimals as the largest."""
    largest = max(map(abs, numbers), default=0.0)
    if not math.isfinite(largest) or (largest and not 1e-3 <= largest < 1e6):
        return [f"{number:.{_DIGITS}g}" for number in numbers]
    decimals = max(0, _DIGITS - 1 - math.floor(math.log10(largest))) if largest else 0
    texts = [f"{number:.{decimals}f}" for number in numbers]
    return ["0" if not float(text) else text for text in texts]
