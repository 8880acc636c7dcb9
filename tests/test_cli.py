"""The command as a user runs it: its output, its files, and one line for whatever is wrong."""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from random_models import random_model
from report_pages import data_of

import lrplstm
from lrplstm import heatmap
from lrplstm.backends.choose import instruction_set
from lrplstm.cli import main

COMMAND = [str(Path(sysconfig.get_path("scripts")) / "lrplstm")]
SENTENCE = "neither charming nor exciting nor remotely well-lit ."


def run(*arguments, stdin="", check=True, **environment):
    """Run the command; with `check`, expect it to succeed and to warn of nothing.

    It is the installed one where there are variables of the environment, which Python may read
    when it starts, and else a call in this process, which is ten times as fast.
    """
    stdin = stdin.encode() if isinstance(stdin, str) else stdin
    if environment:
        process = subprocess.run(
            [*COMMAND, *map(os.fsencode, arguments)],
            input=stdin,
            capture_output=True,
            env=os.environ | {"PYTHONWARNINGS": "error"} | environment,
            timeout=120,
            check=False,
        )
    else:
        process = call(list(map(os.fsdecode, map(os.fsencode, arguments))), stdin)
    process.stdout, process.stderr = (s.decode() for s in (process.stdout, process.stderr))
    if check:
        assert process.returncode == 0, process.stderr
        assert process.stderr == ""
    return process


def call(arguments, stdin):
    """Run the command in this process, with streams of its own."""
    streams = [io.TextIOWrapper(io.BytesIO(given), encoding="utf-8") for given in (stdin, b"", b"")]
    with pytest.MonkeyPatch.context() as patch:
        for name, stream in zip(("stdin", "stdout", "stderr"), streams, strict=True):
            patch.setattr(sys, name, stream)
        patch.setattr(sys, "argv", COMMAND)
        try:
            status = main(arguments)
        except SystemExit as stop:
            status = stop.code or 0
    _, output, errors = streams
    for stream in (output, errors):
        stream.flush()
    return subprocess.CompletedProcess(
        arguments, status, output.buffer.getvalue(), errors.buffer.getvalue()
    )


def fails(*arguments, **options):
    """Run the command; expect one line on standard error and nothing else, and return that line."""
    process = run(*arguments, check=False, **options)
    assert process.returncode not in (0, -11, 139)
    assert process.stdout == ""
    assert process.stderr.startswith("lrplstm")
    assert process.stderr.count("\n") == 1
    assert process.stderr.endswith("\n")
    assert "Traceback" not in process.stderr
    return process.stderr


def explained(*arguments, **options):
    """Return the objects that --json writes."""
    output = run("explain", "--json", *arguments, **options).stdout
    return [json.loads(line) for line in output.splitlines()]


# explain ----------------------------------------------------------------------------------------


def test_explain_shows_words_numbers_class_and_scores():
    output = run("explain", SENTENCE).stdout
    model = lrplstm.load_default()
    a = lrplstm.lrp(model, SENTENCE.split())
    assert f"predicted: {model.class_names[a.predicted]}" in output
    for score, name in zip(a.scores, model.class_names, strict=True):
        assert f"{name} {score:.3f}" in output
    for token in a.tokens:
        assert token in output
    assert "\x1b" not in output  # not a terminal


def test_color_can_be_forced_and_forbidden():
    assert "\x1b[" in run("explain", "--color", "always", SENTENCE).stdout
    assert "\x1b" not in run("explain", "--color", "never", SENTENCE).stdout
    assert "\x1b" not in run("explain", SENTENCE, FORCE_COLOR="1", NO_COLOR="1").stdout
    assert "\x1b[" in run("explain", SENTENCE, FORCE_COLOR="1").stdout
    assert "\x1b[" in run("explain", "--color", "always", SENTENCE, NO_COLOR="1").stdout


