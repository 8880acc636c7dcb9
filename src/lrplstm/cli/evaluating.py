"""What the command `evaluate` does: how good model and explanations are on labelled sentences."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

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
from lrplstm.cli.progress import Progress
from lrplstm.cli.texts import Portions, labelled_items, open_input
from lrplstm.corpus.opening import Corpus
from lrplstm.corpus.storage import folder_at
from lrplstm.evaluation import (
    QUANTILES,
    Conservation,
    SummedCurves,
    conservation,
    deletion_curve,
)
from lrplstm.evaluation.arguments import check_classes, check_one_row
from lrplstm.exports.json_lines import JsonLines
from lrplstm.heatmap.sheets import write_figures
from lrplstm.methods import ALIASES
from lrplstm.weights import Array

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
    methods = options.method and list({ALIASES.get(m, m): m for m in options.method}.values())
    settings: dict[str, Any] = {
        "unknown": options.unknown,
        "backend": options.backend,
        "num_threads": options.threads,
    }
    naming, found = Naming(options), _Found()
    bar = Progress(sys.stderr, "sentences", shown=sys.stderr.isatty())
    with bar, _portions(options, model) as portions:
        for items in portions:
            _check_labels(items, labelled=labelled)
            inputs = given(items)
            longest = max(len(item.sequence) for item in items)
            with naming(items):
                predicted = (
                    model.outputs.predict(model.predict(inputs, **settings)) if labelled else None
                )
                if longest >= options.min_length or options.min_length < options.deletions:
                    deleted = deletion_curve(
                        model,
                        inputs,
                        [item.label for item in items] if labelled else None,
                        methods=methods,
                        deletions=options.deletions,
                        min_length=options.min_length,
                        how=options.how,
                        **settings,
                    )
                    found.add_curves(deleted.summed())
                found.add(items, predicted, longest, conservation(model, inputs, **settings))
            bar.update(portions.fraction, found.sentences)
    naming.finish()

    kept, curves = found.kept_of(options), found.curves_of(options)
    with open_outputs(outputs) as files:
        for output, file in zip(outputs, files, strict=True):
            with naming_output(output):
                if output.suffix in _PICTURES:
                    write_figures(file, [_figure(curves, kept)], output.suffix.removeprefix("."))
                else:
                    JsonLines(file).write([_object(found, curves, kept)])
    if all(output.path != STDOUT for output in outputs):
        found.accuracy.show()
        _print_curves(curves)
        _print_conservation(kept, found)


class _Found:
    """What was found in portions, of which only sums are kept, and of some sequences delta."""

    def __init__(self) -> None:
        self.accuracy = Accuracy()
        self.sentences = self.longest = 0
        self.stride = 1
        self._curves: SummedCurves | None = None
        self._kept: Conservation | None = None

    def add_curves(self, curves: SummedCurves) -> None:
        """Add what deletions did."""
        self._curves = curves if self._curves is None else self._curves + curves

    def add(
        self, items: Sequence[Item], predicted: Array | None, longest: int, kept: Conservation
    ) -> None:
        """Add sequences, what was predicted of them, and what relevance was kept."""
        self.accuracy.add(items, predicted)
        # Every stride-th of all: the first of a portion that is one of them.
        some = kept.every(self.stride, -self.sentences % self.stride)
        self.sentences += len(items)
        self.longest = max(self.longest, longest)
        self._kept = some if self._kept is None else self._kept + some
        while len(self._kept.started) > _MOST_KEPT:
            self._kept, self.stride = self._kept.every(2), 2 * self.stride

    def curves_of(self, options: argparse.Namespace) -> SummedCurves:
        """Return what deletions did; some sequence has to be long enough."""
        if self._curves is None:
            raise InputError(
                f"--min-length: expected at most {self.longest}, the steps of the longest "
                f"sequence, got {options.min_length}"
            )
        return self._curves

    def kept_of(self, options: argparse.Namespace) -> Conservation:
        """Return what relevance was kept; there has to be a sequence."""
        if self._kept is None:
            raise InputError(f"{options.file}: expected sentences, found none")
        return self._kept


_MOST_KEPT = 2**20
"""Of so many sequences it is kept how much relevance was lost; of more, of every second, ..."""


@contextmanager
def _portions(options: argparse.Namespace, model: Model) -> Iterator[Portions]:
    """Give what is in FILE, some thousands at a time: sentences, or several inputs by name."""
    if os.path.isdir(options.file):
        yield Portions(_items_of_run(options))
    elif model.inputs is None:
        with open_input(options.file) as (name, file):
            yield Portions(labelled_items(file, name, model, ids=options.ids), file)
    elif options.ids:
        raise InputError("--ids: expected none for inputs by name")
    elif is_arrays(options.file):
        yield Portions(items_of_arrays(options.file, model))
    else:
        with open_input(options.file) as (name, file):
            yield Portions(items_of_lines(file, name, model), file)


def _items_of_run(options: argparse.Namespace) -> Iterator[Item]:
    """Yield the sentences that `lrplstm corpus` wrote, with the labels that it kept."""
    for batch in Corpus(folder_at(options.file)):
        labels = batch.sequence_labels
        if batch.tokens is None:
            raise InputError(f"{options.file}: expected words, got explanations of numbers")
        known = labels.get("label")
        for n, tokens in enumerate(batch.tokens):
            name = f"{labels['file'][n]}: row {labels['row'][n]}"
            yield Item(name, tokens, None if known is None else int(known[n]))


def _check_labels(items: Sequence[Item], *, labelled: bool) -> None:
    lacking = next((item.name for item in items if item.label is None), None)
    if labelled and lacking is not None:
        raise InputError(f"{lacking}: expected its label")


def _object(found: _Found, curves: SummedCurves, kept: Conservation) -> dict[str, Any]:
    """Return it all, ready for JSON; there is no accuracy where nothing is predicted."""
    counts: dict[str, Any] = {"sentences": found.sentences}
    accuracy = found.accuracy
    if accuracy.count:
        counts |= {"correct": accuracy.right, "accuracy": accuracy.right / accuracy.count}
    return counts | {"deletion": curves.to_dict(), "conservation": kept.to_dict()}


def _print_curves(curves: SummedCurves) -> None:
    heads = ["area", *map(str, range(curves.deletions + 1))]
    if curves.regression:
        print(
            f"mean score of {curves.num_sequences} sentences of {curves.min_length} "
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


def _print_conservation(kept: Conservation, found: _Found) -> None:
    some = "" if found.stride == 1 else f", every {found.stride}th"
    print(
        f"\nrelevance that lrp kept, as a part of the started, by quantiles of the sentences{some}"
    )
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


def _figure(curves: SummedCurves, kept: Conservation) -> Figure:
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
