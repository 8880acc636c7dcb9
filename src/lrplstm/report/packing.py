"""Numbers as short text, for a page: four characters each."""

from __future__ import annotations

from base64 import b64encode

import numpy as np
import numpy.typing as npt

__all__ = ["packed"]


def packed(numbers: npt.ArrayLike) -> str:
    """Write numbers as base64 of float32 without their last byte, rounded.

    What is left are 16 bits of precision: numbers keep four significant digits, and are written in
    four characters. Their range is that of float32.

    Parameters
    ----------
    numbers : array_like
        Finite numbers of any shape, which is not kept.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If a number is NaN, infinite, or beyond the range of float32.

    Examples
    --------
    >>> packed([1.0, -2.5])
    'AIA/ACDA'
    """
    with np.errstate(over="ignore"):
        narrow = np.asarray(numbers).astype("<f4").ravel()
    # Half of the last byte kept is added, so that what is cut off rounds to the nearest.
    bits = narrow.view("<u4") + np.uint32(0x80)
    if not np.isfinite((bits & np.uint32(0xFFFFFF00)).view("<f4")).all():
        raise ValueError("relevance: expected finite numbers of float32's range, got others")
    return b64encode(bits.view(np.uint8).reshape(-1, 4)[:, 1:].tobytes()).decode("ascii")
