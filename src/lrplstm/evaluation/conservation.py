"""Conservation: how much of the started relevance arrives, and what kept the rest."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lrplstm.attribution import Attribution
from lrplstm.attributions import Attributions
from lrplstm.base_model import Model
from lrplstm.checks import check_choice
from lrplstm.evaluation.arguments import check_one_target, check_options, resolve_method
from lrplstm.evaluation.corpus import Corpus
from lrplstm.evaluation.drawing import COLORS, axes_or_new, finish
from lrplstm.plain import plain
from lrplstm.weights import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["QUANTILES", "Conservation", "conservation"]

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Parts of the sequences that lie below the quantiles that are reported."""

_PARTS = ("delta", "biases", "stabilizers")


@dataclass(frozen=True, eq=False)
class Conservation:
    """What LRP started with in each of B sequences, and what was kept on the way down.

    Attributes
    ----------
    started : ndarray of shape (B,)
        Relevance at the start: the explained score.
    delta : ndarray of shape (B,)
        Started relevance minus what arrived at the steps and at the initial states: what was kept.
        ``delta = biases + stabilizers + rest``.
    initial : ndarray of shape (B,)
        What arrived at the initial states.
    biases, stabilizers : ndarray of shape (B,)
        What biases and stabilizers kept, see Notes of `conservation`.
    rest : ndarray of shape (B,)
        Delta of a run that hands on all that biases and stabilizers get: rounding, and with a
        product rule that has stabilizers of its own what those keep.
    params : dict
        Options of `lrplstm.lrp`, as its results have them.

    Examples
    --------
    >>> import lrplstm
    >>> from lrplstm import evaluation
    >>> model, sentences = lrplstm.load_default(), lrplstm.sample_sentences()[:8]
    >>> words = [sentence.tokens for sentence in sentences]
    >>> found = evaluation.conservation(model, words)
    >>> kept = found.biases + found.stabilizers + found.rest
    >>> bool(abs(found.delta - kept).max() < 1e-5)
    True
    """

    started: Array
    delta: Array
    initial: Array
    biases: Array
    stabilizers: Array
    rest: Array
    params: dict[str, Any]

    def __add__(self, other: Conservation) -> Conservation:
        if not isinstance(other, Conservation):
            return NotImplemented
        both: dict[str, Any] = {
            name: np.concatenate([values, getattr(other, name)])
            for name, values in self._arrays().items()
        }
        return replace(self, **both)

    def _arrays(self) -> dict[str, Array]:
        names = [field.name for field in fields(self) if field.name != "params"]
        return {name: getattr(self, name) for name in names}

    def every(self, stride: int, first: int = 0) -> Conservation:
        """Return that of some sequences, evenly among all.

        Parameters
        ----------
        stride : int
            2: of every second.
        first : int
            Which is the first of them.

        Returns
        -------
        Conservation
            Of those alone.

        Examples
        --------
        >>> import lrplstm
        >>> from lrplstm import evaluation
        >>> words = [sentence.tokens for sentence in lrplstm.sample_sentences()[:8]]
        >>> found = evaluation.conservation(lrplstm.load_default(), words)
        >>> len(found.every(2).delta)
        4
        """
        some: dict[str, Any] = {name: a[first::stride] for name, a in self._arrays().items()}
        return replace(self, **some)

    def relative(self, part: str = "delta") -> Array:
        """Return a part of `started`, by sequence.

        Parameters
        ----------
        part : {"delta", "biases", "stabilizers"}
            What is divided by `started`.

        Returns
        -------
        ndarray of shape (B,)
            NaN where nothing was started.

        Examples
        --------
        >>> import lrplstm
        >>> from lrplstm import evaluation
        >>> model, sentences = lrplstm.load_default(), lrplstm.sample_sentences()[:8]
        >>> words = [sentence.tokens for sentence in sentences]
        >>> found = evaluation.conservation(model, words)
        >>> found.relative("biases").shape
        (8,)
        """
        check_choice("part", part, _PARTS)
        ratio = np.full(len(self.started), np.nan)
        return np.divide(getattr(self, part), self.started, out=ratio, where=self.started != 0)

    def quantiles(self, part: str = "delta") -> Array:
        """Return the quantiles `QUANTILES` of `relative`.

        Parameters
        ----------
        part : {"delta", "biases", "stabilizers"}
            As of `relative`.

        Returns
        -------
        ndarray of shape (Q,)
            NaN where none is defined.

        Examples
        --------
        >>> import lrplstm
        >>> from lrplstm import evaluation
        >>> model, sentences = lrplstm.load_default(), lrplstm.sample_sentences()[:8]
        >>> words = [sentence.tokens for sentence in sentences]
        >>> found = evaluation.conservation(model, words)
        >>> found.quantiles().shape == (len(evaluation.QUANTILES),)
        True
        """
        relative = self.relative(part)
        defined = relative[~np.isnan(relative)]
        if not len(defined):
            return np.full(len(QUANTILES), np.nan)
        return np.quantile(defined, QUANTILES)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw in how many sequences which part of the started relevance was kept at most.

        The axis spans the middle 95 % of the sequences.

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
        >>> found = evaluation.conservation(model, words)
        >>> ax = found.plot()
        """
        from matplotlib.ticker import PercentFormatter

        ax = axes_or_new(ax)
        labels = ("kept in all", "by biases", "by stabilizers")
        seen = []
        for part, label, color, style in zip(
            _PARTS, labels, COLORS, ("-", "--", ":"), strict=False
        ):
            values = np.sort(self.relative(part))
            values = values[~np.isnan(values)]
            share = np.arange(1, len(values) + 1) / max(len(values), 1)
            ax.step(values, share, where="post", label=label, color=color, linestyle=style, lw=2)
            seen.append(values)
        both = np.concatenate(seen)
        if len(both):
            low, high = np.quantile(both, [0.025, 0.975])
            margin = 0.05 * (high - low) or 0.5
            ax.set_xlim(min(low, 0) - margin, max(high, 0) + margin)
        ax.axvline(0, color="#888888", linewidth=1)
        ax.set_ylim(0, 1)
        ax.locator_params(axis="x", nbins=6)
        many = max(map(abs, ax.get_xlim())) > 10
        ax.xaxis.set_major_formatter("{x:.3g}" if many else PercentFormatter(1))
        ax.yaxis.set_major_formatter("{x:.0%}")
        finish(
            ax,
            title=f"relevance that did not arrive, {len(self.started):,} sequences",
            x=f"kept, as a {'multiple' if many else 'part'} of the started relevance",
            y="sequences that kept no more",
        )
        return ax

    def to_dict(self) -> dict[str, Any]:
        """Return the quantiles as lists and numbers, ready for JSON; NaN becomes None.

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
        >>> found = evaluation.conservation(model, words)
        >>> found.to_dict()["sequences"]
        8
        """
        return {
            "params": {name: plain(value) for name, value in self.params.items()},
            "sequences": len(self.started),
            "quantiles": list(QUANTILES),
            **{f"relative_{part}": plain(self.quantiles(part)) for part in _PARTS},
            "mean_absolute_started": plain(np.abs(self.started).mean()),
            "mean_absolute_delta": plain(np.abs(self.delta).mean()),
        }


def conservation(
    model: Model,
    inputs: Any,
    target: Any = None,
    *,
    unknown: str | None = None,
    backend: str = "auto",
    num_threads: int | None = None,
    **options: Any,
) -> Conservation:
    """Measure how much relevance LRP loses between score and inputs, and to what.

    Parameters
    ----------
    model : Model
        The network that is explained.
    inputs : one sequence, or a batch of them
        In any of the forms of `lrplstm.lrp`.
    target : None, int, str, or sequence, optional
        What is explained, in any of the forms of `lrplstm.lrp` but "all". Where several outputs of
        a regression are explained, each counts as a sequence: all of output 0 first.
    unknown : {"error", "unk", "zero"}, optional
        What to do with a token that the vocabulary lacks.
    backend : {"auto", "kernel", "reference"}
        Compiled kernels, or plain NumPy.
    num_threads : int, optional
        Threads that share the work. Default: as many as there are processors.
    **options
        `epsilon`, `bias_factor`, `epsilon_factor`, `product_rule` of `lrplstm.lrp`.

    Returns
    -------
    Conservation
        What was kept on the way, for each sequence.

    Raises
    ------
    TypeError, ValueError
        As `lrplstm.lrp`; ValueError if `target` is "all" classes.

    Notes
    -----
    In the epsilon rule (Bach et al. 2015, doi 10.1371/journal.pone.0130140) a unit with the sum
    z = sum_i w_i y_i + b hands (sum_i w_i y_i + bias_factor b + epsilon_factor eps(z)) /
    (z + eps(z)) of its relevance down. What is missing to all of it stays with its bias,
    (1 - bias_factor) b / (z + eps(z)), and with its stabilizer. But what a bias keeps in one layer
    never comes to the biases and stabilizers below, so relevance is not linear in the two factors,
    and "what biases kept" depends on what is done with the stabilizers meanwhile.

    Four runs are compared: with the factors that were given (b, e), and with one or both of them
    set to 1. Let d(b, e) be their deltas. What biases kept is how much delta shrinks when biases
    hand all on, in the mean of the two orders in which biases and stabilizers can be made to do so
    (the Shapley value of two players)::

        biases      = ((d(b, e) - d(1, e)) + (d(b, 1) - d(1, 1))) / 2
        stabilizers = ((d(b, e) - d(b, 1)) + (d(1, e) - d(1, 1))) / 2

    so that their sum is d(b, e) - d(1, 1). With the product rules "all" and "half" relevance is
    then conserved, and the `rest` d(1, 1) is rounding in the model's dtype, relative to the largest
    relevance on the way. With "prop" and "abs" it is also what the stabilizers of products keep,
    which can be many times the score.

    Examples
    --------
    >>> import lrplstm
    >>> from lrplstm import evaluation
    >>> sentences = [sentence.tokens for sentence in lrplstm.sample_sentences()]
    >>> kept = evaluation.conservation(lrplstm.load_default(), sentences)
    >>> bool(abs(kept.rest).max() < 1e-3)
    True
    >>> low, middle, high = kept.quantiles()[[0, 2, 4]]  # parts of the started relevance
    """
    check_options("options", options)
    if "method" in options:
        raise TypeError("options: expected options of lrp, got 'method'")
    corpus = Corpus.encode(model, inputs, unknown, backend, num_threads)

    check_one_target(target, model.outputs)

    def run(**factors: float) -> Any:
        return corpus.explain(resolve_method("lrp", options | factors), target)

    def flat(values: Any) -> Array:
        return np.ravel(values).astype(np.float64)

    given = run()
    bias_factor = given.params["bias_factor"]
    epsilon_factor = given.params["epsilon_factor"]
    d = flat(given.delta)
    d_biases = flat(run(bias_factor=1.0, epsilon_factor=epsilon_factor).delta)
    d_stabilizers = flat(run(bias_factor=bias_factor, epsilon_factor=1.0).delta)
    d_both = flat(run(bias_factor=1.0, epsilon_factor=1.0).delta)
    initial = flat(given.initial_relevance)
    relevance = given.token_relevance
    arrived = np.add.reduceat(relevance, corpus.offsets[:-1], axis=-1, dtype=np.float64)
    arrived += _of_other_inputs(given)
    return Conservation(
        started=flat(arrived) + initial + d,
        delta=d,
        initial=initial,
        biases=((d - d_biases) + (d_stabilizers - d_both)) / 2,
        stabilizers=((d - d_stabilizers) + (d_biases - d_both)) / 2,
        rest=d_both,
        params=given.params | {"unknown": unknown},
    )


def _of_other_inputs(result: Attribution | Attributions) -> Array:
    """Return what arrived at other inputs than the first, as its token relevance has its axes."""
    leading = result.token_relevance.shape[:-1]
    ones = [result] if isinstance(result, Attribution) else list(result)
    others = np.zeros((*leading, len(ones)))
    for b, one in enumerate(ones):
        for name, relevance in one.relevance_of.items():
            if name != one.input_name:
                others[..., b] += relevance.reshape((*leading, -1)).sum(-1, dtype=np.float64)
    return others
