"""What a run has done so far: its settings, and a record of every part that is complete.

``run.json`` says what the run is. Records stand in ``manifest/<n>.jsonl``, a line a part, so many
lines a file: a file is replaced as a whole whenever a part is added, so that no record is ever
half written, and what is written again stays small however many parts there are.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from time import monotonic
from typing import Any

from lrplstm.corpus.storage import Folder
from lrplstm.texts import shown

__all__ = ["FORMAT_VERSION", "MANIFEST", "RUN", "Manifest", "Record"]

FORMAT_VERSION = 1
RUN, MANIFEST = "run.json", "manifest"
_RECORDS = 256  # in a file
_SECONDS = 0.5  # between two times that it is written: many workers end many parts in a second


@dataclass(frozen=True)
class Record:
    """A part that is complete.

    Attributes
    ----------
    part : str
        Its name, of which its files are called.
    file : str
        Which file of the corpus it is of.
    first_row, rows : int
        Which rows of the file it has.
    digest : str
        Of what was read, so that another run sees whether the file is still the same.
    written, rejected, steps : int
        So many rows were explained, so many not, and so many steps the former have.
    warnings : dict of int by str
        What was warned of, and how often.
    """

    part: str
    file: str
    first_row: int
    rows: int
    digest: str
    written: int = 0
    rejected: int = 0
    steps: int = 0
    warnings: dict[str, int] = field(default_factory=dict)


class Manifest:
    """The records of a run.

    Parameters
    ----------
    folder : Folder
    run : dict
        What the run is: model, settings, files. It cannot be continued as another.
    """

    def __init__(self, folder: Folder, run: dict[str, Any]) -> None:
        self._folder, self._run = folder, run
        self.records: dict[str, Record] = {}
        self._number = 0
        self._open: list[Record] = []
        self._written = -_SECONDS

    @classmethod
    def begin(cls, folder: Folder, run: dict[str, Any]) -> Manifest:
        """Begin a run in an empty folder."""
        with folder.writing(RUN) as file:
            file.write((json.dumps(run, indent=1, allow_nan=False) + "\n").encode())
        return cls(folder, run)

    @classmethod
    def read(cls, folder: Folder) -> Manifest | None:
        """Return the manifest of a folder; None where no run has begun.

        Raises
        ------
        ValueError
            If it is damaged, or of a newer version.
        """
        try:
            text = folder.read(RUN)
        except FileNotFoundError:
            return None
        name = folder.location(RUN)
        try:
            run = json.loads(text)
            version = run["format_version"]
        except (ValueError, KeyError, TypeError):
            raise ValueError(f"{name}: expected what a run of lrplstm wrote") from None
        if version != FORMAT_VERSION:
            raise ValueError(
                f"{name}: expected version {FORMAT_VERSION}, got {shown(version)}: it was written "
                "by a newer version of lrplstm; install that"
            )
        manifest = cls(folder, run)
        for name in folder.names(MANIFEST):
            if not name.endswith(".jsonl"):
                continue
            manifest._number = int(name.removeprefix(f"{MANIFEST}/").removesuffix(".jsonl"))
            try:
                lines = folder.read(name).splitlines()
                manifest._open = [Record(**json.loads(line)) for line in lines]
            except (ValueError, TypeError):
                where = folder.location(name)
                raise ValueError(f"{where}: expected what a run of lrplstm wrote") from None
            manifest.records |= {record.part: record for record in manifest._open}
        return manifest

    @property
    def run(self) -> dict[str, Any]:
        """What the run is."""
        return self._run

    def check_same(self, run: dict[str, Any]) -> None:
        """Refuse to continue as another run.

        Raises
        ------
        ValueError
            It names what differs.
        """
        other = json.loads(json.dumps(run))
        for name in dict.fromkeys([*self._run, *other]):
            was, now = self._run.get(name), other.get(name)
            if was == now:
                continue
            if isinstance(was, dict) and isinstance(now, dict):
                key = next(k for k in dict.fromkeys([*was, *now]) if was.get(k) != now.get(k))
                name, was, now = f"{name}: {key}", was.get(key), now.get(key)
            raise ValueError(
                f"{self._folder.path}: expected the run that was begun there, with {name} "
                f"{shown(was)}, got {shown(now)}; write into another folder"
            )

    def add(self, record: Record) -> None:
        """Record a part, all of whose files are there; at most half a second later on the disk.

        What is not recorded when a run is killed, is explained once more when it is continued.
        """
        if len(self._open) >= _RECORDS:
            self.write()
            self._number, self._open = self._number + 1, []
        self._open.append(record)
        self.records[record.part] = record
        if monotonic() - self._written > _SECONDS:
            self.write()

    def write(self) -> None:
        """Write the records that are not written yet."""
        lines = [json.dumps(asdict(one), allow_nan=False) + "\n" for one in self._open]
        if lines:
            with self._folder.writing(f"{MANIFEST}/{self._number:06}.jsonl") as file:
                file.write("".join(lines).encode())
        self._written = monotonic()
