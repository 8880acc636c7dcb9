"""Run the kernels under valgrind's memcheck; exit with 1 at any error of theirs.

Errors are invalid reads and writes, and decisions that depend on undefined values, in the kernels
or in what they call of the C library; and undefined values in results, which meet a table look-up
when a checksum is made of them. What Python and NumPy do is their own affair.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
import zlib
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import numpy as np

import lrplstm
from lrplstm import _kernels
from lrplstm.rules import PRODUCT_RULES

INSTRUCTION_SETS = ("baseline", "v3")
"""Not v4: valgrind knows no AVX-512."""

# H, D, C, layers, directions, pooling, lengths: below, at and above the sizes of vectors, panels
# and blocks. Every pooling but "last" has a head of several layers.
CASES = [
    (1, 1, 1, 1, 1, "last", (1,)),
    (2, 33, 2, 1, 2, "max", (2, 1)),
    (7, 3, 9, 2, 2, "last", (3, 3, 1)),
    (15, 16, 3, 1, 2, "none", (2,) * 5),
    (17, 31, 2, 2, 1, "last", (1, 4, 2, 2, 1, 1, 1)),
    (33, 2, 8, 1, 2, "mean", (2, 1) * 17),
    (61, 60, 5, 1, 2, "last", (5, 2, 3)),
]


def run_cases() -> None:
    """Call every method on every case."""
    rng = np.random.default_rng(0)
    methods = [name for name in lrplstm.METHODS if name != "random"]
    for case, dtype in product(CASES, (np.float32, np.float64)):
        H, D, C, layers, directions, pooling, lengths = case

        def draw(*shape: int, dtype=dtype):
            return rng.normal(0, 0.4, shape).astype(dtype)

        def side(width: int, H=H, draw=draw) -> lrplstm.LSTMWeights:
            return lrplstm.LSTMWeights(
                draw(4 * H, width),
                draw(4 * H, H),
                draw(4 * H),
                initial_hidden=draw(H),
                initial_cell=draw(H),
            )

        width = directions * H
        sizes = [D, width][:layers]
        stack = [side(n) if directions == 1 else (side(n), side(n)) for n in sizes]
        head = [lrplstm.DenseLayer(draw(C, width), draw(C))]
        if pooling != "last":
            head = [
                lrplstm.DenseLayer(draw(3, width), draw(3), "relu"),
                lrplstm.DenseLayer(draw(5, 3), None, "tanh"),
                lrplstm.DenseLayer(draw(C, 5), draw(C)),
            ]
        model = lrplstm.LSTMModel(stack, head=head, pooling=pooling, embedding=draw(9, D))
        ids = [rng.integers(0, 9, T) for T in lengths]
        floats = [draw(T, D) for T in lengths]
        hidden = [draw(T, width) for T in lengths]
        for inputs, level in ((ids, "token"), (floats, "input")):  # all that kernels can tell
            options = {"level": level, "num_threads": 1}
            for scores in model.predict(inputs, num_threads=1):
                check(scores)
            for method, target in product(methods, (None, "all")):
                if method == "occlusion" and level == "input" and D > 9:
                    continue  # many copies, and no other kernels
                few = {"steps": 2} if method == "integrated_gradients" else {}
                check_all(lrplstm.explain(model, inputs, method, target, **few, **options))
            for product_rule in PRODUCT_RULES:
                check_all(lrplstm.lrp(model, inputs, product_rule=product_rule, **options))
            check_all(lrplstm.lrp(model, inputs, bias_factor=1.0, **options))
            check_all(lrplstm.lrp(model, inputs, hidden_relevance=hidden, **options))


def check_all(found: lrplstm.Attributions) -> None:
    """Check all arrays of a result."""
    for name in ("scores", "token_relevance", "input_relevance", "initial_relevance", "delta"):
        array = getattr(found, name)
        if array is not None:
            check(array)


def check(array: np.ndarray) -> None:
    """Let memcheck see values that are undefined: zlib looks each byte up in a table."""
    zlib.crc32(array.tobytes())


def errors(log: Path) -> list[str]:
    """Return the errors of the kernels that memcheck wrote, with where they are."""
    found = []
    for error in ElementTree.parse(log).getroot().iter("error"):
        what = error.findtext("what") or error.findtext("xwhat/text") or ""
        frames = []
        for frame in error.find("stack").iter("frame"):
            frames.append((Path(frame.findtext("obj", "")).name, frame.findtext("fn", "?")))
        inner = [name for name, _ in frames if not name.startswith(("vgpreload", "libc.so"))]
        if inner and (inner[0].startswith("_kernels") or "zlib" in inner[0] or "libz." in inner[0]):
            found.append("\n".join([what, *(f"    {fn} ({obj})" for obj, fn in frames[:8])]))
    return found


def run_memcheck(instruction_set: str) -> list[str]:
    """Run all cases with one build of the kernels, and return what memcheck found."""
    environment = os.environ | {
        "LRPLSTM_INSTRUCTION_SET": instruction_set,
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONMALLOC": "malloc",  # Python's own allocator would hide errors from valgrind
    }
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log.xml")
        command = [
            *("valgrind", "--tool=memcheck", "--xml=yes", f"--xml-file={log}"),
            # Wide gaps between blocks: what runs over an end must not hit the next block.
            *("--error-limit=no", "--redzone-size=256", sys.executable, __file__, "--run"),
        ]
        process = subprocess.run(command, env=environment, capture_output=True, text=True)
        if process.returncode:
            raise RuntimeError(f"{process.stdout}{process.stderr}\nvalgrind failed")
        return errors(log)


def main() -> int:
    """Run memcheck for all instruction sets at once, print what it found and return the status."""
    if sys.argv[1:] == ["--run"]:
        run_cases()
        return 0
    if shutil.which("valgrind") is None:
        sys.exit("valgrind is missing; on Debian: apt-get install valgrind libc6-dbg")
    runs = [name for name in INSTRUCTION_SETS if name in _kernels.processor_runs()]
    for name in set(INSTRUCTION_SETS) - set(runs):
        print(f"{name}: skipped, this processor cannot run it")
    with ThreadPoolExecutor() as pool:
        of_sets = list(pool.map(run_memcheck, runs))
    for instruction_set, found in zip(runs, of_sets, strict=True):
        print(f"{instruction_set}: {len(found)} errors in the kernels")
        print(*found, sep="\n", end="\n" if found else "")
    return int(any(of_sets))


if __name__ == "__main__":
    sys.exit(main())
