"""Text -> its sentences, and their words as the Penn Treebank has them.

Words are split as by R. MacIntyre's sed script for the treebank (1995), and sentences as by Punkt
(Kiss and Strunk 2006, doi 10.1162/coli.2006.32.4.485), which here knows a few abbreviations and
nothing else of the language. NLTK has both, and the tests compare with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import pairwise

__all__ = ["split_sentences", "split_words"]

# Sentences --------------------------------------------------------------------------------------

# Where a period does not end a sentence.
_ABBREVIATIONS = frozenset(
    "mr mrs ms dr st vs jr sr prof etc e.g i.e bros u.s u.k l.a n.y d.c e.t".split()
)

# What may end a sentence: a mark, and what follows it, punctuation or the next word.
_CANDIDATE = re.compile(r"""[.?!](?=[)";}\]*:@'({\[?!]|\s+(?P<word>\S+))""")

# Words, each with the periods that belong to it, and marks.
_DASH_OR_DOTS = r"-{2,}|\.{2,}|(?:\.\s){2,}\."
_WORD_ENDS = rf"""\s|$|[)";}}\]*:@'({{\[?!]|{_DASH_OR_DOTS}"""
_TOKEN = re.compile(
    rf"""{_DASH_OR_DOTS}|(?=[^("`{{\[:;&#*@)}}\]\-,])\S+?(?={_WORD_ENDS}|,(?={_WORD_ENDS}))|\S"""
)
_INITIAL = re.compile(r"[^\W\d]\.")
_NUMBER = re.compile(r"-?[.,]?\d[\d,.-]*")

# What belongs to the sentence before it.
_CLOSING = re.compile(r"""["')\]}]+?(?:\s+|(?=--)|$)""", re.MULTILINE)


def split_sentences(text: str) -> list[str]:
    """Return the sentences of a text.

    Examples
    --------
    >>> from lrplstm.treebank import split_sentences
    >>> split_sentences("Mr. Smith came. (He left.) J. K. Jones did not.")
    ['Mr. Smith came.', '(He left.)', 'J. K. Jones did not.']
    """
    is_abbreviation = _abbreviations(text)
    starts, stops = [0], []
    for candidate, context in _candidates(text):
        if _has_break(context, is_abbreviation):
            stops.append(candidate.end())
            starts.append(candidate.start("word") if candidate["word"] else candidate.end())
    stops.append(len(text.rstrip()))
    sentences = []
    for n, stop in enumerate(stops):
        if n + 1 < len(stops):
            following = text[starts[n + 1] : stops[n + 1]]
            if closing := _CLOSING.match(following):
                stop = starts[n + 1] + len(closing[0].rstrip())
                starts[n + 1] += closing.end()
        if stop > starts[n]:
            sentences.append(text[starts[n] : stop])
    return sentences


def _candidates(text: str) -> Iterator[tuple[re.Match[str], str]]:
    """Yield where sentences may end, with the words around; of several in one word the last."""
    previous: re.Match[str] | None = None
    begin = end = 0  # of the word that the previous one ends
    for match in _CANDIDATE.finditer(text):
        space = max(text.rfind(character, end, match.start()) for character in " \t\n\r\x0b\x0c")
        start = space + 1 if space > end else begin
        if previous is not None and end <= start:
            yield previous, text[begin:end] + _around(previous)
        previous, begin, end = match, start, match.start()
    if previous is not None:
        yield previous, text[begin:end] + _around(previous)


def _around(candidate: re.Match[str]) -> str:
    """Return a mark with what follows it."""
    stop = candidate.end("word") if candidate["word"] else candidate.end() + 1
    return candidate.string[candidate.start() : stop]


def _has_break(context: str, is_abbreviation: Callable[[str], bool]) -> bool:
    """Whether a sentence ends at a token that is not the last."""
    tokens = [token for line in context.split("\n") for token in _TOKEN.findall(line)]
    for token, following in pairwise(tokens):
        if token in (".", "?", "!"):
            return True
        if not token.endswith(".") or token.endswith("..") or is_abbreviation(token[:-1].lower()):
            continue
        initial = _INITIAL.fullmatch(token)
        if initial or _NUMBER.fullmatch(token):
            if following in ";:,.!?" or following[0].islower():
                continue
            if initial and following[0].isupper():
                continue
        return True
    return False


