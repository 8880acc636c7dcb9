"""PyTorch's LSTM and autograd, as another implementation of forward pass and gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from random_models import random_batch, random_model, relative_error

import lrplstm

BACKENDS = ("kernel", "reference")
CASES = [
    {"D": 5, "H": 4, "layers": 1, "bidirectional": True, "bias": True},
    {"D": 3, "H": 7, "layers": 1, "bidirectional": False, "bias": False},
    {"D": 6, "H": 5, "layers": 2, "bidirectional": True, "bias": False},
    {"D": 2, "H": 3, "layers": 3, "bidirectional": False, "bias": True},
]
DTYPES = [(torch.float64, 1e-12), (torch.float32, 2e-5)]

backends = pytest.mark.parametrize("backend", BACKENDS)


class Classifier(torch.nn.Module):
    def __init__(self, D, H, layers, bidirectional, bias):
        super().__init__()
        self.lstm = torch.nn.LSTM(D, H, layers, bidirectional=bidirectional)
        self.head = torch.nn.Linear(H * (2 if bidirectional else 1), 3, bias=bias)
        torch.nn.init.normal_(self.lstm.bias_ih_l0, std=0.5)

    def forward(self, x):
        _, (h, _) = self.lstm(x)
        last = h[-2:] if self.lstm.bidirectional else h[-1:]
        return self.head(last.reshape(-1))


def convert(network):
    def array(tensor):
        return tensor.detach().numpy()

    state = network.lstm.state_dict()
    layers = []
    for n in range(network.lstm.num_layers):
        sides = [
            lrplstm.LSTMWeights(
                array(state[f"weight_ih_l{n}{suffix}"]),
                array(state[f"weight_hh_l{n}{suffix}"]),
                array(state[f"bias_ih_l{n}{suffix}"] + state[f"bias_hh_l{n}{suffix}"]),
            )
            for suffix in ("", "_reverse")[: 1 + network.lstm.bidirectional]
        ]
        layers.append(sides if len(sides) == 2 else sides[0])
    bias = network.head.bias
    return lrplstm.LSTMModel(
        layers, array(network.head.weight), None if bias is None else array(bias)
    )


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize(("dtype", "bound"), DTYPES, ids=str)
@backends
def test_forward_and_autograd(case, dtype, bound, backend):
    torch.manual_seed(0)
    network = Classifier(**case).to(dtype)
    model = convert(network)
    batch = random_batch(3, D=case["D"], lengths=(6, 1, 13), dtype=model.dtype)
    sa = lrplstm.sensitivity(model, batch, "all", level="input", backend=backend)
    gi = lrplstm.gradient_x_input(model, batch, "all", level="input", backend=backend)
    for b, x in enumerate(batch):
        tensor = torch.tensor(x, requires_grad=True)
        scores = network(tensor)
        assert relative_error(sa[b].scores, scores.detach().numpy()) < bound
        for target in range(3):
            (gradient,) = torch.autograd.grad(scores[target], tensor, retain_graph=True)
            gradient = np.asarray(gradient)
            assert relative_error(sa[b].input_relevance[target], gradient**2) < 2 * bound
            assert relative_error(gi[b].input_relevance[target], gradient * x) < 2 * bound


class Pooled(torch.nn.Module):
    """A model of two directions with a stack of layers as its head, in PyTorch."""

    def __init__(self, model):
        super().__init__()
        self.lstm = torch.nn.LSTM(
            model.input_size, model.hidden_size, model.num_layers, bidirectional=True
        ).double()
        for n, pair in enumerate(model.layers):
            for weights, suffix in zip(pair, ("", "_reverse"), strict=True):
                for name in ("weight_ih", "weight_hh"):
                    tensor = torch.tensor(getattr(weights, name))
                    getattr(self.lstm, f"{name}_l{n}{suffix}").data = tensor
                getattr(self.lstm, f"bias_ih_l{n}{suffix}").data = torch.tensor(weights.bias)
                getattr(self.lstm, f"bias_hh_l{n}{suffix}").data.zero_()
        self.head = [
            (torch.tensor(h.weight), torch.tensor(h.bias), h.activation) for h in model.head
        ]
        self.pooling = model.pooling

    def forward(self, x):
        hidden, (final, _) = self.lstm(x)
        y = {
            "last": lambda: final[-2:].reshape(-1),
            "mean": lambda: hidden.mean(axis=0),
            "max": lambda: hidden.max(axis=0).values,
            "none": lambda: hidden,
        }[self.pooling]()
        for weight, bias, activation in self.head:
            y = y @ weight.T + bias
            y = {"linear": y, "relu": y.relu(), "tanh": y.tanh()}[activation]
        return y


@backends
@pytest.mark.parametrize("pooling", ["last", "mean", "max", "none"])
@pytest.mark.parametrize("layers", [1, 2])
def test_poolings_and_heads(backend, pooling, layers):
    model = random_model(11, head="stack", layers=layers, pooling=pooling, initial=False)
    network = Pooled(model)
    batch = random_batch(lengths=(5, 1, 8))
    scores = model.predict(batch, backend=backend)
    sa = lrplstm.sensitivity(model, batch, 2, level="input", backend=backend)
    gi = lrplstm.gradient_x_input(model, batch, 2, backend=backend)
    gi_tokens = lrplstm.gradient_x_input(model, batch, 2, level="token", backend=backend)
    for b, x in enumerate(batch):
        tensor = torch.tensor(x, requires_grad=True)
        expected = network(tensor)
        assert relative_error(scores[b], expected.detach().numpy()) < 1e-12
        (gradient,) = torch.autograd.grad(expected[..., 2].sum(), tensor)
        gradient = gradient.numpy()
        assert relative_error(sa[b].input_relevance, gradient**2) < 1e-11
        assert relative_error(gi[b].input_relevance, gradient * x) < 1e-11
        products = (gradient * x).sum(axis=1)
        assert relative_error(gi_tokens[b].token_relevance, products) < 1e-10
