"""The command `summary`: what it reads back, shows and writes, and one line for what is wrong."""

from __future__ import annotations

import csv
import json
import re

import numpy as np
import pandas as pd
import pytest
from random_models import random_model
from test_cli import fails, run

import lrplstm
from lrplstm import summary
from lrplstm.attributions import Attributions
from lrplstm.exports.json_lines import JsonLines
from lrplstm.exports.reading import read_csv, read_json_lines

TEXTS = ["A fine film .", "not a fine film", "dull , dull , dull", "a film"]


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """A folder with explanations of labelled texts for the class predicted, and for all."""
    folder = tmp_path_factory.mktemp("texts")
    lines = [f"{n % 5 + 1}\t{' | '.join(text.lower().split())}\n" for n, text in enumerate(TEXTS)]
    (folder / "texts.txt").write_text("".join(lines))
    for name, target in (("all", ["--target", "all"]), ("own", [])):
        outs = [f"--out={folder / name}.{suffix}" for suffix in ("parquet", "jsonl", "csv")]
        run("explain", "--file", folder / "texts.txt", *target, *outs)
    return folder


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    """A folder with the explanations of three series of a model with class names, and these."""
    folder = tmp_path_factory.mktemp("series")
    model = random_model(D=2, C=2, class_names=["low", "high"])
    model.save(folder / "model")
    rng = np.random.default_rng(0)
    np.save(folder / "x.npy", rng.normal(size=(3, 4, 2)))
    outs = [f"--out={folder / 'x'}.{suffix}" for suffix in ("parquet", "jsonl", "csv")]
    run("explain", "--model", folder / "model", "--series", folder / "x.npy", *outs)
    days = [f"2026-0{t + 1}-01" for t in range(4)]
    frame = pd.DataFrame(rng.normal(size=(4, 2)), pd.Index(days, name="date"), ["rain", "temp"])
    frame.to_csv(folder / "dated.csv")
    outs = [f"--out={folder / 'dated_out'}.{suffix}" for suffix in ("parquet", "jsonl", "csv")]
    run("explain", "--model", folder / "model", "--series", folder / "dated.csv", *outs)
    return folder


def read(path):
    if path.suffix == ".parquet":
        return lrplstm.read_parquet(path)
    return Attributions(**(read_csv if path.suffix == ".csv" else read_json_lines)(path))


def test_files_are_read_back(texts, series):
    for stem in (texts / "all", texts / "own", series / "x", series / "dated_out"):
        expected = lrplstm.read_parquet(f"{stem}.parquet")
        for suffix in (".jsonl", ".csv"):
            found = read(stem.with_name(stem.name + suffix))
            assert np.array_equal(found.offsets, expected.offsets)
            np.testing.assert_allclose(found.token_relevance, expected.token_relevance, rtol=1e-6)
            if expected.tokens is not None:
                assert list(found.tokens) == list(expected.tokens)
            else:
                assert np.allclose(found.input_relevance, expected.input_relevance)
            assert found.feature_names == expected.feature_names
            if expected.step_labels is not None:
                assert np.array_equal(found.step_labels, expected.step_labels)
            assert found[0].row_labels == expected[0].row_labels
            if suffix == ".jsonl":
                assert np.array_equal(found.predicted, expected.predicted)
                np.testing.assert_allclose(found.scores, expected.scores)
                np.testing.assert_allclose(found.delta, expected.delta)
                assert np.array_equal(found.target, expected.target)
                for name, values in expected.sequence_labels.items():
                    assert found.sequence_labels[name].tolist() == values.tolist()


@pytest.mark.parametrize(
    ("pooling", "target"), [("none", (-1, 0)), ("last", np.array([0.5, -1])), ("last", None)]
)
def test_json_of_any_target_is_read_back(tmp_path, pooling, target):
    rng = np.random.default_rng(0)
    model = random_model(D=3, C=2, pooling=pooling)
    a = lrplstm.lrp(model, [rng.normal(size=(n, 3)) for n in (3, 1, 4)], target)
    with open(tmp_path / "a.jsonl", "wb") as file:
        JsonLines(file).write(a.to_dicts())
    found = read(tmp_path / "a.jsonl")
    for name in ("scores", "predicted", "input_relevance", "initial_relevance", "delta"):
        np.testing.assert_allclose(getattr(found, name), getattr(a, name), rtol=1e-6)
    if pooling == "last":
        assert np.array_equal(found.target, a.target)
    assert np.array_equal(found[1].predicted, a[1].predicted)


def test_words_are_listed_and_written(texts, tmp_path):
    out = tmp_path / "words"
    written = []
    for suffix in ("parquet", "jsonl"):
        outs = [f"--out={out}.{kind}" for kind in ("csv", "json")]
        shown = run("summary", texts / f"all.{suffix}", "--top", "2", *outs, f"--plot={out}.png")
        written.append([(out.with_suffix(f".{kind}")).read_text() for kind in ("csv", "json")])
        assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert written[0] == written[1]
    expected = summary.words(lrplstm.read_parquet(texts / "all.parquet")).to_columns()
    rows = list(csv.DictReader(written[0][0].splitlines()))
    objects = [json.loads(line) for line in written[0][1].splitlines()]
    assert list(rows[0]) == list(objects[0]) == list(expected)
    assert [row["word"] for row in rows] == expected["word"].tolist()
    assert [one["mean"] for one in objects] == expected["mean"].tolist()
    lines = shown.stdout.splitlines()
    assert lines[0].split() == list(expected)
    assert sum(line.startswith("very positive") for line in lines) <= 4


