"""What a model says of the variables that it reads: names, a scaler, and what NaN means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lrplstm.checks import check_choice
from lrplstm.conversion import is_array_like
from lrplstm.scaling import to_scaler
from lrplstm.tables import check_distinct
from lrplstm.texts import shown
from lrplstm.weights import Array

__all__ = ["MISSING", "check_strings", "check_variables"]

MISSING = ("error", "zero", "mask")


def check_variables(
    feature_names: Sequence[str] | None,
    scaler: Any,
    missing: str,
    size: int | None,
    embedding: Array | None,
) -> dict[str, Any]:
    """Return the three as a model keeps them, by name.

    Parameters
    ----------
    feature_names, scaler, missing
        As of `lrplstm.Model`.
    size : int, optional
        Variables that there are, where that is known.
    embedding : ndarray, optional
        Where there is one, no raw values are read.

    Raises
    ------
    TypeError, ValueError
        If they do not fit together.
    """
    check_choice("missing", missing, MISSING)
    if embedding is not None:
        for name, value in {"feature_names": feature_names, "scaler": scaler}.items():
            if value is not None:
                raise ValueError(f"{name}: expected None where there is an embedding")
        if missing != "error":
            raise ValueError("missing: expected 'error' where there is an embedding")
    names = None
    if feature_names is not None:
        names = check_strings("feature_names", feature_names)
        check_distinct("feature_names", names)
        if size is not None and len(names) != size:
            raise ValueError(f"feature_names: expected {size} names, got {len(names)}")
    if scaler is not None:
        scaler = to_scaler("scaler", scaler, size, "variables")
        if names is None:
            names = scaler.names
        else:
            scaler = scaler.of(names)
    return {"feature_names": names, "scaler": scaler, "missing": missing}


def check_strings(name: str, values: Sequence[str]) -> tuple[str, ...]:
    """Return a sequence of str, of which none is NumPy's."""
    if is_array_like(values) or isinstance(values, np.ndarray):  # columns of a DataFrame, say
        values = np.asarray(values).tolist()
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise TypeError(f"{name}: expected a sequence of str, got {type(values).__name__}")
    for position, value in enumerate(values):
        if not isinstance(value, str):
            raise TypeError(f"{name}: expected str, got {shown(value)} at position {position}")
    return tuple(map(str, values))
