"""Files that belong together take the place of older ones, so that no moment leaves a mixture.

A process can be killed, and a computer lose its power, between any two steps. So all new files are
complete, and on the disk, before the first takes its place; and the first is the one that says what
the others have to be: it holds their digests. Whoever reads the files then finds the old ones, the
new ones, or sees that they do not belong together, even if the old ones had no digests yet.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: leftovers of killed saves stay
    _LOCK = None
else:
    _LOCK = fcntl.flock

__all__ = ["LEFTOVERS", "digest", "replace_files"]

_PREFIX = ".saving-"
LEFTOVERS = f"{_PREFIX}*"
"""What the folders are called that a killed save leaves behind, and the next one removes."""


def digest(content: bytes) -> str:
    """Return the SHA-256 of a file as sha256sum prints it."""
    return hashlib.sha256(content).hexdigest()


def replace_files(folder: Path, files: Mapping[str, bytes], obsolete: Iterable[str]) -> None:
    """Write files to a folder, which is made where it does not exist.

    Parameters
    ----------
    folder : Path
    files : mapping of bytes by file name
        The first of them is the one that knows the digests of the others.
    obsolete : iterable of str
        Files that are of no use beside the new ones, and are removed last.

    Raises
    ------
    OSError
        If the folder or a file cannot be written. The old files are in place unless the disk fails
        in the middle of it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _folder_of_its_own(folder) as temporary:
        for name, content in files.items():
            _write(temporary / name, content)
        for name in files:
            os.replace(temporary / name, folder / name)
        for name in obsolete:
            (folder / name).unlink(missing_ok=True)
        _sync(folder)


def _write(path: Path, content: bytes) -> None:
    """Write a file so that it lies on the disk, not only in the memory of the system."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Do the same to the names in a folder, where the system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


# Folders of unfinished saves --------------------------------------------------------------------


@contextmanager
def _folder_of_its_own(folder: Path) -> Iterator[Path]:
    """Make a folder for one save, and remove those that killed saves have left."""
    for leftover in folder.glob(LEFTOVERS):
        _remove_unlocked(leftover)
    while True:
        temporary = Path(tempfile.mkdtemp(dir=folder, prefix=_PREFIX))
        try:
            lock = _lock(temporary)
            break
        except (BlockingIOError, FileNotFoundError):
            continue  # another save took it for a leftover before it was locked
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _remove_unlocked(leftover: Path) -> None:
    """Remove a folder that no running save has locked; the system unlocks those of killed ones."""
    with suppress(OSError):
        lock = _lock(leftover)
        if lock is not None:
            shutil.rmtree(leftover, ignore_errors=True)
            os.close(lock)


def _lock(folder: Path) -> int | None:
    """Lock a folder, and return what closes the lock; None where there are no locks.

    Raises
    ------
    BlockingIOError
        If another has locked it.
    FileNotFoundError
        If there is none any more.
    """
    if _LOCK is None:
        return None
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        _LOCK(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.stat(folder)
    except OSError as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError | FileNotFoundError):
            raise
        return None  # a file system without them
    return descriptor
