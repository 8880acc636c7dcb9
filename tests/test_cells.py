"""GRU and plain recurrent cells: PyTorch, messages unit by unit, conservation, and the secant."""

from __future__ import annotations

import copy
import pickle

import literal
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from random_models import QUICK, random_batch, random_gru, random_rnn, relative_error
from splits import Split, affine

import lrplstm
from lrplstm.backends import reference
from lrplstm.layers import GRU, RNN, Pool

METHODS = [method for method in lrplstm.METHODS if method != "random"]
BACKENDS = ["kernel", "reference"]
D, H, T = 5, 4, 6

CELLS = {
    "GRU": random_gru,
    "GRU, reset before": lambda *sizes: random_gru(*sizes, reset_after=False),
    "GRU, other activations": lambda *sizes: random_gru(
        *sizes, activation="softsign", gate_activation=("hard_sigmoid", {"alpha": 0.2})
    ),
    "RNN": random_rnn,
    "RNN of ReLU": lambda *sizes: random_rnn(*sizes, activation="relu"),
}
cells = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
backends = pytest.mark.parametrize("backend", BACKENDS)


def cell_model(cell, *, seed=0, pooling="last"):
    """Two directions, one from the end above them, and scores."""
    rng = np.random.default_rng(seed)
    both = cell(rng, D, H), cell(rng, D, H)
    above = cell(rng, 2 * H, H).replaced(reverse=True)
    dense = lrplstm.DenseLayer(rng.normal(size=(3, H)), rng.normal(size=3))
    return lrplstm.Model([both, above, Pool(pooling), dense])


# PyTorch ----------------------------------------------------------------------------------------


def torch_cell(weights, x, states=None):
    """h_t of every step: PyTorch's module where it has the cell, its formula else."""
    tensors = {name: torch.tensor(array) for name, array in weights.arrays().items()}
    h = tensors.pop("initial_hidden")
    if isinstance(weights, lrplstm.RNNWeights):
        module = torch.nn.RNN(D, H, nonlinearity=weights.activation, dtype=x.dtype)
        tensors["bias_ih"], tensors["bias_hh"] = tensors.pop("bias"), torch.zeros(H, dtype=x.dtype)
    else:
        module = torch.nn.GRU(D, H, dtype=x.dtype)
    if not weights.variants() or isinstance(weights, lrplstm.RNNWeights):
        module.load_state_dict({f"{name}_l0": tensor for name, tensor in tensors.items()})
        return module(x, h[None])[0]
    gate, activation = torch.sigmoid, torch.tanh
    if weights.activation == "softsign":
        gate, activation = lambda a: (0.2 * a + 0.5).clamp(0, 1), torch.nn.functional.softsign
    states = []
    for x_t in x:
        i_r, i_z, i_n = (tensors["weight_ih"] @ x_t + tensors["bias_ih"]).chunk(3)
        h_r, h_z, h_n = (tensors["weight_hh"] @ h + tensors["bias_hh"]).chunk(3)
        r, z = gate(i_r + h_r), gate(i_z + h_z)
        if weights.reset_after:
            n = activation(i_n + r * h_n)
        else:
            W_n, b_n = tensors["weight_hh"][2 * H :], tensors["bias_hh"][2 * H :]
            n = activation(i_n + W_n @ (r * h) + b_n)
        h = (1 - z) * n + z * h
        states.append(h)
    return torch.stack(states)


@cells
def test_states_and_gradients_are_those_of_pytorch(cell):
    rng = np.random.default_rng(1)
    weights, v = cell(rng, D, H), rng.normal(size=H)
    x = random_batch(lengths=(T,))[0]
    for reverse in (False, True):
        layers = [weights.replaced(reverse=reverse), Pool("mean")]
        tensor = torch.tensor(x, requires_grad=True)
        turned = tensor.flip(0) if reverse else tensor
        states = torch_cell(weights, turned)
        score = (states.mean(0) * torch.tensor(v)).sum()
        (gradient,) = torch.autograd.grad(score, tensor)
        model = lrplstm.Model(layers)
        assert model.predict(x) @ v == pytest.approx(score.item(), rel=1e-12)
        found = lrplstm.gradient_x_input(model, x, v)
        assert relative_error(found.input_relevance, gradient.numpy() * x) < 1e-12
        every_step = lrplstm.Model(layers[:1]).predict(x)
        expected = states.detach().numpy()
        assert relative_error(every_step[::-1] if reverse else every_step, expected) < 1e-12


