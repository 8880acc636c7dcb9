"""Steps that a Masking layer passes over, and what the loss of a Keras model says."""

from __future__ import annotations

import keras_models  # noqa: F401 - imports Keras as the tests want it
import numpy as np
import pytest
from keras import Input, Model, Sequential, losses
from keras import layers as L  # noqa: N812
from keras_files import QUIET, in_process, no_advice
from loader_fixtures import refused
from random_models import random_model, relative_error

import lrplstm

__all__ = ["in_process", "no_advice"]  # fixtures

pytestmark = QUIET

FILL = -1.5


def padded():
    """Sequences with padding behind, before and within; and a step that half looks like it."""
    x = np.random.default_rng(5).normal(size=(4, 6, 3)).astype("f4")
    x[0, 4:] = x[1, :2] = x[2, 2] = x[2, 5] = FILL
    x[3, 1, :2] = FILL
    return x


def rows(units):
    return L.LSTM(units, return_sequences=True)


LAYERS = {
    "last": lambda: [L.LSTM(4), L.Dense(2)],
    "two directions": lambda: [L.Dropout(0.3), L.Bidirectional(L.LSTM(4)), L.Dense(2)],
    "mean, stack": lambda: [rows(4), L.Bidirectional(rows(3)), L.GlobalAveragePooling1D()],
}


@pytest.mark.parametrize("functional", [True, False])
@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_scores_are_those_of_keras(make, functional, tmp_path):
    layers = [L.Masking(FILL), *make()]
    start = end = Input((None, 3))
    for layer in layers:
        end = layer(end)
    network = Model(start, end) if functional else Sequential([start, *layers])
    network.compile(loss="mse")
    network.save(tmp_path / "model.keras")
    x = padded()
    for source in (network, tmp_path / "model.keras"):
        model = lrplstm.from_keras(source)
        assert (model.mask_value, model.task) == (FILL, "regression")
        assert model.verify(network, x) < 1e-5


def test_a_loop_that_skips_steps():
    """States are carried over a step that is padding; it gets no relevance, and changes none."""
    model = random_model(3, D=3, pooling="mean", mask_value=FILL)
    plain = model.replaced(mask_value=None)
    x = padded()
    a = lrplstm.lrp(model, x, 1, level="input")
    for b in range(4):
        read = (x[b] != FILL).any(axis=1)
        expected = lrplstm.lrp(plain, x[b][read], 1, level="input")
        np.testing.assert_array_equal(a[b].scores, expected.scores)
        np.testing.assert_array_equal(a[b].input_relevance[read], expected.input_relevance)
        assert not a[b].input_relevance[~read].any()
    # The mean is over the steps that are read; h and c stay as they are over the others.
    forward, backward = model.layers[0]
    total = np.zeros(model.width)
    for weights, half, turned in ((forward, slice(0, 4), 1), (backward, slice(4, 8), -1)):
        h, c = weights.initial_hidden, weights.initial_cell
        for x_t in x[2][::turned].astype(float):
            if (x_t == FILL).all():
                continue
            a_i, a_f, a_g, a_o = np.split(
                weights.weight_ih @ x_t + weights.weight_hh @ h + weights.bias, 4
            )
            i, f, o = (1 / (1 + np.exp(-gate)) for gate in (a_i, a_f, a_o))
            c = f * c + i * np.tanh(a_g)
            h = o * np.tanh(c)
            total[half] += h
    scores = model.head_weight @ (total / 4) + model.head_bias
    assert relative_error(model.predict(x[2]), scores) < 1e-12


