r"""`LSTM_bidi`, `lrp_linear` and `html_heatmap` by the names of the 2017 research code.

A script or notebook written for that code (Arras et al. 2017, doi 10.18653/v1/W17-5221) runs with
its import lines replaced by one::

    from lrplstm.compat import *

This is an independent implementation of the same interface on this package's kernels; nothing of
that code is in it. New code is better off with `lrplstm.from_arras` and `lrplstm.lrp`, which take
whole batches.

Names are those of that code: e is the width of a word vector, d that of a hidden state, C the
number of classes, T the length of a sequence. Gates are in the order i, g, f, o. All numbers are
float64, whatever the dtype of the files.
"""

from __future__ import annotations

import numpy as np

from lrplstm.compat.html import getRGB, html_heatmap, rescale_score_by_abs, span_word
from lrplstm.compat.linear import lrp_linear
from lrplstm.compat.network import LSTM_bidi

__all__ = [
    "LSTM_bidi",
    "getRGB",
    "html_heatmap",
    "lrp_linear",
    "np",  # scripts that import * from the 2017 module have it from there
    "rescale_score_by_abs",
    "span_word",
]
