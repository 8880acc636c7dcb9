"""What people's scalers do to raw values before a network reads them, and to scores after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lrplstm.checks import to_array
from lrplstm.texts import shown
from lrplstm.weights import Array

__all__ = ["Scaler", "to_scaler"]


@dataclass(frozen=True, eq=False)
class Scaler:
    """What a network reads of raw values: ``(values - mean) / scale``, in float64.

    Parameters
    ----------
    mean, scale : array_like of shape (D,)
        Of each variable; no scale is 0.
    names : sequence of str of length D, optional
        What the variables are called, if whoever fitted it knew.

    Raises
    ------
    TypeError
        If an array has no numbers.
    ValueError
        If shapes differ, a number is not finite, or a scale is 0.

    Examples
    --------
    >>> import lrplstm
    >>> scaler = lrplstm.Scaler(mean=[10, 0], scale=[2, 1])
    >>> scaler.transform([[14, 1]])
    array([[2., 1.]])
    """

    mean: Array
    scale: Array
    names: tuple[str, ...] | None = None

    def __init__(
        self,
        mean: npt.ArrayLike,
        scale: npt.ArrayLike,
        names: Sequence[str] | None = None,
    ) -> None:
        arrays = {"mean": _numbers("mean", mean), "scale": _numbers("scale", scale)}
        shape = arrays["mean"].shape
        if arrays["scale"].shape != shape:
            raise ValueError(
                f"scale: expected shape {shape}, as of the mean, got {arrays['scale'].shape}"
            )
        if not arrays["scale"].all():
            constant = int(np.flatnonzero(arrays["scale"] == 0)[0])
            called = (
                f"variable {constant}" if names is None else f"variable {shown(names[constant])}"
            )
            raise ValueError(f"scale: expected none that is 0, got 0 for {called}")
        if names is not None and len(names) != shape[0]:
            raise ValueError(f"names: expected {shape[0]}, one for each variable, got {len(names)}")
        for name, array in arrays.items():
            object.__setattr__(self, name, array)
        object.__setattr__(self, "names", None if names is None else tuple(map(str, names)))

    def transform(self, values: npt.ArrayLike) -> Array:
        """Return what the network reads of raw values.

        Parameters
        ----------
        values : array_like of shape (..., D)
            Raw values.

        Returns
        -------
        ndarray of shape (..., D)
            In float64.

        Examples
        --------
        >>> import lrplstm
        >>> lrplstm.Scaler(mean=[10, 0], scale=[2, 1]).transform([14, 1])
        array([2., 1.])
        """
        scaled: Array = (np.asarray(values, np.float64) - self.mean) / self.scale
        return scaled

    def of(self, names: Sequence[str]) -> Scaler:
        """Return the same for variables in another order.

        Parameters
        ----------
        names : sequence of str of length D
            All its variables, in the other order.

        Returns
        -------
        Scaler
            The same where it has no names.

        Raises
        ------
        ValueError
            If it knows them by other names.

        Examples
        --------
        >>> import lrplstm
        >>> lrplstm.Scaler([10, 0], [2, 1], names=["rain", "temp"]).of(["temp", "rain"]).mean
        array([ 0., 10.])
        """
        if self.names is None or self.names == tuple(names):
            return self
        place = {name: n for n, name in enumerate(self.names)}
        for name in names:
            if name not in place:
                raise ValueError(
                    f"scaler: expected one that was fitted to {shown(name)}, got one of "
                    f"{', '.join(map(shown, self.names))}"
                )
        if len(names) != len(place):
            raise ValueError(f"scaler: expected {len(names)} variables, got {len(place)}")
        order = [place[name] for name in names]
        return Scaler(self.mean[order], self.scale[order], names)


def _numbers(name: str, values: npt.ArrayLike) -> Array:
    """Return a frozen copy of finite numbers in one dimension."""
    array = to_array(name, values)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name}: expected numbers, got {array.dtype}")
    if array.ndim == 0:
        array = array[np.newaxis]
    if array.ndim != 1 or not array.size:
        raise ValueError(f"{name}: expected one number a variable, got shape {array.shape}")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: expected finite numbers, got {array[~np.isfinite(array)][0]}")
    array.flags.writeable = False
    return array


def to_scaler(argument: str, given: Any, size: int | None, of: str) -> Scaler:
    """Return what a user gave as a scaler, of so many variables.

    Parameters
    ----------
    argument : str
        What errors call it.
    given : Scaler, pair, dict, or a scaler of scikit-learn
        (mean, scale), or a dict of these; or one of scikit-learn's `StandardScaler`,
        `MinMaxScaler`, `MaxAbsScaler` and `RobustScaler` that was fitted.
    size : int, optional
        Default: any number.
    of : str
        What there are so many of, in words.

    Raises
    ------
    TypeError
        If it is something else.
    ValueError
        If it is of other variables, was not fitted, or does more than subtract and divide.
    """
    try:
        scaler = _read(given)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{argument}: {error}") from None
    if size is not None and len(scaler.mean) != size:
        raise ValueError(f"{argument}: expected one of {size} {of}, got {len(scaler.mean)}")
    return scaler


def _read(given: Any) -> Scaler:
    if isinstance(given, Scaler):
        return given
    if isinstance(given, Mapping):
        if set(given) != {"mean", "scale"}:
            raise ValueError(f"expected a mean and a scale, got {', '.join(map(shown, given))}")
        return Scaler(given["mean"], given["scale"])
    if isinstance(given, Sequence | np.ndarray) and not isinstance(given, str) and len(given) == 2:
        return Scaler(given[0], given[1])
    read = _OF_SKLEARN.get(type(given).__name__)
    if read is None:
        raise TypeError(
            f"expected (mean, scale), or a {', '.join(list(_OF_SKLEARN)[:-1])} or "
            f"{list(_OF_SKLEARN)[-1]} of scikit-learn, got {type(given).__name__}"
        )
    if not hasattr(given, "n_features_in_"):
        raise ValueError(f"expected one that was fitted, got {type(given).__name__}()")
    mean, scale = read(given)
    number = int(given.n_features_in_)
    names = getattr(given, "feature_names_in_", None)
    return Scaler(
        np.zeros(number) if mean is None else mean,
        np.ones(number) if scale is None else scale,
        None if names is None else list(map(str, names)),
    )


def _of_standard(given: Any) -> tuple[Any, Any]:
    return given.mean_ if given.with_mean else None, given.scale_ if given.with_std else None


def _of_min_max(given: Any) -> tuple[Any, Any]:
    if getattr(given, "clip", False):
        raise ValueError("expected a MinMaxScaler that does not clip, got clip=True")
    return -given.min_ / given.scale_, 1 / given.scale_  # values * scale_ + min_


def _of_max_abs(given: Any) -> tuple[Any, Any]:
    return None, given.scale_


def _of_robust(given: Any) -> tuple[Any, Any]:
    return (
        given.center_ if given.with_centering else None,
        given.scale_ if given.with_scaling else None,
    )


_OF_SKLEARN: dict[str, Callable[[Any], tuple[Any, Any]]] = {
    "StandardScaler": _of_standard,
    "MinMaxScaler": _of_min_max,
    "MaxAbsScaler": _of_max_abs,
    "RobustScaler": _of_robust,
}
