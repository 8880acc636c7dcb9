"""Which parts of a PyTorch network are its LSTM, its head and its embedding."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, permutations
from operator import itemgetter
from typing import Literal, NamedTuple

from lrplstm.errors import MissingArgumentError
from lrplstm.loaders.torch_parts import Part, below, list_parts
from lrplstm.texts import shown
from lrplstm.weights import Array

__all__ = ["Ends", "Request", "find_head_and_embedding", "find_lstms", "origin_of"]

_MOST_ORDERED = 6
"""How many LSTMs may follow each other without being named."""

_MOST_LISTED = 12
"""How many parts that were left out are named."""


@dataclass(frozen=True, eq=False)
class Request:
    """Arguments that say which parts are meant; None where they are to be found.

    No names stand for no head. `embedding` is False where it is none of the parts.
    """

    lstms: tuple[str, ...] | None
    head: tuple[str, ...] | None
    activations: tuple[str, ...] | None
    embedding: str | Literal[False] | None
    array: Array | None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is said."""
        said = (self.lstms, self.head, self.activations, self.embedding, self.array)
        return all(value is None for value in said)


class Ends(NamedTuple):
    """Names of what is at the ends of the LSTMs: head, none if there is none, and embedding."""

    head: tuple[str, ...]
    embedding: str | None


def find_lstms(parts: Mapping[str, Part], names: Sequence[str] | None) -> list[Part]:
    """Return the LSTMs that were named, or else all there are if they have only one order."""
    there = [part for part in parts.values() if "recurrent" in part.roles]
    if names is None:
        if len(there) == 1:
            return there
        if ordered := _in_order(there):
            return ordered
        if there:
            raise MissingArgumentError(
                f"source: expected one recurrent layer, or several in an order that is seen, found "
                f"{list_parts(there)}; name one with lstm=, or several that follow each other, "
                f"such as lstm={shown([part.name for part in there[:_MOST_ORDERED]])}",
                ["lstm"],
            )
        others = [p for p in parts.values() if any(k in p.kind for k in ("LSTM", "GRU", "RNN"))]
        advice = ""
        if parts:
            advice = (
                "; of weights alone only those of nn.LSTM, nn.GRU, nn.RNN and their cells are known"
            )
        raise ValueError(
            f"source: expected an LSTM, GRU or RNN, found {list_parts(others or parts.values())}"
            f"{advice}"
        )
    for name in names:
        if name not in parts or "recurrent" not in parts[name].roles:
            got = str(parts[name]) if name in parts else f"{shown(name)}"
            raise ValueError(
                f"lstm: expected the name of a recurrent layer: {list_parts(there)}; got {got}"
            )
    return [parts[name] for name in names]


def _in_order(there: Sequence[Part]) -> list[Part]:
    """Return LSTMs of which each reads what the one before it gives; none if that is in doubt.

    There is one order that the widths allow, or of several one that numbers in the names say.
    """
    if not 1 < len(there) <= _MOST_ORDERED or any(part.fault for part in there):
        return []
    fitting = [
        order
        for order in permutations(there)
        if all(after.width == before.gives for before, after in pairwise(order))
    ]
    if len(fitting) > 1:
        fitting = [order for order in fitting if list(order) == _by_number(there)]
    return list(fitting[0]) if len(fitting) == 1 else []


def _by_number(there: Sequence[Part]) -> list[Part]:
    """Return LSTMs whose names differ in a number at their end only, in its order; else none."""
    names = [re.fullmatch(r"(.*?)([0-9]{1,9})", part.name) for part in there]
    matches = [match for match in names if match]
    if len(matches) < len(there) or len({match[1] for match in matches}) > 1:
        return []
    numbers = [int(match[2]) for match in matches]
    return [part for _, part in sorted(zip(numbers, there, strict=True), key=itemgetter(0))]


def find_head_and_embedding(
    parts: Mapping[str, Part],
    lstms: Sequence[Part],
    asked: Request,
    *,
    input_size: int,
    width: int,
    compared: bool,
) -> Ends:
    """Return what was named, or else the only things that fit.

    Parameters
    ----------
    parts : mapping of str to Part
    lstms : sequence of Part
        Those of `parts` that are the LSTM.
    asked : Request
    input_size, width : int
        What the LSTM reads and gives.
    compared : bool
        Whether scores will be compared, so that a function may have been overlooked.

    Raises
    ------
    ValueError
        If there is any doubt.
    """
    if isinstance(asked.embedding, str) and parts.get(asked.embedding) not in _embeddings(parts):
        raise ValueError(
            f"embedding: expected the name of one: {list_parts(_embeddings(parts))}; "
            f"got {shown(asked.embedding)}"
        )
    if asked.head is not None:
        if asked.embedding is None:
            return Ends(asked.head, _find_embedding(parts, asked.head, input_size))
        return Ends(asked.head, asked.embedding or None)

    # Nobody said what is to be left out, so all that matters has to have its place.
    others = [part for part in parts.values() if part.matters and part not in lstms]
    if compared:  # what activations the scores need is seen when they are compared
        others = [part for part in others if not part.roles & {"relu", "tanh"}]
    heads, tables = _fitting_heads(parts, width), [asked.embedding or None]
    needed = others
    if asked.embedding is None:
        tables += [part.name for part in _embeddings(parts) if part.width == input_size]
        # One of three would be left out anyway; a file can have thousands.
        heads, tables = heads[:3], tables[:4]
    elif asked.embedding is False:
        needed = [part for part in others if "embedding" not in part.roles]
    choices = [
        Ends(head, table)
        for head in [*heads, ()]
        for table in tables
        if table not in head and not _left_out(needed, head, table)
    ]
    if asked.embedding is not None and len(choices) > 1:
        choices = [ends for ends in choices if ends.head]
    chain = _chain(others, width)
    if not choices and asked.activations is not None and len(chain) > 1:
        choices = [
            Ends(chain, table)
            for table in tables
            if table not in chain and not _left_out(needed, chain, table)
        ]
    if len(choices) == 1:
        _check_comes_after(parts, lstms, choices[0].head, input_size)
        return choices[0]
    faults = [f"; {shown(part.name)} {part.fault}" for part in others if part.lacks_weight]
    raise MissingArgumentError(
        f"source: expected, besides the LSTM, one linear head of width {width}, at most one "
        f"embedding of width {input_size} and nothing else, found {list_parts(others)}"
        f"{''.join(faults[:1])}; name what is meant with head= and embedding=, or False for none, "
        f"and the rest is left out{_advice(chain)}",
        ["head", "embedding"],
    )


