"""Several explanations of one sequence, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lrplstm.checks import check_choice
from lrplstm.heatmap.figure import draw
from lrplstm.heatmap.matrix_figure import draw_matrix
from lrplstm.pictures.parts import Row, rows_of
from lrplstm.pictures.plots import Plots
from lrplstm.pictures.series import check_no_top, is_series, rows_matrix
from lrplstm.pictures.words import rows_picture
from lrplstm.texts import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_comparison"]

_BY, _LAYOUTS = ("method", "class"), ("rows", "columns")


def plot_comparison(
    explanations: Sequence[Any] | Mapping[str, Any],
    ax: Axes | None = None,
    *,
    by: str = "method",
    layout: str = "rows",
    shared_scale: bool = True,
    title: str | None = None,
    legend: bool = True,
    top: int | None = None,
) -> Axes:
    """Draw explanations of one sequence side by side: by several methods, or of several classes.

    Words stand under the same words, and steps under the same steps; there is one legend. Those
    that share out a score have one scale. Relevance in other units, by `sensitivity` for one, has
    a scale of its own, which the picture says.

    Parameters
    ----------
    explanations : sequence of Attribution, or mapping of Attribution by name
        Of the same sequence. Without names they are called by their method, and by the options in
        which they differ.
    ax : matplotlib Axes, optional
        Where to draw. Default: a new figure. Panels of series are its `child_axes`.
    by : {"method", "class"}
        What makes a group, where explanations are of several classes: the other one is compared
        within it.
    layout : {"rows", "columns"}
        Whether groups stand one under another or side by side.
    shared_scale : bool
        Whether all have one scale; else each has its own.
    title : str, optional
        Default: what all explain, where it is the same.
    legend : bool
        Whether there is one.
    top : int, optional
        Of series: only so many variables, those with the largest sums of absolute relevance, over
        all that is compared, sorted by these.

    Returns
    -------
    matplotlib Axes
        That was given, or new.

    Raises
    ------
    TypeError
        If something else than explanations or one Axes is given.
    ValueError
        If there is none, they are of different sequences, `by` or `layout` is another, or
        relevance is not finite.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> import lrplstm
    >>> model, words = lrplstm.load_default(), "a fine film .".split()
    >>> several = [lrplstm.explain(model, words, name) for name in ("lrp", "gi", "sa")]
    >>> ax = lrplstm.plot_comparison(several, Figure().add_subplot())
    >>> ax.get_title(loc="left").split(",")[0]
    'very positive (predicted)'
    """
    check_choice("by", by, _BY)
    check_choice("layout", layout, _LAYOUTS)
    named = _checked(explanations)
    rows = [row for name, a in named for row in rows_of(a, name)]
    groups = _groups(rows, by)
    whole = _title(rows) if title is None else title
    if is_series(rows[0].of):
        cells, row_titles = _cells(groups, layout)
        matrix = rows_matrix(cells, whole, shared_scale=shared_scale, legend=legend, top=top)
        return draw_matrix(replace(matrix, row_titles=row_titles), ax)
    check_no_top(top)
    lists: list[tuple[str, list[tuple[str, Row]]]] = [
        (name, [(_label(row, by), row) for row in listed]) for name, listed in groups
    ]
    if all(len(listed) == 1 for _, listed in lists):
        lists = [(name, [("", row)]) for name, [(_, row)] in lists]
        if layout == "rows":  # their names fit beside them
            lists = [("", [(name, row) for name, [(_, row)] in lists])]
    picture = rows_picture(
        lists,
        whole,
        shared_scale=shared_scale,
        legend=legend,
        scores=by == "method" and any(len(listed) > 1 for _, listed in groups),
        in_columns=layout == "columns",
    )
    return draw(picture, ax)


def _label(row: Row, by: str) -> str:
    return row.subject if by == "method" else row.method


def _groups(rows: Sequence[Row], by: str) -> list[tuple[str, list[Row]]]:
    """Return rows by method or class, in the order in which these first come."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.method if by == "method" else row.subject, []).append(row)
    if by == "class" and len(found) == 1:  # its name is the title
        return [(row.method, [row]) for listed in found.values() for row in listed]
    return [*found.items()]


