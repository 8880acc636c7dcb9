"""What of Keras cannot be explained: refused, and named."""

from __future__ import annotations

import json

import h5py
import keras
import numpy as np
import pytest
from keras import layers as L  # noqa: N812
from keras_files import (
    QUIET,
    cudnn_arrays,
    dense_config,
    functional_config,
    in_process,
    input_config,
    keras2,
    keras2_bidirectional,
    keras2_dense,
    keras2_embedding,
    lstm_config,
    no_advice,
    write_named,
)
from keras_models import D, V, bidirectional, masked, network, rows
from loader_fixtures import refused

import lrplstm

__all__ = ["in_process", "no_advice"]  # fixtures

pytestmark = QUIET


@keras.saving.register_keras_serializable("tests")
class Shifted(L.LSTM):
    """A class of somebody's own, which may compute anything."""


Shifted.__name__ = "LSTM"


class Unregistered(L.Dense):
    pass


# Layers -----------------------------------------------------------------------------------------

LAYERS = {
    "cell of its own": (
        lambda: [L.RNN(L.StackedRNNCells([L.LSTMCell(4)]), name="a")],
        r"layer 'a' \(RNN\): expected a cell of LSTMCell, GRUCell, SimpleRNNCell, got StackedRNN",
    ),
    "Masking": (
        lambda: [rows(4), L.Masking(0.0, name="a"), L.LSTM(4)],
        r"layer 'a' \(Masking\): expected one Masking, before all other layers",
    ),
    "UnitNormalization": (
        lambda: [rows(4), L.UnitNormalization(name="a"), L.LSTM(4)],
        r"layer 'a' \(UnitNormalization\): cannot be explained; dividing by the length",
    ),
    "EinsumDense": (
        lambda: [rows(4), L.EinsumDense("abc,cd->abd", (None, 3), name="a")],
        r"layer 'a' \(EinsumDense\): cannot be explained; layers of this class are not read; see",
    ),
    "UpSampling1D": (
        lambda: [L.UpSampling1D(2, name="a"), L.LSTM(4)],
        r"layer 'a' \(UpSampling1D\): cannot be explained",
    ),
    "activation of a cell": (
        lambda: [L.LSTM(4, activation="gelu", name="a")],
        r"layer 'a' \(LSTM\): expected activation of linear, relu, .*, got 'gelu'",
    ),
    "activation of gates": (
        lambda: [bidirectional(4, recurrent_activation="softmax"), L.Dense(3)],
        r"layer 'bidirectional\w*' \(LSTM\): expected recurrent_activation of linear, .*'softmax'",
    ),
    "backward GRU": (
        lambda: [L.Bidirectional(L.LSTM(4), backward_layer=L.GRU(4, go_backwards=True), name="a")],
        r"layer 'a' \(Bidirectional\): expected one class in both directions, got LSTM and GRU",
    ),
    "mask after backwards": (
        lambda: [masked(), rows(4, go_backwards=True), L.LSTM(4, name="a")],
        r"layer 'a' \(LSTM\): expected no mask after a go_backwards layer",
    ),
    "masked mean after backwards": (
        lambda: [masked(), rows(4, go_backwards=True), L.GlobalAveragePooling1D(name="a")],
        r"layer 'a' \(GlobalAveragePooling1D\): expected no mask after a go_backwards layer",
    ),
    "masked scores after backwards": (
        lambda: [masked(), rows(4, go_backwards=True), L.Dense(3, name="a")],
        r"layer 'a' \(Dense\): expected no mask after a go_backwards layer",
    ),
    "windows of padding": (
        lambda: [masked(), rows(4), L.Conv1D(4, 2, name="a"), L.LSTM(4)],
        r"layer 'a' \(Conv1D\): expected to pass over padding as layer 'lstm\w*' \(LSTM\) does",
    ),
    "pooling of channels": (
        lambda: [rows(4), L.GlobalMaxPooling1D(data_format="channels_first", name="a")],
        r"layer 'a' \(GlobalMaxPooling1D\): expected data_format 'channels_last'",
    ),
    "two outputs in a row": (
        lambda: [L.LSTM(4), L.Dense(4, "softmax"), L.Dense(3, name="b")],
        r"layer 'b' \(Dense\): it reads what layer 'dense\w*' \(Dense\) gives; expected nothing",
    ),
    "other activation": (
        lambda: [L.LSTM(4), L.Dense(4, "glu", name="a"), L.Dense(3)],
        r"layer 'a' \(Dense\): expected an activation of celu, elu, .*, tanh; got 'glu'",
    ),
    "threshold": (
        lambda: [L.LSTM(4), L.Dense(3), L.ReLU(threshold=1.0, name="a")],
        r"layer 'a' \(ReLU\): expected a ReLU without threshold, got 1.0",
    ),
    "steps without number": (
        lambda: [rows(4), L.Reshape((-1,), name="a")],
        r"layer 'a' \(Reshape\): expected a known shape of what it reads, got \(None, None, 4\)",
    ),
    "wrapped layer": (
        lambda: [L.TimeDistributed(L.Reshape((D, 1))), L.TimeDistributed(L.LSTM(4), name="a")],
        r"layer 'a' \(LSTM\): inside TimeDistributed only what reads each step by itself is read",
    ),
    "class of somebody's own": (
        lambda: [Shifted(4, name="a"), L.Dense(3)],
        r"layer 'a' \(LSTM\): expected a class of Keras, got one of 'test_keras_refused'",
    ),
    "class of somebody's own, unregistered": (
        lambda: [L.LSTM(4), Unregistered(3, name="a")],
        r"layer 'a' \(Unregistered\): expected a class of Keras, got one of 'test_keras_refused'",
    ),
}


