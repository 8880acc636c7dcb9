"""Float series through the public API: forms of inputs, one score, pictures, documentation."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from doc_pages import ROOT, Page
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from pairwise import pairwise
from random_models import random_batch, random_model, relative_error

import lrplstm
from lrplstm import heatmap

PAGE = Page("docs/time_series.md")
POOLINGS = ["last", "mean", "max", "none"]
VARIABLES = ["a", "b", "c", "d", "e"]

BACKENDS = ["kernel", "reference"]

backends = pytest.mark.parametrize("backend", BACKENDS)
methods = pytest.mark.parametrize("method", lrplstm.METHODS)


def series_model(seed=1, **options):
    return random_model(seed, **({"D": 5, "C": 1} | options))


# Forms of inputs --------------------------------------------------------------------------------


class Frame:
    """What has an array, but is none: a table of another library."""

    def __init__(self, values):
        self.values = values

    def __len__(self):
        return len(self.values)

    def __array__(self, dtype=None, copy=None):
        return self.values


FORMS = {
    "list of arrays": list,
    "tuple of arrays": tuple,
    "array (B, T, D)": np.stack,
    "column-major": lambda batch: [np.asfortranarray(x) for x in batch],
    "backwards": lambda batch: [x[::-1].copy()[::-1] for x in batch],
    "part of a larger array": lambda batch: list(np.pad(np.stack(batch), 1)[1:-1, 1:-1, 1:-1]),
    "lists of lists": lambda batch: [x.tolist() for x in batch],
    "one nested list": lambda batch: np.stack(batch).tolist(),
    "tensors": lambda batch: [torch.tensor(x) for x in batch],
    "one tensor": lambda batch: torch.tensor(np.stack(batch)),
    "frames": lambda batch: [Frame(x) for x in batch],
    "big-endian": lambda batch: [x.astype(">f8") for x in batch],
    "read-only": lambda batch: [np.frombuffer(x.tobytes()).reshape(x.shape) for x in batch],
}


@pairwise(form=FORMS, pooling=POOLINGS, backend=BACKENDS)
def test_forms_of_a_batch_of_series(pooling, backend, form):
    model = series_model(pooling=pooling, C=3)
    batch = random_batch(lengths=(4, 4, 4))
    given = FORMS[form](batch)
    expected = model.predict(batch, backend=backend)
    found = model.predict(given, backend=backend)
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
    one = lrplstm.lrp(model, FORMS[form](batch)[1], 2, backend=backend)
    bulk = lrplstm.lrp(model, given, 2, backend=backend)
    assert isinstance(one, lrplstm.Attribution)
    assert len(bulk) == 3
    assert np.array_equal(one.input_relevance, bulk[1].input_relevance)
    assert np.array_equal(one.scores, bulk[1].scores)


@backends
@methods
def test_integers_are_a_series_too(backend, method):
    model = series_model(C=3)
    counts = [np.arange(20).reshape(4, 5) % 3, np.ones((2, 5), np.uint8)]
    floats = [x.astype(float) for x in counts]
    found = lrplstm.explain(model, counts, method, 1, backend=backend)
    expected = lrplstm.explain(model, floats, method, 1, backend=backend)
    assert np.array_equal(found.input_relevance, expected.input_relevance)
    mixed = lrplstm.explain(model, [counts[0], floats[1]], method, 1, backend=backend)
    assert np.array_equal(mixed.input_relevance, expected.input_relevance)


@pairwise(method=lrplstm.METHODS, pooling=POOLINGS, backend=BACKENDS)
def test_levels_of_series(pooling, backend, method):
    model = series_model(pooling=pooling, layers=2)
    batch = random_batch(lengths=(6, 1, 3))
    default, by_input, by_step = (
        lrplstm.explain(model, batch, method, backend=backend, level=level)
        for level in (None, "input", "token")
    )
    assert np.array_equal(default.input_relevance, by_input.input_relevance)
    assert by_step.input_relevance is None
    assert relative_error(by_input.input_relevance.sum(axis=1), by_step.token_relevance) < 1e-11
    assert relative_error(by_input.token_relevance, by_step.token_relevance) < 1e-11
    assert by_input.tokens is None
    assert not by_input.unknown.any()


BAD = {
    "NaN": (
        np.where(np.eye(4, 5) > 0, np.nan, 1.0),
        ValueError,
        "variable 0 at step 0: expected a finite number, got nan",
    ),
    "infinity": (
        np.where(np.eye(4, 5) > 0, np.inf, 1.0),
        ValueError,
        "variable 0 at step 0: expected a finite number, got inf",
    ),
    "wrong D": (np.ones((4, 6)), ValueError, r"expected shape \(T, 5\), got \(4, 6\)"),
    "no variable": (np.ones((4, 0)), ValueError, r"expected shape \(T, 5\), got \(4, 0\)"),
    "no step": (np.ones((0, 5)), ValueError, "expected at least one"),
    "one dimension": (np.ones(5), TypeError, r"a float array \(T, 5\), got floats in 1 dimension"),
    "four dimensions": (np.ones((1, 1, 4, 5)), TypeError, "in 4 dimension"),
    "complex": (np.ones((4, 5), complex), TypeError, "got other things"),
    "objects": (np.full((4, 5), None), TypeError, "expected numbers, got None of type NoneType"),
    "texts": (np.full((4, 5), "1.5"), TypeError, "got strings"),
    "dates": (np.zeros((4, 5), "M8[s]"), TypeError, "got other things"),
    "ragged": ([[1.0, 2.0], [1.0]], ValueError, "rows of one length"),
    "integers in lists": ([[1, 2, 3, 4, 5]] * 4, ValueError, r"floats of shape \(T, 5\), got ids"),
    "tokens": (["a", "b"], ValueError, "got tokens, and the model has no vocabulary"),
    "text": ("1.0 2.0", TypeError, "got a plain string"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("call", ["predict", *lrplstm.METHODS])
def test_bad_series_are_one_clear_error(case, call):
    series, error, message = BAD[case]
    model = series_model()
    run = model.predict if call == "predict" else lambda x: lrplstm.explain(model, x, call)
    with pytest.raises(error, match="^inputs.*" + message) as caught:
        run(series)
    assert "\n" not in str(caught.value)
    if isinstance(series, np.ndarray) and series.ndim == 2:
        with pytest.raises(error, match=r"^inputs\[1\].*"):
            run([np.ones((2, 5)), series])


def test_a_number_too_large_for_float32_is_an_error():
    model = series_model(dtype=np.float32)
    with pytest.raises(
        ValueError,
        match=r"inputs\[1\]: variable 0 at step 0: .*, got 1e\+300, too large for float32",
    ):
        model.predict([np.ones((2, 5)), np.full((2, 5), 1e300)])


# One score --------------------------------------------------------------------------------------


@pairwise(method=lrplstm.METHODS, pooling=POOLINGS, backend=BACKENDS)
def test_regression(pooling, backend, method):
    model = series_model(pooling=pooling)
    (x,) = random_batch(lengths=(4,))
    a = lrplstm.explain(model, x, method, backend=backend)
    every_step = pooling == "none"
    assert a.scores.shape == ((4, 1) if every_step else (1,))
    assert np.all(np.equal(a.predicted, 0))
    assert np.all(np.equal(a.target, 0))
    shown = "the score at every step" if every_step else f"the score {a.scores[0]:.3g}"
    assert a.caption == f"{method}: {shown}"
    assert "predicted" not in a.caption + a.to_html() + str(a)
    explicit = lrplstm.explain(model, x, method, 0, backend=backend)
    every = lrplstm.explain(model, x, method, "all", backend=backend)
    assert np.array_equal(explicit.input_relevance, a.input_relevance)
    assert np.array_equal(every.input_relevance, a.input_relevance[np.newaxis])
    assert every.caption == a.caption
    assert every.row_labels is None  # there is nothing to choose from


def test_captions_of_one_score():
    model = series_model(pooling="none")
    (x,) = random_batch(lengths=(4,))
    scores = model.predict(x)
    caption = lambda target, m=model: lrplstm.lrp(m, x, target).caption  # noqa: E731
    assert caption((2, 0)) == f"lrp: the score at step 2: {scores[2, 0]:.3g}"
    assert caption(np.ones((4, 1))) == "lrp: weighted scores of all steps"
    last = series_model()
    score = f"{last.predict(x)[0]:.3g}"
    assert caption([2.0], last) == f"lrp: the score {score} weighted by 2"
    hidden = lrplstm.lrp(last, x, hidden_relevance=np.ones((4, 8)))
    assert hidden.caption == f"lrp: given hidden relevance; the score {score}"
    named = series_model(class_names=["price"])
    assert caption(None, named) == f"lrp: the price {score}"
    assert lrplstm.lrp(named, x, "all").row_labels == ["price"]


# Every step has scores --------------------------------------------------------------------------

STEP_TARGETS = {
    "predicted": None,
    "step and class": (2, 1),
    "class": 2,
    "classes": [0, 2, 1, 1],
    "weights": [0.5, -1.0, 0.25],
    "weights of steps": np.arange(12.0).reshape(4, 3),
    "all": "all",
}


@pairwise(method=lrplstm.METHODS, target=STEP_TARGETS, level=["token", "input"])
def test_attributions_at_every_step_show_and_repeat_themselves(method, target, level):
    model = series_model(pooling="none", C=3, class_names=["low", "mid", "high"])
    (x,) = random_batch(lengths=(4,))
    a = lrplstm.explain(model, x, method, STEP_TARGETS[target], level=level)
    again = lrplstm.explain(model, x, a.method, a.target, **a.params)
    assert np.array_equal(again.token_relevance, a.token_relevance)
    assert again.params == a.params
    assert again.caption == a.caption

    loaded = json.loads(json.dumps(a.to_dict(), allow_nan=False))
    assert loaded["scores"] == a.scores.tolist()
    assert loaded["predicted"] == a.scores.argmax(axis=1).tolist()
    assert loaded["target"] == (
        a.target if isinstance(a.target, int | str) else [*_plain(a.target)]
    )
    assert "\n" not in repr(a)
    assert len(repr(a)) < 160
    for shown in (a.to_html(), a.to_terminal(color_system=None)):
        assert "t=3" in shown
    assert a.caption in a.to_html()
    a.plot(Figure().add_subplot())
    heatmap.save_png(_Nowhere(), [a.to_panel()])


def _plain(target):
    return target.tolist() if isinstance(target, np.ndarray) else target


class _Nowhere:
    """A file that forgets."""

    def write(self, data):
        return len(data)

    def flush(self):
        pass


@pytest.mark.parametrize("lengths", [(4, 2), (1, 1, 1), (3,)])
@pytest.mark.parametrize("target", [None, 1, (0, 2), "all"], ids=str)
def test_items_of_a_batch_at_every_step_repeat_themselves(lengths, target):
    model = series_model(pooling="none", C=3)
    batch = random_batch(lengths=lengths)
    found = lrplstm.lrp(model, batch, target)
    again = lrplstm.lrp(model, batch, found.target, **found.params)
    assert np.array_equal(again.input_relevance, found.input_relevance)
    for a, x in zip(found, batch, strict=True):
        json.dumps(a.to_dict(), allow_nan=False)
        one = lrplstm.explain(model, x, a.method, a.target, **a.params)
        assert relative_error(one.input_relevance, a.input_relevance) < 1e-12
        assert one.scores.shape == a.scores.shape
        assert one.caption == a.caption


def test_captions_at_every_step():
    model = series_model(pooling="none", C=3, class_names=["low", "mid", "high"])
    (x,) = random_batch(lengths=(4,))
    scores = model.predict(x)
    captions = {
        name: lrplstm.lrp(model, x, target).caption for name, target in STEP_TARGETS.items()
    }
    assert captions == {
        "predicted": "lrp: the predicted class of every step",
        "step and class": f"lrp: mid at step 2: {scores[2, 1]:.3g}",
        "class": "lrp: high at every step",
        "classes": "lrp: the given class of every step",
        "weights": "lrp: weighted scores of all steps",
        "weights of steps": "lrp: weighted scores of all steps",
        "all": "lrp: every class at every step",
    }


def test_a_repr_is_one_short_line():
    model = series_model(pooling="none", C=3)
    (x,) = random_batch(lengths=(400,))
    a = lrplstm.lrp(model, x)
    shape = "array of shape (400,)"
    assert repr(a) == f"Attribution(method='lrp', target={shape}, predicted={shape}, 400 steps)"
    weighted = lrplstm.lrp(series_model(C=3), x, [0.5, 0, 1.5])
    assert "target=array([0.5, 0. , 1.5])" in repr(weighted)


# Pictures ---------------------------------------------------------------------------------------


def names(labels):
    return [label.get_text() for label in labels]


@backends
@methods
def test_the_picture_of_inputs(backend, method):
    (x,) = random_batch(lengths=(6,))
    a = lrplstm.explain(series_model(C=3), x, method, backend=backend)
    ax = Figure(figsize=(8, 3)).add_subplot()
    assert a.plot_inputs(ax, variables=VARIABLES) is ax
    (mesh,) = (part for part in ax.collections if isinstance(part, QuadMesh))
    assert np.array_equal(mesh.get_array(), a.input_relevance.T)
    assert names(ax.get_yticklabels()) == VARIABLES
    assert names(ax.get_xticklabels()) == list("012345")
    assert ax.get_title(loc="left").replace("\n", " ") == a.title
    bar = " ".join(names(ax.figure.axes[1].get_yticklabels()))
    assert f"+{np.abs(a.input_relevance).max():.3g}" in bar
    assert ("speaks against" in bar) == (method != "sensitivity")
    assert ("sensitive" in bar) == (method == "sensitivity")


def test_a_picture_of_every_class():
    (x,) = random_batch(lengths=(4,))
    a = lrplstm.lrp(series_model(C=3, class_names=["low", "mid", "high"]), x, "all")
    ax = a.plot_inputs(Figure(figsize=(8, 6)).add_subplot(), variables=VARIABLES)
    arrays = [part.get_array() for part in ax.collections if isinstance(part, QuadMesh)]
    assert np.array_equal(arrays, a.input_relevance.transpose(0, 2, 1))
    assert [text.get_text().strip() for text in ax.texts] == ["low", "mid", "high"]
    html = a.to_html(variables=VARIABLES)
    assert html.count("<td") == a.input_relevance.size
    numbers = re.findall(r'<td[^>]*title="([^,]*), ', html)
    np.testing.assert_allclose(
        np.array(numbers, float), a.input_relevance.transpose(0, 2, 1).ravel(), rtol=1e-5
    )


def test_html_of_a_series_has_a_grid():
    (x,) = random_batch(lengths=(4,))
    a = lrplstm.lrp(series_model(C=3), x)
    html = a.to_html()
    assert html in a._repr_html_()
    assert html.count("<td") == 20
    assert "t=3" in html
    assert ", variable 4, t=3" in html
    named = a.to_html(variables=VARIABLES, steps=["Mon", "Tue", "Wed", "Thu"])
    assert ", e, Thu" in named
    assert "t=3" not in named
    by_step = lrplstm.lrp(series_model(C=3), x, level="token")
    assert "<td" not in by_step.to_html()
    assert "Tue" in by_step.to_html(steps=["Mon", "Tue", "Wed", "Thu"])


def test_html_of_a_grid_has_no_words_of_its_own():
    (x,) = random_batch(lengths=(4,))
    a = lrplstm.lrp(series_model(C=3), x, "all")
    html = a.to_html()
    assert "<bdi" not in html
    assert a.caption in html
    assert html.count("<td") == 3 * 20
    assert "<bdi" in lrplstm.lrp(series_model(C=3), x, "all", level="token").to_html()


def test_tokens_have_a_grid_only_where_it_is_asked_for():
    model = random_model(vocabulary=["<unk>", "fine", "film"])
    a = lrplstm.lrp(model, ["fine", "film"], level="input")
    assert "<td" not in a.to_html()
    assert ", b, film" in a.to_html(variables=VARIABLES)
    ax = a.plot_inputs(Figure().add_subplot())
    assert names(ax.get_xticklabels()) == ["fine", "film"]


def test_a_long_series_is_shown_in_a_page_of_moderate_size():
    (x,) = random_batch(lengths=(3000,))
    html = lrplstm.lrp(series_model(), x).to_html()
    assert html.count("<td") <= 5000
    assert len(html) < 500_000


def test_pictures_of_several_series_in_one_file(tmp_path):
    batch = random_batch(lengths=(4, 9))
    found = lrplstm.lrp(series_model(), batch)
    heatmap.save_png(tmp_path / "x.png", [a.to_grid(variables=VARIABLES) for a in found])
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("show", ["to_html", "plot_inputs", "to_grid"])
def test_errors_of_pictures(show):
    (x,) = random_batch(lengths=(4,))
    a = lrplstm.lrp(series_model(), x)
    by_step = lrplstm.lrp(series_model(), x, level="token")
    with pytest.raises(ValueError, match=r"level: expected 'input'.*got 'token'"):
        getattr(by_step, show)(variables=VARIABLES)
    if show == "to_grid":  # which leaves it to those who draw
        return
    draw = getattr(a, show)
    with pytest.raises(ValueError, match="variables: expected 5, one for each variable, got 2"):
        draw(variables=["a", "b"])
    with pytest.raises(TypeError, match="variables: expected a sequence of str, got str"):
        draw(variables="abcde")
    with pytest.raises(ValueError, match="steps: expected 4, one for each step, got 1"):
        draw(steps=["Mon"])
    with pytest.raises(TypeError, match="steps: expected a sequence of str, got str"):
        draw(steps="1234")
    with pytest.raises(TypeError, match=r"steps\[0\]: expected str, got int"):
        draw(steps=[1, 2, 3, 4])
    a.input_relevance[2, 3] = np.nan
    with pytest.raises(ValueError, match=r"relevance: .* got nan for variable 3 at step 2"):
        draw()


# Documentation ----------------------------------------------------------------------------------


def test_the_example_of_the_documentation(tmp_path):
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    mpl.use("agg")
    found = PAGE.run(tmp_path)
    plt.close("all")
    a, series = found["a"], found["series"]
    assert found["printed"] == [a.caption, "[3, 8] [1, 1]"]
    assert (tmp_path / "relevance.png").read_bytes().startswith(b"\x89PNG")

    # What the text says of it.
    assert round(float(a.scores[0]), 2) == -0.43
    assert a.input_relevance[[3, 8], 1].round(2).tolist() == [-0.51, 0.09]
    assert 0.015 < abs(a.delta / a.scores[0]) < 0.025
    rest = a.input_relevance.copy()
    rest[[3, 8], 1] = 0
    assert np.abs(rest).max() < 1e-4
    assert (a.input_relevance[:, [0, 2]] == 0).all()
    # And what the weights say: the unit adds up tanh(value), and shares are those of the sum.
    parts = np.tanh(series[[3, 8], 1])
    assert a.scores[0] == pytest.approx(np.tanh(parts.sum()), abs=1e-3)
    ratio = a.input_relevance[3, 1] / a.input_relevance[8, 1]
    assert ratio == pytest.approx(parts[0] / parts[1], rel=0.02)


def test_files_that_the_documentation_links_to_exist_and_are_small():
    PAGE.check_references()
    assert "](time_series.png)" in PAGE.text
    assert (PAGE.path.parent / "time_series.png").stat().st_size < 100_000


def test_the_example_script_runs(tmp_path):
    folder = tmp_path / "pictures"
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / "time_series.py"), folder]
    run = subprocess.run([*command, "--steps", "20"], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    chance, *_ = (line.split() for line in run.stdout.splitlines() if line.startswith("chance"))
    assert chance == ["chance", "3.3%", "3.3%", "1.7%", "1.7%", "15.0%", "15.0%"]
    for method in lrplstm.METHODS:
        (row,) = re.findall(rf"^{method} +(.*)", run.stdout, flags=re.MULTILINE)
        numbers = [float(cell.rstrip("%")) for cell in row.split()]
        assert len(numbers) == 7
        assert 0 < numbers[0] < 60  # the network has learned nothing yet
    assert (folder / "time_series.png").read_bytes().startswith(b"\x89PNG")
    page = (folder / "time_series.html").read_text(encoding="utf-8")
    assert page.count("<table") == 3
    assert ", marker, t=19" in page
