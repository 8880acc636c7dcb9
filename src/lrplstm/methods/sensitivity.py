"""Sensitivity analysis."""

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

__all__ = ["Sensitivity", "sensitivity"]


@register
@dataclass(frozen=True, eq=False)
class Sensitivity(Method):
    """Squared gradients; summed over D they are the token's."""

    name = "sensitivity"
    alias = "sa"
    title = "Sensitivity"
    when = "where a small change matters most; says nothing about for or against"
    rest = "squared gradients share out no score, so there is no rest"
    shares = False
    ends = ("", "sensitive")
    keep = "gradient"

    def back(self, past: ForwardPass, weighting: Array, part: Part, level: str) -> InputRelevance:
        """Return the relevance of what a part of a batch read."""
        gradient, _, states, of_others = gradients(past, weighting)
        others = tuple(of_other**2 for of_other in of_others)
        initial = past.no_initial(len(weighting))
        for _, below in states:
            for of_state in (below.initial_hidden, below.initial_cell):
                initial += np.vecdot(of_state, of_state)
        if level == "token":
            return InputRelevance(np.vecdot(gradient, gradient), None, initial, None, others)
        return InputRelevance.of_inputs(gradient**2, level, initial, None, others)


@typed
def sensitivity(
    model: Model,
    inputs: Any,
    target: Any = None,
    *,
    level: str | None = None,
    unknown: str | None = None,
    backend: str = "auto",
    num_threads: int | None = None,
) -> Attribution | Attributions:
    """Sensitivity analysis: the squared gradient of the explained score.

    It says where a small change would change the score most, not what speaks for it; it is never
    negative.

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
        `token_relevance` is the squared L2 norm of the gradient with respect to x_t, and
        `input_relevance` the squared partial derivatives. `initial_relevance` is the squared norm
        of the gradient with respect to the initial states.

    Raises
    ------
    TypeError, ValueError
        As `lrp`.

    Notes
    -----
    Li et al. 2016, "Visualizing and Understanding Neural Models in NLP"
    (doi 10.18653/v1/N16-1082), and Arras et al. 2017 (doi 10.18653/v1/W17-5221).

    Examples
    --------
    >>> import lrplstm
    >>> a = lrplstm.sensitivity(lrplstm.load_default(), "a fine film .".split(), target=0)
    >>> bool((a.token_relevance >= 0).all())
    True
    """
    request = Request(model, inputs, level, unknown, backend, num_threads)
    return request.explain(Sensitivity(), target)
