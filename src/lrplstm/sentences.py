"""Files of labelled sentences: ``label<TAB>word | word | word``, labels from 1, UTF-8."""

from __future__ import annotations

import io
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import IO

from lrplstm.texts import shown, with_visible_errors

__all__ = [
    "Sentence",
    "labelled_sentences",
    "parse_sentences",
    "read_sentences",
    "sample_sentences",
    "text_lines",
    "with_an_end",
]

_MOST_STREAMED = 2**30
"""So many bytes are read of a pipe or a device, which may have no end."""
_MOST_IN_LINE = 2**24
"""A line has at most so many bytes: some three million words."""
_BLOCK = 2**20


@dataclass(frozen=True)
class Sentence:
    """One line of a sentence file.

    Attributes
    ----------
    tokens : tuple of str
        Its words.
    label : int
        As in the file, where the first class is 1.

    Examples
    --------
    >>> import lrplstm
    >>> sentence = lrplstm.Sentence(("a", "fine", "film"), label=5)
    >>> sentence.target
    4
    """

    tokens: tuple[str, ...]
    label: int

    @property
    def target(self) -> int:
        """The class that the label means, counted from 0 as everywhere else."""
        return self.label - 1


def with_an_end(file: IO[bytes], name: str) -> IO[bytes]:
    """Return a file that ends: the same, or what a pipe or device gave, as long as that is bounded.

    Raises
    ------
    ValueError
        If a pipe or device gives more than 2**30 bytes, or a line of more than 2**24; `name` is
        what the error calls it.
    """
    try:
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return file
    except io.UnsupportedOperation:  # it is no file of the system's, and in memory
        pass
    # Memory for the usual text, and the disk for the rest of a long one.
    spool = tempfile.SpooledTemporaryFile(max_size=2**24)  # noqa: SIM115
    size = line = 0
    while block := file.read(_BLOCK):
        size += len(block)
        feed = block.rfind(b"\n")
        line = line + len(block) if feed < 0 else len(block) - feed - 1
        if size > _MOST_STREAMED or line > _MOST_IN_LINE:
            spool.close()
            most = f"{_MOST_STREAMED:,} bytes, and {_MOST_IN_LINE:,} in a line,"
            raise ValueError(
                f"{name}: expected at most {most} from a pipe or device, got more; pass a file, or "
                "less at a time"
            )
        spool.write(block)
    spool.seek(0)
    return spool


def text_lines(file: IO[bytes], name: str) -> Iterator[tuple[int, str]]:
    r"""Yield the lines of UTF-8 text that are not blank, without their line feeds, with numbers.

    Raises
    ------
    ValueError
        If it is not UTF-8, or a line has more than 2**24 bytes.

    Examples
    --------
    >>> import io
    >>> list(text_lines(io.BytesIO(b"a fine\n\nfilm\n"), "example"))
    [(1, 'a fine'), (3, 'film')]
    """
    position, number = 0, 0
    # Lines end with a line feed alone: a word may contain other line breaks.
    while line := file.readline(_MOST_IN_LINE + 1):
        number += 1
        if len(line) > _MOST_IN_LINE:
            raise ValueError(
                f"{name}: line {number}: expected at most {_MOST_IN_LINE:,} bytes, got more"
            )
        try:
            text = line.decode("utf-8" if position else "utf-8-sig")
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{name}: expected UTF-8, got something else at byte {position + error.start}"
            ) from None
        position += len(line)
        if text.strip():
            yield number, text.removesuffix("\n")


def parse_sentences(text: str, name: str) -> list[Sentence]:
    r"""Return the sentences in the text of a sentence file.

    Parameters
    ----------
    text : str
        Lines of ``label<TAB>word | word | word``. Blank lines are passed over.
    name : str
        What errors call it, such as its file.

    Raises
    ------
    ValueError
        If a line is not of that form, or there is none; it names the line.

    Examples
    --------
    >>> from lrplstm.sentences import parse_sentences
    >>> parse_sentences("4\ta | fine | film", "example")
    [Sentence(tokens=('a', 'fine', 'film'), label=4)]
    """
    # Not splitlines: a word may contain other line breaks.
    lines = enumerate(text.split("\n"), start=1)
    sentences = list(labelled_sentences((line for line in lines if line[1].strip()), name))
    if not sentences:
        raise ValueError(f"{name}: expected sentences, found none")
    return sentences


def labelled_sentences(lines: Iterable[tuple[int, str]], name: str) -> Iterator[Sentence]:
    """Yield the sentences of numbered lines that are not blank, as `parse_sentences` does."""
    for number, whole in lines:
        line = whole.removesuffix("\r")
        label, tab, words = line.partition("\t")
        if not tab or not _is_label(label):
            raise ValueError(
                f"{name}: line {number}: expected a label from 1, a tab and words separated by "
                f"' | ', got {shown(line)}"
            )
        # Not split(): a word may contain other spaces than this one.
        tokens = tuple(words.split(" | "))
        if "" in tokens:
            raise ValueError(f"{name}: line {number}: expected words, got an empty one")
        several = next((token for token in tokens if " " in token or "\t" in token), None)
        if several is not None:
            raise ValueError(
                f"{name}: line {number}: expected words separated by ' | ', got {shown(several)}"
            )
        yield Sentence(tokens, int(label))


def _is_label(text: str) -> bool:
    # Nine digits are more than enough for a class, and few enough for int().
    return text.isascii() and text.isdigit() and len(text) <= 9 and int(text) >= 1


@with_visible_errors
def read_sentences(path: str | os.PathLike[str]) -> list[Sentence]:
    r"""Read a file of labelled sentences.

    Parameters
    ----------
    path : str or path
        UTF-8 text, with or without a byte order mark, with lines of
        ``label<TAB>word | word | word``, labels from 1: the format of the 2017 reference code.

    Returns
    -------
    list of Sentence
        In the order of the file.

    Raises
    ------
    TypeError
        If `path` is no path.
    ValueError
        If it is not UTF-8, a line is not of that form or has more than 2**24 bytes, or there is
        none; or if a pipe or device gives more than 2**30 bytes.
    OSError
        If it cannot be read.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import lrplstm
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "sentences.txt")
    ...     _ = path.write_text("5\ta | fine | film | .\n", encoding="utf-8")
    ...     lrplstm.read_sentences(path)
    [Sentence(tokens=('a', 'fine', 'film', '.'), label=5)]
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path: expected the path of a file, got {type(path).__name__}")
    name = os.fspath(path)
    with open(path, "rb") as file, with_an_end(file, name) as bounded:
        sentences = list(labelled_sentences(text_lines(bounded, name), name))
    if not sentences:
        raise ValueError(f"{name}: expected sentences, found none")
    return sentences


def sample_sentences() -> list[Sentence]:
    """Return the labelled sentences that ship with the package.

    About 260 opinions on films in five classes from 1, very negative, to 5, very positive.

    Returns
    -------
    list of Sentence
        In the order of the file that ships.

    Examples
    --------
    >>> import lrplstm
    >>> sentences = lrplstm.sample_sentences()
    >>> len(sentences) >= 200, {sentence.label for sentence in sentences}
    (True, {1, 2, 3, 4, 5})
    """
    text = files("lrplstm.sample_data").joinpath("sentences.txt").read_text(encoding="utf-8")
    return parse_sentences(text, "sample sentences")
