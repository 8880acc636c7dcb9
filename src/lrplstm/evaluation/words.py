"""Representative words: what speaks for and against each class over a whole corpus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lrplstm.base_model import Model
from lrplstm.checks import check_choice, to_int
from lrplstm.evaluation.arguments import check_options, resolve_method
from lrplstm.evaluation.corpus import Corpus
from lrplstm.evaluation.drawing import axes_or_new, draw_title, draw_words, shortened
from lrplstm.heatmap.sheets import Font, font_properties
from lrplstm.outputs import Outputs
from lrplstm.plain import plain
from lrplstm.texts import visible
from lrplstm.weights import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["RepresentativeWords", "representative_words"]

_BYS = ("extreme", "mean")

_GAP = 0.6  # between the most and the least relevant words of a plot, in lines
_MOST_LETTERS = 16  # of a word of a plot


@dataclass(frozen=True, eq=False)
class RepresentativeWords:
    """The n most and the n least relevant words for each of C classes.

    Attributes
    ----------
    classes : tuple of str of length C
        Names of the classes, or outputs, that were explained, or their numbers.
    most, least : ndarray of str of shape (C, n)
        Words, the most relevant first, and the least relevant first.
    most_relevance, least_relevance : ndarray of shape (C, n)
        Their relevance.
    most_count, least_count : ndarray of int of shape (C, n)
        How often they occur in the corpus.

    Examples
    --------
    >>> import lrplstm
    >>> from lrplstm import evaluation
    >>> model, sentences = lrplstm.load_default(), lrplstm.sample_sentences()[:8]
    >>> words = [sentence.tokens for sentence in sentences]
    >>> found = evaluation.representative_words(model, words, n=3)
    >>> found.most.shape
    (5, 3)
    """

    classes: tuple[str, ...]
    most: Array
    least: Array
    most_relevance: Array
    least_relevance: Array
    most_count: Array
    least_count: Array

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the words in a column for each class, coloured by relevance.

        Red words speak for the class and blue ones against it, in each column relative to its
        largest relevance.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw. Default: a new figure.

        Returns
        -------
        matplotlib Axes
            Where it was drawn.

        Examples
        --------
        >>> import lrplstm
        >>> from lrplstm import evaluation
        >>> model, sentences = lrplstm.load_default(), lrplstm.sample_sentences()[:8]
        >>> words = [sentence.tokens for sentence in sentences]
        >>> found = evaluation.representative_words(model, words, n=3)
        >>> ax = found.plot()
        """
        C, n = self.most.shape
        ax = axes_or_new(ax, 1 + 1.5 * C, 1 + 0.5 * n)
        # The least relevant of all stands at the bottom, under a gap.
        words = np.hstack([self.most, self.least[:, ::-1]])
        relevance = np.hstack([self.most_relevance, self.least_relevance[:, ::-1]])
        rows = [*range(n), *(row + _GAP for row in range(n, 2 * n))]
        for column in range(C):
            _draw_column(ax, column, rows, words[column], relevance[column])
        classes = [visible(name) for name in self.classes]
        font = Font(classes)
        ax.set_xticks(
            range(C),
            [font.drawable(name) for name in classes],
            fontproperties=font_properties(font.families, 10),
            parse_math=False,
        )
        middle = (n - 1) / 2
        ax.set_yticks([middle, n + _GAP + middle], ["most relevant", "least relevant"], va="center")
        ax.xaxis.tick_top()
        ax.tick_params(length=0)
        ax.tick_params(axis="y", labelrotation=90)
        ax.set_xlim(-0.6, C - 0.4)
        ax.set_ylim(2 * n + 0.2, -0.6)
        ax.spines[:].set_visible(False)
        draw_title(ax, "words for (red) and against (blue) a class")
        return ax

    def to_dict(self) -> dict[str, Any]:
        """Return everything as lists, numbers and strings, ready for JSON.

        Returns
        -------
        dict
            Of lists, numbers and strings.

        Examples
        --------
        >>> import lrplstm
        >>> from lrplstm import evaluation
        >>> model, sentences = lrplstm.load_default(), lrplstm.sample_sentences()[:8]
        >>> words = [sentence.tokens for sentence in sentences]
        >>> found = evaluation.representative_words(model, words, n=3)
        >>> found.to_dict()["classes"][0]
        'very negative'
        """
        names = (
            "classes",
            "most",
            "least",
            "most_relevance",
            "least_relevance",
            "most_count",
            "least_count",
        )
        return {name: plain(getattr(self, name)) for name in names}


def _draw_column(ax: Axes, x: int, rows: list[float], words: Array, relevance: Array) -> None:
    """Draw the words of one class, one under another, relative to the largest relevance."""
    largest = np.abs(relevance).max() or 1.0
    draw_words(ax, x, rows, [shortened(word, _MOST_LETTERS) for word in words], relevance / largest)


