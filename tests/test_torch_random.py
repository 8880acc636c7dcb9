"""Random networks of PyTorch: scores, gradients, conservation, and the same bits in any batch."""

from __future__ import annotations

import os
import warnings

import numpy as np
import pytest
import torch
from random_models import relative_error
from random_modules import random_module

import lrplstm

SEEDS = int(os.environ.get("LRPLSTM_RANDOM_MODULES", "40"))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_scores_gradients_and_conservation(seed):
    network = random_module(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = lrplstm.from_torch(network)
    x = torch.randn(3, 7, network.input_size, dtype=torch.float64, requires_grad=True)
    rows = list(x.detach().numpy())
    scores = network(x)
    predicted = model.predict(rows)
    assert relative_error(np.array(predicted), scores.detach().numpy()) < 1e-11
    each_step = scores.ndim == 3
    target = (-1, 0) if each_step else 0
    chosen = scores[:, -1, 0] if each_step else scores[:, 0]
    (gradient,) = torch.autograd.grad(chosen.sum(), x)
    gi = lrplstm.gradient_x_input(model, rows, target=target)
    expected = (gradient * x).detach().numpy()
    found = np.array([one.input_relevance for one in gi])
    assert np.abs(found - expected).max() <= 1e-9 * np.abs(expected).max()
    together = lrplstm.lrp(model, rows, target=target, bias_factor=1.0)
    for b, one in enumerate(together):
        started = scores[b, -1, 0] if each_step else scores[b, 0]
        assert abs(one.delta) < 1e-9 * max(1, abs(started.item()))
        alone = lrplstm.lrp(model, rows[b], target=target, bias_factor=1.0)
        np.testing.assert_array_equal(one.input_relevance, alone.input_relevance)