@pytest.mark.parametrize("reset_after", [True, False])
def test_states_of_a_gru_are_those_of_onnx(reset_after):
    """Its gates are z, r, n; a reset gate before the product is what ONNX has by default."""
    rng = np.random.default_rng(7)
    weights = random_gru(rng, D, H, np.float32, reset_after=reset_after)

    def to_onnx(rows):
        r, z, n = np.split(rows, 3)
        return np.concatenate([z, r, n])[np.newaxis]

    x = random_batch(lengths=(T,), dtype=np.float32)[0]
    feeds = {
        "X": x[:, np.newaxis],
        "W": to_onnx(weights.weight_ih),
        "R": to_onnx(weights.weight_hh),
        "B": np.concatenate([to_onnx(weights.bias_ih), to_onnx(weights.bias_hh)], axis=1),
        "h": weights.initial_hidden[np.newaxis, np.newaxis],
    }
    options = {"hidden_size": H, "linear_before_reset": int(reset_after)}
    node = onnx.helper.make_node("GRU", ["X", "W", "R", "B", "", "h"], ["Y"], **options)
    value, float32 = onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    inputs = [value(name, float32, array.shape) for name, array in feeds.items()]
    graph = onnx.helper.make_graph([node], "gru", inputs, [value("Y", float32, None)])
    opset = [onnx.helper.make_opsetid("", 14)]
    file = onnx.helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()
    (expected,) = onnxruntime.InferenceSession(file).run(None, feeds)
    assert relative_error(lrplstm.Model([weights]).predict(x), expected[:, 0, 0]) < 1e-5


@cells
def test_the_gradient_of_the_initial_state(cell):
    rng = np.random.default_rng(1)
    weights, v = cell(rng, D, H), rng.normal(size=H)
    x = random_batch(lengths=(T,))[0]

    def score(h):
        model = lrplstm.Model([weights.replaced(initial_hidden=h), Pool("last")])
        return model.predict(x) @ v

    h = weights.initial_hidden
    steps = 1e-6 * np.eye(H)
    gradient = np.array([(score(h + step) - score(h - step)) / 2e-6 for step in steps])
    found = lrplstm.gradient_x_input(lrplstm.Model([weights, Pool("last")]), x, v)
    assert found.initial_relevance == pytest.approx(gradient @ h, rel=1e-7)


# Messages ---------------------------------------------------------------------------------------


def share_all_units(share, gate, signal, R, epsilon):
    """What the gates and what the signals get, one unit after the other."""
    units = zip(gate, signal, R, strict=True)
    return np.transpose([share(*unit, epsilon) for unit in units])


def gru_states(weights, x):
    """The states, and r, z, n, a^z, a^n of each step."""
    h, seen = [weights.initial_hidden], []
    W_r, W_z, W_n = np.split(weights.weight_ih, 3)
    U_r, U_z, U_n = np.split(weights.weight_hh, 3)
    b_r, b_z, b_n = np.split(weights.bias_ih, 3)
    c_r, c_z, c_n = np.split(weights.bias_hh, 3)
    for x_t in x:
        r = literal.sigmoid(W_r @ x_t + U_r @ h[-1] + b_r + c_r)
        a_z = W_z @ x_t + U_z @ h[-1] + b_z + c_z
        z = literal.sigmoid(a_z)
        if weights.reset_after:
            a_n = W_n @ x_t + b_n + r * (U_n @ h[-1] + c_n)
        else:
            a_n = W_n @ x_t + b_n + U_n @ (r * h[-1]) + c_n
        n = np.tanh(a_n)
        seen.append((r, z, n, a_z, a_n))
        h.append((1 - z) * n + z * h[-1])
    return h, seen


