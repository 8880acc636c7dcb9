"""Normalizations: PyTorch, messages from unit to unit, and what linear layers take in."""

from __future__ import annotations

import literal
import numpy as np
import pytest
import torch
from random_models import random_batch, random_gru, random_weights, relative_error

import lrplstm
from lrplstm.layers import (
    LSTM,
    Activation,
    Affine,
    Convolution,
    LayerNormalization,
    Pool,
    RMSNormalization,
    fold,
)

D, K = 5, 6


def draw(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.normal(0, 0.6, shape) for shape in shapes]


def affine(seed=0):
    """Batch normalization, and PyTorch's."""
    mean, weight, bias = draw(seed, K, K, K)
    variance = np.random.default_rng(seed).uniform(0.5, 2, K)
    module = torch.nn.BatchNorm1d(K, eps=0.1, dtype=torch.float64).eval()
    names = ("running_mean", "running_var", "weight", "bias")
    for name, array in zip(names, (mean, variance, weight, bias), strict=True):
        getattr(module, name).data = torch.tensor(array)
    return Affine.of_batch_normalization(mean, variance, weight, bias, epsilon=0.1), module


def normalizations():
    """Each layer, and the same in PyTorch."""
    weight, bias = draw(1, K, K)
    layer_norm = torch.nn.LayerNorm(K, eps=0.01, dtype=torch.float64)
    layer_norm.weight.data, layer_norm.bias.data = torch.tensor(weight), torch.tensor(bias)
    rms = torch.nn.RMSNorm(K, eps=0.01, dtype=torch.float64)
    rms.weight.data = torch.tensor(weight)
    plain = torch.nn.LayerNorm(K, eps=0.01, elementwise_affine=False)
    return {
        "batch": affine(),
        "layer": (LayerNormalization(K, weight, bias, epsilon=0.01), layer_norm),
        "layer, plain": (LayerNormalization(K, epsilon=0.01), plain),
        "RMS": (RMSNormalization(K, weight, epsilon=0.01), rms),
    }


@pytest.mark.parametrize("name", normalizations())
def test_scores_and_gradients_are_those_of_pytorch(name):
    layer, module = normalizations()[name]
    weight, v = draw(2, (K, D), K)
    model = lrplstm.Model([lrplstm.DenseLayer(weight), layer, Pool("mean")])
    for x in random_batch():
        inputs = torch.tensor(x, requires_grad=True)
        mean = module(inputs @ torch.tensor(weight).T).mean(0)
        (gradient,) = torch.autograd.grad((mean * torch.tensor(v)).sum(), inputs)
        assert relative_error(model.predict(x), mean.detach().numpy()) < 1e-12
        found = lrplstm.gradient_x_input(model, x, v)
        assert relative_error(found.input_relevance, gradient.numpy() * x) < 1e-11


@pytest.mark.parametrize("factors", [(0.0, 0.0), (0.3, 0.7), (1.0, 1.0)])
@pytest.mark.parametrize("name", normalizations())
def test_against_messages_unit_by_unit(name, factors):
    """The linear layer that each is where its deviation is a constant."""
    layer, _ = normalizations()[name]
    rule = {"epsilon": 0.05, "bias_factor": factors[0], "epsilon_factor": factors[1]}
    model = lrplstm.Model([lrplstm.DenseLayer(np.eye(K)), layer])
    x = random_batch(D=K, lengths=(4,))[0]
    v = draw(3, (4, K))[0]
    found = lrplstm.lrp(model, x, v, **rule).input_relevance
    for t, y in enumerate(x):
        z = model.predict(x)[t]
        if isinstance(layer, Affine):
            W, bias = np.diag(layer.scale), layer.shift
        else:
            centered = np.eye(K) - (1 / K if isinstance(layer, LayerNormalization) else 0)
            sigma = np.sqrt(((centered @ y) ** 2).mean() + 0.01)
            weight = np.ones(K) if layer.weight is None else layer.weight
            W, bias = np.diag(weight) @ centered / sigma, layer.bias
        bias = np.zeros(K) if bias is None else bias
        np.testing.assert_allclose(W @ y + bias, z, rtol=1e-12)
        R = literal.messages(y, W, bias, z, v[t] * z, K, **rule)
        # Through the identity matrix below it.
        R = literal.messages(y, np.eye(K), np.zeros(K), y, R, K, **rule)
        assert relative_error(found[t], R) < 1e-10


