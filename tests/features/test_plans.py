"""Batch, stream, single transactions and the oracle: one definition, the same bits."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from fraudlake.features.batch.compute import compute, feature_columns
from fraudlake.features.feature import Input
from fraudlake.features.labels import label_changes, signed
from fraudlake.features.operations import OPERATIONS
from fraudlake.features.oracle import oracle
from fraudlake.features.state import micro_batch, single, sorted_runs
from fraudlake.features.state.stores import RunPaths, Store
from fraudlake.session import configured

# Years before and after 1970, nights and days, weekends and not.
START = datetime(1969, 12, 27, 20, tzinfo=UTC)
TYPES = {
    "tx_id": "bigint",
    "event_time": "timestamp",
    "card_id": "bigint",
    "shop": "string",
    "zone": "int",
    "night": "bigint",  # like a feature of the calendar
    "weekend": "double",
    "price": "decimal(18,2)",
    "fee": "decimal(18,2)",
    "points": "int",
    "chip": "boolean",
    "text": "string",
    "home": "string",
    "home_zone": "bigint",
    "made": "timestamp",
    "latitude": "double",
    "longitude": "double",
}
ENTITIES = {"card": "card_id", "shop": "shop"}
LABELS = "tx_id bigint, is_fraud boolean, known_at timestamp, source string"
NUMBERS = ["night", "price", "points"]
# What a definition says of the columns above, by what an operation takes.
COLUMNS = {
    Input.NUMBER: "price",
    Input.VALUE: "shop",
    Input.PLACE: ["latitude", "longitude"],
}
PARAMETERS = {"half_life": {"half_life": "7h"}, "k": {"k": 2}, None: {}}


def rows(number=120):
    """Ties, nulls, negative and large numbers, NaN, −0, texts that look like parts of keys."""
    random = np.random.default_rng(3)

    def one_of(*values):
        return values[int(random.integers(len(values)))]

    for tx_id in range(number):
        at = START + timedelta(minutes=int(random.integers(0, 140)) * 71)
        yield {
            "tx_id": tx_id - 40,
            "event_time": at + timedelta(microseconds=int(random.integers(-1, 2))),
            "card_id": one_of(None, -1, 0, 7, 2**62),
            "shop": one_of(None, "", "a", "1:a", "ü", "a\0"),
            "zone": one_of(None, -1, 1, 11),
            "night": one_of(None, 7, -3, 10**13),
            "weekend": one_of(None, 0.5, -0.0, math.nan, -1e300),
            "price": one_of(None, Decimal("0.00"), Decimal("-12.34"), Decimal(10**13 - 1) / 100),
            "fee": one_of(None, Decimal(2**53 + 1) / 100, Decimal(1 - 10**18) / 100),
            "points": one_of(None, 0, -5, 2**31 - 1),
            "chip": one_of(None, True, False),
            "text": one_of(None, "", "a", "b"),
            "home": one_of(None, "", "a", "b "),
            "home_zone": one_of(None, -1, 1, 2**62 + 1),
            "made": one_of(None, START, START - timedelta(microseconds=1)),
            "latitude": one_of(None, math.nan, -0.0, 48.85, -90.0),
            "longitude": one_of(2.35, 180.0, None),
        }


def said(operation):
    """An operation as a definition says it."""
    column = COLUMNS.get(operation.input, operation.word)
    return {operation.name: column} | PARAMETERS[operation.parameter] if column else operation.name


def blocks():
    """Features of every kind; every operation that there is."""
    alone = [{"column": c} for c in ("night", "weekend", "price", "fee", "points", "chip")]
    alone += [{"column": "home_zone"}]
    alone += [{"category": "text"}, {"same": ["text", "home"]}, {"same": ["zone", "home_zone"]}]
    told = ["shop", "zone", "night", "price", "points", "chip", "made"]
    summed = [{name: c} for name in ("sum", "mean", "max") for c in NUMBERS]
    counted = ["count", *({"distinct": c} for c in told)]
    over_labels = [said(o) for o in OPERATIONS.values() if o.input is Input.LABELS]
    others = [said(o) for o in OPERATIONS.values() if o.input is not Input.LABELS]
    ratios = [
        {"ratio": ["weekend", "card_sum_price_3d"]},
        {"ratio": ["card_sum_price_3d", "night"], "empty": None},
        {"ratio": ["card_count_3d", "card_distinct_shop_3d"]},
        {"ratio": ["card_since_9d", "same_text_home"], "empty": None},
    ]
    return [
        *alone,
        {"entity": "card", "operations": [*counted, *summed], "windows": ["3d"]},
        {"entity": "card", "operations": others, "windows": ["9d"], "current": False,
         "empty": None},
        *({"entity": e, "operations": ["count", {"sum": "price"}], "windows": ["2d"], "empty": None}
          for e in ("shop", "zone", ["card", "shop"], ["shop", "zone"])),
        {"entity": "shop", "windows": ["4d"], "delay": "1d",
         "operations": ["count", *over_labels]},
        *ratios,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def transactions():
    return list(rows())


@pytest.fixture(scope="module")
def statements(transactions):
    return [
        {
            "tx_id": row["tx_id"],
            "is_fraud": bool(row["tx_id"] % 2),
            "known_at": row["event_time"] + timedelta(hours=30),
            "source": "bank",
        }
        for row in transactions
        if row["tx_id"] % 3
    ]


@pytest.fixture(autouse=True)
def as_in_the_stream_job(spark):
    """Adaptive planning would leave out tasks without rows, and with them their files."""
    with configured(spark, {"spark.sql.adaptive.enabled": "false"}):
        yield


@pytest.fixture(scope="module")
def frames(spark, transactions, statements):
    schema = ", ".join(f"{name} {kind}" for name, kind in TYPES.items())
    return spark.createDataFrame(transactions, schema), spark.createDataFrame(statements, LABELS)


def run_paths(feature_set, folder, known=(), new="w0"):
    """Two partitions of every store, both in one task."""
    stores = [*Store, *feature_set.by_entity()]
    return {s: RunPaths(str(folder / str(n)), known, new, 2) for n, s in enumerate(stores)}


def batch(frames, feature_set, _):
    payments, labels = frames
    nothing = payments.where("false")
    built = compute(payments, lambda _: nothing, labels, feature_set, ENTITIES)
    wanted = feature_columns(feature_set)
    assert {n: t for n, t in built.dtypes if n in wanted} == wanted
    return built


def stream(frames, feature_set, folder):
    """Everything in one micro-batch, with the labels that are known."""
    from pyspark.sql import functions as F

    payments, labels = frames
    nothing, changes = payments.where("tx_id > 1000"), label_changes(labels)
    before = run_paths(feature_set, folder)
    micro_batch.remember(nothing, changes, feature_set, ENTITIES, before)
    after = run_paths(feature_set, folder, ("w0",), "b0")
    rows = payments.withColumn("raw", F.lit(""))
    found = micro_batch.windows(rows, feature_set, ENTITIES, after, {"tx_id": "tx_id"})
    wanted = {"tx_id": "bigint"} | feature_columns(feature_set) | {"definition": "string"}
    assert dict(found.dtypes) == wanted
    return found


def each(frames, feature_set, folder, asked):
    """Each by itself, where all are remembered."""
    payments, labels = frames
    to = run_paths(feature_set, folder)
    micro_batch.remember(payments, label_changes(labels), feature_set, ENTITIES, to)
    written = run_paths(feature_set, folder, ("w0",))
    runs = {
        entity: [sorted_runs.Run(a) for n in range(2) for a in written[entity].read(n)]
        for entity in feature_set.by_entity()
    }
    found = single.features_of_each(asked, feature_set, ENTITIES, TYPES, runs).to_pylist()
    return [{"tx_id": row["tx_id"]} | values for row, values in zip(asked, found, strict=True)]


def bits(value):
    """What is compared: null and NaN are one, −0 and 0 are two."""
    if value is None or value != value:  # noqa: PLR0124  # NaN
        return None
    return value if isinstance(value, str) else np.float64(value).tobytes()


def values(rows, feature_set):
    return {
        row["tx_id"]: {f.name: row[f.name] for f in feature_set.features}
        for row in (r if isinstance(r, dict) else r.asDict() for r in rows)
    }


def test_all_plans_give_the_same_bits(frames, transactions, statements, feature_set, tmp_path):
    chosen = feature_set(*blocks())
    expected = values(oracle(transactions, statements, chosen, ENTITIES), chosen)
    whole = values(batch(frames, chosen, None).collect(), chosen)
    streamed = values(stream(frames, chosen, tmp_path / "a").collect(), chosen)
    single_ = values(each(frames, chosen, tmp_path / "b", transactions), chosen)
    assert whole.keys() == streamed.keys() == single_.keys() == expected.keys()
    seen = {f.name: set() for f in chosen.features}
    for tx_id, row in whole.items():
        for feature in chosen.features:
            got, wanted = row[feature.name], expected[tx_id][feature.name]
            seen[feature.name].add(bits(got))
            assert bits(streamed[tx_id][feature.name]) == bits(got), (feature, tx_id)
            assert bits(single_[tx_id][feature.name]) == bits(got), (feature, tx_id)
            if feature.operation is None or feature.operation.exact:
                assert bits(got) == bits(wanted), (feature, tx_id, got, wanted)
            else:
                assert math.isclose(got or 0, wanted or 0, rel_tol=1e-9, abs_tol=1e-9), feature
    assert all(len(values) > 1 for values in seen.values()), seen


def test_a_column_named_like_the_calendar_is_a_column(
    frames, transactions, statements, feature_set, tmp_path
):
    chosen = feature_set({"column": "night"}, {"column": "weekend"}, over_cards())
    for plan in (batch, stream):
        for row in plan(frames, chosen, tmp_path).collect():
            source = transactions[row["tx_id"] + 40]
            assert bits(row["night"]) == bits(source["night"])
            assert bits(row["weekend"]) == bits(source["weekend"])
    for found in (
        each(frames, chosen, tmp_path / "each", transactions),
        oracle(transactions, statements, chosen, ENTITIES),
    ):
        for row, source in zip(found, transactions, strict=True):
            assert bits(row["night"]) == bits(source["night"])
            assert bits(row["weekend"]) == bits(source["weekend"])


def over_cards():
    return {"entity": "card", "operations": ["count"], "windows": ["1d"]}


def test_labels_that_come_between_two_micro_batches(
    frames, transactions, statements, feature_set, tmp_path
):
    """Late labels and corrections of what is remembered count from the next batch on."""
    from pyspark.sql import functions as F

    payments, _ = frames
    spark = payments.sparkSession
    chosen = feature_set(
        {"entity": "shop", "windows": ["2d", "4d"], "delay": "1d", "empty": None, "operations": [
            {"rate": "fraud"}, "streak", "since_fraud", "since_genuine"]},
    )  # fmt: skip
    corrected = [
        s | {"is_fraud": not s["is_fraud"], "source": "court",
             "known_at": s["known_at"] + timedelta(hours=9)}
        for s in statements[::4]
    ]  # fmt: skip
    early, every = statements[::2], [*statements, *corrected]
    middle = START + timedelta(days=4)
    first, rest = (
        payments.where(F.col("event_time") < middle),
        payments.where(F.col("event_time") >= middle),
    )
    before, after = (
        signed(label_changes(spark.createDataFrame(s, LABELS))) for s in (early, every)
    )
    news = after.unionByName(before.withColumn("change", -F.col("change")))
    news = news.groupBy("tx_id", "known").agg(F.sum("change").alias("change")).where("change != 0")

    def step(new, **known):
        known_of = {Store.LABELS: known["labels"], Store.TRANSACTIONS: known["events"]}
        return {
            store: replace(paths, known=known_of.get(store, known["shop"]))
            for store, paths in run_paths(chosen, tmp_path, (), new).items()
        }

    def answered(rows, paths):
        raw = rows.withColumn("raw", F.lit(""))
        found = micro_batch.windows(raw, chosen, ENTITIES, paths, {"tx_id": "tx_id"})
        return values(found.collect(), chosen)

    none = payments.where("tx_id > 1000")
    changes = label_changes(spark.createDataFrame(early, LABELS))
    micro_batch.remember(none, changes, chosen, ENTITIES, step("w0", labels=(), events=(), shop=()))
    w0 = ("w0",)
    found = answered(first, step("b0", labels=w0, events=w0, shop=w0))
    paths = step("l1", labels=w0, events=("w0", "b0"), shop=())
    micro_batch.relabel(news, chosen, ENTITIES, paths)
    later = answered(
        rest, step("b1", labels=("w0", "l1"), events=("w0", "b0"), shop=("w0", "b0", "l1"))
    )
    old = [row for row in transactions if row["event_time"] < middle]
    expected = values(oracle(old, early, chosen, ENTITIES), chosen)
    assert found == {tx_id: expected[tx_id] for tx_id in found}
    expected = values(oracle(transactions, every, chosen, ENTITIES), chosen)
    assert later == {tx_id: expected[tx_id] for tx_id in later}
    assert len(found) + len(later) == len(transactions)
    for feature in chosen.features:
        assert len({row[feature.name] for row in later.values()}) > 2
