"""LSTMs with other activations, peepholes, projection, and inputs of the input gate alone."""

from __future__ import annotations

import copy
import pickle

import literal
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from random_models import QUICK, SCALE, random_batch, relative_error
from splits import Split, affine

import lrplstm
from lrplstm.activations import to_elementwise
from lrplstm.backends import choose
from lrplstm.layers import LSTM, Pool

METHODS = [method for method in lrplstm.METHODS if method != "random"]
D, H, P, T = 5, 4, 3, 6

VARIANTS = {
    "projection": {"projection": True},
    "peepholes": {"peepholes": True},
    "activations": {
        "activation": "softsign",
        "cell_activation": ("leaky_relu", {"alpha": 0.1}),
        "gate_activation": ("hard_sigmoid", {"alpha": 0.2}),
    },
    "relu": {"activation": "relu", "gate_activation": ("hard_sigmoid", {"alpha": 1 / 6})},
    "entity-aware": {"static_inputs": 2},
    "all": {"projection": True, "peepholes": True, "activation": "elu", "static_inputs": 1},
}
variants = pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)


def random_variant(
    rng, D, H, dtype=np.float64, *, projection=False, peepholes=False, static_inputs=0, **settings
):
    """One direction, with nonzero biases and initial states."""
    width = P if projection else H
    shapes = {
        "weight_ih": (4 * H, D),
        "weight_hh": (4 * H, width),
        "bias": (4 * H,),
        "initial_hidden": (width,),
        "initial_cell": (H,),
    }
    shapes |= {"weight_hr": (P, H)} if projection else {}
    shapes |= {"peepholes": (3, H)} if peepholes else {}
    arrays = {name: rng.normal(0, SCALE, shape).astype(dtype) for name, shape in shapes.items()}
    if static_inputs:
        arrays["weight_ih"][:H, :-static_inputs] = 0
        arrays["weight_hh"][:H] = 0
        arrays["weight_ih"][H:, -static_inputs:] = 0
    return lrplstm.LSTMWeights(**arrays, static_inputs=static_inputs, **settings)


# PyTorch and ONNX Runtime -----------------------------------------------------------------------


def torch_function(said):
    name, parameters = said if isinstance(said, tuple) else (said, {})
    F = torch.nn.functional
    return {
        "tanh": torch.tanh,
        "sigmoid": torch.sigmoid,
        "softsign": F.softsign,
        "relu": torch.relu,
        "elu": F.elu,
        "leaky_relu": lambda a: F.leaky_relu(a, parameters["alpha"]),
        "hard_sigmoid": lambda a: (parameters["alpha"] * a + 0.5).clamp(0, 1),
    }[name]


def torch_states(weights, x):
    """h_t of every step."""
    tensors = {name: torch.tensor(array) for name, array in weights.arrays().items()}
    act, gate = torch_function(weights.activation), torch_function(weights.gate_activation)
    cell = torch_function(weights.cell_activation or weights.activation)
    p_i, p_f, p_o = tensors.get("peepholes", torch.zeros(3, H, dtype=x.dtype))
    h, c = tensors["initial_hidden"], tensors["initial_cell"]
    states = []
    for x_t in x:
        a = tensors["weight_ih"] @ x_t + tensors["weight_hh"] @ h + tensors["bias"]
        a_i, a_f, a_g, a_o = a.chunk(4)
        c_before = c
        c = gate(a_f + p_f * c_before) * c_before + gate(a_i + p_i * c_before) * act(a_g)
        h = gate(a_o + p_o * c) * cell(c)
        h = tensors["weight_hr"] @ h if "weight_hr" in tensors else h
        states.append(h)
    return torch.stack(states)


@variants
def test_scores_and_gradients_are_those_of_pytorch(variant):
    rng = np.random.default_rng(1)
    weights = random_variant(rng, D, H, **variant)
    v = rng.normal(size=weights.output_size)
    x = random_batch(lengths=(T,))[0]
    inputs = torch.tensor(x, requires_grad=True)
    score = (torch_states(weights, inputs).mean(0) * torch.tensor(v)).sum()
    (gradient,) = torch.autograd.grad(score, inputs)
    model = lrplstm.Model([weights, Pool("mean")])
    assert model.predict(x) @ v == pytest.approx(score.item(), rel=1e-12)
    found = lrplstm.gradient_x_input(model, x, v)
    assert relative_error(found.input_relevance, gradient.numpy() * x) < 1e-12


