"""Which variable, which lag, which words, over a whole data set.

Each function takes what a method returned for a batch, and returns frozen data with `to_frame`,
`plot`, and `merge`: summaries of the parts of a corpus add up to that of the whole.

>>> import numpy as np
>>> import lrplstm
>>> from lrplstm import summary
>>> rng = np.random.default_rng(0)
>>> lstm = lrplstm.LSTMWeights(*(rng.normal(0, 0.5, s) for s in [(8, 2), (8, 2), (8,)]))
>>> model = lrplstm.LSTMModel([lstm], feature_names=["rain", "temp"])
>>> series = rng.normal(size=(100, 20, 2))
>>> parts = []
>>> for start in (0, 50):
...     attributions = lrplstm.lrp(model, series[start : start + 50])
...     parts.append(summary.variables(attributions, bootstrap=summary.Bootstrap(start=start)))
>>> whole = summary.variables(lrplstm.lrp(model, series))
>>> bool(np.allclose((parts[0] + parts[1]).mean_abs.high, whole.mean_abs.high))
True
"""

from __future__ import annotations

from lrplstm.summary.bootstrap import Bootstrap
from lrplstm.summary.estimates import Estimate
from lrplstm.summary.lags import LagHolding, LagProfile, lags
from lrplstm.summary.variables import MeanRelevance, steps, variables
from lrplstm.summary.word_lists import WordList
from lrplstm.summary.words import WordRelevance, words

__all__ = [
    "Bootstrap",
    "Estimate",
    "LagHolding",
    "LagProfile",
    "MeanRelevance",
    "WordList",
    "WordRelevance",
    "lags",
    "steps",
    "variables",
    "words",
]