@pytest.mark.filterwarnings("ignore:Layer 'a' .* was passed an input with a mask:UserWarning")
@pytest.mark.parametrize("case", LAYERS)
def test_layers(case):
    layers, match = LAYERS[case]
    with refused(f"source: {match}"):
        lrplstm.from_keras(network(layers, "functional").model)


def test_flattened_steps_without_number():
    """The model says how many there are, or its Dense layer has no size: so does a config alone."""
    config = network([rows(4), L.Flatten(name="a")]).model
    with refused(
        r"layer 'a' \(Flatten\): expected a fixed number of steps, which the model's input"
    ):
        lrplstm.from_keras(config)


@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`:UserWarning")
@pytest.mark.parametrize("suffix", [".keras", ".h5", None])
def test_code_is_not_run(suffix, tmp_path):
    """A Lambda layer has marshalled code in it; it is refused by its name."""
    network_ = network([L.Lambda(lambda x: x * 2, name="a"), L.LSTM(4)])
    source = network_.model
    if suffix:
        source = tmp_path / f"model{suffix}"
        network_.model.save(source)
    with refused(
        r"layer 'a' \(Lambda\): cannot be explained; its code is in the file and is never run"
    ):
        lrplstm.from_keras(source)


@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`:UserWarning")
def test_code_in_an_activation():
    with refused(r"layer 'a' \(Dense\): expected an activation of celu, .*got "):
        lrplstm.from_keras(network([L.LSTM(4), L.Dense(3, lambda x: x, name="a")]).model)


# Graphs -----------------------------------------------------------------------------------------


def test_several_outputs():
    start = keras.Input((None, D), name="one")
    state = L.LSTM(4)(start)
    model = keras.Model(start, [L.Dense(3, name="a")(state), L.Dense(2, name="b")(state)])
    with refused("source: output: expected one of 'a', 'b', as the model has several"):
        lrplstm.from_keras(model)
    with refused("source: output: expected one of 'a', 'b', got 'c'"):
        lrplstm.from_keras(model, output="c")
    with refused("output: expected a name, got 3", TypeError):
        lrplstm.from_keras(model, output=3)
    assert lrplstm.from_keras(model, output="b").num_classes == 2
    assert lrplstm.from_keras(network([L.LSTM(4, name="a")]).model, output="a").num_classes == 4


def test_only_the_states_output_matters():
    """`return_state` alone changes nothing."""
    start = keras.Input((None, D))
    y, _, _ = L.LSTM(4, return_state=True)(start)
    model = keras.Model(start, L.Dense(3)(y))
    made = network([L.LSTM(4), L.Dense(3)])
    for here, there in zip(made.model.weights, model.weights, strict=True):
        there.assign(here)
    (x,) = np.random.default_rng(0).normal(size=(1, 5, D))
    found, expected = (lrplstm.from_keras(m).predict(x) for m in (model, made.model))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("mask_zero", [True, False])
