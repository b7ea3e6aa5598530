"""Every write and its re-run rule."""

from __future__ import annotations

import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fraudlake.errors import DataError
from fraudlake.lake import Lake, delta_log, violations
from fraudlake.lake.commits import METADATA
from fraudlake.lake.tables import FEATURES, FLAGGED, LABELS, METRICS, TABLES

SCHEMA = ", ".join(f"{name} {kind}" for name, kind in LABELS.columns.items())


def labels(spark, *ids):
    known = datetime(2018, 8, 8, tzinfo=UTC)
    return spark.createDataFrame([(i, True, known, "test") for i in ids], SCHEMA)


def test_every_key_is_a_column():
    for table in TABLES.values():
        assert {*table.key, *table.required, *table.cluster_by} <= set(table.columns)


def test_insert_missing_adds_once(spark, lake):
    lake.create(LABELS)
    assert lake.insert_missing(LABELS, labels(spark, 1, 2)) == 2
    version = lake.version(LABELS)
    assert lake.insert_missing(LABELS, labels(spark, 1, 2)) == 0
    assert lake.version(LABELS) == version
    assert lake.insert_missing(LABELS, labels(spark, 2, 3)) == 1
    assert sorted(r.tx_id for r in lake.read(LABELS).collect()) == [1, 2, 3]


def test_what_was_looked_at_is_looked_at_again_where_others_have_written(spark, lake):
    lake.create(LABELS)
    assert lake.insert_missing(LABELS, labels(spark, 1)) == 1
    looked = lake.version(LABELS)
    assert lake.insert_missing(LABELS, labels(spark, 2), looked=looked) == 1
    assert lake.insert_missing(LABELS, labels(spark, 2, 3), looked=looked) == 1
    assert sorted(r.tx_id for r in lake.read(LABELS).collect()) == [1, 2, 3]


@pytest.mark.parametrize("name", ["a lake", "of [2] {3,4}*?"])
def test_a_whole_table_is_what_it_was_at_a_version(spark, tmp_path, name):
    lake = Lake(spark, str(tmp_path / name))
    lake.create(LABELS)
    assert lake.whole(LABELS, 0).count() == 0
    for number in (1, 2):
        lake.insert_missing(LABELS, labels(spark, number))
    for version in (1, 2):
        whole = lake.whole(LABELS, version)
        assert whole.dtypes == lake.read(LABELS).dtypes
        assert whole.sort("tx_id").collect() == lake.read(LABELS, version).sort("tx_id").collect()
        assert whole.count() == version


def test_insert_missing_beside_another_that_inserts_the_same(spark, lake, monkeypatch):
    """Both find nothing there and begin to write at one moment; Delta refuses one of them."""
    lake.create(LABELS)
    told, both = violations.told, threading.Barrier(2)

    def together(*arguments):
        with suppress(threading.BrokenBarrierError):
            both.wait(20)
        both.abort()
        return told(*arguments)

    monkeypatch.setattr(violations, "told", together)
    with ThreadPoolExecutor(2) as pool:
        parts = [labels(spark, 1, 2, 3), labels(spark, 2, 3, 4)]
        counts = list(pool.map(lambda rows: lake.insert_missing(LABELS, rows), parts))
    assert sorted(r.tx_id for r in lake.read(LABELS).collect()) == [1, 2, 3, 4]
    assert sorted(counts) == [1, 3]


def test_append_once_skips_a_version_that_stands(spark, lake):
    lake.create(LABELS)
    for version in (0, 0, 1, 0):
        lake.append_once(LABELS, labels(spark, version), "app", version)
    lake.append_once(LABELS, labels(spark, 7), "other", 0)
    assert sorted(r.tx_id for r in lake.read(LABELS).collect()) == [0, 1, 7]


