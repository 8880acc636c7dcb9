"""HDF5 files from strangers: strings and arrays come out, read in a process of their own."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from lrplstm.loaders.keras import hdf5_worker
from lrplstm.weights import Array

__all__ = ["MISSING", "SIGNATURE", "Contents", "is_hdf5", "read_hdf5"]

MISSING = 'reading Keras files needs h5py: pip install "lrplstm[keras]"'
SIGNATURE = b"\x89HDF\r\n\x1a\n"

_SILENT = "not a readable HDF5 file (its reader fell silent)"
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


def is_hdf5(content: bytes) -> bool:
    """Whether a file begins as HDF5 files do, perhaps after a block that is the user's own."""
    start = 0
    while start < len(content):
        if content.startswith(SIGNATURE, start):
            return True
        start = max(512, 2 * start)
    return False


def read_hdf5(content: bytes, name: str) -> Contents:
    """Return what is in an HDF5 file.

    Parameters
    ----------
    content : bytes
        The file. Links, and datasets that lie in other files, are refused; what comes out is at
        most `hdf5_worker.MOST_GROWTH` times as large.
    name : str
        What errors call it.

    Raises
    ------
    ValueError
        If it is damaged, or asks for more than plain data.
    ImportError
        If there is no h5py.
    """
    if find_spec("h5py") is None:
        raise ImportError(MISSING)
    found, numbers = _parse(_run_worker(content, name), name)
    match found:
        case {"missing": text}:
            raise ImportError(f"{MISSING} ({text})")
        case {"refused": text}:
            raise ValueError(f"{name}: refused: {text}")
        case {"damaged": text}:
            raise ValueError(f"{name}: not a readable HDF5 file ({text})")
    try:
        return Contents(found["attributes"], found["groups"], _arrays(found["arrays"], numbers))
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{name}: {_SILENT}") from None


def _arrays(entries: list[dict[str, Any]], numbers: memoryview) -> dict[str, Array | None]:
    arrays: dict[str, Array | None] = {}
    start = 0
    for entry in entries:
        arrays[entry["path"]] = None
        if entry["dtype"] == "other":
            continue
        dtype = np.dtype(_DTYPES[entry["dtype"]])
        stop = start + dtype.itemsize * math.prod(entry["shape"])
        # Bytes of its own, so that no array keeps all the others in memory.
        array: Array = np.frombuffer(bytes(numbers[start:stop]), dtype).reshape(entry["shape"])
        if entry["dtype"] == "bf2":  # the upper half of a float32
            array = (array.astype("<u4") << 16).view("<f4")
        arrays[entry["path"]] = array
        start = stop
    return arrays


def seconds(size: int) -> int:
    """Return how long reading a file of this size may take; processes may have to take turns."""
    return 2 * hdf5_worker.seconds(size)


def _run_worker(content: bytes, name: str) -> bytes:
    if not sys.executable:
        raise RuntimeError("HDF5 files are read by a second Python, and sys.executable names none")
    # The same packages as here, and no threads that a reader has no use for.
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(entry or os.getcwd() for entry in sys.path),
        "OPENBLAS_NUM_THREADS": "1",
    }
    limit = seconds(len(content))
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-W", "ignore", Path(hdf5_worker.__file__)],
            input=content,
            capture_output=True,
            timeout=limit,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ValueError(f"{name}: not a readable HDF5 file (no end after {limit} s)") from None
    if done.returncode == -signal.SIGXCPU or done.returncode == -signal.SIGKILL:
        raise ValueError(f"{name}: not a readable HDF5 file (it takes too much time or memory)")
    if done.returncode < 0:
        crash = signal.Signals(-done.returncode).name
        raise ValueError(f"{name}: not a readable HDF5 file (the library ends with {crash})")
    if done.returncode > 0:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise ValueError(f"{name}: not a readable HDF5 file ({last:.100})")
    return done.stdout


def _parse(answer: bytes, name: str) -> tuple[dict[str, Any], memoryview]:
    size = int.from_bytes(answer[:8], "little")
    try:
        return json.loads(answer[8 : 8 + size]), memoryview(answer)[8 + size :]
    except ValueError:
        raise ValueError(f"{name}: {_SILENT}") from None
