"""Loaders by what they read: the ends of names, what is in a file or folder, and the options.

A loader is imported when a model is read with it, and not before. To add one, see
``docs/how-to.md``.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from lrplstm.base_model import Model
from lrplstm.loaders.convertible import conversion
from lrplstm.texts import shown, with_visible_errors

__all__ = [
    "LOADERS",
    "Loader",
    "Option",
    "first_member",
    "loader_of",
    "options",
    "read_model",
    "refuse_others",
    "register",
]

_BEGINNING = 512
"""So many bytes of a file are looked at, to see what it is."""


@dataclass(frozen=True)
class Option:
    """An argument of loaders, as the command line offers it.

    Attributes
    ----------
    name : str
        What the loader calls it; on the command line ``_`` is ``-``.
    help : str
        What it says.
    kind : {"text", "names", "file", "tokens", "switch"}
        What is given: a text, which the loader gets as it is; several of them with commas, of which
        it gets a list; the path of a file; of a file of tokens, one a line, of which it gets the
        list; or nothing, as ``--name`` is True and ``--no-name`` is False.
    metavar : str, optional
        What stands for the value in the help.
    choices : tuple of str
        The values that there are, if they are few.
    none : str
        What ``--no-name`` says, if there can be none of it: the loader then gets False.
    """

    name: str
    help: str
    kind: Literal["text", "names", "file", "tokens", "switch"] = "text"
    metavar: str | None = None
    choices: tuple[str, ...] = ()
    none: str = ""


def _tells_nothing(path: Path, beginning: bytes) -> str | None:
    return None


@dataclass(frozen=True)
class Loader:
    """What is known of a loader without importing it; called, it imports it and reads a model.

    Attributes
    ----------
    function : str
        Where it is, as "package.module:function". Its first argument is the path.
    reads : str
        What it reads, for help and errors, such as "a Keras model".
    suffixes : tuple of str
        How the names of its files end, in lower case and with the dot.
    options : tuple of Option
        Arguments of the function that the command line has options for.
    recognize : callable
        From a path and the first 512 bytes of the file (none of a folder) to what it is, such as
        "an HDF5 file", if there is no doubt that it is for this loader; else to None.
    """

    function: str
    reads: str
    suffixes: tuple[str, ...] = ()
    options: tuple[Option, ...] = ()
    recognize: Callable[[Path, bytes], str | None] = _tells_nothing

    @property
    def name(self) -> str:
        """What the function is called."""
        return self.function.partition(":")[2]

    def __call__(self, path: str | os.PathLike[str], **options: Any) -> Model:
        """Read a model."""
        model: Model = self.load()(path, **options)
        return model

    def load(self) -> Any:
        """Import the function and return it."""
        return getattr(import_module(self.function.partition(":")[0]), self.name)


LOADERS: dict[str, Loader] = {}
"""The loaders that are known, by the names of their functions."""


def register(loader: Loader) -> Loader:
    """Make a loader known under the name of its function.

    Parameters
    ----------
    loader : Loader
        With a name, suffixes and options that mean nothing else yet.

    Returns
    -------
    Loader
        The same.

    Raises
    ------
    TypeError
        If it is no `Loader`.
    ValueError
        If its function is not written as it should be, or another loader has its name, one of its
        suffixes, or an option of the same name and another kind.
    """
    if not isinstance(loader, Loader):
        raise TypeError(f"loader: expected a Loader, got {shown(loader)}")
    if not loader.name.isidentifier():
        raise ValueError(
            f"function: expected 'package.module:function', got {shown(loader.function)}"
        )
    for other in LOADERS.values():
        if other.function == loader.function:  # a module that is run again
            continue
        if other.name == loader.name:
            raise ValueError(f"function: expected a new name, got {loader.name!r}")
        for suffix in loader.suffixes:
            if suffix in other.suffixes:
                raise ValueError(f"suffixes: expected new ones, got {suffix!r} of {other.name}")
        kinds = {option.name: option.kind for option in other.options}
        for option in loader.options:
            if kinds.get(option.name, option.kind) != option.kind:
                raise ValueError(
                    f"options: expected {option.name!r} to be of kind {kinds[option.name]!r} as "
                    f"in {other.name}, got {option.kind!r}"
                )
    LOADERS[loader.name] = loader
    return loader


def options() -> dict[str, Option]:
    """Return the options of all loaders by name, those that few take first.

    Where there can be none for one loader, it says so for all.
    """
    known: dict[str, Option] = {}
    takers = Counter[str]()
    for loader in LOADERS.values():
        for option in loader.options:
            first = known.setdefault(option.name, option)
            if option.none and not first.none:
                known[option.name] = replace(first, none=option.none)
            takers[option.name] += 1
    return {name: known[name] for name in sorted(known, key=takers.__getitem__)}


@with_visible_errors
def loader_of(path: str | os.PathLike[str]) -> Loader:
    """Return the loader for a folder or file; that of the package's own format for anything else.

    Raises
    ------
    ValueError
        If it is a file that neither its name nor its content tells the format of, or is of a
        format that has to be converted first.
    """
    path = Path(path)
    if recognized := _recognized(path):
        return recognized[0]
    by_suffix = {suffix: loader for loader in LOADERS.values() for suffix in loader.suffixes}
    if not os.path.isdir(path):
        if path.suffix.lower() in by_suffix:
            return by_suffix[path.suffix.lower()]
        if os.path.isfile(path):
            raise ValueError(
                f"{path}: expected a model folder or a file that ends in {', '.join(by_suffix)}"
            )
    return LOADERS["load"]


def read_model(path: str | os.PathLike[str], **options: Any) -> Model:
    """Read a model in any format; `options` are those of its loader."""
    return loader_of(path)(path, **options)


def refuse_others(source: Any, name: str) -> None:
    """Refuse the path of what surely is for another loader than the one of this name, or none."""
    if not isinstance(source, str | os.PathLike):
        return
    recognized = _recognized(Path(source))
    if recognized and recognized[0].name != name:
        loader, kind = recognized
        raise ValueError(
            f"{os.fspath(source)}: expected {LOADERS[name].reads}, got {kind}: use {loader.name}"
        )


def _recognized(path: Path) -> tuple[Loader, str] | None:
    """Return which loader a folder or a file is for and what it is, if it tells.

    Raises
    ------
    ValueError
        If it is of a format that has to be converted first; it says how.
    """
    beginning = b""
    advice = None
    with suppress(OSError, ValueError):  # what cannot be read, the loader says
        if os.path.isfile(path):
            with path.open("rb") as file:
                beginning = file.read(_BEGINNING)
        elif not os.path.isdir(path):
            return None
        for loader in LOADERS.values():
            if kind := loader.recognize(path, beginning):
                return loader, kind
        advice = conversion(path, beginning)
    if advice:
        raise ValueError(f"{os.fspath(path)}: expected a model that can be read, got {advice}")
    return None


def first_member(beginning: bytes) -> str | None:
    """Return the name of the first file in a ZIP archive, of which this is the beginning."""
    if not beginning.startswith(b"PK\x03\x04"):
        return None
    length = int.from_bytes(beginning[26:28], "little")
    return beginning[30 : 30 + length].decode("utf-8", "replace")
