"""Rows of a corpus that cannot be explained, each with its number and the reason; none is lost."""

from __future__ import annotations

import csv
import io
import json
import os
import threading

import numpy as np
import pytest
from corpus_runs import rows_of, run
from hypothesis import given, settings
from hypothesis import strategies as st
from random_models import random_model

import lrplstm
from lrplstm.cli import main
from lrplstm.corpus.columns import Columns
from lrplstm.corpus.files import SourceFile, content
from lrplstm.corpus.parts import RejectedError
from lrplstm.corpus.pieces import pieces_of

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def rejects(done):
    return {one["row"]: one["reason"] for one in done.rejects()}


def check(done, rows, expected):
    """Check that so many rows are there, and why some are rejected: how each reason begins."""
    name = os.path.basename(done.settings["files"][0])
    out = os.path.dirname(os.path.dirname(done.parts[0]))
    assert rows_of(out) == [(name, n) for n in range(rows)]
    reasons = rejects(done)
    assert list(reasons) == list(expected)
    for row, reason in expected.items():
        assert reasons[row].startswith(reason), (row, reasons[row])


def test_lines(tmp_path):
    source = tmp_path / "lines.txt"
    lines = [b"good film", b"", b"  \t ", b"dull", b"good\xff", b"good " * 9, b"bad \x00", b"bad\r"]
    source.write_bytes(b"\n".join(lines))
    done = run(source, tmp_path / "out", max_tokens=8)
    unknown = "token 'dull' at position 0 is not in the vocabulary"
    expected = {
        1: "expected at least one step, got an empty sequence",
        2: "expected at least one step, got an empty sequence",
        3: unknown,
        4: "expected UTF-8, got something else at byte 4",
        5: "expected at most 8 steps, got 9",
        6: r"token '\x00' at position 1",
    }
    check(done, 8, expected)
    assert [list(words) for some in done for words in some.tokens] == [["good", "film"], ["bad"]]


def test_labelled_lines(tmp_path):
    source = tmp_path / "lines.txt"
    lines = [
        "1\tgood | film",
        "x\tgood",
        "0\tgood",
        "-1\tbad",
        "2",
        "",
        "3\t",
        "2\tnot\tbad",
        "3\tbad",
    ]
    source.write_text("\n".join(lines) + "\n")
    done = run(source, tmp_path / "out", tokenized=False)
    label = "expected a label from 1, a tab and words separated by ' | ', got "
    expected = {
        1: f"{label}'x",
        2: f"{label}'0",
        3: f"{label}'-1",
        4: f"{label}'2",
        5: "an empty line",
    }
    expected |= {6: "expected at least one step", 7: "expected tokens, got text with spaces"}
    check(done, 9, expected)
    (some,) = done
    assert some.sequence_labels["label"].tolist() == [0, 2]


def test_json_lines(tmp_path):
    source = tmp_path / "lines.jsonl"
    lines = [
        "not json",
        '{"tokens": ["good", "film"], "id": 1}',
        '{"tokens": 5, "id": 2}',
        '{"tokens": "good", "id": 3}',
        '{"tokens": ["bad", 5], "id": 4}',
        '{"tokens": null, "id": 5}',
        '{"tokens": ["bad", null], "id": 6}',
        '{"tokens": [], "id": 7}',
        '{"id": 8}',
        "[1]",
        "",
        '{"tokens": ["bad"], "id": "\\ud800"}',
        '{"tokens": ["\\ud800"]}',
        '{"tokens": {"a": 1}}',
        '{"tokens": ["good"]',
        "[" * 100_000,
        '{"tokens": ["not", "bad"], "id": {"a": 1}}',
    ]
    source.write_text("\n".join(lines))
    done = run(source, tmp_path / "out", tokenized=False, keep=["id"], piece_bytes=10**6)
    of_others = "expected a sequence as in other rows"
    expected = {0: "expected JSON", 2: of_others, 3: of_others, 4: of_others}
    expected |= {5: "expected a sequence, got null"}
    expected |= {6: "expected a sequence of tokens, ids or floats, got null at position 1"}
    expected |= {7: "expected at least one step", 8: "expected 'tokens', got ['id']"}
    expected |= {9: "expected an object, got [1]", 10: "an empty line", 12: of_others}
    expected |= {13: of_others, 14: "expected JSON", 15: "expected JSON"}
    check(done, len(lines), expected)
    (some,) = done
    assert some.sequence_labels["id"].tolist() == ["1", "\\ud800", '{"a": 1}']


