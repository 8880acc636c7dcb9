"""Draws the diagrams of docs/lrp-explained.md into docs/figures, as SVG.

Usage: python tools/diagrams.py
"""

from __future__ import annotations

from html import escape
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "docs" / "figures"

INK, SIGNAL, GATE, FOR, AGAINST = "#222222", "#f2f2f2", "#fbf3dc", "#b2182b", "#2166ac"
ARROWHEAD = 9


class Drawing:
    """An SVG file: boxes, arrows and words. Forward is grey, relevance goes back in colour."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}" role="img" font-family="sans-serif" '
            f'font-size="15" fill="{INK}">',
            f"<title>{escape(title)}</title>",
            f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        ]

    def box(self, x: float, y: float, lines: str, *, fill: str = SIGNAL, width: float = 96) -> None:
        """Draw a box around a centre, with lines of text."""
        texts = lines.split("\n")
        height = 18 + 20 * len(texts)
        self.parts.append(
            f'<rect x="{x - width / 2}" y="{y - height / 2}" width="{width}" height="{height}" '
            f'rx="6" fill="{fill}" stroke="{INK}"/>'
        )
        for n, text in enumerate(texts):
            self.text(x, y + 5 + 20 * (n - (len(texts) - 1) / 2), text)

    def text(self, x: float, y: float, text: str, color: str = INK, anchor: str = "middle") -> None:
        """Write a line of text."""
        self.parts.append(
            f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{color}">{escape(text)}</text>'
        )

    def arrow(
        self, start: tuple[float, float], end: tuple[float, float], color: str = "#888888",
        width: float = 1.5,
    ) -> None:  # fmt: skip
        """Draw an arrow."""
        (x, y), (u, v) = start, end
        length = ((u - x) ** 2 + (v - y) ** 2) ** 0.5
        a, b = (u - x) / length, (v - y) / length
        p, q = u - ARROWHEAD * a, v - ARROWHEAD * b
        side = ARROWHEAD / 2
        points = [(u, v), (p - side * b, q + side * a), (p + side * b, q - side * a)]
        self.parts += [
            f'<path d="M{x:.1f} {y:.1f}L{p:.1f} {q:.1f}" stroke="{color}" stroke-width="{width}"/>',
            f'<polygon points="{" ".join(f"{i:.1f},{j:.1f}" for i, j in points)}" fill="{color}"/>',
        ]

    def save(self, name: str) -> None:
        """Write the file."""
        text = "\n".join([*self.parts, "</svg>"]) + "\n"
        (FOLDER / name).write_text(text, encoding="utf-8")


def linear() -> None:
    """Draw a sum of two inputs, forward and back, with the numbers of the page."""
    title = "A sum of two inputs: forward 6 - 2 = 4; back, the first gets 6 and the second -2"
    d = Drawing(640, 230, title)
    for x, heading in [(160, "forward: what the layer computes"), (490, "back: who gets what")]:
        d.text(x, 24, heading)
    d.box(70, 80, "y₁ = 3")
    d.box(70, 180, "y₂ = 2")
    d.box(255, 130, "z = 4")
    d.arrow((118, 80), (207, 120))
    d.arrow((118, 180), (207, 140))
    d.text(168, 82, "2 · 3 = 6")
    d.text(168, 190, "−1 · 2 = −2")
    d.box(395, 80, "R₁ = 6")
    d.box(395, 180, "R₂ = −2")
    d.box(580, 130, "R = 4")
    d.arrow((532, 120), (445, 82), FOR, 5)
    d.arrow((532, 140), (445, 178), AGAINST, 2.5)
    d.text(500, 82, "6/4 of 4", FOR)
    d.text(500, 190, "−2/4 of 4", AGAINST)
    d.save("linear.svg")


def product() -> None:
    """Draw a gate times a signal: all relevance goes to the signal."""
    title = "A gate of 0.9 times a signal of 2 is 1.8; all relevance goes to the signal"
    d = Drawing(640, 230, title)
    for x, heading in [
        (160, "forward: a gate lets a part through"),
        (490, "back: the signal gets all"),
    ]:
        d.text(x, 24, heading)
    d.box(70, 80, "gate 0.9", fill=GATE)
    d.box(70, 180, "signal 2")
    d.box(255, 130, "0.9 · 2 = 1.8")
    d.arrow((118, 80), (207, 120))
    d.arrow((118, 180), (207, 140))
    d.box(395, 80, "gate: 0", fill=GATE)
    d.box(395, 180, "signal: 1.8")
    d.box(580, 130, "R = 1.8")
    d.arrow((532, 140), (445, 178), FOR, 5)
    d.save("product.svg")


def step() -> None:
    """Draw one step of an LSTM, with the way of relevance."""
    title = "A step of an LSTM: relevance goes from h_t to c_t, from there to c_(t-1) and g_t"
    d = Drawing(700, 350, title)
    d.box(75, 95, "cₜ₋₁\nmemory before", width=130)
    d.box(365, 95, "cₜ = f·cₜ₋₁ + i·g\nmemory", width=150)
    d.box(610, 95, "hₜ = o·tanh(cₜ)\nhidden state", width=140)
    d.box(365, 220, "g = tanh(a)\ncandidate", width=150)
    d.box(220, 312, "xₜ\ninput", width=110)
    d.box(510, 312, "hₜ₋₁\nhidden before", width=130)
    for x, y, gate in [(205, 24, "forget gate f"), (490, 24, "output gate o")]:
        d.box(x, y, gate, fill=GATE, width=110)
        d.arrow((x, y + 19), (x, 86))
    d.box(510, 190, "input gate i", fill=GATE, width=110)
    d.arrow((455, 178), (377, 163))
    d.arrow((540, 95), (441, 95), FOR, 5)
    d.arrow((290, 95), (141, 95), FOR, 3.5)
    d.arrow((365, 125), (365, 190), FOR, 3.5)
    d.arrow((330, 250), (265, 284), FOR, 2.5)
    d.arrow((400, 250), (460, 284), FOR, 2.5)
    d.text(215, 117, "to the step before", FOR)
    d.text(355, 163, "epsilon rule", FOR, "end")
    d.text(275, 262, "stays", FOR, "end")
    d.text(452, 262, "to the step before", FOR, "start")
    d.save("lstm_step.svg")


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for draw in (linear, product, step):
        draw()
