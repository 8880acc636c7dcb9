"""What is assumed of weights alone, said once in a warning."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from lrplstm.checks import outer_level
from lrplstm.texts import visible

__all__ = ["warn_assumed"]


def warn_assumed(why: str, assumed: Sequence[str], given: Sequence[str], instead: str) -> None:
    """Warn, at the line of the user, of what nobody said; of nothing if all was said.

    Parameters
    ----------
    why : str
        Why it is not seen.
    assumed : sequence of str
        What is taken to be so.
    given : sequence of str
        The arguments that say the same.
    instead : str
        What can be done so that it is seen.
    """
    if assumed:
        text = (
            f"source: {why}, so this is assumed: {'; '.join(assumed)}; if it is so, pass "
            f"{', '.join(given)}; {instead}"
        )
        warnings.warn(visible(text), UserWarning, stacklevel=outer_level())
