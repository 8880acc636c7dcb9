"""Ways out: nothing is lost, and what other libraries hold draws and adds up."""

from __future__ import annotations

import csv
import json
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest

import lrplstm
from lrplstm.attributions import joined
from lrplstm.layers import LSTM, Concatenate, Pool, Repeat

pytestmark = pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # of shap

TEXTS = [["a", "fine", "film"], ["dull"], ["a", "dull", "film", "."]]
DAYS = pd.date_range("2026-01-01", periods=9, tz="Europe/Berlin")


def weights(rng, D, H=4):
    return lrplstm.LSTMWeights(*(rng.normal(0, 0.4, s) for s in [(4 * H, D), (4 * H, H), (4 * H,)]))


def text_model(C=3, **arguments):
    rng = np.random.default_rng(0)
    words = ["a", "fine", "film", "dull", ".", "so"]
    return lrplstm.LSTMModel(
        [weights(rng, 5)],
        head_weight=rng.normal(size=(C, 4)),
        head_bias=rng.normal(size=C),
        embedding=rng.normal(size=(6, 5)),
        vocabulary=words,
        **{"class_names": ["bad", "good", "best"][:C]} | arguments,
    )


def series_model(C=2, **arguments):
    rng = np.random.default_rng(1)
    head = rng.normal(size=(C, 4))
    return lrplstm.LSTMModel(
        [weights(rng, 2)], head, **{"feature_names": ["rain", "temp"]} | arguments
    )


def frames():
    rng = np.random.default_rng(2)
    frame = pd.DataFrame(rng.normal(size=(9, 2)), columns=["rain", "temp"], index=DAYS)
    return [frame, frame[:4], frame[3:8]]


def two_inputs():
    rng = np.random.default_rng(3)
    layers = [
        Repeat(name="each", reads=["static", "series"]),
        Concatenate(reads=["series", "each"]),
        LSTM(weights(rng, 3)),
        Pool("last"),
    ]
    static = lrplstm.Input(1, steps=False, feature_names=["area"])
    model = lrplstm.Model(layers, inputs={"series": 2, "static": static})
    return model, {"series": [rng.normal(size=(n, 2)) for n in (4, 2)], "static": [[1.0], [2.0]]}


def cases():
    series, text = series_model(), text_model()
    window = lrplstm.windows(frames()[0].assign(basin="a"), 4, 2, by="basin")
    model, inputs = two_inputs()
    return {
        "words": lrplstm.lrp(text, TEXTS),
        "words, all classes": lrplstm.lrp(text, TEXTS, "all"),
        "words, weights": lrplstm.lrp(text, TEXTS, [1.0, 0.0, -1.0]),
        "ids": lrplstm.lrp(text, [[0, 3], [5, 1, 1]]),
        "words by number": lrplstm.lrp(text, TEXTS, level="input"),
        "every step": lrplstm.lrp(text_model(pooling="none"), TEXTS),
        "one class of every step": lrplstm.lrp(text_model(pooling="none"), TEXTS, (-1, 2)),
        "dates": lrplstm.lrp(series, frames()),
        "dates, all classes": lrplstm.gradient_x_input(series, frames(), "all"),
        "windows": lrplstm.lrp(series, window),
        "float32": lrplstm.lrp(series.astype("float32"), frames()),
        "regression": lrplstm.lrp(series_model(1, task="regression"), frames()),
        "binary": lrplstm.lrp(text_model(1, class_names=["bad", "good"]), TEXTS, "all"),
        "two inputs": lrplstm.lrp(model, inputs, 2),
        "two inputs, all classes": lrplstm.lrp(model, inputs, "all", level="token"),
        "baselines": lrplstm.occlusion(
            series, frames(), baseline=[np.ones((len(f), 2)) for f in frames()]
        ),
    }


CASES = cases()


