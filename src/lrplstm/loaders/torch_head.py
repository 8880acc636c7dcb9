"""The head of a PyTorch network: the linear layers and activations that names stand for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lrplstm.activations import ACTIVATIONS
from lrplstm.errors import MissingArgumentError
from lrplstm.loaders.torch_parts import Part, below, list_parts
from lrplstm.texts import shown

__all__ = ["linear_layers"]

_FUNCTIONS = frozenset(
    name
    for name, formula in ACTIVATIONS.items()
    if not any(isinstance(default, str) for default in formula.parameters.values())
)


@dataclass
class _Linear:
    """A linear layer, or None for the states that the head reads, and what was seen to follow."""

    part: Part | None
    activation: str | None = None


def linear_layers(
    parts: Mapping[str, Part], names: Sequence[str], activations: Sequence[str] | None
) -> list[tuple[Part | None, str]]:
    """Return the linear layers of a head, each with its activation.

    An activation of the states themselves comes first, with None for a layer.

    Parameters
    ----------
    parts : mapping of str to Part
        All of the network, by their names.
    names : sequence of str
        Of the head's parts, in their order: linear layers, activations, sequences of both. What
        is no part's name may be that of an activation: "relu" or "tanh".
    activations : sequence of str, optional
        What follows each linear layer; that of the last may be left out.

    Raises
    ------
    ValueError
        If there are no such parts, or they cannot be explained, or it is neither seen nor said
        what follows a linear layer that is not the last.
    """
    linears: list[_Linear] = []
    closing: Part | None = None
    for name in names:
        if name in _FUNCTIONS and not below(parts, name):
            closing = _add(linears, Part(name, "function", frozenset({name}), {}), closing)
            continue
        steps, whole = _steps(parts, name)
        begin = len(linears)
        for step in steps:
            closing = _add(linears, step, closing)
        if whole:  # but a function may still follow the last one of a sequence
            for linear in linears[begin:-1]:
                linear.activation = linear.activation or "linear"
    if not linears:
        raise ValueError(f"head: expected a linear layer, got {', '.join(map(repr, names))}")
    return _complete(linears, activations)


def _steps(parts: Mapping[str, Part], name: str) -> tuple[list[Part], bool]:
    """Return the parts that a name stands for, and whether they are seen to be all there is."""
    part = parts.get(name)
    inside = below(parts, name)
    if part is not None and "sequence" in part.roles:
        steps = [part for part in inside if part.fault or "sequence" not in part.roles]
        return steps, True
    if part is not None:
        return [part], False
    # A state dict has no tensors of a sequence itself, only of the numbered parts in it.
    if not inside:
        there = [part for part in parts.values() if "linear" in part.roles]
        raise ValueError(f"head: expected names such as {list_parts(there)}; got {shown(name)}")
    numbers = {part.name: part.name[len(name) + 1 :].split(".") for part in inside}
    if not all(number.isdecimal() for path in numbers.values() for number in path):
        raise ValueError(
            f"head: expected the names of linear layers in their order, got {shown(name)}, "
            f"which has {list_parts(inside)}"
        )
    return sorted(inside, key=lambda part: list(map(int, numbers[part.name]))), False


def _add(linears: list[_Linear], step: Part, closing: Part | None) -> Part | None:
    """Take one more part into a head; `closing` made probabilities of its scores, if any did."""
    if step.fault is None and "nothing" in step.roles:
        return closing
    if step.fault is None and closing is None:
        if "linear" in step.roles:
            linears.append(_Linear(step))
            return None
        if "probabilities" in step.roles:
            return step
        activation = next(iter(step.roles & _FUNCTIONS), None)
        if activation and not linears:
            linears.append(_Linear(None))
        if activation and linears[-1].activation is None:
            linears[-1].activation = activation
            return None
    raise ValueError(
        f"head: expected Linear layers, ReLU or Tanh after each, Dropout, Identity, Flatten, and "
        f"at the end Softmax, LogSoftmax or Sigmoid, got {closing or step}"
        + (f", which {step.fault}" if step.fault else "")
    )


def _complete(
    steps: Sequence[_Linear], activations: Sequence[str] | None
) -> list[tuple[Part | None, str]]:
    """Return the layers with the activations that were seen, or else said."""
    states = [(None, linear.activation or "linear") for linear in steps if linear.part is None]
    linears = [linear for linear in steps if linear.part is not None]
    count = len(linears)
    if activations is not None and len(activations) not in (count - 1, count):
        raise MissingArgumentError(
            f"activations: expected {count - 1} or {count}, for {count} layers of the head, "
            f"got {len(activations)}; what comes before the first is said as head=['relu', ...]",
            ["activations", "head"],
        )
    said: list[str | None] = [*(activations or ()), *[None] * count][:count]
    complete: list[tuple[Part | None, str]] = [*states]
    for linear, name in zip(linears, said, strict=True):
        activation = linear.activation or name
        if activation is None and linear is steps[-1]:
            activation = "linear"
        if activation is None:
            raise MissingArgumentError(
                f"activations: expected one for each of the {count} layers of the head, or all but "
                f"the last: what follows {linear.part} is not seen",
                ["activations"],
            )
        if name is not None and name != activation:
            raise ValueError(
                f"activations: expected {activation!r} after {linear.part}, got {shown(name)}"
            )
        complete.append((linear.part, activation))
    return complete
