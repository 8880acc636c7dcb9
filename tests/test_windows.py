"""Convolutions and poolings over windows: PyTorch, Keras, and messages from sum to sum."""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import literal
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from random_models import random_batch, relative_error

import lrplstm
from lrplstm.layers import Convolution, Pool, WindowPool

D, OUT = 6, 4
LENGTHS = (9, 1, 7, 4)


def batch_of(shortest):
    return random_batch(D=D, lengths=[T for T in LENGTHS if shortest <= T])


def convolution(seed=0, window=3, *, bias=True, groups=1, dtype=np.float64, **settings):
    rng = np.random.default_rng(seed)
    weight = rng.normal(0, 0.4, (OUT, D // groups, window)).astype(dtype)
    b = rng.normal(0, 0.4, OUT).astype(dtype) if bias else None
    return Convolution(weight, b, groups=groups, **settings)


CONVOLUTIONS = {
    "valid": {},
    "of one step": {"window": 1, "bias": False},
    "strides": {"window": 2, "stride": 3},
    "dilation and groups": {"window": 2, "dilation": 3, "groups": 2},
    "padding of two widths": {"padding": (1, 2), "window": 4},
    "causal": {"padding": "causal", "dilation": 2},
    "causal, strides": {"padding": "causal", "stride": 2, "window": 4},
    "same": {"padding": "same", "window": 4, "groups": 2},
    "same, strides": {"padding": "same", "stride": 2, "window": 4},
    "same, dilation": {"padding": "same", "window": 2, "dilation": 3},
}
convolutions = pytest.mark.parametrize("settings", CONVOLUTIONS.values(), ids=CONVOLUTIONS)


def means_of(layer):
    """A model whose scores are the means of what a layer gives."""
    return lrplstm.Model([lrplstm.DenseLayer(np.eye(D)), layer, Pool("mean")])


def of_torch(layer, x):
    """The output of PyTorch for one sequence, a tensor (T, D) that is differentiated."""
    before, after = layer.padding if isinstance(layer.padding, tuple) else (0, 0)
    padded = torch.nn.functional.pad(x.T[None], (before, after))
    if isinstance(layer, Convolution):
        bias = None if layer.bias is None else torch.tensor(layer.bias)
        options = {"stride": layer.stride, "dilation": layer.dilation, "groups": layer.groups}
        return torch.nn.functional.conv1d(padded, torch.tensor(layer.weight), bias, **options)[0].T
    options = {"stride": layer.stride, "ceil_mode": layer.round_up}
    if layer.pooling == "max":
        module = torch.nn.MaxPool1d(
            layer.window, padding=before, dilation=layer.dilation, **options
        )
    else:
        options["count_include_pad"] = layer.count_padding
        module = torch.nn.AvgPool1d(layer.window, padding=before, **options)
    return module(x.T[None])[0].T


def assert_same_as_torch(layer, batch):
    rng, model = np.random.default_rng(1), means_of(layer)
    v = rng.normal(size=model.num_classes)
    found = lrplstm.gradient_x_input(model, batch, v)
    for x, scores, b in zip(batch, model.predict(batch), range(len(batch)), strict=True):
        inputs = torch.tensor(x, requires_grad=True)
        mean = of_torch(layer, inputs).mean(0)
        (gradient,) = torch.autograd.grad((mean * torch.tensor(v)).sum(), inputs)
        assert relative_error(scores, mean.detach().numpy()) < 1e-12
        assert relative_error(found[b].input_relevance, gradient.numpy() * x) < 1e-12
        np.testing.assert_array_equal(model.predict(x), scores)  # whatever the batch


@pytest.mark.parametrize(
    "settings",
    [
        settings
        for settings in CONVOLUTIONS.values()
        if not isinstance(settings.get("padding"), str)
    ],
    ids=str,
)
def test_convolutions_are_those_of_pytorch(settings):
    layer = convolution(**settings)
    assert_same_as_torch(layer, batch_of(layer.windows.span))


@pytest.mark.parametrize(
    "settings",
    [
        {"pooling": "max", "window": 3},
        {"pooling": "max", "window": 3, "stride": 2, "padding": (1, 1)},
        {"pooling": "max", "window": 2, "stride": 1, "dilation": 2},
        {"pooling": "max", "window": 4, "stride": 3, "round_up": True, "padding": (1, 1)},
        {"pooling": "mean", "window": 3, "stride": 2},
        {"pooling": "mean", "window": 4, "stride": 2, "padding": (2, 2)},
        {"pooling": "mean", "window": 4, "stride": 2, "padding": (2, 2), "count_padding": True},
        {"pooling": "mean", "window": 4, "stride": 3, "padding": (1, 1), "round_up": True},
        {
            "pooling": "mean",
            "window": 4,
            "stride": 3,
            "padding": (1, 1),
            "round_up": True,
            "count_padding": True,
        },
    ],
    ids=str,
)
def test_poolings_are_those_of_pytorch(settings):
    assert_same_as_torch(WindowPool(**settings), batch_of(4))


@convolutions
def test_convolutions_are_those_of_keras(settings):
    layer = convolution(**settings)
    if isinstance(layer.padding, tuple) or (layer.stride > 1 and layer.dilation > 1):
        pytest.skip("Keras has no such convolution")
    of_keras = keras.layers.Conv1D(
        OUT,
        layer.weight.shape[2],
        strides=layer.stride,
        padding=layer.padding,
        dilation_rate=layer.dilation,
        groups=layer.groups,
        use_bias=layer.bias is not None,
        dtype="float64",
    )
    of_keras.build((None, None, D))
    weights = [layer.weight.transpose(2, 1, 0)] + ([] if layer.bias is None else [layer.bias])
    of_keras.set_weights(weights)
    for x in batch_of(layer.windows.span if layer.padding == "valid" else 1):
        expected = of_keras(torch.tensor(x[None])).detach().numpy()[0]
        assert relative_error(means_of(layer).predict(x), expected.mean(axis=0)) < 1e-12


@pytest.mark.parametrize(("window", "stride"), [(2, 1), (3, 2), (3, 3), (4, 3)])
def test_same_padding_of_poolings_is_that_of_onnx(window, stride):
    """Keras has it from TensorFlow; on PyTorch its means repeat the last step instead."""
    for name, operator in (("max", "MaxPool"), ("mean", "AveragePool")):
        model = means_of(WindowPool(name, window, stride, padding="same"))
        node = onnx.helper.make_node(
            operator, ["x"], ["y"], kernel_shape=[window], strides=[stride], auto_pad="SAME_UPPER"
        )
        shape = [1, D, None]
        values = [
            onnx.helper.make_tensor_value_info(value, onnx.TensorProto.FLOAT, shape)
            for value in "xy"
        ]
        graph = onnx.helper.make_graph([node], "pooling", values[:1], values[1:])
        opset = [onnx.helper.make_opsetid("", 17)]
        file = onnx.helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()
        session = onnxruntime.InferenceSession(file)
        for x in random_batch(D=D, lengths=(1, 4, 5, 6), dtype=np.float32):
            (expected,) = session.run(None, {"x": x.T[None]})
            assert relative_error(model.predict(x), expected[0].mean(axis=1)) < 1e-6


# Relevance --------------------------------------------------------------------------------------


def by_sums(layer, T):
    """Of each sum of a layer of windows, by (step, unit): which steps it reads, one by one."""
    windows = layer.windows
    around = windows.padding
    if around == "same":
        total = max((-(-T // windows.stride) - 1) * windows.stride + windows.span - T, 0)
        around = total // 2, total - total // 2
    elif isinstance(around, str):
        around = (windows.span - 1 if around == "causal" else 0), 0
    start = -around[0]
    while start + windows.span <= T + around[1] or (
        windows.round_up and start + windows.span - windows.stride < T + around[1]
    ):
        steps = [start + k * windows.dilation for k in range(windows.window)]
        yield [(k, t) for k, t in enumerate(steps) if 0 <= t < T], steps, T + around[1]
        start += windows.stride


def lrp_of_convolution(layer, x, z, R, **rule):
    """A message from each sum to each number it reads inside of the sequence."""
    R_x = np.zeros_like(x)
    inputs, outputs = D // layer.groups, OUT // layer.groups
    for j, (inside, _, _) in enumerate(by_sums(layer, len(x))):
        for g in range(layer.groups):
            read = slice(g * inputs, (g + 1) * inputs)
            of_group = slice(g * outputs, (g + 1) * outputs)
            W = np.hstack([layer.weight[of_group, :, k] for k, _ in inside])
            y = np.concatenate([x[t, read] for _, t in inside])
            bias = np.zeros(outputs) if layer.bias is None else layer.bias[of_group]
            R_y = literal.messages(y, W, bias, z[j, of_group], R[j, of_group], len(y), **rule)
            for part, (_, t) in zip(R_y.reshape(len(inside), inputs), inside, strict=True):
                R_x[t, read] += part
    return R_x


def lrp_of_means(layer, x, z, R, **rule):
    R_x = np.zeros_like(x)
    for j, (inside, steps, end) in enumerate(by_sums(layer, len(x))):
        k = sum(t < end for t in steps) if layer.count_padding else len(inside)
        y = np.concatenate([x[t] for _, t in inside])
        W = np.tile(np.eye(D) / k, len(inside))
        R_y = literal.messages(y, W, np.zeros(D), z[j], R[j], len(y), **rule)
        for part, (_, t) in zip(R_y.reshape(len(inside), D), inside, strict=True):
            R_x[t] += part
    return R_x


def relevance_of(layer, x, R, **rule):
    """Of a layer by itself: its output, and the relevance of x, given that of its output."""
    (operation,) = layer.prepare(lrplstm.backends.choose.scans("kernel"))
    offsets = np.array([0, len(x)])
    z = operation.forward((x,), (offsets,))
    past = lrplstm.layers.Pass((x,), z, (offsets,), np.array([0, len(z)]))
    rule = lrplstm.rules.EpsilonRule(**rule)
    (found,) = operation.relevance(past, R(z)[np.newaxis], rule, "all")
    return z, found[0]


MEANS = {
    "mean": WindowPool("mean", 3, 2),
    "mean, same": WindowPool("mean", 3, 2, padding="same"),
    "mean that counts padding": WindowPool("mean", 4, 2, padding=(2, 1), count_padding=True),
    "mean, rounded up": WindowPool("mean", 4, 3, padding=(1, 1), round_up=True),
    "mean of both": WindowPool("mean", 4, 3, padding=(1, 1), round_up=True, count_padding=True),
}


@pytest.mark.parametrize("factors", [(0.0, 0.0), (0.3, 0.7), (1.0, 1.0)])
@pytest.mark.parametrize("name", [*CONVOLUTIONS, *MEANS])
def test_against_messages_sum_by_sum(name, factors):
    layer = convolution(**CONVOLUTIONS[name]) if name in CONVOLUTIONS else MEANS[name]
    literally = lrp_of_convolution if name in CONVOLUTIONS else lrp_of_means
    rule = {"epsilon": 0.05, "bias_factor": factors[0], "epsilon_factor": factors[1]}
    rng = np.random.default_rng(2)
    for x in random_batch(D=D, lengths=(8, 9)):
        shares = rng.normal(size=(20, OUT if name in CONVOLUTIONS else D))
        z, found = relevance_of(layer, x, lambda z, shares=shares: shares[: len(z)] * z, **rule)
        expected = literally(layer, x, z, shares[: len(z)] * z, **rule)
        assert relative_error(found, expected) < 1e-10
        if factors == (1.0, 1.0):
            assert found.sum() == pytest.approx((shares[: len(z)] * z).sum(), rel=1e-9)


def test_the_first_step_that_has_the_maximum_gets_all():
    x = np.array([[1.0, 5.0], [3.0, 5.0], [3.0, 2.0], [2.0, 4.0]])
    z, found = relevance_of(WindowPool("max", 3, 1), x, lambda z: z, epsilon=0.1)
    np.testing.assert_array_equal(z, [[3, 5], [3, 5]])
    np.testing.assert_array_equal(found, [[0, 5], [6, 5], [0, 0], [0, 0]])


# As layers --------------------------------------------------------------------------------------


@convolutions
def test_decomposition_is_that_of_a_linear_layer(settings):
    """Of a network that is linear, but for what wins, the parts are gradient times input."""
    layer, x = convolution(**settings), random_batch(D=D, lengths=(9,))[0]
    pools = [WindowPool("mean", 2, 1), WindowPool("max", 2, padding="same"), Pool("mean")]
    model = lrplstm.Model([layer, *pools])
    found = lrplstm.contextual_decomposition(model, x, 1)
    expected = lrplstm.gradient_x_input(model, x, 1)
    assert relative_error(found.input_relevance, expected.input_relevance) < 1e-12


def test_the_same_bits_in_any_batch():
    layers = [
        convolution(padding="same", stride=2, dtype=np.float32),
        lrplstm.layers.Activation("relu"),
        WindowPool("max", 2, 1, padding="same"),
        WindowPool("mean", 3, 1, padding="causal"),
        Pool("mean"),
    ]
    model = lrplstm.Model(layers)
    batch = random_batch(D=D, lengths=(4, 9, 1, 7, 6, 6), dtype=np.float32)
    for method in ("lrp", "gradient_x_input"):
        whole = lrplstm.explain(model, batch, method, "all")
        for b, x in enumerate(batch):
            alone = lrplstm.explain(model, x, method, 2)
            np.testing.assert_array_equal(alone.input_relevance, whole[b].input_relevance[2])


def test_windows_that_do_not_fit():
    cases = [
        (lambda: convolution(stride=0), "stride: expected at least 1"),
        (lambda: convolution(padding="sane"), "padding: .* did you mean 'same'"),
        (
            lambda: convolution(padding=3),
            "padding: expected one of valid, same, causal or two ints",
        ),
        (lambda: convolution(groups=3), "groups: expected a divisor of 4, got 3"),
        (lambda: Convolution(np.ones((2, 3))), "weight: expected shape"),
        (lambda: WindowPool("mean", 2, padding=(0, 2)), "padding: expected less than a window, 2"),
        (lambda: WindowPool("max", 2, 3, round_up=True), "round_up: expected stride and padding"),
        (lambda: WindowPool("last", 2), "pooling: expected one of 'max', 'mean'"),
    ]
    for make, text in cases:
        with pytest.raises((TypeError, ValueError), match=text):
            make()
    model = means_of(convolution())
    with pytest.raises(ValueError, match="at least 3 steps, got 2"):
        model.predict(random_batch(D=D, lengths=(4, 2)))
    with pytest.raises(ValueError, match=r"layers\[2\]: expected at least 3 steps, got 2 steps"):
        lrplstm.Model([lrplstm.DenseLayer(np.eye(D)), lrplstm.layers.Steps(-2), convolution()])


def test_windows_that_lie_in_padding_alone():
    """A convolution's is the bias, whose relevance nobody gets; a pooling has nothing to pool."""
    rng = np.random.default_rng(5)
    wide = Convolution(rng.normal(size=(2, 3, 2)), rng.normal(size=2), padding=(0, 2))
    model, x = lrplstm.Model([wide, Pool("last")]), rng.normal(size=(4, 3))
    np.testing.assert_array_equal(model.predict(x), wide.bias)
    found = lrplstm.lrp(model, x, 1, bias_factor=1.0)
    assert not found.input_relevance.any()
    assert found.delta == wide.bias[1]
    dense = lrplstm.DenseLayer(rng.normal(size=(2, 3)))
    for pooling in ("max", "mean"):
        apart = WindowPool(pooling, 2, 1, padding="same", dilation=2, name="pool")
        model = lrplstm.Model([dense, apart, Pool("last")])
        assert np.isfinite(model.predict(x[:2])).all()
        with pytest.raises(ValueError, match=r"^inputs: layer 'pool': expected at least 2 steps"):
            model.predict(x[:1])
