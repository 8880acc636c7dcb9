"""The command line's words: commands, options and their help."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NoReturn

import lrplstm
from lrplstm.cli.arguments import (
    add_method_options,
    add_settings,
    examples,
    methods,
    models,
    names,
    path,
    positive,
    wrapped,
)
from lrplstm.cli.commands import PREDICTION_FORMATS, explain, predict
from lrplstm.cli.corpus import add_corpus
from lrplstm.cli.evaluating import EVALUATION_FORMATS, evaluate
from lrplstm.cli.formats import FORMATS
from lrplstm.cli.inputs import NO_FILE, one_line
from lrplstm.cli.models import convert, info
from lrplstm.cli.summarizing import SUBJECTS, SUMMARY_FORMATS, summarize
from lrplstm.evaluation.deletion import HOWS
from lrplstm.loaders.registry import Option
from lrplstm.loaders.registry import options as loader_options
from lrplstm.methods import ALIASES, METHODS
from lrplstm.summary.grouping import PERIODS
from lrplstm.texts import did_you_mean

__all__ = ["make_parser", "parse"]

_SHIPPED = " (default: the model shipped)"

_MOST_SHOWN = 60
"""So many letters of what was given stand in an error."""


class _Parser(argparse.ArgumentParser):
    """A parser with errors of one line, which ask what may be meant."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line, without the usage before it."""
        self.exit(2, f"{self.prog}: error: {one_line(message)} (see {self.prog} --help)\n")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        choices = action.choices
        if choices is None or value in choices:
            return
        raise argparse.ArgumentError(
            action,
            f"invalid choice: {_short(value)!r} (choose from {', '.join(choices)})"
            f"{did_you_mean(value, choices)}",
        )

    def refuse(self, arguments: Sequence[str]) -> NoReturn:
        """Exit because of arguments that nothing takes."""
        options = [option for action in self._actions for option in action.option_strings]
        hint = ""
        for argument in arguments:
            if argument.startswith("-"):
                hint = hint or did_you_mean(argument.partition("=")[0], options)
        self.error(f"unrecognized arguments: {_short(' '.join(arguments))}{hint}")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return what the command line says; exit where it says nothing that can be understood."""
    given = sys.argv[1:] if arguments is None else arguments
    options, others = make_parser().parse_known_args(list(_with_negative_targets(given)))
    if others:
        options.parser.refuse(others)
    for name, value in vars(options).items():
        if isinstance(value, list) and (not value or [] in value):  # of `--option=--`
            options.parser.error(f"argument --{name.replace('_', '-')}: expected a value, got '--'")
    return options


def _with_negative_targets(arguments: Sequence[str]) -> Iterator[str]:
    """Yield `--target -1:yes` as `--target=-1:yes`: argparse would take -1:yes for an option."""
    remaining = iter(arguments)
    for argument in remaining:
        value = next(remaining, None) if argument == "--target" else None
        if value is None:
            yield argument
        elif value[:1] == "-" and value[1:2].isdigit():
            yield f"{argument}={value}"
        else:
            yield from (argument, value)


def _short(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


_EXPLAIN_EXAMPLES = examples(
    'lrplstm explain "A fine film."',
    'lrplstm explain --all-methods "It is not a bad film."',
    "lrplstm explain --method sa --target 0 --out film.html --out film.pdf 'A fine film.'",
    "lrplstm explain --file texts.txt --out texts.csv",
    "echo 'A fine film.' | lrplstm explain -",
    "lrplstm explain --model forecast --series sensors.csv --out sensors.png",
    "lrplstm explain --model river --inputs basins.npz --out basins.jsonl",
)
_PREDICT_EXAMPLES = examples(
    'lrplstm predict "A fine film."',
    "lrplstm predict --file texts.txt --out texts.csv",
    "lrplstm predict --model forecast --series sensors.csv --json",
)
_EVALUATE_EXAMPLES = examples(
    "lrplstm evaluate labelled.txt",
    "lrplstm evaluate labelled.txt --method lrp --method sa --deletions 3 --out curves.pdf",
)
_SUMMARY_EXAMPLES = examples(
    "lrplstm explain --file texts.txt --target all --out all.parquet",
    "lrplstm summary all.parquet --top 10 --out words.png --out words.csv",
    "lrplstm explain --model forecast --series sensors.csv --out sensors.parquet",
    "lrplstm summary sensors.parquet --of lags --out lags.png",
    "lrplstm explain --file labelled.txt --out labelled.parquet",
    "lrplstm summary labelled.parquet --words negation=not,never,no --labels label",
)
_INFO_EXAMPLES = examples("lrplstm info", "lrplstm info forecast")
_CONVERT_EXAMPLES = examples(
    "lrplstm convert sentiment.pt sentiment --pooling mean --vocabulary words.txt",
    "lrplstm convert sentiment.pt encoder --lstm rnn --no-head",
    "lrplstm convert forecast values --task regression",
)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line; `run` of what it parses does the command."""
    parser = _Parser(
        prog="lrplstm",
        description="Explain what a recurrent network decided, word by word or number by number.",
        epilog="`lrplstm COMMAND --help` says more, with examples.",
    )
    parser.add_argument("--version", action="version", version=f"lrplstm {lrplstm.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    shared = _Parser(add_help=False)
    shared.add_argument(
        "text", nargs="?", metavar="TEXT", help="one text; - for standard input, a text a line"
    )
    shared.add_argument(
        "--file",
        type=path,
        metavar="FILE",
        help="many texts, one a line; or, if the first line is one, lines of "
        "LABEL<tab>word | word | word; - for standard input",
    )
    shared.add_argument(
        "--series",
        type=path,
        metavar="FILE",
        help="numbers instead of a text: a .npy file of shape (steps, variables) or (series, "
        "steps, variables), or a .csv file with a line a step, the first of which may name the "
        "variables; a column before those of the variables names the steps, as dates do",
    )
    shared.add_argument(
        "--inputs",
        type=path,
        metavar="FILE",
        help="for models of several inputs: a .npz file with an array for each, all sequences "
        'along its first axis; or an object in JSON a line, {"name": [...], ...}; - for standard '
        "input",
    )
    shared.add_argument(
        "--tokenized",
        action="store_true",
        help="take the text's words, separated by spaces, as they are",
    )
    shared.add_argument(
        "--ids", action="store_true", help="take the text as token ids, separated by spaces"
    )
    shared.add_argument(
        "--json",
        type=path,
        nargs="?",
        const=NO_FILE,
        metavar="FILE",
        help="write JSON, one object a line for each text, to FILE or to standard output",
    )
    shared.add_argument(
        "--quiet", action="store_true", help="show no progress where standard error is a terminal"
    )
    add_settings(shared)

    explaining = commands.add_parser(
        "explain",
        parents=[shared],
        help="colour words by how much they speak for a class",
        description=wrapped(
            "Colour words by how much they speak for (red) or against (blue) a class; with "
            "--method sa by how much the class' score changes with them."
        ),
        epilog=f"{methods()}\n\n{_EXPLAIN_EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    explaining.add_argument(
        "--method",
        action="append",
        choices=[*METHODS, *ALIASES],
        metavar="METHOD",
        help="one of those below; several are compared in the terminal, or to choose from in a "
        "page (default: lrp)",
    )
    explaining.add_argument("--all-methods", action="store_true", help="compare all methods")
    explaining.add_argument(
        "--target",
        metavar="CLASS",
        help="class to explain, by number from 0 or by name; all; or weights of the scores as in "
        "--target=-1,0,0,0,1; of a model with scores at every step also STEP:CLASS (default: the "
        "predicted class)",
    )
    explaining.add_argument(
        "--all-classes", action="store_true", help="explain every class, as --target all does"
    )
    add_method_options(explaining)
    _add_out(
        explaining,
        FORMATS,
        "a picture, a page, JSON as with --json, or a table of a row for each word, or each "
        "variable at each step",
    )
    explaining.add_argument(
        "--html",
        type=path,
        metavar="FILE",
        help="write a page in which a reader chooses class, method, order and scale",
    )
    explaining.add_argument("--png", type=path, metavar="FILE", help="write a picture")
    explaining.add_argument(
        "--limit",
        type=positive,
        default=5000,
        metavar="N",
        help="put the first N texts into a page, and say how many there are (default: 5000)",
    )
    explaining.add_argument(
        "--top",
        type=positive,
        metavar="N",
        help="show, or write to a .csv file, the N most relevant words of each text, or variables "
        "at steps of a series, the most relevant first",
    )
    explaining.add_argument(
        "--color",
        choices=["auto", "always", "never"],
        default="auto",
        help="colours in the terminal (default: auto, which NO_COLOR and FORCE_COLOR decide first)",
    )
    explaining.add_argument(
        "--background",
        choices=["auto", "light", "dark"],
        default="auto",
        help="what is behind the terminal's text (default: auto, which is what COLORFGBG says, "
        "else colours for both)",
    )
    explaining.set_defaults(run=explain, parser=explaining)

    predicting = commands.add_parser(
        "predict",
        parents=[shared],
        help="show the class and scores of texts",
        description="Show the class and scores of texts.",
        epilog=_PREDICT_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_out(predicting, PREDICTION_FORMATS, "JSON as with --json, or a table")
    predicting.set_defaults(run=predict, parser=predicting)
    _add_evaluate(commands)
    _add_summary(commands)
    add_corpus(commands)

    informing = commands.add_parser(
        "info",
        help="show version, backend and model",
        description="Show the version, what calculates, and what a model is.",
        epilog=_INFO_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    which = informing.add_mutually_exclusive_group()
    which.add_argument(
        "path",
        type=path,
        nargs="?",
        metavar="MODEL",
        help=f"{models()} (default: the model shipped)",
    )
    which.add_argument("--model", type=path, metavar="MODEL", help="the same")
    informing.set_defaults(run=info, parser=informing)
    _add_convert(commands)
    return parser


def _add_out(parser: argparse.ArgumentParser, suffixes: Iterable[str], what: str) -> None:
    """Add where to write what."""
    parser.add_argument(
        "--out",
        action="append",
        type=path,
        metavar="FILE",
        help=f"write {what}, as FILE ends in {', '.join(suffixes)}; may be given several times",
    )


def _add_evaluate(commands: Any) -> None:
    evaluating = commands.add_parser(
        "evaluate",
        help="show how good model and explanations are on labelled sentences",
        description=wrapped(
            "Show accuracy on labelled sentences, how it changes when words are deleted in order "
            "of their relevance for the true class, by each method, and how much relevance lrp "
            "loses on its way. The area tells how well a method found what the decision rests on; "
            "the more, the better."
        ),
        epilog=_EVALUATE_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    evaluating.add_argument(
        "file",
        type=path,
        nargs="?",
        metavar="FILE",
        help="lines of LABEL<tab>word | word | word, labels from 1; or a folder that `lrplstm "
        "corpus` wrote of such lines; for models of several inputs "
        "what --inputs of explain reads, with labels; - for standard input",
    )
    evaluating.add_argument("--ids", action="store_true", help="take the words as token ids")
    evaluating.add_argument(
        "--method",
        action="append",
        choices=[*METHODS, *ALIASES],
        help="what orders the words; may be given several times (default: all methods)",
    )
    evaluating.add_argument(
        "--deletions",
        type=positive,
        default=5,
        metavar="K",
        help="delete up to so many words (default: 5)",
    )
    evaluating.add_argument(
        "--min-length",
        type=positive,
        default=10,
        metavar="N",
        help="leave shorter sentences out of the curves (default: 10)",
    )
    evaluating.add_argument(
        "--how",
        choices=HOWS,
        default="zero",
        help="set the vectors of deleted words to zero, or take the words out (default: zero)",
    )
    evaluating.add_argument(
        "--json",
        type=path,
        nargs="?",
        const=NO_FILE,
        metavar="FILE",
        help="write it all as a JSON object to FILE or to standard output",
    )
    _add_out(evaluating, EVALUATION_FORMATS, "a picture, or JSON as with --json")
    evaluating.add_argument("--png", type=path, metavar="FILE", help="write a picture")
    add_settings(evaluating)
    evaluating.set_defaults(run=evaluate, parser=evaluating)


def _add_summary(commands: Any) -> None:
    summarizing = commands.add_parser(
        "summary",
        help="show which words, variables, lags or steps are relevant over many explanations",
        description=wrapped(
            "Show which words, variables, lags or steps are relevant over all explanations in a "
            "file that `lrplstm explain --out` wrote, with intervals that a bootstrap over its "
            "sequences gives."
        ),
        epilog=_SUMMARY_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    summarizing.add_argument(
        "files",
        nargs="+",
        type=path,
        metavar="FILE",
        help="a .parquet, .jsonl or .csv file, a folder that `lrplstm corpus` wrote, or one of "
        ".parquet files; of several the sequences are summed up together, a file at a time",
    )
    summarizing.add_argument(
        "--of",
        choices=SUBJECTS,
        help="what is summed up (default: words of texts, variables of series)",
    )
    summarizing.add_argument(
        "--by",
        action="append",
        metavar="COLUMN",
        help="tell sequences apart by what they are of, such as their basin, or by target or "
        "predicted; may be given several times",
    )
    summarizing.add_argument(
        "--labels",
        metavar="COLUMN",
        help="tell what is predicted rightly and wrongly apart, by the true classes in a column: "
        "label, where a labelled file was explained",
    )
    summarizing.add_argument(
        "--period",
        metavar="PERIOD",
        help=f"with --of steps, of steps with dates: {', '.join(PERIODS)}",
    )
    summarizing.add_argument(
        "--words",
        action="append",
        metavar="NAME=WORD,...",
        help="with --of steps, of words: a list of them; may be given several times",
    )
    summarizing.add_argument(
        "--top",
        type=positive,
        default=20,
        metavar="N",
        help="show so many of the most relevant (default: 20)",
    )
    summarizing.add_argument(
        "--min-count",
        type=positive,
        default=2,
        metavar="N",
        help="leave out words that occur less often (default: 2)",
    )
    summarizing.add_argument(
        "--seed", type=positive, default=0, metavar="N", help="of the bootstrap (default: 0)"
    )
    summarizing.add_argument(
        "--out",
        "--plot",
        dest="out",
        action="append",
        type=path,
        metavar="FILE",
        help="write a picture or a table of all, as FILE ends in "
        f"{', '.join(SUMMARY_FORMATS)}; may be given several times",
    )
    summarizing.set_defaults(run=summarize, parser=summarizing, model=None)


def _add_convert(commands: Any) -> None:
    converting = commands.add_parser(
        "convert",
        help="write a model of another format as a folder of this package's own",
        description=wrapped(
            "Write a model of another format as a folder of this package's own: config.json, "
            "weights.safetensors and vocab.txt. What a file cannot say itself is said with options."
        ),
        epilog=_CONVERT_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    converting.add_argument("source", type=path, metavar="IN", help=models())
    converting.add_argument(
        "folder", type=path, metavar="OUT", help="the folder, made where it does not exist"
    )
    for option in loader_options().values():
        _add_option(converting, option)
    converting.add_argument(
        "--feature-names",
        type=names,
        metavar="NAME,NAME",
        help="what the variables are called that the model reads",
    )
    converting.set_defaults(run=convert, parser=converting)


def _add_option(parser: argparse.ArgumentParser, option: Option) -> None:
    """Add what can be said to a loader."""
    flag = option.name.replace("_", "-")
    if option.kind == "switch":
        parser.add_argument(f"--{flag}", action=argparse.BooleanOptionalAction, help=option.help)
        return
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        f"--{flag}",
        type=path if option.kind in ("file", "tokens") else str,
        choices=option.choices or None,
        metavar=option.metavar,
        help=option.help,
    )
    if option.none:
        group.add_argument(
            f"--no-{flag}", dest=option.name, action="store_const", const=False, help=option.none
        )
