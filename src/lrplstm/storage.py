"""The native folder of a model: config.json, weights.safetensors and vocab.txt.

========================  ===========================================================
config.json               sizes, pooling, activations of the head, class names, unknown token,
                          tokenizer, mask id and value, names and scaler of variables, task, origin;
                          ``sha256`` of each other file
weights.safetensors       ``layers.<n>.<forward or backward>.<weight_ih, weight_hh or bias>``,
                          ``initial_hidden`` and ``initial_cell`` beside them where they are not
                          zero, ``head.<n>.weight``, ``head.<n>.bias``, ``embedding``; a head that
                          is one linear layer is ``head.weight`` and ``head.bias``
                          of a `lrplstm.Model` instead ``layers.<n>.<array>``, and in config.json
                          ``layers``: kind, name, reads and settings of each; of several inputs
                          see `lrplstm.stored_inputs`
vocab.txt                 one token a line, UTF-8, in the order of the embedding's rows; empty
                          lines for ids without a token, which config.json lists as
                          ``unnamed_ids``: pairs of the first and of the one after the last
========================  ===========================================================

Files other than those that have a digest in config.json are no part of the model, and one of
another digest is refused: it was written with another config.json, or changed since. Whoever
changes vocab.txt by hand takes the entry ``sha256`` out of config.json. Folders of
``format_version`` 1 have no digests; 5 is that of a model with names or scalers, 4 of a
`lrplstm.Model` with declared inputs, 3 of any other, 2 of an `LSTMModel`.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.lib.format as npy

from lrplstm.activations import to_elementwise
from lrplstm.layers import LSTM, DenseLayer, directions
from lrplstm.named_inputs import Input
from lrplstm.plain_json import check_parts, parse_json
from lrplstm.saving import LEFTOVERS, digest, replace_files
from lrplstm.stored_inputs import VARIABLES, pack_inputs, pack_variables, unpack_inputs
from lrplstm.stored_layers import pack_layers, unpack_layers
from lrplstm.texts import shown, with_visible_errors
from lrplstm.vocabulary import unnamed_ids, without_names
from lrplstm.weights import Array, Directions, LSTMWeights

__all__ = [
    "array_in",
    "is_model_folder",
    "model_folder",
    "read_array",
    "read_file",
    "read_folder",
    "read_vocabulary",
    "write_folder",
]

_FORMAT, _VERSION = "lrplstm", 5
_SEVERAL_INPUTS = 4  # what a Model needs that declares inputs
_ONE_INPUT = 3  # what a Model needs that declares no inputs
_SHORT_FORM = 2  # what an LSTMModel needs, which older releases read, too
_CONFIG, _WEIGHTS, _VOCABULARY = "config.json", "weights.safetensors", "vocab.txt"
_SIZES = ("input_size", "hidden_size", "num_layers", "bidirectional", "num_classes")
_OUTPUT_SCALE = "output_scale"
_SETTINGS = (
    "pooling",
    "class_names",
    "unknown_token",
    "tokenizer",
    "mask_id",
    "mask_value",
    "task",
    "origin",
    *VARIABLES,
    _OUTPUT_SCALE,
)
_INPUTS = "inputs"
_HEAD, _LAYERS, _UNNAMED = "head_activations", "layers", "unnamed_ids"
_DIGESTS = "sha256"
_OF_INPUT = re.compile(r"vocab\.[0-9]+\.txt")
_REQUIRED = ("weight_ih", "weight_hh", "bias")
_OPTIONAL = ("initial_hidden", "initial_cell")


@with_visible_errors
def write_folder(
    path: str | os.PathLike[str],
    *,
    layers: Sequence[Any],
    head: Sequence[DenseLayer] | None = None,
    embedding: Array | None,
    vocabulary: Sequence[str | None] | None,
    sizes: Mapping[str, Any],
    inputs: Mapping[str, Input] | None = None,
    **settings: Any,
) -> None:
    """Write a model's parts to a folder, which is made where it does not exist.

    Whenever the process ends, the folder holds the older model, the new one, or files that
    `read_folder` refuses since they do not belong together; see `lrplstm.saving`.

    Raises
    ------
    TypeError
        If `path` is no path.
    ValueError
        If a token contains a line break, or a string is not valid Unicode.
    OSError
        If the folder or a file cannot be written.
    """
    from safetensors.numpy import save

    folder = _to_path(path)
    if head is None:
        layers_said, tensors = pack_layers(layers)
        settings, version = settings | {_LAYERS: layers_said}, _ONE_INPUT
    else:
        tensors, version = _pack_short_form(layers, head), _SHORT_FORM
    if embedding is not None:
        tensors["embedding"] = embedding
    vocabularies = {} if vocabulary is None else {_VOCABULARY: vocabulary}
    if inputs is not None:
        inputs_said, embeddings, tokens = pack_inputs(inputs)
        vocabularies = dict(tokens)
        settings, version = settings | {_INPUTS: inputs_said}, _SEVERAL_INPUTS
        tensors |= embeddings

    scales = {name: settings.pop(name, None) for name in (*VARIABLES, _OUTPUT_SCALE)}
    said = pack_variables(scales)
    settings |= said
    if said or any(set(said_of) & set(VARIABLES) for said_of in settings.get(_INPUTS, ())):
        version = _VERSION
    vocabulary_size = None if vocabulary is None else len(vocabulary)
    config = {"format": _FORMAT, "format_version": version, **sizes}
    config |= {"vocabulary_size": vocabulary_size, **settings}
    if head and _is_stack(head):
        config[_HEAD] = [dense.activation for dense in head]
    if vocabulary is not None and None in vocabulary:
        config[_UNNAMED] = unnamed_ids(vocabulary)
    for name, value in settings.items():
        _encode(name, _to_json(value))
    files = {_WEIGHTS: save(tensors)}
    files |= {name: _encode_vocabulary(tokens) for name, tokens in vocabularies.items()}

    config[_DIGESTS] = {name: digest(content) for name, content in files.items()}
    files = {_CONFIG: _to_json(config).encode(), **files}  # the first, which knows the others
    # A vocabulary left from a model that was here before would not be this one's.
    older = {path.name for path in folder.glob("vocab.*.txt") if _OF_INPUT.fullmatch(path.name)}
    replace_files(folder, files, obsolete=({_VOCABULARY} | older) - set(files))


def _pack_short_form(layers: Sequence[Directions], head: Sequence[DenseLayer]) -> dict[str, Array]:
    """Return the arrays of an LSTMModel."""
    tensors: dict[str, Array] = {}
    for n, given in enumerate(layers):
        both = directions(given)
        for name, array in LSTM(*both).arrays().items():
            if array.any() or not name.endswith(_OPTIONAL):
                # The name says which way a layer of one direction reads, too.
                side = name.replace("forward", "backward") if both[0].reverse else name
                tensors[f"layers.{n}.{side}"] = array
    prefixes = [f"head.{n}." for n in range(len(head))] if _is_stack(head) else ["head."]
    for prefix, dense in zip(prefixes, head, strict=True):
        tensors[f"{prefix}weight"] = dense.weight
        if dense.bias is not None:
            tensors[f"{prefix}bias"] = dense.bias
    return tensors


def _is_stack(head: Sequence[DenseLayer]) -> bool:
    return [dense.activation for dense in head] != ["linear"]


def _to_json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _encode(name: str, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        surrogates = text[error.start : error.end]
        raise ValueError(f"{name}: expected valid Unicode, got {shown(surrogates)}") from None


def _encode_vocabulary(vocabulary: Sequence[str | None]) -> bytes:
    lines = []
    for id_, token in enumerate(vocabulary):
        if token is None:
            lines.append(b"\n")
            continue
        if "\n" in token or "\r" in token:
            raise ValueError(f"vocabulary: token {id_}, {shown(token)}, contains a line break")
        lines.append(_encode(f"vocabulary: token {id_}", token) + b"\n")
    return b"".join(lines)


def _to_path(path: str | os.PathLike[str]) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path: expected the path of a folder, got {type(path).__name__}")
    return Path(path)


def model_folder(path: str | os.PathLike[str]) -> Path:
    """Return the path of a folder that exists, or raise a ValueError that says what is there."""
    folder = _to_path(path)
    try:
        if folder.is_dir():
            return folder
        there = "a file" if folder.exists() else "nothing"
    except OSError as error:
        there = f"none ({error.strerror})"
    raise ValueError(f"{folder}: expected a model folder, found {there}")


def is_model_folder(path: Path) -> bool:
    """Whether a model can be written there: a folder that holds one, or nothing."""
    if not path.is_dir():
        return False
    if (path / _CONFIG).is_file():
        try:
            config = parse_json(read_file(path / _CONFIG), _CONFIG)
        except ValueError:
            return False
        # Other programs write files of this name, too.
        return isinstance(config, dict) and config.get("format") == _FORMAT
    leftovers = set(path.glob(LEFTOVERS))  # of a first save that was killed
    return leftovers.issuperset(path.iterdir())


def read_file(path: Path, missing: str | None = None) -> bytes:
    """Return what a regular file contains, or raise a ValueError; `missing`: if there is none."""
    try:
        if path.is_file():
            return path.read_bytes()
        exists = path.exists()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from None
    if exists:  # a pipe or a device may have no end
        raise ValueError(f"{path}: expected a file, found something else")
    raise ValueError(missing or f"{path}: expected a file, found none")


_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


@with_visible_errors
def read_array(path: Path, ndims: Collection[int], missing: str | None = None) -> Array:
    """Return the numbers in a .npy file, an array of one of some numbers of dimensions.

    Raises
    ------
    ValueError
        If the file is missing (`missing` then says what to do), or holds anything else.
    """
    return array_in(read_file(path, missing), str(path), ndims)


def array_in(content: bytes, name: str, ndims: Collection[int]) -> Array:
    """Return the numbers in the content of a .npy file, which errors call `name`.

    Raises
    ------
    ValueError
        As `read_array`.
    """
    try:
        with io.BytesIO(content) as file:
            shape, fortran, dtype = _HEADERS[npy.read_magic(file)](file)
            start = file.tell()
    except Exception as error:  # a damaged header can raise nearly anything
        text = str(error).partition("\n")[0]
        raise ValueError(
            f"{name}: not a readable .npy file ({type(error).__name__}: {text:.100})"
        ) from None
    # Seen to agree before NumPy makes anything of these sizes.
    if (
        len(shape) not in ndims
        or min(shape) < 1
        or dtype.kind not in "fiu"
        or math.prod(shape) * dtype.itemsize != len(content) - start
    ):
        raise ValueError(
            f"{name}: expected numbers in {' or '.join(map(str, ndims))} dimensions, got "
            f"{len(content) - start} bytes for shape {shown(shape)}, dtype {dtype!s:.60}"
        )
    numbers = np.frombuffer(content[start:], dtype)  # a copy, so that numbers lie aligned
    return numbers.reshape(shape, order="F" if fortran else "C")


def read_folder(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read what `write_folder` wrote: the arguments of a model, and the sizes it was to have.

    They are those of an `LSTMModel` if "head" is among them, else of a `Model`.

    Raises
    ------
    TypeError
        If `path` is no path.
    ValueError
        If the folder or a file of it is missing, or is not what it should be.
    """
    folder = model_folder(path)
    config = _read_config(folder / _CONFIG)
    part = _Parts(folder, config.get(_DIGESTS))
    tensors = _parse_tensors(folder / _WEIGHTS, part.read(_WEIGHTS))
    arguments: dict[str, Any] = {name: config.get(name) for name in _SETTINGS}
    for name in ("task", "missing"):
        if arguments[name] is None:  # a folder from before there was a choice
            del arguments[name]
    arguments["embedding"] = embedding = tensors.pop("embedding", None)
    if _LAYERS in config:
        del arguments["pooling"]
        arguments["layers"] = unpack_layers(str(folder / _CONFIG), config[_LAYERS], tensors)
    else:
        arguments["head"] = _collect_head(folder / _WEIGHTS, tensors, config.get(_HEAD))
        arguments["layers"] = _collect_layers(folder / _WEIGHTS, tensors)
    if _INPUTS in config:
        arguments[_INPUTS] = unpack_inputs(
            str(folder / _CONFIG), config[_INPUTS], tensors, part.tokens
        )
    if tensors:
        raise ValueError(f"{folder / _WEIGHTS}: expected no tensor {shown(min(tensors))}")
    vocabulary = part.tokens(_VOCABULARY, config, embedding)
    try:
        arguments["vocabulary"] = without_names(vocabulary, config.get(_UNNAMED))
    except ValueError as error:
        raise ValueError(f"{folder / _CONFIG}: {_UNNAMED}: {error}") from None
    return arguments, {name: config[name] for name in _SIZES if name in config}


