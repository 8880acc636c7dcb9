"""What stands in a terminal: words, series, bars of scores, on light and dark, in its width."""

from __future__ import annotations

import itertools
import re
import sys
from typing import NamedTuple

import numpy as np
import pytest
from test_heatmap import LABELS, RELEVANCE, ROWS, UNKNOWN, WORDS, contrast, lightness, plain
from wcwidth import wcswidth

import lrplstm
from lrplstm import heatmap
from lrplstm.heatmap import Grid

FRACTIONS = np.linspace(-1, 1, 401)
XTERM = dict(enumerate(itertools.product([0, 95, 135, 175, 215, 255], repeat=3), start=16))
XTERM |= {232 + n: (8 + 10 * n,) * 3 for n in range(24)}
VARIABLES = ("COLORTERM", "NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLORFGBG")


class Span(NamedTuple):
    """A text and its looks; None where they are the terminal's own."""

    text: str
    ink: tuple | None = None
    background: tuple | None = None
    underlined: bool = False
    bold: bool = False


def spans(line):
    """Read escape codes as a terminal does."""
    found = []
    for codes, text in re.findall(r"(?:\x1b\[([\d;]+)m)?([^\x1b]+)(?:\x1b\[0m)?", line):
        numbers, looks = [int(code) for code in codes.split(";") if code], {}
        while numbers:
            code = numbers.pop(0)
            if code in (38, 48):
                name = {38: "ink", 48: "background"}[code]
                if numbers.pop(0) == 2:
                    looks[name], numbers = tuple(numbers[:3]), numbers[3:]
                else:
                    looks[name] = XTERM[numbers.pop(0)]
            else:
                looks[{1: "bold", 4: "underlined"}[code]] = True
        found.append(Span(text, **looks))
    return found


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    for name in (*VARIABLES, "TERM"):
        monkeypatch.delenv(name, raising=False)


# Colours ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("background", ["light", "dark", "auto"])
@pytest.mark.parametrize("system", ["truecolor", "256"])
def test_colours(system, background):
    """Zero has none, signs are told apart, text can be read, and more is never less colourful."""
    words = [f"w{number}" for number in range(len(FRACTIONS))]
    line, *_ = heatmap.to_terminal(
        words, FRACTIONS, color_system=system, background=background
    ).splitlines()
    shown = [span for span in spans(line) if span.background]
    fraction = np.array([FRACTIONS[words.index(span.text)] for span in shown])
    assert np.abs(fraction).min() > 0.04  # as the terminal's own
    assert np.abs(fraction).min() < 0.2
    colours = np.array([span.background for span in shown])
    assert contrast(np.array([span.ink for span in shown]), colours).min() >= 4.5
    assert (np.sign(colours[:, 0] - colours[:, 2]) == np.sign(fraction))[abs(fraction) > 0.15].all()
    light = lightness(colours)
    away = {"light": -1, "dark": 1, "auto": 0}[background]
    for side in (fraction > 0, fraction < 0):
        order = np.argsort(np.abs(fraction[side]), kind="stable")
        if away:
            assert (away * np.diff(light[side][order]) >= -0.02).all()
        else:  # as far from black as from white, so that it is seen on both
            for paper in (np.zeros_like(colours[side]), np.full_like(colours[side], 255)):
                assert contrast(colours[side], paper).min() > 2.5


def test_on_light_paper_colours_are_those_of_pictures():
    text = heatmap.to_terminal(WORDS, ROWS, color_system="truecolor", background="light")
    scale = np.abs(ROWS).max()
    for line, row in zip(text.splitlines(), ROWS, strict=False):
        shown = {span.text: span.background for span in spans(line)}
        for word, value in zip(WORDS, row, strict=True):
            if abs(value) > 0.05 * scale:
                assert shown[word] == tuple(heatmap.color(value / scale).tolist())


