"""The commands that read texts or series: `explain` and `predict`."""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

import lrplstm
from lrplstm import heatmap
from lrplstm.attributions import Attributions
from lrplstm.base_model import Model
from lrplstm.cli.accuracy import Accuracy
from lrplstm.cli.files import Output, naming_output, open_outputs, requested
from lrplstm.cli.formats import FORMATS, Page, Rows, Settings, Table, said
from lrplstm.cli.inputs import (
    STDIN,
    InputError,
    Item,
    Naming,
    check_inputs,
    given,
    load_model,
    settle_inputs,
)
from lrplstm.cli.named import is_arrays, items_of_arrays, items_of_lines
from lrplstm.cli.printing import compare, in_words, name_of, print_explanations
from lrplstm.cli.progress import Progress
from lrplstm.cli.series import read_series
from lrplstm.cli.targets import read_target
from lrplstm.cli.texts import Portions, open_input, read_text, text_items
from lrplstm.exports.json_lines import JsonLines
from lrplstm.method_table import TABLE
from lrplstm.methods import ALIASES, METHODS
from lrplstm.plain import plain
from lrplstm.weights import Array

__all__ = ["PREDICTION_FORMATS", "explain", "method_options", "predict"]

# What both commands do ---------------------------------------------------------------------------


@contextmanager
def _reading(options: argparse.Namespace, model: Model) -> Iterator[Portions]:
    """Open what TEXT, --file, --series or --inputs say."""
    if options.inputs is not None and is_arrays(options.inputs):
        yield Portions(items_of_arrays(options.inputs, model))
    elif options.inputs is not None:
        with open_input(options.inputs) as (name, file):
            yield Portions(items_of_lines(file, name, model), file)
    elif options.series is not None:
        yield Portions(iter(read_series(options.series, model)))
    elif options.text is not None:
        yield Portions(iter([read_text(options, model)]))
    else:
        with open_input(options.file) as (name, file):
            yield Portions(text_items(file, name, options, model), file)


def _what(options: argparse.Namespace) -> str:
    """Return what is read, in a word."""
    if options.inputs is not None:
        return "sequences"
    return "series" if options.series is not None else "texts"


def _progress(options: argparse.Namespace, outputs: list[Output]) -> Progress:
    """Return a bar for a terminal, where it does not stand among the results."""
    mixed = sys.stdout.isatty() and not outputs
    return Progress(
        sys.stderr,
        _what(options),
        shown=sys.stderr.isatty() and not options.quiet and not mixed,
    )


# explain -----------------------------------------------------------------------------------------


def explain(options: argparse.Namespace) -> None:
    """Colour words by how much they speak for a class."""
    settle_inputs(options)
    outputs = requested(options, FORMATS)
    model = load_model(options)
    check_inputs(model, by_name=options.inputs is not None)
    methods = _methods(options)
    if len(methods) > 1 and any(FORMATS[output.suffix] is not Page for output in outputs):
        raise InputError(
            "--method: expected one, but for the terminal or a page alone, as --html writes, got "
            "more"
        )
    whole = [output.option for output in outputs if FORMATS[output.suffix] is not Table]
    if options.top is not None and whole:
        raise InputError(f"--top: expected only for the terminal or a .csv file, got {whole[0]}")
    chosen = method_options(options, methods, model)
    if options.all_classes and options.target is not None:
        raise InputError("--target: expected nothing beside --all-classes, got both")
    target = "all" if options.all_classes else read_target(options.target, model)
    naming, accuracy = Naming(options), Accuracy()
    source = options.series or options.file or options.inputs or STDIN
    settings = Settings(
        title=f"{'lrplstm' if source == STDIN else Path(source).name}: {', '.join(methods)}",
        limit=options.limit,
        what=_what(options),
        top=options.top,
    )

    def explained(items: Sequence[Item], method: str, target: Any) -> Attributions:
        attributions = lrplstm.explain(
            model,
            given(items),
            method,
            target,
            unknown=options.unknown,
            backend=options.backend,
            num_threads=options.threads,
            **chosen[method],
        )
        _check_finite(attributions, items)
        return attributions

    with (
        _reading(options, model) as portions,
        open_outputs(outputs) as files,
        _progress(options, outputs) as progress,
        _Behind() as behind,
        _rare_collections(),
    ):
        writers = [
            (output, FORMATS[output.suffix](file, settings))
            for output, file in zip(outputs, files, strict=True)
        ]
        pages = [writer for _, writer in writers if isinstance(writer, Page)]

        def write(
            items: Sequence[Item], attributions: Attributions, columns: list[Attributions]
        ) -> None:
            for output, writer in writers:
                with naming_output(output):
                    if isinstance(writer, Page):
                        writer.add(items, columns)
                    else:
                        writer.add(items, attributions)

        for items in portions:
            with naming(items):
                attributions = explained(items, methods[0], target)
                behind.wait()  # then it is known how much room there is
                on_page = items[: pages[0].room] if pages else []
                # A page lets people choose the class, unless one was asked for.
                of_page = "all" if target is None else target
                columns = [explained(on_page, method, of_page) for method in methods if on_page]
                if not outputs:
                    others = [explained(items, method, target) for method in methods[1:]]
                    columns = [attributions, *others]
            behind.do(write, items, attributions, columns)
            if not outputs:
                if len(methods) > 1:
                    compare(options, model, items, columns)
                else:
                    print_explanations(options, model, items, attributions)
                if not attributions.every_step:
                    accuracy.add(items, attributions.predicted)
            progress.update(portions.fraction, portions.count)
        behind.wait()
        for output, writer in writers:
            with naming_output(output):
                writer.finish()
    naming.finish()
    accuracy.show()


