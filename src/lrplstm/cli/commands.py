"""What the commands do."""

from __future__ import annotations

import argparse
import inspect
import io
import shutil
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import lrplstm
from lrplstm import _backend, heatmap
from lrplstm.attribution import Attribution, Attributions
from lrplstm.cli.inputs import (
    CONVERT_OPTIONS,
    STDOUT,
    InputError,
    Item,
    load_model,
    naming,
    read_items,
    read_target,
)
from lrplstm.cli.outputs import check_outputs, json_lines, print_accuracy, write
from lrplstm.loaders.any_format import loader_of
from lrplstm.methods import ALIASES, METHODS
from lrplstm.model import LSTMModel
from lrplstm.network import directions
from lrplstm.storage import is_model_folder, read_vocabulary
from lrplstm.weights import Array, DenseLayer

__all__ = ["convert", "explain", "info", "predict"]

_METHOD_OPTIONS = (
    "epsilon",
    "bias_factor",
    "epsilon_factor",
    "product_rule",
    "steps",
    "baseline",
    "measure",
    "seed",
)

# Of these options that say what a model is, those that take several names.
_LISTS = ("lstm", "head", "class_names", "activations", "dense_activations")


def _name(model: LSTMModel, index: int) -> str:
    """Return the name of a class; its number where it has none."""
    names = model.class_names or ()
    return heatmap.visible(names[index]) if index < len(names) else str(index)


def _scores(model: LSTMModel, scores: Array) -> str:
    return ", ".join(f"{_name(model, c)} {score:.3f}" for c, score in enumerate(scores))


def _wrapped(text: str, width: int | None) -> str:
    """Break a text into lines, between its words; None: one line."""
    if width is None:
        return text
    return textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)


def _of_item(options: argparse.Namespace, item: Item) -> dict[str, Any]:
    """Return what JSON says of what was given."""
    if options.series is not None:
        return {"label": item.label, "variables": item.variables}
    return {"label": item.label}


def _with_words(item: Item, attribution: Attribution) -> Attribution:
    """Let ids stand where there are no tokens, for whoever looks at it."""
    if attribution.tokens is None and item.ids is not None:
        return replace(attribution, tokens=list(map(str, item.ids)))
    return attribution


def _png(items: list[Item], attributions: list[Attribution]) -> bytes:
    file = io.BytesIO()
    pictures: list[heatmap.Panel | heatmap.Grid] = []
    for item, attribution in zip(items, attributions, strict=True):
        if attribution.tokens is None and attribution.input_relevance is not None:
            pictures.append(attribution.to_grid(variables=item.variables))
        else:
            pictures.append(attribution.to_panel())
    try:
        heatmap.save_png(file, pictures)
    except ValueError as error:
        raise InputError(f"--png: {error}") from None
    return file.getvalue()


# Commands ---------------------------------------------------------------------------------------


def explain(options: argparse.Namespace) -> None:
    """Colour words by how much they speak for a class."""
    model = load_model(options)
    items = read_items(options, model)
    files = {"json": options.json, "html": options.html, "png": options.png}
    check_outputs(options.file, options.series, options.model, **files)
    method = ALIASES.get(options.method, options.method)
    chosen = _method_options(options, method, model)
    with naming(items, options):
        attributions = lrplstm.explain(
            model,
            [item.sequence for item in items],
            method,
            read_target(options.target, model),
            unknown=options.unknown,
            backend=options.backend,
            num_threads=options.threads,
            **chosen,
        )
        _check_finite(attributions)

    outputs: dict[str, bytes] = {}
    if options.json is not None:
        outputs[options.json] = json_lines(
            [
                attribution.to_dict() | _of_item(options, item)
                for item, attribution in zip(items, attributions, strict=True)
            ]
        )
    shown = list(map(_with_words, items, attributions))
    if options.html is not None:
        fragments = [
            attribution.to_html(variables=item.variables)
            for item, attribution in zip(items, shown, strict=True)
        ]
        page = heatmap.to_html_page(fragments, title=f"lrplstm: {method}")
        outputs[options.html] = page.encode()
    if options.png is not None:
        outputs[options.png] = _png(items, shown)
    write(outputs)
    if STDOUT in outputs:
        return
    _print_explanations(options, model, items, shown)
    if not attributions.every_step and attributions.predicted is not None:
        print_accuracy(items, attributions.predicted)


