"""Deletion curves: what is left of the decision when relevant words are taken away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lrplstm.base_model import Model
from lrplstm.checks import check_choice, to_int
from lrplstm.errors import ArgumentError
from lrplstm.evaluation.arguments import (
    MethodChoice,
    check_labels,
    check_one_row,
    for_values,
    has_classes,
    resolve_methods,
)
from lrplstm.evaluation.corpus import Corpus, owners
from lrplstm.evaluation.curves import Curves, SummedCurves
from lrplstm.outputs import Outputs
from lrplstm.targets import resolve_target
from lrplstm.weights import Array

__all__ = ["HOWS", "DeletionCurves", "deletion_curve"]

HOWS = ("zero", "remove")
"""How words are deleted: set to zero, or taken out."""

_MEASURES = ("accuracy", "score")


@dataclass(frozen=True, eq=False)
class DeletionCurves(Curves):
    """What deletions did to each sequence, M methods and K deletions; curves and areas of it.

    Attributes
    ----------
    methods : tuple of str of length M
    values : ndarray of shape (M, K + 1, n)
        With measure "accuracy" 1 where the sequence is put into its true class after so many
        deletions, else 0; with "score" the true class' score, or that of the explained output.
    correct : ndarray of bool of shape (n,)
        Whether the sequence was put into its true class before any deletion. Always true of a
        regression, which has no class to miss.
    sequences : ndarray of int of shape (n,)
        Which of the inputs were long enough to be considered. Where several outputs of a regression
        were explained they are there once for each: all of output 0 first.
    how, measure : str
        What was measured.
    min_length : int
        As asked for.
    regression : bool
        Whether there were no classes, so that all sequences are one group.
    curve : ndarray of shape (M, K + 1)
        Mean of `values` over all sequences. It is for regressions: where there are classes, other
        words go first from what was right than from what was wrong.
    area : ndarray of shape (M,)
        Area over it, the mean over k = 0..K of the fall ``curve[:, 0] - curve[:, k]``.
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

    Examples
    --------
    >>> import lrplstm
    >>> from lrplstm import evaluation
    >>> model, sentences = lrplstm.load_default(), lrplstm.sample_sentences()[:8]
    >>> words = [sentence.tokens for sentence in sentences]
    >>> curves = evaluation.deletion_curve(
    ...     model, words, [sentence.target for sentence in sentences], methods=["lrp"]
    ... )
    >>> curves.values.shape[1] == curves.deletions + 1
    True
    """

    methods: tuple[str, ...]
    values: Array
    correct: Array
    sequences: Array
    how: str
    measure: str
    min_length: int
    regression: bool = False

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
    def num_sequences(self) -> int:
        """Number of sequences that were long enough."""
        return len(np.unique(self.sequences))

    def summed(self) -> SummedCurves:
        """Return the sums that curves are drawn from, to which those of others can be added.

        Returns
        -------
        SummedCurves
            Of the same methods.

        Examples
        --------
        >>> import lrplstm
        >>> from lrplstm import evaluation
        >>> model, sentences = lrplstm.load_default(), lrplstm.sample_sentences()[:8]
        >>> words = [sentence.tokens for sentence in sentences]
        >>> curves = evaluation.deletion_curve(
        ...     model, words, [sentence.target for sentence in sentences], methods=["lrp"]
        ... )
        >>> curves.summed().num_correct == curves.num_correct
        True
        """
        return SummedCurves(
            methods=self.methods,
            sums_correct=self.values[..., self.correct].sum(axis=-1),
            sums_wrong=self.values[..., ~self.correct].sum(axis=-1),
            counts=(self.num_correct, self.num_wrong),
            sequences=self.num_sequences,
            how=self.how,
            measure=self.measure,
            min_length=self.min_length,
            regression=self.regression,
        )

    @property
    def curve_correct(self) -> Array:
        """Mean of what was right at first, (M, K + 1)."""
        return _mean(self.values[..., self.correct])

    @property
    def curve_wrong(self) -> Array:
        """Mean of what was wrong at first, (M, K + 1)."""
        return _mean(self.values[..., ~self.correct])

    @property
    def curve(self) -> Array:
        """Mean of all, (M, K + 1)."""
        return _mean(self.values)


def deletion_curve(
    model: Model,
    inputs: Any,
    labels: Any = None,
    *,
    target: Any = None,
    methods: MethodChoice = None,
    deletions: int = 5,
    min_length: int = 10,
    how: str = "zero",
    measure: str | None = None,
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

    A regression has no classes: from all sequences the most relevant steps are deleted first, and
    the score of the explained output is followed. The faster it falls, the better. So it is with
    one score that has not two names.

    Parameters
    ----------
    model : Model
        With one row of scores for a sequence.
    inputs : a batch of sequences
        As for `lrplstm.lrp`: tokens, ids or floats. Padding is left out first.
    labels : sequence of int or str of length B
        The true class of each, or its name. None for a regression: true values are not needed.
    target : int, str, sequence or array, optional
        The output of a regression that is explained, or one for each sequence, or weights, as for
        `lrplstm.lrp`. Default: each of them. None where there are classes.
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
        Whether the true class has the highest score, or that score itself. Default: "accuracy",
        or for a regression "score".
    unknown : {"error", "unk", "zero"}, optional
        What to do with a token that the vocabulary lacks.
    backend : {"auto", "kernel", "reference"}
        Compiled kernels, or plain NumPy.
    num_threads : int, optional
        Threads that share the work. Default: as many as there are processors.

    Returns
    -------
    DeletionCurves
        A curve for each method, and pictures of them.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If inputs are refused as by `lrplstm.lrp`, a label is out of range, there are labels or
        "accuracy" for a regression, no sequence is long enough, `min_length` is too small, the
        model has scores at every step, or there is no such method or choice.

    Notes
    -----
    Arras et al. 2017 (doi 10.18653/v1/W17-5221), whose settings are the defaults. The area over the
    curve is the AOPC of Samek et al. 2017 (doi 10.1109/TNNLS.2016.2599820),
    ``1 / (K + 1) * sum_k <f(x_0) - f(x_k)>``, where f is 1 if the true class has the highest score
    and else 0, or that class' score, or that of the output, and <> the mean over the sequences.

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
    _check_min_length(min_length, K, how)
    corpus = Corpus.encode(model, inputs, unknown, backend, num_threads)
    check_one_row(model)
    outputs = model.outputs
    measure = _resolve_measure(measure, outputs)
    labels = _resolve_labels(labels, target, len(corpus), outputs)
    explained = target if labels is None else labels
    resolved = resolve_target(explained, len(corpus), outputs, model.dtype)
    considered = corpus.lengths >= min_length
    if not considered.any():
        raise ArgumentError(
            "min_length",
            f"expected at most {corpus.lengths.max()}, the steps of the longest sequence, got "
            f"{min_length}",
        )
    rows = np.flatnonzero(considered)
    long, steps_of_long = corpus.take(considered), considered[owners(corpus.offsets)]

    scores = long.predict()
    weighting = resolved.weighting(scores, rows)  # (R, n, C), of R outputs
    R, n = weighting.shape[:2]
    correct = np.ones(n, bool) if labels is None else outputs.predict(scores) == labels[rows]

    def measured(scores: Array, r: int) -> Array:
        if measure == "score":
            return (weighting[r] * scores).sum(axis=1)
        return outputs.predict(scores) == labels[rows]

    values = np.empty((len(chosen), K + 1, R, n))
    values[:, 0] = [measured(scores, r) for r in range(R)]
    for m, method in enumerate(chosen):
        # Of all sequences, so that errors, warnings and options with something for each of them
        # mean the inputs as they were given.
        relevance = np.atleast_2d(corpus.explain(method, explained).token_relevance)
        for r in range(R):
            order = _deletion_order(relevance[r, steps_of_long], long.offsets, correct, K)
            for k in range(1, K + 1):
                values[m, k, r] = measured(long.without(order[:, :k], how).predict(), r)
    return DeletionCurves(
        methods=tuple(method.label for method in chosen),
        values=values.reshape(len(chosen), K + 1, R * n),
        correct=np.tile(correct, R),
        sequences=np.tile(rows, R),
        how=how,
        measure=measure,
        min_length=min_length,
        regression=labels is None,
    )


def _resolve_measure(measure: str | None, outputs: Outputs) -> str:
    """Return what is measured, or raise an error where it cannot be."""
    if measure is None:
        return "accuracy" if has_classes(outputs) else "score"
    check_choice("measure", measure, _MEASURES)
    if measure == "accuracy" and not has_classes(outputs):
        raise ArgumentError("measure", f"expected 'score' {for_values(outputs)}, got 'accuracy'")
    return measure


def _resolve_labels(labels: Any, target: Any, sequences: int, outputs: Outputs) -> Array | None:
    """Return the true classes, or None where there are none; or raise an error."""
    if labels is None and not has_classes(outputs):
        return None
    labels = check_labels(labels, sequences, outputs)
    if target is not None:
        raise ArgumentError("target", "expected None, as the true classes are explained")
    return labels


def _check_min_length(min_length: Any, deletions: int, how: str) -> None:
    to_int("min_length", min_length, 1)
    least = deletions + (how == "remove")
    if min_length < least:
        left = "one step is left after" if how == "remove" else "there are steps for"
        raise ArgumentError(
            "min_length",
            f"expected at least {least}, so that {left} {deletions} deletion(s), got {min_length}",
        )


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
