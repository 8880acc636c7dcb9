"""Damaged files for the loaders: what a broken download or a hostile sender makes of a good one."""

from __future__ import annotations

import tracemalloc

import hypothesis.strategies as st


@st.composite
def damaged(draw, content):
    """Return the bytes of a good file cut short, with bits flipped, or with a piece replaced."""
    kind = draw(st.sampled_from(["truncated", "flipped", "replaced", "repeated"]))
    size = len(content)
    if kind == "truncated":
        return content[: draw(st.integers(0, size - 1))]
    changed = bytearray(content)
    if kind == "flipped":
        for _ in range(draw(st.integers(1, 8))):
            changed[draw(st.integers(0, size - 1))] ^= 1 << draw(st.integers(0, 7))
        return bytes(changed)
    start = draw(st.integers(0, size - 1))
    length = draw(st.integers(1, 16))
    if kind == "replaced":
        changed[start : start + length] = draw(st.binary(min_size=length, max_size=length))
        return bytes(changed)
    return content[:start] + content[start : start + length] * 2 + content[start + length :]


def refused_or_read(load, path, *, times=64, slack=2**22):
    """Load a file that may be damaged: a model, or one ValueError that names the file.

    Either way memory stays below the file's size times `times`, plus what an import may take.
    """
    tracemalloc.start()
    try:
        load(path)
    except ValueError as error:
        text = str(error)
    else:
        text = str(path)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert str(path) in text
    assert "\n" not in text
    assert peak < path.stat().st_size * times + slack
