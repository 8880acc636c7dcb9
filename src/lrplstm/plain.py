"""Results as strict JSON takes them: the only maker of plain lists, numbers and texts."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["plain"]


def plain(value: Any) -> Any:
    """Return arrays as lists, ready for JSON, which has no NaN and no infinity: they become None.

    Raises
    ------
    TypeError
        If it contains something that is neither number, text, bool, None, array nor a container of
        those.

    Examples
    --------
    >>> import numpy as np
    >>> plain({"curve": np.array([0.5, np.nan]), "shape": (2,)})
    {'curve': [0.5, None], 'shape': [2]}
    """
    if isinstance(value, np.ndarray | np.generic):
        if value.dtype.kind in "biuSU" or (value.dtype.kind == "f" and np.isfinite(value).all()):
            return value.tolist()
        value = value.tolist()
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(element) for key, element in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [plain(element) for element in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"expected numbers, texts, or lists of them, got {type(value).__name__}")