def test_projection_is_that_of_pytorchs_module():
    module = torch.nn.LSTM(D, H, proj_size=P, bidirectional=True, dtype=torch.float64)
    arrays = {name: tensor.detach().numpy() for name, tensor in module.named_parameters()}
    both = [
        lrplstm.LSTMWeights(
            arrays[f"weight_ih_l0{side}"],
            arrays[f"weight_hh_l0{side}"],
            arrays[f"bias_ih_l0{side}"] + arrays[f"bias_hh_l0{side}"],
            weight_hr=arrays[f"weight_hr_l0{side}"],
        )
        for side in ("", "_reverse")
    ]
    x = random_batch(lengths=(T,))[0]
    expected, (h_n, _) = module(torch.tensor(x))
    found = lrplstm.Model([both]).predict(x)
    assert relative_error(found, expected.detach().numpy()) < 1e-12
    final = lrplstm.Model([both, Pool("last")]).predict(x)
    assert relative_error(final, h_n.detach().numpy().ravel()) < 1e-12


def test_peepholes_and_activations_are_those_of_onnx():
    rng = np.random.default_rng(2)
    weights = random_variant(
        rng,
        D,
        H,
        np.float32,
        peepholes=True,
        activation="softsign",
        cell_activation="elu",
        gate_activation=("hard_sigmoid", {"alpha": 0.3, "beta": 0.4}),
    )

    def to_onnx(rows):  # i, o, f, c
        i, f, g, o = np.split(rows, 4)
        return np.concatenate([i, o, f, g])[None]

    p_i, p_f, p_o = weights.peepholes
    feeds = {
        "X": random_batch(lengths=(T,), dtype=np.float32)[0][:, None],
        "W": to_onnx(weights.weight_ih),
        "R": to_onnx(weights.weight_hh),
        "B": np.concatenate([to_onnx(weights.bias), np.zeros((1, 4 * H), np.float32)], axis=1),
        "h": weights.initial_hidden[None, None],
        "c": weights.initial_cell[None, None],
        "P": np.concatenate([p_i, p_o, p_f])[None],
    }
    node = onnx.helper.make_node(
        "LSTM",
        ["X", "W", "R", "B", "", "h", "c", "P"],
        ["Y"],
        hidden_size=H,
        activations=["HardSigmoid", "Softsign", "Elu"],
        activation_alpha=[0.3, 1.0],
        activation_beta=[0.4],
    )
    values = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, array.shape)
        for name, array in feeds.items()
    ]
    output = onnx.helper.make_tensor_value_info("Y", onnx.TensorProto.FLOAT, None)
    graph = onnx.helper.make_graph([node], "peepholes", values, [output])
    opset = [onnx.helper.make_opsetid("", 14)]
    file = onnx.helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()
    (expected,) = onnxruntime.InferenceSession(file).run(None, feeds)
    found = lrplstm.Model([weights]).predict(feeds["X"][:, 0])
    assert relative_error(found, expected[:, 0, 0]) < 1e-5


# Messages ---------------------------------------------------------------------------------------


def states_of(weights, x):
    """The states, and what the gates were at each step: values and pre-activations."""
    act, gate = (to_elementwise("", said) for said in (weights.activation, weights.gate_activation))
    cell = to_elementwise("", weights.cell_activation or weights.activation)
    p = np.zeros((3, H)) if weights.peepholes is None else weights.peepholes
    h, c, seen = [weights.initial_hidden], [weights.initial_cell], []
    for x_t in x:
        a = weights.weight_ih @ x_t + weights.weight_hh @ h[-1] + weights.bias
        a_i, a_f, a_g, a_o = a.reshape(4, H)
        a_i, a_f = a_i + p[0] * c[-1], a_f + p[1] * c[-1]
        i, f, g = gate(a_i), gate(a_f), act(a_g)
        c.append(f * c[-1] + i * g)
        a_o = a_o + p[2] * c[-1]
        o = gate(a_o)
        m = o * cell(c[-1])
        h.append(m if weights.weight_hr is None else weights.weight_hr @ m)
        seen.append({"i": (i, a_i), "f": (f, a_f), "g": (g, a_g), "o": (o, a_o), "m": m})
    return h, c, seen, cell


