"""Word deletion: does taking away the most relevant words change what the model says.

Deletes up to five words of each test sentence in order of their relevance for its true class: the
most relevant first where the model was right, the least relevant first where it was wrong (Arras et
al. 2017, doi 10.18653/v1/W17-5221).
"""

from __future__ import annotations

import time

from matplotlib.figure import Figure

from experiments import report, treebank
from experiments.cases import as_methods
from lrplstm.evaluation import DeletionCurves, deletion_curve

NAME = "word_deletion"
DELETIONS, MIN_LENGTH = 5, 10


def table(curves: DeletionCurves) -> str:
    """Return a row for each case: accuracy after deletions, and areas."""
    header = ["method"]
    for group in ("right at first", "wrong at first"):
        header += [f"{group}: accuracy after 1", "2", "5", "area"]
    rows = []
    for m, name in enumerate(curves.methods):
        row = [name]
        for curve, area in (
            (curves.curve_correct, curves.area_correct),
            (curves.curve_wrong, curves.area_wrong),
        ):
            row += [f"{curve[m, k]:.1%}" for k in (1, 2, 5)] + [f"{area[m]:.3f}"]
        rows.append(row)
    return report.to_markdown(header, rows)


def draw_picture(curves: DeletionCurves) -> Figure:
    """Draw the curves of both groups side by side."""
    figure = Figure(figsize=(13, 5), layout="constrained")
    for ax, group in zip(figure.subplots(1, 2), ("correct", "wrong"), strict=True):
        curves.plot(ax, group=group)
    return figure


def main() -> None:
    """Explain, delete, and write the results."""
    arguments = report.parse_arguments(NAME, __doc__)
    sentences = treebank.read_sentences(arguments.quick)
    model = treebank.load_model()
    start = time.perf_counter()
    curves = deletion_curve(
        model,
        sentences.tokens,
        sentences.labels,
        methods=as_methods(arguments.only),
        deletions=DELETIONS,
        min_length=MIN_LENGTH,
    )
    seconds = time.perf_counter() - start
    print(
        f"{sentences.source}: {curves.num_correct} right at first, {curves.num_wrong} wrong, of at "
        f"least {MIN_LENGTH} words; {seconds:.1f} s\n"
    )
    numbers = {"sentences": sentences.source} | curves.to_dict()
    report.save(arguments.out, NAME, numbers, {NAME: table(curves)}, draw_picture(curves))


if __name__ == "__main__":
    main()
