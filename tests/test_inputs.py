"""Every accepted form of inputs means what it says; every other is one clear error."""

from __future__ import annotations

import pickle

import ml_dtypes
import numpy as np
import pandas as pd
import pytest
import torch
from random_models import random_batch, random_model
from torch.nn.utils import rnn

import lrplstm
from lrplstm.vocabulary import without_names

VOCABULARY = ["<unk>", "a", "fine", "film", "dull", "."]


@pytest.fixture(scope="module")
def model():
    return random_model(vocabulary=VOCABULARY)


@pytest.fixture(scope="module")
def plain():
    """A model with neither embedding nor vocabulary."""
    return random_model()


# Accepted forms ---------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [m for m in lrplstm.METHODS if m != "random"])
def test_tokens_ids_and_features_of_one_sequence_agree(model, method):
    tokens = ["a", "dull", "film", "."]
    ids = np.array([1, 4, 3, 5])
    by_tokens, by_ids, by_features = (
        lrplstm.explain(model, inputs, method) for inputs in (tokens, ids, model.embedding[ids])
    )
    assert by_tokens.tokens == by_ids.tokens == tokens
    assert by_features.tokens is None
    assert by_tokens.input_relevance is None
    assert by_ids.input_relevance is None
    assert by_features.input_relevance.shape == (4, 5)
    for a in (by_ids, by_features):
        assert (a.scores == by_tokens.scores).all()
        np.testing.assert_allclose(a.token_relevance, by_tokens.token_relevance, rtol=1e-10)


@pytest.mark.parametrize(
    "inputs",
    [
        [1, 4, 3],
        (1, 4, 3),
        np.array([1, 4, 3], np.int8),
        np.array([1, 4, 3], np.uint64),
        np.array([1, 9, 4, 9, 3])[::2],
        [np.int32(1), 4, 3],
        ["a", "dull", "film"],
        ("a", "dull", "film"),
        np.array(["a", "dull", "film"]),
        np.array(["a", "dull", "film"], object),
    ],
    ids=repr,
)
def test_forms_of_one_sequence(model, inputs):
    expected = model.predict(model.embedding[[1, 4, 3]])
    scores = model.predict(inputs)
    assert scores.shape == (3,)
    assert (scores == expected).all()
    batch = model.predict([inputs, inputs])
    assert batch.shape == (2, 3)
    np.testing.assert_allclose(batch, [expected, expected], rtol=1e-13)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int32, np.uint8, ">f8"])
def test_features_of_any_real_dtype_are_converted(plain, dtype):
    x = np.array([[1, 2, 3, 4, 5], [0, 1, 0, 2, 7]], dtype)
    expected = plain.predict(x.astype(np.float64))
    assert expected.dtype == np.float64
    for same in (x, x.tolist(), np.asfortranarray(x), [list(row) for row in x]):
        if isinstance(same, list) and np.dtype(dtype).kind in "iu":
            continue  # a list of lists of integers is a batch of ids
        assert (plain.predict(same) == expected).all()


def test_an_array_of_three_dimensions_is_a_batch(plain):
    x = np.stack(random_batch(lengths=(4, 4, 4)))
    scores = plain.predict(x)
    assert scores.shape == (3, 3)
    np.testing.assert_allclose(scores, [plain.predict(one) for one in x], rtol=1e-13)


def test_rows_of_numbers_are_one_sequence_of_features(plain):
    rows = [[0, 1, 2, 3, 4], [0.5, 0, 0, 0, 1]]
    assert (plain.predict(rows) == plain.predict(np.array(rows))).all()


def test_one_sequence_in_one_attribution_out_and_a_batch_of_one_stays_a_batch(model):
    assert isinstance(lrplstm.lrp(model, ["a"]), lrplstm.Attribution)
    batch = lrplstm.lrp(model, [["a"]])
    assert isinstance(batch, lrplstm.Attributions)
    assert len(batch) == 1
    assert model.predict([["a"]]).shape == (1, 3)


