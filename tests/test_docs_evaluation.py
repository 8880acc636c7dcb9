"""The page on evaluation: its example runs, and says what is so."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from doc_pages import Page

import lrplstm

PAGE = Page("docs/evaluation.md")


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    backend = plt.get_backend()
    plt.switch_backend("agg")
    folder = tmp_path_factory.mktemp("evaluation")
    yield PAGE.run(folder) | {"folder": folder}
    plt.close("all")
    plt.switch_backend(backend)


def test_example(names):
    M = len(lrplstm.METHODS)
    areas, rest = names["printed"][:M], names["printed"][M:]
    assert [line.split()[0] for line in areas] == list(lrplstm.METHODS)
    counts, conserved, parts, words = rest
    assert counts == "91 86"
    assert conserved == "True"
    assert parts == "('head', 'layer 1', 'embedding')"
    assert words.startswith("very positive ['")
    assert (names["folder"] / "deletion.png").exists()


def test_shapes_in_comments(names):
    curves, M = names["curves"], len(lrplstm.METHODS)
    assert curves.curve_correct.shape == (3, 6)
    assert curves.values.shape == (3, 6, 177)
    assert names["falls"].curve.shape == (M, 6)
    assert names["falls"].area.shape == (M,)
    assert names["kept"].delta.shape == (264,)
    assert names["moved"].signed.shape == (M, 3)
    assert names["found"].signed.shape == (3, 3)
    assert names["where"].strength.shape == (M, 10)
    fall = (curves.curve_correct[:, :1] - curves.curve_correct).sum(axis=1) / 6
    np.testing.assert_allclose(curves.area_correct, fall)


def test_links_and_names(names):
    PAGE.check_references()