class _Parts:
    """The files beside config.json, which are those that it was written with.

    Parameters
    ----------
    folder : Path
    digests : dict of str, or None
        As config.json has them. None: any files, as in a folder of version 1.
    """

    def __init__(self, folder: Path, digests: dict[str, str] | None) -> None:
        self._folder = folder
        self._digests = digests

    def exists(self, name: str) -> bool:
        """Whether the model has this part, or raise a ValueError if it was to have it."""
        there = (self._folder / name).exists()
        if self._digests is None:
            return there
        if name in self._digests and not there:
            raise ValueError(
                f"{self._folder}: it has no {name}, which {_CONFIG} was written with: saving was "
                "interrupted, or the file was removed since; save the model again"
            )
        return name in self._digests

    def read(self, name: str) -> bytes:
        """Return what is in a file, or raise a ValueError."""
        content = _read_part(self._folder / name)
        if self._digests is not None and digest(content) != self._digests.get(name):
            raise ValueError(
                f"{self._folder}: {name} is not the file that {_CONFIG} was written with: saving "
                f"was interrupted, or the file was changed since; save the model again (only if "
                f'you changed {name} by hand, take the entry "{_DIGESTS}" out of {_CONFIG})'
            )
        return content

    def tokens(self, name: str, said: dict[str, Any], embedding: Array | None) -> list[str] | None:
        """Return the tokens in a file, if it is there, as many as is said."""
        text = None
        if self.exists(name):
            text = _decode(self._folder / name, self.read(name))
        _check_count(self._folder / name, text, said, embedding)
        return None if text is None else _tokens_in(text)


