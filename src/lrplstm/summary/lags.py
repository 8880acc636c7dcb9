"""Relevance by time lag: how far back a network looks, variable by variable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from lrplstm.checks import check_choice, to_int
from lrplstm.errors import ArgumentError, ArgumentTypeError
from lrplstm.summary.bootstrap import DEFAULT, Bootstrap
from lrplstm.summary.drawing import draw_matrix
from lrplstm.summary.estimates import (
    Estimate,
    estimated,
    frame,
    index_columns,
    mean,
    quotient,
    text_table,
)
from lrplstm.summary.grouping import sequence_groups, variable_groups
from lrplstm.summary.profiles import Cumulative, draw_profiles
from lrplstm.summary.rows import Rows, rows_along
from lrplstm.summary.source import ALL_VARIABLES, read_source
from lrplstm.summary.sums import ABSOLUTE, SIGNED, Cells, Sums, add_up, one_hot
from lrplstm.texts import shown, visible
from lrplstm.weights import Array

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["KINDS", "LagHolding", "LagProfile", "lags"]

KINDS = ("profile", "heatmap")
_MEASURES = ("mean_abs", "mean")

_ROUNDING = 1e-9
"""By so much a cumulative share may fall short of one that is asked for."""


@dataclass(frozen=True, eq=False, repr=False)
class LagProfile:
    """Mean relevance at each of P lags, for G groups of sequences, C classes and V variables.

    Lag 0 is the last step of a sequence. Of several variables there is one more, the last, called
    "all": its absolute relevance is the sum of theirs.

    Attributes
    ----------
    sums : Sums
        What it is made from, and merged by: its bins are lags.
    width : int
        Lags of a bin, which is called by the first.

    Examples
    --------
    >>> import numpy as np
    >>> import lrplstm
    >>> from lrplstm import summary
    >>> lstm = lrplstm.LSTMWeights(np.ones((8, 2)), np.ones((8, 2)), np.zeros(8))
    >>> model = lrplstm.LSTMModel([lstm], feature_names=["rain", "temp"])
    >>> batch = lrplstm.lrp(model, np.ones((4, 3, 2)), target=0)
    >>> profile = summary.lags(batch)
    >>> profile.lags.tolist(), profile.variables
    ([0, 1, 2], ('rain', 'temp', 'all'))
    """

    sums: Sums
    width: int

    @property
    def lags(self) -> Array:
        """The first lag of each bin, (P,)."""
        return np.array(self.sums.bins)

    @property
    def variables(self) -> tuple[str, ...]:
        """What the variables, or groups of them, are called."""
        return self.sums.variables

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
        """Mean absolute relevance at a lag, of the sequences that reach it: (G, P, C, V)."""
        return mean(self.sums, ABSOLUTE)

    @property
    def mean(self) -> Estimate:
        """Mean signed relevance at a lag, of the sequences that reach it: (G, P, C, V)."""
        return mean(self.sums, SIGNED)

    @property
    def cumulative_share(self) -> Estimate:
        """Part of a variable's absolute relevance that is at this lag or a smaller one."""
        sums = self.sums
        return estimated(
            _cumulative(sums.relevance[:, :, ABSOLUTE], 1),
            _cumulative(sums.replicate_relevance[:, :, :, ABSOLUTE], 2),
            sums,
            self._sequences,
        )

    def lag_holding(self, share: float = 0.9) -> LagHolding:
        """Return the smallest lag up to which there is so much of the absolute relevance.

        Parameters
        ----------
        share : float
            More than 0, at most 1.

        Returns
        -------
        LagHolding
            With its interval.

        Examples
        --------
        >>> import numpy as np
        >>> import lrplstm
        >>> from lrplstm import summary
        >>> lstm = lrplstm.LSTMWeights(np.ones((8, 2)), np.ones((8, 2)), np.zeros(8))
        >>> model = lrplstm.LSTMModel([lstm], feature_names=["rain", "temp"])
        >>> batch = lrplstm.lrp(model, np.ones((4, 3, 2)), target=0)
        >>> profile = summary.lags(batch)
        >>> profile.lag_holding(0.5).share
        0.5
        """
        if isinstance(share, bool) or not isinstance(share, Real):
            raise ArgumentTypeError("share", f"expected a number, got {shown(share)}")
        if not 0 < share <= 1:
            raise ArgumentError(
                "share", f"expected a number above 0 and at most 1, got {shown(share)}"
            )
        last = self.lags + self.width - 1.0

        def holding(cumulative: Array, axis: int) -> Array:
            holds = cumulative >= share - _ROUNDING
            return np.where(holds.any(axis=axis), last[holds.argmax(axis=axis)], np.nan)

        sums = self.sums
        value = holding(_cumulative(sums.relevance[:, :, ABSOLUTE], 1), 1)
        replicates = holding(_cumulative(sums.replicate_relevance[:, :, :, ABSOLUTE], 2), 2)
        sequences = self._sequences.max(axis=1)
        estimate = estimated(value, replicates, sums, sequences, interpolated=False)
        return LagHolding(float(share), estimate, sums)

    @property
    def _sequences(self) -> Array:
        """How many reach each lag, (G, P, 1, 1)."""
        return self.sums.sequences[:, :, np.newaxis, np.newaxis]

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
        >>> profile = summary.lags(batch)
        >>> profile.to_columns()["lag"].tolist()
        [0, 0, 0, 1, 1, 1, 2, 2, 2]
        """
        estimates = {
            "mean_abs": self.mean_abs,
            "mean": self.mean,
            "cumulative_share": self.cumulative_share,
        }
        shape = estimates["mean"].value.shape
        columns = index_columns(self.sums, shape, "lag")
        for name, estimate in estimates.items():
            columns |= estimate.columns(name)
        columns["sequences"] = np.broadcast_to(self._sequences, shape)
        return {name: column.ravel() for name, column in columns.items()}

    def to_frame(self) -> pd.DataFrame:
        """Return a tidy table of pandas.

        Returns
        -------
        DataFrame
            A row for each group of sequences, lag, class and variable: ``mean_abs``, ``mean`` and
            ``cumulative_share`` with the ends of their intervals in ``_low`` and ``_high``, and how
            many ``sequences`` reach the lag.

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
        >>> profile = summary.lags(batch)
        >>> len(profile.to_frame())
        9
        """
        return frame(self.to_columns())

    def merge(self, other: LagProfile) -> LagProfile:
        """Return the summary of the sequences of both: what one of all at once would be.

        Parameters
        ----------
        other : LagProfile
            Of other sequences.

        Returns
        -------
        LagProfile
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
        ...     summary.lags(half, bootstrap=summary.Bootstrap(start=n))
        ...     for n, half in [(0, batch[:2]), (2, batch[2:])]
        ... )
        >>> first.merge(second)
        LagProfile(3 lags, 3 variables, 1 groups, 4 sequences)
        """
        if not isinstance(other, LagProfile):
            raise ArgumentTypeError("other", f"expected a LagProfile, got {type(other).__name__}")
        if self.width != other.width:
            raise ArgumentError("other", f"expected width {self.width}, got {other.width}")
        return replace(self, sums=self.sums.merged(other.sums))

    def __add__(self, other: LagProfile) -> LagProfile:
        return self.merge(other)

    def __str__(self) -> str:
        return text_table(self.to_columns())

    def __repr__(self) -> str:
        return (
            f"LagProfile({len(self.lags)} lags, {len(self.variables)} variables, "
            f"{len(self.keys)} groups, {int(self._sequences.max(axis=1).sum())} sequences)"
        )

    def plot(
        self,
        ax: Axes | None = None,
        *,
        kind: str = "profile",
        measure: str = "mean_abs",
        share: float = 0.9,
        select: Mapping[str, Any] | None = None,
    ) -> Axes:
        """Draw it with matplotlib.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw. Default: a new figure.
        kind : {"profile", "heatmap"}
            A line with its interval for each group and class, and the cumulative share dashed on
            an axis at the right; or variables by lags as colours, and where there are several
            groups or classes these by lags.
        measure : {"mean_abs", "mean"}
            What is drawn.
        share : float
            The lag that holds so much is marked.
        select : mapping, optional
            Only what has this value in a column of `to_frame`, such as ``{"variable": "rain"}``.
            Default where there are several groups or classes: the variable "all", if there is one.

        Returns
        -------
        matplotlib Axes
            Where it was drawn.

        Raises
        ------
        ValueError
            If nothing is selected, or of a profile more than seven lines.

        Examples
        --------
        >>> import numpy as np
        >>> import lrplstm
        >>> from lrplstm import summary
        >>> lstm = lrplstm.LSTMWeights(np.ones((8, 2)), np.ones((8, 2)), np.zeros(8))
        >>> model = lrplstm.LSTMModel([lstm], feature_names=["rain", "temp"])
        >>> batch = lrplstm.lrp(model, np.ones((4, 3, 2)), target=0)
        >>> profile = summary.lags(batch)
        >>> ax = profile.plot(select={"variable": "rain"})
        """
        check_choice("kind", kind, KINDS)
        check_choice("measure", measure, _MEASURES)
        estimate: Estimate = getattr(self, measure)
        if kind == "heatmap":
            return self._draw_matrix(ax, estimate, measure, select)
        select = dict(select or {})
        if len(self.variables) > 1:
            select.setdefault("variable", ALL_VARIABLES)
        rows = self._lines(estimate, select)
        title = _title(measure)
        if len(self.variables) > 1:
            title += f" of {_named(select['variable'])}"
        middle = self.lags + (self.width - 1) / 2
        if measure == "mean":
            return draw_profiles(ax, rows, middle, title)
        held = self.lag_holding(share)
        lines = Estimate(*(values[:, np.newaxis] for values in held.estimate))
        cumulative = Cumulative(
            self._lines(self.cumulative_share, select).estimate.value,
            held.share,
            Estimate(*(values[:, 0] for values in self._lines(lines, select).estimate)),
        )
        return draw_profiles(ax, rows, middle, title, cumulative)

    def _lines(self, estimate: Estimate, select: Mapping[str, Any] | None) -> Rows:
        columns = index_columns(self.sums, self._shape, "lag")
        size = estimate.value.shape[1]
        columns = {name: column[:, :size] for name, column in columns.items()}
        return rows_along(estimate, columns, "lag", 1, select)

    @property
    def _shape(self) -> tuple[int, ...]:
        """G, P, C and V."""
        return (*self.sums.sequences.shape, *self.sums.relevance.shape[3:])

    def _draw_matrix(
        self, ax: Axes | None, estimate: Estimate, measure: str, select: Mapping[str, Any] | None
    ) -> Axes:
        """Draw variables by lags, or where there are several groups or classes those by lags."""
        select, title = dict(select or {}), _title(measure)
        rows = self._lines(estimate, select)
        V = len(self.variables)
        if V > 1 and "variable" not in select:
            if len(rows.labels) == V:
                rows = rows.first(V - 1)  # without their sum
            else:
                rows = self._lines(estimate, select | {"variable": ALL_VARIABLES})
                title += " of all variables"
        drawn = draw_matrix(ax, rows.transposed(), title, signed=measure == "mean")
        drawn.set_xlabel("lag: steps before the last")
        return drawn


@dataclass(frozen=True, eq=False, repr=False)
class LagHolding:
    """The smallest lag up to which there is a share of the absolute relevance, with its interval.

    Attributes
    ----------
    share : float
        As asked for.
    estimate : Estimate
        Arrays of shape (G, C, V); NaN where there is no relevance.
    sums : Sums
        Of which it is.

    Examples
    --------
    >>> import numpy as np
    >>> import lrplstm
    >>> from lrplstm import summary
    >>> lstm = lrplstm.LSTMWeights(np.ones((8, 2)), np.ones((8, 2)), np.zeros(8))
    >>> model = lrplstm.LSTMModel([lstm], feature_names=["rain", "temp"])
    >>> batch = lrplstm.lrp(model, np.ones((4, 3, 2)), target=0)
    >>> profile = summary.lags(batch)
    >>> profile.lag_holding(0.9).estimate.value.shape  # groups, classes, variables
    (1, 1, 3)
    """

    share: float
    estimate: Estimate
    sums: Sums

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
        >>> profile = summary.lags(batch)
        >>> profile.lag_holding().to_columns()["variable"].tolist()
        ['rain', 'temp', 'all']
        """
        G, C, V = self.estimate.value.shape
        columns = index_columns(self.sums, (G, 1, C, V), None)
        columns |= self.estimate.columns("lag")
        return {name: column.ravel() for name, column in columns.items()}

    def to_frame(self) -> pd.DataFrame:
        """Return a table of pandas: a row for each group, class and variable, with its ``lag``.

        Returns
        -------
        DataFrame
            The lag, with the ends of its interval in ``lag_low`` and ``lag_high``.

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
        >>> profile = summary.lags(batch)
        >>> profile.lag_holding().to_frame().columns.tolist()
        ['variable', 'lag', 'lag_low', 'lag_high']
        """
        return frame(self.to_columns())

    def __str__(self) -> str:
        return text_table(self.to_columns())

    def __repr__(self) -> str:
        return f"LagHolding(share={self.share})\n{self}"


