"""Loops over the steps of a sequence: what is called at each step becomes one operation for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lrplstm.loaders.torch_values import Steps, Translation, Value

__all__ = ["Loops"]

_BY_NUMBER = frozenset(
    "sigmoid tanh relu leaky_relu elu selu gelu silu softplus hardtanh hardsigmoid relu6 exp log "
    "add sub mul div neg dropout clone contiguous detach to linear embedding".split()
)
"""What does the same to all steps at once as to each, whatever axes are before its own."""

_BY_AXIS = frozenset("softmax log_softmax sum mean unsqueeze squeeze cat".split())
"""The same, where axes are counted after that of the steps."""

Handler = Callable[[Mapping[str, Any]], Any]


@dataclass(eq=False)
class _Run:
    """A cell that runs over steps."""

    hidden: Steps
    cell: Steps
    initial: tuple[Value, ...]
    last: tuple[Value, ...]
    order: list[int] = field(default_factory=list)
    final: Value | None = None


class Loops:
    """What loops have done so far."""

    def __init__(self, translation: Translation) -> None:
        self._translation = translation
        self._loops: dict[Any, Steps] = {}
        self._runs: dict[Any, list[_Run]] = {}
        self._kept: list[Any] = []

    # The same at each step ----------------------------------------------------------------------

    def lifted(
        self, name: str, arguments: Mapping[str, Any], tensor: Any, handler: Handler
    ) -> Value | None:
        """Return what an operation makes of a step, as a step of what it makes of all; or None."""
        if name not in _BY_NUMBER | _BY_AXIS or not hasattr(tensor, "shape"):
            return None
        values = list(_values_in(arguments))
        members = [value for value in values if value.steps is not None]
        if not members or len({value.step for value in members}) > 1:
            return None
        if len({value.steps.count for value in members if value.steps is not None}) > 1:
            return None
        if any(not value.constant for value in values if value.steps is None):
            return None
        first, rank = members[0], members[0].rank
        if any(value.rank != rank for value in members) or first.steps is None:
            return None
        key = name, tuple((each, _identity(value)) for each, value in arguments.items())
        if key not in self._loops:

            def make() -> Value:
                made: Value = handler(
                    {each: _of_all(name, each, value) for each, value in arguments.items()}
                )
                return made

            self._loops[key] = Steps(first.steps.count, make)
            self._kept += values
        steps = self._loops[key]
        value = Value(tensor, steps=steps, step=first.step, alone=lambda: handler(arguments))
        steps.members.setdefault(first.step, value)
        return steps.members[first.step]

    # Cells --------------------------------------------------------------------------------------

    def cell(
        self,
        key: Any,
        step: Value,
        states: Sequence[Value],
        tensors: Sequence[Any],
        make: Callable[[Value, Sequence[Value], bool], tuple[Value, Value | None]],
    ) -> tuple[Value, ...]:
        """Return the states after one more step of a cell.

        Parameters
        ----------
        key
            What is the same at each step: the kind of cell and its weights.
        step : Value
            What it reads.
        states : sequence of Value
            What it goes on from: h, and c if it has one.
        tensors : sequence of tensors
            The states that it gives in this run.
        make : callable
            From what all steps read, the initial states and whether it runs backwards to h of all
            steps and the final c.
        """
        if step.steps is None:
            return self._once(step, states, make)
        source = step.steps
        runs = self._runs.setdefault((key, id(source)), [])
        run = next(
            (r for r in runs if all(a is b for a, b in zip(r.last, states, strict=True))), None
        )
        if run is None:
            if any(value.steps is not None for value in states):
                raise self._translation.refuse(
                    "a cell whose states are changed between steps, or that does not read all steps"
                )
            run = self._begin(source, tuple(states), make)
            runs.append(run)
        run.order.append(step.step)
        hidden = Value(tensors[0], steps=run.hidden, step=step.step)
        run.hidden.members[step.step] = hidden
        if len(states) == 1:
            run.last = (hidden,)
            return run.last
        begun = run

        def final() -> Value:
            begun.hidden.whole()
            if begun.final is None or len(begun.order) < source.count:
                raise self._translation.refuse("the cell state before the last step is read")
            return begun.final

        alone = final if len(run.order) == source.count else None
        memory = Value(tensors[1], steps=run.cell, step=step.step, alone=alone)
        run.last = hidden, memory
        return run.last

    def _once(
        self,
        step: Value,
        states: Sequence[Value],
        make: Callable[[Value, Sequence[Value], bool], tuple[Value, Value | None]],
    ) -> tuple[Value, ...]:
        """Return the states after a cell read something else than the steps of a sequence.

        So does a decoder that reads what it gave before. That is one layer, of one step, a turn.
        """
        t = self._translation
        if step.constant:
            step = self._beside(step, states)
        hidden, memory = make(t.stacked([step], 0), states, False)
        h = t.emit("Gather", [hidden], hidden.tensor[0], axis=0, index=0)
        return (h,) if memory is None else (h, memory)

    def _beside(self, constant: Value, states: Sequence[Value]) -> Value:
        """Return a constant, such as the zeros that decoders begin with, as a row of sequences."""
        t = self._translation
        state = next((value for value in states if not value.constant), None)
        if state is None or (constant.tensor != constant.tensor[:1]).any():
            raise t.refuse("a cell that reads nothing of what the inputs decide")
        nothing = t.known(constant.tensor.new_zeros(state.shape[-1], constant.shape[-1]))
        product = t.emit("MatMul", [state, nothing], state.tensor @ nothing.tensor)
        return t.emit("Add", [product, t.known(constant.tensor[0])], constant.tensor)

    def _begin(
        self,
        source: Steps,
        initial: tuple[Value, ...],
        make: Callable[[Value, Sequence[Value], bool], tuple[Value, Value | None]],
    ) -> _Run:
        def whole() -> Value:
            forwards = list(range(source.count))
            inputs = source.whole()
            if inputs is None or run.order not in (forwards, forwards[::-1]):
                raise self._translation.refuse("a cell that does not read the steps in their order")
            hidden, run.final = make(inputs, initial, run.order != forwards)
            return hidden

        run = _Run(Steps(source.count, whole), Steps(source.count, whole), initial, initial)
        return run


def _values_in(arguments: Mapping[str, Any]) -> list[Value]:
    found: list[Value] = []
    for value in arguments.values():
        members = value if isinstance(value, list | tuple) else [value]
        found += [member for member in members if isinstance(member, Value)]
    return found


def _identity(value: Any) -> Any:
    """Return what tells an argument from others, at whatever step."""
    if isinstance(value, list | tuple):
        return tuple(map(_identity, value))
    if isinstance(value, Value):
        return ("step", id(value.steps)) if value.steps is not None else id(value.tensor)
    return repr(value)


def _of_all(name: str, argument: str, value: Any) -> Any:
    """Return an argument for all steps at once."""
    if isinstance(value, Value) and value.steps is not None:
        return value.steps.whole()
    if isinstance(value, list | tuple) and any(isinstance(member, Value) for member in value):
        return [_of_all(name, argument, member) for member in value]
    if name in _BY_AXIS and argument == "dim":
        if isinstance(value, int):
            return value + 1 if value >= 0 else value
        if isinstance(value, list | tuple):
            return [n + 1 if n >= 0 else n for n in value]
    return value
