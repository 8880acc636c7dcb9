"""Run the package on processors without AVX and without AVX-512, whatever this one has.

QEMU runs Python as such a processor would. Every module is imported: the builds of the kernels for
which it lacks instructions raise an ImportError, and nothing else fails. Then a sentence is
explained by every method, and the best kernels that run are tested.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

QEMU = "qemu-x86_64"
PROCESSORS = {"Nehalem": ["baseline"], "Haswell": ["baseline", "v3"]}
"""Processors as QEMU calls them, and the builds that each runs, the best last."""

TESTS = Path(__file__).parents[1] / "tests" / "test_kernels.py"
# Enough of them to see that numbers are right: QEMU is slow.
SOME_TESTS = "backends_agree or any_number_of_units or saturat or import or fastest"


def run_here(processor: str) -> int:
    """Import, explain and test; return the status of the tests."""
    import pytest

    import lrplstm
    from lrplstm.backends import choose

    refused = {}
    for module in pkgutil.walk_packages(lrplstm.__path__, "lrplstm."):
        try:
            importlib.import_module(module.name)
        except ImportError as error:
            refused[module.name] = str(error)
    lacking = choose.INSTRUCTION_SETS.keys() - set(PROCESSORS[processor])
    assert set(refused) == {f"lrplstm.{choose.INSTRUCTION_SETS[name]}" for name in lacking}
    assert all("which this processor lacks" in message for message in refused.values()), refused

    model = lrplstm.load_default()
    for method in lrplstm.METHODS:
        print(method, lrplstm.explain(model, "a fine film .".split(), method))
    print(f"-- {processor} uses {choose.instruction_set()}; refused:", *sorted(refused))
    others = [name for name in choose.INSTRUCTION_SETS if name != PROCESSORS[processor][-1]]
    chosen = f"({SOME_TESTS}) and not ({' or '.join(others)})"
    return pytest.main(["-q", "-n", "0", "-p", "no:cacheprovider", "-k", chosen, str(TESTS)])


def run(processor: str) -> subprocess.CompletedProcess[str]:
    """Run this file as another processor would."""
    environment = os.environ | {
        # QEMU shows the name of the real processor, by which OpenBLAS would choose its code.
        "OPENBLAS_CORETYPE": "Nehalem",
        "OPENBLAS_NUM_THREADS": "1",
    }
    environment.pop("LRPLSTM_INSTRUCTION_SET", None)
    return subprocess.run(
        [QEMU, "-cpu", processor, sys.executable, __file__, processor],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def main() -> int:
    """Run all processors at once, print what they found and return the status."""
    if len(sys.argv) > 1:
        return run_here(sys.argv[1])
    if shutil.which(QEMU) is None and shutil.which("apt-get") and os.geteuid() == 0:
        subprocess.run(["apt-get", "install", "--yes", "--quiet", "qemu-user"], check=True)
    if shutil.which(QEMU) is None:
        sys.exit(f"{QEMU} is missing; on Debian: apt-get install qemu-user")
    with ThreadPoolExecutor() as pool:
        processes = list(pool.map(run, PROCESSORS))
    for processor, process in zip(PROCESSORS, processes, strict=True):
        lines = [line for line in process.stdout.splitlines() if "TCG doesn't support" not in line]
        if process.returncode:
            print(*lines, f"{processor}: status {process.returncode}", sep="\n")
        else:
            print(next(line for line in lines if line.startswith("-- ")), lines[-1], sep="\n")
    return int(any(process.returncode for process in processes))


if __name__ == "__main__":
    sys.exit(main())
