"""How good an explanation is: measures over a corpus, each with its arrays and a plot.

>>> import lrplstm
>>> from lrplstm import evaluation
>>> sentences = lrplstm.sample_sentences()
>>> curves = evaluation.deletion_curve(
...     lrplstm.load_default(),
...     [sentence.tokens for sentence in sentences],
...     [sentence.target for sentence in sentences],
... )
>>> curves.num_correct, curves.num_wrong
(91, 86)
"""

from __future__ import annotations

from lrplstm.evaluation.agreement import Agreement, agreement
from lrplstm.evaluation.conservation import QUANTILES, Conservation, conservation
from lrplstm.evaluation.curves import SummedCurves
from lrplstm.evaluation.deletion import DeletionCurves, deletion_curve
from lrplstm.evaluation.positions import RelevanceByPosition, relevance_by_position
from lrplstm.evaluation.randomization import Randomization, randomization_test
from lrplstm.evaluation.words import RepresentativeWords, representative_words

__all__ = [
    "QUANTILES",
    "Agreement",
    "Conservation",
    "DeletionCurves",
    "Randomization",
    "RelevanceByPosition",
    "RepresentativeWords",
    "SummedCurves",
    "agreement",
    "conservation",
    "deletion_curve",
    "randomization_test",
    "relevance_by_position",
    "representative_words",
]
