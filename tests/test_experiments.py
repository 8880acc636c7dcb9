"""The experiments: their commands in small, and what they draw and measure."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from doc_pages import ROOT

import lrplstm
from experiments import cases, needle, report, toy_arithmetic, toy_training

RESULTS = ROOT / "docs" / "results"


def run(name, folder, *arguments):
    """Call what the command calls, in a folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", [name, *arguments])
        importlib.import_module(f"experiments.{name}").main()


def test_methods_and_rules_of_the_papers_are_cases():
    assert {method for method, _ in cases.CASES.values()} <= set(lrplstm.METHODS)
    rules = {o.get("product_rule", "all") for m, o in cases.CASES.values() if m == "lrp"}
    assert rules == {"all", "prop", "abs", "half"}  # those of the papers


@pytest.mark.filterwarnings(
    "ignore:inputs.*relevance grew:RuntimeWarning",  # of LRP-prop
    "ignore:.torch.jit.script. is deprecated:DeprecationWarning",  # of PyTorch's own optimizers
)
@pytest.mark.parametrize(
    "name", ["toy_arithmetic", "needle", "word_deletion", "positions", "words"]
)
def test_command_in_an_empty_folder(name, tmp_path, capsys):
    run(name, tmp_path, "--quick", "--out", "results")
    output = capsys.readouterr().out
    if name != "words":  # which has one method
        for case in cases.CASES:
            assert f"| {case} |" in output
    assert json.loads((tmp_path / "results" / f"{name}.json").read_text())
    assert (tmp_path / "results" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert list(tmp_path.iterdir()) == [tmp_path / "results"]


# Toy arithmetic ---------------------------------------------------------------------------------


def test_drawn_sums():
    x, lengths, numbers = toy_arithmetic.draw(np.random.default_rng(0), 5000)
    assert x.shape == (5000, 10, 2)
    assert set(lengths) == set(range(4, 11))
    for k in (0, 1):
        assert ((x[:, :, k] != 0).sum(axis=1) == 1).all()
        assert np.array_equal(x[:, :, k].sum(axis=1), numbers[:, k])
    step_a, step_b = (x != 0).argmax(axis=1).T
    assert (np.minimum(step_a, step_b) >= 10 - lengths).all()
    assert (step_a != step_b).all()
    assert set(step_a) == set(step_b) == set(range(10))
    assert 0.45 < (step_a < step_b).mean() < 0.55
    assert 0.5 <= np.abs(numbers).min() < 0.51 < 0.99 < np.abs(numbers).max() <= 1
    assert 0.45 < (numbers > 0).mean() < 0.55
    assert abs(np.corrcoef(numbers.T)[0, 1]) < 0.05


def test_relevance_of_numbers_is_that_of_their_steps():
    test = toy_arithmetic.Test(0, 50, -1.0)
    assert [len(series) for series in test.series] == [
        *toy_arithmetic.draw(np.random.default_rng(0), 50)[1]
    ]
    steps = np.concatenate([series @ [1.0, -1.0] for series in test.series])
    assert np.array_equal(test.relevance_of_numbers(steps), test.parts)
    assert np.array_equal(test.answers, test.parts.sum(axis=1))


def test_measures_of_a_perfect_explanation():
    class Perfect:
        def __init__(self, test, factor):
            steps = np.concatenate([series.sum(axis=1) for series in test.series])
            self.token_relevance = factor * steps
            self.scores = test.answers[:, np.newaxis]

    test = toy_arithmetic.Test(0, 50, 1.0)
    largest = np.abs(test.parts).max()
    assert np.allclose(toy_arithmetic.measure(test, Perfect(test, 1)), [1, 1, 0, 1, 1, largest])
    expected = [-1, -1, np.mean((2 * test.answers) ** 2), -1, -1, largest]
    assert np.allclose(toy_arithmetic.measure(test, Perfect(test, -1)), expected)


def test_trained_and_exported_networks_are_the_same():
    w = np.random.default_rng(0).uniform(-1, 1, 13)
    x, lengths, _ = toy_arithmetic.draw(np.random.default_rng(1), 50)
    expected = toy_training.scores(torch.from_numpy(w), torch.from_numpy(x)).numpy()
    model = toy_arithmetic.to_model(w)
    assert np.allclose(model.predict(x)[:, 0], expected, rtol=1e-12)
    # Zeros in front change nothing.
    short = [row[10 - n :] for row, n in zip(x, lengths, strict=True)]
    assert np.allclose(model.predict(short)[:, 0], expected, rtol=1e-12)


@pytest.mark.parametrize("task", toy_arithmetic.SIGNS)
def test_stored_networks_compute_the_sums(task):
    w, _ = toy_arithmetic.networks(RESULTS, task, 0, quick=False)
    test = toy_arithmetic.Test(7, 500, toy_arithmetic.SIGNS[task])
    assert w.shape == (50, 13)
    for one in w:
        outputs = toy_arithmetic.to_model(one).predict(test.series)[:, 0]
        assert np.mean((outputs - test.answers) ** 2) < 1e-4


# Needle -----------------------------------------------------------------------------------------


def test_haystack_has_one_pattern_where_it_says():
    drawn = needle.draw_haystack(np.random.default_rng(0), 500)
    assert set(map(len, drawn.texts)) == set(range(30, 61))
    assert set(drawn.labels) == set(range(5))
    for index, (text, label) in enumerate(zip(drawn.texts, drawn.labels, strict=True)):
        found = [
            k for k, p in enumerate(needle.PATTERNS) for i in range(60) if text[i:].startswith(p)
        ]
        assert found == ([] if label == needle.NONE else [label])
        if label != needle.NONE:
            truth = drawn.truth(index)
            assert "".join(np.array(list(text))[truth]) == needle.PATTERNS[label]
            assert text.index(needle.PATTERNS[label]) == truth.argmax()


def random_ranking(seed):
    """Relevance with ties, and a truth that is neither all nor nothing."""
    rng = np.random.default_rng(seed)
    steps = int(rng.integers(2, 12))
    truth = rng.permutation(np.arange(steps) < rng.integers(1, steps))
    return rng.integers(0, 6, steps).astype(float), truth


@pytest.mark.parametrize("seed", range(40))
def test_auroc_against_brute_force(seed):
    relevance, truth = random_ranking(seed)
    wins = [
        1.0 if relevance[i] > relevance[j] else 0.5 if relevance[i] == relevance[j] else 0.0
        for i in range(len(truth))
        for j in range(len(truth))
        if truth[i] and not truth[j]
    ]
    assert needle.auroc(relevance, truth) == pytest.approx(sum(wins) / len(wins), rel=1e-12)


@pytest.mark.parametrize("seed", range(40))
def test_average_precision_against_brute_force(seed):
    """The area under the steps of precision over recall, a threshold at a time."""
    relevance, truth = random_ranking(seed)
    area, recall = 0.0, 0.0
    for threshold in sorted(set(relevance), reverse=True):
        chosen = [bool(t) for r, t in zip(relevance, truth, strict=True) if r >= threshold]
        before, recall = recall, sum(chosen) / truth.sum()
        area += (recall - before) * sum(chosen) / len(chosen)
    assert needle.average_precision(relevance, truth) == pytest.approx(area, rel=1e-12)


def test_rankings_that_are_right_wrong_and_none():
    truth = np.array([True, True, False, False, False])
    right = np.array([5.0, 4, 3, 2, 1])
    assert needle.auroc(right, truth) == needle.average_precision(right, truth) == 1
    assert needle.auroc(-right, truth) == 0
    assert needle.auroc(np.zeros(5), truth) == 0.5
    assert needle.average_precision(np.zeros(5), truth) == pytest.approx(2 / 5)


@pytest.mark.parametrize(("steps", "inside"), [(5, 1), (6, 3), (40, 3)])
def test_chance_is_the_mean_of_random_orders(steps, inside):
    rng = np.random.default_rng(0)
    truth = np.arange(steps) < inside
    orders = [
        needle.average_precision(rng.permuted(steps * 1.0 + np.arange(steps)), truth)
        for _ in range(4000)
    ]
    error = np.std(orders) / np.sqrt(len(orders))
    assert abs(np.mean(orders) - needle.chance_precision(steps, inside)) < 4 * error


# Results ----------------------------------------------------------------------------------------


def test_tables_on_a_page_are_renewed():
    page = "# A\n<!-- table: x -->\nold\n<!-- end -->\nB\n<!-- table: y -->\n<!-- end -->\n"
    table = report.to_markdown(["a", "b"], [["c", "1"]])
    assert table == "| a | b |\n| --- | ---: |\n| c | 1 |\n"
    renewed = report.replace_table(page, "x", table)
    assert renewed == page.replace("old\n", f"\n{table}\n")
    assert report.replace_table(renewed, "x", table) == renewed
    assert report.replace_table(page, "z", table) == page


def test_every_result_has_its_place_on_the_page():
    page = (RESULTS / "README.md").read_text(encoding="utf-8")
    for path in RESULTS.glob("*.png"):
        assert f"]({path.name})" in page
        assert json.loads(path.with_suffix(".json").read_text())
        assert f"<!-- table: {path.stem} -->" in page


# The command line -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("words", ["--quick"], "--quick: expected --out with it"),
        ("positions", ["--only", "LRP-all"], "--only: expected --out with it"),
        ("needle", ["--seed", "3"], "--seed: expected --out with it"),
        ("needle", ["--seed", "-1"], "--seed: expected a number from 0, got '-1'"),
        ("words", ["--only", "random"], "unrecognized arguments: --only random"),
        ("word_deletion", ["--seed", "3"], "unrecognized arguments: --seed 3"),
        ("words", ["--out", __file__], "--out: expected a folder, got the file"),
    ],
)
def test_what_would_be_ignored_or_overwrite_whole_runs_is_refused(name, arguments, message, capsys):
    with pytest.raises(SystemExit) as caught:
        run(name, ROOT, *arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_a_module_is_a_command():
    process = subprocess.run(
        [sys.executable, "-m", "experiments.words", "--quick"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 2
    assert process.stderr.endswith("--quick: expected --out with it; docs/results has whole runs\n")
