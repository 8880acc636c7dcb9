"""A pattern in noise: does relevance point at the steps that decide the class.

Trains a bidirectional LSTM to tell which of four patterns a sequence of letters contains, or that
there is none, and compares the steps that every method ranks first with those of the pattern.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Rectangle

import lrplstm
from experiments import report
from experiments.cases import explain
from lrplstm.heatmap import color, ink

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


def mean_and_sd(values: Numbers) -> list[str]:
    """Return mean and standard deviation over the sequences, for each measure."""
    pairs = zip(values.mean(axis=0), values.std(axis=0), strict=True)
    return [f"{mean:.3f} ± {sd:.3f}" for mean, sd in pairs]


def draw_bars(figure: SubFigure, values: dict[str, Numbers], chance: list[float]) -> None:
    """Draw a bar for each case, side by side for each measure."""
    axes = figure.subplots(1, len(MEASURES), sharey=True)
    for k, (ax, measure) in enumerate(zip(axes, MEASURES, strict=True)):
        means = [of_case[:, k].mean() for of_case in values.values()]
        ax.barh(list(values), means, color=report.BLUE, height=0.65)
        for y, mean in enumerate(means):
            ax.text(1.02, y, f"{mean:.2f}", va="center", fontsize="small")
        ax.axvline(chance[k], color=report.ORANGE, linestyle="--")
        ax.set(xlim=(0, 1.1), xlabel=f"mean {measure}")
        ax.set_title(f"dashed: chance, {chance[k]:.2f}", fontsize="medium", color=report.ORANGE)
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].invert_yaxis()


def draw_sequence(figure: SubFigure, text: str, truth: Mask, relevance: dict[str, Numbers]) -> None:
    """Draw the relevance of one sequence, a row for each case, each on a scale of its own."""
    ax = figure.subplots()
    colors = color([R / np.abs(R).max() for R in relevance.values()])
    ax.imshow(colors, aspect="auto", interpolation="none")
    for y, x in np.ndindex(colors.shape[:2]):
        letter_color = ink(colors[y, x]) / 255
        ax.text(x, y, text[x], ha="center", va="center", fontsize=7, color=letter_color)
    pattern = np.flatnonzero(truth)
    corner = pattern[0] - 0.5, -0.5
    ax.add_patch(Rectangle(corner, len(pattern), len(relevance), fill=False, linewidth=1.5))
    ax.set_yticks(range(len(relevance)), list(relevance))
    ax.set_xlabel("step")
    ax.set_title(
        "one sequence: red for its class, blue against it; framed: the pattern", fontsize="medium"
    )


def main() -> None:
    """Train, explain, measure, and write the results."""
    arguments = report.parse_arguments(NAME, __doc__, seeded=True)
    seed, quick = arguments.seed, arguments.quick
    model = train(seed, 200 if quick else 2000)
    test = draw_haystack(np.random.default_rng(seed + 1), 50 if quick else 1000)
    right = model.predict(test.tokens).argmax(axis=1) == test.labels
    chosen = [i for i in np.flatnonzero(right) if test.labels[i] != NONE]
    print(f"accuracy {right.mean():.1%} of {len(right)}; {len(chosen)} explained\n", flush=True)

    tokens, labels = [test.tokens[i] for i in chosen], [test.labels[i] for i in chosen]
    truths = [test.truth(i) for i in chosen]
    values, examples = {}, {}
    example = int(np.argmin([len(truth) for truth in truths]))  # a short one fits the picture
    for case in arguments.only:
        found = explain(case, model, tokens, labels)
        pairs = [(a.token_relevance, truth) for a, truth in zip(found, truths, strict=True)]
        values[case] = np.array(
            [[measure(*pair) for measure in MEASURES.values()] for pair in pairs]
        )
        examples[case] = pairs[example][0]
    chance = [0.5, float(np.mean([chance_precision(len(t), t.sum()) for t in truths]))]

    rows = [[case, *mean_and_sd(of_case)] for case, of_case in values.items()]
    rows.append(["chance", *(f"{value:.3f}" for value in chance)])
    tables = {NAME: report.to_markdown(["method", *MEASURES], rows)}
    numbers = {
        "seed": seed,
        "accuracy": float(right.mean()),
        "explained": len(chosen),
        "measures": list(MEASURES),
        "chance": chance,
        "mean": {case: v.mean(axis=0).tolist() for case, v in values.items()},
        "sd": {case: v.std(axis=0).tolist() for case, v in values.items()},
    }
    picture = Figure(figsize=(11, 0.56 * len(values) + 2.4), layout="constrained")
    above, below = picture.subfigures(2, 1)
    draw_bars(above, values, chance)
    draw_sequence(below, "".join(tokens[example]), truths[example], examples)
    report.save(arguments.out, NAME, numbers, tables, picture)


if __name__ == "__main__":
    main()
