"""Arguments that several commands have, and what texts of arguments mean."""

from __future__ import annotations

import argparse
import textwrap
from typing import Any

from lrplstm.backends import choose
from lrplstm.inputs import UNKNOWN_CHOICES
from lrplstm.loaders.registry import LOADERS
from lrplstm.methods import ALIASES, METHODS
from lrplstm.texts import shown

__all__ = [
    "add_method_options",
    "add_settings",
    "examples",
    "integer",
    "methods",
    "models",
    "names",
    "number",
    "path",
    "positive",
    "wrapped",
]


def path(text: str) -> str:
    """Return the path of a file or folder."""
    if not text:
        raise argparse.ArgumentTypeError("expected a path, got nothing")
    if "\0" in text:
        raise argparse.ArgumentTypeError(f"expected a path, got {shown(text)}")
    return text


def names(text: str) -> list[str]:
    """Return names with commas between."""
    return text.split(",")


def integer(text: str) -> int:
    """Return a whole number."""
    digits = text.removeprefix("-").removeprefix("+")
    if not (digits.isascii() and digits.isdigit()):
        raise argparse.ArgumentTypeError(f"invalid int value: {shown(text)}")
    # Too large for anything, and far from what int() refuses to read.
    return int(text) if len(digits) < 100 else int(text[:100])


def number(text: str) -> float:
    """Return a number."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"invalid float value: {shown(text)}") from None


def positive(text: str) -> int:
    """Return a whole number of at least 1."""
    if not (text.isascii() and text.isdigit()) or not text.strip("0"):
        raise argparse.ArgumentTypeError(f"expected a number from 1, got {shown(text)}")
    return integer(text)


def wrapped(text: str) -> str:
    """Return a description in lines, where what stands below it has lines of its own."""
    return textwrap.fill(text, 78)


def examples(*lines: str) -> str:
    """Return what stands below the help of a command."""
    return "\n".join(["examples:", *(f"  {line}" for line in lines)])


def methods() -> str:
    """Return the methods, their short names, and when to use which."""
    short = {name: f"{name}, {alias}" for alias, name in ALIASES.items()}
    width = max(len(short.get(name, name)) for name in METHODS)
    rows = [f"  {short.get(name, name):{width}}  {when}" for name, when in METHODS.when.items()]
    return "\n".join(["methods:", *rows])


def models(default: str = "") -> str:
    """Return what can be a model, and what is if nothing is said."""
    formats = [
        f"{loader.reads} ({', '.join(loader.suffixes)})" if loader.suffixes else loader.reads
        for loader in LOADERS.values()
    ]
    return f"the model: {'; '.join(formats[:-1])}; or {formats[-1]}{default}"


def add_method_options(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that only some methods have."""
    converters = {float: number, int: integer, str: None}
    for name, option in METHODS.options.items():
        taken: dict[str, Any] = {"metavar": option.metavar} if option.metavar else {}
        if isinstance(option.kind, tuple):
            taken["choices"] = option.kind
        else:
            taken["type"] = converters[option.kind]
        parser.add_argument(f"--{name.replace('_', '-')}", help=option.help, **taken)


def add_settings(parser: argparse.ArgumentParser, *, threads: bool = True) -> None:
    """Add which model to run, and how."""
    parser.add_argument(
        "--model", type=path, metavar="MODEL", help=f"{models()} (default: the model shipped)"
    )
    parser.add_argument(
        "--unknown",
        choices=UNKNOWN_CHOICES,
        help="words that the model does not know: an error, its unknown token, or a zero vector "
        "(default: unk if the model has an unknown token, else error)",
    )
    parser.add_argument(
        "--dtype",
        choices=["float32", "float64"],
        help="numbers to calculate with (default: the model's)",
    )
    parser.add_argument("--backend", choices=list(choose.BACKENDS), default="auto")
    if threads:
        parser.add_argument(
            "--threads", type=positive, metavar="N", help="threads to use (default: all processors)"
        )
