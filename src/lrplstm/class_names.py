"""What the classes of a model are called, and what its parts were where they come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from lrplstm.texts import shown
from lrplstm.variables import check_strings

__all__ = ["check_class_names", "check_origin"]


def check_class_names(names: Sequence[str], scores: int, task: str) -> tuple[str, ...]:
    """Return the names of classes, or outputs, of a model that has so many scores."""
    checked = check_strings("class_names", names)
    two = scores == 1 and task == "classification"
    if len(checked) not in ((1, 2) if two else (scores,)):
        expected = "1 or 2" if two else scores
        raise ValueError(f"class_names: expected {expected} names, got {len(checked)}")
    first: dict[str, int] = {}
    for position, name in enumerate(checked):
        if not name.strip():
            raise ValueError(
                f"class_names: expected names, got an empty one at position {position}"
            )
        if first.setdefault(name, position) != position:
            raise ValueError(
                f"class_names: expected distinct names, got {shown(name)} at {first[name]} and at "
                f"{position}"
            )
    return checked


def check_origin(origin: Mapping[str, str] | None) -> MappingProxyType[str, str] | None:
    """Return what the parts of a network were called where they come from."""
    if origin is None:
        return None
    if not isinstance(origin, Mapping) or not all(
        isinstance(text, str) for pair in origin.items() for text in pair
    ):
        raise TypeError(f"origin: expected a mapping of str to str, got {shown(origin)}")
    return MappingProxyType(dict(origin))