def test_masks_of_the_users_own(mask_zero):
    """Only the padding of an Embedding is a mask that the model can have."""
    ids = keras.Input((None,), name="ids")
    embedded = L.Embedding(V, D, mask_zero=mask_zero)(ids)
    mask = keras.ops.not_equal(ids, 3)
    with refused(r"layer 'a' \(LSTM\): expected no mask but that of an Embedding"):
        lrplstm.from_keras(keras.Model(ids, L.LSTM(4, name="a")(embedded, mask=mask)))


def test_dropout_in_use():
    start = keras.Input((None, D))
    y = L.Dropout(0.5, name="a")(L.LSTM(4)(start), training=True)
    with refused(r"layer 'a' \(Dropout\): expected a call without training, got True"):
        lrplstm.from_keras(keras.Model(start, y))


def test_models_of_a_class_of_their_own(tmp_path):
    class Classifier(keras.Model):
        """Its file has some of the layers where other models have theirs, by their names here."""

        def __init__(self, **layers):
            super().__init__()
            for name, layer in layers.items():
                setattr(self, name, layer)

        def call(self, x):
            for layer in self.layers:
                x = layer(x)
            return x

    what = r"of a Sequential or Functional model.*; what a class of one's own computes .*: make"
    model = Classifier(lstm=L.LSTM(4))
    with refused(f"source: expected the config {what}"):
        lrplstm.from_keras(model)
    for names in (("a", "b", "c"), ("embed", "lstm", "fc")):
        layers = (L.Embedding(V, D), L.LSTM(4), L.Dense(3))
        model = Classifier(**dict(zip(names, layers, strict=True)))
        model(np.ones((1, 2), int))
        model.save(tmp_path / "sub.keras")
        model.save_weights(tmp_path / "sub.weights.h5")
        with refused(f"sub.keras: expected the (config|weights) {what}"):
            lrplstm.from_keras(tmp_path / "sub.keras")
        with refused(f"sub.weights.h5: expected the weights {what}"):
            lrplstm.from_keras(tmp_path / "sub.weights.h5", pooling="last")
    with refused(f"sub.weights.h5: expected the config {what}"):
        lrplstm.from_keras(tmp_path / "sub.weights.h5", config=model.to_json())


@pytest.mark.parametrize("source", [None, 3, b"model.keras", {"lstm": 3}, np.ones(3)])
def test_what_is_no_source(source):
    with refused("source: expected a Keras model or a path, got", TypeError):
        lrplstm.from_keras(source)


# Configs of files -------------------------------------------------------------------------------


def bidirectional_config(name, go_backwards=False, **options):
    config = {"name": name, "layer": lstm_config("b", 4, go_backwards=go_backwards)}
    return {"class_name": "Bidirectional", "config": config | options}


def described(tmp_path, config, layers=()):
    return write_named(tmp_path / "model.h5", list(layers), config=config)


CALLS = {"a": ["input_1"], "b": ["a"]}
ENTRIES = [input_config(), lstm_config("a", 4), dense_config("b", 3)]
GRAPHS = {
    "circle": (
        functional_config(ENTRIES, ["input_1"], ["b"], {"a": ["b"], "b": ["a"]}),
        "layer '[ab]': expected no circle of layers, got one",
    ),
    "missing": (
        functional_config(ENTRIES, ["input_1"], ["b"], {"a": ["c"], "b": ["a"]}),
        "expected a layer 'c' in the config, found none",
    ),
    "several inputs": (
        functional_config(ENTRIES, ["input_1"], ["b"], {"a": ["input_1"], "b": ["a", "input_1"]}),
        r"layer 'b' \(Dense\): expected one input, got 2 \('a/Reshape:1', 'input_1'\)",
    ),
    "no outputs": (
        functional_config(ENTRIES, ["input_1"], [], CALLS),
        "expected output_layers in the config, got none",
    ),
    "no inputs": (
        functional_config(ENTRIES, [], ["b"], CALLS),
        "expected input_layers in the config, got none",
    ),
    "output that is not there": (
        functional_config(ENTRIES, ["input_1"], ["c"], CALLS),
        "expected a layer 'c' in the config, found none",
    ),
    "twice the name": (
        functional_config([*ENTRIES, dense_config("b", 3)], ["input_1"], ["b"], CALLS),
        "expected distinct names of layers",
    ),
    "not read": (
        functional_config(ENTRIES, ["input_1"], ["b"], {"b": ["a"]}),
        r"layer 'a' \(LSTM\): its call 0 is read, and it has 0",
    ),
}


