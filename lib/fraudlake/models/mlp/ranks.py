"""What one rank does to train a feed-forward network together with the others.

The loop knows no launcher: `Group` is all it needs of one.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import nn

    from fraudlake.models.mlp.contender import MlpContender


class Group(Protocol):
    """The ranks that train together, seen from one of them."""

    rank: int
    size: int

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Element-wise sum over the ranks, in the type of `values`."""

    def minimum(self, value: int) -> int:
        """Smallest value of any rank."""

    def broadcast(self, model: nn.Module) -> None:
        """Give all ranks the parameters of rank 0."""

    def averaging(
        self, optimizer: torch.optim.Optimizer, model: nn.Module
    ) -> torch.optim.Optimizer:
        """An optimizer that averages gradients over the ranks before each step."""


def train(
    group: Group, folder: str, features: Sequence[str], contender: MlpContender, seed: int
) -> dict[str, Any] | None:
    """Train twice: without the held-out rows (`early`), for the calibration, then on all (`final`).

    Parameters
    ----------
    folder
        A snapshot with a file for each rank.

    Returns
    -------
    dict or None
        On rank 0 `early` and `final`, each the weights as `to_safetensors` packs them, and
        `losses`: mean training loss of each epoch of the final fit. None on other ranks.
    """
    import torch

    from fraudlake.launch import snapshot

    # Each rank has one core of its own.
    torch.set_num_threads(1)
    x, label, held_out = snapshot.read(folder, group.rank, features)
    early, _ = fit(group, x[~held_out], label[~held_out], contender, seed)
    final, losses = fit(group, x, label, contender, seed)
    return {"early": early, "final": final, "losses": losses} if group.rank == 0 else None


def fit(
    group: Group, x: np.ndarray, label: np.ndarray, contender: MlpContender, seed: int
) -> tuple[bytes, list[float]]:
    """One fit: AdamW on the mean log loss, step size by one cycle (up for 30 % of the steps, then
    down to nearly 0; its peak is the contender's `learning_rate`).

    Equal rows, ranks, contender and seed give equal weights. Every rank takes the same number of
    steps, those that the rank with the fewest rows has full batches for; which rows an epoch leaves
    out changes with each shuffle.

    Parameters
    ----------
    x
        float32 [n, f], this rank's rows, NaN where a value is missing.
    label
        float32 [n], 1 or 0.

    Returns
    -------
    weights : bytes, as `to_safetensors` packs them
    losses : mean training loss of each epoch, over all ranks

    References
    ----------
    Loshchilov, Hutter (2019), Decoupled weight decay regularization. Smith, Topin (2019),
    Super-convergence.
    """
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits

    from fraudlake.models.mlp import scorer as mlp
    from fraudlake.models.nets.feedforward import FeedForward

    mean, std, base_rate = _moments(group, x, label)
    inputs = torch.from_numpy(mlp.standardise(x, mean, std).astype(np.float32))
    targets = torch.from_numpy(label)
    steps = group.minimum(len(x) // contender.batch_size)
    batch = contender.batch_size if steps else group.minimum(len(x))
    steps = max(steps, 1)

    # Dropout draws from this generator: the same draws on each run, others on each rank.
    torch.manual_seed(seed)
    model = FeedForward(x.shape[1], contender.hidden, contender.dropout)
    last = f"linear.{len(contender.hidden)}.bias"
    with torch.no_grad():
        # Fraud is rare: the first steps need not learn that.
        model.state_dict()[last].fill_(math.log(base_rate / (1 - base_rate)))
    group.broadcast(model)
    torch.manual_seed(seed + group.rank)
    order = torch.Generator().manual_seed(seed + group.rank)
    optimizer = group.averaging(
        torch.optim.AdamW(
            model.parameters(), lr=contender.learning_rate, weight_decay=contender.weight_decay
        ),
        model,
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, contender.learning_rate, total_steps=steps * contender.epochs
    )

    losses = []
    for epoch in range(contender.epochs):
        permuted = torch.randperm(len(x), generator=order)
        total = 0.0
        for step in range(steps):
            rows = permuted[step * batch : (step + 1) * batch]
            optimizer.zero_grad()
            loss = binary_cross_entropy_with_logits(model(inputs[rows]), targets[rows])
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        losses.append(float(group.sum(np.array([total]))[0]) / steps / group.size)
        if group.rank == 0:
            print(
                f"epoch {epoch + 1}/{contender.epochs}: loss {losses[-1]:.5f}, {steps} steps of "
                f"{batch} rows on each of {group.size} ranks",
                file=sys.stderr,
            )
    return mlp.to_safetensors(model.state_dict(), mean, std), losses


def _moments(
    group: Group, x: np.ndarray, label: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Over the rows of all ranks: mean and standard deviation [f] of what is there, fraud share."""
    there = ~np.isnan(x)
    wide = np.where(there, x, 0.0).astype(np.float64)
    sums = np.concatenate([wide.sum(axis=0), there.sum(axis=0), [label.sum(), len(label)]])
    sums = group.sum(sums)
    width = x.shape[1]
    counts = np.maximum(sums[width : 2 * width], 1)
    mean = sums[:width] / counts
    squares = group.sum((np.where(there, wide - mean, 0.0) ** 2).sum(axis=0))
    # Two classes are checked before any rank starts.
    return mean, np.sqrt(squares / counts), float(sums[-2] / sums[-1])
