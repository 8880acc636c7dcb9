"""Pictures of explanations: what they show, where, on which scale, and that they are text."""

from __future__ import annotations

import io
import pickle
import re
import shutil
import subprocess

import matplotlib as mpl
import numpy as np
import pandas as pd
import pypdf
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.text import Text
from random_models import random_model

import lrplstm
from lrplstm import heatmap
from lrplstm.heatmap.spacing import stands_close

CLASSES = ["bad", "fair_$", "good"]
MODEL = random_model(
    3, vocabulary=["<unk>", "a", "fine", "film", ",", "not", "dull", "."], class_names=CLASSES
)
WORDS = "a fine film , not dull .".split()
RIVER = random_model(3, C=1, task="regression", feature_names=[*"abcde"])
DAYS = pd.date_range("2025-01-30", periods=70)
TABLE = pd.DataFrame(np.random.default_rng(1).normal(size=(70, 5)), DAYS, [*"abcde"])


def new_axes(width=7.0, height=4.0):
    return Figure(figsize=(width, height)).add_axes((0, 0, 1, 1))


def texts(ax):
    """All texts of words, in their order."""
    (words,) = ax.artists
    return [part.get_text() for part in words.get_children() if isinstance(part, Text)]


def fills(ax):
    """The colours of the words, (N, 3)."""
    (words,) = ax.artists
    return np.rint(255 * words.get_children()[0].get_facecolors()[:, :3]).astype(int)


def meshes(ax):
    return [part for part in ax.collections if isinstance(part, QuadMesh)]


def bars(ax):
    """Colour bars among the axes of a figure of a series."""
    return [one for one in [*ax.figure.axes, *ax.child_axes] if hasattr(one, "_colorbar")]


# Where and what -----------------------------------------------------------------------------------

ONE, MANY = lrplstm.lrp(MODEL, WORDS), lrplstm.lrp(MODEL, [WORDS, ["dull", "."], ["fine"]])
SERIES, SEVERAL = lrplstm.lrp(RIVER, TABLE), lrplstm.lrp(RIVER, [TABLE[:30], TABLE[10:]])
DRAWN = {
    "a sentence": lambda ax: ONE.plot(ax),
    "every class": lambda ax: lrplstm.lrp(MODEL, WORDS, "all").plot(ax),
    "a batch": lambda ax: MANY.plot(ax),
    "a series": lambda ax: SERIES.plot(ax),
    "several series": lambda ax: SEVERAL.plot(ax),
    "inputs": lambda ax: SERIES.plot_inputs(ax, top=2),
    "balance": lambda ax: ONE.plot_balance(ax),
    "methods": lambda ax: lrplstm.plot_comparison([ONE, lrplstm.occlusion(MODEL, WORDS)], ax),
    "methods of a series": lambda ax: lrplstm.plot_comparison(
        {"one": SERIES, "other": lrplstm.gradient_x_input(RIVER, TABLE)}, ax, layout="columns"
    ),
}


@pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)
def test_axes_are_returned_and_settings_kept(draw, tmp_path):
    with mpl.rc_context({"backend": "agg", "pdf.fonttype": 3, "svg.fonttype": "path"}):
        before = dict(mpl.rcParams)
        given = Figure(figsize=(8, 4), layout="constrained").add_subplot()
        assert draw(given) is given
        own = draw(None)
        assert own.figure.get_figwidth() == mpl.rcParams["figure.figsize"][0]
        for ax in (given, own):
            for suffix in (".png", ".pdf", ".svg"):
                lrplstm.save_picture(tmp_path / f"x{suffix}", ax)
        assert dict(mpl.rcParams) == before
        mpl.pyplot.close(own.figure)
    content = (tmp_path / "x.pdf").read_bytes()
    assert b"/FontFile2" in content
    assert b"/Type3" not in content
    (page,) = pypdf.PdfReader(tmp_path / "x.pdf").pages
    title = own.get_title(loc="left").split("\n")[0]
    again = pickle.loads(pickle.dumps(given.figure))
    lrplstm.save_picture(tmp_path / "again.png", again)
    lrplstm.save_picture(tmp_path / "x.png", given)
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "x.png").read_bytes()
    assert title in page.extract_text()
    assert "<text" in (tmp_path / "x.svg").read_text("utf-8")
    with pytest.raises(TypeError, match=r"ax: expected one .* got ndarray of 4; pass one of them"):
        draw(np.full((2, 2), given))


