"""Attention: PyTorch and Keras, and messages to every value."""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import literal
import numpy as np
import pytest
import torch
from random_models import random_batch, random_weights, relative_error

import lrplstm
from lrplstm.layers import (
    LSTM,
    AdditiveAttention,
    DotProductAttention,
    Multiply,
    Pool,
    Softmax,
    Step,
    WeightedSum,
)

D, K = 5, 6
LENGTHS = (7, 1, 4)


def draw(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.normal(0, 0.6, shape) for shape in shapes]


def dense(name, size, seed, reads="inputs", activation="linear"):
    arrays = draw(seed, (size, K if reads == "states" else D), size)
    return lrplstm.DenseLayer(*arrays, activation, name=name, reads=[reads])


def scored(heads, activation="tanh"):
    """Values and scores of the inputs, and their sum."""
    return [
        dense("values", K, 1),
        dense("hidden", 4, 2, activation=activation),
        lrplstm.DenseLayer(*draw(3, (heads, 4)), name="scores"),
        WeightedSum(reads=["values", "scores"]),
    ]


def queried(layer, query="steps"):
    """Values that queries weigh: of each step, or one of each sequence."""
    layers = [dense("queries", K, 4), dense("keys", K, 5), dense("values", K, 6)]
    reads = ["queries", "keys", "values"]
    if query == "sequence":
        layers.append(Step(-1, name="query", reads=["queries"]))
        reads[0] = "query"
        return [*layers, layer.called("attention", reads)]
    return [*layers, layer.called("attention", reads), Pool("mean")]


ATTENTIONS = {
    "one head": lambda: scored(1),
    "three heads": lambda: scored(3),
    "a weight for each unit": lambda: scored(K),
    "dot products": lambda: queried(DotProductAttention(scale=0.8)),
    "heads": lambda: queried(DotProductAttention(2)),
    "causal": lambda: queried(DotProductAttention(3, causal=True)),
    "one query": lambda: queried(DotProductAttention(2), "sequence"),
    "additive": lambda: queried(AdditiveAttention(*draw(7, K))),
    "additive, causal": lambda: queried(AdditiveAttention(*draw(7, K), causal=True)),
    "additive, one query": lambda: queried(AdditiveAttention(*draw(7, K)), "sequence"),
}
attentions = pytest.mark.parametrize("layers", ATTENTIONS.values(), ids=ATTENTIONS)


def torch_dense(layer, x):
    z = x @ torch.tensor(layer.weight).T
    z = z if layer.bias is None else z + torch.tensor(layer.bias)
    return torch.tanh(z) if layer.activation == "tanh" else z


def torch_scores(layers, x):
    """All that the network computes for one sequence, by name, and alpha (heads, queries, T)."""
    values = {"inputs": x}
    for layer in layers:
        read = [values[name] for name in layer.reads]
        if isinstance(layer, lrplstm.DenseLayer):
            values[layer.name] = torch_dense(layer, read[0])
        elif isinstance(layer, Step):
            values[layer.name] = read[0][-1:]
        elif isinstance(layer, Pool):
            values[layer.name] = read[0].mean(0)
        elif isinstance(layer, WeightedSum):
            v, scores = read
            alpha = torch.softmax(scores, 0).T[:, None]
            heads = v.reshape(len(v), len(alpha), -1).transpose(0, 1)
            values[layer.name] = (alpha @ heads).transpose(0, 1).reshape(-1)
        else:
            q, k, v = (y.reshape(len(y), layer.heads, -1).transpose(0, 1) for y in read)
            if isinstance(layer, AdditiveAttention):
                weight = torch.tensor(layer.weight)
                scores = (torch.tanh(q[:, :, None] + k[:, None]) * weight).sum(-1)
            else:
                scores = q @ k.transpose(1, 2) * (layer.scale or k.shape[-1] ** -0.5)
            if layer.causal:
                behind = torch.ones(scores.shape[1:], dtype=bool).triu(1)
                scores = scores.masked_fill(behind, -torch.inf)
            alpha = torch.softmax(scores, -1)
            values[layer.name] = (alpha @ v).transpose(0, 1).reshape(len(read[0]), -1)
            if len(read[0]) == 1 and read[0] is not values["inputs"] and "query" in layer.reads:
                values[layer.name] = values[layer.name][0]
        last = values[layer.name]
    return values, alpha, last


