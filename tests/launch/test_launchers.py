"""Both launchers: two ranks are one with the doubled batch, and none waits for one that fails."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest
from tests.shards import FEATURES, Alone, rows, write

from fraudlake.errors import FraudlakeError, SetupError
from fraudlake.launch import group
from fraudlake.models.mlp import ranks
from fraudlake.models.mlp.contender import MlpContender
from fraudlake.models.mlp.fit import LAUNCHERS

CONTENDER = MlpContender(
    kind="mlp", hidden=(8,), dropout=0, batch_size=32, epochs=3, learning_rate=0.05, clip=1.0
)
HOROVOD = pytest.param("horovod", marks=pytest.mark.slow)


@pytest.fixture(scope="module")
def uneven(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uneven")
    return write(folder / "rows", [rows(400), rows(333, 1)], [rows(50, 3), rows(20, 4)])


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_two_ranks_are_one_with_the_doubled_batch(spark, uneven, tmp_path, launcher):
    """To 1e-4, since sums of float32 are in another order; from run to run to the bit."""

    def twice(group, *args):
        done = [ranks.train(group, uneven, f"{folder}{n}", *args) for n in (1, 2)]
        return done, group.size

    folder = (tmp_path / "checkpoints").as_uri()
    arguments = (FEATURES, CONTENDER, 1)
    (first, again), size = LAUNCHERS[launcher](spark, twice, 2, arguments)[0]
    alone = ranks.train(Alone(), uneven, f"{folder}0", *arguments)
    assert size == 2
    assert first == again
    for fit in ("early", "final"):
        ours, theirs = load(first[fit]), load(alone[fit])
        for name in ours:
            np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(first["train_loss"], alone["train_loss"], rtol=1e-5)


def load(weights):
    from safetensors.numpy import load

    return load(weights)


@pytest.mark.parametrize("launcher", ["ddp", HOROVOD])
def test_a_rank_that_raises_ends_all_in_its_own_words(spark, launcher):
    def fail(group):
        import torch

        group.sum(torch.ones(3))
        if group.rank == 1:
            raise ValueError("the answer was 42")
        group.sum(torch.ones(3))

    started = time.monotonic()
    with pytest.raises(FraudlakeError, match=r"rank 1 failed: (?s:.*)the answer was 42"):
        LAUNCHERS[launcher](spark, fail, 2, ())
    assert time.monotonic() - started < 60


@pytest.mark.parametrize("launcher", ["ddp", HOROVOD])
def test_a_rank_that_is_killed_ends_all(spark, launcher):
    def die(group):
        import torch

        group.sum(torch.ones(3))
        if group.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        group.sum(torch.ones(3))

    started = time.monotonic()
    with pytest.raises(FraudlakeError, match="a rank ended without a message of its own"):
        LAUNCHERS[launcher](spark, die, 2, ())
    assert time.monotonic() - started < 60


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_too_few_slots_are_refused_at_once(spark, launcher):
    with pytest.raises(SetupError, match="needs 3 tasks at the same time, got 2 slots"):
        LAUNCHERS[launcher](spark, ranks.train, 3, ())


def test_the_rank_that_failed_speaks_and_not_those_that_lost_it():
    def fail(_):
        raise group.LostRankError("connection closed")

    left = []
    lost = group.answer(0, Alone, lambda: left.append(0), fail, ())
    failed = group.answer(1, Alone, lambda: left.append(1), lambda _: 1 / 0, ())
    assert left == [0, 1]
    with pytest.raises(FraudlakeError, match=r"rank 1 failed: (?s:.*)ZeroDivisionError"):
        group.results([lost, failed])
    with pytest.raises(FraudlakeError, match=r"rank 0 failed: (?s:.*)connection closed"):
        group.results([lost])