def test_titles_are_short():
    title = ONE.plot(new_axes()).get_title(loc="left")
    score = ONE.scores[ONE.target]
    assert title == f"LRP: {CLASSES[ONE.target]} (predicted), score {score:.3g}"
    weighted = lrplstm.lrp(MODEL, WORDS, [1.0, 0.0, -1.0])
    assert weighted.title.startswith("LRP: bad rather than good, score ")
    assert weighted.title.endswith(f"; predicted: {CLASSES[ONE.predicted]}")
    assert SERIES.title == f"LRP: the output {SERIES.scores[0]:.3g}"
    named = random_model(3, C=1, task="regression", class_names=["discharge"])
    a = lrplstm.explain(named, TABLE.to_numpy(), "gi")
    assert a.title == f"Gradient x input: discharge, value {a.scores[0]:.3g}"
    binary = random_model(3, C=1, class_names=["no", "yes"])
    a = lrplstm.lrp(binary, TABLE.to_numpy(), "no")
    assert a.title.startswith(f"LRP: no{' (predicted)' * (a.predicted == 0)}, score ")
    assert float(a.title.split()[-1 if a.predicted == 0 else -3].rstrip(";")) == pytest.approx(
        -a.scores[0], rel=1e-2
    )
    assert ONE.plot(new_axes(), title="").get_title(loc="left") == ""


def test_text_is_shown_as_it_was_written():
    model = lrplstm.load_default()
    a = lrplstm.lrp(model, "It ISN'T (bad), \u201cthey\u201d said.")
    shown = texts(a.plot(new_axes(9, 2)))
    written = ["It", "IS", "N'T", "(", "bad", ")", ",", "\u201c", "they", "\u201d", "said", "."]
    assert shown[: len(written)] == written


def test_what_stands_close():
    words = ["``", "well", "''", ",", "he", "'s", '"', "so", '"', "[", "x", "]", "##ing", "-"]
    assert [w for w, close in zip(words, stands_close(words), strict=True) if not close] == [
        *["``", "he", '"', "[", "-"]
    ]


def test_scores_are_bars():
    a = lrplstm.lrp(MODEL, WORDS, "all")
    ax = a.plot(new_axes())
    (words,) = ax.artists
    (patches,) = [p for p in words.get_children() if hasattr(p, "get_paths")][3:4]
    extents = np.array([path.get_extents().extents for path in patches.get_paths()])
    widths = extents[:, 2] - extents[:, 0]
    np.testing.assert_allclose(widths / widths.max(), np.abs(a.scores) / np.abs(a.scores).max())
    zero = extents[a.scores > 0, 0] if (a.scores > 0).any() else extents[:, 2]
    assert np.ptp(zero) < 1e-9


@pytest.mark.parametrize("explanation", [ONE, SERIES], ids=["words", "series"])
def test_bars_of_the_balance_add_up_to_the_score(explanation):
    for top in (2, 100):
        ax = explanation.plot_balance(new_axes(), top=top)
        widths = np.array([patch.get_width() for patch in ax.patches])
        starts = np.array([patch.get_x() for patch in ax.patches])
        score = explanation.scores[explanation.target]
        assert widths[:-1].sum() == pytest.approx(score, rel=1e-5)
        assert widths[-1] == pytest.approx(score, rel=1e-5)
        np.testing.assert_allclose(starts[1:-1], widths[:-2].cumsum(), atol=1e-12)
        assert starts[0] == starts[-1] == 0
    with pytest.raises(ValueError, match="method: expected one that shares a score out, got sens"):
        lrplstm.sensitivity(MODEL, WORDS).plot_balance(new_axes())
    with pytest.raises(ValueError, match="target: expected an explanation of one class"):
        lrplstm.lrp(MODEL, WORDS, "all").plot_balance(new_axes())


# Scales and legends -------------------------------------------------------------------------------


def test_every_shade_can_be_read_and_zero_is_white():
    fractions = np.linspace(-1, 1, 20001)
    srgb = heatmap.color(fractions) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    letters = heatmap.ink(heatmap.color(fractions))[:, 0] / 255  # black or white
    ratio = (np.maximum(luminance, letters) + 0.05) / (np.minimum(luminance, letters) + 0.05)
    assert ratio.min() > 4.5
    assert heatmap.color(0).tolist() == [255, 255, 255]