@pytest.mark.parametrize(
    ("value", "expected"),
    [("15;0", "dark"), ("0;15", "light"), ("0;default;7", "light"), ("15;8", "dark")],
)
def test_the_background_is_what_colorfgbg_says(monkeypatch, value, expected):
    monkeypatch.setenv("COLORFGBG", value)
    shown = heatmap.to_terminal(WORDS, RELEVANCE, color_system="truecolor")
    given = heatmap.to_terminal(WORDS, RELEVANCE, color_system="truecolor", background=expected)
    assert shown == given
    for strange in ("", "15", "x;y", "1;99999999999", "default;default"):
        monkeypatch.setenv("COLORFGBG", strange)
        assert heatmap.to_terminal(WORDS, RELEVANCE, color_system="truecolor")


@pytest.mark.parametrize(
    ("environment", "terminal", "expected"),
    [
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, True, "truecolor"),
        ({"TERM": "xterm-256color", "COLORTERM": "24bit"}, True, "truecolor"),
        ({"TERM": "xterm-256color"}, True, "256"),
        ({}, True, "256"),
        ({}, False, None),
        ({"COLORTERM": "truecolor", "NO_COLOR": "1"}, True, None),
        ({"NO_COLOR": ""}, True, "256"),
        ({"TERM": "dumb", "COLORTERM": "truecolor"}, True, None),
        ({"CLICOLOR": "0"}, True, None),
        ({"CLICOLOR": "1"}, False, None),
        ({"CLICOLOR_FORCE": "1"}, False, "256"),
        ({"CLICOLOR_FORCE": "0"}, False, None),
        ({"FORCE_COLOR": "1"}, False, "256"),
        ({"FORCE_COLOR": "3"}, False, "truecolor"),
        ({"FORCE_COLOR": "0"}, True, None),
        ({"FORCE_COLOR": ""}, True, "256"),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, True, None),
    ],
)
def test_auto_goes_by_the_environment(monkeypatch, environment, terminal, expected):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    outputs = {
        system: heatmap.to_terminal(WORDS, RELEVANCE, color_system=system)
        for system in ("truecolor", "256", None)
    }
    assert len(set(outputs.values())) == 3
    assert heatmap.to_terminal(WORDS, RELEVANCE) == outputs[expected]
    always = heatmap.to_terminal(WORDS, RELEVANCE, color_system="always")
    assert always in (outputs["truecolor"], outputs["256"])


def test_errors():
    with pytest.raises(ValueError, match=r"color_system: expected .*, got 'ansi'"):
        heatmap.to_terminal(WORDS, RELEVANCE, color_system="ansi")
    with pytest.raises(ValueError, match=r"background: expected .auto., .*, got 'black'"):
        heatmap.to_terminal(WORDS, RELEVANCE, background="black")
    with pytest.raises(ValueError, match="width: expected at least 1, got 0"):
        heatmap.to_terminal(WORDS, RELEVANCE, width=0)


# Words --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("system", ["truecolor", "256"])
def test_words_keep_the_text_and_unknown_ones_are_underlined(system):
    text = heatmap.to_terminal(WORDS, RELEVANCE, unknown=UNKNOWN, color_system=system)
    first, *_ = text.splitlines()
    marked = [word + "°" * mark for word, mark in zip(WORDS, UNKNOWN, strict=True)]
    assert plain(first) == " ".join(marked)
    lined = {span.text for span in spans(first) if span.underlined}
    assert lined == {word for word, mark in zip(marked, UNKNOWN, strict=True) if mark}


def test_without_colours_every_number_is_there():
    text = heatmap.to_terminal(WORDS, RELEVANCE, color_system=None)
    assert "\x1b" not in text
    items = re.findall(r"(\S+)\(([^ ()]+)\)", text.splitlines()[0])
    assert [word for word, _ in items] == WORDS
    np.testing.assert_allclose([float(number) for _, number in items], RELEVANCE, rtol=5e-3)


def test_rows_stand_below_each_other():
    lines = heatmap.to_terminal(WORDS, ROWS, row_labels=LABELS, color_system="256").splitlines()
    assert [plain(line) for line in lines[:3]] == [
        f"{label:17}{' '.join(WORDS)}" for label in LABELS
    ]
    assert len(lines) == 4


