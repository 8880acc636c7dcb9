"""What is said of each method: the one place that names, pictures, sums and options are read from.

A method is a function of `lrplstm.methods` and a row of this table.
"""

from __future__ import annotations

from typing import NamedTuple

from lrplstm.quadrature import QUADRATURES
from lrplstm.rules import PRODUCT_RULES

__all__ = ["DESCRIBED", "MEASURES", "OPTIONS", "Described", "Option"]

MEASURES = ("score", "probability")
"""What occlusion compares: scores, or their softmax; of one score for two classes its sigmoid."""


class Described(NamedTuple):
    """What is said of a method.

    Attributes
    ----------
    when : str
        When to use it, in a line.
    rest : str
        What the difference between the score and the sum of relevances is; of a method that shares
        out no score, why there is none. Steps are called words.
    shares : bool
        Whether it shares a score out.
    alias : str, or None
        Its short name.
    ends : tuple of two str, or None
        What negative and positive relevance say; None: as of most methods.
    """

    when: str
    rest: str
    shares: bool = True
    alias: str | None = None
    ends: tuple[str, str] | None = None


DESCRIBED = {
    "lrp": Described(
        "what speaks for and against the score: the one to begin with",
        rest="kept by biases and stabilizers",
    ),
    "gradient_x_input": Described(
        "the first-order effect of each input: as fast as lrp, noisier where gates saturate",
        rest="beyond first order",
        alias="gi",
    ),
    "integrated_gradients": Described(
        "adds up to the difference from a baseline that you choose; as slow as it has steps",
        rest="missed between the steps of the path",
        alias="ig",
    ),
    "occlusion": Described(
        "what the score really loses without a step: no model of the model; slow when long",
        rest="interactions of words",
    ),
    "contextual_decomposition": Described(
        "what comes from a step alone, among all the others; slow when long",
        rest="interactions of words, and biases",
        alias="cd",
    ),
    "sensitivity": Described(
        "where a small change matters most; says nothing about for or against",
        rest="squared gradients share out no score, so there is no rest",
        shares=False,
        alias="sa",
        ends=("", "sensitive"),
    ),
    "random": Described(
        "noise: what the others must be better than",
        rest="noise shares out no score, so there is no rest",
        shares=False,
    ),
}
"""The methods by name, in the order in which they are listed."""


class Option(NamedTuple):
    """An argument that some methods have, as the command line offers it.

    Attributes
    ----------
    kind : type, or sequence of str
        float, int or str; or the values that it may have.
    help : str
    metavar : str, or None
        What a value is called in the help.
    """

    kind: type | tuple[str, ...]
    help: str
    metavar: str | None = None


OPTIONS = {
    "epsilon": Option(float, "stabilizer of lrp (default: 0.001)"),
    "bias_factor": Option(float, "part of biases that lrp hands on (default: 0)"),
    "epsilon_factor": Option(float, "the same for the stabilizer (default: as --bias-factor)"),
    "product_rule": Option(
        tuple(PRODUCT_RULES),
        "how lrp shares relevance of a product of gate and signal: all to the signal, which "
        "explains best (default); prop or abs, in proportion to their values or absolute values; "
        "or half to each, to compare with",
    ),
    "steps": Option(
        int, "points on the path of integrated gradients (default: 50, or 24 with gauss)"
    ),
    "quadrature": Option(
        tuple(QUADRATURES),
        "where they are: in the middle of equal parts (midpoint, the default), or gauss, "
        "which is more precise unless a gate opens suddenly",
    ),
    "baseline": Option(
        str,
        "word or id from which integrated gradients begin, and by which occlusion replaces "
        "words (default: zeros)",
        metavar="WORD",
    ),
    "measure": Option(MEASURES, "what occlusion compares (default: score)"),
    "seed": Option(int, "of --method random (default: 0)"),
}
"""Arguments by name; which methods have them, their signatures say."""
