"""Models of PyTorch's weights: of parts that are named, or of which there is no doubt."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lrplstm.base_model import Model
from lrplstm.checks import outer_level
from lrplstm.layers import DenseLayer, Pool
from lrplstm.loaders.arrays import naming, with_dtype
from lrplstm.loaders.assumptions import warn_assumed
from lrplstm.loaders.tensors import TensorReader, find_state_dict
from lrplstm.loaders.torch_files import read_state_dict
from lrplstm.loaders.torch_finding import (
    Ends,
    Request,
    find_head_and_embedding,
    find_lstms,
    origin_of,
)
from lrplstm.loaders.torch_head import linear_layers
from lrplstm.loaders.torch_layers import check_tensors, read_layers
from lrplstm.loaders.torch_parts import Part, parts_of_module, parts_of_state_dict
from lrplstm.model import LSTMModel
from lrplstm.weights import Array, LSTMWeights

__all__ = ["model_of_parts"]


def model_of_parts(
    source: Any,
    module: Any,
    asked: Request,
    pooling: str | None,
    example: Any,
    texts: Mapping[str, Any],
    *,
    runs: bool,
    check: bool,
) -> Model:
    """Return the model of parts that are named, or of which there is no doubt."""
    named = asked.lstms is not None or asked.head is not None or asked.embedding is not None
    parts = _parts(source, module)
    reader = TensorReader()
    with naming(source):
        lstms = find_lstms(parts, asked.lstms)
        layers = read_layers(reader, lstms)
        ends = find_head_and_embedding(
            parts,
            lstms,
            asked,
            input_size=_input_size(layers),
            width=_width(layers),
            compared=runs,
        )
        linears = _linears(parts, ends.head, asked.activations)
        dense = _read_head(reader, linears, _width(layers))
        table = None
        if ends.embedding is not None:
            table = _read_embedding(reader, parts[ends.embedding], _input_size(layers))
    if asked.array is not None:
        table = with_dtype(asked.array, reader.dtype)
    others = {"embedding": table, "origin": origin_of(parts, lstms, ends), **texts}
    model: Model
    if all(
        isinstance(side, LSTMWeights) and not side.variants() for both in layers for side in both
    ):
        model = LSTMModel(_short(layers), head=dense, pooling=pooling or "last", **others)
        if runs and _compare(module, model, lstms, ends, example):
            _refuse_masks(alone=asked.is_empty and pooling is None)
    elif runs:
        raise ValueError("source: expected LSTMs where named parts are compared with a forward")
    else:
        pools = [] if pooling == "none" else [Pool(pooling or "last")]
        model = Model([*_short(layers), *pools, *dense], **others)
    if not runs and (module is None or check):
        _warn(asked, lstms, linears, pooling, named=module is not None and named)
    return model


def _short(layers: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Return layers of one direction as its weights, others as pairs."""
    return [layer if layer[1:] else layer[0] for layer in layers]


def _parts(source: Any, module: Any) -> dict[str, Part]:
    if module is not None:
        return parts_of_module(sys.modules["torch"], source)
    if isinstance(source, Mapping):
        return parts_of_state_dict(find_state_dict(source))
    if isinstance(source, str | os.PathLike):
        return parts_of_state_dict(read_state_dict(source))
    raise TypeError(
        "source: expected a module of PyTorch, a state dict or the path of one, "
        f"got {type(source).__name__}"
    )


# The comparison ---------------------------------------------------------------------------------


def _compare(
    module: Any, model: LSTMModel, lstms: Sequence[Part], ends: Ends, example: Any
) -> bool:
    """Return whether a module does something by numbers; raise if it has other scores."""
    from lrplstm.loaders.torch_check import Reading, check_forward

    modules = dict(module.named_modules())
    padding = None if ends.embedding is None else modules[ends.embedding].padding_idx
    batch_first = getattr(modules[lstms[0].name], "batch_first", True)  # a cell has none
    reading = Reading(ends.head, batch_first, padding)
    return check_forward(sys.modules["torch"], module, model, reading, example)


