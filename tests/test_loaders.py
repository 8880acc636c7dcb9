"""The table of loaders: what is read by which, and a loader of somebody's own in it."""

from __future__ import annotations

import inspect
import json
import pickle
from dataclasses import replace

import h5py
import numpy as np
import onnx
import pytest
import torch
from random_models import random_batch, random_model
from test_cli import fails, run

import lrplstm
from lrplstm import loaders
from lrplstm.loaders.registry import LOADERS, Loader, Option, loader_of, register


def test_loaders_are_functions_wherever_they_are_taken_from():
    for name in loaders.__all__:
        function = getattr(lrplstm, name)
        assert function is getattr(loaders, name)
        assert {name} <= set(dir(lrplstm)) & set(dir(loaders))
        assert pickle.loads(pickle.dumps(function)) is function
        if name != "load_default":
            assert next(iter(inspect.signature(function).parameters)) in (
                "source",
                "path",
                "params",
                "run_folder",
            )
            assert "Parameters\n" in function.__doc__
    for module in (lrplstm, loaders):
        with pytest.raises(AttributeError, match="no attribute 'from_nowhere'"):
            _ = module.from_nowhere


def test_options_are_arguments_of_the_loaders():
    for loader in LOADERS.values():
        parameters = inspect.signature(loader.load()).parameters
        assert {option.name for option in loader.options} <= set(parameters)


# What a file or folder is -----------------------------------------------------------------------


@pytest.fixture
def files(tmp_path):
    """Something of each format, under names that do not tell."""
    with h5py.File(tmp_path / "hdf5", "w") as file:
        file["x"] = np.ones(3)
    torch.save({"x": torch.ones(3)}, tmp_path / "torch")
    torch.save({"x": torch.ones(3)}, tmp_path / "pickle", _use_new_zipfile_serialization=False)
    random_model().save(tmp_path / "saved")
    (tmp_path / "2017").mkdir()
    (tmp_path / "2017" / "model").write_bytes(pickle.dumps({}))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "loader", "kind"),
    [
        ("hdf5", "from_keras", "an HDF5 file"),
        ("torch", "from_torch", "a file of torch.save"),
        ("pickle", "from_torch", "a file of torch.save"),
        ("saved/weights.safetensors", "from_torch", "a safetensors file"),
        ("saved", "load", "a folder that save wrote"),
        ("2017", "from_arras", "a folder of the 2017 reference code"),
    ],
)
def test_every_loader_says_which_one_reads_a_file(name, loader, kind, files):
    assert loader_of(files / name).name == loader
    for other in LOADERS.keys() - {loader}:
        with pytest.raises(ValueError, match=f"{name}: expected a.*, got {kind}: use {loader}$"):
            getattr(lrplstm, other)(files / name)


def test_archives_and_graphs_are_known(tmp_path, files):
    (tmp_path / "x.onnx").write_bytes(onnx.ModelProto(ir_version=8).SerializeToString())
    with pytest.raises(ValueError, match="got an ONNX file: use from_onnx"):
        lrplstm.from_torch(tmp_path / "x.onnx")
    # A name does not make a file of HDF5 one of PyTorch.
    (files / "hdf5").rename(tmp_path / "x.pt")
    assert loader_of(tmp_path / "x.pt").name == "from_keras"
    assert "expected the weights of a Sequential" in fails("info", tmp_path / "x.pt")


@pytest.fixture
def foreign(tmp_path):
    """Beginnings of what no loader reads."""
    for name, members in {
        "saved model": ["saved_model.pb"],
        "keras saved": ["saved_model.pb", "keras_metadata.pb"],
        "a.mlpackage": ["Data/com.apple.CoreML/model.mlmodel"],
    }.items():
        for member in members:
            path = tmp_path / name / member
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"\x08\x01\x12")
    (tmp_path / "a.tflite").write_bytes(b"\x1c\0\0\0TFL3" + bytes(20))
    (tmp_path / "a.mlmodel").write_bytes(b"\x08\x04\x12")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "kind", "line"),
    [
        (
            "saved model",
            "a SavedModel folder",
            r"python -m tf2onnx.convert --saved-model '.*saved model' --output model.onnx, "
            "for from_onnx$",
        ),
        (
            "keras saved/saved_model.pb",
            "a SavedModel folder of Keras",
            r"tf_keras.models.load_model\('.*keras saved'\).save\('model.keras'\), for from_keras$",
        ),
        (
            "a.tflite",
            "a TFLite file",
            r"python -m tf2onnx.convert --tflite \S*a.tflite --output model.onnx, for from_onnx$",
        ),
        ("a.mlmodel", "a Core ML model", r"load_spec\('.*a.mlmodel'\)\), 'model.onnx'\), for fr"),
        ("a.mlpackage", "a Core ML package", "save the model that it was made of"),
    ],
)
def test_formats_that_have_to_be_converted(name, kind, line, foreign):
    """Whatever gets one answers with the line to write."""
    match = f"expected a model that can be read, got {kind}, which has to be converted: .*{line}"
    for loader in (loader_of, *(getattr(lrplstm, name) for name in LOADERS)):
        with pytest.raises(ValueError, match=match):
            loader(foreign / name)
    assert f"got {kind}, which has" in fails("info", foreign / name)


