"""The Spark plan around the kernels: equal to the oracle, and equal however the rows are cut."""

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from fraudlake.features import labels as labels_module
from fraudlake.features.batch.compute import compute, feature_columns
from fraudlake.features.labels import collected_changes, label_changes
from fraudlake.features.oracle import oracle
from fraudlake.lake import tables as lake_tables

TRANSACTIONS = """
    tx_id bigint, event_time timestamp, amount decimal(18,2), customer_id bigint, terminal_id string
"""
LABELS = "tx_id bigint, is_fraud boolean, known_at timestamp, source string"
START = datetime(2018, 4, 1, tzinfo=UTC)


def bits(row, names):
    return tuple(None if row[name] is None else np.float64(row[name]).tobytes() for name in names)


@contextmanager
def settings(spark, **values):
    """Spark settings inside the block; `__` stands for the dot."""
    names = {key.replace("__", "."): str(value) for key, value in values.items()}
    before = {name: spark.conf.get(name) for name in names}
    try:
        for name, value in names.items():
            spark.conf.set(name, value)
        yield
    finally:
        for name, value in before.items():
            spark.conf.set(name, value)


@pytest.fixture
def features(feature_set):
    return feature_set(
        {"column": "amount"},
        {"calendar": "night"},
        {
            "entity": "customer",
            "operations": ["count", {"mean": "amount"}, {"sum": "amount"}],
            "windows": ["1h", "7d"],
        },
        {"calendar": "weekend"},
        {
            "entity": "terminal",
            "operations": [{"rate": "fraud"}, "count", {"mean": "amount"}],
            "windows": ["1d", "30d"],
            "delay": "7d",
            "empty": -1,
        },
        {
            "entity": "customer",
            "operations": [{"max": "amount"}],
            "windows": ["1h"],
            "current": False,
            "empty": None,
        },
        {"ratio": ["customer_max_amount_1h", "customer_count_7d"], "empty": -2},
    )


@pytest.fixture
def rows(world):
    """Transactions with text keys, some of them and some amounts null; labels."""
    transactions, labels = world(11, rows=250)
    for row in transactions:
        row["terminal_id"] = None if row["terminal_id"] is None else f"t-{row['terminal_id']}"
        row["amount"] = None if row["tx_id"] % 17 == 0 else row["amount"]
    return transactions, labels


@pytest.fixture
def tables(spark, rows):
    transactions, labels = rows
    return spark.createDataFrame(transactions, TRANSACTIONS), spark.createDataFrame(labels, LABELS)


@pytest.fixture
def expected(rows, features, entities):
    """tx_id → bits of every feature, by the oracle."""
    names = list(feature_columns(features))
    return {r["tx_id"]: bits(r, names) for r in oracle(*rows, features, entities)}


def whole(tables, features, entities):
    transactions, labels = tables
    nothing = transactions.where("false")
    return compute(transactions, lambda _: nothing, labels, features, entities)


@pytest.mark.parametrize(("partitions", "batch"), [(1, 10_000), (3, 7), (8, 1)])
def test_every_row_equals_the_oracle_however_it_is_cut(
    spark, tables, features, entities, expected, partitions, batch
):
    names = list(feature_columns(features))
    with settings(
        spark,
        spark__sql__shuffle__partitions=partitions,
        spark__sql__adaptive__enabled="false",
        spark__sql__execution__arrow__maxRecordsPerBatch=batch,
    ):
        found = whole((tables[0].orderBy("amount"), tables[1]), features, entities).collect()
    assert len(found) == len(expected)
    assert {row["tx_id"]: bits(row, names) for row in found} == expected


def test_types_and_columns(tables, features, entities):
    built = whole(tables, features, entities)
    keys = {
        "tx_id": "bigint",
        "event_time": "timestamp",
        "customer_id": "bigint",
        "terminal_id": "string",
    }
    wanted = keys | feature_columns(features) | {"definition": "string"}
    assert dict(built.dtypes) == wanted
    assert built.select("definition").distinct().collect() == [(features.hash,)]


def test_rows_brought_along_count_and_are_not_computed(tables, features, entities, expected):
    """What a stream does: few targets, the history of their keys, labels known by then."""
    transactions, labels = tables
    names = list(feature_columns(features))
    now = START + timedelta(days=25)
    targets = transactions.where(f"event_time >= timestamp '{now:%F}' AND tx_id % 5 = 0")
    asked = []

    def history(entity):
        asked.append(entity)
        keys = targets.select(entities[entity]).distinct()
        others = transactions.join(targets.select("tx_id"), "tx_id", "left_anti")
        return others.join(keys, entities[entity], "left_semi")

    found = compute(targets, history, labels, features, entities).collect()
    assert asked == ["customer", "terminal"]
    assert 10 < len(found) < 40
    assert all(bits(row, names) == expected[row["tx_id"]] for row in found)


