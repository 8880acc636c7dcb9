"""Names from files may be anything: no message, warning or repr lets them act on a terminal."""

from __future__ import annotations

import inspect
import json
import pickle
import shutil
import unicodedata
import warnings

import h5py
import numpy as np
import onnx
import pytest
import torch
from keras_files import QUIET, dense_config, in_process, lstm_config, no_advice  # noqa: F401
from loader_fixtures import golden_arrays
from onnx import TensorProto, helper, numpy_helper
from random_models import random_model
from safetensors.numpy import save as save_tensors
from torch import nn

import lrplstm

pytestmark = QUIET
EVIL = "a\x1b[31m\n\u202eb\u2028\x9bc"


def assert_visible(text):
    bad = [c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp", "Cs")]
    assert not bad, ascii(text)


def outcome(function, *arguments, **options):
    """Return the text of the error that a call ends with, and of its warnings; or of its result."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            texts = [repr(function(*arguments, **options))]
        except (TypeError, ValueError, ImportError, OSError) as error:
            texts = [str(error)]
    texts += [str(warning.message) for warning in caught]
    for text in texts:
        assert_visible(text)
    return texts[0]


def evil_folder(tmp_path):
    folder = tmp_path / EVIL
    folder.mkdir()
    return folder


def state(**renamed):
    module = nn.ModuleDict({"lstm": nn.LSTM(3, 2), "fc": nn.Linear(2, 2)})
    return {renamed.get(name, name): tensor for name, tensor in module.state_dict().items()}


def test_checkpoints(tmp_path):
    folder = evil_folder(tmp_path)
    path = folder / "model.pt"
    cases = [
        {**state(), EVIL: torch.ones(2)},
        {EVIL: state(), "b" + EVIL: state()},
        state(**{"lstm.weight_hh_l0": EVIL}),
        state(**{"lstm.bias_ih_l0": f"lstm.{EVIL}_l0"}),
        {f"{EVIL}.{name}": tensor for name, tensor in state().items()},
        {**state(), f"{EVIL}.weight": torch.ones(2, 2)},
    ]
    for case in cases:
        outcome(lrplstm.from_torch, case)
        torch.save(case, path)
        assert repr(str(folder))[1:-1].split("\\x1b")[0] in outcome(lrplstm.from_torch, path)
    arrays = {name: tensor.numpy() for name, tensor in state().items()}
    for case in ({**arrays, EVIL: np.ones(2, "f4")}, {EVIL: np.ones(2, "f4")}):
        (folder / "model.safetensors").write_bytes(save_tensors(case))
        outcome(lrplstm.from_torch, folder / "model.safetensors")
    for content in (b"", b"c" + EVIL.replace("\n", "").encode() + b"\nx\n.", b"PK"):
        path.write_bytes(content)
        outcome(lrplstm.from_torch, path)
    for option in ({"lstm": EVIL}, {"head": EVIL}, {"embedding": EVIL}, {"pooling": EVIL}):
        outcome(lrplstm.from_torch, state(), **option)
    module = nn.Sequential()
    module.add_module("a\x1b\n", nn.LSTM(3, 2))
    module.add_module("b\u202e", nn.Conv1d(2, 2, 2))
    outcome(lrplstm.from_torch, module)


def test_keras(tmp_path):
    folder = evil_folder(tmp_path)
    path = folder / "model.weights.h5"
    rng = np.random.default_rng(0)
    shapes = {"lstm/cell/vars/0": (3, 8), "lstm/cell/vars/1": (2, 8), "lstm/cell/vars/2": (8,)}
    shapes |= {"dense/vars/0": (2, 2), "dense/vars/1": (2,)}
    with h5py.File(path, "w") as file:
        for name, shape in shapes.items():
            file[f"layers/{name}"] = rng.normal(size=shape)
    lstm, dense = lstm_config("lstm", 2), dense_config("dense", 2)
    for layers in (
        [{**lstm, "class_name": EVIL}, dense],
        [lstm, {**dense, "config": {**dense["config"], "activation": EVIL}}],
        [lstm, {**dense, "config": {**dense["config"], "name": EVIL, "units": 3}}],
        [{**lstm, "config": {**lstm["config"], "name": EVIL}}, dense],
        [lstm, {**dense, "registered_name": EVIL}],
        [lstm, EVIL],
    ):
        outcome(lrplstm.from_keras, path, config={"class_name": "Sequential", "config": layers})
    outcome(lrplstm.from_keras, path, config={"class_name": EVIL, "config": {}})
    outcome(lrplstm.from_keras, path, config="{" + EVIL)
    outcome(lrplstm.from_keras, path)
    for group in (f"layers/{EVIL}/vars/0", f"{EVIL}/x"):
        with h5py.File(path, "a") as file:
            file[group] = np.ones(3)
        outcome(lrplstm.from_keras, path, pooling="last")
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [EVIL.encode()]
        file.create_group(EVIL).attrs["weight_names"] = [EVIL.encode()]
    outcome(lrplstm.from_keras, path, pooling="last")
    with h5py.File(path, "w") as file:
        file[f"layers/{EVIL}"] = h5py.SoftLink("/" + EVIL)
    outcome(lrplstm.from_keras, path, pooling="last")
    path.write_bytes(b"")
    outcome(lrplstm.from_keras, path)


def test_onnx(tmp_path):
    path = evil_folder(tmp_path) / "model.onnx"
    ones = numpy_helper.from_array(np.ones((1, 8, 3), "f4"), EVIL)
    x = helper.make_tensor_value_info("x" + EVIL, TensorProto.FLOAT, [2, 1, 3])
    y = helper.make_tensor_value_info(EVIL + "y", TensorProto.FLOAT, None)
    for operator, attributes in (("LSTM", {"hidden_size": 2}), (EVIL, {EVIL: 1}), ("Exp", {})):
        for inputs in (["x" + EVIL, EVIL, EVIL], [EVIL, "x" + EVIL], ["x", EVIL]):
            node = helper.make_node(operator, inputs, [EVIL + "y"], name=EVIL, **attributes)
            graph = helper.make_graph([node], EVIL, [x], [y], [ones])
            model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
            outcome(lrplstm.from_onnx, model)
            path.write_bytes(model.SerializeToString())
            outcome(lrplstm.from_onnx, path)
            outcome(lrplstm.from_onnx, path, output=EVIL)
    ones.external_data.add(key="location", value=EVIL)
    ones.data_location = onnx.TensorProto.EXTERNAL
    node = helper.make_node("LSTM", ["x" + EVIL, EVIL, EVIL], [EVIL + "y"], hidden_size=2)
    model = helper.make_model(helper.make_graph([node], EVIL, [x], [y], [ones]))
    outcome(lrplstm.from_onnx, model)
    path.write_bytes(b"\xff")
    outcome(lrplstm.from_onnx, path)


def test_native_folders_and_models(tmp_path):
    folder = evil_folder(tmp_path)
    outcome(lrplstm.load, folder)
    outcome(lrplstm.load, folder / EVIL)
    settings = {"vocabulary": [EVIL.replace("\n", ""), "b"], "unknown_token": "b"}
    origin = {EVIL: EVIL}
    model = random_model(class_names=[EVIL, "x", "y"], tokenizer=EVIL, origin=origin, **settings)
    outcome(lambda: model)
    model.save(folder)
    outcome(lrplstm.load, folder)
    good = json.loads((folder / "config.json").read_text())
    for name in (*good, "head_activations"):
        for value in (EVIL, [EVIL], {EVIL: EVIL}, [[EVIL]]):
            (folder / "config.json").write_text(json.dumps(good | {name: value}))
            outcome(lrplstm.load, folder)
    (folder / "config.json").write_text(EVIL)
    outcome(lrplstm.load, folder)
    del good["sha256"]
    (folder / "config.json").write_text(json.dumps(good))
    for content in (EVIL.encode(), b"\xff", f"{EVIL}\n{EVIL}".encode()):
        (folder / "vocab.txt").write_bytes(content)
        outcome(lrplstm.load, folder)
    shutil.rmtree(folder)
    folder.write_text("")
    outcome(lrplstm.load, folder)
    for name in ("vocabulary", "class_names", "unknown_token", "tokenizer", "pooling", "task"):
        for value in (EVIL, [EVIL], [EVIL, EVIL], {EVIL: EVIL}):
            outcome(random_model, **{"embedding": np.ones((2, 5)), name: value})


def test_arras(tmp_path):
    folder = evil_folder(tmp_path)
    outcome(lrplstm.from_arras, folder)
    arrays = golden_arrays()
    outcome(lrplstm.from_arras, arrays | {"W" + EVIL: np.ones(2)})
    for content in (pickle.dumps({EVIL: 1}), b"c" + EVIL.encode(), b"cos\n\x1b\n.", b"\x1b."):
        (folder / "model").write_bytes(content)
        outcome(lrplstm.from_arras, folder)
    (folder / "model").write_bytes(pickle.dumps(arrays))
    for content in (pickle.dumps([EVIL, EVIL]), pickle.dumps({EVIL: EVIL})):
        (folder / "vocab").write_bytes(content)
        outcome(lrplstm.from_arras, folder)
    for content in (b"\x93NUMPY\x01\x00\x0a\x00{'\x1b': \n}", b"\x1b"):
        (folder / "embeddings.npy").write_bytes(content)
        outcome(lrplstm.from_arras, folder)


def test_sentence_files(tmp_path):
    folder = evil_folder(tmp_path)
    outcome(lrplstm.read_sentences, folder)
    for content in (b"", b"\xff", f"9{EVIL}".encode(), f"1\ta  {EVIL} | ".encode()):
        (folder / EVIL).write_bytes(content)
        outcome(lrplstm.read_sentences, folder / EVIL)


def test_arguments_of_methods():
    model = random_model(class_names=[EVIL, "x", "y"], vocabulary=[EVIL, "b"])
    lines = str(lrplstm.lrp(model, [EVIL])).splitlines()
    assert_visible("".join(lines))
    found = lrplstm.lrp(model, [EVIL])
    outcome(lambda: found)
    outcome(lambda: lrplstm.lrp(model, [[EVIL], ["b"]]))
    for inputs in ([EVIL + "c"], EVIL, [[EVIL, EVIL + "c"]], {EVIL: 1}):
        outcome(lrplstm.lrp, model, inputs)
        outcome(model.tokenize, inputs)
    for name in ("target", "method", "backend", "level", "unknown", "product_rule", EVIL):
        outcome(lrplstm.explain, model, ["b"], **{name: EVIL})


def test_series_of_tables():
    pandas = pytest.importorskip("pandas")
    model = random_model(D=2)
    for column in (["a", "b"], [1.0, None], [1 + 2j, 0]):
        outcome(lrplstm.lrp, model, pandas.DataFrame({EVIL: column, "x": [1.0, 2.0]}))
        outcome(lrplstm.lrp, model, pandas.DataFrame({"x": [1.0, 2.0]}, index=[EVIL, "b"]))


def test_runs_of_neuralhydrology(tmp_path):
    for n, text in enumerate([f"model: {EVIL!r}", json.dumps({"model": EVIL}), f"{EVIL}: [{EVIL}"]):
        run = tmp_path / f"{EVIL}{n}"
        run.mkdir()
        (run / "model_epoch001.pt").write_bytes(b"")
        (run / "config.yml").write_text(text)
        outcome(lrplstm.from_neuralhydrology, run)
        outcome(lrplstm.from_neuralhydrology, run, epoch=EVIL)


def test_flax():
    cell = {"weight_ih": np.ones((8, 3)), "weight_hh": np.ones((8, 2)), "bias": EVIL}
    for params in ({EVIL: cell}, {EVIL: cell, "b": cell}, {"a": EVIL}, {"a": {EVIL: EVIL}}, EVIL):
        outcome(lrplstm.from_flax, params)
    for option in ({"cells": EVIL}, {"head": EVIL}, {"embedding": EVIL}, {"activations": [EVIL]}):
        outcome(lrplstm.from_flax, {"a": {**cell, "bias": None}}, **option)


def test_each_loader_is_among_these():
    tested = "".join(inspect.getsource(f) for n, f in globals().items() if n.startswith("test_"))
    loaders = [name for name in lrplstm.__all__ if name.startswith("from_")]
    assert all(f"lrplstm.{name}" in tested for name in loaders)
