"""Batch normalization made one with the linear layers around it, as relevance wants it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lrplstm.cells import GRUWeights
from lrplstm.layers.base import Layer
from lrplstm.layers.convolution import Convolution
from lrplstm.layers.dense import DenseLayer
from lrplstm.layers.normalization import Affine
from lrplstm.layers.recurrent import Recurrent
from lrplstm.scaling import Scaler
from lrplstm.weights import Array

__all__ = ["fold", "into_reader", "into_source", "rescaled"]


def fold(layers: Sequence[Layer]) -> list[Layer]:
    """Return layers that compute the same, of which each linear one has taken in what is affine.

    An `Affine` goes into the linear layers that read it, if nothing else does; or else into the one
    that it reads, if it alone reads that. What remains stands alone, before a convolution with
    padding for instance, of which the zeros are added after it.

    Parameters
    ----------
    layers : sequence of Layer
        All with their names and with what they read, as ``model.graph.layers`` has them.

    Returns
    -------
    list of Layer
        As many, or fewer.

    Examples
    --------
    >>> import numpy as np
    >>> import lrplstm
    >>> two = np.full(2, 2.0)
    >>> layers = [lrplstm.layers.Affine(two), lrplstm.DenseLayer(np.ones((1, 2)))]
    >>> fold(lrplstm.Model(layers).layers)[0].weight
    array([[2., 2.]])
    """
    folded = list(layers)
    for affine in [layer for layer in layers if isinstance(layer, Affine)]:
        (source,) = affine.reads or ("",)
        readers = [layer for layer in folded if affine.name in (layer.reads or ())]
        changed: dict[int, Layer | None] = {
            id(reader): into_reader(reader, affine) for reader in readers
        }
        if not readers or None in changed.values():
            before = [layer for layer in folded if layer.name == source]
            alone = sum((layer.reads or ()).count(source) for layer in folded) == 1
            changed = {id(layer): into_source(layer, affine) for layer in before if alone}
            if not changed or None in changed.values():
                continue
        others = [layer for layer in folded if layer is not affine]
        folded = [changed.get(id(layer)) or layer for layer in others]
    return folded


def into_reader(layer: Layer, affine: Affine) -> Layer | None:
    """Return the layer that reads what an affine one reads, or None where it cannot take it in."""
    source, states = (affine.reads or ("",))[0], (layer.reads or ())[1:]
    if affine.name in states or (states and not isinstance(layer, Recurrent)):
        return None
    changed: Layer | None = None
    if isinstance(layer, DenseLayer):
        changed = _dense_behind(affine, layer)
    elif isinstance(layer, Convolution) and layer.padding in ("valid", (0, 0)):
        changed = _convolution_behind(affine, layer)
    elif isinstance(layer, Recurrent):
        directions = [_cell_behind(affine, weights) for weights in layer.directions]
        changed = type(layer)(*directions, name=layer.name)
    return None if changed is None else changed.called(layer.name, (source, *states))


def into_source(layer: Layer, affine: Affine) -> Layer | None:
    """Return the layer with an affine one behind it, or None where it cannot take it in."""
    if not isinstance(layer, DenseLayer | Convolution):
        return None
    if isinstance(layer, DenseLayer) and layer.activation != "linear":
        return None
    scale, shift = affine.scale, _shift(affine)
    weight = layer.weight * scale.reshape(-1, *[1] * (layer.weight.ndim - 1))
    bias = shift if layer.bias is None else scale * layer.bias + shift
    # Whoever read the affine layer finds it under that name.
    return _with(layer, weight, bias).called(affine.name, layer.reads)


def rescaled(layers: Sequence[Layer], scaler: Scaler, dtype: np.dtype[Any]) -> list[Layer]:
    """Return layers of which the last gives what it gave times a scale plus a mean."""
    *before, last = layers
    name = str(last.name)
    affine = Affine(scaler.scale, scaler.mean, name=f"{name} in units", reads=(name,))
    taken_in = into_source(last.astype(np.dtype(np.float64)), affine)
    if taken_in is None:
        return [*layers, affine.astype(dtype)]
    return [*before, taken_in.called(name, last.reads).astype(dtype)]


def _with(layer: DenseLayer | Convolution, weight: Array, bias: Array) -> Layer:
    return layer.replaced({"weight": weight, "bias": bias})


def _shift(affine: Affine) -> Array:
    return np.zeros_like(affine.scale) if affine.shift is None else affine.shift


def _dense_behind(affine: Affine, layer: DenseLayer) -> Layer:
    bias = layer.weight @ _shift(affine)
    bias = bias if layer.bias is None else bias + layer.bias
    return _with(layer, layer.weight * affine.scale, bias)


def _convolution_behind(affine: Affine, layer: Convolution) -> Layer:
    of_groups = zip(
        np.split(layer.weight, layer.groups),
        np.split(affine.scale, layer.groups),
        np.split(_shift(affine), layer.groups),
        strict=True,
    )
    parts = [(w * scale[:, np.newaxis], w.sum(axis=2) @ shift) for w, scale, shift in of_groups]
    weight, bias = (np.concatenate(values) for values in zip(*parts, strict=True))
    return _with(layer, weight, bias if layer.bias is None else bias + layer.bias)


def _cell_behind(affine: Affine, weights: Any) -> Any:
    bias = "bias_ih" if isinstance(weights, GRUWeights) else "bias"
    added = getattr(weights, bias) + weights.weight_ih @ _shift(affine)
    return weights.replaced(weight_ih=weights.weight_ih * affine.scale, **{bias: added})
