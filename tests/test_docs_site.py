"""The site has every page, and says all that is public."""

from __future__ import annotations

import re

import pytest
from doc_pages import ROOT, Page

import lrplstm
from lrplstm import evaluation, layers, summary

INDEX = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")


def test_every_page_is_listed():
    trees = re.findall(r"```{toctree}\n(.*?)```", INDEX, flags=re.DOTALL)
    listed = {(line.split("<")[-1].rstrip(">")) for tree in trees for line in tree.splitlines()}
    pages = {
        str(path.relative_to(ROOT / "docs").with_suffix(""))
        for path in (ROOT / "docs").rglob("*.md")
        if "generated" not in path.parts
    }
    notebooks = {f"../examples/{path.stem}" for path in (ROOT / "examples").glob("*.ipynb")}
    assert pages | notebooks <= listed | {"index", "README"}


@pytest.mark.parametrize("module", [lrplstm, layers, summary, evaluation], ids=lambda m: m.__name__)
def test_every_public_name_is_in_the_reference(module):
    text = Page("docs/api.md").text
    named = set()
    for part in text.split(".. currentmodule:: ")[1:]:
        name, *lines = part.split("```")[0].splitlines()
        if name == module.__name__:
            named |= {line.strip() for line in lines if re.match(r"   \w", line)}
    elsewhere = {"DenseLayer"} if module is layers else {"layers", "summary"}
    assert named == set(module.__all__) - (elsewhere & set(module.__all__))
