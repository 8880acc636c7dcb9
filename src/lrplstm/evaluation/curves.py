"""Deletion curves, of sequences that are all known or of sums over many: areas and pictures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from lrplstm.checks import check_choice
from lrplstm.evaluation.drawing import axes_or_new, draw_lines, finish
from lrplstm.plain import plain
from lrplstm.weights import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Curves", "SummedCurves"]


class Means(Protocol):
    """What curves are drawn from."""

    methods: tuple[str, ...]
    how: str
    measure: str
    min_length: int
    regression: bool

    @property
    def deletions(self) -> int: ...
    @property
    def num_correct(self) -> int: ...
    @property
    def num_wrong(self) -> int: ...
    @property
    def num_sequences(self) -> int: ...
    @property
    def curve_correct(self) -> Array: ...
    @property
    def curve_wrong(self) -> Array: ...
    @property
    def curve(self) -> Array: ...


class Curves(Means, Protocol):
    """What is said of mean curves: their areas, a picture, and JSON."""

    @property
    def area(self) -> Array:
        """Mean fall of all, (M,)."""
        return (self.curve[:, :1] - self.curve).mean(axis=1)

    @property
    def area_correct(self) -> Array:
        """Mean fall of what was right at first, (M,)."""
        curve = self.curve_correct
        return (curve[:, :1] - curve).mean(axis=1)

    @property
    def area_wrong(self) -> Array:
        """Mean rise of what was wrong at first, (M,)."""
        curve = self.curve_wrong
        return (curve - curve[:, :1]).mean(axis=1)

    def plot(self, ax: Axes | None = None, *, group: str | None = None) -> Axes:
        """Draw the curves of all methods.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw. Default: a new figure.
        group : {"correct", "wrong"}, or of a regression {"all"}
            Sequences that were right at first, whose most relevant words go first, or wrong ones,
            whose least relevant words do. Default: the former, or all of a regression.

        Returns
        -------
        matplotlib Axes
            Where it was drawn.

        Raises
        ------
        ValueError
            If there is no such group.

        Examples
        --------
        >>> import lrplstm
        >>> from lrplstm import evaluation
        >>> model, sentences = lrplstm.load_default(), lrplstm.sample_sentences()[:8]
        >>> words = [sentence.tokens for sentence in sentences]
        >>> curves = evaluation.deletion_curve(
        ...     model, words, [sentence.target for sentence in sentences], methods=["lrp"]
        ... )
        >>> ax = curves.plot()
        """
        groups = {
            "correct": (self.curve_correct, self.area_correct),
            "wrong": (self.curve_wrong, self.area_wrong),
        }
        if self.regression:
            groups = {"all": (self.curve, self.area)}
        group = next(iter(groups)) if group is None else group
        check_choice("group", group, [*groups])
        curve, areas = groups[group]
        wrong = group == "wrong"
        ax = axes_or_new(ax)
        labels = [f"{name} ({area:.3f})" for name, area in zip(self.methods, areas, strict=True)]
        draw_lines(ax, np.arange(self.deletions + 1), curve, labels)
        ax.locator_params(axis="x", integer=True)
        if self.measure == "accuracy":
            ax.yaxis.set_major_formatter("{x:.0%}")
        finish(
            ax,
            title=self._title(group),
            x=f"{'steps' if self.regression else 'words'} deleted, "
            f"{'least' if wrong else 'most'} relevant first",
            y=self._measured,
            legend=f"method (area {'under' if wrong else 'over'} the curve)",
        )
        return ax

    def _title(self, group: str) -> str:
        if group != "all":
            right = group == "correct"
            count = self.num_correct if right else self.num_wrong
            return f"{count:,} sequences that were {'right' if right else 'wrong'} at first"
        outputs = (self.num_correct + self.num_wrong) // self.num_sequences
        several = f", {outputs:,} outputs" if outputs > 1 else ""
        return f"{self.num_sequences:,} sequences{several}"

    @property
    def _measured(self) -> str:
        if self.measure == "accuracy":
            return "accuracy"
        return f"mean score of the {'explained output' if self.regression else 'true class'}"

    def to_dict(self) -> dict[str, Any]:
        """Return curves and areas as lists and numbers, ready for JSON; NaN becomes None.

        Returns
        -------
        dict
            Of lists, numbers and strings.

        Examples
        --------
        >>> import lrplstm
        >>> from lrplstm import evaluation
        >>> model, sentences = lrplstm.load_default(), lrplstm.sample_sentences()[:8]
        >>> words = [sentence.tokens for sentence in sentences]
        >>> curves = evaluation.deletion_curve(
        ...     model, words, [sentence.target for sentence in sentences], methods=["lrp"]
        ... )
        >>> curves.to_dict()["methods"]
        ['lrp']
        """
        names = ["methods", "how", "measure", "min_length", "deletions"]
        if self.regression:
            names += ["curve", "area"]
        else:
            names += [
                "num_correct",
                "num_wrong",
                "curve_correct",
                "curve_wrong",
                "area_correct",
                "area_wrong",
            ]
        return {name: plain(getattr(self, name)) for name in names}


@dataclass(frozen=True, eq=False)
class SummedCurves(Curves):
    """Deletion curves of many sequences, of which only sums are kept: those of parts add up.

    Attributes
    ----------
    methods : tuple of str of length M
    sums_correct, sums_wrong : ndarray of shape (M, K + 1)
        Of `DeletionCurves.values`, over sequences that were right, or wrong, at first.
    counts : tuple of int
        How many were right, and how many wrong, each once for every output that was explained.
    sequences : int
        How many sequences these are.
    how, measure : str
    min_length : int
    regression : bool

    Examples
    --------
    >>> import lrplstm
    >>> from lrplstm import evaluation
    >>> model, sentences = lrplstm.load_default(), lrplstm.sample_sentences()[:80]
    >>> parts = []
    >>> for part in (sentences[:40], sentences[40:]):
    ...     words, labels = [s.tokens for s in part], [s.target for s in part]
    ...     curves = evaluation.deletion_curve(model, words, labels, methods=["lrp"])
    ...     parts.append(curves.summed())
    >>> (parts[0] + parts[1]).curve_correct.shape
    (1, 6)
    """

    methods: tuple[str, ...]
    sums_correct: Array
    sums_wrong: Array
    counts: tuple[int, int]
    sequences: int
    how: str
    measure: str
    min_length: int
    regression: bool = False

    def __add__(self, other: SummedCurves) -> SummedCurves:
        if not isinstance(other, SummedCurves):
            return NotImplemented
        for name in ("methods", "how", "measure", "min_length", "regression", "deletions"):
            if getattr(self, name) != getattr(other, name):
                raise ValueError(
                    f"other: expected {name} {getattr(self, name)!r} as of the first, got "
                    f"{getattr(other, name)!r}"
                )
        return replace(
            self,
            sums_correct=self.sums_correct + other.sums_correct,
            sums_wrong=self.sums_wrong + other.sums_wrong,
            counts=(self.num_correct + other.num_correct, self.num_wrong + other.num_wrong),
            sequences=self.sequences + other.sequences,
        )

    @property
    def num_correct(self) -> int:
        """Number of sequences that were right before any deletion."""
        return self.counts[0]

    @property
    def num_wrong(self) -> int:
        """Number of sequences that were wrong before any deletion."""
        return self.counts[1]

    @property
    def num_sequences(self) -> int:
        """Number of sequences that were long enough."""
        return self.sequences

    @property
    def deletions(self) -> int:
        """Number K of deletions."""
        return int(self.sums_correct.shape[1]) - 1

    @property
    def curve_correct(self) -> Array:
        """Mean of what was right at first, (M, K + 1)."""
        return _quotient(self.sums_correct, self.num_correct)

    @property
    def curve_wrong(self) -> Array:
        """Mean of what was wrong at first, (M, K + 1)."""
        return _quotient(self.sums_wrong, self.num_wrong)

    @property
    def curve(self) -> Array:
        """Mean of all, (M, K + 1)."""
        return _quotient(self.sums_correct + self.sums_wrong, self.num_correct + self.num_wrong)


def _quotient(sums: Array, count: int) -> Array:
    return sums / count if count else np.full(sums.shape, np.nan)