def test_a_number_that_is_whole_is_a_number_whatever_other_rows_are(tmp_path):
    source = tmp_path / "lines.jsonl"
    series = [[[1, 2], [3, 4]], [[0.5, 1]], "no series", [[1e300, 1]], [[1, float("nan")]]]
    series += [[[1, 2], [3]], [[1, 2, 3]], [[2, 10**30]], [[3, 4]]]
    source.write_text("".join(json.dumps({"series": one}) + "\n" for one in series))
    model = random_model(1, D=2, dtype=np.float32)
    done = run(source, tmp_path / "out", model=model, tokenized=False, unknown=None)
    expected = {
        2: "expected a sequence as in other rows",
        3: "variable 0 at step 0: expected a finite",
    }
    expected |= {4: "variable 1 at step 0: expected a finite number, got nan"}
    expected |= {5: "expected 2 numbers at each step, got 1 at step 1"}
    expected |= {6: "expected ", 7: "expected a sequence as in other rows"}
    check(done, len(series), expected)


def test_cells(tmp_path):
    source = tmp_path / "cells.csv"
    lines = [
        "id,text",
        "1,good film",
        "2",
        "3,good,film",
        "4,",
        "",
        '5,"good',
        'film"',
        '6,"good"film',
        '7,"bad ""film"""',
        "8,\udcff",
        "9,bad",
    ]
    source.write_bytes("\r\n".join(lines).encode(errors="surrogateescape"))
    done = run(source, tmp_path / "out", keep=["id"])
    expected = {
        1: "expected 2 cells, got 1",
        2: "expected 2 cells, got 3",
        3: "expected at least one",
    }
    expected |= {
        4: "an empty line",
        5: "expected tokens, got text with spaces",
        6: "expected cells, quoted",
    }
    expected |= {
        7: "token '\"film\"' at position 1",
        8: "expected UTF-8, got something else at byte 0",
    }
    check(done, 10, expected)
    assert [x for some in done for x in some.sequence_labels["id"].tolist()] == ["1", "9"]


@pytest.mark.parametrize(
    ("values", "type_", "bad"),
    [
        (
            [["good"], None, ["bad", None], [], ["dull"]],
            pyarrow.list_(pyarrow.string()),
            {1, 2, 3, 4},
        ),
        ([[0, 1], None, [-1], [99], [0, None]], pyarrow.list_(pyarrow.int16()), {1, 2, 3, 4}),
        ([[2, 1], [2**63], [3]], pyarrow.list_(pyarrow.uint64()), {1}),
        (["good film", None, "", "dull"], pyarrow.large_string(), {1, 2, 3}),
        (["good film", None, "", "dull"], pyarrow.string_view(), {1, 2, 3}),
        ([b"good film", None, b"\xff"], pyarrow.binary(), {1, 2}),
        ([1.5, None, 2.5], pyarrow.float64(), {0, 1, 2}),
        ([[0.5], [1.0], [None]], pyarrow.list_(pyarrow.float32()), {0, 1, 2}),
        ([[True], [False, None]], pyarrow.list_(pyarrow.bool_()), {0, 1}),
        ([{"a": 1}, None], pyarrow.struct({"a": pyarrow.int8()}), {0, 1}),
        ([[{"a": 1}], None], pyarrow.list_(pyarrow.struct({"a": pyarrow.int8()})), {0, 1}),
        ([[[[1]]], None], pyarrow.list_(pyarrow.list_(pyarrow.list_(pyarrow.int8()))), {0, 1}),
        ([None, None], pyarrow.null(), {0, 1}),
        ([["good", "bad"], None], pyarrow.list_(pyarrow.string(), 2), {1}),
    ],
    ids=lambda value: str(value) if isinstance(value, pyarrow.DataType) else "",
)
@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_columns_of_any_type(tmp_path, values, type_, bad, ending):
    source = tmp_path / f"rows.{ending}"
    table = pyarrow.table({"text": pyarrow.array(values, type_)})
    if ending == "parquet":
        parquet.write_table(table, source)
    else:
        with pyarrow.ipc.new_file(source, table.schema) as writer:
            writer.write_table(table)
    done = run(source, tmp_path / "out")
    assert done.rows + done.rejected == len(values)
    assert set(rejects(done)) == bad
    assert all(rejects(done).values())


