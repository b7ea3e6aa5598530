"""The look before a build: rows a day, and busy keys cut in time, to the same bits."""

from collections import Counter
from contextlib import contextmanager

import pyarrow as pa
import pytest

from fraudlake.features.batch import survey as survey_module
from fraudlake.features.batch.addresses import ADDRESS, MOVED, AsTheyCame, TimeSlicing, opened
from fraudlake.features.batch.compute import Batch, compute
from fraudlake.features.batch.fan_out import FanOutTask
from fraudlake.features.batch.survey import Survey, survey
from fraudlake.lake.scan import Scan
from fraudlake.lake.tables import TRANSACTIONS

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


def cut(partitions, slicing):
    """What a look over rows says that are to be cut like this."""
    return Survey(0, 0, 0, 0, {}, None, partitions, slicing)


def slicing_of(rows, features, entities):
    return survey(Scan(rows), features, entities).slicing


def built(tables, features, entities, seen=None):
    transactions, labels = tables
    frame = compute(transactions, None, labels, features, entities, seen)
    return frame, sorted(tuple(row) for row in frame.collect())


@pytest.mark.parametrize("days", [4, 13])
def test_hot_keys_cut_in_time_give_equal_bits(spark, tables, features, entities, days):
    _, expected = built(tables, features, entities)
    slicing = {
        "customer": TimeSlicing((1, 2), 2 * DAY, 2 * DAY),
        "terminal": TimeSlicing((0,), days * DAY + days % 2, 4 * DAY),
    }
    frame, found = built(tables, features, entities, cut(5, slicing))
    assert found == expected
    assert len(found) == 400
    plan = frame._jdf.queryExecution().executedPlan().toString().split("== Initial Plan ==")[0]
    assert plan.count("shufflepartitionidpassthrough") == 2
    assert "REPARTITION_BY_COL" not in plan


def test_heavy_hitters_are_found_and_only_they(tables, features, entities, monkeypatch):
    assert slicing_of(tables[0], features, entities) == {}
    monkeypatch.setattr(survey_module, "_BURDEN", 100)
    monkeypatch.setattr(survey_module, "_MOST_ROWS", 200)
    slicing = slicing_of(tables[0], features, entities)
    counts = {row[0]: row[1] for row in tables[0].groupBy("customer_id").count().collect()}
    heavy = {key for key, count in counts.items() if count > 200}
    assert set(slicing.get("customer", TimeSlicing((), 0, 0)).keys) == heavy
    # Two partitions: half the time each is no cut that helps.
    assert "terminal" not in slicing


@pytest.mark.parametrize("key", ["bigint", "string"])
def test_leaders_among_very_many_keys_are_found(spark, feature_set, entities, monkeypatch, key):
    """Two leaders over 600,000 keys of a row each; a third just misses, with its bucket not."""
    monkeypatch.setattr(survey_module, "_BURDEN", 50)
    monkeypatch.setattr(survey_module, "_MOST_ROWS", 100)
    leaders = ((-1, 150), (-2, 120), (-3, 99))
    cases = (
        f"WHEN id % 1000 = {-leader} AND id < {n * 1000} THEN {leader}" for leader, n in leaders
    )
    rows = spark.range(600_000).selectExpr(
        "id AS tx_id",
        "timestamp_seconds(1522540800 + id * 300) AS event_time",
        f"CAST(CASE {' '.join(cases)} WHEN id % 1000 < 3 THEN NULL ELSE id END AS {key})"
        " AS terminal_id",
    )
    features = feature_set({"entity": "terminal", "operations": ["count"], "windows": ["1d"]})
    slicing = slicing_of(rows, features, entities)
    assert set(map(int, slicing["terminal"].keys)) == {-1, -2}


def test_a_hot_key_is_worked_on_by_several_tasks(spark, feature_set, entities, monkeypatch):
    """8,000 of 10,000 rows at one terminal, 8 partitions: no task gets a third of them."""
    monkeypatch.setattr(survey_module, "_BURDEN", 100)
    monkeypatch.setattr(survey_module, "_ROWS", 1000)
    rows = spark.range(10_000).selectExpr(
        "id AS tx_id",
        "timestamp_seconds(1522540800 + id * 300) AS event_time",
        "CAST(1 AS decimal(18,2)) AS amount",
        "id % 97 AS customer_id",
        "IF(id % 5 < 4, -1, id) AS terminal_id",
    )
    features = feature_set({"entity": "terminal", "operations": ["count"], "windows": ["1d"]})
    with shuffled_into(spark, 8):
        seen = survey(Scan(rows), features, entities)
    assert seen.partitions == 8
    assert seen.slicing["terminal"].keys == (-1,)
    batch = Batch(Scan(rows), None, None, features, entities, seen)
    windows = batch.windows
    sent = rows.mapInArrow(FanOutTask(AsTheyCame(1), ("tx_id",), windows), MOVED)
    sizes = Counter()
    for row in sent.where("_kind = 0").collect():
        address = opened([pa.scalar(row["_rows"], pa.binary())])[ADDRESS].to_numpy()
        sizes[row["_place"]] += int((address >= 0).sum())
    assert set(sizes) == set(range(8))
    assert sizes.total() == 10_000
    assert max(sizes.values()) < 2_000


@pytest.mark.parametrize("files", [True, False])
def test_days_and_transactions_are_counted(lake, world, features, entities, files):
    """Of the rows alone; those that only count do so for busy keys."""
    transactions, _ = world(7, rows=400, terminals=2)
    rows = lake.spark.createDataFrame(transactions).drop("place")
    rows.write.format("delta").save(lake.path(TRANSACTIONS))
    start = sorted(row["event_time"] for row in transactions)[150]
    targets = lake.scan(TRANSACTIONS, 0, start)
    past = lake.scan(TRANSACTIONS, 0, None, start)
    assert targets.shares
    if not files:
        targets, past = Scan(targets.frame), Scan(past.frame)
    seen = survey(targets, features, entities, past)
    wanted = [row for row in transactions if row["event_time"] >= start]
    assert seen.rows == len(wanted)
    days = Counter(row["event_time"].toordinal() - 719163 for row in wanted)
    assert seen.days == days
    which, hashes = 0, targets.frame.selectExpr("xxhash64(tx_id) AS h").collect()
    for row in hashes:
        which ^= row["h"]
    assert seen.which == which


def test_rows_that_are_none_do_not_stretch_time(spark, tables, features, entities, monkeypatch):
    """A range that begins with the history: no past, and slices as long as without one."""
    monkeypatch.setattr(survey_module, "_BURDEN", 20)
    monkeypatch.setattr(survey_module, "_MOST_ROWS", 10)
    nothing = Scan(tables[0].where("false"))
    alone = survey(Scan(tables[0]), features, entities)
    assert alone.slicing
    assert survey(Scan(tables[0]), features, entities, nothing) == alone
