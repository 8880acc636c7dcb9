"""Operations that a network consists of, as plain data: what every source of networks gives.

An ONNX file, a Keras config and a PyTorch program are all translated into a `Graph`, and
`lrplstm.graph.reading` makes layers of that. Its operators are those of ONNX, with ONNX's names,
inputs, attributes, orders of gates and layouts of weights. What goes beyond:

- `LSTM` may have a ninth input: the projections of each direction, (directions, P, hidden_size);
  R is then (directions, 4 * hidden_size, P).
- `AdditiveScores` of queries (batch, queries, K), keys (batch, keys, K) and a weight (K,) are the
  sums over K of weight * tanh(query + key), (batch, queries, keys).
- Names of tensors are of any letters; the empty one is an input or output that is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from lrplstm.loaders.refusals import RefusedError, Room
from lrplstm.texts import shown
from lrplstm.weights import Array

__all__ = ["NEWEST_OPSET", "TIMES_TO_COMPUTE", "Graph", "Input", "Node", "room_for"]

NEWEST_OPSET = 21
"""The opset whose operators sources write that have no opset of their own."""

TIMES_TO_COMPUTE = 5
"""So many times the bytes of a network may be taken to read it."""

_BYTES_TO_COMPUTE = 2**22
_BYTES_PER_NODE, _MOST_NODES = 2**13, 2**13  # what several layers take; of those beyond, nothing


def room_for(size: int, nodes: int, advice: str = "") -> Room:
    """Return how much reading a network of so many bytes and nodes may take."""
    of_nodes = _BYTES_PER_NODE * min(nodes, _MOST_NODES)
    return Room(_BYTES_TO_COMPUTE + TIMES_TO_COMPUTE * size + of_nodes, advice)


@dataclass(frozen=True)
class Input:
    """An input of a network.

    Attributes
    ----------
    name : str
    shape : tuple of (int or None)
        None where a size is left open, such as that of a batch or the number of steps.
    integers : bool
        Whether it is of integers, as ids are.
    """

    name: str
    shape: tuple[int | None, ...]
    integers: bool = False

    def __post_init__(self) -> None:
        _check_name("input", self.name)
        if any(size is not None and size < 1 for size in self.shape):
            raise RefusedError(
                f"input {shown(self.name)}: expected sizes of at least 1, got {shown(self.shape)}"
            )
        object.__setattr__(self, "shape", tuple(self.shape))


@dataclass(frozen=True)
class Node:
    """An operation: what it is, and the names of the tensors that it reads and gives.

    Attributes
    ----------
    operator : str
        As ONNX calls it, such as "MatMul".
    inputs, outputs : tuple of str
        Empty names are those of optional ones that are left out.
    attributes : mapping
        Of int, float, str, list of these, or ndarray, as ONNX has them; those at their defaults may
        be missing.
    place : str
        Where it is in the user's file or module, for errors, such as "node '/fc/Gemm' (Gemm)".
    title : str
        What a model says that it was made from, such as "fc". Default: the first output's name.
    """

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    place: str = ""
    title: str = ""

    def __post_init__(self) -> None:
        names = {"inputs": tuple(self.inputs), "outputs": tuple(self.outputs)}
        title = self.title or next(filter(None, self.outputs), "")
        place = self.place or f"the node that gives {shown(title)} ({self.operator})"
        values = names | {"title": title, "place": place}
        for name, value in values.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "attributes", MappingProxyType(dict(self.attributes)))

    @property
    def reads(self) -> tuple[str, ...]:
        """All tensors that it reads, those in the body of a loop, too."""
        bodies = [value for value in self.attributes.values() if isinstance(value, Graph)]
        return (*filter(None, self.inputs), *(name for body in bodies for name in body.outer))


@dataclass(frozen=True)
class Graph:
    """A network as its operations, each after those whose outputs it reads.

    Attributes
    ----------
    inputs : tuple of Input
        What the network is given; constants are none of them.
    constants : mapping of ndarray by str
        Weights and other numbers that do not depend on inputs, by the names of their tensors. They
        are asked for one by one, so that a mapping may read them when they are needed.
    nodes : tuple of Node
    outputs : tuple of str
        Names of the tensors that the network returns.
    opset : int
        The version of ONNX's operators that nodes are written in.
    outer : frozenset of str
        Of the body of a loop: tensors that it reads of the graph around it.

    Raises
    ------
    RefusedError
        If two tensors have one name, or a node reads what nothing before it gives.
    """

    inputs: tuple[Input, ...]
    constants: Mapping[str, Array]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    opset: int = NEWEST_OPSET
    outer: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for name in ("inputs", "nodes", "outputs"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        known = {*self.constants, *self.outer}
        for given in self.inputs:
            _enter(known, given.name, f"input {shown(given.name)}")
        for node in self.nodes:
            for name in node.reads:
                if name not in known:
                    raise RefusedError(
                        f"{node.place}: {shown(name)} is read, but nothing before gives it"
                    )
            for name in filter(None, node.outputs):
                _enter(known, name, node.place)
        for name in self.outputs:
            if name not in known:
                raise RefusedError(f"output {shown(name)}: nothing gives it")

    def for_output(self, output: str) -> Graph:
        """Return what one output depends on."""
        if output not in self.outputs:
            names = ", ".join(map(shown, self.outputs[:5])) or "none at all"
            raise RefusedError(f"output: expected one of {names}, got {shown(output)}")
        kept, read = list[Node](), {output}
        for node in reversed(self.nodes):
            if not read.isdisjoint(node.outputs):
                kept.append(node)
                read.update(node.reads)
        return replace(self, nodes=tuple(kept[::-1]), outputs=(output,))


def _enter(known: set[str], name: str, place: str) -> None:
    if name in known:
        raise RefusedError(f"{place}: {shown(name)} is there already")
    known.add(name)


def _check_name(what: str, name: str) -> None:
    if not isinstance(name, str) or not name:
        raise RefusedError(f"{what}: expected a name, got {shown(name)}")
