"""From a network that was read to a model: an `LSTMModel` where it has that shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lrplstm.base_model import Model
from lrplstm.graph.parts import Part
from lrplstm.graph.reading import Reading
from lrplstm.layers import (
    INPUTS,
    LSTM,
    POOLINGS,
    Activation,
    DenseLayer,
    Layer,
    Pool,
    Recurrent,
    Standardize,
    StepsError,
)
from lrplstm.loaders.refusals import RefusedError
from lrplstm.model import LSTMModel
from lrplstm.named_inputs import Input
from lrplstm.weights import Array

__all__ = ["to_model"]

_OF_INPUT = ("vocabulary", "unknown_token", "tokenizer", "mask_id")
"""Arguments of models that are about the one input that has tokens."""

_OF_STATES = ("relu", "tanh")
"""Activations of states themselves that an LSTMModel has as a layer with the identity."""


def to_model(reading: Reading, **names: Any) -> Model:
    """Return the model of a network; `names` are arguments of models, such as `vocabulary`."""
    if len(reading.inputs) != 1 or reading.row_inputs:
        return _of_several(reading, names)
    reading = _with_sizes(reading)
    dtype = _dtype(reading.parts)
    title, embedding = reading.embeddings.get(INPUTS, (None, None))
    if embedding is None and reading.inputs[INPUTS].integers:
        raise RefusedError("it reads ids without an embedding")
    layers = _layers(reading.parts, dtype)
    table = None if embedding is None else _as(embedding, dtype)
    origin = {"input": reading.inputs[INPUTS].name}
    if title is not None:
        origin["embedding"] = title
    names |= _padding(reading, INPUTS)
    chain = _chain(reading.parts, dtype)
    if chain is not None:
        origin |= _titles(reading.parts) | {"output": reading.output}
        return LSTMModel(**chain, embedding=table, origin=origin, **names)
    origin |= {part.name: part.title for part in reading.parts if part.title}
    origin["output"] = reading.output
    return Model(layers, embedding=table, origin=origin, **names)


def _of_several(reading: Reading, names: dict[str, Any]) -> Model:
    """Return the model of a network of several inputs, which keep their names."""
    dtype = _dtype(reading.parts)
    inputs = {}
    for name, given in reading.inputs.items():
        _, table = reading.embeddings.get(name, (None, None))
        if table is None and given.integers:
            raise RefusedError(f"input {name!r}: it reads ids without an embedding")
        settings = _of_the_only(reading, names) if table is not None else {}
        settings |= _padding(reading, name)
        size = reading.sizes[name] if table is None else None
        table = None if table is None else _as(table, dtype)
        steps = name not in reading.row_inputs
        inputs[name] = Input(size, steps=steps, embedding=table, **settings)
    others = {name: value for name, value in names.items() if name not in _OF_INPUT}
    for name in _OF_INPUT:
        if names.get(name) is not None and len(reading.embeddings) != 1:
            raise RefusedError(f"{name}: expected None where several inputs may have it")
    origin = {f"embedding of {name}": title for name, (title, _) in reading.embeddings.items()}
    origin |= {part.name: part.title for part in reading.parts if part.title}
    others["origin"] = origin | {"output": reading.output}
    layers = _layers(reading.parts, dtype)
    while True:
        try:
            return Model(layers, inputs=inputs, **others)
        except StepsError as error:
            # Inputs that are joined step by step have the same steps.
            sources = {axis.source for axis in error.axes}
            joined = [name for name in inputs if name in sources]
            if len(joined) < 2:
                raise
            arguments = inputs[joined[1]].arguments() | {"steps": joined[0]}
            inputs[joined[1]] = Input(**arguments)


def _of_the_only(reading: Reading, names: dict[str, Any]) -> dict[str, Any]:
    """Return what is said of tokens, where one input alone has some."""
    if len(reading.embeddings) != 1:
        return {}
    return {name: names[name] for name in _OF_INPUT if names.get(name) is not None}


def _padding(reading: Reading, name: str) -> dict[str, Any]:
    """Return what models are told of an input's padding, if the network passes that over."""
    if name not in reading.masks:
        return {}
    value = reading.masks[name]
    return {"mask_id": int(value)} if name in reading.embeddings else {"mask_value": value}


