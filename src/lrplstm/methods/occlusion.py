"""Occlusion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lrplstm import network
from lrplstm.attribution import Attribution
from lrplstm.attributions import Attributions
from lrplstm.base_model import Model
from lrplstm.baselines import BASELINE, Baseline, resolve_baseline
from lrplstm.checks import check_choice
from lrplstm.copies import copies_for_steps
from lrplstm.errors import ArgumentError
from lrplstm.method_table import InputRelevance, Method, Option, register
from lrplstm.methods.perturbation import MEASURES, explained, reading_of, spread
from lrplstm.methods.request import Request
from lrplstm.methods.resuming import Resumed
from lrplstm.methods.signatures import typed
from lrplstm.network import ForwardPass
from lrplstm.sequences import Part
from lrplstm.weights import Array

__all__ = ["Occlusion", "occlusion"]


@register
@dataclass(frozen=True, eq=False)
class Occlusion(Method):
    """What a score, or probability, loses when a step, or input, is taken away."""

    name = "occlusion"
    title = "Occlusion"
    when = "what the score really loses without a step: no model of the model; slow when long"
    rest = "interactions of words"
    options = (
        BASELINE,
        Option("measure", MEASURES, "what occlusion compares (default: score)"),
    )
    keep = "states"

    baseline: Baseline
    measure: str

    @property
    def params(self) -> dict[str, Any]:
        """Its own arguments by their names."""
        return {"measure": self.measure, "baseline": self.baseline.given}

    def back(self, past: ForwardPass, weighting: Array, part: Part, level: str) -> InputRelevance:
        """Return the relevance of what a part of a batch read."""
        baseline = self.baseline.of(part)
        token = self._occlude(past, weighting, baseline, by_input=False)[..., 0]
        by_input = None
        if level == "input":
            by_input = spread(token, self._occlude(past, weighting, baseline, by_input=True))
        started = explained(past, weighting, self.measure)
        others = []
        for number, one in enumerate(self.baseline.others):
            of_rows = self._occlude_other(past, weighting, number, one.of(part), by_input=False)
            if level == "input":
                by_number = self._occlude_other(
                    past, weighting, number, one.of(part), by_input=True
                )
                of_rows = spread(of_rows[..., 0], by_number)
            others.append(of_rows)
        initial = past.no_initial(len(weighting))
        return InputRelevance(token, by_input, initial, started, tuple(others))

    def _occlude_other(
        self, past: ForwardPass, weighting: Array, number: int, baseline: Array, *, by_input: bool
    ) -> Array:
        """Take away each row, or number, of another input: its effect, (K, n, 1) or (K, n, D)."""
        reading, (x, offsets) = past.reading, past.reading.others[number]
        each = x.shape[1] if by_input else 1
        started = explained(past, weighting, self.measure)
        baseline = np.broadcast_to(baseline, x.shape)
        effects = []
        for group, row, marked, column in copies_for_steps(
            past.offsets, each, past.prepared.bytes_per_step(0), offsets
        ):
            others = [rows.of_copies(group) for rows in reading.others]
            changed = others[number].values
            taken = column[:, np.newaxis] == np.arange(each)  # of a row as a whole all are
            changed[marked] = np.where(taken, baseline[row], x[row])
            projection = reading.projection.take(reading.rows[group.steps], axis=0)
            read = reading_of(past, group, projection, tuple(others))
            run = network.forward(past.prepared, read, "nothing")
            left = explained(run, weighting[:, past.score_rows(group)], self.measure)
            effects.append(started[:, group.owner] - left)
        found = np.concatenate(effects, axis=1).astype(past.scores.dtype)
        return found.reshape(len(weighting), len(x), each)

    def _occlude(
        self, past: ForwardPass, weighting: Array, baseline: Array, *, by_input: bool
    ) -> Array:
        """Take away each step, or input: its effect, (K, steps, 1) or (K, steps, D)."""
        prepared, reading = past.prepared, past.reading
        steps, D = len(reading.rows), baseline.shape[1]
        of_baseline = prepared.project(baseline)
        each = D if by_input else 1
        started = explained(past, weighting, self.measure)
        resumed = None if prepared.entry is None else Resumed(past, prepared.entry)
        effects = []
        for group, step, marked, number in copies_for_steps(
            past.offsets, each, prepared.bytes_per_step(0)
        ):
            # Of the baseline there is one row for all steps, or one each.
            stand_ins = np.minimum(step, len(baseline) - 1)
            if by_input:
                taken = number[:, np.newaxis] == np.arange(D)
                stand_in = np.where(taken, baseline[stand_ins], past.reading.inputs[step])
                changed = prepared.project(stand_in)
            else:
                changed = of_baseline[stand_ins]
            if resumed is None:
                whole = reading.projection.take(reading.rows[group.steps], axis=0)
                whole[marked] = changed
                run = network.forward(prepared, reading_of(past, group, whole), "nothing")
            else:
                run = resumed.forward(group, step, changed)
            left = explained(run, weighting[:, past.score_rows(group)], self.measure)
            effects.append(started[:, group.owner] - left)
        found = np.concatenate(effects, axis=1).astype(past.scores.dtype)
        return found.reshape(len(weighting), steps, each)


@typed
def occlusion(
    model: Model,
    inputs: Any,
    target: Any = None,
    *,
    baseline: Any = None,
    measure: str = "score",
    level: str | None = None,
    unknown: str | None = None,
    backend: str = "auto",
    num_threads: int | None = None,
) -> Attribution | Attributions:
    """Occlusion: what the score loses when a step is taken away.

    The score with x, minus the score with x_t replaced by the baseline.

    Parameters
    ----------
    model : Model
        The network that is explained.
    inputs : one sequence, or a batch of them
        Tokens, ids, numbers or a table, in any of the forms of `lrp`.
    target : None, int, str, sequence, or "all"
        What is explained, in any of the forms of `lrp`. Default: the predicted class.
    baseline : None, str, int, array, or list of arrays
        What a step is replaced by: as for `integrated_gradients`, zeros by default.
    measure : {"score", "probability"}
        What is compared: scores, or their softmax.
    level : {"token", "input"}, optional
        One relevance for each step, or one for each input dimension as well.
    unknown : {"error", "unk", "zero"}, optional
        What to do with a token that the vocabulary lacks.
    backend : {"auto", "kernel", "reference"}
        Compiled kernels, or plain NumPy.
    num_threads : int, optional
        Threads that share the work. Default: as many as there are processors.

    Returns
    -------
    Attribution or Attributions
        Of several inputs each step, and each row, is taken away by itself, the others left as they
        are. At level "input", where each input dimension is also taken away by itself,
        `input_relevance` is what that alone does, and, in proportion to the size of that, a part of
        what all of the step together do beyond it; so it sums up to `token_relevance`.

    Raises
    ------
    TypeError, ValueError
        As `integrated_gradients`; also if `measure` is none of those above, or "probability" for a
        model of one score.

    Notes
    -----
    Li et al. 2016, "Understanding Neural Networks through Representation Erasure"
    (arXiv 1612.08220); compared with LRP by Arras et al. 2019 (arXiv 1904.11829). It takes one
    forward pass for each step, and at level "input" for each input.

    Examples
    --------
    >>> import lrplstm
    >>> model = lrplstm.load_default()
    >>> a = lrplstm.occlusion(model, "a fine film .".split(), measure="probability")
    >>> a.tokens[a.token_relevance.argmax()]
    'fine'
    """
    check_choice("measure", measure, MEASURES)
    request = Request(model, inputs, level, unknown, backend, num_threads)
    outputs = model.outputs
    if measure == "probability" and (outputs.regression or outputs.count == 1):
        what = "a regression" if outputs.regression else "one score"
        raise ArgumentError(
            "measure",
            f"expected 'score' for {what}, which has no probability, got 'probability'; two "
            "class_names make a classifier of one score",
        )
    method = Occlusion(resolve_baseline(baseline, model, request.batch), measure)
    return request.explain(method, target)
