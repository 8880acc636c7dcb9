"""LSTMWeights and LSTMModel: what they hold, and what they refuse."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from random_models import random_batch, random_model, random_weights

import lrplstm
from lrplstm import LSTMModel, LSTMWeights

RNG = np.random.default_rng(0)
W_IH, W_HH, B = RNG.normal(size=(8, 3)), RNG.normal(size=(8, 2)), RNG.normal(size=8)
HEAD = RNG.normal(size=(5, 2))
EMBEDDING = RNG.normal(size=(4, 3))
TOKENS = ["<unk>", "a", "fine", "film"]


def with_value(array, value):
    changed = array.copy()
    changed.flat[1] = value
    return changed


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ((W_IH[:7], W_HH, B), ValueError, r"weight_ih: .*\(7, 3\): 7 is no multiple of 4"),
        ((W_IH, W_HH.T, B), ValueError, r"weight_hh: expected shape \(8, 2\), got \(2, 8\)"),
        ((W_IH, W_HH, B[:7]), ValueError, r"bias: expected shape \(8,\), got \(7,\)"),
        ((W_IH, W_HH, B[:, None]), ValueError, r"bias: expected shape \(8,\), got \(8, 1\)"),
        ((B, W_HH, B), ValueError, r"weight_ih: expected shape .*got \(8,\)"),
        ((W_IH[:0], W_HH, B), ValueError, r"weight_ih: .*got \(0, 3\)"),
        ((W_IH[:, :0], W_HH, B), ValueError, r"weight_ih: .*got \(8, 0\)"),
        ((with_value(W_IH, np.nan), W_HH, B), ValueError, "weight_ih: .*NaN"),
        ((W_IH, with_value(W_HH, np.inf), B), ValueError, "weight_hh: .*infinity"),
        ((W_IH, W_HH.astype("f4"), B), ValueError, "weight_hh: .*float64, got float32"),
        ((W_IH.astype(int), W_HH, B), TypeError, "weight_ih: .*int64"),
        ((W_IH.astype("f2"), W_HH, B), TypeError, "weight_ih: .*float16"),
        ((W_IH.astype(complex), W_HH, B), TypeError, "weight_ih: .*complex"),
        ((W_IH, W_HH, ["a"] * 8), TypeError, "bias"),
        ((W_IH, W_HH, [[1.0], [1.0, 2.0]]), ValueError, "bias"),
        ((None, W_HH, B), TypeError, "weight_ih"),
    ],
)
def test_bad_weights(arguments, error, match):
    with pytest.raises(error, match=match):
        LSTMWeights(*arguments)


@pytest.mark.parametrize("name", ["initial_hidden", "initial_cell"])
def test_bad_initial_states(name):
    with pytest.raises(ValueError, match=rf"{name}: expected shape \(2,\), got \(3,\)"):
        LSTMWeights(W_IH, W_HH, B, **{name: np.ones(3)})
    with pytest.raises(ValueError, match=f"{name}: .*float32"):
        LSTMWeights(W_IH, W_HH, B, **{name: np.ones(2, np.float32)})


LSTM = LSTMWeights(W_IH, W_HH, B)
SECOND = random_weights(RNG, 2, 4)
WIDE = random_weights(RNG, 3, 4)
TWO = (LSTM, LSTMWeights(-W_IH, W_HH, B))


@pytest.mark.parametrize(
    ("layers", "arguments", "error", "match"),
    [
        ([], {}, ValueError, "layers: .*at least one"),
        (LSTM, {}, TypeError, "layers: expected a sequence"),
        ("layers", {}, TypeError, r"layers"),
        ([W_IH], {}, TypeError, r"layers\[0\]: expected LSTMWeights"),
        ([(LSTM,)], {}, TypeError, r"layers\[0\].*pair"),
        ([(LSTM, LSTM, LSTM)], {}, TypeError, r"layers\[0\].*pair"),
        ([(LSTM, WIDE)], {}, ValueError, r"layers\[0\]: expected one hidden_size.*2 and 4"),
        ([LSTM, WIDE], {}, ValueError, r"layers\[1\]: expected input_size 2, got 3"),
        ([LSTM, SECOND.astype("f4")], {}, ValueError, r"layers\[1\]: .*float64, got float32"),
        ([LSTM], {"head_weight": HEAD.T}, ValueError, r"head_weight: .*2\), got \(2, 5\)"),
        ([TWO], {"head_weight": HEAD}, ValueError, r"head_weight: .*4\), got \(5, 2\)"),
        ([LSTM], {"head_weight": HEAD.astype("f4")}, ValueError, "head_weight: .*float32"),
        ([LSTM], {"head_weight": with_value(HEAD, np.nan)}, ValueError, "head_weight: .*NaN"),
        (
            [LSTM],
            {"head_weight": HEAD, "head_bias": np.ones(4)},
            ValueError,
            r"head_bias: expected shape \(5,\), got \(4,\)",
        ),
        ([LSTM], {"head_bias": np.ones(2)}, ValueError, "head_bias: .*no head_weight"),
        (
            [LSTM],
            {"pooling": "first"},
            ValueError,
            "pooling: expected one of 'last', .*, got 'first'",
        ),
        ([LSTM], {"pooling": None}, TypeError, "pooling: .*NoneType"),
        ([LSTM], {"embedding": EMBEDDING.T}, ValueError, r"embedding: .*3\), got \(3, 4\)"),
        ([LSTM], {"embedding": EMBEDDING.astype("f4")}, ValueError, "embedding: .*float32"),
        ([LSTM], {"vocabulary": TOKENS}, ValueError, "vocabulary: .*no embedding"),
        (
            [LSTM],
            {"embedding": EMBEDDING, "vocabulary": [*TOKENS, "more"]},
            ValueError,
            "vocabulary: expected 4 tokens.*got 5",
        ),
        (
            [LSTM],
            {"embedding": EMBEDDING, "vocabulary": ["a", "b", "c", "a"]},
            ValueError,
            "vocabulary: expected distinct tokens, got 'a' at 0 and at 3",
        ),
        ([LSTM], {"embedding": EMBEDDING, "vocabulary": "text"}, TypeError, "vocabulary"),
        (
            [LSTM],
            {"embedding": EMBEDDING, "vocabulary": ["a", 2, "c", "d"]},
            TypeError,
            "vocabulary: expected str, got 2 at position 1",
        ),
        (
            [LSTM],
            {"embedding": EMBEDDING, "vocabulary": TOKENS, "unknown_token": "UNK"},
            ValueError,
            "unknown_token: .*'UNK'",
        ),
        ([LSTM], {"unknown_token": "<unk>"}, ValueError, "unknown_token"),
        ([LSTM], {"class_names": ["a", "b", "c"]}, ValueError, "class_names: expected 2.*got 3"),
        ([LSTM], {"class_names": [0, 1]}, TypeError, "class_names"),
        ([LSTM], {"class_names": ["a", "a"]}, ValueError, "class_names: .*'a' at 0 and at 1"),
        ([LSTM], {"class_names": ["a", " "]}, ValueError, "class_names: .*empty one at position 1"),
        ([LSTM], {"tokenizer": 3}, TypeError, "tokenizer"),
    ],
)
def test_bad_models(layers, arguments, error, match):
    with pytest.raises(error, match=match):
        LSTMModel(layers, **arguments)


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("head", ["bias", "no bias", "none"])
def test_sizes(bidirectional, layers, head):
    model = random_model(D=5, H=4, C=3, layers=layers, bidirectional=bidirectional, head=head)
    assert (model.input_size, model.hidden_size, model.num_layers) == (5, 4, layers)
    assert model.bidirectional is bidirectional
    assert model.num_classes == (3 if head != "none" else 4 * (1 + bidirectional))
    assert model.dtype == np.float64
    assert model.predict(random_batch()).shape == (4, model.num_classes)
    assert f"num_layers={layers}" in repr(model)


def test_a_model_is_as_given_and_read_only():
    model = LSTMModel([TWO], np.ones((5, 4)), embedding=EMBEDDING, vocabulary=TOKENS)
    assert model.layers == (TWO,)
    assert model.vocabulary == tuple(TOKENS)
    assert model.unknown_token == "<unk>"
    for array in (*TWO[0].arrays().values(), model.head_weight, model.embedding):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    with pytest.raises(FrozenInstanceError):
        model.head_weight = None
    with pytest.raises(FrozenInstanceError):
        TWO[0].bias = B


def test_a_model_does_not_follow_changes_of_what_it_was_made_from():
    arrays = [W_IH.copy(), W_HH.copy(), B.copy(), HEAD.copy()]
    model = LSTMModel([LSTMWeights(*arrays[:3])], arrays[3])
    (x,) = random_batch(D=3, lengths=(4,))
    before = model.predict(x)
    for array in arrays:
        array += 1
    assert (model.predict(x) == before).all()


@pytest.mark.parametrize(
    "change", [np.asfortranarray, lambda a: a.astype(">f8"), np.ndarray.tolist]
)
def test_layout_and_byte_order_do_not_matter(change):
    model = LSTMModel([LSTMWeights(change(W_IH), change(W_HH), change(B))], change(HEAD))
    (x,) = random_batch(D=3, lengths=(4,))
    assert (model.predict(x) == LSTMModel([LSTM], HEAD).predict(x)).all()


def test_astype():
    double = random_model(vocabulary=TOKENS, class_names=["x", "y", "z"], tokenizer="whitespace")
    single = double.astype(np.float32)
    assert single.dtype == np.float32
    assert double.dtype == np.float64
    assert single.vocabulary == double.vocabulary
    assert single.class_names == double.class_names
    assert single.tokenizer == "whitespace"
    scores = single.predict(["a", "film"])
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, double.predict(["a", "film"]), rtol=1e-5)
    back = single.astype("float64")
    np.testing.assert_array_equal(back.embedding, single.embedding)
    for dtype in (np.float16, int, "words", None):
        with pytest.raises(TypeError, match="dtype: expected float32 or float64"):
            double.astype(dtype)
    huge = LSTMModel([LSTMWeights(W_IH * 1e300, W_HH, B)])
    with pytest.raises(ValueError, match=r"weight_ih: .*infinity"):
        huge.astype(np.float32)


def test_a_model_can_be_pickled():
    """As multiprocessing does."""
    model = random_model(vocabulary=TOKENS)
    for same in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert (same.predict(["a", "new"]) == model.predict(["a", "new"])).all()
        assert same.unknown_token == "<unk>"
        assert not same.embedding.flags.writeable
        assert not same.layers[0][1].weight_hh.flags.writeable


def test_a_read_only_view_of_what_can_change_is_copied():
    base = W_IH.copy()
    view = base.view()
    view.flags.writeable = False
    weights = LSTMWeights(view, W_HH, B)
    base[:] = 7
    assert (weights.weight_ih == W_IH).all()
    frozen = W_IH.copy()
    frozen.flags.writeable = False
    assert LSTMWeights(frozen, W_HH, B).weight_ih is frozen


def test_layers_may_differ_in_width():
    rng = np.random.default_rng(5)
    first = (random_weights(rng, 3, 4), random_weights(rng, 3, 4))
    second = (random_weights(rng, 8, 2), random_weights(rng, 8, 2))
    model = LSTMModel([first, second], rng.normal(size=(2, 4)))
    assert (model.input_size, model.hidden_size) == (3, 2)
    (x,) = random_batch(D=3, lengths=(5,))
    a, b = (lrplstm.lrp(model, x, bias_factor=1.0, backend=k) for k in ("kernel", "reference"))
    np.testing.assert_allclose(a.input_relevance, b.input_relevance, rtol=1e-9)
    assert abs(a.delta) < 1e-12
