"""Files of labelled sentences: ``label<TAB>word | word | word``, labels from 1, UTF-8."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

__all__ = ["Sentence", "parse_sentences", "read_sentences", "sample_sentences"]


@dataclass(frozen=True)
class Sentence:
    """One line of a sentence file.

    Attributes
    ----------
    tokens : tuple of str
    label : int
        As in the file, where the first class is 1.
    """

    tokens: tuple[str, ...]
    label: int

    @property
    def target(self) -> int:
        """The class that the label means, counted from 0 as everywhere else."""
        return self.label - 1


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
    sentences = []
    # Not splitlines, nor split(): a word may contain other line breaks and spaces than these two.
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.removesuffix("\r")
        if not line.strip():
            continue
        label, tab, words = line.partition("\t")
        if not tab or not _is_label(label):
            raise ValueError(
                f"{name}: line {number}: expected a label from 1, a tab and words separated by "
                f"' | ', got {line!r:.60}"
            )
        tokens = tuple(words.split(" | "))
        if "" in tokens:
            raise ValueError(f"{name}: line {number}: expected words, got an empty one")
        several = next((token for token in tokens if " " in token or "\t" in token), None)
        if several is not None:
            raise ValueError(
                f"{name}: line {number}: expected words separated by ' | ', got {several!r:.60}"
            )
        sentences.append(Sentence(tokens, int(label)))
    if not sentences:
        raise ValueError(f"{name}: expected sentences, found none")
    return sentences


def _is_label(text: str) -> bool:
    # Nine digits are more than enough for a class, and few enough for int().
    return text.isascii() and text.isdigit() and len(text) <= 9 and int(text) >= 1


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

    Raises
    ------
    TypeError
        If `path` is no path.
    ValueError
        If it is not UTF-8, a line is not of that form, or there is none.
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
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{os.fspath(path)}: expected UTF-8, got something else at byte {error.start}"
        ) from None
    return parse_sentences(text, os.fspath(path))


def sample_sentences() -> list[Sentence]:
    """Return the labelled sentences that ship with the package.

    About 260 opinions on films in five classes from 1, very negative, to 5, very positive.

    Returns
    -------
    list of Sentence

    Examples
    --------
    >>> import lrplstm
    >>> sentences = lrplstm.sample_sentences()
    >>> len(sentences) >= 200, {sentence.label for sentence in sentences}
    (True, {1, 2, 3, 4, 5})
    """
    text = files("lrplstm.sample_data").joinpath("sentences.txt").read_text(encoding="utf-8")
    return parse_sentences(text, "sample sentences")
