r"""`LSTM_bidi`, `lrp_linear` and `html_heatmap` by the names of the 2017 research code.

A script or notebook written for that code (Arras et al. 2017, doi 10.18653/v1/W17-5221) runs with
its import lines replaced by one::

    from lrplstm.compat import *

This is an independent implementation of the same interface on this package's kernels; nothing of
that code is in it. New code is better off with `lrplstm.from_arras` and `lrplstm.lrp`, which take
whole batches.

Names are those of that code: e is the width of a word vector, d that of a hidden state, C the
number of classes, T the length of a sequence. Gates are in the order i, g, f, o. All numbers are
float64, whatever the dtype of the files.
"""

from __future__ import annotations

import html
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt

from lrplstm.backends import choose
from lrplstm.checks import to_array, to_numbers
from lrplstm.heatmap.content import checked_text, checked_texts
from lrplstm.layers import directions
from lrplstm.loaders.arras import from_arras, read_files
from lrplstm.rules import EpsilonRule
from lrplstm.scans import ForwardResult, Scans
from lrplstm.texts import shown, visible
from lrplstm.weights import Array, LSTMWeights

__all__ = [
    "LSTM_bidi",
    "getRGB",
    "html_heatmap",
    "lrp_linear",
    "np",  # scripts that import * from the 2017 module have it from there
    "rescale_score_by_abs",
    "span_word",
]

_SIDES = ("Left", "Right")
_PARTS = ("Wxh", "bxh", "Whh", "bhh", "Why")
_WEIGHTS = tuple(f"{part}_{side}" for side in _SIDES for part in _PARTS)
_STATES = tuple(f"{part}_{side}" for side in _SIDES for part in ("h", "c"))
_GATES = tuple(
    f"{part}_{side}" for side in _SIDES for part in ("gates_xh", "gates_hh", "gates_pre", "gates")
)


# Checks -----------------------------------------------------------------------------------------


def _floats(name: str, value: Any, *shape: int | str) -> Array:
    return to_numbers(name, value, shape, np.float64)


def _indices(name: str, what: str, value: Any, low: int, high: int) -> Array:
    """Return a list of int as an array, each of them from `low` to below `high`."""
    array = to_array(name, value)
    if array.ndim != 1 or (len(array) and array.dtype.kind not in "iu"):
        found = f"{shown(value)}" if array.ndim == 0 else f"{array.dtype} of shape {array.shape}"
        raise TypeError(f"{name}: expected a list of {what}, got {found}")
    outside = (array < low) | (array >= high)
    if outside.any():
        position = int(outside.argmax())
        raise ValueError(
            f"{name}: expected {what} from {low} to {high - 1}, "
            f"got {array[position]} at position {position}"
        )
    return array.astype(np.intp, copy=False)


def _rule(eps: float, bias_factor: float) -> EpsilonRule:
    """Return the rule of version 1.0+: the stabilizer is handed on as the bias is."""
    try:
        return EpsilonRule(eps, bias_factor, bias_factor)
    except (TypeError, ValueError) as error:
        raise type(error)(str(error).replace("epsilon:", "eps:", 1)) from None


# The network ------------------------------------------------------------------------------------


class _Weight:
    """One of the arrays of weights, kept read-only so that no change goes unseen."""

    def __init__(self, *shape: str) -> None:
        self.shape = shape

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, net: Any, owner: type | None = None) -> Any:
        if net is None:
            return self
        if self.name not in net.__dict__:
            raise AttributeError(f"{self.name}: expected an array of weights, none was set")
        return net.__dict__[self.name]

    def __set__(self, net: Any, value: npt.ArrayLike) -> None:
        array = np.array(_floats(self.name, value, *self.shape), order="C")
        array.flags.writeable = False
        net.__dict__[self.name] = array
        net._prepared = None


class _Computed:
    """An array of the last forward pass, computed when it is first read."""

    def __init__(self, since: str) -> None:
        self.since = since

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, net: Any, owner: type | None = None) -> Any:
        if net is None:
            return self
        run = net._input
        if run is not None and self.name not in run.computed:
            run.compute()
        if run is None or self.name not in run.computed:
            raise AttributeError(f"{self.name}: expected {self.since} before it is read")
        return run.computed[self.name]

    def __set__(self, net: Any, value: npt.ArrayLike) -> None:
        if net._input is None:
            raise AttributeError(f"{self.name}: expected set_input before it is set")
        net._input.computed[self.name] = value


