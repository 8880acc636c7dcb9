"""What the command writes: formats by their suffixes, never over what is read, all or nothing."""

from __future__ import annotations

import csv
import io
import json
import os
import shlex
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pypdf
import pytest
import torch
from doc_pages import Page
from pyarrow import parquet
from random_models import random_model
from report_pages import data_of, unpacked
from test_cli import fails, run
from test_several_inputs import two_branches

import lrplstm
from lrplstm.cli.commands import PREDICTION_FORMATS
from lrplstm.cli.evaluating import EVALUATION_FORMATS
from lrplstm.cli.formats import FORMATS
from lrplstm.cli.parser import make_parser
from lrplstm.exports.json_lines import JsonLines, encode_records

TEXT = 'a fine , dull "film" .'


def rows(path):
    content = path.read_bytes()
    assert content.count(b"\r\n") == content.count(b"\n")  # RFC 4180
    return list(csv.reader(io.StringIO(content.decode(), newline=""), strict=True))


@pytest.fixture
def series(tmp_path):
    """The options that name a model of two outputs and a series with dates, and what they are."""
    rng = np.random.default_rng(0)
    model = random_model(D=2, C=2, class_names=["low", "high"])
    model.save(tmp_path / "forecast")
    x = rng.normal(size=(3, 2))
    lines = [f"2024-01-0{t + 1},{row[0]!r},{row[1]!r}\n" for t, row in enumerate(x.tolist())]
    (tmp_path / "x.csv").write_text("date,rain,temp\n" + "".join(lines))
    options = ["--model", tmp_path / "forecast", "--series", tmp_path / "x.csv"]
    return options, model, x


# Formats ----------------------------------------------------------------------------------------


