"""The wheel: what is in it, and that it works alone in an empty environment."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

import lrplstm
from lrplstm._backend import INSTRUCTION_SETS

ROOT = Path(__file__).parents[1]

QUICK = os.environ | {"LRPLSTM_UNOPTIMIZED": "1"}
"""How fast the kernels are is nothing that is seen here."""

pytestmark = [pytest.mark.packaging, pytest.mark.xdist_group("packaging")]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of what is tracked or would be, so that builds leave nothing in the tree."""
    source = tmp_path_factory.mktemp("source")
    ignore = re.compile(r"(^|/)(\.git|\.venv[^/]*|build|dist|demo|__pycache__|[^/]*\.so)(/|$)")
    for path in ROOT.rglob("*"):
        name = path.relative_to(ROOT).as_posix()
        if path.is_file() and not ignore.search(name):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes(path.read_bytes())
    return source


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, source]
    subprocess.run(command, check=True, capture_output=True, env=QUICK)
    (path,) = folder.glob("*.whl")
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
    }
    builds = INSTRUCTION_SETS.values() if platform.machine() == "x86_64" else ["_kernels"]
    assert inside >= {f"{name}.abi3.so" for name in builds}
    assert not [name for name in names if re.search(r"test|train|\.p[yx][xd]$|\.c$|golden", name)]
    assert "License-Expression: BSD-3-Clause" in metadata
    assert 'Requires-Dist: torch==2.13.0; extra == "train"' in metadata
    assert wheel.stat().st_size < 4e6


def make_environment(folder, *requirement):
    """Install into a new, empty environment; return a function that runs its commands there."""
    venv.create(folder / "env", with_pip=True)

    def run(command, *arguments):
        return subprocess.run(
            [folder / "env" / "bin" / command, *arguments],
            cwd=folder,
            check=True,
            capture_output=True,
            text=True,
            env=QUICK,
        ).stdout

    run("python", "-m", "pip", "install", "--quiet", *requirement)
    return run


def test_it_works_in_an_empty_environment(wheel, tmp_path):
    run = make_environment(tmp_path, wheel)
    assert "very negative" in run("lrplstm", "info")
    output = run("lrplstm", "explain", "--html", "a.html", "--png", "a.png", "It isn't funny!")
    assert "n't" in output
    assert (tmp_path / "a.html").stat().st_size > 1000
    assert (tmp_path / "a.png").stat().st_size > 1000
    code = (
        "import lrplstm; m = lrplstm.load_default();"
        "a = lrplstm.lrp(m, 'a fine film .'.split()); print(a.tokens, lrplstm.__file__)"
    )
    assert "['a', 'fine', 'film', '.']" in run("python", "-c", code)
    assert run("python", "-m", "pip", "check").strip() == "No broken requirements found."


def test_an_editable_install_has_model_and_sentences(source, tmp_path):
    run = make_environment(tmp_path, "--editable", source)
    assert "5: very negative" in run("lrplstm", "info")
    code = "import lrplstm; print(lrplstm.__file__, len(lrplstm.sample_sentences()))"
    output = run("python", "-c", code)
    assert output.startswith(str(source))
    assert output.split()[1] == "264"
