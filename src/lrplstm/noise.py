"""Random numbers for sequences, the same for a sequence whatever batch it is in."""

from __future__ import annotations

import zlib

import numpy as np

from lrplstm.sequences import Batch, Part
from lrplstm.weights import Array

__all__ = ["random_numbers"]


def random_numbers(batch: Batch, part: Part, seed: int, input_size: int) -> Array:
    """Return numbers for each input of a part, (steps, D), whose sums over D have variance 1."""
    drawn = []
    for b in np.arange(len(batch))[part.sequences]:
        content = batch.data[batch.offsets[b] : batch.offsets[b + 1]]
        if content.ndim == 2:  # features; the same numbers for a model of either precision
            content = content.astype(np.float32)
        rng = np.random.default_rng([seed, zlib.crc32(content.tobytes())])
        drawn.append(rng.normal(0, input_size**-0.5, (len(content), input_size)))
    return np.concatenate(drawn)
