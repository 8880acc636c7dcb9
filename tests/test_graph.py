"""Networks as operations, whatever they come from."""

from __future__ import annotations

import numpy as np
import pytest
from loader_fixtures import refused

from lrplstm.graph.operations import Graph, Input, Node

X = Input("x", (None, None, 3))
LINEAR = Node("MatMul", ("x", "W"), ("y",))
CONSTANTS = {"W": np.ones((3, 2), "f4")}


def test_only_what_an_output_depends_on():
    other = Node("Relu", ("x",), ("z",))
    graph = Graph((X,), CONSTANTS, (other, LINEAR), ("z", "y"))
    assert graph.for_output("y").nodes == (LINEAR,)
    with refused("output: expected one of 'z', 'y', got 'W'"):
        graph.for_output("W")


@pytest.mark.parametrize(
    ("nodes", "match"),
    [
        ([Node("MatMul", ("x", "V"), ("y",))], r"gives 'y' \(MatMul\): 'V' is read, but nothing"),
        ([LINEAR, LINEAR], r"\(MatMul\): 'y' is there already"),
        ([Node("Relu", ("x",), ("W",))], "'W' is there already"),
        ([Node("Relu", ("x",), ("z",))], "output 'y': nothing gives it"),
    ],
)
def test_graphs_that_do_not_hang_together(nodes, match):
    with refused(match):
        Graph((X,), CONSTANTS, nodes, ("y",))


def test_sizes_of_inputs():
    with refused(r"input 'x': expected sizes of at least 1, got \(None, 0\)"):
        Input("x", (None, 0))
