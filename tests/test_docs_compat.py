"""The Python of docs/compat.md runs, and does what the page says."""

from __future__ import annotations

import numpy as np
import pytest
from doc_pages import Page

import lrplstm
from lrplstm.compat import LSTM_bidi

PAGE = Page("docs/compat.md")


@pytest.fixture
def names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return PAGE.run(tmp_path)


def test_the_example(names):
    assert len(PAGE.blocks) == 2
    model, words = names["model"], names["words"]
    a = lrplstm.lrp(model, words, 0, level="input")
    np.testing.assert_allclose(names["R_words"], a.token_relevance, rtol=1e-12)
    np.testing.assert_allclose(names["scores"], a.scores, rtol=1e-12)
    squares = lrplstm.sensitivity(model, words, 0).token_relevance
    np.testing.assert_allclose(names["G_words"], squares, rtol=1e-12)
    x = model.embedding[names["w_indices"]]
    x[1] = 0
    assert names["drop"] == pytest.approx(a.scores[0] - model.predict(x)[0], rel=1e-9)
    assert names["html"].count("<span ") == len(words)
    assert [line.split()[1] for line in names["printed"]] == words


def test_the_table(names):
    """Both columns give the same."""
    net, words, w, c = LSTM_bidi("./model/"), names["words"], names["w_indices"], 3
    model = lrplstm.from_arras("model")
    assert net.voc == list(model.vocabulary)
    net.set_input(w)
    np.testing.assert_allclose(model.predict(words), net.forward(), rtol=1e-12)
    Rx, Rx_rev, R_rest = net.lrp(w, c, 0.01, 0.5)
    options = {"epsilon": 0.01, "bias_factor": 0.5}
    a = lrplstm.lrp(model, words, c, **options, level="input")
    np.testing.assert_allclose(a.input_relevance, Rx + Rx_rev, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(a.token_relevance, np.sum(Rx + Rx_rev, axis=1), rtol=1e-9)
    assert a.initial_relevance == pytest.approx(R_rest, rel=1e-9)
    products = sum(net.backward(w, c)) * net.x
    found = lrplstm.gradient_x_input(model, words, c).token_relevance
    np.testing.assert_allclose(found, products.sum(axis=1), rtol=1e-9)
    every = lrplstm.lrp(model, words, "all", **options).token_relevance
    np.testing.assert_allclose(every[c], a.token_relevance, rtol=1e-12)


def test_what_it_names_exists():
    PAGE.check_references()
