"""What the command `summary` does: sum up the explanations in a file."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

import numpy as np

from lrplstm.attributions import Attributions, read_parquet
from lrplstm.cli.files import naming_output, open_outputs, requested
from lrplstm.cli.inputs import InputError, Naming
from lrplstm.cli.progress import Progress
from lrplstm.corpus.manifest import RUN
from lrplstm.corpus.opening import Corpus
from lrplstm.corpus.storage import folder_at
from lrplstm.exports.files import write_csv
from lrplstm.exports.json_lines import JsonLines
from lrplstm.exports.reading import read_csv, read_json_lines
from lrplstm.heatmap.sheets import write_figures
from lrplstm.plain import plain
from lrplstm.summary import (
    Bootstrap,
    LagProfile,
    MeanRelevance,
    WordRelevance,
    lags,
    steps,
    variables,
    words,
)
from lrplstm.summary.drawing import MOST_ROWS
from lrplstm.summary.estimates import text_table
from lrplstm.summary.profiles import MOST_LINES
from lrplstm.texts import did_you_mean, shown
from lrplstm.weights import Array

__all__ = ["SUBJECTS", "SUMMARY_FORMATS", "summarize"]

SUBJECTS = ("words", "variables", "lags", "steps")

_PICTURES = (".png", ".pdf", ".svg")
SUMMARY_FORMATS = (*_PICTURES, ".csv", ".json", ".jsonl")

_SHARE = 0.9
"""Of the absolute relevance: the lag that holds it is shown."""

_MOST_ROWS = 1000  # of a table on the terminal

_Summary = MeanRelevance | LagProfile | WordRelevance


def summarize(options: argparse.Namespace) -> None:
    """Show, draw and write a summary of the explanations in files."""
    for path in options.files:  # over none of which anything is written
        options.file = path
        outputs = requested(options, SUMMARY_FORMATS)
    naming = Naming(options)
    figures = []
    with naming(()):
        summary = _of_files(options)
        if any(output.suffix in _PICTURES for output in outputs):
            figures = [_figure(summary, options.top)]
    naming.finish()
    columns = summary.to_columns()
    with open_outputs(outputs) as files:
        for output, file in zip(outputs, files, strict=True):
            with naming_output(output):
                if output.suffix in _PICTURES:
                    write_figures(file, figures, output.suffix.removeprefix("."))
                elif output.suffix == ".csv":
                    write_csv(file, columns)
                else:
                    rows = zip(*map(plain, columns.values()), strict=True)
                    JsonLines(file).write([dict(zip(columns, row, strict=True)) for row in rows])
    print(_table(summary, options.top))


def _of_files(options: argparse.Namespace) -> _Summary:
    """Return the summary of all files, of which one at a time is in memory."""
    whole: Any = None
    start = 0
    with Progress(sys.stderr, "sequences", shown=sys.stderr.isatty()) as bar:
        for n, path in enumerate(options.files):
            for attributions, done in _read(path):
                part = _summary(attributions, options, start)
                try:
                    whole = part if whole is None else whole + part
                except (TypeError, ValueError) as error:
                    raise InputError(f"{path}: {error}") from None
                start += len(attributions)
                bar.update((n + done) / len(options.files), start)
    summary: _Summary = whole
    return summary


def _read(path: str) -> Iterator[tuple[Attributions, float]]:
    """Yield the explanations in a file, and how much of it that is; of a run part by part."""
    suffix = os.path.splitext(path)[1].lower()
    if os.path.isfile(os.path.join(path, RUN)):
        corpus, rows = Corpus(folder_at(path)), 0
        for attributions in corpus:
            rows += len(attributions)
            yield attributions, rows / corpus.rows
    elif suffix == ".parquet" or os.path.isdir(path):
        yield read_parquet(path), 1.0
    elif suffix in (".json", ".jsonl"):
        yield Attributions(**read_json_lines(path)), 1.0
    elif suffix == ".csv":
        yield Attributions(**read_csv(path)), 1.0
    else:
        _refuse(path)


def _refuse(path: str) -> NoReturn:
    raise InputError(
        f"FILE: expected one that ends in .parquet, .jsonl or .csv, or a folder, got {shown(path)}"
    )


def _summary(attributions: Attributions, options: argparse.Namespace, start: int) -> _Summary:
    of = options.of
    if of is None:
        asked_for_steps = options.period or options.words
        of = "words" if attributions.tokens is not None else "variables"
        of = "steps" if asked_for_steps else of
    common: dict[str, Any] = {"by": _by(options.by), "labels": _labels(attributions, options)}
    if of == "words":
        return words(attributions, **common, min_count=options.min_count)
    common["bootstrap"] = Bootstrap(seed=options.seed, start=start)
    if of == "variables":
        return variables(attributions, **common)
    if of == "lags":
        return lags(attributions, **common)
    return steps(attributions, _steps(options), **common)


def _by(columns: list[str] | None) -> Any:
    return {name: name for name in columns} if columns else None


def _labels(attributions: Attributions, options: argparse.Namespace) -> Array | None:
    if options.labels is None:
        return None
    columns = attributions.sequence_labels
    if attributions.predicted is None and attributions.task == "classification":
        raise InputError(
            "--labels: expected a file that says what was predicted, .parquet or .jsonl"
        )
    if options.labels not in columns:
        raise InputError(
            f"--labels: expected one of the columns {', '.join(map(shown, columns)) or '(none)'}, "
            f"got {shown(options.labels)}{did_you_mean(options.labels, columns)}"
        )
    labels = columns[options.labels]
    return labels.astype(str) if labels.dtype.kind == "O" else labels


def _steps(options: argparse.Namespace) -> Any:
    if (options.period is None) == (options.words is None):
        raise InputError("--of steps: expected either --period or --words with it")
    if options.period is not None:
        return options.period
    lists = {}
    for text in options.words:
        name, separator, listed = text.partition("=")
        if not separator or not name or name in lists:
            raise InputError(
                f"--words: expected NAME=WORD,..., each of another name, got {shown(text)}"
            )
        lists[name] = [word for word in listed.split(",") if word]
    return lists


def _figure(summary: _Summary, top: int) -> Any:
    import matplotlib

    matplotlib.use("agg")  # no window opens
    if isinstance(summary, LagProfile):
        lines = len(summary.keys) * len(summary.classes or ("",))
        return summary.plot(kind="profile" if lines <= MOST_LINES else "heatmap").figure
    if isinstance(summary, WordRelevance):
        return summary.plot(top=top).figure
    return summary.plot(kind="bar" if summary.bar_rows <= MOST_ROWS else "heatmap", top=top).figure


def _table(summary: _Summary, top: int) -> str:
    """Return what is shown on the terminal: the most relevant rows of each group."""
    if isinstance(summary, LagProfile):
        holding = summary.lag_holding(_SHARE)
        head = f"the lag up to which there is {_SHARE:.0%} of the absolute relevance"
        return f"{head}\n{text_table(holding.to_columns(), _MOST_ROWS)}"
    if isinstance(summary, WordRelevance):
        return text_table(summary.to_columns(top), _MOST_ROWS)
    columns = summary.to_columns()
    if len(summary.variables) > top:
        columns = _most_relevant(columns, top)
    return text_table(columns, _MOST_ROWS)


def _most_relevant(columns: dict[str, Array], top: int) -> dict[str, Array]:
    """Return so many variables of each group, the most relevant first."""
    names = list(columns)
    keys = [columns[name].astype(str) for name in names[: names.index("variable")]]
    group = np.zeros(len(columns["variable"]), np.intp)
    for key in keys:
        place = np.unique(key, return_inverse=True)[1]
        group = group * (int(place.max()) + 1) + place
    order = np.lexsort((-columns["mean_abs"], group))
    begins = np.flatnonzero(np.diff(group[order], prepend=-1))
    rank = np.arange(len(order)) - np.repeat(begins, np.diff(begins, append=len(order)))
    return {name: column[order[rank < top]] for name, column in columns.items()}
