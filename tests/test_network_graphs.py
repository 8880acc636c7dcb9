"""Networks whose layers pick, repeat, join and reshape what they read, against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from random_models import QUICK, random_batch, random_weights, relative_error
from torch import nn

import lrplstm
from lrplstm.layers import (
    GRU,
    LSTM,
    Activation,
    Add,
    Average,
    Concatenate,
    ConcatenateSteps,
    DenseLayer,
    FinalState,
    Flatten,
    Maximum,
    Multiply,
    Permute,
    Pool,
    Repeat,
    Reshape,
    Reverse,
    Standardize,
    Step,
    Steps,
    Subtract,
    Units,
)

METHODS = [method for method in lrplstm.METHODS if method != "random"]
BACKENDS = ["kernel", "reference"]
D, H = 5, 4


def weights(seed, input_size, hidden_size=H):
    return random_weights(np.random.default_rng(seed), input_size, hidden_size, initial=False)


def dense(seed, input_size, output_size, activation="linear", **named):
    rng = np.random.default_rng(seed)
    weight, bias = rng.normal(0, 0.5, (output_size, input_size)), rng.normal(0, 0.5, output_size)
    return DenseLayer(weight, bias, activation, **named)


def lstm_with_states(one, x, start=None):
    """PyTorch's LSTM with these weights, over (T, D): h of every step, and the final states."""
    module = nn.LSTM(one.input_size, one.hidden_size, batch_first=True).double()
    arrays = {"weight_ih_l0": one.weight_ih, "weight_hh_l0": one.weight_hh, "bias_ih_l0": one.bias}
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(torch.tensor(arrays.get(name, np.zeros(len(one.bias)))))
    states = None if start is None else tuple(state[None, None] for state in start)
    output, finals = module(x[None], states)
    return output[0], *(final[0, 0] for final in finals)


def lstm(one, x):
    """The same, h of every step alone."""
    return lstm_with_states(one, x)[0]


def linear(layer, x):
    return x @ torch.tensor(layer.weight).T + torch.tensor(layer.bias)


BELOW, ABOVE = weights(1, D), weights(2, 2 * H)
FIRST = LSTM(BELOW, name="h")
STATIC = dense(3, H, 3, name="static")


def picked():
    """Steps by number, ranges from both ends, reversed steps, and a row at each step."""
    layers = [
        FIRST,
        Step(1, name="second"),
        Step(-2, name="last but one", reads=["h"]),
        Reverse(name="reversed", reads=["h"]),
        Concatenate(name="both", reads=["h", "reversed"]),
        Steps(1, -1, 2, name="some", reads=["both"]),
        LSTM(ABOVE, name="above", reads=["some"]),
        Pool("mean", name="mean", reads=["above"]),
        Repeat(name="at each", reads=["second", "h"]),
        Subtract(name="less", reads=["h", "at each"]),
        Pool("max", name="max"),
        Concatenate(reads=["last but one", "mean", "max"]),
    ]

    def scores(x):
        h = lstm(BELOW, x)
        above = lstm(ABOVE, torch.cat([h, h.flip(0)], 1)[1:-1:2])
        return torch.cat([h[-2], above.mean(0), (h - h[1]).max(0).values])

    return layers, scores


def of_fixed_length():
    """The last three steps flattened, reshaped and permuted, and a row that is repeated."""
    head = dense(4, 12, 5, "tanh", name="head")
    above = weights(5, 3, 2)
    layers = [
        FIRST,
        Steps(-3, name="last three"),
        Flatten(name="flat"),
        head,
        Permute(name="turned", reads=["last three"]),
        LSTM(above, name="over units"),
        Reshape(4, name="shaped"),
        Pool("last", name="last"),
        Step(0, name="first row", reads=["shaped"]),
        Repeat(4, name="four times", reads=["head"]),
        Flatten(name="wide"),
        Concatenate(reads=["last", "first row", "wide"]),
    ]

    def scores(x):
        three = lstm(BELOW, x)[-3:]
        row = linear(head, three.reshape(-1)).tanh()
        shaped = lstm(above, three.T).reshape(-1, 4)
        return torch.cat([shaped[-1], shaped[0], row.repeat(4)])

    return layers, scores


