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