def test_inputs_are_never_changed(model, plain):
    x = random_batch(lengths=(4, 2))
    ids = [np.array([1, 0, 3]), np.array([2])]
    tokens = [["a", "new", "film"], ["."]]
    hidden = random_batch(5, D=8, lengths=(4, 2))
    target = np.array([[0.5, 0, 1], [1, 2, -3]])
    before = [array.copy() for array in (*x, *ids, *hidden, target)]
    for method in lrplstm.METHODS:
        for backend in ("kernel", "reference"):
            lrplstm.explain(plain, x, method, target, backend=backend)
            lrplstm.explain(model, ids, method, "all", backend=backend)
            lrplstm.explain(model, tokens, method, backend=backend)
    lrplstm.lrp(plain, x, hidden_relevance=hidden)
    for array, old in zip((*x, *ids, *hidden, target), before, strict=True):
        assert (array == old).all()
    assert tokens == [["a", "new", "film"], ["."]]


# Unknown tokens ---------------------------------------------------------------------------------


def test_unknown_tokens_share_the_unknown_tokens_vector_and_are_marked(model):
    a = lrplstm.lrp(model, ["a", "zany", "film"])
    assert a.tokens == ["a", "zany", "film"]
    assert a.unknown.tolist() == [False, True, False]
    assert (a.scores == model.predict(["a", "<unk>", "film"])).all()
    assert (a.scores == model.predict(["a", "odd", "film"], unknown="unk")).all()


def test_unknown_zero_is_a_zero_vector(model):
    a = lrplstm.lrp(model, ["a", "zany", "film"], unknown="zero", level="input")
    features = model.embedding[[1, 0, 3]].copy()
    features[1] = 0
    assert (a.scores == model.predict(features)).all()
    assert a.unknown.tolist() == [False, True, False]
    assert (lrplstm.gradient_x_input(model, ["zany"], unknown="zero").token_relevance == 0).all()


def test_unknown_error_names_token_position_and_choices(model):
    with pytest.raises(ValueError, match=r"'zany' at position 1.*'error', 'unk'.*'zero'"):
        model.predict(["a", "zany"], unknown="error")
    with pytest.raises(ValueError, match=r"inputs\[1\]: token 'odd' at position 0"):
        model.predict([["a"], ["odd"]], unknown="error")


def test_without_an_unknown_token_the_default_is_an_error():
    model = random_model(vocabulary=["a", "film"])
    assert model.unknown_token is None
    with pytest.raises(ValueError, match="'zany'"):
        model.predict(["zany"])
    with pytest.raises(ValueError, match="no unknown token"):
        model.predict(["a"], unknown="unk")
    assert np.isfinite(model.predict(["zany"], unknown="zero")).all()


def test_the_unknown_token_itself_is_marked(model):
    for inputs in ([1, 0, 3], ["a", "<unk>", "film"]):
        assert lrplstm.lrp(model, inputs).unknown.tolist() == [False, True, False]
    assert not lrplstm.lrp(random_model(), random_batch()[0]).unknown.any()


# Errors -----------------------------------------------------------------------------------------

