"""Adding and subtracting: does relevance tell what each of two numbers adds.

Trains LSTMs of one hidden unit to compute a + b, others to compute a - b, and compares what every
method says of a and b with what they are (Arras et al. 2019, arXiv 1904.11829).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import lrplstm
from experiments import report
from experiments.cases import CASES, explain

Array = npt.NDArray[np.float64]

NAME = "toy_arithmetic"
SIGNS = {"addition": 1.0, "subtraction": -1.0}
SHORTEST, LONGEST = 4, 10
GOAL = 8e-5
"""Loss on the training examples; so that it is below 1e-4 on others too."""

LARGE = 0.3
"""Answers that are further from 0 are measured by themselves too."""

LRP = {"epsilon": 1e-6, "bias_factor": 0.0}
STABILIZERS = [(1e-6, 0.0), (1e-4, 0.0), (1e-3, 0.0), (1e-3, 1.0)]
"""Epsilons and bias factors to compare. The cell is about 0.05, for which 1e-3 is not small."""


# Examples ---------------------------------------------------------------------------------------


def draw(rng: np.random.Generator, count: int) -> tuple[Array, Array, Array]:
    """Return inputs (count, LONGEST, 2), lengths (count,), and the numbers a and b (count, 2).

    A sequence has 4 to 10 steps. a is the first input at one of them, b the second input at
    another, before or after a; all other inputs are zero. Signs and steps are random, magnitudes
    uniform in [0.5, 1]. Shorter sequences have zeros in front, which tell a network without biases
    nothing: it stays in its initial state, zero.
    """
    numbers = rng.choice([-1.0, 1.0], (count, 2)) * rng.uniform(0.5, 1, (count, 2))
    lengths = rng.integers(SHORTEST, LONGEST + 1, count)
    order = rng.permuted(np.tile(np.arange(LONGEST), (count, 1)), axis=1)
    possible = order >= LONGEST - lengths[:, np.newaxis]
    steps = order[possible & (possible.cumsum(axis=1) <= 2)].reshape(count, 2)
    x = np.zeros((count, LONGEST, 2))
    x[np.arange(count)[:, np.newaxis], steps, [0, 1]] = numbers
    return x, lengths, numbers


class Test:
    """Sequences to explain, what each number adds to the answer, and where the numbers are.

    Attributes
    ----------
    series : list of ndarray of shape (T, 2)
    parts : ndarray of shape (B, 2)
        What a and b add to the answer: a and b, or a and -b.
    answers : ndarray of shape (B,)
    """

    def __init__(self, seed: int, count: int, sign: float) -> None:
        x, lengths, numbers = draw(np.random.default_rng(seed), count)
        self.series = [row[LONGEST - n :] for row, n in zip(x, lengths, strict=True)]
        self.parts = numbers * [1.0, sign]
        self.answers = self.parts.sum(axis=1)
        self._is_number = np.concatenate(self.series) != 0

    def relevance_of_numbers(self, token_relevance: Array) -> Array:
        """Return R_a and R_b, (B, 2), from the relevance of all steps, (sum of T,)."""
        return np.stack([token_relevance[is_number] for is_number in self._is_number.T], axis=1)


# Networks ---------------------------------------------------------------------------------------


def to_model(w: Array) -> lrplstm.LSTMModel:
    """Return the model of a network's 13 numbers (see `experiments.toy_training`)."""
    lstm = lrplstm.LSTMWeights(w[:8].reshape(4, 2), w[8:12].reshape(4, 1), np.zeros(4))
    return lrplstm.LSTMModel([lstm], head_weight=w[12:].reshape(1, 1))


