"""Deletion curves against loops over single sentences, and where the truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from loader_fixtures import needs_treebank, refused, treebank_sentences
from random_models import random_batch, random_model

import lrplstm
from lrplstm.evaluation import deletion_curve

VOCABULARY = ["<unk>", "<pad>", *"abcdefgh"]
LENGTHS = (5, 3, 9, 4, 6, 5, 7, 4, 8, 11, 5, 6)

hows = pytest.mark.parametrize("how", ["zero", "remove"])
measures = pytest.mark.parametrize("measure", ["accuracy", "score"])


def id_model(**settings):
    return random_model(3, D=5, H=4, C=3, vocabulary=VOCABULARY, **settings)


def id_batch(lengths=LENGTHS, seed=5):
    rng = np.random.default_rng(seed)
    return [rng.integers(2, len(VOCABULARY), T) for T in lengths]


def labels_of(batch, classes=3, seed=6):
    return np.random.default_rng(seed).integers(0, classes, len(batch))


def features_of(model, sequence):
    """What the network reads of one sequence, floats of shape (T, D)."""
    if isinstance(sequence, np.ndarray) and sequence.ndim == 2:
        return sequence
    ids = [VOCABULARY.index(t) if isinstance(t, str) else int(t) for t in sequence]
    return model.embedding[ids]


def brute_force(model, batch, labels, method, K, how, measure):
    """Values (K + 1, n) and whether each was right, with one plain loop a sentence."""
    columns, right = [], []
    for sequence, label in zip(batch, labels, strict=True):
        x = features_of(model, sequence)
        scores = model.predict(x)
        correct = bool(scores.argmax() == label)
        relevance = lrplstm.explain(model, x, method, int(label), level="token").token_relevance
        steps = sorted(range(len(x)), key=lambda t: (-relevance[t] if correct else relevance[t], t))
        column = []
        for k in range(K + 1):
            gone = steps[:k]
            if how == "zero":
                changed = x.copy()
                changed[gone] = 0
            else:
                changed = np.delete(x, gone, axis=0)
            after = model.predict(changed)
            column.append(after[label] if measure == "score" else after.argmax() == label)
        columns.append(column)
        right.append(correct)
    return np.array(columns, float).T, np.array(right)


@hows
@measures
@pytest.mark.parametrize("form", ["ids", "tokens", "floats", "floats, embedding"])
def test_values_are_those_of_a_plain_loop(form, how, measure):
    model, batch = id_model(), id_batch()
    if form == "tokens":
        batch = [[VOCABULARY[i] for i in ids] for ids in batch]
    elif form.startswith("floats"):
        batch = random_batch(lengths=LENGTHS)
        model = random_model(3) if form == "floats" else model
    labels = labels_of(batch)
    found = deletion_curve(
        model, batch, labels, deletions=3, min_length=4, how=how, measure=measure
    )
    long = [b for b, sequence in enumerate(batch) if len(sequence) >= 4]
    np.testing.assert_array_equal(found.sequences, long)
    assert 0 < found.num_correct < len(long)  # both groups are there
    assert found.num_correct + found.num_wrong == len(long)
    assert found.methods == tuple(lrplstm.METHODS)
    for m, method in enumerate(lrplstm.METHODS):
        if method == "random" and not form.startswith("floats"):
            continue  # the loop gives features, for which other numbers are drawn than for ids
        values, right = brute_force(
            model, [batch[b] for b in long], labels[long], method, 3, how, measure
        )
        np.testing.assert_array_equal(found.correct, right)
        np.testing.assert_allclose(found.values[m], values, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(found.curve_correct[m], values[:, right].mean(axis=1))
        np.testing.assert_allclose(found.curve_wrong[m], values[:, ~right].mean(axis=1))


def test_areas_are_mean_changes_since_the_start():
    batch = id_batch()
    found = deletion_curve(
        id_model(), batch, labels_of(batch), deletions=3, min_length=3, measure="score"
    )
    for m in range(len(found.methods)):
        fall = [found.curve_correct[m, 0] - found.curve_correct[m, k] for k in range(4)]
        rise = [found.curve_wrong[m, k] - found.curve_wrong[m, 0] for k in range(4)]
        assert found.area_correct[m] == pytest.approx(sum(fall) / 4)
        assert found.area_wrong[m] == pytest.approx(sum(rise) / 4)


def counting_model():
    """Class 1 wins iff more steps say 1 than -1: one unit that adds up, made by hand."""
    small = 0.01  # so that tanh is straight
    lstm = lrplstm.LSTMWeights(
        np.array([[0.0], [0.0], [small], [0.0]]), np.zeros((4, 1)), np.array([20.0, 20, 0, 20])
    )
    return lrplstm.LSTMModel([lstm], np.array([[-100.0], [100.0]]), np.array([0.001, 0.0]))


def test_what_is_known_of_a_counting_model():
    """Four 1 and one -1: three deletions leave 1 and -1, a tie, which class 0 wins."""
    x = np.array([0.0, 1, 0, 1, -1, 1, 0, 1, 0, 0])[:, np.newaxis]
    found = deletion_curve(counting_model(), [x, x], [1, 0], methods=["lrp", "gradient_x_input"])
    np.testing.assert_array_equal(found.correct, [True, False])
    np.testing.assert_array_equal(found.curve_correct, [[1, 1, 1, 0, 0, 0]] * 2)
    # For class 0 the ones are least relevant, so they go first too.
    np.testing.assert_array_equal(found.curve_wrong, [[0, 0, 0, 1, 1, 1]] * 2)
    np.testing.assert_allclose(found.area_correct, 3 / 6)
    np.testing.assert_allclose(found.area_wrong, 3 / 6)


@pytest.mark.parametrize("right", [True, False])
def test_of_equal_relevance_the_earlier_goes_first(right):
    model = random_model(2, vocabulary=VOCABULARY)
    ids = np.array([4, 5, 6, 7, 4, 5])
    underflow = {"lrp": {"epsilon": 1e150}}
    assert not lrplstm.lrp(model, ids, 0, epsilon=1e150).token_relevance.any()
    label = int(model.predict(ids).argmax()) if right else int(model.predict(ids).argmin())
    found = deletion_curve(
        model, [ids], [label], methods=underflow, deletions=2, min_length=6, measure="score"
    )
    for k in range(3):
        x = model.embedding[ids].copy()
        x[:k] = 0
        assert found.values[0, k, 0] == pytest.approx(model.predict(x)[label], rel=1e-12)


@hows
def test_order_of_sentences_does_not_matter(how):
    batch = id_batch()
    labels = labels_of(batch)
    order = np.random.default_rng(7).permutation(len(batch))
    settings = {"deletions": 2, "min_length": 4, "how": how, "measure": "score"}
    found = deletion_curve(id_model(), batch, labels, **settings)
    other = deletion_curve(id_model(), [batch[b] for b in order], labels[order], **settings)
    place = {b: n for n, b in enumerate(found.sequences)}
    original = [place[order[b]] for b in other.sequences]
    np.testing.assert_array_equal(other.values, found.values[..., original])


def test_padding_counts_for_nothing():
    plain, batch = id_model(), id_batch()
    labels = labels_of(batch)
    padded = [np.concatenate([[1], ids, np.full(20 - len(ids), 1)]) for ids in batch]
    settings = {"deletions": 3, "min_length": 4, "measure": "score"}
    expected = deletion_curve(plain, batch, labels, **settings)
    found = deletion_curve(id_model(mask_id=1), padded, labels, **settings)
    np.testing.assert_array_equal(found.sequences, expected.sequences)
    np.testing.assert_array_equal(found.values, expected.values)


@pytest.mark.parametrize("unknown", ["unk", "zero"])
def test_unknown_words_are_read_as_everywhere(unknown):
    model = id_model()
    batch = [["a", "zqxv", "c", "d"], ["zqxv", "b", "h", "e"]]
    found = deletion_curve(
        model, batch, [0, 1], deletions=1, min_length=4, measure="score", unknown=unknown
    )
    expected = model.predict(batch, unknown=unknown)
    np.testing.assert_array_equal(found.values[0, 0], [expected[0, 0], expected[1, 1]])


@pytest.mark.parametrize("label", [0, 1])
def test_a_group_without_sentences_is_nan(label):
    x = np.array([0.0, 1, 0, 1, -1, 1, 0, 1, 0, 0])[:, np.newaxis]
    found = deletion_curve(counting_model(), [x], [label], methods="lrp")
    empty = found.curve_wrong if label == 1 else found.curve_correct
    assert (found.num_correct, found.num_wrong) == ((1, 0) if label == 1 else (0, 1))
    assert np.isnan(empty).all()
    assert np.isnan(found.area_wrong if label == 1 else found.area_correct).all()
    assert None in found.to_dict()["area_wrong" if label == 1 else "area_correct"]


def test_one_method_twice_with_options():
    batch = id_batch()
    methods = {"lrp": {}, "conserving": {"method": "lrp", "bias_factor": 1.0}, "gi": {}}
    settings = {"deletions": 2, "min_length": 4, "measure": "score"}
    found = deletion_curve(id_model(), batch, labels_of(batch), methods=methods, **settings)
    assert found.methods == ("lrp", "conserving", "gi")
    alone = {"lrp": {"bias_factor": 1.0}}
    expected = deletion_curve(id_model(), batch, labels_of(batch), methods=alone, **settings)
    np.testing.assert_array_equal(found.values[1], expected.values[0])
    assert not np.array_equal(found.values[0], found.values[1])


def test_inputs_are_not_changed():
    batch = random_batch(lengths=LENGTHS)
    before = [x.copy() for x in batch]
    deletion_curve(random_model(3), batch, labels_of(batch), deletions=3, min_length=4)
    for x, was in zip(batch, before, strict=True):
        np.testing.assert_array_equal(x, was)


BATCH = random_batch(lengths=(4, 5))


@pytest.mark.parametrize(
    ("changed", "kind", "match"),
    [
        ({"labels": [0]}, ValueError, r"labels: expected one for each of 2 .*\(1,\)"),
        ({"labels": [0, 3]}, ValueError, r"labels\[1\]: expected a class from 0 to 2, got 3"),
        ({"labels": [-1, 0]}, ValueError, r"labels\[0\]: .* got -1"),
        ({"labels": [0.0, 1.0]}, TypeError, "labels: expected integers, got dtype float64"),
        ({"labels": [True, False]}, TypeError, "labels: expected integers, got dtype bool"),
        ({"methods": "lpr"}, ValueError, "methods: expected one of 'lrp'.* got 'lpr'"),
        ({"methods": ["lrp", "x"]}, ValueError, "methods: .* got 'x'"),
        ({"methods": []}, ValueError, "methods: expected at least one"),
        ({"methods": 3}, TypeError, "methods: expected a name"),
        ({"methods": {"lrp": 1}}, TypeError, r"methods\['lrp'\]: expected a mapping"),
        ({"methods": {"x": {}}}, ValueError, "method: .* got 'x'"),
        ({"methods": {"lrp": {"target": 1}}}, TypeError, r"methods\['lrp'\]: .* got 'target'"),
        ({"methods": {"lrp": {"no_such": 1}}}, TypeError, "no_such"),
        ({"deletions": 0}, ValueError, "deletions: expected at least 1, got 0"),
        ({"deletions": 1.0}, TypeError, "deletions: expected an int, got 1.0"),
        ({"deletions": 3}, ValueError, "min_length: expected at least 3, .* got 2"),
        ({"how": "remove"}, ValueError, "min_length: expected at least 3, .* one step is left"),
        (
            {"min_length": 6},
            ValueError,
            "min_length: expected at most 5, .* got 6",
        ),
        ({"how": "mask"}, ValueError, "how: expected one of 'zero', 'remove', got 'mask'"),
        ({"measure": "loss"}, ValueError, "measure: .* got 'loss'"),
        ({"inputs": "text"}, TypeError, "inputs: .* plain string"),
        ({"inputs": []}, ValueError, "inputs: expected at least one sequence"),
        ({"model": "model"}, TypeError, "model: expected a Model, got str"),
        ({"model": random_model(pooling="none")}, ValueError, "model: .* pooling 'none'"),
        ({"model": random_model(C=1)}, ValueError, "model: .* two classes, got one score"),
    ],
)
def test_refused(changed, kind, match):
    given = {"model": random_model(), "inputs": BATCH, "labels": [0, 1]}
    given |= {"deletions": 2, "min_length": 2} | changed
    with refused(match, kind):
        deletion_curve(**given)


def test_relevance_that_overflowed_is_refused_by_name():
    rng = np.random.default_rng(0)
    lstm = lrplstm.LSTMWeights(
        *(rng.normal(0, 1e3, s).astype(np.float32) for s in [(16, 5), (16, 4)]),
        np.zeros(16, np.float32),
    )
    model = lrplstm.LSTMModel([lstm], np.full((3, 4), 5e37, np.float32))
    batch = [np.full((T, 5), 1e-3, np.float32) for T in (2, 3, 4)]
    with (
        np.errstate(all="ignore"),
        refused(r"inputs\[0\]: expected finite .* by sensitivity, got NaN or infinity; .* float64"),
    ):
        deletion_curve(
            model,
            batch,
            [0, 1, 2],
            methods="sensitivity",
            deletions=3,
            min_length=3,
            num_threads=1,
        )


@needs_treebank
def test_methods_of_the_paper_on_the_treebank():
    labels, sentences = zip(*treebank_sentences("test"), strict=True)
    methods = ["lrp", "gradient_x_input", "sensitivity"]
    found = deletion_curve(lrplstm.load_default(), sentences, labels, methods=methods)
    assert found.num_correct + found.num_wrong == 1849  # as in the 2017 paper
    for areas in (found.area_correct, found.area_wrong):
        area = dict(zip(found.methods, areas, strict=True))
        assert area["lrp"] > area["gradient_x_input"] > area["sensitivity"]


def test_a_step_that_is_set_to_zero_is_none_of_padding():
    batch = random_batch(lengths=(5, 3, 7))
    for pooling in ("last", "max"):
        values = [
            deletion_curve(
                random_model(3, pooling=pooling, mask_value=mask_value),
                batch,
                [0, 1, 2],
                methods=["lrp", "occlusion"],
                deletions=2,
                min_length=3,
                measure="score",
            ).values
            for mask_value in (None, 0.0)
        ]
        np.testing.assert_array_equal(*values)
