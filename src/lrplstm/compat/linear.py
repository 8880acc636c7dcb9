"""`lrp_linear`, the epsilon rule of one layer as the 2017 code has it."""

from __future__ import annotations

from numbers import Real

import numpy as np
import numpy.typing as npt

from lrplstm.compat.arguments import epsilon_rule, floats
from lrplstm.texts import shown
from lrplstm.weights import Array

__all__ = ["lrp_linear"]


def lrp_linear(
    hin: npt.ArrayLike,
    w: npt.ArrayLike,
    b: npt.ArrayLike,
    hout: npt.ArrayLike,
    Rout: npt.ArrayLike,
    bias_nb_units: float,
    eps: float,
    bias_factor: float = 0.0,
    debug: bool = False,
) -> Array:
    """Share relevance out among the inputs of a linear layer, by the epsilon rule.

    Parameters
    ----------
    hin : array_like of shape (D,)
        Lower units.
    w : array_like of shape (D, M)
        Their weights.
    b : array_like of shape (M,)
        Biases.
    hout : array_like of shape (M,)
        Upper units, of all that enters them: ``hin @ w + b``, and what comes from other layers.
    Rout : array_like of shape (M,)
        Relevance of the upper units.
    bias_nb_units : int
        Number of lower units that share the relevance of biases and stabilizers, those of other
        layers among them.
    eps : float, at least 0
        Stabilizer; it has the sign of `hout`, and is positive where that is 0.
    bias_factor : float
        Part of the relevance of biases and stabilizers that is handed on.
    debug : bool
        Print ``local diff:`` and ``Rout.sum() - Rin.sum()``. With ``bias_factor=1``,
        ``bias_nb_units=D`` and no other layers it is 0, to rounding.

    Returns
    -------
    Rin : ndarray of shape (D,)
        Relevance of the lower units. An upper unit whose denominator is 0 (only with ``eps=0``)
        hands nothing on.

    Raises
    ------
    TypeError
        If an argument is not made of numbers.
    ValueError
        If shapes do not fit together, `eps` is negative, `bias_nb_units` not positive, or a number
        NaN or infinite.

    Examples
    --------
    >>> import numpy as np
    >>> from lrplstm.compat import lrp_linear
    >>> hin, w, b = np.array([1.0, 2.0]), np.array([[3.0, 1.0], [1.0, -1.0]]), np.zeros(2)
    >>> lrp_linear(hin, w, b, hin @ w + b, np.array([5.0, 1.0]), 2, eps=0.0)
    array([2., 4.])
    """
    hin = floats("hin", hin, "D")
    hout = floats("hout", hout, "M")
    w = floats("w", w, len(hin), len(hout))
    b = floats("b", b, len(hout))
    Rout = floats("Rout", Rout, len(hout))
    if isinstance(bias_nb_units, bool | np.bool_) or not isinstance(bias_nb_units, Real):
        raise TypeError(f"bias_nb_units: expected a number of units, got {shown(bias_nb_units)}")
    if not 0 < bias_nb_units < np.inf:
        raise ValueError(f"bias_nb_units: expected a positive number, got {bias_nb_units}")
    rule = epsilon_rule(eps, bias_factor)
    q = rule.quotient(hout, Rout)
    Rin: Array = hin * (w @ q)
    if rule.bias_factor:
        Rin += rule.share(q, hout, b, bias_nb_units)
    if debug:
        print("local diff: ", Rout.sum() - Rin.sum())
    return Rin