def test_append_once_without_a_checksum_file(spark, lake):
    """The log's state says it then; the commits look the same."""
    lake.create(LABELS)
    log = Path(lake.path(LABELS), "_delta_log")
    for version in (0, 1, 1, 2):
        lake.append_once(LABELS, labels(spark, version), "app", version)
        if version == 1:
            for path in set(log.glob("*.crc")):
                path.unlink()
            spark._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()
    assert sorted(r.tx_id for r in lake.read(LABELS).collect()) == [0, 1, 2]
    actions = [json.loads(line) for path in log.glob("*.json") for line in path.open()]
    marks = sorted((a["txn"]["appId"], a["txn"]["version"]) for a in actions if "txn" in a)
    assert marks == [("app", 0), ("app", 1), ("app", 2)]


def test_summarise_only_after_enough_commits(spark, lake):
    lake.create(LABELS)
    log = Path(lake.path(LABELS), "_delta_log")
    for version in range(3):
        delta_log.summarise(spark, lake.path(LABELS), 4)
        assert not list(log.glob("*.checkpoint*.parquet"))
        lake.append_once(LABELS, labels(spark, version), "app", version)
    delta_log.summarise(spark, lake.path(LABELS), 4)
    spark._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()
    for number in range(lake.version(LABELS)):
        (log / f"{number:020}.json").unlink()
    assert sorted(row.tx_id for row in lake.read(LABELS).collect()) == [0, 1, 2]


def test_a_summary_for_every_so_many_commits_and_no_more(spark, lake):
    lake.create(LABELS)
    for version in range(9):
        lake.append_once(LABELS, labels(spark, version), "app", version)
        delta_log.summarise(spark, lake.path(LABELS), 4)
    found = Path(lake.path(LABELS), "_delta_log").glob("[0-9]*.checkpoint*")
    assert sorted(int(path.name.partition(".")[0]) for path in found) == [3, 7]


def test_version_sees_what_others_commit(spark, lake):
    """A commit that another process has written; then the same table made anew by it."""
    lake.create(LABELS)
    log = Path(lake.path(LABELS), "_delta_log")
    lake.append_once(LABELS, labels(spark, 0), "app", 0)
    hidden = [path.rename(path.with_suffix(".hidden")) for path in log.glob("*1.json")]
    (log / "00000000000000000001.crc").unlink()
    spark._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()
    assert lake.version(LABELS) == 0
    for path in hidden:
        path.rename(path.with_suffix(".json"))
    assert lake.version(LABELS) == 1
    lake.append_once(LABELS, labels(spark, 0), "app", 0)
    assert lake.version(LABELS) == 1
    for path in log.glob("*1.*"):
        path.unlink()
    assert lake.version(LABELS) == 0


def test_what_expired_of_the_log_goes_with_a_summary(spark, lake):
    """A table that a stream writes keeps two days of it; summaries here are of 1, 3 and 5."""
    lake.create(FLAGGED)
    log, left = Path(lake.path(FLAGGED), "_delta_log"), []
    for number in range(1, 6):
        setting = f"SET TBLPROPERTIES ('number' = '{number}')"
        spark.sql(f"ALTER TABLE {lake.reference(FLAGGED)} {setting}")
        delta_log.summarise(spark, lake.path(FLAGGED), 2)
        left.append(sorted(int(path.stem) for path in log.glob("*.json")))
        if number == 3:
            for path in log.glob("[0-9]*"):
                old = time.time() - 4 * 86_400 + 60 * int(path.name.partition(".")[0])
                os.utime(path, (old, old))
    assert left[-2:] == [[0, 1, 2, 3, 4], [3, 4, 5]]
    assert lake.version(FLAGGED) == 5


def test_create_refuses_other_columns(lake):
    lake.create(METRICS)
    lake.create(METRICS)
    with pytest.raises(DataError, match=r"colour \(got no such column, expected string\)"):
        lake.create(METRICS, {"colour": "string"})


def test_constraint_and_properties(spark, lake):
    from fraudlake.lake.tables import SCORES

    lake.create(SCORES, properties={"dataset": "handbook"})
    assert lake.properties(SCORES)["dataset"] == "handbook"
    schema = ", ".join(f"{name} {kind}" for name, kind in SCORES.columns.items())
    wrong = [
        (1, datetime(2018, 1, 1, tzinfo=UTC), 1.5, "m", 1, "d", datetime(2018, 1, 1, tzinfo=UTC))
    ]
    with pytest.raises(DataError, match=r"got a row with score 1\.5, expected score >= 0 AND"):
        lake.append_once(SCORES, spark.createDataFrame(wrong, schema), "app", 1)
    # An older table may lack it: the next job makes it good.
    spark.sql(f"ALTER TABLE {lake.reference(SCORES)} DROP CONSTRAINT score_is_probability")
    lake.create(SCORES)
    with pytest.raises(DataError, match=r"got a row with score 1\.5, expected score >= 0 AND"):
        lake.append_once(SCORES, spark.createDataFrame(wrong, schema), "app", 2)


