"""Relevance by position: where in a sequence a method looks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lrplstm.base_model import Model
from lrplstm.checks import to_int
from lrplstm.evaluation.arguments import MethodChoice, check_one_target, resolve_methods
from lrplstm.evaluation.corpus import Corpus, owners
from lrplstm.evaluation.drawing import axes_or_new, draw_lines, finish
from lrplstm.plain import plain
from lrplstm.weights import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["RelevanceByPosition", "relevance_by_position"]


@dataclass(frozen=True, eq=False)
class RelevanceByPosition:
    """Relevance by M methods in P bins of the position in a sequence.

    Attributes
    ----------
    methods : tuple of str of length M
    edges : ndarray of shape (P + 1,)
        Of the bins, from 0, the beginning of a sequence, to 1, its end.
    counts : ndarray of int of shape (P,)
        Steps in each bin.
    mean : ndarray of shape (M, P)
        Mean relevance of the steps in a bin; NaN where there are none.
    strength : ndarray of shape (M, P)
        Mean of absolute relevance, where each step's is divided by the mean of its sequence: 1 is
        what a step gets if all get the same. Sequences without any relevance are left out; NaN
        where there are no steps.

    Examples
    --------
    >>> import lrplstm
    >>> from lrplstm import evaluation
    >>> model, sentences = lrplstm.load_default(), lrplstm.sample_sentences()[:8]
    >>> words = [sentence.tokens for sentence in sentences]
    >>> found = evaluation.relevance_by_position(model, words, methods=["lrp"], bins=4)
    >>> found.strength.shape, found.edges.tolist()
    ((1, 4), [0.0, 0.25, 0.5, 0.75, 1.0])
    """

    methods: tuple[str, ...]
    edges: Array
    counts: Array
    mean: Array
    strength: Array

    def plot(self, ax: Axes | None = None, *, signed: bool = False) -> Axes:
        """Draw `strength` by position.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw. Default: a new figure.
        signed : bool
            Draw `mean` instead.

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
        >>> found = evaluation.relevance_by_position(model, words, methods=["lrp"], bins=4)
        >>> ax = found.plot()
        """
        ax = axes_or_new(ax)
        middles = (self.edges[:-1] + self.edges[1:]) / 2
        draw_lines(ax, middles, self.mean if signed else self.strength, self.methods)
        ax.axhline(0 if signed else 1, color="#888888", linewidth=1)
        ax.set_xlim(0, 1)
        if not signed:
            ax.set_ylim(bottom=0)
        finish(
            ax,
            title=f"relevance by position, {self.counts.sum():,} steps",
            x="position, from beginning (0) to end (1)",
            y="mean relevance" if signed else "absolute relevance, 1 = sequence mean",
        )
        return ax

    def to_dict(self) -> dict[str, Any]:
        """Return everything as lists and numbers, ready for JSON; NaN becomes None.

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
        >>> found = evaluation.relevance_by_position(model, words, methods=["lrp"], bins=4)
        >>> found.to_dict()["methods"]
        ['lrp']
        """
        names = ("methods", "edges", "counts", "mean", "strength")
        return {name: plain(getattr(self, name)) for name in names}


def relevance_by_position(
    model: Model,
    inputs: Any,
    target: Any = None,
    *,
    methods: MethodChoice = None,
    bins: int = 10,
    unknown: str | None = None,
    backend: str = "auto",
    num_threads: int | None = None,
) -> RelevanceByPosition:
    """Average relevance over many sequences by the relative position of steps.

    Step t of T is at position (t + 1/2) / T, so that long and short sequences can be compared. Each
    step counts the same.

    Parameters
    ----------
    model : Model
        The network that is explained.
    inputs : a batch of sequences
        In any of the forms of `lrplstm.lrp`. Padding is left out.
    target : None, int, str, or sequence, optional
        What is explained, in any of the forms of `lrplstm.lrp` but "all". Where several outputs of
        a regression are explained, each counts as a sequence: all of output 0 first.
    methods : str, sequence of str, or mapping of str to options, optional
        Which methods, as for `deletion_curve`.
    bins : int
        Number P of equally wide bins.
    unknown : {"error", "unk", "zero"}, optional
        What to do with a token that the vocabulary lacks.
    backend : {"auto", "kernel", "reference"}
        Compiled kernels, or plain NumPy.
    num_threads : int, optional
        Threads that share the work. Default: as many as there are processors.

    Returns
    -------
    RelevanceByPosition
        Means and strengths for each method and bin.

    Raises
    ------
    TypeError, ValueError
        As `lrplstm.lrp`; ValueError if `target` is "all" classes, there is no such method, or
        relevance is not finite.

    Examples
    --------
    >>> import lrplstm
    >>> from lrplstm import evaluation
    >>> sentences = [sentence.tokens for sentence in lrplstm.sample_sentences()]
    >>> found = evaluation.relevance_by_position(lrplstm.load_default(), sentences, bins=5)
    >>> found.strength.shape == (len(lrplstm.METHODS), 5)
    True
    """
    chosen = resolve_methods(methods)
    P = to_int("bins", bins, 1, most=10**6)
    corpus = Corpus.encode(model, inputs, unknown, backend, num_threads)
    check_one_target(target, model.outputs)
    mean, strength = np.empty((2, len(chosen), P))
    for m, method in enumerate(chosen):
        relevance = corpus.relevance(method, target).astype(np.float64)
        offsets = corpus.repeated_offsets(relevance)
        place = _bins(offsets, P)
        mean[m] = _mean_in_bins(relevance, place, P)
        size = np.abs(relevance)
        usual = np.add.reduceat(size, offsets[:-1]) / np.diff(offsets)
        usual = usual[owners(offsets)]
        defined = usual > 0
        strength[m] = _mean_in_bins(size[defined] / usual[defined], place[defined], P)
    names = tuple(method.label for method in chosen)
    counts = np.bincount(place, minlength=P)
    return RelevanceByPosition(names, np.linspace(0, 1, P + 1), counts, mean, strength)


def _bins(offsets: Array, P: int) -> Array:
    """Return the bin of each step: floor(P (t + 1/2) / T), in integers."""
    owner = owners(offsets)
    t = np.arange(len(owner)) - offsets[owner]
    return P * (2 * t + 1) // (2 * np.diff(offsets)[owner])


def _mean_in_bins(values: Array, place: Array, P: int) -> Array:
    count = np.bincount(place, minlength=P)
    mean = np.full(P, np.nan)
    return np.divide(np.bincount(place, values, P), count, out=mean, where=count > 0)
