"""Explain an LSTM that reads a time series, where it is known which inputs decide.

Usage: python examples/time_series.py [FOLDER] [--steps N] [--seed N]

Trains a network on the adding problem with PyTorch (pip install ".[train]"), explains it with
every method, prints how often each method finds the inputs that the answer depends on, and writes
pictures to FOLDER (default: demo).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

import lrplstm
from lrplstm import heatmap

Array = npt.NDArray[np.float32]

VARIABLES = ["noise 1", "noise 2", "noise 3", "value", "noise 4", "marker"]
VALUE, MARKER = VARIABLES.index("value"), VARIABLES.index("marker")
T, D, MARKED = 20, len(VARIABLES), 2
HELD_OUT = 1000


def draw_series(rng: np.random.Generator, count: int) -> tuple[Array, Array]:
    """Return series of shape (count, T, D) and their answers of shape (count,).

    All variables are standard normal noise but the marker, which is 1 at two steps and 0 elsewhere.
    The answer is the sum of the values at the marked steps.
    """
    series = rng.normal(size=(count, T, D)).astype(np.float32)
    series[:, :, MARKER] = rng.permuted(np.tile(np.arange(T) < MARKED, (count, 1)), axis=1)
    return series, (series[:, :, VALUE] * series[:, :, MARKER]).sum(axis=1)


# The network --------------------------------------------------------------------------------------


class Regression(torch.nn.Module):
    """An LSTM, and one score from its last hidden state."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = torch.nn.LSTM(D, 16, batch_first=True)
        self.head = torch.nn.Linear(16, 1)

    def forward(self, series: torch.Tensor) -> torch.Tensor:
        """Return the scores, (B,)."""
        hidden, _ = self.lstm(series)
        scores: torch.Tensor = self.head(hidden[:, -1])[:, 0]
        return scores


def train(steps: int, seed: int) -> Regression:
    """Return a network after so many steps on fresh series."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)  # the network is too small for more
    rng = np.random.default_rng(seed)
    network = Regression()
    optimizer = torch.optim.Adam(network.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.02, total_steps=steps)
    for _ in range(steps):
        series, answers = map(torch.from_numpy, draw_series(rng, 128))
        loss = torch.nn.functional.mse_loss(network(series), answers)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return network


# What the methods find ----------------------------------------------------------------------------

# The last two are variants of LRP: relevance conserved, and a larger stabilizer.
CASES = {
    "lrp": ("lrp", {}),
    "sensitivity": ("sensitivity", {}),
    "gradient_x_input": ("gradient_x_input", {}),
    "integrated_gradients": ("integrated_gradients", {}),
    "occlusion": ("occlusion", {}),
    "contextual_decomposition": ("contextual_decomposition", {}),
    "random": ("random", {}),
    "lrp, bias_factor=1": ("lrp", {"bias_factor": 1.0}),
    "lrp, epsilon=0.1": ("lrp", {"epsilon": 0.1}),
}
PICTURED = ("lrp", "sensitivity", "gradient_x_input")
HEADER = """\
                             top-1    share   marked steps      other steps       corr.
                                              value   marker    value   marker"""


def table_row(name: str, series: Array, relevance: Array) -> str:
    """Return a line of the table: what some relevance says of the inputs that decide.

    Those are, of the T x D inputs of a series, the value and the marker at the marked steps. First
    comes how often the input with the largest absolute relevance is one of them. Then mean shares
    of all absolute relevance: theirs, and that of values and of markers at marked steps and at the
    others. Last, the correlation of the relevance of a marked step with its value, which is what it
    adds to the answer.
    """
    marked = series[:, :, MARKER] == 1
    strength = np.abs(relevance)
    top_step, top_variable = np.divmod(strength.reshape(len(series), -1).argmax(axis=1), D)
    right = marked[np.arange(len(series)), top_step] & np.isin(top_variable, [VALUE, MARKER])
    share = strength / strength.sum(axis=(1, 2), keepdims=True)
    shares = [
        (share[:, :, variable] * steps).sum(axis=1).mean()
        for steps in (marked, ~marked)
        for variable in (VALUE, MARKER)
    ]
    added = np.corrcoef(relevance.sum(axis=2)[marked], series[marked][:, VALUE])[0, 1]
    numbers = right.mean(), shares[0] + shares[1], *shares
    percents = "".join(f"{number:9.1%}" for number in numbers)
    return f"{name:25}{percents}{added:9.2f}"


def main(folder: Path, steps: int, seed: int) -> None:
    """Train, explain, print and draw."""
    folder.mkdir(parents=True, exist_ok=True)
    model = lrplstm.from_torch(train(steps, seed))
    series, answers = draw_series(np.random.default_rng(seed + 1), HELD_OUT)
    errors = model.predict(series)[:, 0] - answers
    print(f"{steps} training steps; {HELD_OUT} held-out series of {T} steps and {D} variables")
    print(f"mean squared error {np.mean(errors**2):.4f}; variance {np.var(answers):.4f}\n")

    print(HEADER)
    cells = np.array([2 * MARKED, 2 * MARKED, MARKED, MARKED, T - MARKED, T - MARKED])
    print(f"{'chance':25}" + "".join(f"{number:9.1%}" for number in cells / (T * D)))
    print(table_row("size of the input", series, np.abs(series)))
    for name, (method, arguments) in CASES.items():
        found = lrplstm.explain(model, series, method, **arguments).input_relevance
        print(table_row(name, series, found.reshape(series.shape)))

    first = [lrplstm.explain(model, series[0], method) for method in PICTURED]
    marked = np.flatnonzero(series[0, :, MARKER])
    values = ", ".join(f"{series[0, t, VALUE]:+.2f} at step {t}" for t in marked)
    print(f"\nthe first of them: {values}; score {first[0].scores[0]:+.2f}")
    grids = [a.to_grid(variables=VARIABLES) for a in first]
    heatmap.save_png(folder / "time_series.png", grids, dpi=100)
    fragments = [a.to_html(variables=VARIABLES) for a in first]
    page = heatmap.to_html_page(fragments, title="One series, three methods")
    (folder / "time_series.html").write_text(page, encoding="utf-8")
    print(f"wrote {folder / 'time_series'}.png and {folder / 'time_series'}.html")


def positive(text: str) -> int:
    """Return a number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1, got {text!r}")
    return int(text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Explain an LSTM that reads a time series.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path("demo"), metavar="FOLDER")
    parser.add_argument("--steps", type=positive, default=1500, metavar="N", help="of training")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    options = parser.parse_args()
    main(options.folder, options.steps, options.seed)
