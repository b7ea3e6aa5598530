"""Defects that well-known feature stores have or had, as tests of ours."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from fraudlake.datasets import load_dataset
from fraudlake.errors import DataError
from fraudlake.features.batch.addresses import TimeSlicing
from fraudlake.features.batch.compute import compute
from fraudlake.features.batch.survey import Survey
from fraudlake.features.kernels.events import Events
from fraudlake.features.operations import OPERATIONS
from fraudlake.features.table import build as build_module
from fraudlake.features.table.build import build
from fraudlake.features.table.layout import by_time
from fraudlake.features.windows import windows
from fraudlake.lake import Lake
from fraudlake.lake.tables import FEATURES, TRANSACTIONS

START = datetime(2018, 4, 1, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
SCHEMA = (
    "tx_id bigint, event_time timestamp, amount decimal(18,2), customer_id bigint, "
    "terminal_id bigint, latitude double, longitude double"
)
ALL = [
    *("count", "age", "since", "time_of_day", {"distinct": "terminal_id"}),
    *({name: "amount"} for name in ("sum", "mean", "std", "min", "max", "ratio", "zscore")),
    *({"last": "amount", "k": 2}, {"decay": "amount", "half_life": "3h"}),
    {"speed": ["latitude", "longitude"]},
]


def row(tx_id, at, amount=1, customer=1, terminal=1, place=(0.0, 0.0)):
    return {
        "tx_id": tx_id,
        "event_time": START + at,
        "amount": Decimal(amount),
        "customer_id": customer,
        "terminal_id": terminal,
        "latitude": place[0],
        "longitude": place[1],
    }


def all_operations(feature_set, **more):
    block = {"entity": "customer", "operations": ALL, "windows": ["10h"], **more}
    return feature_set({"current": False, **block})


def test_1_extremes_and_deviations_are_of_the_window_and_not_of_all_time(kernel, feature_set):
    """Tiles that were only ever added up gave max 650, min 630 and std 40 here."""
    rows = [
        row(i, minutes * MINUTE, amount)
        for i, (minutes, amount) in enumerate(
            [(0, 100), (10, 200), (20, 330), (90, 20), (110, 40), (130, 60)]
        )
    ]
    operations = [{name: "amount"} for name in ("max", "min", "std", "sum", "mean")]
    features = feature_set({"entity": "customer", "operations": operations, "windows": ["1h"]})
    assert list(kernel(rows, [], features)[5].values()) == [60, 20, 20, 120, 40]


def test_2_keys_that_run_together_stay_apart(spark, feature_set, entities):
    """(1, 11) and (11, 1) at one instant: two rows in, two rows out, each with its own values."""
    rows = [row(1, HOUR, 10, 1, 11), row(2, HOUR, 20, 11, 1), row(3, 2 * HOUR, 40, 1, 11)]
    rows.append(row(4, 2 * HOUR, 80, 1, None))
    features = feature_set(
        {
            "entity": ["customer", "terminal"],
            "operations": ["count", {"sum": "amount"}],
            "windows": ["1d"],
            "empty": None,
        }
    )
    frame = spark.createDataFrame(rows, SCHEMA)
    found = compute(frame, lambda _: frame.where("false"), None, features, entities)
    names = [feature.name for feature in features.features]
    values = [tuple(r) for r in found.orderBy("tx_id").select(*names).collect()]
    assert values == [(1, 10), (1, 20), (2, 50), (0, None)]


@pytest.mark.parametrize("between", [[], [row(3, 5 * HOUR, 7)]])
def test_3_the_edge_of_a_window_does_not_depend_on_neighbours(kernel, feature_set, between):
    """What is exactly one window old is out, for every operation alike."""
    old, new = row(1, 0 * HOUR, 1000, terminal=9, place=(50.0, 50.0)), row(2, 10 * HOUR, 3)
    features = all_operations(feature_set)
    assert kernel([old, *between, new], [], features)[2] == kernel([*between, new], [], features)[2]


def test_4_a_task_run_again_sends_each_row_to_the_same_place(spark, world, feature_set, entities):
    """Salt that was drawn anew in a retried task doubled some rows and lost as many others."""
    transactions, statements = world(6, rows=300, customers=9)
    features = feature_set(
        {"entity": "customer", "operations": ["count"], "windows": ["1d"]},
        {"entity": "terminal", "operations": [{"rate": "fraud"}], "windows": ["1d"], "delay": "7d"},
    )
    day = 86_400_000_000
    seen = Survey(0, 0, 0, 0, {}, None, 2, {"customer": TimeSlicing((0, 1), 2 * day, day)})
    said = spark.createDataFrame(statements)

    def found(rows, partitions):
        frame = spark.createDataFrame(rows, SCHEMA).repartition(partitions, "tx_id")
        made = compute(frame, None, said, features, entities, seen)
        return by_time(made, frame)

    forth, back = found(transactions, 2), found(transactions[::-1], 3)
    plans = forth._jdf.queryExecution()
    # Nothing is drawn, and no row's place depends on its place before.
    assert plans.optimizedPlan().deterministic()
    assert "Exchange hashpartitioning" in plans.sparkPlan().toString() + plans.toString()
    assert "RoundRobinPartitioning" not in plans.toString()
    assert sorted(forth.collect()) == sorted(back.collect())


def test_5_no_feature_changes_what_another_one_uses(feature_set):
    """A cached partial result that a later merge had changed counted twice."""
    random = np.random.default_rng(3)
    n = 200
    arrays = {
        "entity": np.sort(random.integers(0, 3, n)),
        "time": np.zeros(n, np.int64),
        "amount": random.integers(0, 10**6, n),
        "terminal_id": random.integers(-1, 4, n),
        "latitude": random.uniform(-90, 90, n),
        "longitude": random.uniform(-180, 180, n),
        "missing": random.random(n) < 0.1,
    }
    arrays["time"] += np.concatenate(
        [np.sort(random.integers(0, 10**11, c)) for c in np.bincount(arrays["entity"])]
    )
    for array in arrays.values():
        array.setflags(write=False)
    events = Events(
        arrays["entity"],
        arrays["time"],
        {"amount": arrays["amount"]},
        {"amount": 100},
        {"amount": arrays["missing"]},
        codes={"terminal_id": arrays["terminal_id"]},
        degrees={name: arrays[name] for name in ("latitude", "longitude")},
    )
    features = all_operations(feature_set, windows=["1h", "10h"]).features
    targets = np.arange(n)
    together = windows(events, targets, features)
    backwards = windows(events, targets, features[::-1])
    for feature in features:
        alone = windows(events, targets, [feature])[feature.name]
        assert (
            alone.tobytes() == together[feature.name].tobytes() == backwards[feature.name].tobytes()
        )


@pytest.mark.parametrize("current", [True, False])
def test_6_what_comes_later_is_not_seen(kernel, feature_set, current):
    """Not by a microsecond: neither an event, nor a label, nor a later row of the same instant."""
    past = [row(i, i * HOUR, 10 + i, place=(float(i), 0.0)) for i in range(5)]
    last = past[-1]
    micro = timedelta(microseconds=1)
    later = [
        row(9, 4 * HOUR, 500, terminal=7, place=(80.0, 80.0)),
        row(10, 4 * HOUR + micro, 500, terminal=8, place=(80.0, 80.0)),
    ]
    known = {"tx_id": 0, "is_fraud": True, "source": "bank"}
    compared = [o for o in ALL if OPERATIONS[o if isinstance(o, str) else next(iter(o))].compares]
    features = feature_set(
        {
            "entity": "customer",
            "operations": [o for o in ALL if not current or o not in compared],
            "windows": ["10h"],
            "current": current,
        },
        {
            "entity": "customer",
            "operations": [{"rate": "fraud"}],
            "windows": ["10h"],
            "delay": "2h",
        },
    )
    before = kernel(past, [known | {"known_at": last["event_time"] + micro}], features)[4]
    assert before["customer_rate_fraud_10h_delay2h"] == 0
    assert kernel([*past, *later], [], features)[4] == before
    in_time = kernel(past, [known | {"known_at": last["event_time"]}], features)[4]
    assert in_time["customer_rate_fraud_10h_delay2h"] == pytest.approx(1 / 3)


def test_7_a_write_that_loses_rows_fails_the_run(lake, feature_set, monkeypatch):
    """Failed writes that only raised a counter lost features, and every total looked right."""
    lake.create(TRANSACTIONS, {"customer_id": "bigint", "terminal_id": "bigint"})
    rows = lake.spark.createDataFrame([row(i, i * HOUR) for i in range(6)], SCHEMA)
    wanted = rows.selectExpr("*", "event_time AS ingested_at", "'x' AS source_file")
    lake.insert_missing(TRANSACTIONS, wanted)
    features = feature_set({"entity": "customer", "operations": ["count"], "windows": ["2h"]})
    write = Lake.replace_where

    def lossy(self, table, rows, within):
        first = rows.where("tx_id = 1")
        write(self, table, rows.where("tx_id <> 5").unionByName(first), within)

    other = build_module.collected
    monkeypatch.setattr(build_module, "collected", lambda made: replace(other(made), which=7))
    with pytest.raises(DataError, match=r"got 6 rows, expected .* 6 transactions.* was written"):
        build(lake, features, load_dataset("handbook"))
    assert lake.read(FEATURES).count() == 0
    # Through Spark, whatever the reason.
    monkeypatch.setattr(Lake, "file_writer", lambda *_: None)
    monkeypatch.setattr(Lake, "replace_where", lossy)
    with pytest.raises(DataError, match="got 6 rows, expected one for each of 6 transactions"):
        build(lake, features, load_dataset("handbook"))
    assert lake.read(FEATURES).count() == 0
    monkeypatch.undo()
    assert build(lake, features, load_dataset("handbook"))["changed"]
    counts = lake.read(FEATURES).select("tx_id", "customer_count_2h").collect()
    assert sorted(counts) == [(0, 1), *((i, 2) for i in range(1, 6))]
