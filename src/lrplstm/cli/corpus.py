"""The command `corpus`: its arguments, and what it does."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lrplstm.cli.arguments import (
    add_method_options,
    add_settings,
    examples,
    methods,
    names,
    path,
    positive,
    wrapped,
)
from lrplstm.cli.commands import method_options
from lrplstm.cli.inputs import InputError, Naming, load_model
from lrplstm.cli.progress import Progress
from lrplstm.cli.targets import read_target
from lrplstm.corpus import Corpus, explain_corpus
from lrplstm.corpus import Progress as HowFar
from lrplstm.corpus.files import FORMATS
from lrplstm.methods import ALIASES, METHODS
from lrplstm.texts import visible

__all__ = ["add_corpus"]

_EXAMPLES = examples(
    "lrplstm corpus texts.txt --out explained",
    "lrplstm corpus texts.txt --out explained --resume",
    "lrplstm corpus reviews.parquet --column words --keep id --out reviews --workers 2",
    "lrplstm corpus machines.csv --model forecast --key machine --features rain,temp --out series",
    "echo 'A fine film.' | lrplstm corpus - --out piped",
)


def add_corpus(commands: Any) -> None:
    """Add the command and its arguments."""
    parser = commands.add_parser(
        "corpus",
        help="explain files of any size into a folder of Parquet files",
        description=wrapped(
            "Explain the sequences in files, however many, by all processors or on a cluster, into "
            "a folder of Parquet files. Rows that cannot be explained are put down with the "
            "reason. What a run that was interrupted has not done, --resume does."
        ),
        epilog=f"{methods()}\n\n{_EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "inputs",
        nargs="+",
        type=path,
        metavar="INPUT",
        help="files, folders or patterns of text (one a line), labelled sentences, JSON lines, CSV "
        "or TSV with named columns, Parquet or Arrow, those of lines also compressed (.gz, .zst, "
        ".bz2); - for standard input",
    )
    parser.add_argument("--out", type=path, required=True, metavar="DIR", help="the folder")
    parser.add_argument(
        "--format", choices=list(FORMATS), help="what files are (default: what they end in)"
    )
    parser.add_argument(
        "--column",
        metavar="NAME",
        help="the column that has sequences: texts, or lists of tokens, ids or numbers (default: "
        "the one that is called text, tokens, ids or series)",
    )
    parser.add_argument(
        "--keep", type=names, metavar="NAME,NAME", help="columns to write beside explanations"
    )
    parser.add_argument(
        "--key",
        metavar="NAME",
        help="of tables in which a row is a step: the column that says of which series",
    )
    parser.add_argument("--time", metavar="NAME", help="the column that says when a step was")
    parser.add_argument(
        "--features",
        type=names,
        metavar="NAME,NAME",
        help="the columns that are variables (default: what the model calls them)",
    )
    parser.add_argument(
        "--tokenized", action="store_true", help="take words, separated by spaces, as they are"
    )
    parser.add_argument("--ids", action="store_true", help="take texts as token ids")
    parser.add_argument(
        "--method",
        choices=[*METHODS, *ALIASES],
        default="lrp",
        metavar="METHOD",
        help="one of those below (default: lrp)",
    )
    parser.add_argument(
        "--target", metavar="CLASS", help="class to explain, as for explain (default: predicted)"
    )
    parser.add_argument(
        "--level",
        choices=["token", "input"],
        help="relevance of steps, or of each number of them (default: token for words, input for "
        "numbers)",
    )
    add_method_options(parser)
    parser.add_argument(
        "--max-tokens",
        type=positive,
        default=10_000,
        metavar="N",
        help="reject longer sequences (default: 10000)",
    )
    parser.add_argument(
        "--strict", action="store_true", help="stop at the first row that cannot be explained"
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on with the run that was begun in DIR"
    )
    parser.add_argument(
        "--workers", type=positive, metavar="N", help="processes (default: one a processor)"
    )
    parser.add_argument(
        "--scheduler", metavar="ADDRESS", help="let the workers of Dask's scheduler do it"
    )
    parser.add_argument(
        "--piece-mb",
        type=positive,
        default=2,
        metavar="N",
        help="read so many MB of lines for each file that is written (default: 2)",
    )
    parser.add_argument(
        "--quiet", action="store_true", help="show no progress where standard error is a terminal"
    )
    add_settings(parser, threads=False)
    parser.set_defaults(run=explain_all, parser=parser, file=None)


def explain_all(options: argparse.Namespace) -> None:
    """Explain files into a folder, and say what came out."""
    if options.backend == "reference" and options.workers is None and options.scheduler is None:
        options.workers = 1
    model = load_model(options)
    method = ALIASES.get(options.method, options.method)
    chosen = method_options(options, [method], model)[method]
    if options.backend != "auto":
        chosen["backend"] = options.backend
    bar = Progress(sys.stderr, "rows", shown=sys.stderr.isatty() and not options.quiet)

    def show(far: HowFar) -> None:
        bar.update(far.fraction, far.rows)

    naming = Naming(options)
    with _ended_by_signals(), bar, naming(()):
        corpus = explain_corpus(
            model,
            options.inputs,
            options.out,
            method=method,
            target=read_target(options.target, model),
            level=options.level,
            unknown=options.unknown,
            format=options.format,
            column=options.column,
            keep=options.keep or (),
            tokenized=options.tokenized,
            ids=options.ids,
            key=options.key,
            time=options.time,
            features=options.features or (),
            max_tokens=options.max_tokens,
            strict=options.strict,
            resume=options.resume,
            workers=options.workers,
            scheduler=options.scheduler,
            piece_bytes=options.piece_mb * 2**20,
            progress=show,
            **chosen,
        )
    naming.finish()
    _say(corpus, options.out)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let SIGTERM end the run as Ctrl-C does, so that it can be continued, and say how."""

    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        print("lrplstm: stopped; the same command with --resume goes on", file=sys.stderr)
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def _say(corpus: Corpus, out: str) -> None:
    summary = corpus.summary
    if summary is None:
        raise InputError(f"{out}: expected a complete run")
    print(
        f"{corpus.rows:,} rows explained, {corpus.rejected:,} rejected, {corpus.steps:,} steps, "
        f"{summary['rows_per_second']:,.0f} rows a second"
    )
    for name, count in summary.get("predicted", {}).items():
        print(f"  {name}: {count:,}")
    for name, count in summary["warnings"].items():
        print(f"lrplstm: warning: {name} of {count:,} parts", file=sys.stderr)
    if corpus.rejected:
        first = summary["rejects"][0]
        print(
            f"lrplstm: warning: {corpus.rejected:,} rows are rejected, the first in "
            f"{visible(first['file'])}, row {first['row']}: {first['reason']}; "
            f"see {visible(out)}/rejects",
            file=sys.stderr,
        )
