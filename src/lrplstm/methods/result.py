"""The arrays of a whole batch, filled part by part, and what users see of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from lrplstm.attribution import Attribution
from lrplstm.attributions import Attributions, one_of
from lrplstm.base_model import Model
from lrplstm.input_rows import InputRows
from lrplstm.method_table import InputRelevance
from lrplstm.methods.hidden import HiddenRelevance
from lrplstm.network import ForwardPass
from lrplstm.sequences import Batch, Part, rows_of, sum_steps
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
    others: list[Array]

    def __init__(
        self, model: Model, batch: Batch, level: str, start: Target | HiddenRelevance
    ) -> None:
        self.model, self.batch, self.level, self.start = model, batch, level, start
        self._alone = len(batch) == 1
        if not self._alone:
            self._allocate()

    def _allocate(self) -> None:
        K, B, steps = self.start.count, len(self.batch), int(self.batch.offsets[-1])
        model, dtype = self.model, self.model.dtype
        scored = self.batch.score_offsets
        rows = steps if scored is None else int(scored[-1])
        self.scores = np.empty((rows if model.every_step else B, model.num_classes), dtype)
        self.token = np.empty((K, steps), dtype)
        self.input = (
            np.empty((K, steps, model.input_size), dtype) if self.level == "input" else None
        )
        self.initial = np.empty((K, B), dtype)
        self.delta = np.empty((K, B), dtype)
        forms = [model.graph.forms[name] for name in self.batch.others]
        shapes = [
            (int(other.offsets[-1]), *([form.size] if self.level == "input" else []))
            for other, form in zip(self.batch.others.values(), forms, strict=True)
        ]
        self.others = [np.empty((K, *shape), dtype) for shape in shapes]

    def put(self, part: Part, past: ForwardPass, started: Array, relevance: InputRelevance) -> None:
        """Take what was found for a part of the batch; a single sequence is all there is.

        `started` is what was shared out in each sequence, (K, B) in float64.
        """
        token, by_input, initial, _, of_others = relevance
        others = []
        for other, of_numbers in zip(self.batch.others.values(), of_others, strict=True):
            rows, offsets = rows_of(part.sequences, other.offsets)
            others.append((rows, of_numbers))
            started = started - sum_steps(of_numbers.sum(axis=-1), offsets)
        delta = past.prepared.scans.remainder(started, token, initial, part.offsets)
        if self._alone:
            self.scores, self.delta = past.scores, delta
            self.token, self.input, self.initial = token, by_input, initial
            self.others = [self._at_level(of_numbers) for _, of_numbers in others]
            return
        for whole, (rows, of_numbers) in zip(self.others, others, strict=True):
            whole[:, rows] = self._at_level(of_numbers)
        self.scores[part.rows(self.model.every_step, self.batch.score_offsets)] = past.scores
        self.token[:, part.steps] = token
        if self.input is not None:
            self.input[:, part.steps] = by_input
        self.initial[:, part.sequences] = initial
        self.delta[:, part.sequences] = delta

    def _at_level(self, of_numbers: Array) -> Array:
        """Return relevance of another input, (K, n, D), as it is asked for."""
        return of_numbers if self.level == "input" else of_numbers.sum(axis=-1)

    def attributions(self, method: str, params: dict[str, Any]) -> Attribution | Attributions:
        """Return it all, as users see it."""
        model, batch, start, scores = self.model, self.batch, self.start, self.scores
        outputs = model.outputs
        scored = batch.score_offsets
        if model.every_step and batch.padding is not None and scored is None:
            scores = batch.as_given(scores, axis=0, fill=np.nan)
            predicted = outputs.predict_given(scores)
        else:
            predicted = outputs.predict(scores)
        offsets = batch.given_offsets if scored is None else scored
        every_class = isinstance(start, Target) and start.kind == "all"

        targets = slice(None) if every_class else 0
        relevance = None if self.input is None else batch.as_given(self.input, axis=1)[targets]
        feature_names, relevance_of = {}, {}
        for (name, other), values in zip(batch.others.items(), self.others, strict=True):
            if other.names.features is not None:
                feature_names[name] = other.names.features
            is_row = model.graph.forms[name].axis is None
            rows = other.as_given(values, axis=1)[targets]
            relevance_of[name] = InputRows(rows, other.given_offsets, is_row)
        fields: dict[str, Any] = {
            "offsets": batch.given_offsets,
            "scores": scores,
            "predicted": predicted,
            "target": start.explained(predicted, offsets),
            "token_relevance": batch.as_given(self.token, axis=1)[targets],
            "input_relevance": relevance,
            "initial_relevance": self.initial[targets],
            "delta": self.delta[targets],
            "unknown": batch.unknown,
            "method": method,
            "params": params,
            "class_names": model.class_names,
            "task": model.task,
            "tokens": batch.tokens,
            "every_step": model.every_step,
            "score_offsets": batch.score_offsets,
            "input_name": model.graph.inputs[0],
            "names": batch.names,
            "other_feature_names": feature_names,
            "other_relevance": relevance_of,
        }
        return one_of(fields, 0) if batch.single else Attributions(**fields)
