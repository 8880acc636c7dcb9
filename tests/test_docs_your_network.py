"""The networks of docs/your-network.md are read, and models have the scores of the networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from doc_pages import Page
from random_models import relative_error

import lrplstm

PAGE = Page("docs/your-network.md")


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    return PAGE.run(folder) | {"folder": folder}


def test_there_are_twelve():
    assert PAGE.text.count("\n## ") == 12 + 1


def test_what_it_prints(names):
    sizes, advice = names["printed"]
    assert sizes == "{'first': (6,), 'second': (4,)}"
    assert "head=['fc1', 'fc2'], activations=['relu']" in advice


@pytest.mark.parametrize("name", ["network", "days"])
def test_keras(names, name):
    network, model = names[name], names["sequential" if name == "network" else "week"]
    x = names["series"][None]
    model.verify(lambda rows: np.asarray(network(np.stack(rows)).detach().cpu()), x)


def test_weights_alone(names):
    network, x = names["Forecast"]().eval(), names["series"]
    network.load_state_dict(torch.load(names["folder"] / "forecast.pt", weights_only=True))
    expected = network(torch.from_numpy(x[None]))[0].detach().numpy()
    assert relative_error(names["again"].predict(x), expected) < 1e-5


@pytest.mark.parametrize(
    "name", ["forecast", "activity", "sentiment", "cells", "attentive", "sequential"]
)
def test_conservation(names, name):
    inputs = names["ids"] if name == "sentiment" else names["series"]
    model = names[name].astype(np.float64)
    a = lrplstm.lrp(model, inputs, target=0, bias_factor=1.0)
    assert abs(a.delta) < 1e-9


def test_what_it_names_exists():
    PAGE.check_references()
