"""The Python of docs/loaders/torch.md runs, and does what the page says."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from doc_pages import Page
from random_models import relative_error

import lrplstm

PAGE = Page("docs/loaders/torch.md")


@pytest.fixture
def names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.warns(UserWarning, match="is passed over, as forward does behind a sequence"):
        return PAGE.run(tmp_path)


def test_the_example(names):
    model, ids = names["model"], names["ids"]
    assert names["printed"][0].endswith("made from lstm 'lstm', head 'fc', embedding 'embed')")
    assert [line.split()[0] for line in names["printed"][1:5]] == "a not dull film".split()
    assert names["printed"][5] == "LSTMModel"  # of a cell that is written out
    assert "Model(" in names["printed"][6]
    assert "pooling='mean' agrees" in names["printed"][7]
    np.testing.assert_array_equal(names["same"].predict(ids), model.predict(ids))
    loaded = lrplstm.load("classifier")
    assert loaded.vocabulary == tuple(names["words"])
    np.testing.assert_array_equal(loaded.predict(ids), model.predict(ids))


def test_parts_that_are_named(names):
    (comment,) = re.findall(r"print\(dict\(tagger.origin\)\)\n# (.*)", PAGE.text)
    assert names["printed"][8:10] == ["0", comment]
    assert names["tagger"].pooling == "none"
    x = np.random.default_rng(0).normal(size=(5, 6)).astype("f4")
    deep = names["deep"].eval()
    _, (hidden, _) = deep["lstm"](torch.from_numpy(x))
    expected = deep["head"][:-1](hidden[-1]).detach().numpy()
    for model in (names["one"], names["other"]):
        assert relative_error(model.predict(x), expected) < 1e-5


def test_a_linear_layer_after_the_embedding(names):
    nn, words = torch.nn, names["words"]

    class Projected(names["Classifier"]):
        def __init__(self):
            super().__init__(len(words), width=6, hidden=8, classes=3)
            self.embed = nn.Embedding(len(words), 20)
            self.project = nn.Linear(20, 6)

        def forward(self, ids):
            _, (h_n, _) = self.lstm(self.project(self.embed(ids)))
            return self.fc(torch.cat([h_n[-2], h_n[-1]], dim=1))

    network = Projected().eval()
    (code,) = re.findall(r"`embedding=(.*?)`, and the bias added", PAGE.text)
    table = eval(code, {"network": network}) + network.project.bias
    model = lrplstm.from_torch(network, head="fc", embedding=table, pooling="last")
    expected = network(torch.tensor([[2, 5, 1]]))[0].detach().numpy()
    assert relative_error(model.predict([2, 5, 1]), expected) < 1e-5


POOLINGS = {
    "last": ["torch.cat([h_n[-2], h_n[-1]], dim=1)"],
    "mean": ["output.mean(dim=1)"],
    "max": ["output.max(dim=1).values"],
    "none": ["output[:, -1]", "self.fc(output)"],
}


@pytest.mark.parametrize("pooling", POOLINGS)
def test_the_table_of_poolings(names, pooling):
    rows = [line.split("|") for line in PAGE.text.splitlines() if line.count("|") == 3]
    network, ids = names["network"], names["ids"]
    model = lrplstm.from_torch(network, pooling=pooling, check=False)
    output, (h_n, _) = network.lstm(network.embed(torch.tensor([ids])))
    for code in POOLINGS[pooling]:
        (says,) = [
            row[2] for row in rows if f"`{code}`" in row[1] and "**one** direction" not in row[1]
        ]
        assert f'`"{pooling}"`' in says
        value = eval(code, {"torch": torch, "output": output, "h_n": h_n, "self": network})[0]
        scores = model.predict(ids)
        if code == "output[:, -1]":
            scores = scores[-1]
        expected = value if "fc" in code else network.fc(value)
        assert relative_error(scores, expected.detach().numpy()) < 1e-5


def test_the_last_step_of_two_directions(names):
    ids, network, a, b = (names[name] for name in ("ids", "last_step", "a", "b"))
    expected = network(torch.tensor([ids]))[0].detach().numpy()
    assert relative_error(a.scores, expected) < 1e-5
    assert relative_error(b.scores[-1], expected) < 1e-5
    assert b.target == (len(ids) - 1, 2)
    np.testing.assert_allclose(a.token_relevance, b.token_relevance, rtol=1e-4)


def test_a_forward_of_its_own(names):
    ids, network = names["ids"], names["both"].eval()
    model = lrplstm.from_torch(network)
    expected = network(torch.tensor([ids]))[0].detach().numpy()
    assert relative_error(model.predict(ids), expected) < 1e-5


def test_what_it_names_exists():
    PAGE.check_references()
