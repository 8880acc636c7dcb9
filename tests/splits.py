"""Contextual decomposition a second time: every number is split in three parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class Split:
    """A number in three parts: relevant, irrelevant, and of biases."""

    relevant: np.ndarray
    irrelevant: np.ndarray
    bias: np.ndarray

    @property
    def whole(self):
        return self.relevant + self.irrelevant + self.bias

    def __add__(self, other):
        return Split(
            self.relevant + other.relevant,
            self.irrelevant + other.irrelevant,
            self.bias + other.bias,
        )

    def __mul__(self, other):
        """Relevant is what has a relevant factor, and none that is irrelevant."""
        relevant = (
            self.relevant * other.relevant + self.relevant * other.bias + self.bias * other.relevant
        )
        bias = self.bias * other.bias
        return Split(relevant, self.whole * other.whole - relevant - bias, bias)

    def through(self, W):
        return Split(W @ self.relevant, W @ self.irrelevant, W @ self.bias)

    def activated(self, f):
        others = self.irrelevant + self.bias
        relevant = (f(self.bias + self.relevant) - f(self.bias) + f(self.whole) - f(others)) / 2
        return Split(relevant, f(self.whole) - f(self.bias) - relevant, f(self.bias))


def affine(W, value, bias):
    """W value + bias of a split value."""
    of_value = value.through(W)
    return Split(of_value.relevant, of_value.irrelevant, of_value.bias + bias)