def test_suffixes_decide(tmp_path):
    names = ["x.png", "x.pdf", "x.SVG", "x.html", "x.json", "x.csv"]
    outs = [argument for name in names for argument in ("--out", tmp_path / name)]
    assert run("explain", "--tokenized", *outs, TEXT).stdout == ""
    beginnings = [
        b"\x89PNG\r\n\x1a\n",
        b"%PDF-",
        b"<?xml",
        b"<!DOCTYPE html>",
        b'{"tokens"',
        b"seq",
    ]
    for name, beginning in zip(names, beginnings, strict=True):
        assert (tmp_path / name).read_bytes().startswith(beginning)
    (page,) = pypdf.PdfReader(tmp_path / "x.pdf").pages
    text = page.extract_text()
    for word in (*TEXT.split(), "score", "kept"):  # the sum below it
        assert word in text
    assert b"/FontFile2" in (tmp_path / "x.pdf").read_bytes()
    svg = ElementTree.fromstring((tmp_path / "x.SVG").read_bytes())
    assert {*TEXT.split()} <= {node.text for node in svg.iter()}
    assert (tmp_path / "x.json").read_text() == run(
        "explain", "--tokenized", TEXT, "--json", "-"
    ).stdout


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["--png", "x.pdf"], "--png: expected a file that ends in .png, got 'x.pdf'; use --out x"),
        (["--png", "x.jpg"], "--png: expected a file that ends in .png, got 'x.jpg'\n"),
        (["--html", "x.json"], "--html: expected a file that ends in .html or .htm, got 'x.json'"),
        (["--json", "x.csv"], "--json: expected a file that ends in .json or .jsonl"),
        (
            ["--out", "x.docx"],
            ".png, .pdf, .svg, .html, .htm, .json, .jsonl, .csv or .parquet, got 'x.docx'",
        ),
        (["--out", "-"], "--out: expected a file that ends in"),
        (["--out", "x.png", "--png", "./x.png"], "of its own for each of --png and --out"),
        (["--out", "x.csv", "--out", "x.csv"], "of its own for each of --out and --out"),
        (["--out", "../" * 2000 + "x.csv"], "--out: expected the path of a file, got '../"),
        (["--out=--"], "--out: expected a "),
    ],
)
def test_what_contradicts_its_suffix_is_refused(arguments, match, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert match in fails("explain", "a", *arguments)
    assert os.listdir() == []


def test_other_commands_have_formats_of_their_own(tmp_path):
    (tmp_path / "x.txt").write_text("5\ta | fine | film\n1\tdull\n3\tdull | film | .\n" * 2)
    table, objects, curves = (tmp_path / name for name in ("x.csv", "x.json", "x.pdf"))
    run("predict", "--file", tmp_path / "x.txt", "--out", table, "--out", objects)
    model = lrplstm.load_default()
    scores = model.predict([["a", "fine", "film"], ["dull"]])
    names = [model.class_names[c] for c in scores.argmax(axis=1)]
    head, first, second, *others = rows(table)
    assert head == ["sequence", "predicted", *model.class_names]
    assert [float(cell) for cell in first[2:]] == scores[0].tolist()
    assert [first[:2], second[:2]] == [["0", names[0]], ["1", names[1]]]
    assert len(others) == 4
    found = [json.loads(line) for line in objects.read_text().splitlines()]
    assert [o["class_name"] for o in found[:2]] == names
    run(
        "evaluate", tmp_path / "x.txt", "--min-length", "3", "--deletions", "1",
        "--method", "lrp", "--out", curves,
    )  # fmt: skip
    assert "words deleted" in pypdf.PdfReader(curves).pages[0].extract_text()
    assert "ends in .json, .jsonl or .csv, got 'x.pdf'" in fails("predict", "a", "--out", "x.pdf")
    assert ".png, .pdf, .svg, .json or .jsonl" in fails("evaluate", "x.txt", "--out", "x.csv")


def test_the_page_names_all_formats():
    page = Page("docs/command_line.md")
    for suffix in {*FORMATS, *PREDICTION_FORMATS, *EVALUATION_FORMATS}:
        assert f"`{suffix}`" in page.text
    page.check_references()


# Tables -----------------------------------------------------------------------------------------


def test_table_of_words(tmp_path):
    model = lrplstm.load_default()
    tokens = ["=1+1", "fine", '"x,y"', "-", "a\u2028b"]
    (tmp_path / "x.txt").write_text(f"{' '.join(tokens)}\nfilm\n", encoding="utf-8")
    options = ["--tokenized", "--file", tmp_path / "x.txt", "--out", tmp_path / "x.csv"]
    run("explain", *options)
    head, *body = rows(tmp_path / "x.csv")
    a = lrplstm.lrp(model, [tokens, ["film"]])
    assert head == ["sequence", "step", "token", "relevance"]
    assert [row[:3] for row in body] == [
        *(["0", str(t), token] for t, token in enumerate(tokens)),
        ["1", "0", "film"],
    ]
    assert [float(row[3]) for row in body] == a.token_relevance.tolist()
    run("explain", *options, "--target", "all")
    head, *body = rows(tmp_path / "x.csv")
    every = lrplstm.lrp(model, [tokens, ["film"]], "all")
    assert head == ["sequence", "step", "token", "relevance", "class"]
    assert len(body) == 5 * 6
    assert body[5 + 1][1:3] + body[5 + 1][4:] == ["1", "fine", "negative"]
    assert float(body[5 + 1][3]) == every.token_relevance[1, 1]


def test_table_of_a_series(series, tmp_path):
    options, model, x = series
    run("explain", *options, "--out", tmp_path / "y.csv")
    head, *body = rows(tmp_path / "y.csv")
    relevance = lrplstm.lrp(model, [x])[0].input_relevance
    assert head == ["sequence", "step", "label", "variable", "relevance"]
    assert body[3] == ["0", "1", "2024-01-02", "temp", repr(float(relevance[1, 1]))]
    assert [float(row[4]) for row in body] == relevance.ravel().tolist()
    run("explain", *options, "--target", "all", "--out", tmp_path / "y.csv")
    head, *body = rows(tmp_path / "y.csv")
    assert [len(body), body[-1][3], body[-1][5]] == [12, "temp", "high"]


# JSON -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "method", "target"),
    [
        ({"class_names": ["a%d", 'b"', "c"]}, "lrp", None),
        ({}, "sensitivity", "all"),
        ({"class_names": ["no", "yes"], "C": 1}, "integrated_gradients", "all"),
        ({"C": 1}, "lrp", None),
        ({"C": 2, "task": "regression"}, "lrp", None),
        ({}, "gradient_x_input", [1.0, 0.5, -2.0]),
        ({"pooling": "none"}, "lrp", None),
    ],
)
def test_records_of_a_batch_are_those_of_its_sequences(settings, method, target):
    model = random_model(vocabulary=["<unk>", "], [", '"', "é%s\n"], **settings)
    batch = [["], [", '"'], ["é%s\n"], ["x", "], [", "], ["]]
    for level in ("token", "input"):
        a = lrplstm.explain(model, batch, method, target, level=level)
        expected = [one.to_dict() for one in a]
        assert a.to_dicts() == expected
        assert [list(record) for record in a.to_dicts()] == [list(record) for record in expected]
        lines = encode_records(a, {"label": [1, 2, 3], "steps": [None] * 3})
        file = io.BytesIO()
        JsonLines(file).write(
            record | {"label": n, "steps": None} for n, record in enumerate(expected, start=1)
        )
        assert "".join(f"{line}\n" for line in lines).encode() == file.getvalue()


