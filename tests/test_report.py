"""Reports: what Python puts into a page. What the page does with it: test_report_browser.py."""

from __future__ import annotations

import numpy as np
import pytest
from doc_pages import Page
from report_pages import data_of, unpacked
from test_several_inputs import beside_a_series

import lrplstm
from lrplstm.report.alignment import segments
from lrplstm.report.content import Given, content
from lrplstm.report.packing import packed
from lrplstm.report.page import render

TEXTS = ["It ISN'T (bad)… “really”!", "A <b>fine</b> film & more.", "Dull."]


@pytest.fixture(scope="module")
def model():
    return lrplstm.load_default()


def test_packed_numbers_keep_four_digits():
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=1000) * 10.0 ** rng.integers(-30, 30, 1000)
    np.testing.assert_allclose(unpacked(packed(numbers)), numbers, rtol=2.0**-16)
    assert unpacked(packed([0.0, -0.0, 1.5])).tolist() == [0, 0, 1.5]
    assert len(packed(numbers)) == 4 * len(numbers)


@pytest.mark.parametrize("number", [np.nan, np.inf, 1e39, -3.4028235e38])
def test_what_cannot_be_packed_is_refused(number):
    with pytest.raises(ValueError, match="expected finite numbers"):
        packed([number])


@pytest.mark.parametrize(
    "text",
    [
        *TEXTS,
        "He said: “What a film—really…” It’s good/bad *sigh*, 5.5 of 10.",
        "“Don’t” he said, 'twas 'good'. Mr. Smith saw J.K. Rowling, etc. It cannot be.",
        "gonna pay $5\xa0[x] {y} <b> & İstanbul and/or 50% ...",
        "  two  spaces\nnew line\t\ttab .  ",
        'Wait... what?! "quote" -- `one\' (--) ""',
        "שלום עולם 😀 é́ 👩‍👩‍👧 x",
    ],
)
def test_tokens_are_those_of_the_text_as_it_was_written(model, text):
    tokens = model.tokenize(text)
    pieces = segments(text, tokens)
    assert "".join(pieces) == text
    assert not "".join(pieces[::2]).strip()
    assert len(pieces) == 2 * len(tokens) + 1
    assert all(pieces[1::2])


def test_tokens_of_another_text_are_not_found():
    assert segments("A fine film", ["a", "film"]) is None
    assert segments("A fine film", ["a", "fine"]) is None
    assert segments("A", ["a", "a"]) is None


