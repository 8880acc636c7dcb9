"""The yardstick: LRP as its formulas are printed, one sentence and one step at a time, in NumPy.

A direct transcription of the 2017 paper: every linear layer makes the array of all messages from
its M upper to its N lower units, and the sum c_t = f c_{t-1} + i g is a layer with an identity
matrix. One layer, two directions, no bias of the head, float64.
"""

from __future__ import annotations

import numpy as np


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def lrp_linear(y, weight, bias, z, relevance, units, epsilon, bias_factor):
    """Return the relevance of y (N,) for z = y @ weight + bias (M,); weight is (N, M)."""
    stabilizer = epsilon * np.where(z >= 0, 1.0, -1.0)
    share = bias_factor * (bias + stabilizer) / units
    messages = (weight * y[:, np.newaxis] + share) / (z + stabilizer) * relevance
    return messages.sum(axis=1)


class Direction:
    """One direction; x is in the order in which it reads."""

    def __init__(self, weights, x):
        H, T = weights.hidden_size, len(x)
        self.W, self.U, self.b = weights.weight_ih, weights.weight_hh, weights.bias
        self.H, self.x = H, x
        self.i, self.f, self.g, self.o = (slice(n * H, (n + 1) * H) for n in range(4))
        self.a, self.gates = np.zeros((T, 4 * H)), np.zeros((T, 4 * H))
        self.h, self.c = np.zeros((T + 1, H)), np.zeros((T + 1, H))  # the last is the initial state

    def forward(self):
        i, f, g, o, H = self.i, self.f, self.g, self.o, self.H
        for t in range(len(self.x)):
            self.a[t] = self.W @ self.x[t] + self.U @ self.h[t - 1] + self.b
            gates = self.gates[t]
            gates[: 2 * H] = sigmoid(self.a[t, : 2 * H])
            gates[g] = np.tanh(self.a[t, g])
            gates[o] = sigmoid(self.a[t, o])
            self.c[t] = gates[f] * self.c[t - 1] + gates[i] * gates[g]
            self.h[t] = gates[o] * np.tanh(self.c[t])
        return self.h[len(self.x) - 1]

    def lrp(self, relevance, epsilon, bias_factor):
        """Return the relevance of x (T, D), given that of the final hidden state."""
        i, f, g, H = self.i, self.f, self.g, self.H
        T, D = self.x.shape
        rule = {"epsilon": epsilon, "bias_factor": bias_factor}
        R_x, R_g = np.zeros((T, D)), np.zeros((T, H))
        R_h, R_c = np.zeros((T + 1, H)), np.zeros((T + 1, H))
        R_h[T - 1] = relevance
        for t in reversed(range(T)):
            gates, a_g = self.gates[t], self.a[t, g]
            identity, zeros = np.identity(H), np.zeros(H)
            R_c[t] += R_h[t]
            R_c[t - 1] = lrp_linear(
                gates[f] * self.c[t - 1], identity, zeros, self.c[t], R_c[t], 2 * H, **rule
            )
            R_g[t] = lrp_linear(
                gates[i] * gates[g], identity, zeros, self.c[t], R_c[t], 2 * H, **rule
            )
            R_x[t] = lrp_linear(self.x[t], self.W[g].T, self.b[g], a_g, R_g[t], D + H, **rule)
            R_h[t - 1] = lrp_linear(
                self.h[t - 1], self.U[g].T, self.b[g], a_g, R_g[t], D + H, **rule
            )
        return R_x


def lrp(model, ids, epsilon=1e-3, bias_factor=0.0):
    """Return the relevance of each token for the predicted class, (T,)."""
    x = model.embedding[ids]
    forward, backward = model.layers[0]
    left, right = Direction(forward, x), Direction(backward, x[::-1])
    final = np.concatenate([left.forward(), right.forward()])
    scores = model.head_weight @ final
    predicted = scores.argmax()
    R = np.zeros(len(scores))
    R[predicted] = scores[predicted]
    K = len(final)
    R = lrp_linear(
        final, model.head_weight.T, np.zeros(len(scores)), scores, R, K, epsilon, bias_factor
    )
    R_x = left.lrp(R[: K // 2], epsilon, bias_factor)
    R_x += right.lrp(R[K // 2 :], epsilon, bias_factor)[::-1]
    return R_x.sum(axis=1)
