"""What the command reads: standard input, pipes without end, many texts, any arguments."""

from __future__ import annotations

import io
import json
import os
import sys
import threading
import warnings

import numpy as np
import pytest
from test_cli import fails, run

import lrplstm
from lrplstm.attributions import Attributions
from lrplstm.cli.inputs import Item
from lrplstm.cli.texts import Portions

SENTENCES = [" ".join(sentence.tokens) for sentence in lrplstm.sample_sentences()]


@pytest.fixture
def texts(tmp_path):
    """More than fit into a portion."""
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(SENTENCES) + "\n", encoding="utf-8")
    return path


# Standard input ---------------------------------------------------------------------------------


def test_a_hyphen_is_standard_input():
    text = "It isn't funny!\n\na fine film .\n"
    expected = [["it", "is", "n't", "funny", "!"], ["a", "fine", "film", "."]]
    for order in ("-", "--json"), ("--json", "-"):
        lines = run("explain", *order, stdin=text).stdout.splitlines()
        assert [json.loads(line)["tokens"] for line in lines] == expected
    lines = run("predict", "-", "--json", stdin="5\ta | fine | film\n1\tdull\n").stdout.splitlines()
    assert [json.loads(line)["label"] for line in lines] == [4, 0]
    assert "standard input: expected texts, found none" in fails("explain", "-", stdin="\n \n")
    assert "either a text, --file, --series or --inputs" in fails(
        "explain", "-", "--file", "x", stdin="a"
    )


