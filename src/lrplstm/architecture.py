"""How layers have to fit together: a graph of them, or the layers and the head of an LSTMModel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from lrplstm.layers import (
    INPUTS,
    Axis,
    DenseLayer,
    FinalState,
    Form,
    Layer,
    Pool,
    Recurrent,
    StepsError,
    directions,
    recurrent,
)
from lrplstm.named_inputs import Input
from lrplstm.sequences import LengthError
from lrplstm.texts import shown
from lrplstm.weights import Array, Cells, CellWeights, Directions, LSTMWeights, frozen, same_dtype

__all__ = ["Graph", "check_head", "check_layers", "connect", "short_form"]

_ONE_INPUT = {INPUTS: Input()}


@dataclass(frozen=True, eq=False)
class Graph:
    """Layers that know what they read, each after those.

    Attributes
    ----------
    layers : tuple of Layer
        With a name each, and with the names of what they read. The last gives the scores.
    inputs : tuple of str
        The names of what the network reads, of which the first is that which has steps.
    forms : dict of Form
        What each layer gives, by its name, and what the network reads.
    scores : Form
        What the last layer gives.
    dtype : numpy.dtype
        float32 or float64, the one of all arrays.
    top : Recurrent, or None
        The last recurrent layer.
    pooled : str, or None
        The name of what is pooled of the states of that, if one pooling reads them.
    """

    layers: tuple[Layer, ...]
    inputs: tuple[str, ...]
    forms: dict[str, Form]
    scores: Form
    dtype: np.dtype[Any]
    top: Recurrent | None
    pooled: str | None

    @property
    def asks_of_each_step(self) -> bool:
        """Whether steps cannot be left out from between others without a difference."""
        return self.scores.steps or any(
            self.forms[reads].steps and not isinstance(layer, Recurrent) and not _skips(layer)
            for layer in self.layers
            for reads in layer.reads or ()
        )

    @cached_property
    def scores_other_steps(self) -> bool:
        """Whether scores are those of other steps than of the inputs, as of a decoder's."""
        return self.scores.axis not in (None, self.forms[self.inputs[0]].axis)

    @property
    def asks_of_lengths(self) -> bool:
        """Whether it depends on the number of steps whether a sequence can be read."""
        return any(type(layer).lengths is not Layer.lengths for layer in self.layers)

    def lengths(self, lengths: Mapping[str, Array]) -> dict[str, Array]:
        """Return how many steps of each sequence every output has, given those of the inputs.

        Raises
        ------
        LengthError
            If a layer cannot read so many.
        """
        every = dict(lengths)
        for layer in self.layers:
            every[str(layer.name)] = _lengths(layer, self.forms, every)
        return every


def _changes(layer: Layer, forms: Mapping[str, Form]) -> bool:
    first, *_ = layer.reads or ()
    return forms[str(layer.name)].axis != forms[first].axis


def _lengths(layer: Layer, forms: Mapping[str, Form], every: Mapping[str, Array]) -> Array:
    """Return how many steps of each sequence a layer's output has."""
    read = tuple(every[name] for name in layer.reads or ())
    if not _changes(layer, forms):
        return read[0]
    try:
        own, axis = layer.lengths(read), forms[str(layer.name)].axis
    except LengthError as error:
        raise LengthError(error.sequence, f"layer {shown(layer.name)}: {error}") from None
    if axis is None or axis.length is not None:
        return np.full_like(read[0], 1 if axis is None else axis.length)
    if own.min() < 1:
        b = int(own.argmin())
        raise LengthError(b, f"layer {shown(layer.name)}: expected more steps, got {read[0][b]}")
    return own


def _skips(layer: Layer) -> bool:
    return isinstance(layer, FinalState) or (
        isinstance(layer, Pool) and layer.pooling in ("last", "mean")
    )


