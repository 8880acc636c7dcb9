"""Who explains pieces: this process, processes beside it, or workers of a cluster."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from lrplstm.corpus.manifest import Record
from lrplstm.corpus.parts import Job, RejectedError, write_part
from lrplstm.corpus.pieces import Piece
from lrplstm.exports.needed import needed

__all__ = ["Workers", "in_processes", "in_this_process"]

Workers = Callable[[Job, Iterator[Piece]], Generator[tuple[Piece, Record]]]
"""Takes pieces as there is work to be done, and yields the records of parts as they are ready."""

_MOST_DEATHS = 3
"""So many workers may die of one piece: it is what kills them."""


def in_this_process(job: Job, pieces: Iterator[Piece]) -> Generator[tuple[Piece, Record]]:
    """Explain one piece after the other."""
    for piece in pieces:
        yield piece, write_part(job, piece)


def in_processes(count: int) -> Workers:
    """Return what explains pieces in so many processes, each with the model of its own."""

    def work(job: Job, pieces: Iterator[Piece]) -> Generator[tuple[Piece, Record]]:
        pool = _Pool(count, job)
        try:
            yield from pool.run(pieces)
        finally:
            pool.stop()

    return work


class _Pool:
    """Processes that are begun again when one of them dies, and the pieces that they have."""

    def __init__(self, count: int, job: Job) -> None:
        self._count, self._job = count, job
        self._executor = self._begun()
        self._waiting: dict[Future[Record], Piece] = {}
        self._deaths: dict[str, int] = {}

    def _begun(self) -> ProcessPoolExecutor:
        # From a server that has the imports and no threads: quick to begin, and safe.
        context = multiprocessing.get_context(_METHOD)
        if _METHOD == "forkserver":
            context.set_forkserver_preload([__name__])
        return ProcessPoolExecutor(self._count, context, _begin_worker, (self._job,))

    def run(self, pieces: Iterator[Piece]) -> Iterator[tuple[Piece, Record]]:
        """Keep each process busy, with a piece in wait for it."""
        more = True
        while more or self._waiting:
            while more and len(self._waiting) < 2 * self._count:
                piece = next(pieces, None)
                more = piece is not None
                if piece is not None:
                    self._submit(piece)
            if self._waiting:
                yield from self._ready()

    def _submit(self, piece: Piece) -> None:
        try:
            with _interrupts_later():
                future = self._executor.submit(_work, piece)
            self._waiting[future] = piece
        except BrokenProcessPool:
            self._begin_again([piece])

    def _ready(self) -> Iterator[tuple[Piece, Record]]:
        done, _ = wait(self._waiting, return_when=FIRST_COMPLETED)
        for future in done:
            piece = self._waiting.pop(future)
            try:
                record = future.result()
            except BrokenProcessPool:
                self._begin_again([piece])
                return
            except RejectedError:
                # Of several, that of the first row is to be told.
                earlier = [f for f, other in self._waiting.items() if other.part < piece.part]
                wait(earlier)
                for error in filter(None, map(Future.exception, earlier)):
                    raise error from None
                raise
            yield piece, record

    def _begin_again(self, pieces: list[Piece]) -> None:
        """Give all pieces that are not done to new processes."""
        pieces = pieces + list(self._waiting.values())
        for piece in pieces:
            self._deaths[piece.part] = self._deaths.get(piece.part, 0) + 1
            if self._deaths[piece.part] > _MOST_DEATHS * self._count:
                raise ChildProcessError(
                    f"{piece.file.name}: workers die of the rows from {piece.first_row} on, or "
                    "are killed; is there enough memory for so many workers?"
                )
        self._waiting = {}
        self.stop()
        self._executor = self._begun()
        for piece in pieces:
            self._submit(piece)

    def stop(self) -> None:
        """End the processes, whatever they do: what they have not finished is not there."""
        processes = list((getattr(self._executor, "_processes", None) or {}).values())
        for process in processes:
            process.terminate()
        self._executor.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _interrupts_later() -> Iterator[None]:
    """Begin processes whole, so that whoever is interrupted knows them all and ends them.

    These never see Ctrl-C: not even before they can ignore it.
    """
    if threading.current_thread() is not threading.main_thread():  # which alone is interrupted
        yield
        return
    noted: list[int] = []
    numbers: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM)
    before = {n: signal.signal(n, lambda number, frame: noted.append(number)) for n in numbers}
    masks = hasattr(signal, "pthread_sigmask")  # which Windows lacks
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if masks else set()
    try:
        yield
    finally:
        if masks:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in noted:
            signal.raise_signal(number)


_METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"

_job: Job | None = None
"""What this process, a worker, does with pieces."""


def _begin_worker(job: Job) -> None:
    global _job
    _job = job
    # Arrow's other pools keep some 70 MB more than is used at any time, and are no quicker here.
    pyarrow = needed("pyarrow", "a corpus")
    pyarrow.set_memory_pool(pyarrow.system_memory_pool())
    # Ctrl-C is for the one who has begun it all, and who ends this.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: Any) -> None:
    """End when the process that has begun this one ends, even if it was killed."""
    parent.join()
    os._exit(1)


def _work(piece: Piece) -> Record:
    if _job is None:
        raise RuntimeError("a worker has to begin before it works")
    return write_part(_job, piece)
