"""Batches: every row once, in an order of the epoch's own, within the memory."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.shards import FEATURES, write

from fraudlake.launch.loader import Loader
from fraudlake.launch.snapshot import Shard

ROWS, GROUP = 500, 40
ROW_BYTES = 4 * (len(FEATURES) + 1) + 8
# Windows of two row groups; the whole shard.
SMALL, LARGE = 6 * ROW_BYTES * 2 * GROUP, ROW_BYTES * ROWS * 4 // 3


@pytest.fixture(scope="module")
def shard(tmp_path_factory):
    """Row n is (n, 10 n, 0), its label n modulo 2."""
    number = np.arange(ROWS, dtype=np.float32)
    x = np.stack([number, 10 * number, 0 * number], axis=1)
    folder = write(tmp_path_factory.mktemp("s"), [(x, number % 2)], group_rows=GROUP)
    return Shard(folder, 0, FEATURES, {False})


def loader(shard, memory, seed=1):
    return Loader(shard, memory, seed, lambda x: x)


def numbers(batches):
    found = []
    for x, label in batches:
        assert torch.equal(x[:, 1], 10 * x[:, 0])
        assert torch.equal(label, x[:, 0] % 2)
        found.append(x[:, 0].int().tolist())
    return found


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 700), st.integers(0, 699), st.sampled_from([1, SMALL, LARGE]))
def test_each_row_once_in_batches_of_one_size_from_any_step_on(shard, steps, first, memory):
    first = min(first, steps)
    one = loader(shard, memory)
    batches = numbers(one.batches(0, steps))
    assert len(batches) == steps
    assert sorted(chain(*batches)) == list(range(ROWS))
    assert {len(batch) for batch in batches} <= {ROWS // steps, -(-ROWS // steps)}
    assert numbers(one.batches(0, steps, first)) == batches[first:]


@pytest.mark.parametrize("memory", [SMALL, LARGE])
def test_orders_are_of_epoch_and_seed_alone(shard, memory):
    one = loader(shard, memory)
    first, second = numbers(one.batches(0, 7)), numbers(one.batches(1, 7))
    assert first != second
    assert numbers(loader(shard, memory).batches(1, 7)) == second
    assert numbers(loader(shard, memory, seed=2).batches(1, 7)) != second


def test_a_window_holds_some_groups_and_mixes_their_rows(shard):
    order = list(chain(*numbers(loader(shard, SMALL).batches(0, ROWS))))
    window = order[: 2 * GROUP]
    assert len({row // GROUP for row in window}) == 2
    assert window[:GROUP] != sorted(window[:GROUP])
    assert len({row // GROUP for row in window[:GROUP]}) == 2


@pytest.mark.parametrize(("memory", "again"), [(SMALL, True), (LARGE, False)])
def test_what_fits_is_read_once(shard, memory, again, monkeypatch):
    one = loader(shard, memory)
    list(one.batches(0, 3))
    reads = []
    read = shard.read
    monkeypatch.setattr(shard, "read", lambda group: reads.append(group) or read(group))
    list(one.batches(1, 3))
    assert len(reads) == (len(shard.groups) if again else 0)


def test_no_more_than_the_window_in_use_and_the_next_are_read(shard, monkeypatch):
    reads = []
    read = shard.read
    monkeypatch.setattr(shard, "read", lambda group: reads.append(group) or read(group))
    batches = loader(shard, SMALL).batches(0, ROWS)
    next(batches)
    assert len(reads) <= 4
    batches.close()


def test_what_a_thread_meets_is_raised(shard, monkeypatch):
    def fail(_):
        raise OSError("the disk is gone")

    monkeypatch.setattr(shard, "read", fail)
    for memory in (SMALL, LARGE):
        with pytest.raises(OSError, match="the disk is gone"):
            next(loader(shard, memory).batches(0, 3))
