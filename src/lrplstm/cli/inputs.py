"""What the user gave, as all commands take it: a model, options by their names, sequences."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

import lrplstm
from lrplstm import heatmap
from lrplstm.base_model import Model
from lrplstm.errors import AboutArgument, Element, MissingArgumentError, Spelling
from lrplstm.loaders.registry import options as loader_options
from lrplstm.loaders.registry import read_model
from lrplstm.step_labels import StepLabels
from lrplstm.tables import Table
from lrplstm.texts import shown
from lrplstm.weights import Array

__all__ = [
    "NO_FILE",
    "STDIN",
    "STDOUT",
    "InputError",
    "Item",
    "Naming",
    "check_inputs",
    "given",
    "load_model",
    "one_line",
    "settle_inputs",
    "take_json_as_input",
]

STDIN = STDOUT = "-"


class _Unsaid(str):
    """A value that an option has where none is given."""


NO_FILE = _Unsaid(STDOUT)
"""The file of `--json` where it is given without one; `--json -` says it."""

_MOST_LETTERS = 2000  # of a message


class InputError(Exception):
    """Something the user gave cannot be used; its text is the one line to show."""


class Item(NamedTuple):
    """One sequence.

    Attributes
    ----------
    name : str
        What errors call it.
    sequence : list of str, or ndarray
        Tokens, ids or floats.
    label : int, optional
        The class that it should have, counted from 0.
    variables : list of str, optional
        What the columns of a series are called.
    steps : list of str, optional
        What its steps are called, such as dates.
    written : str, optional
        The text that the tokens were made of.
    inputs : dict, optional
        All inputs of a model of several, by name; `sequence` is then the first that has steps.
    """

    name: str
    sequence: list[str] | Array
    label: int | None = None
    variables: list[str] | None = None
    steps: list[str] | None = None
    written: str | None = None
    inputs: dict[str, Any] | None = None

    @property
    def named(self) -> list[str] | Array | Table:
        """The sequence, with its names if it has any, as a model takes it."""
        if self.variables is None and self.steps is None:
            return self.sequence
        names = None if self.variables is None else tuple(self.variables)
        labels = None if self.steps is None else StepLabels.of_texts(self.steps)
        return Table(np.asarray(self.sequence), names, labels)

    @property
    def ids(self) -> list[int] | None:
        """The ids, where it has them rather than tokens or floats."""
        if isinstance(self.sequence, list) or self.sequence.ndim != 1:
            return None
        return self.sequence.tolist()

    @property
    def words(self) -> list[str] | None:
        """What can be shown for each step: its token, id or name, where it has one."""
        if isinstance(self.sequence, list):
            return self.sequence
        return self.steps if self.ids is None else list(map(str, self.ids))

    @property
    def text(self) -> str:
        """It in words."""
        if isinstance(self.sequence, list) or self.ids is not None:
            return " ".join(self.words or ())
        return f"{self.name}: {len(self.sequence)} steps"


def given(items: Sequence[Item]) -> Any:
    """Return sequences as a model takes them: a list, or of several inputs lists by name."""
    if items[0].inputs is None:
        return [item.named for item in items]
    return {name: [item.inputs[name] for item in items if item.inputs] for name in items[0].inputs}


class _Options(Spelling):
    """Arguments as the options that they are, and sequences as the user calls them.

    Parameters
    ----------
    names : collection of str
        Arguments that are options.
    source : str
        What is read.
    items : sequence of Item
        What `inputs` holds.
    """

    def __init__(self, names: Collection[str], source: str, items: Sequence[Item] = ()) -> None:
        self._names, self._source, self._items = names, source, items

    def argument(self, name: str) -> str:
        """Return the name of a sequence, the source, or an option."""
        element = name if isinstance(name, Element) else None
        argument = element.argument if element else name
        if element and argument in ("inputs", "labels"):
            return self._items[element.position].name
        if element and argument.startswith("inputs["):  # one of several, by name
            return f"{self._items[element.position].name}: {argument[len('inputs[') : -1]}"
        if argument in ("inputs", "source"):
            return self._source
        flag = self._flag(argument)
        return name if flag is None else f"{flag}{name[len(argument) :]}"

    def option(self, name: str, value: object = None) -> str:
        """Return an option, and its value if there is one."""
        flag = self._flag(name)
        if flag is None:
            return super().option(name, value)
        if value is None:
            return flag
        return f"{flag} {','.join(value) if isinstance(value, list) else value}"

    def _flag(self, argument: str) -> str | None:
        name = _OTHERWISE.get(argument, argument)
        return f"--{name.replace('_', '-')}" if name in self._names else None


_OTHERWISE = {"num_threads": "threads", "methods": "method"}
"""Arguments that are options of another name."""


def load_model(options: argparse.Namespace) -> Model:
    """Return the model of --model, in any format, or the one that is shipped."""
    model: Model
    if options.model is None:
        model = lrplstm.load_default()
    else:
        try:
            with saying_what_is_assumed(options.model, _CONVERT):
                model = read_model(options.model)
        except MissingArgumentError as error:
            more = _CONVERT if set(error.arguments) & set(loader_options()) else ""
            raise InputError(f"{error}{more}") from None
    dtype = getattr(options, "dtype", None)
    return model if dtype is None else model.astype(dtype)


_CONVERT = " (`lrplstm convert` has options for that)"


@contextmanager
def saying_what_is_assumed(path: str | os.PathLike[str], more: str = "") -> Iterator[None]:
    """Let a loader's warnings be one line each, with its arguments as the options that they are."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", UserWarning)
        yield
    spelling = _Options(loader_options(), os.fspath(path))
    for warning in warned:
        _warn(_spelled(warning.message, spelling) + more)


