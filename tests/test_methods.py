"""Both backends against second formulations, against each other, and against what must hold."""

from __future__ import annotations

import dataclasses

import literal
import numpy as np
import pytest
from pairwise import pairwise
from random_models import ONE_WAY_BACK, QUICK, random_batch, random_model, relative_error

import lrplstm

BACKENDS = ("kernel", "reference")

# Sizes that are multiples of nothing, single units, more inputs than states and the reverse.
SHAPES = [
    {"D": 1, "H": 1, "C": 2, "bidirectional": False},
    {"D": 7, "H": 1, "C": 3},
    {"D": 2, "H": 9, "C": 4, "bidirectional": False, "head": "no bias"},
    {"D": 13, "H": 6, "C": 5, "head": "no bias"},
    {"D": 3, "H": 5, "C": 2, "layers": 2},
    {"D": 4, "H": 3, "C": 3, "layers": 3, "bidirectional": False},
    {"D": 5, "H": 17, "C": 1, "layers": 2, "initial": False},
    {"D": 6, "H": 4, "head": "none"},
]
LENGTHS = [(1,), (1, 5, 2), (11, 1, 1, 4)]
RULES = [
    {"epsilon": 1e-3, "bias_factor": 0.0, "epsilon_factor": 0.0},
    {"epsilon": 0.02, "bias_factor": 1.0, "epsilon_factor": 1.0},
    {"epsilon": 0.1, "bias_factor": 0.3, "epsilon_factor": 0.8},
    {"epsilon": 0.01, "bias_factor": -0.4, "epsilon_factor": 1.0},
]

shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)
backends = pytest.mark.parametrize("backend", BACKENDS)


@pairwise(shape=SHAPES, backend=BACKENDS, rule=RULES)
def test_lrp_is_the_sum_of_all_messages(shape, backend, rule):
    model = random_model(3, **shape)
    batch = random_batch(D=shape["D"], lengths=(5, 1, 3))
    for target in range(model.num_classes):
        found = lrplstm.lrp(model, batch, target, backend=backend, **rule)
        for a, x in zip(found, batch, strict=True):
            relevance, rest, scores = literal.lrp(model, x, target, **rule)
            assert relative_error(a.scores, scores) < 1e-13
            assert relative_error(a.input_relevance, relevance) < 1e-9
            assert a.initial_relevance == pytest.approx(rest, rel=1e-9, abs=1e-12)


@backends
@pytest.mark.parametrize("bidirectional", [True, False])
def test_lrp_from_hidden_relevance(backend, bidirectional):
    model = random_model(5, layers=2, bidirectional=bidirectional)
    batch = random_batch(lengths=(4, 1, 6))
    width = 8 if bidirectional else 4
    hidden = random_batch(9, D=width, lengths=(4, 1, 6))
    rule = RULES[2]
    found = lrplstm.lrp(model, batch, hidden_relevance=hidden, backend=backend, **rule)
    assert found.target is None
    for a, x, R in zip(found, batch, hidden, strict=True):
        relevance, rest, _ = literal.lrp(model, x, hidden_relevance=R, **rule)
        assert relative_error(a.input_relevance, relevance) < 1e-9
        assert a.initial_relevance == pytest.approx(rest, rel=1e-9)
        assert a.delta == pytest.approx(R.sum() - relevance.sum() - rest, rel=1e-7)
        one = lrplstm.lrp(model, x, hidden_relevance=R, backend=backend, **rule)
        assert relative_error(one.token_relevance, a.token_relevance) < 1e-12


def test_hidden_relevance_at_the_final_states_is_the_relevance_of_a_score():
    """A user's own linear head, on top, is the built-in one."""
    model = random_model(6)
    (x,) = random_batch(lengths=(6,))
    expected = lrplstm.lrp(model, x, target=2, bias_factor=1.0)
    top = random_model(6, head="none")
    pooled = top.predict(x)
    s, W, b = model.predict(x)[2], model.head_weight[2], model.head_bias[2]
    stabilizer = 1e-3 if s >= 0 else -1e-3
    R = (W * pooled + (b + stabilizer) / 8) / (s + stabilizer) * s
    hidden = np.zeros((6, 8))
    hidden[5, :4], hidden[0, 4:] = R[:4], R[4:]
    found = lrplstm.lrp(top, x, hidden_relevance=hidden, bias_factor=1.0)
    assert relative_error(found.input_relevance, expected.input_relevance) < 1e-12


