"""What the page of a report does, in Chromium: every control, at three sizes, light and dark."""

from __future__ import annotations

import csv
import io
import re

import numpy as np
import pytest
from chromium import browser, check_accessible, opened
from test_several_inputs import beside_a_series

import lrplstm
from lrplstm import heatmap
from lrplstm.report.content import Given
from lrplstm.report.page import write

VIEWS = [("phone", "dark"), ("laptop", "light"), ("wide", "dark")]  # each has the other theme, too
__all__ = ["browser", "opened"]  # fixtures

TEXTS = [
    "It ISN'T  (bad)… “really”!",
    "<script>alert(1)</script> & <b>Fine</b>, 'good'.",
    "A שלום עולם film 😀 é́ 👩‍👩‍👧 is great !",
    "Dull, dull, dull; and far, far too long.",
    "</script><!-- \"x\" ='1' ]]> &amp; \\ wonderful",
]
LABELS = [0, 3, 4, 1, None]


@pytest.fixture(scope="module")
def model():
    return lrplstm.load_default()


@pytest.fixture(scope="module")
def texts_page(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "texts.html"
    lrplstm.save_report(path, model, TEXTS, methods=["lrp", "gi", "sa"], labels=LABELS)
    return path


@pytest.fixture(scope="module")
def series():
    """A model of five variables, three series, and their dates."""
    rng = np.random.default_rng(3)
    lstm = lrplstm.LSTMWeights(*(rng.normal(0, 0.3, s) for s in [(16, 5), (16, 4), (16,)]))
    model = lrplstm.LSTMModel(
        [lstm], head_weight=rng.normal(size=(2, 4)), class_names=("dry", "wet")
    )
    numbers = [rng.normal(size=(90, 5)) for _ in range(3)]
    return model, numbers, np.datetime64("2021-01-20") + np.arange(90)


@pytest.fixture(scope="module")
def series_page(series, tmp_path_factory):
    model, numbers, dates = series
    path = tmp_path_factory.mktemp("report") / "series.html"
    names = ["rain", "snow", "<wind>", "sun", "soil"]
    given = Given(series=numbers, variables=names, steps=[list(map(str, dates))] * 3)
    write(path, [list(lrplstm.lrp(model, numbers, "all"))], given, title="Series")
    return path


def check_other_theme(page, theme):
    other = {"light": "dark", "dark": "light"}[theme]
    page.select_option("#theme", other)
    assert page.get_attribute("html", "data-theme") == other
    check_accessible(page)


def words_of(page, row):
    return page.locator(f"#sequence-{row} .word")


def rows_of(page):
    """Return which rows are shown, in their order."""
    return page.eval_on_selector_all("#rows > li", "rows => rows.map(row => Number(row.dataset.b))")


def number(text):
    return float(text.replace("\N{MINUS SIGN}", "-").replace(" ", ""))


def table(page, button):
    with page.expect_download() as download:
        page.click(button)
    text = download.value.path().read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(text)))


def open_tools(page):
    page.evaluate("document.querySelector('.tools').open = true")


