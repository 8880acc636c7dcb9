"""What is in the folder of a NeuralHydrology run: its config, the scaler of its data, its weights.

Keys and defaults are those of NeuralHydrology 1.13, and of the older versions that it still reads.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lrplstm.checks import to_int
from lrplstm.loaders.neuralhydrology.yaml import read_yaml
from lrplstm.texts import shown
from lrplstm.weights import Array

__all__ = ["EmbeddingNet", "Run", "Scaling", "read_run"]

CELLS = {
    "cudalstm": "lstm",
    "embcudalstm": "lstm",
    "customlstm": "custom_lstm",
    "lstm": "custom_lstm",
    "gru": "gru",
    "ealstm": "ealstm",
}
"""Which cell each model has that can be read."""

_ACTIVATIONS = ("linear", "relu", "softplus")
_EMBEDDING_ACTIVATIONS = ("tanh", "sigmoid", "relu", "linear")

_CHANGES_THE_NETWORK = (
    "autoregressive_inputs",
    "mass_inputs",
    "timestep_counter",
    "nan_handling_method",
    "hindcast_inputs",
    "forecast_inputs",
)
"""Keys of the config with which a network computes something else."""

_FILE = re.compile(r"model_epoch(\d+)\.pt")


@dataclass(frozen=True)
class EmbeddingNet:
    """Linear layers before the cell, `sizes` of their outputs; `activation` between them."""

    sizes: tuple[int, ...]
    activation: str


class Scaling(NamedTuple):
    """How numbers were standardized: less their center, and divided by their scale, (n,) each."""

    center: Array
    scale: Array


@dataclass(frozen=True, eq=False)
class Run:
    """What a run folder says of its network.

    Attributes
    ----------
    cell : str
        "lstm", "custom_lstm", "gru" or "ealstm".
    hidden_size : int
    dynamic, static : tuple of str
        What the network reads of each step, and of each basin, in its order; of a basin also which
        one it is, where it was told.
    of_dynamic, of_static, of_targets : Scaling
    embeds_dynamic, embeds_static : EmbeddingNet, or None
    targets : tuple of str
    head : str
        "regression" or "cmal".
    activation : str
        Of the head, if it is for regression.
    components : int
        How many distributions a mixture has.
    every_step : bool
        Whether more than the last step was trained to predict.
    weights : Path
        The file of them.
    """

    cell: str
    hidden_size: int
    dynamic: tuple[str, ...]
    static: tuple[str, ...]
    of_dynamic: Scaling
    of_static: Scaling
    of_targets: Scaling
    embeds_dynamic: EmbeddingNet | None
    embeds_static: EmbeddingNet | None
    targets: tuple[str, ...]
    head: str
    activation: str
    components: int
    every_step: bool
    weights: Path


def read_run(folder: Path, epoch: int | None) -> Run:
    """Return what a run folder says; of the weights those after `epoch`, by default the last.

    Raises
    ------
    ValueError
        If a file is missing or something else, or the network is not one that can be read; the
        error names the key of the config.
    """
    weights = _weights(folder, epoch)
    config = _Config(read_yaml(folder / "config.yml"))
    kind = config.text("model").lower()
    if kind not in CELLS:
        raise ValueError(
            f"config.yml: model: expected one of {', '.join(CELLS)}, got {shown(kind)}"
        )
    head = config.text("head").lower()
    if head not in ("regression", "cmal"):
        raise ValueError(f"config.yml: head: expected regression or cmal, got {shown(head)}")
    for key in _CHANGES_THE_NETWORK:
        if config.get(key):
            raise ValueError(f"config.yml: {key}: expected none, got {shown(config.get(key))}")
    if len(config.names("use_frequencies")) > 1:
        raise ValueError("config.yml: use_frequencies: expected one frequency, got several")

    dynamic, targets = config.names("dynamic_inputs"), config.names("target_variables")
    if not dynamic or not targets:
        empty = "dynamic_inputs" if targets else "target_variables"
        raise ValueError(f"config.yml: {empty}: expected names, got none")
    # The data set sorts its attributes by name; those that evolve come after them, as given.
    attributes = sorted(
        [
            *config.names("static_attributes", "camels_attributes"),
            *config.names("hydroatlas_attributes"),
        ]
    )
    evolving = config.names("evolving_attributes", "static_inputs")
    basins = _basins(folder, config)
    scaler = _Scaler(read_yaml(_scaler_file(folder)))
    of_series = scaler.of_series([*dynamic, *evolving, *targets])
    ends = np.cumsum([len(dynamic), len(evolving)])
    of_dynamic, of_evolving, of_targets = (
        Scaling(center, scale)
        for center, scale in zip(
            np.split(of_series.center, ends), np.split(of_series.scale, ends), strict=True
        )
    )
    of_attributes = scaler.of_attributes(attributes)
    of_static = Scaling(
        np.concatenate([of_attributes.center, of_evolving.center, np.zeros(len(basins))]),
        np.concatenate([of_attributes.scale, of_evolving.scale, np.ones(len(basins))]),
    )
    return Run(
        cell=CELLS[kind],
        hidden_size=config.count("hidden_size"),
        dynamic=dynamic,
        static=(*attributes, *evolving, *(f"basin {basin}" for basin in basins)),
        of_dynamic=of_dynamic,
        of_static=of_static,
        of_targets=of_targets,
        embeds_dynamic=config.embedding("dynamics_embedding"),
        embeds_static=config.embedding("statics_embedding"),
        targets=targets,
        head=head,
        activation=_output_activation(config),
        components=config.count("n_distributions") if head == "cmal" else 1,
        every_step=config.get("predict_last_n", 1) != 1,
        weights=weights,
    )


def _weights(folder: Path, epoch: int | None) -> Path:
    if not folder.is_dir():
        raise ValueError(f"{folder}: expected the folder of a NeuralHydrology run, found none")
    files = {
        int(match[1]): path
        for path in folder.iterdir()
        if (match := _FILE.fullmatch(path.name)) is not None
    }
    if not files:
        raise ValueError(f"{folder}: expected weights, as model_epoch030.pt, found none")
    if epoch is None:
        return files[max(files)]
    if to_int("epoch", epoch, 0) not in files:
        known = ", ".join(map(str, sorted(files)))
        raise ValueError(f"epoch: expected one that was saved, {known}, got {epoch}")
    return files[epoch]


def _scaler_file(folder: Path) -> Path:
    path = folder / "train_data" / "train_data_scaler.yml"
    older = path.with_suffix(".p")
    if not path.exists() and older.exists():
        raise ValueError(
            f"{older}: expected a train_data_scaler.yml, found a pickle, which could "
            "run anything. NeuralHydrology reads it with load_scaler(run_folder); write what that "
            "returns as it writes train_data_scaler.yml today"
        )
    return path


def _basins(folder: Path, config: _Config) -> list[str]:
    """Return the basins that the network was told apart, in the order of their columns."""
    if not config.get("use_basin_id_encoding"):
        return []
    numbers = read_yaml(folder / "train_data" / "id_to_int.yml")
    basins = sorted(numbers, key=lambda basin: str(numbers[basin]).zfill(9))
    if [numbers[basin] for basin in basins] != list(range(config.count("number_of_basins"))):
        raise ValueError("id_to_int.yml: expected a number from 0 on for each basin")
    return [str(basin) for basin in basins]


def _output_activation(config: _Config) -> str:
    activation = config.get("output_activation") or "linear"
    if not isinstance(activation, str) or activation.lower() not in _ACTIVATIONS:
        raise ValueError(
            f"config.yml: output_activation: expected one of {', '.join(_ACTIVATIONS)}, "
            f"got {shown(activation)}"
        )
    return activation.lower()


class _Config:
    """The keys of a config, checked as they are read."""

    def __init__(self, values: Mapping[Any, Any]) -> None:
        self._values = values

    def get(self, key: str, default: Any = None) -> Any:
        value = self._values.get(key)
        return default if value is None else value

    def text(self, key: str) -> str:
        value = self.get(key)
        if not isinstance(value, str):
            raise ValueError(f"config.yml: {key}: expected a name, got {shown(value)}")
        return value

    def count(self, key: str) -> int:
        value = self.get(key)
        if type(value) is not int or value < 1:
            raise ValueError(
                f"config.yml: {key}: expected a number of at least 1, got {shown(value)}"
            )
        return value

    def names(self, key: str, older: str | None = None) -> tuple[str, ...]:
        """Return the names under a key, or under what it was called before."""
        if older is not None and key not in self._values:
            key = older
        value = self.get(key, [])
        given = [value] if isinstance(value, str) else value
        if isinstance(given, Sequence) and len(given) == 1 and not isinstance(given[0], str):
            given = given[0]  # one group of features
        if not isinstance(given, Sequence) or not all(isinstance(name, str) for name in given):
            raise ValueError(f"config.yml: {key}: expected a list of names, got {shown(value)}")
        if len(set(given)) < len(given):
            raise ValueError(f"config.yml: {key}: expected each name once, got {shown(value)}")
        return tuple(given)

    def embedding(self, key: str) -> EmbeddingNet | None:
        given = self.get(key)
        if not given:
            return None
        if given is True:  # as versions before 1.0 say it
            parts = ("hiddens", "activation")
            given = {part: self.get(f"embedding_{part}") for part in parts}
        if not isinstance(given, Mapping) or given.get("type") not in (None, "fc"):
            raise ValueError(f"config.yml: {key}: expected one of type fc, got {shown(given)}")
        sizes = given.get("hiddens")
        sizes = [sizes] if type(sizes) is int else sizes
        activation = given.get("activation") or "tanh"
        if (
            not isinstance(sizes, Sequence)
            or not sizes
            or not all(type(size) is int and size > 0 for size in sizes)
            or not isinstance(activation, str)
            or activation.lower() not in _EMBEDDING_ACTIVATIONS
        ):
            raise ValueError(
                f"config.yml: {key}: expected hiddens, and an activation of "
                f"{', '.join(_EMBEDDING_ACTIVATIONS)}, got {shown(given)}"
            )
        return EmbeddingNet(tuple(sizes), activation.lower())


class _Scaler:
    """The means and scales of the training data, by the names of what they are of."""

    def __init__(self, values: Mapping[Any, Any]) -> None:
        self._values = values

    def of_series(self, names: Sequence[str]) -> Scaling:
        center, scale = (
            self._variables(f"xarray_feature_{which}") for which in ("center", "scale")
        )
        return _scaling(names, center, scale)

    def of_attributes(self, names: Sequence[str]) -> Scaling:
        if not names:
            return Scaling(np.zeros(0), np.ones(0))
        prefix = "attribute" if "attribute_means" in self._values else "camels_attr"
        return _scaling(names, *(self._table(f"{prefix}_{which}") for which in ("means", "stds")))

    def _table(self, key: str) -> Mapping[Any, Any]:
        table = self._values.get(key)
        if not isinstance(table, Mapping):
            raise ValueError(f"train_data_scaler.yml: expected {key}, got {shown(table)}")
        return table

    def _variables(self, key: str) -> dict[Any, Any]:
        """Return the numbers of a data set of xarray, as a dict of it has them."""
        variables = self._table(key).get("data_vars")
        if not isinstance(variables, Mapping):
            raise ValueError(f"train_data_scaler.yml: {key}: expected data_vars")
        return {
            name: variable.get("data") if isinstance(variable, Mapping) else None
            for name, variable in variables.items()
        }


def _scaling(
    names: Sequence[str], centers: Mapping[Any, Any], scales: Mapping[Any, Any]
) -> Scaling:
    columns = []
    for table, what in ((centers, "center"), (scales, "scale")):
        numbers = [table.get(name) for name in names]
        for name, number in zip(names, numbers, strict=True):
            if not isinstance(number, int | float) or not np.isfinite(number):
                raise ValueError(
                    f"train_data_scaler.yml: {shown(name)}: expected a finite {what}, "
                    f"got {shown(number)}"
                )
        columns.append(np.array(numbers, np.float64))
    center, scale = columns
    if (scale == 0).any():
        constant = names[int(np.flatnonzero(scale == 0)[0])]
        raise ValueError(
            f"train_data_scaler.yml: {shown(constant)}: expected a scale, got 0: it was the same "
            "in all of the training data"
        )
    return Scaling(center, scale)
