"""Integrated gradients, occlusion and the random baseline, against what they are defined as."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from random_models import random_batch, random_model, relative_error

import lrplstm
from lrplstm.methods.perturbation import spread
from lrplstm.methods.quadrature import resolve_quadrature

BACKENDS = ["kernel", "reference"]
POOLINGS = ["last", "mean", "max", "none"]
VOCABULARY = ["<unk>", "a", "fine", "film", "<pad>"]

backends = pytest.mark.parametrize("backend", BACKENDS)
poolings = pytest.mark.parametrize("pooling", POOLINGS)


def score(model, x, v):
    """What v makes of the scores; where each step has some, of all of them."""
    return (model.predict(x) * v).sum()


# Integrated gradients ---------------------------------------------------------------------------


# Gauss and Legendre's three points on [0, 1], written out.
GAUSS_3 = [(0.5 - 0.15**0.5, 5 / 18), (0.5, 8 / 18), (0.5 + 0.15**0.5, 5 / 18)]


def midpoints(steps):
    return [((k + 0.5) / steps, 1 / steps) for k in range(steps)]


def brute_force_ig(model, x, v, path, baseline):
    """The formula, point by point, with gradients from gradient x input."""
    total = 0
    for alpha, weight in path:
        point = baseline + alpha * (x - baseline)
        total = total + weight * lrplstm.gradient_x_input(model, point, v).input_relevance / point
    return (x - baseline) * total


@backends
@poolings
@pytest.mark.parametrize(
    ("quadrature", "path"),
    [("midpoint", midpoints(1)), ("midpoint", midpoints(7)), ("gauss", GAUSS_3)],
)
def test_integrated_gradients_are_a_mean_over_the_path(backend, pooling, quadrature, path):
    model = random_model(3, pooling=pooling, layers=2)
    batch = random_batch(lengths=(4, 1, 6))
    baselines = random_batch(8, lengths=(4, 1, 6))
    v = np.array([0.5, -1.0, 2.0])
    options = {"steps": len(path), "quadrature": quadrature, "backend": backend}
    target = [v] * 3 if pooling == "none" else v
    found = lrplstm.integrated_gradients(model, batch, target, baseline=baselines, **options)
    for a, x, baseline in zip(found, batch, baselines, strict=True):
        expected = brute_force_ig(model, x, v, path, baseline)
        assert relative_error(a.input_relevance, expected) < 1e-10
        started = score(model, x, v) - score(model, baseline, v)
        assert a.delta == pytest.approx(started - expected.sum(), rel=1e-9, abs=1e-11)
        assert a.initial_relevance == 0
    from_zero = lrplstm.integrated_gradients(model, batch[0], v, **options)
    expected = brute_force_ig(model, batch[0], v, path, 0.0)
    assert relative_error(from_zero.input_relevance, expected) < 1e-10


def test_points_of_gauss_and_legendre():
    """Few of them give what hundreds of midpoints do; both have their defaults."""
    model, (x,) = random_model(3), random_batch(lengths=(5,))
    gauss = lrplstm.integrated_gradients(model, x, 1)
    assert (gauss.params["steps"], gauss.params["quadrature"]) == (36, "gauss")
    assert abs(gauss.delta) < 1e-12
    midpoint = lrplstm.integrated_gradients(model, x, 1, quadrature="midpoint")
    assert midpoint.params["steps"] == 50
    again = lrplstm.explain(model, x, gauss.method, gauss.target, **gauss.params)
    assert np.array_equal(again.token_relevance, gauss.token_relevance)
    with pytest.raises(ValueError, match="steps: expected at most 1000"):
        lrplstm.integrated_gradients(model, x, 1, quadrature="gauss", steps=1001)


@pytest.mark.parametrize(("steps", "fewest"), [(1, 1), (3, 3), (12, 6), (20, 6), (36, 9)])
def test_points_of_every_part_take_polynomials_exactly(steps, fewest):
    """Those of a degree below twice the points of the part that has the fewest."""
    path = resolve_quadrature("gauss", steps)
    points, weights = path.points(np.arange(steps)), path.weights(np.arange(steps))
    for degree in range(2 * fewest):
        assert weights @ points**degree == pytest.approx(1 / (degree + 1), rel=1e-12)
    assert (np.diff(points) > 0).all()


@backends
def test_delta_falls_as_steps_grow(backend):
    """Completeness; the midpoint rule's error falls with the square of the number of steps."""
    model, (x,) = random_model(3), random_batch(lengths=(5,))
    by_midpoints = {"quadrature": "midpoint", "backend": backend}
    deltas = [
        abs(lrplstm.integrated_gradients(model, x, 1, steps=steps, **by_midpoints).delta)
        for steps in (4, 16, 64, 256)
    ]
    for few, many in pairwise(deltas):
        assert many < few / 12
    assert deltas[-1] < 1e-6


