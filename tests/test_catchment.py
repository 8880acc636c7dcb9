"""The catchment of examples/catchment.py behaves as water does, and its networks are read."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from doc_pages import Page

import lrplstm
from examples import catchment


@pytest.fixture(scope="module")
def study():
    return catchment.simulate(years=4, seed=1)


def test_runoff_has_causes_and_no_more_water_than_there_was(study):
    rain, temp = study.frame[["rain_mm", "temp_c"]].to_numpy().T
    flow, from_snow = catchment.runoff(rain, temp)
    assert 0 < flow.sum() < rain.sum()
    assert (from_snow >= 0).all()
    assert (from_snow <= flow + 1e-12).all()
    later = rain.copy()
    later[700] += 10
    changed, _ = catchment.runoff(later, temp)
    np.testing.assert_array_equal(changed[:700], flow[:700])
    assert changed[700:].sum() > flow[700:].sum()
    warm, snow = catchment.runoff(rain, np.full_like(temp, 12.0))
    assert not snow.any()
    assert warm.sum() > 0


def test_the_truth_is_what_a_second_run_without_a_day_gives(study):
    rain, temp = study.frame[["rain_mm", "temp_c"]].to_numpy().T
    end, lag = len(rain) - 1, int((rain[::-1] > 5).argmax())
    without = rain.copy()
    without[end - lag] = 0
    expected = catchment.runoff(rain, temp)[0][end] - catchment.runoff(without, temp)[0][end]
    found = catchment.truth(study.frame, np.array([end]))
    assert found[0, -1 - lag] == pytest.approx(expected, abs=1e-6)
    assert expected > 0


@pytest.mark.parametrize("cell", [torch.nn.LSTM, torch.nn.GRU])
def test_models_read_raw_values_and_give_runoff_in_mm(study, cell):
    torch.manual_seed(0)
    network = catchment.Forecast(cell).eval()
    model = catchment.as_model(network, study)
    rows = np.array([800, 900])
    windows = lrplstm.windows(study.frame, catchment.DAYS, columns=catchment.VARIABLES)
    scores = model.predict(windows[rows - catchment.DAYS + 1])[:, 0]
    with torch.no_grad():
        scaled = network(torch.from_numpy(study.scaled(rows))).numpy()[:, 0]
    mean, scale = (one[catchment.TARGET] for one in (study.mean, study.scale))
    np.testing.assert_allclose(scores, scaled * scale + mean, rtol=1e-4)
    assert isinstance(study.frame.index, pd.DatetimeIndex)


def test_the_page_names_what_exists():
    Page("docs/catchment.md").check_references()
