"""What lies between the LSTM and the scores: poolings, stacks of layers, padding, targets."""

from __future__ import annotations

import copy

import literal
import numpy as np
import pytest
from pairwise import pairwise
from random_models import random_batch, random_model, random_weights, relative_error

import lrplstm
from lrplstm import _kernels
from lrplstm.backends import reference
from lrplstm.rules import EpsilonRule

BACKENDS = ["kernel", "reference"]
POOLINGS = ["last", "mean", "max", "none"]
HEADS = ["bias", "no bias", "none", "stack"]

backends = pytest.mark.parametrize("backend", BACKENDS)
poolings = pytest.mark.parametrize("pooling", POOLINGS)

RULE = {"epsilon": 0.02, "bias_factor": 0.6, "epsilon_factor": 0.3}
VOCABULARY = ["", "a", "b", "c", "d", "e"]


# LRP and gradients ------------------------------------------------------------------------------


@pairwise(pooling=POOLINGS, head=HEADS, backend=BACKENDS, layers=[1, 2])
def test_lrp_is_that_of_the_messages(backend, pooling, head, layers):
    model = random_model(3, head=head, layers=layers, pooling=pooling)
    batch = random_batch(lengths=(6, 1, 4))
    found = lrplstm.lrp(model, batch, 1, level="input", backend=backend, **RULE)
    for a, x in zip(found, batch, strict=True):
        R_x, rest, scores = literal.lrp(model, x, 1, **RULE)
        assert relative_error(a.input_relevance, R_x) < 1e-11
        assert a.initial_relevance == pytest.approx(rest, rel=1e-10)
        if scores is not None:
            assert relative_error(a.scores, scores) < 1e-12


@pairwise(pooling=POOLINGS, head=HEADS, backend=BACKENDS)
def test_bias_factor_1_conserves_relevance(backend, pooling, head):
    model = random_model(5, head=head, layers=2, pooling=pooling)
    for a in lrplstm.lrp(model, random_batch(), 0, bias_factor=1.0, backend=backend):
        started = a.scores[..., 0].sum()
        assert abs(a.delta) < 1e-10 * max(1, abs(started))
        arrived = a.token_relevance.sum() + a.initial_relevance
        assert arrived == pytest.approx(started, rel=1e-9)


@backends
def test_the_maximum_gives_all_to_the_step_that_won(backend):
    model = random_model(7, D=3, H=4, layers=1, bidirectional=False, pooling="max", initial=False)
    (x,) = random_batch(D=3, lengths=(9,))
    x[6:] *= 0.1
    hidden = np.array(literal.forward_direction(model.layers[0], x)[0][1:])
    last_winner = hidden.argmax(axis=0).max()
    assert last_winner < 8
    a = lrplstm.lrp(model, x, 1, backend=backend)
    assert (a.token_relevance[last_winner + 1 :] == 0).all()
    assert (a.token_relevance[: last_winner + 1] != 0).all()


@pytest.mark.parametrize("backend", [_kernels, reference])
def test_of_equal_maxima_the_first_wins(backend):
    hidden = np.array([[0.5, 0.1], [0.5, 0.3], [0.2, 0.3], [0.7, 0.3]])
    gradient = np.array([[[1.0, 2.0], [3.0, 4.0]]])
    found = backend.pool_gradient("max", hidden, np.array([0, 3, 4]), gradient)
    assert found.tolist() == [[[1, 0], [0, 2], [0, 0], [3, 4]]]
    relevance = backend.pool_lrp(
        "max", hidden, np.array([0, 3, 4]), hidden[[1, 3]], gradient, EpsilonRule()
    )
    assert np.array_equal(relevance, found)


@backends
def test_one_output_is_explained_as_class_0(backend):
    model = random_model(13, C=1, head="stack", pooling="mean")
    (x,) = random_batch(lengths=(4,))
    a = lrplstm.lrp(model, x, bias_factor=1.0, backend=backend)
    assert (a.predicted, a.target, a.scores.shape) == (0, 0, (1,))
    assert a.token_relevance.sum() + a.initial_relevance == pytest.approx(a.scores[0])
    assert a.caption == f"lrp: the score {a.scores[0]:.3g}"


# Layers that read in either direction -----------------------------------------------------------


