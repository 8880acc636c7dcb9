"""Agreement: do methods put the words of a sentence into the same order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lrplstm.base_model import Model
from lrplstm.evaluation.arguments import MethodChoice, check_one_target, resolve_methods
from lrplstm.evaluation.corpus import Corpus
from lrplstm.evaluation.drawing import axes_or_new, draw_title
from lrplstm.evaluation.ranks import mean_defined, spearman
from lrplstm.heatmap.colors import color, ink, to_hex
from lrplstm.plain import plain
from lrplstm.weights import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Agreement", "agreement"]


@dataclass(frozen=True, eq=False)
class Agreement:
    """Rank correlation of M methods with each other on B sequences, from -1 to 1.

    Attributes
    ----------
    methods : tuple of str of length M
    by_sequence : ndarray of shape (M, M, B)
        Spearman's rank correlation of the relevance of a sequence's steps; NaN where a method finds
        all steps equally relevant, as where there is but one.
    by_sequence_absolute : ndarray of shape (M, M, B)
        The same of absolute values: do they agree on what matters, for or against.
    signed, absolute : ndarray of shape (M, M)
        Means over the sequences where it is defined; NaN where it never is.

    Examples
    --------
    >>> import lrplstm
    >>> from lrplstm import evaluation
    >>> model, sentences = lrplstm.load_default(), lrplstm.sample_sentences()[:8]
    >>> words = [sentence.tokens for sentence in sentences]
    >>> found = evaluation.agreement(model, words, methods=["lrp", "sa"])
    >>> found.signed.shape
    (2, 2)
    """

    methods: tuple[str, ...]
    by_sequence: Array
    by_sequence_absolute: Array

    @property
    def signed(self) -> Array:
        """Mean correlation of relevance, (M, M)."""
        return mean_defined(self.by_sequence)

    @property
    def absolute(self) -> Array:
        """Mean correlation of absolute relevance, (M, M)."""
        return mean_defined(self.by_sequence_absolute)

    def plot(self, ax: Axes | None = None, *, absolute: bool = False) -> Axes:
        """Draw the mean correlations as a coloured table.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw. Default: a new figure.
        absolute : bool
            Those of absolute values.

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
        >>> found = evaluation.agreement(model, words, methods=["lrp", "sa"])
        >>> ax = found.plot()
        """
        M = len(self.methods)
        ax = axes_or_new(ax, 2.5 + 0.8 * M, 1.5 + 0.6 * M)
        table = self.absolute if absolute else self.signed
        colors = color(np.clip(np.nan_to_num(table), -1, 1))
        ax.imshow(colors, aspect="auto")
        for row, column in np.ndindex(M, M):
            value = table[row, column]
            text = "" if np.isnan(value) else f"{value:.2f}"
            shade = to_hex(ink(colors[row, column]))
            ax.text(column, row, text, ha="center", va="center", color=shade)
        ax.set_xticks(
            range(M),
            self.methods,
            rotation=30,
            ha="right",
            rotation_mode="anchor",
            parse_math=False,
        )
        ax.set_yticks(range(M), self.methods, parse_math=False)
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        what = "absolute relevance" if absolute else "relevance"
        draw_title(ax, f"rank correlation of {what}, {self.by_sequence.shape[-1]:,} sequences")
        return ax

    def to_dict(self) -> dict[str, Any]:
        """Return the means as lists and numbers, ready for JSON; NaN becomes None.

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
        >>> found = evaluation.agreement(model, words, methods=["lrp", "sa"])
        >>> found.to_dict()["methods"]
        ['lrp', 'sa']
        """
        return {name: plain(getattr(self, name)) for name in ("methods", "signed", "absolute")}


def agreement(
    model: Model,
    inputs: Any,
    target: Any = None,
    *,
    methods: MethodChoice = None,
    unknown: str | None = None,
    backend: str = "auto",
    num_threads: int | None = None,
) -> Agreement:
    """Measure how far methods agree on the order of a sequence's steps by relevance.

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
    unknown : {"error", "unk", "zero"}, optional
        What to do with a token that the vocabulary lacks.
    backend : {"auto", "kernel", "reference"}
        Compiled kernels, or plain NumPy.
    num_threads : int, optional
        Threads that share the work. Default: as many as there are processors.

    Returns
    -------
    Agreement
        The correlations of each two methods.

    Raises
    ------
    TypeError, ValueError
        As `lrplstm.lrp`; ValueError if `target` is "all" classes, there is no such method, or
        relevance is not finite.

    Notes
    -----
    Spearman's rank correlation is Pearson's of the ranks, where equal values share their mean rank.

    Examples
    --------
    >>> import lrplstm
    >>> from lrplstm import evaluation
    >>> sentences = [sentence.tokens for sentence in lrplstm.sample_sentences()]
    >>> found = evaluation.agreement(lrplstm.load_default(), sentences)
    >>> found.signed.shape == (len(lrplstm.METHODS),) * 2
    True
    """
    chosen = resolve_methods(methods)
    corpus = Corpus.encode(model, inputs, unknown, backend, num_threads)
    check_one_target(target, model.outputs)
    relevance = [corpus.relevance(method, target) for method in chosen]
    offsets = corpus.repeated_offsets(relevance[0])
    names = tuple(method.label for method in chosen)
    signed = _table(relevance, offsets)
    absolute = _table([np.abs(values) for values in relevance], offsets)
    return Agreement(names, signed, absolute)


def _table(relevance: list[Array], offsets: Array) -> Array:
    """Return the correlation of each with each, (M, M, B)."""
    M = len(relevance)
    table = np.empty((M, M, len(offsets) - 1))
    for m in range(M):
        for other in range(m, M):
            table[m, other] = table[other, m] = spearman(relevance[m], relevance[other], offsets)
    return table
