"""Gradient times input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lrplstm import network
from lrplstm.attribution import Attribution, Attributions
from lrplstm.base_model import Model
from lrplstm.method_table import Method, register
from lrplstm.methods.request import Request
from lrplstm.methods.signatures import typed
from lrplstm.network import ForwardPass, InputRelevance
from lrplstm.sequences import Part
from lrplstm.weights import Array

__all__ = ["GradientXInput", "gradient_x_input"]


@register
@dataclass(frozen=True, eq=False)
class GradientXInput(Method):
    """Gradient times value, of every input and initial state."""

    name = "gradient_x_input"
    alias = "gi"
    when = "the first-order effect of each input: as fast as lrp, noisier where gates saturate"
    rest = "beyond first order"
    keep = "gradient"

    def back(self, past: ForwardPass, weighting: Array, part: Part, level: str) -> InputRelevance:
        """Return the relevance of what a part of a batch read."""
        return network.gradient_x_input(past, weighting, level)


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
    model, inputs, target, level, unknown, backend, num_threads
        As for `lrp`.

    Returns
    -------
    Attribution or Attributions

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
