"""The Python of docs/loaders/onnx.md runs, and does what the page says."""

from __future__ import annotations

import warnings

import numpy as np
from doc_pages import Page

import lrplstm

PAGE = Page("docs/loaders/onnx.md")


def test_the_example(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of the exporter
        names = PAGE.run(tmp_path)
    assert len(PAGE.blocks) == 2
    printed = [line.split()[0] for line in names["printed"]]
    assert printed[-5:] == ["mean", *names["a"].tokens]
    same = lrplstm.load("classifier")
    assert np.array_equal(same.predict(["a", "film"]), names["model"].predict(["a", "film"]))


def test_what_it_names_exists():
    PAGE.check_references()
