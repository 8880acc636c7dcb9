"""What the methods share: the arguments that all have, and a batch explained part by part."""

from __future__ import annotations

from typing import Any

import numpy as np

from lrplstm import network
from lrplstm.attribution import Attribution
from lrplstm.attributions import Attributions
from lrplstm.backends import choose
from lrplstm.base_model import Model
from lrplstm.checks import check_choice
from lrplstm.method_table import Method
from lrplstm.methods.growth import warn_of_growth
from lrplstm.methods.hidden import HiddenRelevance
from lrplstm.methods.result import Result
from lrplstm.parallel import for_each
from lrplstm.sequences import Batch, Part, sum_steps
from lrplstm.targets import Target, resolve_step_target, resolve_target

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
        self.batch: Batch = model.encode(inputs, unknown)
        self.level = level or ("input" if self.batch.any_features else "token")
        self.prepared = model.prepared(backend)
        self.threads = choose.count_threads(num_threads, len(self.batch))
        self.every_step = self.prepared.every_step
        self.params = {
            "level": self.level,
            "unknown": unknown,
            "backend": self.prepared.backend,
        }

    def explain(self, method: Method, target: Any | HiddenRelevance) -> Attribution | Attributions:
        """Explain the scores that `target` means, or given relevance of hidden states."""
        start = target if isinstance(target, HiddenRelevance) else self._resolve(target)
        result = Result(self.model, self.batch, self.level, start)

        prepared, batch, by_step = self.prepared, self.batch, start.by_step
        scored = batch.score_offsets if isinstance(start, Target) else None
        inputs = method.needs_inputs or self.level == "input"
        source = prepared.source(batch)

        def explain_part(part: Part) -> None:
            reading = network.read(prepared, batch, source, part, inputs)
            past = network.forward(prepared, reading, method.keep)
            weighting = start.weighting(past.scores, part.rows(by_step, scored))
            relevance = method.back(past, weighting, part, self.level)
            started = relevance.started
            if started is None:
                started = start.shared_out(weighting, past.scores)
                if by_step:
                    offsets = part.offsets if scored is None else past.score_offsets
                    started = sum_steps(started, offsets)
            result.put(part, past, started.astype(np.float64), relevance)

        with network.quiet():
            parts = batch.parts(prepared.bytes_per_step(start.count), self.threads)
            for_each(explain_part, parts, self.threads)
            if method.advice:
                warn_of_growth(result, method.advice)
        return result.attributions(method.name, method.params | self.params)

    def _resolve(self, target: Any) -> Target:
        outputs, dtype, batch = self.model.outputs, self.model.dtype, self.batch
        if not self.every_step:
            return resolve_target(target, len(batch), outputs, dtype)
        offsets, is_read = batch.score_offsets, None
        if offsets is None:
            offsets, is_read = batch.given_offsets, None if batch.padding is None else batch.is_read
        return resolve_step_target(target, offsets, outputs, dtype, batch.single, is_read)
