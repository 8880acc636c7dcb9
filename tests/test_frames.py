"""Tables and labelled arrays in: names and dates are kept, checked, and said in errors."""

from __future__ import annotations

import pickle
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
import xarray as xr
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

import lrplstm
from lrplstm.layers import LSTM, Concatenate, Pool, Repeat

NAMES = ("rain_mm", "temp", "wind")
DAYS = pd.date_range("2026-01-01", periods=12, tz="Europe/Berlin")
METHODS = [name for name in lrplstm.METHODS if name != "random"]


def weights(rng, D, H=4):
    return lrplstm.LSTMWeights(*(rng.normal(0, 0.4, s) for s in [(4 * H, D), (4 * H, H), (4 * H,)]))


@pytest.fixture
def bare():
    rng = np.random.default_rng(0)
    head = rng.normal(size=(1, 4))
    return lrplstm.LSTMModel(
        [weights(rng, 3)], head_weight=head, head_bias=[0.7], task="regression"
    )


@pytest.fixture
def frame():
    rng = np.random.default_rng(1)
    return pd.DataFrame(rng.normal([5, 900, -2], [3, 20, 1], (12, 3)), columns=NAMES, index=DAYS)


def tables(frame):
    """The same table as people have it, its columns in another order and some besides."""
    other = frame[["wind", "rain_mm", "temp"]].assign(flow=1.0)
    dated = other.reset_index(names="date")
    naive = frame.tz_localize(None)
    array = xr.DataArray(
        naive.to_numpy(),
        dims=("time", "variable"),
        coords={"time": naive.index, "variable": list(NAMES)},
    )
    return {
        "pandas": other,
        "pandas, a column of dates": dated,
        "polars": pl.from_pandas(dated),
        "Arrow": pa.Table.from_pandas(dated, preserve_index=False),
        "a batch of Arrow": pa.RecordBatch.from_pandas(dated, preserve_index=False),
        "nullable": other.convert_dtypes(),
        "xarray": array[:, [2, 0, 1]],
        "data set of xarray": array.to_dataset("variable"),
    }


@pytest.mark.parametrize("kind", list(tables(pd.DataFrame(np.eye(12, 3), DAYS, list(NAMES)))))
def test_variables_are_found_by_name_and_dates_are_kept(bare, frame, kind):
    model = bare.replaced(feature_names=frame.columns)
    expected = lrplstm.lrp(bare, frame.to_numpy())
    table = tables(frame)[kind]
    found = lrplstm.lrp(model, table)
    assert np.array_equal(found.input_relevance, expected.input_relevance)
    assert found.feature_names == NAMES
    assert found.words[:2] == ["2026-01-01", "2026-01-02"]
    zone = None if "xarray" in kind else ZoneInfo("Europe/Berlin")
    first = found.step_labels[0]
    assert (first if zone else first.astype("datetime64[s]").item()) == datetime(
        2026, 1, 1, tzinfo=zone
    )
    batch = lrplstm.lrp(model, [table, tables(frame[:5])[kind]])
    assert [len(one) for one in batch] == [12, 5]
    assert batch[1].words[-1] == "2026-01-05"
    assert len(batch.step_labels) == 17


def test_names_stand_in_every_output(bare, frame):
    found = lrplstm.lrp(bare, frame.tz_localize(None))
    text = str(found)
    assert "rain_mm" in text
    assert "2026-01-12" in text
    html = found.to_html()
    assert "rain_mm" in html
    assert "2026-01-12" in html
    axes = found.plot_inputs()
    assert [label.get_text() for label in axes.get_yticklabels()] == list(NAMES)
    record = found.to_dict()
    assert record["feature_names"] == list(NAMES)
    assert record["step_labels"][0] == "2026-01-01"
    assert pickle.loads(pickle.dumps(found)).feature_names == NAMES


def test_a_list_of_tables_has_the_variables_of_the_first(bare, frame):
    batch = lrplstm.lrp(bare, [frame, frame[["wind", "rain_mm", "temp"]]])
    assert np.array_equal(batch[0].input_relevance, batch[1].input_relevance)
    with pytest.raises(
        TypeError, match=r"inputs\[1\]: expected a table as inputs\[0\] is, got ndarray"
    ):
        lrplstm.lrp(bare, [frame, frame.to_numpy()])