def test_what_is_not_finite_is_null_in_a_batch_too():
    model = random_model()
    a = lrplstm.lrp(model, [np.ones((2, 5)), np.ones((1, 5))])
    a.delta[1] = np.inf
    assert [record["delta"] is None for record in a.to_dicts()] == [False, True]


def test_json_names_the_classes():
    found = json.loads(run("explain", "--json", "--target", "positive", "A fine film.").stdout)
    assert (found["target_class"], found["predicted_class"]) == ("positive", "very positive")


# Pages ------------------------------------------------------------------------------------------


def test_a_page_says_how_many_were_left_out(tmp_path):
    texts, page = tmp_path / "x.txt", tmp_path / "x.html"
    texts.write_text("a fine film\n" * 1100)
    for arguments, shown in (["--limit", "3"], 3), ([], 1100):
        run("explain", "--tokenized", "--file", texts, "--html", page, *arguments)
        html = page.read_text(encoding="utf-8")
        assert len(data_of(html)["texts"]) == shown
        assert ("1,097 were left out (--limit)" in html) == (shown == 3)
    run("explain", "--tokenized", "a fine film", "--html", page)
    assert "left out" not in page.read_text(encoding="utf-8")
    assert "--limit: expected a number from 1" in fails("explain", "a", "--limit", "0")


def test_a_page_lets_people_choose_class_and_method(tmp_path):
    texts, page = tmp_path / "x.txt", tmp_path / "x.html"
    texts.write_text("2\tnot | a | fine | film\n5\twonderful | !\n")
    options = ["--file", texts, "--html", page]
    run("explain", *options, "--method", "lrp", "--method", "gi", "--bias-factor", "1")
    data = data_of(page.read_text(encoding="utf-8"))
    assert data["labels"] == [1, 4]
    model = lrplstm.load_default()
    words = ["not", "a", "fine", "film"]
    by_lrp = lrplstm.lrp(model, words, "all", bias_factor=1.0)
    by_gi = lrplstm.gradient_x_input(model, words, "all")
    for method, a in zip(data["methods"], (by_lrp, by_gi), strict=True):
        assert method["name"] == a.method
        found = unpacked(method["relevance"])[:20]
        np.testing.assert_allclose(found, a.token_relevance.ravel(), rtol=1e-4)
    run("explain", *options, "--target", "neutral")
    assert data_of(page.read_text(encoding="utf-8"))["explained"] == ["neutral", "neutral"]
    texts.write_bytes("It ISN'T  bad…\r\n“Fine!”\r\n".encode())
    run("explain", *options)
    shown = data_of(page.read_text(encoding="utf-8"))["texts"]
    assert ["".join(pieces) for pieces in shown] == ["It ISN'T  bad…", "“Fine!”"]
    error = fails("explain", "a", "--method", "lrp", "--method", "sa", "--json")
    assert "--method: expected one, but for the terminal or a page alone" in error


# What is read -----------------------------------------------------------------------------------


@pytest.fixture
def model_folder(tmp_path):
    lrplstm.load_default().save(tmp_path / "model")
    return tmp_path / "model"


