"""What the experiments have in common: their command line, and where their results go."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from experiments.cases import CASES

RESULTS = Path(__file__).parents[1] / "docs" / "results"

ORANGE, BLUE, GREY = "#D55E00", "#0072B2", "#767676"
"""Colours that are told apart with any colour vision (Okabe and Ito 2008), and a grey."""


def parse_arguments(
    name: str, description: str | None, *, seeded: bool = False, cases: bool = True
) -> argparse.Namespace:
    """Read the command line of `python -m experiments.NAME`.

    Parameters
    ----------
    name, description : str
    seeded : bool
        Whether it draws numbers of its own.
    cases : bool
        Whether it compares methods.
    """
    parser = argparse.ArgumentParser(prog=f"python -m experiments.{name}", description=description)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="where table and picture go (default: docs/results, for whole runs alone)",
    )
    parser.add_argument("--quick", action="store_true", help="a small run, to see that it works")
    if seeded:
        parser.add_argument("--seed", type=_seed, default=0, metavar="N", help="(default: 0)")
    if cases:
        parser.add_argument(
            "--only",
            nargs="+",
            metavar="CASE",
            choices=CASES,
            help=f"some of: {', '.join(CASES)} (default: all)",
        )
    arguments = parser.parse_args()
    if arguments.out is None:
        for option in ("quick", "seed", "only"):
            if getattr(arguments, option, None):
                parser.error(f"--{option}: expected --out with it; docs/results has whole runs")
        arguments.out = RESULTS
    if arguments.out.exists() and not arguments.out.is_dir():
        parser.error(f"--out: expected a folder, got the file {arguments.out}")
    if cases and arguments.only is None:
        arguments.only = list(CASES)
    return arguments


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"expected a number from 0, got {text!r}")
    return int(text)


def to_markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table: text in the first column, numbers in the others."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "".join(f"| {' | '.join(row)} |\n" for row in (header, rule, *rows))


def save(
    folder: Path, name: str, numbers: dict[str, Any], tables: dict[str, str], picture: Figure
) -> None:
    """Write NAME.json and NAME.png, print the tables, and renew those in the folder's README.md.

    There a table stands between the lines ``<!-- table: its name -->`` and ``<!-- end -->``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    # Without the version of matplotlib: the same numbers then are the same file.
    picture.savefig(folder / f"{name}.png", dpi=100, metadata={"Software": None})
    page = folder / "README.md"
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    for title, table in tables.items():
        print(f"{title}\n\n{table}")
        text = replace_table(text, title, table)
    if page.exists():
        page.write_text(text, encoding="utf-8")
    print(f"wrote {folder / name}.json and {folder / name}.png")


def replace_table(text: str, title: str, table: str) -> str:
    """Put a table into its place on a page; a page without one stays as it is."""
    before, start, rest = text.partition(f"<!-- table: {title} -->\n")
    _, end, after = rest.partition("<!-- end -->\n")
    return f"{before}{start}\n{table}\n{end}{after}" if end else text
