"""Cells that are written out, step after step: a chain of them becomes one recurrent layer.

A loop over the steps of a sequence ends up in a graph as the operations of all its turns. Where
each turn makes new states of the ones before by the formula of a cell, always the same and of one
step after the other, the layers are replaced by the recurrent one, which gives the same numbers.
That all turns are the same is seen from what they compute of random numbers, in double precision;
the first, in which initial states that are zero have left no trace, as well. What is no such chain
stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from lrplstm.graph.cells import (
    Activated,
    Cell,
    GRUStep,
    LSTMStep,
    Pair,
    computes,
    gru_cell,
    gru_steps,
    lstm_cell,
    lstm_steps,
    rnn_cell,
)
from lrplstm.graph.formulas import OF_EACH_ROW, Layers, Size, value_of
from lrplstm.graph.masks import Kept
from lrplstm.graph.parts import Part, from_nearer_end
from lrplstm.layers import (
    GRU,
    LSTM,
    RNN,
    Activation,
    Add,
    Affine,
    Concatenate,
    ConcatenateSteps,
    DenseLayer,
    FinalState,
    Flatten,
    Multiply,
    Pool,
    Recurrent,
    Repeat,
    Reverse,
    Step,
    Steps,
)
from lrplstm.loaders.refusals import RefusedError
from lrplstm.weights import Array

__all__ = ["Rolled", "rolled"]

_MOST_LIFTED = 16
"""So many layers may lie between the steps of a sequence and a cell."""

_ROWS = 8
_LAYERS: dict[str, type[Recurrent]] = {layer.kind: layer for layer in (LSTM, GRU, RNN)}


class Rolled(NamedTuple):
    """A network with a recurrent layer for each chain of cells.

    Attributes
    ----------
    parts : list of Part
    masks : dict of float by str
        What padding is that layers pass over, by inputs.
    masked : set of str
        Those layers.
    """

    parts: list[Part]
    masks: dict[str, float]
    masked: set[str]


def rolled(parts: Sequence[Part], sizes: Mapping[str, Size]) -> Rolled:
    """Return the same network with a recurrent layer for each chain of cells; the last stays last.

    `sizes` are those of all inputs and layers.

    Raises
    ------
    RefusedError
        If a mask is left over.
    """
    network = Layers(parts, sizes)
    for chain in _chains(network):
        _roll(network, chain)
    _join(network)
    remaining = network.remaining()
    for part in remaining:
        if isinstance(part.layer, Kept):
            raise RefusedError(
                f"{part.place}: it keeps states by a mask, and is no step of a recurrent layer "
                "that is known"
            )
    return Rolled(remaining, network.masks, network.masked)


# Chains of cells --------------------------------------------------------------------------------


class _Turn(NamedTuple):
    """A layer that is the hidden state of a cell, if one of the names is x and one h before.

    Attributes
    ----------
    formula : LSTMStep, GRUStep or Activated
    x : str
    before, after : tuple of str
        The states, h first.
    """

    formula: Any
    x: str
    before: tuple[str, ...]
    after: tuple[str, ...]


def _turns(network: Layers) -> Iterator[_Turn]:
    """Yield what layers may be as the hidden state of a cell."""
    for name, part in network.parts.items():
        match part.layer:
            case Multiply():
                for lstm in lstm_steps(network, name):
                    leaves = network.leaves(*(one.of for one in lstm[:4]))
                    for x, h in _pairs(network, leaves, name):
                        after = network.kept(name), network.kept(lstm.c)
                        yield _Turn(lstm, x, (h, lstm.c_before), after)
            case Add():
                for gru in gru_steps(network, name):
                    for x, h in _pairs(network, network.leaves(gru.z.of), name):
                        if h == gru.h_before:
                            yield _Turn(gru, x, (h,), (network.kept(name),))
            case Activation():
                made = Activated(part.layer.function, part.reads[0])
                for x, h in _pairs(network, network.leaves(made.of), name):
                    yield _Turn(made, x, (h,), (network.kept(name),))


def _pairs(network: Layers, leaves: Sequence[str], name: str) -> list[Pair]:
    """Return which of two rows may be x and which h, which is as wide as the new state."""
    if len(leaves) != 2:
        return []
    first, second = leaves
    width = network.sizes[name].width
    pairs = [(first, second), (second, first)]
    return [(x, h) for x, h in pairs if network.sizes[h] == Size(width, None)]


def _chains(network: Layers) -> list[list[_Turn]]:
    """Return turns that follow each other, each from the states that the one before it makes."""
    turns = list(_turns(network))
    made = {(type(turn.formula), turn.after) for turn in turns}
    following: dict[Any, list[_Turn]] = {}
    for turn in turns:
        following.setdefault((type(turn.formula), turn.before), []).append(turn)
    chains = []
    for first in turns:
        kind = type(first.formula)
        if (kind, first.before) in made:
            continue
        chain = [first]
        while True:
            readers = following.get((kind, chain[-1].after), [])
            # Layers above read a state, too, by another formula.
            alike = [turn for turn in readers if _is_like(network, chain[-1], turn)]
            if len(alike) != 1:
                break
            chain += alike
        chains.append(chain)
    return chains


def _is_like(network: Layers, first: _Turn, second: _Turn) -> bool:
    """Whether two turns compute the same of the same numbers."""
    rng = np.random.default_rng(0)
    widths = [network.sizes[name].width for name in (first.x, *first.before)]
    rows = [rng.normal(size=(_ROWS, width)) for width in widths]
    try:
        made = [
            network.evaluate(turn.after, dict(zip((turn.x, *turn.before), rows, strict=True)))
            for turn in (first, second)
        ]
        return _close(*made)
    except (RefusedError, ValueError):  # of other widths, or not of these alone
        return False


def _close(mine: Sequence[Array], other: Sequence[Array]) -> bool:
    """Whether numbers that were computed in double precision are the same."""
    return all(
        np.allclose(one, two, rtol=1e-10, atol=1e-12) for one, two in zip(mine, other, strict=True)
    )


# From a chain to a layer ------------------------------------------------------------------------


class _Lifted(NamedTuple):
    """What rows of single steps are as those of all steps.

    Attributes
    ----------
    layer : Layer or None
        What makes them; None of what is there already.
    reads : tuple of (str or _Lifted)
        Names of what has steps, or of a row that is the same at all.
    steps : tuple of int
        Which step each row is; empty where all are one row.
    """

    layer: Any
    reads: tuple[Any, ...]
    steps: tuple[int, ...]

    @property
    def sources(self) -> list[str]:
        """Return the names of all that it is made from."""
        return [
            name
            for read in self.reads
            for name in (read.sources if isinstance(read, _Lifted) else [read])
        ]


def _lifted(network: Layers, names: Sequence[str], depth: int = 0) -> _Lifted | None:
    """Return what these rows are as steps of something, if that is what they are."""
    if len(set(names)) == 1:
        return _Lifted(None, (names[0],), ())
    steps = [network.step_of(name) for name in names]
    sources = {step and step[0] for step in steps}
    if len(sources) == 1 and None not in sources:
        return _Lifted(None, (sources.pop(),), tuple(step[1] for step in steps if step))
    parts = [network.parts.get(name) for name in names]
    first = parts[0]
    if (
        depth > _MOST_LIFTED
        or first is None
        or not isinstance(first.layer, OF_EACH_ROW)
        or any(one is None or not _alike(first, one) for one in parts)
    ):
        return None
    reads = list[_Lifted]()
    for n in range(len(first.reads)):
        read = _lifted(network, [one.reads[n] for one in parts if one], depth + 1)
        if read is None or not read.steps or read.steps != (reads or [read])[0].steps:
            return None
        reads.append(read)
    return _Lifted(first.layer, tuple(reads), reads[0].steps)


def _alike(first: Part, second: Part) -> bool:
    """Whether two layers do the same."""
    mine, other = first.layer, second.layer
    if type(mine) is not type(other) or len(first.reads) != len(second.reads):
        return False
    arrays, others = mine.arrays(), other.arrays()
    return (
        mine.settings() == other.settings()
        and arrays.keys() == others.keys()
        and all(np.array_equal(array, others[name]) for name, array in arrays.items())
    )


def _roll(network: Layers, chain: Sequence[_Turn]) -> None:
    """Put a recurrent layer in the place of a chain, if it is one of the same cell throughout."""
    if len(chain) < 2 or _is_rolled(network, chain):
        return
    names = [turn.x for turn in chain]
    if _lifted(network, names[:2]) is None or (x := _lifted(network, names)) is None:
        return
    steps = network.sizes[x.sources[0]].steps
    try:
        for first, number in ((True, len(chain) + 1), (False, len(chain))):
            order = _order(x.steps, steps or number, first=first)
            if order is None or len(order) != number or not _have_one_mask(network, chain, order):
                continue
            if _same(network, chain, x, order):
                _put(network, chain, x, order)
                return
    except RefusedError:
        return  # it is something else


def _is_rolled(network: Layers, chain: Sequence[_Turn]) -> bool:
    return any(isinstance(network.parts[turn.after[0]].layer, Step | Pool) for turn in chain)


def _order(steps: tuple[int, ...], number: int, *, first: bool) -> tuple[int, ...] | None:
    """Return all steps in the order of a chain, which lacks the first if so; or None."""
    upward = tuple(range(number))
    for order in (upward, upward[::-1]):
        if not steps or steps == order[first:]:
            return order
    return None


def _mask(network: Layers, name: str) -> Kept | None:
    layer = network.parts[name].layer if name in network.parts else None
    return layer if isinstance(layer, Kept) else None


def _have_one_mask(network: Layers, chain: Sequence[_Turn], order: Sequence[int]) -> bool:
    """Whether all states are kept by the same mask, at its own step each; or none is."""
    turns = [(turn.after, turn.before) for turn in chain]
    if len(order) > len(chain):
        turns.insert(0, (chain[0].before, ()))
    masks = [[_mask(network, name) for name in after] for after, _ in turns]
    if not any(mask for of_step in masks for mask in of_step):
        return True
    kinds = set()
    for step, of_step, (after, before) in zip(order, masks, turns, strict=True):
        for n, (mask, name) in enumerate(zip(of_step, after, strict=True)):
            if mask is None and n > 0 and after is turns[-1][0]:
                continue  # the last cell state, which nothing need read
            if mask is None or mask.step != step:
                return False
            if network.parts[name].reads[1:] != before[n : n + 1]:
                return False
            kinds.add((mask.mask, mask.value))
    return len(kinds) == 1


def _same(network: Layers, chain: Sequence[_Turn], x: _Lifted, order: Sequence[int]) -> bool:
    """Whether all turns compute the same; a first one without a state before it from zeros."""
    rng = np.random.default_rng(0)
    rows = {name: rng.normal(size=(_ROWS, network.sizes[name].width)) for name in x.sources}
    states = [rng.normal(size=(_ROWS, network.sizes[name].width)) for name in chain[0].after]

    def given(step: int) -> dict[str, Array]:
        """Return the numbers of what is read at a step."""
        if not x.steps:
            return rows
        return {row: rows[name] for name in rows for row in network.rows.get((name, step), [])}

    def after(turn: _Turn, step: int, before: Sequence[Array]) -> list[Array]:
        known = given(step) | dict(zip(turn.before, before, strict=True))
        return network.evaluate(turn.after, known)

    missing = len(order) - len(chain)
    expected = after(chain[0], order[missing], states)
    pairs = [
        (expected, after(turn, step, states))
        for turn, step in zip(chain[1:], order[missing + 1 :], strict=True)
    ]
    if missing:
        zeros = [np.zeros_like(state) for state in states]
        expected = after(chain[0], order[1], zeros)
        pairs.append((expected, network.evaluate(chain[0].before, given(order[0]))))
    return all(_close(*both) for both in pairs)


def _put(network: Layers, chain: Sequence[_Turn], x: _Lifted, order: Sequence[int]) -> None:
    """Put a layer in the place of a chain."""
    missing = len(order) - len(chain)
    first, states = chain[0], [turn.after for turn in chain]
    if missing:
        states.insert(0, first.before)
    place = states[0][0]
    cell = _cell(network, first)
    source = _built(network, x, len(order), place)
    source, arguments = _through_matrix(network, source, cell.arguments)
    arguments = {
        key: value.astype(network.dtype) if isinstance(value, np.ndarray) else value
        for key, value in arguments.items()
    }
    kind = _LAYERS[cell.kind]
    layer = kind(kind.cell(**arguments, reverse=order[0] > order[-1]))
    reads = (source,) if missing else (source, *first.before)
    name = network.add(layer, reads, Size(layer.width, len(order)), states[-1][0], place)
    mask = _mask(network, place)
    if mask is not None:
        network.masked.add(name)
        if network.masks.setdefault(mask.mask, mask.value) != mask.value:
            raise RefusedError("two masks of one input differ")
    for step, (h, *_) in zip(order[:-1], states[:-1], strict=True):
        network.replace(h, Step(from_nearer_end(step, len(order))), name)
    network.replace(states[-1][0], Pool("last"), name)
    for c in states[-1][1:]:
        if mask is None or _mask(network, c) is not None:
            network.replace(c, FinalState("cell"), name)


def _cell(network: Layers, turn: _Turn) -> Cell:
    """Return the cell that a turn is one step of."""
    reads = {name: network.sizes[name].width for name in (turn.x, turn.before[0])}
    cell: Cell | None
    match turn.formula:
        case LSTMStep():
            cell = lstm_cell(network, turn.formula, reads, turn.before[1])
        case GRUStep():
            cell = gru_cell(network, turn.formula, reads)
        case _:
            cell = rnn_cell(network, turn.formula, reads)
    states = dict(zip(turn.before, turn.after, strict=True))
    if cell is None or not computes(network, cell, turn.x, reads[turn.x], states):
        raise RefusedError("it is no cell that is known")
    return cell


def _built(network: Layers, x: _Lifted, steps: int, place: str) -> str:
    """Return the name of what has the rows of all steps."""
    if x.layer is None:
        (name,) = x.reads
        size = network.sizes[name]
        if size.steps is not None:
            return str(name)
        return network.add(Repeat(steps), [name], Size(size.width, steps), name, place)
    reads = [_built(network, read, steps, place) for read in x.reads]
    width = value_of(x.layer, [np.zeros((1, network.sizes[name].width)) for name in reads]).shape[1]
    return network.add(x.layer, reads, Size(width, steps), place, place)


def _through_matrix(
    network: Layers, source: str, arguments: dict[str, Any]
) -> tuple[str, dict[str, Any]]:
    """Return what a cell reads and its weights, where ``W_ih x`` was made for all steps before."""
    weight, shift = arguments["weight_ih"], np.zeros(len(arguments["weight_ih"]))
    if (np.sort(weight, axis=1)[:, -2:] != [0, 1]).any() or (weight.sum(axis=1) != 1).any():
        return source, arguments  # it does not just pick numbers
    name = source
    while (part := network.parts.get(name)) is not None:
        (name, *_), layer = part.reads, part.layer
        if isinstance(layer, Affine):
            shift = shift + weight @ np.asarray(layer.shift, np.float64)
            weight = weight * layer.scale
        elif isinstance(layer, DenseLayer) and layer.output_size == len(weight):
            bias = "bias" if "bias" in arguments else "bias_ih"
            if layer.bias is not None:
                shift = shift + weight @ np.asarray(layer.bias, np.float64)
            weight = weight @ np.asarray(layer.weight, np.float64)
            changed = {"weight_ih": weight, bias: arguments[bias] + shift}
            return name, arguments | changed
        else:
            break
    return source, arguments


def _join(network: Layers) -> None:
    """Let what puts all steps of a layer together again read that layer."""
    instead = dict[str, str]()
    for name, part in [*network.parts.items()]:
        reads = tuple(instead.get(read, read) for read in part.reads)
        if reads != part.reads:
            network.parts[name] = part = replace(part, reads=reads)
        if not isinstance(part.layer, Concatenate | ConcatenateSteps):
            continue
        x = _lifted(network, part.reads)
        if x is None or not x.steps or not _reads_rolled(network, x):
            continue
        number = network.sizes[x.sources[0]].steps
        turned = x.steps == tuple(range(number or 0))[::-1]
        if not turned and x.steps != tuple(range(number or 0)):
            continue
        source = _built(network, x, len(x.steps), name)
        if isinstance(part.layer, Concatenate):
            if not turned:
                network.replace(name, Flatten(len(x.steps)), source)
        elif turned:
            network.replace(name, Reverse(), source)
        elif name == network.scores:
            network.replace(name, Steps(0, None), source)
        else:
            instead[name] = source


def _reads_rolled(network: Layers, x: _Lifted) -> bool:
    """Whether steps are those of recurrent layers."""
    return all(
        name in network.parts and isinstance(network.parts[name].layer, Recurrent)
        for name in x.sources
    )