# Texts --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "theme"), VIEWS)
def test_texts(opened, model, texts_page, size, theme):
    page = opened(texts_page, size, theme, has_touch=size == "phone")
    tokens = model.tokenize(TEXTS)
    lrp = lrplstm.lrp(model, tokens, "all")
    assert page.get_attribute("html", "data-theme") == theme
    open_tools(page)
    check_accessible(page)
    width = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    assert width == 0, "wider than the screen"

    # The number of a word, by touch or by pointing at it, and by keyboard.
    word = words_of(page, 3).nth(2)
    word.tap() if size == "phone" else word.hover()
    predicted = lrp[3].predicted
    shown = page.inner_text("#tip b")
    assert number(shown) == pytest.approx(lrp[3].token_relevance[predicted, 2], rel=1e-3)
    page.focus("#sequence-3 .text")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert page.inner_text("#tip b") == shown
    assert shown in page.inner_text("#said")
    check_accessible(page)
    page.keyboard.press("Escape")
    assert page.is_hidden("#tip")

    # Another class, one class rather than another, and another method.
    page.select_option("#target", "4")
    page.select_option("#against", "0")
    rows = [row for row in table(page, "#save") if row["sequence"] == "0"]
    difference = lrp[0].token_relevance[4] - lrp[0].token_relevance[0]
    found = [float(row["relevance"]) for row in rows]
    np.testing.assert_allclose(found, difference, rtol=1e-3, atol=1e-4)
    assert rows[0]["explained"] == "very positive rather than very negative"
    page.select_option("#against", "")
    page.select_option("#method", "1")
    rows = [row for row in table(page, "#save") if row["sequence"] == "1"]
    gi = lrplstm.gradient_x_input(model, tokens[1], 4).token_relevance
    np.testing.assert_allclose([float(r["relevance"]) for r in rows], gi, rtol=1e-3, atol=1e-5)
    page.select_option("#method", "2")
    assert page.is_hidden("#contrast")
    page.select_option("#method", "0")
    page.click("#sequence-0 .score >> nth=1")
    assert page.input_value("#target") == "1"
    assert page.evaluate("document.activeElement.dataset.key") == "score-1"
    page.select_option("#target", "label")
    pressed = "#sequence-{} [aria-pressed=true]"
    for b, label in enumerate(LABELS[:2]):  # rows out of view are drawn later
        assert page.get_attribute(pressed.format(b), "data-k") == str(label)

    # Numbers below words; the other theme; one scale for all.
    page.check("#numbers")
    assert words_of(page, 0).first.locator("rt").count() == 1
    page.select_option("#scale", "all")
    assert "+" in page.inner_text("#legend")
    check_other_theme(page, theme)


def test_sorts_and_filters(opened, model, texts_page):
    page = opened(texts_page)
    batch = lrplstm.lrp(model, model.tokenize(TEXTS), "all")
    predicted = batch.predicted
    delta = np.abs(batch.delta[predicted, np.arange(len(TEXTS))])
    page.fill("#search", "dull, DULL")
    assert rows_of(page) == [3]
    assert "1 of 5" in page.inner_text("#shown")
    page.fill("#search", "")
    page.select_option("#class", str(predicted[0]))
    assert rows_of(page) == [b for b in range(5) if predicted[b] == predicted[0]]
    page.select_option("#class", "")
    judged = {b: label == predicted[b] for b, label in enumerate(LABELS) if label is not None}
    for verdict, is_right in {"right": True, "wrong": False}.items():
        page.select_option("#verdict", verdict)
        assert rows_of(page) == [b for b in judged if judged[b] == is_right]
    page.select_option("#verdict", "")
    page.fill("#delta", str(np.median(delta)))
    assert rows_of(page) == np.flatnonzero(delta >= np.median(delta) * (1 - 1e-4)).tolist()
    page.fill("#delta", "")
    largest = [np.abs(a.token_relevance[a.predicted]).max() for a in batch]
    orders = {
        "score": batch.scores.max(axis=1),
        "delta": delta,
        "largest": np.array(largest),
        "length": np.diff(batch.offsets),
    }
    for name, keys in orders.items():
        page.select_option("#sort", name)
        assert rows_of(page) == np.argsort(-keys, kind="stable").tolist(), name
    page.select_option("#sort", "class")
    assert rows_of(page) == np.argsort(predicted, kind="stable").tolist()
    page.select_option("#sort", "verdict")
    wrong_first = sorted(range(5), key=lambda b: judged.get(b, 2))
    assert rows_of(page) == wrong_first
    page.select_option("#sort", "text")
    assert sorted(rows_of(page)) == list(range(5))
    assert rows_of(page).index(3) < rows_of(page).index(0)  # D before I


def test_words_of_all_that_is_shown(opened, model, tmp_path):
    sentences = [list(s.tokens) for s in lrplstm.sample_sentences()]
    lrplstm.save_report(tmp_path / "x.html", model, sentences)
    page = opened(tmp_path / "x.html", "phone", "dark")
    page.select_option("#target", "0")
    page.click("#overview summary")
    by_word = {}
    for a in lrplstm.lrp(model, sentences, 0):
        for word, relevance in zip(a.tokens, a.token_relevance, strict=True):
            by_word.setdefault(word, []).append(relevance)
    means = {word: np.mean(numbers) for word, numbers in by_word.items() if len(numbers) > 1}
    lists = page.locator(".overview ol")
    for n, order in enumerate((-1, 1)):
        expected = sorted(means, key=lambda word: order * means[word])[:10]
        assert lists.nth(n).locator("button").all_inner_texts() == expected
    check_accessible(page)
    word = lists.nth(0).locator("button").first
    text = word.inner_text()
    word.click()
    assert rows_of(page) == [b for b, s in enumerate(sentences) if text in " ".join(s)]