def test_forms_of_baseline():
    model = random_model(5, vocabulary=VOCABULARY, unknown_token="<unk>")
    row = model.embedding[4]
    words = ["a", "fine", "film"]
    expected = lrplstm.integrated_gradients(model, words, baseline=row)
    for form in ("<pad>", 4, np.int64(4), row.tolist(), np.tile(row, (3, 1)), [row.tolist()] * 3):
        found = lrplstm.integrated_gradients(model, words, baseline=form)
        np.testing.assert_array_equal(found.token_relevance, expected.token_relevance)
        again = lrplstm.integrated_gradients(model, words, **found.params)
        np.testing.assert_array_equal(again.token_relevance, expected.token_relevance)
        assert found.caption == expected.caption
        assert repr(found)
    zero = lrplstm.integrated_gradients(model, words)
    assert (zero.token_relevance != expected.token_relevance).all()
    for form in (0.0 * row, np.zeros((3, 5), np.float32)):
        found = lrplstm.integrated_gradients(model, words, baseline=form)
        np.testing.assert_array_equal(found.token_relevance, zero.token_relevance)


def test_one_series_is_the_baseline_of_all_that_are_as_long():
    model, batch = random_model(), np.stack(random_batch(lengths=(4, 4, 4)))
    mean = batch.mean(axis=0)
    for method in ("integrated_gradients", "occlusion"):
        expected = lrplstm.explain(model, batch, method, baseline=[mean] * 3)
        for form in (mean, mean.tolist(), mean[np.newaxis], [mean.tolist()]):
            found = lrplstm.explain(model, batch, method, baseline=form)
            np.testing.assert_array_equal(found.token_relevance, expected.token_relevance)
            np.testing.assert_array_equal(found[2].params["baseline"], mean)
        one = lrplstm.explain(model, batch[0], method, baseline=mean[np.newaxis])
        np.testing.assert_array_equal(one.token_relevance, found[0].token_relevance)
    # As many sequences as steps: an array is for all of them, a list of arrays one for each.
    square = random_batch(2, lengths=(4, 4, 4, 4))
    by_sequence = lrplstm.occlusion(model, square, baseline=square[::-1])
    alone = lrplstm.occlusion(model, square[1], baseline=square[2])
    np.testing.assert_array_equal(by_sequence[1].token_relevance, alone.token_relevance)
    shared = lrplstm.occlusion(model, square, baseline=mean)
    alone = lrplstm.occlusion(model, square[1], baseline=mean)
    np.testing.assert_array_equal(shared[1].token_relevance, alone.token_relevance)
    for lengths in ((4, 3), (3, 3)):
        with pytest.raises(ValueError, match=r"baseline: .* list of 2 arrays, .* the 4 steps"):
            lrplstm.occlusion(model, random_batch(lengths=lengths), baseline=mean)