def gru_lrp(weights, x, R_top, share, **rule):
    """R_x (T, D) and what ended on h_{-1}, given the relevance of the last state."""
    h, seen = gru_states(weights, x)
    _, W_z, W_n = np.split(weights.weight_ih, 3)
    _, U_z, U_n = np.split(weights.weight_hh, 3)
    _, b_z, b_n = np.split(weights.bias_ih, 3)
    _, c_z, c_n = np.split(weights.bias_hh, 3)
    R_x, R_h, epsilon = np.zeros_like(x), R_top, rule["epsilon"]
    for t in reversed(range(len(x))):
        r, z, n, a_z, a_n = seen[t]
        # The sum, of 2H units and without bias.
        terms, eye = np.concatenate([(1 - z) * n, z * h[t]]), np.eye(H)
        through = messages_of(terms, np.hstack([eye, eye]), np.zeros(H), h[t + 1], R_h, **rule)
        R_gate_n, R_n = share_all_units(share, 1 - z, n, through[:H], epsilon)
        R_gate_h, R_h = share_all_units(share, z, h[t], through[H:], epsilon)
        # Both pre-activations, of D + H units; the reset gate is a number among the weights.
        lower = np.concatenate([x[t], h[t]])
        if weights.reset_after:
            effective, bias = np.hstack([W_n, np.diag(r) @ U_n]), b_n + r * c_n
        else:
            effective, bias = np.hstack([W_n, U_n @ np.diag(r)]), b_n + c_n
        below = messages_of(lower, effective, bias, a_n, R_n, **rule)
        gates = R_gate_n + R_gate_h
        below += messages_of(lower, np.hstack([W_z, U_z]), b_z + c_z, a_z, gates, **rule)
        R_x[t], R_h = below[:D], R_h + below[D:]
    return R_x, R_h.sum()


def messages_of(y, W, b, z, R, **rule):
    return literal.messages(y, W, b, z, R, len(y), **rule)


def rnn_lrp(weights, x, R_top, share, **rule):
    h = [weights.initial_hidden]
    W, act = np.hstack([weights.weight_ih, weights.weight_hh]), weights.activation
    sums = []
    for x_t in x:
        sums.append(W @ np.concatenate([x_t, h[-1]]) + weights.bias)
        h.append(np.maximum(sums[-1], 0) if act == "relu" else np.tanh(sums[-1]))
    R_x, R_h = np.zeros_like(x), R_top
    for t in reversed(range(len(x))):
        lower = np.concatenate([x[t], h[t]])
        below = messages_of(lower, W, weights.bias, sums[t], R_h, **rule)
        R_x[t], R_h = below[:D], below[D:]
    return R_x, R_h.sum()


@pytest.mark.filterwarnings("ignore:inputs.*relevance grew:RuntimeWarning")
@pytest.mark.parametrize("product_rule", literal.SHARES)
@pytest.mark.parametrize("cell", [name for name in CELLS if "other" not in name])
def test_against_messages_unit_by_unit(cell, product_rule):
    rng = np.random.default_rng(3)
    weights = CELLS[cell](rng, D, H)
    x = random_batch(lengths=(T,))[0]
    model = lrplstm.Model([weights, Pool("last")])
    explain = gru_lrp if cell.startswith("GRU") else rnn_lrp
    for factors in (
        {"bias_factor": 0.0, "epsilon_factor": 0.0},
        {"bias_factor": 0.3, "epsilon_factor": 0.7},
    ):
        rule = {"epsilon": 0.05, **factors}
        v = rng.normal(size=H)
        R = model.predict(x) * v
        expected, rest = explain(weights, x, R, literal.SHARES[product_rule], **rule)
        for backend in BACKENDS:
            options = {"product_rule": product_rule, "backend": backend, **rule}
            found = lrplstm.lrp(model, x, v, **options)
            assert relative_error(found.input_relevance, expected) < 1e-10
            assert found.initial_relevance == pytest.approx(rest, rel=1e-9)
            by_token = lrplstm.lrp(model, x, v, level="token", **options).token_relevance
            assert relative_error(by_token, expected.sum(axis=1)) < 1e-10


