"""Layers, of which networks are made, and the table of those there are, by their kind.

Each line below is a file of layers; whoever imports one of their own registers them too.
"""

from __future__ import annotations

from lrplstm.layers.base import (
    INPUTS,
    LAYERS,
    Axis,
    Form,
    Layer,
    Operation,
    Pass,
    no_decomposition,
    register,
)
from lrplstm.layers.dense import ACTIVATIONS, Activation, DenseLayer
from lrplstm.layers.joining import Add, Concatenate
from lrplstm.layers.pooling import POOLINGS, Pool
from lrplstm.layers.recurrent import GRU, LSTM, RNN, Recurrent, directions, recurrent

__all__ = [
    "ACTIVATIONS",
    "GRU",
    "INPUTS",
    "LAYERS",
    "LSTM",
    "POOLINGS",
    "RNN",
    "Activation",
    "Add",
    "Axis",
    "Concatenate",
    "DenseLayer",
    "Form",
    "Layer",
    "Operation",
    "Pass",
    "Pool",
    "Recurrent",
    "directions",
    "no_decomposition",
    "recurrent",
    "register",
]
