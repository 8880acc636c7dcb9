"""A pattern in noise: does relevance point at the steps that decide the class.

Trains a bidirectional LSTM to tell which of four patterns a sequence of letters contains, or that
there is none, and compares the steps that every method ranks first with those of the pattern.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import lrplstm
from experiments import report
from experiments.cases import explain
from lrplstm.heatmap.colors import color, ink

Numbers = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

NAME = "needle"
LETTERS = "abcdefgh"
PATTERNS = ["bad", "dab", "abd", "hge"]
"""The first three are made of the same letters, so that no letter tells them apart."""

NONE = len(PATTERNS)
SHORTEST, LONGEST = 30, 60


# Sequences --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Haystack:
    """Sequences of letters, each with one pattern or none.

    Attributes
    ----------
    texts : list of str
    labels : list of int
        Which pattern; NONE for none.
    starts : list of int
        Where it starts.
    """

    texts: list[str]
    labels: list[int]
    starts: list[int]

    @property
    def tokens(self) -> list[list[str]]:
        """The sequences as the package takes them."""
        return [list(text) for text in self.texts]

    def truth(self, index: int) -> Mask:
        """Return which steps of a sequence are the pattern's, (T,)."""
        steps = np.arange(len(self.texts[index])) - self.starts[index]
        return (steps >= 0) & (steps < len(PATTERNS[self.labels[index]]))


def draw_haystack(rng: np.random.Generator, count: int, length: int | None = None) -> Haystack:
    """Draw sequences of a length, or of lengths from 30 to 60: random letters and the pattern.

    Every class is as likely as another. No other pattern occurs, nor the same one twice.
    """
    texts, labels, starts = [], [], []
    while len(texts) < count:
        label = int(rng.integers(NONE + 1))
        size = length or int(rng.integers(SHORTEST, LONGEST + 1))
        text, start = "".join(rng.choice(list(LETTERS), size)), -1
        if label != NONE:
            pattern = PATTERNS[label]
            start = int(rng.integers(size - len(pattern) + 1))
            text = text[:start] + pattern + text[start + len(pattern) :]
        if sum(map(text.count, PATTERNS)) == (label != NONE):
            texts.append(text)
            labels.append(label)
            starts.append(start)
    return Haystack(texts, labels, starts)


# Network ----------------------------------------------------------------------------------------


class Network(torch.nn.Module):
    """Vectors of letters, a bidirectional LSTM, and scores from its two final states."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(len(LETTERS), 8)
        self.lstm = torch.nn.LSTM(8, 16, batch_first=True, bidirectional=True)
        self.head = torch.nn.Linear(2 * 16, NONE + 1)
        with torch.no_grad():  # forget gates that are open from the start
            for name, bias in self.lstm.named_parameters():
                if name.startswith("bias_ih"):
                    bias[16:32] = 2.0

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the scores, (B, C)."""
        _, (final, _) = self.lstm(self.embedding(ids))
        scores: torch.Tensor = self.head(torch.cat([final[0], final[1]], dim=1))
        return scores


