"""What the user says of a model that its file may not say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lrplstm.checks import check_choice
from lrplstm.errors import MissingArgumentError
from lrplstm.layers import POOLINGS
from lrplstm.texts import shown

__all__ = ["Questions", "Said", "without_config"]

_PASS_CONFIG = "pass the model's config (the JSON of model.to_json()) as config="

_MERGE_MODES = ("concat", "sum", "ave", "mul")


def without_config(problem: str) -> MissingArgumentError:
    """Return the error for what weights alone cannot tell, and arguments but the config neither."""
    return MissingArgumentError(f"{problem}; {_PASS_CONFIG}", ["config"])


@dataclass(frozen=True)
class Said:
    """What the user says of a model; None where nothing is said.

    See `lrplstm.from_keras`.
    """

    pooling: str | None = None
    merge_mode: str | None = None
    mask_zero: bool | None = None
    recurrent_activation: str | None = None
    dense_activations: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if self.pooling is not None:
            check_choice("pooling", self.pooling, POOLINGS)
        if self.merge_mode is not None:
            check_choice("merge_mode", self.merge_mode, _MERGE_MODES)
        if not isinstance(self.mask_zero, bool | None):
            raise TypeError(f"mask_zero: expected True or False, got {shown(self.mask_zero)}")
        if not isinstance(self.recurrent_activation, str | None):
            raise TypeError(
                f"recurrent_activation: expected a str, got {shown(self.recurrent_activation)}"
            )
        names = self.dense_activations
        if names is None:
            return
        if (
            isinstance(names, str)
            or not isinstance(names, Sequence)
            or not all(isinstance(name, str) for name in names)
        ):
            raise TypeError(f"dense_activations: expected a sequence of str, got {shown(names)}")

    def check(self, read: dict[str, Any]) -> None:
        """Raise a ValueError if the model is another than the user says."""
        for name, said in vars(self).items():
            if said is None:
                continue
            if name not in read:
                raise ValueError(f"{name}: expected None, as the model has no layer it is about")
            value = read[name]
            if (list(said) if isinstance(value, list) else said) != value:
                raise ValueError(
                    f"{name}: expected None or {shown(value)} as the model has it, "
                    f"got {shown(said)}"
                )


class Questions:
    """What the user has to say, gathered so that one error asks for all of it."""

    def __init__(self, said: Said, source: str) -> None:
        self.said = said
        self._source = source  # the file, as the line to write has it
        self._open: dict[str, tuple[Any, str]] = {}

    def ask(self, name: str, what: str, example: Any, seen: Any = None) -> Any:
        """Return what is said as this argument, or else is seen, or else has to be said.

        `what` it is, and an `example`, are for the error.
        """
        value = getattr(self.said, name)
        if value is None:
            value = seen
        if value is None:
            value, _ = self._open.setdefault(name, (example, what))
        return value

    def finish(self) -> None:
        """Raise a ValueError with the line to write, if anything has to be said."""
        if self._open:
            given = {name: value for name, value in vars(self.said).items() if value is not None}
            asked = {name: value for name, (value, _) in self._open.items()}
            line = ", ".join(f"{name}={value!r}" for name, value in (given | asked).items())
            meant = "; ".join(f"{name} ({what})" for name, (_, what) in self._open.items())
            raise MissingArgumentError(
                f"the file has weights only; write from_keras({self._source!r}, {line}) with what "
                f"is so: {meant}; or {_PASS_CONFIG}",
                [*self._open, "config"],
            )
