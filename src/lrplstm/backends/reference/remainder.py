"""What did not arrive of what was shared out."""

from __future__ import annotations

from lrplstm.sequences import sum_steps
from lrplstm.weights import Array

__all__ = ["remainder"]


def remainder(shared: Array, token: Array, initial: Array, offsets: Array) -> Array:
    """Return what each sequence was given and did not hand on; see `lrplstm.scans`."""
    delta: Array = (shared - sum_steps(token, offsets) - initial).astype(token.dtype)
    return delta
