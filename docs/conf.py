"""The documentation site, by `make docs`: the pages that are read on GitHub, and all docstrings.

The source is the whole repository, so that links between its folders are the same here and there.
"""

from __future__ import annotations

import re
from pathlib import Path

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

import lrplstm

ROOT = Path(__file__).parents[1]

project = "lrplstm"
author = "The lrplstm authors"
copyright = author
version = release = lrplstm.__version__

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_copybutton",
    "sphinx_design",
]
root_doc = "docs/index"
include_patterns = [
    "*.md",
    "data/*.md",
    "docs/**",
    "examples/*.ipynb",
    "model/*.md",
]
# docs/README.md lists the pages for whoever reads them on GitHub.
exclude_patterns = [".venv*", "build", "docs/templates", "docs/README.md"]

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 4
nb_execution_mode = "off"  # a test runs them and compares what they show

default_role = "autolink"  # `lrplstm.lrp` in a docstring is a link
nitpick_ignore_regex = [("py:obj", ".*")]  # modules that docstrings name have no page
autosummary_generate = True
autodoc_typehints = "none"  # docstrings say types and shapes
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

html_theme = "pydata_sphinx_theme"
html_title = "lrplstm"
html_additional_pages = {"index": "redirect.html"}
html_static_path = ["static"]
html_css_files = ["site.css"]
templates_path = [str(ROOT / "docs" / "templates")]
html_copy_source = html_show_sourcelink = False
html_sidebars = {"docs/index": [], "docs/faq": []}  # they have no pages below them
html_math_renderer = "mathml"
html_theme_options = {
    "header_links_before_dropdown": 6,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "show_toc_level": 2,
}


def without_folders(app, docname, source):
    """Leave of links to folders only their text: a site has no listing of them."""
    folder = (ROOT / docname).parent

    def keep_or_drop(link):
        return link[1] if (folder / link[2]).is_dir() else link[0]

    if (ROOT / f"{docname}.md").exists():
        source[0] = re.sub(r"\[([^]]+)\]\(([^)#:]+)\)", keep_or_drop, source[0])


def visit_math(self, node):
    """Write a formula as MathML, which browsers draw without a script and without the network."""
    self.body.append(tex2mathml(node.astext(), as_block=isinstance(node, nodes.math_block)))
    raise nodes.SkipNode


def setup(app):
    """Register what is not an extension's."""
    app.connect("source-read", without_folders)
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math, None))
