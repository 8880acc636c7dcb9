"""target, level, backend and the other options: what they mean, and what they refuse."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from random_models import random_batch, random_model

import lrplstm
from lrplstm.method_table import TABLE

MODEL = random_model(C=4)
BATCH = random_batch(lengths=(3, 1, 6))
ONE = BATCH[2]


def relevance(inputs, target, method="lrp"):
    return lrplstm.explain(MODEL, inputs, method, target, level="token").token_relevance


# target -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", lrplstm.METHODS)
def test_forms_of_target_agree(method):
    every = relevance(ONE, "all", method)
    assert every.shape == (4, 6)
    for c in range(4):
        one_hot = np.eye(4)[c]
        forms = (c, np.int8(c), np.array(c), [c], np.array([c]), one_hot, one_hot.tolist())
        for target in (*forms, one_hot[np.newaxis], [int(v) for v in one_hot]):
            np.testing.assert_allclose(relevance(ONE, target, method), every[c], rtol=1e-12)


def test_none_is_the_predicted_class_of_each_sequence():
    model = random_model(1, C=4, H=12, head="no bias", initial=False)
    batch = [3 * x for x in random_batch(3, lengths=(4,) * 20)]
    predicted = model.predict(batch).argmax(axis=1)
    assert len(set(predicted.tolist())) > 1
    found = lrplstm.lrp(model, batch)
    assert (found.target == predicted).all()
    assert (found.predicted == predicted).all()
    same = lrplstm.lrp(model, batch, predicted)
    assert (found.token_relevance == same.token_relevance).all()


def test_one_class_for_each_sequence():
    found = lrplstm.lrp(MODEL, BATCH, [2, 0, 3])
    for a, x, c in zip(found, BATCH, [2, 0, 3], strict=True):
        assert a.target == c
        np.testing.assert_allclose(a.token_relevance, relevance(x, c), rtol=1e-12)


def test_integer_weights_ask_why_this_rather_than_that():
    every = relevance(BATCH, "all")
    found = lrplstm.lrp(MODEL, BATCH, [1, 0, 0, -1], level="token")
    np.testing.assert_allclose(found.token_relevance, every[0] - every[3], rtol=1e-9)
    assert found.target.shape == (3, 4)
    assert found[1].target.tolist() == [1, 0, 0, -1]


def test_weights_for_each_sequence():
    weights = np.random.default_rng(2).normal(size=(3, 4))
    found = lrplstm.lrp(MODEL, BATCH, weights)
    for a, x, v in zip(found, BATCH, weights, strict=True):
        assert a.target.tolist() == v.tolist()
        np.testing.assert_allclose(a.token_relevance, relevance(x, v), rtol=1e-11)


@pytest.mark.parametrize(
    ("target", "error", "match"),
    [
        (4, ValueError, "from 0 to 3, got 4"),
        (-6, ValueError, "from 0 to 3, got -6"),
        (10**30, ValueError, "from 0 to 3, got 10000"),
        ([0, 1, 4], ValueError, "got 4"),
        ([0, 1], ValueError, r"shape \(2,\)"),
        ([0, 1, 2, 3, 0], ValueError, r"shape \(5,\)"),
        ([0.5, 0.5], ValueError, r"shape \(2,\)"),
        (np.zeros((2, 4)), ValueError, r"shape \(2, 4\)"),
        (np.zeros((3, 4, 1)), TypeError, "expected None"),
        ([1.0, np.nan, 0, 0], ValueError, "NaN"),
        ([1.0, np.inf, 0, 0], ValueError, "infinity"),
        ("every", ValueError, "'every'"),
        ("0", ValueError, "'0'"),
        (1.0, TypeError, "1.0"),
        (True, TypeError, "True"),
        ([True, False, True], TypeError, "expected None"),
        ({"a": 1}, TypeError, "expected None"),
        ([[1.0], [1.0, 2.0]], ValueError, "one length"),
        (np.array([1j, 0, 0, 0]), TypeError, "expected None"),
    ],
    ids=repr,
)
def test_bad_targets(target, error, match):
    for method in lrplstm.METHODS:
        with pytest.raises(error, match=f"^target: .*{match}"):
            lrplstm.explain(MODEL, BATCH, method, target)


def test_as_many_sequences_as_classes():
    """Integers are then classes; the error for others says how to give weights."""
    batch = random_batch(lengths=(2, 2, 2, 2))
    assert lrplstm.lrp(MODEL, batch, [1, 0, 0, 2]).target.tolist() == [1, 0, 0, 2]
    assert lrplstm.lrp(MODEL, batch, [1.0, 0, 0, -1]).target.shape == (4, 4)
    with pytest.raises(ValueError, match="give floats"):
        lrplstm.lrp(MODEL, batch, [1, 0, 0, -1])


# the others -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"epsilon": -1e-9}, ValueError, "epsilon: .*at least 0"),
        ({"epsilon": np.nan}, ValueError, "epsilon: .*finite"),
        ({"epsilon": "small"}, TypeError, "epsilon: .*number"),
        ({"epsilon": True}, TypeError, "epsilon"),
        ({"epsilon": [0.1]}, TypeError, "epsilon: .*number"),
        ({"bias_factor": np.inf}, ValueError, "bias_factor: .*finite"),
        ({"bias_factor": None}, TypeError, "bias_factor"),
        ({"epsilon_factor": np.nan}, ValueError, "epsilon_factor"),
        ({"product_rule": "most"}, ValueError, "product_rule: .*'all', .*, got 'most'"),
        ({"epsilon": 10**400}, ValueError, "epsilon: .*finite"),
        ({"level": np.array(["token"])}, TypeError, "level: .*ndarray"),
        ({"unknown": np.array(["unk"])}, TypeError, "unknown: .*ndarray"),
        ({"level": "word"}, ValueError, "level: .*'token', 'input', got 'word'"),
        ({"backend": "gpu"}, ValueError, "backend: .*'auto', 'kernel', 'reference'"),
        ({"unknown": "skip"}, ValueError, "unknown: .*'error', 'unk', 'zero'"),
        ({"num_threads": 0}, ValueError, "num_threads: .*at least 1"),
        ({"num_threads": 1.5}, TypeError, "num_threads"),
        ({"hidden_relevance": np.ones((3, 8))}, ValueError, r"expected shape \(6, 8\)"),
        ({"hidden_relevance": np.ones((6, 4))}, ValueError, r"expected shape \(6, 8\)"),
        ({"hidden_relevance": np.full((6, 8), np.nan)}, ValueError, "NaN"),
        ({"hidden_relevance": [["a"] * 8] * 6}, TypeError, "numbers"),
        ({"hidden_relevance": np.ones((6, 8)), "target": 1}, ValueError, "target: .*None"),
    ],
    ids=repr,
)
def test_bad_options_of_lrp(options, error, match):
    with pytest.raises(error, match=match):
        lrplstm.lrp(MODEL, ONE, **options)


@pytest.mark.parametrize("given", ["too few", "one array"])
def test_hidden_relevance_of_a_batch_is_one_array_for_each_sequence(given):
    hidden = random_batch(D=8, lengths=(3, 1))
    if given == "one array":
        hidden = np.ones((3, 4, 8))
    with pytest.raises((TypeError, ValueError), match="hidden_relevance"):
        lrplstm.lrp(MODEL, BATCH, hidden_relevance=hidden)


@pytest.mark.parametrize("backend", ["kernel", "reference"])
def test_numbers_too_large_for_float32(backend):
    model = MODEL.astype(np.float32)
    assert np.isfinite(lrplstm.lrp(MODEL, ONE, epsilon=1e39, backend=backend).delta)
    for name in ("epsilon", "bias_factor", "epsilon_factor"):
        with pytest.raises(ValueError, match=f"{name}: expected at most 3.4e"):
            lrplstm.lrp(model, ONE, backend=backend, **{name: 1e39})
    for name in ("bias_factor", "epsilon_factor"):
        with pytest.raises(ValueError, match=f"{name}: expected at most 3.4e.* got -1e"):
            lrplstm.lrp(model, ONE, backend=backend, **{name: -1e39})
    with pytest.raises(ValueError, match=r"target: .*infinity"):
        lrplstm.lrp(model, ONE, [1e300, 0.0, 0.0, 0.0], backend=backend)


def test_epsilon_factor_defaults_to_bias_factor():
    explicit = lrplstm.lrp(MODEL, ONE, 0, bias_factor=0.6, epsilon_factor=0.6)
    default = lrplstm.lrp(MODEL, ONE, 0, bias_factor=0.6)
    other = lrplstm.lrp(MODEL, ONE, 0, bias_factor=0.6, epsilon_factor=1.0)
    assert (default.token_relevance == explicit.token_relevance).all()
    assert (default.token_relevance != other.token_relevance).all()


def test_methods_by_name():
    assert [line.split()[0] for line in str(lrplstm.METHODS).splitlines()] == list(lrplstm.METHODS)
    shorts = {
        "sensitivity": "sa",
        "gradient_x_input": "gi",
        "integrated_gradients": "ig",
        "contextual_decomposition": "cd",
    }
    for name, short in shorts.items():
        long, abbreviated = (lrplstm.explain(MODEL, ONE, method, 1) for method in (name, short))
        assert (long.token_relevance == abbreviated.token_relevance).all()
        assert abbreviated.method == name
    with pytest.raises(ValueError, match=r"method: .*'lrp', 'gradient_x_input'"):
        lrplstm.explain(MODEL, ONE, "magic")
    with pytest.raises(ValueError, match=r"got 'lpr'; did you mean 'lrp'\?"):
        lrplstm.explain(MODEL, ONE, "lpr")
    with pytest.raises(TypeError, match=r"method: .*list"):
        lrplstm.explain(MODEL, ONE, ["lrp"])
    with pytest.raises(TypeError, match="model: expected a Model"):
        lrplstm.lrp("model", ONE)


def test_what_is_misspelt_is_asked_about():
    with pytest.raises(TypeError, match=r"those of lrp: epsilon, .*'epsilno'; did you mean 'epsi"):
        lrplstm.explain(MODEL, ONE, "lrp", epsilno=1)
    with pytest.raises(TypeError, match=r"those of sensitivity: .*got 'epsilon'$"):
        lrplstm.explain(MODEL, ONE, "sa", epsilon=1)
    with pytest.raises(ValueError, match=r"pooling: .*'maen'; did you mean 'mean'\?"):
        random_model(pooling="maen")
    with pytest.raises(ValueError, match=r"'Abs'; did you mean 'abs'\?"):
        lrplstm.lrp(MODEL, ONE, product_rule="Abs")


@pytest.mark.parametrize("method", ["lrp", "occlusion"])
def test_threads_change_nothing(method):
    lengths = np.random.default_rng(0).integers(1, 30, 200)
    batch = random_batch(lengths=lengths)
    one, several = (lrplstm.explain(MODEL, batch, method, "all", num_threads=n) for n in (1, 3))
    assert (one.input_relevance == several.input_relevance).all()
    assert (one.scores == several.scores).all()
    assert (one.delta == several.delta).all()


def test_options_of_the_command_line_are_those_of_methods():
    """What only some methods take, but for arrays, stands in their rows, and nothing else."""
    parameters = {
        name: set(inspect.signature(method).parameters) for name, method in lrplstm.METHODS.items()
    }
    shared = set.intersection(*parameters.values()) | {"hidden_relevance"}
    for name, own in parameters.items():
        assert own - shared == {option.name for option in TABLE[name].options}
    assert set(TABLE) == set(lrplstm.METHODS)