def test_what_comes_twice_counts_once(tables, features, entities, expected):
    transactions, labels = tables
    names = list(feature_columns(features))
    twice = transactions.unionByName(transactions.where("tx_id % 4 = 0"))
    found = compute(twice, lambda _: transactions, labels, features, entities).collect()
    assert len(found) == len(expected)
    assert {row["tx_id"]: bits(row, names) for row in found} == expected


def test_keys_that_look_alike_stay_apart(spark, feature_set, entities):
    """(1, '11') and (11, '1') at one instant, and the same second twice: one row each, its own."""
    rows = [
        (1, START, Decimal(1), 1, "11"),
        (2, START, Decimal(2), 11, "1"),
        (3, START, Decimal(4), 1, "11"),
        (4, START, Decimal(8), None, None),
        (5, START, Decimal(16), None, None),
    ]
    features = feature_set(
        {"entity": "customer", "operations": ["count", {"sum": "amount"}], "windows": ["1d"]},
        {"entity": "terminal", "operations": [{"sum": "amount"}], "windows": ["1d"], "empty": -1},
    )
    frame = spark.createDataFrame(rows, TRANSACTIONS)
    found = whole((frame, None), features, entities).orderBy("tx_id")
    assert [tuple(r) for r in found.select(*feature_columns(features)).collect()] == [
        (1, 1, 1),
        (1, 2, 2),
        (2, 5, 5),
        (0, 0, -1),
        (0, 0, -1),
    ]


def test_two_shuffles_for_all_entities_and_no_column_without_use(
    spark, tables, features, entities, tmp_path
):
    transactions, labels = tables
    transactions.selectExpr("*", "'long text' AS unused").write.parquet(f"{tmp_path}/transactions")
    labels.write.parquet(f"{tmp_path}/labels")
    read = tuple(spark.read.parquet(f"{tmp_path}/{name}") for name in ("transactions", "labels"))
    plan = whole(read, features, entities)._jdf.queryExecution().executedPlan().toString()
    # Out to the windows and home again.
    assert plan.count("shufflepartitionidpassthrough") == 2
    # What sends the targets, what sends each entity's context, the windows, and home.
    assert plan.count("MapInArrow") == 5
    # That of the labels about frauds, which are few and then broadcast.
    assert plan.count(" Exchange hashpartitioning") == 1
    assert "unused" not in plan


def test_calendar_is_in_utc(spark, feature_set, entities):
    hours = [START + timedelta(hours=h) for h in (0, 6, 7, 23, 24)]  # a Sunday, then a Monday
    rows = [(i, at, Decimal(1), 1, "t") for i, at in enumerate(hours)]
    features = feature_set({"calendar": "weekend"}, {"calendar": "night"})
    frame = spark.createDataFrame(rows, TRANSACTIONS)
    found = whole((frame, None), features, entities).orderBy("tx_id").collect()
    assert [r["weekend"] for r in found] == [1, 1, 1, 1, 0]
    assert [r["night"] for r in found] == [1, 1, 0, 0, 1]


def test_categories_stay_text_and_equal_columns_are_told(spark, feature_set):
    texts = [("a", "x", "x"), ("b", "x", "y"), (None, None, "y")]
    rows = spark.createDataFrame(
        [(i, START, 1, *text) for i, text in enumerate(texts)],
        "tx_id bigint, event_time timestamp, customer_id bigint, kind string, one string, "
        "other string",
    )
    declared = feature_set({"category": "kind"}, {"same": ["one", "other"]})
    found = compute(rows, lambda _: rows, None, declared, {"customer": "customer_id"})
    values = {row.tx_id: (row.kind, row.same_one_other) for row in found.collect()}
    assert values == {0: ("a", 1), 1: ("b", 0), 2: (None, None)}


def test_label_changes_are_the_same_without_spark(lake, world, monkeypatch):
    """Corrected and contradicted statements, some at one instant."""
    _, statements = world(5, rows=500)
    lake.create(lake_tables.LABELS)
    for number, part in enumerate((statements[::2], statements[1::2])):
        lake.append_once(lake_tables.LABELS, lake.spark.createDataFrame(part), "test", number)
    scan = lake.scan(lake_tables.LABELS, lake.version(lake_tables.LABELS))
    assert scan.shares
    wanted = sorted(tuple(row) for row in label_changes(scan.frame).collect())
    found = collected_changes(scan)
    assert sorted((r["tx_id"], r["_changes"]) for r in found.to_pylist()) == wanted
    assert any(len(changes) > 1 for _, changes in wanted)
    monkeypatch.setattr(labels_module, "_MOST", len(wanted) - 1)
    assert collected_changes(scan) is scan.frame
