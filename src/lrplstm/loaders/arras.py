"""The 2017 reference format: pickled dict of arrays, pickled vocabulary, embeddings.npy."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lrplstm.loaders.plain_pickle import load_plain_pickle
from lrplstm.model import LSTMModel
from lrplstm.weights import Array, LSTMWeights

__all__ = ["from_arras"]

_SIDES = ("Left", "Right")
_PARTS = ("Wxh", "bxh", "Whh", "bhh", "Why")


def from_arras(
    source: str | os.PathLike[str] | Mapping[str, npt.ArrayLike],
    *,
    embedding: npt.ArrayLike | None = None,
    vocabulary: Sequence[str] | None = None,
) -> LSTMModel:
    """Read a bidirectional LSTM in the format of the 2017 reference code.

    Parameters
    ----------
    source : str, path or mapping
        A folder with the files ``model``, ``vocab`` (pickles) and ``embeddings.npy``; or the dict
        of arrays that ``model`` holds: ``Wxh_Left`` (4H, D), ``bxh_Left`` (4H,), ``Whh_Left``
        (4H, H), ``bhh_Left`` (4H,), ``Why_Left`` (C, H), and the same with ``_Right``, gates in the order
        i, g, f, o. The right encoder reads the sequence backwards. Pickles are read by an unpickler
        that knows lists, dicts, strings, numbers and arrays, and runs nothing.
    embedding : array_like of shape (V, D), optional
        Instead of ``embeddings.npy``; converted to the dtype of the weights.
    vocabulary : sequence of str, optional
        Instead of ``vocab``.

    Returns
    -------
    LSTMModel

    Raises
    ------
    TypeError
        If `source` is neither a path nor a mapping.
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
    where = ""
    if isinstance(source, Mapping):
        arrays = dict(source)
    elif isinstance(source, str | os.PathLike):
        folder = Path(source)
        where = f"{folder}: "
        if not folder.is_dir():
            found = "a file" if folder.exists() else "nothing"
            raise ValueError(f"{folder}: expected a folder, found {found}")
        arrays = _read_arrays(folder / "model")
        if embedding is None:
            embedding = _read_embedding(folder / "embeddings.npy")
        if vocabulary is None:
            vocabulary = _read_vocabulary(folder / "vocab")
    else:
        raise TypeError(
            f"source: expected a folder or a mapping of arrays, got {type(source).__name__}"
        )
    try:
        return _build(arrays, embedding, vocabulary)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{where}{error}") from None


def _build(
    arrays: dict[str, Any],
    embedding: npt.ArrayLike | None,
    vocabulary: Sequence[str] | None,
) -> LSTMModel:
    expected = [f"{part}_{side}" for side in _SIDES for part in _PARTS]
    missing = [name for name in expected if name not in arrays]
    if missing:
        raise ValueError(f"source: expected an array {missing[0]}, found none")
    others = [name for name in arrays if name not in expected]
    if others:
        raise ValueError(f"source: expected no {others[0]!r:.60}, only {', '.join(expected)}")
    layer = tuple(_direction(arrays, side) for side in _SIDES)
    heads = [_matrix(f"Why_{side}", arrays[f"Why_{side}"]) for side in _SIDES]
    if len(heads[0]) != len(heads[1]):
        raise ValueError(
            f"Why_Right: expected {len(heads[0])} rows as Why_Left has, got {len(heads[1])}"
        )
    if embedding is not None:
        embedding = np.asarray(embedding)
        if embedding.dtype.kind in "fiu":
            embedding = embedding.astype(layer[0].dtype, copy=False)
    return LSTMModel(
        [layer], np.concatenate(heads, axis=1), embedding=embedding, vocabulary=vocabulary
    )


def _matrix(name: str, value: Any) -> Array:
    array = np.asarray(value)
    if array.ndim != 2:
        raise ValueError(f"{name}: expected 2 dimensions, got shape {array.shape}")
    return array


def _direction(arrays: dict[str, Any], side: str) -> LSTMWeights:
    def gates(part: str) -> Array:
        """Return an array whose rows are in the order i, g, f, o in the order i, f, g, o."""
        array = np.asarray(arrays[f"{part}_{side}"])
        if array.ndim == 0 or len(array) % 4 or array.dtype.kind not in "fiu":
            raise ValueError(
                f"{part}_{side}: expected numbers in 4 * hidden_size rows, got shape {array.shape} "
                f"of dtype {array.dtype}"
            )
        i, g, f, o = np.split(array, 4)
        return np.concatenate([i, f, g, o])

    input_bias, hidden_bias = gates("bxh"), gates("bhh")
    if input_bias.shape != hidden_bias.shape:
        raise ValueError(
            f"bhh_{side}: expected shape {input_bias.shape} as bxh_{side}, got {hidden_bias.shape}"
        )
    try:
        return LSTMWeights(gates("Wxh"), gates("Whh"), input_bias + hidden_bias)
    except (TypeError, ValueError) as error:
        raise type(error)(f"the {side} encoder's {error}") from None


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ValueError(f"{path}: expected a file, found none") from None
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from None


def _read_arrays(path: Path) -> dict[str, Any]:
    arrays = load_plain_pickle(_read_bytes(path), str(path))
    if not isinstance(arrays, dict) or not all(isinstance(name, str) for name in arrays):
        raise ValueError(f"{path}: expected a pickled dict of arrays")
    return arrays


def _read_vocabulary(path: Path) -> list[str]:
    words = load_plain_pickle(_read_bytes(path), str(path))
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError(f"{path}: expected a pickled list of strings")
    return words


def _read_embedding(path: Path) -> Array:
    if not path.is_file():
        raise ValueError(f"{path}: expected a file, found none; pass the array as embedding=")
    try:
        # Mapped, so that a header cannot ask for more memory than the file has.
        array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError, SyntaxError) as error:
        raise ValueError(f"{path}: not a readable .npy file ({error})") from None
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{path}: expected one array, as numpy.save writes it")
    return array
