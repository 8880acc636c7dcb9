"""Models of several inputs on the command line: JSON lines, and arrays by name."""

from __future__ import annotations

import csv
import io
import json
import re

import numpy as np
import pytest
from test_several_inputs import LENGTHS, beside_a_series, draw, one_of, two_branches

import lrplstm
from lrplstm.cli import main


@pytest.fixture
def folder(tmp_path):
    """A model of five inputs, and its batch with labels as an object a line."""
    model, batch = beside_a_series()
    model = model.replaced(class_names=["low", "middle", "high"])
    model.save(tmp_path / "model")
    lines = []
    for b in range(len(LENGTHS)):
        one = {name: np.asarray(value).tolist() for name, value in one_of(batch, b).items()}
        lines.append(json.dumps(one | {"label": (2, "low", "middle", 1)[b]}))
    (tmp_path / "all.jsonl").write_text("\n".join(lines) + "\n")
    return tmp_path


def run(capsys, *arguments):
    code = main(list(map(str, arguments)))
    return code, *capsys.readouterr()


def test_predictions_and_explanations(folder, capsys):
    model, batch = lrplstm.load(folder / "model"), beside_a_series()[1]
    given = ["--model", folder / "model", "--inputs", folder / "all.jsonl"]
    code, out, _ = run(capsys, "predict", *given, "--json")
    assert code == 0
    rows = list(map(json.loads, out.splitlines()))
    np.testing.assert_allclose([row["scores"] for row in rows], model.predict(batch), rtol=1e-12)
    assert [row["label"] for row in rows] == [2, 0, 1, 1]
    assert run(capsys, "explain", *given, "--target", "high", "--out", folder / "a.jsonl")[0] == 0
    records = list(map(json.loads, (folder / "a.jsonl").read_text().splitlines()))
    for b, record in enumerate(records):
        expected = json.loads(json.dumps(lrplstm.lrp(model, one_of(batch, b), "high").to_dict()))
        assert record.pop("label") == (2, 0, 1, 1)[b]
        assert record.keys() == expected.keys()
        np.testing.assert_allclose(record["token_relevance"], expected["token_relevance"])
        assert record["relevance_of"].keys() == batch.keys()


def test_the_terminal_and_other_files(folder, capsys):
    given = ["--model", folder / "model", "--inputs", folder / "all.jsonl"]
    code, out, _ = run(capsys, "explain", *given)
    assert code == 0
    assert out.count("predicted: ") == 4
    static = lrplstm.lrp(
        lrplstm.load(folder / "model"), one_of(beside_a_series()[1], 0)
    ).relevance_of["static"]
    assert f"static: {static[0]:+.3g} {static[1]:+.3g}\n" in out
    for name in ("a.csv", "a.html", "a.png"):
        assert run(capsys, "explain", *given, "--out", folder / name)[0] == 0
    table = list(csv.DictReader(io.StringIO((folder / "a.csv").read_text())))
    assert {row["sequence"] for row in table} == set("0123")
    assert run(capsys, "explain", *given, "--top", 2)[0] == 0


def test_measures(folder, capsys):
    arguments = ["evaluate", folder / "all.jsonl", "--model", folder / "model", "--min-length", 3]
    code, out, _ = run(capsys, *arguments, "--deletions", 2, "--method", "lrp", "--json")
    assert code == 0
    found = json.loads(out)
    model, batch = beside_a_series()
    expected = lrplstm.evaluation.deletion_curve(
        model, batch, [2, 0, 1, 1], methods="lrp", deletions=2, min_length=3
    )
    assert found["deletion"]["num_correct"] == expected.num_correct
    predicted = model.predict(batch).argmax(axis=1)
    assert found["accuracy"] == np.mean(predicted == [2, 0, 1, 1])


def test_arrays(tmp_path, capsys):
    model, _ = two_branches()
    model.save(tmp_path / "model")
    a, b = draw(70, 3, 4, 3), draw(71, 3, 6, 3)
    np.savez_compressed(tmp_path / "both.npz", a=a, b=b, label=[0, 1, 2])
    given = ["--model", tmp_path / "model", "--inputs", tmp_path / "both.npz"]
    code, out, _ = run(capsys, "predict", *given, "--json")
    assert code == 0
    rows = list(map(json.loads, out.splitlines()))
    expected = model.predict({"a": a, "b": b})
    np.testing.assert_allclose([row["scores"] for row in rows], expected, rtol=1e-12)
    arguments = ["--min-length", 3, "--deletions", 2, "--method", "lrp"]
    code, out, _ = run(
        capsys, "evaluate", tmp_path / "both.npz", "--model", tmp_path / "model", *arguments
    )
    assert code == 0
    assert "relevance that lrp kept" in out


def test_standard_input(folder, capsys, monkeypatch):
    content = (folder / "all.jsonl").read_bytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    code, out, _ = run(capsys, "predict", "--model", folder / "model", "--inputs", "-", "--json")
    assert code == 0
    assert len(out.splitlines()) == 4


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ('{"a": [[1, 2, 3]]}', "line 1: expected 'a', 'b', got no 'b'"),
        ('{"a": [[1, 2, 3]], "b": [[1, 2, 3]], "c": 1}', "line 1: expected 'a', 'b', got 'c'"),
        ("[1, 2]", "line 1: expected an object, got "),
        ("{", "line 1: expected JSON, got something else"),
        ('{"a": [[1, 2, 3], [1]], "b": [[1, 2, 3]]}', "line 1: 'a': expected numbers, or rows of"),
        ('{"a": [[1, 2]], "b": [[1, 2, 3]]}', "line 1: 'a': expected .*3"),
        ('{"a": "text", "b": [[1, 2, 3]]}', "line 1: 'a': expected numbers, or rows of one"),
        ('{"a": [[1, 2, 3]], "b": [[1, 2, 3]], "label": 3}', "expected a label from 0 to 2 or"),
    ],
)
def test_refused_lines(line, match, tmp_path, capsys):
    two_branches()[0].save(tmp_path / "model")
    (tmp_path / "a.jsonl").write_text(line)
    given = ["--model", tmp_path / "model", "--inputs", tmp_path / "a.jsonl"]
    code, _, error = run(capsys, "predict", *given)
    assert code != 0
    assert error.count("\n") == 1
    assert re.search(match, error), error


def test_refused(folder, capsys):
    model = folder / "model"
    for arguments, text in (
        (["predict", "a text", "--model", model], "by name: pass --inputs, a .jsonl or .npz file"),
        (["predict", "--inputs", folder / "all.jsonl"], "--inputs: expected a model of several in"),
        (["predict", "a", "--inputs", "b"], "either a text, --file, --series or --inputs"),
        (["predict", "--ids", "--inputs", "b", "--model", model], "--inputs: expected neither --t"),
    ):
        code, _, error = run(capsys, *arguments)
        assert code != 0
        assert text in error
    given = ["--model", model, "--inputs", folder / "all.jsonl"]
    code, _, error = run(capsys, "predict", *given, "--out", folder / "all.jsonl")
    assert code != 0
    assert "which is read" in error
    np.savez(folder / "a.npz", series=np.ones((2, 3, 3)), static=np.ones((3, 2)))
    code, _, error = run(capsys, "predict", "--model", model, "--inputs", folder / "a.npz")
    assert code != 0
    assert "expected as many sequences of each input, got 2 of 'series', 3 of 'static'" in error
    np.savez(folder / "b.npz", series=np.array([{}], object))
    code, _, error = run(capsys, "predict", "--model", model, "--inputs", folder / "b.npz")
    assert code != 0
    assert "expected numbers in 1 or 2 or 3 dimensions" in error
