"""HDF5 files from strangers: strings and arrays come out, read in a process of their own."""

from __future__ import annotations

import io
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from lrplstm.loaders.arrays import bfloat16_as_float32
from lrplstm.loaders.keras import hdf5_worker
from lrplstm.weights import Array

__all__ = ["MISSING", "SIGNATURE", "Contents", "is_hdf5", "read_hdf5"]

MISSING = 'reading Keras files needs h5py: pip install "lrplstm[keras]"'
SIGNATURE = b"\x89HDF\r\n\x1a\n"

_SILENT = "not a readable HDF5 file (its reader fell silent)"
_MOST_MESSAGE = 2**16
_DTYPES = {"f2": "<f2", "f4": "<f4", "f8": "<f8", "bf2": "<u2"}


@dataclass(frozen=True)
class Contents:
    """What is in an HDF5 file, by the paths of its objects ("" is the root).

    Attributes
    ----------
    attributes : dict of dict
        Attributes that are strings or lists of strings.
    groups : list of str
        In the order in which they were found.
    arrays : dict of ndarray or None
        None where the numbers are of a kind that weights cannot be.
    """

    attributes: dict[str, dict[str, str | list[str]]]
    groups: list[str]
    arrays: dict[str, Array | None]

    def texts(self, path: str, name: str) -> list[str] | None:
        """Return a list of strings, which may be in several attributes, or None."""
        attributes = self.attributes.get(path, {})
        found = attributes.get(name)
        if found is None:
            found, part = [], 0
            while isinstance(piece := attributes.get(f"{name}{part}"), list):
                found += piece
                part += 1
            if not part:
                return None
        return found if isinstance(found, list) else [found]

    def text(self, path: str, name: str) -> str | None:
        """Return a string, or None."""
        found = self.attributes.get(path, {}).get(name)
        return found if isinstance(found, str) else None

    def with_slashes(self) -> Contents:
        r"""Return the same, with groups where names have backslashes.

        Keras 2.12 to 2.15 joined names as paths are joined, on Windows too: there a group of the
        root is called "layers\lstm\cell".

        Raises
        ------
        ValueError
            If two objects then have one path, or groups are too deep.
        """
        renamed = {path: path.replace("\\", "/") for path in (*self.groups, *self.arrays)}
        if len(set(renamed.values())) < len(renamed):
            raise ValueError("expected distinct names of groups, got the same one with / and \\")
        groups = dict.fromkeys(renamed[path] for path in self.groups)
        for group in list(groups):
            parts = group.split("/")
            if len(parts) > hdf5_worker.MOST_DEPTH:
                raise ValueError(f"groups in groups, more than {hdf5_worker.MOST_DEPTH} deep")
            groups |= dict.fromkeys("/".join(parts[:n]) for n in range(1, len(parts)))
        return Contents(
            {path.replace("\\", "/"): said for path, said in self.attributes.items()},
            list(groups),
            {renamed[path]: array for path, array in self.arrays.items()},
        )


def is_hdf5(content: bytes) -> bool:
    """Whether a file begins as HDF5 files do, perhaps after a block that is the user's own."""
    start = 0
    while start < len(content):
        if content.startswith(SIGNATURE, start):
            return True
        start = max(512, 2 * start)
    return False


def read_hdf5(content: bytes, name: str, limit: int) -> Contents:
    """Return what is in an HDF5 file.

    Parameters
    ----------
    content : bytes
        The file. Links, and datasets that lie in other files, are refused.
    name : str
        What errors call it.
    limit : int
        How many bytes may come out of it; see `hdf5_worker.most`.

    Raises
    ------
    ValueError
        If it is damaged, or asks for more than plain data.
    ImportError
        If there is no h5py.
    """
    with _run_worker(content, name, limit) as answer:
        try:
            found = _parse(answer, limit)
            match found:
                case {"attributes": attributes, "groups": groups, "arrays": entries}:
                    return Contents(attributes, groups, _arrays(entries, answer))
        except (KeyError, TypeError, ValueError, OSError):
            raise ValueError(f"{name}: {_SILENT}") from None
    match found:
        case {"missing": text}:
            raise ImportError(f"{MISSING} ({text})")
        case {"refused": text}:
            raise ValueError(f"{name}: refused: {text}")
        case {"damaged": text}:
            raise ValueError(f"{name}: not a readable HDF5 file ({text})")
    raise ValueError(f"{name}: {_SILENT}")


