"""Files with weights only: the layers, as stored names and shapes tell them, or the user."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from math import comb
from typing import Any

from lrplstm.loaders.keras.arrays import is_cudnn
from lrplstm.loaders.keras.config import OTHER_CLASS, KerasLayer, snake_case
from lrplstm.loaders.keras.said import Questions, Said, without_config
from lrplstm.loaders.keras.stores import NamedStore, NumberedStore, Weight, class_of
from lrplstm.loaders.keras.translation import CLASSES
from lrplstm.texts import shown

__all__ = ["layers_of_named", "layers_of_numbered"]

_CELLS = {4: "LSTM", 3: "GRU", 1: "SimpleRNN"}  # by the number of gates
_RECURRENT = (*_CELLS.values(), "Bidirectional")
_DENSE = ("Dense", "TimeDistributed")
_POOLINGS = {"GlobalAveragePooling1D": "mean", "GlobalMaxPooling1D": "max"}
_WEIGHTLESS = (
    *("InputLayer", "Dropout", "SpatialDropout1D", "GaussianDropout", "GaussianNoise"),
    *("AlphaDropout", "ActivityRegularization", "Identity", "Flatten", "Softmax"),
    *_POOLINGS,
)
# By the names that Keras gives layers: global_max_pooling1d.
_CLASSES = {
    re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower(): name
    for name in ("Embedding", *_RECURRENT, *_DENSE, *_WEIGHTLESS)
}
_MOST_ORDERS = 1000


@dataclass(frozen=True, eq=False)
class _Seen:
    """A layer whose config is empty yet, and its arrays."""

    layer: KerasLayer
    weights: list[Weight]

    @property
    def kind(self) -> str:
        """Its class."""
        return self.layer.class_name

    def rows(self, number: int) -> int:
        """Width of what an array is multiplied with: 0 the input, 1 the states."""
        shape = self.weights[number].array.shape if number < len(self.weights) else ()
        return shape[0] if shape else 0

    @property
    def cell(self) -> str:
        """The class of a recurrent layer, or of that in a Bidirectional one."""
        shape = self.weights[1].array.shape if len(self.weights) > 1 else ()
        count = {9: 3, 12: 4, 18: 3, 24: 4}.get(len(self.weights), _gates(shape))  # Keras 1
        return _CELLS.get(count, "LSTM") if self.kind == "Bidirectional" else self.kind

    @property
    def columns(self) -> int:
        """Width of the rows of its first array."""
        shape = self.weights[0].array.shape if self.weights else ()
        return shape[-1] if shape else 0


# Older files, which list the names of their layers in order -------------------------------------


def layers_of_named(store: NamedStore, said: Said, source: str) -> list[KerasLayer]:
    """Return the layers in an older file.

    Raises
    ------
    ValueError
        If they are none that can be explained, or something has to be said; it says what.
    """
    names = store.contents.texts(store.root, "layer_names") or []
    seen = [_see_named(store, name) for name in names]
    if any(one.kind in _DENSE for one in seen):
        while seen[-1].kind == "Activation":  # of the last Dense layer, as `said` has it
            seen.pop()
    for one in seen:
        if one.kind == "Activation":
            raise _untold(one.layer)
    version = store.contents.text(store.root, "keras_version") or ""
    number = re.match(r"(\d{1,4})\.(\d{1,4})", version, flags=re.ASCII)
    # From then on gates are sigmoid if nothing else is said.
    recent = number is not None and (int(number[1]), int(number[2])) >= (2, 3)
    return _describe(seen, Questions(said, source), gates="sigmoid" if recent else None)


def _see_named(store: NamedStore, name: str) -> _Seen:
    layer = KerasLayer(name, "of weights only", {}, (name,), ((name, 0),))
    weights, base = store.weights(layer), class_of(name)
    if weights:
        kind = _class_of_arrays(name, weights)
        roles = ", ".join(weight.role for weight in weights)
        error = layer.refuse(
            f"cannot be explained, or not without a config; it has the arrays {roles:.100}"
        )
    else:
        kind = {"activation": "Activation", "input": "InputLayer"}.get(base, _CLASSES.get(base))
        kind = kind if kind == "Activation" or kind in _WEIGHTLESS else None
        error = _untold(layer)
    if kind is None:
        raise error
    return _Seen(replace(layer, class_name=kind), weights)


def _untold(layer: KerasLayer) -> ValueError:
    return without_config(f"{layer}: its name does not tell what it does")


def _class_of_arrays(name: str, weights: list[Weight]) -> str | None:
    """Return the class of the layer that has such arrays, or None if it is none of ours."""
    roles = [weight.role for weight in weights]
    half = len(weights) // 2
    if len(weights) in (4, 6, 18, 24) and all("backward" in w.name for w in weights[half:]):
        return "Bidirectional" if _class_of_arrays(name, weights[:half]) in _RECURRENT else None
    if len(weights) in (9, 12) and all(role[-4:-1] in ("_W_", "_U_", "_b_") for role in roles):
        return _CELLS[len(weights) // 3]
    shapes = [weight.array.shape for weight in weights]
    ends = [role.rpartition("_")[2] for role in roles]  # Keras 1: lstm_1_W
    if roles == ["embeddings"] or (ends == ["W"] and class_of(name) == "embedding"):
        return "Embedding"
    if ends in (["kernel", "kernel"], ["kernel", "kernel", "bias"], ["W", "U", "b"]):
        kernel, recurrent = shapes[:2]
        fits = len(kernel) == len(recurrent) == 2 and recurrent[1] == kernel[1]
        return _CELLS.get(_gates(recurrent)) if fits else None
    if ends in (["kernel"], ["kernel", "bias"], ["W"], ["W", "b"]) and len(shapes[0]) == 2:
        return "TimeDistributed" if class_of(name) == "time_distributed" else "Dense"
    return None


def _gates(recurrent: tuple[int, ...]) -> int:
    """Return how many gates recurrent weights of this shape are for, 0 if for none."""
    whole = len(recurrent) == 2 and recurrent[0] and recurrent[1] % recurrent[0] == 0
    return recurrent[1] // recurrent[0] if whole else 0


# Files of Keras 3, which number their layers by class -------------------------------------------


def layers_of_numbered(store: NumberedStore, said: Said, source: str) -> list[KerasLayer]:
    """Return the layers in a file of Keras 3.

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
    for base, names in store.members("").items():
        for number, name in enumerate(names):
            seen = _see_numbered(store, base, number, name)
            by_class.setdefault(seen.kind, []).append(seen)
    dense, steps = (by_class.pop(kind, []) for kind in _DENSE)
    if dense and steps:
        raise without_config("the order of Dense and TimeDistributed is not known")
    embedding, output = (by_class.pop(kind, []) for kind in ("Embedding", "Softmax"))
    kinds = {kind: by_class.pop(kind) for kind in _RECURRENT if kind in by_class}
    by_class.pop("Flatten", None)
    others = [seen for members in by_class.values() for seen in members]
    recurrent = _in_order(kinds, embedding)
    return _describe(
        [*embedding, *recurrent, *others, *dense, *steps, *output],
        Questions(said, source),
        gates="sigmoid",
    )