def _check_finite(attributions: Attributions) -> None:
    """Raise a ValueError if relevance overflowed: it can neither be drawn nor written."""
    for b, attribution in enumerate(attributions):
        values = [attribution.token_relevance, attribution.input_relevance]
        if not all(np.isfinite(array).all() for array in values if array is not None):
            hint = "; dtype=float64 has a larger range"
            raise ValueError(
                f"inputs[{b}]: relevance overflowed"
                f"{hint if attribution.token_relevance.dtype == np.float32 else ''}"
            )


def _method_options(options: argparse.Namespace, method: str, model: LSTMModel) -> dict[str, Any]:
    """Return the given options that only some methods have."""
    chosen = {}
    for name in _METHOD_OPTIONS:
        value = getattr(options, name)
        if value is None:
            continue
        have = [m for m in METHODS if name in inspect.signature(METHODS[m]).parameters]
        if method not in have:
            flag = "--" + name.replace("_", "-")
            raise InputError(
                f"{flag}: expected only with --method {' or '.join(have)}, "
                f"got --method {options.method}"
            )
        chosen[name] = value
    if "baseline" in chosen and model.vocabulary is None and options.baseline.isdecimal():
        chosen["baseline"] = int(options.baseline)
    return chosen


def _print_explanations(
    options: argparse.Namespace,
    model: LSTMModel,
    items: list[Item],
    attributions: list[Attribution],
) -> None:
    terminal = sys.stdout.isatty()
    colored = terminal if options.color == "auto" else options.color == "always"
    width = shutil.get_terminal_size().columns if terminal else None
    for item, attribution in zip(items, attributions, strict=True):
        if item.label is not None:
            print(f"label: {_name(model, item.label)}")
        for line in _prediction(model, attribution.scores):
            print(_wrapped(line, width))
        print(heatmap.visible(f"{attribution.method}: {attribution.explained}"))
        named = None if attribution.input_relevance is None else item.variables
        color_system = "always" if colored else None
        print(attribution.to_terminal(color_system=color_system, width=width, variables=named))
        if colored and attribution.row_labels is None and item.variables is None:
            print(_wrapped(f"relevance: {_relevance(attribution)}", width))
        print()


def _prediction(model: LSTMModel, scores: Array) -> list[str]:
    """Return the lines that say what was predicted."""
    if scores.ndim == 2:  # of every step
        names = " ".join(_name(model, int(best)) for best in scores.argmax(axis=1))
        return [f"predicted at each step: {names}"]
    if len(scores) == 1:
        return [f"score: {scores[0]:.3f}"]
    return [f"predicted: {_name(model, int(scores.argmax()))}", f"scores: {_scores(model, scores)}"]


def _relevance(a: Attribution) -> str:
    """Return the numbers that colours alone do not tell."""
    pairs = zip(a.words, a.token_relevance, strict=True)
    return ", ".join(f"{heatmap.visible(word)} {relevance:+.3g}" for word, relevance in pairs)


def predict(options: argparse.Namespace) -> None:
    """Show the class and scores of texts."""
    model = load_model(options)
    items = read_items(options, model)
    check_outputs(options.file, options.series, options.model, json=options.json)
    with naming(items, options):
        scores = model.predict(
            [item.sequence for item in items],
            unknown=options.unknown,
            backend=options.backend,
            num_threads=options.threads,
        )
    rows = [np.asarray(row) for row in scores]
    if options.json is not None:
        objects = [
            _prediction_object(model, item, row) | _of_item(options, item)
            for item, row in zip(items, rows, strict=True)
        ]
        write({options.json: json_lines(objects)})
    if options.json == STDOUT:
        return
    for item, row in zip(items, rows, strict=True):
        if row.ndim == 2:
            words = item.sequence if isinstance(item.sequence, list) else item.ids
            for t, scores_of_step in enumerate(row):
                word = f"t={t}" if words is None else str(words[t])
                name = _name(model, int(scores_of_step.argmax()))
                scores_in_words = _scores(model, scores_of_step)
                print(f"{name}\t{heatmap.visible(word)}\tscores: {scores_in_words}")
            print()
            continue
        if len(row) == 1:
            print(f"score: {row[0]:.3f}\t{heatmap.visible(item.text)}")
            continue
        print(f"{_name(model, int(row.argmax()))}\t{heatmap.visible(item.text)}")
        print(f"    scores: {_scores(model, row)}")
    if model.pooling != "none":
        print_accuracy(items, np.array([row.argmax() for row in rows]))


