"""LRP of a batch of sentences in NumPy, as well as one writes it: the batch in matrices.

Sentences are sorted by length and aligned at their last step, so that at every step those at work
are the first rows, and none is padding. What does not depend on the step before is one product for
all steps: W_ih x, and the relevance of x. With bias_factor 0 no bias or stabilizer is shared out.
"""

from __future__ import annotations

import numpy as np


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


class Batch:
    """Ids of up to B sentences, the longest first, step by step.

    Row ``starts[t] + b`` is step t of sentence b, t counted so that T - 1 is everyone's last;
    the first ``active[t]`` sentences have a step t.
    """

    def __init__(self, sentences):
        lengths = np.array([len(ids) for ids in sentences])
        T = lengths[0]
        self.lengths = lengths
        self.active = [int((lengths >= T - t).sum()) for t in range(T)]
        self.starts = np.concatenate([[0], np.cumsum(self.active)])
        # Where each step of the concatenated sentences is, for either direction of reading.
        first = np.concatenate([[0], lengths.cumsum()[:-1]])
        steps = [
            (first[b] + length - (T - t), first[b] + (T - t) - 1)
            for t in range(T)
            for b, length in enumerate(lengths[: self.active[t]])
        ]
        self.order = np.array(steps).T
        self.ids = np.concatenate(sentences)


def forward(weights, batch, x):
    """Return the final hidden states (B, H), and what the way back reads."""
    H = weights.hidden_size
    n, B = len(x), batch.active[-1]
    projection = x @ weights.weight_ih.T
    projection += weights.bias
    kept, added, a_g, previous = (np.empty((n, H), x.dtype) for _ in range(4))
    h, c = np.zeros((2, B, H), x.dtype)
    for start, active in zip(batch.starts, batch.active, strict=False):
        rows = slice(start, start + active)
        previous[rows] = h[:active]
        a = projection[rows] + h[:active] @ weights.weight_hh.T
        a_g[rows] = a[:, 2 * H : 3 * H]
        i_f, g, o = sigmoid(a[:, : 2 * H]), np.tanh(a_g[rows]), sigmoid(a[:, 3 * H :])
        np.multiply(i_f[:, :H], g, out=added[rows])
        np.multiply(i_f[:, H:], c[:active], out=kept[rows])
        np.add(kept[rows], added[rows], out=c[:active])
        np.multiply(o, np.tanh(c[:active]), out=h[:active])
    return h, (kept, added, a_g, previous)


def lrp_back(weights, batch, x, trace, relevance, epsilon):
    """Return the relevance of each row of x, summed over D."""
    kept, added, a_g, previous = trace
    g = weights.rows_g
    W_g, U_g = weights.weight_ih[g], weights.weight_hh[g]
    # What the relevance is multiplied by at each step, for all steps at once.
    c = kept + added
    c += np.copysign(np.float32(epsilon), c)
    to_c = kept / c
    to_q = added / c
    to_q /= a_g + np.copysign(np.float32(epsilon), a_g)
    q = np.empty_like(a_g)
    R_h, R_c = relevance, np.zeros_like(relevance)
    for start, active in zip(batch.starts[-2::-1], batch.active[::-1], strict=True):
        rows = slice(start, start + active)
        R_c = R_c[:active] + R_h[:active]
        np.multiply(to_q[rows], R_c, out=q[rows])
        R_c *= to_c[rows]
        R_h = previous[rows] * (q[rows] @ U_g)
    return np.vecdot(x, q @ W_g)


def lrp(model, batch, epsilon=1e-3):
    """Return the relevance of each token for the predicted class, sentence after sentence."""
    x = model.embedding[batch.ids]
    passes = [
        forward(weights, batch, x[order])
        for weights, order in zip(model.layers[0], batch.order, strict=True)
    ]
    final = np.concatenate([h for h, _ in passes], axis=1)
    scores = final @ model.head_weight.T
    predicted = scores.argmax(axis=1)
    explained = scores[np.arange(len(scores)), predicted]
    quotient = explained / (explained + np.copysign(np.float32(epsilon), explained))
    R = final * model.head_weight[predicted] * quotient[:, np.newaxis]
    token = np.zeros(len(x), x.dtype)
    for weights, order, (_, trace), half in zip(
        model.layers[0], batch.order, passes, np.split(R, 2, axis=1), strict=True
    ):
        token[order] += lrp_back(weights, batch, x[order], trace, half, epsilon)
    return token