# A loader of somebody's own ---------------------------------------------------------------------


def from_json_arrays(path, *, pooling="last", scale=1.0, class_names=None, twice=False):
    """A network of one LSTM and a linear layer, whose arrays a file of JSON has by name."""
    with open(path, encoding="utf-8") as file:
        arrays = {name: np.array(array) for name, array in json.load(file).items()}
    layer = lrplstm.LSTMWeights(arrays["weight_ih"], arrays["weight_hh"], arrays["bias"])
    factor = float(scale) * (2 if twice else 1)
    return lrplstm.LSTMModel(
        [layer], factor * arrays["head"], pooling=pooling, class_names=class_names
    )


TOY = Loader(
    f"{__name__}:from_json_arrays",
    "arrays in JSON",
    suffixes=(".json",),
    options=(
        Option("pooling", "what the head reads"),
        Option("scale", "factor of the scores", metavar="NUMBER"),
        Option("class_names", "what the classes are called", "names"),
        Option("twice", "whether scores are doubled", "switch"),
    ),
    recognize=lambda path, beginning: (
        "arrays in JSON" if beginning.startswith(b'{"weight_ih"') else None
    ),
)


@pytest.fixture
def toy(tmp_path):
    """A file that a loader from outside the package reads."""
    register(TOY)
    rng = np.random.default_rng(3)
    shapes = {"weight_ih": (8, 3), "weight_hh": (8, 2), "bias": (8,), "head": (3, 2)}
    arrays = {name: rng.normal(0, 0.3, shape).tolist() for name, shape in shapes.items()}
    path = tmp_path / "toy.json"
    path.write_text(json.dumps(arrays))
    yield path
    del LOADERS[TOY.name]


def test_a_loader_from_outside_is_used_by_every_command(toy, tmp_path):
    (x,) = random_batch(lengths=(4,), D=3)
    np.save(tmp_path / "x.npy", x)
    output = run("info", toy).stdout
    assert "weight_ih (8, 3), weight_hh (8, 2)" in output
    output = run("explain", "--json", "--model", toy, "--series", tmp_path / "x.npy").stdout
    found = json.loads(output)
    expected = lrplstm.lrp(from_json_arrays(toy), x)
    assert np.array_equal(found["input_relevance"], expected.input_relevance)
    said = ("--pooling", "mean", "--scale", "3", "--twice", "--class-names", "a,b,c")
    run("convert", toy, tmp_path / "out", *said, "--task", "regression")
    model = lrplstm.load(tmp_path / "out")
    assert (model.class_names, model.task) == (("a", "b", "c"), "regression")
    expected = from_json_arrays(toy, pooling="mean", scale=6).predict(x)
    assert np.array_equal(model.predict(x), expected)


def test_a_loader_from_outside_is_told_of_like_the_others(toy, tmp_path):
    output = run("convert", "--help").stdout
    assert "or arrays in JSON (.json)" in " ".join(output.split())
    assert "factor of the scores" in output
    assert "--lstm: expected none" in fails("convert", toy, tmp_path / "out", "--lstm", "rnn")
    random_model().save(tmp_path / "saved")
    assert "--scale: expected none" in fails(
        "convert", tmp_path / "saved", tmp_path / "out", "--scale", "2"
    )
    with pytest.raises(ValueError, match="expected an ONNX graph, got arrays in JSON: use from_js"):
        lrplstm.from_onnx(toy)
    (tmp_path / "x.txt").write_text("text")
    with pytest.raises(ValueError, match=r"ends in \.keras, .*, \.ckpt, \.json"):
        loader_of(tmp_path / "x.txt")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"function": "no_function"}, "function: expected 'package.module:function', got 'no_f"),
        ({"function": "mine:from_onnx"}, "function: expected a new name, got 'from_onnx'"),
        ({"suffixes": (".json", ".h5")}, "suffixes: expected new ones, got '.h5' of from_keras"),
        (
            {"options": (Option("lstm", "a text"),)},
            "options: expected 'lstm' to be of kind 'names' as in from_torch, got 'text'",
        ),
    ],
)
def test_loaders_that_get_in_the_way_of_others(changes, match):
    before = dict(LOADERS)
    with pytest.raises(ValueError, match=match):
        register(replace(TOY, **changes))
    with pytest.raises(TypeError, match="loader: expected a Loader, got "):
        register(from_json_arrays)
    assert before == LOADERS
