"""Summaries over many sequences: loops, plain bootstraps, and parts that add up to the whole."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import stats

import lrplstm
from lrplstm import summary
from lrplstm.sequences import Names, to_offsets
from lrplstm.step_labels import StepLabels
from lrplstm.summary import Bootstrap
from lrplstm.summary.bootstrap import interval, sequence_weights
from lrplstm.summary.student import student_factor

NAMES = ("rain", "temp", "snow")


def made_up(relevance, lengths, **changes):
    """Return attributions with relevance (steps, D) or (C, steps, D), or of words without D."""
    B = len(lengths)
    by_variable = None if "tokens" in changes else relevance
    steps = relevance if by_variable is None else relevance.sum(axis=-1)
    several = steps.ndim == 2
    C = len(steps) if several else 3
    fields = {
        "offsets": to_offsets(lengths),
        "scores": np.zeros((B, C)),
        "predicted": np.arange(B) % C,
        "target": "all" if several else np.arange(B) % C,
        "token_relevance": steps,
        "input_relevance": by_variable,
        "initial_relevance": np.zeros((C, B) if several else B),
        "delta": np.zeros((C, B) if several else B),
        "unknown": np.zeros(sum(lengths), bool),
        "method": "lrp",
        "params": {},
        "class_names": ("a", "b", "c"),
        "task": "classification",
        "tokens": None,
        "every_step": False,
        "names": Names(None if by_variable is None else NAMES[: by_variable.shape[-1]]),
    }
    return lrplstm.Attributions(**fields | changes)


@pytest.fixture
def ragged():
    """Forty series of one to nine steps, each class explained."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 10, 40).tolist()
    return made_up(rng.normal(0.3, 1, (3, sum(lengths), 3)), lengths)


@pytest.fixture
def texts():
    """Sixty texts, of one class each that was explained."""
    rng = np.random.default_rng(1)
    lengths = rng.integers(1, 8, 60).tolist()
    tokens = [
        rng.choice(list("uvwxyz"), n, p=[0.4, 0.3, 0.1, 0.1, 0.05, 0.05]).tolist() for n in lengths
    ]
    return made_up(rng.normal(0.2, 1, sum(lengths)), lengths, tokens=tokens)


def split(a, first, last):
    """Return the attributions of some sequences."""
    return lrplstm.attributions.joined([a[b] for b in range(first, last)])


# Sums -------------------------------------------------------------------------------------------


def test_means_are_those_of_a_loop(ragged):
    basin = np.array(list("xyz"))[np.arange(40) % 3]
    groups = {"water": ["snow", "rain"], "heat": [1]}
    found = summary.variables(ragged, by=basin, groups=groups)
    assert (found.keys, found.variables) == ((("x",), ("y",), ("z",)), ("water", "heat"))
    total, count = np.zeros((3, 3, 2, 2)), np.zeros(3)
    for b in range(40):
        for t in range(ragged.offsets[b], ragged.offsets[b + 1]):
            count[b % 3] += 1
            for c in range(3):
                for d, group in enumerate([0, 1, 0]):
                    r = ragged.input_relevance[c, t, d]
                    total[b % 3, c, group] += abs(r), r
    expected = total / count[:, None, None, None]
    np.testing.assert_allclose(found.mean_abs.value[:, 0], expected[..., 0])
    np.testing.assert_allclose(found.mean.value[:, 0], expected[..., 1])
    shares = expected[..., 0] / expected[..., 0].sum(axis=2, keepdims=True)
    np.testing.assert_allclose(found.share.value[:, 0], shares)
    frame = found.to_frame()
    row = frame[(frame.group == "y") & (frame["class"] == "b") & (frame.variable == "heat")]
    assert row["mean"].item() == pytest.approx(expected[1, 1, 1, 1])
    assert row.steps.item() == count[1]


