"""The 2017 reference format: pickled dict of arrays, pickled vocabulary, embeddings.npy."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lrplstm.loaders.arrays import gates_from, naming, sum_of_biases, with_dtype
from lrplstm.loaders.plain_pickle import load_plain_pickle
from lrplstm.loaders.registry import refuse_others
from lrplstm.model import LSTMModel
from lrplstm.storage import model_folder, read_array, read_file
from lrplstm.texts import shown, with_visible_errors
from lrplstm.weights import Array, LSTMWeights, frozen, same_dtype

__all__ = ["Files", "from_arras", "read_files"]

_SIDES = ("Left", "Right")
_PARTS = ("Wxh", "bxh", "Whh", "bhh", "Why")
_WEIGHT_PREFIXES = ("W", "b")


@with_visible_errors
def from_arras(
    source: str | os.PathLike[str] | Mapping[str, npt.ArrayLike],
    *,
    embedding: npt.ArrayLike | None = None,
    vocabulary: Sequence[str | None] | Mapping[str, int] | None = None,
    task: str = "classification",
) -> LSTMModel:
    """Read a bidirectional LSTM in the format of the 2017 reference code.

    Parameters
    ----------
    source : str, path or mapping
        A folder with the files ``model``, ``vocab`` (pickles) and ``embeddings.npy``; or the dict
        of arrays that ``model`` holds: ``Wxh_Left`` (4H, D), ``bxh_Left`` (4H,), ``Whh_Left``
        (4H, H), ``bhh_Left`` (4H,), ``Why_Left`` (C, H), and the same with ``_Right``, gates in
        the order i, g, f, o. The right encoder reads the sequence backwards. Weights of other
        names (W..., b...) are an error: the network would be another one. Anything else that lies
        beside them, such as inputs, is passed over. Pickles are read by an unpickler that knows
        lists, dicts, strings, numbers and arrays, and runs nothing.
    embedding : array_like of shape (V, D), optional
        Instead of ``embeddings.npy``; converted to the dtype of the weights.
    vocabulary : sequence of str, or dict of int by str, optional
        Instead of ``vocab``.
    task : {"classification", "regression"}
        As for `LSTMModel`.

    Returns
    -------
    LSTMModel
        In float64 or float32, as the weights are.

    Raises
    ------
    TypeError
        If `source` is neither a path nor a mapping, or an array of a mapping is neither float32
        nor float64.
    ValueError
        If a file is missing or is not what it should be, a pickle names anything else than plain
        data, or arrays are missing, superfluous or do not fit together.

    Notes
    -----
    The format is that of the code for Arras et al. 2017 (doi 10.18653/v1/W17-5221).

    Examples
    --------
    >>> import numpy as np
    >>> import lrplstm
    >>> rng = np.random.default_rng(0)
    >>> shapes = {"Wxh": (8, 3), "bxh": (8,), "Whh": (8, 2), "bhh": (8,), "Why": (4, 2)}
    >>> arrays = {f"{k}_{side}": rng.normal(0, 0.3, shape)
    ...           for side in ("Left", "Right") for k, shape in shapes.items()}
    >>> lrplstm.from_arras(arrays).predict(rng.normal(size=(5, 3))).shape
    (4,)
    """
    if isinstance(source, Mapping):
        return _build(source, embedding, vocabulary).replaced(task=task)
    if not isinstance(source, str | os.PathLike):
        raise TypeError(
            f"source: expected a folder or a mapping of arrays, got {type(source).__name__}"
        )
    refuse_others(source, "from_arras")
    return read_files(source, embedding=embedding, vocabulary=vocabulary).model.replaced(task=task)


class Files(NamedTuple):
    """What the files of a folder hold, and the model that it makes."""

    arrays: dict[str, Array]
    embedding: npt.ArrayLike
    model: LSTMModel


@with_visible_errors
def read_files(
    path: str | os.PathLike[str],
    *,
    embedding: npt.ArrayLike | None = None,
    vocabulary: Sequence[str | None] | Mapping[str, int] | None = None,
) -> Files:
    """Read a folder; arguments and errors as `from_arras` has them."""
    folder = model_folder(path)
    arrays = _read_arrays(folder / "model")
    if embedding is None:
        file = folder / "embeddings.npy"
        missing = f"{file}: expected a file, found none; pass the array as embedding= of from_arras"
        embedding = read_array(file, ndims=(2,), missing=missing)
    if vocabulary is None:
        vocabulary = _read_vocabulary(folder / "vocab")
        rows = len(embedding) if isinstance(embedding, np.ndarray) else len(vocabulary)
        if len(vocabulary) != rows:  # a file that is not of these embeddings
            raise ValueError(
                f"{folder}: vocabulary: expected {rows} tokens as the embedding has rows, "
                f"got {len(vocabulary)}"
            )
    with naming(folder):
        model = _build(arrays, embedding, vocabulary)
    return Files(arrays, embedding, model)


def _build(
    source: Mapping[str, npt.ArrayLike],
    embedding: npt.ArrayLike | None,
    vocabulary: Sequence[str | None] | Mapping[str, int] | None,
) -> LSTMModel:
    expected = [f"{part}_{side}" for side in _SIDES for part in _PARTS]
    missing = [name for name in expected if name not in source]
    if missing:
        raise ValueError(f"source: expected an array {missing[0]}, found none")
    for name in source:
        if str(name).startswith(_WEIGHT_PREFIXES) and name not in expected:
            raise ValueError(
                f"source: expected no weights {shown(name)}, only {', '.join(expected)}"
            )
    arrays = {name: array for side in _SIDES for name, array in _check(source, side).items()}
    dtype = same_dtype(arrays)
    layer = tuple(_direction(arrays, side) for side in _SIDES)
    heads = [arrays[f"Why_{side}"] for side in _SIDES]
    if len(heads[0]) != len(heads[1]):
        raise ValueError(
            f"Why_Right: expected {len(heads[0])} rows as Why_Left has, got {len(heads[1])}"
        )
    return LSTMModel(
        [layer],
        np.concatenate(heads, axis=1),
        embedding=None if embedding is None else _convert(embedding, dtype),
        vocabulary=vocabulary,
    )


def _check(source: Mapping[str, npt.ArrayLike], side: str) -> dict[str, Array]:
    """Return the arrays of one encoder by their names, of shapes that fit together."""

    def check(part: str, *shape: int | str) -> Array:
        return frozen(f"{part}_{side}", source[f"{part}_{side}"], shape)

    weight_hh = check("Whh", "4 * hidden_size", "hidden_size")
    hidden_size = weight_hh.shape[1]
    rows = 4 * hidden_size
    arrays = {
        "Whh": check("Whh", rows, hidden_size),
        "Wxh": check("Wxh", rows, "input_size"),
        "bxh": check("bxh", rows),
        "bhh": check("bhh", rows),
        "Why": check("Why", "num_classes", hidden_size),
    }
    return {f"{part}_{side}": array for part, array in arrays.items()}


def _direction(arrays: dict[str, Array], side: str) -> LSTMWeights:
    weight_ih, bias_ih, weight_hh, bias_hh = (
        gates_from("igfo", arrays[f"{part}_{side}"]) for part in _PARTS[:4]
    )
    bias = sum_of_biases((bias_ih, bias_hh), f"bhh_{side}", f"with bxh_{side}")
    return LSTMWeights(weight_ih, weight_hh, bias)


def _convert(embedding: npt.ArrayLike, dtype: np.dtype[Any]) -> npt.ArrayLike:
    """Return numbers of any dtype in this one; what is wrong with others, the model says."""
    with suppress(ValueError):
        array = np.asarray(embedding)
        if array.dtype.kind in "fiu":
            return with_dtype(array, dtype)
    return embedding


def _read_arrays(path: Path) -> dict[str, Any]:
    arrays = load_plain_pickle(read_file(path), str(path))
    if not isinstance(arrays, dict) or not all(isinstance(a, np.ndarray) for a in arrays.values()):
        raise ValueError(f"{path}: expected a pickled dict of arrays")
    return arrays


def _read_vocabulary(path: Path) -> list[str]:
    words = load_plain_pickle(read_file(path), str(path))
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError(f"{path}: expected a pickled list of strings")
    return words
