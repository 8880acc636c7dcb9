"""Networks of any layers: a layer of one's own, graphs, and what cannot be."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
import pytest
from random_models import (
    QUICK,
    random_batch,
    random_gru,
    random_model,
    random_rnn,
    random_weights,
    relative_error,
)

import lrplstm
from lrplstm.backends.reference.scan import CELLS
from lrplstm.cli import main
from lrplstm.layers import (
    GRU,
    LAYERS,
    LSTM,
    RNN,
    Activation,
    Add,
    AdditiveAttention,
    Affine,
    Average,
    Axis,
    Concatenate,
    ConcatenateSteps,
    Convolution,
    DotProductAttention,
    FinalState,
    Flatten,
    Form,
    Layer,
    LayerNormalization,
    Maximum,
    Multiply,
    Permute,
    Pool,
    PReLU,
    Recurrent,
    Repeat,
    Reshape,
    Reverse,
    RMSNormalization,
    Softmax,
    Standardize,
    Step,
    Steps,
    Subtract,
    Units,
    WeightedSum,
    WindowPool,
    register,
)
from lrplstm.storage import read_folder
from lrplstm.weights import CellWeights

METHODS = [method for method in lrplstm.METHODS if method != "random"]
SEEDED = np.random.default_rng(0)
BACKENDS = ["kernel", "reference"]


@register
@dataclass(frozen=True, eq=False, repr=False)
class Scale(Layer):
    """A learned factor for each unit: a layer that the package does not have."""

    kind: ClassVar[str] = "test.scale"
    scale: np.ndarray

    @property
    def input_size(self):
        return len(self.scale)

    def forward(self, inputs, offsets):
        return inputs[0] * self.scale

    def relevance(self, past, relevance, rule, product_rule):
        # Epsilon rule, diagonal matrix, no bias, K lower units.
        (y,), z, *_ = past
        q = rule.quotient(z, relevance)
        share = rule.share(q, z, 0.0, len(self.scale))[..., np.newaxis]
        return (y * self.scale * q + share,)

    def gradient(self, past, gradient):
        return (gradient * self.scale,)

    def decompose(self, past, relevant, copies):
        return relevant[0] * self.scale


@register
@dataclass(frozen=True, eq=False, repr=False)
class Halved(Layer):
    """The sums of two steps each; one that is left over at the end is dropped."""

    kind: ClassVar[str] = "test.halved"

    def form(self, inputs):
        size, axis = self.only(inputs)
        return Form(size, axis.windows(2, stride=2))

    def lengths(self, lengths):
        return lengths[0] // 2

    def _first(self, past_offsets):
        return np.concatenate([np.arange(a, b - 1, 2) for a, b in pairwise(past_offsets)])

    def forward(self, inputs, offsets):
        first = self._first(offsets[0])
        return inputs[0][first] + inputs[0][first + 1]

    def relevance(self, past, relevance, rule, product_rule):
        # Epsilon rule, weights 1, no bias.
        (y,), z, (offsets,), _ = past
        q, first = rule.quotient(z, relevance), self._first(offsets)
        share = rule.share(q, z, 0.0, 2 * y.shape[1])[..., np.newaxis]
        of_input = np.zeros((len(relevance), *y.shape), y.dtype)
        for step in (first, first + 1):
            of_input[:, step] = y[step] * q + share
        return (of_input,)

    def gradient(self, past, gradient):
        (y,), _, (offsets,), _ = past
        of_input, first = np.zeros((len(gradient), *y.shape), y.dtype), self._first(offsets)
        of_input[:, first] = of_input[:, first + 1] = gradient
        return (of_input,)


H, C = 4, 3


@pytest.fixture(params=[np.float32, np.float64])
def both_models(request):
    """A model with scaled states and scaled means, and one whose head has the factors."""
    rng, dtype = np.random.default_rng(5), request.param
    pair = tuple(random_weights(rng, 5, H, dtype) for _ in range(2))
    steps, means = (rng.uniform(0.5, 2, 2 * H).astype(dtype) for _ in range(2))
    weight, bias = rng.normal(size=(C, 2 * H)).astype(dtype), rng.normal(size=C).astype(dtype)
    model = lrplstm.Model(
        [pair, Scale(steps), Pool("mean"), Scale(means), lrplstm.DenseLayer(weight, bias)],
        class_names=["a", "b", "c"],
    )
    return model, lrplstm.LSTMModel([pair], weight * steps * means, bias, pooling="mean")


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_layer_of_ones_own_has_scores_and_every_method(both_models, backend):
    """Factors are the same before and after a mean, and in the head; so are gradients, and effects.

    Relevance is so with epsilon 0, where a factor of a single number hands on all there is.
    """
    model, folded = both_models
    batch = random_batch(dtype=model.dtype)
    tolerance = 2e-5 if model.dtype == np.float32 else 1e-10
    expected = folded.predict(batch, backend=backend)
    assert relative_error(model.predict(batch, backend=backend), expected) < tolerance
    for method in METHODS:
        options = QUICK.get(method, {}) | ({"epsilon": 0.0} if method == "lrp" else {})
        found, expected = (
            lrplstm.explain(m, batch, method, target=1, backend=backend, **options)
            for m in (model, folded)
        )
        for name in ("token_relevance", "input_relevance"):
            assert relative_error(getattr(found, name), getattr(expected, name)) < tolerance, method


@pytest.mark.parametrize("level", ["token", "input"])
def test_relevance_through_a_layer_of_ones_own(both_models, level):
    model, _ = both_models
    x = random_batch(dtype=model.dtype)[0]
    whole = lrplstm.lrp(model, x, "all", bias_factor=1.0, epsilon=0.1, level=level)
    np.testing.assert_allclose(whole.delta, 0, atol=1e-5)
    found, expected = (
        lrplstm.lrp(model, x, 2, epsilon=0.1, epsilon_factor=1.0, level=level, backend=backend)
        for backend in BACKENDS
    )
    assert relative_error(found.token_relevance, expected.token_relevance) < 1e-4


def test_a_layer_of_ones_own_is_saved_loaded_and_shown(both_models, tmp_path, capsys, monkeypatch):
    model, _ = both_models
    x = random_batch(dtype=model.dtype)[2]
    model.save(tmp_path)
    for again in (lrplstm.load(tmp_path), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert type(again) is lrplstm.Model
        assert again.class_names == ("a", "b", "c")
        assert [layer.name for layer in again.layers] == [
            "lstm", "test.scale", "pool", "test.scale_2", "dense"
        ]  # fmt: skip
        np.testing.assert_array_equal(again.predict(x), model.predict(x))
        np.testing.assert_array_equal(*(lrplstm.lrp(m, x).token_relevance for m in (again, model)))
        with pytest.raises(ValueError, match="read-only"):
            again.layers[1].scale[0] = 1
    other = np.float64 if model.dtype == np.float32 else np.float32
    assert model.astype(other).predict(x).dtype == other

    assert main(["info", "--model", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "test.scale_2: test.scale, scale (8,), reads pool" in shown
    assert "dense: linear, 8 to 3, bias, reads test.scale_2" in shown

    monkeypatch.delitem(LAYERS, "test.scale")
    with pytest.raises(ValueError, match=r"layers\[1\]: kind: .*'test.scale'.*import the module"):
        lrplstm.load(tmp_path)
    with pytest.raises(ValueError, match=r"layers\[1\]: Scale is not registered"):
        model.save(tmp_path)


def graph(pooling, *, dtype=np.float64):
    """An LSTM that is read three times, by another, and around it."""
    rng = np.random.default_rng(3)
    first = LSTM(*(random_weights(rng, 5, 3, dtype) for _ in range(2)), name="first")
    second = LSTM(random_weights(rng, 6, 6, dtype), name="second")
    weight, bias = rng.normal(size=(4, 18)).astype(dtype), rng.normal(size=4).astype(dtype)
    layers = [
        first,
        second,
        Add(name="around", reads=["second", "first"]),
        Pool(pooling, name="pooled"),
        Pool("last", name="last", reads=["first"]),
        Pool("last", name="last of both", reads=["around"]),
        Concatenate(reads=["last", "pooled", "last of both"]),
        lrplstm.DenseLayer(weight, bias),
        Activation("tanh"),
    ]
    return lrplstm.Model(layers)


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_what_is_read_twice_gets_the_sum(pooling):
    model = graph(pooling)
    batch = random_batch()
    x = batch[2]
    expected = np.empty_like(x)
    for t, d in np.ndindex(x.shape):
        moved = []
        for step in (1e-6, -1e-6):
            other = x.copy()
            other[t, d] += step
            moved.append(model.predict(other)[2])
        expected[t, d] = (moved[0] - moved[1]) / 2e-6
    found = lrplstm.gradient_x_input(model, x, 2).input_relevance
    assert relative_error(found, expected * x) < 1e-7
    relevance = lrplstm.lrp(model, batch, "all", bias_factor=1.0, epsilon=0.01)
    np.testing.assert_allclose(relevance.delta, 0, atol=1e-9)
    for method in METHODS:
        options = {"target": 1, "level": "token"} | QUICK.get(method, {})
        found, expected = (
            lrplstm.explain(model, batch, method, backend=backend, **options)
            for backend in BACKENDS
        )
        assert relative_error(found.token_relevance, expected.token_relevance) < 1e-10
        alone = lrplstm.explain(model, x, method, **options)
        np.testing.assert_array_equal(alone.token_relevance, found_of_kernel(found, 2))


def found_of_kernel(attributions, b):
    return attributions[b].token_relevance


def test_a_graph_is_saved_and_loaded(tmp_path):
    model = graph("max", dtype=np.float32)
    model.save(tmp_path)
    again = lrplstm.load(tmp_path)
    assert [layer.reads for layer in again.layers] == [layer.reads for layer in model.layers]
    x = random_batch(dtype=np.float32)[0]
    np.testing.assert_array_equal(again.predict(x), model.predict(x))


def test_the_short_form_is_a_model_of_the_same_layers():
    short = random_model(head="stack", pooling="mean", layers=2)
    assert isinstance(short, lrplstm.Model)
    model = lrplstm.Model([*short.layers, Pool("mean"), *short.head])
    batch = random_batch()
    np.testing.assert_array_equal(model.predict(batch), short.predict(batch))
    for method in METHODS:
        options = {"target": 1} | QUICK.get(method, {})
        found, expected = (lrplstm.explain(m, batch, method, **options) for m in (model, short))
        np.testing.assert_array_equal(found.token_relevance, expected.token_relevance)


def test_layers_that_read_words_and_steps_with_scores():
    """Nothing but a dense layer reads the embedding, and each step has scores."""
    rng = np.random.default_rng(8)
    weight, embedding = rng.normal(size=(2, 3)), rng.normal(size=(4, 3))
    model = lrplstm.Model([lrplstm.DenseLayer(weight)], embedding=embedding)
    scores = model.predict([[0, 3, 1], [2]])
    np.testing.assert_allclose(scores[0], embedding[[0, 3, 1]] @ weight.T)
    found = lrplstm.lrp(model, [0, 3, 1], (1, 0), epsilon=0.0)
    np.testing.assert_allclose(found.token_relevance, [0, scores[0][1, 0], 0], atol=1e-12)
    with pytest.raises(ValueError, match="hidden_relevance"):
        lrplstm.lrp(model, [0, 3], hidden_relevance=np.ones((2, 2)))


def test_relevance_of_states_is_that_of_the_top_recurrent_layer(both_models):
    model, folded = both_models
    x, rng = random_batch(dtype=model.dtype)[0], np.random.default_rng(4)
    for shape in [(len(x), 2 * H), (2 * H,)]:  # of each step; of what is pooled
        given = rng.normal(size=shape)
        expected = lrplstm.lrp(folded, x, hidden_relevance=given)
        same = lrplstm.Model([*folded.layers, Pool("mean"), *folded.head, Activation("tanh")])
        found = lrplstm.lrp(same, x, hidden_relevance=given)
        np.testing.assert_array_equal(found.token_relevance, expected.token_relevance)
    with pytest.raises(ValueError, match="hidden_relevance: expected shape"):
        lrplstm.lrp(model, x, hidden_relevance=given)  # its states are not what is pooled


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"kind": "dens"}, "kind: expected one of .* did you mean 'dense'"),
        ({"kind": ["dense"]}, "kind: expected one of"),
        ({"name": None}, "name: expected a string"),
        ({"name": "first"}, "name: expected one of its own"),
        ({"reads": "last"}, "reads: expected a sequence of names"),
        ({"reads": ["last\x1b"]}, r"got 'last\\x1b'"),
        ({"settings": {"activation": []}}, "activation: expected"),
        ({"settings": {"forward": 1}}, "forward"),
        ({"settings": {"name": "dense"}}, "settings: expected"),
    ],
)
def test_files_that_say_something_else_of_a_layer(changed, text, tmp_path):
    graph("mean").save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["layers"][7] |= changed
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=text):
        lrplstm.load(tmp_path)


def test_arrays_of_no_layer_and_layers_without_arrays(tmp_path):
    graph("mean").save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["layers"][7]["kind"] = "add"
    config["layers"][7]["settings"] = {}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"layers\[7\]: 'add': .*'(weight|bias)'"):
        lrplstm.load(tmp_path)
    del config["layers"][7:]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"expected no tensor 'layers.7.bias'"):
        lrplstm.load(tmp_path)


def test_layers_that_do_not_fit():
    rng = np.random.default_rng(1)
    lstm, dense = random_weights(rng, 5, 4), lrplstm.DenseLayer(rng.normal(size=(2, 4)))
    cases = [
        ([], "layers: expected at least one layer"),
        ([lstm, "pool"], r"layers\[1\]: expected a layer, or .*, got 'pool'"),
        ([lstm, lrplstm.DenseLayer(np.ones((2, 5)))], r"layers\[1\]: expected input_size 4, got 5"),
        ([LSTM(lstm, name="a"), Pool("mean", name="a")], r"layers\[1\]: name: expected one of its"),
        ([lstm, Pool("mean", reads=["dense"]), dense], r"layers\[1\]: reads: expected 'inputs' or"),
        ([lstm, Pool("mean"), Pool("max"), dense], r"layers\[2\]: expected to read steps"),
        ([lstm, Pool("mean"), Pool("max", reads=["lstm"])], r"layers\[1\]: 'pool' is read by no"),
        ([lstm, Pool("mean"), Add(reads=["lstm", "pool"])], "either steps or rows of sequences"),
        ([Pool("mean")], "has an input_size, or an embedding"),
        ([lstm, Pool("mean"), dense.astype("float32")], "expected the dtype of"),
    ]
    for layers, text in cases:
        with pytest.raises((TypeError, ValueError), match=text):
            lrplstm.Model(layers)
    with pytest.raises(ValueError, match=r"pooling: .*, got 'average'"):
        Pool("average")


@pytest.mark.parametrize(
    ("make", "name", "values"),
    [
        (lambda v: PReLU(v), "slope", [[1, 2], 0.5, np.ones((2, 2)), np.array([np.nan])]),
        (lambda v: LayerNormalization(v, epsilon=0.1), "size", [0, -1, 3.5, True, "3", np.inf]),
        (lambda v: RMSNormalization(3, epsilon=v), "epsilon", [-1, np.nan, "0", None, 10**400]),
        (lambda v: DotProductAttention(scale=v), "scale", [np.inf, True, "1", [1.0]]),
        (lambda v: DotProductAttention(causal=v), "causal", ["no", 1, None, np.ones(2)]),
        (lambda v: WindowPool("max", 2, round_up=v), "round_up", ["no", 0]),
        (lambda v: WindowPool("max", v), "window", [10**30, 0]),
        (lambda v: Convolution(np.ones((1, 1, 2)), stride=v), "stride", [10**30, 0, 1.0]),
        (lambda v: Repeat(v), "count", [10**30, 0]),
        (lambda v: Standardize(v, np.ones(3)), "mean", [np.ma.masked_less(np.ones(3), 2), 1.0]),
        (lambda v: random_gru(SEEDED, 3, 2).replaced(weight_hh=v), "weight_hh", [None, 1.0]),
        (lambda v: random_gru(SEEDED, 3, 2, reset_after=v), "reset_after", ["no", 0, None]),
        (lambda v: random_rnn(SEEDED, 3, 2).replaced(bias=v), "bias", [None, [1]]),
        (lambda v: random_weights(SEEDED, 3, 2).replaced(bias=v), "bias", [None]),
        (lambda v: random_weights(SEEDED, 3, 2).replaced(reverse=v), "reverse", ["no", None]),
    ],
)
def test_arguments_of_layers_are_refused_by_their_names(make, name, values):
    for value in values:
        with pytest.raises((TypeError, ValueError), match=f"^{name}: expected"):
            make(value)


def test_every_kind_of_layer_is_registered_once(tmp_path):
    assert {"lstm", "dense", "activation", "pool", "add", "concatenate"} <= set(LAYERS)

    class Other(Layer):
        kind = "dense"

    with pytest.raises(ValueError, match="kind: expected a new one, got 'dense'"):
        register(Other)
    graph("mean").save(tmp_path)
    assert "head" not in read_folder(tmp_path)[0]
    random_model().save(tmp_path)  # an older release reads it
    assert '"format_version": 2' in (tmp_path / "config.json").read_text()


def test_a_layer_that_lacks_a_way_back_is_named():
    class OneWay(Layer):
        kind = "test.one_way"

        def forward(self, inputs, offsets):
            return 2 * inputs[0]

    dense = lrplstm.DenseLayer(np.array([[0.5, -2.0]]))
    layers = [OneWay(reads=["x"]), Pool("mean"), dense]
    model, x = lrplstm.Model(layers, inputs={"x": 2}), {"x": np.ones((3, 2))}
    assert model.predict(x) == -3
    for explain, method in ((lrplstm.lrp, "relevance"), (lrplstm.sensitivity, "gradient")):
        with pytest.raises(NotImplementedError, match=f"^OneWay: expected a method {method}, "):
            explain(model, x, target=0)
    with pytest.raises(ValueError, match=r"is not defined for the layer 'test\.one_way'"):
        lrplstm.contextual_decomposition(model, x, target=0)


def test_a_layer_that_gives_another_shape_or_dtype_is_named():
    class Wrong(Scale):
        def relevance(self, past, relevance, rule, product_rule):
            return super().relevance(past, relevance[0], rule, product_rule)

    class Wide(Scale):
        def forward(self, inputs, offsets):
            return inputs[0].astype(np.float64)

    lstm = random_weights(np.random.default_rng(1), 5, H, np.float32)
    x, ones = random_batch(dtype=np.float32)[0], np.ones(H, np.float32)
    model = lrplstm.Model([lstm, Pool("last"), Wrong(ones, name="mine")])
    with pytest.raises(ValueError, match=r"'mine': relevance: expected shape \(1, 1, 4\)"):
        lrplstm.lrp(model, x)
    model = lrplstm.Model([lstm, Pool("last"), Wide(ones)])
    with pytest.raises(ValueError, match=r"'test.scale': forward: .* dtype float32, got .*float64"):
        model.predict(x)


@dataclass(frozen=True, eq=False, repr=False)
class PlainWeights(CellWeights):
    """One direction of plain recurrent cells: h = tanh(W_ih x + W_hh h + b)."""

    bias: np.ndarray
    initial_hidden: np.ndarray


class PlainCell:
    """The steps of that cell, forward and back."""

    @staticmethod
    def step(weights, W_x, before):
        a = W_x + weights.weight_hh @ before[0] + weights.bias
        return (np.tanh(a),), (a, before[0])

    @staticmethod
    def relevance(weights, past, after, rule, share_product):
        a, h_before = past
        q = rule.quotient(a, after[0])
        units = weights.input_size + weights.hidden_size
        share = rule.share(q, a, weights.bias, units)[:, np.newaxis]
        return (h_before * (q @ weights.weight_hh) + share,), q, share

    @staticmethod
    def gradient(weights, past, after):
        da = after[0] * (1 - np.tanh(past[0]) ** 2)
        return (da @ weights.weight_hh,), da

    @staticmethod
    def decompose(weights, past, W_x, before, phrase):
        a, relevant = past[0], W_x + weights.weight_hh @ before[0]
        first = np.tanh(weights.bias + relevant) - np.tanh(weights.bias)
        return ((first + np.tanh(a) - np.tanh(a - relevant)) / 2,)


CELLS[PlainWeights] = PlainCell


@register
class Plain(Recurrent):
    kind = "test.plain"
    cell = PlainWeights


def plain_weights(rng, D, H):
    shapes = [(H, D), (H, H), (H,), (H,)]
    return PlainWeights(*(rng.normal(0, 0.4, shape) for shape in shapes))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_cell_of_ones_own(tmp_path, backend):
    """Two directions of it, above an LSTM and below another."""
    rng = np.random.default_rng(2)
    model = lrplstm.Model(
        [
            random_weights(rng, 5, 4),
            Plain(plain_weights(rng, 4, 3), plain_weights(rng, 4, 3)),
            Plain(plain_weights(rng, 6, 2), name="top"),
            Pool("last"),
        ]
    )
    batch = random_batch()
    x = batch[0]
    h = model.replaced(layers=model.layers[:2]).predict(x, backend=backend)
    state, weights = model.layers[2].directions[0].initial_hidden, model.layers[2].directions[0]
    for of_step in h:
        state = np.tanh(weights.weight_ih @ of_step + weights.weight_hh @ state + weights.bias)
    np.testing.assert_allclose(model.predict(x, backend=backend), state, rtol=1e-12)

    moved = np.empty_like(x)
    for t, d in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[t, d] = 1e-6
        scores = [model.predict(x + s, backend=backend)[1] for s in (step, -step)]
        moved[t, d] = (scores[0] - scores[1]) / 2e-6
    found = lrplstm.gradient_x_input(model, x, 1, backend=backend)
    assert relative_error(found.input_relevance, moved * x) < 1e-7
    whole = lrplstm.lrp(model, batch, "all", bias_factor=1.0, product_rule="half", backend=backend)
    np.testing.assert_allclose(whole.delta, 0, atol=1e-9)
    assert (whole.initial_relevance != 0).all()
    for method in METHODS:
        lrplstm.explain(model, batch, method, target=0, backend=backend, **QUICK.get(method, {}))

    model.save(tmp_path)
    again = lrplstm.load(tmp_path)
    assert again.layers[2].describe() == "Plain, one direction, weight_ih (2, 6), weight_hh (2, 2)"
    np.testing.assert_array_equal(again.predict(x), model.predict(x))


def every_layer():
    """One of each kind there is, reading six numbers a step."""
    rng = np.random.default_rng(6)
    read_twice = {"reads": ["first", "inputs of it"]}
    return [
        LSTM(random_weights(rng, 6, 3), random_weights(rng, 6, 3)),
        lrplstm.DenseLayer(rng.normal(size=(4, 6)), rng.normal(size=4), "tanh"),
        lrplstm.DenseLayer(rng.normal(size=(4, 6)), rng.normal(size=4), "relu"),
        lrplstm.DenseLayer(rng.normal(size=(4, 6)), rng.normal(size=4), ("elu", {"alpha": 0.7})),
        Activation("tanh"),
        Activation("linear"),
        Activation(("leaky_relu", {"alpha": 0.2})),
        PReLU(rng.uniform(0.1, 0.5, 6)),
        Pool("last"),
        Pool("mean"),
        Pool("max"),
        Pool("sum"),
        Softmax("units"),
        Softmax("steps"),
        Add(**read_twice),
        Subtract(**read_twice),
        Average(**read_twice),
        Maximum(**read_twice),
        Multiply(**read_twice),
        Multiply(gate=1, **read_twice),
        Concatenate(**read_twice),
        ConcatenateSteps(**read_twice),
        FinalState("cell", reads=["first"]),
        LSTM(random_weights(rng, 6, 6), name="second", reads=["inputs of it", "final"]),
        Step(-2),
        Steps(-2),
        Steps(0, -1, 2),
        Reverse(),
        Repeat(reads=["final", "first"]),
        Repeat(3, reads=["final"]),
        Units(1, -1),
        Flatten(3),
        Reshape(2, 3),
        Permute(3),
        Standardize(rng.normal(size=6), rng.uniform(0.5, 2, 6)),
        Convolution(rng.normal(size=(4, 6, 3)), rng.normal(size=4)),
        Convolution(rng.normal(size=(6, 2, 2)), None, 2, "same", groups=3),
        Affine(rng.uniform(0.5, 2, 6), rng.normal(size=6)),
        LayerNormalization(6, rng.normal(size=6), rng.normal(size=6), epsilon=0.1),
        RMSNormalization(6, rng.normal(size=6), epsilon=0.1),
        WeightedSum(**read_twice),
        DotProductAttention(2, reads=["first", "inputs of it", "first"]),
        AdditiveAttention(rng.normal(size=6), reads=["first", "first", "inputs of it"]),
        WindowPool("max", 2, 1),
        WindowPool("mean", 2, 1, padding="causal"),
        Scale(rng.uniform(0.5, 2, 6)),
        Halved(),
        Plain(plain_weights(rng, 6, 3)),
        GRU(random_gru(rng, 6, 3), random_gru(rng, 6, 3, reset_after=False)),
        RNN(random_rnn(rng, 6, 3), random_rnn(rng, 6, 3, activation="softsign")),
    ]


def test_every_kind_is_among_these():
    assert {layer.kind for layer in every_layer()} == set(LAYERS)


def model_with(layer):
    """A network with a layer among its steps, and scores of a sequence."""
    rng = np.random.default_rng(7)
    layers = [
        lrplstm.DenseLayer(rng.normal(size=(6, 5)), rng.normal(size=6), name="inputs of it"),
        LSTM(random_weights(rng, 6, 6), name="first"),
    ]
    if layer.reads is not None and "final" in layer.reads:
        layers.append(Pool("last", name="final"))
    layers.append(layer)
    if isinstance(layer, Softmax):  # the weights of a product
        layers[-1] = layer.called("weights", None)
        layers.append(Multiply(1, "all", reads=["first", "weights"]))
    if not isinstance(layer, FinalState | Flatten | Pool | Step | WeightedSum):
        layers.append(Pool("mean"))
    return lrplstm.Model(layers)


@pytest.mark.parametrize("n", range(len(every_layer())))
def test_every_layer_by_its_differences_its_conservation_and_its_file(n, tmp_path):
    layer, rng = every_layer()[n], np.random.default_rng(8)
    model, x = model_with(layer), random_batch()[0]
    weights = rng.normal(size=model.num_classes)
    moved = np.empty_like(x)
    for t, d in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[t, d] = 1e-6
        scores = [model.predict(x + s) @ weights for s in (step, -step)]
        moved[t, d] = (scores[0] - scores[1]) / 2e-6
    for backend in BACKENDS:
        found = lrplstm.gradient_x_input(model, x, weights, backend=backend)
        assert relative_error(found.input_relevance, moved * x) < 1e-7
        whole = lrplstm.lrp(model, x, "all", bias_factor=1.0, epsilon=0.1, backend=backend)
        np.testing.assert_allclose(whole.delta, 0, atol=1e-10)
    model.save(tmp_path)
    np.testing.assert_array_equal(lrplstm.load(tmp_path).predict(x), model.predict(x))
    if type(layer).decompose is Layer.decompose and type(layer).prepare is Layer.prepare:
        return
    found, expected = (
        lrplstm.contextual_decomposition(model, x, weights, backend=backend) for backend in BACKENDS
    )
    assert relative_error(found.token_relevance, expected.token_relevance) < 1e-10


@pytest.mark.parametrize("pooling", ["sum", "last", "mean"])
def test_words_that_no_recurrent_layer_reads(pooling):
    """A bag of words: each word's part of the score is its row of the embedding, weighed."""
    rng = np.random.default_rng(10)
    table, weight = rng.normal(size=(6, 4)), rng.normal(size=(3, 4))
    model = lrplstm.Model([Pool(pooling), lrplstm.DenseLayer(weight)], embedding=table)
    batch = [[5, 1, 1], [2], [0, 3]]
    found = lrplstm.gradient_x_input(model, batch, 2)
    for ids, one in zip(batch, found, strict=True):
        part = {"sum": 1, "mean": 1 / len(ids), "last": np.arange(len(ids)) == len(ids) - 1}
        np.testing.assert_allclose(one.token_relevance, table[ids] @ weight[2] * part[pooling])