@backends
@poolings
def test_a_reverse_layer_reads_from_the_end(backend, pooling):
    weights = random_weights(np.random.default_rng(17), 5, 4)
    reverse = lrplstm.LSTMWeights(**weights.arrays(), reverse=True)
    head = np.random.default_rng(18).normal(size=(3, 4))
    (x,) = random_batch(lengths=(6,))
    there = lrplstm.LSTMModel([weights], head, pooling=pooling)
    back = lrplstm.LSTMModel([reverse], head, pooling=pooling)
    for method in set(lrplstm.METHODS) - {"random"}:
        a = lrplstm.explain(there, x[::-1], method, 1, backend=backend)
        b = lrplstm.explain(back, x, method, 1, backend=backend)
        assert relative_error(b.input_relevance, a.input_relevance[::-1]) < 1e-12


@backends
def test_layers_of_one_and_of_two_directions_can_be_stacked(backend):
    rng = np.random.default_rng(19)
    layers = [
        (random_weights(rng, 5, 3), random_weights(rng, 5, 3)),
        lrplstm.LSTMWeights(**random_weights(rng, 6, 4).arrays(), reverse=True),
        random_weights(rng, 4, 2),
    ]
    model = lrplstm.LSTMModel(layers, rng.normal(size=(3, 2)))
    assert not model.bidirectional
    for x in random_batch(lengths=(5, 1)):
        a = lrplstm.lrp(model, x, 1, backend=backend, **RULE)
        R_x, rest, scores = literal.lrp(model, x, 1, **RULE)
        assert relative_error(a.input_relevance, R_x) < 1e-11
        assert a.initial_relevance == pytest.approx(rest, rel=1e-10)
        assert relative_error(a.scores, scores) < 1e-12


# Scores at every step ---------------------------------------------------------------------------


@backends
@pytest.mark.parametrize("method", lrplstm.METHODS)
def test_targets_at_every_step(backend, method):
    model = random_model(23, pooling="none", head="stack", class_names=["x", "y", "z"])
    batch = random_batch(lengths=(4, 2, 4))
    x, T, C = batch[0], 4, 3

    def relevance(target):
        return lrplstm.explain(model, x, method, target, backend=backend).input_relevance

    def one_hot(*chosen):
        v = np.zeros((T, C))
        for t, c in chosen:
            v[t, c] = 1
        return v

    scores = model.predict(x, backend=backend)
    equal = [
        ((2, 1), one_hot((2, 1))),
        (1, one_hot(*((t, 1) for t in range(T)))),
        ([0, 2, 2, 1], one_hot((0, 0), (1, 2), (2, 2), (3, 1))),
        (None, one_hot(*enumerate(scores.argmax(axis=1)))),
        ([0.5, 0.0, -1.0], np.tile([0.5, 0.0, -1.0], (T, 1))),
    ]
    for target, weights in equal:
        assert np.array_equal(relevance(target), relevance(weights)), target
    every = relevance("all")
    assert every.shape == (C, T, 5)
    assert relative_error(every[1], relevance(1)) < 1e-12
    targets = [(1, 2), [0, 1], one_hot((3, 1)) * 0.5]
    together = lrplstm.explain(model, batch, method, targets, backend=backend)
    for a, b, target in zip(together, batch, targets, strict=True):
        alone = lrplstm.explain(model, b, method, target, backend=backend)
        assert relative_error(a.input_relevance, alone.input_relevance) < 1e-12
        assert a.scores.shape == (len(b), C)
        assert np.array_equal(a.predicted, a.scores.argmax(axis=1))
    same = lrplstm.explain(model, batch, method, (1, 2), backend=backend)
    assert [a.target for a in same] == [(1, 2)] * 3


def test_what_was_explained_at_steps_can_be_explained_again():
    model = random_model(23, pooling="none")
    for target in (None, (1, 2), 1, [0, 2, 2, 1], [0.5, 0.0, -1.0], "all"):
        a = lrplstm.lrp(model, random_batch(lengths=(4,))[0], target)
        b = lrplstm.explain(model, random_batch(lengths=(4,))[0], a.method, a.target, **a.params)
        assert np.array_equal(a.token_relevance, b.token_relevance)
        assert isinstance(a.caption, str)


