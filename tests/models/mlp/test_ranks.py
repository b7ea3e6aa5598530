"""One rank's loop, on its own and with what other ranks would answer."""

from __future__ import annotations

import numpy as np
import pytest

from fraudlake.errors import SetupError
from fraudlake.launch import horovod_spark
from fraudlake.models.mlp import ranks
from fraudlake.models.mlp.contender import MlpContender

CONTENDER = MlpContender(kind="mlp", hidden=(8,), batch_size=32, epochs=5, learning_rate=0.05)


class Alone:
    """A group of one rank."""

    rank, size = 0, 1

    def sum(self, values):
        return values

    def minimum(self, value):
        return value

    def broadcast(self, model):
        pass

    def averaging(self, optimizer, model):  # noqa: ARG002
        return optimizer


class Twin(Alone):
    """A group of two ranks that hold the same rows, the other with fewer full batches."""

    size = 2

    def sum(self, values):
        return 2 * values

    def minimum(self, value):
        return min(value, 3)


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    x = rng.normal(5, [1, 1000, 0.001], (400, 3)).astype(np.float32)
    x[::7, 0] = np.nan
    x[:, 2] = 3.0
    return x, (x[:, 1] > 500).astype(np.float32)


def test_loss_falls_and_equal_seeds_give_equal_bytes(rows):
    weights, losses = ranks.fit(Alone(), *rows, CONTENDER, seed=1)
    again, _ = ranks.fit(Alone(), *rows, CONTENDER, seed=1)
    other, _ = ranks.fit(Alone(), *rows, CONTENDER, seed=2)
    assert weights == again != other
    assert losses[-1] < losses[0] / 2


def test_scaling_is_over_what_is_there(rows):
    from safetensors.numpy import load

    x, _ = rows
    tensors = load(ranks.fit(Alone(), *rows, CONTENDER, seed=1)[0])
    np.testing.assert_allclose(tensors["mean"], np.nanmean(x.astype(float), axis=0), rtol=1e-12)
    expected = np.nanstd(x.astype(float), axis=0)
    np.testing.assert_allclose(tensors["std"], expected, rtol=1e-9)


def test_all_ranks_take_the_steps_of_the_smallest(rows, capsys):
    ranks.fit(Twin(), *rows, CONTENDER, seed=1)
    assert "3 steps of 32 rows on each of 2 ranks" in capsys.readouterr().err


def test_fewer_rows_than_a_batch_are_one_step(rows, capsys):
    x, label = rows
    ranks.fit(Alone(), x[:20], label[:20], CONTENDER, seed=1)
    assert "1 steps of 20 rows" in capsys.readouterr().err


def test_too_few_slots_are_refused_at_once(spark):
    with pytest.raises(SetupError, match="needs 3 tasks at the same time, got 2 slots"):
        horovod_spark.launch(spark, ranks.train, 3, ())
