"""Models of Keras: the same scores and gradients as Keras has, from objects and from all files."""

from __future__ import annotations

import json
from itertools import pairwise

import keras
import numpy as np
import pytest
import torch
from keras import layers as L  # noqa: N812
from keras_files import (
    QUIET,
    cudnn_arrays,
    dense_config,
    functional_config,
    in_process,
    input_config,
    keras1_lstm,
    keras2,
    keras2_bidirectional,
    keras2_dense,
    keras2_embedding,
    lstm_config,
    no_advice,
    write_named,
)
from keras_models import CASES, D, V, bidirectional, inputs, masked, network, policy, rows
from random_models import relative_error

import lrplstm

BACKENDS = ("reference", "kernel")
BOUNDS = {"float32": 1e-5, "float64": 1e-12}

both_backends = pytest.mark.parametrize("backend", BACKENDS)
__all__ = ["in_process", "no_advice", "policy"]  # fixtures

pytestmark = QUIET


def numpy(tensor):
    return tensor.detach().cpu().numpy()


def agrees(found, expected, bound):
    """Whether arrays differ by no more than `bound`, relative to the largest number."""
    return relative_error(np.asarray(found), np.asarray(expected)) < bound


def check_scores_and_gradients(model, made, batch, bound, backend):
    """Compare with Keras, sequence by sequence."""
    for x in batch:
        start, scores = made.run(x[np.newaxis])
        expected = numpy(scores)[0]
        assert agrees(model.predict(x, backend=backend), expected, bound)
        last = scores[0] if model.pooling != "none" else scores[0].sum(dim=0)
        for target in range(model.num_classes):
            (gradient,) = torch.autograd.grad(last[target], start, retain_graph=True)
            expected = (numpy(gradient)[0] ** 2).sum(axis=-1)
            found = lrplstm.sensitivity(model, x, target, backend=backend)
            assert agrees(found.token_relevance, expected, 5 * bound)


# Forward and back -------------------------------------------------------------------------------


SINGLE = ("one layer", "bidirectional, two layers", "max", "dense stack", "mask, stack")


@both_backends
@pytest.mark.parametrize(
    ("case", "dtype"),
    [(case, "float64") for case in CASES] + [(case, "float32") for case in SINGLE],
)
def test_scores_and_gradients_of_a_model(case, dtype, backend, policy):
    policy(dtype)
    made = network(CASES[case], "functional" if len(case) % 2 else "sequential", dtype)
    model = lrplstm.from_keras(made.model)
    assert model.dtype == dtype
    batch = inputs(made.reads, (6, 1), dtype)
    check_scores_and_gradients(model, made, batch, BOUNDS[dtype], backend)


PADDED = [case for case in CASES if case.startswith("mask")]


def padded(width=9):
    """A batch with padding before, behind, on both sides, within and nowhere."""
    rng = np.random.default_rng(0)
    lengths = {"before": 5, "behind": 7, "both": 3, "within": 4, "most": 1, "none": width}
    batch = np.zeros((len(lengths), width), int)
    for row, ids, (place, T) in zip(
        batch, inputs("ids", lengths.values()), lengths.items(), strict=True
    ):
        at = {"before": width - T, "both": 2}.get(place, 0)
        scattered = place in ("within", "most")
        row[np.sort(rng.permutation(width)[:T]) if scattered else slice(at, at + T)] = ids
    return batch


@both_backends
@pytest.mark.parametrize("case", PADDED)
def test_padding(case, backend, policy):
    """Keras reads the padded batch; padded steps have gradients and relevance of zero."""
    policy("float64")
    made = network(CASES[case], dtype="float64")
    model = lrplstm.from_keras(made.model)
    assert model.mask_id == 0
    batch = padded()
    sequences = list(batch)
    start, scores = made.run(batch)
    assert agrees(model.predict(sequences, backend=backend), numpy(scores), 1e-12)
    for target in range(model.num_classes):
        (gradient,) = torch.autograd.grad(scores[:, target].sum(), start, retain_graph=True)
        expected = numpy(gradient) ** 2
        expected[batch == 0] = 0
        found = lrplstm.sensitivity(model, sequences, target, level="input", backend=backend)
        assert agrees(np.stack([a.input_relevance for a in found]), expected, 1e-11)
    found = lrplstm.lrp(model, sequences, backend=backend)
    relevance = np.stack([a.token_relevance for a in found])
    assert (relevance[batch == 0] == 0).all()
    assert (relevance[batch != 0] != 0).all()


