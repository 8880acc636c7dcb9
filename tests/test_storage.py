"""The native folder: what is saved is loaded, exactly; anything else is a clear error."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import signal
import struct
import sys

import numpy as np
import pytest
from hypothesis import given
from loader_fixtures import bounded, damage, little_memory, loaded_or_refused, refused
from random_models import random_batch, random_model, random_weights
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

import lrplstm
from lrplstm import saving

TOKENS = ["the", "", " ", " two  spaces ", "\x85", "a\u2028b", "8\xa01\\/2", "\t", "\ufeff", "😀"]
SETTINGS = {
    "vocabulary": [*TOKENS, "<any>"],
    "class_names": ["nay", "é\n", '"\\'],
    "unknown_token": "<any>",
    "tokenizer": "whitespace",
}
FILES = ("config.json", "weights.safetensors", "vocab.txt")


def arrays(model):
    for layer in model.layers:
        for weights in [layer] if isinstance(layer, lrplstm.LSTMWeights) else layer:
            yield from weights.arrays().values()
    yield from (model.head_weight, model.head_bias, model.embedding)


def assert_same(found, expected):
    assert repr(found) == repr(expected)  # sizes and dtype
    for a, b in zip(arrays(found), arrays(expected), strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
            assert not a.flags.writeable
    for name in (*SETTINGS, "pooling"):
        assert getattr(found, name) == getattr(expected, name)
    inputs = random_batch()
    np.testing.assert_array_equal(found.predict(inputs), expected.predict(inputs))


def without_digests(folder, **changed):
    """Let the files of a folder be any, as a folder of version 1 has them."""
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | changed
    del config["sha256"]
    path.write_text(json.dumps(config), encoding="utf-8")
    return folder


@pytest.fixture
def folder(tmp_path):
    """A folder with a model that has everything, and files that may be changed."""
    random_model(layers=2, **SETTINGS).save(tmp_path / "model")
    return without_digests(tmp_path / "model")


# Round trips ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("head", ["bias", "no bias", "none"])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_round_trip(layers, bidirectional, head, dtype, tmp_path):
    model = random_model(layers=layers, bidirectional=bidirectional, head=head, dtype=dtype)
    model.save(tmp_path / "new" / "folder")
    assert_same(lrplstm.load(str(tmp_path / "new" / "folder")), model)


def test_settings_and_strange_tokens(folder):
    model = lrplstm.load(folder)
    assert_same(model, random_model(layers=2, **SETTINGS))
    assert model.vocabulary == (*TOKENS, "<any>")
    assert sorted(os.listdir(folder)) == sorted(FILES)
    np.testing.assert_array_equal(model.predict(["never-seen"]), model.predict(["<any>"]))


@pytest.mark.parametrize("vocabulary", [[""], ["a", ""], ["", "a"]])
def test_the_empty_token_at_either_end(vocabulary, tmp_path):
    random_model(vocabulary=vocabulary).save(tmp_path)
    assert lrplstm.load(tmp_path).vocabulary == tuple(vocabulary)


def test_an_embedding_without_a_vocabulary(tmp_path):
    embedding = np.random.default_rng(3).normal(size=(6, 5))
    model = random_model(embedding=embedding)
    model.save(tmp_path)
    assert_same(lrplstm.load(tmp_path), model)
    np.testing.assert_array_equal(lrplstm.load(tmp_path).predict([5, 0]), model.predict([5, 0]))


def test_zero_initial_states_take_no_place(tmp_path):
    forward = random_weights(np.random.default_rng(0), 5, 4)
    backward = random_weights(np.random.default_rng(1), 5, 4, initial=False)
    model = lrplstm.LSTMModel([(forward, backward)])
    model.save(tmp_path)
    names = load_tensors((tmp_path / "weights.safetensors").read_bytes())
    assert {name for name in names if "initial" in name} == {
        "layers.0.forward.initial_hidden",
        "layers.0.forward.initial_cell",
    }
    assert_same(lrplstm.load(tmp_path), model)


# Saving -----------------------------------------------------------------------------------------


def test_a_model_takes_the_place_of_another(folder):
    model = random_model(1, D=3, H=2, C=7, layers=1, bidirectional=False, dtype=np.float32)
    model.save(folder)
    assert sorted(os.listdir(folder)) == ["config.json", "weights.safetensors"]
    assert lrplstm.load(folder).num_classes == 7
    assert lrplstm.load(folder).vocabulary is None
    random_model(layers=2, **SETTINGS).save(folder)
    assert_same(lrplstm.load(folder), random_model(layers=2, **SETTINGS))


def test_saving_where_a_file_stands(tmp_path):
    path = tmp_path / "file"
    path.write_text("precious")
    with pytest.raises(FileExistsError):
        random_model().save(path)
    assert path.read_text() == "precious"


@pytest.mark.parametrize("written", [0, 1, 2])
def test_failing_half_way_leaves_the_old_model(written, folder, monkeypatch):
    old = {name: (folder / name).read_bytes() for name in FILES}
    count = iter(range(9))

    def full_disk(descriptor):
        if next(count) == written:
            raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="no space left"):
        random_model(1, layers=2, **SETTINGS).save(folder)
    assert {name: (folder / name).read_bytes() for name in os.listdir(folder)} == old


# What opens, makes, renames or removes anything tells Python's audit hooks before it does.
STEPS = ("open", "os.", "shutil.", "tempfile.", "fcntl.")


def killed_at(step, model, folder):
    """Whether a save in a process of its own came to this step, where it was killed."""
    pid = os.fork()
    if pid == 0:
        steps = itertools.count()
        sys.addaudithook(lambda event, _: event.startswith(STEPS) and killed_now(steps, step))
        model.save(folder)
        os._exit(0)
    return os.waitpid(pid, 0)[1] != 0


def killed_now(steps, step):
    if next(steps) == step:
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("old", ["with words", "without words", "version 1"])
def test_killed_at_any_step_it_leaves_the_old_model_the_new_one_or_a_refusal(
    old, tmp_path, monkeypatch
):
    """Sizes are the same, so that nothing but the digests can tell."""
    monkeypatch.setattr(os, "fsync", lambda _: None)  # nobody cuts the power
    kind = {"class_names": list("abc"), "pooling": "mean"}
    words = random_model(1, H=1, vocabulary=["x", "y"], **kind)
    plain = random_model(2, H=1, embedding=np.ones((2, 5)))
    old_model, new = (plain, words) if old == "without words" else (words, plain)
    found, folder = set(), tmp_path / "model"
    for step in range(99):
        old_model.save(folder)
        if old == "version 1":
            without_digests(folder, format_version=1)
        killed = killed_at(step, new, folder)
        try:
            model = lrplstm.load(folder)
        except ValueError:
            found.add("refused")
        else:
            found.add("new" if model.class_names == new.class_names else "old")
            assert_same(model, new if model.class_names == new.class_names else old_model)
        new.save(folder)  # cleans up
        assert not list(folder.glob(".saving-*"))
        if not killed:
            break
    assert found == {"old", "refused", "new"}
    assert step > 12


def test_a_save_leaves_alone_what_another_is_saving(tmp_path):
    with saving._folder_of_its_own(tmp_path) as running:
        random_model().save(tmp_path)
        assert running.is_dir()
    (tmp_path / ".saving-killed").mkdir()
    random_model().save(tmp_path)
    assert not list(tmp_path.glob(".saving-*"))


def test_files_of_two_models(tmp_path):
    for n in (1, 2):
        random_model(n, vocabulary=[*"abcde", str(n)]).save(tmp_path / str(n))
    for name in ("weights.safetensors", "vocab.txt"):
        own = (tmp_path / "1" / name).read_bytes()
        shutil.copy(tmp_path / "2" / name, tmp_path / "1")
        with refused(f"{name} is not the file that config.json was written with: .* save the mod"):
            lrplstm.load(tmp_path / "1")
        (tmp_path / "1" / name).unlink()
        with refused(f"it has no {name}"):
            lrplstm.load(tmp_path / "1")
        (tmp_path / "1" / name).write_bytes(own)
    (tmp_path / "1" / "vocab.txt").write_text("f\ne\nd\nc\nb\na\n")
    without_digests(tmp_path / "1")  # what the error says
    assert lrplstm.load(tmp_path / "1").vocabulary == tuple("fedcba")


def test_saved_files_are_as_readable_as_any_other(folder, tmp_path):
    (tmp_path / "other").touch()
    for name in FILES:
        assert (folder / name).stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"vocabulary": ["a", "b\n"]}, r"vocabulary: token 1, 'b\\n', contains a line break"),
        ({"vocabulary": ["a\rb"]}, r"vocabulary: token 0, 'a\\rb', contains a line break"),
        ({"vocabulary": ["a", "\ud800"]}, r"vocabulary: token 1: .* Unicode, got '\\ud800'"),
        ({"class_names": ["a", "b", "\udfff"]}, r"class_names: .* Unicode, got '\\udfff'"),
        ({"tokenizer": "\ud800"}, r"tokenizer: expected valid Unicode"),
    ],
)
def test_what_cannot_be_saved(settings, match, tmp_path):
    with refused(match):
        random_model(**settings).save(tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("path", [None, 3, b"folder"])
def test_what_is_no_path(path):
    for function in (lrplstm.load, random_model().save):
        with refused("path: expected the path of a folder, got", TypeError):
            function(path)


# Loading what is damaged ------------------------------------------------------------------------


def test_there_is_no_folder(tmp_path):
    for path, found in (
        (tmp_path / "none", "nothing"),
        (tmp_path / ("x" * 300), "none .File name too long"),
        ("nul\0", "nothing"),
    ):
        with refused(f"expected a model folder, found {found}"):
            lrplstm.load(path)
    (tmp_path / "file").touch()
    with refused("file: expected a model folder, found a file"):
        lrplstm.load(tmp_path / "file")


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("config.json", r"model: not a model folder: it has no config\.json"),
        ("weights.safetensors", r"model: not a model folder: it has no weights\.safetensors"),
        (
            "vocab.txt",
            r"vocab\.txt: expected 11 tokens as config\.json has it, found no vocabulary",
        ),
    ],
)
def test_a_file_is_missing(name, match, folder):
    (folder / name).unlink()
    with refused(match):
        lrplstm.load(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_pipe_or_a_folder_instead_of_a_file(name, folder):
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with refused(rf"{name}: expected a file, found something else"):
        lrplstm.load(folder)
    (folder / name).unlink()
    (folder / name).mkdir()
    with refused(rf"{name}: expected a file, found something else"):
        lrplstm.load(folder)


@pytest.mark.parametrize("name", FILES)
def test_symbolic_links_are_fine(name, folder):
    (folder / name).rename(folder.parent / "elsewhere")
    (folder / name).symlink_to(folder.parent / "elsewhere")
    assert_same(lrplstm.load(folder), random_model(layers=2, **SETTINGS))


def test_a_loaded_model_is_no_longer_tied_to_its_files(folder):
    model = lrplstm.load(folder)
    for name in FILES:
        with (folder / name).open("r+b") as file:
            file.write(b"\xff" * 2000)
    assert_same(model, random_model(layers=2, **SETTINGS))


NOT_JSON = [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"format": ' + b"9" * 5000 + b"}", b"\0"]


@pytest.mark.parametrize("content", NOT_JSON)
def test_config_is_no_json(content, folder):
    (folder / "config.json").write_bytes(content)
    with refused(r"config\.json: expected JSON, got something else"):
        lrplstm.load(folder)


DEEP = json.loads("[" * 900 + "]" * 900)


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("format", "gguf", r'config\.json: expected "format": "lrplstm"'),
        ("format", DEEP, r'config\.json: expected "format": "lrplstm"'),
        ("format_version", 6, r"json: made by a newer version of lrplstm, of format_version 6; th"),
        ("format_version", True, r"config\.json: format_version: expected 1 to 5, got True"),
        ("format_version", DEEP, r"config\.json: format_version: expected 1 to 5, got \[\[\["),
        ("pooling", None, r"config\.json: pooling: expected a string, got None"),
        ("pooling", "first", r"model: pooling: expected .*'last'.*, got 'first'"),
        ("unknown_token", 3, r"config\.json: unknown_token: expected a string, got 3"),
        ("unknown_token", "none", r"unknown_token: expected a token of the vocabulary"),
        ("tokenizer", DEEP, r"config\.json: tokenizer: expected a string, got \[\[\["),
        ("tokenizer", "\ud800", r"config\.json: tokenizer: expected valid Unicode"),
        ("class_names", "abc", r"config\.json: class_names: expected a list of strings"),
        ("class_names", ["a", "b", 3], r"config\.json: class_names: expected a list of strings"),
        ("class_names", ["a", "b"], r"class_names: expected 3 names, got 2"),
        ("input_size", 6, r"expected input_size 5 in config\.json as the tensors have it, got 6"),
        ("hidden_size", -4, r"expected hidden_size 4 in config\.json as .*, got -4"),
        ("num_layers", 10**400, r"expected num_layers 2 in config\.json as .*, got 1000"),
        ("bidirectional", False, r"expected bidirectional True in config\.json as .*, got False"),
        ("num_classes", DEEP, r"expected num_classes 3 in config\.json as .*, got \[\[\["),
        (
            "head_activations",
            "relu",
            r"config\.json: head_activations: expected a list of activations",
        ),
        ("head_activations", ["relu", 3], r"config\.json: head_activations: .*, got \['relu', 3\]"),
        ("head_activations", [], r"config\.json: head_activations: .*, got \[\]"),
        ("head_activations", ["tanh"], r"expected a tensor head\.0\.weight, found none"),
        ("mask_id", "0", r"config\.json: mask_id: expected an id, got '0'"),
        ("mask_id", True, r"config\.json: mask_id: expected an id, got True"),
        ("mask_id", 10**400, r"mask_id: expected 0 <= id < 11, got 1000"),
        ("origin", ["lstm"], r"config\.json: origin: expected strings by name, got \['lstm'\]"),
        ("origin", {"lstm": DEEP}, r"config\.json: origin: expected strings by name"),
        ("origin", {"lstm": "\ud800"}, r"config\.json: origin: expected valid Unicode"),
        ("vocabulary_size", 12, r"vocab\.txt: expected 12 tokens as config\.json has it, found 11"),
        ("vocabulary_size", None, r"vocab\.txt: expected no vocabulary as .*, found 11 tokens"),
    ],
)
def test_config_says_something_else(name, value, match, folder):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    assert config.get(name) != value
    path.write_text(json.dumps(config | {name: value}))
    with refused(match):
        lrplstm.load(folder)


def test_config_is_no_object(folder):
    (folder / "config.json").write_text("[1]")
    with refused(r'config\.json: expected "format": "lrplstm"'):
        lrplstm.load(folder)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"a\nb\n", "expected 11 tokens as config.json has it, found 2 tokens"),
        (b"", "expected 11 tokens as config.json has it, found 1 tokens"),
        (b"a\n\xff\n", "expected UTF-8, got something else at byte 2"),
        (b"a\r\nb\r\n", "line 1: expected a line feed at its end, got a carriage return"),
        ("a\n".encode("utf-16"), "expected UTF-8, got something else at byte 0"),
        (b"a\n" * 11, "vocabulary: expected distinct tokens, got 'a' at 0 and at 1"),
    ],
)
def test_vocabulary_is_damaged(content, match, folder):
    (folder / "vocab.txt").write_bytes(content)
    with refused(match):
        lrplstm.load(folder)


def edited(name, change):
    """An edit of the tensors: `name` becomes what `change` makes of it, or vanishes at None."""

    def edit(tensors):
        tensors[name] = change(tensors[name]) if name in tensors else change(None)
        if tensors[name] is None:
            del tensors[name]

    return edit


def with_number(value):
    def change(array):
        array = array.copy()
        array[-1] = value
        return array

    return change


IH, BIAS = "layers.1.backward.weight_ih", "layers.0.forward.bias"


@pytest.mark.parametrize(
    ("edit", "match"),
    [
        (edited(BIAS, lambda a: None), rf"expected a tensor {BIAS}, found none"),
        (edited(BIAS, with_number(np.nan)), rf"{BIAS}: expected finite numbers, got NaN"),
        (edited(IH, with_number(-np.inf)), rf"{IH}: expected finite numbers"),
        (edited("embedding", with_number(np.nan)), "embedding: expected finite numbers"),
        (edited(BIAS, lambda a: a[:-1]), rf"{BIAS}: expected shape \(16,\), got \(15,\)"),
        (edited(BIAS, lambda a: a[None]), rf"{BIAS}: expected shape \(16,\), got \(1, 16\)"),
        (edited(IH, lambda a: a[:-1]), rf"{IH}: .*: 15 is no multiple of 4"),
        (edited(IH, lambda a: a[:, 1:].copy()), r"layers\[1\]: expected input_size 8, got 7"),
        (edited(IH, lambda a: a[:0]), rf"{IH}: expected shape .*, got \(0, 8\)"),
        (
            edited(IH, lambda a: a.astype("f4")),
            "weight_hh: expected the dtype of weight_ih, float32, got float64",
        ),
        (edited(IH, lambda a: a.astype("f2")), rf"{IH}: .* float32 or float64, got dtype float16"),
        (edited(IH, lambda a: a.astype("i8")), rf"{IH}: .* float32 or float64, got dtype int64"),
        (edited(IH, lambda a: a > 0), rf"{IH}: .* float32 or float64, got dtype bool"),
        (
            edited(IH, lambda a: a.astype("c8")),
            rf"{IH}: .* float32 or float64, got dtype complex64",
        ),
        (edited("head.weight", lambda a: a.T.copy()), r"head.bias: expected shape"),
        (edited("head.weight", lambda a: None), "expected no tensor 'head.bias'"),
        (edited("head.bias", lambda a: a[:2]), r"head.bias: expected shape \(3,\), got \(2,\)"),
        (edited("embedding", lambda a: None), "vocabulary: expected None where there is no embed"),
        (edited("embedding", lambda a: a[1:]), "vocabulary: expected 10 tokens"),
        (edited("layers.3.forward.bias", lambda _: np.ones(4)), "expected no tensor 'layers.3.for"),
        (edited("other", lambda _: np.ones(4)), "expected no tensor 'other'"),
        (edited("layers.0.forward.initial_cell", lambda a: a[:3]), "initial_cell: expected shape"),
        (dict.clear, r"expected tensors layers\.0\.forward\.\*, found none"),
    ],
)
def test_tensors_do_not_fit(edit, match, folder):
    path = folder / "weights.safetensors"
    tensors = load_tensors(path.read_bytes())
    edit(tensors)
    path.write_bytes(save_tensors(tensors))
    with refused(match):
        lrplstm.load(folder)


def safetensors(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def one_tensor(dtype, shape, offsets):
    return {"layers.0.forward.bias": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        bytes(8),
        safetensors({}, length=2**63),
        safetensors({}, length=90_000_000),
        safetensors(b"{" * 50_000),
        safetensors(b'{"a":' * 50_000),
        safetensors([1, 2]),
        safetensors(b"\xff\xfe{}"),
        safetensors(one_tensor("BF16", [4], [0, 8]), bytes(8)),
        safetensors(one_tensor("F8_E4M3", [8], [0, 8]), bytes(8)),
        safetensors(one_tensor("F4", [16], [0, 8]), bytes(8)),
        safetensors(one_tensor("object", [1], [0, 8]), bytes(8)),
        safetensors(one_tensor("F64", [2**40], [0, 8]), bytes(8)),
        safetensors(one_tensor("F64", [2**62, 2**62], [0, 8]), bytes(8)),
        safetensors(one_tensor("F64", [-1], [0, 8]), bytes(8)),
        safetensors(one_tensor("F64", [1.0], [0, 8]), bytes(8)),
        safetensors(one_tensor("F64", [1], [0, 2**50]), bytes(8)),
        safetensors(one_tensor("F64", [1], [8, 0]), bytes(8)),
        safetensors({"two\nlines" * 99: {"dtype": "F64", "shape": [1], "data_offsets": [8, 0]}}),
        safetensors(one_tensor("F64", [1], [0, 8]), bytes(4)),
        safetensors(one_tensor("F64", [1], [0, 8]), bytes(12)),
        safetensors(one_tensor("F64", [0, 2**62], [0, 0])),
        safetensors(one_tensor("F64", [1] * 200, [0, 8]), bytes(8)),
        safetensors(one_tensor("F64", [], [0, 8]), bytes(8)),
    ],
)
def test_strange_safetensors(content, folder):
    (folder / "weights.safetensors").write_bytes(content)
    with little_memory(5_000_000), refused(r"weights\.safetensors: "):
        lrplstm.load(folder)


@pytest.mark.parametrize("name", FILES)
def test_every_beginning_is_refused(name, folder):
    content = (folder / name).read_bytes()
    required = len(content) - 1  # the last line feed is for people
    for stop in [*range(0, required, max(1, required // 200)), required - 1]:
        (folder / name).write_bytes(content[:stop])
        with refused(re.escape(f"{folder}")):
            lrplstm.load(folder)


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory):
    """A folder to damage and to mend, and what is in its files."""
    folder = tmp_path_factory.mktemp("shared")
    random_model(layers=2, **SETTINGS).save(folder)
    without_digests(folder)
    return folder, {name: (folder / name).read_bytes() for name in FILES}


@pytest.mark.parametrize("name", FILES)
def test_damage_is_refused_or_harmless(name, shared_folder):
    folder, contents = shared_folder

    @bounded
    @given(damage([contents[name]]))
    def check(content):
        (folder / name).write_bytes(content)
        model = loaded_or_refused(lrplstm.load, folder)
        if model is not None:
            assert np.isfinite(model.predict(random_batch())).all()

    check()
    (folder / name).write_bytes(contents[name])
