"""Randomization test: relevance of a network that has forgotten what it learned should be other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from lrplstm.base_model import Model
from lrplstm.checks import check_choice, to_int
from lrplstm.evaluation.arguments import MethodChoice, check_one_target, resolve_methods
from lrplstm.evaluation.corpus import Corpus
from lrplstm.evaluation.drawing import axes_or_new, draw_lines, finish
from lrplstm.evaluation.ranks import mean_defined, spearman
from lrplstm.layers import LSTM, DenseLayer, Layer, directions
from lrplstm.model import LSTMModel
from lrplstm.plain import plain
from lrplstm.texts import shown
from lrplstm.weights import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Randomization", "randomization_test"]

_MODES = ("cascade", "independent")

_L = TypeVar("_L", bound=Layer)


@dataclass(frozen=True, eq=False)
class Randomization:
    """Rank correlation with the relevance of the model as it was, M methods and P parts of it.

    Attributes
    ----------
    methods : tuple of str of length M
    parts : tuple of str of length P
        What was replaced, from the scores down: layers of the head, of the LSTM, the embedding.
    mode : str
        With "cascade" each part was replaced together with all before it, with "independent" alone.
    by_sequence, by_sequence_absolute : ndarray of shape (M, P, B)
        Spearman's rank correlation of a sequence's relevance with that of the model as it was, and
        the same of absolute values, from -1 to 1; NaN where all steps are equally relevant, as
        where there is but one.
    signed, absolute : ndarray of shape (M, P)
        Means over the sequences where it is defined; NaN where it never is.

    Examples
    --------
    >>> import lrplstm
    >>> from lrplstm import evaluation
    >>> model, sentences = lrplstm.load_default(), lrplstm.sample_sentences()[:8]
    >>> words = [sentence.tokens for sentence in sentences]
    >>> found = evaluation.randomization_test(model, words, methods=["lrp"])
    >>> found.signed.shape == (1, len(found.parts))
    True
    """

    methods: tuple[str, ...]
    parts: tuple[str, ...]
    mode: str
    by_sequence: Array
    by_sequence_absolute: Array

    @property
    def signed(self) -> Array:
        """Mean correlation of relevance, (M, P)."""
        return mean_defined(self.by_sequence)

    @property
    def absolute(self) -> Array:
        """Mean correlation of absolute relevance, (M, P)."""
        return mean_defined(self.by_sequence_absolute)

    def plot(self, ax: Axes | None = None, *, absolute: bool = False) -> Axes:
        """Draw the mean correlations.

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
        >>> found = evaluation.randomization_test(model, words, methods=["lrp"])
        >>> ax = found.plot()
        """
        ax = axes_or_new(ax)
        rows = self.absolute if absolute else self.signed
        rows = np.hstack([np.ones((len(rows), 1)), rows])
        together = self.mode == "cascade"
        names = ["none", *self.parts]
        if together:
            names[2:] = [f"+ {part}" for part in names[2:]]
        draw_lines(ax, np.arange(len(names)), rows, self.methods, joined=together)
        ax.set_xticks(range(len(names)), names)
        if len(names) > 5:
            ax.tick_params("x", rotation=45)
        ax.axhline(0, color="#888888", linewidth=1)
        what = "absolute relevance" if absolute else "relevance"
        finish(
            ax,
            title=f"{what} after weights were replaced, {self.by_sequence.shape[-1]:,} sequences",
            x="replaced by random numbers"
            if together
            else "replaced by random numbers, each alone",
            y="rank correlation with before",
        )
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
        >>> found = evaluation.randomization_test(model, words, methods=["lrp"])
        >>> found.to_dict()["mode"]
        'cascade'
        """
        names = ("methods", "parts", "mode", "signed", "absolute")
        return {name: plain(getattr(self, name)) for name in names}


