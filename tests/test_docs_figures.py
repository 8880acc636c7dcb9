"""The page on figures: its examples run, and its pictures are theirs."""

from __future__ import annotations

import re

import matplotlib.pyplot as plt
import pypdf
from doc_pages import Page

PAGE, GALLERY = Page("docs/figures.md"), Page("docs/gallery.md")


def test_examples_and_pictures(tmp_path):
    with plt.rc_context({"backend": "agg"}):
        PAGE.run(tmp_path)
        plt.close("all")
    committed = {path.name: path for path in (PAGE.path.parent / "figures").glob("*.png")}
    drawn = {path.name: path for path in tmp_path.glob("*.png")}
    assert committed.keys() == drawn.keys()
    for name, path in committed.items():
        assert f"](figures/{name})" in PAGE.text
        assert path.stat().st_size < 100_000
        assert plt.imread(path).shape[:2] == plt.imread(drawn[name]).shape[:2], name
    (page,) = pypdf.PdfReader(tmp_path / "sentence.pdf").pages
    assert "never" in page.extract_text()
    assert r"\colorbox" in (tmp_path / "sentence.tex").read_text("utf-8")
    PAGE.check_references()


def test_gallery(tmp_path):
    with plt.rc_context({"backend": "agg", "figure.max_open_warning": 0}):
        names = GALLERY.run(tmp_path)
        plt.close("all")
    assert any(r"\strut never}" in line for line in names["printed"])
    assert (tmp_path / "report.html").exists()
    GALLERY.check_references()
    shown = set(re.findall(r"\]\(figures/(.*?\.png)\)", GALLERY.text))
    drawn = {path.name for path in (PAGE.path.parent / "figures").glob("*.png")}
    assert drawn - shown == {"column.png"}  # two of the same kind in a narrow column
