"""Files from strangers: what is refused, and how much reading one may take."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lrplstm.texts import first_line

__all__ = ["RefusedError", "Room", "saying"]


class RefusedError(ValueError):
    """A file asks for something that it may not have, or holds what is not read."""


class Room:
    """How many bytes reading a file may still take, so that small files cannot ask for much.

    Parameters
    ----------
    size : int
        All that may be taken.
    advice : str
        Ends the error's text: what takes most in files of this kind.
    """

    def __init__(self, size: int, advice: str = "") -> None:
        self._most = self._left = size
        self._advice = advice

    def take(self, size: int) -> None:
        """Note that so many bytes are about to be taken, or raise a RefusedError."""
        if size > self._left:
            raise RefusedError(
                f"what it makes takes more than {self._most} bytes, all that a file of its size "
                f"may{self._advice}"
            )
        self._left -= size

    def add(self, size: int) -> None:
        """Note that more was found to read."""
        self._most += size
        self._left += size


@contextmanager
def saying(what: str) -> Iterator[None]:
    """Put in front of whatever goes wrong inside what it was about."""
    try:
        yield
    except RefusedError as error:
        raise type(error)(f"{what}: {error}") from None
    except Exception as error:  # of what does not fit together, NumPy says so in many ways
        raise RefusedError(f"{what}: {first_line(error)} ({type(error).__name__})") from None