def _refuse_masks(*, alone: bool) -> None:
    """Raise where a forward is to be read for its masks, or warn where it is not to be read."""
    what = "forward does something by the numbers that it gets, as by those of padding"
    if alone:
        raise ValueError(f"source: {what}, that is not read")
    warnings.warn(
        f"source: {what}, which is not seen where parts or their order are said: give sequences "
        "without padding, or leave out lstm=, head=, embedding=, activations= and pooling=",
        UserWarning,
        stacklevel=outer_level(),
    )


def _warn(
    asked: Request,
    lstms: Sequence[Part],
    linears: Sequence[tuple[Part | None, str]],
    pooling: str | None,
    *,
    named: bool,
) -> None:
    """Warn of what is assumed of weights alone."""
    assumed: list[str] = []
    given: dict[str, object] = {}
    if asked.lstms is None and len(lstms) > 1:
        order = [part.name for part in lstms]
        assumed.append(f"{', '.join(map(repr, order)):.100} follow each other in this order")
        given["lstm"] = order
    cells = [part.name for part in lstms if "weight_ih" in part.tensors]
    if asked.lstms is None and cells:
        assumed.append(f"the cell {cells[0]!r:.100} runs over the steps in their order, from zeros")
        given.setdefault("lstm", cells)
    plain = [part.name for part in lstms if part.cell == "RNN"]
    if asked.lstms is None and plain and not named:
        assumed.append(f"the activation of {plain[0]!r:.100} is tanh, as it is by default")
        given.setdefault("lstm", plain)
    if pooling is None:
        reads = "the head reads" if linears else "the scores are"
        assumed.append(f"pooling 'last', {reads} the final state of each direction")
        given["pooling"] = "last"
    if linears and asked.head is None and asked.activations is None:
        layers = {part.name: activation for part, activation in linears if part is not None}
        names = ", ".join(map(repr, layers))
        assumed.append(f"no other activation between the LSTM and {names:.100}, or after it")
        given["activations"] = list(layers.values())
    why = "weights alone do not show what forward does with them"
    instead = "a module with its forward is compared instead"
    if named:
        why = "a module of which parts are named is not compared with its forward"
        instead = "with example= it is compared"
    warn_assumed(why, assumed, given, instead)


def _input_size(layers: Sequence[tuple[Any, ...]]) -> int:
    return int(layers[0][0].input_size)


def _width(layers: Sequence[tuple[Any, ...]]) -> int:
    return sum(weights.output_size for weights in layers[-1])


# Head and embedding -----------------------------------------------------------------------------


def _read_embedding(reader: TensorReader, part: Part, input_size: int) -> Array:
    check_tensors(part, ["weight"])
    return reader.read(part.full("weight"), part.tensors["weight"], ("vocabulary size", input_size))


def _linears(
    parts: Mapping[str, Part], names: Sequence[str], activations: Sequence[str] | None
) -> list[tuple[Part | None, str]]:
    """Return the linear layers of a head, each with its activation."""
    if activations is not None and not names:
        raise ValueError("activations: expected None where there is no head")
    return linear_layers(parts, names, activations) if names else []


def _read_head(
    reader: TensorReader, linears: Sequence[tuple[Part | None, str]], width: int
) -> list[DenseLayer]:
    layers = []
    for part, activation in linears:
        if part is None:
            layers.append(DenseLayer(np.eye(width, dtype=reader.dtype), None, activation))
            continue
        if part.width not in (width, None):
            raise ValueError(f"head: expected a linear layer of width {width}, got {part}")
        keys = ["weight", "bias"] if "bias" in part.tensors else ["weight"]
        check_tensors(part, keys)
        shapes: list[tuple[int | str, ...]] = [("output_size", width), ("output_size",)]
        weight, *bias = [
            reader.read(part.full(key), part.tensors[key], shape)
            for key, shape in zip(keys, shapes, strict=False)
        ]
        layers.append(DenseLayer(weight, bias[0] if bias else None, activation))
        width = len(weight)
    return layers
