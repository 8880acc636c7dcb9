"""What a Keras model was trained for, as its loss tells."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["task_of_loss"]

# Without underscores and in lower case, so that names of functions and of classes are the same.
_REGRESSIONS = {
    "meansquarederror",
    "mse",
    "meanabsoluteerror",
    "mae",
    "meanabsolutepercentageerror",
    "mape",
    "meansquaredlogarithmicerror",
    "msle",
    "huber",
    "huberloss",
    "logcosh",
    "logcoshloss",
    "poisson",
}
_MOST_LOSSES = 64


def task_of_loss(training: Any) -> str:
    """Return "regression" for a loss, or several, of regressions, else "classification".

    Parameters
    ----------
    training
        What Keras says of how a model was compiled, as parsed JSON; anything else tells nothing.
    """
    loss = training.get("loss") if isinstance(training, dict) else None
    if isinstance(loss, dict) and "class_name" not in loss:  # by the names of outputs
        loss = list(loss.values())
    losses = loss if isinstance(loss, list) else [loss]
    names = {_name(one) for one in losses[:_MOST_LOSSES]}
    return "regression" if names and names <= _REGRESSIONS else "classification"


def _name(loss: Any) -> str:
    """Return the name of a loss: a string, an object, or a function."""
    if isinstance(loss, dict):
        name, config = loss.get("class_name"), loss.get("config")
        loss = config if name == "function" else name
        if name == "LossFunctionWrapper" and isinstance(config, dict):
            loss = config.get("fn")
    return re.sub("[^a-z]", "", loss.lower()) if isinstance(loss, str) else ""
