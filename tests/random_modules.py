"""Random networks of PyTorch: what may stand before, between and after recurrent layers."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


def random_module(seed):
    """Return a network in float64; `input_size` is how many numbers it reads at each step."""
    return RandomModule(seed).double().eval()


class RandomModule(nn.Module):
    """Layers that are drawn one after the other; each says what it does in `steps`."""

    def __init__(self, seed):
        super().__init__()
        torch.manual_seed(seed)
        self.parts, self.steps = nn.ModuleList(), []
        self.input_size = width = self.draw(2, 6)
        width = self.front(width)
        for _ in range(self.draw(1, 3)):
            width = self.state_size = self.recurrent(width)
            width = self.between(width)
        width = self.read(width)
        for _ in range(self.draw(0, 2)):
            width = self.dense(width, self.choose("relu", "tanh", "gelu", "elu", "silu"))
        self.dense(width, "linear", self.draw(1, 4))
        for parameter in self.parameters():
            nn.init.normal_(parameter, 0, 0.4)

    def forward(self, x):
        states = None
        for function in self.steps:
            x, states = function(x, states)
        return x

    # Drawing ------------------------------------------------------------------------------------

    def draw(self, least, most):
        return int(torch.randint(least, most + 1, ()))

    def choose(self, *names):
        return names[self.draw(0, len(names) - 1)]

    def add(self, part):
        self.parts.append(part)
        return part

    # Layers, each from the width that it reads to that which it gives ---------------------------

    def front(self, width):
        match self.choose("nothing", "dense", "convolution", "normalization"):
            case "dense":
                return self.dense(width, "relu")
            case "convolution":
                part = self.add(nn.Conv1d(width, 5, 3, padding=1))
                self.steps.append(lambda x, s: (part(x.transpose(1, 2)).relu().transpose(1, 2), s))
                return 5
            case "normalization":
                norm = self.add(nn.BatchNorm1d(width))
                nn.init.uniform_(norm.running_var, 0.5, 2)
                nn.init.normal_(norm.running_mean)
                self.steps.append(lambda x, s: (norm(x.transpose(1, 2)).transpose(1, 2), s))
        return width

    def recurrent(self, width):
        H, layers = self.draw(2, 5), self.draw(1, 2)
        if self.draw(0, 4) == 0:
            cell = self.add(self.choose(nn.GRUCell, nn.RNNCell)(width, H))

            def loop(x, states):
                h, rows = torch.zeros(len(x), H, dtype=x.dtype), []
                for t in range(x.size(1)):
                    h = cell(x[:, t], h)
                    rows.append(h)
                return torch.stack(rows, 1), h

            self.steps.append(loop)
            return H
        both = self.draw(0, 1) == 1
        kind = self.choose(nn.LSTM, nn.LSTM, nn.GRU, nn.RNN)
        part = self.add(kind(width, H, layers, batch_first=True, bidirectional=both))

        def run(x, states):
            output, final = part(x)
            h = final[0] if kind is nn.LSTM else final
            return output, torch.cat([h[-2], h[-1]], 1) if both else h[-1]

        self.steps.append(run)
        return H * (1 + both)

    def between(self, width):
        match self.choose("nothing", "nothing", "dropout", "norm", "residual", "dense", "heads"):
            case "dropout":
                self.steps.append(lambda x, s: (functional.dropout(x, 0.3, self.training), s))
            case "norm":
                norm = self.add(nn.LayerNorm(width))
                self.steps.append(lambda x, s: (norm(x), s))
            case "residual":
                part = self.add(nn.Linear(width, width))
                self.steps.append(lambda x, s: (x + part(x).tanh(), s))
            case "dense":
                return self.dense(width, "tanh")
            case "heads":
                part = self.add(nn.MultiheadAttention(width, 1, batch_first=True))
                self.steps.append(lambda x, s: (x + part(x, x, x)[0], s))
        return width

    def read(self, width):
        match self.choose("last", "states", "mean", "max", "both", "attention", "each"):
            case "last":
                self.steps.append(lambda x, s: (x[:, -1], s))
            case "states":
                part = self.add(nn.Linear(self.state_size, width))
                self.steps.append(lambda x, s: (part(s), s))
            case "mean":
                self.steps.append(lambda x, s: (x.mean(1), s))
            case "max":
                self.steps.append(lambda x, s: (x.max(1).values, s))
            case "both":
                self.steps.append(lambda x, s: (torch.cat([x.mean(1), x[:, 0]], 1), s))
                return 2 * width
            case "attention":
                part = self.add(nn.Linear(width, 1))
                self.steps.append(lambda x, s: ((part(x).softmax(1) * x).sum(1), s))
        return width

    def dense(self, width, activation, given=None):
        given = given or self.draw(2, 6)
        part, function = self.add(nn.Linear(width, given)), getattr(functional, activation, None)
        if activation == "linear":
            self.steps.append(lambda x, s: (part(x), s))
        else:
            self.steps.append(lambda x, s: (function(part(x)), s))
        return given
