"""Random networks of Keras: the same scores and gradients, and relevance that is conserved."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import torch
from keras import layers as L  # noqa: N812
from keras_2_15 import save_as_keras_2_15
from keras_files import QUIET, in_process, no_advice
from keras_models import policy
from keras_networks import random_inputs, random_network
from random_models import relative_error

import lrplstm

__all__ = ["in_process", "no_advice", "policy"]  # fixtures

pytestmark = QUIET


def read(model, form, tmp_path):
    """The model as it is, or from a file."""
    if form == "object":
        return lrplstm.from_keras(model)
    path = tmp_path / f"model{form.removeprefix('2.15')}"
    if form == "2.15.keras":
        save_as_keras_2_15(model, path)
    else:
        model.save(path)
    return lrplstm.from_keras(path)


FORMS = ("object", ".keras", ".h5", "2.15.keras")


@pytest.mark.parametrize("seed", range(40))
def test_random_networks(seed, policy, tmp_path):
    dtype = ("float32", "float64")[seed // 4 % 2]
    policy(dtype)
    form = FORMS[seed % 4]
    # Hard gates have a test of their own; PyTorch's gradient of them is that of single precision.
    network = random_network(seed, hard_gates=form != "2.15.keras" and dtype == "float32")
    model = read(network, form, tmp_path)
    assert model.dtype == dtype
    bound, gradient_bound = {"float32": (1e-5, 1e-4), "float64": (1e-11, 1e-9)}[dtype]
    x = random_inputs(network, 3, seed)
    # `predict` of Keras would make float32 of all that it is given.
    expected = network(torch.tensor(x)).detach().numpy()
    assert relative_error(model.predict(x), expected) < bound

    target = seed % 3
    for rule in ("all", "half"):
        a = lrplstm.lrp(model, x[0], target, bias_factor=1.0, product_rule=rule)
        total = np.abs(a.token_relevance).sum() + np.abs(a.scores).sum()
        assert abs(a.delta) < {"float32": 1e-3, "float64": 1e-9}[dtype] * total
    if network.inputs[0].name == "series":
        start = torch.tensor(x[:1], requires_grad=True)
        network(start)[0, target].backward()
        expected = (start.grad * start).detach().numpy()[0]
        a = lrplstm.gradient_x_input(model, x[0], target)
        largest = np.abs(expected).max()  # zero where a ReLU lets nothing through
        assert np.abs(a.input_relevance - expected).max() <= gradient_bound * largest


# What random networks lack ----------------------------------------------------------------------


def compare(network, x, tmp_path, **options):
    """Read a network from an object and from a file, and compare scores with one output's."""
    expected = network.predict(x, verbose=0)
    if isinstance(expected, list):
        expected = expected[list(network.output_names).index(options["output"])]
    network.save(tmp_path / "model.keras")
    for source in (network, tmp_path / "model.keras"):
        model = lrplstm.from_keras(source, **options)
        assert relative_error(np.array(model.predict(x)), expected) < 1e-5
    return model


def randomized(start, end, seed=0):
    model = keras.Model(start, end)
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        low, high = (0.5, 1.5) if "variance" in variable.path else (-0.6, 0.6)
        variable.assign(rng.uniform(low, high, variable.shape).astype(variable.dtype))
    return model


def series(*shape, seed=1):
    return np.random.default_rng(seed).normal(size=shape).astype("f4")


def test_models_in_models_and_shared_layers(tmp_path):
    inner = keras.Sequential([L.LSTM(4, return_sequences=True), L.Dense(3, "elu")], name="inner")
    start = keras.Input((6, 3))
    shared = L.LSTM(4, name="shared")
    first = inner(start)
    second = inner(first)
    end = L.Dense(2)(L.Subtract()([shared(first), shared(second)]))
    compare(randomized(start, end), series(3, 6, 3), tmp_path)


def test_states_that_are_handed_on(tmp_path):
    start = keras.Input((6, 3))
    _, h, c = L.LSTM(4, return_state=True)(start)
    y = L.LSTM(4, return_sequences=True)(start, initial_state=[h, c])
    _, *states = L.Bidirectional(L.GRU(3, return_state=True))(y)
    y = L.Bidirectional(L.GRU(3))(y, initial_state=states)
    compare(randomized(start, L.Dense(2)(y)), series(3, 6, 3), tmp_path)


def test_functions_between_layers(tmp_path):
    start = keras.Input((6, 3))
    rows = L.LSTM(4, return_sequences=True)(start)
    weights = keras.ops.softmax(L.Dense(1)(rows), axis=1)
    context = keras.ops.sum(weights * rows, axis=1)
    y = keras.ops.tanh(rows[:, -1, :] * 0.5 + keras.ops.mean(rows, axis=1))
    y = keras.ops.concatenate([y, context, keras.ops.max(rows, axis=1), rows[:, 2, 1:3]], axis=-1)
    compare(randomized(start, L.Dense(2)(y)), series(3, 6, 3), tmp_path)


