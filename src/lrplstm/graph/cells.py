"""Cells as formulas: one step of a loop is matched with those of LSTM, GRU and plain cells.

What lies between the states and the activations has to be affine in what is read and in the states
before; its weights are found by computing it for unit vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lrplstm.graph.operations import Node
from lrplstm.loaders.refusals import RefusedError
from lrplstm.weights import Array

__all__ = ["Step", "match_cell"]

_ACTIVATIONS = {
    "Elu": "elu",
    "HardSigmoid": "hard_sigmoid",
    "Relu": "relu",
    "Sigmoid": "sigmoid",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Tanh": "tanh",
}

Evaluate = Callable[[Sequence[str], Mapping[str, Array]], list[Array]]


@dataclass(frozen=True)
class Step:
    """One step: its operations, what it reads and the states before it.

    Attributes
    ----------
    givers : mapping of Node by str
        Which operation gives a tensor.
    own : mapping of str by str
        The own name of those that have another.
    x : str
        What is read at this step.
    size : int
        How wide that is.
    evaluate : callable
        From names of tensors, and arrays that some are to have, to the arrays of the first.
    """

    givers: Mapping[str, Node]
    own: Mapping[str, str]
    x: str
    size: int
    evaluate: Evaluate

    def node(self, name: str, *operators: str) -> Node | None:
        """Return the operation that gives a tensor, if it is one of these."""
        node = self.givers.get(name)
        while node is not None and node.operator in ("Identity", "Cast"):
            node = self.givers.get(node.inputs[0])
        return node if node is not None and node.operator in operators else None

    def activated(self, name: str) -> tuple[Any, str] | None:
        """Return which activation a tensor is of what."""
        node = self.node(name, *_ACTIVATIONS)
        if node is None:
            return None
        said: Any = _ACTIVATIONS[node.operator]
        if node.operator == "HardSigmoid":
            numbers = {"alpha": 0.2, "beta": 0.5} | dict(node.attributes)
            said = (said, numbers)
        return said, node.inputs[0]

    def factors(self, name: str) -> list[tuple[str, str]]:
        """Return the two factors of a product, in both orders; none of anything else."""
        node = self.node(name, "Mul")
        return [] if node is None else [node.inputs, node.inputs[::-1]]  # type: ignore[list-item]

    def summands(self, name: str) -> list[tuple[str, str]]:
        """Return the two summands of a sum, in both orders; none of anything else."""
        node = self.node(name, "Add")
        return [] if node is None else [node.inputs, node.inputs[::-1]]  # type: ignore[list-item]

    def same(self, first: str, second: str) -> bool:
        """Whether two tensors are one, under whatever names."""
        return self.own.get(first, first) == self.own.get(second, second)

    def affine(
        self, names: Sequence[str], reads: Mapping[str, int]
    ) -> tuple[list[dict[str, Array]], list[Array]]:
        """Return the matrices, by what they multiply, and the biases of affine tensors.

        `reads` are what they are affine in, and how wide these are.
        """
        width = sum(reads.values())
        rng = np.random.default_rng(0)
        points = np.concatenate([np.zeros((1, width)), np.eye(width), rng.normal(size=(2, width))])
        ends = np.cumsum([*reads.values()])[:-1]
        given = dict(zip(reads, np.split(points, ends, axis=1), strict=True))
        matrices, biases = [], []
        for values in self.evaluate(names, given):
            values = np.broadcast_to(values, (len(points), values.shape[-1]))
            bias, matrix = values[0], values[1 : width + 1] - values[0]
            if not np.allclose(points[-2:] @ matrix + bias, values[-2:], rtol=1e-9, atol=1e-12):
                raise RefusedError("a step of the loop is no cell that is known")
            biases.append(bias)
            matrices.append(dict(zip(reads, np.split(matrix.T, ends, axis=1), strict=True)))
        return matrices, biases


Cell = tuple[str, dict[str, Any], tuple[str, ...]]
"""The kind of a layer, the arguments of its weights, and the states before, h first."""


def match_cell(step: Step, states: Mapping[str, str], sizes: Mapping[str, int]) -> Cell:
    """Return the cell that makes new states of old ones.

    Parameters
    ----------
    step : Step
    states : mapping of str by str
        The new of each old state.
    sizes : mapping of int by str
        How wide each old state is.

    Raises
    ------
    RefusedError
        If it is none that is known.
    """
    for match in (_lstm, _gru, _rnn):
        for h in states:
            found = match(step, h, states, sizes)
            if found is not None:
                return found
    raise RefusedError("a step of the loop is no cell that is known")


def _lstm(step: Step, h: str, states: Mapping[str, str], sizes: Mapping[str, int]) -> Cell | None:
    for c in states:
        if c == h:
            continue
        for out, inner in step.factors(states[h]):
            o, of_cell = step.activated(out), step.activated(inner)
            if o is None or of_cell is None or not step.same(of_cell[1], states[c]):
                continue
            for first, second in step.summands(states[c]):
                forget = next(
                    (gate for gate, old in step.factors(first) if step.same(old, c)), None
                )
                if forget is None:
                    continue
                f = step.activated(forget)
                for gate, candidate in step.factors(second):
                    i, g = step.activated(gate), step.activated(candidate)
                    if f and i and g and i[0] == f[0] == o[0] and "sigmoid" in str(i[0]):
                        return _lstm_weights(step, h, c, sizes, (i, f, g, o, of_cell))
    return None


def _lstm_weights(
    step: Step, h: str, c: str, sizes: Mapping[str, int], said: Sequence[tuple[Any, str]]
) -> Cell:
    reads = {step.x: step.size, h: sizes[h]}
    matrices, biases = step.affine([name for _, name in said[:4]], reads)
    arguments = {
        "weight_ih": np.concatenate([one[step.x] for one in matrices]),
        "weight_hh": np.concatenate([one[h] for one in matrices]),
        "bias": np.concatenate(biases),
        "gate_activation": said[0][0],
        "activation": said[2][0],
        "cell_activation": said[4][0],
    }
    return "lstm", arguments, (h, c)


def _gru(step: Step, h: str, states: Mapping[str, str], sizes: Mapping[str, int]) -> Cell | None:
    for kept, new in step.summands(states[h]):
        gate = next((gate for gate, old in step.factors(kept) if step.same(old, h)), None)
        z = None if gate is None else step.activated(gate)
        if z is None:
            continue
        for other, candidate in step.factors(new):
            less, n = step.node(other, "Sub"), step.activated(candidate)
            if less is None or n is None or not step.same(less.inputs[1], str(gate)):
                continue
            found = _gru_weights(step, h, sizes, z, n)
            if found is not None:
                return found
    return None


def _gru_weights(
    step: Step, h: str, sizes: Mapping[str, int], z: tuple[Any, str], n: tuple[Any, str]
) -> Cell | None:
    x, H = step.x, sizes[h]
    reads = {x: step.size, h: H}
    for of_x, product in step.summands(n[1]):
        for gate, inner in step.factors(product):  # the gate multiplies what is made of h
            r = step.activated(gate)
            if r is None:
                continue
            parts, biases = step.affine([r[1], z[1], of_x, inner], reads)
            if parts[2][h].any() or parts[3][x].any():
                continue
            zeros = np.zeros(2 * H)
            return (
                "gru",
                {
                    "weight_ih": np.concatenate([parts[0][x], parts[1][x], parts[2][x]]),
                    "weight_hh": np.concatenate([parts[0][h], parts[1][h], parts[3][h]]),
                    "bias_ih": np.concatenate([biases[0], biases[1], biases[2]]),
                    "bias_hh": np.concatenate([zeros, biases[3]]),
                    "reset_after": True,
                    "gate_activation": z[0],
                    "activation": n[0],
                },
                (h,),
            )
    for name, node in step.givers.items():  # the gate multiplies h
        of_h = next((gate for gate, old in step.factors(name) if step.same(old, h)), "")
        r = step.activated(of_h) if of_h and node.operator == "Mul" else None
        if r is None or step.same(r[1], z[1]):
            continue
        gates, gate_biases = step.affine([r[1], z[1]], reads)
        (matrix,), (bias,) = step.affine([n[1]], {x: step.size, name: H})
        return (
            "gru",
            {
                "weight_ih": np.concatenate([gates[0][x], gates[1][x], matrix[x]]),
                "weight_hh": np.concatenate([gates[0][h], gates[1][h], matrix[name]]),
                "bias_ih": np.concatenate([*gate_biases, bias]),
                "bias_hh": np.zeros(3 * H),
                "reset_after": False,
                "gate_activation": z[0],
                "activation": n[0],
            },
            (h,),
        )
    return None


def _rnn(step: Step, h: str, states: Mapping[str, str], sizes: Mapping[str, int]) -> Cell | None:
    made = step.activated(states[h])
    if made is None:
        return None
    (matrix,), (bias,) = step.affine([made[1]], {step.x: step.size, h: sizes[h]})
    arguments = {
        "weight_ih": matrix[step.x],
        "weight_hh": matrix[h],
        "bias": bias,
        "activation": made[0],
    }
    return "rnn", arguments, (h,)