def networks(folder: Path, task: str, seed: int, quick: bool) -> tuple[Array, int]:
    """Return trained networks, and how many were tried; from an earlier run if it was the same."""
    count, adam_steps, last_steps = (2, 200, 60) if quick else (50, 2000, 100)
    path = folder / f"{NAME}_{task}.npz"
    if path.exists():
        with np.load(path, allow_pickle=False) as stored:
            if len(stored["w"]) == count and stored["seed"] == seed:
                return stored["w"], int(stored["tried"])

    from experiments import toy_training

    def examples(rng: np.random.Generator, size: int) -> tuple[Array, Array]:
        x, _, numbers = draw(rng, size)
        return x, numbers @ [1.0, SIGNS[task]]

    w, tried = toy_training.train(examples, count, GOAL, seed, adam_steps, last_steps)
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(path, w=w, tried=tried, seed=seed)
    return w, tried


# Measures ---------------------------------------------------------------------------------------


MEASURES = (
    "correlation a",
    "correlation b",
    "squared error",
    "correlation a, large answers",
    "correlation b, large answers",
    "largest relevance",
)


def measure(test: Test, found: lrplstm.Attributions) -> list[float]:
    """Return `MEASURES`: of R_a and R_b with a's and b's part.

    The squared error is the mean of (R_a + R_b - output)^2.
    """
    R = test.relevance_of_numbers(found.token_relevance)
    large = np.abs(test.answers) > LARGE
    return [
        *correlations(R, test.parts),
        np.mean((R.sum(axis=1) - found.scores[:, 0]) ** 2),
        *correlations(R[large], test.parts[large]),
        np.abs(found.token_relevance).max(),
    ]


def correlations(R: Array, parts: Array) -> list[float]:
    """Return those of both columns."""
    return [np.corrcoef(R[:, k], parts[:, k])[0, 1] for k in (0, 1)]


def measure_all(w: Array, test: Test, cases: list[str], **lrp_options: float) -> dict[str, Array]:
    """Return what `measure` says of each case, (networks, 6)."""
    models = [to_model(one) for one in w]
    return {
        case: np.array(
            [measure(test, explain(case, model, test.series, 0, **lrp_options)) for model in models]
        )
        for case in cases
    }


# Tables and picture -----------------------------------------------------------------------------


def correlation_text(values: Array) -> str:
    """Return mean and standard deviation over the networks."""
    return f"{values.mean():.3f} ± {values.std():.3f}"


def main_table(measures: dict[str, dict[str, Array]]) -> str:
    """Return a row for each case: correlations and squared error for both tasks."""
    header = ["method"]
    for task in measures:
        header += [f"{task}: a", "b", "squared error"]
    rows = []
    for case in next(iter(measures.values())):
        row = [case]
        for of_case in (by_case[case] for by_case in measures.values()):
            row += [correlation_text(of_case[:, k]) for k in (0, 1)] + [
                f"{of_case[:, 2].mean():.1e}"
            ]
        rows.append(row)
    return report.to_markdown(header, rows)


def stabilizer_table(measures: dict[tuple[float, float], dict[str, Array]]) -> str:
    """Return a row for each rule of LRP: mean correlation, and squared error, for each setting."""
    header = ["rule", *(f"epsilon {e:g}, bias factor {b:g}" for e, b in measures)]
    cases = next(iter(measures.values()))
    rows = [
        [
            case,
            *(
                f"{m[case][:, :2].mean():.3f}, {m[case][:, 2].mean():.0e}"
                for m in measures.values()
            ),
        ]
        for case in cases
    ]
    return report.to_markdown(header, rows)


def answer_table(measures: dict[str, Array]) -> str:
    """Return a row for each rule of LRP: what sequences with answers near 0 do to it."""
    header = ["rule", "all", f"answers beyond ±{LARGE}", "largest relevance"]
    rows = [
        [
            case,
            f"{m[:, :2].mean():.3f}",
            f"{m[:, 3:5].mean():.3f}",
            f"{m[:, 5].max():,.0f}",
        ]
        for case, m in measures.items()
        if CASES[case][0] == "lrp"
    ]
    return report.to_markdown(header, rows)


def loss_table(losses: dict[str, Array], tried: dict[str, int]) -> str:
    """Return a row for each task: how many networks, and quantiles of their losses."""
    rows = [
        [task, f"{len(loss)} of {tried[task]}"]
        + [f"{value:.2e}" for value in np.quantile(loss, [0, 0.25, 0.5, 0.75, 1])]
        for task, loss in losses.items()
    ]
    return report.to_markdown(["task", "networks", "least", "25%", "50%", "75%", "most"], rows)


