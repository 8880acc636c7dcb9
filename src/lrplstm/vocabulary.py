"""`vocabulary` in any accepted form -> the token of each row of an embedding, None for no token."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np

from lrplstm.texts import shown

__all__ = ["resolve_vocabulary", "shown_tokens", "unnamed_ids", "without_names"]


def resolve_vocabulary(vocabulary: Any, rows: int) -> tuple[str | None, ...]:
    """Return the token of each id, None where it has none.

    Parameters
    ----------
    vocabulary : sequence of str or None, or mapping of str to int
        As for `LSTMModel`.
    rows : int
        V, the number of ids.

    Raises
    ------
    TypeError
        If it is neither, a token is no string, or an id no integer.
    ValueError
        If it has no tokens or more than there are ids, a token or id occurs twice, or an id is out
        of range.
    """
    if isinstance(vocabulary, Mapping):
        return _from_mapping(vocabulary, rows)
    if isinstance(vocabulary, str) or not isinstance(vocabulary, Sequence | np.ndarray):
        raise TypeError(
            "vocabulary: expected a sequence of str, or a dict of ids by token, "
            f"got {type(vocabulary).__name__}"
        )
    if not 0 < len(vocabulary) <= rows:
        raise ValueError(
            f"vocabulary: expected {rows} tokens as the embedding has rows, or fewer, "
            f"got {len(vocabulary)}"
        )
    tokens: list[str | None] = [None] * rows
    seen: dict[str, int] = {}
    for id_, token in enumerate(vocabulary):
        if token is None:
            continue
        tokens[id_] = _check_token(token, f"position {id_}")
        first = seen.setdefault(token, id_)
        if first != id_:
            raise ValueError(
                f"vocabulary: expected distinct tokens, got {shown(token)} at {first} and at {id_}"
            )
    return tuple(tokens)


def _from_mapping(vocabulary: Mapping[Any, Any], rows: int) -> tuple[str | None, ...]:
    if not vocabulary:
        raise ValueError("vocabulary: expected at least one token, got none")
    tokens: list[str | None] = [None] * rows
    for token, id_ in vocabulary.items():
        _check_token(token, "a key")
        if isinstance(id_, bool) or not isinstance(id_, Integral):
            raise TypeError(f"vocabulary: expected an id of token {shown(token)}, got {shown(id_)}")
        if not 0 <= int(id_) < rows:
            raise ValueError(
                f"vocabulary: expected 0 <= id < {rows} as the embedding has rows, got "
                f"{shown(id_)} of token {shown(token)}; leave out the tokens that have no row"
            )
        other = tokens[int(id_)]
        if other is not None:
            raise ValueError(
                f"vocabulary: expected distinct ids, got {id_} of {shown(other)} and of "
                f"{shown(token)}"
            )
        tokens[int(id_)] = str(token)
    return tuple(tokens)


def _check_token(token: Any, where: str) -> str:
    if not isinstance(token, str):
        raise TypeError(f"vocabulary: expected str, got {shown(token)} at {where}")
    return str(token)


def shown_tokens(vocabulary: Sequence[str | None]) -> tuple[str, ...]:
    """Return what to call each id: its token, or "#" and the id itself where it has none.

    Examples
    --------
    >>> from lrplstm.vocabulary import shown_tokens
    >>> shown_tokens(["a", None, "film"])
    ('a', '#1', 'film')
    """
    return tuple(f"#{id_}" if token is None else token for id_, token in enumerate(vocabulary))


def unnamed_ids(vocabulary: Sequence[str | None]) -> list[list[int]]:
    """Return where ids have no token: pairs of the first of some and of the one after them.

    Examples
    --------
    >>> from lrplstm.vocabulary import unnamed_ids
    >>> unnamed_ids([None, "a", None, None])
    [[0, 1], [2, 4]]
    """
    named = np.array([True, *(token is not None for token in vocabulary), True])
    edges = np.flatnonzero(np.diff(named)).tolist()
    return [list(pair) for pair in zip(edges[::2], edges[1::2], strict=True)]


def without_names(tokens: list[str] | None, unnamed: Any) -> list[str | None] | None:
    """Return tokens as a file has them, with None for the ids that `unnamed_ids` returned.

    Raises
    ------
    ValueError
        If `unnamed` is not that, or one of these ids has a token.
    """
    if unnamed is None or unnamed == []:
        return None if tokens is None else list(tokens)
    found: list[str | None] = list(tokens or ())
    least = 0
    for pair in unnamed if isinstance(unnamed, list) else [unnamed]:
        if not (
            isinstance(pair, list)
            and len(pair) == 2
            and all(type(id_) is int for id_ in pair)
            and least <= pair[0] < pair[1] <= len(found)
        ):
            raise ValueError(
                f"expected rising pairs of ids up to {len(found)}, got {reprlib.repr(pair)}"
            )
        if any(found[slice(*pair)]):
            raise ValueError(f"expected empty lines for ids {pair[0]} to {pair[1] - 1}, got tokens")
        found[slice(*pair)] = [None] * (pair[1] - pair[0])
        least = pair[1]
    return found
