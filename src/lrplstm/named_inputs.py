"""What a network reads: one input or several by name, and what turns all of them into a `Batch`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lrplstm.checks import check_choice, to_array, to_int
from lrplstm.conversion import is_array_like
from lrplstm.errors import ArgumentError, ArgumentTypeError, Element
from lrplstm.inputs import (
    UNKNOWN_CHOICES,
    InputEncoder,
    check_mask_id,
    check_mask_value,
)
from lrplstm.scaling import Scaler
from lrplstm.sequences import Batch, LengthError
from lrplstm.tables import is_table, places, read_table
from lrplstm.texts import did_you_mean, shown
from lrplstm.variables import check_variables
from lrplstm.vocabulary import resolve_vocabulary
from lrplstm.weights import Array, check_dtype, frozen

__all__ = ["DEFAULT_UNKNOWN_TOKEN", "Input", "NamedEncoder", "check_inputs"]

DEFAULT_UNKNOWN_TOKEN = "<unk>"


@dataclass(frozen=True, eq=False, repr=False)
class Input:
    """One of several inputs of a network, as a `lrplstm.Model` declares them.

    Parameters
    ----------
    size : int, optional
        Numbers of a step, or of the row. Default: as the embedding has it, or a layer that reads
        the input.
    steps : bool, int or str
        True: any number of steps. False: one row a sequence, such as static features. A number: as
        many steps. The name of an input declared before: the steps of that one, so that the two can
        be joined at each of them; what is left out of that one as padding is left out here, too.
    embedding : array_like of shape (V, size), optional
        What is read for each id. Without it the input is floats.
    vocabulary : sequence of str, or dict of int by str, optional
        The token of each id.
    unknown_token : str, optional
        The token for all that the vocabulary lacks.
    tokenizer : str, optional
        What makes tokens of text, "treebank" or "whitespace".
    mask_id : int, optional
        Id that only fills sequences up.
    mask_value : float, optional
        What all numbers of a step are that only fills a sequence up.
    feature_names : sequence of str of length size, optional
        What the variables are called.
    scaler : (mean, scale), Scaler, or a fitted scaler of scikit-learn, optional
        What was done to raw values before the network was trained on them.
    missing : {"error", "zero", "mask"}
        What to do with NaN.

    Raises
    ------
    TypeError, ValueError
        As a `lrplstm.Model`.

    Examples
    --------
    >>> import lrplstm
    >>> lrplstm.Input(3, steps=False)
    Input(size=3, steps=False)
    """

    size: int | None = None
    _: KW_ONLY
    steps: bool | int | str = True
    embedding: Array | None = None
    vocabulary: tuple[str | None, ...] | None = None
    unknown_token: str | None = None
    tokenizer: str | None = None
    mask_id: int | None = None
    mask_value: float | None = None
    feature_names: tuple[str, ...] | None = None
    scaler: Scaler | None = None
    missing: str = "error"

    def __init__(
        self,
        size: int | None = None,
        *,
        steps: bool | int | str = True,
        embedding: npt.ArrayLike | None = None,
        vocabulary: Sequence[str | None] | Mapping[str, int] | None = None,
        unknown_token: str | None = None,
        tokenizer: str | None = None,
        mask_id: int | None = None,
        mask_value: float | None = None,
        feature_names: Sequence[str] | None = None,
        scaler: Any = None,
        missing: str = "error",
    ) -> None:
        if size is not None:
            size = to_int("size", size, 1)
        if not isinstance(steps, bool | str):
            steps = to_int("steps", steps, 1)
        table, names = None, None
        if embedding is not None:
            table = frozen("embedding", embedding, ("vocabulary size", size or "input_size"))
            size = table.shape[1]
        if vocabulary is not None:
            if table is None:
                raise ValueError("vocabulary: expected None where there is no embedding")
            names = resolve_vocabulary(vocabulary, len(table))
        if unknown_token is None:
            if names is not None and DEFAULT_UNKNOWN_TOKEN in names:
                unknown_token = DEFAULT_UNKNOWN_TOKEN
        elif names is None or unknown_token not in names:
            raise ValueError(
                f"unknown_token: expected a token of the vocabulary, got {shown(unknown_token)}"
            )
        if tokenizer is not None and not isinstance(tokenizer, str):
            raise TypeError(f"tokenizer: expected a name, got {shown(tokenizer)}")
        values: dict[str, Any] = {
            "size": size,
            "steps": steps,
            "embedding": table,
            "vocabulary": names,
        }
        values |= {"unknown_token": unknown_token, "tokenizer": tokenizer}
        values["mask_id"] = check_mask_id(mask_id, table)
        values["mask_value"] = check_mask_value(mask_value, table)
        values |= check_variables(feature_names, scaler, missing, size, table)
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def arguments(self) -> dict[str, Any]:
        """Return what the constructor was given, by its names."""
        return dict(vars(self))

    def astype(self, dtype: npt.DTypeLike) -> Input:
        """Return the same input with an embedding in float32 or float64."""
        if self.embedding is None:
            return self
        with np.errstate(over="ignore"):  # infinite numbers are refused by the constructor
            embedding = self.embedding.astype(check_dtype(dtype))
        return Input(**self.arguments() | {"embedding": embedding})

    def encoder(self, argument: str, size: int, dtype: np.dtype[Any], gaps: bool) -> InputEncoder:
        """Return what turns this input into a `Batch`.

        Parameters
        ----------
        argument : str
            What errors call the input.
        size : int
            Its width.
        dtype : numpy.dtype
            That of the network.
        gaps : bool
            Whether padding may stand between other steps.

        Raises
        ------
        ValueError
            If it has names, or a scaler, for another number of variables.
        """
        check_variables(self.feature_names, self.scaler, self.missing, size, self.embedding)
        return InputEncoder(
            size,
            dtype,
            self.embedding,
            self.vocabulary,
            self.unknown_token,
            self.mask_id,
            asks_of_each_step=not gaps,
            tokenizer=self.tokenizer,
            mask_value=self.mask_value,
            feature_names=self.feature_names,
            scaler=self.scaler,
            missing=self.missing,
            argument=argument,
        )

    def describe(self, size: int) -> str:
        """Return in a line what it is, of this width."""
        steps = f"{self.steps} steps"
        if isinstance(self.steps, str):
            steps = f"the steps of {self.steps}"
        elif isinstance(self.steps, bool):
            steps = "any number of steps" if self.steps else "one row"
        numbers = f"{size} numbers" if self.embedding is None else f"{len(self.embedding):,} ids"
        return f"{numbers}, {steps}"

    def __reduce__(self) -> tuple[Callable[..., Input], tuple[dict[str, Any]]]:
        # Through the constructor, so that copies are read-only too.
        return _rebuild, (self.arguments(),)

    def __repr__(self) -> str:
        text = f"Input(size={self.size}, steps={self.steps!r}"
        if self.embedding is not None:
            text += f", vocabulary of {len(self.embedding)}"
        return text + ")"


def _rebuild(arguments: dict[str, Any]) -> Input:
    return Input(**arguments)


def check_inputs(inputs: Mapping[str, Input | int]) -> dict[str, Input]:
    """Return the inputs that a model declares, or raise an error that says which is none."""
    if not isinstance(inputs, Mapping) or not inputs:
        raise TypeError(f"inputs: expected a mapping of Input by name, got {shown(inputs)}")
    checked: dict[str, Input] = {}
    for name, given in inputs.items():
        if not isinstance(name, str) or not name.strip():
            raise TypeError(f"inputs: expected names of inputs, got {shown(name)}")
        place = f"inputs[{shown(name)}]"
        if not isinstance(given, Input):
            if isinstance(given, bool) or not isinstance(given, int | np.integer):
                raise TypeError(f"{place}: expected an Input or its size, got {shown(given)}")
            given = Input(int(given))
        if isinstance(given.steps, str):
            leader = checked.get(given.steps)
            if leader is None or leader.steps is False:
                raise ValueError(
                    f"{place}: steps: expected the name of an input with steps declared before, "
                    f"got {shown(given.steps)}"
                )
            if given.mask_id is not None or given.mask_value is not None:
                raise ValueError(f"{place}: expected no mask, since that of its steps is used")
        checked[name] = given
    if all(one.steps is False for one in checked.values()):
        raise ValueError("inputs: expected at least one with steps, got none")
    return checked


@dataclass(frozen=True, eq=False)
class NamedEncoder:
    """What turns several inputs, a dict by name, into a batch of the first that has steps.

    Parameters
    ----------
    inputs : dict of Input
        As the model declares them.
    encoders : dict of InputEncoder
        That of each.
    first : str
        The name of the first that has steps.
    check : callable, optional
        Raises a LengthError where the network cannot read sequences of some lengths, given those of
        each input.
    """

    inputs: Mapping[str, Input]
    encoders: Mapping[str, InputEncoder]
    first: str
    check: Callable[[dict[str, Array]], object] | None

    @property
    def shown(self) -> tuple[str, ...] | None:
        """How the tokens of the first input are shown."""
        return self.encoders[self.first].shown

    def tokenize(self, argument: str, text: str) -> list[str]:
        """Return the tokens of a text, by the tokenizer of the first input."""
        return self.encoders[self.first].tokenize(argument, text)

    def encode(self, inputs: Any, unknown: str | None = None) -> Batch:
        """Check `inputs` and return them as a batch; errors as `lrplstm.lrp` documents them."""
        if unknown is not None:
            check_choice("unknown", unknown, UNKNOWN_CHOICES)
        self._check_names(inputs)
        first = self._encode(self.first, inputs, unknown)
        others: dict[str, Batch] = {}
        for name in self.inputs:
            if name != self.first:
                others[name] = self._read(name, inputs, unknown, {self.first: first, **others})
        if self.check is not None:
            batches = {self.first: first, **others}
            try:
                self.check({name: np.diff(batch.offsets) for name, batch in batches.items()})
            except LengthError as error:
                which = "" if first.single else f"sequence {error.sequence}: "
                raise ArgumentError("inputs", f"{which}{error}") from None
        return replace(first, others=others)

    def _check_names(self, inputs: Any) -> None:
        expected = ", ".join(map(shown, self.inputs))
        if not isinstance(inputs, Mapping):
            raise ArgumentTypeError(
                "inputs",
                f"expected a dict by name, of {expected}, each of one sequence or of all of a "
                f"batch, got {type(inputs).__name__}",
            )
        for name in inputs:
            if name not in self.inputs:
                near = did_you_mean(name, self.inputs) if isinstance(name, str) else ""
                raise ArgumentError("inputs", f"expected {expected}, got {shown(name)}{near}")
        for name in self.inputs:
            if name not in inputs:
                raise ArgumentError("inputs", f"expected {expected}, got no {shown(name)}")

    def _encode(self, name: str, inputs: Mapping[str, Any], unknown: str | None) -> Batch:
        """Return one input by itself."""
        encoder = self.encoders[name]
        batch = encoder.encode(inputs[name], None if encoder.vocabulary is None else unknown)
        steps = self.inputs[name].steps
        if type(steps) is int:
            self._check_lengths(name, batch, np.full(len(batch), steps))
        return batch

    def _read(
        self, name: str, inputs: Mapping[str, Any], unknown: str | None, before: dict[str, Batch]
    ) -> Batch:
        """Return an input that fits the others, of which the first comes first in `before`."""
        declared, first = self.inputs[name], before[self.first]
        if declared.steps is False:
            rows = _as_steps(_place(name), inputs[name], self.encoders[name], first.single)
            batch = self._encode(name, {name: rows}, unknown)
        else:
            batch = self._encode(name, inputs, unknown)
        if batch.single != first.single or len(batch) != len(first):
            raise ArgumentError(
                _place(name),
                f"expected {_count(first)} as of {shown(self.first)}, got {_count(batch)}",
            )
        if declared.steps is False:
            self._check_lengths(name, batch, np.ones(len(batch), np.intp))
        if isinstance(declared.steps, str):
            leader = before[declared.steps]
            self._check_lengths(name, batch, np.diff(leader.given_offsets), declared.steps)
            if leader.padding is not None:
                data = batch.data[leader.padding.read]
                batch = replace(batch, offsets=leader.offsets, data=data, padding=leader.padding)
        return batch

    def _check_lengths(
        self, name: str, batch: Batch, expected: Array, leader: str | None = None
    ) -> None:
        lengths = np.diff(batch.given_offsets)
        if (lengths != expected).any():
            b = int((lengths != expected).argmax())
            steps = "one row" if self.inputs[name].steps is False else f"{expected[b]} steps"
            raise ArgumentError(
                _place(name) if batch.single else Element(_place(name), b),
                f"expected {steps}{'' if leader is None else f' as of {shown(leader)}'}, "
                f"got {lengths[b]}",
            )


def _place(name: str) -> str:
    """Return what errors call an input."""
    return f"inputs[{shown(name)}]"


def _count(batch: Batch) -> str:
    return "one sequence" if batch.single else f"a batch of {len(batch)}"


def _as_steps(place: str, value: Any, encoder: InputEncoder, single: bool) -> Any:
    """Return rows, of which there is one a sequence, as sequences of one step."""
    if encoder.embedding is not None and not is_array_like(value):
        if not isinstance(value, np.ndarray):
            return [value] if single else [[one] for one in value]
    elif encoder.embedding is None:
        value = _by_name(place, value, encoder.feature_names, single)
    array = to_array(place, value)
    ndim = (0 if encoder.embedding is not None else 1) + (not single)
    if array.ndim != ndim:
        row = [str(encoder.input_size)] if encoder.embedding is None else []
        shape = ", ".join([*([] if single else ["B"]), *row])
        raise ArgumentError(
            place, f"expected one row a sequence, of shape ({shape}), got {array.shape}"
        )
    return array[np.newaxis] if single else array[:, np.newaxis]


def _by_name(place: str, value: Any, wanted: tuple[str, ...] | None, single: bool) -> Any:
    """Return rows of numbers that have names in the order in which they are read.

    They are a table with a row a sequence, or for one sequence a dict, or a column of pandas whose
    index has the names.
    """
    if is_table(value):
        table = read_table(place, value, wanted, in_order=False)
        if table is not None:
            return table.values[0] if single and len(table.values) == 1 else table.values
    if wanted is None or not single:
        return value
    index: Any = getattr(value, "index", None)
    if isinstance(value, Mapping):
        names, numbers = list(value), np.array(list(value.values()))
    elif hasattr(index, "tolist") and all(isinstance(name, str) for name in index.tolist()):
        names, numbers = index.tolist(), to_array(place, value)
    else:
        return value
    return numbers[places(place, names, wanted)]
