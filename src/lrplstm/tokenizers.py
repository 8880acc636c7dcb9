"""Text as people write it -> the tokens that a model wants, by the tokenizer's name."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Callable
from functools import cache, lru_cache
from types import MappingProxyType, ModuleType
from typing import Any

from lrplstm.texts import shown

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

_INNER_END = re.compile(r"[.?!]\s*\S")
"""A mark that can end a sentence, and something behind it."""

# Where a period does not end a sentence.
_ABBREVIATIONS = frozenset(
    "mr mrs ms dr st vs jr sr prof etc e.g i.e bros u.s u.k l.a n.y d.c e.t".split()
)

# What begins with an apostrophe rather than with a quotation mark.
_APOSTROPHES = frozenset("'s 't 'm 'd 'n 're 've 'll 'em 'til 'cause".split())


def treebank(text: str) -> list[str]:
    """Split text as the Penn Treebank does, in lower case.

    Clitics (n't, 's) and punctuation become tokens, quotation marks `` and '' or ` and ',
    parentheses -lrb- and -rrb-; slashes and asterisks are escaped. A period is apart at the end of
    each sentence.

    Raises
    ------
    ValueError
        If the text takes the tokenizer too long.

    Examples
    --------
    >>> from lrplstm.tokenizers import treebank
    >>> treebank("It isn't funny!")
    ['it', 'is', "n't", 'funny', '!']
    """
    try:
        return _treebank(text.translate(_TYPEWRITER))
    except TimeoutError:  # NLTK's guard against texts that its regular expressions cannot take
        raise ValueError(
            "text: expected text that can be split into words, got one that takes too long; "
            "give it line by line"
        ) from None


def _treebank(text: str) -> list[str]:
    # What few texts need is done for these alone.
    sentences = [text.rstrip()]
    if _INNER_END.search(text):
        sentences = _sentence_splitter(_initials(text))(text)
    split_words = _word_splitter()
    tokens: list[str] = []
    for sentence in sentences:
        words = split_words(sentence, convert_parentheses=True)
        tokens += map(str.lower, _open_quotes(words) if "'" in sentence else words)
    return list(map(_escape, tokens)) if "/" in text or "*" in text else tokens


@lru_cache(maxsize=64)
def _sentence_splitter(initials: frozenset[str]) -> Callable[[str], list[str]]:
    punkt = _module_of_nltk("nltk.tokenize.punkt")
    parameters = punkt.PunktParameters()
    parameters.abbrev_types = _ABBREVIATIONS | initials
    splitter: Callable[[str], list[str]] = punkt.PunktSentenceTokenizer(parameters).tokenize
    return splitter


@cache
def _word_splitter() -> Callable[..., list[str]]:
    splitter: Callable[..., list[str]] = (
        _module_of_nltk("nltk.tokenize.treebank").TreebankWordTokenizer().tokenize
    )
    return splitter


def _module_of_nltk(name: str) -> Any:
    """Import one module of NLTK without the rest, which takes all of scipy with it.

    Its packages are stood in for by empty ones while it is imported. They are gone again after
    that, so that whoever imports NLTK gets the whole of it.
    """
    if "nltk" in sys.modules:
        return importlib.import_module(name)
    spec = importlib.util.find_spec("nltk")
    if spec is None or spec.submodule_search_locations is None:
        raise ImportError("the tokenizer 'treebank' needs nltk: pip install nltk")
    (folder,) = spec.submodule_search_locations
    try:
        for package, path in {"nltk": folder, "nltk.tokenize": f"{folder}/tokenize"}.items():
            sys.modules[package] = ModuleType(package)
            sys.modules[package].__path__ = [path]
        return importlib.import_module(name)
    finally:
        for imported in [m for m in sys.modules if m == "nltk" or m.startswith("nltk.")]:
            del sys.modules[imported]


def _initials(text: str) -> frozenset[str]:
    """Return the words that are letters with periods between, as j.k, in lower case."""
    words = {word.lower().rstrip(".") for word in text.split() if word.endswith(".")}
    return frozenset(
        word
        for word in words
        if "." in word and all(len(part) == 1 and part.isalpha() for part in word.split("."))
    )


def _open_quotes(words: list[str]) -> list[str]:
    """Part a single quotation mark from the word it opens, if there is one that closes it."""
    parted: list[str] = []
    closing = 0
    for word in reversed(words):
        closing += word == "'"
        opens = word[0] == "'" and word[1:2].isalpha() and word.lower() not in _APOSTROPHES
        if opens and closing:
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
