"""What the methods share: the arguments that all have, and a batch explained part by part."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from lrplstm import network
from lrplstm.attribution import Attribution, Attributions
from lrplstm.backends import choose
from lrplstm.base_model import Model
from lrplstm.batches import for_each_part
from lrplstm.checks import check_choice, outer_level
from lrplstm.hidden import HiddenRelevance
from lrplstm.network import ForwardPass, InputRelevance
from lrplstm.sequences import Batch, Part, sum_steps
from lrplstm.targets import Target, resolve_step_target, resolve_target
from lrplstm.weights import Array

__all__ = ["LEVELS", "Backward", "Request"]

LEVELS = ("token", "input")

_GROWTH = 1e6
"""Relevance that is so many times what it started from is warned of."""

Backward = Callable[[ForwardPass, Array, Part], InputRelevance]
"""A way back: from the forward pass of a part of the batch, and what relevance or weights of the
scores it starts from (one for each target), to relevance of the inputs."""


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

    def explain(
        self,
        method: str,
        target: Any,
        backward: Backward,
        keep: str,
        params: dict[str, Any],
        *,
        needs_inputs: bool = False,
        grows: bool = False,
    ) -> Attribution | Attributions:
        """Explain the scores that `target` means.

        `backward` reads a trace that kept `keep`, and with `needs_inputs` what the network read.
        With `grows` relevance that has become far larger than what it started from is warned of.
        """
        outputs, dtype, batch = self.model.outputs, self.model.dtype, self.batch
        if self.every_step:
            is_read = None if batch.padding is None else batch.is_read
            resolved = resolve_step_target(
                target, batch.given_offsets, outputs, dtype, batch.single, is_read
            )
        else:
            resolved = resolve_target(target, len(batch), outputs, dtype)
        result = Result(self, resolved.count)

        def run(part: Part, past: ForwardPass) -> None:
            weighting = resolved.weighting(past.scores, self.rows(part))
            found = backward(past, weighting, part)
            started = found.started
            if started is None:
                started = network.weigh(self.prepared, weighting, past.scores, part.offsets)
            result.put(part, past, started, found)

        self._for_each_part(run, keep, result.targets, needs_inputs or self.level == "input")
        if grows:
            started = resolved.weigh_largest(result.scores)
            result.warn_of_growth(started, params, by_step=self.every_step)
        return result.attributions(method, params | self.params, resolved)

    def rows(self, part: Part) -> slice | Array:
        """Which rows of the batch's scores are those of a part."""
        return part.steps if self.every_step else part.sequences

    def explain_hidden(
        self,
        method: str,
        hidden: HiddenRelevance,
        backward: Backward,
        keep: str,
        params: dict[str, Any],
    ) -> Attribution | Attributions:
        """Explain given relevance of the top layer's hidden states."""
        result = Result(self, 1)

        def run(part: Part, past: ForwardPass) -> None:
            started = hidden.started(part)[np.newaxis]
            result.put(part, past, started, backward(past, hidden.of(part)[np.newaxis], part))

        self._for_each_part(run, keep, result.targets, self.level == "input")
        result.warn_of_growth(hidden.values, params, by_step=not hidden.pooled)
        params = params | self.params | {"hidden_relevance": hidden.as_given(self.batch)}
        return result.attributions(method, params, None)

    def _for_each_part(
        self, run: Callable[[Part, ForwardPass], None], keep: str, targets: int, inputs: bool
    ) -> None:
        for_each_part(
            self.prepared,
            self.batch,
            run,
            keep,
            self.threads,
            targets=targets,
            inputs=inputs,
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
        self.scores[self.request.rows(part)] = past.scores
        self.token[:, part.steps] = found.token
        if self.input is not None:
            self.input[:, part.steps] = found.input
        self.initial[:, part.sequences] = found.initial
        self.delta[:, part.sequences] = delta

    def warn_of_growth(self, started: Array, params: dict[str, Any], *, by_step: bool) -> None:
        """Warn where relevance has become far larger than what it started from.

        Parameters
        ----------
        started : ndarray of shape (B, n) or (steps, n)
            What relevance started from: scores, weighted, or given relevance.
        params : dict
            Options of `lrplstm.lrp`.
        by_step : bool
            Whether its rows are those of steps.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            bound = np.vdot(started, started) * (_GROWTH / 100) ** 2
            if np.vdot(self.token, self.token) <= bound:  # quick, and so for nearly all
                return
        offsets = self.request.batch.offsets[:-1]
        largest = np.maximum.reduceat(np.abs(self.token).max(axis=0), offsets)
        largest = np.maximum(largest, np.abs(self.delta).max(axis=0))
        scale = np.abs(started).max(axis=1)
        if by_step:
            scale = np.maximum.reduceat(scale, offsets)
        with np.errstate(divide="ignore", invalid="ignore"):
            growth = np.where(largest == 0, 0, largest / scale)
        worst = int(np.where(np.isfinite(growth), growth, np.inf).argmax())
        if growth[worst] <= _GROWTH:
            return
        name = "inputs" if self.request.batch.single else f"inputs[{worst}]"
        if np.isfinite(growth[worst]):
            delta = np.abs(self.delta[:, worst]).max()
            grew = f"grew to {growth[worst]:.1e} times what it started from, with a delta of "
            grew += f"{delta:.1e}"
        else:
            grew = "overflowed, and delta with it"
        ways = ["a larger epsilon"]
        if params["bias_factor"]:
            ways.append("a smaller bias_factor")
        if params["product_rule"] != "all":
            ways.append("product_rule='all'")
        text = (
            f"{name}: relevance {grew}; most of it comes from small denominators, not from the "
            f"inputs. It grows less with {' or '.join(ways)}, and over fewer steps"
        )
        if not np.isfinite(growth[worst]) and self.request.model.dtype == np.float32:
            text += "; a model of dtype float64 has a larger range"
        warnings.warn(text, RuntimeWarning, stacklevel=outer_level())

    def attributions(
        self, method: str, params: dict[str, Any], target: Target | None
    ) -> Attribution | Attributions:
        """Return it all, as users see it; `target` is None where hidden relevance was given."""
        batch = self.request.batch
        scores, outputs = self.scores, self.request.model.outputs
        if self.request.every_step and batch.padding is not None:
            scores = batch.as_given(scores, axis=0, fill=np.nan)
            predicted = outputs.predict_given(scores)
        else:
            predicted = outputs.predict(scores)
        every_class = target is not None and target.kind == "all"

        def targets(array: Array) -> Array:
            return array if every_class else array[0]

        relevance = None if self.input is None else targets(batch.as_given(self.input, axis=1))
        results = Attributions(
            offsets=batch.given_offsets,
            scores=scores,
            predicted=predicted,
            target=None if target is None else target.explained(predicted, batch.given_offsets),
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