def _cells(
    groups: Sequence[tuple[str, list[Row]]], layout: str
) -> tuple[list[list[tuple[str, Row]]], list[str]]:
    """Return what stands in rows and columns with its titles, and titles of rows."""
    single = all(len(listed) == 1 for _, listed in groups)
    if layout == "rows":
        return [
            [(name if single else f"{name}: {_other(row, name)}", row)]
            for name, listed in groups
            for row in listed
        ], []
    others = [[_other(row, name) for row in listed] for name, listed in groups]
    if any(names != others[0] for names in others) and not single:
        raise ValueError(
            "layout: expected 'rows', since columns would have different rows: "
            f"{shown(others[0])} and {shown(next(x for x in others if x != others[0]))}"
        )
    lines = zip(*(listed for _, listed in groups), strict=True)
    names = [name for name, _ in groups]
    cells = [
        [(name if n == 0 else "", row) for name, row in zip(names, line, strict=True)]
        for n, line in enumerate(lines)
    ]
    return cells, [] if single else others[0]


def _other(row: Row, name: str) -> str:
    return row.subject if name == row.method else row.method


def _title(rows: Sequence[Row]) -> str:
    """Return what all explain."""
    subjects = {row.of._wording.subject_and_score for row in rows}
    return subjects.pop() if len(subjects) == 1 else ""


# What is compared ---------------------------------------------------------------------------------


class _Named(NamedTuple):
    name: str
    a: Any


def _checked(explanations: Any) -> list[_Named]:
    """Return explanations and what they are called, or raise an error."""
    if isinstance(explanations, Plots):
        raise TypeError(
            "explanations: expected several explanations, got one Attribution; its plot() draws it"
        )
    if not isinstance(explanations, Sequence | Mapping) or isinstance(explanations, str):
        raise TypeError(
            "explanations: expected a sequence or a mapping of Attribution, "
            f"got {type(explanations).__name__}"
        )
    by_name = isinstance(explanations, Mapping)
    of_keys = explanations if isinstance(explanations, Mapping) else dict(enumerate(explanations))
    if not of_keys:
        raise ValueError("explanations: expected at least one, got none")
    keys, several = [*of_keys], [*of_keys.values()]
    for key, a in zip(keys, several, strict=True):
        if not isinstance(a, Plots):
            hint = "; pass one of its items" if isinstance(a, Sequence) else ""
            raise TypeError(
                f"explanations[{key!r}]: expected an Attribution, got {type(a).__name__}{hint}"
            )
        _check_same(key, a, keys[0], several[0])
    names = [str(key) for key in keys] if by_name else _names(several)
    return [*map(_Named, names, several)]


def _check_same(key: Any, a: Any, first_key: Any, first: Any) -> None:
    """Raise an error if two explanations are not of the same sequence."""
    values, expected = a.input_values, first.input_values
    same = a.words == first.words and is_series(a) == is_series(first)
    if same and values is not None and expected is not None:
        same = np.array_equal(values, expected, equal_nan=values.dtype.kind == "f")
    if not same:
        raise ValueError(
            f"explanations[{key!r}]: expected one of the same sequence, at the same level, as "
            f"explanations[{first_key!r}], {shown(' '.join(first.words))}, "
            f"got {shown(' '.join(a.words))}; a batch has a plot() for different ones"
        )


def _names(several: Sequence[Any]) -> list[str]:
    """Return what explanations are called: their method, and the options in which they differ."""
    names = []
    for a in several:
        alike = [b for b in several if b.method == a.method]
        differing = [
            key
            for key, value in a.params.items()
            if any(not _equal(value, b.params.get(key)) for b in alike)
        ]
        options = [f"{key} {_value(a.params[key])}" for key in differing]
        names.append(", ".join([a._wording.method_title, *options]))
    return names


def _equal(one: Any, other: Any) -> bool:
    return bool(np.array_equal(one, other)) if isinstance(one, np.ndarray) else bool(one == other)


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else shown(value)
