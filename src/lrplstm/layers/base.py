"""What a layer is: frozen data with a name, a forward and a way back.

A layer reads the outputs of one or more others and gives one of its own. Rows of an output are the
steps of all sequences, one after the other (see `lrplstm.scans`), or the sequences; which of the
two, which steps, and how many numbers a row has, is its `Form`. K targets are explained at once.

A layer is registered under a name, its `kind`, by which files know it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Self, TypeVar

import numpy as np
import numpy.typing as npt

from lrplstm.copies import Copies
from lrplstm.rules import EpsilonRule
from lrplstm.scans import Scans
from lrplstm.sequences import LengthError
from lrplstm.texts import shown
from lrplstm.weights import Array, check_dtype, frozen, rebuild

__all__ = [
    "INPUTS",
    "LAYERS",
    "Axis",
    "Form",
    "Layer",
    "Operation",
    "Pass",
    "StepsError",
    "check_lengths",
    "no_decomposition",
    "register",
]

INPUTS = "inputs"
"""By which name layers read what the network reads."""


class Axis(NamedTuple):
    """Which steps the rows of an output are: outputs of equal ones can be joined step by step.

    A sequence has ``(length + add) // stride`` of them, where `length` is the number of its steps
    in the source; or, without a source, `add` of them, whatever was read.

    Attributes
    ----------
    source : str, or None
        The name of the input, or of the layer, that they come from.
    add : int
        Steps more than the source has, or fewer.
    stride : int
        By what that is divided.

    Examples
    --------
    >>> Axis("inputs").windows(3, stride=2).windows(2, stride=2)
    Axis(source='inputs', add=-1, stride=4)
    >>> Axis.of_length(5).length
    5
    """

    source: str | None
    add: int = 0
    stride: int = 1

    @classmethod
    def of_length(cls, length: int) -> Self:
        """Return that of so many steps in each sequence."""
        return cls(None, length)

    @property
    def length(self) -> int | None:
        """How many steps each sequence has, where that is always the same number."""
        return self.add if self.source is None else None

    def windows(self, window: int, stride: int = 1) -> Axis:
        """Return that of every `stride`-th window of so many steps that fits in."""
        return self.then(stride - window, stride)  # (length - window) // stride + 1

    def then(self, add: int, stride: int = 1) -> Axis:
        """Return that of ``(length + add) // stride`` steps, where this one has `length`."""
        if self.source is None:
            return self.of_length((self.add + add) // stride)
        # ((n + a) // s + b) // t = (n + a + s b) // (s t) for whole numbers, s and t positive.
        return Axis(self.source, self.add + self.stride * add, self.stride * stride)

    def __str__(self) -> str:
        if self.source is None:
            return f"{self.add} steps"
        length = f"length{self.add:+d}" if self.add else "length"
        if self.stride == 1:
            return f"the steps of {shown(self.source)}" + (f" ({length})" if self.add else "")
        return f"the steps of {shown(self.source)} (({length}) // {self.stride})"


class Form(NamedTuple):
    """What an output is.

    Attributes
    ----------
    size : int
        Numbers in a row.
    axis : Axis, or None
        Which steps its rows are those of; None where there is one row a sequence.

    Examples
    --------
    >>> Form(60, Axis("inputs")).steps
    True
    """

    size: int
    axis: Axis | None

    @property
    def steps(self) -> bool:
        """Whether rows are those of steps, not of sequences."""
        return self.axis is not None


class Pass(NamedTuple):
    """A layer's part of a forward pass.

    Attributes
    ----------
    inputs : tuple of ndarray of shape (n, input size)
        What it read.
    output : ndarray of shape (n, size)
        What it made of that.
    offsets : tuple of ndarray of shape (B + 1,)
        Where sequences begin in the rows of each input, and where the last ends; those of one row a
        sequence are 0, 1, ..., B.
    output_offsets : ndarray of shape (B + 1,)
        The same of the output.

    Examples
    --------
    As a test of a layer of one's own makes it:

    >>> ends = (np.array([0, 2]),)
    >>> Pass((np.ones((2, 3)),), np.ones((2, 1)), ends, ends[0]).output.shape
    (2, 1)
    """

    inputs: tuple[Array, ...]
    output: Array
    offsets: tuple[Array, ...]
    output_offsets: Array


class Operation:
    """What `lrplstm.network` asks of a layer, one call for the rows of all sequences.

    Examples
    --------
    See `Layer`, of which every layer is one.
    """

    def forward(self, inputs: tuple[Array, ...], offsets: tuple[Array, ...]) -> Array:
        """Return the output.

        Parameters
        ----------
        inputs : tuple of ndarray of shape (n, input size)
            The rows of all sequences, one after the other.
        offsets : tuple of ndarray of shape (B + 1,)
            Where sequences begin in the rows of each input, as in `Pass`.

        Returns
        -------
        ndarray of shape (n, size)
            The rows of the output.
        """
        raise self._lacks("forward")

    def relevance(
        self, past: Pass, relevance: Array, rule: EpsilonRule, product_rule: str
    ) -> tuple[Array | None, ...]:
        """Return the relevance of each input.

        Parameters
        ----------
        past : Pass
            What the layer read, and what it made of that.
        relevance : ndarray of shape (K, n, size)
            Of the output, for K things that are explained.
        rule : EpsilonRule
            How sums share it out.
        product_rule : str
            How products of a gate and a signal do.

        Returns
        -------
        tuple of ndarray of shape (K, n, input size), or None
            One for each input; None for an input that gets nothing.
        """
        raise self._lacks("relevance")

    def gradient(self, past: Pass, gradient: Array) -> tuple[Array | None, ...]:
        """Return the gradient of each input.

        Parameters
        ----------
        past : Pass
            What the layer read, and what it made of that.
        gradient : ndarray of shape (K, n, size)
            Of the output.

        Returns
        -------
        tuple of ndarray of shape (K, n, input size), or None
            One for each input; None for an input that gets nothing.
        """
        raise self._lacks("gradient")

    def decompose(self, past: Pass, relevant: tuple[Array, ...], copies: Copies) -> Array:
        """Return the relevant part of the output.

        What the output is without any input, such as a bias, is no part of it.

        Parameters
        ----------
        past : Pass
            What the layer read, and what it made of that.
        relevant : tuple of ndarray
            The relevant part of each input, in the rows of copies of the sequences.
        copies : Copies
            ``copies.take`` makes such rows of those of the pass, and ``copies.offsets_like`` says
            where each copy begins.

        Returns
        -------
        ndarray
            In the rows of copies.
        """
        raise self._lacks("decompose")

    def _lacks(self, method: str) -> NotImplementedError:
        """Return the error that whoever wrote the class left out one of the methods above."""
        return NotImplementedError(f"{type(self).__name__}: expected a method {method}, found none")


@dataclass(frozen=True, eq=False, repr=False)
class Layer(Operation):
    """The base of all layers.

    A layer of your own is a frozen dataclass: its arrays are fields, and whatever else it has that
    JSON can hold. It says of what `Form` its output is, and how it is computed. Its methods are in
    NumPy, which both backends then use; `lrplstm.layers.register` makes it known to `lrplstm.load`.

    Parameters
    ----------
    name : str, optional
        By which others read it. Default: its kind, and a number if another has that name.
    reads : sequence of str, optional
        Names of the layers before it that it reads; "inputs" is what the network reads. Default:
        the one before it.

    Examples
    --------
    >>> import lrplstm
    >>> lrplstm.layers.LAYERS["dense"]
    <class 'lrplstm.layers.dense.DenseLayer'>
    """

    kind: ClassVar[str]
    name: str | None = field(default=None, kw_only=True)
    reads: tuple[str, ...] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        self._set(name=self.name, reads=self.reads)
        for name, value in self.arrays().items():
            self._set(**{name: frozen(name, value, np.shape(value))})

    def _set(self, **values: Any) -> None:
        """Set fields of a frozen layer, which only its constructor does."""
        if values.get("name") is not None and not isinstance(values["name"], str):
            raise TypeError(f"name: expected a string, got {shown(values['name'])}")
        if values.get("reads") is not None:
            names = values["reads"]
            if isinstance(names, str) or not isinstance(names, Sequence):
                raise TypeError(f"reads: expected a sequence of names, got {shown(names)}")
            if not names or not all(isinstance(name, str) for name in names):
                raise TypeError(f"reads: expected names of layers, got {shown(names)}")
            values["reads"] = tuple(names)
        for name, value in values.items():
            object.__setattr__(self, name, value)

    # What it is ---------------------------------------------------------------------------------

    @property
    def input_size(self) -> int | None:
        """Numbers in a row of what it reads; None for a layer that reads any."""
        return None

    def form(self, inputs: Sequence[Form]) -> Form:
        """Return what its output is.

        By default a layer reads one other, and gives as many rows and numbers as that.

        Parameters
        ----------
        inputs : sequence of Form
            Of what it reads.

        Returns
        -------
        Form
            Its width, and which steps its rows are.

        Raises
        ------
        ValueError
            If it cannot read that.
        """
        one = self.only(inputs)
        if self.input_size not in (None, one.size):
            raise ValueError(f"expected input_size {one.size}, got {self.input_size}")
        return one

    @staticmethod
    def only(inputs: Sequence[Form]) -> Form:
        """Return the form of what is read, or raise a ValueError where that is not one."""
        if len(inputs) != 1:
            raise ValueError(f"expected to read one layer, got {len(inputs)}")
        return inputs[0]

    @classmethod
    def of_steps(cls, inputs: Sequence[Form]) -> tuple[int, Axis]:
        """Return the form of what is read, or raise a ValueError where that is not one of steps."""
        size, axis = cls.only(inputs)
        if axis is None:
            raise ValueError("expected to read steps, got one row a sequence")
        return size, axis

    def lengths(self, lengths: tuple[Array, ...]) -> Array:
        """Return how many steps of each sequence its output has, given those of each input.

        It is asked where the axis of the output is not that of the first input, and what it returns
        is used where that axis has no fixed length. `check_lengths` refuses what it cannot read.

        Parameters
        ----------
        lengths : tuple of ndarray of shape (B,)
            Steps of each sequence, for each input.

        Returns
        -------
        ndarray of shape (B,)
            Steps of the output.
        """
        return lengths[0]

    def arrays(self) -> dict[str, Array]:
        """Return all its arrays by their names."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}

    def settings(self) -> dict[str, Any]:
        """Return whatever else it has, by name; what JSON can hold."""
        arrays = self.arrays()
        return {
            f.name: getattr(self, f.name)
            for f in dataclasses.fields(self)
            if f.init and f.name not in arrays and f.name not in ("name", "reads")
        }

    @classmethod
    def made_of(cls, arrays: Mapping[str, Array], settings: Mapping[str, Any]) -> Self:
        """Return the layer that has these `arrays` and `settings`, with name and reads."""
        arguments: dict[str, Any] = {**arrays, **settings}
        return cls(**arguments)

    def replaced(self, arrays: Mapping[str, Array] | None = None, **settings: Any) -> Self:
        """Return a layer like this one but for some of its arrays and settings."""
        changed = self.arrays() | dict(arrays or {})
        others = {name: value for name, value in self.settings().items() if name not in changed}
        named = {"name": self.name, "reads": self.reads}
        return self.made_of(changed, others | named | settings)

    def called(self, name: str | None, reads: Sequence[str] | None) -> Self:
        """Return the same layer under another name, or reading others."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._set(name=name, reads=reads)
        return other

    def astype(self, dtype: npt.DTypeLike) -> Self:
        """Return the same layer in float32 or float64."""
        resolved = check_dtype(dtype)
        # A number too large for float32 becomes infinite here; the constructor then refuses it.
        with np.errstate(over="ignore"):
            return self.replaced({n: array.astype(resolved) for n, array in self.arrays().items()})

    def describe(self) -> str:
        """Return in a line what it is."""
        parts = [f"{name} {value}" for name, value in self.settings().items()]
        parts += [f"{name} {array.shape}" for name, array in self.arrays().items()]
        return ", ".join([self.kind, *parts])

    # What a backend makes of it -----------------------------------------------------------------

    def prepare(self, scans: Scans) -> tuple[Operation, ...]:
        """Return what a backend does for it, one after the other: by default its own methods.

        The first of them gives the rows that the layer's output has; the others keep these.
        """
        return (_Checked(self),)

    def decompose(self, past: Pass, relevant: tuple[Array, ...], copies: Copies) -> Array:
        """Return the relevant part of the output; see `Operation`. By default there is none."""
        raise no_decomposition(self)

    def __reduce__(self) -> tuple[Callable[..., Self], tuple[Any, dict[str, Any]]]:
        # Through the constructor, so that copies are read-only too.
        named = {"name": self.name, "reads": self.reads}
        arguments = {"arrays": self.arrays(), "settings": self.settings() | named}
        return rebuild, (type(self).made_of, arguments)

    def __repr__(self) -> str:
        values = self.settings() | {name: array.shape for name, array in self.arrays().items()}
        named = {"name": self.name, "reads": self.reads}
        values |= {name: value for name, value in named.items() if value is not None}
        inside = ", ".join(f"{name}={value!r}" for name, value in values.items())
        return f"{type(self).__name__}({inside})"


class StepsError(ValueError):
    """Outputs are joined step by step that have other steps.

    Parameters
    ----------
    text : str
        The message.
    axes : tuple of two Axis
        Which steps they have.

    Examples
    --------
    >>> str(StepsError("expected equal steps", (Axis.of_length(2), Axis.of_length(3))))
    'expected equal steps'
    """

    def __init__(self, text: str, axes: tuple[Axis, Axis]) -> None:
        super().__init__(text, axes)
        self.axes = axes

    def __str__(self) -> str:
        return str(self.args[0])


def check_lengths(lengths: Array, fits: Array, expected: str) -> None:
    """Raise a LengthError of the first sequence that does not fit.

    Parameters
    ----------
    lengths : ndarray of shape (B,)
        Steps of each sequence.
    fits : ndarray of bool of shape (B,)
        Whether they are as they should be.
    expected : str
        How many there should be, in words.

    Examples
    --------
    >>> lengths = np.array([3, 2])
    >>> check_lengths(lengths, lengths > 2, "at least 3")
    Traceback (most recent call last):
    lrplstm.sequences.LengthError: expected at least 3 steps, got 2
    """
    if not fits.all():
        b = int(fits.argmin())
        raise LengthError(b, f"expected {expected} steps, got {lengths[b]}")


def no_decomposition(layer: Layer) -> ValueError:
    """Return the error that contextual decomposition is not defined for a layer.

    Parameters
    ----------
    layer : Layer
        The layer.

    Returns
    -------
    ValueError
        To be raised.

    Examples
    --------
    >>> from lrplstm.layers import Softmax
    >>> str(no_decomposition(Softmax(name="weights"))).split(";")[0]
    "method: contextual_decomposition is not defined for the layer 'weights' (softmax)"
    """
    return ValueError(
        f"method: contextual_decomposition is not defined for the layer {shown(layer.name)} "
        f"({layer.kind}); choose another method"
    )


class _Checked(Operation):
    """The methods of a layer, of which nobody knows whether they give what they should."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer

    def forward(self, inputs: tuple[Array, ...], offsets: tuple[Array, ...]) -> Array:
        output = self.layer.forward(inputs, offsets)
        self._check("forward", output, (len(output), *output.shape[1:2]), inputs[0].dtype)
        return output

    def relevance(
        self, past: Pass, relevance: Array, rule: EpsilonRule, product_rule: str
    ) -> tuple[Array | None, ...]:
        of_inputs = self.layer.relevance(past, relevance, rule, product_rule)
        return self._of_inputs("relevance", past, relevance, of_inputs)

    def gradient(self, past: Pass, gradient: Array) -> tuple[Array | None, ...]:
        return self._of_inputs("gradient", past, gradient, self.layer.gradient(past, gradient))

    def decompose(self, past: Pass, relevant: tuple[Array, ...], copies: Copies) -> Array:
        output = self.layer.decompose(past, relevant, copies)
        self._check("decompose", output, (len(output), *past.output.shape[1:]), past.output.dtype)
        return output

    def _of_inputs(
        self, method: str, past: Pass, given: Array, of_inputs: tuple[Array | None, ...]
    ) -> tuple[Array | None, ...]:
        if not isinstance(of_inputs, tuple) or len(of_inputs) != len(past.inputs):
            raise TypeError(
                f"{shown(self.layer.name)}: {method}: expected a tuple of {len(past.inputs)} "
                f"arrays, one for each input, got {shown(of_inputs)}"
            )
        for x, found in zip(past.inputs, of_inputs, strict=True):
            if found is not None:
                self._check(method, found, (len(given), *x.shape), x.dtype)
        return of_inputs

    def _check(
        self, method: str, found: Array, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> None:
        if found.shape != shape or found.dtype != dtype:
            raise ValueError(
                f"{shown(self.layer.name)}: {method}: expected shape {shape} and dtype {dtype}, "
                f"got {found.shape} and {found.dtype}"
            )


LAYERS: dict[str, type[Layer]] = {}
"""The layers there are, by their kind."""

_L = TypeVar("_L", bound=type[Layer])


def register(layer: _L) -> _L:
    """Make a layer known under its kind; to be written before its class, as a decorator.

    Parameters
    ----------
    layer : type of Layer
        With a `kind` that no other has.

    Returns
    -------
    type of Layer
        The same.

    Raises
    ------
    TypeError
        If it is no layer or has no kind.
    ValueError
        If another layer has that kind.

    Examples
    --------
    As of every class in `lrplstm.layers`, so this registers again what is there:

    >>> from lrplstm.layers import DenseLayer
    >>> register(DenseLayer) is LAYERS["dense"]
    True
    """
    if not isinstance(layer, type) or not issubclass(layer, Layer):
        raise TypeError(f"layer: expected a class of layers, got {shown(layer)}")
    kind = getattr(layer, "kind", None)
    if not isinstance(kind, str) or not kind:
        raise TypeError(f"kind: expected a string, got {shown(kind)}")
    known = LAYERS.setdefault(kind, layer)
    # A module that is run again, as in a notebook, registers its layers again.
    if (known.__module__, known.__qualname__) != (layer.__module__, layer.__qualname__):
        raise ValueError(f"kind: expected a new one, got {kind!r}, which {known.__name__} has")
    LAYERS[kind] = layer
    return layer
