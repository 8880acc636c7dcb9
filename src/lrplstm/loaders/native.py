"""The package's own format, and the model that ships with it."""

from __future__ import annotations

import os
import reprlib
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import cast

from lrplstm.base_model import Model
from lrplstm.loaders.arrays import naming
from lrplstm.loaders.registry import refuse_others
from lrplstm.model import LSTMModel
from lrplstm.storage import read_folder
from lrplstm.texts import with_visible_errors

__all__ = ["load", "load_default"]


@with_visible_errors
def load(path: str | os.PathLike[str]) -> Model:
    """Read a model that its `save` wrote.

    Parameters
    ----------
    path : str or path
        Folder with config.json, weights.safetensors and, for models of tokens, vocab.txt.

    Returns
    -------
    Model
        An `LSTMModel` if that was saved.

    Raises
    ------
    TypeError
        If `path` is no path.
    ValueError
        If the folder or a file of it is missing or damaged, what the files say of the model
        differs, or it has a layer that nobody registered; it names the file.

    Examples
    --------
    >>> import tempfile
    >>> import lrplstm
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     lrplstm.load_default().save(folder)
    ...     model = lrplstm.load(folder)
    >>> model.class_names[0]
    'very negative'
    """
    refuse_others(path, "load")
    arguments, sizes = read_folder(path)
    with naming(path):
        kind: type[Model] = LSTMModel if "head" in arguments else Model
        model = kind(**arguments)
    for name, size in sizes.items():
        actual = getattr(model, name)
        if size != actual:
            raise ValueError(
                f"{os.fspath(path)}: expected {name} {actual} in config.json as the tensors have "
                f"it, got {reprlib.repr(size)}"
            )
    return model


@cache
def load_default() -> LSTMModel:
    """Return the five-class sentiment model that ships with the package.

    A bidirectional LSTM with one layer, H = D = 60, float32, trained on sentences of film reviews
    that are in lower case and in the tokens of the Penn Treebank. A model is frozen, so every call
    returns the same one.

    Returns
    -------
    LSTMModel

    Examples
    --------
    >>> import lrplstm
    >>> lrplstm.load_default().class_names
    ('very negative', 'negative', 'neutral', 'positive', 'very positive')
    """
    config = files("lrplstm.default_model").joinpath("config.json")
    return cast(LSTMModel, load(Path(str(config)).parent))