def test_words_of_a_long_text_by_keyboard(opened, model, tmp_path):
    words = np.random.default_rng(0).choice(["good", "bad", "not", "film"], 1500).tolist()
    lrplstm.lrp(model, words).save_html(tmp_path / "x.html")
    page = opened(tmp_path / "x.html", "phone")
    page.focus("#sequence-0 .text")
    page.keyboard.press("End")
    page.wait_for_function("scrollY > 0")
    page.keyboard.press("ArrowLeft")
    assert page.locator(".word.current").get_attribute("data-t") == "1498"
    assert page.is_visible("#tip")


def test_text_stands_as_it_was_written(opened, texts_page):
    page = opened(texts_page, "phone")
    for b, text in enumerate(TEXTS):
        shown = page.locator(f"#sequence-{b} .text").evaluate("text => text.textContent")
        assert shown.replace("\N{NO-BREAK SPACE}", " ") == text
    assert page.evaluate("document.scripts.length") == 2


def test_punctuation_never_begins_a_line(opened, model, tmp_path):
    tokens = (
        "so much , and then ; well ( or not ) , what a thing ... it 's said , then ; he !".split()
    )
    write(tmp_path / "x.html", [[lrplstm.lrp(model, tokens)]], Given(), title="x")
    page = opened(tmp_path / "x.html")
    page.evaluate("document.querySelector('.tools').open = true")
    for width in range(240, 420, 12):
        page.set_viewport_size({"width": width, "height": 600})
        page.set_checked("#numbers", width % 24 == 0)
        first_on_line = page.eval_on_selector_all(
            ".word",
            """words => words.filter((word, n) => n && word.getBoundingClientRect().left
                < words[n - 1].getBoundingClientRect().left).map(word => word.textContent)""",
        )
        assert len(first_on_line) >= 2
        assert not [word for word in first_on_line if not word[0].isalpha() and word[0] != "("]
        assert page.evaluate("document.documentElement.scrollWidth") == width


def test_what_is_copied(opened, texts_page):
    page = opened(texts_page)
    page.click("#sequence-1 .facts button")
    page.wait_for_selector("#said:has-text('Copied 1 of 5')", state="attached")
    page.focus("#search")
    page.keyboard.press("Control+v")
    assert page.input_value("#search").startswith("sequence,step,token,method,explained,relevance")
    page.fill("#search", "")
    page.click("#copy")
    page.wait_for_selector("#said:has-text('Copied 5 of 5')", state="attached")
    rows = table(page, "#save")
    assert {"<", "script", ">"} <= {row["token"] for row in rows}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours(opened, texts_page, theme):
    """Text can be read on every shade, both signs are as strong, and paper is as in pictures."""
    page = opened(texts_page, theme=theme)
    shades = page.evaluate("""() => Array.from({ length: 97 }, (_, n) => {
        const word = document.querySelector(".text").appendChild(document.createElement("span"));
        word.className = `word s${n}`;
        const style = getComputedStyle(word);
        return [style.backgroundColor, style.color].map((c) => c.match(/[\\d.]+/g).map(Number));
    })""")
    backgrounds = np.array([shade[0][:3] for shade in shades])
    texts = np.array([shade[1] for shade in shades])
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert shades[48][0][3] == 0  # zero has no colour
    backgrounds[48] = [int(channel) for channel in re.findall(r"\d+", paper)]
    lighter, darker = luminance(backgrounds), luminance(texts)
    lighter, darker = np.maximum(lighter, darker), np.minimum(lighter, darker)
    assert ((lighter + 0.05) / (darker + 0.05)).min() >= 4.5
    if theme == "light":
        expected = heatmap.color(np.linspace(-1, 1, 97)).astype(int)
        assert np.abs(backgrounds - expected).max() <= 1