def test_one_scale_for_all_or_one_each():
    T = len(WORDS)
    several = [lrplstm.lrp(MODEL, WORDS), lrplstm.occlusion(MODEL, WORDS)]
    relevance = np.array([a.token_relevance for a in several])
    largest = np.abs(relevance).max(axis=1, keepdims=True)
    shared = fills(lrplstm.plot_comparison(several, new_axes()))
    np.testing.assert_array_equal(shared.reshape(2, T, 3), heatmap.color(relevance / largest.max()))
    ax = lrplstm.plot_comparison(several, new_axes(), shared_scale=False)
    np.testing.assert_array_equal(fills(ax).reshape(2, T, 3), heatmap.color(relevance / largest))
    assert [t for t in texts(ax) if t.startswith("max ")] == [
        f"max {x:.3g}" for x in largest.ravel()
    ]
    given = fills(ONE.plot(new_axes(), scale=100))
    assert (given >= heatmap.color([-0.1, 0.1]).min()).all()
    with pytest.raises(ValueError, match=r"scale: expected a number not below .* got 0"):
        ONE.plot(new_axes(), scale=0)


def test_other_units_have_a_scale_of_their_own():
    several = [lrplstm.explain(MODEL, WORDS, name) for name in ("lrp", "sensitivity", "gi")]
    ax = lrplstm.plot_comparison(several, new_axes())
    relevance = np.array([a.token_relevance for a in several])
    common = np.abs(relevance[[0, 2]]).max()
    own = relevance[1].max()
    expected = heatmap.color(relevance / np.array([[common], [own], [common]]))
    np.testing.assert_array_equal(fills(ax).reshape(expected.shape), expected)
    assert f"+{common:.3g}" in texts(ax)
    assert f"max {own:.3g}" in texts(ax)


@pytest.mark.parametrize("layout", ["rows", "columns"])
@pytest.mark.parametrize("by", ["method", "class"])
def test_words_of_a_comparison_stand_under_the_same_words(layout, by):
    several = [lrplstm.explain(MODEL, WORDS, name, "all") for name in ("lrp", "gi")]
    ax = lrplstm.plot_comparison(several, new_axes(6, 9), layout=layout, by=by)
    (words,) = ax.artists
    renderer = FigureCanvasAgg(ax.figure).get_renderer()
    found = [part for part in words.get_children() if isinstance(part, Text)]
    of_word = [part for part in found if part.get_text() == "not"]
    assert len(of_word) == 6
    lefts = {round(part.get_window_extent(renderer).x0) for part in of_word}
    columns = 1 if layout == "rows" else 2 if by == "method" else 3
    assert len(lefts) == columns
    assert texts(ax).count("speaks against") == 1
    headings = ["LRP", "Gradient x input"] if by == "method" else CLASSES
    assert [t for t in texts(ax) if t in headings] == headings


def test_explanations_are_named_by_what_differs():
    several = [lrplstm.lrp(MODEL, WORDS, epsilon=epsilon) for epsilon in (0.001, 0.1)]
    shown = texts(lrplstm.plot_comparison(several, new_axes()))
    assert {"LRP, epsilon 0.001", "LRP, epsilon 0.1"} <= {*shown}
    shown = texts(lrplstm.plot_comparison(dict(zip("xy", several, strict=True)), new_axes()))
    assert {"x", "y"} <= {*shown}


def test_a_batch_is_one_picture():
    ax = MANY.plot(new_axes(), sequences=[2, 0], labels=["first", "second"])
    shown = texts(ax)
    assert [t for t in shown if t in ("first", "second")] == ["first", "second"]
    assert shown.index("fine") < shown.index("a")
    assert shown.count("speaks for") == 1
    assert "speaks for" not in texts(MANY.plot(new_axes(), legend=False))
    largest = max(np.abs(a.token_relevance).max() for a in MANY)
    relevance = np.concatenate([a.token_relevance for a in MANY])
    np.testing.assert_array_equal(fills(MANY.plot(new_axes())), heatmap.color(relevance / largest))


# Series -------------------------------------------------------------------------------------------


