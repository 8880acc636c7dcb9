"""Grids: every cell is where it belongs, in the right colour, and labels can be read."""

import io
import itertools
import re
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text

from lrplstm import heatmap
from lrplstm.heatmap import Grid
from lrplstm.heatmap.grid import checked_grid, every_nth
from lrplstm.heatmap.grid_figure import grid_sheet
from lrplstm.heatmap.sheets import fill

T, D = 7, 3
RELEVANCE = np.random.default_rng(0).normal(size=(T, D))
RELEVANCE[2, 1], RELEVANCE[5, 0], RELEVANCE[0, 2] = -4.0, 2.5, 0.0
VARIABLES = ["load", "price", "wind"]
BLOCKS = np.stack([RELEVANCE, -0.5 * RELEVANCE[::-1]])


def new_axes(width=7.0, height=3.0, **options):
    return Figure(figsize=(width, height), **options).add_subplot()


def drawn(ax):
    """The picture of a figure, (height, width, 3), the lowest row first."""
    canvas = FigureCanvasAgg(ax.figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[::-1, :, :3].astype(int)


def png(*panels, **options):
    file = io.BytesIO()
    heatmap.save_png(file, panels, **options)
    file.seek(0)
    return np.rint(255 * imread(file)[..., :3]).astype(int)


def color_at(ax, x, y):
    column, row = ax.transData.transform((x, y)).astype(int)
    return drawn(ax)[row, column]


def texts(labels):
    return [label.get_text() for label in labels]


def color_bar(ax):
    (bar,) = (other for other in ax.figure.axes if other is not ax)
    return bar


class Table(HTMLParser):
    """The cells of all tables: their backgrounds and tooltips, row by row, and the other texts."""

    def __init__(self, source):
        super().__init__()
        self.rows, self.texts, self.tags, self.attributes = [], [], [], []
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag == "tr":
            self.rows.append([])
        if tag == "td":
            style = dict(item.split(":") for item in dict(attrs)["style"].split(";"))
            color = tuple(bytes.fromhex(style["background"].removeprefix("#")))
            self.rows[-1].append((color, dict(attrs)["title"]))

    def handle_data(self, data):
        self.texts.append(data)


def table(grid):
    page = Table(heatmap.to_html(["word"], [1.0], grid=grid))
    page.rows = [row for row in page.rows if row]
    return page


# Cells ------------------------------------------------------------------------------------------


def test_each_cell_has_its_place_and_its_colour():
    ax = heatmap.plot_grid(RELEVANCE, ax=new_axes())
    expected = heatmap.color(RELEVANCE / 4.0).astype(int)
    picture = drawn(ax)
    for t, d in itertools.product(range(T), range(D)):
        column, row = ax.transData.transform((t, d)).astype(int)
        assert np.abs(picture[row, column] - expected[t, d]).max() <= 2, (t, d)
    assert ax.get_xlim() == (-0.5, T - 0.5)
    assert ax.get_ylim() == (D - 0.5, -0.5)  # the first variable is on top


def test_html_gives_back_every_number_place_and_colour():
    rows = table(Grid(RELEVANCE, VARIABLES)).rows
    colors = heatmap.color(RELEVANCE / 4.0).tolist()
    assert len(rows) == D
    for d, row in enumerate(rows):
        assert len(row) == T
        for t, (background, title) in enumerate(row):
            number, variable, step = title.split(", ")
            assert float(number) == pytest.approx(RELEVANCE[t, d], rel=1e-5)
            assert (variable, step) == (VARIABLES[d], f"t={t}")
            assert list(background) == colors[t][d]


def test_zero_is_white_and_the_ends_are_full():
    ax = heatmap.plot_grid([[0.0, -3.0], [3.0, 1e-9]], ax=new_axes())
    assert color_at(ax, 0, 0).tolist() == [255, 255, 255]
    assert color_at(ax, 0, 1).tolist() == heatmap.color(-1).tolist()
    assert color_at(ax, 1, 0).tolist() == heatmap.color(1).tolist()


def test_artists_have_the_numbers_themselves():
    ax = heatmap.plot_grid(RELEVANCE, ax=new_axes())
    (mesh,) = ax.collections
    assert np.array_equal(mesh.get_array(), RELEVANCE.T)


def test_more_can_be_drawn_on_the_axes():
    ax = heatmap.plot_grid(RELEVANCE, ax=new_axes())
    ax.plot(5, 2, "s", color="lime")
    assert color_at(ax, 5, 2).tolist() == [0, 255, 0]


@pytest.mark.parametrize("scale", [5e-324, 1e-200, 3.0, 1e300, 1.7e308])
@pytest.mark.parametrize("ends", [("against", "for"), ("", "sensitive")])
def test_colours_do_not_depend_on_the_unit(scale, ends):
    relevance = scale * np.array([[1.0, 0.0], [0.0, 1.0]])
    ax = heatmap.plot_grid(relevance, ends=ends, ax=new_axes())
    red, white = heatmap.color([1, 0]).tolist()
    assert [color_at(ax, t, 0).tolist() for t in (0, 1)] == [red, white]
    assert f"+{scale:.3g}" in "".join(texts(color_bar(ax).get_yticklabels()))
    rows = table(Grid(relevance, ends=ends)).rows
    assert [list(background) for background, _ in rows[0]] == [red, white]


def test_blocks_share_one_scale_and_stand_below_each_other():
    ax = heatmap.plot_grid(BLOCKS, block_labels=["one", "two"], variables=VARIABLES, ax=new_axes())
    assert texts(ax.get_yticklabels()) == VARIABLES * 2
    places = ax.get_yticks().reshape(2, D)
    assert (np.diff(places, axis=1) == 1).all()
    assert places[1, 0] > places[0, -1] + 1
    colors = heatmap.color(BLOCKS / 4.0).astype(int)
    for r, d in itertools.product(range(2), range(D)):
        assert np.abs(color_at(ax, 3, places[r, d]) - colors[r, 3, d]).max() <= 2
    assert [text.get_text().strip() for text in ax.texts] == ["one", "two"]
    one, two = (text.get_position()[1] for text in ax.texts)
    assert one < places[0, 0] < places[0, -1] < two < places[1, 0]


def test_blocks_in_html():
    page = table(Grid(BLOCKS, VARIABLES, block_labels=["one", "two"]))
    assert len(page.rows) == 2 * D
    numbers = [[float(title.split(",")[0]) for _, title in row] for row in page.rows]
    np.testing.assert_allclose(
        np.reshape(numbers, (2, D, T)), BLOCKS.transpose(0, 2, 1), rtol=1e-5, atol=1e-12
    )
    assert [text for text in page.texts if text in ("one", "two")] == ["one", "two"]


# Large grids ------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 2),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(0, 2**32 - 1),
)
def test_cells_show_the_strongest_of_what_they_share(R, steps, variables, rows, columns, seed):
    rng = np.random.default_rng(seed)
    relevance = rng.integers(-5, 6, (R, steps, variables)).astype(float)
    found = checked_grid(Grid(relevance), most_rows=rows, most_columns=columns)
    assert found.cells.shape[2] <= columns
    assert found.cells.shape[1] <= max(1, rows // R)
    covered = np.zeros((steps, variables), int)
    for i, j in itertools.product(*map(range, found.cells.shape[1:])):
        d = slice(i * found.row_size, (i + 1) * found.row_size)
        t = slice(j * found.column_size, (j + 1) * found.column_size)
        covered[t, d] += 1
        for r in range(R):
            part = relevance[r, t, d]
            assert part.size > 0
            assert abs(found.cells[r, i, j]) == np.abs(part).max()
            place = found.column[r, i, j], found.row[r, i, j]
            assert relevance[r, *place] == found.cells[r, i, j]
            assert t.start <= place[0] < t.stop
            assert d.start <= place[1] < d.stop
    assert (covered == 1).all()
    assert found.column_edges()[-1] == steps - 0.5
    assert found.row_edges()[-1] == variables - 0.5


@pytest.mark.parametrize("shape", [(3001, 2), (2, 2001), (700, 701)])
def test_the_strongest_cell_of_many_is_seen(shape):
    relevance = np.random.default_rng(1).uniform(-0.1, 0.1, shape)
    step, variable = shape[0] * 2 // 3, shape[1] // 2
    relevance[step, variable] = -1.0
    full = heatmap.color(-1)
    picture = png(Grid(relevance), dpi=100)
    bar = picture[:, 600:]  # which has that colour at its end
    cells = picture[:, :600]
    assert (cells == full).all(axis=-1).any()
    assert np.abs(bar - full.astype(int)).max(axis=-1).min() <= 6
    ax = heatmap.plot_grid(relevance, ax=new_axes(3, 2))
    assert "the strongest of" in ax.get_xlabel().replace("\n", " ")
    assert ax.get_xlim() == (-0.5, shape[0] - 0.5)
    source = heatmap.to_html(["word"], [1.0], grid=Grid(relevance))
    assert f"-1, variable {variable}, t={step}" in source
    assert "each cell: the strongest of" in source
    assert source.count("<td") <= 5000
    assert len(source) < 700_000


def test_nothing_is_said_of_sharing_where_there_is_none():
    assert "strongest" not in heatmap.to_html(["word"], [1.0], grid=Grid(RELEVANCE))
    assert heatmap.plot_grid(RELEVANCE, ax=new_axes()).get_xlabel() == "step"


@pytest.mark.parametrize(
    ("count", "most", "nth"), [(1, 1, 1), (7, 7, 1), (8, 7, 2), (30, 7, 5), (100, 1, 100)]
)
def test_every_nth_label(count, most, nth):
    assert every_nth(count, most) == nth
    assert len(range(0, count, nth)) <= most


# Labels -----------------------------------------------------------------------------------------


def overlapping(labels, renderer):
    """Pairs of labels that cover each other, of those that are shown."""
    boxes = [label.get_window_extent(renderer) for label in labels if label.get_text()]
    return [(a, b) for a, b in itertools.combinations(boxes, 2) if a.overlaps(b)]


WORDS = "neither charming nor exciting nor remotely well-lit but rather long".split()
NAMINGS = {
    "numbers": lambda steps: None,
    "words": lambda steps: [WORDS[t % len(WORDS)] for t in range(steps)],
    "dates": lambda steps: [f"2024-{t // 28 + 1:02}-{t % 28 + 1:02}" for t in range(steps)],
    "long": lambda steps: [f"a very long name, the longest of all: {t}" for t in range(steps)],
}


@pytest.mark.parametrize("naming", NAMINGS)
@pytest.mark.parametrize(("steps", "variables"), [(1, 1), (5, 2), (24, 12), (120, 60), (1500, 9)])
def test_labels_do_not_overlap_and_stay_on_the_page(naming, steps, variables):
    relevance = np.random.default_rng(2).normal(size=(steps, variables))
    names = [f"{VARIABLES[d % D]} {d}" for d in range(variables)]
    grid = Grid(relevance, names, NAMINGS[naming](steps), title="A title " * 20)
    sheet = grid_sheet(grid)
    figure = Figure(figsize=(8, sheet.height + 0.2))
    (ax,) = fill(figure, [sheet])
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    x_labels, y_labels = ax.get_xticklabels(), ax.get_yticklabels()
    assert x_labels[0].get_text()
    assert overlapping(x_labels, renderer) == overlapping(y_labels, renderer) == []
    page, box = figure.bbox, figure.get_tightbbox(renderer)
    dpi = figure.dpi
    assert box.x0 >= 0
    assert box.y0 >= 0
    assert box.x1 * dpi <= page.width + 1
    assert box.y1 * dpi <= page.height + 1
    bars = color_bar(ax).get_yticklabels()
    assert overlapping(bars, renderer) == []


def test_few_steps_are_all_named():
    labels = heatmap.plot_grid(RELEVANCE, steps=WORDS[:T], ax=new_axes()).get_xticklabels()
    assert texts(labels) == WORDS[:T]
    narrow = heatmap.plot_grid(RELEVANCE, steps=WORDS[:T], ax=new_axes(4, 3)).get_xticklabels()
    assert texts(narrow) == WORDS[:T]
    assert {label.get_rotation() for label in narrow} == {90}


def test_labels_of_thinned_steps_stand_at_theirs():
    ax = heatmap.plot_grid(np.ones((200, 2)), ax=new_axes())
    assert len(ax.get_xticks()) < 40
    assert [str(place) for place in ax.get_xticks()] == texts(ax.get_xticklabels())


def test_axes_are_named_where_names_are_not_given():
    ax = heatmap.plot_grid(RELEVANCE, ax=new_axes())
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("step", "variable")
    ax = heatmap.plot_grid(RELEVANCE, variables=VARIABLES, steps=WORDS[:T], ax=new_axes())
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("", "")


def test_names_are_drawn_as_they_are():
    names = ["$x^2$", "\x1b[31m", "\U0010fffd"]
    ax = heatmap.plot_grid(
        RELEVANCE, variables=names, steps=["$_$"] * T, ends=("$a$", "$b$"), ax=new_axes(),
        title="$why$",
    )  # fmt: skip
    drawn(ax)  # warns of characters that no font has, and fails at what is no formula
    assert texts(ax.get_yticklabels()) == ["$x^2$", "\\x1b[31m", "\ufffd"]
    labels = [*ax.get_yticklabels(), *ax.get_xticklabels(), *color_bar(ax).get_yticklabels()]
    assert not any(label.get_parse_math() for label in labels)
    assert ax.get_title(loc="left") == "$why$"


def test_html_escapes_everything_that_is_given():
    attack = '<script>alert("1")</script>'
    page = table(
        Grid(BLOCKS, [attack] * D, [attack] * T, [attack] * 2, ends=(attack, attack), title=attack)
    )
    assert "script" not in page.tags
    assert {name for name, _ in page.attributes} <= {
        *["class", "dir", "style", "title", "aria-label", "role", "span", "colspan"]
    }
    # At the ends of the bar, for the blocks, for their variables, and for the first step.
    assert page.texts.count(attack) == 2 + 2 + 2 * D + 1
    assert all(title.count(attack) == 2 for row in page.rows for _, title in row)
    assert "\\u202e" in "".join(table(Grid([[1.0]], ["\u202e"])).texts)


def test_long_names_are_cut():
    name = "n" * 100
    ax = heatmap.plot_grid(RELEVANCE, variables=[name] * D, ax=new_axes())
    assert texts(ax.get_yticklabels()) == ["n" * 31 + "…"] * D


# Legend -----------------------------------------------------------------------------------------


def test_the_colour_bar_gives_the_scale_in_numbers():
    bar = color_bar(heatmap.plot_grid(RELEVANCE, ax=new_axes()))
    assert texts(bar.get_yticklabels()) == ["-4\nspeaks against", "0", "speaks for\n+4"]
    assert bar.get_ylim() == (-4, 4)
    text = " ".join(" ".join(table(Grid(RELEVANCE)).texts).split())
    assert text.endswith("speaks against -4 0 +4 speaks for")


def test_the_colour_bar_begins_at_0_where_negative_numbers_say_nothing():
    relevance = np.abs(RELEVANCE)
    bar = color_bar(heatmap.plot_grid(relevance, ends=("", "sensitive"), ax=new_axes()))
    assert texts(bar.get_yticklabels()) == ["0", "sensitive\n+4"]
    assert bar.get_ylim() == (0, 4)
    text = " ".join(" ".join(table(Grid(relevance, ends=("", "sensitive"))).texts).split())
    assert text.endswith("0 +4 sensitive")


def test_the_colour_bar_runs_from_blue_over_white_to_red():
    ax = heatmap.plot_grid(RELEVANCE, ax=new_axes())
    bar = color_bar(ax)
    picture = drawn(ax)
    middle = bar.get_xlim()[1] / 2
    ends = []
    for height in (-3.99, 0.0, 3.99):
        column, row = bar.transData.transform((middle, height)).astype(int)
        ends.append(picture[row, column])
    assert np.abs(np.array(ends) - heatmap.color([-1, 0, 1])).max() <= 6


def test_all_zero():
    ax = heatmap.plot_grid(np.zeros((3, 2)), ax=new_axes())
    assert texts(ax.texts) == ["the relevance of every variable is 0"]
    assert ax.figure.axes == [ax]
    assert color_at(ax, 0, 0).tolist() == [255, 255, 255]
    page = table(Grid(np.zeros((3, 2))))
    assert "the relevance of every variable is 0" in page.texts
    assert {color for row in page.rows for color, _ in row} == {(255, 255, 255)}


def test_html_without_legend():
    source = heatmap.to_html(["word"], [1.0], legend=False, grid=Grid(RELEVANCE))
    assert "speaks" not in source
    assert source.count("<td") == RELEVANCE.size


def test_a_grid_alone():
    grid = Grid(RELEVANCE, VARIABLES, title='<script>alert("1")</script>')
    page = Table(heatmap.grid_to_html(grid))
    assert "script" not in page.tags
    assert page.texts.count(grid.title) == 1
    assert [row for row in page.rows if row] == table(grid).rows
    assert "bdi" not in page.tags
    assert "speaks for" in "".join(page.texts)
    bare = heatmap.grid_to_html(Grid(RELEVANCE), legend=False)
    assert "speaks" not in bare
    assert "<figcaption" not in bare
    with pytest.raises(TypeError, match="grid: expected a Grid, got ndarray"):
        heatmap.grid_to_html(RELEVANCE)
    with pytest.raises(TypeError, match="title: expected str, got int"):
        heatmap.grid_to_html(Grid(RELEVANCE, title=3))


# Figures ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", [None, "constrained", "tight"])
def test_given_axes_make_room_for_the_colour_bar(layout):
    figure = Figure(figsize=(9, 4), layout=layout)
    left, right = figure.subplots(1, 2)
    right.plot([1, 2])
    assert heatmap.plot_grid(RELEVANCE, variables=VARIABLES, ax=left) is left
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    bar = next(ax for ax in figure.axes if ax not in (left, right))
    boxes = [ax.get_tightbbox(renderer) for ax in (left, bar, right)]
    assert boxes[0].x1 <= boxes[1].x0 + 1
    assert boxes[1].x1 <= boxes[2].x0


@pytest.mark.parametrize("width", [2.5, 4, 9])
def test_labels_and_title_fit_given_axes(width):
    ax = new_axes(width, 3)
    heatmap.plot_grid(np.ones((40, 9)), ax=ax, title="a title of several words " * 3)
    canvas = FigureCanvasAgg(ax.figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    assert overlapping(ax.get_xticklabels(), renderer) == []
    assert overlapping(ax.get_yticklabels(), renderer) == []
    (title,) = (text for text in ax.findobj(Text) if text.get_text().startswith("a title"))
    assert title.get_window_extent(renderer).x1 <= ax.bbox.x1 + 1


def test_axes_of_a_subfigure():
    figure = Figure(figsize=(9, 4))
    sub, _ = figure.subfigures(1, 2)
    drawn_on = heatmap.plot_grid(RELEVANCE, ax=sub.add_subplot(), title="title")
    FigureCanvasAgg(figure).draw()
    assert len(sub.axes) == 2
    assert drawn_on.get_title(loc="left") == "title"


def test_tiny_axes_and_styles_do_no_harm():
    import matplotlib as mpl

    with mpl.rc_context({"axes.grid": True, "font.family": "serif", "text.color": "red"}):
        for size in ((0.4, 0.3), (1.0, 0.2)):
            drawn(heatmap.plot_grid(BLOCKS, ax=new_axes(*size), title="t", block_labels=["a", "b"]))
        ax = heatmap.plot_grid(RELEVANCE, ax=new_axes())
        lines = [*ax.get_xgridlines(), *ax.get_ygridlines(), *color_bar(ax).get_ygridlines()]
        assert not any(line.get_visible() for line in lines)


def test_text_can_be_read_on_dark_paper():
    ax = heatmap.plot_grid(RELEVANCE, ax=new_axes(facecolor="black"), title="title")
    labels = [*ax.get_xticklabels(), *color_bar(ax).get_yticklabels(), ax.xaxis.label]
    assert {label.get_color() for label in labels} == {"#ffffff"}


def test_png_of_grids_and_sentences():
    panels = [Grid(RELEVANCE, title="grid"), heatmap.Panel(["a", "b"], [0.5, -1]), Grid(BLOCKS)]
    picture = png(*panels, dpi=100)
    assert picture.shape[1] == 800
    assert (picture[[0, -1]] == 255).all()
    assert (picture[:, [0, -1]] == 255).all()
    heights = [png(panel, dpi=100).shape[0] - 20 for panel in panels]
    assert picture.shape[0] == pytest.approx(sum(heights) + 20, abs=2)
    for color in heatmap.color([-1, 1, 2.5 / 4]):
        assert (np.abs(picture - color).max(axis=-1) <= 2).any()


def test_a_new_figure_is_as_high_as_it_must_be():
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    few, many = (heatmap.plot_grid(np.ones((4, n))).figure.get_figheight() for n in (2, 20))
    plt.close("all")
    assert few + 2 < many < 10


def test_vector_files_are_small():
    file = io.BytesIO()
    heatmap.plot_grid(
        np.random.default_rng(0).normal(size=(400, 200)), ax=new_axes()
    ).figure.savefig(file, format="svg")
    assert len(file.getvalue()) < 500_000


# Errors -----------------------------------------------------------------------------------------


def as_plot(relevance, **options):
    heatmap.plot_grid(relevance, ax=new_axes(), **options)


def as_html(relevance, **options):
    heatmap.to_html(["word"], [1.0], grid=Grid(relevance, **options))


def as_png(relevance, **options):
    heatmap.save_png(io.BytesIO(), [Grid(relevance, **options)])


@pytest.mark.parametrize("draw", [as_plot, as_html, as_png])
@pytest.mark.parametrize(
    ("relevance", "options", "error", "message"),
    [
        ([1.0, 2.0], {}, ValueError, r"relevance: expected shape \(T, D\) or .* got \(2,\)"),
        (np.ones((1, 2, 3, 4)), {}, ValueError, r"relevance: .* got \(1, 2, 3, 4\)"),
        (np.ones((0, 3)), {}, ValueError, r"relevance: .* got \(0, 3\)"),
        (np.ones((3, 0)), {}, ValueError, r"relevance: .* got \(3, 0\)"),
        (3.0, {}, ValueError, r"relevance: .* got \(\)"),
        ([[1, 2], [3]], {}, ValueError, "relevance: .* got rows that differ"),
        ([["a"]], {}, TypeError, "relevance: expected real numbers, got dtype <U1"),
        ([[1j]], {}, TypeError, "relevance: expected real numbers, got dtype complex128"),
        ([[True]], {}, TypeError, "relevance: expected real numbers, got dtype bool"),
        (
            [[1, 2], [3, np.nan]],
            {},
            ValueError,
            "relevance: expected finite numbers, got nan for variable 1 at step 1",
        ),
        ([[-np.inf]], {}, ValueError, "got -inf for variable 0 at step 0"),
        (
            [[1, 2]],
            {"variables": ["a"]},
            ValueError,
            "variables: expected 2, one for each .* got 1",
        ),
        (
            [[1, 2]],
            {"variables": "ab"},
            TypeError,
            "variables: expected a sequence of str, got str",
        ),
        ([[1, 2]], {"variables": [1, 2]}, TypeError, r"variables\[0\]: expected str, got int"),
        (
            [[1, 2]],
            {"steps": ["a", "b"]},
            ValueError,
            "steps: expected 1, one for each step, got 2",
        ),
        ([[1, 2]], {"steps": 3}, TypeError, "steps: expected a sequence of str, got int"),
        ([[1, 2]], {"block_labels": []}, ValueError, "block_labels: expected 1, .* got 0"),
        ([[1, 2]], {"ends": ("a",)}, ValueError, "ends: expected 2 texts, got 1"),
        ([[1, 2]], {"ends": "ab"}, TypeError, "ends: expected a sequence of str, got str"),
    ],
    ids=str,
)
def test_errors_name_the_argument(draw, relevance, options, error, message):
    with pytest.raises(error, match=message) as caught:
        draw(relevance, **options)
    assert "\n" not in str(caught.value)


def test_other_errors():
    with pytest.raises(TypeError, match="title: expected str, got int"):
        heatmap.plot_grid(RELEVANCE, ax=new_axes(), title=3)
    with pytest.raises(TypeError, match="grid: expected a Grid, got ndarray"):
        heatmap.to_html(["word"], [1.0], grid=RELEVANCE)


@pytest.mark.parametrize("dtype", ["float16", "float32", "int8", "uint8"])
def test_every_real_dtype_will_do_and_nothing_is_changed(dtype):
    relevance = np.array([[3, 0], [1, 2]], dtype)
    relevance.flags.writeable = False
    as_plot(relevance)
    sources = [heatmap.to_html(["a"], [1.0], grid=Grid(r)) for r in (relevance, relevance.tolist())]
    assert sources[0] == sources[1]


def test_tooltips_are_the_numbers_as_they_are():
    (row,) = table(Grid([[0.123456789], [-0.0], [7]])).rows
    assert [re.split(", ", unescape(title))[0] for _, title in row] == ["+0.123457", "0", "+7"]
