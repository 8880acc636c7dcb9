"""What a method returns: `Attribution` of one sequence, `Attributions` of a batch."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from lrplstm import heatmap
from lrplstm.balance import Balance
from lrplstm.heatmap.content import checked_texts, signed
from lrplstm.input_rows import InputRows
from lrplstm.method_table import TABLE
from lrplstm.outputs import Outputs
from lrplstm.records import record, records
from lrplstm.sequences import sum_steps
from lrplstm.weights import Array
from lrplstm.wording import Wording

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Attribution", "Attributions", "one_of"]

_MOST_LETTERS = 60
"""An array is written out in so many letters, not in more."""

_MOST_FIGURES = 100
"""So many sequences of a batch a notebook shows."""


@dataclass(frozen=True, eq=False, repr=False)
class Attribution:
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
    def outputs(self) -> Outputs:
        """What the scores mean."""
        return Outputs(self.scores.shape[-1], self.class_names, self.task)

    def class_name(self, index: int) -> str:
        """Return the name of a class, or its number where classes have no names."""
        return self.outputs.name(index)

    @property
    def words(self) -> list[str]:
        """The tokens, or "t=0", "t=1", ... where there are none."""
        if self.tokens is not None:
            return self.tokens
        return [f"t={t}" for t in range(len(self))]

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
            Names of the input dimensions. Default: "variable 0", ...
        steps : sequence of str of length T, optional
            Names of the steps. Default: the tokens, or "t=0", "t=1", ...

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

    def _repr_html_(self) -> str | None:
        return self.to_html() if self._is_finite else None  # then a notebook shows its repr

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the coloured words with matplotlib.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw. Default: a new figure.

        Returns
        -------
        matplotlib Axes
        """
        return heatmap.plot(**self._picture(), ax=ax, title=self.caption)

    def plot_inputs(
        self,
        ax: Axes | None = None,
        *,
        variables: Sequence[str] | None = None,
        steps: Sequence[str] | None = None,
    ) -> Axes:
        """Draw `input_relevance` with matplotlib: steps along x, variables along y.

        Step t is at x = t and variable d at y = d, so that more can be drawn on the axes. With
        target "all" the classes stand one under another, on one scale.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; the colour bar takes some of its width. Default: a new figure.
        variables : sequence of str of length D, optional
            Names of the input dimensions. Default: their numbers.
        steps : sequence of str of length T, optional
            Names of the steps. Default: the tokens, or numbers.

        Returns
        -------
        matplotlib Axes

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
        return heatmap.plot_grid(**self.to_grid(variables=variables, steps=steps)._asdict(), ax=ax)

    def to_grid(
        self, *, variables: Sequence[str] | None = None, steps: Sequence[str] | None = None
    ) -> heatmap.Grid:
        """Return `input_relevance` as `lrplstm.heatmap.save_picture` draws it, one of several.

        Parameters
        ----------
        variables, steps
            As for `plot_inputs`.

        Raises
        ------
        ValueError
            If there is no `input_relevance`.
        """
        if self.input_relevance is None:
            raise ValueError(
                "level: expected 'input', so that there is relevance of each variable, got 'token'"
            )
        return heatmap.Grid(
            relevance=self.input_relevance,
            variables=variables,
            steps=self.tokens if steps is None else steps,
            block_labels=self.row_labels,
            ends=self._ends,
            title=self.caption,
            notes=self._notes,
        )

    def to_panel(self) -> heatmap.Panel:
        """Return what `lrplstm.heatmap.save_picture` draws of it, one of several in a picture."""
        return heatmap.Panel(**self._picture(), title=self.caption)

    def to_terminal(
        self,
        *,
        color_system: str | None = "auto",
        width: int | None = None,
        variables: Sequence[str] | None = None,
        steps: Sequence[str] | None = None,
    ) -> str:
        """Return the coloured words as text, in lines of at most `width` cells.

        Of a series with `input_relevance` it is a table of the largest variables and steps.

        Parameters
        ----------
        color_system, width
            As for `lrplstm.heatmap.to_terminal`.
        variables, steps
            As for `to_html`.

        Returns
        -------
        str
            Its last line is the sum, `balance`.
        """
        if self.tokens is None and self.input_relevance is not None:
            grid = self.to_grid(variables=variables, steps=steps)
            table = heatmap.to_table(grid, width=width)
            return "\n".join([table, *heatmap.note_lines(grid.notes, width)])
        picture = self._picture(steps)
        return heatmap.to_terminal(**picture, color_system=color_system, width=width)

    def __str__(self) -> str:
        if not self._is_finite:
            return f"{self!r}, with infinite relevance or NaN"
        # In colours, and broken into lines, only where someone looks at it.
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        return self.to_terminal(width=width)

    @property
    def _is_finite(self) -> bool:
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

    def to_dict(self) -> dict[str, Any]:
        """Return everything as lists, numbers and strings, ready for JSON.

        Returns
        -------
        dict
            The fields of this class by their names; ``predicted_class`` and ``target_class``, the
            names of those where they are classes (None where they have no names); and ``sum``: what
            was ``shared_out``, what ``inputs`` and ``initial_states`` got of it, and
            what the ``rest`` is. What is NaN or infinite is None: JSON has neither.

        Examples
        --------
        >>> import json
        >>> import lrplstm
        >>> a = lrplstm.lrp(lrplstm.load_default(), ["fine", "."])
        >>> record = json.loads(json.dumps(a.to_dict(), allow_nan=False))
        >>> record["tokens"], record["target_class"], record["sum"]["rest_is"]
        (['fine', '.'], 'positive', 'kept by biases and stabilizers')
        """
        return record(self)


def _short(value: Any) -> str:
    """Return a value for a line of text: a large array by its shape."""
    text = repr(value)
    if isinstance(value, np.ndarray) and (value.ndim > 1 or len(text) > _MOST_LETTERS):
        return f"array of shape {value.shape}"
    return text


@dataclass(frozen=True, eq=False, repr=False)
class Attributions(Sequence[Attribution]):
    """The attributions of a batch: a sequence of `Attribution`, and all of them in bulk.

    Steps of all sequences follow each other; sequence b has ``offsets[b]:offsets[b + 1]``. With
    pooling "none" scores and predicted classes are those of steps.

    Attributes
    ----------
    offsets : ndarray of shape (B + 1,)
    scores : ndarray of shape (B, C) or (steps, C)
    predicted : ndarray of shape (B,) or (steps,), or None
        None for a regression.
    target : ndarray of shape (B,) or (B, C), list, "all" or None
        Classes, weights, what it was for each sequence, every class, or None where hidden relevance
        was given.
    token_relevance : ndarray of shape (steps,) or (C, steps)
    input_relevance : ndarray of shape (steps, D) or (C, steps, D), or None
    initial_relevance, delta : ndarray of shape (B,) or (C, B)
    unknown : ndarray of bool of shape (steps,)
    tokens : sequence of list of str, or None
    method : str
    params : dict
    class_names : tuple of str, or None
    task : str
    every_step : bool
        Whether every step has scores: with pooling "none".
    score_offsets : ndarray of shape (B + 1,), or None
        Where sequences begin in scores and predicted classes, if their steps are not the inputs'.
    input_name : str
        Which of several inputs steps and tokens are of.
    other_relevance : dict of InputRows by str
        Of every other input: `relevance` of all its rows, and in `offsets` where sequences begin.

    Examples
    --------
    >>> import lrplstm
    >>> batch = ["a fine film .".split(), "dull .".split()]
    >>> attributions = lrplstm.lrp(lrplstm.load_default(), batch)
    >>> len(attributions), attributions.offsets, attributions[1].tokens
    (2, array([0, 4, 6]), ['dull', '.'])
    """

    offsets: Array
    scores: Array
    predicted: Array | None
    target: Array | list[Any] | str | None
    token_relevance: Array
    input_relevance: Array | None
    initial_relevance: Array
    delta: Array
    unknown: Array
    method: str
    params: dict[str, Any]
    class_names: tuple[str, ...] | None
    task: str
    tokens: Sequence[list[str]] | None
    every_step: bool
    score_offsets: Array | None = None
    input_name: str = "inputs"
    other_relevance: dict[str, InputRows] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __repr__(self) -> str:
        return (
            f"Attributions(method={self.method!r}, {len(self)} sequences, {self.offsets[-1]} steps)"
        )

    @overload
    def __getitem__(self, index: int) -> Attribution: ...
    @overload
    def __getitem__(self, index: slice) -> list[Attribution]: ...
    def __getitem__(self, index: int | slice) -> Attribution | list[Attribution]:
        if isinstance(index, slice):
            return [self[b] for b in range(*index.indices(len(self)))]
        try:
            b = range(len(self))[index]  # also counts from the end
        except IndexError:
            raise IndexError(f"expected one of {len(self)} sequences, got {index}") from None
        return one_of(vars(self), b)

    def __iter__(self) -> Iterator[Attribution]:
        return (self[b] for b in range(len(self)))

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return `Attribution.to_dict` of each, in a part of the time that one by one takes.

        Examples
        --------
        >>> import lrplstm
        >>> batch = lrplstm.lrp(lrplstm.load_default(), [["fine", "."], ["dull"]])
        >>> batch.to_dicts()[1] == batch[1].to_dict()
        True
        """
        return records(self)

    def _repr_html_(self) -> str:
        first = self[:_MOST_FIGURES]
        parts = [a._repr_html_() or f"<p>{escape(str(a))}</p>" for a in first]
        if len(first) < len(self):
            parts.append(f"<p>... and {len(self) - len(first):,} more</p>")
        return "".join(parts)

    def __str__(self) -> str:
        return "\n".join(map(str, self))


