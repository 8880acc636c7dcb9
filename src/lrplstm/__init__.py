"""Explain what an LSTM decided: Layer-wise Relevance Propagation, sensitivity analysis and others.

>>> import lrplstm
>>> model = lrplstm.load_default()
>>> attribution = lrplstm.lrp(model, "a fine film .".split())
>>> attribution.tokens
['a', 'fine', 'film', '.']
"""

from __future__ import annotations

from lrplstm import layers
from lrplstm.attribution import Attribution, Attributions
from lrplstm.base_model import Model
from lrplstm.layers import DenseLayer
from lrplstm.loaders import (
    from_arras,
    from_keras,
    from_onnx,
    from_torch,
    load,
    load_default,
)
from lrplstm.methods import (
    METHODS,
    contextual_decomposition,
    explain,
    gradient_x_input,
    integrated_gradients,
    lrp,
    occlusion,
    random_relevance,
    sensitivity,
)
from lrplstm.model import LSTMModel
from lrplstm.sentences import Sentence, read_sentences, sample_sentences
from lrplstm.weights import LSTMWeights

__version__ = "0.1.0"

__all__ = [
    "METHODS",
    "Attribution",
    "Attributions",
    "DenseLayer",
    "LSTMModel",
    "LSTMWeights",
    "Model",
    "Sentence",
    "contextual_decomposition",
    "explain",
    "from_arras",
    "from_keras",
    "from_onnx",
    "from_torch",
    "gradient_x_input",
    "integrated_gradients",
    "layers",
    "load",
    "load_default",
    "lrp",
    "occlusion",
    "random_relevance",
    "read_sentences",
    "sample_sentences",
    "sensitivity",
]
