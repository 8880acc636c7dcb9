"""What a terminal is sent for colours: which of them it has, and whether its background is dark."""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lrplstm.heatmap.colors import RGB, color, ink

__all__ = ["Screen"]

_NEUTRAL = 0.05  # less of the full scale has no colour
_LEAST = 0.25  # of the full colour, where what is weak cannot come near to the background

# Of the 256 colours those that run from blue to red in even steps, on each kind of background.
_RAMPS_256: dict[str, list[tuple[int, RGB]]] = {
    "light": [
        (25, (0, 95, 175)),
        (68, (95, 135, 215)),
        (110, (135, 175, 215)),
        (153, (175, 215, 255)),
        (189, (215, 215, 255)),
        (231, (255, 255, 255)),
        (224, (255, 215, 215)),
        (217, (255, 175, 175)),
        (174, (215, 135, 135)),
        (167, (215, 95, 95)),
        (124, (175, 0, 0)),
    ],
    "dark": [
        (32, (0, 135, 215)),
        (25, (0, 95, 175)),
        (24, (0, 95, 135)),
        (17, (0, 0, 95)),
        (233, (18, 18, 18)),
        (52, (95, 0, 0)),
        (88, (135, 0, 0)),
        (124, (175, 0, 0)),
        (160, (215, 0, 0)),
    ],
    "any": [
        (26, (0, 95, 215)),
        (67, (95, 135, 175)),
        (103, (135, 135, 175)),
        (244, (128, 128, 128)),
        (138, (175, 135, 135)),
        (131, (175, 95, 95)),
        (160, (215, 0, 0)),
    ],
}
_NUMBERS_256 = {rgb: number for ramp in _RAMPS_256.values() for number, rgb in ramp}
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)
_NUMBERS_256 |= {_BLACK: 16, _WHITE: 231}


class Screen(NamedTuple):
    """What a terminal shows.

    Attributes
    ----------
    system : {"truecolor", "256", None}
        Which escape codes to use; None for none at all.
    background : {"light", "dark", "any"}
        What is behind its text; "any" where nobody knows.
    """

    system: str | None
    background: str

    @classmethod
    def of(cls, color_system: str | None, background: str) -> Screen:
        """Return what the arguments of :func:`to_terminal` say, by the environment if "auto"."""
        if color_system not in ("auto", "always", "truecolor", "256", None):
            raise ValueError(
                'color_system: expected "auto", "always", "truecolor", "256" or None, '
                f"got {color_system!r}"
            )
        if background not in ("auto", "light", "dark"):
            raise ValueError(f'background: expected "auto", "light" or "dark", got {background!r}')
        system = color_system
        if system == "auto":
            system = "always" if _wants_colors() else None
        if system == "always":
            system = _system()
        return cls(system, _background() if background == "auto" else background)

    def backgrounds(self, fractions: npt.ArrayLike) -> list[RGB | None]:
        """Return the background of fractions of the full scale, from -1 to 1; None for the own."""
        given = np.asarray(fractions, np.float64)
        if self.system is None:
            return [None] * len(given)
        if self.system == "256":
            ramp = _RAMPS_256[self.background]
            steps = np.rint((given + 1) / 2 * (len(ramp) - 1)).astype(int)
            return [None if 2 * n + 1 == len(ramp) else ramp[n][1] for n in steps.tolist()]
        neutral = (np.abs(given) < _NEUTRAL).tolist()
        if self.background == "any":
            given = np.sign(given) * (_LEAST + (1 - _LEAST) * np.abs(given))
        shades = map(tuple, color(given, self.background).tolist())
        return [None if none else shade for none, shade in zip(neutral, shades, strict=True)]

    def styled(
        self,
        text: str,
        background: RGB | None = None,
        *,
        foreground: RGB | None = None,
        underlined: bool = False,
        bold: bool = False,
    ) -> str:
        """Put a text between the escape codes for its looks; the ink fits the background."""
        if self.system is None:
            return text
        codes = ["4"] * underlined + ["1"] * bold
        if background and not foreground:
            foreground = _ink(background)
        if foreground:
            codes.append(self._code(38, foreground))
        if background:
            codes.append(self._code(48, background))
        return f"\x1b[{';'.join(codes)}m{text}\x1b[0m" if codes else text

    def _code(self, layer: int, rgb: RGB) -> str:
        if self.system == "256":
            return f"{layer};5;{_NUMBERS_256[rgb]}"
        return "{};2;{};{};{}".format(layer, *rgb)


@lru_cache(maxsize=1024)
def _ink(background: RGB) -> RGB:
    return _WHITE if ink(background)[0] else _BLACK


def _set(name: str) -> bool:
    """Whether a variable says yes: "0" and "false" are no, as is nothing."""
    return os.environ.get(name, "").lower() not in ("", "0", "false")


def _wants_colors() -> bool:
    """Whether standard output is to have colours.

    NO_COLOR (https://no-color.org) forbids them, FORCE_COLOR and CLICOLOR_FORCE ask for them even
    where it is no terminal, and CLICOLOR=0 wants none on one.
    """
    if os.environ.get("NO_COLOR"):
        return False
    if _set("FORCE_COLOR") or _set("CLICOLOR_FORCE"):
        return True
    if os.environ.get("FORCE_COLOR") or os.environ.get("CLICOLOR") == "0":
        return False
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def _system() -> str:
    promised = os.environ.get("COLORTERM", "").lower() in ("truecolor", "24bit")
    return "truecolor" if promised or os.environ.get("FORCE_COLOR") == "3" else "256"


def _background() -> str:
    """Return what COLORFGBG says, as some terminals set it: foreground;background, from 0 to 15."""
    last = os.environ.get("COLORFGBG", "").rpartition(";")[2]
    if not (last.isascii() and last.isdigit() and len(last) <= 2):
        return "any"
    return "dark" if int(last) in (0, 1, 2, 3, 4, 5, 6, 8) else "light"
