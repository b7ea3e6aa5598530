"""How far a fit has come, kept so that it goes on from there to the same bits."""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from fraudlake.launch.checkpoints import Checkpoints
    from fraudlake.launch.group import Group


@dataclass
class Progress:
    """How far a fit has come; with the model and the optimizer it is a checkpoint.

    Attributes
    ----------
    rows
        Of each shard.
    epoch, step
        Where it goes on.
    total
        Sum of the losses of this epoch's rows so far.
    train_loss, held_out_loss
        Means over the rows by epoch; the second is empty where no rows are held out.
    best
        The model of the epoch with the lowest loss on the held-out rows, where it counts.
    """

    rows: list[int]
    epoch: int = 0
    step: int = 0
    total: float = 0.0
    train_loss: list[float] = field(default_factory=list)
    held_out_loss: list[float] = field(default_factory=list)
    best: dict[str, Any] | None = None

    def best_epoch(self) -> int:
        """Epochs up to the lowest loss on the held-out rows."""
        return int(np.argmin(self.held_out_loss)) + 1

    def is_over(self, epochs: int, patience: int | None) -> bool:
        """Whether all epochs are done, or enough of them in vain."""
        done = self.epoch >= epochs
        waited = patience and self.held_out_loss and self.epoch - self.best_epoch() >= patience
        return done or bool(waited)


def restored(state: dict[str, Any] | None, rows: list[int], parts: dict[str, Any]) -> Progress:
    """Where a fit begins: with the state, if it is one of these rows."""
    if state is None or state["progress"]["rows"] != rows:
        return Progress(rows)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return Progress(**state["progress"])


def newest(group: Group, store: Checkpoints) -> dict[str, Any] | None:
    """The newest checkpoint that rank 0 finds whole."""
    import torch

    step = int(group.sum(torch.tensor([store.newest()[0] if group.rank == 0 else 0])))
    if not step:
        return None
    if group.rank == 0:
        print(f"training goes on from checkpoint {store.name}-{step}", file=sys.stderr)
    # Tensors, numbers and text: code is refused.
    return torch.load(io.BytesIO(store.read(step)), map_location="cpu", weights_only=True)


def save(
    group: Group,
    store: Checkpoints,
    early: dict[str, Any] | None,
    steps: int,
    state: dict[str, Any],
) -> None:
    """Keep, on rank 0, a state of a fit, and beside one of the second what the first came to."""
    import torch

    if group.rank == 0:
        buffer = io.BytesIO()
        torch.save({"early": early, "fit": state}, buffer)
        store.save(steps, buffer.getvalue())
