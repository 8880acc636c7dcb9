"""PyTorch: modules, state dicts, and the files that they are saved in."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from lrplstm.checks import check_choice, to_array
from lrplstm.loaders.tensors import TensorReader, as_tensor, find_state_dict
from lrplstm.loaders.torch_files import read_state_dict
from lrplstm.loaders.torch_head import linear_layers
from lrplstm.loaders.torch_parts import (
    Part,
    below,
    list_parts,
    parts_of_module,
    parts_of_state_dict,
)
from lrplstm.model import LSTMModel
from lrplstm.network import POOLINGS, directions
from lrplstm.weights import ACTIVATIONS, Array, DenseLayer, Layer, LSTMWeights

__all__ = ["from_torch"]

_MOST_LISTED = 12
"""How many parts that were left out are named."""


def from_torch(
    source: Any,
    *,
    lstm: str | Sequence[str] | None = None,
    head: str | Sequence[str] | Literal[False] | None = None,
    embedding: str | npt.ArrayLike | Literal[False] | None = None,
    activations: Sequence[str] | None = None,
    pooling: str = "last",
    vocabulary: Sequence[str | None] | Mapping[str, int] | None = None,
    class_names: Sequence[str] | None = None,
    unknown_token: str | None = None,
    tokenizer: str | None = None,
) -> LSTMModel:
    """Read an LSTM of PyTorch: a module, a state dict, or a file of one.

    Nothing of it is run, so what `forward` does between the parts is not seen: say with `pooling`
    and `activations` what it does, and compare `model.predict` with the module's own scores.

    Parameters
    ----------
    source : torch.nn.Module, mapping of str to tensors or arrays, str or path
        A module, in whatever mode and on whatever device; its state dict; or a file of that, which
        is .safetensors or what ``torch.save`` wrote (.pt, .pth, .bin, .ckpt). A checkpoint that
        contains one state dict with an LSTM will do. Files are read without running anything in
        them, and without PyTorch.
    lstm : str or sequence of str, optional
        Path of the ``nn.LSTM``, such as "encoder.rnn"; of several that follow each other, first
        layer first. Default: the only one there is.
    head : str, sequence of str, or False, optional
        Path of the linear layer, or of the ``nn.Sequential`` of linear layers and activations, that
        makes the scores; several paths for what follows each other. False: no head, so that the
        scores are the hidden state. Default: found, if there is no doubt about it.
    embedding : str, array_like of shape (V, D), or False, optional
        Path of the ``nn.Embedding``, or an array instead of it. False: none, the LSTM reads floats.
        Default: found, if there is no doubt about it.
    activations : sequence of {"linear", "relu", "tanh"}, optional
        What follows each layer of the head, where no module shows it; that of the last may be left
        out.
    pooling : {"last", "mean", "max", "none"}
        What the head reads; "last" is ``h_n``, see `lrplstm.LSTMModel`.
    vocabulary, class_names, unknown_token, tokenizer
        As for `lrplstm.LSTMModel`.

    Returns
    -------
    LSTMModel
        Its `origin` says which parts it was made from, and which were left out. float16 and
        bfloat16 become float32.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind, or a tensor not of floating point.
    ValueError
        If it is not clear which part is which, one cannot be explained, shapes or dtypes do not
        fit together, or a file cannot be read, is damaged, or holds more than tensors and plain
        data.

    Examples
    --------
    >>> import numpy as np
    >>> import lrplstm
    >>> rng = np.random.default_rng(0)
    >>> shapes = {"rnn.weight_ih_l0": (8, 3), "rnn.weight_hh_l0": (8, 2), "rnn.bias_ih_l0": (8,),
    ...           "rnn.bias_hh_l0": (8,), "fc.weight": (4, 2), "fc.bias": (4,)}
    >>> state_dict = {name: rng.normal(0, 0.3, shape) for name, shape in shapes.items()}
    >>> model = lrplstm.from_torch(state_dict)
    >>> dict(model.origin)
    {'lstm': 'rnn', 'head': 'fc'}
    >>> model.predict(rng.normal(size=(5, 3))).shape
    (4,)
    """
    check_choice("pooling", pooling, POOLINGS)
    asked = _check_request(lstm, head, embedding, activations)
    parts = _parts(source)
    reader = TensorReader()
    with _naming_the_file(source):
        lstms = _find_lstms(parts, asked.lstms)
        layers = _read_layers(reader, lstms)
        found = _find_head_and_embedding(parts, lstms, layers, asked)
        dense = _read_head(reader, parts, found.head, asked.activations, _width(layers))
        table = None
        if found.embedding is not None:
            table = _read_embedding(reader, parts[found.embedding], _input_size(layers))
    if asked.array is not None:
        with np.errstate(over="ignore"):  # the model refuses infinite numbers
            table = asked.array.astype(reader.dtype)
    return LSTMModel(
        layers,
        head=dense,
        pooling=pooling,
        embedding=table,
        vocabulary=vocabulary,
        class_names=class_names,
        unknown_token=unknown_token,
        tokenizer=tokenizer,
        origin=_origin(parts, lstms, found),
    )


# What is asked for ------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Request:
    """Arguments that say which parts are meant; None where they are to be found.

    No names stand for no head. `embedding` is False where it is none of the parts.
    """

    lstms: tuple[str, ...] | None
    head: tuple[str, ...] | None
    activations: tuple[str, ...] | None
    embedding: str | Literal[False] | None
    array: Array | None


def _check_request(lstm: Any, head: Any, embedding: Any, activations: Any) -> _Request:
    lstms = None if lstm is None else _check_names("lstm", lstm)
    if head is not None:
        head = () if head is False else _check_names("head", head)
    if activations is not None:
        activations = _check_names("activations", activations)
        for activation in activations:
            check_choice("activations", activation, ACTIVATIONS)
        if not head:
            raise ValueError("activations: expected None where head= names no layers")
    array = None
    if embedding is not None and embedding is not False and not isinstance(embedding, str):
        array, embedding = _check_embedding(embedding), False
    return _Request(lstms, head, activations, embedding, array)


def _check_names(argument: str, value: Any) -> tuple[str, ...]:
    names = (value,) if isinstance(value, str) else value
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"{argument}: expected a name or a sequence of names, got {value!r:.60}")
    if not names:
        raise ValueError(f"{argument}: expected at least one name, got none")
    return tuple(names)


def _check_embedding(embedding: Any) -> Array:
    """Return an array in place of an embedding; its shape and numbers are the model's to check."""
    tensor = as_tensor("embedding", embedding)
    array = to_array("embedding", embedding) if tensor is None else tensor.read("embedding")
    if array.dtype.kind not in "fiu":
        raise TypeError(
            "embedding: expected a name, an array of numbers or False, "
            f"got {type(embedding).__name__}"
        )
    return array