@dataclass(frozen=True, eq=False)
class _Encoder:
    """One direction, as a backend has it; it reads from the first row of its input to the last."""

    arrays: dict[str, Array]  # Wxh, bxh, Whh, bhh and Why as they are in the file
    weights: LSTMWeights
    layer: Any

    def start_from(self, scans: Scans, h: Array, c: Array) -> _Encoder:
        """Return the same with other initial states."""
        if not h.any() and not c.any():
            return self
        old = self.weights
        weights = LSTMWeights(
            old.weight_ih, old.weight_hh, old.bias, initial_hidden=h, initial_cell=c
        )
        return _Encoder(self.arrays, weights, scans.prepare_layer([weights]))

    def forward(self, scans: Scans, x: Array, keep: str) -> ForwardResult:
        """Run over x of shape (T, e); see `lrplstm.scans`."""
        rows, offsets = np.arange(len(x)), np.array([0, len(x)])
        projection = scans.project(self.layer, x)
        return scans.forward_scan(self.layer, projection, rows, offsets, keep, True)

    def states(self, x: Array, hidden: Array) -> dict[str, Array]:
        """Return all that was computed on the way from x to h, by the names of the 2017 code."""
        T, d = hidden.shape
        h, c = np.empty((2, T + 1, d))
        h[:T], h[T] = hidden, self.weights.initial_hidden
        gates_xh = x @ self.arrays["Wxh"].T
        gates_hh = h[np.arange(T) - 1] @ self.arrays["Whh"].T
        gates_pre = gates_xh + gates_hh + self.arrays["bxh"] + self.arrays["bhh"]
        with np.errstate(over="ignore"):  # exp of a large number: the gate is 0
            gates = 1 / (1 + np.exp(-gates_pre))
        gates[:, d : 2 * d] = np.tanh(gates_pre[:, d : 2 * d])
        i, g, f, _ = np.split(gates, 4, axis=1)
        c[:T], c[T] = i * g, self.weights.initial_cell
        for t in range(T):
            c[t] += f[t] * c[t - 1]
        return {
            "gates_xh": gates_xh,
            "gates_hh": gates_hh,
            "gates_pre": gates_pre,
            "gates": gates,
            "h": h,
            "c": c,
        }


@dataclass(frozen=True, eq=False)
class _Prepared:
    """The network as a backend has it."""

    scans: Scans
    encoders: tuple[_Encoder, ...]
    head: Any  # of both final states beside each other
    e: int
    d: int
    C: int


class _Input:
    """An input of T words, and what the last forward pass made of it."""

    def __init__(self, T: int, d: int) -> None:
        self.T, self.d = T, d
        self.passes: list[tuple[_Encoder, Array, Array]] = []  # with x and h of each
        self.computed: dict[str, Any] = {}

    def forward(
        self, scans: Scans, encoders: Sequence[_Encoder], inputs: Sequence[Array], keep: str
    ) -> list[ForwardResult]:
        """Run each encoder over its input, an array that nobody else has."""
        both = list(zip(encoders, inputs, strict=True))
        found = [encoder.forward(scans, x, keep) for encoder, x in both]
        self.passes = [(*pair, result.hidden) for pair, result in zip(both, found, strict=True)]
        self.computed = {}
        return found

    def compute(self) -> None:
        """Compute what is not there yet: before a forward pass, states of zeros."""
        found = {}
        for side, (encoder, x, hidden) in zip(_SIDES, self.passes, strict=False):
            for part, array in encoder.states(x, hidden).items():
                found[f"{part}_{side}"] = array
        if not self.passes:
            found = {name: np.zeros((self.T + 1, self.d)) for name in _STATES}
        self.computed = found | self.computed


