"""Evaluation where scores are no classes: outputs of regressions, and one score for two classes."""

from __future__ import annotations

import numpy as np
import pytest
from loader_fixtures import refused
from matplotlib.figure import Figure
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
BATCH = random_batch(lengths=(5, 3, 9, 4, 6, 5, 7, 4, 8))
LONG = [b for b, x in enumerate(BATCH) if len(x) >= 4]
METHODS = ["lrp", "sensitivity", "gradient_x_input", "occlusion"]
SETTINGS = {"methods": METHODS, "deletions": 3, "min_length": 4}


def regression(C, **settings):
    return random_model(3, C=C, task="regression", **settings)


def binary(seed=3, **settings):
    return random_model(seed, C=1, class_names=["no", "yes"], **settings)


def two_scores(model):
    """The same classifier with a score for each class: half of it, and half of it negative."""
    (layer,) = model.head
    half = layer.weight / 2, layer.bias / 2
    both = lrplstm.DenseLayer(*(np.concatenate([-part, part]) for part in half))
    return model.replaced(head=[both])


def falling(model, x, output, method, K, how):
    """The score of an output, or of weighted ones, after 0 to K deletions: one plain loop."""
    weights = np.eye(model.num_classes)[output] if np.ndim(output) == 0 else output
    relevance = lrplstm.explain(model, x, method, output, level="token").token_relevance
    steps = sorted(range(len(x)), key=lambda t: (-relevance[t], t))
    for k in range(K + 1):
        gone = steps[:k]
        rest = np.delete(x, gone, axis=0)
        if how == "zero":
            rest = x.copy()
            rest[gone] = 0
        yield model.predict(rest) @ weights


# Regressions ------------------------------------------------------------------------------------

TARGETS = {
    "the one output": (1, None, [0]),
    "one of three": (3, 2, [2]),
    "each of three": (3, None, [0, 1, 2]),
    "weights": (3, [0.5, -1.0, 0.25], [np.array([0.5, -1.0, 0.25])]),
}


@pytest.mark.parametrize("how", ["zero", "remove"])
@pytest.mark.parametrize("case", TARGETS)
def test_deletion_follows_the_score_of_an_output(case, how):
    C, target, outputs = TARGETS[case]
    model = regression(C)
    found = deletion_curve(model, BATCH, target=target, how=how, measure="score", **SETTINGS)
    np.testing.assert_array_equal(found.sequences, LONG * len(outputs))
    for m, method in enumerate(METHODS):
        values = [
            list(falling(model, BATCH[b], output, method, 3, how))
            for output in outputs
            for b in LONG
        ]
        np.testing.assert_allclose(found.values[m], np.transpose(values), rtol=1e-12)
        np.testing.assert_allclose(found.curve[m], np.mean(values, axis=0))
        falls = np.subtract(np.array(values)[:, :1], values)
        np.testing.assert_allclose(found.area[m], falls.mean())
    plain = found.to_dict()
    assert plain["measure"] == "score"
    assert plain["curve"] == found.curve.tolist()
    assert "curve_correct" not in plain


def test_one_output_for_each_sequence():
    model, target = regression(3), [2, 0, 1, 1, 0, 2, 2, 1, 0]
    found = deletion_curve(model, BATCH, target=target, **SETTINGS)
    alone = [deletion_curve(model, BATCH, target=c, **SETTINGS).values for c in range(3)]
    chosen = [alone[target[b]][..., n] for n, b in enumerate(LONG)]
    np.testing.assert_array_equal(found.values, np.stack(chosen, axis=-1))


def test_one_score_without_two_names_is_measured_like_a_regression():
    unnamed = random_model(3, C=1)
    found = deletion_curve(unnamed, BATCH, measure="score", **SETTINGS)
    np.testing.assert_array_equal(
        found.values, deletion_curve(regression(1), BATCH, **SETTINGS).values
    )
    with refused("measure: expected 'score' for one score .two class_names"):
        deletion_curve(unnamed, BATCH, measure="accuracy", **SETTINGS)


def test_plots_of_a_regression():
    found = deletion_curve(regression(3), BATCH, **SETTINGS)
    ax = found.plot(Figure().add_subplot())
    assert ax.get_title(loc="left") == "8 sequences, 3 outputs"
    assert ax.get_xlabel() == "steps deleted, most relevant first"
    assert ax.get_ylabel() == "mean score of the explained output"
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), found.curve[0])
    one = deletion_curve(regression(3), BATCH, target=1, **SETTINGS)
    assert one.plot(Figure().add_subplot()).get_title(loc="left") == "8 sequences"
    with refused("group: expected 'all', got 'wrong'|group: expected one of 'all', got 'wrong'"):
        found.plot(Figure().add_subplot(), group="wrong")


@pytest.mark.parametrize(
    ("C", "given", "match"),
    [
        (3, {"labels": [0.5] * 9}, "labels: expected None for a regression: .* no true value"),
        (1, {"labels": [0] * 9}, "labels: expected None for a regression"),
        (3, {"measure": "accuracy"}, "measure: expected 'score' for a regression, got 'accuracy'"),
        (3, {"target": 3}, "target: expected outputs from 0 to 2, got 3"),
        (3, {"target": "x"}, "target: .*no names"),
    ],
)
def test_refused_of_a_regression(C, given, match):
    with refused(match):
        deletion_curve(regression(C), BATCH, **SETTINGS | given)


