"""What the columns of a corpus mean: which has the sequences, and which go with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lrplstm.texts import did_you_mean, shown

__all__ = ["Columns"]

_USUAL = ("text", "tokens", "ids", "series")
"""What a column of sequences is called that nobody names."""


@dataclass(frozen=True)
class Columns:
    """What columns mean.

    Attributes
    ----------
    column : str, optional
        Has the sequences. Default: the one that is called text, tokens, ids or series.
    keep : tuple of str
        Are written beside what is explained, as `label.<name>`.
    tokenized : bool
        Whether a text is words with spaces between; else the model's tokenizer splits it.
    ids : bool
        Whether a text is token ids with spaces between.
    key, time : str, optional
        Of a long table, in which every row is a step: which series a row is of, and when it was.
    features : tuple of str
        Of a long table, its variables.
    """

    column: str | None = None
    keep: tuple[str, ...] = ()
    tokenized: bool = False
    ids: bool = False
    key: str | None = None
    time: str | None = None
    features: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.tokenized and self.ids:
            raise ValueError("ids: expected False where tokenized is True")
        if self.key is None and (self.time is not None or self.features):
            name = "time" if self.time is not None else "features"
            raise ValueError(f"{name}: expected None, or key= with it, for a table of steps")
        if self.key is not None and self.column is not None:
            raise ValueError("column: expected None where key= is given, for a table of steps")
        if self.key is not None and not self.features:
            raise ValueError(
                "features: expected the names of the variables of a table of steps; the model "
                "names none"
            )

    @property
    def long(self) -> bool:
        """Whether a row is a step rather than a sequence."""
        return self.key is not None

    def within(self, file: str, names: Sequence[str]) -> Columns:
        """Return the same, with the column settled among those of a file.

        Raises
        ------
        ValueError
            If a column is lacking, or it is open which is meant.
        """
        asked = [self.column, *self.keep, self.key, self.time, *self.features]
        for name in asked:
            if name is not None and name not in names:
                raise ValueError(
                    f"{file}: expected a column {shown(name)}, got {_listed(names)}"
                    f"{did_you_mean(name, names)}"
                )
            if name is not None and list(names).count(name) > 1:
                raise ValueError(f"{file}: expected one column {shown(name)}, got several")
        if self.column is not None or self.long:
            return self
        usual = [name for name in _USUAL if name in names]
        if len(usual) != 1:
            raise ValueError(
                f"{file}: expected to be told which column has the sequences (column=), of "
                f"{_listed(names)}"
            )
        return replace(self, column=usual[0])

    @property
    def read(self) -> list[str]:
        """Which columns are read."""
        asked = [self.column, *self.keep, self.key, self.time, *self.features]
        return list(dict.fromkeys(name for name in asked if name is not None))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(shown, names[:20])) + (", ..." if len(names) > 20 else "")