def same(one, other):
    """Whether two values are the same, whatever they are made of."""
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[name], other[name]) for name in one)
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(
            one, other, equal_nan=one.dtype.kind == "f"
        )
    if isinstance(one, list | tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return one == other


@pytest.mark.parametrize("case", CASES)
def test_parquet_gives_back_what_was_written(case, tmp_path):
    batch = CASES[case]
    batch.to_parquet(tmp_path / "a.parquet", input_values=True)
    again = lrplstm.read_parquet(tmp_path / "a.parquet")
    for name in (*vars(batch), "step_labels", "input_values", "sequence_labels"):
        if name not in ("tokens", "names", "params"):
            assert same(getattr(batch, name), getattr(again, name)), name
    assert [one.tokens for one in again] == [one.tokens for one in batch]
    assert json.loads(json.dumps(again.to_dicts())) == json.loads(json.dumps(batch.to_dicts()))
    table = pq.read_table(tmp_path / "a.parquet")
    assert len(table.to_pandas()) == len(batch)
    assert len(pl.read_parquet(tmp_path / "a.parquet")) == len(batch)


@pytest.mark.parametrize("case", CASES)
def test_parts_joined_are_the_whole(case):
    batch = CASES[case]
    parts = joined(list(batch))
    assert json.loads(json.dumps(parts.to_dicts())) == json.loads(json.dumps(batch.to_dicts()))
    twice = joined([batch, batch[0]])
    assert twice[-1].to_dict() == batch[0].to_dict()


@pytest.mark.parametrize("case", CASES)
def test_tidy_rows_add_up_to_the_relevance_of_each_sequence(case, tmp_path):
    batch = CASES[case]
    frame = batch.to_frame()
    sums = frame.groupby("sequence").relevance.sum().to_numpy()
    expected = np.add.reduceat(batch.token_relevance, batch.offsets[:-1], -1)
    np.testing.assert_allclose(sums, expected.reshape(-1, len(batch)).sum(axis=0), 1e-5, 1e-12)
    assert len(batch[1].to_frame()) == (frame.sequence == 1).sum()
    batch.to_csv(tmp_path / "a.csv")
    read = pd.read_csv(tmp_path / "a.csv", keep_default_na=False)
    assert list(read) == list(frame)
    np.testing.assert_allclose(read.relevance, frame.relevance, rtol=1e-6)
    batch.to_jsonl(tmp_path / "a.jsonl")
    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == json.loads(json.dumps(batch.to_dicts()))


def test_each_number_stands_in_its_row():
    batch = CASES["dates, all classes"]
    frame = batch.to_frame()
    one = frame[
        (frame.sequence == 2)
        & (frame.step == 1)
        & (frame.variable == "temp")
        & (frame["class"] == "1")
    ]
    assert one.relevance.item() == batch[2].input_relevance[1, 1, 1]
    assert one.label.item() == DAYS[4]
    words = CASES["words"].to_frame()
    row = words[(words.sequence == 2) & (words.step == 1)]
    assert (row.token.item(), row.relevance.item()) == (
        "dull",
        CASES["words"][2].token_relevance[1],
    )
    windows = CASES["windows"].to_frame()
    assert set(windows.basin) == {"a"}


@pytest.mark.parametrize("case", CASES)
def test_xarray_holds_every_number(case):
    batch = CASES[case]
    found = batch.to_xarray()
    np.testing.assert_array_equal(batch[0].to_xarray().relevance.values, batch[0].token_relevance)
    for b, one in enumerate(batch):
        np.testing.assert_array_equal(
            found.relevance.values[..., b, : len(one)], one.token_relevance
        )
        assert np.isnan(found.relevance.values[..., b, len(one) :]).all()
        if one.input_relevance is not None:
            rows = found.input_relevance.values[..., b, : len(one), :]
            np.testing.assert_array_equal(rows, one.input_relevance)
    if case == "dates":
        assert found.input_relevance.sel(feature="temp").sizes == {"sequence": 3, "step": 9}
        assert found.step_label.values[2, 0] == np.datetime64("2026-01-03T23:00")


@pytest.mark.parametrize("case", ["words", "dates", "windows", "regression", "dates, all classes"])
def test_base_value_and_values_of_shap_add_up_to_the_score(case):
    batch = CASES[case]
    for over in ("steps", "variables", "nothing"):
        for one in batch:
            found = one.to_shap(over=over)
            total = found.base_values + found.values.sum(axis=0)
            score = (
                one.scores
                if one.target == "all"
                else one.scores[0 if one.target is None else one.target]
            )
            if one.method == "lrp":
                np.testing.assert_allclose(total, score, rtol=1e-6)


def test_shap_draws_it():
    import shap

    words, series, even = CASES["words"], CASES["dates"], CASES["windows"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own, of matplotlib's next release and of NumPy's
        for draw, explanation in [
            (shap.plots.waterfall, series[0].to_shap()),
            (shap.plots.bar, series.to_shap()),
            (shap.plots.beeswarm, series.to_shap()),
            (shap.plots.heatmap, even.to_shap(over="variables")),
            (shap.plots.bar, even.to_shap(over="nothing")),
            (shap.plots.bar, words[0].to_shap()),
            (shap.plots.waterfall, words[2].to_shap()),
        ]:
            draw(explanation, show=False)
            texts = [text.get_text() for text in plt.gcf().findobj(plt.Text)]
            assert any(str(name) in " ".join(texts) for name in explanation.feature_names)
            plt.close("all")
        html = shap.plots.text(words[2].to_shap(), display=False)
        assert "dull" in html
        assert "film" in shap.plots.text(words.to_shap(), display=False)


def test_captum_draws_it():
    from captum.attr import visualization

    one = CASES["words"][0]
    record = one.to_captum(label=1)
    assert (record.pred_class, record.true_class) == (one.class_name(one.predicted), "good")
    probabilities = np.exp(one.scores) / np.exp(one.scores).sum()
    assert record.pred_prob == pytest.approx(probabilities.max())
    assert record.attr_score == pytest.approx(one.token_relevance.sum())
    html = visualization.format_word_importances(record.raw_input_ids, record.word_attributions)
    assert "fine" in html
    with pytest.raises(ValueError, match=r"^target: expected one class"):
        CASES["words, all classes"][0].to_captum()


def test_files_that_hold_something_else_are_one_clear_error(tmp_path):
    (tmp_path / "a.parquet").write_text("no")
    with pytest.raises(ValueError, match=r"a\.parquet: expected a Parquet file"):
        lrplstm.read_parquet(tmp_path / "a.parquet")
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "b.parquet")
    with pytest.raises(ValueError, match=r"b\.parquet: expected explanations that lrplstm wrote"):
        lrplstm.read_parquet(tmp_path / "b.parquet")
    table = CASES["words"].to_arrow()
    said = json.loads(table.schema.metadata[b"lrplstm"]) | {"schema_version": 2}
    pq.write_table(
        table.replace_schema_metadata({"lrplstm": json.dumps(said)}), tmp_path / "c.parquet"
    )
    with pytest.raises(ValueError, match=r"expected schema version 1, got 2: .*newer version"):
        lrplstm.read_parquet(tmp_path / "c.parquet")
    pq.write_table(table.drop_columns(["scores"]), tmp_path / "d.parquet")
    with pytest.raises(ValueError, match="expected the columns of schema version 1, got"):
        lrplstm.read_parquet(tmp_path / "d.parquet")
    with pytest.raises(FileNotFoundError):
        lrplstm.read_parquet(tmp_path / "none.parquet")
    with pytest.raises(FileNotFoundError):
        CASES["words"].to_csv(tmp_path / "none" / "a.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a.parquet",
        "b.parquet",
        "c.parquet",
        "d.parquet",
    ]


def test_explanations_of_other_kinds_are_not_joined():
    for other in ("words, all classes", "dates", "every step", "words by number"):
        with pytest.raises(ValueError, match=r"^several\[1\]: expected the .* of the first"):
            joined([CASES["words"], CASES[other]])
    with pytest.raises(TypeError, match=r"^several\[0\]: expected an Attribution, got dict"):
        joined([{}])
    with pytest.raises(ValueError, match=r"^several: expected at least one"):
        joined([])


def test_texts_of_any_kind_in_csv(tmp_path):
    words = ['"', ",", "\n", "=1+1", "ä\u202e", "<b>"]
    model = text_model().replaced(vocabulary=words)
    lrplstm.lrp(model, [words]).to_csv(tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        assert [row["token"] for row in csv.DictReader(file)] == words
