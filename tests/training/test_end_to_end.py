"""Both kinds of contender, from tables to registered versions, on two tasks."""

from __future__ import annotations

import pytest

from fraudlake import job
from fraudlake.registry import Registry
from fraudlake.tables import METRICS
from tests.training.conftest import day


@pytest.fixture(scope="module")
def train(spark, small_lake, conf):
    def call(contender, **changes):
        keys = {
            "lake": small_lake.root,
            "features": conf["features"],
            "model": conf[contender],
            "train_from": day(0),
            "train_to": day(5),
            "test_to": day(12),
            "alerts": 10,
        }
        return job.call("train", spark, **(keys | changes))

    return call


@pytest.mark.parametrize("contender", ["xgboost", "mlp"])
def test_a_contender_learns_and_is_registered_once(train, small_lake, contender):
    first = train(contender)
    print(first)
    again = train(contender)
    print(again)