@attentions
def test_scores_and_gradients_are_those_of_pytorch(layers):
    model = lrplstm.Model(layers())
    batch, v = random_batch(lengths=LENGTHS), draw(8, K)[0]
    found = lrplstm.gradient_x_input(model, batch, v)
    for b, x in enumerate(batch):
        inputs = torch.tensor(x, requires_grad=True)
        _, _, scores = torch_scores(model.layers, inputs)
        (gradient,) = torch.autograd.grad((scores * torch.tensor(v)).sum(), inputs)
        assert relative_error(model.predict(batch)[b], scores.detach().numpy()) < 1e-12
        assert relative_error(found[b].input_relevance, gradient.numpy() * x) < 1e-11


@pytest.mark.parametrize("factors", [(0.0, 0.0), (0.3, 0.7), (1.0, 1.0)])
@attentions
def test_against_messages_to_every_value(layers, factors):
    model = lrplstm.Model(layers())
    layer = next(one for one in model.layers if "values" in one.reads)
    rule = {"epsilon": 0.05, "bias_factor": factors[0], "epsilon_factor": factors[1]}
    batch, v = random_batch(lengths=LENGTHS), draw(8, K)[0]
    whole = lrplstm.lrp(model, batch, v, **rule)
    for b, x in enumerate(batch):
        values, alpha, scores = torch_scores(model.layers, torch.tensor(x))
        alpha, values = alpha.numpy(), {name: one.numpy() for name, one in values.items()}
        y, z = values["values"], values[layer.name].reshape(-1, K)
        R, T, width = v * scores.numpy(), len(x), K // len(alpha)
        if isinstance(model.layers[-1], Pool):  # T rows, their mean
            W = np.tile(np.eye(K) / T, T)
            R = literal.messages(z.ravel(), W, np.zeros(K), R / v, R, T * K, **rule)
        R, R_y = R.reshape(-1, K), np.zeros_like(y)
        causal = getattr(layer, "causal", False)
        for s in range(len(z)):
            for head in range(len(alpha)):
                units = slice(head * width, (head + 1) * width)
                T_seen = s + 1 if causal else T
                W = np.hstack([a * np.eye(width) for a in alpha[head, s, :T_seen]])
                lower, upper = y[:T_seen, units].ravel(), z[s, units]
                zeros = np.zeros(width)
                R_of_head = literal.messages(
                    lower, W, zeros, upper, R[s, units], T_seen * width, **rule
                )
                R_y[:T_seen, units] += R_of_head.reshape(T_seen, width)
        below = next(one for one in model.layers if one.name == "values")
        expected = [
            literal.messages(x_t, below.weight, below.bias, y_t, R_t, D, **rule)
            for x_t, y_t, R_t in zip(x, y, R_y, strict=True)
        ]
        assert relative_error(whole[b].input_relevance, expected) < 1e-10
        if factors == (1.0, 1.0):
            assert whole[b].delta == pytest.approx(0, abs=1e-9)


# Other implementations --------------------------------------------------------------------------


def test_multi_head_attention_of_pytorch():
    """Dense layers project in and out."""
    module = torch.nn.MultiheadAttention(K, 3, batch_first=True, dtype=torch.float64)
    module.in_proj_bias.data = torch.tensor(draw(9, 3 * K)[0])
    module.out_proj.bias.data = torch.tensor(draw(10, K)[0])
    weights = np.split(module.in_proj_weight.detach().numpy(), 3)
    biases = np.split(module.in_proj_bias.detach().numpy(), 3)
    names = ["queries", "keys", "values"]
    layers = [
        LSTM(random_weights(np.random.default_rng(0), D, K), name="states"),
        *(
            lrplstm.DenseLayer(weight, bias, name=name, reads=["states"])
            for weight, bias, name in zip(weights, biases, names, strict=True)
        ),
        DotProductAttention(3, reads=names),
        lrplstm.DenseLayer(
            module.out_proj.weight.detach().numpy(), module.out_proj.bias.detach().numpy()
        ),
    ]
    model, x = lrplstm.Model(layers), random_batch(lengths=(6,))[0]
    states = torch.tensor(lrplstm.Model(layers[:1]).predict(x))[None]
    expected, _ = module(states, states, states)
    assert relative_error(model.predict(x), expected[0].detach().numpy()) < 1e-12


