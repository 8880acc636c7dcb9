"""Sequences of models with several inputs, by name: from JSON lines, or from arrays in an .npz."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from lrplstm.base_model import Model
from lrplstm.cli.inputs import InputError, Item
from lrplstm.evaluation.arguments import has_classes
from lrplstm.named_inputs import NamedEncoder
from lrplstm.plain_json import parse_json
from lrplstm.sentences import text_lines
from lrplstm.storage import array_in
from lrplstm.texts import first_line, shown
from lrplstm.weights import Array

__all__ = ["is_arrays", "items_of_arrays", "items_of_lines"]

_LABEL = "label"
_MOST_BYTES = 2**30  # of all arrays of a file


def is_arrays(path: str) -> bool:
    """Whether a file is one of arrays, by its name."""
    return Path(path).suffix == ".npz"


def items_of_lines(file: IO[bytes], name: str, model: Model) -> Iterator[Item]:
    """Yield the objects of a file, one a line: what each input is, by its name."""
    for n, line in text_lines(file, name):
        where = f"{name}: line {n}"
        if line.strip():
            try:
                given = parse_json(line, where)
            except ValueError as error:
                raise InputError(str(error)) from None
            if not isinstance(given, dict):
                raise InputError(f"{where}: expected an object, got {shown(given)}")
            yield _item(where, given, model)


def items_of_arrays(path: str, model: Model) -> Iterator[Item]:
    """Yield the sequences of a file of arrays, one for each input, and of labels, if any."""
    arrays = _arrays(path)
    counts = {len(array) for array in arrays.values()}
    if len(counts) != 1:
        sizes = ", ".join(f"{len(array)} of {shown(name)}" for name, array in arrays.items())
        raise InputError(f"{path}: expected as many sequences of each input, got {sizes or 'none'}")
    for b in range(counts.pop()):
        given = {name: array[b] for name, array in arrays.items()}
        yield _item(f"{path}: sequence {b}", given, model)


def _arrays(path: str) -> dict[str, Array]:
    contents = {}
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if sum(member.file_size for member in members) > _MOST_BYTES:
                raise InputError(f"{path}: expected up to {_MOST_BYTES} bytes of numbers, got more")
            for member in members:
                contents[member.filename.removesuffix(".npy")] = archive.read(member)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, zlib.error) as error:
        raise InputError(f"{path}: expected arrays by name: {first_line(error)}") from None
    try:
        return {
            name: array_in(content, f"{path}: {shown(name)}", ndims=(1, 2, 3))
            for name, content in contents.items()
        }
    except ValueError as error:
        raise InputError(str(error)) from None


def _item(where: str, given: Mapping[str, Any], model: Model) -> Item:
    encoder = model.encoder
    assert isinstance(encoder, NamedEncoder)
    known = [*encoder.inputs]
    label = given.get(_LABEL) if _LABEL not in known else None
    others = [name for name in given if name not in known and name != _LABEL]
    lacking = [name for name in known if name not in given]
    if others or lacking:
        got = f"got {shown(others[0])}" if others else f"got no {shown(lacking[0])}"
        raise InputError(f"{where}: expected {', '.join(map(shown, known))}, {got}")
    inputs = {name: _value(f"{where}: {shown(name)}", given[name], name, encoder) for name in known}
    class_ = None if label is None else _class(where, label, model)
    return Item(where, inputs[encoder.first], class_, inputs=inputs)


def _value(where: str, value: Any, name: str, encoder: NamedEncoder) -> Any:
    """Return an input as a model takes it: tokens, or an array."""
    of_input = encoder.encoders[name]
    if isinstance(value, str) and of_input.embedding is not None:
        if encoder.inputs[name].steps is False:
            return value
        if of_input.tokenizer is None:
            raise InputError(f"{where}: expected a list of tokens or ids, got a text")
        return of_input.tokenize(where, value)
    if isinstance(value, list) and value and all(isinstance(token, str) for token in value):
        return value
    try:
        array = np.asarray(value)
    except ValueError:
        array = np.empty(0, object)
    if array.dtype.kind not in "iuf":
        what = "ids" if of_input.embedding is not None else "numbers"
        raise InputError(f"{where}: expected {what}, or rows of one length, got {shown(value)}")
    return array


def _class(where: str, label: Any, model: Model) -> int | None:
    """Return the number of a class, which may be said by its name."""
    outputs = model.outputs
    if not has_classes(outputs):
        return None
    if isinstance(label, str):
        return outputs.index(f"{where}: label", label)
    whole = isinstance(label, int | np.integer) and not isinstance(label, bool)
    if not whole or not 0 <= label < outputs.count:
        raise InputError(
            f"{where}: expected a label from 0 to {outputs.count - 1} or its name, "
            f"got {shown(label)}"
        )
    return int(label)
