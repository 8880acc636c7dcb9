"""Cases that are chosen rather than multiplied: every pair of values of two parameters occurs."""

from __future__ import annotations

from itertools import combinations

import pytest


def pairwise(**choices):
    """Parametrize a test by rows in which any two values of two parameters meet at least once.

    It is greedy: each row begins with a pair that has not met, and takes of every other parameter
    the value that meets most for the first time.
    """
    sizes = [len(values) for values in choices.values()]
    apart = [
        ((a, i), (b, j))
        for a, b in combinations(range(len(sizes)), 2)
        for i in range(sizes[a])
        for j in range(sizes[b])
    ]
    left, rows = dict.fromkeys(apart), []
    while left:
        chosen = dict(next(iter(left)))
        for name in sorted(set(range(len(sizes))) - set(chosen), key=lambda n: -sizes[n]):

            def gain(value, name=name, chosen=chosen):
                pairs = (tuple(sorted([(name, value), other])) for other in chosen.items())
                # Of equals one that had fewer turns.
                return sum(pair in left for pair in pairs), -sum(r[name] == value for r in rows)

            chosen[name] = max(range(sizes[name]), key=gain)
        rows.append(chosen)
        for pair in combinations(sorted(chosen.items()), 2):
            left.pop(pair, None)
    lists = [list(values) for values in choices.values()]
    cases = [[lists[n][row[n]] for n in range(len(lists))] for row in rows]
    return pytest.mark.parametrize(
        list(choices), cases, ids=["-".join(map(_name, c)) for c in cases]
    )


def _name(value):
    return getattr(value, "__name__", str(value))  # of functions and classes
