"""The Python of docs/loaders/onnx.md runs, and does what the page says."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np

import lrplstm

PAGE = (Path(__file__).parents[1] / "docs" / "loaders" / "onnx.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_example(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of the exporter
        for code in BLOCKS:
            exec(compile(code, "onnx.md", "exec"), names)
    assert len(BLOCKS) == 2
    printed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert printed[-5:] == ["mean", *names["a"].tokens]
    same = lrplstm.load("classifier")
    assert np.array_equal(same.predict(["a", "film"]), names["model"].predict(["a", "film"]))
