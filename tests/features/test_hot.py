"""Busy keys cut in time, partitions taken in chunks: the same bits as in one piece."""

from collections import Counter
from contextlib import contextmanager

import pyarrow as pa
import pytest

from fraudlake.features import compute as compute_module
from fraudlake.features import hot
from fraudlake.features.compute import _Kernel, compute
from fraudlake.features.hot import Cut, find_cuts

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


def built(tables, features, entities, cuts=None):
    transactions, labels = tables
    nothing = transactions.where("false")
    frame = compute(transactions, lambda _: nothing, labels, features, entities, cuts)
    return frame, sorted(tuple(row) for row in frame.collect())


@pytest.mark.parametrize("days", [4, 13])
def test_hot_keys_cut_in_time_give_equal_bits(spark, tables, features, entities, days):
    _, expected = built(tables, features, entities)
    cuts = {
        "customer": Cut((1, 2), 2 * DAY, 2 * DAY),
        "terminal": Cut((0,), days * DAY + days % 2, 4 * DAY),
    }
    with shuffled_into(spark, 5):
        frame, found = built(tables, features, entities, cuts)
    assert found == expected
    assert len(found) == 400
    plan = frame._jdf.queryExecution().executedPlan().toString().split("== Initial Plan ==")[0]
    assert plan.count("shufflepartitionidpassthrough") == 2
    assert "REPARTITION_BY_COL" not in plan


def test_heavy_hitters_are_found_and_only_they(tables, features, entities, monkeypatch):
    assert find_cuts(tables[0], features, entities) == {}
    monkeypatch.setattr(hot, "_BURDEN", 100)
    cuts = find_cuts(tables[0], features, entities)
    counts = {row[0]: row[1] for row in tables[0].groupBy("customer_id").count().collect()}
    heavy = {key for key, count in counts.items() if count > 200}
    assert set(cuts.get("customer", Cut((), 0, 0)).keys) == heavy
    # Two partitions: half the time each is no cut that helps.
    assert "terminal" not in cuts


def test_a_hot_key_is_worked_on_by_several_tasks(spark, feature_set, entities, monkeypatch):
    """8,000 of 10,000 rows at one terminal, 8 partitions: no task gets a third of them."""
    monkeypatch.setattr(hot, "_BURDEN", 100)
    rows = spark.range(10_000).selectExpr(
        "id AS tx_id",
        "timestamp_seconds(1522540800 + id * 300) AS event_time",
        "CAST(1 AS decimal(18,2)) AS amount",
        "id % 97 AS customer_id",
        "IF(id % 5 < 4, -1, id) AS terminal_id",
    )
    features = feature_set({"entity": "terminal", "operations": ["count"], "windows": ["1d"]})
    with shuffled_into(spark, 8):
        cuts = find_cuts(rows, features, entities)
        assert cuts["terminal"].keys == (-1,)
        nothing = rows.where("false")
        frame = compute(rows, lambda _: nothing, None, features, entities, cuts)
        parts = frame.selectExpr("spark_partition_id() AS part", "terminal_count_1d AS n")
        sizes = parts.groupBy("part").count().collect()
    assert len(sizes) == 8
    assert sum(row["count"] for row in sizes) == 10_000
    assert max(row["count"] for row in sizes) < 2_000


class _Recorded(_Kernel):
    """Remembers how many events each chunk held."""

    def _windows(self, table, targets):
        SIZES.append(len(table))
        return super()._windows(table, targets)


SIZES: list[int] = []


@pytest.mark.parametrize(("chunk", "batch"), [(1, 1), (7, 3), (64, 50), (10_000, 999)])
def test_chunks_give_equal_bits_and_hold_only_what_windows_reach(
    world, kernel, features, monkeypatch, chunk, batch
):
    transactions, _ = world(3, rows=600)
    for row in transactions[::20]:
        row["customer_id"] = None
    expected = kernel(transactions, [], features)
    of_customers = tuple(features.by_entity()["customer"])
    rows = sorted(
        transactions,
        key=lambda r: (r["customer_id"] is not None, r["customer_id"], r["event_time"], r["tx_id"]),
    )
    table = pa.table(
        {
            "customer_id": pa.array([r["customer_id"] for r in rows], pa.int64()),
            "event_time": pa.array([r["event_time"] for r in rows], pa.timestamp("us", "UTC")),
            "tx_id": [r["tx_id"] for r in rows],
            "_sum_amount": [int(r["amount"] * 100) for r in rows],
            "_target": [r["tx_id"] % 3 > 0 for r in rows],
        }
    )
    monkeypatch.setattr(compute_module, "_CHUNK_ROWS", chunk)
    SIZES.clear()
    run = _Recorded(("customer_id",), ("_sum_amount",), of_customers, {"amount": 100}, ("tx_id",))
    found = pa.Table.from_batches(run(iter(table.to_batches(max_chunksize=batch)))).to_pylist()
    names = [feature.name for feature in of_customers]
    assert found == [
        {"tx_id": r["tx_id"]} | {name: expected[r["tx_id"]][name] for name in names}
        for r in rows
        if r["tx_id"] % 3
    ]
    held = Counter((r["customer_id"], r["event_time"].date()) for r in rows)
    two_days = 3 * max(held.values())
    if chunk < 100:
        assert max(SIZES) < max(chunk, two_days) + batch + two_days