def test_strict_ends_at_the_first(tmp_path):
    source = tmp_path / "lines.txt"
    source.write_text("good film\n" * 50 + "dull\n" + "bad\n" * 50 + "\n" + "bad\n" * 50)
    for workers in (1, 2):
        with pytest.raises(RejectedError, match=r"lines\.txt: row 50: token 'dull'"):
            run(source, tmp_path / "out", strict=True, resume=True, workers=workers)
    done = run(source, tmp_path / "out", resume=True)
    check(done, 152, {50: "token 'dull'", 101: "expected at least one step"})


def test_strict_names_the_first_row_whatever_is_wrong_with_it(tmp_path):
    source = tmp_path / "lines.txt"
    source.write_text("good\ndull\n\nbad\n")
    with pytest.raises(RejectedError, match=r"row 1: token 'dull'"):
        run(source, tmp_path / "out", strict=True)


def test_what_can_be_read_but_not_explained_is_rejected(tmp_path, monkeypatch):
    def of_two_steps(model, inputs, *arguments, **options):
        sequences = [inputs] if isinstance(inputs[0], str) else list(inputs)
        if min(map(len, sequences)) < 2:
            raise ValueError("inputs: expected two steps at least")
        return lrplstm.explain(model, inputs, *arguments, **options)

    source = tmp_path / "lines.txt"
    source.write_text("good film\nbad\nnot bad\n")
    monkeypatch.setattr("lrplstm.corpus.running.made_up", lambda model: [np.array([1, 2])])
    monkeypatch.setattr("lrplstm.corpus.explaining.explain", of_two_steps)
    check(run(source, tmp_path / "out"), 3, {1: "inputs: expected two steps at least"})


# Names --------------------------------------------------------------------------------------------


def test_names_and_words_that_would_do_harm(tmp_path, capsys):
    names = ["<script>alert(1)<_script>.txt", "two\nlines.txt", "red\x1b[31m.txt", "half\udcff.txt"]
    model = random_model(3, vocabulary=["<script>alert(2)</script>", "b"], dtype=np.float32)
    (tmp_path / "in").mkdir()
    for name in names:
        text = "<script>alert(2)</script>\n" * 9 + "<script>alert(3)</script>\n"
        (tmp_path / "in" / name).write_text(text)
    done = run(tmp_path / "in", tmp_path / "out", model=model)
    assert (done.rows, done.rejected) == (36, 4)
    shown = {name.encode(errors="backslashreplace").decode() for name in names}
    assert {name for name, _ in rows_of(tmp_path / "out")} == shown
    page = (tmp_path / "out/summary.html").read_text()
    assert "alert(1)" in page
    assert "alert(2)" in page
    assert "<script" not in page
    assert "\x1b" not in page

    model.save(tmp_path / "model")
    command = ["corpus", str(tmp_path / "in"), "--out", str(tmp_path / "again"), "--workers", "1"]
    command += ["--model", str(tmp_path / "model"), "--tokenized", "--unknown", "error"]
    assert main(command) == 0
    output = capsys.readouterr()
    assert "4 rows are rejected" in output.err
    (tmp_path / "in" / names[2]).write_text("b\n")
    assert main([*command, "--resume"]) == 1
    error = capsys.readouterr().err
    assert r"red\x1b[31m.txt: expected the file with which the run began" in error
    for text in (output.err, error):
        assert text.count("\n") == 1
        assert "\x1b" not in text


