"""Runs of NeuralHydrology, against its own modules made of its own configs."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydrology_runs import BASINS, CENTER, SCALE, config, predict_own, train_run, write_run

import lrplstm

RNG = np.random.default_rng(3)
FORCINGS = RNG.normal(2, 4, (12, 2))  # raw: rain and temp of 12 days
STATIC = {"area": 40.0, "slope": 2e-05}
STATICS_EMBEDDING = {"type": "fc", "hiddens": [4, 3], "activation": "tanh", "dropout": 0.0}
DYNAMICS_EMBEDDING = {"type": "fc", "hiddens": [6, 3, 2], "activation": "sigmoid", "dropout": 0.1}

# Every pair of a model and something else occurs at least once.
RUNS = {
    "bare": config(),
    "relu": config(output_activation="relu", target_variables=["q", "level"]),
    "statics": config(static_attributes=["slope", "area"], statics_embedding=STATICS_EMBEDDING),
    "one-hot": config(static_attributes=["slope", "area"], use_basin_id_encoding=True),
    "basins alone": config(model="gru", use_basin_id_encoding=True, predict_last_n=12),
    "evolving": config(
        model="customlstm", static_attributes=["area"], evolving_attributes=["snow"]
    ),
    "embedded": config(
        model="embcudalstm",
        camels_attributes=["area", "slope"],
        dynamics_embedding=DYNAMICS_EMBEDDING,
        output_activation="softplus",
    ),
    "entity-aware": config(
        model="ealstm", static_attributes=["slope", "area"], statics_embedding=STATICS_EMBEDDING
    ),
    "mixture": config(
        model="gru",
        head="cmal",
        n_distributions=3,
        target_variables=["q", "level"],
        static_attributes=["slope"],
    ),
    "mixture of an entity-aware": config(
        model="ealstm", head="cmal", n_distributions=2, use_basin_id_encoding=True
    ),
}


def raw_inputs(settings: dict, basin: int) -> tuple[Any, dict]:
    """Return what the model reads, and the static numbers by name."""
    named = [*settings.get("static_attributes", []), *settings.get("camels_attributes", [])]
    static = {name: STATIC[name] for name in sorted(named)}
    static |= dict.fromkeys(settings.get("evolving_attributes", []), 0.9)
    row = list(static.values())
    if settings.get("use_basin_id_encoding"):
        row += np.eye(len(BASINS))[basin].tolist()
    return {"dynamic": FORCINGS, "static": np.array(row)} if row else FORCINGS, static


@pytest.mark.parametrize("name", RUNS)
def test_scores_are_those_of_its_own_module_in_units(name, tmp_path):
    settings = RUNS[name]
    module = write_run(tmp_path / "run", settings)
    model = lrplstm.from_neuralhydrology(tmp_path / "run")
    inputs, static = raw_inputs(settings, basin=1)
    told = 1 if settings.get("use_basin_id_encoding") else None
    own = predict_own(module, FORCINGS, static, told)
    targets = settings["target_variables"]
    center, scale = ([table[target] for target in targets] for table in (CENTER, SCALE))
    if settings["head"] == "regression":
        expected = own["y_hat"] * scale + center
    else:
        count = settings["n_distributions"]
        expected = own["mu"] * np.repeat(scale, count) + np.repeat(center, count)
    scores = model.predict(inputs)
    if settings["predict_last_n"] == 1:
        scores, expected = scores[np.newaxis], expected[-1:]
    if settings["head"] == "cmal":
        _check_mixture(scores, own, len(targets) * settings["n_distributions"])
        scores = scores[:, : expected.shape[1]]
    np.testing.assert_allclose(scores, expected, rtol=2e-5, atol=2e-6)
    assert model.class_names[: len(targets)] == tuple(targets) or settings["head"] == "cmal"


def _check_mixture(scores: np.ndarray, own: dict[str, np.ndarray], count: int) -> None:
    """The parameters behind mu are what its own head takes softplus, sigmoid and softmax of."""
    import torch

    _, b, tau, pi = np.split(scores[-1], 4)
    assert len(b) == count
    softplus = torch.nn.Softplus(2)(torch.tensor(b)).numpy()
    np.testing.assert_allclose(softplus, own["b"][-1], rtol=1e-4, atol=2e-5)
    np.testing.assert_allclose(1 / (1 + np.exp(-tau)), own["tau"][-1], atol=2e-5)
    np.testing.assert_allclose(np.exp(pi) / np.exp(pi).sum(), own["pi"][-1], atol=3e-5)


def test_relevance_of_raw_numbers(tmp_path):
    settings = RUNS["statics"]
    write_run(tmp_path / "run", settings)
    model = lrplstm.from_neuralhydrology(tmp_path / "run").astype("float64")
    inputs, _ = raw_inputs(settings, basin=0)
    a = lrplstm.lrp(model, inputs, bias_factor=1.0)
    given = a.relevance_of
    assert given["dynamic"].shape == FORCINGS.shape
    assert given["static"].shape == (2,)
    total = sum(relevance.sum() for relevance in given.values()) + a.initial_relevance
    assert total == pytest.approx(float(a.scores[0]), rel=1e-6)
    assert a.delta == pytest.approx(0, abs=1e-8)


def test_an_input_gate_gets_nothing_from_signal_take_all(tmp_path):
    settings = RUNS["entity-aware"]
    write_run(tmp_path / "run", settings)
    model = lrplstm.from_neuralhydrology(tmp_path / "run").astype("float64")
    inputs, _ = raw_inputs(settings, basin=0)
    assert not lrplstm.lrp(model, inputs).relevance_of["static"].any()
    for other in (
        lrplstm.lrp(model, inputs, product_rule="half"),
        lrplstm.gradient_x_input(model, inputs),
    ):
        assert other.relevance_of["static"].all()


def test_a_run_of_its_own_trainer(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run, sample, expected = train_run(tmp_path)
    model = lrplstm.from_neuralhydrology(run)
    np.testing.assert_allclose(model.predict(sample)[0], expected, rtol=2e-5)
    first = lrplstm.from_neuralhydrology(run, epoch=1)
    assert first.origin["weights"] == "model_epoch001.pt"
    assert model.origin["weights"] == "model_epoch002.pt"
    assert not np.array_equal(first.predict(sample), model.predict(sample))
    model.save(tmp_path / "saved")
    again = lrplstm.load(tmp_path / "saved")
    assert np.array_equal(again.predict(sample), model.predict(sample))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "mamba"}, "model: expected one of cudalstm, .* got 'mamba'"),
        ({"head": "gmm"}, "head: expected regression or cmal, got 'gmm'"),
        ({"autoregressive_inputs": ["q_shift1"]}, "autoregressive_inputs: expected none"),
        ({"nan_handling_method": "masked_mean"}, "nan_handling_method: expected none"),
        ({"dynamic_inputs": {"1D": ["rain"]}}, "dynamic_inputs: expected a list of names"),
        ({"dynamic_inputs": ["rain", "wind"]}, "'wind': expected a finite center, got None"),
        ({"output_activation": "exp"}, "output_activation: expected one of linear, relu"),
        ({"hidden_size": "many"}, "hidden_size: expected a number of at least 1, got 'many'"),
        ({"hidden_size": 6}, r"lstm.weight_ih_l0: expected shape \(24, 2\), got \(20, 2\)"),
        ({"statics_embedding": {"hiddens": []}}, "statics_embedding: expected hiddens"),
    ],
)
def test_what_cannot_be_read_is_named(changes, message, tmp_path):
    from ruamel.yaml import YAML

    write_run(tmp_path / "run", RUNS["bare"])
    with (tmp_path / "run" / "config.yml").open("w") as file:
        YAML().dump(RUNS["bare"] | changes, file)
    with pytest.raises(ValueError, match=message):
        lrplstm.from_neuralhydrology(tmp_path / "run")


def test_damaged_folders(tmp_path):
    run = tmp_path / "run"
    write_run(run, RUNS["bare"])
    with pytest.raises(ValueError, match="epoch: expected one that was saved, 12, got 3"):
        lrplstm.from_neuralhydrology(run, epoch=3)
    with pytest.raises(ValueError, match="expected the folder of a NeuralHydrology run"):
        lrplstm.from_neuralhydrology(tmp_path / "nowhere")
    for content, message in {
        "a: !!python/object/apply:os.system ['touch ran']": "expected YAML",
        "[" * 9000: "expected YAML",
        "- 1": "expected keys and values",
    }.items():
        broken = Path(shutil.copytree(run, tmp_path / "broken"))
        (broken / "config.yml").write_text(content)
        with pytest.raises(ValueError, match=message):
            lrplstm.from_neuralhydrology(broken)
        shutil.rmtree(broken)
    assert not Path("ran").exists()
    scaler = run / "train_data" / "train_data_scaler.yml"
    scaler.rename(scaler.with_suffix(".p"))
    with pytest.raises(ValueError, match="found a pickle, which could run anything"):
        lrplstm.from_neuralhydrology(run)
