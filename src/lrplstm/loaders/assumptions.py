"""What is assumed of weights alone, said once in a warning."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

from lrplstm.checks import outer_level
from lrplstm.errors import AssumptionWarning

__all__ = ["warn_assumed"]


def warn_assumed(
    why: str, assumed: Sequence[str], given: Mapping[str, object], instead: str
) -> None:
    """Warn, at the line of the user, of what nobody said; of nothing if all was said.

    Parameters are those of `AssumptionWarning`.
    """
    if assumed:
        warning = AssumptionWarning(why, assumed, given, instead)
        warnings.warn(warning, stacklevel=outer_level())
