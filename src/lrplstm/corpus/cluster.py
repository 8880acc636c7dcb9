"""Dask's workers explain pieces: on this machine, or on many."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lrplstm.corpus.manifest import Record
from lrplstm.corpus.parts import Job, write_part
from lrplstm.corpus.pieces import Piece
from lrplstm.corpus.workers import Workers
from lrplstm.exports.needed import needed

__all__ = ["on_cluster"]

_AHEAD = 4  # pieces for each thread of the cluster
_RETRIES = 3


def on_cluster(scheduler: Any) -> Workers:
    """Return what explains pieces on the workers of a scheduler.

    Parameters
    ----------
    scheduler : str or distributed.Client
        Its address, or a client of it.
    """

    def work(job: Job, pieces: Iterator[Piece]) -> Iterator[tuple[Piece, Record]]:
        distributed = needed("distributed", "scheduler=")
        with _client(distributed, scheduler) as client:
            shared = client.scatter(job, broadcast=True, hash=False)
            done = distributed.as_completed()
            waiting: dict[Any, Piece] = {}
            more = True
            while more or waiting:
                room = _AHEAD * max(1, sum(client.nthreads().values()))
                while more and len(waiting) < room:
                    piece = next(pieces, None)
                    more = piece is not None
                    if piece is not None:
                        future = client.submit(
                            write_part, shared, piece, pure=False, retries=_RETRIES, key=piece.part
                        )
                        waiting[future] = piece
                        done.add(future)
                if waiting:
                    future = next(done)
                    yield waiting.pop(future), future.result()

    return work


@contextmanager
def _client(distributed: Any, scheduler: Any) -> Iterator[Any]:
    """Give a client; one that was made here is closed here."""
    if isinstance(scheduler, distributed.Client):
        yield scheduler
        return
    with distributed.Client(scheduler, timeout="30s") as client:
        yield client