def joined():
    """Sums, products and steps of several layers put together; inputs that are standardized."""
    rng = np.random.default_rng(6)
    mean, deviation = rng.normal(size=D), rng.uniform(0.5, 2, D)
    gate = dense(7, D, H, "tanh", name="gate", reads=["scaled"])
    layers = [
        Standardize(mean, deviation, name="scaled"),
        LSTM(BELOW, name="h"),
        gate,
        Multiply(gate=1, name="gated", reads=["h", "gate"]),
        Maximum(name="largest", reads=["gated", "h"]),
        Units(1, 2, name="one", reads=["h"]),
        Multiply(name="product", reads=["one", "largest"]),
        Average(name="average", reads=["product", "h", "gate"]),
        Units(-3, name="three", reads=["scaled"]),
        Units(0, 3, name="of average", reads=["average"]),
        ConcatenateSteps(name="after each other", reads=["of average", "three"]),
        Step(2, name="row", reads=["three"]),
        ConcatenateSteps(name="one more", reads=["row", "of average"]),
        Pool("mean", name="mean"),
        LSTM(weights(8, 3), name="above", reads=["after each other"]),
        Pool("last", name="last"),
        Concatenate(reads=["last", "mean"]),
    ]

    def scores(x):
        y = (x - torch.tensor(mean)) / torch.tensor(deviation)
        h, g = lstm(BELOW, y), linear(gate, y).tanh()
        average = (h[:, 1:2] * torch.maximum(h * g, h) + h + g)[:, :3] / 3
        above = lstm(weights(8, 3), torch.cat([average, y[:, -3:]]))
        return torch.cat([above[-1], torch.cat([y[2:3, -3:], average]).mean(0)])

    return layers, scores


def with_states():
    """An encoder whose states a decoder goes on from, and cells that start from a computed h."""
    second, third = weights(9, D), weights(10, H)
    layers = [
        FIRST,
        FinalState("hidden", name="final h"),
        FinalState("cell", name="final c", reads=["h"]),
        dense(11, H, H, "tanh", name="other c"),
        Reverse(name="backwards", reads=["inputs"]),
        LSTM(second, name="decoder", reads=["backwards", "final h", "other c"]),
        FinalState("cell", name="last c"),
        Pool("last", name="last h", reads=["decoder"]),
        Multiply(name="start", reads=["last h", "final c"]),
        Repeat(4, name="four", reads=["last c"]),
        LSTM(third, name="from h alone", reads=["four", "start"]),
        Pool("mean", name="mean"),
        Concatenate(reads=["mean", "last c"]),
    ]

    def scores(x):
        _, h, c = lstm_with_states(BELOW, x)
        start = (h, linear(layers[3], c).tanh())
        _, h_2, c_2 = lstm_with_states(second, x.flip(0), start)
        start = (h_2 * c, torch.zeros(H, dtype=torch.float64))
        above, *_ = lstm_with_states(third, c_2.repeat(4, 1), start)
        return torch.cat([above.mean(0), c_2])

    return layers, scores


NETWORKS = [picked, of_fixed_length, joined, with_states]


@pytest.mark.parametrize("network", NETWORKS)
def test_scores_and_gradients_are_those_of_pytorch(network):
    layers, scores = network()
    model = lrplstm.Model(layers)
    batch = random_batch(lengths=(4, 7, 3, 6))
    for x, found in zip(batch, model.predict(batch), strict=True):
        tensor = torch.tensor(x, requires_grad=True)
        expected = scores(tensor)
        assert relative_error(found, expected.detach().numpy()) < 1e-12
        expected[5].backward()
        gradient = lrplstm.gradient_x_input(model, x, 5).input_relevance
        assert relative_error(gradient, tensor.grad.numpy() * x) < 1e-11


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("product_rule", ["all", "half"])
def test_relevance_is_conserved(network, product_rule):
    model = lrplstm.Model(network()[0])
    whole = lrplstm.lrp(
        model,
        random_batch(lengths=(4, 7, 3, 6)),
        "all",
        bias_factor=1.0,
        epsilon=0.01,
        product_rule=product_rule,
    )
    np.testing.assert_allclose(whole.delta, 0, atol=1e-9)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("method", METHODS)