# Pipes --------------------------------------------------------------------------------------------


def test_standard_input_and_pipes(tmp_path, monkeypatch):
    text = b"good film\nbad\n\nthe plot\n" * 40
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))
    out = tmp_path / "out"

    def stop(far):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run("-", out, progress=stop)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))
    done = run("-", out, resume=True, workers=2)
    assert (done.rows, done.rejected) == (120, 40)
    assert rows_of(out) == [("-", n) for n in range(160)]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text[:-5])))
    with pytest.raises(ValueError, match="-: expected the file with which the run began"):
        run("-", out, resume=True)
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(ValueError, match="standard input is closed"):
        run("-", tmp_path / "closed")

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(text,))
    writer.start()
    assert run(pipe, tmp_path / "piped").rows == 120
    writer.join()


# Tables of steps ----------------------------------------------------------------------------------


SERIES = {"key": "k", "time": "t", "features": ["a", "b"], "tokenized": False, "unknown": None}


def steps_of(lengths, keys=None):
    """A table of series of these lengths."""
    keys = keys or list(range(-2, len(lengths) - 2))
    return {
        "k": [key for key, length in zip(keys, lengths, strict=True) for _ in range(length)],
        "t": [step for length in lengths for step in range(8, 8 + length)],
        "a": [0.5 + n for n in range(sum(lengths))],
        "b": [0.25 - n for n in range(sum(lengths))],
    }


def write_table(path, columns, group=1000):
    if path.suffix == ".parquet":
        parquet.write_table(pyarrow.table(columns), path, row_group_size=group)
        return path
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_series_that_lie_across_batches(tmp_path, monkeypatch, ending):
    """Their keys are -2, -1, ... , of which Python's hashes are not all different."""
    lengths = [3, 1, 9, 2, 4, 1, 1, 12, 5]
    source = write_table(tmp_path / f"steps.{ending}", steps_of(lengths), group=4)
    monkeypatch.setattr("lrplstm.corpus.pieces._STEPS", 7)
    monkeypatch.setattr("lrplstm.corpus.pieces._ROWS", 5)
    model = random_model(1, D=2)
    done = run(source, tmp_path / "out", model=model, **SERIES)
    explained = [one for some in done for one in some]
    assert [len(one.input_relevance) for one in explained] == lengths
    rows = [n for some in done for n in some.sequence_labels["row"].tolist()]
    assert rows == np.cumsum([0, *lengths[:-1]]).tolist()
    values = np.stack([steps_of(lengths)["a"], steps_of(lengths)["b"]], axis=1)
    for one, start, length in zip(explained, rows, lengths, strict=True):
        alone = lrplstm.lrp(model, values[start : start + length])
        np.testing.assert_array_equal(one.input_relevance, alone.input_relevance)


@pytest.mark.parametrize("ending", ["parquet", "csv"])
@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ([1, 2, 1], "expected the rows of each 'k' together, got .* again in row 4; sort"),
        ([1, None, 2], "expected a key in each row, got none in row 2"),
    ],
)
def test_keys_that_are_not_together_or_lacking(tmp_path, ending, keys, problem):
    source = write_table(tmp_path / f"steps.{ending}", steps_of([2, 2, 2], keys), group=3)
    with pytest.raises(ValueError, match=problem):
        run(source, tmp_path / "out", model=random_model(1, D=2), **SERIES)


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_steps_that_are_no_numbers_or_not_in_their_order(tmp_path, ending):
    columns = steps_of([3, 3, 3, 3, 3])
    columns["t"][4] = columns["t"][3]
    columns["t"][8] = None
    columns["a"][10] = None
    columns["b"][12] = float("inf")
    source = write_table(tmp_path / f"steps.{ending}", columns)
    done = run(source, tmp_path / "out", model=random_model(1, D=2), **SERIES)
    reasons = rejects(done)
    assert list(reasons) == [3, 6, 9, 12]
    assert reasons[3] == "expected later 't' at each step, got 8 after 8"
    assert reasons[6].startswith("expected later 't' at each step, got ")
    assert reasons[9].startswith("variable 0 at step 1: expected a finite number, got nan")
    assert reasons[12].startswith("variable 1 at step 0: expected a finite number, got inf")
    assert done.rows == 1