@both_backends
def test_padding_where_every_step_has_scores(backend, policy):
    """Keras has scores of padded steps too; of those that are read, it has the same."""
    policy("float64")
    for layer in (rows(4), bidirectional(4, return_sequences=True)):
        made = network([masked(), layer, L.Dense(3)], dtype="float64")
        model = lrplstm.from_keras(made.model)
        batch = padded()[:3]
        expected = numpy(made.run(batch)[1])
        found = np.stack(model.predict(batch, backend=backend))
        assert agrees(found[batch != 0], expected[batch != 0], 1e-12)
        assert np.isnan(found[batch == 0]).all()
    with pytest.raises(ValueError, match=r"expected padding .* at the ends alone"):
        model.predict(padded(), backend=backend)


@pytest.mark.filterwarnings("ignore:Layer 'global_max_pooling1d:UserWarning")  # it has no masks
def test_padding_and_the_maximum_over_steps(policy):
    """Keras' maximum includes padded steps, which repeat the state before them, or are zero."""
    policy("float64")
    made = network([masked(), rows(4), L.GlobalMaxPooling1D()], dtype="float64")
    with pytest.warns(UserWarning, match=r"^'max' pooling of .* leave padding out in Keras too"):
        model = lrplstm.from_keras(made.model)
    for ids in ([[3, 1, 4]], [[3, 1, 4, 0, 0]]):
        assert agrees(model.predict(ids), numpy(made.run(np.array(ids))[1]), 1e-12)
    assert np.array_equal(model.predict([[0, 3, 1, 4]]), model.predict([[3, 1, 4]]))


@pytest.mark.parametrize(
    ("output", "probabilities"),
    [
        ("softmax", lambda s: np.exp(s) / np.exp(s).sum(axis=-1, keepdims=True)),
        ("sigmoid", lambda s: 1 / (1 + np.exp(-s))),
    ],
)
def test_scores_are_before_the_output_activation(output, probabilities):
    made = network([masked(), L.LSTM(4), L.Dense(3, output)])
    x = np.array([[0, 3, 1, 6, 0]])
    scores = lrplstm.from_keras(made.model).predict(x[0], backend="reference")
    expected = made.model.predict(x, verbose=0)[0]
    assert agrees(probabilities(scores), expected, 1e-5)


@both_backends
@pytest.mark.parametrize("merge_mode", ["sum", "ave"])
def test_conserved_through_a_merge(merge_mode, backend):
    """With bias_factor=1 relevance arrives whole, so none is lost in the folded merge."""
    layers = [bidirectional(4, merge_mode=merge_mode, return_sequences=True)]
    layers += [bidirectional(2, merge_mode=merge_mode), L.Dense(3)]
    model = lrplstm.from_keras(network(layers).model).astype("float64")
    (x,) = inputs("features", (6,))
    found = lrplstm.lrp(model, x, bias_factor=1.0, backend=backend)
    assert abs(found.delta) < 1e-9 * np.abs(found.scores).max()


# Files ------------------------------------------------------------------------------------------


def assert_same(found, expected):
    """The same arrays to the last bit, used in the same way."""
    for name in ("pooling", "mask_id", "dtype", "bidirectional", "num_layers", "num_classes"):
        assert getattr(found, name) == getattr(expected, name), name
    for a, b in zip(directions(found), directions(expected), strict=True):
        assert a.reverse == b.reverse
        for name, array in a.arrays().items():
            np.testing.assert_array_equal(array, b.arrays()[name], strict=True)
    for a, b in zip(found.head, expected.head, strict=True):
        assert a.activation == b.activation
        np.testing.assert_array_equal(a.weight, b.weight, strict=True)
        assert (a.bias is None) == (b.bias is None)
        if a.bias is not None:
            np.testing.assert_array_equal(a.bias, b.bias, strict=True)
    assert (found.embedding is None) == (expected.embedding is None)
    if found.embedding is not None:
        np.testing.assert_array_equal(found.embedding, expected.embedding, strict=True)


def directions(model):
    for layer in model.layers:
        yield from (layer,) if isinstance(layer, lrplstm.LSTMWeights) else layer


