"""What a module with masks makes of padding: whether it passes that over, as models do."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from lrplstm.base_model import Model
from lrplstm.checks import outer_level
from lrplstm.loaders.refusals import RefusedError
from lrplstm.loaders.torch_calls import Argument, Arguments
from lrplstm.loaders.torch_run import Runner
from lrplstm.loaders.torch_tracing import packed
from lrplstm.verification import Comparison, arrays_in, compare, largest_of
from lrplstm.weights import Array

__all__ = ["with_padding"]

_RTOL = 1e-4
_BEHIND = "behind a sequence"
_PLACES = {
    _BEHIND: lambda T, count: slice(T - count, T),
    "before one": lambda T, count: slice(0, count),
    "within one": lambda T, count: slice(1, 1 + min(count, T - 2)),
}


class _Case(NamedTuple):
    """Sequences with padding: where it is, what they are, and how many steps each has besides."""

    place: str
    values: list[Any]
    lengths: list[int]


def with_padding(
    runner: Runner,
    plain: Model,
    masked: Model,
    arguments: Arguments,
    size: tuple[int, int],
    example: Sequence[Any] | None,
) -> Model:
    """Return the model that has a module's scores for sequences with padding.

    Parameters
    ----------
    runner : Runner
    plain, masked : Model
        One that reads padding as any other step, and one that passes it over.
    arguments : Arguments
        What the module is called with, and which padding it knows.
    size : tuple of int
        How many sequences and steps it can be called with.
    example : sequence, optional
        Values of all arguments, which may have padding.

    Raises
    ------
    RefusedError
        If neither has, and not because recurrent layers read padding, either.

    Warns
    -----
    UserWarning
        If the module reads padding where the model passes it over.
    """
    return _Padded(runner, plain, masked, arguments).model(size, example)


class _Padded:
    def __init__(self, runner: Runner, plain: Model, masked: Model, arguments: Arguments) -> None:
        self.runner, self.plain, self.masked, self.arguments = runner, plain, masked, arguments
        self.rtol = max(_RTOL, runner.coarse)
        argument = next(each for each in arguments.inputs if each.padding is not None)
        kind = "id" if argument.ids else "numbers of a step all"
        self.padding = f"padding ({kind} {argument.padding:g})"

    def model(self, size: tuple[int, int], example: Sequence[Any] | None) -> Model:
        self._turn(size)
        # Scores of steps that are padding in all sequences may not be there.
        cases = list(_cases(self.arguments, *size, [0] if self.plain.every_step else [0, 1]))
        if example is not None:
            cases.append(_Case(_BEHIND, list(example), _lengths(self.arguments, example)))
        if all(self._agrees(self._compare(self.plain, case)) for case in cases):
            return self.plain
        compared = [(case.place, self._compare(self.masked, case)) for case in cases]
        behind = [one for place, one in compared if place == _BEHIND and one is not None]
        if not behind:  # of one length alone: whoever gives it padded sequences, is told
            return self.masked
        if all(map(self._agrees, behind)):
            others = [place for place, one in compared if one and not self._agrees(one)]
            if others:
                where = " or ".join(dict.fromkeys(others))
                self._warn(
                    f"{self.padding} is passed over, as forward does {_BEHIND}; {where} forward "
                    "reads it, so give none there"
                )
            return self.masked
        worst = max(behind, key=lambda one: one.relative)
        for case in cases:
            packs = case.place == _BEHIND
            if packs and not self._agrees(self._compare(self.masked, case, packs=True)):
                raise RefusedError(
                    f"expected forward to pass {self.padding} over where it has a mask of that, "
                    f"got other scores: they differ by up to {worst}; without padding they agree, "
                    "so that a forward without the mask is read"
                )
        self._warn(
            f"{self.padding} is passed over, but recurrent layers of forward read it, since they "
            "are given no packed sequences: what is explained is a sequence without its padding, "
            f"of which padded ones differ by up to {worst}"
        )
        return self.masked

    def _turn(self, size: tuple[int, int]) -> None:
        """Let arguments have their steps and sequences where the module has them."""
        case = _Case("", self.arguments.made(*size), [])
        for arguments in (self.arguments, self.arguments.turned()):
            self.arguments = arguments
            if self._agrees(self._compare(self.plain, case)):
                return

    def _agrees(self, comparison: Comparison | None) -> bool:
        return comparison is not None and comparison.relative <= self.rtol

    def _compare(self, model: Model, case: _Case, *, packs: bool = False) -> Comparison | None:
        """Return how far scores are apart; None if the model does not read such sequences."""
        try:
            expected = [model.predict(one) for one in self.arguments.whole(case.values) or ()]
        except ValueError:
            return None
        call = self.arguments.call(case.values)
        if packs:
            with packed(self.runner.torch, case.lengths):
                returned = self.runner.run(*call)
        else:
            returned = self.runner.run(*call)
        comparison = compare(arrays_in("forward", returned), expected, self.rtol)
        return comparison or Comparison(math.inf, largest_of(expected))

    def _warn(self, what: str) -> None:
        warnings.warn(f"source: {what}", UserWarning, stacklevel=outer_level())


# Sequences with padding -------------------------------------------------------------------------


def _cases(arguments: Arguments, B: int, T: int, least: Sequence[int]) -> Iterator[_Case]:
    """Yield sequences with padding at each place: each has more of it than the one before.

    The first has as much as `least` says, in one case after the other.
    """
    for (place, steps), first in product(_PLACES.items(), least):
        values = arguments.made(B, T, seed=5)
        counts = [min(b + first, T - 1) for b in range(B)]
        for argument, value in zip(arguments.arguments, values, strict=True):
            if argument.padding is None:
                continue
            rows = _rows(argument, value)
            if rows.ndim > 2 and rows.shape[2] > 1:
                rows[:, 0, 0] = argument.padding  # one number alone is no padding
            for row, count in zip(rows, counts, strict=False):
                row[steps(len(row), count)] = argument.padding
        yield _Case(place, values, [T - count for count in counts])


def _lengths(arguments: Arguments, values: Sequence[Any]) -> list[int]:
    """Return how many steps there are up to the last that is no padding."""
    given = zip(arguments.arguments, values, strict=True)
    argument, value = next(pair for pair in given if pair[0].padding is not None)
    rows = _rows(argument, np.asarray(value))
    read = (rows != argument.padding).reshape(*rows.shape[:2], -1).any(2)
    return [int(np.flatnonzero(row).max(initial=0)) + 1 for row in read]


def _rows(argument: Argument, array: Array) -> Array:
    """Return a view of an argument as (sequences, steps, ...)."""
    if "B" not in argument.axes:
        return np.moveaxis(array, argument.axes.index("T"), 0)[np.newaxis]
    axes = [argument.axes.index(axis) for axis in "BT"]
    return np.moveaxis(array, axes, (0, 1))
