"""Draws docs/explanation.png, the picture at the top of the README, and those of docs/figures.md.

Usage: python tools/pictures.py
"""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import matplotlib as mpl
from PIL import Image

import lrplstm
from lrplstm import heatmap

DOCS = Path(__file__).parents[1] / "docs"
PATH = DOCS / "explanation.png"
FIGURES = DOCS / "figures"
WORDS = "i wanted to love this film , but it never comes alive .".split()


def draw() -> bytes:
    """Return one sentence, explained for every class, as a small PNG file."""
    model = lrplstm.load_default()
    a = lrplstm.lrp(model, WORDS, "all")
    panel = heatmap.Panel(
        words=a.words,
        relevance=a.token_relevance,
        row_labels=a.row_labels,
        title="LRP: what speaks for and against each class "
        f"(predicted: {model.class_names[a.predicted]})",
    )
    drawn = io.BytesIO()
    heatmap.save_png(drawn, [panel], dpi=200)  # sharp where two pixels are shown as one
    return small(drawn)


def small(picture: io.BytesIO | Path) -> bytes:
    """Return a PNG file as small as it gets without fewer colours."""
    found = io.BytesIO()
    Image.open(picture).convert("RGB").save(found, format="png", optimize=True)
    return found.getvalue()


def draw_figures() -> None:
    """Run the Python of docs/figures.md where its pictures are, and make these small."""
    text = (DOCS / "figures.md").read_text(encoding="utf-8")
    names: dict[str, object] = {}
    FIGURES.mkdir(exist_ok=True)
    with contextlib.chdir(FIGURES), mpl.rc_context({"backend": "agg"}):
        for code in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL):
            exec(compile(code, "figures.md", "exec"), names)
    for path in FIGURES.iterdir():
        if path.suffix == ".png":
            path.write_bytes(small(path))
        else:
            path.unlink()


if __name__ == "__main__":
    PATH.write_bytes(draw())
    draw_figures()
    print(f"drew {PATH}, {FIGURES}")
