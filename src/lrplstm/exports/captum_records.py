"""Explanations of texts as captum's `VisualizationDataRecord`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lrplstm.exports.needed import needed

if TYPE_CHECKING:
    from captum.attr.visualization import VisualizationDataRecord

__all__ = ["to_captum"]


def to_captum(a: Any, label: int | None) -> VisualizationDataRecord:
    """Return what `lrplstm.Attribution.to_captum` documents."""
    make = needed("captum.attr", "to_captum").visualization.VisualizationDataRecord
    if a.token_relevance.ndim == 2 or a.every_step or not isinstance(a.target, int):
        raise ValueError("target: expected one class, which captum's records are of")
    probabilities = a.outputs.probabilities(a.scores)
    largest = np.abs(a.token_relevance).max() or 1.0  # captum draws numbers from -1 to 1
    record: VisualizationDataRecord = make(
        word_attributions=a.token_relevance / largest,
        pred_prob=float(probabilities[a.predicted]),
        pred_class=a.class_name(a.predicted),
        true_class="" if label is None else a.class_name(label),
        attr_class=a.class_name(a.target),
        attr_score=float(a.token_relevance.sum()),
        raw_input_ids=a.words,
        convergence_score=float(a.delta),
    )
    return record
