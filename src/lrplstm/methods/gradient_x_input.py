"""Gradient times input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lrplstm.attribution import Attribution
from lrplstm.attributions import Attributions
from lrplstm.base_model import Model
from lrplstm.method_table import InputRelevance, Method, register
from lrplstm.methods.gradients import gradients
from lrplstm.methods.request import Request
from lrplstm.methods.signatures import typed
from lrplstm.network import ForwardPass
from lrplstm.sequences import Part
from lrplstm.weights import Array

__all__ = ["GradientXInput", "gradient_x_input"]


@register
@dataclass(frozen=True, eq=False)
class GradientXInput(Method):
    """Gradient times value, of every input and initial state."""

    name = "gradient_x_input"
    alias = "gi"
    title = "Gradient x input"
    when = "the first-order effect of each input: as fast as lrp, noisier where gates saturate"
    rest = "beyond first order"
    keep = "gradient"

    def back(self, past: ForwardPass, weighting: Array, part: Part, level: str) -> InputRelevance:
        """Return the relevance of what a part of a batch read."""
        gradient, token, states, of_others = gradients(
            past, weighting, times_input=level == "token"
        )
        initial = past.no_initial(len(weighting))
        for scan, below in states:
            if scan.starts_at_zero:
                continue
            initial += np.vecdot(below.initial_hidden, scan.initial_hidden)
            initial += np.vecdot(below.initial_cell, scan.initial_cell)
        others = tuple(g * x for g, (x, _) in zip(of_others, past.reading.others, strict=True))
        if gradient is None:
            return InputRelevance(token, None, initial, None, others)
        x = past.reading.inputs if past.values[0] is None else past.values[0]
        return InputRelevance.of_inputs(gradient * x, level, initial, None, others)


@typed
def gradient_x_input(
    model: Model,
    inputs: Any,
    target: Any = None,
    *,
    level: str | None = None,
    unknown: str | None = None,
    backend: str = "auto",
    num_threads: int | None = None,
) -> Attribution | Attributions:
    """Gradient times input: the first-order effect of each input on the explained score.

    Parameters
    ----------
    model : Model
        The network that is explained.
    inputs : one sequence, or a batch of them
        Tokens, ids, numbers or a table, in any of the forms of `lrp`.
    target : None, int, str, sequence, or "all"
        What is explained, in any of the forms of `lrp`. Default: the predicted class.
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
        `input_relevance` is gradient times input, `token_relevance` its sum over a step.

    Raises
    ------
    TypeError, ValueError
        As `lrp`.

    Notes
    -----
    Compared with LRP for LSTMs by Arras et al. 2019 (arXiv 1904.11829).

    Examples
    --------
    >>> import lrplstm
    >>> model = lrplstm.load_default()
    >>> a = lrplstm.gradient_x_input(model, "a fine film .".split(), target="all")
    >>> a.token_relevance.shape
    (5, 4)
    """
    request = Request(model, inputs, level, unknown, backend, num_threads)
    return request.explain(GradientXInput(), target)
