"""Layers of Keras that make ids of words; Keras 2.15 and TensorFlow write the same files."""

from __future__ import annotations

import keras_models  # noqa: F401 - imports Keras as the tests want it
import numpy as np
import pytest
from keras import Input, Sequential
from keras import layers as L  # noqa: N812
from keras_2_15 import read_words, save_as_keras_2_15
from keras_files import QUIET, in_process, no_advice
from random_models import relative_error

import lrplstm

__all__ = ["in_process", "no_advice"]  # fixtures

pytestmark = QUIET

WORDS = ["fine", "film", "dull", "a", "not"]
V = 12


@pytest.fixture
def network():
    """One that reads ids, before any layer that makes them."""
    embedding = L.Embedding(V, 5, embeddings_initializer="normal")
    return Sequential([Input((None,)), embedding, L.LSTM(4), L.Dense(2)])


def scores(network, ids):
    return network(np.array([ids])).detach().numpy()[0]


@pytest.mark.parametrize(
    ("class_name", "words", "options", "special"),
    [
        ("TextVectorization", ["", "[UNK]", *WORDS], {}, [None, "[UNK]"]),
        ("TextVectorization", None, {"vocabulary": WORDS}, [None, "[UNK]"]),
        ("StringLookup", ["[UNK]", *WORDS], {}, ["[UNK]"]),
        ("StringLookup", None, {"vocabulary": WORDS}, ["[UNK]"]),
        ("StringLookup", None, {"vocabulary": WORDS, "mask_token": ""}, [None, "[UNK]"]),
        (
            "StringLookup",
            None,
            {"vocabulary": WORDS, "mask_token": "<pad>", "oov_token": "<other>"},
            ["<pad>", "<other>"],
        ),
        ("StringLookup", None, {"vocabulary": WORDS, "num_oov_indices": 0}, []),
    ],
)
def test_words_of_a_layer(class_name, words, options, special, network, tmp_path):
    path = tmp_path / "film.keras"
    save_as_keras_2_15(network, path)
    read_words(path, class_name, words, **options)
    model = lrplstm.from_keras(path)
    known = [*special, *WORDS]
    assert model.vocabulary == (*known, *[None] * (V - len(known)))
    text = ["not", "a", "dull", "film"]
    ids = [known.index(word) for word in text]
    assert relative_error(model.predict(text), scores(network, ids)) < 1e-5
    assert model.unknown_token == ("[UNK]" if "[UNK]" in known else None)
    if model.unknown_token:
        ids[2] = known.index("[UNK]")
        unknown = model.predict(["not", "a", "grand", "film"])
        assert relative_error(unknown, scores(network, ids)) < 1e-5


@pytest.mark.parametrize("masked", [True, False])
def test_texts_of_one_length(masked, network, tmp_path):
    """They are padded with zeros, which the layers behind read unless they are told not to."""
    network.layers[0].mask_zero = masked
    network.layers[0].supports_masking = masked
    path = tmp_path / "film.keras"
    save_as_keras_2_15(network, path)
    read_words(path, "TextVectorization", ["", "[UNK]", *WORDS], output_sequence_length=7)
    if masked:
        assert lrplstm.from_keras(path).mask_id == 0
        return
    match = "makes 7 ids of every text, with 0 behind .* pass as many ids"
    with pytest.warns(UserWarning, match=match) as caught:
        model = lrplstm.from_keras(path)
    assert caught[0].filename == __file__
    ids = [6, 5, 4, 3, 0, 0, 0]
    assert relative_error(model.predict(ids), scores(network, ids)) < 1e-5


@pytest.mark.parametrize(
    ("class_name", "options", "match"),
    [
        ("StringLookup", {"num_oov_indices": 2}, "one id at most for words that it lacks, got 2"),
        ("StringLookup", {"invert": True}, "expected invert=False"),
        ("StringLookup", {"output_mode": "multi_hot"}, "output_mode 'int', got 'multi_hot'"),
        ("TextVectorization", {"ngrams": [2]}, "expected words by themselves, got ngrams"),
        ("TextVectorization", {"vocabulary": None}, "expected its words in the file, found none"),
        ("TextVectorization", {"vocabulary": [3]}, "expected words as its vocabulary"),
    ],
)
def test_refused(class_name, options, match, network, tmp_path):
    path = tmp_path / "film.keras"
    save_as_keras_2_15(network, path)
    read_words(path, class_name, **{"vocabulary": WORDS} | options)
    with pytest.raises(ValueError, match=match):
        lrplstm.from_keras(path)
