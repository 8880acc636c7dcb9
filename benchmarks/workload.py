"""Workload A: the test sentences of the Stanford Sentiment Treebank, as token ids."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

# fmt: off
SENTENCES_OF_LENGTH = [
    0, 0, 6, 13, 20, 33, 57, 67, 98, 67, 71, 66, 78, 85, 79, 93, 75, 95, 103, 91, 83, 74, 87, 93,
    80, 66, 65, 68, 56, 52, 34, 38, 30, 38, 23, 18, 20, 17, 19, 10, 9, 6, 5, 7, 5, 3, 2, 1, 3, 0,
    0, 0, 0, 0, 0, 0, 1,
]
# fmt: on
"""How many of the 2,210 test sentences have 0, 1, 2, ... tokens."""


@dataclass(frozen=True)
class Workload:
    """Sentences as arrays of ids, and where they come from."""

    sentences: list[np.ndarray]
    source: str

    @property
    def tokens(self) -> int:
        return sum(map(len, self.sentences))

    def some(self, number: int) -> list[np.ndarray]:
        """Return a random choice of sentences, always the same."""
        chosen = np.random.default_rng(1).choice(len(self.sentences), number, replace=False)
        return [self.sentences[b] for b in chosen]

    def one(self, length: int) -> np.ndarray:
        """Return the first sentence of this length."""
        return next(ids for ids in self.sentences if len(ids) == length)

    def sorted(self) -> list[np.ndarray]:
        """Return all sentences, the longest first."""
        return sorted(self.sentences, key=len, reverse=True)


def load(folder: str | None, model) -> Workload:
    """Read the test sentences, or draw some of the same lengths where there is no folder."""
    path = Path(folder, "test.tsv") if folder else None
    if path is None or not path.is_file():
        return Workload(random_sentences(len(model.vocabulary)), "random words, lengths as in SST")
    ids = {token: id_ for id_, token in enumerate(model.vocabulary)}
    unknown = ids[model.unknown_token]
    lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    sentences = [
        np.array([ids.get(token, unknown) for token in line.split("\t")[1].split(" ")])
        for line in lines
    ]
    return Workload(sentences, "SST test sentences")


def random_sentences(words: int) -> list[np.ndarray]:
    """Return sentences of the treebank's lengths, shuffled; the n-th word is 1/n as frequent."""
    rng = np.random.default_rng(0)
    lengths = np.repeat(np.arange(len(SENTENCES_OF_LENGTH)), SENTENCES_OF_LENGTH)
    rng.shuffle(lengths)
    frequency = 1 / np.arange(1, words + 1)
    ids = rng.choice(words, lengths.sum(), p=frequency / frequency.sum())
    return np.split(ids, lengths.cumsum()[:-1])
