"""Masks that a module computes of its inputs: which steps only fill sequences up.

A module is read from runs in which no step is padding. There a mask is the same for all steps: a
constant, which goes along with a note of what it is a mask of. It is read where it then changes
nothing: where it multiplies with 1, adds 0, fills nothing, or counts all steps. Other uses are
refused; what becomes of padding, runs that have some show (`lrplstm.loaders.torch_padding`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lrplstm.loaders.torch_values import Mask, Padding, Translation, Value

__all__ = ["COMPARISONS", "PaddingSeenError", "compared", "mask_of", "used"]

COMPARISONS = frozenset("ne eq gt ge lt le logical_not".split())
_CHOOSING = frozenset("index gather index_select select slice narrow take_along_dim".split())


class PaddingSeenError(Exception):
    """Ids of a run have some among them that are padding: `padding` says which."""

    def __init__(self, padding: Padding) -> None:
        super().__init__(padding)
        self.padding = padding


# How they begin ---------------------------------------------------------------------------------


def compared(t: Translation, name: str, arguments: Mapping[str, Any], tensor: Any) -> Value:
    """Return the mask that a comparison of an input with a number is."""
    value, other = arguments["self"], arguments.get("other", 0)
    number = other if isinstance(other, bool | int | float) else _one_number(other)
    source = t.input_of(value) if isinstance(value, Value) else None
    if source is None or number is None:
        raise t.refuse(
            f"{name} decides by numbers that inputs make; expected to compare an input with the "
            "one number that padding has"
        )
    unsigned = source.absolute or not source.value.tensor.is_floating_point()
    padding, is_equal = _padding(name, number, unsigned=unsigned)
    if padding is None or (source.absolute and padding):
        raise t.refuse(f"{name} decides by the numbers of an input; expected == or !=")
    seen = Padding(source.value.name, float(padding))
    t.note_padding(seen)
    if (tensor == is_equal).any():
        raise PaddingSeenError(seen)
    return Value(tensor, constant=True, mask=Mask(seen))


def _one_number(value: Any) -> float | None:
    if isinstance(value, Value) and value.constant and value.tensor.numel() == 1:
        return float(value.tensor)
    return None


def _padding(name: str, number: float, *, unsigned: bool) -> tuple[float | None, bool]:
    """Return what padding is by a comparison, None if that is no single number, and its result."""
    if name in ("ne", "eq"):
        return number, name == "eq"
    if name == "logical_not":
        return 0, True
    if unsigned and (name, number) in (("gt", 0), ("ge", 1)):
        return 0, False
    if unsigned and (name, number) in (("le", 0), ("lt", 1)):
        return 0, True
    return None, False


# What becomes of them ---------------------------------------------------------------------------


def mask_of(name: str, arguments: Mapping[str, Any], tensor: Any) -> Mask | None:
    """Return the note of a constant that is made of masks; None if it is made of none."""
    masks = list(_masks(arguments))
    if not masks or not hasattr(tensor, "dtype"):
        return None  # of lengths that were sorted, or are a number now: all are the same
    counts = any(mask.counts for mask in masks) or name in ("sum", "count_nonzero")
    return Mask(masks[0].padding, counts and tensor.dtype != tensor.bool().dtype)


def used(t: Translation, name: str, arguments: Mapping[str, Any], tensor: Any) -> Value | None:
    """Return what an operation makes of a mask and of what inputs decide.

    That is what it would be without the mask; None where this is computed as from any constant.

    Raises
    ------
    RefusedError
        If the mask does more than that.
    """
    if name in (*_CHOOSING, "div") and all(mask.counts for mask in _masks(arguments)):
        return None
    for kept, mask, numbers in _ways(name, arguments):
        if not _is_mask(mask):
            continue
        if name == "mul" and not mask.tensor.any():  # what a state keeps where there is padding
            return Value(t.torch.zeros_like(tensor), constant=True, mask=mask.mask)
        if (mask.tensor == numbers).all():
            whole = isinstance(kept, Value) and kept.shape == tuple(tensor.shape)
            return kept if whole else None
    raise t.refuse(
        f"{name} reads a mask of padding otherwise than known: masked_fill, where, a product with "
        "1 or 0, something that is added to scores, and lengths that are counted"
    )


def _ways(name: str, given: Mapping[str, Any]) -> list[tuple[Any, Any, int]]:
    """Return what may be kept by which mask, and what all of its numbers have to be for that."""
    one, other = given.get("self"), given.get("other")
    match name:
        case "mul":
            return [(one, other, 1), (other, one, 1)]
        case "add":
            return [(one, other, 0), (other, one, 0)]
        case "sub":
            return [(one, other, 0)]
        case "masked_fill":
            return [(one, given["mask"], 0)]
        case "index_put":
            return [(one, mask, 0) for mask in given["indices"]]
        case "where":
            return [(one, given["condition"], 1), (other, given["condition"], 0)]
        case "scaled_dot_product_attention":
            mask = given["attn_mask"]
            adds = mask is not None and mask.tensor.is_floating_point()
            return [(None, mask, 0 if adds else 1)]
    return []


def _is_mask(value: Any) -> bool:
    return isinstance(value, Value) and value.constant and value.mask is not None


def _masks(arguments: Any) -> Iterator[Mask]:
    """Yield the notes of all masks among some arguments."""
    if isinstance(arguments, Value):
        if arguments.mask is not None:
            yield arguments.mask
    elif isinstance(arguments, Mapping):
        yield from _masks(list(arguments.values()))
    elif isinstance(arguments, list | tuple):
        for argument in arguments:
            yield from _masks(argument)