def test_each_output_of_each_sequence_counts_as_one():
    """What the measures say of all outputs is what they say of one after the other."""
    model, methods = regression(3), ["lrp", "gradient_x_input"]
    each = range(3)
    for measure, name in (
        (agreement, "by_sequence"),
        (randomization_test, "by_sequence_absolute"),
    ):
        together = getattr(measure(model, BATCH, methods=methods), name)
        alone = [getattr(measure(model, BATCH, c, methods=methods), name) for c in each]
        np.testing.assert_allclose(together, np.concatenate(alone, axis=-1), rtol=1e-9)
    kept = conservation(model, BATCH)
    for name in ("started", "delta", "biases", "stabilizers"):
        alone = [getattr(conservation(model, BATCH, c), name) for c in each]
        np.testing.assert_allclose(getattr(kept, name), np.concatenate(alone), rtol=1e-9)
    np.testing.assert_allclose(kept.started, model.predict(BATCH).T.ravel(), rtol=1e-9)
    where = relevance_by_position(model, BATCH, methods=methods, bins=4)
    alone = [relevance_by_position(model, BATCH, c, methods=methods, bins=4).mean for c in each]
    np.testing.assert_allclose(where.mean, np.mean(alone, axis=0), rtol=1e-9)
    assert where.counts.sum() == 3 * sum(map(len, BATCH))


def test_words_of_a_regression():
    settings = {"vocabulary": VOCABULARY, "class_names": ["pace", "wit"]}
    model, batch = regression(2, **settings), [list("abcda"), list("hg"), list("fedcba")]
    every = representative_words(model, batch, n=2)
    assert every.classes == ("pace", "wit")
    for target in (1, "wit"):
        one = representative_words(model, batch, target, n=2)
        assert one.classes == ("wit",)
        np.testing.assert_array_equal(one.most[0], every.most[1])
    assert representative_words(model, batch, None, n=2).classes == ("pace", "wit")
    unnamed = representative_words(model.replaced(class_names=None), batch, n=2)
    assert unnamed.classes == ("output 0", "output 1")
    np.testing.assert_array_equal(unnamed.least, every.least)


@pytest.mark.parametrize("target", [None, (-1, None)], ids=str)
def test_randomized_models_explain_what_the_model_predicted(target):
    model = random_model(3, pooling="none")
    predicted = [scores.argmax(axis=1) for scores in model.predict(BATCH)]
    chosen = predicted if target is None else [(len(p) - 1, int(p[-1])) for p in predicted]
    found = randomization_test(model, BATCH, target, methods="lrp").by_sequence
    expected = randomization_test(model, BATCH, chosen, methods="lrp").by_sequence
    np.testing.assert_array_equal(found, expected)


# One score for two classes ----------------------------------------------------------------------


@pytest.mark.parametrize("measure", ["accuracy", "score"])
def test_deletion_of_one_score_is_that_of_two_opposite_ones(measure):
    model = binary()
    labels = (model.predict(BATCH)[:, 0] > 0).astype(int)
    labels[::3] = 1 - labels[::3]
    found = deletion_curve(model, BATCH, labels, measure=measure, **SETTINGS)
    expected = deletion_curve(two_scores(model), BATCH, labels, measure=measure, **SETTINGS)
    assert 0 < found.num_correct < len(LONG)
    np.testing.assert_array_equal(found.correct, expected.correct)
    # A score for each class is half of the one.
    times = 2 if measure == "score" else 1
    np.testing.assert_allclose(found.values, times * expected.values, rtol=1e-9)
    by_name = [model.class_names[label] for label in labels]
    named = deletion_curve(model, BATCH, by_name, measure=measure, **SETTINGS)
    np.testing.assert_array_equal(named.values, found.values)
    with refused(r"labels\[0\]: expected one of 'no', 'yes'.* got 'maybe'"):
        deletion_curve(model, BATCH, ["maybe", *by_name[1:]], **SETTINGS)
    with refused(r"labels: expected the true class of each sequence, got None"):
        deletion_curve(model, BATCH, **SETTINGS)


def test_other_measures_of_one_score_for_two_classes():
    model = binary(6, vocabulary=VOCABULARY)
    batch = [list("abcda"), list("hg"), list("fedcba"), list("bhab")]
    predicted = (model.predict(batch)[:, 0] > 0).astype(int)
    assert 0 < predicted.sum() < len(batch)
    sign = 2 * predicted - 1
    kept = conservation(model, batch)
    np.testing.assert_allclose(kept.started, sign * model.predict(batch)[:, 0], rtol=1e-9)
    for measure in (agreement, randomization_test):
        found = measure(model, batch, methods=METHODS).by_sequence
        expected = measure(model, batch, predicted, methods=METHODS).by_sequence
        np.testing.assert_array_equal(found, expected)
    words = representative_words(model, batch, n=3)
    assert words.classes == ("no", "yes")
    np.testing.assert_array_equal(words.most[0], words.least[1])
    np.testing.assert_allclose(words.most_relevance[0], -words.least_relevance[1])
    assert representative_words(model, batch, "yes", n=1).classes == ("yes",)
