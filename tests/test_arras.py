"""The 2017 format: a folder of pickles and an .npy file, or a dict of arrays."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from loader_fixtures import (
    bounded,
    damage,
    golden_arrays,
    little_memory,
    loaded_or_refused,
    needs_treebank,
    refused,
    treebank_file,
)
from random_models import random_batch

import lrplstm

WORDS = ["neither", "", "naïve", "😀", "8\xa01\\/2", "<unk>"]
D, H, C = 5, 4, 3  # of golden/tiny.npz
EMBEDDING = np.random.default_rng(0).normal(size=(len(WORDS), D))


def npy(array, **options):
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def contents(arrays=None, embedding=EMBEDDING, words=WORDS, protocol=4):
    return {
        "model": pickle.dumps(golden_arrays() if arrays is None else arrays, protocol),
        "vocab": pickle.dumps(words, protocol),
        "embeddings.npy": npy(embedding),
    }


def write(folder, files):
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path, contents())


def assert_same(found, expected):
    for a, b in zip(found.layers[0], expected.layers[0], strict=True):
        for name, array in a.arrays().items():
            np.testing.assert_array_equal(array, b.arrays()[name], strict=True)
    np.testing.assert_array_equal(found.head_weight, expected.head_weight, strict=True)
    inputs = random_batch(D=expected.input_size)
    np.testing.assert_array_equal(found.predict(inputs), expected.predict(inputs))


# What is read right -----------------------------------------------------------------------------


def test_gates_biases_and_head():
    arrays = golden_arrays()
    model = lrplstm.from_arras(arrays)
    for weights, side in zip(model.layers[0], ("Left", "Right"), strict=True):
        # Rows i, g, f, o become i, f, g, o.
        for found, rows in (
            (weights.weight_ih, arrays[f"Wxh_{side}"]),
            (weights.weight_hh, arrays[f"Whh_{side}"]),
            (weights.bias, arrays[f"bxh_{side}"] + arrays[f"bhh_{side}"]),
        ):
            i, g, f, o = rows.reshape(4, H, -1)
            np.testing.assert_array_equal(found.reshape(4, H, -1), [i, f, g, o])
        assert not weights.initial_hidden.any()
        assert not weights.initial_cell.any()
    np.testing.assert_array_equal(model.head_weight[:, :H], arrays["Why_Left"])
    np.testing.assert_array_equal(model.head_weight[:, H:], arrays["Why_Right"])
    assert model.head_bias is None
    assert model.embedding is None


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_folder(protocol, tmp_path):
    model = lrplstm.from_arras(str(write(tmp_path, contents(protocol=protocol))))
    assert_same(model, lrplstm.from_arras(golden_arrays()))
    assert model.vocabulary == tuple(WORDS)
    assert model.unknown_token == "<unk>"
    np.testing.assert_array_equal(model.embedding, EMBEDDING)
    np.testing.assert_array_equal(model.predict(["naïve", ""]), model.predict(EMBEDDING[[2, 1]]))


@pytest.mark.parametrize(
    "layout", [np.asfortranarray, lambda a: a.astype(">f8"), np.ndarray.tolist]
)
def test_any_layout(layout, tmp_path):
    arrays = {name: layout(array) for name, array in golden_arrays().items()}
    expected = lrplstm.from_arras(golden_arrays())
    assert_same(lrplstm.from_arras(arrays), expected)
    if layout is not np.ndarray.tolist:
        files = contents(arrays, embedding=layout(EMBEDDING))
        model = lrplstm.from_arras(write(tmp_path, files))
        assert_same(model, expected)
        np.testing.assert_array_equal(model.embedding, EMBEDDING)


def test_float32_weights_decide_the_dtype_of_the_embedding(tmp_path):
    arrays = {name: array.astype("f4") for name, array in golden_arrays().items()}
    model = lrplstm.from_arras(write(tmp_path, contents(arrays)))
    assert model.dtype == np.float32
    np.testing.assert_array_equal(model.embedding, EMBEDDING.astype("f4"), strict=True)
    whole = np.arange(len(WORDS) * D).reshape(-1, D)
    assert lrplstm.from_arras(golden_arrays(), embedding=whole).embedding.dtype == np.float64


def test_arguments_go_before_files(tmp_path):
    files = contents()
    write(tmp_path, {"model": files["model"]})
    with refused(r"embeddings\.npy: expected a file, found none; pass the array as embedding="):
        lrplstm.from_arras(tmp_path)
    with refused("vocab: expected a file, found none"):
        lrplstm.from_arras(tmp_path, embedding=EMBEDDING)
    model = lrplstm.from_arras(tmp_path, embedding=EMBEDDING[:2], vocabulary=["b", "a"])
    assert model.vocabulary == ("b", "a")
    assert_same(model, lrplstm.from_arras(golden_arrays()))


def test_a_model_is_not_tied_to_what_it_came_from(folder):
    arrays = golden_arrays()
    model, of_folder = lrplstm.from_arras(arrays), lrplstm.from_arras(folder)
    for array in arrays.values():
        array[:] = 0
    with (folder / "embeddings.npy").open("r+b") as file:
        file.truncate(100)
    assert_same(model, lrplstm.from_arras(golden_arrays()))
    np.testing.assert_array_equal(of_folder.embedding, EMBEDDING)


@needs_treebank
def test_the_2017_weights():
    path = treebank_file("arras_model")
    embedding = np.random.default_rng(0).normal(0, 0.3, (19538, 60))
    model = lrplstm.from_arras(path, embedding=embedding)
    expected = pickle.loads((path / "model").read_bytes(), encoding="latin1")
    assert_same(model, lrplstm.from_arras(expected))
    assert (model.input_size, model.hidden_size, model.num_classes) == (60, 60, 5)
    assert model.vocabulary[:4] == ("the", "rock", "is", "destined")


# What is refused --------------------------------------------------------------------------------


def changed(name, change):
    return golden_arrays() | {name: change(golden_arrays()[name])}


MISFITS = [
    (changed("Whh_Left", lambda a: a[:, 1:]), r"Whh_Left: expected shape \(12, 3\), got \(16, 3\)"),
    (changed("Whh_Right", np.transpose), r"Whh_Right: expected shape \(64, 16\), got \(4, 16\)"),
    (
        changed("Wxh_Left", np.transpose),
        r"Wxh_Left: expected shape \(16, input_size\), got \(5, 16",
    ),
    (changed("Wxh_Left", lambda a: a[:-1]), r"Wxh_Left: expected shape \(16, input_size\), got"),
    (changed("Wxh_Right", lambda a: a[:, 1:]), r"layers\[0\]: expected input_size 5, got 4"),
    (changed("bxh_Left", lambda a: a[None]), r"bxh_Left: expected shape \(16,\), got \(1, 16\)"),
    (changed("bhh_Right", lambda a: a[:4]), r"bhh_Right: expected shape \(16,\), got \(4,\)"),
    (changed("bhh_Left", lambda a: a * np.nan), "bhh_Left: expected finite numbers"),
    (changed("Why_Left", lambda a: a[:, 1:]), r"Why_Left: expected shape \(num_classes, 4\)"),
    (changed("Why_Right", lambda a: a[1:]), "Why_Right: expected 3 rows as Why_Left has, got 2"),
    (
        changed("Why_Right", lambda a: a.astype("f4")),
        "Why_Right: expected the dtype of .*, float64",
    ),
    (changed("bhh_Left", lambda a: a.astype("f4")), "bhh_Left: expected the dtype of .*, float64"),
    (changed("Whh_Left", lambda a: a[:0]), r"Whh_Left: expected shape \(4 \* hidden_size, hidden"),
    (
        golden_arrays() | {"Who": np.ones(3)},
        "source: expected no weights 'Who', only Wxh_Left, bxh_Left",
    ),
    ({"Wxh_Left": np.ones(3)}, "source: expected an array bxh_Left, found none"),
    ({}, "source: expected an array Wxh_Left, found none"),
]
WRONG_KINDS = [
    (changed("bxh_Left", lambda a: a.astype(int)), "bxh_Left: expected float32 or float64, got "),
    (changed("Why_Left", lambda a: a.astype("f2")), "Why_Left: expected float32 or float64, got "),
    (changed("Wxh_Right", lambda a: a.astype(str)), "Wxh_Right: expected float32 or float64, got "),
    (changed("Wxh_Right", lambda a: a > 0), "Wxh_Right: expected float32 or float64, got "),
]


@pytest.mark.parametrize(("arrays", "match"), MISFITS)
def test_arrays_that_do_not_fit(arrays, match, tmp_path):
    with refused(match):
        lrplstm.from_arras(arrays)
    with refused(match):
        lrplstm.from_arras(write(tmp_path, contents(arrays)))


@pytest.mark.parametrize(("arrays", "match"), WRONG_KINDS)
def test_arrays_of_a_wrong_kind(arrays, match, tmp_path):
    with refused(match, TypeError):
        lrplstm.from_arras(arrays)
    with refused(match):  # a file is no argument: its faults are of value
        lrplstm.from_arras(write(tmp_path, contents(arrays)))


def test_rows_of_different_lengths():
    with refused("Wxh_Left: expected rows of one length, got rows of several"):
        lrplstm.from_arras(golden_arrays() | {"Wxh_Left": [[1.0], [1.0, 2.0]]})
    with refused("embedding: expected rows of one length, got rows of several"):
        lrplstm.from_arras(golden_arrays(), embedding=[[1.0], [1.0, 2.0]])


def test_biases_whose_sum_is_too_large():
    largest = np.full(4 * H, np.finfo(float).max)
    with refused("bhh_Left: expected a finite sum with bxh_Left, got infinity"):
        lrplstm.from_arras(golden_arrays() | {"bxh_Left": largest, "bhh_Left": largest})


@pytest.mark.parametrize("source", [None, 3, b"folder", ["model"], np.ones(3)])
def test_what_is_no_source(source):
    with refused("source: expected a folder or a mapping of arrays, got", TypeError):
        lrplstm.from_arras(source)


def test_there_is_no_folder(tmp_path):
    with refused("none: expected a model folder, found nothing"):
        lrplstm.from_arras(tmp_path / "none")


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("model", pickle.dumps([1.0]), "expected a pickled dict of arrays"),
        ("model", pickle.dumps({"Wxh_Left": [[1.0]]}), "expected a pickled dict of arrays"),
        ("model", pickle.dumps({"Wxh_Left": np.float64(1)}), "expected a pickled dict of arrays"),
        ("model", b"cos\nsystem\n(Vfalse\ntR.", r"refused: it names os\.system"),
        ("model", b"", "refused: it is cut short"),
        ("vocab", pickle.dumps("abc"), "expected a pickled list of strings"),
        ("vocab", pickle.dumps(["a", 2]), "expected a pickled list of strings"),
        ("vocab", pickle.dumps([b"a"]), "expected a pickled list of strings"),
        ("vocab", pickle.dumps(WORDS[:-1]), "vocabulary: expected 6 tokens .*, got 5"),
        ("vocab", pickle.dumps(["a"] * 6), "vocabulary: expected distinct tokens"),
        ("embeddings.npy", npy(EMBEDDING[:, 1:]), r"embedding: expected shape .* 5\), got \(6, 4"),
        ("embeddings.npy", npy(EMBEDDING * np.inf), "embedding: expected finite numbers"),
        (
            "embeddings.npy",
            npy(EMBEDDING)[:-1],
            "expected numbers in 2 dimensions, got 239 bytes for",
        ),
        (
            "embeddings.npy",
            npy(EMBEDDING) + b"x",
            "expected numbers in 2 dimensions, got 241 bytes for",
        ),
        ("embeddings.npy", npy(EMBEDDING[0]), "expected numbers in 2 dimensions"),
        ("embeddings.npy", npy(EMBEDDING[:0]), "expected numbers in 2 dimensions"),
        ("embeddings.npy", npy(EMBEDDING.astype(str)), "expected numbers in 2 dimensions"),
        ("embeddings.npy", npy(EMBEDDING > 0), "expected numbers in 2 dimensions"),
        ("embeddings.npy", npy(EMBEDDING + 1j), "expected numbers in 2 dimensions"),
        ("embeddings.npy", npy(np.zeros((2, 5), "f8,f8")), "expected numbers in 2 dimensions"),
        ("embeddings.npy", npy(np.array([[None]])), "expected numbers in 2 dimensions"),
        ("embeddings.npy", pickle.dumps(EMBEDDING), r"not a readable \.npy file"),
        ("embeddings.npy", b"PK\x03\x04" + bytes(100), r"not a readable \.npy file"),
        ("embeddings.npy", b"", r"not a readable \.npy file"),
        ("embeddings.npy", b"\x93NUMPY\x07\x00", r"not a readable \.npy file"),
    ],
)
def test_damaged_files(name, content, match, folder):
    (folder / name).write_bytes(content)
    with refused(match):
        lrplstm.from_arras(folder)


def header(descr="<f8", shape=(6, 5), text=None):
    text = text or repr({"descr": descr, "fortran_order": False, "shape": shape})
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + bytes(240)


def test_header():
    found = np.load(io.BytesIO(header()))
    assert (found.dtype, found.shape) == (np.float64, (6, 5))


@pytest.mark.parametrize(
    "content",
    [
        header(shape=(2**40, 5)),
        header(shape=(-6, -5)),
        header(shape=(-1, 5)),
        header(shape=(2**64, 2**64)),
        header(shape=(6, True)),
        header(shape=(10**400, 5)),
        header(shape=(6, 5.0)),
        header(shape=[6, 5]),
        header(shape=(1,) * 3000),
        header("O"),
        header("|V8"),
        header("<f9"),
        header("<U2"),
        header([("a", "<f8")]),
        header(("<f8", (5,)), shape=(6,)),
        header("<f8" * 1000),
        header(text="(" * 5000),
        header(text="-" * 9000 + "1"),
        header(text="{" + "[" * 150 + "]" * 150 + ": 1}"),
        header(text="{'descr': '<f8', 'shape': (6L, 5L}"),
        header(text="{'descr': '<f8', 'shape': __import__('os').system('false')}"),
        header(text="{1: 2, 'a': 3}"),
        header(text="'''"),
    ],
)
def test_strange_headers(content, folder):
    (folder / "embeddings.npy").write_bytes(content)
    with (
        little_memory(5_000_000),
        refused(r"embeddings\.npy: (not a readable|expected numbers in 2 dim)"),
    ):
        lrplstm.from_arras(folder)


def test_a_pipe_instead_of_a_file(folder):
    for name in contents():
        content = (folder / name).read_bytes()
        (folder / name).unlink()
        os.mkfifo(folder / name)
        with refused(f"{name}: expected a file, found something else"):
            lrplstm.from_arras(folder)
        (folder / name).unlink()
        (folder / name).write_bytes(content)


@pytest.mark.parametrize("name", contents())
def test_damage_is_refused_or_harmless(name, tmp_path_factory):
    folder = write(tmp_path_factory.mktemp("damaged"), contents())
    originals = [contents(protocol=protocol)[name] for protocol in (0, 2, 5)]

    @bounded
    @given(damage(originals))
    def check(content):
        (folder / name).write_bytes(content)
        model = loaded_or_refused(lrplstm.from_arras, folder)
        if model is not None:
            assert np.isfinite(model.predict(random_batch())).all()

    check()


def test_what_lies_beside_the_weights_is_passed_over():
    """An .npz with inputs and results in it loads as it is."""
    with np.load(Path(__file__).parent / "golden" / "tiny.npz") as file:
        assert {"x", "scores"} <= set(file)
        model = lrplstm.from_arras(file)
        np.testing.assert_allclose(model.predict(file["x"]), file["scores"], rtol=1e-12)
