"""The arrays of a whole batch, filled part by part, and what users see of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from lrplstm.attribution import Attribution, Attributions, one_of
from lrplstm.base_model import Model
from lrplstm.method_table import InputRelevance
from lrplstm.methods.hidden import HiddenRelevance
from lrplstm.sequences import Batch, Part, sum_steps
from lrplstm.targets import Target
from lrplstm.weights import Array

__all__ = ["Result"]


class Result:
    """The arrays of the whole batch, filled part by part."""

    scores: Array
    token: Array
    input: Array | None
    initial: Array
    delta: Array

    def __init__(
        self, model: Model, batch: Batch, level: str, start: Target | HiddenRelevance
    ) -> None:
        self.model, self.batch, self.start = model, batch, start
        if len(batch) > 1:
            self._allocate(level)

    def _allocate(self, level: str) -> None:
        K, B, steps = self.start.count, len(self.batch), int(self.batch.offsets[-1])
        model, dtype = self.model, self.model.dtype
        self.scores = np.empty((steps if model.every_step else B, model.num_classes), dtype)
        self.token = np.empty((K, steps), dtype)
        self.input = np.empty((K, steps, model.input_size), dtype) if level == "input" else None
        self.initial = np.empty((K, B), dtype)
        self.delta = np.empty((K, B), dtype)

    def put(self, part: Part, scores: Array, started: Array, relevance: InputRelevance) -> None:
        """Take what was found for a part of the batch; a single sequence is all there is."""
        delta = started - (sum_steps(relevance.token, part.offsets) + relevance.initial)
        if len(self.batch) == 1:
            self.scores, self.delta = scores, delta.astype(scores.dtype)
            self.token, self.input, self.initial, _ = relevance
            return
        self.scores[part.rows(self.model.every_step)] = scores
        self.token[:, part.steps] = relevance.token
        if self.input is not None:
            self.input[:, part.steps] = relevance.input
        self.initial[:, part.sequences] = relevance.initial
        self.delta[:, part.sequences] = delta

    def attributions(self, method: str, params: dict[str, Any]) -> Attribution | Attributions:
        """Return it all, as users see it."""
        model, batch, start, scores = self.model, self.batch, self.start, self.scores
        outputs = model.outputs
        if model.every_step and batch.padding is not None:
            scores = batch.as_given(scores, axis=0, fill=np.nan)
            predicted = outputs.predict_given(scores)
        else:
            predicted = outputs.predict(scores)
        every_class = isinstance(start, Target) and start.kind == "all"

        def targets(array: Array) -> Array:
            return array if every_class else array[0]

        relevance = None if self.input is None else targets(batch.as_given(self.input, axis=1))
        fields: dict[str, Any] = {
            "offsets": batch.given_offsets,
            "scores": scores,
            "predicted": predicted,
            "target": start.explained(predicted, batch.given_offsets),
            "token_relevance": targets(batch.as_given(self.token, axis=1)),
            "input_relevance": relevance,
            "initial_relevance": targets(self.initial),
            "delta": targets(self.delta),
            "unknown": batch.unknown,
            "method": method,
            "params": params,
            "class_names": model.class_names,
            "task": model.task,
            "tokens": batch.tokens,
            "every_step": model.every_step,
        }
        return one_of(fields, 0) if batch.single else Attributions(**fields)
