"""Activations: functions of each number by itself, and their derivatives.

`ACTIVATIONS` is the table of those that frameworks offer. A parameter that frameworks set
differently has no default: it is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from lrplstm.checks import check_choice
from lrplstm.texts import shown

__all__ = ["ACTIVATIONS", "Elementwise", "Formula", "Said", "to_elementwise"]

Array = npt.NDArray[Any]

Said = str | Sequence[Any]
"""How an activation is said: its name, or with parameters as ``("leaky_relu", {"alpha": 0.2})``."""

# scale and alpha of SELU: Klambauer et al. 2017 (arXiv 1706.02515).
SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


@dataclass(frozen=True)
class Formula:
    """An activation, of which parameters may still be open.

    Attributes
    ----------
    value : callable
        f(z), for an array and parameters by name.
    derivative : callable
        f'(z), for z, f(z) and parameters by name.
    parameters : dict of float or str
        Their defaults; a str says what the parameter is where it has none.
    """

    value: Callable[..., Array]
    derivative: Callable[..., Any]
    parameters: Mapping[str, float | str] = field(default_factory=dict)


def _sigmoid(z: Array) -> Array:
    # exp overflows to infinity for z < -88 in float32; 1 / (1 + inf) is then 0, as it should be.
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-z))


def _softplus(z: Array) -> Array:
    return np.logaddexp(z, z.dtype.type(0))


def _expm1(z: Array) -> Array:
    """Return exp(z) - 1 of what is negative, else 0."""
    return np.expm1(np.minimum(z, 0))


def _normal_cdf(z: Array) -> Array:
    """Return the standard normal distribution function."""
    erf = np.vectorize(math.erf, otypes=[float])(z / math.sqrt(2))
    return (0.5 * (1 + erf)).astype(z.dtype)


def _normal_pdf(z: Array) -> Array:
    return np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)


def _gelu_tanh_inner(z: Array) -> Array:
    return np.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3))


def _gelu_tanh_slope(z: Array, f: Array) -> Array:
    t = _gelu_tanh_inner(z)
    inner = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * z**2)
    return 0.5 * (1 + t) + 0.5 * z * (1 - t**2) * inner


def _hard_sigmoid(z: Array, alpha: float, beta: float) -> Array:
    return np.clip(alpha * z + beta, 0, 1)


def _hard_sigmoid_slope(z: Array, f: Array, alpha: float, beta: float) -> Array:
    return alpha * _between(alpha * z + beta, 0, 1)


def _between(z: Array, low: float, high: float) -> Array:
    """Return 1 where z is strictly between, else 0."""
    return ((z > low) & (z < high)).astype(z.dtype)


def _shrink(z: Array, alpha: float) -> Array:
    return np.sign(z) * np.maximum(np.abs(z) - alpha, 0)


def _mish_slope(z: Array, f: Array) -> Array:
    t = np.tanh(_softplus(z))
    return t + z * (1 - t**2) * _sigmoid(z)


_SLOPE = "the slope where z < 0: 0.01 in PyTorch and ONNX, 0.2 or 0.3 in Keras"
_HARD_SLOPE = "the slope: 1/6 in PyTorch and Keras 3, 0.2 in ONNX and Keras before 3"

ACTIVATIONS: Mapping[str, Formula] = MappingProxyType(
    {
        "linear": Formula(lambda z: z, lambda z, f: np.ones_like(z)),
        "relu": Formula(lambda z: np.maximum(z, 0), lambda z, f: z > 0),
        "tanh": Formula(np.tanh, lambda z, f: 1 - f**2),
        "sigmoid": Formula(_sigmoid, lambda z, f: f * (1 - f)),
        "hard_sigmoid": Formula(
            _hard_sigmoid, _hard_sigmoid_slope, {"alpha": _HARD_SLOPE, "beta": 0.5}
        ),
        "leaky_relu": Formula(
            lambda z, alpha: np.where(z < 0, alpha * z, z),
            lambda z, f, alpha: np.where(z > 0, 1, alpha),
            {"alpha": _SLOPE},
        ),
        "relu6": Formula(lambda z: np.clip(z, 0, 6), lambda z, f: _between(z, 0, 6)),
        "thresholded_relu": Formula(
            lambda z, alpha: np.where(z > alpha, z, 0),
            lambda z, f, alpha: z > alpha,
            {"alpha": 1.0},
        ),
        "elu": Formula(
            lambda z, alpha: np.where(z > 0, z, alpha * _expm1(z)),
            lambda z, f, alpha: np.where(z > 0, 1, f + alpha),
            {"alpha": 1.0},
        ),
        "celu": Formula(
            lambda z, alpha: np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0) / alpha)),
            lambda z, f, alpha: np.where(z > 0, 1, f / alpha + 1),
            {"alpha": 1.0},
        ),
        "selu": Formula(
            lambda z: SELU_SCALE * np.where(z > 0, z, SELU_ALPHA * _expm1(z)),
            lambda z, f: np.where(z > 0, SELU_SCALE, f + SELU_SCALE * SELU_ALPHA),
        ),
        "gelu": Formula(
            lambda z: z * _normal_cdf(z), lambda z, f: _normal_cdf(z) + z * _normal_pdf(z)
        ),
        "gelu_tanh": Formula(lambda z: 0.5 * z * (1 + _gelu_tanh_inner(z)), _gelu_tanh_slope),
        "silu": Formula(
            lambda z: z * _sigmoid(z), lambda z, f: _sigmoid(z) + f * (1 - _sigmoid(z))
        ),
        "hard_silu": Formula(
            lambda z: z * _hard_sigmoid(z, 1 / 6, 0.5),
            lambda z, f: np.where(z >= 3, 1, (z / 3 + 0.5) * (z > -3)),
        ),
        "mish": Formula(lambda z: z * np.tanh(_softplus(z)), _mish_slope),
        "softplus": Formula(_softplus, lambda z, f: _sigmoid(z)),
        "softsign": Formula(lambda z: z / (1 + np.abs(z)), lambda z, f: (1 - np.abs(f)) ** 2),
        "log_sigmoid": Formula(lambda z: -_softplus(-z), lambda z, f: _sigmoid(-z)),
        "exponential": Formula(np.exp, lambda z, f: f),
        "hard_tanh": Formula(
            lambda z, low, high: np.clip(z, low, high),
            lambda z, f, low, high: _between(z, low, high),
            {"low": -1.0, "high": 1.0},
        ),
        "scaled_tanh": Formula(
            lambda z, alpha, beta: alpha * np.tanh(beta * z),
            lambda z, f, alpha, beta: beta * (alpha - f**2 / alpha),
            {"alpha": "the factor of the tanh", "beta": "the factor inside it"},
        ),
        "affine": Formula(
            lambda z, alpha, beta: alpha * z + beta,
            lambda z, f, alpha, beta: np.full_like(z, alpha),
            {"alpha": "the factor", "beta": "what is added"},
        ),
        "soft_shrink": Formula(_shrink, lambda z, f, alpha: np.abs(z) > alpha, {"alpha": 0.5}),
        "hard_shrink": Formula(
            lambda z, alpha: np.where(np.abs(z) > alpha, z, 0),
            lambda z, f, alpha: np.abs(z) > alpha,
            {"alpha": 0.5},
        ),
        "absolute": Formula(np.abs, lambda z, f: np.sign(z)),
        "square": Formula(np.square, lambda z, f: 2 * z),
        "sine": Formula(np.sin, lambda z, f: np.cos(z)),
        "cosine": Formula(np.cos, lambda z, f: -np.sin(z)),
        "tanh_shrink": Formula(lambda z: z - np.tanh(z), lambda z, f: (z - f) ** 2),
    }
)
"""Activations by name. "silu" is also called swish, "gelu_tanh" GELU's approximation, "exponential"
exp; Keras calls "hard_silu" hard_swish too."""


@dataclass(frozen=True)
class Elementwise:
    """One of `ACTIVATIONS`, with all its parameters.

    Attributes
    ----------
    name : str
    parameters : dict of float
    """

    name: str
    parameters: Mapping[str, float]

    def __call__(self, z: Array) -> Array:
        """Return f(z), of the dtype of z."""
        return self._as(z, ACTIVATIONS[self.name].value(z, **self.parameters))

    def derivative(self, z: Array, value: Array | None = None) -> Array:
        """Return f'(z), of the dtype of z, given f(z) where it is known."""
        f = self(z) if value is None else value
        return self._as(z, ACTIVATIONS[self.name].derivative(z, f, **self.parameters))

    @staticmethod
    def _as(z: Array, values: Array) -> Array:
        return values.astype(z.dtype, copy=False)

    @property
    def said(self) -> Said:
        """The shortest way to say it, which JSON can hold."""
        defaults = ACTIVATIONS[self.name].parameters
        others = {p: value for p, value in self.parameters.items() if defaults[p] != value}
        return (self.name, others) if others else self.name

    def __str__(self) -> str:
        given = ", ".join(f"{name}={value:g}" for name, value in self.parameters.items())
        return f"{self.name}({given})" if given else self.name


