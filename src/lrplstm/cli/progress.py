"""How far a command has come, in one line of a terminal."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self, TextIO

__all__ = ["Progress"]

_WIDTH = 24  # of the bar
_EVERY = 0.1  # seconds


class Progress:
    r"""A bar on a stream, drawn over itself again and again, and gone at the end.

    Parameters
    ----------
    stream : text file
        A terminal.
    what : str
        What is counted, such as "texts".
    shown : bool
        False: nothing is ever written.

    Examples
    --------
    >>> import io
    >>> stream = io.StringIO()
    >>> with Progress(stream, "texts", shown=True) as progress:
    ...     progress.update(0.25, 1000)
    >>> stream.getvalue().split("\r")[1].rstrip()
    '[######                  ]  25 %  1,000 texts'
    """

    def __init__(self, stream: TextIO, what: str, *, shown: bool) -> None:
        self._stream, self._what, self._shown = stream, what, shown
        self._began = time.monotonic()
        self._drawn = -_EVERY
        self._columns = 0

    def update(self, fraction: float | None, count: int) -> None:
        """Say how much of the whole is done, None if nobody knows, and how many that is."""
        passed = time.monotonic() - self._began
        ended = fraction is not None and fraction >= 1
        if not self._shown or ended or passed - self._drawn < _EVERY:
            return
        self._drawn = passed
        rate = f"  {count / passed:,.0f} a second" if passed >= 1 else ""
        if fraction is None:
            self._write(f"{count:,} {self._what}{rate}")
            return
        bar = "#" * int(_WIDTH * fraction)
        text = f"[{bar:{_WIDTH}}] {fraction:4.0%}  {count:,} {self._what}".replace("%", " %")
        text += rate
        if fraction > 0 and passed >= 1:
            text += f"  {_clock(passed * (1 - fraction) / fraction)} left"
        self._write(text)

    def _write(self, text: str) -> None:
        self._stream.write(f"\r{text:{self._columns}}")
        self._stream.flush()
        self._columns = len(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._columns:
            self._write("")
            self._stream.write("\r")
            self._stream.flush()


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
