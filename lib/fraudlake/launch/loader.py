"""Batches of a shard in an order drawn anew for each epoch, in a bounded amount of memory.

A shard that fits is read once and kept, and an epoch's order is any of all orders of its rows. One
that does not is read anew in each epoch, ahead by a thread: its row groups in an order that is
drawn, as many at a time as fit (a window), and the rows of a window in any order. A batch is then a
sample of one window, and each window one of the shard, whose row groups are samples already
(`snapshot`).

Orders depend on seed, shard and epoch alone: a training that goes on needs no more than its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    from fraudlake.launch.snapshot import RowGroup, Shard


class Window(NamedTuple):
    """Row groups that are in memory together: rows `start` to `stop` of an epoch."""

    groups: Sequence[RowGroup]
    start: int
    stop: int


class Loader:
    """Batches of one shard.

    Parameters
    ----------
    shard
        What is read.
    memory
        Bytes that its rows may take here.
    seed
        Of the orders.
    transform
        What becomes of the features of a row group, float32 [n, f] to float [n, f].
    pinned
        Whether batches are in memory from which a GPU can fetch them by itself.
    """

    def __init__(
        self,
        shard: Shard,
        memory: int,
        seed: int,
        transform: Callable[[np.ndarray], np.ndarray],
        pinned: bool = False,
    ) -> None:
        self.shard, self._seed, self._transform, self._pinned = shard, seed, transform, pinned
        # Features and label in 4 bytes each, and the row's place in the order in 8.
        row = 4 * (len(shard.features) + 1) + 8
        # The rest is for the row group that is read, in the types that it passes through.
        self._whole = row * shard.rows <= memory * 3 // 4
        # One window is used while the next is read.
        self._most = shard.rows if self._whole else max(memory // (6 * row), 1)
        self._kept: tuple[Tensor, Tensor] | None = None

    def batches(self, epoch: int, steps: int, first: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """All rows in so many batches, whose sizes differ by one at most.

        Parameters
        ----------
        epoch
            Number of the epoch; equal numbers give equal batches.
        steps
            Number of batches. Some are empty where there are fewer rows.
        first
            The batch to begin with. What only earlier ones need is not read.

        Yields
        ------
        x : float32 [n, f]
        label : float32 [n]
        """
        import torch

        if first == steps:
            return
        bounds = [step * self.shard.rows // steps for step in range(steps + 1)]
        pieces, step, place = [], first, bounds[first]
        for window, (x, label) in self._windows(epoch, place):
            draw = np.random.default_rng([self._seed, self.shard.number, epoch, window.start])
            order = torch.from_numpy(draw.permutation(len(x)))
            while step < steps:
                rows = order[place - window.start : bounds[step + 1] - window.start]
                pieces.append((x[rows], label[rows]))
                place += len(rows)
                if place < bounds[step + 1]:
                    break
                whole = together(pieces)
                yield (whole[0].pin_memory(), whole[1].pin_memory()) if self._pinned else whole
                pieces, step = [], step + 1
            # Before the next but one is read.
            del x, label

    def in_order(self) -> Iterator[tuple[Tensor, Tensor]]:
        """All rows, some at a time, in the order of the shard; nothing is kept."""
        import torch

        for group in self.shard.groups:
            x, label = self.shard.read(group)
            yield torch.from_numpy(self._transform(x).astype(np.float32)), torch.from_numpy(label)

    def _windows(self, epoch: int, place: int) -> Iterator[tuple[Window, tuple[Tensor, Tensor]]]:
        """Those of an epoch that have rows from `place` on, each with its rows."""
        if self._whole:
            window = Window(self.shard.groups, 0, self.shard.rows)
            if self._kept is None:
                self._kept = self._read(window)
            yield window, self._kept
            return
        windows = [one for one in self._drawn(epoch) if one.stop > place]
        with ThreadPoolExecutor(1, "loader") as thread:
            ahead: Future | None = thread.submit(self._read, windows[0])
            for window, following in zip(windows, [*windows[1:], None], strict=True):
                rows = cast("Future", ahead).result()
                ahead = thread.submit(self._read, following) if following else None
                yield window, rows
                # Before the next but one is read.
                del rows

    def _drawn(self, epoch: int) -> Iterator[Window]:
        draw = np.random.default_rng([self._seed, self.shard.number, epoch])
        groups: list[RowGroup] = []
        start = stop = 0
        for number in draw.permutation(len(self.shard.groups)):
            group = self.shard.groups[number]
            if groups and stop + group.rows - start > self._most:
                yield Window(groups, start, stop)
                groups, start = [], stop
            groups.append(group)
            stop += group.rows
        yield Window(groups, start, stop)

    def _read(self, window: Window) -> tuple[Tensor, Tensor]:
        import torch

        rows = window.stop - window.start
        x = np.empty((rows, len(self.shard.features)), np.float32)
        label = np.empty(rows, np.float32)
        start = 0
        for group in window.groups:
            part = slice(start, start + group.rows)
            raw, label[part] = self.shard.read(group)
            x[part] = self._transform(raw)
            start = part.stop
        return torch.from_numpy(x), torch.from_numpy(label)


def together(pieces: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """One batch of the rows of several."""
    import torch

    if len(pieces) == 1:
        return pieces[0]
    return torch.cat([x for x, _ in pieces]), torch.cat([label for _, label in pieces])