def _parts(source: Any) -> dict[str, Part]:
    torch = sys.modules.get("torch")  # what nobody has imported, no module can be of
    if torch is not None and isinstance(source, torch.nn.Module):
        if isinstance(source, torch.jit.ScriptModule):
            raise TypeError("source: expected no TorchScript module; pass its state_dict()")
        return parts_of_module(torch, source)
    if isinstance(source, Mapping):
        return parts_of_state_dict(find_state_dict(source))
    if isinstance(source, str | os.PathLike):
        return parts_of_state_dict(read_state_dict(source))
    raise TypeError(
        "source: expected a module of PyTorch, a state dict or the path of one, "
        f"got {type(source).__name__}"
    )


@contextmanager
def _naming_the_file(source: Any) -> Iterator[None]:
    """Let errors of what a file holds name the file."""
    try:
        yield
    except (TypeError, ValueError) as error:
        if not isinstance(source, str | os.PathLike):
            raise
        raise ValueError(f"{os.fspath(source)}: {error}") from None


# The LSTM ---------------------------------------------------------------------------------------


def _find_lstms(parts: Mapping[str, Part], names: Sequence[str] | None) -> list[Part]:
    there = [part for part in parts.values() if "lstm" in part.roles]
    if names is None:
        if len(there) == 1:
            return there
        if there:
            raise ValueError(
                f"source: expected one LSTM, found {list_parts(there)}; name one with lstm=, or "
                "several that follow each other"
            )
        others = [p for p in parts.values() if any(k in p.kind for k in ("LSTM", "GRU", "RNN"))]
        raise ValueError(f"source: expected an LSTM, found {list_parts(others or parts.values())}")
    for name in names:
        if name not in parts or "lstm" not in parts[name].roles:
            got = str(parts[name]) if name in parts else f"{name!r:.60}"
            raise ValueError(f"lstm: expected the name of an LSTM: {list_parts(there)}; got {got}")
    return [parts[name] for name in names]


def _read_layers(reader: TensorReader, lstms: Sequence[Part]) -> list[Layer]:
    layers: list[Layer] = []
    width: int | str = "input_size"
    for part in lstms:
        if any(name.startswith("weight_hr_") for name in part.tensors):
            raise ValueError(f"{part}: expected no projection of the hidden state, got proj_size")
        sides = ("", "_reverse") if "weight_ih_l0_reverse" in part.tensors else ("",)
        kinds = ["weight_ih", "weight_hh"]
        if "bias_ih_l0" in part.tensors:
            kinds += ["bias_ih", "bias_hh"]
        depth = 0
        while f"weight_ih_l{depth}" in part.tensors:
            depth += 1
        suffixes = [[f"_l{n}{side}" for side in sides] for n in range(max(depth, 1))]
        _check_tensors(part, [k + suffix for both in suffixes for suffix in both for k in kinds])
        # The same in all layers and directions.
        hidden_size = sum(part.tensors["weight_hh_l0"].shape[1:2])
        for both in suffixes:
            pair = []
            for suffix in both:
                pair.append(_read_direction(reader, part, kinds, suffix, width, hidden_size))
                width = pair[0].input_size
            layers.append(pair[0] if len(pair) == 1 else tuple(pair))
            width = hidden_size * len(pair)
    return layers


