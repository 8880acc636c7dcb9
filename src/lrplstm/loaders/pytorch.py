"""PyTorch: modules, state dicts, and the files that they are saved in."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lrplstm.checks import check_choice, to_array
from lrplstm.layers import ACTIVATIONS, POOLINGS, DenseLayer, directions
from lrplstm.loaders.arrays import naming, sum_of_biases, with_dtype
from lrplstm.loaders.assumptions import warn_assumed
from lrplstm.loaders.registry import refuse_others
from lrplstm.loaders.tensors import TensorReader, as_tensor, find_state_dict
from lrplstm.loaders.torch_files import read_state_dict
from lrplstm.loaders.torch_finding import (
    Ends,
    Request,
    find_head_and_embedding,
    find_lstms,
    origin_of,
)
from lrplstm.loaders.torch_head import linear_layers
from lrplstm.loaders.torch_parts import Part, parts_of_module, parts_of_state_dict
from lrplstm.model import LSTMModel
from lrplstm.texts import shown, with_visible_errors
from lrplstm.weights import Array, Directions, LSTMWeights

__all__ = ["from_torch"]


@with_visible_errors
def from_torch(
    source: Any,
    *,
    lstm: str | Sequence[str] | None = None,
    head: str | Sequence[str] | Literal[False] | None = None,
    embedding: str | npt.ArrayLike | Literal[False] | None = None,
    activations: Sequence[str] | None = None,
    pooling: str | None = None,
    example: Any = None,
    check: bool = True,
    vocabulary: Sequence[str | None] | Mapping[str, int] | None = None,
    class_names: Sequence[str] | None = None,
    unknown_token: str | None = None,
    tokenizer: str | None = None,
    task: str = "classification",
) -> LSTMModel:
    """Read an LSTM of PyTorch: a module, a state dict, or a file of one.

    What a network is made of shows which weights it has, not what it does between them. A module
    is therefore run on a few short sequences, and has to have the model's scores. Weights alone
    cannot be compared: what is assumed of them is said in a warning, unless `pooling` and
    `activations` say it.

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
        out. What stands between the LSTM and the head is said as ``head=["relu", "fc"]``.
    pooling : {"last", "mean", "max", "none"}, optional
        What the head reads; "last", which is ``h_n``, if nothing is said. See `lrplstm.LSTMModel`.
    example : tensor or array_like, tuple of arguments, or dict of them by name, optional
        What the module's ``forward`` takes, such as ids (B, T), or ``(x, lengths)``: the scores are
        compared on this. Default: on made-up ids or numbers of several lengths.
    check : bool
        Whether to run a module and compare its scores with the model's, which have to agree to
        1e-4 of the largest, before or after a final softmax, log_softmax or sigmoid. It runs in
        evaluation mode, without gradients, and neither it nor the state of any random generator is
        changed. Modules without a ``forward``, and those of which parts are named with `lstm`,
        `head` or `embedding`, are weights alone, unless there is an `example`.
    vocabulary, class_names, unknown_token, tokenizer, task
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
        data. If a module has other scores, or cannot be run to see it; the error says which
        arguments would fit.

    Warns
    -----
    UserWarning
        If `pooling` or `activations` have to be assumed.

    Examples
    --------
    >>> import numpy as np
    >>> import lrplstm
    >>> rng = np.random.default_rng(0)
    >>> shapes = {"rnn.weight_ih_l0": (8, 3), "rnn.weight_hh_l0": (8, 2), "rnn.bias_ih_l0": (8,),
    ...           "rnn.bias_hh_l0": (8,), "fc.weight": (4, 2), "fc.bias": (4,)}
    >>> state_dict = {name: rng.normal(0, 0.3, shape) for name, shape in shapes.items()}
    >>> model = lrplstm.from_torch(state_dict, pooling="last", activations=["linear"])
    >>> dict(model.origin)
    {'lstm': 'rnn', 'head': 'fc'}
    >>> model.predict(rng.normal(size=(5, 3))).shape
    (4,)
    """
    if pooling is not None:
        check_choice("pooling", pooling, POOLINGS)
    if not isinstance(check, bool):
        raise TypeError(f"check: expected True or False, got {shown(check)}")
    refuse_others(source, "from_torch")
    asked = _check_request(lstm, head, embedding, activations)
    module = _module(source)
    named = asked.lstms is not None or asked.head is not None or asked.embedding is not None
    runs = module is not None and check and (example is not None or not named)
    if runs or example is not None:
        runs = _runs(module, example)
    parts = _parts(source)
    reader = TensorReader()
    with naming(source):
        lstms = find_lstms(parts, asked.lstms)
        layers = _read_layers(reader, lstms)
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
    model = LSTMModel(
        layers,
        head=dense,
        pooling=pooling or "last",
        embedding=table,
        vocabulary=vocabulary,
        class_names=class_names,
        unknown_token=unknown_token,
        tokenizer=tokenizer,
        task=task,
        origin=origin_of(parts, lstms, ends),
    )
    if runs:
        _compare(module, model, lstms, ends, example)
    elif module is None or check:
        _warn(asked, lstms, linears, pooling, named=module is not None and named)
    return model


# What is asked for ------------------------------------------------------------------------------


def _check_request(lstm: Any, head: Any, embedding: Any, activations: Any) -> Request:
    lstms = None if lstm is None else _check_names("lstm", lstm)
    if head is not None:
        head = () if head is False else _check_names("head", head)
    if activations is not None:
        activations = _check_names("activations", activations, least=0)
        for activation in activations:
            check_choice("activations", activation, ACTIVATIONS)
        if head == ():
            raise ValueError("activations: expected None where there is no head")
    array = None
    if embedding is not None and embedding is not False and not isinstance(embedding, str):
        array, embedding = _check_embedding(embedding), False
    return Request(lstms, head, activations, embedding, array)


def _check_names(argument: str, value: Any, least: int = 1) -> tuple[str, ...]:
    names = (value,) if isinstance(value, str) else value
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"{argument}: expected a name or a sequence of names, got {shown(value)}")
    if len(names) < least:
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


def _module(source: Any) -> Any:
    """Return the source if it is a module of PyTorch, else None."""
    torch = sys.modules.get("torch")  # what nobody has imported, no module can be of
    if torch is None or not isinstance(source, torch.nn.Module):
        return None
    if isinstance(source, torch.jit.ScriptModule):
        raise TypeError("source: expected no TorchScript module; pass its state_dict()")
    return source


def _parts(source: Any) -> dict[str, Part]:
    if _module(source) is not None:
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


def _runs(module: Any, example: Any) -> bool:
    """Whether there is a forward to run, which there has to be for an example."""
    # Imported here, so that only those who have a module wait for it.
    from lrplstm.loaders.torch_run import has_forward, unwrapped

    torch = sys.modules.get("torch")
    if module is not None and has_forward(torch, unwrapped(torch, module)):
        return True
    if example is not None:
        raise ValueError("example: expected None for weights alone, which have no forward to run")
    return False


def _compare(
    module: Any, model: LSTMModel, lstms: Sequence[Part], ends: Ends, example: Any
) -> None:
    """Raise a ValueError if a module has other scores than the model."""
    from lrplstm.loaders.torch_check import Reading, check_forward

    modules = dict(module.named_modules())
    padding = None if ends.embedding is None else modules[ends.embedding].padding_idx
    reading = Reading(ends.head, modules[lstms[0].name].batch_first, padding)
    check_forward(sys.modules["torch"], module, model, reading, example)


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


# The LSTM ---------------------------------------------------------------------------------------


def _read_layers(reader: TensorReader, lstms: Sequence[Part]) -> list[Directions]:
    layers: list[Directions] = []
    width: int | str = "input_size"
    for part in lstms:
        if any(name.startswith("weight_hr_") for name in part.tensors):
            raise ValueError(f"{part}: expected no projection of the hidden state, got proj_size")
        suffixes = _suffixes(part)
        kinds = ["weight_ih", "weight_hh"]
        if f"bias_ih{suffixes[0][0]}" in part.tensors:
            kinds += ["bias_ih", "bias_hh"]
        _check_tensors(part, [k + suffix for both in suffixes for suffix in both for k in kinds])
        # The same in all layers and directions.
        hidden_size = sum(part.tensors[f"weight_hh{suffixes[0][0]}"].shape[1:2])
        for both in suffixes:
            pair = []
            for suffix in both:
                pair.append(_read_direction(reader, part, kinds, suffix, width, hidden_size))
                width = pair[0].input_size
            layers.append(pair[0] if len(pair) == 1 else tuple(pair))
            width = hidden_size * len(pair)
    return layers


def _suffixes(part: Part) -> list[list[str]]:
    """Return how the names of the tensors of each layer end, for each direction."""
    if "weight_ih" in part.tensors:  # a cell
        return [[""]]
    sides = ("", "_reverse") if "weight_ih_l0_reverse" in part.tensors else ("",)
    depth = 0
    while f"weight_ih_l{depth}" in part.tensors:
        depth += 1
    return [[f"_l{n}{side}" for side in sides] for n in range(max(depth, 1))]


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
    biases = [read(kind, rows) for kind in kinds[2:]]
    bias = np.zeros(rows, reader.dtype)
    if biases:
        name = part.full(f"bias_hh{suffix}")
        bias = sum_of_biases(biases, name, f"with bias_ih{suffix}")
    return LSTMWeights(weight_ih, weight_hh, bias)


def _check_tensors(part: Part, expected: Sequence[str]) -> None:
    """Raise a ValueError if a part has not these tensors, or computes something else with them."""
    if part.fault is not None:
        raise ValueError(f"{part}: expected what it computes to be known, but it {part.fault}")
    missing = [name for name in expected if name not in part.tensors]
    known = set(expected)
    others = [name for name in part.tensors if name not in known]
    if missing or others:
        found = f"no {missing[0]!r}" if missing else f"{shown(others[0])} too"
        raise ValueError(
            f"{part}: expected the tensors {', '.join(expected[:4])}, got {found}; weight "
            "normalization, pruning and other parametrizations have to be removed first"
        )


def _input_size(layers: Sequence[Directions]) -> int:
    return directions(layers[0])[0].input_size


def _width(layers: Sequence[Directions]) -> int:
    return sum(weights.hidden_size for weights in directions(layers[-1]))


# Head and embedding -----------------------------------------------------------------------------


def _read_embedding(reader: TensorReader, part: Part, input_size: int) -> Array:
    _check_tensors(part, ["weight"])
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
        _check_tensors(part, keys)
        shapes: list[tuple[int | str, ...]] = [("output_size", width), ("output_size",)]
        weight, *bias = [
            reader.read(part.full(key), part.tensors[key], shape)
            for key, shape in zip(keys, shapes, strict=False)
        ]
        layers.append(DenseLayer(weight, bias[0] if bias else None, activation))
        width = len(weight)
    return layers
