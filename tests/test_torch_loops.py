"""Loops over steps: cells that are written out, and decoders that read what they gave before."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from random_models import relative_error
from torch import nn

import lrplstm
from lrplstm.layers import GRU, LSTM, RNN, Recurrent

D, H, C = 5, 4, 3


class Network(nn.Module):
    """Linear layers for gates, and what decoders need; `compute` is the forward."""

    def __init__(self, compute):
        super().__init__()
        torch.manual_seed(6)
        self.x, self.h = nn.Linear(D, 4 * H), nn.Linear(H, 4 * H, bias=False)
        self.both = nn.Linear(D + H, 4 * H)
        self.of_x = nn.ModuleDict({gate: nn.Linear(D, H) for gate in "rzn"})
        self.of_h = nn.ModuleDict({gate: nn.Linear(H, H) for gate in "rzn"})
        self.norm, self.start = nn.LayerNorm(H), nn.Parameter(torch.randn(1, H))
        self.encoder, self.cell = nn.LSTM(D, H, batch_first=True), nn.LSTMCell(D, H)
        self.words, self.back, self.fc = nn.Embedding(C, D), nn.Linear(C, D), nn.Linear(H, C)
        self.compute = compute

    def forward(self, x):
        return self.compute(self, x)


def zeros(x):
    return torch.zeros(len(x), H, dtype=x.dtype)


# Cells ------------------------------------------------------------------------------------------


def lstm(net, x):
    h = c = zeros(x)
    for t in range(x.size(1)):
        i, f, g, o = (net.x(x[:, t]) + net.h(h)).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
    return net.fc(h)


def lstm_of_one_matrix(net, x):
    h = c = zeros(x)
    states = []
    for x_t in x.unbind(1):
        f, i, o, g = net.both(torch.cat([x_t, h], 1)).split(H, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        states.append(h)
    return net.fc(torch.stack(states, 1).mean(1))


def lstm_behind_another(net, x):
    return lstm(net, net.back(net.fc(net.encoder(x)[0])))


def gates(net, x_t, h, names):
    return (torch.sigmoid(net.of_x[gate](x_t) + net.of_h[gate](h)) for gate in names)


def gru(net, x):
    h = zeros(x)
    for t in range(x.size(1)):
        r, z = gates(net, x[:, t], h, "rz")
        n = torch.tanh(net.of_x["n"](x[:, t]) + r * net.of_h["n"](h))
        h = (1 - z) * n + z * h
    return net.fc(h)


def gru_with_reset_before(net, x):
    h = zeros(x)
    states = torch.zeros(len(x), x.size(1), H, dtype=x.dtype)
    for t in range(x.size(1)):
        r, z = gates(net, x[:, t], h, "rz")
        h = z * h + (1 - z) * torch.tanh(net.of_x["n"](x[:, t]) + net.of_h["n"](r * h))
        states[:, t] = h
    return net.fc(states.amax(1))


def plain(net, x_t, h, name):
    return torch.tanh(net.of_x[name](x_t) + net.of_h[name](h))


def tagger(net, x):
    h, scores = zeros(x), []
    for t in range(x.size(1)):
        h = plain(net, x[:, t], h, "n")
        scores.append(net.fc(h))
    return torch.stack(scores, 1)


def two_directions(net, x):
    h, other, T = zeros(x), zeros(x), x.size(1)
    for t in range(T):
        h, other = plain(net, x[:, t], h, "n"), plain(net, x[:, T - 1 - t], other, "z")
    return net.fc(h * other)


def two_layers(net, x):
    h, above = zeros(x), zeros(x)
    for t in range(x.size(1)):
        h = plain(net, x[:, t], h, "n")
        above = torch.relu(net.of_h["r"](h) + net.of_h["z"](above))
    return net.fc(above)


def predicted(model, x):
    return np.array([model.predict(row.detach().numpy()) for row in x])


def check(network, model, *, target=0, T=9):
    """Scores and gradients are those of PyTorch, and relevance is conserved."""
    x = torch.randn(2, T, D, dtype=torch.float64, requires_grad=True)
    scores = network(x)
    assert relative_error(predicted(model, x), scores.detach().numpy()) < 1e-11
    chosen = scores[(slice(None), *np.atleast_1d(target))].sum()
    (gradient,) = torch.autograd.grad(chosen, x)
    rows = [row.detach().numpy() for row in x]
    a = lrplstm.gradient_x_input(model, rows, target=target)
    for one, expected in zip(a, (gradient * x).detach().numpy(), strict=True):
        assert relative_error(one.input_relevance, expected) < 1e-9
    a = lrplstm.lrp(model, rows, target=target, bias_factor=1.0)
    assert np.abs(a.delta).max() < 1e-9


@pytest.mark.parametrize(
    ("compute", "kinds"),
    [
        (lstm, [LSTM]),
        (lstm_of_one_matrix, [LSTM]),
        (lstm_behind_another, [LSTM, LSTM]),
        (gru, [GRU]),
        (gru_with_reset_before, [GRU]),
        (tagger, [RNN]),
        (two_directions, [RNN, RNN]),
        (two_layers, [RNN, RNN]),
    ],
)
def test_cells_that_are_written_out(compute, kinds):
    torch.manual_seed(1)
    network = Network(compute).double().eval()
    model = lrplstm.from_torch(network)
    assert [type(layer) for layer in model.graph.layers if isinstance(layer, Recurrent)] == kinds
    check(network, model, target=(-1, 0) if compute is tagger else 0)


# Decoders ---------------------------------------------------------------------------------------


def states_of(net, x):
    return (state[0] for state in net.encoder(x)[1])


def forecast(net, x):
    h, c = states_of(net, x)
    y, days = net.fc(h), []
    for _ in range(3):
        h, c = net.cell(net.back(y), (h, c))
        y = net.fc(h)
        days.append(y)
    return torch.stack(days, 1)


def forecast_from_zeros(net, x):
    h, c = states_of(net, x)
    y, days = torch.zeros(len(x), D, dtype=x.dtype), []
    for _ in range(3):
        h, c = net.cell(y, (h, c))
        days.append(net.fc(h))
        y = net.back(days[-1])
    return torch.stack(days, 1)


def forecast_by_a_layer(net, x):
    state, y, days = net.encoder(x)[1], x[:, -1:], []
    for _ in range(3):
        output, state = net.encoder(y, state)
        days.append(net.fc(output))
        y = net.back(days[-1])
    return torch.cat(days, 1)


def forecast_with_attention(net, x):
    output, _ = net.encoder(x)
    (h, c), days = states_of(net, x), []
    for _ in range(3):
        weights = torch.softmax(torch.bmm(output, h.unsqueeze(2)), 1)
        h, c = net.cell(net.back(net.fc((weights * output).sum(1))), (h, c))
        days.append(net.fc(h))
    return torch.stack(days, 1)


@pytest.mark.parametrize(
    "compute", [forecast, forecast_from_zeros, forecast_by_a_layer, forecast_with_attention]
)
def test_decoders_of_a_fixed_number_of_steps(compute):
    torch.manual_seed(2)
    network = Network(compute).double().eval()
    check(network, lrplstm.from_torch(network), target=(2, 1))


# What is refused --------------------------------------------------------------------------------


def normalized(net, x):
    h = zeros(x)
    for t in range(x.size(1)):
        h = net.norm(plain(net, x[:, t], h, "n"))
    return net.fc(h)


def residual(net, x):
    h = zeros(x)
    for t in range(x.size(1)):
        h = h + plain(net, x[:, t], h, "n")
    return net.fc(h)


def normalized_between(net, x):
    h = c = zeros(x)
    for t in range(x.size(1)):
        h, c = net.cell(x[:, t], (h, c))
        h = net.norm(h)
    return net.fc(h)


def learned_start(net, x):
    h = net.start.expand(len(x), -1)
    for t in range(x.size(1)):
        h = plain(net, x[:, t], h, "n")
    return net.fc(h)


def as_long_as_the_input(net, x):
    h, c = states_of(net, x)
    y, days = net.fc(h), []
    for _ in range(x.size(1)):
        h, c = net.cell(net.back(y), (h, c))
        y = net.fc(h)
        days.append(y)
    return torch.stack(days, 1)


def words_that_are_chosen(net, x):
    h, c = states_of(net, x)
    word, scores = torch.zeros(len(x), dtype=torch.long), []
    for _ in range(4):
        h, c = net.cell(net.words(word), (h, c))
        scores.append(net.fc(h))
        word = scores[-1].argmax(-1)
    return torch.stack(scores, 1)


LENGTHS = r"for other lengths: .*; a loop has to be an LSTM, GRU or plain cell .*from zeros"


@pytest.mark.parametrize(
    ("compute", "match"),
    [
        (normalized, LENGTHS),
        (residual, LENGTHS),
        (normalized_between, "it reads states of a loop before that ends"),
        (learned_start, LENGTHS),
        (as_long_as_the_input, "or a decoder of what it gave before with a fixed number of turns"),
        (words_that_are_chosen, r"\(argmax\): argmax .* as a decoder that reads the words it cho"),
    ],
)
def test_refused(compute, match):
    with pytest.raises(ValueError, match=match) as caught:
        lrplstm.from_torch(Network(compute))
    assert len(str(caught.value)) < 500