def test_catalog_lake(spark):
    spark.sql("CREATE SCHEMA IF NOT EXISTS fraud")
    lake = Lake(spark, "spark_catalog.fraud")
    try:
        lake.create(LABELS)
        assert lake.insert_missing(LABELS, labels(spark, 1)) == 1
        assert lake.append_once(LABELS, labels(spark, 2), "app", 0, 1)
        assert lake.append_once(LABELS, labels(spark, 2), "app", 0)
        assert not lake.append_once(LABELS, labels(spark, 3), "app", 1, 1)
        assert lake.applications(LABELS) == {"app"}
        assert sorted(r.tx_id for r in lake.read(LABELS).collect()) == [1, 2]
    finally:
        spark.sql("DROP SCHEMA fraud CASCADE")


def test_root_beneath_the_working_folder(spark, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lake = Lake(spark, "lake/")
    lake.create(LABELS)
    assert lake.insert_missing(LABELS, labels(spark, 1)) == 1
    assert Lake(spark, str(tmp_path / "lake")).read(LABELS).count() == 1


def test_missing_table_names_the_way(lake):
    with pytest.raises(DataError, match="run the job that writes it first"):
        lake.read(LABELS)


def test_the_history_says_who_changed_rows_and_why(spark, lake):
    assert lake.history(LABELS) == []
    lake.create(LABELS)
    with lake.noted(job="one"), lake.noted(built={"inputs": 3}):
        lake.insert_missing(LABELS, labels(spark, 1))
    lake.insert_missing(LABELS, labels(spark, 2))
    for upkeep in (
        f"OPTIMIZE {lake.reference(LABELS)}",
        f"ALTER TABLE {lake.reference(LABELS)} SET TBLPROPERTIES ('a' = 'b')",
        f"ALTER TABLE {lake.reference(LABELS)} UNSET TBLPROPERTIES ('a')",
        f"ALTER TABLE {lake.reference(LABELS)} ADD CONSTRAINT c CHECK (tx_id > 0)",
        f"ALTER TABLE {lake.reference(LABELS)} DROP CONSTRAINT c",
        f"ALTER TABLE {lake.reference(LABELS)} CLUSTER BY (tx_id)",
        f"VACUUM {lake.reference(LABELS)}",
    ):
        spark.sql(upkeep)
    commits = lake.history(LABELS, after=0)
    assert [c.version for c in commits] == [*range(lake.version(LABELS), 0, -1)]
    written = [c for c in commits if c.changes_rows]
    assert [(c.operation, c.notes) for c in written] == [
        ("WRITE", {}),
        ("WRITE", {"job": "one", "built": {"inputs": 3}}),
    ]
    assert spark.conf.get(METADATA, None) is None


def test_a_table_is_replaced_and_put_back(spark, lake):
    lake.create(FEATURES, {"f": "double"})
    before, identity = lake.version(FEATURES), lake.identity(FEATURES)
    rows = spark.sql("SELECT 1L AS tx_id, TIMESTAMP '2018-08-08' AS event_time, 'd' AS definition")
    lake.replace_table(FEATURES, rows)
    assert lake.read(FEATURES).columns == rows.columns
    detail = spark.sql(f"DESCRIBE DETAIL {lake.reference(FEATURES)}").first()
    assert detail["clusteringColumns"] == list(FEATURES.cluster_by)
    assert lake.identity(FEATURES) == identity == detail["id"]
    lake.restore(FEATURES, before)
    assert lake.read(FEATURES).columns == [*rows.columns, "f"]
    assert lake.read(FEATURES).isEmpty()
