"""The wheel that make built: what is in it. That it works alone is seen by tools/smoke_test.sh."""

from __future__ import annotations

import os
import platform
import re
import zipfile
from pathlib import Path

import pytest

import lrplstm
from lrplstm.backends.choose import INSTRUCTION_SETS

FOLDER = os.environ.get("LRPLSTM_WHEEL")

pytestmark = pytest.mark.skipif(FOLDER is None, reason="LRPLSTM_WHEEL names no folder with a wheel")


@pytest.fixture
def wheel():
    (path,) = (Path(__file__).parents[1] / FOLDER).glob("*.whl")
    return path


def test_name_says_one_wheel_for_every_python(wheel):
    assert re.fullmatch(rf"lrplstm-{lrplstm.__version__}-cp311-abi3-.*\.whl", wheel.name)


def test_what_is_in_it(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = archive.read(f"lrplstm-{lrplstm.__version__}.dist-info/METADATA").decode()
    inside = {name.removeprefix("lrplstm/") for name in names if name.startswith("lrplstm/")}
    model = {f"default_model/{n}" for n in ("config.json", "weights.safetensors", "vocab.txt")}
    assert inside >= model | {
        "sample_data/sentences.txt",
        "py.typed",
        "_kernels.pyi",
        "cli/__init__.py",
        *(f"report/report.{suffix}" for suffix in ("html", "css", "js")),
        "report/explanations.js",
        "report/series.js",
    }
    builds = INSTRUCTION_SETS.values() if platform.machine() == "x86_64" else ["_kernels"]
    assert inside >= {f"{name}.abi3.so" for name in builds}
    assert not [name for name in names if re.search(r"test|train|\.p[yx][xd]$|\.c$|golden", name)]
    assert "License-Expression: BSD-3-Clause" in metadata
    assert 'Requires-Dist: torch==2.13.0; extra == "train"' in metadata
    assert wheel.stat().st_size < 4e6
