"""Representative words and relevance by position against plain loops."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from loader_fixtures import refused
from random_models import random_batch, random_model

import lrplstm
from lrplstm.evaluation import relevance_by_position, representative_words

VOCABULARY = ["<unk>", "<pad>", *"abcdefgh"]
SENTENCES = [
    ["a", "b", "a", "zqxv", "c"],
    ["d"],
    ["h", "c", "<unk>", "b", "b", "a"],
    ["e", "a"],
]


def word_model(**settings):
    return random_model(3, vocabulary=VOCABULARY, **settings)


def relevance_of_words(model, sentences, target, method="lrp"):
    """All relevances of each word that the vocabulary has."""
    found = defaultdict(list)
    for tokens in sentences:
        a = lrplstm.explain(model, tokens, method, target)
        for token, relevance, unknown in zip(
            tokens, a.token_relevance.tolist(), a.unknown, strict=True
        ):
            if not unknown:
                found[token].append(relevance)
    return found


@pytest.mark.parametrize("by", ["extreme", "mean"])
@pytest.mark.parametrize("method", ["lrp", "gi"])
def test_words_are_those_of_plain_loops(by, method):
    model = word_model()
    found = representative_words(model, SENTENCES, n=4, by=by, method=method)
    assert found.classes == ("0", "1", "2")
    for c in range(3):
        relevance = relevance_of_words(model, SENTENCES, c, method)
        highest = {w: np.mean(r) if by == "mean" else max(r) for w, r in relevance.items()}
        lowest = {w: np.mean(r) if by == "mean" else min(r) for w, r in relevance.items()}
        most = sorted(highest, key=highest.get, reverse=True)[:4]
        least = sorted(lowest, key=lowest.get)[:4]
        assert found.most[c].tolist() == most
        assert found.least[c].tolist() == least
        np.testing.assert_allclose(found.most_relevance[c], [highest[w] for w in most], rtol=1e-12)
        np.testing.assert_allclose(found.least_relevance[c], [lowest[w] for w in least], rtol=1e-12)
        assert found.most_count[c].tolist() == [len(relevance[w]) for w in most]
        assert found.least_count[c].tolist() == [len(relevance[w]) for w in least]


def test_one_class_is_one_row_of_all():
    model = word_model(class_names=["low", "middle", "high"])
    every = representative_words(model, SENTENCES, n=3)
    assert every.classes == ("low", "middle", "high")
    one = representative_words(model, SENTENCES, 1, n=3)
    assert one.classes == ("middle",)
    np.testing.assert_array_equal(one.most, every.most[1:2])
    np.testing.assert_array_equal(one.least_relevance, every.least_relevance[1:2])


def test_weights_ask_for_a_difference():
    found = representative_words(word_model(), SENTENCES, [1.0, 0.0, -1.0], n=2, method="gi")
    relevance = relevance_of_words(word_model(), SENTENCES, [1.0, 0.0, -1.0], "gi")
    assert found.classes == ("target",)
    assert found.most[0, 0] == max(relevance, key=lambda word: max(relevance[word]))


def test_rare_and_unknown_words_are_left_out():
    found = representative_words(word_model(), SENTENCES, n=10, min_count=2)
    for row in (*found.most, *found.least):
        assert set(row) == {"a", "b", "c"}
    for unknown in ("unk", "zero"):
        found = representative_words(word_model(), SENTENCES, n=10, unknown=unknown)
        assert set(found.most.flat) == set("abcdeh")


def test_order_of_sentences_does_not_matter():
    model = word_model()
    one = representative_words(model, SENTENCES, by="mean")
    other = representative_words(model, SENTENCES[::-1], by="mean")
    np.testing.assert_array_equal(one.most, other.most)
    np.testing.assert_allclose(one.most_relevance, other.most_relevance, rtol=1e-12)


def test_ids_without_vocabulary_are_words_of_their_own():
    model = word_model()
    bare = lrplstm.LSTMModel(model.layers, head=model.head, embedding=model.embedding, mask_id=1)
    ids = [np.array([2, 3, 1, 2]), np.array([7, 1])]
    found = representative_words(bare, ids, 0)
    assert sorted(found.most[0]) == ["2", "3", "7"]  # 1 is padding


def test_words_refused():
    model = word_model()
    with refused("inputs: expected tokens or ids, got floats"):
        representative_words(model, random_batch())
    with refused(r"min_count: expected words that occur 5 time\(s\), found none"):
        representative_words(model, SENTENCES, min_count=5)
    with refused(r"min_count: .* found none"):
        representative_words(model, [["zqxv"]])
    with refused("n: expected at least 1, got 0"):
        representative_words(model, SENTENCES, n=0)
    with refused("by: expected one of 'extreme', 'mean', got 'median'"):
        representative_words(model, SENTENCES, by="median")
    with refused("method: .* got 'x'"):
        representative_words(model, SENTENCES, method="x")
    with refused("target: expected classes from 0 to 2, got 3"):
        representative_words(model, SENTENCES, 3)


# Positions --------------------------------------------------------------------------------------

METHODS = ["lrp", "sensitivity", "gradient_x_input"]
BATCH = random_batch(lengths=(3, 1, 7, 2, 10))


@pytest.mark.parametrize("bins", [1, 4, 10, 60])
def test_positions_are_those_of_plain_loops(bins):
    model = random_model(3)
    found = relevance_by_position(model, BATCH, 2, methods=METHODS, bins=bins)
    np.testing.assert_allclose(found.edges, np.arange(bins + 1) / bins)
    for m, method in enumerate(METHODS):
        signed, strength = defaultdict(list), defaultdict(list)
        for x in BATCH:
            relevance = lrplstm.explain(model, x, method, 2, level="token").token_relevance
            for t, r in enumerate(relevance):
                place = min(int(bins * (t + 0.5) / len(x) + 1e-9), bins - 1)
                signed[place].append(r)
                strength[place].append(abs(r) / np.abs(relevance).mean())
        for p in range(bins):
            assert found.counts[p] == len(signed[p])
            expected = [np.mean(v[p]) if v[p] else np.nan for v in (signed, strength)]
            np.testing.assert_allclose([found.mean[m, p], found.strength[m, p]], expected)


def test_a_step_has_strength_one_on_average():
    found = relevance_by_position(random_model(3), BATCH, methods=METHODS, bins=4)
    mean = (found.strength * found.counts).sum(axis=1) / found.counts.sum()
    np.testing.assert_allclose(mean, 1)


def test_a_model_that_reads_backwards_sees_the_mirror_image():
    model = random_model(3, bidirectional=False)
    (forward,) = model.layers
    backward = lrplstm.LSTMWeights(**forward.arrays(), reverse=True)
    mirrored = lrplstm.LSTMModel([backward], head=model.head)
    one = relevance_by_position(model, BATCH, methods=METHODS, bins=5)
    other = relevance_by_position(mirrored, [x[::-1] for x in BATCH], methods=METHODS, bins=5)
    np.testing.assert_allclose(other.mean, one.mean[:, ::-1], rtol=1e-10)
    np.testing.assert_allclose(other.strength, one.strength[:, ::-1], rtol=1e-10)


def test_sequences_without_relevance_have_no_strength():
    nothing = [np.zeros((4, 5))]
    found = relevance_by_position(random_model(3), nothing, methods="gi", bins=2)
    np.testing.assert_array_equal(found.mean, 0)
    assert np.isnan(found.strength).all()
    assert found.to_dict()["strength"] == [[None, None]]


def test_positions_refused():
    with refused("bins: expected at least 1, got 0"):
        relevance_by_position(random_model(), BATCH, bins=0)
    with refused("target: expected one for each sequence, got 'all'"):
        relevance_by_position(random_model(), BATCH, "all")