def test_help_says_when_to_use_which_method():
    text = run("explain", "--help").stdout
    for name, when in lrplstm.METHODS.when.items():
        assert re.search(rf"^  {name}(, \w\w)? +{re.escape(when)}$", text, flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "method", "target", "options"),
    [
        ([], "lrp", None, {}),
        (["--method", "sa", "--target", "0"], "sensitivity", 0, {}),
        (["--method", "gi", "--target", "very positive"], "gradient_x_input", 4, {}),
        (["--target", "all"], "lrp", "all", {}),
        (["--target=-1,0,0,0,1"], "lrp", [-1.0, 0, 0, 0, 1], {}),
        (["--target", "-1,0,0,0,1"], "lrp", [-1.0, 0, 0, 0, 1], {}),
        (
            ["--epsilon", "0.01", "--bias-factor", "1", "--epsilon-factor", "0.5"],
            "lrp",
            None,
            {"epsilon": 0.01, "bias_factor": 1.0, "epsilon_factor": 0.5},
        ),
        (["--product-rule", "half"], "lrp", None, {"product_rule": "half"}),
        (
            ["--method", "ig", "--steps", "3", "--baseline", "film"],
            "integrated_gradients",
            None,
            {"steps": 3, "baseline": "film"},
        ),
        (
            ["--method", "occlusion", "--measure", "probability"],
            "occlusion",
            None,
            {"measure": "probability"},
        ),
        (["--method", "cd", "--target", "all"], "contextual_decomposition", "all", {}),
        (["--method", "random", "--seed", "7"], "random", None, {"seed": 7}),
        (["--backend", "reference", "--threads", "1"], "lrp", None, {"backend": "reference"}),
        (["--unknown", "zero"], "lrp", None, {"unknown": "zero"}),
    ],
    ids=lambda value: (
        " ".join(value) if isinstance(value, list) and value and isinstance(value[0], str) else ""
    ),
)
def test_explain_json_is_what_python_computes(arguments, method, target, options):
    text = "a zqxv film ."
    (found,) = explained(*arguments, "--tokenized", text)
    model = lrplstm.load_default()
    # The command explains a batch of one.
    (expected,) = lrplstm.explain(model, [text.split()], method, target, **options)
    assert found["tokens"] == text.split()
    assert found["unknown"] == [False, True, False, False]
    assert found["method"] == method
    assert found["predicted"] == expected.predicted
    for name in ("scores", "token_relevance", "delta", "initial_relevance"):
        np.testing.assert_array_equal(found[name], np.asarray(getattr(expected, name)).tolist())


def test_text_is_tokenized_as_the_model_wants():
    (found,) = explained("It isn't funny!")
    assert found["tokens"] == ["it", "is", "n't", "funny", "!"]
    (found,) = explained("--tokenized", "It isn't  funny!")
    assert found["tokens"] == ["It", "isn't", "funny!"]
    (found,) = explained("--tokenized", "2\N{NO-BREAK SPACE}1\\/2 hours")  # one token is known
    assert found["tokens"] == ["2\N{NO-BREAK SPACE}1\\/2", "hours"]
    assert found["unknown"] == [False, False]


def test_explain_writes_pages_pictures_and_json(tmp_path):
    html, png, objects = (tmp_path / name for name in ("out.html", "out.png", "out.json"))
    output = run("explain", "--html", html, "--png", png, "--json", objects, "A fine film!").stdout
    assert output == ""
    page = html.read_text(encoding="utf-8")
    assert page.lower().startswith("<!doctype html>")
    assert all(word in page for word in ("fine", "film", "lrp"))
    assert png.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert json.loads(objects.read_text())["tokens"] == ["a", "fine", "film", "!"]


@pytest.mark.parametrize(
    "arguments", [["--json", "a film"], ["a film", "--json"], ["--json", "-", "a film"]]
)
def test_json_goes_to_standard_output_and_nothing_else_does(arguments):
    output = run("explain", *arguments).stdout
    assert json.loads(output)["tokens"] == ["a", "film"]


