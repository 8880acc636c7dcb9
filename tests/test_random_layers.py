"""Networks of any layers: gradients by differences, conserved relevance, the same bits."""

from __future__ import annotations

import os

import numpy as np
import pytest
from random_layers import SHORTEST, random_network
from random_models import random_batch

import lrplstm

SEEDS = int(os.environ.get("LRPLSTM_RANDOM_LAYERS", "40"))
C = 3


def batch_for(seed):
    lengths = SHORTEST + np.random.default_rng(seed).integers(0, 6, 4)
    return random_batch(seed, D=3, lengths=lengths)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_random_network(seed, tmp_path):
    model, _ = random_network(seed)
    batch, rng = batch_for(seed), np.random.default_rng(seed)
    x, v = batch[0], rng.normal(size=C)

    # Gradients, by how the score changes in some directions.
    gradient = lrplstm.gradient_x_input(model, x, v).input_relevance / x
    for _ in range(2):
        moved = rng.normal(size=x.shape)
        scores = [model.predict(x + step * moved) @ v for step in (1e-6, -1e-6)]
        change = (scores[0] - scores[1]) / 2e-6
        assert (gradient * moved).sum() == pytest.approx(change, rel=1e-5, abs=1e-7)

    # Relevance, all of it, and both backends.
    for product_rule in ("all", "half"):
        options = {"bias_factor": 1.0, "epsilon": 0.1, "product_rule": product_rule}
        found = lrplstm.lrp(model, batch, "all", **options)
        assert np.abs(found.delta).max() < 1e-9 * max(1, np.abs(found.input_relevance).max())
        literally = lrplstm.lrp(model, batch, "all", backend="reference", **options)
        scale = max(1e-3, np.abs(found.input_relevance).max())
        difference = literally.input_relevance - found.input_relevance
        assert np.abs(difference).max() < 1e-8 * scale

    # The same bits in any batch and number of threads, and from a file.
    model.save(tmp_path)
    again = lrplstm.load(tmp_path)
    whole = lrplstm.lrp(model, batch, "all", num_threads=2)
    for b, one in enumerate(batch):
        alone = lrplstm.lrp(again, one, "all", num_threads=1)
        np.testing.assert_array_equal(alone.input_relevance, whole[b].input_relevance)


def test_random_networks_have_all_kinds_of_layers():
    kinds = set().union(*(random_network(seed)[1] for seed in range(60)))
    assert kinds >= {
        "activation", "add", "additive_attention", "affine", "average", "concatenate",
        "convolution", "dense", "dot_product_attention", "gru", "layer_normalization", "lstm",
        "multiply", "pool", "reverse", "rms_normalization", "rnn", "softmax", "step", "steps",
        "units", "weighted_sum", "window_pool",
    }  # fmt: skip
