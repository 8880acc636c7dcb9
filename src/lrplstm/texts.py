"""Texts from files and users, made safe to show: in pictures, in terminals, in error messages."""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

__all__ = ["did_you_mean", "first_line", "shown", "visible", "with_visible_errors"]

P = ParamSpec("P")
R = TypeVar("R")

_MOST_LETTERS = 60

_LONGEST_NAME = 60
"""Nobody means a name of so many letters; comparing texts without end takes time without end."""

# The joiners that build emoji and shape scripts (U+200C, U+200D) are not among them.
_UNSAFE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e"
    r"\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb\ufffe\uffff]"
)


_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _MOST_LETTERS
_REPR.maxlist = _REPR.maxtuple = _REPR.maxdict = 12


def shown(value: Any) -> str:
    """Return the beginning of a value's repr, for a message: however long or deep the value is.

    Examples
    --------
    >>> shown(["a", 0.5]), len(shown("a" * 1000))
    ("['a', 0.5]", 60)
    """
    try:
        return visible(f"{_REPR.repr(value):.{_MOST_LETTERS}}")
    except (ValueError, RecursionError):  # an int of thousands of digits, arrays in arrays in ...
        return f"a {type(value).__name__} too long or too deep to be shown"


def visible(text: str) -> str:
    r"""Write what would not show, or would act on its surroundings, as an escape such as ``\x1b``.

    That is: control characters, line separators, lone surrogates, and formatting characters that
    change the direction of writing or have no width. All other text stays as it is, so that a text
    which was made visible already does not change.

    Parameters
    ----------
    text : str
        Any text, from wherever.

    Returns
    -------
    str
        One line, safe to print in a terminal and possible to encode; not yet safe in HTML.

    Examples
    --------
    >>> print(visible("red\x1b[31m\n"))
    red\x1b[31m\n
    """
    return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def did_you_mean(given: str, choices: Iterable[str]) -> str:
    """Return "; did you mean ...?" for the choice that a misspelt one comes near, else nothing.

    Examples
    --------
    >>> did_you_mean("senstivity", ["lrp", "sensitivity"])
    "; did you mean 'sensitivity'?"
    >>> did_you_mean("magic", ["lrp", "sensitivity"])
    ''
    """
    if len(given) > _LONGEST_NAME:
        return ""
    by_lower = {choice.lower(): choice for choice in choices if len(choice) <= _LONGEST_NAME}
    close = difflib.get_close_matches(given.lower(), by_lower, n=1, cutoff=0.6)
    return f"; did you mean {by_lower[close[0]]!r}?" if close else ""


def first_line(error: BaseException) -> str:
    """Return the beginning of an error's text, made visible, for a message of one line."""
    return visible(f"{str(error).partition(chr(10))[0]:.100}")


def with_visible_errors(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function that reads files so that whatever it raises has a visible text.

    Messages name paths, tensors, layers and tokens, each of which may be called anything. Made
    visible at the one place where they leave the package, none is forgotten.
    """

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except (TypeError, ValueError, ImportError, RuntimeError) as error:
            error.args = tuple(visible(a) if isinstance(a, str) else a for a in error.args)
            if isinstance(error, ImportError) and error.msg:
                error.msg = visible(error.msg)
            raise

    return wrapped