def test_the_parts_of_a_product_by_contextual_decomposition():
    """Of x (W x + b), x and W x are the step's and b is nobody's: its product with x is halved."""
    rng = np.random.default_rng(11)
    W, b, v, x = (rng.normal(size=shape) for shape in [(5, 5), 5, (1, 5), (4, 5)])
    mean, deviation = rng.normal(size=5), rng.uniform(0.5, 2, 5)
    model = lrplstm.Model(
        [
            Standardize(mean, deviation, name="x"),
            lrplstm.DenseLayer(W, b + W @ (mean / deviation), name="z"),
            Multiply(reads=["x", "z"]),
            Pool("sum"),
            lrplstm.DenseLayer(v),
        ]
    )
    y, z = (x - mean) / deviation, x / deviation @ W.T + b
    np.testing.assert_allclose(model.predict(x), (y * z).sum(axis=0) @ v[0])
    own = x / deviation  # the mean is a constant, too
    part = (own * z + y * (z - b)) / 2
    found = lrplstm.contextual_decomposition(model, x, 0)
    np.testing.assert_allclose(found.token_relevance, part @ v[0])


def test_a_state_that_no_layer_gives_is_the_layers_own():
    rng = np.random.default_rng(12)
    weights, dense = random_weights(rng, 5, 4), lrplstm.DenseLayer(rng.normal(0, 0.4, (4, 5)))
    x = random_batch()[2]
    layers = [Step(0), dense.called("h", None), LSTM(weights, reads=["inputs", "h"]), Pool("last")]
    instead = weights.replaced(initial_hidden=dense.weight @ x[0])
    for backend in BACKENDS:
        expected = lrplstm.Model([instead, Pool("last")]).predict(x, backend=backend)
        found = lrplstm.Model(layers).predict(x, backend=backend)
        np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_an_axis_of_windows_of_windows_is_that_of_what_is_left():
    """However windows are taken of windows, they are as many as (length + add) // stride says."""
    axis, lengths = Axis("inputs"), np.arange(40, 80)
    counted = lengths
    for window, stride in [(3, 2), (2, 1), (4, 3), (2, 2)]:
        axis = axis.windows(window, stride)
        counted = np.array([len(range(0, n - window + 1, stride)) for n in counted])
        np.testing.assert_array_equal((lengths + axis.add) // axis.stride, counted)
    assert Axis("inputs").then(1, 2).then(-1) == Axis("inputs").then(-1, 2)
    assert Axis.of_length(9).windows(3, 2) == Axis.of_length(4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_layer_that_halves_the_steps(backend):
    """Steps of another number go on through recurrent layers, poolings, copies and batches."""
    rng = np.random.default_rng(9)
    first, *second = (random_weights(rng, D, units) for D, units in [(5, 4), (4, 3), (4, 3)])
    model = lrplstm.Model([first, Halved(), LSTM(*second), Activation("tanh"), Pool("max")])
    batch = random_batch(lengths=(3, 4, 7, 2))
    states = lrplstm.LSTMModel([first], pooling="none").predict(batch)
    sums = [np.add.reduceat(h[: len(h) // 2 * 2], np.arange(0, len(h) - 1, 2)) for h in states]
    above = lrplstm.LSTMModel([tuple(second)], pooling="none").predict(sums[2])
    expected = np.tanh(above).max(axis=0)
    np.testing.assert_allclose(model.predict(batch, backend=backend)[2], expected, rtol=1e-12)
    for method in METHODS:
        if method == "contextual_decomposition":
            with pytest.raises(ValueError, match=r"not defined for the layer 'test\.halved'"):
                lrplstm.contextual_decomposition(model, batch, backend=backend)
            continue
        options = {"target": 1, "level": "token", "backend": backend} | QUICK.get(method, {})
        alone = lrplstm.explain(model, batch[2], method, **options)
        found = lrplstm.explain(model, batch, method, **options)[2]
        np.testing.assert_array_equal(alone.token_relevance, found.token_relevance)
    with pytest.raises(
        ValueError, match=r"^inputs: layer 'test.halved': expected more steps, got 1"
    ):
        model.predict(batch[0][:1], backend=backend)
    with pytest.raises(ValueError, match=r"the same steps, got .* and .*length\) // 2"):
        lrplstm.Model([first, Halved(), Add(reads=["lstm", "test.halved"])])
