"""LRP a second time, as the papers print it: every message from every upper to every lower unit.

One sequence, one target, nothing shared with the package: relevance is held in dicts of arrays,
messages in (N, M) arrays that are added up, and the sum c_t = f c_{t-1} + i g is a layer with an
identity matrix.
"""

from __future__ import annotations

import numpy as np


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def messages(y, W, b, z, R, N, epsilon, bias_factor, epsilon_factor):
    """Relevance of the lower units y, from an (N, M) array of messages."""
    sign = np.where(z >= 0, 1.0, -1.0)
    numerator = W.T * y[:, np.newaxis]
    numerator = numerator + (bias_factor * b + epsilon_factor * epsilon * sign) / N
    return (numerator / (z + epsilon * sign) * R).sum(axis=1)


def forward_direction(weights, x):
    h, c = [weights.initial_hidden], [weights.initial_cell]
    gates = []
    for x_t in x:
        a = weights.weight_ih @ x_t + weights.weight_hh @ h[-1] + weights.bias
        a_i, a_f, a_g, a_o = a.reshape(4, -1)
        i, f, g, o = sigmoid(a_i), sigmoid(a_f), np.tanh(a_g), sigmoid(a_o)
        c.append(f * c[-1] + i * g)
        h.append(o * np.tanh(c[-1]))
        gates.append({"i": (i, a_i), "f": (f, a_f), "g": (g, a_g), "o": (o, a_o)})
    return h, c, gates


def share_all(gate, signal, R, epsilon):
    """What the gate of one unit gets of R, the relevance of gate * signal, and what the signal."""
    return 0.0, R


def proportional(gate, signal, R, epsilon):
    z = gate + signal
    z += epsilon if z >= 0 else -epsilon
    return gate / z * R, signal / z * R


# What the gate and what the signal of one unit get: each formula a second time.
SHARES = {
    "all": share_all,
    "prop": proportional,
    "abs": lambda gate, signal, R, epsilon: proportional(abs(gate), abs(signal), R, epsilon),
    "half": lambda gate, signal, R, epsilon: (0.5 * R, 0.5 * R),
}


def lrp_direction(weights, x, forward, R_top, share, **rule):
    """R_x (T, D) and what ended on the initial states, given the relevance of h_t, (T, H)."""
    h, c, gates = forward
    H, D = weights.hidden_size, weights.input_size
    identity, no_bias = np.eye(H), np.zeros(H)

    def share_product(*values):
        """The same of all units."""
        return np.transpose([share(*unit, rule["epsilon"]) for unit in zip(*values, strict=True)])

    R_h, R_c, R_x = {}, {}, np.zeros((len(x), D))
    R_h[len(x) - 1], R_c[len(x) - 1] = np.zeros(H), np.zeros(H)
    for t in reversed(range(len(x))):
        i, f, g, o = (gates[t][name][0] for name in "ifgo")
        R_gate = {}
        R_h[t] = R_h[t] + R_top[t]
        R_gate["o"], R_signal = share_product(o, np.tanh(c[t + 1]), R_h[t])
        R_c[t] = R_c[t] + R_signal
        through_c = (identity, no_bias, c[t + 1], R_c[t], 2 * H)
        R_product = messages(f * c[t], *through_c, **rule)
        R_gate["f"], R_c[t - 1] = share_product(f, c[t], R_product)
        R_product = messages(i * g, *through_c, **rule)
        R_gate["i"], R_gate["g"] = share_product(i, g, R_product)
        R_h[t - 1] = np.zeros(H)
        for number, name in enumerate("ifgo"):
            rows = slice(number * H, (number + 1) * H)
            through_a = (weights.bias[rows], gates[t][name][1], R_gate[name], D + H)
            R_x[t] += messages(x[t], weights.weight_ih[rows], *through_a, **rule)
            R_h[t - 1] += messages(h[t], weights.weight_hh[rows], *through_a, **rule)
    return R_x, R_h[-1].sum() + R_c[-1].sum()