class LSTM_bidi:
    """The 2017 model: a bidirectional LSTM, and a linear layer without bias on its final states.

    The left encoder reads a sequence from its first word to its last, the right one from its last
    to its first.

    Parameters
    ----------
    model_path : str or path
        Folder with ``vocab``, ``embeddings.npy`` and ``model``; see `lrplstm.from_arras`.

    Attributes
    ----------
    voc : list of str
        The word of each id: ``net.voc.index(word)``.
    E : ndarray of shape (V, e)
        Word vectors.
    Wxh_Left, bxh_Left, Whh_Left, bhh_Left, Why_Left : ndarray
        Weights of the left encoder: (4d, e), (4d,), (4d, d), (4d,) and (C, d). They are read-only;
        a new array can be assigned, and is copied.
    w : list of int
        The word ids of the last input.
    x : ndarray of shape (T, e)
        Their vectors, and ``x_rev`` the same, last word first.
    h_Left, c_Left : ndarray of shape (T + 1, d)
        States after each step; the last row is the state before the first step.
    gates_xh_Left, gates_hh_Left, gates_pre_Left, gates_Left : ndarray of shape (T, 4d)
        ``Wxh x``, ``Whh h``, their sum with both biases, and the gates themselves.
    y_Left, s : ndarray of shape (C,)
        ``Why h`` of the final state; and the scores, ``y_Left + y_Right``.
    dx, dx_rev : ndarray of shape (T, e)
        Gradients that `backward` found, in the order of ``x`` and ``x_rev``.

    All that ends with ``_Left`` is there with ``_Right`` too, steps in the order of ``x_rev``.

    Raises
    ------
    TypeError
        If `model_path` is no path.
    ValueError
        If a file is missing or is not what it should be.

    Notes
    -----
    What a forward pass makes of an input (h, c and the gates) is computed when it is first read.
    The 2017 code's ``dh``, ``dc``, ``dgates`` and ``dgates_pre`` are not kept. As an object holds
    its last input, threads need one each.

    Examples
    --------
    >>> import pickle, tempfile
    >>> from pathlib import Path
    >>> from lrplstm.compat import *
    >>> rng = np.random.default_rng(0)
    >>> shapes = {"Wxh": (8, 3), "bxh": (8,), "Whh": (8, 2), "bhh": (8,), "Why": (4, 2)}
    >>> model = {f"{k}_{side}": rng.normal(0, 0.3, shape)
    ...          for side in ("Left", "Right") for k, shape in shapes.items()}
    >>> words = ["a", "fine", "film"]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "model").write_bytes(pickle.dumps(model))
    ...     _ = Path(folder, "vocab").write_bytes(pickle.dumps(words))
    ...     np.save(Path(folder, "embeddings.npy"), rng.normal(size=(3, 3)))
    ...     net = LSTM_bidi(folder)
    >>> w = [net.voc.index(word) for word in words]
    >>> Rx, Rx_rev, R_rest = net.lrp(w, 1, eps=0.001, bias_factor=1.0)
    >>> Rx.shape, Rx_rev.shape
    ((3, 3), (3, 3))
    >>> bool(np.isclose(Rx.sum() + Rx_rev.sum() + R_rest, net.s[1]))
    True
    """

    Wxh_Left = _Weight("4d", "e")
    bxh_Left = _Weight("4d")
    Whh_Left = _Weight("4d", "d")
    bhh_Left = _Weight("4d")
    Why_Left = _Weight("C", "d")
    Wxh_Right = _Weight("4d", "e")
    bxh_Right = _Weight("4d")
    Whh_Right = _Weight("4d", "d")
    bhh_Right = _Weight("4d")
    Why_Right = _Weight("C", "d")

    gates_xh_Left = _Computed("forward, backward or lrp")
    gates_hh_Left = _Computed("forward, backward or lrp")
    gates_pre_Left = _Computed("forward, backward or lrp")
    gates_Left = _Computed("forward, backward or lrp")
    h_Left = _Computed("set_input")
    c_Left = _Computed("set_input")
    gates_xh_Right = _Computed("forward, backward or lrp")
    gates_hh_Right = _Computed("forward, backward or lrp")
    gates_pre_Right = _Computed("forward, backward or lrp")
    gates_Right = _Computed("forward, backward or lrp")
    h_Right = _Computed("set_input")
    c_Right = _Computed("set_input")

    voc: list[str]
    E: Array
    w: Sequence[int]
    x: Array
    x_rev: Array
    y_Left: Array
    y_Right: Array
    s: Array
    dx: Array
    dx_rev: Array

    # Of the class, for those who set the weights in a constructor of their own.
    _prepared: _Prepared | None = None
    _input: _Input | None = None

    def __init__(self, model_path: str | os.PathLike[str] = "./model/") -> None:
        if not isinstance(model_path, str | os.PathLike):
            raise TypeError(
                f"model_path: expected the path of a folder, got {type(model_path).__name__}"
            )
        files = read_files(model_path)
        self.voc = list(files.model.encoder.shown or ())
        self.E = np.array(files.embedding, np.float64)
        for name in _WEIGHTS:
            setattr(self, name, files.arrays[name])

    # Forward ------------------------------------------------------------------------------------

    def set_input(self, w: Sequence[int], delete_pos: Sequence[int] | None = None) -> None:
        """Look up the vectors of words, and set the states to zero.

        Parameters
        ----------
        w : list of int
            Word ids, at least one.
        delete_pos : list of int, optional
            Positions in `w` whose vectors are to be zero; -1 is the last.

        Raises
        ------
        TypeError
            If an argument is no list of int.
        ValueError
            If there is no word, or an id or a position is out of range.
        """
        x = self._vectors(w)
        if delete_pos is not None:
            x[_indices("delete_pos", "positions", delete_pos, -len(x), len(x))] = 0
        self._set(w, x)

    def forward(self) -> Array:
        """Compute the scores of the input that `set_input` has set.

        It reads ``x``, ``x_rev`` and the initial states, the last rows of ``h_Left`` and the other
        three, as they are.

        Returns
        -------
        ndarray of shape (C,)
            A copy of ``s``.

        Raises
        ------
        RuntimeError
            If there was no `set_input` before.
        TypeError, ValueError
            If ``x`` or another array was changed to something that does not fit.
        """
        if self._input is None:
            raise RuntimeError("forward: expected set_input before it")
        net, T = self._prepare(), self._input.T
        inputs = [_floats(name, getattr(self, name), T, net.e).copy() for name in ("x", "x_rev")]
        # Whoever has not read the states has not changed them.
        held = {
            name: _floats(name, array, T + 1, net.d)
            for name, array in self._input.computed.items()
            if name in _STATES
        }
        encoders = net.encoders
        if held:
            zeros = np.zeros((1, net.d))
            encoders = tuple(
                encoder.start_from(
                    net.scans, *(held.get(f"{part}_{side}", zeros)[-1] for part in ("h", "c"))
                )
                for encoder, side in zip(encoders, _SIDES, strict=True)
            )
        self._run(self._input, encoders, inputs, "nothing")
        for name, array in held.items():  # who holds one sees it change
            array[...] = getattr(self, name)
            setattr(self, name, array)
        return self.s.copy()

    def _vectors(self, w: Sequence[int]) -> Array:
        """Return the vectors of word ids, in an array of their own."""
        e = self._prepare().e
        E = to_array("E", self.E)
        if E.ndim != 2 or E.shape[1] != e:
            raise ValueError(f"E: expected shape (V, {e}), got {E.shape}")
        ids = _indices("w", "word ids (a word's is net.voc.index(word))", w, 0, len(E))
        if len(ids) == 0:
            raise ValueError("w: expected at least one word id, got none")
        return _floats("E", E[ids], len(ids), e)

    def _set(self, w: Sequence[int], x: Array) -> _Input:
        net = self._prepare()
        self.w, self.x, self.x_rev = w, x, x[::-1].copy()
        self._input = _Input(len(x), net.d)
        return self._input

    def _run(
        self, run: _Input, encoders: Sequence[_Encoder], inputs: Sequence[Array], keep: str
    ) -> list[ForwardResult]:
        """Run both encoders, and compute the scores."""
        left, right = found = run.forward(self._prepare().scans, encoders, inputs, keep)
        self.y_Left = encoders[0].arrays["Why"] @ left.final[0]
        self.y_Right = encoders[1].arrays["Why"] @ right.final[0]
        self.s = self.y_Left + self.y_Right
        return found

    def _run_words(self, w: Sequence[int], keep: str) -> list[ForwardResult]:
        run = self._set(w, self._vectors(w))
        return self._run(run, self._prepare().encoders, [self.x.copy(), self.x_rev.copy()], keep)

    # Back ---------------------------------------------------------------------------------------

    def backward(self, w: Sequence[int], sensitivity_class: int) -> tuple[Array, Array]:
        """Return the gradient of a score with respect to the word vectors.

        Parameters
        ----------
        w : list of int
            Word ids, at least one.
        sensitivity_class : int
            Class whose score it is the gradient of.

        Returns
        -------
        Gx, Gx_rev : ndarray of shape (T, e)
            The part through the left and the right encoder, both in the order of the words: the
            gradient is ``Gx + Gx_rev``.

        Raises
        ------
        TypeError
            If an argument is of the wrong kind.
        ValueError
            If there is no word, or an id or the class is out of range.
        """
        net = self._prepare()
        target = _class("sensitivity_class", sensitivity_class, net.C)
        self.dx, self.dx_rev = (
            net.scans.gradient_scan(
                found.trace, encoder.arrays["Why"][np.newaxis, target : target + 1], None, False
            ).inputs[0]
            for encoder, found in zip(net.encoders, self._run_words(w, "gradient"), strict=True)
        )
        return self.dx.copy(), self.dx_rev[::-1].copy()

    def lrp(
        self, w: Sequence[int], LRP_class: int, eps: float = 0.001, bias_factor: float = 0.0
    ) -> tuple[Array, Array, np.float64]:
        """Share the score of a class out among the word vectors, by the rules of the 2017 paper.

        Parameters
        ----------
        w : list of int
            Word ids, at least one.
        LRP_class : int
            Class whose score is explained.
        eps : float, at least 0
            Stabilizer of the denominators.
        bias_factor : float
            Part of the relevance of biases and stabilizers that is handed on.

        Returns
        -------
        Rx, Rx_rev : ndarray of shape (T, e)
            The part through the left and the right encoder, both in the order of the words: the
            relevance is ``Rx + Rx_rev``.
        R_rest : float
            What ended on the initial states. With ``bias_factor=1`` all three add up to the score.

        Raises
        ------
        TypeError
            If an argument is of the wrong kind.
        ValueError
            If there is no word, an id or the class is out of range, `eps` negative, or a number NaN
            or infinite.
        """
        rule = _rule(eps, bias_factor)
        net = self._prepare()
        target = _class("LRP_class", LRP_class, net.C)
        left, right = self._run_words(w, "relevance")

        R = np.zeros((1, 1, net.C))
        R[..., target] = self.s[target]
        final = np.concatenate([left.final, right.final], axis=1)
        R_h = net.scans.linear_lrp(net.head, final, self.s[np.newaxis], R, rule)
        of_left = net.scans.lrp_scan(left.trace, R_h[..., : net.d], None, self.x, rule, "all")
        of_right = net.scans.lrp_scan(right.trace, R_h[..., net.d :], None, self.x_rev, rule, "all")
        R_rest = of_left.initial[0, 0] + of_right.initial[0, 0]
        return of_left.inputs[0], of_right.inputs[0, ::-1].copy(), R_rest

    # What it keeps ------------------------------------------------------------------------------

    def _prepare(self) -> _Prepared:
        """Return the network of the weights as they are now."""
        if self._prepared is None:
            arrays = {name: getattr(self, name) for name in _WEIGHTS}
            model = from_arras(arrays)
            scans = choose.scans("auto")
            encoders = tuple(
                _Encoder(
                    {part: arrays[f"{part}_{side}"] for part in _PARTS},
                    weights,
                    scans.prepare_layer([weights]),
                )
                for side, weights in zip(_SIDES, directions(model.layers[0]), strict=True)
            )
            head = scans.prepare_linear(model.head[0].weight, None)
            self._prepared = _Prepared(
                scans, encoders, head, model.input_size, model.hidden_size, model.num_classes
            )
        return self._prepared

    def __getstate__(self) -> dict[str, Any]:
        # A backend's own things cannot be copied; they are made anew.
        return self.__dict__ | {"_prepared": None, "_input": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)


