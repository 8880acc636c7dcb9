"""Explain some of the sentences that ship with the package.

Usage: python examples/demo.py [FOLDER]

Prints coloured words, and writes pages and pictures to FOLDER (default: demo).
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import lrplstm
from lrplstm import heatmap

# Negation, contrast, an intensifier, mixed feelings, and a word that the model does not know.
TEXTS = [
    "neither charming nor exciting nor remotely well-lit .",
    "it is not a bad film , and the ending is wonderful .",
    "the songs are charming , but the story is dull and far too long .",
    "an utterly flombastic waste of time .",
]


def show(a: lrplstm.Attribution) -> None:
    """Print one explanation: what was predicted, the scores, the words and their relevance."""
    numbers = zip(a.words, a.token_relevance, strict=True)
    print(a.caption)
    width = shutil.get_terminal_size().columns
    print(a.to_terminal(width=width))
    print("relevance:", ", ".join(f"{word} {number:+.2f}" for word, number in numbers), end="\n\n")


def write(folder: Path, name: str, title: str, attributions: list[lrplstm.Attribution]) -> None:
    """Write the same explanations as a page and as a picture."""
    page = heatmap.to_html_page([a.to_html() for a in attributions], title=title)
    (folder / f"{name}.html").write_text(page, encoding="utf-8")
    heatmap.save_png(folder / f"{name}.png", [a.to_panel() for a in attributions])
    print(f"wrote {folder / name}.html and {folder / name}.png")


def main(folder: Path) -> None:
    """Explain, print and write."""
    folder.mkdir(parents=True, exist_ok=True)
    model = lrplstm.load_default()
    texts = [text.split() for text in TEXTS]
    samples = lrplstm.sample_sentences()

    by_lrp = list(lrplstm.lrp(model, texts + [list(s.tokens) for s in samples[:8]]))
    for a in by_lrp:
        show(a)
    write(folder, "lrp", "Layer-wise relevance propagation", by_lrp)

    methods = [lrplstm.explain(model, texts[0], method) for method in lrplstm.METHODS]
    write(folder, "methods", "One sentence, every method", methods)

    every_class = [lrplstm.lrp(model, text, "all") for text in texts]
    write(folder, "classes", "What speaks for each class", every_class)

    report = folder / "report.html"
    tokens, labels = zip(*((list(s.tokens), s.target) for s in samples), strict=True)
    methods = ["lrp", "gradient_x_input", "occlusion"]
    lrplstm.save_report(
        report, model, list(tokens), methods=methods, labels=labels, title="Sample sentences"
    )
    print(f"wrote {report}, in which you choose class, method and order")

    scores = model.predict([s.tokens for s in samples])
    right = sum(s.target == c for s, c in zip(samples, scores.argmax(axis=1), strict=True))
    print(f"\n{right} of {len(samples)} sample sentences are put in their very class")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
