"""The feature table: built again it stays as it is, changed inputs leave no stale row."""

import itertools
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from delta.tables import DeltaTable

from fraudlake import job
from fraudlake.datasets import load_dataset
from fraudlake.errors import ConfigError, DataError
from fraudlake.features.batch.compute import compute, computed, feature_columns
from fraudlake.features.definition.feature_set import load_feature_set
from fraudlake.features.table import build as build_module
from fraudlake.features.table.build import build
from fraudlake.lake.tables import FEATURES, LABELS, METRICS, TRANSACTIONS

START = datetime(2018, 4, 1, tzinfo=UTC)
DAY = timedelta(days=1)
OTHER = """
features:
  - entity: customer
    operations: [count]
    windows: [3d]
"""


def add(lake, table, rows):
    """Rows as they are, `ingested_at` and `source_file` empty."""
    columns = {**table.columns, "customer_id": "bigint", "terminal_id": "bigint"}
    names = lake.read(table).columns
    rows = [{name: row.get(name) for name in names} for row in rows]
    schema = ", ".join(f"{name} {columns[name]}" for name in names)
    frame = lake.spark.createDataFrame(rows, schema).coalesce(1)
    frame.write.format("delta").mode("append").save(lake.path(table))


@pytest.fixture
def filled(lake, world):
    """A lake with 200 transactions of 40 days and their labels."""
    transactions, labels = world(2, rows=200)
    keys = {"customer_id": "bigint", "terminal_id": "bigint"}
    lake.create(TRANSACTIONS, keys, {"dataset": "handbook"})
    lake.create(LABELS)
    add(lake, TRANSACTIONS, transactions)
    add(lake, LABELS, labels)
    return lake


def content(frame):
    return sorted(tuple(row) for row in frame.collect())


def fresh(lake, name="handbook"):
    """What a first build would give."""
    transactions = lake.read(TRANSACTIONS)
    nothing = transactions.where("false")
    entities = load_dataset("handbook").entities
    rows = compute(
        transactions, lambda _: nothing, lake.read(LABELS), load_feature_set(name), entities
    )
    return content(rows.select(*lake.read(FEATURES).columns))


def test_job_builds_once_and_converges_after_every_change(spark, filled):
    first = job.call("features", spark, lake=filled.root)
    assert first == {
        "job": "features",
        "rows": 200,
        "changed": True,
        "features": 15,
        "definition": load_feature_set("handbook").hash,
        "version": 1,
    }
    assert content(filled.read(FEATURES)) == fresh(filled)
    metrics = filled.version(METRICS)
    assert job.call("features", spark, lake=filled.root) == first | {"changed": False}
    assert (filled.version(FEATURES), filled.version(METRICS)) == (1, metrics)

    late = {
        "event_time": START + 10 * DAY,
        "amount": Decimal(5),
        "customer_id": 1,
        "terminal_id": 1,
    }
    add(filled, TRANSACTIONS, [late | {"tx_id": 9999}])
    stale = content(filled.read(FEATURES))
    corrected = filled.read(LABELS).where("is_fraud").first().asDict()
    corrected |= {"is_fraud": False, "known_at": corrected["known_at"] + DAY, "source": "court"}
    add(filled, LABELS, [corrected])
    assert job.call("features", spark, lake=filled.root)["changed"]
    rebuilt = content(filled.read(FEATURES))
    assert rebuilt == fresh(filled)
    assert len(rebuilt) == 201
    assert not set(stale) <= set(rebuilt)


@pytest.mark.slow
def test_ranges_add_up_to_the_whole(filled):
    feature_set, dataset = load_feature_set("handbook"), load_dataset("handbook")
    cuts = [None, START + 13 * DAY, None]
    for start, end in itertools.pairwise(cuts):
        assert build(filled, feature_set, dataset, start, end)["changed"]
    assert content(filled.read(FEATURES)) == fresh(filled)
    version = filled.version(FEATURES)
    assert not build(filled, feature_set, dataset, START + 14 * DAY, START + 15 * DAY)["changed"]
    filled.spark.sql(f"OPTIMIZE {filled.reference(FEATURES)}")
    assert not build(filled, feature_set, dataset, None, START + 13 * DAY)["changed"]
    # Nobody has built the whole at one go.
    assert build(filled, feature_set, dataset)["changed"]
    assert filled.version(FEATURES) == version + 2
    DeltaTable.forPath(filled.spark, filled.path(FEATURES)).delete("tx_id < 50")
    assert build(filled, feature_set, dataset, START, START + DAY)["changed"]