def train(seed: int, steps: int) -> lrplstm.LSTMModel:
    """Return a model after so many steps on fresh sequences, in each step of one length."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)  # the model then depends on the seed only
    rng = np.random.default_rng(seed)
    network = Network()
    optimizer = torch.optim.Adam(network.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.02, total_steps=steps)
    for _ in range(steps):
        drawn = draw_haystack(rng, 64, length=int(rng.integers(SHORTEST, LONGEST + 1)))
        ids = torch.tensor([[LETTERS.index(letter) for letter in text] for text in drawn.texts])
        loss = torch.nn.functional.cross_entropy(network(ids), torch.tensor(drawn.labels))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return lrplstm.from_torch(
        network.double(), vocabulary=list(LETTERS), class_names=[*PATTERNS, "none"]
    )


# Measures ---------------------------------------------------------------------------------------


def auroc(relevance: Numbers, truth: Mask) -> float:
    """Return how likely a step of the pattern has more relevance than another step.

    It is the area under the ROC curve. Equal relevance counts half.
    """
    inside, outside = relevance[truth][:, np.newaxis], relevance[~truth]
    return float(np.mean((inside > outside) + 0.5 * (inside == outside)))


def average_precision(relevance: Numbers, truth: Mask) -> float:
    """Return the mean precision of the steps down to each step of the pattern.

    Precision is the share of the pattern's steps among those that have as much relevance or more.
    """
    at_least = relevance >= relevance[truth][:, np.newaxis]
    return float(np.mean((at_least & truth).sum(axis=1) / at_least.sum(axis=1)))


def chance_precision(steps: int, inside: int) -> float:
    """Return the expected average precision of steps in random order.

    A step at rank i is the pattern's with probability inside / steps. If it is, each of the i - 1
    before it is so with probability (inside - 1) / (steps - 1).
    """
    ranks = np.arange(1, steps + 1)
    return float(np.mean((1 + (ranks - 1) * (inside - 1) / (steps - 1)) / ranks))


MEASURES = {"AUROC": auroc, "average precision": average_precision}


# Table and picture ------------------------------------------------------------------------------


def draw_picture(
    values: dict[str, Numbers], chance: list[float], text: str, truth: Mask, rows: list[Numbers]
) -> Figure:
    """Draw a bar for each case and measure, and below them the relevance of one sequence."""
    cases = list(values)
    figure = Figure(figsize=(11, 0.56 * len(cases) + 2.4), layout="constrained")
    bars, heatmap = figure.subfigures(2, 1, height_ratios=[1, 0.85])
    for k, ax in enumerate(bars.subplots(1, len(MEASURES), sharey=True)):
        means = [values[case][:, k].mean() for case in cases]
        drawn = ax.barh(cases, means, color=report.BLUE, height=0.65)
        ax.bar_label(drawn, fmt="%.2f", padding=3, fontsize="small")
        ax.axvline(chance[k], color=report.ORANGE, linestyle="--", label=f"chance {chance[k]:.2f}")
        ax.set(xlim=(0, 1.12), xlabel=f"mean {[*MEASURES][k]}")
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(loc="lower right", fontsize="small", framealpha=1)
    ax.invert_yaxis()

    ax = heatmap.subplots()
    fractions = np.array([row / max(np.abs(row).max(), 1e-300) for row in rows])
    colors = color(fractions)
    ax.imshow(colors, aspect="auto", interpolation="none")
    for y, x in np.ndindex(fractions.shape):
        ax.text(
            x, y, text[x], ha="center", va="center", fontsize=7, color=ink(colors[y, x]) / 255
        )  # fmt: skip
    start, end = np.flatnonzero(truth)[[0, -1]]
    ax.add_patch(
        Rectangle((start - 0.5, -0.5), end - start + 1, len(rows), fill=False, linewidth=1.5)
    )
    ax.set_yticks(range(len(cases)), cases)
    ax.set(
        xlabel="step", title="one sequence: red for its class, blue against; framed: the pattern"
    )
    ax.title.set_fontsize("medium")
    return figure


def main() -> None:
    """Train, explain, measure, and write the results."""
    arguments = report.parse_arguments(NAME, __doc__)
    seed, quick = arguments.seed, arguments.quick
    model = train(seed, 5 if quick else 2000)
    test = draw_haystack(np.random.default_rng(seed + 1), 50 if quick else 1000)
    right = model.predict(test.tokens).argmax(axis=1) == test.labels
    if quick:
        right[:] = True  # so little training gets hardly any right
    chosen = [i for i in np.flatnonzero(right) if test.labels[i] != NONE]
    truths = [test.truth(i) for i in chosen]
    relevance = {
        case: [
            a.token_relevance
            for a in explain(
                case, model, [test.tokens[i] for i in chosen], [test.labels[i] for i in chosen]
            )
        ]
        for case in arguments.only
    }
    values = {
        case: np.array(
            [
                [measure(R, truth) for measure in MEASURES.values()]
                for R, truth in zip(found, truths, strict=True)
            ]
        )
        for case, found in relevance.items()
    }
    chance = [0.5, float(np.mean([chance_precision(len(t), t.sum()) for t in truths]))]

    rows = [
        [case, *(f"{mean:.3f} ± {sd:.3f}" for mean, sd in zip(v.mean(axis=0), v.std(axis=0)))]
        for case, v in values.items()
    ]
    rows.append(["chance", *(f"{value:.3f}" for value in chance)])
    numbers = {
        "seed": seed,
        "accuracy": float(right.mean()),
        "explained": len(chosen),
        "measures": list(MEASURES),
        "chance": chance,
        "mean": {case: v.mean(axis=0).tolist() for case, v in values.items()},
        "sd": {case: v.std(axis=0).tolist() for case, v in values.items()},
    }
    print(f"accuracy {right.mean():.1%} of {len(right)}; {len(chosen)} explained\n")
    example = min(range(len(chosen)), key=lambda k: len(truths[k]))
    picture = draw_picture(
        values,
        chance,
        test.texts[chosen[example]],
        truths[example],
        [found[example] for found in relevance.values()],
    )
    tables = {NAME: report.to_markdown(["method", *MEASURES], rows)}
    report.save(arguments.out, NAME, numbers, tables, picture)


if __name__ == "__main__":
    main()
