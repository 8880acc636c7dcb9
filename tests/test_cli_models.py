"""The command with series, ids, scores at every step, and models of other formats."""

from __future__ import annotations

import json
import re

import h5py
import numpy as np
import pytest
import torch
from random_models import random_batch, random_model, relative_error
from report_pages import data_of
from test_cli import fails, run

import lrplstm
from lrplstm.layers import LSTM, Concatenate, Pool

VOCABULARY = ["<pad>", "a", "fine", "film", "dull"]


@pytest.fixture
def series_model(tmp_path):
    """A regression: floats in, one score out."""
    path = tmp_path / "series"
    random_model(C=1, pooling="mean").save(path)
    return path


@pytest.fixture
def id_model(tmp_path):
    path = tmp_path / "ids"
    model = random_model(vocabulary=VOCABULARY)
    lrplstm.LSTMModel(model.layers, head=model.head, embedding=model.embedding, mask_id=0).save(
        path
    )
    return path


@pytest.fixture
def step_model(tmp_path):
    path = tmp_path / "steps"
    random_model(vocabulary=VOCABULARY, pooling="none", class_names=["x", "y", "z"]).save(path)
    return path


def explained(*arguments):
    return [json.loads(line) for line in run("explain", "--json", *arguments).stdout.splitlines()]


# Series -----------------------------------------------------------------------------------------