# Without end ------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [("explain", "--file"), ("predict", "--file"), ("evaluate",)])
def test_what_has_no_end_is_refused_at_a_limit(arguments, tmp_path, monkeypatch):
    monkeypatch.setattr("lrplstm.sentences._MOST_STREAMED", 10**7)
    limit = "expected at most 10,000,000 bytes, and 16,777,216 in a line, from a pipe"
    assert f"/dev/zero: {limit}" in fails(*arguments, "/dev/zero")
    endless = io.BytesIO(b"y\n" * (10**7 // 2 + 1))
    assert f"standard input: {limit}" in fails(*arguments, "-", stdin=endless.getvalue())
    with pytest.raises(ValueError, match=f"/dev/zero: {limit}"):
        lrplstm.read_sentences("/dev/zero")


def test_a_pipe_with_an_end_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("lrplstm.sentences._MOST_STREAMED", 1000)
    os.mkfifo(tmp_path / "fifo")
    writing = threading.Thread(target=(tmp_path / "fifo").write_text, args=["5\ta | fine\n"])
    writing.start()
    assert lrplstm.read_sentences(tmp_path / "fifo")[0].tokens == ("a", "fine")
    writing.join()


def test_a_line_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("lrplstm.sentences._MOST_IN_LINE", 1000)
    path = tmp_path / "x.txt"
    path.write_text("fine\n" + "a " * 501)
    line = fails("predict", "--tokenized", "--file", path)
    assert "x.txt: line 2: expected at most 1,000 bytes, got more" in line
    path.write_text("fine\n" + "a " * 499)
    assert len(run("predict", "--tokenized", "--file", path, "--json").stdout.splitlines()) == 2
    path.write_bytes(b"\xef\xbb\xbffine\n" * 3 + b"caf\xe9\n")
    assert "got something else at byte 27" in fails("predict", "--tokenized", "--file", path)


# Many texts -------------------------------------------------------------------------------------


def test_portions_change_nothing(texts, tmp_path):
    batch = [text.split() for text in SENTENCES]
    expected = lrplstm.lrp(lrplstm.load_default(), batch, "all").to_dicts()
    out = tmp_path / "out.json"
    run("explain", "--tokenized", "--file", texts, "--target", "all", "--json", out)
    found = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [{**record, "label": None} for record in expected] == found


def test_portions_are_small_whatever_comes(monkeypatch):
    clock = iter(np.cumsum([0.0] * 20 + [1.0] * 10_000))
    monkeypatch.setattr("lrplstm.cli.texts.time.monotonic", lambda: next(clock))
    read = 0

    def items():
        nonlocal read
        for n in range(40_000):
            read += 1
            yield Item(str(n), ["a"] * (100_000 if n == 30_000 else 1))

    seen, sizes = 0, []
    for portion in Portions(items()):
        assert [item.name for item in portion] == [str(seen + n) for n in range(len(portion))]
        seen += len(portion)
        sizes.append(len(portion))
        assert read == seen  # and not before it is needed
    assert seen == 40_000
    assert sizes[:8] == [64, 128, 256, 512, 1024, 2048, 4096, 4096]
    assert min(sizes[:-1]) == sizes[-2] == 16  # where each takes long


def test_json_of_many_makes_no_object_for_each(texts, tmp_path, monkeypatch):
    made = []
    one = Attributions.__getitem__
    monkeypatch.setattr(Attributions, "__getitem__", lambda a, b: made.append(b) or one(a, b))
    run("explain", "--tokenized", "--file", texts, "--out", tmp_path / "x.json")
    assert set(made) == {0}  # the first of each portion
    assert len(made) <= 4


class Terminal(io.TextIOWrapper):
    """A stream that says that it is a terminal."""

    def __init__(self):
        super().__init__(io.BytesIO(), encoding="utf-8")

    def isatty(self):
        return True

    @property
    def text(self):
        self.flush()
        return self.buffer.getvalue().decode()


@pytest.mark.parametrize("command", ["explain", "predict"])
def test_progress_is_shown_in_a_terminal_only(command, texts, tmp_path, monkeypatch):
    from lrplstm.cli import main

    arguments = [command, "--tokenized", "--file", str(texts)]
    to_file = ["--json", str(tmp_path / "x.json")]
    for more, terminals, shown in [
        (to_file, ["stderr"], True),
        ([*to_file, "--quiet"], ["stderr"], False),
        (to_file, ["stdout"], False),
        ([], ["stderr"], True),  # the results go elsewhere
        ([], ["stdout", "stderr"], False),  # they would stand in each other's way
    ]:
        streams = {name: io.TextIOWrapper(io.BytesIO()) for name in ("stdout", "stderr")}
        streams |= {name: Terminal() for name in terminals}
        for name, stream in streams.items():
            monkeypatch.setattr(sys, name, stream)
        assert main([*arguments, *more]) == 0
        streams["stderr"].flush()
        text = streams["stderr"].buffer.getvalue().decode()
        monkeypatch.undo()
        if shown:
            assert "] " in text
            assert " %  64 texts" in text
            assert text.endswith("\r")
            assert text.split("\r")[-2].strip() == ""  # nothing is left of it
        else:
            assert text == ""


def test_one_warning_is_shown_of_many(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text(" ".join(["a fine film that is dull"] * 8) + "\n")
    path.write_text(path.read_text() * 200)
    options = ["--product-rule", "prop", "--dtype", "float64", "--json", tmp_path / "x.json"]
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        process = run("explain", "--tokenized", "--file", path, *options, check=False)
    assert process.returncode == 0
    first, last = process.stderr.splitlines()
    assert "x.txt: line 1: relevance grew to" in first
    assert last.startswith("lrplstm: warning: and ")


# Arguments --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "argument",
    [
        "--target=" + "0:" * 50_000,
        "--target=" + "1" * 5000,
        "--target=" + "0," * 50_000 + "1",
        "--target=--",
        "--model=" + "[" * 100_000,
        "--baseline=" + "1" * 5000,
        "--steps=-" + "9" * 10**6,
        "--epsilon=1e999999",
        "--seed=" + "x" * 10**6,
        "--" + "x" * 10**6,
        "--method=" + "a." * 10**5,
        "--json=" + "../" * 50_000 + "x.json",
        "--series=a\0b",
    ],
    ids=lambda argument: argument[:20],
)
def test_long_and_deep_arguments_are_refused_in_a_line(argument):
    text = [] if argument.startswith("--series") else ["a"]
    assert len(fails("explain", *text, argument, "--method", "ig")) < 3000


def test_deep_arguments_of_a_model_with_steps(tmp_path):
    from random_models import random_model

    random_model(vocabulary=["a"], pooling="none", class_names=["0:1", "y", "z"]).save(tmp_path)
    options = ["--model", tmp_path, "--tokenized", "a a", "--json"]
    for target in ("0:" * 50_000, "1:2:0", ":", "1:", "-:0", "1" * 5000 + ":0"):
        assert "--target: expected a class" in fails("explain", f"--target={target}", *options)
    for target, expected in [("1:0:1", [1, 0]), ("0:1", 0), ("-1:z", [1, 2])]:
        assert (
            json.loads(run("explain", f"--target={target}", *options).stdout)["target"] == expected
        )