def test_a_baseline_for_each_sequence_comes_back_with_it():
    model = random_model(5)
    batch, baselines = random_batch(lengths=(2, 4)), random_batch(6, lengths=(2, 4))
    together = lrplstm.occlusion(model, batch, baseline=baselines)
    for a, x, baseline in zip(together, batch, baselines, strict=True):
        alone = lrplstm.occlusion(model, x, baseline=baseline)
        np.testing.assert_array_equal(a.params["baseline"], baseline)
        np.testing.assert_array_equal(a.input_relevance, alone.input_relevance)


def test_one_baseline_of_a_batch_is_everyones_own():
    row = np.linspace(-1, 1, 5)
    found = lrplstm.occlusion(random_model(), random_batch(lengths=(2, 4)), baseline=row)
    row[:] = 3  # the caller may go on with it
    np.testing.assert_array_equal(found.params["baseline"], np.linspace(-1, 1, 5))
    row = np.linspace(-1, 1, 5)
    found[0].params["baseline"][:] = 7
    for params in (found[0].params, found[1].params, found.params):
        np.testing.assert_array_equal(params["baseline"], np.linspace(-1, 1, 5))
    np.testing.assert_array_equal(row, np.linspace(-1, 1, 5))


def test_padding_has_no_part_in_it():
    model = random_model(5, vocabulary=VOCABULARY, mask_id=4)
    padded, ids = [4, 1, 4, 3, 2, 4], [1, 3, 2]
    baseline = random_batch(lengths=(6,))[0]
    read = np.array(padded) != 4
    for method in ("integrated_gradients", "occlusion"):
        found = lrplstm.explain(model, padded, method, baseline=baseline)
        expected = lrplstm.explain(model, ids, method, baseline=baseline[read])
        np.testing.assert_array_equal(found.token_relevance[read], expected.token_relevance)
        assert (found.token_relevance[~read] == 0).all()


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"steps": 0}, ValueError, "steps: expected at least 1, got 0"),
        ({"steps": 2.0}, TypeError, "steps: expected an int, got 2.0"),
        ({"steps": True}, TypeError, "steps: expected an int"),
        ({"baseline": "zany"}, ValueError, "baseline: expected a token .* got 'zany'"),
        ({"baseline": 5}, ValueError, "baseline: expected 0 <= id < 5, got 5"),
        ({"baseline": 1.5}, TypeError, "baseline: .* got float"),
        ({"baseline": True}, TypeError, "baseline: .* got bool"),
        ({"baseline": np.True_}, TypeError, "baseline: .* got bool"),
        ({"baseline": np.float64(0.5)}, TypeError, "baseline: .* got float"),
        ({"baseline": np.array(5)}, ValueError, "baseline: expected 0 <= id < 5, got 5"),
        ({"baseline": [[1.0, [1.0, 2.0]]]}, ValueError, "baseline: expected rows of one length"),
        ({"baseline": ["a", "fine", "film"]}, TypeError, "baseline: expected numbers"),
        ({"baseline": b"a"}, TypeError, "baseline: .* got bytes"),
        ({"baseline": []}, ValueError, r"baseline: expected shape \(5,\)"),
        ({"baseline": np.ones(4)}, ValueError, r"baseline: expected shape \(5,\), got \(4,\)"),
        ({"baseline": np.ones((2, 5))}, ValueError, r"baseline: .* \(3, 5\), got \(2, 5\)"),
        ({"baseline": np.full(5, np.nan)}, ValueError, "baseline: expected finite numbers"),
        ({"baseline": np.full(5, "a")}, TypeError, "baseline: expected numbers"),
        ({"target": 3}, ValueError, "target: "),
    ],
    ids=repr,
)
def test_bad_options_of_integrated_gradients(options, error, match):
    model = random_model(5, vocabulary=VOCABULARY)
    with pytest.raises(error, match=match):
        lrplstm.integrated_gradients(model, ["a", "fine", "film"], **options)


