"""What a notebook shows of explanations: with script, without, on light and dark, many at once."""

from __future__ import annotations

import re

import numpy as np
import pytest
from chromium import browser, check_accessible, opened

import lrplstm

__all__ = ["browser", "opened"]  # fixtures

TEXT = "It ISN'T <b>good</b>… </script><script>alert(1)</script> “dull”!"


@pytest.fixture(scope="module")
def model():
    return lrplstm.load_default()


def series(count, T=40, D=3):
    rng = np.random.default_rng(3)
    lstm = lrplstm.LSTMWeights(*(rng.normal(0, 0.3, s) for s in [(16, D), (16, 4), (16,)]))
    model = lrplstm.LSTMModel(
        [lstm],
        head_weight=rng.normal(size=(2, 4)),
        class_names=("dry", "wet"),
        feature_names=[f"v{d}" for d in range(D)],
    )
    return lrplstm.lrp(model, [rng.normal(size=(T, D)) for _ in range(count)], "all")


def write(path, *outputs, body="", head=""):
    """Write what a notebook makes of outputs: a page that may have styles of its own."""
    cells = "".join(f"<div>{output}</div>" for output in outputs)
    path.write_text(
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>x</title>'
        f"{head}</head><body {body}><main><h1>Notebook</h1>{cells}</main></body></html>",
        encoding="utf-8",
    )
    return path


def relevance_shown(page, output, word):
    """Return the number that appears at a word."""
    page.locator(".lrplstm-output").nth(output).locator(".word").nth(word).hover()
    text = page.locator(".lrplstm-output").nth(output).locator("#tip b").inner_text()
    return float(text.replace("\N{MINUS SIGN}", "-"))


def test_outputs_have_controls_and_do_not_disturb_one_another(opened, model, tmp_path):
    a = lrplstm.lrp(model, TEXT, "all")
    html = a._repr_html_()
    head = "<style>select, .word, li { display: none !important; color: red }</style>"
    path = write(tmp_path / "x.html", html, html, series(2)._repr_html_(), head=head)
    page = opened(path)
    outputs = page.locator(".lrplstm-output")
    assert outputs.count() == 3
    for n in range(2):
        shown = outputs.nth(n).locator(".text").evaluate("text => text.textContent")
        assert shown.replace("\N{NO-BREAK SPACE}", " ") == TEXT
    outputs.nth(1).locator("#target").select_option("0")
    outputs.nth(1).locator("#against").select_option("4")
    expected = a.token_relevance[a.predicted, 2], a.token_relevance[0, 2] - a.token_relevance[4, 2]
    for n in range(2):
        assert relevance_shown(page, n, 2) == pytest.approx(expected[n], rel=1e-3)
    outputs.nth(1).locator("#against").select_option("")
    outputs.nth(1).locator(".score").nth(3).click()
    assert outputs.nth(1).locator("#target").input_value() == "3"
    assert outputs.nth(0).locator("#target").input_value() == "predicted"
    outputs.nth(0).locator("#numbers").check()
    assert outputs.nth(0).locator("rt").count() == len(a)
    assert outputs.nth(1).locator("rt").count() == 0
    strips = outputs.nth(2).locator("#sequence-0 canvas")
    assert strips.count() == 4
    strips.first.focus()
    page.keyboard.press("End")
    assert outputs.nth(2).locator("#tip").is_visible()
    assert page.evaluate("typeof data + typeof show + typeof palette") == 3 * "undefined"
    check_accessible(page)


@pytest.mark.parametrize(
    ("body", "system", "theme"),
    [
        ("", "light", "light"),
        ("", "dark", "light"),  # which does not say that it may be dark
        ('style="color-scheme: light dark"', "dark", "light"),  # the document decides, not the body
        ('data-jp-theme-light="false" style="background: #111; color: #fff"', "light", "dark"),
        ('data-jp-theme-light="true" style="background: #fff"', "dark", "light"),
        ('data-vscode-theme-kind="vscode-dark" style="background: #222"', "light", "dark"),
        ('data-vscode-theme-kind="vscode-high-contrast-light"', "dark", "light"),
        ('style="background: #1e1e1e; color: #ddd"', "light", "dark"),
    ],
)
def test_themes(opened, model, tmp_path, body, system, theme):
    html = lrplstm.lrp(model, TEXT, "all")._repr_html_()
    page = opened(write(tmp_path / "x.html", html, body=body), theme=system)
    assert page.locator(".notebook").get_attribute("data-theme") == theme
    if "#222" not in body:  # of which the heading of the test's own page has too little contrast
        check_accessible(page)


def test_a_theme_that_changes_is_followed(opened, model, tmp_path):
    html = lrplstm.lrp(model, TEXT)._repr_html_()
    page = opened(write(tmp_path / "x.html", html, body='data-jp-theme-light="true"'))
    for light in ("false", "true"):
        page.evaluate(f"document.body.dataset.jpThemeLight = '{light}'")
        theme = {"true": "light", "false": "dark"}[light]
        page.locator(f".notebook[data-theme={theme}]").wait_for()


def test_without_a_script_words_are_coloured_still(opened, model, tmp_path):
    a = lrplstm.lrp(model, TEXT, "all")
    html = a._repr_html_() + series(2)._repr_html_()
    page = opened(write(tmp_path / "x.html", html), java_script_enabled=False)
    assert page.locator("bdi").count() == 5 * len(a)
    assert page.locator("td").count() == 2 * 2 * 3 * 40
    static = re.sub(r"<script>.*?</script>", "", html, flags=re.DOTALL)
    assert not re.search(r"<(script|style|select|input|button|template)|javascript| id=", static)


def test_outputs_are_small(model):
    sentences = [list(s.tokens) for s in lrplstm.sample_sentences()]
    assert len(lrplstm.lrp(model, sentences[0])._repr_html_()) < 40_000
    many = lrplstm.lrp(model, sentences, "all")._repr_html_()
    assert len(many) < 200_000
    assert f"25 of {len(sentences)} are shown; save_html(path) writes a page of all" in many
    assert len(series(3, T=3000, D=10)._repr_html_()) < 500_000


def test_what_cannot_be_drawn_is_left_to_its_repr(model):
    batch = lrplstm.lrp(model, [["fine"], ["dull", "film"]])
    batch.token_relevance[0] = np.inf
    html = batch._repr_html_()
    assert "1 of 2 are shown" in html
    assert batch[0]._repr_html_() is None
    batch.token_relevance[:] = np.nan
    assert batch._repr_html_() is None
    beyond = lrplstm.lrp(model.astype(np.float64), ["fine", "film"])
    beyond.token_relevance[:] = 1e300, -1e300
    assert beyond._repr_html_().startswith("<figure")
