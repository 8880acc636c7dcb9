"""Activations and their derivatives: those of PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from onnx_graphs import export
from random_models import random_batch, relative_error
from torch.nn import functional

import lrplstm
from lrplstm.activations import ACTIVATIONS, to_elementwise

OF_TORCH = {
    "linear": lambda z: z,
    "relu": functional.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    ("hard_sigmoid", 1 / 6): lambda z: (z / 6 + 0.5).clamp(0, 1),  # PyTorch's 1/6 is float32
    ("hard_sigmoid", 0.2): lambda z: (0.2 * z + 0.5).clamp(0, 1),
    ("leaky_relu", 0.3): lambda z: functional.leaky_relu(z, 0.3),
    "relu6": functional.relu6,
    ("thresholded_relu", 0.7): lambda z: functional.threshold(z, 0.7, 0),
    "elu": functional.elu,
    ("elu", 0.6): lambda z: functional.elu(z, 0.6),
    ("celu", 0.5): lambda z: functional.celu(z, 0.5),
    ("celu", -3.0): lambda z: functional.celu(z, -3.0),
    "selu": functional.selu,
    "gelu": functional.gelu,
    "gelu_tanh": lambda z: functional.gelu(z, approximate="tanh"),
    "silu": functional.silu,
    "hard_silu": functional.hardswish,
    "mish": functional.mish,
    "softplus": functional.softplus,
    "softsign": functional.softsign,
    "log_sigmoid": functional.logsigmoid,
    "exponential": torch.exp,
    "hard_tanh": functional.hardtanh,
    ("scaled_tanh", 1.7, 0.6): lambda z: 1.7 * torch.tanh(0.6 * z),
    ("affine", 1.7, 0.6): lambda z: 1.7 * z + 0.6,
    ("soft_shrink", 0.3): lambda z: functional.softshrink(z, 0.3),
    ("hard_shrink", 0.3): lambda z: functional.hardshrink(z, 0.3),
    "absolute": torch.abs,
    "square": torch.square,
    "sine": torch.sin,
    "cosine": torch.cos,
    "tanh_shrink": functional.tanhshrink,
}


def said(key):
    name, *values = (key,) if isinstance(key, str) else key
    return (name, dict(zip(ACTIVATIONS[name].parameters, values, strict=False))) if values else name


def test_every_activation_is_among_these():
    assert {key if isinstance(key, str) else key[0] for key in OF_TORCH} == set(ACTIVATIONS)


@pytest.mark.parametrize("key", OF_TORCH, ids=str)
def test_values_and_derivatives_are_those_of_pytorch(key):
    z = torch.tensor(np.random.default_rng(0).normal(0, 3, 200), requires_grad=True)
    expected = OF_TORCH[key](z)
    (derivative,) = torch.autograd.grad(expected.sum(), z)
    function, z = to_elementwise("function", said(key)), z.detach().numpy()
    np.testing.assert_allclose(function(z), expected.detach(), rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(function.derivative(z), derivative, rtol=1e-11, atol=1e-13)
    np.testing.assert_array_equal(function.derivative(z, function(z)), function.derivative(z))
    assert to_elementwise("again", function.said) == function
    for dtype in (np.float32, np.float64):
        extreme = np.array([-80.0, 0.0, 80.0], dtype)
        assert np.isfinite(function(extreme)).all()
        assert np.isfinite(function.derivative(extreme)).all()
        assert function(extreme).dtype == function.derivative(extreme).dtype == dtype


def test_any_of_them_in_a_head():
    rng = np.random.default_rng(1)
    weight, bias = rng.normal(size=(3, 5)), rng.normal(size=3)
    x = random_batch(lengths=(4,))[0]
    for key, function in OF_TORCH.items():
        model = lrplstm.Model([lrplstm.DenseLayer(weight, bias, said(key))])
        expected = function(torch.tensor(x @ weight.T + bias)).numpy()
        assert relative_error(model.predict(x), expected) < 1e-12
    with pytest.raises(ValueError, match=r"activation: expected one of .*; did you mean 'gelu'"):
        lrplstm.DenseLayer(weight, bias, "gellu")
    with pytest.raises(ValueError, match=r"leaky_relu: expected alpha, .*0\.01 in PyTorch"):
        lrplstm.DenseLayer(weight, bias, "leaky_relu")
    with pytest.raises(ValueError, match="elu: expected 'alpha', got 'alhpa'"):
        lrplstm.DenseLayer(weight, bias, ("elu", {"alhpa": 1.0}))


def test_a_head_with_parameters_is_saved(tmp_path):
    rng = np.random.default_rng(2)
    arrays = [rng.normal(0, 0.4, shape) for shape in [(16, 5), (16, 4), (16,)]]
    head = [lrplstm.DenseLayer(rng.normal(size=(2, 4)), None, ("elu", {"alpha": 0.5}))]
    model = lrplstm.LSTMModel([lrplstm.LSTMWeights(*arrays)], head=head)
    model.save(tmp_path)
    again, x = lrplstm.load(tmp_path), random_batch()
    np.testing.assert_array_equal(again.predict(x), model.predict(x))


class Distances(torch.nn.Module):
    """How far two projections of each step are apart, and waves of it."""

    def __init__(self):
        super().__init__()
        self.first, self.second = (torch.nn.Linear(5, 4, dtype=torch.float64) for _ in range(2))

    def forward(self, x):
        apart = torch.abs(self.first(x) - self.second(x))
        return (torch.sin(apart) + torch.cos(apart)).mean(1)


def test_distances_and_waves_are_read_from_onnx():
    module, x = Distances(), random_batch(lengths=(4,))[0]
    inputs = torch.tensor(x[None], requires_grad=True)
    scores = module(inputs)[0]
    axes = {"x": {0: "batch", 1: "steps"}}
    model = lrplstm.from_onnx(
        export(module, (inputs,), dynamo=False, input_names=["x"], dynamic_axes=axes)
    )
    assert relative_error(model.predict(x), scores.detach().numpy()) < 1e-12
    (gradient,) = torch.autograd.grad(scores[1], inputs)
    found = lrplstm.gradient_x_input(model, x, 1).input_relevance
    assert relative_error(found, gradient[0].numpy() * x) < 1e-12
