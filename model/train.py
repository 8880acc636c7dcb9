"""Train the default model: a bidirectional LSTM that tells five classes of sentiment apart.

    python model/train.py SST_DIR

SST_DIR holds the Stanford Sentiment Treebank (Socher et al. 2013); README.md beside this script
says in which files, explains the recipe and lists the results. For every seed the weights of the
best epoch on the dev set are kept and evaluated on the test set once; the best seed on the dev set
is saved. The test set never takes part in a choice.
"""

import argparse
import copy
import gzip
import json
import math
import statistics
import sys
import time
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, dropout
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import lrplstm

CLASS_NAMES = ["very negative", "negative", "neutral", "positive", "very positive"]
NEUTRAL = CLASS_NAMES.index("neutral")
UNKNOWN_TOKEN = "<unk>"
UNKNOWN_ID = 0
FILES = {
    "train": "train.tsv",
    "phrases": "train.phrases.tsv.gz",
    "dev": "dev.tsv",
    "test": "test.tsv",
}


@dataclass(frozen=True)
class Recipe:
    """Everything that a trained model depends on besides the data and the seed."""

    embedding_size: int = 60
    hidden_size: int = 60
    min_word_count: int = 2
    sentence_weight: float = 4.0  # of a whole sentence's loss; any other phrase's is 1
    unknown_rate: float = 0.3  # a word seen k times is hidden with probability rate / (rate + k)
    embedding_range: float = 0.1
    embedding_dropout: float = 0.5
    head_dropout: float = 0.5
    batch_size: int = 64
    epochs: int = 7
    learning_rate: float = 2e-3
    final_learning_rate_factor: float = 0.03
    warmup_steps: int = 300
    betas: tuple[float, float] = (0.9, 0.99)
    max_gradient_norm: float = 1.0
    average_every: int = 10  # steps between two updates of the running average of the weights
    average_decay: float = 0.99  # of that average, per update: about 0.999 per step


# Data -----------------------------------------------------------------------------------------


class Example(NamedTuple):
    """A phrase or sentence, its class, and how much it counts in the loss."""

    tokens: tuple[str, ...]
    label: int
    weight: float = 1.0


class Bucket(NamedTuple):
    """Examples of one length: token ids of shape (n, T), labels and weights of shape (n,)."""

    ids: Tensor
    labels: Tensor
    weights: Tensor


@dataclass(frozen=True)
class Treebank:
    """The data set: sentences of the three parts, and the phrases of the training trees."""

    train: list[Example]
    phrases: list[Example]
    dev: list[Example]
    test: list[Example]


