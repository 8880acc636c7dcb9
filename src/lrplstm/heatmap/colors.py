"""The colour of a fraction of the full scale, and of the text on it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["RGB", "color", "ink", "to_hex"]

RGB: TypeAlias = tuple[int, int, int]

# OKLab (Ottosson 2020, https://bottosson.github.io/posts/oklab/): distances look as large as they
# are. Both ends are equally light, so neither sign looks stronger than the other.
# Of each paper: zero, 1 and -1. On one that nobody knows zero is grey, as far from black as white.
_OKLAB = {
    "light": np.array([[1.0, 0.0, 0.0], [0.5, 0.174, 0.074], [0.5, -0.035, -0.134]]),
    "dark": np.array([[0.19, 0.0, -0.005], [0.56, 0.17, 0.075], [0.56, -0.045, -0.13]]),
    "any": np.array([[0.55, 0.0, 0.0], [0.54, 0.172, 0.0745], [0.54, -0.04, -0.132]]),
}
_LMS_FROM_OKLAB = np.array(
    [
        [1.0, 0.3963377774, 0.2158037573],
        [1.0, -0.1055613458, -0.0638541728],
        [1.0, -0.0894841775, -1.2914855480],
    ]
)
_LINEAR_RGB_FROM_LMS = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


def color(fraction: npt.ArrayLike, paper: str = "light") -> npt.NDArray[np.uint8]:
    """Background colour of a word whose relevance is this fraction of the full scale.

    Zero is white, 1 a full red, -1 a full blue; in between the colour runs straight through OKLab,
    so that equal steps look equal and opposite fractions are equally light.

    Parameters
    ----------
    fraction : array_like of shape (...)
        Numbers from -1 to 1.
    paper : {"light", "dark", "any"}, optional
        What is around the words. On dark paper zero is nearly black; where nobody knows whether it
        is light or dark, zero is grey.

    Returns
    -------
    ndarray of uint8, shape (..., 3)
        Red, green and blue (sRGB).

    Raises
    ------
    ValueError
        If a fraction is NaN or outside -1 to 1.

    Examples
    --------
    >>> color([0, 0.5, -0.5]).tolist()
    [[255, 255, 255], [228, 150, 146], [145, 176, 218]]
    """
    fractions = np.asarray(fraction, dtype=np.float64)
    outside = fractions[~(np.abs(fractions) <= 1)]
    if outside.size:
        raise ValueError(f"fraction: expected numbers from -1 to 1, got {outside[0]}")
    strength = np.abs(fractions)[..., np.newaxis]
    zero, positive, negative = _OKLAB[paper]
    end = np.where(fractions[..., np.newaxis] < 0, negative, positive)
    oklab = zero + strength * (end - zero)
    linear = (oklab @ _LMS_FROM_OKLAB.T) ** 3 @ _LINEAR_RGB_FROM_LMS.T
    linear = np.clip(linear, 0, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    channels: npt.NDArray[np.uint8] = np.rint(255 * srgb).astype(np.uint8)
    return channels


def ink(background: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """Text colour for a background: black or white, whichever has more contrast.

    Contrast is that of WCAG 2.2, (lighter + 0.05) / (darker + 0.05) of the relative luminances. The
    better of the two is at least 4.58 on any background: above the 4.5 that WCAG level AA asks for.

    Parameters
    ----------
    background : array_like of shape (..., 3)
        Red, green and blue (sRGB), 0 to 255.

    Returns
    -------
    ndarray of uint8, shape (..., 3)
        [0, 0, 0] or [255, 255, 255].

    Examples
    --------
    >>> ink(color([0.2, 1])).tolist()
    [[0, 0, 0], [255, 255, 255]]
    """
    srgb = np.asarray(background) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    luminance = linear @ np.array([0.2126, 0.7152, 0.0722])
    white_is_better = 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05
    channel = np.where(white_is_better, 255, 0).astype(np.uint8)
    return np.repeat(channel[..., np.newaxis], 3, axis=-1)


def to_hex(rgb: Iterable[int]) -> str:
    """Write an sRGB colour as ``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*rgb)
