"""HDF5 files in the layouts of Keras 1 and 2, written by hand: those versions no longer run."""

from __future__ import annotations

import io
import json
import logging

import h5py
import numpy as np
import pytest

from lrplstm.loaders.keras import hdf5, hdf5_worker


@pytest.fixture
def in_process(monkeypatch):
    """HDF5 is read in this process: quicker, and good enough for files that are well made."""

    def run(content, name, limit):
        answer = io.BytesIO()
        hdf5_worker.answer(content, limit, answer.write)
        return answer

    monkeypatch.setattr(hdf5, "_run_worker", run)


@pytest.fixture
def no_advice(caplog):
    """Keras advises against HDF5 each time that it writes it."""
    caplog.set_level(logging.ERROR, logger="absl")


# For modules of tests that use files and models of Keras, and import both fixtures.
QUIET = [
    # Keras 3 does not know NumPy 2's keyword.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    # What is assumed of weights alone has its own test.
    pytest.mark.filterwarnings("ignore:source. .*so this is assumed:UserWarning"),
    pytest.mark.usefixtures("in_process", "no_advice"),
]


def write_named(path, layers, *, config=None, version="2.2.4", name_parts=1):
    """Write layers, a list of (name, {name of weight: array}), with a config or without.

    `name_parts` is the number of attributes over which long lists of names are spread.
    """
    with h5py.File(path, "w") as file:
        group = file
        if config is not None:
            file.attrs["model_config"] = json.dumps(config).encode()
            group = file.create_group("model_weights")
        group.attrs["backend"] = b"tensorflow"
        group.attrs["keras_version"] = version.encode()
        names = np.array([name.encode() for name, _ in layers])
        if name_parts == 1:
            group.attrs["layer_names"] = names
        else:
            for n, part in enumerate(np.array_split(names, name_parts)):
                group.attrs[f"layer_names{n}"] = part
        for name, weights in layers:
            member = group.create_group(name)
            member.attrs["weight_names"] = np.array([weight.encode() for weight in weights], "S")
            for weight, array in weights.items():
                member[weight] = array
    return path


def keras2(name, arrays, roles=("kernel", "recurrent_kernel", "bias"), prefix=None):
    """A layer for `write_named`, with the names of Keras 2."""
    prefix = prefix or name
    return name, {f"{prefix}/{role}:0": a for role, a in zip(roles, arrays, strict=False)}


def keras2_dense(name, arrays):
    return keras2(name, arrays, ("kernel", "bias"))


def keras2_embedding(name, arrays):
    return keras2(name, arrays, ("embeddings",))


def keras2_bidirectional(name, forward, backward):
    inner = name.replace("bidirectional", "lstm")
    _, one = keras2(name, forward, prefix=f"{name}/forward_{inner}")
    _, other = keras2(name, backward, prefix=f"{name}/backward_{inner}")
    return name, one | other


def keras1_lstm(name, arrays):
    """The twelve arrays of an LSTM of Keras 1, in its order i, c, f, o."""
    gates = [dict(zip("ifco", np.split(a, 4, axis=-1), strict=True)) for a in arrays]
    return name, {
        f"{name}_{letter}_{gate}": by_gate[gate]
        for gate in "icfo"
        for letter, by_gate in zip("WUb", gates, strict=True)
    }


def cudnn_arrays(kernel, recurrent, bias):
    """An LSTM's arrays as CuDNNLSTM has them: other memory layouts, and two biases."""

    def other_layout(gate):
        # Written row by row, the transposed gate is what is read column by column.
        return gate.reshape(gate.shape, order="C").T.reshape(gate.shape, order="C")

    kernels = [other_layout(gate) for gate in np.split(kernel, 4, axis=1)]
    recurrents = [gate.T for gate in np.split(recurrent, 4, axis=1)]
    return [
        np.concatenate(kernels, axis=1),
        np.concatenate(recurrents, axis=1),
        np.concatenate([0.25 * bias, 0.75 * bias]),
    ]


# Configs ----------------------------------------------------------------------------------------


def lstm_config(name, units, **options):
    config = {"name": name, "units": units, "activation": "tanh", "use_bias": True}
    config |= {"recurrent_activation": "sigmoid", "return_sequences": False, "go_backwards": False}
    return {"class_name": "LSTM", "config": config | options}


def dense_config(name, units, activation="softmax"):
    config = {"name": name, "units": units, "activation": activation, "use_bias": True}
    return {"class_name": "Dense", "config": config}


def functional_config(entries, inputs, outputs, calls):
    """A Functional model of Keras 2; `calls` has the names that each layer reads."""
    layers = [
        entry
        | {
            "name": entry["config"]["name"],
            "inbound_nodes": [[[name, 0, 0, {}] for name in calls[entry["config"]["name"]]]]
            if entry["config"]["name"] in calls
            else [],
        }
        for entry in entries
    ]
    config = {"name": "model_1", "layers": layers}
    config |= {"input_layers": [[name, 0, 0] for name in inputs]}
    config |= {"output_layers": [[name, 0, 0] for name in outputs]}
    return {"class_name": "Model", "config": config}


def input_config(name="input_1", shape=(None, None, 3)):
    config = {"name": name, "batch_input_shape": list(shape), "dtype": "float32"}
    return {"class_name": "InputLayer", "config": config}