def read_examples(path: Path) -> list[Example]:
    """Read lines of `label<TAB>text` or `label<TAB>count<TAB>text`, gzipped where named `.gz`.

    Lines end at a line feed and tokens at a plain space only: some words of the treebank contain
    a no-break space, which `str.split()` would break apart.
    """
    open_text = gzip.open if path.suffix == ".gz" else open
    examples = []
    with open_text(path, "rt", encoding="utf-8", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            label, _, rest = line.rstrip("\n").partition("\t")
            text = rest.rpartition("\t")[2]
            if label not in {"0", "1", "2", "3", "4"} or not text:
                raise ValueError(f"line {number}: expected a label from 0 to 4, a tab and text")
            examples.append(Example(tuple(text.split(" ")), int(label)))
    if not examples:
        raise ValueError("expected examples, got an empty file")
    return examples


def read_treebank(folder: Path) -> Treebank:
    """Read the four files of the data set; the error for a bad one says which it is."""
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder")
    parts = {}
    for part, name in FILES.items():
        try:
            parts[part] = read_examples(folder / name)
        except (OSError, EOFError, zlib.error, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ValueError(f"{folder / name}: {reason}") from error
    return Treebank(**parts)


def count_words(examples: Sequence[Example]) -> Counter[str]:
    """Count how often each word occurs."""
    return Counter(token for example in examples for token in example.tokens)


def build_vocabulary(counts: Counter[str], min_count: int) -> list[str]:
    """List the words that get a vector of their own, the unknown token first.

    Sorted, so that the order says nothing about the text.
    """
    return [UNKNOWN_TOKEN, *sorted(word for word, count in counts.items() if count >= min_count)]


def weigh_sentences(
    phrases: Sequence[Example], sentences: Sequence[Example], weight: float
) -> list[Example]:
    """Give the phrases that are whole sentences a weight of their own."""
    whole = {sentence.tokens for sentence in sentences}
    return [
        phrase._replace(weight=weight) if phrase.tokens in whole else phrase for phrase in phrases
    ]


def bucket_by_length(examples: Sequence[Example], vocabulary: Sequence[str]) -> list[Bucket]:
    """Encode examples, one bucket per length: nothing then needs padding."""
    word_ids = {word: index for index, word in enumerate(vocabulary)}
    by_length = defaultdict(list)
    for tokens, label, weight in examples:
        ids = [word_ids.get(token, UNKNOWN_ID) for token in tokens]
        by_length[len(tokens)].append((ids, label, weight))
    return [
        Bucket(*(torch.tensor(column) for column in zip(*rows, strict=True)))
        for _, rows in sorted(by_length.items())
    ]


def shuffled_batches(buckets: Sequence[Bucket], batch_size: int) -> list[Bucket]:
    """Cut every bucket into batches of random examples, and put all batches in random order."""
    batches = []
    for bucket in buckets:
        for chosen in torch.randperm(len(bucket.labels)).split(batch_size):
            batches.append(Bucket(*(column[chosen] for column in bucket)))
    return [batches[index] for index in torch.randperm(len(batches))]


def count_unknown(examples: Sequence[Example], vocabulary: Sequence[str]) -> tuple[int, int]:
    """Count the tokens that the vocabulary lacks, and all tokens."""
    known = set(vocabulary)
    tokens = [token for example in examples for token in example.tokens]
    return sum(token not in known for token in tokens), len(tokens)


# Model ----------------------------------------------------------------------------------------


class SentimentLSTM(nn.Module):
    """Embedding, one bidirectional LSTM, and a linear head on the two final states.

    Parameters
    ----------
    hide_probability : Tensor of shape (V,)
        How likely each word of the vocabulary is replaced by the unknown token in training.
    recipe : Recipe
        Sizes, dropout rates and the range of the initial embedding.
    """

    def __init__(self, hide_probability: Tensor, recipe: Recipe) -> None:
        super().__init__()
        self.register_buffer("hide_probability", hide_probability)
        self.recipe = recipe
        self.embedding = nn.Embedding(len(hide_probability), recipe.embedding_size)
        self.lstm = nn.LSTM(
            recipe.embedding_size, recipe.hidden_size, batch_first=True, bidirectional=True
        )
        # No bias: all relevance that leaves the head then belongs to a hidden state.
        self.head = nn.Linear(2 * recipe.hidden_size, len(CLASS_NAMES), bias=False)
        self._initialize()

    @torch.no_grad()
    def _initialize(self) -> None:
        nn.init.uniform_(
            self.embedding.weight, -self.recipe.embedding_range, self.recipe.embedding_range
        )
        for name, parameter in self.lstm.named_parameters():
            if name.startswith("weight_hh"):
                for gate in parameter.chunk(4):
                    nn.init.orthogonal_(gate)
            elif name.startswith("bias"):
                nn.init.zeros_(parameter)
            if name.startswith("bias_ih"):
                _, forget, _, _ = parameter.chunk(4)
                nn.init.ones_(forget)

    def forward(self, ids: Tensor) -> Tensor:
        """Score token ids of shape (B, T): scores of shape (B, C)."""
        if self.training:
            hide = torch.rand(ids.shape) < self.hide_probability[ids]
            ids = ids.masked_fill(hide, UNKNOWN_ID)
        embedded = self.embedding(ids)
        # One mask per sequence: dropping a dimension at some steps only would be easy to undo.
        mask = dropout(
            torch.ones_like(embedded[:, :1]), self.recipe.embedding_dropout, self.training
        )
        _, (final_states, _) = self.lstm(embedded * mask)
        features = torch.cat((final_states[0], final_states[1]), dim=1)
        return self.head(dropout(features, self.recipe.head_dropout, self.training))


def export(network: SentimentLSTM, vocabulary: Sequence[str]) -> lrplstm.LSTMModel:
    """Turn the trained network into a model of the package, its two biases per gate into one."""

    def array(parameter: Tensor) -> np.ndarray:
        return parameter.detach().numpy()

    forward, backward = (
        lrplstm.LSTMWeights(array(weight_ih), array(weight_hh), array(bias_ih + bias_hh))
        for weight_ih, weight_hh, bias_ih, bias_hh in network.lstm.all_weights
    )
    return lrplstm.LSTMModel(
        [(forward, backward)],
        array(network.head.weight),
        None,
        pooling="last",
        embedding=array(network.embedding.weight),
        vocabulary=vocabulary,
        class_names=CLASS_NAMES,
        unknown_token=UNKNOWN_TOKEN,
        tokenizer="treebank",
    )


# Evaluation -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Evaluation:
    """How well a network does on one part of the data; accuracies in per cent."""

    five_class: float
    binary: float
    recall: list[float]  # per class
    confusion: list[list[int]]  # rows: true class, columns: predicted class

    @property
    def rank(self) -> tuple[float, float]:
        """What decides between epochs and seeds: five-class accuracy, binary among equals."""
        return self.five_class, self.binary


def percent(count: Tensor, total: Tensor) -> float:
    """Express a share in per cent, to two decimals."""
    return round(100 * count.item() / total.item(), 2)


@torch.no_grad()
def evaluate(network: SentimentLSTM, buckets: Sequence[Bucket]) -> Evaluation:
    """Measure five-class and binary accuracy.

    Binary accuracy leaves neutral examples out, and counts one as predicted positive when the
    probabilities of the two positive classes together exceed those of the two negative ones.
    """
    network.eval()
    probabilities = torch.cat([network(bucket.ids).softmax(dim=1) for bucket in buckets])
    labels = torch.cat([bucket.labels for bucket in buckets])

    classes = len(CLASS_NAMES)
    cells = labels * classes + probabilities.argmax(dim=1)
    confusion = torch.bincount(cells, minlength=classes**2).reshape(classes, classes)

    negative = probabilities[:, :NEUTRAL].sum(dim=1)
    positive = probabilities[:, NEUTRAL + 1 :].sum(dim=1)
    polar = labels != NEUTRAL
    agrees = (positive > negative) == (labels > NEUTRAL)

    return Evaluation(
        five_class=percent(confusion.trace(), confusion.sum()),
        binary=percent(agrees[polar].sum(), polar.sum()),
        recall=[percent(row[index], row.sum()) for index, row in enumerate(confusion)],
        confusion=confusion.tolist(),
    )


# Training -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What one seed led to: the network of its best epoch, and how good that is."""

    seed: int
    epoch: int
    dev: Evaluation
    test: Evaluation
    network: SentimentLSTM


def hide_probabilities(
    counts: Counter[str], vocabulary: Sequence[str], unknown_rate: float
) -> Tensor:
    """Say how likely each word is replaced by the unknown token: the rarer, the likelier."""
    count = torch.tensor([counts[word] for word in vocabulary], dtype=torch.float32)
    return unknown_rate / (unknown_rate + count)


def learning_rate_factor(step: int, total_steps: int, recipe: Recipe) -> float:
    """Rise linearly to 1 over the warm-up, then follow a cosine down to the final factor."""
    if step < recipe.warmup_steps:
        return (step + 1) / recipe.warmup_steps
    progress = (step - recipe.warmup_steps) / max(1, total_steps - recipe.warmup_steps)
    final = recipe.final_learning_rate_factor
    return final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2


def train_epochs(
    network: SentimentLSTM, buckets: Sequence[Bucket], recipe: Recipe
) -> Iterator[SentimentLSTM]:
    """Train the network in place; after every epoch yield the running average of its weights."""
    batches = sum(math.ceil(len(bucket.labels) / recipe.batch_size) for bucket in buckets)
    optimizer = torch.optim.AdamW(
        network.parameters(), recipe.learning_rate, recipe.betas, weight_decay=0.0, fused=True
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: learning_rate_factor(step, recipe.epochs * batches, recipe)
    )
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(recipe.average_decay))
    step = 0
    for _ in range(recipe.epochs):
        network.train()
        for ids, labels, weights in shuffled_batches(buckets, recipe.batch_size):
            loss = (weights * cross_entropy(network(ids), labels, reduction="none")).mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), recipe.max_gradient_norm)
            optimizer.step()
            schedule.step()
            step += 1
            if step % recipe.average_every == 0:
                average.update_parameters(network)
        yield copy.deepcopy(average.module)


