"""The files of a corpus: which there are, what format each has, and how it is opened."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, NamedTuple

from lrplstm.exports.needed import needed
from lrplstm.texts import did_you_mean, shown

__all__ = ["FORMATS", "STDIN", "Opened", "SourceFile", "content", "source_files"]

STDIN = "-"

FORMATS = {
    "text": (".txt", ".text"),
    "labelled": (),
    "jsonl": (".jsonl", ".ndjson"),
    "csv": (".csv",),
    "tsv": (".tsv",),
    "parquet": (".parquet", ".pq"),
    "arrow": (".arrow", ".feather", ".ipc"),
}
"""Formats by name, and what their files end in."""

_COMPRESSED = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}

_WHOLE = ("parquet", "arrow")
"""Formats that need a file in which one can go back and forth."""


@dataclass(frozen=True)
class SourceFile:
    """One file of a corpus.

    Attributes
    ----------
    name : str
        Its path as it was given, or found in a folder; "-" is standard input.
    format : str
        One of `FORMATS`.
    compression : str, optional
        How it is compressed.
    size : int, optional
        Its bytes; None where that is not known.
    """

    name: str
    format: str
    compression: str | None = None
    size: int | None = None

    @property
    def seekable(self) -> bool:
        """Whether a part of it can be read by itself, wherever a worker runs."""
        return self.name != STDIN and self.compression is None

    @contextmanager
    def open(self) -> Iterator[Opened]:
        """Open it to be read in binary, without its compression."""
        with _opened(self.name) as file:
            if self.compression is None:
                yield Opened(file, file)
                return
            pyarrow = needed("pyarrow", "a corpus")
            with pyarrow.CompressedInputStream(file, self.compression) as stream:
                yield Opened(stream, file)


class Opened(NamedTuple):
    """A file that is open.

    Attributes
    ----------
    stream : binary file
        What is in it.
    raw : binary file
        It itself, which may be compressed.
    """

    stream: Any
    raw: Any

    @property
    def position(self) -> int:
        """How many bytes of the file have been read; 0 where it cannot say."""
        try:
            return int(self.raw.tell())
        except OSError:  # a pipe
            return 0


@contextmanager
def _opened(name: str) -> Iterator[Any]:
    if name == STDIN:
        import sys

        if sys.stdin is None:
            raise ValueError("standard input is closed")
        yield sys.stdin.buffer
    elif "://" in name:
        with needed("fsspec", name).open(name, "rb") as file:
            yield file
    else:
        with open(name, "rb") as file:
            yield file


def source_files(
    sources: str | os.PathLike[str] | Iterable[Any], format: str | None
) -> list[SourceFile]:
    """Return the files that paths, folders and patterns name, in the order of their names.

    Raises
    ------
    TypeError
        If a source is no path.
    ValueError
        If there is none, it is named twice, or its format is not known.
    OSError
        If there is no such file.
    """
    if isinstance(sources, str | os.PathLike):
        sources = [sources]
    if format is not None and format not in FORMATS:
        raise ValueError(
            f"format: expected one of {', '.join(FORMATS)}, got {shown(format)}"
            f"{did_you_mean(format, FORMATS)}"
        )
    files: list[SourceFile] = []
    for source in sources:
        if not isinstance(source, str | os.PathLike):
            raise TypeError(f"source: expected paths, got {type(source).__name__}")
        files += [_source_file(name, format) for name in _names(os.fspath(source))]
    if not files:
        raise ValueError("source: expected at least one file, got none")
    seen: set[str] = set()
    for file in files:
        path = file.name if "://" in file.name else os.path.realpath(file.name)
        if path in seen:
            raise ValueError(f"{file.name}: expected each file once, got it twice")
        seen.add(path)
    return files


def _names(source: str) -> Sequence[str]:
    """Return the files that a source stands for."""
    if source == STDIN:
        return [source]
    if "://" in source:
        return _remote_names(source)
    if os.path.isdir(source):
        found = [
            os.path.join(folder, name)
            for folder, folders, names in os.walk(source)
            for name in names
            if not folders.sort() and not name.startswith((".", "_"))
        ]
        if not found:
            raise ValueError(f"{source}: expected a folder of files, got an empty one")
        return sorted(found)
    if not os.path.exists(source) and any(mark in source for mark in "*?["):
        import glob

        found = sorted(name for name in glob.glob(source, recursive=True) if os.path.isfile(name))
        if not found:
            raise FileNotFoundError(2, "no file of this pattern", source)
        return found
    return [source]


def _remote_names(source: str) -> list[str]:
    fs, path = needed("fsspec", source).core.url_to_fs(source)
    if fs.isdir(path):
        found = fs.find(path)
    else:
        found = fs.glob(path) if any(mark in path for mark in "*?[") else [path]
    if not found:
        raise FileNotFoundError(2, "no such file", source)
    return [fs.unstrip_protocol(name) for name in sorted(found)]


def _source_file(name: str, format: str | None) -> SourceFile:
    bare, compression = name, None
    for ending, kind in _COMPRESSED.items():
        if name.lower().endswith(ending):
            bare, compression = name[: -len(ending)], kind
    if format is None:
        format = _format_of(name, bare)
    if compression is not None and format in _WHOLE:
        raise ValueError(
            f"{name}: expected a file of its own compression, got {format} inside {compression}"
        )
    if name == STDIN:
        if format in _WHOLE:
            raise ValueError(f"standard input: expected lines, got {format}; pass a file")
        return SourceFile(name, format)
    if "://" in name:
        fs, path = needed("fsspec", name).core.url_to_fs(name)
        return SourceFile(name, format, compression, fs.size(path))
    # What is no regular file has no size, such as a pipe, and is read once, from its beginning.
    regular = os.path.isfile(name)
    size = os.stat(name).st_size
    return SourceFile(name, format, compression, size if regular else None)


def _format_of(name: str, bare: str) -> str:
    ending = os.path.splitext(bare)[1].lower()
    if ending == "" or name == STDIN:
        return "text"
    for format, endings in FORMATS.items():
        if ending in endings:
            return format
    known = ", ".join(ending for endings in FORMATS.values() for ending in endings)
    raise ValueError(
        f"{name}: expected a file that ends in one of {known} (or these and .gz, .zst, .bz2); "
        "say which format it has"
    )


def content(file: IO[bytes], start: int, end: int) -> bytes:
    """Return the bytes of a file from one place to another."""
    file.seek(start)
    return file.read(end - start)