def lrp_of(weights, x, R_h, share, **rule):
    """R_x (T, D) and what ended on the initial states, given the relevance of the last state."""
    h, c, seen, cell = states_of(weights, x)
    S, rows = weights.static_inputs, dict(zip("ifgo", np.arange(4 * H).reshape(4, H), strict=True))
    peeps = {} if weights.peepholes is None else dict(zip("ifo", weights.peepholes, strict=True))
    R_x, R_c = np.zeros_like(x), np.zeros(H)

    def share_units(gate, signal, R):
        units = zip(gate, signal, R, strict=True)
        return np.transpose([share(*unit, rule["epsilon"]) for unit in units])

    def through(t, name, R, c_read):
        """Relevance of x, h and c, given that of a gate's pre-activation."""
        reads_x = np.ones(D, bool)
        reads_h = np.ones(len(h[t]), bool)
        if S:
            reads_x[:] = np.arange(D) < D - S
            if name == "i":
                reads_x, reads_h = ~reads_x, ~reads_h
        W = np.hstack([weights.weight_ih, weights.weight_hh])[rows[name]]
        y, read = np.concatenate([x[t], h[t]]), np.concatenate([reads_x, reads_h])
        if name in peeps:
            W, y = np.hstack([W, np.diag(peeps[name])]), np.concatenate([y, c_read])
            read = np.concatenate([read, np.ones(H, bool)])
        R_y = np.zeros(len(y))
        bias, a = weights.bias[rows[name]], seen[t][name][1]
        R_y[read] = literal.messages(y[read], W[:, read], bias, a, R, read.sum(), **rule)
        of_c = R_y[D + len(h[t]) :]
        return R_y[:D], R_y[D : D + len(h[t])], of_c if name in peeps else np.zeros(H)

    for t in reversed(range(len(x))):
        i, f, g, o = (seen[t][name][0] for name in "ifgo")
        m = seen[t]["m"]
        if weights.weight_hr is None:
            R_m = R_h
        else:
            zeros = np.zeros(len(h[t]))
            R_m = literal.messages(m, weights.weight_hr, zeros, h[t + 1], R_h, H, **rule)
        R_o, R_signal = share_units(o, cell(c[t + 1]), R_m)
        below = through(t, "o", R_o, c[t + 1])
        R_c = R_c + R_signal + below[2]
        terms = np.concatenate([f * c[t], i * g])
        W = np.hstack([np.eye(H), np.eye(H)])
        R_terms = literal.messages(terms, W, np.zeros(H), c[t + 1], R_c, 2 * H, **rule)
        R_f, R_c = share_units(f, c[t], R_terms[:H])
        R_i, R_g = share_units(i, g, R_terms[H:])
        R_x[t], R_h = below[:2]
        for name, R in (("i", R_i), ("f", R_f), ("g", R_g)):
            below = through(t, name, R, c[t])
            R_x[t], R_h, R_c = R_x[t] + below[0], R_h + below[1], R_c + below[2]
    return R_x, R_h.sum() + R_c.sum()


@pytest.mark.filterwarnings("ignore:inputs.*relevance grew:RuntimeWarning")
@pytest.mark.parametrize("product_rule", literal.SHARES)
@variants
def test_against_messages_unit_by_unit(variant, product_rule):
    rng = np.random.default_rng(3)
    weights = random_variant(rng, D, H, **variant)
    x, v = random_batch(lengths=(T,))[0], rng.normal(size=weights.output_size)
    model = lrplstm.Model([weights, Pool("last")])
    for bias_factor, epsilon_factor in ((0.0, 0.0), (0.3, 0.7)):
        rule = {"epsilon": 0.05, "bias_factor": bias_factor, "epsilon_factor": epsilon_factor}
        share = literal.SHARES[product_rule]
        expected, rest = lrp_of(weights, x, model.predict(x) * v, share, **rule)
        found = lrplstm.lrp(model, x, v, product_rule=product_rule, **rule)
        assert relative_error(found.input_relevance, expected) < 1e-10
        assert found.initial_relevance == pytest.approx(rest, rel=1e-9)
        by_token = lrplstm.lrp(model, x, v, level="token", product_rule=product_rule, **rule)
        assert relative_error(by_token.token_relevance, expected.sum(axis=1)) < 1e-10