def test_a_series_of_numbers(series_model, tmp_path):
    model = lrplstm.load(series_model)
    (x,) = random_batch(lengths=(6,))
    np.save(tmp_path / "x.npy", x)
    header = "a,b,c,d,e\n"
    (tmp_path / "x.csv").write_text(
        header + "\n".join(",".join(map(repr, map(float, r))) for r in x)
    )
    expected = lrplstm.lrp(model, x)
    for name in ("x.npy", "x.csv"):
        (found,) = explained("--model", series_model, "--series", tmp_path / name)
        assert found["tokens"] is None
        assert np.array_equal(found["input_relevance"], expected.input_relevance)
        assert found.get("feature_names") == (list("abcde") if name == "x.csv" else None)
    predicted = run(
        "predict", "--json", "--model", series_model, "--series", tmp_path / "x.csv"
    ).stdout
    assert json.loads(predicted)["feature_names"] == list("abcde")
    output = run("predict", "--model", series_model, "--series", tmp_path / "x.npy").stdout
    assert f"{expected.scores[0]:.3f}" in output
    output = run("explain", "--model", series_model, "--series", tmp_path / "x.npy").stdout
    assert f"score: {expected.scores[0]:.3f}" in output
    assert "t=5" in output
    page, picture = tmp_path / "x.html", tmp_path / "x.png"
    run(
        "explain", "--model", series_model, "--series", tmp_path / "x.csv",
        "--html", page, "--png", picture,
    )  # fmt: skip
    assert data_of(page.read_text(encoding="utf-8"))["variables"] == list("abcde")
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_many_series(series_model, tmp_path):
    x = np.random.default_rng(0).normal(size=(3, 4, 5)).astype("f4")
    np.save(tmp_path / "x.npy", x)
    model = lrplstm.load(series_model)
    found = explained("--model", series_model, "--series", tmp_path / "x.npy")
    expected = lrplstm.lrp(model, x)
    assert len(found) == 3
    for one, attribution in zip(found, expected, strict=True):
        assert np.array_equal(one["token_relevance"], attribution.token_relevance)


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("x.csv", b"", "expected rows of numbers, found none"),
        ("x.csv", b"1,2\n1,2,3\n", "line 2: expected 2 numbers, got 3"),
        ("x.csv", b"a,b\n1,c\n", "line 2, cell 2: expected a finite number, got 'c'"),
        ("x.csv", b"a,b,c\n1,2\n", "expected 2 names in its header, got 3"),
        # A first row with a number is no header, whatever else is in it.
        ("x.csv", b"1,2,3O\n1,2,3\n", "line 1, cell 3: expected a finite number, got '3O'"),
        ("x.csv", b"1,,3\n1,2,3\n", "line 1, cell 2: expected a finite number, got ''"),
        ("x.csv", b"n/a,2,3\n1,2,3\n", "line 1, cell 1: expected a finite number, got 'n/a'"),
        ("x.csv", b"1_0,2_0\n1,2\n", "line 1, cell 1: expected a finite number, got '1_0'"),
        ("x.csv", b"nan,nan\n1,2\n", "line 1, cell 1: expected a finite number, got 'nan'"),
        ("x.csv", b",N/A\n1,2\n", "line 1, cell 1: expected a finite number, got ''"),
        ("x.csv", b"a,b\nc,d\n1,2\n", "line 2, cell 1: expected a finite number, got 'c'"),
        ("x.csv", b"1,2\n1_000,2\n", "line 2, cell 1: expected a finite number, got '1_000'"),
        ("x.csv", b"\xff\xfe", "expected UTF-8"),
        ("x.csv", b"1,2,3\n", r"expected shape \(T, 5\), got \(1, 3\)"),
        ("x.csv", b"1,2,3,4,nan\n", "line 1, cell 5: expected a finite number, got 'nan'"),
        ("x.csv", b"1,2,3,4,1e999\n", "line 1, cell 5: expected a finite number, got '1e999'"),
        ("x.npy", b"\x93NUMPY", "not a readable .npy file"),
        ("x.npy", b"", "not a readable .npy file"),
    ],
)
def test_bad_series(name, content, match, series_model, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    text = fails("explain", "--model", series_model, "--series", path)
    assert re.search(match, text)
    assert name in text


def test_a_header_may_have_an_empty_name_and_stand_below_empty_lines(series_model, tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("\n,b,c,d,e\n1,2,3,4,5\n")
    (found,) = explained("--model", series_model, "--series", path)
    assert found["feature_names"] == ["", "b", "c", "d", "e"]
    assert len(found["token_relevance"]) == 1


ROWS = ["1,2,3,4,5", "0.5,1,-1,2,0", "3,1,2,1,1"]
DATES = ["2024-01-01", "2024-01-02", "2024-01-02"]


def labelled_rows(labels):
    return "".join(f"{label},{row}\n" for label, row in zip(labels, ROWS, strict=True))


@pytest.mark.parametrize(
    ("content", "steps", "variables"),
    [
        ("date,a,b,c,d,e\n" + labelled_rows(DATES), DATES, list("abcde")),
        (labelled_rows(["x", "", "x"]), ["x", "", "x"], None),
        (",a,b,c,d,e\n" + labelled_rows("010"), list("010"), list("abcde")),  # two tables in one
        ("Unnamed: 0,a,b,c,d,e\n" + labelled_rows("012"), list("012"), list("abcde")),
        (",0,1,2,3,4\n" + labelled_rows("012"), list("012"), list("01234")),  # nothing is named
        ("day,0,1,2,3,4\n" + labelled_rows(DATES), DATES, list("01234")),
        ("a,b,c,d,e\n" + labelled_rows(DATES), DATES, list("abcde")),  # as R writes it
        (labelled_rows(["1990", "1991", "1995.5"]), ["1990", "1991", "1995.5"], None),
        (
            'when,"a, b","b ""x""",c,d,e\r\n' + labelled_rows(f'"{d}"' for d in DATES),
            DATES,
            ["a, b", 'b "x"', "c", "d", "e"],
        ),
        (labelled_rows(DATES).replace("\n", "\r"), DATES, None),
    ],
)
def test_a_column_before_the_variables_names_the_steps(
    content, steps, variables, series_model, tmp_path
):
    path = tmp_path / "x.csv"
    path.write_text(content, newline="")
    x = np.array([[float(cell) for cell in row.split(",")] for row in ROWS])
    expected = lrplstm.lrp(lrplstm.load(series_model), x)
    options = ["--model", series_model, "--series", path]
    (found,) = explained(*options)
    assert np.array_equal(found["input_relevance"], expected.input_relevance)
    assert (found.get("step_labels"), found.get("feature_names")) == (steps, variables)
    assert json.loads(run("predict", *options, "--json").stdout)["step_labels"] == steps
    piped = ["--model", series_model, "--series", "-"]
    (again,) = run("explain", *piped, "--json", stdin=content).stdout.splitlines()
    assert json.loads(again) == found


def test_names_of_steps_are_shown(series_model, tmp_path):
    (tmp_path / "x.csv").write_text("date,a,b,c,d,e\n" + labelled_rows(DATES))
    options = ["--model", series_model, "--series", tmp_path / "x.csv"]
    output = run("explain", *options).stdout
    assert re.search(r"2024-01-01 +2024-01-02 +2024-01-02", output)
    run("explain", *options, "--out", tmp_path / "x.html", "--out", tmp_path / "x.svg")
    for name in ("x.html", "x.svg"):
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert DATES[0] in text
        assert DATES[1] in text


@pytest.mark.parametrize(
    ("content", "match"),
    [
        # As many columns as variables, of which the first has dates: one variable is missing.
        (
            "date,a,b,c,d\n2024-01-01,1,2,3,4\n",
            "line 2, cell 1: .*'2024-01-01'; names of the steps may stand before the 5 variables",
        ),
        # What does not rise may be a variable too many.
        (labelled_rows(["0.5", "0.1", "0.7"]), "expected 5 numbers in a row, got 6; .*rise"),
        ("y,a,b,c,d,e\n" + labelled_rows(["1", "1", "0"]), "expected 5 numbers in a row, got 6"),
        ("date,a,b,c,d,e,f\n" + labelled_rows(DATES), "expected 6 names in its header, got 7"),
        ('"x,a\n', "line 1: not readable as CSV"),
        (labelled_rows(DATES) + "2024-01-03,1,2\n", "line 4: expected 6 numbers, got 3"),
    ],
)
def test_columns_that_name_no_steps(content, match, series_model, tmp_path):
    (tmp_path / "x.csv").write_text(content)
    assert re.search(
        match, fails("explain", "--model", series_model, "--series", tmp_path / "x.csv")
    )


def test_a_series_without_end(series_model, monkeypatch):
    monkeypatch.setattr("lrplstm.sentences._MOST_STREAMED", 10**6)
    line = fails("explain", "--model", series_model, "--series", "/dev/zero")
    assert "/dev/zero: expected at most 1,000,000 bytes, and" in line


def test_text_for_a_model_of_numbers(series_model):
    assert "--series" in fails("explain", "--model", series_model, "a film")
    assert "--tokenized" in fails("explain", "--series", "x.npy", "--tokenized")
    assert "no-such.npy" in fails("explain", "--model", series_model, "--series", "no-such.npy")


# Ids --------------------------------------------------------------------------------------------


def test_ids(id_model):
    model = lrplstm.load(id_model)
    (found,) = explained("--model", id_model, "--ids", "3 2 0 1 0")
    expected = lrplstm.lrp(model, np.array([3, 2, 0, 1, 0]))
    assert np.array_equal(found["token_relevance"], expected.token_relevance)
    assert found["token_relevance"][2] == found["token_relevance"][4] == 0
    assert "--ids" in fails("explain", "--model", id_model, "a film")
    assert "expected ids" in fails("explain", "--model", id_model, "--ids", "3 -2")
    assert "expected ids" in fails("explain", "--model", id_model, "--ids", " ")
    assert "out of range" in fails("explain", "--model", id_model, "--ids", "9" * 50)
    assert "--ids" in fails("explain", "--model", id_model, "--ids", "--tokenized", "3")


def test_ids_in_a_labelled_file(id_model, tmp_path):
    path = tmp_path / "ids.txt"
    path.write_text("1\t3 | 2 | 4\n3\t1\n")
    found = explained("--model", id_model, "--ids", "--file", path)
    expected = lrplstm.lrp(lrplstm.load(id_model), [np.array([3, 2, 4]), np.array([1])])
    for one, attribution, label in zip(found, expected, (0, 2), strict=True):
        assert np.array_equal(one["token_relevance"], attribution.token_relevance)
        assert one["label"] == label
    path.write_text("1\t3 | film\n")
    line = fails("explain", "--model", id_model, "--ids", "--file", path)
    assert "sentence 1: expected ids" in line
    assert "'film'" in line


def test_ids_stand_where_there_are_no_words(id_model, tmp_path):
    page, picture = tmp_path / "x.html", tmp_path / "x.png"
    arguments = ["--model", id_model, "--ids", "3 2 4"]
    run("explain", *arguments, "--html", page, "--png", picture)
    output = run("explain", *arguments).stdout
    assert re.search(r"\b3\b.* 2\b.* 4\b", output)
    assert "t=0" not in output
    (pieces,) = data_of(page.read_text(encoding="utf-8"))["texts"]
    assert pieces[1::2] == ["3", "2", "4"]
    assert picture.read_bytes().startswith(b"\x89PNG")
    (found,) = explained("--model", id_model, "--ids", "3 2 4")
    assert found["tokens"] is None


# Scores at every step ---------------------------------------------------------------------------


def test_scores_at_every_step(step_model):
    model = lrplstm.load(step_model)
    words = ["a", "fine", "film"]
    for given, target in (("1:z", (1, 2)), ("0:1", (0, 1)), ("y", 1), ("all", "all")):
        (found,) = explained(
            "--model", step_model, "--tokenized", "--target", given, " ".join(words)
        )
        expected = lrplstm.lrp(model, words, target)
        assert np.array_equal(found["token_relevance"], expected.token_relevance)
    output = run("explain", "--model", step_model, "--tokenized", " ".join(words)).stdout
    names = [model.class_names[c] for c in model.predict(words).argmax(axis=1)]
    assert f"predicted at each step: {' '.join(names)}" in output
    lines = run(
        "predict", "--model", step_model, "--tokenized", " ".join(words)
    ).stdout.splitlines()
    assert [line.split("\t")[:2] for line in lines[:3]] == [
        [name, word] for name, word in zip(names, words, strict=True)
    ]
    found = json.loads(
        run("predict", "--json", "--model", step_model, "--tokenized", " ".join(words)).stdout
    )
    assert found["class_name"] == names
    for bad in ("9:z", "1:q", ":", "1:", "1:2:3"):
        assert "expected" in fails(
            "explain", "--model", step_model, "--tokenized", "--target", bad, "a"
        )


# convert and info -------------------------------------------------------------------------------


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.words = torch.nn.Embedding(len(VOCABULARY), 4)
        self.rnn = torch.nn.LSTM(4, 3, bidirectional=True)
        self.out = torch.nn.Linear(6, 2)

    def forward(self, ids):
        hidden, _ = self.rnn(self.words(ids))
        return self.out(hidden.mean(axis=0))


def test_convert_and_info(tmp_path):
    torch.manual_seed(0)
    network = Network()
    torch.save(network.state_dict(), tmp_path / "net.pt")
    (tmp_path / "words.txt").write_text("\n".join(VOCABULARY) + "\n")
    output = run(
        "convert", tmp_path / "net.pt", tmp_path / "out", "--pooling", "mean",
        "--vocabulary", tmp_path / "words.txt", "--class-names", "bad,good", "--tokenizer",
        "whitespace", "--activations", "linear",
    ).stdout  # fmt: skip
    for text in (output, run("info", tmp_path / "out").stdout):
        assert "rnn" in text
        assert "weight_ih (12, 4), weight_hh (12, 3)" in text
        assert "pooling" in text
        assert "mean" in text
        assert "linear, 6 to 2, bias" in text
        assert "2: bad, good" in text
        assert "5 ids" in text
    model = lrplstm.load(tmp_path / "out")
    expected = network(torch.tensor([1, 2, 3])).detach().numpy()
    assert relative_error(model.predict(["a", "fine", "film"]), expected) < 1e-5
    run("predict", "--model", tmp_path / "out", "a fine film")
    # A model that is there is replaced, and nothing else.
    said = run("convert", tmp_path / "net.pt", tmp_path / "out", check=False).stderr
    assert re.fullmatch(
        r"lrplstm: warning: \S+net.pt: weights alone .*; if it is so, pass --pooling last, "
        r"--activations linear; .*\n",
        said,
    )
    assert lrplstm.load(tmp_path / "out").vocabulary is None
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    assert "new or empty" in fails("convert", tmp_path / "net.pt", tmp_path / "full")
    assert "new or empty" in fails("convert", tmp_path / "net.pt", tmp_path / "words.txt")
    for other in ('{"model_type": "bert"}', "[]", "model: bert"):
        (tmp_path / "full" / "config.json").write_text(other)
        assert "new or empty" in fails("convert", tmp_path / "net.pt", tmp_path / "full")
        assert (tmp_path / "full" / "config.json").read_text() == other


def test_convert_weights_of_keras(tmp_path):
    """A file with weights only, and what it cannot say."""
    rng = np.random.default_rng(0)
    arrays = {
        "embedding/vars/0": rng.normal(size=(5, 3)),
        "lstm/cell/vars/0": rng.normal(size=(3, 8)),
        "lstm/cell/vars/1": rng.normal(size=(2, 8)),
        "lstm/cell/vars/2": rng.normal(size=8),
        "dense/vars/0": rng.normal(size=(2, 3)),
        "dense/vars/1": rng.normal(size=3),
    }
    path = tmp_path / "model.weights.h5"
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[f"layers/{name}"] = array.astype("f4")
    run(
        "convert", path, tmp_path / "out", "--pooling", "last", "--mask-zero",
        "--recurrent-activation", "sigmoid", "--dense-activations", "softmax",
    )  # fmt: skip
    assert "id 0" in run("info", tmp_path / "out").stdout
    assert lrplstm.load(tmp_path / "out").num_classes == 3
    options = ("--pooling", "last", "--no-mask-zero", "--task", "regression")
    said = run("convert", path, tmp_path / "out", *options, check=False).stderr
    assert re.fullmatch(
        r"lrplstm: warning: \S+weights.h5: weights alone .* pass --dense-activations linear; .*\n",
        said,
    )
    model = lrplstm.load(tmp_path / "out")
    assert (model.mask_id, model.task) == (None, "regression")
    for command in ("info", "predict", "explain"):
        words = [] if command == "info" else ["--ids", "1"]
        line = fails(command, "--model", path, *words)
        assert "pooling=" in line
        assert line.endswith("(`lrplstm convert` has options for that)\n")
    assert "has options" not in fails("convert", path, tmp_path / "out")


def test_convert_says_what_scores_are_for(series_model, tmp_path):
    output = run("convert", series_model, tmp_path / "out", "--task", "regression").stdout
    assert re.search(r"outputs +1\n", output)
    model = lrplstm.load(tmp_path / "out")
    assert model.task == "regression"
    (tmp_path / "x.csv").write_text("1,2,3,4,5\n")
    (found,) = explained("--model", tmp_path / "out", "--series", tmp_path / "x.csv")
    assert found["predicted"] is None
    for command in ("explain", "predict"):
        output = run(command, "--model", tmp_path / "out", "--series", tmp_path / "x.csv").stdout
        assert f"score: {model.predict([[1.0, 2, 3, 4, 5]])[0]:.3f}" in output
        assert "predicted" not in output


def test_convert_names_of_several_parts(tmp_path):
    torch.manual_seed(0)
    network = torch.nn.ModuleDict(
        {
            "table": torch.nn.Embedding(5, 4),
            "a": torch.nn.LSTM(4, 3),
            "b": torch.nn.LSTM(3, 4),
            "fc1": torch.nn.Linear(4, 6),
            "fc2": torch.nn.Linear(6, 2),
        }
    )
    path = tmp_path / "net.ckpt"
    torch.save({"epoch": 1, "state_dict": network.state_dict()}, path)
    output = run(
        "convert", path, tmp_path / "out", "--lstm", "a,b", "--head", "fc1,fc2", "--activations",
        "relu", "--pooling", "last",
    ).stdout  # fmt: skip
    assert "relu, 4 to 6, bias - linear, 6 to 2, bias" in output
    assert re.search(r"layer 2 .* weight_ih \(16, 3\)", output)
    model = lrplstm.load(tmp_path / "out")
    hidden = network["b"](network["a"](network["table"](torch.tensor([1, 0, 3])))[0])[0][-1]
    expected = network["fc2"](torch.relu(network["fc1"](hidden))).detach().numpy()
    assert relative_error(model.predict([1, 0, 3]), expected) < 1e-5
    last = ("--pooling", "last")
    run("convert", path, tmp_path / "out", "--lstm", "a", "--no-head", "--no-embedding", *last)
    model = lrplstm.load(tmp_path / "out")
    assert model.head == ()
    assert model.embedding is None
    line = fails("explain", "--model", path, "--ids", "1")
    assert "name one with lstm=" in line
    assert line.endswith("(`lrplstm convert` has options for that)\n")
    assert "not allowed with" in fails("convert", path, "out", "--head", "fc1", "--no-head")


def test_errors_that_no_option_of_convert_helps(tmp_path):
    path = tmp_path / "net.ckpt"
    path.write_bytes(b"text")
    assert "has options" not in fails("info", path)


def test_bad_conversions(tmp_path, step_model):
    assert "no-such" in fails("convert", "no-such", tmp_path / "out")
    assert "--lstm: expected none" in fails(
        "convert", step_model, tmp_path / "out", "--lstm", "rnn"
    )
    for flag in ("--no-head", "--no-embedding", "--no-mask-zero"):
        assert f"{flag}: expected none" in fails("convert", step_model, tmp_path / "out", flag)
    (tmp_path / "model.txt").write_text("text")
    assert "ends in .keras" in fails("convert", tmp_path / "model.txt", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert "words.txt" in fails(
        "convert", "x.pt", tmp_path / "out", "--vocabulary", tmp_path / "words.txt"
    )


def test_a_native_model_is_converted_to_the_same(step_model, tmp_path):
    run("convert", step_model, tmp_path / "copy")
    words = ["a", "dull", "film"]
    found, expected = (
        lrplstm.load(path).predict(words) for path in (tmp_path / "copy", step_model)
    )
    assert np.array_equal(found, expected)


def test_one_score_at_every_step_has_no_name_of_a_class(tmp_path):
    model = random_model(C=1, vocabulary=["a", "b"], pooling="none", class_names=["no", "yes"])
    model.save(tmp_path)
    (score,), _ = model.predict(["a", "b"])
    first = run("predict", "--tokenized", "a b", "--model", tmp_path).stdout.splitlines()[0]
    assert first == f"{'yes' if score > 0 else 'no'}\ta\tscore: {score:.3f}"
    model.replaced(class_names=None).save(tmp_path)
    options = ("--tokenized", "a b", "--model", tmp_path)
    assert run("predict", *options).stdout.splitlines()[0] == f"a\tscore: {score:.3f}"
    assert "predicted" not in run("explain", *options).stdout


def test_several_inputs_are_no_text(tmp_path):
    rng = np.random.default_rng(0)
    cell = lrplstm.LSTMWeights(*(rng.normal(size=s) for s in ((12, 4), (12, 3), 12)))
    layers = [LSTM(cell, reads=["x"]), Pool("last"), Concatenate(name="all", reads=["pool", "z"])]
    inputs = {"x": 4, "z": lrplstm.Input(2, steps=False)}
    lrplstm.Model(layers, inputs=inputs).save(tmp_path / "two")
    for command, *given in (("explain", "--ids", "1 2"), ("predict", "a")):
        line = fails(command, *given, "--model", tmp_path / "two")
        assert "the model reads 'x', 'z' by name: pass --inputs, a .jsonl or .npz file" in line
    assert re.search(r"input z +2 numbers, one row\n", run("info", tmp_path / "two").stdout)
