"""What a picture of words shows: passages on colour, in groups, and one legend for all."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lrplstm.heatmap.colors import color
from lrplstm.heatmap.content import ALL_ZERO, NOT_IN_VOCABULARY, Content, signed
from lrplstm.heatmap.spacing import stands_close

__all__ = ["Group", "Legend", "Passage", "WordsPicture", "of_content", "own_scale"]

_OWN_SCALES = "max: full colour of the row"


class Legend(NamedTuple):
    """What colours mean.

    Attributes
    ----------
    ends : (str, str)
        What negative and positive relevance say; where the first is empty the bar begins at 0.
    scale : float, or None
        Relevance that has the full colour. None: every passage has a scale of its own.
    unknown : bool
        Whether words are marked as not in the vocabulary.
    """

    ends: tuple[str, str]
    scale: float | None
    unknown: bool = False
    own: bool = False  # whether some passages have scales of their own

    @property
    def texts(self) -> list[str]:
        """What may be written in it."""
        numbers = [] if self.scale is None else [signed(self.scale), signed(-self.scale)]
        return [*self.ends, *numbers, NOT_IN_VOCABULARY, _OWN_SCALES, ALL_ZERO, "0"]

    @property
    def remarks(self) -> list[str]:
        """What stands behind the bar."""
        return [_OWN_SCALES] if self.own else []


@dataclass(frozen=True, eq=False)
class Passage:
    """T words on colour, behind a label.

    Attributes
    ----------
    words : list of str of length T, visible
    shades : ndarray of shape (T,)
        Relevance as a fraction of the full scale.
    unknown, close : list of bool of length T
        What the vocabulary lacks; what belongs on the line of the word before.
    label : str
    bar : float, or None
        Drawn behind the label: a score, as a fraction of the largest one.
    number, scale : str
        Written behind that: the score, and the relevance that has the full colour.
    """

    words: list[str]
    shades: npt.NDArray[np.float64]
    unknown: list[bool]
    close: list[bool]
    label: str = ""
    bar: float | None = None
    number: str = ""
    scale: str = ""

    @property
    def colors(self) -> npt.NDArray[np.uint8]:
        """Background of every word, (T, 3)."""
        return color(self.shades)

    @property
    def right_to_left(self) -> bool:
        """Whether the first letter that has a direction runs that way, as for ``dir="auto"``."""
        classes = (unicodedata.bidirectional(char) for word in self.words for char in word)
        return next((kind for kind in classes if kind in ("L", "R", "AL")), "L") != "L"


class Group(NamedTuple):
    """Passages below a heading, which may be empty."""

    heading: str
    passages: Sequence[Passage]


@dataclass(frozen=True, eq=False)
class WordsPicture:
    """Groups of passages, one under another or in columns, a title and a legend."""

    groups: Sequence[Group]
    legend: Legend | None = None
    title: str = ""
    notes: Sequence[str] = ()
    in_columns: bool = False

    @property
    def passages(self) -> list[Passage]:
        """Those of all groups."""
        return [passage for group in self.groups for passage in group.passages]

    @property
    def texts(self) -> list[str]:
        """All that is written."""
        texts = [self.title, *self.notes, *(group.heading for group in self.groups)]
        for one in self.passages:
            texts += [*one.words, one.label, one.number, one.scale]
        return texts if self.legend is None else texts + self.legend.texts

    def in_letters_of(self, drawable: dict[str, str]) -> WordsPicture:
        """Return the same in letters that can be drawn."""

        def passage(one: Passage) -> Passage:
            words = [drawable[word] for word in one.words]
            return replace(one, words=words, label=drawable[one.label])

        groups = [
            Group(drawable[group.heading], [*map(passage, group.passages)]) for group in self.groups
        ]
        legend = self.legend
        if legend is not None:
            low, high = legend.ends
            legend = legend._replace(ends=(drawable[low], drawable[high]))
        notes = [drawable[note] for note in self.notes]
        return replace(self, groups=groups, legend=legend, title=drawable[self.title], notes=notes)


def of_content(content: Content, title: str = "", notes: Sequence[str] = ()) -> WordsPicture:
    """Return the picture of one sentence, with its rows one under another on one scale."""
    close = stands_close(content.words)
    shades = content.relevance / (content.scale or 1.0)
    passages = [
        Passage(content.words, row, content.unknown, close, label)
        for row, label in zip(shades, content.labels or [""] * len(shades), strict=True)
    ]
    legend = Legend(content.ends, content.scale, any(content.unknown))
    return WordsPicture([Group("", passages)], legend, title, notes)


def own_scale(scale: float) -> str:
    """Write what has the full colour in a passage with a scale of its own."""
    return f"max {scale:.3g}"