def test_the_series_is_drawn_over_its_relevance():
    ax = SERIES.plot(new_axes())
    (mesh,) = meshes(ax)
    np.testing.assert_array_equal(mesh.get_array(), SERIES.input_relevance.T)
    values = TABLE.to_numpy()
    drawn = np.array([line.get_ydata() for line in ax.lines])
    for d, row in enumerate(drawn):
        assert np.abs(row - d).max() < 0.5  # on its row
        assert np.corrcoef(row, values[:, d])[0, 1] == pytest.approx(-1)  # y points downwards
    assert len(bars(ax)) == 1
    without = SERIES.plot_inputs(new_axes(), series=False, legend=False)
    assert len(without.lines) == len(bars(without)) == 0


def test_dates_are_round_and_where_they_belong():
    ax = SERIES.plot(new_axes())
    labels = dict(zip([t.get_text() for t in ax.get_xticklabels()], ax.get_xticks(), strict=True))
    assert labels["Feb"] == DAYS.get_loc("2025-02-01")
    assert labels["Mar"] == DAYS.get_loc("2025-03-01")
    assert "2025-01-30 to 2025-04-09" in ax.get_xlabel()
    by_name = SERIES.plot_inputs(new_axes(), steps=[f"s{n}" for n in range(70)])
    assert by_name.get_xticklabels()[0].get_text() == "s0"


def test_variables_are_sorted_by_relevance():
    ax = SERIES.plot_inputs(new_axes(), top=2)
    sums = np.abs(SERIES.input_relevance).sum(axis=0)
    order = np.argsort(-sums)[:2]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["abcde"[d] for d in order]
    np.testing.assert_array_equal(meshes(ax)[0].get_array(), SERIES.input_relevance[:, order].T)
    assert "2 of 5 variables" in ax.get_xlabel()


@pytest.mark.parametrize("layout", ["rows", "columns"])
def test_panels_share_scale_axis_and_bar(layout):
    names = ("lrp", "gi", "sensitivity")
    several = [lrplstm.explain(RIVER, TABLE, name) for name in names]
    ax = lrplstm.plot_comparison(several, new_axes(9, 9), layout=layout)
    FigureCanvasAgg(ax.figure).draw()
    *panels, bar = ax.child_axes
    assert [bar] == bars(ax)
    common = max(np.abs(a.input_relevance).max() for a in several[:2])
    scales = [meshes(panel)[0].norm.vmax for panel in panels]
    assert scales == pytest.approx([common, common, several[2].input_relevance.max()])
    titles = [panel.get_title(loc="left").replace("\n", " ") for panel in panels]
    assert titles[:2] == ["LRP", "Gradient x input"]
    assert titles[2] == f"Sensitivity (max {several[2].input_relevance.max():.3g})"
    boxes = np.array([panel.get_window_extent().extents for panel in panels])
    aligned, apart = ([0, 2], [1, 3]) if layout == "rows" else ([1, 3], [0, 2])
    assert np.ptp(boxes[:, aligned], axis=0).max() < 0.1
    order = -boxes[:, apart] if layout == "rows" else boxes[:, apart]
    assert (np.diff(order, axis=0) > 0).all()
    assert (boxes >= 0).all()
    assert f"+{common:.3g}" in "".join(t.get_text() for t in bar.get_yticklabels())


# What is wrong ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: lrplstm.plot_comparison([]), ValueError, "expected at least one, got none"),
        (lambda: lrplstm.plot_comparison(ONE), TypeError, r"one Attribution; its plot\(\) draws"),
        (lambda: lrplstm.plot_comparison([MANY]), TypeError, r"\[0\]: .* pass one of its items"),
        (
            lambda: lrplstm.plot_comparison([ONE, MANY[1]]),
            ValueError,
            r"\[1\]: .* same sequence.* 'a fine film , not dull \.', got 'dull \.'; a batch has",
        ),
        (
            lambda: lrplstm.plot_comparison([ONE, ONE], layout="column"),
            ValueError,
            "layout: expected one of 'rows', 'columns', got 'column'; did you mean 'columns'",
        ),
        (lambda: lrplstm.plot_comparison([ONE], by="word"), ValueError, "by: expected one of"),
        (lambda: lrplstm.plot_comparison([ONE], top=3), ValueError, "top: expected None, since"),
        (lambda: MANY.plot(labels=["x"]), ValueError, "labels: expected 3, one for each"),
        (lambda: MANY.plot(sequences=[]), ValueError, "sequences: expected from 1 to 100"),
        (
            lambda: lrplstm.lrp(MODEL, [["a"]] * 101).plot(),
            ValueError,
            r"sequences: .* got 101; choose some, such as sequences=range\(20\)",
        ),
        (lambda: MANY.plot(sequences=[7]), IndexError, "expected one of 3 sequences, got 7"),
        (
            lambda: lrplstm.lrp(RIVER, [TABLE], level="token").plot_comparison(),
            AttributeError,
            "plot_comparison",
        ),
    ],
)
def test_errors_say_what_to_do(call, error, match):
    with pytest.raises(error, match=match):
        call()


