"""What the tests of files share: the treebank's folder, the 2017 arrays, damage and refusals."""

from __future__ import annotations

import os
import tracemalloc
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st

needs_treebank = pytest.mark.skipif(
    not os.environ.get("LRPLSTM_SST"), reason="LRPLSTM_SST names no folder with the treebank"
)

bounded = settings(max_examples=200, derandomize=True, deadline=None)


def treebank_file(name):
    return Path(os.environ["LRPLSTM_SST"], name)


def treebank_sentences(part):
    """Pairs of a label from 0 and tokens; a token may contain any space but the plain one."""
    text = treebank_file(f"{part}.tsv").read_bytes().decode()
    lines = [line.split("\t") for line in text.removesuffix("\n").split("\n")]
    return [(int(label), tuple(words.split(" "))) for label, words in lines]


def golden_arrays(name="tiny"):
    """Weights of the 2017 format, by their names there."""
    with np.load(Path(__file__).parent / "golden" / f"{name}.npz") as file:
        return {key: file[key] for key in file.files if key[0] in "Wb"}


# Damage -----------------------------------------------------------------------------------------


@st.composite
def damage(draw, contents):
    """One of `contents` with a few bytes flipped, put in, taken out or repeated, or cut short."""
    content = bytearray(draw(st.sampled_from(contents)))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(content)))
        match draw(st.sampled_from(["flip", "insert", "delete", "repeat", "cut"])):
            case "flip" if at < len(content):
                content[at] ^= 1 << draw(st.integers(0, 7))
            case "insert":
                content[at:at] = draw(st.binary(min_size=1, max_size=8))
            case "delete":
                del content[at : at + draw(st.integers(1, 8))]
            case "repeat":
                content[at:at] = content[at : at + draw(st.integers(1, 40))]
            case "cut":
                del content[at:]
    return bytes(content)


@contextmanager
def refused(match, kind=ValueError):
    """The one right way to refuse a file: this error, in one line."""
    with pytest.raises(kind, match=match) as caught:
        yield
    assert len(str(caught.value).splitlines()) == 1


def loaded_or_refused(load, *arguments):
    """Return what `load` returns, or None where it refuses."""
    try:
        return load(*arguments)
    except ValueError as error:
        message = str(error)
    assert len(message.splitlines()) == 1
    return None


def refused_or_read(load, path, *, times=64, slack=2**22):
    """Load a file that may be damaged: a model, or one ValueError of one line that names the file.

    Either way memory stays below the file's size times `times`, plus what an import may take.
    """
    try:
        with little_memory(path.stat().st_size * times + slack):
            load(path)
    except ValueError as error:
        message = str(error)
        assert str(path) in message
        assert len(message.splitlines()) == 1


@contextmanager
def little_memory(limit):
    """At most `limit` bytes are in use at once."""
    tracemalloc.start()
    try:
        yield
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < limit