def randomization_test(
    model: Model,
    inputs: Any,
    target: Any = None,
    *,
    methods: MethodChoice = None,
    mode: str = "cascade",
    embedding: bool = False,
    seed: int = 0,
    unknown: str | None = None,
    backend: str = "auto",
    num_threads: int | None = None,
) -> Randomization:
    """Replace weights by random numbers, layer by layer, and see how far relevance moves.

    A method whose relevance stays the same when the weights are gone does not explain what the
    network learned. Each array of a part is replaced by normally distributed numbers of the array's
    own mean and standard deviation, so that sums stay of their size; an array whose numbers are all
    the same, such as initial states of zero, stays as it is.

    Parameters
    ----------
    model : Model
        The network that is explained.
    inputs : a batch of sequences
        In any of the forms of `lrplstm.lrp`. Padding is left out.
    target : None, int, str, or sequence, optional
        As for `lrplstm.lrp`, but not "all". None, also of a step, is what the model as it is
        predicts; the replaced ones explain the same class. Where several outputs of a regression
        are explained, each counts as a sequence: all of output 0 first.
    methods : str, sequence of str, or mapping of str to options, optional
        Which methods, as for `deletion_curve`.
    mode : {"cascade", "independent"}
        From the head down, each part together with all before it; or each part alone.
    embedding : bool
        Whether the embedding is the last part.
    seed : int
        The same seed gives a part the same numbers in both modes.
    unknown : {"error", "unk", "zero"}, optional
        What to do with a token that the vocabulary lacks.
    backend : {"auto", "kernel", "reference"}
        Compiled kernels, or plain NumPy.
    num_threads : int, optional
        Threads that share the work. Default: as many as there are processors.

    Returns
    -------
    Randomization
        How far relevance follows the weights, for each method and part.

    Raises
    ------
    TypeError, ValueError
        As `lrplstm.lrp`; ValueError if `target` is "all" classes, there is no such method or mode,
        there is no embedding to replace, or relevance is not finite.

    Notes
    -----
    Adebayo et al. 2018, "Sanity Checks for Saliency Maps" (arXiv 1810.03292).

    Examples
    --------
    >>> import lrplstm
    >>> from lrplstm import evaluation
    >>> sentences = [sentence.tokens for sentence in lrplstm.sample_sentences()[:50]]
    >>> found = evaluation.randomization_test(lrplstm.load_default(), sentences, methods="lrp")
    >>> found.parts, found.signed.shape
    (('head', 'layer 1'), (1, 2))
    """
    chosen = resolve_methods(methods)
    check_choice("mode", mode, _MODES)
    to_int("seed", seed, 0)
    if not isinstance(embedding, bool):
        raise TypeError(f"embedding: expected a bool, got {shown(embedding)}")
    corpus = Corpus.encode(model, inputs, unknown, backend, num_threads)
    check_one_target(target, model.outputs)
    if embedding and corpus.first is not None:
        raise ValueError("embedding: expected False where there are several inputs, got True")
    if embedding and corpus.model.embedding is None:
        raise ValueError("embedding: expected False where inputs are floats, got True")
    parts = _parts(model, embedding)
    results = [corpus.explain(method, target) for method in chosen]
    explained = [result.target for result in results]  # with classes where they were predicted
    before = [result.token_relevance.ravel() for result in results]
    offsets = corpus.repeated_offsets(before[0])
    signed = np.empty((len(chosen), len(parts), len(offsets) - 1))
    absolute = np.empty_like(signed)
    for p in range(len(parts)):
        replaced = range(0 if mode == "cascade" else p, p + 1)
        other = corpus.read_by(_randomized(corpus.model, replaced, seed))
        for m, method in enumerate(chosen):
            after = other.relevance(method, explained[m])
            signed[m, p] = spearman(before[m], after, offsets)
            absolute[m, p] = spearman(np.abs(before[m]), np.abs(after), offsets)
    names = tuple(method.label for method in chosen)
    return Randomization(names, tuple(parts), mode, signed, absolute)


def _parts(model: Model, embedding: bool) -> list[str]:
    """Return the names of the parts, from the scores down."""
    if isinstance(model, LSTMModel):
        head = [f"head {n}" for n in range(len(model.head), 0, -1)]
        layers = [f"layer {n}" for n in range(model.num_layers, 0, -1)]
        layers = (["head"] if len(head) == 1 else head) + layers
    else:
        layers = [str(model.graph.layers[n].name) for n in _layers_with_arrays(model)]
    return layers + ["embedding"] * embedding


def _layers_with_arrays(model: Model) -> list[int]:
    """Return which layers of a graph can be replaced, from the scores down."""
    layers = model.graph.layers
    return [n for n in range(len(layers) - 1, -1, -1) if layers[n].arrays()]


def _randomized(model: Model, replaced: Iterable[int], seed: int) -> Model:
    """Return a model with some of its parts replaced; each draws from a stream of its own."""
    changes: dict[str, Any] = {}
    if isinstance(model, LSTMModel):
        layers, head = list(model.layers), list(model.head)
        changes = {"layers": layers, "head": head}
        for p in replaced:
            rng = np.random.default_rng([seed, p])
            n = len(head) - 1 - p  # counted on below the head
            if n >= 0:
                head[n] = _random(rng, head[n])
            elif n >= -len(layers):
                both = _random(rng, LSTM(*directions(layers[n]))).directions
                layers[n] = both if len(both) == 2 else both[0]
            else:
                changes["embedding"] = _random_embedding(rng, model.embedding)
        return model.replaced(**changes)
    graph, places = list(model.graph.layers), _layers_with_arrays(model)
    changes = {"layers": graph}
    for p in replaced:
        rng = np.random.default_rng([seed, p])
        if p < len(places):
            graph[places[p]] = _random(rng, graph[places[p]])
        else:
            changes["embedding"] = _random_embedding(rng, model.embedding)
    return model.replaced(**changes)


def _drawn(rng: np.random.Generator, array: Array) -> Array:
    """Return normally distributed numbers with the mean and the standard deviation of an array."""
    numbers = rng.normal(array.mean(), array.std(), array.shape)
    return numbers.astype(array.dtype)


def _random(rng: np.random.Generator, layer: _L) -> _L:
    arrays = layer.arrays()
    # A seed gives dense layers the numbers that it always gave: the bias' first.
    names = sorted(arrays) if isinstance(layer, DenseLayer) else list(arrays)
    return layer.replaced({name: _drawn(rng, arrays[name]) for name in names})


def _random_embedding(rng: np.random.Generator, embedding: Any) -> Array:
    """Return another embedding; the last row, a corpus' zero vector, stays."""
    return np.concatenate([_drawn(rng, embedding[:-1]), embedding[-1:]])
