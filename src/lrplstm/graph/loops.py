"""Loops over steps whose body is a cell, with the masks that they pass steps over by: tf2onnx.

TensorFlow writes a recurrent layer that is given a mask as a loop. Its body reads one step and the
states, makes new states by the formula of a cell, and keeps the old ones where the mask says that
the step is padding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lrplstm.graph.cells import Activated, Formulas, Pair, match_cell
from lrplstm.graph.masks import Mask
from lrplstm.graph.operations import Graph, Node
from lrplstm.graph.operators import OPERATORS, Call, Unreadable, Value, operator
from lrplstm.graph.recurrent import outputs_of_cell
from lrplstm.graph.tracing import SIGNAL, Traced
from lrplstm.loaders.refusals import RefusedError
from lrplstm.weights import Array

# Cells ------------------------------------------------------------------------------------------

_ACTIVATIONS: dict[str, tuple[str, dict[str, float]]] = {
    "Elu": ("elu", {"alpha": 1.0}),
    "HardSigmoid": ("hard_sigmoid", {"alpha": 0.2, "beta": 0.5}),
    "LeakyRelu": ("leaky_relu", {"alpha": 0.01}),
    "Relu": ("relu", {}),
    "Sigmoid": ("sigmoid", {}),
    "Softplus": ("softplus", {}),
    "Softsign": ("softsign", {}),
    "Tanh": ("tanh", {}),
}


@dataclass(frozen=True)
class _BodyFormulas(Formulas):
    """The operations in the body of a loop.

    Attributes
    ----------
    givers : mapping of Node by str
        Which operation gives a tensor.
    own : mapping of str by str
        The own name of those that have another.
    compute, constant : callable
        As `_Loop` has them.
    """

    givers: Mapping[str, Node]
    own: Mapping[str, str]
    compute: Callable[[Sequence[str], Mapping[str, Array]], list[Array]]
    constant: Callable[[str], Array | None]

    def _node(self, name: str, operator: str | None = None) -> Node | None:
        """Return the operation that gives a tensor, if it is this one."""
        node = self.givers.get(name)
        while node is not None and node.operator in ("Identity", "Cast"):
            node = self.givers.get(node.inputs[0])
        return node if node is not None and operator in (None, node.operator) else None

    def activated(self, name: str) -> Activated | None:
        node = self._node(name)
        if node is None or node.operator not in _ACTIVATIONS:
            return None
        known, numbers = _ACTIVATIONS[node.operator]
        numbers = {key: node.attributes.get(key, value) for key, value in numbers.items()}
        return Activated((known, numbers) if numbers else known, node.inputs[0])

    def factors(self, name: str) -> list[Pair]:
        return _both_orders(self._node(name, "Mul"))

    def summands(self, name: str) -> list[Pair]:
        return _both_orders(self._node(name, "Add"))

    def difference(self, name: str) -> Pair | None:
        node = self._node(name, "Sub")
        return None if node is None else (node.inputs[0], node.inputs[1])

    def complement(self, name: str) -> str | None:
        apart = self.difference(name)
        one = None if apart is None else self.constant(apart[0])
        return apart[1] if apart is not None and one is not None and (one == 1).all() else None

    def products(self, name: str) -> Iterator[str]:
        waiting, seen = [name], set[str]()
        while waiting:
            node = self._node(waiting.pop())
            if node is None or node.outputs[0] in seen or node.operator in _ACTIVATIONS:
                continue
            seen.add(node.outputs[0])
            if node.operator == "Mul":
                yield node.outputs[0]
            else:
                waiting.extend(read for read in node.inputs if read)

    def same(self, first: str, second: str) -> bool:
        return self.own.get(first, first) == self.own.get(second, second)

    def evaluate(self, names: Sequence[str], given: Mapping[str, Array]) -> list[Array]:
        return self.compute(names, given)


def _both_orders(node: Node | None) -> list[Pair]:
    if node is None or len(node.inputs) != 2:
        return []
    first, second = node.inputs
    return [(first, second), (second, first)]


# Branches ---------------------------------------------------------------------------------------


@operator("If", attributes=("then_branch", "else_branch"))
def _if(call: Call) -> tuple[Value, ...]:
    """Return what the branch gives that always runs: the condition has to be known."""
    if not isinstance(call.value(0), np.ndarray):
        raise RefusedError(
            "its condition depends on the input; expected a network that does the same for all of "
            "them: export it with a fixed number of steps, or without what the condition asks for"
        )
    name = "then_branch" if bool(call.constant(0).reshape(())) else "else_branch"
    branch = call.node.attributes.get(name)
    if not isinstance(branch, Graph):
        raise RefusedError(f"{name}: expected a graph")
    values: dict[str, Value] = {}

    def look_up(name: str) -> Value:
        if name not in values:
            inner = name in branch.constants
            values[name] = branch.constants[name] if inner else call.outer(name)
        return values[name]

    for node in branch.nodes:
        values.update(zip(node.outputs, call.apply(node, look_up), strict=False))
    return tuple(look_up(name) for name in branch.outputs)


# Loops ------------------------------------------------------------------------------------------


@operator("Loop", attributes=("body",))
def _loop(call: Call) -> tuple[Value, ...]:
    body = call.node.attributes.get("body")
    if not isinstance(body, Graph):
        raise RefusedError("body: expected a graph")
    return _Loop(call, body).read()


class _Loop:
    def __init__(self, call: Call, body: Graph) -> None:
        self.call, self.body = call, body
        self.givers = {name: node for node in body.nodes for name in node.outputs if name}
        self.own: dict[str, str] = {}  # what gets another name, by that
        for node in body.nodes:
            if node.operator == "Identity":
                self.own[node.outputs[0]] = self._own(node.inputs[0])
        names = [one.name for one in body.inputs]
        self.number, self.old = names[0], names[2:]
        self.initial = dict(zip(self.old, call.values[2:], strict=True))
        self.new = dict(zip(self.old, body.outputs[1:], strict=False))
        self.scanned = body.outputs[1 + len(self.old) :]
        self.masks: list[Mask] = []
        # What stays as it is, such as weights.
        self.known: dict[str, Value] = {
            name: value
            for name, value in self.initial.items()
            if value is not None and self._own(self.new[name]) == name
        }

    def read(self) -> tuple[Value, ...]:
        counters = {name for name in self.old if self._counts(name)} | {self.number}
        moving = [n for n in self.old if n not in self.known and n not in counters]
        self._check_end(counters)
        new = {name: self._unmasked(self.new[name]) for name in moving}
        x, data = self._step(counters)
        # TensorFlow also keeps what it returned last, which is h again, and which nothing reads.
        operations = list(self._beyond_masks(new))
        states = {
            name: new[name]
            for name in moving
            if any(self._reads(node, name) for node in operations)
        }
        sizes = {name: self._initial(name).shape[-1] for name in states}
        network = self.call.network
        rows = network.rows(data, [data.ndim - 1], steps=True, masked=bool(self.masks))
        formulas = _BodyFormulas(self.givers, self.own, self._evaluate, self._constant)
        kind, arguments, order = match_cell(formulas, x, len(rows.order), states, sizes)
        columns = np.argsort(rows.order)
        arguments["weight_ih"] = arguments["weight_ih"][:, columns]
        dtype = self._initial(order[0]).dtype
        arguments = {
            key: value.astype(dtype) if isinstance(value, np.ndarray) else value
            for key, value in arguments.items()
        }
        for name, argument in zip(order, ("initial_hidden", "initial_cell"), strict=False):
            arguments[argument] = self._same_row(name).astype(dtype)
        hidden, final, cells = outputs_of_cell(self.call, kind, rows, arguments)
        self._note_masks()
        network.signals[int(hidden.first[SIGNAL])].masked = bool(self.masks)
        h = self._own(new[order[0]])
        results: list[Value] = []
        for name in self.old:
            if name in new and self._own(new[name]) == h:
                results.append(final)
            elif cells is not None and name == order[1]:
                results.append(cells)
            else:
                results.append(self.known.get(name, Unreadable("what the loop counts")))
        for name in self.scanned:
            if self._own(self._unmasked(name)) != h:
                raise RefusedError("it returns of each step what is no hidden state")
            results.append(hidden)
        return tuple(results)

    # What is in the body ------------------------------------------------------------------------

    def _own(self, name: str) -> str:
        return self.own.get(name, name)

    def _counts(self, name: str) -> bool:
        """Whether a state begins at 0 and is one more after each step."""
        node, first = self.givers.get(self._own(self.new[name])), self.initial[name]
        if node is None or node.operator != "Add" or not isinstance(first, np.ndarray):
            return False
        others = [read for read in node.inputs if self._own(read) != name]
        if len(others) != 1 or first.size != 1 or first.any():
            return False
        one = self._constant(others[0])
        return one is not None and one.size == 1 and float(one.reshape(())) == 1

    def _check_end(self, counters: set[str]) -> None:
        """Refuse loops that end otherwise than behind the last step."""
        steps = self._length(counters)
        most = self.call.values[0]
        if most is None:
            for count, goes_on in ((steps - 2, True), (steps - 1, False)):
                given = {name: np.array(count) for name in counters}
                (found,) = self._evaluate([self.body.outputs[0]], given)
                if steps > 1 and bool(found.reshape(())) != goes_on:
                    raise RefusedError("it does not run over all steps")
        elif not isinstance(most, np.ndarray) or int(most.reshape(())) != steps:
            raise RefusedError("it does not run over all steps")

    def _length(self, counters: set[str]) -> int:
        _, data = self._step(counters)
        return data.shape[0]

    def _step(self, counters: set[str]) -> tuple[str, Traced]:
        """Return what is read of one tensor at each step, and that tensor."""
        found = [
            (name, data)
            for name, data in self._gathered(counters)
            if isinstance(data, Traced) and not isinstance(data, Mask)
        ]
        if not found:
            raise RefusedError(
                "no step of a tensor is read in its steps: a decoder that reads its own output "
                "is not explained; choose an output before it, or export it with what it is "
                "given at each step as an input"
            )
        if len({id(data) for _, data in found}) != 1:
            raise RefusedError("expected a loop that reads a step of one tensor")
        return found[0]

    def _gathered(self, counters: set[str]) -> Iterator[tuple[str, Value]]:
        for name, node in self.givers.items():
            if node.operator == "Gather" and self._own(node.inputs[1]) in counters:
                if node.attributes.get("axis", 0) != 0:
                    raise RefusedError("expected steps along the first axis")
                yield name, self._outer(node.inputs[0])

    def _outer(self, name: str) -> Value:
        name = self._own(name)
        return self.known[name] if name in self.known else self.call.outer(name)

    def _mask(self, name: str) -> Mask | None:
        """Return the mask that a tensor of the body is of one step, or its opposite."""
        turned = False
        while (node := self.givers.get(name)) is not None:
            if node.operator == "Gather":
                data = self._outer(node.inputs[0])
                if not isinstance(data, Mask):
                    return None
                return replace(data, padding=data.padding != turned)
            if node.operator not in ("Not", "Cast", "Identity", "Tile", "Expand"):
                return None
            turned ^= node.operator == "Not"
            name = node.inputs[0]
        return None

    def _unmasked(self, name: str) -> str:
        """Return what a new state is where a step is no padding."""
        node = self.givers.get(self._own(name))
        if node is None:
            return name
        if node.operator == "Where":
            mask = self._mask(node.inputs[0])
            if mask is not None:
                self.masks.append(mask)
                return node.inputs[2 if mask.padding else 1]
        if node.operator == "Add":
            parts = [self._masked(read) for read in node.inputs]
            if all(part is not None for part in parts):
                for mask, product in filter(None, parts):
                    if not mask.padding:
                        self.masks.append(mask)
                        return product
        return name

    def _masked(self, name: str) -> tuple[Mask, str] | None:
        """Return the mask and the other factor of a product with a mask."""
        node = self.givers.get(self._own(name))
        if node is None or node.operator != "Mul":
            return None
        for one, other in (node.inputs, node.inputs[::-1]):
            mask = self._mask(one)
            if mask is not None:
                return mask, other
        return None

    def _beyond_masks(self, new: Mapping[str, str]) -> Iterator[Node]:
        """Yield the operations that new states are made by, masks left out."""
        waiting, seen = list(new.values()), set[str]()
        while waiting:
            name = waiting.pop()
            if name in seen or name not in self.givers:
                continue
            seen.add(name)
            yield self.givers[name]
            waiting.extend(self.givers[name].inputs)

    def _reads(self, node: Node, name: str) -> bool:
        return any(self._own(read) == name for read in node.inputs)

    def _note_masks(self) -> None:
        network = self.call.network
        for mask in self.masks:
            if not mask.whole:
                raise RefusedError("its mask is not one of whole steps")
            name = network.signals[mask.signal].name
            if network.masks.setdefault(name, mask.value) != mask.value:
                raise RefusedError("two masks of one input differ")

    # Numbers ------------------------------------------------------------------------------------

    def _initial(self, name: str) -> Array:
        value = self.initial[name]
        if not isinstance(value, np.ndarray) or value.ndim != 2:
            raise RefusedError("expected initial states that are constants")
        return value

    def _same_row(self, name: str) -> Array:
        state = self._initial(name)
        if (state != state[:1]).any():
            raise RefusedError("expected the same initial state for all sequences")
        return state[0]

    def _constant(self, name: str) -> Array | None:
        name = self._own(name)
        if name in self.givers and name not in self.known:
            return None
        value: Value | None = self.body.constants.get(name)
        if value is None and name not in self.old and name != self.number:
            value = self._outer(name)
        elif value is None:
            value = self.known.get(name)
        return value if isinstance(value, np.ndarray) else None

    def _evaluate(self, names: Sequence[str], given: Mapping[str, Array]) -> list[Array]:
        """Return tensors of the body, computed in double precision from some that are given."""
        values: dict[str, Value] = dict(given)
        waiting = [self._own(name) for name in names]
        while waiting:
            name = waiting[-1]
            if name in values:
                waiting.pop()
                continue
            node = self.givers.get(name)
            if node is None:
                constant = self._constant(name)
                if constant is None:
                    raise RefusedError("a step of the loop is no cell that is known")
                wide = constant.dtype.kind == "f"
                values[name] = constant.astype(np.float64) if wide else constant
                continue
            missing = [read for read in node.inputs if read and read not in values]
            if missing:
                if len(waiting) > len(self.givers) + 1:
                    raise RefusedError("a step of the loop reads itself")
                waiting.extend(missing)
                continue
            reads = tuple(values[read] if read else None for read in node.inputs)
            function, _ = OPERATORS.get(node.operator, (None, None))
            if function is None:
                raise RefusedError(f"{node.operator} is not read in a loop")
            made = function(replace(self.call, node=node, values=reads))
            for output, value in zip(
                node.outputs, made if isinstance(made, tuple) else (made,), strict=False
            ):
                values[output] = _widened(value)
        arrays: list[Any] = [values[self._own(name)] for name in names]
        return arrays


def _widened(value: Value) -> Value:
    if isinstance(value, np.ndarray) and value.dtype == np.float32:
        return value.astype(np.float64)
    return value