def _prediction_object(model: LSTMModel, item: Item, scores: Array) -> dict[str, Any]:
    best = scores.argmax(axis=-1)
    names = [_name(model, int(class_)) for class_ in np.atleast_1d(best)]
    return {
        "tokens": item.sequence if isinstance(item.sequence, list) else None,
        "scores": scores.tolist(),
        "predicted": best.tolist(),
        "class_name": names if scores.ndim == 2 else names[0],
    }


def info(options: argparse.Namespace) -> None:
    """Show version, backend and model."""
    options.model = options.model or options.path
    model = load_model(options)
    where = "default, shipped with the package" if options.model is None else options.model
    rows = {
        "version": lrplstm.__version__,
        "backend": _backend.resolve("auto"),
        "instruction set": _backend.instruction_set(),
        "model": where,
    }
    _print_rows(rows | _description(model))


def _description(model: LSTMModel) -> dict[str, Any]:
    """Return what a model is, in rows of a name and a text."""
    rows: dict[str, Any] = {}
    if model.origin:
        rows["made from"] = ", ".join(f"{part} {name}" for part, name in model.origin.items())
    for n, layer in enumerate(model.layers, start=1):
        both = directions(layer)
        shapes = f"weight_ih {both[0].weight_ih.shape}, weight_hh {both[0].weight_hh.shape}"
        kind = "two directions" if len(both) == 2 else "one direction"
        kind += ", from the end" if both[0].reverse else ""
        rows[f"layer {n}"] = f"LSTM, {kind}, {shapes}"
    classes = model.num_classes
    names = "" if model.class_names is None else f": {', '.join(model.class_names)}"
    if model.embedding is None:
        vocabulary = "none, reads numbers"
    else:
        tokens = "no tokens" if model.vocabulary is None else "tokens"
        vocabulary = f"{len(model.embedding):,} ids, {tokens}"
    return rows | {
        "input size": model.input_size,
        "hidden size": model.hidden_size,
        "pooling": model.pooling,
        "head": " - ".join(map(_dense, model.head)) or "none",
        "classes": f"{classes}{names}",
        "dtype": model.dtype,
        "vocabulary": vocabulary,
        "unknown token": model.unknown_token or "none",
        "padding": "none" if model.mask_id is None else f"id {model.mask_id}",
        "tokenizer": model.tokenizer or "none",
    }


def _dense(layer: DenseLayer) -> str:
    bias = "no bias" if layer.bias is None else "bias"
    return f"{layer.activation}, {layer.input_size} to {layer.output_size}, {bias}"


def _print_rows(rows: dict[str, Any]) -> None:
    width = max(map(len, rows))
    for name, value in rows.items():
        print(f"{name:<{width}}  {heatmap.visible(str(value))}")


def convert(options: argparse.Namespace) -> None:
    """Write a model of another format as a folder of the package's own."""
    folder = Path(options.folder)
    if folder.exists() and not is_model_folder(folder):
        raise InputError(
            f"{folder}: expected a new or empty folder, or one with a model to replace"
        )
    loader = loader_of(options.source)
    chosen: dict[str, Any] = {}
    for name in CONVERT_OPTIONS:
        value = getattr(options, name)
        if value is None:
            continue
        if name not in inspect.signature(loader).parameters:
            flag = ("--no-" if value is False else "--") + name.replace("_", "-")
            raise InputError(f"{flag}: expected none with a model of this format")
        chosen[name] = value
    if "vocabulary" in chosen:
        chosen["vocabulary"] = read_vocabulary(Path(chosen["vocabulary"]))
    for name in _LISTS:
        if isinstance(chosen.get(name), str):
            chosen[name] = chosen[name].split(",")
    model = loader(options.source, **chosen)
    model.save(folder)
    _print_rows({"written": folder} | _description(model))