def test_words_need_an_embedding():
    for word in ("a", 0):
        with pytest.raises(ValueError, match=r"baseline: .* no embedding"):
            lrplstm.occlusion(random_model(), random_batch(lengths=(2,))[0], baseline=word)


def test_a_baseline_for_each_sequence_of_a_batch():
    with pytest.raises(ValueError, match="baseline: expected 2 arrays, or one, got 3"):
        lrplstm.occlusion(
            random_model(), random_batch(lengths=(2, 2)), baseline=[np.ones((2, 5))] * 3
        )
    with pytest.raises(ValueError, match=r"baseline\[1\]: expected shape \(4, 5\)"):
        lrplstm.occlusion(
            random_model(), random_batch(lengths=(2, 4)), baseline=[np.ones((2, 5))] * 2
        )


# Occlusion --------------------------------------------------------------------------------------


def softmax(scores):
    parts = np.exp(scores)
    return parts / parts.sum(axis=-1, keepdims=True)


@backends
@poolings
@pytest.mark.parametrize("measure", ["score", "probability"])
def test_occlusion_is_brute_force(backend, pooling, measure):
    model = random_model(7, pooling=pooling, layers=2)
    batch = random_batch(lengths=(4, 1, 6))
    v, baseline = np.array([0.5, -1.0, 2.0]), np.linspace(-0.5, 0.7, 5)

    def explained(x):
        scores = model.predict(x)
        return ((scores if measure == "score" else softmax(scores)) * v).sum()

    target = [v] * 3 if pooling == "none" else v
    options = {"measure": measure, "baseline": baseline, "backend": backend}
    by_token = lrplstm.occlusion(model, batch, target, level="token", **options)
    by_input = lrplstm.occlusion(model, batch, target, **options)
    for a, b, x in zip(by_token, by_input, batch, strict=True):
        of_step, of_input = np.empty(len(x)), np.empty_like(x)
        for t in range(len(x)):
            without = x.copy()
            without[t] = baseline
            of_step[t] = explained(x) - explained(without)
            for d in range(5):
                without = x.copy()
                without[t, d] = baseline[d]
                of_input[t, d] = explained(x) - explained(without)
        assert relative_error(a.token_relevance, of_step) < 1e-11
        assert relative_error(b.token_relevance, of_step) < 1e-11
        together = of_step - of_input.sum(axis=1)
        shares = np.abs(of_input) / np.abs(of_input).sum(axis=1, keepdims=True)
        expected = of_input + shares * together[:, np.newaxis]
        assert relative_error(b.input_relevance, expected) < 1e-11
        assert a.delta == pytest.approx(explained(x) - of_step.sum(), rel=1e-9)


def test_an_input_that_stands_there_already_can_be_taken_away():
    model, (x,) = random_model(7), random_batch(lengths=(6,))
    x[2] = 0
    a = lrplstm.occlusion(model, x, "all")
    assert (a.token_relevance[:, 2] == 0).all()
    assert (np.delete(a.token_relevance, 2, axis=1) != 0).all()
    assert (a.input_relevance[:, 2] == 0).all()


def test_what_inputs_do_together_only_is_shared_evenly():
    """Where none does anything alone there is nothing in proportion to which it could be."""
    found = spread(np.array([[1.0, 2.0]]), np.array([[[0.0, 0.0], [3.0, -1.0]]]))
    np.testing.assert_array_equal(found, [[[0.5, 0.5], [3.0, -1.0]]])


def test_words_are_taken_away():
    model = random_model(7, vocabulary=VOCABULARY)
    a = lrplstm.occlusion(model, ["a", "fine", "film"], 1, baseline="<pad>")
    expected = [
        model.predict(["a", "fine", "film"])[1] - model.predict(words)[1]
        for words in (["<pad>", "fine", "film"], ["a", "<pad>", "film"], ["a", "fine", "<pad>"])
    ]
    assert relative_error(a.token_relevance, expected) < 1e-12


