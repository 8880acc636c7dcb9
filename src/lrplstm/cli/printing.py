"""What `lrplstm explain` prints: in a terminal with colours and bars, plain elsewhere."""

from __future__ import annotations

import argparse
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np

from lrplstm import heatmap
from lrplstm.attribution import Attribution
from lrplstm.attributions import Attributions
from lrplstm.base_model import Model
from lrplstm.cli.formats import labelled
from lrplstm.cli.inputs import Item
from lrplstm.exports.one import BatchOfOne
from lrplstm.exports.tidy import tidy
from lrplstm.weights import Array

__all__ = ["compare", "in_words", "name_of", "print_explanations"]

_MOST_SHOWN = 30
"""So many numbers of an input are printed beside words or steps of the first."""

_DRAWN = "█▌▐│"


def name_of(model: Model, index: int) -> str:
    """Return the name of a class; its number where it has none."""
    return heatmap.visible(model.outputs.name(index))


def in_words(model: Model, scores: Array) -> str:
    """Return the scores of one row, in words."""
    if len(scores) == 1:  # a class' name would be that of a score against it, where there are two
        return f"score: {scores[0]:.3f}"
    listed = ", ".join(f"{name_of(model, c)} {score:.3f}" for c, score in enumerate(scores))
    return f"{'outputs' if model.outputs.regression else 'scores'}: {listed}"


def print_explanations(
    options: argparse.Namespace, model: Model, items: Sequence[Item], attributions: Attributions
) -> None:
    """Print what one method says of some sequences."""
    looks, width = _looks(options), _width()
    for item, one in zip(items, attributions, strict=True):
        a = labelled(item, one)
        _print_prediction(options, model, item, a)
        _print_one(options, item, a, looks)
        if options.top is None and looks["color_system"] and not a.row_labels and a.tokens:
            print(_wrapped(f"relevance: {_relevance(a)}", width))
        print()


def compare(
    options: argparse.Namespace,
    model: Model,
    items: Sequence[Item],
    columns: Sequence[Attributions],
) -> None:
    """Print what several methods say of some sequences: of words in rows below one another."""
    looks = _looks(options)
    for item, *several in zip(items, *columns, strict=True):
        those = [labelled(item, one) for one in several]
        first = those[0]
        _print_prediction(options, model, item, first)
        is_words = first.tokens is not None and first.token_relevance.ndim == 1
        if options.top is None and is_words:
            print(heatmap.visible(f"explained: {first.explained}"))
            print(_side_by_side(those, looks))
        else:
            for a in those:
                _print_one(options, item, a, looks)
        print()


def _side_by_side(those: Sequence[Attribution], looks: dict[str, Any]) -> str:
    """Return the words of one sequence for each method, in colours; numbers as columns."""
    first, methods = those[0], [a.method for a in those]
    relevance = np.stack([a.token_relevance for a in those])
    notes = [f"{a.method}: {line}" for a in those for line in a.balance.lines()]
    width = looks["width"]
    if looks["color_system"] is None:
        table = heatmap.to_columns(first.words, relevance, methods, first.unknown)
        return "\n".join([table, *heatmap.note_lines(notes, width)])
    notes = ["each method on a scale of its own", *notes]
    return heatmap.to_terminal(
        first.words,
        relevance,
        unknown=first.unknown,
        row_labels=methods,
        own_scales=True,
        notes=notes,
        **looks,
    )


def _looks(options: argparse.Namespace) -> dict[str, Any]:
    """Return how things are drawn."""
    systems = {"auto": "auto", "always": "always", "never": None}
    screen = heatmap.Screen.of(systems[options.color], options.background)
    return {"color_system": screen.system, "background": options.background, "width": _width()}


def _width() -> int | None:
    """Return how wide a terminal is; None where there is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _wrapped(text: str, width: int | None) -> str:
    """Break a text into lines, between its words; None: one line."""
    if width is None:
        return text
    return textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)


def _print_one(
    options: argparse.Namespace, item: Item, a: Attribution, looks: dict[str, Any]
) -> None:
    """Print what one method says of one sequence."""
    print(heatmap.visible(f"{a.method}: {a.explained}"))
    if options.top is not None:
        print(_top(a, options.top))
        return
    print(a.to_terminal(**looks, variables=item.variables, steps=item.steps))
    for name, relevance in a.other_relevance.items():
        print(_wrapped(f"{heatmap.visible(name)}: {_numbers(relevance)}", looks["width"]))


def _print_prediction(
    options: argparse.Namespace, model: Model, item: Item, a: Attribution
) -> None:
    """Print the right class, the predicted one, and the scores."""
    if item.label is not None:
        print(f"label: {name_of(model, item.label)}")
    outputs, scores, width = model.outputs, a.scores, _width()
    predicted = outputs.predict_given(np.atleast_2d(scores))
    if scores.ndim == 2:  # of every step
        if predicted is not None and outputs.count > 1:
            listed = " ".join(name_of(model, int(best)) for best in predicted)
            print(_wrapped(f"predicted at each step: {listed}", width))
        return
    best = None if predicted is None or outputs.count == 1 else int(predicted[0])
    if best is not None:
        print(_wrapped(f"predicted: {name_of(model, best)}", width))
    if width is None or len(scores) == 1 or not _can_draw():
        print(_wrapped(in_words(model, scores), width))
        return
    names = [name_of(model, c) for c in range(len(scores))]
    system = _looks(options)["color_system"]
    print(heatmap.to_bars(names, scores, best, color_system=system, width=width))


def _can_draw() -> bool:
    """Whether standard output has the characters of bars."""
    try:
        _DRAWN.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def _numbers(relevance: Array) -> str:
    """Return the relevance of another input than the one that is shown: of a row its numbers."""
    if relevance.ndim == 1 and len(relevance) <= _MOST_SHOWN:
        return " ".join(f"{value:+.3g}" for value in relevance.tolist())
    return f"{float(relevance.sum()):+.3g} in all"


def _top(a: Attribution, number: int) -> str:
    """Return the most relevant words, or variables at steps, a line each."""
    columns = tidy(BatchOfOne(a), sequence=False, top=number, dates=False)
    relevance = columns.pop("relevance")
    columns = {name: columns[name] for name in columns if name != "step" or "label" not in columns}
    rows = zip(*map(np.ndarray.tolist, columns.values()), strict=True)
    return "\n".join(
        f"{value:+10.3g}  {heatmap.visible('  '.join(map(str, row)))}"
        for value, row in zip(relevance.tolist(), rows, strict=True)
    )


def _relevance(a: Attribution) -> str:
    """Return the numbers that colours alone do not tell."""
    pairs = zip(a.words, a.token_relevance, strict=True)
    return ", ".join(f"{heatmap.visible(word)} {relevance:+.3g}" for word, relevance in pairs)