def test_profiles_are_those_of_a_loop(ragged):
    for width in (1, 2):
        found = summary.lags(ragged, width=width)
        lists = defaultdict(list)
        for one in ragged:
            for t in range(len(one)):
                lag = (len(one) - 1 - t) // width
                for c in range(3):
                    for d in range(3):
                        lists[lag, c, d].append(one.input_relevance[c, t, d])
                    lists[lag, c, 3].append(one.input_relevance[c, t].sum())
        P = -(-9 // width)
        assert found.lags.tolist() == list(range(0, 9, width))
        assert found.variables == (*NAMES, "all")
        sums = np.zeros((P, 3, 3))
        for (lag, c, d), values in lists.items():
            assert found.mean.value[0, lag, c, d] == pytest.approx(np.mean(values))
            if d < 3:
                sums[lag, c, d] = np.abs(values).sum()
                assert found.mean_abs.value[0, lag, c, d] == pytest.approx(np.abs(values).mean())
        share = np.cumsum(sums, axis=0) / sums.sum(axis=0)
        np.testing.assert_allclose(found.cumulative_share.value[0, ..., :3], share)
        held = found.lag_holding(0.7)
        for c in range(3):
            for d in range(3):
                lag = next(p for p in range(P) if share[p, c, d] >= 0.7) * width + width - 1
                assert held.estimate.value[0, c, d] == lag
        assert len(held.to_frame()) == 12
        assert len(found.to_frame()) == P * 12


def test_a_share_that_is_reached_exactly_is_reached():
    a = made_up(np.full((20, 1), 0.1), [10, 10])  # 0.8999999999999999 to lag 8
    assert summary.lags(a).lag_holding(0.9).estimate.value.tolist() == [[[8]]]


def test_parts_that_bound_the_memory_change_nothing(ragged, texts, monkeypatch):
    def all_sums():
        by = np.arange(40) % 3
        found = [
            summary.lags(ragged, by=by),
            summary.variables(ragged, groups={"g": [0, 2]}),
            summary.steps(ragged, np.arange(ragged.offsets[-1]) % 4 == 0, by=by),
            summary.steps(texts, {"l": ["u", "v"]}),
        ]
        return [array for one in found for array in vars(one.sums).values()]

    expected = all_sums()
    monkeypatch.setattr("lrplstm.summary.sums._BYTES_OF_PART", 100_000)  # some sequences each
    for found, array in zip(all_sums(), expected, strict=True):
        if isinstance(array, np.ndarray):
            np.testing.assert_allclose(found, array, rtol=1e-9, atol=1e-12)


def test_words_are_those_of_a_loop(texts):
    known = np.arange(texts.offsets[-1]) % 11 != 0
    texts = made_up(texts.token_relevance, np.diff(texts.offsets).tolist(), tokens=texts.tokens,
                    unknown=~known)  # fmt: skip
    found = summary.words(texts, min_count=3)
    lists, in_text = defaultdict(list), defaultdict(set)
    for b, one in enumerate(texts):
        for t, word in enumerate(one.tokens):
            if known[texts.offsets[b] + t]:
                lists[b % 3, word].append((b, one.token_relevance[t]))
                in_text[b % 3, word].add(b)
    for (c, word), occurrences in lists.items():
        w = found.words.index(word)
        values = [r for _, r in occurrences]
        n, mean = len(in_text[c, word]), np.mean(values)
        assert (found.count[0, c, w], found.sequences[0, c, w]) == (len(values), n)
        assert found.mean.value[0, c, w] == pytest.approx(mean)
        low, high = found.mean.low[0, c, w], found.mean.high[0, c, w]
        if n == 1:
            assert np.isnan(low)
            continue
        residuals = [
            sum(r - mean for b, r in occurrences if b == text) for text in in_text[c, word]
        ]
        error = np.sqrt(np.square(residuals).sum() * n / (n - 1)) / len(values)
        margin = stats.t.ppf(0.975, n - 1) * error
        assert (low, high) == pytest.approx((mean - margin, mean + margin), rel=1e-4)
    frame = found.to_frame()
    assert frame["count"].min() >= 3
    of_a = frame[frame["class"] == "a"]
    assert of_a["mean"].is_monotonic_decreasing
    for one in found.lists(top=1):
        assert np.sign(one.estimate.value).tolist() in ([1, -1], [1], [-1])


def test_student_factors_are_those_of_scipy():
    n = np.array([1, 2, 3, 4, 5, 7, 12, 40, 10**6])
    for confidence in (0.5, 0.9, 0.95, 0.999):
        expected = stats.t.ppf((1 + confidence) / 2, n)
        np.testing.assert_allclose(student_factor(confidence, n), expected, rtol=2e-5)


def test_ids_of_a_vocabulary_are_words():
    model = lrplstm.load_default()
    ids = [model.vocabulary.index(word) for word in ("fine", "dull", "fine")]
    found = summary.words(lrplstm.lrp(model, [ids, ids[:1]], target=4))
    tokens = summary.words(lrplstm.lrp(model, [["fine", "dull", "fine"], ["fine"]], target=4))
    assert found.to_frame().equals(tokens.to_frame())
    assert found.to_frame()[["class", "word", "count"]].to_numpy().tolist() == [
        ["very positive", "fine", 3]
    ]


# Groups -----------------------------------------------------------------------------------------


def dated(zone=None):
    """Return eight series of four days each, the last of them in the new year in UTC only."""
    hours = np.arange(32).reshape(8, 4) * 24 + 22
    days = (np.datetime64("2025-12-01T00") + hours.ravel()).astype("datetime64[s]")
    rng = np.random.default_rng(2)
    names = Names(("rain", "temp"), StepLabels(days, zone), {"basin": np.array(list("xyxyxyxy"))})
    return made_up(rng.normal(size=(32, 2)), [4] * 8, names=names), days


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_steps_are_grouped_by_their_dates(zone):
    a, days = dated(zone)
    local = pd.DatetimeIndex(days, tz="UTC").tz_convert(zone or "UTC")
    season = {12: "DJF", 1: "DJF", 2: "DJF"}
    for grouping, of_day in {
        "month": local.month,
        "season": [season[m] for m in local.month],
        "hour": local.hour,
        "weekday": local.day_of_week + 1,
        "year": local.year,
    }.items():
        frame = summary.steps(a, grouping).to_frame()
        table = pd.DataFrame(np.abs(a.input_relevance), columns=["rain", "temp"])
        expected = table.groupby(np.asarray(of_day)).mean()
        found = frame.pivot(index=grouping, columns="variable", values="mean_abs")
        np.testing.assert_allclose(found.loc[expected.index], expected)
        counts = frame[frame.variable == "rain"].set_index(grouping).steps
        assert counts.to_dict() == dict(zip(*np.unique(of_day, return_counts=True), strict=True))
    weekend = summary.steps(a, lambda day: day.weekday() >= 5)
    assert weekend.step_groups == (False, True)
    assert weekend.sums.steps[0, 1] == np.sum(local.day_of_week >= 5)


def test_steps_are_grouped_by_a_column_and_sequences_by_columns():
    a, _ = dated()
    wet = np.arange(32) % 5 == 0
    expected = [np.abs(a.input_relevance[wet == one]).mean(axis=0) for one in (False, True)]
    for column in (wet, [wet[i : i + 4] for i in range(0, 32, 4)], pd.Series(wet, name="wet")):
        found = summary.steps(a, column)
        np.testing.assert_allclose(found.mean_abs.value[0, :, 0], expected)
    assert found.to_frame().columns[0] == "wet"
    both = summary.variables(a, by={"basin": a.sequence_labels["basin"], "n": [0, 1, 2, 0] * 2})
    assert both.keys == (("x", 0), ("x", 2), ("y", 0), ("y", 1))
    np.testing.assert_array_equal(both.sums.sequences[:, 0], [2, 2, 2, 2])
    letters = list("pqpqpqpq")
    for column in (
        pd.Series(letters, dtype="category"),
        pl.Series("c", letters),
        pd.array(letters),
    ):
        assert summary.variables(a, by=column).keys == (("p",), ("q",))
    mixed = summary.variables(a, by=np.array(["p", 1] * 4, object))
    assert mixed.to_frame().group.tolist() == [1, 1, "p", "p"]
    by_name = summary.variables(a, by="basin")
    assert by_name.to_frame().basin.tolist() == ["x", "x", "y", "y"]


def test_words_of_lists(texts):
    found = summary.steps(texts, {"first": ["u", "z"], "none": ["q"]}, by="target")
    assert found.step_groups == ("first", "none", "other")
    tokens = np.array([word for one in texts.tokens for word in one])
    target = np.repeat(np.arange(60) % 3, np.diff(texts.offsets))
    chosen = np.isin(tokens, ["u", "z"]) & (target == 1)
    assert found.mean.value[1, 0, 0, 0] == pytest.approx(texts.token_relevance[chosen].mean())
    assert np.isnan(found.mean.value[:, 1]).all()
    assert found.keys == (("a",), ("b",), ("c",))


def test_right_and_wrong(ragged):
    labels = np.where(np.arange(40) < 10, ragged.predicted, (ragged.predicted + 1) % 3)
    names = np.array(["a", "b", "c"])[labels]
    found = summary.variables(ragged, labels=names)
    expected = [split(ragged, 0, 10), split(ragged, 10, 40)]
    assert found.keys == (("right",), ("wrong",))
    for row, part in zip(found.mean.value, expected, strict=True):
        np.testing.assert_allclose(row, summary.variables(part).mean.value[0])


# Intervals --------------------------------------------------------------------------------------


def test_weights_are_poisson_and_depend_on_the_running_number_alone():
    weights = sequence_weights(Bootstrap(replicates=1000), 0, 2000)
    counts = np.bincount(weights.astype(int).ravel(), minlength=6)
    exact = stats.poisson.pmf(np.arange(6), 1)
    np.testing.assert_allclose(counts / weights.size, exact, atol=0.006)
    assert weights.mean() == pytest.approx(1, abs=0.003)
    assert weights.var() == pytest.approx(1, abs=0.005)
    of_others = np.corrcoef(weights[:100])[np.triu_indices(100, 1)]
    assert np.abs(of_others).max() < 0.16  # five standard deviations
    later = sequence_weights(Bootstrap(replicates=1000, start=300), 50, 60)
    assert np.array_equal(later, weights[350:360])
    assert not np.array_equal(sequence_weights(Bootstrap(seed=1), 0, 10), weights[:10])
    blocks = sequence_weights(Bootstrap(start=2, block=4), 0, 7)
    assert np.array_equal(blocks, weights[[0, 0, 1, 1, 1, 1, 2]])


def test_replicates_are_sums_over_sequences_that_were_drawn(ragged):
    bootstrap = Bootstrap(replicates=40, seed=3)
    found = summary.lags(ragged, bootstrap=bootstrap)
    weights = sequence_weights(bootstrap, 0, 40)
    for r in (0, 39):
        total, steps = 0.0, 0.0
        for b, one in enumerate(ragged):
            if len(one) > 2:
                total += weights[b, r] * abs(one.input_relevance[1, -3, 0])
                steps += weights[b, r]
        assert found.sums.replicate_steps[r, 0, 2] == steps
        assert found.sums.replicate_relevance[r, 0, 2, 0, 1, 0] == pytest.approx(total)
    means = found.sums.replicate_relevance[:, 0, 2, 0, 1, 0] / found.sums.replicate_steps[:, 0, 2]
    expected = np.quantile(means, [0.025, 0.975])
    assert found.mean_abs.low[0, 2, 1, 0] == pytest.approx(expected[0])
    assert found.mean_abs.high[0, 2, 1, 0] == pytest.approx(expected[1])


def test_intervals_are_those_of_a_plain_bootstrap():
    rng = np.random.default_rng(4)
    lengths = rng.integers(1, 30, 150)
    level = np.repeat(rng.normal(2, 1, 150), lengths)  # steps of one sequence are alike
    relevance = (level + rng.normal(0, 0.3, lengths.sum()))[:, None]
    found = summary.variables(made_up(relevance, lengths.tolist()), bootstrap=Bootstrap(4000)).mean
    sums = np.add.reduceat(relevance[:, 0], to_offsets(lengths)[:-1])
    means = []
    for _ in range(4000):
        drawn = rng.integers(0, 150, 150)
        means.append(sums[drawn].sum() / lengths[drawn].sum())
    expected = np.quantile(means, [0.025, 0.975])
    width = expected[1] - expected[0]
    assert abs(found.low.item() - expected[0]) < 0.06 * width
    assert abs(found.high.item() - expected[1]) < 0.06 * width


def test_intervals_hold_the_truth_as_often_as_they_say():
    """Of 500 variables with normal relevance of mean 1, each seen in 60 sequences."""
    rng = np.random.default_rng(5)
    relevance = rng.normal(1, 2, (60, 500))
    names = Names(tuple(f"v{n}" for n in range(500)))
    a = made_up(relevance, [1] * 60, names=names)
    for confidence in (0.8, 0.95):
        found = summary.variables(a, bootstrap=Bootstrap(confidence=confidence)).mean
        held = np.mean((found.low < 1) & (found.high > 1))
        assert held == pytest.approx(confidence, abs=0.03)


def test_intervals_of_words_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(6)
    tokens = [[f"w{n}" for n in range(400)] for _ in range(5)]
    a = made_up(rng.normal(1, 2, 2000), [400] * 5, tokens=tokens, target=np.zeros(5, int))
    found = summary.words(a).mean
    held = np.mean((found.low[0, 0] < 1) & (found.high[0, 0] > 1))
    assert held == pytest.approx(0.95, abs=0.03)


def test_percentiles_leave_out_replicates_without_a_sequence():
    rng = np.random.default_rng(7)
    values = rng.normal(size=(50, 3))
    values[rng.random((50, 3)) < 0.3] = np.nan
    values[:, 2] = np.nan
    low, high = interval(values, 0.9)
    np.testing.assert_allclose(low[:2], np.nanquantile(values[:, :2], 0.05, axis=0))
    np.testing.assert_allclose(high[:2], np.nanquantile(values[:, :2], 0.95, axis=0))
    assert np.isnan(low[2])
    outward = interval(values[:, :1], 0.9, interpolated=False)
    expected = [
        np.nanquantile(values[:, 0], part, method=method)
        for part, method in [(0.05, "lower"), (0.95, "higher")]
    ]
    assert [end.item() for end in outward] == expected


# Parts ------------------------------------------------------------------------------------------


def assert_same(found, expected):
    left, right = found.to_frame(), expected.to_frame()
    pd.testing.assert_frame_equal(left, right, rtol=1e-9, check_dtype=False)


def test_parts_add_up_to_the_whole(ragged):
    by = np.array(["early", "late"])[(np.arange(40) > 24).astype(int)]
    parts = [(0, 10), (10, 12), (12, 40)]
    for summed in (summary.variables, summary.lags):
        one, two, three = (
            summed(split(ragged, *part), by=by[slice(*part)], bootstrap=Bootstrap(start=part[0]))
            for part in parts
        )
        whole = summed(ragged, by=by)
        assert_same(one.merge(two) + three, whole)
        assert_same(three + (one + two), whole)
        assert (three + one + two).sums.numbers == ((0, 40),)


def test_samples_of_parts_are_the_sample_of_the_whole(ragged):
    whole = summary.variables(ragged, sample=12)
    parts = [
        summary.variables(split(ragged, *part), sample=12, bootstrap=Bootstrap(start=part[0]))
        for part in [(0, 15), (15, 40)]
    ]
    sample = (parts[1] + parts[0]).sample
    np.testing.assert_allclose(sample.relevance, whole.sample.relevance)
    summed = np.add.reduceat(ragged.input_relevance, ragged.offsets[:-1], axis=1)
    for row in sample.relevance:
        assert np.isclose(summed, row[:, None]).all(axis=(0, 2)).sum() == 1


def test_dots_know_what_variables_were():
    rng = np.random.default_rng(0)
    lstm = lrplstm.LSTMWeights(*(rng.normal(0, 0.4, s) for s in [(8, 2), (8, 2), (8,)]))
    model = lrplstm.LSTMModel([lstm], missing="zero", scaler=(np.ones(2), np.ones(2)))
    x = rng.normal(size=(20, 5, 2))
    x[3, :4, 1] = x[4, :, 0] = np.nan
    found = summary.variables(lrplstm.lrp(model, x), groups={"b": [1], "a": [0]})
    values = found.sample.values[:, ::-1]
    with np.errstate(invalid="ignore"):
        expected = np.nansum(x, axis=1) / np.isfinite(x).sum(axis=1)
    order = np.lexsort(values.T)
    np.testing.assert_allclose(values[order], expected[np.lexsort(expected.T)])
    assert np.isnan(values).sum() == 1
    ax = found.plot(kind="beeswarm")
    assert [len(dots.get_offsets()) for dots in ax.collections] == [20, 20]
    assert summary.variables(lrplstm.lrp(model, x), groups={"all": [0, 1]}).sample.values is None


def test_words_of_parts_are_those_of_the_whole(texts):
    parts = [summary.words(split(texts, *part)) for part in [(0, 3), (3, 60)]]
    assert_same(parts[0] + parts[1], summary.words(texts))
    by_words = [
        summary.steps(split(texts, *part), {"l": ["u"]}, bootstrap=Bootstrap(start=part[0]))
        for part in [(0, 3), (3, 60)]
    ]
    assert_same(by_words[1] + by_words[0], summary.steps(texts, {"l": ["u"]}))


def test_what_does_not_add_up_is_refused(ragged, texts):
    whole = summary.variables(ragged)
    with pytest.raises(ValueError, match=r"other sequences, got number 0 in both; .*start=40"):
        whole + whole
    late = Bootstrap(start=40)
    for other, match in {
        summary.variables(ragged, groups={"g": ["rain"]}, bootstrap=late): "the same variables",
        summary.variables(ragged, by="predicted", bootstrap=late): "the same columns",
        summary.variables(ragged, bootstrap=Bootstrap(10, start=40)): "the same replicates",
        summary.steps(ragged, np.arange(ragged.offsets[-1]) % 2, bootstrap=late): "expected one by",
    }.items():
        with pytest.raises(ValueError, match=match):
            whole.merge(other)
    with pytest.raises(TypeError, match="expected a MeanRelevance, got LagProfile"):
        whole.merge(summary.lags(ragged))
    with pytest.raises(ValueError, match="expected width 1, got 2"):
        summary.lags(ragged).merge(summary.lags(ragged, width=2, bootstrap=late))


# Bad cases --------------------------------------------------------------------------------------


def test_one_sequence_of_one_step_has_no_intervals():
    a = made_up(np.array([[0.5, -2.0]]), [1])
    for found in (summary.variables(a[0]), summary.variables([a]), summary.lags(a)):
        assert found.mean.value.ravel()[:2].tolist() == [0.5, -2.0]
        assert np.isnan(found.mean.low).all()
    assert found.lag_holding().estimate.value.tolist() == [[[0, 0, 0]]]
    assert "no intervals" in summary.variables(a).plot().get_xlabel()
    assert " -" in str(found)


def test_a_group_of_one_sequence_has_no_intervals(ragged):
    found = summary.variables(ragged, by=np.arange(40) == 7)
    assert np.isfinite(found.mean.low[0]).all()
    assert np.isnan(found.mean.low[1]).all()


def test_without_replicates_there_are_no_intervals(ragged):
    found = summary.lags(ragged, bootstrap=Bootstrap(replicates=0))
    expected = summary.lags(ragged)
    np.testing.assert_allclose(found.mean_abs.value, expected.mean_abs.value)
    assert np.isnan(found.cumulative_share.high).all()
    assert np.isnan(found.lag_holding().estimate.low).all()


def test_one_block_has_no_intervals(ragged):
    def low(**options):
        return summary.variables(ragged, bootstrap=Bootstrap(**options)).mean.low

    assert np.isnan(low(block=40)).all()
    assert np.isfinite(low(block=39)).all()
    assert np.isfinite(low(block=40, start=20)).all()


def test_a_variable_without_relevance():
    relevance = np.random.default_rng(0).normal(size=(20, 2)) * [1, 0]
    a = made_up(relevance, [4] * 5)
    found = summary.variables(a)
    assert [estimate[0, 0, 0, 1] for estimate in found.mean_abs] == [0, 0, 0]
    assert [estimate[0, 0, 0, 1] for estimate in found.share] == [0, 0, 0]
    profile = summary.lags(a)
    assert np.isnan(profile.cumulative_share.value[0, :, 0, 1]).all()
    assert np.isnan(profile.lag_holding().estimate.value[0, 0, 1])
    profile.plot(select={"variable": "temp"})
    dead = summary.variables(made_up(0 * relevance, [4] * 5))
    assert np.isnan(dead.share.value).all()
    for kind in ("bar", "beeswarm", "heatmap"):
        dead.plot(kind=kind)


def test_models_without_names_and_regressions():
    rng = np.random.default_rng(0)
    lstm = lrplstm.LSTMWeights(*(rng.normal(0, 0.4, s) for s in [(8, 2), (8, 2), (8,)]))
    model = lrplstm.LSTMModel([lstm], head_weight=rng.normal(size=(2, 2)), task="regression")
    a = lrplstm.lrp(model, rng.normal(size=(6, 5, 2)))
    found = summary.variables(a)
    assert found.variables == ("variable 0", "variable 1")
    assert found.classes == ("output 0", "output 1")
    with pytest.raises(ValueError, match="labels: expected None for a regression"):
        summary.variables(a, labels=[0] * 6)
    every_step = lrplstm.LSTMModel([lstm], pooling="none")
    a = lrplstm.lrp(every_step, rng.normal(size=(6, 5, 2)), target=(-1, 0))
    assert summary.variables(a).mean.value.shape == (1, 1, 1, 2)
    with pytest.raises(ValueError, match="labels: expected None where every step has scores"):
        summary.variables(a, labels=[0] * 6)
    with pytest.raises(ValueError, match="by: expected one predicted class"):
        summary.variables(a, by="predicted")


def test_other_inputs_are_summed_up_by_name():
    from lrplstm.layers import LSTM, Concatenate, Pool, Repeat

    rng = np.random.default_rng(0)
    lstm = lrplstm.LSTMWeights(*(rng.normal(0, 0.4, s) for s in [(8, 3), (8, 2), (8,)]))
    inputs = {
        "series": lrplstm.Input(2),
        "static": lrplstm.Input(1, steps=False, feature_names=["area"]),
    }
    layers = [
        Repeat(name="each", reads=["static", "series"]),
        Concatenate(reads=["series", "each"]),
        LSTM(lstm),
        Pool("last"),
    ]
    model = lrplstm.Model(layers, inputs=inputs)
    a = lrplstm.lrp(
        model, {"series": rng.normal(size=(6, 5, 2)), "static": rng.normal(size=(6, 1))}, target=1
    )
    found = summary.variables(a, input="static")
    assert found.variables == ("area",)
    expected = np.abs(a.other_relevance["static"].relevance).mean()
    assert found.mean_abs.value.item() == pytest.approx(expected)
    with pytest.raises(ValueError, match="input: expected one of 'series', 'static', got 'statc'"):
        summary.variables(a, input="statc")


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda a: summary.variables([]), "attributions: expected at least one, got none"),
        (lambda a: summary.variables(3), "attributions: expected Attributions, got int"),
        (lambda a: summary.variables(["x"]), "attributions: .* got a list of str"),
        (lambda a: summary.variables(a, by="basn"), "by: .*'target', 'predicted', got 'basn'"),
        (lambda a: summary.variables(a, by=[1, 2]), "by: .* each of 40 sequences, got shape"),
        (lambda a: summary.variables(a, by=[np.nan] * 40), "by: .* got none at 0"),
        (lambda a: summary.variables(a, by=["x", None] * 20), "by: .* got none at 1"),
        (lambda a: summary.variables(a, labels=[5] * 40), "labels.* a class from 0 to 2"),
        (lambda a: summary.variables(a, groups={}), "groups: expected at least one group"),
        (lambda a: summary.variables(a, groups=["rain"]), "groups: expected a dict of lists"),
        (lambda a: summary.variables(a, groups={"g": []}), r"groups\['g'\]: .* one variable"),
        (lambda a: summary.variables(a, groups={"g": "rain"}), r"groups\['g'\]: expected a list"),
        (lambda a: summary.variables(a, groups={"g": ["rian"]}), "did you mean 'rain'"),
        (lambda a: summary.variables(a, groups={"g": [3]}), "variables from 0 to 2, got 3"),
        (lambda a: summary.variables(a, groups={"g": [0, "rain"]}), "each variable once"),
        (
            lambda a: summary.variables(a, groups={"g": [0], "h": ["rain"]}),
            "share no variable, got 'rain' in 'g'",
        ),
        (lambda a: summary.variables(a, groups={"other": [0]}), "no group called 'other'"),
        (lambda a: summary.lags(a, bootstrap=Bootstrap(10**7)), "bootstrap: .* GiB, got 10000000"),
        (lambda a: summary.variables(a, bootstrap=Bootstrap(-1)), "replicates: expected at least"),
        (lambda a: summary.variables(a, bootstrap=Bootstrap(confidence=95)), "confidence: "),
        (lambda a: summary.steps(a, "month"), "steps: expected steps that have labels"),
        (lambda a: summary.steps(a, "monht"), "steps: .*did you mean 'month'"),
        (lambda a: summary.steps(a, {"l": ["x"]}), "attributions: expected those of words"),
        (lambda a: summary.steps(a, np.zeros(3)), r"steps: .* got shape \(3,\)"),
        (lambda a: summary.words(a), "attributions: expected those of words"),
        (lambda a: summary.lags(a, width=0), "width: expected at least 1"),
        (lambda a: summary.lags(a).lag_holding(90), "share: expected a number above 0"),
        (lambda a: summary.lags(a).plot(select={"class": "d"}), "select: .*'a', 'b', 'c', got 'd'"),
        (lambda a: summary.lags(a).plot(select={"x": 1}), "select: .* 'class', 'variable', got"),
        (lambda a: summary.lags(a, by=range(40)).plot(), "select: expected at most 7 lines"),
        (lambda a: summary.variables(a, by=range(40)).plot(), "select: expected at most 12 rows"),
        (lambda a: summary.variables(a).plot(kind="beeswarm"), "select: .* 'a', 'b', 'c'"),
        (lambda a: summary.variables(a).plot(kind="bars"), "kind: .*did you mean 'bar'"),
    ],
)
def test_what_is_wrong_is_said(ragged, call, match):
    with pytest.raises((TypeError, ValueError), match=match):
        call(ragged)