def test_a_mask_value_is_kept_and_checked(tmp_path):
    model = random_model(3, D=3, pooling="none", mask_value=np.float32(FILL))
    model.save(tmp_path / "model")
    loaded = lrplstm.load(tmp_path / "model")
    assert loaded.mask_value == FILL
    x = padded()
    assert np.isnan(loaded.predict(x[0])).all(axis=1).tolist() == [False] * 4 + [True] * 2
    with pytest.raises(
        ValueError, match=r"^inputs: expected padding \(all numbers -1.5\) at the e"
    ):
        loaded.predict(x[2])
    with pytest.raises(ValueError, match=r"^inputs\[1\]: .*nothing but padding \(all numbers -1.5"):
        loaded.predict([x[0], x[0, 4:]])
    for value, error in ((np.nan, ValueError), (10**400, ValueError), ("0", TypeError)):
        with pytest.raises(error, match=r"^mask_value: expected a "):
            model.replaced(mask_value=value)
    with pytest.raises(ValueError, match="mask_value: expected None where there is an embedding"):
        lrplstm.load_default().replaced(mask_value=0)


def test_vectors_of_padding_are_padding():
    model = lrplstm.load_default().replaced(mask_id=7)
    ids = [7, 12, 404, 7, 3, 7]
    np.testing.assert_array_equal(model.predict(model.embedding[ids]), model.predict(ids))
    np.testing.assert_array_equal(model.predict(ids), model.predict([12, 404, 3]))


@pytest.mark.parametrize(
    ("layers", "match"),
    [
        ([L.Masking(float("nan")), L.LSTM(4)], "expected a finite mask_value, got nan"),
        ([L.Masking(), L.Masking(1.0), L.LSTM(4)], "expected one Masking, before all other layers"),
        ([L.Masking(), L.LSTM(4, go_backwards=True, return_sequences=True), L.LSTM(3)], "no mask"),
    ],
)
def test_refused(layers, match):
    with refused(match):
        lrplstm.from_keras(Sequential([Input((None, 3)), *layers]))


def test_masks_of_another_axis(tmp_path):
    start = Input((5, 3))
    network = Model(start, L.LSTM(4)(L.Masking()(start)))
    network.save_weights(tmp_path / "a.weights.h5")
    config = network.to_json()
    lrplstm.from_keras(tmp_path / "a.weights.h5", config=config)
    assert '"axis": -1' in config
    with refused("expected no mask but that of an Embedding or Masking"):
        changed = config.replace('"axis": -1', '"axis": 1')
        lrplstm.from_keras(tmp_path / "a.weights.h5", config=changed)


def test_weights_alone(tmp_path):
    network = Sequential([Input((None, 3)), L.Masking(), L.LSTM(4), L.Dense(1, name="out")])
    network.save_weights(tmp_path / "a.weights.h5")
    with refused("Masking|masking.*pass the model's config"):
        lrplstm.from_keras(tmp_path / "a.weights.h5", pooling="last")
    network = Sequential([Input((None, 3)), L.LSTM(4), L.Dense(1, name="out")])
    network.save_weights(tmp_path / "b.weights.h5")
    match = r"no activation but softmax or sigmoid after 'out', which is .*; .*dense_activations="
    with pytest.warns(UserWarning, match=match) as caught:
        lrplstm.from_keras(tmp_path / "b.weights.h5", pooling="last")
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize(
    ("loss", "activation", "options", "task"),
    [
        ("mse", None, {}, "regression"),
        (losses.Huber(), None, {}, "regression"),
        (losses.mean_absolute_error, None, {}, "regression"),
        (losses.LogCosh(), "sigmoid", {}, "regression"),
        ("mse", None, {"task": "classification"}, "classification"),
        ("mse", "softmax", {}, "classification"),
        ("binary_crossentropy", "sigmoid", {}, "classification"),
        (None, None, {}, "classification"),
        (None, None, {"task": "regression"}, "regression"),
    ],
)
def test_tasks(loss, activation, options, task, tmp_path):
    network = Sequential([Input((None, 3)), L.LSTM(4), L.Dense(2, activation)])
    network.compile(loss=loss)
    assert lrplstm.from_keras(network, **options).task == task
    for name in ("model.keras", "model.h5"):
        network.save(tmp_path / name)
        assert lrplstm.from_keras(tmp_path / name, **options).task == task
