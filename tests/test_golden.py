"""Values computed with the 2017 reference code on random weights (tests/golden)."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from random_models import relative_error

import lrplstm

GOLDEN = Path(__file__).parent / "golden"
NAMES = ("tiny", "one_step", "wide")
BACKENDS = ("kernel", "reference")

pytestmark = [
    pytest.mark.parametrize("name", NAMES),
    pytest.mark.parametrize("backend", BACKENDS),
]


def load(name):
    with np.load(GOLDEN / f"{name}.npz") as file:
        arrays = dict(file)
    weights = {key: arrays[key] for key in arrays if key.startswith(("W", "b"))}
    return lrplstm.from_arras(weights), arrays


def test_scores(name, backend):
    model, golden = load(name)
    assert relative_error(model.predict(golden["x"], backend=backend), golden["scores"]) < 1e-13


def test_every_lrp_value(name, backend):
    model, golden = load(name)
    pattern = re.compile(r"lrp_v(1\.0\+?)_t(\d+)_eps([\d.e-]+)_bias([\d.]+)_left")
    found = [match for match in map(pattern.fullmatch, golden) if match]
    assert len(found) >= 8
    for match in found:
        version, target, epsilon, bias_factor = match.groups()
        left = match.group()
        attribution = lrplstm.lrp(
            model,
            golden["x"],
            int(target),
            epsilon=float(epsilon),
            bias_factor=float(bias_factor),
            epsilon_factor=1.0 if version == "1.0" else None,
            backend=backend,
        )
        relevance = golden[left] + golden[left.replace("left", "right")]
        assert relative_error(attribution.input_relevance, relevance) < 1e-11, left
        assert relative_error(attribution.token_relevance, relevance.sum(axis=1)) < 1e-10, left
        rest = golden[left.replace("left", "rest")]
        assert attribution.initial_relevance == pytest.approx(
            float(rest), rel=1e-11, abs=1e-12 * np.abs(relevance).max()
        ), left


def test_every_gradient(name, backend):
    model, golden = load(name)
    targets = [c for c in range(model.num_classes) if f"grad_t{c}_left" in golden]
    assert len(targets) >= 2
    for target in targets:
        gradient = golden[f"grad_t{target}_left"] + golden[f"grad_t{target}_right"]
        squares = lrplstm.sensitivity(model, golden["x"], target, backend=backend)
        assert relative_error(squares.input_relevance, gradient**2) < 1e-12
        products = lrplstm.gradient_x_input(model, golden["x"], target, backend=backend)
        assert relative_error(products.input_relevance, gradient * golden["x"]) < 1e-12