def connect(layers: Sequence[Layer | Cells], inputs: Mapping[str, Input] = _ONE_INPUT) -> Graph:
    """Return the graph of some layers, or raise an error that says which of them does not fit.

    Parameters
    ----------
    layers : sequence
        Each reads the one before it, or those before it that it names. Weights of cells and pairs
        of them stand for the layer that is.
    inputs : mapping of Input
        What the network reads, by name. Default: one input, of which a layer knows the width.
    """
    if isinstance(layers, Layer | CellWeights | str) or not isinstance(layers, Sequence):
        raise TypeError(f"layers: expected a sequence of layers, got {type(layers).__name__}")
    if not layers:
        raise ValueError("layers: expected at least one layer, got none")
    named: list[Layer] = []
    names, kinds = set(inputs), Counter[str]()
    for n, given in enumerate(layers):
        layer = _to_layer(n, given)
        name = _free_name(layer.kind, names, kinds) if layer.name is None else layer.name
        if name in names or not name.strip():
            raise ValueError(f"layers[{n}]: name: expected one of its own, got {shown(name)}")
        reads = layer.reads or ((str(named[-1].name),) if named else tuple(inputs))
        if len(inputs) > 1 and layer.reads is None and not named:
            raise ValueError(f"layers[0]: reads: expected names of inputs, {_listed(inputs)}")
        for read in reads:
            if read not in names:
                raise ValueError(
                    f"layers[{n}]: reads: expected {_listed(inputs)} or the name of a layer before "
                    f"it, got {shown(read)}"
                )
        names.add(name)
        named.append(layer.called(name, reads))

    forms = _forms_of(inputs, named)
    first = next(name for name, form in forms.items() if form.steps)
    by_name = {str(layer.name): layer for layer in named}
    for n, layer in enumerate(named):
        try:
            forms[str(layer.name)] = _form(layer, forms, by_name)
        except StepsError as error:
            raise StepsError(f"layers[{n}]: {error}", error.axes) from None
        except ValueError as error:
            raise ValueError(f"layers[{n}]: {error}") from None
        _check_fixed(n, layer, forms)
    read_by_some = {read for layer in named for read in layer.reads or ()}
    for n, layer in enumerate(named[:-1]):
        if layer.name not in read_by_some:
            raise ValueError(f"layers[{n}]: {shown(layer.name)} is read by no other layer")
    for name in inputs:
        if name not in read_by_some:
            raise ValueError(f"inputs: {shown(name)} is read by no layer")
    recurrent = [layer for layer in named if isinstance(layer, Recurrent)]
    top = recurrent[-1] if recurrent else None
    readers = [layer for layer in named if top is not None and top.name in (layer.reads or ())]
    pools = [str(layer.name) for layer in readers if isinstance(layer, Pool)]
    pooled = pools[0] if len(pools) == len(readers) == 1 else None
    arrays = _arrays(named)
    if not arrays:
        raise ValueError("layers: expected one that has weights, got none")
    scores = forms[str(named[-1].name)]
    order = (first, *(name for name in inputs if name != first))
    return Graph(tuple(named), order, forms, scores, same_dtype(arrays), top, pooled)


def _form(layer: Layer, forms: Mapping[str, Form], layers: Mapping[str, Layer]) -> Form:
    """Return what a layer's output is, given what those are that it reads."""
    form = layer.form([forms[read] for read in layer.reads or ()])
    if isinstance(layer, FinalState):
        (name,) = layer.reads or ("",)
        below = layers.get(name)
        layer.number(below)  # is an error where it has none
        return layer.form_of(cast(Recurrent, below))
    return form


def _check_fixed(n: int, layer: Layer, forms: Mapping[str, Form]) -> None:
    """Refuse a layer that always reads a number of steps that it cannot read."""
    read = [forms[name].axis for name in layer.reads or ()]
    lengths = [1 if axis is None else axis.length for axis in read]
    if None in lengths:
        return
    try:
        of_one = np.array(lengths)[:, np.newaxis]
        _lengths(layer, forms, dict(zip(layer.reads or (), of_one, strict=True)))
    except LengthError as error:
        raise ValueError(f"layers[{n}]: {error}") from None


def _arrays(layers: Sequence[Layer]) -> dict[str, Array]:
    return {
        f"{shown(layer.name)}: {name}": array
        for layer in layers
        for name, array in layer.arrays().items()
    }


def _free_name(kind: str, names: Collection[str], kinds: Counter[str]) -> str:
    """Return the kind, with a number behind it where it is taken; `kinds` counts those so far."""
    while True:
        kinds[kind] += 1
        name = kind if kinds[kind] == 1 else f"{kind}_{kinds[kind]}"
        if name not in names:
            return name


def _to_layer(n: int, given: Layer | Cells) -> Layer:
    if isinstance(given, Layer):
        return given
    pair = isinstance(given, Sequence) and not isinstance(given, str) and len(given) == 2
    try:
        return recurrent(*given) if pair else recurrent(given)  # type: ignore[misc]
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"layers[{n}]: {error}") from None


def _listed(inputs: Mapping[str, Input]) -> str:
    return ", ".join(repr(name) for name in inputs)


