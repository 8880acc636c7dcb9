"""YAML from strangers: plain data alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lrplstm.storage import read_file
from lrplstm.texts import first_line

__all__ = ["read_yaml"]

_MOST_BYTES = 2**20
"""Configs and scalers of hundreds of variables have some tens of thousands."""


def read_yaml(path: Path) -> Mapping[Any, Any]:
    """Return the mapping that a YAML 1.2 file is.

    Raises
    ------
    ImportError
        If ruamel.yaml is not installed.
    ValueError
        If the file is missing, too large, something else, or asks for more than plain data.
    """
    try:
        # NeuralHydrology's own; PyYAML takes numbers such as 1e-05 for text.
        from ruamel.yaml import YAML
    except ImportError as error:
        raise ImportError(
            "reading NeuralHydrology runs needs ruamel.yaml: pip install 'lrplstm[neuralhydrology]'"
        ) from error

    content = read_file(path)
    if len(content) > _MOST_BYTES:
        raise ValueError(f"{path}: expected at most {_MOST_BYTES} bytes, got {len(content)}")
    try:
        values = YAML(typ="safe", pure=True).load(content)
    except RecursionError:
        raise ValueError(f"{path}: expected YAML, got values nested too deeply") from None
    except Exception as error:  # what is damaged can raise nearly anything
        raise ValueError(
            f"{path}: expected YAML, got something else ({first_line(error)})"
        ) from None
    if not isinstance(values, Mapping):
        raise ValueError(f"{path}: expected keys and values, got {type(values).__name__}")
    return values