NAN = np.where(np.arange(10).reshape(2, 5) == 8, np.nan, 1.0)
BAD = [
    ("a fine film", TypeError, "list of tokens"),
    (b"a fine film", TypeError, "got bytes; pass a list of tokens"),
    (bytearray([1, 2]), TypeError, "got bytearray; pass a list of tokens"),
    ([b"ab", b"ab"], TypeError, r"inputs\[0\]: .*got b'ab'"),
    (None, TypeError, "NoneType"),
    (7, TypeError, "int"),
    (np.array(7), TypeError, "ndarray"),
    ({"a": 1}, TypeError, "dict"),
    ([], ValueError, "at least one"),
    ((), ValueError, "at least one"),
    (np.zeros((0, 5)), ValueError, "at least one"),
    (np.zeros((2, 0, 5)), ValueError, r"inputs\[0\].*empty"),
    (np.zeros((0, 3, 5)), ValueError, "at least one"),
    ([["a"], []], ValueError, r"inputs\[1\].*empty"),
    ([["a"], "b"], TypeError, r"inputs\[1\]"),
    ([["a"], None], TypeError, r"inputs\[1\].*None"),
    ([["a"], [1]], TypeError, r"inputs\[1\]: expected tokens.*got ids"),
    (["a", 1], TypeError, "inputs"),
    ([["a", None]], TypeError, r"inputs\[0\]"),
    ([True, False], TypeError, "inputs"),
    (np.array([True, False]), TypeError, "bools"),
    (np.array([1.0, 2.0]), TypeError, "floats in 1 dimension"),
    ([6], ValueError, "id 6 at position 0.*0 <= id < 6"),
    ([[1, 2], [3, -1]], ValueError, r"inputs\[1\]: id -1 at position 1"),
    ([2**70], ValueError, "out of range"),
    (np.array([2**63 + 1], np.uint64), ValueError, "out of range"),
    ([np.array([[1, 2], [3, 4]])], TypeError, r"inputs\[0\]: .*\(T,\), got integers in 2 dim"),
    (np.array([[1, 6], [3, 4]]), ValueError, r"inputs\[0\]: id 6 at position 1"),
    (
        ["a fine film", "dull"],
        ValueError,
        "got text with spaces .*'a fine film' at position 0; pass",
    ),
    ([["a"], ["so\tdull ."]], ValueError, r"inputs\[1\]: .*'so\\tdull \.' at position 0"),
    (np.array(["dull film", "a"]), ValueError, "'dull film' at position 0"),
    ([b"a", b"film"], TypeError, "inputs.*b'a'"),
    (np.zeros((3, 4)), ValueError, r"\(T, 5\), got \(3, 4\)"),
    ([np.zeros((3, 5)), np.zeros((3, 6))], ValueError, r"inputs\[1\].*\(3, 6\)"),
    (np.zeros((2, 2, 2, 5)), TypeError, "4 dimension"),
    (np.zeros((2, 5), complex), TypeError, "inputs"),
    (np.full((2, 5), Ellipsis), TypeError, "inputs"),
    (NAN, ValueError, "inputs: variable 3 at step 1: expected a finite number, got nan; fill"),
    ([np.zeros((3, 5)), NAN], ValueError, r"inputs\[1\]: variable 3 at step 1: .*nan"),
    (
        np.full((2, 5), np.nan),
        ValueError,
        "variable 0 at step 0: .*; give sequences without their padding",
    ),
    (np.full((2, 5), -np.inf), ValueError, "variable 0 at step 0: .* got -inf"),
    ([[0.5, 1.0], [1.0]], ValueError, "one length"),
]


@pytest.mark.parametrize(("inputs", "error", "match"), BAD, ids=lambda value: repr(value)[:40])
def test_bad_inputs(model, inputs, error, match):
    with pytest.raises(error, match=match):
        model.predict(inputs)
    for method in lrplstm.METHODS:
        with pytest.raises(error, match=match):
            lrplstm.explain(model, inputs, method)


def hidden(array, where):
    """The array with one element hidden."""
    masked = np.ma.array(array)
    masked[where] = np.ma.masked
    return masked


X = np.random.default_rng(0).normal(size=(4, 5))
X_HIDDEN = hidden(X, (2, 1))


@pytest.mark.parametrize(
    ("inputs", "name"),
    [
        (X_HIDDEN, "inputs"),
        ([X_HIDDEN, X], r"inputs\[0\]"),
        ([X, X_HIDDEN], r"inputs\[1\]"),
        (hidden(np.stack([X, X]), (1, 0, 0)), r"inputs\[1\]"),
        (list(X_HIDDEN), "inputs"),
        (hidden(np.array([1, 4, 3]), 1), "inputs"),
        ([[1, 4], hidden(np.array([1, 4, 3]), 1)], r"inputs\[1\]"),
        (hidden(np.array(["a", "film"]), 1), "inputs"),
    ],
)
def test_masked_elements_are_refused(model, inputs, name):
    match = rf"^{name}: expected no masked elements; drop or fill them$"
    for backend in ("kernel", "reference"):
        with pytest.raises(ValueError, match=match):
            lrplstm.lrp(model, inputs, backend=backend)
    with pytest.raises(ValueError, match=match):
        model.predict(inputs)


