"""Keras layers that make ids of words: the model then reads ids, and has their vocabulary."""

from __future__ import annotations

from typing import Any

from lrplstm.loaders.keras.config import KerasLayer
from lrplstm.loaders.keras.translation import Mask, Padding, Tensor, Use, translates
from lrplstm.texts import shown

__all__ = ["joined_masks"]

_MOST_WORDS = 10**7


@translates("TextVectorization", "StringLookup")
def _lookup(use: Use) -> Tensor:
    """Return what is given instead of words: ids."""
    tensor, layer = use.one(), use.layer
    if tensor.name not in use.translation.inputs:
        raise use.refuse("expected it to read an input of the model")
    if layer.get("output_mode", "int") != "int":
        raise use.refuse(f"expected output_mode 'int', got {shown(layer.get('output_mode'))}")
    if layer.get("ngrams") is not None:
        raise use.refuse("expected words by themselves, got ngrams")
    if layer.says("invert"):
        raise use.refuse("expected invert=False")
    if use.translation.vocabulary is not None:
        raise use.refuse("expected one layer that makes ids of words, got two")
    use.translation.vocabulary = _vocabulary(use, layer)
    given = use.translation.inputs[tensor.name]
    shape = (given.shape[0], None)  # texts, of which each becomes a sequence
    use.translation.inputs[tensor.name] = type(given)(given.name, shape, integers=True)
    if layer.get("output_sequence_length") is not None:
        use.translation.text_length = layer.whole("output_sequence_length")
    return Tensor(tensor.name, shape)


def _vocabulary(use: Use, layer: KerasLayer) -> tuple[str | None, ...]:
    """Return the word of each id, from the file's assets or the config."""
    said: Any = layer.get("vocabulary")
    if said is None:
        place = "/".join(
            step if isinstance(step, str) else f"layers/{step[0]}" + f"_{step[1]}" * bool(step[1])
            for step in layer.stored
        )
        found = [
            content
            for name, content in use.translation.vocabularies.items()
            if name == place or name.startswith(f"{place}/")
        ]
        if not found:
            raise use.refuse(
                "expected its words in the file, found none; save the model with them, or one that "
                "reads ids"
            )
        try:
            said = found[0].decode().split("\n")
        except UnicodeDecodeError:
            raise use.refuse("expected its words in UTF-8, got other bytes") from None
    if (
        not isinstance(said, list)
        or len(said) > _MOST_WORDS
        or not all(isinstance(word, str) for word in said)
    ):
        raise use.refuse(f"expected words as its vocabulary, got {shown(said)}")
    words = list(said)
    special = ["", "[UNK]"] if layer.class_name == "TextVectorization" else _special(layer)
    if words[: len(special)] != special:
        words = [*special, *words]
    return tuple(word or None for word in words)


def _special(layer: KerasLayer) -> list[str]:
    """Return what stands before the words of a StringLookup."""
    mask, unknown = layer.get("mask_token"), layer.get("oov_token", "[UNK]")
    number = layer.whole("num_oov_indices", default=1, least=0)
    if number > 1:
        raise layer.refuse(f"expected one id at most for words that it lacks, got {number}")
    return [str(mask)] * (mask is not None) + [str(unknown)] * number


# Masks of Functional models of Keras 3 ----------------------------------------------------------


@translates("ops.NotEqual", "NotEqual")
def _not_equal(use: Use) -> Mask:
    match use.arguments:
        case [Tensor() as tensor, int() | float() as value] if not isinstance(value, bool):
            return Mask(Padding(tensor.name, value), of_steps=len(tensor.shape) == 2)
    raise use.refuse("expected to compare a tensor with a number, as the mask of an Embedding does")


@translates("ops.Any", "Any")
def _any(use: Use) -> Mask:
    match use.arguments:
        case [Mask() as mask] if use.layer.get("axis") == -1 and not use.layer.says("keepdims"):
            return Mask(mask.padding, of_steps=True)
    raise use.refuse("expected no mask but that of an Embedding or Masking")


@translates("ops.LogicalAnd", "ops.LogicalOr", "LogicalAnd", "LogicalOr")
def _both(use: Use) -> Mask:
    return joined_masks(use, "Or" in use.layer.class_name)


@translates("ops.OnesLike", "ops.ZerosLike")
def _alike(use: Use) -> Mask:
    return Mask(use.layer.class_name == "ops.OnesLike", of_steps=False)


def joined_masks(use: Use, either: bool) -> Mask:
    """Return what several masks say together; a step is read if one of them says so, or if all."""
    masks: list[Any] = []
    for value in use.arguments:
        masks += value if isinstance(value, list) else [value]
    if not masks or not all(isinstance(one, Mask) for one in masks):
        raise use.refuse("this function is not read but of masks")
    kinds = {one.padding for one in masks} - {not either}
    if either in kinds:
        kinds = {either}
    if len(kinds) > 1:
        raise use.refuse("expected masks of the same steps")
    return Mask(kinds.pop() if kinds else not either, all(one.of_steps for one in masks))
