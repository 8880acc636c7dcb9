"""Modules are read as their forward computes: scores and gradients are those of PyTorch."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest
import torch
from random_models import relative_error
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import lrplstm

D, H, C = 5, 4, 3


class Network(nn.Module):
    """Any parts, and a function of them and the inputs for a forward."""

    def __init__(self, compute, **parts):
        super().__init__()
        torch.manual_seed(3)
        for name, part in parts.items():
            setattr(self, name, part())
        self.fc = nn.Linear(H, C) if "fc" not in parts else self.fc
        self.compute = compute

    def forward(self, *inputs):
        return self.compute(self, *inputs)


def lstm(width=D, H=H, **options):
    return lambda: nn.LSTM(width, H, batch_first=True, **options)


def linear(*sizes):
    return lambda: nn.Linear(*sizes)


def parameter(*shape):
    return lambda: nn.Parameter(torch.randn(shape))


# What stands between the inputs and the scores --------------------------------------------------


def two_layers(net, x):
    output, _ = net.second(net.dropout(net.lstm(x)[0]))
    return net.fc2(functional.relu(net.fc(net.dropout(output[:, -1, :]))))


def states_of_zeros(net, x):
    h, c = torch.zeros(2, x.size(0), H), torch.zeros(2, x.size(0), H).requires_grad_()
    return net.fc(net.lstm(x, (h.to(x), c.detach().to(x)))[0][:, -1])


def learned_states(net, x):
    h, c = net.h.expand(-1, len(x), -1).contiguous(), net.c.repeat(1, len(x), 1)
    return net.fc(net.lstm(x, (h, c))[1][0][-1])


def final_states(net, x):
    _, (h, _) = net.lstm(x)
    h = h.view(2, 2, len(x), H)[-1]
    return net.fc(h.permute(1, 0, 2).reshape(len(x), -1))


def ends_of_both(net, x):
    output, _ = net.lstm(x)
    return net.fc(torch.cat([output[:, -1, :H], output[:, 0, H:]], dim=-1))


def cells(net, x):
    h = c = torch.zeros(x.size(0), H).to(x)
    states = []
    for t in range(x.size(1)):
        h, c = net.cell(x[:, t, :], (h, c))
        h = net.dropout(h)
        states.append(h)
    return net.fc(torch.stack(states, dim=1).mean(1) + h)


def two_cells(net, x):
    first, second, scores = torch.zeros(len(x), H).to(x), torch.zeros(len(x), H).to(x), []
    for step in x.split(1, dim=1):
        first = net.first(step.squeeze(1), first)
        second = net.second(first, second)
        scores += [net.fc(second).unsqueeze(1)]
    return torch.cat(scores, 1)


def cells_from_the_end(net, x):
    x, h, states = x.transpose(0, 1), None, []
    for t in reversed(range(len(x))):
        h = net.cell(x[t], h)
        states.insert(0, h)
    return net.fc(torch.stack(states).mean(0))


def cells_into_a_tensor(net, x):
    states = torch.zeros(x.size(0), x.size(1), H).to(x)
    h = torch.zeros(x.size(0), H).to(x)
    for t, step in enumerate(x.unbind(1)):
        h = net.cell(step, h)
        states[:, t] = h
    return net.fc(states.max(1).values)


def packed(net, x):
    lengths = torch.full((len(x),), x.size(1))
    inputs = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    output, _ = net.lstm(inputs)
    output, lengths = pad_packed_sequence(output, batch_first=True)
    last = output[torch.arange(len(x)), lengths - 1]
    return net.fc(last + output.sum(1) / lengths[:, None])


def steps_beside_each_other(net, x):
    B, T, _ = x.shape
    return net.fc(net.lstm(x)[0].contiguous().view(-1, H)).view(B, T, C)


def pooled(net, x):
    output = net.lstm(x)[0].transpose(1, 2)
    mean = functional.adaptive_avg_pool1d(output, 1).squeeze(-1)
    return net.fc(torch.cat([mean, functional.max_pool1d(output, output.size(2)).squeeze(2)], 1))


def autoencoder(net, x):
    _, (h, _) = net.lstm(x)
    return net.fc(net.decoder(h[-1].unsqueeze(1).repeat(1, x.size(1), 1))[0])


def normalized_batch(net, x):
    output, _ = net.lstm(net.norm(x.transpose(1, 2)).transpose(1, 2))
    return net.fc(net.last(output[:, -1]))


def first_step_added(net, x):
    return net.fc(net.lstm(x)[0][:, -1]) + x[:, 0, :C]


def additive_attention(net, x):
    output, (h, _) = net.lstm(x)
    energy = net.v(torch.tanh(net.w(output) + net.u(h[-1]).unsqueeze(1)))
    return net.fc((energy.softmax(dim=1) * output).sum(dim=1))


def dot_attention(net, x):
    output, (h, _) = net.lstm(x)
    weights = torch.bmm(output, h[-1].unsqueeze(2)).squeeze(2).softmax(1)
    context = torch.bmm(output.transpose(1, 2), weights.unsqueeze(2)).squeeze(2)
    return net.fc(torch.tanh(net.w(torch.cat([context, h[-1]], dim=1))))


def vector_attention(net, x):
    output, _ = net.lstm(x)
    weights = functional.softmax(torch.matmul(torch.tanh(output), net.v), dim=1)
    return net.fc(torch.einsum("bt,bth->bh", weights, output))


def attention_of_heads(net, x):
    output, _ = net.lstm(x)
    attended, _ = net.attention(output, output, output)
    return net.fc(net.norm(output + attended).mean(1))


def scaled_dot_products(net, x):
    output = net.lstm(x)[0]
    q, k, v = (
        part(output).view(len(x), -1, 2, H // 2).transpose(1, 2) for part in (net.q, net.k, net.v)
    )
    attended = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2)
    return net.fc(attended.reshape(len(x), -1, H)[:, -1])


def convolutions(net, x):
    x = net.pool(functional.relu(net.norm(net.conv(x.permute(0, 2, 1)))))
    return net.fc(net.lstm(functional.elu(net.last(x)).permute(0, 2, 1))[1][0][-1])


def highway(net, x):
    output = net.lstm(x)[0][:, -1]
    gate = torch.sigmoid(net.g(output))
    return net.fc(gate * functional.silu(net.h(output)) + (1 - gate) * output)


def one_step_after_the_other(net, x):
    states, outputs = None, []
    for t in range(x.size(1)):
        output, states = net.lstm(x[:, t : t + 1], states)
        outputs.append(output)
    return net.fc(torch.cat(outputs, dim=1).mean(1) + states[0][0])


def encoder_and_decoder(net, x):
    _, states = net.lstm(x)
    return net.fc(net.decoder(states[0][-1].unsqueeze(1).repeat(1, 6, 1), states)[0])[:, -1]


def norm(width):
    def make():
        layer = nn.BatchNorm1d(width)
        nn.init.normal_(layer.running_mean)
        nn.init.uniform_(layer.running_var, 0.5, 2)
        nn.init.normal_(layer.weight)
        return layer

    return make


CASES = {
    "last": Network(lambda net, x: net.fc(net.lstm(x)[0][:, -1]), lstm=lstm()),
    "time first": Network(
        lambda net, x: net.fc(net.lstm(x)[0][-1]), lstm=lambda: nn.LSTM(D, H, num_layers=2)
    ),
    "transposed": Network(
        lambda net, x: net.fc(net.lstm(x.permute(1, 0, 2))[1][0][0]), lstm=lambda: nn.LSTM(D, H)
    ),
    "mean": Network(lambda net, x: net.fc(net.lstm(x)[0].mean(1)).softmax(-1), lstm=lstm()),
    "max": Network(lambda net, x: net.fc(net.lstm(x)[0].max(1)[0]), lstm=lstm()),
    "each step": Network(lambda net, x: net.fc(net.lstm(x)[0]), lstm=lstm()),
    "relu": Network(
        lambda net, x: net.fc(functional.relu(net.lstm(x)[0][:, -1], inplace=True)), lstm=lstm()
    ),
    "two layers": Network(
        two_layers,
        lstm=lstm(H=6),
        second=lstm(6),
        dropout=lambda: nn.Dropout(0.3),
        fc=linear(H, 6),
        fc2=linear(6, 1),
    ),
    "zeros": Network(states_of_zeros, lstm=lstm(num_layers=2)),
    "learned states": Network(
        learned_states, lstm=lstm(num_layers=2), h=parameter(2, 1, H), c=parameter(2, 1, H)
    ),
    "final states": Network(
        final_states, lstm=lstm(num_layers=2, bidirectional=True), fc=linear(2 * H, C)
    ),
    "both ends": Network(ends_of_both, lstm=lstm(bidirectional=True), fc=linear(2 * H, C)),
    "projection": Network(
        lambda net, x: net.fc(net.lstm(x)[0][:, -1]), lstm=lstm(proj_size=2), fc=linear(2, C)
    ),
    "GRU": Network(
        lambda net, x: net.fc(net.gru(x)[1][-1]),
        gru=lambda: nn.GRU(D, H, 2, batch_first=True, bidirectional=True),
    ),
    "RNN": Network(
        lambda net, x: net.fc(net.rnn(x)[0].mean(1)),
        rnn=lambda: nn.RNN(D, H, nonlinearity="relu", batch_first=True),
    ),
    "cells": Network(cells, cell=lambda: nn.LSTMCell(D, H), dropout=nn.Dropout),
    "two cells": Network(
        two_cells, first=lambda: nn.GRUCell(D, H), second=lambda: nn.RNNCell(H, H)
    ),
    "from the end": Network(cells_from_the_end, cell=lambda: nn.GRUCell(D, H)),
    "into a tensor": Network(cells_into_a_tensor, cell=lambda: nn.GRUCell(D, H)),
    "packed": Network(packed, lstm=lstm(num_layers=2)),
    "steps together": Network(steps_beside_each_other, lstm=lstm()),
    "pooled": Network(pooled, lstm=lstm(), fc=linear(2 * H, C)),
    "autoencoder": Network(autoencoder, lstm=lstm(), decoder=lstm(H, 6), fc=linear(6, D)),
    "batch normalization": Network(normalized_batch, lstm=lstm(), norm=norm(D), last=norm(H)),
    "residual": Network(first_step_added, lstm=lstm()),
    "additive attention": Network(
        additive_attention, lstm=lstm(), w=linear(H, 6), u=linear(H, 6), v=linear(6, 1)
    ),
    "dot attention": Network(dot_attention, lstm=lstm(), w=linear(2 * H, H)),
    "vector attention": Network(vector_attention, lstm=lstm(), v=parameter(H)),
    "heads": Network(
        attention_of_heads,
        lstm=lstm(),
        attention=lambda: nn.MultiheadAttention(H, 2, batch_first=True),
        norm=lambda: nn.LayerNorm(H),
    ),
    "transformer": Network(
        lambda net, x: net.fc(net.encoder(net.lstm(x)[0]).mean(1)),
        lstm=lstm(),
        encoder=lambda: nn.TransformerEncoderLayer(H, 2, 8, batch_first=True),
    ),
    "scaled dot products": Network(
        scaled_dot_products, lstm=lstm(), q=linear(H, H), k=linear(H, H), v=linear(H, H)
    ),
    "convolutions": Network(
        convolutions,
        lstm=lstm(6),
        conv=lambda: nn.Conv1d(D, 8, 5, padding=2),
        norm=norm(8),
        pool=lambda: nn.MaxPool1d(2),
        last=lambda: nn.Conv1d(8, 6, 3, padding="same"),
    ),
    "highway": Network(highway, lstm=lstm(), g=linear(H, H), h=linear(H, H)),
    "step by step": Network(one_step_after_the_other, lstm=lstm()),
    "encoder and decoder": Network(encoder_and_decoder, lstm=lstm(), decoder=lstm(H)),
    "sequence": Network(
        lambda net, x: net.head(net.lstm(x)[0][:, -1]),
        lstm=lstm(),
        head=lambda: nn.Sequential(
            nn.Linear(H, 6), nn.GELU(), nn.Dropout(), nn.Linear(6, 2), nn.LogSoftmax(-1)
        ),
    ),
}


@pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")
@pytest.mark.parametrize("name", CASES)
def test_scores_and_gradients(name):
    network = CASES[name].double().eval()
    model = lrplstm.from_torch(network)
    assert model.dtype == np.float64
    time_first = name == "time first"
    torch.manual_seed(8)
    for T in (4, 9):
        x = torch.randn(2, T, D, dtype=torch.float64, requires_grad=True)
        scores = network(x.transpose(0, 1) if time_first else x)
        compared = {"mean": lambda s: s, "sequence": lambda s: s}.get(name)
        if compared is None:
            predicted = np.array([model.predict(row.detach().numpy()) for row in x])
            assert relative_error(predicted, scores.detach().numpy()) < 1e-11
        chosen = scores[:, -1] if scores.ndim == 3 else scores
        target = chosen.shape[-1] - 1
        if name in ("mean", "sequence"):  # of which the scores before softmax are explained
            continue
        (gradient,) = torch.autograd.grad(chosen[:, target].sum(), x)
        target = (-1, target) if scores.ndim == 3 else target
        a = lrplstm.gradient_x_input(model, [row.detach().numpy() for row in x], target=target)
        expected = (gradient * x).detach().numpy()
        for b, one in enumerate(a):
            assert relative_error(one.input_relevance, expected[b]) < 1e-9


@pytest.mark.parametrize(
    "name", ["cells", "autoencoder", "GRU", "residual", "pooled", "heads", "convolutions"]
)
def test_relevance_is_conserved(name):
    network = CASES[name].double().eval()
    model = lrplstm.from_torch(network)
    x = np.random.default_rng(0).normal(size=(6, D))
    target = (-1, 0) if name == "autoencoder" else 0
    a = lrplstm.lrp(model, x, target=target, bias_factor=1.0)
    assert abs(a.delta) < 1e-9


# What is called with more than sequences --------------------------------------------------------


class Words(nn.Module):
    """Sequences of ids, of lengths that are given, or counted."""

    def __init__(self, compute):
        super().__init__()
        torch.manual_seed(5)
        self.embed = nn.Embedding(12, D, padding_idx=0)
        self.lstm = nn.LSTM(D, H, batch_first=True, bidirectional=True)
        self.scores, self.fc = nn.Linear(2 * H, 1), nn.Linear(2 * H, C)
        self.compute = compute

    def forward(self, ids, lengths=None):
        return self.compute(self, ids) if lengths is None else self.compute(self, ids, lengths)


def counted(net, ids):
    lengths = (ids != 0).sum(1)
    inputs = pack_padded_sequence(net.embed(ids), lengths.cpu(), True, enforce_sorted=False)
    return net.fc(torch.cat(list(net.lstm(inputs)[1][0]), 1))


def given_lengths(net, ids, lengths):
    inputs = pack_padded_sequence(net.embed(ids), lengths, True, enforce_sorted=False)
    output, _ = pad_packed_sequence(net.lstm(inputs)[0], batch_first=True)
    return net.fc(output.sum(1) / torch.as_tensor(lengths)[:, None])


def masked(net, ids, mask):
    states = net.lstm(net.embed(ids))[0][..., :H]  # the other direction begins at the padding
    output = torch.cat([states, states], -1)
    last = (mask.sum(1).long() - 1).view(-1, 1, 1).expand(-1, 1, 2 * H)
    return net.fc(output.gather(1, last).squeeze(1))


IDS = torch.tensor([[3, 4, 5, 0, 0], [6, 7, 8, 9, 1], [2, 4, 0, 0, 0]])
LENGTHS = [3, 5, 2]


@pytest.mark.parametrize(
    ("network", "example"),
    [
        (Words(counted), None),
        (Words(counted), IDS),
        (Words(given_lengths), (IDS, LENGTHS)),
        (Words(given_lengths), (IDS, torch.tensor(LENGTHS))),
        (Words(given_lengths), {"ids": IDS, "lengths": LENGTHS}),
        (Words(masked), (IDS, IDS != 0)),
        (Words(masked), (IDS, (IDS != 0).float())),
    ],
)
def test_sequences_of_several_lengths(network, example):
    compares = network.compute is counted
    said = (
        pytest.warns(UserWarning, match="forward does behind a sequence")
        if compares
        else nullcontext()
    )
    with said:
        model = lrplstm.from_torch(network, example=example)
    network.eval()
    for row, length in zip(IDS, LENGTHS, strict=True):
        alone = row[None, :length]
        others = {counted: [], masked: [alone != 0]}.get(network.compute, [[length]])
        expected = network(alone, *others)
        predicted = model.predict(row[:length].numpy())
        assert relative_error(predicted, expected[0].detach().numpy()) < 1e-5


def test_axes_in_another_order():
    """Channels first, steps that are a number, one sequence alone, sequences of one length."""
    torch.manual_seed(0)
    flat = Network(lambda net, x: net.fc(net.lstm(x.unsqueeze(-1))[0][:, -1]), lstm=lstm(1))
    first = Network(lambda net, x: net.fc(net.lstm(x.transpose(1, 2))[0][:, -1]), lstm=lstm())
    alone = Network(lambda net, x: net.fc(net.lstm(x)[0][-1]), lstm=lstm())
    fixed = Network(
        lambda net, x: net.fc(net.lstm(x)[0].reshape(len(x), -1)), lstm=lstm(), fc=linear(9 * H, C)
    )
    x = torch.randn(9, D)
    for network, one, example in (
        (flat, x[:, :1], torch.randn(2, 9)),
        (flat, x[:, :1], None),
        (first, x, torch.randn(2, D, 9)),
        (alone, x, x),
        (fixed, x, torch.randn(2, 9, D)),
        (fixed, x, None),
    ):
        model = lrplstm.from_torch(network, example=example)
        given = one if network is alone else one.T[None] if network is first else one[None]
        given = given[..., 0] if network is flat else given
        expected = network.eval()(given).reshape(-1).detach().numpy()
        assert relative_error(model.predict(one.numpy()), expected) < 1e-5


def test_several_outputs():
    def compute(net, x):
        output, (h, _) = net.lstm(x)
        return {"tags": net.fc(output), "label": net.fc(h[-1]), "states": output}

    network = Network(compute, lstm=lstm(), extra=linear(1, 1)).eval()
    with pytest.warns(UserWarning, match="returns 'tags', 'label', 'states'; the first is explai"):
        assert lrplstm.from_torch(network).every_step
    model = lrplstm.from_torch(network, output="label")
    x = torch.randn(1, 6, D)
    assert relative_error(model.predict(x[0].numpy()), network(x)["label"][0].detach()) < 1e-5
    with pytest.raises(ValueError, match="output: expected one of 'tags', 'label', 'states', got"):
        lrplstm.from_torch(network, output="lable")


class Named(NamedTuple):
    logits: torch.Tensor
    states: torch.Tensor


@dataclass
class Described:
    states: torch.Tensor
    logits: torch.Tensor
    loss: torch.Tensor | None = None


@pytest.mark.parametrize("kind", [Named, Described])
def test_outputs_with_names(kind):
    def compute(net, x):
        output = net.lstm(x)[0]
        return kind(logits=net.fc(output.amin(1)), states=output)

    network = Network(compute, lstm=lstm()).eval()
    model = lrplstm.from_torch(network, output="logits")
    x = torch.randn(1, 6, D)
    assert relative_error(model.predict(x[0].numpy()), network(x).logits[0].detach()) < 1e-5


# What is refused --------------------------------------------------------------------------------


def fed_back(net, x):
    h, scores = net.lstm(x)[1][0][-1], []
    for _ in range(x.size(1)):
        h = net.cell(h, h)
        scores.append(net.fc(h))
    return torch.stack(scores, 1)


def by_number(net, x):
    return net.fc(torch.where(x[:, :, :1] > 0.3, net.lstm(x)[0], 0).mean(1))


def noisy(net, x):
    output = net.lstm(x)[0][:, -1]
    return net.fc(output + torch.randn_like(output))


def always_dropping(net, x):
    return net.fc(functional.dropout(net.lstm(x)[0][:, -1], 0.5))


def steep(net, x):
    return net.fc(functional.softplus(net.lstm(x)[0][:, -1], beta=20.0))


def cut_short(net, x):
    return net.fc(net.lstm(x[:, :24])[0][:, -1])


def other_for_short_ones(net, x):
    output = net.lstm(x)[0]
    return net.fc(output[:, -1] if x.size(1) < 6 else output.mean(1))


def mixed(net, x):
    return net.fc(net.lstm(x)[1][0].view(len(x), -1)[:, :H])


@pytest.mark.parametrize(
    ("compute", "match"),
    [
        (
            fed_back,
            r"something else for other lengths: .* a decoder of what it gave before with a fixed n",
        ),
        (by_number, r"in forward: .*gt decides by the numbers of an input"),
        (noisy, "randn_like.*draws random numbers"),
        (always_dropping, "drops numbers at random, in evaluation mode too"),
        (steep, "Softplus with beta=20"),
        (cut_short, "expected the scores that forward gives, got others: on made-up inputs"),
        (other_for_short_ones, "it is not the same for other lengths|something else for other len"),
        (mixed, "differ for .* at once|mixes|splits an axis"),
    ],
)
def test_what_is_not_read(compute, match):
    network = Network(
        compute, lstm=lstm(num_layers=2), cell=lambda: nn.GRUCell(H, H), more=linear(9, 9)
    )
    with pytest.raises(ValueError, match=match) as caught:
        lrplstm.from_torch(network)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_what_is_no_network_with_a_recurrent_layer():
    with pytest.raises(ValueError, match="expected a network with a recurrent layer"):
        lrplstm.from_torch(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)))


# Several embeddings of the same ids -------------------------------------------------------------


def side_by_side(net, ids):
    rows = torch.cat([net.embed(ids), net.other(ids)], dim=-1)
    return net.fc(net.lstm(rows)[0][:, -1])


def summed(net, ids):
    return net.fc(net.lstm(net.embed(ids) + net.other(ids))[0][:, -1])


def beside_the_states(net, ids):
    return net.fc(torch.cat([net.lstm(net.embed(ids))[0][:, -1], net.other(ids).mean(1)], 1))


@pytest.mark.parametrize(
    ("compute", "sizes", "width", "states"),
    [
        (side_by_side, (12, 3), D + 3, H),
        (side_by_side, (9, 3), D + 3, H),  # ids that one of them lacks are not read
        (summed, (12, D), D, H),
        (beside_the_states, (12, 2), D, H + 2),
    ],
)
def test_several_embeddings_of_the_same_ids(compute, sizes, width, states):
    network = Network(
        compute,
        embed=lambda: nn.Embedding(12, D),
        other=lambda: nn.Embedding(*sizes),
        lstm=lstm(width),
        fc=linear(states, C),
    )
    network.double().eval()
    model = lrplstm.from_torch(network)
    ids = np.random.default_rng(3).integers(0, sizes[0], (4, 7))
    scores = network(torch.from_numpy(ids)).detach().numpy()
    assert relative_error(model.predict(ids), scores) < 1e-11
    assert model.embedding.shape == (sizes[0], D + sizes[1])
    a = lrplstm.lrp(model, ids, 1, bias_factor=1.0)
    assert np.abs(a.delta).max() < 1e-9
