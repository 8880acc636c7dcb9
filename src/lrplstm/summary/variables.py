"""Relevance of each variable, and of groups of steps, over many sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lrplstm.checks import check_choice, to_int
from lrplstm.errors import ArgumentError, ArgumentTypeError
from lrplstm.summary.bootstrap import DEFAULT, Bootstrap
from lrplstm.summary.drawing import Dots, draw_bars, draw_beeswarm, draw_matrix
from lrplstm.summary.estimates import (
    Estimate,
    estimated,
    frame,
    index_columns,
    mean,
    quotient,
    text_table,
)
from lrplstm.summary.grouping import sequence_groups, step_groups, variable_groups
from lrplstm.summary.rows import Rows, rows_along, selected
from lrplstm.summary.sample import Sample, draw_sample
from lrplstm.summary.source import read_source
from lrplstm.summary.sums import ABSOLUTE, SIGNED, Cells, Sums, add_up, one_hot
from lrplstm.texts import visible
from lrplstm.weights import Array

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["KINDS", "MEASURES", "MeanRelevance", "steps", "variables"]

KINDS = ("bar", "beeswarm", "heatmap")
MEASURES = ("mean_abs", "mean", "share")

_TITLES = {
    "mean_abs": "mean absolute relevance",
    "mean": "mean relevance",
    "share": "share of absolute relevance",
}

_SAMPLE = 500


@dataclass(frozen=True, eq=False, repr=False)
class MeanRelevance:
    """Mean relevance of V variables at P groups of steps, for G groups of sequences and C classes.

    Attributes
    ----------
    sums : Sums
        What it is made from, and merged by.
    step_column : str or None
        What the grouping of steps is called; None where steps are not grouped.
    sample : Sample
        Of sequences, for the beeswarm.

    Examples
    --------
    >>> import lrplstm
    >>> from lrplstm import summary
    >>> model = lrplstm.load_default()
    >>> batch = [sentence.tokens for sentence in lrplstm.sample_sentences()]
    >>> found = summary.steps(lrplstm.lrp(model, batch), {"negation": ["not", "n't", "never"]})
    >>> found.variables, found.step_groups
    (('all',), ('negation', 'other'))
    >>> bool(found.mean_abs.value[0, 0] > found.mean_abs.value[0, 1])
    True
    """

    sums: Sums
    step_column: str | None
    sample: Sample

    @property
    def variables(self) -> tuple[str, ...]:
        """What the variables, or groups of them, are called."""
        return self.sums.variables

    @property
    def step_groups(self) -> tuple[Any, ...] | None:
        """What groups of steps are called."""
        return None if self.step_column is None else self.sums.bins

    @property
    def keys(self) -> tuple[tuple[Any, ...], ...]:
        """What the G groups of sequences are, by `by` and `labels`."""
        return self.sums.keys

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The classes that were explained each by itself."""
        return self.sums.classes

    @property
    def mean_abs(self) -> Estimate:
        """Mean absolute relevance of a step: arrays of shape (G, P, C, V)."""
        return mean(self.sums, ABSOLUTE)

    @property
    def mean(self) -> Estimate:
        """Mean signed relevance of a step: arrays of shape (G, P, C, V)."""
        return mean(self.sums, SIGNED)

    @property
    def share(self) -> Estimate:
        """Part of all absolute relevance of a group and class: arrays of shape (G, P, C, V)."""
        sums = self.sums

        def shares(relevance: Array) -> Array:
            total = relevance.sum(axis=(-1, -3), keepdims=True)
            return quotient(relevance, total)

        sequences = sums.sequences[:, :, np.newaxis, np.newaxis]
        return estimated(
            shares(sums.relevance[:, :, ABSOLUTE]),
            shares(sums.replicate_relevance[:, :, :, ABSOLUTE]),
            sums,
            sequences,
        )

    def to_columns(self) -> dict[str, Array]:
        """Return the columns of `to_frame` as arrays.

        Returns
        -------
        dict of ndarray by str
            One number a row of the table.

        Examples
        --------
        >>> import numpy as np
        >>> import lrplstm
        >>> from lrplstm import summary
        >>> lstm = lrplstm.LSTMWeights(np.ones((8, 2)), np.ones((8, 2)), np.zeros(8))
        >>> model = lrplstm.LSTMModel([lstm], feature_names=["rain", "temp"])
        >>> batch = lrplstm.lrp(model, np.ones((4, 3, 2)), target=0)
        >>> found = summary.variables(batch)
        >>> found.to_columns()["variable"].tolist()
        ['rain', 'temp']
        """
        estimates = {"mean_abs": self.mean_abs, "mean": self.mean, "share": self.share}
        shape = estimates["mean"].value.shape
        columns = index_columns(self.sums, shape, self.step_column)
        for name, estimate in estimates.items():
            columns |= estimate.columns(name)
        for name, counts in (("steps", self.sums.steps), ("sequences", self.sums.sequences)):
            columns[name] = np.broadcast_to(
                counts[:, :, np.newaxis, np.newaxis].astype(np.int64), shape
            )
        return {name: column.ravel() for name, column in columns.items()}

    def to_frame(self) -> pd.DataFrame:
        """Return a tidy table of pandas.

        Returns
        -------
        DataFrame
            A row for each group of sequences and of steps, class, and variable: ``mean_abs``,
            ``mean`` and ``share`` with the ends of their intervals in ``_low`` and ``_high``, and
            the numbers of ``steps`` and ``sequences`` behind them.

        Raises
        ------
        ImportError
            Without pandas.

        Examples
        --------
        >>> import numpy as np
        >>> import lrplstm
        >>> from lrplstm import summary
        >>> lstm = lrplstm.LSTMWeights(np.ones((8, 2)), np.ones((8, 2)), np.zeros(8))
        >>> model = lrplstm.LSTMModel([lstm], feature_names=["rain", "temp"])
        >>> batch = lrplstm.lrp(model, np.ones((4, 3, 2)), target=0)
        >>> found = summary.variables(batch)
        >>> found.to_frame()["sequences"].tolist()
        [4, 4]
        """
        return frame(self.to_columns())

    def merge(self, other: MeanRelevance) -> MeanRelevance:
        """Return the summary of the sequences of both: what one of all at once would be.

        Parameters
        ----------
        other : MeanRelevance
            Of other sequences.

        Returns
        -------
        MeanRelevance
            As that of all sequences at once.

        Raises
        ------
        TypeError
            If it is something else.
        ValueError
            If both are of some sequence (see `Bootstrap`), or they were made in another way.

        Examples
        --------
        >>> import numpy as np
        >>> import lrplstm
        >>> from lrplstm import summary
        >>> lstm = lrplstm.LSTMWeights(np.ones((8, 2)), np.ones((8, 2)), np.zeros(8))
        >>> model = lrplstm.LSTMModel([lstm], feature_names=["rain", "temp"])
        >>> batch = lrplstm.lrp(model, np.ones((4, 3, 2)), target=0)
        >>> first, second = (
        ...     summary.variables(half, bootstrap=summary.Bootstrap(start=n))
        ...     for n, half in [(0, batch[:2]), (2, batch[2:])]
        ... )
        >>> first.merge(second)
        MeanRelevance(2 variables, 1 groups, 4 sequences)
        """
        if not isinstance(other, MeanRelevance):
            raise ArgumentTypeError(
                "other", f"expected a MeanRelevance, got {type(other).__name__}"
            )
        if self.step_column != other.step_column:
            raise ArgumentError(
                "other", f"expected one by {self.step_column}, got one by {other.step_column}"
            )
        return replace(
            self, sums=self.sums.merged(other.sums), sample=self.sample.merged(other.sample)
        )

    def __add__(self, other: MeanRelevance) -> MeanRelevance:
        return self.merge(other)

    def __str__(self) -> str:
        return text_table(self.to_columns())

    def __repr__(self) -> str:
        return (
            f"MeanRelevance({len(self.variables)} variables, {len(self.keys)} groups, "
            f"{int(self.sums.sequences.max(axis=1).sum())} sequences)"
        )

    def plot(
        self,
        ax: Axes | None = None,
        *,
        kind: str = "bar",
        measure: str = "mean_abs",
        top: int = 20,
        select: Mapping[str, Any] | None = None,
    ) -> Axes:
        """Draw it with matplotlib.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw. Default: a new figure.
        kind : {"bar", "beeswarm", "heatmap"}
            Bars with intervals; a dot for each sequence of a sample, at the relevance of the
            variable summed over the steps, coloured by what the variable was, on average, where
            that is known; or variables by groups of steps, or of sequences, as colours.
        measure : {"mean_abs", "mean", "share"}
            What bars and colours are.
        top : int
            How many variables at most: those of the largest mean absolute relevance.
        select : mapping, optional
            Only what has this value in a column of `to_frame`, such as ``{"class": "positive"}``.

        Returns
        -------
        matplotlib Axes
            Where it was drawn.

        Raises
        ------
        ValueError
            If nothing is selected, or there are several classes and none is selected for a
            beeswarm.

        Examples
        --------
        >>> import numpy as np
        >>> import lrplstm
        >>> from lrplstm import summary
        >>> lstm = lrplstm.LSTMWeights(np.ones((8, 2)), np.ones((8, 2)), np.zeros(8))
        >>> model = lrplstm.LSTMModel([lstm], feature_names=["rain", "temp"])
        >>> batch = lrplstm.lrp(model, np.ones((4, 3, 2)), target=0)
        >>> found = summary.variables(batch)
        >>> ax = found.plot(measure="share")
        """
        check_choice("kind", kind, KINDS)
        check_choice("measure", measure, MEASURES)
        top = to_int("top", top, 1)
        if kind == "beeswarm":
            dots = self._dots(select, top)
            title = f"relevance in {len(dots.groups):,} sequences"
            return draw_beeswarm(ax, dots, title)
        rows = self._rows(getattr(self, measure), select)
        if self._items != self.step_column:  # steps keep their order
            importance = np.nan_to_num(self._rows(self.mean_abs, select).estimate.value).max(axis=0)
            rows = rows.take(np.argsort(-importance, kind="stable")[:top])
        title = _TITLES[measure]
        if len(rows.items) < len(self.variables):
            title += f", {len(rows.items)} of {len(self.variables)} variables"
        draw = draw_bars if kind == "bar" else draw_matrix
        return draw(ax, rows, title, signed=measure == "mean")

    @property
    def _items(self) -> str:
        """The column of what bars are of: variables, or groups of steps of the only one."""
        by_steps = self.step_column is not None and len(self.variables) == 1
        return str(self.step_column) if by_steps else "variable"

    @property
    def bar_rows(self) -> int:
        """How many bars each item has: one for each group, class and, if not items, steps."""
        G, P, _, C, V = self.sums.relevance.shape
        return G * P * C * V // len(self.sums.bins if self._items != "variable" else self.variables)

    def _rows(self, estimate: Estimate, select: Mapping[str, Any] | None) -> Rows:
        columns = index_columns(self.sums, estimate.value.shape, self.step_column)
        axis = 3 if self._items == "variable" else 1
        return rows_along(estimate, columns, self._items, axis, select)

    def _dots(self, select: Mapping[str, Any] | None, top: int) -> Dots:
        """Return the sequences of the sample, of one class, at what variables have of relevance."""
        sample, select = self.sample, dict(select or {})
        classes = self.classes or ("",)
        row = 0
        if len(classes) > 1 or "class" in select:
            found = selected({"class": np.array(classes)}, {"class": select.pop("class", None)})
            row = int(found[0])
        columns = {
            name: np.array([key[n] for key in sample.keys], object)
            for n, name in enumerate(self.sums.columns)
        }
        kept = selected(columns, select) if columns or select else np.arange(len(sample.keys))
        labels = [", ".join(map(str, sample.keys[n])) for n in kept.tolist()]
        relevance = sample.relevance[kept, row]
        order = np.argsort(-np.abs(relevance).mean(axis=0), kind="stable")[:top]
        values = None if sample.values is None else sample.values[kept][:, order]
        variables = [visible(self.variables[n]) for n in order.tolist()]
        return Dots(variables, labels, relevance[:, order], values)


