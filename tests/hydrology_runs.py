"""Run folders of NeuralHydrology, made by its own configs, modules and trainer."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

DYNAMIC = ["rain", "temp"]
TARGETS = ["q", "level"]
ATTRIBUTES = ["slope", "area"]  # not in the order of the alphabet, in which the network reads them
BASINS = ["0103", "0007", "0215"]

CENTER = {"rain": 3.1, "temp": -0.4, "q": 1.3, "level": 20.5, "snow": 0.7}
SCALE = {"rain": 3.9, "temp": 7.6, "q": 0.5, "level": 4.25, "snow": 0.3}
_MEANS = {"area": 81.7, "slope": 0.0}
_STDS = {"area": 103.2, "slope": 1e-05}


def config(**changes: Any) -> dict[str, Any]:
    """Return a config as people write it, with changes."""
    return {
        "experiment_name": "run",
        "model": "cudalstm",
        "head": "regression",
        "hidden_size": 5,
        "initial_forget_bias": 3,
        "output_dropout": 0.4,
        "dynamic_inputs": DYNAMIC,
        "target_variables": ["q"],
        "seq_length": 12,
        "predict_last_n": 1,
    } | changes


def write_run(folder: Path, settings: dict[str, Any], seed: int = 0) -> Any:
    """Write a run folder of random weights, and return NeuralHydrology's own module of it."""
    import torch
    from neuralhydrology.modelzoo import get_model
    from neuralhydrology.utils.config import Config
    from ruamel.yaml import YAML

    settings = settings | {"number_of_basins": len(BASINS)}
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = get_model(Config(dict(settings))).eval()
    with torch.no_grad():
        for weights in module.parameters():
            weights.normal_(0, 0.4)
    (folder / "train_data").mkdir(parents=True)
    variables = {
        which: {
            "coords": {},
            "attrs": {},
            "dims": {},
            "data_vars": {n: {"dims": [], "attrs": {}, "data": x} for n, x in values.items()},
        }
        for which, values in {"center": CENTER, "scale": SCALE}.items()
    }
    scaler = {
        "attribute_means": _MEANS,
        "attribute_stds": _STDS,
        "xarray_feature_center": variables["center"],
        "xarray_feature_scale": variables["scale"],
    }
    files = {
        "config.yml": settings,
        "train_data/train_data_scaler.yml": scaler,
        "train_data/id_to_int.yml": {basin: n for n, basin in enumerate(BASINS)},
    }
    for name, values in files.items():
        with (folder / name).open("w") as file:
            YAML().dump(values, file)
    torch.save(module.state_dict(), folder / "model_epoch012.pt")
    return module


def predict_own(
    module: Any, dynamic: np.ndarray, static: dict[str, float], basin: int | None = None
) -> dict[str, np.ndarray]:
    """Return what NeuralHydrology's module makes of raw numbers: its outputs, standardized."""
    import torch

    series = (dynamic - [CENTER[n] for n in DYNAMIC]) / [SCALE[n] for n in DYNAMIC]
    data: dict[str, Any] = {
        "x_d": {
            name: torch.tensor(series[None, :, n : n + 1], dtype=torch.float32)
            for n, name in enumerate(DYNAMIC)
        }
    }
    if static:
        # As its data set does: attributes by name, then what evolves.
        names = [*sorted(name for name in static if name in _MEANS)]
        numbers = [(static[name] - _MEANS[name]) / _STDS[name] for name in names]
        evolving = [name for name in static if name not in _MEANS]
        numbers += [(static[name] - CENTER[name]) / SCALE[name] for name in evolving]
        data["x_s"] = torch.tensor([numbers], dtype=torch.float32)
    if basin is not None:
        data["x_one_hot"] = torch.eye(len(BASINS))[[basin]]
    with torch.no_grad():
        outputs = module(data)
    return {name: value[0].numpy() for name, value in outputs.items()}


def train_run(folder: Path) -> tuple[Path, dict[str, np.ndarray], np.ndarray]:
    """Train by NeuralHydrology's own trainer; return the run, raw inputs of one
    sample, and what its own tester predicts for that, in units.
    """
    import pandas as pd
    import torch
    import xarray
    from neuralhydrology.datasetzoo import get_dataset
    from neuralhydrology.datautils.utils import load_scaler
    from neuralhydrology.modelzoo import get_model
    from neuralhydrology.training.train import start_training
    from neuralhydrology.utils.config import Config

    rng = np.random.default_rng(0)
    data = folder / "data"
    (data / "time_series").mkdir(parents=True)
    (data / "attributes").mkdir()
    days = pd.date_range("2000-01-01", "2000-06-30")
    series = {}
    for basin in BASINS:
        rain, temp = rng.gamma(0.6, 5, len(days)), rng.normal(5, 4, len(days))
        q = pd.Series(rain).rolling(10, min_periods=1).mean().to_numpy() * 0.4 + 0.1
        columns = {"rain": rain, "temp": temp, "q": q}
        series[basin] = columns
        variables = {name: ("date", column) for name, column in columns.items()}
        xarray.Dataset(variables, {"date": days}).to_netcdf(data / "time_series" / f"{basin}.nc")
    attributes = pd.DataFrame(
        {"gauge_id": BASINS, "slope": [0.1, 0.3, 0.05], "area": [10.0, 200.0, 35.0]}
    )
    attributes.to_csv(data / "attributes" / "attributes.csv", index=False)
    basins = folder / "basins.txt"
    basins.write_text("\n".join(BASINS))
    dates = {
        f"{period}_{end}_date": date
        for period in ("train", "validation", "test")
        for end, date in (("start", "01/03/2000"), ("end", "30/06/2000"))
    }
    files = {f"{period}_basin_file": basins for period in ("train", "validation", "test")}
    settings = config(
        **dates,
        **files,
        device="cpu",
        dataset="generic",
        data_dir=data,
        run_dir=folder / "runs",
        static_attributes=["slope", "area"],
        optimizer="Adam",
        loss="MSE",
        learning_rate={0: 1e-2},
        batch_size=64,
        epochs=2,
        metrics=["NSE"],
        num_workers=0,
        log_tensorboard=False,
        save_weights_every=1,
        validate_every=None,
    )
    start_training(Config(settings))
    (run,) = (folder / "runs").iterdir()
    trained = Config(run / "config.yml")
    scaler = load_scaler(run)
    dataset = get_dataset(trained, is_train=False, period="test", basin=BASINS[1], scaler=scaler)
    module = get_model(trained)
    module.load_state_dict(torch.load(run / "model_epoch002.pt"))
    sample = dataset[20]
    batch = {"x_d": {k: v[None] for k, v in sample["x_d"].items()}, "x_s": sample["x_s"][None]}
    with torch.no_grad():
        own = module.eval()(batch)["y_hat"][0, -1, 0].item()
    scale, center = (float(scaler[f"xarray_feature_{which}"]["q"]) for which in ("scale", "center"))
    last = int(np.searchsorted(days, pd.Timestamp(sample["date"][-1])))
    window = slice(last - 11, last + 1)
    columns = series[BASINS[1]]
    inputs = {
        "dynamic": np.stack([columns["rain"][window], columns["temp"][window]], axis=1),
        "static": np.array([200.0, 0.3]),  # area, slope
    }
    return run, inputs, np.float32(own * scale + center)