def test_several_files_are_summed_up_together(texts, tmp_path):
    whole = lrplstm.read_parquet(texts / "own.parquet")
    for n, part in enumerate([whole[:1], whole[1:]]):
        lrplstm.attributions.joined(part).to_parquet(tmp_path / f"{n}.parquet")
    parts = [tmp_path / "0.parquet", tmp_path / "1.parquet"]
    for options in ([], ["--of", "lags"], ["--words", "l=dull"]):
        expected = run("summary", texts / "own.parquet", *options).stdout
        assert run("summary", *parts, *options).stdout == expected
        assert run("summary", tmp_path, *options).stdout == expected
    assert "--out: expected another file" in fails("summary", *parts, "--out", parts[0])
    assert re.search(
        "all.parquet: other: expected a summary of the same classes",
        fails("summary", parts[0], texts / "all.parquet", "--of", "lags"),
    )


def test_lags_and_steps_are_shown(texts, series, tmp_path):
    shown = run("summary", series / "x.parquet", "--of", "lags", "--out", tmp_path / "l.pdf").stdout
    assert shown.startswith("the lag up to which there is 90% of the absolute relevance\nvariable")
    assert (tmp_path / "l.pdf").read_bytes().startswith(b"%PDF")
    shown = run("summary", series / "x.jsonl", "--by", "target", "--top", "1").stdout.splitlines()
    assert shown[0].split()[:3] == ["target", "variable", "mean_abs"]
    targets = [line.split()[0] for line in shown[1:]]
    assert targets == sorted(set(targets), key=["low", "high"].index)
    shown = run("summary", series / "dated_out.csv", "--period", "month").stdout.splitlines()
    assert [line.split()[:2] for line in shown[1:3]] == [["1", "rain"], ["1", "temp"]]
    shown = run(
        "summary", texts / "own.jsonl", "--words", "dull=dull", "--words", "n=not,no",
        "--labels", "label", f"--out={tmp_path / 's.svg'}",
    ).stdout.splitlines()  # fmt: skip
    assert {line.split()[1] for line in shown[1:]} == {"dull", "n", "other"}
    assert {line.split()[0] for line in shown[1:]} <= {"right", "wrong"}


@pytest.mark.parametrize(
    ("name", "options", "match"),
    [
        ("own.csv", ["--by", "target"], "--by: expected one target class for each sequence"),
        ("all.csv", ["--labels", "label"], "--labels: .*says what was predicted"),
        ("own.jsonl", ["--labels", "lable"], "--labels: .*did you mean 'label'"),
        ("own.jsonl", ["--by", "basin"], "--by: expected a column, or one of 'label'"),
        ("own.jsonl", ["--of", "steps"], "--of steps: expected either --period or --words"),
        ("own.jsonl", ["--words", "x"], "--words: expected NAME=WORD"),
        ("own.jsonl", ["--words", "x="], r"steps\['x'\]: expected at least one word"),
        ("own.jsonl", ["--period", "month"], "steps: expected steps that have labels"),
        (
            "own.jsonl",
            ["--min-count", "99", "--plot", "x.png"],
            "--min-count: expected words that occur 99 times",
        ),
        ("own.jsonl", ["--out", "x.txt"], "--out: expected a file that ends in .png"),
        ("texts.txt", [], "FILE: expected one that ends in .parquet"),
        ("none.csv", [], "none.csv: No such file"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(texts, name, options, match):
    assert re.search(match, fails("summary", texts / name, *options))


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("x.csv", "a,b\n1,2\n", "no column 'sequence'"),
        ("x.csv", "sequence,step,relevance\n", "no row"),
        ("x.csv", "sequence,step,relevance\n0,0\n", "expected 3 columns in each row"),
        ("x.csv", "sequence,step,relevance\n0,-1,1\n", "numbers of sequences and steps, got '-1'"),
        ("x.csv", "sequence,step,relevance\n0,1,1\n", "2 steps, .* got 1; write all of them"),
        ("x.csv", "sequence,step,relevance\n0,0,much\n", "could not convert"),
        ("x.csv", "", "expected a table"),
        ("x.jsonl", "", "expected at least one explanation, got none"),
        ("x.jsonl", "{}\n", r"line 1: .*\(no 'method'\)"),
        ("x.jsonl", "[" * 10**5, "line 1: expected an explanation"),
        ("x.jsonl", '{"scores": [], "token_relevance": "x", "method": 1, "task": 2}', "by one"),
        (
            "x.jsonl",
            '{"scores": [1], "token_relevance": [1, 2], "tokens": ["a", 3], '
            '"unknown": [false, false], "method": "lrp", "task": "regression"}',
            "by one method, of one model .no str for each step",
        ),
        ("x.csv", f"sequence,step,relevance\n0,{10**20},1\n", "got '10000"),
        ("x.parquet", "PAR1", "expected a Parquet file"),
    ],
)
def test_files_of_something_else_are_refused(tmp_path, name, content, match):
    (tmp_path / name).write_text(content)
    assert re.search(match, fails("summary", tmp_path / name))
