"""Explanations as pictures for papers: with matplotlib, and as LaTeX.

`lrplstm.heatmap` draws words and numbers; here is which of them an explanation shows. Each module
imports only from those above it:

``parts``
    What one explanation says, row by row: words as they were written, labels, scores.
``words``
    Pictures of words: one explanation, a batch, several explanations of one sentence.
``series``
    The same of series.
``sums``
    What adds up to a score.
``plots``
    What `lrplstm.Attribution` and `lrplstm.Attributions` can do.
``comparison``
    `plot_comparison`: several methods or classes side by side.
"""