@pytest.mark.parametrize("product_rule", ["all", "half"])
@variants
def test_relevance_is_conserved(variant, product_rule):
    rng = np.random.default_rng(4)
    both = [random_variant(rng, D, H, **variant) for _ in range(2)]
    model = lrplstm.Model([both, Pool("mean")])
    found = lrplstm.lrp(
        model, random_batch(), "all", bias_factor=1.0, epsilon=0.01, product_rule=product_rule
    )
    np.testing.assert_allclose(found.delta, 0, atol=1e-9)


def test_what_the_input_gate_alone_reads_gets_nothing_but_where_gates_do():
    weights = random_variant(np.random.default_rng(5), D, H, static_inputs=2)
    model, x = lrplstm.Model([weights, Pool("last")]), random_batch(lengths=(T,))[0]
    for options in ({}, {"bias_factor": 1.0}):
        relevance = lrplstm.lrp(model, x, 1, **options).input_relevance
        assert (relevance[:, -2:] == 0).all()
        assert (relevance[:, :-2] != 0).all()
    for method, options in [
        ("lrp", {"product_rule": "half"}),
        ("gradient_x_input", {}),
        ("occlusion", {}),
        ("contextual_decomposition", {}),
    ]:
        found = lrplstm.explain(model, x, method, 1, **options)
        assert (found.input_relevance[:, -2:] != 0).all(), method


# Decomposition ----------------------------------------------------------------------------------


def split_states(weights, x, phrase):
    """The relevant part of the last state, where the steps of a phrase are relevant."""
    act, gate = (to_elementwise("", said) for said in (weights.activation, weights.gate_activation))
    cell = to_elementwise("", weights.cell_activation or weights.activation)
    zero, nothing = np.zeros(H), np.zeros(D)
    h = Split(0 * weights.initial_hidden, weights.initial_hidden, 0 * weights.initial_hidden)
    c = Split(zero, weights.initial_cell, zero)
    peeps = np.zeros((3, H)) if weights.peepholes is None else weights.peepholes
    for t, x_t in enumerate(x):
        relevant = t in phrase
        read = Split(x_t, nothing, nothing) if relevant else Split(nothing, x_t, nothing)
        a_i, a_f, a_g, a_o = (
            affine(W, read, b) + h.through(U)
            for W, U, b in zip(
                *(np.split(a, 4) for a in (weights.weight_ih, weights.weight_hh, weights.bias)),
                strict=True,
            )
        )
        i = (a_i + c.through(np.diag(peeps[0]))).activated(gate)
        f = (a_f + c.through(np.diag(peeps[1]))).activated(gate)
        c = i * a_g.activated(act) + f * c
        bias = c.bias if relevant else zero
        c = Split(c.relevant + bias, c.irrelevant + c.bias - bias, zero)
        o = gate((a_o + c.through(np.diag(peeps[2]))).whole)
        signal = c.activated(cell)
        h = Split(o * signal.relevant, o * (signal.irrelevant + signal.bias), zero)
        if weights.weight_hr is not None:
            h = h.through(weights.weight_hr)
    return h.relevant


@variants
def test_decomposition_against_splits_of_every_number(variant):
    rng = np.random.default_rng(6)
    weights = random_variant(rng, D, H, **variant)
    x, v = random_batch(lengths=(T,))[0], rng.normal(size=weights.output_size)
    expected = [split_states(weights, x, {t}) @ v for t in range(T)]
    model = lrplstm.Model([weights, Pool("last")])
    found = lrplstm.contextual_decomposition(model, x, v, level="token")
    assert relative_error(found.token_relevance, expected) < 1e-12


