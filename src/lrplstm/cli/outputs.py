"""What several commands write: files, JSON, and how many labels were met."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from lrplstm.cli.inputs import STDIN, STDOUT, InputError, Item
from lrplstm.weights import Array

__all__ = ["check_outputs", "count_correct", "json_lines", "print_accuracy", "write"]


def count_correct(items: list[Item], predicted: Array) -> int:
    """Return how many labels were met."""
    return sum(int(p) == item.label for item, p in zip(items, predicted, strict=True))


def print_accuracy(items: list[Item], predicted: Array) -> None:
    """Say how many labels were met, where there are labels."""
    if items[0].label is None:
        return
    right = count_correct(items, predicted)
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


def check_outputs(*inputs: str | None, **outputs: str | None) -> None:
    """Raise an InputError if an option's file cannot be written, or is needed for something else.

    Parameters
    ----------
    *inputs
        Files that are read.
    **outputs
        The file of each option.
    """
    paths = {f"--{option}": path for option, path in outputs.items() if path is not None}
    if len(set(map(_real, paths.values()))) < len(paths):
        *others, last = paths
        raise InputError(f"expected a file of its own for each of {', '.join(others)} and {last}")
    read = {os.path.realpath(path) for path in inputs if path not in (None, STDIN)}
    for option, path in paths.items():
        if path == STDOUT:
            continue
        if _real(path) in read:
            raise InputError(f"{option}: expected another file than {path}, which is read")
        file = Path(path)
        folder = file.resolve().parent
        if file.is_dir():
            raise InputError(f"{option}: expected a file, got the folder {path}")
        if not folder.is_dir():
            raise InputError(f"{option}: expected a folder that exists, got {path}")
        if not os.access(file if file.exists() else folder, os.W_OK):
            raise InputError(f"{option}: {path} cannot be written")


def _real(path: str) -> str:
    return path if path == STDOUT else os.path.realpath(path)


def write(outputs: dict[str, bytes]) -> None:
    """Write what was made, when all of it was made; a file is there as a whole, or as it was."""
    with ExitStack() as stack:
        ready = {}
        for path, content in outputs.items():
            try:
                ready[path] = _prepare(path, content, stack)
            except BrokenPipeError:
                raise
            except OSError as error:
                raise InputError(f"{path}: {error.strerror or error}") from None
        for path, made in ready.items():
            if made is not None:
                os.replace(made, os.path.realpath(path))


def _prepare(path: str, content: bytes, stack: ExitStack) -> Path | None:
    """Write a file beside the one that it will replace; or, as to a device, at once."""
    if path == STDOUT:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        return None
    file = Path(os.path.realpath(path))
    if (file.exists() and not file.is_file()) or not os.access(file.parent, os.W_OK):
        file.write_bytes(content)
        return None
    folder = tempfile.TemporaryDirectory(dir=file.parent, prefix=".writing-")
    made = Path(stack.enter_context(folder), file.name)
    made.write_bytes(content)
    if file.exists():
        shutil.copymode(file, made)
    return made
