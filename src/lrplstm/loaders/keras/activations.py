"""Activations of Keras, by name or as layers, as operations."""

from __future__ import annotations

from typing import Any

from lrplstm.loaders.keras.config import KerasLayer, is_entry, own_class
from lrplstm.loaders.keras.translation import Tensor, Use, translates
from lrplstm.texts import shown

__all__ = ["activate", "activation_name", "cell_activation"]

_PLAIN: dict[str, tuple[str, dict[str, Any]]] = {
    "celu": ("Celu", {"alpha": 1.0}),
    "elu": ("Elu", {"alpha": 1.0}),
    "exponential": ("Exp", {}),
    "gelu": ("Gelu", {}),
    "hard_silu": ("HardSwish", {}),
    "hard_swish": ("HardSwish", {}),
    "leaky_relu": ("LeakyRelu", {"alpha": 0.2}),
    "log_softmax": ("LogSoftmax", {"axis": -1}),
    "mish": ("Mish", {}),
    "relu": ("Relu", {}),
    "selu": ("Selu", {}),
    "sigmoid": ("Sigmoid", {}),
    "silu": ("Swish", {}),
    "softmax": ("Softmax", {"axis": -1}),
    "softplus": ("Softplus", {}),
    "softsign": ("Softsign", {}),
    "swish": ("Swish", {}),
    "tanh": ("Tanh", {}),
}
"""Operators and their attributes, by what Keras calls activations in all versions."""

_OF_CELLS = ("Elu", "LeakyRelu", "Relu", "Sigmoid", "Softplus", "Softsign", "Tanh")
"""What ONNX's recurrent operators can have, beside HardSigmoid and Affine."""


def _operation(use: Use, layer: KerasLayer, activation: Any) -> tuple[str, dict[str, Any]]:
    """Return operator and attributes of an activation; Identity for a linear one."""
    if activation is None or activation == "linear":
        return "Identity", {}
    if activation == "hard_sigmoid":
        # clip(0.2 z + 0.5) before Keras 3, then relu6(z + 3) / 6.
        return "HardSigmoid", {"alpha": 0.2 if use.translation.version < 3 else 1 / 6, "beta": 0.5}
    if isinstance(activation, str) and activation in _PLAIN:
        return _PLAIN[activation]
    names = ", ".join(sorted([*_PLAIN, "hard_sigmoid", "linear"]))
    raise layer.refuse(f"expected an activation of {names}; got {activation_name(activation)}")


def activation_name(activation: Any) -> str:
    """Return what errors call an activation, which may be the config of a function."""
    if isinstance(activation, dict) and isinstance(activation.get("class_name"), str):
        return f"{shown(activation.get('config'))} ({activation['class_name']:.40})"
    return shown(activation)


def activate(use: Use, tensor: Tensor, activation: Any) -> Tensor:
    """Return what an activation makes of a tensor.

    `activation` is as configs have it: a name, or the config of a layer of an activation.
    """
    if is_entry(activation) and activation["class_name"] in _LAYERS:
        class_name = own_class(activation, str(use.layer))
        inner = KerasLayer(
            use.layer.name, class_name, activation["config"], use.layer.path, use.layer.stored
        )
        return _LAYERS[class_name](use, inner, tensor)
    operator, attributes = _operation(use, use.layer, activation)
    return _applied(use, tensor, operator, attributes)


def _applied(use: Use, tensor: Tensor, operator: str, attributes: dict[str, Any]) -> Tensor:
    return tensor if operator == "Identity" else use.each(operator, tensor, **attributes)


def cell_activation(use: Use, layer: KerasLayer, key: str, activation: Any) -> dict[str, Any]:
    """Return name, alpha and beta of an activation in a recurrent layer, as ONNX has them."""
    if activation is None or activation == "linear":
        return {"name": "Affine", "alpha": 1.0, "beta": 0.0}
    try:
        operator, attributes = _operation(use, layer, activation)
    except ValueError:
        operator, attributes = "", {}
    if operator not in (*_OF_CELLS, "HardSigmoid"):
        raise layer.refuse(
            f"expected {key} of linear, relu, tanh, sigmoid, hard_sigmoid, elu, leaky_relu, "
            f"softplus, softsign, got {activation_name(activation)}"
        )
    return {"name": operator, **attributes}


# Layers -----------------------------------------------------------------------------------------


def _leaky(use: Use, layer: KerasLayer, tensor: Tensor) -> Tensor:
    slope = layer.number("negative_slope", "alpha", default=0.3)
    return use.each("LeakyRelu", tensor, alpha=slope)


def _elu(use: Use, layer: KerasLayer, tensor: Tensor) -> Tensor:
    return use.each("Elu", tensor, alpha=layer.number("alpha", default=1.0))


def _thresholded(use: Use, layer: KerasLayer, tensor: Tensor) -> Tensor:
    return use.each("ThresholdedRelu", tensor, alpha=layer.number("theta", default=1.0))


def _relu(use: Use, layer: KerasLayer, tensor: Tensor) -> Tensor:
    slope, threshold = layer.get("negative_slope") or 0.0, layer.get("threshold") or 0.0
    largest = layer.get("max_value")
    if threshold:
        raise layer.refuse(f"expected a ReLU without threshold, got {shown(threshold)}")
    if largest is None:
        if not slope:
            return use.each("Relu", tensor)
        return use.each("LeakyRelu", tensor, alpha=layer.number("negative_slope", default=0.0))
    if slope:
        raise layer.refuse("expected a negative_slope or a max_value, got both")
    bounds = [0.0, layer.number("max_value", default=6.0)]
    names = [use.constant(key, bound) for key, bound in zip(("low", "high"), bounds, strict=True)]
    return use.emit("Clip", [tensor, *names], tensor.shape, like=tensor)


def _softmax(use: Use, layer: KerasLayer, tensor: Tensor) -> Tensor:
    axis = use.axis(tensor, layer.get("axis", -1))
    if axis == 0:
        raise layer.refuse("expected an axis other than that of the batch")
    if axis != len(tensor.shape) - 1:
        use.steps(tensor)
    return use.each("Softmax", tensor, axis=axis)


_LAYERS = {
    "ELU": _elu,
    "LeakyReLU": _leaky,
    "ReLU": _relu,
    "Softmax": _softmax,
    "ThresholdedReLU": _thresholded,
}


@translates(*_LAYERS)
def _activation_layer(use: Use) -> Tensor:
    return _LAYERS[use.layer.class_name](use, use.layer, use.one())


@translates("Activation")
def _activation(use: Use) -> Tensor:
    return activate(use, use.one(), use.layer.get("activation"))


@translates("PReLU")
def _prelu(use: Use) -> Tensor:
    tensor = use.one()
    (slopes,) = use.take("alpha")
    if slopes.ndim != len(tensor.shape) - 1 or any(
        size not in (1, expected)
        for size, expected in zip(slopes.shape, tensor.shape[1:], strict=True)
    ):
        raise use.refuse(f"alpha: expected shape {tensor.shape[1:]}, got {slopes.shape!s:.60}")
    return use.emit("PRelu", [tensor, use.constant("alpha", slopes)], tensor.shape, like=tensor)