def _spelled(message: BaseException | str, spelling: Spelling) -> str:
    return message.spelled(spelling) if isinstance(message, AboutArgument) else str(message)


def take_json_as_input(options: argparse.Namespace, name: str) -> None:
    """Take `--json INPUT` as the input `name` where it looks as if it were the option's file."""
    given = options.json
    if given is None or given is NO_FILE or given.endswith((".json", ".jsonl")):
        return
    setattr(options, name, given)
    options.json = STDOUT


def check_inputs(model: Model, *, by_name: bool) -> None:
    """Refuse a text or a series for a model of several inputs, and names for any other."""
    if model.inputs is not None and not by_name:
        names = ", ".join(map(shown, model.inputs))
        raise InputError(f"the model reads {names} by name: pass --inputs, a .jsonl or .npz file")
    if model.inputs is None and by_name:
        raise InputError("--inputs: expected a model of several inputs; pass --file or --series")


def settle_inputs(options: argparse.Namespace) -> None:
    """Settle which of TEXT, --file, --series and --inputs there is; check what comes with it."""
    names = ("text", "file", "series", "inputs")
    if all(getattr(options, name) is None for name in names):
        take_json_as_input(options, "text")
    if sum(getattr(options, name) is not None for name in names) != 1:
        raise InputError("expected either a text, --file, --series or --inputs")
    if options.text == STDIN:
        options.text, options.file = None, STDIN
    for name in ("series", "inputs"):
        if getattr(options, name) is not None and (options.tokenized or options.ids):
            raise InputError(f"--{name}: expected neither --tokenized nor --ids with it")
    if options.tokenized and options.ids:
        raise InputError("--ids: expected no --tokenized with it")


class Naming:
    """Lets errors and warnings name what the user gave: texts and options, not arguments."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._names = vars(options)
        others = (getattr(options, name, None) for name in ("series", "inputs"))
        self._source = options.file or next(filter(None, others), "text")
        self._warned = 0

    @contextmanager
    def __call__(self, items: Sequence[Item]) -> Iterator[None]:
        """Within it `inputs[b]` is items[b]; the first warning is shown, others are counted."""
        spelling = _Options(self._names, self._source, items)
        with warnings.catch_warnings(record=True) as warned:
            try:
                yield
            except (TypeError, ValueError) as error:
                raise InputError(_spelled(error, spelling)) from None
        for warning in warned:
            if not self._warned:
                _warn(_spelled(warning.message, spelling))
            self._warned += 1

    def finish(self) -> None:
        """Say how many warnings were not shown."""
        if self._warned > 1:
            _warn(f"and {self._warned - 1} more like it")


def _warn(text: str) -> None:
    print(f"lrplstm: warning: {one_line(text)}", file=sys.stderr)


def one_line(text: str) -> str:
    """Return a message of any length, with anything in it, as one that can be read."""
    if len(text) > _MOST_LETTERS:
        text = f"{text[: _MOST_LETTERS // 2]} ... {text[-_MOST_LETTERS // 2 :]}"
    return heatmap.visible(text)
