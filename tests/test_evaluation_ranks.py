"""Rank correlation, agreement of methods, and the randomization test."""

from __future__ import annotations

import numpy as np
import pytest
from loader_fixtures import refused
from random_models import random_batch, random_model

import lrplstm
from lrplstm.evaluation import agreement, randomization_test
from lrplstm.evaluation.corpus import Corpus
from lrplstm.evaluation.randomization import _randomized
from lrplstm.evaluation.ranks import average_ranks, mean_defined, spearman
from lrplstm.layers import LSTM, Pool
from lrplstm.sequences import to_offsets

BATCH = random_batch(lengths=(3, 1, 7, 2, 9, 6))
METHODS = ["lrp", "sensitivity", "gradient_x_input"]


def plain_ranks(values):
    """Average rank of each value: how many are smaller, and half of the equal others."""
    return [
        sum(x < value for x in values) + (sum(x == value for x in values) - 1) / 2
        for value in values
    ]


def plain_spearman(a, b):
    x, y = np.array(plain_ranks(a)), np.array(plain_ranks(b))
    if x.std() == 0 or y.std() == 0:
        return np.nan
    return np.corrcoef(x, y)[0, 1]


# Rank correlation -------------------------------------------------------------------------------


@pytest.mark.parametrize("distinct", [2, 5, 1000])
def test_ranks_are_those_of_plain_loops(distinct):
    rng = np.random.default_rng(distinct)
    lengths = rng.integers(1, 12, 60)
    offsets = to_offsets(lengths)
    a, b = rng.integers(-distinct, distinct, (2, offsets[-1])) / 7
    expected = [plain_ranks(part) for part in np.split(a, offsets[1:-1])]
    np.testing.assert_array_equal(average_ranks(a, offsets), np.concatenate(expected))
    pairs = zip(np.split(a, offsets[1:-1]), np.split(b, offsets[1:-1]), strict=True)
    correlation = [plain_spearman(x, y) for x, y in pairs]
    np.testing.assert_allclose(spearman(a, b, offsets), correlation, atol=1e-12)
    assert np.isnan(correlation).any()
    assert not np.isnan(correlation).all()


def test_only_the_order_counts():
    rng = np.random.default_rng(0)
    offsets = to_offsets([5, 8, 3])
    a = rng.normal(size=16)
    np.testing.assert_allclose(spearman(a, np.exp(3 * a), offsets), 1)
    np.testing.assert_allclose(spearman(a, -(a**3), offsets), -1)


def test_zeros_of_both_signs_are_equal():
    np.testing.assert_array_equal(
        average_ranks(np.array([0.0, -0.0, 1.0]), np.array([0, 3])), [0.5, 0.5, 2]
    )


def test_mean_of_what_is_defined():
    np.testing.assert_array_equal(
        mean_defined(np.array([[1.0, np.nan, 3.0], [np.nan] * 3])), [2, np.nan]
    )


# Agreement --------------------------------------------------------------------------------------


def test_agreement_is_that_of_single_sequences():
    model = random_model(3)
    found = agreement(model, BATCH, 1, methods=METHODS)
    assert found.methods == tuple(METHODS)
    for b, x in enumerate(BATCH):
        rows = [lrplstm.explain(model, x, m, 1, level="token").token_relevance for m in METHODS]
        for i, j in np.ndindex(3, 3):
            np.testing.assert_allclose(
                found.by_sequence[i, j, b], plain_spearman(rows[i], rows[j]), atol=1e-12
            )
            np.testing.assert_allclose(
                found.by_sequence_absolute[i, j, b],
                plain_spearman(abs(rows[i]), abs(rows[j])),
                atol=1e-12,
            )
    defined = [b for b, x in enumerate(BATCH) if len(x) > 1]
    np.testing.assert_allclose(found.signed, found.by_sequence[..., defined].mean(axis=-1))
    np.testing.assert_allclose(
        found.absolute, found.by_sequence_absolute[..., defined].mean(axis=-1)
    )


def test_agreement_is_symmetric_and_complete_with_itself():
    found = agreement(random_model(3), BATCH)
    for table in (found.signed, found.absolute):
        np.testing.assert_array_equal(table, table.T)
        np.testing.assert_allclose(np.diag(table), 1)
        assert (np.abs(table) <= 1 + 1e-12).all()