def test_three_dimensions_of_xarray_are_a_batch(bare, frame):
    values = np.stack([frame.to_numpy(), 2 * frame.to_numpy()])
    array = xr.DataArray(
        values,
        dims=("basin", "time", "variable"),
        coords={"basin": ["a", "b"], "variable": list(NAMES)},
    )
    batch = lrplstm.lrp(bare, array)
    assert batch.sequence_labels["basin"].tolist() == ["a", "b"]
    assert batch[1].sequence_labels == {"basin": "b"}
    assert np.array_equal(batch.input_relevance, lrplstm.lrp(bare, values).input_relevance)


def test_one_column_is_a_series_of_one_variable(frame):
    rng = np.random.default_rng(0)
    model = lrplstm.LSTMModel([weights(rng, 1)])
    expected = model.predict(frame[["temp"]].to_numpy())
    for series in (
        frame["temp"],
        pl.Series("temp", frame["temp"].to_numpy()),
        frame["temp"].rename(None),
    ):
        assert np.array_equal(model.predict(series), expected)
    assert lrplstm.lrp(model, frame["temp"], target=1).words[0] == "2026-01-01"


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda f: f.rename(columns={"wind": "wnd"}), "got no 'wind' among .*; did you mean 'wnd'"),
        (lambda f: f.assign(temp="warm"), "got column 'temp' of dtype String; convert it"),
        (lambda f: f.set_axis(["temp", "temp", "wind"], axis=1), "got 'temp' at 0 and at 1"),
        (lambda f: f.iloc[::-1], "dates in order, got 2026-01-11 after 2026-01-12 at row 1"),
        (lambda f: f.set_axis(pd.Index([*DAYS[:3], pd.NaT, *DAYS[4:]])), "index: .* none at row 3"),
        (
            lambda f: f.assign(rain_mm=np.where(f.index.day == 3, np.nan, 1)),
            "variable 'rain_mm' at 2026-01-03: expected a finite number, got nan; fill",
        ),
        (
            lambda f: f.assign(d=DAYS, e=DAYS).reset_index(drop=True),
            "one column of dates, got 'd', 'e'",
        ),
        (lambda f: f.assign(k=1).set_index("k", append=True), "an index of one level"),
        (lambda f: pl.from_pandas(f).lazy(), "got a LazyFrame; pass what collect"),
        (lambda f: f[:0], "got an empty sequence"),
    ],
)
def test_what_is_wrong_with_a_table_is_said_by_name(bare, frame, change, match):
    model = bare.replaced(feature_names=NAMES)
    for inputs in (change(frame), [frame, change(frame)]):
        with pytest.raises((TypeError, ValueError), match="^inputs.*" + match):
            model.predict(inputs)


def test_tensors_of_sequences_of_any_length():
    model = lrplstm.LSTMModel([weights(np.random.default_rng(0), 2)])
    rows = [torch.ones(3, 2), torch.zeros(5, 2)]
    with pytest.warns(UserWarning, match="prototype"):
        nested = torch.nested.nested_tensor(rows)
    expected = model.predict([row.numpy() for row in rows])
    assert np.array_equal(model.predict(nested), expected)
    assert np.array_equal(model.predict(rows), expected)


# Scalers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler])
def test_a_raw_value_has_what_its_scaled_one_has(bare, frame, kind):
    fitted = kind().fit(frame)
    model, scaled = bare.replaced(scaler=fitted), fitted.transform(frame)
    assert model.feature_names == NAMES
    for method in METHODS:
        found = lrplstm.explain(model, frame, method)
        expected = lrplstm.explain(bare, scaled, method)
        np.testing.assert_allclose(found.input_relevance, expected.input_relevance, rtol=1e-12)


