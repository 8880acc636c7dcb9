"""Sensitivity and gradient x input with PyTorch: nn.LSTM and autograd.

A batch of ids is either packed, with sentences of any lengths, or a tensor (T, B) of sentences of
one length, which PyTorch has a faster LSTM for.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch.nn.utils.rnn import PackedSequence, pack_sequence


class Classifier:
    """The same network; weights need no gradients, only its inputs do."""

    def __init__(self, model):
        forward = model.layers[0][0]
        self.lstm = torch.nn.LSTM(forward.input_size, forward.hidden_size, bidirectional=True)
        state = {}
        for weights, suffix in zip(model.layers[0], ("", "_reverse"), strict=True):
            state[f"weight_ih_l0{suffix}"] = tensor(weights.weight_ih)
            state[f"weight_hh_l0{suffix}"] = tensor(weights.weight_hh)
            state[f"bias_ih_l0{suffix}"] = tensor(weights.bias)
            state[f"bias_hh_l0{suffix}"] = torch.zeros(len(weights.bias))
        self.lstm.load_state_dict(state)
        self.lstm.requires_grad_(False)
        self.embedding = tensor(model.embedding)
        self.head = tensor(model.head_weight)

    def gradient(self, ids: PackedSequence | torch.Tensor):
        """Return the inputs of all steps, and the gradient of the predicted class's score."""
        if isinstance(ids, PackedSequence):
            x = self.embedding[ids.data].requires_grad_()
            _, (h, _) = self.lstm(PackedSequence(x, ids.batch_sizes))
        else:
            x = self.embedding[ids].requires_grad_()
            _, (h, _) = self.lstm(x)
        scores = torch.cat([h[0], h[1]], dim=1) @ self.head.T
        (gradient,) = torch.autograd.grad(scores.max(dim=1).values.sum(), x)
        return x, gradient

    def sensitivity(self, ids: PackedSequence | torch.Tensor):
        _, gradient = self.gradient(ids)
        return gradient.square().sum(dim=-1)

    def gradient_x_input(self, ids: PackedSequence | torch.Tensor):
        x, gradient = self.gradient(ids)
        return (x.detach() * gradient).sum(dim=-1)


def tensor(array):
    return torch.from_numpy(np.array(array))


def batches(sentences, size: int) -> list[PackedSequence]:
    """Pack sentences, which come sorted by length."""
    return [
        pack_sequence([torch.from_numpy(ids) for ids in sentences[start : start + size]])
        for start in range(0, len(sentences), size)
    ]


def batches_of_one_length(sentences) -> list[torch.Tensor]:
    """Stack the sentences of each length, which come sorted by length."""
    return [
        torch.from_numpy(np.stack(list(group), axis=1))
        for _, group in itertools.groupby(sentences, key=len)
    ]


def unpack(values, ids: PackedSequence) -> np.ndarray:
    """Return the values of all steps sentence after sentence, not as they are packed."""
    sentence = np.concatenate([np.arange(n) for n in ids.batch_sizes.tolist()])
    return values.numpy()[np.argsort(sentence, kind="stable")]