# As layers --------------------------------------------------------------------------------------


@variants
def test_every_method_saved_loaded_and_in_batches(variant, tmp_path):
    rng = np.random.default_rng(7)
    both = [random_variant(rng, D, H, **variant) for _ in range(2)]
    width = sum(weights.output_size for weights in both)
    above = random_variant(rng, width, H, **variant).replaced(reverse=True)
    model, batch = lrplstm.Model([both, above, Pool("last")]), random_batch()
    model.save(tmp_path)
    for again in (lrplstm.load(tmp_path), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(again.predict(batch), model.predict(batch))
        assert again.layers[0].settings() == model.layers[0].settings()
    assert model.astype("float32").predict(batch).dtype == np.float32
    for method in METHODS:
        options = {"target": 1, "level": "token"} | QUICK.get(method, {})
        found, expected = (
            lrplstm.explain(model, batch, method, backend=backend, **options)
            for backend in ("kernel", "reference")
        )
        assert relative_error(found.token_relevance, expected.token_relevance) < 1e-11
        alone = lrplstm.explain(model, batch[2], method, **options)
        np.testing.assert_array_equal(alone.token_relevance, found[2].token_relevance)


def test_variants_run_on_the_kernels_and_two_in_one_layer_do_not():
    rng = np.random.default_rng(8)
    plain, peeped = random_variant(rng, D, H), random_variant(rng, D, H, peepholes=True)
    kernels = choose.scans("kernel")
    for variant in VARIANTS.values():
        weights = random_variant(rng, D, H, **variant)
        assert LSTM(weights, weights).scans(kernels) is kernels
    assert LSTM(plain, peeped).scans(kernels) is not kernels
    assert lrplstm.LSTMModel([plain]).predict(np.ones((2, D))).shape == (H,)
    with pytest.raises(ValueError, match=r"layers\[0\]: .* with peepholes; make a lrplstm.Model"):
        lrplstm.LSTMModel([peeped])


def test_directions_of_two_variants_are_saved_each_as_it_is(tmp_path):
    rng = np.random.default_rng(10)
    plain, peeped = random_variant(rng, D, H), random_variant(rng, D, H, peepholes=True)
    model, x = lrplstm.Model([(plain, peeped), Pool("last")]), random_batch()[0]
    model.save(tmp_path)
    np.testing.assert_array_equal(lrplstm.load(tmp_path).predict(x), model.predict(x))


def test_variants_that_do_not_fit():
    rng = np.random.default_rng(9)
    arrays = random_variant(rng, D, H).arrays()
    for changes, text in [
        ({"peepholes": np.ones((4, H))}, r"peepholes: expected shape \(3, 4\)"),
        ({"weight_hr": np.ones((3, H))}, r"weight_hh: expected shape \(16, 3\)"),
        ({"weight_hr": np.ones((3, 3))}, r"weight_hr: expected shape \(output_size, 4\)"),
        ({"activation": "softmax"}, "activation: expected one of"),
        ({"gate_activation": "hard_sigmoid"}, "expected alpha"),
        ({"static_inputs": 5}, "static_inputs: expected at most 4"),
        ({"static_inputs": 2}, r"the last 2 inputs alone, zeros in weight_ih\[:4, :3\]"),
    ]:
        with pytest.raises((TypeError, ValueError), match=text):
            lrplstm.LSTMWeights(**arrays | changes)


def test_what_variants_are_shown_as():
    weights = random_variant(np.random.default_rng(0), D, H, **VARIANTS["all"])
    assert repr(weights) == (
        "LSTMWeights(input_size=5, hidden_size=4, output_size=3, dtype=float64, "
        "peepholes=(3, 4), weight_hr=(3, 4), activation='elu', static_inputs=1)"
    )
    assert LSTM(weights).describe() == (
        "LSTM, one direction, weight_ih (16, 5), weight_hh (16, 3), "
        "peepholes (3, 4), weight_hr (3, 4), activation elu, static_inputs 1"
    )