def test_integers_are_classes_where_there_is_one_class():
    model = random_model(23, C=1, pooling="none")
    x = random_batch(lengths=(4,))[0]
    every = lrplstm.lrp(model, x, 0).token_relevance
    for target in ([0], [0, 0, 0, 0], [1.0]):
        assert np.array_equal(lrplstm.lrp(model, x, target).token_relevance, every), target
    with pytest.raises(ValueError, match="target: expected classes from 0 to 0, got 1"):
        lrplstm.lrp(model, x, [1])


def test_sequences_of_one_step_keep_their_scores_apart():
    model = random_model(23, pooling="none")
    batch = random_batch(lengths=(1, 1, 1))
    found = lrplstm.lrp(model, batch, (0, 1))
    assert found.scores.shape == (3, 3)
    assert all(a.scores.shape == (1, 3) and a.predicted.shape == (1,) for a in found)


@pytest.mark.parametrize(
    ("target", "error", "match"),
    [
        ((4, 0), ValueError, "target: expected a step from 0 to 3, or from -1 to -4 .* got 4"),
        ((-5, 0), ValueError, "target: expected a step from 0 to 3, or from -1 to -4 .* got -5"),
        ((0, 3), ValueError, "target: expected classes from 0 to 2, got 3"),
        (3, ValueError, "target: expected classes from 0 to 2, got 3"),
        ([0, 1, 2, 3], ValueError, "target: expected classes from 0 to 2, got 3"),
        ([0, 1], ValueError, r"target: expected \(step, class\).* got shape \(2,\)"),
        (np.ones((3, 3)), ValueError, r"got shape \(3, 3\)"),
        (np.full((4, 3), np.nan), ValueError, "finite"),
        ("every", ValueError, "'all'"),
        (True, TypeError, "target: expected"),
        ([None] * 4, TypeError, "target: expected"),
    ],
    ids=str,
)
def test_bad_targets_at_steps(target, error, match):
    model = random_model(23, pooling="none")
    (x,) = random_batch(lengths=(4,))
    with pytest.raises(error, match=match):
        lrplstm.lrp(model, x, target)


@pytest.mark.parametrize(
    ("target", "match"),
    [
        ([(0, 1)], "list of one of those for each of 2 sequences"),
        ([(0, 1), (2, 0)], r"target\[1\]: expected a step from 0 to 1, .* got 2"),
        ([1, 3], r"target\[1\]: expected classes from 0 to 2"),
        ((3, 1), r"target: expected a step from 0 to 1, .* got 3"),
    ],
    ids=str,
)
def test_bad_targets_of_a_batch_at_steps(target, match):
    model = random_model(23, pooling="none")
    with pytest.raises(ValueError, match=match):
        lrplstm.lrp(model, random_batch(lengths=(4, 2)), target)


# Padding ----------------------------------------------------------------------------------------


@pairwise(
    method=lrplstm.METHODS, pooling=["last", "mean"], level=["token", "input"], backend=BACKENDS
)
def test_padded_steps_are_passed_over(backend, pooling, method, level):
    model = random_model(
        29, vocabulary=VOCABULARY, mask_id=0, pooling=pooling, layers=2, unknown_token="e"
    )
    padded = [np.array(ids) for ids in ([0, 3, 0, 5, 1, 0, 0], [2, 4], [0, 1])]
    plain = [ids[ids != 0] for ids in padded]
    options = {"level": level, "backend": backend}
    found = lrplstm.explain(model, padded, method, "all", **options)
    expected = lrplstm.explain(model, plain, method, "all", **options)
    assert np.array_equal(found.scores, expected.scores)
    for a, b, ids in zip(found, expected, padded, strict=True):
        read = ids != 0
        assert np.array_equal(a.token_relevance[:, read], b.token_relevance)
        assert (a.token_relevance[:, ~read] == 0).all()
        assert (b.token_relevance != 0).all()
        assert np.array_equal(a.delta, b.delta)
        assert a.tokens == [VOCABULARY[id_] for id_ in ids]
        assert np.array_equal(a.unknown, ids == 5)
        if level == "input":
            assert np.array_equal(a.input_relevance[:, read], b.input_relevance)
            assert (a.input_relevance[:, ~read] == 0).all()
    one = lrplstm.explain(model, padded[0], method, "all", **options)
    assert np.array_equal(one.token_relevance, found[0].token_relevance)
    words = lrplstm.explain(model, found[0].tokens, method, "all", **options)
    assert np.array_equal(words.token_relevance, one.token_relevance)


