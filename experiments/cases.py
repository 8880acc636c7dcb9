"""What the experiments compare: the methods, and for LRP the rules for products."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any, cast

import lrplstm

# LRP-prop does, and results show what comes of it.
warnings.filterwarnings("ignore", "inputs.*: relevance (grew|overflowed)", RuntimeWarning)

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "LRP-all": ("lrp", {}),
    "LRP-prop": ("lrp", {"product_rule": "prop"}),
    "LRP-abs": ("lrp", {"product_rule": "abs"}),
    "LRP-half": ("lrp", {"product_rule": "half"}),
    "gradient x input": ("gradient_x_input", {}),
    "integrated gradients": ("integrated_gradients", {}),
    "occlusion": ("occlusion", {}),
    "contextual decomposition": ("contextual_decomposition", {}),
    "sensitivity": ("sensitivity", {}),
    "random": ("random", {}),
}
"""Names in tables and pictures -> method of the package, and its options."""


def explain(
    case: str, model: lrplstm.LSTMModel, inputs: Any, target: Any = None, **lrp_options: Any
) -> lrplstm.Attributions:
    """Explain a batch, one relevance for each step; `lrp_options` are for the cases of LRP."""
    method, options = CASES[case]
    if method == "lrp":
        options = options | lrp_options
    found = lrplstm.explain(model, inputs, method, target, level="token", **options)
    return cast(lrplstm.Attributions, found)


def as_methods(cases: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return cases as `lrplstm.evaluation` takes methods."""
    return {case: {"method": CASES[case][0], **CASES[case][1]} for case in cases}
