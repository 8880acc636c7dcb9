"""`save_report`: explain by several methods, and write a page in which people choose."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from lrplstm.attribution import Attribution
from lrplstm.attributions import Attributions
from lrplstm.base_model import Model
from lrplstm.inputs import InputEncoder
from lrplstm.methods import explain
from lrplstm.report.content import Given
from lrplstm.report.page import write
from lrplstm.texts import shown
from lrplstm.weights import Array

__all__ = ["save_report"]

_MOST_STEPS = 2**18
"""Where every step has scores, each is explained by itself if so many numbers are enough for it."""


def save_report(
    path: str | os.PathLike[str],
    model: Model,
    inputs: Any,
    *,
    methods: Sequence[str | tuple[str, dict[str, Any]]] = ("lrp",),
    target: Any = "all",
    labels: Sequence[int | str | float | None] | None = None,
    title: str | None = None,
    **options: Any,
) -> None:
    """Explain sequences, and write one page in which a reader chooses class and method.

    The page is a file of its own that needs no network: words or variables coloured by relevance,
    scores as bars, sums, filters, numbers that can be copied. Rows are drawn as they scroll into
    view, so that it may have thousands of them.

    Parameters
    ----------
    path : str or path-like
        File to write, such as ``"report.html"``.
    model : Model
        The network that is explained.
    inputs : one sequence, or a batch of them
        As for `lrp`. A str, and each of a list of which one has a space in it, is a text that the
        model's tokenizer splits; the page then shows it as it was written.
    methods : sequence of str, or of (str, dict)
        Methods to choose from, each a name as for `explain`, or a name with its own arguments, as
        in ``("lrp", {"bias_factor": 1.0})``.
    target : None, int, str, sequence, or "all"
        As for `lrp`. With "all" the page lets people choose the class, and contrast two of them;
        where every step has scores, also the step (of sequences that are not too long: the sum of
        squared lengths is at most 2**18).
    labels : sequence of int, str or float, optional
        Of each sequence the class that is right, by number or name, or None; of a regression the
        value that is. Default: nothing is said to be right or wrong.
    title : str, optional
        Heading of the page. Default: what it is about.
    **options
        More arguments of all methods, such as `level`, `unknown` or `num_threads`.

    Raises
    ------
    TypeError, ValueError
        As `lrp`; ValueError if there are no methods, a label is none of the classes, there are more
        or fewer labels than sequences, or a relevance is not finite.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import lrplstm
    >>> texts = ["A fine film.", "It isn't funny!"]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "report.html")
    ...     lrplstm.save_report(path, lrplstm.load_default(), texts, methods=["lrp", "gi"])
    ...     page = path.read_text(encoding="utf-8")
    >>> "http:" in page or "https:" in page
    False
    """
    named = _named(methods)
    texts = _texts(inputs)
    if texts is not None:
        inputs = model.tokenize(texts)

    def explained(sequences: Any, target: Any) -> list[list[Attribution]]:
        return [
            _several(explain(model, sequences, name, target, **options, **own))
            for name, own in named
        ]

    columns = explained(inputs, target)
    series = _series(model, inputs, options.get("unknown"))
    sequences: Sequence[Any] = [a.tokens for a in columns[0]] if series is None else series
    given = Given(
        texts=texts,
        series=series,
        labels=labels,
    )
    if isinstance(target, str) and target == "all" and _is_by_step(model, sequences, columns[0]):
        copies = [one for one in sequences for _ in range(len(one))]
        steps = [(t, None) for one in sequences for t in range(len(one))]
        given = given._replace(by_step=explained(copies, steps))
    write(path, columns, given, title=title or f"What speaks for each {model.outputs.kind}")


def _named(methods: Any) -> list[tuple[str, dict[str, Any]]]:
    """Return the names of methods and the arguments of each."""
    named = [(one, {}) if isinstance(one, str) else one for one in methods]
    are_pairs = all(
        isinstance(one, tuple)
        and len(one) == 2
        and isinstance(one[0], str)
        and isinstance(one[1], dict)
        for one in named
    )
    if isinstance(methods, str) or not named or not are_pairs:
        raise ValueError(
            "methods: expected a sequence of names, or of (name, arguments), such as "
            f"['lrp', ('lrp', {{'bias_factor': 1.0}})], got {shown(methods)}"
        )
    return named


def _is_by_step(model: Model, sequences: Sequence[Any], column: Sequence[Attribution]) -> bool:
    """Whether what each step is predicted as can be explained by itself, and is not too much."""
    return (
        model.every_step
        and (model.outputs.count == 1 or not model.outputs.regression)
        and all(
            one is not None and len(a.scores) == len(one) and not np.isnan(a.scores).any()
            for one, a in zip(sequences, column, strict=True)
        )
        and sum(len(one) ** 2 for one in sequences) <= _MOST_STEPS
    )


def _texts(inputs: Any) -> list[str] | None:
    """Return texts where there are such rather than tokens."""
    if isinstance(inputs, str):
        return [inputs]
    if isinstance(inputs, list | tuple) and all(isinstance(one, str) for one in inputs):
        return list(inputs) if any(" " in one.strip() for one in inputs) else None
    return None


def _series(model: Model, inputs: Any, unknown: str | None) -> list[Array] | None:
    """Return the numbers of series as they were given; None where there are none."""
    if not isinstance(model.encoder, InputEncoder):  # of several inputs there is relevance alone
        return None
    batch = model.encode(inputs, unknown)
    if not batch.from_features:
        return None
    numbers = batch.features(slice(None))
    scaler = model.encoder.scaler
    if scaler is not None:
        numbers = numbers * scaler.scale + scaler.mean
    return np.split(batch.as_given(numbers, axis=0), batch.given_offsets[1:-1])


def _several(explained: Attribution | Attributions) -> list[Attribution]:
    return [explained] if isinstance(explained, Attribution) else list(explained)