@cells
@pytest.mark.parametrize("product_rule", ["all", "half"])
def test_relevance_is_conserved(cell, product_rule):
    model = cell_model(cell)
    for level in ("token", "input"):
        found = lrplstm.lrp(
            model,
            random_batch(),
            "all",
            bias_factor=1.0,
            epsilon=0.01,
            product_rule=product_rule,
            level=level,
        )
        np.testing.assert_allclose(found.delta, 0, atol=1e-9)
    assert (found.initial_relevance != 0).all()


@pytest.mark.parametrize("reset_after", [True, False])
def test_relevance_is_gradient_times_input_with_gates_held_and_the_secant_of_tanh(reset_after):
    """Without stabilizer and biases' shares: then n = s a^n, s = n / a^n, is linear in a^n."""
    rng = np.random.default_rng(4)
    weights = random_gru(rng, D, H, reset_after=reset_after)
    x, v = random_batch(lengths=(T,))[0], rng.normal(size=H)
    _, seen = gru_states(weights, x)
    W, U = (torch.tensor(array[2 * H :]) for array in (weights.weight_ih, weights.weight_hh))
    b, c = (torch.tensor(array[2 * H :]) for array in (weights.bias_ih, weights.bias_hh))
    inputs = torch.tensor(x, requires_grad=True)
    initial = torch.tensor(weights.initial_hidden, requires_grad=True)
    h = initial
    for x_t, (r, z, n, _, a_n) in zip(inputs, seen, strict=True):
        r, z, secant = torch.tensor(r), torch.tensor(z), torch.tensor(n / a_n)
        a = W @ x_t + b + (r * (U @ h + c) if reset_after else U @ (r * h) + c)
        h = (1 - z) * secant * a + z * h
    # The score's relevance starts as v * h, so that of each unit's gradient is v.
    gradients = torch.autograd.grad((torch.tensor(v) * h).sum(), [inputs, initial])
    found = lrplstm.lrp(lrplstm.Model([weights, Pool("last")]), x, v, epsilon=0.0)
    assert relative_error(found.input_relevance, gradients[0].numpy() * x) < 1e-11
    ended = (gradients[1] * initial).sum().item()
    assert found.initial_relevance == pytest.approx(ended, rel=1e-10)


# Decomposition ----------------------------------------------------------------------------------


def split_step(weights, x, h):
    """The next state, in which what comes of biases alone is a part by itself."""
    if isinstance(weights, lrplstm.RNNWeights):
        return (
            affine(weights.weight_ih, x, weights.bias) + h.through(weights.weight_hh)
        ).activated(np.tanh)
    W_r, W_z, W_n = np.split(weights.weight_ih, 3)
    U_r, U_z, U_n = np.split(weights.weight_hh, 3)
    b_r, b_z, b_n = np.split(weights.bias_ih, 3)
    c_r, c_z, c_n = np.split(weights.bias_hh, 3)
    r = (affine(W_r, x, b_r) + affine(U_r, h, c_r)).activated(literal.sigmoid)
    z = (affine(W_z, x, b_z) + affine(U_z, h, c_z)).activated(literal.sigmoid)
    of_h = r * affine(U_n, h, c_n) if weights.reset_after else affine(U_n, r * h, c_n)
    n = (affine(W_n, x, b_n) + of_h).activated(np.tanh)
    return Split(-z.relevant, -z.irrelevant, 1 - z.bias) * n + z * h


def split_states(weights, x, phrase):
    """The relevant part of the last state, where the steps of a phrase are relevant."""
    zero = np.zeros(H)
    h = Split(zero, weights.initial_hidden, zero)
    for t, x_t in enumerate(x):
        nothing = np.zeros(D)
        if t in phrase:
            h = split_step(weights, Split(x_t, nothing, nothing), h)
            h = Split(h.relevant + h.bias, h.irrelevant, zero)
        else:
            h = split_step(weights, Split(nothing, x_t, nothing), h)
            h = Split(h.relevant, h.irrelevant + h.bias, zero)
    return h.relevant


