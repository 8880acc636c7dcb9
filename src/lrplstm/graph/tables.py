"""Several embeddings of the same ids: one table that has the columns of all of them."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from lrplstm.graph.operations import Graph, Node
from lrplstm.weights import Array

__all__ = ["with_one_table"]


def with_one_table(graph: Graph) -> Graph:
    """Return a graph in which ids are looked up once, in one table, and readers get their columns.

    An id that one of several tables lacks, the one does not have: the network could not read it.
    """
    lookups = list(_lookups(graph))
    tables: dict[str, list[str]] = {}
    for node, ids in lookups:
        names = tables.setdefault(ids, [])
        if node.inputs[0] not in names:
            names.append(node.inputs[0])
    several = {ids: names for ids, names in tables.items() if len(names) > 1}
    if not several:
        return graph
    of_node = {node.outputs[0]: ids for node, ids in lookups if ids in several}
    nodes: list[Node] = []
    joined: dict[str, Array] = {}
    for node in graph.nodes:
        if node.outputs[0] not in of_node:
            nodes.append(node)
            continue
        ids = of_node[node.outputs[0]]
        names = several[ids]
        whole, rows = ", ".join(names), f"rows of {ids} in {', '.join(names)}"
        if whole not in joined:
            joined[whole] = _side_by_side(graph.constants, names)
            reads = (whole, node.inputs[1])
            nodes.append(replace(node, inputs=reads, outputs=(rows,)))
        widths = [graph.constants[name].shape[1] for name in names]
        column = names.index(node.inputs[0])
        bounds = {
            "starts": [sum(widths[:column])],
            "ends": [sum(widths[: column + 1])],
            "axes": [-1],
        }
        nodes.append(Node("Slice", (rows,), node.outputs, bounds, node.place, node.title))
    return replace(graph, nodes=tuple(nodes), constants=ChainMap(joined, dict(graph.constants)))


def _lookups(graph: Graph) -> Iterator[tuple[Node, str]]:
    """Yield the nodes that look ids of an input up in a table, with the tensor of these ids."""
    same = {one.name: one.name for one in graph.inputs}
    for node in graph.nodes:
        if node.operator in ("Identity", "Cast") and node.inputs[0] in same:
            same[node.outputs[0]] = same[node.inputs[0]]
        elif node.operator == "Gather" and node.inputs[1] in same:
            table = graph.constants.get(node.inputs[0])
            if table is not None and table.ndim == 2 and node.attributes.get("axis", 0) == 0:
                yield node, same[node.inputs[1]]


def _side_by_side(constants: Mapping[str, Array], names: Sequence[str]) -> Array:
    tables = [constants[name] for name in names]
    most = min(map(len, tables))
    return np.concatenate([table[:most] for table in tables], axis=1)