STORED = (
    "no biases",
    "training only",
    "one direction over two",
    "sums in a stack",
    "backward layer of its own",
    "backwards, then on",
    "each step",
    "dense stack",
    "activation layers",
    "activation of a sum",
    "mask, stack",
    "mask, mean",
    "mask, models in a model",
)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("case", STORED)
def test_whole_models(case, suffix, tmp_path):
    # Every case is there in both forms, in one kind of file each.
    form = "functional" if (len(case) % 2 == 0) == (suffix == ".h5") else "sequential"
    made = network(CASES[case], form)
    path = tmp_path / f"model{suffix}"
    made.model.save(path)
    found = lrplstm.from_keras(path)
    expected = lrplstm.from_keras(made.model)
    assert_same(found, expected)
    assert found.origin == expected.origin


@pytest.mark.parametrize("case", ["one direction over two", "mask, models in a model"])
def test_weights_with_a_config(case, tmp_path):
    made = network(CASES[case])
    path = tmp_path / "model.weights.h5"
    made.model.save_weights(path)
    found = lrplstm.from_keras(path, config=made.model.to_json())
    assert_same(found, lrplstm.from_keras(made.model))


def test_forms_of_a_config(tmp_path):
    made = network(CASES["three layers"])
    path, beside = tmp_path / "model.weights.h5", tmp_path / "model.json"
    made.model.save_weights(path)
    text = made.model.to_json()
    beside.write_text(text)
    expected = lrplstm.from_keras(made.model)
    for config in (beside, str(beside), text, json.loads(text)):
        assert_same(lrplstm.from_keras(path, config=config), expected)
    made.model.save(tmp_path / "model.keras")
    for source in (made.model, tmp_path / "model.keras"):
        with pytest.raises(ValueError, match=r"config: expected None, as .* has its own"):
            lrplstm.from_keras(source, config=text)
    with pytest.raises(TypeError, match="config: expected a path, JSON or a mapping, got int"):
        lrplstm.from_keras(path, config=3)
    with pytest.raises(ValueError, match=r"nothing\.json: expected a file, found none"):
        lrplstm.from_keras(path, config=tmp_path / "nothing.json")
    with pytest.raises(ValueError, match="config: expected JSON, got something else"):
        lrplstm.from_keras(path, config="{")


# Weights alone: the arguments that say the rest.
ALONE = {
    "one layer": {"pooling": "last"},
    "no biases": {"pooling": "last"},
    "no head": {"pooling": "last"},
    "three layers": {"pooling": "last"},
    "training only": {"pooling": "last"},
    "bidirectional, two layers": {"pooling": "last"},
    "two directions over one": {"pooling": "last"},
    "one direction over two": {"pooling": "last"},
    "sum": {"pooling": "last", "merge_mode": "sum"},
    "average": {"pooling": "last", "merge_mode": "ave"},
    "sum without a head": {"pooling": "last", "merge_mode": "sum"},
    "mean of sums": {"merge_mode": "sum"},
    "max": {},
    "each step": {},
    "each step, no head": {"pooling": "none"},
    "dense stack": {
        "pooling": "last",
        "dense_activations": ("relu", "tanh", "linear", "softmax"),
    },
    "mask, stack": {"pooling": "last", "mask_zero": True},
    "mask, mean": {"mask_zero": True, "pooling": "mean", "recurrent_activation": "sigmoid"},
}


@pytest.mark.parametrize("case", ALONE)
def test_weights_alone(case, tmp_path):
    made = network(CASES[case])
    path = tmp_path / "model.weights.h5"
    made.model.save_weights(path)
    found = lrplstm.from_keras(path, **ALONE[case])
    expected = lrplstm.from_keras(made.model)
    assert_same(found, expected)
    for part in ("embedding", "lstm", "head"):
        assert found.origin.get(part) == expected.origin.get(part)


def grus(units, **options):
    return L.GRU(units, return_sequences=True, **options)


CELLS_ALONE = {
    "GRU": lambda: [grus(4), L.GRU(5), L.Dense(3)],
    "GRU of Keras 2": lambda: [grus(4, reset_after=False), L.GRU(5, reset_after=False), L.Dense(3)],
    "two directions": lambda: [L.Bidirectional(L.GRU(4)), L.Dense(3)],
    "SimpleRNN": lambda: [L.SimpleRNN(4, return_sequences=True), L.SimpleRNN(5), L.Dense(3)],
    "two classes": lambda: [grus(4), L.LSTM(5), L.Dense(3)],
}


