"""Text as people write it -> the tokens that a model wants, by the tokenizer's name."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

from lrplstm.texts import shown
from lrplstm.treebank import split_sentences, split_words

__all__ = ["TOKENIZERS", "tokenize"]

# The treebank was typed with a typewriter's characters.
_TYPEWRITER = str.maketrans(
    {
        "‘": "'",
        "’": "'",
        "‚": "'",
        "“": '"',
        "”": '"',
        "„": '"',
        "«": '"',
        "»": '"',
        "–": " -- ",
        "—": " -- ",
        "…": " ... ",
        "\N{NO-BREAK SPACE}": " ",
    }
)


# What begins with an apostrophe rather than with a quotation mark.
_APOSTROPHES = frozenset("'s 't 'm 'd 'n 're 've 'll 'em 'til 'cause".split())


def treebank(text: str) -> list[str]:
    """Split text as the Penn Treebank does, in lower case.

    Clitics (n't, 's) and punctuation become tokens, quotation marks `` and '' or ` and ',
    parentheses -lrb- and -rrb-; slashes and asterisks are escaped. A period is apart at the end of
    each sentence.

    Examples
    --------
    >>> from lrplstm.tokenizers import treebank
    >>> treebank("It isn't funny!")
    ['it', 'is', "n't", 'funny', '!']
    """
    if not text.isascii():
        text = text.translate(_TYPEWRITER)
    tokens: list[str] = []
    for sentence in split_sentences(text):
        words = split_words(sentence)
        tokens += _open_quotes(words) if "'" in sentence else words
    if "/" in text or "*" in text:
        tokens = [_escape(token) for token in tokens]
    return tokens


def _open_quotes(words: list[str]) -> list[str]:
    """Part a single quotation mark from the word it opens, if there is one that closes it."""
    parted: list[str] = []
    closing = 0
    for word in reversed(words):
        closing += word == "'"
        if closing and word[0] == "'" and word[1:2].isalpha() and word not in _APOSTROPHES:
            closing -= 1
            parted += [word[1:], "`"]
        else:
            parted.append(word)
    return parted[::-1]


def _escape(word: str) -> str:
    for character in "/*":
        escaped = f"\\{character}"
        word = word.replace(escaped, character).replace(character, escaped)
    return word


def whitespace(text: str) -> list[str]:
    """Split text at white space, and change nothing.

    Examples
    --------
    >>> from lrplstm.tokenizers import whitespace
    >>> whitespace("It is  funny !")
    ['It', 'is', 'funny', '!']
    """
    return text.split()


TOKENIZERS: MappingProxyType[str, Callable[[str], list[str]]] = MappingProxyType(
    {"treebank": treebank, "whitespace": whitespace}
)
"""Tokenizers by the names that a model's config.json may give."""


def tokenize(text: str, tokenizer: str) -> list[str]:
    """Split text by the tokenizer of a name.

    Raises
    ------
    TypeError
        If `text` is no string.
    ValueError
        If there is no such tokenizer.
    """
    if not isinstance(text, str):
        raise TypeError(f"text: expected a string, got {type(text).__name__}")
    if tokenizer not in TOKENIZERS:
        raise ValueError(
            f"tokenizer: expected one of {', '.join(TOKENIZERS)}, got {shown(tokenizer)}"
        )
    return TOKENIZERS[tokenizer](text)
