"""Heat maps: words and their relevance as HTML, in a terminal, with matplotlib.

The package knows words and numbers only, and imports nothing else of lrplstm. Every picture of a
sentence is made from the same three things: the words made safe to show, one colour for each of
them, and a legend. A sentence has one scale: its largest absolute relevance, over all rows, has the
full colour. Each module imports only from those above it:

``colors``
    :func:`color` and :func:`ink`: the background of a word, and the text on it.
``content``
    What a picture shows, checked and made safe; :func:`visible`.
``layout``
    Words broken into lines, beside their labels and above the legend.
``markup``
    :func:`to_html` and :func:`to_html_page`; the browser does the layout.
``terminal``
    :func:`to_terminal`, from the layout in character cells.
``figure``
    :func:`plot` and :func:`save_png`, with matplotlib, from the layout in font sizes.
"""

from lrplstm.heatmap.colors import color, ink
from lrplstm.heatmap.content import ENDS, visible
from lrplstm.heatmap.figure import Panel, plot, save_png
from lrplstm.heatmap.markup import to_html, to_html_page
from lrplstm.heatmap.terminal import to_terminal

__all__ = [
    "ENDS",
    "Panel",
    "color",
    "ink",
    "plot",
    "save_png",
    "to_html",
    "to_html_page",
    "to_terminal",
    "visible",
]