def one_of(several: Mapping[str, Any], b: int) -> Attribution:
    """Return what one sequence has of the fields of `Attributions`, all arrays its own."""
    first, last = several["offsets"][b : b + 2].tolist()
    steps = slice(first, last)
    every_step, tokens = several["every_step"], several["tokens"]
    rows = steps if every_step else b
    if several["score_offsets"] is not None:
        rows = slice(*several["score_offsets"][b : b + 2].tolist())
    predicted = several["predicted"]
    if predicted is not None:
        predicted = predicted[rows].copy() if every_step else int(predicted[b])
    by_input = several["input_relevance"]
    return Attribution(
        tokens=None if tokens is None else list(tokens[b]),
        unknown=several["unknown"][steps].copy(),
        scores=several["scores"][rows].copy(),
        predicted=predicted,
        target=_target_of(several["target"], b),
        token_relevance=several["token_relevance"][..., steps].copy(),
        input_relevance=None if by_input is None else by_input[..., steps, :].copy(),
        initial_relevance=_number_or_row(several["initial_relevance"][..., b]),
        delta=_number_or_row(several["delta"][..., b]),
        method=several["method"],
        params={name: _own(value, b) for name, value in several["params"].items()},
        class_names=several["class_names"],
        task=several["task"],
        input_name=several["input_name"],
        other_relevance={
            name: rows.of(b, several["token_relevance"].ndim - 1)
            for name, rows in several["other_relevance"].items()
        },
    )


def _target_of(target: Any, b: int) -> Any:
    """Return what was explained of one sequence."""
    if isinstance(target, np.ndarray):
        return int(target[b]) if target.ndim == 1 else target[b].copy()
    return _own(target, b)


def _own(value: Any, b: int) -> Any:
    """Return what belongs to a sequence, if the value is a list for each; an array as a copy."""
    if value is None or isinstance(value, str | float):  # as nearly all are
        return value
    if isinstance(value, dict):
        return {name: _own(one, b) for name, one in value.items()}
    if isinstance(value, list):
        value = value[b]
    return value.copy() if isinstance(value, np.ndarray) else value


def _number_or_row(values: Any) -> Any:
    return values.copy() if values.ndim else float(values)