def _class(name: str, value: int, C: int) -> int:
    if isinstance(value, bool | np.bool_) or not isinstance(value, Integral):
        raise TypeError(f"{name}: expected a class, an int, got {shown(value)}")
    if not 0 <= value < C:
        raise ValueError(f"{name}: expected a class from 0 to {C - 1}, got {value}")
    return int(value)


# One linear layer -------------------------------------------------------------------------------


def lrp_linear(
    hin: npt.ArrayLike,
    w: npt.ArrayLike,
    b: npt.ArrayLike,
    hout: npt.ArrayLike,
    Rout: npt.ArrayLike,
    bias_nb_units: float,
    eps: float,
    bias_factor: float = 0.0,
    debug: bool = False,
) -> Array:
    """Share relevance out among the inputs of a linear layer, by the epsilon rule.

    Parameters
    ----------
    hin : array_like of shape (D,)
        Lower units.
    w : array_like of shape (D, M)
        Their weights.
    b : array_like of shape (M,)
        Biases.
    hout : array_like of shape (M,)
        Upper units, of all that enters them: ``hin @ w + b``, and what comes from other layers.
    Rout : array_like of shape (M,)
        Relevance of the upper units.
    bias_nb_units : int
        Number of lower units that share the relevance of biases and stabilizers, those of other
        layers among them.
    eps : float, at least 0
        Stabilizer; it has the sign of `hout`, and is positive where that is 0.
    bias_factor : float
        Part of the relevance of biases and stabilizers that is handed on.
    debug : bool
        Print ``local diff:`` and ``Rout.sum() - Rin.sum()``. With ``bias_factor=1``,
        ``bias_nb_units=D`` and no other layers it is 0, to rounding.

    Returns
    -------
    Rin : ndarray of shape (D,)
        Relevance of the lower units. An upper unit whose denominator is 0 (only with ``eps=0``)
        hands nothing on.

    Raises
    ------
    TypeError
        If an argument is not made of numbers.
    ValueError
        If shapes do not fit together, `eps` is negative, `bias_nb_units` not positive, or a number
        NaN or infinite.

    Examples
    --------
    >>> import numpy as np
    >>> from lrplstm.compat import lrp_linear
    >>> hin, w, b = np.array([1.0, 2.0]), np.array([[3.0, 1.0], [1.0, -1.0]]), np.zeros(2)
    >>> lrp_linear(hin, w, b, hin @ w + b, np.array([5.0, 1.0]), 2, eps=0.0)
    array([2., 4.])
    """
    hin = _floats("hin", hin, "D")
    hout = _floats("hout", hout, "M")
    w = _floats("w", w, len(hin), len(hout))
    b = _floats("b", b, len(hout))
    Rout = _floats("Rout", Rout, len(hout))
    if isinstance(bias_nb_units, bool | np.bool_) or not isinstance(bias_nb_units, Real):
        raise TypeError(f"bias_nb_units: expected a number of units, got {shown(bias_nb_units)}")
    if not 0 < bias_nb_units < np.inf:
        raise ValueError(f"bias_nb_units: expected a positive number, got {bias_nb_units}")
    rule = _rule(eps, bias_factor)
    q = rule.quotient(hout, Rout)
    Rin: Array = hin * (w @ q)
    if rule.bias_factor:
        Rin += rule.share(q, hout, b, bias_nb_units)
    if debug:
        print("local diff: ", Rout.sum() - Rin.sum())
    return Rin


