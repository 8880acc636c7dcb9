"""What several commands write: files, JSON, and how many labels were met."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from lrplstm.cli.inputs import STDOUT, InputError, Item
from lrplstm.weights import Array

__all__ = ["check_outputs", "json_lines", "print_accuracy", "write"]


def print_accuracy(items: list[Item], predicted: Array) -> None:
    """Say how many labels were met, where there are labels."""
    if items[0].label is None:
        return
    right = sum(int(p) == item.label for item, p in zip(items, predicted, strict=True))
    print(f"accuracy: {right} of {len(items)} ({right / len(items):.1%})")


def json_lines(objects: list[dict[str, Any]]) -> bytes:
    """Return objects as JSON, one a line."""
    try:
        lines = [json.dumps(o, ensure_ascii=False, allow_nan=False) + "\n" for o in objects]
    except ValueError:
        raise InputError(
            "--json: a number is too large to be written: relevance overflowed"
        ) from None
    return "".join(lines).encode()


def write(outputs: dict[str, bytes]) -> None:
    """Write what was made, when all of it was made."""
    for path, content in outputs.items():
        if path == STDOUT:
            sys.stdout.write(content.decode())
        else:
            Path(path).write_bytes(content)


def check_outputs(**paths: str | None) -> None:
    """Raise an InputError if two options name one file."""
    files = [os.path.realpath(path) for path in paths.values() if path not in (None, STDOUT)]
    if len(set(files)) < len(files):
        *others, last = (f"--{option}" for option in paths)
        raise InputError(f"expected a file of its own for each of {', '.join(others)} and {last}")
