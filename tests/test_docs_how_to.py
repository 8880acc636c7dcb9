"""The Python of docs/how-to.md runs, and does what the page says."""

from __future__ import annotations

import numpy as np
from doc_pages import Page

from lrplstm.layers import LAYERS
from lrplstm.loaders.registry import LOADERS, options

PAGE = Page("docs/how-to.md")


def test_the_layer_and_the_loader(tmp_path):
    names = PAGE.run(tmp_path)
    try:
        assert names["attribution"].token_relevance.shape == (6,)
        x = np.random.default_rng(1).normal(size=(5, 3))
        np.testing.assert_array_equal(names["same"].predict(x), names["model"].predict(x))
        assert names["same"].layers[1].kind == "scale"
        assert "scale" in options()
    finally:
        del LAYERS["scale"], LOADERS["from_json_arrays"]


def test_files_and_names_exist():
    PAGE.check_references()
