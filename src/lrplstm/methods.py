"""The methods: model, inputs and target -> relevance.

Each is a choice of what to send back through the network; the rest is shared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Any, Concatenate, ParamSpec, Protocol, TypeAlias, cast, overload

import numpy as np

from lrplstm import _backend, network
from lrplstm.attribution import Attribution, Attributions
from lrplstm.checks import check_choice, to_array
from lrplstm.model import LSTMModel
from lrplstm.network import ForwardPass, InputRelevance
from lrplstm.rules import PRODUCT_RULES, EpsilonRule
from lrplstm.sequences import Batch, Part
from lrplstm.targets import Target, resolve_step_target, resolve_target
from lrplstm.weights import Array

__all__ = ["ALIASES", "METHODS", "explain", "gradient_x_input", "lrp", "sensitivity"]

LEVELS = ("token", "input")

# Types: one sequence gives an Attribution, a batch Attributions; an array may be either.
_Sequence: TypeAlias = Sequence[str] | Sequence[int]
_Batch: TypeAlias = Sequence[list[str] | list[int] | tuple[str, ...] | Array]
_Options = ParamSpec("_Options")


class _Method(Protocol[_Options]):
    @overload
    def __call__(
        self, model: LSTMModel, inputs: _Sequence, *args: _Options.args, **options: _Options.kwargs
    ) -> Attribution: ...
    @overload
    def __call__(
        self, model: LSTMModel, inputs: _Batch, *args: _Options.args, **options: _Options.kwargs
    ) -> Attributions: ...
    @overload
    def __call__(
        self, model: LSTMModel, inputs: Any, *args: _Options.args, **options: _Options.kwargs
    ) -> Attribution | Attributions: ...


def _typed(
    function: Callable[Concatenate[LSTMModel, Any, _Options], Attribution | Attributions],
) -> _Method[_Options]:
    """Return the function itself, which type checkers then know to be of the types above."""
    return cast(_Method[_Options], function)


@_typed
def lrp(
    model: LSTMModel,
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
    model : LSTMModel
        The model to explain.
    inputs : one sequence, or a batch of them
        One sequence is a list of tokens, an integer array of token ids of shape (T,), or a float
        array of shape (T, D). A batch is a list of sequences, which may differ in length, or a
        float array of shape (B, T, D).
    target : None, int, sequence of int, sequence of float, or "all"
        What to explain: None for the class that each sequence is predicted as; a class; one class
        for each sequence; weights of the scores of shape (C,) or (B, C), so that
        ``[1., 0., 0., 0., -1.]`` asks why class 0 rather than class 4; or "all" classes, each by
        itself. Integers of which there is one for each sequence are classes. With pooling "none",
        where every step has scores: None for the class that each step is predicted as; a tuple
        ``(step, class)``; a class, or weights of shape (C,), of every step; a sequence of T
        classes, or weights of shape (T, C); "all"; or a list of those, one for each sequence of a
        batch.
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
    hidden_relevance : array of shape (T, width), or a list of them for a batch, optional
        Start from this relevance of the top layer's hidden states instead of from a score; width is
        H, or 2H with two directions. For heads of your own: attention, dense layers. `target` must
        then be None.
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

    Notes
    -----
    Arras et al. 2017, "Explaining Recurrent Neural Network Predictions in Sentiment Analysis"
    (doi 10.18653/v1/W17-5221), with the epsilon rule of Bach et al. 2015
    (doi 10.1371/journal.pone.0130140).

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

    def backward(past: ForwardPass, weighting: Array, level: str) -> InputRelevance:
        return network.lrp(past, weighting, rule, product_rule, level)

    def backward_from_hidden(past: ForwardPass, hidden: Array, level: str) -> InputRelevance:
        return network.lrp_from_hidden(past, hidden, rule, product_rule, level)

    request = _Request(model, inputs, level, unknown, backend, num_threads)
    rule.check_range(model.dtype)
    keep = "relevance" if product_rule == "all" else "gates"
    if hidden_relevance is None:
        return request.explain("lrp", target, backward, keep, params)
    if target is not None:
        raise ValueError("target: expected None where hidden_relevance is given")
    return request.explain_hidden("lrp", hidden_relevance, backward_from_hidden, keep, params)


@_typed
def sensitivity(
    model: LSTMModel,
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
    request = _Request(model, inputs, level, unknown, backend, num_threads)
    return request.explain("sensitivity", target, network.sensitivity, "gradient", {})


@_typed
def gradient_x_input(
    model: LSTMModel,
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
    request = _Request(model, inputs, level, unknown, backend, num_threads)
    return request.explain("gradient_x_input", target, network.gradient_x_input, "gradient", {})


METHODS: MappingProxyType[str, Callable[..., Attribution | Attributions]] = MappingProxyType(
    {"lrp": lrp, "sensitivity": sensitivity, "gradient_x_input": gradient_x_input}
)
"""The methods by name."""

ALIASES: MappingProxyType[str, str] = MappingProxyType(
    {"sa": "sensitivity", "gi": "gradient_x_input"}
)
"""Short names of methods, as the literature has them."""


@overload
def explain(
    model: LSTMModel, inputs: _Sequence, method: str = ..., target: Any = ..., **options: Any
) -> Attribution: ...
@overload
def explain(
    model: LSTMModel, inputs: _Batch, method: str = ..., target: Any = ..., **options: Any
) -> Attributions: ...
@overload
def explain(
    model: LSTMModel, inputs: Any, method: str = ..., target: Any = ..., **options: Any
) -> Attribution | Attributions: ...
def explain(
    model: LSTMModel, inputs: Any, method: str = "lrp", target: Any = None, **options: Any
) -> Attribution | Attributions:
    """Explain by the method of a name.

    Parameters
    ----------
    model, inputs, target
        As for `lrp`.
    method : str
        One of `lrplstm.METHODS`, or the short "sa" or "gi".
    **options
        The method's own arguments.

    Returns
    -------
    Attribution or Attributions

    Raises
    ------
    TypeError, ValueError
        As `lrp`; ValueError if there is no such method.

    Examples
    --------
    >>> import lrplstm
    >>> model = lrplstm.load_default()
    >>> for method in lrplstm.METHODS:
    ...     a = lrplstm.explain(model, "a fine film .".split(), method)
    """
    check_choice("method", method, [*METHODS, *ALIASES])
    return METHODS[ALIASES.get(method, method)](model, inputs, target, **options)


# What the methods share -------------------------------------------------------------------------

_Backward = Callable[[ForwardPass, Array, str], InputRelevance]


class _Request:
    """The arguments that every method has, checked; runs a method's way back over the batch."""

    def __init__(
        self,
        model: LSTMModel,
        inputs: Any,
        level: str | None,
        unknown: str | None,
        backend: str,
        num_threads: int | None,
    ) -> None:
        if not isinstance(model, LSTMModel):
            raise TypeError(f"model: expected an LSTMModel, got {type(model).__name__}")
        if level is not None:
            check_choice("level", level, LEVELS)
        self.model = model
        self.batch: Batch = model.encoder.encode(inputs, unknown)
        self.level = level or ("input" if self.batch.from_features else "token")
        self.prepared = model.prepared(backend)
        self.threads = _backend.count_threads(num_threads)
        self.every_step = model.pooling == "none"
        self.params = {
            "level": self.level,
            "unknown": unknown,
            "backend": _backend.resolve(backend),
        }

    def explain(
        self, method: str, target: Any, backward: _Backward, keep: str, params: dict[str, Any]
    ) -> Attribution | Attributions:
        """Explain the scores that `target` means; `backward` reads a trace that kept `keep`."""
        classes, dtype, batch = self.model.num_classes, self.model.dtype, self.batch
        if self.every_step:
            resolved = resolve_step_target(target, batch.offsets, classes, dtype, batch.single)
        else:
            resolved = resolve_target(target, len(batch), classes, dtype)
        result = _Result(self, classes if resolved.kind == "all" else 1)

        def run(part: Part, past: ForwardPass) -> None:
            weighting = resolved.weighting(past.scores, self.rows(part))
            started = np.vecdot(weighting, past.scores)
            if self.every_step:
                started = _sum_steps(started, part.offsets)
            result.put(part, past, started, backward(past, weighting, self.level))

        self._for_each_part(run, keep, result.targets)
        return result.attributions(method, params | self.params, resolved)

    def rows(self, part: Part) -> slice | Array:
        """Which rows of the batch's scores are those of a part."""
        return part.steps if self.every_step else part.sequences

    def explain_hidden(
        self,
        method: str,
        hidden_relevance: Any,
        backward: _Backward,
        keep: str,
        params: dict[str, Any],
    ) -> Attribution | Attributions:
        """Explain given relevance of the top layer's hidden states."""
        hidden = self._check_hidden(hidden_relevance)
        result = _Result(self, 1)

        def run(part: Part, past: ForwardPass) -> None:
            given = hidden[part.steps]
            started = _sum_steps(given.sum(axis=-1), part.offsets)
            found = backward(past, given[np.newaxis], self.level)
            result.put(part, past, started[np.newaxis], found)

        self._for_each_part(run, keep, result.targets)
        given = self.batch.as_given(hidden, axis=0)
        parts = np.split(given, self.batch.given_offsets[1:-1])
        params = params | self.params | {"hidden_relevance": parts}
        return result.attributions(method, params, None)

    def _for_each_part(
        self, run: Callable[[Part, ForwardPass], None], keep: str, targets: int
    ) -> None:
        """Run the network over the batch, and call `run` with each part and its forward pass."""
        source = self.prepared.source(self.batch)

        def forward_and_run(part: Part) -> None:
            inputs = self.level == "input"
            run(part, network.forward(self.prepared, self.batch, source, part, keep, inputs))

        parts = self.batch.parts(self.prepared.bytes_per_step(targets), self.threads)
        _backend.for_each(forward_and_run, parts, self.threads)

    def _check_hidden(self, given: Any) -> Array:
        """Return hidden relevance of any accepted form as one new array, (steps, width)."""
        width, single, offsets = self.model.width, self.batch.single, self.batch.given_offsets
        if hasattr(given, "__array__"):
            given = to_array("hidden_relevance", given)
        if not single and (not isinstance(given, Sequence | np.ndarray) or isinstance(given, str)):
            raise TypeError(
                f"hidden_relevance: expected one array a sequence, got {type(given).__name__}"
            )
        parts = [given] if single else given
        if len(parts) != len(self.batch):
            raise ValueError(
                f"hidden_relevance: expected {len(self.batch)} arrays, got {len(parts)}"
            )
        checked = []
        for b, part in enumerate(parts):
            name = "hidden_relevance" if single else f"hidden_relevance[{b}]"
            array = to_array(name, part)
            want = (int(offsets[b + 1] - offsets[b]), width)
            if array.dtype.kind not in "iuf":
                raise TypeError(f"{name}: expected numbers, got dtype {array.dtype}")
            if array.shape != want:
                raise ValueError(f"{name}: expected shape {want}, got {array.shape}")
            with np.errstate(over="ignore"):
                array = array.astype(self.model.dtype)
            if not np.isfinite(array).all():
                raise ValueError(f"{name}: expected finite numbers, got NaN or infinity")
            checked.append(array)
        hidden = np.concatenate(checked)
        if self.batch.padding is None:
            return hidden
        read = hidden[self.batch.padding.read]
        if np.count_nonzero(read) != np.count_nonzero(hidden):
            raise ValueError("hidden_relevance: expected zeros at padded steps")
        return read