def train_seed(seed: int, treebank: Treebank, vocabulary: Sequence[str], recipe: Recipe) -> Outcome:
    """Train from one seed, keep the epoch that is best on dev, and test that one."""
    torch.manual_seed(seed)
    hide = hide_probabilities(count_words(treebank.train), vocabulary, recipe.unknown_rate)
    training = weigh_sentences(treebank.phrases, treebank.train, recipe.sentence_weight)
    dev_buckets = bucket_by_length(treebank.dev, vocabulary)

    network = SentimentLSTM(hide, recipe)
    candidates = []
    epochs = train_epochs(network, bucket_by_length(training, vocabulary), recipe)
    for epoch, average in enumerate(epochs, start=1):
        dev = evaluate(average, dev_buckets)
        print(f"seed {seed}, epoch {epoch}: dev {describe(dev)}", flush=True)
        candidates.append((epoch, dev, average))

    epoch, dev, network = max(candidates, key=lambda candidate: candidate[1].rank)
    test = evaluate(network, bucket_by_length(treebank.test, vocabulary))
    print(f"seed {seed}, epoch {epoch} is best on dev: test {describe(test)}", flush=True)
    return Outcome(seed, epoch, dev, test, network)


# Report ---------------------------------------------------------------------------------------


def describe(evaluation: Evaluation) -> str:
    """Say in a few words how good a network is."""
    return f"{evaluation.five_class:.2f} % five-class, {evaluation.binary:.2f} % binary"


