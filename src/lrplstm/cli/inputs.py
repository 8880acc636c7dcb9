"""What the user wants explained: model, sequences and target, from the command line's words."""

from __future__ import annotations

import argparse
import math
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import lrplstm
from lrplstm import heatmap
from lrplstm.evaluation.arguments import has_classes
from lrplstm.loaders.any_format import read_model
from lrplstm.model import LSTMModel
from lrplstm.sentences import parse_sentences
from lrplstm.storage import read_array, read_file
from lrplstm.tokenizers import tokenize
from lrplstm.weights import Array

__all__ = [
    "CONVERT_OPTIONS",
    "STDIN",
    "STDOUT",
    "InputError",
    "Item",
    "json_is_input",
    "load_model",
    "naming",
    "read_items",
    "read_labelled",
    "read_target",
]

STDIN = STDOUT = "-"

CONVERT_OPTIONS = (
    "lstm",
    "head",
    "embedding",
    "output",
    "activations",
    "config",
    "merge_mode",
    "mask_zero",
    "recurrent_activation",
    "dense_activations",
    "pooling",
    "vocabulary",
    "class_names",
    "unknown_token",
    "tokenizer",
)
"""What `lrplstm convert` can say of a model, as the loaders call it."""

_ASKS = re.compile(rf"\b({'|'.join(CONVERT_OPTIONS)})=(?! of)|\bactivations: expected one")


class InputError(Exception):
    """Something the user gave cannot be used; its text is the one line to show."""


@dataclass(frozen=True)
class Item:
    """One sequence.

    Attributes
    ----------
    name : str
        What errors call it.
    sequence : list of str, or ndarray
        Tokens, ids or floats.
    label : int, optional
        The class that it should have, counted from 0.
    variables : list of str, optional
        What the columns of a series are called.
    """

    name: str
    sequence: list[str] | Array
    label: int | None = None
    variables: list[str] | None = None

    @property
    def ids(self) -> list[int] | None:
        """The ids, where it has them rather than tokens or floats."""
        if isinstance(self.sequence, list) or self.sequence.ndim != 1:
            return None
        return self.sequence.tolist()

    @property
    def text(self) -> str:
        """It in words."""
        if isinstance(self.sequence, list):
            return " ".join(self.sequence)
        if self.ids is not None:
            return " ".join(map(str, self.ids))
        return f"{self.name}: {len(self.sequence)} steps"


def load_model(options: argparse.Namespace) -> LSTMModel:
    """Return the model of --model, in any format, or the one that is shipped."""
    if options.model is None:
        model = lrplstm.load_default()
    else:
        try:
            model = read_model(options.model)
        except ValueError as error:
            if _ASKS.search(str(error)):  # for an argument
                raise InputError(f"{error} (`lrplstm convert` has options for that)") from None
            raise
    dtype = getattr(options, "dtype", None)
    return model if dtype is None else model.astype(dtype)


# Sequences --------------------------------------------------------------------------------------


def read_items(options: argparse.Namespace, model: LSTMModel) -> list[Item]:
    """Return what TEXT, --file or --series say."""
    if options.file is None and options.series is None and json_is_input(options, options.text):
        options.text, options.json = options.json, STDOUT
    if sum(given is not None for given in (options.text, options.file, options.series)) != 1:
        raise InputError("expected either a text, --file or --series")
    if options.series is not None:
        if options.tokenized or options.ids:
            raise InputError("--series: expected neither --tokenized nor --ids with it")
        return _read_series(Path(options.series))
    if options.tokenized and options.ids:
        raise InputError("--ids: expected no --tokenized with it")
    if options.text is not None:
        # Bytes of the command line that are no UTF-8 arrive as lone surrogates.
        text = options.text.encode(errors="surrogateescape").decode(errors="replace")
        return [Item("text", _split(text, "text", options, model))]
    return _read_file(options, model)


def json_is_input(options: argparse.Namespace, given: str | None) -> bool:
    """Whether in `--json INPUT` what looks like the option's file is the only input there is."""
    return (
        given is None and options.json not in (None, STDOUT) and not options.json.endswith(".json")
    )


def read_labelled(file: str, model: LSTMModel, *, ids: bool) -> list[Item]:
    """Return the sentences of a file in which all of them have labels."""
    name, text = _read_text(file)
    return _labelled(name, text, model, ids)


def _read_text(file: str) -> tuple[str, str]:
    """Return what errors call a file, and its text."""
    if file != STDIN:
        return file, _decode(file, Path(file).read_bytes())
    if sys.stdin is None:
        raise InputError("standard input is closed")
    return "standard input", _decode("standard input", sys.stdin.buffer.read())


def _read_file(options: argparse.Namespace, model: LSTMModel) -> list[Item]:
    name, text = _read_text(options.file)
    lines = [(n, line) for n, line in enumerate(text.split("\n"), start=1) if line.strip()]
    if not lines:
        raise InputError(f"{name}: expected texts, found none")
    label, tab, _ = lines[0][1].partition("\t")
    if not tab or not label.isdigit():
        return [
            Item(f"{name}: line {n}", _split(line, f"{name}: line {n}", options, model))
            for n, line in lines
        ]
    return _labelled(name, text, model, options.ids)


def _labelled(name: str, text: str, model: LSTMModel, ids: bool) -> list[Item]:
    items = []
    for n, sentence in enumerate(parse_sentences(text, name), start=1):
        outputs = model.outputs
        if has_classes(outputs) and sentence.label > outputs.count:
            raise InputError(
                f"{name}: sentence {n}: expected a label from 1 to {outputs.count}, got "
                f"{sentence.label}"
            )
        tokens: list[str] | Array = list(sentence.tokens)
        if ids:
            tokens = _ids(list(sentence.tokens), f"{name}: sentence {n}")
        items.append(Item(f"{name}: sentence {n}", tokens, sentence.target))
    return items


