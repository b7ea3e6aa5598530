"""A feature set changes: what means the same is kept, the rest is computed, nothing is off."""

import logging
from datetime import UTC, datetime, timedelta

import pytest

from fraudlake import job
from fraudlake.datasets import load_dataset
from fraudlake.features.batch.compute import compute
from fraudlake.features.definition import feature_set as definition
from fraudlake.features.definition.feature_set import load_feature_set
from fraudlake.features.table import build as build_module
from fraudlake.features.table import conversion as conversion_module
from fraudlake.features.table import increment
from fraudlake.features.table.build import build
from fraudlake.features.table.conversion import conversion
from fraudlake.lake import Lake
from fraudlake.lake.tables import FEATURES, LABELS, TRANSACTIONS

START = datetime(2018, 4, 1, tzinfo=UTC)
DAY = timedelta(days=1)
DATASET = load_dataset("handbook")
OLD = """
features:
  - column: amount
  - calendar: night
  - {entity: customer, operations: [count, {mean: amount}], windows: [6h, 2d]}
"""
NEW = """
features:
  - {entity: customer, operations: [count, {mean: amount}], windows: [2d]}
  - {entity: customer, operations: [count], windows: [6h], current: false}
  - column: amount
  - {entity: terminal, operations: [{rate: fraud}], windows: [5d], delay: 7d}
  - ratio: [customer_count_6h, customer_count_2d]
"""
COMPUTED = {"customer_count_6h", "terminal_rate_fraud_5d_delay7d"}
RATIO = "customer_count_6h_over_customer_count_2d"


@pytest.fixture
def sets(tmp_path):
    """The feature set before, and after its YAML was changed."""
    for name, text in {"old": OLD, "new": NEW}.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    return tuple(load_feature_set(str(tmp_path / f"{name}.yaml")) for name in ("old", "new"))


@pytest.fixture
def parts(spark, world, tmp_path):
    """A lake with 38 days of transactions and half of the labels; and what came later."""
    transactions, labels = world(5, rows=400, customers=30, terminals=20)
    lake = Lake(spark, str(tmp_path / "lake"))
    lake.create(TRANSACTIONS, {"customer_id": "bigint", "terminal_id": "bigint"})
    lake.create(LABELS)
    late = [r for r in transactions if r["event_time"] > START + 38 * DAY or r["tx_id"] % 99 == 0]
    add(lake, TRANSACTIONS, [r for r in transactions if r not in late])
    add(lake, LABELS, labels[::2])
    return lake, late, labels[1::2]


def add(lake, table, rows):
    kinds = {**table.columns, "customer_id": "bigint", "terminal_id": "bigint"}
    names = lake.read(table).columns
    frame = lake.spark.createDataFrame(
        [{name: row.get(name) for name in names} for row in rows],
        ", ".join(f"{name} {kinds[name]}" for name in names),
    )
    frame.coalesce(1).write.format("delta").mode("append").save(lake.path(table))


def content(frame, columns):
    return {row["tx_id"]: tuple(row) for row in frame.select(*columns).collect()}


def is_right(lake, feature_set):
    """Whether the table is what a first build would give, column for column, row for row."""
    rows = lake.read(TRANSACTIONS)
    nothing = rows.where("false")
    whole = compute(rows, lambda _: nothing, lake.read(LABELS), feature_set, DATASET.entities)
    standing = lake.read(FEATURES)
    same_columns = set(whole.columns) == set(standing.columns)
    return same_columns and content(standing, whole.columns) == content(whole, whole.columns)


@pytest.fixture
def computed(monkeypatch):
    """Names of the features that each computation was asked for, by the module that asked."""
    calls = []
    for way in ("computed", "brought_home"):
        run = getattr(build_module, way)

        def whole(batch, *rest, run=run):
            calls.append(("build", {f.name for f in batch.feature_set.features}))
            return run(batch, *rest)

        monkeypatch.setattr(build_module, way, whole)
    run = increment.brought_home

    def part(batch, *rest):
        calls.append(("increment", {f.name for f in batch.feature_set.features}))
        return run(batch, *rest)

    monkeypatch.setattr(increment, "brought_home", part)

    def other(targets, context, statements, feature_set, *rest):
        calls.append(("conversion", {f.name for f in feature_set.features}))
        return compute(targets, context, statements, feature_set, *rest)

    monkeypatch.setattr(conversion_module, "compute", other)
    return calls


