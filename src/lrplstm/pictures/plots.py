"""What explanations can do: be drawn for papers, and written as LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lrplstm.checks import to_int
from lrplstm.heatmap.content import checked_texts
from lrplstm.heatmap.figure import draw
from lrplstm.heatmap.grid_figure import draw_grid
from lrplstm.heatmap.latex import to_latex
from lrplstm.heatmap.matrix_figure import draw_matrix
from lrplstm.heatmap.waterfall import draw_waterfall
from lrplstm.pictures.series import batch_matrix, check_no_top, is_series, one_grid
from lrplstm.pictures.sums import parts_of
from lrplstm.pictures.words import batch_picture, one_picture
from lrplstm.texts import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Plots", "PlotsOfMany"]

_MOST = 100
"""So many sequences fit into one figure."""


class Plots:
    """Those of `lrplstm.Attribution`."""

    def plot(
        self,
        ax: Axes | None = None,
        *,
        title: str | None = None,
        scale: float | None = None,
        legend: bool = True,
    ) -> Axes:
        """Draw it with matplotlib: words on their colours, or a series with its relevance.

        Lines of words are broken at the width that the axes have whenever they are drawn. Several
        classes stand one under another, with their scores as bars. A series is drawn as by
        `plot_inputs`. Of several inputs the first that has steps is drawn. Letters have
        matplotlib's `font.size`.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw, in letters small enough for all words to fit in. Default: a new pyplot
            figure of the width in matplotlib's `figure.figsize`, as high as it must be.
        title : str, optional
            Default: method, class and score. "" for none.
        scale : float, optional
            Relevance that has the full colour. Default: the largest absolute relevance. One for
            several pictures makes them comparable.
        legend : bool
            Whether the colours are explained; once is enough in a figure.

        Returns
        -------
        matplotlib Axes
            That was given, or new.

        Raises
        ------
        TypeError
            If `ax` is something else, such as several Axes.
        ValueError
            If relevance is not finite, or larger than `scale`.

        Examples
        --------
        >>> from matplotlib.figure import Figure
        >>> import lrplstm
        >>> a = lrplstm.lrp(lrplstm.load_default(), ["fine", "."])
        >>> a.plot(Figure(figsize=(8, 2)).add_subplot()).get_title(loc="left")
        'LRP: positive (predicted), score 2.09'
        """
        if is_series(self):
            return draw_grid(one_grid(self, title=title, scale=scale), ax, legend=legend)
        return draw(one_picture(self, title, scale, legend=legend), ax)

    def plot_inputs(
        self,
        ax: Axes | None = None,
        *,
        variables: Sequence[str] | None = None,
        steps: Sequence[str] | None = None,
        series: bool = True,
        top: int | None = None,
        title: str | None = None,
        scale: float | None = None,
        legend: bool = True,
    ) -> Axes:
        """Draw `input_relevance` with matplotlib: steps along x, variables along y.

        Step t is at x = t and variable d at y = d, so that more can be drawn on the axes. With
        target "all" the classes stand one under another, on one scale. Dates are written as round
        ones.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; the colour bar takes some of its width. Default: a new figure.
        variables : sequence of str of length D, optional
            Names of the input dimensions. Default: `feature_names`, or their numbers.
        steps : sequence of str of length T, optional
            Names of the steps. Default: the tokens, `step_labels`, or numbers.
        series : bool
            Whether the series, `input_values`, is drawn as lines over the relevance; where rows are
            too low for lines, there are none.
        top : int, optional
            Only so many variables, those with the largest sums of absolute relevance, sorted by
            these.
        title : str, optional
            Default: method, class and score. "" for none.
        scale : float, optional
            Relevance that has the full colour. Default: the largest absolute relevance.
        legend : bool
            Whether the colours are explained.

        Returns
        -------
        matplotlib Axes
            That was given, or new.

        Raises
        ------
        TypeError
            If names are one str, or not str.
        ValueError
            If there is no `input_relevance`, it contains infinity or NaN, or there are more or
            fewer names than variables or steps.

        Examples
        --------
        >>> from matplotlib.figure import Figure
        >>> import numpy as np
        >>> import lrplstm
        >>> rng = np.random.default_rng(0)
        >>> lstm = lrplstm.LSTMWeights(*(rng.normal(0, 0.3, s) for s in [(8, 3), (8, 2), (8,)]))
        >>> model = lrplstm.LSTMModel([lstm], head_weight=rng.normal(size=(1, 2)))
        >>> a = lrplstm.lrp(model, rng.normal(size=(20, 3)))
        >>> ax = a.plot_inputs(Figure().add_subplot(), variables=["load", "price", "wind"])
        >>> [label.get_text() for label in ax.get_yticklabels()]
        ['load', 'price', 'wind']
        """
        grid = one_grid(
            self,
            variables=variables,
            steps=steps,
            series=series,
            top=top,
            title=title,
            scale=scale,
        )
        return draw_grid(grid, ax, legend=legend)

    def plot_balance(
        self, ax: Axes | None = None, *, top: int = 12, title: str | None = None
    ) -> Axes:
        """Draw how relevance adds up to the score, as bars that begin where others end.

        Words, or the variables of a series, come first, then initial states and what biases kept,
        and at the bottom the score: `balance` as a picture.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw. Default: a new figure.
        top : int
            So many words or variables have a bar each, those with the most absolute relevance, in
            their own order; all others have one together.
        title : str, optional
            Default: method, class and score. "" for none.

        Returns
        -------
        matplotlib Axes
            That was given, or new.

        Raises
        ------
        ValueError
            If several classes are explained, the method shares no score out, or relevance is not
            finite.

        Examples
        --------
        >>> from matplotlib.figure import Figure
        >>> import lrplstm
        >>> a = lrplstm.lrp(lrplstm.load_default(), ["fine", "."])
        >>> ax = a.plot_balance(Figure().add_subplot())
        >>> [label.get_text() for label in ax.get_yticklabels()]
        ['fine', '.', 'kept by biases and stabilizers', 'score']
        """
        parts, total = parts_of(self, to_int("top", top, 1))
        given: Any = self
        whole = given.title if title is None else title
        return draw_waterfall(parts, total, visible(whole), "relevance", ax)

    def to_latex(
        self, *, title: str | None = None, scale: float | None = None, legend: bool = True
    ) -> str:
        r"""Return the words on their colours as LaTeX, for documents with the package xcolor.

        Of a series these are its steps, each with the sum over its variables. Special characters
        are escaped. Letters that pdfLaTeX lacks, such as Chinese ones, are kept, and a comment says
        that LuaLaTeX or XeLaTeX is needed.

        Parameters
        ----------
        title : str, optional
            Default: method, class and score. "" for none.
        scale : float, optional
            Relevance that has the full colour. Default: the largest absolute relevance.
        legend : bool
            Whether the colours are explained.

        Returns
        -------
        str
            Paragraphs, to be written to a file for ``\input``.

        Raises
        ------
        ValueError
            If relevance is not finite, or larger than `scale`.

        Examples
        --------
        >>> import lrplstm
        >>> a = lrplstm.lrp(lrplstm.load_default(), ["fine", "."])
        >>> a.to_latex().splitlines()[0]
        '% \\usepackage{xcolor}'
        """
        return to_latex(one_picture(self, title, scale, legend=legend))


class PlotsOfMany:
    """Those of `lrplstm.Attributions`."""

    def plot(
        self,
        ax: Axes | None = None,
        *,
        sequences: Sequence[int] | None = None,
        labels: Sequence[str] | None = None,
        shared_scale: bool = True,
        title: str | None = None,
        legend: bool = True,
        top: int | None = None,
    ) -> Axes:
        """Draw sequences one under another with matplotlib, with one legend.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw. Default: a new figure, as high as it must be. Series are drawn on its
            `child_axes`, one each.
        sequences : sequence of int, optional
            Which of them, in this order. Default: all, which are at most 100.
        labels : sequence of str, optional
            What each sequence drawn is called. Default: the explained class, with its score.
        shared_scale : bool
            Whether all have one scale; else each has its own.
        title : str, optional
            Default: the method. "" for none.
        legend : bool
            Whether the colours are explained.
        top : int, optional
            Of series: only so many variables, those with the largest sums of absolute relevance,
            over all that is drawn, sorted by these.

        Returns
        -------
        matplotlib Axes
            That was given, or new.

        Raises
        ------
        TypeError
            If `ax` is something else, such as several Axes, or labels are not str.
        IndexError
            If there is no such sequence.
        ValueError
            If there are too many sequences, more or fewer labels, or relevance is not finite.

        Examples
        --------
        >>> from matplotlib.figure import Figure
        >>> import lrplstm
        >>> batch = lrplstm.lrp(lrplstm.load_default(), [["fine", "."], ["dull", "."]])
        >>> batch.plot(Figure().add_subplot()).get_title(loc="left")
        'LRP: the predicted class, and its score'
        """
        several, labels = self._drawn(sequences, labels)
        title = self._plot_title(several) if title is None else title
        if is_series(several[0]):
            matrix = batch_matrix(several, labels, title, shared_scale=shared_scale, legend=legend)
            return draw_matrix(matrix, ax)
        check_no_top(top)
        picture = batch_picture(several, labels, title, shared_scale=shared_scale, legend=legend)
        return draw(picture, ax)

    def to_latex(
        self,
        *,
        sequences: Sequence[int] | None = None,
        labels: Sequence[str] | None = None,
        shared_scale: bool = True,
        title: str | None = None,
        legend: bool = True,
    ) -> str:
        r"""Return sentences on their colours as LaTeX, a paragraph each.

        Parameters
        ----------
        sequences : sequence of int, optional
            Which of them, in this order. Default: all, which are at most 100.
        labels : sequence of str, optional
            What each sequence written is called. Default: the explained class, with its score.
        shared_scale : bool
            Whether all have one scale; else each has its own.
        title : str, optional
            Default: the method. "" for none.
        legend : bool
            Whether the colours are explained.

        Returns
        -------
        str
            As of `Attribution.to_latex`.

        Raises
        ------
        TypeError, IndexError, ValueError
            As `plot`.

        Examples
        --------
        >>> import lrplstm
        >>> batch = lrplstm.lrp(lrplstm.load_default(), [["fine", "."], ["dull", "."]])
        >>> batch.to_latex().count(r"\colorbox")
        4
        """
        several, labels = self._drawn(sequences, labels)
        title = self._plot_title(several) if title is None else title
        picture = batch_picture(several, labels, title, shared_scale=shared_scale, legend=legend)
        return to_latex(picture)

    def _drawn(
        self, sequences: Sequence[int] | None, labels: Sequence[str] | None
    ) -> tuple[list[Any], list[str] | None]:
        """Return the explanations that are drawn, and their labels."""
        batch: Any = self
        count = len(batch) if sequences is None else len(sequences)
        if not 0 < count <= _MOST:
            raise ValueError(
                f"sequences: expected from 1 to {_MOST} in one figure, got {count:,}; "
                f"choose some, such as sequences=range({min(20, max(1, len(batch)))})"
            )
        chosen = range(count) if sequences is None else sequences
        several = [batch[to_int("sequences", b, -len(batch))] for b in chosen]
        if labels is None:
            return several, None
        labels = checked_texts("labels", labels)
        if len(labels) != count:
            raise ValueError(f"labels: expected {count}, one for each sequence, got {len(labels)}")
        return several, labels

    def _plot_title(self, several: Sequence[Any]) -> str:
        """Return the method, and what all have in common."""
        first = several[0]._wording
        subjects = {a._wording.subject for a in several}
        subject = first.subject if len(subjects) == 1 else "a class, and its score"
        if len(subjects) > 1 and all(
            isinstance(a.target, int) and a.target == a.predicted for a in several
        ):
            subject = f"the predicted {first.outputs.kind}, and its score"
        return f"{first.method_title}: {subject}"
