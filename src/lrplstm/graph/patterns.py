"""Groups of operations that are one layer: found in a graph, and written as one operation.

Exporters take activations and normalizations apart, each in its own way. What is written here is
the formula as a tree of operators; a node whose inputs match it is replaced, and the nodes between
stay for whatever else reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lrplstm.graph.operations import Graph, Node
from lrplstm.weights import Array

__all__ = ["with_patterns"]

X = "x"
"""What a formula reads; everywhere in it the same tensor."""


@dataclass(frozen=True)
class Constant:
    """A number that a formula has, or any if it is None; `name` says which it is."""

    value: float | None = None
    name: str = ""


@dataclass(frozen=True)
class Tree:
    """An operator and what it reads: trees, numbers, or `X`."""

    operator: str
    reads: tuple[Any, ...]
    axis: bool = False  # whether it goes over the last axis, and keeps it

    @property
    def commutes(self) -> bool:
        """Whether the order of what it reads does not matter."""
        return self.operator in ("Add", "Mul")


def tree(operator: str, *reads: Any) -> Tree:
    """Return a tree."""
    return Tree(operator, reads)


def _mean(what: Any) -> Tree:
    return Tree("ReduceMean", (what,), axis=True)


_ONE, _HALF, _TWO = Constant(1.0), Constant(0.5), Constant(2.0)
_EPSILON = Constant(None, "epsilon")
_ERF = tree("Add", tree("Erf", tree("Div", X, Constant(2**0.5))), _ONE)
_ERF_2 = tree("Add", tree("Erf", tree("Mul", X, Constant(0.5**0.5))), _ONE)
_CENTRED = tree("Sub", X, _mean(X))
_SQUARES = [tree("Pow", _CENTRED, _TWO), tree("Mul", _CENTRED, _CENTRED)]
_OWN_SQUARES = [tree("Pow", X, _TWO), tree("Mul", X, X)]


def _normalized(values: Any, squares: Any) -> list[Tree]:
    """Return the ways to divide by the root of the mean of squares."""
    variance = tree("Add", _mean(squares), _EPSILON)
    root = tree("Sqrt", variance)
    return [
        tree("Div", values, root),
        tree("Mul", values, tree("Reciprocal", root)),
        tree("Mul", values, tree("Div", _ONE, root)),
        tree("Mul", values, tree("Pow", variance, Constant(-0.5))),
    ]


_PATTERNS: list[tuple[str, dict[str, Any], Tree]] = [
    ("Swish", {}, tree("Mul", X, tree("Sigmoid", X))),
    ("HardSwish", {}, tree("Mul", X, tree("HardSigmoid", X))),
    ("Mish", {}, tree("Mul", X, tree("Tanh", tree("Softplus", X)))),
    ("Softsign", {}, tree("Div", X, tree("Add", tree("Abs", X), _ONE))),
    *(
        ("Gelu", {}, formula)
        for erf in (_ERF, _ERF_2)
        for formula in (
            tree("Mul", tree("Mul", X, erf), _HALF),
            tree("Mul", X, tree("Mul", erf, _HALF)),
            tree("Mul", tree("Mul", X, _HALF), erf),
        )
    ),
    *(
        ("LayerNormalization", {}, formula)
        for squares in _SQUARES
        for formula in _normalized(_CENTRED, squares)
    ),
    *(
        ("RMSNormalization", {}, formula)
        for squares in _OWN_SQUARES
        for formula in _normalized(X, squares)
    ),
]

_BY_ROOT: dict[str, list[tuple[str, dict[str, Any], Tree]]] = {}
for _pattern in _PATTERNS:
    _BY_ROOT.setdefault(_pattern[2].operator, []).append(_pattern)


def with_patterns(graph: Graph) -> Graph:
    """Return a graph with one operation for each formula that is found in it."""
    givers = {name: node for node in graph.nodes for name in node.outputs if name}
    search = _Search(graph.constants, givers)
    nodes = tuple(search.replaced(node) for node in graph.nodes)
    changed = replace(graph, nodes=nodes)
    return changed.for_output(graph.outputs[0]) if len(graph.outputs) == 1 else changed


class _Search:
    def __init__(self, constants: Mapping[str, Array], givers: Mapping[str, Node]) -> None:
        self.constants, self.givers = constants, givers

    def replaced(self, node: Node) -> Node:
        """Return the operation that a node is the root of, or the node."""
        for operator, attributes, formula in _BY_ROOT.get(node.operator, ()):
            found: dict[str, Any] = {}
            if not self._matches(formula, node.outputs[0], found):
                continue
            name = found.pop(X)
            if operator == "HardSwish" and not self._is_hard_swish(node, name):
                continue
            return Node(
                operator, (name,), node.outputs[:1], attributes | found, node.place, node.title
            )
        return node

    def _is_hard_swish(self, node: Node, name: str) -> bool:
        (other,) = [read for read in node.inputs if read != name] or [name]
        alpha = self.givers[other].attributes.get("alpha", 0.2) if other in self.givers else 0.2
        return abs(alpha - 1 / 6) < 1e-6

    def _matches(self, part: Any, name: str, found: dict[str, Any]) -> bool:
        """Whether a tensor is what a formula says; notes what it finds on the way."""
        if part == X:
            return found.setdefault(X, name) == name
        if isinstance(part, Constant):
            return self._is_number(part, name, found)
        node = self.givers.get(name)
        if node is None or node.operator != part.operator or node.outputs[0] != name:
            return False
        reads = [read for read in node.inputs if read]
        if part.axis:
            if not self._over_last_axis(node):
                return False
            reads = reads[:1]
        if len(reads) != len(part.reads):
            return False
        orders = [reads, reads[::-1]] if part.commutes else [reads]
        for order in orders:
            attempt = dict(found)
            if all(self._matches(p, n, attempt) for p, n in zip(part.reads, order, strict=True)):
                found.update(attempt)
                return True
        return False

    def _is_number(self, part: Constant, name: str, found: dict[str, Any]) -> bool:
        value = self._number(name)
        if value is None:
            return False
        if part.value is None:
            return found.setdefault(part.name, value) == value
        return abs(value - part.value) <= 1e-4 * abs(part.value)

    def _number(self, name: str) -> float | None:
        array: Any = None
        if name in self.constants:
            array = self.constants[name]
        elif name in self.givers and self.givers[name].operator == "Constant":
            attributes = self.givers[name].attributes
            array = attributes.get("value", attributes.get("value_float"))
        if array is None or np.size(array) != 1 or np.asarray(array).dtype.kind not in "fi":
            return None
        return float(np.asarray(array).reshape(-1)[0])

    def _over_last_axis(self, node: Node) -> bool:
        axes = node.attributes.get("axes")
        if axes is None and len(node.inputs) > 1:
            name = node.inputs[1]
            axes = self.constants.get(name)
            giver = self.givers.get(name)
            if axes is None and giver is not None and giver.operator == "Constant":
                axes = giver.attributes.get("value", giver.attributes.get("value_ints"))
        last = axes is not None and np.reshape(axes, -1).tolist() == [-1]
        return last and bool(node.attributes.get("keepdims", 1))