def test_a_labelled_file(tmp_path):
    path = tmp_path / "sentences.txt"
    path.write_text("5\ta | fine | film | .\n\n1\tdull | .\n", encoding="utf-8")
    found = explained("--file", path)
    assert [o["tokens"] for o in found] == [["a", "fine", "film", "."], ["dull", "."]]
    assert [o["label"] for o in found] == [4, 0]
    output = run("explain", "--file", path).stdout
    assert "label: very positive" in output
    assert re.search(r"accuracy: \d of 2", output)


def test_a_file_of_plain_lines_and_standard_input(tmp_path):
    text = "\ufeffIt isn't funny!\r\n\r\nA fine film.\r\n"
    path = tmp_path / "lines.txt"
    path.write_text(text, encoding="utf-8", newline="")
    expected = [["it", "is", "n't", "funny", "!"], ["a", "fine", "film", "."]]
    assert [o["tokens"] for o in explained("--file", path)] == expected
    assert [o["tokens"] for o in explained("--file", "-", stdin=text)] == expected


# predict and info -------------------------------------------------------------------------------


def test_predict(tmp_path):
    model = lrplstm.load_default()
    scores = model.predict([SENTENCE.split()])[0]
    output = run("predict", SENTENCE).stdout
    assert output.startswith(f"{model.class_names[scores.argmax()]}\t")
    assert f"{scores.max():.3f}" in output
    found = json.loads(run("predict", "--json", SENTENCE).stdout)
    assert found["scores"] == scores.tolist()
    assert found["class_name"] == model.class_names[scores.argmax()]
    path = tmp_path / "sentences.txt"
    path.write_text("5\ta | fine | film | .\n", encoding="utf-8")
    assert "accuracy: " in run("predict", "--file", path).stdout


def test_info_names_version_backend_and_model():
    output = run("info").stdout
    for part in (
        lrplstm.__version__,
        "kernel",
        instruction_set(),
        "default",
        "very negative",
        "treebank",
    ):
        assert part in output


def test_help_and_no_command():
    assert run("--version").stdout == f"lrplstm {lrplstm.__version__}\n"
    assert "explain" in run("--help").stdout
    assert "--target" in run("explain", "--help").stdout
    assert "COMMAND" in fails()


def test_python_m(tmp_path):
    process = subprocess.run(
        [sys.executable, "-m", "lrplstm", "info"], capture_output=True, text=True, check=True
    )
    assert lrplstm.__version__ in process.stdout


@pytest.fixture
def other_model(tmp_path):
    path = tmp_path / "other"
    random_model(vocabulary=["a", "fine", "film"]).save(path)
    return path


def test_a_model_of_ones_own(other_model):
    (found,) = explained("--model", other_model, "--tokenized", "a fine film")
    assert len(found["scores"]) == 3
    assert found["class_names"] is None
    assert "hidden size      4" in run("info", "--model", other_model).stdout
    assert "--tokenized" in fails("explain", "--model", other_model, "a fine film")
    assert "'odd'" in fails(
        "explain", "--model", other_model, "--tokenized", "an odd film".split()[1]
    )


# Odd input is explained -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "zqxv flombast wibbly",
        "😀 🎬👩‍👩‍👧 great!!! 👍🏽",
        "映画はとても面白かった",
        "فيلم رائع",
        '<script>alert(1)</script> & "quotes" \'',
        "$x^2$ \\frac{1}{2} %s {0} __class__",
        "\x1b[31mred\x1b[0m \x07 bell",
        "\u202eright to left override",
        "-not an option",
        "--",
        "a" * 5000,
    ],
    ids=ascii,
)
def test_odd_text_is_explained(text, tmp_path):
    html, png = tmp_path / "out.html", tmp_path / "out.png"
    run("explain", "--html", html, "--png", png, "--", text)
    output = run("explain", "--color", "always", "--", text).stdout
    assert "predicted: " in output
    assert "\x1b[31mred" not in output
    assert "\x07" not in output
    page = html.read_text(encoding="utf-8")
    assert page.count("<script") == page.count("</script") == 2  # data, and what draws them
    assert "".join(data_of(page)["texts"][0]) == heatmap.visible(text)
    assert png.stat().st_size > 1000


