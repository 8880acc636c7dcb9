"""A network's layers as formulas: what a few of them compute of the rows of one step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from lrplstm.activations import to_elementwise
from lrplstm.graph.cells import Activated, Formulas, Pair
from lrplstm.graph.masks import Kept
from lrplstm.graph.parts import Part
from lrplstm.layers import (
    Activation,
    Add,
    Affine,
    Concatenate,
    DenseLayer,
    LayerNormalization,
    Multiply,
    Pool,
    Recurrent,
    RMSNormalization,
    Step,
    Units,
)
from lrplstm.loaders.refusals import RefusedError
from lrplstm.weights import Array

__all__ = ["OF_EACH_ROW", "Layers", "Size", "value_of"]

_MOST_PARTS = 64
"""So many layers the formula of a cell may consist of."""

OF_EACH_ROW = (
    Activation
    | Add
    | Affine
    | Concatenate
    | DenseLayer
    | LayerNormalization
    | Multiply
    | RMSNormalization
    | Units
)
"""Layers that do the same to all steps at once as to each, and of which `value_of` knows what."""


class Size(NamedTuple):
    """How many units a row of an input or layer has, and how many steps there are, if any."""

    width: int
    steps: int | None


class Layers(Formulas):
    """The layers of a network by their names, which are those of what they give."""

    def __init__(self, parts: Sequence[Part], sizes: Mapping[str, Size]) -> None:
        self.parts = {part.name: part for part in parts}
        self.sizes = dict(sizes)
        self.scores = parts[-1].name
        dtypes = {array.dtype for part in parts for array in part.layer.arrays().values()}
        self.dtype = np.result_type(np.float32, *dtypes)
        self.rows: dict[tuple[str, int], list[str]] = {}  # the names of each step of what has steps
        for name in self.parts:
            step = self.step_of(name)
            if step is not None:
                self.rows.setdefault(step, []).append(name)
        self._kept: dict[str, list[str]] = {}  # what keeps old states, by the new ones
        for part in parts:
            if isinstance(part.layer, Kept):
                self._kept.setdefault(part.reads[0], []).append(part.name)
        self.masks: dict[str, float] = {}  # what padding is, by inputs
        self.masked: set[str] = set()  # layers that pass it over
        self._order = [*self.parts]
        self._before: dict[str, list[str]] = {}  # layers that were put in front of others

    def _layer(self, name: str, kind: Any) -> Any:
        part = self.parts.get(name)
        return part.layer if part is not None and isinstance(part.layer, kind) else None

    def activated(self, name: str) -> Activated | None:
        """Return which activation a tensor is of what; see `Formulas`."""
        layer = self._layer(name, Activation)
        return None if layer is None else Activated(layer.function, self.parts[name].reads[0])

    def factors(self, name: str) -> list[Pair]:
        """Return the factors of a product; see `Formulas`."""
        return self._both_orders(name, Multiply)

    def summands(self, name: str) -> list[Pair]:
        """Return the summands of a sum; see `Formulas`."""
        return self._both_orders(name, Add)

    def _both_orders(self, name: str, kind: type) -> list[Pair]:
        if self._layer(name, kind) is None or len(self.parts[name].reads) != 2:
            return []
        first, second = self.parts[name].reads
        return [(first, second), (second, first)]

    def difference(self, name: str) -> Pair | None:
        """Return what a tensor is less what; see `Formulas`."""
        for first, second in self.summands(name):
            affine = self._layer(second, Affine)
            if affine is not None and (affine.scale == -1).all() and not affine.shift.any():
                return first, self.parts[second].reads[0]
        return None

    def complement(self, name: str) -> str | None:
        """Return of what a tensor is 1 less that; see `Formulas`."""
        affine = self._layer(name, Affine)
        if affine is None or (affine.scale != -1).any() or (affine.shift != 1).any():
            return None
        return self.parts[name].reads[0]

    def same(self, first: str, second: str) -> bool:
        """Whether two tensors are one."""
        return first == second

    def products(self, name: str) -> list[str]:
        """Return products that a tensor may be affine in; see `Formulas`."""
        return [leaf for leaf in self.leaves(name) if self._layer(leaf, Multiply) is not None]

    def leaves(self, *names: str) -> list[str]:
        """Return what tensors are affine in: what the first matrices on the way back read."""
        leaves, seen = dict[str, None](), set[tuple[str, bool]]()
        waiting = [(name, False) for name in names]  # and whether a matrix was met
        while waiting and len(seen) <= _MOST_PARTS:
            name, below = waiting.pop()
            if (name, below) in seen:
                continue
            seen.add((name, below))
            if self._layer(name, Concatenate | Units) is not None:
                pass
            elif self._layer(name, DenseLayer) is not None and not below:
                below = True
            elif below or self._layer(name, Add | Affine) is None:
                leaves[name] = None
                continue
            waiting += [(read, below) for read in self.parts[name].reads]
        return [*leaves] if not waiting else []

    def evaluate(self, names: Sequence[str], given: Mapping[str, Array]) -> list[Array]:
        """Return what tensors are, computed in double precision; see `Formulas`."""
        known = {name: np.asarray(rows, np.float64) for name, rows in given.items()}
        for name in names:
            self._compute(name, known)
        return [known[name] for name in names]

    def _compute(self, name: str, known: dict[str, Array]) -> None:
        waiting = [name]
        while waiting:
            name = waiting[-1]
            part = self.parts.get(name)
            if name in known:
                waiting.pop()
                continue
            if part is None or len(known) > _MOST_PARTS or len(waiting) > _MOST_PARTS:
                raise RefusedError(f"{name!r} is not computed in one step")
            missing = [read for read in part.reads if read not in known]
            if not missing:
                known[name] = value_of(part.layer, [known[read] for read in part.reads])
            waiting += missing

    def kept(self, name: str) -> str:
        """Return what keeps an old state instead of this new one where a step is padding."""
        readers = self._kept.get(name, [])
        return readers[0] if len(readers) == 1 else name

    def step_of(self, name: str) -> tuple[str, int] | None:
        """Return which step of what a row is, if it is one."""
        if self._layer(name, Step | Pool) is None:
            return None
        layer, (source,) = self.parts[name].layer, self.parts[name].reads
        steps = self.sizes[source].steps
        if steps is None:
            return None
        if isinstance(layer, Step):
            return source, layer.index % steps
        cells = self._layer(source, Recurrent)
        if layer.pooling != "last" or (cells is not None and len(cells.directions) == 2):
            return None
        return source, 0 if cells is not None and cells.directions[0].reverse else steps - 1

    def add(self, layer: Any, reads: Sequence[str], size: Size, like: str, before: str) -> str:
        """Put a layer in front of another, made of what a third is, and return its name."""
        number, name = 1, layer.kind
        while name in self.sizes:
            number += 1
            name = f"{layer.kind}_{number}"
        self.sizes[name] = size
        self.parts[name] = replace(self.parts[like], name=name, reads=tuple(reads), layer=layer)
        self._before.setdefault(before, []).append(name)
        return name

    def replace(self, name: str, layer: Any, reads: str) -> None:
        """Let another layer give what one gives."""
        self.parts[name] = replace(self.parts[name], layer=layer, reads=(reads,), title="")
        step = self.step_of(name)
        if step is not None:
            self.rows.setdefault(step, []).append(name)

    def remaining(self) -> list[Part]:
        """Return the layers that the scores depend on, in an order in which they can run."""
        needed, kept = {self.scores}, list[Part]()
        for name in reversed(self._order):
            for one in (name, *reversed(self._before.get(name, []))):
                if one in needed:
                    kept.append(self.parts[one])
                    needed.update(self.parts[one].reads)
        return kept[::-1]


def value_of(layer: Any, reads: Sequence[Array]) -> Array:
    """Return what one of the layers that cells consist of gives."""
    rows = reads[0]
    match layer:
        case DenseLayer(activation="linear"):
            made = rows @ layer.weight.T.astype(np.float64)
            return made if layer.bias is None else np.asarray(made + layer.bias)
        case Affine():
            return np.asarray(rows * layer.scale.astype(np.float64) + layer.shift)
        case Activation():
            return to_elementwise("activation", layer.function)(rows)
        case Units():
            return rows[:, layer.start : layer.stop]
        case Add():
            return np.asarray(sum(reads[1:], rows))
        case Multiply():
            return reads[0] * reads[1]
        case Kept():  # as of a step that is no padding
            return rows
        case Concatenate():
            return np.concatenate(reads, axis=1)
        case LayerNormalization() | RMSNormalization():
            return layer.astype(np.float64).forward((rows,), (np.arange(len(rows) + 1),))
    raise RefusedError(f"{layer.kind} is no part of a cell")
