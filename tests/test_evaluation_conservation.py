"""What LRP keeps: identities that hold whatever the weights are."""

from __future__ import annotations

import numpy as np
import pytest
from loader_fixtures import refused
from random_models import random_batch, random_model

import lrplstm
from lrplstm.evaluation import QUANTILES, conservation

BATCH = random_batch(lengths=(3, 1, 7, 2, 9))
FACTORS = [{}, {"bias_factor": 0.3}, {"epsilon_factor": 1.0}, {"bias_factor": 0.2, "epsilon": 0.1}]

factors = pytest.mark.parametrize("options", FACTORS, ids=str)
models = pytest.mark.parametrize(
    "settings",
    [{}, {"layers": 2}, {"bidirectional": False, "pooling": "mean"}, {"head": "stack"}],
    ids=str,
)


def largest_on_the_way(found):
    """What rounding is relative to."""
    return 1 + np.abs(found.started) + np.abs(found.delta) + np.abs(found.initial)


@factors
@models
def test_what_was_kept_is_what_biases_and_stabilizers_kept(settings, options):
    found = conservation(random_model(4, **settings), BATCH, 1, **options)
    size = largest_on_the_way(found)
    assert (np.abs(found.rest) < 1e-9 * size).all()
    np.testing.assert_allclose(
        found.biases + found.stabilizers + found.rest, found.delta, rtol=0, atol=1e-12 * size.max()
    )
    assert (np.abs(found.biases) > 1e-9).all()
    assert (np.abs(found.stabilizers) > 1e-9).all() or options == {"epsilon_factor": 1.0}


@models
def test_started_is_the_score_and_delta_what_did_not_arrive(settings):
    model = random_model(4, **settings)
    found = conservation(model, BATCH, 2)
    expected = lrplstm.lrp(model, BATCH, 2, level="token")
    np.testing.assert_allclose(found.started, model.predict(BATCH)[:, 2], rtol=1e-12)
    np.testing.assert_array_equal(found.delta, expected.delta)
    np.testing.assert_array_equal(found.initial, expected.initial_relevance)
    np.testing.assert_array_equal(found.relative(), found.delta / found.started)


def test_nothing_is_kept_where_all_is_handed_on():
    found = conservation(random_model(4), BATCH, 0, bias_factor=1.0)
    for part in (found.delta, found.biases, found.stabilizers, found.rest):
        assert (np.abs(part) < 1e-9 * largest_on_the_way(found)).all()


def without_biases(model):
    layers = [
        tuple(lrplstm.LSTMWeights(w.weight_ih, w.weight_hh, 0 * w.bias) for w in layer)
        for layer in model.layers
    ]
    return lrplstm.LSTMModel(layers, model.head_weight)


def test_biases_of_zero_keep_nothing():
    model = without_biases(random_model(4, layers=2))
    found = conservation(model, BATCH, 0, epsilon=0.01)
    np.testing.assert_allclose(found.biases, 0, atol=1e-12)
    np.testing.assert_allclose(found.stabilizers, found.delta - found.rest)
    assert (np.abs(found.delta) > 1e-6).all()


def test_stabilizers_of_zero_keep_nothing():
    found = conservation(random_model(4), BATCH, 0, epsilon=0.0)
    size = largest_on_the_way(found).max()
    np.testing.assert_allclose(found.stabilizers, 0, atol=1e-9 * size)
    np.testing.assert_allclose(found.biases, found.delta, atol=1e-9 * size)
    assert (np.abs(found.delta) > 1e-6).all()


def test_split_is_the_mean_of_both_orders():
    """One linear head over LSTM states, computed by four runs of lrp here."""
    model = random_model(4)
    delta = {
        (b, e): lrplstm.lrp(model, BATCH, 1, bias_factor=b, epsilon_factor=e).delta
        for b in (0.0, 1.0)
        for e in (0.0, 1.0)
    }
    biases_first = delta[0, 0] - delta[1, 0]
    biases_second = delta[0, 1] - delta[1, 1]
    assert np.abs(biases_first - biases_second).max() > 1e-6  # so the order does matter
    found = conservation(model, BATCH, 1)
    np.testing.assert_allclose(found.biases, (biases_first + biases_second) / 2, rtol=1e-12)


def test_quantiles_are_of_the_relative_parts():
    found = conservation(random_model(4), BATCH, 1)
    for part in ("delta", "biases", "stabilizers"):
        ratio = getattr(found, part) / found.started
        np.testing.assert_allclose(found.quantiles(part), np.quantile(ratio, QUANTILES))
        assert found.to_dict()[f"relative_{part}"] == found.quantiles(part).tolist()


def test_nothing_started_has_no_ratio():
    model = random_model(4, head="no bias")
    found = conservation(model, BATCH, [0.0, 0.0, 0.0])
    np.testing.assert_array_equal(found.started, 0)
    assert np.isnan(found.relative()).all()
    assert np.isnan(found.quantiles()).all()
    assert found.to_dict()["relative_delta"] == [None] * len(QUANTILES)


@pytest.mark.parametrize("pooling", ["last", "none"])
def test_one_score_and_scores_at_every_step(pooling):
    model = random_model(4, C=1, pooling=pooling)
    found = conservation(model, BATCH)
    scores = model.predict(BATCH)
    expected = [scores_of.sum() for scores_of in scores]
    np.testing.assert_allclose(found.started, expected, rtol=1e-10)


def test_refused():
    model = random_model()
    with refused("target: expected one for each sequence, got 'all'"):
        conservation(model, BATCH, "all")
    with refused("epsilon"):
        conservation(model, BATCH, epsilon=-1.0)
    with refused("got 'level'", TypeError):
        conservation(model, BATCH, level="input")
    with refused("no_such", TypeError):
        conservation(model, BATCH, no_such=1)
