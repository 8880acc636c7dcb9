"""PyTorch's LSTM and autograd, as another implementation of forward pass and gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from random_models import random_batch, relative_error

import lrplstm

BACKENDS = ("kernel", "reference")
CASES = [
    {"D": 5, "H": 4, "layers": 1, "bidirectional": True, "bias": True},
    {"D": 3, "H": 7, "layers": 1, "bidirectional": False, "bias": False},
    {"D": 6, "H": 5, "layers": 2, "bidirectional": True, "bias": False},
    {"D": 2, "H": 3, "layers": 3, "bidirectional": False, "bias": True},
]
DTYPES = [(torch.float64, 1e-12), (torch.float32, 2e-5)]

pytestmark = [
    pytest.mark.parametrize("case", CASES, ids=str),
    pytest.mark.parametrize(("dtype", "bound"), DTYPES, ids=str),
    pytest.mark.parametrize("backend", BACKENDS),
]


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
