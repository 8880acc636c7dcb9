"""What --target means."""

from __future__ import annotations

from typing import Any

import numpy as np

from lrplstm.base_model import Model
from lrplstm.cli.inputs import InputError
from lrplstm.texts import did_you_mean, shown

__all__ = ["read_target"]

_MOST_DIGITS = 18  # of a number of a class or step: all that numbers have which are any


def read_target(given: str | None, model: Model) -> Any:
    """Return what --target means."""
    if given is None or given == "all":
        return given
    outputs = model.outputs
    names = outputs.names or ()
    if given in names:
        return names.index(given)
    step, colon, class_ = given.partition(":")
    if model.every_step and colon and _is_number(step.removeprefix("-")):
        if class_ in names:
            return int(step), names.index(class_)
        if _is_number(class_):
            return int(step), int(class_)
    try:
        if "," in given and "_" not in given:  # which Python's numbers may contain
            return np.array([float(weight) for weight in given.split(",")])
    except ValueError:
        pass
    if _is_number(given.removeprefix("-")):
        return int(given)
    listed = f", one of {', '.join(names)}" if names else ""
    steps = ", STEP:CLASS" if model.every_step else ""
    raise InputError(
        f"--target: expected a class from 0 to {outputs.count - 1}{listed}{steps}, weights, "
        f"or all; got {shown(given)}{did_you_mean(given, [*names, 'all'])}"
    )


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
