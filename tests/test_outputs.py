"""What scores mean: classes by name, two classes of one score, outputs of a regression."""

from __future__ import annotations

import json

import numpy as np
import pytest
from random_models import random_batch, random_model

import lrplstm

NAMES = ("dull", "fair", "fine")
LENGTHS = (5, 3, 4)


@pytest.fixture(scope="module")
def batch():
    return random_batch(lengths=LENGTHS)


def explained(model, inputs, target, **options):
    return lrplstm.lrp(model, inputs, target, bias_factor=0.7, **options).token_relevance


# Names ------------------------------------------------------------------------------------------


def test_a_class_is_named_or_numbered(batch):
    model = random_model(3, class_names=NAMES)
    by_number = explained(model, batch, [2, 0, 1])
    assert np.array_equal(explained(model, batch, ["fine", "dull", "fair"]), by_number)
    assert np.array_equal(explained(model, batch, np.array(["fine", "dull", "fair"])), by_number)
    assert np.array_equal(explained(model, batch, [2, "dull", 1]), by_number)
    assert np.array_equal(explained(model, batch, "fine"), explained(model, batch, 2))


def test_a_misspelt_class_is_asked_about(batch):
    with pytest.raises(ValueError, match="or 'all', got 'fien'; did you mean 'fine'"):
        lrplstm.lrp(random_model(3, class_names=NAMES), batch, "fien")
    with pytest.raises(ValueError, match=r"target\[1\]: expected one of .* got 'bad'"):
        lrplstm.lrp(random_model(3, class_names=NAMES), batch, ["fine", "bad", "fair"])
    with pytest.raises(ValueError, match="the classes have no names"):
        lrplstm.lrp(random_model(3), batch, "fine")


# Steps ------------------------------------------------------------------------------------------


def test_steps_count_from_the_end_and_none_is_what_is_predicted(batch):
    model = random_model(3, pooling="none", class_names=NAMES)
    scores = model.predict(batch)
    last = [(T - 1, 2) for T in LENGTHS]
    found = lrplstm.lrp(model, batch, (-1, "fine"))
    assert found.target == last
    assert np.array_equal(found.token_relevance, lrplstm.lrp(model, batch, last).token_relevance)
    predicted = [(T - 1, int(s[-1].argmax())) for T, s in zip(LENGTHS, scores, strict=True)]
    found = lrplstm.lrp(model, batch, (-1, None))
    assert found.target == predicted
    assert np.array_equal(
        found.token_relevance, lrplstm.lrp(model, batch, predicted).token_relevance
    )
    mixed = [(-1, None), None, "dull"]
    given = [predicted[0], scores[1].argmax(axis=1), 0]
    assert np.array_equal(explained(model, batch, mixed), explained(model, batch, given))


# One score for two classes ----------------------------------------------------------------------


@pytest.mark.parametrize("method", [m for m in lrplstm.METHODS if m != "random"])
def test_one_score_speaks_for_one_class_and_against_the_other(batch, method):
    one = random_model(16, C=1)
    two = one.replaced(class_names=["neg", "pos"])
    s = lrplstm.explain(one, batch, method, 0)
    sign = 1 if method == "sensitivity" else -1
    for target, factor in {"pos": 1, 1: 1, "neg": sign, 0: sign}.items():
        found = lrplstm.explain(two, batch, method, target)
        np.testing.assert_allclose(found.token_relevance, factor * s.token_relevance, rtol=1e-12)
        np.testing.assert_array_equal(found.scores, s.scores)
    both = lrplstm.explain(two, batch, method, "all")
    np.testing.assert_allclose(
        both.token_relevance, np.stack([sign * s.token_relevance, s.token_relevance]), rtol=1e-12
    )
    predicted = (two.predict(batch)[:, 0] > 0).astype(int)
    assert set(predicted) == {0, 1}, "the fixture has both"
    np.testing.assert_array_equal(both.predicted, predicted)
    np.testing.assert_allclose(
        lrplstm.explain(two, batch, method).token_relevance,
        lrplstm.explain(two, batch, method, predicted).token_relevance,
        rtol=1e-12,
    )


def test_the_probability_of_two_classes_is_the_sigmoid_of_their_score(batch):
    model = random_model(16, C=1, class_names=["neg", "pos"])
    x = batch[0]
    for target in (0, 1):
        found = lrplstm.occlusion(model, x, target, measure="probability")
        without = np.stack([np.where(np.arange(len(x))[:, None] == t, 0, x) for t in range(len(x))])
        p = [1 / (1 + np.exp(-s)) for s in (model.predict(x)[0], model.predict(without)[:, 0])]
        effect = (p[0] - p[1]) * (1 if target else -1)
        np.testing.assert_allclose(found.token_relevance, effect, atol=1e-12)
        np.testing.assert_allclose(found.balance.started, p[0] if target else 1 - p[0])