def test_scaling(tmp_path):
    scaling = L.Normalization(mean=[1.0, -2.0, 0.5], variance=[4.0, 0.25, 1.0])
    start = keras.Input((6, 3))
    y = L.GRU(4)(L.Rescaling(0.5, 1.0)(scaling(start)))
    model = compare(randomized(start, L.Dense(2)(y)), series(3, 6, 3), tmp_path)
    assert model.input_size == 3


def test_windows_and_ends(tmp_path):
    start = keras.Input((9, 3))
    y = L.Conv1D(4, 3, strides=2, padding="same", groups=1)(L.ZeroPadding1D((1, 2))(start))
    y = L.AveragePooling1D(2, strides=1, padding="same")(y)
    y = L.Cropping1D((1, 0))(L.GRU(4, return_sequences=True, reset_after=False)(y))
    y = L.Conv1D(4, 2, dilation_rate=2, padding="causal", groups=2, activation="softsign")(y)
    compare(randomized(start, L.Dense(2)(L.GlobalMaxPooling1D()(y))), series(3, 9, 3), tmp_path)


def test_kinds_of_attention(tmp_path):
    start = keras.Input((6, 3))
    rows = L.Bidirectional(L.LSTM(4, return_sequences=True))(start)
    (state,) = [L.Reshape((1, 8))(L.Bidirectional(L.LSTM(4))(start))]
    parts = [
        L.AdditiveAttention()([rows, rows]),
        L.AdditiveAttention(use_scale=False)([rows, L.Dense(5)(rows), L.Dense(8)(rows)]),
        L.Attention(use_scale=True, score_mode="concat")([rows, rows]),
        L.MultiHeadAttention(2, 3, value_dim=2)(rows, L.Dense(5)(rows)),
    ]
    means = [L.GlobalAveragePooling1D()(part) for part in parts]
    looked_up = L.Flatten()(L.Attention()([state, rows]))
    y = L.Concatenate()([*means, looked_up])
    compare(randomized(start, L.Dense(2)(y)), series(3, 6, 3), tmp_path)


def test_weights_that_are_repeated_and_permuted(tmp_path):
    """Attention as it was written before there were layers for it."""
    start = keras.Input((6, 3))
    rows = L.LSTM(4, return_sequences=True)(start)
    weights = L.Activation("softmax")(L.Flatten()(L.Dense(1, "tanh")(rows)))
    weights = L.Permute((2, 1))(L.RepeatVector(4)(weights))
    y = L.GlobalAveragePooling1D()(L.Multiply()([rows, weights]))
    compare(randomized(start, L.Dense(2)(y)), series(3, 6, 3), tmp_path)


def test_tensors_that_are_merged(tmp_path):
    start = keras.Input((6, 3))
    several = [L.LSTM(4)(start), L.GRU(4)(start), L.Dense(4)(L.SimpleRNN(3)(start))]
    y = L.Concatenate()([L.Add()(several), L.Average()(several), L.Maximum()(several)])
    y = L.Concatenate()([y, L.Multiply()(several[:2]), L.Dot(axes=1)(several[1:])])
    compare(randomized(start, L.Dense(2)(y)), series(3, 6, 3), tmp_path)


def test_several_outputs(tmp_path):
    start = keras.Input((6, 3))
    y = L.RNN(L.LSTMCell(4))(start)
    ends = [L.Dense(2, name="a")(y), L.Dense(3, name="b")(L.ReLU(max_value=0.4)(y))]
    network = randomized(start, ends)
    for output in ("a", "b"):
        assert compare(network, series(3, 6, 3), tmp_path, output=output).origin["output"] == output


@pytest.mark.parametrize("version", ["2.15.0", "3.0.0"])
def test_hard_gates_are_those_of_the_version(version, tmp_path):
    network = randomized(
        start := keras.Input((6, 3)), L.LSTM(4, recurrent_activation="hard_sigmoid")(start)
    )
    path = tmp_path / "model.keras"
    save_as_keras_2_15(network, path) if version < "3" else network.save(path)
    (x,) = series(1, 6, 3)
    kernel, recurrent, bias = (variable.numpy() for variable in network.weights)
    h = c = np.zeros(4)
    for x_t in x:
        i, f, g, o = np.split(x_t @ kernel + h @ recurrent + bias, 4)
        slope = 0.2 if version < "3" else 1 / 6
        i, f, o = (np.clip(slope * gate + 0.5, 0, 1) for gate in (i, f, o))
        c = f * c + i * np.tanh(g)
        h = o * np.tanh(c)
    assert relative_error(lrplstm.from_keras(path).predict(x), h) < 1e-5


