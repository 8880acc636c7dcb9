"""Pictures of series: the relevance of each variable at each step, with the series over it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lrplstm.checks import to_int
from lrplstm.errors import ArgumentError
from lrplstm.heatmap.grid import Grid
from lrplstm.heatmap.matrix_figure import Matrix
from lrplstm.heatmap.passages import own_scale
from lrplstm.pictures.parts import Row, check_finite, ends_of, rows_of, scales_of
from lrplstm.texts import visible
from lrplstm.weights import Array

__all__ = ["batch_matrix", "check_no_top", "is_series", "one_grid", "rows_matrix"]


def is_series(a: Any) -> bool:
    """Whether an explanation is drawn as a heat map: of numbers, each with its relevance."""
    return a.tokens is None and a.input_relevance is not None


def one_grid(
    a: Any,
    *,
    variables: Sequence[str] | None = None,
    steps: Sequence[str] | None = None,
    series: bool = True,
    top: int | None = None,
    title: str | None = None,
    scale: float | None = None,
) -> Grid:
    """Return that of one explanation; the classes of several stand one under another."""
    grid = a.to_grid(variables=variables, steps=steps)
    grid = grid._replace(
        title=a.title if title is None else title,
        notes=(),
        values=a.input_values if series else None,
        dates=_dates(a) if steps is None else None,
        scale=scale,
    )
    return grid if top is None else _sorted(grid, to_int("top", top, 1))


def check_no_top(top: int | None) -> None:
    """Raise an error if words are to be sorted as variables."""
    if top is not None:
        raise ArgumentError("top", f"expected None, since words keep their order, got {top}")


def _sorted(grid: Grid, top: int) -> Grid:
    """Return only the variables with the most absolute relevance, these first."""
    relevance = np.asarray(grid.relevance)
    return select(grid, order_of(relevance.reshape(-1, relevance.shape[-1]), top))


def order_of(relevance: Array, top: int) -> Array:
    """Return the variables of the largest sums of absolute relevance, (n, D) -> (top,)."""
    order: Array = np.argsort(-np.abs(relevance).sum(axis=0), kind="stable")[:top]
    return order


def select(grid: Grid, order: Array) -> Grid:
    """Return a grid of some variables, in this order."""
    relevance = np.asarray(grid.relevance)
    D = relevance.shape[-1]
    names = grid.variables or [str(d) for d in range(D)]
    if len(names) != D:
        return grid  # whoever draws it says what is wrong
    left_out = f"{len(order)} of {D} variables: those with the largest sums of |relevance|"
    return grid._replace(
        relevance=relevance[..., order],
        variables=[names[d] for d in order],
        values=None if grid.values is None else np.asarray(grid.values)[:, order],
        notes=[*grid.notes, left_out] if len(order) < D else grid.notes,
    )


def _dates(a: Any) -> Array | None:
    """Return the dates of steps as they are on the clock there; None if they are something else."""
    labels = a.names.steps
    if labels is None or not labels.are_dates:
        return None
    if labels.time_zone is None:
        return labels.values
    moments = [moment.replace(tzinfo=None) for moment in labels.as_array()]
    return np.array(moments, "datetime64[us]")


def batch_matrix(
    several: Sequence[Any],
    labels: Sequence[str] | None,
    title: str,
    *,
    shared_scale: bool,
    legend: bool,
    top: int | None = None,
) -> Matrix:
    """Return that of several series, one under another, each with its own steps."""
    cells = []
    for n, a in enumerate(several):
        rows = rows_of(a)
        name = a._wording.subject_and_score if labels is None else labels[n]
        cells += [[(f"{name}: {row.subject}" if len(rows) > 1 else name, row)] for row in rows]
    return rows_matrix(
        cells, title, shared_scale=shared_scale, legend=legend, same_steps=False, top=top
    )


def rows_matrix(
    cells: Sequence[Sequence[tuple[str, Row]]],
    title: str,
    *,
    shared_scale: bool = True,
    legend: bool = True,
    same_steps: bool = True,
    top: int | None = None,
) -> Matrix:
    """Return titled rows as a matrix of grids."""
    rows = [row for line in cells for _, row in line]
    check_finite(rows)
    for row in rows:
        if row.of.input_relevance is None:
            raise ArgumentError(
                "level",
                "expected 'input', so that there is relevance of each variable, got 'token'",
            )
    largest = [float(np.abs(row.inputs).max()) for row in rows]
    scales, own, common = scales_of(rows, largest, shared=shared_scale)
    of_row = iter(zip(scales, own, strict=True))
    grids = [[_grid(name, row, *next(of_row)) for name, row in line] for line in cells]
    if top is not None:
        # Each row counts as much as the others, whatever its unit.
        shares = [row.inputs / (size or 1.0) for row, size in zip(rows, largest, strict=True)]
        order = order_of(np.concatenate(shares), to_int("top", top, 1))
        grids = [[select(grid, order) for grid in line] for line in grids]
    return Matrix(grids, same_steps, visible(title), legend=legend, scale=common)


def _grid(name: str, row: Row, scale: float, own: bool) -> Grid:
    a = row.of
    grid = a.to_grid()
    full = f" ({own_scale(scale)})" if own and scale else ""
    return grid._replace(
        relevance=row.inputs,
        block_labels=None,
        title=f"{name}{full}".strip(),
        ends=ends_of(row),
        notes=(),
        values=a.input_values,
        dates=_dates(a),
        scale=scale,
    )
