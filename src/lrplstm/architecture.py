"""How the layers and the head of a network have to fit together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy.typing as npt

from lrplstm import network
from lrplstm.texts import shown
from lrplstm.weights import DenseLayer, Layer, LSTMWeights, frozen, same_dtype

__all__ = ["check_head", "check_layers"]


def check_layers(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """Return layers of which each reads what the one below it gives, all of one dtype."""
    if isinstance(layers, LSTMWeights) or not isinstance(layers, Sequence):
        raise TypeError(
            "layers: expected a sequence of LSTMWeights or of (forward, backward) pairs, "
            f"got {type(layers).__name__}"
        )
    if not layers:
        raise ValueError("layers: expected at least one layer, got none")
    checked: list[Layer] = []
    for n, layer in enumerate(layers):
        if not isinstance(layer, LSTMWeights):
            if (
                not isinstance(layer, Sequence)
                or len(layer) != 2
                or not all(isinstance(weights, LSTMWeights) for weights in layer)
            ):
                raise TypeError(
                    f"layers[{n}]: expected LSTMWeights or a (forward, backward) pair of them, "
                    f"got {shown(layer)}"
                )
            layer = tuple(layer)
            if layer[0].reverse:
                raise ValueError(f"layers[{n}]: expected the forward direction first")
            if layer[0].hidden_size != layer[1].hidden_size:
                raise ValueError(
                    f"layers[{n}]: expected one hidden_size in both directions, "
                    f"got {layer[0].hidden_size} and {layer[1].hidden_size}"
                )
        checked.append(layer)

    expected = network.directions(checked[0])[0].input_size
    for n, layer in enumerate(checked):
        both = network.directions(layer)
        for weights in both:
            if weights.input_size != expected:
                raise ValueError(
                    f"layers[{n}]: expected input_size {expected}, got {weights.input_size}"
                )
        expected = sum(weights.hidden_size for weights in both)
    same_dtype(
        {
            f"layers[{n}]" + ("" if isinstance(layer, LSTMWeights) else f"[{d}]"): weights.weight_ih
            for n, layer in enumerate(checked)
            for d, weights in enumerate(network.directions(layer))
        }
    )
    return tuple(checked)


def check_head(
    weight: npt.ArrayLike | None,
    bias: npt.ArrayLike | None,
    head: Sequence[DenseLayer] | None,
    width: int,
) -> tuple[DenseLayer, ...]:
    """Return the layers of a head that was given in either form."""
    if head is None:
        if weight is None:
            if bias is not None:
                raise ValueError("head_bias: expected None where there is no head_weight")
            return ()
        weight = frozen("head_weight", weight, ("num_classes", width))
        if bias is not None:
            bias = frozen("head_bias", bias, (len(weight),))
            same_dtype({"head_weight": weight, "head_bias": bias})
        return (DenseLayer(weight, bias),)
    if weight is not None or bias is not None:
        raise ValueError("head: expected None where there is head_weight or head_bias")
    if not isinstance(head, Sequence) or not all(isinstance(h, DenseLayer) for h in head):
        raise TypeError(f"head: expected a sequence of DenseLayer, got {shown(head)}")
    for n, layer in enumerate(head):
        if layer.input_size != width:
            raise ValueError(f"head[{n}]: expected input_size {width}, got {layer.input_size}")
        width = layer.output_size
    return tuple(head)