def test_backends_batches_and_files_agree(network, method, tmp_path):
    model = lrplstm.Model(network()[0])
    batch = random_batch(lengths=(4, 7, 3, 6))
    options = {"target": 6, "level": "token"} | QUICK.get(method, {})
    found, expected = (
        lrplstm.explain(model, batch, method, backend=backend, **options) for backend in BACKENDS
    )
    assert relative_error(found.token_relevance, expected.token_relevance) < 1e-9
    model.save(tmp_path)
    again = lrplstm.load(tmp_path)
    for b, x in enumerate(batch):
        alone = lrplstm.explain(again, x, method, num_threads=1, **options)
        np.testing.assert_array_equal(alone.token_relevance, found[b].token_relevance)
    if method == "contextual_decomposition":  # all that is relevant, and biases, is the score
        assert np.abs(found.delta).max() > 0


@pytest.mark.parametrize("stop", [None, -2, 4])
@pytest.mark.parametrize("start", [0, 2, -3])
@pytest.mark.parametrize("stride", [1, 2])
def test_ranges_are_those_of_python(start, stop, stride):
    if start < 0 and stop == 4:
        with pytest.raises(ValueError, match="stop: expected it to count from the end"):
            Steps(start, stop)
        return
    picks = lrplstm.Model([dense(1, D, 3), Steps(start, stop, stride), Pool("mean")])
    every = lrplstm.Model([dense(1, D, 3), Pool("mean")])
    for x in random_batch(lengths=(5, 6, 9)):
        found, expected = picks.predict(x), every.predict(x[start:stop:stride])
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_product_of_two_signals_and_of_a_gate_and_a_signal():
    """Message by message: relevance of what is multiplied is seen where each has its own inputs."""
    x = np.array([[0.5, -2.0], [1.5, 0.25]])
    eye = np.eye(2)
    first = DenseLayer(eye[:1], name="y", reads=["inputs"])
    second = DenseLayer(eye[1:], name="z", reads=["inputs"])

    def found(**settings):
        product = Multiply(reads=["y", "z"], **settings)
        model = lrplstm.Model([first, second, product, Pool("mean", reads=["multiply"])])
        options = {"epsilon": 0.0, "product_rule": "prop"}
        return lrplstm.lrp(model, x, 0, **options).input_relevance

    product = x[:, :1] * x[:, 1:] / 2  # each step's part of the mean
    np.testing.assert_allclose(found(), np.repeat(product / 2, 2, axis=1))
    np.testing.assert_allclose(found(gate=0), product * x / x.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(found(gate=1, product_rule="all"), product * [[1, 0]])
    np.testing.assert_allclose(found(gate=0, product_rule="all"), product * [[0, 1]])


def test_what_does_not_fit_is_named():
    both = {"reads": ["h", "static"]}
    row = [FIRST, Pool("last", name="final"), dense(3, H, H, name="static")]
    cases = [
        ([FIRST, Flatten()], r"layers\[1\]: length: expected the number .* of the steps of 'inp"),
        ([FIRST, Steps(-3), Flatten(4)], r"layers\[2\]: length: expected 3, got 4"),
        ([FIRST, Steps(-3), Step(3)], r"layers\[2\]: layer 'step': expected at least 4 steps, g"),
        ([FIRST, Steps(-3), Reshape(5)], "size: expected a part of 3 times 4, got 5"),
        ([FIRST, Units(2, 5)], "expected units among 0 to 4, got 2 to 5"),
        ([*row, Add(**both)], "Repeat puts a row at each step"),
        ([*row, Repeat(**both)], "expected to read one row a sequence first"),
        ([FIRST, Pool("last"), Step(0)], "expected to read steps, got one row"),
        (
            [FIRST, Steps(2, name="two"), Add(reads=["h", "two"])],
            r"got .*'inputs' and .*\(length-2",
        ),
        ([FIRST, Multiply()], "expected to read two layers, got 1"),
        (
            [FIRST, Reverse(), FinalState("cell")],
            r"layers\[2\]: expected to read a recurrent",
        ),
        ([FIRST, FinalState("gate")], "state: expected hidden or cell, got 'gate'"),
        ([*row, LSTM(ABOVE, reads=["h", "static"])], "expected input_size 4, got 8"),
        ([*row, LSTM(weights(1, H), reads=["h", "h"])], "state of 4, .* got 4, at every step"),
        ([*row, LSTM(weights(1, H, 3), reads=["h", "static"])], "state of 3, .* got 4, one row"),
        ([*row, LSTM(weights(1, H), reads=["h", *["static"] * 3])], "at most 2 initial .*, got 3"),
    ]
    for layers, text in cases:
        with pytest.raises(ValueError, match=text):
            lrplstm.Model(layers)
    for make, text in [
        (lambda: Multiply(gate=2), "gate: expected 0, 1 or None, got 2"),
        (lambda: Multiply(product_rule="all"), "product_rule: expected None"),
        (lambda: Steps(2, 1), "stop: expected more than start, 2, got 1"),
        (lambda: Repeat(0), "count: expected at least 1"),
        (lambda: Standardize(np.ones(2), np.zeros(2)), "deviation: expected none that is 0"),
    ]:
        with pytest.raises(ValueError, match=text):
            make()


def test_sequences_of_another_length_are_refused_by_name():
    model = lrplstm.Model([FIRST, Flatten(4), dense(1, 4 * H, 2)])
    assert model.predict(random_batch(lengths=(4, 4))).shape == (2, 2)
    with pytest.raises(ValueError, match=r"^inputs\[1\]: layer 'flatten': expected 4 steps, got 5"):
        model.predict(random_batch(lengths=(4, 5)))
    model = lrplstm.Model([FIRST, Steps(2, -1), Activation("tanh"), Pool("mean")])
    with pytest.raises(ValueError, match=r"^inputs: layer 'steps': .* at least 4 steps, got 3"):
        lrplstm.lrp(model, random_batch()[0])


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_arrives_at_computed_states_goes_on_to_their_layers(backend):
    """Two directions of a GRU that start from what a dense layer makes of the first step.

    With inputs of zeros but there all relevance comes through those states. As the copies of a
    model whose own initial states they are, relevance of these is the same.
    """
    rng = np.random.default_rng(12)
    shapes = [(9, D), (9, 3), (9,), (9,)]
    both = [lrplstm.GRUWeights(*(rng.normal(0, 0.4, s) for s in shapes)) for _ in range(2)]
    start = dense(13, D, 6, "tanh")
    layers = [
        Step(0, name="first"),
        DenseLayer(start.weight, start.bias, "tanh", name="start"),
        GRU(*both, name="gru", reads=["inputs", "start"]),
        Pool("mean"),
    ]
    model = lrplstm.Model(layers)
    x = random_batch()[2]
    h = np.tanh(start.weight @ x[0] + start.bias)
    own = [
        one.replaced(initial_hidden=part) for one, part in zip(both, np.split(h, 2), strict=True)
    ]
    other = lrplstm.Model([tuple(own), Pool("mean")])
    np.testing.assert_allclose(model.predict(x), other.predict(x), rtol=1e-12)
    options = {"target": 1, "backend": backend, "bias_factor": 1.0}
    found, expected = (lrplstm.lrp(m, x, **options) for m in (model, other))
    assert found.initial_relevance == 0
    beyond = (found.input_relevance - expected.input_relevance).sum(axis=1)
    np.testing.assert_allclose(beyond[0], expected.initial_relevance, rtol=1e-9)
    np.testing.assert_allclose(beyond[1:], 0, atol=1e-12)


def test_a_network_of_very_many_layers_takes_no_time_but_theirs():
    names = ["final_state", *(f"final_state_{n}" for n in range(2, 10_001))]
    states = [FinalState("cell", reads=["h"]) for _ in names]
    model = lrplstm.Model([FIRST, *states, Concatenate(reads=names), Units(0, 2)])
    assert model.predict(random_batch()[0]).shape == (2,)
    deep = [Activation("tanh") for _ in range(10_000)]
    assert lrplstm.Model([FIRST, *deep, Pool("last")]).num_classes == H
