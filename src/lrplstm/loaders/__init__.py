"""Loaders: one module for each format that models come in."""

from __future__ import annotations

from lrplstm.loaders.arras import from_arras
from lrplstm.loaders.keras import from_keras
from lrplstm.loaders.native import load, load_default

__all__ = ["from_arras", "from_keras", "load", "load_default"]
