"""What a picture shows: words made safe to show, numbers checked, and the texts of a legend."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lrplstm.heatmap.colors import color
from lrplstm.texts import visible

__all__ = [
    "ALL_ZERO",
    "ENDS",
    "NOT_IN_VOCABULARY",
    "Content",
    "bar_start",
    "checked_content",
    "checked_ends",
    "checked_text",
    "checked_texts",
    "signed",
    "visible_word",
]

ENDS = ("speaks against", "speaks for")
"""What negative and positive relevance say, at the ends of the legend's colour bar."""
ALL_ZERO = "the relevance of every word is 0"
NOT_IN_VOCABULARY = "not in the vocabulary"


def visible_word(word: str) -> str:
    """Make a word safe to show, and give one that would leave an empty box something to show."""
    shown = visible(word)
    return ("␣" * len(shown) if shown.isspace() else shown) or '""'


def signed(value: float, digits: int = 3) -> str:
    """Write a number with its sign and some significant digits; zero has no sign."""
    return f"{value:+.{digits}g}" if value else "0"


def bar_start(ends: tuple[str, str]) -> float:
    """Return where a colour bar with these ends begins, as a fraction of the scale: -1 or 0."""
    return -1.0 if ends[0] else 0.0


@dataclass(frozen=True)
class Content:
    """What is to be shown of one sentence: T words, R rows."""

    words: list[str]  # (T,), visible
    relevance: npt.NDArray[np.float64]  # (R, T)
    unknown: list[bool]  # (T,)
    labels: list[str] | None  # (R,), visible
    scale: float  # the largest |relevance|, which has the full colour
    ends: tuple[str, str]  # what negative and positive relevance say, visible

    @property
    def start(self) -> float:
        """Where the legend's colour bar begins: at 0 where negative numbers say nothing."""
        return bar_start(self.ends)

    @property
    def colors(self) -> npt.NDArray[np.uint8]:
        """Background of every word in every row, (R, T, 3)."""
        return color(self.relevance / self.scale if self.scale else self.relevance)

    @property
    def right_to_left(self) -> bool:
        """Whether the first letter that has a direction runs that way, as for ``dir="auto"``."""
        classes = (unicodedata.bidirectional(char) for word in self.words for char in word)
        return next((kind for kind in classes if kind in ("L", "R", "AL")), "L") != "L"


def checked_content(
    words: Iterable[str],
    relevance: npt.ArrayLike,
    unknown: npt.ArrayLike | None,
    row_labels: Iterable[str] | None,
    ends: tuple[str, str],
) -> Content:
    """Check the arguments that every picture shares."""
    shown = [visible_word(word) for word in checked_texts("words", words)]
    if not shown:
        raise ValueError("words: expected at least one word, got none")

    rows = _checked_relevance(relevance, len(shown))

    try:
        marks = np.zeros(len(shown), dtype=bool) if unknown is None else np.asarray(unknown)
    except ValueError:  # a ragged nested list
        raise ValueError("unknown: expected one boolean per word, got rows that differ") from None
    if marks.dtype != bool:
        raise TypeError(f"unknown: expected booleans, got dtype {marks.dtype}")
    if marks.shape != (len(shown),):
        raise ValueError(
            f"unknown: expected shape ({len(shown)},), one per word, got {marks.shape}"
        )

    labels = None
    if row_labels is not None:
        labels = [visible(label) for label in checked_texts("row_labels", row_labels)]
        if len(labels) != len(rows):
            raise ValueError(
                f"row_labels: expected {len(rows)}, one per row of relevance, got {len(labels)}"
            )

    shown_ends = checked_ends(ends)
    return Content(shown, rows, marks.tolist(), labels, float(np.abs(rows).max()), shown_ends)


def checked_ends(ends: tuple[str, str]) -> tuple[str, str]:
    """Return the two texts made safe to show, or raise an error."""
    shown = [visible(end) for end in checked_texts("ends", ends)]
    if len(shown) != 2:
        raise ValueError(f"ends: expected 2 texts, got {len(shown)}")
    low, high = shown
    return low, high


def checked_texts(name: str, texts: Iterable[str]) -> list[str]:
    """Return a list of str, or raise an error."""
    if isinstance(texts, (str, bytes)) or not isinstance(texts, Iterable):
        raise TypeError(f"{name}: expected a sequence of str, got {type(texts).__name__}")
    return [checked_text(f"{name}[{index}]", text) for index, text in enumerate(texts)]


def checked_text(name: str, text: str) -> str:
    """Return a str, or raise an error."""
    if not isinstance(text, str):
        raise TypeError(f"{name}: expected str, got {type(text).__name__}")
    return text


def _checked_relevance(relevance: npt.ArrayLike, num_words: int) -> npt.NDArray[np.float64]:
    """Return the relevance as (R, T) float64, or raise an error."""
    expected = f"({num_words},) or (R, {num_words}) with R >= 1, one number per word"
    try:
        rows = np.asarray(relevance)
    except ValueError as error:  # a ragged nested list
        raise ValueError(f"relevance: expected shape {expected}, got rows that differ") from error
    if rows.dtype.kind not in "fiu":
        raise TypeError(f"relevance: expected real numbers, got dtype {rows.dtype}")
    if rows.ndim not in (1, 2) or rows.shape[-1] != num_words or rows.shape[0] == 0:
        raise ValueError(f"relevance: expected shape {expected}, got {rows.shape}")
    rows = np.atleast_2d(rows).astype(np.float64)
    finite = np.isfinite(rows)
    if not finite.all():
        row, word = np.argwhere(~finite)[0]
        raise ValueError(
            f"relevance: expected finite numbers, got {rows[row, word]} for word {word}"
        )
    return rows
