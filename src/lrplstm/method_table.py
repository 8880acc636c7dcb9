"""What a method is, and the table of those there are.

A method is frozen data, its options, with a way back; it is registered under its name. What its
class says of it is read here by whoever shows it: explanations, sums, pictures, warnings, and the
command line.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple, Self, TypeVar

from lrplstm.network import ForwardPass
from lrplstm.sequences import Part, sum_inputs
from lrplstm.weights import Array

__all__ = ["TABLE", "InputRelevance", "Method", "Option", "register"]


class Option(NamedTuple):
    """An argument that some methods have, as the command line offers it.

    Attributes
    ----------
    name : str
    kind : type, or sequence of str
        float, int or str; or the values that it may have.
    help : str
    metavar : str, or None
        What a value is called in the help.
    """

    name: str
    kind: type | tuple[str, ...]
    help: str
    metavar: str | None = None


class InputRelevance(NamedTuple):
    """Relevance of what the network read.

    Attributes
    ----------
    token : ndarray of shape (K, steps)
    input : ndarray of shape (K, steps, D), or None where only `token` was asked for
    initial : ndarray of shape (K, B)
        Relevance of the initial states, all layers and directions.
    started : ndarray of shape (K, B), or None
        What was shared out; where it is not the explained score.
    others : tuple of ndarray of shape (K, n, D)
        Relevance of every other input; (K, n, 1) where only that of rows was asked for.
    """

    token: Array
    input: Array | None
    initial: Array
    started: Array | None = None
    others: tuple[Array, ...] = ()

    @classmethod
    def of_inputs(
        cls,
        inputs: Array,
        level: str,
        initial: Array,
        started: Array | None = None,
        others: tuple[Array, ...] = (),
    ) -> Self:
        """Return that of each step too, which is the sum over its inputs."""
        by_input = inputs if level == "input" else None
        return cls(sum_inputs(inputs), by_input, initial, started, others)


class Method:
    """A method with its options, frozen: what is sent back through a network, or through it again.

    Attributes
    ----------
    name : str
        By which `lrplstm.explain` knows it.
    alias : str, or None
        Its short name.
    title : str, or None
        What it is called in headings; None: its name.
    when : str
        When to use it, in a line.
    rest : str
        What the difference between the score and the sum of relevances is; of a method that shares
        out no score, why there is none. Steps are called words.
    shares : bool
        Whether it shares a score out.
    ends : tuple of two str, or None
        What negative and positive relevance say; None: as of most methods.
    options : tuple of Option
        Its own arguments, but for arrays.
    needs_inputs : bool
        Whether it reads what the network read, at level "token" too.
    """

    name: ClassVar[str]
    alias: ClassVar[str | None] = None
    title: ClassVar[str | None] = None
    when: ClassVar[str]
    rest: ClassVar[str]
    shares: ClassVar[bool] = True
    ends: ClassVar[tuple[str, str] | None] = None
    options: ClassVar[tuple[Option, ...]] = ()
    needs_inputs: ClassVar[bool] = False

    @property
    def keep(self) -> str:
        """What the forward pass keeps for it, see `lrplstm.network.KEEP` and `lrplstm.scans`."""
        return "nothing"

    @property
    def params(self) -> dict[str, Any]:
        """Its own arguments by their names, as an explanation has them."""
        return {}

    @property
    def advice(self) -> tuple[str, ...]:
        """What lets relevance grow less, where it can grow from step to step without bound."""
        return ()

    def back(self, past: ForwardPass, weighting: Array, part: Part, level: str) -> InputRelevance:
        """Return the relevance of what a part of a batch read.

        Parameters
        ----------
        past : ForwardPass
            Of that part, which kept `keep`.
        weighting : ndarray of shape (K, B, C), or where every step has scores (K, steps, C)
            How each of K targets weighs the scores.
        part : Part
        level : {"token", "input"}
            Whether relevance of every input is wanted too.
        """
        raise NotImplementedError


TABLE: dict[str, type[Method]] = {}
"""The methods there are, by their names."""

_M = TypeVar("_M", bound=type[Method])


def register(method: _M) -> _M:
    """Enter a method under its name; to be written before its class, as a decorator."""
    TABLE[method.name] = method
    return method
