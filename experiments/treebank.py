"""The test sentences of the Stanford Sentiment Treebank, which are not part of this project."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NamedTuple

import lrplstm

__all__ = ["Sentences", "load_model", "read_sentences"]


def load_model() -> lrplstm.LSTMModel:
    """Return the model that ships, in float64: relevance by LRP-prop is too large for float32."""
    return lrplstm.load_default().astype("float64")


class Sentences(NamedTuple):
    """Tokens and true classes of sentences, and a word for where they are from."""

    tokens: list[list[str]]
    labels: list[int]
    source: str


def read_sentences(quick: bool) -> Sentences:
    """Read test.tsv of the folder LRPLSTM_SST; or return the samples that ship, where `quick`.

    A line is a label from 0, a tab, and tokens with single spaces between.
    """
    if quick:
        samples = lrplstm.sample_sentences()
        tokens = [list(sentence.tokens) for sentence in samples]
        labels = [sentence.target for sentence in samples]
        return Sentences(tokens, labels, f"the {len(labels)} sample sentences of the package")
    folder = os.environ.get("LRPLSTM_SST")
    if not folder or not Path(folder, "test.tsv").is_file():
        sys.exit("LRPLSTM_SST: expected a folder with test.tsv, lines of LABEL<tab>word word word")
    text = Path(folder, "test.tsv").read_bytes().decode()
    lines = [line.partition("\t") for line in text.removesuffix("\n").split("\n")]
    tokens = [words.split(" ") for _, _, words in lines]
    labels = [int(label) for label, _, _ in lines]
    return Sentences(tokens, labels, f"the {len(labels):,} test sentences of the SST")