def draw_picture(measures: dict[str, dict[str, Array]]) -> Figure:
    """Draw a dot for each network: correlations above, squared errors below."""
    cases = list(next(iter(measures.values())))
    figure = Figure(figsize=(11, 0.36 * len(cases) + 1.6), layout="constrained")
    axes = figure.subplots(
        1, len(measures) + 1, sharey=True, width_ratios=[3] * len(measures) + [2]
    )
    for ax, (task, by_case) in zip(axes, measures.items(), strict=False):
        draw_dots(ax, [(by_case[case][:, k]) for case in cases for k in (0, 1)], "a b".split())
        ax.set(title=task, xlabel="correlation with what the number adds", xlim=(-0.35, 1.05))
        ax.axvline(0, color=report.GREY, linewidth=0.8)
    draw_dots(
        axes[-1],
        [by_case[case][:, 2] for case in cases for by_case in measures.values()],
        list(measures),
    )
    axes[-1].set(title="squared error", xlabel="mean of ($R_a + R_b$ - output)$^2$", xscale="log")
    axes[0].set_yticks(range(len(cases)), cases)
    axes[0].set_ylim(len(cases) - 0.5, -0.5)
    return figure


def draw_dots(ax: Axes, values: list[Array], labels: list[str]) -> None:
    """Draw rows of dots, two for each case: orange above blue."""
    for index, row in enumerate(values):
        case, second = divmod(index, 2)
        y = case + (0.18 if second else -0.18)
        marker, color = ("s", report.BLUE) if second else ("o", report.ORANGE)
        label = labels[second] if case == 0 else None
        ax.plot(
            row,
            np.full(len(row), y),
            marker,
            color=color,
            markersize=4,
            alpha=0.4,
            markeredgewidth=0,
            label=label,
        )
    ax.grid(axis="x", alpha=0.3)
    ax.legend(loc="lower left", framealpha=1, fontsize="small")


def main() -> None:
    """Train, explain, measure, and write the results."""
    arguments = report.parse_arguments(NAME, __doc__, seeded=True)
    seed, quick, cases = arguments.seed, arguments.quick, arguments.only
    losses, tried, measures = {}, {}, {}
    stabilizers: dict[tuple[float, float], dict[str, Array]] = {}
    for task, sign in SIGNS.items():
        w, tried[task] = networks(arguments.out, task, seed, quick)
        test = Test(seed + 1, 100 if quick else 2500, sign)
        outputs = [to_model(one).predict(test.series)[:, 0] for one in w]
        losses[task] = np.square(outputs - test.answers).mean(axis=1)
        measures[task] = measure_all(w, test, cases, **LRP)
        if task == "addition":
            rules = [case for case in cases if CASES[case][0] == "lrp"]
            for epsilon, bias_factor in STABILIZERS:
                stabilizers[epsilon, bias_factor] = measure_all(
                    w, test, rules, epsilon=epsilon, bias_factor=bias_factor
                )
    numbers = {
        "seed": seed,
        "networks_tried": tried,
        "losses": {task: loss.tolist() for task, loss in losses.items()},
        "lrp": LRP,
        "measures": MEASURES,
        "mean": {
            t: {c: m.mean(axis=0).tolist() for c, m in of.items()} for t, of in measures.items()
        },
        "sd": {t: {c: m.std(axis=0).tolist() for c, m in of.items()} for t, of in measures.items()},
    }
    tables = {
        f"{NAME}": main_table(measures),
        f"{NAME}, stabilizers": stabilizer_table(stabilizers),
        f"{NAME}, answers": answer_table(measures["addition"]),
        f"{NAME}, losses": loss_table(losses, tried),
    }
    report.save(arguments.out, NAME, numbers, tables, draw_picture(measures))


if __name__ == "__main__":
    main()
