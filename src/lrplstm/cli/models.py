"""The commands that are about a model itself: `info` and `convert`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import lrplstm
from lrplstm import heatmap
from lrplstm.backends import choose
from lrplstm.base_model import Model
from lrplstm.cli.files import check_target_folder
from lrplstm.cli.inputs import InputError, load_model, saying_what_is_assumed
from lrplstm.layers import Recurrent
from lrplstm.loaders.registry import Option, loader_of
from lrplstm.loaders.registry import options as loader_options
from lrplstm.model import LSTMModel
from lrplstm.named_inputs import Input
from lrplstm.storage import is_model_folder, read_vocabulary

__all__ = ["convert", "info"]

_WRITTEN = ("config.json", "weights.safetensors", "vocab.txt")


def info(options: argparse.Namespace) -> None:
    """Show version, backend and model."""
    options.model = options.model or options.path
    model = load_model(options)
    where = "default, shipped with the package" if options.model is None else options.model
    rows = {
        "version": lrplstm.__version__,
        "backend": choose.resolve("auto"),
        "instruction set": choose.instruction_set(),
        "model": where,
    }
    _print_rows(rows | _description(model))


def _description(model: Model) -> dict[str, Any]:
    """Return what a model is, in rows of a name and a text."""
    rows: dict[str, Any] = {}
    if model.origin:
        rows["made from"] = ", ".join(f"{part} {name}" for part, name in model.origin.items())
    short = isinstance(model, LSTMModel)
    shown = [layer for layer in model.graph.layers if not short or isinstance(layer, Recurrent)]
    for n, layer in enumerate(shown, start=1):
        named = "" if short else f"{layer.name}: "
        rows[f"layer {n}"] = named + layer.describe()
        if not short:
            rows[f"layer {n}"] += f", reads {', '.join(layer.reads or ())}"
    names = "" if model.class_names is None else f": {', '.join(model.class_names)}"
    if model.embedding is None:
        vocabulary = "none, reads numbers"
    else:
        tokens = "no tokens" if model.vocabulary is None else "tokens"
        vocabulary = f"{len(model.embedding):,} ids, {tokens}"
    rows["input size"] = model.input_size
    for name, one in (model.inputs or {}).items():
        rows[f"input {name}"] = one.describe(model.graph.forms[name].size) + _variables(one)
    if model.inputs is None and (said := _variables(model)):
        rows["variables"] = said.removeprefix("; ")
    if model.output_scale is not None:
        rows["scores"] = "in units of the target: " + ", ".join(
            f"{mean:g} + {scale:g} s"
            for mean, scale in zip(model.output_scale.mean, model.output_scale.scale, strict=True)
        )
    if isinstance(model, LSTMModel):
        rows["hidden size"] = model.hidden_size
        rows["pooling"] = model.pooling
        rows["head"] = " - ".join(layer.describe() for layer in model.head) or "none"
    return rows | {
        model.outputs.several: f"{model.outputs.count}{names}",
        "dtype": model.dtype,
        "vocabulary": vocabulary,
        "unknown token": model.unknown_token or "none",
        "padding": _padding(model),
        "tokenizer": model.tokenizer or "none",
    }


_MISSING = {"zero": "NaN is read as zero", "mask": "steps with NaN are passed over"}


def _variables(one: Model | Input) -> str:
    """Return what is said of the variables of an input: names, a scaler, and what NaN means."""
    said = [] if one.feature_names is None else [", ".join(one.feature_names)]
    if one.scaler is not None:
        said.append("raw values, which are scaled")
    if one.missing != "error":
        said.append(
            {"zero": "NaN is read as zero", "mask": "steps with NaN are passed over"}[one.missing]
        )
    return "".join(f"; {text}" for text in said)


def _padding(model: Model) -> str:
    if model.mask_id is not None:
        return f"id {model.mask_id}"
    return "none" if model.mask_value is None else f"all numbers {model.mask_value:g}"


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
    check_target_folder(options, _WRITTEN)
    loader = loader_of(options.source)
    taken = {option.name for option in loader.options}
    chosen: dict[str, Any] = {}
    for name, option in loader_options().items():
        value = getattr(options, name)
        if value is None:
            continue
        if name in taken:
            chosen[name] = _value(option, value)
        elif name != "task":  # any model can be for either
            flag = ("--no-" if value is False else "--") + name.replace("_", "-")
            raise InputError(f"{flag}: expected none with a model of this format")
    with saying_what_is_assumed(options.source):
        model = loader(options.source, **chosen)
    said = {"task": options.task, "feature_names": options.feature_names}
    changes = {name: value for name, value in said.items() if value is not None}
    if changes:
        model = model.replaced(**changes)
    model.save(folder)
    _print_rows({"written": folder} | _description(model))


def _value(option: Option, given: Any) -> Any:
    """Return what a loader gets for what was given as an option."""
    if option.kind == "tokens":
        return read_vocabulary(Path(given))
    if option.kind == "names" and given is not False:
        return given.split(",")
    return given
