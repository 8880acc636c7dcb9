"""LRP's rules for products of a gate and a signal, on both backends."""

from __future__ import annotations

import re

import literal
import numpy as np
import pytest
from random_models import random_batch, random_model, relative_error

import lrplstm
import lrplstm.evaluation
from lrplstm.rules import PRODUCT_RULES, EpsilonRule

BACKENDS = ["kernel", "reference"]
SHARED = [name for name in PRODUCT_RULES if name != "all"]

backends = pytest.mark.parametrize("backend", BACKENDS)
# "prop" does so in a few steps.
grows = pytest.mark.filterwarnings("ignore:inputs.*relevance grew:RuntimeWarning")
rules = pytest.mark.parametrize("product_rule", PRODUCT_RULES)

MODELS = {
    "two directions": {},
    "one direction": {"bidirectional": False, "H": 37, "D": 9},
    "two layers": {"layers": 2, "pooling": "mean"},
    "no rest of vectors": {"H": 64, "pooling": "max"},
    "one unit": {"H": 1, "D": 1, "C": 1, "bidirectional": False},
    "a step's scores": {"pooling": "none", "head": "stack"},
}
FACTORS = [
    {"epsilon": 0.01, "bias_factor": 0.0, "epsilon_factor": 0.0},
    {"epsilon": 0.01, "bias_factor": 1.0, "epsilon_factor": 1.0},
    {"epsilon": 0.1, "bias_factor": 0.3, "epsilon_factor": 0.7},
]


