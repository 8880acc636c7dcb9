"""Where output goes: files by their suffixes, never over what is read, and whole or not at all."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from importlib.resources import files
from pathlib import Path
from typing import IO, NamedTuple

from lrplstm.cli.inputs import STDIN, STDOUT, InputError
from lrplstm.texts import shown

__all__ = ["Output", "check_target_folder", "naming_output", "open_outputs", "requested"]

_SUFFIXES = {"json": (".json", ".jsonl"), "html": (".html", ".htm"), "png": (".png",)}
"""The options that write one format, and what their files end in, if in anything."""

_READ = ("file", "series", "inputs", "vocabulary", "config")
"""The options that name files to read, beside the model."""

_LONGEST_PATH = 4096
"""No file has a longer one."""


class Output(NamedTuple):
    """A file to write.

    Attributes
    ----------
    option : str
        The option that asks for it, as users write it.
    path : str
    suffix : str
        What it ends in, or what the option's files do: the format.
    """

    option: str
    path: str
    suffix: str


def requested(options: argparse.Namespace, suffixes: Collection[str]) -> list[Output]:
    """Return what --out, --json, --html and --png ask for, checked against what is read.

    Raises
    ------
    InputError
        If a suffix is none of `suffixes`, or not that of the option; if two are one file; or if a
        file cannot be written, or is needed for something else.
    """
    outputs = [
        Output(f"--{name}", path, own[0])
        for name, own in _SUFFIXES.items()
        if (path := getattr(options, name, None)) is not None
    ]
    outputs += (Output("--out", path, _suffix(path)) for path in options.out or ())
    for option, path, _ in outputs:
        if len(path) > _LONGEST_PATH:  # which takes long to follow
            raise InputError(f"{option}: expected the path of a file, got {path!r:.60}")
    for n, output in enumerate(outputs):
        for other in outputs[:n]:
            if _is_same(output.path, other.path):
                both = f"{other.option} and {output.option}"
                raise InputError(f"expected a file of its own for each of {both}")
    read = _Read(options)
    for output in outputs:
        if output.path != STDOUT:
            read.check(output.option, output.path)
        _check_suffix(output, suffixes)
        if output.path != STDOUT:
            _check_writable(output.option, Path(output.path))
    return outputs


def _suffix(path: str) -> str:
    return os.path.splitext(path)[1].lower()


def _listed(suffixes: Collection[str]) -> str:
    *others, last = suffixes
    return f"{', '.join(others)} or {last}" if others else last


def _check_suffix(output: Output, known: Collection[str]) -> None:
    option, path, suffix = output.option, output.path, _suffix(output.path)
    own = _SUFFIXES.get(option.removeprefix("--"))
    if own is None:
        if suffix not in known:
            raise InputError(
                f"{option}: expected a file that ends in {_listed(known)}, got {shown(path)}"
            )
    elif suffix and suffix not in own:
        hint = f"; use --out {path}" if suffix in known else ""
        raise InputError(
            f"{option}: expected a file that ends in {_listed(own)}, got {shown(path)}{hint}"
        )


def _check_writable(option: str, file: Path) -> None:
    folder = file.resolve().parent
    if file.is_dir():
        raise InputError(f"{option}: expected a file, got the folder {file}")
    if not folder.is_dir():
        raise InputError(f"{option}: expected a folder that exists, got {file}")
    if not os.access(file if file.exists() else folder, os.W_OK):
        raise InputError(f"{option}: {file} cannot be written")


def _is_same(path: str | Path, other: str | Path) -> bool:
    """Whether two names are of one file, through links and whatever else."""
    try:
        return os.path.samefile(path, other)
    except OSError:  # one does not exist
        return os.path.realpath(path) == os.path.realpath(other)


class _Read:
    """The files that a command reads, and the folder of its model if it is one."""

    def __init__(self, options: argparse.Namespace, model: str | None = None) -> None:
        given = [getattr(options, name, None) for name in _READ]
        self.files = [Path(path) for path in given if path not in (None, STDIN)]
        model = model or options.model
        self.model = Path(str(files("lrplstm.default_model"))) if model is None else Path(model)
        if self.model.is_dir():
            self.files += (path for path in self.model.iterdir() if path.is_file())

    def check(self, option: str, path: str | Path) -> None:
        """Raise an InputError if something is to be written where something is read."""
        for file in [*self.files, self.model]:
            if _is_same(path, file):
                raise InputError(f"{option}: expected another file than {path}, which is read")
        folders = Path(os.path.realpath(path)).parents
        if self.model.is_dir() and any(_is_same(folder, self.model) for folder in folders):
            raise InputError(
                f"{option}: expected a file outside the model's folder {self.model}, got {path}"
            )
        if self._is_part_of_graph(Path(path)):
            raise InputError(f"{option}: expected another file than {path}, which is read")

    def _is_part_of_graph(self, path: Path) -> bool:
        """Whether an ONNX file may keep weights there: it then has the name of that file in it."""
        if self.model.suffix.lower() != ".onnx" or not path.exists():
            return False
        folder = os.path.realpath(self.model.parent)
        if os.path.commonpath([folder, os.path.realpath(path)]) != folder:
            return False
        return self.model.is_file() and os.fsencode(path.resolve().name) in self.model.read_bytes()


def check_target_folder(options: argparse.Namespace, names: Collection[str]) -> None:
    """Raise an InputError if files of these names in `convert`'s OUT are, or lie in, what it reads.

    Nor may OUT be the folder that is read, or lie in it.
    """
    read = _Read(options, options.source)
    for name in names:
        read.check("OUT", Path(options.folder, name))


# Writing ------------------------------------------------------------------------------------------


@contextmanager
def open_outputs(outputs: list[Output]) -> Iterator[list[IO[bytes]]]:
    """Open files to write to; all are there as a whole when all is done, or else as they were."""
    with ExitStack() as stack:
        opened = [_Destination(output.path, stack) for output in outputs]
        yield [destination.file for destination in opened]
        for destination in opened:
            destination.complete()
        for destination in opened:
            destination.replace()


@contextmanager
def _naming_file(path: str) -> Iterator[None]:
    """Let errors of the system name the file that is written."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None


