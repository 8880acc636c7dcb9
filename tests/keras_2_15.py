"""Models of Keras 3 written as Keras 2.15 writes its .keras files, as far as random networks go.

Keras 2.15 itself loads what is written, and has the same scores.
"""

from __future__ import annotations

import io
import json
import zipfile

import h5py

_GONE = {"NotEqual", "Any", "LogicalOr", "LogicalAnd"}  # masks are no layers there
_PARTS = ("query_dense", "key_dense", "value_dense", "output_dense")


def save_as_keras_2_15(model, path):
    """Write a Functional model."""
    memory = io.BytesIO()
    model.save(path)
    with zipfile.ZipFile(path) as file:
        config = json.loads(file.read("config.json"))
        weights = io.BytesIO(file.read("model.weights.h5"))
    with h5py.File(weights) as file, h5py.File(memory, "w") as other:
        _copy(file, other)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("metadata.json", json.dumps({"keras_version": "2.15.0"}))
        file.writestr("config.json", json.dumps(_model(config)))
        file.writestr("model.weights.h5", memory.getvalue())


def _copy(group, other):
    for name, member in group.items():
        if isinstance(member, h5py.Group):
            _copy(member, other.create_group(f"_{name}" if name in _PARTS else name))
        else:
            other[name] = member[()]


def _model(entry):
    config = entry["config"]
    layers = [_layer(layer) for layer in config["layers"] if layer["class_name"] not in _GONE]
    made = {"name": config["name"], "layers": layers}
    module = "keras.src.engine.functional"
    if entry["class_name"] == "Sequential":
        module = "keras"
    else:
        for key in ("input_layers", "output_layers"):
            ends = config[key]
            made[key] = [ends] if isinstance(ends[0], str) else ends
    return {"module": module, "class_name": entry["class_name"], "config": made}


def _layer(entry):
    if entry["class_name"] in ("Sequential", "Functional"):
        made = _model(entry)
    else:
        made = {key: entry[key] for key in ("module", "class_name", "registered_name")}
        made["config"] = _config(entry["class_name"], entry["config"])
    made["name"] = entry["config"]["name"]
    made["inbound_nodes"] = [_node(node) for node in entry.get("inbound_nodes", [])]
    return made


def _config(class_name, config):
    made = {key: value for key, value in config.items() if key != "dtype"}
    dtype = config.get("dtype")
    made["dtype"] = dtype["config"]["name"] if isinstance(dtype, dict) else dtype
    if class_name == "InputLayer":
        made = {"name": made["name"], "dtype": made["dtype"], "sparse": False, "ragged": False}
        made["batch_input_shape"] = config["batch_shape"]
    if class_name == "LeakyReLU":
        made["alpha"] = made.pop("negative_slope")
    for key in ("layer", "backward_layer"):
        if isinstance(made.get(key), dict):
            made[key] = _layer(made[key])
            del made[key]["inbound_nodes"], made[key]["name"]
    # What it does not know, and what has no part in scores.
    later = ("quantization_config", "seed", "flash_attention", "rms_scaling", "renorm", "use_gate")
    return {
        key: value
        for key, value in made.items()
        if key not in later and not key.endswith("_initializer")
    }


def _node(node):
    tensors = [_tensor(value) for value in _flat(node["args"])]
    if len(node["args"]) > 1:  # query and value
        first, second = tensors
        return [[*first, {"value": second}]]
    given = _flat(node["kwargs"].get("initial_state") or [])
    return [[*tensor, {}] for tensor in tensors + [_tensor(value) for value in given]]


def _flat(value):
    return (
        [one for member in value for one in _flat(member)] if isinstance(value, list) else [value]
    )


def _tensor(value):
    return value["config"]["keras_history"]


# Layers that make ids of words, which need TensorFlow to be made ---------------------------------

_TEXTS = {
    "max_tokens": None,
    "standardize": "lower_and_strip_punctuation",
    "split": "whitespace",
    "ngrams": None,
    "output_mode": "int",
    "output_sequence_length": None,
    "pad_to_max_tokens": False,
    "sparse": False,
    "ragged": False,
    "vocabulary": None,
    "idf_weights": None,
    "encoding": "utf-8",
}
_WORDS = {
    "invert": False,
    "max_tokens": None,
    "num_oov_indices": 1,
    "oov_token": "[UNK]",
    "mask_token": None,
    "output_mode": "int",
    "sparse": False,
    "pad_to_max_tokens": False,
    "idf_weights": None,
    "vocabulary": None,
    "encoding": "utf-8",
}


def read_words(path, class_name, words=None, **options):
    """Let a Sequential model that reads ids read words, as Keras 2.15 saves it.

    `words` are in a file of their own, as those that a layer has learned by `adapt`.
    """
    name, defaults = {
        "TextVectorization": ("text_vectorization", _TEXTS),
        "StringLookup": ("string_lookup", _WORDS),
    }[class_name]
    layer = {"name": name, "trainable": True, "dtype": "string", **defaults, **options}
    entry = {"module": "keras.layers", "class_name": class_name, "config": layer}
    with zipfile.ZipFile(path) as file:
        contents = {each: file.read(each) for each in file.namelist()}
    config = json.loads(contents["config.json"])
    first = config["config"]["layers"][0]["config"]
    first["dtype"] = "string"
    first["batch_input_shape"] = [None, 1 if class_name == "TextVectorization" else None]
    config["config"]["layers"].insert(1, {**entry, "registered_name": None})
    contents["config.json"] = json.dumps(config).encode()
    if words is not None:
        lines = "\n".join(words).encode()
        contents[f"assets/layers/{name}/vocabulary.txt"] = lines
        if class_name == "TextVectorization":
            contents[f"assets/layers/{name}/_lookup_layer/vocabulary.txt"] = lines
    with zipfile.ZipFile(path, "w") as file:
        for each, content in contents.items():
            file.writestr(each, content)
