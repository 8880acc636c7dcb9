"""PyTorch networks for the tests, as people write them: seeded, and with nonzero biases."""

from __future__ import annotations

import torch
from torch import nn


def linear(width, C):
    return nn.Linear(width, C)


class Encoder(nn.Module):
    """Whatever has an LSTM somewhere inside."""

    def __init__(self, *sizes, **options):
        super().__init__()
        self.rnn = nn.LSTM(*sizes, **options)


class Network(nn.Module):
    """Embedding, LSTM, pooling and head of one sequence: ids (T,) or floats (T, D) to scores."""

    def __init__(
        self,
        *,
        seed=0,
        D=5,
        H=4,
        C=3,
        layers=1,
        bidirectional=True,
        bias=True,
        batch_first=False,
        V=None,
        pooling="last",
        head=linear,
        dtype=torch.float64,
    ):
        super().__init__()
        torch.manual_seed(seed)
        options = {"bidirectional": bidirectional, "bias": bias, "batch_first": batch_first}
        if layers > 1:
            options["dropout"] = 0.5
        if V is not None:
            self.embed = nn.Embedding(V, D, padding_idx=0)
            nn.init.normal_(self.embed.weight)  # the row of padding_idx, too
        self.encoder = Encoder(D, H, layers, **options)
        self.dropout = nn.Dropout(0.5)
        if head is not None:
            self.head = head((1 + bidirectional) * H, C)
        self.pooling = pooling
        self.to(dtype).eval()

    def hidden(self, x):
        """What the head reads."""
        rnn = self.encoder.rnn
        if x.ndim == 1:
            x = self.embed(x)
        axis = 0 if rnn.batch_first else 1
        output, (final, _) = rnn(x.unsqueeze(axis))
        output = output.squeeze(axis)
        if self.pooling == "last":
            return torch.cat(list(final[-2:] if rnn.bidirectional else final[-1:]), dim=-1)[0]
        if self.pooling == "mean":
            return output.mean(dim=0)
        return output.amax(dim=0) if self.pooling == "max" else output

    def forward(self, x):
        hidden = self.dropout(self.hidden(x))
        return self.head(hidden) if hasattr(self, "head") else hidden