def test_rows_of_several_lines_have_them_in_turn():
    text = heatmap.to_terminal(
        WORDS, ROWS, row_labels=["a", "b", "c"], color_system="256", width=40
    )
    groups = [group.splitlines() for group in plain(text).split("\n\n")]
    assert len(groups) > 1
    words = []
    for group in groups:
        assert [line[:3] for line in group[:3]] == ["a  ", "b  ", "c  "]
        assert len({line[3:] for line in group[:3]}) == 1
        words += group[0][3:].split()
    assert words == WORDS


def test_rows_may_have_scales_of_their_own():
    rows = np.array([RELEVANCE, 1000 * np.array(RELEVANCE)])
    text = heatmap.to_terminal(WORDS, rows, own_scales=True, color_system="truecolor")
    first, second, legend = text.splitlines()
    assert first == second
    assert not re.search(r"[1-9]", plain(legend))


@pytest.mark.parametrize("color_system", ["truecolor", None])
@pytest.mark.parametrize("width", [1, 2, 7, 20, 61])
def test_lines_fit_the_width(color_system, width):
    words = ["映画", "👍", "verylong" * 9, "e\u0301tude", "", "面白い面白い面白い", *WORDS]
    relevance = np.random.default_rng(2).normal(size=(2, len(words)))
    text = heatmap.to_terminal(words, relevance, color_system=color_system, width=width)
    lines = plain(text).splitlines()
    assert max(map(wcswidth, lines)) <= max(width, 2)  # a wide character has two cells
    if color_system:  # each line of one row, then of the other
        every = [line for line in lines if line]
        first = "".join(every[: len(every) - 1 : 2] if width == 61 else every).replace(" ", "")
        assert "".join(words[:2]) in first


def test_lines_are_filled():
    text = heatmap.to_terminal(["映画"] * 7, [0.5] * 7, color_system="truecolor", width=14)
    assert plain(text).splitlines()[:3] == ["映画 映画 映画", "映画 映画 映画", "映画"]


def test_control_characters_are_measured_as_they_are_shown():
    words = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))]  # wcwidth says -1 to these
    assert wcswidth("\x1b") == -1
    text = heatmap.to_terminal(words, [1.0] * len(words), color_system="truecolor", width=20)
    lines = plain(text).splitlines()
    assert " ".join(lines).startswith(" ".join(map(heatmap.visible, words)))
    assert max(map(len, lines)) <= 20
    every = heatmap.visible("".join(map(chr, range(sys.maxunicode + 1))))
    assert wcswidth(every) > sys.maxunicode


# Series -------------------------------------------------------------------------------------------


def drawn_steps(line, first, last):
    """Return the colours of half cells between two places of a line."""
    halves = []
    for span in spans(line):
        for char in span.text:
            right = span.ink if char == "▐" else span.background
            left = span.ink if char == "▌" else (None if char == "▐" else span.background)
            halves += [left, right] * max(1, wcswidth(char))
    return halves[2 * first : 2 * last]


def test_a_series_is_a_heat_map_of_its_numbers():
    rng = np.random.default_rng(0)
    relevance = rng.normal(size=(100, 3))
    names = ["rain", "雪", "\x1b[1m"]
    steps = [f"d{t}" for t in range(100)]
    grid = Grid(relevance, variables=names, steps=steps, notes=["a note"])
    text = heatmap.grid_to_terminal(grid, color_system="truecolor", background="dark", width=80)
    lines = text.splitlines()
    left = len(r"\x1b[1m") + 2
    scale = np.abs(relevance).max()
    for d, line in enumerate(lines[:3]):
        assert plain(line).startswith(heatmap.visible(names[d]))
        assert float(plain(line).split()[-1]) == pytest.approx(relevance[:, d].sum(), rel=1e-2)
        shown = drawn_steps(line, left, left + 50)
        for value, colour in zip(relevance[:, d] / scale, shown, strict=True):
            expected = None if abs(value) < 0.05 else tuple(heatmap.color(value, "dark").tolist())
            assert colour == expected
    assert lines[3].split()[:2] == ["d0", "d10"]
    assert lines[3].index("d10") == left + 5
    assert lines[-1] == "a note"


