"""The Python of docs/tables.md runs."""

from __future__ import annotations

from doc_pages import Page

PAGE = Page("docs/tables.md")


def test_the_examples(tmp_path):
    names = PAGE.run(tmp_path)
    printed = names["printed"]
    assert printed[0] == "('rain_mm', 'temp_c') 2026-01-01 (60, 2)"
    assert printed[1] == "14 b 2026-02-14"
    assert printed[-1] == "True"
    PAGE.check_references()
