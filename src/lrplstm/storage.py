"""The native folder of a model: config.json, weights.safetensors and vocab.txt.

========================  ===========================================================
config.json               sizes, pooling, class names, unknown token, tokenizer
weights.safetensors       ``layers.<n>.<forward or backward>.<weight_ih, weight_hh or bias>``,
                          ``initial_hidden`` and ``initial_cell`` beside them where they are not
                          zero, ``head.weight``, ``head.bias``, ``embedding``
vocab.txt                 one token a line, UTF-8, in the order of the embedding's rows
========================  ===========================================================
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lrplstm.weights import Array, Layer, LSTMWeights

__all__ = ["read_folder", "write_folder"]

_FORMAT, _VERSION = "lrplstm", 1
_CONFIG, _WEIGHTS, _VOCABULARY = "config.json", "weights.safetensors", "vocab.txt"
_DIRECTIONS = ("forward", "backward")
_SETTINGS = ("pooling", "class_names", "unknown_token", "tokenizer")
_REQUIRED = ("weight_ih", "weight_hh", "bias")
_OPTIONAL = ("initial_hidden", "initial_cell")


def write_folder(
    path: str | os.PathLike[str],
    *,
    layers: Sequence[Layer],
    head_weight: Array | None,
    head_bias: Array | None,
    embedding: Array | None,
    vocabulary: Sequence[str] | None,
    sizes: Mapping[str, Any],
    **settings: Any,
) -> None:
    """Write a model's parts to a folder, which is made where it does not exist.

    Each file is complete before it takes the place of an older one.

    Raises
    ------
    ValueError
        If a token contains a line break, or is not valid Unicode.
    OSError
        If the folder or a file cannot be written.
    """
    from safetensors.numpy import save

    tensors: dict[str, Array] = {}
    for n, layer in enumerate(layers):
        pair = (layer,) if isinstance(layer, LSTMWeights) else tuple(layer)
        for direction, weights in zip(_DIRECTIONS, pair, strict=False):
            for name, array in weights.arrays().items():
                if name in _REQUIRED or array.any():
                    tensors[f"layers.{n}.{direction}.{name}"] = array
    extra = {"head.weight": head_weight, "head.bias": head_bias, "embedding": embedding}
    tensors |= {name: array for name, array in extra.items() if array is not None}

    config = {"format": _FORMAT, "format_version": _VERSION, **sizes, **settings}
    files = {
        _WEIGHTS: save(tensors),
        _CONFIG: (json.dumps(config, indent=2, ensure_ascii=False) + "\n").encode(),
    }
    if vocabulary is not None:
        files[_VOCABULARY] = _encode_vocabulary(vocabulary)

    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        _replace(folder / name, content)
    if vocabulary is None:
        # A vocabulary left from a model that was here before would not be this one's.
        (folder / _VOCABULARY).unlink(missing_ok=True)


def _encode_vocabulary(vocabulary: Sequence[str]) -> bytes:
    for id_, token in enumerate(vocabulary):
        if "\n" in token or "\r" in token:
            raise ValueError(f"vocabulary: token {id_}, {token!r}, contains a line break")
    try:
        return "".join(f"{token}\n" for token in vocabulary).encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"vocabulary: expected valid Unicode, got {error.object!r:.60}") from None


def _replace(path: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # mkstemp's file is its owner's alone
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def read_folder(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what `write_folder` wrote, as the arguments of `LSTMModel`.

    Raises
    ------
    ValueError
        If the folder or a file of it is missing, or is not what it should be.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise ValueError(f"{folder}: expected a model folder, found {_what(folder)}")
    config = _read_config(folder / _CONFIG)
    tensors = _read_tensors(folder / _WEIGHTS)
    arguments: dict[str, Any] = {name: config.get(name) for name in _SETTINGS}
    arguments["head_weight"] = tensors.pop("head.weight", None)
    arguments["head_bias"] = tensors.pop("head.bias", None)
    arguments["embedding"] = tensors.pop("embedding", None)
    arguments["vocabulary"] = None
    if arguments["embedding"] is not None and (folder / _VOCABULARY).exists():
        arguments["vocabulary"] = _read_vocabulary(folder / _VOCABULARY)
    arguments["layers"] = _collect_layers(folder / _WEIGHTS, tensors)
    return arguments


def _what(path: Path) -> str:
    return "a file" if path.exists() else "nothing"


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ValueError(f"{path.parent}: not a model folder: it has no {path.name}") from None
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: expected JSON, got something else ({error})") from None
    if not isinstance(config, dict) or config.get("format") != _FORMAT:
        raise ValueError(f'{path}: expected "format": "{_FORMAT}"; this is no lrplstm model')
    if config.get("format_version") != _VERSION:
        raise ValueError(
            f"{path}: expected format_version {_VERSION}, got {config.get('format_version')!r}"
        )
    for name, kind in {"pooling": str, "unknown_token": str, "tokenizer": str}.items():
        value = config.get(name)
        if not isinstance(value, kind) and (value is not None or name == "pooling"):
            raise ValueError(f"{path}: {name}: expected a string, got {value!r:.60}")
    names = config.get("class_names")
    if names is not None and not (
        isinstance(names, list) and all(isinstance(name, str) for name in names)
    ):
        raise ValueError(f"{path}: class_names: expected a list of strings, got {names!r:.60}")
    return config


def _read_tensors(path: Path) -> dict[str, Array]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ValueError(f"{path.parent}: not a model folder: it has no {path.name}") from None
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        tensors: dict[str, Array] = load(content)
    except (SafetensorError, ValueError, TypeError, KeyError, OverflowError) as error:
        raise ValueError(f"{path}: not a readable safetensors file ({error})") from None
    for array in tensors.values():
        array.flags.writeable = False  # a model can then hold it without a copy
    return tensors


def _read_vocabulary(path: Path) -> list[str]:
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: expected UTF-8, got something else at byte {error.start}"
        ) from None
    # Not splitlines: a token may well contain U+0085 or U+2028.
    return text.removesuffix("\n").split("\n")


def _collect_layers(path: Path, tensors: dict[str, Array]) -> list[Layer]:
    """Return the layers in `tensors`, which are to be used up by them."""
    layers: list[Layer] = []
    while any(name.startswith(f"layers.{len(layers)}.") for name in tensors):
        pair = []
        for direction in _DIRECTIONS:
            prefix = f"layers.{len(layers)}.{direction}."
            found = {
                name: tensors.pop(prefix + name)
                for name in _REQUIRED + _OPTIONAL
                if prefix + name in tensors
            }
            if not found and direction == "backward":
                continue
            missing = [name for name in _REQUIRED if name not in found]
            if missing:
                raise ValueError(f"{path}: expected a tensor {prefix}{missing[0]}, found none")
            try:
                pair.append(LSTMWeights(**found))
            except (TypeError, ValueError) as error:
                raise ValueError(f"{path}: {prefix}{error}") from None
        layers.append(pair[0] if len(pair) == 1 else tuple(pair))
    if tensors:
        raise ValueError(f"{path}: expected no tensor {min(tensors)!r:.60}")
    if not layers:
        raise ValueError(f"{path}: expected tensors layers.0.forward.*, found none")
    return layers
