"""Rounding in float32, measured against float64: kernels lose no more than plain NumPy does."""

from __future__ import annotations

import numpy as np
import pytest
from random_models import random_batch, random_model

import lrplstm
from lrplstm.rules import PRODUCT_RULES

SIZES = [
    {"D": 7, "H": 20, "layers": 2},
    {"D": 60, "H": 60},
    {"D": 5, "H": 33, "bidirectional": False, "pooling": "mean", "head": "stack"},
]
# Enough that nothing explodes, which would be chaos: "prop" divides by sums that cancel.
EPSILON = dict.fromkeys(PRODUCT_RULES, 0.2) | {"prop": 1.0}
METHODS = {
    "gradient_x_input": ("gradient_x_input", {}),
    "sensitivity": ("sensitivity", {}),
    **{
        f"lrp {rule}": ("lrp", {"product_rule": rule, "epsilon": epsilon, "bias_factor": 0.5})
        for rule, epsilon in EPSILON.items()
    },
}


def scores(model, x, backend):
    return model.predict(x, backend=backend)


def explanation(name, level):
    method, options = METHODS[name]

    def explain(model, x, backend):
        found = lrplstm.explain(model, x, method, 1, level=level, backend=backend, **options)
        return found.input_relevance if level == "input" else found.token_relevance

    return explain


QUANTITIES = {"scores": scores}
QUANTITIES |= {f"{n}, by {v}": explanation(n, v) for n in METHODS for v in ("input", "token")}


def error(found, exact):
    assert found.dtype == np.float32
    return np.abs(found - exact).max() / np.abs(exact).max()


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_a_kernel_errs_no_more_than_three_times_as_much_as_the_reference(quantity):
    """At the worst of many networks, and at the middle one."""
    compute = QUANTITIES[quantity]
    errors = []
    for seed in range(20):
        for sizes in SIZES:
            model = random_model(seed, dtype=np.float32, **sizes)
            (x,) = random_batch(seed + 50, D=sizes["D"], lengths=(8,), dtype=np.float32)
            exact = compute(model.astype(np.float64), x, "reference")
            errors.append([error(compute(model, x, b), exact) for b in ("kernel", "reference")])
    kernel, reference = np.array(errors).T
    assert 0 < kernel.max() <= 3 * reference.max() < 1e-3
    assert np.median(kernel / reference) <= 3