@backends
@pytest.mark.parametrize("sides", ["forward", "backward", "both"])
def test_hidden_relevance_of_what_the_head_reads(backend, sides):
    """With "last" each half starts where its direction ends; else it goes through the pooling."""
    rng = np.random.default_rng(8)
    embedding = rng.normal(size=(9, 5))
    model = random_model(6, head="none", embedding=embedding, bidirectional=sides == "both")
    if sides == "backward":
        model = model.replaced(layers=[dataclasses.replace(model.layers[0], reverse=True)])
    model = model.replaced(mask_id=0)
    batch, first, last = [[0, 3, 5, 2, 0], [7], [4, 8]], (1, 0, 0), (3, 0, 1)
    R = rng.normal(size=(3, model.width))
    hidden = [np.zeros((len(ids), model.width)) for ids in batch]
    half = {"forward": 4, "backward": 0, "both": 4}[sides]
    for b in range(3):
        hidden[b][last[b], :half] += R[b, :half]
        hidden[b][first[b], half:] += R[b, half:]
    options = {"level": "input", "bias_factor": 0.3, "backend": backend}
    expected = lrplstm.lrp(model, batch, hidden_relevance=hidden, **options)
    for given in (R, list(R), R.tolist()):
        found = lrplstm.lrp(model, batch, hidden_relevance=given, **options)
        assert relative_error(found.input_relevance, expected.input_relevance) < 1e-13
        np.testing.assert_allclose(found.delta, expected.delta, rtol=1e-10, atol=1e-14)
    one = lrplstm.lrp(model, batch[0], hidden_relevance=R[0], **options)
    assert np.array_equal(one.input_relevance, found[0].input_relevance)
    again = lrplstm.explain(model, batch[0], found[0].method, **found[0].params)
    assert np.array_equal(again.input_relevance, one.input_relevance)

    plain = [[3, 5, 2], [7], [4, 8]]
    for pooling in ("mean", "max"):  # a score that is one unit's state starts as itself
        pooled = model.replaced(pooling=pooling)
        scores = pooled.predict(plain, backend=backend)
        unit = lrplstm.lrp(pooled, plain, [1, 2, 0], **options)
        start = np.eye(model.width)[[1, 2, 0]] * scores
        found = lrplstm.lrp(pooled, plain, hidden_relevance=start, **options)
        assert relative_error(found.input_relevance, unit.input_relevance) < 1e-13
        np.testing.assert_allclose(found.delta, unit.delta, rtol=1e-10, atol=1e-14)


def test_hidden_relevance_of_another_shape():
    model, batch = random_model(6, head="none"), random_batch(lengths=(3, 1))
    for hidden, match in (
        (np.ones(8), "expected 2 arrays, got 8"),
        (np.ones((2, 7)), r"hidden_relevance\[0\]: expected shape \(8,\), got \(7,\)"),
        ([np.ones(8), np.ones((1, 8))], r"hidden_relevance\[1\]: expected shape \(8,\)"),
        ([np.ones((3, 8)), np.ones(8)], r"hidden_relevance\[1\]: expected shape \(1, 8\)"),
    ):
        with pytest.raises(ValueError, match=match):
            lrplstm.lrp(model, batch, hidden_relevance=hidden)
    with pytest.raises(ValueError, match=r"expected shape \(3, 8\), got \(8,\)"):
        lrplstm.lrp(model.replaced(pooling="none"), batch[0], hidden_relevance=np.ones(8))


@pairwise(
    method=lrplstm.METHODS,
    shape=SHAPES,
    lengths=LENGTHS,
    dtype=[np.float64, np.float32],
    level=["token", "input"],
)
def test_kernels_agree_with_the_reference(method, shape, lengths, dtype, level):
    bound = 1e-11 if dtype == np.float64 else 2e-4
    model = random_model(2, dtype=dtype, **shape)
    batch = random_batch(4, D=shape["D"], lengths=lengths, dtype=dtype)
    C = model.num_classes
    weights = np.random.default_rng(8).normal(size=(len(batch), C))
    # In float32 the reference's own rounding, which depends on where its arrays lie in memory, may
    # change the sign of a stabilizer.
    exact = model.astype(np.float64)
    if method == "occlusion":  # a difference of scores, of whose digits float32 has few
        bound *= 10
    for target in (None, C - 1, [C - 1] * len(batch), weights, "all"):
        options = {"level": level, **QUICK.get(method, {})}
        kernel = lrplstm.explain(model, batch, method, target, **options)
        reference = lrplstm.explain(exact, batch, method, target, backend="reference", **options)
        assert relative_error(kernel.scores, reference.scores) < bound
        assert relative_error(kernel.token_relevance, reference.token_relevance) < bound
        assert kernel.token_relevance.dtype == dtype
        assert kernel.initial_relevance == pytest.approx(
            reference.initial_relevance, rel=bound, abs=bound
        )
        assert kernel.delta == pytest.approx(reference.delta, rel=10 * bound, abs=bound)
        if level == "input":
            assert relative_error(kernel.input_relevance, reference.input_relevance) < bound
        else:
            assert kernel.input_relevance is None