@pytest.mark.parametrize("case", GRAPHS)
def test_graphs_in_files(case, tmp_path):
    config, match = GRAPHS[case]
    layers = [keras2("a", LSTM_ARRAYS), keras2_dense("b", arrays((4, 3), (3,)))]
    with refused(f"model.h5: {match}"):
        lrplstm.from_keras(described(tmp_path, config, layers))


CONFIGS = [
    (
        {
            "class_name": "Sequential",
            "config": [{"class_name": "NotEqual", "config": {"name": "a"}}],
        },
        r"layer 'a' \(NotEqual\): expected to compare a tensor with a number",
    ),
    (
        {
            "class_name": "Sequential",
            "config": [{"class_name": "ConvLSTM2D", "config": {"name": "a"}}],
        },
        r"layer 'a' \(ConvLSTM2D\): cannot be explained; steps that are images are not read",
    ),
    (
        {"class_name": "Sequential", "config": [bidirectional_config("a", go_backwards=True)]},
        r"layer 'a' \(Bidirectional\): expected go_backwards=False of LSTM in it",
    ),
    (
        {
            "class_name": "Sequential",
            "config": [bidirectional_config("a", backward_layer=lstm_config("b", 4))],
        },
        r"layer 'a' \(Bidirectional\): expected go_backwards=True of LSTM in it",
    ),
    (
        {
            "class_name": "Sequential",
            "config": [bidirectional_config("a", layer=None)],
        },
        r"layer 'a' \(Bidirectional\): expected a layer as 'layer' of its config, got None",
    ),
    ({"class_name": "Sequential", "config": []}, "expected layers in its config, got none"),
    ({"class_name": "Sequential", "config": [3]}, "expected a layer in the config, got 3"),
    ({"class_name": "Sequential", "config": [{"class_name": "LSTM"}]}, "expected a layer in the"),
    ({"class_name": "Sequential", "config": [{"class_name": "LSTM", "config": {}}]}, "a name of"),
    ({"class_name": "Mine", "config": []}, "Sequential or Functional model, got a Mine"),
    ([], r"Sequential or Functional model, got \[\]"),
    (3, "Sequential or Functional model, got 3"),
    (
        {"class_name": "Sequential", "config": [], "module": "mine"},
        "the model: expected a class of Keras, got one of 'mine'",
    ),
    (
        {"class_name": "Sequential", "config": [lstm_config("a", 4) | {"registered_name": "x>a"}]},
        r"layer 'a' \(LSTM\): expected a class of Keras, got 'x>a'",
    ),
    (
        {"class_name": "Sequential", "config": [lstm_config("a", 4, time_major=True)]},
        r"layer 'a' \(LSTM\): expected time_major=False",
    ),
    (
        {"class_name": "Sequential", "config": [lstm_config("a", 4, return_sequences="yes")]},
        r"layer 'a' \(LSTM\): expected return_sequences true or false, got 'yes'",
    ),
    (
        {"class_name": "Sequential", "config": [lstm_config("a", 5)]},
        r"layer 'a' \(LSTM\): expected units 5 of its config, got arrays of 4",
    ),
    (
        {"class_name": "Sequential", "config": [lstm_config("a", 4, use_bias=False)]},
        r"layer 'a' \(LSTM\): expected 2 arrays \(kernel, recurrent_kernel\), got 3",
    ),
    (
        {"class_name": "Sequential", "config": [lstm_config("b", 4)]},
        r"layer 'b' \(LSTM\): expected its weights in the file, found none",
    ),
]


@pytest.mark.parametrize(("config", "match"), CONFIGS)
def test_configs_in_files(config, match, tmp_path):
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape) for shape in ((3, 16), (4, 16), (16,))]
    with refused(f"model.h5: .*{match}"):
        lrplstm.from_keras(described(tmp_path, config, [keras2("a", arrays)]))


