"""Which words stand close to the one before, so that no line begins with a comma."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

__all__ = ["stands_close"]

# What tokenizers split off a word, or write in other letters: the Penn Treebank, WordPiece.
_CLOSING = {"''", "...", "--", "-rrb-", "-rsb-", "-rcb-", "n't"}
_OPENING = {"``", "`", "-lrb-", "-lsb-", "-lcb-"}
_SPLIT_OFF = re.compile(r"['’]\w{1,2}|##.+")
_MARKS = frozenset(".,;:!?%…、。，！？；：؟،'’")


def stands_close(words: Iterable[str]) -> list[bool]:
    """Return for each word whether it belongs on the line of the word before.

    So do closing punctuation, what was split off ("n't", "'s", "##ing"), and whatever follows an
    opening bracket or quotation mark. Straight quotation marks open and close by turns.

    Examples
    --------
    >>> stands_close(["is", "n't", "it", "(", "bad", ")", "?"])
    [False, True, False, False, True, True, True]
    """
    close: list[bool] = []
    open_before = quoted = False
    for word in words:
        lower = word.lower()
        opens = lower in _OPENING or _all(word, ("Ps", "Pi"))
        closes = lower in _CLOSING or bool(_SPLIT_OFF.fullmatch(lower)) or _closes(word)
        if word == '"':
            opens, closes, quoted = not quoted, quoted, not quoted
        close.append(bool(close) and (closes or open_before))
        open_before = opens
    return close


def _closes(word: str) -> bool:
    return bool(word) and all(c in _MARKS or _all(c, ("Pe", "Pf")) for c in word)


def _all(word: str, categories: tuple[str, ...]) -> bool:
    return bool(word) and all(unicodedata.category(char) in categories for char in word)
