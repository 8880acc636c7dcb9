"""Modules that read several inputs: static features beside a series, and two series."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from random_models import relative_error
from test_torch_modules import C, D, H, Network, linear, lstm

import lrplstm


def beside(net, x, z):
    return net.fc(torch.cat([net.lstm(x)[0][:, -1], net.z(z)], dim=1))


def at_each_step(net, x, z):
    repeated = z.unsqueeze(1).expand(-1, x.size(1), -1)
    return net.fc(net.lstm(torch.cat([x, repeated], dim=2))[0][:, -1])


def siamese(net, x, z):
    a, b = (net.lstm(each)[1][0][-1] for each in (x, z))
    return net.fc(torch.cat([torch.abs(a - b), a * b], dim=1))


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (Network(beside, lstm=lstm(), z=linear(2, 3), fc=linear(H + 3, C)), (2,)),
        (Network(at_each_step, lstm=lstm(D + 2)), (2,)),
        (Network(siamese, lstm=lstm(), fc=linear(2 * H, 1)), (8, D)),
    ],
)
def test_several_inputs(network, shape):
    network.double().eval()
    x = torch.randn(3, 6, D, dtype=torch.float64, requires_grad=True)
    z = torch.randn(3, *shape, dtype=torch.float64, requires_grad=True)
    model = lrplstm.from_torch(network, example=(x, z))
    x_name, z_name = model.inputs
    rows = [
        {x_name: a.detach().numpy(), z_name: b.detach().numpy()} for a, b in zip(x, z, strict=True)
    ]
    scores = network(x, z)
    predicted = np.array([model.predict(row) for row in rows])
    assert relative_error(predicted, scores.detach().numpy()) < 1e-11
    gradients = torch.autograd.grad(scores[:, 0].sum(), (x, z))
    for b, row in enumerate(rows):
        a = lrplstm.gradient_x_input(model, row, target=0)
        total = sum(
            (gradient[b] * given[b]).sum()
            for gradient, given in zip(gradients, (x, z), strict=True)
        )
        found = sum(float(relevance.sum()) for relevance in a.relevance_of.values())
        assert found == pytest.approx(total.item(), rel=1e-8)


def test_an_input_of_ones_is_no_mask():
    """Ones beside a series are numbers like others, unless they are called a mask."""

    def compute(net, x, z):
        return net.fc(net.lstm(torch.cat([x, z.unsqueeze(-1)], 2))[0][:, -1])

    network = Network(compute, lstm=lstm(D + 1)).eval()
    x, z = torch.randn(3, 6, D), torch.ones(3, 6)
    model = lrplstm.from_torch(network, example=(x, z))
    x_name, z_name = model.inputs
    z = torch.randn(3, 6)
    given = {x_name: list(x.numpy()), z_name: list(z.unsqueeze(-1).numpy())}
    assert relative_error(model.predict(given), network(x, z).detach().numpy()) < 1e-5


def test_what_has_no_axis_of_sequences_stays_as_it_is():
    def compute(net, x, z):
        return net.fc(net.lstm(x)[0][:, -1]) * z

    network = Network(compute, lstm=lstm()).eval()
    x, z = torch.randn(2, 6, D), torch.tensor([1.0, -2.0, 0.5])
    with pytest.warns(UserWarning, match="'argument_1' of the example is taken to stay as it is"):
        model = lrplstm.from_torch(network, example=(x, z))
    assert model.inputs is None
    assert relative_error(model.predict(x.numpy()), network(x, z).detach().numpy()) < 1e-5


def masked_mean(net, ids, z):
    mask = (ids != 0).float().unsqueeze(-1)
    rows = torch.cat([net.embed(ids), z], -1) if z.ndim == 3 else net.embed(ids)
    output = net.lstm(rows)[0]
    return (output * mask).sum(1) / mask.sum(1)


@pytest.mark.parametrize("kind", ["row", "steps", "ids"])
def test_masks_beside_other_inputs(kind):
    def compute(net, ids, z):
        mean = masked_mean(net, ids, z)
        if kind == "row":
            return net.fc(mean) + net.z(z)
        if kind == "ids":
            mean = mean - masked_mean(net, z, ids)
        return net.fc(mean)

    width = D + 2 if kind == "steps" else D
    parts = {"embed": lambda: torch.nn.Embedding(9, D), "lstm": lstm(width), "z": linear(2, C)}
    network = Network(compute, **parts).eval()
    ids = torch.tensor([[3, 4, 5, 1, 2], [6, 7, 8, 0, 0]])
    others = {"row": torch.randn(2, 2), "steps": torch.randn(2, 5, 2), "ids": ids.flip(0)}
    with pytest.warns(UserWarning, match="is passed over, as forward does behind a sequence"):
        model = lrplstm.from_torch(network, example=(ids, others[kind]))
    first, second = model.inputs
    given = {first: ids.numpy(), second: others[kind].numpy()}
    assert model.inputs[first].mask_id == 0
    expected = network(ids, others[kind]).detach().numpy()
    assert relative_error(model.predict(given), expected) < 1e-5