def chains():
    """Networks with batch normalization, and where it goes."""
    first, second = affine(0)[0], affine(1)[0]
    rng = np.random.default_rng(4)
    dense = lrplstm.DenseLayer(*draw(5, (K, D), K), name="below")
    head = lrplstm.DenseLayer(*draw(6, (3, K), 3), name="head")
    lstm, gru = random_weights(rng, K, K), random_gru(rng, K, K)
    window, pool = draw(7, (K, 3, 2), K), Pool("mean")
    valid, padded = Convolution(*window, groups=2), Convolution(*window, padding="same", groups=2)
    return {
        "read by a dense layer": ([dense, first, head, pool], 3),
        "read by cells": ([dense, first, lstm, second, gru, pool], 4),
        "read by a convolution": ([dense, first, valid, Activation("relu"), pool], 4),
        "behind a dense layer": ([dense, first, padded, Activation("relu"), pool], 4),
        "behind a convolution": ([dense, padded, first, Activation("relu"), pool], 4),
        "last of all": ([dense, pool, first], 3),
        "between activations": ([dense, Activation("relu"), first, padded, pool], 5),
        "two of them": ([dense, first, second, head, pool], 3),
    }


@pytest.mark.parametrize("name", chains())
def test_linear_layers_take_in_batch_normalization(name):
    layers, left = chains()[name]
    model = lrplstm.Model(layers)
    folded = fold(model.layers)
    assert len(folded) == left, [layer.name for layer in folded]
    same, batch = lrplstm.Model(folded), random_batch(lengths=(4, 2, 7))
    assert relative_error(same.predict(batch), model.predict(batch)) < 1e-12
    v = np.arange(1.0, model.num_classes + 1)
    found, expected = (lrplstm.gradient_x_input(m, batch, v) for m in (same, model))
    assert relative_error(found.input_relevance, expected.input_relevance) < 1e-10
    x = batch[0]
    assert lrplstm.lrp(same, x, v, bias_factor=1.0).delta == pytest.approx(0, abs=1e-9)


def test_what_several_layers_read_is_taken_in_by_all_or_stays():
    norm, _ = affine()
    dense = lrplstm.DenseLayer(*draw(5, (K, D), K), name="below")
    readers = [
        LSTM(random_weights(np.random.default_rng(0), K, K), name="lstm", reads=["norm"]),
        lrplstm.DenseLayer(*draw(6, (K, K), K), name="skip", reads=["norm"]),
    ]
    named = norm.called("norm", None)
    add = lrplstm.layers.Add(reads=["lstm", "skip"])
    assert [layer.name for layer in fold(lrplstm.Model([dense, named, *readers, add]).layers)] == [
        "below", "lstm", "skip", "add"
    ]  # fmt: skip
    twice = lrplstm.layers.Add(reads=["skip", "below"])
    stays = lrplstm.Model([dense, named, Activation("tanh", name="skip"), twice])
    assert fold(stays.layers) == list(stays.layers)


def test_normalizations_that_do_not_fit():
    for make, text in [
        (lambda: Affine(np.ones(3), np.ones(2)), r"shift: expected shape \(3,\)"),
        (lambda: LayerNormalization(3, np.ones(4), epsilon=0.1), r"weight: expected shape \(3,\)"),
        (lambda: LayerNormalization(3, epsilon=-1), "epsilon: expected a number of at least 0"),
    ]:
        with pytest.raises(ValueError, match=text):
            make()
    layer, _ = normalizations()["layer"]
    model = lrplstm.Model([lrplstm.DenseLayer(np.eye(K)), layer.called("norm", None), Pool("mean")])
    with pytest.raises(
        ValueError, match=r"contextual_decomposition .* 'norm' \(layer_normalization"
    ):
        lrplstm.contextual_decomposition(model, random_batch(D=K)[0], 0)