def _forms_of(inputs: Mapping[str, Input], layers: Sequence[Layer]) -> dict[str, Form]:
    """Return what the network reads."""
    forms: dict[str, Form] = {}
    for name, one in inputs.items():
        size = _input_size(name, layers) if one.size is None else one.size
        if isinstance(one.steps, str):
            axis = forms[one.steps].axis
        elif isinstance(one.steps, bool):
            axis = Axis(name) if one.steps else None
        else:
            axis = Axis.of_length(one.steps)
        forms[name] = Form(size, axis)
    return forms


def _input_size(name: str, layers: Sequence[Layer]) -> int:
    for layer in layers:
        if (layer.reads or ())[:1] == (name,) and layer.input_size is not None:
            return layer.input_size
    if name != INPUTS:
        raise ValueError(f"inputs[{shown(name)}]: expected its size, or an embedding")
    raise ValueError(
        "layers: expected one that reads the inputs and has an input_size, or an embedding"
    )


def short_form(layers: Sequence[Directions], pooling: str, head: Sequence[DenseLayer]) -> Graph:
    """Return the graph of an LSTMModel."""
    pool = [] if pooling == "none" else [Pool(pooling)]
    return connect([*layers, *pool, *(dense.called(None, None) for dense in head)])


def check_layers(layers: Sequence[Directions]) -> tuple[Directions, ...]:
    """Return layers of which each reads what the one below it gives, all of one dtype."""
    if isinstance(layers, LSTMWeights) or not isinstance(layers, Sequence):
        raise TypeError(
            "layers: expected a sequence of LSTMWeights or of (forward, backward) pairs, "
            f"got {type(layers).__name__}"
        )
    if not layers:
        raise ValueError("layers: expected at least one layer, got none")
    checked: list[Directions] = []
    for n, layer in enumerate(layers):
        if not isinstance(layer, LSTMWeights):
            if (
                not isinstance(layer, Sequence)
                or len(layer) != 2
                or not all(isinstance(weights, LSTMWeights) for weights in layer)
            ):
                raise TypeError(
                    f"layers[{n}]: expected LSTMWeights or a (forward, backward) pair of them, "
                    f"got {shown(layer)}"
                )
            layer = tuple(layer)
            if layer[0].reverse:
                raise ValueError(f"layers[{n}]: expected the forward direction first")
            if layer[0].hidden_size != layer[1].hidden_size:
                raise ValueError(
                    f"layers[{n}]: expected one hidden_size in both directions, "
                    f"got {layer[0].hidden_size} and {layer[1].hidden_size}"
                )
        for weights in directions(layer):
            if weights.variants():
                raise ValueError(
                    f"layers[{n}]: expected an LSTM as it is by default, got one with "
                    f"{', '.join(weights.variants())}; make a lrplstm.Model of it"
                )
        checked.append(layer)

    expected = directions(checked[0])[0].input_size
    for n, layer in enumerate(checked):
        both = directions(layer)
        for weights in both:
            if weights.input_size != expected:
                raise ValueError(
                    f"layers[{n}]: expected input_size {expected}, got {weights.input_size}"
                )
        expected = sum(weights.hidden_size for weights in both)
    same_dtype(
        {
            f"layers[{n}]" + ("" if isinstance(layer, LSTMWeights) else f"[{d}]"): weights.weight_ih
            for n, layer in enumerate(checked)
            for d, weights in enumerate(directions(layer))
        }
    )
    return tuple(checked)


def check_head(
    weight: npt.ArrayLike | None,
    bias: npt.ArrayLike | None,
    head: Sequence[DenseLayer] | None,
    width: int,
) -> tuple[DenseLayer, ...]:
    """Return the layers of a head that was given in either form."""
    if head is None:
        if weight is None:
            if bias is not None:
                raise ValueError("head_bias: expected None where there is no head_weight")
            return ()
        weight = frozen("head_weight", weight, ("num_classes", width))
        if bias is not None:
            bias = frozen("head_bias", bias, (len(weight),))
            same_dtype({"head_weight": weight, "head_bias": bias})
        return (DenseLayer(weight, bias),)
    if weight is not None or bias is not None:
        raise ValueError("head: expected None where there is head_weight or head_bias")
    if not isinstance(head, Sequence) or not all(isinstance(h, DenseLayer) for h in head):
        raise TypeError(f"head: expected a sequence of DenseLayer, got {shown(head)}")
    for n, layer in enumerate(head):
        if layer.input_size != width:
            raise ValueError(f"head[{n}]: expected input_size {width}, got {layer.input_size}")
        width = layer.output_size
    return tuple(head)
