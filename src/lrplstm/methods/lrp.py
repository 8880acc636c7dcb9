"""Layer-wise relevance propagation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from lrplstm.attribution import Attribution
from lrplstm.attributions import Attributions
from lrplstm.base_model import Model
from lrplstm.checks import check_choice, remembered
from lrplstm.method_table import InputRelevance, Method, Option, register
from lrplstm.methods.hidden import HiddenRelevance, resolve_hidden
from lrplstm.methods.request import Request
from lrplstm.methods.signatures import typed
from lrplstm.network import Descent, ForwardPass
from lrplstm.prepared import Node
from lrplstm.rules import PRODUCT_RULES, EpsilonRule
from lrplstm.sequences import Part
from lrplstm.weights import Array

__all__ = ["LRP", "lrp"]


@register
@dataclass(frozen=True, eq=False)
class LRP(Method):
    """Layer-wise relevance propagation by these rules, of scores or of given hidden relevance."""

    name = "lrp"
    title = "LRP"
    when = "what speaks for and against the score: the one to begin with"
    rest = "kept by biases and stabilizers"
    options = (
        Option("epsilon", float, "stabilizer of lrp (default: 0.001)"),
        Option("bias_factor", float, "part of biases that lrp hands on (default: 0)"),
        Option("epsilon_factor", float, "the same for the stabilizer (default: as --bias-factor)"),
        Option(
            "product_rule",
            tuple(PRODUCT_RULES),
            "how lrp shares relevance of a product of gate and signal: all to the signal, which "
            "explains best (default); prop or abs, in proportion to their values or absolute "
            "values; or half to each, to compare with",
        ),
    )

    rule: EpsilonRule
    product_rule: str
    hidden: HiddenRelevance | None = None

    @cached_property
    def keep(self) -> str:
        """What the forward pass keeps: the gates only for rules that give to them."""
        return "relevance" if self.product_rule == "all" else "gates"

    @property
    def params(self) -> dict[str, Any]:
        """Its own arguments by their names."""
        params = {
            "epsilon": self.rule.epsilon,
            "bias_factor": self.rule.bias_factor,
            "epsilon_factor": self.rule.epsilon_factor,
            "product_rule": self.product_rule,
        }
        return params if self.hidden is None else params | {"hidden_relevance": self.hidden.given}

    @cached_property
    def advice(self) -> tuple[str, ...]:
        """What lets relevance grow less."""
        ways = ["a larger epsilon"]
        if self.rule.bias_factor:
            ways.append("a smaller bias_factor")
        if self.product_rule != "all":
            ways.append("the product rule 'all'")
        return tuple(ways)

    def back(self, past: ForwardPass, weighting: Array, part: Part, level: str) -> InputRelevance:
        """Return the relevance of what a part of a batch read."""
        network, rule, product_rule = past.prepared, self.rule, self.product_rule
        if self.hidden is None:
            descent = Descent(past, network.scores, weighting * past.scores)
        else:
            slot = network.pooled if self.hidden.pooled else network.hidden
            descent = Descent(past, slot, weighting)
        initial: Any = None
        token: Any = None
        for node, trace, R in descent:
            if isinstance(node, Node):
                below = node.operation.relevance(trace, R, rule, product_rule)
                descent.hand_on(node, *below)
                continue
            x = past.values[node.reads[0]]
            if node is network.entry:
                x = past.reading.inputs if level == "input" else None
            final, hidden, *others = R
            read = node.scans.lrp_scan(trace, final, hidden, x, rule, product_rule, *others)
            ended, states = node.split_relevance(read)
            initial = ended if initial is None else initial + ended
            if read.inputs is None:
                token = read.token
            descent.hand_on(node, read.inputs, *states)
        if initial is None:
            initial = past.no_initial(len(weighting))
        if token is not None:
            return InputRelevance(token, None, initial, None, descent.others)
        return InputRelevance.of_inputs(descent.inputs, level, initial, None, descent.others)


@typed
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
        be tensors of any device, tables (pandas, polars, Arrow) or arrays of xarray, whose names
        and dates are then those of the result, or `lrplstm.windows` of a table; a PackedSequence is
        the batch it was packed of. A text is one sequence where the model names a tokenizer; for
        several see `Model.tokenize`.
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
    if epsilon_factor is None:
        epsilon_factor = bias_factor
    request = Request(model, inputs, level, unknown, backend, num_threads)
    method = _by_rules(epsilon, bias_factor, epsilon_factor, product_rule, model.dtype)
    if hidden_relevance is None:
        return request.explain(method, target)
    if target is not None:
        raise ValueError("target: expected None where hidden_relevance is given")
    hidden = resolve_hidden(hidden_relevance, model, request.batch)
    return request.explain(replace(method, hidden=hidden), hidden)


@remembered
def _by_rules(
    epsilon: float,
    bias_factor: float,
    epsilon_factor: float,
    product_rule: str,
    dtype: np.dtype[Any],
) -> LRP:
    """Check the rules, for a model of some dtype."""
    rule = EpsilonRule(epsilon, bias_factor, epsilon_factor)
    rule.check_range(dtype)
    check_choice("product_rule", product_rule, PRODUCT_RULES)
    return LRP(rule, product_rule)
