"""What a method returns for one sequence: `Attribution`."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from lrplstm import heatmap
from lrplstm.balance import Balance
from lrplstm.exports.ways_out import WaysOut
from lrplstm.heatmap.content import checked_texts, signed
from lrplstm.method_table import TABLE
from lrplstm.outputs import Outputs
from lrplstm.pictures.plots import Plots
from lrplstm.report.content import Given
from lrplstm.report.notebook import output
from lrplstm.report.page import write
from lrplstm.sequences import NO_NAMES, Named, Names, sum_steps
from lrplstm.weights import Array
from lrplstm.wording import Wording

__all__ = ["Attribution"]

_MOST_LETTERS = 60
"""An array is written out in so many letters, not in more."""


@dataclass(frozen=True, eq=False, repr=False)
class Attribution(Named, WaysOut, Plots):
    """Relevance of each step of one sequence, and what it was computed from.

    With target "all" there is a leading axis of classes, C, wherever it says so.

    Attributes
    ----------
    tokens : list of str, or None
        None where the inputs were not tokens or ids of a vocabulary.
    unknown : ndarray of bool of shape (T,)
        True where the vocabulary lacks the token, or the unknown token itself stands. All those
        share one vector.
    scores : ndarray of shape (C,), or with pooling "none" (T, C)
        Scores (logits) of the classes; NaN at steps that are padding.
    predicted : int, or with pooling "none" ndarray of shape (T,)
        The class with the highest score; where one score tells two classes apart, 1 if it is above
        0, else 0. None for a regression; -1 at steps that are padding.
    target : int, ndarray of shape (C,), "all" or None
        What was explained: a class, weighted scores, or every class. None: hidden relevance that
        the caller gave. With pooling "none": (step, class), a class of every step, an int for each
        step, ndarray of shape (T,), or weights of shape (T, C). (step, None): every output there.
    token_relevance : ndarray of shape (T,) or (C, T)
        Relevance of each step.
    input_relevance : ndarray of shape (T, D) or (C, T, D), or None
        Relevance of each input dimension, at level "input".
    initial_relevance : float or ndarray of shape (C,)
        Relevance that ended on the initial states of all layers and directions.
    delta : float or ndarray of shape (C,)
        Started relevance (the explained score, or the sum of the hidden relevance given) minus the
        sum of `token_relevance`, `initial_relevance` and all `other_relevance`. For LRP: what
        biases and stabilizers kept. For gradients, which do not hand a score down, it is the same
        difference.
    method : str
        Name of the method, one of `lrplstm.METHODS`.
    params : dict
        Its other arguments: ``lrplstm.explain(model, inputs, a.method, a.target, **a.params)``
        makes the same again.
    class_names : tuple of str, or None
    task : {"classification", "regression"}
        The model's.
    input_name : str
        Which of several inputs steps and tokens are of: the first that has steps.
    other_relevance : dict of ndarray by str
        Relevance of every other input: of each of its steps, (n,), at level "input" (n, D); of one
        that is a row a number, at level "input" (D,); with target "all" with classes before that.
    names : Names
        What is seen as `feature_names`, `step_labels`, `input_values`, `sequence_labels` and
        `text`.
    other_feature_names : dict of tuple of str by str
        What the variables of every other input are called, of those that have names.

    Examples
    --------
    >>> import lrplstm
    >>> a = lrplstm.lrp(lrplstm.load_default(), "not a good film .".split())
    >>> a.tokens[int(a.token_relevance.argmax())]
    'not'
    """

    tokens: list[str] | None
    unknown: Array
    scores: Array
    predicted: int | Array | None
    target: int | tuple[int, int | None] | Array | str | None
    token_relevance: Array
    input_relevance: Array | None
    initial_relevance: Any
    delta: Any
    method: str
    params: dict[str, Any]
    class_names: tuple[str, ...] | None = None
    task: str = "classification"
    input_name: str = "inputs"
    other_relevance: dict[str, Array] = field(default_factory=dict)
    names: Names = NO_NAMES
    other_feature_names: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.unknown)

    def __repr__(self) -> str:
        return (
            f"Attribution(method={self.method!r}, target={_short(self.target)}, "
            f"predicted={_short(self.predicted)}, {len(self)} steps)"
        )

    @property
    def relevance_of(self) -> dict[str, Array]:
        """Relevance of each input by its name, that of each number where it is known."""
        first = self.token_relevance if self.input_relevance is None else self.input_relevance
        return {self.input_name: first} | self.other_relevance

    @property
    def text(self) -> str | None:
        """The text that the tokens were made from, if it was given as one."""
        return self.names.text

    @property
    def outputs(self) -> Outputs:
        """What the scores mean."""
        return Outputs(self.scores.shape[-1], self.class_names, self.task)

    def class_name(self, index: int) -> str:
        """Return the name of a class, or its number where classes have no names.

        Parameters
        ----------
        index : int
            Of the class.

        Returns
        -------
        str
            As in `class_names`.

        Examples
        --------
        >>> import lrplstm
        >>> a = lrplstm.lrp(lrplstm.load_default(), ["fine", "."])
        >>> a.class_name(4)
        'very positive'
        """
        return self.outputs.name(index)

    @property
    def words(self) -> list[str]:
        """The tokens, or else the labels of the steps, or "t=0", "t=1", ... without either."""
        if self.tokens is not None:
            return self.tokens
        if self.names.steps is not None:
            return self.names.steps.texts()
        return [f"t={t}" for t in range(len(self))]

    @property
    def _label_texts(self) -> list[str] | None:
        return None if self.names.steps is None else self.names.steps.texts()

    @property
    def row_labels(self) -> list[str] | None:
        """Names of the rows of `token_relevance` where there are several, else None."""
        if self.token_relevance.ndim == 1 or (self.one_score and self.class_names is None):
            return None
        prefix = "output " if self.class_names is None and self.outputs.regression else ""
        return [f"{prefix}{self.class_name(k)}" for k in range(len(self.token_relevance))]

    @property
    def every_step(self) -> bool:
        """Whether every step has scores."""
        return self.scores.ndim == 2

    @property
    def one_score(self) -> bool:
        """Whether there is one score."""
        return self.scores.shape[-1] == 1

    @property
    def explained(self) -> str:
        """What `target` was, in words."""
        return self._wording.explained

    @property
    def caption(self) -> str:
        """Method, what was explained, the predicted class, and the scores, in one line."""
        return self._wording.caption

    @property
    def title(self) -> str:
        """Method, what was explained, and its score, in a few words: the title of pictures."""
        return self._wording.title

    @property
    def _wording(self) -> Wording:
        return Wording(
            self.method, self.outputs, self.scores, self.predicted, self.target, self.params
        )

    @property
    def balance(self) -> Balance:
        """What was shared out, and where it went: `token_relevance`, initial states and `delta`."""
        steps = np.array([0, len(self)])
        arrived = sum_steps(np.atleast_2d(self.token_relevance), steps)[:, 0]
        for values in self.other_relevance.values():
            arrived = arrived + np.reshape(values, (len(arrived), -1)).sum(axis=1, dtype=np.float64)
        return Balance(
            self.method,
            self._wording.shared_out,
            self._what_got_it,
            arrived,
            np.atleast_1d(np.asarray(self.initial_relevance, np.float64)),
            np.atleast_1d(np.asarray(self.delta, np.float64)),
            self.row_labels,
        )

    @property
    def _what_got_it(self) -> str:
        """What relevance is of, in words."""
        if self.other_relevance:
            return "inputs"
        return "steps" if self.tokens is None else "words"

    @property
    def _notes(self) -> list[str]:
        """What stands below every picture."""
        lines = self.balance.lines()
        if self.other_relevance and self.row_labels is None:
            sums = {name: float(np.sum(values)) for name, values in self.relevance_of.items()}
            lines.append("inputs: " + ", ".join(f"{name} {signed(s)}" for name, s in sums.items()))
        return lines

    def to_html(
        self, *, variables: Sequence[str] | None = None, steps: Sequence[str] | None = None
    ) -> str:
        """Return a page fragment: the words, coloured by relevance, with a legend.

        Where variables are named, a grid follows: the relevance of each variable at each step.
        Where there are no tokens but `input_relevance`, as of a series, the grid is all there is.

        Parameters
        ----------
        variables : sequence of str of length D, optional
            Names of the input dimensions. Default: `feature_names`, or "variable 0", ...
        steps : sequence of str of length T, optional
            Names of the steps. Default: the tokens, `step_labels`, or "t=0", "t=1", ...

        Returns
        -------
        str
            HTML, with all text escaped.

        Raises
        ------
        TypeError
            If names are one str, or not str.
        ValueError
            If there are more or fewer names than variables or steps, or variables are named at
            level "token".

        Examples
        --------
        >>> import lrplstm
        >>> html = lrplstm.lrp(lrplstm.load_default(), ["fine", "."]).to_html()
        >>> html.startswith("<figure")
        True
        """
        if self.tokens is None and self.input_relevance is not None:
            return heatmap.grid_to_html(self.to_grid(variables=variables, steps=steps))
        grid = None if variables is None else self.to_grid(variables=variables, steps=steps)
        return heatmap.to_html(**self._picture(steps), caption=self.caption, grid=grid)

    def save_html(
        self,
        path: str | os.PathLike[str],
        *,
        title: str = "What speaks for it",
        text: str | None = None,
        series: npt.ArrayLike | None = None,
        label: int | str | float | None = None,
    ) -> None:
        """Write a page of its own: a report of one sequence.

        Parameters
        ----------
        path : str or path-like
            File to write, such as ``"one.html"``.
        title : str
            Heading of the page.
        text : str, optional
            What the tokens were made of, shown as it was written. Default: `text`.
        series : array of shape (T, D), optional
            The numbers themselves, drawn over their relevance.
        label : int, str or float, optional
            The class that is right, by number or name; of a regression the value that is.

        Raises
        ------
        ValueError
            If a relevance is not finite.
        OSError
            If the file cannot be written.

        Examples
        --------
        >>> import pathlib, tempfile
        >>> import lrplstm
        >>> a = lrplstm.lrp(lrplstm.load_default(), "A fine film.", "all")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     a.save_html(pathlib.Path(folder, "one.html"), label=4)
        """
        given = Given(
            texts=None if text is None else [text],
            series=None if series is None else [series],
            labels=None if label is None else [label],
        )
        write(path, [[self]], given, title=title)

    def _repr_html_(self) -> str | None:
        return output([self], 1)  # of None a notebook shows its repr

    def to_grid(
        self, *, variables: Sequence[str] | None = None, steps: Sequence[str] | None = None
    ) -> heatmap.Grid:
        """Return `input_relevance` as `lrplstm.heatmap.save_picture` draws it, one of several.

        Parameters
        ----------
        variables : sequence of str of length D, optional
            Names of the input dimensions.
        steps : sequence of str of length T, optional
            Names of the steps.

        Returns
        -------
        lrplstm.heatmap.Grid
            What is drawn, and its titles.

        Raises
        ------
        ValueError
            If there is no `input_relevance`.

        Examples
        --------
        >>> import numpy as np
        >>> import lrplstm
        >>> lstm = lrplstm.LSTMWeights(np.ones((8, 3)), np.ones((8, 2)), np.zeros(8))
        >>> a = lrplstm.lrp(lrplstm.LSTMModel([lstm]), np.ones((5, 3)), target=0)
        >>> a.to_grid(variables=["load", "price", "wind"]).relevance.shape
        (5, 3)
        """
        if self.input_relevance is None:
            raise ValueError(
                "level: expected 'input', so that there is relevance of each variable, got 'token'"
            )
        return heatmap.Grid(
            relevance=self.input_relevance,
            variables=self.feature_names if variables is None else variables,
            steps=(self.tokens or self._label_texts) if steps is None else steps,
            block_labels=self.row_labels,
            ends=self._ends,
            title=self.caption,
            notes=self._notes,
        )

    def to_panel(self) -> heatmap.Panel:
        """Return what `lrplstm.heatmap.save_picture` draws of it, one of several in a picture.

        Returns
        -------
        lrplstm.heatmap.Panel
            What is drawn, and its titles.

        Examples
        --------
        >>> import lrplstm
        >>> a = lrplstm.lrp(lrplstm.load_default(), ["fine", "."])
        >>> a.to_panel().words
        ['fine', '.']
        """
        return heatmap.Panel(**self._picture(), title=self.title)

    def to_terminal(
        self,
        *,
        color_system: str | None = "auto",
        background: str = "auto",
        width: int | None = None,
        variables: Sequence[str] | None = None,
        steps: Sequence[str] | None = None,
    ) -> str:
        """Return the coloured words as text, in lines of at most `width` cells.

        Of a series with `input_relevance` it is a heat map of variables and steps; without colours
        a table of the largest of them.

        Parameters
        ----------
        color_system : {"auto", "always", "truecolor", "256", None}
            Which colours, as for `lrplstm.heatmap.to_terminal`; None for none.
        background : {"auto", "light", "dark"}
            What is behind the text of the terminal. "auto": as the environment says, else colours
            that can be seen on both.
        width : int, optional
            Where lines are broken. Default: nowhere.
        variables : sequence of str of length D, optional
            Names of the input dimensions.
        steps : sequence of str of length T, optional
            Names of the steps.

        Returns
        -------
        str
            Its last line is the sum, `balance`.

        Examples
        --------
        >>> import lrplstm
        >>> a = lrplstm.lrp(lrplstm.load_default(), ["fine", "."])
        >>> a.to_terminal(color_system=None).startswith("fine(+")
        True
        """
        if self.tokens is None and self.input_relevance is not None:
            grid = self.to_grid(variables=variables, steps=steps)
            return heatmap.grid_to_terminal(
                grid, color_system=color_system, background=background, width=width
            )
        picture = self._picture(steps)
        return heatmap.to_terminal(
            **picture, color_system=color_system, background=background, width=width
        )

    def __str__(self) -> str:
        if not self.is_finite:
            return f"{self!r}, with infinite relevance or NaN"
        # In colours, and broken into lines, only where someone looks at it.
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        return self.to_terminal(width=width)

    @property
    def is_finite(self) -> bool:
        """Whether it can be drawn."""
        return bool(np.isfinite(self.token_relevance).all())

    @property
    def _ends(self) -> tuple[str, str]:
        """What negative and positive relevance say."""
        return TABLE[self.method].ends or heatmap.ENDS

    def _picture(self, steps: Sequence[str] | None = None) -> dict[str, Any]:
        """Return what every picture of the steps is made from."""
        words = self.words if steps is None else checked_texts("steps", steps)
        if len(words) != len(self):
            raise ValueError(f"steps: expected {len(self)}, one for each step, got {len(words)}")
        return {
            "words": words,
            "relevance": self.token_relevance,
            "unknown": self.unknown,
            "row_labels": self.row_labels,
            "ends": self._ends,
            "notes": self._notes,
        }


def _short(value: Any) -> str:
    """Return a value for a line of text: a large array by its shape."""
    text = repr(value)
    if isinstance(value, np.ndarray) and (value.ndim > 1 or len(text) > _MOST_LETTERS):
        return f"array of shape {value.shape}"
    return text