def _methods(options: argparse.Namespace) -> list[str]:
    """Return the methods that --method and --all-methods say."""
    if not options.all_methods:
        return [ALIASES.get(name, name) for name in options.method or ["lrp"]]
    if options.method is not None:
        raise InputError("--method: expected nothing beside --all-methods, got both")
    return list(METHODS)


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Let Python look for circles of objects rarely: there are none in so many lists."""
    thresholds = gc.get_threshold()
    gc.set_threshold(100_000, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)


class _Behind(ThreadPoolExecutor):
    """Does one thing at a time in another thread: one portion is written as the next is explained.

    What writes is Python, and what explains is not, for the most part.
    """

    def __init__(self) -> None:
        super().__init__(max_workers=1)
        self._last: Future[None] | None = None

    def do(self, function: Callable[..., None], *arguments: Any) -> None:
        """Do it as soon as what was to do before is done; raise what that raised."""
        self.wait()
        self._last = self.submit(function, *arguments)

    def wait(self) -> None:
        """Wait for what there is to do, and raise what it raises."""
        last, self._last = self._last, None
        if last is not None:
            last.result()


def _check_finite(attributions: Attributions, items: Sequence[Item]) -> None:
    """Raise an InputError if relevance overflowed: it can neither be drawn nor written."""
    for array in (attributions.token_relevance, attributions.input_relevance):
        if array is None or np.isfinite(array).all():
            continue
        step_axis = attributions.token_relevance.ndim - 1
        others = tuple(axis for axis in range(array.ndim) if axis != step_axis)
        step = int((~np.isfinite(array)).any(axis=others).argmax())
        b = int(attributions.offsets.searchsorted(step, side="right")) - 1
        hint = "; --dtype float64 has a larger range" if array.dtype == np.float32 else ""
        raise InputError(f"{items[b].name}: relevance overflowed{hint}")


def method_options(
    options: argparse.Namespace, methods: Sequence[str], model: Model
) -> dict[str, dict[str, Any]]:
    """Return the given options that only some methods have, for each method those it has."""
    chosen: dict[str, dict[str, Any]] = {method: {} for method in methods}
    for name, option in METHODS.options.items():
        value = getattr(options, name)
        if value is None:
            continue
        have = [m for m in METHODS if option in TABLE[m].options]
        if not set(have) & set(methods):
            flag = "--" + name.replace("_", "-")
            raise InputError(
                f"{flag}: expected only with --method {' or '.join(have)}, "
                f"got --method {', '.join(options.method or methods)}"
            )
        if name == "baseline" and value.isascii() and value.isdigit() and model.vocabulary is None:
            value = min(int(value[:20]), np.iinfo(np.intp).max)
        for method in set(have) & set(methods):
            chosen[method][name] = value
    return chosen


# predict -----------------------------------------------------------------------------------------


def predict(options: argparse.Namespace) -> None:
    """Show the class and scores of texts."""
    settle_inputs(options)
    outputs = requested(options, PREDICTION_FORMATS)
    model = load_model(options)
    check_inputs(model, by_name=options.inputs is not None)
    naming, accuracy = Naming(options), Accuracy()
    with (
        _reading(options, model) as portions,
        open_outputs(outputs) as files,
        _progress(options, outputs) as progress,
    ):
        writers = [
            (output, PREDICTION_FORMATS[output.suffix](file))
            for output, file in zip(outputs, files, strict=True)
        ]
        for items in portions:
            with naming(items):
                scores = model.predict(
                    given(items),
                    unknown=options.unknown,
                    backend=options.backend,
                    num_threads=options.threads,
                )
            rows = [np.asarray(row) for row in scores]
            for output, writer in writers:
                with naming_output(output):
                    writer.add(model, items, rows)
            if not outputs:
                for item, row in zip(items, rows, strict=True):
                    _print_prediction(model, item, row)
                if not model.every_step:
                    accuracy.add(items, model.outputs.predict(np.asarray(scores)))
            progress.update(portions.fraction, portions.count)
    naming.finish()
    accuracy.show()


def _print_prediction(model: Model, item: Item, scores: Array) -> None:
    predicted = model.outputs.predict_given(np.atleast_2d(scores))
    names = None
    if predicted is not None and model.outputs.count > 1:
        names = [name_of(model, int(class_)) for class_ in predicted]
    if scores.ndim == 2:
        for t, scores_of_step in enumerate(scores):
            word = f"t={t}" if item.words is None else item.words[t]
            cells = [] if names is None else [names[t]]
            cells += [heatmap.visible(word), in_words(model, scores_of_step)]
            print("\t".join(cells))
        print()
        return
    text = heatmap.visible(item.text)
    if len(scores) == 1:
        print("\t".join([*(names or []), in_words(model, scores), text]))
        return
    print(f"{names[0]}\t{text}" if names else text)
    print(f"    {in_words(model, scores)}")


class _PredictionLines:
    """An object a line for each sequence."""

    def __init__(self, file: IO[bytes]) -> None:
        self._lines = JsonLines(file)

    def add(self, model: Model, items: Sequence[Item], rows: Sequence[Array]) -> None:
        """Write them."""
        added = said(items)
        self._lines.write(
            _prediction_object(model, item, row) | dict(zip(added, more, strict=True))
            for item, row, *more in zip(items, rows, *added.values(), strict=True)
        )


def _prediction_object(model: Model, item: Item, scores: Array) -> dict[str, Any]:
    predicted = model.outputs.predict_given(np.atleast_2d(scores))
    best: Any = None
    names: Any = None
    if predicted is not None:
        best, names = predicted.tolist(), [model.outputs.name(int(c)) for c in predicted]
        if scores.ndim == 1:
            best, names = best[0], names[0]
    return {
        "tokens": item.sequence if isinstance(item.sequence, list) else None,
        "scores": plain(scores),
        "predicted": best,
        "class_name": names,
    }


class _PredictionTable:
    """A row for each sequence, or step where every step has scores, with a column a score."""

    def __init__(self, file: IO[bytes]) -> None:
        self._rows = Rows(file)
        self._count = 0

    def add(self, model: Model, items: Sequence[Item], rows: Sequence[Array]) -> None:
        """Write them."""
        outputs = model.outputs
        every_step = model.every_step
        names = ["score"] if model.num_classes == 1 else map(outputs.name, range(model.num_classes))
        header = ["sequence", *(["step"] if every_step else []), "predicted", *names]
        cells: list[list[Any]] = []
        for row in rows:
            scores = np.atleast_2d(row)
            predicted = outputs.predict_given(scores)
            for t, values in enumerate(scores.tolist()):
                best = "" if predicted is None else outputs.name(int(predicted[t]))
                cells.append([self._count, *([t] if every_step else []), best, *values])
            self._count += 1
        self._rows.write(header, cells)


PREDICTION_FORMATS: dict[str, Callable[[IO[bytes]], _PredictionLines | _PredictionTable]] = {
    ".json": _PredictionLines,
    ".jsonl": _PredictionLines,
    ".csv": _PredictionTable,
}
"""What writes files of a suffix, as `lrplstm predict --out` does."""
