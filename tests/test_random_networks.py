"""Random networks by way of ONNX: scores, gradients and conservation as PyTorch says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from onnx_graphs import export
from random_graphs import SEEDS, STEPS, D, RandomNetwork, draw_parts, shrunk
from random_models import relative_error

import lrplstm


def has_fixed_length(module, *, dynamo):
    """Whether a file is for one length alone, as some are that the newer exporter writes."""
    written_out = any(
        isinstance(layer, torch.nn.RNN | torch.nn.GRU)
        and (layer.mode != "GRU" or layer.num_layers > 1)
        for layer in module.modules()
    )
    return module.has_fixed_length or (dynamo and written_out)


def exported(module, x, *, dynamo):
    """What one of the two exporters writes, for sequences of any length if it can be."""
    open_axes = not has_fixed_length(module, dynamo=dynamo)
    if dynamo:
        sizes = ({0: torch.export.Dim.AUTO, 1: torch.export.Dim.AUTO},) if open_axes else None
        return export(module, (x,), dynamo=True, dynamic_shapes=sizes, verbose=False)
    axes = {"x": {0: "batch", 1: "steps"}} if open_axes else None
    return export(
        module, (x,), dynamo=False, input_names=["x"], output_names=["y"], dynamic_axes=axes
    )


def faults(parts, dtype=torch.float64, *, dynamo=False):
    """What is wrong with the model of a network, in words; None if nothing."""
    module = RandomNetwork(parts).to(dtype)
    proto = exported(module, torch.randn(2, STEPS, D, dtype=dtype), dynamo=dynamo)
    try:
        model = lrplstm.from_onnx(proto)
    except ValueError as error:
        return str(error)
    length = STEPS if has_fixed_length(module, dynamo=dynamo) else STEPS + 3
    x = torch.randn(1, length, D, dtype=dtype, requires_grad=True)
    scores = module(x)[0]
    single = dtype is torch.float32
    expected, inputs = scores.detach().numpy(), x.detach().numpy()[0]
    (gradient,) = torch.autograd.grad(scores[..., 1].sum(), x)
    bound, of_gradients = (1e-5, 1e-4) if single else (1e-11, 1e-9)
    for backend in ("kernel", "reference"):
        error = relative_error(model.predict(inputs, backend=backend), expected)
        if error > bound:
            return f"scores differ by {error:.1e} ({backend})"
        found = lrplstm.gradient_x_input(model, inputs, 1, backend=backend).input_relevance
        error = relative_error(found, gradient.numpy()[0] * inputs)
        if error > of_gradients:
            return f"gradients differ by {error:.1e} ({backend})"
        if single:
            continue
        a = lrplstm.lrp(model, inputs, 1, bias_factor=1, backend=backend)
        started = np.abs(a.scores[..., 1]).sum()
        largest = max(started, np.abs(a.input_relevance).max())
        if np.abs(a.delta).max() > 1e-9 * largest:
            return f"relevance is not conserved: {np.abs(a.delta).max():.1e} ({backend})"
    return None


@pytest.mark.parametrize("seed", SEEDS)
def test_random_networks(seed):
    parts = draw_parts(seed)
    options = {
        "dtype": torch.float32 if seed % 4 == 3 else torch.float64,
        "dynamo": seed % 20 == 0,  # it takes two seconds
    }
    if faults(parts, **options) is not None:
        fewest = shrunk(parts, lambda some: faults(some, **options) is not None)
        pytest.fail(f"{faults(fewest, **options)}: {fewest}")