@grows
@rules
@backends
@pytest.mark.parametrize("options", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("factors", FACTORS, ids=["none", "conserving", "some"])
def test_against_messages_unit_by_unit(product_rule, backend, options, factors):
    model = random_model(29, **options)
    x = random_batch(D=model.input_size, lengths=(5,))[0]
    target = model.num_classes - 1
    v = np.eye(model.num_classes)[target]
    expected, rest, _ = literal.lrp(model, x, v, share=literal.SHARES[product_rule], **factors)
    options = {"product_rule": product_rule, "backend": backend, **factors}
    a = lrplstm.lrp(model, x, target, **options)
    assert relative_error(a.input_relevance, expected) < 1e-9
    assert a.initial_relevance == pytest.approx(rest, rel=1e-8, abs=1e-9 * abs(expected).max())
    by_token = lrplstm.lrp(model, x, target, level="token", **options)
    scale = np.abs(expected).sum()
    np.testing.assert_allclose(
        by_token.token_relevance, expected.sum(axis=1), rtol=0, atol=1e-10 * scale
    )
    assert (a.params["product_rule"], a.method) == (product_rule, "lrp")


@grows
@rules
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_kernels_agree_with_the_reference_on_batches(product_rule, dtype):
    model = random_model(31, H=20, layers=2, dtype=dtype)
    batch = random_batch(lengths=(7, 1, 12, 3, 3, 9), dtype=dtype)
    options = {"product_rule": product_rule, "epsilon": 0.05, "bias_factor": 0.5}
    found, expected = (
        lrplstm.lrp(model, batch, "all", backend=backend, **options) for backend in BACKENDS
    )
    bound = 1e-10 if dtype == np.float64 else 2e-3
    assert relative_error(found.input_relevance, expected.input_relevance) < bound
    assert relative_error(found.initial_relevance, expected.initial_relevance) < bound
    # The same bits whatever the batch, and for a class by itself.
    alone = lrplstm.lrp(model, batch[2], 1, **options)
    assert np.array_equal(alone.input_relevance, found[2].input_relevance[1])


@rules
@backends
def test_from_hidden_relevance(product_rule, backend):
    model = random_model(37, layers=2)
    x = random_batch(lengths=(6,))[0]
    R = np.random.default_rng(5).normal(size=(6, model.width))
    factors = FACTORS[2]
    expected, rest, _ = literal.lrp(
        model, x, hidden_relevance=R, share=literal.SHARES[product_rule], **factors
    )
    a = lrplstm.lrp(
        model, x, hidden_relevance=R, product_rule=product_rule, backend=backend, **factors
    )
    assert relative_error(a.input_relevance, expected) < 1e-9
    assert a.initial_relevance == pytest.approx(rest, rel=1e-8)


# Conservation -----------------------------------------------------------------------------------


@backends
@pytest.mark.parametrize("product_rule", ["all", "half"])
@pytest.mark.parametrize("options", MODELS.values(), ids=MODELS)
def test_all_and_half_conserve_relevance(product_rule, backend, options):
    model = random_model(29, **options)
    batch = random_batch(D=model.input_size, lengths=(5, 2, 8))
    found = lrplstm.lrp(
        model, batch, 0, bias_factor=1.0, product_rule=product_rule, backend=backend, epsilon=0.01
    )
    scale = [np.abs(a.input_relevance).sum() + abs(a.scores).sum() for a in found]
    assert (np.abs(found.delta) < 1e-12 * np.array(scale)).all()


@pytest.mark.parametrize("product_rule", ["prop", "abs"])
def test_what_the_others_lose_falls_with_epsilon(product_rule):
    """They keep what the stabilizers of their products take, which is in the order of epsilon."""
    model = random_model(29, bidirectional=False)
    x = np.abs(random_batch(lengths=(3,))[0])
    kept = [
        abs(lrplstm.lrp(model, x, 0, epsilon=e, bias_factor=1.0, product_rule=product_rule).delta)
        for e in (1e-3, 1e-5, 1e-7)
    ]
    assert kept[0] > 10 * kept[1] > 100 * kept[2] > 0


def test_shares_of_a_product():
    rule = EpsilonRule(0.25)
    gate, signal, R = np.array([0.5, 0.5]), np.array([0.25, -1.25]), np.array([2.0, 6.0])

    def shares(name):
        return [np.broadcast_to(share, 2) for share in PRODUCT_RULES[name](rule, gate, signal, R)]

    np.testing.assert_allclose(shares("all"), [[0, 0], [2, 6]])
    np.testing.assert_allclose(shares("half"), [[1, 3], [1, 3]])
    np.testing.assert_allclose(shares("prop"), [[1, -3], [0.5, 7.5]])
    np.testing.assert_allclose(shares("abs"), [[1, 1.5], [0.5, 3.75]])


# Limits -----------------------------------------------------------------------------------------


@rules
@backends
def test_limits(product_rule, backend):
    options = {"product_rule": product_rule, "backend": backend}
    x = random_batch(lengths=(4,))[0]
    # A stabilizer much larger than all it stabilizes lets nothing through.
    a = lrplstm.lrp(random_model(29), x, 0, epsilon=1e9, **options)
    assert np.abs(a.input_relevance).max() < 1e-7
    # Zeros in, and no stabilizer: a unit that is zero passes nothing on.
    zeros = random_model(29, biases=False, initial=False)
    a = lrplstm.lrp(zeros, 0 * x, 0, epsilon=0.0, **options)
    assert (a.input_relevance == 0).all()
    # Padding on the left, where there are no biases.
    padded = lrplstm.lrp(zeros, np.concatenate([0 * x, x]), 0, epsilon=0.0, **options)
    assert np.isfinite(padded.input_relevance).all()
    assert (padded.input_relevance[:4] == 0).all()
    # Gates that are 0 or 1 to rounding.
    saturated = lrplstm.lrp(random_model(29), 1e4 * x, 0, **options)
    assert np.isfinite(saturated.input_relevance).all()


# Growth -----------------------------------------------------------------------------------------


def explosive(dtype):
    """A model with weights of standard deviation 1, and 400 steps."""
    rng = np.random.default_rng(3)
    weights = lrplstm.LSTMWeights(
        *(rng.normal(size=s).astype(dtype) for s in [(80, 5), (80, 20), (80,)])
    )
    model = lrplstm.LSTMModel([weights], rng.normal(size=(3, 20)).astype(dtype))
    return model, rng.normal(size=(400, 5)).astype(dtype)


@backends
@pytest.mark.parametrize("factor", [0.0, 1.0])
def test_exploding_relevance_is_warned_of(backend, factor):
    model, x = explosive(np.float64)
    options = {"bias_factor": factor, "epsilon": 1e-6, "backend": backend}
    with pytest.warns(
        RuntimeWarning, match=r"^inputs: relevance grew to \d.*e\+.* delta of "
    ) as seen:
        a = lrplstm.lrp(model, x, 0, **options)
    assert seen[0].filename == __file__
    growth = float(str(seen[0].message).split()[4])
    largest = np.abs(a.token_relevance).max()
    assert growth == pytest.approx(largest / np.abs(a.scores).max(), rel=0.05)
    assert growth > 1e6
    assert np.isfinite(a.token_relevance).all()
    with pytest.warns(RuntimeWarning, match=r"inputs\[1\]: relevance grew"):
        lrplstm.lrp(model, [x[:3], x, x[:5]], "all", **options)
    hidden = np.ones((400, 20))
    with pytest.warns(RuntimeWarning, match="inputs: relevance grew"):
        lrplstm.lrp(model, x, hidden_relevance=hidden, **options)


@backends
def test_overflow_is_warned_of(backend):
    model, x = explosive(np.float32)
    with pytest.warns(RuntimeWarning, match="inputs: relevance overflowed") as seen:
        lrplstm.lrp(model, x, 0, epsilon=1e-12, product_rule="prop", backend=backend)
    assert len(seen) == 1  # nothing else is said, by NumPy


def test_growth_is_relative_to_weighted_scores(recwarn):
    model, x = explosive(np.float64)
    lrplstm.lrp(random_model(29), random_batch(lengths=(6,))[0], [1e8, 0.0, 0.0])
    assert not recwarn.list
    with pytest.warns(RuntimeWarning, match="inputs: relevance grew"):
        lrplstm.lrp(model, x, [1e-8, 0.0, 0.0], epsilon=1e-6)


def test_a_large_delta_is_growth_too():
    """No step has a million times the score, but all of them together lack it."""
    model, x = explosive(np.float64)
    with pytest.warns(RuntimeWarning, match="relevance grew") as seen:
        found = lrplstm.lrp(model, x[-300:], 0, epsilon=1.0811808e-3)
    assert np.abs(found.token_relevance).max() < 1e6 * np.abs(found.scores).max()
    assert len(seen) == 1


def test_advice_is_what_is_not_done_yet():
    model, x = explosive(np.float64)
    for options, known, unknown in [
        ({}, "larger epsilon", "product rule|bias_factor"),
        ({"bias_factor": 1.0}, "smaller bias_factor", "product rule"),
        ({"product_rule": "prop"}, "the product rule 'all'", "bias_factor"),
    ]:
        with pytest.warns(RuntimeWarning, match=known) as seen:
            lrplstm.lrp(model, x, 0, epsilon=1e-6, **options)
        assert not re.search(unknown, str(seen[0].message))


def test_the_warning_is_of_the_users_line():
    model, x = explosive(np.float64)
    for call in (
        lambda: lrplstm.explain(model, x, "lrp", epsilon=1e-6),
        lambda: lrplstm.evaluation.conservation(model, [x], epsilon=1e-6),
    ):
        with pytest.warns(RuntimeWarning, match="relevance grew") as seen:
            call()
        assert {warning.filename for warning in seen} == {__file__}


def test_what_overflowed_can_be_printed():
    model, x = explosive(np.float32)
    with pytest.warns(RuntimeWarning, match="overflowed, and delta with it.*float64"):
        a = lrplstm.lrp(model, x, 0, epsilon=1e-12, product_rule="prop")
    with pytest.warns(RuntimeWarning, match="overflowed"):
        batch = lrplstm.lrp(model, [x, x[:1]], 0, epsilon=1e-12, product_rule="prop")
    assert str(a) == f"{a!r}, with infinite relevance or NaN"
    assert a._repr_html_() is None
    assert "1 of 2 are shown, and none of 1 with infinite relevance or NaN" in batch._repr_html_()


def test_what_does_not_grow_is_not_warned_of(recwarn):
    lrplstm.lrp(random_model(29), random_batch(lengths=(60, 3)), "all")
    lrplstm.lrp(random_model(29, biases=False, initial=False), np.zeros((5, 5)))
    lrplstm.sensitivity(*explosive(np.float64))
    assert not recwarn.list