def test_hidden_relevance_of_padded_steps():
    model = random_model(29, vocabulary=VOCABULARY, mask_id=0)
    ids = np.array([3, 0, 5])
    hidden = np.random.default_rng(0).normal(size=(3, 8))
    with pytest.raises(ValueError, match="hidden_relevance: expected zeros at padded steps"):
        lrplstm.lrp(model, ids, hidden_relevance=hidden)
    hidden[1] = 0
    a = lrplstm.lrp(model, ids, hidden_relevance=hidden)
    b = lrplstm.lrp(model, ids[[0, 2]], hidden_relevance=hidden[[0, 2]])
    assert np.array_equal(a.token_relevance, [b.token_relevance[0], 0, b.token_relevance[1]])
    again = lrplstm.explain(model, ids, a.method, **a.params)
    assert np.array_equal(again.token_relevance, a.token_relevance)


@backends
@pytest.mark.parametrize("method", ["lrp", "integrated_gradients", "contextual_decomposition"])
def test_poolings_that_take_every_step_read_what_is_between_padding(method, backend):
    padded = np.array([[0, 3, 5, 0, 0], [2, 4, 1, 1, 3], [0, 0, 0, 0, 1]])
    plain = [ids[ids != 0] for ids in padded]
    read = (padded != 0).ravel()
    for pooling in ("max", "none"):
        model = random_model(29, vocabulary=VOCABULARY, mask_id=0, pooling=pooling)
        found, expected = (
            lrplstm.explain(model, ids, method, "all", level="input", backend=backend)
            for ids in (padded, plain)
        )
        assert np.array_equal(found.input_relevance[:, read], expected.input_relevance)
        assert not found.input_relevance[:, ~read].any()
        assert np.array_equal(found.delta, expected.delta)
        if pooling == "max":
            assert np.array_equal(found.scores, expected.scores)
            continue
        for scores in (found.scores, np.concatenate(model.predict(padded, backend=backend))):
            assert np.array_equal(scores[read], expected.scores)
            assert np.isnan(scores[~read]).all()
        assert np.array_equal(found.predicted[read], expected.predicted)
        assert (found.predicted[~read] == -1).all()


def test_targets_of_steps_are_counted_with_the_padding():
    model = random_model(29, vocabulary=VOCABULARY, mask_id=0, pooling="none")
    ids = np.array([0, 3, 5, 0])
    for given, same in (
        (None, None),
        (2, 2),
        ((1, 2), (0, 2)),
        ([-100, 1, 2, -100], [1, 2]),
        (np.arange(12.0).reshape(4, 3), np.arange(3.0, 9.0).reshape(2, 3)),
    ):
        a, b = lrplstm.lrp(model, ids, given), lrplstm.lrp(model, ids[1:3], same)
        assert np.array_equal(a.token_relevance, [0, *b.token_relevance, 0])
        if isinstance(a.target, np.ndarray) and a.target.ndim == 2:
            assert not a.target[[0, 3]].any()
        again = lrplstm.lrp(model, ids, a.target)
        assert np.array_equal(again.token_relevance, a.token_relevance)
    last = lrplstm.lrp(model, ids, (-1, None))  # of what is read
    assert last.target == (2, last.predicted[2])
    record = lrplstm.lrp(model.replaced(class_names=list("xyz")), ids, [-100, 1, 2, -100]).to_dict()
    assert record["target_class"] == [None, "y", "z", None]
    assert record["predicted_class"][0] is None
    assert record["scores"][3] == [None] * 3
    with pytest.raises(ValueError, match="target: expected a step that is no padding, got 3"):
        lrplstm.lrp(model, ids, (3, 0))
    with pytest.raises(
        ValueError, match=r"inputs\[1\]: expected padding .* at position 2; the model"
    ):
        model.predict([[0, 2, 3], [0, 1, 0, 2]])


def test_nothing_but_padding_is_refused():
    model = random_model(29, vocabulary=VOCABULARY, mask_id=0)
    with pytest.raises(ValueError, match="inputs: expected at least one step, got nothing but"):
        model.predict(np.array([0, 0]))


# The model itself -------------------------------------------------------------------------------


