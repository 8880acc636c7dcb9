"""The site has every page, and says all that is public."""

from __future__ import annotations

import re

import pytest
from doc_pages import ROOT, Page

import lrplstm
from lrplstm import corpus, evaluation, layers, summary


def test_every_page_is_listed():
    listed = set()
    paths = [p for p in (ROOT / "docs").rglob("*.md") if "generated" not in p.parts]
    for path in paths:
        for tree in re.findall(r"```{toctree}\n(.*?)```", path.read_text("utf-8"), flags=re.DOTALL):
            lines = [line.split("<")[-1].rstrip(">") for line in tree.splitlines()]
            listed |= {(path.parent / line).resolve() for line in lines}
    pages = {path.with_suffix("") for path in paths}
    docs = ROOT / "docs"
    assert pages - listed == {docs / "index", docs / "README"}  # the second is not of the site


MODULES = [lrplstm, layers, summary, evaluation, corpus]


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.__name__)
def test_every_public_name_is_in_the_reference(module):
    text = Page("docs/api.md").text
    named = set()
    for part in text.split(".. currentmodule:: ")[1:]:
        name, *lines = part.split("```")[0].splitlines()
        if name == module.__name__:
            named |= {line.strip() for line in lines if re.match(r"   \w", line)}
    elsewhere = {"DenseLayer"} if module is layers else {"corpus", "layers", "summary"}
    assert named == set(module.__all__) - (elsewhere & set(module.__all__))
