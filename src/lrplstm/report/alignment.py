"""Tokens found again in the text that they were made of, so that it is shown as it was written."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["segments"]

_QUOTES = ('"', "“", "”", "„", "«", "»", "``", "''")
_SINGLE_QUOTES = ("'", "‘", "’", "‚", "`")

# What tokenizers write for what was written.
_WRITTEN = {
    "``": _QUOTES,
    "''": _QUOTES,
    '"': _QUOTES,
    "`": _SINGLE_QUOTES,
    "'": _SINGLE_QUOTES,
    "--": ("–", "—"),
    "...": ("…",),
    "-lrb-": ("(",),
    "-rrb-": (")",),
    "-lsb-": ("[",),
    "-rsb-": ("]",),
    "-lcb-": ("{",),
    "-rcb-": ("}",),
}

# Characters within a token that may have been written in another way.
_SAME = str.maketrans({"‘": "'", "’": "'", "‚": "'", "\N{NO-BREAK SPACE}": " "})


def segments(text: str, tokens: Sequence[str]) -> list[str] | None:
    """Split a text into its tokens as they were written, and what stands between them.

    Parameters
    ----------
    text : str
    tokens : sequence of str, length T
        Made of the text in its order. They may be in lower case, and quotation marks, brackets,
        dashes, slashes and asterisks may be written as the Penn Treebank does.

    Returns
    -------
    list of str, length 2 T + 1, or None
        What stands before the first token, the first token, what stands between it and the second,
        and so on; together they are the text. None where a token is not found, or something other
        than space lies between.

    Examples
    --------
    >>> segments("It ISN'T (bad).", ["it", "is", "n't", "-lrb-", "bad", "-rrb-", "."])
    ['', 'It', ' ', 'IS', '', "N'T", ' ', '(', '', 'bad', '', ')', '', '.', '']
    """
    pieces = []
    end = 0
    for token in tokens:
        start = end
        while start < len(text) and text[start].isspace():
            start += 1
        pieces.append(text[end:start])
        end = start + _length(text, start, token)
        if end == start:
            return None
        pieces.append(text[start:end])
    pieces.append(text[end:])
    return None if pieces[-1].strip() else pieces


def _length(text: str, start: int, token: str) -> int:
    """Return how many characters of the text at `start` are the token; 0 if it is not there."""
    for written in (*_WRITTEN.get(token, ()), token, token.replace("\\", "")):
        # Lower case may have more characters than what was written: "İ".
        for length in dict.fromkeys((len(written), len(written) - 1)):
            piece = text[start : start + length]
            if piece and written.lower() in (piece.lower(), piece.lower().translate(_SAME)):
                return length
    return 0