def test_what_a_page_says_is_what_was_explained(model, tmp_path):
    path = tmp_path / "report.html"
    lrplstm.save_report(path, model, TEXTS, methods=["lrp", "sa"], labels=[0, "positive", None])
    data = data_of(path.read_text(encoding="utf-8"))
    batch = lrplstm.lrp(model, model.tokenize(TEXTS), "all")
    assert ["".join(pieces) for pieces in data["texts"]] == TEXTS
    assert data["labels"] == [0, 3, None]
    assert data["predicted"] == batch.predicted.tolist()
    assert [m["name"] for m in data["methods"]] == ["lrp", "sensitivity"]
    expected = np.concatenate([a.token_relevance.ravel() for a in batch])
    np.testing.assert_allclose(unpacked(data["methods"][0]["relevance"]), expected, rtol=2e-5)
    sums = unpacked(data["methods"][0]["sums"]).reshape(len(TEXTS), 5, 3)
    np.testing.assert_allclose(sums.sum(axis=2), batch.scores, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(unpacked(data["scores"]), batch.scores.ravel(), rtol=2e-5)


def test_a_difference_of_classes_is_the_explanation_of_the_difference(model):
    """What the page subtracts is what the method says: for each that shares a score out."""
    tokens = model.tokenize(TEXTS[1])
    weights = [0.0, 1.0, 0.0, -1.0, 0.0]
    for name in lrplstm.METHODS:
        every = lrplstm.explain(model, tokens, name, "all")
        if every.balance.shares:
            one = lrplstm.explain(model, tokens, name, weights).token_relevance
            both = every.token_relevance
            np.testing.assert_allclose(both[1] - both[3], one, rtol=1e-3, atol=1e-4, err_msg=name)


def test_one_method_twice_has_what_tells_them_apart(model, tmp_path):
    methods = ["lrp", ("lrp", {"bias_factor": 1.0}), "gi"]
    lrplstm.save_report(tmp_path / "x.html", model, TEXTS[:1], methods=methods)
    names = [m["name"] for m in data_of((tmp_path / "x.html").read_text("utf-8"))["methods"]]
    assert [name.split(" ")[:2] for name in names] == [
        ["lrp", "bias_factor=0.0"],
        ["lrp", "bias_factor=1.0"],
        ["gradient_x_input"],
    ]


def test_series_have_their_numbers_and_names(tmp_path):
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(1)
    lstm = lrplstm.LSTMWeights(*(rng.normal(0, 0.3, s) for s in [(8, 3), (8, 2), (8,)]))
    scaler = ([1.0, 2.0, 3.0], [0.5, 2.0, 1.0])
    model = lrplstm.LSTMModel(
        [lstm], head_weight=rng.normal(size=(1, 2)), task="regression", scaler=scaler
    )
    frames = [
        pandas.DataFrame(
            rng.normal(size=(T, 3)),
            columns=["<rain>", "snow", "t"],
            index=pandas.date_range("2021-02-27", periods=T),
        )
        for T in (4, 6)
    ]
    lrplstm.save_report(tmp_path / "x.html", model, frames, labels=[1.0, None])
    data = data_of((tmp_path / "x.html").read_text(encoding="utf-8"))
    assert data["variables"] == ["<rain>", "snow", "t"]
    assert data["steps"] == [f"2021-{day}" for day in "02-27 02-28 03-01 03-02 03-03 03-04".split()]
    assert data["stepsOf"] == [0, 0]
    assert data["labels"] == [1.0, None]
    numbers = np.concatenate([frame.to_numpy().ravel() for frame in frames])
    np.testing.assert_allclose(unpacked(data["values"]), numbers, rtol=1e-4, atol=1e-6)


def test_labels_of_steps_are_shared_and_right():
    """Whatever they overlap with, a series has the labels that it was given."""
    rng = np.random.default_rng(2)
    lstm = lrplstm.LSTMWeights(*(rng.normal(0, 0.3, s) for s in [(8, 2), (8, 2), (8,)]))
    model = lrplstm.LSTMModel([lstm], head_weight=rng.normal(size=(1, 2)), task="regression")
    for _ in range(50):
        labels = [list("abcdeabcf")[i : i + n] for i, n in rng.integers(1, 6, size=(6, 2))]
        series = [rng.normal(size=(len(one), 2)) for one in labels]
        given = Given(steps=labels)
        data = content([list(lrplstm.lrp(model, series))], given)
        for start, one in zip(data["stepsOf"], labels, strict=True):
            assert data["steps"][start : start + len(one)] == one
    windows = [[str(t) for t in range(start, start + 100)] for start in range(200)]
    series = rng.normal(size=(200, 100, 2))
    data = content([list(lrplstm.lrp(model, series))], Given(steps=windows))
    assert data["steps"] == [str(t) for t in range(299)]


def test_what_was_explained_already_is_shown(model, tmp_path):
    path = tmp_path / "x.html"
    batch = lrplstm.lrp(model, model.tokenize(TEXTS), "all")
    batch.save_html(path, texts=TEXTS, labels=[0, 1, None])
    data = data_of(path.read_text(encoding="utf-8"))
    assert ["".join(pieces) for pieces in data["texts"]] == TEXTS
    lrplstm.lrp(model, TEXTS[0]).save_html(path)
    data = data_of(path.read_text(encoding="utf-8"))
    assert "".join(data["texts"][0]) == TEXTS[0]
    assert data["explained"] == [lrplstm.lrp(model, TEXTS[0]).explained]


def test_of_several_inputs_the_page_has_sums(tmp_path):
    model, inputs = beside_a_series()
    batch = lrplstm.lrp(model, inputs, "all")
    batch.save_html(tmp_path / "x.html")
    data = data_of((tmp_path / "x.html").read_text(encoding="utf-8"))
    (method,), others = data["methods"], list(batch[0].other_relevance)
    assert [other["name"] for other in data["others"]] == others
    for name, text in zip(others, method["otherRelevance"], strict=True):
        expected = np.concatenate([a.other_relevance[name].ravel() for a in batch])
        np.testing.assert_allclose(unpacked(text), expected, rtol=1e-4)
    sums = unpacked(method["sums"]).reshape(len(batch), 3, 3 + len(others))
    for a, of_one in zip(batch, sums, strict=True):
        for n, name in enumerate(others):
            expected = a.other_relevance[name].reshape(3, -1).sum(axis=1)
            np.testing.assert_allclose(of_one[:, 3 + n], expected, rtol=1e-3, atol=1e-4)


def test_nothing_ends_the_element_of_the_data(model):
    tokens = ["</script>", "<!--", "<script>", '"', "\\", "\u2028", "&amp;", "]]>", "\ud800", "😀"]
    data = content([[lrplstm.lrp(model, tokens)]], Given())
    page = render(data, "</title><script>alert(1)</script>")
    assert page.count("<script") == page.count("</script>") == 2
    assert not set("<>&\u2028") & set(page.split('id="data">')[1].split("</script>")[0])
    assert data_of(page)["texts"][0][1] == "</script>"
    assert page.encode("utf-8")  # no lone surrogates


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"methods": []}, "methods: expected a sequence of names"),
        ({"methods": "lrp"}, "methods: expected a sequence of names"),
        ({"methods": ("lrp", {"bias_factor": 1.0})}, "methods: expected a sequence of names"),
        ({"labels": [1]}, "labels: expected 3, one for each sequence, got 1"),
        ({"labels": [1, 2, "nice"]}, r"labels\[2\]: expected one of 'very negative'"),
        ({"labels": [1, 2, 9]}, r"labels\[2\]: expected classes from 0 to 4, got 9"),
    ],
)
def test_what_cannot_be_shown_is_refused(model, tmp_path, arguments, message):
    path = tmp_path / "x.html"
    with pytest.raises(ValueError, match=message):
        lrplstm.save_report(path, model, TEXTS, **arguments)
    assert not path.exists()


def test_a_page_that_no_browser_opens_is_refused(model, monkeypatch, tmp_path):
    monkeypatch.setattr("lrplstm.report.content._MOST_NUMBERS", 100)
    with pytest.raises(ValueError, match="relevance: expected at most 100 numbers on a page"):
        lrplstm.save_report(tmp_path / "x.html", model, TEXTS)
    lrplstm.save_report(tmp_path / "x.html", model, TEXTS, target="neutral")


def test_reports_are_small(model):
    sentences = [list(s.tokens) for s in lrplstm.sample_sentences()][:100]
    page = render(content([list(lrplstm.lrp(model, sentences, "all"))], Given()), "x")
    assert len(page.encode()) < 150_000


def test_page_of_the_documentation(tmp_path):
    page = Page("docs/report.md")
    page.check_references()
    page.run(tmp_path)
    written = data_of((tmp_path / "report.html").read_text(encoding="utf-8"))
    explained = data_of((tmp_path / "explained.html").read_text(encoding="utf-8"))
    assert written["labels"] == [4, 1, 3]
    assert written["texts"] == explained["texts"]
    assert written["methods"][0] == explained["methods"][0]
