"""Dask's workers explain pieces: on this machine, or on many."""

from __future__ import annotations

import threading
import uuid
import warnings
from collections.abc import Generator, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from time import monotonic
from typing import Any

from lrplstm.corpus.manifest import Record
from lrplstm.corpus.parts import Job, write_part
from lrplstm.corpus.pieces import Piece
from lrplstm.corpus.workers import Workers
from lrplstm.exports.needed import needed

__all__ = ["on_cluster"]

_AHEAD = 3  # pieces for each worker: one that is explained, and those that need not be waited for
_RETRIES = 3  # of storage that fails for a moment
_COUNTING = 5.0  # seconds: workers may come and go meanwhile
_PATIENCE = "30s"  # with a scheduler that does not answer


def on_cluster(scheduler: Any) -> Workers:
    """Return what explains pieces on the workers of a scheduler.

    The job, which has the model, goes to each worker once, also to one that comes later. A piece
    whose worker dies is given to another one.

    Parameters
    ----------
    scheduler : str or distributed.Client
        Its address, or a client of it.

    Raises
    ------
    ImportError
        Without Dask's `distributed`.
    """
    distributed = needed("distributed", "scheduler=")

    def work(job: Job, pieces: Iterator[Piece]) -> Generator[tuple[Piece, Record]]:
        with _client(distributed, scheduler) as client, _known(distributed, client, job) as run:
            _warn_of_idle_threads(client)
            yield from _explained(distributed, client, run, pieces)

    return work


def _explained(
    distributed: Any, client: Any, run: str, pieces: Iterator[Piece]
) -> Iterator[tuple[Piece, Record]]:
    """Keep each worker busy, and yield what is done in whatever order it is."""
    waiting: dict[Any, Piece] = {}
    done = distributed.as_completed(loop=client.loop)
    more, counted, room = True, -_COUNTING, 0
    try:
        while more or waiting:
            if monotonic() - counted > _COUNTING:
                counted, room = monotonic(), _AHEAD * max(1, len(_workers(client)))
            while more and len(waiting) < room:
                piece = next(pieces, None)
                more = piece is not None
                if piece is not None:
                    future = client.submit(
                        _work, run, piece, key=f"{run}-{piece.part}", retries=_RETRIES
                    )
                    waiting[future] = piece
                    done.add(future)
            if waiting:
                future = next(done)
                piece = waiting.pop(future)
                yield piece, _record(distributed, future, piece)
    finally:
        if waiting and client.status == "running":
            client.cancel(list(waiting), force=True)


def _workers(client: Any) -> dict[str, int]:
    """Return how many threads each worker has."""
    try:
        threads: dict[str, int] = client.nthreads()
    except OSError:
        raise _lost() from None
    return threads


def _record(distributed: Any, future: Any, piece: Piece) -> Record:
    """Return the record of a piece that is done; what is wrong is said as in a run without Dask."""
    try:
        result = future.result()
    except distributed.KilledWorker as error:
        raise ChildProcessError(
            f"{piece.file.name}: {error.allowed_failures + 1} workers died one after the other at "
            f"the rows from {piece.first_row} on, or were killed; is there enough memory for so "
            "many workers? What was written until then is complete, and resume goes on from there"
        ) from None
    except CancelledError:
        raise _lost() from None
    if isinstance(result, Exception):
        raise result
    record: Record = result
    return record


def _lost() -> ConnectionError:
    return ConnectionError(
        "scheduler: it was lost, or it let go of the work. What was written until then is "
        "complete, and resume goes on from there"
    )


@contextmanager
def _client(distributed: Any, scheduler: Any) -> Iterator[Any]:
    """Give a client; one that was made here is closed here."""
    if isinstance(scheduler, distributed.Client):
        yield scheduler
        return
    if not isinstance(scheduler, str):
        raise TypeError(
            "scheduler: expected the address of one, or a distributed.Client, got "
            f"{type(scheduler).__name__}"
        )
    try:
        client = distributed.Client(scheduler, timeout=_PATIENCE, set_as_default=False)
    except OSError:
        raise ConnectionError(
            f"scheduler: expected the address of one, got {scheduler}, where none answers"
        ) from None
    with client:
        yield client


@contextmanager
def _known(distributed: Any, client: Any, job: Job) -> Iterator[str]:
    """Let all workers know a job, now and when they come; give the name it has there."""

    class Knowing(distributed.WorkerPlugin):  # type: ignore[misc]
        """Has a job. Dask sends it once to each worker, and knows it by its base class."""

        def __init__(self, job: Job) -> None:
            self.job = job

    run = f"lrplstm-{uuid.uuid4().hex}"
    client.register_plugin(Knowing(job), name=run)
    try:
        yield run
    finally:
        if client.status == "running":
            client.unregister_worker_plugin(run)


def _warn_of_idle_threads(client: Any) -> None:
    if any(threads > 1 for threads in _workers(client).values()):
        warnings.warn(
            "scheduler: a worker uses one of its threads; begin as many workers as there are "
            "processors, with --nthreads 1",
            stacklevel=2,
        )


_one_at_a_time = threading.Lock()
"""Warnings are counted for each piece, and Python has one list of them in a process."""


def _work(run: str, piece: Piece) -> Record | Exception:
    """Explain a piece, on a worker; return an error that would come again each time."""
    job = needed("distributed", "scheduler=").get_worker().plugins[run].job
    with _one_at_a_time:
        try:
            return write_part(job, piece)
        except (ValueError, TypeError, RuntimeError) as error:
            return error
