"""JSON from strangers: read only where what it makes is not many times as large as its text."""

from __future__ import annotations

import json
from typing import Any

from lrplstm.texts import first_line

__all__ = ["check_parts", "parse_json"]

_MOST_BYTES = 2**24
_MOST_PARTS, _BYTES_PER_PART = 2**18, 64  # a part takes up to 100 bytes
_MARKS = (b",", b":", b"[", b"{")


def parse_json(text: str | bytes, name: str) -> Any:
    """Return what a JSON text says.

    Parameters
    ----------
    text : str or bytes
    name : str
        What errors call it.

    Raises
    ------
    ValueError
        If it is something else, or more than descriptions of models need.
    """
    try:
        content = text if isinstance(text, bytes) else text.encode()
        if len(content) > _MOST_BYTES:
            raise ValueError(f"{len(content)} bytes, more than {_MOST_BYTES}")
        check_parts(content)
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # a UnicodeError is a ValueError
        raise ValueError(
            f"{name}: expected JSON, got something else ({first_line(error)})"
        ) from None


def check_parts(content: bytes) -> None:
    """Raise a ValueError if a JSON text lists or names more than its size accounts for."""
    most = _MOST_PARTS + len(content) // _BYTES_PER_PART
    if sum(map(content.count, _MARKS)) > most:
        raise ValueError(f"{len(content)} bytes in more than {most} parts")
