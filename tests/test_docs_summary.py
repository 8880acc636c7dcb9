"""The page on summaries: its examples run, and its picture is theirs."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pytest
from doc_pages import Page

PAGE = Page("docs/summary.md")


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    backend = plt.get_backend()
    plt.switch_backend("agg")
    folder = tmp_path_factory.mktemp("summary")
    yield PAGE.run(folder) | {"folder": folder}
    plt.close("all")
    plt.switch_backend(backend)


def test_examples(names):
    printed = names["printed"]
    assert printed[0].split()[:2] == ["variable", "mean_abs"]
    assert [line.split()[0] for line in printed[1:4]] == ["rain", "temperature", "wind"]
    assert printed[-1] == "True"
    assert names["seasons"].season.unique().tolist() == ["DJF", "MAM", "JJA", "SON"]
    holding = names["lags"].lag_holding(0.9).to_frame().set_index("variable").lag
    assert holding["rain"] > 3 * holding["temperature"]


def test_picture(names):
    picture = PAGE.path.parent / "summary.png"
    assert picture.stat().st_size < 200_000
    drawn = plt.imread(names["folder"] / "summary.png")
    assert drawn.shape == plt.imread(picture).shape


def test_links_and_names(names):
    PAGE.check_references()