def _see_numbered(store: NumberedStore, base: str, number: int, stored: str) -> _Seen:
    kind = _CLASSES.get(base)
    name = store.contents.text(f"{store.container}/{stored}/vars", "name") or stored
    layer = KerasLayer(name, kind or base, {}, (name,), ((base, number),))
    if kind is None:
        if base in ("sequential", "functional", *map(snake_case, CLASSES)):
            raise without_config(f"{layer}: the file does not say what it does")
        raise layer.refuse("cannot be explained")
    return _Seen(layer, [] if kind in _WEIGHTLESS else store.weights(layer))


def _in_order(kinds: dict[str, list[_Seen]], embedding: list[_Seen]) -> list[_Seen]:
    """Return recurrent layers of several classes in the one order in which each reads the last."""
    if len(kinds) < 2:
        return [one for members in kinds.values() for one in members]
    names = " and ".join(kinds)
    if len(kinds) > 2:
        raise without_config(f"the order of {names} is not known")
    one, both = kinds.values()
    count, what = len(one) + len(both), "there are too many"
    if comb(count, len(one)) <= _MOST_ORDERS:
        fitting = []
        for places in combinations(range(count), len(one)):
            ones, others = iter(one), iter(both)
            order = [next(ones if n in places else others) for n in range(count)]
            if _fits([*embedding, *order]):
                fitting.append(order)
        if len(fitting) == 1:
            return fitting[0]
        what = "several orders fit" if fitting else "no order fits"
    raise without_config(f"the order of {names} is not known, {what}")


def _fits(order: Sequence[_Seen]) -> bool:
    """Whether each layer can read what the one before it makes, in whatever way it merges."""
    for before, after in pairwise(order):
        width = before.rows(1) if before.kind in _RECURRENT else before.columns
        factors = (1, 2) if before.kind == "Bidirectional" else (1,)
        if after.rows(0) not in [factor * width for factor in factors]:
            return False
    return True


# What only the user knows -----------------------------------------------------------------------


