"""Random relevance: the same for a sequence whatever batch it is in."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from lrplstm.attribution import Attribution
from lrplstm.attributions import Attributions
from lrplstm.base_model import Model
from lrplstm.checks import to_int
from lrplstm.method_table import InputRelevance, Method, Option, register
from lrplstm.methods.request import Request
from lrplstm.methods.signatures import typed
from lrplstm.network import ForwardPass
from lrplstm.sequences import Batch, Part
from lrplstm.weights import Array

__all__ = ["RandomRelevance", "random_relevance"]


@register
@dataclass(frozen=True, eq=False)
class RandomRelevance(Method):
    """Normal numbers that depend on the seed and on the content of a sequence alone."""

    name = "random"
    title = "Random"
    when = "noise: what the others must be better than"
    rest = "noise shares out no score, so there is no rest"
    shares = False
    options = (Option("seed", int, "of --method random (default: 0)"),)

    seed: int
    batch: Batch

    @property
    def params(self) -> dict[str, Any]:
        """Its own arguments by their names."""
        return {"seed": self.seed}

    def back(self, past: ForwardPass, weighting: Array, part: Part, level: str) -> InputRelevance:
        """Return the relevance of what a part of a batch read."""
        widths = [past.prepared.input_size, *(x.shape[1] for x, _ in past.reading.others)]
        batches = (self.batch, *self.batch.others.values())
        noise, *others = (
            np.repeat(
                _random_numbers(batch, part, self.seed, width)[np.newaxis].astype(
                    past.scores.dtype
                ),
                len(weighting),
                axis=0,
            )
            for batch, width in zip(batches, widths, strict=True)
        )
        initial = past.no_initial(len(weighting))
        return InputRelevance.of_inputs(noise, level, initial, None, tuple(others))


def _random_numbers(batch: Batch, part: Part, seed: int, input_size: int) -> Array:
    """Return numbers for each input of a part, (steps, D), whose sums over D have variance 1."""
    drawn = []
    for b in np.arange(len(batch))[part.sequences]:
        content = batch.data[batch.offsets[b] : batch.offsets[b + 1]]
        if content.ndim == 2:  # features; the same numbers for a model of either precision
            content = content.astype(np.float32)
        rng = np.random.default_rng([seed, zlib.crc32(content.tobytes())])
        drawn.append(rng.normal(0, input_size**-0.5, (len(content), input_size)))
    return np.concatenate(drawn)


@typed
def random_relevance(
    model: Model,
    inputs: Any,
    target: Any = None,
    *,
    seed: int = 0,
    level: str | None = None,
    unknown: str | None = None,
    backend: str = "auto",
    num_threads: int | None = None,
) -> Attribution | Attributions:
    """Random relevance: what any method must be better than.

    Normal numbers that depend on the seed and on the sequence alone, so neither on the target nor
    on the batch that the sequence is in.

    Parameters
    ----------
    model : Model
        The network that is explained.
    inputs : one sequence, or a batch of them
        Tokens, ids, numbers or a table, in any of the forms of `lrp`.
    target : None, int, str, sequence, or "all"
        What is explained, in any of the forms of `lrp`. Default: the predicted class.
    seed : int
        At least 0; another one gives other numbers.
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
        `token_relevance` has mean 0 and variance 1.

    Raises
    ------
    TypeError, ValueError
        As `lrp`; also if `seed` is not an integer of at least 0.

    Examples
    --------
    >>> import lrplstm
    >>> model = lrplstm.load_default()
    >>> a, b = (lrplstm.random_relevance(model, ["fine", "."], seed=s) for s in (0, 1))
    >>> bool((a.token_relevance == b.token_relevance).any())
    False
    """
    seed = to_int("seed", seed, 0)
    request = Request(model, inputs, level, unknown, backend, num_threads)
    return request.explain(RandomRelevance(seed, request.batch), target)
