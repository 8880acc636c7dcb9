"""The recurrent layers of a PyTorch network, as their tensors have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lrplstm.cells import GRUWeights, RNNWeights
from lrplstm.loaders.arrays import sum_of_biases
from lrplstm.loaders.tensors import TensorReader
from lrplstm.loaders.torch_parts import Part
from lrplstm.texts import shown
from lrplstm.weights import Array, LSTMWeights

__all__ = ["check_tensors", "read_layers"]

_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def read_layers(reader: TensorReader, parts: Sequence[Part]) -> list[tuple[Any, ...]]:
    """Return the weights of each direction of each layer.

    Raises
    ------
    ValueError
        If a tensor lacks, or has another shape.
    """
    layers: list[tuple[Any, ...]] = []
    width: int | str = "input_size"
    for part in parts:
        suffixes = _suffixes(part)
        kinds = ["weight_ih", "weight_hh"]
        if f"bias_ih{suffixes[0][0]}" in part.tensors:
            kinds += ["bias_ih", "bias_hh"]
        if f"weight_hr{suffixes[0][0]}" in part.tensors:
            kinds.append("weight_hr")
        check_tensors(part, [k + suffix for both in suffixes for suffix in both for k in kinds])
        # The same in all layers and directions.
        last = "weight_hr" if kinds[-1] == "weight_hr" else "weight_hh"
        hidden_size = sum(part.tensors[last + suffixes[0][0]].shape[1:2])
        for both in suffixes:
            sides = []
            for suffix in both:
                sides.append(_read_direction(reader, part, kinds, suffix, width, hidden_size))
                width = sides[0].input_size
            layers.append(tuple(sides))
            width = sum(side.output_size for side in sides)
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
) -> Any:
    def read(kind: str, *shape: int | str) -> Array:
        name = kind + suffix
        return reader.read(part.full(name), part.tensors[name], shape)

    gates = _GATES[part.cell]
    rows, given = gates * hidden_size, hidden_size
    projection = read("weight_hr", "proj_size", hidden_size) if "weight_hr" in kinds else None
    if projection is not None:
        given = len(projection)
    # A shape of no columns is none that fits.
    weight_hh = read("weight_hh", rows or f"{gates} * hidden_size", given or "hidden_size")
    weight_ih = read("weight_ih", rows, width)
    biases = [read(kind, rows) for kind in kinds if kind.startswith("bias")]
    if part.cell == "GRU":
        biases = biases or [np.zeros(rows, reader.dtype)] * 2
        return GRUWeights(weight_ih, weight_hh, *biases)
    bias = np.zeros(rows, reader.dtype)
    if biases:
        name = part.full(f"bias_hh{suffix}")
        bias = sum_of_biases(biases, name, f"with bias_ih{suffix}")
    if part.cell == "RNN":
        return RNNWeights(weight_ih, weight_hh, bias, activation=part.activation)
    return LSTMWeights(weight_ih, weight_hh, bias, weight_hr=projection)


def check_tensors(part: Part, expected: Sequence[str]) -> None:
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