def _describe(seen: list[_Seen], questions: Questions, gates: str | None) -> list[KerasLayer]:
    """Return the layers with the config that they must have had.

    `gates` is the activation of gates where nothing else is said; None if that is not known.
    """
    recurrent = [one for one in seen if one.kind in _RECURRENT]
    if not recurrent:
        raise ValueError(f"expected a layer of {', '.join(_RECURRENT)}, found none")
    pooling = _pooling(seen, recurrent[-1], questions)
    activations = iter(_activations([one for one in seen if one.kind in _DENSE], questions))
    described: list[KerasLayer] = []
    for n, one in enumerate(seen):
        config: dict[str, Any] = {}
        if one.kind in _POOLINGS:
            continue  # it stands behind the last LSTM, wherever the file has it
        if one.kind == "Embedding":
            what = f"True or False: whether {shown(one.layer.name)} takes id 0 for padding"
            config = {"mask_zero": questions.ask("mask_zero", what, True)}
        elif one.kind in _RECURRENT:
            sequences = one is not recurrent[-1] or pooling != "last"
            config = _cell(one, gates, questions) | {"return_sequences": sequences}
            if one.kind == "Bidirectional":
                merge_mode = _merge_mode(one, seen[n + 1 :], questions)
                inner = {"class_name": one.cell, "config": config}
                config = {"layer": inner, "merge_mode": merge_mode}
        elif one.kind in _DENSE:
            config = {"activation": next(activations), "use_bias": len(one.weights) == 2}
        layer = replace(one.layer, config=config)
        if one.kind == "TimeDistributed":  # a Dense layer does the same
            layer = replace(layer, class_name="Dense", stored=(*layer.stored, "layer"))
        described.append(layer)
        if one is recurrent[-1]:
            own = [pool.layer for pool in seen if pool.kind in _POOLINGS]
            made = {pooling: kind for kind, pooling in _POOLINGS.items()}.get(pooling)
            if made and not own:
                own = [KerasLayer(pooling, made, {}, (pooling,), ())]
            described += own
    questions.finish()
    return described


def _pooling(seen: list[_Seen], last: _Seen, questions: Questions) -> str:
    stored = [_POOLINGS[one.kind] for one in seen if one.kind in _POOLINGS]
    if any(one.kind == "TimeDistributed" for one in seen):
        stored.append("none")
    if len(stored) > 1:
        raise without_config(f"expected one pooling, got {' and '.join(stored):.60}")
    what = (
        f"what is read of {shown(last.layer.name)}: 'last' if its return_sequences is False, else "
        "'mean', 'max' or 'none'"
    )
    return str(stored[0] if stored else questions.ask("pooling", what, "last"))


def _activations(dense: list[_Seen], questions: Questions) -> Sequence[str]:
    names = [one.layer.name for one in dense]
    given = questions.said.dense_activations
    if given is not None and len(given) != len(names):
        raise ValueError(
            f"dense_activations: expected {len(names)}, one for each of {shown(names)}, "
            f"got {len(given)}"
        )
    what = f"those of {shown(names)}, which are behind the LSTM"
    example = ["relu"] * (len(names) - 1) + ["softmax"]
    seen = ["linear"] * len(names) if len(names) < 2 else None
    activations: Sequence[str] = questions.ask("dense_activations", what, example, seen)
    return activations


def _cell(one: _Seen, gates: str | None, questions: Questions) -> dict[str, Any]:
    weights = one.weights
    bias = weights[2].array if len(weights) in (3, 6) else None
    cudnn = one.cell != "SimpleRNN" and bias is not None and is_cudnn(weights[1].array, bias)
    config = {
        "activation": "tanh",
        "use_bias": len(weights) != (4 if one.kind == "Bidirectional" else 2),
    }
    if one.cell == "GRU":
        if not config["use_bias"]:
            raise without_config(f"{one.layer}: without biases its arrays do not tell reset_after")
        config["reset_after"] = cudnn or (bias is not None and bias.ndim == 2)
    if one.cell != "SimpleRNN":
        what = (
            f"that of {shown(one.layer.name)}: in Keras before 2.3 'hard_sigmoid', if nothing else "
            "was said"
        )
        seen = gates or ("sigmoid" if cudnn else None)  # which has no other
        config["recurrent_activation"] = questions.ask(
            "recurrent_activation", what, "sigmoid", seen
        )
    return config


def _merge_mode(one: _Seen, after: list[_Seen], questions: Questions) -> str:
    reads = next((x.rows(0) for x in after if x.kind in _RECURRENT + _DENSE), 0)
    what = f"'concat', 'sum' or 'ave' of {shown(one.layer.name)}"
    seen = "concat" if reads == 2 * one.rows(1) else None
    return str(questions.ask("merge_mode", what, "concat", seen))