def mean_and_sd(values: Sequence[float]) -> dict[str, float | None]:
    """Average over the seeds; the standard deviation is that of a sample (n - 1)."""
    deviation = round(statistics.stdev(values), 2) if len(values) > 1 else None
    return {"mean": round(statistics.fmean(values), 2), "sd": deviation}


def summarize(evaluations: Sequence[Evaluation]) -> dict[str, object]:
    """Average the accuracies over the seeds."""
    recalls = zip(*(evaluation.recall for evaluation in evaluations), strict=True)
    return {
        "five_class": mean_and_sd([evaluation.five_class for evaluation in evaluations]),
        "binary": mean_and_sd([evaluation.binary for evaluation in evaluations]),
        "recall": [mean_and_sd(recall) for recall in recalls],
    }


def make_report(
    outcomes: Sequence[Outcome],
    shipped: Outcome,
    treebank: Treebank,
    vocabulary: Sequence[str],
    recipe: Recipe,
) -> dict[str, object]:
    """Collect what was done and how good it is; none of it differs between identical runs."""
    unknown, tokens = count_unknown(treebank.test, vocabulary)
    return {
        "torch": torch.__version__,
        "recipe": asdict(recipe),
        "vocabulary_size": len(vocabulary),
        "test_tokens": tokens,
        "unknown_test_tokens": unknown,
        "shipped_seed": shipped.seed,
        "over_seeds": {
            "dev": summarize([outcome.dev for outcome in outcomes]),
            "test": summarize([outcome.test for outcome in outcomes]),
        },
        "seeds": [
            {
                "seed": outcome.seed,
                "epoch": outcome.epoch,
                "dev": asdict(outcome.dev),
                "test": asdict(outcome.test),
            }
            for outcome in outcomes
        ],
    }


# Command line ---------------------------------------------------------------------------------


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Train the default sentiment model.")
    parser.add_argument(
        "sst_dir",
        type=Path,
        metavar="SST_DIR",
        help="folder with train.tsv, dev.tsv, test.tsv and train.phrases.tsv.gz",
    )
    parser.add_argument(
        "--seeds",
        type=int,
        nargs="+",
        default=[0, 1, 2, 3, 4],
        metavar="SEED",
        help="train once from each; the best on dev is saved (default: 0 1 2 3 4)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(__file__).parent / "sst5",
        metavar="DIR",
        help="folder for the model and its report, training.json (default: sst5, beside train.py)",
    )
    return parser.parse_args()


def main() -> None:
    """Train from every seed, save the best model on dev and the report."""
    arguments = parse_arguments()
    try:
        treebank = read_treebank(arguments.sst_dir)
        arguments.output.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        sys.exit(f"train.py: error: {error}")

    # With one thread the sums, and so the model, do not depend on the number of cores.
    torch.set_num_threads(1)
    started = time.perf_counter()
    recipe = Recipe()
    vocabulary = build_vocabulary(count_words(treebank.train), recipe.min_word_count)
    outcomes = [train_seed(seed, treebank, vocabulary, recipe) for seed in arguments.seeds]
    shipped = max(outcomes, key=lambda outcome: outcome.dev.rank)

    export(shipped.network, vocabulary).save(arguments.output)
    report = make_report(outcomes, shipped, treebank, vocabulary, recipe)
    text = json.dumps(report, indent=2) + "\n"
    (arguments.output / "training.json").write_text(text, encoding="utf-8")
    minutes = (time.perf_counter() - started) / 60
    print(f"saved seed {shipped.seed}, the best on dev, to {arguments.output} ({minutes:.1f} min)")


if __name__ == "__main__":
    main()
