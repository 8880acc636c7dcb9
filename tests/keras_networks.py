"""Random networks of Keras, each from a seed: what people put together, and what nobody would."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers as L  # noqa: N812
from keras_models import randomize

T, D, V = 8, 3, 7


class Maker:
    """Puts layers together, by the choices of a random generator."""

    def __init__(self, seed, hard_gates=True):
        self.rng = np.random.default_rng(seed)
        # Another function in each version of Keras.
        self.gates = ("sigmoid", "sigmoid", "hard_sigmoid" if hard_gates else "sigmoid")

    def pick(self, *choices):
        return choices[self.rng.integers(len(choices))]

    def network(self):
        """A model and the names of its inputs, "words" or "series"."""
        kind = self.pick("series", "series", "words")
        if kind == "series":
            dtype = keras.config.dtype_policy().compute_dtype
            start = keras.Input((T, D), dtype=dtype, name="series")
            y = start
        else:
            start = keras.Input((T,), dtype="int32", name="words")
            y = L.Embedding(V, D, mask_zero=False)(start)
        for _ in range(self.rng.integers(0, 3)):
            y = self.on_steps(y)
        y = self.recurrent(y, rows=True)
        for _ in range(self.rng.integers(0, 3)):
            y = self.on_steps(y)
        y = self.at_the_end(y)
        for _ in range(self.rng.integers(0, 3)):
            y = self.on_rows(y)
        model = keras.Model(start, L.Dense(3, name="scores")(y))
        randomize(model, int(self.rng.integers(1000)))
        for layer in model._flatten_layers():
            if isinstance(layer, L.BatchNormalization):
                layer.moving_variance.assign(self.rng.uniform(0.5, 1.5, layer.moving_mean.shape))
        return model

    def cell(self, rows):
        units = int(self.rng.integers(2, 6))
        options = {
            "return_sequences": rows,
            "activation": self.pick("tanh", "tanh", "relu", "elu", "softsign"),
            "use_bias": bool(self.rng.random() < 0.8),
        }
        kind = self.pick(L.LSTM, L.LSTM, L.GRU, L.SimpleRNN)
        if kind is not L.SimpleRNN:
            options["recurrent_activation"] = self.pick(*self.gates)
        if kind is L.GRU:
            options["reset_after"] = bool(self.rng.random() < 0.5)
        return kind(units, **options)

    def recurrent(self, y, rows):
        cell = self.cell(rows)
        if self.rng.random() < 0.4:
            merge_mode = self.pick("concat", "concat", "sum", "ave", "mul")
            cell = L.Bidirectional(cell, merge_mode=merge_mode)
        return cell(y)

    def activation(self):
        return self.pick("linear", "relu", "tanh", "sigmoid", "elu", "softplus", "selu", "gelu")

    def on_steps(self, y):
        """Something that gives rows for steps."""
        width, steps = y.shape[-1], y.shape[1]
        match self.pick(*range(14)):
            case 0 | 1:
                return self.recurrent(y, rows=True)
            case 2:
                return L.TimeDistributed(L.Dense(4, self.activation()))(y)
            case 3:
                return L.Dense(int(self.rng.integers(2, 6)), self.activation())(y)
            case 4:
                padding = self.pick("valid", "same", "causal")
                size, stride = int(self.rng.integers(1, 4)), int(self.rng.integers(1, 3))
                if padding == "valid" and steps < size:
                    return y
                return L.Conv1D(4, size, strides=stride, padding=padding, activation="relu")(y)
            case 5:
                kind = self.pick(L.MaxPooling1D, L.AveragePooling1D)
                return y if steps < 2 else kind(2, padding=self.pick("valid", "same"))(y)
            case 6:
                return L.BatchNormalization()(y)
            case 7:
                return L.LayerNormalization()(y)
            case 8:
                return L.Dropout(0.3)(
                    self.pick(L.LeakyReLU(), L.PReLU(shared_axes=[1]), L.ELU())(y)
                )
            case 9:
                return L.Add()([y, L.Dense(width, self.activation())(y)])
            case 10:
                return L.Concatenate()([y, self.recurrent(y, rows=True)])
            case 11:
                return L.Attention(use_scale=bool(self.rng.random() < 0.5))([y, y])
            case 12:
                return L.Add()([y, L.MultiHeadAttention(2, 3)(y, y)])
            case _:
                inner = keras.Sequential([L.Dense(4, "relu"), L.BatchNormalization(), L.Dense(3)])
                return L.TimeDistributed(inner)(y)

    def at_the_end(self, y):
        """Something that gives one row for a sequence."""
        match self.pick(*range(7)):
            case 0 | 1:
                return self.recurrent(y, rows=False)
            case 2:
                return L.GlobalAveragePooling1D()(y)
            case 3:
                return L.GlobalMaxPooling1D()(y)
            case 4:
                return L.Flatten()(y)
            case 5:
                weights = L.Softmax(axis=1)(L.Dense(1, "tanh")(y))
                return L.Flatten()(L.Dot(axes=1)([weights, y]))
            case _:
                return L.Concatenate()([self.recurrent(y, rows=False), L.GlobalMaxPooling1D()(y)])

    def on_rows(self, y):
        """Something that reads one row for a sequence and gives another."""
        match self.pick(*range(6)):
            case 0 | 1:
                return L.Dense(int(self.rng.integers(2, 6)), self.activation())(y)
            case 2:
                return L.BatchNormalization()(y)
            case 3:
                return L.Dropout(0.5)(L.LeakyReLU()(y))
            case 4:
                return L.Add()([y, L.Dense(y.shape[-1], self.activation())(y)])
            case _:
                gate = L.Dense(y.shape[-1], "sigmoid")(y)
                return L.Multiply()([y, gate])


def random_network(seed, hard_gates=True):
    return Maker(seed, hard_gates).network()


def random_inputs(model, count, seed):
    rng = np.random.default_rng(seed)
    if model.inputs[0].name == "words":
        return rng.integers(0, V, (count, T))
    return rng.normal(size=(count, T, D)).astype(model.inputs[0].dtype)
