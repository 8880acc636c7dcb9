"""Objects as JSON, one a line; those of a whole batch in a part of the time."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import IO, Any

from lrplstm.records import Columns, columns

__all__ = ["JsonLines", "encode_records"]

# Strict, and without a search for circles, of which there are none.
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False).encode


class JsonLines:
    """Writes objects to a file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, objects: Iterable[Any]) -> None:
        """Write objects."""
        self.write_texts(list(map(_encode, objects)))

    def write_texts(self, texts: list[str]) -> None:
        """Write objects that are JSON already."""
        self._file.write("\n".join([*texts, ""]).encode())


def encode_records(attributions: Any, added: Columns) -> list[str]:
    """Return the record of each sequence as JSON, with what columns add to it."""
    as_columns = columns(attributions)
    if as_columns is None:
        names = tuple(added)
        records = zip(attributions.to_dicts(), *added.values(), strict=True)
        return [_encode(record | dict(zip(names, row, strict=True))) for record, *row in records]
    first, differing = as_columns
    # Columns are encoded as a whole, and what is the same in all records once.
    lists: list[Iterable[str]] = []
    first |= {name: column[0] for name, column in added.items()}
    template = _template(first, differing | added, lists)
    return [template % row for row in zip(*lists, strict=True)]


def _template(first: dict[str, Any], differing: Columns, lists: list[Iterable[str]]) -> str:
    """Return an object with "%s" where records differ, and append what stands there to `lists`."""
    parts = []
    for name, value in first.items():
        column = differing.get(name)
        if isinstance(column, dict):
            text = _template(value, column, lists)
        elif column is None or column.count(None) == len(column):
            text = _encode(value).replace("%", "%%")
        else:
            text = "%s"
            lists.append(_encode_each(column))
        parts.append(f"{_encode(name)}: {text}")
    return f"{{{', '.join(parts)}}}"


def _encode_each(column: list[Any]) -> Iterable[str]:
    """Return each value of a column as JSON."""
    kinds = set(map(type, column))
    if kinds <= {int, float}:
        return _encode(column)[1:-1].split(", ")
    if kinds == {str}:
        texts = {value: _encode(value) for value in set(column)}
        return map(texts.__getitem__, column)
    if kinds == {list}:
        parts = _encode(column)[2:-2].split("], [")
        # There are more where that stands within a value, too.
        if len(parts) == len(column):
            return [f"[{part}]" for part in parts]
    return map(_encode, column)