def test_scalers_in_any_form_and_baselines_of_raw_values(bare, frame):
    mean, scale = frame.mean().to_numpy(), frame.std().to_numpy()
    forms = [(mean, scale), {"mean": mean, "scale": scale}, lrplstm.Scaler(mean, scale)]
    swapped = lrplstm.Scaler(mean[::-1], scale[::-1], NAMES[::-1])
    models = [bare.replaced(scaler=one) for one in forms]
    models.append(bare.replaced(scaler=swapped, feature_names=NAMES))
    raw = frame.to_numpy()
    expected = lrplstm.integrated_gradients(bare, (raw - mean) / scale, baseline=np.full(3, 0.5))
    for model in models:
        found = lrplstm.integrated_gradients(model, raw, baseline=mean + 0.5 * scale)
        np.testing.assert_allclose(found.input_relevance, expected.input_relevance, rtol=1e-10)


def test_raw_values_are_scaled_before_they_are_rounded(bare, frame):
    """1e6 plus a thousandth is 1e6 in float32."""
    single = bare.astype("float32")
    far = frame.to_numpy() + 1e6
    model = single.replaced(scaler=(np.full(3, 1e6), np.ones(3)))
    np.testing.assert_allclose(model.predict(far), single.predict(frame.to_numpy()), rtol=1e-5)


def test_scores_in_units(bare, frame, tmp_path):
    model = bare.replaced(output_scale=([50.0], [10.0]), feature_names=NAMES)
    raw = frame.to_numpy() / 100
    np.testing.assert_allclose(model.predict(raw), bare.predict(raw) * 10 + 50, rtol=1e-12)
    found = lrplstm.lrp(model, raw, bias_factor=1.0)
    np.testing.assert_allclose(found.delta, 0, atol=1e-12)
    gradient, plain = (lrplstm.gradient_x_input(m, raw).input_relevance for m in (model, bare))
    np.testing.assert_allclose(gradient, 10 * plain, rtol=1e-12)
    relu = lrplstm.Model([*bare.graph.layers, lrplstm.layers.Activation("relu")], task="regression")
    units = relu.replaced(output_scale=([50.0], [10.0]))
    np.testing.assert_allclose(units.predict(raw), relu.predict(raw) * 10 + 50, rtol=1e-12)
    for one in (model, units, model.replaced(scaler=(np.ones(3), [1, 2, 3]), missing="zero")):
        one.save(tmp_path / "model")
        for again in (lrplstm.load(tmp_path / "model"), pickle.loads(pickle.dumps(one))):
            assert np.array_equal(again.predict(raw), one.predict(raw))
            assert (again.feature_names, again.missing) == (one.feature_names, one.missing)
        np.testing.assert_allclose(one.astype("float32").predict(raw), one.predict(raw), rtol=1e-6)


def test_missing_numbers_as_in_training(bare, frame):
    holes = frame.assign(temp=np.where(frame.index.day.isin([3, 9]), np.nan, frame["temp"]))
    scaler = (frame.mean().to_numpy(), frame.std().to_numpy())
    scaled = ((frame - scaler[0]) / scaler[1]).to_numpy()
    zero = lrplstm.lrp(bare.replaced(scaler=scaler, missing="zero"), holes)
    filled = np.where(holes.isna(), 0, scaled)
    np.testing.assert_allclose(
        zero.input_relevance, lrplstm.lrp(bare, filled).input_relevance, rtol=1e-12
    )
    masked = lrplstm.lrp(bare.replaced(scaler=scaler, missing="mask"), holes)
    kept = ~holes.isna().any(axis=1).to_numpy()
    expected = lrplstm.lrp(bare, scaled[kept]).input_relevance
    np.testing.assert_allclose(masked.input_relevance[kept], expected, rtol=1e-12)
    assert not masked.input_relevance[~kept].any()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"feature_names": ["a", "b"]}, "feature_names: expected 3 names, got 2"),
        ({"feature_names": ["a", "b", "a"]}, "feature_names: .*'a' at 0 and at 2"),
        ({"feature_names": "abc"}, "feature_names: expected a sequence of str, got str"),
        (
            {"scaler": (np.ones(3), [1, 0, 1])},
            "scaler: scale: expected none that is 0, got 0 for variable 1",
        ),
        ({"scaler": (np.ones(2), np.ones(2))}, "scaler: expected one of 3 variables, got 2"),
        ({"scaler": StandardScaler()}, "scaler: expected one that was fitted"),
        ({"scaler": "standard"}, "scaler: .*, got str"),
        ({"scaler": MinMaxScaler(clip=True).fit(np.eye(3))}, "scaler: .*got clip=True"),
        ({"missing": "nan"}, "missing: expected one of 'error', 'zero', 'mask', got 'nan'"),
        (
            {"output_scale": (0, 1), "task": "classification"},
            "output_scale: expected None, or task=",
        ),
        ({"output_scale": ([0, 1], [1, 1])}, "output_scale: expected one of 1 outputs, got 2"),
    ],
)
def test_what_does_not_fit_the_model_is_said(bare, changes, match):
    with pytest.raises((TypeError, ValueError), match="^" + match):
        bare.replaced(**changes)


