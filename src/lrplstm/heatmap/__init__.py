"""Heat maps: words, or variables at steps, and their relevance as HTML, in a terminal, as pictures.

The package knows texts and numbers only, and imports nothing else of lrplstm but ``texts``, which
says how a text is made safe to show (:func:`visible`). Every picture of a sentence is made from the
same three things: the words made safe to show, one colour for each of them, and a legend. A
sentence has one scale: its largest absolute relevance, over all rows, has the full colour. So has a
grid, which shows a series: one cell for each variable at each step. Each module imports only from
those above it:

``colors``
    :func:`color` and :func:`ink`: the background of a word, and the text on it.
``content``
    What a picture shows, checked and made safe.
``spacing``
    Which words stay on the line of the word before.
``grid``
    :class:`Grid`: what a grid shows, checked, and made small enough.
``layout``
    Words broken into lines.
``passages``
    What a picture of words shows: passages in groups, with labels, scores and one legend.
``latex``
    The same as LaTeX.
``markup``
    :func:`to_html`, :func:`grid_to_html` and :func:`to_html_page`; the browser does the layout.
``escapes``
    What a terminal is sent for colours, and which of them it has.
``table``
    :func:`to_table` and :func:`to_columns`: numbers below one another.
``terminal``
    :func:`to_terminal`, from the layout in character cells.
``terminal_grid``
    :func:`grid_to_terminal`: a heat map of variables and steps in character cells.
``bars``
    :func:`to_bars`: scores as bars.
``sheets``
    Fonts, titles and figures of matplotlib.
``text_layout``, ``text_artist``, ``text_figure``
    Pictures of words in lines, as an artist that breaks them when it is drawn, and on axes.
``grid_drawable``, ``grid_figure``
    Grids with labels that fit, and :func:`plot_grid`.
``matrix_figure``
    Several grids side by side, with one colour bar.
``waterfall``
    Parts that add up to a sum, as bars.
``figure``
    :func:`plot` and :func:`save_picture`.
"""

from lrplstm.heatmap.bars import to_bars
from lrplstm.heatmap.colors import color, ink
from lrplstm.heatmap.content import ENDS
from lrplstm.heatmap.escapes import Screen
from lrplstm.heatmap.figure import Panel, plot, save_picture, save_png
from lrplstm.heatmap.grid import Grid
from lrplstm.heatmap.grid_figure import plot_grid
from lrplstm.heatmap.markup import grid_to_html, to_html, to_html_page
from lrplstm.heatmap.table import to_columns, to_table
from lrplstm.heatmap.terminal import note_lines, to_terminal
from lrplstm.heatmap.terminal_grid import grid_to_terminal
from lrplstm.texts import visible

__all__ = [
    "ENDS",
    "Grid",
    "Panel",
    "Screen",
    "color",
    "grid_to_html",
    "grid_to_terminal",
    "ink",
    "note_lines",
    "plot",
    "plot_grid",
    "save_picture",
    "save_png",
    "to_bars",
    "to_columns",
    "to_html",
    "to_html_page",
    "to_table",
    "to_terminal",
    "visible",
]