def _read_direction(
    reader: TensorReader,
    part: Part,
    kinds: Sequence[str],
    suffix: str,
    width: int | str,
    hidden_size: int,
) -> LSTMWeights:
    def read(kind: str, *shape: int | str) -> Array:
        name = kind + suffix
        return reader.read(part.full(name), part.tensors[name], shape)

    rows = 4 * hidden_size
    # A shape of no columns is none that fits.
    weight_hh = read("weight_hh", rows or "4 * hidden_size", hidden_size or "hidden_size")
    weight_ih = read("weight_ih", rows, width)
    bias = np.zeros(rows, reader.dtype)
    with np.errstate(over="ignore"):
        for kind in kinds[2:]:
            bias += read(kind, rows)
    if not np.isfinite(bias).all():
        name = part.full(f"bias_hh{suffix}")
        raise ValueError(f"{name}: expected a finite sum with bias_ih{suffix}, got infinity")
    return LSTMWeights(weight_ih, weight_hh, bias)


def _check_tensors(part: Part, expected: Sequence[str]) -> None:
    """Raise a ValueError if a part has not these tensors, or computes something else with them."""
    if part.fault is not None:
        raise ValueError(f"{part}: expected what it computes to be known, but it {part.fault}")
    missing = [name for name in expected if name not in part.tensors]
    known = set(expected)
    others = [name for name in part.tensors if name not in known]
    if missing or others:
        found = f"no {missing[0]!r}" if missing else f"{others[0]!r:.60} too"
        raise ValueError(
            f"{part}: expected the tensors {', '.join(expected[:4])}, got {found}; weight "
            "normalization, pruning and other parametrizations have to be removed first"
        )


def _input_size(layers: Sequence[Layer]) -> int:
    return directions(layers[0])[0].input_size


def _width(layers: Sequence[Layer]) -> int:
    return sum(weights.hidden_size for weights in directions(layers[-1]))


# Head and embedding -----------------------------------------------------------------------------


class _Found(NamedTuple):
    """Names of what makes the scores, none for no head, and of the embedding."""

    head: tuple[str, ...]
    embedding: str | None


def _find_head_and_embedding(
    parts: Mapping[str, Part], lstms: Sequence[Part], layers: Sequence[Layer], asked: _Request
) -> _Found:
    input_size, width = _input_size(layers), _width(layers)
    if isinstance(asked.embedding, str) and parts.get(asked.embedding) not in _embeddings(parts):
        raise ValueError(
            f"embedding: expected the name of one: {list_parts(_embeddings(parts))}; "
            f"got {asked.embedding!r:.60}"
        )
    if asked.head is not None:
        if asked.embedding is None:
            return _Found(asked.head, _find_embedding(parts, asked.head, input_size))
        return _Found(asked.head, asked.embedding or None)

    # Nobody said what is to be left out, so all that matters has to have its place.
    others = [part for part in parts.values() if part.matters and part not in lstms]
    heads, tables = _fitting_heads(parts, width), [asked.embedding or None]
    needed = others
    if asked.embedding is None:
        tables += [part.name for part in _embeddings(parts) if part.width == input_size]
        # One of three would be left out anyway; a file can have thousands.
        heads, tables = heads[:3], tables[:4]
    elif asked.embedding is False:
        needed = [part for part in others if "embedding" not in part.roles]
    choices = [
        _Found(head, table)
        for head in [*heads, ()]
        for table in tables
        if table not in head and not _left_out(needed, head, table)
    ]
    if asked.embedding is not None and len(choices) > 1:
        choices = [found for found in choices if found.head]
    if len(choices) == 1:
        _check_comes_after(parts, lstms, choices[0].head, input_size)
        return choices[0]
    faults = [f"; {part.name!r:.60} {part.fault}" for part in others if part.lacks_weight]
    raise ValueError(
        f"source: expected, besides the LSTM, one linear head of width {width}, at most one "
        f"embedding of width {input_size} and nothing else, found {list_parts(others)}"
        f"{''.join(faults[:1])}; name what is meant with head= and embedding=, or False for none, "
        "and the rest is left out"
    )


