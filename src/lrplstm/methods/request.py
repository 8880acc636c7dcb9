"""What the methods share: the arguments that all have, and a batch explained part by part."""

from __future__ import annotations

from typing import Any

import numpy as np

from lrplstm import network
from lrplstm.attribution import Attribution, Attributions
from lrplstm.backends import choose
from lrplstm.base_model import Model
from lrplstm.checks import check_choice
from lrplstm.method_table import InputRelevance, Method
from lrplstm.methods.growth import warn_of_growth
from lrplstm.methods.hidden import HiddenRelevance
from lrplstm.network import ForwardPass, quiet
from lrplstm.parallel import for_each
from lrplstm.sequences import Batch, Part, sum_steps
from lrplstm.targets import Target, resolve_step_target, resolve_target
from lrplstm.weights import Array

__all__ = ["LEVELS", "Request"]

LEVELS = ("token", "input")


class Request:
    """The arguments that every method has, checked; runs a method's way back over the batch."""

    def __init__(
        self,
        model: Model,
        inputs: Any,
        level: str | None,
        unknown: str | None,
        backend: str,
        num_threads: int | None,
    ) -> None:
        if not isinstance(model, Model):
            raise TypeError(f"model: expected a Model, got {type(model).__name__}")
        if level is not None:
            check_choice("level", level, LEVELS)
        self.model = model
        self.batch: Batch = model.encoder.encode(inputs, unknown)
        self.level = level or ("input" if self.batch.from_features else "token")
        self.prepared = model.prepared(backend)
        self.threads = choose.count_threads(num_threads)
        self.every_step = self.prepared.every_step
        self.params = {
            "level": self.level,
            "unknown": unknown,
            "backend": choose.resolve(backend),
        }

    def explain(self, method: Method, target: Any | HiddenRelevance) -> Attribution | Attributions:
        """Explain the scores that `target` means, or given relevance of hidden states."""
        start = target if isinstance(target, HiddenRelevance) else self._resolve(target)
        result = Result(self, start.count)

        prepared, batch = self.prepared, self.batch
        inputs = method.needs_inputs or self.level == "input"
        source = prepared.source(batch)

        def explain_part(part: Part) -> None:
            with quiet():
                reading = network.read(prepared, batch, source, part, inputs)
                past = network.forward(prepared, reading, method.keep)
                weighting = start.weighting(past.scores, part.rows(start.by_step))
                relevance = method.back(past, weighting, part, self.level)
                started = relevance.started
                if started is None:
                    started = start.shared_out(weighting, past.scores)
                    if start.by_step:
                        started = sum_steps(started, part.offsets)
                result.put(part, past, started, relevance)

        parts = batch.parts(prepared.bytes_per_step(result.targets), self.threads)
        for_each(explain_part, parts, self.threads)
        if method.advice:
            started = start.weigh_largest(result.scores)
            warn_of_growth(
                started,
                result.token,
                result.delta,
                self.batch,
                method.advice,
                by_step=start.by_step,
            )
        return result.attributions(method.name, method.params | self.params, start)

    def _resolve(self, target: Any) -> Target:
        outputs, dtype, batch = self.model.outputs, self.model.dtype, self.batch
        if not self.every_step:
            return resolve_target(target, len(batch), outputs, dtype)
        is_read = None if batch.padding is None else batch.is_read
        return resolve_step_target(
            target, batch.given_offsets, outputs, dtype, batch.single, is_read
        )


class Result:
    """The arrays of the whole batch, filled part by part."""

    scores: Array
    token: Array
    input: Array | None
    initial: Array
    delta: Array

    def __init__(self, request: Request, targets: int) -> None:
        self.request = request
        self.targets = targets
        if len(request.batch) > 1:
            self._allocate()

    def _allocate(self) -> None:
        model, batch, dtype = self.request.model, self.request.batch, self.request.model.dtype
        B, steps = len(batch), int(batch.offsets[-1])
        rows = steps if self.request.every_step else B
        self.scores = np.empty((rows, model.num_classes), dtype)
        self.token = np.empty((self.targets, steps), dtype)
        self.input = None
        if self.request.level == "input":
            self.input = np.empty((self.targets, steps, model.input_size), dtype)
        self.initial = np.empty((self.targets, B), dtype)
        self.delta = np.empty((self.targets, B), dtype)

    def put(self, part: Part, past: ForwardPass, started: Array, found: InputRelevance) -> None:
        """Take what was found for a part of the batch; a single sequence is all there is."""
        arrived = sum_steps(found.token, part.offsets) + found.initial
        delta = started - arrived
        if len(self.request.batch) == 1:
            self.scores, (self.token, self.input, self.initial) = past.scores, found[:3]
            self.delta = delta.astype(past.scores.dtype)
            return
        self.scores[part.rows(self.request.every_step)] = past.scores
        self.token[:, part.steps] = found.token
        if self.input is not None:
            self.input[:, part.steps] = found.input
        self.initial[:, part.sequences] = found.initial
        self.delta[:, part.sequences] = delta

    def attributions(
        self, method: str, params: dict[str, Any], start: Target | HiddenRelevance
    ) -> Attribution | Attributions:
        """Return it all, as users see it; `start` is what was explained."""
        batch = self.request.batch
        scores, outputs = self.scores, self.request.model.outputs
        if self.request.every_step and batch.padding is not None:
            scores = batch.as_given(scores, axis=0, fill=np.nan)
            predicted = outputs.predict_given(scores)
        else:
            predicted = outputs.predict(scores)
        every_class = isinstance(start, Target) and start.kind == "all"

        def targets(array: Array) -> Array:
            return array if every_class else array[0]

        relevance = None if self.input is None else targets(batch.as_given(self.input, axis=1))
        results = Attributions(
            offsets=batch.given_offsets,
            scores=scores,
            predicted=predicted,
            target=start.explained(predicted, batch.given_offsets),
            token_relevance=targets(batch.as_given(self.token, axis=1)),
            input_relevance=relevance,
            initial_relevance=targets(self.initial),
            delta=targets(self.delta),
            unknown=batch.unknown,
            method=method,
            params=params,
            class_names=self.request.model.class_names,
            task=self.request.model.task,
            tokens=batch.tokens,
            every_step=self.request.every_step,
        )
        return results[0] if batch.single else results
