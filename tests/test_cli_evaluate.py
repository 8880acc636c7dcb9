"""The command evaluate: what Python computes, as a table, JSON and a picture."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from doc_pages import ROOT
from random_models import random_model
from test_cli import fails, run

import lrplstm
from lrplstm.evaluation import conservation, deletion_curve

SENTENCES = str(ROOT / "data" / "sentences.txt")


@pytest.fixture(scope="module")
def sample():
    sentences = lrplstm.read_sentences(SENTENCES)
    return [s.tokens for s in sentences], [s.target for s in sentences]


def evaluated(*arguments, **options):
    """Return the object that --json writes."""
    (line,) = run("evaluate", *arguments, **options).stdout.splitlines()
    return json.loads(line)


@pytest.mark.parametrize(
    ("arguments", "curve_options", "settings"),
    [
        ([], {}, {}),
        (["--method", "lrp", "--method", "gi"], {"methods": ["lrp", "gi"]}, {}),
        (
            ["--deletions", "3", "--min-length", "6", "--how", "remove"],
            {"deletions": 3, "min_length": 6, "how": "remove"},
            {},
        ),
        (["--unknown", "zero", "--threads", "1"], {}, {"unknown": "zero"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_json_is_what_python_computes(sample, arguments, curve_options, settings):
    inputs, labels = sample
    found = evaluated(SENTENCES, *arguments, "--json")
    model = lrplstm.load_default()
    right = int((model.predict(inputs, **settings).argmax(axis=1) == labels).sum())
    assert (found["sentences"], found["correct"]) == (len(inputs), right)
    assert found["accuracy"] == right / len(inputs)
    curves = deletion_curve(model, inputs, labels, **curve_options, **settings)
    assert found["deletion"] == curves.to_dict()
    kept = conservation(model, inputs, **settings).to_dict()
    assert found["conservation"] == json.loads(json.dumps(kept))


def test_words_may_be_ids(sample, tmp_path):
    vocabulary = lrplstm.load_default().vocabulary
    known = [
        (tokens, label)
        for tokens, label in zip(*sample, strict=True)
        if set(tokens) <= {*vocabulary}
    ]
    for name, word in (("words.txt", str), ("ids.txt", lambda token: str(vocabulary.index(token)))):
        lines = [f"{label + 1}\t{' | '.join(map(word, tokens))}\n" for tokens, label in known]
        (tmp_path / name).write_text("".join(lines), encoding="utf-8")
    options = ["--method", "lrp", "--json"]
    expected = evaluated(str(tmp_path / "words.txt"), *options)
    assert evaluated(str(tmp_path / "ids.txt"), "--ids", *options) == expected
    assert expected["sentences"] == len(known) > 100


def test_table_has_the_numbers(sample):
    output = run("evaluate", SENTENCES).stdout
    curves = deletion_curve(lrplstm.load_default(), *sample)
    assert output.startswith("accuracy: 136 of 264 (51.5%)\n")
    assert f"accuracy of {curves.num_correct} sentences" in output
    assert f"accuracy of {curves.num_wrong} sentences" in output
    for group in ("correct", "wrong"):
        rows = zip(
            curves.methods,
            getattr(curves, f"area_{group}"),
            getattr(curves, f"curve_{group}"),
            strict=True,
        )
        for method, area, curve in rows:
            cells = [method, f"{area:.3f}", *(f"{value:.1%}" for value in curve)]
            assert any(line.split() == cells for line in output.splitlines())
    assert "by stabilizers" in output


def test_picture_and_json_go_to_files(tmp_path):
    png, js = tmp_path / "all.png", tmp_path / "all.json"
    output = run("evaluate", SENTENCES, "--method", "lrp", "--png", str(png), "--json", str(js))
    assert output.stdout.startswith("accuracy")
    assert png.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert json.loads(js.read_text())["deletion"]["methods"] == ["lrp"]


def test_json_before_the_file_and_standard_input():
    text = (ROOT / "data" / "sentences.txt").read_bytes()
    expected = evaluated(SENTENCES, "--method", "lrp", "--json")
    assert evaluated("--method", "lrp", "--json", SENTENCES) == expected
    assert evaluated("-", "--method", "lrp", "--json", stdin=text) == expected


def test_errors_name_the_file_as_it_is_called(tmp_path):
    odd = tmp_path / r"a\1 steps="
    odd.write_text("5\ta | qwzx | film | .\n")
    error = fails("evaluate", str(odd), "--unknown", "error")
    assert error.startswith(rf"lrplstm: error: {odd}: sentence 1: token 'qwzx' at position 1 is")
    assert "choose with --unknown what to do" in error


def test_a_method_is_run_once_under_its_names():
    found = evaluated(SENTENCES, "--method", "gi", "--method", "gradient_x_input", "--json")
    assert found["deletion"]["methods"] == ["gradient_x_input"]


def test_a_group_may_be_empty(tmp_path):
    (tmp_path / "one.txt").write_text("5\ta | fine | film | .\n")
    path = str(tmp_path / "one.txt")
    output = run("evaluate", path, "--min-length", "4", "--deletions", "2").stdout
    assert "accuracy of 0 sentences" in output
    assert "nan" not in output
    found = evaluated(path, "--min-length", "4", "--deletions", "2", "--json")
    assert set(found["deletion"]["area_wrong"]) == {None}


def test_another_model(tmp_path):
    model = random_model(3, C=3, vocabulary=["<unk>", *"abcdef"], dtype=np.float32)
    model.save(tmp_path / "model")
    (tmp_path / "file.txt").write_text("1\ta | b | c\n3\td | e | zqxv\n2\tf | f | a | b\n")
    arguments = [str(tmp_path / "file.txt"), "--model", str(tmp_path / "model")]
    found = evaluated(*arguments, "--min-length", "2", "--deletions", "2", "--json")
    assert found["sentences"] == 3
    assert "file.txt: sentence 2: token 'zqxv'" in fails(
        "evaluate", *arguments, "--min-length", "2", "--deletions", "2", "--unknown", "error"
    )


def test_refused(tmp_path):
    plain, high = tmp_path / "plain.txt", tmp_path / "high.txt"
    plain.write_text("a fine film .\n")
    high.write_text("6\ta | fine | film\n")
    for settings in ({"C": 1}, {"pooling": "none"}):
        random_model(vocabulary=["<unk>", "a"], **settings).save(tmp_path / "model")
        error = fails("evaluate", SENTENCES, "--model", str(tmp_path / "model"))
        assert error.startswith("lrplstm: error: model: expected")
    for arguments, expected in [
        ([], "expected a FILE of labelled sentences"),
        ([str(plain)], "plain.txt: line 1: expected a label from 1"),
        ([str(high)], "high.txt: sentence 1: expected a label from 1 to 5, got 6"),
        ([str(tmp_path / "no.txt")], "no.txt: No such file"),
        ([SENTENCES, "--deletions", "11"], "--min-length: expected at least 11"),
        ([SENTENCES, "--deletions", "0"], "--deletions: expected a number from 1, got '0'"),
        (
            [SENTENCES, "--min-length", "90"],
            "--min-length: expected at most 44, the steps of the longest sequence, got 90",
        ),
        ([SENTENCES, "--method", "x"], "argument --method: invalid choice"),
        (["--json", "x.json"], "expected a FILE of labelled sentences"),
        ([str(plain), "--json", str(plain)], "--json: expected another file than"),
        ([SENTENCES, "--png", str(tmp_path)], "--png: expected a file, got the folder"),
        ([SENTENCES, "--png", "x", "--json", "x"], "of its own for each of --json and --png"),
    ]:
        assert expected in fails("evaluate", *arguments)


WORDS = ["<unk>", *"abcdefgh"]
TEXTS, LABELS = [list("abcd"), list("hgfe"), list("hgaa")], [0, 1, 1]
LABELLED = "".join(f"{b + 1}\t{' | '.join(a)}\n" for a, b in zip(TEXTS, LABELS, strict=True))


def small_model(tmp_path, **settings):
    """Return the option that names a saved model, and the file that it is evaluated on."""
    random_model(6, C=1, vocabulary=WORDS, **settings).save(tmp_path / "model")
    file = tmp_path / "labelled.txt"
    file.write_text(LABELLED, encoding="utf-8")
    return "--model", str(tmp_path / "model"), str(file), "--min-length", "4", "--deletions", "2"


def test_the_score_of_a_regression_is_followed(tmp_path):
    model, png = random_model(6, C=1, vocabulary=WORDS, task="regression"), tmp_path / "all.png"
    arguments = small_model(tmp_path, task="regression")
    curves = deletion_curve(model, TEXTS, deletions=2, min_length=4)
    assert evaluated(*arguments, "--json").keys() == {"sentences", "deletion", "conservation"}
    lines = run("evaluate", *arguments, "--png", str(png)).stdout.splitlines()
    assert lines[0].startswith("mean score of 3 sentences of 4 or more words, most relevant")
    assert lines[2].split() == ["lrp", *(f"{x:.3f}" for x in (curves.area[0], *curves.curve[0]))]
    assert png.read_bytes().startswith(b"\x89PNG")
    assert re.search(r"\noutputs +1\n", run("info", str(tmp_path / "model")).stdout)


def test_one_score_for_two_classes_is_right_or_wrong(tmp_path):
    names = {"class_names": ["no", "yes"]}
    scores = random_model(6, C=1, vocabulary=WORDS, **names).predict(TEXTS)
    right = (scores[:, 0] > 0) == LABELS
    assert {*right} == {True, False}
    found = evaluated(*small_model(tmp_path, **names), "--json")
    assert found["correct"] == right.sum()
    assert found["deletion"]["num_correct"] == right.sum()
    assert re.search(r"\nclasses +2: no, yes\n", run("info", str(tmp_path / "model")).stdout)