def test_bad_options_of_occlusion():
    (x,) = random_batch(lengths=(2,))
    with pytest.raises(ValueError, match=r"measure: .*'score', 'probability', got 'odds'"):
        lrplstm.occlusion(random_model(), x, measure="odds")
    with pytest.raises(ValueError, match=r"measure: expected 'score' for .* got 'probability'"):
        lrplstm.occlusion(random_model(C=1), x, measure="probability")


# Random -----------------------------------------------------------------------------------------


def test_random_relevance_is_standard_normal_and_seeded():
    model = random_model(vocabulary=[str(n) for n in range(50)])
    rng = np.random.default_rng(0)
    batch = [rng.integers(0, 50, 40) for _ in range(100)]
    found = lrplstm.random_relevance(model, batch, "all")
    values = found.token_relevance[0]
    assert abs(values.mean()) < 0.05
    assert abs(values.var() - 1) < 0.05
    assert len(np.unique(values)) == len(values)
    for c in range(3):
        assert np.array_equal(found.token_relevance[c], values)
    assert np.array_equal(
        lrplstm.random_relevance(model, batch[17]).token_relevance, values[680:720]
    )
    other = lrplstm.random_relevance(model, batch, seed=1).token_relevance
    assert abs(np.corrcoef(values, other)[0, 1]) < 0.05
    assert found.params["seed"] == 0


@pytest.mark.parametrize(
    ("seed", "error", "match"),
    [(-1, ValueError, "seed: expected at least 0"), (0.5, TypeError, "seed: expected an int")],
)
def test_bad_seeds(seed, error, match):
    with pytest.raises(error, match=match):
        lrplstm.random_relevance(random_model(), random_batch(), seed=seed)


# Limits -----------------------------------------------------------------------------------------


@backends
@pytest.mark.parametrize("method", lrplstm.METHODS)
def test_limits(backend, method):
    options = {"backend": backend}
    (x,) = random_batch(lengths=(4,))
    for inputs in (1e4 * x, 0 * x, x[:1]):
        for C in (1, 3):
            a = lrplstm.explain(random_model(5, C=C), inputs, method, "all", **options)
            assert np.isfinite(a.input_relevance).all()
            assert np.isfinite(a.delta).all()
    # Steps of zeros in front, where there are no biases, have no part in the score.
    model = random_model(5, biases=False, initial=False)
    padded = np.concatenate([0 * x, x])
    if method == "lrp":
        options["epsilon"] = 0.0
    a = lrplstm.explain(model, padded, method, 0, **options)
    assert np.isfinite(a.input_relevance).all()
    if method not in ("sensitivity", "random"):
        np.testing.assert_allclose(a.input_relevance[:4], 0, atol=1e-15)


@pytest.mark.parametrize("pooling", ["last", "mean", "max", "none"])
@pytest.mark.parametrize("sides", ["forward", "backward", "both", "two layers"])
def test_copies_that_go_on_from_saved_states_have_the_scores_of_whole_ones(pooling, sides):
    """Each step, the first and the last among them, whatever is read of the layer."""
    options = {"bidirectional": sides in ("both", "two layers"), "layers": 1 + (sides[0] == "t")}
    model = random_model(4, pooling=pooling, **options)
    if sides == "backward":
        (weights,) = model.layers
        model = model.replaced(layers=[lrplstm.LSTMWeights(**weights.arrays(), reverse=True)])
    for x in random_batch(lengths=(6, 1, 2)):
        taken = [np.where(np.arange(len(x))[:, np.newaxis] == t, 0, x) for t in range(len(x))]
        target = (0, 1) if pooling == "none" else 1
        expected = [(model.predict(x) - model.predict(other))[..., 1] for other in taken]
        expected = [e[0] if pooling == "none" else e for e in expected]
        for backend in ("kernel", "reference"):
            found = lrplstm.occlusion(model, x, target, backend=backend).token_relevance
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-13)