def compare_several(network, inputs, tmp_path):
    """The same of a model of several inputs, which are given by name."""
    expected = network.predict(inputs, verbose=0)
    network.save(tmp_path / "model.keras")
    save_as_keras_2_15(network, tmp_path / "model2.keras")
    for source in (network, tmp_path / "model.keras", tmp_path / "model2.keras"):
        model = lrplstm.from_keras(source)
        assert relative_error(np.array(model.predict(inputs)), expected) < 1e-5
        a = lrplstm.lrp(model, {name: x[0] for name, x in inputs.items()}, 0, bias_factor=1.0)
        assert {*a.relevance_of} == {*inputs}
        assert abs(a.delta) < 1e-4
    return model


def test_two_branches_and_a_row(tmp_path):
    x, row = keras.Input((6, 3), name="x"), keras.Input((4,), name="row")
    y = L.Concatenate()([L.LSTM(4)(x), L.GRU(3)(x), L.Dense(3, "relu")(row)])
    y = L.Add()([L.Dense(5, "tanh")(y), L.Dense(5)(row)])
    network = randomized([x, row], L.Dense(2)(y))
    compare_several(network, {"x": series(3, 6, 3), "row": series(3, 4)}, tmp_path)


def test_siamese(tmp_path):
    first, second = (keras.Input((5,), dtype="int32", name=name) for name in ("a", "b"))
    table, shared = L.Embedding(9, 3, mask_zero=True), L.LSTM(4)
    states = [shared(table(ids)) for ids in (first, second)]
    y = L.Concatenate()([*states, L.Subtract()(states), L.Multiply()(states), L.Maximum()(states)])
    network = randomized([first, second], L.Dense(2)(y))
    rng = np.random.default_rng(3)
    ids = {name: rng.integers(1, 9, (3, 5)) for name in "ab"}
    ids["b"][0, 3:] = ids["b"][2, :1] = 0  # padding
    compare_several(network, ids, tmp_path)


def test_words_beside_numbers(tmp_path):
    words, x = keras.Input((6,), dtype="int32", name="words"), keras.Input((6, 2), name="x")
    rows = L.Concatenate()([L.Embedding(9, 3)(words), x])
    network = randomized([words, x], L.Dense(2)(L.Bidirectional(L.GRU(4))(rows)))
    ids = np.random.default_rng(3).integers(0, 9, (3, 6))
    compare_several(network, {"words": ids, "x": series(3, 6, 2)}, tmp_path)


def test_an_encoder_and_a_decoder(tmp_path):
    x, y = keras.Input((6, 3), name="x"), keras.Input((4, 2), name="y")
    _, h, c = L.LSTM(4, return_state=True)(x)
    rows = L.LSTM(4, return_sequences=True)(y, initial_state=[h, c])
    network = randomized([x, y], L.TimeDistributed(L.Dense(2))(rows))
    given = {"x": series(3, 6, 3), "y": series(3, 4, 2, seed=2)}
    expected = network.predict(given, verbose=0)
    model = lrplstm.from_keras(network)
    assert relative_error(np.array(model.predict(given)), expected) < 1e-5


ROW = {
    "steps of three": ((30,), [L.Reshape((10, 3)), L.LSTM(4)]),
    "steps of one": ((30,), [L.Reshape((-1, 1)), L.LSTM(4)]),
    "one step": ((30,), [L.Reshape((1, 30)), L.LSTM(4)]),
    "convolution": ((30,), [L.Reshape((10, 3)), L.Conv1D(5, 3), L.MaxPooling1D(2), L.LSTM(4)]),
    "dense": ((6, 5), [L.LSTM(4), L.Dense(12), L.Reshape((4, 3)), L.GRU(4)]),
    "several steps": ((6, 5), [L.Conv1D(4, 1), L.Reshape((3, 8)), L.Bidirectional(L.LSTM(4))]),
}


@pytest.mark.parametrize("name", ROW)
def test_numbers_that_are_cut_into_steps(name):
    """A row alone is read as steps of one number each."""
    keras.utils.set_random_seed(3)
    shape, layers = ROW[name]
    network = keras.Sequential([L.Input(shape), *layers, L.Dense(2)])
    model = lrplstm.from_keras(network)
    x = np.random.default_rng(1).normal(size=(3, *shape)).astype("f4")
    start = torch.tensor(x, requires_grad=True)
    scores = network(start)
    given = x if x.ndim == 3 else x[..., None]
    assert relative_error(model.predict(given), scores.detach().numpy()) < 1e-5
    scores[:, 1].sum().backward()
    expected = (start.grad.numpy() * x).reshape(given.shape)
    a = lrplstm.gradient_x_input(model, given, 1)
    for b, one in enumerate(a):
        assert relative_error(one.input_relevance, expected[b]) < 1e-4
    assert np.abs(lrplstm.lrp(model, given, 1, bias_factor=1.0).delta).max() < 1e-5
