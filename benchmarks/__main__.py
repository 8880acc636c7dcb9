"""Measure, print a table, and write the numbers as JSON."""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

HERE = Path(__file__).parent
INSTRUCTION_SETS = "instruction-sets"

SLOW_SETTINGS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""Environment variables that keep NumPy from being at its best."""


def parse(arguments, names):
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "folder",
        nargs="?",
        metavar="SST_DIR",
        default=os.environ.get("LRPLSTM_SST"),
        help="folder with test.tsv; default: LRPLSTM_SST, or random words",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", default=HERE / "results.json")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=names, help=", ".join(names))
    return parser.parse_args(arguments)


def processor() -> str:
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line for line in lines if line.startswith("model name")).split(": ", 1)[1]
    return platform.processor() or platform.machine()


def version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def on_one_thread():
    """Return a context in which NumPy's matrix products run on one thread."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return contextlib.nullcontext()
    return threadpool_limits(1)


# What is printed --------------------------------------------------------------------------------


TEXT_WIDTH = 62


def number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def verdict_of(figure, peak: float) -> str:
    """Return what is said of a target: also where the processor cannot reach it."""
    if figure.passed is None:
        return ""
    if figure.passed:
        return "PASS"
    return "needs two units" if peak < figure.needs else "short"


def line(figure, peak: float) -> str:
    verdict, goal = verdict_of(figure, peak), ""
    share = "" if figure.share is None else f"{figure.share:.0%}"
    if figure.target is not None:
        goal = f"{'<=' if figure.at_most else '>='} {figure.target:g}"
    sides = ", ".join(f"{number(value)} {name}" for name, value in figure.sides.items())
    if sides:
        sides = f"{figure.side_unit}: {sides}"
    measured = f"{number(figure.value)} {figure.unit}"
    return f"{figure.text:<{TEXT_WIDTH}} {measured:>8}  {goal:<7} {verdict:<5} {share:>5}  {sides}"


def records(figures) -> list[dict]:
    """Return figures as JSON has them."""
    return [asdict(figure) | {"passed": figure.passed} for figure in figures]


def print_instruction_sets(tables: dict[str, list[dict]]) -> None:
    """Print the value of each figure for each instruction set."""
    print("\nFor each instruction set that the processor runs:")
    print(f"{'':<{TEXT_WIDTH}} " + "".join(f"{name:>10}" for name in tables))
    for rows in zip(*tables.values(), strict=True):
        values = "".join(f"{number(row['value']) + ' x':>10}" for row in rows)
        print(f"{rows[0]['text']:<{TEXT_WIDTH}} {values}")


# What is run ------------------------------------------------------------------------------------


def measure(groups, setting, optional) -> tuple[dict[str, list], dict[str, str]]:
    """Run groups of figures; return the figures of each, and why others were skipped."""
    from benchmarks.figures import SkippedError

    found, skipped = {}, {}
    for name, group in groups.items():
        try:
            with on_one_thread():
                figures = group(setting)
        except SkippedError as error:
            skipped[name] = str(error)
        except ImportError as error:
            if error.name not in optional:
                raise
            skipped[name] = f"{error.name} is not installed"
        else:
            found[name] = figures
            for figure in figures:
                print(line(figure, setting.peaks.get("float32", 0)), flush=True)
        if name in skipped:
            print(f"{name}: skipped, {skipped[name]}", flush=True)
    return found, skipped


def for_instruction_set(name: str, groups, folder: str | None) -> list[dict]:
    """Return the figures of some groups, measured in a process that uses an instruction set."""
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary, "results.json")
        command = [sys.executable, "-m", "benchmarks", *([folder] if folder else [])]
        subprocess.run(
            [*command, "--json", path, "--only", *groups],
            check=True,
            stdout=subprocess.DEVNULL,
            env=os.environ | {"LRPLSTM_INSTRUCTION_SET": name},
            cwd=HERE.parent,
        )
        return json.loads(path.read_text(encoding="utf-8"))["figures"]


def main(arguments=None) -> None:
    slow = [name for name in SLOW_SETTINGS if name in os.environ]
    if slow:  # NumPy reads them when it is loaded, so in a new process
        for name in slow:
            del os.environ[name]
        os.execv(sys.executable, [sys.executable, "-m", "benchmarks", *sys.argv[1:]])

    from benchmarks import figures, workload
    from lrplstm import _kernels, load_default
    from lrplstm.backends import choose

    options = parse(arguments, [*figures.GROUPS, INSTRUCTION_SETS])
    folder = None if options.folder is None else str(Path(options.folder).resolve())
    chosen = options.only or [*figures.GROUPS, INSTRUCTION_SETS]
    groups = {name: group for name, group in figures.GROUPS.items() if name in chosen}
    model = load_default()
    setting = figures.Setting(workload.load(folder, model), folder, model)

    runs = _kernels.processor_runs()
    used = os.environ.get("LRPLSTM_INSTRUCTION_SET") or runs[-1]
    machine = {
        "processor": processor(),
        "instruction set": used,
        "load before": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
    } | {package: version(package) for package in ("lrplstm", "numpy", *figures.OPTIONAL)}
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    A = setting.A
    print(f"workload: {A.source}, {len(A.sentences)} sentences, {A.tokens} tokens")
    print("one thread, in processor time, unless stated; the best of calls that take turns")
    peaks = ", ".join(f"{dtype} {rate / 1e9:.0f} G" for dtype, rate in setting.peaks.items())
    print(f"multiply-adds a second: {peaks or 'not measured'}; % is the share of them\n")

    found, skipped = measure(groups, setting, figures.OPTIONAL)
    rows = {group: records(some) for group, some in found.items()}
    results = {
        "machine": machine,
        "workload": A.source,
        "peaks": setting.peaks,
        "figures": [row for some in rows.values() for row in some],
        "skipped": skipped,
    }
    if INSTRUCTION_SETS in chosen:
        wanted = figures.FOR_EACH_INSTRUCTION_SET
        tables = {}
        for name in choose.INSTRUCTION_SETS:
            if name not in runs:
                print(f"{name}: skipped, this processor cannot run it", flush=True)
                continue
            if name == used and set(wanted) <= set(groups):
                tables[name] = [row for group in wanted for row in rows.get(group, ())]
            else:
                tables[name] = for_instruction_set(name, wanted, folder)
        print_instruction_sets(tables)
        results["instruction sets"] = tables

    options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    verdicts = [row["passed"] for row in results["figures"] if row["passed"] is not None]
    print(f"\n{sum(verdicts)} of {len(verdicts)} targets reached; numbers in {options.json.name}")


if __name__ == "__main__":
    main()
