"""Random networks of PyTorch: a list of parts, of which any may be left out to find a fault.

Parts are tuples of a kind and its options, drawn by a seed. Those that read steps come first, then
one that makes a row of them or none, then those of rows.
"""

from __future__ import annotations

import os

import numpy as np
import torch
from torch import nn
from torch.nn import functional

SEEDS = range(int(os.environ.get("LRPLSTM_RANDOM_NETWORKS", "40")))
"""Of so many random networks the tests are made."""

D, C = 4, 3
ACTIVATIONS = {
    "relu": functional.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "elu": functional.elu,
    "leaky_relu": lambda y: functional.leaky_relu(y, 0.25),
    "gelu": functional.gelu,
    "silu": functional.silu,
    "softsign": functional.softsign,
    "softplus": functional.softplus,
}
RECURRENT = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}
OF_STEPS = ("recurrent", "dense", "convolution", "normalization", "residual", "attention", "beside")
POOLS = ("last state", "last step", "mean", "max", "weighted", "both", "a step", "flatten", "none")
OF_ROWS = ("dense", "batch normalization", "normalization", "gate", "dropout")
STEPS = 6


def draw_parts(seed):
    """A list of parts: (kind, options), in the order in which they run."""
    rng = np.random.default_rng(seed)

    def drawn(kind):
        return kind, {
            "cell": str(rng.choice(list(RECURRENT))),
            "layers": int(rng.integers(1, 3)),
            "both": bool(rng.integers(2)),
            "size": int(rng.integers(2, 6)),
            "activation": str(rng.choice(list(ACTIVATIONS))),
            "window": int(rng.choice([1, 3])),
        }

    before = [drawn(str(kind)) for kind in rng.choice(OF_STEPS, rng.integers(0, 3))]
    pool = drawn(str(rng.choice(POOLS)))
    after = [drawn(str(kind)) for kind in rng.choice(OF_ROWS, rng.integers(0, 3))]
    return [*before, drawn("recurrent"), pool, *after]


class RandomNetwork(nn.Module):
    """A network of these parts; (B, T, D) to (B, C), or (B, T, C)."""

    def __init__(self, parts, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.parts, self.layers, width, steps = parts, nn.ModuleDict(), D, True
        for n, (kind, options) in enumerate(parts):
            width, steps = self._add(str(n), kind, options, width, steps)
        self.layers["head"] = nn.Linear(width, C)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.running_mean.normal_(0, 0.3)
                module.running_var.uniform_(0.5, 2)
            if isinstance(module, nn.BatchNorm1d | nn.LayerNorm):
                nn.init.normal_(module.weight, 1, 0.3)
                nn.init.normal_(module.bias, 0, 0.3)
        self.eval()

    def _add(self, n, kind, options, width, steps):
        """Make a part, and return how wide what it gives is and whether that has steps."""
        size, layers = options["size"], self.layers
        match kind:
            case "recurrent":
                cell, both = RECURRENT[options["cell"]], options["both"]
                layers[n] = cell(
                    width, size, options["layers"], bidirectional=both, batch_first=True
                )
                return size * (1 + both), True
            case "dense":
                layers[n] = nn.Linear(width, size)
                return size, steps
            case "convolution":
                window = options["window"]
                layers[n] = nn.Conv1d(width, size, window, padding=window // 2)
                return size, True
            case "normalization":
                layers[n] = nn.LayerNorm(width, eps=2**-16)  # of which float32 has all digits
            case "batch normalization":
                layers[n] = nn.BatchNorm1d(width, eps=2**-16)
            case "residual" | "gate":
                layers[n] = nn.Linear(width, width)
            case "attention":
                layers[n] = nn.Linear(width, 3 * width)
            case "weighted":
                layers[n] = nn.Linear(width, 1)
                return width, False
            case "beside" | "both":
                return 2 * width, kind == "beside"
            case "flatten":
                return STEPS * width, False
            case "last state" | "last step" | "mean" | "max" | "a step":
                return width, False
        return width, steps

    def forward(self, x):
        final = x[:, -1]
        for n, (kind, options) in enumerate(self.parts):
            layer = dict(self.layers.items()).get(str(n))
            activation = ACTIVATIONS[options["activation"]]
            match kind:
                case "recurrent":
                    x, states = layer(x)
                    states = states[0] if isinstance(states, tuple) else states
                    final = (
                        torch.cat([states[-2], states[-1]], -1) if options["both"] else states[-1]
                    )
                case "dense":
                    x = activation(layer(x))
                case "convolution":
                    x = activation(layer(x.transpose(1, 2))).transpose(1, 2)
                case "normalization":
                    x = layer(x)
                case "batch normalization" if x.ndim == 3:
                    x = layer(x.transpose(1, 2)).transpose(1, 2)
                case "batch normalization":
                    x = layer(x)
                case "residual":
                    x = x + activation(layer(x))
                case "gate":
                    x = x * torch.sigmoid(layer(x))
                case "attention":
                    q, k, v = layer(x).chunk(3, -1)
                    x = torch.softmax(q @ k.transpose(1, 2) / 1.5, -1) @ v
                case "weighted":
                    x = (torch.softmax(layer(x), 1) * x).sum(1)
                case "beside":
                    x = torch.cat([x, x.flip(1)], -1)
                case "both":
                    x = torch.cat([x.mean(1), x.max(1).values], -1)
                case "dropout":
                    x = functional.dropout(x, 0.5, self.training)
                case "last state":
                    x = final
                case "last step":
                    x = x[:, -1]
                case "a step":
                    x = x[:, 2]
                case "mean":
                    x = x.mean(1)
                case "max":
                    x = x.max(1).values
                case "flatten":
                    x = x.flatten(1)
        return self.layers["head"](x)

    @property
    def has_fixed_length(self):
        """Whether it reads sequences of one length alone."""
        return any(kind == "flatten" for kind, _ in self.parts)


def shrunk(parts, fails):
    """The fewest of these parts of which a network still fails."""
    for n in range(len(parts)):
        fewer = parts[:n] + parts[n + 1 :]
        if any(kind == "recurrent" for kind, _ in fewer) and fails(fewer):
            return shrunk(fewer, fails)
    return parts
