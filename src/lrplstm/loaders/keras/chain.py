"""A chain of Keras layers and their arrays -> the parts of an `LSTMModel`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import Any

import numpy as np

from lrplstm.layers import ACTIVATIONS, DenseLayer
from lrplstm.loaders.keras.arrays import count_weights, dense_arrays, embedding_array, lstm_weights
from lrplstm.loaders.keras.config import KerasLayer
from lrplstm.loaders.keras.stores import Store, Weight
from lrplstm.texts import shown
from lrplstm.weights import Array, Directions, LSTMWeights

__all__ = ["CLASSES", "Chain", "read_chain"]

_OUTPUT_ACTIVATIONS = ("softmax", "sigmoid")
_MERGE_FACTORS = {"concat": None, "sum": 1.0, "ave": 0.5}


def read_chain(layers: Sequence[KerasLayer], store: Store) -> Chain:
    """Return what a chain of layers of these `CLASSES` computes.

    Raises
    ------
    ValueError
        If a layer cannot be explained, or its arrays do not fit; it names it.
    """
    # All weights first: their dtypes decide the model's.
    weights = [store.weights(layer) if _has_weights(layer) else [] for layer in layers]
    arrays = [weight.array for stored in weights for weight in stored]
    doubles = any(array.dtype == np.float64 for array in arrays)
    dtype = np.dtype(np.float64 if doubles else np.float32)
    chain = Chain()
    for layer, stored in zip(layers, weights, strict=True):
        _STEPS[layer.class_name](
            chain, layer, [Weight(w.name, w.array.astype(dtype, copy=False)) for w in stored]
        )
    chain.finish(dtype)
    return chain


def _has_weights(layer: KerasLayer) -> bool:
    """Whether a layer of this class has any."""
    if layer.class_name == "TimeDistributed":
        layer = layer.wrapped("layer")
    return layer.class_name in ("Embedding", "LSTM", "CuDNNLSTM", "Bidirectional", "Dense")


class Chain:
    """What the layers up to some point compute; each method appends a layer of one class.

    Attributes
    ----------
    embedding, mask_id, mask_value, layers, head, pooling
        As `LSTMModel` has them.
    settings : dict
        What the config says of what arguments of `from_keras` can say, too.
    names : dict of list of str
        Names of the layers, by what they are.
    """

    def __init__(self) -> None:
        self.embedding: Array | None = None
        self.mask_id: int | None = None
        self.mask_value: float | None = None
        self.layers: list[Directions] = []
        self.head: list[DenseLayer] = []
        self.pooling: str | None = None  # of the hidden states; None as long as they are in rows
        self.settings: dict[str, Any] = {}
        self.names: dict[str, list[str]] = {}
        # What the top layer's two halves are multiplied by when they are added; None: they are not.
        self.merge: float | None = None
        # Whether its states come in the order from the last step to the first.
        self.flipped = False
        # The layer whose activation makes probabilities of the scores, and whether of classes.
        self.output: KerasLayer | None = None
        self.softmax = False

    @property
    def num_scores(self) -> int:
        """How many scores there are."""
        return self.head[-1].output_size if self.head else _width(self.layers[-1])

    @property
    def masked(self) -> bool:
        """Whether steps that are padding are passed over."""
        return self.mask_id is not None or self.mask_value is not None

    def finish(self, dtype: np.dtype[Any]) -> None:
        """Complete the model after the last layer."""
        if not self.layers:
            raise ValueError("expected an LSTM layer, found none")
        if self.pooling is None:
            self._pool("none", f"layer {shown(self.names['lstm'][-1])}")
        if not self.head and self.merge is not None:
            # The sum of both directions is a linear layer, too.
            weight = np.eye(_width(self.layers[-1]) // 2, dtype=dtype)
            self.head.append(DenseLayer(self._merged(weight)))
        self.settings["pooling"] = self.pooling

    def origin(self) -> dict[str, str]:
        """Return the names of the layers, by what they are."""
        return {part: ", ".join(names) for part, names in self.names.items()}

    # Layers by class ----------------------------------------------------------------------------

    def _pass_on(self, layer: KerasLayer, weights: list[Weight]) -> None:
        """Dropout and the like: nothing once a model is trained."""

    def _flatten(self, layer: KerasLayer, weights: list[Weight]) -> None:
        if self.pooling in (None, "none"):
            raise layer.refuse("expected one vector to flatten, got one for each step")

    def _embed(self, layer: KerasLayer, weights: list[Weight]) -> None:
        if self.embedding is not None or self.layers or self.mask_value is not None:
            raise layer.refuse("expected one Embedding, before all other layers")
        self.embedding = embedding_array(layer, weights)
        if layer.get("mask_zero", False) is True:
            self.mask_id = 0
        self.settings["mask_zero"] = self.mask_id == 0
        self._name("embedding", layer)

    def _mask(self, layer: KerasLayer, weights: list[Weight]) -> None:
        if self.embedding is not None or self.layers or self.mask_value is not None:
            raise layer.refuse("expected one Masking, before all other layers")
        value = layer.get("mask_value", 0.0)
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < inf:
            raise layer.refuse(f"expected a finite mask_value, got {shown(value)}")
        self.mask_value = value

    def _lstm(self, layer: KerasLayer, weights: list[Weight]) -> None:
        self._check_sequence(layer)
        self._check_cell(layer)
        backwards = self.flipped != (layer.get("go_backwards", False) is True)
        direction = self._read_merged(lstm_weights(layer, weights, reverse=backwards))
        self._append(layer, direction, layer)
        self.flipped = backwards

    def _bidirectional(self, layer: KerasLayer, weights: list[Weight]) -> None:
        self._check_sequence(layer)
        if self.flipped:
            raise layer.refuse("expected steps in their order, got those of a go_backwards layer")
        forward = layer.wrapped("layer")
        backward = layer.wrapped("backward_layer") if layer.get("backward_layer") else None
        for inner, backwards in ((forward, False), (backward, True)):
            if inner is None:
                continue
            if inner.class_name not in ("LSTM", "CuDNNLSTM"):
                raise layer.refuse(f"expected an LSTM in it, got {inner.class_name:.60}")
            self._check_cell(inner)
            if inner.get("go_backwards", backwards) is not backwards:
                raise layer.refuse(f"expected go_backwards={backwards} of {inner.class_name} in it")
            if inner.get("return_sequences") != forward.get("return_sequences"):
                raise layer.refuse("expected the same return_sequences in both directions")
        merge_mode = layer.get("merge_mode", "concat")
        if not isinstance(merge_mode, str) or merge_mode not in _MERGE_FACTORS:
            raise layer.refuse(
                f"expected merge_mode {', '.join(map(repr, _MERGE_FACTORS))}, "
                f"got {shown(merge_mode)}"
            )
        ours = count_weights(forward, len(weights))
        if any("backward" in weight.name for weight in weights[:ours]):
            raise layer.refuse("expected the arrays of its forward direction first")
        both = [
            self._read_merged(lstm_weights(inner or forward, arrays))
            for inner, arrays in ((forward, weights[:ours]), (backward, weights[ours:]))
        ]
        if both[0].hidden_size != both[1].hidden_size:
            raise layer.refuse(
                f"expected one size in both directions, got {both[0].hidden_size} "
                f"and {both[1].hidden_size}"
            )
        self._append(layer, (both[0], both[1]), forward)
        self.merge = _MERGE_FACTORS[merge_mode]
        self.settings.setdefault("merge_mode", merge_mode)
        if self.settings["merge_mode"] != merge_mode:
            self.settings["merge_mode"] = "several"

    def _average(self, layer: KerasLayer, weights: list[Weight]) -> None:
        self._pool_steps("mean", layer)

    def _maximum(self, layer: KerasLayer, weights: list[Weight]) -> None:
        if self.merge is not None:
            raise layer.refuse("cannot follow a Bidirectional that adds its directions up")
        self._pool_steps("max", layer)

    def _dense(self, layer: KerasLayer, weights: list[Weight]) -> None:
        self._check_layers(layer)
        self._check_scores(layer)
        if self.pooling is None:
            self._pool("none", layer)
        weight, bias = dense_arrays(layer, weights)
        if not self.head:
            weight = self._merged(weight)
        expected = self.head[-1].output_size if self.head else _width(self.layers[-1])
        if weight.shape[1] != expected:
            raise layer.refuse(f"kernel: expected {expected} inputs, got {weight.shape[1]}")
        self.head.append(DenseLayer(weight, bias))
        self._name("head", layer)
        activation = layer.get("activation")
        self.settings.setdefault("dense_activations", []).append("linear")
        self._activate(layer, "linear" if activation is None else activation)

    def _time_distributed(self, layer: KerasLayer, weights: list[Weight]) -> None:
        inner = layer.wrapped("layer")
        if inner.class_name not in ("Dense", "Dropout", "Activation", "Softmax", "ReLU"):
            raise layer.refuse(f"expected a Dense layer in it, got {inner.class_name:.60}")
        if self.pooling not in (None, "none"):
            raise layer.refuse("expected a vector for each step, got one in all")
        _STEPS[inner.class_name](self, inner, weights)

    def _activation(self, layer: KerasLayer, weights: list[Weight]) -> None:
        if layer.class_name == "Activation":
            self._activate(layer, layer.get("activation"))
        elif layer.class_name == "Softmax":
            if layer.get("axis", -1) != -1:
                raise layer.refuse(f"expected axis -1, got {shown(layer.get('axis'))}")
            self._activate(layer, "softmax")
        else:
            plain = {"max_value": (None,), "negative_slope": (0, None), "threshold": (0, None)}
            for key, values in plain.items():
                if layer.get(key) not in values:
                    raise layer.refuse(f"expected a plain ReLU, got {key} {shown(layer.get(key))}")
            self._activate(layer, "relu")

    # What these share ---------------------------------------------------------------------------

    def _name(self, part: str, layer: KerasLayer) -> None:
        self.names.setdefault(part, []).append("/".join(layer.path))

    def _check_layers(self, layer: KerasLayer) -> None:
        if not self.layers:
            raise layer.refuse("expected LSTM layers before it, found none")

    def _check_scores(self, layer: KerasLayer) -> None:
        if self.output is not None:
            raise layer.refuse(f"expected no more layers after the scores, which {self.output} has")

    def _check_sequence(self, layer: KerasLayer) -> None:
        """Check that what comes is a sequence of features or hidden states."""
        self._check_scores(layer)
        if self.head:
            raise layer.refuse("expected no Dense layer or activation before it")
        if self.pooling is not None:
            raise layer.refuse(
                "expected a sequence before it, got the one state that is left of it"
            )
        if self.flipped and self.masked:
            # Keras leaves the mask in the order of the steps that it was made of.
            raise layer.refuse("expected no mask after a go_backwards layer")

    def _check_cell(self, layer: KerasLayer) -> None:
        """Check that an LSTM computes what is called an LSTM."""
        cudnn = layer.class_name == "CuDNNLSTM"  # which can do nothing else, and says nothing
        gates = layer.get("recurrent_activation", layer.get("inner_activation"))
        wanted = {
            "activation": (layer.get("activation"), "tanh"),
            "recurrent_activation": (gates, "sigmoid"),
        }
        for key, (actual, expected) in wanted.items():
            if actual != expected and not (cudnn and actual is None):
                raise layer.refuse(f"expected {key} {expected!r}, got {_activation_name(actual)}")
        if layer.get("time_major", False) is True:
            raise layer.refuse("expected time_major=False")
        self.settings["recurrent_activation"] = "sigmoid"

    def _read_merged(self, direction: LSTMWeights) -> LSTMWeights:
        """Return an LSTM that reads the directions of the layer below side by side."""
        if self.merge is None:
            return direction
        return LSTMWeights(
            self._merged(direction.weight_ih),
            direction.weight_hh,
            direction.bias,
            reverse=direction.reverse,
        )

    def _merged(self, weight: Array) -> Array:
        """Return weights for h_fwd and h_bwd side by side, given those for what they merge to."""
        if self.merge is None:
            return weight
        half = (weight * self.merge).astype(weight.dtype, copy=False)
        return np.concatenate([half, half], axis=1)

    def _append(self, layer: KerasLayer, directions: Directions, inner: KerasLayer) -> None:
        read = directions if isinstance(directions, LSTMWeights) else directions[0]
        if self.layers:
            expected = _width(self.layers[-1])
        else:
            expected = read.input_size if self.embedding is None else self.embedding.shape[1]
        both = (directions,) if isinstance(directions, LSTMWeights) else directions
        for direction in both:
            if direction.input_size != expected:
                raise layer.refuse(
                    f"kernel: expected {expected} inputs, got {direction.input_size}"
                )
        self.layers.append(directions)
        self.merge = None
        self._name("lstm", layer)
        returns = inner.get("return_sequences", False)
        if returns is False:
            self._pool("last", layer)
        elif returns is not True:
            raise layer.refuse(f"expected return_sequences true or false, got {shown(returns)}")

    def _pool_steps(self, pooling: str, layer: KerasLayer) -> None:
        self._check_layers(layer)
        self._check_sequence(layer)
        if layer.get("data_format", "channels_last") not in ("channels_last", None):
            raise layer.refuse("expected data_format 'channels_last'")
        if layer.get("keepdims", False) is True:
            raise layer.refuse("expected keepdims=False")
        self._pool(pooling, layer)
        self._name("pooling", layer)

    def _pool(self, pooling: str, layer: KerasLayer | str) -> None:
        if pooling == "none" and self.flipped:
            raise ValueError(
                f"{layer}: expected steps in their order, got those of a go_backwards layer"
            )
        self.pooling = pooling

    def _activate(self, layer: KerasLayer, activation: Any) -> None:
        """Apply an activation to the last Dense layer, or to what is read of the LSTM."""
        if activation == "linear":
            return
        self._check_scores(layer)
        self._check_layers(layer)
        if isinstance(activation, str) and activation in _OUTPUT_ACTIVATIONS:
            self.output, self.softmax = layer, activation == "softmax"
        elif isinstance(activation, str) and activation in ACTIVATIONS:
            if not self.head:
                self._pass_states(layer)
            last = self.head[-1]
            if last.activation != "linear":
                raise layer.refuse("expected one activation after a layer, got two")
            self.head[-1] = DenseLayer(last.weight, last.bias, activation)
        else:
            raise layer.refuse(
                "expected activation "
                f"{', '.join(map(repr, (*ACTIVATIONS, *_OUTPUT_ACTIVATIONS)))}, "
                f"got {_activation_name(activation)}"
            )
        if self.settings.get("dense_activations"):
            self.settings["dense_activations"][-1] = activation

    def _pass_states(self, layer: KerasLayer) -> None:
        """Append a linear layer that gives what is read of the LSTM as it is."""
        if self.pooling is None:
            self._pool("none", layer)
        top = self.layers[-1]
        dtype = (top if isinstance(top, LSTMWeights) else top[0]).dtype
        width = _width(top) if self.merge is None else _width(top) // 2
        self.head.append(DenseLayer(self._merged(np.eye(width, dtype=dtype))))
        self._name("head", layer)


def _width(layer: Directions) -> int:
    """Return how many hidden units a layer has in all directions."""
    both = (layer,) if isinstance(layer, LSTMWeights) else layer
    return sum(direction.hidden_size for direction in both)


def _activation_name(activation: Any) -> str:
    """Return what errors call an activation, which may be the config of a function."""
    if isinstance(activation, dict) and isinstance(activation.get("class_name"), str):
        return f"{shown(activation.get('config'))} ({activation['class_name']:.40})"
    return shown(activation)


_STEPS: dict[str, Callable[[Chain, KerasLayer, list[Weight]], None]] = {
    "Embedding": Chain._embed,
    "Masking": Chain._mask,
    "LSTM": Chain._lstm,
    "CuDNNLSTM": Chain._lstm,
    "Bidirectional": Chain._bidirectional,
    "GlobalAveragePooling1D": Chain._average,
    "GlobalMaxPooling1D": Chain._maximum,
    "Dense": Chain._dense,
    "TimeDistributed": Chain._time_distributed,
    "Activation": Chain._activation,
    "Softmax": Chain._activation,
    "ReLU": Chain._activation,
    "Flatten": Chain._flatten,
}
_STEPS |= dict.fromkeys(
    (
        "InputLayer",
        "Dropout",
        "SpatialDropout1D",
        "GaussianDropout",
        "GaussianNoise",
        "AlphaDropout",
        "ActivityRegularization",
        "Identity",
    ),
    Chain._pass_on,
)

CLASSES = frozenset(_STEPS)
"""Classes of the layers that can be explained."""
