"""The Python of docs/loaders/keras.md runs, and does what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import keras_models  # noqa: F401 - imports Keras as the tests want it
import numpy as np
import pytest

import lrplstm
from lrplstm.loaders.keras.chain import CLASSES
from lrplstm.loaders.keras.hdf5_worker import MOST_GROWTH

DOCS = Path(__file__).parents[1] / "docs" / "loaders"
PAGE = (DOCS / "keras.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_the_example(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    for code in BLOCKS:
        exec(compile(code, "keras.md", "exec"), names)
    assert len(BLOCKS) == 3
    model, a = names["model"], names["a"]
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [token for token, _ in printed] == [*a.tokens, "score"]

    # It has learnt what "not" does, and padding has no relevance.
    assert a.scores[0] < -1
    assert model.predict("the film is good".split())[0] > 1
    relevance = dict(zip(a.tokens, a.token_relevance.tolist(), strict=True))
    assert relevance["<pad>"] == 0
    assert relevance["not"] < 0

    probabilities = names["network"].predict(names["x"], verbose=0)[:, 0]
    scores = model.predict(list(names["x"]))[:, 0]
    np.testing.assert_allclose(1 / (1 + np.exp(-scores)), probabilities, rtol=1e-4)
    for other in (names["same"], names["also"]):
        np.testing.assert_array_equal(other.predict(list(names["x"]))[:, 0], scores)


def test_the_vocabulary_of_an_old_tokenizer():
    """The expression on the page puts words where their ids are."""
    expression = re.search(r'`(\["<pad>", \*sorted.*?\])`', PAGE).group(1)
    found = eval(expression, {"index": {"film": 2, "the": 1, "good": 3}})
    assert found == ["<pad>", "the", "film", "good"]


def test_what_it_names_exists():
    rows = PAGE.partition("## What is read")[2].partition("Everything else")[0]
    named = {
        name
        for row in re.findall(r"^\| (`.*?) \|", rows, flags=re.MULTILINE)
        for name in re.findall(r"`([A-Z]\w+)`", row)
    }
    assert named == CLASSES
    for name in re.findall(r"lrplstm\.([a-z_]+)", PAGE):
        assert hasattr(lrplstm, name), name
    for target in re.findall(r"\]\(([^)#:]+)\)", PAGE):
        assert (DOCS / target).exists(), target
    assert f"at most {MOST_GROWTH} times their size" in PAGE
