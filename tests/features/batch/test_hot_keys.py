"""Busy keys cut in time: the same bits as in one piece."""

from contextlib import contextmanager

import pytest

from fraudlake.features.batch import hot_keys
from fraudlake.features.batch.compute import compute
from fraudlake.features.batch.hot_keys import find_skewed_keys
from fraudlake.features.exchange import TimeSlicing

DAY = 86_400_000_000


@pytest.fixture
def features(feature_set):
    return feature_set(
        {
            "entity": "customer",
            "operations": ["count", {"sum": "amount"}],
            "windows": ["1h", "2d"],
        },
        {
            "entity": "terminal",
            "operations": ["count", {"rate": "fraud"}, {"mean": "amount"}],
            "windows": ["1h", "3d"],
            "delay": "1d",
        },
    )


@pytest.fixture
def tables(spark, world):
    transactions, labels = world(7, rows=400, terminals=2)
    rows = spark.createDataFrame(
        transactions,
        "tx_id bigint, event_time timestamp, amount decimal(18,2), customer_id bigint,"
        "terminal_id bigint",
    )
    known = "tx_id bigint, is_fraud boolean, known_at timestamp, source string"
    return rows, spark.createDataFrame(labels, known)


@contextmanager
def shuffled_into(spark, partitions):
    spark.conf.set("spark.sql.shuffle.partitions", str(partitions))
    try:
        yield
    finally:
        spark.conf.set("spark.sql.shuffle.partitions", "2")


def built(tables, features, entities, slicing=None):
    transactions, labels = tables
    nothing = transactions.where("false")
    frame = compute(transactions, lambda _: nothing, labels, features, entities, slicing)
    return frame, sorted(tuple(row) for row in frame.collect())


@pytest.mark.parametrize("days", [4, 13])
def test_hot_keys_cut_in_time_give_equal_bits(spark, tables, features, entities, days):
    _, expected = built(tables, features, entities)
    slicing = {
        "customer": TimeSlicing((1, 2), 2 * DAY, 2 * DAY),
        "terminal": TimeSlicing((0,), days * DAY + days % 2, 4 * DAY),
    }
    with shuffled_into(spark, 5):
        frame, found = built(tables, features, entities, slicing)
    assert found == expected
    assert len(found) == 400
    plan = frame._jdf.queryExecution().executedPlan().toString().split("== Initial Plan ==")[0]
    assert plan.count("shufflepartitionidpassthrough") == 2
    assert "REPARTITION_BY_COL" not in plan


def test_heavy_hitters_are_found_and_only_they(tables, features, entities, monkeypatch):
    assert find_skewed_keys(tables[0], features, entities) == {}
    monkeypatch.setattr(hot_keys, "_BURDEN", 100)
    slicing = find_skewed_keys(tables[0], features, entities)
    counts = {row[0]: row[1] for row in tables[0].groupBy("customer_id").count().collect()}
    heavy = {key for key, count in counts.items() if count > 200}
    assert set(slicing.get("customer", TimeSlicing((), 0, 0)).keys) == heavy
    # Two partitions: half the time each is no cut that helps.
    assert "terminal" not in slicing


@pytest.mark.parametrize("key", ["bigint", "string"])
def test_leaders_among_very_many_keys_are_found(spark, feature_set, entities, monkeypatch, key):
    """Two leaders over 600,000 keys of a row each; a third just misses, with its bucket not."""
    monkeypatch.setattr(hot_keys, "_BURDEN", 50)
    leaders = ((-1, 150), (-2, 120), (-3, 99))
    cases = (
        f"WHEN id % 1000 = {-leader} AND id < {n * 1000} THEN {leader}" for leader, n in leaders
    )
    rows = spark.range(600_000).selectExpr(
        "timestamp_seconds(1522540800 + id * 300) AS event_time",
        f"CAST(CASE {' '.join(cases)} WHEN id % 1000 < 3 THEN NULL ELSE id END AS {key})"
        " AS terminal_id",
    )
    features = feature_set({"entity": "terminal", "operations": ["count"], "windows": ["1d"]})
    with shuffled_into(spark, 6_000):  # 100 rows each
        slicing = find_skewed_keys(rows, features, entities)
    assert set(map(int, slicing["terminal"].keys)) == {-1, -2}


def test_a_hot_key_is_worked_on_by_several_tasks(spark, feature_set, entities, monkeypatch):
    """8,000 of 10,000 rows at one terminal, 8 partitions: no task gets a third of them."""
    monkeypatch.setattr(hot_keys, "_BURDEN", 100)
    rows = spark.range(10_000).selectExpr(
        "id AS tx_id",
        "timestamp_seconds(1522540800 + id * 300) AS event_time",
        "CAST(1 AS decimal(18,2)) AS amount",
        "id % 97 AS customer_id",
        "IF(id % 5 < 4, -1, id) AS terminal_id",
    )
    features = feature_set({"entity": "terminal", "operations": ["count"], "windows": ["1d"]})
    with shuffled_into(spark, 8):
        slicing = find_skewed_keys(rows, features, entities)
        assert slicing["terminal"].keys == (-1,)
        nothing = rows.where("false")
        frame = compute(rows, lambda _: nothing, None, features, entities, slicing)
        parts = frame.selectExpr("spark_partition_id() AS part", "terminal_count_1d AS n")
        sizes = parts.groupBy("part").count().collect()
    assert len(sizes) == 8
    assert sum(row["count"] for row in sizes) == 10_000
    assert max(row["count"] for row in sizes) < 2_000
