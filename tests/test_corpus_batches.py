"""A record batch in, one out: what `lrplstm.lrp` says of each row, or why it has none."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import lrplstm
from lrplstm.corpus import explain_record_batch, output_schema

pa = pytest.importorskip("pyarrow")

TEXTS = ["A fine film.", "Never dull, never good!", "Dull.", "It is what it is ."]
TOKENS = [["a", "fine", "film"], ["dull"], ["a", "dull", "film", "."], ["never", "good"]]
IDS = [[5, 7, 9], [11], [3, 2, 200, 4], [8, 8]]


@pytest.fixture(scope="module")
def model():
    return lrplstm.load_default()


@pytest.fixture(scope="module")
def of_series():
    rng = np.random.default_rng(3)
    D, H = 2, 4
    forward = lrplstm.LSTMWeights(
        *(rng.normal(0, 0.5, s) for s in [(4 * H, D), (4 * H, H), (4 * H,)])
    )
    return lrplstm.LSTMModel([forward], rng.normal(0, 0.5, (3, H)), np.array([0.1, -0.2, 0.3]))


def series():
    rng = np.random.default_rng(4)
    return [rng.normal(size=(length, 2)) for length in (5, 1, 3)]


def check(model, result, inputs, **arguments):
    """Compare a result with `lrplstm.lrp`, row by row."""
    assert result.column("error").null_count == len(inputs) == result.num_rows
    for n, one in enumerate(inputs):
        alone = lrplstm.lrp(model, one, **arguments)
        row = {name: result.column(name)[n].as_py() for name in result.schema.names}
        name = "input_relevance" if "input_relevance" in row else "token_relevance"
        close = {"rtol": 1e-4, "atol": 1e-5}
        np.testing.assert_allclose(row[name], getattr(alone, name), **close)
        np.testing.assert_allclose(row["scores"], alone.scores, **close)
        np.testing.assert_allclose(row["delta"], alone.delta, **close)
        assert row["predicted"] == alone.predicted


def test_texts(model):
    batch = pa.record_batch({"id": [4, 3, 2, 1], "text": TEXTS})
    result = explain_record_batch(model, batch)
    check(model, result, [model.encoder.tokenize("text", text) for text in TEXTS])
    assert result.column("id").to_pylist() == [4, 3, 2, 1]
    assert "text" not in result.schema.names
    words = pa.record_batch({"words": [" ".join(words) for words in TOKENS]})
    check(model, explain_record_batch(model, words, column="words", tokenized=True), TOKENS)


@pytest.mark.parametrize(
    "type_",
    [
        pa.list_(pa.string()),
        pa.large_list(pa.large_string()),
        pa.list_(pa.dictionary(pa.int32(), pa.string())),
    ],
    ids=str,
)
def test_tokens(model, type_):
    try:
        tokens = pa.array(TOKENS, pa.large_list(pa.string())).cast(type_)
    except pa.ArrowNotImplementedError:
        tokens = pa.array(TOKENS, type_)
    # What is cut out of a longer array has its values elsewhere.
    batch = pa.record_batch({"tokens": tokens}).slice(1, 2)
    result = explain_record_batch(model, batch)
    check(model, result, TOKENS[1:3])
    assert result.column("tokens").to_pylist() == TOKENS[1:3]


def test_ids(model):
    batch = pa.record_batch({"ids": pa.array(IDS, pa.list_(pa.int32()))})
    check(model, explain_record_batch(model, batch, target=2), IDS, target=2)
    as_text = pa.record_batch({"text": [" ".join(map(str, ids)) for ids in IDS]})
    check(model, explain_record_batch(model, as_text, ids=True), IDS)


@pytest.mark.parametrize("fixed", [False, True])
def test_series(of_series, fixed):
    step = pa.list_(pa.float64(), 2) if fixed else pa.list_(pa.float64())
    given = [x.tolist() for x in series()]
    batch = pa.record_batch({"series": pa.array(given, pa.list_(step))})
    check(of_series, explain_record_batch(of_series, batch), series())


def test_kinds_of_text(model):
    expected = explain_record_batch(model, pa.record_batch({"text": TEXTS})).to_pydict()
    for type_ in (pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())):
        batch = pa.record_batch({"text": pa.array(TEXTS, type_)})
        assert explain_record_batch(model, batch).to_pydict() == expected, type_


def test_a_row_that_cannot_be_explained_says_why_and_disturbs_no_other(model):
    texts = pa.record_batch({"text": [None, TEXTS[0], "", "   ", TEXTS[2], "dull " * 30]})
    result = explain_record_batch(model, texts, max_tokens=20)
    assert [error and error.partition(",")[0] for error in result.column("error").to_pylist()] == [
        "expected a sequence",
        None,
        "expected at least one step",
        "expected at least one step",
        None,
        "expected at most 20 steps",
    ]
    bad = [0, 2, 3, 5]
    for name in ("token_relevance", "scores", "predicted", "delta", "tokens"):
        column = result.column(name)
        assert [n for n in range(6) if not column[n].is_valid] == bad
    check(model, result.take([1, 4]), [model.encoder.tokenize("text", TEXTS[n]) for n in (0, 2)])
    ids = pa.record_batch({"ids": [[1, 2], [10**6], [1, None]]})
    errors = explain_record_batch(model, ids).column("error").to_pylist()
    assert errors[0] is None
    assert "1000000" in errors[1].replace(",", "")
    assert "null at position 1" in errors[2]


def test_rows_of_numbers_that_are_wrong(of_series):
    given = [[[0.1, 0.2]], [[0.1]], [[np.nan, 1.0]], [[0.3, 0.1], [1.0, 2.0]], []]
    errors = explain_record_batch(of_series, pa.record_batch({"series": given})).column("error")
    assert [error is None for error in errors.to_pylist()] == [True, False, False, True, False]


ARGUMENTS = [{}, {"target": "all"}, {"level": "input"}, {"method": "gradient_x_input"}]


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
def test_the_schema_is_the_same_whatever_is_in_a_batch(model, arguments):
    batch = pa.record_batch({"id": [1, 2, 3], "text": ["A fine film.", None, "Dull."]})
    schema = output_schema(model, batch.schema, **arguments)
    for some in (batch, batch.slice(0, 1), batch.slice(1, 1), batch.slice(0, 0)):
        result = explain_record_batch(model, some, **arguments)
        assert result.schema.equals(schema, check_metadata=True)
        assert result.num_rows == some.num_rows
        result.validate(full=True)


@pytest.mark.parametrize("name", ["tokens", "ids", "series"])
def test_the_schema_of_other_columns(model, of_series, name):
    given = {"tokens": TOKENS, "ids": IDS, "series": [x.tolist() for x in series()]}[name]
    used = of_series if name == "series" else model
    batch = pa.record_batch({name: given})
    result = explain_record_batch(used, batch)
    assert result.schema.equals(output_schema(used, batch.schema), check_metadata=True)
    empty = explain_record_batch(used, batch.slice(0, 0))
    assert empty.schema.equals(result.schema, check_metadata=True)


def test_a_table_becomes_a_table(model):
    table = pa.concat_tables([pa.table({"text": TEXTS[:2]}), pa.table({"text": TEXTS[2:]})])
    result = explain_record_batch(model, table)
    assert isinstance(result, pa.Table)
    expected = explain_record_batch(model, pa.record_batch({"text": TEXTS}))
    assert isinstance(expected, pa.RecordBatch)
    assert result.to_pydict() == expected.to_pydict()


def test_many_rows_are_explained_some_at_a_time(model, monkeypatch):
    monkeypatch.setattr("lrplstm.corpus.explaining._MOST_STEPS", 5)
    batch = pa.record_batch({"tokens": [*TOKENS, [], *TOKENS]})
    result = explain_record_batch(model, batch)
    good = result.take([0, 1, 2, 3, 5, 6, 7, 8])
    check(model, good, TOKENS + TOKENS)


def test_warnings_come_through(monkeypatch, model):
    def warned(*arguments, **options):
        warnings.warn("large", RuntimeWarning, stacklevel=1)
        return explain(*arguments, **options)

    explain = lrplstm.corpus.explaining.explain
    monkeypatch.setattr("lrplstm.corpus.explaining.explain", warned)
    with pytest.warns(RuntimeWarning, match="large"):
        explain_record_batch(model, pa.record_batch({"text": TEXTS}))


def test_arguments_are_refused_by_name(model):
    batch = pa.record_batch({"text": TEXTS, "scores": [1, 2, 3, 4]})
    with pytest.raises(ValueError, match="expected no column 'scores', which is one of the result"):
        explain_record_batch(model, batch)
    batch = batch.select(["text"])
    with pytest.raises(ValueError, match="batch: expected a column 'txt'"):
        explain_record_batch(model, batch, column="txt")
    with pytest.raises(TypeError, match="batch: expected a RecordBatch or a Table, got list"):
        explain_record_batch(model, TEXTS)
    with pytest.raises(TypeError, match="model: expected a Model, got str"):
        explain_record_batch("model", batch)
    with pytest.raises((TypeError, ValueError), match="epsilon"):
        explain_record_batch(model, batch, epsilon="small")
