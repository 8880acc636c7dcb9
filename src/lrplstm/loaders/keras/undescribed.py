"""Files with weights only: the layers, as names and shapes tell them, and the user for the rest."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from lrplstm.checks import check_choice
from lrplstm.layers import POOLINGS
from lrplstm.loaders.keras.arrays import is_cudnn
from lrplstm.loaders.keras.config import OTHER_CLASS, KerasLayer
from lrplstm.loaders.keras.stores import NamedStore, NumberedStore, Weight, class_of
from lrplstm.texts import shown

__all__ = ["Said", "layers_of_named", "layers_of_numbered"]

_MERGE_MODES = ("concat", "sum", "ave")
_PASS_CONFIG = "pass the model's config (the JSON of model.to_json()) as config="

# Layers without weights, by the name that Keras gives them if nobody else does.
_WEIGHTLESS = {
    "input": "InputLayer",
    "input_layer": "InputLayer",
    "dropout": "Dropout",
    "spatial_dropout1d": "SpatialDropout1D",
    "gaussian_dropout": "GaussianDropout",
    "gaussian_noise": "GaussianNoise",
    "alpha_dropout": "AlphaDropout",
    "activity_regularization": "ActivityRegularization",
    "identity": "Identity",
    "flatten": "Flatten",
    "softmax": "Softmax",
    "global_average_pooling1d": "GlobalAveragePooling1D",
    "global_max_pooling1d": "GlobalMaxPooling1D",
}
_POOLING_CLASSES = {"GlobalAveragePooling1D": "mean", "GlobalMaxPooling1D": "max"}
_NUMBERED = {
    "embedding": "Embedding",
    "lstm": "LSTM",
    "bidirectional": "Bidirectional",
    "dense": "Dense",
    "time_distributed": "TimeDistributed",
}
_MOST_ORDERED = 64  # layers whose order is looked for
_RECURRENT = ("LSTM", "Bidirectional")
_DENSE = ("Dense", "TimeDistributed")


@dataclass(frozen=True)
class Said:
    """What the user says of a model; None where nothing is said.

    See `lrplstm.from_keras`.
    """

    pooling: str | None = None
    merge_mode: str | None = None
    mask_zero: bool | None = None
    recurrent_activation: str | None = None
    dense_activations: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if self.pooling is not None:
            check_choice("pooling", self.pooling, POOLINGS)
        if self.merge_mode is not None:
            check_choice("merge_mode", self.merge_mode, _MERGE_MODES)
        if not isinstance(self.mask_zero, bool | None):
            raise TypeError(f"mask_zero: expected True or False, got {shown(self.mask_zero)}")
        if not isinstance(self.recurrent_activation, str | None):
            raise TypeError(
                f"recurrent_activation: expected a str, got {shown(self.recurrent_activation)}"
            )
        names = self.dense_activations
        if names is None:
            return
        if (
            isinstance(names, str)
            or not isinstance(names, Sequence)
            or not all(isinstance(name, str) for name in names)
        ):
            raise TypeError(f"dense_activations: expected a sequence of str, got {shown(names)}")

    def check(self, found: dict[str, Any]) -> None:
        """Raise a ValueError if the model is another than the user says."""
        for name, said in vars(self).items():
            if said is None:
                continue
            if name not in found:
                raise ValueError(f"{name}: expected None, as the model has no layer it is about")
            fits = (
                list(said) == found[name] if isinstance(found[name], list) else said == found[name]
            )
            if not fits:
                raise ValueError(
                    f"{name}: expected None or {shown(found[name])} as the model has it, "
                    f"got {shown(said)}"
                )


@dataclass(frozen=True, eq=False)
class _Seen:
    """A layer as its name and arrays show it: all but what only a config says."""

    name: str
    stored: tuple[str, int]
    class_name: str
    weights: list[Weight]

    def layer(self, **config: Any) -> KerasLayer:
        """Return the layer with this config."""
        return KerasLayer(self.name, self.class_name, config, (self.name,), (self.stored,))

    @property
    def input_size(self) -> int:
        """Width of what it reads."""
        return self._rows(0)

    @property
    def hidden_size(self) -> int:
        """Units of one direction."""
        return self._rows(1)

    def _rows(self, number: int) -> int:
        shape = self.weights[number].array.shape if number < len(self.weights) else ()
        return shape[0] if shape else 0


# Older files ------------------------------------------------------------------------------------


def layers_of_named(store: NamedStore, said: Said) -> list[KerasLayer]:
    """Return the layers in an older file, in the order of its list of names.

    Raises
    ------
    ValueError
        If they are none that can be explained, or something has to be said; it says what.
    """
    seen = [
        _see_named(name, store.weights(_blank(name)))
        for name in store.contents.texts(store.root, "layer_names") or []
    ]
    while seen and class_of(seen[-1].name) == "activation":  # of the scores, so nothing to us
        seen.pop()
    for one in seen:
        if one.class_name == "Activation":
            raise one.layer().refuse(f"its name does not tell what it does; {_PASS_CONFIG}")
    version = store.contents.text(store.root, "keras_version") or ""
    return _describe(seen, said, gates="sigmoid" if _gates_are_sigmoid(version) else None)


def _blank(name: str) -> KerasLayer:
    return KerasLayer(name, "of weights only", {}, (name,), ())


def _gates_are_sigmoid(version: str) -> bool:
    """Whether this version of Keras makes LSTMs whose gates are sigmoid if nothing else is said."""
    found = re.match(r"(\d{1,4})\.(\d{1,4})", version, flags=re.ASCII)
    return found is not None and (int(found[1]), int(found[2])) >= (2, 3)


def _see_named(name: str, weights: list[Weight]) -> _Seen:
    class_name = _class_of_arrays(name, weights) if weights else None
    if not weights:
        base = class_of(name)
        class_name = "Activation" if base == "activation" else _WEIGHTLESS.get(base)
        if class_name is None:
            raise _blank(name).refuse(f"its name does not tell what it does; {_PASS_CONFIG}")
    if class_name is None:
        roles = ", ".join(weight.role for weight in weights)
        raise _blank(name).refuse(
            f"cannot be explained, or not without a config; it has the arrays {roles:.100}"
        )
    return _Seen(name, (name, 0), class_name, weights)


def _class_of_arrays(name: str, weights: list[Weight]) -> str | None:
    """Return the class of the layer that has such arrays, or None if it is none of ours."""
    roles = [weight.role for weight in weights]
    half = len(weights) // 2
    if len(weights) in (4, 6, 24) and all("backward" in w.name for w in weights[half:]):
        one = _class_of_arrays(name, weights[:half])
        return "Bidirectional" if one == "LSTM" else None
    if len(weights) == 12 and all(role[-4:-1] in ("_W_", "_U_", "_b_") for role in roles):
        return "LSTM"
    shapes = [weight.array.shape for weight in weights]
    names = [role.rpartition("_")[2] for role in roles]  # Keras 1: lstm_1_W
    if roles == ["embeddings"] or (names == ["W"] and class_of(name) == "embedding"):
        return "Embedding"
    if names in (["kernel", "kernel"], ["kernel", "kernel", "bias"], ["W", "U", "b"]):
        kernel, recurrent = shapes[:2]
        fits = len(kernel) == len(recurrent) == 2 and 4 * recurrent[0] == recurrent[1] == kernel[1]
        return "LSTM" if fits else None
    if names in (["kernel"], ["kernel", "bias"], ["W"], ["W", "b"]) and len(shapes[0]) == 2:
        return "TimeDistributed" if class_of(name) == "time_distributed" else "Dense"
    return None


# Files of Keras 3 -------------------------------------------------------------------------------


def layers_of_numbered(store: NumberedStore, said: Said) -> list[KerasLayer]:
    """Return the layers in a file of Keras 3, whose groups are numbered by class only.

    Raises
    ------
    ValueError
        As `layers_of_named`; or if the order of the layers cannot be told; or if there are weights
        beside those of the layers, as of a model of a class of somebody's own.
    """
    # Such a model keeps layers by the names of its attributes, those before "layers" first.
    for path, array in store.contents.arrays.items():
        above = path.partition("/")[0]
        beside = above not in (store.container, "optimizer")
        if beside and array is not None and array.ndim > 1:
            raise ValueError(
                f"expected the weights of a Sequential or Functional model, found {shown(above)} "
                f"beside its layers; {OTHER_CLASS}"
            )
    by_class: dict[str, list[_Seen]] = {}
    for kind, names in store.members("").items():
        for number, name in enumerate(names):
            seen = _see_numbered(store, kind, number, name)
            by_class.setdefault(seen.class_name, []).append(seen)
    dense = [one for kind in _DENSE for one in by_class.pop(kind, [])]
    if len({one.class_name for one in dense}) > 1:
        raise ValueError(f"the order of Dense and TimeDistributed is not known; {_PASS_CONFIG}")
    embedding = by_class.pop("Embedding", [])
    tables = [weight.array for one in embedding for weight in one.weights]
    widths = tables[0].shape[1:] if tables else ()
    recurrent = _order(by_class.pop("LSTM", []), by_class.pop("Bidirectional", []), widths)
    rest = [one for members in by_class.values() for one in members]
    output = [one for one in rest if one.class_name == "Softmax"]
    rest = [one for one in rest if one.class_name not in ("Softmax", "Flatten")]
    return _describe(embedding + recurrent + rest + dense + output, said, gates="sigmoid")


def _see_numbered(store: NumberedStore, kind: str, number: int, stored: str) -> _Seen:
    class_name = _NUMBERED.get(kind) or _WEIGHTLESS.get(kind)
    name = store.contents.text(f"{store.container}/{stored}/vars", "name") or stored
    layer = KerasLayer(name, class_name or kind, {}, (name,), ((kind, number),))
    if class_name is None:
        if kind in ("sequential", "functional", "activation", "re_lu", "masking"):
            raise layer.refuse(f"the file does not say what it does; {_PASS_CONFIG}")
        raise layer.refuse("cannot be explained")
    weights = store.weights(layer) if kind in _NUMBERED else []
    return _Seen(name, (kind, number), class_name, weights)


def _order(one: list[_Seen], other: list[_Seen], widths: tuple[int, ...]) -> list[_Seen]:
    """Return LSTM and Bidirectional layers in the one order in which each can read the last."""
    if not (one and other):
        return one + other
    orders = []
    if len(one) + len(other) <= _MOST_ORDERED:
        orders = list(islice(_orders(one, other, widths, set()), 2))
    if len(orders) != 1:
        what = "several orders fit" if orders else "no order fits"
        raise ValueError(
            f"the order of LSTM and Bidirectional is not known, {what}; {_PASS_CONFIG}"
        )
    return orders[0]


def _orders(
    one: list[_Seen],
    other: list[_Seen],
    widths: tuple[int, ...],
    dead: set[tuple[int, int, tuple[int, ...]]],
) -> Iterator[list[_Seen]]:
    """Yield the ways to merge two lists whose first layer reads one of these widths, or any.

    `dead` has the states from which there was no way, so that none is tried twice.
    """
    if not one and not other:
        yield []
        return
    state = (len(one), len(other), widths)
    if state in dead:
        return
    choices = [(one[0], one[1:], other)] if one else []
    choices += [(other[0], one, other[1:])] if other else []
    found = False
    for first, ones, others in choices:
        if widths and first.input_size not in widths:
            continue
        units = first.hidden_size
        made = (units, 2 * units) if first.class_name == "Bidirectional" else (units,)
        for rest in _orders(ones, others, made, dead):
            found = True
            yield [first, *rest]
    if not found:
        dead.add(state)


# What only the user knows -----------------------------------------------------------------------


def _describe(seen: list[_Seen], said: Said, gates: str | None) -> list[KerasLayer]:
    """Return the layers with the config that they must have had.

    `gates` is the activation of gates where nothing else is said; None if that is not known.
    """
    recurrent = [one for one in seen if one.class_name in _RECURRENT]
    if not recurrent:
        raise ValueError("expected an LSTM layer, found none")
    asked: dict[str, str] = {}  # what has to be said, by the argument
    pooling = _pooling(seen, said, asked)
    activations = _dense_activations(seen, said, asked)
    described: list[KerasLayer] = []
    for one in seen:
        if one.class_name in _POOLING_CLASSES:
            continue  # it stands behind the last LSTM, wherever the file has it
        if one.class_name == "Embedding":
            described.append(one.layer(mask_zero=_mask_zero(one, said, asked)))
        elif one.class_name in _RECURRENT:
            sequences = one is not recurrent[-1] or pooling != "last"
            described.append(_recurrent(one, seen, said, gates, sequences, asked))
        elif one.class_name in _DENSE:
            described.append(_dense(one, activations.get(one.name, "linear")))
        else:
            described.append(one.layer())
        if one is recurrent[-1]:
            described += _pooling_layer(pooling, seen)
    if asked:
        text = ", ".join(f"{name} ({what})" for name, what in asked.items())
        raise ValueError(f"the file has weights only; pass {text}; or {_PASS_CONFIG}")
    return described


def _pooling(seen: list[_Seen], said: Said, asked: dict[str, str]) -> str:
    found = [_POOLING_CLASSES[one.class_name] for one in seen if one.class_name in _POOLING_CLASSES]
    if any(one.class_name == "TimeDistributed" for one in seen):
        found.append("none")
    if len(found) > 1:
        raise ValueError(f"expected one pooling, got {' and '.join(found):.60}; {_PASS_CONFIG}")
    if not found and said.pooling is None:
        last = [one.name for one in seen if one.class_name in _RECURRENT][-1]
        asked["pooling"] = (
            f"what is read of {shown(last)}: 'last' if its return_sequences is False, else 'mean', "
            "'max' or 'none'"
        )
    return found[0] if found else said.pooling or "last"


def _pooling_layer(pooling: str, seen: list[_Seen]) -> list[KerasLayer]:
    """Return the pooling layer, if there is one, whether the file has a trace of it or not."""
    for class_name, meant in _POOLING_CLASSES.items():
        if meant == pooling:
            own = [one.layer() for one in seen if one.class_name == class_name]
            return own or [KerasLayer(pooling, class_name, {}, (pooling,), ())]
    return []


def _mask_zero(one: _Seen, said: Said, asked: dict[str, str]) -> bool:
    if said.mask_zero is None:
        asked["mask_zero"] = f"True or False: whether {shown(one.name)} takes id 0 for padding"
    return bool(said.mask_zero)


def _recurrent(
    one: _Seen,
    seen: list[_Seen],
    said: Said,
    gates: str | None,
    sequences: bool,
    asked: dict[str, str],
) -> KerasLayer:
    sides = 2 if one.class_name == "Bidirectional" else 1
    cell: dict[str, Any] = {
        "activation": "tanh",
        "recurrent_activation": _gates(one, said, gates, asked),
        "use_bias": len(one.weights) != 2 * sides,
        "return_sequences": sequences,
    }
    if sides == 1:
        return one.layer(**cell)
    inner = {"class_name": "LSTM", "config": cell}
    return one.layer(layer=inner, merge_mode=_merge_mode(one, seen, said, asked))


def _dense(one: _Seen, activation: str) -> KerasLayer:
    config: dict[str, Any] = {"activation": activation, "use_bias": len(one.weights) == 2}
    if one.class_name == "Dense":
        return one.layer(**config)
    return one.layer(layer={"class_name": "Dense", "config": config})


def _dense_activations(seen: list[_Seen], said: Said, asked: dict[str, str]) -> dict[str, str]:
    names = [one.name for one in seen if one.class_name in _DENSE]
    given = said.dense_activations
    if given is None:
        if len(names) > 1:
            example = ["relu"] * (len(names) - 1) + ["softmax"]
            asked["dense_activations"] = f"those of {shown(names)}, such as {shown(example)}"
        return {}
    if len(given) != len(names):
        raise ValueError(
            f"dense_activations: expected {len(names)}, one for each of {shown(names)}, "
            f"got {len(given)}"
        )
    return dict(zip(names, given, strict=True))


def _gates(one: _Seen, said: Said, gates: str | None, asked: dict[str, str]) -> str:
    if said.recurrent_activation is not None:
        return said.recurrent_activation
    weights = one.weights
    if gates is None and len(weights) in (3, 6) and is_cudnn(weights[1].array, weights[2].array):
        return "sigmoid"  # it has no other
    if gates is None:
        asked["recurrent_activation"] = (
            f"that of {shown(one.name)}: Keras before 2.3 had 'hard_sigmoid', which cannot be "
            "explained, if nothing else was said"
        )
    return gates or "sigmoid"


def _merge_mode(one: _Seen, seen: list[_Seen], said: Said, asked: dict[str, str]) -> str:
    if said.merge_mode is not None:
        return said.merge_mode
    after = seen[seen.index(one) + 1 :]
    reads = next((x.input_size for x in after if x.class_name in _RECURRENT + _DENSE), 0)
    if reads != 2 * one.hidden_size:
        asked["merge_mode"] = f"'concat', 'sum' or 'ave' of {shown(one.name)}"
    return "concat"
