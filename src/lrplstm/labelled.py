"""Inputs that have names -> arrays, and what variables, steps and sequences are called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lrplstm.errors import ArgumentError, ArgumentTypeError, Element
from lrplstm.sequences import Names
from lrplstm.step_labels import StepLabels
from lrplstm.tables import Table, as_series, is_table, places, read_table
from lrplstm.texts import shown
from lrplstm.weights import Array

__all__ = ["Labelled", "read_labelled"]


class Labelled(NamedTuple):
    """Inputs without their names, and these.

    Attributes
    ----------
    sequences : list of ndarray of shape (T, D)
    single : bool
        Whether it is one sequence rather than a batch of one.
    names : Names
    """

    sequences: list[Array]
    single: bool
    names: Names


def read_labelled(
    argument: str, inputs: Any, wanted: tuple[str, ...] | None, size: int
) -> Labelled | None:
    """Return inputs that are tables, or arrays of xarray, with their names; None of all others.

    Parameters
    ----------
    argument : str
        What errors call them.
    inputs
        A table, a column of numbers where there is one variable, an array of xarray of shape
        (step, feature) or (sequence, step, feature), a data set of xarray, or a list of those.
    wanted : tuple of str, optional
        The variables that the model reads, in its order.
    size : int
        How many it reads.
    """
    if isinstance(inputs, list | tuple) and not isinstance(inputs, Table):
        if not inputs or _kind(inputs[0]) is None:
            return None
        return _several(argument, inputs, wanted, size)
    kind = _kind(inputs)
    if kind is None:
        return None
    if kind == "xarray":
        return _of_xarray(argument, inputs, wanted)
    table = _table(argument, inputs, wanted, size)
    if table is None:
        return None
    return Labelled([table.values], True, Names(table.names or wanted, table.labels))


def _kind(value: Any) -> str | None:
    """Return where its names come from; None where it has none."""
    if hasattr(value, "dims") and hasattr(value, "coords"):
        return "xarray"
    if isinstance(value, Table):
        return "table"
    return "table" if is_table(value) or hasattr(type(value), "to_numpy") else None


def _table(argument: str, value: Any, wanted: Sequence[str] | None, size: int) -> Table | None:
    if size == 1 and not is_table(value) and not isinstance(value, Table):
        column = as_series(value)
        if column is not None and (column.dtype.is_numeric() or str(column.dtype) == "Boolean"):
            named = column if column.name not in (None, "") else column.alias((wanted or ["0"])[0])
            index = getattr(value, "index", None)
            frame = named.to_frame().to_native()
            value = frame if index is None else frame.set_axis(index)
            wanted = wanted if column.name not in (None, "") else None
    return read_table(argument, value, wanted)


def _several(
    argument: str, inputs: Sequence[Any], wanted: tuple[str, ...] | None, size: int
) -> Labelled | None:
    """Return those of a list, with the variables in the order of the first."""
    names, sequences, labels = wanted, [], []
    for b, one in enumerate(inputs):
        read = read_labelled(Element(argument, b), one, names, size)
        if read is None:
            if not b:
                return None
            raise ArgumentTypeError(
                Element(argument, b),
                f"expected a table as {argument}[0] is, got {type(one).__name__}",
            )
        if not read.single:
            raise ArgumentError(Element(argument, b), "expected one sequence, got several")
        names = names or read.names.features
        sequences += read.sequences
        labels.append(read.names.steps)
    known = [one for one in labels if one is not None]
    joined = StepLabels.joined(known) if len(known) == len(labels) else None
    return Labelled(sequences, False, Names(names, joined))


def _of_xarray(argument: str, inputs: Any, wanted: tuple[str, ...] | None) -> Labelled | None:
    """Return an array of xarray, whose last dimension is that of variables."""
    array = inputs
    if hasattr(inputs, "data_vars"):
        array = inputs.to_dataarray("variable")
        array = array.transpose(*array.dims[1:], "variable")
    if array.ndim not in (2, 3):
        return None
    features = _coordinate(array, array.dims[-1])
    names = None
    if features is not None and all(isinstance(name, str) for name in features.tolist()):
        names = tuple(features.tolist())
        if wanted is not None:
            array = array[..., places(argument, names, wanted)]
            names = wanted
    labels = _coordinate(array, array.dims[-2])
    values = np.asarray(array.values)
    single = array.ndim == 2
    sequences = [values] if single else list(values)
    of_steps = None if labels is None else StepLabels(np.tile(labels, len(sequences)))
    keys = None
    if not single:
        of_sequences = _coordinate(array, array.dims[0])
        keys = None if of_sequences is None else {str(array.dims[0]): of_sequences}
    return Labelled(sequences, single, Names(names or wanted, of_steps, keys))


def _coordinate(array: Any, dim: Any) -> Array | None:
    if dim not in array.coords:
        return None
    values = np.asarray(array.coords[dim].values)
    if values.ndim != 1 or values.dtype.kind not in "MmiufUO":
        raise ArgumentTypeError(
            "inputs", f"expected labels of {shown(str(dim))}, got {values.dtype}"
        )
    return values