def test_names_of_several_inputs():
    rng = np.random.default_rng(0)
    inputs = {
        "series": lrplstm.Input(2, feature_names=["rain", "temp"], scaler=([1, 2], [3, 4])),
        "static": lrplstm.Input(1, steps=False, feature_names=["area"]),
    }
    layers = [
        Repeat(name="each", reads=["static", "series"]),
        Concatenate(reads=["series", "each"]),
        LSTM(weights(rng, 3)),
        Pool("last"),
    ]
    model = lrplstm.Model(layers, inputs=inputs)
    series = pd.DataFrame({"temp": [1.0, 2, 3], "rain": [4.0, 5, 6]}, index=DAYS[:3])
    found = lrplstm.lrp(model, {"series": series, "static": [0.5]}, target=1)
    assert found.feature_names == ("rain", "temp")
    assert found.other_feature_names == {"static": ("area",)}
    scaled = (series[["rain", "temp"]].to_numpy() - [1, 2]) / [3, 4]
    bare = lrplstm.Model(layers, inputs={"series": 2, "static": lrplstm.Input(1, steps=False)})
    expected = lrplstm.lrp(bare, {"series": scaled, "static": [0.5]}, target=1)
    np.testing.assert_allclose(found.input_relevance, expected.input_relevance, rtol=1e-12)


# Windows ----------------------------------------------------------------------------------------


def long_frame(frame):
    """Two basins, their rows mixed."""
    a, b = frame.assign(basin="a"), (2 * frame[:8]).assign(basin="b")
    return pd.concat([b, a]).sort_index(kind="stable")


def test_windows_are_what_cutting_by_hand_makes(bare, frame):
    found = lrplstm.windows(long_frame(frame), 5, 3, by="basin")
    raw = frame.to_numpy()
    by_hand = [(2 * raw)[i : i + 5] for i in (0, 3)] + [raw[i : i + 5] for i in (0, 3, 6)]
    assert found.keys["basin"].tolist() == ["b"] * 2 + ["a"] * 3
    assert [str(end.date()) for end in found.keys["window_end"][:2]] == ["2026-01-05", "2026-01-08"]
    assert all(np.array_equal(one, other) for one, other in zip(found, by_hand, strict=True))
    assert np.shares_memory(found[0], found.values)
    for method in METHODS:
        batch = lrplstm.explain(bare, found, method)
        expected = lrplstm.explain(bare, by_hand, method)
        np.testing.assert_allclose(
            batch.input_relevance, expected.input_relevance, rtol=1e-9, atol=1e-15
        )
    assert batch[2].words == [str(day.date()) for day in DAYS[:5]]
    assert batch[2].sequence_labels["basin"] == "a"
    np.testing.assert_array_equal(bare.predict(found), bare.predict(by_hand))
    np.testing.assert_array_equal(bare.predict(found[1:3]), bare.predict(by_hand[1:3]))


def test_windows_for_a_model_that_knows_its_variables(bare, frame):
    model = bare.replaced(feature_names=NAMES, scaler=(frame.mean(), frame.std()), missing="zero")
    other = long_frame(frame)[["wind", "temp", "basin", "rain_mm"]].assign(flow=3.0)
    other.iloc[3, 0] = np.nan
    found = lrplstm.windows(pl.from_pandas(other.reset_index(names="date")), 4, by="basin")
    batch = lrplstm.lrp(model, found)
    clean = other[other.basin == "a"][list(NAMES)]
    expected = lrplstm.lrp(model, clean[2:6])
    np.testing.assert_allclose(batch[5 + 2].input_relevance, expected.input_relevance, rtol=1e-12)
    array = lrplstm.windows(frame.to_numpy(), 4)
    np.testing.assert_allclose(model.predict(array)[0], model.predict(frame.to_numpy()[:4]))


