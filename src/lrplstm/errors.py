"""Errors and warnings that have in fields what their texts say: which argument they are about.

Whoever calls arguments otherwise, as the command line does with its options, passes a `Spelling`
of its own instead of changing texts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Self

from lrplstm.texts import shown, visible

__all__ = [
    "PYTHON",
    "AboutArgument",
    "ArgumentError",
    "ArgumentTypeError",
    "AssumptionWarning",
    "Element",
    "MissingArgumentError",
    "Spelling",
    "UnknownTokenError",
]


class Element(str):
    """What messages call one of several that an argument holds.

    Attributes
    ----------
    argument : str
    position : int
        Which of them.

    Examples
    --------
    >>> Element("inputs", 3)
    'inputs[3]'
    """

    argument: str
    position: int

    def __new__(cls, argument: str, position: int) -> Self:
        """Return its text, with both in fields."""
        element = super().__new__(cls, f"{argument}[{position}]")
        element.argument, element.position = argument, position
        return element

    def __getnewargs__(self) -> Any:  # those of `__new__`, for copies
        return self.argument, self.position


class Spelling:
    """How arguments are written: this one as in Python."""

    def argument(self, name: str) -> str:
        """Return what a message begins with that is about an argument, or an `Element` of one."""
        return name

    def option(self, name: str, value: object = None) -> str:
        """Return how an argument is passed, with this value or, where it is None, with any."""
        return f"{name}=" if value is None else f"{name}={shown(value)}"


PYTHON = Spelling()


class AboutArgument(Exception):  # noqa: N818 - warnings are such as well
    """An error or warning about an argument; what both kinds of errors below have in common.

    Parameters
    ----------
    name : str
        The argument, or an `Element` of it.
    problem : str
        What was expected, and what came.
    """

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(name, problem)
        self.name = name

    def problem(self, spelling: Spelling = PYTHON) -> str:
        """Return what was expected, and what came."""
        return str(self.args[1])

    def spelled(self, spelling: Spelling) -> str:
        """Return the text with arguments written in another way."""
        return f"{spelling.argument(self.name)}: {self.problem(spelling)}"

    def __str__(self) -> str:
        return self.spelled(PYTHON)


class ArgumentError(AboutArgument, ValueError):
    """An argument has a value that it may not have.

    Examples
    --------
    >>> str(ArgumentError("epsilon", "expected a number of at least 0, got -1.0"))
    'epsilon: expected a number of at least 0, got -1.0'
    """


class ArgumentTypeError(AboutArgument, TypeError):
    """An argument is of a type that it may not be of."""


class UnknownTokenError(ArgumentError):
    """The vocabulary lacks a token, and nobody said what to do then.

    Parameters
    ----------
    name : str
        What the sequence is called.
    token : str
    position : int
        Its step in the sequence.
    """

    def __init__(self, name: str, token: str, position: int) -> None:
        super().__init__(name, token)
        self.args = name, token, position
        self.token, self.position = token, position

    def problem(self, spelling: Spelling = PYTHON) -> str:
        """Return which token it is, and the ways out."""
        return (
            f"token {shown(self.token)} at position {self.position} is not in the vocabulary; "
            f"choose with {spelling.option('unknown')} what to do: 'error', 'unk' (the model's "
            "unknown token) or 'zero' (a zero vector)"
        )


class MissingArgumentError(ValueError):
    """A file leaves open what an argument of its loader can say.

    Parameters
    ----------
    text : str
        What is open, and what to pass.
    arguments : collection of str
        The arguments that say it.
    """

    def __init__(self, text: str, arguments: Collection[str]) -> None:
        super().__init__(text, arguments)
        self.arguments = arguments

    def __str__(self) -> str:
        return str(self.args[0])


class AssumptionWarning(AboutArgument, UserWarning):
    """Something is assumed that a file does not say.

    Parameters
    ----------
    why : str
        Why it is not seen.
    assumed : sequence of str
        What is taken to be so.
    given : mapping of str to object
        The arguments, with values, that say the same.
    instead : str
        What can be done so that it is seen.
    """

    def __init__(
        self, why: str, assumed: Sequence[str], given: Mapping[str, object], instead: str
    ) -> None:
        super().__init__("source", why)
        self.args = why, assumed, given, instead
        self.why, self.assumed, self.given, self.instead = why, assumed, given, instead

    def problem(self, spelling: Spelling = PYTHON) -> str:
        """Return what is assumed, and how to say it."""
        passed = ", ".join(spelling.option(name, value) for name, value in self.given.items())
        return visible(
            f"{self.why}, so this is assumed: {'; '.join(self.assumed)}; if it is so, pass "
            f"{passed}; {self.instead}"
        )