@pytest.mark.parametrize("case", CELLS_ALONE)
@pytest.mark.parametrize("named", [False, True])
def test_other_cells_alone(case, named, tmp_path):
    """From weights as Keras 3 and Keras 2 write them."""
    made = network(CELLS_ALONE[case])
    path = tmp_path / "model.weights.h5"
    made.model.save_weights(path)
    if named:
        layers = []
        for n, layer in enumerate(made.layers):
            arrays = stored(layer)
            if isinstance(layer, L.Bidirectional):
                layers.append(keras2_bidirectional(f"bidirectional_{n}", arrays[:3], arrays[3:]))
            else:
                make = keras2_dense if isinstance(layer, L.Dense) else keras2
                layers.append(make(f"layer_{n}", arrays))
        write_named(path, layers, version="2.4.0")
    model = lrplstm.from_keras(path, pooling="last", dense_activations=["linear"])
    x = np.stack(inputs("features", (6, 6)))
    expected = made.model.predict(x, verbose=0)
    assert relative_error(model.predict(x), expected) < 1e-5


# Files of Keras 1 and 2 -------------------------------------------------------------------------


HARD_SIGMOID = ("hard_sigmoid", {"alpha": 0.2})


def sides_of(model):
    """The weights of each direction of each LSTM, in a model of any layers."""
    return [side for layer in model.layers for side in getattr(layer, "directions", ())]


def stored(layer):
    """Arrays of a layer, without Keras' warnings."""
    return [numpy(variable.value) for variable in layer.weights]


@pytest.fixture
def chain():
    """An LSTM over a Bidirectional one over an Embedding, as Keras 3 has it."""
    layers = [masked(), bidirectional(4, return_sequences=True), L.LSTM(5), L.Dense(2, "softmax")]
    return network(layers)


def keras2_layers(made, dropout=True):
    embedding, both, lstm, dense = made.layers
    arrays = stored(both)
    layers = [
        keras2_embedding("embedding_1", stored(embedding)),
        keras2_bidirectional("bidirectional_1", arrays[:3], arrays[3:]),
        keras2("lstm_2", stored(lstm)),
        keras2_dense("dense_1", stored(dense)),
    ]
    return [*layers[:3], ("dropout_1", {}), layers[3]] if dropout else layers


KERAS2_CONFIG = [
    {
        "class_name": "Embedding",
        "config": {
            "name": "embedding_1",
            "input_dim": V,
            "output_dim": D,
            "mask_zero": True,
            "input_length": None,
        },
    },
    {
        "class_name": "Bidirectional",
        "config": {
            "name": "bidirectional_1",
            "merge_mode": "concat",
            "layer": lstm_config("lstm_1", 4, return_sequences=True),
        },
    },
    lstm_config("lstm_2", 5),
    {"class_name": "Dropout", "config": {"name": "dropout_1", "rate": 0.5}},
    dense_config("dense_1", 2),
]
SAID_OF_KERAS2 = {"pooling": "last", "mask_zero": True, "recurrent_activation": "sigmoid"}


@pytest.mark.parametrize("form", ["list", "layers", "functional", "weights"])
def test_keras_2(form, chain, tmp_path):
    names = [entry["config"]["name"] for entry in KERAS2_CONFIG]
    entries = [input_config(shape=(None, None)), *KERAS2_CONFIG]
    calls = {name: [before] for before, name in pairwise(["input_1", *names])}
    config = {
        "list": {"class_name": "Sequential", "config": KERAS2_CONFIG},
        "layers": {"class_name": "Sequential", "config": {"name": "s", "layers": KERAS2_CONFIG}},
        # The order of the list is of no account.
        "functional": functional_config(entries[::-1], ["input_1"], names[-1:], calls),
        "weights": None,
    }[form]
    path = write_named(tmp_path / "model.h5", keras2_layers(chain), config=config)
    found = lrplstm.from_keras(path, **SAID_OF_KERAS2 if form == "weights" else {})
    assert_same(found, lrplstm.from_keras(chain.model))
    assert found.origin == {
        "input": "input_1" if form == "functional" else "embedding_1_input",
        "embedding": "embedding_1",
        "lstm": "bidirectional_1, lstm_2",
        "head": "dense_1",
        "output": "dense_1",
    }