def test_the_opposite_target_reverses_the_order():
    """Gradient times input is linear in the target, so relevance of -v is that of v, negated."""
    model, v = random_model(3), np.array([1.0, -0.5, 2.0])
    relevance = [
        lrplstm.gradient_x_input(model, BATCH, t, level="token").token_relevance for t in (v, -v)
    ]
    offsets = to_offsets([len(x) for x in BATCH])
    correlation = spearman(*relevance, offsets)
    np.testing.assert_allclose(correlation[np.diff(offsets) > 1], -1)


def test_sequences_of_one_step_agree_on_nothing():
    found = agreement(random_model(3), [x[:1] for x in BATCH])
    assert np.isnan(found.signed).all()
    assert found.to_dict()["signed"][0][0] is None


# Randomization ----------------------------------------------------------------------------------


@pytest.mark.parametrize("head", ["bias", "none", "stack"])
def test_parts_from_the_scores_down(head):
    model = random_model(3, layers=2, head=head, vocabulary=list("abcdef"))
    names = {"bias": ["head"], "none": [], "stack": ["head 3", "head 2", "head 1"]}[head]
    ids = [np.array([0, 3, 2, 5]), np.array([1, 1, 4])]
    found = randomization_test(model, ids, methods="lrp", embedding=True)
    assert list(found.parts) == [*names, "layer 2", "layer 1", "embedding"]
    assert found.signed.shape == (1, len(names) + 3)


def test_layers_of_a_graph_are_called_as_they_are():
    model = random_model(3, layers=2, vocabulary=list("abcdef"))
    low, top = model.layers
    network = [
        LSTM(*low, name="embedding"),
        LSTM(*top, name="top"),
        Pool("last"),
        lrplstm.DenseLayer(model.head_weight, model.head_bias, name="scores"),
    ]
    named = lrplstm.Model(network, embedding=model.embedding)
    ids = [np.array([0, 3, 2, 5]), np.array([1, 1, 4])]
    for embedding in (False, True):
        settings = {"methods": "lrp", "embedding": embedding}
        found = randomization_test(named, ids, **settings)
        assert list(found.parts) == ["scores", "top", "embedding"] + ["embedding"] * embedding
        expected = randomization_test(model, ids, **settings)
        np.testing.assert_array_equal(found.by_sequence, expected.by_sequence)


def test_the_first_part_is_the_same_in_both_modes_and_the_others_are_not():
    model = random_model(3, layers=2)
    one, other = (
        randomization_test(model, BATCH, methods=METHODS, mode=mode)
        for mode in ("cascade", "independent")
    )
    np.testing.assert_array_equal(one.by_sequence[:, 0], other.by_sequence[:, 0])
    assert not np.array_equal(one.signed[:, 1], other.signed[:, 1])


def test_a_seed_says_it_all():
    model = random_model(3)
    one, same, other = (randomization_test(model, BATCH, seed=s, methods="lrp") for s in (5, 5, 6))
    np.testing.assert_array_equal(one.by_sequence, same.by_sequence)
    assert not np.array_equal(one.signed, other.signed)


def constant(array, value):
    return np.full(np.shape(array), value)


def test_weights_that_are_all_the_same_are_replaced_by_themselves():
    """Numbers of the same mean and standard deviation zero: nothing moves."""
    model = random_model(3, vocabulary=list("abcdef"))
    forward, backward = (
        lrplstm.LSTMWeights(
            constant(w.weight_ih, value), constant(w.weight_hh, -value), constant(w.bias, 0.1)
        )
        for w, value in zip(model.layers[0], (0.2, 0.3), strict=True)
    )
    flat = lrplstm.LSTMModel(
        [(forward, backward)], constant(model.head_weight, 0.5), embedding=model.embedding
    )
    found = randomization_test(flat, [np.array([0, 3, 2, 5])], methods="lrp")
    np.testing.assert_allclose(found.signed, 1)


