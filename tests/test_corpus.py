"""Runs over files of every format say what the methods say, row by row."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import feather, parquet

import lrplstm
from lrplstm import corpus, evaluation
from lrplstm.cli import main
from lrplstm.corpus import explain_corpus

SENTENCES = [list(sentence.tokens) for sentence in lrplstm.sample_sentences()[:40]]


@pytest.fixture(scope="module")
def model():
    return lrplstm.load_default()


@pytest.fixture(scope="module")
def forecast():
    rng = np.random.default_rng(3)
    shapes = [(20, 2), (20, 5), (20,)]
    lstm = lrplstm.LSTMWeights(*(rng.normal(0, 0.3, shape) for shape in shapes))
    return lrplstm.LSTMModel(
        [lstm], rng.normal(size=(1, 5)), task="regression", feature_names=["rain", "temp"]
    )


def run(model, source, tmp_path, **options):
    return explain_corpus(model, source, tmp_path / "out", **{"workers": 1} | options)


def relevance(found):
    """Return token relevance of all rows."""
    return [one.token_relevance for batch in found for one in batch]


def check(found, expected):
    got = relevance(found)
    assert len(got) == len(expected)
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_array_equal(one, other.token_relevance)


def add(path, content):
    path.write_bytes(path.read_bytes() + content)


def write_text(path):
    path.write_text("".join(" ".join(tokens) + "\n" for tokens in SENTENCES))


def write_labelled(path):
    path.write_text("".join(f"{1 + n % 5}\t{' | '.join(t)}\n" for n, t in enumerate(SENTENCES)))


def write_json_lines(path):
    path.write_text(
        "".join(json.dumps({"n": n, "tokens": t}) + "\n" for n, t in enumerate(SENTENCES))
    )


def write_delimited(path):
    mark = "\t" if path.suffix == ".tsv" else ","
    lines = [f"n{mark}text"]
    for n, tokens in enumerate(SENTENCES):
        text = " ".join(tokens).replace('"', '""')
        lines.append(f'{n}{mark}"{text}"')
    path.write_text("\n".join(lines))


def table():
    return pa.table({"n": range(len(SENTENCES)), "tokens": SENTENCES})


WRITERS = {
    "a.txt": write_text,
    "a.txt.gz": lambda path: path.write_bytes(gzip.compress(plain(write_text, path))),
    "a.jsonl.zst": lambda path: path.write_bytes(
        pa.compress(plain(write_json_lines, path), "zstd", asbytes=True)
    ),
    "labelled.txt": write_labelled,
    "a.jsonl": write_json_lines,
    "a.csv": write_delimited,
    "a.tsv": write_delimited,
    "a.parquet": lambda path: parquet.write_table(table(), path, row_group_size=7),
    "a.arrow": lambda path: feather.write_feather(table(), path, chunksize=11),
}


def plain(write, path):
    write(path.with_suffix(".plain"))
    content = path.with_suffix(".plain").read_bytes()
    path.with_suffix(".plain").unlink()
    return content


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_what_lrp_gives(name, model, tmp_path):
    WRITERS[name](tmp_path / name)
    keep = () if "txt" in name else ["n"]
    found = run(model, tmp_path / name, tmp_path, tokenized=True, keep=keep, piece_bytes=500)
    check(found, lrplstm.lrp(model, SENTENCES))
    assert (found.rows, found.rejected, found.complete) == (len(SENTENCES), 0, True)
    batches = list(found)
    assert [row for b in batches for row in b.sequence_labels["row"]] == list(range(40))
    if keep:
        kept = [int(n) for b in batches for n in b.sequence_labels["n"]]
        assert kept == list(range(40))
    if name == "labelled.txt":
        labels = [n for b in batches for n in b.sequence_labels["label"]]
        assert labels == [n % 5 for n in range(40)]


def test_text_is_split_as_the_model_says(model, tmp_path):
    texts = ["It isn't a bad film.", "Dull, dull, DULL!"]
    (tmp_path / "a.txt").write_text("\ufeff" + "\r\n".join(texts))
    found = run(model, tmp_path, tmp_path)
    check(found, lrplstm.lrp(model, model.tokenize(texts)))


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("sa", {}),
        ("lrp", {"target": "all", "level": "input", "epsilon": 0.01}),
        ("gi", {"target": 3}),
        ("lrp", {"target": [1.0, 0, 0, 0, -1]}),
        ("occlusion", {"measure": "probability"}),
    ],
)
def test_methods_targets_and_options(method, options, model, tmp_path):
    write_text(tmp_path / "a.txt")
    found = run(model, tmp_path / "a.txt", tmp_path, tokenized=True, method=method, **options)
    expected = lrplstm.explain(model, SENTENCES, method, **options)
    check(found, expected)
    (batch,) = found
    np.testing.assert_array_equal(batch.scores, expected.scores)
    np.testing.assert_array_equal(batch.delta, expected.delta)
    if expected.input_relevance is not None:
        np.testing.assert_array_equal(batch.input_relevance, expected.input_relevance)


def test_any_number_of_workers_writes_the_same(model, tmp_path):
    write_text(tmp_path / "a.txt")
    write_labelled(tmp_path / "b.txt")
    add(tmp_path / "b.txt", b"no label\n\n3\t\xff\n")
    written = {}
    for workers in (1, 2):
        out = tmp_path.parent / f"{tmp_path.name}-{workers}"
        found = explain_corpus(
            model, tmp_path / "*.txt", out, workers=workers, tokenized=True, piece_bytes=400
        )
        assert (found.rows, found.rejected) == (80, 3)
        written[workers] = {
            str(path.relative_to(out)): path.read_bytes() for path in out.rglob("part-*")
        }
    assert len(written[1]) > 10
    assert written[1] == written[2]


def test_ids_and_series_in_columns(model, forecast, tmp_path):
    ids = [[3, 1, 4], [1, 5], [9, 2, 6, 5]]
    parquet.write_table(pa.table({"ids": ids}), tmp_path / "ids.parquet")
    check(
        run(model, tmp_path / "ids.parquet", tmp_path / "a"),
        lrplstm.lrp(model, list(map(np.array, ids))),
    )
    rng = np.random.default_rng(0)
    series = [rng.normal(size=(n, 2)) for n in (3, 5, 4)]
    parquet.write_table(pa.table({"series": [s.tolist() for s in series]}), tmp_path / "s.parquet")
    found = run(forecast, tmp_path / "s.parquet", tmp_path / "b")
    expected = lrplstm.lrp(forecast, series)
    check(found, expected)
    (batch,) = found
    np.testing.assert_array_equal(batch.input_relevance, expected.input_relevance)
    assert batch.feature_names == ("rain", "temp")


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_row_of_a_long_table_is_a_step(suffix, forecast, tmp_path):
    rng = np.random.default_rng(1)
    frames, lengths = [], {"b": 4, "a": 3, "c": 6}
    for key, n in lengths.items():
        days = np.datetime64("2026-01-30") + np.arange(n)
        values = rng.normal(size=(n, 2)).round(3)
        frames.append(
            pa.table({"basin": [key] * n, "day": days, "temp": values[:, 1], "rain": values[:, 0]})
        )
    whole = pa.concat_tables(frames)
    path = tmp_path / f"long{suffix}"
    if suffix == ".csv":
        from pyarrow import csv

        csv.write_csv(whole, path)
    else:
        parquet.write_table(whole, path, row_group_size=2)
    found = run(forecast, path, tmp_path, key="basin", time="day")
    series = [np.column_stack([f["rain"], f["temp"]]) for f in frames]
    check(found, lrplstm.lrp(forecast, series))
    (batch,) = found
    assert batch.sequence_labels["basin"].tolist() == ["b", "a", "c"]
    assert batch.sequence_labels["row"].tolist() == [0, 4, 7]
    assert str(batch.step_labels[5])[:19] == "2026-01-31T00:00:00"
    ((first, *_),) = found.summary["variables"].values()
    of_first = ["rain", "temp"].index(first["variable"])
    mean = np.abs(batch.input_relevance[:, of_first]).mean()
    np.testing.assert_allclose(first["mean_abs"], mean)


def test_what_is_written_opens_elsewhere(model, tmp_path):
    import duckdb
    import pandas as pd
    import polars as pl

    write_text(tmp_path / "a.txt")
    found = run(model, tmp_path / "a.txt", tmp_path, tokenized=True, piece_bytes=600)
    expected = lrplstm.lrp(model, SENTENCES)
    data = tmp_path / "out" / "data"
    assert len(found.parts) > 3
    frame = pd.read_parquet(data)
    assert frame["tokens"][5].tolist() == SENTENCES[5]
    lazy = pl.scan_parquet(data).select("row", "token_relevance").collect()
    np.testing.assert_array_equal(lazy["token_relevance"][7], expected[7].token_relevance)
    query = f"select row, list_sum(token_relevance) from '{data}/*.parquet' order by row"
    sums = [total for _, total in duckdb.sql(query).fetchall()]
    np.testing.assert_allclose(sums, [a.token_relevance.sum() for a in expected], rtol=1e-5)


def test_the_summary_counts_what_is_there(model, tmp_path):
    write_text(tmp_path / "a.txt")
    add(tmp_path / "a.txt", b"\n")
    found = run(model, tmp_path / "a.txt", tmp_path, tokenized=True, piece_bytes=600)
    expected = lrplstm.lrp(model, SENTENCES)
    summary = found.summary
    assert (summary["rows"], summary["rejected"], summary["steps"]) == (
        40,
        1,
        len(expected.unknown),
    )
    counts = np.bincount(expected.predicted, minlength=5).tolist()
    assert list(summary["predicted"].values()) == counts
    assert summary["delta"]["absolute"]["1"] == np.abs(expected.delta).max()
    quantile = np.quantile(np.abs(expected.delta), 0.5, method="inverted_cdf")
    assert quantile <= summary["delta"]["absolute"]["0.5"] <= 1.13 * quantile
    name, sides = next((n, s) for n, s in summary["words"].items() if s["for"])
    word = sides["for"][0]
    k = model.class_names.index(name)
    of_word = [
        r
        for a in expected
        if a.predicted == k
        for t, r in zip(a.tokens, a.token_relevance, strict=True)
        if t == word["word"]
    ]
    assert word["count"] == len(of_word)
    np.testing.assert_allclose(word["mean"], np.mean(of_word), rtol=1e-4)
    page = (tmp_path / "out" / "summary.html").read_text()
    assert f"<td>{word['word']}</td>" in page
    assert "an empty sequence" in page


def test_a_record_batch_has_a_row_for_each(model):
    batch = pa.record_batch({"id": [1, 2, 3], "text": ["A fine film.", None, "Dull!"]})
    result = corpus.explain_record_batch(model, batch)
    assert result.schema == corpus.output_schema(model, batch.schema)
    assert result.column("error").to_pylist()[::2] == [None, None]
    expected = lrplstm.lrp(model, model.tokenize(["A fine film.", "Dull!"]))
    got = result.column("token_relevance").to_pylist()
    assert got[1] is None
    np.testing.assert_array_equal(got[2], expected[1].token_relevance.tolist())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"column": "txt"}, "expected a column 'txt', got 'n', 'tokens'"),
        ({"keep": ["m"]}, "expected a column 'm'"),
        ({"target": 7}, "target"),
        ({"method": "lrpp"}, "did you mean 'lrp'"),
        ({"epsilonn": 1}, "did you mean 'epsilon'"),
        ({"workers": 0}, "workers: expected an integer of at least 1"),
        ({"format": "text", "column": "tokens"}, "column: expected None for"),
        ({"key": "n"}, "features: expected the names of the variables"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_written(options, message, model, tmp_path):
    parquet.write_table(table(), tmp_path / "a.parquet")
    with pytest.raises((TypeError, ValueError), match=message):
        run(model, tmp_path / "a.parquet", tmp_path, **options)
    assert not list((tmp_path / "out").glob("data/*"))


def test_a_column_is_not_guessed(model, tmp_path):
    parquet.write_table(pa.table({"a": SENTENCES, "b": SENTENCES}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="which column has the sequences"):
        run(model, tmp_path / "a.parquet", tmp_path)


def test_summary_and_evaluate_read_a_run(model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    sentences = lrplstm.sample_sentences()
    lines = [f"{s.label}\t{' | '.join(s.tokens)}\n" for s in sentences]
    (tmp_path / "labelled.txt").write_text("".join(lines))
    run(model, "labelled.txt", tmp_path, piece_bytes=4000)
    assert main(["explain", "--file", "labelled.txt", "--out", "all.parquet"]) == 0
    said = []
    for path in ("out", "all.parquet"):
        capsys.readouterr()
        assert main(["summary", path, "--of", "words", "--top", "5"]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]
    said = []
    for path in ("out", "labelled.txt"):
        options = ["--method", "lrp", "--method", "sa", "--deletions", "2"]
        assert main(["evaluate", path, *options]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]
    assert "accuracy: " in said[0]


def test_evaluation_adds_up(model):
    """What is read in portions gives what is read at once."""
    sentences = lrplstm.sample_sentences()[:60]
    parts = []
    for some in (sentences[:25], sentences[25:], sentences):
        curves = evaluation.deletion_curve(
            model, [s.tokens for s in some], [s.target for s in some], methods=["lrp", "sa"]
        )
        kept = evaluation.conservation(model, [s.tokens for s in some])
        parts.append((curves.summed(), kept, curves))
    (first, kept_1, _), (second, kept_2, _), (_, kept, whole) = parts
    summed = first + second
    for name in ("curve_correct", "curve_wrong", "curve", "area_correct", "area_wrong"):
        np.testing.assert_allclose(getattr(summed, name), getattr(whole, name), rtol=1e-12)
    assert summed.to_dict().keys() == whole.to_dict().keys()
    assert summed.num_sequences == whole.num_sequences
    np.testing.assert_array_equal((kept_1 + kept_2).delta, kept.delta)
    np.testing.assert_array_equal((kept_1 + kept_2).every(3, 1).biases, kept.biases[1::3])


def test_the_summary_of_all_classes_is_that_of_each(model, tmp_path):
    write_text(tmp_path / "a.txt")
    found = run(model, tmp_path / "a.txt", tmp_path, tokenized=True, target="all")
    expected = lrplstm.lrp(model, SENTENCES, "all")
    tokens = [token for sentence in SENTENCES for token in sentence]
    for k, name in enumerate(model.class_names):
        words = found.summary["words"][name]
        for word in (*words["for"], *words["against"]):
            of_word = [t == word["word"] for t in tokens]
            assert word["count"] == sum(of_word)
            mean = expected.token_relevance[k, of_word].mean()
            np.testing.assert_allclose(word["mean"], mean, rtol=1e-4)
