"""A grid ready to be drawn with matplotlib: in letters that fonts have, with labels that fit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lrplstm.heatmap.content import checked_text, checked_texts, signed
from lrplstm.heatmap.grid import Grid, GridContent, checked_grid, every_nth
from lrplstm.heatmap.layout import Piece, flow, lines
from lrplstm.heatmap.sheets import Font
from lrplstm.texts import visible

__all__ = [
    "BAR",
    "LABELS",
    "LINE",
    "PAD",
    "SERIES",
    "Drawable",
    "StepLabels",
    "below",
    "drawable",
    "wrapped",
]

LABELS = 0.9
"""Size of labels, of that of letters."""
LINE, PAD = 1.3, 0.5
"""Distance of the lines of labels, and what is left beside these, font sizes."""
BAR = 0.14
"""Width of the colour bar, inches."""

_LONG = 7.0  # a step's name longer than so many font sizes is turned
_MEASURED = 1000  # so many names are measured, where there are more
_STEP = "step"
_DATE = 2.8  # font sizes that a date is given on the axis
SERIES = "line: the series, scaled to each row"
"""What lines over cells are."""


@dataclass(frozen=True, eq=False)
class Drawable:
    """A grid in characters that the fonts have."""

    content: GridContent
    variables: list[str]
    steps: list[str]
    dates: npt.NDArray[Any] | None  # (T,), datetime64 that grow
    values: npt.NDArray[np.float64] | None  # (T, D), drawn over their relevance
    scale: float  # relevance that has the full colour
    block_labels: list[str] | None
    ends: list[str]
    title: str  # empty for none
    notes: list[str]
    font: Font
    size: float  # of letters, points

    @property
    def label_size(self) -> float:
        """Size of labels, points."""
        return LABELS * self.size

    @property
    def em(self) -> float:
        """Size of labels, inches."""
        return self.label_size / 72

    def longest(self, names: list[str]) -> float:
        """Return the width of the longest name, font sizes."""
        return max(map(self.font.measure, names[:: every_nth(len(names), _MEASURED)]))

    @property
    def bar_width(self) -> float:
        """Width of the colour bar with its labels, inches."""
        if not self.scale:
            return 0.0
        texts = "\n".join(text for _, text in self.bar_ticks).split("\n")
        return BAR + (3 * PAD + max(map(self.font.measure, texts))) * self.em

    @property
    def bar_ticks(self) -> list[tuple[float, str]]:
        """Places on the colour bar, as fractions of the scale, and what is written there."""
        low, high = self.ends
        start, scale = self.content.start, self.scale
        ticks = [
            (start, f"{signed(start * scale)}\n{low}".strip()),
            (1.0, f"{high}\n{signed(scale)}"),
        ]
        return ticks if start == 0 else [ticks[0], (0.0, "0"), ticks[1]]


def drawable(grid: Grid, most_rows: int, most_columns: int, size: float) -> Drawable:
    """Check a grid and its title, and replace the characters that no font has."""
    content = checked_grid(grid, most_rows=most_rows, most_columns=most_columns)
    T, D = content.num_steps, content.num_variables
    title = "" if grid.title is None else visible(checked_text("title", grid.title))
    numbers = [*map(str, range(max(D, T)))]
    variables = content.variables or numbers[:D]
    steps = content.steps or numbers[:T]
    labels = content.block_labels
    notes = [visible(note) for note in checked_texts("notes", grid.notes)]
    font = Font([*variables, *steps, *(labels or []), *content.ends, title, *notes, "…"])
    return Drawable(
        content,
        [*map(font.drawable, variables)],
        [*map(font.drawable, steps)],
        _checked_dates(grid.dates, T),
        _checked_values(grid.values, T, D),
        _checked_scale(grid.scale, content.scale),
        None if labels is None else [*map(font.drawable, labels)],
        [*map(font.drawable, content.ends)],
        font.drawable(title),
        [*map(font.drawable, notes)],
        font,
        size,
    )


def _checked_values(values: npt.ArrayLike | None, T: int, D: int) -> Any:
    if values is None:
        return None
    array = np.asarray(values)
    if array.shape != (T, D) or array.dtype.kind not in "fiub":
        raise ValueError(
            f"values: expected real numbers of shape ({T}, {D}), as relevance has, "
            f"got {array.dtype} of shape {array.shape}"
        )
    return array.astype(np.float64)


def _checked_dates(dates: npt.ArrayLike | None, T: int) -> Any:
    """Return dates that can stand on an axis: those that grow."""
    if dates is None:
        return None
    array = np.asarray(dates)
    if array.shape != (T,) or array.dtype.kind != "M":
        raise ValueError(
            f"dates: expected datetime64 of shape ({T},), one for each step, "
            f"got {array.dtype} of shape {array.shape}"
        )
    array = array.astype("datetime64[us]")
    return array if T > 1 and (np.diff(array) > np.timedelta64(0)).all() else None


def _checked_scale(scale: float | None, largest: float) -> float:
    """Return the relevance that has the full colour: the largest, or what was given."""
    if scale is None:
        return largest
    if not largest <= scale < np.inf:
        raise ValueError(
            f"scale: expected a number not below the largest absolute relevance, {largest:.3g}, "
            f"got {scale}"
        )
    return float(scale)


class StepLabels:
    """Which steps are labelled on a width, and how: `places`, `texts`, and the `height` they take.

    `remark` is from when to when dates go.
    """

    def __init__(self, drawable: Drawable, width: float) -> None:
        content = drawable.content
        T, columns = content.num_steps, width / drawable.em
        self.places: Sequence[float]
        self.rotation, self.remark = 0, ""
        if drawable.dates is not None:
            most = max(1, min(12, int(columns / _DATE)))
            self.places, self.texts, self.remark = _date_ticks(drawable.dates, most)
            if len(self.places) > 1 or most == 1:
                self.height = (1.0 + 2 * PAD) * drawable.em
                return
        longest = drawable.longest(drawable.steps)
        across = max(1, int(columns / (longest + 1.0)))
        upright = max(1, int(columns / LINE))
        # Names are turned where they then all fit in; numbers need not all be there.
        turned = content.steps is not None and (across < T <= upright or longest > _LONG)
        nth = every_nth(T, upright if turned else across)
        self.rotation = 90 if turned else 0
        self.places = [*range(0, T, nth)]
        self.texts = drawable.steps[::nth]
        self.height = ((longest if turned else 1.0) + 2 * PAD) * drawable.em


def _date_ticks(dates: npt.NDArray[Any], most: int) -> tuple[list[float], list[str], str]:
    """Return where round dates lie among the steps, how they are written, and the whole span."""
    import matplotlib.dates

    mpl: Any = matplotlib.dates  # which has no types
    locator = mpl.AutoDateLocator(minticks=3, maxticks=max(6, most))
    ticks = np.array(locator.tick_values(dates[0].item(), dates[-1].item()))
    numbers = mpl.date2num(dates)
    ticks = ticks[(ticks >= numbers[0]) & (ticks <= numbers[-1])]
    texts = mpl.ConciseDateFormatter(locator).format_ticks(ticks.tolist())
    places = np.interp(ticks, numbers, np.arange(len(dates)))
    nth = every_nth(len(texts), most)
    days = dates.astype("datetime64[D]")
    unit: Any = "D" if (days == dates).all() else "m"
    first, last = (np.datetime_as_string(dates[t], unit=unit).replace("T", " ") for t in (0, -1))
    return places[::nth].tolist(), texts[::nth], f"{first} to {last}"


def below(drawable: Drawable, width: float, *, has_lines: bool) -> list[str]:
    """Return the lines that stand below the steps: what they are, and the notes."""
    named = drawable.content.steps or drawable.dates is not None
    steps = StepLabels(drawable, width).remark or (None if named else _STEP)
    parts = [steps, drawable.content.remark, SERIES if has_lines else None]
    texts = [*filter(None, parts), *drawable.notes]
    return wrapped(texts, drawable.font, width / drawable.em)


def wrapped(texts: Iterable[str], font: Font, columns: float) -> list[str]:
    """Break texts into lines of so many font sizes."""
    shown = []
    for text in texts:
        words = flow(map(Piece, text.split()), columns, font.measure(" "), font.measure)
        shown += [" ".join(word.text for word in line) for line in lines(words)]
    return shown