class _Result:
    """The arrays of the whole batch, filled part by part."""

    scores: Array
    token: Array
    input: Array | None
    initial: Array
    delta: Array

    def __init__(self, request: _Request, targets: int) -> None:
        self.request = request
        self.targets = targets
        if len(request.batch) > 1:
            self._allocate()

    def _allocate(self) -> None:
        model, batch, dtype = self.request.model, self.request.batch, self.request.model.dtype
        B, steps = len(batch), int(batch.offsets[-1])
        rows = steps if self.request.every_step else B
        self.scores = np.empty((rows, model.num_classes), dtype)
        self.token = np.empty((self.targets, steps), dtype)
        self.input = None
        if self.request.level == "input":
            self.input = np.empty((self.targets, steps, model.input_size), dtype)
        self.initial = np.empty((self.targets, B), dtype)
        self.delta = np.empty((self.targets, B), dtype)

    def put(self, part: Part, past: ForwardPass, started: Array, found: InputRelevance) -> None:
        """Take what was found for a part of the batch; a single sequence is all there is."""
        arrived = _sum_steps(found.token, part.offsets) + found.initial
        delta = started - arrived
        if len(self.request.batch) == 1:
            self.scores, (self.token, self.input, self.initial) = past.scores, found
            self.delta = delta.astype(past.scores.dtype)
            return
        self.scores[self.request.rows(part)] = past.scores
        self.token[:, part.steps] = found.token
        if self.input is not None:
            self.input[:, part.steps] = found.input
        self.initial[:, part.sequences] = found.initial
        self.delta[:, part.sequences] = delta

    def attributions(
        self, method: str, params: dict[str, Any], target: Target | None
    ) -> Attribution | Attributions:
        """Return it all, as users see it; `target` is None where hidden relevance was given."""
        batch = self.request.batch
        predicted = self.scores.argmax(axis=1)
        every_class = target is not None and target.kind == "all"

        def targets(array: Array) -> Array:
            return array if every_class else array[0]

        relevance = None if self.input is None else targets(batch.as_given(self.input, axis=1))
        results = Attributions(
            offsets=batch.given_offsets,
            scores=self.scores,
            predicted=predicted,
            target=None if target is None else target.explained(predicted, batch.offsets),
            token_relevance=targets(batch.as_given(self.token, axis=1)),
            input_relevance=relevance,
            initial_relevance=targets(self.initial),
            delta=targets(self.delta),
            unknown=batch.unknown,
            method=method,
            params=params,
            class_names=self.request.model.class_names,
            tokens=batch.tokens,
            every_step=self.request.every_step,
        )
        return results[0] if batch.single else results


def _sum_steps(values: Array, offsets: Array) -> Array:
    """Sum each sequence's steps, in float64: (..., steps) -> (..., B)."""
    return np.asarray(np.add.reduceat(values, offsets[:-1], axis=-1, dtype=np.float64))
