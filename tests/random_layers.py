"""Random networks of any layers: seeded, with few units."""

from __future__ import annotations

import numpy as np
from random_models import random_gru, random_rnn, random_weights

import lrplstm
from lrplstm import layers
from lrplstm.activations import ACTIVATIONS

SHORTEST = 7  # steps that any of these networks can read

_PARAMETERS = {"alpha": 0.3, "beta": 0.6}


class Builder:
    """A network that grows by one layer, or a few that belong together, of steps of some size."""

    def __init__(self, seed, input_size):
        self.rng = np.random.default_rng(seed)
        self.layers = []
        self.shrunk = 0  # layers that leave fewer steps
        self.kinds = set()
        self.top, self.size = "inputs", input_size
        self.same = [("inputs", input_size)]  # what has the same steps

    def draw(self, *shape):
        return self.rng.normal(0, 0.4, shape)

    def add(self, layer, size=None, reads=None, *, top=True):
        """Put a layer on top of what it reads; return its name."""
        name = f"{layer.kind} {len(self.layers)}"
        self.layers.append(layer.called(name, reads or (self.top,)))
        self.kinds.add(layer.kind)
        if top:
            self.top, self.size = name, size or self.size
            self.same.append((name, self.size))
        return name

    def said(self):
        """A random activation, with its parameters where it has to have some."""
        # Of those that explode where cells feed themselves there are none.
        names = [name for name in ACTIVATIONS if name not in ("exponential", "square")]
        name = str(self.rng.choice(names))
        defaults = ACTIVATIONS[name].parameters
        asked = [parameter for parameter, value in defaults.items() if isinstance(value, str)]
        return (name, {parameter: _PARAMETERS[parameter] for parameter in asked})

    def dense(self, size, said="linear", reads=None, *, top=True):
        width = dict(self.same)[reads[0]] if reads else self.size
        bias = self.draw(size) if self.rng.random() < 0.7 else None
        return self.add(
            lrplstm.DenseLayer(self.draw(size, width), bias, said), size, reads, top=top
        )

    # Layers of steps --------------------------------------------------------------------------

    def recurrent(self):
        H = int(self.rng.integers(2, 5))
        make, layer = (
            (random_weights, layers.LSTM),
            (self.lstm_variant, layers.LSTM),
            (random_gru, layers.GRU),
            (lambda *sizes: random_gru(*sizes, reset_after=False), layers.GRU),
            (random_rnn, layers.RNN),
            (lambda *sizes: random_rnn(*sizes, activation="softsign"), layers.RNN),
        )[self.rng.integers(6)]
        directions = [make(self.rng, self.size, H) for _ in range(self.rng.integers(1, 3))]
        self.add(layer(*directions), H * len(directions))

    def lstm_variant(self, rng, D, H):
        gates = ("hard_sigmoid", {"alpha": 0.2})
        weights = random_weights(rng, D, H).replaced(peepholes=self.draw(3, H))
        return weights.replaced(activation=self.said(), gate_activation=gates)

    def dense_at_every_step(self):
        self.dense(int(self.rng.integers(2, 6)), self.said())

    def activation(self):
        self.add(layers.Activation(self.said()))

    def convolution(self):
        window, out = int(self.rng.integers(1, 4)), int(self.rng.integers(2, 5))
        groups = 2 if self.size % 2 == 0 and out % 2 == 0 else 1
        # A window that reads padding alone would have nothing to hand its bias' relevance to.
        padding = ["same", "causal", (int(window > 1), 0)][self.rng.integers(3)]
        weight = self.draw(out, self.size // groups, window)
        if padding == (1, 0) and window == 3:
            self.same = []  # it has more steps than what it reads, or fewer
        self.add(layers.Convolution(weight, self.draw(out), padding=padding, groups=groups), out)

    def windows(self):
        if self.shrunk == 2:
            return
        pooling = ["max", "mean"][self.rng.integers(2)]
        self.same, self.shrunk = [], self.shrunk + 1
        self.add(layers.WindowPool(pooling, 2, int(self.rng.integers(1, 3)), padding="valid"))

    def normalization(self):
        K = self.size
        layer = (
            layers.LayerNormalization(K, self.draw(K), self.draw(K), epsilon=0.1),
            layers.RMSNormalization(K, self.draw(K), epsilon=0.1),
            layers.Affine(1 + self.draw(K), self.draw(K)),
        )[self.rng.integers(3)]
        self.add(layer)

    def self_attention(self):
        K, values = self.size, self.top
        queries, keys = (self.dense(K, reads=(values,), top=False) for _ in range(2))
        causal = bool(self.rng.integers(2))
        if self.rng.integers(2):
            layer = layers.AdditiveAttention(self.draw(K), causal)
        else:
            layer = layers.DotProductAttention(2 if K % 2 == 0 else 1, causal=causal)
        self.add(layer, K, (queries, keys, values))

    def gate(self):
        gate = self.dense(self.size, "sigmoid", reads=(self.top,), top=False)
        self.add(layers.Multiply(1), reads=(self.top, gate))

    def join(self):
        name, size = self.same[self.rng.integers(len(self.same))]
        if size == self.size and self.rng.random() < 0.6:
            kinds = (layers.Add, layers.Average, layers.Maximum, layers.Multiply, layers.Subtract)
            self.add(kinds[self.rng.integers(5)](), reads=(self.top, name))
        elif size + self.size < 9:
            self.add(layers.Concatenate(), size + self.size, (self.top, name))

    def picked(self):
        choice = self.rng.integers(3)
        if choice == 0:
            self.add(layers.Reverse())
        elif choice == 1 and self.size > 2:
            self.add(layers.Units(1), self.size - 1)
        elif self.shrunk == 0:
            self.same, self.shrunk = [], 1
            self.add(layers.Steps(-5))

    def softmax(self):
        scores, over = self.dense(self.size, top=False), ["units", "steps"][self.rng.integers(2)]
        gate = self.add(layers.Softmax(over), reads=(scores,), top=False)
        self.add(layers.Multiply(1, "all"), reads=(self.top, gate))

    # Rows of sequences ------------------------------------------------------------------------

    def pool(self):
        choice = self.rng.integers(6)
        if choice < 4:
            self.add(layers.Pool(["mean", "max", "sum", "last"][choice]))
        elif choice == 4:
            scores = self.dense(1, "tanh", reads=(self.top,), top=False)
            self.add(layers.WeightedSum(), reads=(self.top, scores))
        else:
            values = self.top
            last = self.add(layers.Step(-1), reads=(values,), top=False)
            query = self.add(
                lrplstm.DenseLayer(self.draw(self.size, self.size)), reads=(last,), top=False
            )
            self.add(layers.DotProductAttention(scale=0.7), reads=(query, values, values))


_STEPS = (
    Builder.recurrent,
    Builder.dense_at_every_step,
    Builder.activation,
    Builder.convolution,
    Builder.windows,
    Builder.normalization,
    Builder.self_attention,
    Builder.gate,
    Builder.join,
    Builder.picked,
    Builder.softmax,
)


def random_network(seed, input_size=3, classes=3):
    """Return a model, and the kinds of layers that it has."""
    builder = Builder(seed, input_size)
    builder.dense(int(builder.rng.integers(3, 6)))
    for _ in range(builder.rng.integers(2, 7)):
        _STEPS[builder.rng.integers(len(_STEPS))](builder)
    builder.pool()
    builder.same = [(builder.top, builder.size)]
    if builder.rng.integers(2):
        builder.dense(4, builder.said())
    builder.dense(classes)
    return lrplstm.Model(builder.layers), builder.kinds
