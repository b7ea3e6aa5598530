"""Kernels against the oracle, bit for bit, and what no later row may change."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fraudlake.features.definition.feature_set import FeatureSet
from fraudlake.features.feature import Feature
from fraudlake.features.kernels.events import Events, Timeline
from fraudlake.features.operations import OPERATIONS
from fraudlake.features.oracle import oracle
from fraudlake.features.windows import windows

DAY = timedelta(days=1)
START = datetime(2018, 4, 1, tzinfo=UTC)
fixtures_are_stateless = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

# Few instants on a coarse grid: ties, and events exactly on the edge of a window, are the rule.
instants = st.builds(
    lambda hours, micros: START + timedelta(hours=hours, microseconds=micros),
    st.integers(0, 96),
    st.integers(0, 1),
)
cents = st.one_of(st.none(), st.integers(0, 10**12).map(lambda c: Decimal(c) / 100))
rows = st.lists(
    st.fixed_dictionaries(
        {
            "event_time": instants,
            "customer_id": st.one_of(st.none(), st.integers(0, 2)),
            "terminal_id": st.one_of(st.none(), st.sampled_from(["a", "b"])),
            "amount": cents,
        }
    ),
    max_size=25,
)
statements = st.lists(
    st.fixed_dictionaries(
        {
            "tx_id": st.integers(0, 25),
            "is_fraud": st.booleans(),
            "known_at": instants,
            "source": st.sampled_from("ab"),
        }
    ),
    max_size=25,
    unique_by=lambda s: (s["tx_id"], s["known_at"], s["source"]),
)
hours = st.integers(1, 48).map("{}h".format)
blocks = st.fixed_dictionaries(
    {
        "entity": st.sampled_from(["customer", "terminal"]),
        "windows": st.lists(hours, min_size=1, max_size=2, unique=True),
        "empty": st.sampled_from([0, -1, 0.5]),
    }
).flatmap(
    lambda block: st.one_of(
        st.booleans().map(
            lambda current: (
                block
                | {
                    "operations": ["count", {"sum": "amount"}, {"mean": "amount"}],
                    "current": current,
                }
            )
        ),
        hours.map(
            lambda delay: (
                block
                | {"operations": ["count", {"mean": "amount"}, {"rate": "fraud"}], "delay": delay}
            )
        ),
    )
)


def bits(value):
    return np.float64(value).tobytes()


@fixtures_are_stateless
@given(rows=rows, statements=statements, block=blocks, order=st.randoms(use_true_random=False))
def test_kernels_agree_with_the_oracle_to_the_bit(rows, statements, block, order, kernel, entities):
    ids = list(range(len(rows)))
    order.shuffle(ids)
    rows = [row | {"tx_id": i} for row, i in zip(rows, ids, strict=True)]
    features = FeatureSet.model_validate({"features": [block]})
    found = kernel(rows, statements, features)
    for expected in oracle(rows, statements, features, entities):
        got = found[expected["tx_id"]]
        for feature in features.features:
            assert bits(got[feature.name]) == bits(expected[feature.name]), (feature, expected)


@pytest.mark.parametrize("seed", range(3))
def test_kernels_agree_with_the_oracle_on_a_larger_world(
    seed, world, kernel, feature_set, entities
):
    transactions, labels = world(seed)
    features = feature_set(
        {
            "entity": "customer",
            "operations": ["count", {"mean": "amount"}, {"sum": "amount"}],
            "windows": ["1h", "1d", "30d"],
        },
        {
            "entity": "customer",
            "operations": [{"mean": "amount"}],
            "windows": ["2d"],
            "current": False,
        },
        {
            "entity": "terminal",
            "operations": ["count", {"rate": "fraud"}],
            "windows": ["1d", "7d", "30d"],
            "delay": "7d",
        },
    )
    found = kernel(transactions, labels, features)
    rates = 0
    for expected in oracle(transactions, labels, features, entities):
        got = found[expected["tx_id"]]
        assert all(bits(got[n]) == bits(v) for n, v in expected.items() if n != "tx_id")
        rates += 0 < got["terminal_rate_fraud_7d_delay7d"] < 1
    assert rates > 20


def test_later_rows_and_later_labels_change_nothing(world, kernel, feature_set):
    transactions, labels = world(5)
    features = feature_set(
        {
            "entity": "customer",
            "operations": ["count", {"mean": "amount"}],
            "windows": ["1d", "7d"],
        },
        {"entity": "terminal", "operations": [{"rate": "fraud"}], "windows": ["7d"], "delay": "7d"},
    )
    now = START + 20 * DAY
    past = [row for row in transactions if row["event_time"] <= now]
    known = [s for s in labels if s["known_at"] <= now]
    everything = kernel(transactions, labels, features)
    assert 0 < len(past) < len(transactions)
    assert 0 < len(known) < len(labels)
    for tx_id, values in kernel(past, known, features).items():
        assert values == everything[tx_id]


def test_window_is_open_at_its_old_end_and_closed_at_its_new_one(kernel, feature_set):
    rows = [
        {"tx_id": i, "event_time": at, "amount": Decimal(1), "customer_id": 1, "terminal_id": 1}
        for i, at in enumerate([START, START + DAY, START + 2 * DAY])
    ]
    features = feature_set(
        {"entity": "customer", "operations": ["count"], "windows": ["1d", "2d"]},
        {"entity": "terminal", "operations": ["count"], "windows": ["1d"], "delay": "1d"},
    )
    last = kernel(rows, [], features)[2]
    assert last == {"customer_count_1d": 1, "customer_count_2d": 2, "terminal_count_1d_delay1d": 1}


def test_boundary_does_not_depend_on_neighbours(kernel, feature_set):
    """An event exactly one window old is out, with or without another event in between."""
    features = feature_set(
        {
            "entity": "customer",
            "operations": [{"sum": "amount"}],
            "windows": ["10h"],
            "current": False,
        }
    )

    def at(hour, tx_id):
        time = START + timedelta(hours=hour)
        return {"tx_id": tx_id, "event_time": time, "amount": Decimal(1), "customer_id": 1}

    assert kernel([at(0, 1), at(10, 2)], [], features)[2] == {"customer_sum_amount_10h": 0}
    assert kernel([at(0, 1), at(5, 3), at(10, 2)], [], features)[2] == {
        "customer_sum_amount_10h": 1
    }


def test_ties_are_ordered_by_transaction(kernel, feature_set):
    rows = [
        {"tx_id": i, "event_time": START, "amount": Decimal(i), "customer_id": 1} for i in (3, 1, 2)
    ]
    counted = feature_set({"entity": "customer", "operations": ["count"], "windows": ["1d"]})
    others = feature_set(
        {"entity": "customer", "operations": ["count"], "windows": ["1d"], "current": False}
    )
    name = "customer_count_1d"
    assert [kernel(rows, [], counted)[i][name] for i in (1, 2, 3)] == [1, 2, 3]
    assert [kernel(rows, [], others)[i][name] for i in (1, 2, 3)] == [0, 1, 2]


def test_a_corrected_label_counts_only_while_it_was_believed(kernel, feature_set):
    features = feature_set(
        {"entity": "terminal", "operations": [{"rate": "fraud"}], "windows": ["30d"], "delay": "7d"}
    )
    days = (0, 8, 10, 12, 14)
    rows = [
        {"tx_id": i, "event_time": START + d * DAY, "amount": None, "terminal_id": 1}
        for i, d in enumerate(days)
    ]
    labels = [
        {"tx_id": 0, "is_fraud": fraud, "known_at": START + day * DAY, "source": "bank"}
        for day, fraud in ((9, True), (12, False), (13, True))
    ]
    found = kernel(rows, labels, features)
    rates = [found[i]["terminal_rate_fraud_30d_delay7d"] for i in range(5)]
    assert rates == [0, 0, 1, 0, 1]


def test_sums_survive_running_totals_that_overflow():
    """The running total passes 2⁶³ several times; every window's own sum fits."""
    value = 2**61
    n = 100
    events = Events(np.zeros(n, np.int64), np.arange(n) * 10, {"x": np.full(n, value)}, {"x": 1})
    feature = Feature("s", "window", "x", "e", OPERATIONS["sum"], window=25)
    found = windows(events, np.arange(n), [feature])["s"]
    assert found.tolist() == [float(value * min(i + 1, 3)) for i in range(n)]


def test_entities_and_times_too_many_for_one_integer_are_searched_in_blocks():
    """1,000 entities over 2⁵⁵ microseconds: entity · span would need 65 bits."""
    random = np.random.default_rng(0)
    entity = np.sort(random.integers(0, 1000, 5000))
    time = random.integers(-(2**54), 2**54, 5000)
    order = np.lexsort((time, entity))
    entity, time = entity[order], time[order]
    query = random.integers(-(2**55), 2**55, 5000)
    found = Timeline(entity, time).until(entity, query)
    pairs = list(zip(entity.tolist(), time.tolist(), strict=True))
    asked = list(zip(entity.tolist(), query.tolist(), strict=True))[::50]
    expected = [sum(pair <= one for pair in pairs) for one in asked]
    assert found[::50].tolist() == expected


@pytest.mark.parametrize("n", [0, 1])
def test_no_events_and_no_targets(n):
    events = Events(np.zeros(n, np.int64), np.zeros(n, np.int64))
    feature = Feature("c", "window", "", "e", OPERATIONS["count"], window=1)
    assert windows(events, np.zeros(0, np.int64), [feature])["c"].tolist() == []