def test_a_caption_names_the_class_that_one_score_speaks_for(batch):
    model = random_model(16, C=1, class_names=["neg", "pos"])
    a = lrplstm.lrp(model, batch[0], "neg")
    assert a.explained == ("neg (predicted)" if a.scores[0] <= 0 else "neg")
    assert f"score: {a.scores[0]:.3g}" in a.caption
    assert lrplstm.lrp(model, batch[0], "all").row_labels == ["neg", "pos"]


# Regressions ------------------------------------------------------------------------------------


def test_a_regression_explains_every_output_and_predicts_none(batch):
    model = random_model(5, task="regression")
    found = lrplstm.lrp(model, batch)
    assert found.target == "all"
    assert found.predicted is None
    assert np.array_equal(
        found.token_relevance,
        np.stack([lrplstm.lrp(model, batch, k).token_relevance for k in range(3)]),
    )
    a = lrplstm.lrp(model, batch[0], 1)
    assert a.predicted is None
    assert a.caption == f"lrp: output 1: {a.scores[1]:.3g}"
    named = model.replaced(class_names=["tomorrow", "in two days", "in three"])
    assert "in two days" in lrplstm.lrp(named, batch[0], 1).caption


def test_a_regression_of_one_output_explains_that(batch):
    model = random_model(5, C=1, task="regression")
    found = lrplstm.lrp(model, batch)
    assert found.token_relevance.ndim == 1
    assert found.target.tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="class_names: expected 1 names, got 2"):
        model.replaced(class_names=["neg", "pos"])


def test_outputs_at_a_step(batch):
    model = random_model(5, pooling="none", task="regression")
    found = lrplstm.lrp(model, batch, (-1, None))
    assert found.target == [(T - 1, None) for T in LENGTHS]
    one_by_one = [lrplstm.lrp(model, batch, (-1, k)).token_relevance for k in range(3)]
    assert np.array_equal(found.token_relevance, np.stack(one_by_one))
    assert found[0].explained == f"every output at step {LENGTHS[0] - 1}"
    single = random_model(5, C=1, pooling="none", task="regression")
    assert lrplstm.lrp(single, batch, (-1, None)).target == [(T - 1, 0) for T in LENGTHS]
    with pytest.raises(ValueError, match="a regression predicts none"):
        lrplstm.lrp(model, batch, [None, 0, 1])


def test_the_task_is_kept(tmp_path):
    model = random_model(5, task="regression")
    model.save(tmp_path)
    assert lrplstm.load(tmp_path).task == "regression"
    assert "task='regression'" in repr(model.astype("float32"))
    with pytest.raises(ValueError, match="task: expected one of"):
        random_model(5, task="ranking")


# The sum and JSON -------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [0, "all", [0.5, 0.0, -2.0]])
@pytest.mark.parametrize("method", list(lrplstm.METHODS))
def test_the_sum_is_what_was_shared_out(batch, method, target):
    model = random_model(6, class_names=NAMES)
    a = lrplstm.explain(model, batch[0], method, target)
    balance = a.balance
    weights = np.eye(3)[[0]] if target == 0 else np.eye(3) if target == "all" else [target]
    expected = np.asarray(weights) @ a.scores
    if method == "integrated_gradients":
        expected = expected - np.asarray(weights) @ model.predict(np.zeros_like(batch[0]))
    if balance.shares:
        np.testing.assert_allclose(balance.started, expected, rtol=1e-9)
    record = json.loads(json.dumps(a.to_dict(), allow_nan=False))["sum"]
    assert (record["rest"] is None) is (method in ("sensitivity", "random"))
    assert len(balance.lines()) == (4 if target == "all" else 1)


def test_the_sum_can_be_added_up_by_its_reader():
    a = lrplstm.lrp(random_model(6), random_batch(lengths=(6,))[0], 0)
    (line,) = a.balance.lines()
    left, right = line.split(" = ")
    numbers = [float(term.rsplit(" ", 1)[1]) for term in right.split(" + ")]
    assert float(left.rsplit(" ", 1)[1]) == pytest.approx(sum(numbers), abs=0.006)
    assert "kept by biases and stabilizers" in right


def test_json_has_no_nan_and_names_classes():
    model = random_model(6, class_names=NAMES)
    a = lrplstm.lrp(model, random_batch(lengths=(4,))[0], "fair", level="token")
    a.token_relevance[1] = np.inf
    object.__setattr__(a, "delta", float("nan"))
    record = json.loads(json.dumps(a.to_dict(), allow_nan=False))
    assert record["token_relevance"][1] is None
    assert record["delta"] is None
    assert record["target_class"] == "fair"
    assert record["predicted_class"] == NAMES[record["predicted"]]
    steps = random_model(6, class_names=NAMES, pooling="none")
    record = lrplstm.lrp(steps, random_batch(lengths=(4,))[0]).to_dict()
    assert record["predicted_class"] == [NAMES[c] for c in record["predicted"]]