def variables(
    attributions: Any,
    *,
    by: Any = None,
    labels: Any = None,
    groups: Mapping[str, Sequence[str | int]] | None = None,
    input: str | None = None,
    sample: int = 500,
    bootstrap: Bootstrap = DEFAULT,
) -> MeanRelevance:
    """Sum up which variables are relevant, over many sequences.

    Parameters
    ----------
    attributions : Attributions, Attribution, or sequence of these
        With target "all" there is a row for each class; otherwise what was explained of each
        sequence is summed up together, and by="target" tells classes apart.
    by : str, array_like of shape (B,), or mapping of these by str, optional
        Groups of sequences: a name in `sequence_labels` such as a basin's, "target", "predicted",
        or a value for each sequence; or several such columns by name.
    labels : array_like of shape (B,), optional
        The true class of each sequence, by number or name: what is predicted rightly and wrongly is
        told apart, in the column "prediction".
    groups : mapping of lists of str or int, optional
        Variables, or their numbers, by the name of a group. The absolute relevance of a group is
        the sum of that of its variables; what is in no group is called "other".
    input : str, optional
        Which of several inputs. Default: the one that steps are of.
    sample : int
        Of so many sequences at most a beeswarm is drawn.
    bootstrap : Bootstrap
        How intervals are made.

    Returns
    -------
    MeanRelevance
        Of each variable, over all steps.

    Raises
    ------
    TypeError
        If attributions are something else.
    ValueError
        If relevance is not finite, columns have more or fewer values than there are sequences,
        there is no such variable, or one is in two groups.

    Notes
    -----
    Mean absolute relevance is the sum of ``abs(relevance)`` over all steps of all sequences divided
    by the number of steps. It is what global importance is of SHAP values (Lundberg et al. 2020,
    doi 10.1038/s42256-019-0138-9). Intervals: see `Bootstrap`.

    Examples
    --------
    >>> import numpy as np
    >>> import lrplstm
    >>> from lrplstm import summary
    >>> rng = np.random.default_rng(0)
    >>> lstm = lrplstm.LSTMWeights(*(rng.normal(0, 0.5, s) for s in [(8, 2), (8, 2), (8,)]))
    >>> model = lrplstm.LSTMModel([lstm], feature_names=["rain", "temp"])
    >>> batch = lrplstm.lrp(model, rng.normal([5, 0.1], 1, size=(100, 20, 2)))
    >>> found = summary.variables(batch)
    >>> found.variables, bool(found.share.low[0, 0, 0, 0] > 0.5)
    (('rain', 'temp'), True)
    """
    source = read_source(attributions, input)
    names, group = variable_groups(source, groups)
    of_sequences = sequence_groups(source, by, labels)
    cells = Cells(("all",), None, names, one_hot(group, len(names)))
    return MeanRelevance(
        add_up(source, of_sequences, cells, bootstrap),
        None,
        draw_sample(source, of_sequences, cells.members, bootstrap, to_int("sample", sample, 1)),
    )


