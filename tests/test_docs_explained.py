"""The Python of the pages that explain runs, and says what they say."""

from __future__ import annotations

import re

import pytest
from doc_pages import Page

EXPLAINED, QUESTIONS = Page("docs/lrp-explained.md"), Page("docs/faq.md")
COMING = [Page(f"docs/coming-from/{name}.md") for name in ("captum", "shap", "zennit", "arras")]


def said(page):
    """What comments say that a line prints."""
    code = "\n".join(page.blocks)
    comments = re.findall(r"^print\(.*\)  # (.*)$", code, flags=re.MULTILINE)
    return [comment.split(":")[0] for comment in comments]


def test_lrp_explained(tmp_path):
    assert EXPLAINED.run(tmp_path)["printed"] == said(EXPLAINED)
    EXPLAINED.check_references()


def test_questions(tmp_path):
    printed = QUESTIONS.run(tmp_path)["printed"]
    numbers = [line for line in printed if line[0].isdigit()]
    assert [line for line in printed if line not in numbers] == said(QUESTIONS)
    assert numbers == ["1e-06 -0.026 1.32", "0.001 0.005 1.26", "0.1 0.595 0.19"]


@pytest.mark.filterwarnings("ignore")  # of captum, SHAP and what they import
@pytest.mark.parametrize("page", COMING, ids=lambda page: page.path.stem)
def test_coming_from_others(page, tmp_path):
    if "from torch" in page.text:
        pytest.importorskip("torch")
    if page.path.stem in ("captum", "shap"):
        pytest.importorskip(page.path.stem)
    assert page.run(tmp_path)["printed"] == said(page)
    page.check_references()
