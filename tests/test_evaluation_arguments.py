"""What all measures take: options of methods, single sequences, and what they say of bad ones."""

from __future__ import annotations

import numpy as np
import pytest
from loader_fixtures import refused
from random_models import random_batch, random_model

import lrplstm
from lrplstm.evaluation import (
    agreement,
    conservation,
    deletion_curve,
    randomization_test,
    relevance_by_position,
    representative_words,
)

VOCABULARY = ["<unk>", "<pad>", *"abcdefgh"]
BATCH = [list("abcda"), list("hg"), list("fedcba")]
MEASURES = {
    "agreement": lambda *given, **options: agreement(*given, **options).by_sequence,
    "positions": lambda *given, **options: relevance_by_position(*given, **options).mean,
    "randomization": lambda *given, **options: randomization_test(*given, **options).by_sequence,
}

measures = pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)


@pytest.fixture(scope="module")
def model():
    return random_model(3, vocabulary=VOCABULARY)


def occlusion(baseline):
    return {"lrp": {}, "occlusion": {"baseline": baseline}}


# Baselines --------------------------------------------------------------------------------------


@measures
def test_a_word_its_id_and_its_vector_are_one_baseline(model, measure):
    word, id_, vector = (
        measure(model, BATCH, methods=occlusion(baseline))
        for baseline in ("c", VOCABULARY.index("c"), model.embedding[VOCABULARY.index("c")])
    )
    np.testing.assert_array_equal(word, id_)
    np.testing.assert_array_equal(word, vector)
    assert not np.array_equal(word, measure(model, BATCH, methods=occlusion(None)), equal_nan=True)


def test_a_word_is_a_baseline_of_features_too(model):
    features = [model.embedding[[VOCABULARY.index(word) for word in words]] for words in BATCH]
    of_words, of_features = (
        agreement(model, inputs, methods=occlusion("c")).signed for inputs in (BATCH, features)
    )
    np.testing.assert_allclose(of_words, of_features, rtol=1e-12)


@measures
def test_what_is_no_word_is_no_baseline(model, measure):
    for baseline, message in [
        ("zqxv", "baseline: expected a token of the vocabulary, got 'zqxv'"),
        (len(VOCABULARY), r"baseline: expected 0 <= id < 10, got 10"),
        (True, "baseline: expected None, a token"),
    ]:
        kind = TypeError if baseline is True else ValueError
        with pytest.raises(kind, match=message):
            measure(model, BATCH, methods=occlusion(baseline))


def test_each_sequence_keeps_its_own_baseline_where_short_ones_are_left_out(model):
    baselines = random_batch(lengths=tuple(map(len, BATCH)))
    labels = [0, 1, 2]
    found = deletion_curve(
        model, BATCH, labels, methods=occlusion(baselines), deletions=2, min_length=3
    )
    alone = deletion_curve(
        model,
        [BATCH[0], BATCH[2]],
        [labels[0], labels[2]],
        methods=occlusion([baselines[0], baselines[2]]),
        deletions=2,
        min_length=3,
    )
    np.testing.assert_array_equal(found.sequences, [0, 2])
    np.testing.assert_array_equal(found.values, alone.values)


# One sequence -----------------------------------------------------------------------------------


@measures
@pytest.mark.parametrize("target", [None, (2, 1), [0, 1, 2, 0, 1], "weights"], ids=str)
def test_one_sequence_of_a_model_with_scores_at_every_step(measure, target):
    model = random_model(3, pooling="none")
    x = random_batch(lengths=(5,))[0]
    if target == "weights":
        target = np.random.default_rng(2).normal(size=(5, model.num_classes))
    alone = measure(model, x, target, methods=["lrp", "gradient_x_input"])
    batch = measure(model, [x], None if target is None else [target], methods=["lrp", "gi"])
    np.testing.assert_array_equal(alone, batch)


def test_conservation_of_one_sequence():
    model, x = random_model(3, pooling="none"), random_batch(lengths=(5,))[0]
    target = [0, 1, 2, 0, 1]
    found, batch = conservation(model, x, target), conservation(model, [x], [target])
    for name in ("started", "delta", "initial", "biases", "stabilizers", "rest"):
        assert getattr(found, name).shape == (1,)
        np.testing.assert_array_equal(getattr(found, name), getattr(batch, name))


# Options ----------------------------------------------------------------------------------------


def test_options_that_a_measure_sets_itself_are_refused_by_name(model):
    for option in ({"level": "input"}, {"target": 1}):
        (name,) = option
        with pytest.raises(TypeError, match=rf"^options: .*got '{name}'|multiple values"):
            representative_words(model, BATCH, 0, **{"level": "input"} | option)
        with pytest.raises(TypeError, match=rf"^methods\['lrp'\]: .*got '{name}'"):
            agreement(model, BATCH, methods={"lrp": option})
    with pytest.raises(TypeError, match=r"^options: expected options of the method, got 'level'"):
        conservation(model, BATCH, level="input")
    with pytest.raises(TypeError, match=r"^options: expected options of lrp, got 'method'"):
        conservation(model, BATCH, method="sensitivity")
    with pytest.raises(TypeError, match=r"^embedding: expected a bool, got 'yes'"):
        randomization_test(model, BATCH, embedding="yes")
    with refused(r"^bins: expected at most 1000000, got a larger number"):
        relevance_by_position(model, BATCH, bins=10**12)
    with refused(r"^steps: expected at most 1000, got a larger number"):
        agreement(model, BATCH, methods={"integrated_gradients": {"steps": 10**400}})


def test_conservation_says_what_was_asked_for(model):
    found = conservation(model, [["a", "zqxv"]], unknown="zero", epsilon=0.01)
    assert (found.params["unknown"], found.params["epsilon"]) == ("zero", 0.01)
    with refused("part: expected one of 'delta', 'biases', 'stabilizers', got 'params'"):
        found.relative("params")


def test_what_stabilizers_of_products_keep_is_the_rest(model):
    """Rule "abs" loses what they keep, whatever the factors are; "half" has none of them."""
    kept = {
        rule: conservation(model, BATCH, 1, product_rule=rule, epsilon=0.1)
        for rule in ("half", "abs")
    }
    assert (np.abs(kept["half"].rest) < 1e-9).all()
    conserving = lrplstm.lrp(model, BATCH, 1, product_rule="abs", epsilon=0.1, bias_factor=1.0)
    np.testing.assert_array_equal(kept["abs"].rest, conserving.delta)
    assert (np.abs(kept["abs"].rest) > 1e-3).all()