def _parse(answer: BinaryIO, limit: int) -> Any:
    """Return the JSON at the end of an answer, and go back to where its arrays begin."""
    end = answer.seek(-8, io.SEEK_END)
    size = int.from_bytes(answer.read(8), "little")
    if size > min(end, 2 * limit + _MOST_MESSAGE):
        raise ValueError("too large")
    answer.seek(end - size)
    text = answer.read(size)
    answer.seek(0)
    return json.loads(text)


def _arrays(entries: list[dict[str, Any]], numbers: BinaryIO) -> dict[str, Array | None]:
    arrays: dict[str, Array | None] = {}
    for entry in entries:
        arrays[entry["path"]] = None
        if entry["dtype"] == "other":
            continue
        dtype = np.dtype(_DTYPES[entry["dtype"]])
        content = numbers.read(dtype.itemsize * math.prod(entry["shape"]))
        array: Array = np.frombuffer(content, dtype).reshape(entry["shape"])
        if entry["dtype"] == "bf2":
            array = bfloat16_as_float32(array)
        arrays[entry["path"]] = array
    return arrays


def seconds(size: int) -> int:
    """Return how long reading a file of this size may take; processes may have to take turns."""
    return 4 * hdf5_worker.seconds(size)


def _run_worker(content: bytes, name: str, limit: int) -> BinaryIO:
    """Return the file that a second Python has answered into."""
    if not sys.executable:
        raise RuntimeError("HDF5 files are read by a second Python, and sys.executable names none")
    # No site packages, and nothing that the current folder or the environment says of imports.
    command = [sys.executable, "-I", "-S", "-W", "ignore", hdf5_worker.__file__, str(limit)]
    command += _folders()
    # Files, as pipes pass on a few thousand bytes at a time.
    answer = _memory_file()
    with _memory_file() as question, _memory_file() as errors:
        question.write(content)
        question.seek(0)
        try:
            done = subprocess.run(
                command,
                stdin=question,
                stdout=answer,
                stderr=errors,
                timeout=seconds(len(content)),
                env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},  # it has no use for more
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            answer.close()
            raise ValueError(
                f"{name}: not a readable HDF5 file (no end after {error.timeout:.0f} s)"
            ) from None
        if done.returncode == 0:
            return answer
        answer.close()
        raise ValueError(f"{name}: not a readable HDF5 file ({_ending(done.returncode, errors)})")


def _ending(code: int, errors: BinaryIO) -> str:
    """Return how a process ended badly."""
    if code in (-signal.SIGXCPU, -signal.SIGXFSZ, -signal.SIGKILL):
        return "it takes too much time or memory"
    if code < 0:
        return f"the library ends with {signal.Signals(-code).name}"
    errors.seek(max(0, errors.seek(0, io.SEEK_END) - _MOST_MESSAGE))
    last = errors.read().decode(errors="replace").strip().rpartition("\n")[2]
    return f"{last:.100}"


def _memory_file() -> BinaryIO:
    """Return a file that lies in memory, or where systems cannot do so in a temporary folder."""
    if sys.platform == "linux":
        return os.fdopen(os.memfd_create("lrplstm"), "w+b")
    return tempfile.TemporaryFile()


def _folders() -> list[str]:
    """Return where h5py and NumPy are, which is not the current folder.

    Raises
    ------
    ImportError
        If there is no h5py elsewhere.
    """
    here = os.path.realpath(os.curdir)
    path = [entry for entry in sys.path if entry and os.path.realpath(entry) != here]
    hidden = "h5py" in sys.modules and sys.modules["h5py"] is None
    spec = None if hidden else PathFinder.find_spec("h5py", path)
    if spec is None or spec.origin is None:
        raise ImportError(MISSING)
    h5py = Path(spec.origin)
    packages = [h5py.parent if h5py.stem == "__init__" else h5py, Path(np.__file__).parent]
    return [str(package.parent.absolute()) for package in packages]
