"""Which loader reads what lies at a path."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lrplstm.loaders.arras import from_arras
from lrplstm.loaders.keras import from_keras
from lrplstm.loaders.native import load
from lrplstm.loaders.onnx import from_onnx
from lrplstm.loaders.pytorch import from_torch
from lrplstm.model import LSTMModel
from lrplstm.texts import with_visible_errors

__all__ = ["SUFFIXES", "loader_of", "read_model"]

SUFFIXES: dict[str, Callable[..., LSTMModel]] = {
    ".keras": from_keras,
    ".h5": from_keras,
    ".hdf5": from_keras,
    ".onnx": from_onnx,
    ".safetensors": from_torch,
    ".pt": from_torch,
    ".pth": from_torch,
    ".bin": from_torch,
    ".ckpt": from_torch,
}
"""The loader of files by how their names end."""


@with_visible_errors
def loader_of(path: str | os.PathLike[str]) -> Callable[..., LSTMModel]:
    """Return the loader for a folder or file.

    Raises
    ------
    ValueError
        If it is a file whose name ends in none of `SUFFIXES`.
    """
    path = Path(path)
    loader = SUFFIXES.get(path.suffix.lower())
    if loader is not None and not os.path.isdir(path):
        return loader
    if os.path.isfile(path):
        raise ValueError(
            f"{path}: expected a model folder or a file that ends in {', '.join(SUFFIXES)}"
        )
    is_2017 = os.path.isfile(path / "model") and not os.path.exists(path / "config.json")
    return from_arras if is_2017 else load


def read_model(path: str | os.PathLike[str], **options: Any) -> LSTMModel:
    """Read a model in any format; `options` are those of its loader."""
    return loader_of(path)(path, **options)