def _chain(others: Sequence[Part], width: int) -> tuple[str, ...]:
    """Return linear layers in the one order in which each reads what the one before it gives."""
    remaining = [part for part in others if "linear" in part.roles and "weight" in part.tensors]
    names: list[str] = []
    while fitting := [part for part in remaining if part.width == width]:
        if len(fitting) > 1:
            return ()
        names.append(fitting[0].name)
        width = fitting[0].tensors["weight"].shape[0]
        remaining.remove(fitting[0])
    return () if any(part.roles == {"linear"} for part in remaining) else tuple(names)


def _advice(chain: Sequence[str]) -> str:
    """Return the arguments for linear layers that follow each other."""
    if len(chain) < 2:
        return ""
    functions = ["relu"] * (len(chain) - 1)
    return (
        f"; such as head={shown(list(chain))}, activations={shown(functions)} (what follows each "
        f"but the last: 'relu', 'tanh' or 'linear'; what stands before the first is said as "
        f"head={shown(['relu', *chain])})"
    )


def _check_comes_after(
    parts: Mapping[str, Part], lstms: Sequence[Part], head: Sequence[str], input_size: int
) -> None:
    """Raise a ValueError if what was found as the head may as well make the LSTM's inputs."""
    linear = [part for name in head for part in below(parts, name) if "linear" in part.roles]
    if not linear:
        return
    output_size = linear[-1].tensors["weight"].shape[:1] if "weight" in linear[-1].tensors else ()
    order = list(parts)
    comes_first = order.index(linear[0].name) < order.index(lstms[0].name)
    if output_size == (input_size,) and comes_first:
        raise MissingArgumentError(
            f"head: expected a head that is seen to be one, found {list_parts(linear)}, which "
            f"gives {input_size} numbers, as the LSTM reads, and comes before it; if it is the "
            f"head, pass head={shown(head[0])}, and if it makes the LSTM's inputs, head=False, "
            "which leaves it out",
            ["head"],
        )


def _embeddings(parts: Mapping[str, Part]) -> list[Part]:
    return [part for part in parts.values() if "embedding" in part.roles]


def _find_embedding(parts: Mapping[str, Part], head: Sequence[str], input_size: int) -> str | None:
    """Return the name of the one embedding beside a head that was named."""
    inside = {part.name for name in head for part in below(parts, name)}
    there = [part for part in _embeddings(parts) if part.name not in inside]
    fitting = [part for part in there if part.width == input_size]
    # A state dict does not tell an embedding from a linear layer without bias.
    unfit = [part for part in there if part.roles == {"embedding"}]
    if len(fitting) > 1 or (unfit and not fitting):
        raise MissingArgumentError(
            f"embedding: expected one of width {input_size}, as the LSTM reads, found "
            f"{list_parts(fitting or unfit)}; name one with embedding=, or False for a model that "
            f"reads {input_size} floats a step",
            ["embedding"],
        )
    return fitting[0].name if fitting else None


def _fitting_heads(parts: Mapping[str, Part], width: int) -> list[tuple[str, ...]]:
    """Return linear layers, or sequences of them, that read so many numbers."""
    first: dict[str, Part] = {}  # linear layer of each
    for part in parts.values():
        if "linear" in part.roles:
            first.setdefault(_outermost_sequence(parts, part.name), part)
    return [(name,) for name, part in first.items() if part.width == width]


def _outermost_sequence(parts: Mapping[str, Part], name: str) -> str:
    """Return the largest sequence that this part is in, and neither LSTM nor embedding."""
    steps = name.split(".")
    for count in range(len(steps)):
        outer = ".".join(steps[:count])
        if outer in parts and "sequence" in parts[outer].roles:
            roles = {role for part in below(parts, outer) for role in part.roles}
            if not roles & {"recurrent", "embedding"}:
                return outer
    return name


def _left_out(needed: Iterable[Part], head: Sequence[str], table: str | None) -> bool:
    """Whether a part is neither in this head nor this embedding."""
    return any(
        part.name != table and not any(part.within(name) for name in head) for part in needed
    )


def origin_of(parts: Mapping[str, Part], lstms: Sequence[Part], ends: Ends) -> dict[str, str]:
    """Return what the parts were called."""
    origin = {lstms[0].cell.lower(): ", ".join(part.name for part in lstms)}
    if ends.head:
        origin["head"] = ", ".join(ends.head)
    if ends.embedding is not None:
        origin["embedding"] = ends.embedding
    used = [part.name for part in lstms] + [ends.embedding]
    others = [
        part.name or ", ".join(part.tensors)
        for part in parts.values()
        if part.matters and part.name not in used and _left_out([part], ends.head, None)
    ]
    if len(others) > _MOST_LISTED:
        others[_MOST_LISTED:] = [f"and {len(others) - _MOST_LISTED} more"]
    if others:
        origin["left_out"] = ", ".join(others)
    return origin