def _decode(name: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{name}: expected UTF-8 text, got something else at byte {error.start}"
        ) from None


def _split(
    text: str, name: str, options: argparse.Namespace, model: LSTMModel
) -> list[str] | Array:
    """Return the tokens, or the ids, of a text."""
    if options.ids:
        return _ids(text.split(), name)
    if options.tokenized:
        # Not split(): a token may well contain another kind of space.
        tokens = [token for token in text.removesuffix("\r").split(" ") if token.strip()]
    elif model.embedding is None:
        raise InputError("the model reads numbers rather than words; pass them with --series")
    elif model.vocabulary is None:
        raise InputError("the model has no vocabulary; pass --ids with token ids for a text")
    elif model.tokenizer is None:
        raise InputError("the model names no tokenizer; pass --tokenized")
    else:
        tokens = tokenize(text, model.tokenizer)
    if not tokens:
        raise InputError(f"{name}: expected at least one word, got none")
    return tokens


def _ids(words: list[str], name: str) -> Array:
    other = next((word for word in words if not (word.isascii() and word.isdigit())), "")
    if not words or other:
        got = f", got {other!r:.60}" if other else ""
        raise InputError(f"{name}: expected ids, numbers from 0, with spaces between{got}")
    return np.array([min(int(word[:20]), np.iinfo(np.intp).max) for word in words])


def _read_series(path: Path) -> list[Item]:
    """Return the rows of numbers in a .npy or .csv file: one sequence, or B of one length."""
    if path.suffix == ".npy":
        array = read_array(path, ndims=(2, 3))
        if array.ndim == 3:
            return [Item(f"{path}: sequence {b}", rows) for b, rows in enumerate(array)]
        return [Item(str(path), array)]
    rows: list[list[float]] = []
    variables = None
    for n, line in enumerate(_decode(str(path), read_file(path)).splitlines(), start=1):
        if not line.strip():
            continue
        cells = [cell.strip() for cell in line.split(",")]
        if not rows and variables is None and _is_header(cells):
            variables = cells
            continue
        row = [_number(cell, f"{path}: line {n}, cell {k}") for k, cell in enumerate(cells, 1)]
        if rows and len(row) != len(rows[0]):
            raise InputError(f"{path}: line {n}: expected {len(rows[0])} numbers, got {len(row)}")
        rows.append(row)
    if not rows:
        raise InputError(f"{path}: expected rows of numbers, found none")
    if variables is not None and len(variables) != len(rows[0]):
        raise InputError(
            f"{path}: expected {len(rows[0])} names in its header, got {len(variables)}"
        )
    return [Item(str(path), np.array(rows), variables=variables)]


_MISSING = ("", "n/a", "null")
"""What stands for no value, in lower case; "nan" is read as a number already."""


def _is_header(cells: list[str]) -> bool:
    """Whether a row has names: no number, and more than missing values."""
    return not any(map(_reads_as_float, cells)) and any(
        cell.lower() not in _MISSING for cell in cells
    )


def _reads_as_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _number(cell: str, name: str) -> float:
    # Python's numbers may contain underscores, and be NaN or infinite.
    if _reads_as_float(cell) and "_" not in cell and math.isfinite(float(cell)):
        return float(cell)
    raise InputError(f"{name}: expected a finite number, got {cell!r:.60}")


_POSITIONAL = ("command", "run", "text", "file")


@contextmanager
def naming(items: list[Item], options: argparse.Namespace) -> Iterator[None]:
    """Let errors and warnings name what the user gave: texts and options, not arguments."""
    names = "|".join(name for name in vars(options) if name not in _POSITIONAL)
    source = options.file or getattr(options, "series", None) or "text"

    def flag(found: re.Match[str]) -> str:
        return "--" + found[1].replace("_", "-")

    def named(message: object) -> str:
        text = re.sub(rf"^({names})(?=[:\[])", flag, str(message))
        text = re.sub(rf"\b({names})= ?", lambda found: f"{flag(found)} ", text)
        text = re.sub(r"^inputs\[(\d+)\]", lambda found: items[int(found[1])].name, text)
        return re.sub(r"^inputs(?=:)", lambda _: source, text)

    with warnings.catch_warnings(record=True) as warned:
        try:
            yield
        except (TypeError, ValueError) as error:
            raise InputError(named(error)) from None
    for warning in warned:
        print(f"lrplstm: warning: {heatmap.visible(named(warning.message))}", file=sys.stderr)


# Target -----------------------------------------------------------------------------------------


def read_target(given: str | None, model: LSTMModel) -> Any:
    """Return what --target means."""
    if given is None or given == "all":
        return given
    if model.class_names is not None and given in model.class_names:
        return model.class_names.index(given)
    step, colon, class_ = given.partition(":")
    if model.pooling == "none" and colon and step.isascii() and step.isdigit():
        target = read_target(class_, model)
        if isinstance(target, int):
            return int(step), target
    try:
        if "_" in given:  # which Python's numbers may contain
            raise ValueError
        if "," in given:
            return np.array([float(weight) for weight in given.split(",")])
        return int(given)
    except ValueError:
        names = "" if model.class_names is None else f", one of {', '.join(model.class_names)}"
        steps = ", STEP:CLASS" if model.pooling == "none" else ""
        raise InputError(
            f"--target: expected a class from 0 to {model.num_classes - 1}{names}{steps}, weights, "
            f"or all; got {given!r:.60}"
        ) from None