def test_gaps_and_short_series(bare, frame):
    holed = frame.drop(frame.index[6])
    with pytest.raises(ValueError, match="got 2026-01-08 after 2026-01-06 in the table; fill"):
        lrplstm.windows(holed, 4)
    starts = lrplstm.windows(holed, 4, gaps="skip").starts.tolist()
    assert starts == [0, 1, 2, 6, 7]
    assert len(lrplstm.windows(holed, 4, gaps="ignore")) == 8
    with pytest.warns(UserWarning, match="1 of 2 series are shorter than a window of 10 steps"):
        assert len(lrplstm.windows(long_frame(frame), 10, by="basin")) == 3
    one = lrplstm.windows(frame, 1, 11)
    assert lrplstm.lrp(bare, one).offsets.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"length": 13}, "length: expected at most 12, the rows of the longest series, got 13"),
        ({"length": 0}, "length: expected at least 1"),
        ({"length": 3, "stride": 0}, "stride: expected at least 1"),
        ({"length": 3, "by": "bason"}, "by: expected a column, got 'bason'; did you mean 'basin'"),
        (
            {"length": 3, "by": "gauge"},
            "by: expected a value in each row of 'gauge', got none in 2",
        ),
        ({"length": 3}, "frame: expected columns of numbers, got column 'basin'"),
        ({"length": 3, "by": "basin", "gaps": "fill"}, "gaps: expected one of 'error', 'skip'"),
        ({"length": 3, "by": "basin", "columns": ["rain"]}, "frame: .*did you mean 'rain_mm'"),
    ],
)
def test_windows_that_cannot_be_are_one_clear_error(frame, arguments, match):
    table = long_frame(frame).assign(gauge=["x", "x", None, *["y"] * 17])
    if arguments["length"] == 13:
        table = frame
    with pytest.raises((TypeError, ValueError), match="^" + match):
        lrplstm.windows(table, **arguments)


def test_a_missing_number_counts_only_where_a_window_reads_it(bare, frame):
    table = long_frame(frame)
    table.loc[table.basin == "b", "temp"] = [*[1.0] * 7, np.nan]
    lrplstm.lrp(bare, lrplstm.windows(table, 7, 2, by="basin"))
    with pytest.raises(ValueError, match=r"^inputs\[1\]: variable 'temp' at 2026-01-08"):
        lrplstm.lrp(bare, lrplstm.windows(table, 7, by="basin"))


def test_a_row_of_features_is_found_by_name():
    rng = np.random.default_rng(0)
    layers = [
        Repeat(name="each", reads=["static", "series"]),
        Concatenate(reads=["series", "each"]),
        LSTM(weights(rng, 3)),
        Pool("last"),
    ]
    inputs = {
        "series": lrplstm.Input(1),
        "static": lrplstm.Input(2, steps=False, feature_names=["area", "slope"]),
    }
    model = lrplstm.Model(layers, inputs=inputs)
    one, batch = rng.normal(size=(3, 1)), rng.normal(size=(2, 4, 1))
    expected = model.predict({"series": one, "static": [0.5, -1.0]})
    row = {"slope": -1.0, "area": 0.5}
    for static in (row, pd.Series(row), pd.DataFrame([row]), pl.DataFrame([row])):
        np.testing.assert_array_equal(model.predict({"series": one, "static": static}), expected)
    expected = model.predict({"series": batch, "static": [[0.5, -1.0], [2.0, 3.0]]})
    table = pd.DataFrame([row, {"slope": 3.0, "area": 2.0}], index=["b", "a"])
    np.testing.assert_array_equal(model.predict({"series": batch, "static": table}), expected)
    with pytest.raises(ValueError, match=r"\['static'\]: .*got no 'area'.*did you mean 'aera'"):
        model.predict({"series": one, "static": {"aera": 1.0, "slope": 2.0}})
