"""Types of public methods: one sequence gives an Attribution, a batch Attributions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Concatenate, ParamSpec, Protocol, TypeAlias, cast, overload

from lrplstm.attribution import Attribution
from lrplstm.attributions import Attributions
from lrplstm.base_model import Model
from lrplstm.weights import Array

__all__ = ["OneSequence", "PublicMethod", "SeveralSequences", "typed"]

OneSequence: TypeAlias = Sequence[str] | Sequence[int]
SeveralSequences: TypeAlias = Sequence[list[str] | list[int] | tuple[str, ...] | Array]
_Options = ParamSpec("_Options")


class PublicMethod(Protocol[_Options]):
    """A function that explains one sequence, or a batch."""

    @overload
    def __call__(
        self, model: Model, inputs: OneSequence, *args: _Options.args, **options: _Options.kwargs
    ) -> Attribution: ...
    @overload
    def __call__(
        self,
        model: Model,
        inputs: SeveralSequences,
        *args: _Options.args,
        **options: _Options.kwargs,
    ) -> Attributions: ...
    @overload
    def __call__(
        self, model: Model, inputs: Any, *args: _Options.args, **options: _Options.kwargs
    ) -> Attribution | Attributions: ...


def typed(
    function: Callable[Concatenate[Model, Any, _Options], Attribution | Attributions],
) -> PublicMethod[_Options]:
    """Return the function itself, which type checkers then know to be of the types above."""
    return cast(PublicMethod[_Options], function)