@pytest.mark.parametrize("cell", ["GRU", "GRU, reset before", "RNN"])
def test_decomposition_against_splits_of_every_number(cell):
    rng = np.random.default_rng(5)
    weights, v = CELLS[cell](rng, D, H), rng.normal(size=H)
    x = random_batch(lengths=(T,))[0]
    expected = [split_states(weights, x, {t}) @ v for t in range(T)]
    for layers in ([weights], [lrplstm.DenseLayer(np.eye(D)), weights]):
        model = lrplstm.Model([*layers, Pool("last")])
        found = lrplstm.contextual_decomposition(model, x, v, level="token")
        assert relative_error(found.token_relevance, expected) < 1e-12


@cells
def test_the_part_of_all_steps_is_all(cell):
    """Where nothing comes from initial states."""
    weights = cell(np.random.default_rng(6), D, H).replaced(initial_hidden=np.zeros(H))
    x = random_batch(lengths=(T,))[0]
    layer = reference.prepare_layer([weights])
    projection, offsets, rows = reference.project(layer, x), np.array([0, T]), np.arange(T)
    ran = reference.forward_scan(layer, projection, rows, offsets, "gates", True)
    part = reference.decompose_scan(
        ran.trace, np.array([0]), projection, rows, np.ones(T, bool), offsets, True
    )
    np.testing.assert_allclose(part.hidden, ran.hidden, rtol=1e-12, atol=1e-15)


# As layers --------------------------------------------------------------------------------------


@cells
def test_every_method_saved_loaded_and_in_batches(cell, tmp_path):
    model = cell_model(cell, pooling="max")
    batch = random_batch()
    model.save(tmp_path)
    for again in (lrplstm.load(tmp_path), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(again.predict(batch), model.predict(batch))
        for layer, other in zip(again.layers[:2], model.layers[:2], strict=True):
            assert layer.describe() == other.describe()
            assert layer.settings() == other.settings()
    assert model.astype("float32").predict(batch).dtype == np.float32
    for method in METHODS:
        options = {"target": 1, "level": "token"} | QUICK.get(method, {})
        found, expected = (
            lrplstm.explain(model, batch, method, backend=backend, **options)
            for backend in BACKENDS
        )
        assert relative_error(found.token_relevance, expected.token_relevance) < 1e-12
        alone = lrplstm.explain(model, batch[2], method, **options)
        np.testing.assert_array_equal(alone.token_relevance, found[2].token_relevance)


def test_weights_of_cells_that_do_not_fit():
    ones = np.ones
    gru, rnn = lrplstm.GRUWeights, lrplstm.RNNWeights
    cases = [
        (lambda: gru(ones((7, 3)), ones((6, 2)), ones(6), ones(6)), "weight_ih: .*multiple of 3"),
        (lambda: gru(ones((6, 3)), ones((6, 3)), ones(6), ones(6)), r"weight_hh: .*\(6, 2\)"),
        (lambda: gru(ones((6, 3)), ones((6, 2)), ones(6), ones(2)), r"bias_hh: .*\(6,\)"),
        (lambda: rnn(ones((2, 3)), ones((2, 2)), ones(2, np.float32)), "bias: .*dtype"),
        (lambda: rnn(ones((2, 3)), ones((2, 2)), ones(2), activation="than"), "mean 'tanh'"),
        (
            lambda: gru(*map(ones, [(3, 1), (3, 1), 3, 3]), gate_activation="hard_sigmoid"),
            "gate_activation: hard_sigmoid: expected alpha, .*1/6 in PyTorch and Keras 3",
        ),
        (lambda: GRU(rnn(ones((2, 3)), ones((2, 2)), ones(2))), "forward: expected GRUWeights"),
    ]
    for make, text in cases:
        with pytest.raises((TypeError, ValueError), match=text):
            make()


def test_what_weights_of_cells_are_shown_as():
    rng = np.random.default_rng(0)
    weights = random_gru(rng, 5, 4, activation=("leaky_relu", {"alpha": 0.2}), reset_after=False)
    assert repr(weights) == (
        "GRUWeights(input_size=5, hidden_size=4, dtype=float64, reset_after=False, "
        "activation=('leaky_relu', {'alpha': 0.2}))"
    )
    assert RNN(random_rnn(rng, 5, 4, activation="relu", reverse=True)).describe() == (
        "RNN, one direction, from the end, weight_ih (4, 5), weight_hh (4, 4), activation relu"
    )