def test_a_sentence_of_10_000_words_is_explained(tmp_path):
    words = np.random.default_rng(0).choice(["good", "bad", "film", "zqxv", "not"], 10_000)
    html, png = tmp_path / "out.html", tmp_path / "out.png"
    run("explain", "--html", html, " ".join(words))
    assert html.read_text(encoding="utf-8").count("zqxv") >= (words == "zqxv").sum()
    run("explain", "--png", png, " ".join(words[:2000]))
    assert png.stat().st_size > 10_000
    (found,) = explained(" ".join(words))
    assert found["tokens"] == words.tolist()
    assert np.isfinite(found["token_relevance"]).all()


def test_output_that_the_terminal_cannot_show():
    output = run("explain", "caf\u00e9 😀", PYTHONIOENCODING="ascii", PYTHONUTF8="0").stdout
    assert "\\xe9" in output


def test_bytes_that_are_no_text():
    (found,) = explained(b"caf\xe9 film")
    assert found["tokens"] == ["caf\ufffd", "film"]


# Outputs ----------------------------------------------------------------------------------------


def test_picture_to_standard_output(tmp_path):
    output = subprocess.run(
        [*COMMAND, "explain", "--png", "-", "fine"], capture_output=True, timeout=120, check=True
    )
    run("explain", "--png", tmp_path / "fine.png", "fine")
    assert output.stdout == (tmp_path / "fine.png").read_bytes()


@pytest.mark.parametrize("option", ["--json", "--html", "--png"])
def test_what_is_read_is_not_overwritten(option, tmp_path):
    texts, link = tmp_path / "texts.txt", tmp_path / "link"
    texts.write_text("a fine film\n")
    link.symlink_to(texts)
    for path in (texts, link):
        error = fails("explain", "--file", texts, option, path)
        assert f"{option}: expected another file than {path}, which is read" in error
    assert texts.read_text() == "a fine film\n"


def test_what_cannot_be_written_whole_leaves_what_was_there(tmp_path):
    page = tmp_path / "page.html"
    page.write_text("before")
    page.chmod(0o640)
    assert "/dev/full: No space left" in fails(
        "explain", "--html", page, "--json", "/dev/full", "a"
    )
    assert page.read_text() == "before"
    assert os.listdir(tmp_path) == ["page.html"]
    run("explain", "--html", page, "a")
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert page.stat().st_mode & 0o777 == 0o640


# Growth -----------------------------------------------------------------------------------------

LONG = " ".join(["a fine film that is dull"] * 8)
PROP = ("--product-rule", "prop")


def test_growth_is_one_line_beside_the_result():
    process = run("explain", "--dtype", "float64", *PROP, LONG, check=False, PYTHONWARNINGS="")
    assert process.returncode == 0
    assert re.fullmatch(
        r"lrplstm: warning: text: relevance grew to \S+ times .*the product rule 'all'.*\n",
        process.stderr,
    )
    assert "predicted: " in process.stdout


def test_overflow_names_the_text_and_nothing_is_written(tmp_path):
    texts, page = tmp_path / "texts.txt", tmp_path / "page.html"
    texts.write_text(f"fine\n{LONG}\n")
    error = fails("explain", "--file", texts, *PROP, "--html", page, PYTHONWARNINGS="")
    assert "texts.txt: line 2: relevance overflowed; --dtype float64" in error
    assert not page.exists()


def test_dtype():
    arguments = ["a fine film", "--bias-factor", "1"]
    single, double = (explained(*arguments, "--dtype", f"float{n}")[0] for n in (32, 64))
    assert 1e-9 < abs(single["delta"]) < 1e-4
    assert abs(double["delta"]) < 1e-12