def _layers(parts: Sequence[Part], dtype: np.dtype[Any]) -> list[Layer]:
    with np.errstate(over="ignore"):  # infinite numbers are refused by what they end up in
        return [part.layer.astype(dtype).called(part.name, part.reads) for part in parts]


def _as(table: Array, dtype: np.dtype[Any]) -> Array:
    with np.errstate(over="ignore"):
        return table.astype(dtype, copy=False)


def _with_sizes(reading: Reading) -> Reading:
    """Return the same with a layer that says how wide the input is, where none that reads it does.

    It standardizes by nothing, which leaves numbers and relevance as they are.
    """
    readers = [part.layer for part in reading.parts if part.reads[0] == INPUTS]
    if reading.embeddings or any(layer.input_size is not None for layer in readers):
        return reading
    zeros = np.zeros(reading.sizes[INPUTS], np.float32)
    names = {part.name for part in reading.parts}
    name = next(name for name in ("standardize", "as it is") if name not in names)
    first = Part(name, (INPUTS,), "", Standardize(zeros, zeros + 1))
    parts = [
        replace(part, reads=tuple(name if read == INPUTS else read for read in part.reads))
        for part in reading.parts
    ]
    return replace(reading, parts=(first, *parts))


def _dtype(parts: Sequence[Part]) -> np.dtype[Any]:
    """Return the dtype of recurrent layers, or of all where there are none; the wider of two."""
    recurrent = [part.layer for part in parts if isinstance(part.layer, Recurrent)]
    arrays = [
        array
        for layer in recurrent or [part.layer for part in parts]
        for array in layer.arrays().values()
    ]
    return np.result_type(np.float32, *arrays)


def _chain(parts: Sequence[Part], dtype: np.dtype[Any]) -> dict[str, Any] | None:
    """Return the arguments of an LSTMModel, or None where the network has another shape."""
    below = INPUTS
    for part in parts:
        if part.reads != (below,):
            return None
        below = part.name
    remaining = [part.layer for part in parts]
    lstms = _take(remaining, LSTM)
    sides = [[side.astype(dtype) for side in lstm.directions] for lstm in lstms]
    if not lstms or any(side.variants() for layer in sides for side in layer):
        return None
    pooling = remaining.pop(0).pooling if remaining and isinstance(remaining[0], Pool) else "none"
    if pooling not in POOLINGS:
        return None
    if remaining and isinstance(remaining[0], Activation) and remaining[0].function in _OF_STATES:
        # Of the states themselves: a layer with the identity as its weights.
        identity = np.eye(lstms[-1].width, dtype=dtype)
        remaining[0] = DenseLayer(identity, activation=remaining[0].function)
    head = _take(remaining, DenseLayer)
    if remaining:
        return None
    return {
        "layers": [layer if layer[1:] else layer[0] for layer in sides],
        "head": [layer.astype(dtype) for layer in head],
        "pooling": pooling,
    }


def _take(layers: list[Any], kind: type) -> list[Any]:
    """Return the layers of a kind that come first, and take them away."""
    number = next((n for n, layer in enumerate(layers) if not isinstance(layer, kind)), len(layers))
    taken = layers[:number]
    del layers[:number]
    return taken


def _titles(parts: Sequence[Part]) -> dict[str, str]:
    """Return what the LSTM and the head were made from."""
    titles: dict[str, dict[str, None]] = {"lstm": {}, "head": {}}
    for part in parts:
        if part.title and not isinstance(part.layer, Pool):
            titles["lstm" if isinstance(part.layer, LSTM) else "head"][part.title] = None
    return {name: ", ".join(found) for name, found in titles.items() if found}
