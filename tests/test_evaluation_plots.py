"""Plots of the evaluation: they draw what the arrays say, on the axes that are given."""

from __future__ import annotations

import io
import itertools
import json
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure
from random_models import random_model

import lrplstm
from lrplstm import evaluation

VOCABULARY = ["<unk>", "<pad>", *"abcdefg", "$x$", "\u4e2d", "w" * 40]
MODEL = random_model(3, vocabulary=VOCABULARY, class_names=["low", "$5", "hi_gh"])
IDS = [np.random.default_rng(b).integers(2, len(VOCABULARY), 6 + b) for b in range(9)]
LABELS = [b % 3 for b in range(9)]


def results():
    yield evaluation.deletion_curve(MODEL, IDS, LABELS, min_length=6)
    yield evaluation.conservation(MODEL, IDS)
    yield evaluation.randomization_test(MODEL, IDS, embedding=True)
    yield evaluation.agreement(MODEL, IDS)
    yield evaluation.representative_words(MODEL, IDS)
    yield evaluation.relevance_by_position(MODEL, IDS)


RESULTS = {type(result).__name__: result for result in results()}

every_result = pytest.mark.parametrize("name", RESULTS)


@every_result
def test_plots_on_given_axes_and_can_be_written(name):
    figure = Figure(layout="constrained")
    ax = figure.add_subplot()
    assert RESULTS[name].plot(ax) is ax
    file = io.BytesIO()
    figure.savefig(file, format="png")
    assert ax.get_title(loc="left")


@every_result
def test_makes_a_figure_of_its_own(name):
    import matplotlib.pyplot as plt

    backend = plt.get_backend()
    plt.switch_backend("agg")
    ax = RESULTS[name].plot()
    assert ax.figure.number in plt.get_fignums()
    plt.close(ax.figure)
    plt.switch_backend(backend)


@every_result
def test_is_ready_for_json(name):
    written = json.dumps(RESULTS[name].to_dict(), allow_nan=False)
    assert json.loads(written)


@every_result
def test_is_frozen(name):
    result = RESULTS[name]
    with pytest.raises(AttributeError):
        setattr(result, next(iter(vars(result))), None)


def lines_of(ax, count):
    return np.array([line.get_ydata() for line in ax.lines[:count]])


def test_lines_are_the_curves():
    curves = RESULTS["DeletionCurves"]
    for group in ("correct", "wrong"):
        ax = curves.plot(Figure().add_subplot(), group=group)
        drawn = lines_of(ax, len(curves.methods))
        np.testing.assert_array_equal(drawn, getattr(curves, f"curve_{group}"))
        labels = [text.get_text() for text in ax.get_legend().get_texts()]
        areas = getattr(curves, f"area_{group}")
        expected = [f"{m} ({a:.3f})" for m, a in zip(curves.methods, areas, strict=True)]
        assert labels == expected


def test_randomization_starts_at_one():
    found = RESULTS["Randomization"]
    ax = found.plot(Figure().add_subplot(), absolute=True)
    drawn = lines_of(ax, len(found.methods))
    np.testing.assert_array_equal(drawn[:, 0], 1)
    np.testing.assert_array_equal(drawn[:, 1:], found.absolute)
    assert [label.get_text() for label in ax.get_xticklabels()] == [
        "none", "head", "+ layer 1", "+ embedding"
    ]  # fmt: skip


def test_positions_are_drawn_at_the_middle_of_their_bins():
    found = RESULTS["RelevanceByPosition"]
    ax = found.plot(Figure().add_subplot(), signed=True)
    np.testing.assert_array_equal(lines_of(ax, len(found.methods)), found.mean)
    np.testing.assert_allclose(ax.lines[0].get_xdata(), np.arange(0.05, 1, 0.1))


def test_more_methods_than_colours_can_be_told_apart():
    methods = {f"lrp {n}": {"method": "lrp", "bias_factor": n / 16} for n in range(16)}
    found = evaluation.relevance_by_position(MODEL, IDS, methods=methods)
    ax = found.plot(Figure().add_subplot())
    looks = {(line.get_color(), line.get_linestyle()) for line in ax.lines[:16]}
    assert len(looks) == 16


def drawn(found):
    """A figure with the plot of a result, laid out, and its axes."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    ax = found.plot(figure.add_subplot())
    figure.savefig(io.BytesIO(), format="png")
    return figure, ax


@pytest.mark.filterwarnings("ignore:inputs.*relevance grew:RuntimeWarning")
def test_ticks_of_huge_multiples_do_not_overlap():
    sentences = [sentence.tokens for sentence in lrplstm.sample_sentences()]
    _, ax = drawn(evaluation.conservation(lrplstm.load_default(), sentences, product_rule="half"))
    assert max(np.abs(ax.get_xlim())) > 1e5
    boxes = [label.get_window_extent() for label in ax.get_xticklabels() if label.get_text()]
    assert all(before.x1 <= after.x0 for before, after in itertools.pairwise(boxes))


def test_many_parts_are_named_aslant():
    deep = random_model(3, layers=8, vocabulary=VOCABULARY)
    _, ax = drawn(evaluation.randomization_test(deep, IDS, methods="lrp", embedding=True))
    assert {label.get_rotation() for label in ax.get_xticklabels()} == {45}


def test_long_names_leave_room_for_the_axes():
    methods = {f"lrp with rule abs and {n} of its biases" * 2: {"method": "lrp"} for n in range(2)}
    figure, ax = drawn(evaluation.relevance_by_position(MODEL, IDS, methods=methods))
    assert ax.get_window_extent().width > 0.3 * figure.bbox.width


def test_words_for_are_red_and_words_against_blue():
    found = RESULTS["RepresentativeWords"]
    ax = found.plot(Figure().add_subplot())
    C, n = found.most.shape
    assert len(ax.texts) == 2 * C * n
    for number, text in enumerate(ax.texts):
        column, row = divmod(number, 2 * n)
        relevance = np.append(found.most_relevance[column], found.least_relevance[column, ::-1])
        red, _, blue, _ = text.get_bbox_patch().get_facecolor()
        if abs(relevance[row]) > 0.02 * np.abs(relevance).max():  # else it is nearly white
            assert np.sign(red - blue) == np.sign(relevance[row])


def test_an_empty_group_draws_without_warnings():
    predicted = MODEL.predict(IDS).argmax(axis=1)
    curves = evaluation.deletion_curve(MODEL, IDS, predicted, min_length=6)
    figure = Figure(layout="constrained")
    curves.plot(figure.add_subplot(), group="wrong")
    figure.savefig(io.BytesIO(), format="png")


def test_matplotlib_is_imported_for_plots_only():
    code = (
        "import sys, lrplstm; light = set(sys.modules); from lrplstm import evaluation;"
        "s = [['a', 'fine', 'film'], ['dull', '.', '!']]; m = lrplstm.load_default();"
        "evaluation.agreement(m, s); evaluation.representative_words(m, s);"
        "evaluation.deletion_curve(m, s, [4, 0], deletions=1, min_length=2);"
        "print('lrplstm.evaluation' in light, 'matplotlib' in sys.modules)"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert output.stdout.split() == ["False", "False"]
