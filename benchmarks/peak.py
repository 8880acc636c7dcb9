"""What one thread can do at most: multiply-adds a second, and NumPy's matrix product."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

PROGRAM = r"""
#if defined(__AVX512F__)
typedef REAL vector __attribute__((vector_size(64)));
#elif defined(__AVX__)
typedef REAL vector __attribute__((vector_size(32)));
#else
typedef REAL vector __attribute__((vector_size(16)));
#endif
#define ACCUMULATORS 12

/* Returns how many multiply-adds it did. */
double multiply_add(long rounds, REAL factor, REAL addend, REAL *result)
{
    vector a[ACCUMULATORS], f, b;
    for (unsigned lane = 0; lane < sizeof(vector) / sizeof(REAL); lane++) {
        f[lane] = factor;
        b[lane] = addend;
        for (int k = 0; k < ACCUMULATORS; k++) a[k][lane] = k + lane;
    }
    for (long r = 0; r < rounds; r++) {
#pragma GCC unroll 12
        for (int k = 0; k < ACCUMULATORS; k++) a[k] = a[k] * f + b;
    }
    *result = 0;
    for (unsigned lane = 0; lane < sizeof(vector) / sizeof(REAL); lane++)
        for (int k = 0; k < ACCUMULATORS; k++) *result += a[k][lane];
    return (double)rounds * ACCUMULATORS * (sizeof(vector) / sizeof(REAL));
}
"""
"""Independent sums in vector registers: as many multiply-adds as the processor can start."""

GEMM_SIZE = 1024


def multiply_adds(dtype: str = "float32") -> tuple[Callable[[], object], float] | None:
    """Return a function, and how many multiply-adds a call of it does.

    None where no compiler is found that makes it.
    """
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder, "peak.c"), Path(folder, "peak.so")
        source.write_text(PROGRAM)
        real = "float" if dtype == "float32" else "double"
        command = [*compiler.split(), f"-DREAL={real}", "-O3", "-march=native"]
        command.append("-ffp-contract=fast")
        try:
            subprocess.run(
                [*command, "-shared", "-fPIC", source, "-o", library],
                check=True,
                capture_output=True,
            )
        except (OSError, subprocess.CalledProcessError):
            return None
        function = ctypes.CDLL(str(library)).multiply_add
    function.restype = ctypes.c_double
    number = ctypes.c_float if dtype == "float32" else ctypes.c_double
    result = number()

    def run(rounds=500_000):
        return function(ctypes.c_long(rounds), number(0.5), number(0.5), ctypes.byref(result))

    return run, run()


def gemm(dtype) -> tuple[Callable[[], object], float]:
    """Return NumPy's matrix product at 1024, and how many multiply-adds it is."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, GEMM_SIZE, GEMM_SIZE)).astype(dtype)
    out = np.empty_like(a)
    return lambda: np.matmul(a, b, out=out), float(GEMM_SIZE**3)
