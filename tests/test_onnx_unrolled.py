"""Cells that an exporter wrote out, step after step, and that are read as the layers they are."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import torch
from onnx_graphs import export
from random_models import relative_error
from torch import nn

import lrplstm

D, H, STEPS = 3, 4, 5


class OwnLSTM(nn.Module):
    """An LSTM by its formulas, with the products for both gates and candidate in one."""

    def __init__(self, size):
        super().__init__()
        self.all = nn.Linear(size + H, 4 * H)

    def forward(self, x, states):
        h, c = states
        f, i, o, g = self.all(torch.cat([h, x], 1)).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class OwnGRU(nn.Module):
    """A GRU as it is written in many texts: z is what is new, and r multiplies the state."""

    def __init__(self, size):
        super().__init__()
        self.r, self.z, self.n = (nn.Linear(size + H, H) for _ in range(3))

    def forward(self, x, h):
        both = torch.cat([x, h], 1)
        r, z = torch.sigmoid(self.r(both)), torch.sigmoid(self.z(both))
        n = torch.tanh(self.n(torch.cat([x, r * h], 1)))
        return (1 - z) * h + z * n


CELLS = {
    "lstm": nn.LSTMCell,
    "gru": nn.GRUCell,
    "rnn": nn.RNNCell,
    "own lstm": OwnLSTM,
    "own gru": OwnGRU,
}


class Loop(nn.Module):
    """A loop over steps, of one cell or of two, of which the second reads what the first gives."""

    def __init__(self, kind, *, layers=1, backward=False, each=False, every=False):
        super().__init__()
        torch.manual_seed(1)
        self.kind, self.backward, self.every = kind, backward, every
        sizes = [H if each else D] + [H] * (layers - 1)
        self.before = nn.Linear(D, H) if each else None
        self.cells = nn.ModuleList([CELLS[kind](size) if "own" in kind else CELLS[kind](size, H)
                                    for size in sizes])  # fmt: skip
        self.head = nn.Linear(H, 2)
        for name, parameter in self.named_parameters():
            nn.init.normal_(parameter, std=0.5 if "bias" in name else 0.4)

    def begin(self, x):
        zeros = x.new_zeros(x.shape[0], H)
        return (zeros, zeros) if "lstm" in self.kind else zeros

    def forward(self, x):
        states = [self.begin(x) for _ in self.cells]
        rows = []
        for t in range(STEPS)[:: -1 if self.backward else 1]:
            y = x[:, t]
            if self.before is not None:
                y = torch.relu(self.before(y))
            for n, cell in enumerate(self.cells):
                states[n] = cell(y, states[n])
                y = states[n][0] if "lstm" in self.kind else states[n]
            rows.append(y)
        if self.every:
            return self.head(torch.stack(rows, 1))
        return self.head(y)


class Layer(nn.Module):
    """What a loop is that PyTorch runs itself."""

    def __init__(self, layer, head):
        super().__init__()
        self.layer, self.head = layer, head

    def forward(self, x):
        return self.head(self.layer(x)[0][:, -1])


def exported(module, *, dynamo=False):
    sizes = {0: torch.export.Dim.AUTO}
    options = {"dynamic_shapes": (sizes,), "verbose": False}
    if not dynamo:
        options = {"dynamic_axes": {"x": {0: "batch"}}, "input_names": ["x"]}
    return export(module.eval(), (torch.randn(2, STEPS, D),), dynamo=dynamo, **options)


def read(module, **options):
    """The model of a module, which has its scores."""
    model = lrplstm.from_onnx(exported(module, **options))
    x = torch.randn(3, STEPS, D)
    expected = module(x).detach().numpy()
    for backend in ("kernel", "reference"):
        found = np.array(model.predict(x.numpy(), backend=backend))
        assert relative_error(found, expected) < 1e-5
    return model


def kinds(model):
    return [layer.kind for layer in model.graph.layers]


@pytest.mark.parametrize(
    ("kind", "dynamo"), [*((kind, False) for kind in CELLS), ("gru", True), ("own lstm", True)]
)
def test_cells_in_loops(kind, dynamo):
    model = read(Loop(kind), dynamo=dynamo)
    assert kinds(model) == [kind.removeprefix("own "), "pool", "dense"]
    # Relevance is that of the layer, as PyTorch's own file has it.
    if "own" not in kind:
        module = Loop(kind)
        layer = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}[kind](D, H, batch_first=True)
        for name, parameter in module.cells[0].named_parameters():
            getattr(layer, f"{name}_l0").data = parameter.data
        same = lrplstm.from_torch(Layer(layer, module.head))
        x = np.random.default_rng(2).normal(size=(STEPS, D))
        mine, other = (lrplstm.lrp(one, x, 1).input_relevance for one in (model, same))
        assert relative_error(mine, other) < 1e-5


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        ("lstm", {"layers": 2}, ["lstm", "lstm", "pool", "dense"]),
        ("gru", {"layers": 2, "every": True}, ["gru", "gru", "dense"]),
        ("lstm", {"backward": True}, ["lstm", "pool", "dense"]),
        ("gru", {"backward": True, "every": True}, ["gru", "reverse", "dense"]),
        ("own lstm", {"each": True}, ["dense", "lstm", "pool", "dense"]),
        ("rnn", {"each": True, "layers": 2}, ["dense", "rnn", "rnn", "pool", "dense"]),
    ],
)
def test_what_is_around_the_cells(kind, options, expected):
    model = read(Loop(kind, **options))
    assert kinds(model) == expected


class Decoder(Loop):
    """States of one loop are those that another begins with, which reads one row at each step."""

    def begin(self, x):
        row = x.mean(1)
        return torch.tanh(row @ self.given), row @ self.given

    def __init__(self):
        super().__init__("lstm")
        self.given = nn.Parameter(torch.randn(D, H) * 0.4)


def test_states_that_are_computed():
    model = read(Decoder())
    assert "lstm" in kinds(model)
    (lstm,) = [layer for layer in model.graph.layers if layer.kind == "lstm"]
    assert len(lstm.reads) == 3


class Changed(Loop):
    """One step of which is not like the others."""

    def __init__(self, change):
        super().__init__("lstm")
        self.change = change

    def forward(self, x):
        h, c = (torch.full((x.shape[0], H), 0.5 * (self.change == "begun")) for _ in range(2))
        for t in range(STEPS):
            if t == 3 and self.change == "order":
                h, c = self.cells[0](x[:, 0], (h, c))
            elif t == 3 and self.change == "formula":
                h, c = self.cells[0](x[:, t], (h * 1.001, c))
            else:
                h, c = self.cells[0](x[:, t], (h, c))
        return self.head(h + c.relu() if self.change == "cell state" else h)


@pytest.mark.parametrize("change", ["order", "formula", "begun"])
def test_chains_that_are_no_layer(change):
    """They are read as they compute, in single layers."""
    assert "lstm" not in kinds(read(Changed(change)))


def test_the_last_cell_state():
    assert "final_state" in kinds(read(Changed("cell state")))


# Keras' own export ------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")  # of PyTorch, in Keras
@pytest.mark.parametrize("name", ["LSTM", "GRU"])
def test_exports_of_keras(name, tmp_path):
    cell = getattr(keras.layers, name)
    start = keras.Input((STEPS, D))
    rows = cell(H, return_sequences=True)(keras.layers.Masking(0.0)(start))
    network = keras.Model(start, keras.layers.Dense(2)(cell(H)(rows)))
    rng = np.random.default_rng(0)
    for variable in network.weights:
        variable.assign(rng.normal(0, 0.4, variable.shape))
    x = rng.normal(size=(3, STEPS, D)).astype("f4")
    x[0, 3:] = x[1, 1:3] = x[2, :1] = 0
    expected = network.predict(x, verbose=0)
    network.export(tmp_path / "network.onnx", format="onnx", verbose=False)
    model = lrplstm.from_onnx(tmp_path / "network.onnx")
    assert [layer.kind for layer in model.graph.layers] == [name.lower()] * 2 + ["pool", "dense"]
    assert model.mask_value == 0
    assert relative_error(np.array(model.predict(x)), expected) < 1e-5
