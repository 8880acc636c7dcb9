"""The methods: model, inputs and target -> relevance.

Each is a choice of what to send back through the network; the rest is shared.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any, Concatenate, ParamSpec, Protocol, TypeAlias, cast, overload

import numpy as np

from lrplstm import decomposition, network, perturbation
from lrplstm.attribution import Attribution, Attributions
from lrplstm.base_model import Model
from lrplstm.baselines import resolve_baseline
from lrplstm.checks import check_choice, did_you_mean, to_int
from lrplstm.hidden import resolve_hidden
from lrplstm.method_table import DESCRIBED, MEASURES
from lrplstm.network import ForwardPass, InputRelevance
from lrplstm.noise import random_numbers
from lrplstm.quadrature import resolve_quadrature
from lrplstm.request import Request
from lrplstm.rules import PRODUCT_RULES, EpsilonRule
from lrplstm.sequences import Part
from lrplstm.texts import shown
from lrplstm.weights import Array

__all__ = [
    "ALIASES",
    "METHODS",
    "Methods",
    "contextual_decomposition",
    "explain",
    "gradient_x_input",
    "integrated_gradients",
    "lrp",
    "occlusion",
    "random_relevance",
    "sensitivity",
]

# Types: one sequence gives an Attribution, a batch Attributions; an array may be either.
_Sequence: TypeAlias = Sequence[str] | Sequence[int]
_Batch: TypeAlias = Sequence[list[str] | list[int] | tuple[str, ...] | Array]
_Options = ParamSpec("_Options")


class _Method(Protocol[_Options]):
    @overload
    def __call__(
        self, model: Model, inputs: _Sequence, *args: _Options.args, **options: _Options.kwargs
    ) -> Attribution: ...
    @overload
    def __call__(
        self, model: Model, inputs: _Batch, *args: _Options.args, **options: _Options.kwargs
    ) -> Attributions: ...
    @overload
    def __call__(
        self, model: Model, inputs: Any, *args: _Options.args, **options: _Options.kwargs
    ) -> Attribution | Attributions: ...


def _typed(
    function: Callable[Concatenate[Model, Any, _Options], Attribution | Attributions],
) -> _Method[_Options]:
    """Return the function itself, which type checkers then know to be of the types above."""
    return cast(_Method[_Options], function)


@_typed
def lrp(
    model: Model,
    inputs: Any,
    target: Any = None,
    *,
    epsilon: float = 1e-3,
    bias_factor: float = 0.0,
    epsilon_factor: float | None = None,
    product_rule: str = "all",
    level: str | None = None,
    hidden_relevance: Any = None,
    unknown: str | None = None,
    backend: str = "auto",
    num_threads: int | None = None,
) -> Attribution | Attributions:
    """Layer-wise relevance propagation: share the explained score out among the inputs.

    Positive relevance speaks for the explained class, negative against it.

    Parameters
    ----------
    model : Model
        The model to explain.
    inputs : one sequence, or a batch of them
        One sequence is a list of tokens, an integer array of token ids of shape (T,), or a float
        array of shape (T, D). A batch is a list of sequences, which may differ in length, an
        integer array of ids of shape (B, T), or a float array of shape (B, T, D). Arrays may also
        be tensors of any device, DataFrames without missing values, or columns of one; a
        PackedSequence is the batch it was packed of. A text is one sequence where the model names a
        tokenizer; for several see `Model.tokenize`.
    target : None, int or str, sequence of int or str, sequence of float, or "all"
        What to explain: None for the class that each sequence is predicted as; a class, by its
        number or name; one class for each sequence; weights of the scores of shape (C,) or (B, C),
        so that ``[1., 0., 0., 0., -1.]`` asks why class 0 rather than class 4; or "all" classes,
        each by itself. Integers of which there is one for each sequence are classes. Of a model of
        one score with two `class_names` class 1 is explained by the score, class 0 by minus the
        score. Of a regression None means its one output, or "all" of several.
        With pooling "none", where every step has scores: None for the class that each step is
        predicted as; a tuple ``(step, class)``, steps counted from the end where they are negative,
        so that ``(-1, None)`` is what the last step is predicted as; a class, or weights of shape
        (C,), of every step; a sequence of T classes, or weights of shape (T, C); "all"; or a list
        of those, one for each sequence of a batch. What is asked of steps that are padding is left
        out, and the end is where padding begins.
    epsilon : float
        Size of the stabilizer of denominators, at least 0.
    bias_factor : float
        Part of the biases' relevance that is handed on to the inputs. 1 conserves relevance: what
        starts at the score arrives at inputs and initial states.
    epsilon_factor : float, optional
        The same for the stabilizer's relevance. None: as `bias_factor`, recommended. 1.0 gives
        the formula that the 2017 paper prints.
    product_rule : {"all", "prop", "abs", "half"}
        How the relevance of a product of gate and signal is shared: "all" gives all to the signal,
        "prop" shares it in proportion to the two values, "abs" to their absolute values, "half"
        equally. What gates get goes on to what they read.
    level : {"token", "input"}, optional
        "token": one relevance for each step; "input": one for each input dimension as well.
        Default: "token" for tokens and ids, "input" for floats.
    hidden_relevance : array of shape (width,) or (T, width), or one a sequence, optional
        Start from this relevance of the top layer's hidden states instead of from a score; width is
        H, or 2H with two directions, forward half first. For heads of your own. Of shape (width,)
        it is the relevance of what the model's pooling gives: with "last" the forward half starts
        at the last step and the backward half at the first, where the directions end; with "mean"
        and "max" it goes through the pooling. Of shape (T, width) it is that of each step's
        states, as of attention; of final states only the forward half belongs to the last step.
        `target` must then be None.
    unknown : {"error", "unk", "zero"}, optional
        What to do with a token that the vocabulary lacks: raise, use the model's unknown token, or
        a zero vector. Default: "unk" where the model has an unknown token, else "error".
    backend : {"auto", "kernel", "reference"}
        "kernel" is compiled, "reference" plain NumPy, and "auto" the kernel for all it can do.
    num_threads : int, optional
        Threads that share a batch. Default: as many as there are processors to use.

    Returns
    -------
    Attribution or Attributions
        An `Attribution` for one sequence, `Attributions` for a batch.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind, for instance text instead of tokens.
    ValueError
        If a sequence or batch is empty, a token unknown, an id or target out of range, a number NaN
        or infinite, a shape wrong, or an option not one of those above.

    Warns
    -----
    RuntimeWarning
        If relevance has grown to more than a million times what it started from, or overflowed, as
        it does over hundreds of steps with large weights. `delta` is then large too, unless
        `bias_factor` is 1.

    Notes
    -----
    The product rules "all" and "half" conserve relevance with ``bias_factor=1``. "prop" and "abs"
    do not quite: what the stabilizers of their products keep is lost. All three that give to gates
    let relevance grow from step to step, over 20 words to 1e10 times the score and more; look at
    `delta`. With "prop" the two parts of a product can also have opposite signs and nearly cancel,
    so that some 20 words can be too many for float32, and ``model.astype("float64")`` is advisable.

    Arras et al. 2017, "Explaining Recurrent Neural Network Predictions in Sentiment Analysis"
    (doi 10.18653/v1/W17-5221), with the epsilon rule of Bach et al. 2015
    (doi 10.1371/journal.pone.0130140). The product rules are compared in Arras et al. 2019,
    "Evaluating Recurrent Neural Network Explanations" (arXiv 1904.11829).

    Examples
    --------
    >>> import lrplstm
    >>> model = lrplstm.load_default()
    >>> a = lrplstm.lrp(model, "a fine film .".split())
    >>> model.class_names[a.target], a.tokens[a.token_relevance.argmax()]
    ('very positive', 'fine')

    With ``bias_factor=1`` nothing is lost but to rounding:

    >>> a = lrplstm.lrp(model, "a fine film .".split(), bias_factor=1.0)
    >>> abs(a.delta) < 1e-4
    True
    """
    rule = EpsilonRule(
        epsilon, bias_factor, bias_factor if epsilon_factor is None else epsilon_factor
    )
    check_choice("product_rule", product_rule, PRODUCT_RULES)
    params = {
        "epsilon": rule.epsilon,
        "bias_factor": rule.bias_factor,
        "epsilon_factor": rule.epsilon_factor,
        "product_rule": product_rule,
    }

    request = Request(model, inputs, level, unknown, backend, num_threads)

    def backward(past: ForwardPass, weighting: Array, part: Part) -> InputRelevance:
        return network.lrp(past, weighting, rule, product_rule, request.level)

    rule.check_range(model.dtype)
    keep = "relevance" if product_rule == "all" else "gates"
    if hidden_relevance is None:
        return request.explain("lrp", target, backward, keep, params, grows=True)
    if target is not None:
        raise ValueError("target: expected None where hidden_relevance is given")
    hidden = resolve_hidden(hidden_relevance, model, request.batch)
    way_back = network.lrp_from_pooled if hidden.pooled else network.lrp_from_hidden

    def backward_from_hidden(past: ForwardPass, relevance: Array, part: Part) -> InputRelevance:
        return way_back(past, relevance, rule, product_rule, request.level)

    return request.explain_hidden("lrp", hidden, backward_from_hidden, keep, params)


@_typed
def sensitivity(
    model: Model,
    inputs: Any,
    target: Any = None,
    *,
    level: str | None = None,
    unknown: str | None = None,
    backend: str = "auto",
    num_threads: int | None = None,
) -> Attribution | Attributions:
    """Sensitivity analysis: the squared gradient of the explained score.

    It says where a small change would change the score most, not what speaks for it; it is never
    negative.

    Parameters
    ----------
    model, inputs, target, level, unknown, backend, num_threads
        As for `lrp`.

    Returns
    -------
    Attribution or Attributions
        `token_relevance` is the squared L2 norm of the gradient with respect to x_t, and
        `input_relevance` the squared partial derivatives. `initial_relevance` is the squared norm
        of the gradient with respect to the initial states.

    Raises
    ------
    TypeError, ValueError
        As `lrp`.

    Notes
    -----
    Li et al. 2016, "Visualizing and Understanding Neural Models in NLP"
    (doi 10.18653/v1/N16-1082), and Arras et al. 2017 (doi 10.18653/v1/W17-5221).

    Examples
    --------
    >>> import lrplstm
    >>> a = lrplstm.sensitivity(lrplstm.load_default(), "a fine film .".split(), target=0)
    >>> bool((a.token_relevance >= 0).all())
    True
    """
    request = Request(model, inputs, level, unknown, backend, num_threads)

    def backward(past: ForwardPass, weighting: Array, part: Part) -> InputRelevance:
        return network.sensitivity(past, weighting, request.level)

    return request.explain("sensitivity", target, backward, "gradient", {})


@_typed
def gradient_x_input(
    model: Model,
    inputs: Any,
    target: Any = None,
    *,
    level: str | None = None,
    unknown: str | None = None,
    backend: str = "auto",
    num_threads: int | None = None,
) -> Attribution | Attributions:
    """Gradient times input: the first-order effect of each input on the explained score.

    Parameters
    ----------
    model, inputs, target, level, unknown, backend, num_threads
        As for `lrp`.

    Returns
    -------
    Attribution or Attributions

    Raises
    ------
    TypeError, ValueError
        As `lrp`.

    Notes
    -----
    Compared with LRP for LSTMs by Arras et al. 2019 (arXiv 1904.11829).

    Examples
    --------
    >>> import lrplstm
    >>> model = lrplstm.load_default()
    >>> a = lrplstm.gradient_x_input(model, "a fine film .".split(), target="all")
    >>> a.token_relevance.shape
    (5, 4)
    """
    request = Request(model, inputs, level, unknown, backend, num_threads)

    def backward(past: ForwardPass, weighting: Array, part: Part) -> InputRelevance:
        return network.gradient_x_input(past, weighting, request.level)

    return request.explain("gradient_x_input", target, backward, "gradient", {})


@_typed
def integrated_gradients(
    model: Model,
    inputs: Any,
    target: Any = None,
    *,
    steps: int | None = None,
    quadrature: str = "midpoint",
    baseline: Any = None,
    level: str | None = None,
    unknown: str | None = None,
    backend: str = "auto",
    num_threads: int | None = None,
) -> Attribution | Attributions:
    """Integrated gradients: how the score grows on the way from a baseline to the input.

    ``(x - baseline) *`` the mean gradient at `steps` points of the straight path between the two.

    Parameters
    ----------
    model, inputs, target, level, unknown, backend, num_threads
        As for `lrp`.
    steps : int, optional
        Points on the path. Default: 50, or 24 with quadrature "gauss", which takes at most 1000.
    quadrature : {"midpoint", "gauss"}
        Where the points are: in the middle of equal parts, or those of Gauss and Legendre. Those
        are nearly always far more precise, at half the time, but less where a gate opens so
        suddenly on the path that few of them see it; `delta` tells.
    baseline : None, str, int, array of shape (D,) or (T, D), or for a batch a list of (T, D)
        Where the path begins: zeros by default; the vector of a token or id; a vector for every
        step, (D,); or one for each step, (T, D), which serves all sequences of a batch if all have
        that length, or else a list of such arrays, one for each sequence.

    Returns
    -------
    Attribution or Attributions
        `delta` is the score, minus that of the baseline, minus the sum of the relevances: it falls
        as `steps` grows. Initial states are part of the model, and get no relevance.

    Raises
    ------
    TypeError, ValueError
        As `lrp`; also if `steps` is not an integer of at least 1, or `baseline` is none of those
        above, of a wrong shape, or not finite.

    Notes
    -----
    Sundararajan et al. 2017, "Axiomatic Attribution for Deep Networks" (arXiv 1703.01365).

    Examples
    --------
    >>> import lrplstm
    >>> model = lrplstm.load_default()
    >>> a = lrplstm.integrated_gradients(model, "a fine film .".split(), steps=300)
    >>> a.tokens[a.token_relevance.argmax()], abs(a.delta) < 0.01
    ('fine', True)
    """
    path = resolve_quadrature(quadrature, steps)
    request = Request(model, inputs, level, unknown, backend, num_threads)
    start = resolve_baseline(baseline, model, request.batch)

    def backward(past: ForwardPass, weighting: Array, part: Part) -> InputRelevance:
        return perturbation.integrated_gradients(
            past, weighting, start.of(part), path, request.level
        )

    params = {"steps": path.steps, "quadrature": path.name, "baseline": start.given}
    return request.explain(
        "integrated_gradients", target, backward, "nothing", params, needs_inputs=True
    )


@_typed
def occlusion(
    model: Model,
    inputs: Any,
    target: Any = None,
    *,
    baseline: Any = None,
    measure: str = "score",
    level: str | None = None,
    unknown: str | None = None,
    backend: str = "auto",
    num_threads: int | None = None,
) -> Attribution | Attributions:
    """Occlusion: what the score loses when a step is taken away.

    The score with x, minus the score with x_t replaced by the baseline.

    Parameters
    ----------
    model, inputs, target, level, unknown, backend, num_threads
        As for `lrp`.
    baseline
        What a step is replaced by: as for `integrated_gradients`, zeros by default.
    measure : {"score", "probability"}
        What is compared: scores, or their softmax.

    Returns
    -------
    Attribution or Attributions
        At level "input", where each input dimension is also taken away by itself,
        `input_relevance` is what that alone does, and, in proportion to the size of that, a part of
        what all of the step together do beyond it; so it sums up to `token_relevance`.

    Raises
    ------
    TypeError, ValueError
        As `integrated_gradients`; also if `measure` is none of those above, or "probability" for a
        model of one score.

    Notes
    -----
    Li et al. 2016, "Understanding Neural Networks through Representation Erasure"
    (arXiv 1612.08220); compared with LRP by Arras et al. 2019 (arXiv 1904.11829). It takes one
    forward pass for each step, and at level "input" for each input.

    Examples
    --------
    >>> import lrplstm
    >>> model = lrplstm.load_default()
    >>> a = lrplstm.occlusion(model, "a fine film .".split(), measure="probability")
    >>> a.tokens[a.token_relevance.argmax()]
    'fine'
    """
    check_choice("measure", measure, MEASURES)
    request = Request(model, inputs, level, unknown, backend, num_threads)
    outputs = model.outputs
    if measure == "probability" and (outputs.regression or outputs.count == 1):
        raise ValueError(
            f"measure: expected 'score' for {'a regression' if outputs.regression else 'one score'}"
            ", which has no probability, got 'probability'; two class_names make a classifier of "
            "one score"
        )
    stand_in = resolve_baseline(baseline, model, request.batch)

    def backward(past: ForwardPass, weighting: Array, part: Part) -> InputRelevance:
        return perturbation.occlusion(past, weighting, stand_in.of(part), measure, request.level)

    params = {"measure": measure, "baseline": stand_in.given}
    return request.explain("occlusion", target, backward, "states", params)


@_typed
def contextual_decomposition(
    model: Model,
    inputs: Any,
    target: Any = None,
    *,
    level: str | None = None,
    unknown: str | None = None,
    backend: str = "auto",
    num_threads: int | None = None,
) -> Attribution | Attributions:
    """Contextual decomposition: the part of the score that comes from each step as a phrase.

    Every state is split in the part that comes from the step and the rest; so is the score in the
    end, of which that part is the step's relevance.

    Parameters
    ----------
    model, inputs, target, level, unknown, backend, num_threads
        As for `lrp`.

    Returns
    -------
    Attribution or Attributions
        Each step is a phrase of its own, so that the relevances need not add up to the score;
        `delta` is what is missing. At level "input", where each input dimension is also followed by
        itself, `input_relevance` is the part of that alone, and, in proportion to the size of that,
        a part of what the inputs of the step do together; so it sums up to `token_relevance`.

    Raises
    ------
    TypeError, ValueError
        As `lrp`.

    Notes
    -----
    Murdoch et al. 2018, "Beyond Word Importance" (arXiv 1801.05453). What a gate or tanh makes of
    relevant part, rest and bias is shared among the first two as the mean over their two orders,
    the bias before both. The bias terms, which the paper leaves a choice in: a product of a
    relevant part and a bias is relevant; the product of the biases of input gate and candidate is
    relevant at the steps of the phrase, else it belongs to the rest; biases and initial states
    belong to the rest everywhere else, the head's bias too. The output gate is not split. Layers of
    the head that have a tanh or ReLU are treated as a gate is.

    Examples
    --------
    >>> import lrplstm
    >>> model = lrplstm.load_default()
    >>> a = lrplstm.contextual_decomposition(model, "a fine film .".split())
    >>> a.tokens[a.token_relevance.argmax()]
    'fine'
    """
    request = Request(model, inputs, level, unknown, backend, num_threads)

    def backward(past: ForwardPass, weighting: Array, part: Part) -> InputRelevance:
        return decomposition.contextual_decomposition(past, weighting, request.level)

    return request.explain("contextual_decomposition", target, backward, "parts", {})


@_typed
def random_relevance(
    model: Model,
    inputs: Any,
    target: Any = None,
    *,
    seed: int = 0,
    level: str | None = None,
    unknown: str | None = None,
    backend: str = "auto",
    num_threads: int | None = None,
) -> Attribution | Attributions:
    """Random relevance: what any method must be better than.

    Normal numbers that depend on the seed and on the sequence alone, so neither on the target nor
    on the batch that the sequence is in.

    Parameters
    ----------
    model, inputs, target, level, unknown, backend, num_threads
        As for `lrp`.
    seed : int
        At least 0; another one gives other numbers.

    Returns
    -------
    Attribution or Attributions
        `token_relevance` has mean 0 and variance 1.

    Raises
    ------
    TypeError, ValueError
        As `lrp`; also if `seed` is not an integer of at least 0.

    Examples
    --------
    >>> import lrplstm
    >>> model = lrplstm.load_default()
    >>> a, b = (lrplstm.random_relevance(model, ["fine", "."], seed=s) for s in (0, 1))
    >>> bool((a.token_relevance == b.token_relevance).any())
    False
    """
    seed = to_int("seed", seed, 0)
    request = Request(model, inputs, level, unknown, backend, num_threads)

    def backward(past: ForwardPass, weighting: Array, part: Part) -> InputRelevance:
        noise = random_numbers(request.batch, part, seed, model.input_size)
        noise = np.repeat(noise[np.newaxis].astype(model.dtype), len(weighting), axis=0)
        return InputRelevance(
            noise.sum(axis=-1),
            noise if request.level == "input" else None,
            network.no_initial(past, weighting),
        )

    return request.explain("random", target, backward, "nothing", {"seed": seed})


class Methods(Mapping[str, Callable[..., Attribution | Attributions]]):
    """The methods by name, and of each when to use it; printed, they are a list of both.

    Attributes
    ----------
    when : mapping of str to str
        One line of each method.
    """

    def __init__(self, functions: Mapping[str, Callable[..., Attribution | Attributions]]) -> None:
        self._functions = functions
        self.when = MappingProxyType({name: DESCRIBED[name].when for name in functions})

    def __getitem__(self, name: str) -> Callable[..., Attribution | Attributions]:
        return self._functions[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._functions)

    def __len__(self) -> int:
        return len(self._functions)

    def __repr__(self) -> str:
        width = max(map(len, self))
        return "\n".join(f"{name:{width}}  {line}" for name, line in self.when.items())


_FUNCTIONS = {
    "lrp": lrp,
    "gradient_x_input": gradient_x_input,
    "integrated_gradients": integrated_gradients,
    "occlusion": occlusion,
    "contextual_decomposition": contextual_decomposition,
    "sensitivity": sensitivity,
    "random": random_relevance,
}

METHODS = Methods(_FUNCTIONS)
"""The methods by name; ``print(lrplstm.METHODS)`` says when to use which."""

ALIASES: MappingProxyType[str, str] = MappingProxyType(
    {described.alias: name for name, described in DESCRIBED.items() if described.alias}
)
"""Short names of methods, as the literature has them."""


@overload
def explain(
    model: Model, inputs: _Sequence, method: str = ..., target: Any = ..., **options: Any
) -> Attribution: ...
@overload
def explain(
    model: Model, inputs: _Batch, method: str = ..., target: Any = ..., **options: Any
) -> Attributions: ...
@overload
def explain(
    model: Model, inputs: Any, method: str = ..., target: Any = ..., **options: Any
) -> Attribution | Attributions: ...
def explain(
    model: Model, inputs: Any, method: str = "lrp", target: Any = None, **options: Any
) -> Attribution | Attributions:
    """Explain by the method of a name.

    Parameters
    ----------
    model, inputs, target
        As for `lrp`.
    method : str
        One of `lrplstm.METHODS`, or the short "sa", "gi", "ig" or "cd".
    **options
        The method's own arguments.

    Returns
    -------
    Attribution or Attributions

    Raises
    ------
    TypeError, ValueError
        As `lrp`; ValueError if there is no such method, TypeError if it has no such option.

    Examples
    --------
    >>> import lrplstm
    >>> model = lrplstm.load_default()
    >>> for method in lrplstm.METHODS:
    ...     a = lrplstm.explain(model, "a fine film .".split(), method)
    """
    check_choice("method", method, [*METHODS, *ALIASES])
    name = ALIASES.get(method, method)
    _check_options(name, options)
    return METHODS[name](model, inputs, target, **options)


def _check_options(method: str, options: Mapping[str, Any]) -> None:
    """Raise a TypeError that names an option the method does not have, and what may be meant."""
    known = _option_names(method)
    for option in options:
        if option not in known:
            raise TypeError(
                f"options: expected those of {method}: {', '.join(known)}; got {shown(option)}"
                f"{did_you_mean(option, known)}"
            )


@cache
def _option_names(method: str) -> list[str]:
    parameters = inspect.signature(METHODS[method]).parameters.values()
    return [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
