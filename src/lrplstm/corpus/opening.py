"""What a run has written, to be read: a part of it at a time."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lrplstm.attributions import Attributions
from lrplstm.corpus.manifest import RUN, Manifest, Record
from lrplstm.corpus.parts import DATA, REJECTS
from lrplstm.corpus.storage import Folder, RemoteFolder, folder_at
from lrplstm.exports.arrow import from_arrow
from lrplstm.exports.needed import needed
from lrplstm.step_labels import StepLabels

__all__ = ["SUMMARY", "Corpus", "open_corpus"]

SUMMARY = "summary.json"


class Corpus:
    r"""A folder of explanations, of which some thousands at a time are in memory.

    Iterating gives `Attributions`, whose `sequence_labels` have the `file` and `row` of each.

    Parameters
    ----------
    folder : Folder
        Where it is; `lrplstm.corpus.open` makes it of a path.

    Attributes
    ----------
    rows, rejected, steps : int
        So many rows are explained, so many are not, and so many steps the former have.
    complete : bool
        Whether the run has come to its end.
    settings : dict
        With what it was made.
    summary : dict or None
        What came out; see `lrplstm.corpus.summing`. None before the run has come to its end.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import lrplstm
    >>> from lrplstm import corpus
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "films.txt").write_text("A fine film.\nDull!\n")
    >>> model = lrplstm.load_default()
    >>> _ = corpus.explain_corpus(model, folder / "films.txt", folder / "explained", workers=1)
    >>> for attributions in corpus.open(folder / "explained"):
    ...     print(attributions.tokens[1], attributions.sequence_labels["row"])
    ['dull', '!'] [0 1]
    """

    def __init__(self, folder: Folder) -> None:
        manifest = Manifest.read(folder)
        if manifest is None:
            raise ValueError(
                f"{folder.path}: expected a folder that `lrplstm corpus` wrote, got no {RUN} in it"
            )
        self._folder = folder
        self._records = sorted(manifest.records.values(), key=lambda record: record.part)
        self.settings: dict[str, Any] = manifest.run
        self.rows = sum(record.written for record in self._records)
        self.rejected = sum(record.rejected for record in self._records)
        self.steps = sum(record.steps for record in self._records)
        self.complete = SUMMARY in folder.names()

    def __repr__(self) -> str:
        state = "" if self.complete else ", not complete"
        return (
            f"Corpus({self._folder.path!r}, {self.rows:,} rows, {self.rejected:,} rejected{state})"
        )

    @property
    def summary(self) -> dict[str, Any] | None:
        """What came out."""
        if not self.complete:
            return None
        found: dict[str, Any] = json.loads(self._folder.read(SUMMARY))
        return found

    @property
    def parts(self) -> list[str]:
        """The Parquet files, in the order of their rows."""
        return [self._folder.location(_data(record)) for record in self._records if record.written]

    def __iter__(self) -> Iterator[Attributions]:
        for record in self._records:
            if record.written:
                with opened(self._folder, record) as file:
                    for group in range(file.num_row_groups):
                        yield _attributions(file.read_row_group(group), _data(record))

    def rejects(self) -> Iterator[dict[str, Any]]:
        r"""Yield the rows that are not explained.

        Yields
        ------
        dict
            With `file`, `row` from 0, and the `reason`.

        Examples
        --------
        >>> import pathlib, tempfile
        >>> import lrplstm
        >>> from lrplstm import corpus
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> _ = (folder / "a.txt").write_text("Dull!\n\n")
        >>> model = lrplstm.load_default()
        >>> found = corpus.explain_corpus(model, folder / "a.txt", folder / "out", workers=1)
        >>> [(rejected["row"], rejected["reason"]) for rejected in found.rejects()]
        [(1, 'expected at least one step, got an empty sequence')]
        """
        for record in self._records:
            if record.rejected:
                lines = self._folder.read(f"{REJECTS}/{record.part}.jsonl").splitlines()
                yield from map(json.loads, lines)


def _data(record: Record) -> str:
    return f"{DATA}/{record.part}.parquet"


@contextmanager
def opened(folder: Folder, record: Record) -> Iterator[Any]:
    """Open the explanations of a part."""
    parquet = needed("pyarrow.parquet", "a corpus")
    location = folder.location(_data(record))
    if not isinstance(folder, RemoteFolder):
        with open(location, "rb") as file:
            yield parquet.ParquetFile(file)
    else:
        with needed("fsspec", location).open(location, "rb") as file:
            yield parquet.ParquetFile(file)


def _attributions(table: Any, name: str) -> Attributions:
    fields = from_arrow(table, name)
    names = fields["names"]
    ids = {column: table.column(column).combine_chunks() for column in ("file", "row")}
    own = {
        "file": StepLabels(ids["file"].to_numpy(zero_copy_only=False)).as_array(),
        "row": ids["row"].to_numpy(),
    }
    fields["names"] = names._replace(sequences=own | dict(names.sequences or {}))
    return Attributions(**fields)


def open_corpus(path: str | os.PathLike[str]) -> Corpus:
    """Open what `explain_corpus`, or ``lrplstm corpus``, wrote.

    Parameters
    ----------
    path : path or URL
        The folder.

    Returns
    -------
    Corpus
        To be read part by part.

    Raises
    ------
    ImportError
        Without pyarrow.
    ValueError
        If it is another folder.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import lrplstm
    >>> from lrplstm import corpus
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.txt").write_text("Dull!")
    >>> model = lrplstm.load_default()
    >>> _ = corpus.explain_corpus(model, folder / "a.txt", folder / "explained", workers=1)
    >>> corpus.open(folder / "explained").rows
    1
    """
    return Corpus(folder_at(path))
