"""What an LSTM and a GRU that forecast a river have learned, where the truth is known.

Usage: python examples/catchment.py [FOLDER] [--years N] [--seed N]

Simulates a catchment with snow, trains two networks on its weather and runoff with PyTorch
(pip install ".[train,tables]"), asks them how long the catchment's memory is, when snow matters,
and whether they look at the right variable in floods, and compares the answers with the truth, with
gradient methods and, where shap is installed, with SHAP. Writes pictures to FOLDER (default: demo).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

import lrplstm

Array = npt.NDArray[Any]

VARIABLES = ["rain_mm", "temp_c", "wind_ms"]  # rain_mm is all precipitation, snow as well
SEASONS = ["winter", "spring", "summer", "autumn"]
TARGET = "runoff_mm"
DAYS = 180
"""Days that the networks read before each day of runoff."""
STEPS = {torch.nn.LSTM: 4000, torch.nn.GRU: 1000}
"""Steps of training that take less than a minute: PyTorch's LSTM is quicker than its GRU."""


# The catchment ------------------------------------------------------------------------------------


def weather(rng: np.random.Generator, days: pd.DatetimeIndex) -> pd.DataFrame:
    """Return precipitation (mm), temperature (degrees Celsius), and wind, which the river ignores.

    Wet and dry days follow each other as a Markov chain; temperature is a season and noise of some
    days' memory.
    """
    count = len(days)
    season = np.cos(2 * np.pi * (np.asarray(days.day_of_year) - 200) / 365.25)
    noise = np.zeros(count)
    wet = np.zeros(count, bool)
    for t in range(1, count):
        noise[t] = 0.8 * noise[t - 1] + rng.normal(0, 1.8)
        wet[t] = rng.random() < (0.6 if wet[t - 1] else 0.25)
    rain = np.where(wet, rng.gamma(0.7, 9.0, count), 0.0)
    wind = rng.gamma(4.0, 1.0, count)
    return pd.DataFrame(
        {"rain_mm": rain, "temp_c": 5 + 11 * season + noise, "wind_ms": wind}, index=days
    )


def runoff(rain: Array, temp: Array) -> tuple[Array, Array]:
    """Return the runoff of each day (mm), and how much of it was snow.

    Below 0 degrees precipitation is stored as snow, of which 3 mm melt a day and degree above.
    Water evaporates from a soil, overflows from it to a quick store (a third of it leaves a day)
    and seeps to a slow one (a fiftieth a day). Each store is thought to be mixed, so that the part
    of snow is known everywhere. Any leading axes are catchments side by side.
    """
    shape = rain.shape[:-1]
    snow, soil, quick, slow = (np.zeros(shape) for _ in range(4))
    soil_snow, quick_snow, slow_snow = (np.zeros(shape) for _ in range(3))  # parts that were snow
    flow, from_snow = np.zeros(rain.shape), np.zeros(rain.shape)
    for t in range(rain.shape[-1]):
        frost = temp[..., t] < 0
        snow = snow + np.where(frost, rain[..., t], 0)
        melt = np.minimum(snow, 3 * np.maximum(temp[..., t], 0))
        snow = snow - melt
        liquid = np.where(frost, 0, rain[..., t])

        soil_snow = _mixed(soil_snow, soil, melt, melt + liquid)
        soil = soil + melt + liquid
        soil = soil - np.minimum(soil, 0.12 * np.maximum(temp[..., t] + 3, 0))
        over, seeps = np.maximum(soil - 60, 0), 0.02 * np.minimum(soil, 60)
        soil = soil - over - seeps

        quick_snow = _mixed(quick_snow, quick, over * soil_snow, over)
        slow_snow = _mixed(slow_snow, slow, seeps * soil_snow, seeps)
        quick, slow = quick + over, slow + seeps
        flow[..., t] = quick / 3 + slow / 50
        from_snow[..., t] = quick_snow * quick / 3 + slow_snow * slow / 50
        quick, slow = quick * (2 / 3), slow * (49 / 50)
    return flow, from_snow


