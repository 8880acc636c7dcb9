"""Random graphs of ONNX: what ONNX Runtime and ONNX's own evaluator compute of them."""

from __future__ import annotations

import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator
from onnx_graphs import run
from random_graphs import SEEDS
from random_models import relative_error
from random_onnx import STEPS, WORDS, D, RandomGraph, S, draw_parts

import lrplstm


def draw_inputs(graph, rng, steps, sequences):
    """Inputs of a batch as the graph reads them, with sequences first."""
    shape = (sequences, steps)
    x = rng.integers(0, WORDS, shape) if graph.ids else rng.normal(size=(*shape, D))
    inputs = {"x": x if graph.ids else x.astype(graph.dtype)}
    if graph.has_static:
        inputs["static"] = rng.normal(size=(sequences, S)).astype(graph.dtype)
    return inputs


def evaluate(graph, inputs):
    """The scores of a batch."""
    given = inputs | {"x": inputs["x"].swapaxes(0, 1) if graph.steps_first else inputs["x"]}
    if graph.dtype == np.float32:
        return run(graph.proto, **given)[0]
    return ReferenceEvaluator(graph.proto).run(None, given)[0]


def slopes(scores_of, x, step):
    """The derivatives of scores by all numbers of x, each (..., one of these)."""
    shifts = np.eye(x.size).reshape(-1, *x.shape) * step
    moved = np.concatenate([x + k * shifts for k in (-2, -1, 1, 2)])
    far, near, up, further = np.split(scores_of(moved), 4)
    return (8 * (up - near) - (further - far)) / (12 * step)


def faults(parts, dtype):
    """What is wrong with the model of a graph, in words; None if nothing."""
    graph = RandomGraph(parts, dtype)
    rng = np.random.default_rng(1)
    steps = STEPS if graph.fixed else STEPS + 3
    inputs = draw_inputs(graph, rng, steps, 2)
    expected = evaluate(graph, inputs)
    try:
        model = lrplstm.from_onnx(graph.proto)
    except ValueError as error:
        return f"it is refused: {error}"
    names = [name for name in inputs if name in (model.inputs or {})]

    def given(batch):
        return {name: batch[name] for name in names} if names else batch["x"]

    bound = 1e-5 if dtype == np.float32 else 1e-11
    for backend in ("kernel", "reference"):
        found = np.array(model.predict(given(inputs), backend=backend))
        if relative_error(found, expected) > bound:
            return f"scores differ by {relative_error(found, expected):.1e} ({backend})"
    first = {name: array[0] for name, array in inputs.items()}
    wrong = wrong_bits(model, [given({n: a[b] for n, a in inputs.items()}) for b in (0, 1)])
    if wrong or dtype == np.float32:
        return wrong
    if not graph.ids:
        wrong = wrong_slopes(model, graph, given(first), first, names)
    return wrong or wrong_sums(model, given(first), len(expected[0].shape))


def wrong_slopes(model, graph, sequence, first, names):
    """Whether the gradient is another than that of the graph."""
    x = first["x"]

    def scores_of(moved):
        others = {n: np.repeat(a[None], len(moved), 0) for n, a in first.items() if n != "x"}
        scores = evaluate(graph, {"x": moved, **others})
        return scores[..., 1] if scores.ndim == 2 else scores[..., 1].sum(1)

    # Long steps meet kinks, and short ones rounding, which is that of the scores.
    steps = (1e-3, 1e-4, 1e-5)
    expected = [slopes(scores_of, x, step).reshape(x.shape) * x for step in steps]
    bound = 1e-9 * np.abs(expected[1]).max() + 1e-11 * np.abs(scores_of(x[None])).max()
    for backend in ("kernel", "reference"):
        a = lrplstm.gradient_x_input(model, sequence, 1, backend=backend)
        found = a.relevance_of["x"] if names else a.input_relevance
        if (error := min(np.abs(found - one).max() for one in expected)) > bound:
            return f"gradients differ by {error:.1e} ({backend})"
    return None


def wrong_sums(model, sequence, axes):
    """Whether relevance is lost."""
    for rule in ("all", "half"):
        for backend in ("kernel", "reference"):
            options = {"bias_factor": 1, "product_rule": rule, "backend": backend}
            a = lrplstm.lrp(model, sequence, 1, **options)
            started = np.abs(a.scores[..., 1]).sum()
            parts = a.relevance_of.values() if a.relevance_of else [a.token_relevance]
            largest = max(started, *(np.abs(part).max() for part in parts))
            if np.abs(a.delta).max() > 1e-9 * largest:
                return f"relevance is not conserved: {np.abs(a.delta).max():.1e} ({options})"
    return None


def wrong_bits(model, sequences):
    """Whether anything depends on the batch or the number of threads."""
    batch = sequences + sequences[:1]
    if isinstance(batch[0], dict):
        batch = {name: [one[name] for one in batch] for name in batch[0]}
    alone = [lrplstm.lrp(model, one, 0).token_relevance for one in sequences]
    for threads in (1, 2):
        together = lrplstm.lrp(model, batch, 0, num_threads=threads)
        for one, expected in zip(together, alone + alone[:1], strict=True):
            if one.token_relevance.tobytes() != expected.tobytes():
                return f"other bits in a batch ({threads} threads)"
    return None


@pytest.mark.parametrize("seed", SEEDS)
def test_random_graphs(seed):
    parts = draw_parts(seed)
    dtype = np.dtype("f4" if seed % 4 == 3 else "f8")
    if faults(parts, dtype) is not None:
        fewest = shrunk(parts, dtype)
        pytest.fail(f"{faults(fewest, dtype)}: {fewest}")


def shrunk(parts, dtype):
    """The fewest of these parts of which a graph still fails."""
    for n in range(1, len(parts)):
        fewer = parts[:n] + parts[n + 1 :]
        if any(kind == "recurrent" for kind, _ in fewer) and faults(fewer, dtype) is not None:
            return shrunk(fewer, dtype)
    return parts