def test_masked_elements_of_other_arguments_are_refused(plain):
    relevance = hidden(np.ones((4, plain.width)), (0, 0))
    for given, inputs in ((relevance, X), ([relevance], [X])):
        with pytest.raises(ValueError, match=r"^hidden_relevance.*: expected no masked elements"):
            lrplstm.lrp(plain, inputs, hidden_relevance=given)
    with pytest.raises(ValueError, match=r"^target: expected no masked elements"):
        lrplstm.lrp(plain, X, hidden(np.ones(3), 0))
    with pytest.raises(ValueError, match=r"^weight_ih: expected no masked elements"):
        lrplstm.LSTMWeights(hidden(np.ones((8, 3)), (0, 0)), np.ones((8, 2)), np.zeros(8))


def test_a_mask_that_hides_nothing_is_none(plain):
    assert (plain.predict(np.ma.array(X)) == plain.predict(X)).all()
    assert (plain.predict([np.ma.array(X)]) == plain.predict(X)).all()


def test_features_too_large_for_float32():
    with pytest.raises(ValueError, match=r"finite number, got 1e\+60, too large for float32"):
        random_model(dtype=np.float32).predict(np.full((2, 5), 1e60))


def test_models_without_embedding_or_vocabulary_say_so(plain):
    with pytest.raises(ValueError, match="no vocabulary"):
        plain.predict(["a"])
    with pytest.raises(ValueError, match=r"got ids \(integers\).* no embedding"):
        plain.predict([1, 2])
    only_ids = lrplstm.LSTMModel(plain.layers, embedding=np.ones((4, 5)))
    assert lrplstm.lrp(only_ids, [3, 1]).tokens is None
    with pytest.raises(ValueError, match="no vocabulary"):
        only_ids.predict(["a"])


# As other libraries have it ---------------------------------------------------------------------

IDS = np.array([[1, 4, 3], [0, 3, 5]])
HALVES = np.array([[0.5, -1.25, 2, 0, 1], [1, 3, -0.5, 4, 0]])  # bfloat16 has all of these


def same(model, inputs, expected):
    return np.array_equal(model.predict(inputs), model.predict(expected))


def test_integers_in_two_dimensions_are_a_batch_of_ids(model):
    expected = model.predict(list(IDS))
    for ids in (IDS, IDS.astype(np.uint8), IDS.tolist(), torch.tensor(IDS), IDS.astype(object)):
        assert np.array_equal(model.predict(ids), expected)
    words = np.array(VOCABULARY)[IDS]
    assert np.array_equal(model.predict(words), expected)
    a = lrplstm.lrp(model, torch.tensor(IDS, dtype=torch.int32))
    assert [one.tokens for one in a] == words.tolist()
    assert model.predict(IDS[:1]).shape == (1, 3)


def test_tensors_are_copied_without_their_gradients(plain):
    x = torch.tensor(HALVES, requires_grad=True)
    for tensor in (x, x.bfloat16(), x.to_sparse(), torch.nn.Parameter(x.half()), list(x)):
        assert same(plain, tensor, HALVES)
    assert same(plain, [x, x], [HALVES, HALVES])
    assert x.requires_grad
    bfloats = np.array(HALVES, ml_dtypes.bfloat16)
    assert same(plain, bfloats, HALVES)
    a, b = (
        lrplstm.integrated_gradients(plain, HALVES, vector(np.arange(3.0)), baseline=vector(X[0]))
        for vector in (np.asarray, lambda v: torch.tensor(v, requires_grad=True))
    )
    assert np.array_equal(a.token_relevance, b.token_relevance)
    with pytest.raises(
        TypeError, match=r"^inputs: expected numbers, got a tensor on the device 'm"
    ):
        plain.predict(torch.empty(2, 5, device="meta"))