def rich_model(dtype=np.float64):
    model = random_model(31, vocabulary=VOCABULARY, head="stack", pooling="mean", dtype=dtype)
    rng = np.random.default_rng(32)
    layers = [
        *model.layers,
        lrplstm.LSTMWeights(**random_weights(rng, 8, 8, dtype).arrays(), reverse=True),
    ]
    return lrplstm.LSTMModel(
        layers,
        head=model.head,
        pooling="mean",
        embedding=model.embedding,
        vocabulary=VOCABULARY,
        mask_id=2,
        origin={"lstm": "encoder.rnn", "head": "fc"},
    )


def same(a, b):
    ids = np.array([1, 3, 2, 4])
    assert np.array_equal(a.predict(ids), b.predict(ids))
    assert (a.mask_id, a.pooling, dict(a.origin)) == (b.mask_id, b.pooling, dict(b.origin))
    assert [h.activation for h in a.head] == [h.activation for h in b.head]
    assert [getattr(layer, "reverse", None) for layer in a.layers] == [None, True]
    assert repr(a) == repr(b)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_saved_and_copied_models_are_the_same(dtype, tmp_path):
    model = rich_model(dtype)
    model.save(tmp_path / "model")
    same(lrplstm.load(tmp_path / "model"), model)
    same(copy.deepcopy(model), model)
    same(model.astype("float64").astype(dtype), model)


def test_repr_says_what_was_found():
    text = repr(rich_model())
    assert "pooling='mean'" in text
    assert "lstm 'encoder.rnn', head 'fc'" in text
    assert repr(lrplstm.LSTMWeights(**rich_model().layers[1].arrays(), reverse=True)) == (
        "LSTMWeights(input_size=8, hidden_size=8, dtype=float64, reverse=True)"
    )


def test_head_weights_are_those_of_one_linear_layer():
    assert random_model(head="stack").head_weight is None
    assert random_model(head="none").head == ()
    model = random_model(head="bias")
    assert model.head[0].weight is model.head_weight
    assert model.head[0].bias is model.head_bias


WEIGHTS = random_weights(np.random.default_rng(1), 3, 2)
DENSE = lrplstm.DenseLayer(np.ones((4, 2)), activation="relu")


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"head": [DENSE], "head_weight": np.ones((1, 2))}, ValueError, "head: expected None"),
        ({"head": DENSE}, TypeError, "head: expected a sequence of DenseLayer"),
        ({"head": [np.ones((1, 2))]}, TypeError, "head: expected a sequence of DenseLayer"),
        ({"head": [DENSE, DENSE]}, ValueError, r"head\[1\]: expected input_size 4, got 2"),
        ({"head": [DENSE.astype("float32")]}, ValueError, r"head\[0\]: expected the dtype"),
        ({"mask_id": 0}, ValueError, "mask_id: .*no embedding"),
        ({"mask_id": 2, "embedding": np.ones((2, 3))}, ValueError, "mask_id: .* 0 <= id < 2"),
        ({"mask_id": 1.0, "embedding": np.ones((2, 3))}, TypeError, "mask_id: expected an id"),
        ({"origin": "torch"}, TypeError, "origin: expected a mapping"),
        (
            {"layers": [[lrplstm.LSTMWeights(**WEIGHTS.arrays(), reverse=True)] * 2]},
            ValueError,
            r"layers\[0\]: expected the forward direction first",
        ),
    ],
    ids=str,
)
def test_bad_models(arguments, error, match):
    with pytest.raises(error, match=match):
        lrplstm.LSTMModel(**({"layers": [WEIGHTS]} | arguments))


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        (
            {"activation": "softmax"},
            ValueError,
            "activation: expected one of 'linear', 'relu', 'tanh'",
        ),
        ({"weight": np.ones(3)}, ValueError, "weight: expected shape"),
        ({"weight": np.ones((2, 3), int)}, TypeError, "weight: expected float32 or float64"),
        ({"bias": np.ones(3)}, ValueError, r"bias: expected shape \(2,\)"),
        ({"bias": np.ones(2, "f4")}, ValueError, "bias: expected the dtype of weight"),
        ({"bias": np.full(2, np.inf)}, ValueError, "bias: .*infinity"),
    ],
    ids=str,
)
def test_bad_layers(arguments, error, match):
    with pytest.raises(error, match=match):
        lrplstm.DenseLayer(**({"weight": np.ones((2, 3))} | arguments))