def _cumulative(relevance: Array, axis: int) -> Array:
    """Return the share of the sum over an axis that is reached at each place of it."""
    return quotient(np.cumsum(relevance, axis), relevance.sum(axis=axis, keepdims=True))


def _named(variable: Any) -> str:
    return "all variables" if variable == ALL_VARIABLES else visible(str(variable))


def _title(measure: str) -> str:
    return "mean absolute relevance" if measure == "mean_abs" else "mean relevance"


def lags(
    attributions: Any,
    *,
    by: Any = None,
    labels: Any = None,
    groups: Mapping[str, Sequence[str | int]] | None = None,
    input: str | None = None,
    width: int = 1,
    bootstrap: Bootstrap = DEFAULT,
) -> LagProfile:
    """Sum up how relevant steps are by their lag: 0 is the last step of a sequence.

    Parameters
    ----------
    attributions : Attributions, Attribution, or sequence of these
        Of series. Memory is that of G * P * C * (V + 1) * 2 numbers in each replicate.
    by : str, array of shape (B,), or mapping of these, optional
        Groups of sequences, as for `variables`.
    labels : array_like of shape (B,), optional
        The true class of each sequence.
    groups : mapping of lists of str or int, optional
        Variables, or their numbers, by the name of a group.
    input : str, optional
        Which of several inputs.
    width : int
        Lags that are taken together, such as 24 of hourly steps.
    bootstrap : Bootstrap
        How intervals are made.

    Returns
    -------
    LagProfile
        Of each variable at each lag.

    Raises
    ------
    TypeError, ValueError
        As `variables`; ValueError if one of several variables is called "all".

    Notes
    -----
    The cumulative share at a lag is the sum of ``abs(relevance)`` at this lag and smaller ones,
    divided by that at all lags. Sequences of different lengths count as they are: a lag that few
    reach has little of the sum. Steps that are padding at the end of a sequence are lags as well:
    give sequences without it.

    Examples
    --------
    >>> import numpy as np
    >>> import lrplstm
    >>> from lrplstm import summary
    >>> rng = np.random.default_rng(0)
    >>> lstm = lrplstm.LSTMWeights(*(rng.normal(0, 0.3, s) for s in [(8, 2), (8, 2), (8,)]))
    >>> model = lrplstm.LSTMModel([lstm], feature_names=["rain", "temp"])
    >>> profile = summary.lags(lrplstm.lrp(model, rng.normal(size=(100, 20, 2))))
    >>> profile.mean_abs.value.shape, profile.variables
    ((1, 20, 1, 3), ('rain', 'temp', 'all'))
    >>> print(profile.lag_holding(0.9))
    variable  lag  lag_low  lag_high
    rain        2        2         3
    temp        4        4         4
    all         3        3         3
    """
    width = to_int("width", width, 1)
    source = read_source(attributions, input)
    names, group = variable_groups(source, groups)
    members = one_hot(group, len(names))
    if len(names) > 1:
        if ALL_VARIABLES in names:
            raise ArgumentError(
                "attributions",
                f"expected no variable called {ALL_VARIABLES!r}, which is all of them; give it to "
                "groups= by another name",
            )
        names += (ALL_VARIABLES,)
        members = np.hstack([members, np.ones((len(members), 1))])
    lengths = np.diff(source.offsets)
    lag = np.repeat(source.offsets[1:] - 1, lengths) - np.arange(source.offsets[-1])
    bins = tuple(range(0, int(lengths.max()), width))
    cells = Cells(bins, lag // width, names, members)
    groups_of_sequences = sequence_groups(source, by, labels)
    return LagProfile(add_up(source, groups_of_sequences, cells, bootstrap), width)