def test_no_part_of_a_model_is_written_over(model_folder, tmp_path, monkeypatch):
    before = {path: path.read_bytes() for path in model_folder.iterdir()}
    os.link(model_folder / "vocab.txt", tmp_path / "hard")
    (tmp_path / "soft").symlink_to(model_folder / "weights.safetensors")
    (tmp_path / "folder").symlink_to(model_folder)
    monkeypatch.chdir(model_folder)
    for path, match in [
        ("config.json", "another file than"),
        (model_folder / "config.json", "another file than"),
        (tmp_path / "model" / ".." / "model" / "config.json", "another file than"),
        (tmp_path / "folder" / "config.json", "another file than"),
        (tmp_path / "hard", "another file than"),
        (tmp_path / "soft", "another file than"),
        ("new.json", "outside the model's folder"),
        (tmp_path / "folder" / "new.json", "outside the model's folder"),
    ]:
        for command in ("explain", "predict"):
            line = fails(command, "a", "--model", tmp_path / "folder", "--json", path)
            assert match in line
    (tmp_path / "x.txt").write_text("1\ta\n")
    assert "another file than" in fails(
        "evaluate", tmp_path / "x.txt", "--model", ".", "--json", "config.json"
    )
    shipped = os.path.join(os.path.dirname(lrplstm.__file__), "default_model", "config.json")
    assert "another file than" in fails("explain", "a", "--json", shipped)
    assert {path: path.read_bytes() for path in model_folder.iterdir()} == before


def test_convert_writes_over_nothing_that_it_reads(model_folder, tmp_path):
    before = {path: path.read_bytes() for path in model_folder.iterdir()}
    weights = model_folder / "weights.safetensors"
    (model_folder / "copy").mkdir()
    for source, target, *options in [
        (model_folder, model_folder),
        (model_folder, model_folder / "copy"),
        (weights, model_folder),
        (tmp_path / "x.pt", model_folder, "--vocabulary", model_folder / "vocab.txt"),
    ]:
        line = fails("convert", source, target, *options)
        assert "OUT: expected" in line
    (model_folder / "copy").rmdir()
    assert {path: path.read_bytes() for path in model_folder.iterdir()} == before


def test_weights_beside_an_onnx_file_are_read_too(tmp_path):
    # Its name stands in the file; that the rest is no graph shows only when it is read.
    (tmp_path / "x.onnx").write_bytes(b"...location weights.json")
    (tmp_path / "weights.json").write_bytes(b"weights")
    line = fails(
        "explain", "a", "--model", tmp_path / "x.onnx", "--json", tmp_path / "weights.json"
    )
    assert "another file than" in line


# Examples ---------------------------------------------------------------------------------------


def test_examples_in_help_run(series, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.rename("x.csv", "sensors.csv")
    with open("texts.txt", "w") as file:
        file.write("A fine film.\nA dull film.\n")
    with open("labelled.txt", "w") as file:
        file.writelines(
            f"{s.label}\t{' | '.join(s.tokens)}\n" for s in lrplstm.sample_sentences()[::4]
        )
    with open("words.txt", "w") as file:
        file.write("a\nfine\nfilm\n")
    reviews = pa.table({"id": [7, 8], "words": [["fine"], ["dull", "."]]})
    parquet.write_table(reviews, "reviews.parquet")
    with open("machines.csv", "w") as file:
        file.write("machine,temp,rain\na,1,2\na,3,4\nb,5,6\n")
    torch.manual_seed(0)
    parts = {"embedding": torch.nn.Embedding(3, 4), "rnn": torch.nn.LSTM(4, 3)}
    network = torch.nn.ModuleDict(parts | {"out": torch.nn.Linear(3, 2)})
    torch.save(network.state_dict(), "sentiment.pt")
    model, batch = two_branches()
    model.save("river")
    np.savez("basins.npz", **{name: [rows[0]] for name, rows in batch.items()})
    (commands,) = (action for action in make_parser()._actions if action.dest == "command")
    for name, parser in commands.choices.items():
        examples = parser.epilog.partition("examples:\n")[2].splitlines()
        assert len(examples) >= 2, name
        for line in examples:
            before, bar, command = line.strip().rpartition(" | ")
            program, *arguments = shlex.split(command)
            assert program == "lrplstm"
            given = shlex.split(before)[1] if bar else ""
            process = run(*arguments, stdin=given, check=False)  # what is assumed is said
            assert process.returncode == 0, process.stderr
            written = [path for flag, path in pairwise(arguments) if flag == "--out"]
            assert all(os.path.getsize(path) for path in written)
            assert process.stdout or written
        assert parser.format_help().endswith(f"examples:\n{chr(10).join(examples)}\n")
