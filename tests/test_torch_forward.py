"""A module is run once: forwards as people write them are read right, or refused with advice."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest
import torch
from random_models import relative_error
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence

import lrplstm
from lrplstm.errors import AssumptionWarning

IDS = torch.tensor([[3, 4, 5, 0, 0], [6, 7, 8, 9, 1], [2, 0, 0, 0, 0]])
LENGTHS = [3, 5, 1]


class Network(nn.Module):
    """What forwards have in common; `compute` is what is between the LSTM and the scores."""

    def __init__(self, compute, *, sides=2, V=None, D=5, H=4, C=3, **options):
        super().__init__()
        torch.manual_seed(1)
        if V is not None:
            self.embed = nn.Embedding(V, D, padding_idx=0)
        options = {"batch_first": True, "bidirectional": sides == 2} | options
        self.lstm = nn.LSTM(D, H, **options)
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(sides * H, C)
        self.compute = compute

    def forward(self, x, *others):
        x = self.embed(x) if hasattr(self, "embed") else x
        if not others:
            return self.compute(self, *self.lstm(x))
        packed = pack_padded_sequence(x, *others, batch_first=True, enforce_sorted=False)
        return self.compute(self, *self.lstm(packed))


def last_states(net, output, states):
    return net.fc(net.dropout(torch.cat([states[0][-2], states[0][-1]], dim=1)))


def last_step(net, output, states):
    return net.fc(output[:, -1])


def mean(net, output, states):
    return net.fc(output.mean(1))


def relu_between(net, output, states):
    return net.fc(torch.relu(output[:, -1]))


def attention(net, output, states):
    weights = (output @ torch.cat([*states[0]], 1)[:, :, None]).softmax(1)
    return net.fc((weights * output).sum(1))


def probabilities(net, output, states):
    return {"states": output, "logits": net.fc(output[:, -1]).softmax(-1)}


ONE = {"sides": 1}


@pytest.mark.parametrize(
    ("network", "options"),
    [
        (Network(last_states, num_layers=2, dropout=0.3), {}),
        (Network(last_step, **ONE), {}),
        (Network(last_step), {"pooling": "none"}),
        (Network(lambda net, o, s: net.fc(o[-1]), batch_first=False, **ONE), {}),
        (Network(mean, dtype=torch.float64).double(), {"pooling": "mean"}),
        (Network(lambda net, o, s: net.fc(o.max(1)[0]).log_softmax(1)), {"pooling": "max"}),
        (Network(probabilities, **ONE), {}),
        (Network(lambda net, o, s: (net.fc(o[:, -1]).sigmoid().squeeze(), s), C=1, **ONE), {}),
        (Network(lambda net, o, s: net.fc(o).transpose(1, 2)), {"pooling": "none"}),
        (Network(last_states, V=12), {"example": (IDS, LENGTHS)}),
        (Network(last_states, V=12), {"example": (IDS.where(IDS > 0, 7), LENGTHS)}),
        (Network(last_states, V=12), {"example": {"x": IDS.numpy()}}),
        (Network(last_step, **ONE), {"example": torch.randn(3, 1, 6, 5).reshape(3, 6, 5)}),
        (Network(relu_between, **ONE), {"head": ["relu", "fc"], "example": np.ones((2, 3, 5))}),
        (nn.DataParallel(Network(last_states)), {}),
        (nn.LSTM(5, 4, 2, bidirectional=True), {}),
        (nn.LSTM(5, 4, 2, bidirectional=True), {"pooling": "mean"}),
        (nn.Sequential(nn.Embedding(9, 5), nn.LSTM(5, 4)), {}),
        (Network(lambda net, o, s: (1 + 3e-5) * net.fc(o[:, -1]), **ONE), {}),
    ],
)
def test_agreement(network, options):
    lrplstm.from_torch(network, **options)


NOTHING_FITS = "no pooling= and no activation agrees, .*head=False .*hidden_relevance=.*; check=Fal"


@pytest.mark.parametrize(
    ("network", "options", "match"),
    [
        (Network(last_step), {}, r"pooling='none' agrees at the last step, target=\(-1, class\)"),
        (Network(mean), {}, "pooling='mean' agrees; check=False"),
        (
            Network(lambda net, o, s: net.fc(o)),
            {},
            r"got shape \(1, \d, 3\).*pooling='none' agrees",
        ),
        (Network(relu_between, **ONE), {}, r"pooling='last', head=\['relu', 'fc'\] agree;"),
        (Network(attention), {}, NOTHING_FITS),
        (Network(lambda net, o, s: net.fc(o.max(1)[0] + o.mean(1))), {}, NOTHING_FITS),
        (Network(lambda net, o, s: (1 + 3e-4) * net.fc(o[:, -1]), **ONE), {}, NOTHING_FITS),
        (Network(lambda net, o, s: net.fc(o[:, :24][:, -1]), **ONE), {}, NOTHING_FITS),
        # A classifier that is nearly sure of everything: probabilities differ by 1e-6 only.
        (
            Network(lambda net, o, s: (30 * mean(net, o, s)).softmax(-1)),
            {"pooling": "mean"},
            NOTHING_FITS,
        ),
        (
            Network(lambda net, o, s: net.fc(s[0].view(len(o), -1))),
            {},
            r"agree for one sequence, but differ for \d+ at once .* mixes sequences",
        ),
        (
            Network(mean, V=12),
            {"example": IDS},
            r"on the example they differ by up to .* \(sequence \d, score \d\); pooling='mean'",
        ),
        (
            Network(mean),
            {"head": "fc", "pooling": None, "example": np.ones((1, 4, 5))},
            "on the example .* pooling='mean' agrees",
        ),
        (
            nn.Sequential(Network(last_states), nn.Flatten(), nn.Linear(3, 8)),
            {"head": "0.fc", "example": np.ones((1, 4, 5))},
            r"got shape \(1, 8\) for 1 sequence\(s\) of 4 steps, where the model has 3 score",
        ),
    ],
)
def test_other_scores(network, options, match):
    options = {"pooling": "last"} | options  # said, so that it is not read from the forward
    with pytest.raises(ValueError, match=match) as caught:
        lrplstm.from_torch(network, **options)
    assert re.match(r"source: expected the scores that forward gives, ", str(caught.value))
    assert len(str(caught.value)) < 500
    lrplstm.from_torch(network, **options | {"example": None, "check": False})


class Needy(Network):
    def forward(self, x, lengths):
        return super().forward(x, lengths)


class Broken(Network):
    def forward(self, x):
        raise RuntimeError("no\nway")


@pytest.mark.parametrize(
    ("network", "options", "match"),
    [
        (
            Needy(last_states, V=12),
            {"pooling": "last"},
            r"made-up ids, \(B, T\), .* raised TypeError: .*'lengths'; pass .*example=.*check=F",
        ),
        (
            Broken(last_states),
            {},
            r"made-up numbers, \(B, T, D\), .* raised RuntimeError: no; pass",
        ),
        (
            Needy(last_states, V=12),
            {"example": IDS},
            "example: .*a tuple .*raised TypeError: .*len",
        ),
        (Network(mean), {"example": "text"}, r"example: expected .*numbers \(B, T, 5\) among it"),
        (Network(mean), {"example": np.ones((2, 4))}, r"example: expected .*numbers \(B, T, 5\)"),
        (Network(mean, V=12), {"example": IDS + 9}, "example: expected .*ids .* below 12 among it"),
        (Network(mean).state_dict(), {"example": IDS}, "example: expected None for weights alone"),
        (
            nn.ModuleDict({"lstm": nn.LSTM(5, 4)}),
            {"example": IDS},
            "example: expected None for weights alone",
        ),
    ],
)
def test_what_cannot_be_run(network, options, match):
    with pytest.raises(ValueError, match=match) as caught:
        lrplstm.from_torch(network, **options)
    assert "\n" not in str(caught.value)


class Messy(Network):
    """Changes whatever it can reach, and reads it."""

    def __init__(self):
        super().__init__(last_states)
        self.register_buffer("seen", torch.zeros(2))
        self.hidden = None

    def forward(self, x):
        assert not self.training
        assert not self.fc.training
        assert not torch.is_grad_enabled()
        self.seen += 1
        self.added = torch.rand(1), random.random(), np.random.random()
        output, self.hidden = self.lstm(x, self.hidden)
        x.zero_()
        return self.compute(self, output, self.hidden)


def test_a_run_leaves_no_trace():
    network = Messy().train()
    network.fc.eval()
    calls = []
    network.fc.register_forward_hook(lambda *arguments: calls.append(1))
    x = torch.ones(2, 3, 5)
    states = random.getstate(), torch.get_rng_state(), np.random.get_state()[1:3]
    lrplstm.from_torch(network, head="fc", example=x)
    assert calls
    assert [m.training for m in (network, network.lstm, network.fc)] == [True, True, False]
    assert network.hidden is None
    assert not hasattr(network, "added")
    assert not network.seen.any()
    assert x.all()
    assert random.getstate() == states[0]
    assert torch.equal(torch.get_rng_state(), states[1])
    np.testing.assert_equal(np.random.get_state()[1:3], states[2])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_halves_are_run_as_float32(dtype):
    """What they would round is more than the comparison allows."""
    network = Network(last_states).to(dtype)
    lrplstm.from_torch(network)
    with pytest.raises(ValueError, match="pooling='mean' agrees"):
        lrplstm.from_torch(Network(mean).to(dtype), pooling="last")
    assert lrplstm.from_torch(Network(mean).to(dtype)).pooling == "mean"
    assert all(parameter.dtype == dtype for parameter in network.parameters())
    assert network(torch.ones(1, 3, 5, dtype=dtype)).dtype == dtype


def test_hooks_are_run():
    network = Network(last_states)
    network.eval().fc.register_forward_hook(lambda module, inputs, output: output + 1)
    with pytest.raises(ValueError, match=r"they differ by up to 1,"):
        lrplstm.from_torch(network, pooling="last")
    model = lrplstm.from_torch(network)
    assert model.verify(lambda x: network(torch.as_tensor(x)), np.ones((2, 6, 5), "f4")) < 1e-5


# Weights alone ----------------------------------------------------------------------------------


STATE = Network(last_states).state_dict()
MODULES = nn.ModuleDict({"lstm": nn.LSTM(5, 4), "fc": nn.Linear(4, 3)})
POOLING = r"pooling 'last', the head reads the final state of each direction"
BETWEEN = r"no other activation between the LSTM and 'fc', or after it"


@pytest.mark.parametrize(
    ("source", "options", "match"),
    [
        (STATE, {}, rf"{POOLING}; {BETWEEN}; .* pooling='last', activations=\['linear'\]; a mod"),
        (STATE, {"pooling": "mean"}, rf"assumed: {BETWEEN}; if it is so, pass activations="),
        (STATE, {"head": "fc"}, rf"assumed: {POOLING}; if it is so, pass pooling='last'; a module"),
        (MODULES, {}, rf"weights alone .*{POOLING}"),
        (nn.Sequential(*MODULES.values()), {}, rf"weights alone .*{POOLING}.*'1'"),
        (nn.LSTM(5, 4).state_dict(), {}, "assumed: pooling 'last', the scores are the final state"),
        (
            Network(mean),
            {"head": "fc"},
            rf"parts are named .*{POOLING}.*; with example= it is comp",
        ),
        (Network(mean), {"lstm": "lstm"}, rf"parts are named .*{POOLING}"),
        (STATE, {"pooling": "max", "activations": ["relu"]}, None),
        (STATE, {"pooling": "max", "head": ["tanh", "fc"]}, None),
        (MODULES, {"pooling": "last", "activations": ()}, None),
        (Network(mean), {"pooling": "max", "head": "fc"}, None),
        (Network(mean), {"head": "fc", "check": False}, None),
    ],
)
def test_what_is_assumed_is_said(source, options, match, recwarn):
    with np.errstate(all="raise"):
        lrplstm.from_torch(source, **options)
    assert len(recwarn) == (match is not None)
    if match is not None:
        assert re.search(match, str(recwarn[0].message))
        assert recwarn[0].category is AssumptionWarning
        assert recwarn[0].filename == __file__


def test_what_stands_before_the_head_of_weights_alone():
    network = Network(relu_between, **ONE)
    model = lrplstm.from_torch(network.state_dict(), head=["relu", "fc"], pooling="last")
    assert model.origin["head"] == "relu, fc"
    x = torch.randn(1, 6, 5)
    assert relative_error(model.predict(x[0].numpy()), network(x)[0].detach().numpy()) < 1e-5
    assert [layer.activation for layer in model.head] == ["relu", "linear"]


def test_a_checkpoint_of_parts():
    network, norm = Network(last_states), nn.LayerNorm(8)
    parts = {"lstm": network.lstm.state_dict(), "fc": network.fc.state_dict()}
    options = {"pooling": "last", "activations": ["linear"]}
    for source in (parts, {"model": parts, "optimizer": {"state": {0: {"exp_avg": norm.weight}}}}):
        model = lrplstm.from_torch(source, **options)
        assert dict(model.origin) == {"lstm": "lstm", "head": "fc"}
        np.testing.assert_array_equal(model.head_weight, network.fc.weight.detach())
    with pytest.raises(ValueError, match=r"nothing else, found 'fc' .*, 'norm' \(weight, bias\)"):
        lrplstm.from_torch({**parts, "norm": norm.state_dict()}, **options)
    halves = {"encoder": {"lstm": parts["lstm"]}, "decoder": {"fc": parts["fc"]}}
    model = lrplstm.from_torch(halves, **options)
    assert dict(model.origin) == {"lstm": "encoder.lstm", "head": "decoder.fc"}


def test_several_linear_layers_are_one_error():
    """It says which of them could follow each other, and what else has to be said."""
    modules = {"fc2": nn.Linear(4, 2), "lstm": nn.LSTM(3, 5), "fc1": nn.Linear(5, 4)}
    state = nn.ModuleDict(modules).state_dict()
    with pytest.raises(ValueError, match=r"head=\['fc1', 'fc2'\], activations=\['relu'\]"):
        lrplstm.from_torch(state)
    model = lrplstm.from_torch(state, activations=["relu"], pooling="last")
    assert model.origin["head"] == "fc1, fc2"


def test_a_checkpoint_of_layers():
    """Of one network, a state dict each; of two networks one has to be passed."""
    states = {"lstm1": nn.LSTM(3, 5).state_dict(), "lstm2": nn.LSTM(5, 4).state_dict()}
    checkpoint = {"epoch": 1, "net": states | {"fc": nn.Linear(4, 2).state_dict()}}
    with pytest.warns(UserWarning, match="'lstm1', 'lstm2' follow each other in this order"):
        model = lrplstm.from_torch(checkpoint)
    assert dict(model.origin) == {"lstm": "lstm1, lstm2", "head": "fc"}
    with pytest.raises(ValueError, match=r"got source\['best'\], source\['last'\]; pass one"):
        lrplstm.from_torch({"best": dict(STATE), "last": STATE})


# Any model --------------------------------------------------------------------------------------


def test_verify():
    rng = np.random.default_rng(0)
    network = Network(last_states).eval()
    model = lrplstm.from_torch(network)
    x = rng.normal(size=(4, 6, 5)).astype("f4")

    def scores_of(inputs):
        return network(torch.as_tensor(inputs))

    assert 0 < model.verify(scores_of, x) < 1e-5
    assert model.verify(lambda x: scores_of(x).bfloat16(), x, rtol=0.02) > 1e-4
    assert model.verify(lambda x: functional.softmax(scores_of(x), -1), x) < 1e-5
    assert model.verify(lambda x: scores_of(x).sigmoid().tolist(), x) < 1e-5
    assert model.verify(lambda x: (x, {"s": scores_of(x[None])[0]}), x[0]) < 1e-5
    one_by_one = model.verify(lambda rows: [scores_of(row[None]) for row in rows], list(x))
    assert one_by_one < 1e-5
    wrong = scores_of(x).detach().numpy()
    wrong[2, 1] += 0.5
    match = r"scores_of: expected .* differ by up to 0.5, .* \(sequence 2, score 1\)"
    with pytest.raises(ValueError, match=match):
        model.verify(lambda x: wrong, x)
    wrong[2, 1] = np.nan
    with pytest.raises(ValueError, match=r"up to inf, .* \(sequence 2, score 1\)"):
        model.verify(lambda x: wrong, x)
    with pytest.raises(ValueError, match=r"scores_of: expected 3 score\(s\) of 4 .*shape \(4, 2\)"):
        model.verify(lambda x: wrong[:, :2], x)
    with pytest.raises(TypeError, match="scores_of: expected a function, got ndarray"):
        model.verify(wrong, x)
    with pytest.raises(ValueError, match="rtol: expected a number from 0 on, got nan"):
        model.verify(scores_of, x, rtol=np.nan)


def test_scores_of_zero_are_no_probabilities():
    """Of which the scale is nothing, so that everything would be near to them."""
    model = lrplstm.from_torch(Network(last_states))
    nothing = model.replaced(head=[lrplstm.DenseLayer(np.zeros((3, 8), "f4"))])
    x = np.ones((2, 4, 5), "f4")
    assert nothing.verify(lambda x: np.full((2, 3), 1 / 3), x) < 1e-6
    assert nothing.verify(lambda x: np.full((2, 3), 0.5), x) < 1e-6
    with pytest.raises(ValueError, match=r"differ by up to 0\.2,"):
        nothing.verify(lambda x: np.full((2, 3), -0.2), x)


def test_verify_steps():
    network = Network(lambda net, o, s: net.fc(o), **ONE).eval()
    model = lrplstm.from_torch(network, pooling="none")
    rows = [torch.randn(T, 5) for T in (3, 7, 1)]
    padded = nn.utils.rnn.pad_sequence(rows, batch_first=True)
    inputs = [row.numpy() for row in rows]
    assert model.verify(lambda _: network(padded), inputs) < 1e-5
    assert model.verify(lambda x: [network(row[None]) for row in rows], inputs) < 1e-5
    changed = network(padded).detach()
    changed[1, 6, 0] += 1
    with pytest.raises(ValueError, match=r"\(sequence 1, step 6, score 0\)"):
        model.verify(lambda _: changed, inputs)
