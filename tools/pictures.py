"""Draws the picture at the top of the README: docs/explanation.png.

Usage: python tools/pictures.py
"""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

import lrplstm
from lrplstm import heatmap

PATH = Path(__file__).parents[1] / "docs" / "explanation.png"
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
    drawn, small = io.BytesIO(), io.BytesIO()
    heatmap.save_png(drawn, [panel], dpi=200)  # sharp where two pixels are shown as one
    Image.open(drawn).convert("RGB").quantize(256).save(small, format="png", optimize=True)
    return small.getvalue()


if __name__ == "__main__":
    PATH.write_bytes(draw())
    print(f"drew {PATH}")