def _abbreviations(text: str) -> Callable[[str], bool]:
    """Return a function that says whether a word, in lower case, is an abbreviation.

    Those of the text itself are letters with periods between, such as j.k.
    """
    initials: set[str] | None = None

    def is_initials(word: str) -> bool:
        parts = word.split(".")
        return len(parts) > 1 and all(len(part) == 1 and part.isalpha() for part in parts)

    def is_abbreviation(word: str) -> bool:
        nonlocal initials
        last = word.rpartition("-")[2]
        if word in _ABBREVIATIONS or last in _ABBREVIATIONS:
            return True
        if initials is None:
            words = (word.lower().rstrip(".") for word in text.split() if word.endswith("."))
            initials = {word for word in words if is_initials(word)}
        return word in initials or last in initials

    return is_abbreviation


# Words ------------------------------------------------------------------------------------------

_OPENING_QUOTE = re.compile(r"""([ (\[{<])("|'')""")
_PAUSE = re.compile(r"([:,])(\D)")
_LAST_PAUSE = re.compile(r"([:,])$")
_SYMBOL = re.compile(r"[;@#$%&?!]")
_CLOSING_APOSTROPHE = re.compile(r"([^'])' ")
_BRACKETS = {
    "(": " -LRB- ",
    ")": " -RRB- ",
    "[": " -LSB- ",
    "]": " -RSB- ",
    "{": " -LCB- ",
    "}": " -RCB- ",
    "<": " < ",
    ">": " > ",
}
_CLITIC = re.compile(r"([^' ])('[sS]|'[mM]|'[dD]|') ")
_LONG_CLITIC = re.compile(r"([^' ])('ll|'LL|'re|'RE|'ve|'VE|n't|N'T) ")

# Words that are two, by what a text that has one contains.
_CONTRACTIONS = {
    "cannot": r"\b(can)(not)\b",
    "d'ye": r"\b(d)('ye)\b",
    "gimme": r"\b(gim)(me)\b",
    "gonna": r"\b(gon)(na)\b",
    "gotta": r"\b(got)(ta)\b",
    "lemme": r"\b(lem)(me)\b",
    "more'n": r"\b(more)('n)\b",
    "wanna": r"\b(wan)(na)(?=\s)",
    "'tis": r" ('t)(is)\b",
    "'twas": r" ('t)(was)\b",
}


def split_words(sentence: str) -> list[str]:
    """Return the words and marks of a sentence, in lower case.

    Examples
    --------
    >>> from lrplstm.treebank import split_words
    >>> split_words("It isn't funny!")
    ['it', 'is', "n't", 'funny', '!']
    """
    # Most patterns are in few sentences: to look for one of their characters first is quicker.
    text = sentence.rstrip()
    quoted = '"' in text or "''" in text
    if quoted and text[0] == '"':
        text = "``" + text[1:]
    if "``" in text:
        text = text.replace("``", " `` ")
    if quoted:
        text = _OPENING_QUOTE.sub(r"\1 `` ", text)
    if "," in text or ":" in text:
        text = _LAST_PAUSE.sub(r" \1 ", _PAUSE.sub(r" \1 \2", text))
    if "..." in text:
        text = text.replace("...", " ... ")
    text = _SYMBOL.sub(r" \g<0> ", text)
    if "." in text:
        text = _part_last_period(text)
    apostrophe = "'" in text
    if apostrophe:
        text = _CLOSING_APOSTROPHE.sub(r"\1 ' ", text)
    for bracket, name in _BRACKETS.items():
        if bracket in text:
            text = text.replace(bracket, name)
    if "--" in text:
        text = text.replace("--", " -- ")
    text = f" {text} "
    if quoted:
        text = text.replace("''", " '' ").replace('"', " '' ")
    if apostrophe:
        text = _LONG_CLITIC.sub(r"\1 \2 ", _CLITIC.sub(r"\1 \2 ", text))
    lowered = text.lower()
    contracted = [pattern for word, pattern in _CONTRACTIONS.items() if word in lowered]
    if contracted:
        for pattern in contracted:
            text = re.sub(pattern, r" \1 \2 ", text, flags=re.IGNORECASE)
        lowered = text.lower()  # the last letter of a word can have another form
    text = lowered
    return text.split()


def _part_last_period(text: str) -> str:
    """Put a space before the period that ends a sentence, perhaps within quotation marks."""
    rest = text.rstrip()
    head = rest.rstrip("])}>\"'")
    if not head.endswith(".") or head[-2:] == ".." or len(head) < 2:
        return text
    return f"{head[:-1]} .{rest[len(head) :]} "
