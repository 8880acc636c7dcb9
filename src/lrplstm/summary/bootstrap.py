"""Bootstrap over sequences, whose weights depend on nothing but a seed and a running number."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real

import numpy as np

from lrplstm.checks import to_int
from lrplstm.errors import ArgumentError, ArgumentTypeError
from lrplstm.texts import shown
from lrplstm.weights import Array

__all__ = ["DEFAULT", "Bootstrap", "check_confidence", "interval", "priorities", "sequence_weights"]

# Poisson(1) in 256ths: so many bytes mean 0, 1, 2, ... times. None is farther than 1.2 from the
# exact number (94.2, 94.2, 47.1, 15.7, 3.9, 0.8), and mean and variance are exactly 1.
_BYTES_OF_WEIGHT = (94, 95, 46, 16, 4, 1)
_FIRST_BYTE_OF_WEIGHT = np.cumsum(_BYTES_OF_WEIGHT)[:-1]  # of weight 1, 2, ...

_BYTES_OF_COUNT, _WORDS_OF_COUNT = 32, 4  # of what a counter-based generator makes of one number

_WEIGHTS, _PRIORITIES = 0, 1  # two streams of random numbers of one seed


def check_confidence(confidence: float) -> None:
    """Raise an error if it is no number between 0 and 1."""
    if isinstance(confidence, bool) or not isinstance(confidence, Real):
        raise ArgumentTypeError("confidence", f"expected a number, got {shown(confidence)}")
    if not 0 < confidence < 1:
        raise ArgumentError(
            "confidence", f"expected a number between 0 and 1, got {shown(confidence)}"
        )


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are made: sequences are drawn again, with replacement, many times.

    In each replicate a sequence counts w times, w drawn from the Poisson distribution of mean 1;
    every sum is then one over w times what sequences have, and an interval reaches between
    percentiles of the replicates. Sequences are independent draws, and the steps of one stay
    together. What w is depends on the seed and the sequence's running number alone, so replicates
    of parts of a corpus add up to those of the whole.

    Parameters
    ----------
    replicates : int
        How often sequences are drawn. 0: no intervals.
    confidence : float
        Probability with which an interval should hold the mean of all sequences there could be.
    seed : int
        Another one gives other draws.
    start : int
        Running number of the first sequence. Summaries of parts that are to be merged need numbers
        of their own: of a second part, how many the first had.
    block : int
        So many sequences that follow each other are drawn together. Windows that overlap say the
        same more than once, and intervals are too narrow unless windows of a stretch of time much
        longer than one are a block.

    Notes
    -----
    Percentile intervals: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13.
    Poisson weights: Hanley and MacGibbon 2006 (doi 10.1016/j.cmpb.2006.04.006); Chamandy et al.
    2012, Estimating Uncertainty for Massive Data Streams. Blocks: Carlstein 1986 (doi
    10.1214/aos/1176350057). With fewer than some 20 sequences such intervals are too narrow.

    Examples
    --------
    >>> Bootstrap(replicates=200, start=1000)
    Bootstrap(replicates=200, confidence=0.95, seed=0, start=1000, block=1)
    """

    replicates: int = 1000
    confidence: float = 0.95
    seed: int = 0
    start: int = 0
    block: int = 1

    def __post_init__(self) -> None:
        to_int("replicates", self.replicates, 0)
        check_confidence(self.confidence)
        to_int("seed", self.seed, 0, 2**64 - 1)
        to_int("start", self.start, 0)
        to_int("block", self.block, 1)


DEFAULT = Bootstrap()


def sequence_weights(bootstrap: Bootstrap, first: int, last: int) -> Array:
    """Return how often each replicate draws some sequences: (last - first, R).

    They are the sequences of these running numbers behind `start`.
    """
    R = bootstrap.replicates
    block = (bootstrap.start + np.arange(first, last)) // bootstrap.block
    numbers = int(block[0]), int(block[-1]) + 1
    words = _random_words(bootstrap.seed, _WEIGHTS, numbers, -(-R // _BYTES_OF_COUNT))
    drawn = words.astype("<u8", copy=False).view(np.uint8)[:, :R]
    weights = np.zeros(drawn.shape, np.uint8)
    for least in _FIRST_BYTE_OF_WEIGHT:
        weights += drawn >= least
    return weights[block - block[0]].astype(np.float64)


def priorities(bootstrap: Bootstrap, sequences: int) -> Array:
    """Return a random number of each sequence, (sequences,): the smallest are a sample."""
    numbers = bootstrap.start, bootstrap.start + sequences
    return _random_words(bootstrap.seed, _PRIORITIES, numbers, 1)[:, 0]


def _random_words(seed: int, stream: int, numbers: tuple[int, int], counts: int) -> Array:
    """Return random 64-bit words of running numbers from one to another: (numbers, counts * 4).

    Each number has so many counts of a counter-based generator to itself.
    """
    first, last = numbers
    generator = np.random.Philox(key=np.array([seed, stream], np.uint64), counter=first * counts)
    words = generator.random_raw((last - first) * counts * _WORDS_OF_COUNT)
    return words.reshape(last - first, -1)


def interval(
    replicates: Array, confidence: float, *, interpolated: bool = True
) -> tuple[Array, Array]:
    """Return the percentiles of replicates, (R, ...), between which the confidence lies: (...).

    Replicates that are NaN, of which no sequence was drawn, are left out. NaN where none is left.
    Without interpolation both ends are replicates themselves, the next ones outward.
    """
    if not len(replicates):
        empty = np.full(replicates.shape[1:], np.nan)
        return empty, empty.copy()
    ordered = np.sort(replicates, axis=0)  # NaN comes last
    last = np.maximum(np.count_nonzero(~np.isnan(ordered), axis=0)[np.newaxis] - 1, 0)

    def at(place: Array) -> Array:
        found: Array = np.take_along_axis(ordered, place.astype(np.intp), axis=0)[0]
        return found

    def percentile(part: float) -> Array:
        place = part * last
        below, above = at(np.floor(place)), at(np.ceil(place))
        if interpolated:
            return below + (place % 1)[0] * (above - below)
        return below if part < 0.5 else above

    tail = (1 - confidence) / 2
    return percentile(tail), percentile(1 - tail)
