"""Relevance of each word over many texts: lists of what speaks for and against each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lrplstm.checks import to_int
from lrplstm.errors import ArgumentError, ArgumentTypeError
from lrplstm.summary.bootstrap import check_confidence
from lrplstm.summary.estimates import Estimate, frame, quotient, text_table
from lrplstm.summary.grouping import sequence_groups
from lrplstm.summary.rows import selected
from lrplstm.summary.source import Source, read_source
from lrplstm.summary.student import student_factor
from lrplstm.summary.sums import check_same, place_of, union
from lrplstm.summary.word_lists import WordList, draw_word_bars, draw_word_columns
from lrplstm.texts import visible
from lrplstm.weights import Array

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["WordRelevance", "words"]

_SUMS = ("count", "sequences", "relevance", "squares", "products", "count_squares")


@dataclass(frozen=True, eq=False, repr=False)
class WordRelevance:
    """Sums over the occurrences of W words in the texts of G groups, for C classes.

    Attributes
    ----------
    columns : tuple of str
        What texts are grouped by.
    keys : tuple of tuple of length G
        The values of groups of texts in the columns.
    classes : tuple of str of length C, or None
        What was explained; None where it has no name.
    words : tuple of str of length W
        Each once.
    count, sequences : ndarray of shape (G, C, W)
        How often a word occurs, and in how many texts.
    relevance : ndarray of shape (G, C, W)
        Sum of its relevance r.
    squares, products, count_squares : ndarray of shape (G, C, W)
        Sums over texts of r^2, r n and n^2, where r is a word's relevance in a text, in which it
        occurs n times.
    confidence : float
        Of the intervals.
    min_count : int
        Words that occur less often are not shown.

    Examples
    --------
    >>> import lrplstm
    >>> from lrplstm import summary
    >>> batch = [sentence.tokens for sentence in lrplstm.sample_sentences()[:40]]
    >>> found = summary.words(lrplstm.lrp(lrplstm.load_default(), batch, target="positive"))
    >>> found.mean.value.shape == found.count.shape
    True
    """

    columns: tuple[str, ...]
    keys: tuple[tuple[Any, ...], ...]
    classes: tuple[str, ...] | None
    words: tuple[str, ...]
    count: Array
    sequences: Array
    relevance: Array
    squares: Array
    products: Array
    count_squares: Array
    confidence: float
    min_count: int

    @property
    def mean(self) -> Estimate:
        """Mean relevance of an occurrence, with its interval: arrays of shape (G, C, W).

        The standard error is that of a quotient of sums over texts, of which those that hold the
        word are taken as a sample (Cochran 1977, Sampling Techniques, chapter 6); the interval is
        that of Student's t distribution with one degree of freedom less than there are such texts.
        """
        m, n = quotient(self.relevance, self.count), self.sequences
        # sum of (r - m n)^2
        residual = np.maximum(self.squares - 2 * m * self.products + m * m * self.count_squares, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            error = np.sqrt(residual * n / (n - 1)) / self.count
        margin = student_factor(self.confidence, n - 1) * error
        return Estimate(m, m - margin, m + margin)

    def lists(
        self, top: int | None = None, *, select: Mapping[str, Any] | None = None
    ) -> list[WordList]:
        """Return the words of each group and class, the most relevant first.

        Parameters
        ----------
        top : int, optional
            Only so many of the most relevant ones with positive relevance, and of the least with
            negative. Default: all that occur `min_count` times.
        select : mapping, optional
            Only what has this value in a column, such as ``{"class": "positive"}``.

        Returns
        -------
        list of WordList
            One for each group and class that has words.

        Examples
        --------
        >>> import lrplstm
        >>> from lrplstm import summary
        >>> batch = [sentence.tokens for sentence in lrplstm.sample_sentences()[:40]]
        >>> found = summary.words(lrplstm.lrp(lrplstm.load_default(), batch, target="positive"))
        >>> [len(one.words) for one in found.lists(top=3)]
        [6]
        """
        top = None if top is None else to_int("top", top, 1)
        classes = self.classes or ("",)
        G, C = len(self.keys), len(classes)
        columns = {
            name: np.repeat(np.array([key[n] for key in self.keys], object), C)
            for n, name in enumerate(self.columns)
        }
        if self.classes is not None:
            columns["class"] = np.tile(np.array(classes, object), G)
        kept = selected(columns, select)
        estimate = self.mean
        found = []
        for g, c in zip(*np.unravel_index(kept, (G, C)), strict=True):
            if not self.count[g, c].any():
                continue
            value = estimate.value[g, c]
            chosen = np.flatnonzero(self.count[g, c] >= max(self.min_count, 1))
            chosen = chosen[np.argsort(-value[chosen], kind="stable")]
            if top is not None:
                most, least = chosen[:top], chosen[top:][-top:]
                chosen = np.concatenate([most[value[most] > 0], least[value[least] < 0]])
            key = dict(zip(self.columns, self.keys[g], strict=True))
            if self.classes is not None:
                key["class"] = classes[c]
            found.append(
                WordList(
                    key,
                    tuple(self.words[w] for w in chosen.tolist()),
                    Estimate(*(values[g, c, chosen] for values in estimate)),
                    self.count[g, c, chosen],
                    self.sequences[g, c, chosen],
                )
            )
        return found

    def to_columns(self, top: int | None = None) -> dict[str, Array]:
        """Return the columns of `to_frame` as arrays.

        Parameters
        ----------
        top : int, optional
            As of `lists`.

        Returns
        -------
        dict of ndarray by str
            One number a row of the table.

        Examples
        --------
        >>> import lrplstm
        >>> from lrplstm import summary
        >>> batch = [sentence.tokens for sentence in lrplstm.sample_sentences()[:40]]
        >>> found = summary.words(lrplstm.lrp(lrplstm.load_default(), batch, target="positive"))
        >>> len(found.to_columns(top=3)["word"])
        6
        """
        lists = self.lists(top)
        names = [*self.columns, *(["class"] if self.classes is not None else [])]
        sizes = [len(one.words) for one in lists]
        columns = {
            name: np.repeat(np.array([one.key[name] for one in lists], object), sizes)
            for name in names
        }
        columns["word"] = np.array([word for one in lists for word in one.words], object)
        for name in ("count", "sequences"):
            columns[name] = _joined([getattr(one, name) for one in lists])
        for n, name in enumerate(("mean", "mean_low", "mean_high")):
            columns[name] = _joined([one.estimate[n] for one in lists])
        return columns

    def to_frame(self, top: int | None = None) -> pd.DataFrame:
        """Return a tidy table of pandas.

        Parameters
        ----------
        top : int, optional
            As of `lists`.

        Returns
        -------
        DataFrame
            A row for each group, class and word, the most relevant first: ``count``,
            ``sequences``, and ``mean`` with the ends of its interval, ``mean_low`` and
            ``mean_high``: NaN of words that occur in one text only.

        Raises
        ------
        ImportError
            Without pandas.

        Examples
        --------
        >>> import lrplstm
        >>> from lrplstm import summary
        >>> batch = [sentence.tokens for sentence in lrplstm.sample_sentences()[:40]]
        >>> found = summary.words(lrplstm.lrp(lrplstm.load_default(), batch, target="positive"))
        >>> found.to_frame(top=3).columns.tolist()
        ['class', 'word', 'count', 'sequences', 'mean', 'mean_low', 'mean_high']
        """
        return frame(self.to_columns(top))

    def merge(self, other: WordRelevance) -> WordRelevance:
        """Return the summary of the texts of both, which are taken to be others.

        Parameters
        ----------
        other : WordRelevance
            Of other sequences.

        Returns
        -------
        WordRelevance
            Of all texts.

        Raises
        ------
        TypeError
            If it is something else.
        ValueError
            If they are by other columns, or of other classes.

        Examples
        --------
        >>> import lrplstm
        >>> from lrplstm import summary
        >>> batch = [sentence.tokens for sentence in lrplstm.sample_sentences()[:40]]
        >>> found = summary.words(lrplstm.lrp(lrplstm.load_default(), batch, target="positive"))
        >>> int(found.merge(found).count.sum() / found.count.sum())
        2
        """
        if not isinstance(other, WordRelevance):
            raise ArgumentTypeError(
                "other", f"expected a WordRelevance, got {type(other).__name__}"
            )
        for name in ("columns", "classes", "confidence"):
            check_same(name, getattr(self, name), getattr(other, name))
        keys = union(self.keys, other.keys)
        words = tuple(dict.fromkeys((*self.words, *other.words)))
        rows, columns = place_of(keys), place_of(words)
        shape = len(keys), self.count.shape[1], len(words)
        total: dict[str, Any] = {name: np.zeros(shape, getattr(self, name).dtype) for name in _SUMS}
        for part in (self, other):
            place = np.ix_(
                [rows[key] for key in part.keys],
                range(shape[1]),
                [columns[word] for word in part.words],
            )
            for name in _SUMS:
                total[name][place] += getattr(part, name)
        min_count = max(self.min_count, other.min_count)
        return replace(self, keys=keys, words=words, min_count=min_count, **total)

    def __add__(self, other: WordRelevance) -> WordRelevance:
        return self.merge(other)

    def __str__(self) -> str:
        return text_table(self.to_columns(10))

    def __repr__(self) -> str:
        return f"WordRelevance({len(self.words)} words, {int(self.count.sum())} occurrences)"

    def plot(
        self,
        ax: Axes | None = None,
        *,
        top: int = 10,
        select: Mapping[str, Any] | None = None,
    ) -> Axes:
        """Draw the most and the least relevant words with matplotlib.

        Bars with intervals, where it is one class; else words in a column for each class, coloured
        by relevance.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw. Default: a new figure.
        top : int
            So many of either.
        select : mapping, optional
            As of `lists`.

        Returns
        -------
        matplotlib Axes
            Where it was drawn.

        Raises
        ------
        ValueError
            If nothing is selected, or no word occurs `min_count` times.

        Examples
        --------
        >>> import lrplstm
        >>> from lrplstm import summary
        >>> batch = [sentence.tokens for sentence in lrplstm.sample_sentences()[:40]]
        >>> found = summary.words(lrplstm.lrp(lrplstm.load_default(), batch, target="positive"))
        >>> ax = found.plot(top=5)
        """
        found = [one for one in self.lists(top, select=select) if one.words]
        if not found:
            raise ArgumentError(
                "min_count", f"expected words that occur {self.min_count} times, found none"
            )
        return draw_word_bars(ax, found[0]) if len(found) == 1 else draw_word_columns(ax, found)


def _joined(arrays: Sequence[Array]) -> Array:
    return np.concatenate(arrays) if arrays else np.zeros(0)


def words(
    attributions: Any,
    *,
    by: Any = None,
    labels: Any = None,
    min_count: int = 2,
    confidence: float = 0.95,
) -> WordRelevance:
    """Sum up the relevance of each word, for each class that was explained.

    Words that the vocabulary lacks are left out: they share one vector, so it is not they that are
    relevant.

    Parameters
    ----------
    attributions : Attributions, Attribution, or sequence of these
        Of words. With target "all" every text counts for each class, and else
        for the class that was explained.
    by : str, array of shape (B,), or mapping of these, optional
        Groups of texts, as for `variables`.
    labels : array_like of shape (B,), optional
        The true class of each text.
    min_count : int
        Words that occur less often, in a group and for a class, are not shown.
    confidence : float
        Of the intervals, see `WordRelevance.mean`.

    Returns
    -------
    WordRelevance
        Of each word.

    Raises
    ------
    TypeError, ValueError
        As `variables`; ValueError if what was explained are no words.

    Examples
    --------
    >>> import lrplstm
    >>> from lrplstm import summary
    >>> model = lrplstm.load_default()
    >>> batch = [sentence.tokens for sentence in lrplstm.sample_sentences()]
    >>> found = summary.words(lrplstm.lrp(model, batch, target="very positive"), min_count=3)
    >>> for one in found.lists(top=3):
    ...     print(one.key["class"], one.words)
    very positive ('best', 'fun', 'clever', 'weak', 'nobody', 'hardly')
    """
    min_count = to_int("min_count", min_count, 1)
    check_confidence(confidence)
    source = read_source(attributions)
    tokens, code = source.token_codes()
    groups = sequence_groups(source, by, labels)
    classes, row_of = _class_rows(source)
    relevance = source.of_words()  # (rows, steps)
    known = np.flatnonzero(~source.given.unknown)
    B, W, C = len(source), len(tokens), len(classes or ("",))
    sequence = np.repeat(np.arange(B), np.diff(source.offsets))
    # All occurrences of a word in a text follow each other.
    key = code[known] * B + sequence[known]
    order = key.argsort(kind="stable")
    key = key[order]
    begin = np.flatnonzero(np.diff(key, prepend=-1))
    word, text = np.divmod(key[begin], B)
    n = np.diff(begin, append=len(key))
    found = {name: np.zeros(len(groups.keys) * C * W) for name in _SUMS}
    for k, row in enumerate(relevance):
        r = np.add.reduceat(row[known[order]], begin) if len(begin) else np.zeros(0)
        of_class = k if row_of is None else row_of[text]
        cell = (groups.codes[text] * C + of_class) * W + word
        terms = (n, np.ones(len(n)), r, r * r, r * n, n * n)
        for name, values in zip(_SUMS, terms, strict=True):
            found[name] += np.bincount(cell, values, len(found[name]))
    sums: dict[str, Any] = {
        name: values.reshape(len(groups.keys), C, W) for name, values in found.items()
    }
    for name in ("count", "sequences"):
        sums[name] = sums[name].astype(np.int64)
    return WordRelevance(
        columns=groups.columns,
        keys=groups.keys,
        classes=classes,
        words=tuple(map(visible, tokens)),
        confidence=float(confidence),
        min_count=min_count,
        **sums,
    )


def _class_rows(source: Source) -> tuple[tuple[str, ...] | None, Array | None]:
    """Return what the classes are called, and of which each text is, if each is of one only."""
    target, outputs = source.given.target, source.outputs
    if source.classes is not None:
        return source.classes, None
    if isinstance(target, np.ndarray) and target.shape == (len(source),) and outputs.count > 1:
        return tuple(map(outputs.name, range(outputs.count))), target
    return None, None