def luminance(rgb):
    channels = np.asarray(rgb) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def test_paper_has_all_rows(opened, model, tmp_path):
    from pypdf import PdfReader

    sentences = [list(s.tokens) for s in lrplstm.sample_sentences()[:60]]
    write(tmp_path / "x.html", [list(lrplstm.lrp(model, sentences))], Given(), title="x")
    page = opened(tmp_path / "x.html", theme="dark")
    assert page.locator("li.waiting").count() > 20
    page.pdf(path=tmp_path / "x.pdf")
    text = "".join(sheet.extract_text() for sheet in PdfReader(tmp_path / "x.pdf").pages)
    assert text.count("initial states") >= 60


def test_thousands_of_rows(opened, model, tmp_path):
    samples = [list(s.tokens) for s in lrplstm.sample_sentences()]
    batch = list(lrplstm.lrp(model, [samples[n % len(samples)] for n in range(5000)], "all"))
    write(tmp_path / "x.html", [batch], Given(), title="x")
    page = opened(tmp_path / "x.html")
    ready = page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
    assert ready < 15_000  # milliseconds; about 700 where nothing else runs
    assert page.locator("li:not(.waiting)").count() < 40
    sorted_after = page.evaluate("""async () => {
        const start = performance.now();
        document.querySelector("#sort").value = "delta";
        document.querySelector("#sort").dispatchEvent(new Event("change"));
        await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
        return performance.now() - start;
    }""")
    assert sorted_after < 5_000  # about 200; all rows at once would take 2,000
    page.locator("#rows > li >> nth=4999").wait_for(state="attached")
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.wait_for_function("!document.querySelector('#rows > li:last-child.waiting')")
    assert page.locator("li:not(.waiting)").count() < 100


def test_a_word_of_a_tagger_is_chosen(opened, model, tmp_path):
    tagger = model.replaced(pooling="none")
    tokens = [text.split() for text in ("not a good film .", "dull !")]
    lrplstm.save_report(tmp_path / "x.html", tagger, tokens)
    page = opened(tmp_path / "x.html")
    classes = lrplstm.lrp(tagger, tokens[0], "all").predicted
    shown = page.locator("#sequence-0 .word rt").all_inner_texts()
    assert shown == [model.class_names[c] for c in classes]
    page.click("#sequence-0 .word >> nth=2")
    assert "at “good”" in page.inner_text("#sequence-0 .facts")
    page.focus("#sequence-1 .text")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    rows = table(page, "#save")
    for b, t in enumerate([2, 0]):
        expected = lrplstm.lrp(tagger, tokens[b], (t, None)).token_relevance
        found = [float(row["relevance"]) for row in rows if row["sequence"] == str(b)]
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)
    page.select_option("#target", "1")
    assert "negative" in page.inner_text("#sequence-0 .facts")
    check_accessible(page)


@pytest.mark.parametrize("level", ["token", "input"])
def test_every_input_is_shown(opened, tmp_path, level):
    model, inputs = beside_a_series()
    batch = lrplstm.lrp(model, inputs, "all", level=level)
    batch.save_html(tmp_path / "x.html")
    page = opened(tmp_path / "x.html")
    page.select_option("#target", "2")
    page.select_option("#against", "0")
    page.locator("#sequence-2").scroll_into_view_if_needed()
    page.locator("#sequence-2 .facts:has-text('rather than')").wait_for()
    others = page.locator("#sequence-2 .other")
    names = list(batch[2].other_relevance)
    assert others.locator("b").all_inner_texts() == names
    for n, name in enumerate(names):
        relevance = batch[2].other_relevance[name]
        relevance = relevance[2] - relevance[0]
        if level == "input" and name in ("kind", "words"):
            relevance = relevance.sum(axis=-1)  # of each step
        texts = others.nth(n).locator(".chip").all_inner_texts()
        found = [number(text.split()[-1]) for text in texts]
        np.testing.assert_allclose(found, np.ravel(relevance), rtol=1e-2, atol=1e-4)
    rows = [row for row in table(page, "#save") if row["sequence"] == "2"]
    for name, relevance in batch[2].relevance_of.items():
        found = [float(row["relevance"]) for row in rows if row["input"] == name]
        expected = np.ravel(relevance[2] - relevance[0])
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    check_accessible(page)