def _check_count(
    path: Path, text: str | None, config: dict[str, Any], embedding: Array | None
) -> None:
    """Refuse a vocabulary of another size before it is made: tokens take more than their text."""
    tokens = None
    if text is not None:
        tokens = text.count("\n") + (not text.endswith("\n"))
    expected = config.get("vocabulary_size", tokens)
    if tokens != expected:
        raise ValueError(
            f"{path}: expected {_count(expected)} as {_CONFIG} has it, found {_count(tokens)}"
        )
    if tokens is not None and embedding is None:
        raise ValueError(f"{path}: vocabulary: expected None where there is no embedding")
    if tokens is not None and embedding is not None and tokens > len(embedding):
        raise ValueError(
            f"{path}: vocabulary: expected {len(embedding)} tokens as the embedding has rows, or "
            f"fewer, got {tokens}"
        )


def _count(tokens: Any) -> str:
    return "no vocabulary" if tokens is None else f"{shown(tokens)} tokens"


def _read_part(path: Path) -> bytes:
    return read_file(path, f"{path.parent}: not a model folder: it has no {path.name}")


def _read_config(path: Path) -> dict[str, Any]:
    content = _read_part(path)
    config = parse_json(content, str(path))
    if not isinstance(config, dict) or config.get("format") != _FORMAT:
        raise ValueError(f'{path}: expected "format": "{_FORMAT}"; this is no lrplstm model')
    version = config.get("format_version")
    if type(version) is not int or version < 1:
        raise ValueError(f"{path}: format_version: expected 1 to {_VERSION}, got {shown(version)}")
    if version > _VERSION:
        raise ValueError(
            f"{path}: made by a newer version of lrplstm, of format_version "
            f"{shown(version)}; this one reads up to {_VERSION}: install a newer one"
        )
    for name in ("pooling", "unknown_token", "tokenizer", "task", "missing"):
        value = config.get(name)
        if not isinstance(value, str) and (
            value is not None or (name == "pooling" and _LAYERS not in config)
        ):
            raise ValueError(f"{path}: {name}: expected a string, got {shown(value)}")
    for name in ("class_names", "feature_names"):
        names = config.get(name)
        if names is not None and not (
            isinstance(names, list) and all(isinstance(one, str) for one in names)
        ):
            raise ValueError(f"{path}: {name}: expected a list of strings, got {shown(names)}")
    activations = config.get(_HEAD)
    if activations is not None and not (
        isinstance(activations, list) and activations and all(map(_is_activation, activations))
    ):
        raise ValueError(
            f"{path}: {_HEAD}: expected a list of activations, got {shown(activations)}"
        )
    mask_id = config.get("mask_id")
    if mask_id is not None and type(mask_id) is not int:
        raise ValueError(f"{path}: mask_id: expected an id, got {shown(mask_id)}")
    mask_value = config.get("mask_value")
    if mask_value is not None and type(mask_value) not in (int, float):
        raise ValueError(f"{path}: mask_value: expected a number, got {shown(mask_value)}")
    origin = config.get("origin")
    if origin is not None and not (
        isinstance(origin, dict) and all(isinstance(text, str) for text in origin.values())
    ):
        raise ValueError(f"{path}: origin: expected strings by name, got {shown(origin)}")
    digests = config.get(_DIGESTS)
    if digests is not None and not (
        isinstance(digests, dict) and all(isinstance(text, str) for text in digests.values())
    ):
        raise ValueError(f"{path}: {_DIGESTS}: expected digests by file, got {shown(digests)}")
    for name in _SETTINGS:
        _encode(f"{path}: {name}", _to_json(config.get(name)))
    return config


