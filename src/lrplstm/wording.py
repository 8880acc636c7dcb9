"""What was explained, in words: captions and the left sides of sums."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from lrplstm.method_table import TABLE
from lrplstm.outputs import Outputs
from lrplstm.weights import Array

__all__ = ["Wording"]

_MOST_SCORES = 10
"""A caption lists the scores of so many classes, not of more."""


class Wording(NamedTuple):
    """The fields of an `Attribution` that say what it is about, and that in words."""

    method: str
    outputs: Outputs
    scores: Array
    predicted: Any
    target: Any
    params: dict[str, Any]

    @property
    def every_step(self) -> bool:
        """Whether every step has scores."""
        return self.scores.ndim == 2

    @property
    def one_score(self) -> bool:
        """Whether there is one score."""
        return self.outputs.scores == 1

    @property
    def explained(self) -> str:
        """What `target` was, in words."""
        if self.target is None:
            return "given hidden relevance"
        if self.every_step:
            return self._explained_at_steps(self.target)
        if isinstance(self.target, np.ndarray):
            weights = ", ".join(f"{weight:g}" for weight in self.target)
            scores = self._only_score if self.one_score else self._scores
            return f"{scores} weighted by {weights}"
        if isinstance(self.target, str):
            return self._only_score if self._unnamed_score else f"every {self.outputs.kind}"
        if self.outputs.regression or self._unnamed_score:
            return self._output(self.target)
        predicted = " (predicted)" if self.target == self.predicted else ""
        return f"{self._class(self.target)}{predicted}"

    @property
    def _unnamed_score(self) -> bool:
        """Whether there is one score, and nothing to choose."""
        return self.outputs.count == 1

    @property
    def _scores(self) -> str:
        return "outputs" if self.outputs.regression else "scores"

    @property
    def _only_score(self) -> str:
        return self._output(0)

    def _output(self, index: Any) -> str:
        """Return a score that is a value of its own: its name and what it is."""
        if self.outputs.binary or (self.one_score and self.outputs.names is None):
            return f"the score {self.scores[0]:.3g}"
        name = self._class(index)
        named = f"the {name}" if self.one_score else f"{name}:"
        return f"{named} {self.scores[index]:.3g}"

    def _class(self, index: Any) -> str:
        """Return a class for a sentence: its name, or what else tells it from others."""
        if self.one_score and self.outputs.names is None:
            return "the score"
        if self.outputs.regression and self.outputs.names is None:
            return f"output {index}"
        return self.outputs.name(index)

    def _explained_at_steps(self, target: Any) -> str:
        """Return what was explained of the scores of all steps, in words."""
        if isinstance(target, tuple):
            step, class_ = target
            if class_ is None:
                return f"every {self.outputs.kind} at step {step}"
            score = self.scores[step, 0 if self.outputs.binary else class_]
            return f"{self._class(class_)} at step {step}: {score:.3g}"
        if isinstance(target, np.ndarray) and target.ndim == 2:
            return f"weighted {self._scores} of all steps"
        if self._unnamed_score:
            return f"{self._class(0)} at every step"
        if isinstance(target, str):
            return f"every {self.outputs.kind} at every step"
        if isinstance(target, np.ndarray):
            are_predicted = self.predicted is not None and np.array_equal(target, self.predicted)
            given = f"the {'predicted' if are_predicted else 'given'} {self.outputs.kind}"
            return f"{given} of every step"
        return f"{self._class(target)} at every step"

    @property
    def caption(self) -> str:
        """Method, what was explained, the predicted class, and the scores, in one line."""
        parts = [f"{self.method}: {self.explained}"]
        if self.every_step:
            return parts[0]
        if self._unnamed_score:
            return f"{parts[0]}; {self._only_score}" if self.target is None else parts[0]
        if self.predicted is not None and (
            not isinstance(self.target, int) or self.target != self.predicted
        ):
            parts.append(f"predicted: {self.outputs.name(int(self.predicted))}")
        if self.outputs.binary:
            parts.append(f"score: {self.scores[0]:.3g}")
        elif self.outputs.regression and isinstance(self.target, int):
            pass  # the value of the explained one stands there already
        elif len(self.scores) <= _MOST_SCORES:
            scores = (f"{self.outputs.name(c)} {score:.3g}" for c, score in enumerate(self.scores))
            parts.append(f"{self._scores}: {', '.join(scores)}")
        elif self.predicted is not None:
            parts.append(f"its score: {self.scores[self.predicted]:.3g}")
        return "; ".join(parts)

    @property
    def method_title(self) -> str:
        """What the method is called in headings."""
        method = TABLE.get(self.method)
        return (method and method.title) or self.method

    @property
    def subject(self) -> str:
        """What was explained, in as few words as possible: the name of a class, mostly."""
        if self.target is None:
            return "given hidden relevance"
        if self.every_step:
            return self._explained_at_steps(self.target)
        if isinstance(self.target, np.ndarray):
            return self._weighted(self.target)
        if self._unnamed_score:
            if self.outputs.names is not None:
                return self.outputs.name(0)
            return "the output" if self.outputs.regression else "the score"
        if isinstance(self.target, str):
            return f"every {self.outputs.kind}"
        return self._class(self.target)

    def _weighted(self, weights: Array) -> str:
        """Return what weighs the scores: one class rather than another, or the numbers."""
        first, second = np.argsort(-weights)[[0, -1]]
        if sorted(weights[weights != 0].tolist()) == [-1, 1]:
            return f"{self._class(first)} rather than {self._class(second)}"
        if len(weights) > _MOST_SCORES:
            return f"weighted {self._scores}"
        return f"{self._scores} weighted by {', '.join(f'{weight:g}' for weight in weights)}"

    @property
    def explained_score(self) -> float | None:
        """The score that was explained, where it is one."""
        if self.every_step or self.target is None:
            return None
        if isinstance(self.target, np.ndarray):
            return float(self.scores @ self.target)
        if isinstance(self.target, str):
            return float(self.scores[0]) if self._unnamed_score else None
        if self.outputs.binary:
            return float(self.scores[0] if self.target else -self.scores[0])
        return float(self.scores[self.target])

    @property
    def title(self) -> str:
        """Method, what was explained, and its score, in a few words."""
        return f"{self.method_title}: {self.subject_and_score}"

    @property
    def subject_and_score(self) -> str:
        """What was explained, whether it is what is predicted, and its score."""
        subject, score = self.subject, self.explained_score
        known = self.predicted is not None and not self.every_step and not self._unnamed_score
        is_class = isinstance(self.target, int)
        if known and is_class and self.target == self.predicted:
            subject += " (predicted)"
        if score is not None:
            value = ", value" if self.outputs.regression else ", score"
            subject += (
                f"{'' if self.outputs.names is None and self.one_score else value} {score:.3g}"
            )
        if known and not (is_class and self.target == self.predicted):
            subject += f"; predicted: {self.outputs.name(int(self.predicted))}"
        return subject

    @property
    def shared_out(self) -> str:
        """What was shared out, for the left side of a sum."""
        if self.target is None:
            return "relevance given"
        value = self.params.get("measure", "score")
        if value == "score" and self.outputs.regression:
            value = "output"
        if isinstance(self.target, np.ndarray) and self.target.dtype.kind == "f":
            value = f"weighted {self._scores}"
        elif self.every_step and not isinstance(self.target, tuple):
            value += "s of all steps"
        elif self.outputs.binary and isinstance(self.target, int):
            value += f" of {self.outputs.name(self.target)}"
        if self.method == "integrated_gradients":
            value += " minus that of the baseline"
        return value