@pytest.mark.parametrize("key", ["units", "activation", "return_sequences", "merge_mode", "layer"])
def test_deep_lists_in_a_config(key, tmp_path):
    """They are quoted in part."""
    deep = []
    for _ in range(400):
        deep = [deep]
    options = {key: deep}
    make = bidirectional_config if key in ("merge_mode", "layer") else lstm_config
    entry = make("a", **options) if make is bidirectional_config else lstm_config("a", 4)
    entry["config"] |= options
    config = {"class_name": "Sequential", "config": [entry]}
    layers = [keras2("a", [np.ones(shape) for shape in ((3, 16), (4, 16), (16,))])]
    with refused(r"layer 'a' .*\[\[\["):
        lrplstm.from_keras(described(tmp_path, config, layers))


@pytest.mark.parametrize("key", ["input_layers", "output_layers"])
def test_deep_lists_in_a_graph(key, tmp_path):
    config = functional_config(ENTRIES, ["input_1"], ["b"], CALLS)
    for _ in range(400):
        config["config"][key] = [config["config"][key]]
    with refused(r"expected layers as the ends of the model, got \[\[\["):
        lrplstm.from_keras(described(tmp_path, config))


def test_models_in_models_without_end(tmp_path):
    config = {"class_name": "Sequential", "config": {"name": "a", "layers": [lstm_config("a", 4)]}}
    for _ in range(40):
        config = {"class_name": "Sequential", "config": {"name": "a", "layers": [config]}}
    with refused("expected models in models at most 32 deep"):
        lrplstm.from_keras(described(tmp_path, config))


# Weights alone ----------------------------------------------------------------------------------


def arrays(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(0, 0.3, shape) for shape in shapes]


LSTM_ARRAYS = arrays((3, 16), (4, 16), (16,))
SAID = {"pooling": "last", "recurrent_activation": "sigmoid"}
WEIGHTS = {
    "GRU without biases": (
        [keras2("a", arrays((3, 12), (4, 12)))],
        r"layer 'a' \(GRU\): without biases its arrays do not tell reset_after; pass the model's",
    ),
    "two gates": ([keras2("a", arrays((3, 8), (4, 8), (8,)))], "layer 'a' .*cannot be explained"),
    "Conv1D": ([keras2_dense("a", arrays((3, 3, 4), (4,)))], "layer 'a' .*cannot be explained"),
    "BatchNormalization": (
        [("a", dict(zip(("a/gamma:0", "a/beta:0"), arrays((3,), (3,)), strict=True)))],
        "layer 'a' .*cannot be explained, .* gamma, beta",
    ),
    "no LSTM": ([keras2_dense("a", arrays((3, 4), (4,)))], "expected a layer of LSTM, GRU, Simple"),
    "a name that says nothing": (
        [keras2("a", LSTM_ARRAYS), ("b", {}), keras2_dense("c", arrays((4, 3), (3,)))],
        "layer 'b' .*its name does not tell what it does; pass the model's config",
    ),
    "activation inside": (
        [keras2("a", LSTM_ARRAYS), ("activation_1", {}), keras2_dense("c", arrays((4, 3)))],
        r"layer 'activation_1' \(Activation\): its name does not tell what it does; pass",
    ),
    "activation without Dense": (
        [keras2("a", LSTM_ARRAYS), ("activation_1", {})],
        r"layer 'activation_1' \(Activation\): its name does not tell what it does; pass",
    ),
    "widths": (
        [keras2("a", LSTM_ARRAYS), keras2_dense("c", arrays((5, 3)))],
        r"layer 'c' \(Dense\): kernel: expected 4 inputs, got 5",
    ),
    "widths of a stack": (
        [keras2("a", LSTM_ARRAYS), keras2("b", LSTM_ARRAYS)],
        r"layer 'b' \(LSTM\): kernel: expected 4 inputs, got 3",
    ),
    "widths of an embedding": (
        [keras2_embedding("e", arrays((9, 5))), keras2("b", LSTM_ARRAYS)],
        r"layer 'b' \(LSTM\): kernel: expected 5 inputs, got 3",
    ),
    "two poolings": (
        [keras2("a", LSTM_ARRAYS), ("global_max_pooling1d", {}), ("global_max_pooling1d_1", {})],
        "expected one pooling, got max and max",
    ),
    "not finite": (
        [keras2("a", [*LSTM_ARRAYS[:2], LSTM_ARRAYS[2] * np.nan])],
        r"layer 'a' \(LSTM\): bias: expected finite numbers, got NaN or infinity",
    ),
    "integers": (
        [keras2("a", [array.astype(int) for array in LSTM_ARRAYS])],
        "layer 'a' .*expected 'a/a/kernel:0' to be floats, got numbers of another kind",
    ),
    "biases whose sum is too large": (
        [keras2("a", [*cudnn_arrays(*LSTM_ARRAYS)[:2], np.full(32, 1e308)])],
        r"layer 'a' \(LSTM\): expected a finite sum of its two biases",
    ),
}