def test_replaced_numbers_have_the_mean_and_deviation_of_the_array():
    rng = np.random.default_rng(0)
    H, D = 40, 30
    lstm = lrplstm.LSTMWeights(
        rng.normal(0.5, 0.2, (4 * H, D)), rng.normal(-1, 0.1, (4 * H, H)), rng.normal(0, 1, 4 * H)
    )
    model = lrplstm.LSTMModel(
        [lstm],
        rng.normal(2, 3, (50, H)),
        pooling="mean",
        class_names=[f"c{c}" for c in range(50)],
        origin={"lstm": "rnn"},
    )
    other = _randomized(model, [0, 1], 0)
    pairs = [(model.head_weight, other.head_weight)]
    pairs += [
        (getattr(lstm, name), getattr(other.layers[0], name)) for name in ("weight_ih", "weight_hh")
    ]
    for before, after in pairs:
        assert not np.array_equal(before, after)
        assert after.mean() == pytest.approx(before.mean(), abs=4 * before.std() / before.size**0.5)
        assert after.std() == pytest.approx(before.std(), rel=0.1)
    np.testing.assert_array_equal(other.layers[0].initial_hidden, lstm.initial_hidden)
    for name in ("pooling", "class_names", "origin", "embedding", "mask_id", "dtype"):
        assert getattr(other, name) == getattr(model, name)


def test_every_part_draws_numbers_of_its_own():
    model = random_model(3, D=8, H=4, layers=2)  # so that both layers have the same shapes
    other = _randomized(model, [1, 2], 0)
    lower, upper = (layer[0].weight_ih.ravel() for layer in other.layers)
    assert lower.shape == upper.shape
    assert abs(np.corrcoef(lower, upper)[0, 1]) < 0.5


def test_the_zero_vector_stays_zero_when_the_embedding_goes():
    model = random_model(3, vocabulary=["<unk>", *"abc"])
    corpus = Corpus.encode(model, [["a", "zqxv", "c"]], "zero")
    other = _randomized(corpus.model, [2], 0)
    assert corpus.data[1] == len(model.embedding)
    np.testing.assert_array_equal(other.embedding[-1], 0)
    assert (other.embedding[:-1] != model.embedding).all()


def test_what_is_explained_stays_the_class_that_was_predicted():
    model = random_model(3)
    predicted = model.predict(BATCH).argmax(axis=1)
    one = randomization_test(model, BATCH, methods="lrp")
    other = randomization_test(model, BATCH, predicted, methods="lrp")
    np.testing.assert_array_equal(one.by_sequence, other.by_sequence)


def test_padding_and_unknown_words_are_left_as_they_are():
    vocabulary = ["<unk>", "<pad>", *"abcdef"]
    plain = random_model(3, vocabulary=vocabulary)
    masked = random_model(3, vocabulary=vocabulary, mask_id=1)
    words = [["a", "zqxv", "c", "d"], ["f", "b", "zqxv"]]
    settings = {"methods": METHODS, "embedding": True, "unknown": "zero"}
    expected = randomization_test(plain, words, **settings)
    padded = [[*tokens, "<pad>", "<pad>"] for tokens in words]
    found = randomization_test(masked, padded, **settings)
    np.testing.assert_array_equal(found.by_sequence, expected.by_sequence)


@pytest.mark.parametrize("settings", [{"C": 1}, {"pooling": "none"}, {"pooling": "max"}], ids=str)
def test_every_kind_of_model(settings):
    model = random_model(3, **settings)
    assert np.isfinite(randomization_test(model, BATCH, methods=METHODS).signed).all()
    assert np.isfinite(agreement(model, BATCH, methods=METHODS).signed).all()


def test_refused():
    model = random_model()
    with refused("mode: expected one of 'cascade', 'independent', got 'up'"):
        randomization_test(model, BATCH, mode="up")
    with refused("embedding: expected False"):
        randomization_test(model, BATCH, embedding=True)
    with refused("embedding: expected False"):  # floats, though the model has an embedding
        randomization_test(random_model(vocabulary=list("abc")), BATCH, embedding=True)
    with refused("seed: expected at least 0, got -1"):
        randomization_test(model, BATCH, seed=-1)
    for measure in (randomization_test, agreement):
        with refused("target: expected one for each sequence, got 'all'"):
            measure(model, BATCH, "all")
        with refused("methods: .* got 'x'"):
            measure(model, BATCH, methods="x")


def test_a_seed_gives_the_numbers_that_it_always_gave():
    found = randomization_test(random_model(3), random_batch(lengths=(9, 8, 7)), 0, methods="lrp")
    np.testing.assert_allclose(
        found.signed, [[0.020634920634920634, 0.05317460317460315]], atol=1e-12
    )
