"""Seeded models and inputs for the tests: nonzero everywhere, and nothing symmetric in them."""

from __future__ import annotations

import numpy as np

import lrplstm

SCALE = 0.4

# Methods that go back once, however long a sequence is.
ONE_WAY_BACK = ["lrp", "gradient_x_input", "sensitivity"]

# Options that keep a method quick enough for many small tests.
QUICK = {"integrated_gradients": {"steps": 2}}


def random_weights(rng, input_size, hidden_size, dtype=np.float64, *, initial=True, biases=True):
    """One direction of one layer, with nonzero biases and initial states unless said otherwise."""

    def draw(*shape):
        return rng.normal(0, SCALE, shape).astype(dtype)

    states = {}
    if initial:
        states = {"initial_hidden": draw(hidden_size), "initial_cell": draw(hidden_size)}
    return lrplstm.LSTMWeights(
        draw(4 * hidden_size, input_size),
        draw(4 * hidden_size, hidden_size),
        draw(4 * hidden_size) * dtype(biases),
        **states,
    )


def random_gru(rng, D, H, dtype=np.float64, **settings):
    """One direction of GRUs, with nonzero biases and initial states."""
    shapes = [(3 * H, D), (3 * H, H), (3 * H,), (3 * H,), (H,)]
    *arrays, initial = (rng.normal(0, SCALE, shape).astype(dtype) for shape in shapes)
    return lrplstm.GRUWeights(*arrays, initial_hidden=initial, **settings)


def random_rnn(rng, D, H, dtype=np.float64, **settings):
    """One direction of plain recurrent cells, with nonzero biases and initial states."""
    shapes = [(H, D), (H, H), (H,), (H,)]
    *arrays, initial = (rng.normal(0, SCALE, shape).astype(dtype) for shape in shapes)
    return lrplstm.RNNWeights(*arrays, initial_hidden=initial, **settings)


def random_model(
    seed=0,
    *,
    D=5,
    H=4,
    C=3,
    layers=1,
    bidirectional=True,
    dtype=np.float64,
    head="bias",
    initial=True,
    biases=True,
    vocabulary=None,
    **settings,
):
    """Return a model; head is "bias", "no bias", "none" or "stack" (of three layers)."""
    rng = np.random.default_rng(seed)
    sides = 2 if bidirectional else 1
    stack, width = [], D
    for _ in range(layers):
        both = tuple(
            random_weights(rng, width, H, dtype, initial=initial, biases=biases)
            for _ in range(sides)
        )
        stack.append(both if bidirectional else both[0])
        width = sides * H
    weight = bias = None
    if head == "stack":
        sizes = [(width, 6, "relu"), (6, 4, "tanh"), (4, C, "linear")]
        settings["head"] = [
            lrplstm.DenseLayer(
                rng.normal(0, SCALE, (M, N)).astype(dtype),
                rng.normal(0, SCALE, M).astype(dtype),
                activation,
            )
            for N, M, activation in sizes
        ]
    elif head != "none":
        weight = rng.normal(0, SCALE, (C, width)).astype(dtype)
    if head == "bias":
        bias = rng.normal(0, SCALE, C).astype(dtype)
    if vocabulary is not None:
        settings["embedding"] = rng.normal(size=(len(vocabulary), D)).astype(dtype)
        settings["vocabulary"] = vocabulary
    return lrplstm.LSTMModel(stack, weight, bias, **settings)


def random_batch(seed=1, *, D=5, lengths=(3, 1, 7, 2), dtype=np.float64):
    """Float sequences of these lengths."""
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(T, D)).astype(dtype) for T in lengths]


def relative_error(found, expected):
    """Largest difference, relative to the largest expected number."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    largest = np.abs(expected).max()
    assert largest > 0
    return np.abs(found - expected).max() / largest