def test_keras_2_with_its_json(chain, tmp_path):
    path = write_named(tmp_path / "weights.h5", keras2_layers(chain), name_parts=3)
    config = {"class_name": "Sequential", "config": KERAS2_CONFIG, "keras_version": "2.2.4"}
    assert_same(lrplstm.from_keras(path, config=config), lrplstm.from_keras(chain.model))


def test_what_has_to_be_said(chain, tmp_path):
    """One error asks for all that is lacking, and each of it is enough."""
    layers = keras2_layers(chain)
    path = write_named(tmp_path / "weights.h5", layers)
    with pytest.raises(ValueError, match="weights only") as caught:
        lrplstm.from_keras(path)
    line = "pooling='last', mask_zero=True, recurrent_activation='sigmoid'"
    assert f"write from_keras({str(path)!r}, {line}) with what is so: " in str(caught.value)
    assert all(f"{name} (" in str(caught.value) for name in SAID_OF_KERAS2)
    for name in SAID_OF_KERAS2:
        said = {other: value for other, value in SAID_OF_KERAS2.items() if other != name}
        line = rf"{name}={SAID_OF_KERAS2[name]!r}\) with what is so: {name} \([^)]*\); or pass"
        with pytest.raises(ValueError, match=line):
            lrplstm.from_keras(path, **said)
    # From this version on, gates are sigmoid unless it was said otherwise.
    write_named(path, layers, version="2.3.0")
    model = lrplstm.from_keras(path, pooling="last", mask_zero=True)
    assert_same(model, lrplstm.from_keras(chain.model))
    write_named(path, layers, version="2.2.4-tf")
    with pytest.raises(ValueError, match=r"recurrent_activation='sigmoid'\) with"):
        lrplstm.from_keras(path, pooling="last", mask_zero=True)
    model = lrplstm.from_keras(path, **SAID_OF_KERAS2 | {"recurrent_activation": "hard_sigmoid"})
    assert [side.gate_activation for side in sides_of(model)] == 3 * [HARD_SIGMOID]


@pytest.mark.parametrize("described", [True, False])
def test_keras_1(described, tmp_path):
    made = network([L.Embedding(V, D), bidirectional(4), L.Dense(2)])
    embedding, both, dense = (stored(layer) for layer in made.layers)
    forward = keras1_lstm("forward_lstm_1", both[:3])[1]
    backward = keras1_lstm("backward_lstm_1", both[3:])[1]
    layers = [
        ("embedding_1", {"embedding_1_W": embedding[0]}),
        ("bidirectional_1", forward | backward),
        ("dense_1", {"dense_1_W": dense[0], "dense_1_b": dense[1]}),
        ("activation_1", {}),
    ]
    cell = {"name": "lstm_1", "output_dim": 4, "activation": "tanh", "inner_activation": "sigmoid"}
    cell |= {"return_sequences": False, "go_backwards": False, "consume_less": "cpu"}
    entries = {
        "Embedding": {"name": "embedding_1", "input_dim": V, "output_dim": D, "mask_zero": False},
        "Bidirectional": {
            "name": "bidirectional_1",
            "merge_mode": "concat",
            "layer": {"class_name": "LSTM", "config": cell},
        },
        "Dense": {"name": "dense_1", "output_dim": 2, "activation": "linear", "bias": True},
        "Activation": {"name": "activation_1", "activation": "softmax"},
    }
    config = {
        "class_name": "Sequential",
        "config": [{"class_name": name, "config": c} for name, c in entries.items()],
    }
    path = tmp_path / "model.h5"
    write_named(path, layers, config=config if described else None, version="1.2.2")
    said = {} if described else SAID_OF_KERAS2 | {"mask_zero": False}
    assert_same(lrplstm.from_keras(path, **said), lrplstm.from_keras(made.model))
    if described:
        cell["inner_activation"] = "hard_sigmoid"
        write_named(path, layers, config=config, version="1.2.2")
        assert [side.gate_activation for side in sides_of(lrplstm.from_keras(path))] == 2 * [
            HARD_SIGMOID
        ]


