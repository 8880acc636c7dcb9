"""The Python of docs/loaders/neuralhydrology.md runs."""

from __future__ import annotations

from doc_pages import Page
from hydrology_runs import config, write_run

PAGE = Page("docs/loaders/neuralhydrology.md")


def test_the_example(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "run", config(static_attributes=["slope", "area"]))
    names = PAGE.run(tmp_path)
    assert names["a"].relevance_of["dynamic"].shape == (12, 2)
    assert names["a"].relevance_of["static"].shape == (2,)


def test_what_it_names_exists():
    PAGE.check_references()