def test_another_definition_replaces_the_whole_table_and_never_a_part(filled, tmp_path):
    dataset = load_dataset("handbook")
    build(filled, load_feature_set("handbook"), dataset)
    (tmp_path / "other.yaml").write_text(OTHER)
    other = load_feature_set(str(tmp_path / "other.yaml"))
    before = filled.version(FEATURES)
    with pytest.raises(DataError, match="run without from and to to rebuild the table whole"):
        build(filled, other, dataset, START, START + DAY)
    assert filled.version(FEATURES) == before
    assert build(filled, other, dataset)["changed"]
    assert set(filled.read(FEATURES).columns) == {
        *("tx_id", "event_time", "customer_id", "terminal_id", "customer_count_3d", "definition")
    }
    assert content(filled.read(FEATURES)) == fresh(filled, str(tmp_path / "other.yaml"))
    detail = filled.spark.sql(f"DESCRIBE DETAIL {filled.reference(FEATURES)}").first()
    assert detail["clusteringColumns"] == ["event_time"]
    assert not build(filled, other, dataset)["changed"]
    # No feature over labels: a new label is no reason to build.
    add(
        filled,
        LABELS,
        [{"tx_id": 1, "is_fraud": True, "known_at": START + 99 * DAY, "source": "x"}],
    )
    assert not build(filled, other, dataset)["changed"]


def test_lost_rows_are_an_error(filled, monkeypatch):
    handbook, dataset = load_feature_set("handbook"), load_dataset("handbook")
    whole = build_module.collected
    monkeypatch.setattr(build_module, "collected", lambda made: replace(whole(made), rows=196))
    with pytest.raises(DataError, match="got 196 rows, expected one for each of 200 transactions"):
        build(filled, handbook, dataset)
    assert filled.read(FEATURES).count() == 0
    # Through Spark, the table is put back.
    monkeypatch.setattr(build_module, "computed", lambda b: computed(b).where("tx_id > 3"))
    with pytest.raises(DataError, match=r"got \d+ rows, expected one for each of \d+ transactions"):
        build(filled, handbook, dataset, START)
    assert filled.read(FEATURES).count() == 0


def test_commit_says_what_the_rows_were_made_from(filled):
    # What is left of a build that was killed before its first write is no reason to skip one.
    types = {"customer_id": "bigint", "terminal_id": "bigint"}
    handbook = load_feature_set("handbook")
    filled.create(FEATURES, types | feature_columns(handbook), {"definition": handbook.text})
    build(filled, handbook, load_dataset("handbook"), START)
    history = filled.spark.sql(f"DESCRIBE HISTORY {filled.reference(FEATURES)} LIMIT 1")
    note = json.loads(history.select("userMetadata").first()[0])["built"]
    assert note["definition"] == load_feature_set("handbook").hash
    assert (note["from"], note["to"]) == ("2018-04-01", None)
    assert note["inputs"]["labels"][1] == filled.version(LABELS)


def test_empty_lake_says_what_to_run(spark, lake):
    with pytest.raises(
        DataError, match=r"transactions: got no table .* run the job that writes it"
    ):
        job.call("features", spark, lake=lake.root)


def test_bad_pair_is_refused_before_spark_starts(tmp_path):
    text = OTHER.replace("[count]", "[{rate: fraud}]") + "    delay: 3d\n"
    (tmp_path / "hasty.yaml").write_text(text)
    words = [f"features={tmp_path}/hasty.yaml", "dataset=handbook", "form=2018-04-01"]
    with pytest.raises(ConfigError) as caught:
        job.parse(job.load("features")["Arguments"], words)
    assert any("form: unknown key" in line for line in caught.value.problems)
    with pytest.raises(ConfigError, match="got delay 3d, expected at least 7d, the label delay"):
        job.parse(job.load("features")["Arguments"], words[:2])


def test_bad_pair_is_refused_with_the_lakes_own_data_set_too(spark, filled, tmp_path):
    (tmp_path / "device.yaml").write_text(OTHER.replace("customer", "device"))
    with pytest.raises(
        ConfigError, match="got entity 'device', expected one of customer, terminal"
    ):
        job.call("features", spark, lake=filled.root, features=str(tmp_path / "device.yaml"))
    assert filled.version(FEATURES) == -1