def test_many_steps_and_variables_share_places_and_that_is_said():
    relevance = np.zeros((5000, 40))
    relevance[:, :5] = np.linspace(0.1, 0.2, 5)
    relevance[1234, 17] = -9
    grid = Grid(relevance, steps=[f"2021-{t}" for t in range(5000)])
    text = heatmap.grid_to_terminal(grid, color_system="256", width=70)
    lines = plain(text).splitlines()
    assert sum(line.startswith("variable") for line in lines) == 12
    (strongest,) = [line for line in text.splitlines() if line.startswith("variable 17")]
    shown = drawn_steps(strongest, 13, 13 + 46)
    assert [n for n, colour in enumerate(shown) if colour] == [1234 * 92 // 5000]
    assert (
        "the 12 largest of 40 variables; each place: the strongest of up to 55 steps"
        in " ".join(text.split())
    )
    assert max(map(wcswidth, lines)) <= 70


def test_few_steps_have_wide_cells_and_narrow_terminals_some():
    grid = Grid([[0.5, 0.0], [-0.25, 0.125]], variables=["load", "a name of many letters"])
    for width in (20, 40, 100):
        text = heatmap.grid_to_terminal(grid, color_system="256", width=width)
        assert max(map(wcswidth, plain(text).splitlines()[:3])) <= max(width, 30)
    assert plain(text).splitlines()[2].split() == ["t=0", "t=1"]


def test_an_explanation_of_a_series_is_drawn_in_colours_and_is_a_table_without():
    rng = np.random.default_rng(3)
    lstm = lrplstm.LSTMWeights(*(rng.normal(0, 0.3, s) for s in [(16, 5), (16, 4), (16,)]))
    model = lrplstm.LSTMModel([lstm], head_weight=rng.normal(size=(2, 4)))
    a = lrplstm.lrp(model, rng.normal(size=(9, 5)), "all")
    text = a.to_terminal(color_system="truecolor", background="light")
    assert plain(text).count("variable 4") == 2
    assert text.splitlines()[-2:] == a.balance.lines()[1:]
    assert "all 9 steps" in a.to_terminal(color_system=None)


# Scores -------------------------------------------------------------------------------------------


def test_bars_are_as_long_as_their_numbers():
    names, scores = ["very negative", "映画", "c"], [-3.2, 1.6, 0.4]
    lines = heatmap.to_bars(names, scores, 1, color_system="256").splitlines()
    assert [span.bold for line in lines for span in spans(line)] == [False, True, False]
    shown = [plain(line) for line in lines]
    assert len({wcswidth(line) for line in shown}) == 1
    assert [float(line.split()[-1]) for line in shown] == scores
    lengths = [line.count("█") + 0.5 * len(re.findall("[▌▐]", line)) for line in shown]
    np.testing.assert_allclose(np.array(lengths) / lengths[0], np.abs(scores) / 3.2, atol=0.05)
    assert len({wcswidth(line[: line.index("│")]) for line in shown}) == 1


def test_of_many_scores_the_largest_have_bars():
    text = heatmap.to_bars([f"c{n}" for n in range(30)], np.arange(30.0), color_system=None)
    assert "c29" in text
    assert "c17" not in text
    assert text.endswith("... and 18 more")
    assert "│" in heatmap.to_bars(["a", "b"], [0.0, 0.0], color_system=None)


def test_numbers_of_methods_stand_in_columns():
    text = heatmap.to_columns(WORDS, ROWS, ["lrp", "gi", "映画"], UNKNOWN)
    lines = text.splitlines()
    assert len({wcswidth(line) for line in lines}) == 1
    for line, values in zip(lines[1:], ROWS.T, strict=True):
        np.testing.assert_allclose([float(x) for x in line.split()[-3:]], values, rtol=5e-3)


# A batch ------------------------------------------------------------------------------------------


def test_a_batch_is_printed_up_to_some_sequences():
    batch = lrplstm.lrp(lrplstm.load_default(), [["fine", "."]] * 50)
    parts = str(batch).split("\n\n")
    assert len(parts) == 21
    assert parts[0] == f"{batch[0].caption}\n{batch[0]}"
    assert parts[-1].startswith("... and 30 more")