def _mixed(part: Array, stored: Array, new_snow: Array, new: Array) -> Array:
    """Return the part of snow in a store after more has come into it."""
    total = stored + new
    mixed: Array = np.divide(part * stored + new_snow, total, out=part.copy(), where=total > 0)
    return mixed


def truth(frame: pd.DataFrame, ends: Array) -> Array:
    """Return what the rain of each day before did: runoff less what it is without, (B, DAYS).

    The catchment is run again without the precipitation of that one day.
    """
    rain, temp = frame["rain_mm"].to_numpy(), frame["temp_c"].to_numpy()
    before = 400  # days in which older states are forgotten
    effects = []
    for end in ends:
        window = slice(end - DAYS + 1 - before, end + 1)
        without = np.tile(rain[window], (DAYS + 1, 1))
        without[np.arange(DAYS), before + np.arange(DAYS)] = 0
        flow, _ = runoff(without, np.broadcast_to(temp[window], without.shape))
        effects.append(flow[DAYS, -1] - flow[:DAYS, -1])
    return np.stack(effects)


# The networks -------------------------------------------------------------------------------------


class Forecast(torch.nn.Module):
    """A recurrent layer, and one number from its last state."""

    def __init__(self, cell: type[torch.nn.LSTM] | type[torch.nn.GRU]) -> None:
        super().__init__()
        self.cell = cell(len(VARIABLES), 32, batch_first=True)
        self.head = torch.nn.Linear(32, 1)

    def every_day(self, series: torch.Tensor) -> torch.Tensor:
        """Return the scores of every day, (B, T, 1)."""
        hidden, _ = self.cell(series)
        scores: torch.Tensor = self.head(hidden)
        return scores

    def forward(self, series: torch.Tensor) -> torch.Tensor:
        """Return the scores of the last day, (B, 1)."""
        hidden, _ = self.cell(series)
        scores: torch.Tensor = self.head(hidden[:, -1])
        return scores


@dataclass(frozen=True)
class Study:
    """The data of a catchment: what networks learn from, and what they are asked about."""

    frame: pd.DataFrame
    mean: pd.Series
    scale: pd.Series
    first_test_day: int

    def scaled(self, rows: Array) -> Array:
        """Return the windows that end at these rows as a network reads them."""
        table = ((self.frame - self.mean) / self.scale)[VARIABLES].to_numpy(np.float32)
        return table[rows[:, np.newaxis] + np.arange(1 - DAYS, 1)]


def simulate(years: int, seed: int) -> Study:
    """Return a catchment's days, of which the first two thirds are for training."""
    days = pd.date_range("1996-10-01", periods=round(365.25 * years), name="date")
    frame = weather(np.random.default_rng(seed), days)
    frame[TARGET], frame["from_snow"] = runoff(*frame[["rain_mm", "temp_c"]].to_numpy().T)
    first_test_day = 2 * len(frame) // 3
    learned = frame[:first_test_day]
    mean = learned.mean()
    # A day without rain is 0 to the network as well: what is 0 has no relevance.
    mean["rain_mm"] = 0.0
    return Study(frame, mean, learned.std(), first_test_day)