def test_relevance_that_is_not_finite_is_named():
    a, _ = dated()
    relevance = a.input_relevance.copy()
    relevance[6, 1] = np.nan
    for summed in (summary.variables, summary.lags):
        with pytest.raises(
            ValueError,
            match=r"attributions\[1\]: .* got nan of variable 'temp' at step 2025-12-07 22:00",
        ):
            summed(made_up(relevance, [4] * 8, names=a.names))
    words = made_up(np.array([1.0, np.inf]), [1, 1], tokens=[["u"], ["v"]])
    with pytest.raises(ValueError, match=r"attributions\[1\]: .* got inf"):
        summary.words(words)


def test_names_that_occur_twice_are_refused():
    a = made_up(np.ones((4, 2)), [2, 2], names=Names(("x", "x")))
    with pytest.raises(ValueError, match="distinct names, got 'x' at 0 and at 1"):
        summary.variables(a)
    a = made_up(np.ones((4, 2)), [2, 2], names=Names(("x", "all")))
    with pytest.raises(ValueError, match="no variable called 'all'"):
        summary.lags(a)


# Plots ------------------------------------------------------------------------------------------


def test_plots_show_the_numbers(ragged, texts):
    from matplotlib.figure import Figure

    given = Figure().add_subplot()
    found = summary.variables(ragged)
    select = {"class": "b"}
    ax = found.plot(given, select=select)
    assert ax is given
    order = np.argsort(-found.mean_abs.value[0, 0, 1])
    assert [label.get_text() for label in ax.get_yticklabels()] == [NAMES[n] for n in order]
    widths = [bar.get_width() for bar in ax.patches]
    np.testing.assert_allclose(widths, found.mean_abs.value[0, 0, 1, order])
    ends = [segment[:, 0] for segment in ax.collections[0].get_segments()]
    assert ends[0].tolist() == [
        values[0, 0, 1, order[0]] for values in (found.mean_abs.low, found.mean_abs.high)
    ]
    assert len(found.plot(Figure().add_subplot(), top=2).patches) == 6
    ax = found.plot(Figure().add_subplot(), kind="beeswarm", select=select)
    dots = np.concatenate([dots.get_offsets() for dots in ax.collections])
    assert len(dots) == 120
    assert np.abs(dots[:, 1] - dots[:, 1].round()).max() <= 0.4
    profile = summary.lags(ragged)
    ax = profile.plot(Figure().add_subplot(), select=select)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), profile.mean_abs.value[0, :, 1, 3])
    right = ax.figure.axes[1]
    np.testing.assert_allclose(
        right.lines[0].get_ydata(), profile.cumulative_share.value[0, :, 1, 3]
    )
    ax = profile.plot(Figure().add_subplot(), kind="heatmap", measure="mean", select=select)
    assert [label.get_text() for label in ax.get_yticklabels()] == list(NAMES)
    ax = profile.plot(Figure().add_subplot(), kind="heatmap")
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b", "c"]
    words = summary.words(texts)
    ax = words.plot(Figure().add_subplot(), select=select, top=2)
    assert [label.get_text().split(" ")[0] for label in ax.get_yticklabels()] == list(
        words.lists(2, select=select)[0].words
    )
    ax = words.plot(Figure().add_subplot(), top=2)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["a", "b", "c"]
