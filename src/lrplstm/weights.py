"""Weights of cells, and how arrays of weights are checked: frozen data."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from lrplstm.activations import Elementwise, Said, to_elementwise
from lrplstm.checks import check_shape, to_array, to_flag, to_int
from lrplstm.texts import shown

__all__ = [
    "Array",
    "CellWeights",
    "Cells",
    "Directions",
    "LSTMWeights",
    "check_dtype",
    "frozen",
    "rebuild",
    "same_dtype",
    "stacked",
]

Array = npt.NDArray[Any]

_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


def check_dtype(dtype: npt.DTypeLike) -> np.dtype[Any]:
    """Return `dtype` as float32 or float64, or raise a TypeError."""
    refused = TypeError(f"dtype: expected float32 or float64, got {shown(dtype)}")
    if dtype is None:  # which NumPy would read as float64
        raise refused
    try:
        resolved = np.dtype(dtype)
    except (TypeError, ValueError, RecursionError):
        raise refused from None
    if resolved not in _DTYPES:
        raise refused
    return resolved


def frozen(name: str, value: npt.ArrayLike, shape: tuple[int | str, ...]) -> Array:
    """Check one array of weights and return it contiguous and read-only.

    Parameters
    ----------
    name : str
        What errors call it.
    value : array_like
        float32 or float64, finite. What could still be written to is copied, so that nobody
        changes a model behind its back.
    shape : tuple of int or str
        Expected shape; a str names a dimension of any size of at least 1.

    Returns
    -------
    ndarray

    Raises
    ------
    TypeError
        If the dtype is another.
    ValueError
        If the shape is another, or a value is NaN or infinite.
    """
    array = to_array(name, value)
    if array.dtype.newbyteorder("=") not in _DTYPES:
        raise TypeError(f"{name}: expected float32 or float64, got dtype {array.dtype}")
    check_shape(name, array, shape)
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: expected finite numbers, got NaN or infinity")
    # astype also brings a foreign byte order to the machine's own.
    native = array.astype(array.dtype.newbyteorder("="), order="C", copy=_may_change(array))
    native.flags.writeable = False
    return native


def _may_change(array: Array) -> bool:
    """Whether `array` can be written to, or lies in something that can."""
    memory: object = array
    while isinstance(memory, np.ndarray):
        if memory.flags.writeable:
            return True
        memory = memory.base
    return not (memory is None or isinstance(memory, bytes))


def same_dtype(arrays: dict[str, Array]) -> np.dtype[Any]:
    """Return the one dtype of all `arrays`, or raise a ValueError that names two that differ."""
    (first, reference), *others = arrays.items()
    for name, array in others:
        if array.dtype != reference.dtype:
            raise ValueError(
                f"{name}: expected the dtype of {first}, {reference.dtype}, got {array.dtype}"
            )
    return reference.dtype


@dataclass(frozen=True, eq=False, repr=False)
class CellWeights:
    """The base of weights: one direction of one layer of cells, frozen data.

    The weights of a cell of your own are a frozen dataclass: its arrays are fields, and whatever
    else it has that JSON can hold. A field that is None it does not have.

    Attributes
    ----------
    weight_ih : ndarray of shape (n, input_size)
        What multiplies the input x_t.
    weight_hh : ndarray of shape (n, output_size)
        What multiplies the hidden state h_{t-1}.
    reverse : bool
        Whether it reads sequences from their last step to their first.
    STATES : tuple of str
        Names of its initial states; that of h comes first.
    """

    STATES: ClassVar[tuple[str, ...]] = ("initial_hidden",)

    weight_ih: Array
    weight_hh: Array
    reverse: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        for name, value in self.arrays().items():
            object.__setattr__(self, name, frozen(name, value, np.shape(value)))

    def _freeze(
        self,
        shapes: Mapping[str, tuple[Any, tuple[int | str, ...]]],
        optional: Sequence[str] = (),
        **settings: Any,
    ) -> None:
        """Check all arrays, given with their shapes, and set them and all else.

        States that are not given are zeros; `optional` arrays that are not given are None.
        """
        dtype, arrays = shapes["weight_ih"][0].dtype, {}
        for name, (value, shape) in shapes.items():
            if value is None and name in self.STATES:
                value = np.zeros([int(size) for size in shape], dtype)
            if value is None and name in optional:
                settings[name] = None
            else:
                arrays[name] = frozen(name, value, shape)
        same_dtype(arrays)
        for name, value in (arrays | settings).items():
            object.__setattr__(self, name, value)

    @property
    def input_size(self) -> int:
        """Width D of what this direction reads."""
        return int(self.weight_ih.shape[1])

    @property
    def hidden_size(self) -> int:
        """Number H of its units."""
        return self.output_size

    @property
    def output_size(self) -> int:
        """Width of its hidden state, H but where that is projected."""
        return int(self.weight_hh.shape[1])

    @property
    def lower_units(self) -> tuple[int, ...]:
        """How many units the sum of each gate has: inputs and h."""
        gates = len(self.weight_ih) // self.hidden_size
        return (self.input_size + self.output_size,) * gates

    @property
    def dtype(self) -> np.dtype[Any]:
        """Either float32 or float64."""
        return self.weight_ih.dtype

    @property
    def initial_states(self) -> tuple[Array, ...]:
        """States before the first step, h_{-1} first."""
        return tuple(getattr(self, name) for name in self.STATES)

    def _fields(self) -> dict[str, Any]:
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    def arrays(self) -> dict[str, Array]:
        """All arrays by their names."""
        return {n: value for n, value in self._fields().items() if isinstance(value, np.ndarray)}

    def settings(self) -> dict[str, Any]:
        """Whatever else it has, by name."""
        arrays = self.arrays()
        return {name: value for name, value in self._fields().items() if name not in arrays}

    def variants(self) -> dict[str, Any]:
        """Whatever is not as by default, but for `reverse`: settings and optional arrays."""
        fields, defaults = self._fields(), inspect.signature(type(self)).parameters
        return {
            name: value
            for name, value in fields.items()
            if name not in ("reverse", *self.STATES)
            and defaults[name].default is not inspect.Parameter.empty
            and (isinstance(value, np.ndarray) or value != defaults[name].default)
        }

    def replaced(self, **changes: Any) -> Self:
        """Return the same weights but for some."""
        return type(self)(**self._fields() | changes)

    def astype(self, dtype: npt.DTypeLike) -> Self:
        """Return the same weights in float32 or float64."""
        resolved = check_dtype(dtype)
        # A number too large for float32 becomes infinite here; the constructor then refuses it.
        with np.errstate(over="ignore"):
            return self.replaced(
                **{n: array.astype(resolved) for n, array in self.arrays().items()}
            )

    def __reduce__(self) -> tuple[Callable[..., Self], tuple[type[Self], dict[str, Any]]]:
        # Through the constructor, so that copies are read-only too.
        return rebuild, (type(self), self._fields())

    def __repr__(self) -> str:
        shown = {"input_size": self.input_size, "hidden_size": self.hidden_size}
        if self.output_size != self.hidden_size:
            shown["output_size"] = self.output_size
        text = ", ".join(
            f"{name}={value}" for name, value in (shown | {"dtype": self.dtype}).items()
        )
        for name, value in self.variants().items():
            text += f", {name}={value.shape if isinstance(value, np.ndarray) else repr(value)}"
        return f"{type(self).__name__}({text}{', reverse=True' if self.reverse else ''})"


def stacked(weight_ih: npt.ArrayLike, gates: int) -> tuple[Array, int]:
    """Return the checked weight_ih of a cell that stacks so many gates, and its number of units."""
    size = f"{gates} * hidden_size" if gates > 1 else "hidden_size"
    weight_ih = frozen("weight_ih", weight_ih, (size, "input_size"))
    rows = len(weight_ih)
    if rows % gates:
        raise ValueError(
            f"weight_ih: expected shape ({size}, input_size), "
            f"got {weight_ih.shape}: {rows} is no multiple of {gates}"
        )
    return weight_ih, rows // gates


@dataclass(frozen=True, eq=False, repr=False, init=False)
class LSTMWeights(CellWeights):
    """One direction of one LSTM layer.

    The gates are stacked in the order input gate, forget gate, cell candidate, output gate
    (i, f, g, o), as PyTorch has them. Frameworks that keep two biases per gate: give their sum.

    Parameters
    ----------
    weight_ih : array_like of shape (4 * hidden_size, input_size)
        What multiplies the input x_t.
    weight_hh : array_like of shape (4 * hidden_size, hidden_size)
        What multiplies the hidden state h_{t-1}.
    bias : array_like of shape (4 * hidden_size,)
        Sum of all biases of a gate.
    activation : str, or (str, dict of float)
        Of the cell candidate; see `lrplstm.activations`.
    cell_activation : str, or (str, dict of float), optional
        Of the cell state where the output gate lets it out. Default: `activation`.
    gate_activation : str, or (str, dict of float)
        Of the three gates.
    peepholes : array_like of shape (3, hidden_size), optional
        What multiplies c_{t-1} in the input gate, c_{t-1} in the forget gate, and c_t in the output
        gate. Default: none.
    weight_hr : array_like of shape (output_size, hidden_size), optional
        Projects the hidden state: ``h = weight_hr @ (o tanh(c))``. Then `weight_hh` has the shape
        (4 * hidden_size, output_size), and `initial_hidden` (output_size,). Default: none.
    static_inputs : int
        So many of the last inputs, such as features of a catchment that are the same at every step,
        are read by the input gate alone, which reads nothing else; all other weights there have to
        be zero. It is the entity-aware LSTM. Default: 0, all gates read all inputs.
    initial_hidden, initial_cell : array_like of shape (hidden_size,), optional
        States h_{-1} and c_{-1} before the first step this direction reads. Default: zeros.
    reverse : bool
        Whether it reads sequences from their last step to their first. The second of a (forward,
        backward) pair always does.

    Raises
    ------
    TypeError
        If an array is neither float32 nor float64.
    ValueError
        If shapes or dtypes do not fit together, a value is NaN or infinite, or there is no such
        activation.

    Notes
    -----
    Peepholes: Gers and Schmidhuber 2000 (doi 10.1109/IJCNN.2000.861302); projection: Sak et al.
    2014 (arXiv 1402.1128); entity-aware: Kratzert et al. 2019 (doi 10.5194/hess-23-5089-2019).

    Examples
    --------
    >>> import numpy as np
    >>> import lrplstm
    >>> lrplstm.LSTMWeights(np.ones((8, 3)), np.ones((8, 2)), np.zeros(8))
    LSTMWeights(input_size=3, hidden_size=2, dtype=float64)
    """

    STATES: ClassVar[tuple[str, ...]] = ("initial_hidden", "initial_cell")

    bias: Array
    initial_hidden: Array
    initial_cell: Array
    peepholes: Array | None
    weight_hr: Array | None
    activation: Said
    cell_activation: Said | None
    gate_activation: Said
    static_inputs: int

    def __init__(
        self,
        weight_ih: npt.ArrayLike,
        weight_hh: npt.ArrayLike,
        bias: npt.ArrayLike,
        *,
        activation: Said = "tanh",
        cell_activation: Said | None = None,
        gate_activation: Said = "sigmoid",
        peepholes: npt.ArrayLike | None = None,
        weight_hr: npt.ArrayLike | None = None,
        static_inputs: int = 0,
        initial_hidden: npt.ArrayLike | None = None,
        initial_cell: npt.ArrayLike | None = None,
        reverse: bool = False,
    ) -> None:
        weight_ih, H = stacked(weight_ih, 4)
        P = H
        if weight_hr is not None:
            weight_hr = frozen("weight_hr", weight_hr, ("output_size", H))
            P = len(weight_hr)
        said = to_elementwise("activation", activation).said
        of_cell = None
        if cell_activation is not None:
            of_cell = to_elementwise("cell_activation", cell_activation).said
        self._freeze(
            {
                "weight_ih": (weight_ih, (4 * H, "input_size")),
                "weight_hh": (weight_hh, (4 * H, P)),
                "bias": (bias, (4 * H,)),
                "initial_hidden": (initial_hidden, (P,)),
                "initial_cell": (initial_cell, (H,)),
                "peepholes": (peepholes, (3, H)),
                "weight_hr": (weight_hr, (P, H)),
            },
            optional=("peepholes", "weight_hr"),
            activation=said,
            cell_activation=None if of_cell == said else of_cell,
            gate_activation=to_elementwise("gate_activation", gate_activation).said,
            static_inputs=to_int("static_inputs", static_inputs, 0, weight_ih.shape[1] - 1),
            reverse=to_flag("reverse", reverse),
        )
        self._check_static()

    def _check_static(self) -> None:
        """Raise a ValueError where something is read that `static_inputs` says is not."""
        H, first = self.hidden_size, self.input_size - self.static_inputs
        if self.static_inputs == 0:
            return
        if self.weight_ih[:H, :first].any() or self.weight_hh[:H].any():
            raise ValueError(
                "static_inputs: expected an input gate that reads the last "
                f"{self.static_inputs} inputs alone, zeros in weight_ih[:{H}, :{first}] and "
                f"weight_hh[:{H}]"
            )
        if self.weight_ih[H:, first:].any():
            raise ValueError(
                f"static_inputs: expected the last {self.static_inputs} inputs to be read by the "
                f"input gate alone, zeros in weight_ih[{H}:, {first}:]"
            )

    @property
    def hidden_size(self) -> int:
        """Number H of its units."""
        return len(self.bias) // 4

    @property
    def rows_g(self) -> slice:
        """Rows of the cell candidate g, the only ones through which relevance passes."""
        return slice(2 * self.hidden_size, 3 * self.hidden_size)

    @property
    def lower_units(self) -> tuple[int, int, int, int]:
        """How many units the sums of i, f, g and o have each: inputs, h and, with peepholes, c."""
        others = self.input_size - self.static_inputs + self.output_size
        peeped = 0 if self.peepholes is None else self.hidden_size
        of_i = self.static_inputs or others
        return of_i + peeped, others + peeped, others, others + peeped

    @cached_property
    def functions(self) -> tuple[Elementwise, Elementwise, Elementwise]:
        """The activation of the candidate, that of the cell state, and that of the gates."""
        of_cell = self.activation if self.cell_activation is None else self.cell_activation
        return (
            to_elementwise("activation", self.activation),
            to_elementwise("cell_activation", of_cell),
            to_elementwise("gate_activation", self.gate_activation),
        )


def rebuild(cls: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    """Call a class with these arguments: how frozen data comes out of a pickle."""
    return cls(**arguments)


Directions = LSTMWeights | Sequence[LSTMWeights]
"""One direction of an LSTM layer by itself, or a (forward, backward) pair."""

Cells = CellWeights | Sequence[CellWeights]
"""The same of any cell."""
