"""Heat maps: what is drawn is what was given, in the right colours, and harmless."""

import doctest
import importlib
import io
import itertools
import pkgutil
import re
import subprocess
import sys
import unicodedata
from dataclasses import dataclass
from html.parser import HTMLParser
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pypdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text

from lrplstm import heatmap
from lrplstm.heatmap import Grid, Panel

WORDS = ["neither", "funny", "nor", "thrilling", "<b>", "it's", '"x"', "a&b;", "$x^2$", "20°"]
RELEVANCE = [-0.53, 0.31, -0.424, 0.125, 0.0, -0.21, 0.0803, 0.271, -1.2e-7, 0.019]
UNKNOWN = [False, False, False, True, False, False, False, True, False, False]
ROWS = np.array([RELEVANCE, np.roll(RELEVANCE, 3), -0.5 * np.array(RELEVANCE)])
LABELS = ["very <negative>", "neutral", "positive & more"]

FRACTIONS = np.linspace(-1, 1, 4001)


def linear(rgb):
    channels = np.asarray(rgb) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    """WCAG 2.2, https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio."""
    lights = np.stack([linear(rgb) @ [0.2126, 0.7152, 0.0722] for rgb in (one, other)])
    return (lights.max(axis=0) + 0.05) / (lights.min(axis=0) + 0.05)


def lightness(rgb):
    """L of OKLab, by the matrices that lead there."""
    lms = linear(rgb) @ np.transpose(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    return np.cbrt(lms) @ [0.2104542553, 0.7936177850, -0.0040720468]


def parse_hex(text):
    """``#rgb`` or ``#rrggbb`` as a tuple."""
    digits = text.removeprefix("#")
    if len(digits) == 3:
        digits = "".join(2 * digit for digit in digits)
    return tuple(bytes.fromhex(digits))


@dataclass
class Word:
    text: str
    ink: tuple
    background: tuple
    underlined: bool
    title: str = ""


def column(words, name):
    return [getattr(word, name) for word in words]


class Page(HTMLParser):
    """Parse HTML strictly and collect tags, attributes, texts and words."""

    VOID = ("meta",)

    def __init__(self, source):
        super().__init__()
        self.open, self.tags, self.words, self.texts, self.attributes = [], [], [], [], []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "bdi":
            style = dict(item.split(":") for item in dict(attrs)["style"].split(";"))
            ink, background = style.get("color", "#000"), style.get("background", "#fff")
            underlined = "dotted" in style.get("text-decoration", "")
            word = Word("", parse_hex(ink), parse_hex(background), underlined, dict(attrs)["title"])
            self.words.append(word)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)
        if self.open and self.open[-1] == "bdi":
            self.words[-1].text += data