@pytest.mark.parametrize("described", [True, False])
def test_cudnn_lstm(described, tmp_path):
    """Its gates can only be sigmoid, so nothing has to be said of them."""
    made = network([rows(4), bidirectional(5), L.Dense(2)])
    one, two, dense = (stored(layer) for layer in made.layers)
    layers = [
        keras2("cu_dnnlstm_1", cudnn_arrays(*one)),
        keras2_bidirectional("bidirectional_1", cudnn_arrays(*two[:3]), cudnn_arrays(*two[3:])),
        keras2_dense("dense_1", dense),
    ]
    cells = [
        {"class_name": "CuDNNLSTM", "config": {"name": name, "units": units, **options}}
        for name, units, options in (
            ("cu_dnnlstm_1", 4, {"return_sequences": True}),
            ("cu_dnnlstm_2", 5, {"return_sequences": False}),
        )
    ]
    both = {"name": "bidirectional_1", "layer": cells[1], "merge_mode": "concat"}
    entries = [cells[0], {"class_name": "Bidirectional", "config": both}]
    config = {"class_name": "Sequential", "config": [*entries, dense_config("dense_1", 2)]}
    path = write_named(tmp_path / "m.h5", layers, config=config if described else None)
    found = lrplstm.from_keras(path, **{} if described else {"pooling": "last"})
    (x,) = inputs("features", (6,))
    expected = lrplstm.from_keras(made.model).predict(x, backend="reference")
    assert agrees(found.predict(x, backend="reference"), expected, 1e-6)


def test_frozen_layers_in_a_model_of_models(tmp_path):
    """Older files have what is trained of an inner model before what is not."""
    inner = keras.Sequential([L.Embedding(V, D), rows(4)])
    made = network([inner, L.LSTM(5), L.Dense(3)])
    inner.layers[0].trainable = False
    made.model.save(tmp_path / "model.h5")
    found = lrplstm.from_keras(tmp_path / "model.h5")
    assert_same(found, lrplstm.from_keras(made.model))


@pytest.mark.parametrize("name", ["float16", "bfloat16", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("suffix", [".keras", None])
def test_half_precision(name, suffix, policy, tmp_path):
    """Weights are those of Keras, in float32, which has room for all of them."""
    policy(name)
    layers = [L.LSTM(4, recurrent_initializer="zeros"), L.Dense(3)]
    made = network(layers)
    source = made.model
    if suffix:
        source = tmp_path / f"model{suffix}"
        made.model.save(source)
    model = lrplstm.from_keras(source)
    assert model.dtype == np.float32
    kernel, recurrent, bias = (variable.value.detach().float() for variable in layers[0].weights)
    np.testing.assert_array_equal(model.layers[0].weight_ih, kernel.numpy().T)
    np.testing.assert_array_equal(model.layers[0].weight_hh, recurrent.numpy().T)
    np.testing.assert_array_equal(model.layers[0].bias, bias.numpy())
    assert np.abs(model.layers[0].bias).min() > 0


def test_one_layer_in_double_makes_all_double():
    model = lrplstm.from_keras(network([L.LSTM(4), L.Dense(3, dtype="float64")]).model)
    assert model.dtype == np.float64


def test_what_is_passed_through(tmp_path):
    made = network([masked(), L.LSTM(4), L.Dense(2)])
    words = ["<pad>", "<unk>", *"abcde"]
    model = lrplstm.from_keras(
        made.model,
        vocabulary=words,
        class_names=("no", "yes"),
        unknown_token="<unk>",
        tokenizer="whitespace",
    )
    assert model.vocabulary == tuple(words)
    assert (model.class_names, model.unknown_token) == (("no", "yes"), "<unk>")
    assert model.tokenizer == "whitespace"
    model.save(tmp_path / "saved")
    assert_same(lrplstm.load(tmp_path / "saved"), model)
    with pytest.raises(ValueError, match="source: class_names: expected 2 names, got 1"):
        lrplstm.from_keras(made.model, class_names=["a"])
    with pytest.raises(TypeError, match="class_names: expected a sequence of str"):
        lrplstm.from_keras(made.model, class_names="ab")


def test_stateful_layers_start_from_zero():
    made = network([L.LSTM(4), L.Dense(3)])
    other = keras.Sequential(
        [keras.Input((None, D), batch_size=1), L.LSTM(4, stateful=True), L.Dense(3)]
    )
    for here, there in zip(made.model.weights, other.weights, strict=True):
        there.assign(here)
    assert_same(lrplstm.from_keras(other), lrplstm.from_keras(made.model))