def test_variables_are_columns_of_numbers(tmp_path):
    columns = steps_of([2, 3])
    columns["b"] = [[number] for number in columns["b"]]
    source = write_table(tmp_path / "steps.parquet", columns)
    with pytest.raises(ValueError, match="b: expected a column of numbers, got list<"):
        run(source, tmp_path / "out", model=random_model(1, D=2), **SERIES)


def test_large_texts_are_texts(tmp_path):
    columns = steps_of([4], ["x"])
    large = pyarrow.large_string()
    columns |= {name: pyarrow.array(map(str, columns[name]), large) for name in ("k", "t", "a")}
    source = write_table(tmp_path / "steps.parquet", columns)
    assert run(source, tmp_path / "out", model=random_model(1, D=2), **SERIES).rows == 1


def test_keys_of_categories(tmp_path):
    columns = steps_of([2, 3], ["x", "y"])
    columns["k"] = pyarrow.array(columns["k"]).dictionary_encode()
    source = write_table(tmp_path / "steps.parquet", columns)
    done = run(source, tmp_path / "out", model=random_model(1, D=2), **SERIES)
    (some,) = done
    assert some.sequence_labels["k"].tolist() == ["x", "y"]


# Pieces of lines ----------------------------------------------------------------------------------


class _Slowly(io.BytesIO):
    """A file of which each reading gives as few bytes as it likes."""

    sizes = (1,)

    def read(self, size=-1):
        turn = self.sizes[self.tell() % len(self.sizes)]
        return super().read(min(size, turn) if size > 0 else turn)


@settings(max_examples=150, deadline=None)
@given(
    data=st.lists(st.sampled_from([b"\n", b"a", b"\r", b"\xff", b"3\tx", b"bcd " * 9])).map(
        b"".join
    ),
    piece_bytes=st.integers(1, 60),
    sizes=st.lists(st.integers(1, 50), min_size=1, max_size=4),
)
def test_pieces_are_the_file_whatever_is_read_at_a_time(tmp_path_factory, data, piece_bytes, sizes):
    path = tmp_path_factory.getbasetemp() / "pieces.txt"
    path.write_bytes(data)
    whole = list(
        pieces_of(SourceFile(str(path), "text", None, len(data)), 0, Columns(), piece_bytes)
    )
    with open(path, "rb") as file:
        parts = [content(file, piece.start, piece.end) for piece in whole]
    assert b"".join(parts) == data
    assert all(part.endswith(b"\n") for part in parts[:-1])
    row = 0
    for piece, part in zip(whole, parts, strict=True):
        assert piece.first_row == row
        assert piece.rows == len(part.removesuffix(b"\n").split(b"\n"))
        assert len(part) <= piece_bytes or piece.rows == 1
        row += piece.rows
    assert row == len(data.removesuffix(b"\n").split(b"\n")) if data else row == 0

    slowly = _Slowly(data)
    slowly.sizes = sizes
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", type("Stdin", (), {"buffer": slowly}))
        found = list(pieces_of(SourceFile("-", "text"), 0, Columns(), piece_bytes))
    assert [piece.content for piece in found] == parts
    assert [(p.digest, p.first_row, p.rows, p.file.format) for p in found] == [
        (p.digest, p.first_row, p.rows, p.file.format) for p in whole
    ]