def plain(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def new_axes(width=7.0, height=4.0):
    return Figure(figsize=(width, height)).add_axes((0, 0, 1, 1))


def parts(ax):
    """What is drawn of words, where it is now: boxes, underlines, and others."""
    (words,) = ax.artists
    return words.get_children()


def shapes(collection):
    """Colours (N, 3) and extents (N, 4: left, bottom, right, top) in pixels."""
    place = collection.get_transform()
    extents = [path.transformed(place).get_extents().extents for path in collection.get_paths()]
    return np.rint(255 * collection.get_facecolors()[:, :3]).astype(int), np.array(extents)


def boxes(ax):
    """Colours and extents of the boxes behind the words."""
    return shapes(parts(ax)[0])


def underlines(ax):
    """Where underlines go, (N, 2 points, x and y), in pixels."""
    lines = parts(ax)[1]
    return [lines.get_transform().transform(line) for line in lines.get_segments()]


def drawn_texts(ax):
    return [part.get_text() for part in parts(ax) if isinstance(part, Text)]


def text_extents(ax):
    """Where texts are, in pixels: (N, 4)."""
    renderer = FigureCanvasAgg(ax.figure).get_renderer()
    return np.array(
        [part.get_window_extent(renderer).extents for part in parts(ax) if isinstance(part, Text)]
    )


def png(*panels, **options):
    """The picture of these panels, as numbers."""
    file = io.BytesIO()
    heatmap.save_png(file, panels, **options)
    file.seek(0)
    return read_png(file)


def read_png(source):
    return np.rint(255 * imread(source)[..., :3]).astype(int)


def has_color(image, rgb):
    return bool((image == rgb).all(axis=-1).any())


# Colours ------------------------------------------------------------------------------------------


def test_zero_is_white_and_nothing_is_whiter():
    assert heatmap.color(0).tolist() == [255, 255, 255]
    assert heatmap.color(-0.0).tolist() == [255, 255, 255]
    assert (heatmap.color([-0.02, 0.02]).min(axis=-1) < 255).all()


def test_text_is_readable_on_every_colour():
    backgrounds = heatmap.color(FRACTIONS)
    text = heatmap.ink(backgrounds)
    assert {tuple(rgb) for rgb in text.tolist()} == {(0, 0, 0), (255, 255, 255)}
    assert contrast(backgrounds, text).min() >= 4.5
    assert (contrast(backgrounds, text) >= contrast(backgrounds, 255 - text)).all()


def test_positive_is_red_and_negative_is_blue():
    red, _, blue = heatmap.color(FRACTIONS[FRACTIONS > 0.01]).T.astype(int)
    assert (red > blue).all()
    red, _, blue = heatmap.color(FRACTIONS[FRACTIONS < -0.01]).T.astype(int)
    assert (red < blue).all()


def test_lightness_falls_evenly_and_equally_on_both_sides():
    light = lightness(heatmap.color(FRACTIONS))
    np.testing.assert_allclose(light, light[::-1], atol=0.005)
    np.testing.assert_allclose(light, 1 - 0.5 * np.abs(FRACTIONS), atol=0.005)


@pytest.mark.parametrize("fraction", [1.001, -2.0, np.nan])
def test_color_refuses_what_is_no_fraction(fraction):
    with pytest.raises(ValueError, match="fraction: expected numbers from -1 to 1"):
        heatmap.color([0.5, fraction])


def test_one_scale_for_all_rows():
    expected = list(map(tuple, heatmap.color(ROWS / 0.53).reshape(-1, 3).tolist()))
    assert column(Page(heatmap.to_html(WORDS, ROWS)).words, "background") == expected
    assert (ROWS == -0.53).sum() == 2  # the word at full colour, in two of the rows
    assert expected.count(tuple(heatmap.color(-1).tolist())) == 2


@pytest.mark.parametrize("factor", [5e-324 / 0.53, 1e-30, 7.0, 1e300])
def test_colours_do_not_depend_on_the_unit(factor):
    page = Page(heatmap.to_html(["a", "b", "c"], factor * np.array([-0.53, 0.0, 0.53])))
    ends = [tuple(rgb) for rgb in heatmap.color([-1, 0, 1]).tolist()]
    assert column(page.words, "background") == ends


def test_the_outputs_agree_on_every_colour():
    page = Page(heatmap.to_html(WORDS, ROWS, unknown=UNKNOWN)).words
    ax = heatmap.plot(WORDS, ROWS, unknown=UNKNOWN, ax=new_axes())
    plot_boxes = [tuple(rgb) for rgb in boxes(ax)[0].tolist()]
    texts = [part for part in parts(ax) if isinstance(part, Text)]
    plot_inks = [parse_hex(text.get_color()) for text in texts[: ROWS.size]]
    assert column(page, "background") == plot_boxes
    assert column(page, "ink") == plot_inks
    assert column(page, "underlined") == UNKNOWN * 3


# HTML ---------------------------------------------------------------------------------------------


def test_html_gives_back_words_and_numbers():
    words = [*WORDS, "映画", "👩\u200d🔬", "e\u0301", "الفيلم", " the", "&amp;", "\\n"]
    relevance = np.random.default_rng(5).normal(0, 3, len(words)).round(4)
    page = Page(heatmap.to_html(words, relevance, unknown=[True, *[False] * (len(words) - 1)]))
    assert column(page.words, "text") == words
    first, *titles = column(page.words, "title")
    number, _, remark = first.partition(", ")
    assert list(map(float, [number, *titles])) == relevance.tolist()
    assert remark == "not in the vocabulary"


def test_html_rows_come_in_order():
    page = Page(heatmap.to_html(WORDS, ROWS, row_labels=LABELS))
    assert column(page.words, "text") == WORDS * 3
    numbers = list(map(float, column(page.words, "title")))
    np.testing.assert_allclose(numbers, ROWS.ravel(), rtol=1e-5)
    assert [text for text in page.texts if text in LABELS] == LABELS


def test_html_signs_its_numbers():
    page = Page(heatmap.to_html(["a", "b", "c"], [0.25, -3, -0.0]))
    assert column(page.words, "title") == ["+0.25", "-3", "0"]


def test_html_escapes_everything_that_is_given():
    attack = '<script>alert("1")</script><img src=\'x\' onerror=y>" onclick="z'
    source = heatmap.to_html(
        [attack, "ok"], [1.5, -0.5], row_labels=[attack], caption=attack, unknown=[True, False]
    )
    page = Page(heatmap.to_html_page([source], title=attack))
    assert set(page.tags) == {
        *["html", "head", "meta", "title", "style", "body", "h1"],
        *["figure", "figcaption", "div", "span", "bdi"],
    }
    assert {name for name, _ in page.attributes}.isdisjoint({"onclick", "onerror", "src"})
    assert page.texts.count(attack) == 5  # title, heading, caption, label, word


def test_html_needs_no_stylesheet_and_no_theme():
    source = heatmap.to_html(WORDS, RELEVANCE)
    assert source.startswith('<figure class="lrplstm-heatmap"')
    assert source.endswith("</figure>")
    style = re.search('style="(.*?)"', source)[1]
    assert "background:#fff" in style
    assert ";color:#000" in style
    assert "<style" not in source
    assert "white-space:pre-wrap" in source  # spaces within words are kept


def test_legend_bars_run_from_blue_over_white_to_red():
    ends = heatmap.color([-1, 0, 1]).tolist()
    source = heatmap.to_html(WORDS, RELEVANCE)
    stops = re.search(r"linear-gradient\(90deg,(.*?)\)", source)[1].split(",")
    assert [list(parse_hex(stops[index])) for index in (0, len(stops) // 2, -1)] == ends
    bar = parts(heatmap.plot(WORDS, RELEVANCE, ax=new_axes()))[2]
    cells, extents = shapes(bar)
    assert np.abs(cells[[0, len(cells) // 2, -1]] - ends).max() <= 3  # 0 is between two of them
    assert (np.diff(extents[:, 0]) > 0).all()
    assert np.ptp(extents[:, 2]) < 1e-6  # all end there, so that there are no gaps


def test_html_without_legend():
    source = heatmap.to_html(["a", "b"], [0.5, -0.25], unknown=[True, False], legend=False)
    assert "".join(Page(source).texts).split() == ["a", "b"]


def test_html_runs_in_the_direction_of_the_words():
    assert 'dir="rtl"' in heatmap.to_html(["1.", "الفيلم", "good"], [1, 2, 3])
    assert 'dir="rtl"' not in heatmap.to_html(["1.", "good", "الفيلم"], [1, 2, 3])


def test_html_of_ten_thousand_words_is_small():
    rng = np.random.default_rng(1)
    words = [f"w{number}" for number in range(10_000)]
    source = heatmap.to_html(words, rng.normal(size=10_000))
    assert column(Page(source).words, "text") == words
    assert len(source) < 110 * 10_000


def test_html_page():
    fragments = [heatmap.to_html(WORDS, RELEVANCE, caption="one"), "<p>two</p>"]
    source = heatmap.to_html_page(fragments, title="Q & A")
    assert source.startswith("<!DOCTYPE html>\n")
    page = Page(source)
    assert ("charset", "utf-8") in page.attributes
    assert ("name", "viewport") in page.attributes
    assert page.texts.count("Q & A") == 2
    assert all(fragment in source for fragment in fragments)
    with pytest.raises(TypeError, match="fragments: expected a sequence of str, got str"):
        heatmap.to_html_page(fragments[0], title="x")
    with pytest.raises(TypeError, match="title: expected str, got NoneType"):
        heatmap.to_html_page(fragments, title=None)


# matplotlib ---------------------------------------------------------------------------------------


def test_plot_shows_words_labels_legend_and_title():
    ax = heatmap.plot(WORDS, ROWS, unknown=UNKNOWN, row_labels=LABELS, ax=new_axes(), title="$why$")
    low, high = ["speaks against", "-0.53"], ["0", "+0.53", "speaks for", "not in the vocabulary"]
    assert drawn_texts(ax) == [t for label in LABELS for t in [label, *WORDS]] + low + high
    assert ax.get_title(loc="left") == "$why$"
    texts = [text for text in ax.findobj(Text) if "$" in text.get_text()]
    assert len(texts) == 4  # the title, and a word of each row
    assert not any(text.get_parse_math() for text in texts)


def test_plot_of_zeros_says_so():
    ax = heatmap.plot(["a", "b"], [0, -0.0], ax=new_axes())
    assert drawn_texts(ax) == ["a", "b", "the relevance of every word is 0"]
    assert boxes(ax)[0].tolist() == [[255, 255, 255]] * 2


@pytest.mark.parametrize(("width", "height"), [(7, 4), (3, 2), (2, 6), (12, 0.7)])
def test_plot_fits_the_words_into_the_axes(width, height):
    words = ["映画", "verylong" * 12, "e\u0301tude", *WORDS * 4]
    relevance = np.random.default_rng(3).normal(size=len(words))
    ax = heatmap.plot(words, relevance, ax=new_axes(width, height), row_labels=["label"])
    _, extents = boxes(ax)
    inside = ax.bbox.padded(2).extents
    for box in (extents, text_extents(ax)):
        assert (box[:, :2] >= inside[:2]).all()
        assert (box[:, 2:] <= inside[2:]).all()
    one, other = np.array(list(itertools.combinations(extents, 2))).transpose(1, 0, 2)
    apart = (one[:, 2:] < other[:, :2] + 0.1) | (other[:, 2:] < one[:, :2] + 0.1)
    assert apart.any(axis=1).all()  # no two boxes overlap


def test_plot_puts_every_word_in_its_box():
    words = ["illicit", "MAXIMUM", "映画", "e\u0301tude", "😀", "QJgjpqy", "الفيلم", *WORDS]
    ax = heatmap.plot(words, np.arange(1, len(words) + 1), ax=new_axes())
    box, text = boxes(ax)[1], text_extents(ax)[: len(words)]
    em = (box[0, 3] - box[0, 1]) / 1.4
    left, right = text[:, 0] - box[:, 0], box[:, 2] - text[:, 2]
    assert min(left.min(), right.min()) > 0.1 * em
    assert max(left.max(), right.max()) < 0.5 * em


def lines_of(ax, words):
    """The words of each line, from above."""
    middles = text_extents(ax)[: len(words), [1, 3]].mean(axis=1).round(-1)
    return [
        [word for word, y in zip(words, middles, strict=True) if y == middle]
        for middle in sorted(set(middles), reverse=True)
    ]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from(["a", "film", "wonderful", ",", ".", "n't", ")", "(", "''"])),
       st.integers(3, 6))  # fmt: skip
def test_no_line_begins_with_punctuation_or_ends_with_a_bracket(words, width):
    words = ["film", *words]
    ax = heatmap.plot(words, np.ones(len(words)), ax=new_axes(width, 30))
    known = lines_of(ax, words)
    assert list(itertools.chain(*known)) == words
    assert all(line[0] not in {",", ".", "n't", ")", "''"} for line in known if len(line) > 1)
    assert all(line[-1] != "(" for line in known[:-1] if len(line) > 1)


def test_lines_are_broken_again_when_the_axes_change():
    ax = heatmap.plot(WORDS, RELEVANCE, ax=new_axes(8, 4))
    assert len(lines_of(ax, WORDS)) == 1
    ax.figure.set_size_inches(2.5, 4)
    assert len(lines_of(ax, WORDS)) > 2
    high = np.ptp(boxes(ax)[1][0, [1, 3]])
    ax.figure.set_size_inches(8, 0.5)
    assert np.ptp(boxes(ax)[1][0, [1, 3]]) < high  # smaller letters, where they would not fit in
    assert (boxes(ax)[1][:, 1] >= 0).all()


def test_plot_underlines_unknown_words_only():
    ax = heatmap.plot(WORDS, RELEVANCE, unknown=UNKNOWN, ax=new_axes())
    _, extents = boxes(ax)
    *lines, legend = underlines(ax)
    assert len(lines) == 2
    for line, extent in zip(lines, extents[UNKNOWN], strict=True):
        assert (line > extent[:2]).all()
        assert (line < extent[2:]).all()
    assert (legend[:, 1] < extents[:, 1].min()).all()
    assert parts(ax)[1].get_linestyle()[0][1] is not None  # not a solid line
    assert underlines(heatmap.plot(WORDS, RELEVANCE, ax=new_axes())) == []


def test_plot_runs_from_the_right_where_the_words_do():
    _, extents = boxes(heatmap.plot(["الفيلم", "جيد"], [0.5, -0.25], ax=new_axes()))
    assert extents[0, 0] > extents[1, 2]


def test_plot_makes_a_pyplot_figure_as_high_as_it_must_be():
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    before = plt.get_fignums()
    heights = [heatmap.plot(WORDS * n, RELEVANCE * n).figure.get_figheight() for n in (1, 10)]
    assert len(plt.get_fignums()) == len(before) + 2
    with plt.style.context("dark_background"):
        figure = heatmap.plot(WORDS, RELEVANCE).figure
    plt.close("all")
    assert figure.get_facecolor() == (1, 1, 1, 1)
    assert heights[1] > 2 * heights[0]


def test_characters_that_no_font_has_are_replaced():
    ax = heatmap.plot(["a\U0010fffdb", "ok"], [0.5, -0.25], ax=new_axes(), title="\U0010fffd")
    assert drawn_texts(ax)[:2] == ["a\ufffdb", "ok"]
    assert ax.get_title(loc="left") == "\ufffd"


def test_png_shows_the_colours(tmp_path):
    path = tmp_path / "picture.png"
    panels = [
        Panel(WORDS, ROWS, UNKNOWN, LABELS, title="first"),
        Panel(["映画", "😀", "\U0010fffd", "\x1b[0m", "$\\"], [1, 2, -3, -1, 0.5]),
    ]
    heatmap.save_png(path, panels, dpi=100)
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    image = read_png(path)
    assert image.shape[1] == 800
    drawn = [*heatmap.color(ROWS / 0.53).reshape(-1, 3), *heatmap.color(np.array([1, 2, -3]) / 3)]
    assert all(has_color(image, rgb) for rgb in drawn)
    assert (image[[0, -1]] == 255).all()
    assert not has_color(image, (0, 255, 0))


def test_png_of_zeros_is_black_on_white():
    image = png(Panel(WORDS, np.zeros(10)), dpi=80)
    assert (image.max(axis=-1) == image.min(axis=-1)).all()
    assert image.min() < 100


def test_png_panels_have_scales_of_their_own():
    image = png(*(Panel(["a"], [number]) for number in (-1e-3, 50.0)), dpi=80)
    assert has_color(image, heatmap.color(-1))
    assert has_color(image, heatmap.color(1))


def test_png_stays_within_what_matplotlib_can_draw(monkeypatch):
    monkeypatch.setattr("lrplstm.heatmap.figure._MAX_PIXELS", 1000)
    height, width, _ = png(Panel(WORDS * 60, RELEVANCE * 60), dpi=150).shape
    assert 990 <= height <= 1000
    assert width < 8 * 150


def test_png_of_ten_thousand_words():
    rng = np.random.default_rng(4)
    words = [f"w{number}" for number in rng.integers(0, 100, 10_000)]
    relevance = rng.normal(size=10_000)
    relevance[-1] = -10.0
    image = png(Panel(words, relevance), dpi=40)
    assert 1000 < max(image.shape) < 2**16
    assert has_color(image[-80:], heatmap.color(-1))  # the last word is there


def test_an_empty_title_is_none():
    ax = new_axes()
    ax.set_title("kept", loc="left")
    assert heatmap.plot(WORDS, RELEVANCE, ax=ax, title="").get_title(loc="left") == "kept"
    panels = [Panel(WORDS, RELEVANCE, title=title) for title in (None, "", "x")]
    without, empty, with_title = (png(panel, dpi=50).shape[0] for panel in panels)
    assert without == empty < with_title


def test_png_errors(tmp_path):
    panel = Panel(WORDS, RELEVANCE)
    with pytest.raises(FileNotFoundError):
        heatmap.save_png(tmp_path / "missing" / "x.png", [panel])
    with pytest.raises(IsADirectoryError):
        heatmap.save_png(tmp_path, [panel])
    with pytest.raises(ValueError, match="panels: expected at least one, got none"):
        heatmap.save_png(tmp_path / "x.png", [])
    with pytest.raises(ValueError, match="relevance: expected shape"):
        heatmap.save_png(tmp_path / "x.png", [panel, Panel(WORDS, [1.0])])
    with pytest.raises(TypeError, match=r"panels\[1\]: expected a Panel or a Grid, got tuple"):
        heatmap.save_png(tmp_path / "x.png", [panel, (["a"], [1.0])])
    with pytest.raises(ValueError, match=r"panels: .*at most 1638 inches high.*draw fewer"):
        heatmap.save_png(tmp_path / "x.png", [Panel(["a"], [1.0])] * 2000)
    with pytest.raises(ValueError, match="dpi: expected a positive number, got 0"):
        heatmap.save_png(tmp_path / "x.png", [panel], dpi=0)
    assert list(tmp_path.iterdir()) == []


def test_words_are_text_in_pdf_and_svg():
    words = ["neither", "café", "$x^2$", "<b>", "ﬁlm", "\x1b[0m"]
    shown = [*words[:-1], "\\x1b[0m"]
    panels = [
        Panel(words, RELEVANCE[:6], UNKNOWN[:6], title="why?"),
        Grid([[1.0, -2.0]], ["rain", "wind"]),
    ]
    files = {format: [io.BytesIO(), io.BytesIO()] for format in ("pdf", "svg")}
    with mpl.rc_context({"pdf.fonttype": 3, "svg.fonttype": "path", "text.usetex": False}):
        for format, twice in files.items():
            for file in twice:
                heatmap.save_picture(file, panels, format)
        assert mpl.rcParams["pdf.fonttype"] == 3
    content, again = (file.getvalue() for file in files["pdf"])
    assert content == again
    assert b"/FontFile2" in content  # TrueType (Type 42), and none of the shapes of Type 3
    assert b"/Type3" not in content
    (page,) = pypdf.PdfReader(files["pdf"][0]).pages
    text = page.extract_text()
    assert all(word in text for word in ["why?", *shown[:4], "rain", "wind", "not in the vocab"])
    assert " ".join(shown[:2]) in text
    svg, again = (file.getvalue() for file in files["svg"])
    assert svg == again
    found = [node.text for node in ElementTree.fromstring(svg).iter() if node.tag.endswith("}text")]
    assert [node for node in found if node in shown] == shown
    assert {"why?", "rain", "wind"} <= {*found}


def test_a_pdf_has_pages_that_readers_show(monkeypatch):
    monkeypatch.setattr("lrplstm.heatmap.figure._PAGE_HEIGHT", 3.0)
    file = io.BytesIO()
    words = [["first"], ["second"], ["third"], [f"w{n}" for n in range(200)], ["last"]]
    heatmap.save_picture(file, [Panel(w, np.ones(len(w))) for w in words], "pdf")
    pages = pypdf.PdfReader(file).pages
    texts = [page.extract_text() for page in pages]
    assert [w[0] in "".join(texts) for w in words] == [True] * 5
    assert [page.mediabox.height <= 3 * 72 for page in pages] == [
        True,
        False,
        True,
    ]  # the first has three
    assert all(page.mediabox.width == 8 * 72 for page in pages)
    with pytest.raises(ValueError, match="format: expected one of 'png', 'pdf', 'svg', got 'jpg'"):
        heatmap.save_picture(file, [Panel(["a"], [1.0])], "jpg")


def test_pictures_are_what_their_names_say(tmp_path):
    panel = Panel(["a"], [1.0])
    heatmap.save_picture(tmp_path / "x.PDF", [panel])
    assert (tmp_path / "x.PDF").read_bytes().startswith(b"%PDF")
    heatmap.save_picture(tmp_path / "x", [panel], "svg")
    for path in ("x.pdf", "x.jpg"):
        with pytest.raises(ValueError, match=rf"path: .* ends in \.png, got '{path}'"):
            heatmap.save_png(path, [panel])
    for path in ("x.docx", "x", io.BytesIO()):
        with pytest.raises(ValueError, match=r"path: .* ends in \.png, \.pdf, \.svg, got"):
            heatmap.save_picture(path, [panel])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x", "x.PDF"]


def test_png_leaves_pyplot_alone_and_the_import_is_light():
    code = (
        "import io, sys\n"
        "from lrplstm import heatmap\n"
        "assert not {'matplotlib', 'wcwidth'} & set(sys.modules)\n"
        "heatmap.save_png(io.BytesIO(), [heatmap.Panel(['a'], [1.0], title='title')])\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# All outputs --------------------------------------------------------------------------------------


as_html = heatmap.to_html


def as_truecolor(words, relevance, **options):
    return heatmap.to_terminal(words, relevance, color_system="truecolor", **options)


def as_256(words, relevance, **options):
    return heatmap.to_terminal(words, relevance, color_system="256", **options)


def as_plain(words, relevance, **options):
    return heatmap.to_terminal(words, relevance, color_system=None, **options)


def as_plot(words, relevance, **options):
    heatmap.plot(words, relevance, ax=new_axes(), **options)


def as_png(words, relevance, **options):
    heatmap.save_png(io.BytesIO(), [Panel(words, relevance, **options)])


TEXTS = [as_html, as_truecolor, as_256, as_plain]


@pytest.mark.parametrize("draw", TEXTS)
def test_the_legend_gives_the_scale_in_numbers(draw):
    shown = draw(["a", "b"], [0.123456, -0.05])
    text = " ".join(Page(shown).texts) if draw is as_html else plain(shown)
    legend = " ".join(text.split())
    assert legend.endswith(" speaks against -0.123 0 +0.123 speaks for")
    shown = draw(["a", "b"], [0.123456, 0.05], ends=("", "<sensitive>"))
    text = " ".join(Page(shown).texts) if draw is as_html else plain(shown)
    legend = " ".join(text.split())
    assert legend.endswith(" 0 +0.123 <sensitive>")  # the bar begins at 0
    assert "-0.123" not in legend
    assert "speaks" not in legend


@pytest.mark.parametrize("draw", TEXTS)
def test_unknown_words_are_marked_and_explained(draw):
    marked = draw(WORDS, RELEVANCE, unknown=UNKNOWN)
    assert "not in the vocabulary" in marked
    assert "not in the vocabulary" not in draw(WORDS, RELEVANCE, unknown=np.zeros(10, dtype=bool))
    assert draw(WORDS, RELEVANCE, unknown=[False] * 10) == draw(WORDS, RELEVANCE)
    if draw is not as_html:
        row = plain(marked).splitlines()[0]
        assert re.findall(r"(\w+|\S+)°", row) == ["thrilling", "a&b;", "20"]


@pytest.mark.parametrize("draw", TEXTS)
def test_all_zero(draw):
    shown = draw(["a", "b"], [0, -0.0])
    assert "the relevance of every word is 0" in shown
    assert "speaks" not in shown
    if draw is as_html:
        assert set(column(Page(shown).words, "background")) == {(255, 255, 255)}
    else:
        assert "\x1b" not in shown


@pytest.mark.parametrize("draw", TEXTS)
def test_one_word(draw):
    assert "only" in draw(["only"], [-2.5])
    assert "+2.5" in draw(["only"], [-2.5])  # the scale


@pytest.mark.parametrize("draw", TEXTS)
def test_words_that_would_not_show_are_made_visible(draw):
    words = ["\x1b[31m", "\n", "\x00", "\x9b", "\u202e", "\u2028", "\ud800", "", "  ", "\ufeff"]
    shown = draw(words, np.arange(1, 11), row_labels=["\t"])
    for visible in ["\\x1b[31m", "\\n", "\\x00", "\\x9b", "\\u202e", "\\u2028", "\\ud800", "␣␣"]:
        assert visible in plain(shown)
    assert "\\ufeff" in shown
    assert "\\t" in shown
    assert ("&quot;&quot;" if draw is as_html else '""') in plain(shown)


@settings(deadline=None)
@given(st.lists(st.text(), min_size=1, max_size=5), st.text())
def test_nothing_raw_reaches_a_reader(words, caption):
    relevance = np.linspace(-1, 0.7, len(words))
    source = heatmap.to_html(words, relevance, row_labels=[caption], caption=caption)
    assert len(Page(source).words) == len(words)
    text = heatmap.to_terminal(words, relevance, row_labels=[caption], color_system="256")
    shown = source + plain(text) + as_plain(words, relevance)
    for char in set(shown) - {"\n"}:
        assert unicodedata.category(char) not in ("Cc", "Cs", "Zl", "Zp")
        assert unicodedata.bidirectional(char) not in (
            *["LRE", "RLE", "LRO", "RLO", "PDF"],
            *["LRI", "RLI", "FSI", "PDI"],
        )
    assert text.count("\n") == 1
    shown.encode()


@pytest.mark.parametrize("draw", [*TEXTS, as_plot, as_png])
@pytest.mark.parametrize(
    ("words", "relevance", "options", "error", "message"),
    [
        ("plain text", [1.0] * 10, {}, TypeError, "words: expected a sequence of str, got str"),
        (7, [1.0], {}, TypeError, "words: expected a sequence of str, got int"),
        (["a", b"b"], [1, 2], {}, TypeError, r"words\[1\]: expected str, got bytes"),
        ([], [], {}, ValueError, "words: expected at least one word, got none"),
        (["a", "b"], [1.0], {}, ValueError, r"relevance: expected shape \(2,\) or .* got \(1,\)"),
        (["a"], [[[1.0]]], {}, ValueError, r"relevance: expected shape .* got \(1, 1, 1\)"),
        (["a"], 1.0, {}, ValueError, r"relevance: expected shape .* got \(\)"),
        (["a", "b"], np.ones((0, 2)), {}, ValueError, r"relevance: .* got \(0, 2\)"),
        (["a", "b"], [[1, 2], [3]], {}, ValueError, "relevance: expected shape"),
        (["a", "b"], [1, np.nan], {}, ValueError, "relevance: .* finite .* got nan for word 1"),
        (["a", "b"], [-np.inf, 0], {}, ValueError, "relevance: .* finite .* got -inf for word 0"),
        (["a"], [1j], {}, TypeError, "relevance: expected real numbers, got dtype complex128"),
        (["a"], ["1"], {}, TypeError, "relevance: expected real numbers, got dtype <U1"),
        (["a"], [1], {"unknown": [1]}, TypeError, "unknown: expected booleans, got dtype int64"),
        (["a"], [1], {"unknown": [True] * 2}, ValueError, r"unknown: expected shape \(1,\)"),
        (["a"], [1], {"row_labels": "x"}, TypeError, "row_labels: expected a sequence of str"),
        (["a"], [1], {"row_labels": [3]}, TypeError, r"row_labels\[0\]: expected str, got int"),
        (["a"], [1], {"row_labels": ["x", "y"]}, ValueError, "row_labels: expected 1, .* got 2"),
    ],
)
def test_errors_name_the_argument(draw, words, relevance, options, error, message):
    with pytest.raises(error, match=message):
        draw(words, relevance, **options)


@pytest.mark.parametrize("draw", TEXTS)
@pytest.mark.parametrize("dtype", ["float16", "float32", "int8", "uint8"])
def test_every_real_dtype_will_do_and_nothing_is_changed(draw, dtype):
    words, relevance = np.array(["a", "b", "c"]), np.array([3, 0, 2], dtype=dtype)
    unknown = np.array([False, True, False])
    relevance.flags.writeable = unknown.flags.writeable = False
    shown = draw(words, relevance, unknown=unknown)
    assert shown == draw(["a", "b", "c"], [3.0, 0.0, 2.0], unknown=[False, True, False])


def test_examples_run():
    modules = [
        importlib.import_module(f"lrplstm.heatmap.{module.name}")
        for module in pkgutil.iter_modules(heatmap.__path__)
    ]
    results = [doctest.testmod(module) for module in modules]
    assert sum(result.failed for result in results) == 0
    assert sum(result.attempted for result in results) > 10


@pytest.mark.parametrize("draw", [as_html, as_plain, as_plot, as_png])
def test_ends_are_two_texts(draw):
    with pytest.raises(ValueError, match="ends: expected 2 texts, got 3"):
        draw(WORDS, RELEVANCE, ends=("a", "b", "c"))
    with pytest.raises(TypeError, match="ends: expected a sequence of str, got str"):
        draw(WORDS, RELEVANCE, ends="ab")
