"""Explain what a recurrent network decided: Layer-wise Relevance Propagation and other methods.

>>> import lrplstm
>>> model = lrplstm.load_default()
>>> attribution = lrplstm.lrp(model, "a fine film .".split())
>>> attribution.tokens
['a', 'fine', 'film', '.']
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from lrplstm import layers
from lrplstm.attribution import Attribution
from lrplstm.attributions import Attributions, read_parquet
from lrplstm.base_model import Model
from lrplstm.cells import GRUWeights, RNNWeights
from lrplstm.heatmap import save_picture
from lrplstm.layers import DenseLayer
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
from lrplstm.named_inputs import Input
from lrplstm.pictures.comparison import plot_comparison
from lrplstm.report.saving import save_report
from lrplstm.scaling import Scaler
from lrplstm.sentences import Sentence, read_sentences, sample_sentences
from lrplstm.sliding import windows
from lrplstm.weights import LSTMWeights

if TYPE_CHECKING:
    from lrplstm import corpus, summary
    from lrplstm.loaders import (
        from_arras,
        from_flax,
        from_keras,
        from_neuralhydrology,
        from_onnx,
        from_torch,
        load,
        load_default,
    )
else:

    def __getattr__(name: str) -> Any:
        """Import what is asked for and large; type checkers read the lines above."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        if name in ("corpus", "summary"):
            return importlib.import_module(f"lrplstm.{name}")
        from lrplstm import loaders

        return globals().setdefault(name, getattr(loaders, name))

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


__version__ = "0.1.0"

__all__ = [
    "METHODS",
    "Attribution",
    "Attributions",
    "DenseLayer",
    "GRUWeights",
    "Input",
    "LSTMModel",
    "LSTMWeights",
    "Model",
    "RNNWeights",
    "Scaler",
    "Sentence",
    "contextual_decomposition",
    "corpus",
    "explain",
    "from_arras",
    "from_flax",
    "from_keras",
    "from_neuralhydrology",
    "from_onnx",
    "from_torch",
    "gradient_x_input",
    "integrated_gradients",
    "layers",
    "load",
    "load_default",
    "lrp",
    "occlusion",
    "plot_comparison",
    "random_relevance",
    "read_parquet",
    "read_sentences",
    "sample_sentences",
    "save_picture",
    "save_report",
    "sensitivity",
    "summary",
    "windows",
]