@contextmanager
def naming_output(output: Output) -> Iterator[None]:
    """Let errors name the option that asks for an output, or its file."""
    with _naming_file(output.path):
        try:
            yield
        except (ValueError, InputError) as error:
            raise InputError(f"{output.option}: {error}") from None


class _Destination:
    """A file that is written beside the one it will replace; or, as to a device, in the end."""

    def __init__(self, path: str, stack: ExitStack) -> None:
        self.path = path
        self._target = Path(os.path.realpath(path))
        self._made: Path | None = None
        self.file: IO[bytes]
        if path == STDOUT:
            sys.stdout.flush()
            self.file = sys.stdout.buffer
            return
        with _naming_file(path):
            target = self._target
            is_other = target.exists() and not target.is_file()
            if is_other or not os.access(target.parent, os.W_OK):
                spool = tempfile.SpooledTemporaryFile(max_size=2**24)  # noqa: SIM115
                self.file = stack.enter_context(spool)
                return
            folder = tempfile.TemporaryDirectory(dir=target.parent, prefix=".writing-")
            self._made = Path(stack.enter_context(folder), target.name)
            self.file = stack.enter_context(self._made.open("wb"))

    def complete(self) -> None:
        """See to it that all is written that can be before a file is replaced."""
        with _naming_file(self.path):
            if self._made is not None:
                self.file.close()
                if self._target.exists():
                    shutil.copymode(self._target, self._made)
            elif self.path == STDOUT:
                self.file.flush()
            else:
                self.file.seek(0)
                with open(self._target, "wb") as target:
                    shutil.copyfileobj(self.file, target)

    def replace(self) -> None:
        """Put the file where it belongs."""
        if self._made is not None:
            with _naming_file(self.path):
                os.replace(self._made, self._target)
