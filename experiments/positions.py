"""Relevance by position: which parts of a sentence the methods point at.

For the predicted class of each test sentence; of absolute relevance, relative to the mean in its
sentence, and with its sign (as Arras et al. 2017, doi 10.18653/v1/W17-5221, look at positions).
"""

from __future__ import annotations

from matplotlib.figure import Figure

from experiments import report, treebank
from experiments.cases import as_methods
from lrplstm.evaluation import relevance_by_position

NAME = "positions"
BINS = 10


def main() -> None:
    """Explain, average, and write the results."""
    arguments = report.parse_arguments(NAME, __doc__)
    sentences = treebank.read_sentences(arguments.quick)
    found = relevance_by_position(
        treebank.load_model(), sentences.tokens, methods=as_methods(arguments.only), bins=BINS
    )
    print(f"{sentences.source}\n")
    parts = [f"{a:.0%} to {b:.0%}" for a, b in zip(found.edges, found.edges[1:], strict=False)]
    rows = [
        [name, *(f"{value:.2f}" for value in of_method)]
        for name, of_method in zip(found.methods, found.strength, strict=True)
    ]
    picture = Figure(figsize=(9, 5.5), layout="constrained")
    found.plot(picture.add_subplot())
    report.save(
        arguments.out,
        NAME,
        {"sentences": sentences.source} | found.to_dict(),
        {NAME: report.to_markdown(["method", *parts], rows)},
        picture,
    )


if __name__ == "__main__":
    main()
