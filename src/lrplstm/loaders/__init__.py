"""Loaders: one module for each format that models come in."""

from __future__ import annotations

from lrplstm.loaders.arras import from_arras
from lrplstm.loaders.keras import from_keras
from lrplstm.loaders.native import load, load_default
from lrplstm.loaders.onnx import from_onnx
from lrplstm.loaders.pytorch import from_torch

__all__ = ["from_arras", "from_keras", "from_onnx", "from_torch", "load", "load_default"]