def train(study: Study, cell: type[torch.nn.LSTM] | type[torch.nn.GRU], steps: int) -> Forecast:
    """Return a network after so many steps of training.

    It learns from two windows at a time: days of the first fill its states, and it is to forecast
    each day of the second.
    """
    torch.manual_seed(0)
    network = Forecast(cell)
    table = ((study.frame - study.mean) / study.scale)[[*VARIABLES, TARGET]]
    days = torch.from_numpy(table.to_numpy(np.float32)[365 : study.first_test_day])
    optimizer = torch.optim.Adam(network.parameters())
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.01, total_steps=steps)
    rng = np.random.default_rng(0)
    for _ in range(steps):
        starts = rng.integers(len(days) - 2 * DAYS, size=32)
        batch = torch.stack([days[start : start + 2 * DAYS] for start in starts])
        scores = network.every_day(batch[..., :-1])[:, DAYS:, 0]
        loss = ((scores - batch[:, DAYS:, -1]) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        rates.step()
    return network.eval()


def as_model(network: Forecast, study: Study) -> lrplstm.Model:
    """Return the model that lrplstm explains: raw values in, runoff in mm out."""
    model = lrplstm.from_torch(network, task="regression")
    return model.replaced(
        feature_names=VARIABLES,
        scaler=(study.mean[VARIABLES], study.scale[VARIABLES]),
        output_scale=(study.mean[[TARGET]], study.scale[[TARGET]]),
    )


# The questions ------------------------------------------------------------------------------------


def correlation(found: Array, true: Array) -> float:
    """Return the median over days of the correlation over lags."""
    each = [np.corrcoef(a, b)[0, 1] for a, b in zip(found, true, strict=True) if a.any()]
    return float(np.median(each))


def memory(effects: Array, share: float = 0.9) -> int:
    """Return within how many days before a share of all effect lies, over all days."""
    profile = np.abs(effects).mean(axis=0)[::-1].cumsum()
    return int((profile >= share * profile[-1]).argmax())


def explain_all(
    model: lrplstm.Model, windows: Any, torch_network: Forecast, study: Study, rows: Array
) -> dict[str, tuple[Array, float]]:
    """Return relevance of every method, (B, DAYS, D), with the seconds that it took."""
    dry = study.mean[VARIABLES].to_numpy()  # no rain, and all else as it is on average
    methods: dict[str, Callable[[], Any]] = {
        "LRP": lambda: lrplstm.lrp(model, windows),
        "LRP, epsilon 0.1": lambda: lrplstm.lrp(model, windows, epsilon=0.1),
        "gradient x input": lambda: lrplstm.gradient_x_input(model, windows),
        "integrated gradients": lambda: lrplstm.integrated_gradients(model, windows, baseline=dry),
        "occlusion": lambda: lrplstm.occlusion(model, windows, baseline=dry),
    }
    try:
        import shap
    except ModuleNotFoundError:
        pass
    else:
        methods["SHAP (expected gradients)"] = lambda: _shap(shap, torch_network, study, rows)
    found = {}
    for name, explain in methods.items():
        start = time.perf_counter()
        relevance = explain()
        seconds = time.perf_counter() - start
        if isinstance(relevance, lrplstm.Attributions):
            relevance = relevance.input_relevance
        found[name] = relevance.reshape(len(rows), DAYS, len(VARIABLES)), seconds
    return found


def _shap(shap: Any, network: Forecast, study: Study, rows: Array) -> Array:
    """Return shap's values of the same windows, with 100 windows of the training as background."""
    rng = np.random.default_rng(0)
    background = rng.choice(np.arange(DAYS + 365, study.first_test_day), 100, replace=False)
    explainer = shap.GradientExplainer(network, torch.from_numpy(study.scaled(background)))
    values = explainer.shap_values(torch.from_numpy(study.scaled(rows)), nsamples=100)
    scaled: Array = np.asarray(values)[..., 0] * study.scale[TARGET]
    return scaled


def memory_table(effects: dict[str, Array]) -> pd.DataFrame:
    """Return within how many days half, and 90 %, of what rain does lies, by truth and methods."""
    rows = {
        name: {"half": memory(rain, 0.5), "90 %": memory(rain, 0.9)}
        for name, rain in effects.items()
    }
    return pd.DataFrame(rows).T


def snow_table(study: Study, rows: Array, effects: dict[str, Array]) -> pd.DataFrame:
    """Return the part of snow in the runoff of each season, by truth and by methods.

    A method's is the part of what it gives to days of precipitation that it gives to days of frost.
    """
    windows = rows[:, np.newaxis] + np.arange(1 - DAYS, 1)
    frost = study.frame["temp_c"].to_numpy()[windows] < 0
    days = study.frame.iloc[rows]
    season = np.array(SEASONS)[np.asarray(days.index.month) % 12 // 3]
    parts = {
        name: np.where(frost, rain, 0).clip(0).sum(axis=1) / (rain.clip(0).sum(axis=1) + 1e-9)
        for name, rain in effects.items()
    }
    parts["tracer"] = (days["from_snow"] / days[TARGET]).to_numpy()
    return pd.DataFrame(parts).groupby(season).mean().loc[["winter", "spring", "summer", "autumn"]]


def flood_table(study: Study, rows: Array, found: dict[str, tuple[Array, float]]) -> pd.DataFrame:
    """Return the part of all absolute relevance that each variable has in floods.

    Floods are the days with the two hundredths of largest runoff.
    """
    flow = study.frame[TARGET].to_numpy()[rows]
    floods = flow >= np.quantile(flow, 0.98)
    parts = {}
    for name, (relevance, _) in found.items():
        sizes = np.abs(relevance[floods]).sum(axis=(0, 1))
        parts[name] = dict(zip(VARIABLES, sizes / sizes.sum(), strict=True))
    return pd.DataFrame(parts).T


def main() -> None:
    """Train, ask, print and draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", nargs="?", default="demo", type=Path)
    parser.add_argument("--years", type=float, default=40)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)

    study = simulate(options.years, options.seed)
    test = np.arange(study.first_test_day + DAYS, len(study.frame))
    rows = test[:: max(1, len(test) // 120)]  # days that are explained by every method
    true = truth(study.frame, rows)
    for cell in (torch.nn.LSTM, torch.nn.GRU):
        start = time.perf_counter()
        network = train(study, cell, STEPS[cell])
        seconds = time.perf_counter() - start
        report(study, cell.__name__, network, true, rows, options.folder)
        print(f"trained in {seconds:.0f} s\n")


def report(
    study: Study, name: str, network: Forecast, true: Array, rows: Array, folder: Path
) -> None:
    """Print what one network's explanations say beside the truth, and draw them."""
    model = as_model(network, study)
    first = study.first_test_day
    windows = lrplstm.windows(study.frame[first - DAYS + 1 :], DAYS, columns=VARIABLES)
    scores, flow = model.predict(windows)[:, 0], study.frame[TARGET].to_numpy()[first:]
    efficiency = 1 - ((scores - flow) ** 2).sum() / ((flow - flow.mean()) ** 2).sum()
    print(
        f"== {name}: Nash-Sutcliffe efficiency {efficiency:.2f} on {len(flow)} days not trained on"
    )

    found = explain_all(model, windows[rows - first], network, study, rows)
    rain = VARIABLES.index("rain_mm")
    effects = {"truth": true} | {method: values[..., rain] for method, (values, _) in found.items()}
    table = memory_table(effects)
    table["size"] = [np.abs(values).sum(axis=1).mean() for values in effects.values()]
    table["correlation"] = [correlation(values, true) for values in effects.values()]
    table["ms a day"] = [np.nan, *(1e3 * seconds / len(rows) for _, seconds in found.values())]
    print(
        "\nDays within which the effect of precipitation lies; its size, the sum of absolute values"
    )
    print("in mm; correlation with the truth; time")
    print(table.round(2).to_string(na_rep=""))
    print("\nPart of the runoff that was snow")
    print(snow_table(study, rows, effects).round(2).to_string())
    print("\nParts of the relevance in floods (wind does nothing)")
    print(flood_table(study, rows, found).round(3).to_string())

    # Everything of the test years at once, which is what LRP's speed is for.
    start = time.perf_counter()
    attributions = lrplstm.lrp(model, windows, epsilon=0.1)
    profile = lrplstm.summary.lags(attributions)
    print(
        f"\nLRP of all {len(windows)} windows of {DAYS} days: {time.perf_counter() - start:.1f} s"
    )
    profile.plot().figure.savefig(folder / f"catchment_{name}_lags.png", dpi=150)
    flood = int(flow.argmax())
    attributions[flood].plot_inputs().figure.savefig(
        folder / f"catchment_{name}_flood.png", dpi=150
    )


if __name__ == "__main__":
    main()
