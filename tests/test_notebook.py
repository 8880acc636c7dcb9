"""The notebook runs, and shows what it showed when it was committed."""

from __future__ import annotations

import re

import numpy as np
import pytest
from doc_pages import ROOT, Page

from tools import notebooks

PATH = "examples/run_example.ipynb"
CELLS = notebooks.read(ROOT / PATH)["cells"]
CODE = [cell for cell in CELLS if cell["cell_type"] == "code"]
COLOR, NUMBER = re.compile(r"#[0-9a-f]{6}\b"), re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


@pytest.fixture(scope="module")
def shown():
    return notebooks.execute(CELLS)


def assert_alike(text, expected):
    """The same text, but for the last digits of numbers and the finest shades of colours."""
    shades = [
        np.array([list(bytes.fromhex(color[1:])) for color in COLOR.findall(t)], int).ravel()
        for t in (text, expected)
    ]
    numbers = [np.array(NUMBER.findall(COLOR.sub("", t)), float) for t in (text, expected)]
    first, second = (NUMBER.sub("0", COLOR.sub("#", t)) for t in (text, expected))
    assert first == second
    np.testing.assert_allclose(*shades, atol=1)
    np.testing.assert_allclose(*numbers, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("index", range(len(CODE)), ids=[cell["id"] for cell in CODE])
def test_outputs_are_those_that_are_committed(shown, index):
    outputs, expected = shown[index], CODE[index]["outputs"]
    assert [o["output_type"] for o in outputs] == [o["output_type"] for o in expected]
    for output, committed in zip(outputs, expected, strict=True):
        forms = output.get("data", {"text": output.get("text")})
        committed_forms = committed.get("data", {"text": committed.get("text")})
        assert forms.keys() == committed_forms.keys()
        for form in forms.keys() - {"image/png"}:  # fonts and rendering are matplotlib's
            assert_alike("".join(forms[form]), "".join(committed_forms[form]))


def test_what_it_says_of_the_numbers(shown):
    """The text names words; here is that they are the ones."""
    printed = {
        cell["id"]: "".join(out[0].get("text", [])) for cell, out in zip(CODE, shown, strict=True)
    }
    relevance = dict(line.split() for line in printed["lrp-numbers"].splitlines())
    ranked = sorted(relevance, key=lambda word: float(relevance[word]))
    assert (ranked[0], ranked[-1]) == ("love", "never")
    losses = dict(re.findall(r"^(\w+) .* loses ([-+.\d]+)$", printed["delete"], re.MULTILINE))
    assert max(losses, key=lambda method: float(losses[method])) == "lrp"
    assert printed["scores"].endswith("The model says: negative\n")


def test_it_holds_nothing_that_changes_from_run_to_run():
    assert (ROOT / PATH).stat().st_size < 300_000
    for cell in CODE:
        assert cell["execution_count"] is None
        assert cell["metadata"] == {}
        assert cell["outputs"]
        assert all(o["output_type"] != "error" for o in cell["outputs"])
        assert "Software" not in str(cell["outputs"])


def test_links_and_names():
    Page(PATH).check_references()
