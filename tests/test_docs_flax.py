"""The Python of docs/loaders/flax.md runs."""

from __future__ import annotations

from doc_pages import Page

PAGE = Page("docs/loaders/flax.md")


def test_the_example(tmp_path):
    names = PAGE.run(tmp_path)
    assert names["a"].input_relevance.shape == (5, 3)
    PAGE.check_references()
