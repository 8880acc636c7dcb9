"""Sizes around those of vectors, blocks, panels and tiles: what stands beyond the end of a row."""

from __future__ import annotations

import numpy as np
import pytest
from random_models import ONE_WAY_BACK, random_model, relative_error

import lrplstm

SIZES = (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 60, 61, 100)
CLASSES = (1, 2, 3, 5, 7, 8, 9, 16, 17)
OPTIONS = {"lrp": {"epsilon": 0.1, "bias_factor": 0.5}}
SEQUENCES = (1, 2, 3, 4, 5, 7, 8, 9, 31, 32, 33)


def draw_cases():
    """Every size once or more as H and as D, with the rest drawn."""
    rng = np.random.default_rng(20)
    for number, dtype in enumerate((np.float64, np.float32)):
        for bidirectional in (True, False):
            for H, D in zip(SIZES, rng.permutation(SIZES).tolist(), strict=True):
                lengths = rng.integers(1, 8, rng.choice(SEQUENCES)).tolist()
                shape = {"H": H, "D": D, "C": int(rng.choice(CLASSES))}
                shape |= {"layers": 1 + number % 2, "bidirectional": bidirectional}
                name = "-".join(f"{key[0]}{int(value)}" for key, value in shape.items())
                yield pytest.param(
                    shape, dtype, lengths, id=f"{np.dtype(dtype).name}-{name}-B{len(lengths)}"
                )
                number += 1


@pytest.mark.parametrize(("shape", "dtype", "lengths"), list(draw_cases()))
def test_kernels_agree_with_the_reference(shape, dtype, lengths):
    V = 11
    model = random_model(3, dtype=dtype, vocabulary=[str(n) for n in range(V)], **shape)
    rng = np.random.default_rng(4)
    ids = [rng.integers(0, V, T) for T in lengths]
    floats = [model.embedding[x] for x in ids]
    bound = 1e-11 if dtype == np.float64 else 5e-4
    # In float32 the reference's own rounding may change the sign of a stabilizer.
    exact = model.astype(np.float64)
    scores = exact.predict(floats, backend="reference")
    for inputs in (ids, floats):
        assert relative_error(model.predict(inputs), scores) < bound
    for method in ONE_WAY_BACK:
        options = OPTIONS.get(method, {})
        expected = lrplstm.explain(
            exact, floats, method, "all", level="input", backend="reference", **options
        )
        for inputs, level in ((ids, "token"), (floats, "token"), (floats, "input")):
            found = lrplstm.explain(model, inputs, method, "all", level=level, **options)
            assert relative_error(found.token_relevance, expected.token_relevance) < bound
        assert relative_error(found.input_relevance, expected.input_relevance) < bound
    # Of three sequences, whose copies are enough.
    found, expected = (
        lrplstm.contextual_decomposition(m, floats[:3], "all", level="token", backend=backend)
        for m, backend in ((model, "kernel"), (exact, "reference"))
    )
    assert relative_error(found.token_relevance, expected.token_relevance) < bound


@pytest.mark.parametrize(("dtype", "bound"), [(np.float64, 1e-14), (np.float32, 1e-6)])
def test_activations_from_tiny_to_saturated(dtype, bound):
    """Pre-activations of every size: c_0 = i g and h_0 = o tanh(c_0) are known exactly."""
    sizes = np.concatenate([10.0 ** np.arange(-8, 4), [0, 0.5, 3, 8, 20, 42, 44, 88, 90, 349, 351]])
    a = np.concatenate([sizes, -sizes]).astype(dtype)
    H = len(a)
    rng = np.random.default_rng(0)
    gates = [rng.permutation(a) for _ in range(4)]
    zero = np.zeros((4 * H, H), dtype)
    model = lrplstm.LSTMModel([lrplstm.LSTMWeights(zero[:, :1], zero, np.concatenate(gates))])
    i, _, g, o = (gate.astype(np.float64) for gate in gates)
    with np.errstate(over="ignore"):
        c = np.tanh(g) / (1 + np.exp(-i))
        h = np.tanh(c) / (1 + np.exp(-o))
    found = model.predict(np.zeros((1, 1), dtype))
    assert np.isfinite(found).all()
    # Gates of less than e^-43 (in float64 e^-350) may be that: nobody sees it in a state.
    assert np.abs(found - h).max() <= bound
    seen = np.abs(h) > (1e-17 if dtype == np.float32 else 1e-140)
    assert (np.abs(found / np.where(seen, h, 1) - 1)[seen] <= 10 * bound).all()