# Heat maps --------------------------------------------------------------------------------------


def html_heatmap(words: Iterable[str], scores: npt.ArrayLike, cmap_name: str = "bwr") -> str:
    r"""Draw words on backgrounds coloured by their scores, as HTML.

    `lrplstm.heatmap.to_html` draws better ones, with a legend and readable ink.

    Parameters
    ----------
    words : list of str
        At least one. They are escaped.
    scores : array_like of shape (T,)
        A number for each word. 0 has the middle colour, and the largest absolute score one of the
        ends.
    cmap_name : str
        Name of a colormap of matplotlib.

    Returns
    -------
    str
        A ``<span>`` for each word, with a space after it.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If there is no word, not one number for each, a number is NaN or infinite, or there is no
        such colormap.

    Examples
    --------
    >>> from lrplstm.compat import html_heatmap
    >>> html_heatmap(["<b>"], [-1.5])
    '<span style="background-color:#0000ff">&lt;b&gt;</span> \n'
    """
    import matplotlib as mpl

    texts = checked_texts("words", words)
    if not texts:
        raise ValueError("words: expected at least one word, got none")
    values = _floats("scores", scores, len(texts))
    if checked_text("cmap_name", cmap_name) not in mpl.colormaps:
        raise ValueError(
            f"cmap_name: expected the name of a colormap of matplotlib, got {shown(cmap_name)}"
        )
    colormap, high, low = mpl.colormaps[cmap_name], values.max(), values.min()
    spans = [
        span_word(word, rescale_score_by_abs(value, high, low), colormap)
        for word, value in zip(texts, values, strict=True)
    ]
    return "".join(f"{span} " for span in spans) + "\n"


def rescale_score_by_abs(score: float, max_score: float, min_score: float) -> float:
    """Return where a score lies between -m (0) and m (1), m the larger of the absolute extremes.

    Where both extremes are 0 it is 0.5, the middle.
    """
    largest = max(abs(max_score), abs(min_score))
    return 0.5 + 0.5 * float(score / largest) if largest else 0.5


def getRGB(c_tuple: Sequence[float]) -> str:
    """Write a colour of at least three numbers from 0 to 1 as ``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*(int(channel * 255) for channel in c_tuple[:3]))


def span_word(word: str, score: float, colormap: Callable[[float], Sequence[float]]) -> str:
    """Return a word, escaped, on the background that a colormap has for a score from 0 to 1."""
    text = html.escape(visible(checked_text("word", word)), quote=False)
    return f'<span style="background-color:{getRGB(colormap(float(score)))}">{text}</span>'
