"""Contextual decomposition against both of its parts, followed one by one."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from literal import activate, sigmoid
from random_models import random_batch, random_model

import lrplstm
from lrplstm.copies import copies_for_steps, remaining

BACKENDS = ["kernel", "reference"]
MODELS = {
    "two directions": {},
    "one direction": {"bidirectional": False, "H": 7, "D": 9},
    "no bias at the head": {"head": "no bias"},
    "no head": {"head": "none", "C": 8},
    "two layers": {"layers": 2, "pooling": "mean"},
    "maximum": {"layers": 2, "pooling": "max", "head": "stack"},
    "a step's scores": {"pooling": "none", "head": "stack"},
    "one unit": {"H": 1, "D": 1, "C": 1, "bidirectional": False},
}


def linearized(function, relevant, rest, bias):
    """What each of three terms adds: the mean over the orders of all that begin with the bias."""
    of_bias = function(bias)
    of_relevant = of_rest = 0.0
    for relevant_first in (True, False):
        first = function(bias + (relevant if relevant_first else rest)) - of_bias
        second = function(bias + relevant + rest) - function(
            bias + (relevant if relevant_first else rest)
        )
        of_relevant = of_relevant + (first if relevant_first else second) / 2
        of_rest = of_rest + (second if relevant_first else first) / 2
    return of_relevant, of_rest, of_bias


def follow_direction(weights, x_relevant, x_rest, phrase):
    """Relevant and irrelevant states of all steps, in the order in which they are read."""
    H = weights.hidden_size
    h, h_rest = np.zeros(H), weights.initial_hidden
    c, c_rest = np.zeros(H), weights.initial_cell
    states, states_rest = [], []
    for x, rest, in_phrase in zip(x_relevant, x_rest, phrase, strict=True):
        a = np.split(weights.weight_ih @ x + weights.weight_hh @ h, 4)
        a_rest = np.split(weights.weight_ih @ rest + weights.weight_hh @ h_rest, 4)
        b = np.split(weights.bias, 4)
        i, i_rest, i_bias = linearized(sigmoid, a[0], a_rest[0], b[0])
        f, f_rest, f_bias = linearized(sigmoid, a[1], a_rest[1], b[1])
        g, g_rest, g_bias = linearized(np.tanh, a[2], a_rest[2], b[2])
        o = sigmoid(a[3] + a_rest[3] + b[3])
        new = i * (g + g_bias) + i_bias * g
        new_rest = i_rest * (g + g_rest + g_bias) + (i + i_bias) * g_rest
        if in_phrase:
            new = new + i_bias * g_bias
        else:
            new_rest = new_rest + i_bias * g_bias
        new = new + (f + f_bias) * c
        new_rest = new_rest + (f + f_rest + f_bias) * c_rest + f_rest * c
        c, c_rest = new, new_rest
        part, part_rest, _ = linearized(np.tanh, c, c_rest, np.zeros(H))
        h, h_rest = o * part, o * part_rest
        states.append(h)
        states_rest.append(h_rest)
    return np.array(states), np.array(states_rest)


def decompose(model, relevant, rest, phrase):
    """Relevant and irrelevant scores, (C,), or with pooling "none" (T, C)."""
    for layer in model.layers:
        both = layer if isinstance(layer, tuple) else (layer,)
        parts = []
        for d, weights in enumerate(both):
            turn = slice(None, None, -1 if d == 1 else 1)
            found = follow_direction(weights, relevant[turn], rest[turn], phrase[turn])
            parts.append([states[turn] for states in found])
        relevant, rest = (np.concatenate(halves, axis=1) for halves in zip(*parts, strict=True))
    H = model.hidden_size
    if model.pooling == "last":
        relevant, rest = (
            np.concatenate([s[-1, :H], s[0, H:]])[np.newaxis] for s in (relevant, rest)
        )
    elif model.pooling == "mean":
        relevant, rest = (s.mean(axis=0, keepdims=True) for s in (relevant, rest))
    elif model.pooling == "max":
        winners = (relevant + rest).argmax(axis=0)
        relevant, rest = (s[winners, np.arange(s.shape[1])][np.newaxis] for s in (relevant, rest))
    for dense in model.head:
        bias = 0.0 if dense.bias is None else dense.bias
        relevant, rest, of_bias = linearized(
            lambda z, name=dense.activation: activate(name, z),
            relevant @ dense.weight.T,
            rest @ dense.weight.T,
            np.zeros(dense.output_size) + bias,
        )
        rest = rest + of_bias
    return relevant.sum(axis=0), rest.sum(axis=0)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("options", MODELS.values(), ids=MODELS)
def test_the_relevant_part_of_the_score(backend, options):
    model = random_model(11, **options)
    D = model.input_size
    batch = random_batch(D=D, lengths=(5, 1, 3))
    by_token, by_input = (
        lrplstm.contextual_decomposition(model, batch, "all", level=level, backend=backend)
        for level in ("token", "input")
    )
    for a, b, x in zip(by_token, by_input, batch, strict=True):
        scores = np.atleast_2d(model.predict(x)).sum(axis=0)
        for t in range(len(x)):
            at_step = np.arange(len(x)) == t
            x_relevant = np.where(at_step[:, np.newaxis], x, 0)
            relevant, rest = decompose(model, x_relevant, x - x_relevant, at_step)
            np.testing.assert_allclose(relevant + rest, scores, rtol=1e-12, atol=1e-13)
            np.testing.assert_allclose(a.token_relevance[:, t], relevant, rtol=1e-10, atol=1e-13)
            alone = []
            for d in range(D):
                x_relevant = np.zeros_like(x)
                x_relevant[t, d] = x[t, d]
                alone.append(decompose(model, x_relevant, x - x_relevant, at_step)[0])
            alone = np.transpose(alone)
            together = relevant - alone.sum(axis=1)
            shares = np.abs(alone) / np.abs(alone).sum(axis=1, keepdims=True)
            expected = alone + shares * together[:, np.newaxis]
            np.testing.assert_allclose(b.input_relevance[:, t], expected, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(
            a.delta, scores - a.token_relevance.sum(axis=1), rtol=1e-9, atol=1e-12
        )
        assert (a.initial_relevance == 0).all()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("pooling", ["last", "max"])
def test_a_layer_that_reads_from_the_end(backend, pooling):
    """It is one that reads the mirrored sequence from its beginning."""
    forward = random_model(11, bidirectional=False, pooling=pooling)
    (weights,) = forward.layers
    backward = forward.replaced(layers=[lrplstm.LSTMWeights(**weights.arrays(), reverse=True)])
    for x in random_batch(lengths=(6, 1)):
        found = lrplstm.contextual_decomposition(backward, x[::-1], "all", backend=backend)
        expected = lrplstm.contextual_decomposition(forward, x, "all", backend=backend)
        np.testing.assert_allclose(
            found.input_relevance[:, ::-1], expected.input_relevance, rtol=1e-12, atol=1e-14
        )


def test_what_is_left_of_copies_from_their_step_on():
    """Of T copies of T steps T (T + 1) / 2 are read, in either direction, the longest first."""
    offsets = np.array([0, 4, 6, 7])
    ((some, step, marked, _),) = copies_for_steps(offsets, 1, 8)
    for reverse in (False, True):
        rest = remaining(some, step, offsets, reverse)
        assert rest.offsets[-1] == len(rest.steps) == 10 + 3 + 1
        assert (np.diff(rest.offsets, n=2) <= 0).all()
        rows = rest.rows(some, offsets)
        assert np.array_equal(some.steps[rows], rest.steps)
        assert np.array_equal(rows[rest.first], marked[rest.order])
        for k, (start, stop) in enumerate(pairwise(rest.offsets)):
            at, b = step[rest.order[k]], some.owner[rest.order[k]]
            read = range(offsets[b], at + 1) if reverse else range(at, offsets[b + 1])
            assert np.array_equal(rest.steps[start:stop], read)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_step_of_nothing_has_the_biases_at_most(backend):
    """Without biases, what is zero has no part in anything."""
    model = random_model(11, biases=False, layers=2, head="stack", pooling="mean")
    (x,) = random_batch(lengths=(5,))
    x[3] = 0
    a = lrplstm.contextual_decomposition(model, x, "all", backend=backend)
    np.testing.assert_allclose(a.token_relevance[:, 3], 0, atol=1e-15)
    assert (np.abs(np.delete(a.token_relevance, 3, axis=1)) > 1e-6).all()
