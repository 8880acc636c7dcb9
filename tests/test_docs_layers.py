"""docs/layers.md: its table is what the methods do, it has every rule, and its Python runs.

``python tests/test_docs_layers.py`` writes the table.
"""

from __future__ import annotations

import re

import numpy as np
from doc_pages import Page
from random_models import QUICK, random_batch
from test_layers import every_layer, model_with

import lrplstm
from lrplstm.layers import LAYERS

PAGE = Page("docs/layers.md")
BEGIN, END = "<!-- table -->\n", "<!-- end of table -->"


def kinds():
    """One layer of each kind of the package, by its kind."""
    own = {layer.kind: layer for layer in every_layer() if not layer.kind.startswith("test.")}
    return dict(sorted(own.items()))


def is_explained(layer, method):
    """Whether a method goes through a layer; else it says that it does not, by both names."""
    model = model_with(layer)
    options = {"target": 0} | QUICK.get(method, {})
    try:
        lrplstm.explain(model, random_batch()[0], method, **options)
    except ValueError as error:
        name = model.layers[2].name
        if f"{method} is not defined for the layer {name!r} ({layer.kind})" in str(error):
            return False
        raise
    return True


def table():
    methods = [method for method in lrplstm.METHODS if method != "random"]
    rows = [["kind", "class", *(f"`{method}`" for method in methods)]]
    for kind, layer in kinds().items():
        marks = ["yes" if is_explained(layer, method) else "error" for method in methods]
        rows.append([f"`{kind}`", f"`{type(layer).__name__}`", *marks])
    rows.insert(1, ["---"] * len(rows[0]))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def test_the_table_is_what_the_methods_do():
    assert PAGE.text.split(BEGIN)[1].split(END)[0] == table()


def test_every_layer_has_its_rule():
    rules = PAGE.text.split("## What relevance does")[1]
    named = set(
        re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`[^|]*) \|", rules, re.MULTILINE)))
    )
    assert named == {kind for kind in LAYERS if not kind.startswith("test.")}


def test_the_example_conserves_relevance(tmp_path):
    names = PAGE.run(tmp_path)
    shapes = {name: relevance.shape for name, relevance in names["by_name"].items()}
    assert shapes == {"series": (6, 3), "weekday": (6, 2), "static": (2,)}
    assert names["last_step"].scores.shape == (5, 2)
    attribution = names["attribution"]
    assert attribution.input_relevance.shape == (6, 3)
    assert np.abs(attribution.delta) < 1e-9


def test_files_and_names_exist():
    PAGE.check_references()


if __name__ == "__main__":
    before, rest = PAGE.text.split(BEGIN)
    PAGE.path.write_text(before + BEGIN + table() + END + rest.split(END)[1], encoding="utf-8")
