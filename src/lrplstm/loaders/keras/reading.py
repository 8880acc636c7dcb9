"""A source of any kind -> the operations that its scores are computed by."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lrplstm.graph.operations import Graph
from lrplstm.loaders.arrays import naming
from lrplstm.loaders.keras import (  # noqa: F401 (most enter what they translate)
    activations,
    archive,
    functions,
    hdf5,
    merging,
    recurrent,
    shapes,
    units,
    windows,
    words,
)
from lrplstm.loaders.keras.calls import Program, chain_of, program_of
from lrplstm.loaders.keras.config import OTHER_CLASS, KerasLayer
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
from lrplstm.loaders.keras.translation import Tensor, Translation, translate
from lrplstm.loaders.keras.undescribed import layers_of_named, layers_of_numbered
from lrplstm.plain_json import parse_json
from lrplstm.storage import read_file
from lrplstm.texts import first_line, shown

__all__ = ["Network", "Source", "open_source"]


@dataclass(frozen=True)
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
    training
        How it was compiled, as parsed JSON, so far as it is known.
    version : int
        Of Keras: 1, 2 or 3.
    vocabularies : dict of bytes by str
        As in `lrplstm.loaders.keras.archive.Archive`.
    """

    name: str
    config: Any
    store: Store
    training: Any = None
    version: int = 3
    vocabularies: dict[str, bytes] = field(default_factory=dict)

    @property
    def task(self) -> str:
        """What it was trained for, as far as its loss tells: classification or regression."""
        training = self.training
        if training is None and isinstance(self.config, dict):
            training = self.config.get("compile_config")
        return task_of_loss(training)

    def read(self, said: Said, output: str | None) -> Network:
        """Return what an output is computed by, which has to be what the user says.

        Raises
        ------
        ValueError
            If a layer cannot be translated, or something that is said is lacking.
        """
        if self.config is None:
            program = chain_of(_layers_of_weights(self.store, said, self.name))
        else:
            program = program_of(self.config)
        name = _chosen(program, output)
        translation, scores = translate(
            program, program.outputs[name], self.store, self.version, self.vocabularies
        )
        return Network(translation, scores, name)


@dataclass(frozen=True)
class Network:
    """What an output of a model is computed by.

    Attributes
    ----------
    translation : Translation
    scores : Tensor
    output : str
        What the output is called.
    """

    translation: Translation
    scores: Tensor
    output: str

    @property
    def graph(self) -> Graph:
        """The operations."""
        return self.translation.graph(self.scores, self.output)

    @property
    def ends_with_softmax(self) -> bool:
        """Whether the scores are those of classes of which one is right."""
        nodes = self.translation.nodes
        makes = next((node for node in reversed(nodes) if self.scores.name in node.outputs), None)
        return makes is not None and makes.operator == "Softmax"

    @property
    def last_dense(self) -> str | None:
        """The name of the last layer with weights, if it is a Dense layer."""
        nodes = self.translation.nodes
        makes = [node for node in nodes if node.operator in ("MatMul", "LSTM", "GRU", "RNN")]
        return makes[-1].title if makes and makes[-1].operator == "MatMul" else None


def _chosen(program: Program, output: str | None) -> str:
    """Return the name of the output that is explained."""
    names = ", ".join(map(shown, program.outputs))
    if output is None and len(program.outputs) > 1:
        raise ValueError(f"output: expected one of {names:.200}, as the model has several")
    if output is not None and output not in program.outputs:
        raise ValueError(f"output: expected one of {names:.200}, got {shown(output)}")
    return next(iter(program.outputs)) if output is None else output


def open_source(source: Any, config: Any) -> Source:
    """Open a model object or a file; `config` is what the user gives as such.

    Raises
    ------
    TypeError, ValueError
        If it is none, is damaged, or has a config of its own beside the one that is given.
    """
    given = None if config is None else _read_config(config)
    opened = _open(source)
    if opened.config is not None and given is not None:
        raise ValueError(f"config: expected None, as {opened.name} has its own")
    if given is None:
        return opened
    version = _version(given.get("keras_version")) if isinstance(given, dict) else None
    return replace(opened, config=given, version=version or opened.version)


def _read_config(config: Any) -> Any:
    if isinstance(config, Mapping):
        return dict(config)
    if isinstance(config, str) and config.lstrip().startswith("{"):
        return parse_json(config, "config")
    if isinstance(config, str | os.PathLike):
        return parse_json(read_file(Path(config)), os.fspath(config))
    raise TypeError(f"config: expected a path, JSON or a mapping, got {type(config).__name__}")


def _open(source: Any) -> Source:
    """Open a model object or a file, with the config that it has, if it has one."""
    if not isinstance(source, str | os.PathLike):
        config = _config_of_object(source)
        model, training = ModelStore(source), _training_of(source)
        return Source("source", config, model, training, _version_of_object(source))
    path, name = Path(source), os.fspath(source)
    if os.path.isdir(path):  # not a method of paths: those raise for names that are too long
        raise ValueError(f"{name}: expected a .keras or HDF5 file, found a folder")
    content, training = read_file(path), None
    limit = most(len(content))
    if content.startswith(archive.SIGNATURE):
        packed = archive.read_archive(content, name)
        contents = hdf5.read_hdf5(packed.weights, f"{name}: {archive.WEIGHTS}", limit)
        own = parse_json(packed.config, f"{name}: {archive.CONFIG}")
        metadata = None
        with suppress(ValueError):  # what cannot be read tells nothing
            metadata = parse_json(packed.metadata, f"{name}: {archive.METADATA}")
        version = _version(metadata.get("keras_version") if isinstance(metadata, dict) else None)
        store = _store(contents, name)
        return Source(name, own, store, None, version or 3, packed.vocabularies)
    if not hdf5.is_hdf5(content):
        raise ValueError(f"{name}: expected a .keras or HDF5 file, got something else")
    contents = hdf5.read_hdf5(content, name, limit)
    said = contents.text("", "model_config")
    own = None if said is None else parse_json(said, f"{name}: model_config")
    compiled = contents.text("", "training_config")
    with suppress(ValueError):  # what cannot be read tells nothing
        training = None if compiled is None else parse_json(compiled, name)
    store = _store(contents, name)
    versions = [contents.text(root, "keras_version") for root in ("", "model_weights")]
    version = _version(versions[0] or versions[1])
    # Keras 3 writes its version into files of the older layout.
    return Source(name, own, store, training, version or (2 if _is_named(store) else 3))


def _is_named(store: Store) -> bool:
    return isinstance(store, NamedStore)


def _version(text: Any) -> int | None:
    """Return which Keras wrote something, 1, 2 or 3, as a text such as "2.15.0" says it."""
    if not isinstance(text, str) or text[:1] not in ("0", "1", "2", "3") or text[1:2] != ".":
        return None
    return max(1, int(text[0]))


def _version_of_object(model: Any) -> int:
    """Return which Keras a model object is of: that of TensorFlow 2 without Keras 3 is Keras 2."""
    package = type(model).__module__.partition(".")[0]
    version = _version(getattr(sys.modules.get(package), "__version__", None))
    return 2 if package in ("tensorflow", "tf_keras") else version or 3


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
