"""Peak memory of LRP, in a process of its own: ``python -m benchmarks.memory COPIES [SST_DIR]``.

Prints how many bytes the process grew by while it explained workload A so many times over, without
what was returned.
"""

from __future__ import annotations

import contextlib
import re
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np

import lrplstm
from benchmarks import workload


def growth(copies: int, folder: str | None) -> int:
    """Return the bytes that :func:`main` prints, of a fresh process."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.memory",
        str(copies),
        *([folder] if folder else []),
    ]
    found = subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[1]
    )
    return int(found.stdout)


def reset_peak() -> None:
    """Let the peak begin at what is used now, where the system can (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak() -> int:
    """Return the most memory that this process had since then, or ever, in bytes."""
    with contextlib.suppress(OSError):
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def size(attributions: lrplstm.Attributions) -> int:
    """Return the bytes of what was returned: arrays, and lists of tokens without the words."""
    arrays = sum(v.nbytes for v in vars(attributions).values() if isinstance(v, np.ndarray))
    return (
        arrays + sum(map(sys.getsizeof, attributions.tokens)) + sys.getsizeof(attributions.tokens)
    )


def main(copies: int, folder: str | None = None) -> None:
    model = lrplstm.load_default()
    batch = workload.load(folder, model).sentences * copies
    lrplstm.lrp(model, batch[:1], num_threads=1)
    reset_peak()
    before = peak()
    found = lrplstm.lrp(model, batch, num_threads=1)
    print(peak() - before - size(found))


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
