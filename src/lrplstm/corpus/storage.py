"""The folder of a run: files that are whole or not there, on a disk or wherever fsspec reaches."""

from __future__ import annotations

import errno
import os
import posixpath
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Any

from lrplstm.exports.needed import needed

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["BusyError", "Folder", "folder_at"]

_UNFINISHED = ".unfinished-"
"""What names of files begin with that are being written."""

_LOCK = ".lock"

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class BusyError(ValueError):
    """Another run writes into the folder."""


@dataclass(frozen=True)
class Folder:
    """A folder on a disk; `RemoteFolder` is one elsewhere.

    Parameters
    ----------
    path : str
    """

    path: str

    def make(self, *names: str) -> None:
        """Make the folder, and those in it."""
        for name in ("", *names):
            os.makedirs(os.path.join(self.path, name), exist_ok=True)

    def location(self, name: str) -> str:
        """Return what other libraries call a file in it."""
        return os.path.join(self.path, name)

    def names(self, folder: str = "") -> list[str]:
        """Return the names of files in a folder of it; of none if there is no such folder."""
        with suppress(FileNotFoundError):
            return sorted(
                posixpath.join(folder, entry.name)
                for entry in os.scandir(os.path.join(self.path, folder))
                if entry.is_file()
            )
        return []

    def read(self, name: str) -> bytes:
        """Return what is in a file."""
        with open(os.path.join(self.path, name), "rb") as file:
            return file.read()

    @contextmanager
    def writing(self, name: str) -> Iterator[IO[bytes]]:
        """Give a file to write, which is there when it is complete and on the disk."""
        target = os.path.join(self.path, name)
        folder, bare = os.path.split(target)
        unfinished = os.path.join(folder, f"{_UNFINISHED}{bare}-{uuid.uuid4().hex}")
        try:
            with open(unfinished, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(unfinished, target)
        except BaseException as error:
            with suppress(OSError):
                os.unlink(unfinished)
            if isinstance(error, OSError) and error.errno in _FULL:
                raise OSError(error.errno, os.strerror(error.errno), target) from None
            raise
        self._sync(folder)

    @staticmethod
    def _sync(folder: str) -> None:
        """See to it that the names in a folder are on the disk, where the system can."""
        with suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(self.path, name))

    def clear(self, *folders: str) -> None:
        """Remove what killed runs have left unfinished."""
        for folder in ("", *folders):
            for name in self.names(folder):
                if posixpath.basename(name).startswith(_UNFINISHED):
                    self.remove(name)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs out of the folder; the system lets go when the process ends, however.

        Raises
        ------
        BusyError
            If another run is in it.
        """
        if fcntl is None:
            yield
            return
        with open(os.path.join(self.path, _LOCK), "ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BusyError(f"{self.path}: another run writes into it") from None
            yield


@dataclass(frozen=True)
class RemoteFolder(Folder):
    """A folder that fsspec reaches by a URL, such as one in an object store.

    A file there appears when it is closed, or when it is moved to its name; nothing keeps two
    runs apart that begin on different machines.
    """

    def _reach(self, name: str = "") -> tuple[Any, str]:
        fs, path = needed("fsspec", self.path).core.url_to_fs(self.path)
        return fs, posixpath.join(path, name) if name else path

    def make(self, *names: str) -> None:
        """Make the folder, and those in it."""
        for name in ("", *names):
            fs, path = self._reach(name)
            fs.makedirs(path, exist_ok=True)

    def location(self, name: str) -> str:
        """Return the URL of a file in it."""
        return posixpath.join(self.path, name)

    def names(self, folder: str = "") -> list[str]:
        """Return the names of files in a folder of it; of none if there is no such folder."""
        fs, path = self._reach(folder)
        fs.invalidate_cache()
        try:
            entries = fs.ls(path, detail=True)
        except FileNotFoundError:
            return []
        return sorted(
            posixpath.join(folder, posixpath.basename(entry["name"]))
            for entry in entries
            if entry["type"] == "file"
        )

    def read(self, name: str) -> bytes:
        """Return what is in a file."""
        fs, path = self._reach(name)
        content: bytes = fs.cat_file(path)
        return content

    @contextmanager
    def writing(self, name: str) -> Iterator[IO[bytes]]:
        """Give a file to write, which is there when it is complete."""
        fs, target = self._reach(name)
        folder, bare = posixpath.split(target)
        unfinished = posixpath.join(folder, f"{_UNFINISHED}{bare}-{uuid.uuid4().hex}")
        try:
            with fs.open(unfinished, "wb") as file:
                yield file
            fs.mv(unfinished, target)
        except BaseException:
            with suppress(Exception):
                fs.rm(unfinished)
            raise

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        fs, path = self._reach(name)
        with suppress(FileNotFoundError):
            fs.rm(path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let anybody in: there are no locks that all file systems have."""
        yield


def folder_at(path: str | os.PathLike[str]) -> Folder:
    """Return a folder by its path or URL."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"out: expected the path of a folder, got {type(path).__name__}")
    name = os.fspath(path)
    if name.startswith("file://"):
        name = name.removeprefix("file://")
    return RemoteFolder(name) if "://" in name else Folder(os.path.abspath(name))