@pytest.mark.parametrize("additive", [False, True])
def test_attention_of_keras(additive):
    scale = np.abs(draw(11, K)[0])
    if additive:
        module, layer = keras.layers.AdditiveAttention(dtype="float64"), AdditiveAttention(scale)
    else:
        module, layer = keras.layers.Attention(use_scale=True, dtype="float64"), None
    model = lrplstm.Model(queried(layer or DotProductAttention(scale=float(scale[0])))[:-1])
    x = random_batch(lengths=(6,))[0]
    read = [
        torch.tensor(lrplstm.Model([one.called(None, None)]).predict(x))[None]
        for one in model.layers[:3]
    ]
    queries, keys, values = read
    module.build([queries.shape, values.shape, keys.shape])
    module.set_weights([scale if additive else scale[0]])
    expected = module([queries, values, keys])[0].detach().numpy()
    assert relative_error(model.predict(x), expected) < 1e-6  # Keras makes it float32


# As layers --------------------------------------------------------------------------------------


@attentions
def test_saved_and_in_any_batch(layers, tmp_path):
    model = lrplstm.Model(layers()).astype("float32")
    model.save(tmp_path)
    again, batch = lrplstm.load(tmp_path), random_batch(lengths=LENGTHS, dtype=np.float32)
    np.testing.assert_array_equal(again.predict(batch), model.predict(batch))
    for method in ("lrp", "gradient_x_input"):
        whole = lrplstm.explain(model, batch, method, "all")
        for b, x in enumerate(batch):
            alone = lrplstm.explain(again, x, method, 2)
            np.testing.assert_array_equal(alone.input_relevance, whole[b].input_relevance[2])
    with pytest.raises(
        ValueError, match=r"contextual_decomposition is not defined .*attention|sum"
    ):
        lrplstm.contextual_decomposition(model, batch[0], 0)


def test_a_softmax_of_units_or_of_steps_weighs_what_reads_it():
    """Over steps it is a sum with these weights, in two layers more."""
    values, scores = dense("values", K, 1), dense("scores", K, 2)
    weighed = Multiply(1, "all", reads=["values", "weights"], name="weighed")
    softmax = Softmax("steps", reads=["scores"], name="weights")
    model = lrplstm.Model([values, scores, softmax, weighed, Pool("sum")])
    same = lrplstm.Model([values, scores, WeightedSum(reads=["values", "scores"])])
    batch = random_batch(lengths=LENGTHS)
    assert relative_error(model.predict(batch), same.predict(batch)) < 1e-12
    for method, options in [("gradient_x_input", {}), ("lrp", {"epsilon": 0.0})]:
        found, expected = (lrplstm.explain(m, batch, method, 1, **options) for m in (model, same))
        assert relative_error(found.input_relevance, expected.input_relevance) < 1e-10
    model = lrplstm.Model([values, scores, Softmax(reads=["scores"], name="weights"), weighed])
    weights = torch.softmax(torch.tensor(lrplstm.Model([scores]).predict(batch[0])), 1).numpy()
    expected = weights * lrplstm.Model([values]).predict(batch[0])
    assert relative_error(model.predict(batch[0]), expected) < 1e-12
    signal = lrplstm.Model([scores, Softmax(name="mine"), Pool("mean")])
    with pytest.raises(ValueError, match=r"lrp is not defined for the layer 'mine' \(softmax\)"):
        lrplstm.lrp(signal, batch[0], 1)


@attentions
def test_some_queries_at_once_are_as_good_as_all(layers, monkeypatch):
    model, batch = lrplstm.Model(layers()), random_batch(lengths=LENGTHS)
    for method in ("gradient_x_input", "lrp"):
        expected = lrplstm.explain(model, batch, method, 1, level="token")
        with monkeypatch.context() as few:
            few.setattr("lrplstm.layers.attention._MOST_SCORES", 40)
            found = lrplstm.explain(model, batch, method, 1, level="token")
        assert relative_error(found.token_relevance, expected.token_relevance) < 1e-12


def test_attention_that_does_not_fit():
    values, scores = dense("values", K, 1), dense("scores", 4, 2)
    final = Step(-1, name="final", reads=["values"])
    cases = [
        ([values, scores, WeightedSum(reads=["values", "scores"])], "divides 6 values, got 4"),
        ([values, WeightedSum()], "expected to read values and scores"),
        ([values, final, WeightedSum(reads=["values", "final"])], "one row a sequence"),
        (queried(DotProductAttention(4)), "heads: expected a divisor of 6, got 4"),
        (
            queried(DotProductAttention(causal=True), "sequence"),
            "causal: expected queries and keys",
        ),
        (queried(AdditiveAttention(np.ones(5))), "expected keys of size 5, got 6"),
        ([values, DotProductAttention()], "expected to read queries, keys and values"),
    ]
    for layers, text in cases:
        with pytest.raises(ValueError, match=text):
            lrplstm.Model(layers)