def test_a_packed_sequence_is_what_was_packed(plain, model):
    batch = random_batch(lengths=(3, 6, 1, 6))
    for ordered in (False, True):
        if ordered:
            batch = sorted(batch, key=len, reverse=True)
        packed = rnn.pack_sequence([torch.tensor(x) for x in batch], enforce_sorted=ordered)
        assert same(plain, packed, batch)
    ids = [[1, 4, 3], [5], [0, 2]]
    packed = rnn.pack_sequence([torch.tensor(i) for i in ids], enforce_sorted=False)
    assert same(model, packed, ids)
    with pytest.raises(
        TypeError, match=r"^inputs\[0\]: .* got a PackedSequence; pass it by itself"
    ):
        model.predict([packed])


FRAME = pd.DataFrame(
    {"rain": [0.5, 1, 2], "wet": [True, False, True], "n": [1, 2, 3], "x": 0.0, 4: 7}
)


def frame(kind):
    """A table of 3 steps and 5 variables, and what it should be taken for."""
    return {
        "bools and integers": FRAME,
        "nullable": FRAME.convert_dtypes(),
        "sparse": FRAME.assign(x=pd.arrays.SparseArray([0, 1.5, 0])),
        "its array": FRAME.to_numpy(),
        "objects": FRAME.astype(object),
        "bools": FRAME > 0.7,
    }[kind]


@pytest.mark.parametrize(
    "kind",
    ["bools and integers", "nullable", "sparse", "its array", "objects", "bools"],
)
def test_tables_without_missing_values_are_numbers(plain, kind):
    table = frame(kind)
    expected = np.array(np.asarray(table).tolist(), float)
    assert same(plain, table, expected)
    assert same(plain, [table, table], [expected, expected])


@pytest.mark.parametrize(
    ("column", "error", "match"),
    [
        (
            pd.array([1, None, 3], "Int64"),
            ValueError,
            "variable 'n' at step 1: expected a finite number, got nan",
        ),
        ([1.5, 2.5, np.nan], ValueError, "variable 'n' at step 2: expected a finite number"),
        ([None, True, False], ValueError, "variable 'n' at step 0: expected a finite number"),
        (["no", "1", "2"], TypeError, "got column 'n' of dtype String"),
        (pd.to_datetime([3, 4, 5]), ValueError, r"got \(3, 4\): 'rain', 'wet', 'x', '4'"),
        (pd.Categorical(list("aba")), TypeError, "got column 'n' of dtype Categorical"),
    ],
)
def test_columns_that_are_no_numbers_are_named(plain, column, error, match):
    with pytest.raises(error, match=match):
        plain.predict(FRAME.assign(n=column))


def test_columns_of_lists_and_of_tokens(model):
    lists = pd.Series([["a", "fine", "film"], ["dull"]])
    for column in (lists, lists.to_numpy(), pd.Series([[1, 2, 3], [4]])):
        assert same(model, column, lists.tolist())
    assert same(model, pd.Series(["a", "film"]), ["a", "film"])
    assert same(model, pd.Series([1, 3], dtype="Int64"), [1, 3])
    assert same(model, pd.DataFrame(IDS), IDS)
    with pytest.raises(ValueError, match="got text with spaces"):
        model.predict(pd.Series(["a fine film", "dull"]))


# Texts ------------------------------------------------------------------------------------------


def test_a_text_is_split_by_the_models_tokenizer():
    model = random_model(vocabulary=VOCABULARY, tokenizer="whitespace")
    assert lrplstm.lrp(model, "a fine  film").tokens == ["a", "fine", "film"]
    assert model.tokenize("a fine film") == ["a", "fine", "film"]
    texts = ["a fine film", "dull"]
    for several in (texts, tuple(texts), np.array(texts), pd.Series(texts)):
        assert model.tokenize(several) == [["a", "fine", "film"], ["dull"]]
    for unknown in (None, "unk", "zero", "error"):
        with pytest.raises(ValueError, match=r"'a fine film'.*as model\.tokenize\(texts\) makes"):
            model.predict(texts, unknown=unknown)
    with pytest.raises(ValueError, match="inputs: expected at least one word"):
        model.predict(" \n")
    with pytest.raises(TypeError, match="text: expected str, got 3 at position 1"):
        model.tokenize(["a", 3])
    with pytest.raises(TypeError, match="text: expected a str or several, got bytes"):
        model.tokenize(b"a")
    with pytest.raises(ValueError, match=r"text: the model names no tokenizer; .*replaced"):
        model.replaced(tokenizer=None).tokenize("a")