def _parse_tensors(path: Path, content: bytes) -> dict[str, Array]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        check_parts(content[8 : 8 + int.from_bytes(content[:8], "little")])
        tensors: dict[str, Array] = load(content)
    except KeyError as error:
        raise ValueError(
            f"{path}: expected tensors of float32 or float64, got dtype {error.args[0]}"
        ) from None
    except (SafetensorError, ValueError, TypeError, OverflowError) as error:
        text = str(error).partition("\n")[0]  # it may quote the file
        raise ValueError(f"{path}: not a readable safetensors file ({text:.100})") from None
    for array in tensors.values():
        array.flags.writeable = False  # a model can then hold it without a copy
    return tensors


@with_visible_errors
def read_vocabulary(path: Path) -> list[str]:
    """Return the tokens in a file, one a line, or raise a ValueError."""
    return _tokens_in(_decode(path, read_file(path)))


def _decode(path: Path, content: bytes) -> str:
    """Return the text in a file, whose lines end in a line feed."""
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: expected UTF-8, got something else at byte {error.start}"
        ) from None
    at = text.find("\r")
    if at >= 0:
        raise ValueError(
            f"{path}: line {text.count(chr(10), 0, at) + 1}: expected a line feed at its end, "
            "got a carriage return"
        )
    return text