@pytest.mark.parametrize("case", WEIGHTS)
def test_weights_alone(case, tmp_path):
    layers, match = WEIGHTS[case]
    path = write_named(tmp_path / "weights.h5", layers)
    said = SAID | ({"mask_zero": False} if case == "widths of an embedding" else {})
    if case == "two poolings":
        said.pop("pooling")
    with refused(f"weights.h5: {match}"):
        lrplstm.from_keras(path, **said)


def test_a_merge_that_the_file_does_not_say(tmp_path):
    both = keras2_bidirectional("bidirectional_1", LSTM_ARRAYS, LSTM_ARRAYS)
    for layers in ([both], [both, keras2_dense("c", arrays((4, 3), (3,)))]):
        path = write_named(tmp_path / "weights.h5", layers)
        with refused(
            r"merge_mode='concat'.* \('concat', 'sum' or 'ave' of 'bidirectional_1'\); or"
        ):
            lrplstm.from_keras(path, **SAID)
        assert lrplstm.from_keras(path, merge_mode="sum", **SAID).head
    with refused(r"layer 'c' \(Dense\): kernel: expected 8 inputs, got 4"):
        lrplstm.from_keras(path, merge_mode="concat", **SAID)


def test_orders_that_numbered_files_do_not_tell(tmp_path):
    """Their groups are numbered by class, so only widths can order LSTM and Bidirectional."""
    path = tmp_path / "model.weights.h5"
    made = network([bidirectional(4, return_sequences=True), rows(8), bidirectional(4)])
    made.model.save_weights(path)
    config = made.model.to_json()
    assert lrplstm.from_keras(path, config=config).num_layers == 3
    made = network([masked(), bidirectional(2, return_sequences=True), rows(5), bidirectional(2)])
    made.model.save_weights(path)
    said = {"pooling": "last", "merge_mode": "concat"}
    assert lrplstm.from_keras(path, mask_zero=False, **said).num_layers == 3
    start = keras.Input((None, 4))
    model = keras.Sequential([start, bidirectional(2, return_sequences=True), L.LSTM(4)])
    model.save_weights(path)
    with refused("the order of LSTM and Bidirectional is not known, several orders fit; pass"):
        lrplstm.from_keras(path, pooling="last")
    keras.Sequential([start, rows(5), bidirectional(3, return_sequences=True)]).save_weights(path)
    with h5py.File(path, "a") as file:  # as nothing can read it
        arrays = file["layers/bidirectional/forward_layer/cell/vars"]
        del arrays["0"]
        arrays["0"] = np.ones((9, 12), "f4")
    with refused("the order of LSTM and Bidirectional is not known, no order fits; pass"):
        lrplstm.from_keras(path, pooling="last")
    keras.Sequential([start, rows(5), L.TimeDistributed(L.Dense(3)), L.Dense(2)]).save_weights(path)
    with refused("the order of Dense and TimeDistributed is not known; pass"):
        lrplstm.from_keras(path)
    keras.Sequential([start, L.LSTM(5), L.Activation("relu")]).save_weights(path)
    with refused(r"'activation\w*' \(activation\): the file does not say what it does; pass"):
        lrplstm.from_keras(path)
    keras.Sequential([start, rows(5), L.Conv1D(5, 2, name="a")]).save_weights(path)
    with refused(r"layer 'a' \(conv1d\): the file does not say what it does; pass"):
        lrplstm.from_keras(path)
    keras.Sequential([start, L.EinsumDense("abc,cd->abd", (None, 3), name="a")]).save_weights(path)
    with refused(r"layer 'a' \(einsum_dense\): cannot be explained"):
        lrplstm.from_keras(path)
    keras.Sequential([start, keras.Sequential([L.LSTM(5)], name="a")]).save_weights(path)
    with refused(r"layer 'a' \(sequential\): the file does not say what it does; pass"):
        lrplstm.from_keras(path)


