"""Means and deviations of the features over all ranks, a row group at a time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from fraudlake.launch.group import Group
    from fraudlake.launch.snapshot import Shard


class Moments(NamedTuple):
    """Of the rows of all ranks.

    Attributes
    ----------
    mean, std
        Of what is there of each feature, float64 [f].
    base_rate
        Share of frauds.
    rows
        Of each shard.
    """

    mean: np.ndarray
    std: np.ndarray
    base_rate: float
    rows: list[int]


def over(group: Group, shards: Sequence[Shard], count: int) -> Moments:
    """Moments of `count` shards, of which this rank has `shards`; equal on all ranks, to the bit.

    Row groups and shards are put together in one order, whichever rank has them, by the formula of
    Chan, Golub, LeVeque (1983), Algorithms for computing the sample variance.
    """
    import torch

    width = len(shards[0].features)
    table = np.zeros((count, 3 * width + 2))
    for shard in shards:
        parts, frauds = [], 0.0
        for part in shard.groups:
            x, label = shard.read(part)
            parts.append(_of(x))
            frauds += float(label.sum())
        table[shard.number] = np.concatenate([*reduce(_merged, parts), [frauds, shard.rows]])
    table = group.sum(torch.from_numpy(table)).numpy()
    there, mean, squares = reduce(_merged, (np.split(row[:-2], 3) for row in table))
    frauds, rows = table[:, -2].sum(), table[:, -1].sum()
    # Two classes are checked before any rank starts.
    return Moments(
        mean, np.sqrt(squares / np.maximum(there, 1)), frauds / rows, [int(n) for n in table[:, -1]]
    )


def _of(x: np.ndarray) -> list[np.ndarray]:
    """Of each column: how many are there, their mean, the sum of squared deviations from it."""
    missing = np.isnan(x)
    wide = np.where(missing, 0.0, x.astype(np.float64))
    there = (~missing).sum(axis=0).astype(np.float64)
    mean = wide.sum(axis=0) / np.maximum(there, 1)
    return [there, mean, (np.where(missing, 0.0, wide - mean) ** 2).sum(axis=0)]


def _merged(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> list[np.ndarray]:
    there = a[0] + b[0]
    share = b[0] / np.maximum(there, 1)
    apart = b[1] - a[1]
    return [there, a[1] + apart * share, a[2] + b[2] + apart**2 * a[0] * share]
