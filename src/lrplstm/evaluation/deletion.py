"""Deletion curves: what is left of the decision when relevant words are taken away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lrplstm.checks import check_choice, to_int
from lrplstm.evaluation.arguments import (
    MethodChoice,
    check_classifier,
    check_labels,
    resolve_methods,
)
from lrplstm.evaluation.corpus import Corpus, owners
from lrplstm.evaluation.drawing import axes_or_new, draw_lines, finish
from lrplstm.model import LSTMModel
from lrplstm.plain import plain
from lrplstm.weights import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["HOWS", "DeletionCurves", "deletion_curve"]

HOWS = ("zero", "remove")
"""How words are deleted: set to zero, or taken out."""

_MEASURES, _GROUPS = ("accuracy", "score"), ("correct", "wrong")


@dataclass(frozen=True, eq=False)
class DeletionCurves:
    """What deletions did to each sequence, M methods and K deletions; curves and areas of it.

    Attributes
    ----------
    methods : tuple of str of length M
    values : ndarray of shape (M, K + 1, n)
        With measure "accuracy" 1 where the sequence is put into its true class after so many
        deletions, else 0; with "score" the true class' score.
    correct : ndarray of bool of shape (n,)
        Whether the sequence was put into its true class before any deletion.
    sequences : ndarray of int of shape (n,)
        Which of the inputs were long enough to be considered.
    how, measure : str
        As asked for.
    min_length : int
        As asked for.
    curve_correct, curve_wrong : ndarray of shape (M, K + 1)
        Mean of `values` over the sequences that were right, or wrong, at first; NaN where there are
        none.
    area_correct : ndarray of shape (M,)
        Area over the curve of those that were right: the mean over k = 0..K of the fall
        ``curve_correct[:, 0] - curve_correct[:, k]``; NaN where there are none. The more, the
        better were relevant words found. With "accuracy" it is from 0 to K / (K + 1).
    area_wrong : ndarray of shape (M,)
        Area under the curve of those that were wrong, counted from where it starts: the mean over
        k = 0..K of the rise ``curve_wrong[:, k] - curve_wrong[:, 0]``. Again the more, the better.
    num_correct, num_wrong : int
    """

    methods: tuple[str, ...]
    values: Array
    correct: Array
    sequences: Array
    how: str
    measure: str
    min_length: int

    @property
    def deletions(self) -> int:
        """Number K of deletions."""
        return int(self.values.shape[1]) - 1

    @property
    def num_correct(self) -> int:
        """Number of sequences that were right before any deletion."""
        return int(self.correct.sum())

    @property
    def num_wrong(self) -> int:
        """Number of sequences that were wrong before any deletion."""
        return len(self.correct) - self.num_correct

    @property
    def curve_correct(self) -> Array:
        """Mean of what was right at first, (M, K + 1)."""
        return _mean(self.values[..., self.correct])

    @property
    def curve_wrong(self) -> Array:
        """Mean of what was wrong at first, (M, K + 1)."""
        return _mean(self.values[..., ~self.correct])

    @property
    def area_correct(self) -> Array:
        """Mean fall of what was right at first, (M,)."""
        curve = self.curve_correct
        return (curve[:, :1] - curve).mean(axis=1)

    @property
    def area_wrong(self) -> Array:
        """Mean rise of what was wrong at first, (M,)."""
        curve = self.curve_wrong
        return (curve - curve[:, :1]).mean(axis=1)

    def plot(self, ax: Axes | None = None, *, group: str = "correct") -> Axes:
        """Draw the curves of all methods.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw. Default: a new figure.
        group : {"correct", "wrong"}
            Sequences that were right at first, whose most relevant words go first, or wrong ones,
            whose least relevant words do.

        Returns
        -------
        matplotlib Axes

        Raises
        ------
        ValueError
            If there is no such group.
        """
        check_choice("group", group, _GROUPS)
        ax = axes_or_new(ax)
        right = group == "correct"
        curve = self.curve_correct if right else self.curve_wrong
        areas = self.area_correct if right else self.area_wrong
        count = self.num_correct if right else self.num_wrong
        first = "most" if right else "least"
        labels = [f"{name} ({area:.3f})" for name, area in zip(self.methods, areas, strict=True)]
        draw_lines(ax, np.arange(self.deletions + 1), curve, labels)
        ax.locator_params(axis="x", integer=True)
        if self.measure == "accuracy":
            ax.yaxis.set_major_formatter("{x:.0%}")
        finish(
            ax,
            title=f"{count:,} sequences that were {'right' if right else 'wrong'} at first",
            x=f"words deleted, {first} relevant first",
            y="accuracy" if self.measure == "accuracy" else "mean score of the true class",
            legend=f"method (area {'over' if right else 'under'} the curve)",
        )
        return ax

    def to_dict(self) -> dict[str, Any]:
        """Return curves and areas as lists and numbers, ready for JSON; NaN becomes None."""
        names = (
            "methods",
            "how",
            "measure",
            "min_length",
            "deletions",
            "num_correct",
            "num_wrong",
            "curve_correct",
            "curve_wrong",
            "area_correct",
            "area_wrong",
        )
        return {name: plain(getattr(self, name)) for name in names}


def deletion_curve(
    model: LSTMModel,
    inputs: Any,
    labels: Any,
    *,
    methods: MethodChoice = None,
    deletions: int = 5,
    min_length: int = 10,
    how: str = "zero",
    measure: str = "accuracy",
    unknown: str | None = None,
    backend: str = "auto",
    num_threads: int | None = None,
) -> DeletionCurves:
    """Delete words in order of relevance, and see what becomes of the decision.

    The relevance of each word for the true class is computed once, for the whole sequence. From
    sequences that the model gets right the most relevant words are deleted first: the faster
    accuracy falls, the better the method found what the decision rests on. From those that it
    gets wrong the least relevant words, which speak most against the true class, are deleted
    first: the faster accuracy rises, the better. Of equally relevant words the earlier goes first.

    Parameters
    ----------
    model : LSTMModel
        With at least two classes, and one row of scores for a sequence.
    inputs : a batch of sequences
        As for `lrplstm.lrp`: tokens, ids or floats. Padding is left out first.
    labels : sequence of int of length B
        The true class of each.
    methods : str, sequence of str, or mapping of str to options, optional
        Names of methods; or names with options, ``{"lrp": {"epsilon": 0.01}}``, where the option
        "method" lets a method be there twice:
        ``{"lrp": {}, "with biases": {"method": "lrp", "bias_factor": 1.0}}``. Default: all of
        `lrplstm.METHODS`.
    deletions : int
        K: words are deleted one after the other up to so many.
    min_length : int
        Shorter sequences are left out. At least `deletions`, and with how="remove" one more, so
        that there is always something to delete, and something left to read.
    how : {"zero", "remove"}
        Set the step's input to the zero vector, or take the step out, so that its neighbours
        follow each other.
    measure : {"accuracy", "score"}
        Whether the true class has the highest score, or that score itself.
    unknown, backend, num_threads
        As for `lrplstm.lrp`.

    Returns
    -------
    DeletionCurves

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If inputs are refused as by `lrplstm.lrp`, a label is out of range, no sequence is long
        enough, `min_length` is too small, the model has one score or scores at every step, or there
        is no such method or choice.

    Notes
    -----
    Arras et al. 2017 (doi 10.18653/v1/W17-5221), whose settings are the defaults. The area over the
    curve is the AOPC of Samek et al. 2017 (doi 10.1109/TNNLS.2016.2599820),
    ``1 / (K + 1) * sum_k <f(x_0) - f(x_k)>``, where f is 1 if the true class has the highest score
    and else 0, or that class' score, and <> the mean over the sequences.

    Examples
    --------
    >>> import lrplstm
    >>> from lrplstm import evaluation
    >>> sentences = lrplstm.sample_sentences()
    >>> curves = evaluation.deletion_curve(
    ...     lrplstm.load_default(),
    ...     [sentence.tokens for sentence in sentences],
    ...     [sentence.target for sentence in sentences],
    ...     methods=["lrp", "sensitivity"],
    ... )
    >>> curves.curve_correct.shape
    (2, 6)
    >>> lrp, sensitivity = curves.area_correct
    >>> bool(lrp > sensitivity)
    True
    """
    chosen = resolve_methods(methods)
    K = to_int("deletions", deletions, 1)
    check_choice("how", how, HOWS)
    check_choice("measure", measure, _MEASURES)
    _check_min_length(min_length, K, how)
    corpus = Corpus.encode(model, inputs, unknown, backend, num_threads)
    check_classifier(model)
    labels = check_labels(labels, len(corpus), model.num_classes)
    considered = corpus.lengths >= min_length
    if not considered.any():
        raise ValueError(
            f"inputs: expected sequences of at least min_length={min_length} steps, got none; the "
            f"longest has {corpus.lengths.max()}"
        )
    long, true = corpus.take(considered), labels[considered]
    steps_of_long = considered[owners(corpus.offsets)]

    scores = long.predict()
    correct = scores.argmax(axis=1) == true
    values = np.empty((len(chosen), K + 1, len(long)))
    values[:, 0] = _measured(scores, true, measure)
    for m, method in enumerate(chosen):
        # Of all sequences, so that errors, warnings and options with something for each of them
        # mean the inputs as they were given.
        relevance = corpus.explain(method, labels).token_relevance[steps_of_long]
        order = _deletion_order(relevance, long.offsets, correct, K)
        for k in range(1, K + 1):
            scores = long.without(order[:, :k], how).predict()
            values[m, k] = _measured(scores, true, measure)
    return DeletionCurves(
        methods=tuple(method.label for method in chosen),
        values=values,
        correct=correct,
        sequences=np.flatnonzero(considered),
        how=how,
        measure=measure,
        min_length=min_length,
    )


def _check_min_length(min_length: Any, deletions: int, how: str) -> None:
    to_int("min_length", min_length, 1)
    least = deletions + (how == "remove")
    if min_length < least:
        left = "one step is left after" if how == "remove" else "there are steps for"
        raise ValueError(
            f"min_length: expected at least {least}, so that {left} {deletions} deletion(s), got "
            f"{min_length}"
        )


def _measured(scores: Array, labels: Array, measure: str) -> Array:
    if measure == "accuracy":
        return scores.argmax(axis=1) == labels
    return np.take_along_axis(scores, labels[:, np.newaxis], axis=1)[:, 0]


def _deletion_order(relevance: Array, offsets: Array, correct: Array, K: int) -> Array:
    """Return the first K steps to go of each sequence, (n, K), as positions in all of them.

    Relevance decreases along them where the sequence is `correct`, and increases where it is not.
    """
    owner = owners(offsets)
    key = np.where(correct[owner], -relevance, relevance)
    order = np.lexsort((key, owner))  # stable: of equal ones the earlier comes first
    return order[offsets[:-1, np.newaxis] + np.arange(K)]


def _mean(values: Array) -> Array:
    """Return the mean over the last axis, NaN where that is empty."""
    return values.mean(axis=-1) if values.shape[-1] else np.full(values.shape[:-1], np.nan)
