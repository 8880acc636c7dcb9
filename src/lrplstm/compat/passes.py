"""Weights and states of the 2017 model: those that can be set, and those of its last pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lrplstm.compat.arguments import floats
from lrplstm.scans import ForwardResult, Scans
from lrplstm.weights import Array, LSTMWeights

__all__ = [
    "PARTS",
    "SIDES",
    "STATES",
    "WEIGHTS",
    "Computed",
    "Encoder",
    "Input",
    "Prepared",
    "Weight",
]

SIDES = ("Left", "Right")
PARTS = ("Wxh", "bxh", "Whh", "bhh", "Why")
WEIGHTS = tuple(f"{part}_{side}" for side in SIDES for part in PARTS)
STATES = tuple(f"{part}_{side}" for side in SIDES for part in ("h", "c"))


class Weight:
    """One of the arrays of weights, kept read-only so that no change goes unseen."""

    def __init__(self, *shape: str) -> None:
        self.shape = shape

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, net: Any, owner: type | None = None) -> Any:
        if net is None:
            return self
        if self.name not in net.__dict__:
            raise AttributeError(f"{self.name}: expected an array of weights, none was set")
        return net.__dict__[self.name]

    def __set__(self, net: Any, value: npt.ArrayLike) -> None:
        array = np.array(floats(self.name, value, *self.shape), order="C")
        array.flags.writeable = False
        net.__dict__[self.name] = array
        net._prepared = None


class Computed:
    """An array of the last forward pass, computed when it is first read."""

    def __init__(self, since: str) -> None:
        self.since = since

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, net: Any, owner: type | None = None) -> Any:
        if net is None:
            return self
        run = net._input
        if run is not None and self.name not in run.computed:
            run.compute()
        if run is None or self.name not in run.computed:
            raise AttributeError(f"{self.name}: expected {self.since} before it is read")
        return run.computed[self.name]

    def __set__(self, net: Any, value: npt.ArrayLike) -> None:
        if net._input is None:
            raise AttributeError(f"{self.name}: expected set_input before it is set")
        net._input.computed[self.name] = value


@dataclass(frozen=True, eq=False)
class Encoder:
    """One direction, as a backend has it; it reads from the first row of its input to the last."""

    arrays: dict[str, Array]  # Wxh, bxh, Whh, bhh and Why as they are in the file
    weights: LSTMWeights
    layer: Any

    def start_from(self, scans: Scans, h: Array, c: Array) -> Encoder:
        """Return the same with other initial states."""
        if not h.any() and not c.any():
            return self
        old = self.weights
        weights = LSTMWeights(
            old.weight_ih, old.weight_hh, old.bias, initial_hidden=h, initial_cell=c
        )
        return Encoder(self.arrays, weights, scans.prepare_layer([weights]))

    def forward(self, scans: Scans, x: Array, keep: str) -> ForwardResult:
        """Run over x of shape (T, e); see `lrplstm.scans`."""
        rows, offsets = np.arange(len(x)), np.array([0, len(x)])
        projection = scans.project(self.layer, x)
        return scans.forward_scan(self.layer, projection, rows, offsets, keep, True)

    def states(self, x: Array, hidden: Array) -> dict[str, Array]:
        """Return all that was computed on the way from x to h, by the names of the 2017 code."""
        T, d = hidden.shape
        h, c = np.empty((2, T + 1, d))
        h[:T], h[T] = hidden, self.weights.initial_hidden
        gates_xh = x @ self.arrays["Wxh"].T
        gates_hh = h[np.arange(T) - 1] @ self.arrays["Whh"].T
        gates_pre = gates_xh + gates_hh + self.arrays["bxh"] + self.arrays["bhh"]
        with np.errstate(over="ignore"):  # exp of a large number: the gate is 0
            gates = 1 / (1 + np.exp(-gates_pre))
        gates[:, d : 2 * d] = np.tanh(gates_pre[:, d : 2 * d])
        i, g, f, _ = np.split(gates, 4, axis=1)
        c[:T], c[T] = i * g, self.weights.initial_cell
        for t in range(T):
            c[t] += f[t] * c[t - 1]
        return {
            "gates_xh": gates_xh,
            "gates_hh": gates_hh,
            "gates_pre": gates_pre,
            "gates": gates,
            "h": h,
            "c": c,
        }


@dataclass(frozen=True, eq=False)
class Prepared:
    """The network as a backend has it."""

    scans: Scans
    encoders: tuple[Encoder, ...]
    head: Any  # of both final states beside each other
    e: int
    d: int
    C: int


class Input:
    """An input of T words, and what the last forward pass made of it."""

    def __init__(self, T: int, d: int) -> None:
        self.T, self.d = T, d
        self.passes: list[tuple[Encoder, Array, Array]] = []  # with x and h of each
        self.computed: dict[str, Any] = {}

    def forward(
        self, scans: Scans, encoders: Sequence[Encoder], inputs: Sequence[Array], keep: str
    ) -> list[ForwardResult]:
        """Run each encoder over its input, an array that nobody else has."""
        both = list(zip(encoders, inputs, strict=True))
        found = [encoder.forward(scans, x, keep) for encoder, x in both]
        self.passes = [(*pair, result.hidden) for pair, result in zip(both, found, strict=True)]
        self.computed = {}
        return found

    def compute(self) -> None:
        """Compute what is not there yet: before a forward pass, states of zeros."""
        found = {}
        for side, (encoder, x, hidden) in zip(SIDES, self.passes, strict=False):
            for part, array in encoder.states(x, hidden).items():
                found[f"{part}_{side}"] = array
        if not self.passes:
            found = {name: np.zeros((self.T + 1, self.d)) for name in STATES}
        self.computed = found | self.computed
