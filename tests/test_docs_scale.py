"""The Python of docs/scale.md runs; that for Ray and Spark where they are installed."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys

import pytest
from doc_pages import Page

PAGE = Page("docs/scale.md")
RESULT = ["1 4 None", "2 1 None", "3 None expected a sequence, got null"]


def block(library):
    return next(code for code in PAGE.blocks if f"import {library}" in code or library in code)


def test_what_was_written_is_opened(tmp_path, monkeypatch, capsys):
    for library in ("duckdb", "pandas", "polars", "pyarrow"):
        pytest.importorskip(library)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(block("duckdb"), "scale.md", "exec", dont_inherit=True), names)
    assert capsys.readouterr().out.startswith("2 1\n")
    assert len(names["table"]) == len(names["frame"]) == 2
    assert names["words"][0][0] == "fine"


@pytest.mark.parametrize("library", ["ray", "pyspark"])
def test_ray_and_spark(library, tmp_path):
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed: it is too heavy to be a requirement of tests")
    if library == "pyspark" and shutil.which("java") is None:
        pytest.skip("Spark needs a Java runtime")
    (tmp_path / "script.py").write_text(block(library))
    settings = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert [line for line in done.stdout.splitlines() if line in RESULT] == RESULT


def test_files_and_names_exist():
    PAGE.check_references()
