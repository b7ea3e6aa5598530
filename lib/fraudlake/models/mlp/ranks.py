"""What one rank does to train a feed-forward network together with the others.

The loop knows no launcher: `group.Group` is all it needs of one.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from fraudlake.models.mlp import progress
from fraudlake.models.mlp.progress import Progress

if TYPE_CHECKING:
    from torch import Tensor, nn

    from fraudlake.launch.group import Group
    from fraudlake.launch.snapshot import Shard
    from fraudlake.models.mlp.contender import MlpContender


@dataclass(frozen=True)
class Network:
    """A fit: weights as `to_safetensors` packs them, and what `Progress` says at the end."""

    weights: bytes
    progress: Progress


def train(
    group: Group,
    folder: str,
    checkpoints: str,
    features: Sequence[str],
    contender: MlpContender,
    seed: int,
) -> dict[str, Any] | None:
    """Train twice: without the held-out rows (`early`), for the calibration, then on all (`final`).

    With a `patience` the first fit ends where the loss on the held-out rows is lowest, and the
    second takes as many epochs. A training that was killed goes on from its newest checkpoint, and
    its weights are those of one that was not, to the bit.

    Parameters
    ----------
    folder
        A snapshot with a shard for each worker. A rank of a smaller group takes several.
    checkpoints
        URI of a folder that all ranks see.

    Returns
    -------
    dict or None
        On rank 0 `early` and `final`, each the weights as `to_safetensors` packs them,
        `train_loss` by epoch of the final fit and `held_out_loss` by epoch of the early one. None
        on other ranks.
    """
    import torch

    from fraudlake.launch import snapshot
    from fraudlake.launch.checkpoints import Checkpoints

    # Each rank has one core of its own.
    torch.set_num_threads(1)
    numbers = range(group.rank, contender.workers, group.size)
    first, second = (Checkpoints(checkpoints, name) for name in ("early", "final"))
    state = progress.newest(group, second) or progress.newest(group, first) or {"early": None}
    early = state["early"]
    if early is None:
        some = snapshot.shards(folder, numbers, features, {False})
        held_out = [snapshot.Shard(folder, number, features, {True}) for number in numbers]
        save = partial(progress.save, group, first, None)
        fitted = fit(group, some, contender, seed, save, held_out, state.get("fit"))
        done = fitted.progress
        early = {
            "weights": torch.frombuffer(bytearray(fitted.weights), dtype=torch.uint8),
            "held_out_loss": done.held_out_loss,
            "epochs": done.best_epoch() if contender.patience else contender.epochs,
        }
        state = {}
    every = snapshot.shards(folder, numbers, features, {False, True})
    save = partial(progress.save, group, second, early)
    final = fit(group, every, contender, seed, save, (), state.get("fit"), early["epochs"])
    return (
        {
            "early": early["weights"].numpy().tobytes(),
            "final": final.weights,
            "train_loss": final.progress.train_loss,
            "held_out_loss": early["held_out_loss"],
        }
        if group.rank == 0
        else None
    )


def fit(
    group: Group,
    shards: Sequence[Shard],
    contender: MlpContender,
    seed: int,
    save: Callable[[int, dict[str, Any]], None] = lambda *_: None,
    held_out: Sequence[Shard] = (),
    state: dict[str, Any] | None = None,
    epochs: int | None = None,
) -> Network:
    """One fit: AdamW on the mean log loss, step size by one cycle (up for 30 % of the steps, then
    down to nearly 0; its peak is the contender's `learning_rate`).

    Equal rows, ranks, contender and seed give equal weights. Each shard is cut into the same number
    of batches, that of the largest shard, so that all ranks take the same steps and each row counts
    once and alike in an epoch, however uneven the shards are.

    Parameters
    ----------
    shards
        This rank's.
    save
        Is given the number of steps done and a state, now and then.
    held_out
        Rows whose loss is measured after each epoch.
    state
        What `save` was given, to go on from there.
    epochs
        To be done of the contender's; all by default. The step size is that of all.

    References
    ----------
    Loshchilov, Hutter (2019), Decoupled weight decay regularization. Smith, Topin (2019),
    Super-convergence.
    """
    import torch

    from fraudlake.launch.loader import Loader, together
    from fraudlake.models.mlp import moments
    from fraudlake.models.mlp import scorer as mlp

    mean, std, base_rate, rows = moments.over(group, shards, contender.workers)
    scaled = partial(mlp.standardise, mean=mean, std=std)
    memory, pinned = (contender.memory_mb << 20) // len(shards), group.device != "cpu"
    loaders = [Loader(shard, memory, seed, scaled, pinned) for shard in shards]
    aside = [Loader(shard, memory, seed, scaled, pinned) for shard in held_out]
    steps = -(-max(rows) // (contender.batch_size * contender.accumulate))
    model = _model(group, len(mean), base_rate, contender, seed)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=contender.learning_rate, weight_decay=contender.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, contender.learning_rate, total_steps=steps * contender.epochs
    )
    parts: dict[str, Any] = {"model": model, "optimizer": optimizer, "schedule": schedule}
    at = progress.restored(state, rows, parts)

    def saved() -> None:
        states = {name: part.state_dict() for name, part in parts.items()}
        save(at.epoch * steps + at.step, {"progress": asdict(at), **states})

    while not at.is_over(epochs or contender.epochs, contender.patience if held_out else None):
        batches = [loader.batches(at.epoch, steps, at.step) for loader in loaders]
        for several in zip(*batches, strict=True):
            x, label = together(several)
            # Dropout draws from this: all that is to be known of it later is the step.
            place = [seed, group.rank, at.epoch, at.step]
            torch.manual_seed(int(np.random.SeedSequence(place).generate_state(1, np.uint64)[0]))
            at.total += _step(group, model, x, label, sum(rows) / steps, contender)
            optimizer.step()
            schedule.step()
            at.step += 1
            done = at.epoch * steps + at.step
            if contender.checkpoint_steps and done % contender.checkpoint_steps == 0:
                saved()
        at.train_loss.append(at.total / sum(rows))
        at.epoch, at.step, at.total = at.epoch + 1, 0, 0.0
        if held_out:
            at.held_out_loss.append(_loss(group, model, aside))
            if contender.patience and at.best_epoch() == at.epoch:
                at.best = _copied(model)
        if group.rank == 0:
            print(_said(at, contender, steps, group.size), file=sys.stderr)
        if not contender.checkpoint_steps:
            saved()
    weights = at.best or _copied(model)
    return Network(mlp.to_safetensors(weights, mean, std), at)


def _step(
    group: Group,
    model: nn.Module,
    x: Tensor,
    label: Tensor,
    rows: float,
    contender: MlpContender,
) -> float:
    """Leave in the model the gradient of this step's rows of all ranks; returns their summed loss.

    It is divided by the mean number of rows of a step, so that each row of an epoch counts alike.
    One sum over the ranks for all of it: its bits do not hang on when which gradient is ready.
    """
    import torch

    x, label = (each.to(group.device, non_blocking=True) for each in (x, label))
    model.train()
    model.zero_grad(set_to_none=False)
    loss = torch.zeros((), device=x.device)
    for some, theirs in zip(
        x.chunk(contender.accumulate), label.chunk(contender.accumulate), strict=True
    ):
        part = _summed(model, some, theirs, contender.precision)
        part.backward()
        loss += part.detach()
    gradients = [cast("Tensor", each.grad) for each in model.parameters()]
    flat = group.sum(torch.cat([*(each.reshape(-1) for each in gradients), loss.reshape(1)]))
    for gradient, part in zip(
        gradients, flat[:-1].split([g.numel() for g in gradients]), strict=True
    ):
        gradient.copy_(part.view_as(gradient) / rows)
    if contender.clip:
        torch.nn.utils.clip_grad_norm_(model.parameters(), contender.clip)
    return float(flat[-1])


def _summed(model: nn.Module, x: Tensor, label: Tensor, precision: str = "float32") -> Tensor:
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits

    with torch.autocast(x.device.type, torch.bfloat16, enabled=precision == "bf16"):
        margins = model(x)
    return binary_cross_entropy_with_logits(margins.float(), label, reduction="sum")


def _loss(group: Group, model: nn.Module, loaders: Sequence[Any]) -> float:
    """Mean loss over the rows of all ranks, which they all know."""
    import torch

    model.eval()
    total, count = 0.0, 0
    with torch.no_grad():
        for x, label in _in_order(loaders):
            total += float(_summed(model, x.to(group.device), label.to(group.device)))
            count += len(x)
    total, count = group.sum(torch.tensor([total, count], dtype=torch.float64)).tolist()
    return total / max(count, 1)


def _in_order(loaders: Sequence[Any]) -> Iterator[tuple[Tensor, Tensor]]:
    for loader in loaders:
        yield from loader.in_order()


def _copied(model: nn.Module) -> dict[str, Any]:
    return {name: each.detach().cpu().clone() for name, each in model.state_dict().items()}


def _model(
    group: Group, inputs: int, base_rate: float, contender: MlpContender, seed: int
) -> nn.Module:
    """The network of the first step, with the weights of rank 0."""
    import torch

    from fraudlake.models.nets.feedforward import FeedForward

    torch.manual_seed(seed)
    model = FeedForward(inputs, contender.hidden, contender.dropout)
    with torch.no_grad():
        # Fraud is rare: the first steps need not learn that.
        model.state_dict()[f"linear.{len(contender.hidden)}.bias"].fill_(
            math.log(base_rate / (1 - base_rate))
        )
        for each in model.parameters():
            each.copy_(group.sum(each.detach().clone() * (group.rank == 0)))
    return model.to(group.device)


def _said(at: Progress, contender: MlpContender, steps: int, ranks: int) -> str:
    held_out = f", held out {at.held_out_loss[-1]:.5f}" if at.held_out_loss else ""
    return (
        f"epoch {at.epoch}/{contender.epochs}: loss {at.train_loss[-1]:.5f}{held_out}, {steps} "
        f"steps of up to {contender.batch_size * contender.accumulate} rows of each of "
        f"{len(at.rows)} shards on {ranks} ranks"
    )
