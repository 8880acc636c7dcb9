"""Several inputs in files: what config.json says of each, its embedding and its vocabulary.

Each is ``{"name", "size", "steps", "unknown_token", "tokenizer", "mask_id", "mask_value"}``, where
they are given ``"feature_names"``, ``"missing"`` and ``"scaler"``, ``{"mean", "scale"}``; and,
with a vocabulary, ``"vocabulary_size"`` and ``"unnamed_ids"``; the embedding of the n-th is the
tensor ``inputs.<n>.embedding``, and its tokens are in ``vocab.<n>.txt``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lrplstm.named_inputs import Input, check_inputs
from lrplstm.scaling import Scaler
from lrplstm.texts import shown
from lrplstm.vocabulary import unnamed_ids, without_names
from lrplstm.weights import Array

__all__ = ["VARIABLES", "pack_inputs", "pack_variables", "unpack_inputs", "vocabulary_file"]

VARIABLES = ("feature_names", "scaler", "missing")
"""What is said of variables where there is anything to say."""

_SETTINGS = ("size", "steps", "unknown_token", "tokenizer", "mask_id", "mask_value")


def vocabulary_file(n: int) -> str:
    """Return the name of the file with the tokens of the n-th input."""
    return f"vocab.{n}.txt"


def pack_inputs(
    inputs: Mapping[str, Input],
) -> tuple[list[dict[str, Any]], dict[str, Array], dict[str, tuple[str | None, ...]]]:
    """Return what is said of inputs, their embeddings, and their vocabularies by file."""
    said: list[dict[str, Any]] = []
    tensors: dict[str, Array] = {}
    vocabularies: dict[str, tuple[str | None, ...]] = {}
    for n, (name, one) in enumerate(inputs.items()):
        arguments = one.arguments()
        of_input = {"name": name} | {setting: arguments[setting] for setting in _SETTINGS}
        of_input |= pack_variables({setting: arguments[setting] for setting in VARIABLES})
        if one.embedding is not None:
            tensors[f"inputs.{n}.embedding"] = one.embedding
        if one.vocabulary is not None:
            vocabularies[vocabulary_file(n)] = one.vocabulary
            of_input["vocabulary_size"] = len(one.vocabulary)
            of_input["unnamed_ids"] = unnamed_ids(one.vocabulary)
        said.append(of_input)
    return said, tensors, vocabularies


def pack_variables(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is said of names and scalers that differ from none, ready for JSON."""
    said: dict[str, Any] = {}
    for name, value in arguments.items():
        if isinstance(value, Scaler):
            said[name] = {"mean": value.mean.tolist(), "scale": value.scale.tolist()}
        elif value not in (None, "error"):
            said[name] = value
    return said


def unpack_inputs(
    path: str,
    said: Any,
    tensors: dict[str, Array],
    tokens_in: Callable[[str, dict[str, Any], Array | None], list[str] | None],
) -> dict[str, Input]:
    """Return the inputs that a file says, their embeddings taken out of `tensors`.

    `tokens_in` returns the tokens in a file of the folder, if it is there, given what is said of
    their input and its embedding.

    Raises
    ------
    ValueError
        If it says something else.
    """
    if not isinstance(said, list) or not all(isinstance(one, dict) for one in said):
        raise ValueError(f"{path}: inputs: expected a list of what each is, got {shown(said)}")
    inputs: dict[str, Input] = {}
    for n, one in enumerate(said):
        name = one.get("name")
        if not isinstance(name, str) or name in inputs:
            raise ValueError(f"{path}: inputs[{n}]: name: expected one of its own")
        embedding = tensors.pop(f"inputs.{n}.embedding", None)
        tokens = tokens_in(vocabulary_file(n), one, embedding)
        settings = {setting: one.get(setting) for setting in _SETTINGS}
        settings |= {setting: one[setting] for setting in VARIABLES if setting in one}
        try:
            vocabulary = without_names(tokens, one.get("unnamed_ids"))
            inputs[name] = Input(embedding=embedding, vocabulary=vocabulary, **settings)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: inputs[{n}]: {error}") from None
    try:
        return check_inputs(inputs)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None