def to_elementwise(argument: str, said: object) -> Elementwise:
    """Return an activation that is said by its name, or by name and parameters.

    Parameters
    ----------
    argument : str
        What errors call it.
    said : str, or (str, dict of float), or Elementwise

    Raises
    ------
    TypeError, ValueError
        If there is no such activation or parameter, or one that has no default is not given.

    Examples
    --------
    >>> to_elementwise("activation", ("leaky_relu", {"alpha": 0.2})).said
    ('leaky_relu', {'alpha': 0.2})
    """
    if isinstance(said, Elementwise):
        return said
    name, given = said, {}
    if isinstance(said, Sequence) and not isinstance(said, str) and len(said) == 2:
        name, given = said
    check_choice(argument, name, ACTIVATIONS)
    defaults = ACTIVATIONS[str(name)].parameters
    if not isinstance(given, Mapping):
        raise TypeError(f"{argument}: expected parameters by name, got {shown(given)}")
    for parameter, value in given.items():
        check_choice(f"{argument}: {name}", parameter, list(defaults) or ["no parameter"])
        if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
            raise ValueError(f"{argument}: {parameter}: expected a number, got {shown(value)}")
    for parameter, default in defaults.items():
        if isinstance(default, str) and parameter not in given:
            raise ValueError(
                f"{argument}: {name}: expected {parameter}, {default}; "
                f"pass ({name!r}, {{{parameter!r}: ...}})"
            )
    merged = dict(defaults) | {parameter: float(value) for parameter, value in given.items()}
    if merged.get("alpha") == 0 and name in ("celu", "scaled_tanh"):
        raise ValueError(f"{argument}: alpha: expected a number other than 0, got 0")
    return Elementwise(str(name), MappingProxyType({p: float(v) for p, v in merged.items()}))
