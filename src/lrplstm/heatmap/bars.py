"""Scores for a terminal: a line for each, with a bar."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lrplstm.heatmap.escapes import Screen
from lrplstm.heatmap.table import cells, cut, padded
from lrplstm.texts import visible

__all__ = ["to_bars"]

_CELLS = 24  # of a bar at most
_LEAST = 6
_WIDTH = 80
_MOST = 12  # bars


def to_bars(
    names: Sequence[str],
    values: npt.ArrayLike,
    chosen: int | None = None,
    *,
    color_system: str | None = "auto",
    width: int | None = None,
) -> str:
    """Draw numbers as bars of text, from one zero to the left and to the right.

    Parameters
    ----------
    names : sequence of str of length C
    values : array_like of shape (C,)
        Finite numbers.
    chosen : int, optional
        One of them, which is bold where there are escape codes.
    color_system, width : optional
        As for :func:`to_terminal`; a width that nobody says is 80.

    Returns
    -------
    str
        Lines joined by newlines, none at the end. Of more than 12 the largest.

    Raises
    ------
    ValueError
        For another `color_system`.

    Examples
    --------
    >>> print(to_bars(["bad", "fine"], [-1.0, 2.0], color_system=None))
    bad   ████████│                  -1.000
    fine          │████████████████   2.000
    """
    screen = Screen.of(color_system, "auto")
    numbers = np.asarray(values, np.float64)
    kept = np.sort(np.argsort(-numbers, kind="stable")[:_MOST]).tolist()
    total = _WIDTH if width is None else width
    shown = padded([cut(visible(names[k]), max(1, total // 3)) for k in kept])
    texts = [f"{numbers[k]:.3f}" for k in kept]
    number_width = max(map(len, texts))
    room = max(_LEAST, min(_CELLS, total - cells(shown[0]) - number_width - 5))
    low, high = min(0.0, numbers[kept].min()), max(0.0, numbers[kept].max())
    left = round(room * -low / ((high - low) or 1.0))
    lines = []
    for k, name, text in zip(kept, shown, texts, strict=True):
        bar = _bar(numbers[k], (low, high), (left, room - left))
        line = f"{name}  {bar}  {text:>{number_width}}"
        lines.append(screen.styled(line, bold=k == chosen))
    if len(kept) < len(numbers):
        lines.append(f"... and {len(numbers) - len(kept)} more")
    return "\n".join(lines)


def _bar(value: float, extent: tuple[float, float], room: tuple[int, int]) -> str:
    """Return a bar on one side of the line at zero, to half a cell."""
    (low, high), (left, right) = extent, room
    most, end = (left, low) if value < 0 else (right, high)
    halves = round(2 * most * value / end) if end else 0
    full, half = divmod(halves, 2)
    if value < 0:
        return f"{'▐' * half + '█' * full:>{left}}│{'':{right}}"
    return f"{'':{left}}│{'█' * full + '▌' * half:<{right}}"