@pairwise(shape=SHAPES, method=lrplstm.METHODS, backend=BACKENDS)
def test_token_relevance_is_the_sum_of_input_relevance(shape, method, backend):
    model = random_model(11, **shape)
    batch = random_batch(D=shape["D"])
    tokens, inputs = (
        lrplstm.explain(
            model, batch, method, "all", level=level, backend=backend, **QUICK.get(method, {})
        )
        for level in ("token", "input")
    )
    assert relative_error(inputs.input_relevance.sum(axis=-1), inputs.token_relevance) < 1e-12
    assert relative_error(tokens.token_relevance, inputs.token_relevance) < 1e-10


@pairwise(shape=SHAPES, backend=BACKENDS, dtype=[np.float64, np.float32])
def test_bias_factor_1_conserves_relevance(shape, backend, dtype):
    model = random_model(7, dtype=dtype, **shape)
    batch = random_batch(D=shape["D"], lengths=(1, 9, 30), dtype=dtype)
    bound = 1e-10 if dtype == np.float64 else 1e-3
    started = model.predict(batch)
    found = lrplstm.lrp(model, batch, "all", bias_factor=1.0, backend=backend)
    arrived = np.stack([a.token_relevance.sum(axis=1) + a.initial_relevance for a in found])
    largest = np.stack([np.abs(a.token_relevance).sum(axis=1) for a in found])
    assert (np.abs(arrived - started) <= bound * np.maximum(1, largest)).all()
    assert (np.abs(found.delta.T) <= bound * np.maximum(1, largest)).all()


@backends
def test_delta_is_what_did_not_arrive(backend):
    model = random_model(7)
    batch = random_batch()
    weights = np.array([0.5, -2.0, 1.5])
    for method in set(lrplstm.METHODS) - {"integrated_gradients"}:  # starts from a difference
        found = lrplstm.explain(model, batch, method, weights, backend=backend)
        for a, x in zip(found, batch, strict=True):
            started = weights @ model.predict(x)
            arrived = a.input_relevance.sum() + a.initial_relevance
            assert a.delta == pytest.approx(started - arrived, rel=1e-9, abs=1e-12)
            assert abs(a.delta) > 1e-6


@shapes
@backends
def test_gradients_are_finite_differences(shape, backend):
    model = random_model(13, **shape)
    (x,) = random_batch(17, D=shape["D"], lengths=(4,))
    v = np.random.default_rng(18).normal(size=model.num_classes)
    step = 1e-6
    gradient = np.empty_like(x)
    for index in np.ndindex(x.shape):
        low, high = x.copy(), x.copy()
        low[index] -= step
        high[index] += step
        gradient[index] = (model.predict(high) - model.predict(low)) @ v / (2 * step)
    squares = lrplstm.sensitivity(model, x, v, backend=backend).input_relevance
    products = lrplstm.gradient_x_input(model, x, v, backend=backend).input_relevance
    assert relative_error(squares, gradient**2) < 1e-7
    assert relative_error(products, gradient * x) < 1e-7


@backends
def test_initial_states_have_gradients_too(backend):
    """Explained by both gradient methods as if they were inputs."""
    model = random_model(19, D=3, H=2, layers=2)
    (x,) = random_batch(D=3, lengths=(3,))
    step = 1e-6

    def score(change):
        """Score 1 with one number of one initial state changed."""
        layer, side, name, unit, by = change
        layers = [list(pair) for pair in model.layers]
        arrays = {k: v.copy() for k, v in layers[layer][side].arrays().items()}
        arrays[name][unit] += by
        layers[layer][side] = lrplstm.LSTMWeights(**arrays)
        changed = lrplstm.LSTMModel(layers, model.head_weight, model.head_bias)
        return changed.predict(x)[1]

    squares = products = 0.0
    for layer, side, unit in np.ndindex(2, 2, 2):
        for name in ("initial_hidden", "initial_cell"):
            high, low = (score((layer, side, name, unit, by)) for by in (step, -step))
            gradient = (high - low) / (2 * step)
            squares += gradient**2
            products += gradient * getattr(model.layers[layer][side], name)[unit]
    sa = lrplstm.sensitivity(model, x, 1, backend=backend)
    gi = lrplstm.gradient_x_input(model, x, 1, backend=backend)
    assert sa.initial_relevance == pytest.approx(squares, rel=1e-7)
    assert gi.initial_relevance == pytest.approx(products, rel=1e-7)


