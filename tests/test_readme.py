"""The README's Python runs, and its commands exist."""

from __future__ import annotations

import io
import re
import tomllib

import matplotlib.pyplot as plt
import pytest
from doc_pages import ROOT, Page

import lrplstm
from tools import pictures

README = Page("README.md")
BLOCKS = README.blocks
# Names files that are the reader's own; the pages in docs/loaders have examples that run.
(LOADERS,) = (code for code in BLOCKS if "from_keras" in code)
BLOCKS.remove(LOADERS)


def test_there_are_examples():
    assert len(BLOCKS) >= 2


@pytest.mark.parametrize("code", BLOCKS, ids=lambda code: code.splitlines()[0])
def test_python(code, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some write files
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    first = re.search(r"# (negative)$", code, flags=re.MULTILINE)
    if first:
        assert capsys.readouterr().out.startswith(first.group(1))
    else:
        assert names["a"].input_relevance.shape == (20, 3)


def test_loaders_exist():
    names = re.findall(r"lrplstm\.(from_\w+)\(", LOADERS)
    assert len(names) == 4
    assert set(names) <= set(lrplstm.__all__)


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"make ([a-z-]+)", README.text))
    assert {"demo", "test"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


@pytest.mark.parametrize("path", ["README.md", "docs/loaders/keras.md", "docs/loaders/onnx.md"])
def test_extras_are_installed_from_a_clone_too(path):
    """What is on no index yet is on none for whoever has cloned it."""
    text = Page(path).text
    named = set(re.findall(r'pip install "lrplstm\[([a-z,]+)\]"', text))
    assert named
    assert named == set(re.findall(r'pip install "\.\[([a-z,]+)\]"', text))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for extras in named:
        assert set(extras.split(",")) <= project["optional-dependencies"].keys()


def test_the_picture_can_be_made_again():
    picture, again = ROOT / "docs" / "explanation.png", io.BytesIO(pictures.draw())
    assert README.text.count("](docs/explanation.png)") == 1
    assert picture.stat().st_size < 130_000
    drawn, committed = (plt.imread(file, format="png") for file in (again, picture))
    assert committed.shape[1] == drawn.shape[1] == 1600
    assert " ".join(pictures.WORDS) in BLOCKS[0]  # which says what it shows


def test_what_it_names_exists():
    README.check_references()
