"""Cells as formulas: operations of one step are matched with those of LSTM, GRU and plain cells.

What lies between the states and the activations has to be affine in what is read and in the states
before; its weights are found by computing it for unit vectors.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lrplstm.activations import Said
from lrplstm.backends.reference.scan import CELLS
from lrplstm.cells import GRUWeights, RNNWeights
from lrplstm.loaders.refusals import RefusedError
from lrplstm.weights import Array, CellWeights, LSTMWeights

__all__ = [
    "Activated",
    "Cell",
    "Formulas",
    "GRUStep",
    "LSTMStep",
    "Pair",
    "computes",
    "gru_cell",
    "gru_steps",
    "lstm_cell",
    "lstm_steps",
    "match_cell",
    "rnn_cell",
]


class Activated(NamedTuple):
    """An activation: which it is, and of what."""

    function: Said
    of: str

    @property
    def is_gate(self) -> bool:
        """Whether it is one of those that gates have."""
        return self.name in ("sigmoid", "hard_sigmoid")

    @property
    def name(self) -> str:
        """Its name, without its numbers."""
        return self.function if isinstance(self.function, str) else str(self.function[0])


Pair = tuple[str, str]

_WEIGHTS: dict[str, type[CellWeights]] = {"lstm": LSTMWeights, "gru": GRUWeights, "rnn": RNNWeights}


class Formulas(ABC):
    """Operations, as far as the formulas of cells consist of them; tensors have names."""

    @abstractmethod
    def activated(self, name: str) -> Activated | None:
        """Return which activation a tensor is of what, if it is one."""

    @abstractmethod
    def factors(self, name: str) -> list[Pair]:
        """Return the two factors of a product, in both orders; none of anything else."""

    @abstractmethod
    def summands(self, name: str) -> list[Pair]:
        """Return the two summands of a sum, in both orders; none of anything else."""

    @abstractmethod
    def difference(self, name: str) -> Pair | None:
        """Return what a tensor is less what, if it is a difference of two."""

    @abstractmethod
    def complement(self, name: str) -> str | None:
        """Return of what a tensor is 1 less that, if it is."""

    @abstractmethod
    def products(self, name: str) -> Iterable[str]:
        """Return products of two tensors that a tensor may be affine in."""

    @abstractmethod
    def same(self, first: str, second: str) -> bool:
        """Whether two tensors are one, under whatever names."""

    @abstractmethod
    def evaluate(self, names: Sequence[str], given: Mapping[str, Array]) -> list[Array]:
        """Return tensors in double precision, computed from rows that some others are to have."""

    def affine(
        self, names: Sequence[str], reads: Mapping[str, int]
    ) -> tuple[list[dict[str, Array]], list[Array]]:
        """Return the matrices, by what they multiply, and the biases of affine tensors.

        `reads` are what they are affine in, and how wide these are.

        Raises
        ------
        RefusedError
            If they are not affine in these.
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


class Cell(NamedTuple):
    """A cell that was found.

    Attributes
    ----------
    kind : str
        Of its layer.
    arguments : dict
        Of its weights.
    states : tuple of str
        The states before a step, h first.
    """

    kind: str
    arguments: dict[str, Any]
    states: tuple[str, ...]


def match_cell(
    formulas: Formulas, x: str, size: int, states: Mapping[str, str], sizes: Mapping[str, int]
) -> Cell:
    """Return the cell that makes new states of old ones.

    Parameters
    ----------
    formulas : Formulas
    x : str
        What is read at a step.
    size : int
        How wide that is.
    states : mapping of str by str
        The new of each old state.
    sizes : mapping of int by str
        How wide each old state is.

    Raises
    ------
    RefusedError
        If it is none that is known.
    """
    cell = _found(formulas, x, size, states, sizes)
    if cell is None or not computes(formulas, cell, x, size, states):
        raise RefusedError("a step of the loop is no cell that is known")
    return cell


def _found(
    formulas: Formulas, x: str, size: int, states: Mapping[str, str], sizes: Mapping[str, int]
) -> Cell | None:
    for h, new in states.items():
        reads = {x: size, h: sizes[h]}
        for lstm in lstm_steps(formulas, new):
            for c in states:
                known = formulas.same(lstm.c_before, c) and formulas.same(lstm.c, states[c])
                if known and c != h:
                    return lstm_cell(formulas, lstm, reads, c)
        for gru in gru_steps(formulas, new):
            if formulas.same(gru.h_before, h):
                cell = gru_cell(formulas, gru, reads)
                if cell is not None:
                    return cell
    for h, new in states.items():
        made = formulas.activated(new)
        if made is not None:
            return rnn_cell(formulas, made, {x: size, h: sizes[h]})
    return None


def computes(formulas: Formulas, cell: Cell, x: str, size: int, states: Mapping[str, str]) -> bool:
    """Whether a step makes of random numbers what the cell makes of them."""
    weights = _WEIGHTS[cell.kind](**cell.arguments)
    rng = np.random.default_rng(0)
    row, before = rng.normal(size=size), [rng.normal(size=len(w)) for w in weights.initial_states]
    after, _ = CELLS[type(weights)].step(weights, weights.weight_ih @ row, tuple(before))
    given = {
        name: one[np.newaxis] for name, one in zip((x, *cell.states), (row, *before), strict=True)
    }
    made = formulas.evaluate([states[name] for name in cell.states], given)
    return all(np.allclose(mine, one, rtol=1e-9) for mine, one in zip(made, after, strict=True))


