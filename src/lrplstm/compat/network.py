"""`LSTM_bidi`, the 2017 model."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from lrplstm.backends import choose
from lrplstm.checks import to_array
from lrplstm.compat.arguments import class_number, epsilon_rule, floats, indices
from lrplstm.compat.passes import (
    PARTS,
    SIDES,
    STATES,
    WEIGHTS,
    Computed,
    Encoder,
    Input,
    Prepared,
    Weight,
)
from lrplstm.layers import directions
from lrplstm.loaders.arras import from_arras, read_files
from lrplstm.scans import ForwardResult
from lrplstm.weights import Array

__all__ = ["LSTM_bidi"]


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

    Wxh_Left = Weight("4d", "e")
    bxh_Left = Weight("4d")
    Whh_Left = Weight("4d", "d")
    bhh_Left = Weight("4d")
    Why_Left = Weight("C", "d")
    Wxh_Right = Weight("4d", "e")
    bxh_Right = Weight("4d")
    Whh_Right = Weight("4d", "d")
    bhh_Right = Weight("4d")
    Why_Right = Weight("C", "d")

    gates_xh_Left = Computed("forward, backward or lrp")
    gates_hh_Left = Computed("forward, backward or lrp")
    gates_pre_Left = Computed("forward, backward or lrp")
    gates_Left = Computed("forward, backward or lrp")
    h_Left = Computed("set_input")
    c_Left = Computed("set_input")
    gates_xh_Right = Computed("forward, backward or lrp")
    gates_hh_Right = Computed("forward, backward or lrp")
    gates_pre_Right = Computed("forward, backward or lrp")
    gates_Right = Computed("forward, backward or lrp")
    h_Right = Computed("set_input")
    c_Right = Computed("set_input")

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
    _prepared: Prepared | None = None
    _input: Input | None = None

    def __init__(self, model_path: str | os.PathLike[str] = "./model/") -> None:
        if not isinstance(model_path, str | os.PathLike):
            raise TypeError(
                f"model_path: expected the path of a folder, got {type(model_path).__name__}"
            )
        files = read_files(model_path)
        self.voc = list(files.model.encoder.shown or ())
        self.E = np.array(files.embedding, np.float64)
        for name in WEIGHTS:
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
            x[indices("delete_pos", "positions", delete_pos, -len(x), len(x))] = 0
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
        inputs = [floats(name, getattr(self, name), T, net.e).copy() for name in ("x", "x_rev")]
        # Whoever has not read the states has not changed them.
        held = {
            name: floats(name, array, T + 1, net.d)
            for name, array in self._input.computed.items()
            if name in STATES
        }
        encoders = net.encoders
        if held:
            zeros = np.zeros((1, net.d))
            encoders = tuple(
                encoder.start_from(
                    net.scans, *(held.get(f"{part}_{side}", zeros)[-1] for part in ("h", "c"))
                )
                for encoder, side in zip(encoders, SIDES, strict=True)
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
        ids = indices("w", "word ids (a word's is net.voc.index(word))", w, 0, len(E))
        if len(ids) == 0:
            raise ValueError("w: expected at least one word id, got none")
        return floats("E", E[ids], len(ids), e)

    def _set(self, w: Sequence[int], x: Array) -> Input:
        net = self._prepare()
        self.w, self.x, self.x_rev = w, x, x[::-1].copy()
        self._input = Input(len(x), net.d)
        return self._input

    def _run(
        self, run: Input, encoders: Sequence[Encoder], inputs: Sequence[Array], keep: str
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
        target = class_number("sensitivity_class", sensitivity_class, net.C)
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
        rule = epsilon_rule(eps, bias_factor)
        net = self._prepare()
        target = class_number("LRP_class", LRP_class, net.C)
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

    def _prepare(self) -> Prepared:
        """Return the network of the weights as they are now."""
        if self._prepared is None:
            arrays = {name: getattr(self, name) for name in WEIGHTS}
            model = from_arras(arrays)
            scans = choose.scans("auto")
            encoders = tuple(
                Encoder(
                    {part: arrays[f"{part}_{side}"] for part in PARTS},
                    weights,
                    scans.prepare_layer([weights]),
                )
                for side, weights in zip(SIDES, directions(model.layers[0]), strict=True)
            )
            head = scans.prepare_linear(model.head[0].weight, None)
            self._prepared = Prepared(
                scans, encoders, head, model.input_size, model.hidden_size, model.num_classes
            )
        return self._prepared

    def __getstate__(self) -> dict[str, Any]:
        # A backend's own things cannot be copied; they are made anew.
        return self.__dict__ | {"_prepared": None, "_input": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)
