"""What steps are called: dates with or without a time zone, numbers, or texts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

__all__ = ["StepLabels"]

_ISO = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?)?")


class StepLabels(NamedTuple):
    """The labels of steps, of all sequences one after the other.

    Attributes
    ----------
    values : ndarray of shape (steps,)
        Dates (datetime64, in UTC where there is a time zone), durations, numbers, or str.
    time_zone : str, or None
        That of dates.

    Examples
    --------
    >>> import numpy as np
    >>> StepLabels(np.array(["2026-01-03", "2026-01-04"], "datetime64[D]")).texts()
    ['2026-01-03', '2026-01-04']
    """

    values: npt.NDArray[Any]
    time_zone: str | None = None

    @classmethod
    def joined(cls, several: Sequence[StepLabels]) -> StepLabels:
        """Return those of all sequences; texts where they are of different kinds."""
        if len(several) == 1:
            return several[0]
        zones = {one.time_zone for one in several}
        kinds = {one.values.dtype.kind for one in several}
        if len(zones) > 1 or (len(kinds) > 1 and not kinds <= set("iuf")):
            texts = [text for one in several for text in one.texts()]
            return cls(np.array(texts, object))
        return cls(np.concatenate([one.values for one in several]), several[0].time_zone)

    @classmethod
    def of_texts(cls, texts: Sequence[str]) -> StepLabels:
        """Return what texts say: dates and times as ISO 8601 has them, or else the texts.

        Examples
        --------
        >>> StepLabels.of_texts(["2026-01-03 06:00", "2026-01-03 12:00"]).values.dtype
        dtype('<M8[m]')
        >>> StepLabels.of_texts(["2026", "later"]).texts()
        ['2026', 'later']
        """
        if all(_ISO.fullmatch(text) for text in texts):
            with suppress(ValueError):  # of no calendar
                return cls(np.array(texts, "datetime64"))
        return cls(np.array(list(texts), object))

    @property
    def are_dates(self) -> bool:
        """Whether they are points in time."""
        return self.values.dtype.kind == "M"

    def take(self, steps: Any) -> StepLabels:
        """Return those of some steps, by themselves."""
        return self._replace(values=self.values[steps])

    def as_array(self) -> npt.NDArray[Any]:
        """Return them as people see them, in an array of their own: (steps,).

        Dates of a time zone are datetimes that know it, and all others datetime64.
        """
        if self.time_zone is None:
            return self.values.copy()
        found = np.empty(len(self.values), object)
        zone = ZoneInfo(self.time_zone)
        moments = self.values.astype("datetime64[us]").tolist()
        found[:] = [moment.replace(tzinfo=UTC).astimezone(zone) for moment in moments]
        return found

    def texts(self) -> list[str]:
        """Return them in words: dates without the time where it is midnight everywhere."""
        if self.time_zone is not None:
            moments = self.as_array()
            midnight = all(not (m.hour or m.minute or m.second or m.microsecond) for m in moments)
            return [str(m.date()) if midnight else m.isoformat(" ", "minutes") for m in moments]
        if not self.are_dates:
            return [
                f"{value:g}" if isinstance(value, float) else str(value)
                for value in self.values.tolist()
            ]
        values = self.values
        days = values.astype("datetime64[D]")
        if (days == values).all():
            return np.datetime_as_string(days).tolist()
        minutes = values.astype("datetime64[m]")
        short = minutes if (minutes == values).all() else values.astype("datetime64[ms]")
        return [text.replace("T", " ") for text in np.datetime_as_string(short).tolist()]
