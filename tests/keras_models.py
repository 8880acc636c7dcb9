"""Models of Keras 3 for the tests, on its PyTorch backend: random weights, scores and gradients."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pytest
import torch

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import keras
    from keras import layers as L  # noqa: N812
    from keras.src.backend.common import dtypes

# On its PyTorch backend Keras multiplies matrices of float64 in float32, unless it is told.
dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"

D, V = 3, 7  # features of a step; rows of an embedding


def bidirectional(*arguments, merge_mode="concat", **options):
    return L.Bidirectional(L.LSTM(*arguments, **options), merge_mode=merge_mode)


def masked():
    return L.Embedding(V, D, mask_zero=True)


def rows(units, **options):
    """An LSTM that returns sequences."""
    return L.LSTM(units, return_sequences=True, **options)


# Layers of each case, made when they are asked for. Those with an Embedding read ids.
CASES = {
    "one layer": lambda: [L.LSTM(4), L.Dense(3, "softmax")],
    "no biases": lambda: [L.LSTM(4, use_bias=False), L.Dense(3, use_bias=False)],
    "no head": lambda: [L.LSTM(4)],
    "three layers": lambda: [rows(4), rows(2), L.LSTM(5), L.Dense(3)],
    "training only": lambda: [
        L.GaussianNoise(0.1),
        L.LSTM(4, dropout=0.5, recurrent_dropout=0.5, unroll=False),
        L.ActivityRegularization(0.1),
        L.Flatten(),
        L.Dropout(0.5),
        L.Dense(3),
        L.Dropout(0.5),
    ],
    "bidirectional": lambda: [bidirectional(4), L.Dense(3, "softmax")],
    "bidirectional, two layers": lambda: [
        bidirectional(4, return_sequences=True),
        bidirectional(2),
        L.Dense(3),
    ],
    "one direction over two": lambda: [
        bidirectional(4, return_sequences=True),
        L.LSTM(5),
        L.Dense(3),
    ],
    "two directions over one": lambda: [rows(4), bidirectional(5), L.Dense(3)],
    "sum": lambda: [bidirectional(4, merge_mode="sum"), L.Dense(3)],
    "average": lambda: [bidirectional(4, merge_mode="ave"), L.Dense(3, use_bias=False)],
    "sums in a stack": lambda: [
        bidirectional(4, merge_mode="sum", return_sequences=True),
        bidirectional(2, merge_mode="sum", return_sequences=True),
        L.LSTM(5),
        L.Dense(3),
    ],
    "sum without a head": lambda: [bidirectional(4, merge_mode="sum")],
    "mean of sums": lambda: [
        bidirectional(4, merge_mode="sum", return_sequences=True),
        L.GlobalAveragePooling1D(),
        L.Dense(3),
    ],
    "backward layer of its own": lambda: [
        L.Bidirectional(
            L.LSTM(4), backward_layer=L.LSTM(4, go_backwards=True, use_bias=False, name="other")
        ),
        L.Dense(3),
    ],
    "backwards": lambda: [L.LSTM(4, go_backwards=True), L.Dense(3)],
    "backwards, then on": lambda: [rows(4, go_backwards=True), L.LSTM(5), L.Dense(3)],
    "backwards twice": lambda: [
        rows(4, go_backwards=True),
        L.LSTM(5, go_backwards=True),
        L.Dense(3),
    ],
    "backwards thrice, mean": lambda: [
        rows(4, go_backwards=True),
        rows(2, go_backwards=True),
        rows(5, go_backwards=True),
        L.GlobalAveragePooling1D(),
        L.Dense(3),
    ],
    "mean": lambda: [rows(4), L.GlobalAveragePooling1D(), L.Dense(3, "softmax")],
    "max": lambda: [
        bidirectional(4, return_sequences=True),
        L.GlobalMaxPooling1D(),
        L.Dense(3),
    ],
    "each step": lambda: [rows(4), L.Dropout(0.5), L.TimeDistributed(L.Dense(3, "softmax"))],
    "each step, dense": lambda: [
        bidirectional(4, merge_mode="sum", return_sequences=True),
        L.Dense(5, "tanh"),
        L.Dense(3),
    ],
    "each step, no head": lambda: [rows(4)],
    "dense stack": lambda: [
        bidirectional(4),
        L.Dense(6, "relu"),
        L.Dense(5, "tanh"),
        L.Dense(4),
        L.Dense(3, "softmax"),
    ],
    "activation layers": lambda: [
        L.LSTM(4),
        L.Dense(6),
        L.Activation("relu"),
        L.Dense(5),
        L.ReLU(),
        L.Dense(4),
        L.Activation("tanh"),
        L.Dense(3),
        L.Softmax(),
    ],
    "activation of the state": lambda: [L.LSTM(4), L.ReLU(), L.Dense(3, "softmax")],
    "activation of a sum": lambda: [
        bidirectional(4, merge_mode="sum"),
        L.Activation("tanh"),
        L.Dense(6, "relu"),
        L.Dense(3),
    ],
    "activation of the mean": lambda: [
        bidirectional(4, return_sequences=True),
        L.GlobalAveragePooling1D(),
        L.Activation("relu"),
        L.Dropout(0.5),
        L.Dense(3),
    ],
    "activation of each step": lambda: [rows(4), L.TimeDistributed(L.ReLU()), L.Dense(3)],
    "activation, no head": lambda: [L.LSTM(4), L.Activation("tanh")],
    "embedding": lambda: [L.Embedding(V, D), L.LSTM(4), L.Dense(1, "sigmoid")],
    "mask": lambda: [masked(), L.LSTM(4), L.Dense(1, "sigmoid")],
    "mask, backwards": lambda: [masked(), L.LSTM(4, go_backwards=True), L.Dense(3)],
    "mask, stack": lambda: [
        masked(),
        L.SpatialDropout1D(0.5),
        bidirectional(4, return_sequences=True),
        L.Dropout(0.5),
        rows(2),
        L.LSTM(5),
        L.Dense(3, "softmax"),
    ],
    "mask, sum": lambda: [
        masked(),
        bidirectional(4, merge_mode="sum", return_sequences=True),
        bidirectional(2, merge_mode="sum"),
        L.Dense(3),
    ],
    "mask, mean": lambda: [
        masked(),
        bidirectional(4, return_sequences=True),
        rows(2),
        L.GlobalAveragePooling1D(),
        L.Dense(3),
    ],
    "mask, models in a model": lambda: [
        keras.Sequential([masked(), rows(4)]),
        keras.Sequential([keras.Sequential([L.LSTM(5), L.Dropout(0.5)]), L.Dense(3)]),
    ],
}


@dataclass
class Network:
    """A Keras model, its layers, and what it reads: "ids" or "features"."""

    model: keras.Model
    layers: list
    reads: str

    def run(self, x):
        """What the first LSTM reads, as a tensor, and the scores before softmax and sigmoid."""
        y = start = torch.tensor(x, requires_grad=self.reads == "features")
        for layer in flat(self.layers):
            if isinstance(layer, L.Softmax):
                continue
            y = without_output_activation(layer)(y)
            if isinstance(layer, L.Embedding):
                start = y
                start.retain_grad()
        return start, y


def flat(layers):
    for layer in layers:
        if isinstance(layer, keras.Sequential):
            yield from flat(layer.layers)
        else:
            yield layer


def without_output_activation(layer):
    """The layer as a function, which leaves softmax and sigmoid out."""
    dense = layer.layer if isinstance(layer, L.TimeDistributed) else layer
    if not isinstance(dense, L.Dense) or dense.activation.__name__ not in ("softmax", "sigmoid"):
        return layer

    def run(y):
        activation, dense.activation = dense.activation, keras.activations.linear
        try:
            return layer(y)
        finally:
            dense.activation = activation

    return run


def randomize(model, seed=0):
    """Give every weight a random value, biases too."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        variable.assign(rng.normal(0, 0.4, variable.shape).astype(variable.dtype))


@pytest.fixture
def policy():
    """A function that sets the dtype of the layers made next, until the test ends."""
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)


def network(layers, form="sequential", dtype="float32", seed=0):
    """A Sequential or Functional model of these layers with random weights."""
    layers = layers() if callable(layers) else layers
    reads = "ids" if any(isinstance(one, L.Embedding) for one in flat(layers)) else "features"
    shape, kind = ((None,), "int32") if reads == "ids" else ((None, D), dtype)
    start = keras.Input(shape, dtype=kind, name="start")
    if form == "sequential":
        model = keras.Sequential([start, *layers])
    else:
        end = start
        for layer in layers:
            end = layer(end)
        model = keras.Model(start, end)
    randomize(model, seed)
    return Network(model, layers, reads)


def inputs(reads, lengths, dtype="float32", seed=1):
    """Sequences of these lengths: ids from 1, or features."""
    rng = np.random.default_rng(seed)
    if reads == "ids":
        return [rng.integers(1, V, T) for T in lengths]
    return [rng.normal(size=(T, D)).astype(dtype) for T in lengths]
