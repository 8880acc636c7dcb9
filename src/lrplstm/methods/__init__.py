"""The methods: model, inputs and target -> relevance. One a file, and here by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, overload

from lrplstm.attribution import Attribution
from lrplstm.attributions import Attributions
from lrplstm.base_model import Model
from lrplstm.checks import check_choice
from lrplstm.method_table import TABLE, Option
from lrplstm.methods.contextual_decomposition import contextual_decomposition
from lrplstm.methods.gradient_x_input import gradient_x_input
from lrplstm.methods.integrated_gradients import integrated_gradients
from lrplstm.methods.lrp import lrp
from lrplstm.methods.occlusion import occlusion
from lrplstm.methods.random_relevance import random_relevance
from lrplstm.methods.sensitivity import sensitivity
from lrplstm.methods.signatures import OneSequence, SeveralSequences
from lrplstm.texts import did_you_mean, shown

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


class Methods(Mapping[str, Callable[..., Attribution | Attributions]]):
    """The methods by name, and of each when to use it; printed, they are a list of both.

    Attributes
    ----------
    when : mapping of str to str
        One line of each method.
    options : mapping of str to Option
        Arguments that only some of them have.
    """

    def __init__(self, functions: Mapping[str, Callable[..., Attribution | Attributions]]) -> None:
        self._functions = functions
        rows = {name: TABLE[name] for name in functions}
        self.when = MappingProxyType({name: method.when for name, method in rows.items()})
        options = {o.name: o for method in rows.values() for o in method.options}
        self.options: Mapping[str, Option] = MappingProxyType(options)

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
    {method.alias: name for name, method in TABLE.items() if method.alias}
)
"""Short names of methods, as the literature has them."""


@overload
def explain(
    model: Model, inputs: OneSequence, method: str = ..., target: Any = ..., **options: Any
) -> Attribution: ...
@overload
def explain(
    model: Model, inputs: SeveralSequences, method: str = ..., target: Any = ..., **options: Any
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
    model : Model
        The network that is explained.
    inputs : one sequence, or a batch of them
        Tokens, ids, numbers or a table, in any of the forms of `lrp`.
    method : str
        One of `lrplstm.METHODS`, or the short "sa", "gi", "ig" or "cd".
    target : None, int, str, sequence, or "all"
        What is explained, in any of the forms of `lrp`. Default: the predicted class.
    **options
        The method's own arguments.

    Returns
    -------
    Attribution or Attributions
        What the function of that name returns.

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
