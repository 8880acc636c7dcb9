"""Text as people write it -> the tokens that a model wants, by the tokenizer's name."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

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

# Where a period does not end a sentence.
_ABBREVIATIONS = frozenset(
    "mr mrs ms dr st vs jr sr prof etc e.g i.e bros u.s u.k l.a n.y d.c e.t".split()
)


def treebank(text: str) -> list[str]:
    """Split text as the Penn Treebank does, in lower case.

    Clitics (n't, 's) and punctuation become tokens, quotation marks `` and '', parentheses -lrb-
    and -rrb-, and a slash is escaped. A period is apart at the end of each sentence.

    Examples
    --------
    >>> from lrplstm.tokenizers import treebank
    >>> treebank("It isn't funny!")
    ['it', 'is', "n't", 'funny', '!']
    """
    from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer
    from nltk.tokenize.treebank import TreebankWordTokenizer

    parameters = PunktParameters()
    parameters.abbrev_types = set(_ABBREVIATIONS)
    split_sentences = PunktSentenceTokenizer(parameters).tokenize
    split_words = TreebankWordTokenizer().tokenize
    return [
        word.lower().replace("/", "\\/")
        for sentence in split_sentences(text.translate(_TYPEWRITER))
        for word in split_words(sentence, convert_parentheses=True)
    ]


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
    ValueError
        If there is no such tokenizer.
    """
    if tokenizer not in TOKENIZERS:
        raise ValueError(
            f"tokenizer: expected one of {', '.join(TOKENIZERS)}, got {tokenizer!r:.60}"
        )
    return TOKENIZERS[tokenizer](text)