@backends
@pytest.mark.parametrize("method", [name for name in lrplstm.METHODS if name != "random"])
@pytest.mark.parametrize("layers", [1, 2])
def test_the_two_directions_are_mirror_images(backend, method, layers):
    """Exchanging the directions and reading the sequence backwards mirrors the relevance."""
    model = random_model(23, layers=layers)

    def swapped(weight):
        """Exchange what is read from the forward and the backward half."""
        return np.roll(weight, weight.shape[1] // 2, axis=1)

    mirrored = []
    for n, (forward, backward) in enumerate(model.layers):
        pair = []
        for weights in (backward, forward):
            arrays = dict(weights.arrays())
            if n > 0:
                arrays["weight_ih"] = swapped(arrays["weight_ih"])
            pair.append(lrplstm.LSTMWeights(**arrays))
        mirrored.append(tuple(pair))
    mirror = lrplstm.LSTMModel(mirrored, swapped(model.head_weight), model.head_bias)
    (x,) = random_batch(lengths=(6,))
    a = lrplstm.explain(model, x, method, 0, backend=backend)
    b = lrplstm.explain(mirror, x[::-1], method, 0, backend=backend)
    assert relative_error(b.scores, a.scores) < 1e-13
    assert relative_error(b.input_relevance[::-1], a.input_relevance) < 1e-11


@backends
def test_weights_are_linear_in_gradient_x_input_and_in_lrp(backend):
    model = random_model(29)
    batch = random_batch()
    v = np.array([0.7, 0.0, -1.3])
    for method in ("lrp", "gradient_x_input"):
        whole = lrplstm.explain(model, batch, method, v, backend=backend)
        parts = lrplstm.explain(model, batch, method, "all", backend=backend)
        assert (
            relative_error(whole.input_relevance, np.tensordot(v, parts.input_relevance, 1)) < 1e-10
        )


@backends
@pytest.mark.parametrize("method", lrplstm.METHODS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_batch_is_its_sequences(backend, method, dtype):
    model = random_model(31, H=7, layers=2, dtype=dtype)
    batch = random_batch(lengths=(3, 1, 9, 2, 2, 5), dtype=dtype)
    options = {"backend": backend, **QUICK.get(method, {})}
    together = lrplstm.explain(model, batch, method, "all", **options)
    alone = [lrplstm.explain(model, x, method, "all", **options) for x in batch]
    for a, b in zip(together, alone, strict=True):
        if backend == "kernel":  # to the last bit
            assert (a.input_relevance == b.input_relevance).all()
            assert (a.token_relevance == b.token_relevance).all()
            assert (a.scores == b.scores).all()
        else:
            bound = 1e-10 if dtype == np.float64 else 2e-4
            assert relative_error(a.input_relevance, b.input_relevance) < bound
            assert relative_error(a.scores, b.scores) < bound


@backends
def test_epsilon_0_passes_nothing_through_a_zero(backend):
    """0 / 0 would be NaN: with zero inputs and no bias the first states are exactly zero."""
    rng = np.random.default_rng(37)
    weights = lrplstm.LSTMWeights(rng.normal(size=(12, 2)), rng.normal(size=(12, 3)), np.zeros(12))
    model = lrplstm.LSTMModel([weights], rng.normal(size=(2, 3)))
    x = np.zeros((5, 2))
    x[3:] = rng.normal(size=(2, 2))
    a = lrplstm.lrp(model, x, 0, epsilon=0.0, backend=backend)
    assert np.isfinite(a.input_relevance).all()
    assert (a.input_relevance[:3] == 0).all()
    assert (a.input_relevance[3:] != 0).all()


@backends
def test_saturated_gates_and_long_sequences_stay_finite(backend):
    model = random_model(41, H=8, dtype=np.float32)
    x = np.random.default_rng(42).normal(size=(2000, 5)).astype(np.float32) * 100
    for method in ONE_WAY_BACK:
        a = lrplstm.explain(model, x, method, backend=backend)
        assert np.isfinite(a.token_relevance).all()
        assert np.isfinite(a.scores).all()