def _check_comes_after(
    parts: Mapping[str, Part], lstms: Sequence[Part], head: Sequence[str], input_size: int
) -> None:
    """Raise a ValueError if what was found as the head may as well make the LSTM's inputs."""
    linear = [part for name in head for part in below(parts, name) if "linear" in part.roles]
    if not linear:
        return
    output_size = linear[-1].tensors["weight"].shape[:1] if "weight" in linear[-1].tensors else ()
    order = list(parts)
    comes_first = order.index(linear[0].name) < order.index(lstms[0].name)
    if output_size == (input_size,) and comes_first:
        raise ValueError(
            f"head: expected a head that is seen to be one, found {list_parts(linear)}, which "
            f"gives {input_size} numbers, as the LSTM reads, and comes before it; if it is the "
            f"head, pass head={head[0]!r:.60}, and if it makes the LSTM's inputs, head=False, "
            "which leaves it out"
        )


def _embeddings(parts: Mapping[str, Part]) -> list[Part]:
    return [part for part in parts.values() if "embedding" in part.roles]


def _find_embedding(parts: Mapping[str, Part], head: Sequence[str], input_size: int) -> str | None:
    """Return the name of the one embedding beside a head that was named."""
    inside = {part.name for name in head for part in below(parts, name)}
    there = [part for part in _embeddings(parts) if part.name not in inside]
    fitting = [part for part in there if part.width == input_size]
    # A state dict does not tell an embedding from a linear layer without bias.
    unfit = [part for part in there if part.roles == {"embedding"}]
    if len(fitting) > 1 or (unfit and not fitting):
        raise ValueError(
            f"embedding: expected one of width {input_size}, as the LSTM reads, found "
            f"{list_parts(fitting or unfit)}; name one with embedding=, or False for a model that "
            f"reads {input_size} floats a step"
        )
    return fitting[0].name if fitting else None


def _fitting_heads(parts: Mapping[str, Part], width: int) -> list[tuple[str, ...]]:
    """Return linear layers, or sequences of them, that read so many numbers."""
    first: dict[str, Part] = {}  # linear layer of each
    for part in parts.values():
        if "linear" in part.roles:
            first.setdefault(_outermost_sequence(parts, part.name), part)
    return [(name,) for name, part in first.items() if part.width == width]


def _outermost_sequence(parts: Mapping[str, Part], name: str) -> str:
    """Return the largest sequence that this part is in, and neither LSTM nor embedding."""
    steps = name.split(".")
    for count in range(len(steps)):
        outer = ".".join(steps[:count])
        if outer in parts and "sequence" in parts[outer].roles:
            roles = {role for part in below(parts, outer) for role in part.roles}
            if not roles & {"lstm", "embedding"}:
                return outer
    return name


def _left_out(needed: Iterable[Part], head: Sequence[str], table: str | None) -> bool:
    """Whether a part is neither in this head nor this embedding."""
    return any(
        part.name != table and not any(part.within(name) for name in head) for part in needed
    )


def _read_embedding(reader: TensorReader, part: Part, input_size: int) -> Array:
    _check_tensors(part, ["weight"])
    return reader.read(part.full("weight"), part.tensors["weight"], ("vocabulary size", input_size))


def _read_head(
    reader: TensorReader,
    parts: Mapping[str, Part],
    names: Sequence[str],
    activations: Sequence[str] | None,
    width: int,
) -> list[DenseLayer]:
    layers = []
    for part, activation in linear_layers(parts, names, activations) if names else ():
        if part.width not in (width, None):
            raise ValueError(f"head: expected a linear layer of width {width}, got {part}")
        keys = ["weight", "bias"] if "bias" in part.tensors else ["weight"]
        _check_tensors(part, keys)
        shapes: list[tuple[int | str, ...]] = [("output_size", width), ("output_size",)]
        weight, *bias = [
            reader.read(part.full(key), part.tensors[key], shape)
            for key, shape in zip(keys, shapes, strict=False)
        ]
        layers.append(DenseLayer(weight, bias[0] if bias else None, activation))
        width = len(weight)
    return layers


def _origin(parts: Mapping[str, Part], lstms: Sequence[Part], found: _Found) -> dict[str, str]:
    """Return what the parts were called."""
    origin = {"lstm": ", ".join(part.name for part in lstms)}
    if found.head:
        origin["head"] = ", ".join(found.head)
    if found.embedding is not None:
        origin["embedding"] = found.embedding
    used = [part.name for part in lstms] + [found.embedding]
    others = [
        part.name or ", ".join(part.tensors)
        for part in parts.values()
        if part.matters and part.name not in used and _left_out([part], found.head, None)
    ]
    if len(others) > _MOST_LISTED:
        others[_MOST_LISTED:] = [f"and {len(others) - _MOST_LISTED} more"]
    if others:
        origin["left_out"] = ", ".join(others)
    return origin
