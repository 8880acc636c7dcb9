"""Texts, and files of them: plain lines, or labelled sentences, read as they are needed."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import IO

import numpy as np

from lrplstm.base_model import Model
from lrplstm.cli.inputs import STDIN, InputError, Item
from lrplstm.evaluation.arguments import has_classes
from lrplstm.sentences import Sentence, labelled_sentences, text_lines, with_an_end
from lrplstm.texts import shown
from lrplstm.tokenizers import tokenize
from lrplstm.weights import Array

__all__ = ["Portions", "labelled_items", "open_input", "read_text", "text_items"]

_FEWEST, _MOST = 64, 4096  # sequences of a portion
_MOST_STEPS = 2**17  # of a portion, so that it takes little memory
_SECONDS = 0.3  # that a portion should take


class Portions:
    """Sequences a portion at a time, each as large as what is done with it takes little time.

    Parameters
    ----------
    items : iterator of Item
    file : binary file, optional
        What they are read from; `fraction` says how much of it has been read.
    """

    def __init__(self, items: Iterator[Item], file: IO[bytes] | None = None) -> None:
        self._items, self._file = items, file
        self._size = 0 if file is None else _size(file)
        self.count = 0

    @property
    def fraction(self) -> float:
        """How much of the file has been read."""
        return self._file.tell() / self._size if self._file and self._size else 1.0

    def __iter__(self) -> Iterator[list[Item]]:
        most = _FEWEST
        portion: list[Item] = []
        steps, began = 0, time.monotonic()
        for item in self._items:
            portion.append(item)
            steps += len(item.sequence)
            if len(portion) < most and steps < _MOST_STEPS:
                continue
            self.count += len(portion)
            yield portion
            took = time.monotonic() - began
            most = min(2 * most, _MOST) if took < _SECONDS else max(most // 2, _FEWEST // 4)
            portion, steps, began = [], 0, time.monotonic()
        if portion:
            self.count += len(portion)
            yield portion


def _size(file: IO[bytes]) -> int:
    here = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(here)
    return size


@contextmanager
def open_input(path: str) -> Iterator[tuple[str, IO[bytes]]]:
    """Open a file, or standard input: what errors call it, and what it has, which has an end."""
    if path != STDIN:
        with open(path, "rb") as file, with_an_end(file, path) as bounded:
            yield path, bounded
        return
    if sys.stdin is None:
        raise InputError("standard input is closed")
    name, stdin = "standard input", sys.stdin.buffer
    bounded = with_an_end(stdin, name)
    with nullcontext() if bounded is stdin else bounded:
        yield name, bounded


def read_text(options: argparse.Namespace, model: Model) -> Item:
    """Return TEXT."""
    # Bytes of the command line that are no UTF-8 arrive as lone surrogates.
    text = options.text.encode(errors="surrogateescape").decode(errors="replace")
    return Item("text", _split(text, "text", options, model), written=text)


def text_items(
    file: IO[bytes], name: str, options: argparse.Namespace, model: Model
) -> Iterator[Item]:
    """Yield the texts of a file, one a line; or its sentences, if the first line is labelled."""
    lines = text_lines(file, name)
    first = next(lines, None)
    if first is None:
        raise InputError(f"{name}: expected texts, found none")
    label, tab, _ = first[1].partition("\t")
    every = _chained(first, lines)
    if tab and label.isdigit():
        sentences = enumerate(labelled_sentences(every, name), start=1)
        yield from (
            _labelled(f"{name}: sentence {n}", sentence, model, options.ids)
            for n, sentence in sentences
        )
        return
    for n, line in every:
        where = f"{name}: line {n}"
        yield Item(where, _split(line, where, options, model), written=line.removesuffix("\r"))


def _chained(
    first: tuple[int, str], others: Iterator[tuple[int, str]]
) -> Iterator[tuple[int, str]]:
    yield first
    yield from others


def labelled_items(file: IO[bytes], name: str, model: Model, *, ids: bool) -> Iterator[Item]:
    """Yield the sentences of a file in which all of them have labels."""
    for n, sentence in enumerate(labelled_sentences(text_lines(file, name), name), start=1):
        yield _labelled(f"{name}: sentence {n}", sentence, model, ids)


def _labelled(name: str, sentence: Sentence, model: Model, ids: bool) -> Item:
    outputs = model.outputs
    if has_classes(outputs) and sentence.label > outputs.count:
        raise InputError(
            f"{name}: expected a label from 1 to {outputs.count}, got {sentence.label}"
        )
    tokens: list[str] | Array = list(sentence.tokens)
    if ids:
        tokens = _ids(list(sentence.tokens), name)
    return Item(name, tokens, sentence.target)


def _split(text: str, name: str, options: argparse.Namespace, model: Model) -> list[str] | Array:
    """Return the tokens, or the ids, of a text."""
    if options.ids:
        return _ids(text.split(), name)
    if options.tokenized:
        # Not split(): a token may well contain another kind of space.
        tokens = [token for token in text.removesuffix("\r").split(" ") if token.strip()]
    elif model.embedding is None:
        raise InputError("the model reads numbers rather than words; pass them with --series")
    elif model.vocabulary is None:
        raise InputError("the model has no vocabulary; pass --ids with token ids for a text")
    elif model.tokenizer is None:
        raise InputError("the model names no tokenizer; pass --tokenized")
    else:
        tokens = tokenize(text, model.tokenizer)
    if not tokens:
        raise InputError(f"{name}: expected at least one word, got none")
    return tokens


def _ids(words: list[str], name: str) -> Array:
    other = next((word for word in words if not (word.isascii() and word.isdigit())), "")
    if not words or other:
        got = f", got {shown(other)}" if other else ""
        raise InputError(f"{name}: expected ids, numbers from 0, with spaces between{got}")
    return np.array([min(int(word[:20]), np.iinfo(np.intp).max) for word in words])
