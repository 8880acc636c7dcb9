"""Docstrings of public names have the sections of numpydoc, each parameter with its type."""

from __future__ import annotations

import dataclasses
import inspect

import pytest

import lrplstm
from lrplstm import corpus, evaluation, layers, summary

validate = pytest.importorskip("numpydoc.validate").validate

LEFT_OUT = {
    "ES01",  # an extended summary: where one line says it, there is no more
    "SA01",  # See Also: names in the text are links
}
# Their methods are what a network calls on its parts, each a line: docs/how-to.md says how. Those
# that whoever writes a layer has to write are `Operation`'s, which are checked.
PARTS = (layers.Axis, layers.Layer, layers.Operation, lrplstm.Input)
CELLS = (lrplstm.GRUWeights, lrplstm.LSTMWeights, lrplstm.RNNWeights)
INNER = {"encode", "prepared"}  # of models, for methods of explanation


def public():
    """Yield names and what they are: functions, classes, and the methods that a class begins."""
    for module in (lrplstm, layers, summary, evaluation, corpus):
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isfunction(value) or inspect.isclass(value):
                yield f"{module.__name__}.{name}", value
            if not inspect.isclass(value) or issubclass(value, PARTS + CELLS):
                continue
            for method in dir(value):
                own = [base for base in value.__mro__ if method in vars(base)]
                if method.startswith("_") or not own[0].__module__.startswith("lrplstm"):
                    continue
                if callable(getattr(value, method)) and method not in INNER:
                    yield f"{module.__name__}.{name}.{method}", getattr(value, method)
    for method in ("forward", "relevance", "gradient", "decompose"):
        yield f"lrplstm.layers.Operation.{method}", getattr(layers.Operation, method)


def is_a_result(value):
    """Whether it is a class that functions return, whose fields are listed as attributes."""
    doc = inspect.getdoc(value)
    fields = ()
    if dataclasses.is_dataclass(value):
        fields = [field.name for field in dataclasses.fields(value)]
    elif hasattr(value, "_fields"):
        fields = value._fields
    section = doc.partition("Attributes\n----------\n")[2].partition("\n\n")[0]
    listed = {
        name.strip()
        for line in section.splitlines()
        if not line.startswith(" ")
        for name in line.partition(" :")[0].split(",")
    }
    return bool(fields) and set(fields) <= listed


NAMES = dict(public())


@pytest.mark.parametrize("name", NAMES)
def test_docstring(name):
    found = {code: text for code, text in validate(name)["errors"] if code not in LEFT_OUT}
    if inspect.isclass(NAMES[name]) and is_a_result(NAMES[name]):
        found.pop("PR01", None)
    if name.startswith("lrplstm.layers.Operation."):
        found.pop("EX01", None)  # a layer is the example: docs/how-to.md
    assert not found
