"""The only place that chooses: which backend computes, and how many threads share the work."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from numbers import Integral
from types import ModuleType
from typing import TypeVar, cast

from lrplstm import _reference
from lrplstm.checks import check_choice
from lrplstm.scans import Scans
from lrplstm.weights import Array

__all__ = ["BACKENDS", "chunks", "for_each", "instruction_set", "resolve", "scans"]

BACKENDS = ("auto", "kernel", "reference")

_CHUNK_STEPS = 1024
_CHUNK_BYTES = 32 * 2**20

_T = TypeVar("_T")


def _kernels() -> ModuleType:
    try:
        from lrplstm import _kernels
    except ImportError as error:
        raise ImportError(
            f"the compiled kernels of lrplstm cannot be imported ({error}); install the package "
            "again, or ask for the slow NumPy code with backend='reference'"
        ) from error
    return _kernels


def resolve(backend: str) -> str:
    """Return which backend `backend` means: "kernel" or "reference".

    Raises
    ------
    TypeError, ValueError
        If `backend` is not one of `BACKENDS`.
    """
    check_choice("backend", backend, BACKENDS)
    # Every option of today is implemented by the kernels.
    return "reference" if backend == "reference" else "kernel"


def scans(backend: str) -> Scans:
    """Return the module that is `backend`; see `lrplstm.scans`.

    Raises
    ------
    ImportError
        If the compiled kernels are wanted and cannot be imported: never the slow code instead.
    """
    if resolve(backend) == "reference":
        return cast(Scans, _reference)
    return cast(Scans, _kernels())


def instruction_set() -> str:
    """Return the name of the instruction set that the compiled kernels were built for."""
    name: str = _kernels().INSTRUCTION_SET
    return name


def _threads(num_threads: int | None) -> int:
    if num_threads is None:
        return (
            len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else os.cpu_count() or 1
        )
    if isinstance(num_threads, bool) or not isinstance(num_threads, Integral):
        raise TypeError(f"num_threads: expected an int or None, got {num_threads!r}")
    if num_threads < 1:
        raise ValueError(f"num_threads: expected at least 1, got {num_threads}")
    return int(num_threads)


def chunks(offsets: Array, bytes_per_step: int) -> Iterator[slice]:
    """Cut a batch into runs of whole sequences small enough to bound memory and share out.

    Where the cuts fall depends on the batch alone, never on the number of threads.

    Parameters
    ----------
    offsets : ndarray of shape (B + 1,)
        First step of each sequence, and the number of all steps.
    bytes_per_step : int
        Working memory that one step takes.

    Yields
    ------
    slice
        Of sequences.
    """
    limit = max(1, min(_CHUNK_STEPS, _CHUNK_BYTES // bytes_per_step))
    first, last = 0, len(offsets) - 1
    while first < last:
        fits = int(offsets.searchsorted(offsets[first] + limit, side="right")) - 1
        stop = max(first + 1, fits)
        yield slice(first, stop)
        first = stop


def for_each(function: Callable[[_T], None], items: Sequence[_T], num_threads: int | None) -> None:
    """Call `function` with every item, in up to `num_threads` threads (None: all processors).

    The first exception of any call ends the work and is raised; so does Ctrl-C.
    """
    threads = min(_threads(num_threads), len(items))
    if threads == 1:
        for item in items:
            function(item)
        return
    pool = ThreadPoolExecutor(threads, thread_name_prefix="lrplstm")
    try:
        for future in [pool.submit(function, item) for item in items]:
            future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
