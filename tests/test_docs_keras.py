"""The Python of docs/loaders/keras.md runs, and does what the page says."""

from __future__ import annotations

import re

import keras_models  # noqa: F401 - imports Keras as the tests want it
import numpy as np
import pytest
from doc_pages import Page

from lrplstm.loaders.keras import reading  # noqa: F401 - it enters what layers do
from lrplstm.loaders.keras.hdf5_worker import MOST_BYTES, MOST_GROWTH
from lrplstm.loaders.keras.translation import CLASSES

PAGE = Page("docs/loaders/keras.md")


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_the_example(tmp_path):
    names = PAGE.run(tmp_path)
    assert len(PAGE.blocks) == 3
    model, a = names["model"], names["a"]
    printed = [line.split() for line in names["printed"]]
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
    """The expression on the page keeps the words that have a row."""
    expression = re.search(r"`(\{word: id for .*?\})`", PAGE.text).group(1)
    index = {"film": 2, "the": 1, "good": 3, "rare": 4}
    assert eval(expression, {"index": index, "num_words": 4}) == {"film": 2, "the": 1, "good": 3}


def test_what_it_names_exists():
    rows = PAGE.text.partition("## What is read")[2].partition("What the [layers")[0]
    named = {
        name
        for row in re.findall(r"^\| (`.*?) \|", rows, flags=re.MULTILINE)
        for name in re.findall(r"`([A-Z]\w+)`", row)
    }
    masks = {"Any", "LogicalAnd", "LogicalOr", "NotEqual"}  # functions that layers stand for
    classes = {name for name in CLASSES if "." not in name} - masks
    assert named == classes | {"TimeDistributed"}
    PAGE.check_references()
    assert f"at most {MOST_GROWTH} times their size and {MOST_BYTES >> 20} MB" in PAGE.text
