"""Layers, of which networks are made, and the table of those there are, by their kind.

Each line below is a file of layers; whoever imports one of their own registers them too.
"""

from __future__ import annotations

from lrplstm.layers.activations import ACTIVATIONS, Activation, PReLU
from lrplstm.layers.attention import (
    AdditiveAttention,
    DotProductAttention,
    Softmax,
    WeightedSum,
)
from lrplstm.layers.base import (
    INPUTS,
    LAYERS,
    Axis,
    Form,
    Layer,
    Operation,
    Pass,
    StepsError,
    check_lengths,
    no_decomposition,
    register,
)
from lrplstm.layers.convolution import Convolution
from lrplstm.layers.dense import DenseLayer
from lrplstm.layers.folding import fold
from lrplstm.layers.joining import (
    Add,
    Average,
    Concatenate,
    ConcatenateSteps,
    Maximum,
    Multiply,
    Subtract,
)
from lrplstm.layers.normalization import Affine, LayerNormalization, RMSNormalization
from lrplstm.layers.pooling import POOLINGS, Pool
from lrplstm.layers.recurrent import GRU, LSTM, RNN, FinalState, Recurrent, directions, recurrent
from lrplstm.layers.reshaping import Flatten, Permute, Reshape, Units
from lrplstm.layers.scaling import Standardize
from lrplstm.layers.steps import Repeat, Reverse, Step, Steps
from lrplstm.layers.window_pooling import WindowPool

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
    "AdditiveAttention",
    "Affine",
    "Average",
    "Axis",
    "Concatenate",
    "ConcatenateSteps",
    "Convolution",
    "DenseLayer",
    "DotProductAttention",
    "FinalState",
    "Flatten",
    "Form",
    "Layer",
    "LayerNormalization",
    "Maximum",
    "Multiply",
    "Operation",
    "PReLU",
    "Pass",
    "Permute",
    "Pool",
    "RMSNormalization",
    "Recurrent",
    "Repeat",
    "Reshape",
    "Reverse",
    "Softmax",
    "Standardize",
    "Step",
    "Steps",
    "StepsError",
    "Subtract",
    "Units",
    "WeightedSum",
    "WindowPool",
    "check_lengths",
    "directions",
    "fold",
    "no_decomposition",
    "recurrent",
    "register",
]