def _tokens_in(text: str) -> list[str]:
    # Not splitlines: a token may well contain U+0085 or U+2028.
    return text.removesuffix("\n").split("\n")


def _is_activation(said: object) -> bool:
    try:
        to_elementwise(_HEAD, said)
    except (TypeError, ValueError):
        return False
    return True


def _collect_head(
    path: Path, tensors: dict[str, Array], activations: Sequence[str] | None
) -> list[DenseLayer]:
    """Take the layers of the head out of `tensors`."""
    if activations is None:
        if "head.weight" not in tensors:
            return []
        layers = {"head.": "linear"}
    else:
        layers = {f"head.{n}.": activation for n, activation in enumerate(activations)}
    head = []
    for prefix, activation in layers.items():
        weight = tensors.pop(f"{prefix}weight", None)
        if weight is None:
            raise ValueError(f"{path}: expected a tensor {prefix}weight, found none")
        try:
            head.append(DenseLayer(weight, tensors.pop(f"{prefix}bias", None), activation))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: {prefix}{error}") from None
    return head


def _collect_layers(path: Path, tensors: dict[str, Array]) -> list[Directions]:
    """Return the layers in `tensors`, which are to be used up by them."""
    layers: list[Directions] = []
    while True:
        prefix = f"layers.{len(layers)}"
        forward = _collect_direction(path, f"{prefix}.forward.", tensors, reverse=False)
        backward = _collect_direction(path, f"{prefix}.backward.", tensors, reverse=not forward)
        if forward and backward:
            layers.append((forward, backward))
        elif one := forward or backward:
            layers.append(one)
        else:
            break
    if not layers:
        raise ValueError(f"{path}: expected tensors layers.0.forward.*, found none")
    return layers


def _collect_direction(
    path: Path, prefix: str, tensors: dict[str, Array], *, reverse: bool
) -> LSTMWeights | None:
    names = [name for name in _REQUIRED + _OPTIONAL if prefix + name in tensors]
    if not names:
        return None
    missing = [name for name in _REQUIRED if name not in names]
    if missing:
        raise ValueError(f"{path}: expected a tensor {prefix}{missing[0]}, found none")
    try:
        arrays: dict[str, Any] = {name: tensors.pop(prefix + name) for name in names}
        return LSTMWeights(**arrays, reverse=reverse)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {prefix}{error}") from None
