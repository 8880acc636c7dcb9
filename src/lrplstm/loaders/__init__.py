"""Loaders: one module for each format that models come in."""

from __future__ import annotations

from lrplstm.loaders.arras import from_arras
from lrplstm.loaders.native import load, load_default
from lrplstm.loaders.onnx import from_onnx

__all__ = ["from_arras", "from_onnx", "load", "load_default"]