def steps(
    attributions: Any,
    grouping: Any,
    *,
    by: Any = None,
    labels: Any = None,
    groups: Mapping[str, Sequence[str | int]] | None = None,
    bootstrap: Bootstrap = DEFAULT,
) -> MeanRelevance:
    """Sum up how relevant groups of steps are: seasons, words of a list, values of a column.

    Parameters
    ----------
    attributions : Attributions, Attribution, or sequence of these
        Of sequences whose steps have dates, words, or a column of their own.
    grouping : str, callable, mapping of lists of str, or array of shape (steps,)
        For steps with dates "year", "season", "month", "weekday" (1: Monday) or "hour"; a function
        of one label of a step, of dates as `datetime`; lists of words by the name of each, others
        being "other"; or a column: an array of shape (steps,), of all sequences one after the
        other, or a list of one array for each sequence.
    by : str, array of shape (B,), or mapping of these, optional
        Groups of sequences, as for `variables`.
    labels : array_like of shape (B,), optional
        The true class of each sequence.
    groups : mapping of lists of str or int, optional
        Variables, or their numbers, by the name of a group.
    bootstrap : Bootstrap
        How intervals are made.

    Returns
    -------
    MeanRelevance
        Of each variable at each group of steps.

    Raises
    ------
    TypeError, ValueError
        As `variables`; ValueError if steps have no dates or words, or two lists share a word.

    Examples
    --------
    >>> import lrplstm
    >>> from lrplstm import summary
    >>> model = lrplstm.load_default()
    >>> batch = [sentence.tokens for sentence in lrplstm.sample_sentences()]
    >>> found = summary.steps(lrplstm.lrp(model, batch), {"negation": ["not", "n't", "never"]})
    >>> found.step_groups, found.sums.steps.astype(int).tolist()
    (('negation', 'other'), [[50, 3278]])
    """
    source = read_source(attributions)
    names, group = variable_groups(source, groups)
    of_sequences = sequence_groups(source, by, labels)
    column, of_steps = step_groups(source, grouping)
    cells = Cells(of_steps.labels, of_steps.codes, names, one_hot(group, len(names)))
    return MeanRelevance(
        add_up(source, of_sequences, cells, bootstrap),
        column,
        draw_sample(source, of_sequences, cells.members, bootstrap, _SAMPLE),
    )
