"""The notebooks run, and show what they showed when they were committed."""

from __future__ import annotations

import re

import numpy as np
import pytest
from doc_pages import ROOT, Page

from tools import notebooks

NAMES = [
    "compare_methods",
    "run_example",
    "time_series",
    "your_own_keras_model",
    "your_own_pytorch_model",
]
# What these say of their numbers is printed; the numbers are those of one processor and PyTorch.
TRAINED = {"time_series", "your_own_keras_model", "your_own_pytorch_model"}
COLOR, NUMBER = re.compile(r"#[0-9a-f]{6}\b"), re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")
SCRIPT = re.compile(r"<script>.*?</script>", re.DOTALL)  # its data is what the words show, too
HASH = re.compile(r"lrplstm-[0-9a-f]{12}\b")


def cells(name):
    return notebooks.read(ROOT / f"examples/{name}.ipynb")["cells"]


def code(name):
    return [cell for cell in cells(name) if cell["cell_type"] == "code"]


def without_numbers(text):
    return NUMBER.sub("0", COLOR.sub("#", HASH.sub("", SCRIPT.sub("", text))))


def numbers(text):
    text = HASH.sub("", SCRIPT.sub("", text))
    shades = [list(bytes.fromhex(color[1:])) for color in COLOR.findall(text)]
    return np.array(shades, int), np.array(NUMBER.findall(COLOR.sub("", text)), float)


def assert_alike(text, expected, exactly):
    """The same text, but for the last digits of numbers and the finest shades of colours."""
    assert without_numbers(text) == without_numbers(expected)
    if exactly:
        (shades, values), (shades_before, values_before) = numbers(text), numbers(expected)
        np.testing.assert_allclose(shades, shades_before, atol=1)
        np.testing.assert_allclose(values, values_before, rtol=1e-5, atol=1e-9)


@pytest.mark.filterwarnings("ignore:source. padding")  # what the notebook says of it
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Keras
@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_those_that_are_committed(name):
    shown = notebooks.execute(cells(name))
    for outputs, cell in zip(shown, code(name), strict=True):
        expected = cell["outputs"]
        assert [o["output_type"] for o in outputs] == [o["output_type"] for o in expected]
        for output, committed in zip(outputs, expected, strict=True):
            forms = output.get("data", {"text": output.get("text")})
            committed_forms = committed.get("data", {"text": committed.get("text")})
            assert forms.keys() == committed_forms.keys()
            for form in forms.keys() - {"image/png"}:  # fonts and rendering are matplotlib's
                texts = "".join(forms[form]), "".join(committed_forms[form])
                # Colours of a network that was trained here may be some others.
                if form != "text/html" or name not in TRAINED:
                    assert_alike(*texts, exactly=name not in TRAINED)


def test_what_the_first_says_of_the_numbers():
    """The text names words; here is that they are the ones."""
    printed = {
        cell["id"]: "".join(output.get("text", ""))
        for cell in code("run_example")
        for output in cell["outputs"]
    }
    relevance = dict(line.split() for line in printed["lrp-numbers"].splitlines())
    ranked = sorted(relevance, key=lambda word: float(relevance[word]))
    assert (ranked[0], ranked[-1]) == ("love", "never")
    losses = dict(re.findall(r"^(\w+) .* loses ([-+.\d]+)$", printed["delete"], re.MULTILINE))
    assert max(losses, key=lambda method: float(losses[method])) == "lrp"
    assert printed["scores"].endswith("The model says: negative\n")


def test_every_notebook_is_here():
    assert sorted(path.stem for path in (ROOT / "examples").glob("*.ipynb")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_it_holds_nothing_that_changes_from_run_to_run(name):
    assert (ROOT / f"examples/{name}.ipynb").stat().st_size < 500_000
    for cell in code(name):
        assert cell["execution_count"] is None
        assert cell["metadata"] == {}
        assert all(o["output_type"] != "error" for o in cell["outputs"])
        assert "Software" not in str(cell["outputs"])


@pytest.mark.parametrize("name", NAMES)
def test_links_and_names(name):
    Page(f"examples/{name}.ipynb").check_references()
