"""Trains many LSTMs of one unit at once; needs PyTorch (pip install "lrplstm[train]").

A network is a vector of 13 numbers, w: the weights of two inputs (4 gates x 2), that of the hidden
state (4), and that of the output. It has no biases. The loss is the mean squared error.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.func import jacfwd, vmap

Array = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], tuple[Array, Array]]
"""Draws so many examples: inputs of shape (B, T, 2), answers of shape (B,)."""

BATCH, FIXED = 128, 2000
"""Examples of a step of Adam, fresh each time; examples of Levenberg-Marquardt, always the same."""


def scores(w: Tensor, x: Tensor) -> Tensor:
    """Return the outputs, (B,), of one network."""
    W_x, W_h, v = w[:8].reshape(4, 2), w[8:12], w[12]
    h = c = x.new_zeros(len(x))
    for x_t in x.unbind(dim=1):
        a_i, a_f, a_g, a_o = (x_t @ W_x.T + h[:, None] * W_h).unbind(dim=1)
        c = torch.sigmoid(a_f) * c + torch.sigmoid(a_i) * torch.tanh(a_g)
        h = torch.sigmoid(a_o) * torch.tanh(c)
    return v * h


def errors(w: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return outputs minus answers, (B,), of one network."""
    return scores(w, x) - y


of_all = (0, None, None)  # vmap: networks differ, examples are the same
errors_of_all = vmap(errors, of_all)  # (M, B)
jacobians_of_all = vmap(jacfwd(errors), of_all)  # (M, B, 13)


def draw_tensors(draw: Draw, rng: np.random.Generator, count: int) -> tuple[Tensor, Tensor]:
    """Draw examples for PyTorch."""
    x, y = draw(rng, count)
    return torch.from_numpy(x), torch.from_numpy(y)


def adam(w: Tensor, draw: Draw, rng: np.random.Generator, steps: int) -> Tensor:
    """Train from random weights. No network's loss depends on another's weights."""
    w = w.clone().requires_grad_()
    optimizer = torch.optim.Adam([w])
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=steps)
    for _ in range(steps):
        loss = errors_of_all(w, *draw_tensors(draw, rng, BATCH)).square().mean(dim=1).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return w.detach()


def levenberg_marquardt(
    w: Tensor, x: Tensor, y: Tensor, goal: float, steps: int
) -> tuple[Tensor, Tensor]:
    """Go on until each loss is below the goal; return weights and losses.

    Adam gets slow there: the loss falls with the fourth power of the output's weight, which has
    far to go.
    """
    w = w.clone()
    loss = errors_of_all(w, x, y).square().mean(dim=1)
    damping = torch.full_like(loss, 1e-3)
    for _ in range(steps):
        (open_,) = torch.nonzero(loss >= goal, as_tuple=True)
        if not len(open_):
            break
        J, e = jacobians_of_all(w[open_], x, y), errors_of_all(w[open_], x, y)
        A = J.mT @ J
        A = A + damping[open_, None, None] * torch.diag_embed(A.diagonal(dim1=1, dim2=2) + 1e-12)
        trial = w[open_] - torch.linalg.solve(A, J.mT @ e[:, :, None])[:, :, 0]
        trial_loss = errors_of_all(trial, x, y).square().mean(dim=1)
        better = trial_loss < loss[open_]
        w[open_[better]], loss[open_[better]] = trial[better], trial_loss[better]
        damping[open_] *= torch.where(better, 1 / 3, 4.0)
    return w, loss


def train(
    draw: Draw, count: int, goal: float, seed: int, adam_steps: int, last_steps: int
) -> tuple[Array, int]:
    """Return w of `count` networks below the goal, (count, 13), and how many it took to find them.

    Those that do not get there are left out, and others trained in their place.
    """
    torch.set_num_threads(1)  # sums, and so the networks, then depend on the seed only
    rng = np.random.default_rng(seed)
    x, y = draw_tensors(draw, rng, FIXED)
    kept, tried = np.empty((0, 13)), 0
    while len(kept) < count:
        if tried >= 10 * count:
            raise RuntimeError(f"{len(kept)} of {tried} networks got below {goal:g}")
        # As PyTorch draws them for one hidden unit.
        w = torch.from_numpy(rng.uniform(-1, 1, (count - len(kept), 13)))
        w, loss = levenberg_marquardt(adam(w, draw, rng, adam_steps), x, y, goal, last_steps)
        kept, tried = np.concatenate([kept, w[loss < goal].numpy()]), tried + len(w)
        print(f"{len(kept)} of {tried} networks are below {goal:g}", flush=True)
    return kept, tried