# LSTM -------------------------------------------------------------------------------------------


class LSTMStep(NamedTuple):
    """``c = f * c_before + i * g`` and ``h = o * out``, where `out` is an activation of c."""

    i: Activated
    f: Activated
    g: Activated
    o: Activated
    out: Activated
    c: str
    c_before: str


def lstm_steps(formulas: Formulas, h: str) -> Iterator[LSTMStep]:
    """Yield the ways in which h is the hidden state of an LSTM."""
    for gate, inner in formulas.factors(h):
        o, out = formulas.activated(gate), formulas.activated(inner)
        if o is None or out is None or not o.is_gate:
            continue
        for kept, added in formulas.summands(out.of):
            for of_c, c_before in formulas.factors(kept):
                for of_g, candidate in formulas.factors(added):
                    f, i, g = map(formulas.activated, (of_c, of_g, candidate))
                    if f and i and g and i.function == f.function == o.function:
                        yield LSTMStep(i, f, g, o, out, out.of, c_before)


def lstm_cell(formulas: Formulas, step: LSTMStep, reads: Mapping[str, int], c: str) -> Cell:
    """Return the cell; `reads` are x and h, and how wide they are."""
    x, h = reads
    matrices, biases = formulas.affine([one.of for one in step[:4]], reads)
    arguments = {
        "weight_ih": np.concatenate([one[x] for one in matrices]),
        "weight_hh": np.concatenate([one[h] for one in matrices]),
        "bias": np.concatenate(biases),
        "gate_activation": step.o.function,
        "activation": step.g.function,
        "cell_activation": step.out.function,
    }
    return Cell("lstm", arguments, (h, c))


# GRU --------------------------------------------------------------------------------------------


class GRUStep(NamedTuple):
    """``h = z * h_before + (1 - z) * n``, or the same with 1 - z for z if `turned`."""

    z: Activated
    n: Activated
    h_before: str
    turned: bool


def gru_steps(formulas: Formulas, h: str) -> Iterator[GRUStep]:
    """Yield the ways in which h is the hidden state of a GRU."""
    for first, second in formulas.summands(h):
        for gate, one in formulas.factors(first):
            z = formulas.activated(gate)
            if z is None or not z.is_gate:
                continue
            for less, other in formulas.factors(second):
                of = formulas.complement(less)
                if of is None or not formulas.same(of, gate):
                    continue
                # z * one + (1 - z) * other
                yield from _gru_steps(formulas, z, one, other)
            apart = formulas.difference(one)
            if apart is not None and formulas.same(apart[1], second):
                yield from _gru_steps(formulas, z, apart[0], second)  # z * (a - b) + b


def _gru_steps(formulas: Formulas, z: Activated, one: str, other: str) -> Iterator[GRUStep]:
    """Yield what ``z * one + (1 - z) * other`` may be."""
    for h_before, candidate, turned in ((one, other, False), (other, one, True)):
        n = formulas.activated(candidate)
        if n is not None and (not turned or z.name == "sigmoid"):
            yield GRUStep(z, n, h_before, turned)


def gru_cell(formulas: Formulas, step: GRUStep, reads: Mapping[str, int]) -> Cell | None:
    """Return the cell, or None where n is made otherwise; `reads` are as for an LSTM."""
    x, h = reads
    for product in formulas.products(step.n.of):
        for gate, inner in formulas.factors(product):
            r = formulas.activated(gate)
            if r is None or not r.is_gate or r.function != step.z.function:
                continue
            after = not formulas.same(inner, h)
            (of_n,), (bias,) = formulas.affine([step.n.of], {x: reads[x], product: reads[h]})
            parts, biases = formulas.affine([r.of, step.z.of], reads)
            of_h, bias_h = of_n[product], np.zeros(reads[h])
            if after:  # the gate multiplies what is made of h
                if (of_h != np.eye(reads[h])).any():
                    continue
                (of_inner,), (bias_h,) = formulas.affine([inner], reads)
                if of_inner[x].any():
                    continue
                of_h = of_inner[h]
            sign = -1.0 if step.turned else 1.0  # 1 - sigmoid(z) = sigmoid(-z)
            arguments = {
                "weight_ih": np.concatenate([parts[0][x], sign * parts[1][x], of_n[x]]),
                "weight_hh": np.concatenate([parts[0][h], sign * parts[1][h], of_h]),
                "bias_ih": np.concatenate([biases[0], sign * biases[1], bias]),
                "bias_hh": np.concatenate([np.zeros(2 * reads[h]), bias_h]),
                "reset_after": after,
                "gate_activation": step.z.function,
                "activation": step.n.function,
            }
            return Cell("gru", arguments, (h,))
    return None


# Plain cells ------------------------------------------------------------------------------------


def rnn_cell(formulas: Formulas, made: Activated, reads: Mapping[str, int]) -> Cell:
    """Return the cell whose hidden state is an activation; `reads` are as for an LSTM."""
    x, h = reads
    (matrix,), (bias,) = formulas.affine([made.of], reads)
    arguments = {
        "weight_ih": matrix[x],
        "weight_hh": matrix[h],
        "bias": bias,
        "activation": made.function,
    }
    return Cell("rnn", arguments, (h,))
