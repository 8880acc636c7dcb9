"""A source of any kind -> the chain of its layers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from lrplstm.loaders.arrays import naming
from lrplstm.loaders.keras import archive, hdf5
from lrplstm.loaders.keras.chain import CLASSES, Chain, read_chain
from lrplstm.loaders.keras.config import OTHER_CLASS, KerasLayer, layers_of
from lrplstm.loaders.keras.hdf5_worker import most
from lrplstm.loaders.keras.losses import task_of_loss
from lrplstm.loaders.keras.said import Said
from lrplstm.loaders.keras.stores import (
    ModelStore,
    NamedStore,
    NumberedStore,
    Store,
    find_container,
)
from lrplstm.loaders.keras.undescribed import layers_of_named, layers_of_numbered
from lrplstm.plain_json import parse_json
from lrplstm.storage import read_file
from lrplstm.texts import first_line

__all__ = ["Source"]


class Source:
    """A model object or a file, opened.

    Attributes
    ----------
    name : str
        What errors call it.
    config : dict or None
        The config of the model, as it came with it or was given.
    store : Store
        Its arrays.
    task : str
        What it was trained for, as far as its loss tells: "classification" or "regression".
    """

    def __init__(self, source: Any, config: Any) -> None:
        given = None if config is None else _read_config(config)
        self.name, own, self.store, training = _open(source)
        if own is not None and given is not None:
            raise ValueError(f"config: expected None, as {self.name} has its own")
        self.config = given if own is None else own
        if training is None and isinstance(self.config, dict):
            training = self.config.get("compile_config")
        self.task = task_of_loss(training)

    def read(self, said: Said) -> Chain:
        """Return what its layers compute, which has to be what the user says.

        Raises
        ------
        ValueError
            If a layer cannot be explained, or something that is said is not so, or is lacking.
        """
        if self.config is None:
            layers = _layers_of_weights(self.store, said, self.name)
        else:
            layers = layers_of(self.config, CLASSES)
        chain = read_chain(layers, self.store)
        said.check(chain.settings)
        return chain


def _read_config(config: Any) -> Any:
    if isinstance(config, Mapping):
        return dict(config)
    if isinstance(config, str) and config.lstrip().startswith("{"):
        return parse_json(config, "config")
    if isinstance(config, str | os.PathLike):
        return parse_json(read_file(Path(config)), os.fspath(config))
    raise TypeError(f"config: expected a path, JSON or a mapping, got {type(config).__name__}")


def _open(source: Any) -> tuple[str, Any, Store, Any]:
    """Return what errors call a source, its config, its arrays and how it was compiled, if so."""
    if not isinstance(source, str | os.PathLike):
        return "source", _config_of_object(source), ModelStore(source), _training_of(source)
    path, name = Path(source), os.fspath(source)
    if os.path.isdir(path):  # not a method of paths: those raise for names that are too long
        raise ValueError(f"{name}: expected a .keras or HDF5 file, found a folder")
    content, training = read_file(path), None
    limit = most(len(content))
    if content.startswith(archive.SIGNATURE):
        text, weights = archive.read_archive(content, name)
        contents = hdf5.read_hdf5(weights, f"{name}: {archive.WEIGHTS}", limit)
        own = parse_json(text, f"{name}: {archive.CONFIG}")
    elif hdf5.is_hdf5(content):
        contents = hdf5.read_hdf5(content, name, limit)
        said = contents.text("", "model_config")
        own = None if said is None else parse_json(said, f"{name}: model_config")
        compiled = contents.text("", "training_config")
        with suppress(ValueError):  # what cannot be read tells nothing
            training = None if compiled is None else parse_json(compiled, name)
    else:
        raise ValueError(f"{name}: expected a .keras or HDF5 file, got something else")
    return name, own, _store(contents, name), training


def _config_of_object(model: Any) -> Any:
    if not hasattr(model, "to_json") or not hasattr(model, "layers"):
        raise TypeError(f"source: expected a Keras model or a path, got {type(model).__name__}")
    try:
        text = model.to_json()
    except Exception as error:  # a class of the user's own may have no config
        raise ValueError(
            f"source: expected a Sequential or Functional model, got {type(model).__name__} "
            f"without a config ({first_line(error)})"
        ) from None
    return parse_json(text, "source")


def _training_of(model: Any) -> Any:
    """Return how a model object was compiled, where its config does not say it, as in Keras 2."""
    loss = getattr(model, "loss", None)
    if isinstance(loss, str | list | dict):
        return {"loss": loss}
    name = getattr(loss, "__name__", None if loss is None else type(loss).__name__)
    return None if name is None else {"loss": name}


def _store(contents: hdf5.Contents, name: str) -> Store:
    if any("\\" in group for group in contents.groups) and find_container(contents) is None:
        with naming(name, (ValueError,)):
            contents = contents.with_slashes()
    container = find_container(contents)
    if container is not None:
        return NumberedStore(contents, container)
    for root in ("", "model_weights"):
        if contents.texts(root, "layer_names") is not None:
            return NamedStore(contents, root)
    if not contents.arrays:
        raise ValueError(f"{name}: expected the weights of a Keras model, found none")
    raise ValueError(
        f"{name}: expected the weights of a Sequential or Functional model, found others; "
        f"{OTHER_CLASS}"
    )


def _layers_of_weights(store: Store, said: Said, source: str) -> list[KerasLayer]:
    if isinstance(store, NumberedStore):
        return layers_of_numbered(store, said, source)
    if isinstance(store, NamedStore):
        return layers_of_named(store, said, source)
    raise ValueError("expected a model with a config, got none")
