"""The only place that chooses: which backend computes, built for what, and in how many threads."""

from __future__ import annotations

import functools
import importlib
import os
from types import ModuleType
from typing import cast

from lrplstm.backends import reference
from lrplstm.checks import check_choice, to_int
from lrplstm.scans import Scans

__all__ = [
    "BACKENDS",
    "INSTRUCTION_SETS",
    "count_threads",
    "instruction_set",
    "resolve",
    "scans",
]

BACKENDS = ("auto", "kernel", "reference")

INSTRUCTION_SETS = {"baseline": "_kernels", "v3": "_kernels_v3", "v4": "_kernels_v4"}
"""Builds of the kernels, the fastest last: for any processor, for AVX2 and for AVX-512.

The environment variable LRPLSTM_INSTRUCTION_SET forces one; else it is the last that the processor
runs.
"""


@functools.cache
def _kernels() -> ModuleType:
    try:
        from lrplstm import _kernels

        runs = _kernels.processor_runs()
        name = os.environ.get("LRPLSTM_INSTRUCTION_SET") or runs[-1]
        check_choice("LRPLSTM_INSTRUCTION_SET", name, INSTRUCTION_SETS)
        if name not in runs:
            raise ValueError(
                "LRPLSTM_INSTRUCTION_SET: expected one that this processor runs, "
                f"{', '.join(runs)}, got {name!r}"
            )
        return importlib.import_module(f"lrplstm.{INSTRUCTION_SETS[name]}")
    except ImportError as error:
        raise ImportError(
            f"the compiled kernels of lrplstm cannot be imported ({error}); install the package "
            "again, or ask for the slow NumPy code with backend='reference'"
        ) from error


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
        return cast(Scans, reference)
    return cast(Scans, _kernels())


def instruction_set() -> str:
    """Return the name of the instruction set that the compiled kernels were built for."""
    name: str = _kernels().INSTRUCTION_SET
    return name


def count_threads(num_threads: int | None, sequences: int) -> int:
    """Return how many threads share out sequences: for None as many as there are processors."""
    if num_threads is not None:
        return min(to_int("num_threads", num_threads, 1), sequences)
    if sequences == 1:
        return 1
    if hasattr(os, "sched_getaffinity"):
        return min(len(os.sched_getaffinity(0)), sequences)
    return min(os.cpu_count() or 1, sequences)