def test_tokens_may_have_spaces_that_the_vocabulary_has():
    model = random_model(vocabulary=[*VOCABULARY, "New York", "8\xa01/2"])
    assert not lrplstm.lrp(model, ["New York", "8\xa01/2"]).unknown.any()
    assert lrplstm.lrp(model, ["9\xa01/2", " ", "dull "]).unknown.all()


# Vocabularies -----------------------------------------------------------------------------------


def test_a_vocabulary_by_token_or_of_some_ids(tmp_path):
    """As Keras' word_index, which starts at 1; what has no token is shown by its id."""
    by_token = {"fine": 2, "a": 1, "": 4}
    names = (None, "a", "fine", None, "", None)
    embedding = np.random.default_rng(1).normal(size=(6, 5))
    model = random_model(embedding=embedding).replaced(vocabulary=by_token)
    assert model.vocabulary == names
    for other in (
        model.replaced(vocabulary=names[:5]),
        model.replaced(class_names=list("xyz")),
        model.astype("float32"),
        pickle.loads(pickle.dumps(model)),
    ):
        assert other.vocabulary == names
    model.save(tmp_path)
    loaded = lrplstm.load(tmp_path)
    assert loaded.vocabulary == names
    for one in (model, loaded):
        assert lrplstm.lrp(one, [1, 0, 4, 5]).tokens == ["a", "#0", "", "#5"]
        with pytest.raises(ValueError, match="'#0' at position 0 is not in the vocabulary"):
            one.predict(["#0"])


@pytest.mark.parametrize(
    ("tokens", "unnamed", "match"),
    [
        (["", "a", "film", ""], [[0, 1], [2, 4]], "empty lines for ids 2 to 3, got tokens"),
        (["", "a", "", ""], [[2, 5]], r"rising pairs of ids up to 4, got \[2, 5\]"),
        (["", "a", "", ""], [[2, 4], [0, 1]], r"rising pairs .*got \[0, 1\]"),
        (["", "a"], [[0, True]], "rising pairs"),
        (["", "a"], {"0": 1}, "rising pairs"),
        (None, [[0, 1]], "rising pairs of ids up to 0"),
    ],
)
def test_files_whose_unnamed_ids_are_others(tokens, unnamed, match):
    with pytest.raises(ValueError, match=match):
        without_names(tokens, unnamed)


@pytest.mark.parametrize(
    ("vocabulary", "error", "match"),
    [
        ({"a": 6}, ValueError, "0 <= id < 6 .*got 6 of token 'a'; leave out"),
        ({"a": -1}, ValueError, "got -1 of token 'a'"),
        ({"a": 1, "b": 1}, ValueError, "expected distinct ids, got 1 of 'a' and of 'b'"),
        ({"a": 1.0}, TypeError, "expected an id of token 'a', got 1.0"),
        ({"a": True}, TypeError, "expected an id of token 'a', got True"),
        ({1: "a"}, TypeError, "expected str, got 1"),
        ({}, ValueError, "at least one token"),
        ([], ValueError, "expected 6 tokens.*got 0"),
        (["a", "a"], ValueError, "expected distinct tokens, got 'a' at 0 and at 1"),
        ("abc", TypeError, "or a dict of ids by token, got str"),
    ],
)
def test_bad_vocabularies(vocabulary, error, match):
    with pytest.raises(error, match="^vocabulary: .*" + match):
        random_model(embedding=np.ones((6, 5))).replaced(vocabulary=vocabulary)
