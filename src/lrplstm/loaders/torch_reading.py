"""A recorded run of a PyTorch module, call by call, in operations of ONNX with their sizes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from lrplstm.loaders.refusals import RefusedError
from lrplstm.loaders.torch_loops import Loops
from lrplstm.loaders.torch_masks import COMPARISONS, compared, mask_of, used
from lrplstm.loaders.torch_operators import UNCHANGED
from lrplstm.loaders.torch_recurrent import CELLS, cell
from lrplstm.loaders.torch_tracing import Operation, Recording, line_of
from lrplstm.loaders.torch_values import OPERATORS, Mask, Translation, Value

__all__ = ["Run", "translated"]

_LEAST_STEPS = 3  # of a loop that is seen as one
_MADE = frozenset(
    "new_zeros new_ones new_full new_empty new_tensor zeros_like ones_like full_like "
    "empty_like size".split()  # a traced program makes tensors of sizes
)
"""Constants of which inputs only say the shape."""

_FINITE = frozenset("isnan isinf isneginf isposinf isfinite".split())
"""What is the same of all inputs, since NaN and infinity are refused."""

_TAKING = frozenset("item resolve_neg".split())
"""What numbers are taken out of tensors by; the second is what tolist and numpy call."""

_RANDOM = frozenset(
    "rand randn randint rand_like randn_like randint_like bernoulli normal uniform random "
    "multinomial randperm".split()
)


class Run(NamedTuple):
    """A run that was understood.

    Attributes
    ----------
    translation : Translation
    inputs : list of Value
    outputs : dict of Value by str
        What forward returns: "output", or the key or number of each of several.
    """

    translation: Translation
    inputs: list[Value]
    outputs: dict[str, Value]


def translated(torch: Any, names: Mapping[int, str], recording: Recording) -> Run:
    """Return a run in operations of ONNX, with its sizes.

    Parameters
    ----------
    torch : module
    names : mapping of str by int
        Names of the module's own tensors, by their identity.
    recording : Recording

    Raises
    ------
    RefusedError
        If it has something that is not known.
    """
    return _Reader(torch, names, recording).run()


class _Reader:
    def __init__(self, torch: Any, parameters: Mapping[int, str], recording: Recording) -> None:
        self.torch = torch
        self.recording = recording
        self.translation = Translation(torch, parameters)
        self.loops = Loops(self.translation)
        self.values: dict[Any, Any] = {}
        self.looped = _looped(recording)

    def run(self) -> Run:
        remaining = iter(self.recording.inputs)
        inputs, outputs = list[Value](), dict[str, Value]()
        for each in self.recording.operations():
            if isinstance(each, Operation):
                self.translation.place = self._place(each)
                self.translation.operator = each.name
                self.values[each.node] = self._call(each)
            elif each.op == "placeholder":
                value = Value(next(remaining), f"input_{len(inputs)}")
                inputs.append(value)
                self.translation.inputs[value.name] = self.values[each] = value
            elif each.op == "get_attr":
                self.values[each] = self.translation.known(
                    getattr(self.recording.graph, each.target)
                )
            elif each.op == "output":
                outputs = dict(_returned(self._given(each.args[0]), ""))
            else:  # an element of a tuple
                whole, index = each.args
                self.values[each] = self.values[whole][index]
        if self.recording.is_uneven:
            raise RefusedError("forward packs sequences to lengths that are not theirs")
        self.translation.place = "what forward returns"
        for name, value in list(outputs.items()):
            try:
                self.translation.name(value)
            except RefusedError:  # such as the cell state in the midst of a loop
                del outputs[name]
        outputs = {name: value for name, value in outputs.items() if not value.constant}
        if not outputs:
            raise RefusedError("forward returns nothing that depends on its inputs")
        return Run(self.translation, inputs, outputs)

    def _place(self, operation: Operation) -> str:
        line = line_of(self.torch, operation.node)
        return f"{line or 'forward'} ({operation.name})"

    def _given(self, argument: Any) -> Any:
        """Return an argument with values for nodes."""
        if isinstance(argument, list | tuple):
            return [self._given(member) for member in argument]
        if isinstance(argument, dict):
            return {key: self._given(member) for key, member in argument.items()}
        return self.values.get(argument) if hasattr(argument, "op") else argument

    def _call(self, operation: Operation) -> Any:
        name, arguments = operation.name, self._given(dict(operation.arguments))
        tensors = {key: _tensors_of(value) for key, value in arguments.items()}
        values = [value for value in _flat(list(arguments.values())) if isinstance(value, Value)]
        if name == "copy_":
            return self._written(arguments["self"], arguments["src"])
        function = operation.function
        if name in ("view", "_unsafe_view") and "size" in tensors:
            name, function = "reshape", self.torch.ops.aten.reshape.default
            for each in (arguments, tensors):
                each["shape"] = each.pop("size")
        if name.endswith("_") and not name.startswith("_"):
            name = name.rstrip("_")
            tensors["self"] = tensors["self"].clone()
        if name in _TAKING:
            self._check_read(values[0])
        tensor = function(**tensors)
        if name in _RANDOM:
            raise self.translation.refuse("it draws random numbers, in evaluation mode too")
        if name in _MADE or name in _FINITE:
            return self.translation.known(tensor)
        masks = [value for value in values if value.mask is not None]
        if name == "select" and values[0].constant and not masks:
            return self._view(arguments, tensor)
        if all(value.constant and not value.written for value in values):
            return self._constant(tensor, mask_of(name, arguments, tensor))
        if self._compares(name, values[0], tensor):
            comparison = name if name in COMPARISONS else "ne"
            return compared(self.translation, comparison, arguments, tensor)
        if name in UNCHANGED and _same(tensor, values[0].tensor):
            if arguments.get("train") and arguments["p"]:
                raise self.translation.refuse("it drops numbers at random, in evaluation mode too")
            return values[0]
        if masks and (kept := used(self.translation, name, arguments, tensor)) is not None:
            return kept
        if not _is_floating(tensor) and name not in OPERATORS:
            raise self.translation.refuse("it makes whole numbers or truth values of inputs")
        if name in ("select", "slice", "unbind", "split", "chunk") and values[0].steps is None:
            stepped = self._steps(operation, name, arguments, values[0], tensor)
            if stepped is not None:
                return stepped
        return self._operation(name, function, arguments, tensor)

    def _compares(self, name: str, value: Value, tensor: Any) -> bool:
        """Whether an operation asks which numbers something is, in so many words or as a bool."""
        if name in COMPARISONS:
            return True
        truths = self.torch.bool
        return name in UNCHANGED and tensor.dtype == truths and value.tensor.dtype != truths

    def _check_read(self, value: Value) -> None:
        """Refuse to take a number out of a tensor that depends on what inputs are."""
        if value.constant and (value.mask is None or value.mask.counts):
            return
        if value.tensor.dtype == self.torch.bool:
            raise self.translation.refuse(
                "it decides by what inputs are which way it goes (if, while or bool)"
            )
        raise self.translation.refuse(
            "it takes numbers out of tensors that inputs make (item, tolist or numpy)"
        )

    def _operation(self, name: str, function: Any, arguments: dict[str, Any], tensor: Any) -> Any:
        if name in CELLS:
            weights = [arguments[key] for key in ("w_ih", "w_hh", "b_ih", "b_hh")]
            states = arguments["hx"] if isinstance(arguments["hx"], list) else [arguments["hx"]]
            tensors = tensor if isinstance(tensor, tuple) else (tensor,)
            after = self._cell(name, arguments["input"], states, weights, tensors)
            return after if len(after) > 1 else after[0]
        if name in CELLS.values() and arguments["input"].steps is not None:
            return self._layers_at_step(name, arguments, tensor)
        if name not in OPERATORS:
            raise self.translation.refuse(f"expected an operation that is known, got {name}")
        place = self.translation.place

        def handler(given: Mapping[str, Any]) -> Any:
            before, self.translation.place = self.translation.place, place
            out = function(**{key: _tensors_of(value) for key, value in given.items()})
            made = _handled(self.translation, name, function, given, out)
            self.translation.place = before
            return made

        lifted = self.loops.lifted(name, arguments, tensor, handler)
        return lifted if lifted is not None else handler(arguments)

    def _cell(
        self,
        name: str,
        step: Value,
        states: Sequence[Value],
        weights: Sequence[Value | None],
        tensors: Sequence[Any],
    ) -> tuple[Value, ...]:
        key = name, *(None if w is None else id(w.tensor) for w in weights)
        return self.loops.cell(key, step, states, tensors, cell(self.translation, name, weights))

    def _layers_at_step(self, name: str, arguments: Mapping[str, Any], tensors: Any) -> list[Value]:
        """Return what recurrent layers make of one step of a loop: each is a cell."""
        axis = 1 if arguments["batch_first"] else 0
        x, count = arguments["input"], arguments["num_layers"]
        params = arguments["params"]
        each = len(params) // count
        if x.shape[axis] != 1 or arguments["bidirectional"] or each not in (2, 4):
            raise self.translation.refuse("a recurrent layer in a loop over steps")
        squeeze = self.torch.ops.aten.squeeze.dim
        step = self._operation("squeeze", squeeze, {"self": x, "dim": axis}, x.tensor.squeeze(axis))
        hx = arguments["hx"] if isinstance(arguments["hx"], list) else [arguments["hx"]]
        after = []
        for layer in range(count):
            weights = [*params[layer * each : (layer + 1) * each], None, None][:4]
            states = [self._state(value, layer) for value in hx]
            last = [final[layer] for final in tensors[1:]]
            after.append(self._cell(f"{name}_cell", step, states, weights, last))
            step = after[-1][0]
        finals = zip(tensors[1:], zip(*after, strict=True), strict=True)
        return [
            self._row(step, axis, tensors[0]),
            *(Value(final, parts=parts) for final, parts in finals),
        ]

    def _state(self, value: Value, layer: int) -> Value:
        """Return the state of one of the layers."""
        if value.parts and not value.name:
            return value.parts[layer]
        if value.constant:
            return self.translation.known(value.tensor[layer])
        return self.translation.emit("Gather", [value], value.tensor[layer], axis=0, index=layer)

    def _constant(self, tensor: Any, mask: Mask | None) -> Any:
        if isinstance(tensor, list | tuple):
            return [Value(each, constant=True, mask=mask) for each in tensor]
        return Value(tensor, constant=True, mask=mask)

    def _view(self, arguments: Mapping[str, Any], tensor: Any) -> Value:
        """Return a row of a constant, or what was written there."""
        base: Value = arguments["self"]
        axis = arguments["dim"] % base.rank
        index = int(arguments["index"]) % base.shape[axis]
        if index in base.written and base.axis == axis:
            return base.written[index]
        value = self.translation.known(tensor)
        value.view = base, axis, index
        return value

    def _written(self, place: Value, source: Value) -> Value:
        """Note that something was written into a part of a tensor."""
        if place.view is None or not place.constant:
            raise self.translation.refuse("it writes into a tensor other than a step of zeros")
        base, axis, index = place.view
        if base.written and base.axis != axis:
            raise self.translation.refuse("it writes into a tensor along several axes")
        base.axis = axis
        base.written[index] = source
        return source

    def _steps(
        self,
        operation: Operation,
        name: str,
        arguments: Mapping[str, Any],
        base: Value,
        tensor: Any,
    ) -> Any:
        """Return one step or all of what a loop takes by steps; None if there is no loop."""
        axis = arguments["dim"] % base.rank
        if base.parts or not base.shape[axis]:
            return None
        if name == "unbind":
            steps = self.translation.steps_of(base, axis)
            return [steps.members[t] for t in range(steps.count)]
        if name in ("split", "chunk"):
            if len(tensor) < _LEAST_STEPS or any(each.shape[axis] != 1 for each in tensor):
                return None
            steps = self.translation.steps_of(base, axis)
            return [self._row(steps.members[t], axis, each) for t, each in enumerate(tensor)]
        index = _taken(name, arguments, base.shape[axis])
        if index is None or (operation.arguments["self"], axis) not in self.looped:
            return None
        step = self.translation.steps_of(base, axis).members[index]
        return step if name == "select" else self._row(step, axis, tensor)

    def _row(self, step: Value, axis: int, tensor: Any) -> Value:
        """Return a step with an axis of 1 where the steps were."""
        function = self.torch.ops.aten.unsqueeze.default
        row: Value = self._operation("unsqueeze", function, {"self": step, "dim": axis}, tensor)
        return row


def _looped(recording: Recording) -> set[tuple[Any, int]]:
    """Return nodes of which every index along an axis is taken by itself."""
    taken: dict[tuple[Any, int], set[int]] = {}
    for each in recording.operations():
        if isinstance(each, Operation) and each.name in ("select", "slice"):
            base = each.arguments["self"]
            value = base.meta.get("val")
            if value is None or not value.ndim:
                continue
            axis = each.arguments["dim"] % value.ndim
            index = _taken(each.name, each.arguments, value.shape[axis])
            if index is not None:
                taken.setdefault((base, axis), set()).add(index)
    return {
        (base, axis)
        for (base, axis), indices in taken.items()
        if len(indices) == base.meta["val"].shape[axis] >= _LEAST_STEPS
    }


def _taken(name: str, arguments: Mapping[str, Any], size: int) -> int | None:
    """Return which step of so many is taken, by itself or as a slice of one; None for others."""
    if name == "select":
        index = arguments["index"]
        return index % size if isinstance(index, int) else None
    begin, end, step = slice(*(arguments[key] for key in ("start", "end", "step"))).indices(size)
    return begin if end == begin + 1 and step == 1 and size > 1 else None


def _handled(
    t: Translation, name: str, function: Any, arguments: Mapping[str, Any], out: Any
) -> Any:
    handler = OPERATORS[name]
    accepted = inspect.signature(handler).parameters
    given = dict(arguments)
    if "name" in accepted:
        given["name"] = name
    if "function" in accepted:
        given["function"] = function
    if not any(p.kind is p.VAR_KEYWORD for p in accepted.values()):
        given = {key: value for key, value in given.items() if key in accepted}
    return handler(t, out, **given)


def _returned(value: Any, name: str) -> Iterator[tuple[str, Value]]:
    """Yield the tensors that forward returns, by keys and numbers."""
    if isinstance(value, Value):
        if value.tensor.is_floating_point():
            yield name or "output", value
        return
    members: Any = ()
    if isinstance(value, dict):
        members = value.items()
    elif isinstance(value, list | tuple):
        members = enumerate(value)
    for key, member in members:
        yield from _returned(member, f"{name}.{key}" if name else str(key))


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for member in value:
            yield from _flat(member)
    else:
        yield value


def _tensors_of(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_tensors_of(member) for member in value]
    return value.tensor if isinstance(value, Value) else value


def _is_floating(tensor: Any) -> bool:
    first = tensor[0] if isinstance(tensor, list | tuple) else tensor
    return bool(hasattr(first, "is_floating_point") and first.is_floating_point())


def _same(one: Any, another: Any) -> bool:
    return bool(one.is_floating_point() == another.is_floating_point())