# Arguments --------------------------------------------------------------------------------------

CONTRADICTIONS = [
    ({"pooling": "mean"}, "pooling: expected None or 'last' as the model has it, got 'mean'"),
    ({"merge_mode": "sum"}, "merge_mode: expected None or 'concat' as the model has it, got 'sum'"),
    ({"mask_zero": False}, "mask_zero: expected None or True as the model has it, got False"),
    (
        {"recurrent_activation": "hard_sigmoid"},
        "recurrent_activation: expected None or 'sigmoid' as the model has it, got 'hard_sigmoid'",
    ),
    (
        {"dense_activations": ["tanh", "softmax"]},
        r"dense_activations: expected None or \['relu', 'softmax'\] as the model has it, got \['ta",
    ),
    ({"dense_activations": ["relu"]}, r"dense_activations: expected None or \['relu', 'softmax'\]"),
]
AGREEMENTS = {
    "pooling": "last",
    "merge_mode": "concat",
    "mask_zero": True,
    "recurrent_activation": "sigmoid",
    "dense_activations": ("relu", "softmax"),
}


def test_arguments_that_a_config_contradicts(tmp_path):
    made = network([masked(), bidirectional(4), L.Dense(5, "relu"), L.Dense(3, "softmax")])
    path = tmp_path / "model.keras"
    made.model.save(path)
    for said, match in CONTRADICTIONS:
        with refused(f"model.keras: {match}"):
            lrplstm.from_keras(path, **said)
        with refused(f"source: {match}"):
            lrplstm.from_keras(made.model, **said)
    assert lrplstm.from_keras(path, **AGREEMENTS).num_classes == 3


@pytest.mark.parametrize("name", ["merge_mode", "mask_zero", "dense_activations"])
def test_arguments_about_layers_that_are_not_there(name, tmp_path):
    path = write_named(tmp_path / "weights.h5", [keras2("a", LSTM_ARRAYS)])
    for source, said in ((network([L.LSTM(4)]).model, {}), (path, SAID)):
        with refused(f"{name}: expected (None, as the model has no layer it is about|0, one for)"):
            lrplstm.from_keras(source, **said | {name: AGREEMENTS[name]})


@pytest.mark.parametrize(
    ("said", "kind", "match"),
    [
        ({"pooling": 3}, TypeError, "pooling: expected one of 'last', .*, got int"),
        ({"pooling": "first"}, ValueError, "pooling: expected one of 'last', .*, got 'first'"),
        ({"merge_mode": "max"}, ValueError, "merge_mode: expected one of 'concat', 'sum', 'ave'"),
        ({"mask_zero": 1}, TypeError, "mask_zero: expected True or False, got 1"),
        ({"recurrent_activation": 3}, TypeError, "recurrent_activation: expected a str, got 3"),
        ({"dense_activations": "relu"}, TypeError, "dense_activations: expected a sequence of str"),
        ({"dense_activations": [1]}, TypeError, "dense_activations: expected a sequence of str"),
    ],
)
def test_arguments_of_a_wrong_kind(said, kind, match):
    with refused(match, kind):
        lrplstm.from_keras("nothing.keras", **said)


def test_json_of_another_thing(tmp_path):
    path = write_named(tmp_path / "weights.h5", [keras2("a", LSTM_ARRAYS)])
    with refused("weights.h5: expected the config of a Sequential or Functional model, got {}"):
        lrplstm.from_keras(path, config={})
    (tmp_path / "model.json").write_text(json.dumps([1]))
    for form in ("sequential", "functional"):
        config = network([L.LSTM(4)], form).model.get_config()
        with refused(r"weights.h5: .*, got what get_config\(\) says, .*; pass model.to_json\(\)$"):
            lrplstm.from_keras(path, config=config)
    with refused(r"weights.h5: expected the config of a Sequential or Functional model, got \[1"):
        lrplstm.from_keras(path, config=tmp_path / "model.json")
