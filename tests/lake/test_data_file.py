"""Files written by tasks of Python: what Delta's own writer says of such files, and readers too."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fraudlake.lake import delta_log
from fraudlake.lake.tables import FEATURES, SCORES

START = datetime(2018, 4, 1, 0, 0, 0, 123_456, tzinfo=UTC)
COLUMNS = {"customer_id": "bigint", "country": "string", "amount": "decimal(18,2)", "ok": "boolean"}


def rows(n=1000):
    return pa.table(
        {
            "tx_id": pa.array(range(n), pa.int64()),
            "event_time": pa.array(
                [START + timedelta(minutes=i) for i in range(n)], pa.timestamp("us", "UTC")
            ),
            "definition": pa.DictionaryArray.from_arrays(pa.array([0] * n, pa.int32()), ["abc"]),
            "customer_id": pa.array([i % 9 for i in range(n)], pa.int64()),
            "country": pa.array([None if i % 5 == 0 else "é" * (i % 40) for i in range(n)]),
            "amount": pa.array([Decimal(i) / 100 for i in range(n)], pa.decimal128(18, 2)),
            "ok": pa.array([i % 2 == 0 for i in range(n)]),
        }
    )


@pytest.fixture
def made(lake):
    lake.create(FEATURES, COLUMNS)
    return lake


def content(lake):
    return sorted(map(str, lake.read(FEATURES).collect()))


def test_readers_find_the_rows_and_delta_the_same_statistics(made):
    writer = made.file_writer(FEATURES)
    made.replace_files(FEATURES, [writer.write(rows())])
    assert made.read(FEATURES).count() == 1000
    found = made.read(FEATURES).orderBy("tx_id").toArrow()
    assert found.to_pylist() == rows().to_pylist()
    ours = content(made)
    other = made.spark.createDataFrame(made.read(FEATURES).toArrow())
    stats = [json.loads(file["stats"]) for file in state(made).files]
    made.replace_where(FEATURES, other.coalesce(1), "true")
    assert content(made) == ours
    assert stats == [json.loads(file["stats"]) for file in state(made).files]


def state(lake):
    return delta_log.state(lake.spark, lake.path(FEATURES), lake.version(FEATURES))


def test_a_commit_puts_files_in_the_place_of_all_others(made):
    writer = made.file_writer(FEATURES)
    with made.noted(built={"what": 1}):
        made.replace_files(FEATURES, [writer.write(rows(10)), writer.write(rows(5))])
    made.replace_files(FEATURES, [writer.write(rows(3))])
    assert made.read(FEATURES).count() == 3
    assert made.read(FEATURES, 1).count() == 15
    newest, before, _ = made.history(FEATURES)
    assert (newest.operation, before.operation) == ("WRITE", "WRITE")
    assert before.notes["built"] == {"what": 1}
    detail = made.spark.sql(f"DESCRIBE DETAIL {made.reference(FEATURES)}").first()
    assert detail["clusteringColumns"] == ["event_time"]
    metrics = made.spark.sql(f"DESCRIBE HISTORY {made.reference(FEATURES)} LIMIT 1").first()
    assert metrics["operationMetrics"]["numOutputRows"] == "3"
    # What a table has let go is removed from the disk, and what no commit names.
    writer.write(rows(7))
    made.spark.conf.set("spark.databricks.delta.retentionDurationCheck.enabled", "false")
    made.spark.sql(f"VACUUM {made.reference(FEATURES)} RETAIN 0 HOURS")
    assert len(list(Path(made.path(FEATURES)).glob("*.parquet"))) == 1
    assert made.read(FEATURES).count() == 3


def test_a_commit_that_others_have_overtaken_is_refused(made, monkeypatch):
    writer = made.file_writer(FEATURES)
    file = writer.write(rows(10))
    newest = delta_log._newest

    def overtaken(spark, log):
        snapshot = newest(spark, log)
        monkeypatch.undo()
        made.spark.createDataFrame(
            [(1, START, "x")], "tx_id bigint, event_time timestamp, definition string"
        ).write.format("delta").mode("append").save(made.path(FEATURES))
        return snapshot

    monkeypatch.setattr(delta_log, "_newest", overtaken)
    with pytest.raises(Exception, match=r"ConcurrentAppend|added"):
        made.replace_files(FEATURES, [file])
    assert made.read(FEATURES).count() == 1


def test_a_missing_value_is_told_in_deltas_words(made):
    writer = made.file_writer(FEATURES)
    some = rows(5).set_column(0, "tx_id", pa.array([1, None, 2, 3, 4], pa.int64()))
    with pytest.raises(ValueError, match="NOT NULL constraint violated for column: tx_id"):
        writer.write(some)
    assert not list(Path(made.path(FEATURES)).glob("*.parquet"))


def test_values_that_come_again_are_in_a_dictionary(made):
    writer = made.file_writer(FEATURES)
    path = Path(made.path(FEATURES), writer.write(rows(100_000)).path)
    group = pq.ParquetFile(path).metadata.row_group(0)
    columns = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    assert columns["customer_id"].has_dictionary_page
    assert columns["definition"].has_dictionary_page
    assert not columns["tx_id"].has_dictionary_page


def test_tables_that_ask_for_more_are_written_through_spark(made, caplog):
    caplog.set_level("INFO", "fraudlake")
    made.create(SCORES)
    assert made.file_writer(SCORES) is None
    assert "rules delta.constraints.score_is_probability" in caplog.text
    name = made.reference(FEATURES)
    made.spark.sql(f"ALTER TABLE {name} SET TBLPROPERTIES ('delta.enableRowTracking' = 'true')")
    assert made.file_writer(FEATURES) is None
    assert "rowTracking" in caplog.text
