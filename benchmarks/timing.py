"""Seconds of two or more things that take turns."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

LEAST_SECONDS = 0.01
"""Shorter calls are repeated until they take so long."""


def best_of(
    sides: dict[str, Callable[[], object]],
    rounds: int = 5,
    seconds: float = 3.0,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, float]:
    """Return the fewest seconds that a call of each side took.

    The sides take turns, A B A B ..., so that a slow spell of the machine meets all of them. There
    are at least `rounds` rounds, and more until `seconds` are over. A call that is slower than the
    best was disturbed: hence the minimum. What runs on one thread is measured in processor time,
    which does not run while other processes have the processor; on an idle machine it is the
    time that passes.
    """
    calls = {name: _calls(side, clock) for name, side in sides.items()}
    best = dict.fromkeys(sides, math.inf)
    start, done = time.perf_counter(), 0
    while done < rounds or time.perf_counter() - start < seconds:
        for name, side in sides.items():
            best[name] = min(best[name], _time(side, calls[name], clock))
        done += 1
    return best


def _calls(side: Callable[[], object], clock: Callable[[], float]) -> int:
    """Warm up, and return how many calls take long enough to be timed."""
    if _time(side, 1, clock) > 10 * LEAST_SECONDS:
        return 1
    return max(1, math.ceil(LEAST_SECONDS / _time(side, 1, clock)))


def _time(side: Callable[[], object], calls: int, clock: Callable[[], float]) -> float:
    start = clock()
    for _ in range(calls):
        side()
    return (clock() - start) / calls


def agree(found, expected, tolerance: float, what: str) -> None:
    """Raise a RuntimeError unless two arrays are equal within `tolerance` of the largest number."""
    if found.shape != expected.shape:
        raise RuntimeError(f"{what}: shapes {found.shape} and {expected.shape}")
    error = abs(found - expected).max() / abs(expected).max()
    if not error <= tolerance:
        raise RuntimeError(f"{what}: they differ by {error:.1e}, more than {tolerance:.0e}")
