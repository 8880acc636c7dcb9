"""The model that ships: what it is, how good it is, and what its explanations look like."""

from __future__ import annotations

import numpy as np
import pytest
from loader_fixtures import needs_treebank, treebank_file, treebank_sentences
from random_models import ONE_WAY_BACK, QUICK

import lrplstm


def treebank(part):
    """Sentences and labels of a part."""
    labels, sentences = zip(*treebank_sentences(part), strict=True)
    return list(sentences), np.array(labels)


def accuracies(scores, labels):
    """Five-class accuracy, and binary accuracy without the neutral sentences."""
    exact = (scores.argmax(axis=1) == labels).mean()
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    positive = p[:, 3] + p[:, 4] > p[:, 0] + p[:, 1]
    polar = labels != 2
    return exact, (positive == (labels > 2))[polar].mean()


def test_what_it_is():
    model = lrplstm.load_default()
    assert (model.input_size, model.hidden_size, model.num_layers) == (60, 60, 1)
    assert model.bidirectional
    assert model.num_classes == 5
    assert model.head_bias is None
    assert model.dtype == np.float32
    assert len(model.vocabulary) == len(model.embedding) == 8217
    assert model.unknown_token == "<unk>"
    assert model.tokenizer == "treebank"
    assert model.class_names[0] == "very negative"
    assert model.class_names[4] == "very positive"
    assert lrplstm.load_default() is model


def test_its_unknown_token_was_trained():
    """Its vector is neither zero nor lost among the others, and a rare word reads as neutral."""
    model = lrplstm.load_default()
    unknown = model.embedding[model.vocabulary.index("<unk>")]
    lengths = np.linalg.norm(model.embedding, axis=1)
    assert 0 < np.linalg.norm(unknown) < np.quantile(lengths, 0.9)
    assert model.predict(["zqxv"]).argmax() == 2


@needs_treebank
def test_accuracy_on_the_test_sentences():
    sentences, labels = treebank("test")
    assert len(labels) == 2210
    scores = lrplstm.load_default().predict(sentences)
    exact, binary = accuracies(scores, labels)
    assert exact >= 0.47
    assert binary >= 0.855


@needs_treebank
def test_share_of_unknown_words():
    sentences, _ = treebank("test")
    found = lrplstm.lrp(lrplstm.load_default(), sentences)
    assert len(found.unknown) == 42405
    assert found.unknown.sum() == 3574


@needs_treebank
def test_the_2017_weights_load_and_explain():
    """Their embeddings are not available: others, of the right shape, stand in."""
    folder = treebank_file("arras_model")
    embedding = np.random.default_rng(0).normal(0, 0.3, (19538, 60))
    model = lrplstm.from_arras(folder, embedding=embedding)
    assert (model.input_size, model.hidden_size, model.num_classes) == (60, 60, 5)
    assert model.dtype == np.float64
    tokens = "neither charming nor exciting .".split()
    a, b = (
        lrplstm.lrp(model, tokens, "all", bias_factor=1.0, backend=backend)
        for backend in ("kernel", "reference")
    )
    np.testing.assert_allclose(a.token_relevance, b.token_relevance, rtol=1e-9, atol=1e-12)
    assert np.abs(a.delta).max() < 1e-10
    with pytest.raises(ValueError, match="embedding="):
        lrplstm.from_arras(folder)


@needs_treebank
@pytest.mark.parametrize("method", lrplstm.METHODS)
def test_kernels_agree_with_the_reference_on_real_sentences(method):
    sentences, _ = treebank("dev")
    model = lrplstm.load_default()
    # Where many passes are made of each sentence, few sentences are enough for the reference.
    some = sentences[: 60 if method in ONE_WAY_BACK else 5]
    for m, bound in ((model, 2e-4), (model.astype(np.float64), 1e-11)):
        kernel, reference = (
            lrplstm.explain(m, some, method, backend=backend, **QUICK.get(method, {}))
            for backend in ("kernel", "reference")
        )
        for a, b in zip(kernel, reference, strict=True):
            error = np.abs(a.token_relevance - b.token_relevance).max()
            assert error <= bound * np.abs(b.token_relevance).max()


def test_negation_is_seen():
    """LRP finds what turns the sentence: the words of negation speak for "very negative"."""
    model = lrplstm.load_default()
    tokens = "neither charming nor exciting nor remotely well-lit .".split()
    a = lrplstm.lrp(model, tokens)
    assert a.predicted in (0, 1)
    relevance = dict(zip(a.tokens, a.token_relevance, strict=True))
    assert relevance["neither"] > 0
    assert relevance["neither"] > relevance["charming"]


def test_sample_sentences():
    samples = lrplstm.sample_sentences()
    assert len(samples) >= 200
    labels = np.array([s.target for s in samples])
    assert set(labels) == {0, 1, 2, 3, 4}
    assert {len(s.tokens) for s in samples} >= {1, 2, 30}
    assert len({s.tokens for s in samples}) == len(samples)
    exact, binary = accuracies(lrplstm.load_default().predict([s.tokens for s in samples]), labels)
    assert exact > 0.4
    assert binary > 0.75
