"""Count the instructions that the kernels run for a fixed workload; compare with stored counts.

Unlike times, counts are the same on every run and every processor: a kernel that does more work
than it did is seen at once. The build that they are of is stored with them, so that like is
compared with like whatever the processor has; so is the version of the compiler, on which they
depend too.
Only instructions within the modules of the kernels count, not those of Python and NumPy, nor those
of start-up and of packing matrices.

    make count                                           exit with 1 if a count is 10 % higher
    .venv/bin/python benchmarks/instructions.py --update     store the counts of today
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

import lrplstm
from lrplstm import _kernels
from lrplstm.backends import choose

STORED = Path(__file__).with_name("instructions.json")
TOLERANCE = 0.1
INSTRUCTION_SETS = ("baseline", "v3")
"""Not v4: valgrind knows no AVX-512."""

D = H = 60
C, V = 5, 1000


def workload() -> Iterator[tuple[str, Callable[[list], object]]]:
    """Yield each case: its name, and a function that runs it on sequences."""
    for dtype in (np.float32, np.float64):
        rng = np.random.default_rng(0)

        def draw(*shape: int, rng=rng, dtype=dtype):
            return rng.normal(0, 0.3, shape).astype(dtype)

        sides = [lrplstm.LSTMWeights(draw(4 * H, D), draw(4 * H, H), draw(4 * H)) for _ in range(2)]
        model = lrplstm.LSTMModel([sides], draw(C, 2 * H), embedding=draw(V, D))
        name = np.dtype(dtype).name
        one = {"num_threads": 1}
        yield f"predict {name}", partial(model.predict, **one)
        yield f"lrp {name}", partial(lrplstm.lrp, model, **one)
        yield f"lrp all {name}", partial(lrplstm.lrp, model, target="all", **one)
        yield f"sensitivity {name}", partial(lrplstm.sensitivity, model, **one)
        yield f"gradient_x_input {name}", partial(lrplstm.gradient_x_input, model, **one)
        yield f"lrp half {name}", partial(lrplstm.lrp, model, product_rule="half", **one)
        # One pass for each step: some sequences are enough.
        yield (
            f"contextual_decomposition {name}",
            lambda batch, model=model: lrplstm.contextual_decomposition(model, batch[:8]),
        )
        yield f"lrp of one sentence {name}", lambda batch, model=model: lrplstm.lrp(model, batch[0])


def run_workload() -> None:
    """Run each case between two calls of sched_yield: there counts are written and begin anew."""
    rng = np.random.default_rng(1)
    batch = [rng.integers(0, V, T) for T in (19, *rng.integers(2, 41, 63))]
    cases = list(workload())
    # Matrices are packed, and the embedding projected, when that is first needed.
    for name, run in cases:
        run(batch if name.startswith("predict") else batch[:2])
    os.sched_yield()
    for _, run in cases:
        run(batch)
        os.sched_yield()


def count(instruction_set: str) -> dict[str, int]:
    """Return the instructions of each case."""
    names = [name for name, _ in workload()]
    environment = os.environ | {
        "LRPLSTM_INSTRUCTION_SET": instruction_set,
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
    }
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out")
        command = [
            *("valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={out}"),
            *("--dump-before=sched_yield", "--compress-strings=no", "--compress-pos=no"),
            *(sys.executable, __file__, "--run"),
        ]
        process = subprocess.run(command, env=environment, capture_output=True, text=True)
        if process.returncode:
            sys.exit(f"{process.stdout}{process.stderr}\nvalgrind failed")
        # The first part was before the first case; what was after the last is in `out` itself.
        parts = sorted(out.parent.glob("out.*"), key=lambda path: int(path.suffix[1:]))
        if len(parts) != len(names) + 1:
            sys.exit(f"expected {len(names) + 1} parts, valgrind wrote {len(parts)}")
        return {n: within_kernels(part) for n, part in zip(names, parts[1:], strict=True)}


def within_kernels(path: Path) -> int:
    """Add up the counts of functions in the kernels' modules, without what these call."""
    total, inside, of_call = 0, False, False
    for line in path.read_text().splitlines():
        if line.startswith("ob="):
            inside = Path(line[3:]).name.startswith("_kernels")
        elif line.startswith("calls="):
            of_call = True  # the next line is what the call cost
        elif line[:1].isdigit():
            if inside and not of_call:
                total += int(line.split()[1])
            of_call = False
    return total


def build(instruction_set: str) -> str:
    """Return what a build says that it is for."""
    module = importlib.import_module(f"lrplstm.{choose.INSTRUCTION_SETS[instruction_set]}")
    return module.INSTRUCTION_SET


def cannot_count(instruction_set: str, before: dict | None) -> str | None:
    """Return why counts of a build cannot be compared here with those `before`, or None."""
    if instruction_set not in _kernels.processor_runs():
        return "this processor cannot run it"
    if before and before["build"] != build(instruction_set):
        return f"stored for {before['build']}, this is {build(instruction_set)}"
    return None


def compiler() -> str:
    """Return what the compiler says of itself in a module that it built."""
    found = re.search(
        rb"GCC: \([^)]*\) [\w.]+|clang version [\w.]+", Path(_kernels.__file__).read_bytes()
    )
    return found.group().decode() if found else "unknown"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", action="store_true", help="store the counts")
    parser.add_argument("--run", action="store_true", help="just run the workload, for valgrind")
    options = parser.parse_args()
    if options.run:
        run_workload()
        return 0
    if shutil.which("valgrind") is None:
        sys.exit("valgrind is missing; on Debian: apt-get install valgrind libc6-dbg")
    stored = json.loads(STORED.read_text()) if STORED.exists() else {"builds": {}}
    if stored["builds"] and stored["compiler"] != compiler():
        print(f"note: stored for {stored['compiler']}, this is {compiler()}")
    found, worse = {}, []
    for instruction_set in INSTRUCTION_SETS:
        before = stored["builds"].get(instruction_set)
        problem = cannot_count(instruction_set, before)
        if problem:
            print(f"{instruction_set}: skipped, {problem}")
            continue
        numbers = count(instruction_set)
        found[instruction_set] = {"build": build(instruction_set), "instructions": numbers}
        print(f"{build(instruction_set)}, millions of instructions:")
        for name, number in numbers.items():
            old = before["instructions"].get(name) if before else None
            change = f"{number / old - 1:+8.1%}" if old else "     new"
            print(f"{number / 1e6:10.3f} {change}  {name}")
            if old and number > old * (1 + TOLERANCE):
                worse.append(f"{name}, {instruction_set}: {old} -> {number}")
    if options.update:
        counts = {"compiler": compiler(), "builds": stored["builds"] | found}
        STORED.write_text(json.dumps(counts, indent=2) + "\n")
        return 0
    if not stored["builds"]:
        sys.exit(f"nothing is stored in {STORED.name}; store it with --update")
    for line in worse:
        print(f"more than {TOLERANCE:.0%} above what is stored: {line}", file=sys.stderr)
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
