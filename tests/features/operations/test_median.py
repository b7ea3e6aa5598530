"""The median, exact whatever the size of the values; not slower on one busy key."""

from datetime import timedelta
from decimal import Decimal
from statistics import median

import numpy as np
import pytest
from tests.features.conftest import START

from fraudlake.features.feature import Feature
from fraudlake.features.kernels.events import Events
from fraudlake.features.operations import OPERATIONS
from fraudlake.features.windows import windows


def rows(amounts):
    return [
        {
            "tx_id": n,
            "event_time": START + timedelta(hours=n),
            "amount": None if amount is None else Decimal(amount) / 100,
            "customer_id": 1,
            "terminal_id": 1,
        }
        for n, amount in enumerate(amounts)
    ]


def medians(kernel, feature_set, amounts, operation="median", **more):
    block = {"entity": "customer", "operations": [{operation: "amount"}], "windows": ["90d"]}
    found = kernel(rows(amounts), [], feature_set(block | more))
    return [found[n][f"customer_{operation}_amount_90d"] for n in range(len(amounts))]


def test_odd_even_missing_and_none(kernel, feature_set):
    found = medians(kernel, feature_set, [None, 500, 300, None, 101, 400])
    assert found == [0, 5.0, 4.0, 4.0, 3.0, 3.5]


@pytest.mark.parametrize("amounts", [[2**53 + 1, 2**53 + 2], [10**18 - 1, 10**18 - 4, 7], [-3, 4]])
def test_one_rounding_at_any_size(kernel, feature_set, amounts):
    *_, got = medians(kernel, feature_set, amounts)
    ordered = sorted(amounts)
    twice = ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]
    assert got == twice / 200


def test_the_own_amount_over_it(kernel, feature_set):
    before = {"current": False, "empty": None}
    found = medians(kernel, feature_set, [100, 300, 800, None, 90], "median_ratio", **before)
    assert found == [None, 3.0, 4.0, None, 0.3]
    # Of a median of 0 nothing is a multiple, also where the two middle ones only cancel out.
    assert medians(kernel, feature_set, [-5, 5, 7], "median_ratio", **before)[-1] is None


def test_it_compares_so_the_transaction_may_not_be_in_its_window(feature_set):
    with pytest.raises(ValueError, match="it would be compared with itself"):
        feature_set(
            {"entity": "card", "operations": [{"median_ratio": "amount"}], "windows": ["1d"]}
        )


def test_many_windows_of_many_keys():
    random = np.random.default_rng(1)
    size = 3000
    entity = np.sort(random.integers(0, 40, size))
    time = random.integers(0, 10**6, size)
    time = time[np.lexsort((time, entity))]
    values = random.integers(-50, 50, size)
    feature = Feature("m", "window", "x", "e", OPERATIONS["median"], window=200_000)
    events = Events(entity, time, {"x": values}, {"x": 1})
    found = windows(events, np.arange(size), [feature])["m"]
    for at in range(0, size, 7):
        mine = (entity == entity[at]) & (time > time[at] - 200_000) & (np.arange(size) <= at)
        assert found[at] == median(values[mine].tolist())
