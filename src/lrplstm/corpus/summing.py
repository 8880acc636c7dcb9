"""What came out of a run: counts, classes, the most relevant words or variables, delta.

Sums are taken of one part after the other, so that memory does not grow with the corpus: of words
that the vocabulary has, of variables, and of delta in bins of a logarithmic scale.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from lrplstm.base_model import Model
from lrplstm.corpus.manifest import Manifest, Record
from lrplstm.corpus.opening import SUMMARY, opened
from lrplstm.corpus.parts import REJECTS
from lrplstm.corpus.storage import Folder
from lrplstm.exports.needed import needed
from lrplstm.outputs import Outputs
from lrplstm.texts import visible
from lrplstm.weights import Array

__all__ = ["PAGE", "summarize"]

PAGE = "summary.html"

_TOP = 20  # words of each class
_LEAST = 5  # times a word occurs
_REJECTS = 20  # that the page shows
_BINS = np.logspace(-12, 12, 24 * 20 + 1)
"""Of |delta|: twenty to each power of ten."""
_QUANTILES = (0.5, 0.9, 0.99, 1.0)


def summarize(folder: Folder, manifest: Manifest, model: Model, seconds: float) -> None:
    """Write what came out of a run that is complete, as JSON and as a page.

    Parameters
    ----------
    folder : Folder
    manifest : Manifest
    model : Model
    seconds : float
        How long this process took for it.
    """
    records = sorted(manifest.records.values(), key=lambda record: record.part)
    sums = _Sums(model)
    for record in records:
        if record.written:
            sums.add(folder, record)
    rows = sum(record.written for record in records)
    warned = sum((Counter(record.warnings) for record in records), Counter[str]())
    found: dict[str, Any] = {
        "rows": rows,
        "rejected": sum(record.rejected for record in records),
        "steps": sum(record.steps for record in records),
        "files": len({record.file for record in records}),
        "seconds": round(seconds, 3),
        "rows_per_second": round(sum(record.rows for record in records) / max(seconds, 1e-9), 1),
        **sums.said(),
        "warnings": dict(sorted(warned.items())),
        "rejects": list(_first_rejects(folder, records)),
        "run": manifest.run,
    }
    page = _template().render(found=found)
    with folder.writing(PAGE) as file:
        file.write(page.encode(errors="backslashreplace"))
    with folder.writing(SUMMARY) as file:  # last: the run is then complete
        file.write((json.dumps(found, indent=1, allow_nan=False) + "\n").encode())


def _first_rejects(folder: Folder, records: list[Record]) -> Iterator[dict[str, Any]]:
    left = _REJECTS
    for record in records:
        if record.rejected and left:
            lines = folder.read(f"{REJECTS}/{record.part}.jsonl").splitlines()[:left]
            left -= len(lines)
            yield from map(json.loads, lines)


class _Sums:
    """Sums over all rows, a part at a time."""

    def __init__(self, model: Model) -> None:
        outputs: Outputs = model.outputs
        self._names = [outputs.name(k) for k in range(outputs.count)]
        self._regression = outputs.regression
        self._classes = np.zeros(len(self._names), np.int64)
        words = [word for word in model.vocabulary or () if word is not None]
        self._words = {word: n for n, word in enumerate(dict.fromkeys(words))}
        shape = (len(self._names), len(self._words))
        self._count, self._relevance = np.zeros(shape, np.int64), np.zeros(shape)
        self._variables: list[str] | None = None
        self._by_variable = np.zeros((2, 0, 0))
        self._steps = np.zeros(len(self._names), np.int64)
        self._delta = np.zeros(len(_BINS) + 1, np.int64)
        self._largest = 0.0

    def add(self, folder: Folder, record: Record) -> None:
        """Add a part."""
        with opened(folder, record) as file:
            said = json.loads(file.schema_arrow.metadata[b"lrplstm"])
            wanted = ["predicted", "target", "tokens", "token_relevance", "input_relevance"]
            columns = [name for name in [*wanted, "delta"] if name in file.schema_arrow.names]
            for group in range(file.num_row_groups):
                self._add(file.read_row_group(group, columns=columns), said)

    def _add(self, table: Any, said: dict[str, Any]) -> None:
        columns = {name: table.column(name).combine_chunks() for name in table.column_names}
        deltas = columns["delta"]
        delta = np.abs(_numbers(deltas.flatten() if said["several"] else deltas))
        delta = delta[np.isfinite(delta)]
        self._delta += np.bincount(_BINS.searchsorted(delta), minlength=len(self._delta))
        self._largest = max(self._largest, float(delta.max(initial=0)))
        if "predicted" in columns:
            predicted = columns["predicted"]
            predicted = predicted.flatten() if said["every_step"] else predicted
            counts = np.bincount(_numbers(predicted), minlength=len(self._classes))
            self._classes += counts[: len(self._classes)]
        classes = _explained(columns, said)
        if classes is None:
            return
        words = self._word_ids(columns["tokens"]) if "tokens" in columns and self._words else None
        for of_rows, lengths, relevance in _relevance(columns, said, classes):
            class_ = np.repeat(of_rows, lengths)
            if words is not None:
                self._add_words(words, class_, relevance)
            elif relevance.ndim == 2:
                self._add_variables(said, class_, relevance)

    def _word_ids(self, tokens: Any) -> Array:
        """Return which word each step is; -1 where the vocabulary lacks it.

        What it lacks may be anything, and without end: it is not counted.
        """
        encoded = needed("pyarrow.compute", "a corpus").list_flatten(tokens).dictionary_encode()
        known = [self._words.get(word, -1) for word in encoded.dictionary.to_pylist()]
        return np.array(known, np.intp)[encoded.indices.to_numpy()]

    def _add_words(self, words: Array, class_: Array, relevance: Array) -> None:
        taken = words >= 0
        code = class_[taken] * len(self._words) + words[taken]
        shape, size = self._count.shape, self._count.size
        self._count += np.bincount(code, minlength=size).reshape(shape)
        finite = np.nan_to_num(relevance[taken].astype(np.float64))
        self._relevance += np.bincount(code, finite, size).reshape(shape)

    def _add_variables(self, said: dict[str, Any], class_: Array, relevance: Array) -> None:
        D, K = relevance.shape[1], len(self._names)
        if self._variables is None:
            self._variables = said["feature_names"] or [f"variable {d}" for d in range(D)]
            self._by_variable = np.zeros((2, K, D))
        finite = np.nan_to_num(relevance.astype(np.float64))
        for k in np.unique(class_).tolist():
            some = finite[class_ == k]
            self._by_variable[:, k] += some.sum(axis=0), np.abs(some).sum(axis=0)
            self._steps[k] += len(some)

    def said(self) -> dict[str, Any]:
        """Return what it all comes to."""
        found: dict[str, Any] = {"delta": self._delta_said()}
        if not self._regression:
            found["predicted"] = dict(zip(self._names, self._classes.tolist(), strict=True))
        if self._count.any():
            found["words"] = self._words_said()
        if self._variables is not None:
            found["variables"] = self._variables_said(self._variables)
        return found

    def _delta_said(self) -> dict[str, Any]:
        """Return quantiles of |delta|: each at most 12 % too large."""
        total, ends = int(self._delta.sum()), np.cumsum(self._delta)
        quantiles = {}
        for q in _QUANTILES:
            place = min(int(ends.searchsorted(q * total)), len(_BINS) - 1)
            quantiles[f"{q:g}"] = min(float(f"{_BINS[place]:.3g}"), self._largest)
        return {"absolute": quantiles | {"1": self._largest}}

    def _words_said(self) -> dict[str, Any]:
        words = list(self._words)
        found = {}
        for k, name in enumerate(self._names):
            often = np.flatnonzero(self._count[k] >= _LEAST)
            mean = self._relevance[k, often] / self._count[k, often]
            order = np.argsort(-mean, kind="stable")
            found[name] = {
                side: [
                    {
                        "word": words[often[n]],
                        "mean": float(f"{mean[n]:.6g}"),
                        "count": int(self._count[k, often[n]]),
                    }
                    for n in chosen.tolist()
                ]
                for side, chosen in (
                    ("for", order[mean[order] > 0][:_TOP]),
                    ("against", order[mean[order] < 0][::-1][:_TOP]),
                )
            }
        return found

    def _variables_said(self, names: list[str]) -> dict[str, Any]:
        found = {}
        for k, name in enumerate(self._names):
            if not self._steps[k]:
                continue
            mean, absolute = self._by_variable[:, k] / self._steps[k]
            found[name] = [
                {"variable": names[d], "mean": float(mean[d]), "mean_abs": float(absolute[d])}
                for d in np.argsort(-absolute, kind="stable").tolist()
            ]
        return found


def _numbers(values: Any) -> Array:
    return np.asarray(values.to_numpy(zero_copy_only=False))


def _explained(columns: dict[str, Any], said: dict[str, Any]) -> Array | None:
    """Return which class each row is explained for; None where it is not one class."""
    if said["several"]:
        return np.zeros(len(columns["delta"]), np.intp)
    if said["target"] == "class":
        return _numbers(columns["target"]).astype(np.intp)
    return None


def _relevance(
    columns: dict[str, Any], said: dict[str, Any], classes: Array
) -> Iterator[tuple[Array, Array, Array]]:
    """Yield the class of each row, its number of steps, and the relevance of all steps."""
    compute = needed("pyarrow.compute", "a corpus")
    by_word = "tokens" in columns or "input_relevance" not in columns
    lists = columns["token_relevance" if by_word else "input_relevance"]
    if not said["several"]:
        yield classes, *_steps(lists)
        return
    for k in range(compute.list_value_length(lists)[0].as_py()):
        yield classes + k, *_steps(compute.list_element(lists, k))


def _steps(lists: Any) -> tuple[Array, Array]:
    """Return how many steps each row has, and the numbers of all: (steps,) or (steps, D)."""
    compute = needed("pyarrow.compute", "a corpus")
    lengths, flat = _numbers(compute.list_value_length(lists)), compute.list_flatten(lists)
    if not hasattr(flat.type, "list_size"):
        return lengths, _numbers(flat)
    return lengths, _numbers(flat.flatten()).reshape(-1, flat.type.list_size)


@cache
def _template() -> Any:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    text = files("lrplstm.corpus").joinpath("summary.html").read_text(encoding="utf-8")
    return environment.from_string(text)