# Series -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "theme"), VIEWS)
def test_series(opened, series, series_page, size, theme):
    model, numbers, dates = series
    page = opened(series_page, size, theme, has_touch=size == "phone")
    open_tools(page)
    a = lrplstm.lrp(model, numbers[0], "all")
    relevance = a.input_relevance[a.predicted]
    names = ["rain", "snow", "<wind>", "sun", "soil"]
    row = page.locator("#sequence-0")
    order = [names[d] for d in np.argsort(-np.abs(relevance).sum(axis=0))]
    strips = row.locator("canvas")
    labels = [strips.nth(n).get_attribute("aria-label") for n in range(6)]
    assert labels == ["all together", *order]
    check_accessible(page)

    # A number by touch or pointing, and by keyboard.
    strip = row.locator("canvas[aria-label='<wind>']")
    box = strip.bounding_box()
    place = {"x": box["width"] * 60.5 / 90, "y": box["height"] / 2}
    strip.tap(position=place) if size == "phone" else strip.hover(position=place)
    text = page.inner_text("#tip p >> nth=1")
    assert text.startswith(f"{dates[60]}: value ")
    assert number(text.split("relevance ")[1]) == pytest.approx(relevance[60, 2], rel=1e-3)
    strip.focus()
    page.keyboard.press("ArrowRight")
    assert strip.get_attribute("aria-valuetext").startswith(str(dates[61]))
    page.keyboard.press("+")
    assert row.locator(".extent").inner_text() != f"{dates[0]} to {dates[-1]}"
    page.keyboard.press("End")
    assert row.locator(".extent").inner_text().endswith(str(dates[-1]))
    page.keyboard.press("Escape")
    assert row.locator(".extent").inner_text() == f"{dates[0]} to {dates[-1]}"

    # Zoom by buttons, by dragging, and back; moved by the slider.
    row.locator("[data-zoom=closer]").click()
    row.locator("[data-key=pan]").evaluate(
        "pan => { pan.value = 10; pan.dispatchEvent(new Event('input', { bubbles: true })); }"
    )
    assert row.locator(".extent").inner_text().startswith(str(dates[10]))
    row.locator("[data-zoom=further]").click()
    row.locator("[data-zoom=all]").click()
    if size != "phone":
        strip.scroll_into_view_if_needed()
        box = strip.bounding_box()
        page.mouse.move(box["x"] + box["width"] * 20.5 / 90, box["y"] + 5)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 39.5 / 90, box["y"] + 5)
        page.mouse.up()
        assert row.locator(".extent").inner_text() == f"{dates[20]} to {dates[39]}"
        strip.dblclick()
        assert row.locator(".extent").inner_text() == f"{dates[0]} to {dates[-1]}"

    # Other controls.
    page.select_option("#variables", "given")
    assert row.locator("canvas").nth(1).get_attribute("aria-label") == "rain"
    page.select_option("#target", "1")
    page.select_option("#scale", "all")
    rows = table(page, "#save")
    assert len(rows) == 3 * 90 * 5
    assert rows[7] == rows[7] | {"label": str(dates[1]), "variable": "<wind>", "step": "1"}
    assert float(rows[7]["value"]) == pytest.approx(numbers[0][1, 2], rel=1e-3)
    assert float(rows[7]["relevance"]) == pytest.approx(a.input_relevance[1, 1, 2], rel=1e-3)
    check_other_theme(page, theme)


def test_a_strip_has_the_colours_of_its_numbers(opened, series, series_page):
    """Each cell of the heat map, where no line is drawn over it, is what `heatmap.color` says."""
    model, numbers, _ = series
    page = opened(series_page)
    a = lrplstm.lrp(model, numbers[0], "all")
    relevance = a.input_relevance[a.predicted]
    cells = page.locator("#sequence-0 canvas[aria-label=soil]").evaluate("""strip => {
        const { width, height } = strip;
        const pixels = strip.getContext("2d").getImageData(0, 0, width, height).data;
        return Array.from({ length: 90 }, (_, t) => {
            const x = Math.floor((t + 0.5) * width / 90);
            return Array.from({ length: height - 4 }, (_, y) => {
                const pixel = 4 * ((y + 2) * width + x);
                return Array.from(pixels.slice(pixel, pixel + 3));
            });
        });
    }""")
    expected = heatmap.color(relevance[:, 4] / np.abs(relevance).max()).astype(int)
    distance = np.abs(np.array(cells) - expected[:, np.newaxis]).max(axis=2)
    assert (distance.min(axis=1) <= 4).all()  # shades are 1/48 apart