def test_what_is_kept_means_the_same(sets, monkeypatch):
    old, new = sets
    plan = conversion(old.text, new)
    assert plan.kept == ["customer_count_2d", "customer_mean_amount_2d", "amount"]
    # One has its old name and another meaning, and the ratio is made from it.
    assert plan.computed == ["customer_count_6h", "terminal_rate_fraud_5d_delay7d", RATIO]
    assert plan.dropped == ["night", "customer_mean_amount_6h"]
    assert conversion(new.text, new).computed == []
    assert (
        RATIO
        in conversion(new.only(set(old.text) | {RATIO, "customer_count_2d"}).text, new).computed
    )
    monkeypatch.setattr(conversion_module, "KERNEL_VERSION", definition.KERNEL_VERSION + 1)
    assert not conversion(new.text, new).kept


def test_a_feature_gained_is_computed_alone_and_increments_go_on(parts, sets, computed, caplog):
    lake, late, said = parts
    old, new = sets
    caplog.set_level(logging.INFO, "fraudlake")
    build(lake, old, DATASET)
    computed.clear()

    result = build(lake, new, DATASET)
    assert computed == [("conversion", COMPUTED | {RATIO, "customer_count_2d"})]
    kinds = {"features_kept": 3, "features_computed": 3, "features_dropped": 2}
    assert result.items() >= {"changed": True, **kinds}.items()
    assert f"computing customer_count_6h, terminal_rate_fraud_5d_delay7d, {RATIO}; " in caplog.text
    assert "keeping 3 others; dropping night, customer_mean_amount_6h" in caplog.text
    assert is_right(lake, new)
    assert lake.properties(FEATURES)["definition"] == new.text
    assert not build(lake, new, DATASET)["changed"]

    # Features go and rows come: the one without a computation, the other as ever.
    add(lake, TRANSACTIONS, late)
    add(lake, LABELS, said[:4])
    computed.clear()
    fewer = new.only({"customer_count_2d", "terminal_rate_fraud_5d_delay7d", "amount"})
    result = build(lake, fewer, DATASET)
    assert [name for name, _ in computed] == ["increment"]
    wanted = {"features_kept": 3, "features_computed": 0, "features_dropped": 3, "new": len(late)}
    assert result.items() >= wanted.items()
    assert is_right(lake, fewer)


def test_a_table_that_does_not_say_what_it_means_is_built_whole(parts, sets, computed, caplog):
    lake, _, _ = parts
    old, new = sets
    caplog.set_level(logging.INFO, "fraudlake")
    build(lake, old, DATASET)
    lake.spark.sql(
        f"ALTER TABLE {lake.reference(FEATURES)} UNSET TBLPROPERTIES ('fraudlake.definition')"
    )
    computed.clear()
    assert "features_kept" not in build(lake, new, DATASET)
    assert [name for name, _ in computed] == ["build"]
    assert "building the whole table: the table does not say what its columns mean" in caplog.text
    assert lake.properties(FEATURES)["definition"] == new.text


def test_two_versions_stand_side_by_side(parts, sets):
    lake, _, _ = parts
    old, new = sets
    second = Lake(lake.spark, lake.root, "features_v2")
    assert second.path(FEATURES) == f"{lake.root}/features_v2"
    build(lake, old, DATASET)
    version = lake.version(FEATURES)
    result = job.call(
        "features",
        lake.spark,
        lake=lake.root,
        dataset="handbook",
        features=new.name,
        table="features_v2",
    )
    assert result["definition"] == new.hash
    assert is_right(second, new)
    assert lake.version(FEATURES) == version
    assert lake.read(FEATURES).select("definition").distinct().collect() == [(old.hash,)]