# LaTeX --------------------------------------------------------------------------------------------

NASTY = [*r"50% $x_1^2$ {a} \b #& ~ | <b> `q' ?` -- ,, ''".split(), '"', "é", "␣", "±", "…"]
WORD = re.compile(
    r"\\colorbox\[HTML\]\{([0-9A-F]{6})\}\{\\textcolor\[HTML\]\{(000000|FFFFFF)\}"
    r"\{\\strut (.*?)\}\}(?= |\\colorbox|\\par)"
)


def unescaped(tex):
    """A word as LaTeX sets it."""
    names = {
        *[("textbackslash", "\\"), ("textasciicircum", "^"), ("textasciitilde", "~")],
        *[("textless", "<"), ("textgreater", ">"), ("textbar", "|"), ("ldots", "…")],
        *[("textasciigrave", "`"), ("textvisiblespace", "␣"), ("textpm", "±")],
    }
    for name, char in names:
        tex = tex.replace(rf"\{name}{{}}", f"\0{ord(char)};")
    tex = tex.replace(r"\symbol{34}", '"')
    tex = re.sub(r"\\([%$&#_{}])", lambda m: f"\0{ord(m[1])};", tex).replace("{}", "")
    assert not set(tex) & set("\\{}$&#%_^~")
    return re.sub("\0(\\d+);", lambda m: chr(int(m[1])), tex)


def nasty():
    model = random_model(3, vocabulary=["<unk>", *NASTY], class_names=CLASSES)
    return lrplstm.lrp(model, NASTY)


def test_latex_gives_back_words_and_colours():
    a = nasty()
    tex = a.to_latex()
    found = WORD.findall(tex)
    assert [unescaped(word) for _, _, word in found] == NASTY
    colors = heatmap.color(a.token_relevance / np.abs(a.token_relevance).max())
    assert [background for background, _, _ in found] == [bytes(c).hex().upper() for c in colors]
    letters = heatmap.ink(colors)
    assert [ink for _, ink, _ in found] == [bytes(c).hex().upper() for c in letters]
    assert tex.count("{") == tex.count("}")
    assert "LuaLaTeX" not in tex
    assert "\\\\" not in tex


def test_latex_of_a_batch():
    tex = MANY.to_latex()
    assert len(WORD.findall(tex)) == 10
    assert tex.count("speaks against") == 1
    assert r"fair\_\$" in lrplstm.lrp(MODEL, [WORDS] * 2, "all").to_latex()
    other = random_model(3, vocabulary=["<unk>", "映画", "\x1b"])
    tex = lrplstm.lrp(other, ["映画", "\x1b"]).to_latex()
    assert "% has letters that pdfLaTeX lacks" in tex
    assert "映画" in tex
    assert r"\textbackslash{}x1b" in tex


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs a TeX: texlive-latex-base")
@pytest.mark.parametrize("encoding", ["", r"\usepackage[T1]{fontenc}"], ids=["OT1", "T1"])
def test_latex_compiles(tmp_path, encoding):
    every_class = lrplstm.lrp(MODEL, WORDS, "all")
    body = "\n\n".join([nasty().to_latex(), every_class.to_latex(), MANY.to_latex()])
    document = rf"\documentclass{{article}}{encoding}\usepackage{{xcolor}}\begin{{document}}{body}"
    (tmp_path / "x.tex").write_text(document + r"\end{document}", encoding="utf-8")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "x.tex"],
        cwd=tmp_path, capture_output=True, text=True, encoding="latin-1", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    text = pypdf.PdfReader(io.BytesIO((tmp_path / "x.pdf").read_bytes())).pages[0].extract_text()
    assert "50%" in text
    assert "dull" in text
    assert "Missing character" not in (tmp_path / "x.log").read_text("latin-1")
