"""Models of PyTorch modules as their forward computes: read from what it calls, then compared."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from lrplstm.base_model import Model
from lrplstm.checks import outer_level
from lrplstm.graph.assembling import to_model
from lrplstm.graph.operations import Graph
from lrplstm.graph.reading import Reading, check_same, read
from lrplstm.layers import Recurrent
from lrplstm.loaders.refusals import RefusedError
from lrplstm.loaders.torch_calls import Arguments, arguments_like, made_up_arguments
from lrplstm.loaders.torch_graph import LengthsError, graph_of
from lrplstm.loaders.torch_inputs import arguments_of
from lrplstm.loaders.torch_masks import PaddingSeenError
from lrplstm.loaders.torch_padding import with_padding
from lrplstm.loaders.torch_reading import Run, translated
from lrplstm.loaders.torch_run import Runner, unwrapped
from lrplstm.loaders.torch_tracing import Recording, record
from lrplstm.texts import first_line
from lrplstm.verification import Comparison, arrays_in, compare

__all__ = ["graph_of_module", "model_of_forward"]

_RTOL = 1e-4
_SIZES = (((3, 5), (4, 7)), ((3, 17), (4, 22)), ((3, 41), (4, 46)), ((3, 130), (4, 141)))
"""Numbers of sequences and steps of two runs: longer ones for what makes sequences shorter."""

_LONG = 61
_MOST_STEPS = 128  # of a module that takes sequences of one length only


class _Way(NamedTuple):
    """How a module can be called: with which arguments, and with which two sizes."""

    arguments: Arguments
    sizes: Sequence[tuple[int, int]]


def model_of_forward(
    torch: Any, module: Any, example: Any, output: str | None, **names: Any
) -> Model:
    """Return the model of a module, read from what its forward does.

    Raises
    ------
    ValueError
        If it cannot be called, does something that is not read, or the model has other scores.
    """
    module = unwrapped(torch, module)
    runner = Runner(torch, module)
    way = _way(torch, module, runner, example)
    _warn_of_constants(way.arguments)
    reading, arguments = _read(torch, runner, way, output)
    way = way._replace(arguments=arguments)
    model = to_model(reading, **names)
    if not any(isinstance(layer, Recurrent) for layer in model.graph.layers):
        raise ValueError("source: expected a network with a recurrent layer, got one without")
    paddings = {each.name: each.padding for each in arguments.inputs if each.padding is not None}
    masks = {
        called: paddings[given.name]
        for called, given in reading.inputs.items()
        if given.name in paddings
    }
    _check(runner, model, way, example is not None and not masks)
    if masks:
        masked = to_model(replace(reading, masks=masks), **names)
        example = None if example is None else way.arguments.examples()
        return with_padding(runner, model, masked, way.arguments, way.sizes[1], example)
    return model


# How it is called -------------------------------------------------------------------------------


def _way(torch: Any, module: Any, runner: Runner, example: Any) -> _Way:
    if example is not None:
        likely = arguments_like(torch, module, arguments_of(example))
        for longer in (2, 11, 0):  # for what needs several steps, or is for one length only
            for arguments, B, T in likely:
                sizes = ((B, T), (B + 1, T + longer))
                fault = _fault(runner, arguments, sizes)
                if fault is None:
                    return _Way(arguments, sizes)
        raise ValueError(
            "example: expected what forward takes, a tuple of its arguments or a dict of them, but "
            f"it raised {fault}"
        )
    faults: list[str] = []
    tried = list(made_up_arguments(torch, module))
    for sizes in _SIZES:
        for arguments in tried:
            fault = _fault(runner, arguments, sizes)
            if fault is None:
                return _Way(arguments, sizes)
            faults.append(fault)
    for arguments in tried[:2]:  # of one length only
        fitting = [
            T for T in range(1, _MOST_STEPS) if _fault(runner, arguments, ((3, T), (4, T))) is None
        ]
        if len(fitting) == 1:
            return _Way(arguments, ((3, fitting[0]), (4, fitting[0])))
    raise ValueError(
        "source: expected a module that runs on made-up ids or numbers; it raised "
        f"{faults[0] if faults else 'nothing'}; pass what its forward takes as example=, a tuple "
        "of arguments or a dict of them"
    )


def _fault(runner: Runner, arguments: Arguments, sizes: Sequence[tuple[int, int]]) -> str | None:
    """Return what a module raises for some sizes; None if it runs."""
    for B, T in sizes:
        try:
            runner.run(*arguments.call(arguments.made(B, T)))
        except Exception as error:  # whatever a forward raises
            return f"{type(error).__name__}: {first_line(error)}"
    return None


# What it computes -------------------------------------------------------------------------------


def _read(torch: Any, runner: Runner, way: _Way, output: str | None) -> tuple[Reading, Arguments]:
    """Return a module as it was read, and its arguments with their padding."""
    try:
        graph, arguments = graph_of_module(torch, runner, way.arguments, way.sizes)
    except LengthsError as error:
        return _read_each_length(torch, runner, way, output, error)
    _warn_of_outputs(graph, output)
    return read(graph, output), arguments


def _read_each_length(
    torch: Any, runner: Runner, way: _Way, output: str | None, error: LengthsError
) -> tuple[Reading, Arguments]:
    """Return the same where a loop makes more operations of more steps: one reading a length."""
    readings, arguments = list[Reading](), way.arguments
    for _, T in way.sizes:
        sizes = [(B, T) for B, _ in way.sizes]
        graph, arguments = graph_of_module(torch, runner, arguments, sizes)
        try:
            readings.append(read(graph, output))
        except RefusedError:
            raise error from None
    try:
        check_same(*(reading.parts for reading in readings))
    except RefusedError:
        raise error from None
    _warn_of_outputs(graph, output)
    return readings[0], arguments


def _warn_of_constants(arguments: Arguments) -> None:
    """Warn of arrays in an example that could be inputs, if they had an axis of sequences."""
    arrays = [each for each in arguments.arguments if each.kind == "constant" and each.is_array]
    if arrays:
        warnings.warn(
            f"source: {', '.join(repr(each.name) for each in arrays):.200} of the example is taken "
            "to stay as it is, having no axis of sequences",
            UserWarning,
            stacklevel=outer_level(),
        )


def _warn_of_outputs(graph: Graph, output: str | None) -> None:
    if output is None and len(graph.outputs) > 1:
        warnings.warn(
            f"source: forward returns {', '.join(map(repr, graph.outputs)):.200}; the first is "
            "explained, and output= chooses another",
            UserWarning,
            stacklevel=outer_level(),
        )


def graph_of_module(
    torch: Any, runner: Runner, arguments: Arguments, sizes: Sequence[tuple[int, int]]
) -> tuple[Graph, Arguments]:
    """Return the operations of a module, from two runs, and its arguments with their padding."""
    try:
        return _without_padding(torch, runner, arguments, sizes, lines=False)
    except RefusedError as error:
        # Once more, to say in which line of the user's.
        try:
            return _without_padding(torch, runner, arguments, sizes, lines=True)
        except RefusedError as located:
            raise located from None
        except Exception:  # what was refused counts
            raise error from None


def _without_padding(
    torch: Any,
    runner: Runner,
    arguments: Arguments,
    sizes: Sequence[tuple[int, int]],
    *,
    lines: bool,
) -> tuple[Graph, Arguments]:
    """Return the same of runs on what has no padding, which the first of them may show."""
    for _ in arguments.inputs:
        try:
            return _graph(torch, runner, arguments, sizes, lines=lines)
        except PaddingSeenError as error:
            arguments = arguments.with_padding({error.padding.input: error.padding.number})
    return _graph(torch, runner, arguments, sizes, lines=lines)


def _graph(
    torch: Any,
    runner: Runner,
    arguments: Arguments,
    sizes: Sequence[tuple[int, int]],
    *,
    lines: bool,
) -> tuple[Graph, Arguments]:
    reads = [
        each.name if arguments.by_name else n
        for n, each in enumerate(arguments.arguments)
        if each.kind == "input"
    ]
    runs = []
    for B, T in sizes:
        values = arguments.made(B, T)
        with runner.undisturbed():
            tensors, function = runner.function_of(*arguments.call(values), reads)
            flat = [each.axes in ("BT", "TB", "T") and not each.ids for each in arguments.inputs]
            tensors, function = _with_units(tensors, function, flat)
            try:
                recording = record(torch, function, tensors, lines=lines)
            except Exception as error:  # whatever a forward raises
                raise _not_followed(error) from None
            runs.append(_translated(torch, runner, recording))
    graph = graph_of(torch, runs, [each.name for each in arguments.inputs])
    return graph, arguments.with_padding(runs[0].translation.paddings)


def _with_units(
    tensors: Sequence[Any], function: Callable[..., Any], flat: Sequence[bool]
) -> tuple[list[Any], Callable[..., Any]]:
    """Return the same where a step that is a number is a row of one."""

    def of_rows(*rows: Any) -> Any:
        return function(*(row[..., 0] if n else row for row, n in zip(rows, flat, strict=True)))

    return [tensor[..., None] if n else tensor for tensor, n in zip(tensors, flat, strict=True)], (
        of_rows if any(flat) else function
    )


def _translated(torch: Any, runner: Runner, recording: Recording) -> Run:
    try:
        return translated(torch, runner.names(), recording)
    except (RefusedError, PaddingSeenError):
        raise
    except Exception as error:  # of PyTorch, for what an operation is not made for
        raise _not_followed(error) from None


def _not_followed(error: Exception) -> RefusedError:
    text = f"{type(error).__name__}: {first_line(error)}"
    return RefusedError(f"forward cannot be followed: {text}")


# Whether it is that -----------------------------------------------------------------------------


def _check(runner: Runner, model: Model, way: _Way, with_example: bool) -> None:
    """Raise a ValueError if the module has other scores than the model."""
    (_, T), (B, longer) = way.sizes
    sizes = list(way.sizes)
    if longer != T and _fault(runner, way.arguments, [(B, _LONG)]) is None:
        sizes.append((B, _LONG))  # for whoever cuts sequences short
    for B, T in sizes:
        _compare(runner, model, way.arguments, way.arguments.made(B, T, seed=3), "made-up inputs")
    if with_example:
        _compare(runner, model, way.arguments, way.arguments.examples(), "the example")


def _compare(
    runner: Runner, model: Model, arguments: Arguments, values: Sequence[Any], what: str
) -> None:
    rtol = max(_RTOL, runner.coarse)
    try:
        arrays = arrays_in("forward", runner.run(*arguments.call(values)))
    except Exception as error:  # whatever a forward raises
        text = f"{type(error).__name__}: {first_line(error)}"
        raise ValueError(f"source: forward raised {text} on {what}") from None
    comparisons, faults = list[Comparison](), list[str]()
    for turned in (arguments, arguments.turned()):
        for sequences in turned.sequences(values):
            try:
                expected = [model.predict(one) for one in sequences]
            except ValueError as error:  # steps and sequences the other way round
                faults.append(str(error))
                continue
            if comparison := compare(arrays, expected, rtol):
                comparisons.append(comparison)
    comparison = min(comparisons, key=lambda each: each.relative, default=None)
    if comparison is None or not comparison.relative <= rtol:
        shapes = ", ".join(str(array.shape) for array in arrays[:4])
        difference = f"arrays of shape {shapes}{f' ({faults[0]})' if faults else ''}"
        if comparison is not None:
            difference = f"others: on {what} they differ by up to {comparison}"
        raise RefusedError(f"expected the scores that forward gives, got {difference}")
