"""Work that is shared out among threads, which stop when it is no longer wanted."""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import Any, TypeVar

__all__ = ["for_each", "look"]

_T = TypeVar("_T")


class _Work:
    """A function to be called with some items, by threads that each take one after the other."""

    def __init__(self, function: Callable[[Any], None], items: Sequence[Any]) -> None:
        self.function = function
        self.items = iter(items)
        self.stopped = False
        self.error: BaseException | None = None

    def run(self) -> None:
        """Take items until there are none left; the first error of any thread stops all."""
        thread = threading.current_thread()
        try:
            if thread is not threading.main_thread():
                _running[thread] = self
            for item in self.items:
                look()
                self.function(item)
        except BaseException as error:
            if self.error is None:
                self.error = error
            self.stopped = True
        finally:
            _running.pop(thread, None)


_running: dict[threading.Thread, _Work] = {}
"""What each thread is at, but the main thread: that sees signals itself, and nobody outlives it."""


def look() -> None:
    """Raise SystemExit, by which a thread ends without a word, if its work is no longer wanted.

    To be called several times a second by whatever takes long.
    """
    work = _running.get(threading.current_thread())
    if work is not None and work.stopped:
        raise SystemExit


def for_each(function: Callable[[_T], None], items: Sequence[_T], threads: int) -> None:
    """Call `function` with every item, in up to so many threads, which see the caller's context.

    The first exception of any call stops the work and is raised. Ctrl-C does not wait for what
    other threads are at: they stop when they look next.
    """
    threads = min(threads, len(items))
    if threads == 1 and threading.current_thread() is threading.main_thread():
        for item in items:
            function(item)
        return
    work = _Work(function, items)
    try:
        if threads == 1:
            work.run()
        else:
            # Python does not wait for daemon threads at its end; `_stop_all` does, for a while.
            workers = [
                threading.Thread(target=copy_context().run, args=(work.run,), daemon=True)
                for _ in range(threads)
            ]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
    finally:
        work.stopped = True
    error, work.error = work.error, None
    if error is not None:
        try:
            raise error
        finally:
            del error  # or it would hold its traceback, this frame, and so itself


def _stop_all() -> None:
    """Stop all threads before the interpreter, which they need in order to stop, is gone."""
    until = time.monotonic() + 1
    while _running and time.monotonic() < until:
        for work in list(_running.values()):
            work.stopped = True
        time.sleep(0.005)


atexit.register(_stop_all)
if hasattr(os, "register_at_fork"):  # threads do not live on in a child
    os.register_at_fork(after_in_child=_running.clear)