# Errors are one line ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["explain", ""], "text: expected at least one word"),
        (["explain", "   \n\t "], "text: expected at least one word"),
        (["explain"], "expected either a text, --file, --series or --inputs"),
        (["explain", "--json"], "expected either a text, --file, --series or --inputs"),
        (["explain", "a", "--file", "b"], "expected either a text, --file, --series or --inputs"),
        (["explain", "a", "b"], "unrecognized arguments: b"),
        (["explain", "--model", "/no/such/folder", "a"], "/no/such/folder: .*found nothing"),
        (["info", "--model", "/no/such/folder"], "/no/such/folder"),
        (["explain", "--file", "/no/such/file"], "/no/such/file: No such file"),
        (["explain", "--file", "/"], "/: Is a directory"),
        (["explain", "--target", "5", "a"], "--target: expected classes from 0 to 4, got 5"),
        (["explain", "--target", "1_0", "a"], "--target: .*'1_0'"),
        (["explain", "--model", "", "a"], "--model: expected a path, got nothing"),
        (["explain", "--html", "", "a"], "--html: expected a path, got nothing"),
        (["explain", "--html", "x", "--png", "./x", "a"], "a file of its own for each"),
        (["explain", "--target=-1", "a"], "target: expected classes from 0 to 4, got -1"),
        (["explain", "--target", "superb", "a"], "--target: .*very positive.*'superb'"),
        (["explain", "--target", "1,2", "a"], r"target: .*shape \(2,\)"),
        (["explain", "--target", "1,x", "a"], "--target"),
        (["explain", "--target", "nan,0,0,0,0", "a"], "target: .*NaN"),
        (["explain", "--method", "magic", "a"], "--method: invalid choice: 'magic'"),
        (["explain", "--epsilon", "-1", "a"], "epsilon: .*at least 0"),
        (["explain", "--epsilon", "1e39", "a"], "epsilon: expected at most"),
        (["explain", "--epsilon", "x", "a"], "--epsilon: invalid float"),
        (
            ["explain", "--method", "sa", "--epsilon", "1", "a"],
            "--epsilon: .*only with --method lrp",
        ),
        (
            ["explain", "--method", "sa", "--baseline", "a", "a"],
            "--baseline: .*only with --method integrated_gradients or occlusion, got --method sa",
        ),
        (
            ["explain", "--method", "ig", "--baseline", "zqxv", "a"],
            "baseline: .*vocabulary, got 'zqxv'",
        ),
        (["explain", "--method", "ig", "--steps", "0", "a"], "steps: expected at least 1, got 0"),
        (["explain", "--product-rule", "most", "a"], "--product-rule: invalid choice: 'most'"),
        (["explain", "--threads", "0", "a"], "--threads: expected a number from 1, got '0'"),
        (["explain", "--json", "out.json"], "expected either a text, --file, --series or --inputs"),
        (["explain", "--unknown", "error", "a zqxv"], "error: text: token 'zqxv' at position 1"),
        (
            ["explain", "--html", "/no/such/folder/out.html", "a"],
            "--html: expected a folder that exists, got /no/such/folder/out.html",
        ),
        (["explain", "--png", "/no/such/folder/a", "a"], "--png: expected a folder that exists"),
        (["explain", "--json", "/no/such/folder/a", "a"], "--json: expected a folder that exists"),
        (["predict", "--json", "/no/such/folder/a", "a"], "--json: expected a folder that exists"),
        (["explain", "--png", "/", "a"], "--png: expected a file, got the folder /"),
        (["explain", "--json", "-", "--html", "-", "a"], "a file of its own for each of --json"),
        (["explain", "--steps", "9" * 20, "--method", "ig", "a"], "--steps: expected at most 10"),
        (["explain", "--baseline", "zqxv", "--method", "ig", "a"], "--baseline: expected a token"),
        (["paint"], "invalid choice: 'paint'"),
        (["explian", "a"], r"'explian' .*; did you mean 'explain'\?"),
        (["explain", "--method", "lpr", "a"], r"'lpr' .*; did you mean 'lrp'\?"),
        (["explain", "--epsilno=1", "a"], r"--epsilno=1; did you mean '--epsilon'\?"),
        (["predict", "a", "--jsno"], r"lrplstm predict: .*; did you mean '--json'\?"),
        (["explain", "--target", "very postive", "a"], r"; did you mean 'very positive'\?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_errors(arguments, match):
    assert re.search(match, fails(*arguments))


def test_nothing_is_written_where_something_fails(tmp_path, monkeypatch):
    monkeypatch.setattr("lrplstm.heatmap.figure._MAX_PIXELS", 2000)
    html = tmp_path / "out.html"
    path = tmp_path / "long.txt"
    path.write_text("a film .\n" * 100)
    line = fails("explain", "--file", path, "--html", html, "--png", tmp_path / "out.png")
    assert "--png: panels: expected a picture at most" in line
    assert not html.exists()


def test_text_that_takes_the_tokenizer_too_long(monkeypatch, capsys):
    def give_up(text):
        raise TimeoutError

    monkeypatch.setattr("lrplstm.tokenizers._sentence_splitter", lambda initials: give_up)
    assert main(["explain", "a film. A film"]) == 1
    assert "takes too long" in capsys.readouterr().err


def test_names_of_a_strange_model_cannot_write_to_the_terminal(tmp_path):
    names = ["\x1b[31mred", "new\nline", "\u202erev"]
    random_model(vocabulary=["<unk>", "a"], class_names=names).save(tmp_path / "m")
    for command in (["info"], ["predict", "a b"], ["explain", "a b"]):
        output = run(*command, "--model", tmp_path / "m", *(["--tokenized"] * (len(command) > 1)))
        assert "\\x1b[31mred" in output.stdout
        assert "\x1b" not in output.stdout
        assert "\u202e" not in output.stdout


def test_files_that_are_no_sentences(tmp_path):
    path = tmp_path / "file.txt"
    path.write_bytes(b"")
    assert "expected texts, found none" in fails("explain", "--file", path)
    path.write_bytes(b"caf\xe9\n")
    assert "expected UTF-8" in fails("predict", "--file", path)
    path.write_text("5\tfine\nno label\n")
    assert f"{path}: line 2: " in fails("predict", "--file", path)
    path.write_text("fine\n...\n   \n")
    assert len(explained("--file", path)) == 2
    path.write_text("fine\n\nzqxv\n")
    line = fails("predict", "--file", path, "--unknown", "error")
    assert f"{path}: line 3: token 'zqxv'" in line
    path.write_text("5\tfine\n6\tfine\n")
    assert "sentence 2: expected a label from 1 to 5, got 6" in fails("predict", "--file", path)


def damaged(path, name, content):
    (path / name).write_bytes(content)
    return path


@pytest.mark.parametrize("command", ["explain", "predict"])
def test_damaged_models(command, tmp_path):
    path = tmp_path / "model"
    lrplstm.load_default().save(path)
    weights = (path / "weights.safetensors").read_bytes()
    for content in (
        b"",
        weights[:1000],
        weights[:-1],
        b"\xff" * 64,
        weights.replace(b"F32", b"F16", 1),
    ):
        line = fails(command, "--model", damaged(path, "weights.safetensors", content), "a film")
        assert str(path) in line
    nan = bytearray(weights)
    nan[-4:] = np.float32(np.nan).tobytes()
    damaged(path, "weights.safetensors", bytes(nan))
    assert "not the file that" in fails(command, "--model", path, "a")
    config = json.loads((path / "config.json").read_text())
    del config["sha256"]
    (path / "config.json").write_text(json.dumps(config))
    assert "NaN" in fails(command, "--model", path, "a")
    (path / "weights.safetensors").unlink()
    assert "weights.safetensors" in fails(command, "--model", path, "a film")
    assert "config.json" in fails(command, "--model", damaged(path, "config.json", b"{"), "a film")
    (path / "config.json").unlink()
    assert "not a model folder" in fails(command, "--model", path, "a film")


class RunsACommand:
    def __reduce__(self):
        return os.system, ("touch pwned; echo pwned",)


def test_a_model_in_the_2017_format(tmp_path):
    rng = np.random.default_rng(0)
    shapes = {"Wxh": (8, 3), "bxh": (8,), "Whh": (8, 2), "bhh": (8,), "Why": (4, 2)}
    arrays = {
        f"{name}_{side}": rng.normal(0, 0.5, shape)
        for side in ("Left", "Right")
        for name, shape in shapes.items()
    }
    (tmp_path / "model").write_bytes(pickle.dumps(arrays))
    (tmp_path / "vocab").write_bytes(pickle.dumps(["fine", "film"]))
    np.save(tmp_path / "embeddings.npy", rng.normal(size=(2, 3)))
    (found,) = explained("--model", tmp_path, "--tokenized", "fine film")
    expected = lrplstm.lrp(lrplstm.from_arras(tmp_path), [["fine", "film"]])
    assert found["token_relevance"] == expected.token_relevance.tolist()


def test_a_pickle_that_would_run_a_command(tmp_path, monkeypatch):
    """Neither as a model folder of the command line nor through Python is it run."""
    monkeypatch.chdir(tmp_path)
    for name in ("model", "vocab"):
        Path(name).write_bytes(pickle.dumps(RunsACommand()))
    for command in (["explain", "a film"], ["predict", "a film"], ["info"]):
        line = fails(*command, "--model", tmp_path)
        assert re.search(r"model: refused: it names (posix|nt)\.system", line)
    with pytest.raises(ValueError, match=r"refused: it names (posix|nt)\.system"):
        lrplstm.from_arras(tmp_path)
    assert not Path("pwned").exists()


@pytest.mark.parametrize("command", ["info", "predict a", "explain a", "explain --json a"])
def test_closed_standard_output(command):
    process = subprocess.run(
        f"{COMMAND[0]} {command} >&-", shell=True, capture_output=True, text=True, check=False
    )
    assert process.stderr == ""


def test_closed_standard_input():
    process = subprocess.run(
        f"{COMMAND[0]} explain --file - <&-",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 1
    assert process.stderr == "lrplstm: error: standard input is closed\n"


def test_a_reader_that_goes_away_is_no_error():
    process = subprocess.run(
        f"{COMMAND[0]} predict --file - | head -n 1",
        shell=True,
        input="a fine film .\n" * 5000,
        capture_output=True,
        text=True,
        check=True,
    )
    assert process.stdout.count("\n") == 1
    assert process.stderr == ""


def test_ctrl_c_is_no_traceback():
    code = (
        "import sys, lrplstm, lrplstm.cli as cli\n"
        "def stop(*args, **kwargs): raise KeyboardInterrupt\n"
        "lrplstm.explain = stop\n"
        "sys.exit(cli.main(['explain', 'a film']))"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert process.returncode == 130
    assert process.stderr == ""


# Several at once ----------------------------------------------------------------------------------


def test_methods_and_classes_are_compared():
    model = lrplstm.load_default()
    output = run("explain", "--all-methods", SENTENCE).stdout
    lines = output.splitlines()
    head = next(n for n, line in enumerate(lines) if line.split() == list(lrplstm.METHODS))
    for t, word in enumerate(SENTENCE.split()):
        name, *numbers = lines[head + 1 + t].split()
        assert name.removesuffix("°") == word
        for method, number in zip(lrplstm.METHODS, numbers, strict=True):
            expected = lrplstm.explain(model, SENTENCE.split(), method).token_relevance[t]
            assert float(number) == pytest.approx(expected, rel=1e-2)
    coloured = run("explain", "--color", "always", "--method", "lrp", "--method", "gi", SENTENCE)
    rows = [line for line in coloured.stdout.splitlines() if "\x1b[" in line]
    assert [row.split()[0] for row in rows[:2]] == ["lrp", "gradient_x_input"]
    classes = run("explain", "--all-classes", SENTENCE).stdout
    assert classes == run("explain", "--target", "all", SENTENCE).stdout
    both = fails("explain", "--all-methods", "--method", "lrp", SENTENCE)
    assert "--method: expected nothing beside --all-methods, got both" in both
    both = fails("explain", "--all-classes", "--target", "0", SENTENCE)
    assert "--target: expected nothing beside --all-classes, got both" in both