def activate(activation, z):
    return {"linear": z, "relu": np.maximum(z, 0), "tanh": np.tanh(z)}[activation]


def lrp_head(model, y, v, **rule):
    """Relevance of what the head read, and the scores of it, weighted by v."""
    read, sums = [y], []
    for layer in model.head:
        bias = np.zeros(layer.output_size) if layer.bias is None else layer.bias
        sums.append(layer.weight @ read[-1] + bias)
        read.append(activate(layer.activation, sums[-1]))
    R = v * read[-1]
    for layer, y, z in zip(model.head[::-1], read[-2::-1], sums[::-1], strict=True):
        bias = np.zeros(layer.output_size) if layer.bias is None else layer.bias
        R = messages(y, layer.weight, bias, z, R, len(y), **rule)
    return R, read[-1]


def lrp(
    model,
    x,
    target=None,
    hidden_relevance=None,
    *,
    epsilon,
    bias_factor,
    epsilon_factor,
    share=share_all,
):
    """R_x (T, D), what ended on initial states, and the scores.

    `target` is a class, or weights of the scores: (C,), with pooling "none" (T, C).
    """
    rule = {"epsilon": epsilon, "bias_factor": bias_factor, "epsilon_factor": epsilon_factor}
    layers = [layer if isinstance(layer, tuple) else (layer,) for layer in model.layers]
    turns = [
        [slice(None, None, -1 if d == 1 or w.reverse else 1) for d, w in enumerate(layer)]
        for layer in layers
    ]
    inputs, passes = [x], []
    for layer, turn in zip(layers, turns, strict=True):
        both = [
            forward_direction(w, inputs[-1][turned]) for w, turned in zip(layer, turn, strict=True)
        ]
        passes.append(both)
        states = [np.array(h[1:])[turned] for (h, _, _), turned in zip(both, turn, strict=True)]
        inputs.append(np.concatenate(states, axis=1))

    T, H = len(x), model.hidden_size
    hidden = inputs[-1]
    v = np.eye(model.num_classes)[target] if isinstance(target, int) else target
    R = np.zeros_like(hidden)
    scores = None
    if hidden_relevance is not None:
        R += hidden_relevance
    elif model.pooling == "none":
        for t in range(T):
            R[t], _ = lrp_head(model, hidden[t], v if v.ndim == 1 else v[t], **rule)
    elif model.pooling == "last":
        final = np.concatenate([h[-1] for h, _, _ in passes[-1]])
        R_final, scores = lrp_head(model, final, v, **rule)
        for d, turned in enumerate(turns[-1]):
            half = slice(d * H, (d + 1) * H)
            R[:, half][turned][-1] += R_final[half]
    elif model.pooling == "max":
        R_pooled, scores = lrp_head(model, hidden.max(axis=0), v, **rule)
        for unit, t in enumerate(hidden.argmax(axis=0)):
            R[t, unit] = R_pooled[unit]
    else:
        mean = hidden.mean(axis=0)
        R_pooled, scores = lrp_head(model, mean, v, **rule)
        width = len(mean)
        W = np.tile(np.eye(width) / T, T)
        R += messages(
            hidden.ravel(), W, np.zeros(width), mean, R_pooled, T * width, **rule
        ).reshape(T, width)

    rest = 0.0
    for layer, both, turn, x_below in reversed(
        list(zip(layers, passes, turns, inputs[:-1], strict=True))
    ):
        R_below = np.zeros_like(x_below)
        H = layer[0].hidden_size
        for d, weights in enumerate(layer):
            half = R[:, d * H : (d + 1) * H][turn[d]]
            R_x, ended = lrp_direction(weights, x_below[turn[d]], both[d], half, share, **rule)
            R_below += R_x[turn[d]]
            rest += ended
        R = R_below
    return R, rest, scores
