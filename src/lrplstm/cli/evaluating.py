"""What the command `evaluate` does: how good model and explanations are on labelled sentences."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import numpy as np

from lrplstm.base_model import Model
from lrplstm.cli.accuracy import Accuracy
from lrplstm.cli.files import naming_output, open_outputs, requested
from lrplstm.cli.inputs import (
    STDOUT,
    InputError,
    Item,
    Naming,
    given,
    load_model,
    take_json_as_input,
)
from lrplstm.cli.named import is_arrays, items_of_arrays, items_of_lines
from lrplstm.cli.texts import open_input, read_labelled
from lrplstm.evaluation import (
    QUANTILES,
    Conservation,
    DeletionCurves,
    conservation,
    deletion_curve,
)
from lrplstm.evaluation.arguments import check_classes, check_one_row
from lrplstm.exports.json_lines import JsonLines
from lrplstm.heatmap.sheets import write_figures
from lrplstm.methods import ALIASES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["EVALUATION_FORMATS", "evaluate"]

_PICTURES = (".png", ".pdf", ".svg")
EVALUATION_FORMATS = (*_PICTURES, ".json", ".jsonl")

_HOW = {"zero": "set to zero", "remove": "taken out"}
_KEPT = {"delta": "in all", "biases": "by biases", "stabilizers": "by stabilizers"}


def evaluate(options: argparse.Namespace) -> None:
    """Show accuracy, deletion curves and conservation on a file of labelled sentences."""
    if options.file is None:
        take_json_as_input(options, "file")
    if options.file is None:
        raise InputError("expected a FILE of labelled sentences")
    outputs = requested(options, EVALUATION_FORMATS)
    model = load_model(options)
    check_one_row(model)
    labelled = not model.outputs.regression
    if labelled:
        check_classes(model.outputs)
    items = _items(options, model, labelled=labelled)
    inputs = given(items)
    methods = options.method and list({ALIASES.get(m, m): m for m in options.method}.values())
    settings: dict[str, Any] = {
        "unknown": options.unknown,
        "backend": options.backend,
        "num_threads": options.threads,
    }
    naming = Naming(options)
    with naming(items):
        predicted = model.outputs.predict(model.predict(inputs, **settings)) if labelled else None
        curves = deletion_curve(
            model,
            inputs,
            [item.label for item in items] if labelled else None,
            methods=methods,
            deletions=options.deletions,
            min_length=options.min_length,
            how=options.how,
            **settings,
        )
        kept = conservation(model, inputs, **settings)
    naming.finish()

    accuracy = Accuracy()
    accuracy.add(items, predicted)
    with open_outputs(outputs) as files:
        for output, file in zip(outputs, files, strict=True):
            with naming_output(output):
                if output.suffix in _PICTURES:
                    write_figures(file, [_figure(curves, kept)], output.suffix.removeprefix("."))
                else:
                    JsonLines(file).write([_object(len(items), accuracy, curves, kept)])
    if all(output.path != STDOUT for output in outputs):
        accuracy.show()
        _print_curves(curves)
        _print_conservation(kept)


def _items(options: argparse.Namespace, model: Model, *, labelled: bool) -> list[Item]:
    """Return what is in FILE: sentences, or what several inputs are by name."""
    if model.inputs is None:
        return read_labelled(options.file, model, ids=options.ids)
    if options.ids:
        raise InputError("--ids: expected none for inputs by name")
    if is_arrays(options.file):
        items = list(items_of_arrays(options.file, model))
    else:
        with open_input(options.file) as (name, file):
            items = list(items_of_lines(file, name, model))
    if not items:
        raise InputError(f"{options.file}: expected sequences, found none")
    lacking = next((item.name for item in items if item.label is None), None)
    if labelled and lacking is not None:
        raise InputError(f"{lacking}: expected its label")
    return items


def _object(
    sentences: int, accuracy: Accuracy, curves: DeletionCurves, kept: Conservation
) -> dict[str, Any]:
    """Return it all, ready for JSON; there is no accuracy where nothing is predicted."""
    counts: dict[str, Any] = {"sentences": sentences}
    if accuracy.count:
        counts |= {"correct": accuracy.right, "accuracy": accuracy.right / accuracy.count}
    return counts | {"deletion": curves.to_dict(), "conservation": kept.to_dict()}


def _print_curves(curves: DeletionCurves) -> None:
    heads = ["area", *map(str, range(curves.deletions + 1))]
    if curves.regression:
        print(
            f"mean score of {len(np.unique(curves.sequences))} sentences of {curves.min_length} "
            f"or more words, most relevant words {_HOW[curves.how]}"
        )
        rows = [
            [f"{number:.3f}" for number in (area, *row)]
            for area, row in zip(curves.area, curves.curve, strict=True)
        ]
        _print_table("words deleted", heads, list(curves.methods), rows)
        return
    groups = (
        ("right", "most", curves.num_correct, curves.curve_correct, curves.area_correct),
        ("wrong", "least", curves.num_wrong, curves.curve_wrong, curves.area_wrong),
    )
    for group, first, count, curve, areas in groups:
        print(
            f"\naccuracy of {count} sentences of {curves.min_length} or more words that were "
            f"{group} at first, {first} relevant words {_HOW[curves.how]}"
        )
        if count:
            rows = [
                [f"{area:.3f}", *(f"{value:.1%}" for value in row)]
                for area, row in zip(areas, curve, strict=True)
            ]
            _print_table("words deleted", heads, list(curves.methods), rows)


def _print_conservation(kept: Conservation) -> None:
    print("\nrelevance that lrp kept, as a part of the started, by quantiles of the sentences")
    heads = [f"{quantile:.0%}" for quantile in QUANTILES]
    rows = [[f"{value:.1%}" for value in kept.quantiles(part)] for part in _KEPT]
    _print_table("quantile", heads, list(_KEPT.values()), rows)


def _print_table(corner: str, heads: list[str], names: list[str], rows: list[list[str]]) -> None:
    """Print a table with names on the left, and numbers in columns as wide as they need."""
    left = max(map(len, [corner, *names]))
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    for name, row in zip([corner, *names], [heads, *rows], strict=True):
        cells = (f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True))
        print(f"{name:<{left}}  {'  '.join(cells)}")


def _figure(curves: DeletionCurves, kept: Conservation) -> Figure:
    """Draw the curves and what was kept, one under another."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(h_pad=0.12)  # inches
    groups = ["all"] if curves.regression else ["correct", "wrong"]
    rows = len(groups) + 1
    figure = Figure(figsize=(8, 10 / 3 * rows), layout=layout)
    *above, bottom = figure.subplots(rows, 1)
    for ax, group in zip(above, groups, strict=True):
        curves.plot(ax, group=group)
    kept.plot(bottom)
    return figure
