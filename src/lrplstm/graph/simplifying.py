"""Layers as people would write them: biases and activations belong to the layer before them.

Frameworks write a dense layer as a product, a sum and an activation, and a batch normalization as
a product and a sum for each unit. Every change here leaves all outputs as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lrplstm.graph.parts import Part
from lrplstm.layers import (
    INPUTS,
    Activation,
    Affine,
    DenseLayer,
    LayerNormalization,
    Pool,
    Recurrent,
    RMSNormalization,
    Standardize,
    Step,
)
from lrplstm.layers.folding import into_reader, into_source

__all__ = ["simplified"]


def simplified(parts: Sequence[Part], raw: frozenset[str] = frozenset({INPUTS})) -> list[Part]:
    """Return the same network in fewer layers; the last stays the last.

    `raw` are the inputs that are numbers, not ids.
    """
    return _Simplifier(parts, raw).run()


class _Simplifier:
    def __init__(self, parts: Sequence[Part], raw: frozenset[str]) -> None:
        self.parts = {part.name: part for part in parts}
        self.raw = raw
        self.readers: dict[str, list[str]] = {}
        for part in parts:
            for read in part.reads:
                self.readers.setdefault(read, []).append(part.name)
        self.last = parts[-1].name

    def run(self) -> list[Part]:
        for name in list(self.parts):
            part = self.parts[name]
            if isinstance(part.layer, Affine):
                self._settle(part)
            elif isinstance(part.layer, Activation):
                self._into_dense(part)
        for name in list(self.parts):
            self._pick_before(name)
        return list(self.parts.values())

    # Steps that are picked ----------------------------------------------------------------------

    def _pick_before(self, name: str) -> None:
        """Pick a step before layers compute with every step, if nothing else reads these."""
        while name in self.parts and _picks(self.parts[name].layer):
            pick = self.parts[name]
            above = self.parts.get(pick.reads[0])
            if (
                above is None
                or not isinstance(above.layer, DenseLayer | Activation)
                or not self._only_reader(above, pick)
            ):
                return
            below = above.reads[0]
            layer = pick.layer
            source = self.parts.get(below)
            if isinstance(layer, Pool) and source is not None and _ends_elsewhere(source.layer):
                layer = Step(-1)
            # Each takes the other's place, and keeps its own name but for the last.
            self.parts[above.name] = replace(pick, name=above.name, reads=(below,), layer=layer)
            self.parts[pick.name] = replace(above, name=pick.name, reads=(above.name,))
            name = above.name

    # Affine functions ---------------------------------------------------------------------------

    def _settle(self, part: Part) -> None:
        """Let layers near it take an affine function in, or leave it as a layer of its own."""
        scale, shift = part.layer.scale, part.layer.shift
        if part.reads[0] in self.raw and scale.all():
            self._replace(part, Standardize(-shift / scale, 1 / scale))
            return
        ways = [self._into_readers, self._into_source]
        before = self.parts.get(part.reads[0])
        own = before is not None and isinstance(before.layer, LayerNormalization | RMSNormalization)
        if own or (scale == 1).all():  # what a normalization has, or a bias
            ways.reverse()
        for way in ways:
            if way(part):
                return

    def _into_source(self, part: Part) -> bool:
        before = self.parts.get(part.reads[0])
        if before is None or not self._only_reader(before, part):
            return False
        layer, affine = _of_one_dtype(before, part)
        if isinstance(layer, LayerNormalization | RMSNormalization):
            merged = _scaled(layer, affine)
        else:
            merged = into_source(layer, affine)
        if merged is None:
            return False
        self._merge(before, part, merged)
        return True

    def _into_readers(self, part: Part) -> bool:
        """Multiply it into the layers that read it: ``W (s y + t) + b = (W s) y + (W t + b)``."""
        readers = self.readers.get(part.name, [])
        if part.name == self.last or not readers or len(set(readers)) != len(readers):
            return False
        changed = [self._read_behind(self.parts[name], part) for name in readers]
        if any(layer is None for layer in changed):
            return False
        for name, layer in zip(readers, changed, strict=True):
            self._replace(self.parts[name], layer)
        self._drop(part)
        return True

    def _read_behind(self, reader: Part, part: Part) -> Any:
        """Return the layer that reads what an affine one reads, or None."""
        layer, affine = _of_one_dtype(reader, part)
        if isinstance(layer, Affine):
            return Affine(layer.scale * affine.scale, layer.scale * affine.shift + layer.shift)
        return into_reader(layer, affine)

    # Activations --------------------------------------------------------------------------------

    def _into_dense(self, part: Part) -> None:
        before = self.parts.get(part.reads[0])
        if before is None or not self._only_reader(before, part) or not _is_linear(before.layer):
            return
        layer = before.layer
        self._merge(before, part, DenseLayer(layer.weight, layer.bias, part.layer.function))

    # What changes -------------------------------------------------------------------------------

    def _only_reader(self, before: Part, part: Part) -> bool:
        return before.name != self.last and self.readers[before.name] == [part.name]

    def _replace(self, part: Part, layer: Any) -> None:
        self.parts[part.name] = replace(part, layer=layer)

    def _merge(self, before: Part, part: Part, layer: Any) -> None:
        """Put one layer in the place of two, under the name of the first."""
        title = before.title or part.title
        self.parts[before.name] = replace(before, layer=layer, title=title)
        self._read_instead(part, before.name)
        if part.name == self.last:
            self.last = before.name

    def _drop(self, part: Part) -> None:
        (below,) = part.reads
        self.readers[below].remove(part.name)
        self._read_instead(part, below)

    def _read_instead(self, part: Part, name: str) -> None:
        """Let what reads a layer read another, and forget it."""
        del self.parts[part.name]
        readers = self.readers.pop(part.name, [])
        remaining = self.readers.setdefault(name, [])
        if part.name in remaining:
            remaining.remove(part.name)
        remaining += readers
        for reader in set(readers):
            old = self.parts[reader]
            reads = tuple(name if read == part.name else read for read in old.reads)
            self.parts[reader] = replace(old, reads=reads)


def _picks(layer: Any) -> bool:
    return isinstance(layer, Step) or (isinstance(layer, Pool) and layer.pooling == "last")


def _ends_elsewhere(layer: Any) -> bool:
    """Whether the final state of some direction is not that of the last step."""
    return isinstance(layer, Recurrent) and (
        len(layer.directions) == 2 or layer.directions[0].reverse
    )


def _is_linear(layer: Any) -> bool:
    return isinstance(layer, DenseLayer) and layer.activation == "linear"


def _scaled(layer: Any, affine: Affine) -> Any:
    """Return a normalization with an affine function behind it."""
    weight = affine.scale if layer.weight is None else layer.weight * affine.scale
    bias = affine.shift if layer.bias is None else layer.bias * affine.scale + affine.shift
    return type(layer)(layer.size, weight, bias, epsilon=layer.epsilon)


def _of_one_dtype(part: Part, affine: Part) -> tuple[Any, Any]:
    """Return a layer and an affine one, named as they are, in the wider of their dtypes."""
    arrays = [*part.layer.arrays().values(), affine.layer.scale]
    dtype = np.result_type(*{array.dtype for array in arrays}, np.float32)
    layer = part.layer.astype(dtype).called(part.name, part.reads)
    return layer, affine.layer.astype(dtype).called(affine.name, affine.reads)