def representative_words(
    model: Model,
    inputs: Any,
    target: Any = "all",
    *,
    n: int = 10,
    by: str = "extreme",
    min_count: int = 1,
    method: str = "lrp",
    unknown: str | None = None,
    backend: str = "auto",
    num_threads: int | None = None,
    **options: Any,
) -> RepresentativeWords:
    """Find the words that are most and least relevant for a class, over all sequences.

    Every sequence is explained for every class asked for, whatever it is predicted as. Of equally
    relevant words the one with the smaller id comes first. Words that the vocabulary lacks are left
    out: they share one vector, so it is not they that are relevant.

    Parameters
    ----------
    model : Model
        The network that is explained.
    inputs : a batch of sequences
        Tokens or ids. Ids of a model without vocabulary are words like "17".
    target : int or str, "all", None, or as for `lrplstm.lrp`
        The class, or the output of a regression; or "all" of them. With others, such as weights,
        there is one row, called "target".
    n : int
        How many words; fewer where there are fewer distinct ones.
    by : {"extreme", "mean"}
        By a word's highest (lowest) relevance anywhere, as in the 2017 paper, or by the mean over
        all places where it occurs.
    min_count : int
        Words that occur less often are left out; with by="mean" more than 1 is advisable.
    method : str
        One of `lrplstm.METHODS`.
    unknown : {"error", "unk", "zero"}, optional
        What to do with a token that the vocabulary lacks.
    backend : {"auto", "kernel", "reference"}
        Compiled kernels, or plain NumPy.
    num_threads : int, optional
        Threads that share the work. Default: as many as there are processors.
    **options
        The method's own arguments.

    Returns
    -------
    RepresentativeWords
        The words of each class, with their relevance.

    Raises
    ------
    TypeError, ValueError
        As `lrplstm.lrp`; ValueError if inputs are floats, no word occurs `min_count` times, or
        relevance is not finite.

    Notes
    -----
    Arras et al. 2017 (doi 10.18653/v1/W17-5221).

    Examples
    --------
    >>> import lrplstm
    >>> from lrplstm import evaluation
    >>> sentences = [sentence.tokens for sentence in lrplstm.sample_sentences()]
    >>> found = evaluation.representative_words(lrplstm.load_default(), sentences, target=4, n=3)
    >>> found.classes, found.most.shape
    (('very positive',), (1, 3))
    """
    check_options("options", options)
    chosen = resolve_method(method, options)
    check_choice("by", by, _BYS)
    to_int("n", n, 1)
    to_int("min_count", min_count, 1)
    corpus = Corpus.encode(model, inputs, unknown, backend, num_threads)
    if corpus.first is not None:
        raise ValueError("model: expected one input, whose words are counted, got several")
    if corpus.model.embedding is None:
        raise ValueError("inputs: expected tokens or ids, got floats, which are no words")
    known = _is_known(model, corpus)
    ids, place, count = np.unique(corpus.data[known], return_inverse=True, return_counts=True)
    frequent = np.flatnonzero(count >= min_count)
    if not len(frequent):
        raise ValueError(f"min_count: expected words that occur {min_count} time(s), found none")
    relevance = np.atleast_2d(corpus.explain(chosen, target).token_relevance)[:, known]

    def ranked(sign: int) -> _Ranked:
        rows = [_of_words(sign * row, place, count, by)[frequent] for row in relevance]
        best = [np.argsort(-row, kind="stable")[:n] for row in rows]
        values = sign * np.array([row[order] for row, order in zip(rows, best, strict=True)])
        words = frequent[np.array(best)]
        return _Ranked(_words(model, ids[words]), values, count[words])

    most, least = ranked(1), ranked(-1)
    return RepresentativeWords(
        classes=_rows(model.outputs, target),
        most=most.words,
        least=least.words,
        most_relevance=most.relevance,
        least_relevance=least.relevance,
        most_count=most.counts,
        least_count=least.counts,
    )


class _Ranked(NamedTuple):
    words: Array
    relevance: Array
    counts: Array


def _is_known(model: Model, corpus: Corpus) -> Array:
    """Return where a step is a word that the vocabulary has, (steps,)."""
    known = corpus.data != corpus.zero
    if model.vocabulary is not None and model.unknown_token is not None:
        known &= corpus.data != model.vocabulary.index(model.unknown_token)
    return known


def _words(model: Model, ids: Array) -> Array:
    """Return the words of ids, of the same shape."""
    names = (
        map(str, ids.flat)
        if model.encoder.shown is None
        else map(model.encoder.shown.__getitem__, ids.flat)
    )
    return np.array(list(names)).reshape(ids.shape)


def _of_words(relevance: Array, place: Array, count: Array, by: str) -> Array:
    """Return one relevance for each distinct word: the highest of its steps, or their mean."""
    if by == "mean":
        return np.bincount(place, relevance, len(count)) / count
    highest = np.full(len(count), -np.inf)
    np.maximum.at(highest, place, relevance)
    return highest


def _rows(outputs: Outputs, target: Any) -> tuple[str, ...]:
    """Return what is explained in each row of relevance."""
    if outputs.regression if target is None else isinstance(target, str) and target == "all":
        chosen = [*range(outputs.count)]
    elif isinstance(target, str) or (target is not None and np.ndim(target) == 0):
        chosen = [outputs.index("target", target)]
    else:
        return ("target",)
    prefix = "output " if outputs.regression and outputs.names is None else ""
    return tuple(prefix + outputs.name(index) for index in chosen)
