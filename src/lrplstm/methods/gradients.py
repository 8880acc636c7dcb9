"""Gradients of scores, for the methods that are made of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from lrplstm.network import Descent, ForwardPass
from lrplstm.prepared import Node, Scan
from lrplstm.scans import GradientResult
from lrplstm.weights import Array

__all__ = ["Gradients", "gradients"]


class Gradients(NamedTuple):
    """Gradients of what the network read, or of each step times itself; and of initial states.

    Attributes
    ----------
    inputs : ndarray of shape (K, steps, D), or None
    token : ndarray of shape (K, steps), or None
        Gradient times input of each step, where that was asked for and needs no `inputs`.
    states : list of (Scan, GradientResult)
        Of each recurrent layer, the top one first.
    others : tuple of ndarray of shape (K, n, D)
        Gradients of every other input.
    """

    inputs: Any
    token: Any
    states: list[tuple[Scan, GradientResult]]
    others: tuple[Array, ...]


def gradients(
    past: ForwardPass,
    weighting: Array,
    *,
    times_input: bool = False,
    times: tuple[Array, Array] | None = None,
) -> Gradients:
    """Return the gradients of ``weighting . scores``, of K targets.

    With `times_input` gradient times input of each step is enough, where one layer alone reads the
    inputs. `times` are others to multiply by, see `Scans.gradient_scan`.
    """
    prepared = past.prepared
    descent = Descent(past, prepared.scores, np.asarray(weighting, past.scores.dtype))
    states, token = [], None
    for node, trace, gradient in descent:
        if isinstance(node, Node):
            descent.hand_on(node, *node.operation.gradient(trace, gradient))
            continue
        at_entry = times_input and node is prepared.entry
        final, hidden, *others = gradient
        of_entry = times if at_entry else None
        read = node.scans.gradient_scan(trace, final, hidden, at_entry, *others, times=of_entry)
        below, given = node.split_gradient(read)
        states.append((node, below))
        if at_entry:
            token = below.token
        descent.hand_on(node, below.inputs, *given)
    inputs = descent.inputs if token is None else None
    return Gradients(inputs, token, states, descent.others)
